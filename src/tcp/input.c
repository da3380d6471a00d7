/* input.c - SEGMENT ARRIVES (RFC 9293 3.10.7): the front door, and 3.10.7.4 as an ordered list.
 *
 *   tcp_input ─▶ which record? ─▶ none: in_closed.c        3.10.7.1
 *                                 listener: in_listen.c    3.10.7.2
 *                                 half-open: halfopen.c    3.10.7.4 for SYN_RCVD of a listener
 *                                 SYN_SENT: in_synsent.c   3.10.7.3
 *                                 TIME_WAIT: timewait.c    3.10.7.4 for TIME_WAIT
 *                                 else: in_synchronized    3.10.7.4, below; usual.c before it
 *
 * Hold the RFC beside it: each step of 3.10.7.4 is one call, in order. Nothing is sent here: steps note what
 * is owed, output.c sends it.
 */
#include "tcp/pair.h"
#include "tcp/usual.h"

/* Second: RST, by RFC 5961 3.2 (RFC5961-3.2-acde, also as the answer to a challenge: RFC5961-4.2-d); its
 * timestamps mean nothing (RFC7323-5.2-f). Its place counts, not its length (SHLD-2), and a shut window does
 * not matter (MUST-66). SYN_RCVD here was an active OPEN: refused (MUST-11; a passive one is
 * halfopen.c's). */
static enum tern_cause check_rst(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!seq_eq(s->seq, c->rcv.nxt)) {
        challenge(t, c, TERN_C_SEND_CHALLENGE);
        return TERN_C_RST_CHALLENGE;
    }
    t->w->stats.resets_in++;
    if (c->h.state == TERN_SYN_RCVD)
        tcb_end(t, c, TERN_C_REFUSED_SYN_RCVD, -TERN_ECONNREFUSED);
    else
        tcb_end(t, c, TERN_C_RESET, -TERN_ECONNRESET);
    return TERN_CAUSE_NONE;
}

/* Fifth, in SYN_RCVD: the ACK of our SYN opens the connection; any other draws a RST (3.5.2 group 2), also
 * one that RFC 5961 would answer by an ACK: only a RST ends an old connection that the peer may still
 * hold. */
void in_opened(struct tern *t, struct tcb *c, const struct segment *s)
{
    state_change(t, &c->h, TERN_C_SYN_ACKED, TERN_ESTABLISHED);
    ack_take_window(c, s);
    face_raise(t, &c->h, TERN_CONNECTED);
    shortage_opened(t, c);
    timer_keepalive(t, c);
}

static enum tern_cause ack_in_syn_rcvd(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!seq_gt(s->ack, c->snd.una) || seq_gt(s->ack, c->snd.nxt)) {
        reply_rst(t, s, TERN_C_SYN_RCVD_BAD_ACK);
        return TERN_C_SYN_RCVD_BAD_ACK;
    }
    in_opened(t, c, s);
    return TERN_CAUSE_NONE;
}

/* The connection was closed in SYN_RCVD, so it is only now that it is open on both sides: who asked for
 * keepalive has it from here on, whatever becomes of the segment's text (3.8.4). */
static enum tern_cause ack_of_syn(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum tern_cause cause = ack_segment(t, c, s);
    if (c->snd.syn_acked)
        timer_keepalive(t, c);
    return cause;
}

/* Fifth, what the ACK of our FIN means. FIN_WAIT_1 is decided after the eighth step, so that with FIN and ACK
 * in one segment the state changes once. Returns false when the connection is over. */
static bool fin_acked_step(struct tern *t, struct tcb *c)
{
    if (!c->snd.fin_acked)
        return true;
    switch (c->h.state) {
    case TERN_CLOSING:
        tcb_time_wait(t, c, TERN_C_CLOSING_ACKED);
        return true;
    case TERN_LAST_ACK:
        tcb_end(t, c, TERN_C_LAST_ACKED, 0);
        return false;
    default:
        return true;
    }
}

