/* output.c - what to send now: the only place where segments of a connection are born.
 *
 * Input, timers and calls note what is owed and put the connection on the ready list; tern_tx asks here until nothing is left.
 * One decision function (decide) fills a plan, one builder (emit) makes it a packet:
 *
 *   RST owed ▸ SYN ▸ what was lost ▸ new data, with FIN ▸ FIN ▸ recovery's last resorts ▸ window probe ▸ keepalive ▸ pure ACK
 *
 * How much may be in the network is one comparison in all phases: pipe < cwnd (RFC 6675). The answer may be "not before t".
 */
#include "tcp/tcp.h"

#define SWS_OVERRIDE_US 200000u /* RFC 9293 3.8.6.2.1: 0.1 to 1 s */

struct plan {
    seq_t start;
    uint32_t len;          /* sequence numbers, SYN and FIN included */
    uint8_t flags;         /* beside ACK: F_SYN, F_FIN, F_PSH, F_RST */
    bool again;            /* was sent before: rec is its record */
    bool probe;
    bool no_ack_flag;
    struct sendrec *rec;
    enum tern_cause why;
    uint64_t not_before;   /* > now: nothing is sent before that */
};

/* Payload bytes of a full segment, with the SACK blocks that will ride on it. */
static uint32_t full_size(const struct tcb *c)
{
    if (!c->opt.sack || c->rcv.ooo == 0)
        return c->snd.mss;
    uint32_t blocks = min_u32(c->rcv.ooo_count, c->opt.ts ? 3 : 4);
    uint32_t room = 4 + 8 * blocks;
    return c->snd.mss > room + 64 ? c->snd.mss - room : c->snd.mss;
}

/* Most payload of one packet: whole segments up to what the link splits for us. */
static uint32_t burst_size(const struct tern *t, const struct tcb *c, uint32_t full)
{
    uint32_t gso = t->w->ip.links[c->h.link].gso_max;
    return gso >= 2 * full ? gso / full * full : full;
}

static uint32_t cwnd_room(const struct tcb *c)
{
    uint32_t pipe = sendlist_pipe(&c->list, c->rec.reno_sacked);
    return pipe < c->cc.cwnd ? c->cc.cwnd - pipe : 0;
}

/* Right edge minus SND.NXT; a shrunken window gives none, never a huge number (MUST-34). */
static uint32_t usable_window(const struct snd *s)
{
    uint32_t out = flight(s);
    return s->wnd > out ? s->wnd - out : 0;
}

static bool fin_follows(const struct tcb *c, seq_t end)
{
    return c->snd.fin_queued && seq_eq(end, snd_end(&c->snd)) && !seq_eq(c->snd.una, c->snd.iss);
}

/* SYN or SYN+ACK, first time. */
static bool decide_syn(struct tcb *c, struct plan *p)
{
    if (c->h.state != TERN_SYN_SENT || !seq_eq(c->snd.nxt, c->snd.iss))
        return false;
    *p = (struct plan){.start = c->snd.iss, .len = 1, .flags = F_SYN, .why = TERN_C_SEND_SYN};
    return true;
}

static enum tern_cause again_cause(const struct tcb *c)
{
    if (c->rec.phase == PHASE_LOSS)
        return TERN_C_SEND_RETRANSMIT;
    return c->opt.sack || seq_eq(c->rec.point, c->snd.nxt) ? TERN_C_SEND_FAST_RETRANSMIT : TERN_C_SEND_PARTIAL_RETRANSMIT;
}

/* Plan to send (the beginning of) a record once more, at most `limit` numbers of it. */
static bool plan_again(struct tern *t, struct tcb *c, struct sendrec *r, uint32_t limit, enum tern_cause why, struct plan *p)
{
    uint32_t syn = seq_eq(r->start, c->snd.iss) && seq_eq(c->snd.una, c->snd.iss);
    limit = max_u32(limit, 1) + syn;
    if (r->len > limit)
        sendlist_split(t, &c->list, r, limit);
    *p = (struct plan){.start = r->start, .len = r->len, .again = true, .rec = r, .why = why};
    p->flags = syn ? F_SYN : 0;
    if (r->len > syn && seq_ge(seq_add(r->start, r->len), snd_end(&c->snd)))
        p->flags |= F_PSH; /* MUST-61 */
    if (c->snd.fin_sent && seq_gt(seq_add(r->start, r->len), snd_end(&c->snd)))
        p->flags |= F_FIN;
    return true;
}

