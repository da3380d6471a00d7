/* digest.c - one value for all that decides what a stack will do.
 *
 * Two stacks with the same digest are, as far as 128 bits can tell, in the same situation: given the same
 * inputs from now on they do the same, though one began at another time, or had other connections before, so
 * that its records lie elsewhere and have other generations. So nothing goes into the sum that depends on
 * these:
 *
 *  - times are counted from now on, and so are numbers that a clock makes: timestamps, the numbers of a
 *    connection in TIME_WAIT (whose first ones are forgotten) by the clock of initial sequence numbers
 *  - sequence numbers are counted from ISS and IRS
 *  - records count by what they say, and their addresses and ports name them where another one refers to
 *    them; they are a set, in which the order of their places in memory does not matter
 *  - the order of lists that decide who is next (ready, events, accept, half-open) does
 *  - bytes of queues count as a stream, however they lie in pages
 *
 * And nothing that is only told: counters, totals, the history of states, why and when the present one was
 * entered, when the FIN came, connection numbers of the trace, when a record was made, the program's number
 * of a handle. A connection at rest counts as the control block that it would wake to.
 *
 * A number that means something only while a flag says so (an urgent pointer, say) is taken while it does.
 */
#include "base/sum.h"
#include "tcp/tcp.h"
#include <tern/snapshot.h>

/* How a field counts: as a number of 1, 2, 4 or 8 bytes, as bytes, as an array of numbers; as a time in us;
 * as a sequence number of ours or the peer's. */
enum how { RAW, BYTES, RAW32S, RAW64S, TIME, OURS, PEERS };

struct field {
    uint32_t at, size;
    enum how how;
};

#define FIELD(type, member, how)                                     \
    {                                                                \
        offsetof(type, member), sizeof(((type *)0)->member), how     \
    }

static void put_time(struct sum *s, const struct tern *t, uint64_t when)
{
    sum_word(s, when != 0);
    sum_word(s, when != 0 ? t->w->now - when : 0);
}

static void put_raw(struct sum *s, const uint8_t *p, uint32_t n)
{
    sum_bytes(s, p, n);
    sum_bytes_end(s);
}

static uint64_t number_at(const uint8_t *p, uint32_t size)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: memcpy(&one, p, 1); return one;
    case 2: memcpy(&two, p, 2); return two;
    case 4: memcpy(&four, p, 4); return four;
    default: ASSERT(size == 8); memcpy(&eight, p, 8); return eight;
    }
}

static void put_field(struct sum *s, const struct tern *t, const uint8_t *record, struct field f, seq_t iss,
                      seq_t irs)
{
    const uint8_t *p = record + f.at;
    uint32_t each = f.how == RAW32S ? 4 : f.how == RAW64S ? 8 : f.size;
    switch (f.how) {
    case BYTES: put_raw(s, p, f.size); break;
    case RAW:
    case RAW32S:
    case RAW64S:
        for (uint32_t i = 0; i < f.size; i += each)
            sum_word(s, number_at(p + i, each));
        break;
    case TIME: put_time(s, t, number_at(p, f.size)); break;
    case OURS: sum_word(s, (uint32_t)(number_at(p, f.size) - iss.v)); break;
    case PEERS: sum_word(s, (uint32_t)(number_at(p, f.size) - irs.v)); break;
    }
}

/* --- what several records have ------------------------------------------------------------------ */

static void put_ip(struct sum *s, const tern_ip *ip) { put_raw(s, ip->b, sizeof ip->b); }

/* Who a record is. */
static void put_name(struct sum *s, const struct tern *t, ref_t r)
{
    struct who w;
    sum_word(s, r != 0);
    if (r == 0)
        return;
    who_of(t, at_const(t->a, r), &w);
    sum_word(s, rec_kind(t, r) == REC_LISTENER);
    put_ip(s, &w.local);
    put_ip(s, &w.remote);
    sum_word(s, (uint64_t)w.local_port << 32 | (uint64_t)w.remote_port << 16 | w.link);
}

/* Who is next. */
static void put_order(struct sum *s, const struct tern *t, const struct list *l, size_t offset)
{
    for (ref_t r = l->head; r != 0; r = list_next(t->a, r, offset))
        put_name(s, t, r);
}

