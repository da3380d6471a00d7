/* output.c - a plan becomes a packet, and what was sent is noted. The only place where segments of a control
 * block are born; half-open and TIME_WAIT records have but one or two kinds to send and make them themselves.
 *
 * Nothing nests: input, timers and calls put the connection on the ready list, tern_tx asks here until
 * nothing is left.
 */
#include "tcp/plan.h"

/* The head common to all segments of a record: one local address (MUST-45), Diffserv as it is now
 * (SHLD-22). */
void segment_from_head(const struct conn_head *h, uint8_t link, struct segment *s)
{
    s->src = h->local;
    s->dst = h->remote;
    s->src_port = h->local_port;
    s->dst_port = h->remote_port;
    s->seq = s->ack = seq(0);
    s->wnd = s->up = 0;
    s->flags = 0;
    s->tos = h->tos;
    s->ttl = h->ttl;
    s->link = link;
    s->fragments = false;
    s->gso_size = 0;
    s->data = NULL;
    s->len = 0;
    s->keep = NULL;
    s->pair = s->found = s->found_at = 0;
    s->opt.mss = 0;
    s->opt.wscale = WSCALE_NONE;
    s->opt.sack_ok = s->opt.ts = false;
    s->opt.n_sack = 0; /* which are then not looked at */
    s->opt.ts_val = s->opt.ts_ecr = 0;
}

/* By the codecs, step by step. Returns the length of the IP header. */
static uint16_t build_any(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out)
{
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s->opt, s->flags));
    /* DF on all else, ECN-capable or not (RFC7323-5.7-a, RFC3168-5.3-a). RFC 6864 4.1: only what may be cut
     * needs an identification; a counter would tell of our traffic */
    uint16_t id = s->fragments ? t->w->ip.id++ : 0;
    uint16_t ip_len = ip_emit(out->hdr, &s->src, &s->dst, PROTO_TCP, s->ttl, s->tos, tcp_len + payload, id);
    if (s->fragments && tern_ip_is4(&s->dst))
        ip4_allow_fragments(out->hdr);
    uint8_t *tcp = out->hdr + ip_len;
    uint16_t wrote = tcp_emit(tcp, s);
    ASSERT(wrote == tcp_len);
    out->hdr_len = (uint16_t)(ip_len + tcp_len);
    uint64_t sum = csum_pseudo(&s->src, &s->dst, PROTO_TCP, tcp_len + payload);
    if (t->w->ip.links[s->link].tx_csum) {
        out->flags |= TERN_TX_CSUM;
        put16(tcp + 16, (uint16_t)~csum_fold(sum));
    } else {
        sum = csum_add(sum, tcp, tcp_len);
        sum = csum_slices(sum, out->slices, out->n_slices, t->sum);
        put16(tcp + 16, csum_fold(sum));
    }
    return ip_len;
}

/* A short one with the usual headers; 0: it is not. */
static uint16_t build_plain(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out)
{
    if (by_steps(t) || payload > PLAIN_MOST || out->n_slices > 1 || t->w->ip.links[s->link].tx_csum)
        return 0;
    out->hdr_len = plain_emit(out->hdr, s, payload, out->n_slices > 0 ? out->slices[0].data : NULL);
    return out->hdr_len > 0 ? PLAIN_IP : 0;
}

/* Everything written by the codecs, the checksum here or by the link (MUST-2); payload slices stand in `out`
 * already. */
void tcp_build(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out)
{
    if (payload == 0)
        out->n_slices = 0;
    out->flags = tern_ip_is4(&s->dst) ? 0 : TERN_TX_IP6;
    uint16_t ip_len = build_plain(t, s, payload, out);
    if (UNLIKELY(ip_len == 0))
        ip_len = build_any(t, s, payload, out);
    out->link = s->link;
    out->len = out->hdr_len + payload;
    out->gso_size = s->gso_size;
    out->csum_start = ip_len;
    out->csum_offset = 16;
    out->not_before = 0;
    t->w->stats.segs_out++;
}