/* Only a piece is in flight (what a window probe left behind) and more waits: they leave as one segment (RFC 9293 3.7.4 allows to
 * repacketize). */
static void grow_again(struct tern *t, struct tcb *c, struct sendrec *r)
{
    struct snd *n = &c->snd;
    uint32_t full = full_size(c);
    if (c->list.count != 1 || r->len >= full || n->fin_sent || !synchronized(c) || seq_eq(n->una, n->iss))
        return;
    uint32_t more = min_u32(min_u32(snd_unsent(n), usable_window(n)), full - r->len);
    bool fin = fin_follows(c, seq_add(n->nxt, more)) && usable_window(n) > more;
    if (more == 0)
        return;
    sendlist_extend(t, &c->list, r, more + fin);
    n->nxt = seq_add(n->nxt, more + fin);
    n->fin_sent |= fin;
    c->sum.sent += more;
}

/* What was lost (RFC 6675 NextSeg (1)). The first of a recovery does not ask pipe. While the window is shut, probes do this. */
static bool decide_lost(struct tern *t, struct tcb *c, struct plan *p)
{
    struct sendrec *r = c->list.lost_next != 0 ? sendlist_lost(t, &c->list) : NULL;
    if (r == NULL || (c->tm.rexmit == TERN_TIMER_PERSIST && synchronized(c)))
        return false;
    grow_again(t, c, r);
    uint32_t full = full_size(c), room = cwnd_room(c);
    bool syn = !synchronized(c) || seq_eq(c->snd.una, c->snd.iss);
    if (!c->rec.force && !syn && room < min_u32(full, r->len))
        return false;
    uint32_t limit = c->rec.force ? full + 1 : min_u32(max_u32(room / full, 1) * full, burst_size(t, c, full));
    c->rec.force = false;
    return plan_again(t, c, r, limit, again_cause(c), p);
}

/* In SYN_RCVD after a simultaneous open the answer is our SYN again, now with ACK (RFC 9293 3.10.7.3 fourth, MUST-10). */
static bool decide_synack(struct tern *t, struct tcb *c, struct plan *p)
{
    if (c->h.state != TERN_SYN_RCVD || c->ack.now_cause != TERN_C_SEND_SYNACK || c->list.head == 0)
        return false;
    return plan_again(t, c, at(t->a, c->list.head), 1, TERN_C_SEND_SYNACK, p);
}

/* A segment smaller than a full one: RFC 9293 3.8.6.2.1 (silly window), then Nagle. */
static bool small_may_go(struct tern *t, struct tcb *c, uint32_t len, struct plan *p)
{
    bool all = len == snd_unsent(&c->snd);
    bool window_small = !all && usable_window(&c->snd) == len;
    if (all && nagle_holds(c, len, true))
        return false;
    if (all || (c->snd.max_wnd != 0 && len >= c->snd.max_wnd / 2 && !nagle_holds(c, len, false)))
        return true;
    if (!window_small || c->list.count > 0)
        return false; /* an ACK will come and change this */
    if (c->snd.blocked_us == 0)
        c->snd.blocked_us = t->w->now;
    p->not_before = c->snd.blocked_us + SWS_OVERRIDE_US;
    return p->not_before <= t->w->now;
}

/* RFC 5681 4.1: after idle longer than the timeout the window says nothing any more. */
static void restart_after_idle(struct tern *t, struct tcb *c)
{
    if (c->list.count > 0 || c->snd.last_us == 0 || t->w->now - c->snd.last_us <= rtt_timeout(&c->rtt, settings(t)))
        return;
    c->cc.cwnd = min_u32(c->cc.cwnd, cc_initial_window(c->snd.mss));
}

static bool may_send_data(const struct tcb *c)
{
    switch (c->h.state) {
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT:
        return true;
    case TERN_FIN_WAIT_1:
    case TERN_CLOSING:
    case TERN_LAST_ACK:
        return !seq_eq(c->snd.una, c->snd.iss) || c->snd.q.len == 0; /* queued before the handshake ended: after it */
    default:
        return false;
    }
}

