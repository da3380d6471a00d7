/* spec.c - see spec.h. The order is that of RFC 9293 3.10.7, a function for each step. */
#include "spec.h"

#include <string.h>

#define WINDOW_LEAST 65535u /* MAX.SND.WND of records that do not keep it */

static void decide(struct spec_expect *e, const char *rule, enum spec_reply reply)
{
    e->rule = rule;
    e->reply = reply;
}

/* Nothing changes but what may be said about it. */
static void refuse(struct spec_expect *e, const char *rule, enum spec_reply reply)
{
    decide(e, rule, reply);
    e->same = true;
}

static void end(struct spec_expect *e, const char *rule, int error)
{
    decide(e, rule, REPLY_NONE);
    e->states = STATE_BIT(TERN_CLOSED);
    e->error = error;
}

/* --- 3.10.7.1 and 3.10.7.2: nobody, and a listener
 * ------------------------------------------------------- */

void spec_stranger(bool listens, const struct segment *s, struct spec_expect *e)
{
    memset(e, 0, sizeof *e);
    e->states = STATE_BIT(TERN_CLOSED);
    bool ack = s->flags & ACK;
    if (s->flags & RST)
        refuse(e, listens ? "3.10.7.2 first: RST" : "3.10.7.1: RST", REPLY_NONE);
    else if (ack)
        refuse(e, listens ? "3.10.7.2 second: ACK" : "3.10.7.1: ACK", REPLY_RST_ACK);
    else if (!listens)
        refuse(e, "3.10.7.1: no ACK", REPLY_RST_ZERO);
    else if (!(s->flags & SYN))
        refuse(e, "3.10.7.2 fourth", REPLY_NONE);
    else {
        decide(e, "3.10.7.2 third: SYN", REPLY_SYNACK);
        e->states = STATE_BIT(TERN_SYN_RCVD);
        e->nxt_known = true;
        e->nxt = s->seq + 1;
    }
}

/* --- 3.10.7.3: SYN-SENT
 * ------------------------------------------------------------------------------------ */

static void syn_sent(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    bool ack = s->flags & ACK, good = ack && ahead(s->ack, b->iss) > 0 && ahead(s->ack, b->snd_nxt) <= 0;
    if (ack && !good)
        refuse(e, "3.10.7.3 first: ACK", s->flags & RST ? REPLY_NONE : REPLY_RST_ACK);
    else if (s->flags & RST) {
        if (good)
            end(e, "3.10.7.3 second: RST", -TERN_ECONNREFUSED);
        else
            refuse(e, "3.10.7.3 second: RST without ACK", REPLY_NONE);
    } else if (!(s->flags & SYN)) {
        refuse(e, "3.10.7.3 fifth", REPLY_NONE);
    } else {
        decide(e, "3.10.7.3 fourth: SYN", good ? REPLY_ACK : REPLY_SYNACK);
        e->states = STATE_BIT(good ? TERN_ESTABLISHED : TERN_SYN_RCVD);
        if (good && b->fin_sent)
            e->reply = REPLY_ANY;
        e->una_known = e->nxt_known = true;
        e->una = good ? s->ack : b->snd_una;
        e->nxt = s->seq + 1;
        e->more = s->len > 0 || (s->flags & FIN); /* what comes with it may be taken at once */
        e->states |= good && (s->flags & FIN) ? STATE_BIT(TERN_CLOSE_WAIT) : 0;
    }
}

/* --- 3.10.7.4, first to fourth
 * -------------------------------------------------------------------------------- */

bool spec_acceptable(uint32_t nxt, uint32_t wnd, const struct segment *s)
{
    uint32_t len = segment_space(s), first = s->seq - nxt, last = first + len - 1;
    if (len == 0)
        return wnd == 0 ? first == 0 : first < wnd;
    return wnd > 0 && (first < wnd || last < wnd);
}

/* Timestamps, RFC 7323 5.3 R1 and 3.2: true when they decide. */
static bool stamps(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    if (!b->timestamps || (s->flags & RST))
        return false;
    if (!s->ts && !(s->flags & SYN)) {
        refuse(e, "RFC 7323 3.2: no timestamp", REPLY_NONE);
        return true;
    }
    if (!s->ts || ahead(s->ts_val, b->ts_recent) >= 0)
        return false;
    refuse(e, "RFC 7323 5.3 R1: PAWS",
           segment_space(s) == 0 || b->state == TERN_SYN_RCVD ? REPLY_CHALLENGE : REPLY_ACK);
    return true;
}

