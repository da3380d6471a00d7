/* halfopen.c - SYN_RCVD of a listener: a small record from the SYN to the ACK of our SYN+ACK (RFC4987-3.5-a).
 *
 * It has no buffer: data that comes with the last ACK is handed to the new control block, earlier data is not
 * taken. It may have a predecessor in TIME_WAIT, parked until the new connection is certain (RFC 9293 3.6.1):
 * when the peer resets it, the SYN was an old duplicate and TIME_WAIT goes on.
 *
 * It waits in a queue of its listener (backlog.c). A repeated SYN is answered at once and moves nothing.
 */
#include "tcp/usual.h"

#define SHARE_LEAST 8u /* half-open records that each source may have, however short the backlog */

/* --- what is kept small -------------------------------------------------------------------------- */

static struct halfopen *half_at(struct tern *t, ref_t r) { return at(t->a, r); }

static inline bool is4(const struct tern *t, const struct halfopen *h)
{
    return arena_kind(t->a, ref_of(t->a, h)) == (enum page_kind)(PAGE_POOL0 + POOL_HALFOPEN4);
}

void halfopen_ips(const struct tern *t, const struct halfopen *h, tern_ip *local, tern_ip *remote)
{
    ip_pair_read(h->pair, is4(t, h), local, remote);
}

bool halfopen_is(const struct tern *t, const struct halfopen *h, const tern_endpoint *local,
                 const tern_endpoint *remote, uint8_t link)
{
    tern_ip own, peer;
    if (h->local_port != local->port || h->remote_port != remote->port)
        return false;
    halfopen_ips(t, h, &own, &peer);
    return ip_eq(&own, &local->ip) && ip_eq(&peer, &remote->ip) &&
           (h->link == link || ip_zone(&own, &peer, 1) == 0);
}

static void agreed_of(const struct halfopen *h, struct agreed *out)
{
    *out = (struct agreed){.mss = (uint16_t)h->mss, .ts = h->ts, .sack = h->sack, .ecn = h->ecn};
    out->wscale = h->snd_wscale != SHIFT_NONE;
    if (!out->wscale)
        return;
    out->snd_wscale = h->snd_wscale;
    out->rcv_wscale = h->rcv_wscale;
}

/* --- beginning ----------------------------------------------------------------------------------- */

/* The record in TIME_WAIT behind this one, if it is still there. */
static ref_t parked(struct tern *t, const struct halfopen *h)
{
    tern_endpoint local = {.port = h->local_port}, remote = {.port = h->remote_port};
    if (!h->follows)
        return 0;
    halfopen_ips(t, h, &local.ip, &remote.ip);
    return demux_find_parked(t, &local, &remote, h->link);
}

static void keep_agreed(struct halfopen *h, const struct agreed *opt)
{
    h->mss = opt->mss;
    h->snd_wscale = (opt->wscale ? opt->snd_wscale : SHIFT_NONE) & 15;
    h->rcv_wscale = (opt->wscale ? opt->rcv_wscale : SHIFT_NONE) & 15;
    h->ts = opt->ts;
    h->sack = opt->sack;
    h->ecn = opt->ecn;
}

static void agree(struct tern *t, struct halfopen *h, struct listener *l, const struct segment *s)
{
    const struct settings *set = settings(t);
    struct agreed opt;
    options_agree(t, s, set->wscale ? options_wscale(l->set.recv_buffer) : WSCALE_NONE, &opt);
    opt.ecn = options_ecn(l, s);
    keep_agreed(h, &opt);
    h->ts_recent = s->opt.ts_val;
    listener_offer(l);
}

/* Above everything the predecessor sent (RFC 9293 MAY-2). */
static seq_t isn_above(struct tern *t, const struct halfopen *h, const struct segment *s, ref_t old)
{
    tern_endpoint local = {s->dst, s->dst_port, 0}, remote = {s->src, s->src_port, 0};
    return old == 0 ? isn_for(t, &local, &remote, s->link) : isn_make_above(t, h, time_wait_snd_nxt(t, old));
}

