/* probe_time.c - the peer falls silent: what is repeated and how often, what ends and when (RFC 6298, RFC
 * 9293 3.8.3, 3.8.4, 3.8.6.1, 3.6). */
#include "probe.h"

#include <string.h>

#define HOURS_4 (4ull * 3600 * 1000000)
#define MS 1000ull

enum { ROUNDS_MOST = 400, DATA_MOST = 4000, GRAIN_US = 10000, ORPHAN_MS = 60000 };

static const struct {
    uint32_t rto_min_us, rto_max_us, retries_ms, syn_ms, fin_wait2_ms, msl_ms;
} standard = {200000, 120000000, 924600, 180000, 60000, 30000};

#define SET(x, field, otherwise) ((uint64_t)((x)->config->field != 0 ? (x)->config->field : (otherwise)))

/* What was said again, one time after the other. */
struct again {
    uint64_t at, gap;
    uint32_t n;
    bool last;      /* it came early: the last try before the verdict, when R2 is over */
};

static bool is_orphan(const tern_info *i) { return !i->held && !i->unaccepted && i->state > TERN_SYN_RCVD; }

static bool waits(const tern_info *i)
{
    return i->snd_una != i->snd_nxt || i->send_queue > 0 || i->state < TERN_ESTABLISHED;
}

/* Each time after twice as long, up to the bound (RFC 6298 5.5, 2.5; probes of a shut window: SHLD-30). */
static void judge_gap(struct stage *x, struct again *a)
{
    uint64_t gap = x->now - a->at, most = SET(x, rto_max_us, standard.rto_max_us);
    bool doubled = gap + GRAIN_US >= 2 * a->gap && gap <= 2 * a->gap + 3 * GRAIN_US;
    bool most_reached = gap + GRAIN_US >= most && 2 * a->gap + GRAIN_US >= most;
    bool early = a->n >= 3 && !doubled && !most_reached && gap < 2 * a->gap && !a->last;
    if (a->last || (a->n >= 3 && !doubled && !most_reached && !early))
        stage_wrong(x, "%s: sent again after %llu us, the time before after %llu us (RFC 6298 5.5)",
                    tern_state_name((enum tern_state)x->before.state), (unsigned long long)gap,
                    (unsigned long long)a->gap);
    STAGE_HOLDS(x, a->n < 2 || gap <= most + GRAIN_US, "sent again only after %llu us (RFC 6298 2.5)",
                (unsigned long long)gap);
    a->last = early;
    a->gap = gap;
}

static void note_again(struct stage *x, struct again *a)
{
    for (uint32_t k = 0; k < x->n_out; k++) {
        const struct segment *s = &x->out[k].s;
        bool probe = x->before.snd_wnd == 0 && s->len <= 1 && waits(&x->before);
        bool repeated = segment_space(s) > 0 && s->seq == x->before.snd_una;
        if (!probe && !repeated)
            continue;
        STAGE_HOLDS(x, x->before.snd_wnd > 0 || !probe || s->len <= 1, "a window probe of %u bytes", s->len);
        judge_gap(x, a);
        a->at = x->now;
        a->n++;
        return;
    }
}

/* The timeout is what its parts say (RFC 6298 2.3), not below its floor. */
static void judge_rto(struct stage *x)
{
    const tern_info *i = &x->i;
    uint64_t rto = i->srtt_us + 4ull * i->rttvar_us, least = SET(x, rto_min_us, standard.rto_min_us);
    uint64_t most = SET(x, rto_max_us, standard.rto_max_us);
    if (i->srtt_us == 0 || i->state < TERN_ESTABLISHED || i->state == TERN_TIME_WAIT)
        return;
    rto = rto > most ? most : rto;
    STAGE_HOLDS(x, i->rto_us >= rto && i->rto_us >= least && i->rto_us <= most,
                "RTO is %u us; SRTT %u, RTTVAR %u (RFC 6298 2.3)", i->rto_us, i->srtt_us, i->rttvar_us);
}

/* --- the end
 * ------------------------------------------------------------------------------------------------------- */

static void judge_time_wait(struct stage *x, const tern_info *begin, uint64_t since)
{
    uint64_t two = 2 * SET(x, msl_ms, standard.msl_ms) * MS;
    bool crowded = x->config->time_wait_max != 0;
    STAGE_HOLDS(x, x->now + GRAIN_US >= begin->state_since_us + two || crowded,
                "TIME_WAIT lasts %llu us, and 2 MSL are %llu us (3.6.1)",
                (unsigned long long)(x->now - begin->state_since_us), (unsigned long long)two);
    STAGE_HOLDS(x, x->now <= since + 2 * two + two / 256 + 1000000,
                "TIME_WAIT lasts %llu us from now on (3.6.1)", (unsigned long long)(x->now - since));
}

/* `whole`: nothing waited before, so R2 begins with the silence. */
static void judge_over(struct stage *x, const tern_info *begin, bool whole, uint64_t since)
{
    uint64_t r2 = (begin->state <= TERN_SYN_RCVD ? SET(x, syn_retries_ms, standard.syn_ms)
                                                : SET(x, retries_ms, standard.retries_ms)) *
                  MS;
    uint32_t timeout = 0;
    if (x->h.v == 0)
        return;
    tern_getopt(x->t, x->h, TERN_OPT_USER_TIMEOUT_MS, &timeout);
    if (timeout != 0)
        r2 = timeout * MS;
    bool told = x->i.error == -TERN_ETIMEDOUT || (begin->soft_error != 0 && x->i.error == begin->soft_error);
    STAGE_HOLDS(x, told || x->before.state == TERN_TIME_WAIT, "given up, and the program hears %d",
                x->i.error);
    STAGE_HOLDS(x, x->events & TERN_ENDED, "given up, and the program is not told");
    STAGE_HOLDS(x,
                !whole || x->now - since + GRAIN_US >= r2 || timeout == UINT32_MAX,
                "given up after %llu us, and R2 is %llu (MUST-23, SHLD-11)",
                (unsigned long long)(x->now - since), (unsigned long long)r2);
}