/* After the eighth: our FIN is acknowledged and the peer's has not come. */
static void decide_fin_wait(struct tern *t, struct tcb *c)
{
    if (c->h.state == TERN_FIN_WAIT_1 && c->snd.fin_acked)
        tcb_fin_wait_2(t, c);
}

static bool takes_text(const struct tcb *c)
{
    return c->h.state == TERN_ESTABLISHED || c->h.state == TERN_FIN_WAIT_1 || c->h.state == TERN_FIN_WAIT_2;
}

/* Eighth: FIN, once it is next. */
void in_fin(struct tern *t, struct tcb *c)
{
    c->rcv.nxt = seq_add(c->rcv.nxt, 1);
    c->rcv.adv = seq_max(c->rcv.adv, c->rcv.nxt);
    c->rcv.fin_rcvd = true;
    reasm_clear(t, &c->rcv); /* nothing comes behind a FIN */
    c->rcv.fin_us = t->w->now;
    recv_ack_now(t, c, TERN_C_SEND_ACK_FIN);
    face_raise(t, &c->h, TERN_READABLE | TERN_PEER_CLOSED);
    switch (c->h.state) {
    case TERN_ESTABLISHED:
        state_change(t, &c->h, TERN_C_FIN_RCVD, TERN_CLOSE_WAIT);
        break;
    case TERN_FIN_WAIT_1:
        if (c->snd.fin_acked)
            tcb_time_wait(t, c, TERN_C_FIN_AND_ACK);
        else
            state_change(t, &c->h, TERN_C_FIN_CROSSED, TERN_CLOSING);
        break;
    case TERN_FIN_WAIT_2:
        tcb_time_wait(t, c, TERN_C_FIN_LAST);
        break;
    default:
        ASSERT(false); /* takes_text admits no other state */
    }
}

/* The timestamp of the segment that covers Last.ACK.sent is the one to echo (RFC7323-4.3-abc, RFC7323-5.3-d).
 * The first step has refused what is older than the last one, so it never decreases (RFC7323-5.2-a). Nothing
 * was agreed, nothing is noted (RFC7323-3.2-k). */
static void note_stamp(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!c->opt.ts || !s->opt.ts || seq_gt(s->seq, c->ts.last_ack_sent))
        return;
    c->ts.recent = s->opt.ts_val;
    c->ts.recent_us = t->w->now;
}

/* SHLD-8: CE is echoed until the peer says CWR (RFC3168-6.1.3-ab), whether or not we set ECT
 * (RFC3168-6.1.1-f). */
static void note_ecn(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!c->opt.ecn)
        return;
    if (s->flags & F_CWR)
        c->ack.ece = 0;
    if ((s->tos & 3) != ECN_CE || s->len == 0)
        return;
    t->w->stats.ecn_ce_in++;
    if (c->ack.ece == 0)
        recv_ack_now(t, c, TERN_C_SEND_ACK_NOW);
    c->ack.ece = 1;
}

/* The sixth to the eighth step; also the end of 3.10.7.3 when a SYN+ACK carries more. */
enum tern_cause in_text_and_fin(struct tern *t, struct tcb *c, const struct segment *s)
{
    /* CLOSE_WAIT and later: URG and text are ignored, a FIN is acknowledged and changes nothing */
    if (!takes_text(c)) {
        if (s->flags & F_FIN)
            recv_ack_now(t, c, TERN_C_SEND_ACK_FIN);
        return s->len > 0 ? TERN_C_TEXT_IGNORED : TERN_CAUSE_NONE;
    }
    /* sixth: URG */
    if (s->flags & F_URG)
        recv_urgent(t, c, s);
    /* seventh: text */
    enum tern_cause cause = TERN_CAUSE_NONE;
    if (s->len > 0 || (s->flags & F_FIN))
        cause = recv_text(t, c, s);
    /* eighth: FIN */
    if (recv_fin_reached(c) && c->h.state != TERN_CLOSED)
        in_fin(t, c);
    return cause;
}

/* RFC 9293 A.2, figure 7: the answer to our SYN in a simultaneous open begins at IRS, below RCV.NXT; its ACK
 * counts. */
