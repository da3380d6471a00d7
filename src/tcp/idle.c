/* idle.c - a connection at rest gives back its control block.
 *
 * Most connections of a busy server do nothing at any moment. When nothing is in flight, queued, owed, unread
 * or unreported, most of the control block can be had from the rest: SND.NXT is SND.UNA, SND.WL1 is RCV.NXT,
 * the congestion window has fallen to the restart window (RFC 5681 4.1; so a connection rests only when it
 * has been quiet for longer than its retransmission timeout). What remains fits into the idle record. A
 * segment, a call or keepalive makes a control block of it again, and nobody can tell.
 *
 *   tcb ── quiet for max(rest_ms, RTO), or memory short ──▶ idle ── segment, call, timer ──▶ tcb
 *
 * Who was at rest for long will mostly rest for long again: a connection that is woken after more than
 * rest_ms of quiet, or after thousands of segments to others, only *interrupts* its rest. It goes back as
 * soon as all is said and done, at the end of the very call, while its records still lie in the processor's
 * caches; unless something is left that only time makes worthless (a reduction that might be undone). With
 * very many connections that is the ordinary way, and the timer the exception. Who is woken again soon stays
 * awake.
 *
 * idle_pack.c writes the one as the other.
 */
#include "tcp/tcp.h"

#define PRESS   64       /* control blocks that are looked at when memory is short */
#define AWAY    4096u    /* segments to others after which nothing of a connection lies in a cache any more */
#define RATE_US 1000000u /* over so long they are counted, at least */

static struct pool *pool_of(struct tern *t, bool is4) { return is4 ? &t->w->idles4 : &t->w->idles6; }

/* The record that a new connection's handle names. What it says of a connection at rest is written when it
 * comes to rest (idle_pack). False: no memory. */
bool idle_new(struct tern *t, struct tcb *c)
{
    bool is4 = tern_ip_is4(&c->h.remote);
    c->idle = pool_take(t->a, pool_of(t, is4), MEM_DATA);
    if (c->idle == 0)
        return false;
    struct idle *i = idle_at(t, c->idle);
    i->tcb = self(t, c);
    i->timer = (struct wnode){0};
    i->local_port = c->h.local_port;
    i->remote_port = c->h.remote_port;
    ip_pair_write(i->pair, &c->h.local, &c->h.remote);
    return true;
}

void idle_free(struct tern *t, struct tcb *c)
{
    pool_put(t->a, pool_of(t, tern_ip_is4(&c->h.remote)), c->idle);
}

/* --- may it rest? ---------------------------------------------------------------------------------- */

static bool resting_state(const struct tcb *c)
{
    switch (c->h.state) {
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT: return !c->snd.fin_queued;
    case TERN_FIN_WAIT_2: return true;
    default: return false;
    }
}

static bool program_has_all(const struct tcb *c)
{
    const struct face *f = &c->face;
    return f->held && !f->listed && f->bits == 0 && c->rcv.q.len == 0 && !c->rcv.urgent;
}

static bool peer_has_all(const struct tcb *c)
{
    return c->list.count == 0 && c->snd.q.len == 0 && !c->snd.blocked && c->rec.phase == PHASE_OPEN &&
           !c->snd.urgent && c->snd.syn_acked;
}

static bool nothing_owed(const struct tcb *c)
{
    return !c->h.ready && c->ack.now_cause == 0 && c->ack.dup_owed == 0 && c->ack.delack_us == 0 &&
           c->rcv.ooo.head == 0 && !c->rcv.fin_ooo && c->rst_cause == 0;
}

/* Only keepalive may be armed, and it must not be asking. */
static bool no_timer(const struct tcb *c)
{
    const struct timers *m = &c->tm;
    return m->rexmit == TERN_TIMER_NONE && m->life_us == 0 && m->pace_us == 0 && m->tlp_us == 0 &&
           m->reo_us == 0 && m->keep_probes == 0 && !m->keep_probe && !m->probe;
}

bool idle_silent(const struct tcb *c) { return nothing_owed(c) && peer_has_all(c) && no_timer(c); }

static bool quiet(const struct tcb *c)
{
    return idle_silent(c) && program_has_all(c) && resting_state(c) && !c->h.parked && !c->dying &&
           !c->restless;
}

