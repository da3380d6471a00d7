/* info.c - STATUS (RFC 9293 3.10.6) and more: what can be known of a stack, of one record, of all of them. */
#include "sock/sock.h"

void tern_get_stats(const tern *t, tern_stats *out)
{
    *out = t->w->stats;
    out->no_memory = t->a->refused;
    out->copied_bytes = t->a->copied;
    out->dropped[TERN_C_FRAGMENT_TIMEOUT] += t->w->ip.frag.timeouts;
    out->dropped[TERN_C_FRAGMENT_LIMIT] += t->w->ip.frag.evicted;
    out->neigh_asked = t->w->ip.ether.asks;
    out->neigh_failed = t->w->ip.ether.failures;
    out->neigh_dropped = t->w->ip.ether.dropped;
    out->addr_conflicts = t->w->ip.ether.conflicts;
}

/* Records of what is in flight: each list has one of its own, and others from the pool. */
static uint32_t sendrecs(const struct tern *t)
{
    uint32_t n = t->w->sendrecs.live;
    for (ref_t r = 0; pool_next(t->a, &t->w->tcbs, &r);)
        n += ((const struct tcb *)at_const(t->a, r))->list.own.gen != 0;
    return n;
}

void tern_get_live(const tern *t, tern_live *out)
{
    const struct world *w = t->w;
    timer_settle((struct tern *)(uintptr_t)t);
    memset(out, 0, sizeof *out);
    out->listeners = w->listener_pool.live;
    out->halfopen = w->halfopens4.live + w->halfopens6.live;
    out->tcbs = w->idles4.live + w->idles6.live;
    out->asleep = out->tcbs - w->tcbs.live;
    out->timewait = waiting_live(t);
    out->timewait_held = w->wait_held;
    out->sendrecs = sendrecs(t);
    out->ranges = w->ranges.live;
    out->timers = w->wheel.armed;
    out->fragments = frag_live(&w->ip.frag);
    out->replies = w->reply_count + w->ip.echo_count;
    out->neighbours = w->ip.ether.neighs.live;
    out->held = w->ip.ether.helds.live;
    out->arena_used = (uint64_t)t->a->pages_used << t->a->page_shift;
    out->arena_free = (uint64_t)t->a->free_count << t->a->page_shift;
    out->chunks = t->a->chunks;
    out->pieces = w->lent.pieces.live;
    out->lent = w->lent.lent_count;
    out->kept = w->lent.link_count;
    out->returned = w->lent.back_count;
    out->taken = w->taken.live;
}

static void from_head(const struct conn_head *h, tern_info *out)
{
    out->conn = h->conn;
    out->local = (tern_endpoint){h->local, h->local_port, 0};
    out->remote = (tern_endpoint){h->remote, h->remote_port, 0};
    if (ip_is_link_local6(&h->remote))
        out->remote.zone = h->link;
    if (ip_is_link_local6(&h->local) || h->state == TERN_LISTEN)
        out->local.zone = h->link; /* of a listener: all that it hears */
    out->state = h->state;
    out->reason = h->cause;
    out->opened_us = h->opened_us;
    out->state_since_us = h->since_us;
}

/* Of records without a head. */
static void from_who(const struct tern *t, const void *record, tern_info *out)
{
    struct who w;
    who_of(t, record, &w);
    out->conn = w.conn;
    out->local = (tern_endpoint){w.local, w.local_port, 0};
    out->remote = (tern_endpoint){w.remote, w.remote_port, 0};
    if (ip_is_link_local6(&w.remote))
        out->remote.zone = w.link;
    out->state = w.state;
    out->iss = w.iss.v;
    out->irs = w.irs.v;
}

static void from_face(const struct face *f, tern_info *out)
{
    out->held = f->held;
    out->data = f->data;
    out->error = f->error;
    out->soft_error = f->soft_error;
    out->icmp_type = f->icmp_type;
    out->icmp_code = f->icmp_code;
}

static void next_timer(const struct tcb *c, tern_info *out)
{
    const struct {
        uint8_t kind;
        uint64_t us;
    } all[] = {
        {c->tm.rexmit, c->tm.rexmit_us},
        {c->tm.life, c->tm.life_us},
        {TERN_TIMER_DELACK, c->ack.delack_us},
        {TERN_TIMER_KEEPALIVE, c->tm.keep_us},
        {TERN_TIMER_PACE, c->tm.pace_us},
        {TERN_TIMER_TAIL_PROBE, c->tm.tlp_us},
        {TERN_TIMER_REORDER, c->tm.reo_us},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].us != 0 && (out->timer_us == 0 || all[i].us < out->timer_us)) {
            out->timer = all[i].kind;
            out->timer_us = all[i].us;
        }
}

