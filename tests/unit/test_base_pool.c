/* Records: a random history against a model, and handles that are stale or forged. */
#include "base_world.h"

#define N 3000

struct live {
    ref_t ref;
    uint32_t gen;
};

/* Bytes behind the generation: zero when fresh, the owner's afterwards. */
static void use_record(struct arena *a, const struct pool *p, ref_t r)
{
    uint8_t *bytes = at(a, r);
    for (uint32_t i = 4; i < p->size; i++) {
        assert_int_equal(bytes[i], 0);
        bytes[i] = (uint8_t)(r + i);
    }
}

static void check_record(struct arena *a, const struct pool *p, const struct live *l)
{
    const uint8_t *bytes = at(a, l->ref);
    assert_true(pool_valid(a, p, l->ref, l->gen));
    assert_int_equal(pool_gen(a, l->ref), l->gen);
    for (uint32_t i = 4; i < p->size; i++)
        assert_int_equal(bytes[i], (uint8_t)(l->ref + i));
}

static void check_walk(const struct arena *a, const struct pool *p, const struct live *live, uint32_t n)
{
    uint32_t found = 0, sum = 0;
    for (ref_t r = 0; pool_next(a, p, &r);) {
        assert_true(pool_valid(a, p, r, pool_gen(a, r)));
        found++;
        sum += r;
    }
    for (uint32_t i = 0; i < n; i++)
        sum -= live[i].ref;
    assert_int_equal(found, n);
    assert_int_equal(sum, 0);
    assert_int_equal(p->live, n);
}

static void random_history(uint32_t page, uint32_t size)
{
    struct dice d = {size};
    struct arena *a = arena_make(8 << 20, 0, page, 0, NULL);
    static struct live live[N], dead[N];
    uint32_t n = 0, n_dead = 0;
    struct pool p;
    memset(dead, 0, sizeof dead);
    pool_init(&p, 3, size);
    for (uint32_t op = 0; op < 20000; op++) {
        if (n < N && dice(&d, 10) < (op < 12000 ? 6 : 4)) {
            ref_t r = pool_get(a, &p, MEM_DATA);
            assert_int_not_equal(r, 0);
            assert_int_not_equal(pool_gen(a, r), 0);
            use_record(a, &p, r);
            live[n++] = (struct live){r, pool_gen(a, r)};
        } else if (n > 0) {
            uint32_t i = dice(&d, n);
            check_record(a, &p, &live[i]);
            pool_put(a, &p, live[i].ref);
            dead[dice(&d, n_dead < N ? ++n_dead : N)] = live[i];
            live[i] = live[--n];
        }
        if (n_dead == N) {
            const struct live *old = &dead[dice(&d, N)];
            assert_true(old->ref == 0 || !pool_valid(a, &p, old->ref, old->gen));
        }
    }
    check_walk(a, &p, live, n);
    for (uint32_t i = 0; i < n_dead; i++)
        assert_false(pool_valid(a, &p, dead[i].ref, dead[i].gen));
    free(a);
}

static void test_random_history(void **state)
{
    (void)state;
    const uint32_t sizes[] = {16, 48, 64, 256, 496};
    for (uint32_t page = 512; page <= 65536; page *= 8)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            random_history(page, sizes[i]);
}

static bool is_live(const struct live *live, uint32_t n, ref_t r)
{
    for (uint32_t i = 0; i < n; i++)
        if (live[i].ref == r)
            return true;
    return false;
}

/* Every reference there is, with every generation that it could have, also what happens to lie there: only
 * the true ones are valid. */
