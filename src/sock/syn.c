/* syn.c - SYNs that wait for the program's word, at listeners that defer (RFC 9293 3.10.7.2 third, put
 * off). */
#include "sock/sock.h"

/* The pending SYN of a handle that tern_next_syn gave; NULL: it is gone. */
static struct halfopen *pending(struct tern *t, tern_handle syn)
{
    ref_t r = (ref_t)syn.v;
    uint32_t gen = (uint32_t)(syn.v >> 32);
    if (!pool_valid(t->a, &t->w->halfopens4, r, gen) && !pool_valid(t->a, &t->w->halfopens6, r, gen))
        return NULL;
    struct halfopen *h = at(t->a, r);
    return h->queue == QUEUE_TAKEN && listener_at(t, h->listener)->h.state == TERN_LISTEN ? h : NULL;
}

static void describe(struct tern *t, struct halfopen *h, tern_syn *out)
{
    struct who who;
    who_of(t, h, &who);
    memset(out, 0, sizeof *out);
    out->handle.v = (uint64_t)h->id << 32 | self(t, h);
    out->local = (tern_endpoint){who.local, who.local_port, 0};
    out->remote = (tern_endpoint){who.remote, who.remote_port, 0};
    if (ip_is_link_local6(&who.remote))
        out->remote.zone = who.link;
    out->arrived_us = backlog_opened_us(t, h);
    out->mss = (uint16_t)h->mss;
    out->wscale = h->snd_wscale != SHIFT_NONE;
    out->sack = h->sack;
    out->timestamps = h->ts;
    out->ecn = h->ecn;
}

int tern_next_syn(tern *t, tern_handle listener, tern_syn *out)
{
    int e;
    struct conn_head *head = sock_find(t, listener, &e);
    if (head == NULL)
        return e;
    struct listener *l = (struct listener *)head;
    if (head->kind != REC_LISTENER || !l->defer)
        return -TERN_EINVAL;
    if (l->queue[QUEUE_PENDING].head == 0)
        return -TERN_EAGAIN;
    struct halfopen *h = at(t->a, l->queue[QUEUE_PENDING].head);
    describe(t, h, out);
    backlog_remove(t, l, h);
    backlog_append(t, l, h, QUEUE_TAKEN);
    conn_timer(t, &l->h, backlog_due_us(t, h));
    return 0;
}

int tern_syn_accept(tern *t, tern_handle syn, uint64_t data, tern_handle *out)
{
    struct halfopen *h = pending(t, syn);
    if (h == NULL)
        return -TERN_EBADF;
    struct tcb *c = halfopen_grow(t, h, demux_pair_of(t, self(t, h)));
    if (c == NULL)
        return -TERN_ENOMEM;
    c->face.held = true;
    c->face.data = data;
    conn_ready(t, &c->h);
    t->w->stats.accepted++;
    *out = handle_of(t, &c->h);
    sock_trace(t, &c->h, TERN_CALL_ACCEPT, 0, 0);
    sock_done(t, c);
    return 0;
}

int tern_syn_reject(tern *t, tern_handle syn)
{
    struct halfopen *h = pending(t, syn);
    if (h == NULL)
        return -TERN_EBADF;
    reply_refusal(t, h);
    halfopen_end(t, h, TERN_C_SYN_REJECTED);
    return 0;
}

int tern_syn_ignore(tern *t, tern_handle syn)
{
    struct halfopen *h = pending(t, syn);
    if (h == NULL)
        return -TERN_EBADF;
    halfopen_end(t, h, TERN_C_SYN_IGNORED);
    return 0;
}
