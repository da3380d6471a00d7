/* accept_seq.c - the first step: is the segment in the window (RFC 9293 3.10.7.4), is it of this life (PAWS,
 * RFC 7323 5), and the challenge ACK for what an attacker could have guessed (RFC 5961). */
#include "tcp/tcp.h"

#define PAWS_IDLE_US (24ull * 24 * 3600 * 1000000) /* RFC 7323 5.5: TS.Recent is void after 24 days */

/* R1: older than the last one of this connection (RFC7323-5.3-c)? After 24 days that is no matter
 * (RFC7323-5.5-ab). */
static bool stamp_fine(const struct tcb *c, const struct segment *s, uint64_t now)
{
    if (!c->opt.ts || !s->opt.ts)
        return true;
    if ((int32_t)(s->opt.ts_val - c->ts.recent) >= 0)
        return true;
    return now - c->ts.recent_us > PAWS_IDLE_US;
}

/* Whether one more challenge may leave (RFC5961-7-a); each record keeps its own count and the start of its
 * interval (RFC5961-7-c). */
bool challenge_allowed(struct tern *t, uint16_t *count, uint64_t *since)
{
    if (*count == 0 || t->w->now - *since >= CHALLENGE_US) {
        *since = t->w->now;
        *count = 0;
    }
    bool allowed = *count < CHALLENGES;
    *count += allowed;
    t->w->stats.challenge_limited += !allowed;
    return allowed;
}

/* Answer with an ACK, but not for ever: two ends that disagree would answer each other without end. */
void challenge(struct tern *t, struct tcb *c, enum tern_cause why)
{
    if (!challenge_allowed(t, &c->ack.challenges, &c->ack.challenge_us))
        return;
    if (why == TERN_C_SEND_CHALLENGE) {
        t->w->stats.challenge_acks++;
        c->sum.challenge_acks++;
    }
    recv_ack_now(t, c, why);
}

/* The table of 3.10.7.4 first, in its four rows. */
bool seq_acceptable(seq_t nxt, uint32_t wnd, const struct segment *s)
{
    uint32_t len = seg_len(s);
    if (len == 0)
        return wnd == 0 ? seq_eq(s->seq, nxt) : seq_in(s->seq, nxt, wnd);
    if (wnd == 0)
        return false;
    return seq_in(s->seq, nxt, wnd) || seq_in(seq_add(s->seq, len - 1), nxt, wnd);
}

/* RFC 9293 A.2: a repeated FIN, a keepalive or a crossing window probe ends exactly at RCV.NXT, or starts
 * there while our window is shut. It fails the test, yet its ACK is news that must not be lost. The same is
 * true of an empty segment behind all that we have offered: of a peer that has filled the window (some of it
 * was lost), or whose probe of a shut one we have refused ("special allowance", 3.10.7.4 first). */
static bool ack_counts(const struct rcv *r, const struct segment *s)
{
    if (seg_len(s) == 0 && seq_eq(s->seq, seq_add(r->adv, rcv_wnd(r) == 0)))
        return true;
    if (rcv_wnd(r) == 0 && seq_eq(s->seq, r->nxt))
        return true;
    return seq_eq(seq_add(s->seq, max_u32(seg_len(s), 1)), r->nxt);
}

/* A peer that repeats data needs the answer, always; an empty segment may be such an answer itself. */
static void owe_answer(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (seg_len(s) == 0)
        challenge(t, c, TERN_C_SEND_ACK_OLD);
    else
        recv_ack_now(t, c, TERN_C_SEND_ACK_OLD);
}

static enum tern_cause out_of_window(struct tern *t, struct tcb *c, const struct segment *s,
                                     enum seq_verdict *verdict)
{
    *verdict = SEQ_OUT;
    if (s->flags & F_RST)
        return TERN_C_SEQ_RST; /* in silence: RFC5961-3.2-b */
    if (s->flags & F_SYN) {
        challenge(t, c, TERN_C_SEND_CHALLENGE); /* the fourth step gives the same answer */
        return TERN_C_SYN_CHALLENGE;
    }
    if ((s->flags & F_ACK) && ack_counts(&c->rcv, s))
        *verdict = SEQ_OLD_ACK;
    owe_answer(t, c, s);
    if (rcv_wnd(&c->rcv) == 0 && seq_eq(s->seq, c->rcv.nxt))
        return TERN_C_WINDOW_PROBE;
    return seq_lt(s->seq, c->rcv.nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND;
}

/* Each segment is judged once, when it arrives (RFC7323-5.3-ae), by its timestamp first (RFC7323-5.3-b). A
 * RST is not (RFC7323-5.2-e). Without a timestamp that was agreed a segment is dropped and nothing else
 * happens (RFC7323-3.2-ij). */
enum tern_cause accept_seq(struct tern *t, struct tcb *c, const struct segment *s, enum seq_verdict *verdict)
{
    *verdict = SEQ_OUT;
    if (!(s->flags & F_RST)) {
        if (c->opt.ts && !s->opt.ts && !(s->flags & F_SYN))
            return TERN_C_TS_MISSING;
        if (!stamp_fine(c, s, t->w->now)) {
            owe_answer(t, c, s); /* RFC 7323 5.3 R1 */
            return TERN_C_PAWS;
        }
    }
    if (!seq_acceptable(c->rcv.nxt, rcv_wnd(&c->rcv), s))
        return out_of_window(t, c, s, verdict);
    *verdict = SEQ_OK;
    return TERN_CAUSE_NONE;
}
