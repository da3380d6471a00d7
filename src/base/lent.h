/* lent.h - bytes that queues refer to and do not own: memory outside of the arena, and shared pages.
 *
 *   queue ─▶ chunk ─▶ piece ─▶ piece ─▶ chunk            (chunkq.h: one list, pages and pieces mixed)
 *                       │        │
 *                       ▼        ▼
 *   hold ◀──────────────┴────────┘   counts its pieces; when the last one goes, what it holds goes back:
 *     │
 *     ├─ HOLD_PAGE  a page of the arena that several queues share      to the arena's free pages
 *     ├─ HOLD_LENT  memory that the program lent for sending           its tag waits for tern_returned
 *     └─ HOLD_LINK  a packet in a link's receive memory                its name waits for tern_rx_returned
 *
 * Memory outside is (region number, offset, length). The pointers that the numbers stand for are in `struct
 * regions`, which lies outside of the arena: a copy of the arena names foreign bytes and cannot reach them.
 * lent_next and lent_own turn them into bytes of the arena, so that nothing refers to foreign memory any
 * more.
 *
 * Invariants: (1) a hold's count is the number of its pieces, and one more while a packet is worked on; (2)
 * every piece names the queue in which it is, so a hold leads to all places that use it; (3) a hold of a
 * region is in that region's list, oldest first, from its first piece to its return; (4) each lent buffer is
 * reported once: it is a live hold, or waits in `back`, or has been fetched.
 */
#ifndef BASE_LENT_H
#define BASE_LENT_H

#include "list.h"
#include "sizes.h"

/* Where the regions are in this process. NULL: there is none of this number. */
struct regions {
    const uint8_t *base[REGIONS];
};

enum hold_kind { HOLD_PAGE = 1, HOLD_LENT, HOLD_LINK };

/* What pieces refer to. */
struct hold {
    uint32_t gen;
    struct place place;  /* of its region's holds, or of those that wait to be fetched */
    struct list pieces;  /* by piece.held, the newest first */
    uint32_t count;
    uint8_t kind;  /* enum hold_kind */
    uint8_t region; /* 0 = the arena: */
    uint16_t reserved;
    ref_t page;    /* HOLD_PAGE */
    uint32_t len;  /* HOLD_LENT: bytes lent; HOLD_LINK: bytes of the link's memory that it keeps */
    uint32_t reserved2;
    uint64_t at;   /* offset in the region */
    uint64_t tag;  /* HOLD_LENT: the program's; HOLD_LINK: the link's name of the buffer */
    uint64_t conn; /* HOLD_LENT: handle of the connection */
};
_Static_assert(sizeof(struct hold) == 64, "a hold is one cache line");

/* What stands in a queue: the head of a page whose bytes follow it, or of a piece. */
struct chunk {
    uint32_t gen;   /* of a piece */
    struct place place; /* in its queue */
    ref_t owner;    /* place of the queue, in grains, rounded down */
    uint32_t pos;   /* stream position of the first used byte */
    uint32_t off;   /* place of the first used byte: behind this header, or behind the hold's first byte */
    uint32_t used;  /* bytes, > 0 */
    ref_t hold;     /* 0 = a page of this queue alone, with its bytes behind this header */
};
_Static_assert(sizeof(struct chunk) == 32, "head of a chunk");

/* A reference to bytes of a hold. */
struct piece {
    struct chunk c;
    struct place held;          /* among the pieces of the same hold */
    uint32_t owner_low;         /* place of the queue, bytes above c.owner */
    uint32_t reserved;
};
_Static_assert(sizeof(struct piece) == 48, "a piece of a queue");

/* A region as the arena knows it. */
struct region {
    uint64_t len;               /* bytes; 0 = there is none of this number */
    uint64_t kept;              /* bytes that live holds keep */
    uint32_t holds;             /* live holds */
    struct list live;           /* these, oldest first */
    struct list back;           /* HOLD_LINK, waiting for the link to fetch them */
};

struct lent {
    struct pool holds, pieces;
    struct region region[REGIONS];
    struct list back;           /* HOLD_LENT, waiting for the program to fetch them, oldest first */
    uint32_t back_count;
    uint32_t lent_count;        /* live holds of kind HOLD_LENT */
    uint32_t link_count;        /* and HOLD_LINK */
    bool news;                  /* something has come back that the program has not been told of */
};

/* Two pools with these numbers; all else zero. `a->lent` must lead here before a queue refers to bytes. */
void lent_init(struct lent *l, uint32_t hold_pool, uint32_t piece_pool);
static inline struct lent *lent_of(struct arena *a) { return at(a, a->lent); }
static inline struct hold *hold_at(struct arena *a, ref_t r) { return at(a, r); }

/* A hold like `what` (kind and what it says), with no piece yet. 0 = refused. */
ref_t hold_new(struct arena *a, const struct hold *what, enum mem_prio prio);
/* One reference less; the last one gives back what it holds. */
void hold_drop(struct arena *a, ref_t hold);
/* Forget a hold that nothing refers to; nobody is told. */
void hold_forget(struct arena *a, ref_t hold);
/* The first byte of what it holds. */
const uint8_t *hold_bytes(const struct arena *a, const struct regions *g, const struct hold *h);

/* A received packet that may stay where it is. */
struct keep {
    const uint8_t *from; /* its first byte */
    struct hold what;    /* what a hold of it says */
    ref_t hold;          /* the hold, once a queue refers to it; 0 = none does */
};
/* The hold of a packet; made when first asked for. 0 = refused. */
ref_t keep_hold(struct arena *a, struct keep *k, enum mem_prio prio);
/* The packet is done with. Whether queues refer to it. */
bool keep_end(struct arena *a, struct keep *k);

/* A piece of `hold` for a queue, not yet linked there. 0 = refused. */
ref_t piece_new(struct arena *a, ref_t hold, uint32_t off, uint32_t used, enum mem_prio prio);
void piece_free(struct arena *a, ref_t piece);

/* A buffer that waits to be fetched: of the program (region 0), or of a link's region. False: none. */
bool lent_fetch(struct arena *a, int region, struct hold *out);

/* Copies bytes of a region that are in use into the arena, oldest buffer first, until holds that keep `bytes`
 * bytes have gone or nothing is left. False: memory was refused before that. */
bool lent_compact(struct arena *a, const struct regions *g, int region, uint64_t bytes);

/* For snapshots. A copy of the arena refers to foreign bytes and cannot reach them, so the image carries, for
 * each piece that refers to any: the piece, their number, and the bytes. In the restored arena lent_own is
 * called for each of these, then lent_cut.
 *
 * lent_next walks over those pieces: start with 0, 0 = no more; nothing may change in between. */
ref_t lent_next(const struct arena *a, ref_t piece);
/* The bytes of such a piece, *len of them, where they lie now. */
const uint8_t *lent_bytes(const struct arena *a, const struct regions *g, ref_t piece, uint32_t *len);
/* Make them bytes of the arena: `bytes` are copied, the piece goes, and a lent buffer that nothing else
 * refers to counts as returned. False: memory was refused; what was copied until then stays. */
bool lent_own(struct arena *a, ref_t piece, const uint8_t *bytes, enum mem_prio prio);
/* There are no regions any more, and no link waits for anything: after a restore, with every piece owned. */
void lent_cut(struct arena *a);

#endif
