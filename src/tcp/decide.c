/* decide.c - what a connection sends next: one decision, in one order.
 *
 *   RST ▸ SYN, SYN+ACK ▸ duplicate ACKs ▸ what was lost ▸ new data, with FIN ▸ FIN alone ▸
 *   rescue ▸ tail probe ▸ window probe ▸ keepalive ▸ pure ACK
 *
 * Input, timers and calls only note what is owed; here it becomes a plan (plan.h), which output.c makes a
 * packet. How much may be in the network is one comparison in all phases: pipe < cwnd (RFC 6675). The answer
 * may be "not before t".
 */
#include "tcp/plan.h"

#define SWS_OVERRIDE_US 200000u /* RFC 9293 3.8.6.2.1: 0.1 to 1 s */
#define SACK_ROOM(n)    (4u + 8u * (n)) /* bytes of the option with so many blocks */

uint8_t sack_blocks(const struct tcb *c, bool data)
{
    uint8_t n = (uint8_t)min_u32(c->rcv.ooo_count, c->opt.ts ? 3 : 4);
    while (data && n > 0 && 2 * SACK_ROOM(n) > c->snd.mss)
        n--;
    return n;
}

uint32_t full_size(const struct tcb *c)
{
    if (!c->opt.sack || c->rcv.ooo.head == 0)
        return c->snd.mss;
    uint8_t n = sack_blocks(c, true);
    return c->snd.mss - (n > 0 ? SACK_ROOM(n) : 0);
}

/* Most payload of one packet: whole segments up to what the link splits for us. */
static uint32_t burst_size(const struct tern *t, const struct tcb *c, uint32_t full)
{
    uint32_t gso = t->w->ip.links[c->snd.link].gso_max;
    if (c->snd.urgent)
        return full; /* the pointer counts from each segment's own number, and a link repeats the header */
    return gso >= 2 * full ? gso / full * full : full;
}

static bool fin_follows(const struct tcb *c, seq_t end)
{
    return c->snd.fin_queued && seq_eq(end, snd_end(&c->snd)) && c->snd.syn_acked;
}

bool later(struct tern *t, struct tcb *c, uint64_t when)
{
    if (c->tm.pace_us <= t->w->now || when < c->tm.pace_us)
        c->tm.pace_us = when;
    return false;
}

bool later_for_memory(struct tern *t, struct tcb *c)
{
    uint64_t us = 10000ull << c->shortage.refused;
    if (c->shortage.refused < 7)
        c->shortage.refused++;
    return later(t, c, t->w->now + us);
}

/* Plan to send (the beginning of) a record once more, at most `limit` bytes of it. A SYN and a FIN go with
 * their record. False: no memory to split it. */
static bool plan_again(struct tern *t, struct tcb *c, struct sendrec *r, uint32_t limit, enum tern_cause why,
                       struct plan *p)
{
    bool syn = seq_eq(r->start, c->snd.iss) && !c->snd.syn_acked;
    bool fin = c->snd.fin_sent && seq_gt(seq_add(r->start, r->len), snd_end(&c->snd));
    uint32_t bytes = r->len - syn - fin;
    if (bytes > max_u32(limit, 1)) {
        if (sendlist_split(t, &c->list, r, max_u32(limit, 1) + syn) == NULL)
            return later_for_memory(t, c);
        fin = false;
    }
    *p = (struct plan){.start = r->start, .len = r->len, .again = true, .rec = r, .why = why};
    p->flags = (uint8_t)((syn ? F_SYN : 0) | (fin ? F_FIN : 0));
    if (bytes > 0 && seq_ge(seq_add(r->start, r->len), snd_end(&c->snd)))
        p->flags |= F_PSH; /* MUST-61 */
    return true;
}

static bool decide_rst(struct tcb *c, struct plan *p)
{
    *p = (struct plan){.start = c->snd.nxt, .flags = F_RST, .no_ack_flag = true, .why = c->rst_cause};
    return true;
}

/* SYN or, when the peer's has come before ours left, SYN+ACK: first time. */
static bool decide_syn(struct tcb *c, struct plan *p)
{
    if (c->snd.syn_acked || !seq_eq(c->snd.nxt, c->snd.iss))
        return false;
    *p = (struct plan){.start = c->snd.iss, .len = 1, .flags = F_SYN, .why = TERN_C_SEND_SYN};
    if (c->h.state != TERN_SYN_SENT)
        p->why = TERN_C_SEND_SYNACK;
    return true;
}

