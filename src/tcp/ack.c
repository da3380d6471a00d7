/* ack.c - the fifth step: SND.UNA, the send window, what an ACK says of loss and of the round trip. */
#include "tcp/usual.h"

/* SND.WND, SND.WL1, SND.WL2; and the largest window ever seen (RFC 5961 5.2). The field is unsigned (MUST-1),
 * scaled (RFC7323-2.3-d) and, on a SYN, not scaled (RFC7323-2.2-g). */
void ack_take_window(struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    n->wnd = (uint32_t)s->wnd << ((s->flags & F_SYN) ? 0 : c->opt.snd_wscale);
    n->max_wnd = max_u32(n->max_wnd, n->wnd);
    n->wl1 = s->seq;
    n->wl2 = s->ack;
}

/* RFC 9293 3.10.7.4 fifth: no old segment moves the send window. The text tells old ones by SND.WL1 first,
 * since there segments are looked at in the order of their numbers. Here the ACK of one that came out of
 * order counts at once, so a repetition that fills a gap begins below SND.WL1 and may yet be the newest. Who
 * acknowledges more has spoken later: else the window of an older segment would be moved on by SND.UNA, to
 * where the peer never offered it (Linux does the same). SEG.ACK is SND.UNA or more here, so never below
 * SND.WL2. */
void ack_update_window(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    if (seq_lt(s->seq, n->wl1) && !seq_gt(s->ack, n->wl2))
        return;
    uint32_t old = n->wnd;
    ack_take_window(c, s);
    if (n->wnd == old)
        return;
    trace_conn(t, &c->h, TERN_TRACE_WINDOW, TERN_CAUSE_NONE, n->wnd, old, 0);
    conn_ready(t, &c->h);
}

/* Whether the echoed timestamp tells which sending was answered: only if SND.UNA moves (RFC7323-4.1-b), and
 * on a segment with ACK, since only such come here (RFC7323-3.2-c). A peer to whom all of a repetition is old
 * refuses it before it looks at its timestamp (RFC 7323 5.3 R2 and R3), so when an ACK was lost the answer to
 * the repetition echoes the first sending: the time between is the timeout's, not the path's, and would make
 * the next one longer. Only when the answer comes too soon for the repetition was the first one late. */
static bool echo_tells(const struct tern *t, const struct tcb *c, const struct segment *s,
                       const struct acked *a)
{
    uint64_t again_us = a->again.sent_us;
    if (!c->opt.ts || !s->opt.ts || s->opt.ts_ecr == 0 || a->bytes == 0)
        return false;
    return again_us == 0 || (int32_t)(s->opt.ts_ecr - stamp_at(again_us, c->ts.offset)) >= 0 ||
           t->w->now - again_us < c->rtt.min_us;
}

/* Whether the peer says that the repetition came, as the second (RFC 2883 4): that is what it answers. There
 * must have been but one. */
static bool dsack_tells(const struct acked *a)
{
    return a->dsacked > 0 && a->again.times == 2 &&
           seq_eq(seq_add(a->dsack_left, a->dsacked), a->again.end);
}

/* What was sent before the clock jumped tells nothing: the first ACK after it, and every one of a segment
 * from before, would count the machine's sleep as the network's. */
static bool before_jump(const struct tern *t, const struct tcb *c, uint64_t sent_us)
{
    return (sent_us != 0 && across_jump(t, sent_us)) ||
           (c->tm.stuck_us != 0 && across_jump(t, c->tm.stuck_us));
}

static void sampled(struct tern *t, struct tcb *c, uint64_t us)
{
    if (us > 0xffffffffu / 8)
        return; /* nonsense of a peer's timestamp */
    rtt_sample(&c->rtt, (uint32_t)us, settings(t));
    c->tlp.unmeasured = false;
    trace_conn(t, &c->h, TERN_TRACE_RTT, TERN_CAUSE_NONE, us, c->rtt.srtt_us, c->rtt.rto_us);
}

/* Karn's rule (MUST-18, RFC6298-3-a): only segments sent once; timestamps tell repeated ones apart too (RFC
 * 7323 4), and so does a DSACK. Each ACK of something new is a sample (RFC6298-3-b). */
static void sample_rtt(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    uint64_t now = t->w->now, us;
    if (before_jump(t, c, a->rtt_sent_us))
        return;
    if (a->rtt_sent_us != 0 && !a->any_retx)
        us = now - a->rtt_sent_us;
    else if (dsack_tells(a))
        us = now - a->again.sent_us;
    else if (echo_tells(t, c, s, a))
        us = (uint64_t)(stamp_now(t, c->ts.offset) - s->opt.ts_ecr) * 1000;
    else
        return;
    sampled(t, c, us);
}

/* Of what was sent once. */
void ack_round_trip(struct tern *t, struct tcb *c, uint64_t sent_us)
{
    if (!before_jump(t, c, sent_us))
        sampled(t, c, t->w->now - sent_us);
}

static bool inside(const struct sack_block *a, const struct sack_block *b)
{
    return seq_ge(a->left, b->left) && seq_le(a->right, b->right);
}

/* RFC 2883 4: the first block is a duplicate when it lies below the ACK or inside the second. */
static bool is_dsack(const struct segment *s)
{
    const struct sack_block *b = s->opt.sack;
    if (s->opt.n_sack == 0 || !seq_lt(b[0].left, b[0].right))
        return false;
    return seq_le(b[0].right, s->ack) || (s->opt.n_sack > 1 && inside(&b[0], &b[1]));
}

