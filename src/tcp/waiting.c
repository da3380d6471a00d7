/* waiting.c - the small records of TIME_WAIT: made, found, restarted, ended, given up.
 *
 * All last the same 2 MSL (RFC 9293 3.6.1, MUST-13), so they wait in order of arrival (base/fifo.h), one
 * queue for each address family, and the front is the next to be over: no wheel, no links. 32 bytes for IPv4,
 * 64 for IPv6.
 *
 * The time when a record is due has 9 bits: ticks of 2 MSL / 1024 (59 ms of 60 s) after the first record of
 * its page. A page takes records for 2 MSL / 2 at most. Rounded up, and never before the record in front of
 * it: so a record may end a little late, never early. Late by a tick; and one whose handle was held into
 * TIME_WAIT, by as long as that.
 *
 * A repeated FIN starts 2 MSL anew: the record moves to the end and leaves a hole. With one FIN after the
 * other somebody could make nothing but holes, so a record moves only while the pages have room for no more
 * than twice the records that live (and two pages). Else it is marked, and begins 2 MSL once more where they
 * end: longer than asked for, at no cost.
 *
 * They are the first to be given up, oldest first, when memory is short or they are too many
 * (waiting_make_room).
 */
#include "tcp/fetch.h"
#include "tcp/tcp.h"

#define TICKS       1024u /* in 2 MSL */
#define ID_MASK     0x3ffffffu
#define LATE_MAX    511u  /* what `late` can hold */
#define EXPIRE_MAX  256u  /* ends in one call of tern_tick */
#define AHEAD       4u    /* whose turn comes so much later: its slot is asked for */
#define REUSE_US    1000000u /* before our own connect may take its place */
#define RECYCLE_MAX 2100u /* given up in one call: more than any page holds */

static const enum tern_cause led_here[] = {
    TERN_CAUSE_NONE, TERN_C_FIN_AND_ACK, TERN_C_FIN_LAST, TERN_C_CLOSING_ACKED};

enum tern_cause waiting_cause(const struct timewait *w) { return led_here[w->how]; }

static uint32_t how(enum tern_cause cause)
{
    uint32_t i = ARRAY_LEN(led_here) - 1;
    while (i > 1 && led_here[i] != cause)
        i--;
    return i;
}

static uint64_t two_msl(const struct tern *t) { return 2ull * settings(t)->msl_us; }

static uint64_t tick_us(const struct tern *t) { return (two_msl(t) + TICKS - 1) / TICKS; }

static bool is4(const struct tern *t, ref_t r) { return arena_kind(t->a, r) == PAGE_POOL0 + POOL_TIMEWAIT4; }

static struct waiting *queue_of(struct tern *t, bool ip4) { return ip4 ? &t->w->wait4 : &t->w->wait6; }

static inline struct timewait *waiting_at(struct tern *t, ref_t r) { return at(t->a, r); }

uint32_t waiting_live(const struct tern *t) { return t->w->wait4.fifo.live + t->w->wait6.fifo.live; }

/* The number in the trace: the latest whose lower bits are these. */
static uint64_t conn_of(const struct tern *t, const struct timewait *w)
{
    return t->w->next_conn - ((t->w->next_conn - w->id) & ID_MASK);
}

void waiting_pair(const struct tern *t, ref_t r, struct who *out)
{
    const struct timewait *w = at_const(t->a, r);
    out->local_port = w->local_port;
    out->remote_port = w->remote_port;
    if (is4(t, r)) {
        const struct timewait4 *v = at_const(t->a, r);
        ip_pair_read(v->pair, true, &out->local, &out->remote);
        out->link = 0;
    } else {
        const struct timewait6 *v = at_const(t->a, r);
        out->local = v->local;
        out->remote = v->remote;
        out->link = v->link;
    }
}

void waiting_who(const struct tern *t, ref_t r, struct who *out)
{
    const struct timewait *w = at_const(t->a, r);
    waiting_pair(t, r, out);
    out->conn = conn_of(t, w);
    out->state = TERN_TIME_WAIT;
    out->ttl = settings(t)->ttl;
    out->rcv_wscale = w->rcv_wscale;
    if (out->link == 0)
        out->link = (uint8_t)ip_route(&t->w->ip, &out->remote);
}

