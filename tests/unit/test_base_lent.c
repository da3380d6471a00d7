/* Queues that own, share and borrow bytes, against plain arrays. Borrowed memory is overwritten as soon as it
 * comes back, so a reference that outlives its buffer shows as wrong bytes. */
#include "base_world.h"

#include "base/chunkq.h"

enum { QUEUES = 5, SLOTS = 64, SLOT = 4096, LONGEST = 60000, REGION = 3 };

struct model {
    uint8_t bytes[LONGEST];
    uint32_t n;
};

struct fixed {
    struct lent lent;
    uint32_t odd; /* the queues stand at no special place */
    struct chunkq q[QUEUES];
};

struct bench {
    struct arena *a;
    struct fixed *f;
    struct regions regions;
    struct dice dice;
    uint32_t in_use;       /* pages of an empty arena */
    struct model m[QUEUES];
    uint8_t *memory;       /* SLOTS slots that are lent, as a whole or in part */
    bool out[SLOTS];
    uint8_t kind[SLOTS];
    uint64_t order, lent_next; /* HOLD_LENT: numbers given and expected back */
};

static void bench_init(struct bench *b, uint32_t page, uint64_t seed)
{
    void *place;
    memset(b, 0, sizeof *b);
    b->dice.x = seed;
    b->a = arena_make(4 << 20, 0, page, sizeof(struct fixed), &place);
    b->f = place;
    b->memory = malloc(SLOTS * SLOT);
    lent_init(&b->f->lent, 7, 8);
    b->a->lent = ref_of(b->a, &b->f->lent);
    b->f->lent.region[REGION].len = SLOTS * SLOT;
    b->regions.base[REGION] = b->memory;
    b->in_use = arena_in_use(b->a);
    for (uint32_t i = 0; i < QUEUES; i++)
        chunkq_init(&b->f->q[i], 0xffff8000u + i);
}

/* --- checks --------------------------------------------------------------------------------------- */

static void check_queue(struct bench *b, uint32_t i)
{
    static uint8_t text[LONGEST];
    const struct chunkq *q = &b->f->q[i];
    assert_int_equal(q->len, b->m[i].n);
    chunkq_copy(b->a, &b->regions, q, q->pos, text, q->len);
    assert_memory_equal(text, b->m[i].bytes, q->len);
    uint32_t sum = 0, count = 0;
    for (ref_t r = q->list.head; r != 0; count++) {
        const struct chunk *c = at(b->a, r);
        assert_int_equal(c->pos, q->pos + sum);
        assert_true(c->used > 0);
        sum += c->used;
        r = c->place.next;
    }
    assert_int_equal(sum, q->len);
    assert_int_equal(count, q->chunks);
}

static void check_holds(struct bench *b)
{
    struct lent *l = &b->f->lent;
    uint32_t pieces = 0, live = 0;
    uint64_t kept = 0;
    for (ref_t r = 0; pool_next(b->a, &l->holds, &r); live++)
        pieces += hold_at(b->a, r)->count;
    assert_int_equal(pieces, l->pieces.live);
    for (ref_t r = l->region[REGION].live.head; r != 0; r = hold_at(b->a, r)->place.next) {
        assert_true(hold_at(b->a, r)->count > 0);
        kept += hold_at(b->a, r)->len;
    }
    assert_int_equal(kept, l->region[REGION].kept);
    assert_int_equal(l->lent_count + l->link_count, l->region[REGION].holds);
}

/* A slot that is not lent any more: its bytes are anything from now on. */
static void came_back(struct bench *b, const struct hold *h)
{
    uint32_t slot = (uint32_t)h->at / SLOT;
    assert_true(b->out[slot]);
    assert_int_equal(b->kind[slot], h->kind);
    b->out[slot] = false;
    memset(b->memory + slot * SLOT, 0x5a, SLOT);
}

static void fetch(struct bench *b)
{
    struct hold h;
    while (lent_fetch(b->a, 0, &h))
        came_back(b, &h);
    while (lent_fetch(b->a, REGION, &h))
        came_back(b, &h);
}

/* --- what is done --------------------------------------------------------------------------------- */

static uint32_t some(struct bench *b, uint32_t limit)
{
    uint32_t most = dice(&b->dice, 4) == 0 ? 3000 : 700;
    return min_u32(dice(&b->dice, most), limit);
}

static void op_append(struct bench *b, uint32_t i)
{
    struct model *m = &b->m[i];
    uint32_t n = some(b, LONGEST - m->n);
    for (uint32_t k = 0; k < n; k++)
        m->bytes[m->n + k] = (uint8_t)dice64(&b->dice);
    m->n += chunkq_append(b->a, &b->f->q[i], m->bytes + m->n, n, MEM_DATA);
}

