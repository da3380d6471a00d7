/* usual.c - the segments of a usual life, each in one go.
 *
 * Nearly every segment brings what is next and nothing else: bytes that begin at RCV.NXT and fit, the
 * acknowledgment of all that is in flight, perhaps a FIN behind them. Most of what the ordered list of
 * 3.10.7.4 (input.c) asks of it is then known before it is asked:
 *
 *   first    SEG.SEQ is RCV.NXT, all lies in the window, and its timestamp is TS.Recent's or newer: accepted
 *   second   no RST; fourth: no SYN
 *   fifth    SEG.ACK is SND.NXT. What is in flight left in one record, once, and is not suspected of
 *   anything:
 *            so it has arrived, its round trip is known, and nothing is left to be judged
 *   sixth    no URG
 *   seventh  nothing waits out of order, so the text is what the program reads next
 *   eighth   a FIN has all before it
 *
 * Whoever is under repair, probed, marked by ECN or short of anything is not usual. The steps that remain are
 * taken in the list's order, and leave what the list would leave, to the bit (tests/fuzz/fuzz_twin.c, steps).
 */
#include "tcp/usual.h"

/* It brings what is next, with nothing beside it. */
static inline bool brings_next(const struct tcb *c, const struct segment *s)
{
    return (s->flags & ~(F_PSH | F_FIN)) == F_ACK && seq_eq(s->seq, c->rcv.nxt) &&
           seq_eq(s->ack, c->snd.nxt) && seg_len(s) <= rcv_wnd(&c->rcv) && s->opt.ts == c->opt.ts &&
           s->opt.n_sack == 0 && s->wnd != 0 && (!s->opt.ts || (int32_t)(s->opt.ts_val - c->ts.recent) >= 0);
}

/* Text and FIN come in the states that take them, and to somebody. */
static inline bool may_bring(const struct tcb *c, const struct segment *s)
{
    uint32_t in = 1u << c->h.state;
    uint32_t some =
        1u << TERN_ESTABLISHED | 1u << TERN_FIN_WAIT_1 | 1u << TERN_FIN_WAIT_2 | 1u << TERN_SYN_RCVD;
    if (seg_len(s) > 0)
        return (in & some) != 0 && (s->len == 0 || !c->face.orphan);
    return (in & (some | 1u << TERN_CLOSE_WAIT | 1u << TERN_LAST_ACK)) != 0;
}

/* Nothing is going on with it but its life; it was not closed before its SYN was acknowledged. */
static inline bool at_ease(const struct tcb *c)
{
    const struct snd *n = &c->snd;
    bool busy = c->opt.ecn | n->urgent | n->blocked | c->tlp.out | c->rec.cwr_valid | c->rec.recover_valid |
                c->rack.round_valid | (c->rec.phase != PHASE_OPEN) | c->rcv.fin_ooo;
    bool opening = !n->syn_acked & (c->h.state != TERN_SYN_RCVD);
    return !busy && !opening && c->rcv.ooo.head == 0 && n->link != 0 && c->tm.rexmit != TERN_TIMER_PERSIST;
}

/* Whatever is in flight is one sending, of which nothing is known but when it was. */
static inline bool flies_alone(const struct tern *t, const struct tcb *c)
{
    if (c->list.count != 1)
        return c->list.count == 0 && c->snd.syn_acked && seq_eq(c->snd.una, c->snd.nxt) &&
               c->tm.rexmit == TERN_TIMER_NONE;
    const struct sendrec *r = at_const(t->a, c->list.seq.head);
    return r->flags == 0 && r->times == 1 && r->sent_us != 0;
}

/* Its bytes go; the SYN and the FIN are none. */
static inline void free_acked(struct tern *t, struct tcb *c)
{
    struct chunkq *q = &c->snd.q;
    if (q->len == 0)
        return;
    uint32_t bytes = seq_gt(c->snd.una, seq(q->pos)) ? min_u32(seq_span(seq(q->pos), c->snd.una), q->len) : 0;
    if (bytes > 0)
        chunkq_drop_front(t->a, q, bytes);
    c->sum.acked += bytes;
}

/* As timer_progress, when nothing is in flight any more. */
static inline void waits_no_more(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    if (UNLIKELY(ether_is(&t->w->ip.ether, c->snd.link)))
        neigh_confirm(t->a, &t->w->ip, t->w->now, c->snd.link, &c->h.remote);
    m->retries = 0;
    m->judged = m->overslept = false;
    m->stuck_us = 0;
    m->rexmit = TERN_TIMER_NONE;
    m->rexmit_us = 0;
    trace_conn(t, &c->h, TERN_TRACE_TIMER_SET, TERN_CAUSE_NONE, TERN_TIMER_NONE, 0, 0);
}

