/* same.c - two stacks that were played the same, in two ways: nobody can tell which is which. See lab.h. */
#include "lab/lab.h"

#include <tern/snapshot.h>

void lab_same_traces(struct lab *a, struct lab *b)
{
    tern_trace_record x, y;
    int more;
    do {
        more = tern_trace_take(a->t, &x, 1, NULL);
        assert_int_equal(tern_trace_take(b->t, &y, 1, NULL), more);
        if (more)
            assert_memory_equal(&x, &y, sizeof x);
    } while (more);
}

void lab_same_stacks(struct lab *a, struct lab *b)
{
    uint64_t x[2], y[2];
    tern_stats s, u;
    tern_digest(a->t, x);
    tern_digest(b->t, y);
    assert_memory_equal(x, y, sizeof x);
    tern_get_stats(a->t, &s);
    tern_get_stats(b->t, &u);
    assert_memory_equal(&s, &u, sizeof s);
}

void lab_same_answers(struct lab *a, struct lab *b)
{
    lab_collect(a);
    lab_collect(b);
    assert_int_equal(lab_pending(a), lab_pending(b));
    while (lab_pending(a) > 0) {
        const struct lab_out *x = lab_next(a), *y = lab_next(b);
        assert_int_equal(x->len, y->len);
        assert_memory_equal(x->bytes, y->bytes, x->len);
    }
}
