/* move.c - see move.h. */
#include "move.h"

#include "host/story.h"
#include "probe.h"
#include "sim/bytes.h"
#include "sim/packet.h"

#include <stdio.h>
#include <string.h>

enum { MS = 1000, WAKES = 200, WAIT_US = 1500000, ICMP_BYTES = 56 };

/* --- time --------------------------------------------------------------------------------------- */

/* Until the next deadline of a side, whole milliseconds in us; UINT64_MAX: none. */
static uint64_t until_next(const struct duo *d, int side)
{
    uint64_t at = tern_next_deadline(d->stack[side]), now = d->scene.side[side].now;
    if (at == UINT64_MAX)
        return at;
    return at <= now ? 0 : (at - now + MS - 1) / MS * MS;
}

/* A clock goes on. */
static void go_on(struct duo *d, int side, uint64_t us)
{
    d->dirty[side] = true;
    d->scene.side[side].now += us;
    tern_tick(d->stack[side], d->scene.side[side].now);
    duo_settle(d, side);
}

static void too_old(struct duo *d, uint64_t us)
{
    struct scene *c = &d->scene;
    for (uint32_t i = c->n_flying; i-- > 0;) {
        c->flying[i].age_us += us;
        if (c->flying[i].age_us > MSL_US) {
            c->broken |= flying_matters(&c->flying[i]);
            duo_land(d, i);
        }
    }
}

/* The clocks of the sides from..to go on until something can be seen. A deadline may pass without: a
 * connection comes to rest, or the wheel was asked too early. False: nothing will ever be seen. */
static bool pass(struct duo *d, int from, int to)
{
    bool seen = false;
    uint64_t passed = 0;
    for (int side = from; side <= to; side++)
        d->dirty[side] = true;
    for (int wake = 0; wake < WAKES && !seen; wake++) {
        uint64_t us = UINT64_MAX;
        for (int side = from; side <= to; side++)
            us = until_next(d, side) < us ? until_next(d, side) : us;
        if (us == UINT64_MAX)
            break;
        passed += us;
        for (int side = from; side <= to; side++) {
            d->scene.side[side].now += us;
            tern_tick(d->stack[side], d->scene.side[side].now);
            seen |= duo_hear(d, side);
        }
    }
    for (int side = from; side <= to; side++)
        duo_look(d, side);
    too_old(d, passed);
    return seen;
}

/* --- the network -------------------------------------------------------------------------------- */

/* Refused before TCP has looked at it: what one stack builds the other must be able to read. */
static bool unreadable(uint16_t cause)
{
    return (cause >= TERN_C_IP_MALFORMED && cause <= TERN_C_NDP_MALFORMED) || cause == TERN_C_REPLIES_FULL;
}

/* A SYN travels a millisecond: initial numbers count time (RFC 9293 3.4.1), and those of two connections of
 * the same ports may not be the same. */
static void syn_travels(struct duo *d)
{
    for (int side = 0; side < SIDES; side++)
        go_on(d, side, MS);
}

static enum tern_cause arrive(struct duo *d, int side, const uint8_t *bytes, uint32_t len)
{
    tern_rx_packet rx = {.data = bytes, .len = len, .link = (uint8_t)d->link[side]};
    d->dirty[side] = true;
    tern_rx(d->stack[side], d->scene.side[side].now, &rx, 1);
    if (unreadable(rx.cause) || (rx.verdict == TERN_UNCLAIMED && !d->scene.side[side].actor.removed))
        duo_blame(d, FAULT_MALFORMED);
    return (enum tern_cause)rx.cause;
}

static bool deliver(struct duo *d, uint32_t i)
{
    struct flying f = d->scene.flying[i];
    struct side *to = &d->scene.side[f.to];
    bool syn = (f.flags & (SYN | ACK)) == SYN;
    duo_land(d, i);
    if (syn)
        syn_travels(d);
    /* a SYN that finds nobody is refused, and the caller hears of it */
    d->scene.rude |= syn && to->n_rec == 0 && to->state != TERN_LISTEN;
    enum tern_cause refused = arrive(d, f.to, f.bytes, f.len);
    /* who overtakes: a RST before what it speaks of is ignored, and not repeated */
    d->scene.broken |= flying_matters(&f) && refused != TERN_CAUSE_NONE;
    if (refused == TERN_C_SYN_SENT_NO_SYN && d->scene.overtaken < 2)
        d->scene.overtaken++;
    duo_settle(d, f.to);
    return true;
}

/* A RST, or the only message that brings a cookie back, is not repeated. */
static bool lose(struct duo *d, uint32_t i)
{
    struct scene *c = &d->scene;
    c->left.losses--;
    c->broken |= flying_matters(&c->flying[i]) || d->setting->flags & SET_COOKIES;
    duo_land(d, i);
    return true;
}

