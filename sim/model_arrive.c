/* model_arrive.c - SEGMENT ARRIVES, RFC 9293 3.10.7, as the model's reader follows it. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

/* A later one can only come from this: positions of the segment at hand. */
struct arrival {
    const struct segment *seg;
    int64_t seq, end;   /* end = seq + space */
    int64_t ack;
    bool has_ack;
};

static int64_t peer_edge(const struct side *s, const struct arrival *a)
{
    uint8_t shift = a->seg->flags & SYN ? 0 : s->snd.shift;
    return a->ack + ((int64_t)a->seg->window << shift);
}

static void agree_options(struct side *s, const struct segment *syn)
{
    s->snd.mss = syn->mss;
    s->ts = syn->ts && s->ts_asked;
    s->ts_recent = syn->ts_val;
    if (syn->wscale && s->wscale) {
        s->snd.shift = syn->wscale - 1;
        s->rcv.shift = s->wscale - 1;
    }
}

static void take_syn(struct side *s, const struct segment *syn)
{
    s->rcv.irs = syn->seq;
    s->rcv.nxt = 1;
    agree_options(s, syn);
}

/* --- CLOSED and LISTEN ----------------------------------------------------------------------- */

static void in_closed(struct model *m, int host, const struct segment *seg)
{
    model_owe_answer(m, host, seg); /* 3.10.7.1 */
}

/* The side that this ACK opens, because it brings a SYN cookie back (RFC 4987 3.6); NULL. */
static struct side *by_cookie(struct model *m, int host, const struct segment *seg)
{
    for (uint32_t i = 0; i < m->n_cookies && i < COOKIES; i++) {
        const struct cookie *k = &m->cookies[i];
        if (k->syn.seq + 1 != seg->seq || k->synack.seq + 1 != seg->ack ||
            !endpoint_equal(&k->syn.src, &seg->src) || !endpoint_equal(&k->syn.dst, &seg->dst))
            continue;
        struct side *s = model_passive(m, host, &k->syn, &k->synack);
        model_state(m, s, TERN_ESTABLISHED);
        return s;
    }
    return NULL;
}

static void in_listen(struct model *m, int host, const struct segment *seg)
{
    const struct side *l = model_listener(m, host, &seg->dst);
    if (seg->flags & RST)
        return; /* first */
    if ((seg->flags & ACK) && l->cookies)
        return; /* it may belong to a cookie whose first segment was lost: silence */
    if (seg->flags & ACK)
        model_owe_answer(m, host, seg); /* second */
    else if (seg->flags & SYN)
        /* third: see SYN+ACK */
        m->pending[host] = (struct pending_syn){.syn = *seg, .t_us = m->now, .there = true};
}

/* --- SYN_SENT -------------------------------------------------------------------------------- */

static void in_syn_sent(struct model *m, struct side *s, const struct arrival *a)
{
    const struct segment *seg = a->seg;
    bool acceptable = a->has_ack && a->ack > 0 && a->ack <= s->snd.nxt;
    if (a->has_ack && !acceptable) {
        model_owe_answer(m, s->host, seg);
        return;
    }
    if (seg->flags & RST) {
        if (acceptable)
            model_state(m, s, TERN_CLOSED);
        return;
    }
    if (!(seg->flags & SYN))
        return;
    take_syn(s, seg);
    if (acceptable) {
        s->snd.una = a->ack;
        s->snd.edge = peer_edge(s, a);
        model_state(m, s, TERN_ESTABLISHED);
    } else {
        s->snd.edge = seg->window;
        model_state(m, s, TERN_SYN_RCVD);
    }
}

/* --- the other states ------------------------------------------------------------------------ */

/* First: the sequence number. The window is what was offered to the peer. */
static bool in_window(const struct side *s, const struct arrival *a)
{
    int64_t nxt = s->rcv.nxt, edge = s->rcv.edge;
    if (a->end == a->seq)
        return edge == nxt ? a->seq == nxt : a->seq >= nxt && a->seq < edge;
    return edge > nxt && ((a->seq >= nxt && a->seq < edge) || (a->end > nxt && a->end <= edge));
}

/* RFC 7323 5.3, R1: an older timestamp than the last one. */
static bool paws_refuses(const struct side *s, const struct segment *seg)
{
    if (!s->ts || (seg->flags & RST))
        return false;
    return !seg->ts || (int32_t)(seg->ts_val - s->ts_recent) < 0;
}