static void put_queue(struct sum *s, const struct tern *t, const struct chunkq *q)
{
    tern_slice slices[16];
    for (uint32_t at = 0, got; at < q->len; at += got) {
        int n = chunkq_slices(t->a, &t->regions, q, q->pos + at, q->len - at, NULL, slices,
                              (int)ARRAY_LEN(slices), &got);
        for (int i = 0; i < n; i++)
            sum_bytes(s, slices[i].data, slices[i].len);
    }
    sum_bytes_end(s);
}

/* A timestamp of the peer's clock, which goes on as ours does. */
static void put_stamp(struct sum *s, const struct tern *t, bool valid, uint32_t stamp)
{
    sum_word(s, valid ? (uint64_t)1 << 32 | (uint32_t)(stamp - (uint32_t)(t->w->now / 1000)) : 0);
}

static const struct field head_fields[] = {
    FIELD(struct conn_head, state, RAW),       FIELD(struct conn_head, link, RAW),
    FIELD(struct conn_head, local, BYTES),       FIELD(struct conn_head, remote, BYTES),
    FIELD(struct conn_head, local_port, RAW),  FIELD(struct conn_head, remote_port, RAW),
    FIELD(struct conn_head, tos, RAW),         FIELD(struct conn_head, ttl, RAW),
    FIELD(struct conn_head, parked, RAW),
};

static const struct field face_fields[] = {
    FIELD(struct face, held, RAW),      FIELD(struct face, orphan, RAW),
    FIELD(struct face, bits, RAW),      FIELD(struct face, error, RAW),
    FIELD(struct face, soft_error, RAW), FIELD(struct face, icmp_type, RAW),
    FIELD(struct face, icmp_code, RAW),
};

static const struct field option_fields[] = {
    FIELD(struct options, keep_idle_ms, RAW), FIELD(struct options, keep_intvl_ms, RAW),
    FIELD(struct options, user_timeout_ms, RAW), FIELD(struct options, send_buffer, RAW),
    FIELD(struct options, recv_buffer, RAW), FIELD(struct options, max_seg, RAW),
    FIELD(struct options, keep_cnt, RAW), FIELD(struct options, ecn, RAW),
    FIELD(struct options, dscp, RAW), FIELD(struct options, ttl, RAW),
    FIELD(struct options, nodelay, RAW), FIELD(struct options, quickack, RAW),
    FIELD(struct options, keepalive, RAW), FIELD(struct options, linger0, RAW),
    FIELD(struct options, reports, RAW),
};

#define PUT(s, t, record, table) put_table(s, t, record, table, ARRAY_LEN(table), seq(0), seq(0))

static void put_table(struct sum *s, const struct tern *t, const void *record, const struct field *f,
                      size_t n, seq_t iss, seq_t irs)
{
    for (size_t i = 0; i < n; i++)
        put_field(s, t, record, f[i], iss, irs);
}

/* --- control blocks ----------------------------------------------------------------------------- */

