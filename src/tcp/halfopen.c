/* halfopen.c - SYN_RCVD of a listener: a small record from the SYN to the ACK of our SYN+ACK.
 *
 * It has no buffer: data that comes with the last ACK is handed to the new control block, earlier data is not
 * taken. It may have a predecessor in TIME_WAIT, parked until the new connection is certain (RFC 9293 3.6.1):
 * when the peer resets it, the SYN was an old duplicate and TIME_WAIT goes on.
 */
#include "tcp/tcp.h"

static uint64_t synack_timeout(const struct tern *t, uint8_t tries)
{
    uint64_t us = 1000000ull << (tries < 16 ? tries : 16); /* RFC 6298 2.1, 5.5 */
    return min_u64(us, settings(t)->rto_max_us);
}

static void list_append(struct tern *t, struct listener *l, struct halfopen *h)
{
    ref_t me = self(t, h);
    h->prev = l->half_tail;
    h->next = 0;
    if (l->half_tail != 0)
        ((struct halfopen *)at(t->a, l->half_tail))->next = me;
    else
        l->half_head = me;
    l->half_tail = me;
    l->half_count++;
}

static void list_remove(struct tern *t, struct listener *l, struct halfopen *h)
{
    if (h->prev != 0)
        ((struct halfopen *)at(t->a, h->prev))->next = h->next;
    else
        l->half_head = h->next;
    if (h->next != 0)
        ((struct halfopen *)at(t->a, h->next))->prev = h->prev;
    else
        l->half_tail = h->prev;
    l->half_count--;
}

/* The record in TIME_WAIT behind this one, if it is still there. */
static ref_t parked(struct tern *t, struct halfopen *h)
{
    tern_endpoint local = {h->h.local, h->h.local_port, 0}, remote = {h->h.remote, h->h.remote_port, 0};
    return demux_find_parked(t, &local, &remote, h->h.link);
}

static void fill_head(struct tern *t, struct halfopen *h, struct listener *l, const struct segment *s)
{
    struct conn_head *d = &h->h;
    d->kind = REC_HALFOPEN;
    d->link = s->link;
    d->local = s->dst;
    d->remote = s->src;
    d->local_port = s->dst_port;
    d->remote_port = s->src_port;
    d->conn = ++t->w->next_conn;
    d->opened_us = d->since_us = t->w->now;
    d->tos = (uint8_t)(l->set.dscp << 2);
    d->ttl = l->set.ttl;
    h->listener = self(t, l);
}

static void agree(struct tern *t, struct halfopen *h, struct listener *l, const struct segment *s)
{
    const struct settings *set = settings(t);
    options_agree(t, s, set->wscale ? options_wscale(l->set.recv_buffer) : WSCALE_NONE, &h->opt);
    /* SHLD-8, RFC 3168 6.1.1: a SYN with ECE and CWR asks */
    h->opt.ecn = l->set.ecn != TERN_ECN_OFF && (s->flags & (F_ECE | F_CWR)) == (F_ECE | F_CWR);
    h->irs = s->seq;
    h->ts_recent = s->opt.ts_val;
    h->ts_offset = stamp_offset(t, &h->h.local, &h->h.remote);
    h->wnd = s->wnd;
    h->rcv_wnd = min_u32(l->set.recv_buffer, 65535);
}

/* Above everything the predecessor sent (RFC 9293 MAY-2). */
static seq_t isn_above(struct tern *t, const struct conn_head *h, ref_t old)
{
    seq_t iss = isn_make(t, h);
    if (old == 0)
        return iss;
    seq_t used = time_wait_snd_nxt(t, old);
    return seq_gt(iss, used) ? iss : seq_add(used, 65536);
}

static bool enter_table(struct tern *t, struct halfopen *h, ref_t old)
{
    if (!demux_insert(t, self(t, h)))
        return false;
    if (old != 0) {
        time_wait_park(t, old);
        t->w->stats.time_wait_reused++;
    }
    return true;
}

