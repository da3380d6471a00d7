/* Which edges of the state table, and which reasons, a run of the stack has come to: told to libFuzzer, for
 * which a new one is as good as a new branch, and counted over all runs, for `fuzz-stack --reach`. */
#ifndef FUZZ_STACK_COVER_H
#define FUZZ_STACK_COVER_H

#include "fuzz/stack_sides.h"

static const struct {
    uint16_t cause;
    uint8_t from, to;
} edges[] = {
#define EDGE(cause, from, to) {TERN_C_##cause, TERN_##from, TERN_##to},
#include "tcp/state.def"
#undef EDGE
};

/* What libFuzzer looks at besides branches (its "extra counters"); it clears them before each run. */
__attribute__((used, section("__libfuzzer_extra_counters"))) static uint8_t
    edge_taken[ARRAY_LEN(edges)], refused_in[TERN_STATES][TERN_CAUSES], sent_in[TERN_STATES][TERN_CAUSES];

static struct {
    uint64_t edge[ARRAY_LEN(edges)], refused[TERN_CAUSES], sent[TERN_CAUSES];
} reach;

static void cover_edge(const tern_trace_record *r)
{
    for (size_t i = 0; i < ARRAY_LEN(edges); i++)
        if (edges[i].cause == r->cause && edges[i].from == r->state && edges[i].to == r->state_to) {
            edge_taken[i] = 1;
            reach.edge[i]++;
        }
}

static void cover_drop(uint16_t cause) { reach.refused[cause]++; }

/* What one side has done since it was last asked. */
static void cover_side(struct side *s)
{
    tern_trace_record r[32];
    for (int n; s->ring != NULL && (n = tern_trace_take(s->t, r, 32, NULL)) > 0;)
        for (int i = 0; i < n; i++) {
            uint32_t state = r[i].state % TERN_STATES;
            if (r[i].kind == TERN_TRACE_STATE)
                cover_edge(&r[i]);
            else if (r[i].kind == TERN_TRACE_DROP)
                refused_in[state][r[i].cause] = 1;
            else if (r[i].kind == TERN_TRACE_SEG_OUT) {
                sent_in[state][r[i].cause] = 1;
                reach.sent[r[i].cause]++;
            }
        }
}

#endif
