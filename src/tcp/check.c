/* check.c - the numbered invariants of tcb.h, run after every verb in tests and simulation. A broken one
 * traps. What they guard: the variables of RFC 9293 3.3.1, the right edge of SHLD-14, the states of 3.3.2. */
#include "tcp/tcp.h"

#define LOOKED_AT 16u /* records of each kind, where there may be very many */

/* Records in a list, which is linked both ways. */
static uint32_t length(struct tern *t, const struct list *l, size_t offset)
{
    uint32_t n = 0;
    ref_t before = 0;
    for (ref_t r = l->head; r != 0; r = place_at(t->a, r, offset)->next, n++) {
        ASSERT(place_at(t->a, r, offset)->prev == before);
        before = r;
    }
    ASSERT(l->tail == before);
    return n;
}

static bool in_table(struct tern *t, const struct who *w, ref_t r)
{
    tern_endpoint local = {w->local, w->local_port, 0}, remote = {w->remote, w->remote_port, 0};
    return demux_find(t, &local, &remote, w->link) == r ||
           demux_find_parked(t, &local, &remote, w->link) == r;
}

static void check_sendlist(struct tern *t, struct tcb *c)
{
    uint32_t bytes = 0, sacked = 0, lost = 0, retx = 0, count = 0;
    seq_t expect = c->snd.una;
    for (ref_t r = c->list.seq.head; r != 0;) {
        struct sendrec *s = at(t->a, r);
        ASSERT(s->len > 0 && seq_eq(s->start, expect)); /* 2 */
        ASSERT(!(s->flags & SR_SACKED) || s->flags == SR_SACKED);
        ASSERT(!(s->flags & SR_RETX) || (s->flags & SR_LOST));
        expect = seq_add(s->start, s->len);
        bytes += s->len;
        sacked += s->flags & SR_SACKED ? s->len : 0;
        lost += s->flags & SR_LOST ? s->len : 0;
        retx += s->flags & SR_RETX ? s->len : 0;
        count++;
        r = s->seq.next;
    }
    ASSERT(bytes == c->list.bytes && sacked == c->list.sacked && lost == c->list.lost &&
           retx == c->list.retx);
    ASSERT(count == c->list.count);
    if (c->h.state != TERN_CLOSED && c->h.state != TERN_TIME_WAIT)
        ASSERT(seq_eq(expect, c->snd.nxt));
}

static void check_snd(const struct tcb *c)
{
    const struct snd *s = &c->snd;
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT)
        return;
    ASSERT(seq_le(s->una, s->nxt)); /* 1 */
    seq_t first = !s->syn_acked ? seq_add(s->iss, 1) : s->una;
    if (!s->fin_acked)
        ASSERT(s->q.pos == first.v);
    ASSERT(!s->fin_sent || s->fin_queued); /* 7 */
    ASSERT(!s->fin_acked || s->fin_sent);
    ASSERT(s->q.len <= s->buffer || s->q.len == 0);
}

static void check_rcv(struct tern *t, const struct tcb *c)
{
    const struct rcv *r = &c->rcv;
    if (c->h.state < TERN_SYN_RCVD)
        return;
    if (c->face.held || c->listener != 0)
        ASSERT(r->q.pos + r->q.len + r->fin_rcvd == r->nxt.v); /* 3 */
    ASSERT(seq_le(r->nxt, r->adv));                            /* 4 */
    seq_t above = r->nxt;
    uint32_t bytes = 0, count = 0;
    for (ref_t g = r->ooo.head; g != 0;) {
        const struct range *range = at(t->a, g);
        ASSERT(range->q.len > 0 && seq_gt(seq(range->q.pos), above));
        above = seq(range->q.pos + range->q.len);
        bytes += range->q.len;
        count++;
        g = range->place.next;
    }
    ASSERT(bytes == r->ooo_bytes && count == r->ooo_count);
}

static uint64_t earlier(uint64_t a, uint64_t b) { return b != 0 && (a == 0 || b < a) ? b : a; }

