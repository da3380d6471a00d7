/* Queues of bytes against a formula: the byte at stream position p is known, so every copy and slice can be
 * checked. */
#include "base_world.h"

#include "base/chunkq.h"

#define QUEUES  6
#define LONGEST 200000

static uint8_t byte_at(uint32_t pos) { return (uint8_t)(pos * 0x9e3779b1u >> 24); }

struct bench {
    struct arena *a;
    uint32_t fixed;
    struct chunkq *q; /* in the arena, as in a record */
    ref_t hint[QUEUES][3];
};

static void bench_init(struct bench *b, uint32_t page, uint32_t pos)
{
    void *place;
    memset(b, 0, sizeof *b);
    b->a = arena_make(4 << 20, 0, page, QUEUES * sizeof(struct chunkq), &place);
    b->q = place;
    b->fixed = arena_in_use(b->a);
    for (uint32_t i = 0; i < QUEUES; i++)
        chunkq_init(&b->q[i], pos + i * 0x20000000u);
}

static uint32_t append(struct bench *b, struct chunkq *q, uint32_t n)
{
    static uint8_t text[LONGEST];
    for (uint32_t i = 0; i < n; i++)
        text[i] = byte_at(q->pos + q->len + i);
    return chunkq_append(b->a, q, text, n, MEM_DATA);
}

