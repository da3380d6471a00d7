/* follow.h - a run of segments, each of which says nothing new but the next bytes (follow.c). */
#ifndef TCP_FOLLOW_H
#define TCP_FOLLOW_H

#include "tcp/world.h"

struct run {
    struct tcb *c;
    struct tcp_lead lead;
    uint32_t front; /* bytes of each packet before its IP header */
};
/* Whether what follows `s`, which was taken just now, may be taken by the next two. `p`: its packet, from its
 * IP headers on, which are ip_len bytes. */
bool follow_begin(struct tern *t, struct run *run, uint16_t ip_len, const uint8_t *p,
                  const struct segment *s, uint32_t front);
/* Takes packets of the run, with all that is said of each, and stops before the first that is none, or that
 * follow_take must take. How many. */
int follow_row(struct tern *t, struct run *run, tern_rx_packet *pkts, int n);
/* One, wherever its text goes; `keep` as in struct segment. False: nothing has happened, it must go through
 * tcp_input. */
bool follow_take(struct tern *t, struct run *run, const tern_rx_packet *p, struct keep *keep);
/* One that was just taken is written down. */
COLD void follow_trace(struct tern *t, struct tcb *c, const struct segment *s);
/* After the last, before anything else happens. */
void follow_end(struct tern *t, struct run *run);

#endif
