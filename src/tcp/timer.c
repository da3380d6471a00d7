/* timer.c - the timers of a connection: retransmission or window probe (one tagged deadline), tail loss probe
 * and RACK's patience, delayed ACK, keepalive, user timeout, FIN_WAIT_2 or TIME_WAIT, "not before". Each is a
 * deadline on the record; the wheel holds the earliest.
 *
 * What changes in a turn mostly changes again before time goes on: so who has new deadlines is noted (unset),
 * and the wheel is told before it is asked the next time (timer_settle). A short connection may live and end
 * without a place in the wheel.
 *
 * A timer only notes what is due; output.c sends it. After a jump of the clock every timer fires at most
 * once, and the user timeout and keepalive have asked the peer, and waited awake, before they judge it.
 */
#include "tcp/tcp.h"

#define R1_RETRIES 3 /* RFC 9293 SHLD-10: from here on the program is told */

static bool in_flight(const struct tcb *c) { return c->list.count > 0; }

static bool waits_to_send(const struct tcb *c)
{
    return synchronized(c) && (snd_unsent(&c->snd) > 0 || (c->snd.fin_queued && !c->snd.fin_sent));
}

static uint64_t user_limit_us(const struct tern *t, const struct tcb *c)
{
    if (c->set.user_timeout_ms == UINT32_MAX)
        return UINT64_MAX / 2; /* MUST-21: never */
    return c->set.user_timeout_ms != 0 ? c->set.user_timeout_ms * 1000ull : settings(t)->retries_us;
}

/* Without a branch: 0, which is none, is the latest of all when 1 is taken away. */
static uint64_t earlier(uint64_t a, uint64_t b) { return min_u64(a - 1, b - 1) + 1; }

/* RFC 9293 SHLD-29, SHLD-30: the first probe after one RTO, then twice as long each time. */
static uint64_t probe_interval(const struct tern *t, const struct tcb *c)
{
    uint64_t us = (uint64_t)rtt_timeout(&c->rtt, settings(t)) << (c->tm.probes < 16 ? c->tm.probes : 16);
    return min_u64(us, settings(t)->rto_max_us);
}

/* Until when the last attempt may be answered: one timeout, without its doublings. */
static uint64_t heard_out(const struct tern *t, const struct tcb *c)
{
    bool probes = c->tm.rexmit == TERN_TIMER_PERSIST;
    uint64_t wait = probes ? probe_interval(t, c) : rtt_timeout(&c->rtt, settings(t));
    uint64_t doubled = wait - min_u64(wait, c->rtt.rto_us);
    return c->tm.rexmit_us - min_u64(doubled, c->tm.rexmit_us);
}

/* The user timeout is not rounded up to the next retransmission, which may be as far away again; but the last
 * attempt has its time. A window may be probed for it before its time, no segment repeated (RFC6298-5-a). */
static uint64_t user_deadline(const struct tern *t, const struct tcb *c)
{
    if (c->tm.stuck_us == 0 || c->tm.rexmit == TERN_TIMER_NONE || c->set.user_timeout_ms == 0 ||
        c->set.user_timeout_ms == UINT32_MAX)
        return 0;
    uint64_t asked = c->tm.judged ? heard_out(t, c) : 0;
    if (!c->tm.judged && c->tm.rexmit == TERN_TIMER_RETRANSMIT)
        asked = c->tm.rexmit_us;
    return max_u64(c->tm.stuck_us + user_limit_us(t, c), asked);
}

/* The earliest of its deadlines is in the wheel. */
static void set(struct tern *t, struct tcb *c)
{
    if (c->h.ready || c->h.state == TERN_CLOSED)
        return;
    uint64_t min = c->tm.rexmit != TERN_TIMER_NONE ? c->tm.rexmit_us : 0;
    min = earlier(earlier(min, c->ack.delack_us), earlier(c->tm.keep_us, c->tm.life_us));
    min = earlier(min, earlier(c->tm.pace_us, earlier(c->tm.reo_us, c->tm.tlp_us)));
    min = earlier(min, user_deadline(t, c));
    min = earlier(min, idle_due(t, c));
    if (min != 0)
        conn_timer(t, &c->h, min);
    else if (settings(t)->rest_us == UINT64_MAX)
        conn_timer_off(t, &c->h);
    /* else: to be laid to rest it will soon be armed again: at worst it fires in vain */
}

