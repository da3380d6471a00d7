/* The worlds of `tern sim`: the judge notices what is wrong, the shrinker finds what matters, the same seed
 * is the same world, and a default run leaves nothing out that can happen. TERN_SIM_WORLDS=n looks at no more
 * than n worlds, for builds that are slow and ask something else (coverage): then it is only asked whether
 * something is wrong in them. TERN_CHECK_EACH as in lab.h.
 *
 * timeout: 240 */
#include "sim/net/cover.h"
#include "sim/net/judge.h"
#include "sim/net/shrink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORLDS = 1000 }; /* of a default run */

/* --- the judge, with histories that never happened ------------------------------------------- */

struct history {
    struct judge_end end[3]; /* named 1, 2, 3 */
    uint8_t *bytes;
    struct complaint c;
};

static struct judge_end *find(void *ctx, uint32_t name)
{
    struct history *h = ctx;
    return name >= 1 && name <= 3 ? &h->end[name - 1] : NULL;
}

/* Ends 1 and 2 of one connection; 1 has sent `sent` bytes. */
static struct history *begin(uint64_t sent)
{
    struct history *h = calloc(1, sizeof *h);
    h->bytes = malloc(STREAM_ROOM);
    judge_fill(h->bytes, STREAM_ROOM);
    for (uint32_t i = 0; i < 3; i++)
        h->end[i].name = i + 1;
    h->end[0].sent = sent;
    return h;
}

static void end(struct history *h)
{
    free(h->bytes);
    free(h);
}

/* The first `n` bytes of the stream of end `name`. */
static uint8_t *stream(const struct history *h, uint32_t name, uint32_t n)
{
    uint8_t *out = malloc(n + 8);
    uint32_t row;
    judge_head(name, out);
    for (uint32_t i = 8; i < n; i++)
        out[i] = *judge_stream(h->bytes, name, i, &row);
    return out;
}

static bool give(struct history *h, uint32_t to, const uint8_t *p, uint64_t n)
{
    return judge_got(&h->end[to - 1], h->bytes, p, n, find, h, &h->c);
}

static void right_bytes(void **state)
{
    (void)state;
    struct history *h = begin(100000);
    uint8_t *p = stream(h, 1, 100000);
    assert_true(give(h, 2, p, 3)); /* the name in pieces */
    assert_true(give(h, 2, p + 3, 4));
    assert_true(give(h, 2, p + 7, 90000));
    assert_true(give(h, 2, p + 90007, 9993));
    h->end[0].closed = true;
    assert_true(judge_eof(&h->end[1], &h->end[0], &h->c));
    assert_int_equal(h->c.kind, COMPLAINT_NONE);
    assert_int_equal(h->end[1].hears, 1);
    assert_int_equal(h->end[0].heard_by, 2);
    free(p);
    end(h);
}

static void wrong_bytes(void **state)
{
    (void)state;
    static const uint32_t shifts[] = {1, 1460, 65535, 65536, 4096};
    for (uint32_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++) {
        struct history *h = begin(300000);
        uint8_t *p = stream(h, 1, 200000);
        assert_true(give(h, 2, p, 1000));
        assert_false(give(h, 2, p + 1000 + shifts[i], 500)); /* something is missing */
        assert_int_equal(h->c.kind, WRONG_BYTES);
        free(p);
        end(h);
    }
    struct history *h = begin(5000);
    uint8_t *p = stream(h, 1, 5000);
    p[4321] ^= 0x20;
    assert_false(give(h, 2, p, 5000));
    assert_int_equal(h->c.kind, WRONG_BYTES);
    free(p);
    end(h);
}

static void more_than_was_sent(void **state)
{
    (void)state;
    struct history *h = begin(100);
    uint8_t *p = stream(h, 1, 101);
    assert_false(give(h, 2, p, 101));
    assert_int_equal(h->c.kind, WRONG_BYTES);
    free(p);
    end(h);
}

static void twice_the_same(void **state)
{
    (void)state;
    struct history *h = begin(1000);
    uint8_t *p = stream(h, 1, 1000);
    assert_true(give(h, 2, p, 1000));
    assert_false(give(h, 2, p + 500, 500));
    free(p);
    end(h);
}

