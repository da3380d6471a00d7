/* Pages: budget and priorities, the kind map, runs of neighbours, and a random history against a model. */
#include "base_world.h"

static void test_layout(void **state)
{
    (void)state;
    for (uint32_t page = 512; page <= 65536; page *= 2) {
        size_t size = 64 * page + 100;
        uint8_t *place;
        struct arena *a = arena_make(64 * page + 128, 0, page, 1000, (void **)&place);
        size_t fixed = arena_fixed_size(size, page, 1000);
        assert_int_equal(fixed % page, 0);
        assert_int_equal((place - (uint8_t *)a) % 64, 0);
        assert_true(place >= (uint8_t *)(a + 1) + 64 && place + 1000 <= (uint8_t *)a + fixed);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(place[i], 0);
        assert_int_equal(arena_kind(a, 0), PAGE_FIXED);
        assert_int_equal(arena_kind(a, ref_of(a, place)), PAGE_FIXED);
        assert_int_equal(arena_kind(a, (ref_t)(fixed / GRAIN)), PAGE_FREE);
        assert_int_equal(arena_kind(a, UINT32_MAX), PAGE_FREE);
        assert_int_equal(arena_page_size(a), page);
        free(a);
    }
}

static void test_too_small_is_refused(void **state)
{
    (void)state;
    struct arena *a = aligned_alloc(64, 65536);
    void *place;
    assert_false(arena_init(a, 512, 0, 4096, 0, &place));
    assert_false(arena_init(a, 65536, 0, 4096, 60000, &place));
    /* fixed part and reserve, and nothing else */
    assert_false(arena_init(a, 65536, 5 * 4096, 4096, 0, &place));
    assert_true(arena_init(a, 65536, 6 * 4096, 4096, 0, &place));
    assert_int_not_equal(arena_page(a, PAGE_CHUNK, MEM_DATA), 0);
    assert_int_equal(arena_page(a, PAGE_CHUNK, MEM_DATA), 0);
    free(a);
}

/* How many pages a priority gets until it is refused. */
static uint32_t exhaust(struct arena *a, enum mem_prio prio)
{
    uint32_t n = 0;
    while (arena_page(a, PAGE_CHUNK, prio) != 0)
        n++;
    return n;
}

static void test_each_priority_stops_at_its_line(void **state)
{
    (void)state;
    const uint32_t budgets[] = {40, 100, 1000, 30000};
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
        uint32_t pages = budgets[i];
        struct arena *a = arena_make((size_t)40000 * 512, (uint64_t)pages * 512 + 511, 512, 8, NULL);
        uint32_t reserve = min_u32(max_u32(pages / 64, 4), 256);
        uint32_t room = arena_room(a, MEM_OOO);
        assert_int_equal(exhaust(a, MEM_OOO), room);
        assert_int_equal(pages - arena_in_use(a), max_u32(pages / 8, reserve));
        exhaust(a, MEM_DATA);
        assert_int_equal(pages - arena_in_use(a), reserve);
        assert_int_equal(arena_room(a, MEM_OOO), 0);
        assert_int_equal(exhaust(a, MEM_CONTROL), reserve);
        assert_int_equal(arena_in_use(a), pages);
        assert_int_equal(a->refused, 3);
        assert_int_equal(arena_pages(a, 1, MEM_CONTROL), 0);
        assert_int_equal(a->refused, 4);
        free(a);
    }
}

static void test_memory_never_needed_is_never_touched(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    struct arena *a = arena_make(size, size / 2, 4096, 100, NULL);
    ref_t first = arena_page(a, PAGE_CHUNK, MEM_DATA);
    arena_pages_free(a, arena_pages(a, 3, MEM_DATA), 3);
    const uint8_t *p = at(a, first), *end = (uint8_t *)a + (size_t)a->pages_used * 4096;
    for (uint32_t i = 0; i < 4096; i++)
        assert_int_equal(p[i], 0xa5);
    for (; end < (uint8_t *)a + size; end++)
        assert_int_equal(*end, 0xa5);
    free(a);
}

static void test_runs_are_found_among_free_pages_at_last(void **state)
{
    (void)state;
    struct arena *a = arena_make(64 * 512, 0, 512, 0, NULL);
    ref_t r[64];
    uint32_t n = 0;
    while ((r[n] = arena_page(a, PAGE_CHUNK, MEM_CONTROL)) != 0)
        n++;
    for (uint32_t i = 0; i < n; i += 2)
        arena_page_free(a, r[i]);
    uint64_t refused = a->refused;
    assert_int_equal(arena_pages(a, 2, MEM_CONTROL), 0); /* room enough, but no neighbours */
    assert_int_equal(a->refused, refused + 1);
    arena_page_free(a, r[9]);
    arena_page_free(a, r[11]);
    uint32_t used = arena_in_use(a);
    ref_t run = arena_pages(a, 4, MEM_CONTROL); /* of five */
    assert_int_equal(run, r[8]);
    assert_int_equal(arena_in_use(a), used + 4);
    for (uint32_t i = 0; i < 4 * 512; i++)
        assert_int_equal(((uint8_t *)at(a, run))[i], 0);
    arena_pages_free(a, run, 4);
    while (arena_page(a, PAGE_CHUNK, MEM_CONTROL) != 0)
        used++;
    assert_int_equal(used, a->pages_max);
    free(a);
}

