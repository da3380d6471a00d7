/* The wheel against an array that is searched from end to end.
 *
 * The model keeps for each node the time at which it may fire (its deadline, or the wheel's time if that had
 * passed already) and the order in which it came to its slot: what pop returns is exactly the least of (time,
 * order). */
#include "base_world.h"

#include "base/wheel.h"

#define NODES 300

struct timer {
    uint64_t asked, due;
    uint64_t order;
    struct wnode *node;
};

struct bench {
    struct arena *a;
    struct wheel *w;
    struct timer timers[NODES];
    uint64_t now, orders;
    uint32_t armed;
};

static void bench_init(struct bench *b, uint64_t now)
{
    void *place;
    memset(b, 0, sizeof *b);
    b->a = arena_make(1 << 20, 0, 4096, sizeof(struct wheel), &place);
    b->w = place;
    b->now = now;
    wheel_init(b->w, now);
    struct pool p;
    pool_init(&p, 0, 32);
    for (uint32_t i = 0; i < NODES; i++)
        b->timers[i].node = (void *)((uint8_t *)at(b->a, pool_get(b->a, &p, MEM_DATA)) + GRAIN);
}

static uint64_t wheel_time(const struct bench *b) { return b->w->origin + b->w->now; }

static void set(struct bench *b, uint32_t i, uint64_t when)
{
    struct timer *t = &b->timers[i];
    uint16_t slot = t->node->slot;
    b->armed += !wheel_armed(t->node);
    wheel_set(b->a, b->w, t->node, when);
    assert_true(wheel_armed(t->node));
    if (t->node->slot != slot)
        t->order = ++b->orders;
    t->asked = when;
    t->due = max_u64(when, wheel_time(b));
}

static void cancel(struct bench *b, uint32_t i)
{
    b->armed -= wheel_armed(b->timers[i].node);
    wheel_cancel(b->a, b->w, b->timers[i].node);
    assert_false(wheel_armed(b->timers[i].node));
}

static struct timer *first(struct bench *b)
{
    struct timer *best = NULL;
    for (uint32_t i = 0; i < NODES; i++) {
        struct timer *t = &b->timers[i];
        if (wheel_armed(t->node) &&
            (best == NULL || t->due < best->due || (t->due == best->due && t->order < best->order)))
            best = t;
    }
    return best;
}

/* Some pops have so little work to do that a slot sinks in many steps. */
static struct wnode *pop(struct bench *b, uint64_t now, struct dice *d)
{
    struct wnode *n;
    uint32_t work;
    do {
        work = d != NULL ? 1 + dice(d, 3) : UINT32_MAX;
        n = wheel_pop(b->a, b->w, now, &work);
        if (n == NULL && work == 0)
            assert_true(wheel_next(b->w) <= now || first(b) == NULL || first(b)->due > now);
    } while (n == NULL && work == 0);
    return n;
}

static void check(struct bench *b)
{
    const struct timer *t = first(b);
    uint64_t next = wheel_next(b->w);
    assert_int_equal(b->w->armed, b->armed);
    if (t == NULL) {
        assert_true(next == UINT64_MAX);
        return;
    }
    assert_true(next <= t->due && next >= wheel_time(b));
    if (b->w->bits[0] != 0) /* the lowest level is exact */
        assert_int_equal(next, t->due);
    else
        assert_true(next > wheel_time(b));
}

/* Fire all that is due. Returns the number. */
static uint32_t advance(struct bench *b, uint64_t now, struct dice *d)
{
    uint32_t fired = 0;
    b->now = now;
    for (;;) {
        struct timer *t = first(b);
        struct wnode *n = pop(b, now, d);
        if (t == NULL || t->due > now) {
            assert_null(n);
            assert_int_equal(wheel_time(b), now);
            return fired;
        }
        assert_ptr_equal(n, t->node);
        assert_false(wheel_armed(n));
        assert_int_equal(wheel_time(b), t->due);
        b->armed--;
        fired++;
        if (d != NULL && dice(d, 4) == 0) /* a handler arms it again, perhaps for a time before `now` */
            set(b, (uint32_t)(t - b->timers), t->due + 1 + dice(d, 1u << dice(d, 20)));
    }
}

/* Spans of every size, up to `bits` bits. */
static uint64_t span(struct dice *d, uint32_t bits)
{
    uint32_t shift = 63 - dice(d, bits);
    return dice64(d) >> shift;
}

static void random_history(uint64_t start, uint64_t seed, uint32_t bits, int ops)
{
    static struct bench b;
    struct dice d = {seed};
    bench_init(&b, start);
    for (int op = 0; op < ops; op++) {
        uint32_t i = dice(&d, NODES), what = dice(&d, 20);
        if (what < 8)
            set(&b, i, b.now + span(&d, bits));
        else if (what < 9)
            set(&b, i, b.now - min_u64(span(&d, 20), b.now)); /* in the past */
        else if (what < 11 && wheel_armed(b.timers[i].node))
            set(&b, i, b.timers[i].asked + span(&d, 8)); /* a little later */
        else if (what < 12)
            set(&b, i, b.timers[dice(&d, NODES)].asked); /* the same as another */
        else if (what < 15)
            cancel(&b, i);
        else if (what < 19)
            advance(&b, b.now + span(&d, bits / 2), &d);
        else
            advance(&b, max_u64(b.now, min_u64(wheel_next(b.w), b.now + span(&d, bits))), &d);
        check(&b);
        i = dice(&d, NODES);
        if (wheel_armed(b.timers[i].node) && b.timers[i].asked >= start)
            assert_int_equal(wheel_when(b.w, b.timers[i].node), b.timers[i].asked);
    }
    advance(&b, b.now + ((uint64_t)1 << 46), NULL);
    assert_int_equal(b.armed, 0);
    check(&b);
    free(b.a);
}