/* An MSS on each SYN, whatever it is (MUST-14, SHLD-5, MAY-3); window scale, of 0 too (RFC7323-2.2-abd), and
 * timestamps (RFC7323-3.2-d) where they may be; SACK-permitted (RFC2018-2-a). */
static void syn_options(struct tern *t, struct tcb *c, struct segment *s)
{
    const struct settings *set = settings(t);
    bool answer = c->h.state != TERN_SYN_SENT;
    uint8_t shift = set->wscale ? options_wscale(c->set.recv_buffer) : WSCALE_NONE;
    if (answer)
        shift = c->opt.wscale ? c->opt.rcv_wscale : WSCALE_NONE;
    uint32_t mss = c->set.max_seg != 0 ? min_u32(c->set.max_seg, c->snd.mtu_mss) : c->snd.mtu_mss;
    s->opt = (struct tcp_opts){
        .mss = (uint16_t)mss,
        .wscale = shift,
        .sack_ok = answer ? c->opt.sack : set->sack,
        .ts = answer ? c->opt.ts : set->timestamps,
        .ts_val = stamp_now(t, c->ts.offset),
        .ts_ecr = answer ? c->ts.recent : 0,
    };
    if (c->opt.ecn)
        s->flags |= answer ? F_ECE : F_ECE | F_CWR; /* RFC3168-6.1.1-bg: else both stay clear */
    if (!answer && c->tm.retries >= 2) { /* RFC3168-6.1.1.1-b: a path that drops ECN SYNs */
        s->flags &= (uint8_t)~(F_ECE | F_CWR);
        c->snd.no_ect = true;
    }
}

/* Timestamps, once agreed, on each segment, RST or not (RFC7323-3.2-fg, RFC7323-5.2-d), with an echo if it
 * has ACK (RFC7323-3.2-ab); SACK, once agreed, on each one while there is a gap (RFC2018-4-abcd). */
static void data_options(struct tern *t, struct tcb *c, struct segment *s)
{
    s->opt.ts = c->opt.ts;
    s->opt.ts_val = stamp_now(t, c->ts.offset);
    s->opt.ts_ecr = s->flags & F_ACK ? c->ts.recent : 0;
    uint8_t blocks = UNLIKELY(c->rcv.ooo.head != 0) && c->opt.sack ? sack_blocks(c, s->len > 0) : 0;
    if (blocks > 0 && !(s->flags & F_RST))
        s->opt.n_sack = reasm_sack(t, &c->rcv, s->opt.sack, blocks);
}

/* SHLD-8: ECE as long as it is owed (RFC3168-6.1.3-b), ECT(0) on new data (RFC3168-5-a, RFC3168-6.1.2-a) if
 * both sides have set ECN up (RFC3168-6.1.1-c), and CWR on the first after a reduction (RFC3168-6.1.1-e,
 * RFC3168-6.1.2-ef). Nothing else has them, since nobody would notice its loss (RFC3168-5.2-ab): not SYNs
 * (RFC3168-6.1.1-i), pure ACKs (RFC3168-6.1.4-a), repetitions (RFC3168-6.1.5-a), probes (RFC3168-6.1.6-a). */
static void ecn_flags(struct tcb *c, struct segment *s, const struct plan *p)
{
    if (!c->opt.ecn || (s->flags & (F_SYN | F_RST)))
        return;
    if (c->ack.ece)
        s->flags |= F_ECE;
    if (s->len == 0 || p->again || p->probe || c->snd.no_ect)
        return;
    s->tos |= ECN_ECT0;
    if (c->snd.cwr) {
        s->flags |= F_CWR;
        c->snd.cwr = false;
    }
}

/* RFC 9293 3.8.5, MUST-30, MUST-62. */
static void urgent_flags(struct tcb *c, struct segment *s)
{
    if (!c->snd.urgent || (s->flags & (F_SYN | F_RST)))
        return;
    if (!seq_gt(c->snd.up, s->seq))
        return;
    s->flags |= F_URG;
    s->up = (uint16_t)min_u32(seq_span(s->seq, c->snd.up), 65535); /* MUST-31: longer runs, piece by piece */
}