/* How many new bytes may leave now; 0 = none. */
static uint32_t new_bytes(struct tern *t, struct tcb *c, struct plan *p)
{
    uint32_t unsent = snd_unsent(&c->snd), full = full_size(c);
    uint32_t window = min_u32(unsent, usable_window(&c->snd));
    uint32_t len = min_u32(window, cwnd_room(c));
    if (len < window)
        c->snd.limited = true;
    if (len >= full)
        return min_u32(len / full * full, burst_size(t, c, full));
    if (len == 0 || (len < window && c->list.count > 0))
        return 0; /* held by cwnd: whole segments only, while something is in flight */
    return small_may_go(t, c, len, p) ? len : 0;
}

static bool decide_new(struct tern *t, struct tcb *c, struct plan *p)
{
    if (!may_send_data(c) || snd_unsent(&c->snd) == 0)
        return false;
    restart_after_idle(t, c);
    memset(p, 0, sizeof *p);
    uint32_t len = new_bytes(t, c, p);
    if (len == 0)
        return false;
    bool lead = c->rec.phase == PHASE_OPEN && c->rec.dupacks > 0;
    p->start = c->snd.nxt;
    p->len = len;
    p->not_before = 0;
    p->why = lead ? TERN_C_SEND_LIMITED : TERN_C_SEND_DATA;
    if (len == snd_unsent(&c->snd))
        p->flags |= F_PSH; /* MUST-61 */
    if (fin_follows(c, seq_add(p->start, len)) && usable_window(&c->snd) > len && len % full_size(c) != 0) {
        p->flags |= F_FIN;
        p->len++;
    }
    return true;
}

static bool decide_fin(struct tcb *c, struct plan *p)
{
    if (c->snd.fin_sent || !may_send_data(c) || snd_unsent(&c->snd) > 0 || !c->snd.fin_queued)
        return false;
    if (usable_window(&c->snd) == 0 && c->snd.wnd != 0 && flight(&c->snd) > 0)
        return false; /* an ACK will open it */
    if (c->snd.wnd == 0 && c->tm.rexmit == TERN_TIMER_PERSIST)
        return false; /* the probe is the FIN */
    *p = (struct plan){.start = c->snd.nxt, .len = 1, .flags = F_FIN, .why = TERN_C_SEND_FIN};
    return true;
}

/* RFC 6675 NextSeg (3): nothing is lost and nothing new may go, but the peer waits below what it has SACKed. */
static bool decide_below_sacks(struct tern *t, struct tcb *c, struct plan *p)
{
    if (c->rec.phase != PHASE_RECOVERY || !c->opt.sack || c->rack.reordering || cwnd_room(c) < c->snd.mss)
        return false;
    struct sendrec *r = sendlist_unsacked_below_high(t, &c->list);
    return r != NULL && plan_again(t, c, r, full_size(c), TERN_C_SEND_FAST_RETRANSMIT, p);
}

/* RFC 8985 7.3: new data if there is some (cwnd is not asked), else the last segment again. */
static bool decide_tail_probe(struct tern *t, struct tcb *c, struct plan *p)
{
    if (!c->tlp.due)
        return false;
    c->tlp.due = false;
    uint32_t full = full_size(c), new = min_u32(min_u32(snd_unsent(&c->snd), usable_window(&c->snd)), full);
    if (new > 0 && may_send_data(c)) {
        *p = (struct plan){.start = c->snd.nxt, .len = new, .why = TERN_C_SEND_TAIL_PROBE};
        p->flags = new == snd_unsent(&c->snd) ? F_PSH : 0;
        return true;
    }
    struct sendrec *r = c->list.tail != 0 ? at(t->a, c->list.tail) : NULL;
    if (r != NULL && r->len > full)
        r = sendlist_split(t, &c->list, r, (r->len - 1) / full * full);
    return r != NULL && !(r->flags & SR_SACKED) && plan_again(t, c, r, full + 1, TERN_C_SEND_TAIL_PROBE, p);
}

