/* visit_send.c - visitors to whom much is sent: the flight and how it grows, what is lost and repeated, the
 * timeout, windows that shut, small segments (RFC 5681, 6675, 6582, 6298, 6928, 3168, RFC 9293 3.8.6,
 * 3.7.4). */
#include "visit.h"

/* The longest time between two sendings. */
#define SET_RTO_MAX(x) ((x)->config->rto_max_us != 0 ? (x)->config->rto_max_us : 120000000u)

enum { MUCH = 40000, PERSIST_ROUNDS = 6 };

/* Much is sent over a path of 50 ms; false: it cannot be had here (memory, or it was wrong). */
static bool begin_flight(struct stage *x, struct rng *dice, struct offer *o)
{
    *o = visit_offer(dice);
    o->mss = VISIT_MSS;
    if (x->blind || !visit_open(x, dice, o, dice_below(dice, 2)))
        return false;
    x->window = o->wscale ? 60000 : 65000;
    tern_setopt(x->t, x->h, TERN_OPT_SEND_BUFFER, 1 << 17);
    visit_ack(x, x->i.snd_nxt);
    return stage_fine(x) && visit_send(x, MUCH, 0) >= 20 * VISIT_MSS;
}

static uint32_t flight(const struct stage *x) { return x->i.snd_nxt - x->i.snd_una; }

/* IW of RFC 6928, then a segment more for each that is acknowledged. */
void visit_flight(struct stage *x, struct rng *dice)
{
    struct offer o;
    if (!begin_flight(x, dice, &o))
        return;
    uint32_t had = x->i.srtt_us, var = x->i.rttvar_us;
    STAGE_HOLDS(x, had == 0 || (var >= had * 9 / 20 && var <= had * 11 / 20),
                "the first round trip is %u us, and RTTVAR begins as %u (RFC 6298 2.2)", had, var);
    uint32_t mss = x->i.mss, first = flight(x), most = 10 * VISIT_MSS;
    STAGE_HOLDS(x, first <= most && first + VISIT_MSS > 10 * mss - mss,
                "the first flight has %u bytes, segments %u (RFC 6928 2)", first, mss);
    for (int k = 0; k < 12 && stage_fine(x); k++) {
        stage_pass(x, (k == 0 ? 50 : 5) * VISIT_MS);
        uint32_t cwnd = x->i.cwnd, before = x->i.snd_nxt;
        bool slow = cwnd < x->i.ssthresh, idle = x->i.send_queue == 0;
        if (idle)
            break;
        visit_ack(x, x->i.snd_una + mss);
        if (slow)
            STAGE_HOLDS(x, x->i.cwnd == cwnd + mss,
                        "slow start: an ACK of %u bytes makes %u of a window of %u (RFC 5681 3.1)", mss,
                        x->i.cwnd, cwnd);
        STAGE_HOLDS(x, flight(x) <= x->i.cwnd, "%u bytes in flight, and the window is %u", flight(x),
                    x->i.cwnd);
        STAGE_HOLDS(x, x->i.send_queue == 0 || flight(x) + mss > x->i.cwnd || flight(x) + mss > x->i.snd_wnd,
                    "%u bytes in flight, the window is %u, and %u wait", flight(x), x->i.cwnd,
                    x->i.send_queue);
        STAGE_HOLDS(x, x->i.send_queue == 0 || x->i.snd_nxt != before, "an ACK lets nothing go");
    }
    STAGE_HOLDS(x, x->i.srtt_us > 30000 && x->i.srtt_us < 120000, "a path of 50 ms, and SRTT is %u us",
                x->i.srtt_us);
    STAGE_HOLDS(x, x->i.min_rtt_us >= 35000 && x->i.min_rtt_us < 60000,
                "a path of 50 ms, and the least is %u us", x->i.min_rtt_us);
}

/* A duplicate ACK, with SACK of one segment more where that was agreed. */
static void duplicate(struct stage *x, uint32_t hole, uint32_t n)
{
    struct segment s = stage_segment(x, ACK, 0);
    s.ack = hole;
    if (x->i.sack) {
        s.n_sack = 1;
        s.sack[0].start = hole + x->i.mss;
        s.sack[0].end = hole + (1 + n) * x->i.mss;
    }
    stage_put(x, &s);
}

static bool repeats(const struct stage *x, uint32_t seq)
{
    for (uint32_t k = 0; k < x->n_out; k++)
        if (x->out[k].s.len > 0 && x->out[k].s.seq == seq)
            return true;
    return false;
}

