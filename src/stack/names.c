/* names.c - names, rules and sentences of causes and states, from the one list; the edges of the diagram. */
#include "base/mem.h"
#include <tern/stats.h>

static const struct {
    const char *name, *rule, *text;
} causes[] = {
    {"NONE", "", ""},
#define CAUSE(name, rule, text) {#name, rule, text},
#include <tern/causes.def>
#undef CAUSE
};
_Static_assert(ARRAY_LEN(causes) == TERN_CAUSES, "every cause has its words");

static const char *const states[] = {"CLOSED",      "LISTEN",     "SYN_SENT",   "SYN_RCVD",
                                     "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",
                                     "CLOSING",     "LAST_ACK",   "TIME_WAIT"};
_Static_assert(ARRAY_LEN(states) == TERN_STATES, "every state has a name");

static const tern_edge edges[] = {
#define EDGE(cause, from, to) {TERN_C_##cause, TERN_##from, TERN_##to},
#include "tcp/state.def"
#undef EDGE
};

int tern_edges(tern_edge *out, int max)
{
    int n = (int)ARRAY_LEN(edges);
    for (int i = 0; i < n && i < max; i++)
        out[i] = edges[i];
    return n;
}

const char *tern_state_name(enum tern_state s) { return (unsigned)s < TERN_STATES ? states[s] : "?"; }
const char *tern_cause_name(enum tern_cause c) { return (unsigned)c < TERN_CAUSES ? causes[c].name : "?"; }
const char *tern_cause_rule(enum tern_cause c) { return (unsigned)c < TERN_CAUSES ? causes[c].rule : ""; }
const char *tern_cause_text(enum tern_cause c) { return (unsigned)c < TERN_CAUSES ? causes[c].text : ""; }