static void test_random_histories(void **state)
{
    (void)state;
    random_history(0, 1, 20, 40000);
    random_history(((uint64_t)1 << 32) - 1000000, 2, 32, 40000);
    random_history((uint64_t)1 << 62, 3, 40, 20000);
    random_history(12345, 4, 10, 20000);
}

/* The 48 bits that a node keeps wrap; the time relative to the origin goes over them. */
static void test_nine_years_and_on(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {5};
    bench_init(&b, 77);
    for (int round = 0; round < 6000; round++) {
        for (int k = 0; k < 3; k++)
            set(&b, dice(&d, NODES), b.now + span(&d, 46));
        check(&b);
        advance(&b, b.now + span(&d, 44), NULL);
    }
    assert_true(b.w->now > (uint64_t)3 << 48);
    free(b.a);
}

/* Who sleeps until wheel_next wakes at the deadline, after few turns, never later. */
static void test_sleeping_until_next_wakes_in_time(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {6};
    bench_init(&b, ((uint64_t)1 << 32) - 5);
    for (int round = 0; round < 3000; round++) {
        uint64_t deadline = b.now + span(&d, 46);
        uint32_t fired = 0, turns = 0;
        set(&b, 0, deadline);
        while (fired == 0) {
            assert_true(++turns <= WHEEL_LEVELS + 1);
            assert_true(wheel_next(b.w) <= deadline);
            fired = advance(&b, wheel_next(b.w), NULL);
        }
        assert_int_equal(b.now, max_u64(deadline, wheel_time(&b)));
    }
    free(b.a);
}

/* A clock that jumps as far as it can: every node fires, once and in order, and the wheel goes on. */
static void test_two_hundred_years(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {7};
    bench_init(&b, 1000000);
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < NODES; i++)
            set(&b, i, b.now + span(&d, 46));
        assert_int_equal(advance(&b, b.now + 200ull * 365 * 86400 * 1000000, NULL), NODES);
        check(&b);
        assert_true(wheel_next(b.w) == UINT64_MAX);
    }
    free(b.a);
}

static void test_equal_deadlines_fire_in_order_of_arming(void **state)
{
    (void)state;
    static struct bench b;
    bench_init(&b, 1000);
    for (uint32_t i = 0; i < NODES; i++) {
        set(&b, i, 5000000);
        if (i % 10 == 9)
            advance(&b, b.now + 16000, NULL); /* later ones start in lower levels */
    }
    for (uint32_t i = 0; i < NODES; i++)
        assert_ptr_equal(pop(&b, 5000000, NULL), b.timers[i].node);
    assert_null(pop(&b, 5000000, NULL));
    free(b.a);
}

/* While a slot sinks step by step others are armed and cancelled, those on their way too: each fires once,
 * not before its time, and in the order of the deadlines. */
static void test_armed_and_cancelled_while_sinking(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {7};
    bench_init(&b, 1000);
    for (int round = 0; round < 200; round++) {
        uint64_t base = b.now + 20000000, last = 0;
        for (uint32_t i = 0; i < NODES / 2; i++)
            set(&b, i, base + dice(&d, 1000));
        while (first(&b) != NULL) {
            uint32_t work = 1 + dice(&d, 3), i = dice(&d, NODES);
            struct wnode *n = wheel_pop(b.a, b.w, base + 5000, &work);
            if (n != NULL) {
                struct timer *t = &b.timers[0];
                while (t->node != n)
                    t++;
                assert_true(t->asked >= last && t->asked <= base + 5000);
                last = t->asked;
                b.armed--;
            } else {
                assert_int_equal(work, 0);
            }
            assert_int_equal(b.w->armed, b.armed);
            assert_true(first(&b) == NULL || wheel_next(b.w) <= first(&b)->due);
            if (dice(&d, 4) == 0)
                cancel(&b, i);
            else if (dice(&d, 4) == 0)
                set(&b, i, max_u64(wheel_time(&b), base) + dice(&d, 1000));
        }
        b.now = base + 5000;
        assert_null(pop(&b, b.now, NULL));
    }
    free(b.a);
}

static void test_extremes(void **state)
{
    (void)state;
    static struct bench b;
    bench_init(&b, 1000000);
    assert_true(wheel_next(b.w) == UINT64_MAX);
    cancel(&b, 0); /* not armed: nothing happens */
    set(&b, 0, 0); /* long past: due at the next pop */
    assert_int_equal(wheel_next(b.w), 1000000);
    /* a clock that went back is taken as standing */
    assert_ptr_equal(pop(&b, 5, NULL), b.timers[0].node);
    assert_null(pop(&b, 5, NULL));
    b.armed = 0;
    set(&b, 1, UINT64_MAX); /* beyond the horizon: as far as can be told */
    assert_int_equal(wheel_when(b.w, b.timers[1].node), 1000000 + ((uint64_t)1 << 47) - 1);
    assert_null(pop(&b, (uint64_t)1 << 46, NULL));
    assert_true(wheel_armed(b.timers[1].node));
    free(b.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_nine_years_and_on),
        cmocka_unit_test(test_two_hundred_years),
        cmocka_unit_test(test_sleeping_until_next_wakes_in_time),
        cmocka_unit_test(test_equal_deadlines_fire_in_order_of_arming),
        cmocka_unit_test(test_armed_and_cancelled_while_sinking),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
