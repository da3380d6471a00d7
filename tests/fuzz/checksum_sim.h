/* The simulation's codec for fuzz_checksum.c, by itself: its `struct segment` is not the stack's. */
#ifndef FUZZ_CHECKSUM_SIM_H
#define FUZZ_CHECKSUM_SIM_H

#include <stdint.h>

/* Whether the simulation takes this packet for well-formed; NULL, or what is wrong. */
const char *sim_judges(const uint8_t *packet, uint32_t len);

#endif