static bool enter_table(struct tern *t, struct halfopen *h, uint32_t pair, ref_t old)
{
    if (!demux_insert_pair(t, self(t, h), pair))
        return false;
    if (old != 0) {
        h->follows = 1;
        time_wait_park(t, old);
        t->w->stats.time_wait_reused++;
    }
    return true;
}

static struct pool *pool_for(struct tern *t, bool v4) { return v4 ? &t->w->halfopens4 : &t->w->halfopens6; }

/* A record for this SYN, in the table; NULL: no memory. */
static struct halfopen *make(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    struct pool *pool = pool_for(t, tern_ip_is4(&s->src));
    ref_t me = pool_take(t->a, pool, MEM_DATA);
    if (me == 0 && idle_press(t))
        me = pool_take(t->a, pool, MEM_DATA);
    if (me == 0)
        return NULL;
    struct halfopen *h = half_at(t, me);
    *h = (struct halfopen){.id = (uint32_t)conn_number(t),
                           .listener = self(t, l),
                           .link = s->link & 15,
                           .local_port = s->dst_port,
                           .remote_port = s->src_port,
                           .irs = s->seq};
    ip_pair_write(h->pair, &s->dst, &s->src);
    agree(t, h, l, s);
    h->iss = isn_above(t, h, s, old);
    if (enter_table(t, h, s->pair, old))
        return h;
    pool_put(t->a, pool, me);
    return NULL;
}

/* May one source hold this many (RFC4987-3.5-b)? An eighth of the table, once half of it is taken. */
static bool source_has_its_share(struct tern *t, const struct listener *l, const struct segment *s)
{
    if (l->half_count < l->backlog / 2)
        return false;
    return sketch_count(&t->w->sources, sketch_source(t, &s->src)) >= max_u32(l->backlog / 8, SHARE_LEAST);
}

/* Room for one more, if need be in the place of the oldest (RFC4987-3.4-a) to which a SYN+ACK was repeated:
 * an honest peer would have answered. */
static bool room_for_one(struct tern *t, struct listener *l)
{
    struct halfopen *h;
    if (l->half_count < l->backlog)
        return true;
    if ((h = backlog_oldest_repeated(t, l)) == NULL)
        return false;
    t->w->stats.halfopen_evicted++;
    halfopen_end(t, h, TERN_C_HALFOPEN_EVICTED);
    return true;
}

static void ask_program(struct tern *t, struct listener *l, const struct halfopen *h)
{
    t->w->stats.syns_deferred++;
    conn_timer(t, &l->h, backlog_due_us(t, h));
    face_raise(t, &l->h, TERN_SYN_WAITS);
}

static enum tern_cause cause_of(const struct halfopen *h, ref_t old)
{
    if (old != 0)
        return TERN_C_SYN_RCVD_TIME_WAIT;
    return h->queue < QUEUE_PENDING ? TERN_C_SYN_RCVD_LISTEN : TERN_C_SYN_DEFERRED;
}

static enum tern_cause open_record(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    struct halfopen *h = make(t, l, s, old);
    if (h == NULL)
        return TERN_C_NO_MEMORY;
    h->queue = l->defer ? QUEUE_PENDING : QUEUE_NOW;
    enum tern_cause cause = cause_of(h, old);
    l->half_count++;
    sketch_add(&t->w->sources, sketch_source(t, &s->src));
    backlog_append(t, l, h, h->queue);
    t->w->stats.opens_passive++;
    trace_conn(t, h, TERN_TRACE_OPENED, cause, 0, 0, 0);
    state_edge(t, h, cause, TERN_CLOSED, TERN_SYN_RCVD);
    if (l->defer)
        ask_program(t, l, h);
    else
        conn_ready(t, &l->h);
    return TERN_CAUSE_NONE;
}

/* Where no cookie may be sent: silence instead. */
static enum tern_cause open_or_silence(struct tern *t, struct listener *l, const struct segment *s, ref_t old,
                                       bool greedy)
{
    if (greedy)
        return TERN_C_SOURCE_LIMIT;
    if (!room_for_one(t, l)) {
        l->refused_full++;
        return TERN_C_BACKLOG_FULL;
    }
    return open_record(t, l, s, old);
}

