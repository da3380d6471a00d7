/* path.h - the path between the hosts: delays, scripted faults, and the tap on the wire. */
#ifndef SIM_PATH_H
#define SIM_PATH_H

#include "packet.h"
#include "world.h"

/* A stack sends a packet: it is recorded, and delayed, lost, held or doubled as the faults say. `bytes` are
 * copied. */
struct wire *path_send(struct world *w, int from, const uint8_t *bytes, uint32_t len);

/* A packet of the scenario's own making sets out, from a raw host or from nowhere (OUTSIDE); it takes
 * `delay_us`. Faults do not touch it. Returns its index in wire[]. */
uint32_t path_forge(struct world *w, int from, const struct segment *s, uint64_t delay_us);

/* The same for an exact copy of a packet recorded earlier: the path kept it, it arrives `delay_us` from
 * now. */
uint32_t path_replay(struct world *w, uint32_t index, uint64_t delay_us);

/* When the next packet arrives; NEVER when none is under way. */
uint64_t path_next(const struct world *w);

/* Take the packet that is due first off the path. The receiver is its `to`; it may be OUTSIDE or lost by
 * now. */
struct wire *path_take(struct world *w);

void path_fault(struct world *w, struct fault f);
void path_no_faults(struct world *w);

/* The n-th packet (from 0) from a host whose flags contain `set` and none of `clear`, parsed; NULL when there
 * is none. Any number of them with from OUTSIDE - 1: all hosts. */
const struct wire *path_find(const struct world *w, int from, uint8_t set, uint8_t clear, uint32_t n,
                             struct segment *s);

#endif
