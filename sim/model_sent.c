/* model_sent.c - what a host may put on the wire, given what it has received and what its program asked for.
 *
 * Every segment of a stack passes here. The rules:
 *  1. SYN first, once, without data; its number never changes. Everything after carries ACK (RFC 9293
 *     3.10.7).
 *  2. ack is exactly the number expected next: all that has arrived in order, and SYN and FIN count one each.
 *  3. Bytes are the program's, at their place, without gaps; again means the same again.
 *  4. FIN only after the program closed, only behind the last byte, always at the same number, and nothing
 *     after it.
 *  5. Nothing beyond the peer's window, but one byte to probe a closed one; nothing larger than the peer's
 *     MSS.
 *  6. The own window's right edge does not move to the left.
 *  7. RST only where it is owed: for an abort, or as the answer to a segment without a connection, in the
 *     answer's form.
 */
#include "model.h"

#include "host/story.h"

#include <string.h>

static void complain(struct model *m, const struct side *s, const struct segment *seg, const char *what)
{
    char flags[40];
    model_complain(m, "%s in %s sends %s seq %u (+%u) ack %u: %s", model_host(m, s->host),
                   tern_state_name((enum tern_state)s->state), story_flags(seg->flags, flags), seg->seq,
                   seg->len, seg->ack, what);
}

/* --- RST ------------------------------------------------------------------------------------- */

static bool pays(const struct debt *d, int host, const struct segment *seg)
{
    if (d->host != host || !endpoint_equal(&d->local, &seg->src) || !endpoint_equal(&d->remote, &seg->dst))
        return false;
    bool with_ack = seg->flags & ACK;
    if (d->answer && d->with_ack != with_ack)
        return false;
    return (seg->seq == d->seq || seg->seq == d->seq_or) && (!with_ack || seg->ack == d->ack);
}

static void sent_rst(struct model *m, int host, const struct segment *seg)
{
    for (uint32_t i = 0; i < m->debts.n; i++)
        if (pays(&m->debts.v[i], host, seg)) {
            m->debts.v[i] = m->debts.v[--m->debts.n];
            return;
        }
    char flags[40];
    model_complain(m, "%s sends %s seq %u ack %u to port %u: no segment and no call asked for it",
                   model_host(m, host), story_flags(seg->flags, flags), seg->seq, seg->ack, seg->dst.port);
}

/* --- SYN ------------------------------------------------------------------------------------- */

static void first_syn(struct side *s, const struct segment *seg)
{
    if (s->snd.nxt > 0)
        return;
    s->snd.iss = seg->seq;
    s->snd.nxt = 1;
    s->ts_asked = seg->ts;
    s->wscale = seg->wscale;
    s->rcv.edge = 1 + seg->window;
}

struct side *model_passive(struct model *m, int host, const struct segment *syn, const struct segment *synack)
{
    struct side *s = model_new(m, host, &synack->src, &synack->dst);
    s->passive = true;
    s->state = TERN_LISTEN;
    first_syn(s, synack);
    s->rcv.irs = syn->seq;
    s->rcv.nxt = 1;
    s->snd.mss = syn->mss;
    s->snd.edge = 1 + syn->window;
    s->ts = syn->ts && synack->ts;
    s->ts_recent = syn->ts_val;
    if (syn->wscale && synack->wscale) {
        s->snd.shift = syn->wscale - 1;
        s->rcv.shift = synack->wscale - 1;
    }
    return s;
}

static bool answers(const struct pending_syn *p, const struct segment *seg)
{
    return p->there && endpoint_equal(&p->syn.src, &seg->dst) && endpoint_equal(&p->syn.dst, &seg->src);
}

/* A SYN+ACK of a listener that keeps nothing. */
static bool is_cookie(struct model *m, int host, const struct segment *seg)
{
    const struct side *l = model_listener(m, host, &seg->src);
    struct pending_syn *p = &m->pending[host];
    if (l == NULL || !l->cookies || !answers(p, seg))
        return false;
    m->cookies[m->n_cookies++ % COOKIES] = (struct cookie){p->syn, *seg};
    p->there = false;
    return true;
}

/* The SYN that waits for this SYN+ACK becomes a half-open connection. */
static struct side *promote(struct model *m, int host, const struct segment *seg, struct side *old)
{
    struct pending_syn *p = &m->pending[host];
    if (!answers(p, seg))
        return NULL;
    uint32_t parked = old != NULL && old->state == TERN_TIME_WAIT ? (uint32_t)(old - m->sides.v) : NOBODY;
    struct side *s = model_passive(m, host, &p->syn, seg);
    if (parked != NOBODY) {
        s->parked = parked;
        s->from_time_wait = true;
        s->state = TERN_TIME_WAIT;
        m->sides.v[parked].state = TERN_CLOSED;
    }
    model_state(m, s, TERN_SYN_RCVD);
    p->there = false;
    return s;
}

static void count_synack(struct model *m, struct side *s)
{
    s->synack_gap_us = s->synacks ? m->now - s->synack_us : 0;
    s->synack_us = m->now;
    s->synacks++;
    m->timer_us = 0;
}