/* RFC 9293 3.10.7.2 third. A flood meets the small record first (RFC4987-4-ac), then cookies (RFC4987-3.7-a).
 * `old`: a record in TIME_WAIT that gives way, or 0; its successor needs a record of
 * its own, in whose place no cookie can stand. */
enum tern_cause halfopen_open(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    bool greedy = source_has_its_share(t, l, s);
    t->w->stats.syn_source_limited += greedy;
    if (l->cookies == TERN_COOKIES_NEVER || l->defer || old != 0)
        return open_or_silence(t, l, s, old, greedy);
    if (!greedy && l->half_count < l->backlog && l->cookies != TERN_COOKIES_ALWAYS) {
        enum tern_cause cause = open_record(t, l, s, 0);
        if (cause != TERN_C_NO_MEMORY)
            return cause;
    }
    return cookie_answer(t, l, s);
}

/* --- end ----------------------------------------------------------------------------------------- */

static void drop_record(struct tern *t, struct halfopen *h, const tern_ip *remote)
{
    struct listener *l = listener_at(t, h->listener);
    sketch_take(&t->w->sources, sketch_source(t, remote));
    backlog_remove(t, l, h);
    if (--l->half_count == 0)
        conn_timer_off(t, &l->h);
    pool_put(t->a, pool_for(t, is4(t, h)), self(t, h));
}

/* The record goes. With a predecessor in TIME_WAIT that one is found again. */
void halfopen_end(struct tern *t, struct halfopen *h, enum tern_cause cause)
{
    ref_t old = parked(t, h);
    tern_ip local, remote;
    if (old != 0 && cause == TERN_C_HALFOPEN_RESET)
        cause = TERN_C_OLD_DUPLICATE_SYN;
    state_edge(t, h, cause, TERN_SYN_RCVD, TERN_CLOSED);
    trace_conn(t, h, TERN_TRACE_RELEASED, cause, 0, 0, 0);
    demux_remove(t, self(t, h));
    if (old != 0)
        time_wait_unpark(t, old);
    halfopen_ips(t, h, &local, &remote);
    drop_record(t, h, &remote);
}

static void opening_of(struct tern *t, const struct halfopen *h, ref_t old, struct opening *o)
{
    *o = (struct opening){
        .conn = conn_widened(t, h->id),
        .opened_us = backlog_opened_us(t, h),
        .state = TERN_SYN_RCVD,
        .cause = cause_of(h, old),
        .since_us = backlog_opened_us(t, h),
        .iss = h->iss,
        .irs = h->irs,
        .ts_recent = h->ts_recent,
        .rcv_wnd = listener_at(t, h->listener)->offer,
        .sent = (uint8_t)(h->queue < QUEUE_PENDING ? h->queue + h->repeated : 0),
        .sent_us = max_u64(backlog_sent_us(t, h), 8) - 7, /* not later than it was */
    };
    agreed_of(h, &o->opt);
}

/* A control block in its place, in SYN_RCVD too. NULL: no memory, nothing has changed. */
struct tcb *halfopen_grow(struct tern *t, struct halfopen *h, uint32_t pair)
{
    struct listener *l = listener_at(t, h->listener);
    tern_endpoint local = {.port = h->local_port}, remote = {.port = h->remote_port};
    halfopen_ips(t, h, &local.ip, &remote.ip);
    uint8_t way = ip_way(&t->w->ip, &local.ip, &remote.ip, h->link);
    struct tcb *c = tcb_new(t, &local, &remote, h->link, way, &l->set);
    if (c == NULL)
        return NULL;
    struct opening o;
    ref_t old = parked(t, h);
    opening_of(t, h, old, &o);
    tcb_from_opening(t, &o, c);
    demux_replace_pair(t, pair, self(t, h), self(t, c));
    if (old != 0)
        time_wait_gives_way(t, old);
    drop_record(t, h, &remote.ip);
    return c;
}

/* Fifth: the handshake is complete. A control block takes over and goes on with the segment. */
static enum tern_cause complete(struct tern *t, struct halfopen *h, const struct segment *s)
{
    struct listener *l = listener_at(t, h->listener);
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    struct tcb *c = halfopen_grow(t, h, s->pair);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    listener_enqueue(t, l, c);
    timer_keepalive(t, c);
    tcb_heard(c, s, t->w->now);
    enum tern_cause cause = in_live(t, c, s);
    timer_rearm(t, c);
    return cause;
}