static void fill(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload, struct segment *s)
{
    segment_from_head(&c->h, c->snd.link, s);
    s->flags = p->flags;
    s->seq = p->start;
    s->len = payload;
    if (!p->no_ack_flag && c->h.state != TERN_SYN_SENT) {
        s->flags |= F_ACK;
        s->ack = c->rcv.nxt;
    }
    if (s->flags & F_SYN) {
        syn_options(t, c, s);
        s->wnd = (uint16_t)min_u32(rcv_wnd(&c->rcv), 65535); /* RFC7323-2.2-g */
    } else {
        data_options(t, c, s);
        s->wnd = p->flags & F_RST ? 0 : window_offer(t, c);
    }
    ecn_flags(c, s, p);
    urgent_flags(c, s);
    s->fragments = c->snd.narrow;
    uint32_t full = full_size(c);
    s->gso_size = (uint16_t)(payload > full ? full : 0);
}

void trace_plan(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct segment s;
    fill(t, c, p, payload, &s);
    trace_segment(t, &c->h, TERN_TRACE_SEG_OUT, &s, p->why, p->probe ? 2 : p->again);
}

static uint32_t plan_bytes(const struct plan *p)
{
    return p->len - ((p->flags & F_SYN) != 0) - ((p->flags & F_FIN) != 0);
}

/* Slices of the payload; fewer bytes than wanted only when they would not fit into one packet. */
static uint32_t payload_slices(struct tern *t, struct tcb *c, struct plan *p, ref_t *chunk,
                               tern_tx_packet *out)
{
    uint32_t bytes = plan_bytes(p), got = 0;
    out->n_slices = 0;
    if (bytes == 0)
        return 0;
    seq_t from = seq_add(p->start, (p->flags & F_SYN) != 0);
    int n =
        chunkq_slices(t->a, &t->regions, &c->snd.q, from.v, bytes, chunk, out->slices, TERN_TX_SLICES, &got);
    out->n_slices = (uint16_t)n;
    return got;
}

/* More bytes than slices: the packet ends at the last whole segment that fits. False: no memory to split its
 * record. */
static bool shorten(struct tern *t, struct tcb *c, struct plan *p, uint32_t got, tern_tx_packet *out,
                    ref_t *chunk)
{
    uint32_t full = full_size(c), syn = (p->flags & F_SYN) != 0;
    p->len = syn + (got > full ? got / full * full : got);
    p->flags &= (uint8_t)~(F_FIN | F_PSH);
    if (p->again && sendlist_split(t, &c->list, p->rec, p->len) == NULL)
        return false;
    payload_slices(t, c, p, chunk, out);
    return true;
}

/* What is sent for the first time has a record before it leaves: without one it would never be repeated.
 * Short of memory, the last record takes it along. */
bool take_record(struct tern *t, struct tcb *c, const struct plan *p, ref_t chunk)
{
    if (p->again || p->len == 0 || (p->flags & F_RST))
        return true;
    struct sendrec *r = sendlist_add(t, &c->list, p->start, p->len, c->snd.mss, chunk);
    return r != NULL || sendlist_extend_tail(t, &c->list, p->len, c->snd.mss);
}

/* The acknowledgment that every segment with ACK is. */
static void acked(struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct acker *k = &c->ack;
    bool pure = payload == 0 && p->len == 0;
    if (k->dup_owed > 0 && pure)
        k->dup_owed--;
    k->now_cause = k->dup_owed > 0 ? TERN_C_SEND_ACK_DUP : 0;
    k->bytes = 0;
    k->delack_us = 0;
    c->ts.last_ack_sent = c->rcv.nxt;
}

static void sent_again(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    sendlist_resent(t, &c->list, p->rec, c->snd.mss);
    if (p->why == TERN_C_SEND_SYNACK)
        return;
    c->sum.retransmits++;
    c->sum.retransmitted += payload;
    if (c->undo.resent == 0)
        c->undo.stamp = stamp_now(t, c->ts.offset);
    if (p->why != TERN_C_SEND_TAIL_PROBE)
        c->undo.resent += payload;
    t->w->stats.retransmits++;
    if (p->why == TERN_C_SEND_FAST_RETRANSMIT || p->why == TERN_C_SEND_PARTIAL_RETRANSMIT) {
        c->sum.fast_retransmits++;
        t->w->stats.fast_retransmits++;
    }
}