/* RFC 9293 3.8.6.1: one byte at SND.UNA, sent before or not. Behind all data it is the FIN. */
static bool decide_probe(struct tern *t, struct tcb *c, struct plan *p)
{
    if (!c->tm.probe)
        return false;
    c->tm.probe = false;
    if (c->list.head != 0) {
        plan_again(t, c, at(t->a, c->list.head), 1, TERN_C_SEND_WINDOW_PROBE, p);
    } else {
        bool data = snd_unsent(&c->snd) > 0;
        *p = (struct plan){.start = c->snd.nxt, .len = 1, .flags = data ? 0 : F_FIN, .why = TERN_C_SEND_WINDOW_PROBE};
        if (!data && (!c->snd.fin_queued || c->snd.fin_sent))
            return false;
    }
    p->probe = true;
    return true;
}

/* RFC 9293 3.8.4: an old number and no data, so that the peer must answer (SHLD-12). */
static bool decide_keepalive(struct tcb *c, struct plan *p)
{
    if (!c->tm.keep_probe)
        return false;
    c->tm.keep_probe = false;
    *p = (struct plan){.start = seq_sub(c->snd.nxt, 1), .probe = true, .why = TERN_C_SEND_KEEPALIVE};
    return true;
}

static bool decide_ack(struct tcb *c, struct plan *p)
{
    struct acker *k = &c->ack;
    if ((k->now_cause == 0 && k->dup_owed == 0) || c->h.state < TERN_SYN_RCVD)
        return false;
    *p = (struct plan){.start = c->snd.nxt, .why = k->now_cause != 0 ? k->now_cause : TERN_C_SEND_ACK_DUP};
    return true;
}

static bool decide_rst(struct tcb *c, struct plan *p)
{
    *p = (struct plan){.start = c->snd.nxt, .flags = F_RST, .no_ack_flag = true, .why = c->rst_cause};
    return true;
}

static bool decide(struct tern *t, struct tcb *c, struct plan *p)
{
    if (c->rst_cause != 0)
        return decide_rst(c, p);
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_LISTEN)
        return false;
    if (decide_syn(c, p) || decide_synack(t, c, p) || decide_lost(t, c, p))
        return true;
    struct plan wait = {0};
    if (decide_new(t, c, &wait)) {
        *p = wait;
        return true;
    }
    if (decide_fin(c, p) || decide_below_sacks(t, c, p) || decide_tail_probe(t, c, p) || decide_probe(t, c, p) ||
        decide_keepalive(c, p) || decide_ack(c, p))
        return true;
    p->not_before = wait.not_before;
    return false;
}

/* The head common to all segments of a record. */
void segment_from_head(const struct conn_head *h, struct segment *s)
{
    memset(s, 0, sizeof *s);
    s->src = h->local;
    s->dst = h->remote;
    s->src_port = h->local_port;
    s->dst_port = h->remote_port;
    s->link = h->link;
    s->tos = h->tos;
    s->ttl = h->ttl;
    s->opt.wscale = WSCALE_NONE;
}

/* Everything written by the codecs; payload slices stand in `out` already. */
void tcp_build(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out)
{
    const tern_link_info *link = &t->w->ip.links[s->link];
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s->opt, s->flags));
    uint16_t ip_len = ip_emit(out->hdr, &s->src, &s->dst, PROTO_TCP, s->ttl, s->tos, tcp_len + payload, t->w->ip.id++);
    uint8_t *tcp = out->hdr + ip_len;
    uint16_t wrote = tcp_emit(tcp, s);
    ASSERT(wrote == tcp_len);
    out->link = s->link;
    out->flags = tern_ip_is4(&s->dst) ? 0 : TERN_TX_IP6;
    out->hdr_len = (uint16_t)(ip_len + tcp_len);
    out->len = out->hdr_len + payload;
    out->gso_size = s->gso_size;
    out->csum_start = ip_len;
    out->csum_offset = 16;
    out->not_before = 0;
    if (payload == 0)
        out->n_slices = 0;
    uint64_t sum = csum_pseudo(&s->src, &s->dst, PROTO_TCP, tcp_len + payload);
    if (link->tx_csum) {
        out->flags |= TERN_TX_CSUM;
        put16(tcp + 16, (uint16_t)~csum_fold(sum));
    } else {
        sum = csum_add(sum, tcp, tcp_len);
        sum = csum_slices(sum, out->slices, out->n_slices);
        put16(tcp + 16, csum_fold(sum));
    }
    t->w->stats.segs_out++;
}