/* The first segment is lost, and one in the middle: three duplicates, recovery, partial ACK, the end. */
void visit_loss(struct stage *x, struct rng *dice)
{
    struct offer o;
    if (!begin_flight(x, dice, &o))
        return;
    uint32_t mss = x->i.mss;
    stage_pass(x, 50 * VISIT_MS);
    visit_ack(x, x->i.snd_una + 2 * mss);
    stage_pass(x, 50 * VISIT_MS);
    uint32_t hole = x->i.snd_una, was = flight(x), end = x->i.snd_nxt, cwnd = x->i.cwnd;
    if (was < 8 * mss || !stage_fine(x))
        return;
    for (uint32_t n = 1; n <= 3 && stage_fine(x); n++) {
        uint32_t before = x->i.snd_nxt, queue = x->i.send_queue;
        duplicate(x, hole, n);
        STAGE_HOLDS(x, n == 3 || !repeats(x, hole), "sent again after %u duplicate ACKs (RFC 5681 3.2)", n);
        STAGE_HOLDS(x, n != 3 || repeats(x, hole),
                    "three duplicate ACKs, and nothing is sent again (RFC 5681 3.2)");
        bool more = queue >= mss && before + mss - x->i.snd_una <= x->i.snd_wnd;
        STAGE_HOLDS(x, n == 3 || !more || x->i.snd_nxt == before + mss,
                    "a duplicate ACK lets %u bytes go, not one segment (RFC 3042)", x->i.snd_nxt - before);
    }
    STAGE_HOLDS(x, x->i.ssthresh <= (cwnd > was ? cwnd : was) / 2 + mss && x->i.ssthresh >= 2 * mss,
                "a loss with %u in flight makes ssthresh %u (RFC 5681 3.2)", was, x->i.ssthresh);
    uint32_t thresh = x->i.ssthresh, sent = x->i.snd_nxt;
    for (uint32_t n = 4; n <= 5 && stage_fine(x); n++)
        duplicate(x, hole, n);
    STAGE_HOLDS(x, x->i.fast_retransmits == 1 && !repeats(x, hole), "a recovery begins twice");
    stage_pass(x, 40 * VISIT_MS);
    uint32_t second = hole + 6 * mss;
    visit_ack(x, second); /* what comes behind it was lost, too */
    STAGE_HOLDS(x, x->i.ssthresh == thresh, "a partial ACK makes ssthresh %u of %u", x->i.ssthresh, thresh);
    if (!x->i.sack)
        STAGE_HOLDS(x, repeats(x, second),
                    "a partial ACK, and the next hole is not sent again (RFC 6582 3.2)");
    stage_pass(x, 20 * VISIT_MS);
    (void)end;
    visit_ack(x, sent);
    if (x->i.retransmits == 0 || x->i.timeouts > 0)
        return;
    STAGE_HOLDS(x, x->i.cwnd <= thresh + 3 * mss || ahead(sent, x->i.snd_nxt) < -(int32_t)thresh,
                "a recovery ends with a window of %u, and ssthresh is %u", x->i.cwnd, thresh);
    STAGE_HOLDS(x, flight(x) <= thresh + 4 * mss, "behind a recovery %u bytes in flight, ssthresh is %u",
                flight(x), thresh);
    uint32_t now = x->i.cwnd, una = x->i.snd_una;
    for (int k = 0; k < 4 && stage_fine(x) && x->i.send_queue > mss; k++)
        visit_ack(x, x->i.snd_una + mss);
    uint32_t acked = x->i.snd_una - una;
    STAGE_HOLDS(x, x->i.cwnd <= now + mss + (now < thresh ? acked : 0),
                "avoidance: %u bytes acknowledged make %u of a window of %u", acked, x->i.cwnd, now);
}