static const struct field tcb_fields[] = {
    FIELD(struct tcb, opt.mss, RAW),
    FIELD(struct tcb, opt.snd_wscale, RAW),
    FIELD(struct tcb, opt.rcv_wscale, RAW),
    FIELD(struct tcb, opt.wscale, RAW),
    FIELD(struct tcb, opt.ts, RAW),
    FIELD(struct tcb, opt.sack, RAW),
    FIELD(struct tcb, opt.ecn, RAW),
    FIELD(struct tcb, rcv.nxt, PEERS),
    FIELD(struct tcb, rcv.adv, PEERS),
    FIELD(struct tcb, rcv.buffer, RAW),
    FIELD(struct tcb, rcv.fin_ooo, RAW),
    FIELD(struct tcb, rcv.fin_rcvd, RAW),
    FIELD(struct tcb, rcv.eof_read, RAW),
    FIELD(struct tcb, rcv.urgent, RAW),
    FIELD(struct tcb, ack.bytes, RAW),
    FIELD(struct tcb, ack.seg, RAW),
    FIELD(struct tcb, ack.dup_owed, RAW),
    FIELD(struct tcb, ack.delack_us, TIME),
    FIELD(struct tcb, ack.now_cause, RAW),
    FIELD(struct tcb, ack.quick, RAW),
    FIELD(struct tcb, ack.ece, RAW),
    FIELD(struct tcb, ack.challenges, RAW),
    FIELD(struct tcb, ack.challenge_us, TIME),
    FIELD(struct tcb, ts.offset, RAW),
    FIELD(struct tcb, ts.foreign, RAW),
    FIELD(struct tcb, ts.recent_us, TIME),
    FIELD(struct tcb, ts.last_ack_sent, PEERS),
    FIELD(struct tcb, snd.una, OURS),
    FIELD(struct tcb, snd.nxt, OURS),
    FIELD(struct tcb, snd.small, OURS),
    FIELD(struct tcb, snd.wnd, RAW),
    FIELD(struct tcb, snd.max_wnd, RAW),
    FIELD(struct tcb, snd.mss, RAW),
    FIELD(struct tcb, snd.mtu_mss, RAW),
    FIELD(struct tcb, snd.buffer, RAW),
    FIELD(struct tcb, snd.syn_acked, RAW),
    FIELD(struct tcb, snd.fin_queued, RAW),
    FIELD(struct tcb, snd.fin_sent, RAW),
    FIELD(struct tcb, snd.fin_acked, RAW),
    FIELD(struct tcb, snd.urgent, RAW),
    FIELD(struct tcb, snd.more, RAW),
    FIELD(struct tcb, snd.blocked, RAW),
    FIELD(struct tcb, snd.narrow, RAW),
    FIELD(struct tcb, snd.cwr, RAW),
    FIELD(struct tcb, snd.limited, RAW),
    FIELD(struct tcb, snd.link, RAW),
    FIELD(struct tcb, snd.no_ect, RAW),
    FIELD(struct tcb, snd.path_mss, RAW),
    FIELD(struct tcb, snd.blocked_us, TIME),
    FIELD(struct tcb, snd.last_us, TIME),
    FIELD(struct tcb, list.lost_below, OURS),
    FIELD(struct tcb, list.fack, OURS),
    FIELD(struct tcb, rtt.srtt_us, RAW),
    FIELD(struct tcb, rtt.rttvar_us, RAW),
    FIELD(struct tcb, rtt.rto_us, RAW),
    FIELD(struct tcb, rtt.min_us, RAW),
    FIELD(struct tcb, rtt.backoff, RAW),
    FIELD(struct tcb, cc.cwnd, RAW),
    FIELD(struct tcb, cc.ssthresh, RAW),
    FIELD(struct tcb, cc.acked, RAW),
    FIELD(struct tcb, cc.algo, RAW),
    FIELD(struct tcb, rec.phase, RAW),
    FIELD(struct tcb, rec.dupacks, RAW),
    FIELD(struct tcb, rec.force, RAW),
    FIELD(struct tcb, rec.cwr_valid, RAW),
    FIELD(struct tcb, rec.recover_valid, RAW),
    FIELD(struct tcb, rec.partial, RAW),
    FIELD(struct tcb, rec.held, RAW),
    FIELD(struct tcb, rec.rescued, RAW),
    FIELD(struct tcb, rec.lead, RAW),
    FIELD(struct tcb, rec.reno_sacked, RAW),
    FIELD(struct tcb, rack.xmit_us, TIME),
    FIELD(struct tcb, rack.rtt_us, RAW),
    FIELD(struct tcb, rack.reordering, RAW),
    FIELD(struct tcb, rack.mult, RAW),
    FIELD(struct tcb, rack.persist, RAW),
    FIELD(struct tcb, rack.round_valid, RAW),
    FIELD(struct tcb, undo.valid, RAW),
    FIELD(struct tcb, tlp.out, RAW),
    FIELD(struct tcb, tlp.resent, RAW),
    FIELD(struct tcb, tlp.due, RAW),
    FIELD(struct tcb, tlp.unmeasured, RAW),
    FIELD(struct tcb, tm.rexmit_us, TIME),
    FIELD(struct tcb, tm.rexmit, RAW),
    FIELD(struct tcb, tm.life, RAW),
    FIELD(struct tcb, tm.probe, RAW),
    FIELD(struct tcb, tm.keep_probe, RAW),
    FIELD(struct tcb, tm.judged, RAW),
    FIELD(struct tcb, tm.overslept, RAW),
    FIELD(struct tcb, tm.keep_overslept, RAW),
    FIELD(struct tcb, tm.probes, RAW),
    FIELD(struct tcb, tm.keep_probes, RAW),
    FIELD(struct tcb, tm.retries, RAW),
    FIELD(struct tcb, tm.life_us, TIME),
    FIELD(struct tcb, tm.keep_us, TIME),
    FIELD(struct tcb, tm.pace_us, TIME),
    FIELD(struct tcb, tm.tlp_us, TIME),
    FIELD(struct tcb, tm.reo_us, TIME),
    FIELD(struct tcb, tm.stuck_us, TIME),
    FIELD(struct tcb, shortage.since_us, TIME),
    FIELD(struct tcb, shortage.stage, RAW),
    FIELD(struct tcb, shortage.only_opened, RAW),
    FIELD(struct tcb, shortage.refused, RAW),
    FIELD(struct tcb, rst_cause, RAW),
    FIELD(struct tcb, restless, RAW),
    FIELD(struct tcb, last_rx_us, TIME),
    FIELD(struct tcb, last_tx_us, TIME),
    FIELD(struct tcb, ttl_in, RAW),
    FIELD(struct tcb, tos_in, RAW),
};