/* RFC 9293 3.10.7.2 third. `old`: a record in TIME_WAIT that gives way, or 0. */
enum tern_cause halfopen_open(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    if (l->half_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_BACKLOG_FULL;
    }
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    ref_t me = pool_get(t->a, &t->w->halfopens, MEM_DATA);
    if (me == 0)
        return TERN_C_NO_MEMORY;
    struct halfopen *h = at(t->a, me);
    fill_head(t, h, l, s);
    agree(t, h, l, s);
    h->iss = isn_above(t, &h->h, old);
    if (!enter_table(t, h, old)) {
        pool_put(t->a, &t->w->halfopens, me);
        return TERN_C_NO_MEMORY;
    }
    list_append(t, l, h);
    t->w->stats.opens_passive++;
    trace_conn(t, &h->h, TERN_TRACE_OPENED, old != 0 ? TERN_C_SYN_RCVD_TIME_WAIT : TERN_C_SYN_RCVD_LISTEN, 0,
               0, 0);
    state_change(t, &h->h, old != 0 ? TERN_C_SYN_RCVD_TIME_WAIT : TERN_C_SYN_RCVD_LISTEN, TERN_SYN_RCVD);
    h->send = true;
    conn_ready(t, &h->h);
    return TERN_CAUSE_NONE;
}

static void drop_record(struct tern *t, struct halfopen *h)
{
    conn_unready(t, &h->h);
    conn_timer(t, &h->h, 0);
    list_remove(t, listener_at(t, h->listener), h);
    pool_put(t->a, &t->w->halfopens, self(t, h));
}

/* The record goes. With a predecessor in TIME_WAIT that one is found again. */
void halfopen_end(struct tern *t, struct halfopen *h, enum tern_cause cause)
{
    ref_t old = parked(t, h);
    state_change(t, &h->h, old != 0 && cause == TERN_C_HALFOPEN_RESET ? TERN_C_OLD_DUPLICATE_SYN : cause,
                 TERN_CLOSED);
    trace_conn(t, &h->h, TERN_TRACE_RELEASED, cause, 0, 0, 0);
    demux_remove(t, self(t, h));
    if (old != 0)
        time_wait_unpark(t, old);
    drop_record(t, h);
}

void halfopen_timer(struct tern *t, struct halfopen *h)
{
    if (t->w->now < h->due_us) {
        conn_timer(t, &h->h, h->due_us);
        return;
    }
    if (h->tries > settings(t)->synack_retries) {
        halfopen_end(t, h, TERN_C_HALFOPEN_TIMEOUT);
        return;
    }
    h->send = true;
    h->by_timer = true;
    conn_ready(t, &h->h);
}

/* Fifth: the handshake is complete. A control block takes over and goes on with the segment. */
static enum tern_cause complete(struct tern *t, struct halfopen *h, const struct segment *s)
{
    struct listener *l = listener_at(t, h->listener);
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    tern_endpoint local = {h->h.local, h->h.local_port, 0}, remote = {h->h.remote, h->h.remote_port, 0};
    struct tcb *c = tcb_new(t, &local, &remote, h->h.link, &l->set);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    ref_t old = parked(t, h);
    tcb_from_halfopen(t, h, c);
    demux_replace(t, self(t, h), self(t, c));
    if (old != 0)
        time_wait_gives_way(t, old);
    listener_enqueue(t, l, c);
    drop_record(t, h);
    timer_keepalive(t, c);
    enum tern_cause cause = in_synchronized(t, c, s);
    timer_rearm(t, c);
    return cause;
}

static enum tern_cause owe_ack(struct tern *t, struct halfopen *h, enum tern_cause why)
{
    if (challenge_allowed(t, &h->challenges, &h->challenge_us)) {
        h->challenge = true;
        conn_ready(t, &h->h);
    }
    return why;
}

/* RFC 7323 3.2: timestamps were agreed and this segment has none. */
static bool stamps_missing(const struct halfopen *h, const struct segment *s)
{
    return h->opt.ts && !s->opt.ts && !(s->flags & F_SYN);
}

static bool stamps_old(const struct halfopen *h, const struct segment *s)
{
    return h->opt.ts && s->opt.ts && (int32_t)(s->opt.ts_val - h->ts_recent) < 0;
}

