/* recovery.c - what a loss is and what follows: fast retransmit with SACK (RFC 6675), without (RFC 5681,
 * NewReno RFC 6582), after a timeout (RFC 6298, 5681 3.1), on an ECN echo (RFC 3168 6.1.2). Losses by time
 * are rack.c's.
 *
 *            3 duplicate ACKs, or IsLost(SND.UNA)            all up to RecoveryPoint acknowledged
 *    OPEN ──────────────────────────────────────▶ RECOVERY ────────────────────────────────▶ OPEN
 *      └──────────────── timeout ────────────────────┴──────────▶ LOSS ───────────────────────▶ OPEN
 *
 * What may be sent is decided in decide.c by one comparison in every phase, pipe < cwnd (RFC 6675 4). Without
 * SACK, duplicate ACKs are counted as bytes that have left the network, which is what inflating cwnd does in
 * RFC 5681 3.2 and gives RFC 3042's limited transmit too.
 */
#include "tcp/tcp.h"

#define DUP_THRESH 3

static void trace_cwnd(struct tern *t, struct tcb *c, enum tern_cause why)
{
    trace_conn(t, &c->h, TERN_TRACE_CWND, why, c->cc.cwnd, c->cc.ssthresh,
               sendlist_pipe(&c->list, c->rec.reno_sacked));
}

/* What the send list knows of SACKs stays (RFC6675-5-i). */
static void leave(struct tern *t, struct tcb *c)
{
    struct recovery *r = &c->rec;
    if (r->phase == PHASE_RECOVERY) /* RFC5681-3.2-m, RFC5681-4.3-c; RFC 6582 3.2 step 3, choice (2) */
        c->cc.cwnd = c->cc.ssthresh;
    r->phase = PHASE_OPEN;
    r->dupacks = 0;
    r->lead = 0;
    r->reno_sacked = 0;
    r->force = r->partial = false;
    rack_recovered(&c->rack);
    trace_cwnd(t, c, TERN_C_RECOVERED);
}

/* The window is reduced for all that is in flight now: an ECN echo about it reduces no more (RFC 3168 6.1.2),
 * and duplicate ACKs below this point prove nothing (RFC 6582 3.2, "recover"). */
static void reduced(struct tcb *c)
{
    c->rec.cwr_point = c->rec.recover = c->snd.nxt;
    c->rec.cwr_valid = c->rec.recover_valid = true;
    if (c->opt.ecn)
        c->snd.cwr = true; /* the peer is told also when the cause was a loss */
}

/* A SYN that had to be repeated was no congestion of this path's data: a loss in the first flight is found by
 * duplicates, and there is no CWR to say. */
void recovery_begin(struct tcb *c)
{
    c->rec.phase = PHASE_OPEN;
    c->rec.recover_valid = c->rec.cwr_valid = false;
    c->snd.cwr = false;
}

/* Before the window is reduced. */
static void remember(struct tcb *c)
{
    const struct cc *cc = &c->cc;
    c->undo = (struct undo){.valid = true, .marker = c->snd.una, .cwnd = cc->cwnd, .ssthresh = cc->ssthresh};
}

/* Nothing was lost, the path reorders: every byte that was sent again has been reported as a duplicate (RFC
 * 3708), or the ACK of the first one echoes a timestamp from before it was sent again (RFC 3522, 4015). Also
 * after recovery has ended. */
static void try_undo(struct tern *t, struct tcb *c, const struct acked *a)
{
    struct undo *u = &c->undo;
    if (!u->valid || (a->dsacked == 0 && !a->eifel))
        return;
    if (seq_ge(a->dsack_left, u->marker))
        u->dsacked += a->dsacked;
    if (u->resent == 0 || c->list.lost > c->list.retx || (!a->eifel && u->dsacked < u->resent))
        return;
    c->cc.cwnd = max_u32(c->cc.cwnd, u->cwnd);
    c->cc.ssthresh = max_u32(c->cc.ssthresh, u->ssthresh);
    u->valid = false;
    c->rec.phase = PHASE_OPEN;
    c->rec.dupacks = 0;
    trace_cwnd(t, c, TERN_C_UNDONE);
}

static void reduce_again(struct tern *t, struct tcb *c)
{
    struct cc *cc = &c->cc;
    cc->ssthresh = cc_table[cc->algo]->loss(cc, cc->cwnd, c->snd.mss);
    cc->cwnd = min_u32(cc->cwnd, cc->ssthresh);
    sendlist_reduced(t, &c->list);
    reduced(c);
    trace_cwnd(t, c, TERN_C_LOSS_RACK);
}

/* The first loss of a window: half of it (RFC5681-3.2-g, RFC5681-4.3-ab), RecoveryPoint (RFC6675-5-f), and
 * the first segment again (RFC5681-3.2-i). */
