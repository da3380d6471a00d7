/* lane_out.c - the usual packet of a usual connection, in one go: our SYN, a small piece of text that is all
 * there is, our FIN, a pure ACK; and whole segments of bulk, which the link cuts and sums.
 *
 * decide.c asks for a dozen things that may have to be said, and output.c for what may have to be said with
 * them; most often there is none of it. Here that is one question (`usual`), and what is left is what every
 * packet has: its plan (RFC 9293 3.10.2, 3.10.4, 3.8.6.2.1), its header, and the notes of what was sent (RFC
 * 6298 5.1, RFC 8985 7.2). What is done is what those two would have done, to the bit of the record, the
 * packet and the trace; the fuzzer's twins compare both (world.h, by_steps). Whatever is not usual is left to
 * them, and then nothing has happened here.
 */
#include "tcp/plan.h"
#include "wire/plain.h"

/* What is said. The compiler has it in registers, unless somebody traces. */
struct said {
    seq_t start;
    uint32_t len;     /* sequence numbers, SYN and FIN included */
    uint32_t payload; /* bytes, which lie at */
    const uint8_t *data;
    uint8_t flags;
    uint8_t opt_len;  /* PLAIN_TS if timestamps were agreed (RFC7323-3.2-f) */
    uint16_t why;
};

/* Nothing asks for another plan, other flags, other options or another time than the usual ones. */
static inline bool usual(const struct tern *t, const struct tcb *c)
{
    const struct snd *n = &c->snd;
    const struct timers *m = &c->tm;
    uint32_t odd = c->rst_cause | c->ack.dup_owed | c->list.lost_next | c->rcv.ooo.head;
    odd |= (uint32_t)(c->rec.phase | c->rec.dupacks | c->rec.held | c->tlp.due | m->probe | m->keep_probe);
    odd |= (uint32_t)(n->urgent | n->more | n->narrow | c->opt.ecn | (m->rexmit == TERN_TIMER_PERSIST));
    return odd == 0 && n->syn_acked && n->link != 0 && tern_ip_is4(&c->h.local) && !by_steps(t);
}

/* All that is queued, if it may leave at once: nothing is in flight, so neither Nagle (a small segment that
 * is not acknowledged) nor the congestion window hold it; it is smaller than a full segment and fits into the
 * peer's window. It ends with PSH (MUST-61) and takes the FIN along. */
static inline bool plan_text(const struct tern *t, const struct tcb *c, struct said *p)
{
    const struct snd *n = &c->snd;
    uint32_t fin = n->fin_queued, bytes = p->payload;
    p->data = chunkq_whole(t->a, &n->q);
    if (c->list.count != 0 || p->data == NULL || bytes > PLAIN_MOST || bytes >= n->mss ||
        bytes + fin > n->wnd || c->h.state == TERN_FIN_WAIT_2 || c->h.state == TERN_TIME_WAIT)
        return false;
    p->len = bytes + fin;
    p->flags = (uint8_t)(fin ? F_ACK | F_PSH | F_FIN : F_ACK | F_PSH);
    p->why = TERN_C_SEND_DATA;
    return !restarts_after_idle(t, c);
}

/* Without text: FIN, if the peer's window takes it, else an ACK that is owed now. */
static inline bool plan_bare(const struct tcb *c, struct said *p)
{
    const struct snd *n = &c->snd;
    bool fin = n->fin_queued && !n->fin_sent;
    p->len = fin;
    p->flags = fin ? F_ACK | F_FIN : F_ACK;
    p->why = fin ? TERN_C_SEND_FIN : c->ack.now_cause;
    /* else an ACK would have another number (decide.c, number_of_ack) */
    return p->why != 0 && flight(n) + fin <= n->wnd;
}

static inline bool plan(const struct tern *t, const struct tcb *c, struct said *p)
{
    p->start = c->snd.nxt;
    p->payload = snd_unsent(&c->snd);
    return p->payload > 0 ? plan_text(t, c, p) : plan_bare(c, p);
}

/* note_limited (plan.h) before and after it: with nothing else in flight that is little to ask. */
static inline void note_alone(struct tcb *c, const struct said *p)
{
    uint32_t gone = c->rec.reno_sacked, pipe = p->len > gone ? p->len - gone : 0;
    if (2ull * pipe >= c->cc.cwnd)
        c->snd.limited = true;
    else if (p->payload == 0)
        c->snd.limited = false;
}

/* --- how it is written ---------------------------------------------------------------------------- */