/* Two ends that hear one; and one that hears another than it is heard by. */
static void mixed_up(void **state)
{
    (void)state;
    struct history *h = begin(1000);
    uint8_t *p = stream(h, 1, 1000);
    assert_true(give(h, 2, p, 1000));
    assert_false(give(h, 3, p, 1000));
    assert_int_equal(h->c.kind, WRONG_BYTES);
    memset(&h->c, 0, sizeof h->c);
    h->end[2].sent = 1000;
    uint8_t *q = stream(h, 3, 1000);
    assert_false(give(h, 1, q, 1000)); /* 1 is heard by 2 */
    assert_int_equal(h->c.kind, WRONG_BYTES);
    free(p);
    free(q);
    end(h);
}

/* A cookie opens a second end when the first is gone, and only then. */
static void cookie_again(void **state)
{
    (void)state;
    struct history *h = begin(1000);
    uint8_t *p = stream(h, 1, 1000);
    h->end[1].by_cookie = h->end[2].by_cookie = true;
    assert_true(give(h, 2, p, 1000));
    h->end[1].released = true;
    assert_true(give(h, 3, p, 1000));
    free(p);
    end(h);
}

static void garbage(void **state)
{
    (void)state;
    struct history *h = begin(1000);
    assert_false(give(h, 2, (const uint8_t *)"GET / HTTP/1.0", 14));
    assert_int_equal(h->c.kind, WRONG_BYTES);
    end(h);
}

static void lost_end(void **state)
{
    (void)state;
    struct history *h = begin(1000);
    uint8_t *p = stream(h, 1, 1000);
    assert_true(give(h, 2, p, 999));
    h->end[0].closed = true;
    assert_false(judge_eof(&h->end[1], &h->end[0], &h->c)); /* one byte is missing */
    assert_int_equal(h->c.kind, WRONG_END);
    memset(&h->c, 0, sizeof h->c);
    assert_false(give(h, 2, p + 999, 1)); /* and comes behind the end */
    assert_int_equal(h->c.kind, WRONG_END);
    free(p);
    end(h);
}

static void end_of_one_that_has_not_closed(void **state)
{
    (void)state;
    struct history *h = begin(8);
    uint8_t *p = stream(h, 1, 8);
    assert_true(give(h, 2, p, 8));
    assert_false(judge_eof(&h->end[1], &h->end[0], &h->c));
    assert_int_equal(h->c.kind, WRONG_END);
    free(p);
    end(h);
}

static bool error(struct history *h, int error, uint16_t reason, uint64_t now_us, unsigned excuses,
                  bool peer_there)
{
    static const struct judge_limits limits = {.retries_us = 100000000, .syn_retries_us = 10000000};
    memset(&h->c, 0, sizeof h->c);
    h->end[1].error = 0;
    return judge_error(&h->end[1], error, reason, now_us, &limits, excuses, peer_there, &h->c);
}

static void reasons(void **state)
{
    (void)state;
    struct history *h = begin(8);
    assert_false(error(h, -TERN_ECONNRESET, TERN_C_RESET, 1, EXCUSE_FAULTS, true));
    assert_true(error(h, -TERN_ECONNRESET, TERN_C_RESET, 1, EXCUSE_FAULTS, false));
    assert_true(error(h, -TERN_ECONNRESET, TERN_C_RESET, 1, EXCUSE_CRASH, true));
    assert_true(error(h, -TERN_ECONNRESET, TERN_C_RESET, 1, EXCUSE_PROGRAM, true));
    /* the error is another's */
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_RESET, 1, EXCUSE_PROGRAM, true));
    /* too soon */
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_RETRIES_USED_UP, 50000000, EXCUSE_FAULTS, true));
    assert_true(error(h, -TERN_ETIMEDOUT, TERN_C_RETRIES_USED_UP, 100000001, EXCUSE_FAULTS, true));
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_RETRIES_USED_UP, 100000001, 0, true)); /* a good network */
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_SYN_RETRIES_USED_UP, 5000000, EXCUSE_FAULTS, true));
    /* not asked for */
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_USER_TIMEOUT, 1000000000, EXCUSE_FAULTS, true));
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_KEEPALIVE_FAILED, 1000000000, EXCUSE_FAULTS, true));
    assert_false(error(h, -TERN_EHOSTUNREACH, TERN_C_ICMP_HARD, 1, EXCUSE_PROGRAM, true));
    assert_true(error(h, -TERN_EHOSTUNREACH, TERN_C_ICMP_HARD, 1, EXCUSE_ICMP, true));
    assert_false(error(h, -TERN_EADDRNOTAVAIL, TERN_C_ADDR_REMOVED, 1, EXCUSE_FAULTS, true));
    assert_true(error(h, -TERN_EADDRNOTAVAIL, TERN_C_ADDR_REMOVED, 1, EXCUSE_NET, true));
    assert_false(error(h, -TERN_ETIMEDOUT, TERN_C_FIN_ACKED, 1, ~0u, false)); /* no reason to end */
    end(h);
}