/* --- segments ------------------------------------------------------------------------------------ */

/* A ration of its own (RFC 5961 7): one for each SYN+ACK that left by itself. A count for several records
 * together would tell one peer of another (CVE-2016-5696). */
static enum tern_cause owe_ack(struct tern *t, struct halfopen *h, enum tern_cause why)
{
    if (h->challenged) {
        t->w->stats.challenge_limited++;
        return why;
    }
    h->challenged = 1;
    uint32_t wnd = listener_at(t, h->listener)->offer;
    uint8_t shift = h->snd_wscale != SHIFT_NONE ? h->rcv_wscale : 0;
    struct reply_ack a = {
        .seq = seq_add(h->iss, 1),
        .ack = seq_add(h->irs, 1),
        .wnd = window_field_up(wnd, shift),
        .ts = h->ts,
        .ts_ecr = h->ts_recent,
    };
    reply_ack_for(t, h, &a, TERN_C_SEND_CHALLENGE);
    return why;
}

/* RFC 7323 3.2: timestamps were agreed and this segment has none. */
static bool stamps_missing(const struct halfopen *h, const struct segment *s)
{
    return h->ts && !s->opt.ts && !(s->flags & F_SYN);
}

static bool stamps_old(const struct halfopen *h, const struct segment *s)
{
    return h->ts && s->opt.ts && (int32_t)(s->opt.ts_val - h->ts_recent) < 0;
}

/* An MSS on it always (MUST-14, SHLD-5, MAY-3), window scale and timestamps if the SYN has them
 * (RFC7323-2.2-e, RFC7323-2.3-a, RFC7323-3.2-e). */
void halfopen_synack(struct tern *t, const struct halfopen *h, struct who *who, struct reply_synack *a)
{
    const struct listener *l = listener_at(t, h->listener);
    who_of(t, h, who);
    *a = (struct reply_synack){.iss = h->iss, .irs = h->irs, .wnd = (uint16_t)l->offer, .ecn = h->ecn};
    a->opt.mss = listener_mss(t, l, who);
    a->opt.wscale = h->snd_wscale != SHIFT_NONE ? h->rcv_wscale : WSCALE_NONE;
    a->opt.sack_ok = h->sack;
    a->opt.ts = h->ts;
    a->opt.ts_ecr = h->ts_recent;
}

/* The same SYN again: the SYN+ACK was lost (local policy). Our own timer and its count go on as they were. */
static void answer_again(struct tern *t, struct halfopen *h)
{
    struct who who;
    struct reply_synack a;
    if (h->queue == QUEUE_NOW)
        return; /* the first is still to be sent */
    h->repeated = 1;
    halfopen_synack(t, h, &who, &a);
    reply_synack(t, &who, &a);
}

/* The program has not decided: to the peer nobody has answered yet, and nothing is answered. */
static enum tern_cause in_pending(struct tern *t, struct halfopen *h, const struct segment *s)
{
    bool ours = seq_eq(s->seq, seq_add(h->irs, 1));
    if ((s->flags & (F_SYN | F_ACK | F_RST)) == F_SYN && seq_eq(s->seq, h->irs))
        return TERN_CAUSE_NONE; /* again */
    if ((s->flags & F_RST) && ours) {
        halfopen_end(t, h, TERN_C_HALFOPEN_RESET);
        return TERN_CAUSE_NONE;
    }
    return (s->flags & F_RST) ? TERN_C_SEQ_RST : TERN_C_SYN_PENDING;
}

/* The peer's first SYN was answered by a cookie, its second one by this record, and the cookie arrived first:
 * then what it says holds. When it was sent is not known, so no round trip is measured (repeated). */
static bool takes_cookie(struct tern *t, struct halfopen *h, const struct segment *s)
{
    struct listener *l = listener_at(t, h->listener);
    struct agreed opt;
    if (!seq_eq(s->seq, seq_add(h->irs, 1)) || !cookie_came_late(t, l, s, &opt))
        return false;
    keep_agreed(h, &opt);
    h->iss = seq_sub(s->ack, 1);
    h->repeated = 1;
    if (h->queue != QUEUE_NOW)
        return true;
    backlog_remove(t, l, h);
    backlog_append(t, l, h, QUEUE_SENT);
    return true;
}

