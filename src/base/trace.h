/* trace.h - the ring of binary trace records, in memory that the caller gave. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "mem.h"
#include <tern/event.h>

struct trace_ring {
    tern_trace_record *records; /* NULL = off */
    uint64_t mask;              /* size - 1 */
    uint32_t kinds;             /* which are written: bit 1 << enum tern_trace_kind; 0 = off */
    uint64_t head;              /* records ever written */
    uint64_t tail;              /* next to be taken */
};

/* n must be a power of two (or records NULL). */
void trace_init(struct trace_ring *r, void *records, uint32_t n);

static inline bool trace_wants(const struct trace_ring *r, enum tern_trace_kind kind)
{
    return r->kinds >> kind & 1;
}

/* The place for the next record, zeroed; NULL when tracing is off. */
tern_trace_record *trace_next(struct trace_ring *r);
int trace_take(struct trace_ring *r, tern_trace_record *out, int max, uint64_t *lost);

#endif
