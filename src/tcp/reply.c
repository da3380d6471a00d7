/* reply.c - answers that belong to no record: RST by RFC 9293 3.5.2. They wait in a small ring for tern_tx;
 * when it is full the answer is not given (and counted), since the peer will ask again.
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
    r->seq = at_seq;
    r->ack = ack;
    r->flags = flags;
    r->cause = (uint16_t)cause;
}

/* 3.5.2 group 1 and 3.10.7.1: with ACK <SEQ=SEG.ACK><CTL=RST>, else
 * <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. */
void reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause)
{
    if (cause == TERN_C_NO_CONNECTION && !settings(t)->rst_unclaimed)
        return;
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){.src = s->dst, .dst = s->src, .link = s->link};
    r->src_port = s->dst_port;
    r->dst_port = s->src_port;
    enum tern_cause why = cause == TERN_C_NO_CONNECTION ? TERN_C_SEND_RST_CLOSED : TERN_C_SEND_RST_BAD_ACK;
    if (s->flags & F_ACK)
        rst(r, s->ack, seq(0), F_RST, why);
    else
        rst(r, seq(0), seq_add(s->seq, seg_len(s)), F_RST | F_ACK, why);
}

/* RST for a record that is about to go. */
void reply_rst_for(struct tern *t, const struct conn_head *h, seq_t at_seq)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){.src = h->local, .dst = h->remote, .link = h->link};
    r->src_port = h->local_port;
    r->dst_port = h->remote_port;
    rst(r, at_seq, seq(0), F_RST, TERN_C_SEND_RST_ABORT);
}

bool reply_output(struct tern *t, tern_tx_packet *out)
{
    struct world *w = t->w;
    if (w->reply_count == 0)
        return false;
    const struct reply *r = &w->replies[w->reply_head];
    struct segment s;
    memset(&s, 0, sizeof s);
    s.src = r->src, s.dst = r->dst;
    s.src_port = r->src_port, s.dst_port = r->dst_port;
    s.seq = r->seq, s.ack = r->ack;
    s.flags = r->flags;
    s.link = r->link;
    s.ttl = w->set.ttl;
    s.opt.wscale = WSCALE_NONE;
    w->stats.resets_out++;
    trace_segment(t, NULL, TERN_TRACE_SEG_OUT, &s, r->cause, 0);
    w->reply_head = (w->reply_head + 1) % REPLIES;
    w->reply_count--;
    tcp_build(t, &s, 0, out);
    return true;
}