static void check_copy(struct bench *b, const struct chunkq *q, uint32_t offset, uint32_t n)
{
    static uint8_t text[LONGEST * 2];
    text[n] = 0x77;
    chunkq_copy(b->a, NULL, q, q->pos + offset, text, n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(text[i], byte_at(q->pos + offset + i));
    assert_int_equal(text[n], 0x77);
}

static void check_slices(struct bench *b, const struct chunkq *q, uint32_t offset, uint32_t n, ref_t *hint,
                         int max)
{
    tern_slice out[64];
    uint32_t got = 0, page = arena_page_size(b->a), at_pos = q->pos + offset;
    int count = chunkq_slices(b->a, NULL, q, at_pos, n, hint, out, max, &got);
    assert_true(count <= max && got <= n && got <= q->len - offset);
    for (int i = 0; i < count; i++) {
        assert_true(out[i].len > 0 && out[i].len <= page - 32);
        for (uint32_t k = 0; k < out[i].len; k++)
            assert_int_equal(out[i].data[k], byte_at(at_pos++));
    }
    assert_int_equal(at_pos, q->pos + offset + got);
    if (count < max)
        assert_int_equal(got, min_u32(n, q->len - offset));
    if (hint != NULL && count > 0) /* the chunk of the first byte */
        assert_int_equal(*hint, ref_of(b->a, out[0].data) / (page / GRAIN) * (page / GRAIN));
}

static void check_look(struct bench *b, struct dice *d, uint32_t i)
{
    const struct chunkq *q = &b->q[i];
    uint32_t offset = dice(d, q->len + 1), n = dice(d, q->len - offset + 1);
    if (q->len == 0) {
        assert_true(q->list.head == 0 && q->list.tail == 0 && q->chunks == 0);
        check_slices(b, q, 0, 100, &b->hint[i][0], 4);
    } else if (dice(d, 4) == 0) {
        check_copy(b, q, offset, n);
    } else { /* hints of any age, also another queue's, also none */
        ref_t *hint = dice(d, 10) > 0 ? &b->hint[i][dice(d, 3)] : NULL;
        if (hint != NULL && dice(d, 10) == 0)
            *hint = dice(d, 2) == 0 ? b->hint[dice(d, QUEUES)][0] : (ref_t)dice64(d);
        n = dice(d, 2) == 0 ? n : min_u32(n, 1460);
        check_slices(b, q, offset, n, hint, 1 + (int)dice(d, 20));
    }
}

static void check_pages(struct bench *b)
{
    uint32_t chunks = 0;
    for (uint32_t i = 0; i < QUEUES; i++) {
        chunks += b->q[i].chunks;
        assert_true(b->q[i].chunks <= b->q[i].len);
    }
    assert_int_equal(arena_in_use(b->a), b->fixed + chunks);
}

/* The next queue gets bytes that follow, and is joined. */
static void join(struct bench *b, struct dice *d, uint32_t i)
{
    struct chunkq *q = &b->q[i], *from = &b->q[(i + 1) % QUEUES];
    chunkq_clear(b->a, from);
    chunkq_init(from, q->pos + q->len);
    append(b, from, dice(d, 4) == 0 ? 0 : dice(d, 1u << dice(d, 15)));
    uint32_t skip = dice(d, from->len + 1) / 4, len = q->len, pages = q->chunks + from->chunks;
    chunkq_drop_front(b->a, from, skip);
    if (skip > 0) { /* bring the end of q to where `from` begins */
        append(b, q, skip);
        pages = q->chunks + from->chunks;
    }
    if (from->pos != q->pos + q->len)
        return; /* memory refused */
    len = q->len + from->len;
    chunkq_join(b->a, q, from);
    assert_int_equal(q->len, len);
    assert_true(q->chunks <= pages);
    assert_true(from->len == 0 && from->chunks == 0 && from->list.head == 0 && from->pos == q->pos + q->len);
}

static void step(struct bench *b, struct dice *d)
{
    uint32_t i = dice(d, QUEUES), n = dice(d, 1u << dice(d, 17));
    struct chunkq *q = &b->q[i];
    uint32_t pos = q->pos, len = q->len;
    switch (dice(d, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        n = append(b, q, len < LONGEST ? min_u32(n, 40000) : 0);
        assert_int_equal(q->len, len + n);
        break;
    case 4:
    case 5:
    case 6:
        n = min_u32(n, len);
        chunkq_drop_front(b->a, q, n);
        assert_true(q->pos == pos + n && q->len == len - n);
        break;
    case 7:
        n = min_u32(n / 16, len);
        chunkq_drop_back(b->a, q, n);
        assert_true(q->pos == pos && q->len == len - n);
        break;
    case 8: join(b, d, i); break;
    case 9:
        if (dice(d, 20) == 0)
            chunkq_clear(b->a, q);
        break;
    default: check_look(b, d, i);
    }
    check_look(b, d, i);
}

static void random_history(uint32_t page, uint32_t pos)
{
    struct bench b;
    struct dice d = {page};
    bench_init(&b, page, pos);
    for (int op = 0; op < 15000; op++) {
        step(&b, &d);
        check_pages(&b);
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        check_copy(&b, &b.q[i], 0, b.q[i].len);
        chunkq_clear(b.a, &b.q[i]);
    }
    check_pages(&b);
    assert_int_equal(arena_in_use(b.a), b.fixed);
    free(b.a);
}

static void test_random_histories_across_the_wrap(void **state)
{
    (void)state;
    for (uint32_t page = 512; page <= 65536; page *= 2)
        random_history(page, 0u - 100000);
}

/* A stream through one queue, many times around 2^16 bytes, in sizes of segments. */
static void test_a_long_stream(void **state)
{
    (void)state;
    struct bench b;
    struct dice d = {3};
    bench_init(&b, 4096, 0u - 3000000);
    struct chunkq *q = &b.q[0];
    for (uint32_t moved = 0; moved < 6000000;) {
        assert_int_equal(append(&b, q, 1460), 1460);
        moved += 1460;
        if (q->len > 60000) {
            uint32_t n = 1 + dice(&d, q->len);
            check_slices(&b, q, 0, n, &b.hint[0][0], 20);
            check_copy(&b, q, 0, n);
            chunkq_drop_front(b.a, q, n);
        }
        assert_true(q->chunks <= q->len / (4096 - 32) + 2);
    }
    free(b.a);
}

/* Pages run out: what fitted is there, byte for byte, and the count says so. */
static void test_append_stops_where_memory_is_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 512, 0xfffffe00);
    struct chunkq *q = &b.q[0];
    for (uint32_t n = 1; n < 20; n++) {
        b.a->fail_after = n;
        uint32_t got = append(&b, q, 20000);
        assert_int_equal(got, (n - 1) * 480);
        assert_int_equal(q->len, got);
        check_copy(&b, q, 0, got);
        chunkq_clear(b.a, q);
    }
    uint32_t got;
    while ((got = append(&b, q, 100000)) == 100000)
        ;
    assert_int_equal(arena_room(b.a, MEM_DATA), 0);
    assert_int_equal(append(&b, q, 481), q->len % 480 == 0 ? 0 : 480 - q->len % 480);
    uint8_t one = byte_at(q->pos + q->len);
    assert_int_equal(chunkq_append(b.a, q, &one, 1, MEM_OOO), 0);
    assert_int_equal(chunkq_append(b.a, q, &one, 1, MEM_CONTROL), 1);
    check_slices(&b, q, q->len - 1, 1, NULL, 1);
    free(b.a);
}

