/* The hash table against an array: random histories, good and bad hashes, memory that runs out at every
 * place. */
#include "base_world.h"

#include "base/htab.h"

#define N 40000

struct entry {
    uint32_t hash;
    ref_t ref;
};

struct bench {
    struct arena *a;
    struct htab h;
    struct entry entries[N];
    uint32_t n, refs;
};

static void bench_init(struct bench *b, uint32_t page, uint64_t budget)
{
    memset(b, 0, sizeof *b);
    b->a = arena_make(16 << 20, budget, page, 0, NULL);
    assert_true(htab_init(b->a, &b->h));
}

static bool insert(struct bench *b, uint32_t hash)
{
    ref_t r = ++b->refs;
    if (!htab_insert(b->a, &b->h, hash, r, MEM_DATA))
        return false;
    b->entries[b->n++] = (struct entry){hash, r};
    return true;
}

/* Whether the table has this entry; *same = how many it has of the same hash. */
static bool find(struct bench *b, uint32_t hash, ref_t wanted, uint32_t *same)
{
    struct htab_iter it;
    bool found = false;
    *same = 0;
    for (ref_t r = htab_first(b->a, &b->h, hash, &it); r != 0; r = htab_next(b->a, &b->h, &it), ++*same) {
        assert_true(!found || r != wanted);
        found |= r == wanted;
    }
    return found;
}

static void drop(struct bench *b, uint32_t i)
{
    uint32_t before, after;
    struct entry e = b->entries[i];
    assert_true(find(b, e.hash, e.ref, &before));
    htab_remove(b->a, &b->h, e.hash, e.ref);
    assert_false(find(b, e.hash, e.ref, &after));
    assert_int_equal(after, before - 1);
    b->entries[i] = b->entries[--b->n];
}

static void replace(struct bench *b, uint32_t i)
{
    uint32_t same;
    struct entry *e = &b->entries[i];
    htab_replace(b->a, &b->h, e->hash, e->ref, ++b->refs);
    assert_false(find(b, e->hash, e->ref, &same));
    e->ref = b->refs;
    assert_true(find(b, e->hash, e->ref, &same));
}

/* Every entry is there, in time that does not grow with the table. */
static void check_all(struct bench *b)
{
    uint32_t same;
    assert_int_equal(b->h.count, b->n);
    for (uint32_t i = 0; i < b->n; i++)
        assert_true(find(b, b->entries[i].hash, b->entries[i].ref, &same));
}

/* Up and down again: ever more entries, then ever fewer. */
static void random_history(uint32_t page, uint32_t kinds, uint32_t seed)
{
    static struct bench b;
    struct dice d = {seed};
    uint32_t same;
    bench_init(&b, page, 0);
    uint32_t idle = arena_in_use(b.a);
    for (uint32_t op = 0; op < 60000; op++) {
        uint32_t hash = kinds == 0 ? (uint32_t)dice64(&d) : dice(&d, kinds) * 0x01000193;
        if (dice(&d, 10) < (op < 30000 ? 7u : 3u) && b.n < N)
            assert_true(insert(&b, hash));
        else if (b.n > 0 && dice(&d, 8) > 0)
            drop(&b, dice(&d, b.n));
        else if (b.n > 0)
            replace(&b, dice(&d, b.n));
        assert_false(find(&b, hash, UINT32_MAX, &same));
        if (op % 10000 == 9999)
            check_all(&b);
    }
    while (b.n > 0)
        drop(&b, dice(&d, b.n));
    assert_int_equal(b.h.count, 0);
    assert_true(arena_in_use(b.a) <= idle + b.h.dir_pages + 8); /* the segments have joined again */
    htab_free(b.a, &b.h);
    assert_int_equal(arena_in_use(b.a), idle - 2);
    free(b.a);
}

static void test_random_histories(void **state)
{
    (void)state;
    for (uint32_t page = 512; page <= 65536; page *= 2)
        random_history(page, 0, page);
    random_history(4096, 4000, 1); /* about three of each hash */
    random_history(512, 4000, 2);
}

/* In an empty table a search ends where it begins: the beginnings must not crowd. */
static void check_spread(struct bench *b, uint32_t factor)
{
    struct htab_iter it;
    uint32_t count[4096 / 8] = {0}, most = 0;
    assert_true(htab_init(b->a, &b->h));
    for (uint32_t i = 0; i < 20000; i++) {
        assert_int_equal(htab_first(b->a, &b->h, i * factor, &it), 0);
        most = max_u32(most, ++count[it.slot]);
    }
    assert_true(most < 4 * (20000 / 511));
}

/* Hashes of callers that did not hash: small numbers, ports in the upper half, multiples. */
static void test_plain_numbers_as_hashes(void **state)
{
    (void)state;
    static struct bench b;
    const uint32_t factors[] = {1, 2, 16, 1024, 65536, 0x00010001, 0x9e3779b1};
    for (size_t f = 0; f < ARRAY_LEN(factors); f++) {
        bench_init(&b, 4096, 0);
        for (uint32_t i = 0; i < 20000; i++)
            assert_true(insert(&b, i * factors[f]));
        check_all(&b);
        assert_true(arena_in_use(b.a) < 20000 * 8 / 4096 * 4 + 20);
        htab_free(b.a, &b.h);
        check_spread(&b, factors[f]);
        free(b.a);
    }
}

