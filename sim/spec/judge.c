/* judge.c - what a stack did, held against spec.h, and each segment that it sent against what any segment
 * must be (see stage.h). */
#include "stage.h"

#include <stdio.h>
#include <string.h>

enum { ACK_LATE_US = 500000 }; /* MUST-40 */

/* --- words
 * ------------------------------------------------------------------------------------------------------- */

void segment_words(const struct segment *s, char *buf, uint32_t len)
{
    static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    char flags[40] = "";
    for (uint32_t k = 0; k < 8; k++)
        if (s->flags >> k & 1) {
            strncat(flags, flags[0] != 0 ? "," : "", sizeof flags - strlen(flags) - 1);
            strncat(flags, names[k], sizeof flags - strlen(flags) - 1);
        }
    snprintf(buf, len, "%s seq %u ack %u len %u win %u%s", flags, s->seq, s->ack, s->len, s->window,
             s->ts ? " ts" : "");
}

void said_words(const struct stage *x, char *buf, uint32_t len)
{
    uint32_t n = 0;
    buf[0] = 0;
    for (uint32_t k = 0; k < x->n_out && k < 3 && n < len; k++) {
        char words[120];
        segment_words(&x->out[k].s, words, sizeof words);
        n += (uint32_t)snprintf(buf + n, len - n, "%s%s", k > 0 ? "; " : "", words);
    }
    if (x->n_out == 0)
        snprintf(buf, len, "nothing");
}

static void differs(struct stage *x, const struct segment *s, const struct spec_expect *e, const char *what,
                    uint32_t wanted, uint32_t got)
{
    char in[120], out[200];
    segment_words(s, in, sizeof in);
    said_words(x, out, sizeof out);
    stage_wrong(x, "%s: %s arrives (%s): %s is %u, not %u; it is %s; said: %s",
                tern_state_name((enum tern_state)x->before.state), in, e->rule, what, got, wanted,
                x->rx_cause != 0 ? tern_cause_name((enum tern_cause)x->rx_cause) : "taken", out);
}

/* --- what arrives
 * ------------------------------------------------------------------------------------------------- */

static bool is_pure_ack(const struct said *o) { return o->s.flags == ACK && o->s.len == 0; }

static uint32_t count_acks(const struct stage *x, bool pure)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < x->n_out; k++)
        n += (x->out[k].s.flags & (SYN | RST | ACK)) == ACK && x->out[k].s.ack == x->i.rcv_nxt &&
             (!pure || is_pure_ack(&x->out[k]));
    return n;
}

/* Whether there was anything that an ACK could have let go. */
static bool had_more(const tern_info *b)
{
    bool fin = b->state == TERN_FIN_WAIT_1 || b->state == TERN_CLOSING || b->state == TERN_LAST_ACK;
    return b->send_queue > 0 || b->snd_una != b->snd_nxt || b->state == TERN_SYN_RCVD ||
           (fin && !b->fin_sent);
}

static bool said_one(const struct stage *x, uint8_t flags, uint32_t seq, uint32_t ack)
{
    const struct segment *o = &x->out[0].s;
    return x->n_out == 1 && (o->flags & (SYN | FIN | RST | ACK)) == flags && o->seq == seq &&
           (!(flags & ACK) || o->ack == ack) && o->len == 0;
}

static bool acks_soon(const struct stage *x)
{
    uint64_t due = x->i.timer_us;
    return count_acks(x, false) > 0 || (x->i.timer != TERN_TIMER_NONE && due <= x->now + ACK_LATE_US);
}

