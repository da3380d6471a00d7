/* check_tcb.c - the numbered invariants 14 to 19 of tcb.h: what must be true of one control block by itself,
 * between two verbs. A broken one traps. They are what the standards say of the variables: RFC 9293 3.3.1 and
 * 3.3.2, RFC 6298 2, RFC 5681 3.1, RFC 6675, RFC 5961 7.
 *
 * What output is still to do is not judged: a block on the ready list has not said its last word.
 */
#include "tcp/tcp.h"

static bool in_any(const struct tcb *c, uint32_t states) { return states >> c->h.state & 1; }

enum {
    CLOSING_STATES = 1 << TERN_FIN_WAIT_1 | 1 << TERN_CLOSING | 1 << TERN_LAST_ACK,
    CLOSED_BY_US = CLOSING_STATES | 1 << TERN_FIN_WAIT_2 | 1 << TERN_TIME_WAIT,
};

/* 14: our FIN and the state agree. */
static void check_fin(const struct tcb *c)
{
    if (c->h.state == TERN_CLOSED)
        return;
    ASSERT(c->snd.fin_queued == in_any(c, CLOSED_BY_US));
    ASSERT(c->snd.fin_acked == in_any(c, 1 << TERN_FIN_WAIT_2 | 1 << TERN_TIME_WAIT));
    ASSERT(!c->rcv.fin_ooo || c->rcv.fin_rcvd || seq_lt(c->rcv.fin, c->rcv.adv));
    ASSERT(!c->rcv.urgent || seq_gt(c->rcv.up, seq(c->rcv.q.pos)));
}

/* 15: what was agreed bounds what is sent (RFC 9293 MUST-14, MUST-16; RFC 7323 2.3; RFC 3168 6.1.1). */
static void check_agreed(const struct tcb *c)
{
    const struct snd *s = &c->snd;
    if (!synchronized(c) || c->h.state == TERN_TIME_WAIT)
        return;
    ASSERT(s->wnd <= s->max_wnd && rcv_wnd(&c->rcv) <= 65535u << c->opt.rcv_wscale);
    ASSERT(c->opt.snd_wscale <= 14 && c->opt.rcv_wscale <= 14);
    ASSERT(c->opt.wscale || (c->opt.snd_wscale == 0 && c->opt.rcv_wscale == 0));
    ASSERT(s->mss + (c->opt.ts ? 12u : 0) <= max_u32(min_u32(c->opt.mss, s->mtu_mss), 28));
    ASSERT(c->opt.ecn || (!s->cwr && !c->ack.ece));
    ASSERT(!c->opt.ts || seq_le(c->ts.last_ack_sent, c->rcv.nxt));
}

/* 16: a challenge is rationed, an ACK late by no more than it may be (MUST-40). */
static void check_ack(const struct tern *t, const struct tcb *c)
{
    const struct acker *k = &c->ack;
    ASSERT(k->challenges <= CHALLENGES);
    ASSERT(k->delack_us == 0 || k->delack_us <= t->w->now + settings(t)->delack_us);
}

static bool keepalive_runs(const struct tcb *c)
{
    return c->set.keepalive && synchronized(c) && c->h.state != TERN_TIME_WAIT;
}

/* 17: timers are those of the state, and not further away than their longest time. */
static void check_deadlines(const struct tern *t, const struct tcb *c)
{
    const struct timers *m = &c->tm;
    const struct settings *set = settings(t);
    uint64_t now = t->w->now, two_msl = 2ull * set->msl_us;
    if (c->h.state == TERN_CLOSED)
        return;
    ASSERT(m->rexmit == TERN_TIMER_NONE || m->rexmit_us <= now + set->rto_max_us);
    ASSERT(m->rexmit == TERN_TIMER_NONE || m->stuck_us != 0); /* time runs against all that waits */
    ASSERT(m->keep_us == 0 || keepalive_runs(c));
    ASSERT(m->keep_us != 0 || !keepalive_runs(c) || !c->snd.syn_acked); /* closed in SYN_RCVD */
    ASSERT(m->keep_probes <= c->set.keep_cnt);
    if (c->h.state == TERN_TIME_WAIT)
        ASSERT(m->life_us >= c->h.since_us + two_msl && m->life_us <= now + two_msl);
    else
        ASSERT((m->life_us != 0) == (c->h.state == TERN_FIN_WAIT_2 && c->face.orphan));
    if (c->h.ready || c->snd.link == 0 || !c->snd.syn_acked)
        return;
    ASSERT(m->rexmit != TERN_TIMER_RETRANSMIT || c->snd.wnd > 0);
    ASSERT(m->rexmit != TERN_TIMER_PERSIST || c->snd.wnd == 0);
    ASSERT(m->rexmit == TERN_TIMER_PERSIST || m->probes == 0);
}

/* 18: the estimate of the round trip (RFC 6298 2), the windows of congestion control (RFC 5681 3.1), and
 * where a recovery stands (RFC 6675 5, RFC 6582 3.2). */
static void check_estimates(const struct tern *t, const struct tcb *c)
{
    const struct rtt *r = &c->rtt;
    const struct recovery *y = &c->rec;
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT)
        return;
    ASSERT(r->rto_us <= settings(t)->rto_max_us || r->srtt_us == 0);
    ASSERT(r->srtt_us == 0 || r->rto_us >= min_u32(settings(t)->rto_min_us, settings(t)->rto_max_us));
    ASSERT(r->srtt_us == 0 || r->min_us <= r->srtt_us + 8); /* rounding */
    ASSERT(c->cc.cwnd > 0 && (!c->opt.sack || y->reno_sacked == 0));
    if (!synchronized(c))
        return;
    ASSERT(y->phase == PHASE_OPEN || seq_lt(c->snd.una, y->point));
    ASSERT(!y->recover_valid || seq_le(c->snd.una, y->recover));
    ASSERT(!y->cwr_valid || seq_le(c->snd.una, y->cwr_point));
}

/* 19: the send list's order of time, and its marks of where to look (sendlist.c). */
static void check_marks(struct tern *t, const struct tcb *c)
{
    const struct sendlist *l = &c->list;
    uint64_t before = 0;
    for (ref_t r = l->time.head; r != 0;) {
        const struct sendrec *s = at(t->a, r);
        ASSERT(s->sent_us >= before && s->sent_us <= t->w->now && s->times > 0);
        ASSERT(!(s->flags & SR_RETX) || s->times > 1);
        before = s->sent_us;
        r = s->time.next;
    }
    const struct sendrec *high = l->high != 0 ? at(t->a, l->high) : NULL;
    const struct sendrec *lost = l->lost_next != 0 ? at(t->a, l->lost_next) : NULL;
    for (ref_t r = l->seq.head; r != 0;) {
        const struct sendrec *s = at(t->a, r);
        if (s->flags & SR_SACKED)
            ASSERT(high != NULL && seq_le(s->start, high->start));
        if ((s->flags & (SR_LOST | SR_RETX)) == SR_LOST)
            ASSERT(lost != NULL && seq_ge(s->start, lost->start));
        r = s->seq.next;
    }
}

void check_one(struct tern *t, const struct tcb *c)
{
    check_fin(c);
    check_agreed(c);
    check_ack(t, c);
    check_deadlines(t, c);
    check_estimates(t, c);
    check_marks(t, c);
}