/* SND.UNA moves to SND.NXT: what left as `r` has arrived. */
static inline void all_arrived(struct tern *t, struct tcb *c)
{
    struct snd *n = &c->snd;
    const struct sendrec *r = at_const(t->a, c->list.seq.head);
    uint64_t sent_us = r->sent_us;
    uint32_t bytes = r->len - !n->syn_acked; /* the SYN makes no window grow */
    n->syn_acked = true;
    n->una = n->nxt;
    n->fin_acked |= n->fin_sent && seq_gt(n->nxt, snd_end(n));
    n->small = seq_max(n->small, n->nxt);
    sendlist_take_only(t, &c->list);
    free_acked(t, c);
    ack_round_trip(t, c, sent_us);
    rack_delivered(t, &c->rack, sent_us, n->nxt);
    if (LIKELY(c->tm.rexmit == TERN_TIMER_RETRANSMIT))
        waits_no_more(t, c);
    else
        timer_progress(t, c);
    if (bytes > 0) {
        c->rec.dupacks = 0;
        c->rec.reno_sacked = c->rec.lead = 0;
    }
    recovery_grow(t, c, bytes);
    c->tm.tlp_us = 0;
    conn_ready(t, &c->h);
}

/* Fifth. */
static inline void take_ack(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (c->snd.syn_acked)
        ack_update_window(t, c, s);
    else
        ack_take_window(c, s);
    c->rack.mult += c->rack.mult == 0;
    if (c->list.count > 0)
        all_arrived(t, c);
    if (c->opt.sack)
        c->tm.reo_us = 0;
    if (s->opt.ts && !seq_gt(s->seq, c->ts.last_ack_sent)) { /* RFC7323-4.3-abc */
        c->ts.recent = s->opt.ts_val;
        c->ts.recent_us = t->w->now;
    }
}

/* Sixth to eighth. */
static inline enum tern_cause take_text(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum tern_cause cause = TERN_CAUSE_NONE;
    bool fin = (s->flags & F_FIN) != 0;
    if (fin) {
        c->rcv.fin_ooo = true;
        c->rcv.fin = seq_add(s->seq, s->len);
    }
    if (s->len > 0)
        cause = recv_next(t, c, s);
    if (fin && cause == TERN_CAUSE_NONE)
        in_fin(t, c);
    return cause;
}

/* False: it is for the ordered lists, and nothing has happened. Else *cause is why it was refused after all,
 * or TERN_CAUSE_NONE. */
static INLINED inline bool in_usual(struct tern *t, struct tcb *c, const struct segment *s,
                                    enum tern_cause *cause)
{
    if (!brings_next(c, s) || !may_bring(c, s) || !at_ease(c) || !flies_alone(t, c))
        return false;
    *cause = TERN_CAUSE_NONE;
    if (c->h.state == TERN_SYN_RCVD)
        in_opened(t, c, s);
    take_ack(t, c, s);
    if (c->snd.fin_acked && c->h.state == TERN_LAST_ACK) {
        tcb_end(t, c, TERN_C_LAST_ACKED, 0);
        return true;
    }
    if (seg_len(s) > 0)
        *cause = take_text(t, c, s);
    if (c->h.state == TERN_FIN_WAIT_1 && c->snd.fin_acked)
        tcb_fin_wait_2(t, c);
    return true;
}

enum tern_cause in_live(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum tern_cause cause;
    return !by_steps(t) && in_usual(t, c, s, &cause) ? cause : in_synchronized(t, c, s);
}

/* What every segment of a live connection tells. */
static void note_arrival(struct tern *t, struct tcb *c, const struct segment *s)
{
    c->sum.segs_in++;
    c->restless = false;
    tcb_heard(c, s, t->w->now);
}

enum tern_cause in_tcb(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum tern_cause cause;
    note_arrival(t, c, s);
    if (UNLIKELY(by_steps(t) || !in_usual(t, c, s, &cause)))
        cause = in_listed(t, c, s);
    if (cause == TERN_CAUSE_NONE && c->h.state != TERN_CLOSED)
        timer_keepalive(t, c); /* MUST-26: what was refused is no sign of life */
    timer_rearm(t, c);
    idle_back(t, c);
    return cause;
}
