/* sizes.h - how long the tables are that stand in every stack's fixed part, used or not.
 *
 * There are two builds, and both are tested: the ordinary one, and the one for a small chip (-DTERN_SMALL=1),
 * where a stack's fixed part is 6 KiB instead of 60 (docs/EMBED.md). A table that is full never stops
 * the stack: each says here what happens then. What grows with the number of connections is in no such table.
 */
#ifndef BASE_SIZES_H
#define BASE_SIZES_H

#ifndef TERN_SMALL
#define TERN_SMALL 0
#endif

#define SIZE(ordinary, small) (TERN_SMALL ? (small) : (ordinary))

enum {
    REPLIES = SIZE(256, 8),       /* RSTs for no connection, waiting for tern_tx; more: dropped, counted */
    SKETCH_ROWS = SIZE(4, 2),     /* half-open records by source (sketch.c); fewer: counts are less exact */
    SKETCH_COLUMNS = SIZE(256, 32),
    IP_LINKS = SIZE(16, 4),       /* ids from 1 on, so one less; more: -TERN_ENOMEM */
    IP_ADDRS = SIZE(64, 8),       /* more: -TERN_ENOMEM */
    IP_ROUTES = SIZE(64, 8),      /* prefixes of addresses included; more: -TERN_ENOMEM */
    IP_ECHOES = SIZE(16, 2),      /* echo replies waiting for tern_tx; more: dropped, counted */
    IP_LEARNED = SIZE(16, 4),     /* routes, and addresses, by routers' advertisements (RFC4861-6.3.4-c) */
    NEIGHS = SIZE(1024, 16),      /* neighbours on Ethernet; more: one that is not spoken to gives way */
    NEIGH_BUCKETS = SIZE(128, 8), /* a power of two; fewer: longer chains */
    HELD_EACH = SIZE(4, 1),       /* packets that wait for one neighbour's address; more: the oldest goes */
    HELD_ALL = SIZE(256, 4),      /* for all of them; more: dropped, counted */
    HELD_MESSAGES = SIZE(256, 8),      /* ARP and neighbour discovery, waiting for tern_tx; more: dropped,
                                          counted */
    REGIONS = SIZE(16, 4),        /* of memory outside, ids from 1 on, so one less; more: -TERN_ENOMEM */
    FRAG_DATAGRAMS = SIZE(16, 2), /* in reassembly at a time; more: the oldest gives way */
    FRAG_PIECES = SIZE(64, 8),    /* of one datagram; more: it is given up */
    PAGES_LEAST = SIZE(48, 24),   /* of a block, beside the fixed part: fewer and tern_create refuses it */
    RX_AHEAD = SIZE(64, 1),       /* packets of a batch that are read before the first has its turn */
    WHEEL_BITS = SIZE(6, 4),      /* in each level of the timing wheel; fewer: more steps for a timer */
};

#undef SIZE

#endif