static void forge(uint32_t size)
{
    struct arena *a = arena_make(64 * 512, 0, 512, 100, NULL);
    struct pool p, other;
    struct live live[20];
    pool_init(&p, 0, size);
    pool_init(&other, 1, size);
    ref_t chunk = arena_page(a, PAGE_CHUNK, MEM_DATA);
    memset(at(a, chunk), 1, 512);
    for (uint32_t i = 0; i < 20; i++) {
        live[i].ref = pool_get(a, &p, MEM_DATA);
        memset((uint8_t *)at(a, live[i].ref) + 4, 1, size - 4);
        pool_put(a, &other, pool_get(a, &other, MEM_DATA));
        (void)pool_get(a, &other, MEM_DATA);
    }
    for (uint32_t i = 0; i < 20; i++)
        live[i].gen = pool_gen(a, live[i].ref);
    for (ref_t r = 0; r < 2 * 64 * 512 / GRAIN; r++) {
        bool true_one = is_live(live, 20, r);
        uint32_t there = r < 64 * 512 / GRAIN ? pool_gen(a, r) : 1;
        assert_int_equal(pool_valid(a, &p, r, there), true_one);
        for (uint32_t gen = 0; gen < 64; gen++)
            assert_int_equal(pool_valid(a, &p, r, gen), true_one && gen == there);
    }
    volatile ref_t last = UINT32_MAX;
    assert_false(pool_valid(a, &p, last, 1));
    free(a);
}

/* What a flood took is there for others when it is over; its handles stay stale, also in a page that comes
 * again. */
static void test_pages_come_back(void **state)
{
    enum { MANY = 2000 };
    static struct live flood[MANY];
    (void)state;
    struct arena *a = arena_make(8 << 20, 0, 4096, 0, NULL);
    struct pool p, other;
    pool_init(&p, 0, 208);
    pool_init(&other, 1, 64);
    uint32_t room = arena_room(a, MEM_DATA);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            ref_t r = pool_get(a, &p, MEM_DATA);
            assert_int_not_equal(r, 0);
            for (uint32_t k = i; round > 0 && k < MANY; k += 97)
                assert_false(pool_valid(a, &p, flood[k].ref, flood[k].gen));
            flood[i] = (struct live){r, pool_gen(a, r)};
        }
        for (uint32_t i = 0; i < MANY; i++)
            pool_put(a, &p, flood[(i * 7u) % MANY].ref);
        assert_int_equal(arena_room(a, MEM_DATA), room - 1); /* one page is kept */
        assert_int_equal(p.live, 0);
        assert_int_equal(p.empty, 1);
        for (uint32_t i = 0; i < 100; i++) /* somebody else takes pages in between */
            assert_int_not_equal(pool_get(a, &other, MEM_DATA), 0);
        room = arena_room(a, MEM_DATA) + 1;
    }
    free(a);
}

static void test_forged_handles_are_invalid(void **state)
{
    (void)state;
    for (uint32_t size = 16; size <= 496; size += 16)
        forge(size);
}

static void test_records_fit_cache_lines(void **state)
{
    (void)state;
    struct arena *a = arena_make(1 << 20, 0, 4096, 0, NULL);
    struct pool p;
    pool_init(&p, 0, 64);
    ref_t first = pool_get(a, &p, MEM_DATA), second = pool_get(a, &p, MEM_DATA);
    assert_int_equal(first * GRAIN % 64, 0);
    assert_int_equal(second, first + 4); /* neighbours in time are neighbours in memory */
    assert_int_equal(p.total, 4096 / 64 - 1);
    free(a);
}

static void test_refusal_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct arena *a = arena_make(64 * 512, 0, 512, 0, NULL);
    struct pool p;
    uint32_t n = 0;
    pool_init(&p, 0, 256);
    while (pool_get(a, &p, MEM_DATA) != 0)
        n++;
    assert_int_equal(p.live, n);
    assert_int_equal(p.total, n);
    assert_int_equal(arena_room(a, MEM_DATA), 0);
    ref_t last = pool_get(a, &p, MEM_CONTROL);
    assert_int_not_equal(last, 0);
    pool_put(a, &p, last);
    assert_int_equal(pool_get(a, &p, MEM_DATA), last); /* a free record needs no page */
    pool_put(a, &p, last);
    for (uint32_t k = 1; k < 4; k++) { /* the n-th allocation fails, though a record is free */
        a->fail_after = k;
        for (uint32_t i = 1; i < 5; i++) {
            ref_t r = pool_get(a, &p, MEM_CONTROL);
            assert_int_equal(r == 0, i == k);
            if (r != 0)
                pool_put(a, &p, r);
        }
    }
    assert_int_equal(p.live, n);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_history),
        cmocka_unit_test(test_pages_come_back),
        cmocka_unit_test(test_forged_handles_are_invalid),
        cmocka_unit_test(test_records_fit_cache_lines),
        cmocka_unit_test(test_refusal_leaves_all_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