/* A sequence number that counts while `valid`. */
static void put_seq(struct sum *s, bool valid, seq_t number, seq_t from)
{
    sum_word(s, valid ? (uint64_t)1 << 32 | seq_span(from, number) : 0);
}

static void put_conditional(struct sum *s, const struct tern *t, const struct tcb *c)
{
    seq_t iss = c->snd.iss, irs = c->rcv.irs;
    bool known = c->snd.syn_acked; /* from then on the peer's window is */
    put_seq(s, c->rcv.urgent, c->rcv.up, irs);
    put_seq(s, c->rcv.fin_ooo, c->rcv.fin, irs);
    put_seq(s, known, c->snd.wl1, irs);
    put_seq(s, known, c->snd.wl2, iss);
    put_seq(s, c->snd.urgent, c->snd.up, iss);
    put_seq(s, c->rec.phase != PHASE_OPEN, c->rec.point, iss);
    put_seq(s, c->rec.cwr_valid, c->rec.cwr_point, iss);
    put_seq(s, c->rec.recover_valid, c->rec.recover, iss);
    put_seq(s, c->rack.xmit_us != 0, c->rack.end, iss);
    put_seq(s, c->rack.round_valid, c->rack.round, iss);
    put_seq(s, c->tlp.out, c->tlp.end, iss);
    put_seq(s, c->undo.valid, c->undo.marker, iss);
    put_stamp(s, t, c->opt.ts, c->ts.recent);
    put_stamp(s, t, c->undo.valid && c->opt.ts, c->undo.stamp - c->ts.offset);
    sum_word(s, c->undo.valid ? (uint64_t)c->undo.cwnd << 32 | c->undo.ssthresh : 0);
    sum_word(s, c->undo.valid ? (uint64_t)c->undo.resent << 32 | c->undo.dsacked : 0);
}

static void put_sendlist(struct sum *s, const struct tern *t, const struct tcb *c)
{
    sum_word(s, c->list.count);
    for (ref_t r = c->list.seq.head; r != 0;) {
        const struct sendrec *p = at_const(t->a, r);
        sum_word(s, (uint64_t)seq_span(c->snd.iss, p->start) << 32 | p->len);
        sum_word(s, (uint64_t)p->size << 16 | (uint64_t)p->flags << 8 | p->times);
        put_time(s, t, p->sent_us);
        r = p->seq.next;
    }
    for (ref_t r = c->list.time.head; r != 0;) {
        const struct sendrec *p = at_const(t->a, r);
        sum_word(s, seq_span(c->snd.iss, p->start));
        r = p->time.next;
    }
}

static void put_ranges(struct sum *s, const struct tern *t, const struct rcv *v)
{
    sum_word(s, v->ooo_count);
    for (ref_t r = v->ooo.head; r != 0;) {
        const struct range *g = at_const(t->a, r);
        sum_word(s, (uint64_t)seq_span(v->irs, seq(g->q.pos)) << 32 | (v->stamp - g->stamp));
        put_queue(s, t, &g->q);
        r = g->place.next;
    }
}

static void put_tcb(struct sum *s, const struct tern *t, const struct tcb *c)
{
    PUT(s, t, &c->h, head_fields);
    PUT(s, t, &c->face, face_fields);
    PUT(s, t, &c->set, option_fields);
    put_table(s, t, c, tcb_fields, ARRAY_LEN(tcb_fields), c->snd.iss, c->rcv.irs);
    put_conditional(s, t, c);
    put_queue(s, t, &c->rcv.q);
    put_queue(s, t, &c->snd.q);
    put_sendlist(s, t, c);
    put_ranges(s, t, &c->rcv);
    put_name(s, t, c->listener);
}

/* --- the other records -------------------------------------------------------------------------- */

