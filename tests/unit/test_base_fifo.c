/* Records in order of arrival: a random history against a list, holes, pages that go back, memory that is
 * refused. */
#include "base/fifo.h"
#include "base_world.h"

#define N 4000

struct entry {
    ref_t ref;
    uint32_t id;
};

struct model {
    struct entry v[N];
    uint32_t n;
};

static void add(struct arena *a, struct fifo *f, struct model *l, uint32_t id, bool turn)
{
    ref_t r = fifo_append(a, f, turn, MEM_DATA);
    assert_int_not_equal(r, 0);
    const uint8_t *bytes = at(a, r);
    for (uint32_t i = 0; i < f->size; i++)
        assert_int_equal(bytes[i], 0);
    memset(at(a, r), (int)(id & 0xff) | 1, f->size);
    memcpy(at(a, r), &id, sizeof id);
    l->v[l->n++] = (struct entry){r, id};
}

static void take(struct arena *a, struct fifo *f, struct model *l, uint32_t i)
{
    const uint8_t *bytes = at(a, l->v[i].ref);
    for (uint32_t k = sizeof(uint32_t); k < f->size; k++)
        assert_int_equal(bytes[k], (l->v[i].id & 0xff) | 1);
    fifo_remove(a, f, l->v[i].ref);
    memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof l->v[0]);
    l->n--;
}

/* Order, front and sums are the list's. */
static void compare(struct arena *a, const struct fifo *f, const struct model *l)
{
    uint32_t i = 0;
    for (ref_t r = 0; fifo_next(a, f, &r); i++) {
        assert_true(i < l->n);
        assert_int_equal(r, l->v[i].ref);
    }
    assert_int_equal(i, l->n);
    assert_int_equal(f->live, l->n);
    assert_int_equal(fifo_front(a, f), l->n > 0 ? l->v[0].ref : 0);
    assert_true(fifo_room(a, f) >= l->n);
}

static void random_history(uint32_t page, uint32_t size)
{
    struct dice d = {page + size};
    struct arena *a = arena_make(8 << 20, 0, page, 0, NULL);
    static struct model l;
    uint32_t before = arena_in_use(a);
    struct fifo f;
    l.n = 0;
    fifo_init(&f, 2, size);
    for (uint32_t op = 1; op < 12000; op++) {
        bool growing = op % 4000 < 2000;
        if (l.n < N && (l.n == 0 || dice(&d, 10) < (growing ? 6 : 3)))
            add(a, &f, &l, op, dice(&d, 50) == 0);
        else
            take(a, &f, &l, dice(&d, 3) > 0 ? 0 : dice(&d, l.n));
        if (op % 97 == 0)
            compare(a, &f, &l);
        assert_int_equal(arena_in_use(a) - before, f.pages);
    }
    while (l.n > 0)
        take(a, &f, &l, dice(&d, l.n));
    compare(a, &f, &l);
    assert_int_equal(arena_in_use(a), before);
    free(a);
}

static void test_random_history(void **state)
{
    (void)state;
    for (uint32_t page = 512; page <= 65536; page *= 8)
        for (uint32_t size = 32; size <= 64; size += 32)
            random_history(page, size);
}

/* A page of which all went early goes back though older and newer ones stay. */
static void test_middle_goes_back(void **state)
{
    (void)state;
    struct arena *a = arena_make(1 << 20, 0, 2048, 0, NULL);
    static struct model l;
    struct fifo f;
    l.n = 0;
    fifo_init(&f, 2, 32);
    uint32_t each = (2048 - 32) / 32;
    for (uint32_t i = 0; i < 3 * each; i++)
        add(a, &f, &l, i + 1, false);
    assert_int_equal(f.pages, 3);
    for (uint32_t i = 0; i < each; i++)
        take(a, &f, &l, each);
    assert_int_equal(f.pages, 2);
    compare(a, &f, &l);
    free(a);
}

/* Each page bears a number of its owner, 0 at first. */
static void test_notes(void **state)
{
    (void)state;
    struct arena *a = arena_make(1 << 20, 0, 2048, 0, NULL);
    static struct model l;
    struct fifo f;
    l.n = 0;
    fifo_init(&f, 2, 64);
    for (uint32_t page = 1; page <= 3; page++) {
        add(a, &f, &l, page, true);
        assert_int_equal(*fifo_note(a, l.v[l.n - 1].ref), 0);
        *fifo_note(a, l.v[l.n - 1].ref) = page;
        add(a, &f, &l, page, false);
    }
    for (uint32_t i = 0; i < l.n; i++)
        assert_int_equal(*fifo_note(a, l.v[i].ref), l.v[i].id);
    free(a);
}

/* Refused by the budget or by a test: nothing has changed. */
static void test_refused(void **state)
{
    (void)state;
    struct arena *a = arena_make(64 << 10, 0, 2048, 0, NULL);
    static struct model l;
    struct fifo f;
    l.n = 0;
    fifo_init(&f, 2, 64);
    a->fail_after = 1;
    assert_int_equal(fifo_append(a, &f, false, MEM_DATA), 0);
    compare(a, &f, &l);
    while (arena_room(a, MEM_DATA) > 0)
        add(a, &f, &l, l.n + 1, true);
    assert_int_equal(fifo_append(a, &f, true, MEM_DATA), 0);
    compare(a, &f, &l);
    a->fail_after = 1;
    assert_int_equal(fifo_append(a, &f, false, MEM_DATA), 0);
    add(a, &f, &l, l.n + 1, false);
    compare(a, &f, &l);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_history),
        cmocka_unit_test(test_middle_goes_back),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