static bool answers_crossing_syn(const struct tcb *c, const struct segment *s)
{
    bool synack = (s->flags & (F_SYN | F_ACK | F_RST | F_FIN)) == (F_SYN | F_ACK);
    bool old = c->opt.ts && s->opt.ts && (int32_t)(s->opt.ts_val - c->ts.recent) < 0; /* RFC7323-5.3-c */
    if (old)
        return false;
    return synack && !c->snd.syn_acked && seq_eq(s->seq, c->rcv.irs) && seq_gt(s->ack, c->snd.una) &&
           seq_le(s->ack, c->snd.nxt);
}

/* A segment that only its ACK is taken of. It is a sign of life (MUST-26): the answer to a keepalive probe
 * looks like that when the peer's window is filled and some of it was lost. */
static void ack_alone(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (c->h.state == TERN_SYN_RCVD || seq_gt(s->ack, c->snd.nxt) || seq_lt(s->ack, c->snd.una))
        return;
    ack_segment(t, c, s);
    timer_keepalive(t, c);
    if (s->flags & F_URG && takes_text(c))
        recv_urgent(t, c, s); /* MUST-66: also while our window is shut */
    if (seq_eq(s->seq, c->rcv.nxt))
        note_ecn(t, c, s); /* a window probe's mark counts (RFC3168-6.1.6-b) */
    if (fin_acked_step(t, c))
        decide_fin_wait(t, c);
}

/* Its SYN again, and now it asks for no ECN: we set no ECT (RFC3168-6.1.1-d). */
static void note_plain_syn(struct tcb *c, const struct segment *s)
{
    bool again = (s->flags & (F_SYN | F_ACK | F_RST)) == F_SYN && seq_eq(s->seq, c->rcv.irs);
    if (again && (s->flags & (F_ECE | F_CWR)) != (F_ECE | F_CWR))
        c->snd.no_ect = true;
}

enum tern_cause in_synchronized(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum seq_verdict verdict;
    enum tern_cause cause;
    if (answers_crossing_syn(c, s)) {
        recv_ack_now(t, c, TERN_C_SEND_ACK_OF_SYN);
        if (c->h.state == TERN_SYN_RCVD)
            ack_in_syn_rcvd(t, c, s);
        ack_segment(t, c, s);
        if (fin_acked_step(t, c)) /* it was queued before the handshake ended, and acknowledged with the
                                     SYN */
            decide_fin_wait(t, c);
        return TERN_CAUSE_NONE;
    }
    if (UNLIKELY(!c->snd.syn_acked))
        note_plain_syn(c, s);
    /* first: sequence number (and PAWS) */
    cause = accept_seq(t, c, s, &verdict);
    if (verdict == SEQ_OLD_ACK)
        ack_alone(t, c, s);
    /* a RST is judged by its place alone: neither data in it nor a shut window saves the connection */
    if (verdict != SEQ_OK && !((s->flags & F_RST) && seq_eq(s->seq, c->rcv.nxt)))
        return cause;
    /* second: RST */
    if (s->flags & F_RST)
        return check_rst(t, c, s);
    /* third: security and compartment: none here (RFC 9293 A.1.2) */
    /* fourth: SYN (RFC5961-4.2-abc): challenged wherever it lies */
    if (s->flags & F_SYN) {
        challenge(t, c, TERN_C_SEND_CHALLENGE);
        return TERN_C_SYN_CHALLENGE;
    }
    /* fifth: ACK */
    if (!(s->flags & F_ACK))
        return TERN_C_NO_ACK_BIT;
    if (c->h.state == TERN_SYN_RCVD && (cause = ack_in_syn_rcvd(t, c, s)) != TERN_CAUSE_NONE)
        return cause;
    cause = UNLIKELY(!c->snd.syn_acked) ? ack_of_syn(t, c, s) : ack_segment(t, c, s);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    /* only now, so that a forged segment must guess the ACK too (RFC 5961 5.2), and what lies outside of the
     * window marks nothing (RFC3168-6.1.5-b) */
    note_stamp(t, c, s);
    note_ecn(t, c, s);
    if (!fin_acked_step(t, c) || (c->h.state == TERN_CLOSING && !c->snd.fin_acked))
        return TERN_CAUSE_NONE;
    /* sixth: URG; seventh: text; eighth: FIN */
    cause = in_text_and_fin(t, c, s);
    decide_fin_wait(t, c);
    return cause;
}