/* Nobody answers; then an ACK. */
void visit_timeout(struct stage *x, struct rng *dice)
{
    struct offer o;
    if (!begin_flight(x, dice, &o))
        return;
    uint32_t mss = x->i.mss;
    stage_pass(x, 50 * VISIT_MS);
    visit_ack(x, x->i.snd_una + 2 * mss);
    uint32_t una = x->i.snd_una, was = flight(x), srtt = x->i.srtt_us, rto = x->i.rto_us;
    uint64_t from = x->now, last = 0, gap = 0;
    uint32_t timeouts = 1 + dice_below(dice, 3);
    while (stage_fine(x) && x->there && x->i.timeouts < timeouts && !x->hurried) {
        uint32_t had = x->i.timeouts;
        stage_next(x, 400000 * VISIT_MS);
        if (x->n_out == 0)
            return;
        if (x->i.timeouts == had) { /* a tail loss probe */
            STAGE_HOLDS(x, x->now - from >= 2ull * srtt || x->i.fast_retransmits > 0,
                        "a tail loss probe after %llu us, SRTT is %u (RFC 8985 7.2)",
                        (unsigned long long)(x->now - from), srtt);
            from = last == 0 ? x->now : from;
            continue;
        }
        STAGE_HOLDS(x, repeats(x, una) && visit_bytes(x, una) <= mss,
                    "a timeout sends %u bytes again (RFC 6298 5.4)", visit_bytes(x, una));
        STAGE_HOLDS(x, x->now - from + 10 * VISIT_MS >= rto, "a timeout after %llu us, and RTO is %u",
                    (unsigned long long)(x->now - from), rto);
        STAGE_HOLDS(x, x->i.cwnd <= mss, "a timeout leaves a window of %u (RFC 5681 3.1)", x->i.cwnd);
        STAGE_HOLDS(x, x->i.ssthresh <= was / 2 + mss && x->i.ssthresh >= 2 * mss,
                    "a timeout with %u in flight makes ssthresh %u (RFC 5681 3.1)", was, x->i.ssthresh);
        STAGE_HOLDS(
            x, gap == 0 || x->now - last >= 2 * gap - 20 * VISIT_MS || x->now - last >= SET_RTO_MAX(x) / 2,
            "timeouts do not back off (RFC 6298 5.5)");
        gap = last != 0 ? x->now - last : 0;
        last = x->now;
    }
    if (!stage_fine(x) || !x->there || x->hurried)
        return;
    uint32_t thresh = x->i.ssthresh, had = x->i.srtt_us;
    stage_pass(x, 50 * VISIT_MS);
    struct segment s = stage_segment(x, ACK, 0);
    s.ack = una + mss;
    stage_put(x, &s);
    STAGE_HOLDS(x, x->i.timestamps || x->i.srtt_us == had,
                "a round trip is measured of what was sent twice (Karn)");
    STAGE_HOLDS(x, x->i.timestamps || x->i.cwnd <= 2 * mss,
                "after a timeout an ACK of %u makes a window of %u (RFC 5681 3.1)", mss, x->i.cwnd);
    STAGE_HOLDS(x, x->i.timestamps || x->i.ssthresh == thresh, "an ACK makes ssthresh %u of %u",
                x->i.ssthresh, thresh);
    stage_pass(x, 50 * VISIT_MS);
    visit_ack(x, x->i.snd_nxt);
    STAGE_HOLDS(x, x->i.backoff == 0, "all is acknowledged, and the back-off stays");
}

/* --- small segments
 * -------------------------------------------------------------------------------------------- */

/* Nagle, in Minshall's form; TERN_MORE; PSH (RFC 9293 3.7.4, SHLD-7, MUST-17, MUST-60). */
void visit_nagle(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    bool nodelay = dice_below(dice, 3) == 0;
    if (!visit_open(x, dice, &o, dice_below(dice, 2)))
        return;
    tern_setopt(x->t, x->h, TERN_OPT_NODELAY, nodelay);
    visit_ack(x, x->i.snd_nxt);
    if (visit_send(x, 10, 0) != 10)
        return;
    STAGE_HOLDS(x, x->n_out == 1 && x->out[0].s.len == 10 && x->out[0].s.flags & PSH,
                "a small segment, nothing in flight, and it waits");
    visit_send(x, 20, 0);
    STAGE_HOLDS(x, (visit_bytes(x, 0) + x->n_out > 0) == nodelay, "a second small segment %s (MUST-17)",
                nodelay ? "waits" : "does not wait");
    visit_ack(x, x->i.snd_nxt);
    STAGE_HOLDS(x, nodelay || (x->n_out == 1 && x->out[0].s.len == 20),
                "all is acknowledged, and a small segment waits");
    visit_send(x, 15, 0);
    if (dice_below(dice, 2)) {
        stage_begin(x);
        tern_shutdown(x->t, x->h);
        stage_end(x);
        const struct segment *last = x->n_out > 0 ? &x->out[x->n_out - 1].s : NULL;
        STAGE_HOLDS(x, last != NULL && last->flags & FIN, "the last bytes wait, and the FIN with them");
        return;
    }
    visit_ack(x, x->i.snd_nxt);
    visit_ack(x, x->i.snd_nxt);
    bool whole = visit_send(x, 2 * x->i.mss, 0) == 2 * x->i.mss;
    STAGE_HOLDS(x, !whole || visit_bytes(x, 0) == 2 * x->i.mss || x->i.cwnd < 2 * x->i.mss,
                "full segments wait");
    visit_ack(x, x->i.snd_nxt);
    if (visit_send(x, 30, TERN_MORE) != 30)
        return; /* no memory for it */
    STAGE_HOLDS(x, x->n_out == 0, "more is to follow, and a small segment leaves");
    stage_pass(x, 1000 * VISIT_MS);
    STAGE_HOLDS(x, visit_bytes(x, 0) >= 30, "more is to follow, and after a second nothing has left");
}