static bool replied(const struct stage *x, const struct segment *s, const struct spec_expect *e)
{
    const tern_info *b = &x->before;
    switch (e->reply) {
    case REPLY_ANY: return true;
    case REPLY_NONE:
        if (b->ecn && (s->tos & 3) == 3)
            return true; /* a first mark is echoed at once */
        return count_acks(x, true) == 0 && (x->n_out == 0 || (had_more(b) && !e->same));
    case REPLY_SOON: return acks_soon(x);
    case REPLY_ACK: return count_acks(x, false) > 0;
    case REPLY_CHALLENGE: return count_acks(x, false) > 0 || (x->limited && x->n_out == 0);
    case REPLY_SYNACK:
        return x->n_out == 1 && (x->out[0].s.flags & (SYN | ACK | RST)) == (SYN | ACK) &&
               x->out[0].s.ack == (e->nxt_known ? e->nxt : b->rcv_nxt);
    case REPLY_RST_ACK: return said_one(x, RST, s->ack, 0);
    case REPLY_RST_ZERO: return said_one(x, RST | ACK, 0, s->seq + segment_space(s));
    case REPLY_RST_NXT:
        return x->n_out == 1 && (x->out[0].s.flags & RST) && x->out[0].s.seq == b->snd_nxt;
    }
    return false;
}