static void test_the_nth_allocation_fails(void **state)
{
    (void)state;
    struct arena *a = arena_make(1 << 16, 0, 512, 0, NULL);
    for (uint32_t n = 1; n < 10; n++) {
        a->fail_after = n;
        for (uint32_t i = 1; i < 12; i++) {
            ref_t r = i % 2 != 0 ? arena_page(a, PAGE_CHUNK, MEM_CONTROL) : arena_pages(a, 1, MEM_CONTROL);
            assert_int_equal(r == 0, i == n);
            if (r != 0)
                arena_page_free(a, r);
        }
        assert_int_equal(a->refused, n);
    }
    free(a);
}

#define MODEL_PAGES 400

struct page {
    ref_t ref;
    uint32_t stamp;
    enum page_kind kind;
};

struct model {
    struct page pages[MODEL_PAGES];
    uint32_t n, stamps;
};

static void stamp(struct arena *a, struct model *m, ref_t r, enum page_kind kind)
{
    uint32_t *word = at(a, r), words = arena_page_size(a) / 4;
    m->pages[m->n++] = (struct page){r, ++m->stamps, kind};
    for (uint32_t i = 0; i < words; i++)
        word[i] = m->stamps;
}

static void check_page(struct arena *a, const struct page *p)
{
    const uint32_t *word = at(a, p->ref);
    for (uint32_t i = 0; i < arena_page_size(a) / 4; i++)
        assert_int_equal(word[i], p->stamp);
    assert_int_equal(arena_kind(a, p->ref + dice(&(struct dice){p->stamp}, arena_page_size(a) / GRAIN)),
                     p->kind);
}

static void take_some(struct arena *a, struct model *m, struct dice *d)
{
    enum mem_prio prio = (enum mem_prio)dice(d, 3);
    uint32_t n = dice(d, 4) == 0 ? 1 + dice(d, 5) : 1, room = arena_room(a, prio), mark = a->pages_used;
    enum page_kind kind = n > 1 || dice(d, 2) == 0 ? PAGE_TABLE : PAGE_CHUNK;
    ref_t r = n > 1 ? arena_pages(a, n, prio) : arena_page(a, kind, prio);
    if (n == 1 || n <= a->pages_max - mark)
        assert_int_equal(r != 0, room >= n);
    if (room < n)
        assert_int_equal(r, 0);
    for (uint32_t i = 0; r != 0 && i < n; i++)
        stamp(a, m, r + i * (arena_page_size(a) / GRAIN), kind);
}

static void give_some(struct arena *a, struct model *m, struct dice *d)
{
    for (uint32_t n = dice(d, 4); n > 0 && m->n > 0; n--) {
        uint32_t i = dice(d, m->n);
        check_page(a, &m->pages[i]);
        arena_page_free(a, m->pages[i].ref);
        m->pages[i] = m->pages[--m->n];
    }
}

/* Every page has one owner; now and then the whole block moves to another address. */
static void test_random_history_in_a_moving_block(void **state)
{
    (void)state;
    struct dice d = {2};
    size_t size = MODEL_PAGES * 512;
    struct arena *a = arena_make(size, 0, 512, 64, NULL);
    static struct model m;
    uint32_t fixed = a->pages_used;
    for (int op = 0; op < 100000; op++) {
        if (dice(&d, 5 + (uint32_t)(op / 5000 % 2)) < 3)
            take_some(a, &m, &d);
        else
            give_some(a, &m, &d);
        assert_int_equal(arena_in_use(a), fixed + m.n);
        assert_true(arena_in_use(a) <= a->pages_max);
        if (op % 5000 == 0) {
            struct arena *b = aligned_alloc(64, size);
            memcpy(b, a, size);
            memset(a, 0xee, size);
            free(a);
            a = b;
        }
    }
    for (uint32_t i = 0; i < m.n; i++)
        check_page(a, &m.pages[i]);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_too_small_is_refused),
        cmocka_unit_test(test_each_priority_stops_at_its_line),
        cmocka_unit_test(test_memory_never_needed_is_never_touched),
        cmocka_unit_test(test_runs_are_found_among_free_pages_at_last),
        cmocka_unit_test(test_the_nth_allocation_fails),
        cmocka_unit_test(test_random_history_in_a_moving_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