/* What SND.UNA and the state become by an acknowledgment (fifth). */
static void acknowledge(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    bool news = ahead(s->ack, b->snd_una) > 0, ours = b->fin_sent && s->ack == b->snd_nxt;
    e->una_known = true;
    e->una = news ? s->ack : b->snd_una;
    if (!ours || b->fin_acked)
        return;
    switch (b->state) {
    case TERN_FIN_WAIT_1: e->states = STATE_BIT(TERN_FIN_WAIT_2); break;
    case TERN_CLOSING: e->states = STATE_BIT(TERN_TIME_WAIT); break;
    case TERN_LAST_ACK:
        e->states = STATE_BIT(TERN_CLOSED);
        e->reply = REPLY_NONE; /* P6 */
        break;
    default: break;
    }
}

static bool ack_in_range(const tern_info *b, uint32_t ack)
{
    return ahead(ack, b->snd_nxt) <= 0 && ahead(ack, b->snd_una - b->max_snd_wnd) >= 0;
}

/* SND.WND, if this segment is not older than the one that told it last. An ACK of more has been said later,
 * though a repetition bears it (docs/PROOF.md). */
static void window_step(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    bool newer = ahead(s->seq, b->snd_wl1) >= 0 || ahead(s->ack, b->snd_wl2) > 0;
    if (b->state == TERN_SYN_RCVD || ahead(s->ack, b->snd_una) < 0)
        return;
    e->wnd_known = true;
    e->wnd = newer ? (uint32_t)s->window << b->snd_wscale : b->snd_wnd;
}

/* First: it is not in the window. */
static void outside(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    uint32_t len = segment_space(s);
    bool ends_here = s->seq + (len > 0 ? len : 1) == b->rcv_nxt;
    if (s->flags & RST) {
        refuse(e, "3.10.7.4 first: RST outside the window", REPLY_NONE);
        return;
    }
    if (s->flags & SYN) {
        refuse(e, "3.10.7.4 fourth: SYN outside the window", REPLY_CHALLENGE);
        return;
    }
    refuse(e, "3.10.7.4 first: outside the window", len == 0 ? REPLY_CHALLENGE : REPLY_ACK);
    if (b->state == TERN_SYN_RCVD) { /* P4: no ACK of an old segment opens a connection */
        e->reply = REPLY_CHALLENGE;
        return;
    }
    if (!(s->flags & ACK) || ahead(s->ack, b->snd_nxt) > 0 || ahead(s->ack, b->snd_una) < 0)
        return; /* no news */
    e->same = false; /* appendix A.2: crossing FINs, probes of a shut window, keepalives */
    if (ends_here) {
        acknowledge(b, s, e);
        window_step(b, s, e);
        e->rule = "P2, appendix A.2: the ACK of an old segment";
    } else {
        e->states = ~0u;
        e->reply = REPLY_ANY;
    }
    e->nxt_known = true;
    e->nxt = b->rcv_nxt;
}

static void reset(const tern_info *b, bool passive, const struct segment *s, struct spec_expect *e)
{
    if (s->seq != b->rcv_nxt) {
        refuse(e, "RFC 5961 3.2: RST in the window", REPLY_CHALLENGE);
        return;
    }
    bool opening = b->state == TERN_SYN_RCVD && !passive;
    end(e, "3.10.7.4 second: RST", opening ? -TERN_ECONNREFUSED : -TERN_ECONNRESET);
    if (b->state == TERN_CLOSING || b->state == TERN_LAST_ACK)
        e->error = 0; /* P12 */
    if (passive)
        e->states |= STATE_BIT(TERN_TIME_WAIT); /* 3.6.1: what it followed is found again */
}

/* Fourth: false = no SYN, go on. */
static bool challenge_syn(const tern_info *b, bool passive, const struct segment *s, struct spec_expect *e)
{
    if (!(s->flags & SYN))
        return false;
    refuse(e, "3.10.7.4 fourth: SYN", REPLY_CHALLENGE);
    if (b->state == TERN_SYN_RCVD && passive) {
        end(e, "3.10.7.4 fourth: SYN in a passive SYN-RECEIVED", 0);
        e->states |= STATE_BIT(TERN_TIME_WAIT);
    }
    return true;
}

/* --- fifth to eighth
 * ------------------------------------------------------------------------------------------ */