/* In ascending order, so that what arrived in order looks so (RACK judges reordering by it). */
static uint8_t sorted(const struct segment *s, uint8_t first, struct sack_block *out)
{
    uint8_t n = 0;
    for (uint8_t i = first; i < s->opt.n_sack; i++) {
        uint8_t k = n++;
        for (; k > 0 && seq_gt(out[k - 1].left, s->opt.sack[i].left); k--)
            out[k] = out[k - 1];
        out[k] = s->opt.sack[i];
    }
    return n;
}

/* The SACK blocks that can be true, noted on the send list (RFC2018-5-a, RFC6675-5-a). */
static void take_sacks(struct tern *t, struct tcb *c, const struct segment *s, struct acked *a)
{
    struct sack_block blocks[MAX_SACK];
    if (!c->opt.sack)
        return;
    bool twice = is_dsack(s);
    if (twice) {
        c->sum.dsacks++;
        a->dsack_left = s->opt.sack[0].left;
        a->dsacked = seq_span(s->opt.sack[0].left, s->opt.sack[0].right);
    }
    uint8_t n = sorted(s, twice, blocks);
    for (uint8_t i = 0; i < n; i++)
        if (seq_lt(blocks[i].left, blocks[i].right) && seq_gt(blocks[i].left, c->snd.una) &&
            seq_le(blocks[i].right, c->snd.nxt))
            a->news += sendlist_sack(t, &c->list, blocks[i].left, blocks[i].right, c->snd.mss, a);
}

/* SND.UNA moves to `ack`: SYN and FIN take a number and no byte. Bytes go when they are acknowledged so, and
 * not when they are SACKed (RFC2018-8-d, RFC6675-4-b). */
static void advance(struct tern *t, struct tcb *c, seq_t ack, struct acked *a)
{
    struct snd *n = &c->snd;
    sendlist_ack(t, &c->list, ack, a);
    if (!n->syn_acked) {
        a->bytes--, n->syn_acked = true; /* the SYN is no data: it makes no window grow (RFC5681-3.1-c) */
        recovery_begin(c);
    }
    n->una = ack;
    if (n->fin_sent && seq_gt(ack, snd_end(n)))
        n->fin_acked = true;
    uint32_t bytes = seq_gt(ack, seq(n->q.pos)) ? min_u32(seq_span(seq(n->q.pos), ack), n->q.len) : 0;
    chunkq_drop_front(t->a, &n->q, bytes);
    c->sum.acked += bytes;
    n->small = seq_max(n->small, ack);
    n->urgent = n->urgent && seq_gt(n->up, ack);
    if (n->blocked && n->q.len < n->buffer)
        shortage_writable(t, c);
}

/* RFC 5681 2: the five conditions of a duplicate ACK. The answer to a window probe is none: the byte that it
 * asks for again was refused, not lost. */
static bool is_duplicate(const struct tcb *c, const struct segment *s, uint32_t old_wnd)
{
    return s->len == 0 && !(s->flags & (F_SYN | F_FIN)) && seq_eq(s->ack, c->snd.una) &&
           c->snd.wnd == old_wnd && flight(&c->snd) > 0 && c->tm.rexmit != TERN_TIMER_PERSIST;
}

/* Refused with a challenge ACK. They are rationed: two ends that disagree would go on for ever. */
static enum tern_cause refuse(struct tern *t, struct tcb *c, enum tern_cause why)
{
    challenge(t, c, TERN_C_SEND_CHALLENGE);
    return why;
}

/* What it says: what has arrived, in order and not, and when it had been sent. */
static void read_ack(struct tern *t, struct tcb *c, const struct segment *s, struct acked *a)
{
    if (a->moved)
        advance(t, c, s->ack, a);
    take_sacks(t, c, s, a);
    a->eifel = a->moved && a->any_retx && c->opt.ts && s->opt.ts &&
               (int32_t)(s->opt.ts_ecr - c->undo.stamp) < 0;
    sample_rtt(t, c, s, a);
    rack_update(t, c, s, a);
}

/* What follows: timers, losses, the congestion window, more to send. */
static void act_on_ack(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    if (a->moved)
        timer_progress(t, c);
    c->sum.dup_acks_in += a->duplicate;
    bool repaired = tlp_repaired(c, s, a);
    recovery_on_ack(t, c, a);
    if (repaired)
        recovery_on_tail_repaired(t, c);
    if (a->moved)
        tlp_schedule(t, c);
    if (a->ece)
        recovery_on_ecn(t, c, a->old_flight);
    timer_answered(t, c);
    timer_window(t, c);
    if (a->moved || a->news > 0 || a->duplicate)
        conn_ready(t, &c->h);
}

/* --- all of it ------------------------------------------------------------------------------------ */

enum tern_cause ack_segment(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    /* RFC5961-5.2-abc (RFC 9293 MAY-12) */
    if (seq_lt(s->ack, seq_sub(n->una, n->max_wnd)))
        return refuse(t, c, TERN_C_ACK_TOO_OLD);
    if (seq_gt(s->ack, n->nxt))
        return refuse(t, c, TERN_C_ACK_UNSENT);
    uint32_t old_wnd = n->wnd;
    if (!n->syn_acked && seq_gt(s->ack, n->una))
        ack_take_window(c, s); /* closed in SYN_RCVD: no segment has told its window yet */
    else if (seq_ge(s->ack, n->una))
        ack_update_window(t, c, s);
    struct acked a = {.old_flight = flight(n), .moved = seq_gt(s->ack, n->una)};
    a.ece = (s->flags & F_ECE) && c->opt.ecn && !(s->flags & F_SYN);
    a.duplicate = is_duplicate(c, s, old_wnd);
    read_ack(t, c, s, &a);
    act_on_ack(t, c, s, &a);
    return TERN_CAUSE_NONE;
}