static void put_idle(struct sum *s, const struct tern *t, const struct idle *i)
{
    struct tcb c;
    memset(&c, 0, sizeof c);
    idle_view(t, i, &c);
    put_tcb(s, t, &c);
    sum_word(s, i->gone << 2 | i->ending);
}

static void put_halfopen(struct sum *s, const struct tern *t, const struct halfopen *h)
{
    put_name(s, t, ref_of(t->a, h));
    put_name(s, t, h->listener);
    put_stamp(s, t, h->ts, h->ts_recent);
    sum_word(s, (uint64_t)h->mss << 16 | h->snd_wscale << 12 | h->rcv_wscale << 8 | h->link << 4 | h->queue);
    sum_word(s, h->ts | h->sack << 1 | h->ecn << 2 | h->repeated << 3 | h->follows << 4 |
                    h->challenged << 5);
    sum_word(s, h->queue == QUEUE_NOW ? 0 : t->w->now - backlog_sent_us(t, h));
}

static void put_timewait(struct sum *s, struct tern *t, ref_t r)
{
    const struct timewait *w = at_const(t->a, r);
    put_name(s, t, r);
    sum_word(s, seq_span(isn_make(t, w), w->snd_nxt));
    sum_word(s, (uint32_t)(w->rcv_nxt.v - (uint32_t)(t->w->now / 4)));
    put_stamp(s, t, w->ts, w->ts_recent);
    sum_word(s, (uint64_t)w->wnd << 16 | w->challenged << 12 | w->rcv_wscale << 8 | w->ts << 4 |
                    w->parked << 3 | w->again << 2);
    sum_word(s, waiting_due(t, r) - t->w->now);
}

static void put_listener(struct sum *s, const struct tern *t, const struct listener *l)
{
    PUT(s, t, &l->h, head_fields);
    PUT(s, t, &l->face, face_fields);
    PUT(s, t, &l->set, option_fields);
    sum_word(s, (uint64_t)l->backlog << 32 | l->offer);
    sum_word(s, l->cookies << 2 | l->foreign << 1 | l->defer);
    put_time(s, t, l->cookie_us);
    for (uint32_t q = 0; q < QUEUES; q++) {
        sum_word(s, q);
        put_order(s, t, &l->queue[q], offsetof(struct halfopen, place));
    }
    put_order(s, t, &l->aq, offsetof(struct tcb, aq));
}

enum { SET_TCB, SET_HALFOPEN, SET_TIMEWAIT, SET_LISTENER, SET_TAKEN, SET_HOLD, SET_FRAG };

static void add_connections(struct sum *set, const struct tern *t)
{
    const struct pool *idles[] = {&t->w->idles4, &t->w->idles6};
    struct sum s;
    for (ref_t r = 0; pool_next(t->a, &t->w->tcbs, &r);) {
        sum_begin(&s, SET_TCB);
        put_tcb(&s, t, at_const(t->a, r));
        sum_word(&s, 0);
        sum_join(set, &s);
    }
    for (size_t i = 0; i < ARRAY_LEN(idles); i++)
        for (ref_t r = 0; pool_next(t->a, idles[i], &r);) {
            const struct idle *idle = at_const(t->a, r);
            if (idle->tcb != 0)
                continue;
            sum_begin(&s, SET_TCB);
            put_idle(&s, t, idle);
            sum_join(set, &s);
        }
}

static void add_small(struct sum *set, struct tern *t)
{
    const struct pool *halves[] = {&t->w->halfopens4, &t->w->halfopens6};
    const struct fifo *waits[] = {&t->w->wait4.fifo, &t->w->wait6.fifo};
    struct sum s;
    for (size_t i = 0; i < ARRAY_LEN(halves); i++)
        for (ref_t r = 0; pool_next(t->a, halves[i], &r);) {
            sum_begin(&s, SET_HALFOPEN);
            put_halfopen(&s, t, at_const(t->a, r));
            sum_join(set, &s);
        }
    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        for (ref_t r = 0; fifo_next(t->a, waits[i], &r);) {
            sum_begin(&s, SET_TIMEWAIT);
            put_timewait(&s, t, r);
            sum_join(set, &s);
        }
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);) {
        sum_begin(&s, SET_LISTENER);
        put_listener(&s, t, at_const(t->a, r));
        sum_join(set, &s);
    }
}