static bool duplicate(struct duo *d, uint32_t i)
{
    struct scene *c = &d->scene;
    if (c->n_flying == FLYING_MOST)
        return false;
    c->left.dups--;
    c->flying[c->n_flying++] = c->flying[i];
    return true;
}

static bool cut(struct duo *d)
{
    struct scene *c = &d->scene;
    c->left.cuts--;
    c->cut = c->broken = c->rude = true;
    c->n_flying = 0;
    return true;
}

/* A router cannot pass the segment on: ICMP port unreachable (RFC 792) to its sender, with its first
 * bytes. */
static bool refuse(struct duo *d, uint32_t i)
{
    uint8_t icmp[ICMP_BYTES] = {0x45};
    const struct flying *f = &d->scene.flying[i];
    int sender = !f->to;
    put16(icmp + 2, ICMP_BYTES);
    icmp[8] = 64;
    icmp[9] = 1;
    memcpy(icmp + 12, (uint8_t[]){192, 0, 2, 254}, 4);
    memcpy(icmp + 16, d->at[sender].ip.b + 12, 4);
    put16(icmp + 10, checksum_of(icmp, 20));
    icmp[20] = 3;
    icmp[21] = 3;
    memcpy(icmp + 28, f->bytes, 28);
    put16(icmp + 22, checksum_of(icmp + 20, ICMP_BYTES - 20));
    d->scene.left.refusals--;
    d->scene.broken |= flying_matters(f);
    d->scene.rude = true;
    duo_land(d, i);
    arrive(d, sender, icmp, ICMP_BYTES);
    duo_settle(d, sender);
    return true;
}

/* --- moves -------------------------------------------------------------------------------------- */

static bool early(struct duo *d, int side)
{
    struct scene *c = &d->scene;
    uint64_t before = c->side[side].now;
    c->left.early--;
    bool seen = pass(d, side, side);
    if (c->side[side].now - before > MSL_US) /* the other side stood still so long that nothing is sure */
        c->broken = c->rude = true;
    return seen;
}

/* All that is due on the way happens in its order; the wait ends when something is sent, for nothing takes
 * time while segments are under way. */
static bool wait_on(struct duo *d)
{
    d->scene.left.waits--;
    for (uint64_t left = WAIT_US; left > 0 && d->scene.n_flying == 0;) {
        uint64_t us = left;
        for (int side = 0; side < SIDES; side++)
            us = until_next(d, side) < us ? until_next(d, side) : us;
        us = us > 0 ? us : MS;
        for (int side = 0; side < SIDES; side++)
            go_on(d, side, us);
        left -= us < left ? us : left;
    }
    return true;
}

static bool call(struct duo *d, uint32_t arg)
{
    int side = (int)(arg >> 4);
    d->dirty[side] = true;
    if (!call_make(d, side, (enum call_kind)(arg & 15)))
        return false;
    duo_settle(d, side);
    return true;
}

bool move_make(struct duo *d, uint16_t move)
{
    uint32_t arg = move_arg(move);
    d->scene.fault = FAULT_NONE;
    switch (move_kind(move)) {
    case MOVE_DELIVER: return deliver(d, arg);
    case MOVE_CALL: return call(d, arg);
    case MOVE_TIME: return pass(d, A, B);
    case MOVE_LOSE: return lose(d, arg);
    case MOVE_DUPLICATE: return duplicate(d, arg);
    case MOVE_EARLY: return early(d, (int)arg);
    case MOVE_CUT: return cut(d);
    case MOVE_REFUSE: return refuse(d, arg);
    case MOVE_WAIT: return wait_on(d);
    case MOVE_PROBE: return probe_make(d, arg);
    case MOVE_KINDS: break;
    }
    return false;
}

/* Which of the segments under way stand for all that are the same to their receiver: the first of each. */
static uint32_t different(const struct duo *d)
{
    const struct scene *c = &d->scene;
    uint64_t sums[FLYING_MOST][2];
    uint32_t set = 0;
    for (uint32_t i = 0; i < c->n_flying; i++) {
        bool same = false;
        flying_sum(d, &c->flying[i], sums[i]);
        for (uint32_t k = 0; k < i; k++)
            same |= sums[k][0] == sums[i][0] && sums[k][1] == sums[i][1];
        set |= same ? 0 : 1u << i;
    }
    return set;
}

static int list_network(const struct duo *d, uint16_t *out)
{
    const struct scene *c = &d->scene;
    uint32_t set = different(d);
    int n = 0;
    for (uint32_t i = 0; i < c->n_flying; i++) {
        if (!(set >> i & 1))
            continue;
        out[n++] = MOVE(MOVE_DELIVER, i);
        if (c->left.losses > 0)
            out[n++] = MOVE(MOVE_LOSE, i);
        if (c->left.dups > 0 && c->n_flying < FLYING_MOST)
            out[n++] = MOVE(MOVE_DUPLICATE, i);
        if (c->left.refusals > 0)
            out[n++] = MOVE(MOVE_REFUSE, i);
    }
    return n;
}

