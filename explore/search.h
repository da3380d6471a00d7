/* search.h - every world that can be reached from a setting within its bounds, nearest first.
 *
 * The worlds are taken in the order in which they were found (breadth first), so the first path to a fault is
 * a shortest one. They are worked on in rounds of a fixed number: some threads try all the moves of their
 * share and note what comes out; then one looks up what is new, in order. So the result does not depend on
 * how many threads there are.
 *
 * A round's worlds are made again from their paths. Neighbours in the order of finding have most of their
 * path in common, and marks (mark.h) keep every world along the path, so one or two moves are made again for
 * a world, not the whole path.
 *
 * Safety is judged at every move: what the programs read, what the segments acknowledge, the stack's own
 * assertions (a trap is caught, and is a fault like any other). Progress is judged by good manners: from each
 * world one of its moves is what a network without faults and programs without haste would do next. Following
 * these from world to world, which costs nothing, since all have been visited, every world must come to an
 * end: no connection, no handle, no segment, no record. A world where nothing is left to do is stuck; a
 * circle is endless.
 */
#ifndef EXPLORE_SEARCH_H
#define EXPLORE_SEARCH_H

#include "duo.h"

#include <stdatomic.h>

struct search_progress {
    uint64_t states, expanded, transitions, faults;
};

struct search_config {
    const struct setting *setting;
    const struct bounds *bounds; /* NULL: the setting's own */
    uint64_t limit;              /* states; it stops a little above; 0 = none */
    unsigned threads;            /* 0 = 1 */
    unsigned probes;             /* in every world so many; in the first ones of a search all */
    /* Asked between rounds; false: it stops with what it has. NULL: it goes on. */
    bool (*go_on)(void *ctx, const struct search_progress *p);
    void *ctx;
};

enum { PATH_TOLD = 1000, FAULTS_MOST = 1000 };

/* A path to a fault, a shortest one of its kind. */
struct search_found {
    uint64_t times;           /* how often this kind of fault was found; 0 = never */
    uint32_t n;               /* moves */
    uint32_t circle;          /* FAULT_ENDLESS: from this move on it goes round */
    uint16_t move[PATH_TOLD]; /* the last one shows it, unless nothing moves any more */
    uint64_t trap_at;         /* FAULT_TRAP: where, an offset in the program's file; 0 = not known */
};

struct search_result {
    uint64_t states, expanded, transitions;
    uint64_t pairs[TERN_STATES][TERN_STATES]; /* states of A × states of B: worlds */
    uint64_t edges[4];                        /* bit by number in tern_edges */
    uint64_t faults;                          /* in all */
    uint64_t over;                            /* worlds in which all is over */
    uint32_t depth;                           /* moves of the longest of the shortest paths */
    bool complete;                            /* nothing was left to be tried */
    bool no_memory;
    struct search_found found[FAULTS];
};

/* Search. The result is the caller's to free; NULL: no memory to begin with. */
struct search_result *search(const struct search_config *config);

#endif
