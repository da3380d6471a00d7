/* idle_pack.c - a control block at rest, written small, and read again.
 *
 * Left out is what follows from the rest while nothing is in flight, queued, owed or unread: SND.NXT is
 * SND.UNA, SND.WL1 and SND.WL2 are RCV.NXT and SND.UNA (RFC 9293 3.10.7.4 fifth would take any acceptable
 * segment's window), Last.ACK.sent is RCV.NXT (RFC 7323 4.3), the timeout follows from SRTT and RTTVAR
 * (RFC 6298 2.3), byte counts are differences of sequence numbers (RFC 9293 3.4) and the number of their
 * wraps. What does not fit (a counter above 16 bits, a time above 48) stays awake: nothing is rounded but the
 * time of TS.Recent, to seconds of its 24 days (RFC 7323 5.5).
 */
#include "tcp/tcp.h"

static struct u48 u48(uint64_t v)
{
    return (struct u48){{(uint16_t)v, (uint16_t)(v >> 16), (uint16_t)(v >> 32)}};
}

static uint64_t wide(struct u48 v) { return v.w[0] | (uint64_t)v.w[1] << 16 | (uint64_t)v.w[2] << 32; }

static bool fits48(uint64_t v) { return v >> 48 == 0; }

uint64_t idle_conn(const struct idle *i) { return wide(i->conn); }

void idle_addresses(const struct tern *t, const struct idle *i, tern_ip *local, tern_ip *remote)
{
    bool is4 = arena_kind(t->a, ref_of(t->a, i)) == (enum page_kind)(PAGE_POOL0 + POOL_IDLE4);
    ip_pair_read(i->pair, is4, local, remote);
}

/* --- control block to idle record ------------------------------------------------------------------ */

/* Bytes by the sequence numbers, modulo 2^32. */
static uint32_t acked_low(const struct tcb *c)
{
    return seq_span(c->snd.iss, c->snd.una) - 1u - c->snd.fin_acked;
}

static uint32_t received_low(const struct tcb *c)
{
    return seq_span(c->rcv.irs, c->rcv.nxt) - 1u - c->rcv.fin_rcvd;
}

static bool totals_fit(const struct tcb *c)
{
    const struct totals *s = &c->sum;
    uint32_t counts = s->retransmits | s->fast_retransmits | s->timeouts | s->dup_acks_in | s->ooo_in |
                      s->challenge_acks | s->dsacks;
    return counts <= UINT16_MAX && s->retransmitted <= UINT32_MAX && fits48(s->sent) && fits48(s->acked) &&
           fits48(s->received) && (uint32_t)s->acked == acked_low(c) &&
           (uint32_t)s->received == received_low(c);
}

static bool times_fit(const struct tcb *c)
{
    return fits48(c->h.opened_us | c->h.since_us | c->last_rx_us | c->last_tx_us | c->h.conn) &&
           c->ts.recent_us / 1000000 <= UINT32_MAX;
}

/* The history is a chain that ends in the present state. */
static bool history_fits(const struct tcb *c)
{
    uint8_t to = c->h.state;
    if (c->history[0].cause != c->h.cause || c->history[0].t_us != c->h.since_us)
        return false;
    for (int i = 0; i < TERN_HISTORY && c->history[i].cause != 0; i++) {
        if (c->history[i].to != to || !fits48(c->history[i].t_us))
            return false;
        to = c->history[i].from;
    }
    return true;
}

/* What is left to the sequence numbers must follow from them. */
static bool numbers_fit(const struct tern *t, const struct tcb *c)
{
    struct rtt fresh = c->rtt;
    rtt_derive(&fresh, settings(t));
    return seq_eq(c->snd.una, c->snd.nxt) && seq_eq(c->ts.last_ack_sent, c->rcv.nxt) &&
           fresh.rto_us == c->rtt.rto_us && c->rtt.backoff == 0 &&
           c->snd.buffer == c->set.send_buffer && c->rcv.buffer == c->set.recv_buffer &&
           (!c->rcv.fin_rcvd || c->rcv.fin_us == c->h.since_us) && c->cc.algo < 8 && c->rack.persist < 32 &&
           c->ack.quick < 16 && c->snd.link < 16;
}