/* It is quiet for hours: that must be all right. */
static void judge_quiet(struct stage *x)
{
    const tern_info *i = &x->i;
    uint32_t keepalive = 0;
    if (x->h.v != 0)
        tern_getopt(x->t, x->h, TERN_OPT_KEEPALIVE, &keepalive);
    bool may = i->state == TERN_ESTABLISHED || i->state == TERN_CLOSE_WAIT ||
               (i->state == TERN_FIN_WAIT_2 && !is_orphan(i));
    STAGE_HOLDS(x, may && !waits(i) && !keepalive, "%s: nothing happens any more (%u in flight, %u queued)",
                tern_state_name((enum tern_state)i->state), i->snd_nxt - i->snd_una, i->send_queue);
}

static bool send_some(struct stage *x, struct rng *dice)
{
    static const uint8_t text[DATA_MOST];
    bool may = x->h.v != 0 && (x->i.state == TERN_ESTABLISHED || x->i.state == TERN_CLOSE_WAIT);
    if (!may || dice_below(dice, 4) == 0)
        return false;
    stage_begin(x);
    long taken = tern_send(x->t, x->h, text, DICE_OF(dice, 1, 100, 1000, DATA_MOST), 0);
    stage_end(x);
    return taken > 0;
}

/* The peer's window shuts before, now and then. */
static void shut_window(struct stage *x, struct rng *dice)
{
    if (x->i.state < TERN_ESTABLISHED || x->i.state == TERN_TIME_WAIT || dice_below(dice, 3) != 0)
        return;
    struct segment s = stage_segment(x, ACK, 0);
    s.window = 0;
    stage_put(x, &s);
}

static void judge_alive(struct stage *x, const tern_info *begin)
{
    uint32_t keepalive = 0, timeout = 0;
    if (x->h.v == 0)
        return; /* what its program has set is not known */
    tern_getopt(x->t, x->h, TERN_OPT_KEEPALIVE, &keepalive);
    tern_getopt(x->t, x->h, TERN_OPT_USER_TIMEOUT_MS, &timeout);
    STAGE_HOLDS(x, keepalive || waits(begin), "%s: keepalive, and nobody asked for it (MUST-25)",
                tern_state_name((enum tern_state)begin->state));
    STAGE_HOLDS(x, timeout == UINT32_MAX,
                "%s: nothing was heard for hours, and it is not given up (MUST-20, R2)",
                tern_state_name((enum tern_state)x->i.state));
}

/* After so long without a word of the peer nothing may go on. */
static uint64_t longest(const struct stage *x)
{
    uint64_t r2 = SET(x, retries_ms, standard.retries_ms), syn = SET(x, syn_retries_ms, standard.syn_ms);
    uint32_t timeout = 0;
    if (x->h.v != 0)
        tern_getopt(x->t, x->h, TERN_OPT_USER_TIMEOUT_MS, &timeout);
    r2 = r2 > syn ? r2 : syn;
    r2 = timeout != UINT32_MAX && timeout > r2 ? timeout : r2;
    uint64_t others = SET(x, fin_wait2_ms, standard.fin_wait2_ms) + 4 * SET(x, msl_ms, standard.msl_ms);
    return (r2 + others) * MS + 5 * SET(x, rto_max_us, standard.rto_max_us) + HOURS_4;
}

void probe_silence(struct stage *x, struct rng *dice)
{
    struct again a = {.at = x->now};
    shut_window(x, dice);
    uint64_t since = x->now;
    if (!x->there)
        return;
    bool idle = x->i.snd_una == x->i.snd_nxt && x->i.send_queue == 0;
    bool sent = send_some(x, dice);
    tern_info begin = x->i;
    if (sent && idle)
        begin.snd_una = begin.snd_nxt; /* all of it is new */
    judge_rto(x);
    int round = 0;
    bool quiet = false, late = false;
    for (; round < ROUNDS_MOST && x->there && stage_fine(x) && !late; round++) {
        quiet = !stage_next(x, HOURS_4);
        if (quiet || x->hurried)
            break;
        note_again(x, &a);
        judge_rto(x);
        late = x->now - since > longest(x);
    }
    if (!stage_fine(x) || x->hurried)
        return;
    if (!x->there && x->before.state == TERN_TIME_WAIT && begin.state == TERN_TIME_WAIT)
        judge_time_wait(x, &begin, since);
    else if (!x->there)
        judge_over(x, &begin, sent && idle, since);
    else if (quiet)
        judge_quiet(x);
    else if (late)
        judge_alive(x, &begin);
}

/* A while later, perhaps at rest, it is as it was. */
void probe_pause(struct stage *x, struct rng *dice)
{
    stage_pass(x, DICE_OF(dice, 100, 1500, 3000, 20000, 100000) * MS);
    if (stage_fine(x) && x->there)
        probe_segments(x, dice);
}