static void enter(struct tern *t, struct tcb *c, enum tern_cause why)
{
    remember(c);
    struct recovery *r = &c->rec;
    uint32_t mss = c->snd.mss;
    uint32_t lead = min_u32(r->lead, flight(&c->snd)); /* limited transmit does not count: RFC5681-3.2-h */
    c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, flight(&c->snd) - lead, mss);
    c->cc.cwnd = c->cc.ssthresh;
    r->phase = PHASE_RECOVERY;
    r->rescued = false;
    r->point = c->snd.nxt;
    r->force = true;
    r->partial = false;
    if (why != TERN_C_LOSS_RACK) /* RFC 6675 5 (4.3): the first is sent again whatever SACK says of it */
        sendlist_mark_head_lost(t, &c->list, mss);
    trace_conn(t, &c->h, TERN_TRACE_LOSS, why, c->snd.una.v, 0, 0);
    trace_cwnd(t, c, why);
    reduced(c);
}

/* What SACK says is lost: by number (RFC 6675) until the path has been seen to reorder, and by time (RFC
 * 8985); and by what. */
static enum tern_cause judge(struct tern *t, struct tcb *c, bool *again)
{
    bool numbers = !c->rack.reordering;
    bool lost = numbers && sendlist_mark_lost_sack(t, &c->list, c->snd.mss) > 0;
    bool counted = numbers && c->rec.dupacks >= DUP_THRESH && c->list.sacked > 0;
    bool late = rack_detect(t, c, lost || counted, again) > 0;
    if (lost)
        return TERN_C_LOSS_SACK;
    if (counted)
        return TERN_C_LOSS_DUPACK;
    return late ? TERN_C_LOSS_RACK : TERN_CAUSE_NONE;
}

/* The same while a recovery goes on. A retransmission that is lost too is a second sign of congestion (RFC
 * 5681 4.3: RFC5681-4.3-d; RFC 8985 9.3); those that left together count as one. */
static void judge_again(struct tern *t, struct tcb *c)
{
    bool again;
    judge(t, c, &again);
    if (again)
        reduce_again(t, c);
}

/* A tail loss probe has repaired a loss that nothing else told of: the window is reduced once (RFC 8985
 * 7.4). */
void recovery_on_tail_repaired(struct tern *t, struct tcb *c)
{
    if (c->rec.phase != PHASE_OPEN)
        return;
    c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, max_u32(flight(&c->snd), c->cc.cwnd), c->snd.mss);
    c->cc.cwnd = c->cc.ssthresh;
    trace_cwnd(t, c, TERN_C_LOSS_TAIL);
}

/* RACK's timer found a loss; `again`: of a retransmission. */
void recovery_on_lost(struct tern *t, struct tcb *c, bool again)
{
    if (c->rec.phase == PHASE_OPEN)
        enter(t, c, TERN_C_LOSS_RACK);
    else if (again)
        reduce_again(t, c);
    conn_ready(t, &c->h);
}

/* Duplicate ACKs while nothing else is going on: counted (RFC6675-5-bc) until they are three, or SACK says
 * loss (RFC5681-3.2-c, RFC6675-5-d; one alone never does: RFC2018-5.1-a). The first two let new data go and
 * do not change cwnd (RFC5681-3.2-de); with SACK only by what it reports (RFC5681-3.2-f). */
static void open_phase(struct tern *t, struct tcb *c, const struct acked *a)
{
    struct recovery *r = &c->rec;
    if (a->bytes > 0) {
        r->dupacks = 0;
        r->reno_sacked = 0;
        r->lead = 0;
    }
    /* RFC 6675 2: with SACK a duplicate is what brings news by it; a report of a duplicate brings none */
    if ((c->opt.sack ? a->news > 0 : a->duplicate) && r->dupacks < 255)
        r->dupacks++;
    if (c->opt.sack) {
        bool again;
        enum tern_cause lost = judge(t, c, &again);
        if (lost != TERN_CAUSE_NONE)
            enter(t, c, lost);
        return;
    }
    bool loss = r->dupacks >= DUP_THRESH && !r->recover_valid;
    if (!a->duplicate || (r->dupacks >= DUP_THRESH && !loss))
        return; /* limited transmit ends with the second one (RFC 5681 3.2 step 1) */
    r->reno_sacked = min_u32(r->reno_sacked + c->snd.mss, flight(&c->snd));
    if (loss)
        enter(t, c, TERN_C_LOSS_DUPACK);
}

/* RFC6675-5-ghj: up to RecoveryPoint, and then it is over. */
static void recovery_phase(struct tern *t, struct tcb *c, const struct acked *a)
{
    struct recovery *r = &c->rec;
    if (a->bytes > 0 && seq_ge(c->snd.una, r->point)) {
        leave(t, c);
        return;
    }
    if (c->opt.sack) {
        judge_again(t, c);
        return;
    }
    if (a->bytes > 0) { /* RFC 6582 3.2 step 3 (2): a partial ACK shows the next hole */
        r->reno_sacked -= min_u32(r->reno_sacked, a->bytes > c->snd.mss ? a->bytes - c->snd.mss : 0);
        r->force = r->partial = true;
        sendlist_mark_head_lost(t, &c->list, c->snd.mss);
        trace_conn(t, &c->h, TERN_TRACE_LOSS, TERN_C_LOSS_PARTIAL, c->snd.una.v, 0, 0);
    } else if (a->duplicate) { /* RFC5681-3.2-jk */
        r->reno_sacked = min_u32(r->reno_sacked + c->snd.mss, flight(&c->snd));
    }
}