bool idle_fits(const struct tern *t, const struct tcb *c)
{
    return !c->ts.foreign && !c->snd.no_ect && totals_fit(c) && times_fit(c) && history_fits(c) &&
           numbers_fit(t, c);
}

static void pack_flags(const struct tcb *c, struct idle *i)
{
    i->wscales = (uint8_t)(c->opt.snd_wscale << 4 | c->opt.rcv_wscale);
    i->wscale = c->opt.wscale;
    i->ts = c->opt.ts;
    i->sack = c->opt.sack;
    i->ecn = c->opt.ecn;
    i->fin_rcvd = c->rcv.fin_rcvd;
    i->eof_read = c->rcv.eof_read;
    i->fin_acked = c->snd.fin_acked;
    i->narrow = c->snd.narrow;
    i->limited = c->snd.limited;
    i->ece = c->ack.ece;
    i->cwr = c->snd.cwr;
    i->reordering = c->rack.reordering;
    i->quick = c->ack.quick & 15;
    i->rack_persist = c->rack.persist & 31;
    i->rack_mult = c->rack.mult;
    i->algo = c->cc.algo & 7;
    i->unmeasured = c->tlp.unmeasured;
}

static void pack_options(const struct options *o, struct idle *i)
{
    i->nodelay = o->nodelay;
    i->quickack = o->quickack;
    i->keepalive = o->keepalive;
    i->linger0 = o->linger0;
    i->reports = o->reports;
    i->set_ecn = o->ecn & 3;
    i->keep_idle_ms = o->keep_idle_ms;
    i->keep_intvl_ms = o->keep_intvl_ms;
    i->user_timeout_ms = o->user_timeout_ms;
    i->send_buffer = o->send_buffer;
    i->recv_buffer = o->recv_buffer;
    i->max_seg = o->max_seg;
    i->keep_cnt = o->keep_cnt;
    i->dscp = o->dscp;
    i->ttl = o->ttl;
}

static void pack_numbers(const struct tcb *c, struct idle *i)
{
    i->irs = c->rcv.irs;
    i->rcv_nxt = c->rcv.nxt;
    i->rcv_adv = c->rcv.adv;
    i->iss = c->snd.iss;
    i->snd_una = c->snd.una;
    i->snd_wnd = c->snd.wnd;
    i->max_wnd = c->snd.max_wnd;
    i->peer_mss = c->opt.mss;
    i->path_mss = c->snd.path_mss;
    i->ack_seg = (uint16_t)c->ack.seg;
    i->ts_recent = c->ts.recent;
    i->ts_recent_s = (uint32_t)(c->ts.recent_us / 1000000);
    i->srtt_us = c->rtt.srtt_us;
    i->rttvar_us = c->rtt.rttvar_us;
    i->min_rtt_us = c->rtt.min_us;
    i->cwnd = c->cc.cwnd;
    i->ssthresh = c->cc.ssthresh;
}

static void pack_totals(const struct tcb *c, struct idle *i)
{
    const struct totals *s = &c->sum;
    i->sent = u48(s->sent);
    i->acked_wraps = (uint16_t)(s->acked >> 32);
    i->received_wraps = (uint16_t)(s->received >> 32);
    i->retransmitted = (uint32_t)s->retransmitted;
    i->segs_out = s->segs_out;
    i->segs_in = s->segs_in;
    i->retransmits = (uint16_t)s->retransmits;
    i->fast_retransmits = (uint16_t)s->fast_retransmits;
    i->timeouts = (uint16_t)s->timeouts;
    i->dup_acks_in = (uint16_t)s->dup_acks_in;
    i->ooo_in = (uint16_t)s->ooo_in;
    i->challenge_acks = (uint16_t)s->challenge_acks;
    i->dsacks = (uint16_t)s->dsacks;
}