/* Equal hashes cannot be split: the segment fills, says so, and all else goes on. The directory stays
 * small. */
static void test_equal_hashes_fail_clearly(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {7};
    for (uint32_t page = 512; page <= 16384; page *= 2) {
        bench_init(&b, page, 0);
        uint32_t used = arena_in_use(b.a), same;
        while (insert(&b, 0xdeadbeef))
            assert_true(b.n < page / 8);
        assert_true(b.n >= page / 8 - 3);
        assert_true(arena_in_use(b.a) - used <= 8 && b.h.depth <= 8);
        assert_false(insert(&b, 0xdeadbeef));
        check_all(&b);
        find(&b, 0xdeadbeef, 0, &same);
        assert_int_equal(same, b.n);
        uint32_t others = 0; /* what shares that segment may be refused, the rest may not */
        for (uint32_t i = 0; i < 10000; i++)
            others += insert(&b, (uint32_t)dice64(&d));
        assert_true(others > 5000);
        check_all(&b);
        while (b.n > 0)
            drop(&b, b.n - 1);
        assert_true(insert(&b, 0xdeadbeef));
        free(b.a);
    }
}

static void test_equal_hashes_come_in_order_of_insertion(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {8};
    struct htab_iter it;
    bench_init(&b, 1024, 0);
    ref_t mine[10];
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(insert(&b, 42));
        mine[i] = b.refs;
        for (uint32_t k = 0; k < 200; k++)
            assert_true(insert(&b, (uint32_t)dice64(&d)));
    }
    for (uint32_t i = 0; i < b.n;) {
        if (b.entries[i].hash == 42)
            i++;
        else
            drop(&b, i);
        if (i % 3 == 0) {
            ref_t r = htab_first(b.a, &b.h, 42, &it);
            for (uint32_t k = 0; k < 10; k++, r = htab_next(b.a, &b.h, &it))
                assert_int_equal(r, mine[k]);
            assert_int_equal(r, 0);
        }
    }
    free(b.a);
}

/* The n-th allocation fails, for every n: the insertion may be refused, nothing is lost. */
static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static struct bench b;
    bool failed = true;
    for (uint32_t n = 1; failed; n++) {
        struct dice d = {9};
        bench_init(&b, 512, 0);
        b.a->fail_after = n;
        for (uint32_t i = 0; i < 5000; i++)
            insert(&b, (uint32_t)dice64(&d));
        failed = b.a->refused > 0;
        assert_true(failed || n > 100);
        assert_int_equal(b.n, 5000); /* a segment that could not be split has room for a few more */
        check_all(&b);
        htab_free(b.a, &b.h);
        free(b.a);
    }
    struct htab h;
    struct arena *a = arena_make(1 << 20, 0, 4096, 0, NULL);
    uint32_t used = arena_in_use(a);
    for (uint32_t n = 1; n <= 2; n++) {
        a->fail_after = n;
        assert_false(htab_init(a, &h));
        assert_int_equal(arena_in_use(a), used);
        htab_free(a, &h);
    }
    free(a);
}

static void test_when_memory_is_used_up(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {10};
    uint32_t refused = 0;
    bench_init(&b, 1024, 64 << 10);
    while (refused < 100)
        refused += !insert(&b, (uint32_t)dice64(&d));
    assert_int_equal(arena_room(b.a, MEM_DATA), 0);
    assert_true(b.n > 40 * 100); /* full to the brim */
    check_all(&b);
    for (uint32_t i = 0; i < 20000; i++) {
        drop(&b, dice(&d, b.n));
        insert(&b, (uint32_t)dice64(&d));
    }
    check_all(&b);
    free(b.a);
}

/* A table that keeps its size takes no more memory, however long it lives. */
static void test_churn_takes_no_more_memory(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {11};
    bench_init(&b, 4096, 0);
    for (uint32_t i = 0; i < 10000; i++)
        assert_true(insert(&b, (uint32_t)dice64(&d)));
    uint32_t used = arena_in_use(b.a);
    for (uint32_t i = 0; i < 200000; i++) {
        drop(&b, dice(&d, b.n));
        assert_true(insert(&b, (uint32_t)dice64(&d)));
    }
    assert_true(arena_in_use(b.a) <= used + used / 2);
    check_all(&b);
    free(b.a);
}

/* One segment empties while its sister is full: they cannot join yet, and nothing is lost when they do. */
static void test_a_lone_segment_empties(void **state)
{
    (void)state;
    static struct bench b;
    struct dice d = {12};
    struct htab_iter it;
    bench_init(&b, 512, 0);
    while (b.n < 2000)
        assert_true(insert(&b, (uint32_t)dice64(&d)));
    while (b.n > 0) {
        htab_first(b.a, &b.h, b.entries[0].hash, &it);
        ref_t segment = it.segment;
        for (uint32_t i = 0; i < b.n;) {
            htab_first(b.a, &b.h, b.entries[i].hash, &it);
            if (it.segment == segment)
                drop(&b, i);
            else
                i++;
        }
        check_all(&b);
    }
    assert_true(b.h.count == 0);
    free(b.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_plain_numbers_as_hashes),
        cmocka_unit_test(test_equal_hashes_fail_clearly),
        cmocka_unit_test(test_equal_hashes_come_in_order_of_insertion),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_when_memory_is_used_up),
        cmocka_unit_test(test_a_lone_segment_empties),
        cmocka_unit_test(test_churn_takes_no_more_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