static void one_error_only(void **state)
{
    (void)state;
    struct history *h = begin(8);
    struct judge_limits limits = {0};
    assert_true(error(h, -TERN_ECONNRESET, TERN_C_RESET, 1, EXCUSE_CRASH, true));
    assert_true(
        judge_error(&h->end[1], -TERN_ECONNRESET, TERN_C_RESET, 2, &limits, EXCUSE_CRASH, true, &h->c));
    assert_false(judge_error(&h->end[1], -TERN_ETIMEDOUT, TERN_C_USER_TIMEOUT, 2, &limits, ~0u, true, &h->c));
    end(h);
}

static void told_twice(void **state)
{
    (void)state;
    static const uint32_t bits[] = {TERN_CONNECTED, TERN_PEER_CLOSED, TERN_ENDED};
    for (int i = 0; i < 3; i++) {
        struct history *h = begin(8);
        assert_true(judge_told(&h->end[1], bits[i] | TERN_READABLE, &h->c));
        assert_true(judge_told(&h->end[1], TERN_READABLE | TERN_WRITABLE, &h->c));
        assert_false(judge_told(&h->end[1], bits[i], &h->c));
        assert_int_equal(h->c.kind, WRONG_REASON);
        end(h);
    }
}

/* --- worlds ---------------------------------------------------------------------------------- */

struct runs {
    struct net *net;
    struct plan *plan;
    struct net_counts *counts;
};

static struct runs runs_new(void)
{
    struct runs r = {.net = net_new(), .plan = malloc(sizeof *r.plan), .counts = calloc(1, sizeof *r.counts)};
    r.counts->per_conn = calloc(PER_CONN_MOST, sizeof *r.counts->per_conn);
    return r;
}

static void runs_end(struct runs *r)
{
    net_free(r->net);
    free(r->plan);
    free(r->counts->per_conn);
    free(r->counts);
}

/* What the environment asks for instead of `usual`. */
static uint32_t asked_for(const char *name, uint32_t usual)
{
    const char *said = getenv(name);
    return said != NULL && atoi(said) > 0 ? (uint32_t)atoi(said) : usual;
}

static void same_seed_same_world(void **state)
{
    (void)state;
    struct runs a = runs_new(), b = runs_new();
    for (uint64_t seed = 1; seed <= 12; seed++) {
        plan_draw(a.plan, seed);
        net_play(a.net, a.plan, a.counts, 0, NULL);
    }
    for (uint64_t seed = 12; seed >= 1; seed--) { /* in another order, and checked */
        plan_draw(b.plan, seed);
        net_play(b.net, b.plan, b.counts, 7, NULL);
    }
    assert_int_equal(a.counts->segments, b.counts->segments);
    assert_int_equal(a.counts->bytes, b.counts->bytes);
    assert_int_equal(a.counts->virtual_us, b.counts->virtual_us);
    assert_memory_equal(a.counts->edges, b.counts->edges, sizeof a.counts->edges);
    assert_memory_equal(a.counts->drops, b.counts->drops, sizeof a.counts->drops);
    runs_end(&a);
    runs_end(&b);
}

/* Segments that come in a batch and say nothing but the next bytes take a short way through the stack, or all
 * go through the ordered list: nobody in the world can tell. */
