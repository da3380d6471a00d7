/* trace.c - what TCP does, as binary records for people (event.h). Costs one branch while no ring is
 * given. */
#include "tcp/tcp.h"

static void fill_numbers(const struct conn_head *h, tern_trace_record *r)
{
    if (h->kind == REC_TCB) {
        const struct tcb *c = (const struct tcb *)h;
        r->iss = c->snd.iss.v;
        r->irs = c->rcv.irs.v;
    } else if (h->kind == REC_HALFOPEN) {
        const struct halfopen *o = (const struct halfopen *)h;
        r->iss = o->iss.v;
        r->irs = o->irs.v;
    }
}

void trace_fill(struct tern *t, const struct conn_head *h, tern_trace_record *r, enum tern_trace_kind kind,
                enum tern_cause cause)
{
    r->t_us = t->w->now;
    r->kind = (uint8_t)kind;
    r->cause = (uint16_t)cause;
    if (h == NULL)
        return;
    r->conn = h->conn;
    r->state = r->state_to = h->state;
    r->link = h->link;
    r->local = h->local;
    r->remote = h->remote;
    r->local_port = h->local_port;
    r->remote_port = h->remote_port;
    fill_numbers(h, r);
}

void trace_conn(struct tern *t, const struct conn_head *h, enum tern_trace_kind kind, enum tern_cause cause,
                uint64_t a, uint64_t b, uint64_t c)
{
    tern_trace_record *r = trace_next(&t->trace);
    if (r == NULL)
        return;
    trace_fill(t, h, r, kind, cause);
    r->a = a;
    r->b = b;
    r->c = c;
}

static void fill_options(const struct segment *s, tern_trace_record *r)
{
    r->ts_val = s->opt.ts ? s->opt.ts_val : 0;
    r->ts_ecr = s->opt.ts ? s->opt.ts_ecr : 0;
    r->mss = s->opt.mss;
    r->wscale = s->opt.wscale == WSCALE_NONE ? 0 : (uint8_t)(s->opt.wscale + 1);
    r->n_sack = s->opt.n_sack;
}

/* Window in bytes: SYNs are never scaled (RFC 7323 2.2). */
static uint32_t wnd_bytes(const struct conn_head *h, const struct segment *s, bool in)
{
    const struct agreed *opt = NULL;
    if (h != NULL && h->kind == REC_TCB)
        opt = &((const struct tcb *)h)->opt;
    else if (h != NULL && h->kind == REC_HALFOPEN)
        opt = &((const struct halfopen *)h)->opt;
    if (opt == NULL || (s->flags & F_SYN))
        return s->wnd;
    return (uint32_t)s->wnd << (in ? opt->snd_wscale : opt->rcv_wscale);
}

void trace_segment(struct tern *t, const struct conn_head *h, enum tern_trace_kind kind,
                   const struct segment *s, enum tern_cause cause, uint64_t a)
{
    tern_trace_record *r = trace_next(&t->trace);
    if (r == NULL)
        return;
    bool out = kind == TERN_TRACE_SEG_OUT;
    trace_fill(t, h, r, kind, cause);
    r->local = out ? s->src : s->dst;
    r->remote = out ? s->dst : s->src;
    r->local_port = out ? s->src_port : s->dst_port;
    r->remote_port = out ? s->dst_port : s->src_port;
    r->tcp_flags = s->flags;
    r->ecn = s->tos & 3;
    r->link = s->link;
    r->seq = s->seq.v;
    r->ack = s->ack.v;
    r->len = s->len;
    r->wnd = wnd_bytes(h, s, !out);
    r->gso_size = s->gso_size;
    r->up = s->up;
    r->a = a;
    fill_options(s, r);
}