/* In SYN_RCVD after a simultaneous open the answer is our SYN again, now with ACK (RFC 9293 3.10.7.3 fourth,
 * MUST-10). */
static bool decide_synack(struct tern *t, struct tcb *c, struct plan *p)
{
    if (LIKELY(c->h.state != TERN_SYN_RCVD) || c->ack.now_cause != TERN_C_SEND_SYNACK ||
        c->list.seq.head == 0)
        return false;
    return plan_again(t, c, at(t->a, c->list.seq.head), 1, TERN_C_SEND_SYNACK, p);
}

static enum tern_cause again_cause(const struct tcb *c)
{
    if (c->rec.phase == PHASE_LOSS)
        return TERN_C_SEND_RETRANSMIT;
    if (c->rec.phase == PHASE_OPEN)
        return TERN_C_SEND_REFUSED_AGAIN;
    return c->opt.sack || seq_eq(c->rec.point, c->snd.nxt) ? TERN_C_SEND_FAST_RETRANSMIT
                                                           : TERN_C_SEND_PARTIAL_RETRANSMIT;
}

/* Only a piece is in flight (what a window probe left behind) and more waits: they leave as one segment (RFC
 * 9293 3.7.4 allows to repacketize). */
static void grow_again(struct tern *t, struct tcb *c, struct sendrec *r)
{
    struct snd *n = &c->snd;
    uint32_t full = full_size(c);
    if (c->list.count != 1 || r->len >= full || n->fin_sent || !synchronized(c) || !n->syn_acked)
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

/* What was lost (RFC 6675 NextSeg (1): RFC6675-4-f). The first of a recovery does not ask pipe. A window that
 * has shrunk is not asked: old data goes inside it and beyond (SHLD-16, MAY-7, RFC7323-2.4-ef). While it is
 * shut, probes do this. */
static bool decide_lost(struct tern *t, struct tcb *c, struct plan *p)
{
    struct sendrec *r = UNLIKELY(c->list.lost_next != 0) ? sendlist_lost(t, &c->list) : NULL;
    if (r == NULL || (c->tm.rexmit == TERN_TIMER_PERSIST && synchronized(c)))
        return false;
    uint32_t full = full_size(c), room = cwnd_room(c);
    if (c->rec.force || room >= full)
        grow_again(t, c, r); /* only what surely leaves now */
    bool syn = !synchronized(c) || !c->snd.syn_acked;
    if (!c->rec.force && !syn && room < min_u32(full, r->len))
        return false;
    uint32_t limit = full;
    if (!c->rec.force)
        limit = min_u32(max_u32(room / full, 1) * full, burst_size(t, c, full));
    c->rec.force = false;
    return plan_again(t, c, r, limit, again_cause(c), p);
}

/* A small segment that waits leaves after a while all the same. */
static bool override_due(struct tern *t, struct tcb *c)
{
    if (c->snd.blocked_us == 0)
        c->snd.blocked_us = t->w->now;
    uint64_t due = c->snd.blocked_us + SWS_OVERRIDE_US;
    return due <= t->w->now || later(t, c, due);
}

/* A segment smaller than a full one: RFC 9293 3.8.6.2.1 (silly window, MUST-38), then Nagle. What the program
 * does not push yet is collected (MAY-16). */
static bool small_may_go(struct tern *t, struct tcb *c, uint32_t len)
{
    bool all = len == snd_unsent(&c->snd);
    bool window_small = !all && usable_window(&c->snd) == len;
    if (all && c->snd.more)
        return override_due(t, c); /* MUST-60: held, not for ever */
    if (all && nagle_holds(c, len, true))
        return false;
    if (all || (c->snd.max_wnd != 0 && len >= c->snd.max_wnd / 2 && !nagle_holds(c, len, false)))
        return true;
    if (!window_small || c->list.count > 0)
        return false; /* an ACK will come and change this */
    return override_due(t, c);
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
        /* queued before the handshake ended: after it */
        return c->snd.syn_acked || c->snd.q.len == 0;
    default:
        return false;
    }
}

/* The program has more than its buffer takes, and what waits does not fill a packet: it need not leave now.
 * So much is in flight, a whole packet and half of all that is queued, that an ACK makes room at once
 * (RFC5681-4.2-b), and the next bytes fill it up. Else each buffer would end with small packets, which cost
 * as much as large ones (MAY-16). */
static bool waits_for_more(const struct tcb *c, uint32_t len, uint32_t burst, uint32_t full)
{
    uint32_t out = c->list.bytes;
    return c->snd.blocked && len < burst && out >= burst && out >= 2 * full && out >= c->snd.q.len / 2 &&
           !c->snd.fin_queued && !c->snd.urgent;
}

