/* visit_end.c - visitors who see a connection to its end, and come again (RFC 9293 3.6, RFC 6191, RFC
 * 1337). */
#include "visit.h"

#include <tern/stats.h>

#define SET_MS(x, field, otherwise) ((uint64_t)((x)->config->field != 0 ? (x)->config->field : (otherwise)))

/* Both close, and then the pair is used again. */
static bool close_both(struct stage *x, bool lets_go)
{
    stage_begin(x);
    if (lets_go) {
        tern_close(x->t, x->h);
        x->h.v = 0;
    } else {
        tern_shutdown(x->t, x->h);
    }
    stage_end(x);
    stage_pass(x, 20 * VISIT_MS);
    visit_ack(x, x->i.snd_nxt);
    STAGE_HOLDS(x, x->i.state == TERN_FIN_WAIT_2, "our FIN is acknowledged, and it is in %s",
                tern_state_name((enum tern_state)x->i.state));
    struct segment s = stage_segment(x, FIN | ACK, 0);
    stage_put(x, &s);
    return stage_fine(x) && x->there && x->i.state == TERN_TIME_WAIT;
}

static uint64_t recycled(const struct stage *x)
{
    tern_stats stats;
    tern_get_stats(x->t, &stats);
    return stats.time_wait_recycled;
}

static void judge_again(struct stage *x, const struct offer *o, struct rng *dice)
{
    tern_endpoint at = {.ip = x->local.ip, .port = x->local.port, .zone = x->local.zone};
    tern_handle l;
    uint64_t given_up = recycled(x);
    if (!stage_listens(x, &x->local) && tern_listen(x->t, &at, 0, &l) < 0)
        return;
    bool stamps = x->i.timestamps, later = dice_below(dice, 2), same = dice_below(dice, 3) == 0;
    struct segment s = stage_segment(x, SYN, 0);
    int32_t by = (int32_t)DICE_OF(dice, 1, 100000, (uint32_t)-1, (uint32_t)-100000, 0);
    s.seq = x->i.rcv_nxt + (uint32_t)by;
    s.mss = 1000;
    s.ts = o->ts;
    s.ts_val = same ? x->i.ts_recent : later ? x->i.ts_recent + 1000 : x->i.ts_recent - 1000;
    bool newer = !s.ts || x->config->no_timestamps ? by >= 0 : !stamps || (same ? by >= 0 : later);
    uint32_t end = x->i.snd_nxt;
    stage_hand(x, &s);
    if (recycled(x) != given_up)
        return; /* for want of memory the oldest in TIME_WAIT gave way, and perhaps it was this one */
    const struct segment *r = &x->out[0].s;
    bool taken = x->n_out == 1 && (r->flags & (SYN | ACK)) == (SYN | ACK) && r->ack == s.seq + 1;
    STAGE_HOLDS(
        x, taken == newer || (newer && x->blind),
        "TIME_WAIT: a SYN %d from RCV.NXT, its timestamp %s: it %s a new connection (RFC 6191 2, MAY-2)", by,
        !s.ts   ? "is not there"
        : same  ? "the same"
        : later ? "later"
                : "earlier",
        taken ? "opens" : "does not open");
    STAGE_HOLDS(x, !taken || ahead(r->seq, end) > 0,
                "the successor begins below the numbers of the old one (MAY-2)");
}

void visit_end(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    bool lets_go = dice_below(dice, 2);
    if (!visit_open(x, dice, &o, dice_below(dice, 2)) || !close_both(x, lets_go))
        return;
    uint64_t two = 2 * SET_MS(x, msl_ms, 30000) * VISIT_MS, begin = x->now;
    bool crowded = x->config->time_wait_max != 0;
    uint32_t what = dice_below(dice, 4);
    if (what == 0 || crowded) {
        judge_again(x, &o, dice);
        return;
    }
    stage_pass(x, two / 2);
    struct segment s = stage_segment(x, what == 1 ? FIN | ACK : ACK, 0);
    s.seq -= what == 1;
    stage_put(x, &s);
    STAGE_HOLDS(x, x->there, "TIME_WAIT ends after one MSL (3.6.1)");
    stage_pass(x, two / 2 + two / 20);
    STAGE_HOLDS(x, x->hurried || what != 1 || x->there,
                "the FIN came again, and 2 MSL did not begin anew (3.10.7.4 eighth)");
    STAGE_HOLDS(x, x->hurried || what == 1 || !x->there || x->h.v == 0,
                "an ACK, and 2 MSL begin anew: %llu us", (unsigned long long)(x->now - begin));
    stage_pass(x, two);
    STAGE_HOLDS(x, x->hurried || !x->there || x->h.v == 0, "2 MSL are long over, and it is there (3.6.1)");
}