/* False: dropped. */
static bool ack_step(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    if (!(s->flags & ACK)) {
        refuse(e, "3.10.7.4 fifth: no ACK", REPLY_NONE);
        return false;
    }
    if (b->state == TERN_SYN_RCVD) {
        if (ahead(s->ack, b->snd_una) <= 0 || ahead(s->ack, b->snd_nxt) > 0) {
            refuse(e, "3.10.7.4 fifth: ACK in SYN-RECEIVED", REPLY_RST_ACK);
            return false;
        }
        decide(e, "3.10.7.4 fifth: the ACK of our SYN", REPLY_NONE);
        e->states = STATE_BIT(TERN_ESTABLISHED);
        e->una_known = true;
        e->una = s->ack;
        return true;
    }
    if (!ack_in_range(b, s->ack)) {
        refuse(e, "3.10.7.4 fifth, RFC 5961 5.2: ACK out of range", REPLY_CHALLENGE);
        return false;
    }
    decide(e, "3.10.7.4 fifth: ACK", REPLY_NONE);
    acknowledge(b, s, e);
    return true;
}

static bool receives(enum tern_state s)
{
    return s == TERN_SYN_RCVD || s == TERN_ESTABLISHED || s == TERN_FIN_WAIT_1 || s == TERN_FIN_WAIT_2;
}

static bool is_orphan(const tern_info *b)
{
    return !b->held && !b->unaccepted && b->state != TERN_SYN_RCVD;
}

/* Seventh. What is new of the text is delivered when it is next, kept when it is not. */
static void text_step(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    uint32_t edge = b->rcv_nxt + b->rcv_wnd, last = s->seq + s->len;
    uint32_t from = ahead(s->seq, b->rcv_nxt) > 0 ? s->seq : b->rcv_nxt;
    uint32_t to = ahead(last, edge) > 0 ? edge : last;
    e->nxt_known = true;
    e->nxt = b->rcv_nxt;
    if (s->len == 0 || ahead(to, from) <= 0)
        return;
    if (is_orphan(b)) {
        decide(e, "SHLD-3: data for nobody", REPLY_RST_NXT);
        e->states = STATE_BIT(TERN_CLOSED);
        e->una_known = e->nxt_known = false;
        return;
    }
    if (from != b->rcv_nxt) {
        decide(e, "RFC 5681 4.2: out of order", REPLY_ACK);
        return;
    }
    e->nxt = to;
    e->more = b->recv_ooo > 0;
    if (b->recv_ooo > 0)
        decide(e, "RFC 5681 4.2: a gap is filled", REPLY_ACK);
    else
        decide(e, "3.10.7.4 seventh: text", REPLY_SOON);
}

/* Eighth, of a FIN that is next. */
static void fin_step(const tern_info *b, struct spec_expect *e)
{
    bool acked = e->states & (STATE_BIT(TERN_FIN_WAIT_2) | STATE_BIT(TERN_TIME_WAIT));
    decide(e, "3.10.7.4 eighth: FIN", REPLY_ACK);
    e->fin = true;
    e->nxt++;
    switch (b->state) {
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED: e->states = STATE_BIT(TERN_CLOSE_WAIT); break;
    case TERN_FIN_WAIT_1: e->states = STATE_BIT(acked ? TERN_TIME_WAIT : TERN_CLOSING); break;
    case TERN_FIN_WAIT_2: e->states = STATE_BIT(TERN_TIME_WAIT); break;
    default: break;
    }
}

static void rest(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    uint32_t last = s->seq + s->len;
    if (!receives((enum tern_state)b->state)) { /* P7: nothing comes behind the peer's FIN */
        e->nxt_known = true;
        e->nxt = b->rcv_nxt;
        if (s->flags & FIN && !(e->states & STATE_BIT(TERN_CLOSED)))
            e->reply = b->state == TERN_LAST_ACK || b->state == TERN_CLOSING ? REPLY_ANY : REPLY_ACK;
        return;
    }
    if (b->fin_waits || ((s->flags & FIN) && b->recv_ooo > 0)) { /* what lies behind a FIN is not taken */
        e->states = ~0u;
        e->nxt_known = false;
        e->reply = REPLY_ANY;
        return;
    }
    text_step(b, s, e);
    if (e->states & STATE_BIT(TERN_CLOSED))
        return;
    bool fits = ahead(last, b->rcv_nxt + b->rcv_wnd) < 0;
    if ((s->flags & FIN) && fits && (e->nxt == last || (s->len == 0 && s->seq == b->rcv_nxt)))
        fin_step(b, e);
    else if ((s->flags & FIN) && fits)
        e->reply = REPLY_ACK;
}

