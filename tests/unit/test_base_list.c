/* Lists: a random history of two lists in the same records against arrays, and one list put behind another.
 */
#include "base/list.h"
#include "base_world.h"

#define N 40

struct record {
    uint32_t gen;
    struct place first, second;
    uint32_t id;
};
#define FIRST  offsetof(struct record, first)
#define SECOND offsetof(struct record, second)

/* What a list should be. */
struct model {
    struct list list;
    size_t offset;
    ref_t v[2 * N];
    uint32_t n;
};

static uint32_t index_of(const struct model *m, ref_t r)
{
    uint32_t i = 0;
    while (i < m->n && m->v[i] != r)
        i++;
    return i;
}

static void insert(struct arena *a, struct model *m, ref_t r, uint32_t i)
{
    if (i == m->n)
        list_append(a, &m->list, r, m->offset);
    else
        list_insert(a, &m->list, r, m->v[i], m->offset);
    memmove(&m->v[i + 1], &m->v[i], (m->n - i) * sizeof m->v[0]);
    m->v[i] = r;
    m->n++;
}

static void take(struct arena *a, struct model *m, uint32_t i)
{
    const struct place *p = place_at(a, m->v[i], m->offset);
    list_remove(a, &m->list, m->v[i], m->offset);
    assert_true(p->next == 0 && p->prev == 0);
    memmove(&m->v[i], &m->v[i + 1], (m->n - i - 1) * sizeof m->v[0]);
    m->n--;
}

/* Forwards and backwards. */
static void compare(struct arena *a, const struct model *m)
{
    ref_t r = m->list.head;
    for (uint32_t i = 0; i < m->n; r = place_at(a, r, m->offset)->next)
        assert_int_equal(r, m->v[i++]);
    assert_int_equal(r, 0);
    r = m->list.tail;
    for (uint32_t i = m->n; i > 0; r = place_at(a, r, m->offset)->prev)
        assert_int_equal(r, m->v[--i]);
    assert_int_equal(r, 0);
}

static void test_random_history(void **state)
{
    (void)state;
    struct dice d = {7};
    struct arena *a = arena_make(1 << 20, 0, 4096, 0, NULL);
    struct pool pool;
    struct model lists[2] = {{.offset = FIRST}, {.offset = SECOND}};
    ref_t all[N];
    pool_init(&pool, 0, (sizeof(struct record) + GRAIN - 1) / GRAIN * GRAIN);
    for (uint32_t i = 0; i < N; i++)
        all[i] = pool_get(a, &pool, MEM_DATA);
    for (int step = 0; step < 20000; step++) {
        struct model *m = &lists[dice(&d, 2)];
        ref_t r = all[dice(&d, N)];
        uint32_t i = index_of(m, r);
        if (i < m->n)
            take(a, m, i);
        else
            insert(a, m, r, dice(&d, m->n + 1));
        compare(a, &lists[0]);
        compare(a, &lists[1]);
    }
    free(a);
}

/* Both, one and none of two lists empty. */
static void test_join(void **state)
{
    (void)state;
    struct arena *a = arena_make(1 << 20, 0, 4096, 0, NULL);
    struct pool pool;
    pool_init(&pool, 0, (sizeof(struct record) + GRAIN - 1) / GRAIN * GRAIN);
    for (uint32_t had = 0; had < 4; had++)
        for (uint32_t more = 0; more < 4; more++) {
            struct model m = {.offset = FIRST}, from = {.offset = FIRST};
            for (uint32_t i = 0; i < had; i++)
                insert(a, &m, pool_get(a, &pool, MEM_DATA), i);
            for (uint32_t i = 0; i < more; i++)
                insert(a, &from, pool_get(a, &pool, MEM_DATA), i);
            list_join(a, &m.list, &from.list, FIRST);
            memcpy(&m.v[m.n], from.v, from.n * sizeof from.v[0]);
            m.n += from.n;
            from.n = 0;
            compare(a, &m);
            compare(a, &from);
        }
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_history),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
