/* The ring of trace records: what is taken is what was written, in order, and what was lost is counted. */
#include "base_world.h"

#include "base/trace.h"

static void write_records(struct trace_ring *r, uint64_t *next, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        tern_trace_record *record = trace_next(r);
        const tern_trace_record zero = {0};
        assert_non_null(record);
        assert_memory_equal(record, &zero, sizeof zero);
        record->t_us = ++*next;
        record->up = (uint32_t)*next;
    }
}

static void test_off_without_memory(void **state)
{
    (void)state;
    struct trace_ring r;
    tern_trace_record out[1];
    uint64_t lost = 9;
    trace_init(&r, NULL, 0);
    assert_null(trace_next(&r));
    assert_int_equal(trace_take(&r, out, 1, &lost), 0);
    assert_int_equal(lost, 0);
    tern_trace_record memory[1];
    trace_init(&r, memory, 0);
    assert_null(trace_next(&r));
}

static void test_random_writing_and_taking(void **state)
{
    (void)state;
    struct dice d = {1};
    static tern_trace_record memory[16], out[40];
    for (uint32_t size = 1; size <= 16; size *= 2) {
        struct trace_ring r;
        uint64_t written = 0, taken = 0;
        memset(memory, 0xff, sizeof memory);
        trace_init(&r, memory, size);
        for (int round = 0; round < 2000; round++) {
            write_records(&r, &written, dice(&d, 2 * size + 2));
            uint64_t lost, expect = written - taken > size ? written - taken - size : 0;
            int max = (int)dice(&d, 2 * size + 2);
            int n = trace_take(&r, out, max, &lost);
            assert_int_equal(lost, expect);
            taken += lost;
            assert_int_equal(n, min_u64((uint64_t)max, written - taken));
            for (int i = 0; i < n; i++) {
                assert_int_equal(out[i].t_us, ++taken);
                assert_int_equal(out[i].up, (uint32_t)taken);
            }
        }
    }
}

static void test_lost_need_not_be_asked_for(void **state)
{
    (void)state;
    tern_trace_record memory[4], out[4];
    struct trace_ring r;
    uint64_t written = 0;
    trace_init(&r, memory, 4);
    write_records(&r, &written, 7);
    assert_int_equal(trace_take(&r, out, 4, NULL), 4);
    assert_int_equal(out[0].t_us, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_without_memory),
        cmocka_unit_test(test_random_writing_and_taking),
        cmocka_unit_test(test_lost_need_not_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
