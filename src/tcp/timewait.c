/* timewait.c - TIME_WAIT: both sides have closed; old segments must die before the pair of ports is used
 * again.
 *
 * While the program holds the handle the record is the control block, afterwards the small one; both are
 * judged by one view, so that there is one truth. RST is ignored (RFC 1337 3). A new SYN may take the place
 * of the old connection when it is certainly newer (RFC 6191 2; RFC 9293 3.6.1); this must be asked before
 * the window test, which it cannot pass.
 */
#include "tcp/tcp.h"

/* What either record knows. */
struct view {
    seq_t snd_nxt, rcv_nxt;
    uint32_t rcv_wnd, max_wnd;
    bool ts;
    uint32_t ts_recent;
};

static struct view view_of(const struct conn_head *h)
{
    if (h->kind == REC_TCB) {
        const struct tcb *c = (const struct tcb *)h;
        return (struct view){
            .snd_nxt = c->snd.nxt,
            .rcv_nxt = c->rcv.nxt,
            .rcv_wnd = rcv_wnd(&c->rcv),
            .max_wnd = max_u32(c->snd.max_wnd, 65535),
            .ts = c->opt.ts,
            .ts_recent = c->ts.recent,
        };
    }
    const struct timewait *w = (const struct timewait *)h;
    return (struct view){
        .snd_nxt = w->snd_nxt,
        .rcv_nxt = w->rcv_nxt,
        .rcv_wnd = w->rcv_wnd,
        .max_wnd = 65535,
        .ts = w->ts,
        .ts_recent = w->ts_recent,
    };
}

/* SHLD-4, RFC 6191 2 and, without timestamps, RFC 9293 3.6.1: is this SYN certainly newer than all of the old
 * connection? */
static bool newer(struct tern *t, const struct view *v, const struct segment *s)
{
    bool seq_newer = seq_ge(s->seq, v->rcv_nxt);
    bool stamps = s->opt.ts && settings(t)->timestamps;
    if (!stamps)
        return seq_newer;
    if (!v->ts)
        return true;
    if (s->opt.ts_val == v->ts_recent)
        return seq_newer;
    return (int32_t)(s->opt.ts_val - v->ts_recent) > 0;
}

static void restart(struct tern *t, struct conn_head *h)
{
    uint64_t due = t->w->now + 2ull * settings(t)->msl_us;
    if (h->kind == REC_TCB) {
        ((struct tcb *)h)->tm.life_us = due;
    } else {
        ((struct timewait *)h)->due_us = due;
        conn_timer(t, h, due);
    }
}

static void owe_ack(struct tern *t, struct conn_head *h, enum tern_cause why, bool always)
{
    struct timewait *w = (struct timewait *)h;
    if (h->kind == REC_TCB) {
        if (always)
            recv_ack_now(t, (struct tcb *)h, why);
        else
            challenge(t, (struct tcb *)h, why);
        return;
    }
    if (!always && !challenge_allowed(t, &w->challenges, &w->challenge_us))
        return;
    w->ack = true;
    w->ack_cause = (uint16_t)why;
    conn_ready(t, h);
}

static bool ack_in_range(const struct view *v, const struct segment *s)
{
    return seq_le(s->ack, v->snd_nxt) && seq_ge(s->ack, seq_sub(v->snd_nxt, v->max_wnd));
}

/* The peer's FIN again: it has not seen our last ACK. Recognised before the window test, which it fails. */
static bool repeated_fin(const struct view *v, const struct segment *s)
{
    return (s->flags & (F_FIN | F_ACK | F_SYN)) == (F_FIN | F_ACK) &&
           seq_eq(seq_add(s->seq, seg_len(s)), v->rcv_nxt) && ack_in_range(v, s);
}

