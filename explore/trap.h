/* trap.h - a stack that stops itself (an assertion is a trap of the processor) ends the move, not the
 * explorer. */
#ifndef EXPLORE_TRAP_H
#define EXPLORE_TRAP_H

#include "move.h"

/* Catch traps from now on, until trap_end; nested calls are counted. */
void trap_begin(void);
void trap_end(void);

/* move_make, but a trap gives true, scene.fault FAULT_TRAP, and `*where`: an offset into the program's file.
 * The world is then not to be used. */
bool trap_move(struct duo *d, uint16_t move, uint64_t *where);

#endif
