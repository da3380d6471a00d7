/* sum.c - one value for all that decides what a world will do (duo.h).
 *
 * tern_digest says it of each stack, free of where numbers and clocks began. What lies between the stacks is
 * said here in the same way, and what ties them together:
 *
 *   segments under way   as a set; their sequence numbers count from a reference of each side's numbers
 *   references           where a side's numbers are counted from: the ISS that its record knows, or else the
 *                        IRS that the peer's record knows, or else the lowest number under way
 *   ties                 how each record's numbers, and the next ISS where one may come, lie to these: so two
 *                        worlds that count the same from different beginnings have the same sum, and two
 *                        whose segments fit into the records differently have not
 *   programs             what they have done, heard, and may do
 *
 * In a set the order does not count; everywhere else it does.
 */
#include "duo.h"

#include "sim/packet.h"

#include <string.h>

/* --- two chains of multiplications, each a bijection for every word ---------------------------------- */

struct sum {
    uint64_t a, b;
};

static inline uint64_t rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

static inline uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline void word(struct sum *s, uint64_t w)
{
    s->a = (rotl(s->a, 25) ^ w) * 0x9e3779b97f4a7c15u;
    s->a ^= s->a >> 29;
    s->b = (rotl(s->b, 41) + w) * 0xd6e8feb86659fd93u;
    s->b ^= s->b >> 32;
}

static inline struct sum sum_of(uint64_t purpose)
{
    return (struct sum){finish(purpose + 1), finish(~purpose)};
}

/* One more of a set. */
static void join(struct sum *set, const struct sum *s)
{
    set->a += finish(s->a ^ rotl(s->b, 17));
    set->b += finish(s->b + rotl(s->a, 31));
}

enum { FIXED, SEGMENT, RECORD, FREE, WORLD };

/* --- references --------------------------------------------------------------------------------- */

/* The ISS that the clock of RFC 9293 3.4.1 gives now. */
static uint32_t next_iss(const struct side *s) { return s->isn_base + (uint32_t)(s->now / 4); }

/* A number that one of the records knows as the first of its own or the peer's. */
static bool first_known(const struct side *s, bool peers, bool waiting, uint32_t *out)
{
    for (uint32_t i = 0; i < s->n_rec; i++) {
        const struct record *r = &s->rec[i];
        *out = peers ? r->irs : r->iss;
        if (*out != 0 && (r->state == TERN_TIME_WAIT) == waiting)
            return true;
    }
    return false;
}

/* RFC 9293 3.10.7.1: a RST that answers a segment without ACK has the number 0, which is nobody's. */
static bool has_number(const struct flying *f)
{
    return (f->flags & (RST | ACK)) != (RST | ACK) || f->seq != 0;
}

/* The lowest of a side's numbers in what is under way. */
static bool lowest_flying(const struct duo *d, int side, uint32_t *out)
{
    bool any = false;
    for (uint32_t i = 0; i < d->scene.n_flying; i++) {
        const struct flying *f = &d->scene.flying[i];
        bool own = f->to != side;
        uint32_t n = own ? f->seq : f->ack;
        if (own ? !has_number(f) : !(f->flags & ACK))
            continue;
        if (!any || (int32_t)(n - *out) < 0)
            *out = n;
        any = true;
    }
    return any;
}

/* Where the numbers of a side are counted from. */
static uint32_t reference(const struct duo *d, int side)
{
    const struct side *own = &d->scene.side[side], *peer = &d->scene.side[!side];
    uint32_t ref = 0;
    if (first_known(own, false, false, &ref) || first_known(peer, true, false, &ref) ||
        first_known(own, false, true, &ref) || first_known(peer, true, true, &ref) ||
        lowest_flying(d, side, &ref))
        return ref;
    return next_iss(own);
}

/* --- segments ----------------------------------------------------------------------------------- */

void flying_fix(struct flying *f, const uint8_t *payload, uint32_t len, uint64_t window_and_options)
{
    struct sum s = sum_of(FIXED);
    word(&s, window_and_options);
    word(&s, (uint64_t)f->flags << 16 | (uint64_t)f->n_sack << 8 | len);
    for (uint32_t i = 0; i < len; i++)
        word(&s, payload[i]);
    f->rest[0] = s.a;
    f->rest[1] = s.b;
}

/* A timestamp by the receiver's clock; 0 says nothing (RFC 7323 3.2, 5.2). */
static uint64_t stamp(uint32_t value, uint32_t clock)
{
    return value != 0 ? (uint64_t)1 << 32 | (uint32_t)(value - clock) : 0;
}

static struct sum segment_sum(const struct duo *d, const struct flying *f, const uint32_t ref[SIDES])
{
    struct sum s = sum_of(SEGMENT);
    uint32_t own = ref[!f->to], peer = ref[f->to];
    word(&s, f->rest[0]);
    word(&s, f->rest[1]);
    bool number = has_number(f);
    word(&s, (uint64_t)number << 40 | (uint64_t)f->to << 32 | (number ? f->seq - own : 0));
    word(&s, f->flags & ACK ? (uint64_t)1 << 32 | (f->ack - peer) : 0);
    word(&s, f->age_us);
    if (f->ts) {
        uint32_t clock = (uint32_t)(d->scene.side[f->to].now / 1000);
        word(&s, stamp(f->ts_val, clock));
        word(&s, stamp(f->ts_ecr, clock));
    }
    for (uint32_t i = 0; i < f->n_sack; i++)
        word(&s, (uint64_t)(f->sack[2 * i] - peer) << 32 | (f->sack[2 * i + 1] - peer));
    return s;
}

