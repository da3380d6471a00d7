/* lane_out.c - the usual packet of a usual connection, in one go: our SYN, a small piece of text that is all
 * there is, our FIN, a pure ACK.
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

/* Nothing asks for another plan, other flags, other options or another time than the usual ones. */
static inline bool usual(const struct tern *t, const struct tcb *c)
{
    const struct snd *n = &c->snd;
    const struct timers *m = &c->tm;
    uint32_t odd = c->rst_cause | c->ack.dup_owed | c->list.lost_next | c->rcv.ooo.head;
    odd |= (uint32_t)(c->rec.phase | c->rec.dupacks | c->rec.held | c->tlp.due | m->probe | m->keep_probe);
    odd |= (uint32_t)(n->urgent | n->more | n->narrow | c->opt.ecn | (m->rexmit == TERN_TIMER_PERSIST));
    return odd == 0 && n->syn_acked && n->link != 0 && tern_ip_is4(&c->h.local) && !t->w->by_steps;
}

/* All that is queued, if it may leave at once: nothing is in flight, so neither Nagle (a small segment that
 * is not acknowledged) nor the congestion window hold it; it is smaller than a full segment and fits into the
 * peer's window. */
static inline bool plan_text(const struct tern *t, const struct tcb *c, uint32_t bytes, struct plan *p)
{
    const struct snd *n = &c->snd;
    uint32_t fin = n->fin_queued;
    if (c->list.count != 0 || bytes > PLAIN_MOST || bytes >= n->mss || bytes + fin > n->wnd ||
        c->h.state == TERN_FIN_WAIT_2 || c->h.state == TERN_TIME_WAIT || restarts_after_idle(t, c))
        return false;
    *p = (struct plan){.start = n->nxt, .len = bytes + fin, .why = TERN_C_SEND_DATA};
    p->flags = (uint8_t)(F_PSH | (fin != 0 ? F_FIN : 0)); /* MUST-61 */
    return true;
}

/* Without text: FIN, else an ACK that is owed now. */
static inline bool plan_bare(const struct tcb *c, struct plan *p)
{
    const struct snd *n = &c->snd;
    uint32_t open = usable_window(n), out = flight(n);
    bool fin = n->fin_queued && !n->fin_sent;
    *p = (struct plan){.start = n->nxt, .len = 1, .flags = F_FIN, .why = TERN_C_SEND_FIN};
    if (fin)
        return open > 0;
    *p = (struct plan){.start = n->nxt, .why = c->ack.now_cause};
    return c->ack.now_cause != 0 && out <= n->wnd; /* else SND.NXT lies beyond the peer's window */
}

static inline void write_packet(struct tern *t, const struct tcb *c, const struct plain *h, uint32_t payload,
                                const uint8_t *data, tern_tx_packet *out)
{
    bool partial = t->w->ip.links[c->snd.link].tx_csum;
    out->hdr_len = plain_write(out->hdr, h, payload, partial ? 0 : plain_sum(data, payload), partial);
    out->flags = partial ? TERN_TX_CSUM : 0;
    out->link = c->snd.link;
    out->len = out->hdr_len + payload;
    out->gso_size = 0;
    out->csum_start = PLAIN_IP;
    out->csum_offset = 16;
    out->not_before = 0;
    out->n_slices = payload > 0;
    out->slices[0] = (tern_slice){data, payload};
    t->w->stats.segs_out++;
}

static inline struct plain head_of(const struct tcb *c, const struct plan *p)
{
    const struct conn_head *h = &c->h;
    return (struct plain){
        .src = &h->local,
        .dst = &h->remote,
        .src_port = h->local_port,
        .dst_port = h->remote_port,
        .seq = p->start.v,
        .flags = p->flags,
        .tos = h->tos,
        .ttl = h->ttl,
    };
}

/* With ACK, and timestamps if they were agreed (RFC7323-3.2-f). */
static inline void write_segment(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload,
                                 const uint8_t *data, tern_tx_packet *out)
{
    struct plain h = head_of(c, p);
    h.flags |= F_ACK;
    h.ack = c->rcv.nxt.v;
    h.wnd = window_field(window_offer(t, c), c->opt.rcv_wscale);
    h.opt_len = c->opt.ts ? PLAIN_TS : 0;
    h.ts_val = stamp_now(t, c->ts.offset);
    h.ts_ecr = c->ts.recent;
    write_packet(t, c, &h, payload, data, out);
}