/* Keepalive as it was asked for (RFC 9293 3.8.4). */
void visit_keepalive(struct stage *x, struct rng *dice)
{
    enum { IDLE = 3000, INTERVAL = 700, COUNT = 3 };
    struct offer o = visit_offer(dice);
    if (!visit_open(x, dice, &o, dice_below(dice, 2)))
        return;
    tern_setopt(x->t, x->h, TERN_OPT_KEEPALIVE, 1);
    tern_setopt(x->t, x->h, TERN_OPT_KEEPIDLE_MS, IDLE);
    tern_setopt(x->t, x->h, TERN_OPT_KEEPINTVL_MS, INTERVAL);
    tern_setopt(x->t, x->h, TERN_OPT_KEEPCNT, COUNT);
    STAGE_HOLDS(x, tern_setopt(x->t, x->h, TERN_OPT_KEEPCNT, 1) < 0,
                "one keepalive probe may be asked for (MUST-29)");
    visit_text(x, 10);
    visit_read(x);
    stage_pass(x, 100 * VISIT_MS);
    visit_text(x, 10);
    visit_read(x);
    uint64_t since = x->now;
    uint32_t rounds = 1 + dice_below(dice, 2);
    for (uint32_t k = 0; k < rounds && stage_fine(x); k++) {
        do
            stage_next(x, 4 * IDLE * VISIT_MS);
        while (x->n_out == 1 && x->out[0].s.seq == x->i.snd_nxt && !x->hurried); /* a delayed ACK */
        uint64_t after = x->now - since;
        if (x->hurried)
            return;
        STAGE_HOLDS(x, x->n_out == 1 && x->out[0].s.seq + 1 == x->i.snd_nxt && x->out[0].s.len <= 1,
                    "no keepalive probe at SND.NXT-1 (3.8.4)");
        STAGE_HOLDS(x, after + 50 * VISIT_MS >= IDLE * VISIT_MS && after <= (IDLE + 100) * VISIT_MS,
                    "a keepalive probe after %llu us, and %d ms were asked for", (unsigned long long)after,
                    IDLE);
        if (k + 1 < rounds) {
            visit_ack(x, x->i.snd_nxt);
            since = x->now;
        }
    }
    since = x->now;
    struct segment rubbish = stage_segment(x, ACK, 0);
    rubbish.ack += 100000;
    stage_put(x, &rubbish); /* refused: no sign of life (MUST-26) */
    uint32_t probes = 1;
    for (int k = 0; k < 10 && x->there && stage_fine(x) && !x->hurried; k++) {
        stage_next(x, 4 * IDLE * VISIT_MS);
        probes += x->n_out == 1 && !(x->out[0].s.flags & RST);
    }
    if (x->hurried)
        return;
    STAGE_HOLDS(x, !x->there, "%u keepalive probes are not answered, and it lives", probes);
    STAGE_HOLDS(x, x->there || probes == COUNT, "given up after %u keepalive probes, not %d", probes, COUNT);
    uint64_t took = x->now - since;
    STAGE_HOLDS(
        x, took + 50 * VISIT_MS >= INTERVAL * COUNT * VISIT_MS && took <= (INTERVAL * COUNT + 200) * VISIT_MS,
        "given up %llu us after the first keepalive probe", (unsigned long long)took);
    STAGE_HOLDS(x, x->i.error == -TERN_ETIMEDOUT, "keepalive: the program hears %d", x->i.error);
}

/* At rest a connection is what it was. */
void visit_rest(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    bool nodelay = dice_below(dice, 2);
    if (!visit_open(x, dice, &o, dice_below(dice, 2)))
        return;
    tern_setopt(x->t, x->h, TERN_OPT_NODELAY, nodelay);
    visit_text(x, 100);
    visit_read(x);
    stage_pass(x, 100 * VISIT_MS);
    tern_info was = x->i;
    stage_pass(x, 100000 * VISIT_MS);
    if (!x->there || x->hurried)
        return;
    const tern_info *is = &x->i;
    uint32_t now_nodelay = 0;
    tern_getopt(x->t, x->h, TERN_OPT_NODELAY, &now_nodelay);
    STAGE_HOLDS(x,
                is->snd_una == was.snd_una && is->rcv_nxt == was.rcv_nxt && is->snd_wnd == was.snd_wnd &&
                    is->ts_recent == was.ts_recent && is->snd_wscale == was.snd_wscale &&
                    is->mss == was.mss && is->rcv_wscale == was.rcv_wscale && is->sack == was.sack &&
                    is->ecn == was.ecn && is->max_snd_wnd == was.max_snd_wnd && is->srtt_us == was.srtt_us,
                "a rest has changed it");
    STAGE_HOLDS(x, now_nodelay == nodelay, "a rest has changed Nagle's switch");
    STAGE_HOLDS(x, x->n_out == 0, "it speaks in its rest");
    if (visit_send(x, 3000, 0) != 3000)
        return;
    STAGE_HOLDS(x, x->n_out > 0, "after a rest nothing is sent");
    uint32_t first = visit_bytes(x, was.snd_nxt), most = 10 * x->i.mss > 14600 ? 14600 : 10 * x->i.mss;
    STAGE_HOLDS(x, first <= (most > 2 * x->i.mss ? most : 2 * x->i.mss),
                "after a rest %u bytes leave at once", first);
    probe_segments(x, dice);
}