/* The window grows only when it was what held us back (RFC 7661 4.3 in spirit; RFC 5681 speaks of a sender
 * that has data). */
void recovery_grow(struct tern *t, struct tcb *c, uint32_t bytes)
{
    if (!c->snd.limited || bytes == 0)
        return;
    uint32_t before = c->cc.cwnd;
    cc_table[c->cc.algo]->acked(&c->cc, bytes, c->snd.mss);
    uint64_t useful = 2ull * c->snd.max_wnd + 2ull * c->snd.mss;
    if (c->cc.cwnd > useful)
        c->cc.cwnd = max_u32(before, (uint32_t)useful);
    if (c->cc.cwnd != before)
        trace_cwnd(t, c, TERN_CAUSE_NONE);
}

/* The peer acknowledges up to a segment that it had SACKed, and not that one: it has dropped it (RFC 2018 8,
 * reneging). */
static bool reneged(struct tern *t, struct tcb *c)
{
    return c->list.seq.head != 0 && (((struct sendrec *)at(t->a, c->list.seq.head))->flags & SR_SACKED) != 0;
}

static void believe_reneging(struct tern *t, struct tcb *c)
{
    sendlist_mark_all_lost(t, &c->list, true);
    if (c->rec.phase == PHASE_OPEN)
        enter(t, c, TERN_C_LOSS_PARTIAL);
}

void recovery_on_ack(struct tern *t, struct tcb *c, const struct acked *a)
{
    if (c->rec.cwr_valid && seq_gt(c->snd.una, c->rec.cwr_point)) /* the peer has our CWR */
        c->rec.cwr_valid = false;
    if (c->rec.recover_valid && seq_gt(c->snd.una, c->rec.recover))
        c->rec.recover_valid = false;
    if (a->bytes > 0 && reneged(t, c))
        believe_reneging(t, c);
    try_undo(t, c, a);
    switch ((enum recovery_phase)c->rec.phase) {
    case PHASE_OPEN:
        open_phase(t, c, a);
        if (c->rec.phase == PHASE_OPEN && !a->ece) /* RFC3168-6.1.2-c */
            recovery_grow(t, c, a->bytes);
        break;
    case PHASE_RECOVERY:
        recovery_phase(t, c, a);
        break;
    case PHASE_LOSS: /* RFC 3465 2.3: after a timeout not more than a segment for each ACK */
        recovery_grow(t, c, min_u32(a->bytes, c->snd.mss));
        if (a->bytes > 0 && seq_ge(c->snd.una, c->rec.point))
            leave(t, c);
        else if (c->opt.sack)
            judge_again(t, c); /* RFC6675-5.1-ef */
        break;
    }
}

/* Half the flight at the first timeout of a segment and not at the next (RFC5681-3.1-p), and a window of one
 * segment (RFC5681-3.1-q). A recovery ends, and none begins before all that was sent by now is acknowledged
 * (RFC6675-5.1-bcd). The first segment is sent again whatever SACK says of it (RFC2018-5-c). */
void recovery_on_timeout(struct tern *t, struct tcb *c)
{
    struct recovery *r = &c->rec;
    bool again = r->phase == PHASE_LOSS && c->tm.retries > 0;
    if (!again)
        c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, flight(&c->snd), c->snd.mss);
    c->cc.cwnd = c->snd.mss;
    reduced(c);
    c->undo.valid = false;
    r->phase = PHASE_LOSS;
    r->partial = false;
    r->point = c->snd.nxt;
    r->dupacks = 0;
    r->reno_sacked = 0;
    c->snd.limited = true;
    /* RFC2018-5-b and RFC2018-5.1-b would forget all SACKs now; RFC 6675 5.1 lets them stand while taking
     * them back is noticed (RFC6675-5.1-a). A second timeout in a row is reason enough. */
    sendlist_mark_all_lost(t, &c->list, again);
    trace_conn(t, &c->h, TERN_TRACE_LOSS, TERN_C_LOSS_TIMEOUT, c->snd.una.v, 0, 0);
    trace_cwnd(t, c, TERN_C_LOSS_TIMEOUT);
}

/* As for a loss, without one; once for each window of data (RFC3168-5-b, RFC3168-6.1.2-b). A window of one
 * segment does not become larger by that: the next segment waits for a timeout instead (RFC3168-6.1.2-d). */
void recovery_on_ecn(struct tern *t, struct tcb *c, uint32_t in_flight)
{
    struct recovery *r = &c->rec;
    if (r->phase != PHASE_OPEN || r->cwr_valid)
        return;
    c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, in_flight, c->snd.mss);
    if (c->cc.cwnd <= c->snd.mss) {
        timer_restart(t, c);
        r->held = true;
        c->snd.blocked_us = t->w->now + rtt_timeout(&c->rtt, settings(t));
    }
    c->cc.cwnd = min_u32(c->cc.cwnd, c->cc.ssthresh);
    reduced(c);
    t->w->stats.ecn_echo_in++;
    trace_cwnd(t, c, TERN_C_ECN_ECHO);
}
