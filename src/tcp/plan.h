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

/* Right edge of the latest ACK minus SND.NXT (RFC7323-2.4-d); a shrunken window gives none (SHLD-15), never a
 * huge number (MUST-34, RFC7323-2.4-a). */
static inline uint32_t usable_window(const struct snd *s)
{
    uint32_t out = flight(s);
    return s->wnd > out ? s->wnd - out : 0;
}

/* Does the congestion window bound us? Yes once half of it is used; no when all is sent and acknowledged. */
static inline void note_limited(struct tcb *c)
{
    if (2ull * sendlist_pipe(&c->list, c->rec.reno_sacked) >= c->cc.cwnd)
        c->snd.limited = true;
    else if (c->list.count == 0 && snd_unsent(&c->snd) == 0)
        c->snd.limited = false;
}

/* output.c: the record that is sent for the first time; false: no memory. */
bool take_record(struct tern *t, struct tcb *c, const struct plan *p, ref_t chunk);
/* ... its segment is written down for who traces */
COLD void trace_plan(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload);
/* ... its turn is over: nothing is to be sent now */
void turn_ends(struct tern *t, struct tcb *c);

/* Payload bytes of a full segment, with the SACK blocks that will ride on it. */
uint32_t full_size(const struct tcb *c);

/* lane_out.c: as conn_output, for a control block with one usual packet to send, which ends its turn. 1: it
 * was sent; 0: there was no memory to note it; LANE_NOT: nothing has happened, conn_output must be asked. */
enum { LANE_NOT = -1 };
int lane_out(struct tern *t, struct tcb *c, tern_tx_packet *out);

#endif