static inline void write_packet(struct tern *t, uint8_t link, const struct plain *h, const struct said *p,
                                tern_tx_packet *out)
{
    bool partial = t->w->ip.links[link].tx_csum;
    uint64_t sum = partial || p->payload == 0 ? 0 : plain_sum(p->data, p->payload);
    out->hdr_len = plain_write(out->hdr, h, p->payload, sum, partial);
    out->flags = partial ? TERN_TX_CSUM : 0;
    out->link = link;
    out->len = out->hdr_len + p->payload;
    out->gso_size = 0;
    out->csum_start = PLAIN_IP;
    out->csum_offset = 16;
    out->not_before = 0;
    out->n_slices = p->payload > 0;
    out->slices[0] = (tern_slice){p->data, p->payload};
    t->w->stats.segs_out++;
}

static inline struct plain head_of(const struct tern *t, const struct tcb *c, const struct said *p)
{
    const struct conn_head *h = &c->h;
    return (struct plain){
        .src = h->local.b + 12,
        .dst = h->remote.b + 12,
        .src_port = h->local_port,
        .dst_port = h->remote_port,
        .seq = p->start.v,
        .flags = p->flags,
        .tos = h->tos,
        .ttl = h->ttl,
        .ts_val = stamp_now(t, c->ts.offset),
    };
}

static inline void write_segment(struct tern *t, struct tcb *c, const struct said *p, tern_tx_packet *out)
{
    struct plain h = head_of(t, c, p);
    h.ack = c->rcv.nxt.v;
    h.wnd = window_offer(t, c);
    h.opt_len = p->opt_len;
    h.ts_ecr = c->ts.recent;
    write_packet(t, c->snd.link, &h, p, out);
}

static COLD void trace_said(struct tern *t, struct tcb *c, const struct said *p)
{
    struct plan plan = {.start = p->start, .len = p->len, .why = p->why};
    plan.flags = (uint8_t)(p->flags & ~F_ACK);
    trace_plan(t, c, &plan, p->payload);
}

/* --- what is noted -------------------------------------------------------------------------------- */

/* Its record: what is sent has one before it leaves. False: no memory. */
static inline bool recorded(struct tern *t, struct tcb *c, const struct said *p)
{
    ref_t chunk = 0;
    if (p->payload > 0)
        chunk = c->snd.q.list.head;
    else if (c->list.count > 0)
        chunk = ((struct sendrec *)at(t->a, c->list.seq.tail))->chunk;
    return LIKELY(sendlist_add(t, &c->list, p->start, p->len, c->snd.mss, chunk) != NULL) ||
           sendlist_extend_tail(t, &c->list, p->len, c->snd.mss);
}

/* What left is new: the numbers, the timer (RFC6298-5.1-a), the tail probe. */
static inline void note_new(struct tern *t, struct tcb *c, const struct said *p)
{
    struct snd *n = &c->snd;
    n->nxt = seq_add(p->start, p->len);
    n->fin_sent |= (p->flags & F_FIN) != 0;
    n->blocked_us = 0;
    if (p->payload > 0) {
        n->small = n->nxt;
        n->last_us = t->w->now;
        c->sum.sent += p->payload;
    }
    timer_sent(t, c);
    tlp_schedule(t, c);
}

/* Whatever was owed is said with it. */
static inline void note_ack(struct tcb *c)
{
    c->ack.now_cause = 0;
    c->ack.bytes = 0;
    c->ack.delack_us = 0;
    c->ts.last_ack_sent = c->rcv.nxt;
}

/* The packet leaves, if what it says has a record; else it is tried again later. */
static inline int say(struct tern *t, struct tcb *c, const struct said *p, tern_tx_packet *out)
{
    if (p->len > 0 && UNLIKELY(!recorded(t, c, p)))
        return later_for_memory(t, c);
    c->shortage.refused = 0;
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_SEG_OUT)))
        trace_said(t, c, p);
    write_segment(t, c, p, out);
    c->sum.segs_out++;
    c->last_tx_us = t->w->now;
    note_ack(c);
    if (p->len > 0)
        note_new(t, c, p);
    return 1;
}

/* turn_ends (output.c), where nothing is left to be said. A window that is shut has a timer of its own;
 * before the handshake ends there is none. */
static inline void end_turn(struct tern *t, struct tcb *c, bool shut)
{
    uint8_t timer = c->list.count > 0 ? TERN_TIMER_RETRANSMIT : TERN_TIMER_NONE;
    if (UNLIKELY(c->tm.rexmit != timer || shut))
        timer_window(t, c);
    conn_unready(t, &c->h);
    timer_rearm(t, c);
    if (c->h.state == TERN_TIME_WAIT)
        tcb_said_all(t, c);
}