/* TIME_WAIT, and the peer opens anew: RFC 6191 with timestamps, RFC 9293 3.6.1 (MAY-2) without. */
static bool is_newer_syn(const struct side *s, const struct segment *syn)
{
    int32_t step = (int32_t)(syn->ts_val - s->ts_recent);
    bool beyond = (int32_t)(syn->seq - (s->rcv.irs + (uint32_t)s->rcv.nxt)) >= 0;
    return s->ts && syn->ts ? step > 0 || (step == 0 && beyond) : beyond;
}

static void syn_in_time_wait(struct model *m, struct side *s, const struct arrival *a)
{
    if (is_newer_syn(s, a->seg) && model_listener(m, s->host, &s->local) != NULL)
        m->pending[s->host] = (struct pending_syn){.syn = *a->seg, .t_us = m->now, .there = true};
}

/* An unacceptable segment is answered with ACK and dropped, but its ACK may be needed (A.2), and a FIN again
 * tells that our ACK was lost: in TIME_WAIT 2 MSL start anew. */
static bool use_old(struct model *m, struct side *s, const struct arrival *a)
{
    bool repeated_fin = (a->seg->flags & FIN) && a->end == s->rcv.nxt;
    if (s->state == TERN_TIME_WAIT && repeated_fin) {
        s->since_us = m->now;
        m->timer_us = 0;
    }
    if (s->state == TERN_SYN_RCVD)
        return (a->seg->flags & SYN) && a->seq == 0; /* SYN+ACK in simultaneous open */
    return a->end <= s->rcv.nxt && a->seq + 1 >= s->rcv.nxt; /* the last number again: FIN, probe */
}

static void reset_by_peer(struct model *m, struct side *s)
{
    if (s->from_time_wait) {
        struct side *parked = &m->sides.v[s->parked];
        s->state = TERN_CLOSED;
        parked->state = TERN_SYN_RCVD; /* what the endpoint was; back it goes */
        uint64_t since = parked->since_us;
        model_state(m, parked, TERN_TIME_WAIT);
        parked->since_us = since;
    } else if (s->state == TERN_SYN_RCVD && s->passive) {
        model_back_to_listen(m, s);
    } else {
        model_state(m, s, TERN_CLOSED);
    }
}

static void second_rst(struct model *m, struct side *s, const struct arrival *a)
{
    if (s->state != TERN_TIME_WAIT && a->seq == s->rcv.nxt) /* RFC 5961 3.2; RFC 1337 */
        reset_by_peer(m, s);
}

/* Fifth: the ACK field. True when the segment goes on. */
static bool fifth_ack(struct model *m, struct side *s, const struct arrival *a)
{
    if (!a->has_ack)
        return false;
    if (s->state == TERN_SYN_RCVD) {
        if (a->ack == 0 || a->ack > s->snd.nxt) {
            model_owe_answer(m, s->host, a->seg);
            return false;
        }
        model_state(m, s, TERN_ESTABLISHED);
    }
    if (a->ack > s->snd.nxt)
        return false;
    if (a->ack > s->snd.una)
        s->snd.una = a->ack;
    int64_t edge = peer_edge(s, a);
    if (edge > s->snd.edge)
        s->snd.edge = edge;
    s->snd.fin_acked = s->snd.fin_sent && s->snd.una == s->snd.n + 2;
    return true;
}

static void fin_was_acked(struct model *m, struct side *s)
{
    if (s->state == TERN_FIN_WAIT_1)
        model_state(m, s, TERN_FIN_WAIT_2);
    else if (s->state == TERN_CLOSING)
        model_state(m, s, TERN_TIME_WAIT);
    else if (s->state == TERN_LAST_ACK)
        model_state(m, s, TERN_CLOSED);
}

static void reserve(struct side *s, int64_t n)
{
    if (n <= s->rcv.cap)
        return;
    int64_t cap = n * 2;
    s->rcv.bytes = realloc(s->rcv.bytes, (size_t)cap);
    s->rcv.got = realloc(s->rcv.got, (size_t)cap);
    memset(s->rcv.got + s->rcv.cap, 0, (size_t)(cap - s->rcv.cap));
    s->rcv.cap = cap;
}

/* Seventh: bytes in the window are kept where they belong; RCV.NXT moves over what is complete. */
static void seventh_text(struct side *s, const struct arrival *a)
{
    const struct segment *seg = a->seg;
    int64_t seq = a->seq + ((seg->flags & SYN) != 0);
    int64_t end = seq + seg->len < s->rcv.edge ? seq + seg->len : s->rcv.edge;
    reserve(s, end);
    for (int64_t p = seq; p < end; p++)
        if (p >= s->rcv.nxt && !s->rcv.got[p - 1]) {
            s->rcv.bytes[p - 1] = seg->data[p - seq];
            s->rcv.got[p - 1] = 1;
        }
    if ((seg->flags & FIN) && seq + seg->len < s->rcv.edge + 1)
        s->rcv.fin_at = seq + seg->len;
    while (s->rcv.nxt - 1 < s->rcv.cap && s->rcv.got[s->rcv.nxt - 1]) {
        s->rcv.nxt++;
        s->rcv.n++;
    }
}

