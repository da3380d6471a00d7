/* cover.c - see cover.h. */
#include "cover.h"

#include <string.h>

/* What cannot happen here, and why. */
static const struct {
    uint16_t cause;
    const char *why;
} never[] = {
    {TERN_C_ETHERNET_MALFORMED, "these links carry IP packets; there is no Ethernet below them"},
    {TERN_C_ARP_MALFORMED, "no Ethernet, so nobody asks for addresses by ARP"},
    {TERN_C_NDP_MALFORMED, "no Ethernet, so nobody asks for neighbours"},
};

static const char *why_never(uint16_t cause)
{
    for (uint32_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (never[i].cause == cause)
            return never[i].why;
    return NULL;
}

uint32_t cover_list(const struct net_counts *k, struct cover out[COVER_MOST])
{
    tern_edge edges[COVER_MOST];
    uint32_t n = 0, n_edges = (uint32_t)tern_edges(edges, COVER_MOST);
    for (uint8_t s = 0; s < TERN_STATES; s++)
        out[n++] = (struct cover){.kind = COVER_STATE, .to = s, .n = k->states[s]};
    for (uint32_t i = 0; i < n_edges && n < COVER_MOST; i++)
        out[n++] = (struct cover){.kind = COVER_EDGE,
                                  .cause = edges[i].cause,
                                  .from = edges[i].from,
                                  .to = edges[i].to,
                                  .n = k->edges[edges[i].cause][edges[i].from][edges[i].to]};
    /* causes.def has the reasons for refusing in one row */
    for (uint16_t c = TERN_C_IP_MALFORMED; c <= TERN_C_TEXT_IGNORED && n < COVER_MOST; c++)
        out[n++] = (struct cover){.kind = COVER_DROP, .cause = c, .n = k->drops[c], .why_not = why_never(c)};
    return n;
}

void cover_count(const struct cover *list, uint32_t n, enum cover_kind kind, uint32_t *can, uint32_t *have)
{
    *can = *have = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].kind != kind || list[i].why_not != NULL)
            continue;
        ++*can;
        *have += list[i].n > 0;
    }
}

uint32_t cover_median(const struct net_counts *k)
{
    uint64_t all = 0, above = 0;
    for (uint32_t i = 0; i < PER_CONN_MOST; i++)
        all += k->per_conn[i];
    for (uint32_t i = PER_CONN_MOST; i-- > 0;) {
        above += k->per_conn[i];
        if (above * 2 >= all)
            return i;
    }
    return 0;
}