/* --- our SYN -------------------------------------------------------------------------------------- */

/* With the options that plain headers have. */
static inline bool usual_syn(const struct tern *t, const struct tcb *c)
{
    const struct settings *set = settings(t);
    bool asks_all = set->wscale && set->sack && set->timestamps && !c->opt.ecn;
    uint32_t odd = c->list.count | c->rec.phase | c->tlp.due | c->tm.probe | c->tm.keep_probe;
    odd |= c->tm.retries; /* it had no way until now */
    return asks_all && odd == 0 && !c->snd.syn_acked && seq_eq(c->snd.nxt, c->snd.iss) && c->rst_cause == 0 &&
           c->snd.link != 0 && !c->snd.narrow && tern_ip_is4(&c->h.local) && !by_steps(t);
}

/* syn_options (output.c) says why. */
static inline void write_syn(struct tern *t, const struct tcb *c, const struct said *p, tern_tx_packet *out)
{
    struct plain h = head_of(t, c, p);
    uint16_t max_seg = c->set.max_seg;
    h.opt_len = PLAIN_SYN;
    h.wnd = (uint16_t)min_u32(rcv_wnd(&c->rcv), 65535); /* RFC7323-2.2-g */
    h.mss = (uint16_t)(max_seg != 0 ? min_u32(max_seg, c->snd.mtu_mss) : c->snd.mtu_mss);
    h.wscale = options_wscale(c->set.recv_buffer);
    write_packet(t, c->snd.link, &h, p, out);
}

/* Nothing else is in flight: its record is the list's own and needs no memory. */
static inline void say_syn(struct tern *t, struct tcb *c, const struct said *p, tern_tx_packet *out)
{
    sendlist_add(t, &c->list, p->start, p->len, c->snd.mss, 0);
    c->shortage.refused = 0;
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_SEG_OUT)))
        trace_said(t, c, p);
    write_syn(t, c, p, out);
    c->sum.segs_out++;
    c->last_tx_us = t->w->now;
    note_new(t, c, p);
}

static int lane_syn(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct said p = {.start = c->snd.iss, .len = 1, .flags = F_SYN, .why = TERN_C_SEND_SYN};
    if (!usual_syn(t, c))
        return LANE_NOT;
    say_syn(t, c, &p, out);
    note_limited(c); /* as says_no_more does (decide.c): nothing but the SYN leaves in this state */
    end_turn(t, c, false);
    return 1;
}

/* There is one of this for each `opt_len`, which the compiler knows. */
static inline __attribute__((always_inline)) int lane_with(struct tern *t, struct tcb *c, uint8_t opt_len,
                                                           tern_tx_packet *out)
{
    struct said p = {.opt_len = opt_len};
    if (!synchronized(c) || !usual(t, c) || !plan(t, c, &p))
        return LANE_NOT;
    bool alone = c->list.count == 0;
    if (UNLIKELY(!alone))
        note_limited(c);
    int n = say(t, c, &p, out);
    if (LIKELY(alone & n))
        note_alone(c, &p);
    else if (n > 0)
        note_limited(c);
    end_turn(t, c, c->snd.wnd == 0);
    return n;
}

static APART int lane_without(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    return lane_with(t, c, 0, out);
}

int lane_out(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    if (UNLIKELY(c->h.state == TERN_SYN_SENT))
        return lane_syn(t, c, out);
    return LIKELY(c->opt.ts) ? lane_with(t, c, PLAIN_TS, out) : lane_without(t, c, out);
}

/* --- whole segments ------------------------------------------------------------------------------- */

/* As many as both windows and one packet of the link allow, and the slices where they lie. What is left over
 * and less than a segment is not for here, nor is a packet that waits for more (decide.c, waits_for_more). */
static inline bool plan_bulk(const struct tern *t, const struct tcb *c, uint32_t most, struct said *p)
{
    const struct snd *n = &c->snd;
    uint32_t full = n->mss, gso = t->w->ip.links[n->link].gso_max, unsent = snd_unsent(n);
    uint32_t len = min_u32(most, gso >= 2 * full ? gso : full);
    if (len < full || n->blocked || (c->h.state != TERN_ESTABLISHED && c->h.state != TERN_CLOSE_WAIT) ||
        restarts_after_idle(t, c))
        return false;
    p->start = n->nxt;
    p->opt_len = c->opt.ts ? PLAIN_TS : 0;
    p->len = p->payload = len / full * full;
    p->flags = p->payload == unsent ? F_ACK | F_PSH : F_ACK; /* MUST-61 */
    p->why = TERN_C_SEND_DATA;
    return true;
}

