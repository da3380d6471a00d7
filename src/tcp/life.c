/* life.c - how records come into being, change their kind, and go.
 *
 * Nothing is freed while a segment or a call is being worked on: what died waits in a list for the end of the
 * batch. A control block is freed when it is CLOSED, nobody holds it, and its last RST has left. In
 * TIME_WAIT, once released, with nothing unread and its last ACK sent, it is exchanged for the small record.
 */
#include "tcp/tcp.h"

#define QUICK_SEGMENTS 8 /* acknowledged at once at the start: the peer's slow start grows by our ACKs */

static void fill_head(struct tern *t, struct tcb *c, const tern_endpoint *local, const tern_endpoint *remote,
                      uint8_t home)
{
    struct conn_head *h = &c->h;
    h->kind = REC_TCB;
    h->link = home;
    h->local = local->ip;
    h->remote = remote->ip;
    h->local_port = local->port;
    h->remote_port = remote->port;
    h->opened_us = h->since_us = t->w->now;
    h->tos = (uint8_t)(c->set.dscp << 2);
    h->ttl = c->set.ttl;
}

/* Both records of a connection; NULL: no memory. */
static struct tcb *both_records(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                                uint8_t home, const struct options *set)
{
    ref_t me = pool_get(t->a, &t->w->tcbs, MEM_DATA);
    if (me == 0)
        return NULL;
    struct tcb *c = tcb_at(t, me);
    c->set = *set;
    fill_head(t, c, local, remote, home);
    if (idle_new(t, c))
        return c;
    pool_put(t->a, &t->w->tcbs, me);
    return NULL;
}

/* A control block in CLOSED, in no table. NULL: no memory, though those in TIME_WAIT have given way and those
 * that are quiet have been put to rest. */
struct tcb *tcb_new(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t home,
                    uint8_t way, const struct options *set)
{
    waiting_make_room(t, 3); /* a page of each of its records, one of the table */
    struct tcb *c = both_records(t, local, remote, home, set);
    if (c == NULL && idle_press(t))
        c = both_records(t, local, remote, home, set);
    if (c == NULL)
        return NULL;
    c->rcv.buffer = set->recv_buffer;
    c->snd.buffer = set->send_buffer;
    c->snd.link = way;
    mtu_derive(t, c);
    c->ack.quick = QUICK_SEGMENTS;
    c->ts.offset = stamp_offset(t, &local->ip, &remote->ip);
    rtt_init(&c->rtt, settings(t));
    cc_init(&c->cc, 0, c->snd.mss);
    c->snd.limited = true;
    return c;
}

/* Our SYN+ACK is in flight. */
static void inherit_sending(struct tern *t, const struct opening *o, struct tcb *c)
{
    c->snd.mss = options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
    cc_init(&c->cc, 0, c->snd.mss);
    c->snd.iss = c->snd.una = o->iss;
    c->snd.nxt = c->snd.small = o->iss;
    chunkq_init(&c->snd.q, o->iss.v + 1);
    sendlist_init(&c->list, o->iss);
    if (o->sent == 0)
        return; /* ... or is still to be sent */
    c->snd.nxt = seq_add(o->iss, 1);
    struct sendrec *syn = sendlist_add(t, &c->list, o->iss, 1, c->snd.mss, 0);
    if (syn != NULL) {
        syn->sent_us = o->sent_us;
        syn->times = o->sent;
    }
    if (o->sent > 2)
        c->cc.cwnd = c->snd.mss; /* RFC5681-3.1-d, RFC 6928 2 */
    if (o->sent > 1)
        c->rtt.rto_us = max_u32(3000000, settings(t)->rto_min_us); /* RFC6298-5.7-a */
    timer_sent(t, c);
}

/* The peer's SYN has been received. */
static void inherit_receiving(struct tern *t, const struct opening *o, struct tcb *c)
{
    c->rcv.irs = o->irs;
    c->rcv.nxt = seq_add(o->irs, 1);
    c->rcv.adv = seq_add(c->rcv.nxt, o->rcv_wnd);
    chunkq_init(&c->rcv.q, c->rcv.nxt.v);
    c->ts.recent = o->ts_recent;
    c->ts.recent_us = t->w->now;
    c->ts.last_ack_sent = c->rcv.nxt;
}

/* What was known before the control block moves to it, which is then in that state too. */
void tcb_from_opening(struct tern *t, const struct opening *o, struct tcb *c)
{
    state_inherit(c, o->cause, o->state, o->since_us);
    c->h.conn = o->conn;
    c->h.opened_us = o->opened_us;
    c->opt = o->opt;
    inherit_sending(t, o, c);
    inherit_receiving(t, o, c);
}

/* Neither the program has it nor an accept queue. */
static bool unowned(const struct tcb *c) { return !c->face.held && c->listener == 0; }

static void put_on_dying(struct tern *t, struct tcb *c)
{
    if (c->dying)
        return;
    c->dying = true;
    c->aq.next = t->w->dying;
    t->w->dying = self(t, c);
}

