/* chip.h - between the program and the machine under it: a real one (start.c), or a process (hosted.c). */
#ifndef PORTS_CHIP_H
#define PORTS_CHIP_H

#include <stdint.h>

/* The program. 0: all went well. */
int chip_main(void);

/* Text for whoever watches. */
void chip_say(const char *text);

/* Bytes of the stack that were ever used; 0 = not known. */
uint32_t chip_stack_used(void);

#endif