/* How many new bytes may leave now; 0 = none: what both windows allow (RFC5681-2-a, RFC5681-3.1-a). Full
 * segments if there are any, of however many sends (SHLD-27, SHLD-28). */
static uint32_t new_bytes(struct tern *t, struct tcb *c)
{
    uint32_t unsent = snd_unsent(&c->snd), full = full_size(c);
    uint32_t window = min_u32(unsent, usable_window(&c->snd));
    uint32_t len = min_u32(window, cwnd_room(c));
    uint32_t burst = burst_size(t, c, full);
    if (len < window)
        c->snd.limited = true;
    if (len == unsent && waits_for_more(c, len, burst, full))
        return 0;
    if (len >= full)
        return min_u32(len / full * full, burst);
    if (len == 0 || (len < window && c->list.count > 0))
        return 0; /* held by cwnd: whole segments only, while something is in flight */
    return small_may_go(t, c, len) ? len : 0;
}

/* An echo of congestion has met a window of one segment, which cannot be halved: instead a whole timeout
 * passes before the next one (RFC3168-6.1.2-d). */
static bool held_by_echo(struct tern *t, struct tcb *c)
{
    if (c->snd.blocked_us > t->w->now) {
        later(t, c, c->snd.blocked_us);
        return true;
    }
    c->rec.held = false;
    c->snd.blocked_us = 0;
    return false;
}

/* RFC 6675 NextSeg (2): RFC6675-4-g; for a duplicate ACK, too (RFC5681-3.2-l, RFC6675-5-e). */
static bool decide_new(struct tern *t, struct tcb *c, struct plan *p)
{
    note_limited(c);
    if (!may_send_data(c) || snd_unsent(&c->snd) == 0)
        return false;
    if (UNLIKELY(c->rec.held) && held_by_echo(t, c))
        return false;
    if (UNLIKELY(restarts_after_idle(t, c))) {
        cc_restart(&c->cc, c->snd.mss);
        c->tlp.out = false; /* whatever it found was about the window of then */
    }
    uint32_t len = new_bytes(t, c);
    if (len == 0)
        return false;
    bool lead = c->rec.phase == PHASE_OPEN && c->rec.dupacks > 0;
    *p = (struct plan){.start = c->snd.nxt, .len = len, .why = lead ? TERN_C_SEND_LIMITED : TERN_C_SEND_DATA};
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
    if (usable_window(&c->snd) == 0)
        return false; /* an ACK will open it, or a probe asks: it is the FIN then (SHLD-29) */
    *p = (struct plan){.start = c->snd.nxt, .len = 1, .flags = F_FIN, .why = TERN_C_SEND_FIN};
    return true;
}

/* RFC 6675 NextSeg (4), RFC6675-4-ij: the end of the flight was lost too, and nothing above it can tell: once
 * in a recovery the last segment is sent again. It must have begun to help: more than its first segment is
 * acknowledged. */
static bool decide_rescue(struct tern *t, struct tcb *c, struct plan *p)
{
    struct recovery *r = &c->rec;
    if (LIKELY(r->phase != PHASE_RECOVERY) || r->rescued || !c->opt.sack || c->rack.reordering ||
        cwnd_room(c) < c->snd.mss || !seq_gt(c->snd.una, seq_add(c->undo.marker, c->snd.mss)))
        return false;
    struct sendrec *last = c->list.seq.tail != 0 ? at(t->a, c->list.seq.tail) : NULL;
    uint32_t full = full_size(c);
    if (last != NULL && last->len > full)
        last = sendlist_split(t, &c->list, last, (last->len - 1) / full * full);
    if (last == NULL || (last->flags & (SR_SACKED | SR_LOST)) || seq_ge(last->start, r->point))
        return false;
    r->rescued = true;
    return plan_again(t, c, last, full, TERN_C_SEND_FAST_RETRANSMIT, p);
}

/* RFC 8985 7.3: new data if there is some (cwnd is not asked), else the last segment again. */
static bool decide_tail_probe(struct tern *t, struct tcb *c, struct plan *p)
{
    if (LIKELY(!c->tlp.due))
        return false;
    c->tlp.due = false;
    uint32_t full = full_size(c), new = min_u32(min_u32(snd_unsent(&c->snd), usable_window(&c->snd)), full);
    if (new > 0 && may_send_data(c)) {
        *p = (struct plan){.start = c->snd.nxt, .len = new, .why = TERN_C_SEND_TAIL_PROBE};
        p->flags = new == snd_unsent(&c->snd) ? F_PSH : 0;
        return true;
    }
    struct sendrec *r = c->list.seq.tail != 0 ? at(t->a, c->list.seq.tail) : NULL;
    if (r != NULL && r->len > full)
        r = sendlist_split(t, &c->list, r, (r->len - 1) / full * full);
    return r != NULL && !(r->flags & SR_SACKED) && plan_again(t, c, r, full, TERN_C_SEND_TAIL_PROBE, p);
}