/* False: they are more slices than a packet has. */
static inline bool slices_of(struct tern *t, struct tcb *c, const struct said *p, ref_t *chunk,
                             tern_tx_packet *out)
{
    uint32_t got;
    *chunk = c->list.count > 0 ? ((struct sendrec *)at(t->a, c->list.seq.tail))->chunk : 0;
    out->n_slices = (uint16_t)chunkq_slices(t->a, &t->regions, &c->snd.q, p->start.v, p->payload, chunk,
                                            out->slices, TERN_TX_SLICES, &got);
    return got == p->payload;
}

static inline void write_bulk(struct tern *t, struct tcb *c, const struct said *p, tern_tx_packet *out)
{
    struct plain h = head_of(t, c, p);
    h.ack = c->rcv.nxt.v;
    h.wnd = window_offer(t, c);
    h.opt_len = p->opt_len;
    h.ts_ecr = c->ts.recent;
    out->hdr_len = plain_write(out->hdr, &h, p->payload, 0, true);
    out->flags = TERN_TX_CSUM;
    out->link = c->snd.link;
    out->len = out->hdr_len + p->payload;
    out->gso_size = p->payload > c->snd.mss ? c->snd.mss : 0;
    out->csum_start = PLAIN_IP;
    out->csum_offset = 16;
    out->not_before = 0;
    t->w->stats.segs_out++;
}

int bulk_out(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct said p;
    ref_t chunk;
    uint32_t window = min_u32(snd_unsent(&c->snd), usable_window(&c->snd)),
             most = min_u32(window, cwnd_room(c));
    if (most < c->snd.mss || !synchronized(c) || !usual(t, c) || !t->w->ip.links[c->snd.link].tx_csum ||
        !plan_bulk(t, c, most, &p) || !slices_of(t, c, &p, &chunk, out))
        return LANE_NOT;
    note_limited(c);
    c->snd.limited |= most < window;
    if (UNLIKELY(sendlist_add(t, &c->list, p.start, p.len, c->snd.mss, chunk) == NULL &&
                 !sendlist_extend_tail(t, &c->list, p.len, c->snd.mss)))
        return 0;
    c->shortage.refused = 0;
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_SEG_OUT)))
        trace_said(t, c, &p);
    write_bulk(t, c, &p, out);
    c->sum.segs_out++;
    c->sum.sent += p.payload;
    c->last_tx_us = t->w->now;
    note_ack(c);
    c->snd.nxt = seq_add(p.start, p.len);
    c->snd.blocked_us = 0;
    c->snd.last_us = t->w->now;
    timer_sent(t, c);
    tlp_schedule(t, c);
    return 1;
}

/* --- the SYN+ACK of a half-open record ------------------------------------------------------------ */

/* With all options, for the first time, where its SYN came from. */
static inline bool usual_synack(const struct tern *t, const struct halfopen *h)
{
    return arena_kind(t->a, ref_of(t->a, h)) == (enum page_kind)(PAGE_POOL0 + POOL_HALFOPEN4) && h->ts &&
           h->sack && h->snd_wscale != SHIFT_NONE && !h->ecn && !h->repeated && h->link != 0 &&
           ip_link_is_up(&t->w->ip, h->link) && !trace_wants(&t->trace, TERN_TRACE_SEG_OUT) &&
           !by_steps(t);
}

/* halfopen_synack (halfopen.c) says why. */
bool lane_synack(struct tern *t, const struct listener *l, const struct halfopen *h, tern_tx_packet *out)
{
    const struct said p = {.payload = 0};
    tern_ip local, remote;
    if (!usual_synack(t, h))
        return false;
    ip_pair_read(h->pair, true, &local, &remote);
    uint32_t mss = ip_mss(&t->w->ip, h->link, &remote);
    struct plain head = {
        .src = local.b + 12,
        .dst = remote.b + 12,
        .src_port = h->local_port,
        .dst_port = h->remote_port,
        .seq = h->iss.v,
        .ack = h->irs.v + 1,
        .wnd = (uint16_t)l->offer,
        .flags = F_SYN | F_ACK,
        .tos = (uint8_t)(l->set.dscp << 2),
        .ttl = l->set.ttl,
        .opt_len = PLAIN_SYN,
        .mss = (uint16_t)(l->set.max_seg != 0 ? min_u32(mss, l->set.max_seg) : mss),
        .wscale = (uint8_t)h->rcv_wscale,
        .ts_val = stamp_now(t, stamp_offset(t, &local, &remote)),
        .ts_ecr = h->ts_recent,
    };
    write_packet(t, h->link, &head, &p, out);
    return true;
}