static bool check_syn(struct model *m, struct side *s, const struct segment *seg)
{
    if (!(seg->flags & SYN))
        return true;
    first_syn(s, seg);
    uint8_t needed = seg->flags & ACK ? TERN_SYN_RCVD : TERN_SYN_SENT;
    if (s->state != needed)
        complain(m, s, seg, "no SYN may be sent in this state");
    else if (seg->seq != s->snd.iss)
        complain(m, s, seg, "a SYN again with another initial number");
    else if (seg->len > 0 || (seg->flags & FIN))
        complain(m, s, seg, "a SYN with more than itself");
    if (seg->flags & ACK)
        count_synack(m, s);
    return false;
}

/* --- numbers --------------------------------------------------------------------------------- */

static void check_ack(struct model *m, struct side *s, const struct segment *seg)
{
    if (!(seg->flags & ACK)) {
        if (s->state != TERN_SYN_SENT)
            complain(m, s, seg, "no ACK flag in an open connection");
        return;
    }
    if (seg->ack != s->rcv.irs + (uint32_t)s->rcv.nxt) {
        model_complain(m, "%s acknowledges up to %u; it has received all up to %u", model_host(m, s->host),
                       seg->ack, s->rcv.irs + (uint32_t)s->rcv.nxt);
        return;
    }
    s->last_ack = s->rcv.nxt;
    uint8_t shift = seg->flags & SYN ? 0 : s->rcv.shift;
    int64_t edge = s->rcv.nxt + ((int64_t)seg->window << shift);
    if (edge + (1 << s->rcv.shift) <= s->rcv.edge)
        complain(m, s, seg, "the window's right edge moves to the left");
    if (edge > s->rcv.edge)
        s->rcv.edge = edge;
}

static void check_bytes(struct model *m, const struct side *s, const struct segment *seg, int64_t seq)
{
    if (seg->len == 0)
        return;
    if (seq == 0 || seq + seg->len > s->snd.n + 1)
        complain(m, s, seg,
                 s->snd.fin_asked ? "data after the end of the stream" : "bytes that no program gave");
    else if (memcmp(seg->data, s->snd.bytes + seq - 1, seg->len) != 0)
        complain(m, s, seg, "other bytes than the program's at this place");
    else if (seq > s->snd.nxt)
        complain(m, s, seg, "a gap: bytes before it were never sent");
    if (s->snd.mss && seg->len > s->snd.mss)
        complain(m, s, seg, "larger than the peer's MSS");
    bool probe = seg->len == 1 && seq >= s->snd.edge;
    if (!probe && seq + seg->len > s->snd.edge)
        complain(m, s, seg, "beyond the peer's window");
}

static void check_fin(struct model *m, struct side *s, const struct segment *seg, int64_t seq)
{
    if (!(seg->flags & FIN))
        return;
    if (!s->snd.fin_asked)
        complain(m, s, seg, "FIN, and the program has not closed");
    else if (seq + seg->len != s->snd.n + 1)
        complain(m, s, seg, "FIN is not behind the last byte");
    s->snd.fin_sent = true;
}

static void check_seq(struct model *m, struct side *s, const struct segment *seg)
{
    int64_t seq = side_out_pos(s, seg->seq);
    bool probe = s->keepalive && seq + 1 == s->snd.nxt && seg->len <= 1 && !(seg->flags & FIN);
    if (probe)
        return;
    if (segment_space(seg) == 0 && seq != s->snd.nxt)
        complain(m, s, seg, "an ACK alone bears the number that comes next");
    check_bytes(m, s, seg, seq);
    check_fin(m, s, seg, seq);
    int64_t end = seq + segment_space(seg);
    if (s->snd.fin_sent && end > s->snd.n + 2)
        complain(m, s, seg, "beyond the own FIN");
    if (end > s->snd.nxt)
        s->snd.nxt = end;
}

void model_sent(struct model *m, int host, const struct segment *seg)
{
    if (seg->flags & RST) {
        sent_rst(m, host, seg);
        return;
    }
    struct side *s = model_find(m, host, &seg->src, &seg->dst);
    bool live = s != NULL && s->state != TERN_CLOSED;
    if ((seg->flags & (SYN | ACK)) == (SYN | ACK) && !live && is_cookie(m, host, seg))
        return;
    if ((seg->flags & (SYN | ACK)) == (SYN | ACK) && (!live || s->state == TERN_TIME_WAIT)) {
        s = promote(m, host, seg, s);
        live = s != NULL;
    }
    if (!live) {
        char flags[40];
        model_complain(m, "%s sends %s to port %u and has no such connection", model_host(m, host),
                       story_flags(seg->flags, flags), seg->dst.port);
        return;
    }
    if (check_syn(m, s, seg) && s->state < TERN_SYN_RCVD)
        complain(m, s, seg, "nothing but SYN may be sent in this state");
    check_ack(m, s, seg);
    if (!(seg->flags & SYN))
        check_seq(m, s, seg);
}
