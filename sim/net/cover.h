/* cover.h - how much of TCP has happened: states, edges of the state diagram, reasons for refusing a packet;
 * and what cannot happen in these worlds, with the reason. Whatever can and has not is a gap in the
 * worlds. */
#ifndef SIM_NET_COVER_H
#define SIM_NET_COVER_H

#include "net.h"

enum cover_kind { COVER_STATE, COVER_EDGE, COVER_DROP };

struct cover {
    uint64_t n;
    const char *why_not;  /* cannot happen here; NULL = it can */
    uint16_t cause;       /* of an edge, of a drop */
    uint8_t from, to;     /* of an edge; of a state: `to` */
    uint8_t kind;         /* enum cover_kind */
};

enum { COVER_MOST = 400 };

/* One entry for each state, edge and drop reason, in their order. Returns how many. */
uint32_t cover_list(const struct net_counts *k, struct cover out[COVER_MOST]);

/* How many of a kind can happen, and how many of those have. */
void cover_count(const struct cover *list, uint32_t n, enum cover_kind kind, uint32_t *can, uint32_t *have);

/* The number of segments that half of the connections have at least. */
uint32_t cover_median(const struct net_counts *k);

#endif
