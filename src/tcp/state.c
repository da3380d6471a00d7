/* state.c - the edges of the state diagram, looked for: where cause or aim of a change are known only when it
 * happens (state.h).
 */
#include "tcp/state.h"

/* An edge is one number, so that looking for it is quick. */
#define EDGE_KEY(cause, from, to) ((uint32_t)(cause) << 8 | (uint32_t)(from) << 4 | (uint32_t)(to))
_Static_assert(TERN_STATES <= 16, "four bits for a state");

/* The compiler makes a search tree of it, which takes a few comparisons. */
bool state_legal(enum tern_cause cause, enum tern_state from, enum tern_state to)
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
