/* state.h - the one door through which every change of state goes.
 *
 * A change names its cause; the door asserts that this edge exists for this cause (state.def), keeps reason
 * and time on the record and in its history, and traces it. What follows from a change (timers, events,
 * buffers) is done by who asked for it. It stands in a header because nearly every caller knows cause and aim
 * when it is compiled: then all that is left of the table is a comparison.
 */
#ifndef TCP_STATE_H
#define TCP_STATE_H

#include "tcp/tell.h"

/* Whether the diagram has this edge, by a search. */
bool state_legal(enum tern_cause cause, enum tern_state from, enum tern_state to);

/* The states that edges of this cause to this state begin in: bit s. */
static inline uint32_t state_origins(enum tern_cause cause, enum tern_state to)
{
    uint32_t bits = 0;
#define EDGE(c, f, s) bits |= (uint32_t)(cause == TERN_C_##c && to == TERN_##s) << TERN_##f;
#include "tcp/state.def"
#undef EDGE
    return bits;
}

static inline __attribute__((always_inline)) bool state_edge_is(enum tern_cause cause, enum tern_state from,
                                                                enum tern_state to)
{
    if (__builtin_constant_p(cause) && __builtin_constant_p(to))
        return state_origins(cause, to) >> from & 1;
    return state_legal(cause, from, to);
}

/* For a record whose kind is its state (half-open, timewait). */
static inline __attribute__((always_inline)) void state_edge(struct tern *t, const void *record,
                                                             enum tern_cause cause, enum tern_state from,
                                                             enum tern_state to)
{
    ASSERT(state_edge_is(cause, from, to));
    trace_state(t, record, cause, from, to);
}

static inline void state_remember(struct tcb *c, enum tern_cause cause, uint8_t from, uint8_t to,
                                  uint64_t now)
{
    memmove(&c->history[1], &c->history[0], sizeof c->history - sizeof c->history[0]);
    c->history[0].cause = (uint16_t)cause;
    c->history[0].from = from;
    c->history[0].to = to;
    c->history[0].t_us = now;
}

static inline __attribute__((always_inline)) void state_change(struct tern *t, struct conn_head *h,
                                                               enum tern_cause cause, enum tern_state to)
{
    uint8_t from = h->state;
    if (h->kind == REC_TCB)
        state_remember((struct tcb *)h, cause, from, (uint8_t)to, t->w->now);
    t->w->wait_held += (to == TERN_TIME_WAIT) - (from == TERN_TIME_WAIT);
    h->state = (uint8_t)to;
    h->cause = (uint16_t)cause;
    h->since_us = t->w->now;
    if (to == TERN_ESTABLISHED)
        t->w->stats.established++;
    state_edge(t, h, cause, (enum tern_state)from, to);
}

/* A control block takes over from another record in the same state: no edge is taken. */
static inline void state_inherit(struct tcb *c, enum tern_cause cause, enum tern_state state,
                                 uint64_t since_us)
{
    c->h.state = (uint8_t)state;
    c->h.cause = (uint16_t)cause;
    c->h.since_us = since_us;
    state_remember(c, cause, TERN_CLOSED, (uint8_t)state, since_us);
}

#endif
