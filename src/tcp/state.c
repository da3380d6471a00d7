/* state.c - the one door through which every change of state goes.
 *
 * Nobody else writes `state`. The door asserts that the edge is legal (state.def), keeps the reason and the
 * time on the record and in its history, and traces it. What follows from a change (timers, events, buffers)
 * is done by who asked for it.
 */
#include "tcp/tcp.h"

/* An edge is one number, so that looking for it is quick. */
#define EDGE_KEY(cause, from, to) ((uint32_t)(cause) << 8 | (uint32_t)(from) << 4 | (uint32_t)(to))
_Static_assert(TERN_STATES <= 16, "four bits for a state");

/* The compiler makes a search tree of it, which takes a few comparisons. */
static bool edge_legal(enum tern_cause cause, enum tern_state from, enum tern_state to)
{
    switch (EDGE_KEY(cause, from, to)) {
#define EDGE(cause, from, to) case EDGE_KEY(TERN_C_##cause, TERN_##from, TERN_##to):
#include "tcp/state.def"
#undef EDGE
        return true;
    default:
        return false;
    }
}

void state_edge(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                enum tern_state to)
{
    ASSERT(edge_legal(cause, from, to));
    trace_state(t, record, cause, from, to);
}

static void remember(struct tcb *c, enum tern_cause cause, uint8_t from, uint8_t to, uint64_t now)
{
    memmove(&c->history[1], &c->history[0], sizeof c->history - sizeof c->history[0]);
    c->history[0].cause = (uint16_t)cause;
    c->history[0].from = from;
    c->history[0].to = to;
    c->history[0].t_us = now;
}

void state_change(struct tern *t, struct conn_head *h, enum tern_cause cause, enum tern_state to)
{
    uint8_t from = h->state;
    if (h->kind == REC_TCB)
        remember((struct tcb *)h, cause, from, (uint8_t)to, t->w->now);
    t->w->wait_held += (to == TERN_TIME_WAIT) - (from == TERN_TIME_WAIT);
    h->state = (uint8_t)to;
    h->cause = (uint16_t)cause;
    h->since_us = t->w->now;
    if (to == TERN_ESTABLISHED)
        t->w->stats.established++;
    state_edge(t, h, cause, from, to);
}

/* A control block takes over from another record in the same state: no edge is taken. */
void state_inherit(struct tcb *c, enum tern_cause cause, enum tern_state state, uint64_t since_us)
{
    c->h.state = (uint8_t)state;
    c->h.cause = (uint16_t)cause;
    c->h.since_us = since_us;
    remember(c, cause, TERN_CLOSED, (uint8_t)state, since_us);
}