int moves_list(struct duo *d, uint16_t out[MOVES_MOST])
{
    const struct scene *c = &d->scene;
    int n = list_network(d, out);
    for (uint32_t side = 0; side < SIDES; side++)
        for (uint32_t k = 0; k < CALLS; k++)
            if (call_possible(d, (int)side, (enum call_kind)k))
                out[n++] = MOVE(MOVE_CALL, side << 4 | k);
    if (c->n_flying == 0)
        out[n++] = MOVE(MOVE_TIME, 0);
    if (c->n_flying == 0 && c->left.waits > 0)
        out[n++] = MOVE(MOVE_WAIT, 0);
    for (uint32_t side = 0; side < SIDES && c->left.early > 0; side++)
        out[n++] = MOVE(MOVE_EARLY, side);
    if (c->left.cuts > 0 && !c->cut)
        out[n++] = MOVE(MOVE_CUT, 0);
    return n;
}

/* --- manners ------------------------------------------------------------------------------------ */

enum {
    SOON_DELIVER,
    SOON_READ,
    SOON_ACCEPT,
    SOON_SHUT,
    SOON_CLOSE,
    SOON_UNLISTEN,
    SOON_TIME,
    SOON_GIVE_UP, /* when nothing else will ever happen */
    SOON_GIVE_UP_LISTENING,
};

static uint8_t manners_of_call(const struct side *s, enum call_kind call)
{
    const struct actor *a = &s->actor;
    bool over = a->eof || a->error != 0 || a->ended;
    switch (call) {
    case DO_RECV: return SOON_READ;
    case DO_ACCEPT:
    case DO_NEXT_SYN:
    case DO_SYN_ACCEPT: return SOON_ACCEPT;
    case DO_SHUTDOWN: return s->state >= TERN_ESTABLISHED ? SOON_SHUT : MANNERS_NEVER;
    case DO_CLOSE: return over && !a->readable ? SOON_CLOSE : SOON_GIVE_UP;
    case DO_SYN_REJECT: return SOON_GIVE_UP;
    case DO_UNLISTEN: return s->n_rec == 0 && a->conn.v == 0 ? SOON_UNLISTEN : SOON_GIVE_UP_LISTENING;
    default: return MANNERS_NEVER;
    }
}

uint8_t move_manners(const struct duo *d, uint16_t move)
{
    uint32_t arg = move_arg(move);
    switch (move_kind(move)) {
    case MOVE_DELIVER: return SOON_DELIVER;
    case MOVE_CALL: return manners_of_call(&d->scene.side[arg >> 4], (enum call_kind)(arg & 15));
    case MOVE_TIME: return SOON_TIME;
    default: return MANNERS_NEVER;
    }
}

/* --- words -------------------------------------------------------------------------------------- */

static void flying_words(const struct duo *d, uint32_t i, char *buf, uint32_t len)
{
    const struct flying *f = &d->scene.flying[i];
    char flags[40];
    snprintf(buf, len, "%s from %s", story_flags(f->flags, flags), f->to == A ? "B" : "A");
}

void move_text(const struct duo *d, uint16_t move, char *buf, uint32_t len)
{
    uint32_t arg = move_arg(move);
    char what[80] = "";
    const char *side = (move_kind(move) == MOVE_CALL ? arg >> 4 : arg) == A ? "A" : "B";
    if (move_kind(move) != MOVE_CALL && move_kind(move) != MOVE_PROBE && arg < d->scene.n_flying)
        flying_words(d, arg, what, sizeof what);
    switch (move_kind(move)) {
    case MOVE_DELIVER: snprintf(buf, len, "%s arrives", what); break;
    case MOVE_CALL: snprintf(buf, len, "%s %s", side, call_text((enum call_kind)(arg & 15))); break;
    case MOVE_TIME: snprintf(buf, len, "time passes: the next timer fires"); break;
    case MOVE_LOSE: snprintf(buf, len, "%s is lost", what); break;
    case MOVE_DUPLICATE: snprintf(buf, len, "%s is doubled", what); break;
    case MOVE_EARLY: snprintf(buf, len, "%s's next timer fires early", side); break;
    case MOVE_CUT: snprintf(buf, len, "the wire is cut"); break;
    case MOVE_REFUSE: snprintf(buf, len, "a router refuses %s", what); break;
    case MOVE_WAIT: snprintf(buf, len, "a second and a half pass"); break;
    case MOVE_PROBE: probe_text(arg, buf, len); break;
    case MOVE_KINDS: buf[0] = 0; break;
    }
}