bool waiting_same(const struct tern *t, ref_t r, const tern_endpoint *local, const tern_endpoint *remote,
                  uint8_t link)
{
    const struct timewait *w = at_const(t->a, r);
    if (w->local_port != local->port || w->remote_port != remote->port)
        return false;
    if (!is4(t, r)) {
        const struct timewait6 *v = at_const(t->a, r);
        return ip_eq(&v->remote, &remote->ip) && ip_eq(&v->local, &local->ip) &&
               (v->link == link || ip_zone(&v->local, &v->remote, 1) == 0);
    }
    const struct timewait4 *v = at_const(t->a, r);
    return tern_ip_is4(&remote->ip) && tern_ip_is4(&local->ip) &&
           memcmp(v->pair + 4, remote->ip.b + 12, 4) == 0 && memcmp(v->pair, local->ip.b + 12, 4) == 0;
}

uint64_t waiting_due(const struct tern *t, ref_t r)
{
    return *fifo_note(t->a, r) + ((const struct timewait *)at_const(t->a, r))->late * tick_us(t);
}

bool waiting_reusable(const struct tern *t, ref_t r)
{
    if (rec_kind(t, r) != REC_TIMEWAIT)
        return false;
    const struct timewait *w = at_const(t->a, r);
    uint64_t began = waiting_due(t, r) - two_msl(t); /* or a little earlier */
    return w->ts && settings(t)->timestamps && !w->again && t->w->now >= began + REUSE_US;
}

/* A record behind all others, due at due_us or a little later; exactly then on a page of its own. */
static ref_t append(struct tern *t, struct waiting *q, uint64_t due_us, bool turn, enum mem_prio prio)
{
    bool alone = q->fifo.live == 0;
    uint64_t due = alone ? due_us : max_u64(due_us, q->last_us);
    uint64_t page_us = alone ? due : *fifo_note(t->a, q->fifo.chain.tail);
    uint64_t late = (due - page_us + tick_us(t) - 1) / tick_us(t);
    ref_t r = fifo_append(t->a, &q->fifo, turn || late > LATE_MAX, prio);
    if (r == 0)
        return 0;
    if (*fifo_note(t->a, r) == 0) {
        *fifo_note(t->a, r) = page_us = due;
        late = 0;
    }
    waiting_at(t, r)->late = (uint32_t)late & LATE_MAX;
    q->last_us = page_us + late * tick_us(t);
    return r;
}

static void drop(struct tern *t, ref_t r) { fifo_remove(t->a, &queue_of(t, is4(t, r))->fifo, r); }

void waiting_follow(struct tern *t, ref_t r, uint32_t links_gone)
{
    if (is4(t, r))
        return; /* it has no home */
    struct timewait6 *v = at(t->a, r);
    if (links_gone >> v->link & 1)
        v->link = 0;
}

void waiting_end(struct tern *t, ref_t r, enum tern_cause cause)
{
    const struct timewait *w = waiting_at(t, r);
    state_edge(t, w, cause, TERN_TIME_WAIT, TERN_CLOSED);
    trace_conn(t, w, TERN_TRACE_RELEASED, cause, 0, 0, 0);
    demux_remove(t, r);
    drop(t, r);
}

/* The next to be over, of both families; 0 = none. */
static ref_t oldest(struct tern *t)
{
    ref_t a = fifo_front(t->a, &t->w->wait4.fifo), b = fifo_front(t->a, &t->w->wait6.fifo);
    if (a == 0 || b == 0)
        return a != 0 ? a : b;
    return waiting_due(t, b) < waiting_due(t, a) ? b : a;
}

static void recycle(struct tern *t)
{
    t->w->stats.time_wait_recycled++;
    waiting_end(t, oldest(t), TERN_C_TIME_WAIT_RECYCLED);
}

void waiting_recycle(struct tern *t, uint32_t pages)
{
    for (uint32_t i = 0; i < RECYCLE_MAX && arena_room(t->a, MEM_DATA) < pages && waiting_live(t) > 0; i++)
        recycle(t);
}

/* Within time_wait_max, if one more is to come. */
static void keep_limit(struct tern *t)
{
    uint32_t max = settings(t)->time_wait_max;
    while (max != 0 && waiting_live(t) >= max)
        recycle(t);
}

