/* open.c - OPEN, passive and active, and accept (RFC 9293 3.9.1.1, 3.10.1). */
#include "sock/sock.h"

#define BACKLOG_DEFAULT 128u
#define BACKLOG_MOST    (1u << 24)

static struct listener *listener_new(struct tern *t, const tern_endpoint *local, uint32_t backlog,
                                     unsigned flags)
{
    ref_t me = pool_get(t->a, &t->w->listener_pool, MEM_DATA);
    if (me == 0)
        return NULL;
    struct listener *l = listener_at(t, me);
    l->h.kind = REC_LISTENER;
    l->h.local = local->ip;
    l->h.local_port = local->port;
    l->h.link = (uint8_t)local->zone;
    l->h.conn = conn_number(t);
    l->h.opened_us = t->w->now;
    l->backlog = backlog != 0 ? backlog : BACKLOG_DEFAULT;
    l->foreign = (flags & TERN_LISTEN_FOREIGN) != 0;
    l->defer = (flags & TERN_LISTEN_DEFER) != 0;
    l->face.held = true;
    l->set = t->w->defaults;
    if (!demux_listener_insert(t, l)) {
        pool_put(t->a, &t->w->listener_pool, me);
        return NULL;
    }
    return l;
}

/* MUST-41: a new record or a failure; nothing that exists is touched. MUST-42: connections on the port do not
 * matter. */
int tern_listen_as(tern *t, const tern_endpoint *local, uint32_t backlog, unsigned flags, tern_handle *out)
{
    bool any = ip_is_unspecified(&local->ip), foreign = (flags & TERN_LISTEN_FOREIGN) != 0;
    if ((local->port == 0) != ((flags & TERN_LISTEN_ANY_PORT) != 0) || backlog > BACKLOG_MOST ||
        flags > (TERN_LISTEN_ANY_PORT | TERN_LISTEN_FOREIGN | TERN_LISTEN_DEFER))
        return -TERN_EINVAL;
    if (foreign && !any && !ip_valid_peer(&t->w->ip, &local->ip))
        return -TERN_EADDRNOTAVAIL;
    if (local->zone != 0 && !ip_link_known(&t->w->ip, local->zone))
        return -TERN_ENODEV;
    if (!any && !foreign && ip_addr_at(&t->w->ip, &local->ip, local->zone) == NULL)
        return -TERN_EADDRNOTAVAIL;
    tern_endpoint at = *local;
    if (any)
        memset(&at.ip, 0, sizeof at.ip);
    if (demux_listener_exact(t, &at.ip, at.port, (uint8_t)at.zone) != NULL)
        return -TERN_EADDRINUSE;
    struct listener *l = listener_new(t, &at, backlog, flags);
    if (l == NULL)
        return -TERN_ENOMEM;
    state_change(t, &l->h, TERN_C_PASSIVE_OPEN, TERN_LISTEN);
    *out = handle_of(t, &l->h);
    return 0;
}

int tern_listen(tern *t, const tern_endpoint *local, uint32_t backlog, tern_handle *out)
{
    return tern_listen_as(t, local, backlog, 0, out);
}

/* What the program must know of a connection that lived before it was accepted. */
static uint32_t bits_now(const struct tcb *c)
{
    uint32_t bits = 0;
    if (c->rcv.q.len > 0 || c->rcv.fin_rcvd || c->h.state == TERN_CLOSED)
        bits |= TERN_READABLE;
    if (c->rcv.fin_rcvd)
        bits |= TERN_PEER_CLOSED;
    if (c->rcv.urgent)
        bits |= TERN_URGENT;
    if (c->h.state == TERN_CLOSED)
        bits |= TERN_ENDED | TERN_WRITABLE;
    return bits;
}

int tern_accept(tern *t, tern_handle listener, tern_handle *out)
{
    int e;
    struct conn_head *head = sock_find(t, listener, &e);
    if (head == NULL)
        return e;
    if (head->kind != REC_LISTENER)
        return -TERN_EINVAL;
    struct listener *l = (struct listener *)head;
    struct tcb *c = listener_dequeue(t, l);
    if (c == NULL)
        return -TERN_EAGAIN;
    c->face.held = true;
    face_raise(t, &c->h, bits_now(c));
    if (c->h.state != TERN_CLOSED)
        shortage_opened(t, c);
    if (l->aq.head != 0)
        face_raise(t, &l->h, TERN_ACCEPTABLE);
    t->w->stats.accepted++;
    *out = handle_of(t, &c->h);
    sock_trace(t, &c->h, TERN_CALL_ACCEPT, 0, 0);
    sock_done(t, c);
    return 0;
}

/* The record in TIME_WAIT whose port this connection takes gives way (ports.c). The new ISS lies above its
 * numbers. It may have been given up for memory since it was chosen. */
static seq_t take_over(struct tern *t, const struct tcb *c)
{
    tern_endpoint local = {c->h.local, c->h.local_port, 0}, remote = {c->h.remote, c->h.remote_port, 0};
    ref_t old = demux_find(t, &local, &remote, c->h.link);
    if (old == 0)
        return isn_make(t, &c->h);
    seq_t iss = isn_make_above(t, &c->h, time_wait_snd_nxt(t, old));
    waiting_end(t, old, TERN_C_TIME_WAIT_REOPENED);
    t->w->stats.time_wait_reopened++;
    return iss;
}

static seq_t isn_of(struct tern *t, const struct tcb *c)
{
    tern_endpoint local = {c->h.local, c->h.local_port, 0}, remote = {c->h.remote, c->h.remote_port, 0};
    return isn_for(t, &local, &remote, c->h.link);
}

static void prepare(struct tern *t, struct tcb *c, bool in_time_wait)
{
    struct snd *s = &c->snd;
    c->h.conn = conn_number(t);
    s->iss = in_time_wait ? take_over(t, c) : isn_of(t, c);
    s->una = s->nxt = s->small = s->iss;
    chunkq_init(&s->q, s->iss.v + 1);
    sendlist_init(&c->list, s->iss);
    c->rcv.adv = seq_add(c->rcv.nxt, min_u32(c->rcv.buffer, 65535));
    chunkq_init(&c->rcv.q, c->rcv.nxt.v);
    c->opt.ecn = c->set.ecn == TERN_ECN_ON;
    c->face.held = true;
}

int tern_connect(tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_handle *out)
{
    struct choice from;
    int e = choose(t, local, remote, &from);
    if (e < 0)
        return e;
    struct tcb *c = tcb_new(t, &from.local, remote, from.home, from.way, &t->w->defaults);
    if (c == NULL)
        return -TERN_ENOMEM;
    bool in_time_wait = e == PORT_IN_TIME_WAIT;
    prepare(t, c, in_time_wait);
    if (in_time_wait ? !demux_insert(t, self(t, c)) : !demux_insert_gap(t, self(t, c), &from.gap)) {
        tcb_discard(t, c);
        return -TERN_ENOMEM;
    }
    t->w->stats.opens_active++;
    trace_conn(t, &c->h, TERN_TRACE_OPENED, TERN_C_ACTIVE_OPEN, 0, 0, 0);
    sock_trace(t, &c->h, TERN_CALL_CONNECT, 0, 0);
    state_change(t, &c->h, TERN_C_ACTIVE_OPEN, TERN_SYN_SENT);
    conn_ready(t, &c->h);
    *out = handle_of(t, &c->h);
    return 0;
}
