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

/* What cwnd allows beside what is in the network (RFC5681-3-a, RFC6675-5-k). */
static inline uint32_t cwnd_room(const struct tcb *c)
{
    uint32_t pipe = sendlist_pipe(&c->list, c->rec.reno_sacked);
    /* never stuck below one */
    uint32_t cwnd = c->list.count == 0 ? max_u32(c->cc.cwnd, c->snd.mss) : c->cc.cwnd;
    return pipe < cwnd ? cwnd - pipe : 0;
}

/* Largest window that the header can say. */
static inline uint32_t window_max(const struct tcb *c) { return 65535u << c->opt.rcv_wscale; }

/* RFC 9293 3.8.6.2.2 (MUST-39): move the right edge by at least min(half the buffer, MSS). */
static inline bool window_worthwhile(const struct tcb *c, uint32_t gain)
{
    return gain >= min_u32(c->rcv.buffer / 2, max_u32(c->ack.seg, c->snd.mss));
}

/* window.c: as far as there is memory for it now. */
void window_open(const struct tern *t, struct tcb *c);

/* The window that a segment offers, as its field says it. RCV.ADV is the furthest edge that was ever offered:
 * what lies within it is taken (RFC7323-2.4-bc). Scaling rounds down (RFC7323-2.3-e); what was offered before
 * is not taken back (SHLD-14): round up to what the field can say. */
static inline uint16_t window_offer(const struct tern *t, struct tcb *c)
{
    uint32_t wnd = rcv_wnd(&c->rcv), unit = 1u << c->opt.rcv_wscale;
    if (c->rcv.buffer > wnd && window_worthwhile(c, c->rcv.buffer - wnd)) { /* else it cannot be with less */
        window_open(t, c);
        wnd = rcv_wnd(&c->rcv);
    }
    if (wnd % unit != 0 && wnd < window_max(c)) {
        wnd += unit - wnd % unit;
        c->rcv.adv = seq_add(c->rcv.nxt, wnd);
    }
    return window_field(wnd, c->opt.rcv_wscale);
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
/* The same for whole segments of new text, but that the turn goes on. */
int bulk_out(struct tern *t, struct tcb *c, tern_tx_packet *out);
/* ... the first SYN+ACK of a half-open record. False: nothing has happened. */
bool lane_synack(struct tern *t, const struct listener *l, const struct halfopen *h, tern_tx_packet *out);

#endif