static void syn_options(struct tern *t, struct tcb *c, struct segment *s)
{
    const struct settings *set = settings(t);
    bool answer = c->h.state != TERN_SYN_SENT;
    uint8_t shift = set->wscale ? options_wscale(c->set.recv_buffer) : WSCALE_NONE;
    if (answer)
        shift = c->opt.wscale ? c->opt.rcv_wscale : WSCALE_NONE;
    uint32_t mss = c->set.max_seg != 0 ? min_u32(c->set.max_seg, c->snd.mtu_mss) : c->snd.mtu_mss;
    options_offer(t, mss, answer ? c->opt.ts : set->timestamps, stamp_now(t, c->ts.offset), answer ? c->ts.recent : 0, shift,
                  answer ? c->opt.sack : set->sack, &s->opt);
    if (c->opt.ecn)
        s->flags |= answer ? F_ECE : F_ECE | F_CWR; /* RFC 3168 6.1.1 */
    if (!answer && c->tm.retries >= 2)
        s->flags &= (uint8_t)~(F_ECE | F_CWR); /* RFC 3168 6.1.1.1: a path that drops ECN SYNs */
}

static void data_options(struct tern *t, struct tcb *c, struct segment *s)
{
    s->opt.ts = c->opt.ts;
    s->opt.ts_val = stamp_now(t, c->ts.offset);
    s->opt.ts_ecr = c->ts.recent;
    if (c->opt.sack && c->rcv.ooo != 0 && !(s->flags & F_RST))
        s->opt.n_sack = reasm_sack(t, &c->rcv, s->opt.sack, c->opt.ts ? 3 : 4);
}

static void ecn_flags(struct tcb *c, struct segment *s, const struct plan *p)
{
    if (!c->opt.ecn || (s->flags & (F_SYN | F_RST)))
        return;
    if (c->ack.ece)
        s->flags |= F_ECE;
    if (s->len == 0 || p->again || p->probe)
        return; /* RFC 3168 6.1.4, 6.1.5, 6.1.6: only new data is marked capable */
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
    if (seq_le(c->snd.up, c->snd.una)) {
        c->snd.urgent = false;
        return;
    }
    if (seq_gt(c->snd.up, s->seq) || seq_ge(s->seq, c->snd.up)) {
        uint32_t ahead = seq_gt(c->snd.up, s->seq) ? seq_span(s->seq, c->snd.up) : 0;
        if (ahead == 0)
            return;
        s->flags |= F_URG;
        s->up = (uint16_t)min_u32(ahead, 65535); /* MUST-31: longer urgent data is announced piece by piece */
    }
}

static void fill(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload, struct segment *s)
{
    segment_from_head(&c->h, s);
    s->flags = p->flags;
    s->seq = p->start;
    s->len = payload;
    if (!p->no_ack_flag && c->h.state != TERN_SYN_SENT) {
        s->flags |= F_ACK;
        s->ack = c->rcv.nxt;
    }
    if (s->flags & F_SYN) {
        syn_options(t, c, s);
        s->wnd = (uint16_t)min_u32(rcv_wnd(&c->rcv), 65535);
    } else {
        data_options(t, c, s);
        s->wnd = p->flags & F_RST ? 0 : window_field(window_offer(t, c), c->opt.rcv_wscale);
    }
    ecn_flags(c, s, p);
    urgent_flags(c, s);
    uint32_t full = full_size(c);
    s->gso_size = (uint16_t)(payload > full ? full : 0);
}

/* Slices of the payload; fewer bytes than wanted only when they would not fit into one packet. */
static uint32_t payload_slices(struct tern *t, struct tcb *c, struct plan *p, ref_t *chunk, tern_tx_packet *out)
{
    uint32_t bytes = p->len - ((p->flags & F_SYN) != 0) - ((p->flags & F_FIN) != 0), got = 0;
    out->n_slices = 0;
    if (bytes == 0)
        return 0;
    seq_t from = seq_add(p->start, (p->flags & F_SYN) != 0);
    out->n_slices = (uint16_t)chunkq_slices(t->a, &c->snd.q, from.v, bytes, chunk, out->slices, TERN_TX_SLICES, &got);
    return got;
}