/* Bytes that the program has taken, and buffers that it has lent; names of handles do not count. */
static void add_lent(struct sum *set, const struct tern *t)
{
    struct sum s;
    for (ref_t r = 0; pool_next(t->a, &t->w->taken, &r);) {
        sum_begin(&s, SET_TAKEN);
        put_queue(&s, t, &((const struct taken *)at_const(t->a, r))->q);
        sum_join(set, &s);
    }
    for (ref_t r = 0; pool_next(t->a, &t->w->lent.holds, &r);) {
        const struct hold *h = at_const(t->a, r);
        if (h->kind != HOLD_LENT)
            continue;
        sum_begin(&s, SET_HOLD);
        sum_word(&s, h->tag);
        sum_word(&s, (uint64_t)h->len << 8 | h->region);
        sum_word(&s, h->at);
        sum_word(&s, h->count != 0);
        sum_join(set, &s);
    }
}

/* --- IP ----------------------------------------------------------------------------------------- */

static const struct field addr_fields[] = {
    FIELD(struct ip_addr, ip, BYTES),          FIELD(struct ip_addr, link, RAW),
    FIELD(struct ip_addr, prefix_len, RAW),    FIELD(struct ip_addr, deprecated, RAW),
    FIELD(struct ip_addr, state, RAW),         FIELD(struct ip_addr, learned, RAW),
    FIELD(struct ip_addr, probes, RAW),        FIELD(struct ip_addr, announces, RAW),
    FIELD(struct ip_addr, tries, RAW),         FIELD(struct ip_addr, step_us, TIME),
    FIELD(struct ip_addr, defended_us, TIME),  FIELD(struct ip_addr, valid_us, TIME),
    FIELD(struct ip_addr, preferred_us, TIME),
};

static const struct field route_fields[] = {
    FIELD(struct ip_route, dst, BYTES),      FIELD(struct ip_route, link, RAW),
    FIELD(struct ip_route, prefix_len, RAW), FIELD(struct ip_route, asked, RAW),
    FIELD(struct ip_route, learned, RAW),    FIELD(struct ip_route, via, BYTES),
    FIELD(struct ip_route, until_us, TIME),
};

static void put_link(struct sum *s, const tern_link_info *l)
{
    sum_word(s, (uint64_t)l->mtu << 32 | l->gso_max << 1 | l->tx_csum);
    sum_word(s, l->autoconf << 2 | l->no_dad << 1 | l->ethernet);
    put_raw(s, l->hw, sizeof l->hw);
}

static void put_tables(struct sum *s, const struct tern *t)
{
    const struct ip_state *ip = &t->w->ip;
    for (int i = 0; i < IP_LINKS; i++)
        put_link(s, &ip->links[i]);
    sum_word(s, ip->up);
    sum_word(s, (uint64_t)ip->n_addrs << 32 | ip->n_routes);
    for (uint32_t i = 0; i < ip->n_addrs; i++)
        PUT(s, t, &ip->addrs[i], addr_fields);
    for (uint32_t i = 0; i < ip->n_routes; i++)
        PUT(s, t, &ip->routes[i], route_fields);
    sum_word(s, ip->id);
}

static const struct field ether_link_fields[] = {
    FIELD(struct ether_link, reachable_us, RAW), FIELD(struct ether_link, renew_us, TIME),
    FIELD(struct ether_link, retrans_us, RAW),   FIELD(struct ether_link, solicit_us, TIME),
    FIELD(struct ether_link, report_us, TIME),   FIELD(struct ether_link, base_ms, RAW),
    FIELD(struct ether_link, mtu6, RAW),         FIELD(struct ether_link, solicits, RAW),
    FIELD(struct ether_link, reports, RAW),      FIELD(struct ether_link, asked, RAW),
};

static const struct field held_fields[] = {
    FIELD(struct held_packet, link, RAW),       FIELD(struct held_packet, flags, RAW),
    FIELD(struct held_packet, hdr_len, RAW),    FIELD(struct held_packet, gso_size, RAW),
    FIELD(struct held_packet, csum_start, RAW), FIELD(struct held_packet, csum_offset, RAW),
    FIELD(struct held_packet, hdr, BYTES),
};

static void put_held(struct sum *s, const struct tern *t, const struct list *l)
{
    for (ref_t r = l->head; r != 0; r = list_next(t->a, r, offsetof(struct held_packet, place))) {
        const struct held_packet *h = at_const(t->a, r);
        PUT(s, t, h, held_fields);
        put_queue(s, t, &h->body);
    }
    sum_word(s, 0);
}

