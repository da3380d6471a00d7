/* probe.h - in a world, something that nobody on the path has done is tried, and held against the standard.
 *
 * A probe (sim/spec) is a last move: the world it leaves is not looked at and must be put back. Which probe
 * on which side is its argument; what the probe leaves to a dice, the world's own sum decides, so the same
 * path with the same probe is the same play.
 */
#ifndef EXPLORE_PROBE_H
#define EXPLORE_PROBE_H

#include "move.h"

/* How many different arguments MOVE_PROBE has. */
uint32_t probes_most(void);

/* Play it. False: there is nothing for it to be played on. What is wrong stands in d->stage->why, and the
 * fault is FAULT_STANDARD. */
bool probe_make(struct duo *d, uint32_t arg);

/* "B: segments" */
void probe_text(uint32_t arg, char *buf, uint32_t len);

#endif
