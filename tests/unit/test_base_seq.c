/* Sequence numbers modulo 2^32: every comparison on both sides of the two places where raw numbers go
 * wrong. */
#include "base_world.h"

#include "base/seq.h"

static void test_order_holds_across_every_wrap(void **state)
{
    (void)state;
    const uint32_t places[] = {0, 1, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff};
    const uint32_t gaps[] = {1, 2, 1460, 65535, 0x7ffffffe, 0x7fffffff};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        for (size_t k = 0; k < ARRAY_LEN(gaps); k++) {
            seq_t low = seq(places[i]), high = seq_add(low, gaps[k]);
            assert_true(seq_lt(low, high) && seq_le(low, high) && !seq_eq(low, high));
            assert_true(seq_gt(high, low) && seq_ge(high, low) && !seq_lt(high, low));
            assert_int_equal(seq_diff(high, low), gaps[k]);
            assert_int_equal(seq_diff(low, high), -(int64_t)gaps[k]);
            assert_int_equal(seq_span(low, high), gaps[k]);
            assert_true(seq_eq(seq_max(low, high), high) && seq_eq(seq_max(high, low), high));
            assert_true(seq_eq(seq_min(low, high), low) && seq_eq(seq_min(high, low), low));
            assert_true(seq_eq(seq_sub(high, gaps[k]), low));
        }
    }
}

static void test_equal_is_neither_before_nor_behind(void **state)
{
    (void)state;
    seq_t s = seq(0xffffffff);
    assert_true(seq_eq(s, s) && seq_le(s, s) && seq_ge(s, s));
    assert_false(seq_lt(s, s) || seq_gt(s, s));
    assert_int_equal(seq_diff(s, s), 0);
}

static void test_a_window_holds_its_first_but_not_its_end(void **state)
{
    (void)state;
    seq_t low = seq(0xfffffff0);
    assert_true(seq_in(low, low, 1));
    assert_true(seq_in(seq(0x0000000f), low, 0x20));
    assert_false(seq_in(seq(0x00000010), low, 0x20));
    assert_false(seq_in(seq_sub(low, 1), low, 0x20));
    assert_false(seq_in(low, low, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_holds_across_every_wrap),
        cmocka_unit_test(test_equal_is_neither_before_nor_behind),
        cmocka_unit_test(test_a_window_holds_its_first_but_not_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
