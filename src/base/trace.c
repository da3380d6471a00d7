/* trace.c - the ring of binary trace records.
 *
 * The core writes what happens as records of fixed size into memory that the caller gave; others make text of
 * them. A full ring never stops the stack: the oldest records are overwritten, and the reader is told how
 * many.
 *
 *   records:   [ 8 | 9 | 10 | 11 | 4 | 5 | 6 | 7 ]      head = 12, tail = 3: record 3 was overwritten
 *                            ^head & mask
 *
 * Invariants: (1) tail <= head; (2) records head - size .. head - 1 are in the ring; (3) head and tail count
 * records since the beginning and do not wrap (64 bits).
 */
#include "base/trace.h"

void trace_init(struct trace_ring *r, void *records, uint32_t n)
{
    ASSERT(records == NULL || (n & (n - 1)) == 0);
    bool on = records != NULL && n != 0;
    *r = (struct trace_ring){
        .records = on ? records : NULL, .mask = on ? n - 1 : 0, .kinds = on ? UINT32_MAX : 0};
}

tern_trace_record *trace_next(struct trace_ring *r)
{
    if (r->records == NULL)
        return NULL;
    tern_trace_record *record = &r->records[r->head++ & r->mask];
    *record = (tern_trace_record){0};
    return record;
}

/* Step over records that are overwritten; how many. */
static uint64_t skip_lost(struct trace_ring *r)
{
    uint64_t size = r->mask + 1;
    if (r->head - r->tail <= size)
        return 0;
    uint64_t lost = r->head - size - r->tail;
    r->tail += lost;
    return lost;
}

int trace_take(struct trace_ring *r, tern_trace_record *out, int max, uint64_t *lost)
{
    uint64_t skipped = r->records == NULL ? 0 : skip_lost(r);
    if (lost != NULL)
        *lost = skipped;
    if (r->records == NULL)
        return 0;
    int n = 0;
    for (; n < max && r->tail != r->head; n++)
        out[n] = r->records[r->tail++ & r->mask];
    return n;
}