/* --- a window that shuts
 * ------------------------------------------------------------------------------------------ */

static void say_window(struct stage *x, uint32_t window)
{
    struct segment s = stage_segment(x, ACK, 0);
    s.window = (uint16_t)(window >> x->shift);
    stage_put(x, &s);
}

/* Probes of one byte, further and further apart, as long as they are answered (MUST-36, MUST-37, SHLD-29,
 * SHLD-30). */
void visit_persist(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    uint32_t queued = DICE_OF(dice, 10, 5000, 5000);
    if (!visit_open(x, dice, &o, dice_below(dice, 2)))
        return;
    bool timeout = dice_below(dice, 2);
    tern_setopt(x->t, x->h, TERN_OPT_USER_TIMEOUT_MS, timeout ? 5000 : 0);
    say_window(x, 0);
    if (visit_send(x, queued, 0) != queued)
        return;
    STAGE_HOLDS(x, x->n_out == 0, "the window is shut, and something is sent");
    x->window = 0;
    uint64_t last = x->now, gap = 0;
    for (int k = 0; k < PERSIST_ROUNDS && x->there && stage_fine(x); k++) {
        stage_next(x, 200000 * VISIT_MS);
        if (x->hurried)
            return;
        const struct segment *p = &x->out[0].s;
        STAGE_HOLDS(x, x->n_out == 1 && p->len == 1 && p->seq == x->i.snd_una,
                    "a window probe: %u segments, the first of %u bytes (3.8.6.1)", x->n_out, p->len);
        STAGE_HOLDS(x,
                    gap == 0 || timeout || x->now - last + gap / 4 + 20 * VISIT_MS >= 2 * gap ||
                        x->now - last + 20 * VISIT_MS >= SET_RTO_MAX(x) / 2,
                    "a window probe after %llu us, the one before after %llu us (SHLD-30)",
                    (unsigned long long)(x->now - last), (unsigned long long)gap);
        STAGE_HOLDS(x, x->now - last <= 121000000, "a window probe after %llu us",
                    (unsigned long long)(x->now - last));
        gap = x->now - last;
        last = x->now;
        stage_pass(x, 20 * VISIT_MS);
        last = x->now;
        gap -= gap > 20 * VISIT_MS ? 20 * VISIT_MS : 0;
        bool taken = dice_below(dice, 4) == 0; /* or refused */
        gap = taken ? 0 : gap;
        visit_ack(x, taken ? x->i.snd_nxt : x->i.snd_una);
    }
    STAGE_HOLDS(x, x->there, "its peer answers window probes, and it is given up (MUST-37)");
    if (!stage_fine(x))
        return;
    x->window = 30000;
    uint32_t left = x->i.send_queue + flight(x);
    visit_ack(x, x->i.snd_una);
    STAGE_HOLDS(x, visit_bytes(x, 0) > 0 || left == 0, "the window opens, and nothing is sent");
}

/* A window of a few bytes is no reason to send a few bytes (MUST-38, 3.8.6.2.1). */
void visit_window(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    o.mss = VISIT_MSS;
    o.wscale = 0;
    if (!visit_open(x, dice, &o, dice_below(dice, 2)))
        return;
    say_window(x, 20000);
    say_window(x, 0);
    if (visit_send(x, 5000, 0) != 5000)
        return;
    say_window(x, 200);
    STAGE_HOLDS(x, x->n_out == 0, "a window of 200 bytes, and a silly segment leaves at once (MUST-38)");
    uint64_t from = x->now;
    stage_next(x, 5000 * VISIT_MS);
    uint64_t after = x->now - from;
    if (x->hurried)
        return;
    STAGE_HOLDS(x, visit_bytes(x, 0) == 200, "a window of 200 bytes, and %u leave in the end",
                visit_bytes(x, 0));
    STAGE_HOLDS(x, after >= 90 * VISIT_MS && after <= 1050 * VISIT_MS,
                "the silly window is overridden after %llu us (3.8.6.2.1)", (unsigned long long)after);
    x->window = 3000;
    visit_ack(x, x->i.snd_nxt);
    STAGE_HOLDS(x, visit_bytes(x, 0) > 0 && flight(x) <= 3000, "a window of 3000 bytes, and %u are in flight",
                flight(x));
    /* it shrinks: what is beyond it waits, what is in flight is not forgotten */
    struct segment s = stage_segment(x, ACK, 0);
    s.ack = x->i.snd_una;
    s.window = 500;
    stage_put(x, &s);
    STAGE_HOLDS(x, visit_bytes(x, 0) == 0, "a window that has shrunk, and %u bytes leave", visit_bytes(x, 0));
}

