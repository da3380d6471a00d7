/* why.c - see why.h. */
#include "why.h"

static const struct {
    tern_edge edge;
    const char *why;
} known[] = {
    {{TERN_C_KEEPALIVE_FAILED, TERN_ESTABLISHED, TERN_CLOSED}, "see the setting keepalive"},
};

const char *why_not(const tern_edge *edge)
{
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].edge.cause == edge->cause && known[i].edge.from == edge->from &&
            known[i].edge.to == edge->to)
            return known[i].why;
    return "wider bounds, or a setting that was not searched, may take it";
}