/* RFC 7323 4.3 (2) */
static void stamp_step(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    if (!b->timestamps || !s->ts || b->state == TERN_SYN_RCVD)
        return;
    e->ts_known = true;
    e->ts_recent = b->ts_recent;
    if (ahead(s->ts_val, b->ts_recent) >= 0 && ahead(s->seq, b->last_ack_sent) <= 0)
        e->ts_recent = s->ts_val;
}

/* --- TIME-WAIT
 * ------------------------------------------------------------------------------------------------ */

/* A SYN that may open a new connection, where somebody listens: that is judged elsewhere. */
static bool may_reopen(const struct segment *s)
{
    return (s->flags & (SYN | ACK | RST)) == SYN;
}

static void time_wait(const tern_info *b, const struct segment *s, struct spec_expect *e)
{
    bool in_range = ahead(s->ack, b->snd_nxt) <= 0 && ahead(s->ack, b->snd_nxt - WINDOW_LEAST) >= 0;
    bool again = (s->flags & (FIN | ACK | SYN)) == (FIN | ACK) && s->seq + segment_space(s) == b->rcv_nxt;
    if (s->flags & RST)
        refuse(e, "P8, RFC 1337: RST in TIME-WAIT", REPLY_NONE);
    else if (may_reopen(s)) {
        decide(e, "RFC 6191: SYN in TIME-WAIT", REPLY_ANY);
        e->states |= STATE_BIT(TERN_SYN_RCVD);
    } else if (again && in_range)
        refuse(e, "3.10.7.4 eighth: the FIN again", REPLY_ACK);
    else if (again || b->max_snd_wnd > WINDOW_LEAST)
        refuse(e, "a strange FIN in TIME-WAIT", REPLY_ANY);
    else if (s->flags & SYN)
        refuse(e, "3.10.7.4 fourth: SYN in TIME-WAIT", REPLY_CHALLENGE);
    else if (!spec_acceptable(b->rcv_nxt, b->rcv_wnd, s))
        refuse(e, "3.10.7.4 first: outside the window", REPLY_CHALLENGE);
    else if (!(s->flags & ACK))
        refuse(e, "3.10.7.4 fifth: no ACK", REPLY_NONE);
    else if (!in_range)
        refuse(e, "RFC 5961 5.2: ACK out of range", REPLY_CHALLENGE);
    else
        refuse(e, "P9: nothing to say in TIME-WAIT", s->flags & FIN ? REPLY_CHALLENGE : REPLY_NONE);
}

/* --- all of it
 * ---------------------------------------------------------------------------------------------- */

/* SYN-RECEIVED has two special old segments: the SYN again (P1), and the SYN+ACK of a simultaneous open
 * (P3). */
static bool opening_again(const tern_info *b, bool passive, const struct segment *s, struct spec_expect *e)
{
    bool bare = (s->flags & (SYN | ACK | RST)) == SYN, both = (s->flags & (SYN | ACK | RST)) == (SYN | ACK);
    if (b->state != TERN_SYN_RCVD || s->seq != b->irs)
        return false;
    if (passive && bare) {
        refuse(e, "P1: the same SYN again", REPLY_SYNACK);
        return true;
    }
    if (passive || !both || (s->flags & FIN) || s->ack != b->snd_nxt)
        return false;
    if (stamps(b, s, e))
        return true;
    decide(e, "P3, appendix A.2: the SYN+ACK of a simultaneous open", REPLY_ACK);
    e->states = STATE_BIT(TERN_ESTABLISHED);
    e->una_known = true;
    e->una = s->ack;
    return true;
}

void spec_arrives(const tern_info *b, bool passive, const struct segment *s, struct spec_expect *e)
{
    memset(e, 0, sizeof *e);
    e->states = STATE_BIT(b->state);
    if (b->state == TERN_SYN_SENT) {
        syn_sent(b, s, e);
        return;
    }
    if (b->state == TERN_TIME_WAIT) {
        time_wait(b, s, e);
        return;
    }
    if (opening_again(b, passive, s, e) || stamps(b, s, e))
        return;
    bool exact = (s->flags & RST) && s->seq == b->rcv_nxt; /* MUST-66, SHLD-2: data or a shut window save
                                                              nobody */
    if (!exact && !spec_acceptable(b->rcv_nxt, b->rcv_wnd, s)) {
        outside(b, s, e);
        return;
    }
    if (s->flags & RST) {
        reset(b, passive, s, e);
        return;
    }
    if (challenge_syn(b, passive, s, e) || !ack_step(b, s, e))
        return;
    window_step(b, s, e);
    if (!(e->states & STATE_BIT(TERN_CLOSED)))
        rest(b, s, e);
    stamp_step(b, s, e);
}