/* By the ordered list of its state. */
enum tern_cause in_listed(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (c->h.state == TERN_SYN_SENT)
        return in_synsent(t, c, s);
    if (c->h.state == TERN_TIME_WAIT)
        return in_timewait(t, self(t, c), s);
    return in_synchronized(t, c, s);
}

static enum tern_cause in_no_record(struct tern *t, const struct segment *s)
{
    struct listener *l = demux_listener(t, &s->dst, s->dst_port, s->link);
    return l != NULL ? in_listen(t, l, s) : in_closed(t, s);
}

/* It was at rest: the segment wakes it. */
static enum tern_cause in_idle(struct tern *t, struct idle *i, const struct segment *s)
{
    struct tcb *c = idle_wake_pair(t, i, s->pair);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    return c->h.state != TERN_CLOSED ? in_tcb(t, c, s) : in_no_record(t, s); /* it was to end */
}

static enum tern_cause in_record(struct tern *t, ref_t r, const struct segment *s)
{
    switch (rec_kind(t, r)) {
    case REC_TCB: return in_tcb(t, tcb_at(t, r), s);
    case REC_IDLE: return in_idle(t, at(t->a, r), s);
    case REC_HALFOPEN: return in_halfopen(t, at(t->a, r), s);
    case REC_TIMEWAIT:
        if (waiting_over(t, r)) /* packets come before timers */
            return in_no_record(t, s);
        return in_timewait(t, r, s);
    default: ASSERT(false);
    }
    return TERN_CAUSE_NONE;
}

static enum tern_cause in_whatever(struct tern *t, ref_t r, const struct segment *s)
{
    return r != 0 ? in_record(t, r, s) : in_no_record(t, s);
}

static inline bool traced(const struct tern *t)
{
    return trace_wants(&t->trace, TERN_TRACE_SEG_IN) || trace_wants(&t->trace, TERN_TRACE_DROP);
}

static COLD enum tern_cause in_traced(struct tern *t, ref_t r, const struct segment *s)
{
    struct who who = {0}; /* as it was before: the record may be gone after */
    if (r != 0)
        who_of(t, at(t->a, r), &who);
    trace_segment_of(t, &who, TERN_TRACE_SEG_IN, s, TERN_CAUSE_NONE, 0);
    enum tern_cause cause = in_whatever(t, r, s);
    if (cause != TERN_CAUSE_NONE)
        trace_segment_of(t, &who, TERN_TRACE_DROP, s, cause, 0);
    return cause;
}

/* Whatever it is to. */
static enum tern_cause in_general(struct tern *t, const struct segment *s)
{
    if (s->len > 0 || (s->flags & F_SYN))
        waiting_make_room(t, 2 + (s->len >> t->a->page_shift)); /* first: it ends records */
    ref_t r = demux_find_segment(t, s);
    t->w->stats.segs_in++;
    return UNLIKELY(traced(t)) ? in_traced(t, r, s) : in_whatever(t, r, s);
}

enum tern_cause tcp_input(struct tern *t, const struct segment *s)
{
    bool takes_memory = s->len > 0 || (s->flags & F_SYN);
    if (UNLIKELY(by_steps(t) || traced(t) ||
                 (takes_memory && arena_room(t->a, MEM_DATA) < 2 + (s->len >> t->a->page_shift))))
        return in_general(t, s);
    ref_t r = pair_first(t, s);
    bool live = r != 0 && LIKELY(pair_found(t, r, s));
    if (UNLIKELY(!live && r != 0 && !pair_opens(t, r, s)))
        return in_general(t, s);
    t->w->stats.segs_in++;
    if (LIKELY(live))
        return in_tcb(t, tcb_at(t, r), s);
    return r != 0 ? in_halfopen(t, at(t->a, r), s) : in_no_record(t, s);
}
