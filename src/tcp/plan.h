/* plan.h - what passes from the decision (decide.c) to the builder (output.c). */
#ifndef TCP_PLAN_H
#define TCP_PLAN_H

#include "tcp/tcp.h"

/* One packet to be. */
struct plan {
    seq_t start;
    uint32_t len;          /* sequence numbers, SYN and FIN included */
    uint8_t flags;         /* beside ACK: F_SYN, F_FIN, F_PSH, F_RST */
    bool again;            /* was sent before: rec is its record */
    bool probe;
    bool no_ack_flag;
    struct sendrec *rec;
    enum tern_cause why;
};

/* The next packet of a connection. False: there is none now. */
bool decide(struct tern *t, struct tcb *c, struct plan *p);

/* Whether decide would certainly find nothing: true, and what decide notes then is noted. */
bool says_no_more(struct tcb *c);

/* "Not before `when`": look again then, unless something comes before. Always false: return later(...). */
bool later(struct tern *t, struct tcb *c, uint64_t when);

/* The same for want of memory to note what is sent: after 10 ms, then twice as long each time, up to 1.28 s.
 * An ACK brings it sooner. */
bool later_for_memory(struct tern *t, struct tcb *c);

/* How many SACK blocks ride on a segment: on one with data no more than leave half of it to the data, since
 * options count against the peer's MSS (MUST-16). */
uint8_t sack_blocks(const struct tcb *c, bool data);

/* Payload bytes of a full segment, with the SACK blocks that will ride on it. */
uint32_t full_size(const struct tcb *c);

#endif