void timer_settle(struct tern *t)
{
    ref_t r;
    while ((r = t->w->unset.head) != 0) {
        struct conn_head *h = head_at(t, r);
        list_remove(t->a, &t->w->unset, r, UNSET_PLACE);
        h->unset = false;
        if (h->kind == REC_TCB)
            set(t, (struct tcb *)h);
        else
            backlog_set(t, (struct listener *)h);
    }
}

static void arm(struct tern *t, struct tcb *c, uint8_t kind, uint64_t in_us)
{
    c->tm.rexmit = kind;
    c->tm.rexmit_us = kind == TERN_TIMER_NONE ? 0 : t->w->now + in_us;
    trace_conn(t, &c->h, TERN_TRACE_TIMER_SET, TERN_CAUSE_NONE, kind, c->tm.rexmit_us, 0);
}

/* Which of the two is needed now? A shut window is probed (MUST-36), whether or not something is in flight
 * (MUST-35, SHLD-17). A peer to whom no way leads is as good as one whose window is shut, but that the probes
 * stay here: time runs against the connection, and no window is reduced. */
void timer_window(struct tern *t, struct tcb *c)
{
    bool shut = (c->snd.wnd == 0 || c->snd.link == 0) && c->snd.syn_acked; /* until then no window counts */
    uint8_t want = TERN_TIMER_NONE;
    if (c->snd.link == 0 && !c->snd.syn_acked)
        want = TERN_TIMER_RETRANSMIT; /* so that a SYN that cannot leave is given up in time */
    else if (in_flight(c))
        want = shut ? TERN_TIMER_PERSIST : TERN_TIMER_RETRANSMIT;
    else if (shut && waits_to_send(c))
        want = TERN_TIMER_PERSIST;
    if (want != TERN_TIMER_NONE && c->tm.stuck_us == 0)
        c->tm.stuck_us = t->w->now; /* also when a probe was acknowledged, and more waits */
    if (want == c->tm.rexmit)
        return;
    if (c->tm.rexmit == TERN_TIMER_PERSIST) { /* it has opened: what the probe left behind is sent at once */
        c->tm.probes = 0;
        c->tm.probe = false;
        if (want == TERN_TIMER_RETRANSMIT)
            sendlist_mark_head_lost(t, &c->list, c->snd.mss);
        conn_ready(t, &c->h);
    }
    arm(t, c, want, want == TERN_TIMER_PERSIST ? probe_interval(t, c) : rtt_timeout(&c->rtt, settings(t)));
}

/* RFC 9293 MUST-37: a peer that answers probes is alive, however long its window is shut. */
void timer_answered(struct tern *t, struct tcb *c)
{
    if (c->tm.rexmit != TERN_TIMER_PERSIST || c->face.orphan)
        return; /* an orphan's patience is bounded (RFC 6429 3) */
    c->tm.stuck_us = t->w->now;
    c->tm.judged = c->tm.overslept = false;
}

/* RFC6298-5.1-a: for a whole timeout after the oldest sending, so that nothing is repeated before it had its
 * time (RFC6298-5-ab). */
void timer_sent(struct tern *t, struct tcb *c)
{
    if (c->tm.stuck_us == 0)
        c->tm.stuck_us = t->w->now;
    if (c->tm.rexmit == TERN_TIMER_NONE && in_flight(c))
        arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
}

/* A whole timeout from now. */
void timer_restart(struct tern *t, struct tcb *c)
{
    if (c->tm.rexmit == TERN_TIMER_RETRANSMIT)
        arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
}