static const struct field neigh_fields[] = {
    FIELD(struct neigh, ip, BYTES),   FIELD(struct neigh, from, BYTES), FIELD(struct neigh, hw, BYTES),
    FIELD(struct neigh, link, RAW),   FIELD(struct neigh, probes, RAW), FIELD(struct neigh, known, RAW),
    FIELD(struct neigh, router, RAW), FIELD(struct neigh, used, RAW),
};

/* In the order in which they give way. */
static void put_neighbours(struct sum *s, const struct tern *t)
{
    const struct ether *e = &t->w->ip.ether;
    for (ref_t r = e->all.head; r != 0; r = list_next(t->a, r, offsetof(struct neigh, all))) {
        const struct neigh *n = at_const(t->a, r);
        uint8_t state = neigh_state(n, t->w->now);
        PUT(s, t, n, neigh_fields);
        sum_word(s, state);
        put_time(s, t, state == TERN_NEIGH_STALE ? 0 : n->until_us);
        put_held(s, t, &n->waiting);
    }
}

/* All zero while no link is of this kind. */
static void put_ether(struct sum *s, const struct tern *t)
{
    const struct ether *e = &t->w->ip.ether;
    if (e->links == 0)
        return;
    sum_word(s, e->links);
    sum_word(s, e->rng.counter);
    for (int i = 0; i < IP_LINKS; i++)
        PUT(s, t, &e->link[i], ether_link_fields);
    put_neighbours(s, t);
    put_held(s, t, &e->out);
}

static void put_echoes(struct sum *s, const struct tern *t)
{
    const struct ip_state *ip = &t->w->ip;
    sum_word(s, ip->echo_count);
    for (uint32_t i = 0; i < ip->echo_count; i++) {
        const struct ip_echo *e = &ip->echoes[(ip->echo_head + i) % IP_ECHOES];
        put_ip(s, &e->src);
        put_ip(s, &e->dst);
        sum_word(s, (uint64_t)e->rest << 32 | e->at);
        sum_word(s, e->link << 24 | e->tos << 16 | e->id);
        put_queue(s, t, &e->body);
    }
}

static void add_fragments(struct sum *set, const struct tern *t)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        const struct frag_datagram *d = &t->w->ip.frag.d[i];
        struct sum s;
        if (!d->used)
            continue;
        sum_begin(&s, SET_FRAG);
        put_ip(&s, &d->src);
        put_ip(&s, &d->dst);
        sum_word(&s, (uint64_t)d->id << 32 | d->got);
        sum_word(&s, (uint64_t)d->high << 32 | d->total);
        sum_word(&s, (uint64_t)d->hdr_at << 32 | (uint64_t)d->hdr_len << 16 | d->refused);
        sum_word(&s, d->proto << 16 | d->link << 8 | d->ecn);
        for (uint32_t p = 0; p < d->n_pieces; p++)
            sum_word(&s, (uint64_t)d->pieces[p].start << 16 | d->pieces[p].len);
        put_queue(&s, t, &d->q);
        put_time(&s, t, d->deadline);
        sum_join(set, &s);
    }
}

/* --- the stack ---------------------------------------------------------------------------------- */

/* RST and ACK without a record: their numbers count from the first ones of who they answer for. Where these
 * are not known they are left out, and so are cookies, which a clock makes. */
static void put_replies(struct sum *s, const struct tern *t)
{
    sum_word(s, t->w->reply_count);
    for (uint32_t i = 0; i < t->w->reply_count; i++) {
        const struct reply *r = &t->w->replies[(t->w->reply_head + i) % REPLIES];
        put_ip(s, &r->who.local);
        put_ip(s, &r->who.remote);
        sum_word(s, (uint64_t)r->who.local_port << 32 | (uint64_t)r->who.remote_port << 16 | r->who.link);
        sum_word(s, r->who.state << 16 | r->who.tos << 8 | r->who.ttl);
        put_seq(s, r->who.iss.v != 0 && !r->cookie, r->seq, r->who.iss);
        put_seq(s, r->who.irs.v != 0, r->ack, r->who.irs);
        sum_word(s, (uint64_t)r->wnd << 32 | (uint64_t)r->cause << 16 | r->flags << 8 | r->cookie);
        sum_word(s, (uint64_t)r->opt.mss << 32 | r->opt.wscale << 16 | r->opt.sack_ok << 8 | r->opt.ts);
        put_stamp(s, t, r->opt.ts, r->opt.ts_ecr);
    }
}

