/* probe_icmp.c - what routers say about a connection's segments (RFC 9293 3.9.2.2, RFC 5927, RFC 1191). In
 * the synchronized states nothing that they say ends it (docs/ARCHITECTURE.md: deviations). */
#include "probe.h"

struct message {
    uint8_t type, code;
    bool hard;   /* ends an attempt to open */
    bool silent; /* says nothing at all (MUST-55) */
};

static const struct message messages[] = {
    {3, 0, false, false},  {3, 1, false, false},  {3, 2, true, false},
    {3, 3, true, false},   {3, 5, false, false},  {11, 0, false, false},
    {11, 1, false, false}, {12, 0, false, false}, {4, 0, false, true},
};

static const char *state_of(const struct stage *x)
{
    return tern_state_name((enum tern_state)x->before.state);
}

/* About what is not in flight (RFC 5927 4.1), or by a message that has no meaning for us. */
static void judge_nothing(struct stage *x, const char *why)
{
    const tern_info *a = &x->i, *b = &x->before;
    STAGE_HOLDS(x,
                a->state == b->state && a->soft_error == b->soft_error && x->n_out == 0 && a->mss == b->mss &&
                    a->cwnd == b->cwnd && x->events == 0,
                "%s: ICMP is heard, %s", state_of(x), why);
}

static void judge_error(struct stage *x, const struct message *m)
{
    const tern_info *b = &x->before;
    bool opening = b->state == TERN_SYN_SENT || (b->state == TERN_SYN_RCVD && !x->was_passive);
    bool v4 = tern_ip_is4(&x->local.ip);
    if (opening && m->hard && (v4 || m->code == 3)) {
        STAGE_HOLDS(x, !x->there, "%s: unreachable (%u), and it goes on", state_of(x), m->code);
        STAGE_HOLDS(x, x->h.v == 0 || (x->events & TERN_ENDED && x->i.error != 0),
                    "%s: ended by ICMP and not told", state_of(x));
        return;
    }
    if (m->hard && (opening || b->state == TERN_SYN_RCVD))
        return;
    STAGE_HOLDS(x, x->there && x->i.state == b->state, "%s: ICMP %u/%u ends it (MUST-56, RFC 5927 5.2)",
                state_of(x), m->type, m->code);
    STAGE_HOLDS(x, x->n_out == 0, "%s: ICMP %u/%u is answered", state_of(x), m->type, m->code);
    uint32_t reports = 1;
    if (x->h.v == 0 || tern_getopt(x->t, x->h, TERN_OPT_REPORTS, &reports) < 0)
        return;
    STAGE_HOLDS(x, x->i.soft_error != 0, "%s: ICMP %u/%u is not kept (SHLD-25)", state_of(x), m->type,
                m->code);
    STAGE_HOLDS(x, ((x->events & TERN_SOFT_ERROR) != 0) == (reports != 0) || b->soft_error != 0,
                "%s: ICMP %u/%u is %s (MUST-47)", state_of(x), m->type, m->code,
                reports ? "not told" : "told, and that was switched off (SHLD-20)");
}

/* A path narrower than what was sent: smaller segments, and what was too large at once (RFC 1191 6.4). */
static void narrow(struct stage *x, struct rng *dice, bool clean)
{
    bool v4 = tern_ip_is4(&x->local.ip);
    uint32_t head = v4 ? 40 : 60, mtu = DICE_OF(dice, 1280, 1300, 1400, 9000, 600, 68, 20);
    uint32_t flight = x->i.snd_nxt - x->i.snd_una;
    uint32_t least = v4 ? 68 : 1280, floor = v4 ? 552 : 1280;
    stage_icmp(x, 3, 4, mtu, x->i.snd_una);
    const tern_info *a = &x->i, *b = &x->before;
    if (!stage_fine(x) || !x->there)
        return;
    STAGE_HOLDS(x, a->mss <= b->mss, "%s: a path MTU makes the segments larger", state_of(x));
    STAGE_HOLDS(x, a->mss + 60 + head >= (b->mss + head < floor ? b->mss + head : floor),
                "%s: a path MTU of %u makes segments of %u", state_of(x), mtu, a->mss);
    if (mtu < least)
        STAGE_HOLDS(x, a->mss == b->mss, "%s: a path MTU of %u is believed", state_of(x), mtu);
    if (mtu >= floor && mtu < b->mss + head)
        STAGE_HOLDS(x, a->mss + head <= mtu, "%s: segments of %u bytes on a path of %u", state_of(x), a->mss,
                    mtu);
    bool repeat = clean && mtu >= floor && flight > 2 * b->mss && b->mss + head > mtu && b->snd_wnd > flight;
    bool repeated = false;
    for (uint32_t k = 0; k < x->n_out; k++)
        repeated |=
            ahead(x->out[k].s.seq, b->snd_nxt) < 0 && x->out[k].s.len > 0 && x->out[k].s.len <= a->mss;
    if (repeat && a->mss < b->mss)
        STAGE_HOLDS(x, repeated, "%s: what is too large for the path is not sent again", state_of(x));
}

void probe_icmp(struct stage *x, struct rng *dice)
{
    static const uint8_t text[6000];
    const struct message *m = &messages[dice_below(dice, sizeof messages / sizeof messages[0])];
    bool can = x->h.v != 0 && (x->i.state == TERN_ESTABLISHED || x->i.state == TERN_CLOSE_WAIT);
    bool clean = x->i.snd_una == x->i.snd_nxt;
    if (can && !x->i.fin_sent && dice_below(dice, 4) != 0) {
        stage_begin(x);
        tern_send(x->t, x->h, text, sizeof text, 0);
        stage_end(x);
    }
    uint32_t flight = x->i.snd_nxt - x->i.snd_una;
    bool record = x->i.state != TERN_TIME_WAIT && !(x->passive && x->h.v == 0);
    uint32_t place = dice_below(dice, 6);
    bool outside = place == 0 || flight == 0 || !record;
    uint32_t at = x->i.snd_una;
    if (outside)
        at = DICE_OF(dice, x->i.snd_nxt, x->i.snd_una - 1, x->i.snd_nxt + 100000, x->i.snd_una - 70000);
    else if (place == 1)
        at = x->i.snd_nxt - 1;
    if (outside) {
        stage_icmp(x, m->type, m->code, 0, at);
        judge_nothing(x, "about what is not in flight (RFC 5927 4.1)");
    } else if (dice_below(dice, 3) == 0) {
        narrow(x, dice, clean);
    } else {
        stage_icmp(x, m->type, m->code, 0, at);
        if (m->silent)
            judge_nothing(x, "and Source Quench means nothing (MUST-55)");
        else
            judge_error(x, m);
    }
}