static void short_way_or_not(void **state)
{
    (void)state;
    struct runs a = runs_new(), b = runs_new();
    b.net->by_steps = true;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        plan_draw(a.plan, seed);
        net_play(a.net, a.plan, a.counts, 0, NULL);
        net_play(b.net, a.plan, b.counts, 0, NULL);
        assert_int_equal(a.counts->segments, b.counts->segments);
        assert_int_equal(a.counts->bytes, b.counts->bytes);
        assert_int_equal(a.counts->virtual_us, b.counts->virtual_us);
    }
    assert_memory_equal(a.counts->edges, b.counts->edges, sizeof a.counts->edges);
    assert_memory_equal(a.counts->drops, b.counts->drops, sizeof a.counts->drops);
    runs_end(&a);
    runs_end(&b);
}

static void plan_as_text(void **state)
{
    (void)state;
    struct plan *p = malloc(sizeof *p), *q = malloc(sizeof *q);
    char text[2000];
    const char *wrong;
    plan_draw(p, 5);
    assert_false(plan_only(p, "h1,h2!,f99999", &wrong));
    plan_draw(p, 5);
    assert_true(plan_only(p, "h1,h2!,h3.mtu=1400.gso=7", &wrong));
    assert_int_equal(plan_count(p, ITEM_HOST), 3);
    assert_int_equal(p->item[2].f[H_MTU], item_field_least(ITEM_HOST, H_MTU));
    assert_int_equal(p->item[3].f[H_MTU], 1400);
    assert_true(plan_text(p, text, sizeof text) < sizeof text);
    plan_draw(q, 5);
    assert_true(plan_only(q, text, &wrong));
    for (uint32_t i = 0; i < p->n; i++) {
        assert_int_equal(p->item[i].out, q->item[i].out);
        assert_true(p->item[i].out || memcmp(p->item[i].f, q->item[i].f, sizeof p->item[i].f) == 0);
    }
    assert_false(plan_only(q, "h1.nonsense=3", &wrong));
    assert_false(plan_only(q, "h1.mtu=", &wrong));
    assert_false(plan_only(q, "c1", &wrong)); /* item 1 is a host */
    free(p);
    free(q);
}

/* A wire that changes bytes behind TCP's back: found, and shrunk to one connection over this one wire. */
static void lying_wire(void **state)
{
    (void)state;
    struct runs r = runs_new();
    uint32_t found = 0;
    for (uint64_t seed = 30; seed < 36; seed++) {
        plan_draw(r.plan, seed);
        uint32_t fault = 0;
        for (uint32_t i = 0; i < r.plan->n; i++)
            if (r.plan->item[i].kind == ITEM_FAULT)
                fault = i;
        if (fault == 0)
            continue;
        r.plan->item[fault].f[F_WHAT] = FAULT_LIE;
        r.plan->item[fault].f[F_PLACE] = 0; /* what host 1 sends */
        r.plan->item[fault].f[F_FROM_MS] = 0;
        r.plan->item[fault].f[F_FOR_MS] = 1000000;
        r.plan->item[fault].f[F_PPM] = 1000000;
        net_play(r.net, r.plan, r.counts, 1, NULL);
        struct complaint c = r.net->complaint;
        if (c.kind == COMPLAINT_NONE)
            continue; /* nothing that host 1 sent has arrived */
        found++;
        assert_int_equal(c.kind, WRONG_BYTES);
        struct shrinker s = {.net = r.net, .scratch = r.counts, .most = 3000};
        s.check_every = asked_for("TERN_CHECK_EACH", 1);
        shrink(&s, r.plan, &c);
        assert_int_equal(c.kind, WRONG_BYTES);
        assert_int_equal(plan_count(r.plan, ITEM_HOST), 2);
        assert_int_equal(plan_count(r.plan, ITEM_CONN), 1);
        assert_int_equal(plan_count(r.plan, ITEM_FAULT), 1);
        assert_int_equal(plan_count(r.plan, ITEM_ATTACK), 0);
    }
    assert_true(found >= 2);
    runs_end(&r);
}

static bool no_more_time(void *asked) { return ++*(int *)asked >= 30; }