/* What left is new: the numbers, the timer (RFC6298-5.1-a), the tail probe. */
static inline void note_new(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct snd *n = &c->snd;
    n->nxt = seq_add(p->start, p->len);
    n->fin_sent |= (p->flags & F_FIN) != 0;
    n->blocked_us = 0;
    if (payload > 0) {
        n->small = n->nxt;
        n->last_us = t->w->now;
        c->sum.sent += payload;
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

/* Its record (RFC 6298 5.1: what is sent has one before it leaves). False: no memory. */
static inline bool recorded(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    ref_t chunk = 0;
    if (payload > 0)
        chunk = c->snd.q.list.head;
    else if (c->list.seq.tail != 0)
        chunk = ((struct sendrec *)at(t->a, c->list.seq.tail))->chunk;
    return take_record(t, c, p, chunk);
}

/* The packet of this plan. False: it had no record, and is tried again later. */
static inline bool say(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload,
                       const uint8_t *data, tern_tx_packet *out)
{
    if (p->len > 0 && !recorded(t, c, p, payload))
        return later_for_memory(t, c);
    c->shortage.refused = 0;
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_SEG_OUT)))
        trace_plan(t, c, p, payload);
    write_segment(t, c, p, payload, data, out);
    c->sum.segs_out++;
    c->last_tx_us = t->w->now;
    note_ack(c);
    if (p->len > 0)
        note_new(t, c, p, payload);
    return true;
}

/* The SYN of a connection that this side opens, with the options that plain headers have. */
static inline bool usual_syn(const struct tern *t, const struct tcb *c)
{
    const struct settings *set = settings(t);
    bool asks_all = set->wscale && set->sack && set->timestamps && !c->opt.ecn;
    return asks_all && !c->snd.syn_acked && seq_eq(c->snd.nxt, c->snd.iss) && c->rst_cause == 0 &&
           c->snd.link != 0 && !c->snd.narrow && tern_ip_is4(&c->h.local) && !t->w->by_steps;
}

/* syn_options (output.c) says why. */
static void write_syn(struct tern *t, struct tcb *c, const struct plan *p, tern_tx_packet *out)
{
    struct plain h = head_of(c, p);
    uint16_t max_seg = c->set.max_seg;
    h.opt_len = PLAIN_SYN;
    h.wnd = (uint16_t)min_u32(rcv_wnd(&c->rcv), 65535); /* RFC7323-2.2-g */
    h.mss = (uint16_t)(max_seg != 0 ? min_u32(max_seg, c->snd.mtu_mss) : c->snd.mtu_mss);
    h.wscale = options_wscale(c->set.recv_buffer);
    h.ts_val = stamp_now(t, c->ts.offset);
    write_packet(t, c, &h, 0, NULL, out);
}

static int lane_syn(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct plan p = {.start = c->snd.iss, .len = 1, .flags = F_SYN, .why = TERN_C_SEND_SYN};
    if (!usual_syn(t, c))
        return LANE_NOT;
    if (!recorded(t, c, &p, 0)) {
        later_for_memory(t, c);
        turn_ends(t, c);
        return 0;
    }
    c->shortage.refused = 0;
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_SEG_OUT)))
        trace_plan(t, c, &p, 0);
    write_syn(t, c, &p, out);
    c->sum.segs_out++;
    c->last_tx_us = t->w->now;
    note_new(t, c, &p, 0);
    if (says_no_more(c))
        turn_ends(t, c);
    return 1;
}

int lane_out(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct plan p;
    if (UNLIKELY(c->h.state == TERN_SYN_SENT))
        return lane_syn(t, c, out);
    if (!synchronized(c) || !usual(t, c))
        return LANE_NOT;
    uint32_t bytes = snd_unsent(&c->snd);
    const uint8_t *data = bytes > 0 ? chunkq_whole(t->a, &c->snd.q) : NULL;
    if (bytes > 0 ? data == NULL || !plan_text(t, c, bytes, &p) : !plan_bare(c, &p))
        return LANE_NOT;
    note_limited(c);
    int n = say(t, c, &p, bytes, data, out);
    if (n > 0)
        note_limited(c);
    turn_ends(t, c);
    return n;
}