/* The ration of challenge ACKs must not be renewed by a rest (RFC 5961 7). When memory is short that is no
 * reason to stay awake, or rubbish would keep the memory that others need to wake: then the record says that
 * it is used up (rationed). */
static uint64_t ration_over(const struct tcb *c)
{
    return c->ack.challenges == 0 ? 0 : c->ack.challenge_us + CHALLENGE_US;
}

uint64_t idle_due(const struct tern *t, const struct tcb *c)
{
    if (c->list.count > 0 || settings(t)->rest_us == UINT64_MAX || !quiet(c) || change_under_way(t))
        return 0;
    uint64_t last = max_u64(max_u64(c->last_rx_us, c->last_tx_us), max_u64(c->woken_us, c->h.since_us));
    uint64_t patience = max_u64(settings(t)->rest_us, rtt_timeout(&c->rtt, settings(t)) + 1ull);
    return max_u64(last + patience, ration_over(c));
}

/* --- to rest and back ------------------------------------------------------------------------------- */

/* Nothing is left of what an idle record does not keep because it is worth nothing once the connection was
 * quiet for its timeout: the window is restarted then (RFC 5681 4.1), and what was known of the last
 * round trip or the last loss says nothing of the next one. */
static bool nothing_fresh(const struct tcb *c)
{
    bool known = c->snd.last_us == 0 || c->snd.last_us == c->last_tx_us;
    return known && c->cc.acked == 0 && !c->rec.recover_valid && !c->rec.cwr_valid && c->rec.lead == 0 &&
           c->rec.dupacks == 0 && !c->undo.valid && !c->rack.round_valid && !c->tlp.out && c->ack.bytes == 0;
}

/* The control block goes. False: it does not fit, and stays. */
static bool rest(struct tern *t, struct tcb *c, bool restart)
{
    struct idle *i = idle_at(t, c->idle);
    if (!idle_fits(t, c)) {
        c->restless = true; /* until its next segment */
        return false;
    }
    if (restart && c->snd.last_us != 0)
        cc_restart(&c->cc, c->snd.mss);
    shortage_leave(t, c); /* what was kept for it, it has not used */
    idle_pack(c, i);
    i->rationed = ration_over(c) > t->w->now;
    conn_timer_off(t, &c->h);
    if (c->tm.keep_us != 0)
        wheel_set(t->a, &t->w->wheel, &i->timer, c->tm.keep_us);
    if (!c->by_idle)
        demux_exchange(t, c->h.hash, self(t, c), c->idle);
    i->tcb = 0;
    i->gone = 0;
    i->ending = IDLE_LIVES;
    pool_put(t->a, &t->w->tcbs, self(t, c));
    t->w->stats.rests++;
    return true;
}

bool idle_rest(struct tern *t, struct tcb *c)
{
    uint64_t due = idle_due(t, c);
    return due != 0 && due <= t->w->now && rest(t, c, true);
}

bool idle_go_back(struct tern *t, struct tcb *c)
{
    return quiet(c) && nothing_fresh(c) && !change_under_way(t) && ration_over(c) == 0 && rest(t, c, false);
}

/* Not who has just said or heard something, and not who was told that it may send. */
static bool may_be_pressed(const struct tern *t, const struct tcb *c)
{
    return quiet(c) && c->shortage.stage == SHORTAGE_NONE &&
           max_u64(c->last_rx_us, c->last_tx_us) < t->w->now;
}

/* True: it rests now. */
static bool press_one(struct tern *t, ref_t r)
{
    if (change_under_way(t))
        change_reaches(t, r); /* the change does not come to a record at rest again */
    return may_be_pressed(t, tcb_at(t, r)) && rest(t, tcb_at(t, r), true);
}

/* Memory is short: whoever is quiet rests at once, a few control blocks at a time, round and round. The next
 * one is found first: with the last one of its page a page goes. */