void flying_sum(const struct duo *d, const struct flying *f, uint64_t out[2])
{
    struct sum s = segment_sum(d, f, (const uint32_t[SIDES]){reference(d, A), reference(d, B)});
    out[0] = s.a;
    out[1] = s.b;
}

/* --- ties --------------------------------------------------------------------------------------- */

/* Whether an ISS may yet be drawn from the clock. */
static bool may_open(const struct actor *a)
{
    return a->connects > 0 || a->listens > 0 || a->listener.v != 0;
}

static void put_record(struct sum *set, const struct duo *d, int side, const struct record *r,
                       const uint32_t ref[SIDES])
{
    struct sum s = sum_of(RECORD);
    const struct side *own = &d->scene.side[side];
    word(&s, (uint64_t)side << 8 | r->state);
    if (r->iss != 0) {
        word(&s, (uint64_t)(r->iss - ref[side]) << 32 | (r->irs != 0 ? r->irs - ref[!side] : 0));
    } else { /* the small record of TIME_WAIT: its numbers count by the clock */
        word(&s, next_iss(own) - ref[side]);
        word(&s, (uint32_t)(own->now / 4) - ref[!side]);
    }
    join(set, &s);
}

static void put_ties(struct sum *s, const struct duo *d, const uint32_t ref[SIDES])
{
    const struct scene *c = &d->scene;
    struct sum set = sum_of(RECORD);
    bool any = c->n_flying > 0;
    for (int side = 0; side < SIDES; side++) {
        any |= c->side[side].n_rec > 0;
        for (uint32_t i = 0; i < c->side[side].n_rec; i++)
            put_record(&set, d, side, &c->side[side].rec[i], ref);
    }
    join(s, &set);
    for (int side = 0; side < SIDES && any; side++)
        if (may_open(&c->side[side].actor))
            word(s, next_iss(&c->side[side]) - ref[side]);
    if (!d->setting->config.no_timestamps) { /* stamps tick by both clocks */
        word(s, c->side[A].now - c->side[B].now);
        word(s, c->side[A].now % 1000000);
    }
    if (d->setting->flags & SET_COOKIES) /* which are good for a time by the clock */
        word(s, c->side[B].now);
}

/* --- programs ----------------------------------------------------------------------------------- */

static uint64_t pack(const bool *flags, uint32_t n)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < n; i++)
        bits |= (uint64_t)flags[i] << i;
    return bits;
}

static void put_actor(struct sum *s, const struct actor *a)
{
    const bool flags[] = {a->conn.v != 0, a->listener.v != 0, a->syn.v != 0, a->shut,    a->eof,
                          a->readable,    a->ended,           a->acceptable, a->syn_waits, a->removed};
    word(s, pack(flags, sizeof flags));
    word(s, (uint64_t)(uint16_t)a->error << 32 | (uint64_t)a->connects << 24 | (uint64_t)a->listens << 16 |
                (uint64_t)a->received << 8 | a->n_streams);
    for (uint32_t i = 0; i < a->n_streams; i++)
        word(s, (uint64_t)a->stream[i].sent << 8 | a->stream[i].finished);
}

static void put_bounds(struct sum *s, const struct scene *c)
{
    const struct bounds *b = &c->left;
    word(s, (uint64_t)b->losses | (uint64_t)b->dups << 8 | (uint64_t)b->bytes << 16 |
                (uint64_t)b->aborts << 24 | (uint64_t)b->early << 32 | (uint64_t)b->cuts << 40 |
                (uint64_t)b->refusals << 48 | (uint64_t)b->waits << 56);
    word(s, (uint64_t)c->cut | (uint64_t)c->broken << 1 | (uint64_t)c->rude << 2 | (uint64_t)c->cookie << 3 |
                (uint64_t)c->overtaken << 4);
}

void duo_sum(struct duo *d, uint64_t out[2])
{
    const struct scene *c = &d->scene;
    const uint32_t ref[SIDES] = {reference(d, A), reference(d, B)};
    struct sum s = sum_of(WORLD), set = sum_of(FREE);
    put_bounds(&s, c);
    for (int side = 0; side < SIDES; side++) {
        word(&s, c->side[side].digest[0]);
        word(&s, c->side[side].digest[1]);
        put_actor(&s, &c->side[side].actor);
    }
    put_ties(&s, d, ref);
    for (uint32_t i = 0; i < c->n_flying; i++) {
        struct sum one = segment_sum(d, &c->flying[i], ref);
        join(&set, &one);
    }
    join(&s, &set);
    out[0] = s.a;
    out[1] = s.b;
}