static void op_refer(struct bench *b, uint32_t i)
{
    struct model *m = &b->m[i];
    uint32_t slot = dice(&b->dice, SLOTS), n = 1 + dice(&b->dice, SLOT - 1), skip = dice(&b->dice, SLOT - n);
    if (b->out[slot] || n > LONGEST - m->n)
        return;
    for (uint32_t k = 0; k < SLOT; k++)
        b->memory[slot * SLOT + k] = (uint8_t)dice64(&b->dice);
    b->kind[slot] = dice(&b->dice, 2) ? HOLD_LENT : HOLD_LINK;
    struct hold what = {.kind = b->kind[slot], .region = REGION, .at = slot * SLOT, .len = SLOT};
    struct keep keep = {.from = b->memory + slot * SLOT, .what = what};
    ref_t hold = keep_hold(b->a, &keep, MEM_DATA);
    if (hold != 0 && chunkq_refer(b->a, &b->f->q[i], hold, skip, n, MEM_DATA)) {
        memcpy(m->bytes + m->n, b->memory + slot * SLOT + skip, n);
        m->n += n;
    }
    b->out[slot] = keep_end(b->a, &keep);
}

static void model_drop(struct model *m, uint32_t n)
{
    m->n -= n;
    memmove(m->bytes, m->bytes + n, m->n);
}

static void op_drop(struct bench *b, uint32_t i)
{
    struct model *m = &b->m[i];
    uint32_t n = dice(&b->dice, 20) == 0 ? m->n : some(b, m->n);
    if (dice(&b->dice, 3) == 0) {
        chunkq_drop_back(b->a, &b->f->q[i], n);
        m->n -= n;
        return;
    }
    chunkq_drop_front(b->a, &b->f->q[i], n);
    model_drop(m, n);
}

static void op_move(struct bench *b, uint32_t i)
{
    uint32_t from = (i + 1 + dice(&b->dice, QUEUES - 1)) % QUEUES;
    struct model *m = &b->m[i], *f = &b->m[from];
    uint32_t n = dice(&b->dice, 3) == 0 ? f->n : some(b, f->n);
    n = min_u32(n, LONGEST - m->n);
    uint32_t got = chunkq_move(b->a, &b->regions, &b->f->q[i], &b->f->q[from], n, MEM_DATA);
    assert_true(got <= n);
    assert_true(got == n || b->a->refused > 0);
    memcpy(m->bytes + m->n, f->bytes, got);
    m->n += got;
    model_drop(f, got);
}

static void op_share(struct bench *b, uint32_t i)
{
    uint32_t from = (i + 1 + dice(&b->dice, QUEUES - 1)) % QUEUES;
    struct model *m = &b->m[i], *f = &b->m[from];
    uint32_t skip = dice(&b->dice, f->n + 1), n = min_u32(f->n - skip, LONGEST - m->n);
    n = dice(&b->dice, 2) ? n : some(b, n);
    uint32_t pos = b->f->q[from].pos + skip;
    uint32_t got = chunkq_share(b->a, &b->regions, &b->f->q[i], &b->f->q[from], pos, n, MEM_DATA);
    assert_true(got <= n);
    assert_true(got == n || b->a->refused > 0);
    memcpy(m->bytes + m->n, f->bytes + skip, got);
    m->n += got;
}

static void op_join(struct bench *b, uint32_t i)
{
    uint32_t from = (i + 1 + dice(&b->dice, QUEUES - 1)) % QUEUES;
    struct chunkq *q = &b->f->q[i], *f = &b->f->q[from];
    if (b->m[i].n + b->m[from].n > LONGEST || b->m[from].n > 0)
        return; /* positions must meet: an empty queue is given the right one and then filled */
    chunkq_clear(b->a, f);
    chunkq_init(f, q->pos + q->len);
    op_append(b, from);
    op_refer(b, from);
    if (b->m[i].n + b->m[from].n > LONGEST)
        return;
    memcpy(b->m[i].bytes + b->m[i].n, b->m[from].bytes, b->m[from].n);
    b->m[i].n += b->m[from].n;
    b->m[from].n = 0;
    chunkq_join(b->a, q, f);
}

static void op_compact(struct bench *b, uint32_t i)
{
    (void)i;
    uint64_t kept = b->f->lent.region[REGION].kept, want = dice(&b->dice, 4 * SLOT);
    if (lent_compact(b->a, &b->regions, REGION, want))
        assert_true(kept - b->f->lent.region[REGION].kept >= min_u64(want, kept));
}

