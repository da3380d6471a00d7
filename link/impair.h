/* impair.h - what an impairing link has done, for tests and reports. */
#ifndef LINK_IMPAIR_H
#define LINK_IMPAIR_H

#include <tern/host.h>

/* Packets of the wire (super-segments count as their pieces). */
typedef struct tern_impair_counts {
    uint64_t entered;    /* came in */
    uint64_t left;       /* went out, duplicates included */
    uint64_t lost;       /* by loss_ppm */
    uint64_t duplicated; /* extra copies made */
    uint64_t corrupted;  /* one bit flipped */
    uint64_t reordered;  /* held back */
    uint64_t marked;     /* made CE */
    uint64_t tail_drops; /* the queue before the limited rate was full */
    uint64_t overflow;   /* the path held IMPAIR_PATH_BYTES, or memory ran out */
    uint64_t refused;    /* the link inside did not take them */
} tern_impair_counts;

/* No direction holds more bytes than this: what a path of 5 Gbit/s and 100 ms has under way. */
#define IMPAIR_PATH_BYTES (64u << 20)

/* Counts of both directions. `l` must come from tern_link_impair. */
void tern_impair_get_counts(const tern_link *l, tern_impair_counts *tx, tern_impair_counts *rx);

#endif
