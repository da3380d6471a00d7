/* who.c - who a record is: connection number, addresses, ports and state, whatever its kind.
 *
 * A connection is identified by its pair of sockets (RFC 9293 4). The records have little else in common,
 * because each is as small as it can be; what speaks about all of them (the trace, answers without a control
 * block, the table's hash) asks here.
 */
#include "tcp/tcp.h"

static void of_head(const struct conn_head *h, struct who *out)
{
    out->conn = h->conn;
    out->local = h->local;
    out->remote = h->remote;
    out->local_port = h->local_port;
    out->remote_port = h->remote_port;
    out->state = h->state;
    out->link = h->link;
    out->tos = h->tos;
    out->ttl = h->ttl;
}

static void of_tcb(const struct tcb *c, struct who *out)
{
    of_head(&c->h, out);
    out->iss = c->snd.iss;
    out->irs = c->rcv.irs;
    out->snd_wscale = c->opt.snd_wscale;
    out->rcv_wscale = c->opt.rcv_wscale;
}

static void of_idle(const struct tern *t, const struct idle *i, struct who *out)
{
    idle_addresses(t, i, &out->local, &out->remote);
    out->conn = idle_conn(i);
    out->local_port = i->local_port;
    out->remote_port = i->remote_port;
    out->state = i->state;
    out->link = i->link;
    out->tos = (uint8_t)(i->dscp << 2);
    out->ttl = i->ttl;
    out->iss = i->iss;
    out->irs = i->irs;
    out->snd_wscale = i->wscales >> 4;
    out->rcv_wscale = i->wscales & 15;
}

/* The newest number that ends so: no record is 2^32 connections old. */
uint64_t conn_widened(const struct tern *t, uint32_t id)
{
    uint64_t next = t->w->next_conn;
    uint64_t conn = (next & ~(uint64_t)UINT32_MAX) | id;
    return conn <= next ? conn : conn - ((uint64_t)1 << 32);
}

static void of_halfopen(const struct tern *t, const struct halfopen *h, struct who *out)
{
    const struct listener *l = at_const(t->a, h->listener);
    out->conn = conn_widened(t, h->id);
    halfopen_ips(t, h, &out->local, &out->remote);
    out->local_port = h->local_port;
    out->remote_port = h->remote_port;
    out->state = TERN_SYN_RCVD;
    out->link = h->link;
    out->tos = (uint8_t)(l->set.dscp << 2);
    out->ttl = l->set.ttl;
    out->iss = h->iss;
    out->irs = h->irs;
    if (h->snd_wscale != SHIFT_NONE) {
        out->snd_wscale = h->snd_wscale;
        out->rcv_wscale = h->rcv_wscale;
    }
}

void who_of(const struct tern *t, const void *record, struct who *out)
{
    memset(out, 0, sizeof *out);
    ref_t r = ref_of(t->a, record);
    switch (rec_kind(t, r)) {
    case REC_TCB: of_tcb(record, out); break;
    case REC_IDLE: of_idle(t, record, out); break;
    case REC_HALFOPEN: of_halfopen(t, record, out); break;
    case REC_TIMEWAIT: waiting_who(t, r, out); break;
    case REC_LISTENER: of_head(&((const struct listener *)record)->h, out); break;
    case REC_NONE: ASSERT(false);
    }
}