/* Eighth: the FIN, once everything before it is there. */
static void eighth_fin(struct model *m, struct side *s)
{
    if (s->rcv.fin_at == 0 || s->rcv.nxt != s->rcv.fin_at || s->rcv.fin)
        return;
    s->rcv.nxt++;
    s->rcv.fin = true;
    if (s->state == TERN_ESTABLISHED)
        model_state(m, s, TERN_CLOSE_WAIT);
    else if (s->state == TERN_FIN_WAIT_1)
        model_state(m, s, s->snd.fin_acked ? TERN_TIME_WAIT : TERN_CLOSING);
    else if (s->state == TERN_FIN_WAIT_2)
        model_state(m, s, TERN_TIME_WAIT);
}

static bool receives(const struct side *s)
{
    return s->state == TERN_ESTABLISHED || s->state == TERN_FIN_WAIT_1 || s->state == TERN_FIN_WAIT_2;
}

static void remember_timestamp(struct side *s, const struct arrival *a)
{
    if (s->ts && a->seg->ts && a->seq <= s->last_ack)
        s->ts_recent = a->seg->ts_val;
}

/* Data for a program that has closed entirely: RST (SHLD-3). */
static bool is_lost_data(const struct side *s, const struct arrival *a)
{
    return s->released && receives(s) && a->seg->len > 0 &&
           a->end - ((a->seg->flags & FIN) != 0) > s->rcv.nxt;
}

static void accept_segment(struct model *m, struct side *s, const struct arrival *a)
{
    if (!fifth_ack(m, s, a))
        return;
    if (is_lost_data(s, a)) {
        model_owe_reset(m, s, a->seg->ack);
        model_state(m, s, TERN_CLOSED);
        return;
    }
    bool fin_here = receives(s) && (a->seg->flags & FIN) && a->end - 1 == s->rcv.nxt + a->seg->len &&
                    a->seq == s->rcv.nxt && s->state == TERN_FIN_WAIT_1;
    if (s->snd.fin_acked && !fin_here) /* with a FIN in it the state changes once, after the eighth step */
        fin_was_acked(m, s);
    if (!receives(s))
        return;
    seventh_text(s, a);
    eighth_fin(m, s);
}

static void in_others(struct model *m, struct side *s, const struct arrival *a)
{
    uint8_t flags = a->seg->flags;
    if (s->state == TERN_TIME_WAIT && (flags & (SYN | ACK | RST)) == SYN) {
        syn_in_time_wait(m, s, a);
        return;
    }
    bool acceptable = in_window(s, a) && !paws_refuses(s, a->seg);
    if (!acceptable) {
        if (!(flags & RST) && !paws_refuses(s, a->seg) && use_old(m, s, a) && fifth_ack(m, s, a) &&
            s->snd.fin_acked)
            fin_was_acked(m, s);
        return;
    }
    if (flags & RST) {
        second_rst(m, s, a);
        return;
    }
    if (flags & SYN) {
        if (s->state == TERN_SYN_RCVD && s->passive)
            reset_by_peer(m, s); /* fourth: a passive side goes back to LISTEN */
        return;                  /* else RFC 5961 4.2: challenged */
    }
    if (a->has_ack)
        remember_timestamp(s, a);
    accept_segment(m, s, a);
}

void model_arrive(struct model *m, int host, const struct segment *seg)
{
    struct side *s = model_find(m, host, &seg->dst, &seg->src);
    if ((s == NULL || s->state == TERN_CLOSED) && (seg->flags & (SYN | ACK | RST)) == ACK) {
        struct side *opened = by_cookie(m, host, seg);
        s = opened != NULL ? opened : s;
    }
    if (s == NULL || s->state == TERN_CLOSED) {
        if (model_listener(m, host, &seg->dst) != NULL)
            in_listen(m, host, seg);
        else
            in_closed(m, host, seg);
        return;
    }
    struct arrival a = {.seg = seg, .seq = side_in_pos(s, seg->seq), .has_ack = seg->flags & ACK};
    a.end = a.seq + segment_space(seg);
    a.ack = side_out_pos(s, seg->ack);
    if (s->state == TERN_SYN_SENT)
        in_syn_sent(m, s, &a);
    else
        in_others(m, s, &a);
}