/* With what is kept back for what lets connections end, if it must be: the block that this record replaces is
 * many times as large. */
static ref_t get(struct tern *t, bool ip4, uint64_t due_us)
{
    struct waiting *q = queue_of(t, ip4);
    keep_limit(t);
    ref_t r = append(t, q, due_us, false, MEM_DATA);
    if (r != 0)
        return r;
    waiting_make_room(t, 1);
    return append(t, q, due_us, false, MEM_CONTROL);
}

static void fill_addresses(struct tern *t, const struct tcb *c, ref_t r)
{
    if (is4(t, r)) {
        ip_pair_write(((struct timewait4 *)at(t->a, r))->pair, &c->h.local, &c->h.remote);
    } else {
        struct timewait6 *v = at(t->a, r);
        v->local = c->h.local;
        v->remote = c->h.remote;
        v->link = c->h.link;
    }
}

bool waiting_add(struct tern *t, const struct tcb *c)
{
    ref_t r = get(t, tern_ip_is4(&c->h.remote), c->tm.life_us);
    if (r == 0)
        return false;
    struct timewait *w = waiting_at(t, r);
    w->id = (uint32_t)c->h.conn & ID_MASK;
    w->how = how((enum tern_cause)c->h.cause) & 3;
    w->snd_nxt = c->snd.nxt;
    w->rcv_nxt = c->rcv.nxt;
    w->ts_recent = c->ts.recent;
    w->local_port = c->h.local_port;
    w->remote_port = c->h.remote_port;
    w->wnd = window_field_up(rcv_wnd(&c->rcv), c->opt.rcv_wscale);
    w->rcv_wscale = c->opt.rcv_wscale & 15;
    w->ts = c->opt.ts;
    w->parked = c->h.parked;
    fill_addresses(t, c, r);
    demux_replace(t, self(t, c), r);
    return true;
}

/* To the end of its queue, for 2 MSL from now on. False: no memory. */
static bool move(struct tern *t, struct waiting *q, ref_t from)
{
    ref_t to = append(t, q, t->w->now + two_msl(t), q->fifo.live == 1, MEM_CONTROL);
    if (to == 0)
        return false;
    struct timewait *w = waiting_at(t, to);
    uint32_t late = w->late;
    memcpy(w, waiting_at(t, from), q->fifo.size);
    w->late = late & LATE_MAX;
    w->again = false;
    demux_replace(t, from, to);
    fifo_remove(t->a, &q->fifo, from);
    return true;
}

void waiting_restart(struct tern *t, ref_t r)
{
    struct waiting *q = queue_of(t, is4(t, r));
    uint64_t two_pages = q->fifo.pages == 0 ? 0 : 2 * (fifo_room(t->a, &q->fifo) / q->fifo.pages);
    if (fifo_room(t->a, &q->fifo) > 2ull * q->fifo.live + two_pages || !move(t, q, r))
        waiting_at(t, r)->again = true;
}

bool waiting_over(struct tern *t, ref_t r)
{
    if (waiting_due(t, r) > t->w->now || waiting_at(t, r)->again)
        return false;
    waiting_end(t, r, TERN_C_TIME_WAIT_OVER);
    return true;
}

static void over(struct tern *t, ref_t r)
{
    if (!waiting_at(t, r)->again)
        waiting_end(t, r, TERN_C_TIME_WAIT_OVER);
    else if (!move(t, queue_of(t, is4(t, r)), r))
        recycle(t);
}

void waiting_expire(struct tern *t)
{
    ref_t r;
    for (uint32_t i = 0; i < EXPIRE_MAX && (r = oldest(t)) != 0 && waiting_due(t, r) <= t->w->now; i++) {
        waiting_fetch(t, fifo_behind(t->a, &queue_of(t, is4(t, r))->fifo, r, AHEAD));
        over(t, r);
    }
}

uint64_t waiting_next_deadline(const struct tern *t)
{
    ref_t a = fifo_front(t->a, &t->w->wait4.fifo), b = fifo_front(t->a, &t->w->wait6.fifo);
    return min_u64(a != 0 ? waiting_due(t, a) : UINT64_MAX, b != 0 ? waiting_due(t, b) : UINT64_MAX);
}
