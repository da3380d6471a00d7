/* shrink.h - from a world that fails to a small one that fails in the same way: fewer hosts, connections,
 * faults and attacks, smaller numbers, an earlier end.
 *
 * Delta debugging over the list of the plan's items (Zeller and Hildebrandt 2002): halves of what is left are
 * taken out, then quarters, down to single items, as long as the rest still fails; then each number is made
 * smaller, and so on until nothing more can go. Each try is a whole world, played from its beginning.
 */
#ifndef SIM_NET_SHRINK_H
#define SIM_NET_SHRINK_H

#include "net.h"

struct shrinker {
    struct net *net;
    struct net_counts *scratch; /* of the tries: not counted among the worlds */
    uint32_t check_every;
    uint32_t most;              /* tries, at most */
    uint64_t most_segments;     /* in all tries, at most; 0 = as many as it takes */
    uint32_t tries;             /* so far */
    const volatile int *stop;   /* not 0: enough; may be NULL */
    bool (*over)(void *with);   /* asked before each try: the time is over; may be NULL */
    void *with;
    bool unfinished;            /* it stopped before nothing more could go, for one of these reasons */
};

/* Shrink the plan in place; it fails with a complaint of the kind of `*c`, which is renewed. */
void shrink(struct shrinker *s, struct plan *plan, struct complaint *c);

#endif