/* Every other segment: none of them can change anything; the question is whether it draws an ACK. */
static enum tern_cause old_segment(struct tern *t, struct conn_head *h, const struct view *v,
                                   const struct segment *s)
{
    if (s->flags & F_SYN) { /* fourth */
        owe_ack(t, h, TERN_C_SEND_CHALLENGE, false);
        return (s->flags & F_ACK) ? TERN_C_SYN_CHALLENGE : TERN_C_TIME_WAIT_OLD_SYN;
    }
    if (!seq_acceptable(v->rcv_nxt, v->rcv_wnd, s)) { /* first */
        owe_ack(t, h, TERN_C_SEND_ACK_OLD, false);
        return seq_lt(s->seq, v->rcv_nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND;
    }
    if (!(s->flags & F_ACK)) /* fifth */
        return TERN_C_NO_ACK_BIT;
    if (!ack_in_range(v, s)) {
        owe_ack(t, h, TERN_C_SEND_CHALLENGE, false);
        return seq_gt(s->ack, v->snd_nxt) ? TERN_C_ACK_UNSENT : TERN_C_ACK_TOO_OLD;
    }
    if (s->flags & F_FIN) /* eighth: acknowledged, and no more */
        owe_ack(t, h, TERN_C_SEND_ACK_FIN, false);
    return s->len > 0 ? TERN_C_TEXT_IGNORED : TERN_C_TIME_WAIT_OLD;
}

enum tern_cause in_timewait(struct tern *t, ref_t r, const struct segment *s)
{
    struct conn_head *h = head_at(t, r);
    struct view v = view_of(h);
    if (s->flags & F_RST) {
        t->w->stats.time_wait_rst_ignored++;
        return TERN_C_TIME_WAIT_RST;
    }
    if ((s->flags & (F_SYN | F_ACK)) == F_SYN && newer(t, &v, s)) {
        struct listener *l = demux_listener(t, &s->dst, s->dst_port);
        if (l != NULL)
            return halfopen_open(t, l, s, r);
    }
    if (repeated_fin(&v, s)) {
        restart(t, h);
        owe_ack(t, h, TERN_C_SEND_ACK_TIME_WAIT, true);
        return TERN_CAUSE_NONE;
    }
    return old_segment(t, h, &v, s);
}

static void end(struct tern *t, struct timewait *w, enum tern_cause cause)
{
    state_change(t, &w->h, cause, TERN_CLOSED);
    trace_conn(t, &w->h, TERN_TRACE_RELEASED, cause, 0, 0, 0);
    conn_unready(t, &w->h);
    conn_timer(t, &w->h, 0);
    demux_remove(t, self(t, w));
    pool_put(t->a, &t->w->timewaits, self(t, w));
}

void timewait_timer(struct tern *t, struct timewait *w)
{
    if (t->w->now < w->due_us)
        conn_timer(t, &w->h, w->due_us);
    else
        end(t, w, TERN_C_TIME_WAIT_OVER);
}

void time_wait_park(struct tern *t, ref_t r) { head_at(t, r)->parked = true; }

void time_wait_unpark(struct tern *t, ref_t r) { head_at(t, r)->parked = false; }

bool time_wait_parked(struct tern *t, ref_t r) { return head_at(t, r)->parked; }

seq_t time_wait_snd_nxt(struct tern *t, ref_t r) { return view_of(head_at(t, r)).snd_nxt; }

/* A newer connection of the same pair is established: this one is over. */
void time_wait_gives_way(struct tern *t, ref_t r)
{
    struct conn_head *h = head_at(t, r);
    if (h->kind == REC_TIMEWAIT)
        end(t, (struct timewait *)h, TERN_C_SYN_RCVD_TIME_WAIT);
    else
        tcb_end(t, (struct tcb *)h, TERN_C_SYN_RCVD_TIME_WAIT, 0);
}

bool timewait_output(struct tern *t, struct timewait *w, tern_tx_packet *out)
{
    struct segment s;
    if (!w->ack)
        return false;
    w->ack = false;
    segment_from_head(&w->h, &s);
    s.flags = F_ACK;
    s.seq = w->snd_nxt;
    s.ack = w->rcv_nxt;
    s.wnd = window_field_up(w->rcv_wnd, w->rcv_wscale);
    s.opt.ts = w->ts;
    s.opt.ts_val = stamp_now(t, w->ts_offset);
    s.opt.ts_ecr = w->ts_recent;
    trace_segment(t, &w->h, TERN_TRACE_SEG_OUT, &s, w->ack_cause, 0);
    tcp_build(t, &s, 0, out);
    return true;
}