static void sent_new(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct snd *n = &c->snd;
    n->nxt = seq_add(p->start, p->len);
    if (p->flags & F_FIN)
        n->fin_sent = true;
    if (payload > 0 && payload % full_size(c) != 0 && !p->probe)
        n->small = n->nxt;
    if (payload > 0)
        n->last_us = t->w->now;
    n->blocked_us = 0;
    if (p->why == TERN_C_SEND_LIMITED)
        c->rec.lead += payload;
    c->sum.sent += payload;
}

/* Note what was sent. */
static void sent(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    c->sum.segs_out++;
    c->last_tx_us = t->w->now;
    if (p->flags & F_RST) {
        t->w->stats.resets_out++;
        tcb_rst_sent(t, c);
        return;
    }
    if (p->again)
        sent_again(t, c, p, payload);
    else if (p->len > 0)
        sent_new(t, c, p, payload);
    if (c->h.state != TERN_SYN_SENT)
        acked(c, p, payload);
    if (p->len == 0)
        return;
    timer_sent(t, c);
    if (p->why == TERN_C_SEND_TAIL_PROBE)
        tlp_sent(t, c, p->again);
    else
        tlp_schedule(t, c);
}

/* False: memory is short, nothing was sent. */
static bool emit(struct tern *t, struct tcb *c, struct plan *p, tern_tx_packet *out)
{
    struct segment s;
    ref_t chunk = p->again ? p->rec->chunk : 0;
    if (!p->again && c->list.seq.tail != 0)
        chunk = ((struct sendrec *)at(t->a, c->list.seq.tail))->chunk;
    uint32_t payload = payload_slices(t, c, p, &chunk, out);
    if (payload < plan_bytes(p) && !shorten(t, c, p, payload, out, &chunk))
        return false;
    payload = plan_bytes(p);
    if (!take_record(t, c, p, chunk))
        return false;
    c->shortage.refused = 0;
    fill(t, c, p, payload, &s);
    trace_segment(t, &c->h, TERN_TRACE_SEG_OUT, &s, p->why, p->probe ? 2 : p->again);
    tcp_build(t, &s, payload, out);
    sent(t, c, p, payload);
    return true;
}

/* There is no way to the peer: what is owed stays so until there is one (change.c). A RST does not wait for
 * that, since its connection is over. */
static void nothing_leaves(struct tern *t, struct tcb *c)
{
    if (c->rst_cause != 0)
        tcb_rst_sent(t, c);
}

/* Its turn is over: nothing is to be sent now. */
void turn_ends(struct tern *t, struct tcb *c)
{
    timer_window(t, c); /* nothing could go: is it the window? */
    conn_unready(t, &c->h);
    timer_rearm(t, c);
    tcb_said_all(t, c);
}

/* One packet of this connection, if it has one to send now. */
static bool tcb_output(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct plan p;
    int bulk;
    if (UNLIKELY(c->h.state == TERN_TIME_WAIT && c->ack.now_cause == 0)) {
        conn_unready(t, &c->h); /* nothing else is ever sent */
        timer_rearm(t, c);
        tcb_said_all(t, c);
        return false;
    }
    if (UNLIKELY(c->snd.link == 0)) {
        nothing_leaves(t, c);
    } else if ((bulk = bulk_out(t, c, out)) != LANE_NOT || decide(t, c, &p)) {
        if (LIKELY(bulk == 1 || (bulk == LANE_NOT && emit(t, c, &p, out)))) {
            if (says_no_more(c))
                turn_ends(t, c);
            return true;
        }
        later_for_memory(t, c);
    }
    turn_ends(t, c);
    return false;
}

bool conn_output(struct tern *t, struct conn_head *h, tern_tx_packet *out)
{
    if (h->kind == REC_TCB)
        return tcb_output(t, (struct tcb *)h, out);
    return backlog_output(t, (struct listener *)h, out);
}