static void drop_send(struct tern *t, struct tcb *c)
{
    shortage_leave(t, c);
    if (c->list.count > 0)
        sendlist_clear(t, &c->list);
    chunkq_clear(t->a, &c->snd.q);
}

static void stop_timers(struct tcb *c)
{
    memset(&c->tm, 0, sizeof c->tm);
    c->ack.delack_us = 0;
}

/* The connection is over. What was received stays readable while somebody holds it. */
void tcb_end(struct tern *t, struct tcb *c, enum tern_cause cause, int error)
{
    state_change(t, &c->h, cause, TERN_CLOSED);
    demux_remove(t, self(t, c));
    stop_timers(c);
    conn_timer_off(t, &c->h);
    drop_send(t, c);
    if (c->rcv.ooo.head != 0 || c->rcv.fin_ooo)
        reasm_clear(t, &c->rcv);
    c->ack.now_cause = 0;
    c->ack.dup_owed = 0;
    c->face.error = error;
    if (c->rst_cause != 0)
        conn_ready(t, &c->h);
    if (c->listener != 0)
        listener_left(t, c);
    face_raise(t, &c->h, TERN_ENDED | TERN_READABLE | TERN_WRITABLE);
    if (unowned(c))
        put_on_dying(t, c);
}

/* RFC 9293 3.10.7.4: start the time-wait timer of 2 MSL (MUST-13), turn off the others. */
void tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    state_change(t, &c->h, cause, TERN_TIME_WAIT);
    stop_timers(c);
    drop_send(t, c);
    c->tm.life = TERN_TIMER_TIME_WAIT;
    c->tm.life_us = t->w->now + 2ull * settings(t)->msl_us;
    if (unowned(c))
        put_on_dying(t, c);
}

/* With a program behind it FIN_WAIT_2 may last; an orphan is given a time. */
static void bound_fin_wait_2(struct tern *t, struct tcb *c)
{
    c->tm.life = TERN_TIMER_FIN_WAIT_2;
    c->tm.life_us = t->w->now + settings(t)->fin_wait2_us;
}

/* Our FIN is acknowledged. */
void tcb_fin_wait_2(struct tern *t, struct tcb *c)
{
    state_change(t, &c->h, TERN_C_FIN_ACKED, TERN_FIN_WAIT_2);
    if (c->face.orphan)
        bound_fin_wait_2(t, c);
}

/* The program lets go. */
void tcb_release(struct tern *t, struct tcb *c)
{
    c->face.held = false;
    c->face.orphan = true;
    face_unlist(t, &c->h);
    chunkq_clear(t->a, &c->rcv.q);
    c->rcv.urgent = false;
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT)
        put_on_dying(t, c);
    if (c->h.state == TERN_FIN_WAIT_2) {
        bound_fin_wait_2(t, c);
        timer_rearm(t, c);
    }
}

/* The memory of a control block that nothing refers to any more. */
void tcb_discard(struct tern *t, struct tcb *c)
{
    idle_free(t, c);
    pool_put(t->a, &t->w->tcbs, self(t, c));
}

static void tcb_free(struct tern *t, struct tcb *c)
{
    trace_conn(t, &c->h, TERN_TRACE_RELEASED, c->h.cause, 0, 0, 0);
    conn_unready(t, &c->h);
    conn_timer_off(t, &c->h);
    face_unlist(t, &c->h);
    drop_send(t, c);
    if (c->rcv.ooo.head != 0)
        reasm_clear(t, &c->rcv);
    chunkq_clear(t->a, &c->rcv.q);
    t->w->wait_held -= c->h.state == TERN_TIME_WAIT;
    tcb_discard(t, c);
}

/* What it owes (the last ACK) it sends itself, and comes here again (tcb_said_all). Without memory for the
 * small record it stays what it is: larger, but right. */
static void to_small_record(struct tern *t, struct tcb *c)
{
    if (!c->h.ready && !c->ts.foreign && waiting_add(t, c))
        tcb_free(t, c);
}

void life_bury(struct tern *t)
{
    ref_t r = t->w->dying;
    t->w->dying = 0;
    while (r != 0) {
        struct tcb *c = tcb_at(t, r);
        r = c->aq.next;
        c->dying = false;
        c->aq.next = 0;
        if (c->h.state == TERN_TIME_WAIT)
            to_small_record(t, c);
        else if (c->rst_cause == 0)
            tcb_free(t, c);
        /* else: output sends the RST and puts it here again */
    }
}

void tcb_rst_sent(struct tern *t, struct tcb *c)
{
    c->rst_cause = 0;
    if (unowned(c))
        put_on_dying(t, c);
}

void tcb_said_all(struct tern *t, struct tcb *c)
{
    if (c->h.state == TERN_TIME_WAIT && unowned(c))
        put_on_dying(t, c);
}