static void pack_life(const struct tcb *c, struct idle *i)
{
    i->state = c->h.state & 15;
    i->way = c->snd.link & 15;
    i->link = c->h.link & 15;
    i->conn = u48(c->h.conn);
    i->opened_us = u48(c->h.opened_us);
    i->since_us = u48(c->h.since_us);
    i->cause = c->h.cause;
    i->from = 0;
    for (int k = 0; k < TERN_HISTORY; k++)
        i->from |= (uint16_t)((c->history[k].from & 15) << 4 * k);
    for (int k = 1; k < TERN_HISTORY; k++) {
        i->earlier[k - 1].cause = c->history[k].cause;
        i->earlier[k - 1].t_us = u48(c->history[k].t_us);
    }
    i->last_rx_us = u48(c->last_rx_us);
    i->last_tx_us = u48(c->last_tx_us);
    i->ttl_in = c->ttl_in;
    i->tos_in = c->tos_in;
    i->data = c->face.data;
    i->soft_error = (uint8_t)-c->face.soft_error;
    i->icmp_type = c->face.icmp_type;
    i->icmp_code = c->face.icmp_code;
}

void idle_pack(const struct tcb *c, struct idle *i)
{
    pack_flags(c, i);
    pack_options(&c->set, i);
    pack_numbers(c, i);
    pack_totals(c, i);
    pack_life(c, i);
}

/* --- idle record to control block ------------------------------------------------------------------ */

static void unpack_head(const struct tern *t, const struct idle *i, struct tcb *c)
{
    struct conn_head *h = &c->h;
    h->kind = REC_TCB;
    h->state = i->state;
    h->link = i->link;
    idle_addresses(t, i, &h->local, &h->remote);
    h->local_port = i->local_port;
    h->remote_port = i->remote_port;
    h->conn = wide(i->conn);
    h->opened_us = wide(i->opened_us);
    h->since_us = wide(i->since_us);
    h->cause = i->cause;
    h->tos = (uint8_t)(i->dscp << 2);
    h->ttl = i->ttl;
    c->face.held = i->ending == IDLE_LIVES;
    c->face.data = i->data;
    c->face.soft_error = -(int)i->soft_error;
    c->face.icmp_type = i->icmp_type;
    c->face.icmp_code = i->icmp_code;
}

static void unpack_history(const struct idle *i, struct tcb *c)
{
    uint8_t to = i->state;
    for (int k = 0; k < TERN_HISTORY; k++) {
        c->history[k].cause = k == 0 ? i->cause : i->earlier[k - 1].cause;
        if (c->history[k].cause == 0)
            break;
        c->history[k].t_us = wide(k == 0 ? i->since_us : i->earlier[k - 1].t_us);
        c->history[k].to = to;
        c->history[k].from = to = i->from >> 4 * k & 15;
    }
    c->last_rx_us = wide(i->last_rx_us);
    c->last_tx_us = wide(i->last_tx_us);
    c->ttl_in = i->ttl_in;
    c->tos_in = i->tos_in;
}

static void unpack_options(const struct idle *i, struct tcb *c)
{
    struct options *o = &c->set;
    o->nodelay = i->nodelay;
    o->quickack = i->quickack;
    o->keepalive = i->keepalive;
    o->linger0 = i->linger0;
    o->reports = i->reports;
    o->ecn = i->set_ecn;
    o->keep_idle_ms = i->keep_idle_ms;
    o->keep_intvl_ms = i->keep_intvl_ms;
    o->user_timeout_ms = i->user_timeout_ms;
    o->send_buffer = i->send_buffer;
    o->recv_buffer = i->recv_buffer;
    o->max_seg = i->max_seg;
    o->keep_cnt = i->keep_cnt;
    o->dscp = i->dscp;
    o->ttl = i->ttl;
    c->opt = (struct agreed){
        .mss = i->peer_mss,
        .snd_wscale = i->wscales >> 4,
        .rcv_wscale = i->wscales & 15,
        .wscale = i->wscale,
        .ts = i->ts,
        .sack = i->sack,
        .ecn = i->ecn,
    };
}