/* RFC6298-5.2-a, RFC6298-5.3-a */
void timer_progress(struct tern *t, struct tcb *c)
{
    if (UNLIKELY(ether_is(&t->w->ip.ether, c->snd.link))) /* RFC 4861 7.3.1: the way there is fine */
        neigh_confirm(t->a, &t->w->ip, t->w->now, c->snd.link, &c->h.remote);
    c->tm.retries = 0;
    c->tm.judged = c->tm.overslept = false;
    c->tm.stuck_us = in_flight(c) ? t->w->now : 0;
    if (c->tm.rexmit == TERN_TIMER_PERSIST)
        return; /* timer_window decides */
    if (in_flight(c) && c->rec.partial && c->tm.rexmit == TERN_TIMER_RETRANSMIT)
        return; /* RFC 6582 3.2: only the first partial ACK restarts it */
    if (in_flight(c))
        arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
    else if (c->tm.rexmit != TERN_TIMER_NONE)
        arm(t, c, TERN_TIMER_NONE, 0);
}

/* RFC 9293 3.8.4: keepalive (MAY-5) by the program's switch (MUST-24) and interval (MUST-27). Any segment of
 * the peer starts it anew (MUST-26). */
void timer_keepalive_set(struct tern *t, struct tcb *c)
{
    c->tm.keep_probes = 0;
    c->tm.keep_probe = c->tm.keep_overslept = false;
    bool on = c->set.keepalive && synchronized(c) && c->h.state != TERN_TIME_WAIT;
    c->tm.keep_us = on ? t->w->now + c->set.keep_idle_ms * 1000ull : 0;
}

static void give_up(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    int error = c->face.soft_error == -TERN_EHOSTUNREACH ? -TERN_EHOSTUNREACH : -TERN_ETIMEDOUT;
    if (synchronized(c))
        c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, cause, error);
}

/* The clock jumped over what was waited for, so the last attempt had no time to be answered: one more. Only
 * once, so that a caller who always comes too late does not keep the dead alive. */
static bool slept_over(const struct tern *t, uint64_t deadline, bool *before)
{
    bool excused = across_jump(t, deadline) && !*before;
    *before |= excused;
    return excused;
}

/* Has it lasted too long (R2: MUST-20, for a SYN MUST-22)? No verdict without a retransmission that had its
 * time and was not answered. */
static bool exhausted(struct tern *t, struct tcb *c)
{
    uint64_t now = t->w->now;
    bool opening = !synchronized(c), by_default = c->set.user_timeout_ms == 0;
    uint64_t limit = opening && by_default ? settings(t)->syn_retries_us : user_limit_us(t, c);
    uint64_t deadline = by_default ? c->tm.rexmit_us : user_deadline(t, c);
    if (c->tm.stuck_us == 0 || now - c->tm.stuck_us < limit || !c->tm.judged ||
        slept_over(t, deadline, &c->tm.overslept))
        return false;
    if (!by_default)
        give_up(t, c, TERN_C_USER_TIMEOUT);
    else
        give_up(t, c, opening ? TERN_C_SYN_RETRIES_USED_UP : TERN_C_RETRIES_USED_UP);
    return true;
}

/* RFC6298-5.4-a, RFC6298-5.5-a, RFC6298-5.6-a; RFC 9293 3.8.3: at R1 the program is told, of a SYN too
 * (MUST-22). A deviation from MUST-20: IP gets no advice, since it knows links and no gateways that it could
 * change. */
static void retransmit(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    c->sum.timeouts++;
    t->w->stats.timeouts++;
    m->tlp_us = 0;
    c->tlp.due = c->tlp.out = false;
    if (c->list.count > 0) /* without a way nothing has left: then only time has passed, and nothing is
                              lost */
        recovery_on_timeout(t, c);
    if (m->retries < 255)
        m->retries++;
    m->judged = true;
    if (c->rtt.backoff < 255)
        c->rtt.backoff++;
    if (m->retries == R1_RETRIES)
        face_soft_error(t, c, -TERN_ETIMEDOUT, 0, 0);
    arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
    conn_ready(t, &c->h);
}