/* RFC 9293 3.10.7.4 for SYN_RECEIVED reached from LISTEN; the kind of record remembers that (MUST-11). */
enum tern_cause in_halfopen(struct tern *t, struct halfopen *h, const struct segment *s)
{
    seq_t nxt = seq_add(h->irs, 1);
    if (listener_at(t, h->listener)->h.state == TERN_CLOSED) {
        listener_refuses(t, h); /* it was closed, and has not come to this one yet */
        return TERN_CAUSE_NONE;
    }
    if (h->queue >= QUEUE_PENDING)
        return in_pending(t, h, s);
    if ((s->flags & (F_SYN | F_ACK | F_RST)) == F_SYN && seq_eq(s->seq, h->irs)) {
        if ((s->flags & (F_ECE | F_CWR)) != (F_ECE | F_CWR))
            h->ecn = 0; /* RFC3168-6.1.1-d: it has given up asking */
        answer_again(t, h);
        return TERN_CAUSE_NONE;
    }
    /* first: sequence number */
    if (!(s->flags & F_RST) && stamps_missing(h, s))
        return TERN_C_TS_MISSING;
    if (!(s->flags & F_RST) && stamps_old(h, s))
        return owe_ack(t, h, TERN_C_PAWS);
    if (!seq_acceptable(nxt, listener_at(t, h->listener)->offer, s)) {
        if (s->flags & F_RST)
            return TERN_C_SEQ_RST;
        return owe_ack(t, h, seq_lt(s->seq, nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND);
    }
    /* second: RST (RFC 5961 3.2) */
    if (s->flags & F_RST) {
        if (!seq_eq(s->seq, nxt))
            return owe_ack(t, h, TERN_C_RST_CHALLENGE);
        halfopen_end(t, h, TERN_C_HALFOPEN_RESET);
        return TERN_CAUSE_NONE;
    }
    /* third: security: none here. fourth: SYN */
    if (s->flags & F_SYN) {
        halfopen_end(t, h, TERN_C_HALFOPEN_SYN);
        return TERN_CAUSE_NONE;
    }
    /* fifth: ACK */
    if (!(s->flags & F_ACK))
        return TERN_C_NO_ACK_BIT;
    /* before our SYN+ACK has left SND.NXT is ISS: there is nothing to acknowledge */
    bool ours = h->queue != QUEUE_NOW && seq_eq(s->ack, seq_add(h->iss, 1));
    if (!ours && !takes_cookie(t, h, s)) {
        reply_rst(t, s, TERN_C_SYN_RCVD_BAD_ACK);
        return TERN_C_SYN_RCVD_BAD_ACK;
    }
    return complete(t, h, s);
}

void halfopen_info(const struct tern *t, const struct halfopen *h, tern_info *out)
{
    struct agreed opt;
    agreed_of(h, &opt);
    bool asked = h->queue != QUEUE_NOW && h->queue < QUEUE_PENDING;
    out->reason = (uint16_t)cause_of(h, parked((struct tern *)t, h));
    out->opened_us = out->state_since_us = backlog_opened_us(t, h);
    out->timer = TERN_TIMER_RETRANSMIT;
    out->timer_us = h->queue == QUEUE_NOW ? t->w->now : backlog_due_us(t, h);
    out->retransmits = out->backoff = asked ? h->queue - QUEUE_SENT : 0;
    out->rcv_wnd = ((const struct listener *)at_const(t->a, h->listener))->offer;
    out->snd_una = h->iss.v;
    out->snd_nxt = h->iss.v + 1;
    out->rcv_nxt = h->irs.v + 1;
    out->ts_recent = h->ts_recent;
    out->mss = opt.mss;
    out->timestamps = opt.ts;
    out->sack = opt.sack;
    out->wscale = opt.wscale;
    out->snd_wscale = opt.snd_wscale;
    out->rcv_wscale = opt.rcv_wscale;
    out->ecn = opt.ecn;
}