/* --- ECN ------------------------------------------------------------------------------------- */

/* RFC 3168 6.1.2: once in a round trip, and CWR on the next new data. */
static void sender_hears(struct stage *x)
{
    tern_setopt(x->t, x->h, TERN_OPT_SEND_BUFFER, 1 << 17);
    if (visit_send(x, 20000, 0) < 18 * VISIT_MSS)
        return;
    for (uint32_t k = 0; k < x->n_out; k++)
        STAGE_HOLDS(x, x->out[k].s.len == 0 || (x->out[k].s.tos & 3) == 2 || (x->out[k].s.tos & 3) == 1,
                    "new data is not ECN-capable (RFC 3168 6.1.2)");
    stage_pass(x, 50 * VISIT_MS);
    uint32_t cwnd = x->i.cwnd, mss = x->i.mss;
    struct segment s = stage_segment(x, ACK | ECE, 0);
    s.ack = x->i.snd_una + mss;
    stage_put(x, &s);
    uint32_t reduced = x->i.cwnd;
    STAGE_HOLDS(x, reduced <= cwnd / 2 + mss && x->i.ssthresh <= cwnd / 2 + mss,
                "ECE leaves a window of %u of %u (RFC 3168 6.1.2)", reduced, cwnd);
    s = stage_segment(x, ACK | ECE, 0);
    s.ack = x->i.snd_una + mss;
    stage_put(x, &s);
    STAGE_HOLDS(x, x->i.cwnd == reduced, "ECE again in the same round trip makes %u of %u (RFC 3168 6.1.2)",
                x->i.cwnd, reduced);
    bool said = false, early = false;
    for (int k = 0; k < 12 && stage_fine(x) && !said; k++) {
        uint32_t before = x->i.snd_nxt;
        visit_ack(x, x->i.snd_una + mss);
        for (uint32_t n = 0; n < x->n_out; n++) {
            said |= x->out[n].s.flags & CWR && x->out[n].s.len > 0;
            early |= x->out[n].s.len > 0 && ahead(x->out[n].s.seq, before) >= 0 && !said;
        }
    }
    STAGE_HOLDS(x, said && !early, "ECE was heard, and the next new data does not say CWR (RFC 3168 6.1.2)");
}

/* RFC 3168 6.1.3: ECE on every ACK until CWR. */
static void receiver_tells(struct stage *x)
{
    for (int k = 0; k < 3; k++)
        visit_text(x, 100);
    for (uint32_t k = 0; k < x->n_out; k++)
        STAGE_HOLDS(x, !(x->out[k].s.flags & ECE), "ECE, and nothing was marked");
    struct segment s = stage_segment(x, ACK, 100);
    s.tos = 1; /* ECT is no mark */
    stage_put(x, &s);
    stage_pass(x, 500 * VISIT_MS);
    STAGE_HOLDS(x, x->n_out == 0 || !(x->out[0].s.flags & ECE), "ECE, and nothing was marked");
    s = stage_segment(x, ACK, 100);
    s.tos = 3;
    stage_put(x, &s);
    STAGE_HOLDS(x, x->n_out == 1 && x->out[0].s.flags & ECE, "a mark, and no ECE at once (RFC 3168 6.1.3)");
    for (int k = 0; k < 2; k++) {
        visit_text(x, 100);
        if (x->n_out == 0)
            stage_pass(x, 500 * VISIT_MS);
        STAGE_HOLDS(x, x->n_out > 0 && x->out[0].s.flags & ECE,
                    "a mark, no CWR, and ECE ends (RFC 3168 6.1.3)");
    }
    s = stage_segment(x, ACK | CWR, 100);
    stage_put(x, &s);
    if (x->n_out == 0)
        stage_pass(x, 500 * VISIT_MS);
    STAGE_HOLDS(x, x->n_out > 0 && !(x->out[0].s.flags & ECE), "CWR, and ECE goes on (RFC 3168 6.1.3)");
}

void visit_ecn(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    o.ecn = true;
    o.mss = VISIT_MSS;
    if (x->blind || !visit_open(x, dice, &o, false) || !x->i.ecn)
        return;
    x->window = 50000;
    visit_ack(x, x->i.snd_nxt);
    if (dice_below(dice, 2))
        sender_hears(x);
    else
        receiver_tells(x);
}