static void unpack_receiving(const struct tern *t, const struct idle *i, struct tcb *c)
{
    struct rcv *r = &c->rcv;
    r->irs = i->irs;
    r->nxt = i->rcv_nxt;
    r->adv = i->rcv_adv;
    r->buffer = i->recv_buffer;
    r->fin_rcvd = i->fin_rcvd;
    r->fin = seq_sub(r->nxt, 1);
    r->fin_us = i->fin_rcvd ? c->h.since_us : 0;
    r->eof_read = i->eof_read;
    chunkq_init(&r->q, r->nxt.v - i->fin_rcvd);
    c->ack.seg = i->ack_seg;
    c->ack.quick = i->quick;
    c->ack.ece = i->ece;
    c->ack.challenges = i->rationed ? CHALLENGES : 0;
    c->ack.challenge_us = wide(i->last_tx_us); /* no challenge was later */
    c->ts.recent = i->ts_recent;
    c->ts.recent_us = i->ts_recent_s * 1000000ull;
    c->ts.offset = stamp_offset(t, &c->h.local, &c->h.remote);
    c->ts.last_ack_sent = r->nxt;
}

static void unpack_sending(const struct tern *t, const struct idle *i, struct tcb *c)
{
    struct snd *s = &c->snd;
    s->iss = i->iss;
    s->una = s->nxt = s->small = i->snd_una;
    s->wl1 = i->rcv_nxt;
    s->wl2 = i->snd_una;
    s->wnd = i->snd_wnd;
    s->max_wnd = i->max_wnd;
    s->path_mss = i->path_mss;
    s->link = i->way;
    mtu_derive(t, c);
    s->buffer = i->send_buffer;
    s->syn_acked = true;
    s->fin_queued = s->fin_sent = s->fin_acked = i->fin_acked;
    s->narrow = i->narrow;
    s->limited = i->limited;
    s->cwr = i->cwr;
    chunkq_init(&s->q, s->una.v - i->fin_acked);
    s->last_us = wide(i->sent) > 0 ? wide(i->last_tx_us) : 0; /* longer ago than any timeout, in any case */
    sendlist_init(&c->list, s->una);
    c->rtt.srtt_us = i->srtt_us;
    c->rtt.rttvar_us = i->rttvar_us;
    c->rtt.min_us = i->min_rtt_us;
    rtt_derive(&c->rtt, settings(t));
    c->cc.algo = i->algo;
    c->cc.cwnd = i->cwnd;
    c->cc.ssthresh = i->ssthresh;
    c->rack.reordering = i->reordering;
    c->rack.mult = i->rack_mult;
    c->rack.persist = i->rack_persist;
    c->tlp.unmeasured = i->unmeasured;
}

static void unpack_totals(const struct idle *i, struct tcb *c)
{
    c->sum = (struct totals){
        .sent = wide(i->sent),
        .acked = (uint64_t)i->acked_wraps << 32 | acked_low(c),
        .received = (uint64_t)i->received_wraps << 32 | received_low(c),
        .retransmitted = i->retransmitted,
        .segs_out = i->segs_out,
        .segs_in = i->segs_in,
        .retransmits = i->retransmits,
        .fast_retransmits = i->fast_retransmits,
        .timeouts = i->timeouts,
        .dup_acks_in = i->dup_acks_in,
        .ooo_in = i->ooo_in,
        .challenge_acks = i->challenge_acks,
        .dsacks = i->dsacks,
    };
}

void idle_view(const struct tern *t, const struct idle *i, struct tcb *c)
{
    unpack_head(t, i, c);
    unpack_history(i, c);
    unpack_options(i, c);
    unpack_receiving(t, i, c);
    unpack_sending(t, i, c);
    unpack_totals(i, c);
    c->idle = ref_of(t->a, i);
    if (wheel_armed(&i->timer) && i->ending == IDLE_LIVES)
        c->tm.keep_us = wheel_when(&t->w->wheel, &i->timer);
}
