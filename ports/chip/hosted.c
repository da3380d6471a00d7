/* hosted.c - the chip's program as a process, for development. */
#include "ports/chip/chip.h"

#include <stdio.h>

void chip_say(const char *text) { fputs(text, stdout); }

uint32_t chip_stack_used(void) { return 0; }

int main(void) { return chip_main(); }