/* More bytes than slices: the packet ends at the last whole segment that fits. */
static void shorten(struct tern *t, struct tcb *c, struct plan *p, uint32_t got, tern_tx_packet *out, ref_t *chunk)
{
    uint32_t full = full_size(c);
    p->len = got > full ? got / full * full : got;
    p->flags &= (uint8_t)~(F_FIN | F_PSH);
    if (p->again)
        sendlist_split(t, &c->list, p->rec, p->len);
    payload_slices(t, c, p, chunk, out);
}

/* The acknowledgment that every segment with ACK is. */
static void acked(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct acker *k = &c->ack;
    bool pure = payload == 0 && p->len == 0;
    if (k->dup_owed > 0 && pure)
        k->dup_owed--;
    else
        k->dup_owed = 0;
    k->now_cause = k->dup_owed > 0 ? TERN_C_SEND_ACK_DUP : 0;
    k->bytes = 0;
    k->delack_us = 0;
    k->last = c->rcv.nxt;
    c->ts.last_ack_sent = c->rcv.nxt;
    (void)t;
}

static void sent_again(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    sendlist_resent(t, &c->list, p->rec);
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

static void sent_new(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload, ref_t chunk)
{
    struct snd *n = &c->snd;
    struct sendrec *r = sendlist_add(t, &c->list, p->start, p->len, chunk);
    if (r != NULL) {
        r->delivered = c->rec.delivered;
        r->delivered_us = c->rec.delivered_us;
    }
    n->nxt = seq_add(p->start, p->len);
    if (p->flags & F_FIN)
        n->fin_sent = true;
    if (payload > 0 && payload % full_size(c) != 0)
        n->small = n->nxt;
    if (payload > 0)
        n->last_us = t->w->now;
    n->blocked_us = 0;
    if (p->why == TERN_C_SEND_LIMITED)
        c->rec.lead += payload;
    c->sum.sent += payload;
}

/* Note what was sent. */
static void sent(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload, ref_t chunk)
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
        sent_new(t, c, p, payload, chunk);
    if (c->h.state != TERN_SYN_SENT)
        acked(t, c, p, payload);
    if (p->len == 0)
        return;
    timer_sent(t, c);
    if (p->why == TERN_C_SEND_TAIL_PROBE)
        tlp_sent(t, c, p->again);
    else
        tlp_schedule(t, c);
}

static void emit(struct tern *t, struct tcb *c, struct plan *p, tern_tx_packet *out)
{
    struct segment s;
    ref_t chunk = p->again ? p->rec->chunk : 0;
    if (!p->again && c->list.tail != 0)
        chunk = ((struct sendrec *)at(t->a, c->list.tail))->chunk;
    uint32_t want = p->len - ((p->flags & F_SYN) != 0) - ((p->flags & F_FIN) != 0);
    uint32_t payload = payload_slices(t, c, p, &chunk, out);
    if (payload < want) {
        shorten(t, c, p, payload, out, &chunk);
        payload = p->len;
    }
    fill(t, c, p, payload, &s);
    trace_segment(t, &c->h, TERN_TRACE_SEG_OUT, &s, p->why, p->probe ? 2 : p->again);
    tcp_build(t, &s, payload, out);
    sent(t, c, p, payload, chunk);
}

/* One packet of this connection, if it has one to send now. */
static int tcb_output(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct plan p = {0};
    if (decide(t, c, &p)) {
        emit(t, c, &p, out);
        return 1;
    }
    timer_window(t, c); /* nothing could go: is it the window? */
    if (p.not_before > t->w->now)
        c->tm.pace_us = p.not_before;
    timer_rearm(t, c);
    return 0;
}

int conn_output(struct tern *t, struct conn_head *h, tern_tx_packet *out)
{
    if (h->kind == REC_TCB)
        return tcb_output(t, (struct tcb *)h, out);
    if (h->kind == REC_HALFOPEN)
        return halfopen_output(t, (struct halfopen *)h, out);
    return timewait_output(t, (struct timewait *)h, out);
}