static void op_slices(struct bench *b, uint32_t i)
{
    tern_slice out[8];
    const struct chunkq *q = &b->f->q[i];
    uint32_t skip = dice(&b->dice, q->len + 1), got;
    ref_t hint = (ref_t)dice(&b->dice, (uint32_t)(b->a->size / GRAIN)); /* mostly nonsense */
    if (dice(&b->dice, 2))
        hint = b->f->q[dice(&b->dice, QUEUES)].list.tail;
    int n = chunkq_slices(b->a, &b->regions, q, q->pos + skip, LONGEST, &hint, out, 8, &got);
    uint32_t at_byte = skip;
    for (int k = 0; k < n; k++) {
        assert_memory_equal(out[k].data, b->m[i].bytes + at_byte, out[k].len);
        at_byte += out[k].len;
    }
    assert_int_equal(at_byte - skip, got);
    assert_true(n == 8 || at_byte == q->len);
}

static void (*const ops[])(struct bench *b, uint32_t i) = {
    op_append, op_append, op_refer, op_refer,  op_refer,   op_drop,  op_drop,
    op_move,   op_move,   op_share, op_join,   op_compact, op_slices,
};

static void at_random(uint32_t page, uint64_t seed, bool failing)
{
    struct bench *b = malloc(sizeof *b);
    bench_init(b, page, seed);
    for (uint32_t step = 0; step < 3000; step++) {
        uint32_t i = dice(&b->dice, QUEUES);
        if (failing && dice(&b->dice, 4) == 0)
            b->a->fail_after = 1 + dice(&b->dice, 4);
        ops[dice(&b->dice, ARRAY_LEN(ops))](b, i);
        fetch(b);
        check_holds(b);
        for (i = 0; i < QUEUES && step % 8 == 0; i++)
            check_queue(b, i);
    }
    b->a->fail_after = 0;
    for (uint32_t i = 0; i < QUEUES; i++) {
        check_queue(b, i);
        chunkq_clear(b->a, &b->f->q[i]);
    }
    fetch(b);
    for (uint32_t i = 0; i < SLOTS; i++)
        assert_false(b->out[i]); /* each came back, once (came_back sees the second time) */
    assert_int_equal(b->f->lent.holds.live + b->f->lent.pieces.live, 0);
    assert_int_equal(b->a->chunks, 0);
    assert_true(arena_in_use(b->a) <= b->in_use + 2); /* a page of each pool is kept */
    free(b->memory);
    free(b->a);
    free(b);
}

static void test_all_ways_mixed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        at_random(seed & 1 ? 2048 : 4096, seed, false);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 112; seed++)
        at_random(seed & 1 ? 2048 : 4096, seed, true);
}

/* --- single facts --------------------------------------------------------------------------------- */

static void lend(struct bench *b, struct chunkq *q, uint64_t offset, uint32_t len, uint64_t tag)
{
    struct hold what = {.kind = HOLD_LENT, .region = REGION, .at = offset, .len = len, .tag = tag};
    ref_t hold = hold_new(b->a, &what, MEM_DATA);
    assert_true(hold != 0 && chunkq_refer(b->a, q, hold, 0, len, MEM_DATA));
}

static void test_large_bytes_move_and_are_shared_without_a_copy(void **state)
{
    (void)state;
    struct bench *b = malloc(sizeof *b);
    bench_init(b, 4096, 1);
    struct chunkq *q = b->f->q;
    lend(b, &q[0], 0, 20000, 1);
    uint64_t before = b->a->copied;
    assert_int_equal(chunkq_move(b->a, &b->regions, &q[1], &q[0], 9000, MEM_DATA), 9000);
    assert_int_equal(chunkq_share(b->a, &b->regions, &q[2], &q[1], q[1].pos + 600, 8000, MEM_DATA), 8000);
    assert_int_equal(b->a->copied, before);
    assert_int_equal(b->f->lent.holds.live, 1);
    assert_int_equal(b->f->lent.pieces.live, 3);
    uint8_t page[4064] = {1};
    chunkq_append(b->a, &q[3], page, sizeof page, MEM_DATA);
    before = b->a->copied;
    assert_int_equal(chunkq_move(b->a, &b->regions, &q[4], &q[3], sizeof page, MEM_DATA), sizeof page);
    assert_int_equal(chunkq_share(b->a, &b->regions, &q[3], &q[4], q[4].pos, sizeof page, MEM_DATA),
                     sizeof page);
    assert_int_equal(b->a->copied, before);
    assert_int_equal(b->a->chunks, 1); /* one page, twice in a queue */
    free(b->memory);
    free(b->a);
    free(b);
}