bool idle_press(struct tern *t)
{
    const struct pool *all = &t->w->tcbs;
    bool found = false;
    uint32_t most = min_u32(PRESS, all->live);
    ref_t r = t->w->press;
    if (r != 0 && (rec_kind(t, r) != REC_TCB || pool_gen(t->a, r) == 0))
        pool_next(t->a, all, &r); /* it has gone since */
    for (uint32_t n = 0; n < most && (r != 0 || pool_next(t->a, all, &r)); n++) {
        ref_t next = r;
        pool_next(t->a, all, &next);
        found |= press_one(t, r);
        r = next;
    }
    t->w->press = r;
    return found;
}

#define AGAIN_US 1000000u /* without memory to wake it, it is tried again */

/* The program lets go while there is no memory to do what that asks for. */
void idle_end_later(struct tern *t, struct idle *i, enum idle_end how)
{
    i->ending = how & 3;
    wheel_set(t->a, &t->w->wheel, &i->timer, t->w->now + AGAIN_US);
}

static void end_now(struct tern *t, struct idle *i, struct tcb *c)
{
    enum idle_end how = (enum idle_end)i->ending;
    i->ending = IDLE_LIVES;
    if (how == IDLE_CLOSE)
        tcb_close(t, c);
    else if (how == IDLE_ABORT)
        tcb_abort(t, c);
}

/* Segments that came since `since_us`, to whichever connection: by the rate of the last second or more. */
static uint64_t segments_since(struct tern *t, uint64_t since_us)
{
    struct arrival_rate *r = &t->w->rate;
    uint64_t took = t->w->now - r->since_us;
    if (took >= RATE_US) {
        r->per_second = (t->w->stats.segs_in - r->segs_in) * 1000000 / took;
        r->segs_in = t->w->stats.segs_in;
        r->since_us = t->w->now;
    }
    return min_u64(t->w->now - since_us, RATE_US) * r->per_second / 1000000;
}

/* So long or so much else has come since it was last heard of that it is likely to be alike the next time. */
static bool long_asleep(struct tern *t, const struct tcb *c)
{
    uint64_t last = max_u64(max_u64(c->last_rx_us, c->last_tx_us), c->h.since_us);
    bool away = segments_since(t, last) >= AWAY;
    return settings(t)->rest_us != UINT64_MAX && (away || t->w->now - last >= settings(t)->rest_us);
}

/* A control block for a connection that may go on at any moment: it has the reserve. */
struct tcb *idle_wake_pair(struct tern *t, struct idle *i, uint32_t pair)
{
    ref_t r = pool_get(t->a, &t->w->tcbs, MEM_CONTROL);
    if (r == 0 && idle_press(t))
        r = pool_get(t->a, &t->w->tcbs, MEM_CONTROL);
    if (r == 0)
        return NULL;
    struct tcb *c = tcb_at(t, r);
    idle_view(t, i, c);
    wheel_cancel(t->a, &t->w->wheel, &i->timer);
    i->tcb = r;
    c->woken_us = t->w->now;
    c->interrupted = c->by_idle = long_asleep(t, c);
    c->h.hash = pair;
    if (!c->by_idle)
        demux_exchange(t, pair, c->idle, r);
    if (change_way(t, c)) /* routes and links may have changed meanwhile */
        mtu_renew(t, c);
    if (i->gone)
        tcb_end(t, c, TERN_C_ADDR_REMOVED, -TERN_EADDRNOTAVAIL);
    else if (change_under_way(t))
        change_reaches(t, r);
    end_now(t, i, c);
    t->w->stats.wakes++;
    return c;
}

struct tcb *idle_wake(struct tern *t, struct idle *i)
{
    return i->tcb != 0 ? tcb_at(t, i->tcb) : idle_wake_pair(t, i, demux_pair_of(t, self(t, i)));
}

/* Its timer: keepalive, if it was not to end. The control block that has work to do now; NULL: none,
 * later. */
struct tcb *idle_fired(struct tern *t, struct idle *i)
{
    bool keepalive = i->ending == IDLE_LIVES;
    struct tcb *c = idle_wake(t, i);
    if (c == NULL)
        wheel_set(t->a, &t->w->wheel, &i->timer, t->w->now + AGAIN_US);
    else if (keepalive)
        c->tm.keep_us = t->w->now; /* it is no longer in the wheel */
    return keepalive ? c : NULL;
}