/* Many one-byte ranges that are joined do not keep a page each. */
static void test_small_ranges_share_pages_when_joined(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 4096, 5);
    for (uint32_t i = 0; i < 5000; i++) {
        chunkq_init(&b.q[1], b.q[0].pos + b.q[0].len);
        append(&b, &b.q[1], 1);
        chunkq_join(b.a, &b.q[0], &b.q[1]);
    }
    assert_int_equal(b.q[0].len, 5000);
    assert_int_equal(b.q[0].chunks, 2);
    check_copy(&b, &b.q[0], 0, 5000);
    free(b.a);
}

/* A page that was a chunk of one queue and is one of another now: the old hint must not be believed. */
static void test_a_hint_whose_chunk_went_to_another_queue(void **state)
{
    (void)state;
    struct bench b;
    tern_slice out[1];
    uint32_t got;
    bench_init(&b, 512, 0);
    struct chunkq *mine = &b.q[0], *theirs = &b.q[1];
    chunkq_init(theirs, 0);
    append(&b, mine, 480);
    ref_t hint = 0;
    chunkq_slices(b.a, NULL, mine, 0, 1, &hint, out, 1, &got);
    ref_t old = hint;
    chunkq_clear(b.a, mine);
    uint8_t wrong[480];
    memset(wrong, 0xee, sizeof wrong);
    chunkq_append(b.a, theirs, wrong, 480, MEM_DATA);
    assert_int_equal(theirs->list.head, old);
    chunkq_init(mine, 0); /* the same positions again */
    append(&b, mine, 480);
    check_slices(&b, mine, 100, 300, &hint, 1);
    assert_int_not_equal(hint, old);
    free(b.a);
}

/* A queue that went to another place with its chunks, and a new one where it was. */
static void test_a_hint_whose_queue_moved_away(void **state)
{
    (void)state;
    struct bench b;
    tern_slice out[1];
    uint32_t got;
    ref_t hint = 0;
    bench_init(&b, 512, 0);
    append(&b, &b.q[0], 480);
    chunkq_slices(b.a, NULL, &b.q[0], 0, 1, &hint, out, 1, &got);
    b.q[1] = b.q[0];
    chunkq_init(&b.q[0], 480);
    append(&b, &b.q[0], 480);
    check_slices(&b, &b.q[0], 100, 300, &hint, 1);
    check_slices(&b, &b.q[1], 100, 300, &hint, 1);
    free(b.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories_across_the_wrap),
        cmocka_unit_test(test_a_long_stream),
        cmocka_unit_test(test_append_stops_where_memory_is_refused),
        cmocka_unit_test(test_small_ranges_share_pages_when_joined),
        cmocka_unit_test(test_a_hint_whose_chunk_went_to_another_queue),
        cmocka_unit_test(test_a_hint_whose_queue_moved_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