static void test_lent_buffers_come_back_in_order(void **state)
{
    (void)state;
    struct bench *b = malloc(sizeof *b);
    struct hold h;
    bench_init(b, 4096, 1);
    for (uint64_t i = 0; i < 5; i++)
        lend(b, &b->f->q[0], i * 1000, 1000, i);
    assert_false(b->f->lent.news);
    chunkq_drop_front(b->a, &b->f->q[0], 2500);
    assert_true(b->f->lent.news);
    assert_int_equal(b->f->lent.back_count, 2);
    chunkq_clear(b->a, &b->f->q[0]);
    for (uint64_t i = 0; i < 5; i++) {
        assert_true(lent_fetch(b->a, 0, &h));
        assert_int_equal(h.tag, i);
        assert_int_equal(h.at, i * 1000);
    }
    assert_false(lent_fetch(b->a, 0, &h));
    free(b->memory);
    free(b->a);
    free(b);
}

/* What a snapshot does: the copy of the arena gets the bytes of each piece, and needs no region any more. */
static void test_a_copy_of_the_arena_can_be_made_whole(void **state)
{
    (void)state;
    struct bench *b = malloc(sizeof *b), *copy = malloc(sizeof *b);
    bench_init(b, 4096, 5);
    for (uint32_t step = 0; step < 400; step++)
        ops[dice(&b->dice, 5)](b, dice(&b->dice, QUEUES));
    *copy = *b;
    copy->a = aligned_alloc(64, 4 << 20);
    memcpy(copy->a, b->a, 4 << 20);
    copy->f = (struct fixed *)((uint8_t *)copy->a + ((uint8_t *)b->f - (uint8_t *)b->a));
    uint32_t len, pieces = 0;
    for (ref_t r = 0; (r = lent_next(b->a, r)) != 0; pieces++) {
        const uint8_t *bytes = lent_bytes(b->a, &b->regions, r, &len);
        assert_true(lent_own(copy->a, r, bytes, MEM_DATA));
    }
    assert_true(pieces > 10);
    lent_cut(copy->a);
    copy->regions = (struct regions){0};
    for (uint32_t i = 0; i < QUEUES; i++) {
        check_queue(b, i);
        memcpy(copy->m[i].bytes, b->m[i].bytes, b->m[i].n);
    }
    memset(b->memory, 0x33, SLOTS * SLOT);
    for (uint32_t i = 0; i < QUEUES; i++)
        check_queue(copy, i);
    assert_int_equal(copy->f->lent.lent_count, 0);
    assert_int_equal(copy->f->lent.back_count, b->f->lent.lent_count);
    assert_int_equal(copy->f->lent.pieces.live, 0);
    free(b->memory);
    free(b->a);
    free(copy->a);
    free(copy);
    free(b);
}

/* The page that a hint names is a shared one now, with its old header still in it. */
static void test_a_hint_to_a_page_that_is_shared_now(void **state)
{
    (void)state;
    struct bench *b = malloc(sizeof *b);
    tern_slice out[4];
    uint8_t text[3000], again[3000];
    uint32_t got;
    ref_t hint = 0;
    bench_init(b, 4096, 1);
    struct chunkq *q = b->f->q;
    for (uint32_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    chunkq_append(b->a, &q[0], text, sizeof text, MEM_DATA);
    chunkq_slices(b->a, &b->regions, &q[0], q[0].pos, 1, &hint, out, 4, &got);
    chunkq_share(b->a, &b->regions, &q[1], &q[0], q[0].pos, 2000, MEM_DATA);
    chunkq_drop_front(b->a, &q[0], 1000);
    int n = chunkq_slices(b->a, &b->regions, &q[0], q[0].pos + 500, 1500, &hint, out, 4, &got);
    assert_int_equal(got, 1500);
    assert_int_equal(n, 1);
    assert_memory_equal(out[0].data, text + 1500, 1500);
    chunkq_copy(b->a, &b->regions, &q[1], q[1].pos, again, 2000);
    assert_memory_equal(again, text, 2000);
    chunkq_append(b->a, &q[2], text, sizeof text, MEM_DATA); /* the old header will be wrong */
    hint = q[2].list.tail;
    chunkq_share(b->a, &b->regions, &q[3], &q[2], q[2].pos, 2000, MEM_DATA);
    chunkq_drop_back(b->a, &q[2], 2000);
    chunkq_append(b->a, &q[2], text, 2000, MEM_DATA);
    chunkq_slices(b->a, &b->regions, &q[2], q[2].pos + 1500, 100, &hint, out, 4, &got);
    assert_memory_equal(out[0].data, text + 500, 100);
    free(b->memory);
    free(b->a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ways_mixed),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_large_bytes_move_and_are_shared_without_a_copy),
        cmocka_unit_test(test_lent_buffers_come_back_in_order),
        cmocka_unit_test(test_a_copy_of_the_arena_can_be_made_whole),
        cmocka_unit_test(test_a_hint_to_a_page_that_is_shared_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