/* RFC 9293 3.10.7.4 for SYN_RECEIVED reached from LISTEN; the kind of record remembers that (MUST-11). */
enum tern_cause in_halfopen(struct tern *t, struct halfopen *h, const struct segment *s)
{
    seq_t nxt = seq_add(h->irs, 1);
    /* the same SYN again: the SYN+ACK was lost (local policy) */
    if ((s->flags & (F_SYN | F_ACK | F_RST)) == F_SYN && seq_eq(s->seq, h->irs)) {
        h->send = true;
        conn_ready(t, &h->h);
        return TERN_CAUSE_NONE;
    }
    /* first: sequence number */
    if (!(s->flags & F_RST) && stamps_missing(h, s))
        return TERN_C_TS_MISSING;
    if (!(s->flags & F_RST) && stamps_old(h, s))
        return owe_ack(t, h, TERN_C_PAWS);
    if (!seq_acceptable(nxt, h->rcv_wnd, s)) {
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
    if (!seq_eq(s->ack, seq_add(h->iss, 1))) {
        reply_rst(t, s, TERN_C_SYN_RCVD_BAD_ACK);
        return TERN_C_SYN_RCVD_BAD_ACK;
    }
    return complete(t, h, s);
}

/* An MSS on it always (MUST-14, SHLD-5, MAY-3). */
static void synack(struct tern *t, struct halfopen *h, struct segment *s)
{
    s->flags = F_SYN | F_ACK | (h->opt.ecn ? F_ECE : 0);
    s->seq = h->iss;
    s->wnd = (uint16_t)h->rcv_wnd; /* never scaled on a SYN */
    uint32_t mss = s->link != 0 ? ip_mss(&t->w->ip, s->link, &h->h.remote) : 0;
    uint32_t max_seg = listener_at(t, h->listener)->set.max_seg;
    s->opt = (struct tcp_opts){
        .mss = (uint16_t)(max_seg != 0 ? min_u32(mss, max_seg) : mss),
        .wscale = h->opt.wscale ? h->opt.rcv_wscale : WSCALE_NONE,
        .sack_ok = h->opt.sack,
        .ts = h->opt.ts,
        .ts_val = stamp_now(t, h->ts_offset),
        .ts_ecr = h->ts_recent,
    };
    if (h->sent_us == 0)
        h->sent_us = t->w->now;
    if (h->sent < 255)
        h->sent++;
    if (h->sent > 1 && !h->by_timer)
        return; /* the peer asked again: our own timer and its count go on as they were */
    h->due_us = t->w->now + synack_timeout(t, h->tries);
    h->tries++;
    conn_timer(t, &h->h, h->due_us);
}

static void plain_ack(struct tern *t, struct halfopen *h, struct segment *s)
{
    s->flags = F_ACK;
    s->seq = seq_add(h->iss, 1);
    s->wnd = window_field_up(h->rcv_wnd, h->opt.rcv_wscale);
    s->opt.wscale = WSCALE_NONE;
    s->opt.ts = h->opt.ts;
    s->opt.ts_val = stamp_now(t, h->ts_offset);
    s->opt.ts_ecr = h->ts_recent;
}

/* There is no way to the peer: as if it had left and was lost. */
static bool withheld(struct tern *t, struct halfopen *h)
{
    struct segment unsent = {.link = 0};
    if (h->send)
        synack(t, h, &unsent);
    h->send = h->by_timer = h->challenge = false;
    return false;
}

bool halfopen_output(struct tern *t, struct halfopen *h, tern_tx_packet *out)
{
    struct segment s;
    enum tern_cause why;
    if (!h->send && !h->challenge)
        return false;
    segment_from_head(&h->h, way_of(t, &h->h), &s);
    if (s.link == 0)
        return withheld(t, h);
    s.ack = seq_add(h->irs, 1);
    if (h->send) {
        why = h->by_timer ? TERN_C_SEND_RETRANSMIT : TERN_C_SEND_SYNACK;
        uint64_t again = h->sent > 0;
        synack(t, h, &s);
        h->send = false;
        h->by_timer = false;
        trace_segment(t, &h->h, TERN_TRACE_SEG_OUT, &s, why, again);
    } else {
        plain_ack(t, h, &s);
        h->challenge = false;
        trace_segment(t, &h->h, TERN_TRACE_SEG_OUT, &s, TERN_C_SEND_CHALLENGE, 0);
    }
    tcp_build(t, &s, 0, out);
    return true;
}