static void persist(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    m->probe = true;
    m->judged = true;
    if (m->probes < 255)
        m->probes++;
    arm(t, c, TERN_TIMER_PERSIST, probe_interval(t, c));
    conn_ready(t, &c->h);
}

static void rexmit_fired(struct tern *t, struct tcb *c)
{
    trace_conn(t, &c->h, TERN_TRACE_TIMER_FIRED, TERN_CAUSE_NONE, c->tm.rexmit, c->tm.retries, 0);
    if (exhausted(t, c))
        return;
    if (c->tm.rexmit == TERN_TIMER_PERSIST)
        persist(t, c);
    else
        retransmit(t, c);
}

static void keepalive_fired(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    if (in_flight(c) || waits_to_send(c)) { /* MUST-26: retransmission finds out by itself */
        m->keep_us = t->w->now + c->set.keep_idle_ms * 1000ull;
        return;
    }
    bool last = m->keep_probes >= c->set.keep_cnt;
    if (last && !slept_over(t, m->keep_us, &m->keep_overslept)) { /* MUST-29 */
        give_up(t, c, TERN_C_KEEPALIVE_FAILED);
        return;
    }
    trace_conn(t, &c->h, TERN_TRACE_TIMER_FIRED, TERN_CAUSE_NONE, TERN_TIMER_KEEPALIVE, m->keep_probes, 0);
    m->keep_probes += !last;
    m->keep_probe = true;
    m->keep_us = t->w->now + c->set.keep_intvl_ms * 1000ull;
    conn_ready(t, &c->h);
}

static void life_fired(struct tern *t, struct tcb *c)
{
    if (c->tm.life == TERN_TIMER_TIME_WAIT) {
        tcb_end(t, c, TERN_C_TIME_WAIT_OVER, 0);
        return;
    }
    t->w->stats.fin_wait2_timeouts++;
    tcb_end(t, c, TERN_C_FIN_WAIT_2_TIMEOUT, -TERN_ETIMEDOUT);
}

static bool due(uint64_t deadline, uint64_t now) { return deadline != 0 && deadline <= now; }

static void tcb_timer(struct tern *t, struct tcb *c)
{
    uint64_t now = t->w->now;
    if (due(c->tm.life_us, now)) {
        life_fired(t, c);
        return;
    }
    if (due(c->tm.tlp_us, now))
        tlp_fired(t, c); /* first: it puts off the next */
    if (c->tm.rexmit != TERN_TIMER_NONE && due(c->tm.rexmit_us, now))
        rexmit_fired(t, c);
    else if (due(user_deadline(t, c), now))
        rexmit_fired(t, c);
    if (c->h.state == TERN_CLOSED)
        return;
    if (due(c->ack.delack_us, now)) {
        c->ack.delack_us = 0;
        recv_ack_now(t, c, TERN_C_SEND_ACK_DELAYED);
    }
    if (due(c->tm.pace_us, now)) {
        c->tm.pace_us = 0;
        conn_ready(t, &c->h);
    }
    bool again;
    if (due(c->tm.reo_us, now) && rack_detect(t, c, false, &again) > 0)
        recovery_on_lost(t, c, again);
    if (due(c->tm.keep_us, now))
        keepalive_fired(t, c);
    if (!idle_rest(t, c))
        set(t, c);
}

void timer_fire(struct tern *t, struct wnode *n)
{
    if (rec_kind(t, self(t, n)) == REC_IDLE) {
        struct tcb *c = idle_fired(t, (struct idle *)(void *)((uint8_t *)n - offsetof(struct idle, timer)));
        if (c != NULL)
            tcb_timer(t, c);
        return;
    }
    struct conn_head *h = (struct conn_head *)(void *)((uint8_t *)n - offsetof(struct conn_head, timer));
    if (h->kind == REC_TCB)
        tcb_timer(t, (struct tcb *)h);
    else
        backlog_timer(t, (struct listener *)h);
}
