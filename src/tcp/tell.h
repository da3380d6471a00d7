/* tell.h - what happens is told to whoever gave a trace ring (trace.c). Costs one branch while nobody wants
 * that kind. `record` is any of listener, half-open, tcb, idle, timewait, or NULL. */
#ifndef TCP_TELL_H
#define TCP_TELL_H

#include "tcp/world.h"

COLD void trace_conn_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                           enum tern_cause cause, uint64_t a, uint64_t b, uint64_t c);
COLD void trace_segment_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                              const struct segment *s, enum tern_cause cause, uint64_t a);
COLD void trace_segment_of_write(struct tern *t, const struct who *who, enum tern_trace_kind kind,
                                 const struct segment *s, enum tern_cause cause, uint64_t a);
COLD void trace_state_write(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                            enum tern_state to);

static inline void trace_conn(struct tern *t, const void *record, enum tern_trace_kind kind,
                              enum tern_cause cause, uint64_t a, uint64_t b, uint64_t c)
{
    if (UNLIKELY(trace_wants(&t->trace, kind)))
        trace_conn_write(t, record, kind, cause, a, b, c);
}

static inline void trace_segment(struct tern *t, const void *record, enum tern_trace_kind kind,
                                 const struct segment *s, enum tern_cause cause, uint64_t a)
{
    if (UNLIKELY(trace_wants(&t->trace, kind)))
        trace_segment_write(t, record, kind, s, cause, a);
}

/* of what need not be there any more */
static inline void trace_segment_of(struct tern *t, const struct who *who, enum tern_trace_kind kind,
                                    const struct segment *s, enum tern_cause cause, uint64_t a)
{
    if (UNLIKELY(trace_wants(&t->trace, kind)))
        trace_segment_of_write(t, who, kind, s, cause, a);
}

static inline void trace_state(struct tern *t, const void *record, enum tern_cause cause,
                               enum tern_state from, enum tern_state to)
{
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_STATE)))
        trace_state_write(t, record, cause, from, to);
}

#endif