/* What the next data may use: after a pause the restart window, though it is set only then. */
static uint32_t cwnd_now(const struct tern *t, const struct tcb *c)
{
    struct cc cc = c->cc;
    if (restarts_after_idle(t, c))
        cc_restart(&cc, c->snd.mss);
    return cc.cwnd;
}

static void queues(const struct tern *t, const struct tcb *c, tern_info *out)
{
    bool opening = c->h.state == TERN_SYN_SENT || c->h.state == TERN_SYN_RCVD;
    out->recv_queue = c->rcv.q.len;
    out->recv_ooo = c->rcv.ooo_bytes;
    out->send_queue = opening ? c->snd.q.len : snd_unsent(&c->snd);
    out->send_unacked = c->snd.q.len - min_u32(c->snd.q.len, out->send_queue);
    out->urgent = c->rcv.urgent ? seq_span(seq(c->rcv.q.pos), c->rcv.up) : 0; /* MUST-33 */
    out->rcv_wnd = rcv_wnd(&c->rcv);
    out->snd_wnd = c->snd.wnd;
    out->cwnd = cwnd_now(t, c);
    out->ssthresh = c->cc.ssthresh;
    out->in_flight = sendlist_pipe(&c->list, c->rec.reno_sacked);
}

static void agreed(const struct tcb *c, tern_info *out)
{
    out->mss = c->snd.mss;
    out->snd_wscale = c->opt.snd_wscale;
    out->rcv_wscale = c->opt.rcv_wscale;
    out->wscale = c->opt.wscale;
    out->timestamps = c->opt.ts;
    out->sack = c->opt.sack;
    out->ecn = c->opt.ecn;
    out->iss = c->snd.iss.v;
    out->irs = c->rcv.irs.v;
}

/* RFC 9293 3.3.1 */
static void variables(const struct tcb *c, tern_info *out)
{
    out->snd_una = c->snd.una.v;
    out->snd_nxt = c->snd.nxt.v;
    out->snd_wl1 = c->snd.wl1.v;
    out->snd_wl2 = c->snd.wl2.v;
    out->max_snd_wnd = c->snd.max_wnd;
    out->rcv_nxt = c->rcv.nxt.v;
    out->ts_recent = c->ts.recent;
    out->last_ack_sent = c->ts.last_ack_sent.v;
}

static void totals(const struct tcb *c, tern_info *out)
{
    out->bytes_sent = c->sum.sent;
    out->bytes_acked = c->sum.acked;
    out->bytes_received = c->sum.received;
    out->bytes_retransmitted = c->sum.retransmitted;
    out->segs_out = c->sum.segs_out;
    out->segs_in = c->sum.segs_in;
    out->retransmits = c->sum.retransmits;
    out->fast_retransmits = c->sum.fast_retransmits;
    out->timeouts = c->sum.timeouts;
    out->dup_acks_in = c->sum.dup_acks_in;
    out->ooo_in = c->sum.ooo_in;
    out->challenge_acks = c->sum.challenge_acks;
    out->dsacks = c->sum.dsacks;
}

static void timing(const struct tern *t, const struct tcb *c, tern_info *out)
{
    out->srtt_us = c->rtt.srtt_us;
    out->rttvar_us = c->rtt.rttvar_us;
    out->rto_us = rtt_timeout(&c->rtt, settings(t));
    out->min_rtt_us = c->rtt.min_us;
    out->backoff = c->tm.retries;
    out->probes = max_u32(c->tm.keep_probes, c->tm.probes);
    out->last_rx_us = c->last_rx_us;
    out->last_tx_us = c->last_tx_us;
    next_timer(c, out);
}

static void history(const struct tcb *c, tern_info *out)
{
    for (int i = 0; i < TERN_HISTORY; i++) {
        out->history[i].cause = c->history[i].cause;
        out->history[i].from = c->history[i].from;
        out->history[i].to = c->history[i].to;
        out->history[i].t_us = c->history[i].t_us;
    }
}