static const struct field setting_fields[] = {
    FIELD(struct settings, rest_us, RAW),
    FIELD(struct settings, msl_us, RAW),
    FIELD(struct settings, rto_min_us, RAW),
    FIELD(struct settings, rto_max_us, RAW),
    FIELD(struct settings, delack_us, RAW),
    FIELD(struct settings, syn_retries_us, RAW),
    FIELD(struct settings, retries_us, RAW),
    FIELD(struct settings, fin_wait2_us, RAW),
    FIELD(struct settings, synack_retries, RAW),
    FIELD(struct settings, send_buffer, RAW),
    FIELD(struct settings, recv_buffer, RAW),
    FIELD(struct settings, port_low, RAW),
    FIELD(struct settings, port_high, RAW),
    FIELD(struct settings, ttl, RAW),
    FIELD(struct settings, ecn, RAW),
    FIELD(struct settings, timestamps, RAW),
    FIELD(struct settings, wscale, RAW),
    FIELD(struct settings, sack, RAW),
    FIELD(struct settings, rst_unclaimed, RAW),
    FIELD(struct settings, time_wait_max, RAW),
};

static const struct field world_fields[] = {
    FIELD(struct world, key_isn, RAW64S),
    FIELD(struct world, key_port, RAW64S),
    FIELD(struct world, key_table, RAW64S),
    FIELD(struct world, key_stamp, RAW64S),
    FIELD(struct world, key_sketch, RAW64S),
    FIELD(struct world, ip.ether.key, RAW64S),
    FIELD(struct world, ip.ether.iid, RAW64S),
    FIELD(struct world, ip.ether.rng.key, RAW64S),
    FIELD(struct world, cookie_keys, RAW64S),
    FIELD(struct world, cookie_shared, RAW),
    FIELD(struct world, rng, RAW64S),
    FIELD(struct world, jump_us, TIME),
    FIELD(struct world, sweep.links_gone, RAW),
    FIELD(struct world, sweep.n_gone, RAW),
    FIELD(struct world, lent.news, RAW),
    FIELD(struct world, foreign, RAW),
    FIELD(struct world, port_next, RAW),
};

/* What it counts is live: with no half-open record all is zero, and it need not be looked at. */
static void put_sketch(struct sum *s, const struct tern *t)
{
    const uint32_t *count = &t->w->sources.count[0][0];
    uint32_t live = t->w->halfopens4.live + t->w->halfopens6.live;
    for (uint32_t i = 0; i < SKETCH_ROWS * SKETCH_COLUMNS && live > 0; i++)
        if (count[i] != 0)
            sum_word(s, (uint64_t)count[i] << 32 | i);
    sum_word(s, live);
}

/* All that stands in a line. */
static void put_orders(struct sum *s, struct tern *t)
{
    put_order(s, t, &t->w->short_waiting, offsetof(struct tcb, shortage.place));
    sum_word(s, 0);
    put_order(s, t, &t->w->short_kept, offsetof(struct tcb, shortage.place));
    sum_word(s, 0);
    put_order(s, t, &t->w->ready, offsetof(struct conn_head, turn));
    sum_word(s, 1);
    put_order(s, t, &t->w->events, offsetof(struct tcb, face.place));
    sum_word(s, 2);
    for (ref_t r = t->w->lent.back.head; r != 0; r = hold_at(t->a, r)->place.next)
        sum_word(s, hold_at(t->a, r)->tag);
}

void tern_digest(const tern *stack, uint64_t out[2])
{
    struct tern *t = (struct tern *)(uintptr_t)stack; /* nothing is changed */
    struct sum s, set;
    sum_begin(&s, 0);
    PUT(&s, t, &t->w->set, setting_fields);
    PUT(&s, t, t->w, world_fields);
    put_sketch(&s, t);
    sum_word(&s, t->w->sweep.left != 0);
    sum_word(&s, (uint64_t)t->a->pages_max << 32 | t->a->page_shift);
    put_tables(&s, t);
    put_ether(&s, t);
    put_echoes(&s, t);
    put_replies(&s, t);
    put_orders(&s, t);
    sum_begin(&set, 0);
    add_connections(&set, t);
    add_small(&set, t);
    add_lent(&set, t);
    add_fragments(&set, t);
    sum_join(&s, &set);
    out[0] = s.a;
    out[1] = s.b;
}