static void judge_same(struct stage *x, const struct segment *s, const struct spec_expect *e)
{
    const tern_info *b = &x->before, *a = &x->i;
    const struct {
        const char *name;
        uint32_t was, is;
    } all[] = {
        {"SND.UNA", b->snd_una, a->snd_una},    {"SND.WND", b->snd_wnd, a->snd_wnd},
        {"RCV.NXT", b->rcv_nxt, a->rcv_nxt},    {"TS.Recent", b->ts_recent, a->ts_recent},
        {"unread", b->recv_queue, a->recv_queue}, {"out of order", b->recv_ooo, a->recv_ooo},
        {"cwnd", b->cwnd, a->cwnd},             {"FIN received", b->fin_rcvd, a->fin_rcvd},
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        if (all[k].was != all[k].is)
            differs(x, s, e, all[k].name, all[k].was, all[k].is);
}

static void judge_numbers(struct stage *x, const struct segment *s, const struct spec_expect *e)
{
    const tern_info *a = &x->i;
    if (e->una_known && a->snd_una != e->una)
        differs(x, s, e, "SND.UNA", e->una, a->snd_una);
    if (e->wnd_known && a->state != TERN_TIME_WAIT && a->snd_wnd != e->wnd)
        differs(x, s, e, "SND.WND", e->wnd, a->snd_wnd);
    bool more = e->more || (a->fin_rcvd && !x->before.fin_rcvd && !e->fin); /* a FIN that waited */
    if (e->nxt_known && !x->blind && a->rcv_nxt != e->nxt && !(more && ahead(a->rcv_nxt, e->nxt) > 0) &&
        !(x->before.recv_ooo + e->more == 0 && a->fin_rcvd && ahead(a->rcv_nxt, e->nxt) <= 0))
        differs(x, s, e, "RCV.NXT", e->nxt, a->rcv_nxt);
    if (e->ts_known && a->ts_recent != e->ts_recent)
        differs(x, s, e, "TS.Recent", e->ts_recent, a->ts_recent);
}

static void judge_told(struct stage *x, const struct segment *s, const struct spec_expect *e)
{
    const tern_info *b = &x->before, *a = &x->i;
    bool ended = !x->there && b->state != TERN_LAST_ACK && b->state != TERN_CLOSING;
    if (x->h.v == 0)
        return;
    if (ended && e->error != 0 && (a->error != e->error || !(x->events & TERN_ENDED)))
        differs(x, s, e, "the error told", (uint32_t)-e->error, (uint32_t)-a->error);
    if (x->there && e->fin && !(x->events & TERN_PEER_CLOSED))
        differs(x, s, e, "PEER_CLOSED told", 1, 0);
    if (b->state == TERN_SYN_SENT && x->there && a->state == TERN_ESTABLISHED &&
        !(x->events & TERN_CONNECTED))
        differs(x, s, e, "CONNECTED told", 1, 0);
    if (x->there && e->reply == REPLY_SOON && b->recv_queue == 0 && a->recv_queue > 0 &&
        !(x->events & TERN_READABLE))
        differs(x, s, e, "READABLE told", 1, 0);
}

/* There was no room for it: silence, and the peer tries again (tern_listen). */
static bool no_room(uint32_t cause)
{
    return cause == TERN_C_BACKLOG_FULL || cause == TERN_C_SOURCE_LIMIT || cause == TERN_C_ACCEPT_FULL ||
           cause == TERN_C_NO_MEMORY || cause == TERN_C_SHORT_OF_MEMORY || cause == TERN_C_REPLIES_FULL;
}

/* FIN_WAIT_1 that came from SYN_RCVD, where our SYN waits for its ACK still (P18); its steps are those of two
 * states. */
static bool in_between(const tern_info *b)
{
    return b->state >= TERN_ESTABLISHED && b->snd_una == b->iss && b->snd_nxt - b->iss <= 2;
}

void judge_arrival(struct stage *x, const struct segment *s, bool had, bool listened)
{
    struct spec_expect e;
    if (had && x->before.state == TERN_TIME_WAIT && x->before.timer_us <= x->now)
        return; /* 2 MSL are over, and the record is still to be taken away */
    /* it never came to TCP */
    bool below = x->rx_cause >= TERN_C_IP_MALFORMED && x->rx_cause <= TERN_C_NOT_UNICAST;
    if (no_room(x->rx_cause) || x->rx_unclaimed || x->rx_cookie || below)
        return;
    if ((had && in_between(&x->before)) || (x->odd_listener && !had && listened) ||
        (x->odd_listener && had && x->was_passive))
        return;
    if (had)
        spec_arrives(&x->before, x->was_passive, s, &e);
    else
        spec_stranger(listened, s, &e);
    if (!had && !listened && x->config->unclaimed_rst == TERN_RST_NO)
        e.reply = REPLY_NONE;
    if (e.states & STATE_BIT(TERN_TIME_WAIT) && (x->config->time_wait_max != 0 || x->blind))
        e.states |= STATE_BIT(TERN_CLOSED); /* others need its room */
    uint32_t state = x->there ? x->i.state : TERN_CLOSED;
    if (!(e.states >> state & 1)) {
        char in[120], out[200];
        segment_words(s, in, sizeof in);
        said_words(x, out, sizeof out);
        stage_wrong(x, "%s: %s arrives (%s), and it is in %s; said: %s",
                    had ? tern_state_name((enum tern_state)x->before.state) : "nobody", in, e.rule,
                    tern_state_name((enum tern_state)state), out);
        return;
    }
    if (!x->there && (e.states & STATE_BIT(TERN_TIME_WAIT)))
        return;
    if (!replied(x, s, &e))
        differs(x, s, &e, "the answer", (uint32_t)e.reply, x->n_out);
    if (!had || !x->there) {
        if (had)
            judge_told(x, s, &e);
        return;
    }
    if (e.same && !(x->before.state == TERN_SYN_RCVD && x->i.state != TERN_SYN_RCVD))
        judge_same(x, s, &e);
    judge_numbers(x, s, &e);
    judge_told(x, s, &e);
}

/* --- what is sent
 * -------------------------------------------------------------------------------------------------- */

static void sent_wrong(struct stage *x, const struct said *o, const char *what)
{
    char words[120];
    segment_words(&o->s, words, sizeof words);
    stage_wrong(x, "%s: sends %s: %s", tern_state_name((enum tern_state)x->i.state), words, what);
}

static void judge_header(struct stage *x, const struct said *o)
{
    uint32_t ecn = o->s.tos & 3;
    if (o->s.ttl != x->ttl)
        sent_wrong(x, o, "its TTL is not what was asked for (MUST-49)");
    if (x->h.v != 0 && (uint32_t)o->s.tos >> 2 != x->dscp && !(o->s.flags & RST))
        sent_wrong(x, o, "its Diffserv field is not what was asked for (MUST-48)");
    if (ecn != 0 && (o->s.len == 0 || o->s.flags & (SYN | RST)))
        sent_wrong(x, o, "ECN-capable, and it is no data (RFC 3168 6.1.4)");
    if (ecn != 0 && x->there && !x->i.ecn)
        sent_wrong(x, o, "ECN-capable, and that was not agreed on (RFC 3168 6.1.1)");
    if (ecn == 3)
        sent_wrong(x, o, "a host does not mark congestion (RFC 3168 5)");
    if (!o->df && x->mtu_known)
        sent_wrong(x, o, "it may be fragmented, and no path was found too narrow (RFC 1191 3)");
    if (x->mtu_known && o->gso_size == 0 && o->bytes > x->mtu)
        sent_wrong(x, o, "larger than its link carries");
}

static void judge_options(struct stage *x, const struct said *o)
{
    const struct segment *s = &o->s;
    bool syn = s->flags & SYN;
    if (syn && s->mss == 0)
        sent_wrong(x, o, "a SYN without an MSS (SHLD-5)");
    if (!syn && (s->mss != 0 || s->wscale != 0 || s->sack_ok))
        sent_wrong(x, o, "an option of SYNs");
    if (syn || s->flags & RST || !x->there || x->i.state == TERN_SYN_SENT)
        return;
    if (s->ts != x->i.timestamps)
        sent_wrong(x, o, "timestamps are not as agreed on (RFC 7323 3.2)");
    if (s->ts && s->ts_ecr != x->i.ts_recent && s->ts_ecr != x->before.ts_recent)
        sent_wrong(x, o, "echoes another timestamp than TS.Recent (RFC 7323 4.3)");
    if (s->n_sack > 0 && !x->i.sack)
        sent_wrong(x, o, "SACK blocks that were not agreed on (RFC 2018 4)");
}

static void judge_place(struct stage *x, const struct said *o)
{
    const struct segment *s = &o->s;
    const tern_info *a = &x->i, *b = &x->before;
    uint32_t last = s->seq + segment_space(s), unit = o->gso_size != 0 ? o->gso_size : s->len;
    if (!(s->flags & ACK))
        sent_wrong(x, o, "no ACK in an open connection (3.1)");
    if (ahead(s->ack, a->rcv_nxt) > 0 || (b->state > TERN_SYN_SENT && ahead(s->ack, b->rcv_nxt) < 0))
        sent_wrong(x, o, "acknowledges something else than RCV.NXT");
    if (ahead(last, a->snd_nxt) > 0)
        sent_wrong(x, o, "beyond SND.NXT");
    if (s->len > 1 && ahead(s->seq, b->snd_una) < 0)
        sent_wrong(x, o, "what was acknowledged already");
    bool probes = s->seq + 1 == a->snd_una || s->seq + 1 == a->snd_nxt;
    probes |= ahead(a->snd_una + a->snd_wnd, a->snd_nxt) < 0; /* the window shrank: where it ends */
    if (segment_space(s) == 0 && ahead(s->seq, b->snd_nxt) < 0 && !probes && b->state > TERN_SYN_SENT)
        sent_wrong(x, o, "an ACK that is not at SND.NXT (3.10.7.4)");
    if (unit > a->mss)
        sent_wrong(x, o, "larger than the MSS");
    uint32_t edge = a->snd_una + (a->snd_wnd > b->snd_wnd ? a->snd_wnd : b->snd_wnd);
    if (s->len > 1 && ahead(s->seq + s->len, edge) > 0 && ahead(s->seq + s->len, b->snd_nxt) > 0)
        sent_wrong(x, o, "beyond the window");
}

void judge_said(struct stage *x, const struct said *o)
{
    judge_header(x, o);
    judge_options(x, o);
    bool open = x->there && x->i.state >= TERN_ESTABLISHED && x->i.state != TERN_TIME_WAIT;
    if (open && !(o->s.flags & (SYN | RST)) && !in_between(&x->before))
        judge_place(x, o);
}
