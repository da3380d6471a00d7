/* reply.c - answers that are made without a record: RST by RFC 9293 3.5.2, and the ACKs of the small records,
 * which have no room for a place on the ready list, and the SYN+ACKs that a peer asks for again. They wait in
 * a small ring for tern_tx; when it is full the answer is not given (and counted), since the peer will ask
 * again.
 */
#include "tcp/tcp.h"

static struct reply *slot(struct tern *t)
{
    struct world *w = t->w;
    if (w->reply_count == REPLIES) {
        w->stats.dropped[TERN_C_REPLIES_FULL]++;
        return NULL;
    }
    return &w->replies[(w->reply_head + w->reply_count++) % REPLIES];
}

static void rst(struct reply *r, seq_t at_seq, seq_t ack, uint8_t flags, enum tern_cause cause)
{
    r->opt.wscale = WSCALE_NONE;
    r->seq = at_seq;
    r->ack = ack;
    r->flags = flags;
    r->cause = (uint16_t)cause;
}

/* An answer to a segment, the other way round, in which nothing is said yet. NULL: no room. */
struct reply *reply_to(struct tern *t, const struct segment *s)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return NULL;
    *r = (struct reply){.who = {.local = s->dst, .remote = s->src, .link = s->link}};
    r->who.local_port = s->dst_port;
    r->who.remote_port = s->src_port;
    return r;
}

/* 3.5.2 group 1 and 3.10.7.1: with ACK <SEQ=SEG.ACK><CTL=RST>, else
 * <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. With timestamps if the segment has them (RFC7323-5.2-bc). */
void reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause)
{
    if (cause == TERN_C_NO_CONNECTION && !settings(t)->rst_unclaimed)
        return;
    struct reply *r = reply_to(t, s);
    if (r == NULL)
        return;
    r->who.ttl = settings(t)->ttl;
    enum tern_cause why = cause == TERN_C_NO_CONNECTION ? TERN_C_SEND_RST_CLOSED : TERN_C_SEND_RST_BAD_ACK;
    if (s->flags & F_ACK)
        rst(r, s->ack, seq(0), F_RST, why);
    else
        rst(r, seq(0), seq_add(s->seq, seg_len(s)), F_RST | F_ACK, why);
    r->opt.ts = s->opt.ts;
    r->opt.ts_ecr = s->opt.ts_val;
}

/* RST for a record that is about to go; with timestamps if they were agreed (RFC7323-5.2-d). */
void reply_rst_for(struct tern *t, const struct halfopen *h, seq_t at_seq)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){0};
    who_of(t, h, &r->who);
    rst(r, at_seq, seq(0), F_RST, TERN_C_SEND_RST_ABORT);
    r->opt.ts = h->ts;
}

/* 3.10.7.1, as if nobody listened. */
void reply_refusal(struct tern *t, const struct halfopen *h)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){0};
    who_of(t, h, &r->who);
    rst(r, seq(0), seq_add(h->irs, 1), F_RST | F_ACK, TERN_C_SEND_RST_REJECTED);
    r->opt.ts = h->ts;
    r->opt.ts_ecr = h->ts_recent;
}

void reply_ack_for(struct tern *t, const void *record, const struct reply_ack *a, enum tern_cause why)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){
        .seq = a->seq,
        .ack = a->ack,
        .wnd = a->wnd,
        .cause = (uint16_t)why,
        .flags = F_ACK,
        .opt = {.wscale = WSCALE_NONE, .ts = a->ts, .ts_ecr = a->ts_ecr},
    };
    who_of(t, record, &r->who);
}

static struct reply synack_as_reply(const struct who *who, const struct reply_synack *a, enum tern_cause why)
{
    return (struct reply){
        .who = *who,
        .seq = a->iss,
        .ack = seq_add(a->irs, 1),
        .wnd = a->wnd,
        .cause = (uint16_t)why,
        .flags = F_SYN | F_ACK | (a->ecn ? F_ECE : 0),
        .opt = a->opt,
    };
}

void reply_synack(struct tern *t, const struct who *who, const struct reply_synack *a)
{
    struct reply *r = slot(t);
    if (r != NULL)
        *r = synack_as_reply(who, a, TERN_C_SEND_SYNACK);
}

/* A cookie's is given, and that of a RST which answers a segment is 0 (RFC7323-5.2-c). */
static bool stamps_now(const struct reply *r)
{
    return r->opt.ts && !r->cookie && (!(r->flags & F_RST) || r->cause == TERN_C_SEND_RST_ABORT);
}

static void fill(struct tern *t, const struct reply *r, struct segment *s)
{
    memset(s, 0, offsetof(struct segment, opt));
    s->src = r->who.local, s->dst = r->who.remote;
    s->src_port = r->who.local_port, s->dst_port = r->who.remote_port;
    s->link = ip_way(&t->w->ip, &r->who.local, &r->who.remote, r->who.link);
    s->ttl = r->who.ttl;
    s->tos = r->who.tos;
    s->seq = r->seq, s->ack = r->ack;
    s->wnd = r->wnd;
    s->flags = r->flags;
    s->opt = r->opt;
    if (stamps_now(r))
        s->opt.ts_val = stamp_now(t, stamp_offset(t, &s->src, &s->dst));
}

static bool build(struct tern *t, const struct reply *r, bool again, tern_tx_packet *out)
{
    struct segment s;
    fill(t, r, &s);
    if (s.link == 0 || s.flags == 0)
        return false; /* there is no way to it, or it was taken back */
    t->w->stats.resets_out += (r->flags & F_RST) != 0;
    trace_segment_of(t, &r->who, TERN_TRACE_SEG_OUT, &s, r->cause, again);
    tcp_build(t, &s, 0, out);
    return true;
}

bool synack_build(struct tern *t, const struct who *who, const struct reply_synack *a, enum tern_cause why,
                  bool again, tern_tx_packet *out)
{
    struct reply r = synack_as_reply(who, a, why);
    return build(t, &r, again, out);
}

/* The address is ours no more: what was to be said from it is not. */
void reply_forget(struct tern *t, const tern_ip *local)
{
    struct world *w = t->w;
    for (uint32_t i = 0; i < w->reply_count; i++) {
        struct reply *r = &w->replies[(w->reply_head + i) % REPLIES];
        if (ip_eq(&r->who.local, local))
            r->flags = 0;
    }
}

static bool take(struct tern *t, tern_tx_packet *out)
{
    struct world *w = t->w;
    const struct reply *r = &w->replies[w->reply_head];
    w->reply_head = (w->reply_head + 1) % REPLIES;
    w->reply_count--;
    return build(t, r, (r->flags & F_SYN) != 0 && !r->cookie, out);
}

bool reply_output(struct tern *t, tern_tx_packet *out)
{
    while (t->w->reply_count > 0)
        if (take(t, out))
            return true;
    return false;
}