static void from_tcb(const struct tern *t, const struct tcb *c, tern_info *out)
{
    from_face(&c->face, out);
    out->unaccepted = c->listener != 0;
    out->link = ip_way(&t->w->ip, &c->h.local, &c->h.remote, c->h.link);
    out->eof_read = c->rcv.eof_read;
    out->eof_us = c->rcv.fin_us;
    out->fin_rcvd = c->rcv.fin_rcvd;
    out->fin_waits = c->rcv.fin_ooo && !c->rcv.fin_rcvd;
    out->fin_sent = c->snd.fin_sent;
    out->fin_acked = c->snd.fin_acked;
    out->ttl_in = c->ttl_in;
    out->dscp_in = c->tos_in >> 2; /* MAY-9 */
    queues(t, c, out);
    agreed(c, out);
    variables(c, out);
    timing(t, c, out);
    totals(c, out);
    history(c, out);
}

static void from_listener(const struct tern *t, const struct listener *l, tern_info *out)
{
    from_face(&l->face, out);
    out->listener = true;
    out->backlog = l->backlog;
    out->halfopen = l->half_count;
    out->acceptq = l->aq_count;
    out->refused_full = l->refused_full;
    out->left_unaccepted = l->left_unaccepted;
    if (l->aq.head != 0)
        out->accept_oldest_us = ((const struct tcb *)at_const(t->a, l->aq.head))->h.since_us;
}

static void from_timewait(const struct tern *t, ref_t r, tern_info *out)
{
    const struct timewait *w = at_const(t->a, r);
    out->reason = (uint16_t)waiting_cause(w);
    out->timer = TERN_TIMER_TIME_WAIT;
    out->timer_us = waiting_due(t, r);
    out->state_since_us = out->timer_us - 2ull * settings(t)->msl_us;
    out->fin_rcvd = out->fin_sent = out->fin_acked = true;
    out->rcv_wscale = w->rcv_wscale;
    out->rcv_wnd = (uint32_t)w->wnd << w->rcv_wscale;
    out->snd_una = out->snd_nxt = w->snd_nxt.v;
    out->rcv_nxt = w->rcv_nxt.v;
    out->timestamps = w->ts;
    out->ts_recent = w->ts_recent;
}

/* Awake or at rest, the same is to be seen. */
static void from_idle(const struct tern *t, const struct idle *i, tern_info *out)
{
    struct tcb view;
    const struct tcb *c = i->tcb != 0 ? at_const(t->a, i->tcb) : &view;
    if (c == &view) {
        memset(&view, 0, sizeof view);
        idle_view(t, i, &view);
    }
    from_head(&c->h, out);
    from_tcb(t, c, out);
    out->asleep = c == &view;
}

static void fill(const struct tern *t, ref_t r, tern_info *out)
{
    const void *record = at_const(t->a, r);
    memset(out, 0, sizeof *out);
    switch (rec_kind(t, r)) {
    case REC_IDLE: from_idle(t, record, out); break;
    case REC_LISTENER:
        from_head(record, out);
        from_listener(t, record, out);
        break;
    case REC_HALFOPEN:
        from_who(t, record, out);
        halfopen_info(t, record, out);
        break;
    case REC_TIMEWAIT:
        from_who(t, record, out);
        from_timewait(t, r, out);
        break;
    default: ASSERT(false);
    }
}

int tern_get_info(const tern *t, tern_handle h, tern_info *out)
{
    ref_t r = sock_named(t, h);
    if (r == 0)
        return -TERN_EBADF;
    fill(t, r, out);
    return 0;
}

/* The next live record behind *r in the i-th store of records; -1 = there is no such store. */
static int step(const struct tern *t, uint32_t i, ref_t *r)
{
    const struct world *w = t->w;
    switch (i) {
    case 0: return pool_next(t->a, &w->listener_pool, r);
    case 1: return pool_next(t->a, &w->halfopens4, r);
    case 2: return pool_next(t->a, &w->halfopens6, r);
    case 3: return pool_next(t->a, &w->idles4, r);
    case 4: return pool_next(t->a, &w->idles6, r);
    case 5: return fifo_next(t->a, &w->wait4.fifo, r);
    case 6: return fifo_next(t->a, &w->wait6.fifo, r);
    default: return -1;
    }
}

/* The cursor is the store in the upper half and the last record in the lower. */
int tern_walk(const tern *t, uint64_t *cursor, tern_info *out)
{
    uint32_t i = (uint32_t)(*cursor >> 32);
    ref_t r = (ref_t)*cursor;
    for (int found; (found = step(t, i, &r)) >= 0; i++, r = 0)
        if (found > 0) {
            *cursor = (uint64_t)i << 32 | r;
            fill(t, r, out);
            return 1;
        }
    return 0;
}