/* A shrinker without time stops, says so, and leaves a world that fails. */
static void shrinking_is_bounded(void **state)
{
    (void)state;
    struct runs r = runs_new();
    uint64_t seed = 0;
    r.net->calm_limit_us = 1; /* so that nearly each world fails */
    do {
        plan_draw(r.plan, ++seed);
        net_play(r.net, r.plan, r.counts, 0, NULL);
    } while (r.net->complaint.kind != STUCK);
    struct complaint c = r.net->complaint;
    int asked = 0;
    struct shrinker s = {
        .net = r.net, .scratch = r.counts, .most = 3000, .over = no_more_time, .with = &asked};
    shrink(&s, r.plan, &c);
    assert_true(s.unfinished);
    assert_in_range(s.tries, 1, 30);
    net_play(r.net, r.plan, r.counts, 0, NULL);
    assert_int_equal(r.net->complaint.kind, STUCK);
    s = (struct shrinker){.net = r.net, .scratch = r.counts, .most = 3000};
    shrink(&s, r.plan, &c);
    assert_false(s.unfinished);
    assert_int_equal(c.kind, STUCK);
    runs_end(&r);
}

/* No time at all for the connections to end. */
static void stuck(void **state)
{
    (void)state;
    struct runs r = runs_new();
    uint32_t found = 0;
    r.net->calm_limit_us = 1;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        plan_draw(r.plan, seed);
        net_play(r.net, r.plan, r.counts, 0, NULL);
        found += r.net->complaint.kind == STUCK;
    }
    assert_true(found > 10);
    runs_end(&r);
}

/* Each kind of fault, attack and snare was there. */
static void nothing_left_out(const struct net_counts *c)
{
    assert_true(cover_median(c) >= 50);
    for (uint32_t i = 0; i < FAULTS_DRAWN; i++)
        assert_true(c->faults[i] > 0);
    for (uint32_t i = 0; i < ATTACKS; i++)
        assert_true(c->attacks[i] > 0);
    for (uint32_t i = SNARE_CLOSE; i < SNARES; i++)
        assert_true(c->snares[i] > 0);
}

/* What a user gets by default: nothing is wrong, and nothing that can happen is left out. */
static void default_run(void **state)
{
    (void)state;
    struct runs r = runs_new();
    static struct cover list[COVER_MOST];
    uint32_t worlds = asked_for("TERN_SIM_WORLDS", WORLDS);
    for (uint64_t seed = 1; seed <= worlds; seed++) {
        plan_draw(r.plan, seed);
        net_play(r.net, r.plan, r.counts, 256, NULL);
        if (r.net->complaint.kind != COMPLAINT_NONE)
            fail_msg("tern sim --seed %llu --runs 1: %s", (unsigned long long)seed, r.net->complaint.text);
    }
    uint32_t n = worlds < WORLDS ? 0 : cover_list(r.counts, list);
    for (uint32_t i = 0; i < n; i++)
        if ((list[i].n == 0) != (list[i].why_not != NULL))
            fail_msg("%s %s → %s (%s): %llu times, %s", tern_cause_name(list[i].cause),
                     tern_state_name(list[i].from), tern_state_name(list[i].to),
                     list[i].kind == COVER_DROP ? "drop" : "edge or state", (unsigned long long)list[i].n,
                     list[i].why_not ? list[i].why_not : "though it can happen");
    if (worlds >= WORLDS)
        nothing_left_out(r.counts);
    runs_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_bytes),
        cmocka_unit_test(wrong_bytes),
        cmocka_unit_test(more_than_was_sent),
        cmocka_unit_test(twice_the_same),
        cmocka_unit_test(mixed_up),
        cmocka_unit_test(cookie_again),
        cmocka_unit_test(garbage),
        cmocka_unit_test(lost_end),
        cmocka_unit_test(end_of_one_that_has_not_closed),
        cmocka_unit_test(reasons),
        cmocka_unit_test(one_error_only),
        cmocka_unit_test(told_twice),
        cmocka_unit_test(same_seed_same_world),
        cmocka_unit_test(short_way_or_not),
        cmocka_unit_test(plan_as_text),
        cmocka_unit_test(lying_wire),
        cmocka_unit_test(shrinking_is_bounded),
        cmocka_unit_test(stuck),
        cmocka_unit_test(default_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