static void check_timers(struct tern *t, const struct tcb *c)
{
    const struct timers *m = &c->tm;
    if (c->h.state == TERN_CLOSED || c->h.ready || c->h.unset)
        return; /* output will set them; or they are before the wheel is asked */
    bool flying = c->list.count > 0;
    ASSERT(!flying || m->rexmit != TERN_TIMER_NONE); /* 6 */
    uint64_t deadline = m->rexmit != TERN_TIMER_NONE ? m->rexmit_us : m->life_us;
    deadline = earlier(earlier(deadline, c->ack.delack_us), m->keep_us);
    deadline = earlier(earlier(earlier(deadline, m->pace_us), m->reo_us), m->tlp_us);
    if (deadline != 0) /* 5 */
        ASSERT(wheel_armed(&c->h.timer) &&
               wheel_when(&t->w->wheel, &c->h.timer) <= max_u64(deadline, t->w->now));
}

static bool waits_to_send(const struct tcb *c)
{
    switch (c->h.state) {
    case TERN_SYN_SENT:
    case TERN_SYN_RCVD:
        return true; /* for the answer to our SYN, at least */
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT:
    case TERN_FIN_WAIT_1:
    case TERN_CLOSING:
    case TERN_LAST_ACK:
        return snd_unsent(&c->snd) > 0 || (c->snd.fin_queued && !c->snd.fin_sent);
    default:
        return false;
    }
}

/* Nothing waits for ever: what is owed at once has its place on the ready list, what waits has a timer, and a
 * program that was refused room is in line for it, or an ACK will make some. */
static void check_wakes(const struct tcb *c)
{
    const struct timers *m = &c->tm;
    ASSERT(c->rst_cause == 0 || c->h.ready); /* 9 */
    if (c->h.state == TERN_CLOSED || c->h.ready || c->snd.link == 0)
        return;
    bool refused = c->shortage.refused > 0 && m->pace_us != 0; /* by memory: tried again */
    bool owed = c->ack.now_cause != 0 || c->ack.dup_owed > 0 || m->probe || m->keep_probe || c->tlp.due;
    bool later = c->ack.bytes > 0 && c->ack.delack_us == 0;
    ASSERT((!owed && !later) || refused);
    ASSERT(!waits_to_send(c) || m->rexmit != TERN_TIMER_NONE || m->pace_us != 0);
    ASSERT(!c->snd.blocked || c->shortage.stage == SHORTAGE_WAITING || c->snd.q.len > 0);
}

static void check_state(const struct tcb *c)
{
    switch (c->h.state) { /* 8 */
    case TERN_CLOSE_WAIT:
    case TERN_CLOSING:
    case TERN_LAST_ACK:
    case TERN_TIME_WAIT:
        ASSERT(c->rcv.fin_rcvd);
        break;
    case TERN_SYN_SENT:
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED:
    case TERN_FIN_WAIT_1:
    case TERN_FIN_WAIT_2:
        ASSERT(!c->rcv.fin_rcvd);
        break;
    default:
        break;
    }
}

static void check_tcb(struct tern *t, struct tcb *c)
{
    check_sendlist(t, c);
    check_snd(c);
    check_rcv(t, c);
    check_timers(t, c);
    check_wakes(c);
    check_state(c);
    check_one(t, c);
    ASSERT(rec_kind(t, c->idle) == REC_IDLE && idle_at(t, c->idle)->tcb == self(t, c)); /* 10 */
}

/* The table names the one of the two that lives. */
static void check_idle(struct tern *t, ref_t r)
{
    const struct idle *i = idle_at(t, r);
    struct who w;
    if (i->tcb != 0)
        ASSERT(rec_kind(t, i->tcb) == REC_TCB && tcb_at(t, i->tcb)->idle == r); /* 10 */
    if (i->tcb != 0 && tcb_at(t, i->tcb)->h.state == TERN_CLOSED)
        return; /* its place in the table may be another's */
    ref_t lives = i->tcb != 0 ? i->tcb : r;
    who_of(t, at(t->a, lives), &w);
    ASSERT(in_table(t, &w, lives));
}

