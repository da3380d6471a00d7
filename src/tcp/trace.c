/* trace.c - what TCP does, as binary records for people (event.h). Asked only while a ring is given
 * (tcp.h). */
#include "tcp/tcp.h"

static void fill(struct tern *t, const struct who *w, tern_trace_record *r, enum tern_trace_kind kind,
                 enum tern_cause cause)
{
    r->t_us = t->w->now;
    r->kind = (uint8_t)kind;
    r->cause = (uint16_t)cause;
    r->conn = w->conn;
    r->state = r->state_to = w->state;
    r->link = w->link;
    r->local = w->local;
    r->remote = w->remote;
    r->local_port = w->local_port;
    r->remote_port = w->remote_port;
    r->iss = w->iss.v;
    r->irs = w->irs.v;
}

void trace_conn_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                      enum tern_cause cause, uint64_t a, uint64_t b, uint64_t c)
{
    struct who w;
    tern_trace_record *r = trace_next(&t->trace);
    who_of(t, record, &w);
    fill(t, &w, r, kind, cause);
    r->a = a;
    r->b = b;
    r->c = c;
}

void trace_state_write(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                       enum tern_state to)
{
    struct who w;
    tern_trace_record *r = trace_next(&t->trace);
    who_of(t, record, &w);
    fill(t, &w, r, TERN_TRACE_STATE, cause);
    r->state = (uint8_t)from;
    r->state_to = (uint8_t)to;
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
static uint32_t wnd_bytes(const struct who *w, const struct segment *s, bool in)
{
    if (s->flags & F_SYN)
        return s->wnd;
    return (uint32_t)s->wnd << (in ? w->snd_wscale : w->rcv_wscale);
}

static void fill_segment(const struct who *w, const struct segment *s, bool out, tern_trace_record *r)
{
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
    r->wnd = wnd_bytes(w, s, !out);
    r->gso_size = s->gso_size;
    r->up = s->up;
    fill_options(s, r);
}

void trace_segment_of_write(struct tern *t, const struct who *w, enum tern_trace_kind kind,
                            const struct segment *s, enum tern_cause cause, uint64_t a)
{
    tern_trace_record *r = trace_next(&t->trace);
    fill(t, w, r, kind, cause);
    fill_segment(w, s, kind == TERN_TRACE_SEG_OUT, r);
    r->a = a;
}

void trace_segment_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                         const struct segment *s, enum tern_cause cause, uint64_t a)
{
    struct who w;
    who_of(t, record, &w);
    trace_segment_of_write(t, &w, kind, s, cause, a);
}
