/* ack.c - the fifth step: SND.UNA, the send window, what an ACK says of loss and of the round trip. */
#include "tcp/tcp.h"

/* RFC 9293 3.10.4: only when the FIN was sent. */
bool our_fin_acked(const struct tcb *c) { return c->snd.fin_acked; }

/* 3.10.7.4 fifth: SND.WND, SND.WL1, SND.WL2; and the largest window ever seen (RFC 5961 5.2). */
void ack_window(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    if (!(seq_lt(n->wl1, s->seq) || (seq_eq(n->wl1, s->seq) && seq_le(n->wl2, s->ack))))
        return;
    uint32_t old = n->wnd;
    n->wnd = (uint32_t)s->wnd << ((s->flags & F_SYN) ? 0 : c->opt.snd_wscale);
    n->wl1 = s->seq;
    n->wl2 = s->ack;
    n->max_wnd = max_u32(n->max_wnd, n->wnd);
    if (n->wnd == old)
        return;
    trace_conn(t, &c->h, TERN_TRACE_WINDOW, TERN_CAUSE_NONE, n->wnd, old, 0);
    conn_ready(t, &c->h);
}

/* Karn's rule (RFC 6298 3): only segments sent once; timestamps tell repeated ones apart too (RFC 7323 4). */
static void sample_rtt(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    uint64_t now = t->w->now, us;
    if (a->rtt_sent_us != 0)
        us = now - a->rtt_sent_us;
    else if (c->opt.ts && s->opt.ts && s->opt.ts_ecr != 0 && a->bytes > 0)
        us = (uint64_t)(stamp_now(t, c->ts.offset) - s->opt.ts_ecr) * 1000;
    else
        return;
    if (us > 0xffffffffu / 8)
        return; /* nonsense of a peer's timestamp */
    rtt_sample(&c->rtt, (uint32_t)us, settings(t));
    trace_conn(t, &c->h, TERN_TRACE_RTT, TERN_CAUSE_NONE, us, c->rtt.srtt_us, c->rtt.rto_us);
}

/* RFC 2018, RFC 6675: SACK blocks that can be true. One below SND.UNA is a DSACK (RFC 2883). */
static uint32_t take_sacks(struct tern *t, struct tcb *c, const struct segment *s, struct acked *a)
{
    uint32_t news = 0;
    if (!c->opt.sack)
        return 0;
    for (uint8_t i = 0; i < s->opt.n_sack; i++) {
        seq_t left = s->opt.sack[i].left, right = s->opt.sack[i].right;
        if (i == 0 && seq_lt(left, s->ack)) {
            c->sum.dsacks++;
            a->dsacked += seq_ge(left, c->undo.marker) && seq_lt(left, right) ? seq_span(left, right) : 0;
            continue;
        }
        if (seq_le(right, left) || seq_le(left, c->snd.una) || seq_gt(right, c->snd.nxt))
            continue;
        news += sendlist_sack(t, &c->list, left, right, a);
    }
    return news;
}

/* SND.UNA moves to `ack`: SYN and FIN take a number and no byte. */
static void advance(struct tern *t, struct tcb *c, seq_t ack, struct acked *a)
{
    struct snd *n = &c->snd;
    sendlist_ack(t, &c->list, ack, a);
    n->una = ack;
    if (n->fin_sent && seq_gt(ack, snd_end(n)))
        n->fin_acked = true;
    uint32_t bytes = seq_gt(ack, seq(n->q.pos)) ? min_u32(seq_span(seq(n->q.pos), ack), n->q.len) : 0;
    chunkq_drop_front(t->a, &n->q, bytes);
    c->sum.acked += bytes;
    n->small = seq_max(n->small, ack);
    if (n->blocked && n->q.len < n->buffer) {
        n->blocked = false;
        face_raise(t, &c->h, &c->face, TERN_WRITABLE);
    }
}

/* RFC 5681 2: the five conditions of a duplicate ACK. The answer to a window probe is none: the byte that it
 * asks for again was refused, not lost. */
static bool is_duplicate(const struct tcb *c, const struct segment *s, uint32_t old_wnd)
{
    return s->len == 0 && !(s->flags & (F_SYN | F_FIN)) && seq_eq(s->ack, c->snd.una) &&
           c->snd.wnd == old_wnd && flight(&c->snd) > 0 &&
           c->tm.rexmit != TERN_TIMER_PERSIST;
}

/* Answer that may not be answered for ever. */
static enum tern_cause refuse(struct tern *t, struct tcb *c, enum tern_cause why)
{
    challenge(t, c, TERN_C_SEND_CHALLENGE);
    return why;
}

enum tern_cause ack_segment(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    /* RFC 5961 5.2 (RFC 9293 MAY-12) */
    if (seq_lt(s->ack, seq_sub(n->una, n->max_wnd)))
        return refuse(t, c, TERN_C_ACK_TOO_OLD);
    if (seq_gt(s->ack, n->nxt))
        return refuse(t, c, TERN_C_ACK_UNSENT);
    uint32_t old_wnd = n->wnd, old_flight = flight(n);
    if (seq_ge(s->ack, n->una))
        ack_window(t, c, s);
    struct acked a = {0};
    bool duplicate = is_duplicate(c, s, old_wnd);
    bool moved = seq_gt(s->ack, n->una);
    if (moved)
        advance(t, c, s->ack, &a);
    uint32_t news = take_sacks(t, c, s, &a);
    sample_rtt(t, c, s, &a);
    rack_update(t, c, s, &a);
    if (moved)
        timer_progress(t, c);
    c->rec.delivered += a.delivered;
    c->rec.delivered_us = t->w->now;
    c->sum.dup_acks_in += duplicate;
    a.eifel = moved && a.any_retx && c->opt.ts && s->opt.ts && (int32_t)(s->opt.ts_ecr - c->undo.stamp) < 0;
    bool repaired = tlp_repaired(c, s, &a, duplicate);
    recovery_on_ack(t, c, &a, news, duplicate);
    if (repaired)
        recovery_on_tail_repaired(t, c);
    if (moved)
        tlp_schedule(t, c);
    if ((s->flags & F_ECE) && c->opt.ecn && !(s->flags & F_SYN))
        recovery_on_ecn(t, c, old_flight);
    timer_answered(t, c);
    timer_window(t, c);
    if (a.bytes > 0 || news > 0 || duplicate)
        conn_ready(t, &c->h);
    return TERN_CAUSE_NONE;
}
