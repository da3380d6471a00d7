/* The sums of every width that this machine has, against RFC 1071 a byte at a time: all lengths, places and
 * ends, with and without a copy. */
#include "link_packets.h"

enum { MOST = 1600, GUARD = 0xa5 };

static uint32_t folded(uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)sum;
}

static void check(tern_sum_fn *fn, const uint8_t *from, size_t n, size_t shift)
{
    uint8_t to[MOST + 200];
    uint32_t want = plain_sum(0, from, n);
    memset(to, GUARD, sizeof to);
    uint64_t alone = fn(NULL, from, n), copied = fn(to + 64 + shift, from, n);
    assert_int_equal(folded(alone), want);
    assert_int_equal(folded(copied), want);
    assert_true(alone < (uint64_t)1 << 48);
    assert_memory_equal(to + 64 + shift, from, n);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(to[shift + i], GUARD);
        assert_int_equal(to[64 + shift + n + i], GUARD);
    }
}

static void fill(uint8_t *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
}

static void every_length_and_place(void **state)
{
    uint8_t from[MOST + 8];
    (void)state;
    fill(from, sizeof from, 7);
    for (int step = 0; step < 3; step++)
        for (size_t n = 0; n <= 700; n++)
            check(tern_host_sum(step), from + n % 7, n, n % 5);
    for (int step = 0; step < 3; step++)
        for (size_t n = 1400; n <= MOST; n++)
            check(tern_host_sum(step), from + n % 3, n, n % 8);
}

/* Carries at every place: all ones, and all zeros but one byte. */
static void extremes(void **state)
{
    static uint8_t from[65536];
    (void)state;
    for (int step = 0; step < 3; step++) {
        memset(from, 0xff, sizeof from);
        assert_int_equal(folded(tern_host_sum(step)(NULL, from, sizeof from)), 0xffff);
        assert_int_equal(folded(tern_host_sum(step)(NULL, from, sizeof from - 1)), 0xff00);
        memset(from, 0, sizeof from);
        assert_int_equal(tern_host_sum(step)(NULL, from, sizeof from), 0);
        for (size_t at = 0; at < 300; at++) {
            from[at] = 1;
            assert_int_equal(folded(tern_host_sum(step)(NULL, from, 300)), at % 2 ? 1 : 0x100);
            from[at] = 0;
        }
    }
}

/* At an odd offset a sum counts 256 times (link.h). */
static void parts_add_up(void **state)
{
    uint8_t from[MOST];
    (void)state;
    fill(from, sizeof from, 9);
    for (int step = 0; step < 3; step++)
        for (size_t cut = 0; cut <= 300; cut++) {
            tern_sum_fn *fn = tern_host_sum(step);
            uint64_t sum = fn(NULL, from, cut) + (fn(NULL, from + cut, MOST - cut) << (cut % 2 ? 8 : 0));
            assert_int_equal(folded(sum), plain_sum(0, from, MOST));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_and_place),
        cmocka_unit_test(extremes),
        cmocka_unit_test(parts_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
