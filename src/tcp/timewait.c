/* timewait.c - TIME_WAIT: both sides have closed; old segments must die before the pair of ports is used
 * again.
 *
 * While the program holds the handle the record is the control block, afterwards the small one (waiting.c);
 * both are judged by one view, so that there is one truth. RST is ignored (RFC1337-3-a, RFC1337-4-a). A new
 * SYN may take the place of the old connection when it is certainly newer (RFC 6191 2; RFC 9293 3.6.1); this
 * must be asked before the window test, which it cannot pass.
 */
#include "tcp/tcp.h"

#define TURN_US 1000000u

/* What either record knows. */
struct view {
    seq_t snd_nxt, rcv_nxt;
    uint32_t rcv_wnd, max_wnd;
    bool ts;
    uint32_t ts_recent;
};

static struct view view_of_tcb(const struct tcb *c)
{
    return (struct view){
        .snd_nxt = c->snd.nxt,
        .rcv_nxt = c->rcv.nxt,
        .rcv_wnd = rcv_wnd(&c->rcv),
        .max_wnd = max_u32(c->snd.max_wnd, 65535),
        .ts = c->opt.ts,
        .ts_recent = c->ts.recent,
    };
}

static struct view view_of(const struct tern *t, ref_t r)
{
    if (rec_kind(t, r) == REC_TCB)
        return view_of_tcb(at_const(t->a, r));
    const struct timewait *w = at_const(t->a, r);
    return (struct view){
        .snd_nxt = w->snd_nxt,
        .rcv_nxt = w->rcv_nxt,
        .rcv_wnd = (uint32_t)w->wnd << w->rcv_wscale,
        .max_wnd = 65535,
        .ts = w->ts,
        .ts_recent = w->ts_recent,
    };
}

/* SHLD-4, RFC6191-2-abcefh and, without timestamps, RFC 9293 3.6.1: is this SYN certainly newer than all of
 * the old connection? */
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

static void restart(struct tern *t, ref_t r)
{
    if (rec_kind(t, r) == REC_TCB)
        tcb_at(t, r)->tm.life_us = t->w->now + 2ull * settings(t)->msl_us;
    else
        waiting_restart(t, r);
}

/* One challenge ACK in a turn of a second, counted from the end of 2 MSL: the small record has no room for
 * more, and no record's ration may be that of another (RFC 5961 7, CVE-2016-5696). Its four bits number
 * fifteen turns: one that is asked for 15 turns after the last, with none between, is taken for a second one
 * of the same turn and stays unanswered, as if it were lost; the next is answered. (The repetitions of a SYN
 * double their distance, so they cannot fall in with that.) */
static bool small_allowed(struct tern *t, ref_t r)
{
    struct timewait *w = at(t->a, r);
    uint64_t due = waiting_due(t, r), left = due - min_u64(due, t->w->now);
    uint32_t turn = 1 + (uint32_t)(left / TURN_US % 15);
    bool allowed = w->challenged != turn;
    w->challenged = turn & 15;
    t->w->stats.challenge_limited += !allowed;
    return allowed;
}

/* The small record's, which is sent without it. */
static void small_ack(struct tern *t, ref_t r, enum tern_cause why, bool always)
{
    const struct timewait *w = at(t->a, r);
    if (!always && !small_allowed(t, r))
        return;
    struct reply_ack ack = {
        .seq = w->snd_nxt,
        .ack = w->rcv_nxt,
        .wnd = w->wnd & 0xffff,
        .ts = w->ts,
        .ts_ecr = w->ts_recent,
    };
    reply_ack_for(t, w, &ack, why);
}

static void owe_ack(struct tern *t, ref_t r, enum tern_cause why, bool always)
{
    if (rec_kind(t, r) != REC_TCB)
        small_ack(t, r, why, always);
    else if (always)
        recv_ack_now(t, tcb_at(t, r), why);
    else
        challenge(t, tcb_at(t, r), why);
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
static enum tern_cause old_segment(struct tern *t, ref_t r, const struct view *v,
                                   const struct segment *s)
{
    if (s->flags & F_SYN) { /* fourth; RFC6191-2-dg */
        owe_ack(t, r, TERN_C_SEND_CHALLENGE, false);
        return (s->flags & F_ACK) ? TERN_C_SYN_CHALLENGE : TERN_C_TIME_WAIT_OLD_SYN;
    }
    if (!seq_acceptable(v->rcv_nxt, v->rcv_wnd, s)) { /* first */
        owe_ack(t, r, TERN_C_SEND_ACK_OLD, false);
        return seq_lt(s->seq, v->rcv_nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND;
    }
    if (!(s->flags & F_ACK)) /* fifth */
        return TERN_C_NO_ACK_BIT;
    if (!ack_in_range(v, s)) {
        owe_ack(t, r, TERN_C_SEND_CHALLENGE, false);
        return seq_gt(s->ack, v->snd_nxt) ? TERN_C_ACK_UNSENT : TERN_C_ACK_TOO_OLD;
    }
    if (s->flags & F_FIN) /* eighth: acknowledged, and no more */
        owe_ack(t, r, TERN_C_SEND_ACK_FIN, false);
    return s->len > 0 ? TERN_C_TEXT_IGNORED : TERN_C_TIME_WAIT_OLD;
}

enum tern_cause in_timewait(struct tern *t, ref_t r, const struct segment *s)
{
    struct view v = view_of(t, r);
    if (s->flags & F_RST) {
        t->w->stats.time_wait_rst_ignored++;
        return TERN_C_TIME_WAIT_RST;
    }
    if ((s->flags & (F_SYN | F_ACK)) == F_SYN && newer(t, &v, s)) {
        struct listener *l = demux_listener(t, &s->dst, s->dst_port, s->link);
        if (l != NULL)
            return halfopen_open(t, l, s, r);
    }
    if (repeated_fin(&v, s)) {
        owe_ack(t, r, TERN_C_SEND_ACK_TIME_WAIT, true);
        restart(t, r); /* last: the record may move */
        return TERN_CAUSE_NONE;
    }
    return old_segment(t, r, &v, s);
}

/* A newer connection of the same pair is established: this one is over. */
void time_wait_gives_way(struct tern *t, ref_t r)
{
    if (rec_kind(t, r) == REC_TIMEWAIT)
        waiting_end(t, r, TERN_C_SYN_RCVD_TIME_WAIT);
    else
        tcb_end(t, tcb_at(t, r), TERN_C_SYN_RCVD_TIME_WAIT, 0);
}

static void set_parked(struct tern *t, ref_t r, bool parked)
{
    if (rec_kind(t, r) == REC_TIMEWAIT)
        ((struct timewait *)at(t->a, r))->parked = parked;
    else
        head_at(t, r)->parked = parked;
}

void time_wait_park(struct tern *t, ref_t r) { set_parked(t, r, true); }
void time_wait_unpark(struct tern *t, ref_t r) { set_parked(t, r, false); }

seq_t time_wait_snd_nxt(struct tern *t, ref_t r) { return view_of(t, r).snd_nxt; }