/* RFC 9293 3.8.6.1: one byte at SND.UNA, sent before or not. Behind all data it is the FIN. */
static bool decide_probe(struct tern *t, struct tcb *c, struct plan *p)
{
    if (LIKELY(!c->tm.probe))
        return false;
    c->tm.probe = false;
    if (c->list.seq.head != 0) {
        if (!plan_again(t, c, at(t->a, c->list.seq.head), 1, TERN_C_SEND_WINDOW_PROBE, p))
            return false;
    } else {
        bool data = snd_unsent(&c->snd) > 0;
        *p = (struct plan){.start = c->snd.nxt, .len = 1, .why = TERN_C_SEND_WINDOW_PROBE};
        p->flags = data ? 0 : F_FIN;
        if (!data && (!c->snd.fin_queued || c->snd.fin_sent))
            return false;
    }
    p->probe = true;
    return true;
}

/* RFC 9293 3.8.4: an old number and no data, so that the peer must answer (SHLD-12). */
static bool decide_keepalive(struct tcb *c, struct plan *p)
{
    if (LIKELY(!c->tm.keep_probe))
        return false;
    c->tm.keep_probe = false;
    *p = (struct plan){.start = seq_sub(c->snd.nxt, 1), .probe = true, .why = TERN_C_SEND_KEEPALIVE};
    return true;
}

/* SND.NXT (RFC 9293 3.10.7.4), but not beyond the peer's window: there (behind a probe that was refused, or
 * when the window has shrunk) it would have to refuse the segment, and the ACK in it. Linux does the same. */
static seq_t number_of_ack(const struct snd *n)
{
    seq_t edge = seq_add(n->una, n->wnd);
    return n->syn_acked && seq_lt(edge, n->nxt) ? edge : n->nxt;
}

static bool decide_ack(struct tcb *c, struct plan *p)
{
    struct acker *k = &c->ack;
    if ((k->now_cause == 0 && k->dup_owed == 0) || c->h.state < TERN_SYN_RCVD)
        return false;
    *p = (struct plan){.start = number_of_ack(&c->snd),
                       .why = k->now_cause != 0 ? k->now_cause : TERN_C_SEND_ACK_DUP};
    return true;
}

/* Most often a connection has said all with one packet: none of what decide asks for is there. */
bool says_no_more(struct tcb *c)
{
    bool owes = c->tlp.due | c->tm.probe | c->tm.keep_probe | (c->rst_cause != 0) | (c->list.lost_next != 0) |
                (c->rec.phase != PHASE_OPEN);
    bool more = (c->ack.now_cause != 0) | (c->ack.dup_owed != 0) | !c->snd.syn_acked |
                (c->snd.fin_queued & !c->snd.fin_sent);
    if (c->h.state == TERN_SYN_SENT)
        more = seq_eq(c->snd.nxt, c->snd.iss); /* nothing but the SYN leaves in that state */
    else if (!more)
        more = !synchronized(c) || snd_unsent(&c->snd) > 0;
    if (owes | more)
        return false;
    note_limited(c);
    return true;
}

/* What was lost, new data, a rescue, nothing: NextSeg in its order (RFC6675-4-ek, RFC6675-5-l). What lies
 * below a SACK is lost in a recovery (rack.c), so rule (3) has nothing left. */
bool decide(struct tern *t, struct tcb *c, struct plan *p)
{
    if (UNLIKELY(c->rst_cause != 0))
        return decide_rst(c, p);
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_LISTEN)
        return false;
    if (decide_syn(c, p) || decide_synack(t, c, p))
        return true;
    if (UNLIKELY(c->ack.dup_owed > 0) && decide_ack(c, p))
        return true; /* without SACK the peer counts them: each goes alone, and first */
    return decide_lost(t, c, p) || decide_new(t, c, p) || decide_fin(c, p) ||
           decide_rescue(t, c, p) || decide_tail_probe(t, c, p) || decide_probe(t, c, p) ||
           decide_keepalive(c, p) || decide_ack(c, p);
}