static void check_idles(struct tern *t, const struct pool *p)
{
    ref_t r = 0;
    for (uint32_t n = 0; n < LOOKED_AT && pool_next(t->a, p, &r); n++)
        check_idle(t, r);
}

/* Returns its half-open records. */
static uint32_t check_listener(struct tern *t, const struct listener *l)
{
    uint32_t half = 0;
    if (l->half_count <= LOOKED_AT) {
        for (int queue = 0; queue < QUEUES; queue++)
            half += length(t, &l->queue[queue], offsetof(struct halfopen, place));
        ASSERT(half == l->half_count); /* 11 */
    }
    ASSERT(l->half_count <= l->backlog && l->aq_count <= l->backlog);
    if (l->aq_count <= LOOKED_AT)
        ASSERT(length(t, &l->aq, offsetof(struct tcb, aq)) == l->aq_count);
    return l->half_count;
}

/* All half-open records stand in the queues, and the sketch counts just these. */
static void check_halfopens(struct tern *t)
{
    uint32_t live = t->w->halfopens4.live + t->w->halfopens6.live, queued = 0;
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);)
        queued += check_listener(t, listener_at(t, r));
    ASSERT(queued == live); /* 11 */
    for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
        uint32_t counted = 0;
        for (uint32_t column = 0; column < SKETCH_COLUMNS; column++)
            counted += t->w->sources.count[row][column];
        ASSERT(counted == live);
    }
}

/* Of very many the oldest are looked at. */
static void check_waiting(struct tern *t, const struct waiting *q)
{
    uint64_t last_us = 0;
    uint32_t count = 0;
    for (ref_t r = 0; count < LOOKED_AT && fifo_next(t->a, &q->fifo, &r); count++) {
        struct who w;
        waiting_who(t, r, &w);
        ASSERT(in_table(t, &w, r));
        ASSERT(waiting_due(t, r) >= last_us); /* 12 */
        last_us = waiting_due(t, r);
    }
    ASSERT(count == min_u32(q->fifo.live, LOOKED_AT) && (count == 0 || last_us <= q->last_us));
}

/* The ceiling holds, and what is kept back is kept for somebody (arena.h, shortage.c). */
static void check_budget(struct tern *t, uint32_t kept, uint32_t waiting)
{
    const struct arena *a = t->a;
    const size_t place = offsetof(struct tcb, shortage.place);
    ASSERT(length(t, &t->w->short_waiting, place) == waiting); /* 13 */
    ASSERT(length(t, &t->w->short_kept, place) == kept && kept == a->promised);
    ASSERT(a->pages_used <= a->pages_max && a->free_count < a->pages_used);
    ASSERT(a->pages_used - a->free_count + a->promised <= a->pages_max);
}

static void check_tcbs(struct tern *t)
{
    uint32_t kept = 0, waiting = 0;
    for (ref_t r = 0; pool_next(t->a, &t->w->tcbs, &r);) {
        struct tcb *c = tcb_at(t, r);
        if (!c->dying)
            check_tcb(t, c);
        kept += c->shortage.stage == SHORTAGE_KEPT;
        waiting += c->shortage.stage == SHORTAGE_WAITING;
        ASSERT(c->shortage.stage != SHORTAGE_WAITING || c->snd.blocked);
    }
    check_budget(t, kept, waiting);
}

/* Whose deadlines are to be set stands in the list of such, and nobody else. */
static void check_unset(struct tern *t)
{
    uint32_t unset = 0;
    for (ref_t r = 0; pool_next(t->a, &t->w->tcbs, &r);)
        unset += head_at(t, r)->unset;
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);)
        unset += head_at(t, r)->unset;
    ASSERT(length(t, &t->w->unset, UNSET_PLACE) == unset); /* 5 */
}

void tcp_check_all(struct tern *t)
{
    check_unset(t);
    check_waiting(t, &t->w->wait4);
    check_waiting(t, &t->w->wait6);
    check_tcbs(t);
    check_idles(t, &t->w->idles4);
    check_idles(t, &t->w->idles6);
    check_halfopens(t);
    ether_check(t->a, &t->w->ip);
}

void tern_check(tern *t) { tcp_check_all(t); }
