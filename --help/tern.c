/* tern.c of tern 0.1.0, a TCP/IP stack that a program carries with it. Made from the sources
 * by scripts/amalgamate.py: change those. docs/EMBED.md says how to use it.
 *
 * MIT License
 *
 * Copyright (c) 2026 The tern authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy
 * of this software and associated documentation files (the "Software"), to deal
 * in the Software without restriction, including without limitation the rights
 * to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 * copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 */
#include "tern.h"

/* What one part of the core offers another stays in this file. */
#define TERN_PRIVATE static __attribute__((unused))
#define cc_table tern_private_cc_table

/* ====================================================================================== src/base/mem.h */

/* mem.h - the few words that every room uses: memory functions, assertions, small arithmetic. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The four functions that a compiler may call anyway; the core needs nothing else from outside. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* assert: a mistake of the programmer, ends the process. NEVER: handled, but must be unreachable; in debug
 * builds it ends the process too, so that tests see it. Usable as a condition: if (NEVER(x == 0)) return. */
#define ASSERT(x) ((x) ? (void)0 : __builtin_trap())
#ifdef NDEBUG
#define NEVER(x) __builtin_expect(!!(x), 0)
#else
#define NEVER(x) (__builtin_expect(!!(x), 0) ? (__builtin_trap(), true) : false)
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* A function that is seldom called: it lies apart, and the way to it at the end of its caller, so that what
 * is called for every packet lies dense and fits into the processor's instruction cache. */
#define COLD __attribute__((cold, noinline))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif

/* ==================================================================================== src/base/arena.h */

/* arena.h - the one block of memory: pages and records addressed by 32-bit references.
 *
 * The arena begins with its own header and holds no pointer at all, so the block can be copied, saved and
 * mapped elsewhere. A reference is an offset from the start of the block in units of 16 bytes (so 32 bits
 * reach 64 GiB); 0 is "none".
 *
 *   | struct arena | page-kind map | world | ....page....page....page....|<- high-water mark    untouched   |
 *
 * Memory is handed out in pages (config.page_size). A page is a slab of one pool's records, a payload chunk,
 * or part of a table, and returns to the free list when nothing lives in it. The map of kinds tells what a
 * page is now, so that an old handle can always be looked at and found stale.
 *
 * Invariants: (1) every page below the high-water mark is in exactly one kind; (2) free pages are linked
 * through their first word; (3) used pages never exceed the budget; (4) the last `reserve` pages of the
 * budget are for MEM_CONTROL, and half of them for MEM_EDGE; (5) so many pages are not in use as are
 * promised.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H


typedef uint32_t ref_t; /* offset / 16 from the arena's start; 0 = none */

#define GRAIN 16u

/* What a page holds. */
enum page_kind {
    PAGE_FREE,
    PAGE_FIXED,   /* header, map, world */
    PAGE_TABLE,
    PAGE_CHUNK,
    PAGE_POOL0,   /* PAGE_POOL0 + pool number */
};

/* How badly memory is wanted: the lower, the earlier refused. */
enum mem_prio {
    MEM_OOO,      /* out-of-order data: refused first */
    MEM_DATA,     /* in-order data, send buffers, new connections */
    MEM_EDGE,     /* the byte at RCV.NXT, without which nothing moves: may use half of the reserve */
    MEM_CONTROL,  /* what lets connections go on and end: may use all of the reserve */
};

struct arena {
    uint64_t size;        /* bytes of the block */
    uint64_t refused;     /* allocations refused, ever */
    uint32_t page_shift;  /* log2 of the page size */
    uint32_t map;         /* ref of the page-kind map: one byte a page */
    uint32_t pages_max;   /* budget, in pages, fixed part included */
    uint32_t pages_used;  /* high-water mark, in pages, fixed part included */
    uint32_t free_head;   /* first free page (page number), 0 = none */
    uint32_t free_count;
    uint32_t chunks;      /* pages of kind PAGE_CHUNK in use */
    ref_t lent;           /* what queues refer to and do not own (lent.h); 0 = nothing ever */
    uint64_t copied;      /* payload bytes copied, ever */
    uint32_t reserve;     /* pages kept for MEM_CONTROL */
    uint32_t fail_after;  /* tests: counts down at each allocation; the one that makes it 0 is refused, */
    uint32_t fail_more;   /* and so many behind it */
    uint32_t promised;    /* pages that are free and kept for somebody who was told so */
};

/* Bytes that the header, the map and `fixed` bytes behind them take, in whole pages; `size` is the block's or
 * the budget, whichever is less. */
TERN_PRIVATE size_t arena_fixed_size(uint64_t size, uint32_t page_size, size_t fixed);

/* Lay out an arena in `block`. `budget` bytes at most are ever used (0: all). On success `*fixed_at` is the
 * place of `fixed` zeroed bytes behind the map. False: too small. */
TERN_PRIVATE bool arena_init(struct arena *a, uint64_t size, uint64_t budget, uint32_t page_size, size_t fixed,
                void **fixed_at);

static inline void *at(struct arena *a, ref_t r) { return (uint8_t *)a + (size_t)r * GRAIN; }
static inline const void *at_const(const struct arena *a, ref_t r)
{
    return (const uint8_t *)a + (size_t)r * GRAIN;
}
static inline ref_t ref_of(const struct arena *a, const void *p)
{
    return (ref_t)((size_t)((const uint8_t *)p - (const uint8_t *)a) / GRAIN);
}
static inline uint32_t arena_page_size(const struct arena *a) { return 1u << a->page_shift; }

/* Tests: whether this allocation is the one that fail_after names. Pages and records count alike. */
static inline bool arena_fails(struct arena *a)
{
    if (LIKELY(a->fail_after == 0) || --a->fail_after != 0)
        return false;
    if (a->fail_more > 0)
        a->fail_more--, a->fail_after = 1;
    a->refused++;
    return true;
}

/* One page of a kind; its bytes are not cleared. 0 = refused. */
TERN_PRIVATE ref_t arena_page(struct arena *a, enum page_kind kind, enum mem_prio prio);
TERN_PRIVATE void arena_page_free(struct arena *a, ref_t page);

/* `n` neighbouring pages (tables only), cleared. 0 = refused. */
TERN_PRIVATE ref_t arena_pages(struct arena *a, uint32_t n, enum mem_prio prio);
TERN_PRIVATE void arena_pages_free(struct arena *a, ref_t first, uint32_t n);

/* Kind of the page that a reference points into; PAGE_FREE if it is outside of the used part. */
static inline enum page_kind arena_kind(const struct arena *a, ref_t r)
{
    uint32_t number = r >> (a->page_shift - 4);
    return number < a->pages_used ? (enum page_kind)((const uint8_t *)at_const(a, a->map))[number]
                                  : PAGE_FREE;
}

/* Pages of the budget that a request of this priority must leave alone. */
static inline uint32_t arena_kept_back(const struct arena *a, enum mem_prio prio)
{
    switch (prio) {
    case MEM_OOO: return max_u32(a->reserve, a->pages_max / 8);
    case MEM_DATA: return a->reserve;
    case MEM_EDGE: return a->reserve / 2;
    case MEM_CONTROL: return 0;
    }
    return 0;
}

/* How many more pages a request of this priority could get. */
static inline uint32_t arena_room(const struct arena *a, enum mem_prio prio)
{
    uint32_t left = a->pages_max - (a->pages_used - a->free_count) - a->promised;
    uint32_t kept = arena_kept_back(a, prio);
    return left > kept ? left - kept : 0;
}

/* Keep a page for a MEM_DATA request that is to come; to everybody else it is as if it were taken. False:
 * there is none. Redeemed just before that request, or when it will not come. */
TERN_PRIVATE bool arena_promise(struct arena *a);
TERN_PRIVATE void arena_redeem(struct arena *a);

/* Records of one size. Every record begins with a uint32_t generation: zero while the record is free. The
 * pool gives each life a new one, so (ref, generation) names one life of one record, also when the page has
 * belonged to others in between. An owner that has numbers of its own may put one there instead, never 0. */
struct pool {
    uint32_t size;     /* bytes of a record, a multiple of GRAIN */
    uint32_t number;   /* its pages are of kind PAGE_POOL0 + number */
    ref_t pages;       /* all pages, in a ring: those with free records first */
    uint32_t live;     /* records in use */
    uint32_t total;    /* records in all pages */
    uint32_t empty;    /* pages without live records: 0 or 1 */
    uint32_t next_gen; /* of the next life; never 0 */
};

TERN_PRIVATE void pool_init(struct pool *p, uint32_t number, uint32_t size);

/* A record, zeroed but for its generation. 0 = refused. */
TERN_PRIVATE ref_t pool_get(struct arena *a, struct pool *p, enum mem_prio prio);
TERN_PRIVATE void pool_put(struct arena *a, struct pool *p, ref_t r);

/* Whether `r` is the start of a live record of this pool with this generation. Safe for any values. */
TERN_PRIVATE bool pool_valid(const struct arena *a, const struct pool *p, ref_t r, uint32_t gen);
static inline uint32_t pool_gen(const struct arena *a, ref_t r) { return *(const uint32_t *)at_const(a, r); }

/* Walk over live records: start with *r = 0; returns false at the end. Order is fixed by the allocation
 * history. */
TERN_PRIVATE bool pool_next(const struct arena *a, const struct pool *p, ref_t *r);

/* The live record behind `r` in one page of the pool (r = 0: the first); 0 = the page's end. Unlike
 * pool_next this is indifferent to pages that come and go between two calls. */
TERN_PRIVATE ref_t pool_in_page(const struct arena *a, const struct pool *p, ref_t page, ref_t r);

#endif

/* ===================================================================================== src/base/list.h */

/* list.h - doubly linked lists of records: references instead of pointers, and no memory of their own.
 *
 *   list.head ─▶ [ ... next ─]─▶ [ ... next ─]─▶ [ ... next: 0 ]
 *           [ prev: 0 ... ] ◀─[─ prev ... ] ◀─[─ prev ... ] ◀─ list.tail
 *
 * A record carries a place for each list in which it can be; a call names which by the offset of that place
 * in the record. Whether the record is in the list now is its owner's to know.
 *
 * Invariants: (1) head and tail are 0 together, then the list is empty; (2) the neighbours of a place name
 * its record; (3) a place that is in no list is zero, when it was so before it came into one.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H


struct list {
    ref_t head, tail; /* records; 0 = none */
};

/* A record's place in a list. */
struct place {
    ref_t next, prev; /* the neighbouring records; 0 = none */
};

static inline struct place *place_at(struct arena *a, ref_t r, size_t offset)
{
    return (struct place *)(void *)((uint8_t *)at(a, r) + offset);
}

/* Walk: for (ref_t r = l.head; r != 0; r = list_next(a, r, offset)). */
static inline ref_t list_next(const struct arena *a, ref_t r, size_t offset)
{
    return ((const struct place *)(const void *)((const uint8_t *)at_const(a, r) + offset))->next;
}

/* Record r comes to stand before `where` (0: behind all others). */
static inline void list_insert(struct arena *a, struct list *l, ref_t r, ref_t where, size_t offset)
{
    ref_t before = where != 0 ? place_at(a, where, offset)->prev : l->tail;
    *place_at(a, r, offset) = (struct place){.next = where, .prev = before};
    if (before != 0)
        place_at(a, before, offset)->next = r;
    else
        l->head = r;
    if (where != 0)
        place_at(a, where, offset)->prev = r;
    else
        l->tail = r;
}

static inline void list_append(struct arena *a, struct list *l, ref_t r, size_t offset)
{
    list_insert(a, l, r, 0, offset);
}

static inline void list_remove(struct arena *a, struct list *l, ref_t r, size_t offset)
{
    struct place *p = place_at(a, r, offset), was = *p;
    *p = (struct place){0};
    if (was.prev != 0)
        place_at(a, was.prev, offset)->next = was.next;
    else
        l->head = was.next;
    if (was.next != 0)
        place_at(a, was.next, offset)->prev = was.prev;
    else
        l->tail = was.prev;
}

/* All of `from` comes to stand behind all others, in its order; `from` is empty afterwards. */
static inline void list_join(struct arena *a, struct list *l, struct list *from, size_t offset)
{
    if (from->head == 0)
        return;
    place_at(a, from->head, offset)->prev = l->tail;
    if (l->tail != 0)
        place_at(a, l->tail, offset)->next = from->head;
    else
        l->head = from->head;
    l->tail = from->tail;
    *from = (struct list){0};
}

#endif

/* ==================================================================================== src/base/sizes.h */

/* sizes.h - how long the tables are that stand in every stack's fixed part, used or not.
 *
 * There are two builds, and both are tested: the ordinary one, and the one for a small chip (-DTERN_SMALL=1),
 * where a stack's fixed part is 6 KiB instead of 50 (docs/EMBED.md). A table that is full never stops
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
    REGIONS = SIZE(16, 4),        /* of memory outside, ids from 1 on, so one less; more: -TERN_ENOMEM */
    FRAG_DATAGRAMS = SIZE(16, 2), /* in reassembly at a time; more: the oldest gives way */
    FRAG_PIECES = SIZE(64, 8),    /* of one datagram; more: it is given up */
    PAGES_LEAST = SIZE(48, 24),   /* of a block, beside the fixed part: fewer and tern_create refuses it */
    WHEEL_BITS = SIZE(6, 4),      /* in each level of the timing wheel; fewer: more steps for a timer */
};

#undef SIZE

#endif

/* ===================================================================================== src/base/lent.h */

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
TERN_PRIVATE void lent_init(struct lent *l, uint32_t hold_pool, uint32_t piece_pool);
static inline struct lent *lent_of(struct arena *a) { return at(a, a->lent); }
static inline struct hold *hold_at(struct arena *a, ref_t r) { return at(a, r); }

/* A hold like `what` (kind and what it says), with no piece yet. 0 = refused. */
TERN_PRIVATE ref_t hold_new(struct arena *a, const struct hold *what, enum mem_prio prio);
/* One reference less; the last one gives back what it holds. */
TERN_PRIVATE void hold_drop(struct arena *a, ref_t hold);
/* Forget a hold that nothing refers to; nobody is told. */
TERN_PRIVATE void hold_forget(struct arena *a, ref_t hold);
/* The first byte of what it holds. */
TERN_PRIVATE const uint8_t *hold_bytes(const struct arena *a, const struct regions *g, const struct hold *h);

/* A received packet that may stay where it is. */
struct keep {
    const uint8_t *from; /* its first byte */
    struct hold what;    /* what a hold of it says */
    ref_t hold;          /* the hold, once a queue refers to it; 0 = none does */
};
/* The hold of a packet; made when first asked for. 0 = refused. */
TERN_PRIVATE ref_t keep_hold(struct arena *a, struct keep *k, enum mem_prio prio);
/* The packet is done with. Whether queues refer to it. */
TERN_PRIVATE bool keep_end(struct arena *a, struct keep *k);

/* A piece of `hold` for a queue, not yet linked there. 0 = refused. */
TERN_PRIVATE ref_t piece_new(struct arena *a, ref_t hold, uint32_t off, uint32_t used, enum mem_prio prio);
TERN_PRIVATE void piece_free(struct arena *a, ref_t piece);

/* A buffer that waits to be fetched: of the program (region 0), or of a link's region. False: none. */
TERN_PRIVATE bool lent_fetch(struct arena *a, int region, struct hold *out);

/* Copies bytes of a region that are in use into the arena, oldest buffer first, until holds that keep `bytes`
 * bytes have gone or nothing is left. False: memory was refused before that. */
TERN_PRIVATE bool lent_compact(struct arena *a, const struct regions *g, int region, uint64_t bytes);

/* For snapshots. A copy of the arena refers to foreign bytes and cannot reach them, so the image carries, for
 * each piece that refers to any: the piece, their number, and the bytes. In the restored arena lent_own is
 * called for each of these, then lent_cut.
 *
 * lent_next walks over those pieces: start with 0, 0 = no more; nothing may change in between. */
TERN_PRIVATE ref_t lent_next(const struct arena *a, ref_t piece);
/* The bytes of such a piece, *len of them, where they lie now. */
TERN_PRIVATE const uint8_t *lent_bytes(const struct arena *a, const struct regions *g, ref_t piece, uint32_t *len);
/* Make them bytes of the arena: `bytes` are copied, the piece goes, and a lent buffer that nothing else
 * refers to counts as returned. False: memory was refused; what was copied until then stays. */
TERN_PRIVATE bool lent_own(struct arena *a, ref_t piece, const uint8_t *bytes, enum mem_prio prio);
/* There are no regions any more, and no link waits for anything: after a restore, with every piece owned. */
TERN_PRIVATE void lent_cut(struct arena *a);

#endif

/* =================================================================================== src/base/chunkq.h */

/* chunkq.h - a queue of bytes: send buffer, receive queue, out-of-order range.
 *
 * It is a list of chunks. A chunk is a page of this queue alone, a small header and then bytes; or a piece,
 * which refers to bytes that lie elsewhere: in a page that several queues share, in memory that the program
 * lent, in a link's receive buffer (lent.h). Chunks know their position in the stream (32 bits, modulo 2^32;
 * the owner uses sequence numbers), so that a reference to a chunk is a hint that makes finding a position
 * constant time.
 *
 *   head ─▶ [hdr|....bytes....] ─▶ [hdr|bytes bytes bytes] ─▶ (piece) ─▶ [hdr|bytes..      ] ◀─ tail
 *                ^ pos                                                              ^ pos + len
 */
#ifndef BASE_CHUNKQ_H
#define BASE_CHUNKQ_H


/* Fewer bytes than these are copied rather than referred to: the records would cost as much, and what they
 * refer to would stay for the sake of a few bytes. */
#define REFER_MIN 512u

struct chunkq {
    struct list list;
    uint32_t pos;    /* stream position of the first byte */
    uint32_t len;    /* bytes */
    uint32_t chunks; /* in the list */
};

/* An empty queue whose first byte will have position pos. */
TERN_PRIVATE void chunkq_init(struct chunkq *q, uint32_t pos);

/* Copy bytes to the end. Returns how many fitted (fewer than n: memory refused). */
TERN_PRIVATE uint32_t chunkq_append(struct arena *a, struct chunkq *q, const void *data, uint32_t n, enum mem_prio prio);

/* Refer to n bytes of a hold, from its byte `off` on, at the end. False: memory refused. */
TERN_PRIVATE bool chunkq_refer(struct arena *a, struct chunkq *q, ref_t hold, uint32_t off, uint32_t n,
                  enum mem_prio prio);

/* Bytes that are better copied before a reference is put behind them: what the last page lacks to be half
 * full. */
TERN_PRIVATE uint32_t chunkq_gap(struct arena *a, const struct chunkq *q);

/* Move all of `from` to the end of `q`; from->pos must be q's end. `from` is empty afterwards. */
TERN_PRIVATE void chunkq_join(struct arena *a, struct chunkq *q, struct chunkq *from);

/* Move the first n bytes of `from` (n <= its length) to the end of `q`, whatever their positions, without
 * copying them (but for less than REFER_MIN, and what fills a page that is nearly empty). Returns how many
 * were moved: fewer than n when memory was refused. */
TERN_PRIVATE uint32_t chunkq_move(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                     uint32_t n, enum mem_prio prio);

/* The same for n bytes of `from` from position pos on, which stay there too: both refer to them. */
TERN_PRIVATE uint32_t chunkq_share(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                      uint32_t pos, uint32_t n, enum mem_prio prio);

/* Put a copy of a piece's bytes in its place: `bytes` are copied into pages of the queue, the piece goes.
 * False: memory was refused; what was copied until then stays. */
TERN_PRIVATE bool chunkq_own(struct arena *a, struct chunkq *q, ref_t piece, const uint8_t *bytes, enum mem_prio prio);

/* Drop n bytes at the front, or at the end. n <= len. */
TERN_PRIVATE void chunkq_drop_front(struct arena *a, struct chunkq *q, uint32_t n);
TERN_PRIVATE void chunkq_drop_back(struct arena *a, struct chunkq *q, uint32_t n);
TERN_PRIVATE void chunkq_clear(struct arena *a, struct chunkq *q);

/* Copy out n bytes from position pos; must be inside. `g`: where foreign bytes are; NULL for a queue that
 * never referred to any. */
TERN_PRIVATE void chunkq_copy(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, void *out,
                 uint32_t n);

/* Slices for up to n bytes from position pos on (inside the queue), at most max slices. `hint` (may be NULL,
 * may hold 0, may be stale): where an earlier search of this queue ended; set to the chunk that holds pos.
 * Returns the number of slices; *got = their bytes. */
TERN_PRIVATE int chunkq_slices(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, uint32_t n,
                  ref_t *hint, tern_slice *out, int max, uint32_t *got);

#endif

/* ===================================================================================== src/base/fifo.h */

/* fifo.h - records of one size in order of arrival: added behind, taken from the front.
 *
 * For what all lasts equally long: the front is the next to go, and finding it costs nothing. A record may go
 * early and leaves a hole; a page in which nothing lives goes back at once, also from the middle.
 */
#ifndef BASE_FIFO_H
#define BASE_FIFO_H


/* A record begins with a uint32_t that is its owner's and never 0 while it lives. */
struct fifo {
    uint32_t size;       /* bytes of a record, a multiple of GRAIN */
    uint32_t number;     /* its pages are of kind PAGE_POOL0 + number */
    struct list chain;   /* pages, oldest first */
    uint32_t live;       /* records in use */
    uint32_t pages;
};

TERN_PRIVATE void fifo_init(struct fifo *f, uint32_t number, uint32_t size);

/* One more record behind all others, zeroed; its owner sets the first word before the next call. On a page of
 * its own when `turn`. 0 = refused. */
TERN_PRIVATE ref_t fifo_append(struct arena *a, struct fifo *f, bool turn, enum mem_prio prio);

TERN_PRIVATE void fifo_remove(struct arena *a, struct fifo *f, ref_t r);

/* The oldest record; 0 = none. */
TERN_PRIVATE ref_t fifo_front(const struct arena *a, const struct fifo *f);

/* Walk from the oldest to the newest: start with *r = 0; returns false at the end. */
TERN_PRIVATE bool fifo_next(const struct arena *a, const struct fifo *f, ref_t *r);

/* The live record behind `r` in one page (r = 0: the first); 0 = the page's end. */
TERN_PRIVATE ref_t fifo_in_page(const struct arena *a, const struct fifo *f, ref_t page, ref_t r);

/* A number for each page, the owner's; 0 on a new one. r: a record in it. */
TERN_PRIVATE uint64_t *fifo_note(struct arena *a, ref_t r);

/* Records that the pages have room for: more than live, when many went early. */
TERN_PRIVATE uint64_t fifo_room(const struct arena *a, const struct fifo *f);

#endif

/* ===================================================================================== src/base/htab.h */

/* htab.h - hash table from a 32-bit hash to references, growing a page at a time.
 *
 * Extendible hashing: a directory of 2^depth entries names segments of one page each; a full segment is split
 * in two, and only then does the directory double. So no insertion ever waits for a rehash of the whole. In a
 * segment: open addressing with linear probing; slots are {hash, ref}. The table does not know keys: the
 * caller compares records.
 *
 *   for (ref_t r = htab_first(a, h, hash, &it); r; r = htab_next(a, h, &it))
 *       if (same key) ...
 */
#ifndef BASE_HTAB_H
#define BASE_HTAB_H


struct htab {
    ref_t dir;        /* directory: uint32_t refs of segments */
    uint32_t dir_pages;
    uint32_t depth;   /* log2 of the directory's entries */
    uint32_t count;
};

struct htab_iter {
    uint32_t hash;
    ref_t segment;
    uint32_t slot;
};

/* False: no memory. */
TERN_PRIVATE bool htab_init(struct arena *a, struct htab *h);
TERN_PRIVATE void htab_free(struct arena *a, struct htab *h);
TERN_PRIVATE bool htab_insert(struct arena *a, struct htab *h, uint32_t hash, ref_t r, enum mem_prio prio);

/* The entry must be there. */
TERN_PRIVATE void htab_remove(struct arena *a, struct htab *h, uint32_t hash, ref_t r);

/* Put another record in the place of `from`, same hash: cannot fail. */
TERN_PRIVATE void htab_replace(struct arena *a, struct htab *h, uint32_t hash, ref_t from, ref_t to);
TERN_PRIVATE ref_t htab_first(const struct arena *a, const struct htab *h, uint32_t hash, struct htab_iter *it);
TERN_PRIVATE ref_t htab_next(const struct arena *a, const struct htab *h, struct htab_iter *it);

#endif

/* ==================================================================================== src/base/image.h */

/* image.h - the used part of an arena as a run of bytes, and back.
 *
 * An arena holds no pointer, so its bytes mean the same wherever they lie. What is worth keeping of it is the
 * header with the map of pages, the owner's fixed part, and every page below the high-water mark in which
 * something lives; of a free page only the link to the next one.
 */
#ifndef BASE_IMAGE_H
#define BASE_IMAGE_H


/* Bytes of the image of an arena whose fixed part has `fixed` bytes. */
TERN_PRIVATE uint64_t image_size(const struct arena *a, size_t fixed);

/* Bytes of the arena's header with the map of the pages that have been used. */
TERN_PRIVATE uint64_t image_front(const struct arena *a);

/* Bytes that the image keeps of page `number`: all, of a free page the link; 0 = it belongs to the fixed
 * part. */
TERN_PRIVATE uint64_t image_kept(const struct arena *a, uint32_t number);

/* Write it; returns the place behind its last byte. `out` has room for image_size bytes. */
TERN_PRIVATE uint8_t *image_save(const struct arena *a, const void *fixed_at, size_t fixed, uint8_t *out);

/* Whether `len` bytes begin as the image of an arena does, with every place in it inside of the arena, and
 * are as long as it says. They need not be aligned. */
TERN_PRIVATE bool image_sound(const uint8_t *in, uint64_t len, uint64_t fixed_offset, size_t fixed);

/* The most bytes that the arena of a sound image can ever use. */
TERN_PRIVATE uint64_t image_budget(const uint8_t *in);

/* Lay the arena of a sound image out at `a`, which has image_budget bytes of room. */
TERN_PRIVATE void image_load(struct arena *a, const uint8_t *in, uint64_t fixed_offset, size_t fixed);

/* The same for a living arena. */
TERN_PRIVATE void image_copy(struct arena *to, const struct arena *from, const void *fixed_at, size_t fixed);

/* What arena.h promises of the free pages and the map: true when it holds. `kinds`: how many kinds of page
 * there are. */
TERN_PRIVATE bool image_arena_sound(const struct arena *a, uint32_t kinds);

/* A sum of n bytes that changes with each of them. Not made against a forger. */
TERN_PRIVATE uint64_t image_sum(const void *data, uint64_t n);

#endif

/* ===================================================================================== src/base/rand.h */

/* rand.h - keyed hashing and random numbers, all drawn from the seed. */
#ifndef BASE_RAND_H
#define BASE_RAND_H


struct sipkey {
    uint64_t k0, k1;
};

/* SipHash-c-d (Aumasson, Bernstein 2012) of n bytes. 2-4 for what outsiders must not guess (ISN, ports), 1-3
 * for tables. */
TERN_PRIVATE uint64_t siphash24(struct sipkey key, const void *data, size_t n);
TERN_PRIVATE uint64_t siphash13(struct sipkey key, const void *data, size_t n);

/* Numbers from a key and a counter: siphash24(key, counter++). */
struct rng {
    struct sipkey key;
    uint64_t counter;
};

/* A key as 16 bytes. */
TERN_PRIVATE struct sipkey sipkey_of(const uint8_t key[16]);

/* Derive from a 32-byte seed and a purpose, so that no two purposes share a key. */
TERN_PRIVATE struct sipkey sipkey_derive(const uint8_t seed[32], uint32_t purpose);
TERN_PRIVATE void rng_init(struct rng *r, const uint8_t seed[32], uint32_t purpose);
TERN_PRIVATE uint64_t rng_u64(struct rng *r);
TERN_PRIVATE uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1 without bias; n > 0 */

#endif

/* ====================================================================================== src/base/seq.h */

/* seq.h - sequence numbers: a type of their own, compared modulo 2^32 (RFC 9293 3.4).
 *
 * A raw `a < b` on sequence numbers is wrong at 2^31 and 2^32; with a struct it does not compile.
 */
#ifndef BASE_SEQ_H
#define BASE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t v;
} seq_t;

static inline seq_t seq(uint32_t v) { return (seq_t){v}; }
static inline seq_t seq_add(seq_t a, uint32_t n) { return (seq_t){a.v + n}; }
static inline seq_t seq_sub(seq_t a, uint32_t n) { return (seq_t){a.v - n}; }

/* How far b is behind a; signed, within 2^31. */
static inline int32_t seq_diff(seq_t a, seq_t b) { return (int32_t)(a.v - b.v); }

/* Bytes from `from` up to `to`, which must not be before it. */
static inline uint32_t seq_span(seq_t from, seq_t to) { return to.v - from.v; }

static inline bool seq_eq(seq_t a, seq_t b) { return a.v == b.v; }
static inline bool seq_lt(seq_t a, seq_t b) { return seq_diff(a, b) < 0; }
static inline bool seq_le(seq_t a, seq_t b) { return seq_diff(a, b) <= 0; }
static inline bool seq_gt(seq_t a, seq_t b) { return seq_diff(a, b) > 0; }
static inline bool seq_ge(seq_t a, seq_t b) { return seq_diff(a, b) >= 0; }
static inline seq_t seq_max(seq_t a, seq_t b) { return seq_ge(a, b) ? a : b; }
static inline seq_t seq_min(seq_t a, seq_t b) { return seq_le(a, b) ? a : b; }

/* lo <= s < lo + n */
static inline bool seq_in(seq_t s, seq_t lo, uint32_t n) { return (uint32_t)(s.v - lo.v) < n; }

#endif

/* ====================================================================================== src/base/sum.h */

/* sum.h - a value of 128 bits made of words, in which every word and its place count; and one of several such
 * values in which their order does not. For comparing states (stack/digest.c), not against a forger.
 */
#ifndef BASE_SUM_H
#define BASE_SUM_H


struct sum {
    uint64_t a, b;
    /* bytes that are not a whole word yet: */
    uint64_t part;
    uint32_t n;
};

TERN_PRIVATE void sum_begin(struct sum *s, uint32_t purpose);
TERN_PRIVATE void sum_word(struct sum *s, uint64_t word);

/* A run of bytes, in pieces of any lengths; the pieces do not count. sum_bytes_end ends it. */
TERN_PRIVATE void sum_bytes(struct sum *s, const uint8_t *p, uint32_t n);
TERN_PRIVATE void sum_bytes_end(struct sum *s);

/* Add another sum to a set: neither the order nor the sums before it matter. */
TERN_PRIVATE void sum_join(struct sum *set, const struct sum *s);

#endif

/* ==================================================================================== src/base/trace.h */

/* trace.h - the ring of binary trace records, in memory that the caller gave. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H


struct trace_ring {
    tern_trace_record *records; /* NULL = off */
    uint64_t mask;              /* size - 1 */
    uint32_t kinds;             /* which are written: bit 1 << enum tern_trace_kind; 0 = off */
    uint64_t head;              /* records ever written */
    uint64_t tail;              /* next to be taken */
};

/* n must be a power of two (or records NULL). */
TERN_PRIVATE void trace_init(struct trace_ring *r, void *records, uint32_t n);

static inline bool trace_wants(const struct trace_ring *r, enum tern_trace_kind kind)
{
    return r->kinds >> kind & 1;
}

/* The place for the next record, zeroed; NULL when tracing is off. */
TERN_PRIVATE tern_trace_record *trace_next(struct trace_ring *r);
TERN_PRIVATE int trace_take(struct trace_ring *r, tern_trace_record *out, int max, uint64_t *lost);

#endif

/* ==================================================================================== src/base/wheel.h */

/* wheel.h - a hierarchical timing wheel: deadlines in microseconds, arm and cancel in constant time.
 *
 * Levels of 64 slots; level k has slots of 64^k us. A node lies in the level of the highest 6-bit digit in
 * which its deadline differs from the wheel's time, and sinks as time comes nearer. A bitmap per level finds
 * the next slot. Nodes are embedded in records at 16-byte aligned places and linked by reference. Nodes of
 * one slot are kept in order of arming, so that two runs with the same inputs fire in the same order.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H


enum { WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 48 / WHEEL_BITS };

struct wnode {
    ref_t next, prev;  /* in its slot; both 0 while it is not armed */
    uint32_t when_lo;  /* deadline relative to the wheel's origin, 48 bits */
    uint16_t when_hi;
    uint16_t slot;     /* level * WHEEL_SLOTS + slot + 1; 0 = not armed */
};

struct wheel {
    uint64_t origin;   /* us; the time at init */
    uint64_t now;      /* relative to origin */
    uint32_t armed;    /* nodes */
    uint32_t sinking;  /* level * WHEEL_SLOTS + slot + 1 whose nodes are on their way down; 0 = none */
    uint64_t bits[WHEEL_LEVELS];
    ref_t head[WHEEL_LEVELS][WHEEL_SLOTS], tail[WHEEL_LEVELS][WHEEL_SLOTS];
};

TERN_PRIVATE void wheel_init(struct wheel *w, uint64_t now);

/* Arm (or move) a node. A deadline in the past is due at the next pop. */
TERN_PRIVATE void wheel_set(struct arena *a, struct wheel *w, struct wnode *n, uint64_t when);
TERN_PRIVATE void wheel_cancel(struct arena *a, struct wheel *w, struct wnode *n);
static inline bool wheel_armed(const struct wnode *n) { return n->slot != 0; }
TERN_PRIVATE uint64_t wheel_when(const struct wheel *w, const struct wnode *n);

/* Take out one node whose deadline is <= now, in order of deadline; NULL when there is none (then the wheel
 * stands at now), or when *work is used up: each node that is touched takes one of it. wheel_next then names
 * a time that is past. */
TERN_PRIVATE struct wnode *wheel_pop(struct arena *a, struct wheel *w, uint64_t now, uint32_t *work);

/* The earliest deadline, or an earlier time at which the wheel needs a turn; UINT64_MAX = nothing armed. */
TERN_PRIVATE uint64_t wheel_next(const struct wheel *w);

#endif

/* ===================================================================================== src/wire/wire.h */

/* wire.h - the codecs: bytes of packets are touched here and nowhere else.
 *
 * parse: validates every length once into a plain struct; after that nothing can fail. Returns
 * TERN_CAUSE_NONE or why the packet is refused. emit: writes a header, returns its length. No function keeps
 * a pointer beyond the struct's `data`.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H


static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static inline void put32(uint8_t *p, uint32_t v) { put16(p, (uint16_t)(v >> 16)), put16(p + 2, (uint16_t)v); }

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_FRAGMENT = 44, PROTO_ICMP6 = 58 };
enum { ECN_NOT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

/* Internet checksum (RFC 1071). csum_add: `sum` plus that of n bytes, which begin at an even offset unless
 * `odd`; it grows by at most 65535, so sums may be added. csum_fold: to 16 bits, complemented, in host order
 * (put16 it). */
TERN_PRIVATE uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t n);
TERN_PRIVATE uint64_t csum_add_odd(uint64_t sum, const uint8_t *p, size_t n);
TERN_PRIVATE uint16_t csum_fold(uint64_t sum);
/* Sum of bytes that lie in pieces; the first one begins at an even offset. */
TERN_PRIVATE uint64_t csum_slices(uint64_t sum, const tern_slice *slices, uint32_t n);
/* Sum of the pseudo-header (RFC 9293 3.1; RFC 8200 8.1 for IPv6). */
TERN_PRIVATE uint64_t csum_pseudo(const tern_ip *src, const tern_ip *dst, uint8_t proto, uint32_t len);

/* An IP packet, IPv4 or IPv6. */
struct ip_hdr {
    tern_ip src, dst;
    const uint8_t *payload;   /* behind all headers */
    uint32_t payload_len;
    uint32_t total_len;       /* of the packet; bytes behind it are padding */
    uint16_t hdr_len;         /* all IP headers: options or extension headers included */
    uint8_t version;          /* 4, 6 */
    uint8_t proto;            /* of the payload (behind IPv6 extension headers) */
    uint8_t ttl;
    uint8_t tos;              /* Diffserv << 2 | ECN */
    bool fragment;            /* part of a datagram: */
    bool more;                /* more fragments follow */
    bool dont_fragment;       /* IPv4's DF */
    bool source_route;        /* IPv4: has LSRR or SSRR; IPv6: routing header with segments left */
    uint32_t frag_off;        /* bytes */
    uint32_t frag_id;
    uint16_t frag_hdr_len;    /* bytes of headers before the fragmentable part */
};

/* Parse any IP packet (by its version). IP options and extension headers that are unknown are stepped over
 * (MUST-50). */
TERN_PRIVATE enum tern_cause ip_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out);

/* Write an IPv4 (20 bytes, checksum made, DF set) or IPv6 (40 bytes) header for `payload_len` bytes. `id`:
 * IPv4 identification. Returns its length. */
TERN_PRIVATE uint16_t ip_emit(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl, uint8_t tos,
                 uint32_t payload_len, uint16_t id);

/* The same for one fragment of a datagram: `payload_len` bytes at `offset` (a multiple of 8), more to follow
 * or not. IPv6 gets its fragment header: 48 bytes. */
TERN_PRIVATE uint16_t ip_emit_fragment(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl,
                          uint8_t tos, uint32_t payload_len, uint16_t id, uint32_t offset, bool more);

/* Take DF out of an IPv4 header that ip_emit wrote: routers may cut this packet. */
TERN_PRIVATE void ip4_allow_fragments(uint8_t *p);

enum { F_FIN = 1, F_SYN = 2, F_RST = 4, F_PSH = 8, F_ACK = 16, F_URG = 32, F_ECE = 64, F_CWR = 128 };

#define WSCALE_NONE 0xff
#define MAX_SACK 4

struct keep; /* base/lent.h */

struct sack_block {
    seq_t left, right;
};

/* TCP options, parsed or to be written. */
struct tcp_opts {
    uint16_t mss;           /* 0 = absent */
    uint8_t wscale;         /* 0..14 (larger ones are read as 14, RFC 7323 2.3); WSCALE_NONE = absent */
    bool sack_ok;           /* SACK permitted */
    bool ts;                /* timestamps present */
    uint8_t n_sack;
    uint32_t ts_val, ts_ecr;
    struct sack_block sack[MAX_SACK];
};

/* One TCP segment, validated. Passed down as const. */
struct segment {
    tern_ip src, dst;
    uint16_t src_port, dst_port;
    seq_t seq, ack;
    uint16_t wnd;           /* as on the wire, unscaled */
    uint16_t up;            /* urgent pointer field */
    uint8_t flags;          /* F_... */
    uint8_t tos, ttl, link;
    bool fragments;         /* out: DF is left off (IPv4), the path is narrower than we cut */
    uint16_t gso_size;      /* payload of one original segment when this is a super-segment; 0 = one */
    const uint8_t *data;    /* payload */
    uint32_t len;           /* payload bytes, without SYN and FIN */
    struct keep *keep;      /* received: where it may stay; NULL = it must be copied */
    struct tcp_opts opt;
};

/* SEG.LEN: counts SYN and FIN (RFC 9293 3.4). */
static inline uint32_t seg_len(const struct segment *s)
{
    return s->len + ((s->flags & F_SYN) != 0) + ((s->flags & F_FIN) != 0);
}

/* Parse the TCP header in ip->payload. `verify`: check the checksum too. Options are read on every segment
 * (MUST-5), at any offset (MUST-64), unknown ones stepped over (MUST-6); an impossible length gives
 * TCP_OPTION_LENGTH (MUST-7): then all of `out` but the options behind it is valid, so that it can be
 * answered. `link` and `gso_size` are 0: the caller knows them. */
TERN_PRIVATE enum tern_cause tcp_parse(const struct ip_hdr *ip, bool verify, struct segment *out);

/* Write a TCP header with options (each once; padded with NOP before, so that timestamps stand at a
 * multiple of 4). No MSS without F_SYN (MUST-65). SACK blocks as many as fit. Checksum field left 0.
 * Returns its length, 20..60. */
TERN_PRIVATE uint16_t tcp_emit(uint8_t *p, const struct segment *s);

/* Bytes that these options will take in the header, padded to 4. */
TERN_PRIVATE uint16_t tcp_opts_len(const struct tcp_opts *o, uint8_t flags);

/* ICMP and ICMPv6. */
enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACH = 3,
    ICMP_QUENCH = 4,
    ICMP_ECHO = 8,
    ICMP_TIME = 11,
    ICMP_PARAM = 12
};
enum {
    ICMP6_UNREACH = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_TIME = 3,
    ICMP6_PARAM = 4,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_ROUTER_SOLICIT = 133,
    ICMP6_ROUTER_ADVERT = 134,
    ICMP6_NEIGHBOUR_SOLICIT = 135,
    ICMP6_NEIGHBOUR_ADVERT = 136
};

struct icmp_msg {
    uint8_t version;        /* 4, 6 */
    uint8_t type, code;
    uint32_t rest;          /* second word: echo id and sequence, next-hop MTU, pointer */
    const uint8_t *body;    /* behind the 8 bytes */
    uint32_t body_len;
    bool is_error;          /* type of an error with an embedded packet */
    bool has_tcp;           /* the embedded packet is TCP, with at least ports and sequence number: */
    tern_ip in_src, in_dst; /* of the embedded packet: in_src is us */
    uint16_t in_src_port, in_dst_port;
    seq_t in_seq;
};

/* Parse and verify the checksum. */
TERN_PRIVATE enum tern_cause icmp_parse(const struct ip_hdr *ip, struct icmp_msg *out);

/* Write the 8 bytes of an ICMP (or, by version, ICMPv6) message whose body stands at `body`; checksum
 * made. */
TERN_PRIVATE void icmp_emit(uint8_t *p, uint8_t version, uint8_t type, uint8_t code, uint32_t rest, const uint8_t *body,
               uint32_t body_len, const tern_ip *src, const tern_ip *dst);

/* Kinds of addresses. Each is asked several times a packet, and is shorter than a call. IPv4 addresses are
 * ::ffff:a.b.c.d, so byte 12 is their first. */
static inline bool ip_eq(const tern_ip *a, const tern_ip *b) { return memcmp(a->b, b->b, sizeof a->b) == 0; }

/* 224.0.0.0/4 (RFC 1112 4); ff00::/8 (RFC 4291 2.7). */
static inline bool ip_is_multicast(const tern_ip *ip)
{
    return tern_ip_is4(ip) ? (ip->b[12] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

/* 0.0.0.0 (RFC 1122 3.2.1.3 a); :: (RFC 4291 2.5.2). */
static inline bool ip_is_unspecified(const tern_ip *ip)
{
    static const tern_ip none;
    return tern_ip_is4(ip) ? get32(ip->b + 12) == 0 : ip_eq(ip, &none);
}

/* 255.255.255.255 (RFC 1122 3.2.1.3 c). */
static inline bool ip_is_broadcast4(const tern_ip *ip)
{
    return get32(ip->b + 12) == 0xffffffff && tern_ip_is4(ip);
}

/* fe80::/10 (RFC 4291 2.5.6). */
static inline bool ip_is_link_local6(const tern_ip *ip)
{
    return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

/* A pair of addresses of one family as the small records keep it: 8 bytes of IPv4, 32 of IPv6. */
static inline void ip_pair_write(uint8_t *out, const tern_ip *local, const tern_ip *remote)
{
    uint32_t skip = tern_ip_is4(remote) ? 12 : 0, n = 16 - skip;
    memcpy(out, local->b + skip, n);
    memcpy(out + n, remote->b + skip, n);
}

static inline void ip_pair_read(const uint8_t *in, bool ip4, tern_ip *local, tern_ip *remote)
{
    *local = *remote = ip4 ? tern_ip4(0, 0, 0, 0) : (tern_ip){{0}};
    uint32_t skip = ip4 ? 12 : 0, n = 16 - skip;
    memcpy(local->b + skip, in, n);
    memcpy(remote->b + skip, in + n, n);
}

/* Whether the first `len` bits (of the family: IPv4 counts from the last 4 bytes) agree. */
TERN_PRIVATE bool ip_prefix_eq(const tern_ip *a, const tern_ip *b, int len);

#endif

/* ======================================================================================= src/ip/frag.h */

/* frag.h - reassembly of fragmented datagrams, IPv4 (RFC 791 3.2) and IPv6 (RFC 8200 4.5), within limits.
 *
 * The table lies in the stack's world, which never moves in the arena; all zero = empty.
 */
#ifndef IP_FRAG_H
#define IP_FRAG_H


enum {
    FRAG_PER_SOURCE = 4,       /* of these, from one source (an IPv4 address, an IPv6 /64) */
    FRAG_HDR_MAX = 256,        /* bytes of headers before the fragmentable part */
    FRAG_TIMEOUT_US = 60000000 /* from the first piece: RFC 8200 4.5; RFC 1122 3.3.2 asks for 60 to 120 s */
};

/* Bytes of the fragmentable part that have come; in order of arrival. */
struct frag_piece {
    uint16_t start, len;
};

/* One datagram. It is told from others by source, destination, identification, link and, in IPv4,
 * protocol. */
struct frag_datagram {
    uint64_t deadline;  /* us */
    tern_ip src, dst;
    uint32_t id;
    uint32_t got;       /* bytes that have come */
    uint32_t high;      /* end of the piece that ends last */
    uint32_t total;     /* bytes in all; 0 = the last piece has not come */
    uint32_t hdr_at;    /* where the first piece's headers stand in the queue: behind its bytes */
    uint16_t hdr_len;   /* 0 = it has not come */
    uint16_t refused;   /* enum tern_cause: given up, and its later fragments with it; 0 = not */
    uint8_t used;
    uint8_t proto;      /* as the first piece says; in IPv4 of all */
    uint8_t link;
    uint8_t ecn;        /* codepoints seen: bit 1 << ECN_... */
    uint32_t n_pieces;
    struct chunkq q;    /* the bytes of the pieces, in their order, and the headers */
    struct frag_piece pieces[FRAG_PIECES];
};

struct frag_table {
    uint64_t timeouts;  /* datagrams given up because of their age, ever */
    uint64_t evicted;   /* datagrams that gave way to others, ever */
    uint32_t live;      /* records in use */
    ref_t whole;        /* the datagram made whole last: a run of pages, kept for the next; 0 = none yet */
    uint32_t whole_pages;
    uint32_t reserved;
    struct frag_datagram d[FRAG_DATAGRAMS];
};

/* A datagram made whole: header and payload, no fragment any more. Valid until the next frag_add. */
struct frag_packet {
    const uint8_t *data; /* NULL = not yet */
    uint32_t len;
};

/* Add a packet that ip_parse calls a fragment; `packet` is its first byte. Returns TERN_CAUSE_NONE when it
 * was kept or was known already; when it was the missing one, `out` is the whole packet, which ip_parse
 * accepts and calls no fragment. Otherwise the cause of the refusal. */
TERN_PRIVATE enum tern_cause frag_add(struct arena *a, struct frag_table *t, uint64_t now, const struct ip_hdr *ip,
                         const uint8_t *packet, uint8_t link, struct frag_packet *out);

/* Give up what is too old. Returns how many datagrams that were; cause FRAGMENT_TIMEOUT. */
TERN_PRIVATE uint32_t frag_expire(struct arena *a, struct frag_table *t, uint64_t now);

/* When frag_expire has something to do; UINT64_MAX = never. */
TERN_PRIVATE uint64_t frag_next_deadline(const struct frag_table *t);

/* Datagrams in the table, given up ones included. */
static inline uint32_t frag_live(const struct frag_table *t) { return t->live; }

/* Give up all of them, and all memory. */
TERN_PRIVATE void frag_clear(struct arena *a, struct frag_table *t);

#endif

/* ========================================================================================= src/ip/ip.h */

/* ip.h - addresses, routes, links, and the answers that IP gives by itself.
 *
 * A handful of addresses and routes, so plain arrays searched in order. Nothing here knows TCP:
 * stack/rx.c asks here whose a packet is and hands segments on.
 */
#ifndef IP_IP_H
#define IP_IP_H


struct ip_addr {
    tern_ip ip;
    uint8_t link;
    uint8_t prefix_len;
    bool deprecated;
};

struct ip_route {
    tern_ip dst;
    uint8_t link;
    uint8_t prefix_len;
    bool asked;        /* by the program; else it is the prefix of an address */
};

/* An echo reply waiting for tern_tx. */
struct ip_echo {
    tern_ip src, dst;
    uint32_t rest;
    uint8_t link;
    uint8_t tos;
    uint16_t id;       /* of the fragments, when it must be cut (RFC 1122 3.2.2.6) */
    uint32_t at;       /* bytes of the message already emitted */
    struct chunkq body;
};

struct ip_state {
    tern_link_info links[IP_LINKS]; /* mtu 0 = no such link */
    uint32_t up;                    /* bit id: the link is there and up */
    struct ip_addr addrs[IP_ADDRS];
    struct ip_route routes[IP_ROUTES];
    uint32_t n_addrs, n_routes;
    struct ip_echo echoes[IP_ECHOES]; /* a ring: */
    uint32_t echo_head, echo_count;
    uint32_t echo_sent;               /* emitted, pages not yet released */
    uint16_t id;                      /* IPv4 identification */
    struct frag_table frag;
};

/* The tables (the errors are those of tern.h and net.h). ip_link_add: `taken` has the bits of ids that must
 * not be given yet. */
TERN_PRIVATE int ip_link_add(struct ip_state *s, const tern_link_info *info, uint32_t taken);
TERN_PRIVATE int ip_link_set(struct ip_state *s, int link, const tern_link_info *info);
TERN_PRIVATE int ip_link_up(struct ip_state *s, int link, bool up);
TERN_PRIVATE int ip_link_remove(struct ip_state *s, int link);
TERN_PRIVATE int ip_addr_add(struct ip_state *s, int link, const tern_ip *ip, int prefix_len);
TERN_PRIVATE struct ip_addr *ip_addr_find(struct ip_state *s, int link, const tern_ip *ip, int *error);
TERN_PRIVATE void ip_addr_remove(struct ip_state *s, struct ip_addr *a);
TERN_PRIVATE int ip_route_add(struct ip_state *s, int link, const tern_ip *dst, int prefix_len);
TERN_PRIVATE int ip_route_remove(struct ip_state *s, int link, const tern_ip *dst, int prefix_len);
TERN_PRIVATE int ip_route_replace(struct ip_state *s, int link, const tern_ip *dst, int prefix_len);

static inline bool ip_link_known(const struct ip_state *s, int link)
{
    return link > 0 && link < IP_LINKS && s->links[link].mtu != 0;
}
static inline bool ip_link_is_up(const struct ip_state *s, uint32_t link) { return s->up >> link & 1; }

/* Zone of a pair of addresses: the link, when one of them has a meaning on that link only (RFC 4007 6);
 * otherwise 0. */
static inline uint8_t ip_zone(const tern_ip *a, const tern_ip *b, uint8_t link)
{
    return ip_is_link_local6(a) || ip_is_link_local6(b) ? link : 0;
}

/* Whether packets to `ip` that come by `link` (0: by any) are ours. */
TERN_PRIVATE bool ip_is_ours(const struct ip_state *s, const tern_ip *ip, int link);

/* Whether a peer may have this address: neither unspecified, nor multicast, nor broadcast, that of our
 * prefixes included (RFC 9293 3.9.2.3; RFC 1122 3.2.1.3). */
TERN_PRIVATE bool ip_valid_peer(const struct ip_state *s, const tern_ip *ip);
TERN_PRIVATE bool ip_is_broadcast(const struct ip_state *s, const tern_ip *ip);

/* Link towards a destination (longest prefix, of links that are up); 0 = no route. */
TERN_PRIVATE int ip_route(const struct ip_state *s, const tern_ip *dst);

/* The same, links that are down included. */
TERN_PRIVATE int ip_route_any(const struct ip_state *s, const tern_ip *dst);

/* The way of a connection: `home`, where its peer is known to be (0: not known), while that is up; else by
 * the routes, unless one of the addresses is link-local. 0 = there is no way now. */
TERN_PRIVATE uint8_t ip_way(const struct ip_state *s, const tern_ip *local, const tern_ip *remote, uint8_t home);

/* source.c: source address for a destination by that link (RFC 6724 5); false: none. */
TERN_PRIVATE bool ip_source(const struct ip_state *s, int link, const tern_ip *dst, tern_ip *out);

/* Largest TCP payload with an option-less header on this link: MMS_S - 20 (RFC 9293 MUST-16, MUST-67). */
TERN_PRIVATE uint32_t ip_mss(const struct ip_state *s, int link, const tern_ip *remote);

/* Take an echo request: a reply is queued. False: no room (dropped). */
TERN_PRIVATE bool ip_echo_queue(struct arena *a, struct ip_state *s, const struct ip_hdr *ip, const struct icmp_msg *m,
                   uint8_t link);

/* Emit one waiting echo reply; false = none. */
TERN_PRIVATE bool ip_echo_emit(struct arena *a, struct ip_state *s, tern_tx_packet *out);

/* Release the pages of the replies emitted so far. */
TERN_PRIVATE void ip_echo_done(struct arena *a, struct ip_state *s);

#endif

/* ===================================================================================== src/tcp/small.h */

/* small.h - the records of connections that need no control block (the picture is in tcb.h): half-open, at
 * rest, in TIME_WAIT.
 *
 * There may be millions of each, so every byte is counted: a field is here only if nothing else tells it, and
 * is as wide as it must be. Each begins with a word that is not 0 while it lives. None has a head that is
 * common to all; who.c tells who they are.
 */
#ifndef TCP_SMALL_H
#define TCP_SMALL_H


/* --- half-open (halfopen.c, backlog.c) -------------------------------------------------------------- */

/* A connection between the peer's SYN and its ACK of our SYN+ACK, made by a listener: 48 bytes, of IPv6 80.
 * halfopen.c derives the rest: the window and the settings are the listener's, our timestamps begin at a
 * function of the addresses, and the next repetition is due a fixed time after the last. */
struct halfopen {
    uint32_t id;           /* low half of the connection number, never 0; the pool's generation */
    seq_t iss, irs;
    uint32_t ts_recent;    /* the peer's timestamp */
    ref_t listener;
    struct place place;    /* in its queue */
    uint16_t local_port, remote_port;
    uint32_t mss : 16;     /* the peer's MSS option, or the default */
    uint32_t snd_wscale : 4, rcv_wscale : 4; /* as agreed; SHIFT_NONE: no scaling */
    uint32_t link : 4;     /* where the SYN came from */
    uint32_t ts : 1, sack : 1, ecn : 1;
    uint32_t repeated : 1; /* a SYN+ACK has answered a repeated SYN */
    uint32_t sent : 26;    /* when the last SYN+ACK left by itself, units of 8 us, wraps after 9 min */
    uint32_t challenged : 1; /* a challenge ACK has been sent since then */
    uint32_t follows : 1;  /* a record in TIME_WAIT may be parked behind it (RFC 9293 3.6.1) */
    uint32_t queue : 4;    /* of the listener, below */
    uint8_t pair[];        /* of addresses: 8 bytes, of IPv6 32 (ip_pair_write) */
};
#define HALFOPEN4_SIZE ((sizeof(struct halfopen) + 8 + 15) & ~(size_t)15)
#define HALFOPEN6_SIZE ((sizeof(struct halfopen) + 32 + 15) & ~(size_t)15)
_Static_assert(HALFOPEN4_SIZE <= 48 && HALFOPEN6_SIZE <= 80, "with 12.7 bytes of table below 64 and 96");
#define SHIFT_NONE 15u

/* Queues of a listener's half-open records. In each the first is the next to become due, because all of it
 * waits equally long. */
enum {
    QUEUE_NOW,             /* its first SYN+ACK is to be sent */
    QUEUE_SENT,            /* QUEUE_SENT + n: n repetitions were sent, by itself */
    QUEUE_PENDING = 14,    /* not answered: the program is to look at it */
    QUEUE_TAKEN,           /* it has, and is to decide */
    QUEUES,
};

/* --- at rest (idle.c, idle_pack.c) ------------------------------------------------------------------- */

/* 48 bits: times in us (8.9 years from the clock's origin), byte counts (281 TB). */
struct u48 {
    uint16_t w[3];
};

enum idle_end { IDLE_LIVES, IDLE_CLOSE, IDLE_ABORT };

/* A connection at rest (idle.c): what cannot be had from anything else while nothing is in flight, queued,
 * owed or unread. While `tcb` is not 0 the connection is awake, and only gen and tcb mean anything. */
struct idle {
    uint32_t gen;          /* half of the handle */
    ref_t tcb;             /* 0 = at rest */
    uint16_t local_port, remote_port;
    uint8_t state : 4, way : 4; /* way: snd.link when it came to rest */
    uint8_t link : 4;      /* home */
    uint8_t ending : 2;    /* enum idle_end: the program let go, and there was no memory to end it */
    uint8_t rationed : 1;  /* put to rest while its ration of challenge ACKs ran */
    uint8_t unmeasured : 1; /* no round trip was measured since a tail loss probe */
    uint8_t wscales;       /* snd_wscale << 4 | rcv_wscale */
    uint8_t rack_mult;
    struct wnode timer;    /* keepalive, or when to try again to end; not armed = none */
    uint64_t data;
    seq_t irs, rcv_nxt, rcv_adv, iss, snd_una;
    uint32_t snd_wnd, max_wnd;
    uint32_t ts_recent, ts_recent_s; /* TS.Recent, and when it was set, in seconds */
    uint32_t srtt_us, rttvar_us, min_rtt_us;
    uint32_t cwnd, ssthresh;
    uint32_t segs_out, segs_in;
    uint32_t wscale : 1, ts : 1, sack : 1, ecn : 1; /* agreed */
    uint32_t fin_rcvd : 1, eof_read : 1, fin_acked : 1;
    uint32_t narrow : 1, limited : 1, ece : 1, cwr : 1, reordering : 1;
    uint32_t nodelay : 1, quickack : 1, keepalive : 1, linger0 : 1, reports : 1, set_ecn : 2; /* options */
    uint32_t quick : 4, rack_persist : 5, algo : 3;
    uint32_t gone : 1;     /* its address went, and there was no memory to end it: it ends when it wakes */
    uint32_t keep_idle_ms, keep_intvl_ms, user_timeout_ms, send_buffer, recv_buffer;
    uint32_t retransmitted;
    uint16_t retransmits, fast_retransmits, timeouts, dup_acks_in, ooo_in, challenge_acks, dsacks;
    uint16_t acked_wraps, received_wraps; /* above the 32 bits that the sequence numbers tell */
    struct u48 sent, conn, opened_us, since_us, last_rx_us, last_tx_us;
    uint16_t cause, peer_mss, path_mss, ack_seg, max_seg;
    uint8_t keep_cnt, dscp, ttl, ttl_in, tos_in, icmp_type, icmp_code;
    uint8_t soft_error;    /* negated */
    uint16_t from;         /* of the last four changes of state, newest lowest, four bits each */
    struct {
        uint16_t cause;
        struct u48 t_us;
    } earlier[TERN_HISTORY - 1]; /* the changes before the last; 0 = none */
    uint8_t pair[];        /* of addresses: 8 bytes, of IPv6 32 (ip_pair_write) */
};
_Static_assert(sizeof(struct idle) + 8 <= 240,
               "an idle connection over IPv4 (docs/ARCHITECTURE.md, Four records)");

/* --- in TIME_WAIT (waiting.c, timewait.c) ------------------------------------------------------------ */

/* A connection in TIME_WAIT whose handle is released: what its answers need (waiting.c). The rest of what was
 * known is given up: its totals, its options of sending, when it was opened. */
struct timewait {
    uint32_t id : 26;      /* lower bits of the number in the trace */
    uint32_t challenged : 4; /* the turn in which a challenge ACK was sent (timewait.c); 0 = none yet */
    uint32_t how : 2;      /* the edge that led here (waiting.c); never 0: the record lives */
    seq_t snd_nxt, rcv_nxt;
    uint32_t ts_recent;    /* valid while ts */
    uint16_t local_port, remote_port;
    uint32_t wnd : 16;     /* the field that was last sent; bytes by rcv_wscale */
    uint32_t rcv_wscale : 4;
    uint32_t ts : 1;       /* timestamps were agreed */
    uint32_t parked : 1;   /* a half-open successor is tried (RFC 9293 3.6.1) */
    uint32_t again : 1;    /* when 2 MSL are over they begin once more: a repeated FIN came */
    uint32_t late : 9;     /* due so many ticks after its page's first record (waiting.c) */
};

struct timewait4 {
    struct timewait w;
    uint8_t pair[8];       /* of addresses (ip_pair_write) */
};

struct timewait6 {
    struct timewait w;
    tern_ip local, remote;
    uint8_t link;          /* where it sends: the address alone does not tell (fe80::/10) */
    uint8_t pad[7];
};
/* with the table's 12.7 bytes an entry and a page's head: 48 and 80 at most */
_Static_assert(sizeof(struct timewait4) == 32, "a page of 4096 bytes has 127 records");
_Static_assert(sizeof(struct timewait6) == 64, "a page of 4096 bytes has 63 records");

#endif

/* ======================================================================================= src/tcp/tcb.h */

/* tcb.h - the records of TCP: what a connection is at each stage of its life.
 *
 *   SYN arrives          handshake ends            both FINs done, handle released
 *   ┌──────────┐         ┌──────────────┐          ┌──────────┐
 *   │ halfopen │ ──────▶ │     tcb      │ ───────▶ │ timewait │ ──▶ gone
 *   └──────────┘         └──────────────┘          └──────────┘
 *                          │ ▲
 *        nothing to do ─▶  ▼ │  ◀─ a segment, a call, keepalive
 *                        ┌──────┐
 *                        │ idle │
 *                        └──────┘
 *
 * Four records, because a half-open connection, a busy one, one that is at rest and one in TIME_WAIT need
 * very different amounts of memory; small.h has the other three. One table finds any of them by addresses and
 * ports; a reference's page tells its kind. A connection that this program opens is a tcb from its SYN on.
 * While the program holds the handle, a connection in TIME_WAIT stays a tcb. Every tcb owns an idle record
 * from its beginning: the handle names that one, so it stays valid when the tcb goes and comes.
 *
 * The control block is made of groups, one for each mechanism. What can work on its own group gets only that
 * (reasm.c, sendlist.c, rtt.c, cc.c); what weighs several against each other gets the whole.
 *
 * Invariants (checked by check.c after every verb in tests):
 *   1. snd.una <= snd.nxt; snd.q holds the bytes from una on (behind an unacknowledged SYN: from iss + 1 on).
 *   2. the send list covers una..nxt without gap or overlap; its sums (sacked, lost, retx) are those of its
 *      records.
 *   3. rcv.q ends at rcv.nxt (before a received FIN); out-of-order ranges lie above rcv.nxt, sorted, apart
 *      from each other.
 *   4. rcv.nxt <= rcv.adv, and adv never goes back (RFC 9293 SHLD-14).
 *   5. a timer's deadline is in the wheel at the latest when it is due.
 *   6. RETRANSMIT or PERSIST is armed while something is in flight: PERSIST while the window is shut. PERSIST
 *      also while something waits for a shut window. Never both.
 *   7. a FIN is sent only behind all queued bytes; fin_acked implies fin_sent implies fin_queued.
 *   8. states with a received FIN: CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT (and CLOSED); others have none.
 *   9. nothing waits for ever: what is owed now is on the ready list; what is to be sent later has a timer,
 *      or the RETRANSMIT or PERSIST of what is in flight; who was refused room is told when there is some.
 *  10. a tcb and its idle record name each other; the table names the tcb, and the idle record while there is
 *      none. A CLOSED tcb is in no table.
 *  11. every half-open record stands in one queue of its listener; half_count and aq_count are the lengths of
 *      a listener's queues, and each row of the sketch adds up to the number of half-open records.
 *  12. the records of TIME_WAIT stand in the order in which they are due, and in the table.
 *  13. a tcb stands in the list of its stage of shortage; so many pages are promised as tcbs are KEPT.
 *  14. fin_queued in the states that our FIN leads to, and only there; fin_acked in FIN_WAIT_2 and TIME_WAIT.
 *  15. what was agreed bounds what is sent: sizes, shifts, ECN.
 *  16. challenge ACKs are within their ration, a delayed ACK is due within delack_us.
 *  17. timers are those of the state and its options, and none is further away than its longest time.
 *  18. timeout, congestion window and the points of recovery are within what the standards say of them.
 *  19. the send list's order of time is one, and its marks stand where they must.
 */
#ifndef TCP_TCB_H
#define TCP_TCB_H


enum rec_kind { REC_NONE, REC_LISTENER, REC_HALFOPEN, REC_TCB, REC_IDLE, REC_TIMEWAIT };

/* The head of a control block and of a listener: what the program can hold. The smaller records have none;
 * who.c tells of all kinds who they are. */
struct conn_head {
    uint32_t gen;          /* the pool's */
    struct place turn;     /* in the list of records with something to send */
    uint8_t kind;          /* enum rec_kind */
    uint8_t state;         /* enum tern_state; written by state.c alone */
    uint8_t link;          /* home: where the peer's SYN came from, the zone, or what the program prefers;
                              0 = by the routes. Of a listener: the only link it hears */
    bool ready;            /* on the ready list */
    struct wnode timer;    /* its one place in the wheel: the earliest of its deadlines, or earlier */
    tern_ip local, remote;
    uint16_t local_port, remote_port;
    uint32_t hash;         /* of the 4-tuple, while in the table */
    uint64_t conn;         /* number in the trace */
    uint64_t opened_us;
    uint64_t since_us;     /* when the present state was entered */
    uint16_t cause;        /* of the last state change */
    uint8_t tos;           /* Diffserv << 2 */
    uint8_t ttl;
    bool parked;           /* in TIME_WAIT: a half-open successor is tried (3.6.1) */
    uint8_t pad[3];
};

/* What was agreed at the handshake. */
struct agreed {
    uint16_t mss;          /* the peer's MSS option, or the default (RFC 9293 MUST-15) */
    uint8_t snd_wscale;    /* shift of windows that the peer sends; 0..14 */
    uint8_t rcv_wscale;    /* shift of windows that we send */
    bool wscale, ts, sack, ecn;
};

/* A run of bytes that arrived above rcv.nxt. */
struct range {
    uint32_t gen;
    struct place place;    /* next: higher */
    uint32_t stamp;        /* order of last change: the newest is reported first (RFC 2018 4) */
    struct chunkq q;       /* pos = first sequence number */
    uint32_t pad[3];
};

/* Receiving. */
struct rcv {
    seq_t irs, nxt;
    seq_t adv;             /* right edge of the window that was offered; RCV.WND = adv - nxt */
    seq_t up;              /* RCV.UP; valid while urgent */
    uint32_t buffer;       /* limit of unread bytes, and of the window */
    struct chunkq q;       /* in order, unread */
    struct list ooo;       /* ranges above nxt, lowest first */
    uint32_t ooo_bytes, ooo_count;
    uint32_t stamp;        /* for range.stamp */
    seq_t fin;             /* sequence number of a FIN that came out of order; valid while fin_ooo */
    uint64_t fin_us;       /* when the FIN was received */
    bool fin_ooo, fin_rcvd;
    bool eof_read;         /* the program has been told the end */
    bool urgent;           /* urgent bytes unread */
};

/* When to acknowledge. */
struct acker {
    uint32_t bytes;        /* received since, in order */
    uint32_t seg;          /* largest segment received: an estimate of the peer's MSS */
    uint32_t dup_owed;     /* duplicate ACKs due */
    uint64_t delack_us;    /* deadline; 0 = none */
    uint16_t now_cause;    /* an ACK is due now, and why; 0 = none */
    uint8_t quick;         /* segments to acknowledge at once (start of a connection) */
    uint8_t ece;           /* echo congestion: ECE on ACKs until CWR (RFC 3168 6.1.3) */
    uint16_t challenges;   /* sent in the present interval (RFC 5961 7) */
    uint64_t challenge_us; /* start of the interval */
};

/* Timestamps (RFC 7323). */
struct stamps {
    uint32_t recent;       /* TS.Recent */
    uint32_t offset;       /* ours: keyed by addresses, */
    bool foreign;          /* or another machine's, which sent the cookie: the small records do not know it */
    uint64_t recent_us;    /* when it was set (24 days limit) */
    seq_t last_ack_sent;   /* Last.ACK.sent */
};

/* Sending. */
struct snd {
    seq_t iss, una, nxt;
    seq_t wl1, wl2;        /* SND.WL1, SND.WL2 */
    seq_t up;              /* SND.UP: behind the last urgent byte; valid while urgent */
    seq_t small;           /* behind the last small segment sent (Minshall) */
    uint32_t wnd, max_wnd; /* SND.WND, MAX.SND.WND, bytes (32 bits: REC-1) */
    uint32_t mss;          /* largest payload with the options we send */
    uint32_t mtu_mss;      /* upper bound by the MTU of link and path, for a header without options */
    uint32_t buffer;       /* limit of queued bytes */
    struct chunkq q;       /* unacknowledged and unsent */
    bool syn_acked;        /* SND.UNA may stand on ISS again 4 GiB later */
    bool fin_queued, fin_sent, fin_acked;
    bool urgent;
    bool more;             /* TERN_MORE: hold a small segment */
    bool blocked;          /* a send found no room: WRITABLE when there is */
    bool narrow;           /* the path's MTU is below what we cut to: DF is left off (RFC 1191 3) */
    bool cwr;              /* CWR on the next new data (RFC 3168 6.1.2) */
    bool limited;          /* the congestion window, not the program, held output back */
    uint8_t link;          /* where it sends now; 0 = there is no way, nothing leaves (change.c) */
    bool no_ect;           /* a SYN of ours did not ask for ECN: ECT is not set (RFC3168-6.1.1-c) */
    uint16_t path_mss;     /* what ICMP told of this way, as mtu_mss; 0 = nothing */
    uint64_t blocked_us;   /* silly-window override: since when a small segment waits; 0 = none. While
                              rec.held: until when new data waits */
    uint64_t last_us;      /* last data sent (restart after idle) */
};

/* Segments in flight, in order of sequence and of time (sendlist.c). */
struct sendrec {
    uint32_t gen;
    struct place seq;      /* in order of sequence */
    struct place time;     /* in order of the last sending; only what may still be in the network: neither
                              SACKED, nor LOST and not sent again */
    seq_t start;
    uint32_t len;          /* sequence numbers, SYN and FIN included */
    ref_t chunk;           /* hint: where its first byte lies */
    uint64_t sent_us;      /* last sending */
    uint8_t flags;         /* SR_... below */
    uint8_t times;         /* sent */
};

enum {
    SR_SACKED = 1, /* the peer has it, out of order */
    SR_LOST = 2,   /* taken for lost */
    SR_RETX = 4,   /* lost, and a retransmission of it is in flight */
    SR_BEFORE = 8, /* that left before the window was last reduced */
};

struct sendlist {
    struct list seq, time; /* all records; those that may still be in the network */
    ref_t hint;            /* where the last search ended */
    ref_t high;            /* the highest SACKed record; 0 = none */
    ref_t lost_next;       /* lowest lost record not yet sent again; 0 = none */
    uint32_t count;
    uint32_t bytes, sacked, lost, retx; /* sums of len: all, SACKed, LOST, RETX */
    seq_t lost_below;      /* all below that are not SACKed have been judged */
    seq_t fack;            /* highest number delivered (RFC 8985 RACK.fack) */
};

/* Round trip and timeout (RFC 6298). */
struct rtt {
    uint32_t srtt_us, rttvar_us; /* 0 = no sample yet */
    uint32_t rto_us;       /* without back-off */
    uint32_t min_us;       /* smallest sample; 0 = none */
    uint8_t backoff;       /* doublings */
};

/* Congestion control (cc.c). */
struct cc {
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t acked;        /* bytes acknowledged since the last step of congestion avoidance */
    uint8_t algo;          /* index into the table of controls */
};

/* RACK (RFC 8985): loss judged by time of sending. */
struct rack {
    uint64_t xmit_us;      /* when the latest-sent of all delivered segments was sent; 0 = none yet */
    seq_t end;             /* and its end */
    uint32_t rtt_us;       /* its round trip */
    bool reordering;       /* the path has been seen to reorder */
    uint8_t mult;          /* of min_rtt / 4: the reordering window; grows with DSACKs */
    uint8_t persist;       /* recoveries until mult falls back to 1 */
    bool round_valid;
    seq_t round;           /* mult grows once in a round trip */
};

/* Tail loss probe (RFC 8985 7). */
struct tlp {
    bool out;              /* a probe is in flight */
    bool resent;           /* it repeated a segment (no new data was there to send) */
    bool due;              /* one is to be sent */
    bool unmeasured;       /* no round trip was measured since the last one left */
    seq_t end;             /* SND.NXT after it */
};

/* What a reduction of the window can be taken back to, when DSACKs show that every retransmission was
 * needless (RFC 3708). */
struct undo {
    bool valid;
    seq_t marker;          /* SND.UNA when it began */
    uint32_t cwnd, ssthresh; /* before */
    uint32_t resent, dsacked; /* bytes retransmitted since, and reported as duplicates */
    uint32_t stamp;        /* our timestamp on the first retransmission (Eifel, RFC 3522) */
};

/* Loss recovery. */
enum recovery_phase { PHASE_OPEN, PHASE_RECOVERY, PHASE_LOSS };

struct recovery {
    uint8_t phase;
    uint8_t dupacks;       /* duplicate ACKs in a row (no SACK), or with news by SACK */
    bool force;            /* the next retransmission does not ask pipe (RFC 6675 5 (4.3), RFC 6582 3.2) */
    seq_t point;           /* RecoveryPoint: snd.nxt when it began */
    seq_t cwr_point;       /* ECN: no second reduction before this is acknowledged */
    bool cwr_valid;
    seq_t recover;         /* RFC 6582: duplicate ACKs at or below prove nothing */
    bool recover_valid;
    bool partial;          /* the first partial ACK of this recovery has come */
    bool held;             /* ECE met a window of one segment: snd.blocked_us (RFC3168-6.1.2-d) */
    bool rescued;          /* the rescue of this recovery was sent (RFC6675-4-i) */
    uint32_t lead;         /* bytes sent by limited transmit (RFC 3042) */
    uint32_t reno_sacked;  /* without SACK: bytes that duplicate ACKs say have left the network */
};

/* Deadlines; 0 = disarmed. Those that exclude each other are one tagged field. */
struct timers {
    uint64_t rexmit_us;    /* by rexmit: */
    uint8_t rexmit;        /* TERN_TIMER_NONE, _RETRANSMIT, _PERSIST */
    uint8_t life;          /* TERN_TIMER_NONE, _FIN_WAIT_2, _TIME_WAIT */
    bool probe;            /* a window probe is due */
    bool keep_probe;       /* a keepalive probe is due */
    bool judged;           /* the user timeout has come once; one more retransmission before the verdict */
    bool overslept;        /* the clock jumped over that one: one more, and no more */
    bool keep_overslept;   /* the same of the last keepalive probe */
    uint8_t probes;        /* unanswered window probes: back-off */
    uint8_t keep_probes;   /* unanswered keepalive probes */
    uint8_t retries;       /* retransmission timeouts in a row */
    uint64_t life_us;
    uint64_t keep_us;
    uint64_t pace_us;      /* output said "not before" */
    uint64_t tlp_us;       /* tail loss probe */
    uint64_t reo_us;       /* RACK: when the oldest suspect becomes lost */
    uint64_t stuck_us;     /* since when data waits without progress; 0 = it does not */
};

struct options {
    uint32_t keep_idle_ms, keep_intvl_ms, user_timeout_ms;
    uint32_t send_buffer, recv_buffer;
    uint16_t max_seg;
    uint8_t keep_cnt;
    uint8_t ecn;
    uint8_t dscp, ttl;
    bool nodelay, quickack, keepalive, linger0, reports;
};

struct totals {
    uint64_t sent, acked, received, retransmitted;
    uint32_t segs_out, segs_in, retransmits, fast_retransmits, timeouts, dup_acks_in, ooo_in, challenge_acks,
        dsacks;
};

/* Memory for what it wants to send (shortage.c). */
enum shortage_stage { SHORTAGE_NONE, SHORTAGE_WAITING, SHORTAGE_KEPT };

struct shortage {
    struct place place;    /* in the list of its stage */
    uint64_t since_us;     /* in this stage */
    uint8_t stage;         /* enum shortage_stage; KEPT: a page is kept for its next send */
    bool only_opened;      /* waiting: it has not tried to send, so no page need be kept for it */
    uint8_t refused;       /* times in a row that a packet could not be noted: back-off; 0..7 */
};

/* What the program sees: events, and who holds the record. */
struct face {
    struct place place;    /* in the event list, */
    bool listed;           /* if it is */
    bool held;             /* the program has the handle */
    bool orphan;           /* the program released it; what waits for accept is neither */
    uint32_t bits;         /* TERN_READABLE, ... not yet reported */
    uint64_t data;
    int32_t error;         /* negative TERN_E..., once it has ended */
    int32_t soft_error;
    uint8_t icmp_type, icmp_code;
};

struct tcb {
    struct conn_head h;
    struct face face;
    struct agreed opt;
    struct options set;
    struct rcv rcv;
    struct acker ack;
    struct stamps ts;
    struct snd snd;
    struct sendlist list;
    struct rtt rtt;
    struct cc cc;
    struct recovery rec;
    struct rack rack;
    struct undo undo;
    struct tlp tlp;
    struct timers tm;
    struct shortage shortage;
    struct totals sum;
    ref_t idle;            /* its idle record, which the handle names */
    ref_t listener;        /* while unaccepted: whose queue it is in; 0 = none */
    struct place aq;       /* in that queue; aq.next also in the list of the dying */
    uint16_t rst_cause;    /* a RST is due, and why; 0 = none */
    bool dying;            /* to be freed at the end of the batch */
    bool restless;         /* does not fit into an idle record as it is now */
    uint64_t last_rx_us, last_tx_us;
    uint64_t woken_us;     /* when it last ceased to be at rest; 0 = never was */
    uint8_t ttl_in, tos_in;
    struct {
        uint16_t cause;
        uint8_t from, to;
        uint64_t t_us;
    } history[TERN_HISTORY];
};

struct listener {
    struct conn_head h;    /* local address (zero: any) and port; state LISTEN or CLOSED */
    struct face face;
    struct options set;
    struct list queue[QUEUES]; /* half-open records */
    ref_t stale[QUEUES];   /* the last one from before the machine slept too long; 0 = none */
    struct list aq;        /* tcbs that wait for accept, oldest first */
    uint32_t backlog, half_count, aq_count;
    bool foreign;          /* its address need not be the stack's */
    bool defer;            /* SYNs wait for the program */
    uint8_t cookies;       /* TERN_COOKIES_... */
    uint64_t cookie_us;    /* when the last cookie was sent; 0 = never */
    uint32_t offer;        /* window of its SYN+ACKs: the largest so far, so that none is taken back */
    uint64_t refused_full, left_unaccepted;
};

/* Of a control block or a listener. It stands behind the head of both, so one list of events has both. */
static inline struct face *face_of(struct conn_head *h) { return &((struct tcb *)(void *)h)->face; }
_Static_assert(offsetof(struct listener, face) == offsetof(struct tcb, face), "face_of");

/* RCV.WND */
static inline uint32_t rcv_wnd(const struct rcv *r) { return seq_span(r->nxt, r->adv); }

/* FlightSize of RFC 5681: sent and not cumulatively acknowledged. */
static inline uint32_t flight(const struct snd *s) { return seq_span(s->una, s->nxt); }

/* Sequence number behind all queued bytes: where the FIN goes. */
static inline seq_t snd_end(const struct snd *s) { return seq(s->q.pos + s->q.len); }

/* Bytes queued and not yet sent. */
static inline uint32_t snd_unsent(const struct snd *s)
{
    seq_t end = snd_end(s);
    return seq_gt(end, s->nxt) ? seq_span(s->nxt, end) : 0;
}

#endif

/* ===================================================================================== src/tcp/world.h */

/* world.h - all state of a stack, as the protocol's rooms see it.
 *
 * `struct tern` is the handle that the caller holds: it has the pointers (arena, trace ring) and lies before
 * the arena. `struct world` lies in the arena, holds no pointer, and is everything else.
 */
#ifndef TCP_WORLD_H
#define TCP_WORLD_H


/* Purposes of keys drawn from the seed. */
enum { KEY_ISN = 1, KEY_PORT, KEY_TABLE, KEY_STAMP, KEY_RNG, KEY_COOKIE, KEY_SKETCH };

/* The pools, by number: a page's kind tells what its records are (rec_kind). */
enum {
    POOL_TCB,
    POOL_IDLE4,
    POOL_IDLE6,
    POOL_HALFOPEN4,
    POOL_HALFOPEN6,
    POOL_TIMEWAIT4,
    POOL_TIMEWAIT6,
    POOL_LISTENER,
    POOL_SENDREC,
    POOL_RANGE,
    POOL_HOLD,
    POOL_PIECE,
    POOL_TAKEN,
    POOLS
};

/* Who a record is, whatever its kind: what is needed to trace it and to answer for it. */
struct who {
    uint64_t conn;         /* number in the trace; 0 = no record */
    tern_ip local, remote;
    uint16_t local_port, remote_port;
    uint8_t state, link, tos, ttl;
    seq_t iss, irs;        /* 0 before known */
    uint8_t snd_wscale, rcv_wscale;
};

/* A segment that needs no record to be made, waiting for tern_tx (reply.c): a RST, the ACK of one of the
 * small records, or one more SYN+ACK. */
struct reply {
    struct who who;
    seq_t seq, ack;
    uint16_t wnd;          /* the field */
    uint16_t cause;
    uint8_t flags;
    bool cookie;           /* its timestamp is given */
    struct tcp_opts opt;
};

/* Configuration after checking: every field has its value. */
struct settings {
    uint64_t rest_us;
    uint32_t msl_us, rto_min_us, rto_max_us, delack_us;
    uint64_t syn_retries_us, retries_us, fin_wait2_us;
    uint32_t synack_retries;
    uint32_t send_buffer, recv_buffer;
    uint16_t port_low, port_high;
    uint8_t ttl, ecn;
    bool timestamps, wscale, sack, rst_unclaimed;
    uint32_t time_wait_max;    /* small records; 0 = only memory bounds them */
};

/* The records in TIME_WAIT of one address family, the next to be over first. */
struct waiting {
    struct fifo fifo;
    uint64_t last_us;      /* when the newest is due */
};

/* A change of addresses, routes or links on its way through the records (change.c). */
struct sweep {
    uint32_t page;         /* the next page to look at */
    uint32_t left;         /* so many; 0 = all records are up to date */
    uint32_t links_gone;   /* bit id: the link was removed */
    uint32_t n_gone;
    struct {
        tern_ip ip;
        uint8_t link;
    } gone[IP_ADDRS];      /* addresses removed */
};

/* A key of SYN cookies (cookie.c), and how far the clock of its periods is ahead of ours, us, modulo 2^64. */
#define COOKIE_KEYS 2
struct cookie_key {
    struct sipkey key;
    uint64_t ahead_us;
};

/* A sketch of counts by key, in a fixed size (sketch.c). */
struct sketch {
    uint32_t count[SKETCH_ROWS][SKETCH_COLUMNS];
};

struct world {
    struct settings set;
    struct sipkey key_isn, key_port, key_table, key_stamp, key_sketch;
    struct rng rng;
    uint64_t now;
    uint64_t jump_us;         /* now, when the clock had last jumped (stack/tick.c); 0 = never */
    uint64_t next_conn;
    struct ip_state ip;
    struct sweep sweep;
    struct wheel wheel;
    struct htab conns;        /* 4-tuple to halfopen, tcb, idle, timewait; parked ones too */
    struct htab listeners;    /* local port to listener */
    uint32_t any_port;        /* listeners of port 0: any */
    bool foreign;             /* one has been made for addresses that are not ours (its connections may live
                                 longer than it) */
    struct pool tcbs, idles4, idles6, halfopens4, halfopens6, listener_pool, sendrecs, ranges;
    struct pool taken;        /* chunks that the program holds */
    struct waiting wait4, wait6;
    uint32_t wait_held;       /* control blocks in TIME_WAIT */
    _Alignas(GRAIN) struct lent lent;
    struct list ready;        /* records with something to send, by turn */
    struct list events;       /* records with news for the program, by face.place */
    ref_t dying;              /* tcbs to be freed at the end of the batch, by aq.next; 0 = none */
    struct reply replies[REPLIES];
    uint32_t reply_head, reply_count;
    struct list short_waiting, short_kept; /* tcbs, oldest first */
    ref_t press;              /* idle.c: the control block to be looked at next under pressure */
    struct cookie_key cookie_keys[COOKIE_KEYS]; /* the present one, the one before */
    bool cookie_shared;       /* other machines send cookies with these keys too */
    struct sketch sources;    /* half-open records, by source */
    uint32_t port_next;       /* counter of RFC 6056 algorithm 3 */
    tern_stats stats;
};

struct tern {
    struct arena *a;
    struct world *w;
    struct trace_ring trace;
    struct regions regions;   /* memory outside: the links' and the program's */
};

/* Received bytes that the program has taken off a connection and holds (tern_take). */
struct taken {
    uint32_t gen;
    ref_t next;               /* free link */
    struct chunkq q;
    uint32_t reserved;
};

static inline struct tcb *tcb_at(struct tern *t, ref_t r) { return at(t->a, r); }
static inline struct conn_head *head_at(struct tern *t, ref_t r) { return at(t->a, r); }
/* What a reference points to: told by its page. */
static inline enum rec_kind rec_kind(const struct tern *t, ref_t r)
{
    switch ((int)arena_kind(t->a, r) - PAGE_POOL0) {
    case POOL_TCB: return REC_TCB;
    case POOL_IDLE4:
    case POOL_IDLE6: return REC_IDLE;
    case POOL_HALFOPEN4:
    case POOL_HALFOPEN6: return REC_HALFOPEN;
    case POOL_TIMEWAIT4:
    case POOL_TIMEWAIT6: return REC_TIMEWAIT;
    case POOL_LISTENER: return REC_LISTENER;
    default: return REC_NONE;
    }
}

static inline struct listener *listener_at(struct tern *t, ref_t r) { return at(t->a, r); }
static inline ref_t self(struct tern *t, const void *record) { return ref_of(t->a, record); }
static inline struct idle *idle_at(struct tern *t, ref_t r) { return at(t->a, r); }

/* A connection's handle names its idle record, a listener's the listener. */
static inline tern_handle handle_of(struct tern *t, const struct conn_head *h)
{
    ref_t r = h->kind == REC_TCB ? ((const struct tcb *)h)->idle : self(t, h);
    return (tern_handle){(uint64_t)pool_gen(t->a, r) << 32 | r};
}

#endif

/* ======================================================================================= src/tcp/tcp.h */

/* tcp.h - what the files of this room offer each other and the rooms above.
 *
 * Grouped by file. Everything takes the stack first, the record second; `now` is t->w->now, set once by each
 * verb.
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H


/* demux.c: 4-tuple to record (half-open, tcb, idle, timewait; rec_kind tells which); 0 = none. `link` counts
 * when one of the addresses is link-local. */
TERN_PRIVATE ref_t demux_find(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link);
/* the record in TIME_WAIT that waits behind a half-open one of the same 4-tuple (time_wait_park); 0 = none */
TERN_PRIVATE ref_t demux_find_parked(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                        uint8_t link);
TERN_PRIVATE bool demux_insert(struct tern *t, ref_t r); /* false: no memory */
TERN_PRIVATE void demux_remove(struct tern *t, ref_t r);
TERN_PRIVATE void demux_replace(struct tern *t, ref_t from, ref_t to); /* of the same 4-tuple: cannot fail */
TERN_PRIVATE uint32_t demux_hash(const struct tern *t, const struct who *w);
TERN_PRIVATE struct listener *demux_listener(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link);
TERN_PRIVATE bool demux_listens(struct tern *t, uint16_t port);
TERN_PRIVATE struct listener *demux_listener_exact(struct tern *t, const tern_ip *local, uint16_t port, uint8_t zone);
TERN_PRIVATE bool demux_listener_insert(struct tern *t, struct listener *l);
TERN_PRIVATE void demux_listener_remove(struct tern *t, struct listener *l);

/* Whether the clock has jumped since: then the time from there to now is no measure of anything. */
static inline bool across_jump(const struct tern *t, uint64_t since_us) { return since_us < t->w->jump_us; }

/* conn.c: what every record needs. */
static inline const struct settings *settings(const struct tern *t) { return &t->w->set; }
TERN_PRIVATE void options_default(const struct tern *t, struct options *o);
TERN_PRIVATE void conn_ready(struct tern *t, struct conn_head *h);
TERN_PRIVATE void conn_unready(struct tern *t, struct conn_head *h);
TERN_PRIVATE void conn_timer(struct tern *t, struct conn_head *h, uint64_t deadline); /* 0 = none; later ones are lazy */
TERN_PRIVATE uint64_t conn_number(struct tern *t); /* of the next connection; its low half is never 0 */

/* state.c: the one door. Asserts the edge, keeps the reason, traces it, tells the program what it must
 * know. */
TERN_PRIVATE void state_change(struct tern *t, struct conn_head *h, enum tern_cause cause, enum tern_state to);
/* for a record whose kind is its state (half-open, timewait) */
TERN_PRIVATE void state_edge(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                enum tern_state to);
static inline bool synchronized(const struct tcb *c) { return c->h.state >= TERN_ESTABLISHED; }
TERN_PRIVATE void state_inherit(struct tcb *c, enum tern_cause cause, enum tern_state state, uint64_t since_us);

/* life.c: records are made and unmade. */
TERN_PRIVATE struct tcb *tcb_new(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t home,
                    const struct options *set);
TERN_PRIVATE void tcb_discard(struct tern *t, struct tcb *c);  /* both its records; nothing leads to them */

/* What a handshake hands to the control block when it ends. */
struct opening {
    uint64_t conn;
    uint64_t opened_us;
    enum tern_state state; /* SYN_RCVD, or LISTEN: the listener's, with a cookie */
    enum tern_cause cause; /* why it is in it, */
    uint64_t since_us;     /* since when */
    seq_t iss, irs;
    uint32_t ts_recent;
    uint32_t rcv_wnd;      /* offered in the SYN+ACK, bytes */
    struct agreed opt;
    uint8_t sent;          /* SYN+ACKs */
    uint64_t sent_us;      /* the first; 0 = not known; valid while sent is 1 */
};
TERN_PRIVATE void tcb_from_opening(struct tern *t, const struct opening *o, struct tcb *c);
TERN_PRIVATE void tcb_end(struct tern *t, struct tcb *c, enum tern_cause cause, int error); /* to CLOSED; buffers go */
TERN_PRIVATE void tcb_release(struct tern *t, struct tcb *c);  /* the program lets go: frees it once it is CLOSED */
TERN_PRIVATE void tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause); /* to TIME_WAIT; starts 2 MSL */
TERN_PRIVATE void tcb_fin_wait_2(struct tern *t, struct tcb *c);
TERN_PRIVATE void tcb_rst_sent(struct tern *t, struct tcb *c);
TERN_PRIVATE void tcb_said_all(struct tern *t, struct tcb *c); /* nothing is left to send */

TERN_PRIVATE void life_bury(struct tern *t);                   /* frees what died */

/* idle.c: connections at rest. */
TERN_PRIVATE bool idle_new(struct tern *t, struct tcb *c); /* the record that the handle names; false: no memory */
TERN_PRIVATE void idle_free(struct tern *t, struct tcb *c);
TERN_PRIVATE uint64_t idle_due(const struct tern *t, const struct tcb *c); /* when it may rest; 0 = not as it is now */
TERN_PRIVATE bool idle_rest(struct tern *t, struct tcb *c); /* if it is due: true, and the control block is gone */
TERN_PRIVATE bool idle_press(struct tern *t);               /* memory is short: true, some has come back */
TERN_PRIVATE struct tcb *idle_wake(struct tern *t, struct idle *i); /* NULL: no memory */
TERN_PRIVATE struct tcb *idle_fired(struct tern *t, struct idle *i); /* its timer: awake for keepalive, or NULL */
TERN_PRIVATE void idle_end_later(struct tern *t, struct idle *i, enum idle_end how); /* awake it would have been ended */

/* close.c: CLOSE and ABORT by state. */
TERN_PRIVATE void tcb_close_sending(struct tern *t, struct tcb *c, enum tern_cause cause);
TERN_PRIVATE void tcb_close(struct tern *t, struct tcb *c); /* and the handle is released */
TERN_PRIVATE void tcb_abort(struct tern *t, struct tcb *c);

/* idle_pack.c: the codec between the two. */
TERN_PRIVATE bool idle_fits(const struct tern *t, const struct tcb *c);
TERN_PRIVATE void idle_pack(const struct tcb *c, struct idle *i);
TERN_PRIVATE void idle_view(const struct tern *t, const struct idle *i, struct tcb *c); /* `c` zeroed: as it would wake */
TERN_PRIVATE void idle_addresses(const struct tern *t, const struct idle *i, tern_ip *local, tern_ip *remote);
TERN_PRIVATE uint64_t idle_conn(const struct idle *i);

/* face.c: readiness. */
TERN_PRIVATE void face_raise(struct tern *t, struct conn_head *h, uint32_t bits);
TERN_PRIVATE void face_unlist(struct tern *t, struct conn_head *h);
TERN_PRIVATE void face_soft_error(struct tern *t, struct tcb *c, int error, uint8_t icmp_type, uint8_t icmp_code);

/* input.c and its parts. Each returns why the segment was refused, or TERN_CAUSE_NONE. */
TERN_PRIVATE enum tern_cause tcp_input(struct tern *t, const struct segment *s);
TERN_PRIVATE enum tern_cause in_closed(struct tern *t, const struct segment *s);
TERN_PRIVATE enum tern_cause in_listen(struct tern *t, struct listener *l, const struct segment *s);
TERN_PRIVATE enum tern_cause in_halfopen(struct tern *t, struct halfopen *h, const struct segment *s);
TERN_PRIVATE enum tern_cause in_synsent(struct tern *t, struct tcb *c, const struct segment *s);
TERN_PRIVATE enum tern_cause in_timewait(struct tern *t, ref_t r, const struct segment *s);
TERN_PRIVATE enum tern_cause in_synchronized(struct tern *t, struct tcb *c, const struct segment *s);
/* steps six to eight */
TERN_PRIVATE enum tern_cause in_text_and_fin(struct tern *t, struct tcb *c, const struct segment *s);

/* halfopen.c; `old`: the record in TIME_WAIT whose place the SYN may take, or 0 */
TERN_PRIVATE enum tern_cause halfopen_open(struct tern *t, struct listener *l, const struct segment *s, ref_t old);
TERN_PRIVATE void halfopen_end(struct tern *t, struct halfopen *h, enum tern_cause cause);
TERN_PRIVATE void halfopen_ips(const struct tern *t, const struct halfopen *h, tern_ip *local, tern_ip *remote);
TERN_PRIVATE bool halfopen_is(const struct tern *t, const struct halfopen *h, const tern_endpoint *local,
                 const tern_endpoint *remote, uint8_t link);
TERN_PRIVATE struct tcb *halfopen_grow(struct tern *t, struct halfopen *h);
TERN_PRIVATE void halfopen_info(const struct tern *t, const struct halfopen *h, tern_info *out);
struct reply_synack;
TERN_PRIVATE void halfopen_synack(struct tern *t, const struct halfopen *h, struct who *who, struct reply_synack *a);

/* backlog.c: the queues of half-open records. */
TERN_PRIVATE void backlog_append(struct tern *t, struct listener *l, struct halfopen *h, uint32_t queue);
TERN_PRIVATE void backlog_remove(struct tern *t, struct listener *l, struct halfopen *h);
TERN_PRIVATE uint64_t backlog_sent_us(const struct tern *t, const struct halfopen *h); /* up to 3 us late */
TERN_PRIVATE uint64_t backlog_due_us(const struct tern *t, const struct halfopen *h); /* not in QUEUE_NOW */
TERN_PRIVATE uint64_t backlog_opened_us(const struct tern *t, const struct halfopen *h); /* when the SYN came */
TERN_PRIVATE struct halfopen *backlog_oldest_repeated(struct tern *t, struct listener *l);
TERN_PRIVATE void backlog_slept(struct tern *t, uint64_t us); /* the clock has jumped so far */
TERN_PRIVATE void backlog_timer(struct tern *t, struct listener *l);
TERN_PRIVATE bool backlog_output(struct tern *t, struct listener *l, tern_tx_packet *out);

/* cookie.c */
TERN_PRIVATE enum tern_cause cookie_answer(struct tern *t, struct listener *l, const struct segment *s);
TERN_PRIVATE bool cookie_awaited(const struct tern *t, const struct listener *l); /* an ACK may be one of ours */
TERN_PRIVATE enum tern_cause cookie_ack(struct tern *t, struct listener *l, const struct segment *s);
/* the ACK is of a cookie that was sent here, though there is a record now; what was agreed */
TERN_PRIVATE bool cookie_came_late(struct tern *t, const struct listener *l, const struct segment *s, struct agreed *out);
TERN_PRIVATE void cookie_set_key(struct tern *t, struct sipkey key, uint64_t shared_us);

/* sketch.c: how often a key was added, less what was taken back: never too low, seldom too high. */
TERN_PRIVATE uint64_t sketch_source(const struct tern *t, const tern_ip *ip);
TERN_PRIVATE uint32_t sketch_count(const struct sketch *s, uint64_t key);
TERN_PRIVATE void sketch_add(struct sketch *s, uint64_t key);
TERN_PRIVATE void sketch_take(struct sketch *s, uint64_t key);

/* listener.c */
TERN_PRIVATE uint32_t listener_offer(struct listener *l); /* window of its SYN+ACKs, bytes */
TERN_PRIVATE uint16_t listener_mss(struct tern *t, const struct listener *l, const struct who *who);
TERN_PRIVATE void listener_enqueue(struct tern *t, struct listener *l, struct tcb *c);
TERN_PRIVATE struct tcb *listener_dequeue(struct tern *t, struct listener *l);
TERN_PRIVATE void listener_left(struct tern *t, struct tcb *c);
TERN_PRIVATE void listener_drain(struct tern *t, struct listener *l);
TERN_PRIVATE void listener_refuses(struct tern *t, struct halfopen *h); /* RST, and the record goes */
TERN_PRIVATE void listener_end(struct tern *t, struct listener *l);

/* timewait.c; r: a record in TIME_WAIT, small or control block. Parked: a half-open successor is tried (RFC
 * 9293 3.6.1); both stand in the table, and demux_find passes over the parked one. Its 2 MSL go on, also to
 * their end. */
TERN_PRIVATE void time_wait_park(struct tern *t, ref_t r);
TERN_PRIVATE void time_wait_unpark(struct tern *t, ref_t r);
TERN_PRIVATE seq_t time_wait_snd_nxt(struct tern *t, ref_t r); /* SND.NXT of the old connection: a new ISS lies above */
TERN_PRIVATE void time_wait_gives_way(struct tern *t, ref_t r); /* its successor is ESTABLISHED: it ends */

/* waiting.c: the small records of TIME_WAIT. */
TERN_PRIVATE bool waiting_add(struct tern *t, const struct tcb *c); /* takes c's place in the table; false: no memory */
TERN_PRIVATE void waiting_restart(struct tern *t, ref_t r);         /* 2 MSL begin anew; the record may move */
/* its home is no more, if it is among these links (bits); a later link of that number is another */
TERN_PRIVATE void waiting_follow(struct tern *t, ref_t r, uint32_t links_gone);
TERN_PRIVATE void waiting_end(struct tern *t, ref_t r, enum tern_cause cause);
TERN_PRIVATE bool waiting_over(struct tern *t, ref_t r);            /* its time has come, and it is gone */
TERN_PRIVATE void waiting_expire(struct tern *t);                   /* what is due ends, a bounded number at a time */
TERN_PRIVATE uint64_t waiting_due(const struct tern *t, ref_t r);
TERN_PRIVATE uint64_t waiting_next_deadline(const struct tern *t);  /* UINT64_MAX = none */
TERN_PRIVATE uint32_t waiting_live(const struct tern *t);
TERN_PRIVATE void waiting_pair(const struct tern *t, ref_t r, struct who *out); /* the pair; link 0: by route */
TERN_PRIVATE void waiting_who(const struct tern *t, ref_t r, struct who *out);
TERN_PRIVATE bool waiting_same(const struct tern *t, ref_t r, const tern_endpoint *local, const tern_endpoint *remote,
                  uint8_t link);
TERN_PRIVATE bool waiting_reusable(const struct tern *t, ref_t r); /* by our own connect (ports.c); r: any record */
TERN_PRIVATE enum tern_cause waiting_cause(const struct timewait *w); /* what led to TIME_WAIT */
/* the oldest are given up until so many pages can be had by MEM_DATA, or none is left, or enough is done for
 * one call */
TERN_PRIVATE COLD void waiting_recycle(struct tern *t, uint32_t pages);
static inline void waiting_make_room(struct tern *t, uint32_t pages)
{
    if (UNLIKELY(arena_room(t->a, MEM_DATA) < pages))
        waiting_recycle(t, pages);
}

/* accept_seq.c: step one, and RFC 5961. */
enum seq_verdict { SEQ_OK, SEQ_OUT, SEQ_OLD_ACK /* fails step one, but its ACK counts (RFC 9293 A.2) */ };
TERN_PRIVATE enum tern_cause accept_seq(struct tern *t, struct tcb *c, const struct segment *s, enum seq_verdict *verdict);
TERN_PRIVATE bool seq_acceptable(seq_t nxt, uint32_t wnd, const struct segment *s);
TERN_PRIVATE void challenge(struct tern *t, struct tcb *c, enum tern_cause why);
#define CHALLENGES   10       /* RFC5961-7-b: so many for each connection ... */
#define CHALLENGE_US 5000000u /* ... in this time */
TERN_PRIVATE bool challenge_allowed(struct tern *t, uint16_t *count, uint64_t *since);

/* ack.c: step five. */
TERN_PRIVATE enum tern_cause ack_segment(struct tern *t, struct tcb *c, const struct segment *s);
TERN_PRIVATE void ack_take_window(struct tcb *c, const struct segment *s);

/* recv.c: steps seven and eight, and when to acknowledge. */
TERN_PRIVATE enum tern_cause recv_text(struct tern *t, struct tcb *c, const struct segment *s);
TERN_PRIVATE bool recv_fin_reached(const struct tcb *c);
TERN_PRIVATE void recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why);
TERN_PRIVATE void recv_urgent(struct tern *t, struct tcb *c, const struct segment *s);
TERN_PRIVATE void recv_read(struct tern *t, struct tcb *c); /* the program has read: the window may open */
/* payload goes to the end of a queue; how many bytes did */
TERN_PRIVATE uint32_t recv_store(struct tern *t, struct chunkq *q, struct keep *k, const uint8_t *data, uint32_t n,
                    enum mem_prio prio);

/* reasm.c: ranges above RCV.NXT. */
TERN_PRIVATE enum tern_cause reasm_add(struct tern *t, struct rcv *r, seq_t start, const uint8_t *data, uint32_t len,
                          struct keep *k);
/* what follows RCV.NXT now is moved to the queue; bytes */
TERN_PRIVATE uint32_t reasm_pull(struct tern *t, struct rcv *r);
TERN_PRIVATE void reasm_clear(struct tern *t, struct rcv *r);
TERN_PRIVATE uint8_t reasm_sack(struct tern *t, const struct rcv *r, struct sack_block *out, uint8_t max);

/* sendlist.c: what is in flight. Calls that make or split a record give NULL or false without memory. */
struct delivery {
    uint64_t sent_us;     /* 0 = none */
    seq_t end;
    uint8_t times;        /* sent */
};
/* What one ACK says. */
struct acked {
    bool moved;           /* SND.UNA moves */
    bool duplicate;       /* RFC 5681 2 */
    bool ece;             /* it echoes congestion (RFC 3168 6.1.2) */
    uint32_t old_flight;  /* what was in flight before it */
    uint32_t bytes;       /* sequence numbers newly acknowledged, cumulatively */
    uint32_t news;        /* and by SACK */
    uint64_t rtt_sent_us; /* when the first of them that was never repeated was sent; 0 = none (Karn) */
    bool any_retx;        /* one of them had been repeated */
    bool reordered;       /* one of them arrived after others that were sent later (RFC 8985 6.2 step 3) */
    struct delivery once, again; /* the latest-sent of those sent once, and of those repeated */
    uint32_t dsacked;     /* bytes that the peer says came twice (RFC 2883), */
    seq_t dsack_left;     /* from here on */
    bool eifel;           /* the echoed timestamp is older than the first retransmission (RFC 3522) */
};
TERN_PRIVATE void sendlist_init(struct sendlist *l, seq_t iss);
TERN_PRIVATE struct sendrec *sendlist_add(struct tern *t, struct sendlist *l, seq_t start, uint32_t len, ref_t chunk);
TERN_PRIVATE void sendlist_ack(struct tern *t, struct sendlist *l, seq_t una, struct acked *out);
TERN_PRIVATE uint32_t sendlist_sack(struct tern *t, struct sendlist *l, seq_t left, seq_t right, uint32_t mss,
                       struct acked *out);
TERN_PRIVATE uint32_t sendlist_mark_lost_sack(struct tern *t, struct sendlist *l, uint32_t mss);
TERN_PRIVATE uint32_t sendlist_mark_lost_time(struct tern *t, struct sendlist *l, uint64_t sent_us, seq_t end,
                                 uint64_t patience, uint64_t *next, bool *again);
TERN_PRIVATE void sendlist_reduced(struct tern *t, struct sendlist *l);
TERN_PRIVATE void sendlist_mark_head_lost(struct tern *t, struct sendlist *l, uint32_t mss);
TERN_PRIVATE bool sendlist_mark_large_lost(struct tern *t, struct sendlist *l, uint32_t size);
TERN_PRIVATE void sendlist_mark_all_lost(struct tern *t, struct sendlist *l, bool forget_sacks);
TERN_PRIVATE struct sendrec *sendlist_lost(struct tern *t, struct sendlist *l);
TERN_PRIVATE struct sendrec *sendlist_split(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t len);
TERN_PRIVATE void sendlist_extend(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t n);
TERN_PRIVATE bool sendlist_extend_tail(struct tern *t, struct sendlist *l, uint32_t n);
TERN_PRIVATE void sendlist_resent(struct tern *t, struct sendlist *l, struct sendrec *r);
TERN_PRIVATE void sendlist_clear(struct tern *t, struct sendlist *l);
TERN_PRIVATE uint32_t sendlist_pipe(const struct sendlist *l, uint32_t reno_sacked);

/* rack.c */
TERN_PRIVATE void rack_update(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a);
/* `certain`: something is lost by number. Returns the bytes found lost; `*again`: a retransmission is among
 * them. */
TERN_PRIVATE uint32_t rack_detect(struct tern *t, struct tcb *c, bool certain, bool *again);
TERN_PRIVATE void rack_recovered(struct rack *r);

/* tlp.c */
TERN_PRIVATE void tlp_schedule(struct tern *t, struct tcb *c);
TERN_PRIVATE void tlp_fired(struct tern *t, struct tcb *c);
TERN_PRIVATE void tlp_sent(struct tern *t, struct tcb *c, bool again);
TERN_PRIVATE bool tlp_repaired(struct tcb *c, const struct segment *s, const struct acked *a);

/* recovery.c: RFC 6675 and 6582, timeouts, ECN. */
TERN_PRIVATE void recovery_begin(struct tcb *c); /* the handshake is done: what its timeouts noted is void */
TERN_PRIVATE void recovery_on_ack(struct tern *t, struct tcb *c, const struct acked *a);
TERN_PRIVATE void recovery_on_tail_repaired(struct tern *t, struct tcb *c);
TERN_PRIVATE void recovery_on_lost(struct tern *t, struct tcb *c, bool again);
TERN_PRIVATE void recovery_on_timeout(struct tern *t, struct tcb *c);
TERN_PRIVATE void recovery_on_ecn(struct tern *t, struct tcb *c, uint32_t in_flight);

/* cc.c */
struct cc_ops {
    void (*init)(struct cc *cc, uint32_t mss);
    void (*acked)(struct cc *cc, uint32_t bytes, uint32_t mss);
    uint32_t (*loss)(struct cc *cc, uint32_t in_flight, uint32_t mss); /* new ssthresh */
};
extern const struct cc_ops *const cc_table[];
TERN_PRIVATE void cc_init(struct cc *cc, uint8_t algo, uint32_t mss);
TERN_PRIVATE uint32_t cc_initial_window(uint32_t mss);
TERN_PRIVATE void cc_restart(struct cc *cc, uint32_t mss); /* after idle: RFC 5681 4.1 */

/* rtt.c */
TERN_PRIVATE void rtt_init(struct rtt *r, const struct settings *set);
TERN_PRIVATE void rtt_derive(struct rtt *r, const struct settings *set); /* the timeout, from SRTT and RTTVAR */
TERN_PRIVATE void rtt_sample(struct rtt *r, uint32_t us, const struct settings *set);
TERN_PRIVATE uint32_t rtt_timeout(const struct rtt *r, const struct settings *set);

/* timer.c */
TERN_PRIVATE void timer_rearm(struct tern *t, struct tcb *c);
TERN_PRIVATE void timer_fire(struct tern *t, struct wnode *n); /* of whatever record it is in */
TERN_PRIVATE void timer_sent(struct tern *t, struct tcb *c); /* something is in flight now */
TERN_PRIVATE void timer_progress(struct tern *t, struct tcb *c); /* SND.UNA moved */
TERN_PRIVATE void timer_restart(struct tern *t, struct tcb *c);
TERN_PRIVATE void timer_answered(struct tern *t, struct tcb *c); /* an ACK came while the window is shut */
TERN_PRIVATE void timer_keepalive(struct tern *t, struct tcb *c); /* something came in, or the option changed */
TERN_PRIVATE void timer_window(struct tern *t, struct tcb *c); /* window or queue changed: retransmit, persist or none */

/* shortage.c: memory for what is to be sent. */
TERN_PRIVATE void shortage_wait(struct tern *t, struct tcb *c);     /* a send was refused: WRITABLE will say when */
TERN_PRIVATE void shortage_writable(struct tern *t, struct tcb *c); /* its buffer has room: WRITABLE, or it waits */
TERN_PRIVATE void shortage_opened(struct tern *t, struct tcb *c);   /* the same, without a page kept */
TERN_PRIVATE void shortage_redeem(struct tern *t, struct tcb *c);   /* before a send: what is kept for it can be taken */
TERN_PRIVATE void shortage_leave(struct tern *t, struct tcb *c);    /* it sends no more */
TERN_PRIVATE void shortage_serve(struct tern *t);                   /* at the end of each verb */
TERN_PRIVATE uint64_t shortage_deadline(const struct tern *t);      /* UINT64_MAX = none */

/* window.c */
TERN_PRIVATE uint32_t window_offer(struct tern *t, struct tcb *c); /* moves rcv.adv; bytes */
TERN_PRIVATE bool window_update_due(struct tern *t, struct tcb *c);
TERN_PRIVATE uint16_t window_field_up(uint32_t wnd, uint8_t shift);
TERN_PRIVATE uint16_t window_field(uint32_t wnd, uint8_t shift);

/* nagle.c */
TERN_PRIVATE bool nagle_holds(const struct tcb *c, uint32_t len, bool last);

/* decide.c */
TERN_PRIVATE bool restarts_after_idle(const struct tern *t, const struct tcb *c);

/* output.c */
TERN_PRIVATE bool conn_output(struct tern *t, struct conn_head *h, tern_tx_packet *out);
TERN_PRIVATE void tcp_build(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out);
TERN_PRIVATE void segment_from_head(const struct conn_head *h, uint8_t link, struct segment *s);

/* reply.c */
TERN_PRIVATE bool reply_output(struct tern *t, tern_tx_packet *out);
TERN_PRIVATE void reply_forget(struct tern *t, const tern_ip *local); /* drops what waits to be sent from there */
/* by RFC 9293 3.5.2 group 1 */
TERN_PRIVATE void reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause);
TERN_PRIVATE void reply_rst_for(struct tern *t, const struct halfopen *h, seq_t at_seq);
TERN_PRIVATE void reply_refusal(struct tern *t, const struct halfopen *h); /* of a SYN that was not answered */
/* an ACK of a small record: <SEQ=seq><ACK=ack><CTL=ACK>; `ts`: with a timestamp that echoes ts_ecr */
struct reply_ack {
    seq_t seq, ack;
    uint16_t wnd;
    bool ts;
    uint32_t ts_ecr;
};
TERN_PRIVATE void reply_ack_for(struct tern *t, const void *record, const struct reply_ack *a, enum tern_cause why);
/* a SYN+ACK with these options, but for its timestamp */
struct reply_synack {
    seq_t iss, irs;
    uint16_t wnd;
    bool ecn;
    bool cookie;           /* its timestamp is given too */
    struct tcp_opts opt;
};
TERN_PRIVATE void reply_synack(struct tern *t, const struct who *who, const struct reply_synack *a);
/* at once; false: there is no way to the peer */
TERN_PRIVATE bool synack_build(struct tern *t, const struct who *who, const struct reply_synack *a, enum tern_cause why,
                  bool again, tern_tx_packet *out);

/* isn.c */
TERN_PRIVATE seq_t isn_make(struct tern *t, const void *record);
TERN_PRIVATE seq_t isn_make_above(struct tern *t, const void *record, seq_t used); /* of the same pair (RFC 9293 MAY-2) */
TERN_PRIVATE uint32_t stamp_offset(const struct tern *t, const tern_ip *local, const tern_ip *remote);
TERN_PRIVATE uint32_t stamp_at(uint64_t us, uint32_t offset);
TERN_PRIVATE uint32_t stamp_now(const struct tern *t, uint32_t offset);
TERN_PRIVATE uint32_t port_offset(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote);

/* ports.c. Chosen is local->port: 0, or PORT_IN_TIME_WAIT (a small record has it and gives way), or
 * -TERN_ENOSR. */
enum { PORT_IN_TIME_WAIT = 1 };
TERN_PRIVATE int port_choose(struct tern *t, tern_endpoint *local, const tern_endpoint *remote, uint8_t link);
TERN_PRIVATE uint32_t ports_total(const struct tern *t);
TERN_PRIVATE void ports_count(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                 tern_port_use *out);

/* options.c */
TERN_PRIVATE void options_agree(struct tern *t, const struct segment *s, uint8_t our_wscale, struct agreed *out);
TERN_PRIVATE uint8_t options_wscale(uint32_t buffer);
TERN_PRIVATE bool options_ecn(const struct listener *l, const struct segment *s);
TERN_PRIVATE uint32_t options_mss(const struct agreed *opt, uint32_t mtu_mss, uint16_t max_seg);

/* mtu.c */
TERN_PRIVATE void mtu_derive(const struct tern *t, struct tcb *c); /* sizes by link, path and agreement */
TERN_PRIVATE void mtu_renew(struct tern *t, struct tcb *c); /* the link, its MTU or the path's has changed */

/* change.c: addresses, routes, links */
TERN_PRIVATE void change_begin(struct tern *t);
TERN_PRIVATE void change_slice(struct tern *t);
TERN_PRIVATE void change_finish(struct tern *t);
static inline bool change_under_way(const struct tern *t) { return UNLIKELY(t->w->sweep.left != 0); }
TERN_PRIVATE bool change_way(const struct tern *t, struct tcb *c); /* by which link it sends now; true: by another */
TERN_PRIVATE bool change_reaches(struct tern *t, ref_t r); /* brings one record up to date; false: it is gone */

/* icmp.c */
TERN_PRIVATE enum tern_cause tcp_icmp(struct tern *t, const struct icmp_msg *m, uint8_t link);

/* who.c: `record` is any of listener, half-open, tcb, idle, timewait. */
TERN_PRIVATE void who_of(const struct tern *t, const void *record, struct who *out);

/* trace.c: `record` as above, or NULL. Costs one branch while nobody wants that kind. */
TERN_PRIVATE COLD void trace_conn_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                           enum tern_cause cause, uint64_t a, uint64_t b, uint64_t c);
TERN_PRIVATE COLD void trace_segment_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                              const struct segment *s, enum tern_cause cause, uint64_t a);
TERN_PRIVATE COLD void trace_segment_of_write(struct tern *t, const struct who *who, enum tern_trace_kind kind,
                                 const struct segment *s, enum tern_cause cause, uint64_t a);
TERN_PRIVATE COLD void trace_state_write(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                            enum tern_state to);

static inline void trace_conn(struct tern *t, const void *record, enum tern_trace_kind kind,
                              enum tern_cause cause, uint64_t a, uint64_t b, uint64_t c)
{
    if (UNLIKELY(trace_wants(&t->trace, kind)))
        trace_conn_write(t, record, kind, cause, a, b, c);
}

static inline void trace_segment(struct tern *t, const void *record, enum tern_trace_kind kind,
                                 const struct segment *s, enum tern_cause cause, uint64_t a)
{
    if (UNLIKELY(trace_wants(&t->trace, kind)))
        trace_segment_write(t, record, kind, s, cause, a);
}

/* of what need not be there any more */
static inline void trace_segment_of(struct tern *t, const struct who *who, enum tern_trace_kind kind,
                                    const struct segment *s, enum tern_cause cause, uint64_t a)
{
    if (UNLIKELY(trace_wants(&t->trace, kind)))
        trace_segment_of_write(t, who, kind, s, cause, a);
}

static inline void trace_state(struct tern *t, const void *record, enum tern_cause cause,
                               enum tern_state from, enum tern_state to)
{
    if (UNLIKELY(trace_wants(&t->trace, TERN_TRACE_STATE)))
        trace_state_write(t, record, cause, from, to);
}

/* The end of each verb: what died is freed, and who waits for memory is told of it. */
static inline void life_end_of_batch(struct tern *t)
{
    if (t->w->dying != 0)
        life_bury(t);
    if (UNLIKELY(t->w->short_waiting.head != 0) || t->w->short_kept.head != 0)
        shortage_serve(t);
}

/* check.c, check_tcb.c */
TERN_PRIVATE void check_one(struct tern *t, const struct tcb *c); /* invariants 14 to 19 */
TERN_PRIVATE void tcp_check_all(struct tern *t);

#endif

/* ===================================================================================== src/sock/sock.h */

/* sock.h - what the files of this room share: from handle to record. */
#ifndef SOCK_SOCK_H
#define SOCK_SOCK_H


/* The listener or idle record that a handle names; 0: stale, foreign, or released. */
TERN_PRIVATE ref_t sock_named(const struct tern *t, tern_handle h);

/* The listener or control block of a handle; a connection at rest is woken. NULL with *error = -TERN_EBADF
 * (stale or foreign) or -TERN_ENOMEM (at rest, and no memory to wake it: nothing has changed). */
TERN_PRIVATE struct conn_head *sock_find(struct tern *t, tern_handle h, int *error);

/* The connection of a handle: NULL with *error as above, or -TERN_ENOTCONN (a listener). */
TERN_PRIVATE struct tcb *sock_conn(struct tern *t, tern_handle h, int *error);

/* End of a call: what died is freed; timers of the connection are right. */
TERN_PRIVATE void sock_done(struct tern *t, struct tcb *c);

TERN_PRIVATE void sock_trace(struct tern *t, const struct conn_head *h, enum tern_call call, uint64_t arg, int64_t result);

/* stream.c: what sending says in states that take no data; 0 = it may. */
TERN_PRIVATE int stream_refused(const struct tcb *c);
/* Bytes that may be queued: copied, or referred to. */
TERN_PRIVATE uint32_t stream_room(const struct snd *s);
TERN_PRIVATE uint32_t stream_refer_room(const struct snd *s);
/* `got` of the bytes that the program asked to send have been queued. */
TERN_PRIVATE void stream_sent(struct tern *t, struct tcb *c, size_t asked, uint32_t got, unsigned flags);
/* What reading says when nothing is there. */
TERN_PRIVATE int stream_empty(struct tcb *c);

/* choose.c: where a connection is opened from. */
struct choice {
    tern_endpoint local;
    uint8_t home;          /* conn_head.link */
};
TERN_PRIVATE int choose(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, struct choice *out);

#endif

/* =================================================================================== src/stack/stack.h */

/* stack.h - what the verbs share. */
#ifndef STACK_STACK_H
#define STACK_STACK_H


/* Room for the handle before the arena, which must begin at a multiple of 16. */
TERN_PRIVATE size_t stack_handle_size(void);

/* Take the time: it never goes back. */
TERN_PRIVATE void stack_clock(struct tern *t, uint64_t now);

#endif

/* ====================================================================================== src/tcp/plan.h */

/* plan.h - what passes from the decision (decide.c) to the builder (output.c). */
#ifndef TCP_PLAN_H
#define TCP_PLAN_H


/* One packet to be. */
struct plan {
    seq_t start;
    uint32_t len;          /* sequence numbers, SYN and FIN included */
    uint8_t flags;         /* beside ACK: F_SYN, F_FIN, F_PSH, F_RST */
    bool again;            /* was sent before: rec is its record */
    bool probe;
    bool no_ack_flag;
    struct sendrec *rec;
    enum tern_cause why;
};

/* The next packet of a connection. False: there is none now. */
TERN_PRIVATE bool decide(struct tern *t, struct tcb *c, struct plan *p);

/* "Not before `when`": look again then, unless something comes before. Always false: return later(...). */
TERN_PRIVATE bool later(struct tern *t, struct tcb *c, uint64_t when);

/* The same for want of memory to note what is sent: after 10 ms, then twice as long each time, up to 1.28 s.
 * An ACK brings it sooner. */
TERN_PRIVATE bool later_for_memory(struct tern *t, struct tcb *c);

/* Payload bytes of a full segment, with the SACK blocks that will ride on it. */
TERN_PRIVATE uint32_t full_size(const struct tcb *c);

#endif

/* ================================================================================= src/wire/ethernet.h */

/* ethernet.h - frames of Ethernet II (RFC 894), with one 802.1Q tag at most. */
#ifndef WIRE_ETHERNET_H
#define WIRE_ETHERNET_H


enum { ETH_HDR = 14, ETH_TAGGED_HDR = 18 };
enum { ETH_IP4 = 0x0800, ETH_ARP = 0x0806, ETH_VLAN = 0x8100, ETH_IP6 = 0x86dd };

struct eth_addr {
    uint8_t b[6];
};

struct eth_frame {
    struct eth_addr dst, src;
    uint16_t type;          /* ETH_...; behind the tag if there is one */
    uint16_t tag;           /* tag control: priority 3 bits, DEI, VLAN 12 bits */
    bool tagged;
    const uint8_t *payload; /* may end in padding: the packet in it knows its length */
    uint32_t payload_len;
};

/* Refused (ETHERNET_MALFORMED): too short, a length in place of the type (802.3), a group address as
 * source. */
TERN_PRIVATE enum tern_cause eth_parse(const uint8_t *p, uint32_t len, struct eth_frame *out);

/* Write the header: 14 bytes, or 18 with a tag. Returns its length. */
TERN_PRIVATE uint16_t eth_emit(uint8_t *p, const struct eth_frame *f);

/* The group bit: multicast and broadcast. */
static inline bool eth_is_group(const struct eth_addr *a) { return (a->b[0] & 1) != 0; }

/* Where frames for an IP multicast address go: 01:00:5e and 23 bits of it (RFC 1112 6.4), 33:33 and 32
 * bits of it (RFC 2464 7). */
TERN_PRIVATE struct eth_addr eth_multicast(const tern_ip *group);

#endif

/* ====================================================================================== src/wire/arp.h */

/* arp.h - address resolution for IPv4 over Ethernet (RFC 826). */
#ifndef WIRE_ARP_H
#define WIRE_ARP_H


enum { ARP_LEN = 28 };
enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp_msg {
    uint16_t op;                        /* ARP_... */
    struct eth_addr sender_hw, target_hw;
    tern_ip sender, target;             /* sender 0.0.0.0: a probe (RFC 5227 1.1) */
};

/* Parse the payload of an ETH_ARP frame; bytes behind the message are padding. Refused (ARP_MALFORMED): other
 * kinds of addresses, other operations, a sender that no station can be. */
TERN_PRIVATE enum tern_cause arp_parse(const uint8_t *p, uint32_t len, struct arp_msg *out);

/* Write ARP_LEN bytes. */
TERN_PRIVATE uint16_t arp_emit(uint8_t *p, const struct arp_msg *m);

#endif

/* ================================================================================= src/wire/ip_parts.h */

/* ip_parts.h - what the files of the IP codec, icmp.c and the reassembly share beside wire.h. */
#ifndef WIRE_IP_PARTS_H
#define WIRE_IP_PARTS_H


enum { IP4_HDR = 20, IP6_HDR = 40, IP6_FRAG_HDR = 8 };

/* What is read of IPv6 extension headers; a longer chain is refused (RFC 8504 5.3 allows limits). */
enum { EXT_MAX = 8, EXT_BYTES_MAX = 1024 };

TERN_PRIVATE enum tern_cause ip4_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out);
TERN_PRIVATE enum tern_cause ip6_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out);

/* Follow the extension headers of what may be the beginning of a packet only: from the header of type
 * *next at *at on, in `len` bytes at p. On true *next is the protocol behind them and *at its offset (at
 * most len). False: the chain does not end inside of the bytes, or this is a later fragment. */
TERN_PRIVATE bool ip6_skip_ext(const uint8_t *p, uint32_t len, uint8_t *next, uint32_t *at);

/* Make the headers of a first fragment those of the whole datagram: `p` holds its frag_hdr_len bytes and
 * `payload_len` bytes are to follow. The fragment fields vanish, the ECN field becomes `ecn`. False:
 * longer than an IP packet can be. */
TERN_PRIVATE bool ip_unfragment(uint8_t *p, uint16_t frag_hdr_len, uint8_t proto, uint32_t payload_len, uint8_t ecn);

#endif

/* ====================================================================================== src/wire/ndp.h */

/* ndp.h - neighbour discovery for IPv6 over Ethernet (RFC 4861): solicitations and advertisements of
 * neighbours and routers. Redirects are not read. */
#ifndef WIRE_NDP_H
#define WIRE_NDP_H


enum { NDP_MAX = 192 };    /* bytes that ndp_emit writes at most */
enum { NDP_PREFIXES = 4 }; /* read of one router advertisement; later ones are stepped over */

/* Prefix information (RFC 4861 4.6.2). */
struct ndp_prefix {
    tern_ip prefix;
    uint32_t valid_s, preferred_s; /* UINT32_MAX = for ever */
    uint8_t len;                   /* bits, 0..128 */
    bool on_link, autonomous;
};

struct ndp_msg {
    uint8_t type;              /* ICMP6_NEIGHBOUR_..., ICMP6_ROUTER_... */
    bool has_hw;               /* the link-layer address option that belongs to the type is there: */
    struct eth_addr hw;        /* of the target in a neighbour advertisement, of the sender otherwise */
    /* neighbours */
    tern_ip target;
    bool router, solicited, override; /* flags of an advertisement */
    /* router advertisement */
    uint8_t hop_limit;         /* 0 = not said */
    bool managed, other;
    uint16_t lifetime_s;       /* as default router; 0 = it is none */
    uint32_t reachable_ms, retrans_ms; /* 0 = not said */
    uint32_t mtu;              /* 0 = not said */
    uint8_t n_prefixes;
    struct ndp_prefix prefixes[NDP_PREFIXES];
};

/* Parse what icmp_parse has read from `ip`. Refused (NDP_MALFORMED) is all that RFC 4861 6.1 and 7.1 have
 * ignored, in particular what has crossed a router, and every other type. */
TERN_PRIVATE enum tern_cause ndp_parse(const struct ip_hdr *ip, const struct icmp_msg *icmp, struct ndp_msg *out);

/* Write the whole ICMPv6 message, checksum made. Returns its length. To be sent with hop limit 255. */
TERN_PRIVATE uint16_t ndp_emit(uint8_t *p, const struct ndp_msg *m, const tern_ip *src, const tern_ip *dst);

/* The solicited-node address ff02::1:ffXX:XXXX of an address (RFC 4291 2.7.1). */
TERN_PRIVATE tern_ip ndp_solicited_node(const tern_ip *target);

#endif

/* ============================================================================== src/wire/tcp_options.h */

/* tcp_options.h - between tcp.c and tcp_options.c. */
#ifndef WIRE_TCP_OPTIONS_H
#define WIRE_TCP_OPTIONS_H


/* Read `len` bytes of options; those that a SYN alone may carry only when `syn`. False: an impossible
 * length. */
TERN_PRIVATE bool tcp_opts_parse(const uint8_t *p, uint32_t len, bool syn, struct tcp_opts *o);

/* Write them; returns tcp_opts_len(o, flags). */
TERN_PRIVATE uint16_t tcp_opts_emit(uint8_t *p, const struct tcp_opts *o, uint8_t flags);

#endif

/* ==================================================================================== src/base/arena.c */

/* arena.c - pages of the one block of memory.
 *
 * A page comes from the list of free pages, or else from above the high-water mark, so that memory never
 * needed is never touched. A run of neighbours (a table's directory) comes from above the mark; only when
 * that is used up is a run sought among the free pages. What a run gives back are single free pages.
 *
 *   0        first                               pages_used        pages_max
 *   | fixed  | pool | free | chunk | table | free | ............... |
 *                      │                      ▲
 *   free_head ─────────┘──────────────────────┘ (each free page's first word names the next)
 *
 * What may be taken depends on how badly it is wanted:
 *
 *   budget  |################ used ################|........room........|
 *                                                  |  MEM_OOO |  1/8 of the budget is left alone
 *                                                  |   MEM_DATA   | the reserve is left alone
 *                                                  |    MEM_CONTROL     |
 *
 * Invariants: (1) pages_used - free_count pages are in use, never more than pages_max; (2) the map is valid
 * below pages_used, and garbage above; (3) free_count pages are on the list, each of kind PAGE_FREE, and no
 * other page is.
 */

#define MAX_SIZE ((uint64_t)1 << 36) /* what 32-bit references in grains reach */
#define LINE     64u                 /* the fixed part begins on a cache line */
#define MAP_AT   ((sizeof(struct arena) + GRAIN - 1) / GRAIN * GRAIN)

static inline uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

static uint64_t map_end(uint64_t size, uint32_t page_size)
{
    return round_up(MAP_AT + min_u64(size, MAX_SIZE) / page_size, LINE);
}

TERN_PRIVATE size_t arena_fixed_size(uint64_t size, uint32_t page_size, size_t fixed)
{
    return (size_t)round_up(map_end(size, page_size) + fixed, page_size);
}

static inline uint8_t *arena__map_of(const struct arena *a) { return (uint8_t *)(uintptr_t)at_const(a, a->map); }

static inline ref_t page_ref(const struct arena *a, uint32_t number) { return number << (a->page_shift - 4); }

static inline uint32_t page_number(const struct arena *a, ref_t r) { return r >> (a->page_shift - 4); }

static inline uint32_t *free_link(struct arena *a, uint32_t number) { return at(a, page_ref(a, number)); }

TERN_PRIVATE bool arena_init(struct arena *a, uint64_t size, uint64_t budget, uint32_t page_size, size_t fixed,
                void **fixed_at)
{
    ASSERT(page_size >= 512 && page_size <= 65536 && (page_size & (page_size - 1)) == 0);
    ASSERT((uintptr_t)a % GRAIN == 0);
    uint64_t usable = min_u64(budget == 0 ? size : min_u64(size, budget), MAX_SIZE);
    uint32_t pages = (uint32_t)(usable / page_size);
    uint32_t reserve = min_u32(max_u32(pages / 64, 4), 256);
    uint64_t first = arena_fixed_size(usable, page_size, fixed) / page_size;
    if (first + reserve >= pages)
        return false;
    *a = (struct arena){
        .size = size,
        .page_shift = (uint32_t)__builtin_ctz(page_size),
        .map = MAP_AT / GRAIN,
        .pages_max = pages,
        .pages_used = (uint32_t)first,
        .reserve = reserve,
    };
    memset(arena__map_of(a), PAGE_FIXED, (size_t)first);
    *fixed_at = (uint8_t *)a + map_end(usable, page_size);
    memset(*fixed_at, 0, fixed);
    return true;
}

TERN_PRIVATE bool arena_promise(struct arena *a)
{
    if (arena_room(a, MEM_DATA) == 0)
        return false;
    a->promised++;
    return true;
}

TERN_PRIVATE void arena_redeem(struct arena *a)
{
    ASSERT(a->promised > 0);
    a->promised--;
}

/* Whether n pages are granted; a refusal is counted. */
static bool granted(struct arena *a, uint32_t n, enum mem_prio prio)
{
    if (arena_fails(a))
        return false;
    if (LIKELY(arena_room(a, prio) >= n))
        return true;
    a->refused++;
    return false;
}

TERN_PRIVATE ref_t arena_page(struct arena *a, enum page_kind kind, enum mem_prio prio)
{
    if (!granted(a, 1, prio))
        return 0;
    uint32_t number = a->free_head;
    if (number != 0) {
        a->free_head = *free_link(a, number);
        a->free_count--;
    } else {
        number = a->pages_used++;
    }
    arena__map_of(a)[number] = (uint8_t)kind;
    a->chunks += kind == PAGE_CHUNK;
    return page_ref(a, number);
}

static void arena__give_back(struct arena *a, uint32_t number)
{
    uint8_t *kind = &arena__map_of(a)[number];
    ASSERT(number < a->pages_used && *kind >= PAGE_TABLE);
    *kind = PAGE_FREE;
    *free_link(a, number) = a->free_head;
    a->free_head = number;
    a->free_count++;
}

TERN_PRIVATE void arena_page_free(struct arena *a, ref_t page)
{
    ASSERT(page == page_ref(a, page_number(a, page)));
    a->chunks -= arena_kind(a, page) == PAGE_CHUNK;
    arena__give_back(a, page_number(a, page));
}

/* The first of n neighbouring free pages; 0 = there is no such run. */
static uint32_t find_run(const struct arena *a, uint32_t n)
{
    const uint8_t *map = arena__map_of(a);
    uint32_t run = 0;
    if (a->free_count < n)
        return 0;
    for (uint32_t i = 0; i < a->pages_used; i++) {
        run = map[i] == PAGE_FREE ? run + 1 : 0;
        if (run == n)
            return i + 1 - n;
    }
    return 0;
}

/* Take the pages first..first + n - 1 off the free list. Walks the list: rare, only when the untouched part
 * is used up. */
static void unlist_run(struct arena *a, uint32_t first, uint32_t n)
{
    uint32_t *link = &a->free_head;
    while (*link != 0) {
        if (*link - first < n)
            *link = *free_link(a, *link);
        else
            link = free_link(a, *link);
    }
    a->free_count -= n;
}

TERN_PRIVATE ref_t arena_pages(struct arena *a, uint32_t n, enum mem_prio prio)
{
    ASSERT(n > 0);
    if (!granted(a, n, prio))
        return 0;
    uint32_t first = a->pages_used;
    if (n <= a->pages_max - a->pages_used) {
        a->pages_used += n;
    } else {
        first = find_run(a, n);
        if (first == 0) {
            a->refused++;
            return 0;
        }
        unlist_run(a, first, n);
    }
    memset(arena__map_of(a) + first, PAGE_TABLE, n);
    memset(at(a, page_ref(a, first)), 0, (size_t)n << a->page_shift);
    return page_ref(a, first);
}

/* From the highest down, so that the lowest is the first to be used again. */
TERN_PRIVATE void arena_pages_free(struct arena *a, ref_t first, uint32_t n)
{
    for (uint32_t i = n; i > 0; i--)
        arena__give_back(a, page_number(a, first) + i - 1);
}

#undef MAX_SIZE
#undef LINE
#undef MAP_AT

/* =================================================================================== src/base/chunkq.c */

/* chunkq.c - a queue of bytes in pages and pieces.
 *
 *   page:   [ header, 32 bytes | consumed | used bytes ........ | room ]
 *                                         off                   off + used
 *   piece:  [ the same header, hold != 0 ] ──▶ bytes off .. off + used of what is held
 *
 * Chunks are linked both ways, so both ends can be trimmed. Every chunk knows the stream position of its
 * first byte; a search starts at the hint, or at the nearer end, and walks.
 *
 * A hint is a reference that its owner keeps from an earlier search, and nobody tells him when that chunk
 * goes. So a hint is believed only if it is a chunk of this very queue and its bytes lie inside it; a stale
 * hint costs a walk, never a wrong byte. (A chunk names its queue by the queue's place: a queue that is not
 * empty must not be moved.)
 *
 * A page that is to be shared is first turned into a hold and a piece where it stands; its bytes stay where
 * they are. What is small is copied instead, and so is what fills a last page that is less than half full:
 * however references and copies alternate, pages are half full on the average.
 *
 * Invariants: (1) chunks of a queue are contiguous: pos + used = the next one's pos; (2) none is empty; (3)
 * an empty queue has none; (4) len is the sum of used, chunks their number; (5) between calls bytes of a
 * queue do not move, unless a piece of foreign memory is replaced by its copy.
 */

static inline struct chunk *chunk_at(struct arena *a, ref_t r) { return at(a, r); }

static inline uint8_t *chunkq__page_bytes(struct chunk *c) { return (uint8_t *)c + sizeof(struct chunk); }

static inline const uint8_t *bytes_of(const struct arena *a, const struct regions *g, const struct chunk *c)
{
    if (LIKELY(c->hold == 0))
        return (const uint8_t *)c + sizeof(struct chunk) + c->off;
    return hold_bytes(a, g, at_const(a, c->hold)) + c->off;
}

static inline uint32_t capacity(const struct arena *a)
{
    return arena_page_size(a) - (uint32_t)sizeof(struct chunk);
}

/* What can still be appended to a chunk. */
static inline uint32_t room_behind(const struct arena *a, const struct chunk *c)
{
    return c->hold != 0 ? 0 : capacity(a) - c->off - c->used;
}

static inline uint32_t tail_room(struct arena *a, const struct chunkq *q)
{
    return q->list.tail != 0 ? room_behind(a, chunk_at(a, q->list.tail)) : 0;
}

TERN_PRIVATE void chunkq_init(struct chunkq *q, uint32_t pos) { *q = (struct chunkq){.pos = pos}; }

#define chunkq__PLACE offsetof(struct chunk, place)

/* --- the list ------------------------------------------------------------------------------------- */

static void set_owner(struct arena *a, const struct chunkq *q, struct chunk *c)
{
    c->owner = ref_of(a, q);
    if (c->hold != 0)
        ((struct piece *)(void *)c)->owner_low = (uint32_t)((uintptr_t)q - (uintptr_t)at(a, c->owner));
}

/* Into the list before `where` (0: at the end). */
static void put_before(struct arena *a, struct chunkq *q, ref_t r, ref_t where)
{
    list_insert(a, &q->list, r, where, chunkq__PLACE);
    set_owner(a, q, chunk_at(a, r));
    q->chunks++;
}

static void take_out(struct arena *a, struct chunkq *q, ref_t r)
{
    list_remove(a, &q->list, r, chunkq__PLACE);
    q->chunks--;
}

/* At the end, with the bytes that it has. */
static void chunkq__put_last(struct arena *a, struct chunkq *q, ref_t r)
{
    struct chunk *c = chunk_at(a, r);
    c->pos = q->pos + q->len;
    put_before(a, q, r, 0);
    q->len += c->used;
}

static void drop_chunk(struct arena *a, struct chunkq *q, ref_t r)
{
    take_out(a, q, r);
    if (chunk_at(a, r)->hold != 0)
        piece_free(a, r);
    else
        arena_page_free(a, r);
}

/* A new page before `where`, still empty. NULL: refused. */
static struct chunk *new_page(struct arena *a, struct chunkq *q, ref_t where, uint32_t pos,
                              enum mem_prio prio)
{
    ref_t r = arena_page(a, PAGE_CHUNK, prio);
    if (r == 0)
        return NULL;
    struct chunk *c = chunk_at(a, r);
    *c = (struct chunk){.pos = pos};
    put_before(a, q, r, where);
    return c;
}

/* --- bytes come in -------------------------------------------------------------------------------- */

/* Copy as much as there is room for behind the bytes of a page. */
static inline uint32_t chunkq__fill(struct arena *a, struct chunk *c, const uint8_t *from, uint32_t n)
{
    uint32_t part = min_u32(n, room_behind(a, c));
    memcpy(chunkq__page_bytes(c) + c->off + c->used, from, part);
    c->used += part;
    a->copied += part;
    return part;
}

TERN_PRIVATE uint32_t chunkq_append(struct arena *a, struct chunkq *q, const void *data, uint32_t n, enum mem_prio prio)
{
    const uint8_t *from = data;
    uint32_t left = n;
    ASSERT(n <= UINT32_MAX - q->len);
    while (left > 0) {
        struct chunk *c = q->list.tail != 0 ? chunk_at(a, q->list.tail) : NULL;
        if (c == NULL || room_behind(a, c) == 0)
            c = new_page(a, q, 0, q->pos + q->len, prio);
        if (c == NULL)
            break;
        uint32_t part = chunkq__fill(a, c, from, left);
        q->len += part;
        from += part;
        left -= part;
    }
    return n - left;
}

TERN_PRIVATE uint32_t chunkq_gap(struct arena *a, const struct chunkq *q)
{
    uint32_t room = tail_room(a, q);
    return room > capacity(a) / 2 ? room - capacity(a) / 2 : 0;
}

TERN_PRIVATE bool chunkq_refer(struct arena *a, struct chunkq *q, ref_t hold, uint32_t off, uint32_t n,
                  enum mem_prio prio)
{
    ASSERT(n > 0 && n <= UINT32_MAX - q->len);
    struct chunk *c = q->list.tail != 0 ? chunk_at(a, q->list.tail) : NULL;
    if (c != NULL && c->hold == hold && c->off + c->used == off) { /* what follows the last piece */
        c->used += n;
        q->len += n;
        return true;
    }
    ref_t piece = piece_new(a, hold, off, n, prio);
    if (piece == 0)
        return false;
    chunkq__put_last(a, q, piece);
    return true;
}

TERN_PRIVATE bool chunkq_own(struct arena *a, struct chunkq *q, ref_t piece, const uint8_t *bytes, enum mem_prio prio)
{
    struct chunk *p = chunk_at(a, piece);
    while (p->used > 0) {
        struct chunk *c = p->place.prev != 0 ? chunk_at(a, p->place.prev) : NULL;
        if (c == NULL || room_behind(a, c) == 0)
            c = new_page(a, q, piece, p->pos, prio);
        if (c == NULL)
            return false;
        uint32_t part = chunkq__fill(a, c, bytes, p->used);
        bytes += part;
        p->pos += part;
        p->off += part;
        p->used -= part;
    }
    drop_chunk(a, q, piece);
    return true;
}

/* --- bytes go -------------------------------------------------------------------------------------- */

TERN_PRIVATE void chunkq_drop_front(struct arena *a, struct chunkq *q, uint32_t n)
{
    ASSERT(n <= q->len);
    q->pos += n;
    q->len -= n;
    while (n > 0) {
        struct chunk *c = chunk_at(a, q->list.head);
        if (c->used > n) {
            c->pos += n;
            c->off += n;
            c->used -= n;
            return;
        }
        n -= c->used;
        drop_chunk(a, q, q->list.head);
    }
}

TERN_PRIVATE void chunkq_drop_back(struct arena *a, struct chunkq *q, uint32_t n)
{
    ASSERT(n <= q->len);
    q->len -= n;
    while (n > 0) {
        struct chunk *c = chunk_at(a, q->list.tail);
        if (c->used > n) {
            c->used -= n;
            return;
        }
        n -= c->used;
        drop_chunk(a, q, q->list.tail);
    }
}

TERN_PRIVATE void chunkq_clear(struct arena *a, struct chunkq *q) { chunkq_drop_front(a, q, q->len); }

/* --- where a position is --------------------------------------------------------------------------- */

/* Whether a chunk is there now: a page, or a live piece. */
static bool is_chunk(const struct arena *a, ref_t r)
{
    if (arena_kind(a, r) == PAGE_CHUNK)
        return r % (arena_page_size(a) / GRAIN) == 0;
    if (a->lent == 0)
        return false;
    const struct lent *l = at_const(a, a->lent);
    return pool_valid(a, &l->pieces, r, pool_gen(a, r));
}

/* Whether a hint of any age is a chunk of this queue. */
static bool hint_good(const struct arena *a, const struct chunkq *q, ref_t hint)
{
    if (hint == 0 || !is_chunk(a, hint))
        return false;
    const struct chunk *c = at_const(a, hint);
    return c->owner == ref_of(a, q) && c->pos - q->pos < q->len;
}

/* The chunk that holds position pos, which must be inside the queue. */
static ref_t chunkq__find(struct arena *a, const struct chunkq *q, uint32_t pos, ref_t hint)
{
    uint32_t offset = pos - q->pos;
    ref_t r = offset > q->len / 2 ? q->list.tail : q->list.head;
    if (hint_good(a, q, hint))
        r = hint;
    while (chunk_at(a, r)->pos - q->pos > offset)
        r = chunk_at(a, r)->place.prev;
    while (pos - chunk_at(a, r)->pos >= chunk_at(a, r)->used)
        r = chunk_at(a, r)->place.next;
    return r;
}

/* --- from queue to queue -------------------------------------------------------------------------- */

/* A page becomes a piece of a hold, in the same place of its queue. 0 = refused. */
static ref_t to_piece(struct arena *a, struct chunkq *q, ref_t page, enum mem_prio prio)
{
    struct chunk *c = chunk_at(a, page);
    ref_t hold = hold_new(a, &(struct hold){.kind = HOLD_PAGE, .page = page}, prio);
    ref_t piece = hold == 0 ? 0 : piece_new(a, hold, (uint32_t)sizeof *c + c->off, c->used, prio);
    if (piece == 0) {
        if (hold != 0)
            hold_forget(a, hold);
        return 0;
    }
    chunk_at(a, piece)->pos = c->pos;
    put_before(a, q, piece, page);
    take_out(a, q, page);
    c->owner = 0; /* a hint that still leads here must not be believed */
    return piece;
}

/* A part of a chunk of `from` goes to the end of q as well. False: memory was refused. */
static bool share_part(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                       ref_t *r, uint32_t skip, uint32_t n, enum mem_prio prio)
{
    if (n < REFER_MIN)
        return chunkq_append(a, q, bytes_of(a, g, chunk_at(a, *r)) + skip, n, prio) == n;
    if (chunk_at(a, *r)->hold == 0) {
        ref_t piece = to_piece(a, from, *r, prio);
        if (piece == 0)
            return false;
        *r = piece;
    }
    const struct chunk *c = chunk_at(a, *r);
    return chunkq_refer(a, q, c->hold, c->off + skip, n, prio);
}

/* What fills the last page of q, when that is nearly empty, is copied. Returns the bytes. */
static uint32_t fill_gap(struct arena *a, const struct regions *g, struct chunkq *q, const struct chunk *c,
                         uint32_t skip, uint32_t n)
{
    uint32_t part = min_u32(n, chunkq_gap(a, q));
    if (part > 0)
        q->len += chunkq__fill(a, chunk_at(a, q->list.tail), bytes_of(a, g, c) + skip, part);
    return part;
}

TERN_PRIVATE uint32_t chunkq_move(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                     uint32_t n, enum mem_prio prio)
{
    uint32_t moved = 0;
    ASSERT(n <= from->len && n <= UINT32_MAX - q->len);
    while (moved < n) {
        ref_t r = from->list.head;
        struct chunk *c = chunk_at(a, r);
        uint32_t part = min_u32(n - moved, c->used), copied = fill_gap(a, g, q, c, 0, part);
        if (copied > 0) {
            part = copied;
            chunkq_drop_front(a, from, part);
        } else if (part == c->used) {
            from->pos += part;
            from->len -= part;
            take_out(a, from, r);
            chunkq__put_last(a, q, r);
        } else {
            uint32_t before = q->len;
            bool whole = share_part(a, g, q, from, &r, 0, part, prio);
            part = q->len - before;
            chunkq_drop_front(a, from, part);
            if (!whole)
                return moved + part;
        }
        moved += part;
    }
    return moved;
}

TERN_PRIVATE uint32_t chunkq_share(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                      uint32_t pos, uint32_t n, enum mem_prio prio)
{
    uint32_t start = q->len, left = n;
    ASSERT(q != from && pos - from->pos <= from->len && n <= from->len - (pos - from->pos));
    ref_t r = n > 0 ? chunkq__find(a, from, pos, 0) : 0;
    for (bool whole = true; left > 0 && whole; left = n - (q->len - start)) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t at_pos = pos + (q->len - start), skip = at_pos - c->pos,
                 part = min_u32(left, c->used - skip);
        if (fill_gap(a, g, q, c, skip, part) == 0)
            whole = share_part(a, g, q, from, &r, skip, part, prio);
        c = chunk_at(a, r); /* it may be a piece now */
        if (pos + (q->len - start) - c->pos == c->used)
            r = c->place.next;
    }
    return q->len - start;
}

/* The only chunk of a small queue is copied if it fits, so that pages do not stay nearly empty. */
static bool join_by_copy(struct arena *a, struct chunkq *q, struct chunkq *from)
{
    struct chunk *c = chunk_at(a, from->list.head);
    if (from->chunks != 1 || c->hold != 0 || from->len > tail_room(a, q))
        return false;
    q->len += chunkq__fill(a, chunk_at(a, q->list.tail), chunkq__page_bytes(c) + c->off, c->used);
    chunkq_clear(a, from);
    return true;
}

TERN_PRIVATE void chunkq_join(struct arena *a, struct chunkq *q, struct chunkq *from)
{
    ASSERT(from->pos == q->pos + q->len && from->len <= UINT32_MAX - q->len);
    uint32_t end = from->pos + from->len;
    if (from->len > 0 && !join_by_copy(a, q, from)) {
        for (ref_t r = from->list.head; r != 0; r = chunk_at(a, r)->place.next)
            set_owner(a, q, chunk_at(a, r));
        list_join(a, &q->list, &from->list, chunkq__PLACE);
        q->len += from->len;
        q->chunks += from->chunks;
    }
    chunkq_init(from, end);
}

/* --- bytes are looked at ---------------------------------------------------------------------------- */

TERN_PRIVATE void chunkq_copy(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, void *out,
                 uint32_t n)
{
    ASSERT(pos - q->pos <= q->len && n <= q->len - (pos - q->pos));
    uint8_t *to = out;
    a->copied += n;
    for (ref_t r = n > 0 ? chunkq__find(a, q, pos, 0) : 0; n > 0; r = chunk_at(a, r)->place.next) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t skip = pos - c->pos, part = min_u32(n, c->used - skip);
        memcpy(to, bytes_of(a, g, c) + skip, part);
        to += part;
        pos += part;
        n -= part;
    }
}

TERN_PRIVATE int chunkq_slices(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, uint32_t n,
                  ref_t *hint, tern_slice *out, int max, uint32_t *got)
{
    ASSERT(pos - q->pos <= q->len);
    uint32_t left = min_u32(n, q->len - (pos - q->pos));
    int count = 0;
    *got = 0;
    if (left == 0)
        return 0;
    ref_t r = chunkq__find(a, q, pos, hint != NULL ? *hint : 0);
    if (hint != NULL)
        *hint = r;
    for (; count < max && *got < left; r = chunk_at(a, r)->place.next) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t skip = pos + *got - c->pos, part = min_u32(left - *got, c->used - skip);
        out[count++] = (tern_slice){bytes_of(a, g, c) + skip, part};
        *got += part;
    }
    return count;
}

#undef chunkq__PLACE

/* ===================================================================================== src/base/fifo.c */

/* fifo.c - records in order of arrival, in a chain of pages.
 *
 *   chain.head                                            chain.tail
 *   [run | . . r r r] ⇄ [run | r . r r r] ⇄ ... ⇄ [run | r r r     ]
 *            ▲ first          a hole (.)                      ▲ used
 *
 * Invariants: (1) every page has a live record, and `first` is the place of its first one; so the front is
 * found without a search; (2) behind `used` nothing lives; (3) a record lives exactly when its first word is
 * not 0; (4) live and pages are the sums over all pages.
 */

/* The head of a page. */
struct run {
    struct place chain;
    uint32_t first, used, live; /* places 0.. */
    uint32_t reserved;
    uint64_t note;              /* the owner's */
};
_Static_assert(sizeof(struct run) == 2 * GRAIN, "two grains before the records");
#define CHAIN offsetof(struct run, chain)

static inline struct run *run_at(struct arena *a, ref_t page) { return at(a, page); }
static inline const struct run *run_const(const struct arena *a, ref_t page) { return at_const(a, page); }

static inline ref_t fifo__page_of(const struct arena *a, ref_t r) { return r & ~(arena_page_size(a) / GRAIN - 1); }

static inline uint32_t fifo__per_page(const struct arena *a, const struct fifo *f)
{
    return (arena_page_size(a) - (uint32_t)sizeof(struct run)) / f->size;
}

static inline ref_t place(const struct fifo *f, ref_t page, uint32_t i)
{
    return page + (ref_t)(sizeof(struct run) / GRAIN) + i * (f->size / GRAIN);
}

static inline uint32_t index_of(const struct arena *a, const struct fifo *f, ref_t r)
{
    return (r - place(f, fifo__page_of(a, r), 0)) / (f->size / GRAIN);
}

static inline bool lives(const struct arena *a, ref_t r)
{
    uint32_t word;
    memcpy(&word, at_const(a, r), sizeof word);
    return word != 0;
}

TERN_PRIVATE void fifo_init(struct fifo *f, uint32_t number, uint32_t size)
{
    ASSERT(size >= GRAIN && size % GRAIN == 0 && PAGE_POOL0 + number <= UINT8_MAX);
    *f = (struct fifo){.size = size, .number = number};
}

static bool fifo__grow(struct arena *a, struct fifo *f, enum mem_prio prio)
{
    ref_t page = arena_page(a, (enum page_kind)(PAGE_POOL0 + f->number), prio);
    if (page == 0)
        return false;
    *run_at(a, page) = (struct run){0};
    list_append(a, &f->chain, page, CHAIN);
    f->pages++;
    return true;
}

TERN_PRIVATE ref_t fifo_append(struct arena *a, struct fifo *f, bool turn, enum mem_prio prio)
{
    bool full = f->chain.tail == 0 || turn || run_at(a, f->chain.tail)->used == fifo__per_page(a, f);
    if (full ? !fifo__grow(a, f, prio) : arena_fails(a))
        return 0;
    struct run *run = run_at(a, f->chain.tail);
    ref_t r = place(f, f->chain.tail, run->used++);
    run->live++;
    f->live++;
    memset(at(a, r), 0, f->size);
    return r;
}

static void fifo__give_back(struct arena *a, struct fifo *f, ref_t page)
{
    list_remove(a, &f->chain, page, CHAIN);
    f->pages--;
    arena_page_free(a, page);
}

TERN_PRIVATE void fifo_remove(struct arena *a, struct fifo *f, ref_t r)
{
    ref_t page = fifo__page_of(a, r);
    struct run *run = run_at(a, page);
    ASSERT(arena_kind(a, r) == (enum page_kind)(PAGE_POOL0 + f->number) && lives(a, r));
    memset(at(a, r), 0, sizeof(uint32_t));
    f->live--;
    if (--run->live == 0) {
        fifo__give_back(a, f, page);
        return;
    }
    while (!lives(a, place(f, page, run->first)))
        run->first++;
}

TERN_PRIVATE ref_t fifo_front(const struct arena *a, const struct fifo *f)
{
    ref_t page = f->chain.head;
    return page == 0 ? 0 : place(f, page, run_const(a, page)->first);
}

/* The place behind r in the chain, live or not; 0 = none. */
static ref_t fifo__behind(const struct arena *a, const struct fifo *f, ref_t r)
{
    ref_t page = fifo__page_of(a, r);
    uint32_t i = index_of(a, f, r) + 1;
    if (i < run_const(a, page)->used)
        return place(f, page, i);
    page = run_const(a, page)->chain.next;
    return page == 0 ? 0 : place(f, page, run_const(a, page)->first);
}

TERN_PRIVATE bool fifo_next(const struct arena *a, const struct fifo *f, ref_t *r)
{
    if (*r == 0) {
        *r = fifo_front(a, f);
        return *r != 0;
    }
    if (arena_kind(a, *r) != (enum page_kind)(PAGE_POOL0 + f->number))
        *r = 0; /* the page has gone since: the walk ends */
    while (*r != 0 && (*r = fifo__behind(a, f, *r)) != 0 && !lives(a, *r))
        continue;
    return *r != 0;
}

TERN_PRIVATE ref_t fifo_in_page(const struct arena *a, const struct fifo *f, ref_t page, ref_t r)
{
    const struct run *run = run_const(a, page);
    uint32_t i = r == 0 ? run->first : index_of(a, f, r) + 1;
    while (i < run->used && !lives(a, place(f, page, i)))
        i++;
    return i < run->used ? place(f, page, i) : 0;
}

TERN_PRIVATE uint64_t *fifo_note(struct arena *a, ref_t r) { return &run_at(a, fifo__page_of(a, r))->note; }

TERN_PRIVATE uint64_t fifo_room(const struct arena *a, const struct fifo *f)
{
    return (uint64_t)f->pages * fifo__per_page(a, f);
}

#undef CHAIN

/* ===================================================================================== src/base/htab.c */

/* htab.c - extendible hashing: a directory of segments, one page each.
 *
 *   directory, depth 2          segments
 *   00 ──▶ [used, depth 2 | slot slot slot ...]
 *   01 ──▶ [used, depth 2 | slot slot slot ...]
 *   10 ─┬▶ [used, depth 1 | slot slot slot ...]      its entries agree in one bit only
 *   11 ─┘
 *
 * The upper bits of the (spread) hash choose the segment, the lower ones the slot where the search begins. A
 * segment filled to 7/8 is split by its next bit; if the directory is not deep enough it doubles. Hashes are
 * spread unevenly on purpose: the first segments get twice as many entries as the last. So segments split one
 * after the other while the table grows, not all at about the same number of entries, and the memory for an
 * entry is the same at every size (12.7 bytes; evenly spread it would swing between 9 and 18). A segment
 * that has become nearly empty is joined with its sister. Removal shifts later entries back, so there are no
 * tombstones and searches stay short.
 *
 * Equal hashes cannot be told apart by splitting. So a segment is split only while the directory stays small
 * in relation to the entries; then it fills up, and only when it is full an insertion fails. With hashes as
 * they should be (keyed, uniform) this does not happen: it would need a segment 16 times as full as the
 * average.
 *
 * Invariants: (1) every segment has an empty slot, where searches end; (2) no empty slot lies between the
 * place where an entry's search begins and the entry; (3) a segment of depth d is named by 2^(depth - d)
 * neighbouring directory entries; (4) entries of equal hash are found in the order of insertion.
 */

#define MAX_DEPTH 24

struct slot {
    uint32_t hash; /* spread */
    ref_t ref;     /* 0 = empty */
};

struct htab__segment {
    uint32_t used;
    uint32_t depth;
    struct slot slots[];
};

/* Bijective; hashes that differ in few bits come to lie far apart. */
static inline uint32_t mix(uint32_t hash)
{
    hash = (hash ^ hash >> 16) * 0x9e3779b1u;
    return hash ^ hash >> 15;
}

/* With u = hash / 2^32 the place is u (2 + u) / 3: three halves of the average density at 0, three quarters
 * at 1. A few hashes share a place, which is as harmless as any collision: the caller compares records. */
static inline uint32_t spread(uint32_t hash)
{
    uint64_t u = mix(hash);
    return (uint32_t)((2 * u + (u * u >> 32)) / 3);
}

static inline uint32_t slots_in(const struct arena *a)
{
    return (arena_page_size(a) - (uint32_t)sizeof(struct htab__segment)) / (uint32_t)sizeof(struct slot);
}

static inline uint32_t home(uint32_t hash, uint32_t n) { return (hash & 0xffff) * n >> 16; }

static inline uint32_t after(uint32_t i, uint32_t n) { return i + 1 == n ? 0 : i + 1; }

/* The upper `bits` bits. */
static inline uint32_t prefix(uint32_t hash, uint32_t bits)
{
    return (uint32_t)((uint64_t)hash >> (32 - bits));
}

static inline ref_t *directory(struct arena *a, const struct htab *h) { return at(a, h->dir); }

static inline ref_t segment_of(const struct arena *a, const struct htab *h, uint32_t hash)
{
    return ((const ref_t *)at_const(a, h->dir))[prefix(hash, h->depth)];
}

static ref_t segment_new(struct arena *a, uint32_t depth, enum mem_prio prio)
{
    ref_t r = arena_page(a, PAGE_TABLE, prio);
    if (r == 0)
        return 0;
    struct htab__segment *s = at(a, r);
    memset(s, 0, arena_page_size(a));
    s->depth = depth;
    return r;
}

TERN_PRIVATE bool htab_init(struct arena *a, struct htab *h)
{
    *h = (struct htab){.dir_pages = 1};
    ref_t dir = arena_pages(a, 1, MEM_DATA);
    if (dir == 0)
        return false;
    ref_t first = segment_new(a, 0, MEM_DATA);
    if (first == 0) {
        arena_pages_free(a, dir, 1);
        return false;
    }
    h->dir = dir;
    *directory(a, h) = first;
    return true;
}

TERN_PRIVATE void htab_free(struct arena *a, struct htab *h)
{
    for (uint64_t i = 0; h->dir != 0 && i < (uint64_t)1 << h->depth;) {
        ref_t r = directory(a, h)[i];
        i += (uint64_t)1 << (h->depth - ((const struct htab__segment *)at(a, r))->depth);
        arena_page_free(a, r);
    }
    if (h->dir != 0)
        arena_pages_free(a, h->dir, h->dir_pages);
    *h = (struct htab){0};
}

static inline void htab__put(struct htab__segment *s, uint32_t n, struct slot entry)
{
    uint32_t i = home(entry.hash, n);
    while (s->slots[i].ref != 0)
        i = after(i, n);
    s->slots[i] = entry;
    s->used++;
}

/* Put every entry of `s` again: into `ones` if its bit is set, else into `zeros` (one of them may be s
 * itself). Begins behind an empty slot, so an entry never has to pass one that still waits, and equal hashes
 * keep their order. */
static void deal(struct htab__segment *s, uint32_t n, uint32_t bit, struct htab__segment *zeros, struct htab__segment *ones)
{
    uint32_t start = 0;
    while (s->slots[start].ref != 0)
        start++;
    for (uint32_t i = after(start, n); i != start; i = after(i, n)) {
        struct slot entry = s->slots[i];
        if (entry.ref == 0)
            continue;
        s->slots[i].ref = 0;
        s->used--;
        htab__put((entry.hash & bit) != 0 ? ones : zeros, n, entry);
    }
}

/* Let the directory entries of all hashes that begin with the `bits` upper bits of `hash` name segment r. */
static void point(struct arena *a, struct htab *h, uint32_t hash, uint32_t bits, ref_t r)
{
    ref_t *entry = directory(a, h) + ((size_t)prefix(hash, bits) << (h->depth - bits));
    for (uint32_t i = 0; i < 1u << (h->depth - bits); i++)
        entry[i] = r;
}

/* Twice as many entries, in the same pages where they fit. From the end, so that source and destination may
 * be one. */
static bool directory_double(struct arena *a, struct htab *h, enum mem_prio prio)
{
    uint32_t entries = 1u << h->depth;
    uint32_t pages = (uint32_t)(2u * entries * sizeof(ref_t) >> a->page_shift);
    ref_t dir = h->dir;
    if (pages > h->dir_pages) {
        dir = arena_pages(a, pages, prio);
        if (dir == 0)
            return false;
    }
    const ref_t *from = directory(a, h);
    ref_t *to = at(a, dir);
    for (uint32_t i = entries; i-- > 0;)
        to[2 * i] = to[2 * i + 1] = from[i];
    h->depth++;
    if (dir == h->dir)
        return true;
    arena_pages_free(a, h->dir, h->dir_pages);
    h->dir = dir;
    h->dir_pages = pages;
    return true;
}

/* Whether a segment of this depth may be split: see the top. */
static bool may_split(const struct htab *h, uint32_t depth, uint32_t n)
{
    return depth < MAX_DEPTH && (uint64_t)n << (depth + 1) <= 16 * ((uint64_t)h->count + n);
}

/* Split the segment that `hash` belongs to. */
static bool split(struct arena *a, struct htab *h, uint32_t hash, enum mem_prio prio)
{
    uint32_t n = slots_in(a);
    struct htab__segment *s = at(a, segment_of(a, h, hash));
    if (!may_split(h, s->depth, n))
        return false;
    if (s->depth == h->depth && !directory_double(a, h, prio))
        return false;
    ref_t fresh = segment_new(a, s->depth + 1, prio);
    if (fresh == 0)
        return false;
    uint32_t bit = 1u << (31 - s->depth);
    s->depth++;
    point(a, h, hash | bit, s->depth, fresh);
    deal(s, n, bit, s, at(a, fresh));
    return true;
}

TERN_PRIVATE bool htab_insert(struct arena *a, struct htab *h, uint32_t hash, ref_t r, enum mem_prio prio)
{
    uint32_t n = slots_in(a), m = spread(hash);
    struct htab__segment *s = at(a, segment_of(a, h, m));
    while (UNLIKELY(s->used >= n - n / 8) && split(a, h, m, prio))
        s = at(a, segment_of(a, h, m));
    if (UNLIKELY(s->used + 1 >= n))
        return false;
    htab__put(s, n, (struct slot){m, r});
    h->count++;
    return true;
}

static inline uint32_t locate(const struct htab__segment *s, uint32_t n, uint32_t hash, ref_t r)
{
    uint32_t i = home(hash, n);
    while (s->slots[i].ref != r) {
        ASSERT(s->slots[i].ref != 0);
        i = after(i, n);
    }
    ASSERT(s->slots[i].hash == hash);
    return i;
}

/* Close the hole at i: entries behind it whose search begins at or before it move up. */
static inline void shift_back(struct htab__segment *s, uint32_t n, uint32_t i)
{
    for (uint32_t j = after(i, n); s->slots[j].ref != 0; j = after(j, n)) {
        uint32_t k = home(s->slots[j].hash, n);
        bool stays = i <= j ? i < k && k <= j : i < k || k <= j;
        if (!stays) {
            s->slots[i] = s->slots[j];
            i = j;
        }
    }
    s->slots[i] = (struct slot){0, 0};
}

/* Join the nearly empty segment of `hash` with its sister, if both together are small. */
static void join(struct arena *a, struct htab *h, uint32_t hash)
{
    ref_t r = segment_of(a, h, hash);
    struct htab__segment *s = at(a, r);
    if (s->depth == 0)
        return;
    uint32_t n = slots_in(a);
    struct htab__segment *sister = at(a, segment_of(a, h, hash ^ 1u << (32 - s->depth)));
    if (sister->depth != s->depth || s->used + sister->used > n * 3 / 8)
        return;
    deal(s, n, 0, sister, sister);
    sister->depth--;
    point(a, h, hash, sister->depth, ref_of(a, sister));
    arena_page_free(a, r);
}

TERN_PRIVATE void htab_remove(struct arena *a, struct htab *h, uint32_t hash, ref_t r)
{
    uint32_t n = slots_in(a), m = spread(hash);
    struct htab__segment *s = at(a, segment_of(a, h, m));
    shift_back(s, n, locate(s, n, m, r));
    s->used--;
    h->count--;
    if (s->used == n / 8 || s->used == 0)
        join(a, h, m);
}

TERN_PRIVATE void htab_replace(struct arena *a, struct htab *h, uint32_t hash, ref_t from, ref_t to)
{
    uint32_t m = spread(hash);
    struct htab__segment *s = at(a, segment_of(a, h, m));
    s->slots[locate(s, slots_in(a), m, from)].ref = to;
}

/* From the iterator's slot on to an entry of its hash, or to the empty slot that ends the search. */
static inline ref_t search(const struct arena *a, struct htab_iter *it)
{
    const struct htab__segment *s = at_const(a, it->segment);
    uint32_t n = slots_in(a), i = it->slot;
    while (s->slots[i].ref != 0 && s->slots[i].hash != it->hash)
        i = after(i, n);
    it->slot = i;
    return s->slots[i].ref;
}

TERN_PRIVATE ref_t htab_first(const struct arena *a, const struct htab *h, uint32_t hash, struct htab_iter *it)
{
    it->hash = spread(hash);
    it->segment = segment_of(a, h, it->hash);
    it->slot = home(it->hash, slots_in(a));
    return search(a, it);
}

TERN_PRIVATE ref_t htab_next(const struct arena *a, const struct htab *h, struct htab_iter *it)
{
    (void)h;
    it->slot = after(it->slot, slots_in(a));
    return search(a, it);
}

#undef MAX_DEPTH

/* ==================================================================================== src/base/image.c */

/* image.c - an arena as a run of bytes.
 *
 *   arena   | header | map ....garbage | fixed | pool | free | chunk | free | table | ... untouched
 *              │        │                 │       │      │       │      │       │
 *   image   | header | map             | fixed | pool |link| chunk |link| table |
 *
 * Pages stand in the image in their order. Of a free page the first grain is kept, which holds the link of
 * the free list: so pages are handed out in the same order afterwards, references come out the same, and a
 * copy goes on exactly as its original does.
 *
 * The sum runs over four lanes at a time. A step of a lane can be undone for any word, so two runs of bytes
 * that differ in one word never have the same sum; other differences go unseen once in 2^64.
 */

#define WORD 8u

static const uint8_t *image__map_of(const struct arena *a) { return at_const(a, a->map); }

static uint64_t image__page_bytes(const struct arena *a) { return (uint64_t)1 << a->page_shift; }

/* Bytes that the image keeps of page `number`. */
static uint64_t kept(const struct arena *a, const uint8_t *map, uint32_t number)
{
    return map[number] == PAGE_FREE ? GRAIN : image__page_bytes(a);
}

/* Header and map, up to the high-water mark. */
static uint64_t front(const struct arena *a) { return (uint64_t)a->map * GRAIN + a->pages_used; }

TERN_PRIVATE uint64_t image_front(const struct arena *a) { return front(a); }

TERN_PRIVATE uint64_t image_kept(const struct arena *a, uint32_t number)
{
    const uint8_t *map = image__map_of(a);
    return map[number] == PAGE_FIXED ? 0 : kept(a, map, number);
}

static uint32_t first_page(const struct arena *a, const uint8_t *map)
{
    uint32_t n = 0;
    while (n < a->pages_used && map[n] == PAGE_FIXED)
        n++;
    return n;
}

static uint64_t size_of(const struct arena *a, const uint8_t *map, size_t fixed)
{
    uint32_t first = first_page(a, map), n_free = 0;
    for (uint32_t i = first; i < a->pages_used; i++)
        n_free += map[i] == PAGE_FREE;
    uint64_t whole = a->pages_used - first - n_free;
    return front(a) + fixed + n_free * (uint64_t)GRAIN + whole * image__page_bytes(a);
}

TERN_PRIVATE uint64_t image_size(const struct arena *a, size_t fixed) { return size_of(a, image__map_of(a), fixed); }

static uint8_t *image__put(uint8_t *out, const void *from, uint64_t n)
{
    memcpy(out, from, (size_t)n);
    return out + n;
}

TERN_PRIVATE uint8_t *image_save(const struct arena *a, const void *fixed_at, size_t fixed, uint8_t *out)
{
    const uint8_t *map = image__map_of(a), *base = (const uint8_t *)a;
    out = image__put(out, a, front(a));
    out = image__put(out, fixed_at, fixed);
    for (uint32_t i = first_page(a, map); i < a->pages_used; i++)
        out = image__put(out, base + i * image__page_bytes(a), kept(a, map, i));
    return out;
}

/* The header of the arena in an image, which may lie at any address. */
static struct arena header_of(const uint8_t *in)
{
    struct arena a;
    memcpy(&a, in, sizeof a);
    return a;
}

static uint64_t budget_of(const struct arena *a) { return (uint64_t)a->pages_max << a->page_shift; }

TERN_PRIVATE uint64_t image_budget(const uint8_t *in)
{
    struct arena a = header_of(in);
    return budget_of(&a);
}

TERN_PRIVATE bool image_sound(const uint8_t *in, uint64_t len, uint64_t fixed_offset, size_t fixed)
{
    if (len < sizeof(struct arena))
        return false;
    struct arena a = header_of(in);
    if (a.page_shift < 9 || a.page_shift > 16 || a.pages_used > a.pages_max || a.free_count > a.pages_used ||
        a.reserve > a.pages_max || a.map != (sizeof a + GRAIN - 1) / GRAIN)
        return false;
    if (front(&a) > fixed_offset || front(&a) > len || fixed_offset > budget_of(&a) ||
        fixed_offset % GRAIN != 0)
        return false;
    const uint8_t *map = in + (uint64_t)a.map * GRAIN;
    uint64_t end = (uint64_t)first_page(&a, map) << a.page_shift;
    return fixed_offset + fixed <= end && size_of(&a, map, fixed) == len;
}

TERN_PRIVATE void image_load(struct arena *a, const uint8_t *in, uint64_t fixed_offset, size_t fixed)
{
    struct arena head = header_of(in);
    uint8_t *base = (uint8_t *)a;
    memcpy(base, in, (size_t)front(&head));
    in += front(&head);
    memcpy(base + fixed_offset, in, fixed);
    in += fixed;
    const uint8_t *map = image__map_of(a);
    for (uint32_t i = first_page(a, map); i < a->pages_used; i++) {
        memcpy(base + i * image__page_bytes(a), in, (size_t)kept(a, map, i));
        in += kept(a, map, i);
    }
}

TERN_PRIVATE void image_copy(struct arena *to, const struct arena *from, const void *fixed_at, size_t fixed)
{
    const uint8_t *map = image__map_of(from), *src = (const uint8_t *)from;
    uint8_t *dst = (uint8_t *)to;
    memcpy(dst, src, (size_t)front(from));
    memcpy(dst + ((const uint8_t *)fixed_at - src), fixed_at, fixed);
    for (uint32_t i = first_page(from, map); i < from->pages_used; i++) {
        uint64_t at = i * image__page_bytes(from);
        memcpy(dst + at, src + at, (size_t)kept(from, map, i));
    }
}

/* The free list has just the free pages, each once. */
static bool free_list_sound(const struct arena *a)
{
    const uint8_t *map = image__map_of(a);
    uint32_t n = 0, number = a->free_head;
    for (; number != 0 && n < a->free_count; n++) {
        if (number >= a->pages_used || map[number] != PAGE_FREE)
            return false;
        number = *(const uint32_t *)at_const(a, number << (a->page_shift - 4));
    }
    return number == 0 && n == a->free_count;
}

TERN_PRIVATE bool image_arena_sound(const struct arena *a, uint32_t kinds)
{
    const uint8_t *map = image__map_of(a);
    uint32_t first = first_page(a, map), n_free = 0, chunks = 0;
    for (uint32_t i = first; i < a->pages_used; i++) {
        if (map[i] >= kinds || map[i] == PAGE_FIXED)
            return false;
        n_free += map[i] == PAGE_FREE;
        chunks += map[i] == PAGE_CHUNK;
    }
    return first > 0 && n_free == a->free_count && chunks == a->chunks && free_list_sound(a);
}

/* --- the sum ------------------------------------------------------------------------------------ */

#define LANES 4u

static inline uint64_t word_at(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, WORD);
    return w;
}

static inline uint64_t image__step(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * 0x9e3779b97f4a7c15u;
    return lane ^ lane >> 32;
}

TERN_PRIVATE uint64_t image_sum(const void *data, uint64_t n)
{
    const uint8_t *p = data;
    uint64_t lane[LANES] = {1, 2, 3, 4}, left = n, sum = n;
    uint8_t rest[LANES * WORD] = {0};
    for (; left >= sizeof rest; left -= sizeof rest, p += sizeof rest)
        for (uint32_t i = 0; i < LANES; i++)
            lane[i] = image__step(lane[i], word_at(p + i * WORD));
    memcpy(rest, p, (size_t)left);
    for (uint32_t i = 0; i < LANES; i++)
        sum = image__step(sum, image__step(lane[i], word_at(rest + i * WORD)));
    return sum;
}

#undef WORD
#undef LANES

/* ===================================================================================== src/base/lent.c */

/* lent.c - holds: what pieces refer to, how it is counted, and how it goes back (lent.h).
 *
 * Copying a region's bytes into the arena works from the holds: each knows its pieces, each piece its queue,
 * so the work is in proportion to what is copied, however many connections there are.
 */

TERN_PRIVATE void lent_init(struct lent *l, uint32_t hold_pool, uint32_t piece_pool)
{
    pool_init(&l->holds, hold_pool, sizeof(struct hold));
    pool_init(&l->pieces, piece_pool, sizeof(struct piece));
}

#define lent__PLACE offsetof(struct hold, place)
#define HELD  offsetof(struct piece, held)

/* --- lives of holds ------------------------------------------------------------------------------- */

TERN_PRIVATE ref_t hold_new(struct arena *a, const struct hold *what, enum mem_prio prio)
{
    struct lent *l = lent_of(a);
    ref_t r = pool_get(a, &l->holds, prio);
    if (r == 0)
        return 0;
    struct hold *h = hold_at(a, r);
    uint32_t gen = h->gen;
    *h = *what;
    h->gen = gen;
    h->count = 0;
    h->pieces = (struct list){0};
    if (h->region != 0) {
        struct region *g = &l->region[h->region];
        list_append(a, &g->live, r, lent__PLACE);
        g->kept += h->len;
        g->holds++;
    }
    l->lent_count += h->kind == HOLD_LENT;
    l->link_count += h->kind == HOLD_LINK;
    return r;
}

/* Nothing refers to it any more. */
static void lent__leave(struct arena *a, ref_t r)
{
    struct lent *l = lent_of(a);
    const struct hold *h = hold_at(a, r);
    ASSERT(h->count == 0 && h->pieces.head == 0);
    if (h->region != 0) {
        struct region *g = &l->region[h->region];
        list_remove(a, &g->live, r, lent__PLACE);
        g->kept -= h->len;
        g->holds--;
    }
    l->lent_count -= h->kind == HOLD_LENT;
    l->link_count -= h->kind == HOLD_LINK;
}

TERN_PRIVATE void hold_forget(struct arena *a, ref_t hold)
{
    lent__leave(a, hold);
    pool_put(a, &lent_of(a)->holds, hold);
}

TERN_PRIVATE void hold_drop(struct arena *a, ref_t hold)
{
    struct lent *l = lent_of(a);
    struct hold *h = hold_at(a, hold);
    if (--h->count > 0)
        return;
    lent__leave(a, hold);
    switch ((enum hold_kind)h->kind) {
    case HOLD_PAGE:
        arena_page_free(a, h->page);
        pool_put(a, &l->holds, hold);
        break;
    case HOLD_LENT:
        list_append(a, &l->back, hold, lent__PLACE);
        l->back_count++;
        l->news = true;
        break;
    case HOLD_LINK:
        list_append(a, &l->region[h->region].back, hold, lent__PLACE);
        break;
    }
}

TERN_PRIVATE ref_t keep_hold(struct arena *a, struct keep *k, enum mem_prio prio)
{
    if (k->hold == 0) {
        k->hold = hold_new(a, &k->what, prio);
        if (k->hold != 0)
            hold_at(a, k->hold)->count = 1; /* until the packet is done with */
    }
    return k->hold;
}

TERN_PRIVATE bool keep_end(struct arena *a, struct keep *k)
{
    if (k->hold == 0)
        return false;
    if (--hold_at(a, k->hold)->count > 0)
        return true;
    hold_forget(a, k->hold);
    return false;
}

TERN_PRIVATE const uint8_t *hold_bytes(const struct arena *a, const struct regions *g, const struct hold *h)
{
    if (h->region == 0)
        return at_const(a, h->page);
    return g->base[h->region] + h->at;
}

TERN_PRIVATE bool lent_fetch(struct arena *a, int region, struct hold *out)
{
    struct lent *l = lent_of(a);
    struct list *back = region == 0 ? &l->back : &l->region[region].back;
    ref_t r = back->head;
    if (r == 0)
        return false;
    *out = *hold_at(a, r);
    list_remove(a, back, r, lent__PLACE);
    l->back_count -= region == 0;
    pool_put(a, &l->holds, r);
    return true;
}

/* --- pieces --------------------------------------------------------------------------------------- */

static struct piece *piece_at(struct arena *a, ref_t r) { return at(a, r); }

TERN_PRIVATE ref_t piece_new(struct arena *a, ref_t hold, uint32_t off, uint32_t used, enum mem_prio prio)
{
    ref_t r = pool_get(a, &lent_of(a)->pieces, prio);
    if (r == 0)
        return 0;
    struct hold *h = hold_at(a, hold);
    struct piece *p = piece_at(a, r);
    p->c.off = off;
    p->c.used = used;
    p->c.hold = hold;
    list_insert(a, &h->pieces, r, h->pieces.head, HELD);
    h->count++;
    return r;
}

TERN_PRIVATE void piece_free(struct arena *a, ref_t piece)
{
    ref_t hold = piece_at(a, piece)->c.hold;
    list_remove(a, &hold_at(a, hold)->pieces, piece, HELD);
    pool_put(a, &lent_of(a)->pieces, piece);
    hold_drop(a, hold);
}

/* --- foreign bytes become the arena's --------------------------------------------------------------- */

TERN_PRIVATE bool lent_own(struct arena *a, ref_t piece, const uint8_t *bytes, enum mem_prio prio)
{
    struct piece *p = piece_at(a, piece);
    struct chunkq *q = (struct chunkq *)(void *)((uint8_t *)at(a, p->c.owner) + p->owner_low);
    return chunkq_own(a, q, piece, bytes, prio);
}

/* All that refers to this buffer gets a copy. */
static bool own_hold(struct arena *a, const struct regions *g, ref_t r)
{
    const struct hold *h = hold_at(a, r);
    for (uint32_t left = h->count; left > 0; left--) { /* with the last piece the hold goes */
        const struct piece *p = piece_at(a, h->pieces.head);
        if (!lent_own(a, h->pieces.head, hold_bytes(a, g, h) + p->c.off, MEM_DATA))
            return false;
    }
    return true;
}

TERN_PRIVATE bool lent_compact(struct arena *a, const struct regions *g, int region, uint64_t bytes)
{
    struct region *own = &lent_of(a)->region[region];
    uint64_t start = own->kept;
    while (own->live.head != 0 && start - own->kept < bytes)
        if (!own_hold(a, g, own->live.head))
            return false;
    return true;
}

static bool foreign(const struct arena *a, const struct chunk *c)
{
    return ((const struct hold *)at_const(a, c->hold))->region != 0;
}

TERN_PRIVATE ref_t lent_next(const struct arena *a, ref_t piece)
{
    const struct lent *l = at_const(a, a->lent);
    while (pool_next(a, &l->pieces, &piece))
        if (foreign(a, at_const(a, piece)))
            return piece;
    return 0;
}

TERN_PRIVATE const uint8_t *lent_bytes(const struct arena *a, const struct regions *g, ref_t piece, uint32_t *len)
{
    const struct chunk *c = at_const(a, piece);
    *len = c->used;
    return hold_bytes(a, g, at_const(a, c->hold)) + c->off;
}

TERN_PRIVATE void lent_cut(struct arena *a)
{
    struct hold ignored;
    for (int i = 1; i < REGIONS; i++) {
        ASSERT(lent_of(a)->region[i].live.head == 0);
        while (lent_fetch(a, i, &ignored))
            continue;
        lent_of(a)->region[i].len = 0;
    }
}

#undef lent__PLACE
#undef HELD

/* ===================================================================================== src/base/pool.c */

/* pool.c - records of one size, with generations that make stale handles harmless.
 *
 *   page:  [ struct slab, slack .... | record | record | record | ... | record ]
 *                                                                     ^ ends at the page's end
 *   record: [ 0          | next free |  ............ ]   while free
 *           [ generation |  the owner's ............ ]   while live
 *
 *   pool.pages ─▶ page with free records ⇄ ... ⇄ full page ⇄ full page ─▶ (circular)
 *
 * Records lie against the end of their page: then records whose size is a multiple of a cache line begin on
 * one. A page without live records goes back to the arena (one is kept, so that a life at a page's edge does
 * not fetch and return a page each time): what thousands of connections took is there for others when they
 * are gone.
 *
 * Invariants: (1) a generation is given to one life of one record of this pool and never again (but for the
 * wrap after 2^32 lives), so a handle stays stale also when its page has been something else in between; (2)
 * a record is on its page's free list exactly when its generation is 0; (3) pages with free records stand
 * before full ones; (4) live and total are the sums over all pages; empty counts the pages without live
 * records and is at most 1.
 */

struct record {
    uint32_t gen;
    ref_t next; /* while free */
};

/* The head of a page: in the ring of the pool's pages. */
struct slab {
    ref_t next, prev;
    ref_t free;
    uint32_t live;
};
_Static_assert(sizeof(struct slab) == GRAIN, "one grain before the records");

static inline struct record *record_at(struct arena *a, ref_t r) { return at(a, r); }
static inline struct slab *slab_at(struct arena *a, ref_t page) { return at(a, page); }

static inline ref_t pool__page_of(const struct arena *a, ref_t r) { return r & ~(arena_page_size(a) / GRAIN - 1); }

TERN_PRIVATE void pool_init(struct pool *p, uint32_t number, uint32_t size)
{
    ASSERT(size >= GRAIN && size % GRAIN == 0 && PAGE_POOL0 + number <= UINT8_MAX);
    *p = (struct pool){.size = size, .number = number, .next_gen = 1};
}

static inline enum page_kind kind_of(const struct pool *p)
{
    return (enum page_kind)(PAGE_POOL0 + p->number);
}

/* Place of the first record in a page, in grains. */
static inline ref_t first_record(const struct arena *a, const struct pool *p)
{
    return (arena_page_size(a) - GRAIN) % p->size / GRAIN + 1;
}

/* Into the ring, before `where` (0: it is empty). */
static void link_before(struct arena *a, ref_t page, ref_t where)
{
    struct slab *s = slab_at(a, page);
    if (where == 0) {
        s->next = s->prev = page;
        return;
    }
    s->next = where;
    s->prev = slab_at(a, where)->prev;
    slab_at(a, s->prev)->next = page;
    slab_at(a, where)->prev = page;
}

static void unlink_page(struct arena *a, struct pool *p, ref_t page)
{
    struct slab *s = slab_at(a, page);
    slab_at(a, s->prev)->next = s->next;
    slab_at(a, s->next)->prev = s->prev;
    if (p->pages == page)
        p->pages = s->next == page ? 0 : s->next;
}

static void to_front(struct arena *a, struct pool *p, ref_t page)
{
    if (p->pages == page)
        return;
    unlink_page(a, p, page);
    link_before(a, page, p->pages);
    p->pages = page;
}

static uint32_t pool__per_page(const struct arena *a, const struct pool *p)
{
    return (arena_page_size(a) - GRAIN) / p->size;
}

/* One more page of free records, the lowest first, at the front. */
static bool pool__grow(struct arena *a, struct pool *p, enum mem_prio prio)
{
    uint32_t n = pool__per_page(a, p);
    ASSERT(n > 0);
    ref_t page = arena_page(a, kind_of(p), prio);
    if (page == 0)
        return false;
    *slab_at(a, page) = (struct slab){0};
    link_before(a, page, p->pages);
    p->pages = page;
    for (uint32_t i = n; i > 0; i--) {
        ref_t r = page + first_record(a, p) + (i - 1) * (p->size / GRAIN);
        *record_at(a, r) = (struct record){.gen = 0, .next = slab_at(a, page)->free};
        slab_at(a, page)->free = r;
    }
    p->total += n;
    p->empty++;
    return true;
}

static bool has_free(struct arena *a, const struct pool *p)
{
    return p->pages != 0 && slab_at(a, p->pages)->free != 0;
}

TERN_PRIVATE ref_t pool_get(struct arena *a, struct pool *p, enum mem_prio prio)
{
    if (LIKELY(has_free(a, p)) ? arena_fails(a) : !pool__grow(a, p, prio))
        return 0;
    struct slab *s = slab_at(a, p->pages);
    ref_t r = s->free;
    struct record *record = record_at(a, r);
    s->free = record->next;
    p->empty -= s->live++ == 0;
    p->live++;
    if (s->free == 0)
        p->pages = s->next; /* the ring turns: a full page stands last */
    memset(record, 0, p->size);
    record->gen = p->next_gen;
    p->next_gen += p->next_gen == UINT32_MAX ? 2 : 1;
    return r;
}

static void give_page_back(struct arena *a, struct pool *p, ref_t page)
{
    unlink_page(a, p, page);
    arena_page_free(a, page);
    p->total -= pool__per_page(a, p);
}

TERN_PRIVATE void pool_put(struct arena *a, struct pool *p, ref_t r)
{
    struct record *record = record_at(a, r);
    ref_t page = pool__page_of(a, r);
    struct slab *s = slab_at(a, page);
    ASSERT(record->gen != 0 && arena_kind(a, r) == kind_of(p));
    record->gen = 0;
    record->next = s->free;
    if (s->free == 0)
        to_front(a, p, page);
    s->free = r;
    p->live--;
    if (--s->live > 0)
        return;
    if (p->empty > 0)
        give_page_back(a, p, page);
    else
        p->empty++;
}

TERN_PRIVATE bool pool_valid(const struct arena *a, const struct pool *p, ref_t r, uint32_t gen)
{
    if (gen == 0 || arena_kind(a, r) != kind_of(p))
        return false;
    uint32_t grains = arena_page_size(a) / GRAIN;
    uint32_t to_end = grains - (r & (grains - 1));
    return to_end < grains && to_end % (p->size / GRAIN) == 0 && pool_gen(a, r) == gen;
}

/* The record behind r (0: the first of all), live or not; 0 = none. */
static ref_t pool__step(const struct arena *a, const struct pool *p, ref_t r)
{
    ref_t page = pool__page_of(a, r);
    if (r != 0 && r + p->size / GRAIN < page + arena_page_size(a) / GRAIN)
        return r + p->size / GRAIN;
    ref_t next = r == 0 ? p->pages : ((const struct slab *)at_const(a, page))->next;
    return next == 0 || (r != 0 && next == p->pages) ? 0 : next + first_record(a, p);
}

TERN_PRIVATE bool pool_next(const struct arena *a, const struct pool *p, ref_t *r)
{
    do {
        if (*r != 0 && arena_kind(a, *r) != kind_of(p))
            *r = 0; /* the page has gone since: the walk ends */
        else
            *r = pool__step(a, p, *r);
    } while (*r != 0 && pool_gen(a, *r) == 0);
    return *r != 0;
}

TERN_PRIVATE ref_t pool_in_page(const struct arena *a, const struct pool *p, ref_t page, ref_t r)
{
    ref_t end = page + arena_page_size(a) / GRAIN;
    r = r == 0 ? page + first_record(a, p) : r + p->size / GRAIN;
    while (r < end && pool_gen(a, r) == 0)
        r += p->size / GRAIN;
    return r < end ? r : 0;
}


/* ===================================================================================== src/base/rand.c */

/* rand.c - SipHash, and random numbers made of it.
 *
 * All randomness of a stack comes from the 32 bytes of seed in its configuration, so that a run can be
 * repeated exactly.
 *
 *   seed ──derive(purpose)──▶ key ──▶ siphash24(key, counter++) = the next number
 *
 * Invariants: (1) two purposes never share a key; (2) results do not depend on the machine's byte order; (3)
 * nothing here keeps state outside of the structures passed in.
 */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rand__rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

/* Little-endian by definition; compilers make one load of it. */
static inline uint64_t rand__load64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline void store64(uint8_t *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> (8 * i));
}

static inline void rounds(struct sip *s, int n)
{
    for (int i = 0; i < n; i++) {
        s->v0 += s->v1;
        s->v1 = rand__rotl(s->v1, 13) ^ s->v0;
        s->v0 = rand__rotl(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rand__rotl(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rand__rotl(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rand__rotl(s->v1, 17) ^ s->v2;
        s->v2 = rand__rotl(s->v2, 32);
    }
}

static inline void absorb(struct sip *s, uint64_t word, int c)
{
    s->v3 ^= word;
    rounds(s, c);
    s->v0 ^= word;
}

/* The last word: what is left over, and the length in the top byte. */
static inline uint64_t last_word(const uint8_t *p, size_t left, size_t n)
{
    uint64_t word = (uint64_t)n << 56;
    size_t i = 0;
    if (left >= 4) {
        word |= (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
        i = 4;
    }
    for (; i < left; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

/* c rounds for every word, d rounds at the end; both constant where this is inlined. */
static inline uint64_t siphash(struct sipkey key, const uint8_t *p, size_t n, int c, int d)
{
    struct sip s = {
        key.k0 ^ 0x736f6d6570736575,
        key.k1 ^ 0x646f72616e646f6d,
        key.k0 ^ 0x6c7967656e657261,
        key.k1 ^ 0x7465646279746573,
    };
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8)
        absorb(&s, rand__load64(p), c);
    absorb(&s, last_word(p, left, n), c);
    s.v2 ^= 0xff;
    rounds(&s, d);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

TERN_PRIVATE uint64_t siphash24(struct sipkey key, const void *data, size_t n) { return siphash(key, data, n, 2, 4); }

TERN_PRIVATE uint64_t siphash13(struct sipkey key, const void *data, size_t n) { return siphash(key, data, n, 1, 3); }

TERN_PRIVATE struct sipkey sipkey_of(const uint8_t key[16]) { return (struct sipkey){rand__load64(key), rand__load64(key + 8)}; }

TERN_PRIVATE struct sipkey sipkey_derive(const uint8_t seed[32], uint32_t purpose)
{
    struct sipkey root = {rand__load64(seed), rand__load64(seed + 8)};
    uint8_t text[24];
    for (int i = 0; i < 16; i++)
        text[i] = seed[16 + i];
    store64(text + 16, (uint64_t)purpose << 1);
    uint64_t k0 = siphash24(root, text, sizeof text);
    store64(text + 16, (uint64_t)purpose << 1 | 1);
    return (struct sipkey){k0, siphash24(root, text, sizeof text)};
}

TERN_PRIVATE void rng_init(struct rng *r, const uint8_t seed[32], uint32_t purpose)
{
    *r = (struct rng){.key = sipkey_derive(seed, purpose)};
}

TERN_PRIVATE uint64_t rng_u64(struct rng *r)
{
    uint8_t text[8];
    store64(text, r->counter++);
    return siphash24(r->key, text, sizeof text);
}

/* Lemire 2019: the high half of a product; the few low halves that would favour some results are drawn
 * again. */
TERN_PRIVATE uint32_t rng_below(struct rng *r, uint32_t n)
{
    ASSERT(n > 0);
    uint32_t unfair = (0u - n) % n; /* 2^32 mod n */
    uint64_t product;
    do {
        product = (rng_u64(r) >> 32) * n;
    } while ((uint32_t)product < unfair);
    return (uint32_t)(product >> 32);
}


/* ====================================================================================== src/base/sum.c */

/* sum.c - two independent chains of multiplications, each a bijection of the state for every word: a word
 * that differs is never lost in the step that takes it. */

static inline uint64_t sum__rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

/* All bits of the result depend on all of x (the finish of splitmix64). */
static inline uint64_t sum__finish(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

TERN_PRIVATE void sum_begin(struct sum *s, uint32_t purpose)
{
    *s = (struct sum){.a = sum__finish(purpose + 1ull), .b = sum__finish(~(uint64_t)purpose)};
}

TERN_PRIVATE void sum_word(struct sum *s, uint64_t word)
{
    s->a = (sum__rotl(s->a, 25) ^ word) * 0x9e3779b97f4a7c15u;
    s->a ^= s->a >> 29;
    s->b = (sum__rotl(s->b, 41) + word) * 0xd6e8feb86659fd93u;
    s->b ^= s->b >> 32;
}

TERN_PRIVATE void sum_bytes(struct sum *s, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        s->part |= (uint64_t)p[i] << (8 * (s->n % 8));
        if (++s->n % 8 == 0) {
            sum_word(s, s->part);
            s->part = 0;
        }
    }
}

TERN_PRIVATE void sum_bytes_end(struct sum *s)
{
    sum_word(s, s->part);
    sum_word(s, s->n);
    s->part = 0;
    s->n = 0;
}

TERN_PRIVATE void sum_join(struct sum *set, const struct sum *s)
{
    set->a += sum__finish(s->a ^ sum__rotl(s->b, 17));
    set->b += sum__finish(s->b + sum__rotl(s->a, 31));
}


/* ==================================================================================== src/base/trace.c */

/* trace.c - the ring of binary trace records.
 *
 * The core writes what happens as records of fixed size into memory that the caller gave; others make text of
 * them. A full ring never stops the stack: the oldest records are overwritten, and the reader is told how
 * many.
 *
 *   records:   [ 8 | 9 | 10 | 11 | 4 | 5 | 6 | 7 ]      head = 12, tail = 3: record 3 was overwritten
 *                            ^head & mask
 *
 * Invariants: (1) tail <= head; (2) records head - size .. head - 1 are in the ring; (3) head and tail count
 * records since the beginning and do not wrap (64 bits).
 */

TERN_PRIVATE void trace_init(struct trace_ring *r, void *records, uint32_t n)
{
    ASSERT(records == NULL || (n & (n - 1)) == 0);
    bool on = records != NULL && n != 0;
    *r = (struct trace_ring){
        .records = on ? records : NULL, .mask = on ? n - 1 : 0, .kinds = on ? UINT32_MAX : 0};
}

TERN_PRIVATE tern_trace_record *trace_next(struct trace_ring *r)
{
    if (r->records == NULL)
        return NULL;
    tern_trace_record *record = &r->records[r->head++ & r->mask];
    *record = (tern_trace_record){0};
    return record;
}

/* Step over records that are overwritten; how many. */
static uint64_t skip_lost(struct trace_ring *r)
{
    uint64_t size = r->mask + 1;
    if (r->head - r->tail <= size)
        return 0;
    uint64_t lost = r->head - size - r->tail;
    r->tail += lost;
    return lost;
}

TERN_PRIVATE int trace_take(struct trace_ring *r, tern_trace_record *out, int max, uint64_t *lost)
{
    uint64_t skipped = r->records == NULL ? 0 : skip_lost(r);
    if (lost != NULL)
        *lost = skipped;
    if (r->records == NULL)
        return 0;
    int n = 0;
    for (; n < max && r->tail != r->head; n++)
        out[n] = r->records[r->tail++ & r->mask];
    return n;
}


/* ==================================================================================== src/base/wheel.c */

/* wheel.c - deadlines in constant time. Told here for 8 levels of 64 slots; a small build has 12 of 16
 * (sizes.h).
 *
 * A deadline lies in the level of the highest 6-bit digit in which it differs from the wheel's time, in the
 * slot that this digit names. So within a level the slots ahead of the wheel's own digit are in order of
 * time, and all of a level comes before all of the next one:
 *
 *   time       ... 2 | 17 | 40        (digits of levels 2, 1, 0)
 *   level 0:   slots 40..63           one microsecond each: a deadline exactly
 *   level 1:   slots 18..63           64 us each; when the time enters a slot, its nodes sink to level 0
 *   level 2:   slots  3..63           4096 us each
 *   level 7:   a ring              up to 2^47 us (4.4 years) ahead; digits below the wheel's: next round
 *
 * Nodes keep 48 bits of their deadline, relative to the origin and modulo 2^48; seen from the wheel's time,
 * within 2^47 either way, they are unique. A deadline that has passed keeps its value but waits in the slot
 * of the present time.
 *
 * Invariants: (1) a node's slot is a function of its deadline and the wheel's time alone, unless its slot is
 * sinking; (2) hence equal deadlines share a slot, and sinking keeps the order of a slot: they fire in the
 * order in which they came to it (what is armed between two steps of one sinking may overtake them); (3) the
 * time never goes back, and never passes a slot with nodes in it; (4) bit s of bits[k] is set exactly when
 * the slot has a node.
 */

#define TOP     (WHEEL_LEVELS - 1)
#define HORIZON (((uint64_t)1 << 47) - 1)

TERN_PRIVATE void wheel_init(struct wheel *w, uint64_t now)
{
    memset(w, 0, sizeof *w);
    w->origin = now;
}

static inline uint64_t relative(const struct wheel *w, uint64_t t)
{
    return t > w->origin ? t - w->origin : 0;
}

static inline uint32_t digit(uint64_t t, uint32_t level)
{
    return (uint32_t)(t >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1);
}

/* The node's 48 bits as the time nearest to the wheel's. */
static inline uint64_t when_of(const struct wheel *w, const struct wnode *n)
{
    uint64_t low = (uint64_t)n->when_hi << 32 | n->when_lo;
    return w->now + (uint64_t)((int64_t)((low - w->now) << 16) >> 16);
}

TERN_PRIVATE uint64_t wheel_when(const struct wheel *w, const struct wnode *n) { return w->origin + when_of(w, n); }

/* level * WHEEL_SLOTS + slot for a deadline. */
static inline uint32_t place_of(const struct wheel *w, uint64_t when)
{
    uint64_t t = max_u64(when, w->now);
    uint64_t differ = t ^ w->now;
    uint32_t level =
        differ < WHEEL_SLOTS ? 0 : min_u32((63 - (uint32_t)__builtin_clzll(differ)) / WHEEL_BITS, TOP);
    return level * WHEEL_SLOTS + digit(t, level);
}

static inline void wheel__append(struct arena *a, struct wheel *w, struct wnode *n, uint32_t place)
{
    uint32_t level = place / WHEEL_SLOTS, slot = place % WHEEL_SLOTS;
    ref_t self = ref_of(a, n), last = w->tail[level][slot];
    n->next = 0;
    n->prev = last;
    n->slot = (uint16_t)(place + 1);
    if (last != 0)
        ((struct wnode *)at(a, last))->next = self;
    else
        w->head[level][slot] = self;
    w->tail[level][slot] = self;
    w->bits[level] |= (uint64_t)1 << slot;
}

static inline void unlink_node(struct arena *a, struct wheel *w, struct wnode *n)
{
    uint32_t level = (n->slot - 1u) / WHEEL_SLOTS, slot = (n->slot - 1u) % WHEEL_SLOTS;
    if (n->prev != 0)
        ((struct wnode *)at(a, n->prev))->next = n->next;
    else
        w->head[level][slot] = n->next;
    if (n->next != 0)
        ((struct wnode *)at(a, n->next))->prev = n->prev;
    else
        w->tail[level][slot] = n->prev;
    if (w->head[level][slot] == 0)
        w->bits[level] &= ~((uint64_t)1 << slot);
}

TERN_PRIVATE void wheel_set(struct arena *a, struct wheel *w, struct wnode *n, uint64_t when)
{
    uint64_t lowest = w->now > HORIZON ? w->now - HORIZON : 0;
    uint64_t t = max_u64(min_u64(relative(w, when), w->now + HORIZON), lowest);
    uint32_t place = place_of(w, t);
    n->when_lo = (uint32_t)t;
    n->when_hi = (uint16_t)(t >> 32);
    if (n->slot == place + 1)
        return; /* moved within its slot: neighbours need not be touched */
    if (n->slot != 0)
        unlink_node(a, w, n);
    else
        w->armed++;
    wheel__append(a, w, n, place);
}

TERN_PRIVATE void wheel_cancel(struct arena *a, struct wheel *w, struct wnode *n)
{
    if (n->slot == 0)
        return;
    unlink_node(a, w, n);
    n->next = n->prev = 0;
    n->slot = 0;
    w->armed--;
}

/* The first slot with nodes; *start = when the time enters it. False: nothing is armed. */
static inline bool first_slot(const struct wheel *w, uint32_t *level, uint32_t *slot, uint64_t *start)
{
    if (w->armed == 0)
        return false;
    uint32_t k = 0;
    while (w->bits[k] == 0)
        k++;
    uint32_t here = digit(w->now, k);
    uint64_t ahead = w->bits[k] >> here | w->bits[k] << (-here & (WHEEL_SLOTS - 1));
    uint32_t steps = (uint32_t)__builtin_ctzll(ahead);
    *level = k;
    *slot = (here + steps) & (WHEEL_SLOTS - 1);
    *start = ((w->now >> (WHEEL_BITS * k)) + steps) << (WHEEL_BITS * k);
    return true;
}

/* The time has entered the slot w->sinking - 1 of a higher level: its nodes sink, in order, as many as there
 * is work for. */
static void sink(struct arena *a, struct wheel *w, uint32_t *work)
{
    uint32_t level = (w->sinking - 1) / WHEEL_SLOTS, slot = (w->sinking - 1) % WHEEL_SLOTS;
    ref_t r;
    while ((r = w->head[level][slot]) != 0 && *work > 0) {
        struct wnode *n = at(a, r);
        unlink_node(a, w, n);
        wheel__append(a, w, n, place_of(w, when_of(w, n)));
        --*work;
    }
    if (r == 0)
        w->sinking = 0;
}

TERN_PRIVATE struct wnode *wheel_pop(struct arena *a, struct wheel *w, uint64_t now, uint32_t *work)
{
    uint64_t until = max_u64(relative(w, now), w->now), start;
    uint32_t level, slot;
    for (;;) {
        if (w->sinking != 0)
            sink(a, w, work);
        if (*work == 0)
            return NULL;
        if (!first_slot(w, &level, &slot, &start) || start > until)
            break;
        w->now = start;
        if (level > 0 && w->head[level][slot] != w->tail[level][slot]) {
            w->sinking = level * WHEEL_SLOTS + slot + 1;
            continue;
        }
        --*work;
        /* in level 0, or alone in its slot: the earliest of all */
        struct wnode *n = at(a, w->head[level][slot]);
        uint64_t when = when_of(w, n);
        w->now = max_u64(start, min_u64(when, until));
        if (when <= until) {
            wheel_cancel(a, w, n);
            return n;
        }
        wheel_set(a, w, n, w->origin + when);
    }
    w->now = until;
    return NULL;
}

TERN_PRIVATE uint64_t wheel_next(const struct wheel *w)
{
    uint64_t start;
    uint32_t level, slot;
    if (w->sinking != 0)
        return w->origin + w->now;
    return first_slot(w, &level, &slot, &start) ? w->origin + start : UINT64_MAX;
}

#undef TOP
#undef HORIZON

/* ===================================================================================== src/wire/addr.c */

/* addr.c - questions about addresses. IPv4 addresses are ::ffff:a.b.c.d, so byte 12 is their first. */

TERN_PRIVATE bool ip_prefix_eq(const tern_ip *a, const tern_ip *b, int len)
{
    bool is4 = tern_ip_is4(a);
    if (is4 != tern_ip_is4(b) || len < 0 || len > (is4 ? 32 : 128))
        return false;
    const uint8_t *x = a->b + (is4 ? 12 : 0), *y = b->b + (is4 ? 12 : 0);
    size_t whole = (size_t)len / 8;
    uint8_t mask = (uint8_t)(0xff00 >> (len % 8));
    return memcmp(x, y, whole) == 0 && (mask == 0 || ((x[whole] ^ y[whole]) & mask) == 0);
}


/* ====================================================================================== src/wire/arp.c */

/* arp.c - ARP messages.
 *
 *   hardware 2 | protocol 2 | lengths 1 1 | operation 2 | sender 6 4 | target 6 4
 */

enum { HW_ETHERNET = 1 };

static tern_ip arp__read_ip(const uint8_t *p)
{
    return tern_ip4(p[0], p[1], p[2], p[3]);
}

/* RFC 826, "Packet Reception": hardware type, protocol, lengths. */
static bool is_ip_over_ethernet(const uint8_t *p)
{
    return get16(p) == HW_ETHERNET && get16(p + 2) == ETH_IP4 && p[4] == 6 && p[5] == 4;
}

TERN_PRIVATE enum tern_cause arp_parse(const uint8_t *p, uint32_t len, struct arp_msg *out)
{
    if (len < ARP_LEN || !is_ip_over_ethernet(p))
        return TERN_C_ARP_MALFORMED;
    *out = (struct arp_msg){.op = get16(p + 6), .sender = arp__read_ip(p + 14), .target = arp__read_ip(p + 24)};
    memcpy(out->sender_hw.b, p + 8, 6);
    memcpy(out->target_hw.b, p + 18, 6);
    if (out->op != ARP_REQUEST && out->op != ARP_REPLY)
        return TERN_C_ARP_MALFORMED;
    /* Who would be believed must be one station (RFC 1122 3.2.1.3; RFC 1812 3.3.2). */
    if (eth_is_group(&out->sender_hw) || ip_is_multicast(&out->sender) || ip_is_broadcast4(&out->sender))
        return TERN_C_ARP_MALFORMED;
    return TERN_CAUSE_NONE;
}

TERN_PRIVATE uint16_t arp_emit(uint8_t *p, const struct arp_msg *m)
{
    put16(p, HW_ETHERNET);
    put16(p + 2, ETH_IP4);
    p[4] = 6, p[5] = 4;
    put16(p + 6, m->op);
    memcpy(p + 8, m->sender_hw.b, 6);
    memcpy(p + 14, m->sender.b + 12, 4);
    memcpy(p + 18, m->target_hw.b, 6);
    memcpy(p + 24, m->target.b + 12, 4);
    return ARP_LEN;
}


/* ================================================================================= src/wire/checksum.c */

/* checksum.c - the Internet checksum (RFC 1071).
 *
 * The checksum is the complement of the one's complement sum of all 16-bit words. That sum does not care for
 * the order of bytes (RFC 1071 2 B) nor for the width of the adder (2 C), so the loop adds 64-bit words as
 * the machine loads them, each with its carry, in four sums that do not wait for one another; the result is
 * folded to 16 bits and turned to host order at the end. Partial sums returned from here are therefore small
 * numbers that may simply be added up; 2^47 of them fit.
 */

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t checksum__load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* One's complement addition: the carry comes back in at the bottom. */
static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static inline uint16_t swap16(uint16_t v)
{
    return (uint16_t)(v << 8 | v >> 8);
}

static inline uint16_t fold16(uint64_t s)
{
    s = (s & 0xffffffff) + (s >> 32); /* < 2^33 */
    s = (s & 0xffff) + (s >> 16);     /* < 2^18 */
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)((s & 0xffff) + (s >> 16));
}

/* A sum of words as the machine loads them, as a sum of 16-bit words in network order. */
static inline uint16_t in_network_order(uint64_t sum)
{
    uint16_t s = fold16(sum);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? swap16(s) : s;
}

/* Fewer than 8 bytes, as sum of words of 4, 2 and 2 bytes, the last one completed with zero. */
static uint64_t load_tail(const uint8_t *p, size_t n)
{
    uint32_t four = 0;
    uint16_t two = 0, one = 0;
    if (n & 4)
        memcpy(&four, p, 4);
    if (n & 2)
        memcpy(&two, p + (n & 4), 2);
    if (n & 1)
        memcpy(&one, p + (n & 6), 1);
    return (uint64_t)four + two + one;
}

/* Sum of n bytes from an even offset, as 16-bit words in network order. */
static uint16_t sum_words(const uint8_t *p, size_t n)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (; n >= 64; p += 64, n -= 64) {
        a = add_carry(a, checksum__load64(p));
        b = add_carry(b, checksum__load64(p + 8));
        c = add_carry(c, checksum__load64(p + 16));
        d = add_carry(d, checksum__load64(p + 24));
        a = add_carry(a, checksum__load64(p + 32));
        b = add_carry(b, checksum__load64(p + 40));
        c = add_carry(c, checksum__load64(p + 48));
        d = add_carry(d, checksum__load64(p + 56));
    }
    for (; n >= 8; p += 8, n -= 8)
        a = add_carry(a, checksum__load64(p));
    b = add_carry(b, load_tail(p, n));
    return in_network_order(add_carry(add_carry(a, b), add_carry(c, d)));
}

/* An IPv4 header without options is every second call. */
TERN_PRIVATE uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t n)
{
    if (n == 20)
        return sum + in_network_order(add_carry(add_carry(checksum__load64(p), checksum__load64(p + 8)), load32(p + 16)));
    return sum + sum_words(p, n);
}

/* Bytes from an odd offset are in the other half of their words (RFC 1071 2 B). */
TERN_PRIVATE uint64_t csum_add_odd(uint64_t sum, const uint8_t *p, size_t n)
{
    return sum + swap16(sum_words(p, n));
}

TERN_PRIVATE uint16_t csum_fold(uint64_t sum)
{
    return (uint16_t)~fold16(sum);
}

TERN_PRIVATE uint64_t csum_pseudo(const tern_ip *src, const tern_ip *dst, uint8_t proto, uint32_t len)
{
    uint64_t sum;
    if (tern_ip_is4(src))
        sum = (uint64_t)load32(src->b + 12) + load32(dst->b + 12);
    else
        sum = add_carry(add_carry(checksum__load64(src->b), checksum__load64(src->b + 8)),
                        add_carry(checksum__load64(dst->b), checksum__load64(dst->b + 8)));
    return (uint64_t)in_network_order(sum) + proto + (len >> 16) + (len & 0xffff);
}

TERN_PRIVATE uint64_t csum_slices(uint64_t sum, const tern_slice *slices, uint32_t n)
{
    bool odd = false;
    for (uint32_t i = 0; i < n; i++) {
        sum = (odd ? csum_add_odd : csum_add)(sum, slices[i].data, slices[i].len);
        odd ^= slices[i].len & 1;
    }
    return sum;
}


/* ================================================================================= src/wire/ethernet.c */

/* ethernet.c - Ethernet headers. */

enum { TYPE_MIN = 0x600 }; /* smaller ones are lengths (RFC 1122 2.3.3) */

TERN_PRIVATE enum tern_cause eth_parse(const uint8_t *p, uint32_t len, struct eth_frame *out)
{
    if (len < ETH_HDR)
        return TERN_C_ETHERNET_MALFORMED;
    bool tagged = get16(p + 12) == ETH_VLAN;
    uint32_t hdr_len = tagged ? ETH_TAGGED_HDR : ETH_HDR;
    if (len < hdr_len)
        return TERN_C_ETHERNET_MALFORMED;
    *out = (struct eth_frame){
        .type = get16(p + hdr_len - 2),
        .tag = tagged ? get16(p + 14) : 0,
        .tagged = tagged,
        .payload = p + hdr_len,
        .payload_len = len - hdr_len,
    };
    memcpy(out->dst.b, p, 6);
    memcpy(out->src.b, p + 6, 6);
    bool fine = out->type >= TYPE_MIN && out->type != ETH_VLAN && !eth_is_group(&out->src);
    return fine ? TERN_CAUSE_NONE : TERN_C_ETHERNET_MALFORMED;
}

TERN_PRIVATE uint16_t eth_emit(uint8_t *p, const struct eth_frame *f)
{
    uint16_t len = f->tagged ? ETH_TAGGED_HDR : ETH_HDR;
    memcpy(p, f->dst.b, 6);
    memcpy(p + 6, f->src.b, 6);
    if (f->tagged) {
        put16(p + 12, ETH_VLAN);
        put16(p + 14, f->tag);
    }
    put16(p + len - 2, f->type);
    return len;
}

TERN_PRIVATE struct eth_addr eth_multicast(const tern_ip *group)
{
    const uint8_t *b = group->b + 12;
    if (tern_ip_is4(group))
        return (struct eth_addr){{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}};
    return (struct eth_addr){{0x33, 0x33, b[0], b[1], b[2], b[3]}};
}


/* ===================================================================================== src/wire/icmp.c */

/* icmp.c - ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and errors with the packet that drew them. */

enum { ICMP_HDR = 8 };

/* Errors that carry the beginning of a packet of ours. Redirects do too, but ask for something that tern
 * does not do. */
static bool is_error(uint8_t version, uint8_t type)
{
    if (version == 6)
        return type >= ICMP6_UNREACH && type <= ICMP6_PARAM;
    return type == ICMP_UNREACH || type == ICMP_QUENCH || type == ICMP_TIME || type == ICMP_PARAM;
}

/* The embedded IPv4 header; lengths and checksum in it are not trusted, it may have been changed on its
 * way. Returns the offset of the TCP header, 0 = not to be had. */
static uint32_t embedded4(const uint8_t *p, uint32_t len, struct icmp_msg *m)
{
    if (len < IP4_HDR || p[0] >> 4 != 4 || (p[0] & 15) * 4 < IP4_HDR)
        return 0;
    if (p[9] != PROTO_TCP || (get16(p + 6) & 0x1fff) != 0)
        return 0;
    m->in_src = tern_ip4(p[12], p[13], p[14], p[15]);
    m->in_dst = tern_ip4(p[16], p[17], p[18], p[19]);
    return (uint32_t)(p[0] & 15) * 4;
}

static uint32_t embedded6(const uint8_t *p, uint32_t len, struct icmp_msg *m)
{
    if (len < IP6_HDR || p[0] >> 4 != 6)
        return 0;
    uint8_t proto = p[6];
    uint32_t at = IP6_HDR;
    if (!ip6_skip_ext(p, len, &proto, &at) || proto != PROTO_TCP)
        return 0;
    memcpy(m->in_src.b, p + 8, 16);
    memcpy(m->in_dst.b, p + 24, 16);
    return tern_ip_is4(&m->in_src) || tern_ip_is4(&m->in_dst) ? 0 : at;
}

/* At least 8 bytes behind the IP header are there (RFC 792): ports and sequence number. */
static void read_embedded(struct icmp_msg *m)
{
    const uint8_t *p = m->body;
    uint32_t at = m->version == 4 ? embedded4(p, m->body_len, m) : embedded6(p, m->body_len, m);
    if (at == 0 || m->body_len < at + 8)
        return;
    m->has_tcp = true;
    m->in_src_port = get16(p + at);
    m->in_dst_port = get16(p + at + 2);
    m->in_seq = seq(get32(p + at + 4));
}

/* ICMPv6 has a pseudo-header (RFC 4443 2.3), ICMP has none. */
static uint64_t pseudo(uint8_t version, const tern_ip *src, const tern_ip *dst, uint32_t len)
{
    return version == 6 ? csum_pseudo(src, dst, PROTO_ICMP6, len) : 0;
}

TERN_PRIVATE enum tern_cause icmp_parse(const struct ip_hdr *ip, struct icmp_msg *out)
{
    const uint8_t *p = ip->payload;
    if (ip->payload_len < ICMP_HDR)
        return TERN_C_ICMP_MALFORMED;
    uint64_t sum = pseudo(ip->version, &ip->src, &ip->dst, ip->payload_len);
    if (csum_fold(csum_add(sum, p, ip->payload_len)) != 0)
        return TERN_C_ICMP_MALFORMED;
    *out = (struct icmp_msg){
        .version = ip->version,
        .type = p[0],
        .code = p[1],
        .rest = get32(p + 4),
        .body = p + ICMP_HDR,
        .body_len = ip->payload_len - ICMP_HDR,
        .is_error = is_error(ip->version, p[0]),
    };
    if (out->is_error)
        read_embedded(out);
    return TERN_CAUSE_NONE;
}

TERN_PRIVATE void icmp_emit(uint8_t *p, uint8_t version, uint8_t type, uint8_t code, uint32_t rest, const uint8_t *body,
               uint32_t body_len, const tern_ip *src, const tern_ip *dst)
{
    p[0] = type, p[1] = code;
    put16(p + 2, 0);
    put32(p + 4, rest);
    uint64_t sum = csum_add(pseudo(version, src, dst, ICMP_HDR + body_len), p, ICMP_HDR);
    put16(p + 2, csum_fold(csum_add(sum, body, body_len)));
}


/* ======================================================================================= src/wire/ip.c */

/* ip.c - IP headers of both versions: which one it is, writing, and making a whole of fragments. */

TERN_PRIVATE enum tern_cause ip_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out)
{
    uint8_t version = len > 0 ? p[0] >> 4 : 0;
    if (version == 4)
        return ip4_parse(p, len, out);
    return version == 6 ? ip6_parse(p, len, out) : TERN_C_IP_MALFORMED; /* RFC 1122 3.2.1.1 */
}

static void put_csum4(uint8_t *p, uint32_t hdr_len)
{
    put16(p + 10, 0);
    put16(p + 10, csum_fold(csum_add(0, p, hdr_len)));
}

TERN_PRIVATE uint16_t ip_emit(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl, uint8_t tos,
                 uint32_t payload_len, uint16_t id)
{
    bool is4 = tern_ip_is4(src);
    ASSERT(is4 == tern_ip_is4(dst) && payload_len <= (is4 ? 65535u - IP4_HDR : 65535u));
    if (!is4) {
        put32(p, 6u << 28 | (uint32_t)tos << 20); /* flow label 0: not labelled (RFC 6437 2; RFC4987-4-d) */
        put16(p + 4, (uint16_t)payload_len);
        p[6] = proto, p[7] = ttl;
        memcpy(p + 8, src->b, 16);
        memcpy(p + 24, dst->b, 16);
        return IP6_HDR;
    }
    p[0] = 4 << 4 | IP4_HDR / 4, p[1] = tos;
    put16(p + 2, (uint16_t)(IP4_HDR + payload_len));
    put16(p + 4, id);
    put16(p + 6, 0x4000); /* DF: path MTU is discovered, never fragmented (RFC 1191 3) */
    p[8] = ttl, p[9] = proto;
    memcpy(p + 12, src->b + 12, 4);
    memcpy(p + 16, dst->b + 12, 4);
    put_csum4(p, IP4_HDR);
    return IP4_HDR;
}

TERN_PRIVATE void ip4_allow_fragments(uint8_t *p)
{
    put16(p + 6, (uint16_t)(get16(p + 6) & ~0x4000));
    put_csum4(p, IP4_HDR);
}

TERN_PRIVATE uint16_t ip_emit_fragment(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl,
                          uint8_t tos, uint32_t payload_len, uint16_t id, uint32_t offset, bool more)
{
    if (tern_ip_is4(src)) { /* RFC 791 3.1: in units of 8, More Fragments is bit 13 */
        ip_emit(p, src, dst, proto, ttl, tos, payload_len, id);
        put16(p + 6, (uint16_t)(offset / 8 | (more ? 0x2000u : 0)));
        put_csum4(p, IP4_HDR);
        return IP4_HDR;
    }
    ip_emit(p, src, dst, PROTO_FRAGMENT, ttl, tos, payload_len + 8, id);
    uint8_t *f = p + IP6_HDR; /* RFC 8200 4.5 */
    f[0] = proto, f[1] = 0;
    put16(f + 2, (uint16_t)(offset | more));
    put32(f + 4, id);
    return IP6_HDR + 8;
}

/* Offset of the next-header field that names the fragment header: that of the last header before it. */
static uint32_t last_next6(const uint8_t *p, uint32_t hdr_len)
{
    uint32_t field = 6;
    for (uint32_t at = IP6_HDR; at < hdr_len; at += ((uint32_t)p[at + 1] + 1) * 8)
        field = at;
    return field;
}

TERN_PRIVATE bool ip_unfragment(uint8_t *p, uint16_t frag_hdr_len, uint8_t proto, uint32_t payload_len, uint8_t ecn)
{
    if (p[0] >> 4 == 6) { /* RFC 8200 4.5 */
        uint32_t len = frag_hdr_len - (uint32_t)IP6_HDR + payload_len;
        if (len > 65535)
            return false;
        put16(p + 4, (uint16_t)len);
        p[1] = (uint8_t)((p[1] & 0xcf) | ecn << 4);
        p[last_next6(p, frag_hdr_len)] = proto;
        return true;
    }
    if (frag_hdr_len + payload_len > 65535)
        return false;
    put16(p + 2, (uint16_t)(frag_hdr_len + payload_len)); /* RFC 791 3.2 */
    p[1] = (uint8_t)((p[1] & 0xfc) | ecn);
    put16(p + 6, 0);
    put_csum4(p, frag_hdr_len);
    return true;
}


/* ====================================================================================== src/wire/ip4.c */

/* ip4.c - the IPv4 header (RFC 791 3.1). */

enum { OPT_END = 0, ip4__OPT_NOP = 1, OPT_LSRR = 131, OPT_SSRR = 137 };

/* Walk the options. Source routes are noted; all others are stepped over (RFC 9293 3.9.2 MUST-50). False:
 * a length that does not fit. */
static bool ip4__read_options(const uint8_t *p, const uint8_t *end, struct ip_hdr *out)
{
    while (p < end && *p != OPT_END) {
        if (*p == ip4__OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return false;
        if (*p == OPT_LSRR || *p == OPT_SSRR)
            out->source_route = true;
        p += p[1];
    }
    return true;
}

/* Flags and fragment offset: reserved, DF, MF, 13 bits in units of 8 bytes. */
static void ip4__read_fragment(const uint8_t *p, struct ip_hdr *out)
{
    uint16_t word = get16(p + 6);
    out->dont_fragment = (word & 0x4000) != 0;
    out->more = (word & 0x2000) != 0;
    out->frag_off = (uint32_t)(word & 0x1fff) * 8;
    out->frag_id = get16(p + 4);
    out->fragment = out->more || out->frag_off != 0;
}

TERN_PRIVATE enum tern_cause ip4_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out)
{
    if (len < IP4_HDR)
        return TERN_C_IP_MALFORMED;
    uint32_t hdr_len = (uint32_t)(p[0] & 15) * 4, total_len = get16(p + 2);
    if (hdr_len < IP4_HDR || hdr_len > total_len || total_len > len)
        return TERN_C_IP_MALFORMED;
    if (csum_fold(csum_add(0, p, hdr_len)) != 0)
        return TERN_C_IP_CHECKSUM; /* RFC 1122 3.2.1.2 */
    *out = (struct ip_hdr){
        .src = tern_ip4(p[12], p[13], p[14], p[15]),
        .dst = tern_ip4(p[16], p[17], p[18], p[19]),
        .payload = p + hdr_len,
        .payload_len = total_len - hdr_len,
        .total_len = total_len,
        .hdr_len = (uint16_t)hdr_len,
        .frag_hdr_len = (uint16_t)hdr_len,
        .version = 4,
        .proto = p[9],
        .ttl = p[8],
        .tos = p[1],
    };
    ip4__read_fragment(p, out);
    return ip4__read_options(p + IP4_HDR, p + hdr_len, out) ? TERN_CAUSE_NONE : TERN_C_IP_MALFORMED;
}


/* ====================================================================================== src/wire/ip6.c */

/* ip6.c - the IPv6 header and its extension headers (RFC 8200 3, 4).
 *
 *   | 40 bytes | hop-by-hop | destination | routing | fragment | destination | upper layer ...
 *              `-- in any order, but hop-by-hop first and one fragment header at most
 *              `-- unfragmentable part ------------´           `-- fragmentable part
 *
 * Headers that a host processes are stepped over: hop-by-hop, destination options, routing with nothing left,
 * an atomic fragment (RFC 6946). Anything else, AH and ESP included, is the protocol that the caller finds.
 * Jumbograms (RFC 2675) are not supported: their option is one of those whose ignorance means refusal.
 */

enum { EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_DESTINATION = 60 };

static bool is_ext(uint8_t next)
{
    return next == EXT_HOP_BY_HOP || next == EXT_ROUTING || next == EXT_DESTINATION || next == PROTO_FRAGMENT;
}

/* Bytes of the extension header at `at`; 0 = it does not fit. All but the fragment header say their length
 * in units of 8 bytes beyond the first 8. */
static uint32_t ext_len(const uint8_t *p, uint32_t at, uint32_t len, uint8_t type)
{
    if (len - at < 8)
        return 0;
    uint32_t n = type == PROTO_FRAGMENT ? IP6_FRAG_HDR : ((uint32_t)p[at + 1] + 1) * 8;
    return n <= len - at ? n : 0;
}

/* Options of a hop-by-hop or destination header (RFC 8200 4.2): those that we do not know are stepped over
 * when their two highest bits are 00, and make the packet unwanted otherwise. We know none but padding,
 * and need none. */
static bool options_fine(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (*p == 0) { /* Pad1: the only one without a length */
            p++;
            continue;
        }
        if (end - p < 2 || p[1] > end - p - 2 || (*p & 0xc0) != 0)
            return false;
        p += p[1] + 2;
    }
    return true;
}

/* Returns false for the second one: a packet is fragmented once (RFC 8200 4.1). */
static bool ip6__read_fragment(const uint8_t *p, uint32_t at, struct ip_hdr *out)
{
    if (out->frag_hdr_len != 0)
        return false;
    out->frag_off = get16(p + at + 2) & 0xfff8;
    out->more = (p[at + 3] & 1) != 0;
    out->frag_id = get32(p + at + 4);
    out->frag_hdr_len = (uint16_t)at;
    out->fragment = out->more || out->frag_off != 0; /* neither: an atomic fragment, whole (RFC 6946 4) */
    return true;
}

static bool read_ext(const uint8_t *p, uint32_t at, uint32_t n, uint8_t type, struct ip_hdr *out)
{
    switch (type) {
    case PROTO_FRAGMENT:
        return ip6__read_fragment(p, at, out);
    case EXT_ROUTING: /* RFC 8200 4.4: segments left */
        out->source_route |= p[at + 3] != 0;
        return true;
    case EXT_HOP_BY_HOP:
        if (at != IP6_HDR)
            return false; /* RFC 8200 4.1: only right behind the IPv6 header */
        return options_fine(p + at + 2, p + at + n);
    default:
        return options_fine(p + at + 2, p + at + n);
    }
}

static enum tern_cause read_chain(const uint8_t *p, struct ip_hdr *out)
{
    uint8_t next = p[6];
    uint32_t at = IP6_HDR;
    for (int count = 0; is_ext(next) && !out->fragment; count++) {
        uint32_t n = ext_len(p, at, out->total_len, next);
        if (n == 0 || count == EXT_MAX || at + n > IP6_HDR + EXT_BYTES_MAX || !read_ext(p, at, n, next, out))
            return TERN_C_IP_MALFORMED;
        next = p[at];
        at += n;
    }
    out->proto = next;
    out->hdr_len = (uint16_t)at;
    out->payload = p + at;
    out->payload_len = out->total_len - at;
    if (!out->fragment)
        out->frag_hdr_len = (uint16_t)at;
    return TERN_CAUSE_NONE;
}

TERN_PRIVATE enum tern_cause ip6_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out)
{
    if (len < IP6_HDR || len - IP6_HDR < get16(p + 4))
        return TERN_C_IP_MALFORMED;
    *out = (struct ip_hdr){
        .total_len = (uint32_t)IP6_HDR + get16(p + 4),
        .version = 6,
        .ttl = p[7],
        .tos = (uint8_t)(p[0] << 4 | p[1] >> 4),
    };
    memcpy(out->src.b, p + 8, 16);
    memcpy(out->dst.b, p + 24, 16);
    /* ::ffff:0:0/96 never stands on a wire (RFC 6890 2.2.3); here it would pass for IPv4. */
    if (tern_ip_is4(&out->src))
        return TERN_C_IP_SOURCE_INVALID;
    if (tern_ip_is4(&out->dst))
        return TERN_C_IP_MALFORMED;
    return read_chain(p, out);
}

TERN_PRIVATE bool ip6_skip_ext(const uint8_t *p, uint32_t len, uint8_t *next, uint32_t *at)
{
    for (int count = 0; is_ext(*next); count++) {
        uint32_t n = *at <= len ? ext_len(p, *at, len, *next) : 0;
        if (n == 0 || count == EXT_MAX)
            return false;
        if (*next == PROTO_FRAGMENT && (get16(p + *at + 2) & 0xfff8) != 0)
            return false;
        *next = p[*at];
        *at += n;
    }
    return *at <= len;
}


/* ====================================================================================== src/wire/ndp.c */

/* ndp.c - neighbour discovery messages.
 *
 *   ICMPv6 header 4 | word of flags 4 | fixed part of the type | options: type 1, length / 8 1, value
 *                     `-- icmp.rest     `-- icmp.body
 */

enum { OPT_SOURCE_HW = 1, OPT_TARGET_HW = 2, OPT_PREFIX = 3, OPT_MTU = 5 };
enum { HOP_LIMIT = 255, PREFIX_UNITS = 4 };

TERN_PRIVATE tern_ip ndp_solicited_node(const tern_ip *target)
{
    const uint8_t *b = target->b;
    return (tern_ip){{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b[13], b[14], b[15]}};
}

/* --- reading ------------------------------------------------------------------------------------- */

static tern_ip ndp__read_ip(const uint8_t *p)
{
    tern_ip ip;
    memcpy(ip.b, p, 16);
    return ip;
}

/* Bytes between the 8 of ICMPv6 and the options; -1: not a type of ours. */
static int fixed_len(uint8_t type)
{
    switch (type) {
    case ICMP6_ROUTER_SOLICIT: return 0;
    case ICMP6_ROUTER_ADVERT: return 8;
    case ICMP6_NEIGHBOUR_SOLICIT:
    case ICMP6_NEIGHBOUR_ADVERT: return 16;
    default: return -1;
    }
}

/* RFC 4861 4.6.2. A prefix longer than an address is stepped over. */
static void read_prefix(const uint8_t *p, struct ndp_msg *m)
{
    if (m->n_prefixes == NDP_PREFIXES || p[2] > 128)
        return;
    m->prefixes[m->n_prefixes++] = (struct ndp_prefix){
        .prefix = ndp__read_ip(p + 16),
        .valid_s = get32(p + 4),
        .preferred_s = get32(p + 8),
        .len = p[2],
        .on_link = (p[3] & 0x80) != 0,
        .autonomous = (p[3] & 0x40) != 0,
    };
}

/* One option of `units` times 8 bytes. Those that do not belong to the type, or have a length that is not
 * theirs, are stepped over (RFC 4861 4.6, 9). */
static void ndp__read_option(const uint8_t *p, uint8_t units, struct ndp_msg *m)
{
    uint8_t hw = m->type == ICMP6_NEIGHBOUR_ADVERT ? OPT_TARGET_HW : OPT_SOURCE_HW;
    bool from_router = m->type == ICMP6_ROUTER_ADVERT;
    if (p[0] == hw && units == 1) {
        memcpy(m->hw.b, p + 2, 6);
        m->has_hw = true;
    } else if (p[0] == OPT_PREFIX && units == PREFIX_UNITS && from_router) {
        read_prefix(p, m);
    } else if (p[0] == OPT_MTU && units == 1 && from_router) {
        m->mtu = get32(p + 4);
    }
}

/* RFC 4861 6.1, 7.1: "all included options have a length that is greater than zero". */
static bool ndp__read_options(const uint8_t *p, uint32_t len, struct ndp_msg *m)
{
    while (len != 0) {
        if (len < 8 || p[1] == 0 || (uint32_t)p[1] * 8 > len)
            return false;
        ndp__read_option(p, p[1], m);
        len -= (uint32_t)p[1] * 8;
        p += p[1] * 8;
    }
    return true;
}

static void read_fixed(const struct icmp_msg *icmp, struct ndp_msg *m)
{
    uint32_t rest = icmp->rest;
    if (m->type == ICMP6_NEIGHBOUR_SOLICIT || m->type == ICMP6_NEIGHBOUR_ADVERT)
        m->target = ndp__read_ip(icmp->body);
    if (m->type == ICMP6_NEIGHBOUR_ADVERT) {
        m->router = (rest & 1u << 31) != 0;
        m->solicited = (rest & 1u << 30) != 0;
        m->override = (rest & 1u << 29) != 0;
    }
    if (m->type == ICMP6_ROUTER_ADVERT) {
        m->hop_limit = (uint8_t)(rest >> 24);
        m->managed = (rest & 1u << 23) != 0;
        m->other = (rest & 1u << 22) != 0;
        m->lifetime_s = (uint16_t)rest;
        m->reachable_ms = get32(icmp->body);
        m->retrans_ms = get32(icmp->body + 4);
    }
}

/* What the addresses must be, per type. */
static bool addresses_fine(const struct ip_hdr *ip, const struct ndp_msg *m)
{
    bool nobody = ip_is_unspecified(&ip->src);
    switch (m->type) {
    case ICMP6_NEIGHBOUR_SOLICIT: { /* RFC 4861 7.1.1 */
        tern_ip node = ndp_solicited_node(&m->target);
        return !ip_is_multicast(&m->target) && (!nobody || (!m->has_hw && ip_eq(&ip->dst, &node)));
    }
    case ICMP6_NEIGHBOUR_ADVERT: /* 7.1.2 */
        return !nobody && !ip_is_multicast(&m->target) && !(m->solicited && ip_is_multicast(&ip->dst));
    case ICMP6_ROUTER_SOLICIT: /* 6.1.1 */
        return !nobody || !m->has_hw;
    default: /* 6.1.2 */
        return ip_is_link_local6(&ip->src);
    }
}

TERN_PRIVATE enum tern_cause ndp_parse(const struct ip_hdr *ip, const struct icmp_msg *icmp, struct ndp_msg *out)
{
    int fixed = fixed_len(icmp->type);
    if (ip->version != 6 || fixed < 0 || icmp->body_len < (uint32_t)fixed)
        return TERN_C_NDP_MALFORMED;
    if (ip->ttl != HOP_LIMIT || icmp->code != 0 || ip_is_multicast(&ip->src))
        return TERN_C_NDP_MALFORMED; /* 255: no router has touched it (RFC 4861 6.1, 7.1) */
    *out = (struct ndp_msg){.type = icmp->type};
    read_fixed(icmp, out);
    if (!ndp__read_options(icmp->body + fixed, icmp->body_len - (uint32_t)fixed, out) || !addresses_fine(ip, out))
        return TERN_C_NDP_MALFORMED;
    return TERN_CAUSE_NONE;
}

/* --- writing ------------------------------------------------------------------------------------- */

static uint8_t *put_hw(uint8_t *p, const struct ndp_msg *m)
{
    p[0] = m->type == ICMP6_NEIGHBOUR_ADVERT ? OPT_TARGET_HW : OPT_SOURCE_HW, p[1] = 1;
    memcpy(p + 2, m->hw.b, 6);
    return p + 8;
}

static uint8_t *put_mtu(uint8_t *p, uint32_t mtu)
{
    put32(p, (uint32_t)OPT_MTU << 24 | 1 << 16);
    put32(p + 4, mtu);
    return p + 8;
}

static uint8_t *put_prefix(uint8_t *p, const struct ndp_prefix *x)
{
    p[0] = OPT_PREFIX, p[1] = PREFIX_UNITS;
    p[2] = x->len, p[3] = (uint8_t)(x->on_link << 7 | x->autonomous << 6);
    put32(p + 4, x->valid_s);
    put32(p + 8, x->preferred_s);
    put32(p + 12, 0);
    memcpy(p + 16, x->prefix.b, 16);
    return p + PREFIX_UNITS * 8;
}

static uint8_t *put_router_advert(uint8_t *p, const struct ndp_msg *m)
{
    put32(p, m->reachable_ms);
    put32(p + 4, m->retrans_ms);
    p += 8;
    if (m->has_hw)
        p = put_hw(p, m);
    if (m->mtu)
        p = put_mtu(p, m->mtu);
    for (uint8_t i = 0; i < m->n_prefixes; i++)
        p = put_prefix(p, &m->prefixes[i]);
    return p;
}

static uint8_t *put_neighbour(uint8_t *p, const struct ndp_msg *m)
{
    memcpy(p, m->target.b, 16);
    return m->has_hw ? put_hw(p + 16, m) : p + 16;
}

/* The word behind the checksum. */
static uint32_t flags_of(const struct ndp_msg *m)
{
    if (m->type == ICMP6_NEIGHBOUR_ADVERT)
        return (uint32_t)m->router << 31 | (uint32_t)m->solicited << 30 | (uint32_t)m->override << 29;
    if (m->type == ICMP6_ROUTER_ADVERT)
        return (uint32_t)m->hop_limit << 24 | (uint32_t)m->managed << 23 | (uint32_t)m->other << 22 |
               m->lifetime_s;
    return 0;
}

TERN_PRIVATE uint16_t ndp_emit(uint8_t *p, const struct ndp_msg *m, const tern_ip *src, const tern_ip *dst)
{
    uint8_t *body = p + 8, *end = body;
    ASSERT(fixed_len(m->type) >= 0 && m->n_prefixes <= NDP_PREFIXES);
    if (m->type == ICMP6_ROUTER_ADVERT)
        end = put_router_advert(body, m);
    else if (m->type != ICMP6_ROUTER_SOLICIT)
        end = put_neighbour(body, m);
    else if (m->has_hw)
        end = put_hw(body, m);
    icmp_emit(p, 6, m->type, 0, flags_of(m), body, (uint32_t)(end - body), src, dst);
    return (uint16_t)(end - p);
}


/* ====================================================================================== src/wire/tcp.c */

/* tcp.c - the TCP header (RFC 9293 3.1). */

enum { TCP_HDR = 20 };

static bool checksum_right(const struct ip_hdr *ip)
{
    uint64_t sum = csum_pseudo(&ip->src, &ip->dst, PROTO_TCP, ip->payload_len);
    return csum_fold(csum_add(sum, ip->payload, ip->payload_len)) == 0;
}

static void read_header(const struct ip_hdr *ip, const uint8_t *p, uint32_t hdr_len, struct segment *out)
{
    *out = (struct segment){
        .src = ip->src,
        .dst = ip->dst,
        .src_port = get16(p),
        .dst_port = get16(p + 2),
        .seq = seq(get32(p + 4)),
        .ack = seq(get32(p + 8)),
        .flags = p[13],
        .wnd = get16(p + 14),
        .up = get16(p + 18),
        .tos = ip->tos,
        .ttl = ip->ttl,
        .data = p + hdr_len,
        .len = ip->payload_len - hdr_len,
    };
}

TERN_PRIVATE enum tern_cause tcp_parse(const struct ip_hdr *ip, bool verify, struct segment *out)
{
    const uint8_t *p = ip->payload;
    if (ip->payload_len < TCP_HDR)
        return TERN_C_TCP_MALFORMED;
    uint32_t hdr_len = (uint32_t)(p[12] >> 4) * 4;
    if (hdr_len < TCP_HDR || hdr_len > ip->payload_len)
        return TERN_C_TCP_MALFORMED;
    if (verify && !checksum_right(ip))
        return TERN_C_TCP_CHECKSUM; /* MUST-3 */
    read_header(ip, p, hdr_len, out);
    if (!tcp_opts_parse(p + TCP_HDR, hdr_len - TCP_HDR, (out->flags & F_SYN) != 0, &out->opt))
        return TERN_C_TCP_OPTION_LENGTH; /* MUST-7 */
    return TERN_CAUSE_NONE;
}

TERN_PRIVATE uint16_t tcp_emit(uint8_t *p, const struct segment *s)
{
    uint16_t len = (uint16_t)(TCP_HDR + tcp_opts_emit(p + TCP_HDR, &s->opt, s->flags));
    put16(p, s->src_port);
    put16(p + 2, s->dst_port);
    put32(p + 4, s->seq.v);
    put32(p + 8, s->ack.v);
    p[12] = (uint8_t)(len / 4 << 4);
    p[13] = s->flags;
    put16(p + 14, s->wnd);
    put16(p + 16, 0);
    put16(p + 18, s->up);
    return len;
}


/* ============================================================================== src/wire/tcp_options.c */

/* tcp_options.c - TCP options: MSS (RFC 9293 3.7.1), window scale and timestamps (RFC 7323), SACK (RFC 2018).
 *
 * How they are laid out when written, with every value at a multiple of 4:
 *
 *   SYN      MSS 4 | SACKOK 2, TS 10 (one of them missing: NOP NOP in its place) | NOP, WS 3
 *   others   NOP NOP TS 10 | NOP NOP SACK 2 + 8n
 */

enum { OPT_EOL = 0, tcp_options__OPT_NOP = 1, OPT_MSS = 2, OPT_WSCALE = 3, OPT_SACK_OK = 4, OPT_SACK = 5, OPT_TS = 8 };
enum { OPTS_MAX = 40, WSCALE_MAX = 14 };

/* --- reading ------------------------------------------------------------------------------------- */

static void read_sack(const uint8_t *p, uint8_t n, struct tcp_opts *o)
{
    o->n_sack = (uint8_t)((n - 2) / 8);
    for (uint8_t i = 0; i < o->n_sack; i++) {
        o->sack[i].left = seq(get32(p + 2 + 8 * i));
        o->sack[i].right = seq(get32(p + 6 + 8 * i));
    }
}

/* One option of n bytes, n >= 2. A known kind with a length that is not its own is stepped over like an
 * unknown one (as Linux does). MSS, window scale and SACK-permitted mean something on a SYN only (RFC 9293
 * 3.7.1, RFC7323-2.2-f, RFC 2018 2). An option that comes twice: the last one counts. */
static void tcp_options__read_option(const uint8_t *p, uint8_t n, bool syn, struct tcp_opts *o)
{
    switch (p[0]) {
    case OPT_MSS:
        if (n == 4 && syn)
            o->mss = get16(p + 2);
        break;
    case OPT_WSCALE:
        if (n == 3 && syn)
            o->wscale = p[2] > WSCALE_MAX ? WSCALE_MAX : p[2]; /* RFC7323-2.3-f */
        break;
    case OPT_SACK_OK:
        if (n == 2 && syn)
            o->sack_ok = true;
        break;
    case OPT_SACK: /* RFC 2018 3: 1 to 4 blocks */
        if (n > 2 && n <= 2 + 8 * MAX_SACK && (n - 2) % 8 == 0)
            read_sack(p, n, o);
        break;
    case OPT_TS:
        if (n == 10) {
            o->ts = true;
            o->ts_val = get32(p + 2);
            o->ts_ecr = get32(p + 6);
        }
        break;
    default: /* MUST-6; the user timeout option is one of these (RFC5482-3-e, RFC5482-4.1-a) */
        break;
    }
}

/* MUST-4: end of list and NOP here, MSS above. */
TERN_PRIVATE bool tcp_opts_parse(const uint8_t *p, uint32_t len, bool syn, struct tcp_opts *o)
{
    const uint8_t *end = p + len;
    *o = (struct tcp_opts){.wscale = WSCALE_NONE};
    while (p < end && *p != OPT_EOL) {
        if (*p == tcp_options__OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return false; /* RFC 9293 3.1, MUST-7 */
        tcp_options__read_option(p, p[1], syn, o);
        p += p[1];
    }
    return true;
}

/* --- writing ------------------------------------------------------------------------------------- */

/* Blocks that fit beside the timestamps: 4, or 3 (RFC2018-3-a). */
static uint8_t sack_fit(const struct tcp_opts *o)
{
    uint32_t most = o->ts ? (OPTS_MAX - 12 - 4) / 8 : MAX_SACK;
    return (uint8_t)min_u32(o->n_sack, most);
}

TERN_PRIVATE uint16_t tcp_opts_len(const struct tcp_opts *o, uint8_t flags)
{
    int len = o->ts ? 12 : 0;
    if ((flags & F_SYN) == 0)
        return (uint16_t)(len + (o->n_sack ? 4 + 8 * sack_fit(o) : 0));
    if (o->sack_ok && !o->ts)
        len += 4;
    if (o->wscale != WSCALE_NONE)
        len += 4;
    return (uint16_t)(len + (o->mss ? 4 : 0)); /* MUST-65: on a SYN only */
}

static uint8_t *put_ts(uint8_t *p, const struct tcp_opts *o)
{
    p[0] = OPT_TS, p[1] = 10;
    put32(p + 2, o->ts_val);
    put32(p + 6, o->ts_ecr);
    return p + 10;
}

static uint8_t *put_two(uint8_t *p, uint8_t a, uint8_t b)
{
    p[0] = a, p[1] = b;
    return p + 2;
}

static uint8_t *put_sack(uint8_t *p, const struct tcp_opts *o)
{
    uint8_t n = sack_fit(o);
    p = put_two(p, tcp_options__OPT_NOP, tcp_options__OPT_NOP);
    p = put_two(p, OPT_SACK, (uint8_t)(2 + 8 * n));
    for (uint8_t i = 0; i < n; i++, p += 8) {
        put32(p, o->sack[i].left.v);
        put32(p + 4, o->sack[i].right.v);
    }
    return p;
}

static uint8_t *put_syn(uint8_t *p, const struct tcp_opts *o)
{
    if (o->mss) {
        p = put_two(p, OPT_MSS, 4);
        put16(p, o->mss);
        p += 2;
    }
    if (o->sack_ok && !o->ts)
        p = put_two(p, tcp_options__OPT_NOP, tcp_options__OPT_NOP);
    if (o->sack_ok)
        p = put_two(p, OPT_SACK_OK, 2);
    if (o->ts && !o->sack_ok)
        p = put_two(p, tcp_options__OPT_NOP, tcp_options__OPT_NOP);
    if (o->ts)
        p = put_ts(p, o);
    if (o->wscale != WSCALE_NONE) {
        p = put_two(p, tcp_options__OPT_NOP, OPT_WSCALE);
        p = put_two(p, 3, o->wscale);
    }
    return p;
}

/* Each has its length (MUST-68); NOPs fill up, so there is no end of list with bytes behind it (MUST-69). */
TERN_PRIVATE uint16_t tcp_opts_emit(uint8_t *p, const struct tcp_opts *o, uint8_t flags)
{
    uint8_t *end = p;
    if (flags & F_SYN) {
        end = put_syn(p, o);
    } else {
        if (o->ts)
            end = put_ts(put_two(p, tcp_options__OPT_NOP, tcp_options__OPT_NOP), o);
        if (o->n_sack)
            end = put_sack(end, o);
    }
    return (uint16_t)(end - p);
}


/* ======================================================================================= src/ip/echo.c */

/* echo.c - answers to ICMP and ICMPv6 echo (RFC 1122 3.2.2.6, RFC 4443 4.2). A few wait in a ring for
 * tern_tx. */

#define ICMP_BYTES 8u     /* header of an echo message */
#define CHUNK_HEAD 64u    /* at most, of a page */
#define ECHO_TTL 64
#define ECHO_MOST 65500u  /* body; a datagram of 64 KiB carries no more */

TERN_PRIVATE bool ip_echo_queue(struct arena *a, struct ip_state *s, const struct ip_hdr *ip, const struct icmp_msg *m,
                   uint8_t link)
{
    if (s->echo_count + s->echo_sent == IP_ECHOES || m->body_len > ECHO_MOST || !ip_valid_peer(s, &ip->src))
        return false;
    struct ip_echo *e = &s->echoes[(s->echo_head + s->echo_count) % IP_ECHOES];
    *e = (struct ip_echo){.src = ip->dst, .dst = ip->src, .rest = m->rest, .link = link};
    e->tos = (uint8_t)(ip->tos & ~3);
    e->id = s->id++;
    chunkq_init(&e->body, 0);
    if (chunkq_append(a, &e->body, m->body, m->body_len, MEM_DATA) < m->body_len) {
        chunkq_clear(a, &e->body);
        return false;
    }
    s->echo_count++;
    return true;
}

/* The body lies in pieces, so the checksum is made here and not by icmp_emit. */
static void emit_header(struct arena *a, uint8_t *p, uint8_t version, const struct ip_echo *e,
                        tern_tx_packet *out)
{
    p[0] = version == 4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
    p[1] = 0;
    put16(p + 2, 0);
    put32(p + 4, e->rest);
    uint64_t sum = version == 4 ? 0 : csum_pseudo(&e->src, &e->dst, PROTO_ICMP6, ICMP_BYTES + e->body.len);
    sum = csum_add(sum, p, ICMP_BYTES);
    /* each turn but the last ends with a page: even */
    for (uint32_t from = 0, got; from < e->body.len; from += got) {
        int n = chunkq_slices(a, NULL, &e->body, from, e->body.len - from, NULL, out->slices, TERN_TX_SLICES,
                              &got);
        sum = csum_slices(sum, out->slices, (uint32_t)n);
    }
    put16(p + 2, csum_fold(sum));
}

/* How many bytes of the message the next packet carries: all, or what fits into a fragment. */
static uint32_t piece_of(const struct ip_echo *e, uint32_t mtu, uint8_t version, uint32_t most)
{
    uint32_t room = min_u32(mtu - (version == 4 ? 20 : 40), most), message = ICMP_BYTES + e->body.len;
    if (e->at == 0 && message <= room)
        return message;
    room = (room - (version == 4 ? 0 : 8)) & ~7u;
    return min_u32(room, message - e->at);
}

static uint16_t emit_ip(const struct ip_echo *e, uint32_t piece, uint8_t version, uint8_t *p)
{
    uint8_t proto = version == 4 ? PROTO_ICMP : PROTO_ICMP6;
    uint32_t message = ICMP_BYTES + e->body.len;
    if (piece == message)
        return ip_emit(p, &e->src, &e->dst, proto, ECHO_TTL, e->tos, piece, 0);
    return ip_emit_fragment(p, &e->src, &e->dst, proto, ECHO_TTL, e->tos, piece, e->id, e->at,
                            e->at + piece < message);
}

/* One packet of the reply at the head; true when it was the last one. */
static bool emit_piece(struct arena *a, struct ip_state *s, struct ip_echo *e, tern_tx_packet *out)
{
    uint8_t version = tern_ip_is4(&e->dst) ? 4 : 6;
    uint32_t slices = (TERN_TX_SLICES - 1) * (arena_page_size(a) - CHUNK_HEAD);
    uint32_t piece = piece_of(e, s->links[e->link].mtu, version, slices), got = 0;
    uint32_t head = e->at == 0 ? ICMP_BYTES : 0, from = e->at == 0 ? 0 : e->at - ICMP_BYTES;
    uint16_t ip_len = emit_ip(e, piece, version, out->hdr);
    if (head > 0)
        emit_header(a, out->hdr + ip_len, version, e, out);
    int n = chunkq_slices(a, NULL, &e->body, from, piece - head, NULL, out->slices, TERN_TX_SLICES, &got);
    out->n_slices = (uint16_t)n;
    out->link = e->link;
    out->flags = version == 6 ? TERN_TX_IP6 : 0;
    out->hdr_len = (uint16_t)(ip_len + head);
    out->gso_size = out->csum_start = out->csum_offset = 0;
    out->not_before = 0;
    out->len = ip_len + piece;
    e->at += piece;
    return e->at == ICMP_BYTES + e->body.len;
}

/* The body's pages stay until ip_echo_done: the packets point into them. */
static void echo__finish(struct ip_state *s)
{
    s->echo_sent++;
    s->echo_head = (s->echo_head + 1) % IP_ECHOES;
    s->echo_count--;
}

/* Since it was asked for, the link may have gone down, or the address may have been taken away. */
static bool sendable(const struct ip_state *s, const struct ip_echo *e)
{
    return ip_link_is_up(s, e->link) && ip_is_ours(s, &e->src, e->link);
}

TERN_PRIVATE bool ip_echo_emit(struct arena *a, struct ip_state *s, tern_tx_packet *out)
{
    while (s->echo_count > 0 && !sendable(s, &s->echoes[s->echo_head])) {
        chunkq_clear(a, &s->echoes[s->echo_head].body); /* no packet points into it */
        echo__finish(s);
    }
    if (s->echo_count == 0)
        return false;
    if (emit_piece(a, s, &s->echoes[s->echo_head], out))
        echo__finish(s);
    return true;
}

TERN_PRIVATE void ip_echo_done(struct arena *a, struct ip_state *s)
{
    for (; s->echo_sent > 0; s->echo_sent--)
        chunkq_clear(a, &s->echoes[(s->echo_head + IP_ECHOES - s->echo_sent) % IP_ECHOES].body);
}

#undef ICMP_BYTES
#undef CHUNK_HEAD
#undef ECHO_TTL
#undef ECHO_MOST

/* ======================================================================================= src/ip/frag.c */

/* frag.c - reassembly of fragmented datagrams.
 *
 * The bytes of a datagram are kept in the order in which they came, in a queue of pages, so that memory is
 * taken for what has come and not for what a piece at offset 65000 claims. Beside the queue stands the list
 * of pieces (RFC 815 keeps the holes instead: the complement, and no easier to bound). Since no two pieces
 * may overlap, the datagram is whole when the bytes that came are as many as it has.
 *
 *   q        | piece 2 | headers | piece 0 | piece 1 |       in order of arrival
 *   whole    | headers | piece 0 | piece 1 | piece 2 |       in order of offsets
 *
 * Then it is put together in one run of pages, `whole`, which is parsed like any packet. There is one such
 * run, made when it is first needed and kept, because a run of neighbouring pages is hard to come by in an
 * arena that has lived for long.
 *
 * Invariants: (1) pieces of a datagram are not empty, do not overlap and end at `high` at most; `got` is the
 * sum of their lengths; (2) with total known, high <= total; (3) a refused datagram has an empty queue; (4)
 * all queues together hold 4 times as many pages as the largest datagram needs (288 KiB with pages of 4096)
 * at most, those of one source a quarter of it; (5) nothing stays longer than FRAG_TIMEOUT_US.
 *
 * Against attackers: overlaps end the datagram, and what follows of it is refused too (RFC 5722 4, for IPv4
 * as well: RFC 1858 4 shows why; RFC 791 would let the later piece win). Exact repetitions are the network's
 * doing and are let pass (RFC 8200 4.5). When a source has its share, or the table is full, the oldest
 * datagram gives way: refusing the new one would let 16 lost pieces lock the table for a minute. An atomic
 * fragment never comes here (RFC 6946 4): ip_parse calls it whole.
 *
 * Not done: ICMP "reassembly time exceeded" (a SHOULD of RFC 1122 3.3.2); senders learn nothing from it that
 * matters to TCP.
 */

enum { DATA_MAX = 65535 };

/* --- memory ------------------------------------------------------------------------------------- */

static void frag__forget(struct arena *a, struct frag_table *t, struct frag_datagram *d)
{
    chunkq_clear(a, &d->q);
    d->used = 0;
    t->live--;
}

/* Give a datagram up, and remember it so that its later fragments are refused too (RFC 5722 4). */
static enum tern_cause frag__refuse(struct arena *a, struct frag_datagram *d, enum tern_cause why)
{
    chunkq_clear(a, &d->q);
    d->refused = (uint16_t)why;
    return why;
}

/* Whether two addresses count as one source: a host may use all of its /64 of IPv6 (RFC 4291 2.5.1). */
static bool same_source(const tern_ip *a, const tern_ip *b)
{
    return ip_prefix_eq(a, b, tern_ip_is4(a) ? 32 : 64);
}

/* The datagram that has waited longest; of one source when src is given, and one with bytes when `full`. */
static struct frag_datagram *frag__oldest(struct frag_table *t, const tern_ip *src, bool full,
                                    const struct frag_datagram *but)
{
    struct frag_datagram *found = NULL;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &t->d[i];
        if (!d->used || d == but || (full && d->q.len == 0) || (src != NULL && !same_source(src, &d->src)))
            continue;
        if (found == NULL || d->deadline < found->deadline)
            found = d;
    }
    return found;
}

static void evict(struct arena *a, struct frag_table *t, struct frag_datagram *d)
{
    t->evicted++;
    frag__forget(a, t, d);
}

/* Pages that so many bytes take at most: 1/16 of the smallest page is a chunk's header. */
static uint32_t pages_for(const struct arena *a, uint32_t bytes)
{
    uint32_t holds = arena_page_size(a) / 16 * 15;
    return (bytes + holds - 1) / holds;
}

/* Pages of all datagrams but one, or of those of one source. */
static uint32_t pages_held(const struct arena *a, const struct frag_table *t, const tern_ip *src,
                           const struct frag_datagram *but)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        const struct frag_datagram *d = &t->d[i];
        if (d->used && d != but && (src == NULL || same_source(src, &d->src)))
            n += pages_for(a, d->q.len);
    }
    return n;
}

/* Let d grow by n bytes within the limits, at the cost of others. One datagram alone always fits. */
static void make_room(struct arena *a, struct frag_table *t, const struct frag_datagram *d, uint32_t n)
{
    uint32_t share = pages_for(a, FRAG_HDR_MAX + DATA_MAX), wanted = pages_for(a, d->q.len + n);
    struct frag_datagram *victim;
    while (pages_held(a, t, &d->src, d) + wanted > share && (victim = frag__oldest(t, &d->src, true, d)) != NULL)
        evict(a, t, victim);
    while (pages_held(a, t, NULL, d) + wanted > 4 * share && (victim = frag__oldest(t, NULL, true, d)) != NULL)
        evict(a, t, victim);
}

/* The place for a whole datagram. It grows at least twofold, so that little is left behind. NULL: refused. */
static uint8_t *place_for_whole(struct arena *a, struct frag_table *t, uint32_t len)
{
    uint32_t page = arena_page_size(a), need = (len + page - 1) / page;
    if (need > t->whole_pages) {
        uint32_t most = (FRAG_HDR_MAX + DATA_MAX + page - 1) / page;
        uint32_t pages = min_u32(max_u32(need, 2 * t->whole_pages), most);
        ref_t r = arena_pages(a, pages, MEM_OOO);
        if (r == 0)
            return NULL;
        if (t->whole != 0)
            arena_pages_free(a, t->whole, t->whole_pages);
        t->whole = r;
        t->whole_pages = pages;
    }
    return at(a, t->whole);
}

/* --- datagrams ---------------------------------------------------------------------------------- */

/* RFC 791 3.2: source, destination, protocol, identification. RFC 8200 4.5: the same without protocol. */
static struct frag_datagram *frag__find(struct frag_table *t, const struct ip_hdr *ip, uint8_t link)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        struct frag_datagram *d = &t->d[i];
        bool same = d->used && d->id == ip->frag_id && d->link == link && ip_eq(&d->src, &ip->src) &&
                    ip_eq(&d->dst, &ip->dst);
        if (same && (ip->version == 6 || d->proto == ip->proto))
            return d;
    }
    return NULL;
}

static struct frag_datagram *frag__make(struct arena *a, struct frag_table *t, uint64_t now,
                                  const struct ip_hdr *ip, uint8_t link)
{
    uint32_t n = 0, slot = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        n += t->d[i].used && same_source(&ip->src, &t->d[i].src);
    if (n >= FRAG_PER_SOURCE)
        evict(a, t, frag__oldest(t, &ip->src, false, NULL));
    if (t->live == FRAG_DATAGRAMS)
        evict(a, t, frag__oldest(t, NULL, false, NULL));
    while (t->d[slot].used)
        slot++;
    t->d[slot] = (struct frag_datagram){
        .deadline = now + FRAG_TIMEOUT_US,
        .src = ip->src,
        .dst = ip->dst,
        .id = ip->frag_id,
        .used = 1,
        .proto = ip->proto,
        .link = link,
    };
    chunkq_init(&t->d[slot].q, 0);
    t->live++;
    return &t->d[slot];
}

/* --- pieces ------------------------------------------------------------------------------------- */

/* RFC 8200 4.5: the first fragment holds all headers up to and with the upper layer's (RFC 7112 5). */
static bool headers_whole(const struct ip_hdr *ip)
{
    uint8_t proto = ip->proto;
    uint32_t at = 0;
    if (!ip6_skip_ext(ip->payload, ip->payload_len, &proto, &at))
        return false;
    uint32_t least = proto == PROTO_TCP ? 20 : proto == PROTO_UDP || proto == PROTO_ICMP6 ? 8 : 0;
    return ip->payload_len - at >= least;
}

/* What can be said of a fragment alone (RFC 791 3.2; RFC 8200 4.5). */
static bool piece_fine(const struct ip_hdr *ip)
{
    if (ip->payload_len == 0 || ip->frag_off + ip->payload_len > DATA_MAX)
        return false;
    if (ip->more && ip->payload_len % 8 != 0)
        return false;
    if (ip->frag_off != 0)
        return true;
    return ip->frag_hdr_len <= FRAG_HDR_MAX && (ip->version == 4 || headers_whole(ip));
}

static bool same_bytes(struct arena *a, const struct chunkq *q, uint32_t pos, const uint8_t *p, uint32_t n)
{
    while (n > 0) {
        tern_slice slices[8];
        uint32_t got;
        int count = chunkq_slices(a, NULL, q, pos, n, NULL, slices, (int)ARRAY_LEN(slices), &got);
        for (int i = 0; i < count; p += slices[i].len, i++)
            if (memcmp(slices[i].data, p, slices[i].len) != 0)
                return false;
        pos += got;
        n -= got;
    }
    return true;
}

/* Where the piece behind the one at `pos` stands in the queue: the headers follow the first one. */
static uint32_t frag__behind(const struct frag_datagram *d, uint32_t pos, uint32_t len)
{
    pos += len;
    return d->hdr_len != 0 && pos == d->hdr_at ? pos + d->hdr_len : pos;
}

enum fit { FIT_NEW, FIT_KNOWN, FIT_OVERLAP };

/* How a piece lies to those that came before. Only the same bytes at the same place are a repetition. */
static enum fit fit_piece(struct arena *a, const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t start = ip->frag_off, end = start + ip->payload_len, pos = 0;
    for (uint32_t i = 0; i < d->n_pieces; pos = frag__behind(d, pos, d->pieces[i++].len)) {
        const struct frag_piece *p = &d->pieces[i];
        if (end <= p->start || start >= (uint32_t)p->start + p->len)
            continue;
        if (start != p->start || ip->payload_len != p->len)
            return FIT_OVERLAP;
        return same_bytes(a, &d->q, pos, ip->payload, p->len) ? FIT_KNOWN : FIT_OVERLAP;
    }
    return FIT_NEW;
}

/* Whether a piece agrees with what is known of the end. */
static bool end_fits(const struct frag_datagram *d, const struct ip_hdr *ip)
{
    uint32_t end = ip->frag_off + ip->payload_len;
    if (!ip->more && (d->total != 0 || end < d->high))
        return false; /* a second end, or an end before other pieces */
    return d->total == 0 || end <= d->total;
}

/* False: no memory. */
static bool keep_piece(struct arena *a, struct frag_datagram *d, const struct ip_hdr *ip,
                       const uint8_t *packet)
{
    if (chunkq_append(a, &d->q, ip->payload, ip->payload_len, MEM_OOO) != ip->payload_len)
        return false;
    d->pieces[d->n_pieces++] = (struct frag_piece){(uint16_t)ip->frag_off, (uint16_t)ip->payload_len};
    d->got += ip->payload_len;
    d->high = max_u32(d->high, ip->frag_off + ip->payload_len);
    d->ecn |= (uint8_t)(1u << (ip->tos & 3));
    if (ip->frag_off != 0)
        return true;
    d->hdr_at = d->q.len; /* RFC 8200 4.5: the headers are those of the first fragment */
    d->hdr_len = ip->frag_hdr_len;
    d->proto = ip->proto;
    return chunkq_append(a, &d->q, packet, d->hdr_len, MEM_OOO) == d->hdr_len;
}

/* RFC3168-5.3-bcd: one mark marks the whole; marked and not-ECT pieces together are nobody's honest
 * packet. */
static bool ecn_whole(const struct frag_datagram *d, uint8_t tos, uint8_t *ecn)
{
    bool marked = (d->ecn & 1u << ECN_CE) != 0;
    *ecn = marked ? ECN_CE : tos & 3;
    return !marked || (d->ecn & 1u << ECN_NOT) == 0;
}

static void put_together(struct arena *a, const struct frag_datagram *d, uint8_t *p)
{
    chunkq_copy(a, NULL, &d->q, d->hdr_at, p, d->hdr_len);
    uint32_t pos = 0;
    for (uint32_t i = 0; i < d->n_pieces; pos = frag__behind(d, pos, d->pieces[i++].len))
        chunkq_copy(a, NULL, &d->q, pos, p + d->hdr_len + d->pieces[i].start, d->pieces[i].len);
}

/* All pieces are there. */
static enum tern_cause frag__finish(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                              struct frag_packet *out)
{
    uint8_t *p = place_for_whole(a, t, d->hdr_len + d->total);
    if (p == NULL)
        return frag__refuse(a, d, TERN_C_FRAGMENT_LIMIT);
    put_together(a, d, p);
    struct ip_hdr whole;
    uint8_t tos = p[0] >> 4 == 4 ? p[1] : p[1] >> 4, ecn;
    if (!ecn_whole(d, tos, &ecn) || !ip_unfragment(p, d->hdr_len, d->proto, d->total, ecn) ||
        ip_parse(p, d->hdr_len + d->total, &whole) != TERN_CAUSE_NONE || whole.fragment)
        return frag__refuse(a, d, TERN_C_FRAGMENT_MALFORMED);
    *out = (struct frag_packet){.data = p, .len = d->hdr_len + d->total};
    frag__forget(a, t, d);
    return TERN_CAUSE_NONE;
}

/* A piece that belongs where it stands: keep it, and see whether it was the last. */
static enum tern_cause add_piece(struct arena *a, struct frag_table *t, struct frag_datagram *d,
                                 const struct ip_hdr *ip, const uint8_t *packet, struct frag_packet *out)
{
    if (!end_fits(d, ip))
        return frag__refuse(a, d, TERN_C_FRAGMENT_MALFORMED);
    if (d->n_pieces == FRAG_PIECES)
        return frag__refuse(a, d, TERN_C_FRAGMENT_LIMIT);
    make_room(a, t, d, ip->payload_len + (ip->frag_off == 0 ? ip->frag_hdr_len : 0));
    if (!keep_piece(a, d, ip, packet))
        return frag__refuse(a, d, TERN_C_FRAGMENT_LIMIT);
    if (!ip->more)
        d->total = d->high;
    return d->got == d->total ? frag__finish(a, t, d, out) : TERN_CAUSE_NONE;
}

/* --- the verbs ---------------------------------------------------------------------------------- */

TERN_PRIVATE enum tern_cause frag_add(struct arena *a, struct frag_table *t, uint64_t now, const struct ip_hdr *ip,
                         const uint8_t *packet, uint8_t link, struct frag_packet *out)
{
    *out = (struct frag_packet){0};
    frag_expire(a, t, now);
    if (NEVER(!ip->fragment) || !piece_fine(ip))
        return TERN_C_FRAGMENT_MALFORMED;
    struct frag_datagram *d = frag__find(t, ip, link);
    if (d == NULL)
        d = frag__make(a, t, now, ip, link);
    if (d->refused)
        return (enum tern_cause)d->refused;
    switch (fit_piece(a, d, ip)) {
    case FIT_KNOWN: return TERN_CAUSE_NONE;
    case FIT_OVERLAP: return frag__refuse(a, d, TERN_C_FRAGMENT_OVERLAP);
    default: return add_piece(a, t, d, ip, packet, out);
    }
}

TERN_PRIVATE uint32_t frag_expire(struct arena *a, struct frag_table *t, uint64_t now)
{
    uint32_t n = 0;
    for (uint32_t i = 0; t->live != 0 && i < FRAG_DATAGRAMS; i++) {
        if (!t->d[i].used || t->d[i].deadline > now)
            continue;
        n += t->d[i].refused == 0;
        frag__forget(a, t, &t->d[i]);
    }
    t->timeouts += n;
    return n;
}

TERN_PRIVATE uint64_t frag_next_deadline(const struct frag_table *t)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used)
            next = min_u64(next, t->d[i].deadline);
    return next;
}

TERN_PRIVATE void frag_clear(struct arena *a, struct frag_table *t)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++)
        if (t->d[i].used)
            frag__forget(a, t, &t->d[i]);
    if (t->whole != 0)
        arena_pages_free(a, t->whole, t->whole_pages);
    t->whole = 0;
    t->whole_pages = 0;
}


/* ========================================================================================= src/ip/ip.c */

/* ip.c - links, addresses and routes: small arrays in the order of adding, searched in order. */

#define GSO_MOST 65455u /* beside the longest IPv4 and TCP headers in 65535 bytes */

static int prefix_most(const tern_ip *ip) { return tern_ip_is4(ip) ? 32 : 128; }

/* --- links --------------------------------------------------------------------------------------- */

static bool info_valid(const tern_link_info *info)
{
    return info->mtu >= 576 && info->mtu <= 65535 && info->gso_max <= GSO_MOST;
}

TERN_PRIVATE int ip_link_add(struct ip_state *s, const tern_link_info *info, uint32_t taken)
{
    if (!info_valid(info))
        return -TERN_EINVAL;
    for (int id = 1; id < IP_LINKS; id++)
        if (s->links[id].mtu == 0 && !(taken >> id & 1)) {
            s->links[id] = *info;
            s->up |= 1u << id;
            return id;
        }
    return -TERN_ENOMEM;
}

static bool has_address6(const struct ip_state *s, int link)
{
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].link == link && !tern_ip_is4(&s->addrs[i].ip))
            return true;
    return false;
}

TERN_PRIVATE int ip_link_set(struct ip_state *s, int link, const tern_link_info *info)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    if (!info_valid(info) || (info->mtu < 1280 && has_address6(s, link)))
        return -TERN_EINVAL; /* RFC 8200 5 */
    s->links[link] = *info;
    return 0;
}

TERN_PRIVATE int ip_link_up(struct ip_state *s, int link, bool up)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    s->up = up ? s->up | 1u << link : s->up & ~(1u << link);
    return 0;
}

/* --- routes -------------------------------------------------------------------------------------- */

static bool same_prefix(const struct ip_route *r, const tern_ip *dst, int prefix_len)
{
    return r->prefix_len == prefix_len && ip_prefix_eq(&r->dst, dst, prefix_len);
}

static struct ip_route *route_find(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    for (uint32_t i = 0; i < s->n_routes; i++)
        if (s->routes[i].link == link && same_prefix(&s->routes[i], dst, prefix_len))
            return &s->routes[i];
    return NULL;
}

static void route_drop(struct ip_state *s, struct ip_route *r)
{
    uint32_t behind = s->n_routes - 1 - (uint32_t)(r - s->routes);
    memmove(r, r + 1, behind * sizeof *r);
    s->n_routes--;
}

static int route_valid(const struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    return prefix_len < 0 || prefix_len > prefix_most(dst) ? -TERN_EINVAL : 0;
}

static int route_put(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, bool asked)
{
    struct ip_route *r = route_find(s, link, dst, prefix_len);
    if (r != NULL && (r->asked || !asked))
        return -TERN_EEXIST;
    if (r == NULL && s->n_routes == IP_ROUTES)
        return -TERN_ENOMEM;
    if (r == NULL)
        r = &s->routes[s->n_routes++];
    *r = (struct ip_route){*dst, (uint8_t)link, (uint8_t)prefix_len, asked};
    return 0;
}

TERN_PRIVATE int ip_route_add(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int e = route_valid(s, link, dst, prefix_len);
    return e < 0 ? e : route_put(s, link, dst, prefix_len, true);
}

TERN_PRIVATE int ip_route_remove(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int e = route_valid(s, link, dst, prefix_len);
    struct ip_route *r = e < 0 ? NULL : route_find(s, link, dst, prefix_len);
    if (r == NULL)
        return e < 0 ? e : -TERN_ENOENT;
    route_drop(s, r);
    return 0;
}

/* One of the same prefix gives its place; the others go. */
TERN_PRIVATE int ip_route_replace(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int e = route_valid(s, link, dst, prefix_len);
    bool placed = false;
    if (e < 0)
        return e;
    for (uint32_t i = 0; i < s->n_routes;) {
        struct ip_route *r = &s->routes[i];
        if (!same_prefix(r, dst, prefix_len)) {
            i++;
        } else if (placed) {
            route_drop(s, r);
        } else {
            *r = (struct ip_route){*dst, (uint8_t)link, (uint8_t)prefix_len, true};
            placed = true;
            i++;
        }
    }
    return placed ? 0 : route_put(s, link, dst, prefix_len, true);
}

/* Longest prefix, then what was added first; links of the mask only. */
static int route_by(const struct ip_state *s, const tern_ip *dst, uint32_t links)
{
    int best = 0, best_len = -1;
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct ip_route *r = &s->routes[i];
        if (!(links >> r->link & 1) || r->prefix_len <= best_len ||
            !ip_prefix_eq(&r->dst, dst, r->prefix_len))
            continue;
        best = r->link;
        best_len = r->prefix_len;
    }
    return best;
}

TERN_PRIVATE int ip_route(const struct ip_state *s, const tern_ip *dst) { return route_by(s, dst, s->up); }
TERN_PRIVATE int ip_route_any(const struct ip_state *s, const tern_ip *dst) { return route_by(s, dst, UINT32_MAX); }

TERN_PRIVATE uint8_t ip_way(const struct ip_state *s, const tern_ip *local, const tern_ip *remote, uint8_t home)
{
    if (home != 0 && ip_link_is_up(s, home))
        return home;
    if (ip_is_link_local6(local) || ip_is_link_local6(remote))
        return 0;
    return (uint8_t)ip_route(s, remote);
}

/* --- addresses ----------------------------------------------------------------------------------- */

TERN_PRIVATE int ip_addr_add(struct ip_state *s, int link, const tern_ip *ip, int prefix_len)
{
    int e = route_valid(s, link, ip, prefix_len);
    if (e < 0)
        return e;
    if (ip_is_multicast(ip) || ip_is_unspecified(ip) || ip_is_broadcast4(ip))
        return -TERN_EINVAL;
    if (!tern_ip_is4(ip) && s->links[link].mtu < 1280)
        return -TERN_EINVAL; /* RFC 8200 5 */
    if (ip_is_ours(s, ip, link))
        return -TERN_EEXIST;
    if (s->n_addrs == IP_ADDRS)
        return -TERN_ENOMEM;
    e = route_put(s, link, ip, prefix_len, false);
    if (e < 0 && e != -TERN_EEXIST)
        return e;
    s->addrs[s->n_addrs++] = (struct ip_addr){*ip, (uint8_t)link, (uint8_t)prefix_len, false};
    return 0;
}

/* The entry of an address, by link 0 the first; NULL with *error. */
TERN_PRIVATE struct ip_addr *ip_addr_find(struct ip_state *s, int link, const tern_ip *ip, int *error)
{
    *error = link != 0 && !ip_link_known(s, link) ? -TERN_ENODEV : -TERN_ENOENT;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if ((link == 0 || s->addrs[i].link == link) && ip_eq(&s->addrs[i].ip, ip))
            return &s->addrs[i];
    return NULL;
}

/* Whether an address of the link still wants this route to its prefix. */
static bool prefix_wanted(const struct ip_state *s, const struct ip_route *r)
{
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].link == r->link && same_prefix(r, &s->addrs[i].ip, s->addrs[i].prefix_len))
            return true;
    return false;
}

TERN_PRIVATE void ip_addr_remove(struct ip_state *s, struct ip_addr *a)
{
    struct ip_addr old = *a;
    uint32_t behind = s->n_addrs - 1 - (uint32_t)(a - s->addrs);
    memmove(a, a + 1, behind * sizeof *a);
    s->n_addrs--;
    struct ip_route *r = route_find(s, old.link, &old.ip, old.prefix_len);
    if (r != NULL && !r->asked && !prefix_wanted(s, r))
        route_drop(s, r);
}

TERN_PRIVATE int ip_link_remove(struct ip_state *s, int link)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    for (uint32_t i = 0; i < s->n_addrs;)
        if (s->addrs[i].link == link)
            ip_addr_remove(s, &s->addrs[i]);
        else
            i++;
    for (uint32_t i = 0; i < s->n_routes;)
        if (s->routes[i].link == link)
            route_drop(s, &s->routes[i]);
        else
            i++;
    s->links[link] = (tern_link_info){0};
    s->up &= ~(1u << link);
    return 0;
}

TERN_PRIVATE bool ip_is_ours(const struct ip_state *s, const tern_ip *ip, int link)
{
    bool zoned = link != 0 && ip_is_link_local6(ip);
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (ip_eq(&s->addrs[i].ip, ip) && (!zoned || s->addrs[i].link == link))
            return true;
    return false;
}

/* All host bits one (RFC 922), in a prefix that has a broadcast address at all (RFC 3021). */
static bool directed_broadcast(const struct ip_addr *a, const tern_ip *ip)
{
    return a->prefix_len <= 30 && get32(ip->b + 12) == (get32(a->ip.b + 12) | 0xffffffffu >> a->prefix_len) &&
           tern_ip_is4(&a->ip) && tern_ip_is4(ip);
}

TERN_PRIVATE bool ip_is_broadcast(const struct ip_state *s, const tern_ip *ip)
{
    if (ip_is_broadcast4(ip))
        return true;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (directed_broadcast(&s->addrs[i], ip))
            return true;
    return false;
}

TERN_PRIVATE bool ip_valid_peer(const struct ip_state *s, const tern_ip *ip)
{
    if (ip_is_unspecified(ip) || ip_is_multicast(ip) || ip_is_broadcast(s, ip))
        return false;
    return !(tern_ip_is4(ip) && ip->b[12] == 0); /* 0.0.0.0/8: "this network" */
}

TERN_PRIVATE uint32_t ip_mss(const struct ip_state *s, int link, const tern_ip *remote)
{
    return s->links[link].mtu - (tern_ip_is4(remote) ? 40 : 60);
}

#undef GSO_MOST

/* ===================================================================================== src/ip/source.c */

/* source.c - which of our addresses a connection is opened from (RFC 6724 5), when the program does not say.
 *
 * The rules are asked in their order, each only when those before left two addresses equal:
 *
 *   1  the destination itself                     5  an address of the link that leads there
 *   2  a scope that fits (a wider one is better   6  the same label in the policy table (2.1)
 *      than a too narrow one)                     8  the longest common prefix, up to our own prefix (2.2)
 *   3  not deprecated
 *
 * Rules 4 (mobile IP), 5.5 (addresses by router advertisements) and 7 (temporary addresses) speak of what
 * does not exist here. What is still equal is decided by the order of adding. Candidates (4) are the
 * addresses of the link; only when it has none that can be meant, those of other links too, but never
 * link-local ones of another link. IPv4, which the RFC leaves open, is chosen by the same rules, with the
 * scopes of 3.2.
 */

struct policy {
    tern_ip prefix;
    uint8_t bits, label;
};

/* The default policy table, RFC 6724 2.1. Bits count all 128. */
static const struct policy table[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 128, 0},
    {{{0}}, 0, 1},
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96, 4},
    {{{0x20, 0x02}}, 16, 2},
    {{{0x20, 0x01}}, 32, 5},
    {{{0xfc}}, 7, 13},
    {{{0}}, 96, 3},
    {{{0xfe, 0xc0}}, 10, 11},
    {{{0x3f, 0xfe}}, 16, 12},
};

/* Bits that two addresses have in common from the front. */
static int common_bits(const tern_ip *a, const tern_ip *b)
{
    int n = 0;
    while (n < 128 && ((a->b[n / 8] ^ b->b[n / 8]) >> (7 - n % 8) & 1) == 0)
        n++;
    return n;
}

/* Of the longest prefix that matches. */
static uint8_t label_of(const tern_ip *ip)
{
    const struct policy *best = &table[1];
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].bits >= best->bits && common_bits(&table[i].prefix, ip) >= table[i].bits)
            best = &table[i];
    return best->label;
}

enum { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 }; /* RFC 6724 3.1, RFC 4291 2.7 */

static int scope_of(const tern_ip *ip)
{
    if (tern_ip_is4(ip)) /* 3.2: loopback and auto-configured addresses; all others are global */
        return ip->b[12] == 127 || (ip->b[12] == 169 && ip->b[13] == 254) ? SCOPE_LINK : SCOPE_GLOBAL;
    if (ip_is_link_local6(ip) || common_bits(ip, &table[0].prefix) == 128) /* 3.4: ::1 */
        return SCOPE_LINK;
    return common_bits(ip, &table[7].prefix) >= 10 ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* 2.2: CommonPrefixLen(S, D), "up to the length of S's prefix". */
static int common_prefix(const struct ip_addr *s, const tern_ip *dst)
{
    int most = s->prefix_len + (tern_ip_is4(&s->ip) ? 96 : 0), n = common_bits(&s->ip, dst);
    return n < most ? n : most;
}

/* Rule 2: positive when `a` is better. */
static int by_scope(int a, int b, int dst)
{
    if (a == b)
        return 0;
    bool narrower_is_a = a < b;
    bool narrower_fits = (narrower_is_a ? a : b) >= dst;
    return narrower_is_a == narrower_fits ? 1 : -1;
}

static int by_truth(bool a, bool b) { return (int)a - (int)b; }

/* Whether `a` is better than `b`. */
static bool better(const struct ip_addr *a, const struct ip_addr *b, int link, const tern_ip *dst)
{
    int c = by_truth(ip_eq(&a->ip, dst), ip_eq(&b->ip, dst)); /* rule 1 */
    if (c == 0)
        c = by_scope(scope_of(&a->ip), scope_of(&b->ip), scope_of(dst)); /* rule 2 */
    if (c == 0)
        c = by_truth(!a->deprecated, !b->deprecated); /* rule 3 */
    if (c == 0)
        c = by_truth(a->link == link, b->link == link); /* rule 5 */
    uint8_t label = label_of(dst);
    if (c == 0)
        c = by_truth(label_of(&a->ip) == label, label_of(&b->ip) == label); /* rule 6 */
    if (c == 0)
        c = common_prefix(a, dst) - common_prefix(b, dst); /* rule 8 */
    return c > 0;
}

/* RFC 6724 4: of the destination's family; link-local ones only on their own link. An address of another link
 * can be meant when the destination is beyond the link too. */
static bool candidate(const struct ip_addr *a, int link, const tern_ip *dst, bool of_link)
{
    if (tern_ip_is4(&a->ip) != tern_ip_is4(dst))
        return false;
    if (a->link == link)
        return true;
    return !of_link && scope_of(&a->ip) != SCOPE_LINK && scope_of(dst) != SCOPE_LINK;
}

static const struct ip_addr *best_of(const struct ip_state *s, int link, const tern_ip *dst, bool of_link)
{
    const struct ip_addr *best = NULL;
    for (uint32_t i = 0; i < s->n_addrs; i++) {
        const struct ip_addr *a = &s->addrs[i];
        if (candidate(a, link, dst, of_link) && (best == NULL || better(a, best, link, dst)))
            best = a;
    }
    return best;
}

TERN_PRIVATE bool ip_source(const struct ip_state *s, int link, const tern_ip *dst, tern_ip *out)
{
    const struct ip_addr *a = best_of(s, link, dst, true);
    /* a link whose own addresses cannot reach beyond it borrows one that can */
    if (a == NULL || scope_of(&a->ip) < scope_of(dst)) {
        const struct ip_addr *other = best_of(s, link, dst, false);
        a = other != NULL ? other : a;
    }
    if (a == NULL)
        return false;
    *out = a->ip;
    return true;
}


/* ================================================================================ src/tcp/accept_seq.c */

/* accept_seq.c - the first step: is the segment in the window (RFC 9293 3.10.7.4), is it of this life (PAWS,
 * RFC 7323 5), and the challenge ACK for what an attacker could have guessed (RFC 5961). */

#define PAWS_IDLE_US (24ull * 24 * 3600 * 1000000) /* RFC 7323 5.5: TS.Recent is void after 24 days */

/* R1: older than the last one of this connection (RFC7323-5.3-c)? After 24 days that is no matter
 * (RFC7323-5.5-ab). */
static bool stamp_fine(const struct tcb *c, const struct segment *s, uint64_t now)
{
    if (!c->opt.ts || !s->opt.ts)
        return true;
    if ((int32_t)(s->opt.ts_val - c->ts.recent) >= 0)
        return true;
    return now - c->ts.recent_us > PAWS_IDLE_US;
}

/* Whether one more challenge may leave (RFC5961-7-a); each record keeps its own count and the start of its
 * interval (RFC5961-7-c). */
TERN_PRIVATE bool challenge_allowed(struct tern *t, uint16_t *count, uint64_t *since)
{
    if (*count == 0 || t->w->now - *since >= CHALLENGE_US) {
        *since = t->w->now;
        *count = 0;
    }
    bool allowed = *count < CHALLENGES;
    *count += allowed;
    t->w->stats.challenge_limited += !allowed;
    return allowed;
}

/* Answer with an ACK, but not for ever: two ends that disagree would answer each other without end. */
TERN_PRIVATE void challenge(struct tern *t, struct tcb *c, enum tern_cause why)
{
    if (!challenge_allowed(t, &c->ack.challenges, &c->ack.challenge_us))
        return;
    if (why == TERN_C_SEND_CHALLENGE) {
        t->w->stats.challenge_acks++;
        c->sum.challenge_acks++;
    }
    recv_ack_now(t, c, why);
}

/* The table of 3.10.7.4 first, in its four rows. */
TERN_PRIVATE bool seq_acceptable(seq_t nxt, uint32_t wnd, const struct segment *s)
{
    uint32_t len = seg_len(s);
    if (len == 0)
        return wnd == 0 ? seq_eq(s->seq, nxt) : seq_in(s->seq, nxt, wnd);
    if (wnd == 0)
        return false;
    return seq_in(s->seq, nxt, wnd) || seq_in(seq_add(s->seq, len - 1), nxt, wnd);
}

/* RFC 9293 A.2: a repeated FIN, a keepalive or a crossing window probe ends exactly at RCV.NXT, or starts
 * there while our window is shut. It fails the test, yet its ACK is news that must not be lost. The same is
 * true of an empty segment behind all that we have offered: of a peer that has filled the window (some of it
 * was lost), or whose probe of a shut one we have refused ("special allowance", 3.10.7.4 first). */
static bool ack_counts(const struct rcv *r, const struct segment *s)
{
    if (seg_len(s) == 0 && seq_eq(s->seq, seq_add(r->adv, rcv_wnd(r) == 0)))
        return true;
    if (rcv_wnd(r) == 0 && seq_eq(s->seq, r->nxt))
        return true;
    return seq_eq(seq_add(s->seq, max_u32(seg_len(s), 1)), r->nxt);
}

/* A peer that repeats data needs the answer, always; an empty segment may be such an answer itself. */
static void owe_answer(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (seg_len(s) == 0)
        challenge(t, c, TERN_C_SEND_ACK_OLD);
    else
        recv_ack_now(t, c, TERN_C_SEND_ACK_OLD);
}

static enum tern_cause out_of_window(struct tern *t, struct tcb *c, const struct segment *s,
                                     enum seq_verdict *verdict)
{
    *verdict = SEQ_OUT;
    if (s->flags & F_RST)
        return TERN_C_SEQ_RST; /* in silence: RFC5961-3.2-b */
    if (s->flags & F_SYN) {
        challenge(t, c, TERN_C_SEND_CHALLENGE); /* the fourth step gives the same answer */
        return TERN_C_SYN_CHALLENGE;
    }
    if ((s->flags & F_ACK) && ack_counts(&c->rcv, s))
        *verdict = SEQ_OLD_ACK;
    owe_answer(t, c, s);
    if (rcv_wnd(&c->rcv) == 0 && seq_eq(s->seq, c->rcv.nxt))
        return TERN_C_WINDOW_PROBE;
    return seq_lt(s->seq, c->rcv.nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND;
}

/* Each segment is judged once, when it arrives (RFC7323-5.3-ae), by its timestamp first (RFC7323-5.3-b). A
 * RST is not (RFC7323-5.2-e). Without a timestamp that was agreed a segment is dropped and nothing else
 * happens (RFC7323-3.2-ij). */
TERN_PRIVATE enum tern_cause accept_seq(struct tern *t, struct tcb *c, const struct segment *s, enum seq_verdict *verdict)
{
    *verdict = SEQ_OUT;
    if (!(s->flags & F_RST)) {
        if (c->opt.ts && !s->opt.ts && !(s->flags & F_SYN))
            return TERN_C_TS_MISSING;
        if (!stamp_fine(c, s, t->w->now)) {
            owe_answer(t, c, s); /* RFC 7323 5.3 R1 */
            return TERN_C_PAWS;
        }
    }
    if (!seq_acceptable(c->rcv.nxt, rcv_wnd(&c->rcv), s))
        return out_of_window(t, c, s, verdict);
    *verdict = SEQ_OK;
    return TERN_CAUSE_NONE;
}

#undef PAWS_IDLE_US

/* ======================================================================================= src/tcp/ack.c */

/* ack.c - the fifth step: SND.UNA, the send window, what an ACK says of loss and of the round trip. */

/* SND.WND, SND.WL1, SND.WL2; and the largest window ever seen (RFC 5961 5.2). The field is unsigned (MUST-1),
 * scaled (RFC7323-2.3-d) and, on a SYN, not scaled (RFC7323-2.2-g). */
TERN_PRIVATE void ack_take_window(struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    n->wnd = (uint32_t)s->wnd << ((s->flags & F_SYN) ? 0 : c->opt.snd_wscale);
    n->max_wnd = max_u32(n->max_wnd, n->wnd);
    n->wl1 = s->seq;
    n->wl2 = s->ack;
}

/* RFC 9293 3.10.7.4 fifth: only a newer segment moves the send window. */
static void update_window(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    if (!(seq_lt(n->wl1, s->seq) || (seq_eq(n->wl1, s->seq) && seq_le(n->wl2, s->ack))))
        return;
    uint32_t old = n->wnd;
    ack_take_window(c, s);
    if (n->wnd == old)
        return;
    trace_conn(t, &c->h, TERN_TRACE_WINDOW, TERN_CAUSE_NONE, n->wnd, old, 0);
    conn_ready(t, &c->h);
}

/* Whether the echoed timestamp tells which sending was answered: only if SND.UNA moves (RFC7323-4.1-b), and
 * on a segment with ACK, since only such come here (RFC7323-3.2-c). A peer to whom all of a repetition is old
 * refuses it before it looks at its timestamp (RFC 7323 5.3 R2 and R3), so when an ACK was lost the answer to
 * the repetition echoes the first sending: the time between is the timeout's, not the path's, and would make
 * the next one longer. Only when the answer comes too soon for the repetition was the first one late. */
static bool echo_tells(const struct tern *t, const struct tcb *c, const struct segment *s,
                       const struct acked *a)
{
    uint64_t again_us = a->again.sent_us;
    if (!c->opt.ts || !s->opt.ts || s->opt.ts_ecr == 0 || a->bytes == 0)
        return false;
    return again_us == 0 || (int32_t)(s->opt.ts_ecr - stamp_at(again_us, c->ts.offset)) >= 0 ||
           t->w->now - again_us < c->rtt.min_us;
}

/* Whether the peer says that the repetition came, as the second (RFC 2883 4): that is what it answers. There
 * must have been but one. */
static bool dsack_tells(const struct acked *a)
{
    return a->dsacked > 0 && a->again.times == 2 &&
           seq_eq(seq_add(a->dsack_left, a->dsacked), a->again.end);
}

/* Karn's rule (MUST-18, RFC6298-3-a): only segments sent once; timestamps tell repeated ones apart too (RFC
 * 7323 4), and so does a DSACK. Each ACK of something new is a sample (RFC6298-3-b). And none of what was
 * sent before the clock jumped: the first ACK after it, and every one of a segment from before, would count
 * the machine's sleep as the network's. */
static void sample_rtt(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    uint64_t now = t->w->now, us;
    if (a->rtt_sent_us != 0 && across_jump(t, a->rtt_sent_us))
        return;
    if (c->tm.stuck_us != 0 && across_jump(t, c->tm.stuck_us))
        return;
    if (a->rtt_sent_us != 0 && !a->any_retx)
        us = now - a->rtt_sent_us;
    else if (dsack_tells(a))
        us = now - a->again.sent_us;
    else if (echo_tells(t, c, s, a))
        us = (uint64_t)(stamp_now(t, c->ts.offset) - s->opt.ts_ecr) * 1000;
    else
        return;
    if (us > 0xffffffffu / 8)
        return; /* nonsense of a peer's timestamp */
    rtt_sample(&c->rtt, (uint32_t)us, settings(t));
    c->tlp.unmeasured = false;
    trace_conn(t, &c->h, TERN_TRACE_RTT, TERN_CAUSE_NONE, us, c->rtt.srtt_us, c->rtt.rto_us);
}

static bool ack__inside(const struct sack_block *a, const struct sack_block *b)
{
    return seq_ge(a->left, b->left) && seq_le(a->right, b->right);
}

/* RFC 2883 4: the first block is a duplicate when it lies below the ACK or inside the second. */
static bool is_dsack(const struct segment *s)
{
    const struct sack_block *b = s->opt.sack;
    if (s->opt.n_sack == 0 || !seq_lt(b[0].left, b[0].right))
        return false;
    return seq_le(b[0].right, s->ack) || (s->opt.n_sack > 1 && ack__inside(&b[0], &b[1]));
}

/* In ascending order, so that what arrived in order looks so (RACK judges reordering by it). */
static uint8_t sorted(const struct segment *s, uint8_t first, struct sack_block *out)
{
    uint8_t n = 0;
    for (uint8_t i = first; i < s->opt.n_sack; i++) {
        uint8_t k = n++;
        for (; k > 0 && seq_gt(out[k - 1].left, s->opt.sack[i].left); k--)
            out[k] = out[k - 1];
        out[k] = s->opt.sack[i];
    }
    return n;
}

/* The SACK blocks that can be true, noted on the send list (RFC2018-5-a, RFC6675-5-a). */
static void take_sacks(struct tern *t, struct tcb *c, const struct segment *s, struct acked *a)
{
    struct sack_block blocks[MAX_SACK];
    if (!c->opt.sack)
        return;
    bool twice = is_dsack(s);
    if (twice) {
        c->sum.dsacks++;
        a->dsack_left = s->opt.sack[0].left;
        a->dsacked = seq_span(s->opt.sack[0].left, s->opt.sack[0].right);
    }
    uint8_t n = sorted(s, twice, blocks);
    for (uint8_t i = 0; i < n; i++)
        if (seq_lt(blocks[i].left, blocks[i].right) && seq_gt(blocks[i].left, c->snd.una) &&
            seq_le(blocks[i].right, c->snd.nxt))
            a->news += sendlist_sack(t, &c->list, blocks[i].left, blocks[i].right, c->snd.mss, a);
}

/* SND.UNA moves to `ack`: SYN and FIN take a number and no byte. Bytes go when they are acknowledged so, and
 * not when they are SACKed (RFC2018-8-d, RFC6675-4-b). */
static void ack__advance(struct tern *t, struct tcb *c, seq_t ack, struct acked *a)
{
    struct snd *n = &c->snd;
    sendlist_ack(t, &c->list, ack, a);
    if (!n->syn_acked) {
        a->bytes--, n->syn_acked = true; /* the SYN is no data: it makes no window grow (RFC5681-3.1-c) */
        recovery_begin(c);
    }
    n->una = ack;
    if (n->fin_sent && seq_gt(ack, snd_end(n)))
        n->fin_acked = true;
    uint32_t bytes = seq_gt(ack, seq(n->q.pos)) ? min_u32(seq_span(seq(n->q.pos), ack), n->q.len) : 0;
    chunkq_drop_front(t->a, &n->q, bytes);
    c->sum.acked += bytes;
    n->small = seq_max(n->small, ack);
    n->urgent = n->urgent && seq_gt(n->up, ack);
    if (n->blocked && n->q.len < n->buffer)
        shortage_writable(t, c);
}

/* RFC 5681 2: the five conditions of a duplicate ACK. The answer to a window probe is none: the byte that it
 * asks for again was refused, not lost. */
static bool is_duplicate(const struct tcb *c, const struct segment *s, uint32_t old_wnd)
{
    return s->len == 0 && !(s->flags & (F_SYN | F_FIN)) && seq_eq(s->ack, c->snd.una) &&
           c->snd.wnd == old_wnd && flight(&c->snd) > 0 && c->tm.rexmit != TERN_TIMER_PERSIST;
}

/* Refused with a challenge ACK. They are rationed: two ends that disagree would go on for ever. */
static enum tern_cause ack__refuse(struct tern *t, struct tcb *c, enum tern_cause why)
{
    challenge(t, c, TERN_C_SEND_CHALLENGE);
    return why;
}

/* What it says: what has arrived, in order and not, and when it had been sent. */
static void read_ack(struct tern *t, struct tcb *c, const struct segment *s, struct acked *a)
{
    if (a->moved)
        ack__advance(t, c, s->ack, a);
    take_sacks(t, c, s, a);
    a->eifel = a->moved && a->any_retx && c->opt.ts && s->opt.ts &&
               (int32_t)(s->opt.ts_ecr - c->undo.stamp) < 0;
    sample_rtt(t, c, s, a);
    rack_update(t, c, s, a);
}

/* What follows: timers, losses, the congestion window, more to send. */
static void act_on_ack(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    if (a->moved)
        timer_progress(t, c);
    c->sum.dup_acks_in += a->duplicate;
    bool repaired = tlp_repaired(c, s, a);
    recovery_on_ack(t, c, a);
    if (repaired)
        recovery_on_tail_repaired(t, c);
    if (a->moved)
        tlp_schedule(t, c);
    if (a->ece)
        recovery_on_ecn(t, c, a->old_flight);
    timer_answered(t, c);
    timer_window(t, c);
    if (a->moved || a->news > 0 || a->duplicate)
        conn_ready(t, &c->h);
}

TERN_PRIVATE enum tern_cause ack_segment(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct snd *n = &c->snd;
    /* RFC5961-5.2-abc (RFC 9293 MAY-12) */
    if (seq_lt(s->ack, seq_sub(n->una, n->max_wnd)))
        return ack__refuse(t, c, TERN_C_ACK_TOO_OLD);
    if (seq_gt(s->ack, n->nxt))
        return ack__refuse(t, c, TERN_C_ACK_UNSENT);
    uint32_t old_wnd = n->wnd;
    if (!n->syn_acked && seq_gt(s->ack, n->una))
        ack_take_window(c, s); /* closed in SYN_RCVD: no segment has told its window yet */
    else if (seq_ge(s->ack, n->una))
        update_window(t, c, s);
    struct acked a = {.old_flight = flight(n), .moved = seq_gt(s->ack, n->una)};
    a.ece = (s->flags & F_ECE) && c->opt.ecn && !(s->flags & F_SYN);
    a.duplicate = is_duplicate(c, s, old_wnd);
    read_ack(t, c, s, &a);
    act_on_ack(t, c, s, &a);
    return TERN_CAUSE_NONE;
}


/* =================================================================================== src/tcp/backlog.c */

/* backlog.c - a listener's half-open records in their queues: when each SYN+ACK is sent, repeated, given up.
 *
 * A record has neither a timer nor a place on the ready list: those are its listener's. The SYN+ACK is
 * repeated (RFC4987-4-b): all records to which n repetitions were sent wait equally long for the next (RFC
 * 6298 5.5), so they stand in one queue in order of time, and the listener's one timer looks at the heads of
 * the queues.
 *
 *   SYN ──▶ QUEUE_NOW ──SYN+ACK──▶ QUEUE_SENT ──1 s──▶ QUEUE_SENT + 1 ──2 s──▶ ... ──▶ given up
 *
 * No call lasts long, however many they are: what is too much for one turn is left for the next. When the
 * machine slept for longer than a record may last, all records are stale: they end without a word, since
 * their peers have given up, and a storm of SYN+ACKs would meet nobody.
 */

#define backlog__PLACE      offsetof(struct halfopen, place)
#define SENT_MASK  0x3ffffffu
#define STEP_MOST  300000000u /* us; the time of sending wraps after 9 min */
#define DECIDE_US 30000000u   /* for the program: to look at a SYN, and to decide about it */
#define TURN_MOST  1000       /* records that end in one turn */

static struct halfopen *backlog__half_at(struct tern *t, ref_t r) { return at(t->a, r); }

/* Rounded up, so that nothing is due too early. What is due then is so at a multiple of 8 us, and its next
 * sending is not rounded. */
static uint64_t now_8us(const struct tern *t) { return (t->w->now + 7) / 8; }

static void stamp_sent(const struct tern *t, struct halfopen *h)
{
    h->sent = now_8us(t) & SENT_MASK;
    h->challenged = 0;
}

TERN_PRIVATE uint64_t backlog_sent_us(const struct tern *t, const struct halfopen *h)
{
    uint64_t now = now_8us(t);
    return 8 * (now - ((now - h->sent) & SENT_MASK));
}

/* How long the records of a queue wait there (RFC 6298 2.1, 5.5). */
static uint64_t patience(const struct tern *t, uint32_t queue)
{
    if (queue >= QUEUE_PENDING)
        return DECIDE_US;
    uint64_t us = 1000000ull << (queue - QUEUE_SENT);
    return min_u64(us, min_u64(settings(t)->rto_max_us, STEP_MOST));
}

TERN_PRIVATE uint64_t backlog_due_us(const struct tern *t, const struct halfopen *h)
{
    return backlog_sent_us(t, h) + patience(t, h->queue);
}

/* When the SYN came: what it has waited for since then is known. */
TERN_PRIVATE uint64_t backlog_opened_us(const struct tern *t, const struct halfopen *h)
{
    uint64_t us = backlog_sent_us(t, h), waited = 0;
    for (uint32_t queue = QUEUE_SENT; queue < h->queue && h->queue < QUEUE_PENDING; queue++)
        waited += patience(t, queue);
    return us > waited ? us - waited : 0;
}

TERN_PRIVATE void backlog_append(struct tern *t, struct listener *l, struct halfopen *h, uint32_t queue)
{
    h->queue = queue & 15;
    list_append(t->a, &l->queue[queue], self(t, h), backlog__PLACE);
    stamp_sent(t, h);
}

TERN_PRIVATE void backlog_remove(struct tern *t, struct listener *l, struct halfopen *h)
{
    if (l->stale[h->queue] == self(t, h))
        l->stale[h->queue] = h->place.prev;
    list_remove(t->a, &l->queue[h->queue], self(t, h), backlog__PLACE);
}

/* The head of a queue if it is due; NULL = none. */
static struct halfopen *due_head(struct tern *t, const struct listener *l, uint32_t queue)
{
    ref_t r = l->queue[queue].head;
    return r != 0 && backlog_due_us(t, backlog__half_at(t, r)) <= t->w->now ? backlog__half_at(t, r) : NULL;
}

static uint32_t last_queue(const struct tern *t) { return QUEUE_SENT + settings(t)->synack_retries; }

/* When the next record of those that are not due yet becomes so; 0 = none. */
static uint64_t next_due(struct tern *t, const struct listener *l)
{
    uint64_t next = 0;
    for (uint32_t queue = QUEUE_SENT; queue < QUEUES; queue++) {
        if (l->queue[queue].head == 0)
            continue;
        uint64_t due = backlog_due_us(t, backlog__half_at(t, l->queue[queue].head));
        if (due > t->w->now && (next == 0 || due < next))
            next = due;
    }
    return next;
}

/* Among those that were repeated most often; NULL = none was. */
TERN_PRIVATE struct halfopen *backlog_oldest_repeated(struct tern *t, struct listener *l)
{
    for (uint32_t queue = QUEUE_PENDING - 1; queue > QUEUE_SENT; queue--)
        if (l->queue[queue].head != 0)
            return backlog__half_at(t, l->queue[queue].head);
    return NULL;
}

/* How long a record lasts that nobody answers. */
static uint64_t lifetime(const struct tern *t)
{
    uint64_t us = 0;
    for (uint32_t queue = QUEUE_SENT; queue <= last_queue(t); queue++)
        us += patience(t, queue);
    return us;
}

TERN_PRIVATE void backlog_slept(struct tern *t, uint64_t us)
{
    if (us <= lifetime(t))
        return;
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);) {
        struct listener *l = listener_at(t, r);
        for (uint32_t queue = 0; queue < QUEUE_PENDING; queue++)
            l->stale[queue] = l->queue[queue].tail;
        if (l->half_count > 0)
            conn_timer(t, &l->h, t->w->now);
    }
}

/* A stale record; NULL = none is left. */
static struct halfopen *stale_head(struct tern *t, const struct listener *l)
{
    for (uint32_t queue = 0; queue < QUEUE_PENDING; queue++)
        if (l->stale[queue] != 0)
            return backlog__half_at(t, l->queue[queue].head);
    return NULL;
}

/* There is nobody any more to hear these. False: there are more. */
static bool give_up_stale(struct tern *t, struct listener *l)
{
    struct halfopen *h;
    for (int i = 0; i < TURN_MOST; i++) {
        if ((h = stale_head(t, l)) == NULL)
            return true;
        halfopen_end(t, h, TERN_C_HALFOPEN_TIMEOUT);
    }
    return false;
}

/* Those whose time is over. False: there are more. */
static bool backlog__give_up(struct tern *t, struct listener *l, uint32_t queue, enum tern_cause cause)
{
    struct halfopen *h;
    for (int i = 0; i < TURN_MOST; i++) {
        if ((h = due_head(t, l, queue)) == NULL)
            return true;
        halfopen_end(t, h, cause);
    }
    return false;
}

/* The next to be sent a SYN+ACK; NULL = none. */
static struct halfopen *next_out(struct tern *t, const struct listener *l)
{
    struct halfopen *h = NULL;
    if (stale_head(t, l) != NULL)
        return NULL; /* those come first, and say nothing */
    if (l->queue[QUEUE_NOW].head != 0)
        return backlog__half_at(t, l->queue[QUEUE_NOW].head);
    for (uint32_t queue = QUEUE_SENT; queue < last_queue(t) && h == NULL; queue++)
        h = due_head(t, l, queue);
    return h;
}

TERN_PRIVATE void backlog_timer(struct tern *t, struct listener *l)
{
    if (l->h.state == TERN_CLOSED) {
        listener_drain(t, l);
        return;
    }
    bool all = give_up_stale(t, l) && backlog__give_up(t, l, last_queue(t), TERN_C_HALFOPEN_TIMEOUT) &&
               backlog__give_up(t, l, QUEUE_PENDING, TERN_C_SYN_UNDECIDED) &&
               backlog__give_up(t, l, QUEUE_TAKEN, TERN_C_SYN_UNDECIDED);
    if (next_out(t, l) != NULL)
        conn_ready(t, &l->h);
    conn_timer(t, &l->h, all ? next_due(t, l) : t->w->now + 1);
}

/* False: there is no way to the peer; as if it had left and was lost. */
static bool send_synack(struct tern *t, struct listener *l, struct halfopen *h, tern_tx_packet *out)
{
    struct who who;
    struct reply_synack a;
    bool first = h->queue == QUEUE_NOW;
    halfopen_synack(t, h, &who, &a);
    bool sent = synack_build(t, &who, &a, first ? TERN_C_SEND_SYNACK : TERN_C_SEND_RETRANSMIT,
                             !first || h->repeated, out);
    backlog_remove(t, l, h);
    backlog_append(t, l, h, h->queue + 1u);
    return sent;
}

TERN_PRIVATE bool backlog_output(struct tern *t, struct listener *l, tern_tx_packet *out)
{
    int turns = 0;
    for (struct halfopen *h; (h = next_out(t, l)) != NULL && turns < TURN_MOST; turns++) {
        if (change_under_way(t) && !change_reaches(t, self(t, h)))
            continue;
        if (send_synack(t, l, h, out))
            return true;
    }
    conn_timer(t, &l->h, turns < TURN_MOST ? next_due(t, l) : t->w->now + 1);
    return false;
}

#undef backlog__PLACE
#undef SENT_MASK
#undef STEP_MOST
#undef DECIDE_US
#undef TURN_MOST

/* ======================================================================================== src/tcp/cc.c */

/* cc.c - congestion control behind one const table. In bytes, never in segments. This file: the table, the
 * initial window, and NewReno's arithmetic (RFC 5681). A control sees its own group and numbers, never the
 * connection.
 */

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)); RFC5681-3.1-b had less. */
TERN_PRIVATE uint32_t cc_initial_window(uint32_t mss) { return min_u32(10 * mss, max_u32(2 * mss, 14600)); }

/* RFC5681-4.1-a, RFC 6928 3: after idle longer than the timeout the window says nothing any more. */
TERN_PRIVATE void cc_restart(struct cc *cc, uint32_t mss) { cc->cwnd = min_u32(cc->cwnd, cc_initial_window(mss)); }

static void newreno_init(struct cc *cc, uint32_t mss)
{
    cc->cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX; /* RFC5681-3.1-f: arbitrarily high */
    cc->acked = 0;
}

/* How many segments one ACK may add in slow start. RFC5681-3.1-hi asks for at most one SMSS an ACK, written
 * for receivers that acknowledge every second segment. Receivers with receive offload acknowledge 64 KiB at
 * once; RFC 3465 counts bytes with a limit L, and RFC 9406 4.2 takes L = 8. We follow the latter. */
#define SLOW_START_LIMIT 8

/* `bytes` newly acknowledged, and the window was what bounded us: slow start, then congestion avoidance
 * (MUST-19, RFC5681-3.1-a). */
static void newreno_acked(struct cc *cc, uint32_t bytes, uint32_t mss)
{
    if (cc->cwnd < cc->ssthresh) {
        uint32_t step = min_u32(min_u32(bytes, SLOW_START_LIMIT * mss), cc->ssthresh - cc->cwnd);
        cc->cwnd += step;
        return;
    }
    /* RFC5681-3.1-jklm: about one SMSS each round trip, counted in bytes acknowledged. */
    cc->acked += bytes;
    if (cc->acked >= cc->cwnd) {
        cc->acked -= cc->cwnd;
        cc->cwnd += mss;
        if (cc->acked > cc->cwnd)
            cc->acked = cc->cwnd;
    }
}

/* RFC 5681 3.1 (4), RFC5681-3.1-g: half of what is in flight, at least two segments. */
static uint32_t newreno_loss(struct cc *cc, uint32_t in_flight, uint32_t mss)
{
    cc->acked = 0;
    return max_u32(in_flight / 2, 2 * mss);
}

static const struct cc_ops newreno = {newreno_init, newreno_acked, newreno_loss};

const struct cc_ops *const cc_table[] = {&newreno};

TERN_PRIVATE void cc_init(struct cc *cc, uint8_t algo, uint32_t mss)
{
    memset(cc, 0, sizeof *cc);
    cc->algo = algo;
    cc_table[algo]->init(cc, mss);
}

#undef SLOW_START_LIMIT

/* ==================================================================================== src/tcp/change.c */

/* change.c - addresses, routes and links have changed: every record is brought up to date.
 *
 *   tern_addr_remove ... ─▶ change_begin ─▶ the sweep: pages of the arena, from where it stands, once around
 *                                            ├─ a slice in that call, and in each tern_tick
 *                                            └─ a record that is to send before the sweep came to it: at once
 *
 * What a record must become is a function of the tables alone (ip_way, ip_mss) and of what was removed since
 * the sweep began, so looking at it twice changes nothing, and no record carries a mark. While no sweep is
 * under way all are up to date, and the way of a packet costs one comparison. Pages are walked by number and
 * told by their kind, since the order of a pool's own pages changes while records come and go. A record made
 * during the sweep is up to date already.
 *
 * What the sweep does to each kind, when its address is gone (or the link of a link-local peer, RFC 4007 6):
 * a control block ends (3.10.5's CLOSED without the RST), one at rest is woken for that, half-open and
 * TIME_WAIT records are dropped. When only its way is another: a control block notes it, and what is due
 * leaves; the small records ask for their way when they send, and only forget a home that is no more.
 * Listeners are not touched.
 */

#define SLICE_RECORDS 4096u  /* looked at in one call */
#define SLICE_PAGES   65536u

/* Why a record with these addresses must end; TERN_CAUSE_NONE: it need not. */
static enum tern_cause verdict(const struct sweep *s, const struct who *w)
{
    bool zoned = ip_zone(&w->local, &w->remote, 1) != 0;
    if (zoned && (s->links_gone >> w->link & 1))
        return TERN_C_LINK_REMOVED;
    for (uint32_t i = 0; i < s->n_gone; i++)
        if (ip_eq(&s->gone[i].ip, &w->local) &&
            (!ip_is_link_local6(&w->local) || s->gone[i].link == w->link))
            return TERN_C_ADDR_REMOVED;
    return TERN_CAUSE_NONE;
}

/* Nothing is sent: neither a RST, from an address that is another's, nor anything by a link that is gone. */
static void end_tcb(struct tern *t, struct tcb *c, enum tern_cause why)
{
    if (c->h.state != TERN_CLOSED)
        tcb_end(t, c, why, why == TERN_C_LINK_REMOVED ? -TERN_ENETDOWN : -TERN_EADDRNOTAVAIL);
    else
        tcb_rst_sent(t, c); /* only its RST was still to leave */
}

/* There is a way again. What was in flight when it went is lost if its time is over; the back-off measured no
 * path, and the window has idled (RFC 5681 4.1). */
static void resume(struct tern *t, struct tcb *c)
{
    uint64_t timeout = rtt_timeout(&c->rtt, settings(t));
    c->rtt.backoff = 0;
    if (c->list.count > 0 && t->w->now - c->last_tx_us > timeout) {
        sendlist_mark_all_lost(t, &c->list, false);
        c->rec.force = true;
        c->cc.cwnd = min_u32(c->cc.cwnd, cc_initial_window(c->snd.mss));
    }
    timer_restart(t, c);
}

TERN_PRIVATE bool change_way(const struct tern *t, struct tcb *c)
{
    uint8_t before = c->snd.link;
    c->snd.link = ip_way(&t->w->ip, &c->h.local, &c->h.remote, c->h.link);
    if (c->snd.link == before)
        return false;
    c->snd.path_mss = 0; /* that was of another path */
    c->snd.narrow = false;
    return true;
}

/* A control block that lives on. */
static void follow(struct tern *t, struct tcb *c)
{
    bool had_way = c->snd.link != 0;
    if (t->w->sweep.links_gone >> c->h.link & 1)
        c->h.link = 0; /* its home is no more; a later link of that id is another */
    bool other = change_way(t, c);
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT) {
        if (c->h.ready || c->rst_cause != 0 || c->ack.now_cause != 0)
            conn_ready(t, &c->h);
        return;
    }
    mtu_renew(t, c);
    if (c->snd.link != 0 && !had_way)
        resume(t, c);
    if (other)
        conn_ready(t, &c->h); /* to go on, or to arm what runs while nothing leaves */
    timer_window(t, c);
    timer_rearm(t, c);
}

/* At rest a connection finds its way when it wakes; awake its control block is looked at. Without memory for
 * the end, that too comes when it wakes. */
static void reach_idle(struct tern *t, struct idle *i, enum tern_cause why)
{
    if (i->tcb != 0)
        return;
    if (why == TERN_CAUSE_NONE) {
        if (t->w->sweep.links_gone >> i->link & 1)
            i->link = 0;
        return;
    }
    struct tcb *c = idle_wake(t, i);
    if (c == NULL)
        i->gone = 1;
    else if (c->h.state != TERN_CLOSED)
        end_tcb(t, c, why);
}

TERN_PRIVATE bool change_reaches(struct tern *t, ref_t r)
{
    struct who w;
    who_of(t, at(t->a, r), &w);
    enum tern_cause why = verdict(&t->w->sweep, &w);
    switch (rec_kind(t, r)) {
    case REC_TCB:
        if (why != TERN_CAUSE_NONE)
            end_tcb(t, tcb_at(t, r), why);
        else
            follow(t, tcb_at(t, r));
        return true;
    case REC_IDLE:
        reach_idle(t, at(t->a, r), why);
        return true;
    case REC_HALFOPEN:
        if (why != TERN_CAUSE_NONE)
            halfopen_end(t, at(t->a, r), why);
        else if (t->w->sweep.links_gone >> w.link & 1)
            ((struct halfopen *)at(t->a, r))->link = 0;
        break;
    case REC_TIMEWAIT:
        if (why != TERN_CAUSE_NONE)
            waiting_end(t, r, why);
        else
            waiting_follow(t, r, t->w->sweep.links_gone);
        break;
    default:
        return true; /* listeners are not touched */
    }
    return why == TERN_CAUSE_NONE;
}

/* The live record behind `r` in a page (0: the first); 0 = no more, or no page of records. */
static ref_t next_in_page(const struct tern *t, ref_t page, ref_t r)
{
    const struct world *w = t->w;
    switch ((int)arena_kind(t->a, page) - PAGE_POOL0) {
    case POOL_TCB: return pool_in_page(t->a, &w->tcbs, page, r);
    case POOL_IDLE4: return pool_in_page(t->a, &w->idles4, page, r);
    case POOL_IDLE6: return pool_in_page(t->a, &w->idles6, page, r);
    case POOL_HALFOPEN4: return pool_in_page(t->a, &w->halfopens4, page, r);
    case POOL_HALFOPEN6: return pool_in_page(t->a, &w->halfopens6, page, r);
    case POOL_TIMEWAIT4: return fifo_in_page(t->a, &w->wait4.fifo, page, r);
    case POOL_TIMEWAIT6: return fifo_in_page(t->a, &w->wait6.fifo, page, r);
    default: return 0;
    }
}

/* All records of a page. It may go back to the arena on the way: then it is of no kind. Returns how many. */
static uint32_t look_at_page(struct tern *t, uint32_t number)
{
    ref_t page = number << (t->a->page_shift - 4), r = 0;
    uint32_t n = 0;
    for (; (r = next_in_page(t, page, r)) != 0; n++)
        change_reaches(t, r);
    return n;
}

static void sweep_on(struct tern *t, uint32_t records, uint32_t pages)
{
    struct sweep *s = &t->w->sweep;
    for (uint32_t n = 0; s->left > 0 && n < records && pages > 0; pages--) {
        if (s->page >= t->a->pages_used)
            s->page = 0;
        n += look_at_page(t, s->page++);
        s->left--;
    }
    if (s->left > 0)
        return;
    s->n_gone = 0;
    s->links_gone = 0;
}

TERN_PRIVATE void change_begin(struct tern *t)
{
    t->w->sweep.left = t->a->pages_used;
    change_slice(t);
}

TERN_PRIVATE void change_slice(struct tern *t)
{
    if (change_under_way(t))
        sweep_on(t, SLICE_RECORDS, SLICE_PAGES);
}

TERN_PRIVATE void change_finish(struct tern *t) { sweep_on(t, UINT32_MAX, UINT32_MAX); }

#undef SLICE_RECORDS
#undef SLICE_PAGES

/* ===================================================================================== src/tcp/check.c */

/* check.c - the numbered invariants of tcb.h, run after every verb in tests and simulation. A broken one
 * traps. What they guard: the variables of RFC 9293 3.3.1, the right edge of SHLD-14, the states of 3.3.2. */

#define LOOKED_AT 16u /* records of each kind, where there may be very many */

/* Records in a list, which is linked both ways. */
static uint32_t length(struct tern *t, const struct list *l, size_t offset)
{
    uint32_t n = 0;
    ref_t before = 0;
    for (ref_t r = l->head; r != 0; r = place_at(t->a, r, offset)->next, n++) {
        ASSERT(place_at(t->a, r, offset)->prev == before);
        before = r;
    }
    ASSERT(l->tail == before);
    return n;
}

static bool in_table(struct tern *t, const struct who *w, ref_t r)
{
    tern_endpoint local = {w->local, w->local_port, 0}, remote = {w->remote, w->remote_port, 0};
    return demux_find(t, &local, &remote, w->link) == r ||
           demux_find_parked(t, &local, &remote, w->link) == r;
}

static void check_sendlist(struct tern *t, struct tcb *c)
{
    uint32_t bytes = 0, sacked = 0, lost = 0, retx = 0, count = 0;
    seq_t expect = c->snd.una;
    for (ref_t r = c->list.seq.head; r != 0;) {
        struct sendrec *s = at(t->a, r);
        ASSERT(s->len > 0 && seq_eq(s->start, expect)); /* 2 */
        ASSERT(!(s->flags & SR_SACKED) || s->flags == SR_SACKED);
        ASSERT(!(s->flags & SR_RETX) || (s->flags & SR_LOST));
        expect = seq_add(s->start, s->len);
        bytes += s->len;
        sacked += s->flags & SR_SACKED ? s->len : 0;
        lost += s->flags & SR_LOST ? s->len : 0;
        retx += s->flags & SR_RETX ? s->len : 0;
        count++;
        r = s->seq.next;
    }
    ASSERT(bytes == c->list.bytes && sacked == c->list.sacked && lost == c->list.lost &&
           retx == c->list.retx);
    ASSERT(count == c->list.count);
    if (c->h.state != TERN_CLOSED && c->h.state != TERN_TIME_WAIT)
        ASSERT(seq_eq(expect, c->snd.nxt));
}

static void check_snd(const struct tcb *c)
{
    const struct snd *s = &c->snd;
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT)
        return;
    ASSERT(seq_le(s->una, s->nxt)); /* 1 */
    seq_t first = !s->syn_acked ? seq_add(s->iss, 1) : s->una;
    if (!s->fin_acked)
        ASSERT(s->q.pos == first.v);
    ASSERT(!s->fin_sent || s->fin_queued); /* 7 */
    ASSERT(!s->fin_acked || s->fin_sent);
    ASSERT(s->q.len <= s->buffer || s->q.len == 0);
}

static void check_rcv(struct tern *t, const struct tcb *c)
{
    const struct rcv *r = &c->rcv;
    if (c->h.state < TERN_SYN_RCVD)
        return;
    if (c->face.held || c->listener != 0)
        ASSERT(r->q.pos + r->q.len + r->fin_rcvd == r->nxt.v); /* 3 */
    ASSERT(seq_le(r->nxt, r->adv));                            /* 4 */
    seq_t above = r->nxt;
    uint32_t bytes = 0, count = 0;
    for (ref_t g = r->ooo.head; g != 0;) {
        const struct range *range = at(t->a, g);
        ASSERT(range->q.len > 0 && seq_gt(seq(range->q.pos), above));
        above = seq(range->q.pos + range->q.len);
        bytes += range->q.len;
        count++;
        g = range->place.next;
    }
    ASSERT(bytes == r->ooo_bytes && count == r->ooo_count);
}

static uint64_t check__earlier(uint64_t a, uint64_t b) { return b != 0 && (a == 0 || b < a) ? b : a; }

static void check_timers(struct tern *t, const struct tcb *c)
{
    const struct timers *m = &c->tm;
    if (c->h.state == TERN_CLOSED || c->h.ready)
        return; /* output will set them */
    bool flying = c->list.count > 0;
    ASSERT(!flying || m->rexmit != TERN_TIMER_NONE); /* 6 */
    uint64_t deadline = m->rexmit != TERN_TIMER_NONE ? m->rexmit_us : m->life_us;
    deadline = check__earlier(check__earlier(deadline, c->ack.delack_us), m->keep_us);
    deadline = check__earlier(check__earlier(check__earlier(deadline, m->pace_us), m->reo_us), m->tlp_us);
    if (deadline != 0) /* 5 */
        ASSERT(wheel_armed(&c->h.timer) &&
               wheel_when(&t->w->wheel, &c->h.timer) <= max_u64(deadline, t->w->now));
}

static bool check__waits_to_send(const struct tcb *c)
{
    switch (c->h.state) {
    case TERN_SYN_SENT:
    case TERN_SYN_RCVD:
        return true; /* for the answer to our SYN, at least */
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT:
    case TERN_FIN_WAIT_1:
    case TERN_CLOSING:
    case TERN_LAST_ACK:
        return snd_unsent(&c->snd) > 0 || (c->snd.fin_queued && !c->snd.fin_sent);
    default:
        return false;
    }
}

/* Nothing waits for ever: what is owed at once has its place on the ready list, what waits has a timer, and a
 * program that was refused room is in line for it, or an ACK will make some. */
static void check_wakes(const struct tcb *c)
{
    const struct timers *m = &c->tm;
    ASSERT(c->rst_cause == 0 || c->h.ready); /* 9 */
    if (c->h.state == TERN_CLOSED || c->h.ready || c->snd.link == 0)
        return;
    bool refused = c->shortage.refused > 0 && m->pace_us != 0; /* by memory: tried again */
    bool owed = c->ack.now_cause != 0 || c->ack.dup_owed > 0 || m->probe || m->keep_probe || c->tlp.due;
    bool later = c->ack.bytes > 0 && c->ack.delack_us == 0;
    ASSERT((!owed && !later) || refused);
    ASSERT(!check__waits_to_send(c) || m->rexmit != TERN_TIMER_NONE || m->pace_us != 0);
    ASSERT(!c->snd.blocked || c->shortage.stage == SHORTAGE_WAITING || c->snd.q.len > 0);
}

static void check_state(const struct tcb *c)
{
    switch (c->h.state) { /* 8 */
    case TERN_CLOSE_WAIT:
    case TERN_CLOSING:
    case TERN_LAST_ACK:
    case TERN_TIME_WAIT:
        ASSERT(c->rcv.fin_rcvd);
        break;
    case TERN_SYN_SENT:
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED:
    case TERN_FIN_WAIT_1:
    case TERN_FIN_WAIT_2:
        ASSERT(!c->rcv.fin_rcvd);
        break;
    default:
        break;
    }
}

static void check_tcb(struct tern *t, struct tcb *c)
{
    check_sendlist(t, c);
    check_snd(c);
    check_rcv(t, c);
    check_timers(t, c);
    check_wakes(c);
    check_state(c);
    check_one(t, c);
    ASSERT(rec_kind(t, c->idle) == REC_IDLE && idle_at(t, c->idle)->tcb == self(t, c)); /* 10 */
}

/* The table names the one of the two that lives. */
static void check_idle(struct tern *t, ref_t r)
{
    const struct idle *i = idle_at(t, r);
    struct who w;
    if (i->tcb != 0)
        ASSERT(rec_kind(t, i->tcb) == REC_TCB && tcb_at(t, i->tcb)->idle == r); /* 10 */
    if (i->tcb != 0 && tcb_at(t, i->tcb)->h.state == TERN_CLOSED)
        return; /* its place in the table may be another's */
    ref_t lives = i->tcb != 0 ? i->tcb : r;
    who_of(t, at(t->a, lives), &w);
    ASSERT(in_table(t, &w, lives));
}

static void check_idles(struct tern *t, const struct pool *p)
{
    ref_t r = 0;
    for (uint32_t n = 0; n < LOOKED_AT && pool_next(t->a, p, &r); n++)
        check_idle(t, r);
}

/* Returns its half-open records. */
static uint32_t check_listener(struct tern *t, const struct listener *l)
{
    uint32_t half = 0;
    if (l->half_count <= LOOKED_AT) {
        for (int queue = 0; queue < QUEUES; queue++)
            half += length(t, &l->queue[queue], offsetof(struct halfopen, place));
        ASSERT(half == l->half_count); /* 11 */
    }
    ASSERT(l->half_count <= l->backlog && l->aq_count <= l->backlog);
    if (l->aq_count <= LOOKED_AT)
        ASSERT(length(t, &l->aq, offsetof(struct tcb, aq)) == l->aq_count);
    return l->half_count;
}

/* All half-open records stand in the queues, and the sketch counts just these. */
static void check_halfopens(struct tern *t)
{
    uint32_t live = t->w->halfopens4.live + t->w->halfopens6.live, queued = 0;
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);)
        queued += check_listener(t, listener_at(t, r));
    ASSERT(queued == live); /* 11 */
    for (uint32_t row = 0; row < SKETCH_ROWS; row++) {
        uint32_t counted = 0;
        for (uint32_t column = 0; column < SKETCH_COLUMNS; column++)
            counted += t->w->sources.count[row][column];
        ASSERT(counted == live);
    }
}

/* Of very many the oldest are looked at. */
static void check_waiting(struct tern *t, const struct waiting *q)
{
    uint64_t last_us = 0;
    uint32_t count = 0;
    for (ref_t r = 0; count < LOOKED_AT && fifo_next(t->a, &q->fifo, &r); count++) {
        struct who w;
        waiting_who(t, r, &w);
        ASSERT(in_table(t, &w, r));
        ASSERT(waiting_due(t, r) >= last_us); /* 12 */
        last_us = waiting_due(t, r);
    }
    ASSERT(count == min_u32(q->fifo.live, LOOKED_AT) && (count == 0 || last_us <= q->last_us));
}

/* The ceiling holds, and what is kept back is kept for somebody (arena.h, shortage.c). */
static void check_budget(struct tern *t)
{
    const struct arena *a = t->a;
    const size_t place = offsetof(struct tcb, shortage.place);
    uint32_t kept = 0, waiting = 0;
    for (ref_t r = 0; pool_next(a, &t->w->tcbs, &r);) {
        const struct tcb *c = tcb_at(t, r);
        kept += c->shortage.stage == SHORTAGE_KEPT;
        waiting += c->shortage.stage == SHORTAGE_WAITING;
        ASSERT(c->shortage.stage != SHORTAGE_WAITING || c->snd.blocked);
    }
    ASSERT(length(t, &t->w->short_waiting, place) == waiting); /* 13 */
    ASSERT(length(t, &t->w->short_kept, place) == kept && kept == a->promised);
    ASSERT(a->pages_used <= a->pages_max && a->free_count < a->pages_used);
    ASSERT(a->pages_used - a->free_count + a->promised <= a->pages_max);
}

TERN_PRIVATE void tcp_check_all(struct tern *t)
{
    check_waiting(t, &t->w->wait4);
    check_waiting(t, &t->w->wait6);
    for (ref_t r = 0; pool_next(t->a, &t->w->tcbs, &r);)
        if (!tcb_at(t, r)->dying)
            check_tcb(t, tcb_at(t, r));
    check_idles(t, &t->w->idles4);
    check_idles(t, &t->w->idles6);
    check_halfopens(t);
    check_budget(t);
}

void tern_check(tern *t) { tcp_check_all(t); }

#undef LOOKED_AT

/* ================================================================================= src/tcp/check_tcb.c */

/* check_tcb.c - the numbered invariants 14 to 19 of tcb.h: what must be true of one control block by itself,
 * between two verbs. A broken one traps. They are what the standards say of the variables: RFC 9293 3.3.1 and
 * 3.3.2, RFC 6298 2, RFC 5681 3.1, RFC 6675, RFC 5961 7.
 *
 * What output is still to do is not judged: a block on the ready list has not said its last word.
 */

static bool in_any(const struct tcb *c, uint32_t states) { return states >> c->h.state & 1; }

enum {
    CLOSING_STATES = 1 << TERN_FIN_WAIT_1 | 1 << TERN_CLOSING | 1 << TERN_LAST_ACK,
    CLOSED_BY_US = CLOSING_STATES | 1 << TERN_FIN_WAIT_2 | 1 << TERN_TIME_WAIT,
};

/* 14: our FIN and the state agree. */
static void check_tcb__check_fin(const struct tcb *c)
{
    if (c->h.state == TERN_CLOSED)
        return;
    ASSERT(c->snd.fin_queued == in_any(c, CLOSED_BY_US));
    ASSERT(c->snd.fin_acked == in_any(c, 1 << TERN_FIN_WAIT_2 | 1 << TERN_TIME_WAIT));
    ASSERT(!c->rcv.fin_ooo || c->rcv.fin_rcvd || seq_lt(c->rcv.fin, c->rcv.adv));
    ASSERT(!c->rcv.urgent || seq_gt(c->rcv.up, seq(c->rcv.q.pos)));
}

/* 15: what was agreed bounds what is sent (RFC 9293 MUST-14, MUST-16; RFC 7323 2.3; RFC 3168 6.1.1). */
static void check_agreed(const struct tcb *c)
{
    const struct snd *s = &c->snd;
    if (!synchronized(c) || c->h.state == TERN_TIME_WAIT)
        return;
    ASSERT(s->wnd <= s->max_wnd && rcv_wnd(&c->rcv) <= 65535u << c->opt.rcv_wscale);
    ASSERT(c->opt.snd_wscale <= 14 && c->opt.rcv_wscale <= 14);
    ASSERT(c->opt.wscale || (c->opt.snd_wscale == 0 && c->opt.rcv_wscale == 0));
    ASSERT(s->mss + (c->opt.ts ? 12u : 0) <= max_u32(min_u32(c->opt.mss, s->mtu_mss), 28));
    ASSERT(c->opt.ecn || (!s->cwr && !c->ack.ece));
    ASSERT(!c->opt.ts || seq_le(c->ts.last_ack_sent, c->rcv.nxt));
}

/* 16: a challenge is rationed, an ACK late by no more than it may be (MUST-40). */
static void check_ack(const struct tern *t, const struct tcb *c)
{
    const struct acker *k = &c->ack;
    ASSERT(k->challenges <= CHALLENGES);
    ASSERT(k->delack_us == 0 || k->delack_us <= t->w->now + settings(t)->delack_us);
}

static bool keepalive_runs(const struct tcb *c)
{
    return c->set.keepalive && synchronized(c) && c->h.state != TERN_TIME_WAIT;
}

/* 17: timers are those of the state, and not further away than their longest time. */
static void check_deadlines(const struct tern *t, const struct tcb *c)
{
    const struct timers *m = &c->tm;
    const struct settings *set = settings(t);
    uint64_t now = t->w->now, two_msl = 2ull * set->msl_us;
    if (c->h.state == TERN_CLOSED)
        return;
    ASSERT(m->rexmit == TERN_TIMER_NONE || m->rexmit_us <= now + set->rto_max_us);
    ASSERT(m->keep_us == 0 || keepalive_runs(c));
    ASSERT(m->keep_us != 0 || !keepalive_runs(c) || !c->snd.syn_acked); /* closed in SYN_RCVD */
    ASSERT(m->keep_probes <= c->set.keep_cnt);
    if (c->h.state == TERN_TIME_WAIT)
        ASSERT(m->life_us >= c->h.since_us + two_msl && m->life_us <= now + two_msl);
    else
        ASSERT((m->life_us != 0) == (c->h.state == TERN_FIN_WAIT_2 && c->face.orphan));
    if (c->h.ready || c->snd.link == 0 || !synchronized(c))
        return;
    ASSERT(m->rexmit != TERN_TIMER_RETRANSMIT || c->snd.wnd > 0);
    ASSERT(m->rexmit != TERN_TIMER_PERSIST || c->snd.wnd == 0);
    ASSERT(m->rexmit == TERN_TIMER_PERSIST || m->probes == 0);
}

/* 18: the estimate of the round trip (RFC 6298 2), the windows of congestion control (RFC 5681 3.1), and
 * where a recovery stands (RFC 6675 5, RFC 6582 3.2). */
static void check_estimates(const struct tern *t, const struct tcb *c)
{
    const struct rtt *r = &c->rtt;
    const struct recovery *y = &c->rec;
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT)
        return;
    ASSERT(r->rto_us <= settings(t)->rto_max_us || r->srtt_us == 0);
    ASSERT(r->srtt_us == 0 || r->rto_us >= min_u32(settings(t)->rto_min_us, settings(t)->rto_max_us));
    ASSERT(r->srtt_us == 0 || r->min_us <= r->srtt_us + 8); /* rounding */
    ASSERT(c->cc.cwnd > 0 && (!c->opt.sack || y->reno_sacked == 0));
    if (!synchronized(c))
        return;
    ASSERT(y->phase == PHASE_OPEN || seq_lt(c->snd.una, y->point));
    ASSERT(!y->recover_valid || seq_le(c->snd.una, y->recover));
    ASSERT(!y->cwr_valid || seq_le(c->snd.una, y->cwr_point));
}

/* 19: the send list's order of time, and its marks of where to look (sendlist.c). */
static void check_marks(struct tern *t, const struct tcb *c)
{
    const struct sendlist *l = &c->list;
    uint64_t before = 0;
    for (ref_t r = l->time.head; r != 0;) {
        const struct sendrec *s = at(t->a, r);
        ASSERT(s->sent_us >= before && s->sent_us <= t->w->now && s->times > 0);
        ASSERT(!(s->flags & SR_RETX) || s->times > 1);
        before = s->sent_us;
        r = s->time.next;
    }
    const struct sendrec *high = l->high != 0 ? at(t->a, l->high) : NULL;
    const struct sendrec *lost = l->lost_next != 0 ? at(t->a, l->lost_next) : NULL;
    for (ref_t r = l->seq.head; r != 0;) {
        const struct sendrec *s = at(t->a, r);
        if (s->flags & SR_SACKED)
            ASSERT(high != NULL && seq_le(s->start, high->start));
        if ((s->flags & (SR_LOST | SR_RETX)) == SR_LOST)
            ASSERT(lost != NULL && seq_ge(s->start, lost->start));
        r = s->seq.next;
    }
}

TERN_PRIVATE void check_one(struct tern *t, const struct tcb *c)
{
    check_tcb__check_fin(c);
    check_agreed(c);
    check_ack(t, c);
    check_deadlines(t, c);
    check_estimates(t, c);
    check_marks(t, c);
}


/* ===================================================================================== src/tcp/close.c */

/* close.c - CLOSE and ABORT by state (RFC 9293 3.10.4, 3.10.5; 3.6.1 for bytes left unread). The calls are in
 * src/sock; a connection at rest that could not be woken for them comes here when it is (idle.c). */

/* The FIN follows what is queued; the state changes at the call. */
static void close_sending(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    c->snd.fin_queued = true;
    c->snd.more = false;
    shortage_leave(t, c);
    state_change(t, &c->h, cause, c->h.state == TERN_CLOSE_WAIT ? TERN_LAST_ACK : TERN_FIN_WAIT_1);
    conn_ready(t, &c->h);
}

/* 3.10.4 by state, the handle apart. */
TERN_PRIVATE void tcb_close_sending(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    switch ((enum tern_state)c->h.state) {
    case TERN_SYN_SENT:
        tcb_end(t, c, TERN_C_CLOSE_SYN_SENT, -TERN_ECONNABORTED);
        break;
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT:
        close_sending(t, c, cause);
        break;
    default:
        break; /* already closing, or closed */
    }
}

/* States in which 3.10.5 sends a RST. */
static bool abort_resets(const struct tcb *c)
{
    return c->h.state == TERN_SYN_RCVD || c->h.state == TERN_ESTABLISHED || c->h.state == TERN_FIN_WAIT_1 ||
           c->h.state == TERN_FIN_WAIT_2 || c->h.state == TERN_CLOSE_WAIT;
}

/* LAST_ACK and CLOSING are entered at the call, those of 3.10.4 when the FIN leaves. Until then 3.10.5 has
 * the connection in CLOSE-WAIT, and the peer must hear that bytes are lost. */
static bool fin_waits(const struct tcb *c)
{
    return (c->h.state == TERN_LAST_ACK || c->h.state == TERN_CLOSING) && !c->snd.fin_sent;
}

static void reset(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    if (c->h.state == TERN_CLOSED)
        return;
    if (abort_resets(c) || fin_waits(c))
        c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, cause, -TERN_ECONNABORTED);
}

/* MAY-1: half-duplex; with the handle goes all reading. */
TERN_PRIVATE void tcb_close(struct tern *t, struct tcb *c)
{
    bool unread = c->rcv.q.len > 0;
    if (unread && synchronized(c) && abort_resets(c))
        reset(t, c, TERN_C_CLOSE_UNREAD);
    else if (c->set.linger0 && abort_resets(c))
        reset(t, c, TERN_C_CLOSE_LINGER0);
    else
        tcb_close_sending(t, c, TERN_C_CLOSE);
    tcb_release(t, c);
}

TERN_PRIVATE void tcb_abort(struct tern *t, struct tcb *c)
{
    reset(t, c, TERN_C_ABORT);
    tcb_release(t, c);
}


/* ====================================================================================== src/tcp/conn.c */

/* conn.c - what every file of this room asks for: a place on the list of records that have something to send,
 * a place in the wheel, the stack's settings and the defaults of a connection's options.
 *
 * The ready list holds records of all kinds, in the order in which they became ready, so that tern_tx serves
 * them in turn (stack/tx.c).
 */

TERN_PRIVATE void options_default(const struct tern *t, struct options *o)
{
    const struct settings *s = settings(t);
    memset(o, 0, sizeof *o); /* keepalive is off (MUST-25) */
    o->keep_idle_ms = 7200000; /* RFC 9293 MUST-28 */
    o->keep_intvl_ms = 75000;
    o->keep_cnt = 9;
    o->send_buffer = s->send_buffer;
    o->recv_buffer = s->recv_buffer;
    o->ttl = s->ttl;
    o->ecn = s->ecn;
    o->reports = true;
}

/* It has something to send: tern_tx will ask it. */
TERN_PRIVATE void conn_ready(struct tern *t, struct conn_head *h)
{
    if (h->ready)
        return;
    h->ready = true;
    list_append(t->a, &t->w->ready, self(t, h), offsetof(struct conn_head, turn));
}

TERN_PRIVATE void conn_unready(struct tern *t, struct conn_head *h)
{
    if (!h->ready)
        return;
    h->ready = false;
    list_remove(t->a, &t->w->ready, self(t, h), offsetof(struct conn_head, turn));
}

/* Small records keep the low half alone, and 0 is free there (base/arena.h, pool). */
TERN_PRIVATE uint64_t conn_number(struct tern *t)
{
    uint64_t n = ++t->w->next_conn;
    return (uint32_t)n != 0 ? n : ++t->w->next_conn;
}

/* Later deadlines do not move the wheel: when it fires too early the record is looked at again. */
TERN_PRIVATE void conn_timer(struct tern *t, struct conn_head *h, uint64_t deadline)
{
    struct wheel *wheel = &t->w->wheel;
    bool armed = wheel_armed(&h->timer);
    if (deadline == 0) {
        if (armed)
            wheel_cancel(t->a, wheel, &h->timer);
    } else if (!armed || deadline < wheel_when(wheel, &h->timer)) {
        wheel_set(t->a, wheel, &h->timer, deadline);
    }
}


/* ==================================================================================== src/tcp/cookie.c */

/* cookie.c - SYN cookies (RFC4987-3.6-abc): the answer to a SYN that keeps nothing here.
 *
 * What must be known when the ACK comes back stands in our initial sequence number and, when the peer sends
 * timestamps, in the low bits of ours, which it echoes:
 *
 *   ISS      | 29 bits: keyed hash of addresses, ports, the peer's ISN, period, TSval | 3 bits: MSS, masked
 *            |
 *   TSval    | 26 bits: our clock, rounded down                  | ECN | SACK | 4 bits: the peer's window
 *   scale |
 *
 * Without timestamps window scale, SACK and ECN are not agreed. The period is 67 s of a clock that several
 * machines may share; a cookie counts in its own and the next. Of 2^32 numbers 16 are right at any time (32
 * around a change of keys), so a blind ACK opens a connection once in 2^27 or more; and none is looked at
 * unless cookies were sent within their lifetime (or keys are shared).
 *
 * The timestamp is rounded down, never up, so that the connection that follows, whose timestamps come from
 * the clock again, does not go back (RFC 7323 5.2). When another machine has sent the SYN+ACK its clock goes
 * on here.
 *
 * While cookies are being answered an ACK that is none is dropped in silence and not reset (a deviation from
 * RFC 9293 3.10.7.2): it may be the second segment of a connection whose first was lost.
 */

#define PERIOD_LOG  26                    /* us: 67 s */
#define LIFETIME_US (2ull << PERIOD_LOG)
#define NO_SHIFT    15u
#define BIT_SACK    16u
#define BIT_ECN     32u
#define BITS        63u

/* What the peer's MSS is rounded down to: paths of today, of tunnels, of jumbo frames. */
static const uint16_t mss4[8] = {88, 536, 1220, 1360, 1440, 1452, 1460, 8960};
static const uint16_t mss6[8] = {88, 536, 1220, 1360, 1420, 1432, 1440, 8940};

static const uint16_t *mss_table(const tern_ip *peer) { return tern_ip_is4(peer) ? mss4 : mss6; }

static uint64_t period_now(const struct tern *t, const struct cookie_key *k)
{
    return (t->w->now + k->ahead_us) >> PERIOD_LOG;
}

/* What the cookie vouches for beside the pair: the timestamp that carries the options, all of it (who could
 * echo another one would choose our clock), and our window scale. */
struct vouched {
    bool ts;
    uint32_t stamp;
    uint8_t shift;
};

static uint64_t mac(const struct cookie_key *k, const struct segment *s, seq_t irs, uint64_t period,
                    struct vouched v)
{
    uint8_t in[50];
    memcpy(in, s->dst.b, 16);
    memcpy(in + 16, s->src.b, 16);
    put16(in + 32, s->dst_port);
    put16(in + 34, s->src_port);
    put32(in + 36, irs.v);
    put32(in + 40, (uint32_t)period);
    put32(in + 44, v.ts ? v.stamp : 0);
    in[48] = v.ts && (v.stamp & 15) != NO_SHIFT ? v.shift : NO_SHIFT;
    in[49] = v.ts;
    return siphash24(k->key, in, sizeof in);
}

/* --- sending ------------------------------------------------------------------------------------- */

static uint8_t our_shift(const struct tern *t, const struct listener *l)
{
    return settings(t)->wscale ? options_wscale(l->set.recv_buffer) : WSCALE_NONE;
}

static uint32_t cookie__options_of(const struct agreed *a)
{
    if (!a->ts)
        return 0;
    return (a->wscale ? a->snd_wscale : NO_SHIFT) | (a->sack ? BIT_SACK : 0) | (a->ecn ? BIT_ECN : 0);
}

static uint32_t stamp_with(uint32_t now, uint32_t options)
{
    uint32_t v = (now & ~BITS) | options;
    return v <= now || v - now > BITS ? v : v - (BITS + 1);
}

static void who_asks(const struct segment *s, const struct listener *l, struct who *out)
{
    *out = (struct who){.local = s->dst, .remote = s->src, .link = s->link, .state = TERN_LISTEN};
    out->local_port = s->dst_port;
    out->remote_port = s->src_port;
    out->tos = (uint8_t)(l->set.dscp << 2);
    out->ttl = l->set.ttl;
}

/* Refused: no answer can wait for tern_tx, or the peer's segments are to be smaller than a cookie can say. */
TERN_PRIVATE enum tern_cause cookie_answer(struct tern *t, struct listener *l, const struct segment *s)
{
    struct agreed a;
    struct who who;
    options_agree(t, s, our_shift(t, l), &a);
    a.ecn = options_ecn(l, s);
    const uint16_t *table = mss_table(&s->src);
    uint32_t i = 7, options = cookie__options_of(&a);
    while (i > 0 && table[i] > a.mss)
        i--;
    if (table[i] > a.mss)
        return TERN_C_BACKLOG_FULL;
    if (tern_replies_room(t) == 0)
        return TERN_C_REPLIES_FULL;
    const struct cookie_key *k = &t->w->cookie_keys[0];
    uint32_t stamp = stamp_with(stamp_now(t, stamp_offset(t, &s->dst, &s->src)), options);
    uint64_t m = mac(k, s, s->seq, period_now(t, k), (struct vouched){a.ts, stamp, a.rcv_wscale});
    who_asks(s, l, &who);
    struct reply_synack r = {.irs = s->seq, .wnd = (uint16_t)listener_offer(l), .ecn = a.ts && a.ecn};
    r.iss = seq((uint32_t)(m & ~7ull) | (i ^ (uint32_t)(m >> 32 & 7)));
    r.opt = (struct tcp_opts){.wscale = a.ts && a.wscale ? a.rcv_wscale : WSCALE_NONE, .ts = a.ts};
    r.opt.mss = listener_mss(t, l, &who);
    r.opt.sack_ok = a.ts && a.sack;
    r.opt.ts_ecr = s->opt.ts_val;
    r.opt.ts_val = stamp;
    r.cookie = true;
    l->cookie_us = max_u64(t->w->now, 1);
    t->w->stats.cookies_sent++;
    reply_synack(t, &who, &r);
    return TERN_CAUSE_NONE;
}

/* --- receiving ----------------------------------------------------------------------------------- */

TERN_PRIVATE bool cookie_awaited(const struct tern *t, const struct listener *l)
{
    if (l->cookies == TERN_COOKIES_NEVER || l->defer)
        return false;
    return t->w->cookie_shared || (l->cookie_us != 0 && t->w->now - l->cookie_us <= LIFETIME_US);
}

/* Which MSS this cookie names under a key; -1 = it is none. */
static int mss_named(const struct tern *t, const struct cookie_key *k, const struct segment *s,
                     struct vouched v)
{
    uint32_t cookie = s->ack.v - 1;
    for (uint64_t ago = 0; ago < 2; ago++) {
        uint64_t m = mac(k, s, seq_sub(s->seq, 1), period_now(t, k) - ago, v);
        if (((uint32_t)m ^ cookie) < 8)
            return (int)((cookie & 7) ^ (uint32_t)(m >> 32 & 7));
    }
    return -1;
}

static void cookie__agreed_of(uint32_t options, uint8_t shift, struct agreed *a)
{
    a->ts = true;
    a->wscale = (options & 15) != NO_SHIFT && shift != WSCALE_NONE;
    a->snd_wscale = a->wscale ? options & 15 : 0;
    a->rcv_wscale = a->wscale ? shift : 0;
    a->sack = (options & BIT_SACK) != 0;
    a->ecn = (options & BIT_ECN) != 0;
}

/* Whether the segment's ACK is a cookie, and what was agreed. */
static bool valid(const struct tern *t, const struct listener *l, const struct segment *s, struct agreed *a)
{
    bool ts = s->opt.ts && settings(t)->timestamps;
    struct vouched v = {ts, s->opt.ts_ecr, our_shift(t, l)};
    int i = -1;
    memset(a, 0, sizeof *a);
    for (int k = 0; k < COOKIE_KEYS && i < 0; k++)
        i = mss_named(t, &t->w->cookie_keys[k], s, v);
    if (i < 0)
        return false;
    a->mss = mss_table(&s->src)[i];
    if (ts)
        cookie__agreed_of(v.stamp & BITS, v.shift, a);
    return true;
}

static bool of_our_clock(uint32_t age) { return age <= 2 * LIFETIME_US / 1000; }

/* Another machine's clock, or ours from before a restart, goes on. */
static void follow_clock(struct tern *t, struct tcb *c, const struct segment *s)
{
    uint32_t age = stamp_now(t, c->ts.offset) - s->opt.ts_ecr;
    if (!c->opt.ts || of_our_clock(age))
        return;
    c->ts.foreign = true;
    c->ts.offset += BITS + 1 - age; /* not before the one that was echoed */
}

static enum tern_cause cookie__enter(struct tern *t, struct listener *l, struct tcb *c, const struct segment *s)
{
    state_change(t, &c->h, TERN_C_COOKIE_ACKED, TERN_ESTABLISHED);
    follow_clock(t, c, s);
    ack_take_window(c, s);
    listener_enqueue(t, l, c);
    timer_keepalive(t, c);
    enum tern_cause cause = in_synchronized(t, c, s);
    timer_rearm(t, c);
    return cause;
}

/* LISTEN to ESTABLISHED: no record was there before. Data and FIN on the segment take the ordinary way. */
static enum tern_cause open_from(struct tern *t, struct listener *l, const struct segment *s,
                                 const struct agreed *a)
{
    tern_endpoint local = {s->dst, s->dst_port, 0}, remote = {s->src, s->src_port, 0};
    struct tcb *c = tcb_new(t, &local, &remote, s->link, &l->set);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    struct opening o = {
        .conn = conn_number(t),
        .state = TERN_LISTEN,
        .cause = (enum tern_cause)l->h.cause,
        .opened_us = t->w->now,
        .since_us = l->h.since_us,
        .iss = seq_sub(s->ack, 1),
        .irs = seq_sub(s->seq, 1),
        .ts_recent = s->opt.ts_val,
        .rcv_wnd = listener_offer(l),
        .opt = *a,
        .sent = 1, /* when is not known: no round trip is measured */
    };
    tcb_from_opening(t, &o, c);
    if (!demux_insert(t, self(t, c))) {
        tcb_discard(t, c);
        return TERN_C_NO_MEMORY;
    }
    t->w->stats.cookies_valid++;
    trace_conn(t, &c->h, TERN_TRACE_OPENED, TERN_C_COOKIE_ACKED, 0, 0, 0);
    return cookie__enter(t, l, c, s);
}

TERN_PRIVATE enum tern_cause cookie_ack(struct tern *t, struct listener *l, const struct segment *s)
{
    struct agreed a;
    if (!valid(t, l, s, &a)) {
        t->w->stats.cookies_invalid++;
        return TERN_C_COOKIE_INVALID;
    }
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    return open_from(t, l, s, &a);
}

TERN_PRIVATE bool cookie_came_late(struct tern *t, const struct listener *l, const struct segment *s, struct agreed *out)
{
    if (!cookie_awaited(t, l) || !valid(t, l, s, out))
        return false;
    uint32_t age = stamp_now(t, stamp_offset(t, &s->dst, &s->src)) - s->opt.ts_ecr;
    if (out->ts && !of_our_clock(age))
        return false;
    t->w->stats.cookies_valid++;
    return true;
}

/* --- keys ---------------------------------------------------------------------------------------- */

TERN_PRIVATE void cookie_set_key(struct tern *t, struct sipkey key, uint64_t shared_us)
{
    struct world *w = t->w;
    w->cookie_keys[1] = w->cookie_keys[0];
    w->cookie_keys[0] = (struct cookie_key){key, shared_us - w->now};
    w->cookie_shared = true;
}

#undef PERIOD_LOG
#undef LIFETIME_US
#undef NO_SHIFT
#undef BIT_SACK
#undef BIT_ECN
#undef BITS

/* ==================================================================================== src/tcp/decide.c */

/* decide.c - what a connection sends next: one decision, in one order.
 *
 *   RST ▸ SYN, SYN+ACK ▸ duplicate ACKs ▸ what was lost ▸ new data, with FIN ▸ FIN alone ▸
 *   rescue ▸ tail probe ▸ window probe ▸ keepalive ▸ pure ACK
 *
 * Input, timers and calls only note what is owed; here it becomes a plan (plan.h), which output.c makes a
 * packet. How much may be in the network is one comparison in all phases: pipe < cwnd (RFC 6675). The answer
 * may be "not before t".
 */

#define SWS_OVERRIDE_US 200000u /* RFC 9293 3.8.6.2.1: 0.1 to 1 s */

TERN_PRIVATE uint32_t full_size(const struct tcb *c)
{
    if (!c->opt.sack || c->rcv.ooo.head == 0)
        return c->snd.mss;
    uint32_t blocks = min_u32(c->rcv.ooo_count, c->opt.ts ? 3 : 4);
    uint32_t room = 4 + 8 * blocks;
    return c->snd.mss > room + 64 ? c->snd.mss - room : c->snd.mss;
}

/* Most payload of one packet: whole segments up to what the link splits for us. */
static uint32_t burst_size(const struct tern *t, const struct tcb *c, uint32_t full)
{
    uint32_t gso = t->w->ip.links[c->snd.link].gso_max;
    if (c->snd.urgent)
        return full; /* the pointer counts from each segment's own number, and a link repeats the header */
    return gso >= 2 * full ? gso / full * full : full;
}

/* What cwnd allows beside what is in the network (RFC5681-3-a, RFC6675-5-k). */
static uint32_t cwnd_room(const struct tcb *c)
{
    uint32_t pipe = sendlist_pipe(&c->list, c->rec.reno_sacked);
    /* never stuck below one */
    uint32_t cwnd = c->list.count == 0 ? max_u32(c->cc.cwnd, c->snd.mss) : c->cc.cwnd;
    return pipe < cwnd ? cwnd - pipe : 0;
}

/* Right edge of the latest ACK minus SND.NXT (RFC7323-2.4-d); a shrunken window gives none (SHLD-15), never a
 * huge number (MUST-34, RFC7323-2.4-a). */
static uint32_t usable_window(const struct snd *s)
{
    uint32_t out = flight(s);
    return s->wnd > out ? s->wnd - out : 0;
}

static bool fin_follows(const struct tcb *c, seq_t end)
{
    return c->snd.fin_queued && seq_eq(end, snd_end(&c->snd)) && c->snd.syn_acked;
}

TERN_PRIVATE bool later(struct tern *t, struct tcb *c, uint64_t when)
{
    if (c->tm.pace_us <= t->w->now || when < c->tm.pace_us)
        c->tm.pace_us = when;
    return false;
}

TERN_PRIVATE bool later_for_memory(struct tern *t, struct tcb *c)
{
    uint64_t us = 10000ull << c->shortage.refused;
    if (c->shortage.refused < 7)
        c->shortage.refused++;
    return later(t, c, t->w->now + us);
}

/* Plan to send (the beginning of) a record once more, at most `limit` bytes of it. A SYN and a FIN go with
 * their record. False: no memory to split it. */
static bool plan_again(struct tern *t, struct tcb *c, struct sendrec *r, uint32_t limit, enum tern_cause why,
                       struct plan *p)
{
    bool syn = seq_eq(r->start, c->snd.iss) && !c->snd.syn_acked;
    bool fin = c->snd.fin_sent && seq_gt(seq_add(r->start, r->len), snd_end(&c->snd));
    uint32_t bytes = r->len - syn - fin;
    if (bytes > max_u32(limit, 1)) {
        if (sendlist_split(t, &c->list, r, max_u32(limit, 1) + syn) == NULL)
            return later_for_memory(t, c);
        fin = false;
    }
    *p = (struct plan){.start = r->start, .len = r->len, .again = true, .rec = r, .why = why};
    p->flags = (uint8_t)((syn ? F_SYN : 0) | (fin ? F_FIN : 0));
    if (bytes > 0 && seq_ge(seq_add(r->start, r->len), snd_end(&c->snd)))
        p->flags |= F_PSH; /* MUST-61 */
    return true;
}

static bool decide_rst(struct tcb *c, struct plan *p)
{
    *p = (struct plan){.start = c->snd.nxt, .flags = F_RST, .no_ack_flag = true, .why = c->rst_cause};
    return true;
}

/* SYN or, when the peer's has come before ours left, SYN+ACK: first time. */
static bool decide_syn(struct tcb *c, struct plan *p)
{
    if (c->snd.syn_acked || !seq_eq(c->snd.nxt, c->snd.iss))
        return false;
    *p = (struct plan){.start = c->snd.iss, .len = 1, .flags = F_SYN, .why = TERN_C_SEND_SYN};
    if (c->h.state != TERN_SYN_SENT)
        p->why = TERN_C_SEND_SYNACK;
    return true;
}

/* In SYN_RCVD after a simultaneous open the answer is our SYN again, now with ACK (RFC 9293 3.10.7.3 fourth,
 * MUST-10). */
static bool decide_synack(struct tern *t, struct tcb *c, struct plan *p)
{
    if (LIKELY(c->h.state != TERN_SYN_RCVD) || c->ack.now_cause != TERN_C_SEND_SYNACK ||
        c->list.seq.head == 0)
        return false;
    return plan_again(t, c, at(t->a, c->list.seq.head), 1, TERN_C_SEND_SYNACK, p);
}

static enum tern_cause again_cause(const struct tcb *c)
{
    if (c->rec.phase == PHASE_LOSS)
        return TERN_C_SEND_RETRANSMIT;
    if (c->rec.phase == PHASE_OPEN)
        return TERN_C_SEND_REFUSED_AGAIN;
    return c->opt.sack || seq_eq(c->rec.point, c->snd.nxt) ? TERN_C_SEND_FAST_RETRANSMIT
                                                           : TERN_C_SEND_PARTIAL_RETRANSMIT;
}

/* Only a piece is in flight (what a window probe left behind) and more waits: they leave as one segment (RFC
 * 9293 3.7.4 allows to repacketize). */
static void grow_again(struct tern *t, struct tcb *c, struct sendrec *r)
{
    struct snd *n = &c->snd;
    uint32_t full = full_size(c);
    if (c->list.count != 1 || r->len >= full || n->fin_sent || !synchronized(c) || !n->syn_acked)
        return;
    uint32_t more = min_u32(min_u32(snd_unsent(n), usable_window(n)), full - r->len);
    bool fin = fin_follows(c, seq_add(n->nxt, more)) && usable_window(n) > more;
    if (more == 0)
        return;
    sendlist_extend(t, &c->list, r, more + fin);
    n->nxt = seq_add(n->nxt, more + fin);
    n->fin_sent |= fin;
    c->sum.sent += more;
}

/* What was lost (RFC 6675 NextSeg (1): RFC6675-4-f). The first of a recovery does not ask pipe. A window that
 * has shrunk is not asked: old data goes inside it and beyond (SHLD-16, MAY-7, RFC7323-2.4-ef). While it is
 * shut, probes do this. */
static bool decide_lost(struct tern *t, struct tcb *c, struct plan *p)
{
    struct sendrec *r = UNLIKELY(c->list.lost_next != 0) ? sendlist_lost(t, &c->list) : NULL;
    if (r == NULL || (c->tm.rexmit == TERN_TIMER_PERSIST && synchronized(c)))
        return false;
    grow_again(t, c, r);
    uint32_t full = full_size(c), room = cwnd_room(c);
    bool syn = !synchronized(c) || !c->snd.syn_acked;
    if (!c->rec.force && !syn && room < min_u32(full, r->len))
        return false;
    uint32_t limit = full;
    if (!c->rec.force)
        limit = min_u32(max_u32(room / full, 1) * full, burst_size(t, c, full));
    c->rec.force = false;
    return plan_again(t, c, r, limit, again_cause(c), p);
}

/* A small segment that waits leaves after a while all the same. */
static bool override_due(struct tern *t, struct tcb *c)
{
    if (c->snd.blocked_us == 0)
        c->snd.blocked_us = t->w->now;
    uint64_t due = c->snd.blocked_us + SWS_OVERRIDE_US;
    return due <= t->w->now || later(t, c, due);
}

/* A segment smaller than a full one: RFC 9293 3.8.6.2.1 (silly window, MUST-38), then Nagle. What the program
 * does not push yet is collected (MAY-16). */
static bool small_may_go(struct tern *t, struct tcb *c, uint32_t len)
{
    bool all = len == snd_unsent(&c->snd);
    bool window_small = !all && usable_window(&c->snd) == len;
    if (all && c->snd.more)
        return override_due(t, c); /* MUST-60: held, not for ever */
    if (all && nagle_holds(c, len, true))
        return false;
    if (all || (c->snd.max_wnd != 0 && len >= c->snd.max_wnd / 2 && !nagle_holds(c, len, false)))
        return true;
    if (!window_small || c->list.count > 0)
        return false; /* an ACK will come and change this */
    return override_due(t, c);
}

/* RFC5681-4.1-a: after idle longer than the timeout the window says nothing any more. */
TERN_PRIVATE bool restarts_after_idle(const struct tern *t, const struct tcb *c)
{
    return c->list.count == 0 && c->snd.last_us != 0 &&
           t->w->now - c->snd.last_us > rtt_timeout(&c->rtt, settings(t));
}

static bool may_send_data(const struct tcb *c)
{
    switch (c->h.state) {
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT:
        return true;
    case TERN_FIN_WAIT_1:
    case TERN_CLOSING:
    case TERN_LAST_ACK:
        /* queued before the handshake ended: after it */
        return c->snd.syn_acked || c->snd.q.len == 0;
    default:
        return false;
    }
}

/* How many new bytes may leave now; 0 = none: what both windows allow (RFC5681-2-a, RFC5681-3.1-a). Full
 * segments if there are any, of however many sends (SHLD-27, SHLD-28). */
static uint32_t new_bytes(struct tern *t, struct tcb *c)
{
    uint32_t unsent = snd_unsent(&c->snd), full = full_size(c);
    uint32_t window = min_u32(unsent, usable_window(&c->snd));
    uint32_t len = min_u32(window, cwnd_room(c));
    if (len < window)
        c->snd.limited = true;
    if (len >= full)
        return min_u32(len / full * full, burst_size(t, c, full));
    if (len == 0 || (len < window && c->list.count > 0))
        return 0; /* held by cwnd: whole segments only, while something is in flight */
    return small_may_go(t, c, len) ? len : 0;
}

/* Does the congestion window bound us? Yes once half of it is used; no when all is sent and acknowledged. */
static void note_limited(struct tcb *c)
{
    if (2ull * sendlist_pipe(&c->list, c->rec.reno_sacked) >= c->cc.cwnd)
        c->snd.limited = true;
    else if (c->list.count == 0 && snd_unsent(&c->snd) == 0)
        c->snd.limited = false;
}

/* An echo of congestion has met a window of one segment, which cannot be halved: instead a whole timeout
 * passes before the next one (RFC3168-6.1.2-d). */
static bool held_by_echo(struct tern *t, struct tcb *c)
{
    if (c->snd.blocked_us > t->w->now) {
        later(t, c, c->snd.blocked_us);
        return true;
    }
    c->rec.held = false;
    c->snd.blocked_us = 0;
    return false;
}

/* RFC 6675 NextSeg (2): RFC6675-4-g; for a duplicate ACK, too (RFC5681-3.2-l, RFC6675-5-e). */
static bool decide_new(struct tern *t, struct tcb *c, struct plan *p)
{
    note_limited(c);
    if (!may_send_data(c) || snd_unsent(&c->snd) == 0)
        return false;
    if (UNLIKELY(c->rec.held) && held_by_echo(t, c))
        return false;
    if (UNLIKELY(restarts_after_idle(t, c))) {
        cc_restart(&c->cc, c->snd.mss);
        c->tlp.out = false; /* whatever it found was about the window of then */
    }
    uint32_t len = new_bytes(t, c);
    if (len == 0)
        return false;
    bool lead = c->rec.phase == PHASE_OPEN && c->rec.dupacks > 0;
    *p = (struct plan){.start = c->snd.nxt, .len = len, .why = lead ? TERN_C_SEND_LIMITED : TERN_C_SEND_DATA};
    if (len == snd_unsent(&c->snd))
        p->flags |= F_PSH; /* MUST-61 */
    if (fin_follows(c, seq_add(p->start, len)) && usable_window(&c->snd) > len && len % full_size(c) != 0) {
        p->flags |= F_FIN;
        p->len++;
    }
    return true;
}

static bool decide_fin(struct tcb *c, struct plan *p)
{
    if (c->snd.fin_sent || !may_send_data(c) || snd_unsent(&c->snd) > 0 || !c->snd.fin_queued)
        return false;
    if (usable_window(&c->snd) == 0)
        return false; /* an ACK will open it, or a probe asks: it is the FIN then (SHLD-29) */
    *p = (struct plan){.start = c->snd.nxt, .len = 1, .flags = F_FIN, .why = TERN_C_SEND_FIN};
    return true;
}

/* RFC 6675 NextSeg (4), RFC6675-4-ij: the end of the flight was lost too, and nothing above it can tell: once
 * in a recovery the last segment is sent again. It must have begun to help: more than its first segment is
 * acknowledged. */
static bool decide_rescue(struct tern *t, struct tcb *c, struct plan *p)
{
    struct recovery *r = &c->rec;
    if (LIKELY(r->phase != PHASE_RECOVERY) || r->rescued || !c->opt.sack || c->rack.reordering ||
        cwnd_room(c) < c->snd.mss || !seq_gt(c->snd.una, seq_add(c->undo.marker, c->snd.mss)))
        return false;
    struct sendrec *last = c->list.seq.tail != 0 ? at(t->a, c->list.seq.tail) : NULL;
    uint32_t full = full_size(c);
    if (last != NULL && last->len > full)
        last = sendlist_split(t, &c->list, last, (last->len - 1) / full * full);
    if (last == NULL || (last->flags & (SR_SACKED | SR_LOST)) || seq_ge(last->start, r->point))
        return false;
    r->rescued = true;
    return plan_again(t, c, last, full, TERN_C_SEND_FAST_RETRANSMIT, p);
}

/* RFC 8985 7.3: new data if there is some (cwnd is not asked), else the last segment again. */
static bool decide_tail_probe(struct tern *t, struct tcb *c, struct plan *p)
{
    if (LIKELY(!c->tlp.due))
        return false;
    c->tlp.due = false;
    uint32_t full = full_size(c), new = min_u32(min_u32(snd_unsent(&c->snd), usable_window(&c->snd)), full);
    if (new > 0 && may_send_data(c)) {
        *p = (struct plan){.start = c->snd.nxt, .len = new, .why = TERN_C_SEND_TAIL_PROBE};
        p->flags = new == snd_unsent(&c->snd) ? F_PSH : 0;
        return true;
    }
    struct sendrec *r = c->list.seq.tail != 0 ? at(t->a, c->list.seq.tail) : NULL;
    if (r != NULL && r->len > full)
        r = sendlist_split(t, &c->list, r, (r->len - 1) / full * full);
    return r != NULL && !(r->flags & SR_SACKED) && plan_again(t, c, r, full, TERN_C_SEND_TAIL_PROBE, p);
}

/* RFC 9293 3.8.6.1: one byte at SND.UNA, sent before or not. Behind all data it is the FIN. */
static bool decide_probe(struct tern *t, struct tcb *c, struct plan *p)
{
    if (LIKELY(!c->tm.probe))
        return false;
    c->tm.probe = false;
    if (c->list.seq.head != 0) {
        if (!plan_again(t, c, at(t->a, c->list.seq.head), 1, TERN_C_SEND_WINDOW_PROBE, p))
            return false;
    } else {
        bool data = snd_unsent(&c->snd) > 0;
        *p = (struct plan){.start = c->snd.nxt, .len = 1, .why = TERN_C_SEND_WINDOW_PROBE};
        p->flags = data ? 0 : F_FIN;
        if (!data && (!c->snd.fin_queued || c->snd.fin_sent))
            return false;
    }
    p->probe = true;
    return true;
}

/* RFC 9293 3.8.4: an old number and no data, so that the peer must answer (SHLD-12). */
static bool decide_keepalive(struct tcb *c, struct plan *p)
{
    if (LIKELY(!c->tm.keep_probe))
        return false;
    c->tm.keep_probe = false;
    *p = (struct plan){.start = seq_sub(c->snd.nxt, 1), .probe = true, .why = TERN_C_SEND_KEEPALIVE};
    return true;
}

/* SND.NXT (RFC 9293 3.10.7.4), but not beyond the peer's window: there (behind a probe that was refused, or
 * when the window has shrunk) it would have to refuse the segment, and the ACK in it. Linux does the same. */
static seq_t number_of_ack(const struct snd *n)
{
    seq_t edge = seq_add(n->una, n->wnd);
    return n->syn_acked && seq_lt(edge, n->nxt) ? edge : n->nxt;
}

static bool decide_ack(struct tcb *c, struct plan *p)
{
    struct acker *k = &c->ack;
    if ((k->now_cause == 0 && k->dup_owed == 0) || c->h.state < TERN_SYN_RCVD)
        return false;
    *p = (struct plan){.start = number_of_ack(&c->snd),
                       .why = k->now_cause != 0 ? k->now_cause : TERN_C_SEND_ACK_DUP};
    return true;
}

/* What was lost, new data, a rescue, nothing: NextSeg in its order (RFC6675-4-ek, RFC6675-5-l). What lies
 * below a SACK is lost in a recovery (rack.c), so rule (3) has nothing left. */
TERN_PRIVATE bool decide(struct tern *t, struct tcb *c, struct plan *p)
{
    if (UNLIKELY(c->rst_cause != 0))
        return decide_rst(c, p);
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_LISTEN)
        return false;
    if (decide_syn(c, p) || decide_synack(t, c, p))
        return true;
    if (UNLIKELY(c->ack.dup_owed > 0) && decide_ack(c, p))
        return true; /* without SACK the peer counts them: each goes alone, and first */
    return decide_lost(t, c, p) || decide_new(t, c, p) || decide_fin(c, p) ||
           decide_rescue(t, c, p) || decide_tail_probe(t, c, p) || decide_probe(t, c, p) ||
           decide_keepalive(c, p) || decide_ack(c, p);
}

#undef SWS_OVERRIDE_US

/* ===================================================================================== src/tcp/demux.c */

/* demux.c - from addresses and ports to the record: one keyed hash over the 4-tuple.
 *
 * Records of all kinds but listeners share one table, so a segment costs one look-up. The hash is keyed by
 * the seed, so that nobody outside can aim at one slot (RFC4987-3.5-b). A connection is found before a
 * listener: a segment of an existing pair never reaches the listener on the same port (RFC 9293 3.10.7).
 */

/* Of IPv4 addresses the four bytes that differ: what is hashed for every packet is short then. */
static uint32_t pair_hash4(const struct tern *t, const tern_ip *local, const tern_ip *remote,
                           const uint16_t ports[2])
{
    uint8_t key[12];
    memcpy(key, local->b + 12, 4);
    memcpy(key + 4, remote->b + 12, 4);
    memcpy(key + 8, ports, 4);
    return (uint32_t)siphash13(t->w->key_table, key, sizeof key);
}

/* The zone is part of the pair where an address has a meaning on one link only (RFC 4007 6). */
static uint32_t pair_hash(const struct tern *t, const tern_ip *local, uint16_t local_port,
                          const tern_ip *remote, uint16_t remote_port, uint8_t link)
{
    const uint16_t ports[2] = {local_port, remote_port};
    if (tern_ip_is4(remote))
        return pair_hash4(t, local, remote, ports);
    uint8_t key[37];
    memcpy(key, local->b, 16);
    memcpy(key + 16, remote->b, 16);
    memcpy(key + 32, ports, 4);
    key[36] = ip_zone(local, remote, link);
    return (uint32_t)siphash13(t->w->key_table, key, sizeof key);
}

TERN_PRIVATE uint32_t demux_hash(const struct tern *t, const struct who *w)
{
    return pair_hash(t, &w->local, w->local_port, &w->remote, w->remote_port, w->link);
}

static uint32_t make_hash(const struct tern *t, ref_t r)
{
    struct who w;
    enum rec_kind kind = rec_kind(t, r);
    if (kind == REC_TCB) {
        const struct conn_head *h = at_const(t->a, r);
        return pair_hash(t, &h->local, h->local_port, &h->remote, h->remote_port, h->link);
    }
    if (kind == REC_TIMEWAIT)
        waiting_pair(t, r, &w);
    else
        who_of(t, at_const(t->a, r), &w);
    return demux_hash(t, &w);
}

/* A control block in the table knows its own. */
static uint32_t hash_of(struct tern *t, ref_t r)
{
    return rec_kind(t, r) == REC_TCB ? head_at(t, r)->hash : make_hash(t, r);
}

static void keep_hash(struct tern *t, ref_t r, uint32_t hash)
{
    if (rec_kind(t, r) == REC_TCB)
        head_at(t, r)->hash = hash;
}

static bool same_idle(const struct tern *t, const struct idle *i, const tern_endpoint *local,
                      const tern_endpoint *remote, uint8_t link)
{
    tern_ip mine, other;
    if (i->local_port != local->port || i->remote_port != remote->port)
        return false;
    idle_addresses(t, i, &mine, &other);
    return ip_eq(&other, &remote->ip) && ip_eq(&mine, &local->ip) &&
           ip_zone(&mine, &other, i->link) == ip_zone(&mine, &other, link);
}

static bool same_head(const struct conn_head *h, const tern_endpoint *local, const tern_endpoint *remote,
                      uint8_t link)
{
    return h->local_port == local->port && h->remote_port == remote->port && ip_eq(&h->remote, &remote->ip) &&
           ip_eq(&h->local, &local->ip) && (h->link == link || ip_zone(&local->ip, &remote->ip, 1) == 0);
}

static bool same(const struct tern *t, ref_t r, const tern_endpoint *local, const tern_endpoint *remote,
                 uint8_t link, bool parked)
{
    switch (rec_kind(t, r)) {
    case REC_IDLE:
        return same_idle(t, at_const(t->a, r), local, remote, link);
    case REC_TIMEWAIT:
        return waiting_same(t, r, local, remote, link) &&
               ((const struct timewait *)at_const(t->a, r))->parked == parked;
    case REC_HALFOPEN:
        return !parked && halfopen_is(t, at_const(t->a, r), local, remote, link);
    default:
        return ((const struct conn_head *)at_const(t->a, r))->parked == parked &&
               same_head(at_const(t->a, r), local, remote, link);
    }
}

static ref_t demux__find(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                  bool parked)
{
    struct htab_iter it;
    uint32_t hash = pair_hash(t, &local->ip, local->port, &remote->ip, remote->port, link);
    for (ref_t r = htab_first(t->a, &t->w->conns, hash, &it); r != 0; r = htab_next(t->a, &t->w->conns, &it))
        if (same(t, r, local, remote, link, parked))
            return r;
    return 0;
}

TERN_PRIVATE ref_t demux_find(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link)
{
    return demux__find(t, local, remote, link, false);
}

TERN_PRIVATE ref_t demux_find_parked(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link)
{
    return demux__find(t, local, remote, link, true);
}

TERN_PRIVATE bool demux_insert(struct tern *t, ref_t r)
{
    uint32_t hash = make_hash(t, r);
    keep_hash(t, r, hash);
    return htab_insert(t->a, &t->w->conns, hash, r, MEM_DATA);
}

TERN_PRIVATE void demux_remove(struct tern *t, ref_t r) { htab_remove(t->a, &t->w->conns, hash_of(t, r), r); }

TERN_PRIVATE void demux_replace(struct tern *t, ref_t from, ref_t to)
{
    uint32_t hash = hash_of(t, from);
    keep_hash(t, to, hash);
    htab_replace(t->a, &t->w->conns, hash, from, to);
}

/* Listeners are few; their hash is of the port alone, and the address is compared. */
static uint32_t port_hash(struct tern *t, uint16_t port)
{
    return (uint32_t)siphash13(t->w->key_table, &port, sizeof port);
}

TERN_PRIVATE struct listener *demux_listener_exact(struct tern *t, const tern_ip *local, uint16_t port, uint8_t zone)
{
    struct htab_iter it;
    uint32_t hash = port_hash(t, port);
    for (ref_t r = htab_first(t->a, &t->w->listeners, hash, &it); r != 0;
         r = htab_next(t->a, &t->w->listeners, &it)) {
        struct listener *l = listener_at(t, r);
        if (l->h.local_port == port && l->h.link == zone && ip_eq(&l->h.local, local))
            return l;
    }
    return NULL;
}

/* Whether there is a listener of this very port, at whatever address. */
TERN_PRIVATE bool demux_listens(struct tern *t, uint16_t port)
{
    struct htab_iter it;
    ref_t r = htab_first(t->a, &t->w->listeners, port_hash(t, port), &it);
    while (r != 0 && listener_at(t, r)->h.local_port != port)
        r = htab_next(t->a, &t->w->listeners, &it);
    return r != 0;
}

/* How well a listener of this port (0: of any) fits: the address counts more than the zone; 0 = not at
 * all. */
static int fit(const struct listener *l, const tern_ip *local, uint16_t port, uint8_t link, bool foreign)
{
    bool any = ip_is_unspecified(&l->h.local);
    if (l->h.local_port != port || (l->h.link != 0 && l->h.link != link) ||
        (!any && !ip_eq(&l->h.local, local)) || (foreign && !l->foreign))
        return 0;
    return 1 + 2 * !any + (l->h.link != 0);
}

static struct listener *of_port(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link,
                                bool foreign)
{
    struct htab_iter it;
    uint32_t hash = port_hash(t, port);
    struct listener *best = NULL;
    int best_fit = 0;
    for (ref_t r = htab_first(t->a, &t->w->listeners, hash, &it); r != 0;
         r = htab_next(t->a, &t->w->listeners, &it)) {
        int f = fit(listener_at(t, r), local, port, link, foreign);
        if (f > best_fit)
            best = listener_at(t, r);
        best_fit = f > best_fit ? f : best_fit;
    }
    return best;
}

/* One of the port comes before one of any port. */
TERN_PRIVATE struct listener *demux_listener(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link)
{
    bool foreign = t->w->foreign && !ip_is_ours(&t->w->ip, local, link);
    struct listener *l = of_port(t, local, port, link, foreign);
    return l == NULL && t->w->any_port > 0 ? of_port(t, local, 0, link, foreign) : l;
}

TERN_PRIVATE bool demux_listener_insert(struct tern *t, struct listener *l)
{
    if (!htab_insert(t->a, &t->w->listeners, port_hash(t, l->h.local_port), self(t, l), MEM_DATA))
        return false;
    t->w->any_port += l->h.local_port == 0;
    t->w->foreign |= l->foreign;
    return true;
}

TERN_PRIVATE void demux_listener_remove(struct tern *t, struct listener *l)
{
    htab_remove(t->a, &t->w->listeners, port_hash(t, l->h.local_port), self(t, l));
    t->w->any_port -= l->h.local_port == 0;
}


/* ====================================================================================== src/tcp/face.c */

/* face.c - readiness: bits on the record, records in a list (event.h). Nothing can overflow and nothing calls
 * back. */

#define face__PLACE offsetof(struct tcb, face.place)

TERN_PRIVATE void face_raise(struct tern *t, struct conn_head *h, uint32_t bits)
{
    struct face *f = face_of(h);
    if (!f->held)
        return;
    f->bits |= bits;
    if (f->listed || f->bits == 0)
        return;
    f->listed = true;
    list_append(t->a, &t->w->events, self(t, h), face__PLACE);
}

TERN_PRIVATE void face_unlist(struct tern *t, struct conn_head *h)
{
    struct face *f = face_of(h);
    if (!f->listed)
        return;
    f->listed = false;
    list_remove(t->a, &t->w->events, self(t, h), face__PLACE);
}

/* RFC 9293 MUST-47, SHLD-9, SHLD-20, SHLD-25: trouble is reported unless the program switched reports off. */
TERN_PRIVATE void face_soft_error(struct tern *t, struct tcb *c, int error, uint8_t icmp_type, uint8_t icmp_code)
{
    c->face.soft_error = error;
    c->face.icmp_type = icmp_type;
    c->face.icmp_code = icmp_code;
    if (!c->set.reports)
        return;
    t->w->stats.soft_errors++;
    face_raise(t, &c->h, TERN_SOFT_ERROR);
}

#undef face__PLACE

/* ================================================================================== src/tcp/halfopen.c */

/* halfopen.c - SYN_RCVD of a listener: a small record from the SYN to the ACK of our SYN+ACK (RFC4987-3.5-a).
 *
 * It has no buffer: data that comes with the last ACK is handed to the new control block, earlier data is not
 * taken. It may have a predecessor in TIME_WAIT, parked until the new connection is certain (RFC 9293 3.6.1):
 * when the peer resets it, the SYN was an old duplicate and TIME_WAIT goes on.
 *
 * It waits in a queue of its listener (backlog.c). A repeated SYN is answered at once and moves nothing.
 */

#define SHARE_LEAST 8u /* half-open records that each source may have, however short the backlog */

/* --- what is kept small -------------------------------------------------------------------------- */

static struct halfopen *halfopen__half_at(struct tern *t, ref_t r) { return at(t->a, r); }

static bool halfopen__is4(const struct tern *t, const struct halfopen *h)
{
    return arena_kind(t->a, ref_of(t->a, h)) == (enum page_kind)(PAGE_POOL0 + POOL_HALFOPEN4);
}

TERN_PRIVATE void halfopen_ips(const struct tern *t, const struct halfopen *h, tern_ip *local, tern_ip *remote)
{
    ip_pair_read(h->pair, halfopen__is4(t, h), local, remote);
}

TERN_PRIVATE bool halfopen_is(const struct tern *t, const struct halfopen *h, const tern_endpoint *local,
                 const tern_endpoint *remote, uint8_t link)
{
    tern_ip own, peer;
    if (h->local_port != local->port || h->remote_port != remote->port)
        return false;
    halfopen_ips(t, h, &own, &peer);
    return ip_eq(&own, &local->ip) && ip_eq(&peer, &remote->ip) &&
           (h->link == link || ip_zone(&own, &peer, 1) == 0);
}

static void halfopen__agreed_of(const struct halfopen *h, struct agreed *out)
{
    *out = (struct agreed){.mss = (uint16_t)h->mss, .ts = h->ts, .sack = h->sack, .ecn = h->ecn};
    out->wscale = h->snd_wscale != SHIFT_NONE;
    if (!out->wscale)
        return;
    out->snd_wscale = h->snd_wscale;
    out->rcv_wscale = h->rcv_wscale;
}

/* --- beginning ----------------------------------------------------------------------------------- */

/* The record in TIME_WAIT behind this one, if it is still there. */
static ref_t parked(struct tern *t, const struct halfopen *h)
{
    tern_endpoint local = {.port = h->local_port}, remote = {.port = h->remote_port};
    if (!h->follows)
        return 0;
    halfopen_ips(t, h, &local.ip, &remote.ip);
    return demux_find_parked(t, &local, &remote, h->link);
}

static void keep_agreed(struct halfopen *h, const struct agreed *opt)
{
    h->mss = opt->mss;
    h->snd_wscale = (opt->wscale ? opt->snd_wscale : SHIFT_NONE) & 15;
    h->rcv_wscale = (opt->wscale ? opt->rcv_wscale : SHIFT_NONE) & 15;
    h->ts = opt->ts;
    h->sack = opt->sack;
    h->ecn = opt->ecn;
}

static void agree(struct tern *t, struct halfopen *h, struct listener *l, const struct segment *s)
{
    const struct settings *set = settings(t);
    struct agreed opt;
    options_agree(t, s, set->wscale ? options_wscale(l->set.recv_buffer) : WSCALE_NONE, &opt);
    opt.ecn = options_ecn(l, s);
    keep_agreed(h, &opt);
    h->ts_recent = s->opt.ts_val;
    listener_offer(l);
}

/* Above everything the predecessor sent (RFC 9293 MAY-2). */
static seq_t isn_above(struct tern *t, const struct halfopen *h, ref_t old)
{
    return old == 0 ? isn_make(t, h) : isn_make_above(t, h, time_wait_snd_nxt(t, old));
}

static bool enter_table(struct tern *t, struct halfopen *h, ref_t old)
{
    if (!demux_insert(t, self(t, h)))
        return false;
    if (old != 0) {
        h->follows = 1;
        time_wait_park(t, old);
        t->w->stats.time_wait_reused++;
    }
    return true;
}

static struct pool *pool_for(struct tern *t, bool v4) { return v4 ? &t->w->halfopens4 : &t->w->halfopens6; }

/* A record for this SYN, in the table; NULL: no memory. */
static struct halfopen *halfopen__make(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    struct pool *pool = pool_for(t, tern_ip_is4(&s->src));
    ref_t me = pool_get(t->a, pool, MEM_DATA);
    if (me == 0 && idle_press(t))
        me = pool_get(t->a, pool, MEM_DATA);
    if (me == 0)
        return NULL;
    struct halfopen *h = halfopen__half_at(t, me);
    h->id = (uint32_t)conn_number(t);
    h->listener = self(t, l);
    h->link = s->link & 15;
    h->local_port = s->dst_port;
    h->remote_port = s->src_port;
    h->irs = s->seq;
    ip_pair_write(h->pair, &s->dst, &s->src);
    agree(t, h, l, s);
    h->iss = isn_above(t, h, old);
    if (enter_table(t, h, old))
        return h;
    pool_put(t->a, pool, me);
    return NULL;
}

/* May one source hold this many (RFC4987-3.5-b)? An eighth of the table, once half of it is taken. */
static bool source_has_its_share(struct tern *t, const struct listener *l, const struct segment *s)
{
    if (l->half_count < l->backlog / 2)
        return false;
    return sketch_count(&t->w->sources, sketch_source(t, &s->src)) >= max_u32(l->backlog / 8, SHARE_LEAST);
}

/* Room for one more, if need be in the place of the oldest (RFC4987-3.4-a) to which a SYN+ACK was repeated:
 * an honest peer would have answered. */
static bool room_for_one(struct tern *t, struct listener *l)
{
    struct halfopen *h;
    if (l->half_count < l->backlog)
        return true;
    if ((h = backlog_oldest_repeated(t, l)) == NULL)
        return false;
    t->w->stats.halfopen_evicted++;
    halfopen_end(t, h, TERN_C_HALFOPEN_EVICTED);
    return true;
}

static void ask_program(struct tern *t, struct listener *l, const struct halfopen *h)
{
    t->w->stats.syns_deferred++;
    conn_timer(t, &l->h, backlog_due_us(t, h));
    face_raise(t, &l->h, TERN_SYN_WAITS);
}

static enum tern_cause cause_of(const struct halfopen *h, ref_t old)
{
    if (old != 0)
        return TERN_C_SYN_RCVD_TIME_WAIT;
    return h->queue < QUEUE_PENDING ? TERN_C_SYN_RCVD_LISTEN : TERN_C_SYN_DEFERRED;
}

static enum tern_cause open_record(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    struct halfopen *h = halfopen__make(t, l, s, old);
    if (h == NULL)
        return TERN_C_NO_MEMORY;
    h->queue = l->defer ? QUEUE_PENDING : QUEUE_NOW;
    enum tern_cause cause = cause_of(h, old);
    l->half_count++;
    sketch_add(&t->w->sources, sketch_source(t, &s->src));
    backlog_append(t, l, h, h->queue);
    t->w->stats.opens_passive++;
    trace_conn(t, h, TERN_TRACE_OPENED, cause, 0, 0, 0);
    state_edge(t, h, cause, TERN_CLOSED, TERN_SYN_RCVD);
    if (l->defer)
        ask_program(t, l, h);
    else
        conn_ready(t, &l->h);
    return TERN_CAUSE_NONE;
}

/* Where no cookie may be sent: silence instead. */
static enum tern_cause open_or_silence(struct tern *t, struct listener *l, const struct segment *s, ref_t old,
                                       bool greedy)
{
    if (greedy)
        return TERN_C_SOURCE_LIMIT;
    if (!room_for_one(t, l)) {
        l->refused_full++;
        return TERN_C_BACKLOG_FULL;
    }
    return open_record(t, l, s, old);
}

/* RFC 9293 3.10.7.2 third. A flood meets the small record first (RFC4987-4-ac), then cookies (RFC4987-3.7-a).
 * `old`: a record in TIME_WAIT that gives way, or 0; its successor needs a record of
 * its own, in whose place no cookie can stand. */
TERN_PRIVATE enum tern_cause halfopen_open(struct tern *t, struct listener *l, const struct segment *s, ref_t old)
{
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    bool greedy = source_has_its_share(t, l, s);
    t->w->stats.syn_source_limited += greedy;
    if (l->cookies == TERN_COOKIES_NEVER || l->defer || old != 0)
        return open_or_silence(t, l, s, old, greedy);
    if (!greedy && l->half_count < l->backlog && l->cookies != TERN_COOKIES_ALWAYS) {
        enum tern_cause cause = open_record(t, l, s, 0);
        if (cause != TERN_C_NO_MEMORY)
            return cause;
    }
    return cookie_answer(t, l, s);
}

/* --- end ----------------------------------------------------------------------------------------- */

static void drop_record(struct tern *t, struct halfopen *h)
{
    struct listener *l = listener_at(t, h->listener);
    tern_ip local, remote;
    halfopen_ips(t, h, &local, &remote);
    sketch_take(&t->w->sources, sketch_source(t, &remote));
    backlog_remove(t, l, h);
    if (--l->half_count == 0)
        conn_timer(t, &l->h, 0);
    pool_put(t->a, pool_for(t, halfopen__is4(t, h)), self(t, h));
}

/* The record goes. With a predecessor in TIME_WAIT that one is found again. */
TERN_PRIVATE void halfopen_end(struct tern *t, struct halfopen *h, enum tern_cause cause)
{
    ref_t old = parked(t, h);
    if (old != 0 && cause == TERN_C_HALFOPEN_RESET)
        cause = TERN_C_OLD_DUPLICATE_SYN;
    state_edge(t, h, cause, TERN_SYN_RCVD, TERN_CLOSED);
    trace_conn(t, h, TERN_TRACE_RELEASED, cause, 0, 0, 0);
    demux_remove(t, self(t, h));
    if (old != 0)
        time_wait_unpark(t, old);
    drop_record(t, h);
}

static void opening_of(struct tern *t, const struct halfopen *h, ref_t old, struct opening *o)
{
    struct who who;
    who_of(t, h, &who);
    *o = (struct opening){
        .conn = who.conn,
        .opened_us = backlog_opened_us(t, h),
        .state = TERN_SYN_RCVD,
        .cause = cause_of(h, old),
        .since_us = backlog_opened_us(t, h),
        .iss = h->iss,
        .irs = h->irs,
        .ts_recent = h->ts_recent,
        .rcv_wnd = listener_at(t, h->listener)->offer,
        .sent = (uint8_t)(h->queue < QUEUE_PENDING ? h->queue + h->repeated : 0),
        .sent_us = max_u64(backlog_sent_us(t, h), 8) - 7, /* not later than it was */
    };
    halfopen__agreed_of(h, &o->opt);
}

/* A control block in its place, in SYN_RCVD too. NULL: no memory, nothing has changed. */
TERN_PRIVATE struct tcb *halfopen_grow(struct tern *t, struct halfopen *h)
{
    struct listener *l = listener_at(t, h->listener);
    tern_endpoint local = {.port = h->local_port}, remote = {.port = h->remote_port};
    halfopen_ips(t, h, &local.ip, &remote.ip);
    struct tcb *c = tcb_new(t, &local, &remote, h->link, &l->set);
    if (c == NULL)
        return NULL;
    struct opening o;
    ref_t old = parked(t, h);
    opening_of(t, h, old, &o);
    tcb_from_opening(t, &o, c);
    demux_replace(t, self(t, h), self(t, c));
    if (old != 0)
        time_wait_gives_way(t, old);
    drop_record(t, h);
    return c;
}

/* Fifth: the handshake is complete. A control block takes over and goes on with the segment. */
static enum tern_cause complete(struct tern *t, struct halfopen *h, const struct segment *s)
{
    struct listener *l = listener_at(t, h->listener);
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    struct tcb *c = halfopen_grow(t, h);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    listener_enqueue(t, l, c);
    timer_keepalive(t, c);
    enum tern_cause cause = in_synchronized(t, c, s);
    timer_rearm(t, c);
    return cause;
}

/* --- segments ------------------------------------------------------------------------------------ */

/* A ration of its own (RFC 5961 7): one for each SYN+ACK that left by itself. A count for several records
 * together would tell one peer of another (CVE-2016-5696). */
static enum tern_cause halfopen__owe_ack(struct tern *t, struct halfopen *h, enum tern_cause why)
{
    if (h->challenged) {
        t->w->stats.challenge_limited++;
        return why;
    }
    h->challenged = 1;
    uint32_t wnd = listener_at(t, h->listener)->offer;
    uint8_t shift = h->snd_wscale != SHIFT_NONE ? h->rcv_wscale : 0;
    struct reply_ack a = {
        .seq = seq_add(h->iss, 1),
        .ack = seq_add(h->irs, 1),
        .wnd = window_field_up(wnd, shift),
        .ts = h->ts,
        .ts_ecr = h->ts_recent,
    };
    reply_ack_for(t, h, &a, TERN_C_SEND_CHALLENGE);
    return why;
}

/* RFC 7323 3.2: timestamps were agreed and this segment has none. */
static bool stamps_missing(const struct halfopen *h, const struct segment *s)
{
    return h->ts && !s->opt.ts && !(s->flags & F_SYN);
}

static bool stamps_old(const struct halfopen *h, const struct segment *s)
{
    return h->ts && s->opt.ts && (int32_t)(s->opt.ts_val - h->ts_recent) < 0;
}

/* An MSS on it always (MUST-14, SHLD-5, MAY-3), window scale and timestamps if the SYN has them
 * (RFC7323-2.2-e, RFC7323-2.3-a, RFC7323-3.2-e). */
TERN_PRIVATE void halfopen_synack(struct tern *t, const struct halfopen *h, struct who *who, struct reply_synack *a)
{
    const struct listener *l = listener_at(t, h->listener);
    who_of(t, h, who);
    *a = (struct reply_synack){.iss = h->iss, .irs = h->irs, .wnd = (uint16_t)l->offer, .ecn = h->ecn};
    a->opt.mss = listener_mss(t, l, who);
    a->opt.wscale = h->snd_wscale != SHIFT_NONE ? h->rcv_wscale : WSCALE_NONE;
    a->opt.sack_ok = h->sack;
    a->opt.ts = h->ts;
    a->opt.ts_ecr = h->ts_recent;
}

/* The same SYN again: the SYN+ACK was lost (local policy). Our own timer and its count go on as they were. */
static void answer_again(struct tern *t, struct halfopen *h)
{
    struct who who;
    struct reply_synack a;
    if (h->queue == QUEUE_NOW)
        return; /* the first is still to be sent */
    h->repeated = 1;
    halfopen_synack(t, h, &who, &a);
    reply_synack(t, &who, &a);
}

/* The program has not decided: to the peer nobody has answered yet, and nothing is answered. */
static enum tern_cause in_pending(struct tern *t, struct halfopen *h, const struct segment *s)
{
    bool ours = seq_eq(s->seq, seq_add(h->irs, 1));
    if ((s->flags & (F_SYN | F_ACK | F_RST)) == F_SYN && seq_eq(s->seq, h->irs))
        return TERN_CAUSE_NONE; /* again */
    if ((s->flags & F_RST) && ours) {
        halfopen_end(t, h, TERN_C_HALFOPEN_RESET);
        return TERN_CAUSE_NONE;
    }
    return (s->flags & F_RST) ? TERN_C_SEQ_RST : TERN_C_SYN_PENDING;
}

/* The peer's first SYN was answered by a cookie, its second one by this record, and the cookie arrived first:
 * then what it says holds. When it was sent is not known, so no round trip is measured (repeated). */
static bool takes_cookie(struct tern *t, struct halfopen *h, const struct segment *s)
{
    struct listener *l = listener_at(t, h->listener);
    struct agreed opt;
    if (!seq_eq(s->seq, seq_add(h->irs, 1)) || !cookie_came_late(t, l, s, &opt))
        return false;
    keep_agreed(h, &opt);
    h->iss = seq_sub(s->ack, 1);
    h->repeated = 1;
    if (h->queue != QUEUE_NOW)
        return true;
    backlog_remove(t, l, h);
    backlog_append(t, l, h, QUEUE_SENT);
    return true;
}

/* RFC 9293 3.10.7.4 for SYN_RECEIVED reached from LISTEN; the kind of record remembers that (MUST-11). */
TERN_PRIVATE enum tern_cause in_halfopen(struct tern *t, struct halfopen *h, const struct segment *s)
{
    seq_t nxt = seq_add(h->irs, 1);
    if (listener_at(t, h->listener)->h.state == TERN_CLOSED) {
        listener_refuses(t, h); /* it was closed, and has not come to this one yet */
        return TERN_CAUSE_NONE;
    }
    if (h->queue >= QUEUE_PENDING)
        return in_pending(t, h, s);
    if ((s->flags & (F_SYN | F_ACK | F_RST)) == F_SYN && seq_eq(s->seq, h->irs)) {
        if ((s->flags & (F_ECE | F_CWR)) != (F_ECE | F_CWR))
            h->ecn = 0; /* RFC3168-6.1.1-d: it has given up asking */
        answer_again(t, h);
        return TERN_CAUSE_NONE;
    }
    /* first: sequence number */
    if (!(s->flags & F_RST) && stamps_missing(h, s))
        return TERN_C_TS_MISSING;
    if (!(s->flags & F_RST) && stamps_old(h, s))
        return halfopen__owe_ack(t, h, TERN_C_PAWS);
    if (!seq_acceptable(nxt, listener_at(t, h->listener)->offer, s)) {
        if (s->flags & F_RST)
            return TERN_C_SEQ_RST;
        return halfopen__owe_ack(t, h, seq_lt(s->seq, nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND);
    }
    /* second: RST (RFC 5961 3.2) */
    if (s->flags & F_RST) {
        if (!seq_eq(s->seq, nxt))
            return halfopen__owe_ack(t, h, TERN_C_RST_CHALLENGE);
        halfopen_end(t, h, TERN_C_HALFOPEN_RESET);
        return TERN_CAUSE_NONE;
    }
    /* third: security: none here. fourth: SYN */
    if (s->flags & F_SYN) {
        halfopen_end(t, h, TERN_C_HALFOPEN_SYN);
        return TERN_CAUSE_NONE;
    }
    /* fifth: ACK */
    if (!(s->flags & F_ACK))
        return TERN_C_NO_ACK_BIT;
    /* before our SYN+ACK has left SND.NXT is ISS: there is nothing to acknowledge */
    bool ours = h->queue != QUEUE_NOW && seq_eq(s->ack, seq_add(h->iss, 1));
    if (!ours && !takes_cookie(t, h, s)) {
        reply_rst(t, s, TERN_C_SYN_RCVD_BAD_ACK);
        return TERN_C_SYN_RCVD_BAD_ACK;
    }
    return complete(t, h, s);
}

TERN_PRIVATE void halfopen_info(const struct tern *t, const struct halfopen *h, tern_info *out)
{
    struct agreed opt;
    halfopen__agreed_of(h, &opt);
    bool asked = h->queue != QUEUE_NOW && h->queue < QUEUE_PENDING;
    out->reason = (uint16_t)cause_of(h, parked((struct tern *)t, h));
    out->opened_us = out->state_since_us = backlog_opened_us(t, h);
    out->timer = TERN_TIMER_RETRANSMIT;
    out->timer_us = h->queue == QUEUE_NOW ? t->w->now : backlog_due_us(t, h);
    out->retransmits = out->backoff = asked ? h->queue - QUEUE_SENT : 0;
    out->rcv_wnd = ((const struct listener *)at_const(t->a, h->listener))->offer;
    out->mss = opt.mss;
    out->timestamps = opt.ts;
    out->sack = opt.sack;
    out->wscale = opt.wscale;
    out->snd_wscale = opt.snd_wscale;
    out->rcv_wscale = opt.rcv_wscale;
    out->ecn = opt.ecn;
}

#undef SHARE_LEAST

/* ====================================================================================== src/tcp/icmp.c */

/* icmp.c - ICMP about our segments (RFC 9293 3.9.2.2): matched by the embedded header (MUST-54), believed
 * only for a segment in flight (RFC5927-4.1-a), of that connection alone (RFC5927-5.2-c), and never the end
 * of a synchronized connection.
 *
 * RFC 9293 SHLD-26 would abort on unreachable codes 2 to 4. RFC 5927 5.2 and Linux treat them as soft in
 * synchronized states, because anybody can forge ICMP; so do we, and the program is told (RFC5927-5.2-ab). In
 * SYN_SENT and SYN_RCVD they end the attempt. Code 4 is path MTU, never an abort.
 */

enum meaning { MEANS_NOTHING, MEANS_SOFT, MEANS_HARD, MEANS_MTU };

/* Those of MUST-56 are soft. */
static enum meaning meaning4(const struct icmp_msg *m)
{
    if (m->type == ICMP_TIME || m->type == ICMP_PARAM)
        return MEANS_SOFT;
    if (m->type != ICMP_UNREACH)
        return MEANS_NOTHING; /* Source Quench too (MUST-55, RFC5927-6.2-a) */
    if (m->code == 4)
        return MEANS_MTU;
    bool prohibited = m->code == 9 || m->code == 10 || m->code == 13; /* RFC 1122 3.2.2.1, RFC 1812 5.2.7.1 */
    return m->code == 2 || m->code == 3 || prohibited ? MEANS_HARD : MEANS_SOFT;
}

/* Those of MUST-56 are soft. */
static enum meaning meaning6(const struct icmp_msg *m)
{
    if (m->type == ICMP6_TOO_BIG)
        return MEANS_MTU;
    if (m->type == ICMP6_TIME || m->type == ICMP6_PARAM)
        return MEANS_SOFT;
    if (m->type != ICMP6_UNREACH)
        return MEANS_NOTHING;
    return m->code == 1 || m->code == 4 ? MEANS_HARD : MEANS_SOFT;
}

/* RFC 1191, RFC 8201 (RFC7323-5.7-a), with a part of RFC 5927's care: it may only shrink, and not below what
 * every path carries (RFC5927-7.4-a). It is believed at once (RFC5927-7.2-abcd).
 * What was in flight and is now too large is sent again in smaller pieces. */
static enum tern_cause path_mtu(struct tern *t, struct tcb *c, const struct icmp_msg *m)
{
    bool v4 = m->version == 4;
    uint32_t mtu = v4 ? m->rest & 0xffff : m->rest;
    if (v4 ? mtu > 0 && mtu < 68 : mtu < 1280)
        return TERN_C_ICMP_UNUSED; /* no path is so narrow (RFC 8201 4); 0: a router from before RFC 1191 */
    uint32_t floor = v4 ? 552 : 1280, hdr = v4 ? 40 : 60;
    if (mtu < floor) /* IPv4 alone: less of IPv6 was refused above */
        c->snd.narrow = true;
    mtu = max_u32(mtu, floor);
    if (mtu - hdr >= c->snd.mtu_mss)
        return TERN_C_ICMP_UNUSED;
    c->snd.path_mss = (uint16_t)(mtu - hdr);
    mtu_renew(t, c);
    return TERN_CAUSE_NONE;
}

static enum tern_cause about_tcb(struct tern *t, struct tcb *c, const struct icmp_msg *m, enum meaning means)
{
    if (!seq_ge(m->in_seq, c->snd.una) || !seq_lt(m->in_seq, c->snd.nxt))
        return TERN_C_ICMP_SEQ;
    t->w->stats.icmp_errors_in++;
    trace_conn(t, &c->h, TERN_TRACE_ICMP, TERN_CAUSE_NONE, m->type, m->code, 0);
    if (means == MEANS_MTU)
        return path_mtu(t, c, m);
    face_soft_error(t, c, -TERN_EHOSTUNREACH, m->type, m->code);
    if (means == MEANS_HARD && !synchronized(c))
        tcb_end(t, c, TERN_C_ICMP_HARD, -TERN_EHOSTUNREACH);
    return TERN_CAUSE_NONE;
}

TERN_PRIVATE enum tern_cause tcp_icmp(struct tern *t, const struct icmp_msg *m, uint8_t link)
{
    enum meaning means = m->version == 4 ? meaning4(m) : meaning6(m);
    if (means == MEANS_NOTHING || !m->has_tcp)
        return TERN_C_ICMP_UNUSED;
    tern_endpoint local = {m->in_src, m->in_src_port, 0}, remote = {m->in_dst, m->in_dst_port, 0};
    ref_t r = demux_find(t, &local, &remote, link);
    if (r != 0 && rec_kind(t, r) == REC_IDLE)
        return TERN_C_ICMP_SEQ; /* at rest nothing is in flight that it could be about */
    if (r == 0 || rec_kind(t, r) != REC_TCB || tcb_at(t, r)->h.state == TERN_CLOSED)
        return TERN_C_ICMP_UNUSED; /* half-open and TIME_WAIT records live on their own timers */
    struct tcb *c = tcb_at(t, r);
    enum tern_cause cause = about_tcb(t, c, m, means);
    timer_rearm(t, c);
    return cause;
}


/* ====================================================================================== src/tcp/idle.c */

/* idle.c - a connection at rest gives back its control block.
 *
 * Most connections of a busy server do nothing at any moment. When nothing is in flight, queued, owed, unread
 * or unreported, most of the control block can be had from the rest: SND.NXT is SND.UNA, SND.WL1 is RCV.NXT,
 * the congestion window has fallen to the restart window (RFC 5681 4.1; so a connection rests only when it
 * has been quiet for longer than its retransmission timeout). What remains fits into the idle record. A
 * segment, a call or keepalive makes a control block of it again, and nobody can tell.
 *
 *   tcb ── quiet for max(rest_ms, RTO), or memory short ──▶ idle ── segment, call, timer ──▶ tcb
 *
 * idle_pack.c writes the one as the other.
 */

#define PRESS 64 /* control blocks that are looked at when memory is short */

static struct pool *pool_of(struct tern *t, bool is4) { return is4 ? &t->w->idles4 : &t->w->idles6; }

/* The record that a new connection's handle names. False: no memory. */
TERN_PRIVATE bool idle_new(struct tern *t, struct tcb *c)
{
    bool is4 = tern_ip_is4(&c->h.remote);
    c->idle = pool_get(t->a, pool_of(t, is4), MEM_DATA);
    if (c->idle == 0)
        return false;
    struct idle *i = idle_at(t, c->idle);
    i->tcb = self(t, c);
    i->local_port = c->h.local_port;
    i->remote_port = c->h.remote_port;
    ip_pair_write(i->pair, &c->h.local, &c->h.remote);
    return true;
}

TERN_PRIVATE void idle_free(struct tern *t, struct tcb *c)
{
    pool_put(t->a, pool_of(t, tern_ip_is4(&c->h.remote)), c->idle);
}

/* --- may it rest? ---------------------------------------------------------------------------------- */

static bool resting_state(const struct tcb *c)
{
    switch (c->h.state) {
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT: return !c->snd.fin_queued;
    case TERN_FIN_WAIT_2: return true;
    default: return false;
    }
}

static bool program_has_all(const struct tcb *c)
{
    const struct face *f = &c->face;
    return f->held && !f->listed && f->bits == 0 && c->rcv.q.len == 0 && !c->rcv.urgent;
}

static bool peer_has_all(const struct tcb *c)
{
    return c->list.count == 0 && c->snd.q.len == 0 && !c->snd.blocked && c->rec.phase == PHASE_OPEN &&
           !c->snd.urgent && c->snd.syn_acked;
}

static bool nothing_owed(const struct tcb *c)
{
    return !c->h.ready && c->ack.now_cause == 0 && c->ack.dup_owed == 0 && c->ack.delack_us == 0 &&
           c->rcv.ooo.head == 0 && !c->rcv.fin_ooo && c->rst_cause == 0;
}

/* Only keepalive may be armed, and it must not be asking. */
static bool no_timer(const struct tcb *c)
{
    const struct timers *m = &c->tm;
    return m->rexmit == TERN_TIMER_NONE && m->life_us == 0 && m->pace_us == 0 && m->tlp_us == 0 &&
           m->reo_us == 0 && m->keep_probes == 0 && !m->keep_probe && !m->probe;
}

static bool quiet(const struct tcb *c)
{
    return nothing_owed(c) && peer_has_all(c) && program_has_all(c) && resting_state(c) && no_timer(c) &&
           !c->h.parked && !c->dying && !c->restless;
}

/* The ration of challenge ACKs must not be renewed by a rest (RFC 5961 7). When memory is short that is no
 * reason to stay awake, or rubbish would keep the memory that others need to wake: then the record says that
 * it is used up (rationed). */
static uint64_t ration_over(const struct tcb *c)
{
    return c->ack.challenges == 0 ? 0 : c->ack.challenge_us + CHALLENGE_US;
}

TERN_PRIVATE uint64_t idle_due(const struct tern *t, const struct tcb *c)
{
    if (settings(t)->rest_us == UINT64_MAX || !quiet(c) || change_under_way(t))
        return 0;
    uint64_t last = max_u64(max_u64(c->last_rx_us, c->last_tx_us), max_u64(c->woken_us, c->h.since_us));
    uint64_t patience = max_u64(settings(t)->rest_us, rtt_timeout(&c->rtt, settings(t)) + 1ull);
    return max_u64(last + patience, ration_over(c));
}

/* --- to rest and back ------------------------------------------------------------------------------- */

/* The control block goes. False: it does not fit, and stays. */
static bool rest(struct tern *t, struct tcb *c)
{
    struct idle *i = idle_at(t, c->idle);
    if (!idle_fits(t, c)) {
        c->restless = true; /* until its next segment */
        return false;
    }
    if (c->snd.last_us != 0)
        cc_restart(&c->cc, c->snd.mss);
    shortage_leave(t, c); /* what was kept for it, it has not used */
    idle_pack(c, i);
    i->rationed = ration_over(c) > t->w->now;
    conn_timer(t, &c->h, 0);
    if (c->tm.keep_us != 0)
        wheel_set(t->a, &t->w->wheel, &i->timer, c->tm.keep_us);
    demux_replace(t, self(t, c), c->idle);
    i->tcb = 0;
    i->gone = 0;
    i->ending = IDLE_LIVES;
    pool_put(t->a, &t->w->tcbs, self(t, c));
    t->w->stats.rests++;
    return true;
}

TERN_PRIVATE bool idle_rest(struct tern *t, struct tcb *c)
{
    uint64_t due = idle_due(t, c);
    return due != 0 && due <= t->w->now && rest(t, c);
}

/* Not who has just said or heard something, and not who was told that it may send. */
static bool may_be_pressed(const struct tern *t, const struct tcb *c)
{
    return quiet(c) && c->shortage.stage == SHORTAGE_NONE &&
           max_u64(c->last_rx_us, c->last_tx_us) < t->w->now;
}

/* True: it rests now. */
static bool press_one(struct tern *t, ref_t r)
{
    if (change_under_way(t))
        change_reaches(t, r); /* the change does not come to a record at rest again */
    return may_be_pressed(t, tcb_at(t, r)) && rest(t, tcb_at(t, r));
}

/* Memory is short: whoever is quiet rests at once, a few control blocks at a time, round and round. The next
 * one is found first: with the last one of its page a page goes. */
TERN_PRIVATE bool idle_press(struct tern *t)
{
    const struct pool *all = &t->w->tcbs;
    bool found = false;
    uint32_t most = min_u32(PRESS, all->live);
    ref_t r = t->w->press;
    if (r != 0 && (rec_kind(t, r) != REC_TCB || pool_gen(t->a, r) == 0))
        pool_next(t->a, all, &r); /* it has gone since */
    for (uint32_t n = 0; n < most && (r != 0 || pool_next(t->a, all, &r)); n++) {
        ref_t next = r;
        pool_next(t->a, all, &next);
        found |= press_one(t, r);
        r = next;
    }
    t->w->press = r;
    return found;
}

#define AGAIN_US 1000000u /* without memory to wake it, it is tried again */

/* The program lets go while there is no memory to do what that asks for. */
TERN_PRIVATE void idle_end_later(struct tern *t, struct idle *i, enum idle_end how)
{
    i->ending = how & 3;
    wheel_set(t->a, &t->w->wheel, &i->timer, t->w->now + AGAIN_US);
}

static void end_now(struct tern *t, struct idle *i, struct tcb *c)
{
    enum idle_end how = (enum idle_end)i->ending;
    i->ending = IDLE_LIVES;
    if (how == IDLE_CLOSE)
        tcb_close(t, c);
    else if (how == IDLE_ABORT)
        tcb_abort(t, c);
}

/* A control block for a connection that may go on at any moment: it has the reserve. */
TERN_PRIVATE struct tcb *idle_wake(struct tern *t, struct idle *i)
{
    if (i->tcb != 0)
        return tcb_at(t, i->tcb);
    ref_t r = pool_get(t->a, &t->w->tcbs, MEM_CONTROL);
    if (r == 0 && idle_press(t))
        r = pool_get(t->a, &t->w->tcbs, MEM_CONTROL);
    if (r == 0)
        return NULL;
    struct tcb *c = tcb_at(t, r);
    idle_view(t, i, c);
    wheel_cancel(t->a, &t->w->wheel, &i->timer);
    demux_replace(t, c->idle, r);
    i->tcb = r;
    c->woken_us = t->w->now;
    change_way(t, c); /* routes and links may have changed meanwhile */
    mtu_renew(t, c);
    if (i->gone)
        tcb_end(t, c, TERN_C_ADDR_REMOVED, -TERN_EADDRNOTAVAIL);
    else if (change_under_way(t))
        change_reaches(t, r);
    end_now(t, i, c);
    timer_rearm(t, c);
    t->w->stats.wakes++;
    return c;
}

/* Its timer: keepalive, if it was not to end. The control block that has work to do now; NULL: none,
 * later. */
TERN_PRIVATE struct tcb *idle_fired(struct tern *t, struct idle *i)
{
    bool keepalive = i->ending == IDLE_LIVES;
    struct tcb *c = idle_wake(t, i);
    if (c == NULL)
        wheel_set(t->a, &t->w->wheel, &i->timer, t->w->now + AGAIN_US);
    else if (keepalive)
        c->tm.keep_us = t->w->now; /* it is no longer in the wheel */
    return keepalive ? c : NULL;
}

#undef PRESS
#undef AGAIN_US

/* ================================================================================= src/tcp/idle_pack.c */

/* idle_pack.c - a control block at rest, written small, and read again.
 *
 * Left out is what follows from the rest while nothing is in flight, queued, owed or unread: SND.NXT is
 * SND.UNA, SND.WL1 and SND.WL2 are RCV.NXT and SND.UNA (RFC 9293 3.10.7.4 fifth would take any acceptable
 * segment's window), Last.ACK.sent is RCV.NXT (RFC 7323 4.3), the timeout follows from SRTT and RTTVAR
 * (RFC 6298 2.3), byte counts are differences of sequence numbers (RFC 9293 3.4) and the number of their
 * wraps. What does not fit (a counter above 16 bits, a time above 48) stays awake: nothing is rounded but the
 * time of TS.Recent, to seconds of its 24 days (RFC 7323 5.5).
 */

static struct u48 u48(uint64_t v)
{
    return (struct u48){{(uint16_t)v, (uint16_t)(v >> 16), (uint16_t)(v >> 32)}};
}

static uint64_t wide(struct u48 v) { return v.w[0] | (uint64_t)v.w[1] << 16 | (uint64_t)v.w[2] << 32; }

static bool fits48(uint64_t v) { return v >> 48 == 0; }

TERN_PRIVATE uint64_t idle_conn(const struct idle *i) { return wide(i->conn); }

TERN_PRIVATE void idle_addresses(const struct tern *t, const struct idle *i, tern_ip *local, tern_ip *remote)
{
    bool is4 = arena_kind(t->a, ref_of(t->a, i)) == (enum page_kind)(PAGE_POOL0 + POOL_IDLE4);
    ip_pair_read(i->pair, is4, local, remote);
}

/* --- control block to idle record ------------------------------------------------------------------ */

/* Bytes by the sequence numbers, modulo 2^32. */
static uint32_t acked_low(const struct tcb *c)
{
    return seq_span(c->snd.iss, c->snd.una) - 1u - c->snd.fin_acked;
}

static uint32_t received_low(const struct tcb *c)
{
    return seq_span(c->rcv.irs, c->rcv.nxt) - 1u - c->rcv.fin_rcvd;
}

static bool totals_fit(const struct tcb *c)
{
    const struct totals *s = &c->sum;
    uint32_t counts = s->retransmits | s->fast_retransmits | s->timeouts | s->dup_acks_in | s->ooo_in |
                      s->challenge_acks | s->dsacks;
    return counts <= UINT16_MAX && s->retransmitted <= UINT32_MAX && fits48(s->sent) && fits48(s->acked) &&
           fits48(s->received) && (uint32_t)s->acked == acked_low(c) &&
           (uint32_t)s->received == received_low(c);
}

static bool times_fit(const struct tcb *c)
{
    return fits48(c->h.opened_us | c->h.since_us | c->last_rx_us | c->last_tx_us | c->h.conn) &&
           c->ts.recent_us / 1000000 <= UINT32_MAX;
}

/* The history is a chain that ends in the present state. */
static bool history_fits(const struct tcb *c)
{
    uint8_t to = c->h.state;
    if (c->history[0].cause != c->h.cause || c->history[0].t_us != c->h.since_us)
        return false;
    for (int i = 0; i < TERN_HISTORY && c->history[i].cause != 0; i++) {
        if (c->history[i].to != to || !fits48(c->history[i].t_us))
            return false;
        to = c->history[i].from;
    }
    return true;
}

/* What is left to the sequence numbers must follow from them. */
static bool numbers_fit(const struct tern *t, const struct tcb *c)
{
    struct rtt fresh = c->rtt;
    rtt_derive(&fresh, settings(t));
    return seq_eq(c->snd.una, c->snd.nxt) && seq_eq(c->ts.last_ack_sent, c->rcv.nxt) &&
           fresh.rto_us == c->rtt.rto_us && c->rtt.backoff == 0 &&
           c->snd.buffer == c->set.send_buffer && c->rcv.buffer == c->set.recv_buffer &&
           (!c->rcv.fin_rcvd || c->rcv.fin_us == c->h.since_us) && c->cc.algo < 8 && c->rack.persist < 32 &&
           c->ack.quick < 16 && c->snd.link < 16;
}

TERN_PRIVATE bool idle_fits(const struct tern *t, const struct tcb *c)
{
    return !c->ts.foreign && !c->snd.no_ect && totals_fit(c) && times_fit(c) && history_fits(c) &&
           numbers_fit(t, c);
}

static void pack_flags(const struct tcb *c, struct idle *i)
{
    i->wscales = (uint8_t)(c->opt.snd_wscale << 4 | c->opt.rcv_wscale);
    i->wscale = c->opt.wscale;
    i->ts = c->opt.ts;
    i->sack = c->opt.sack;
    i->ecn = c->opt.ecn;
    i->fin_rcvd = c->rcv.fin_rcvd;
    i->eof_read = c->rcv.eof_read;
    i->fin_acked = c->snd.fin_acked;
    i->narrow = c->snd.narrow;
    i->limited = c->snd.limited;
    i->ece = c->ack.ece;
    i->cwr = c->snd.cwr;
    i->reordering = c->rack.reordering;
    i->quick = c->ack.quick & 15;
    i->rack_persist = c->rack.persist & 31;
    i->rack_mult = c->rack.mult;
    i->algo = c->cc.algo & 7;
    i->unmeasured = c->tlp.unmeasured;
}

static void pack_options(const struct options *o, struct idle *i)
{
    i->nodelay = o->nodelay;
    i->quickack = o->quickack;
    i->keepalive = o->keepalive;
    i->linger0 = o->linger0;
    i->reports = o->reports;
    i->set_ecn = o->ecn & 3;
    i->keep_idle_ms = o->keep_idle_ms;
    i->keep_intvl_ms = o->keep_intvl_ms;
    i->user_timeout_ms = o->user_timeout_ms;
    i->send_buffer = o->send_buffer;
    i->recv_buffer = o->recv_buffer;
    i->max_seg = o->max_seg;
    i->keep_cnt = o->keep_cnt;
    i->dscp = o->dscp;
    i->ttl = o->ttl;
}

static void pack_numbers(const struct tcb *c, struct idle *i)
{
    i->irs = c->rcv.irs;
    i->rcv_nxt = c->rcv.nxt;
    i->rcv_adv = c->rcv.adv;
    i->iss = c->snd.iss;
    i->snd_una = c->snd.una;
    i->snd_wnd = c->snd.wnd;
    i->max_wnd = c->snd.max_wnd;
    i->peer_mss = c->opt.mss;
    i->path_mss = c->snd.path_mss;
    i->ack_seg = (uint16_t)c->ack.seg;
    i->ts_recent = c->ts.recent;
    i->ts_recent_s = (uint32_t)(c->ts.recent_us / 1000000);
    i->srtt_us = c->rtt.srtt_us;
    i->rttvar_us = c->rtt.rttvar_us;
    i->min_rtt_us = c->rtt.min_us;
    i->cwnd = c->cc.cwnd;
    i->ssthresh = c->cc.ssthresh;
}

static void pack_totals(const struct tcb *c, struct idle *i)
{
    const struct totals *s = &c->sum;
    i->sent = u48(s->sent);
    i->acked_wraps = (uint16_t)(s->acked >> 32);
    i->received_wraps = (uint16_t)(s->received >> 32);
    i->retransmitted = (uint32_t)s->retransmitted;
    i->segs_out = s->segs_out;
    i->segs_in = s->segs_in;
    i->retransmits = (uint16_t)s->retransmits;
    i->fast_retransmits = (uint16_t)s->fast_retransmits;
    i->timeouts = (uint16_t)s->timeouts;
    i->dup_acks_in = (uint16_t)s->dup_acks_in;
    i->ooo_in = (uint16_t)s->ooo_in;
    i->challenge_acks = (uint16_t)s->challenge_acks;
    i->dsacks = (uint16_t)s->dsacks;
}

static void pack_life(const struct tcb *c, struct idle *i)
{
    i->state = c->h.state & 15;
    i->way = c->snd.link & 15;
    i->link = c->h.link & 15;
    i->conn = u48(c->h.conn);
    i->opened_us = u48(c->h.opened_us);
    i->since_us = u48(c->h.since_us);
    i->cause = c->h.cause;
    i->from = 0;
    for (int k = 0; k < TERN_HISTORY; k++)
        i->from |= (uint16_t)((c->history[k].from & 15) << 4 * k);
    for (int k = 1; k < TERN_HISTORY; k++) {
        i->earlier[k - 1].cause = c->history[k].cause;
        i->earlier[k - 1].t_us = u48(c->history[k].t_us);
    }
    i->last_rx_us = u48(c->last_rx_us);
    i->last_tx_us = u48(c->last_tx_us);
    i->ttl_in = c->ttl_in;
    i->tos_in = c->tos_in;
    i->data = c->face.data;
    i->soft_error = (uint8_t)-c->face.soft_error;
    i->icmp_type = c->face.icmp_type;
    i->icmp_code = c->face.icmp_code;
}

TERN_PRIVATE void idle_pack(const struct tcb *c, struct idle *i)
{
    pack_flags(c, i);
    pack_options(&c->set, i);
    pack_numbers(c, i);
    pack_totals(c, i);
    pack_life(c, i);
}

/* --- idle record to control block ------------------------------------------------------------------ */

static void unpack_head(const struct tern *t, const struct idle *i, struct tcb *c)
{
    struct conn_head *h = &c->h;
    h->kind = REC_TCB;
    h->state = i->state;
    h->link = i->link;
    idle_addresses(t, i, &h->local, &h->remote);
    h->local_port = i->local_port;
    h->remote_port = i->remote_port;
    h->conn = wide(i->conn);
    h->opened_us = wide(i->opened_us);
    h->since_us = wide(i->since_us);
    h->cause = i->cause;
    h->tos = (uint8_t)(i->dscp << 2);
    h->ttl = i->ttl;
    c->face.held = i->ending == IDLE_LIVES;
    c->face.data = i->data;
    c->face.soft_error = -(int)i->soft_error;
    c->face.icmp_type = i->icmp_type;
    c->face.icmp_code = i->icmp_code;
}

static void unpack_history(const struct idle *i, struct tcb *c)
{
    uint8_t to = i->state;
    for (int k = 0; k < TERN_HISTORY; k++) {
        c->history[k].cause = k == 0 ? i->cause : i->earlier[k - 1].cause;
        if (c->history[k].cause == 0)
            break;
        c->history[k].t_us = wide(k == 0 ? i->since_us : i->earlier[k - 1].t_us);
        c->history[k].to = to;
        c->history[k].from = to = i->from >> 4 * k & 15;
    }
    c->last_rx_us = wide(i->last_rx_us);
    c->last_tx_us = wide(i->last_tx_us);
    c->ttl_in = i->ttl_in;
    c->tos_in = i->tos_in;
}

static void unpack_options(const struct idle *i, struct tcb *c)
{
    struct options *o = &c->set;
    o->nodelay = i->nodelay;
    o->quickack = i->quickack;
    o->keepalive = i->keepalive;
    o->linger0 = i->linger0;
    o->reports = i->reports;
    o->ecn = i->set_ecn;
    o->keep_idle_ms = i->keep_idle_ms;
    o->keep_intvl_ms = i->keep_intvl_ms;
    o->user_timeout_ms = i->user_timeout_ms;
    o->send_buffer = i->send_buffer;
    o->recv_buffer = i->recv_buffer;
    o->max_seg = i->max_seg;
    o->keep_cnt = i->keep_cnt;
    o->dscp = i->dscp;
    o->ttl = i->ttl;
    c->opt = (struct agreed){
        .mss = i->peer_mss,
        .snd_wscale = i->wscales >> 4,
        .rcv_wscale = i->wscales & 15,
        .wscale = i->wscale,
        .ts = i->ts,
        .sack = i->sack,
        .ecn = i->ecn,
    };
}

static void unpack_receiving(const struct tern *t, const struct idle *i, struct tcb *c)
{
    struct rcv *r = &c->rcv;
    r->irs = i->irs;
    r->nxt = i->rcv_nxt;
    r->adv = i->rcv_adv;
    r->buffer = i->recv_buffer;
    r->fin_rcvd = i->fin_rcvd;
    r->fin = seq_sub(r->nxt, 1);
    r->fin_us = i->fin_rcvd ? c->h.since_us : 0;
    r->eof_read = i->eof_read;
    chunkq_init(&r->q, r->nxt.v - i->fin_rcvd);
    c->ack.seg = i->ack_seg;
    c->ack.quick = i->quick;
    c->ack.ece = i->ece;
    c->ack.challenges = i->rationed ? CHALLENGES : 0;
    c->ack.challenge_us = wide(i->last_tx_us); /* no challenge was later */
    c->ts.recent = i->ts_recent;
    c->ts.recent_us = i->ts_recent_s * 1000000ull;
    c->ts.offset = stamp_offset(t, &c->h.local, &c->h.remote);
    c->ts.last_ack_sent = r->nxt;
}

static void unpack_sending(const struct tern *t, const struct idle *i, struct tcb *c)
{
    struct snd *s = &c->snd;
    s->iss = i->iss;
    s->una = s->nxt = s->small = i->snd_una;
    s->wl1 = i->rcv_nxt;
    s->wl2 = i->snd_una;
    s->wnd = i->snd_wnd;
    s->max_wnd = i->max_wnd;
    s->path_mss = i->path_mss;
    s->link = i->way;
    mtu_derive(t, c);
    s->buffer = i->send_buffer;
    s->syn_acked = true;
    s->fin_queued = s->fin_sent = s->fin_acked = i->fin_acked;
    s->narrow = i->narrow;
    s->limited = i->limited;
    s->cwr = i->cwr;
    chunkq_init(&s->q, s->una.v - i->fin_acked);
    s->last_us = wide(i->sent) > 0 ? wide(i->last_tx_us) : 0; /* longer ago than any timeout, in any case */
    sendlist_init(&c->list, s->una);
    c->rtt.srtt_us = i->srtt_us;
    c->rtt.rttvar_us = i->rttvar_us;
    c->rtt.min_us = i->min_rtt_us;
    rtt_derive(&c->rtt, settings(t));
    c->cc.algo = i->algo;
    c->cc.cwnd = i->cwnd;
    c->cc.ssthresh = i->ssthresh;
    c->rack.reordering = i->reordering;
    c->rack.mult = i->rack_mult;
    c->rack.persist = i->rack_persist;
    c->tlp.unmeasured = i->unmeasured;
}

static void unpack_totals(const struct idle *i, struct tcb *c)
{
    c->sum = (struct totals){
        .sent = wide(i->sent),
        .acked = (uint64_t)i->acked_wraps << 32 | acked_low(c),
        .received = (uint64_t)i->received_wraps << 32 | received_low(c),
        .retransmitted = i->retransmitted,
        .segs_out = i->segs_out,
        .segs_in = i->segs_in,
        .retransmits = i->retransmits,
        .fast_retransmits = i->fast_retransmits,
        .timeouts = i->timeouts,
        .dup_acks_in = i->dup_acks_in,
        .ooo_in = i->ooo_in,
        .challenge_acks = i->challenge_acks,
        .dsacks = i->dsacks,
    };
}

TERN_PRIVATE void idle_view(const struct tern *t, const struct idle *i, struct tcb *c)
{
    unpack_head(t, i, c);
    unpack_history(i, c);
    unpack_options(i, c);
    unpack_receiving(t, i, c);
    unpack_sending(t, i, c);
    unpack_totals(i, c);
    c->idle = ref_of(t->a, i);
    if (wheel_armed(&i->timer) && i->ending == IDLE_LIVES)
        c->tm.keep_us = wheel_when(&t->w->wheel, &i->timer);
}


/* ================================================================================= src/tcp/in_closed.c */

/* in_closed.c - a segment for no connection and no listener (RFC 9293 3.10.7.1): RST, 3.5.2 group 1. */

TERN_PRIVATE enum tern_cause in_closed(struct tern *t, const struct segment *s)
{
    if (s->flags & F_RST)
        return TERN_C_CLOSED_RST; /* a RST never draws a RST */
    reply_rst(t, s, TERN_C_NO_CONNECTION);
    return TERN_C_NO_CONNECTION;
}


/* ================================================================================= src/tcp/in_listen.c */

/* in_listen.c - a segment for a listener and no connection (RFC 9293 3.10.7.2), in the RFC's order. */

TERN_PRIVATE enum tern_cause in_listen(struct tern *t, struct listener *l, const struct segment *s)
{
    /* first: RST */
    if (s->flags & F_RST)
        return TERN_C_LISTEN_RST;
    /* second: ACK */
    if ((s->flags & (F_ACK | F_SYN)) == F_ACK && cookie_awaited(t, l))
        return cookie_ack(t, l, s);
    if (s->flags & F_ACK) {
        reply_rst(t, s, TERN_C_LISTEN_ACK);
        return TERN_C_LISTEN_ACK;
    }
    /* third: SYN; security: none here. Data on the SYN is not kept (RFC4987-3.5-c) */
    if (s->flags & F_SYN)
        return halfopen_open(t, l, s, 0);
    /* fourth: anything else */
    return TERN_C_LISTEN_NO_SYN;
}


/* ================================================================================ src/tcp/in_synsent.c */

/* in_synsent.c - a segment in SYN_SENT (RFC 9293 3.10.7.3), in the RFC's order. */

/* The peer's SYN: its number and what it offers. */
static void take_syn(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct rcv *r = &c->rcv;
    uint8_t shift = settings(t)->wscale ? options_wscale(c->set.recv_buffer) : WSCALE_NONE;
    uint32_t wnd = rcv_wnd(r);
    bool ecn_asked = c->opt.ecn;
    options_agree(t, s, shift, &c->opt);
    /* RFC3168-6.1.1-dh: SYN+ACK says ECE without CWR; a crossing SYN says both; all else means no */
    uint8_t ecn = s->flags & (F_ECE | F_CWR);
    c->opt.ecn = ecn_asked && ((s->flags & F_ACK) ? ecn == F_ECE : ecn == (F_ECE | F_CWR));
    r->irs = s->seq;
    r->nxt = seq_add(s->seq, 1);
    r->adv = seq_add(r->nxt, wnd);
    chunkq_init(&r->q, r->nxt.v);
    c->ts.recent = s->opt.ts_val;
    c->ts.recent_us = t->w->now;
    c->ts.last_ack_sent = r->nxt;
    c->snd.mss = options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
    cc_init(&c->cc, c->cc.algo, c->snd.mss);
    recovery_begin(c);
}

static void note_rtt(struct tern *t, struct tcb *c)
{
    struct sendrec *syn = c->list.seq.head != 0 ? at(t->a, c->list.seq.head) : NULL;
    bool slept = syn != NULL && across_jump(t, syn->sent_us);
    if (syn != NULL && syn->times == 1 && syn->sent_us != 0 && !slept)
        rtt_sample(&c->rtt, (uint32_t)min_u64(t->w->now - syn->sent_us, 1u << 29), settings(t));
    else if (syn != NULL && !slept) /* RFC6298-5.7-a: the SYN was repeated; start with 3 s */
        c->rtt.rto_us = max_u32(3000000, settings(t)->rto_min_us);
    c->rtt.backoff = 0;
}

/* Fourth, our SYN is acknowledged. */
static enum tern_cause open_now(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct acked a = {0};
    note_rtt(t, c);
    if (c->list.seq.head != 0 && ((struct sendrec *)at(t->a, c->list.seq.head))->times > 2)
        c->cc.cwnd = c->snd.mss; /* RFC5681-3.1-d, RFC 6928 2: more than one SYN lost means one segment */
    sendlist_ack(t, &c->list, s->ack, &a);
    c->snd.una = s->ack;
    c->snd.syn_acked = true;
    ack_take_window(c, s);
    state_change(t, &c->h, TERN_C_SYNACK_RCVD, TERN_ESTABLISHED);
    timer_progress(t, c);
    timer_keepalive(t, c);
    recv_ack_now(t, c, TERN_C_SEND_ACK_OF_SYN);
    face_raise(t, &c->h, TERN_CONNECTED);
    shortage_opened(t, c);
    /* other control or text: at the sixth step */
    if (s->len > 0 || (s->flags & (F_FIN | F_URG)))
        return in_text_and_fin(t, c, s);
    return TERN_CAUSE_NONE;
}

/* Fourth, without ACK: simultaneous open. Our SYN is sent again, now with the ACK, by output. */
static void cross(struct tern *t, struct tcb *c, const struct segment *s)
{
    ack_take_window(c, s);
    state_change(t, &c->h, TERN_C_SYN_RCVD_SIMULTANEOUS, TERN_SYN_RCVD);
    recv_ack_now(t, c, TERN_C_SEND_SYNACK);
}

TERN_PRIVATE enum tern_cause in_synsent(struct tern *t, struct tcb *c, const struct segment *s)
{
    bool ack = (s->flags & F_ACK) != 0;
    /* first: ACK. ISS < SEG.ACK =< SND.NXT */
    if (ack && (!seq_gt(s->ack, c->snd.una) || seq_gt(s->ack, c->snd.nxt))) {
        if (s->flags & F_RST)
            return TERN_C_SYN_SENT_BAD_ACK_RST;
        reply_rst(t, s, TERN_C_SYN_SENT_BAD_ACK);
        return TERN_C_SYN_SENT_BAD_ACK;
    }
    /* second: RST. Nothing is known of the peer's numbers, so the ACK alone vouches for it
     * (RFC5961-3.2-f) */
    if (s->flags & F_RST) {
        if (!ack)
            return TERN_C_SYN_SENT_RST_NO_ACK;
        t->w->stats.resets_in++;
        tcb_end(t, c, TERN_C_REFUSED, -TERN_ECONNREFUSED);
        return TERN_CAUSE_NONE;
    }
    /* third: security and compartment: none here (RFC 9293 A.1.2) */
    /* fourth: SYN */
    if (s->flags & F_SYN) {
        take_syn(t, c, s);
        if (ack)
            return open_now(t, c, s);
        cross(t, c, s);
        return TERN_CAUSE_NONE;
    }
    /* fifth: neither SYN nor RST */
    return TERN_C_SYN_SENT_NO_SYN;
}


/* ===================================================================================== src/tcp/input.c */

/* input.c - SEGMENT ARRIVES (RFC 9293 3.10.7): the front door, and 3.10.7.4 as an ordered list.
 *
 *   tcp_input ─▶ which record? ─▶ none: in_closed.c        3.10.7.1
 *                                 listener: in_listen.c    3.10.7.2
 *                                 half-open: halfopen.c    3.10.7.4 for SYN_RCVD of a listener
 *                                 SYN_SENT: in_synsent.c   3.10.7.3
 *                                 TIME_WAIT: timewait.c    3.10.7.4 for TIME_WAIT
 *                                 else: in_synchronized    3.10.7.4, below
 *
 * Hold the RFC beside it: each step of 3.10.7.4 is one call, in order. Nothing is sent here: steps note what
 * is owed, output.c sends it.
 */

/* Second: RST, by RFC 5961 3.2 (RFC5961-3.2-acde, also as the answer to a challenge: RFC5961-4.2-d); its
 * timestamps mean nothing (RFC7323-5.2-f). Its place counts, not its length (SHLD-2), and a shut window does
 * not matter (MUST-66). SYN_RCVD here was an active OPEN: refused (MUST-11; a passive one is
 * halfopen.c's). */
static enum tern_cause check_rst(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!seq_eq(s->seq, c->rcv.nxt)) {
        challenge(t, c, TERN_C_SEND_CHALLENGE);
        return TERN_C_RST_CHALLENGE;
    }
    t->w->stats.resets_in++;
    if (c->h.state == TERN_SYN_RCVD)
        tcb_end(t, c, TERN_C_REFUSED_SYN_RCVD, -TERN_ECONNREFUSED);
    else
        tcb_end(t, c, TERN_C_RESET, -TERN_ECONNRESET);
    return TERN_CAUSE_NONE;
}

/* Fifth, in SYN_RCVD: the ACK of our SYN opens the connection; any other draws a RST (3.5.2 group 2), also
 * one that RFC 5961 would answer by an ACK: only a RST ends an old connection that the peer may still
 * hold. */
static enum tern_cause ack_in_syn_rcvd(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!seq_gt(s->ack, c->snd.una) || seq_gt(s->ack, c->snd.nxt)) {
        reply_rst(t, s, TERN_C_SYN_RCVD_BAD_ACK);
        return TERN_C_SYN_RCVD_BAD_ACK;
    }
    state_change(t, &c->h, TERN_C_SYN_ACKED, TERN_ESTABLISHED);
    ack_take_window(c, s);
    face_raise(t, &c->h, TERN_CONNECTED);
    shortage_opened(t, c);
    timer_keepalive(t, c);
    return TERN_CAUSE_NONE;
}

/* Fifth, what the ACK of our FIN means. FIN_WAIT_1 is decided after the eighth step, so that with FIN and ACK
 * in one segment the state changes once. Returns false when the connection is over. */
static bool fin_acked_step(struct tern *t, struct tcb *c)
{
    if (!c->snd.fin_acked)
        return true;
    switch (c->h.state) {
    case TERN_CLOSING:
        tcb_time_wait(t, c, TERN_C_CLOSING_ACKED);
        return true;
    case TERN_LAST_ACK:
        tcb_end(t, c, TERN_C_LAST_ACKED, 0);
        return false;
    default:
        return true;
    }
}

/* After the eighth: our FIN is acknowledged and the peer's has not come. */
static void decide_fin_wait(struct tern *t, struct tcb *c)
{
    if (c->h.state == TERN_FIN_WAIT_1 && c->snd.fin_acked)
        tcb_fin_wait_2(t, c);
}

static bool takes_text(const struct tcb *c)
{
    return c->h.state == TERN_ESTABLISHED || c->h.state == TERN_FIN_WAIT_1 || c->h.state == TERN_FIN_WAIT_2;
}

/* Eighth: FIN, once it is next. */
static void input__check_fin(struct tern *t, struct tcb *c)
{
    c->rcv.nxt = seq_add(c->rcv.nxt, 1);
    c->rcv.adv = seq_max(c->rcv.adv, c->rcv.nxt);
    c->rcv.fin_rcvd = true;
    reasm_clear(t, &c->rcv); /* nothing comes behind a FIN */
    c->rcv.fin_us = t->w->now;
    recv_ack_now(t, c, TERN_C_SEND_ACK_FIN);
    face_raise(t, &c->h, TERN_READABLE | TERN_PEER_CLOSED);
    switch (c->h.state) {
    case TERN_ESTABLISHED:
        state_change(t, &c->h, TERN_C_FIN_RCVD, TERN_CLOSE_WAIT);
        break;
    case TERN_FIN_WAIT_1:
        if (c->snd.fin_acked)
            tcb_time_wait(t, c, TERN_C_FIN_AND_ACK);
        else
            state_change(t, &c->h, TERN_C_FIN_CROSSED, TERN_CLOSING);
        break;
    case TERN_FIN_WAIT_2:
        tcb_time_wait(t, c, TERN_C_FIN_LAST);
        break;
    default:
        ASSERT(false); /* takes_text admits no other state */
    }
}

/* The timestamp of the segment that covers Last.ACK.sent is the one to echo (RFC7323-4.3-abc, RFC7323-5.3-d).
 * The first step has refused what is older than the last one, so it never decreases (RFC7323-5.2-a). Nothing
 * was agreed, nothing is noted (RFC7323-3.2-k). */
static void note_stamp(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!c->opt.ts || !s->opt.ts || seq_gt(s->seq, c->ts.last_ack_sent))
        return;
    c->ts.recent = s->opt.ts_val;
    c->ts.recent_us = t->w->now;
}

/* SHLD-8: CE is echoed until the peer says CWR (RFC3168-6.1.3-ab), whether or not we set ECT
 * (RFC3168-6.1.1-f). */
static void note_ecn(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (!c->opt.ecn)
        return;
    if (s->flags & F_CWR)
        c->ack.ece = 0;
    if ((s->tos & 3) != ECN_CE || s->len == 0)
        return;
    t->w->stats.ecn_ce_in++;
    if (c->ack.ece == 0)
        recv_ack_now(t, c, TERN_C_SEND_ACK_NOW);
    c->ack.ece = 1;
}

/* The sixth to the eighth step; also the end of 3.10.7.3 when a SYN+ACK carries more. */
TERN_PRIVATE enum tern_cause in_text_and_fin(struct tern *t, struct tcb *c, const struct segment *s)
{
    /* CLOSE_WAIT and later: URG and text are ignored, a FIN is acknowledged and changes nothing */
    if (!takes_text(c)) {
        if (s->flags & F_FIN)
            recv_ack_now(t, c, TERN_C_SEND_ACK_FIN);
        return s->len > 0 ? TERN_C_TEXT_IGNORED : TERN_CAUSE_NONE;
    }
    /* sixth: URG */
    if (s->flags & F_URG)
        recv_urgent(t, c, s);
    /* seventh: text */
    enum tern_cause cause = TERN_CAUSE_NONE;
    if (s->len > 0 || (s->flags & F_FIN))
        cause = recv_text(t, c, s);
    /* eighth: FIN */
    if (recv_fin_reached(c) && c->h.state != TERN_CLOSED)
        input__check_fin(t, c);
    return cause;
}

/* RFC 9293 A.2, figure 7: the answer to our SYN in a simultaneous open begins at IRS, below RCV.NXT; its ACK
 * counts. */
static bool answers_crossing_syn(const struct tcb *c, const struct segment *s)
{
    bool synack = (s->flags & (F_SYN | F_ACK | F_RST | F_FIN)) == (F_SYN | F_ACK);
    return synack && !c->snd.syn_acked && seq_eq(s->seq, c->rcv.irs) && seq_gt(s->ack, c->snd.una) &&
           seq_le(s->ack, c->snd.nxt);
}

/* A segment that only its ACK is taken of. It is a sign of life (MUST-26): the answer to a keepalive probe
 * looks like that when the peer's window is filled and some of it was lost. */
static void ack_alone(struct tern *t, struct tcb *c, const struct segment *s)
{
    if (c->h.state == TERN_SYN_RCVD || seq_gt(s->ack, c->snd.nxt) || seq_lt(s->ack, c->snd.una))
        return;
    ack_segment(t, c, s);
    timer_keepalive(t, c);
    if (s->flags & F_URG && takes_text(c))
        recv_urgent(t, c, s); /* MUST-66: also while our window is shut */
    if (seq_eq(s->seq, c->rcv.nxt))
        note_ecn(t, c, s); /* a window probe's mark counts (RFC3168-6.1.6-b) */
    if (fin_acked_step(t, c))
        decide_fin_wait(t, c);
}

TERN_PRIVATE enum tern_cause in_synchronized(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum seq_verdict verdict;
    enum tern_cause cause;
    if (answers_crossing_syn(c, s)) {
        recv_ack_now(t, c, TERN_C_SEND_ACK_OF_SYN);
        if (c->h.state == TERN_SYN_RCVD)
            ack_in_syn_rcvd(t, c, s);
        ack_segment(t, c, s);
        return TERN_CAUSE_NONE;
    }
    /* first: sequence number (and PAWS) */
    cause = accept_seq(t, c, s, &verdict);
    if (verdict == SEQ_OLD_ACK)
        ack_alone(t, c, s);
    /* a RST is judged by its place alone: neither data in it nor a shut window saves the connection */
    if (verdict != SEQ_OK && !((s->flags & F_RST) && seq_eq(s->seq, c->rcv.nxt)))
        return cause;
    /* second: RST */
    if (s->flags & F_RST)
        return check_rst(t, c, s);
    /* third: security and compartment: none here (RFC 9293 A.1.2) */
    /* fourth: SYN (RFC5961-4.2-abc): challenged wherever it lies */
    if (s->flags & F_SYN) {
        challenge(t, c, TERN_C_SEND_CHALLENGE);
        return TERN_C_SYN_CHALLENGE;
    }
    /* fifth: ACK */
    if (!(s->flags & F_ACK))
        return TERN_C_NO_ACK_BIT;
    if (c->h.state == TERN_SYN_RCVD && (cause = ack_in_syn_rcvd(t, c, s)) != TERN_CAUSE_NONE)
        return cause;
    cause = ack_segment(t, c, s);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    /* only now, so that a forged segment must guess the ACK too (RFC 5961 5.2), and what lies outside of the
     * window marks nothing (RFC3168-6.1.5-b) */
    note_stamp(t, c, s);
    note_ecn(t, c, s);
    if (!fin_acked_step(t, c) || (c->h.state == TERN_CLOSING && !c->snd.fin_acked))
        return TERN_CAUSE_NONE;
    /* sixth: URG; seventh: text; eighth: FIN */
    cause = in_text_and_fin(t, c, s);
    decide_fin_wait(t, c);
    return cause;
}

/* What every segment of a live connection tells. */
static void note_arrival(struct tern *t, struct tcb *c, const struct segment *s)
{
    c->sum.segs_in++;
    c->restless = false;
    c->last_rx_us = t->w->now;
    c->ttl_in = s->ttl;
    c->tos_in = s->tos;
}

static enum tern_cause in_tcb(struct tern *t, struct tcb *c, const struct segment *s)
{
    enum tern_cause cause;
    note_arrival(t, c, s);
    if (c->h.state == TERN_SYN_SENT)
        cause = in_synsent(t, c, s);
    else if (c->h.state == TERN_TIME_WAIT)
        cause = in_timewait(t, self(t, c), s);
    else
        cause = in_synchronized(t, c, s);
    if (cause == TERN_CAUSE_NONE && c->h.state != TERN_CLOSED)
        timer_keepalive(t, c); /* MUST-26: what was refused is no sign of life */
    timer_rearm(t, c);
    return cause;
}

static enum tern_cause in_no_record(struct tern *t, const struct segment *s)
{
    struct listener *l = demux_listener(t, &s->dst, s->dst_port, s->link);
    return l != NULL ? in_listen(t, l, s) : in_closed(t, s);
}

/* It was at rest: the segment wakes it. */
static enum tern_cause in_idle(struct tern *t, struct idle *i, const struct segment *s)
{
    struct tcb *c = idle_wake(t, i);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    return c->h.state != TERN_CLOSED ? in_tcb(t, c, s) : in_no_record(t, s); /* it was to end */
}

static enum tern_cause in_record(struct tern *t, ref_t r, const struct segment *s)
{
    switch (rec_kind(t, r)) {
    case REC_TCB: return in_tcb(t, tcb_at(t, r), s);
    case REC_IDLE: return in_idle(t, at(t->a, r), s);
    case REC_HALFOPEN: return in_halfopen(t, at(t->a, r), s);
    case REC_TIMEWAIT:
        if (waiting_over(t, r)) /* packets come before timers */
            return in_no_record(t, s);
        return in_timewait(t, r, s);
    default: ASSERT(false);
    }
    return TERN_CAUSE_NONE;
}

static enum tern_cause in_whatever(struct tern *t, ref_t r, const struct segment *s)
{
    return r != 0 ? in_record(t, r, s) : in_no_record(t, s);
}

static COLD enum tern_cause in_traced(struct tern *t, ref_t r, const struct segment *s)
{
    struct who who = {0}; /* as it was before: the record may be gone after */
    if (r != 0)
        who_of(t, at(t->a, r), &who);
    trace_segment_of(t, &who, TERN_TRACE_SEG_IN, s, TERN_CAUSE_NONE, 0);
    enum tern_cause cause = in_whatever(t, r, s);
    if (cause != TERN_CAUSE_NONE)
        trace_segment_of(t, &who, TERN_TRACE_DROP, s, cause, 0);
    return cause;
}

TERN_PRIVATE enum tern_cause tcp_input(struct tern *t, const struct segment *s)
{
    if (s->len > 0 || (s->flags & F_SYN))
        waiting_make_room(t, 2 + (s->len >> t->a->page_shift)); /* first: it ends records */
    tern_endpoint local = {s->dst, s->dst_port, 0}, remote = {s->src, s->src_port, 0};
    ref_t r = demux_find(t, &local, &remote, s->link);
    t->w->stats.segs_in++;
    bool traced = trace_wants(&t->trace, TERN_TRACE_SEG_IN) || trace_wants(&t->trace, TERN_TRACE_DROP);
    return UNLIKELY(traced) ? in_traced(t, r, s) : in_whatever(t, r, s);
}


/* ======================================================================================= src/tcp/isn.c */

/* isn.c - numbers that outsiders must not guess: initial sequence numbers, ephemeral ports, timestamp
 * offsets.
 *
 * ISN = M + F(4-tuple, key of 128 bits) (SHLD-1, RFC6528-3-abc): M ticks every 4 us (RFC 9293 MUST-8), F is
 * SipHash-2-4 (MUST-9). Because M goes on, a later incarnation of the same pair starts above the former one,
 * which is what TIME_WAIT's tests rely on (3.6.1).
 */

static uint64_t prf(struct sipkey key, const tern_ip *local, const tern_ip *remote, uint16_t lport,
                    uint16_t rport, uint8_t zone)
{
    uint8_t in[37];
    memcpy(in, local->b, 16);
    memcpy(in + 16, remote->b, 16);
    put16(in + 32, lport);
    put16(in + 34, rport);
    in[36] = zone;
    return siphash24(key, in, sizeof in);
}

TERN_PRIVATE seq_t isn_make(struct tern *t, const void *record)
{
    struct who w;
    who_of(t, record, &w);
    uint32_t m = (uint32_t)(t->w->now / 4);
    uint8_t zone = ip_zone(&w.local, &w.remote, w.link);
    return seq(m + (uint32_t)prf(t->w->key_isn, &w.local, &w.remote, w.local_port, w.remote_port, zone));
}

TERN_PRIVATE seq_t isn_make_above(struct tern *t, const void *record, seq_t used)
{
    seq_t iss = isn_make(t, record);
    return seq_gt(iss, used) ? iss : seq_add(used, 65536);
}

/* The offset hides our uptime (RFC7323-7-a, RFC7323-7.1-a) and is the same for all connections of a pair of
 * addresses, so that timestamps grow across incarnations (RFC 6191). */
TERN_PRIVATE uint32_t stamp_offset(const struct tern *t, const tern_ip *local, const tern_ip *remote)
{
    return (uint32_t)prf(t->w->key_stamp, local, remote, 0, 0, 0);
}

/* A tick each millisecond: proportional to time (RFC7323-4.1-a), fast and slow enough (RFC7323-5.4-abcd). */
TERN_PRIVATE uint32_t stamp_at(uint64_t us, uint32_t offset) { return (uint32_t)(us / 1000) + offset; }

TERN_PRIVATE uint32_t stamp_now(const struct tern *t, uint32_t offset) { return stamp_at(t->w->now, offset); }

/* RFC 6056 3.3.3, RFC6056-3.3-a: where the search for a port towards this remote begins. */
TERN_PRIVATE uint32_t port_offset(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote)
{
    return (uint32_t)prf(t->w->key_port, &local->ip, &remote->ip, 0, remote->port, 0);
}


/* ====================================================================================== src/tcp/life.c */

/* life.c - how records come into being, change their kind, and go.
 *
 * Nothing is freed while a segment or a call is being worked on: what died waits in a list for the end of the
 * batch. A control block is freed when it is CLOSED, nobody holds it, and its last RST has left. In
 * TIME_WAIT, once released, with nothing unread and its last ACK sent, it is exchanged for the small record.
 */

#define QUICK_SEGMENTS 8 /* acknowledged at once at the start: the peer's slow start grows by our ACKs */

static void fill_head(struct tern *t, struct tcb *c, const tern_endpoint *local, const tern_endpoint *remote,
                      uint8_t home)
{
    struct conn_head *h = &c->h;
    h->kind = REC_TCB;
    h->link = home;
    h->local = local->ip;
    h->remote = remote->ip;
    h->local_port = local->port;
    h->remote_port = remote->port;
    h->opened_us = h->since_us = t->w->now;
    h->tos = (uint8_t)(c->set.dscp << 2);
    h->ttl = c->set.ttl;
}

/* Both records of a connection; NULL: no memory. */
static struct tcb *both_records(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                                uint8_t home, const struct options *set)
{
    ref_t me = pool_get(t->a, &t->w->tcbs, MEM_DATA);
    if (me == 0)
        return NULL;
    struct tcb *c = tcb_at(t, me);
    c->set = *set;
    fill_head(t, c, local, remote, home);
    if (idle_new(t, c))
        return c;
    pool_put(t->a, &t->w->tcbs, me);
    return NULL;
}

/* A control block in CLOSED, in no table. NULL: no memory, though those in TIME_WAIT have given way and those
 * that are quiet have been put to rest. */
TERN_PRIVATE struct tcb *tcb_new(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t home,
                    const struct options *set)
{
    waiting_make_room(t, 3); /* a page of each of its records, one of the table */
    struct tcb *c = both_records(t, local, remote, home, set);
    if (c == NULL && idle_press(t))
        c = both_records(t, local, remote, home, set);
    if (c == NULL)
        return NULL;
    c->rcv.buffer = set->recv_buffer;
    c->snd.buffer = set->send_buffer;
    c->snd.link = ip_way(&t->w->ip, &local->ip, &remote->ip, home);
    mtu_renew(t, c);
    c->ack.quick = QUICK_SEGMENTS;
    c->ts.offset = stamp_offset(t, &local->ip, &remote->ip);
    rtt_init(&c->rtt, settings(t));
    cc_init(&c->cc, 0, c->snd.mss);
    c->snd.limited = true;
    return c;
}

/* Our SYN+ACK is in flight. */
static void inherit_sending(struct tern *t, const struct opening *o, struct tcb *c)
{
    c->snd.mss = options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
    cc_init(&c->cc, 0, c->snd.mss);
    c->snd.iss = c->snd.una = o->iss;
    c->snd.nxt = c->snd.small = o->iss;
    chunkq_init(&c->snd.q, o->iss.v + 1);
    sendlist_init(&c->list, o->iss);
    if (o->sent == 0)
        return; /* ... or is still to be sent */
    c->snd.nxt = seq_add(o->iss, 1);
    struct sendrec *syn = sendlist_add(t, &c->list, o->iss, 1, 0);
    if (syn != NULL) {
        syn->sent_us = o->sent_us;
        syn->times = o->sent;
    }
    if (o->sent > 2)
        c->cc.cwnd = c->snd.mss; /* RFC5681-3.1-d, RFC 6928 2 */
    if (o->sent > 1)
        c->rtt.rto_us = max_u32(3000000, settings(t)->rto_min_us); /* RFC6298-5.7-a */
    timer_sent(t, c);
}

/* The peer's SYN has been received. */
static void inherit_receiving(struct tern *t, const struct opening *o, struct tcb *c)
{
    c->rcv.irs = o->irs;
    c->rcv.nxt = seq_add(o->irs, 1);
    c->rcv.adv = seq_add(c->rcv.nxt, o->rcv_wnd);
    chunkq_init(&c->rcv.q, c->rcv.nxt.v);
    c->ts.recent = o->ts_recent;
    c->ts.recent_us = t->w->now;
    c->ts.last_ack_sent = c->rcv.nxt;
}

/* What was known before the control block moves to it, which is then in that state too. */
TERN_PRIVATE void tcb_from_opening(struct tern *t, const struct opening *o, struct tcb *c)
{
    state_inherit(c, o->cause, o->state, o->since_us);
    c->h.conn = o->conn;
    c->h.opened_us = o->opened_us;
    c->opt = o->opt;
    inherit_sending(t, o, c);
    inherit_receiving(t, o, c);
}

/* Neither the program has it nor an accept queue. */
static bool unowned(const struct tcb *c) { return !c->face.held && c->listener == 0; }

static void put_on_dying(struct tern *t, struct tcb *c)
{
    if (c->dying)
        return;
    c->dying = true;
    c->aq.next = t->w->dying;
    t->w->dying = self(t, c);
}

static void drop_send(struct tern *t, struct tcb *c)
{
    shortage_leave(t, c);
    sendlist_clear(t, &c->list);
    chunkq_clear(t->a, &c->snd.q);
}

static void stop_timers(struct tcb *c)
{
    memset(&c->tm, 0, sizeof c->tm);
    c->ack.delack_us = 0;
}

/* The connection is over. What was received stays readable while somebody holds it. */
TERN_PRIVATE void tcb_end(struct tern *t, struct tcb *c, enum tern_cause cause, int error)
{
    state_change(t, &c->h, cause, TERN_CLOSED);
    demux_remove(t, self(t, c));
    stop_timers(c);
    conn_timer(t, &c->h, 0);
    drop_send(t, c);
    reasm_clear(t, &c->rcv);
    c->ack.now_cause = 0;
    c->ack.dup_owed = 0;
    c->face.error = error;
    if (c->rst_cause != 0)
        conn_ready(t, &c->h);
    if (c->listener != 0)
        listener_left(t, c);
    face_raise(t, &c->h, TERN_ENDED | TERN_READABLE | TERN_WRITABLE);
    if (unowned(c))
        put_on_dying(t, c);
}

/* RFC 9293 3.10.7.4: start the time-wait timer of 2 MSL (MUST-13), turn off the others. */
TERN_PRIVATE void tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    state_change(t, &c->h, cause, TERN_TIME_WAIT);
    stop_timers(c);
    drop_send(t, c);
    c->tm.life = TERN_TIMER_TIME_WAIT;
    c->tm.life_us = t->w->now + 2ull * settings(t)->msl_us;
    if (unowned(c))
        put_on_dying(t, c);
}

/* With a program behind it FIN_WAIT_2 may last; an orphan is given a time. */
static void bound_fin_wait_2(struct tern *t, struct tcb *c)
{
    c->tm.life = TERN_TIMER_FIN_WAIT_2;
    c->tm.life_us = t->w->now + settings(t)->fin_wait2_us;
}

/* Our FIN is acknowledged. */
TERN_PRIVATE void tcb_fin_wait_2(struct tern *t, struct tcb *c)
{
    state_change(t, &c->h, TERN_C_FIN_ACKED, TERN_FIN_WAIT_2);
    if (c->face.orphan)
        bound_fin_wait_2(t, c);
}

/* The program lets go. */
TERN_PRIVATE void tcb_release(struct tern *t, struct tcb *c)
{
    c->face.held = false;
    c->face.orphan = true;
    face_unlist(t, &c->h);
    chunkq_clear(t->a, &c->rcv.q);
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT)
        put_on_dying(t, c);
    if (c->h.state == TERN_FIN_WAIT_2) {
        bound_fin_wait_2(t, c);
        timer_rearm(t, c);
    }
}

/* The memory of a control block that nothing refers to any more. */
TERN_PRIVATE void tcb_discard(struct tern *t, struct tcb *c)
{
    idle_free(t, c);
    pool_put(t->a, &t->w->tcbs, self(t, c));
}

static void tcb_free(struct tern *t, struct tcb *c)
{
    trace_conn(t, &c->h, TERN_TRACE_RELEASED, c->h.cause, 0, 0, 0);
    conn_unready(t, &c->h);
    conn_timer(t, &c->h, 0);
    face_unlist(t, &c->h);
    drop_send(t, c);
    reasm_clear(t, &c->rcv);
    chunkq_clear(t->a, &c->rcv.q);
    t->w->wait_held -= c->h.state == TERN_TIME_WAIT;
    tcb_discard(t, c);
}

/* What it owes (the last ACK) it sends itself, and comes here again (tcb_said_all). Without memory for the
 * small record it stays what it is: larger, but right. */
static void to_small_record(struct tern *t, struct tcb *c)
{
    if (!c->h.ready && !c->ts.foreign && waiting_add(t, c))
        tcb_free(t, c);
}

TERN_PRIVATE void life_bury(struct tern *t)
{
    ref_t r = t->w->dying;
    t->w->dying = 0;
    while (r != 0) {
        struct tcb *c = tcb_at(t, r);
        r = c->aq.next;
        c->dying = false;
        c->aq.next = 0;
        if (c->h.state == TERN_TIME_WAIT)
            to_small_record(t, c);
        else if (c->rst_cause == 0)
            tcb_free(t, c);
        /* else: output sends the RST and puts it here again */
    }
}

TERN_PRIVATE void tcb_rst_sent(struct tern *t, struct tcb *c)
{
    c->rst_cause = 0;
    if (unowned(c))
        put_on_dying(t, c);
}

TERN_PRIVATE void tcb_said_all(struct tern *t, struct tcb *c)
{
    if (c->h.state == TERN_TIME_WAIT && unowned(c))
        put_on_dying(t, c);
}

#undef QUICK_SEGMENTS

/* ================================================================================== src/tcp/listener.c */

/* listener.c - a listener's accept queue, and its end. */

#define DRAIN_MOST 1000

TERN_PRIVATE uint32_t listener_offer(struct listener *l)
{
    return l->offer = max_u32(l->offer, min_u32(l->set.recv_buffer, 65535));
}

/* For its SYN+ACKs (MUST-14). */
TERN_PRIVATE uint16_t listener_mss(struct tern *t, const struct listener *l, const struct who *who)
{
    uint8_t way = ip_way(&t->w->ip, &who->local, &who->remote, who->link);
    uint32_t mss = way != 0 ? ip_mss(&t->w->ip, way, &who->remote) : 0;
    return (uint16_t)(l->set.max_seg != 0 ? min_u32(mss, l->set.max_seg) : mss);
}

TERN_PRIVATE void listener_enqueue(struct tern *t, struct listener *l, struct tcb *c)
{
    c->listener = self(t, l);
    list_append(t->a, &l->aq, self(t, c), offsetof(struct tcb, aq));
    l->aq_count++;
    face_raise(t, &l->h, TERN_ACCEPTABLE);
}

/* The oldest, taken off the queue; NULL when it is empty. */
TERN_PRIVATE struct tcb *listener_dequeue(struct tern *t, struct listener *l)
{
    if (l->aq.head == 0)
        return NULL;
    struct tcb *c = tcb_at(t, l->aq.head);
    list_remove(t->a, &l->aq, self(t, c), offsetof(struct tcb, aq));
    l->aq_count--;
    c->listener = 0;
    return c;
}

/* A connection ended while it waits for accept. It stays in the queue, so that the program learns of it. */
TERN_PRIVATE void listener_left(struct tern *t, struct tcb *c)
{
    listener_at(t, c->listener)->left_unaccepted++;
    t->w->stats.left_unaccepted++;
}

TERN_PRIVATE void listener_refuses(struct tern *t, struct halfopen *h)
{
    if (h->queue >= QUEUE_PENDING)
        reply_refusal(t, h);
    else
        reply_rst_for(t, h, seq_add(h->iss, 1));
    halfopen_end(t, h, TERN_C_LISTENER_GONE);
}

static struct halfopen *any_halfopen(struct tern *t, const struct listener *l)
{
    for (int queue = 0; queue < QUEUES; queue++)
        if (l->queue[queue].head != 0)
            return at(t->a, l->queue[queue].head);
    return NULL;
}

static void child_goes(struct tern *t, struct tcb *c)
{
    if (c->h.state != TERN_CLOSED && c->h.state != TERN_TIME_WAIT) {
        c->rst_cause = TERN_C_SEND_RST_ABORT;
        tcb_end(t, c, TERN_C_LISTENER_GONE, -TERN_ECONNABORTED);
    }
    tcb_release(t, c);
}

/* Its children are reset, so many in one turn and the rest in the next ones, so that no call lasts long. What
 * the ring of answers has no room for is not told: whoever goes on hears RST then (RFC 9293 3.10.7.1). */
TERN_PRIVATE void listener_drain(struct tern *t, struct listener *l)
{
    struct halfopen *h;
    struct tcb *c = NULL;
    for (int i = 0; i < DRAIN_MOST; i++) {
        if ((h = any_halfopen(t, l)) != NULL)
            listener_refuses(t, h);
        else if ((c = listener_dequeue(t, l)) != NULL)
            child_goes(t, c);
        else
            break;
    }
    if (l->half_count > 0 || l->aq_count > 0) {
        conn_timer(t, &l->h, t->w->now + 1);
        return;
    }
    conn_timer(t, &l->h, 0);
    trace_conn(t, &l->h, TERN_TRACE_RELEASED, TERN_C_CLOSE_LISTEN, 0, 0, 0);
    pool_put(t->a, &t->w->listener_pool, self(t, l));
}

/* RFC 9293 3.10.4, 3.10.5 for LISTEN: nobody is left to own its children; they are reset. */
TERN_PRIVATE void listener_end(struct tern *t, struct listener *l)
{
    conn_unready(t, &l->h);
    face_unlist(t, &l->h);
    l->face.held = false;
    demux_listener_remove(t, l);
    state_change(t, &l->h, TERN_C_CLOSE_LISTEN, TERN_CLOSED);
    listener_drain(t, l);
}

#undef DRAIN_MOST

/* ======================================================================================= src/tcp/mtu.c */

/* mtu.c - the largest segment to send (RFC 9293 3.7.1): by the link's MTU, what ICMP told of the path, and
 * what the peer takes. It changes when the link's MTU does, when the connection moves to another link, and
 * with path MTU discovery (RFC 1191, RFC 8201; icmp.c).
 *
 * What is in flight and larger than the new size is taken for lost, and cut when it is sent again. That is no
 * sign of congestion; but the congestion window allows as many segments as before, and not as many bytes
 * (RFC5681-3.1-e): many small ones would be a burst that nobody has allowed.
 */

/* What a header without options leaves of the smaller of link and path; without a way, of what every path
 * carries (MUST-15). */
static uint32_t by_mtu(const struct tern *t, const struct tcb *c)
{
    if (!ip_link_known(&t->w->ip, c->snd.link))
        return tern_ip_is4(&c->h.remote) ? 536 : 1220;
    uint32_t link = ip_mss(&t->w->ip, c->snd.link, &c->h.remote);
    return c->snd.path_mss != 0 ? min_u32(link, c->snd.path_mss) : link;
}

/* Before the peer's SYN has come, nothing of what it takes is known. */
static uint32_t size_now(const struct tcb *c)
{
    if (c->opt.mss == 0)
        return c->snd.mtu_mss;
    return options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
}

/* From the link that it sends by now, path_mss and what was agreed. */
TERN_PRIVATE void mtu_derive(const struct tern *t, struct tcb *c)
{
    c->snd.mtu_mss = by_mtu(t, c);
    c->snd.mss = size_now(c);
}

/* As many segments as before, of what is their size now. */
static void scale_window(struct tcb *c, uint32_t before)
{
    uint32_t mss = c->snd.mss;
    if (mss < before)
        c->cc.cwnd = max_u32((uint32_t)((uint64_t)c->cc.cwnd * mss / before), mss);
}

TERN_PRIVATE void mtu_renew(struct tern *t, struct tcb *c)
{
    struct snd *n = &c->snd;
    uint32_t before = n->mss;
    if (n->link == 0 && n->mtu_mss != 0)
        return; /* nothing leaves: what holds then is seen when there is a way again */
    mtu_derive(t, c);
    scale_window(c, before);
    if (!synchronized(c) || !sendlist_mark_large_lost(t, &c->list, n->mss))
        return;
    c->rec.force = true;
    conn_ready(t, &c->h);
}


/* ===================================================================================== src/tcp/nagle.c */

/* nagle.c - whether a small segment waits (RFC 9293 3.7.4, MUST-17, SHLD-7), in Minshall's form.
 *
 * Nagle: no small segment while anything is unacknowledged. Minshall (draft-minshall-nagle): only while
 * another *small* segment is unacknowledged. So a reply that ends with a small piece goes out at once and
 * does not wait for a delayed ACK.
 */

/* Is a segment of `len` bytes, smaller than a full one, held? `last`: it empties the queue. */
TERN_PRIVATE bool nagle_holds(const struct tcb *c, uint32_t len, bool last)
{
    if (len >= c->snd.mss)
        return false;
    if (c->snd.fin_queued && last)
        return false; /* FIN follows: there will be nothing to wait for */
    if (c->snd.more)
        return true;
    if (c->set.nodelay)
        return false;
    return seq_gt(c->snd.small, c->snd.una); /* a small one is in flight */
}


/* =================================================================================== src/tcp/options.c */

/* options.c - what the two ends agree on at the handshake: results, not bytes (the codec is wire/). */

#define MSS_DEFAULT_4 536u  /* RFC 9293 MUST-15 */
#define MSS_DEFAULT_6 1220u
#define MSS_LEAST     28u /* every IPv4 path carries 68 bytes (RFC 791 3.2); less is an attack on our time */

/* The smallest shift with which the whole buffer can be offered (RFC7323-2.3-b), at most 14
 * (RFC7323-2.3-f). */
TERN_PRIVATE uint8_t options_wscale(uint32_t buffer)
{
    uint8_t shift = 0;
    while (shift < 14 && (buffer >> shift) > 65535)
        shift++;
    return shift;
}

/* What holds after the peer's SYN, its MSS too (MUST-14). `our_wscale` WSCALE_NONE: we did not offer scaling.
 * An option is agreed when both sides named it (RFC7323-2.2-c, RFC7323-2.3-c, RFC7323-3.2-h; RFC 2018
 * 2). */
TERN_PRIVATE void options_agree(struct tern *t, const struct segment *s, uint8_t our_wscale, struct agreed *out)
{
    const struct settings *set = settings(t);
    memset(out, 0, sizeof *out);
    out->mss = s->opt.mss;
    if (out->mss == 0)
        out->mss = (uint16_t)(tern_ip_is4(&s->src) ? MSS_DEFAULT_4 : MSS_DEFAULT_6);
    out->wscale = s->opt.wscale != WSCALE_NONE && our_wscale != WSCALE_NONE;
    out->snd_wscale = out->wscale ? s->opt.wscale : 0;
    out->rcv_wscale = out->wscale ? our_wscale : 0;
    out->ts = s->opt.ts && set->timestamps;
    out->sack = s->opt.sack_ok && set->sack;
}

/* SHLD-8: a SYN with ECE and CWR asks, and only then we agree (RFC3168-6.1.1-abh). */
TERN_PRIVATE bool options_ecn(const struct listener *l, const struct segment *s)
{
    return l->set.ecn != TERN_ECN_OFF && (s->flags & (F_ECE | F_CWR)) == (F_ECE | F_CWR);
}

/* Eff.snd.MSS (RFC 9293 MUST-16): the smaller of the peer's MSS and the path, less the options every segment
 * carries. */
TERN_PRIVATE uint32_t options_mss(const struct agreed *opt, uint32_t mtu_mss, uint16_t max_seg)
{
    uint32_t mss = min_u32(opt->mss, mtu_mss);
    if (max_seg != 0)
        mss = min_u32(mss, max_seg);
    mss = max_u32(mss, MSS_LEAST);
    return mss - (opt->ts ? 12 : 0);
}

#undef MSS_DEFAULT_4
#undef MSS_DEFAULT_6
#undef MSS_LEAST

/* ==================================================================================== src/tcp/output.c */

/* output.c - a plan becomes a packet, and what was sent is noted. The only place where segments of a control
 * block are born; half-open and TIME_WAIT records have but one or two kinds to send and make them themselves.
 *
 * Nothing nests: input, timers and calls put the connection on the ready list, tern_tx asks here until
 * nothing is left.
 */

/* The head common to all segments of a record: one local address (MUST-45), Diffserv as it is now
 * (SHLD-22). */
TERN_PRIVATE void segment_from_head(const struct conn_head *h, uint8_t link, struct segment *s)
{
    memset(s, 0, sizeof *s);
    s->src = h->local;
    s->dst = h->remote;
    s->src_port = h->local_port;
    s->dst_port = h->remote_port;
    s->link = link;
    s->tos = h->tos;
    s->ttl = h->ttl;
    s->opt.wscale = WSCALE_NONE;
}

/* Everything written by the codecs, the checksum here or by the link (MUST-2); payload slices stand in `out`
 * already. */
TERN_PRIVATE void tcp_build(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out)
{
    const tern_link_info *link = &t->w->ip.links[s->link];
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s->opt, s->flags));
    /* DF on all else, ECN-capable or not (RFC7323-5.7-a, RFC3168-5.3-a). RFC 6864 4.1: only what may be cut
     * needs an identification; a counter would tell of our traffic */
    uint16_t id = s->fragments ? t->w->ip.id++ : 0;
    uint16_t ip_len = ip_emit(out->hdr, &s->src, &s->dst, PROTO_TCP, s->ttl, s->tos, tcp_len + payload, id);
    if (s->fragments && tern_ip_is4(&s->dst))
        ip4_allow_fragments(out->hdr);
    uint8_t *tcp = out->hdr + ip_len;
    uint16_t wrote = tcp_emit(tcp, s);
    ASSERT(wrote == tcp_len);
    out->link = s->link;
    out->flags = tern_ip_is4(&s->dst) ? 0 : TERN_TX_IP6;
    out->hdr_len = (uint16_t)(ip_len + tcp_len);
    out->len = out->hdr_len + payload;
    out->gso_size = s->gso_size;
    out->csum_start = ip_len;
    out->csum_offset = 16;
    out->not_before = 0;
    if (payload == 0)
        out->n_slices = 0;
    uint64_t sum = csum_pseudo(&s->src, &s->dst, PROTO_TCP, tcp_len + payload);
    if (link->tx_csum) {
        out->flags |= TERN_TX_CSUM;
        put16(tcp + 16, (uint16_t)~csum_fold(sum));
    } else {
        sum = csum_add(sum, tcp, tcp_len);
        sum = csum_slices(sum, out->slices, out->n_slices);
        put16(tcp + 16, csum_fold(sum));
    }
    t->w->stats.segs_out++;
}

/* An MSS on each SYN, whatever it is (MUST-14, SHLD-5, MAY-3); window scale, of 0 too (RFC7323-2.2-abd), and
 * timestamps (RFC7323-3.2-d) where they may be; SACK-permitted (RFC2018-2-a). */
static void syn_options(struct tern *t, struct tcb *c, struct segment *s)
{
    const struct settings *set = settings(t);
    bool answer = c->h.state != TERN_SYN_SENT;
    uint8_t shift = set->wscale ? options_wscale(c->set.recv_buffer) : WSCALE_NONE;
    if (answer)
        shift = c->opt.wscale ? c->opt.rcv_wscale : WSCALE_NONE;
    uint32_t mss = c->set.max_seg != 0 ? min_u32(c->set.max_seg, c->snd.mtu_mss) : c->snd.mtu_mss;
    s->opt = (struct tcp_opts){
        .mss = (uint16_t)mss,
        .wscale = shift,
        .sack_ok = answer ? c->opt.sack : set->sack,
        .ts = answer ? c->opt.ts : set->timestamps,
        .ts_val = stamp_now(t, c->ts.offset),
        .ts_ecr = answer ? c->ts.recent : 0,
    };
    if (c->opt.ecn)
        s->flags |= answer ? F_ECE : F_ECE | F_CWR; /* RFC3168-6.1.1-bg: else both stay clear */
    if (!answer && c->tm.retries >= 2) { /* RFC3168-6.1.1.1-b: a path that drops ECN SYNs */
        s->flags &= (uint8_t)~(F_ECE | F_CWR);
        c->snd.no_ect = true;
    }
}

/* Timestamps, once agreed, on each segment, RST or not (RFC7323-3.2-fg, RFC7323-5.2-d), with an echo if it
 * has ACK (RFC7323-3.2-ab); SACK, once agreed, on each one while there is a gap (RFC2018-4-abcd). */
static void data_options(struct tern *t, struct tcb *c, struct segment *s)
{
    s->opt.ts = c->opt.ts;
    s->opt.ts_val = stamp_now(t, c->ts.offset);
    s->opt.ts_ecr = s->flags & F_ACK ? c->ts.recent : 0;
    if (c->opt.sack && c->rcv.ooo.head != 0 && !(s->flags & F_RST))
        s->opt.n_sack = reasm_sack(t, &c->rcv, s->opt.sack, c->opt.ts ? 3 : 4);
}

/* SHLD-8: ECE as long as it is owed (RFC3168-6.1.3-b), ECT(0) on new data (RFC3168-5-a, RFC3168-6.1.2-a) if
 * both sides have set ECN up (RFC3168-6.1.1-c), and CWR on the first after a reduction (RFC3168-6.1.1-e,
 * RFC3168-6.1.2-ef). Nothing else has them, since nobody would notice its loss (RFC3168-5.2-ab): not SYNs
 * (RFC3168-6.1.1-i), pure ACKs (RFC3168-6.1.4-a), repetitions (RFC3168-6.1.5-a), probes (RFC3168-6.1.6-a). */
static void ecn_flags(struct tcb *c, struct segment *s, const struct plan *p)
{
    if (!c->opt.ecn || (s->flags & (F_SYN | F_RST)))
        return;
    if (c->ack.ece)
        s->flags |= F_ECE;
    if (s->len == 0 || p->again || p->probe || c->snd.no_ect)
        return;
    s->tos |= ECN_ECT0;
    if (c->snd.cwr) {
        s->flags |= F_CWR;
        c->snd.cwr = false;
    }
}

/* RFC 9293 3.8.5, MUST-30, MUST-62. */
static void urgent_flags(struct tcb *c, struct segment *s)
{
    if (!c->snd.urgent || (s->flags & (F_SYN | F_RST)))
        return;
    if (!seq_gt(c->snd.up, s->seq))
        return;
    s->flags |= F_URG;
    s->up = (uint16_t)min_u32(seq_span(s->seq, c->snd.up), 65535); /* MUST-31: longer runs, piece by piece */
}

static void output__fill(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload, struct segment *s)
{
    segment_from_head(&c->h, c->snd.link, s);
    s->flags = p->flags;
    s->seq = p->start;
    s->len = payload;
    if (!p->no_ack_flag && c->h.state != TERN_SYN_SENT) {
        s->flags |= F_ACK;
        s->ack = c->rcv.nxt;
    }
    if (s->flags & F_SYN) {
        syn_options(t, c, s);
        s->wnd = (uint16_t)min_u32(rcv_wnd(&c->rcv), 65535); /* RFC7323-2.2-g */
    } else {
        data_options(t, c, s);
        s->wnd = p->flags & F_RST ? 0 : window_field(window_offer(t, c), c->opt.rcv_wscale);
    }
    ecn_flags(c, s, p);
    urgent_flags(c, s);
    s->fragments = c->snd.narrow;
    uint32_t full = full_size(c);
    s->gso_size = (uint16_t)(payload > full ? full : 0);
}

static uint32_t plan_bytes(const struct plan *p)
{
    return p->len - ((p->flags & F_SYN) != 0) - ((p->flags & F_FIN) != 0);
}

/* Slices of the payload; fewer bytes than wanted only when they would not fit into one packet. */
static uint32_t payload_slices(struct tern *t, struct tcb *c, struct plan *p, ref_t *chunk,
                               tern_tx_packet *out)
{
    uint32_t bytes = plan_bytes(p), got = 0;
    out->n_slices = 0;
    if (bytes == 0)
        return 0;
    seq_t from = seq_add(p->start, (p->flags & F_SYN) != 0);
    int n =
        chunkq_slices(t->a, &t->regions, &c->snd.q, from.v, bytes, chunk, out->slices, TERN_TX_SLICES, &got);
    out->n_slices = (uint16_t)n;
    return got;
}

/* More bytes than slices: the packet ends at the last whole segment that fits. False: no memory to split its
 * record. */
static bool shorten(struct tern *t, struct tcb *c, struct plan *p, uint32_t got, tern_tx_packet *out,
                    ref_t *chunk)
{
    uint32_t full = full_size(c), syn = (p->flags & F_SYN) != 0;
    p->len = syn + (got > full ? got / full * full : got);
    p->flags &= (uint8_t)~(F_FIN | F_PSH);
    if (p->again && sendlist_split(t, &c->list, p->rec, p->len) == NULL)
        return false;
    payload_slices(t, c, p, chunk, out);
    return true;
}

/* What is sent for the first time has a record before it leaves: without one it would never be repeated.
 * Short of memory, the last record takes it along. */
static bool take_record(struct tern *t, struct tcb *c, const struct plan *p, ref_t chunk)
{
    if (p->again || p->len == 0 || (p->flags & F_RST))
        return true;
    struct sendrec *r = sendlist_add(t, &c->list, p->start, p->len, chunk);
    return r != NULL || sendlist_extend_tail(t, &c->list, p->len);
}

/* The acknowledgment that every segment with ACK is. */
static void acked(struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct acker *k = &c->ack;
    bool pure = payload == 0 && p->len == 0;
    if (k->dup_owed > 0 && pure)
        k->dup_owed--;
    k->now_cause = k->dup_owed > 0 ? TERN_C_SEND_ACK_DUP : 0;
    k->bytes = 0;
    k->delack_us = 0;
    c->ts.last_ack_sent = c->rcv.nxt;
}

static void sent_again(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    sendlist_resent(t, &c->list, p->rec);
    if (p->why == TERN_C_SEND_SYNACK)
        return;
    c->sum.retransmits++;
    c->sum.retransmitted += payload;
    if (c->undo.resent == 0)
        c->undo.stamp = stamp_now(t, c->ts.offset);
    if (p->why != TERN_C_SEND_TAIL_PROBE)
        c->undo.resent += payload;
    t->w->stats.retransmits++;
    if (p->why == TERN_C_SEND_FAST_RETRANSMIT || p->why == TERN_C_SEND_PARTIAL_RETRANSMIT) {
        c->sum.fast_retransmits++;
        t->w->stats.fast_retransmits++;
    }
}

static void sent_new(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    struct snd *n = &c->snd;
    n->nxt = seq_add(p->start, p->len);
    if (p->flags & F_FIN)
        n->fin_sent = true;
    if (payload > 0 && payload % full_size(c) != 0 && !p->probe)
        n->small = n->nxt;
    if (payload > 0)
        n->last_us = t->w->now;
    n->blocked_us = 0;
    if (p->why == TERN_C_SEND_LIMITED)
        c->rec.lead += payload;
    c->sum.sent += payload;
}

/* Note what was sent. */
static void sent(struct tern *t, struct tcb *c, const struct plan *p, uint32_t payload)
{
    c->sum.segs_out++;
    c->last_tx_us = t->w->now;
    if (p->flags & F_RST) {
        t->w->stats.resets_out++;
        tcb_rst_sent(t, c);
        return;
    }
    if (p->again)
        sent_again(t, c, p, payload);
    else if (p->len > 0)
        sent_new(t, c, p, payload);
    if (c->h.state != TERN_SYN_SENT)
        acked(c, p, payload);
    if (p->len == 0)
        return;
    timer_sent(t, c);
    if (p->why == TERN_C_SEND_TAIL_PROBE)
        tlp_sent(t, c, p->again);
    else
        tlp_schedule(t, c);
}

/* False: memory is short, nothing was sent. */
static bool emit(struct tern *t, struct tcb *c, struct plan *p, tern_tx_packet *out)
{
    struct segment s;
    ref_t chunk = p->again ? p->rec->chunk : 0;
    if (!p->again && c->list.seq.tail != 0)
        chunk = ((struct sendrec *)at(t->a, c->list.seq.tail))->chunk;
    uint32_t payload = payload_slices(t, c, p, &chunk, out);
    if (payload < plan_bytes(p) && !shorten(t, c, p, payload, out, &chunk))
        return false;
    payload = plan_bytes(p);
    if (!take_record(t, c, p, chunk))
        return false;
    c->shortage.refused = 0;
    output__fill(t, c, p, payload, &s);
    trace_segment(t, &c->h, TERN_TRACE_SEG_OUT, &s, p->why, p->probe ? 2 : p->again);
    tcp_build(t, &s, payload, out);
    sent(t, c, p, payload);
    return true;
}

/* There is no way to the peer: what is owed stays so until there is one (change.c). A RST does not wait for
 * that, since its connection is over. */
static void nothing_leaves(struct tern *t, struct tcb *c)
{
    if (c->rst_cause != 0)
        tcb_rst_sent(t, c);
}

/* One packet of this connection, if it has one to send now. */
static bool tcb_output(struct tern *t, struct tcb *c, tern_tx_packet *out)
{
    struct plan p = {0};
    if (c->h.state == TERN_TIME_WAIT && c->ack.now_cause == 0) {
        conn_unready(t, &c->h);
        tcb_said_all(t, c); /* nothing else is ever sent, and its timer stands */
        return false;
    }
    if (c->snd.link == 0) {
        nothing_leaves(t, c);
    } else if (decide(t, c, &p)) {
        if (emit(t, c, &p, out))
            return true;
        later_for_memory(t, c);
    }
    timer_window(t, c); /* nothing could go: is it the window? */
    conn_unready(t, &c->h);
    timer_rearm(t, c);
    tcb_said_all(t, c);
    return false;
}

TERN_PRIVATE bool conn_output(struct tern *t, struct conn_head *h, tern_tx_packet *out)
{
    if (h->kind == REC_TCB)
        return tcb_output(t, (struct tcb *)h, out);
    return backlog_output(t, (struct listener *)h, out);
}


/* ===================================================================================== src/tcp/ports.c */

/* ports.c - ephemeral ports: which one a connect gets, and what they are used for.
 *
 * A port is free towards a remote when the 4-tuple is, so each remote (address and port) has the whole range
 * for itself, but for the ports of listeners: a SYN that crosses ours would be taken for our peer's
 * (RFC6056-3.1-a, RFC6056-3.2-ab). The range is the configuration's (RFC6056-3.2-c). The search begins at a
 * keyed offset and a counter spreads (RFC 6056 3.3.3; RFC5927-4.2-a, RFC6056-5-a), so that what was used
 * lately comes last (RFC6056-3.1-b). Each port that is not free costs a look-up, all of them at most once: of
 * 28,232 ports with 28,000 in use about 120 are asked, with all in use 28,232 (2 ms).
 *
 * Only when none is free, the oldest in TIME_WAIT is opened anew whose old segments cannot be taken for new
 * ones: both sides agreed on timestamps, a second has passed, and the peer does not repeat its FIN. Our
 * timestamps have grown by then and the ISN is above all old numbers: what RFC 6191 2 asks of a SYN, so a
 * peer in TIME_WAIT accepts it too. PAWS keeps old segments out of the new connection (RFC 7323 5). RFC 9293
 * 3.10.1 has "connection already exists" for OPEN in TIME_WAIT: that stays the answer to a program that names
 * the port itself. Linux does the same where tcp_tw_reuse is set, whether ports are short or not.
 */

TERN_PRIVATE uint32_t ports_total(const struct tern *t)
{
    const struct settings *set = settings(t);
    return (uint32_t)set->port_high - set->port_low + 1;
}

TERN_PRIVATE int port_choose(struct tern *t, tern_endpoint *local, const tern_endpoint *remote, uint8_t link)
{
    uint32_t n = ports_total(t), offset = port_offset(t, local, remote);
    uint16_t low = settings(t)->port_low, oldest_port = 0;
    uint64_t oldest_us = UINT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        local->port = (uint16_t)(low + (offset + t->w->port_next++) % n);
        if (demux_listens(t, local->port))
            continue;
        ref_t r = demux_find(t, local, remote, link);
        if (r == 0)
            return 0;
        if (waiting_reusable(t, r) && waiting_due(t, r) < oldest_us) {
            oldest_us = waiting_due(t, r);
            oldest_port = local->port;
        }
    }
    local->port = oldest_port;
    return oldest_us != UINT64_MAX ? PORT_IN_TIME_WAIT : -TERN_ENOSR;
}

static void count(const struct tern *t, ref_t r, tern_port_use *out)
{
    struct who w;
    who_of(t, at_const(t->a, r), &w);
    out->used++;
    out->by_state[w.state]++;
    out->reusable += waiting_reusable(t, r);
}

TERN_PRIVATE void ports_count(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                 tern_port_use *out)
{
    tern_endpoint at = *local;
    memset(out, 0, sizeof *out);
    out->total = ports_total(t);
    for (uint32_t i = 0; i < out->total; i++) {
        at.port = (uint16_t)(settings(t)->port_low + i);
        ref_t r = demux_find(t, &at, remote, link);
        if (r != 0) {
            count(t, r, out);
        } else if (demux_listens(t, at.port)) {
            out->used++;
            out->by_state[TERN_LISTEN]++;
        }
    }
    out->free = out->total - out->used;
}


/* ====================================================================================== src/tcp/rack.c */

/* rack.c - loss by time (RFC 8985 6.2): a segment is lost when one that was sent later has arrived and it has
 * had a round trip and a little more since its own sending.
 *
 *   sent ──▶  s1   s2   s3   s4
 *   arrived             s3          s1 and s2 were sent before s3: once RTT + reordering window have
 *                                   passed since their sending, they are lost. s4 is not judged.
 *
 * The reordering window is a quarter of the smallest RTT, growing with each round trip in which a DSACK shows
 * a needless repetition, never above SRTT. Until the path is seen to reorder it is 0 in recovery, and also
 * when recovery begins because recovery.c has found a loss by number. Repetitions are judged like first
 * sendings: the send list moves them to the end of its order of time.
 */

#define PERSIST 16 /* RFC 8985 6.2 step 4: recoveries that a widened window outlives */

/* RFC 8985 6.2 step 2: a repeated segment's ACK may be of its first sending. */
static bool ambiguous(const struct tcb *c, const struct segment *s, uint64_t sent_us, uint32_t stamp_sent,
                      uint64_t now)
{
    if (c->opt.ts && s->opt.ts && (int32_t)(s->opt.ts_ecr - stamp_sent) < 0)
        return true;
    return now - sent_us < c->rtt.min_us;
}

static void rack__advance(const struct tern *t, struct rack *r, const struct delivery *d)
{
    if (d->sent_us < r->xmit_us || (d->sent_us == r->xmit_us && seq_le(d->end, r->end)))
        return;
    r->xmit_us = d->sent_us;
    r->end = d->end;
    if (!across_jump(t, d->sent_us))
        r->rtt_us = (uint32_t)min_u64(t->w->now - d->sent_us, UINT32_MAX);
}

/* Step 4: a DSACK widens the reordering window, once in a round trip. */
static void widen(struct tcb *c)
{
    struct rack *r = &c->rack;
    if (r->round_valid)
        return; /* it is not over yet, or rack_update would have noticed */
    r->round = c->snd.nxt;
    r->round_valid = true;
    r->persist = PERSIST;
    if (r->mult < 255)
        r->mult++;
}

TERN_PRIVATE void rack_recovered(struct rack *r)
{
    if (r->persist > 0 && --r->persist == 0)
        r->mult = 1;
}

TERN_PRIVATE void rack_update(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    struct rack *r = &c->rack;
    uint64_t now = t->w->now;
    if (r->mult == 0)
        r->mult = 1;
    if (r->round_valid && seq_ge(c->snd.una, r->round))
        r->round_valid = false;
    if (a->dsacked > 0)
        widen(c);
    if (a->once.sent_us != 0)
        rack__advance(t, r, &a->once);
    uint32_t stamp = stamp_at(a->again.sent_us, c->ts.offset);
    if (a->again.sent_us != 0 && !ambiguous(c, s, a->again.sent_us, stamp, now))
        rack__advance(t, r, &a->again);
    if (a->reordered)
        r->reordering = true;
}

/* Step 4, its end: no patience when the path has never reordered and a loss is certain. So in a recovery all
 * is lost that lies below the highest SACK and was sent before it (RFC6675-4-h). */
static uint64_t window(const struct tcb *c, bool certain)
{
    if (!c->rack.reordering && (certain || c->rec.phase != PHASE_OPEN))
        return 0;
    return min_u64((uint64_t)c->rack.mult * c->rtt.min_us / 4, c->rtt.srtt_us);
}

/* Step 5. */
TERN_PRIVATE uint32_t rack_detect(struct tern *t, struct tcb *c, bool certain, bool *again)
{
    struct rack *r = &c->rack;
    c->tm.reo_us = 0;
    *again = false;
    if (!c->opt.sack || r->xmit_us == 0)
        return 0;
    uint64_t patience = r->rtt_us + window(c, certain);
    return sendlist_mark_lost_time(t, &c->list, r->xmit_us, r->end, patience, &c->tm.reo_us, again);
}

#undef PERSIST

/* ===================================================================================== src/tcp/reasm.c */

/* reasm.c - bytes that arrived above RCV.NXT: ranges, sorted, apart from each other (RFC 9293 SHLD-31, RFC
 * 2018).
 *
 *        nxt            ┌── range ──┐        ┌── range ──┐
 *   ──────┴─────────────┴───────────┴────────┴───────────┴──▶
 *
 * Only what is new is kept; where a segment overlaps bytes that are there, the earlier ones stay. When the
 * gap below a range is filled, its chunks move to the receive queue without a copy.
 */

#define reasm__PLACE offsetof(struct range, place)

static struct range *range_at(struct tern *t, ref_t r) { return r == 0 ? NULL : at(t->a, r); }
static seq_t range_start(const struct range *g) { return seq(g->q.pos); }
static seq_t range_end(const struct range *g) { return seq(g->q.pos + g->q.len); }

/* Each range takes a page at least, so their number is bounded by what the window promises. */
static uint32_t ranges_max(struct tern *t, const struct rcv *r)
{
    return max_u32(8, r->buffer >> t->a->page_shift);
}

/* A new range behind `prev` (NULL: first). */
static struct range *range_new(struct tern *t, struct rcv *r, struct range *prev, seq_t start)
{
    ref_t me = r->ooo_count < ranges_max(t, r) ? pool_get(t->a, &t->w->ranges, MEM_OOO) : 0;
    if (me == 0)
        return NULL;
    struct range *g = range_at(t, me);
    chunkq_init(&g->q, start.v);
    list_insert(t->a, &r->ooo, me, prev == NULL ? r->ooo.head : prev->place.next, reasm__PLACE);
    r->ooo_count++;
    return g;
}

static void range_free(struct tern *t, struct rcv *r, struct range *g)
{
    list_remove(t->a, &r->ooo, self(t, g), reasm__PLACE);
    chunkq_clear(t->a, &g->q);
    r->ooo_count--;
    pool_put(t->a, &t->w->ranges, self(t, g));
}

/* The last range that begins at or before `start`. Searched from the top: news is mostly at the end. */
static struct range *range_before(struct tern *t, struct rcv *r, seq_t start)
{
    struct range *g = range_at(t, r->ooo.tail);
    while (g != NULL && seq_gt(range_start(g), start))
        g = range_at(t, g->place.prev);
    return g;
}

static enum tern_cause reasm__append(struct tern *t, struct rcv *r, struct range *g, const uint8_t *data,
                              uint32_t len, struct keep *k)
{
    uint32_t got = recv_store(t, &g->q, k, data, len, MEM_OOO);
    r->ooo_bytes += got;
    g->stamp = ++r->stamp;
    return got == len ? TERN_CAUSE_NONE : TERN_C_OOO_LIMIT;
}

/* Two neighbours that touch become one: as new as the first, which has just grown. */
static void join_next(struct tern *t, struct rcv *r, struct range *g)
{
    struct range *n = range_at(t, g->place.next);
    if (n == NULL || !seq_eq(range_end(g), range_start(n)))
        return;
    chunkq_join(t->a, &g->q, &n->q);
    range_free(t, r, n);
}

/* Put a piece that overlaps nothing behind `prev`: grow it, or make a range. */
static enum tern_cause put_piece(struct tern *t, struct rcv *r, struct range **prev, seq_t start,
                             const uint8_t *data, uint32_t len, struct keep *k)
{
    struct range *g = *prev;
    if (g == NULL || !seq_eq(range_end(g), start)) {
        g = range_new(t, r, *prev, start);
        if (g == NULL)
            return TERN_C_OOO_LIMIT;
    }
    enum tern_cause cause = reasm__append(t, r, g, data, len, k);
    if (g->q.len == 0) {
        range_free(t, r, g);
        return TERN_C_OOO_LIMIT;
    }
    join_next(t, r, g);
    *prev = g;
    return cause;
}

TERN_PRIVATE enum tern_cause reasm_add(struct tern *t, struct rcv *r, seq_t start, const uint8_t *data, uint32_t len,
                          struct keep *k)
{
    struct range *g = range_before(t, r, start);
    while (len > 0) {
        if (g != NULL && seq_gt(range_end(g), start)) { /* these bytes are there */
            uint32_t skip = min_u32(len, seq_span(start, range_end(g)));
            start = seq_add(start, skip), data += skip, len -= skip;
            g->stamp = ++r->stamp;
            continue;
        }
        struct range *n = range_at(t, g == NULL ? r->ooo.head : g->place.next);
        uint32_t piece = n == NULL ? len : min_u32(len, seq_span(start, range_start(n)));
        ASSERT(piece > 0); /* the next range begins higher: neighbours that touch are one */
        enum tern_cause cause = put_piece(t, r, &g, start, data, piece, k);
        if (cause != TERN_CAUSE_NONE)
            return cause;
        start = seq_add(start, piece), data += piece, len -= piece;
    }
    return TERN_CAUSE_NONE;
}

/* Move to the queue what follows RCV.NXT without a gap now; drop what RCV.NXT has passed. */
TERN_PRIVATE uint32_t reasm_pull(struct tern *t, struct rcv *r)
{
    uint32_t moved = 0;
    while (r->ooo.head != 0) {
        struct range *g = range_at(t, r->ooo.head);
        if (seq_gt(range_start(g), r->nxt))
            break;
        uint32_t old = min_u32(g->q.len, seq_span(range_start(g), r->nxt));
        r->ooo_bytes -= g->q.len;
        if (old > 0)
            chunkq_drop_front(t->a, &g->q, old);
        moved += g->q.len;
        r->nxt = seq_add(r->nxt, g->q.len);
        if (g->q.len > 0)
            chunkq_join(t->a, &r->q, &g->q);
        range_free(t, r, g);
    }
    return moved;
}

TERN_PRIVATE void reasm_clear(struct tern *t, struct rcv *r)
{
    while (r->ooo.head != 0)
        range_free(t, r, range_at(t, r->ooo.head));
    r->ooo_bytes = 0;
    r->fin_ooo = false;
}

/* The block with the latest segment first (RFC2018-4-f), then the most recently reported ones (RFC2018-4-h),
 * as many as have room (RFC2018-4-g): runs of bytes that are held, and nothing else (RFC2018-3-a,
 * RFC2018-8-c). */
TERN_PRIVATE uint8_t reasm_sack(struct tern *t, const struct rcv *r, struct sack_block *out, uint8_t max)
{
    uint32_t stamps[MAX_SACK];
    uint8_t n = 0;
    for (struct range *g = range_at(t, r->ooo.head); g != NULL; g = range_at(t, g->place.next)) {
        uint8_t i = n < max ? n : (uint8_t)(max - 1);
        if (n == max && g->stamp < stamps[i])
            continue;
        while (i > 0 && stamps[i - 1] < g->stamp) {
            stamps[i] = stamps[i - 1];
            out[i] = out[i - 1];
            i--;
        }
        stamps[i] = g->stamp;
        out[i] = (struct sack_block){range_start(g), range_end(g)};
        n = n < max ? (uint8_t)(n + 1) : n;
    }
    return n;
}

#undef reasm__PLACE

/* ================================================================================== src/tcp/recovery.c */

/* recovery.c - what a loss is and what follows: fast retransmit with SACK (RFC 6675), without (RFC 5681,
 * NewReno RFC 6582), after a timeout (RFC 6298, 5681 3.1), on an ECN echo (RFC 3168 6.1.2). Losses by time
 * are rack.c's.
 *
 *            3 duplicate ACKs, or IsLost(SND.UNA)            all up to RecoveryPoint acknowledged
 *    OPEN ──────────────────────────────────────▶ RECOVERY ────────────────────────────────▶ OPEN
 *      └──────────────── timeout ────────────────────┴──────────▶ LOSS ───────────────────────▶ OPEN
 *
 * What may be sent is decided in decide.c by one comparison in every phase, pipe < cwnd (RFC 6675 4). Without
 * SACK, duplicate ACKs are counted as bytes that have left the network, which is what inflating cwnd does in
 * RFC 5681 3.2 and gives RFC 3042's limited transmit too.
 */

#define DUP_THRESH 3

static void trace_cwnd(struct tern *t, struct tcb *c, enum tern_cause why)
{
    trace_conn(t, &c->h, TERN_TRACE_CWND, why, c->cc.cwnd, c->cc.ssthresh,
               sendlist_pipe(&c->list, c->rec.reno_sacked));
}

/* What the send list knows of SACKs stays (RFC6675-5-i). */
static void recovery__leave(struct tern *t, struct tcb *c)
{
    struct recovery *r = &c->rec;
    if (r->phase == PHASE_RECOVERY) /* RFC5681-3.2-m, RFC5681-4.3-c; RFC 6582 3.2 step 3, choice (2) */
        c->cc.cwnd = c->cc.ssthresh;
    r->phase = PHASE_OPEN;
    r->dupacks = 0;
    r->lead = 0;
    r->reno_sacked = 0;
    r->force = r->partial = false;
    rack_recovered(&c->rack);
    trace_cwnd(t, c, TERN_C_RECOVERED);
}

/* The window is reduced for all that is in flight now: an ECN echo about it reduces no more (RFC 3168 6.1.2),
 * and duplicate ACKs below this point prove nothing (RFC 6582 3.2, "recover"). */
static void reduced(struct tcb *c)
{
    c->rec.cwr_point = c->rec.recover = c->snd.nxt;
    c->rec.cwr_valid = c->rec.recover_valid = true;
    if (c->opt.ecn)
        c->snd.cwr = true; /* the peer is told also when the cause was a loss */
}

/* A SYN that had to be repeated was no congestion of this path's data: a loss in the first flight is found by
 * duplicates, and there is no CWR to say. */
TERN_PRIVATE void recovery_begin(struct tcb *c)
{
    c->rec.phase = PHASE_OPEN;
    c->rec.recover_valid = c->rec.cwr_valid = false;
    c->snd.cwr = false;
}

/* Before the window is reduced. */
static void recovery__remember(struct tcb *c)
{
    const struct cc *cc = &c->cc;
    c->undo = (struct undo){.valid = true, .marker = c->snd.una, .cwnd = cc->cwnd, .ssthresh = cc->ssthresh};
}

/* Nothing was lost, the path reorders: every byte that was sent again has been reported as a duplicate (RFC
 * 3708), or the ACK of the first one echoes a timestamp from before it was sent again (RFC 3522, 4015). Also
 * after recovery has ended. */
static void try_undo(struct tern *t, struct tcb *c, const struct acked *a)
{
    struct undo *u = &c->undo;
    if (!u->valid || (a->dsacked == 0 && !a->eifel))
        return;
    if (seq_ge(a->dsack_left, u->marker))
        u->dsacked += a->dsacked;
    if (u->resent == 0 || c->list.lost > c->list.retx || (!a->eifel && u->dsacked < u->resent))
        return;
    c->cc.cwnd = max_u32(c->cc.cwnd, u->cwnd);
    c->cc.ssthresh = max_u32(c->cc.ssthresh, u->ssthresh);
    u->valid = false;
    c->rec.phase = PHASE_OPEN;
    c->rec.dupacks = 0;
    trace_cwnd(t, c, TERN_C_UNDONE);
}

static void reduce_again(struct tern *t, struct tcb *c)
{
    struct cc *cc = &c->cc;
    cc->ssthresh = cc_table[cc->algo]->loss(cc, cc->cwnd, c->snd.mss);
    cc->cwnd = min_u32(cc->cwnd, cc->ssthresh);
    sendlist_reduced(t, &c->list);
    reduced(c);
    trace_cwnd(t, c, TERN_C_LOSS_RACK);
}

/* The first loss of a window: half of it (RFC5681-3.2-g, RFC5681-4.3-ab), RecoveryPoint (RFC6675-5-f), and
 * the first segment again (RFC5681-3.2-i). */
static void recovery__enter(struct tern *t, struct tcb *c, enum tern_cause why)
{
    recovery__remember(c);
    struct recovery *r = &c->rec;
    uint32_t mss = c->snd.mss;
    uint32_t lead = min_u32(r->lead, flight(&c->snd)); /* limited transmit does not count: RFC5681-3.2-h */
    c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, flight(&c->snd) - lead, mss);
    c->cc.cwnd = c->cc.ssthresh;
    r->phase = PHASE_RECOVERY;
    r->rescued = false;
    r->point = c->snd.nxt;
    r->force = true;
    r->partial = false;
    if (why != TERN_C_LOSS_RACK) /* RFC 6675 5 (4.3): the first is sent again whatever SACK says of it */
        sendlist_mark_head_lost(t, &c->list, mss);
    trace_conn(t, &c->h, TERN_TRACE_LOSS, why, c->snd.una.v, 0, 0);
    trace_cwnd(t, c, why);
    reduced(c);
}

/* What SACK says is lost: by number (RFC 6675) until the path has been seen to reorder, and by time (RFC
 * 8985); and by what. */
static enum tern_cause recovery__judge(struct tern *t, struct tcb *c, bool *again)
{
    bool numbers = !c->rack.reordering;
    bool lost = numbers && sendlist_mark_lost_sack(t, &c->list, c->snd.mss) > 0;
    bool counted = numbers && c->rec.dupacks >= DUP_THRESH && c->list.sacked > 0;
    bool late = rack_detect(t, c, lost || counted, again) > 0;
    if (lost)
        return TERN_C_LOSS_SACK;
    if (counted)
        return TERN_C_LOSS_DUPACK;
    return late ? TERN_C_LOSS_RACK : TERN_CAUSE_NONE;
}

/* The same while a recovery goes on. A retransmission that is lost too is a second sign of congestion (RFC
 * 5681 4.3: RFC5681-4.3-d; RFC 8985 9.3); those that left together count as one. */
static void judge_again(struct tern *t, struct tcb *c)
{
    bool again;
    recovery__judge(t, c, &again);
    if (again)
        reduce_again(t, c);
}

/* A tail loss probe has repaired a loss that nothing else told of: the window is reduced once (RFC 8985
 * 7.4). */
TERN_PRIVATE void recovery_on_tail_repaired(struct tern *t, struct tcb *c)
{
    if (c->rec.phase != PHASE_OPEN)
        return;
    c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, max_u32(flight(&c->snd), c->cc.cwnd), c->snd.mss);
    c->cc.cwnd = c->cc.ssthresh;
    trace_cwnd(t, c, TERN_C_LOSS_TAIL);
}

/* RACK's timer found a loss; `again`: of a retransmission. */
TERN_PRIVATE void recovery_on_lost(struct tern *t, struct tcb *c, bool again)
{
    if (c->rec.phase == PHASE_OPEN)
        recovery__enter(t, c, TERN_C_LOSS_RACK);
    else if (again)
        reduce_again(t, c);
    conn_ready(t, &c->h);
}

/* Duplicate ACKs while nothing else is going on: counted (RFC6675-5-bc) until they are three, or SACK says
 * loss (RFC5681-3.2-c, RFC6675-5-d; one alone never does: RFC2018-5.1-a). The first two let new data go and
 * do not change cwnd (RFC5681-3.2-de); with SACK only by what it reports (RFC5681-3.2-f). */
static void open_phase(struct tern *t, struct tcb *c, const struct acked *a)
{
    struct recovery *r = &c->rec;
    if (a->bytes > 0) {
        r->dupacks = 0;
        r->reno_sacked = 0;
        r->lead = 0;
    }
    /* RFC 6675 2: with SACK a duplicate is what brings news by it; a report of a duplicate brings none */
    if ((c->opt.sack ? a->news > 0 : a->duplicate) && r->dupacks < 255)
        r->dupacks++;
    if (c->opt.sack) {
        bool again;
        enum tern_cause lost = recovery__judge(t, c, &again);
        if (lost != TERN_CAUSE_NONE)
            recovery__enter(t, c, lost);
        return;
    }
    bool loss = r->dupacks >= DUP_THRESH && !r->recover_valid;
    if (!a->duplicate || (r->dupacks >= DUP_THRESH && !loss))
        return; /* limited transmit ends with the second one (RFC 5681 3.2 step 1) */
    r->reno_sacked = min_u32(r->reno_sacked + c->snd.mss, flight(&c->snd));
    if (loss)
        recovery__enter(t, c, TERN_C_LOSS_DUPACK);
}

/* RFC6675-5-ghj: up to RecoveryPoint, and then it is over. */
static void recovery_phase(struct tern *t, struct tcb *c, const struct acked *a)
{
    struct recovery *r = &c->rec;
    if (a->bytes > 0 && seq_ge(c->snd.una, r->point)) {
        recovery__leave(t, c);
        return;
    }
    if (c->opt.sack) {
        judge_again(t, c);
        return;
    }
    if (a->bytes > 0) { /* RFC 6582 3.2 step 3 (2): a partial ACK shows the next hole */
        r->reno_sacked -= min_u32(r->reno_sacked, a->bytes > c->snd.mss ? a->bytes - c->snd.mss : 0);
        r->force = r->partial = true;
        sendlist_mark_head_lost(t, &c->list, c->snd.mss);
        trace_conn(t, &c->h, TERN_TRACE_LOSS, TERN_C_LOSS_PARTIAL, c->snd.una.v, 0, 0);
    } else if (a->duplicate) { /* RFC5681-3.2-jk */
        r->reno_sacked = min_u32(r->reno_sacked + c->snd.mss, flight(&c->snd));
    }
}

/* The window grows only when it was what held us back (RFC 7661 4.3 in spirit; RFC 5681 speaks of a sender
 * that has data). */
static void recovery__grow(struct tern *t, struct tcb *c, uint32_t bytes)
{
    if (!c->snd.limited || bytes == 0)
        return;
    uint32_t before = c->cc.cwnd;
    cc_table[c->cc.algo]->acked(&c->cc, bytes, c->snd.mss);
    uint64_t useful = 2ull * c->snd.max_wnd + 2ull * c->snd.mss;
    if (c->cc.cwnd > useful)
        c->cc.cwnd = max_u32(before, (uint32_t)useful);
    if (c->cc.cwnd != before)
        trace_cwnd(t, c, TERN_CAUSE_NONE);
}

/* The peer acknowledges up to a segment that it had SACKed, and not that one: it has dropped it (RFC 2018 8,
 * reneging). */
static bool reneged(struct tern *t, struct tcb *c)
{
    return c->list.seq.head != 0 && (((struct sendrec *)at(t->a, c->list.seq.head))->flags & SR_SACKED) != 0;
}

static void believe_reneging(struct tern *t, struct tcb *c)
{
    sendlist_mark_all_lost(t, &c->list, true);
    if (c->rec.phase == PHASE_OPEN)
        recovery__enter(t, c, TERN_C_LOSS_PARTIAL);
}

TERN_PRIVATE void recovery_on_ack(struct tern *t, struct tcb *c, const struct acked *a)
{
    if (c->rec.cwr_valid && seq_gt(c->snd.una, c->rec.cwr_point)) /* the peer has our CWR */
        c->rec.cwr_valid = false;
    if (c->rec.recover_valid && seq_gt(c->snd.una, c->rec.recover))
        c->rec.recover_valid = false;
    if (a->bytes > 0 && reneged(t, c))
        believe_reneging(t, c);
    try_undo(t, c, a);
    switch ((enum recovery_phase)c->rec.phase) {
    case PHASE_OPEN:
        open_phase(t, c, a);
        if (c->rec.phase == PHASE_OPEN && !a->ece) /* RFC3168-6.1.2-c */
            recovery__grow(t, c, a->bytes);
        break;
    case PHASE_RECOVERY:
        recovery_phase(t, c, a);
        break;
    case PHASE_LOSS: /* RFC 3465 2.3: after a timeout not more than a segment for each ACK */
        recovery__grow(t, c, min_u32(a->bytes, c->snd.mss));
        if (a->bytes > 0 && seq_ge(c->snd.una, c->rec.point))
            recovery__leave(t, c);
        else if (c->opt.sack)
            judge_again(t, c); /* RFC6675-5.1-ef */
        break;
    }
}

/* Half the flight at the first timeout of a segment and not at the next (RFC5681-3.1-p), and a window of one
 * segment (RFC5681-3.1-q). A recovery ends, and none begins before all that was sent by now is acknowledged
 * (RFC6675-5.1-bcd). The first segment is sent again whatever SACK says of it (RFC2018-5-c). */
TERN_PRIVATE void recovery_on_timeout(struct tern *t, struct tcb *c)
{
    struct recovery *r = &c->rec;
    bool again = r->phase == PHASE_LOSS && c->tm.retries > 0;
    if (!again)
        c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, flight(&c->snd), c->snd.mss);
    c->cc.cwnd = c->snd.mss;
    reduced(c);
    c->undo.valid = false;
    r->phase = PHASE_LOSS;
    r->partial = false;
    r->point = c->snd.nxt;
    r->dupacks = 0;
    r->reno_sacked = 0;
    c->snd.limited = true;
    /* RFC2018-5-b and RFC2018-5.1-b would forget all SACKs now; RFC 6675 5.1 lets them stand while taking
     * them back is noticed (RFC6675-5.1-a). A second timeout in a row is reason enough. */
    sendlist_mark_all_lost(t, &c->list, again);
    trace_conn(t, &c->h, TERN_TRACE_LOSS, TERN_C_LOSS_TIMEOUT, c->snd.una.v, 0, 0);
    trace_cwnd(t, c, TERN_C_LOSS_TIMEOUT);
}

/* As for a loss, without one; once for each window of data (RFC3168-5-b, RFC3168-6.1.2-b). A window of one
 * segment does not become larger by that: the next segment waits for a timeout instead (RFC3168-6.1.2-d). */
TERN_PRIVATE void recovery_on_ecn(struct tern *t, struct tcb *c, uint32_t in_flight)
{
    struct recovery *r = &c->rec;
    if (r->phase != PHASE_OPEN || r->cwr_valid)
        return;
    c->cc.ssthresh = cc_table[c->cc.algo]->loss(&c->cc, in_flight, c->snd.mss);
    if (c->cc.cwnd <= c->snd.mss) {
        timer_restart(t, c);
        r->held = true;
        c->snd.blocked_us = t->w->now + rtt_timeout(&c->rtt, settings(t));
    }
    c->cc.cwnd = min_u32(c->cc.cwnd, c->cc.ssthresh);
    reduced(c);
    t->w->stats.ecn_echo_in++;
    trace_cwnd(t, c, TERN_C_ECN_ECHO);
}

#undef DUP_THRESH

/* ====================================================================================== src/tcp/recv.c */

/* recv.c - the sixth and seventh step: urgent data, text, and when to acknowledge it (RFC 9293 3.8.5,
 * 3.8.6.3; RFC 5681 4.2).
 *
 * Input only notes what is owed; output.c sends one acknowledgment for all of a batch (MUST-58, MUST-59), so
 * none has more than one (RFC5681-4.2-h):
 *
 *   now       out of order, a gap filled, two full segments, FIN, quick acknowledgment, a new CE mark
 *   delayed   else: within delack_us, or on the next data
 */

TERN_PRIVATE void recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why)
{
    bool syn_owed = c->ack.now_cause == TERN_C_SEND_SYNACK; /* nothing is more urgent than our SYN */
    if (c->ack.now_cause == 0 || (!syn_owed && why != TERN_C_SEND_ACK_NOW))
        c->ack.now_cause = (uint16_t)why;
    conn_ready(t, &c->h);
}

/* RFC 9293 MUST-32, MUST-62: the pointer names the first byte behind the urgent data. */
TERN_PRIVATE void recv_urgent(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct rcv *r = &c->rcv;
    seq_t up = seq_add(s->seq, s->up);
    seq_t read = seq(r->q.pos);
    if (!seq_gt(up, read) || (r->urgent && !seq_gt(up, r->up)))
        return;
    r->up = up;
    r->urgent = true;
    face_raise(t, &c->h, TERN_URGENT);
}

/* An out-of-order segment: a duplicate ACK at once (MAY-13, RFC5681-3.2-a, RFC5681-4.2-ef, RFC2018-4-e); each
 * its own while the peer cannot be told by SACK. */
static void owe_duplicate(struct tern *t, struct tcb *c)
{
    c->sum.ooo_in++;
    if (!c->opt.sack)
        c->ack.dup_owed++;
    recv_ack_now(t, c, TERN_C_SEND_ACK_DUP);
}

/* Delayed or not (RFC 9293 SHLD-18, SHLD-19; RFC5681-4.2-abc): at once where it fills a gap (RFC5681-3.2-b,
 * RFC5681-4.2-g), else in less than half a second (MUST-40, RFC5681-4.2-d). */
static void recv__owe_ack(struct tern *t, struct tcb *c, const struct segment *s, uint32_t got, bool filled)
{
    struct acker *k = &c->ack;
    uint64_t now = t->w->now;
    uint32_t seg = s->gso_size != 0 ? s->gso_size : s->len;
    k->seg = max_u32(k->seg, min_u32(seg, 65535));
    k->bytes += got;
    if (filled)
        recv_ack_now(t, c, TERN_C_SEND_ACK_FILL);
    else if (k->quick > 0 || c->set.quickack || k->bytes >= 2 * k->seg)
        recv_ack_now(t, c, TERN_C_SEND_ACK_NOW);
    else if (k->delack_us == 0)
        k->delack_us = now + settings(t)->delack_us;
    if (k->quick > 0)
        k->quick--;
}

/* Whether n bytes are worth keeping the packet for: not a few bytes, and not little of a large buffer. */
static bool worth_keeping(const struct keep *k, uint32_t n)
{
    return n >= REFER_MIN && (k->hold != 0 || n >= k->what.len / 4);
}

/* Payload stays in the link's memory where it may and where that is worth it; else it is copied. */
TERN_PRIVATE uint32_t recv_store(struct tern *t, struct chunkq *q, struct keep *k, const uint8_t *data, uint32_t n,
                    enum mem_prio prio)
{
    if (LIKELY(k == NULL))
        return chunkq_append(t->a, q, data, n, prio);
    uint32_t gap = min_u32(n, chunkq_gap(t->a, q));
    if (!worth_keeping(k, n - gap) || keep_hold(t->a, k, prio) == 0)
        return chunkq_append(t->a, q, data, n, prio);
    uint32_t got = chunkq_append(t->a, q, data, gap, prio);
    if (chunkq_refer(t->a, q, k->hold, (uint32_t)(data + gap - k->from), n - gap, prio))
        return n;
    return got + chunkq_append(t->a, q, data + gap, n - gap, prio);
}

/* In-order bytes go to the queue. The segment at RCV.NXT has reserved memory, for which others are put to
 * rest if need be; what does not fit is not acknowledged. */
static uint32_t recv__append(struct tern *t, struct tcb *c, struct keep *k, const uint8_t *data, uint32_t len)
{
    struct rcv *r = &c->rcv;
    bool first = r->q.len == 0;
    uint32_t got = recv_store(t, &r->q, k, data, len, first ? MEM_EDGE : MEM_DATA);
    if (UNLIKELY(got == 0 && first && idle_press(t)))
        got = recv_store(t, &r->q, k, data, len, MEM_EDGE);
    r->nxt = seq_add(r->nxt, got);
    return got;
}

static void deliver(struct tern *t, struct tcb *c, uint32_t bytes)
{
    c->sum.received += bytes;
    trace_conn(t, &c->h, TERN_TRACE_DELIVER, TERN_CAUSE_NONE, bytes, c->rcv.q.len, 0);
    face_raise(t, &c->h, TERN_READABLE);
}

/* Bytes of [RCV.NXT, RCV.NXT + len) before the first range: what came first stays, so that nothing that was
 * SACKed changes. */
static uint32_t before_ranges(struct tern *t, const struct rcv *r, uint32_t len)
{
    if (r->ooo.head == 0)
        return len;
    const struct range *first = at(t->a, r->ooo.head);
    return min_u32(len, seq_span(r->nxt, seq(first->q.pos)));
}

static enum tern_cause in_order(struct tern *t, struct tcb *c, const struct segment *s, const uint8_t *data,
                                uint32_t len)
{
    struct rcv *r = &c->rcv;
    bool gap = r->ooo.head != 0, all = true;
    seq_t start = r->nxt, end = seq_add(r->nxt, len);
    while (all && seq_lt(r->nxt, end)) {
        uint32_t piece = before_ranges(t, r, seq_span(r->nxt, end));
        all = recv__append(t, c, s->keep, data + seq_span(start, r->nxt), piece) == piece;
        if (all && gap)
            reasm_pull(t, r);
    }
    uint32_t got = seq_span(start, r->nxt);
    if (got > 0) {
        recv__owe_ack(t, c, s, got, gap);
        deliver(t, c, got);
    }
    return all ? TERN_CAUSE_NONE : TERN_C_SHORT_OF_MEMORY;
}

/* SHLD-3, RFC 2525 2.17: nobody will read this any more. */
static enum tern_cause after_close(struct tern *t, struct tcb *c)
{
    c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, TERN_C_DATA_AFTER_CLOSE, -TERN_ECONNRESET);
    return TERN_C_DATA_AFTER_CLOSE;
}

/* The new part of the segment's text: from RCV.NXT or above to the right edge. */
TERN_PRIVATE enum tern_cause recv_text(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct rcv *r = &c->rcv;
    seq_t text = seq_add(s->seq, (s->flags & F_SYN) != 0); /* text begins behind a SYN */
    seq_t start = seq_max(text, r->nxt);
    seq_t end = seq_min(seq_add(text, s->len), r->adv);
    seq_t fin = seq_add(text, s->len);
    if (r->fin_ooo) /* nothing comes behind a FIN */
        end = seq_min(end, r->fin);
    else if ((s->flags & F_FIN) && seq_ge(fin, r->nxt) && seq_lt(fin, r->adv)) {
        r->fin_ooo = true; /* wherever it stands; the eighth step sees whether it is next */
        r->fin = fin;
    }
    if (!seq_lt(start, end)) {
        if ((s->flags & F_FIN) && seq_gt(fin, r->nxt))
            owe_duplicate(t, c);
        return TERN_CAUSE_NONE;
    }
    if (c->face.orphan)
        return after_close(t, c);
    const uint8_t *data = s->data + seq_span(text, start);
    uint32_t len = seq_span(start, end);
    if (seq_eq(start, r->nxt))
        return in_order(t, c, s, data, len);
    enum tern_cause cause = reasm_add(t, r, start, data, len, s->keep);
    owe_duplicate(t, c);
    return cause;
}

TERN_PRIVATE bool recv_fin_reached(const struct tcb *c)
{
    return c->rcv.fin_ooo && !c->rcv.fin_rcvd && seq_eq(c->rcv.fin, c->rcv.nxt);
}

/* The program has taken bytes. */
TERN_PRIVATE void recv_read(struct tern *t, struct tcb *c)
{
    if (c->rcv.urgent && seq_le(c->rcv.up, seq(c->rcv.q.pos)))
        c->rcv.urgent = false;
    if (!c->rcv.fin_rcvd && c->h.state >= TERN_ESTABLISHED && window_update_due(t, c))
        recv_ack_now(t, c, TERN_C_SEND_WINDOW_UPDATE);
}


/* ===================================================================================== src/tcp/reply.c */

/* reply.c - answers that are made without a record: RST by RFC 9293 3.5.2, and the ACKs of the small records,
 * which have no room for a place on the ready list, and the SYN+ACKs that a peer asks for again. They wait in
 * a small ring for tern_tx; when it is full the answer is not given (and counted), since the peer will ask
 * again.
 */

static struct reply *slot(struct tern *t)
{
    struct world *w = t->w;
    if (w->reply_count == REPLIES) {
        w->stats.dropped[TERN_C_REPLIES_FULL]++;
        return NULL;
    }
    return &w->replies[(w->reply_head + w->reply_count++) % REPLIES];
}

static void rst(struct reply *r, seq_t at_seq, seq_t ack, uint8_t flags, enum tern_cause cause)
{
    r->opt.wscale = WSCALE_NONE;
    r->seq = at_seq;
    r->ack = ack;
    r->flags = flags;
    r->cause = (uint16_t)cause;
}

/* The other way round than the segment that is answered. */
static void who_answers(const struct tern *t, const struct segment *s, struct who *w)
{
    *w = (struct who){.local = s->dst, .remote = s->src, .link = s->link, .ttl = settings(t)->ttl};
    w->local_port = s->dst_port;
    w->remote_port = s->src_port;
}

/* 3.5.2 group 1 and 3.10.7.1: with ACK <SEQ=SEG.ACK><CTL=RST>, else
 * <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. With timestamps if the segment has them (RFC7323-5.2-bc). */
TERN_PRIVATE void reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause)
{
    if (cause == TERN_C_NO_CONNECTION && !settings(t)->rst_unclaimed)
        return;
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){0};
    who_answers(t, s, &r->who);
    enum tern_cause why = cause == TERN_C_NO_CONNECTION ? TERN_C_SEND_RST_CLOSED : TERN_C_SEND_RST_BAD_ACK;
    if (s->flags & F_ACK)
        rst(r, s->ack, seq(0), F_RST, why);
    else
        rst(r, seq(0), seq_add(s->seq, seg_len(s)), F_RST | F_ACK, why);
    r->opt.ts = s->opt.ts;
    r->opt.ts_ecr = s->opt.ts_val;
}

/* RST for a record that is about to go; with timestamps if they were agreed (RFC7323-5.2-d). */
TERN_PRIVATE void reply_rst_for(struct tern *t, const struct halfopen *h, seq_t at_seq)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){0};
    who_of(t, h, &r->who);
    rst(r, at_seq, seq(0), F_RST, TERN_C_SEND_RST_ABORT);
    r->opt.ts = h->ts;
}

/* 3.10.7.1, as if nobody listened. */
TERN_PRIVATE void reply_refusal(struct tern *t, const struct halfopen *h)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){0};
    who_of(t, h, &r->who);
    rst(r, seq(0), seq_add(h->irs, 1), F_RST | F_ACK, TERN_C_SEND_RST_REJECTED);
    r->opt.ts = h->ts;
    r->opt.ts_ecr = h->ts_recent;
}

TERN_PRIVATE void reply_ack_for(struct tern *t, const void *record, const struct reply_ack *a, enum tern_cause why)
{
    struct reply *r = slot(t);
    if (r == NULL)
        return;
    *r = (struct reply){
        .seq = a->seq,
        .ack = a->ack,
        .wnd = a->wnd,
        .cause = (uint16_t)why,
        .flags = F_ACK,
        .opt = {.wscale = WSCALE_NONE, .ts = a->ts, .ts_ecr = a->ts_ecr},
    };
    who_of(t, record, &r->who);
}

static struct reply synack_as_reply(const struct who *who, const struct reply_synack *a, enum tern_cause why)
{
    return (struct reply){
        .who = *who,
        .seq = a->iss,
        .ack = seq_add(a->irs, 1),
        .wnd = a->wnd,
        .cause = (uint16_t)why,
        .flags = F_SYN | F_ACK | (a->ecn ? F_ECE : 0),
        .cookie = a->cookie,
        .opt = a->opt,
    };
}

TERN_PRIVATE void reply_synack(struct tern *t, const struct who *who, const struct reply_synack *a)
{
    struct reply *r = slot(t);
    if (r != NULL)
        *r = synack_as_reply(who, a, a->cookie ? TERN_C_SEND_COOKIE : TERN_C_SEND_SYNACK);
}

/* A cookie's is given, and that of a RST which answers a segment is 0 (RFC7323-5.2-c). */
static bool stamps_now(const struct reply *r)
{
    return r->opt.ts && !r->cookie && (!(r->flags & F_RST) || r->cause == TERN_C_SEND_RST_ABORT);
}

static void reply__fill(struct tern *t, const struct reply *r, struct segment *s)
{
    memset(s, 0, sizeof *s);
    s->src = r->who.local, s->dst = r->who.remote;
    s->src_port = r->who.local_port, s->dst_port = r->who.remote_port;
    s->link = ip_way(&t->w->ip, &r->who.local, &r->who.remote, r->who.link);
    s->ttl = r->who.ttl;
    s->tos = r->who.tos;
    s->seq = r->seq, s->ack = r->ack;
    s->wnd = r->wnd;
    s->flags = r->flags;
    s->opt = r->opt;
    if (stamps_now(r))
        s->opt.ts_val = stamp_now(t, stamp_offset(t, &s->src, &s->dst));
}

static bool build(struct tern *t, const struct reply *r, bool again, tern_tx_packet *out)
{
    struct segment s;
    reply__fill(t, r, &s);
    if (s.link == 0 || s.flags == 0)
        return false; /* there is no way to it, or it was taken back */
    t->w->stats.resets_out += (r->flags & F_RST) != 0;
    trace_segment_of(t, &r->who, TERN_TRACE_SEG_OUT, &s, r->cause, again);
    tcp_build(t, &s, 0, out);
    return true;
}

TERN_PRIVATE bool synack_build(struct tern *t, const struct who *who, const struct reply_synack *a, enum tern_cause why,
                  bool again, tern_tx_packet *out)
{
    struct reply r = synack_as_reply(who, a, why);
    return build(t, &r, again, out);
}

/* The address is ours no more: what was to be said from it is not. */
TERN_PRIVATE void reply_forget(struct tern *t, const tern_ip *local)
{
    struct world *w = t->w;
    for (uint32_t i = 0; i < w->reply_count; i++) {
        struct reply *r = &w->replies[(w->reply_head + i) % REPLIES];
        if (ip_eq(&r->who.local, local))
            r->flags = 0;
    }
}

static bool reply__take(struct tern *t, tern_tx_packet *out)
{
    struct world *w = t->w;
    const struct reply *r = &w->replies[w->reply_head];
    w->reply_head = (w->reply_head + 1) % REPLIES;
    w->reply_count--;
    return build(t, r, (r->flags & F_SYN) != 0 && !r->cookie, out);
}

TERN_PRIVATE bool reply_output(struct tern *t, tern_tx_packet *out)
{
    while (t->w->reply_count > 0)
        if (reply__take(t, out))
            return true;
    return false;
}


/* ======================================================================================= src/tcp/rtt.c */

/* rtt.c - round-trip time and retransmission timeout (RFC 6298; RFC6298-1-a). Knows no connection.
 *
 * Kept in plain microseconds: SRTT and RTTVAR lose less than 1 us to rounding, which is below the clock's
 * meaning.
 */

#define RTO_INITIAL_US 1000000u /* RFC6298-2.1-a */

TERN_PRIVATE void rtt_init(struct rtt *r, const struct settings *set)
{
    memset(r, 0, sizeof *r);
    r->rto_us = max_u32(RTO_INITIAL_US, set->rto_min_us);
}

/* MUST-18: the first sample (RFC6298-2.2-a), the later ones with gains of 1/8 and 1/4, RTTVAR first
 * (RFC6298-2.3-abc), each with these gains (RFC7323-4.2-a). Callers keep Karn's rule (section 3): no sample
 * from a segment that was repeated. */
TERN_PRIVATE void rtt_sample(struct rtt *r, uint32_t us, const struct settings *set)
{
    if (us == 0)
        us = 1;
    if (r->min_us == 0 || us < r->min_us)
        r->min_us = us;
    if (r->srtt_us == 0) {
        r->srtt_us = us;
        r->rttvar_us = us / 2;
    } else {
        uint32_t delta = r->srtt_us > us ? r->srtt_us - us : us - r->srtt_us;
        r->rttvar_us = (uint32_t)((3ull * r->rttvar_us + delta) / 4);
        r->srtt_us = (uint32_t)((7ull * r->srtt_us + us) / 8);
    }
    rtt_derive(r, set);
    r->backoff = 0;
}

/* The timeout that SRTT and RTTVAR give. */
TERN_PRIVATE void rtt_derive(struct rtt *r, const struct settings *set)
{
    if (r->srtt_us == 0) {
        r->rto_us = max_u32(RTO_INITIAL_US, set->rto_min_us);
        return;
    }
    /* RTO = SRTT + max(G, 4 * RTTVAR) (RFC6298-2.3-d, RFC6298-4-a). The floor (RFC6298-2.4-a) is put under
     * the variance too, as Linux does: a path whose RTT is steady would else have RTO = SRTT, and every
     * delayed ACK of the peer would look like a loss. */
    uint64_t var = max_u64(4ull * r->rttvar_us, set->rto_min_us);
    r->rto_us = (uint32_t)min_u64((uint64_t)r->srtt_us + var, set->rto_max_us);
}

/* With back-off (MUST-19, RFC6298-5.5-a), bounded (RFC6298-2.5-a). */
TERN_PRIVATE uint32_t rtt_timeout(const struct rtt *r, const struct settings *set)
{
    uint64_t v = (uint64_t)r->rto_us << (r->backoff < 16 ? r->backoff : 16);
    return (uint32_t)min_u64(v, set->rto_max_us);
}

#undef RTO_INITIAL_US

/* ================================================================================== src/tcp/sendlist.c */

/* sendlist.c - what is in flight: one record for each sending, in order of sequence and in order of time: the
 * scoreboard of RFC 6675 (RFC6675-4-a).
 *
 *   seq    head ─▶ [una....) ─▶ [....) ─▶ [SACKED) ─▶ [....nxt) ◀─ tail
 *   time   head ─▶ oldest sending  ...  latest sending ◀─ tail
 *
 * A record covers a run of sequence numbers that left together (up to a 64 KiB super-segment); it is split
 * when a SACK or a retransmission needs part of it. The order of time holds only what may still be in the
 * network, so that a judge by time (rack.c) meets nothing else; a retransmission moves its record to the end.
 *
 * Invariants: (1) records are neighbours without gap and cover SND.UNA..SND.NXT; (2) bytes, sacked, lost,
 * retx are the sums of the lengths of all records, of those with SACKED, LOST, RETX; (3) SACKED excludes LOST
 * and RETX; RETX is set only on records that were LOST; (4) lost_next is at or below the lowest record that
 * is LOST and not RETX.
 *
 * No walk is longer than what the event newly concerns: searches start from the last place, judging starts at
 * the top.
 */

#define BY_SEQ  offsetof(struct sendrec, seq)
#define BY_TIME offsetof(struct sendrec, time)

static struct sendrec *rec(struct tern *t, ref_t r) { return r == 0 ? NULL : at(t->a, r); }
static seq_t rec_end(const struct sendrec *r) { return seq_add(r->start, r->len); }

static void time_append(struct tern *t, struct sendlist *l, const struct sendrec *r)
{
    list_append(t->a, &l->time, self(t, r), BY_TIME);
}

static void time_remove(struct tern *t, struct sendlist *l, const struct sendrec *r)
{
    list_remove(t->a, &l->time, self(t, r), BY_TIME);
}

static bool in_network(const struct sendrec *r)
{
    return !(r->flags & SR_SACKED) && (r->flags & (SR_LOST | SR_RETX)) != SR_LOST;
}

/* Put `n` behind `r`, whose second half it is, in both orders. */
static void insert_behind(struct tern *t, struct sendlist *l, const struct sendrec *r,
                          const struct sendrec *n)
{
    list_insert(t->a, &l->seq, self(t, n), r->seq.next, BY_SEQ);
    if (in_network(r))
        list_insert(t->a, &l->time, self(t, n), r->time.next, BY_TIME);
    l->count++;
}

/* `len` numbers of a record come to the sums, or leave them. */
static void sums(struct sendlist *l, const struct sendrec *r, uint32_t len, bool add)
{
    uint32_t n = add ? len : 0u - len;
    l->bytes += n;
    if (r->flags & SR_SACKED)
        l->sacked += n;
    if (r->flags & SR_LOST)
        l->lost += n;
    if (r->flags & SR_RETX)
        l->retx += n;
}

static void set_flags(struct sendlist *l, struct sendrec *r, uint8_t flags)
{
    sums(l, r, r->len, false);
    r->flags = flags;
    sums(l, r, r->len, true);
}

TERN_PRIVATE void sendlist_init(struct sendlist *l, seq_t iss)
{
    memset(l, 0, sizeof *l);
    l->lost_below = l->fack = iss;
}

TERN_PRIVATE struct sendrec *sendlist_add(struct tern *t, struct sendlist *l, seq_t start, uint32_t len, ref_t chunk)
{
    ref_t me = pool_get(t->a, &t->w->sendrecs, MEM_CONTROL);
    if (me == 0)
        return NULL;
    struct sendrec *r = rec(t, me);
    r->start = start;
    r->len = len;
    r->chunk = chunk;
    r->sent_us = t->w->now;
    r->times = 1;
    list_append(t->a, &l->seq, me, BY_SEQ);
    time_append(t, l, r);
    l->count++;
    sums(l, r, len, true);
    return r;
}

/* Make two of one: r keeps the first `len` numbers, the rest is returned. NULL: no memory. */
TERN_PRIVATE struct sendrec *sendlist_split(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t len)
{
    ref_t me = pool_get(t->a, &t->w->sendrecs, MEM_CONTROL);
    if (me == 0)
        return NULL;
    struct sendrec *n = rec(t, me);
    uint32_t gen = n->gen;
    *n = *r;
    n->gen = gen;
    n->start = seq_add(r->start, len);
    n->len = r->len - len;
    r->len = len;
    insert_behind(t, l, r, n);
    if (l->high == self(t, r))
        l->high = me;
    return n;
}

/* The last record takes n more numbers along. */
TERN_PRIVATE void sendlist_extend(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t n)
{
    ASSERT(l->seq.tail == self(t, r));
    sums(l, r, n, true);
    r->len += n;
}

/* The same for numbers that are sent now: only when the last record can stand for them. */
TERN_PRIVATE bool sendlist_extend_tail(struct tern *t, struct sendlist *l, uint32_t n)
{
    struct sendrec *r = rec(t, l->seq.tail);
    if (r == NULL || !in_network(r))
        return false;
    sendlist_extend(t, l, r, n);
    return true;
}

static void sendlist__forget(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    ref_t me = self(t, r);
    if (l->hint == me)
        l->hint = r->seq.next;
    if (l->high == me)
        l->high = 0;
    if (l->lost_next == me)
        l->lost_next = r->seq.next;
}

/* Take the first record out. */
static void remove_head(struct tern *t, struct sendlist *l)
{
    struct sendrec *r = rec(t, l->seq.head);
    sums(l, r, r->len, false);
    sendlist__forget(t, l, r);
    if (in_network(r))
        time_remove(t, l, r);
    list_remove(t->a, &l->seq, l->seq.head, BY_SEQ);
    l->count--;
    pool_put(t->a, &t->w->sendrecs, self(t, r));
}

/* The latest-sent of what one ACK delivers, in order of sending (RFC 8985 5.2). */
static void latest(struct delivery *d, const struct sendrec *r, seq_t end)
{
    if (d->sent_us == 0 || r->sent_us > d->sent_us || (r->sent_us == d->sent_us && seq_gt(end, d->end)))
        *d = (struct delivery){r->sent_us, end, r->times};
}

/* A record, or its first part up to `end`, has arrived. */
static void delivered(struct sendlist *l, const struct sendrec *r, seq_t end, struct acked *out)
{
    latest(r->times > 1 ? &out->again : &out->once, r, end);
    if (seq_gt(end, l->fack))
        l->fack = end;
    else if (seq_lt(end, l->fack) && r->times == 1)
        out->reordered = true;
}

static void account(struct sendlist *l, const struct sendrec *r, uint32_t len, struct acked *out)
{
    out->bytes += len;
    if (r->times > 1)
        out->any_retx = true;
    if (r->flags & SR_SACKED)
        return;
    delivered(l, r, seq_add(r->start, len), out);
    if (r->times == 1 && out->rtt_sent_us == 0)
        out->rtt_sent_us = r->sent_us;
}

/* All below `una` has arrived. */
TERN_PRIVATE void sendlist_ack(struct tern *t, struct sendlist *l, seq_t una, struct acked *out)
{
    /* neither falls further behind than what it is compared with */
    l->lost_below = seq_max(l->lost_below, una);
    while (l->seq.head != 0) {
        struct sendrec *r = rec(t, l->seq.head);
        if (seq_ge(r->start, una))
            return;
        if (seq_le(rec_end(r), una)) {
            account(l, r, r->len, out);
            remove_head(t, l);
            continue;
        }
        uint32_t n = seq_span(r->start, una);
        account(l, r, n, out);
        sums(l, r, n, false);
        r->start = una;
        r->len -= n;
        return;
    }
}

/* The record that holds s, or NULL. Starts where the last search ended. */
static struct sendrec *sendlist__find(struct tern *t, struct sendlist *l, seq_t s)
{
    struct sendrec *r = rec(t, l->hint != 0 ? l->hint : l->seq.head);
    while (r != NULL && seq_lt(s, r->start))
        r = rec(t, r->seq.prev);
    while (r != NULL && seq_ge(s, rec_end(r)))
        r = rec(t, r->seq.next);
    if (r == NULL)
        return NULL;
    l->hint = self(t, r);
    return r;
}

/* Note that a record has arrived, though not in order. */
static void mark_sacked(struct tern *t, struct sendlist *l, struct sendrec *r, struct acked *out)
{
    if (r->times == 1)
        out->rtt_sent_us = r->sent_us; /* the latest of them: it triggered this SACK */
    delivered(l, r, rec_end(r), out);
    if (in_network(r))
        time_remove(t, l, r);
    set_flags(l, r, SR_SACKED);
    if (l->high == 0 || seq_gt(r->start, rec(t, l->high)->start))
        l->high = self(t, r);
}

/* Cut a record so that the part inside left..right stands alone: at segment boundaries only, since a receiver
 * holds whole segments, and one that reports single bytes (CVE-2019-11477) would have us keep a record for
 * each. NULL: nothing of it is wholly inside, or no memory. */
static struct sendrec *cut_out(struct tern *t, struct sendlist *l, struct sendrec *r, seq_t left, seq_t right,
                               uint32_t mss)
{
    if (seq_lt(r->start, left)) {
        uint32_t before = (seq_span(r->start, left) + mss - 1) / mss * mss;
        if (before >= r->len || (r = sendlist_split(t, l, r, before)) == NULL)
            return NULL;
    }
    if (seq_gt(rec_end(r), right)) {
        uint32_t keep = seq_gt(right, r->start) ? seq_span(r->start, right) / mss * mss : 0;
        if (keep == 0 || sendlist_split(t, l, r, keep) == NULL)
            return NULL;
    }
    return r;
}

/* RFC 6675 Update(): the peer holds left..right. Returns the bytes that are news. */
TERN_PRIVATE uint32_t sendlist_sack(struct tern *t, struct sendlist *l, seq_t left, seq_t right, uint32_t mss,
                       struct acked *out)
{
    uint32_t news = 0;
    struct sendrec *r = sendlist__find(t, l, left);
    while (r != NULL && seq_lt(r->start, right)) {
        struct sendrec *part = r->flags & SR_SACKED ? NULL : cut_out(t, l, r, left, right, mss);
        if (part != NULL) {
            news += part->len;
            mark_sacked(t, l, part, out);
            r = part;
        }
        l->hint = self(t, r);
        r = rec(t, r->seq.next);
    }
    return news;
}

static void mark_lost(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    if (in_network(r))
        time_remove(t, l, r);
    set_flags(l, r, (uint8_t)((r->flags | SR_LOST) & ~SR_RETX));
    if (l->lost_next == 0 || seq_lt(r->start, rec(t, l->lost_next)->start))
        l->lost_next = self(t, r);
}

/* Everything below `r` that is not SACKed and was not judged before is lost. */
static uint32_t judge_below(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    uint32_t lost = 0;
    seq_t judged = r->start;
    for (r = rec(t, r->seq.prev); r != NULL; r = rec(t, r->seq.prev)) {
        if (seq_le(rec_end(r), l->lost_below))
            break;
        if (!(r->flags & (SR_SACKED | SR_LOST))) {
            mark_lost(t, l, r);
            lost += r->len;
        }
    }
    l->lost_below = judged;
    return lost;
}

/* RFC 6675 IsLost() (RFC6675-4-c): three SACKed runs above, or more than two segments' bytes SACKed above.
 * Counts from the highest SACK down and stops as soon as either holds. Returns the bytes newly taken for
 * lost. */
TERN_PRIVATE uint32_t sendlist_mark_lost_sack(struct tern *t, struct sendlist *l, uint32_t mss)
{
    uint32_t runs = 0, bytes = 0;
    bool in_run = false;
    for (struct sendrec *r = rec(t, l->high); r != NULL; r = rec(t, r->seq.prev)) {
        if (!(r->flags & SR_SACKED)) {
            in_run = false;
            continue;
        }
        runs += !in_run;
        in_run = true;
        bytes += r->len;
        if (runs >= 3 || bytes > 2 * mss)
            return judge_below(t, l, r);
        if (bytes == l->sacked)
            return 0; /* there are no more */
    }
    return 0;
}

/* The first segment, not all of the record that it left with. */
TERN_PRIVATE void sendlist_mark_head_lost(struct tern *t, struct sendlist *l, uint32_t mss)
{
    struct sendrec *r = rec(t, l->seq.head);
    if (r == NULL || (r->flags & SR_SACKED))
        return;
    if (r->len > mss + 1) /* a FIN goes with it */
        sendlist_split(t, l, r, mss);
    mark_lost(t, l, r);
}

/* After a timeout (RFC 6298 5.4). `forget_sacks`: the receiver may have reneged (RFC 2018 8). */
TERN_PRIVATE void sendlist_mark_all_lost(struct tern *t, struct sendlist *l, bool forget_sacks)
{
    for (struct sendrec *r = rec(t, l->seq.head); r != NULL; r = rec(t, r->seq.next)) {
        if (forget_sacks && (r->flags & SR_SACKED)) {
            set_flags(l, r, 0);
            time_append(t, l, r); /* only to be taken out again as lost */
        }
        if (!(r->flags & SR_SACKED))
            mark_lost(t, l, r);
    }
    if (forget_sacks)
        l->high = 0;
    if (l->seq.tail != 0)
        l->lost_below = rec_end(rec(t, l->seq.tail));
}

/* Segments of more than `size` bytes cannot have passed; a super-segment was cut into such. A FIN is no byte
 * of theirs, which may cost one that just fits a repetition. False: there were none. */
TERN_PRIVATE bool sendlist_mark_large_lost(struct tern *t, struct sendlist *l, uint32_t size)
{
    bool any = false;
    for (struct sendrec *r = rec(t, l->seq.head); r != NULL; r = rec(t, r->seq.next)) {
        if (r->len <= size || (r->flags & SR_SACKED))
            continue;
        mark_lost(t, l, r);
        any = true;
    }
    return any;
}

/* The lowest record that is lost and not under way again. */
TERN_PRIVATE struct sendrec *sendlist_lost(struct tern *t, struct sendlist *l)
{
    struct sendrec *r = rec(t, l->lost_next);
    while (r != NULL && (r->flags & (SR_LOST | SR_RETX)) != SR_LOST)
        r = rec(t, r->seq.next);
    l->lost_next = r == NULL ? 0 : self(t, r);
    return r;
}

/* It was sent once more: HighRxt is that no record below is LOST and not RETX (RFC6675-5-m, RFC6675-4-j). */
TERN_PRIVATE void sendlist_resent(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    if (in_network(r))
        time_remove(t, l, r);
    else
        set_flags(l, r, r->flags | SR_RETX);
    r->flags &= (uint8_t)~SR_BEFORE;
    r->sent_us = t->w->now;
    if (r->times < 255)
        r->times++;
    time_append(t, l, r);
}

TERN_PRIVATE void sendlist_clear(struct tern *t, struct sendlist *l)
{
    while (l->seq.head != 0)
        remove_head(t, l);
}

/* RFC 6675 SetPipe() (RFC6675-4-d): what is still in the network. Without SACK, duplicate ACKs say how much
 * has left it (RFC 5681 3.2). */
TERN_PRIVATE uint32_t sendlist_pipe(const struct sendlist *l, uint32_t reno_sacked)
{
    uint32_t out = l->sacked + l->lost + reno_sacked;
    uint32_t left = l->bytes > out ? l->bytes - out : 0;
    return left + l->retx;
}

/* In order of sending, RFC 8985 RACK_detect_loss: everything sent before (sent_us, end) that has had
 * `patience` since its sending is lost. Returns the bytes newly lost; *next is when the oldest suspect will
 * be, 0 = there is none. *again: a retransmission of after the last reduction is among them. */
TERN_PRIVATE uint32_t sendlist_mark_lost_time(struct tern *t, struct sendlist *l, uint64_t sent_us, seq_t end,
                                 uint64_t patience, uint64_t *next, bool *again)
{
    uint32_t lost = 0;
    *next = 0;
    *again = false;
    for (struct sendrec *r = rec(t, l->time.head); r != NULL;) {
        if (r->sent_us > sent_us || (r->sent_us == sent_us && seq_ge(rec_end(r), end)))
            break;
        if (r->sent_us + patience > t->w->now) {
            *next = r->sent_us + patience;
            break;
        }
        struct sendrec *after = rec(t, r->time.next);
        *again |= (r->flags & (SR_RETX | SR_BEFORE)) == SR_RETX;
        mark_lost(t, l, r);
        lost += r->len;
        r = after;
    }
    return lost;
}

/* The window has been reduced: what was sent again before that is no reason to reduce it once more. */
TERN_PRIVATE void sendlist_reduced(struct tern *t, struct sendlist *l)
{
    for (struct sendrec *r = rec(t, l->time.head); r != NULL; r = rec(t, r->time.next))
        if (r->flags & SR_RETX)
            r->flags |= SR_BEFORE;
}

#undef BY_SEQ
#undef BY_TIME

/* ================================================================================== src/tcp/shortage.c */

/* shortage.c - who is refused memory for what it wants to send, and is told when there is some.
 *
 *   tern_send ── refused by memory ─▶ waiting ── a page is free ─▶ kept ── the next send, 1 s, rest ─▶
 *                                                  TERN_WRITABLE
 *
 * A send that is refused by the stack's memory (not by the limit of its own buffer) waits in a list, first
 * come, first served. At the end of every verb the pages that have come free go to those who stand in front:
 * to each one page, kept for it in the budget as if it were in use, and TERN_WRITABLE. So the send that
 * follows takes at least one byte, whatever arrived in between. It is the same when an ACK makes room in the
 * buffer. What is kept and not used goes back after a while: a program that was told and says nothing must
 * not hold what others wait for. A connection that has just opened is told when there is memory, but none is
 * kept for it: most wait for the peer to speak first, and each would hold a page that new ones need.
 *
 * Nobody looks at a clock while waiting, so ten thousand who wait cost nothing but their places in the list.
 * RFC 9293 3.10.2 lets SEND say "insufficient resources"; when it may be tried again is ours to say.
 */

#define KEPT_US 1000000u
#define shortage__PLACE   offsetof(struct tcb, shortage.place)

static struct list *list_of(struct tern *t, enum shortage_stage stage)
{
    return stage == SHORTAGE_WAITING ? &t->w->short_waiting : &t->w->short_kept;
}

/* Out of its list; a page kept for it is free. */
static void unlist(struct tern *t, struct tcb *c)
{
    struct shortage *s = &c->shortage;
    if (s->stage == SHORTAGE_NONE)
        return;
    if (s->stage == SHORTAGE_KEPT)
        arena_redeem(t->a);
    list_remove(t->a, list_of(t, s->stage), self(t, c), shortage__PLACE);
    s->stage = SHORTAGE_NONE;
}

static void shortage__put_last(struct tern *t, struct tcb *c, enum shortage_stage stage)
{
    c->shortage.stage = stage;
    c->shortage.since_us = t->w->now;
    list_append(t->a, list_of(t, stage), self(t, c), shortage__PLACE);
}

/* A page has been promised to it. */
static void tell(struct tern *t, struct tcb *c)
{
    shortage__put_last(t, c, SHORTAGE_KEPT);
    c->snd.blocked = false;
    face_raise(t, &c->h, TERN_WRITABLE);
}

/* A send was refused. Who waits already keeps its place. */
TERN_PRIVATE void shortage_wait(struct tern *t, struct tcb *c)
{
    c->snd.blocked = true;
    c->shortage.only_opened = false;
    if (c->shortage.stage != SHORTAGE_NONE)
        return;
    shortage__put_last(t, c, SHORTAGE_WAITING);
}

/* Its buffer has room: it is told so, or waits behind the others for memory. */
TERN_PRIVATE void shortage_writable(struct tern *t, struct tcb *c)
{
    if (!c->face.held || c->shortage.stage == SHORTAGE_WAITING)
        return;
    bool kept = c->shortage.stage == SHORTAGE_KEPT;
    unlist(t, c);
    if ((kept || t->w->short_waiting.head == 0) && arena_promise(t->a))
        tell(t, c);
    else
        shortage_wait(t, c);
}

/* It is about to send: what is kept for it can be taken. */
TERN_PRIVATE void shortage_redeem(struct tern *t, struct tcb *c)
{
    if (c->shortage.stage == SHORTAGE_KEPT)
        unlist(t, c);
}

/* It sends no more. */
TERN_PRIVATE void shortage_leave(struct tern *t, struct tcb *c)
{
    unlist(t, c);
    c->snd.blocked = false;
}

/* It has opened, or been accepted. */
TERN_PRIVATE void shortage_opened(struct tern *t, struct tcb *c)
{
    if (!c->face.held)
        return; /* who is not accepted yet is told then */
    bool kept = c->shortage.stage == SHORTAGE_KEPT; /* for what it wanted to send before */
    if (kept || (t->w->short_waiting.head == 0 && arena_room(t->a, MEM_DATA) > 0)) {
        face_raise(t, &c->h, TERN_WRITABLE);
        return;
    }
    shortage_wait(t, c);
    c->shortage.only_opened = true;
}

static uint64_t lapses_us(const struct tern *t)
{
    ref_t r = t->w->short_kept.head;
    return r == 0 ? UINT64_MAX : ((const struct tcb *)at_const(t->a, r))->shortage.since_us + KEPT_US;
}

/* A page that is kept in vain matters only while somebody waits for one. */
TERN_PRIVATE uint64_t shortage_deadline(const struct tern *t)
{
    return t->w->short_waiting.head != 0 ? lapses_us(t) : UINT64_MAX;
}

/* A page has been promised to this one. */
static void serve(struct tern *t, struct tcb *c)
{
    unlist(t, c);
    tell(t, c);
    if (c->shortage.only_opened)
        unlist(t, c); /* told, and nothing kept */
}

/* What is free goes to those who wait; the oldest in TIME_WAIT give way to them. */
TERN_PRIVATE void shortage_serve(struct tern *t)
{
    while (lapses_us(t) <= t->w->now)
        shortage_redeem(t, tcb_at(t, t->w->short_kept.head));
    while (t->w->short_waiting.head != 0) {
        waiting_make_room(t, 1);
        if (!arena_promise(t->a))
            return;
        serve(t, tcb_at(t, t->w->short_waiting.head));
    }
}

#undef KEPT_US
#undef shortage__PLACE

/* ==================================================================================== src/tcp/sketch.c */

/* sketch.c - counts by key in a fixed size: what each source has, without a record for each.
 *
 * A count-min sketch (Cormode, Muthukrishnan 2005): each key has one cell in every row, chosen by a keyed
 * hash; its count is the least of them. Where keys share a cell the count is too high, never too low, and
 * nobody outside can choose keys that meet. A row's sum is the number of all that is counted now, so one key
 * is wrong by about that number divided by the columns: spoofed sources cannot fill it, since each of them
 * counts only as long as its half-open record is there (RFC 4987 3: the table is bounded).
 */

_Static_assert(SKETCH_ROWS <= 4 && SKETCH_COLUMNS <= 65536, "16 bits of the hash for each row");

/* A host of IPv4, a site's network of IPv6: what one sender has to choose from for nothing. */
TERN_PRIVATE uint64_t sketch_source(const struct tern *t, const tern_ip *ip)
{
    struct sipkey k = t->w->key_sketch;
    uint64_t x = tern_ip_is4(ip) ? get32(ip->b + 12) : (uint64_t)get32(ip->b) << 32 | get32(ip->b + 4);
    x = (x + k.k0) * (k.k1 | 1);
    x = (x ^ x >> 32) * (k.k0 | 1);
    return x ^ x >> 29;
}

static uint32_t column(uint64_t key, uint32_t row) { return (key >> (16 * row) & 0xffff) % SKETCH_COLUMNS; }

TERN_PRIVATE uint32_t sketch_count(const struct sketch *s, uint64_t key)
{
    uint32_t least = s->count[0][column(key, 0)];
    for (uint32_t row = 1; row < SKETCH_ROWS; row++)
        least = min_u32(least, s->count[row][column(key, row)]);
    return least;
}

TERN_PRIVATE void sketch_add(struct sketch *s, uint64_t key)
{
    for (uint32_t row = 0; row < SKETCH_ROWS; row++)
        s->count[row][column(key, row)]++;
}

/* Only what was added. */
TERN_PRIVATE void sketch_take(struct sketch *s, uint64_t key)
{
    for (uint32_t row = 0; row < SKETCH_ROWS; row++)
        s->count[row][column(key, row)]--;
}


/* ===================================================================================== src/tcp/state.c */

/* state.c - the one door through which every change of state goes.
 *
 * Nobody else writes `state`. The door asserts that the edge is legal (state.def), keeps the reason and the
 * time on the record and in its history, and traces it. What follows from a change (timers, events, buffers)
 * is done by who asked for it.
 */

/* An edge is one number, so that looking for it is quick. */
#define EDGE_KEY(cause, from, to) ((uint32_t)(cause) << 8 | (uint32_t)(from) << 4 | (uint32_t)(to))
_Static_assert(TERN_STATES <= 16, "four bits for a state");

/* The compiler makes a search tree of it, which takes a few comparisons. */
static bool edge_legal(enum tern_cause cause, enum tern_state from, enum tern_state to)
{
    switch (EDGE_KEY(cause, from, to)) {
#define EDGE(cause, from, to) case EDGE_KEY(TERN_C_##cause, TERN_##from, TERN_##to):
/* state.def - the legal edges of the state diagram: EDGE(cause, from, to). The cause names event and rule
 * (causes.def).
 *
 * The one door (state.c) takes a cause and asserts that the pair of states stands here with it. The diagram
 * in docs/STATES.md and the coverage test are made from this table.
 */
EDGE(PASSIVE_OPEN, CLOSED, LISTEN)
EDGE(ACTIVE_OPEN, CLOSED, SYN_SENT)
EDGE(SYN_RCVD_LISTEN, CLOSED, SYN_RCVD) /* the half-open record; the listener stays in LISTEN */
EDGE(SYN_RCVD_TIME_WAIT, CLOSED, SYN_RCVD) /* a new record; the old one waits, parked in TIME_WAIT */
EDGE(SYN_DEFERRED, CLOSED, SYN_RCVD) /* the SYN is not answered yet */
EDGE(SYN_REJECTED, SYN_RCVD, CLOSED)
EDGE(SYN_IGNORED, SYN_RCVD, CLOSED)
EDGE(SYN_UNDECIDED, SYN_RCVD, CLOSED)
EDGE(COOKIE_ACKED, LISTEN, ESTABLISHED) /* the control block takes over from the listener, which stays */
EDGE(CLOSE_LISTEN, LISTEN, CLOSED)

EDGE(SYNACK_RCVD, SYN_SENT, ESTABLISHED)
EDGE(SYN_RCVD_SIMULTANEOUS, SYN_SENT, SYN_RCVD)
EDGE(REFUSED, SYN_SENT, CLOSED)
EDGE(CLOSE_SYN_SENT, SYN_SENT, CLOSED)
EDGE(ABORT, SYN_SENT, CLOSED)
EDGE(SYN_RETRIES_USED_UP, SYN_SENT, CLOSED)
EDGE(USER_TIMEOUT, SYN_SENT, CLOSED)
EDGE(ICMP_HARD, SYN_SENT, CLOSED)

EDGE(SYN_ACKED, SYN_RCVD, ESTABLISHED)
EDGE(CLOSE, SYN_RCVD, FIN_WAIT_1)
EDGE(SHUTDOWN, SYN_RCVD, FIN_WAIT_1)
EDGE(REFUSED_SYN_RCVD, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_RESET, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_SYN, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_TIMEOUT, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_EVICTED, SYN_RCVD, CLOSED)
EDGE(LISTENER_GONE, SYN_RCVD, CLOSED)
EDGE(OLD_DUPLICATE_SYN, SYN_RCVD, CLOSED) /* the parked record is found again in TIME_WAIT */
EDGE(CLOSE_LINGER0, SYN_RCVD, CLOSED)
EDGE(ABORT, SYN_RCVD, CLOSED)
EDGE(SYN_RETRIES_USED_UP, SYN_RCVD, CLOSED)
EDGE(USER_TIMEOUT, SYN_RCVD, CLOSED)
EDGE(ICMP_HARD, SYN_RCVD, CLOSED)

EDGE(CLOSE, ESTABLISHED, FIN_WAIT_1)
EDGE(SHUTDOWN, ESTABLISHED, FIN_WAIT_1)
EDGE(FIN_RCVD, ESTABLISHED, CLOSE_WAIT)
EDGE(FIN_ACKED, FIN_WAIT_1, FIN_WAIT_2)
EDGE(FIN_CROSSED, FIN_WAIT_1, CLOSING)
EDGE(FIN_AND_ACK, FIN_WAIT_1, TIME_WAIT)
EDGE(FIN_LAST, FIN_WAIT_2, TIME_WAIT)
EDGE(FIN_WAIT_2_TIMEOUT, FIN_WAIT_2, CLOSED)
EDGE(CLOSING_ACKED, CLOSING, TIME_WAIT)
EDGE(CLOSE, CLOSE_WAIT, LAST_ACK)
EDGE(SHUTDOWN, CLOSE_WAIT, LAST_ACK)
EDGE(LAST_ACKED, LAST_ACK, CLOSED)
EDGE(TIME_WAIT_OVER, TIME_WAIT, CLOSED)
EDGE(TIME_WAIT_RECYCLED, TIME_WAIT, CLOSED)
EDGE(TIME_WAIT_REOPENED, TIME_WAIT, CLOSED)
EDGE(SYN_RCVD_TIME_WAIT, TIME_WAIT, CLOSED) /* the handle's record gives way to the half-open one */
EDGE(ABORT, TIME_WAIT, CLOSED)

/* Any synchronized state but TIME_WAIT. */
#define EDGE_SYNC(cause)             \
    EDGE(cause, ESTABLISHED, CLOSED) \
    EDGE(cause, FIN_WAIT_1, CLOSED)  \
    EDGE(cause, FIN_WAIT_2, CLOSED)  \
    EDGE(cause, CLOSE_WAIT, CLOSED)  \
    EDGE(cause, CLOSING, CLOSED)     \
    EDGE(cause, LAST_ACK, CLOSED)
EDGE_SYNC(RESET)
EDGE_SYNC(ABORT)
#undef EDGE_SYNC

/* Where something of ours waits for an acknowledgment. */
#define EDGE_UNACKED(cause)          \
    EDGE(cause, ESTABLISHED, CLOSED) \
    EDGE(cause, FIN_WAIT_1, CLOSED)  \
    EDGE(cause, CLOSE_WAIT, CLOSED)  \
    EDGE(cause, CLOSING, CLOSED)     \
    EDGE(cause, LAST_ACK, CLOSED)
EDGE_UNACKED(USER_TIMEOUT)
EDGE_UNACKED(RETRIES_USED_UP)
#undef EDGE_UNACKED

/* Where nothing of ours may be on its way. */
EDGE(KEEPALIVE_FAILED, ESTABLISHED, CLOSED)
EDGE(KEEPALIVE_FAILED, FIN_WAIT_2, CLOSED)
EDGE(KEEPALIVE_FAILED, CLOSE_WAIT, CLOSED)

/* CLOSE that becomes a reset (RFC 9293 3.10.5 sends one in these states). */
EDGE(CLOSE_UNREAD, ESTABLISHED, CLOSED)
EDGE(CLOSE_UNREAD, FIN_WAIT_1, CLOSED)
EDGE(CLOSE_UNREAD, FIN_WAIT_2, CLOSED)
EDGE(CLOSE_UNREAD, CLOSE_WAIT, CLOSED)
EDGE(CLOSE_LINGER0, ESTABLISHED, CLOSED)
EDGE(CLOSE_LINGER0, FIN_WAIT_1, CLOSED)
EDGE(CLOSE_LINGER0, FIN_WAIT_2, CLOSED)
EDGE(CLOSE_LINGER0, CLOSE_WAIT, CLOSED)
EDGE(DATA_AFTER_CLOSE, FIN_WAIT_1, CLOSED)
EDGE(DATA_AFTER_CLOSE, FIN_WAIT_2, CLOSED)

/* A child that nobody has accepted. */
EDGE(LISTENER_GONE, ESTABLISHED, CLOSED)
EDGE(LISTENER_GONE, CLOSE_WAIT, CLOSED)

/* What a change of addresses and links ends: every state in which a record has a peer. */
#define EDGE_ALL(cause)              \
    EDGE(cause, SYN_SENT, CLOSED)    \
    EDGE(cause, SYN_RCVD, CLOSED)    \
    EDGE(cause, ESTABLISHED, CLOSED) \
    EDGE(cause, FIN_WAIT_1, CLOSED)  \
    EDGE(cause, FIN_WAIT_2, CLOSED)  \
    EDGE(cause, CLOSE_WAIT, CLOSED)  \
    EDGE(cause, CLOSING, CLOSED)     \
    EDGE(cause, LAST_ACK, CLOSED)    \
    EDGE(cause, TIME_WAIT, CLOSED)
EDGE_ALL(ADDR_REMOVED)
EDGE_ALL(LINK_REMOVED)
#undef EDGE_ALL
#undef EDGE
        return true;
    default:
        return false;
    }
}

TERN_PRIVATE void state_edge(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                enum tern_state to)
{
    ASSERT(edge_legal(cause, from, to));
    trace_state(t, record, cause, from, to);
}

static void state__remember(struct tcb *c, enum tern_cause cause, uint8_t from, uint8_t to, uint64_t now)
{
    memmove(&c->history[1], &c->history[0], sizeof c->history - sizeof c->history[0]);
    c->history[0].cause = (uint16_t)cause;
    c->history[0].from = from;
    c->history[0].to = to;
    c->history[0].t_us = now;
}

TERN_PRIVATE void state_change(struct tern *t, struct conn_head *h, enum tern_cause cause, enum tern_state to)
{
    uint8_t from = h->state;
    if (rec_kind(t, self(t, h)) == REC_TCB)
        state__remember((struct tcb *)h, cause, from, (uint8_t)to, t->w->now);
    t->w->wait_held += (to == TERN_TIME_WAIT) - (from == TERN_TIME_WAIT);
    h->state = (uint8_t)to;
    h->cause = (uint16_t)cause;
    h->since_us = t->w->now;
    if (to == TERN_ESTABLISHED)
        t->w->stats.established++;
    state_edge(t, h, cause, from, to);
}

/* A control block takes over from another record in the same state: no edge is taken. */
TERN_PRIVATE void state_inherit(struct tcb *c, enum tern_cause cause, enum tern_state state, uint64_t since_us)
{
    c->h.state = (uint8_t)state;
    c->h.cause = (uint16_t)cause;
    c->h.since_us = since_us;
    state__remember(c, cause, TERN_CLOSED, (uint8_t)state, since_us);
}

#undef EDGE_KEY
#undef EDGE

/* ===================================================================================== src/tcp/timer.c */

/* timer.c - the timers of a connection: retransmission or window probe (one tagged deadline), tail loss probe
 * and RACK's patience, delayed ACK, keepalive, user timeout, FIN_WAIT_2 or TIME_WAIT, "not before". Each is a
 * deadline on the record; the wheel holds the earliest.
 *
 * A timer only notes what is due; output.c sends it. After a jump of the clock every timer fires at most
 * once, and the user timeout and keepalive have asked the peer, and waited awake, before they judge it.
 */

#define R1_RETRIES 3 /* RFC 9293 SHLD-10: from here on the program is told */

static bool in_flight(const struct tcb *c) { return c->list.count > 0; }

static bool timer__waits_to_send(const struct tcb *c)
{
    return synchronized(c) && (snd_unsent(&c->snd) > 0 || (c->snd.fin_queued && !c->snd.fin_sent));
}

static uint64_t user_limit_us(const struct tern *t, const struct tcb *c)
{
    if (c->set.user_timeout_ms == UINT32_MAX)
        return UINT64_MAX / 2; /* MUST-21: never */
    return c->set.user_timeout_ms != 0 ? c->set.user_timeout_ms * 1000ull : settings(t)->retries_us;
}

/* Without a branch: 0, which is none, is the latest of all when 1 is taken away. */
static uint64_t timer__earlier(uint64_t a, uint64_t b) { return min_u64(a - 1, b - 1) + 1; }

/* RFC 9293 SHLD-29, SHLD-30: the first probe after one RTO, then twice as long each time. */
static uint64_t probe_interval(const struct tern *t, const struct tcb *c)
{
    uint64_t us = (uint64_t)rtt_timeout(&c->rtt, settings(t)) << (c->tm.probes < 16 ? c->tm.probes : 16);
    return min_u64(us, settings(t)->rto_max_us);
}

/* Until when the last attempt may be answered: one timeout, without its doublings. */
static uint64_t heard_out(const struct tern *t, const struct tcb *c)
{
    bool probes = c->tm.rexmit == TERN_TIMER_PERSIST;
    uint64_t wait = probes ? probe_interval(t, c) : rtt_timeout(&c->rtt, settings(t));
    uint64_t doubled = wait - min_u64(wait, c->rtt.rto_us);
    return c->tm.rexmit_us - min_u64(doubled, c->tm.rexmit_us);
}

/* The user timeout is not rounded up to the next retransmission, which may be as far away again; but the last
 * attempt has its time. A window may be probed for it before its time, no segment repeated (RFC6298-5-a). */
static uint64_t user_deadline(const struct tern *t, const struct tcb *c)
{
    if (c->tm.stuck_us == 0 || c->tm.rexmit == TERN_TIMER_NONE || c->set.user_timeout_ms == 0 ||
        c->set.user_timeout_ms == UINT32_MAX)
        return 0;
    uint64_t asked = c->tm.judged ? heard_out(t, c) : 0;
    if (!c->tm.judged && c->tm.rexmit == TERN_TIMER_RETRANSMIT)
        asked = c->tm.rexmit_us;
    return max_u64(c->tm.stuck_us + user_limit_us(t, c), asked);
}

TERN_PRIVATE void timer_rearm(struct tern *t, struct tcb *c)
{
    if (c->h.state == TERN_CLOSED)
        return;
    uint64_t min = c->tm.rexmit != TERN_TIMER_NONE ? c->tm.rexmit_us : 0;
    min = timer__earlier(timer__earlier(min, c->ack.delack_us), timer__earlier(c->tm.keep_us, c->tm.life_us));
    min = timer__earlier(min, timer__earlier(c->tm.pace_us, timer__earlier(c->tm.reo_us, c->tm.tlp_us)));
    min = timer__earlier(min, user_deadline(t, c));
    conn_timer(t, &c->h, timer__earlier(min, idle_due(t, c)));
}

static void arm(struct tern *t, struct tcb *c, uint8_t kind, uint64_t in_us)
{
    c->tm.rexmit = kind;
    c->tm.rexmit_us = kind == TERN_TIMER_NONE ? 0 : t->w->now + in_us;
    trace_conn(t, &c->h, TERN_TRACE_TIMER_SET, TERN_CAUSE_NONE, kind, c->tm.rexmit_us, 0);
}

/* Which of the two is needed now? A shut window is probed (MUST-36), whether or not something is in flight
 * (MUST-35, SHLD-17). A peer to whom no way leads is as good as one whose window is shut, but that the probes
 * stay here: time runs against the connection, and no window is reduced. */
TERN_PRIVATE void timer_window(struct tern *t, struct tcb *c)
{
    bool shut = (c->snd.wnd == 0 || c->snd.link == 0) && synchronized(c);
    uint8_t want = TERN_TIMER_NONE;
    if (c->snd.link == 0 && !synchronized(c) && !c->snd.syn_acked)
        want = TERN_TIMER_RETRANSMIT; /* so that a SYN that cannot leave is given up in time */
    else if (in_flight(c))
        want = shut ? TERN_TIMER_PERSIST : TERN_TIMER_RETRANSMIT;
    else if (shut && timer__waits_to_send(c))
        want = TERN_TIMER_PERSIST;
    if (want == c->tm.rexmit)
        return;
    if (c->tm.rexmit == TERN_TIMER_PERSIST) { /* it has opened: what the probe left behind is sent at once */
        c->tm.probes = 0;
        c->tm.probe = false;
        if (want == TERN_TIMER_RETRANSMIT)
            sendlist_mark_head_lost(t, &c->list, c->snd.mss);
        conn_ready(t, &c->h);
    }
    if (want != TERN_TIMER_NONE && c->tm.stuck_us == 0)
        c->tm.stuck_us = t->w->now;
    arm(t, c, want, want == TERN_TIMER_PERSIST ? probe_interval(t, c) : rtt_timeout(&c->rtt, settings(t)));
}

/* RFC 9293 MUST-37: a peer that answers probes is alive, however long its window is shut. */
TERN_PRIVATE void timer_answered(struct tern *t, struct tcb *c)
{
    if (c->tm.rexmit != TERN_TIMER_PERSIST || c->face.orphan)
        return; /* an orphan's patience is bounded (RFC 6429 3) */
    c->tm.stuck_us = t->w->now;
    c->tm.judged = c->tm.overslept = false;
}

/* RFC6298-5.1-a: for a whole timeout after the oldest sending, so that nothing is repeated before it had its
 * time (RFC6298-5-ab). */
TERN_PRIVATE void timer_sent(struct tern *t, struct tcb *c)
{
    if (c->tm.stuck_us == 0)
        c->tm.stuck_us = t->w->now;
    if (c->tm.rexmit == TERN_TIMER_NONE && in_flight(c))
        arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
}

/* A whole timeout from now. */
TERN_PRIVATE void timer_restart(struct tern *t, struct tcb *c)
{
    if (c->tm.rexmit == TERN_TIMER_RETRANSMIT)
        arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
}

/* RFC6298-5.2-a, RFC6298-5.3-a */
TERN_PRIVATE void timer_progress(struct tern *t, struct tcb *c)
{
    c->tm.retries = 0;
    c->tm.judged = c->tm.overslept = false;
    c->tm.stuck_us = in_flight(c) ? t->w->now : 0;
    if (c->tm.rexmit == TERN_TIMER_PERSIST)
        return; /* timer_window decides */
    if (in_flight(c) && c->rec.partial && c->tm.rexmit == TERN_TIMER_RETRANSMIT)
        return; /* RFC 6582 3.2: only the first partial ACK restarts it */
    if (in_flight(c))
        arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
    else if (c->tm.rexmit != TERN_TIMER_NONE)
        arm(t, c, TERN_TIMER_NONE, 0);
}

/* RFC 9293 3.8.4: keepalive (MAY-5) by the program's switch (MUST-24) and interval (MUST-27). Any segment of
 * the peer starts it anew (MUST-26). */
TERN_PRIVATE void timer_keepalive(struct tern *t, struct tcb *c)
{
    c->tm.keep_probes = 0;
    c->tm.keep_probe = c->tm.keep_overslept = false;
    bool on = c->set.keepalive && synchronized(c) && c->h.state != TERN_TIME_WAIT;
    c->tm.keep_us = on ? t->w->now + c->set.keep_idle_ms * 1000ull : 0;
}

static void timer__give_up(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    int error = c->face.soft_error == -TERN_EHOSTUNREACH ? -TERN_EHOSTUNREACH : -TERN_ETIMEDOUT;
    if (synchronized(c))
        c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, cause, error);
}

/* The clock jumped over what was waited for, so the last attempt had no time to be answered: one more. Only
 * once, so that a caller who always comes too late does not keep the dead alive. */
static bool slept_over(const struct tern *t, uint64_t deadline, bool *before)
{
    bool excused = across_jump(t, deadline) && !*before;
    *before |= excused;
    return excused;
}

/* Has it lasted too long (R2: MUST-20, for a SYN MUST-22)? No verdict without a retransmission that had its
 * time and was not answered. */
static bool exhausted(struct tern *t, struct tcb *c)
{
    uint64_t now = t->w->now;
    bool opening = !synchronized(c), by_default = c->set.user_timeout_ms == 0;
    uint64_t limit = opening && by_default ? settings(t)->syn_retries_us : user_limit_us(t, c);
    uint64_t deadline = by_default ? c->tm.rexmit_us : user_deadline(t, c);
    if (c->tm.stuck_us == 0 || now - c->tm.stuck_us < limit || !c->tm.judged ||
        slept_over(t, deadline, &c->tm.overslept))
        return false;
    if (!by_default)
        timer__give_up(t, c, TERN_C_USER_TIMEOUT);
    else
        timer__give_up(t, c, opening ? TERN_C_SYN_RETRIES_USED_UP : TERN_C_RETRIES_USED_UP);
    return true;
}

/* RFC6298-5.4-a, RFC6298-5.5-a, RFC6298-5.6-a; RFC 9293 3.8.3: at R1 the program is told, of a SYN too
 * (MUST-22). A deviation from MUST-20: IP gets no advice, since it knows links and no gateways that it could
 * change. */
static void retransmit(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    c->sum.timeouts++;
    t->w->stats.timeouts++;
    m->tlp_us = 0;
    c->tlp.due = c->tlp.out = false;
    if (c->list.count > 0) /* without a way nothing has left: then only time has passed, and nothing is
                              lost */
        recovery_on_timeout(t, c);
    if (m->retries < 255)
        m->retries++;
    m->judged = true;
    if (c->rtt.backoff < 255)
        c->rtt.backoff++;
    if (m->retries == R1_RETRIES)
        face_soft_error(t, c, -TERN_ETIMEDOUT, 0, 0);
    arm(t, c, TERN_TIMER_RETRANSMIT, rtt_timeout(&c->rtt, settings(t)));
    conn_ready(t, &c->h);
}

static void persist(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    m->probe = true;
    m->judged = true;
    if (m->probes < 255)
        m->probes++;
    arm(t, c, TERN_TIMER_PERSIST, probe_interval(t, c));
    conn_ready(t, &c->h);
}

static void rexmit_fired(struct tern *t, struct tcb *c)
{
    trace_conn(t, &c->h, TERN_TRACE_TIMER_FIRED, TERN_CAUSE_NONE, c->tm.rexmit, c->tm.retries, 0);
    if (exhausted(t, c))
        return;
    if (c->tm.rexmit == TERN_TIMER_PERSIST)
        persist(t, c);
    else
        retransmit(t, c);
}

static void keepalive_fired(struct tern *t, struct tcb *c)
{
    struct timers *m = &c->tm;
    if (in_flight(c) || timer__waits_to_send(c)) { /* MUST-26: retransmission finds out by itself */
        m->keep_us = t->w->now + c->set.keep_idle_ms * 1000ull;
        return;
    }
    bool last = m->keep_probes >= c->set.keep_cnt;
    if (last && !slept_over(t, m->keep_us, &m->keep_overslept)) { /* MUST-29 */
        timer__give_up(t, c, TERN_C_KEEPALIVE_FAILED);
        return;
    }
    trace_conn(t, &c->h, TERN_TRACE_TIMER_FIRED, TERN_CAUSE_NONE, TERN_TIMER_KEEPALIVE, m->keep_probes, 0);
    m->keep_probes += !last;
    m->keep_probe = true;
    m->keep_us = t->w->now + c->set.keep_intvl_ms * 1000ull;
    conn_ready(t, &c->h);
}

static void life_fired(struct tern *t, struct tcb *c)
{
    if (c->tm.life == TERN_TIMER_TIME_WAIT) {
        tcb_end(t, c, TERN_C_TIME_WAIT_OVER, 0);
        return;
    }
    t->w->stats.fin_wait2_timeouts++;
    tcb_end(t, c, TERN_C_FIN_WAIT_2_TIMEOUT, -TERN_ETIMEDOUT);
}

static bool due(uint64_t deadline, uint64_t now) { return deadline != 0 && deadline <= now; }

static void tcb_timer(struct tern *t, struct tcb *c)
{
    uint64_t now = t->w->now;
    if (due(c->tm.life_us, now)) {
        life_fired(t, c);
        return;
    }
    if (due(c->tm.tlp_us, now))
        tlp_fired(t, c); /* first: it puts off the next */
    if (c->tm.rexmit != TERN_TIMER_NONE && due(c->tm.rexmit_us, now))
        rexmit_fired(t, c);
    else if (due(user_deadline(t, c), now))
        rexmit_fired(t, c);
    if (c->h.state == TERN_CLOSED)
        return;
    if (due(c->ack.delack_us, now)) {
        c->ack.delack_us = 0;
        recv_ack_now(t, c, TERN_C_SEND_ACK_DELAYED);
    }
    if (due(c->tm.pace_us, now)) {
        c->tm.pace_us = 0;
        conn_ready(t, &c->h);
    }
    bool again;
    if (due(c->tm.reo_us, now) && rack_detect(t, c, false, &again) > 0)
        recovery_on_lost(t, c, again);
    if (due(c->tm.keep_us, now))
        keepalive_fired(t, c);
    if (!idle_rest(t, c))
        timer_rearm(t, c);
}

TERN_PRIVATE void timer_fire(struct tern *t, struct wnode *n)
{
    if (rec_kind(t, self(t, n)) == REC_IDLE) {
        struct tcb *c = idle_fired(t, (struct idle *)(void *)((uint8_t *)n - offsetof(struct idle, timer)));
        if (c != NULL)
            tcb_timer(t, c);
        return;
    }
    struct conn_head *h = (struct conn_head *)(void *)((uint8_t *)n - offsetof(struct conn_head, timer));
    if (h->kind == REC_TCB)
        tcb_timer(t, (struct tcb *)h);
    else
        backlog_timer(t, (struct listener *)h);
}

#undef R1_RETRIES

/* ================================================================================== src/tcp/timewait.c */

/* timewait.c - TIME_WAIT: both sides have closed; old segments must die before the pair of ports is used
 * again.
 *
 * While the program holds the handle the record is the control block, afterwards the small one (waiting.c);
 * both are judged by one view, so that there is one truth. RST is ignored (RFC1337-3-a, RFC1337-4-a). A new
 * SYN may take the place of the old connection when it is certainly newer (RFC 6191 2; RFC 9293 3.6.1); this
 * must be asked before the window test, which it cannot pass.
 */

#define TURN_US 1000000u

/* What either record knows. */
struct view {
    seq_t snd_nxt, rcv_nxt;
    uint32_t rcv_wnd, max_wnd;
    bool ts;
    uint32_t ts_recent;
};

static struct view view_of_tcb(const struct tcb *c)
{
    return (struct view){
        .snd_nxt = c->snd.nxt,
        .rcv_nxt = c->rcv.nxt,
        .rcv_wnd = rcv_wnd(&c->rcv),
        .max_wnd = max_u32(c->snd.max_wnd, 65535),
        .ts = c->opt.ts,
        .ts_recent = c->ts.recent,
    };
}

static struct view view_of(const struct tern *t, ref_t r)
{
    if (rec_kind(t, r) == REC_TCB)
        return view_of_tcb(at_const(t->a, r));
    const struct timewait *w = at_const(t->a, r);
    return (struct view){
        .snd_nxt = w->snd_nxt,
        .rcv_nxt = w->rcv_nxt,
        .rcv_wnd = (uint32_t)w->wnd << w->rcv_wscale,
        .max_wnd = 65535,
        .ts = w->ts,
        .ts_recent = w->ts_recent,
    };
}

/* SHLD-4, RFC6191-2-abcefh and, without timestamps, RFC 9293 3.6.1: is this SYN certainly newer than all of
 * the old connection? */
static bool newer(struct tern *t, const struct view *v, const struct segment *s)
{
    bool seq_newer = seq_ge(s->seq, v->rcv_nxt);
    bool stamps = s->opt.ts && settings(t)->timestamps;
    if (!stamps)
        return seq_newer;
    if (!v->ts)
        return true;
    if (s->opt.ts_val == v->ts_recent)
        return seq_newer;
    return (int32_t)(s->opt.ts_val - v->ts_recent) > 0;
}

static void restart(struct tern *t, ref_t r)
{
    if (rec_kind(t, r) == REC_TCB)
        tcb_at(t, r)->tm.life_us = t->w->now + 2ull * settings(t)->msl_us;
    else
        waiting_restart(t, r);
}

/* One challenge ACK in a turn of a second, counted from the end of 2 MSL: the small record has no room for
 * more, and no record's ration may be that of another (RFC 5961 7, CVE-2016-5696). */
static bool small_allowed(struct tern *t, ref_t r)
{
    struct timewait *w = at(t->a, r);
    uint64_t due = waiting_due(t, r), left = due - min_u64(due, t->w->now);
    uint32_t turn = 1 + (uint32_t)(left / TURN_US % 15);
    bool allowed = w->challenged != turn;
    w->challenged = turn & 15;
    t->w->stats.challenge_limited += !allowed;
    return allowed;
}

/* The small record's, which is sent without it. */
static void small_ack(struct tern *t, ref_t r, enum tern_cause why, bool always)
{
    const struct timewait *w = at(t->a, r);
    if (!always && !small_allowed(t, r))
        return;
    struct reply_ack ack = {
        .seq = w->snd_nxt,
        .ack = w->rcv_nxt,
        .wnd = w->wnd & 0xffff,
        .ts = w->ts,
        .ts_ecr = w->ts_recent,
    };
    reply_ack_for(t, w, &ack, why);
}

static void timewait__owe_ack(struct tern *t, ref_t r, enum tern_cause why, bool always)
{
    if (rec_kind(t, r) != REC_TCB)
        small_ack(t, r, why, always);
    else if (always)
        recv_ack_now(t, tcb_at(t, r), why);
    else
        challenge(t, tcb_at(t, r), why);
}

static bool ack_in_range(const struct view *v, const struct segment *s)
{
    return seq_le(s->ack, v->snd_nxt) && seq_ge(s->ack, seq_sub(v->snd_nxt, v->max_wnd));
}

/* The peer's FIN again: it has not seen our last ACK. Recognised before the window test, which it fails. */
static bool repeated_fin(const struct view *v, const struct segment *s)
{
    return (s->flags & (F_FIN | F_ACK | F_SYN)) == (F_FIN | F_ACK) &&
           seq_eq(seq_add(s->seq, seg_len(s)), v->rcv_nxt) && ack_in_range(v, s);
}

/* Every other segment: none of them can change anything; the question is whether it draws an ACK. */
static enum tern_cause old_segment(struct tern *t, ref_t r, const struct view *v,
                                   const struct segment *s)
{
    if (s->flags & F_SYN) { /* fourth; RFC6191-2-dg */
        timewait__owe_ack(t, r, TERN_C_SEND_CHALLENGE, false);
        return (s->flags & F_ACK) ? TERN_C_SYN_CHALLENGE : TERN_C_TIME_WAIT_OLD_SYN;
    }
    if (!seq_acceptable(v->rcv_nxt, v->rcv_wnd, s)) { /* first */
        timewait__owe_ack(t, r, TERN_C_SEND_ACK_OLD, false);
        return seq_lt(s->seq, v->rcv_nxt) ? TERN_C_SEQ_OLD : TERN_C_SEQ_BEYOND;
    }
    if (!(s->flags & F_ACK)) /* fifth */
        return TERN_C_NO_ACK_BIT;
    if (!ack_in_range(v, s)) {
        timewait__owe_ack(t, r, TERN_C_SEND_CHALLENGE, false);
        return seq_gt(s->ack, v->snd_nxt) ? TERN_C_ACK_UNSENT : TERN_C_ACK_TOO_OLD;
    }
    if (s->flags & F_FIN) /* eighth: acknowledged, and no more */
        timewait__owe_ack(t, r, TERN_C_SEND_ACK_FIN, false);
    return s->len > 0 ? TERN_C_TEXT_IGNORED : TERN_C_TIME_WAIT_OLD;
}

TERN_PRIVATE enum tern_cause in_timewait(struct tern *t, ref_t r, const struct segment *s)
{
    struct view v = view_of(t, r);
    if (s->flags & F_RST) {
        t->w->stats.time_wait_rst_ignored++;
        return TERN_C_TIME_WAIT_RST;
    }
    if ((s->flags & (F_SYN | F_ACK)) == F_SYN && newer(t, &v, s)) {
        struct listener *l = demux_listener(t, &s->dst, s->dst_port, s->link);
        if (l != NULL)
            return halfopen_open(t, l, s, r);
    }
    if (repeated_fin(&v, s)) {
        timewait__owe_ack(t, r, TERN_C_SEND_ACK_TIME_WAIT, true);
        restart(t, r); /* last: the record may move */
        return TERN_CAUSE_NONE;
    }
    return old_segment(t, r, &v, s);
}

/* A newer connection of the same pair is established: this one is over. */
TERN_PRIVATE void time_wait_gives_way(struct tern *t, ref_t r)
{
    if (rec_kind(t, r) == REC_TIMEWAIT)
        waiting_end(t, r, TERN_C_SYN_RCVD_TIME_WAIT);
    else
        tcb_end(t, tcb_at(t, r), TERN_C_SYN_RCVD_TIME_WAIT, 0);
}

static void set_parked(struct tern *t, ref_t r, bool parked)
{
    if (rec_kind(t, r) == REC_TIMEWAIT)
        ((struct timewait *)at(t->a, r))->parked = parked;
    else
        head_at(t, r)->parked = parked;
}

TERN_PRIVATE void time_wait_park(struct tern *t, ref_t r) { set_parked(t, r, true); }
TERN_PRIVATE void time_wait_unpark(struct tern *t, ref_t r) { set_parked(t, r, false); }

TERN_PRIVATE seq_t time_wait_snd_nxt(struct tern *t, ref_t r) { return view_of(t, r).snd_nxt; }

#undef TURN_US

/* ======================================================================================= src/tcp/tlp.c */

/* tlp.c - tail loss probe (RFC 8985 7): when the last segments of a flight, or their ACKs, are lost, nothing
 * comes that SACK could speak of, and only the retransmission timeout is left. Two round trips after the last
 * sending one segment more is sent: new data if there is some, else the last segment again. The ACK that it
 * draws starts ordinary recovery.
 */

#define ACK_DELAY_US 200000u /* TLP.max_ack_delay: a single segment may wait for a delayed ACK */

/* RFC 8985 7.2, 7.3: one at a time, and none before a round trip was measured since the last. */
static bool wanted(const struct tcb *c)
{
    return c->opt.sack && synchronized(c) && c->rec.phase == PHASE_OPEN && !c->tlp.out &&
           !c->tlp.unmeasured && c->list.count > 0 && c->list.sacked == 0 &&
           c->tm.rexmit == TERN_TIMER_RETRANSMIT && c->rtt.srtt_us != 0 && c->tm.retries == 0;
}

/* A FIN is no data (RFC 8985 7.2), and has nothing behind it that a SACK could tell of. */
static bool fin_alone(const struct tcb *c) { return c->snd.fin_sent && flight(&c->snd) == 1; }

/* RFC 8985 7.2: 2 * SRTT, longer when one segment alone is in flight, but at the latest when the timer would
 * fire. */
TERN_PRIVATE void tlp_schedule(struct tern *t, struct tcb *c)
{
    c->tm.tlp_us = 0;
    if (!wanted(c) || fin_alone(c))
        return;
    uint64_t pto = 2ull * c->rtt.srtt_us + (flight(&c->snd) <= c->snd.mss ? ACK_DELAY_US : 2000);
    c->tm.tlp_us = min_u64(t->w->now + pto, c->tm.rexmit_us);
}

TERN_PRIVATE void tlp_fired(struct tern *t, struct tcb *c)
{
    c->tm.tlp_us = 0;
    if (!wanted(c))
        return;
    timer_restart(t, c); /* 7.3: the timer stays the last resort, behind the probe */
    c->tlp.due = true;
    conn_ready(t, &c->h);
}

/* RFC 8985 7.3: after the probe only the timeout is left. */
TERN_PRIVATE void tlp_sent(struct tern *t, struct tcb *c, bool again)
{
    c->tlp = (struct tlp){.out = true, .resent = again, .unmeasured = true, .end = c->snd.nxt};
    timer_restart(t, c);
}

/* RFC 8985 7.4.2: does this ACK tell that the probe repaired a loss? New data as probe needs no judgement. A
 * repetition was needless when the peer says that it came twice; when more than it is acknowledged and no
 * such word came, it was needed. */
TERN_PRIVATE bool tlp_repaired(struct tcb *c, const struct segment *s, const struct acked *a)
{
    struct tlp *p = &c->tlp;
    if (!p->out || seq_lt(s->ack, p->end))
        return false;
    bool twice = a->dsacked > 0 || (seq_eq(s->ack, p->end) && a->duplicate);
    bool beyond = seq_gt(s->ack, p->end);
    p->out = p->resent && !twice && !beyond;
    return p->resent && !twice && beyond;
}

#undef ACK_DELAY_US

/* ===================================================================================== src/tcp/trace.c */

/* trace.c - what TCP does, as binary records for people (event.h). Asked only while a ring is given
 * (tcp.h). */

static void tcp_trace__fill(struct tern *t, const struct who *w, tern_trace_record *r, enum tern_trace_kind kind,
                 enum tern_cause cause)
{
    r->t_us = t->w->now;
    r->kind = (uint8_t)kind;
    r->cause = (uint16_t)cause;
    r->conn = w->conn;
    r->state = r->state_to = w->state;
    r->link = w->link;
    r->local = w->local;
    r->remote = w->remote;
    r->local_port = w->local_port;
    r->remote_port = w->remote_port;
    r->iss = w->iss.v;
    r->irs = w->irs.v;
}

static void who(struct tern *t, const void *record, struct who *out)
{
    if (record != NULL)
        who_of(t, record, out);
    else
        memset(out, 0, sizeof *out);
}

TERN_PRIVATE void trace_conn_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                      enum tern_cause cause, uint64_t a, uint64_t b, uint64_t c)
{
    struct who w;
    tern_trace_record *r = trace_next(&t->trace);
    who(t, record, &w);
    tcp_trace__fill(t, &w, r, kind, cause);
    r->a = a;
    r->b = b;
    r->c = c;
}

TERN_PRIVATE void trace_state_write(struct tern *t, const void *record, enum tern_cause cause, enum tern_state from,
                       enum tern_state to)
{
    struct who w;
    tern_trace_record *r = trace_next(&t->trace);
    who(t, record, &w);
    tcp_trace__fill(t, &w, r, TERN_TRACE_STATE, cause);
    r->state = (uint8_t)from;
    r->state_to = (uint8_t)to;
}

static void fill_options(const struct segment *s, tern_trace_record *r)
{
    r->ts_val = s->opt.ts ? s->opt.ts_val : 0;
    r->ts_ecr = s->opt.ts ? s->opt.ts_ecr : 0;
    r->mss = s->opt.mss;
    r->wscale = s->opt.wscale == WSCALE_NONE ? 0 : (uint8_t)(s->opt.wscale + 1);
    r->n_sack = s->opt.n_sack;
}

/* Window in bytes: SYNs are never scaled (RFC 7323 2.2). */
static uint32_t wnd_bytes(const struct who *w, const struct segment *s, bool in)
{
    if (s->flags & F_SYN)
        return s->wnd;
    return (uint32_t)s->wnd << (in ? w->snd_wscale : w->rcv_wscale);
}

static void fill_segment(const struct who *w, const struct segment *s, bool out, tern_trace_record *r)
{
    r->local = out ? s->src : s->dst;
    r->remote = out ? s->dst : s->src;
    r->local_port = out ? s->src_port : s->dst_port;
    r->remote_port = out ? s->dst_port : s->src_port;
    r->tcp_flags = s->flags;
    r->ecn = s->tos & 3;
    r->link = s->link;
    r->seq = s->seq.v;
    r->ack = s->ack.v;
    r->len = s->len;
    r->wnd = wnd_bytes(w, s, !out);
    r->gso_size = s->gso_size;
    r->up = s->up;
    fill_options(s, r);
}

TERN_PRIVATE void trace_segment_of_write(struct tern *t, const struct who *w, enum tern_trace_kind kind,
                            const struct segment *s, enum tern_cause cause, uint64_t a)
{
    tern_trace_record *r = trace_next(&t->trace);
    tcp_trace__fill(t, w, r, kind, cause);
    fill_segment(w, s, kind == TERN_TRACE_SEG_OUT, r);
    r->a = a;
}

TERN_PRIVATE void trace_segment_write(struct tern *t, const void *record, enum tern_trace_kind kind,
                         const struct segment *s, enum tern_cause cause, uint64_t a)
{
    struct who w;
    who(t, record, &w);
    trace_segment_of_write(t, &w, kind, s, cause, a);
}


/* =================================================================================== src/tcp/waiting.c */

/* waiting.c - the small records of TIME_WAIT: made, found, restarted, ended, given up.
 *
 * All last the same 2 MSL (RFC 9293 3.6.1, MUST-13), so they wait in order of arrival (base/fifo.h), one
 * queue for each address family, and the front is the next to be over: no wheel, no links. 32 bytes for IPv4,
 * 64 for IPv6.
 *
 * The time when a record is due has 9 bits: ticks of 2 MSL / 1024 (59 ms of 60 s) after the first record of
 * its page. A page takes records for 2 MSL / 2 at most. Rounded up, and never before the record in front of
 * it: so a record may end a little late, never early. Late by a tick; and one whose handle was held into
 * TIME_WAIT, by as long as that.
 *
 * A repeated FIN starts 2 MSL anew: the record moves to the end and leaves a hole. With one FIN after the
 * other somebody could make nothing but holes, so a record moves only while the pages have room for no more
 * than twice the records that live (and two pages). Else it is marked, and begins 2 MSL once more where they
 * end: longer than asked for, at no cost.
 *
 * They are the first to be given up, oldest first, when memory is short or they are too many
 * (waiting_make_room).
 */

#define TICKS       1024u /* in 2 MSL */
#define ID_MASK     0x3ffffffu
#define LATE_MAX    511u  /* what `late` can hold */
#define EXPIRE_MAX  256u  /* ends in one call of tern_tick */
#define REUSE_US    1000000u /* before our own connect may take its place */
#define RECYCLE_MAX 2100u /* given up in one call: more than any page holds */

static const enum tern_cause led_here[] = {
    TERN_CAUSE_NONE, TERN_C_FIN_AND_ACK, TERN_C_FIN_LAST, TERN_C_CLOSING_ACKED};

TERN_PRIVATE enum tern_cause waiting_cause(const struct timewait *w) { return led_here[w->how]; }

static uint32_t how(enum tern_cause cause)
{
    uint32_t i = ARRAY_LEN(led_here) - 1;
    while (i > 1 && led_here[i] != cause)
        i--;
    return i;
}

static uint64_t two_msl(const struct tern *t) { return 2ull * settings(t)->msl_us; }

static uint64_t tick_us(const struct tern *t) { return (two_msl(t) + TICKS - 1) / TICKS; }

static bool waiting__is4(const struct tern *t, ref_t r) { return arena_kind(t->a, r) == PAGE_POOL0 + POOL_TIMEWAIT4; }

static struct waiting *queue_of(struct tern *t, bool ip4) { return ip4 ? &t->w->wait4 : &t->w->wait6; }

static inline struct timewait *waiting_at(struct tern *t, ref_t r) { return at(t->a, r); }

TERN_PRIVATE uint32_t waiting_live(const struct tern *t) { return t->w->wait4.fifo.live + t->w->wait6.fifo.live; }

/* The number in the trace: the latest whose lower bits are these. */
static uint64_t conn_of(const struct tern *t, const struct timewait *w)
{
    return t->w->next_conn - ((t->w->next_conn - w->id) & ID_MASK);
}

TERN_PRIVATE void waiting_pair(const struct tern *t, ref_t r, struct who *out)
{
    const struct timewait *w = at_const(t->a, r);
    out->local_port = w->local_port;
    out->remote_port = w->remote_port;
    if (waiting__is4(t, r)) {
        const struct timewait4 *v = at_const(t->a, r);
        ip_pair_read(v->pair, true, &out->local, &out->remote);
        out->link = 0;
    } else {
        const struct timewait6 *v = at_const(t->a, r);
        out->local = v->local;
        out->remote = v->remote;
        out->link = v->link;
    }
}

TERN_PRIVATE void waiting_who(const struct tern *t, ref_t r, struct who *out)
{
    const struct timewait *w = at_const(t->a, r);
    waiting_pair(t, r, out);
    out->conn = conn_of(t, w);
    out->state = TERN_TIME_WAIT;
    out->ttl = settings(t)->ttl;
    out->rcv_wscale = w->rcv_wscale;
    if (out->link == 0)
        out->link = (uint8_t)ip_route(&t->w->ip, &out->remote);
}

TERN_PRIVATE bool waiting_same(const struct tern *t, ref_t r, const tern_endpoint *local, const tern_endpoint *remote,
                  uint8_t link)
{
    const struct timewait *w = at_const(t->a, r);
    if (w->local_port != local->port || w->remote_port != remote->port)
        return false;
    if (!waiting__is4(t, r)) {
        const struct timewait6 *v = at_const(t->a, r);
        return ip_eq(&v->remote, &remote->ip) && ip_eq(&v->local, &local->ip) &&
               (v->link == link || ip_zone(&v->local, &v->remote, 1) == 0);
    }
    const struct timewait4 *v = at_const(t->a, r);
    return tern_ip_is4(&remote->ip) && tern_ip_is4(&local->ip) &&
           memcmp(v->pair + 4, remote->ip.b + 12, 4) == 0 && memcmp(v->pair, local->ip.b + 12, 4) == 0;
}

TERN_PRIVATE uint64_t waiting_due(const struct tern *t, ref_t r)
{
    return *fifo_note(t->a, r) + ((const struct timewait *)at_const(t->a, r))->late * tick_us(t);
}

TERN_PRIVATE bool waiting_reusable(const struct tern *t, ref_t r)
{
    if (rec_kind(t, r) != REC_TIMEWAIT)
        return false;
    const struct timewait *w = at_const(t->a, r);
    uint64_t began = waiting_due(t, r) - two_msl(t); /* or a little earlier */
    return w->ts && settings(t)->timestamps && !w->again && t->w->now >= began + REUSE_US;
}

/* A record behind all others, due at due_us or a little later; exactly then on a page of its own. */
static ref_t waiting__append(struct tern *t, struct waiting *q, uint64_t due_us, bool turn, enum mem_prio prio)
{
    bool alone = q->fifo.live == 0;
    uint64_t due = alone ? due_us : max_u64(due_us, q->last_us);
    uint64_t page_us = alone ? due : *fifo_note(t->a, q->fifo.chain.tail);
    uint64_t late = (due - page_us + tick_us(t) - 1) / tick_us(t);
    ref_t r = fifo_append(t->a, &q->fifo, turn || late > LATE_MAX, prio);
    if (r == 0)
        return 0;
    if (*fifo_note(t->a, r) == 0) {
        *fifo_note(t->a, r) = page_us = due;
        late = 0;
    }
    waiting_at(t, r)->late = (uint32_t)late & LATE_MAX;
    q->last_us = page_us + late * tick_us(t);
    return r;
}

static void drop(struct tern *t, ref_t r) { fifo_remove(t->a, &queue_of(t, waiting__is4(t, r))->fifo, r); }

TERN_PRIVATE void waiting_follow(struct tern *t, ref_t r, uint32_t links_gone)
{
    if (waiting__is4(t, r))
        return; /* it has no home */
    struct timewait6 *v = at(t->a, r);
    if (links_gone >> v->link & 1)
        v->link = 0;
}

TERN_PRIVATE void waiting_end(struct tern *t, ref_t r, enum tern_cause cause)
{
    const struct timewait *w = waiting_at(t, r);
    state_edge(t, w, cause, TERN_TIME_WAIT, TERN_CLOSED);
    trace_conn(t, w, TERN_TRACE_RELEASED, cause, 0, 0, 0);
    demux_remove(t, r);
    drop(t, r);
}

/* The next to be over, of both families; 0 = none. */
static ref_t waiting__oldest(struct tern *t)
{
    ref_t a = fifo_front(t->a, &t->w->wait4.fifo), b = fifo_front(t->a, &t->w->wait6.fifo);
    if (a == 0 || b == 0)
        return a != 0 ? a : b;
    return waiting_due(t, b) < waiting_due(t, a) ? b : a;
}

static void recycle(struct tern *t)
{
    t->w->stats.time_wait_recycled++;
    waiting_end(t, waiting__oldest(t), TERN_C_TIME_WAIT_RECYCLED);
}

TERN_PRIVATE void waiting_recycle(struct tern *t, uint32_t pages)
{
    for (uint32_t i = 0; i < RECYCLE_MAX && arena_room(t->a, MEM_DATA) < pages && waiting_live(t) > 0; i++)
        recycle(t);
}

/* Within time_wait_max, if one more is to come. */
static void keep_limit(struct tern *t)
{
    uint32_t max = settings(t)->time_wait_max;
    while (max != 0 && waiting_live(t) >= max)
        recycle(t);
}

/* With what is kept back for what lets connections end, if it must be: the block that this record replaces is
 * many times as large. */
static ref_t get(struct tern *t, bool ip4, uint64_t due_us)
{
    struct waiting *q = queue_of(t, ip4);
    keep_limit(t);
    ref_t r = waiting__append(t, q, due_us, false, MEM_DATA);
    if (r != 0)
        return r;
    waiting_make_room(t, 1);
    return waiting__append(t, q, due_us, false, MEM_CONTROL);
}

static void fill_addresses(struct tern *t, const struct tcb *c, ref_t r)
{
    if (waiting__is4(t, r)) {
        ip_pair_write(((struct timewait4 *)at(t->a, r))->pair, &c->h.local, &c->h.remote);
    } else {
        struct timewait6 *v = at(t->a, r);
        v->local = c->h.local;
        v->remote = c->h.remote;
        v->link = c->h.link;
    }
}

TERN_PRIVATE bool waiting_add(struct tern *t, const struct tcb *c)
{
    ref_t r = get(t, tern_ip_is4(&c->h.remote), c->tm.life_us);
    if (r == 0)
        return false;
    struct timewait *w = waiting_at(t, r);
    w->id = (uint32_t)c->h.conn & ID_MASK;
    w->how = how((enum tern_cause)c->h.cause) & 3;
    w->snd_nxt = c->snd.nxt;
    w->rcv_nxt = c->rcv.nxt;
    w->ts_recent = c->ts.recent;
    w->local_port = c->h.local_port;
    w->remote_port = c->h.remote_port;
    w->wnd = window_field_up(rcv_wnd(&c->rcv), c->opt.rcv_wscale);
    w->rcv_wscale = c->opt.rcv_wscale & 15;
    w->ts = c->opt.ts;
    w->parked = c->h.parked;
    fill_addresses(t, c, r);
    demux_replace(t, self(t, c), r);
    return true;
}

/* To the end of its queue, for 2 MSL from now on. False: no memory. */
static bool move(struct tern *t, struct waiting *q, ref_t from)
{
    ref_t to = waiting__append(t, q, t->w->now + two_msl(t), q->fifo.live == 1, MEM_CONTROL);
    if (to == 0)
        return false;
    struct timewait *w = waiting_at(t, to);
    uint32_t late = w->late;
    memcpy(w, waiting_at(t, from), q->fifo.size);
    w->late = late & LATE_MAX;
    w->again = false;
    demux_replace(t, from, to);
    fifo_remove(t->a, &q->fifo, from);
    return true;
}

TERN_PRIVATE void waiting_restart(struct tern *t, ref_t r)
{
    struct waiting *q = queue_of(t, waiting__is4(t, r));
    uint64_t two_pages = q->fifo.pages == 0 ? 0 : 2 * (fifo_room(t->a, &q->fifo) / q->fifo.pages);
    if (fifo_room(t->a, &q->fifo) > 2ull * q->fifo.live + two_pages || !move(t, q, r))
        waiting_at(t, r)->again = true;
}

TERN_PRIVATE bool waiting_over(struct tern *t, ref_t r)
{
    if (waiting_due(t, r) > t->w->now || waiting_at(t, r)->again)
        return false;
    waiting_end(t, r, TERN_C_TIME_WAIT_OVER);
    return true;
}

static void over(struct tern *t, ref_t r)
{
    if (!waiting_at(t, r)->again)
        waiting_end(t, r, TERN_C_TIME_WAIT_OVER);
    else if (!move(t, queue_of(t, waiting__is4(t, r)), r))
        recycle(t);
}

TERN_PRIVATE void waiting_expire(struct tern *t)
{
    ref_t r;
    for (uint32_t i = 0; i < EXPIRE_MAX && (r = waiting__oldest(t)) != 0 && waiting_due(t, r) <= t->w->now; i++)
        over(t, r);
}

TERN_PRIVATE uint64_t waiting_next_deadline(const struct tern *t)
{
    ref_t a = fifo_front(t->a, &t->w->wait4.fifo), b = fifo_front(t->a, &t->w->wait6.fifo);
    return min_u64(a != 0 ? waiting_due(t, a) : UINT64_MAX, b != 0 ? waiting_due(t, b) : UINT64_MAX);
}

#undef TICKS
#undef ID_MASK
#undef LATE_MAX
#undef EXPIRE_MAX
#undef REUSE_US
#undef RECYCLE_MAX

/* ======================================================================================= src/tcp/who.c */

/* who.c - who a record is: connection number, addresses, ports and state, whatever its kind.
 *
 * A connection is identified by its pair of sockets (RFC 9293 4). The records have little else in common,
 * because each is as small as it can be; what speaks about all of them (the trace, answers without a control
 * block, the table's hash) asks here.
 */

static void of_head(const struct conn_head *h, struct who *out)
{
    out->conn = h->conn;
    out->local = h->local;
    out->remote = h->remote;
    out->local_port = h->local_port;
    out->remote_port = h->remote_port;
    out->state = h->state;
    out->link = h->link;
    out->tos = h->tos;
    out->ttl = h->ttl;
}

static void of_tcb(const struct tcb *c, struct who *out)
{
    of_head(&c->h, out);
    out->iss = c->snd.iss;
    out->irs = c->rcv.irs;
    out->snd_wscale = c->opt.snd_wscale;
    out->rcv_wscale = c->opt.rcv_wscale;
}

static void of_idle(const struct tern *t, const struct idle *i, struct who *out)
{
    idle_addresses(t, i, &out->local, &out->remote);
    out->conn = idle_conn(i);
    out->local_port = i->local_port;
    out->remote_port = i->remote_port;
    out->state = i->state;
    out->link = i->link;
    out->tos = (uint8_t)(i->dscp << 2);
    out->ttl = i->ttl;
    out->iss = i->iss;
    out->irs = i->irs;
    out->snd_wscale = i->wscales >> 4;
    out->rcv_wscale = i->wscales & 15;
}

/* The newest number that ends so: no record is 2^32 connections old. */
static uint64_t widened(const struct tern *t, uint32_t id)
{
    uint64_t next = t->w->next_conn;
    uint64_t conn = (next & ~(uint64_t)UINT32_MAX) | id;
    return conn <= next ? conn : conn - ((uint64_t)1 << 32);
}

static void of_halfopen(const struct tern *t, const struct halfopen *h, struct who *out)
{
    const struct listener *l = at_const(t->a, h->listener);
    out->conn = widened(t, h->id);
    halfopen_ips(t, h, &out->local, &out->remote);
    out->local_port = h->local_port;
    out->remote_port = h->remote_port;
    out->state = TERN_SYN_RCVD;
    out->link = h->link;
    out->tos = (uint8_t)(l->set.dscp << 2);
    out->ttl = l->set.ttl;
    out->iss = h->iss;
    out->irs = h->irs;
    if (h->snd_wscale != SHIFT_NONE) {
        out->snd_wscale = h->snd_wscale;
        out->rcv_wscale = h->rcv_wscale;
    }
}

TERN_PRIVATE void who_of(const struct tern *t, const void *record, struct who *out)
{
    memset(out, 0, sizeof *out);
    ref_t r = ref_of(t->a, record);
    switch (rec_kind(t, r)) {
    case REC_TCB: of_tcb(record, out); break;
    case REC_IDLE: of_idle(t, record, out); break;
    case REC_HALFOPEN: of_halfopen(t, record, out); break;
    case REC_TIMEWAIT: waiting_who(t, r, out); break;
    case REC_LISTENER: of_head(&((const struct listener *)record)->h, out); break;
    case REC_NONE: ASSERT(false);
    }
}


/* ==================================================================================== src/tcp/window.c */

/* window.c - the window that we offer (RFC 9293 3.8.6): never shrinks, and opens in worthwhile steps.
 *
 *   RCV.NXT          RCV.ADV = RCV.NXT + RCV.WND
 *     │◀── offered ────▶│◀─ held back until worth it ─▶│
 *     └── what fits: buffer - unread ──────────────────┘
 */

/* Largest window that the header can say. */
static uint32_t window_max(const struct tcb *c) { return 65535u << c->opt.rcv_wscale; }

/* What the bytes that the program has not read leave room for; none for as long as it does not read
 * (MAY-8). */
static uint32_t recv_space(const struct tcb *c)
{
    uint32_t used = c->rcv.q.len;
    return used < c->rcv.buffer ? c->rcv.buffer - used : 0;
}

/* The window that could be offered now; smaller when the stack runs short of pages. */
static uint32_t window_could(const struct tern *t, const struct tcb *c)
{
    uint64_t room = (uint64_t)arena_room(t->a, MEM_DATA) << t->a->page_shift;
    uint32_t space = recv_space(c);
    if (room / 2 < space)
        space = (uint32_t)(room / 2);
    return min_u32(space, window_max(c)) & ~((1u << c->opt.rcv_wscale) - 1);
}

/* RFC 9293 3.8.6.2.2 (MUST-39): move the right edge by at least min(half the buffer, MSS). */
static bool worthwhile(const struct tcb *c, uint32_t gain)
{
    return gain >= min_u32(c->rcv.buffer / 2, max_u32(c->ack.seg, c->snd.mss));
}

/* RCV.ADV is the furthest edge that was ever offered: what lies within it is taken (RFC7323-2.4-bc). */
TERN_PRIVATE uint32_t window_offer(struct tern *t, struct tcb *c)
{
    uint32_t offered = rcv_wnd(&c->rcv), could = window_could(t, c);
    if (could > offered && worthwhile(c, could - offered))
        c->rcv.adv = seq_add(c->rcv.nxt, could);
    uint32_t wnd = rcv_wnd(&c->rcv);
    uint32_t said = (uint32_t)window_field(wnd, c->opt.rcv_wscale) << c->opt.rcv_wscale;
    /* Scaling rounds down; what was offered before is not taken back (SHLD-14): round up to what the field
     * can say. */
    if (said < wnd && wnd < window_max(c)) {
        said += 1u << c->opt.rcv_wscale;
        c->rcv.adv = seq_add(c->rcv.nxt, said);
    }
    return said;
}

/* The program has read: is it worth telling the peer? Yes when the window was shut or nearly so and the step
 * is worthwhile, else when the edge moves by a quarter of the buffer. */
TERN_PRIVATE bool window_update_due(struct tern *t, struct tcb *c)
{
    uint32_t offered = rcv_wnd(&c->rcv), could = window_could(t, c);
    if (could <= offered)
        return false;
    uint32_t gain = could - offered;
    if (!worthwhile(c, gain))
        return false;
    return offered < 2 * max_u32(c->ack.seg, c->snd.mss) || gain >= c->rcv.buffer / 4;
}

/* For windows that are offered no more: rounding down would take back what was offered (SHLD-14). */
TERN_PRIVATE uint16_t window_field_up(uint32_t wnd, uint8_t shift) { return window_field(wnd + (1u << shift) - 1, shift); }

/* RFC7323-2.3-e */
TERN_PRIVATE uint16_t window_field(uint32_t wnd, uint8_t shift)
{
    uint32_t v = wnd >> shift;
    return (uint16_t)min_u32(v, 65535);
}


/* ================================================================================== src/stack/create.c */

/* create.c - a stack is made and unmade; its configuration is checked once and
 * constant afterwards. */

#define ROUND16(n) (((n) + 15u) & ~15u)

#define PAGE_LEAST 1024u
_Static_assert(ROUND16(sizeof(struct tcb)) + GRAIN <= PAGE_LEAST, "the largest record fits into a page");

static const tern_config defaults;

static uint32_t page_size(const tern_config *cfg) { return cfg->page_size != 0 ? cfg->page_size : 4096; }

static uint64_t or_default(uint64_t value, uint64_t dflt) { return value != 0 ? value : dflt; }
static uint16_t port_low(const tern_config *c) { return (uint16_t)or_default(c->port_low, 32768); }
static uint16_t port_high(const tern_config *c) { return (uint16_t)or_default(c->port_high, 60999); }

static bool config_valid(const tern_config *c)
{
    uint32_t page = page_size(c);
    if (page < PAGE_LEAST || page > 65536 || (page & (page - 1)) != 0)
        return false;
    if (c->msl_ms > 600000 || c->delack_us >= 500000 || c->ecn > TERN_ECN_OFF ||
        c->unclaimed_rst > TERN_RST_NO)
        return false;
    if (c->synack_retries > QUEUE_PENDING - QUEUE_SENT - 1)
        return false; /* a queue for each */
    if (c->rto_max_us != 0 && c->rto_max_us < 1000000)
        return false;
    if (port_low(c) > port_high(c))
        return false;
    if (c->recv_buffer > 1u << 30 || c->send_buffer > 1u << 30)
        return false;
    return c->trace == NULL || (c->trace_records != 0 && (c->trace_records & (c->trace_records - 1)) == 0);
}

static void fill_settings(struct settings *s, const tern_config *c)
{
    s->msl_us = (uint32_t)or_default(c->msl_ms, 30000) * 1000u;
    s->rto_min_us = (uint32_t)or_default(c->rto_min_us, 200000);
    s->rto_max_us = (uint32_t)or_default(c->rto_max_us, 120000000);
    s->delack_us = (uint32_t)or_default(c->delack_us, 40000);
    s->syn_retries_us = or_default(c->syn_retries_ms, 180000) * 1000; /* MUST-23 */
    s->retries_us = or_default(c->retries_ms, 924600) * 1000; /* SHLD-11 */
    s->rest_us = c->rest_ms == UINT32_MAX ? UINT64_MAX : or_default(c->rest_ms, 1000) * 1000;
    s->fin_wait2_us = or_default(c->fin_wait2_ms, 60000) * 1000;
    s->synack_retries = (uint32_t)or_default(c->synack_retries, 5);
    s->send_buffer = (uint32_t)or_default(c->send_buffer, 262144);
    s->recv_buffer = (uint32_t)or_default(c->recv_buffer, 1048576);
    s->port_low = port_low(c);
    s->port_high = port_high(c);
    s->ttl = (uint8_t)or_default(c->ttl, 64);
    s->ecn = c->ecn;
    s->timestamps = !c->no_timestamps;
    s->wscale = !c->no_wscale;
    s->sack = !c->no_sack;
    s->time_wait_max = c->time_wait_max;
    s->rst_unclaimed = c->unclaimed_rst == TERN_RST_YES;
}

static void fill_pools(struct world *w)
{
    pool_init(&w->tcbs, POOL_TCB, ROUND16(sizeof(struct tcb)));
    pool_init(&w->idles4, POOL_IDLE4, ROUND16(sizeof(struct idle) + 8));
    pool_init(&w->idles6, POOL_IDLE6, ROUND16(sizeof(struct idle) + 32));
    pool_init(&w->halfopens4, POOL_HALFOPEN4, HALFOPEN4_SIZE);
    pool_init(&w->halfopens6, POOL_HALFOPEN6, HALFOPEN6_SIZE);
    fifo_init(&w->wait4.fifo, POOL_TIMEWAIT4, sizeof(struct timewait4));
    fifo_init(&w->wait6.fifo, POOL_TIMEWAIT6, sizeof(struct timewait6));
    pool_init(&w->listener_pool, POOL_LISTENER, ROUND16(sizeof(struct listener)));
    pool_init(&w->sendrecs, POOL_SENDREC, ROUND16(sizeof(struct sendrec)));
    pool_init(&w->ranges, POOL_RANGE, ROUND16(sizeof(struct range)));
    pool_init(&w->taken, POOL_TAKEN, ROUND16(sizeof(struct taken)));
    lent_init(&w->lent, POOL_HOLD, POOL_PIECE);
}

static void fill_keys(struct world *w, const uint8_t seed[32])
{
    w->key_isn = sipkey_derive(seed, KEY_ISN);
    w->key_port = sipkey_derive(seed, KEY_PORT);
    w->key_table = sipkey_derive(seed, KEY_TABLE);
    w->key_stamp = sipkey_derive(seed, KEY_STAMP);
    w->key_sketch = sipkey_derive(seed, KEY_SKETCH);
    w->cookie_keys[0].key = w->cookie_keys[1].key = sipkey_derive(seed, KEY_COOKIE);
    rng_init(&w->rng, seed, KEY_RNG);
    w->ip.id = (uint16_t)rng_u64(&w->rng);
    w->port_next = (uint32_t)rng_u64(&w->rng);
}

TERN_PRIVATE size_t stack_handle_size(void) { return ROUND16(sizeof(struct tern)); }

size_t tern_min_size(const tern_config *cfg)
{
    uint32_t page = page_size(cfg != NULL ? cfg : &defaults);
    size_t fixed = arena_fixed_size(64ull * page, page, ROUND16(sizeof(struct world)));
    return stack_handle_size() + fixed + (uint64_t)PAGES_LEAST * page;
}

int tern_create(tern **out, const tern_config *cfg, void *memory, size_t size)
{
    if (cfg == NULL)
        cfg = &defaults;
    if (!config_valid(cfg) || out == NULL || memory == NULL || ((uintptr_t)memory & 15) != 0)
        return -TERN_EINVAL;
    if (size < tern_min_size(cfg))
        return -TERN_ENOMEM;
    struct tern *t = memory;
    memset(t, 0, sizeof *t);
    t->a = (struct arena *)(void *)((uint8_t *)memory + stack_handle_size());
    void *world;
    if (!arena_init(t->a, size - stack_handle_size(), cfg->budget, page_size(cfg),
                    ROUND16(sizeof(struct world)), &world))
        return -TERN_ENOMEM;
    t->w = world;
    fill_settings(&t->w->set, cfg);
    fill_keys(t->w, cfg->seed);
    fill_pools(t->w);
    t->a->lent = ref_of(t->a, &t->w->lent);
    wheel_init(&t->w->wheel, 0);
    trace_init(&t->trace, cfg->trace, cfg->trace_records);
    if (!htab_init(t->a, &t->w->conns) || !htab_init(t->a, &t->w->listeners))
        return -TERN_ENOMEM;
    *out = t;
    return 0;
}

void tern_destroy(tern *t)
{
    if (t == NULL)
        return;
    t->a = NULL; /* all state lies in the block; a later use of this handle faults at once */
    t->w = NULL;
}

void tern_set_cookie_key(tern *t, const uint8_t key[16], uint64_t shared_us)
{
    cookie_set_key(t, sipkey_of(key), shared_us);
}

const char *tern_version(void) { return "0.1.0"; }

#undef ROUND16
#undef PAGE_LEAST

/* ================================================================================== src/stack/digest.c */

/* digest.c - one value for all that decides what a stack will do.
 *
 * Two stacks with the same digest are, as far as 128 bits can tell, in the same situation: given the same
 * inputs from now on they do the same, though one began at another time, or had other connections before, so
 * that its records lie elsewhere and have other generations. So nothing goes into the sum that depends on
 * these:
 *
 *  - times are counted from now on, and so are numbers that a clock makes: timestamps, the numbers of a
 *    connection in TIME_WAIT (whose first ones are forgotten) by the clock of initial sequence numbers
 *  - sequence numbers are counted from ISS and IRS
 *  - records count by what they say, and their addresses and ports name them where another one refers to
 *    them; they are a set, in which the order of their places in memory does not matter
 *  - the order of lists that decide who is next (ready, events, accept, half-open) does
 *  - bytes of queues count as a stream, however they lie in pages
 *
 * And nothing that is only told: counters, totals, the history of states, why and when the present one was
 * entered, when the FIN came, connection numbers of the trace, when a record was made, the program's number
 * of a handle. A connection at rest counts as the control block that it would wake to.
 *
 * A number that means something only while a flag says so (an urgent pointer, say) is taken while it does.
 */

/* How a field counts: as a number of 1, 2, 4 or 8 bytes, as bytes, as an array of numbers; as a time in us;
 * as a sequence number of ours or the peer's. */
enum how { RAW, BYTES, RAW32S, RAW64S, TIME, OURS, PEERS };

struct field {
    uint32_t at, size;
    enum how how;
};

#define FIELD(type, member, how)                                     \
    {                                                                \
        offsetof(type, member), sizeof(((type *)0)->member), how     \
    }

static void put_time(struct sum *s, const struct tern *t, uint64_t when)
{
    sum_word(s, when != 0);
    sum_word(s, when != 0 ? t->w->now - when : 0);
}

static void put_raw(struct sum *s, const uint8_t *p, uint32_t n)
{
    sum_bytes(s, p, n);
    sum_bytes_end(s);
}

static uint64_t number_at(const uint8_t *p, uint32_t size)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: memcpy(&one, p, 1); return one;
    case 2: memcpy(&two, p, 2); return two;
    case 4: memcpy(&four, p, 4); return four;
    default: ASSERT(size == 8); memcpy(&eight, p, 8); return eight;
    }
}

static void put_field(struct sum *s, const struct tern *t, const uint8_t *record, struct field f, seq_t iss,
                      seq_t irs)
{
    const uint8_t *p = record + f.at;
    uint32_t each = f.how == RAW32S ? 4 : f.how == RAW64S ? 8 : f.size;
    switch (f.how) {
    case BYTES: put_raw(s, p, f.size); break;
    case RAW:
    case RAW32S:
    case RAW64S:
        for (uint32_t i = 0; i < f.size; i += each)
            sum_word(s, number_at(p + i, each));
        break;
    case TIME: put_time(s, t, number_at(p, f.size)); break;
    case OURS: sum_word(s, (uint32_t)(number_at(p, f.size) - iss.v)); break;
    case PEERS: sum_word(s, (uint32_t)(number_at(p, f.size) - irs.v)); break;
    }
}

/* --- what several records have ------------------------------------------------------------------ */

static void put_ip(struct sum *s, const tern_ip *ip) { put_raw(s, ip->b, sizeof ip->b); }

/* Who a record is. */
static void put_name(struct sum *s, const struct tern *t, ref_t r)
{
    struct who w;
    sum_word(s, r != 0);
    if (r == 0)
        return;
    who_of(t, at_const(t->a, r), &w);
    sum_word(s, rec_kind(t, r) == REC_LISTENER);
    put_ip(s, &w.local);
    put_ip(s, &w.remote);
    sum_word(s, (uint64_t)w.local_port << 32 | (uint64_t)w.remote_port << 16 | w.link);
}

/* Who is next. */
static void put_order(struct sum *s, const struct tern *t, const struct list *l, size_t offset)
{
    for (ref_t r = l->head; r != 0; r = list_next(t->a, r, offset))
        put_name(s, t, r);
}

static void put_queue(struct sum *s, const struct tern *t, const struct chunkq *q)
{
    tern_slice slices[16];
    for (uint32_t at = 0, got; at < q->len; at += got) {
        int n = chunkq_slices(t->a, &t->regions, q, q->pos + at, q->len - at, NULL, slices,
                              (int)ARRAY_LEN(slices), &got);
        for (int i = 0; i < n; i++)
            sum_bytes(s, slices[i].data, slices[i].len);
    }
    sum_bytes_end(s);
}

/* A timestamp of the peer's clock, which goes on as ours does. */
static void put_stamp(struct sum *s, const struct tern *t, bool valid, uint32_t stamp)
{
    sum_word(s, valid ? (uint64_t)1 << 32 | (uint32_t)(stamp - (uint32_t)(t->w->now / 1000)) : 0);
}

static const struct field head_fields[] = {
    FIELD(struct conn_head, state, RAW),       FIELD(struct conn_head, link, RAW),
    FIELD(struct conn_head, local, BYTES),       FIELD(struct conn_head, remote, BYTES),
    FIELD(struct conn_head, local_port, RAW),  FIELD(struct conn_head, remote_port, RAW),
    FIELD(struct conn_head, tos, RAW),         FIELD(struct conn_head, ttl, RAW),
    FIELD(struct conn_head, parked, RAW),
};

static const struct field face_fields[] = {
    FIELD(struct face, held, RAW),      FIELD(struct face, orphan, RAW),
    FIELD(struct face, bits, RAW),      FIELD(struct face, error, RAW),
    FIELD(struct face, soft_error, RAW), FIELD(struct face, icmp_type, RAW),
    FIELD(struct face, icmp_code, RAW),
};

static const struct field option_fields[] = {
    FIELD(struct options, keep_idle_ms, RAW), FIELD(struct options, keep_intvl_ms, RAW),
    FIELD(struct options, user_timeout_ms, RAW), FIELD(struct options, send_buffer, RAW),
    FIELD(struct options, recv_buffer, RAW), FIELD(struct options, max_seg, RAW),
    FIELD(struct options, keep_cnt, RAW), FIELD(struct options, ecn, RAW),
    FIELD(struct options, dscp, RAW), FIELD(struct options, ttl, RAW),
    FIELD(struct options, nodelay, RAW), FIELD(struct options, quickack, RAW),
    FIELD(struct options, keepalive, RAW), FIELD(struct options, linger0, RAW),
    FIELD(struct options, reports, RAW),
};

#define PUT(s, t, record, table) put_table(s, t, record, table, ARRAY_LEN(table), seq(0), seq(0))

static void put_table(struct sum *s, const struct tern *t, const void *record, const struct field *f,
                      size_t n, seq_t iss, seq_t irs)
{
    for (size_t i = 0; i < n; i++)
        put_field(s, t, record, f[i], iss, irs);
}

/* --- control blocks ----------------------------------------------------------------------------- */

static const struct field tcb_fields[] = {
    FIELD(struct tcb, opt.mss, RAW),
    FIELD(struct tcb, opt.snd_wscale, RAW),
    FIELD(struct tcb, opt.rcv_wscale, RAW),
    FIELD(struct tcb, opt.wscale, RAW),
    FIELD(struct tcb, opt.ts, RAW),
    FIELD(struct tcb, opt.sack, RAW),
    FIELD(struct tcb, opt.ecn, RAW),
    FIELD(struct tcb, rcv.nxt, PEERS),
    FIELD(struct tcb, rcv.adv, PEERS),
    FIELD(struct tcb, rcv.buffer, RAW),
    FIELD(struct tcb, rcv.fin_ooo, RAW),
    FIELD(struct tcb, rcv.fin_rcvd, RAW),
    FIELD(struct tcb, rcv.eof_read, RAW),
    FIELD(struct tcb, rcv.urgent, RAW),
    FIELD(struct tcb, ack.bytes, RAW),
    FIELD(struct tcb, ack.seg, RAW),
    FIELD(struct tcb, ack.dup_owed, RAW),
    FIELD(struct tcb, ack.delack_us, TIME),
    FIELD(struct tcb, ack.now_cause, RAW),
    FIELD(struct tcb, ack.quick, RAW),
    FIELD(struct tcb, ack.ece, RAW),
    FIELD(struct tcb, ack.challenges, RAW),
    FIELD(struct tcb, ack.challenge_us, TIME),
    FIELD(struct tcb, ts.offset, RAW),
    FIELD(struct tcb, ts.foreign, RAW),
    FIELD(struct tcb, ts.recent_us, TIME),
    FIELD(struct tcb, ts.last_ack_sent, PEERS),
    FIELD(struct tcb, snd.una, OURS),
    FIELD(struct tcb, snd.nxt, OURS),
    FIELD(struct tcb, snd.small, OURS),
    FIELD(struct tcb, snd.wnd, RAW),
    FIELD(struct tcb, snd.max_wnd, RAW),
    FIELD(struct tcb, snd.mss, RAW),
    FIELD(struct tcb, snd.mtu_mss, RAW),
    FIELD(struct tcb, snd.buffer, RAW),
    FIELD(struct tcb, snd.syn_acked, RAW),
    FIELD(struct tcb, snd.fin_queued, RAW),
    FIELD(struct tcb, snd.fin_sent, RAW),
    FIELD(struct tcb, snd.fin_acked, RAW),
    FIELD(struct tcb, snd.urgent, RAW),
    FIELD(struct tcb, snd.more, RAW),
    FIELD(struct tcb, snd.blocked, RAW),
    FIELD(struct tcb, snd.narrow, RAW),
    FIELD(struct tcb, snd.cwr, RAW),
    FIELD(struct tcb, snd.limited, RAW),
    FIELD(struct tcb, snd.link, RAW),
    FIELD(struct tcb, snd.no_ect, RAW),
    FIELD(struct tcb, snd.path_mss, RAW),
    FIELD(struct tcb, snd.blocked_us, TIME),
    FIELD(struct tcb, snd.last_us, TIME),
    FIELD(struct tcb, list.lost_below, OURS),
    FIELD(struct tcb, list.fack, OURS),
    FIELD(struct tcb, rtt.srtt_us, RAW),
    FIELD(struct tcb, rtt.rttvar_us, RAW),
    FIELD(struct tcb, rtt.rto_us, RAW),
    FIELD(struct tcb, rtt.min_us, RAW),
    FIELD(struct tcb, rtt.backoff, RAW),
    FIELD(struct tcb, cc.cwnd, RAW),
    FIELD(struct tcb, cc.ssthresh, RAW),
    FIELD(struct tcb, cc.acked, RAW),
    FIELD(struct tcb, cc.algo, RAW),
    FIELD(struct tcb, rec.phase, RAW),
    FIELD(struct tcb, rec.dupacks, RAW),
    FIELD(struct tcb, rec.force, RAW),
    FIELD(struct tcb, rec.cwr_valid, RAW),
    FIELD(struct tcb, rec.recover_valid, RAW),
    FIELD(struct tcb, rec.partial, RAW),
    FIELD(struct tcb, rec.held, RAW),
    FIELD(struct tcb, rec.rescued, RAW),
    FIELD(struct tcb, rec.lead, RAW),
    FIELD(struct tcb, rec.reno_sacked, RAW),
    FIELD(struct tcb, rack.xmit_us, TIME),
    FIELD(struct tcb, rack.rtt_us, RAW),
    FIELD(struct tcb, rack.reordering, RAW),
    FIELD(struct tcb, rack.mult, RAW),
    FIELD(struct tcb, rack.persist, RAW),
    FIELD(struct tcb, rack.round_valid, RAW),
    FIELD(struct tcb, undo.valid, RAW),
    FIELD(struct tcb, tlp.out, RAW),
    FIELD(struct tcb, tlp.resent, RAW),
    FIELD(struct tcb, tlp.due, RAW),
    FIELD(struct tcb, tlp.unmeasured, RAW),
    FIELD(struct tcb, tm.rexmit_us, TIME),
    FIELD(struct tcb, tm.rexmit, RAW),
    FIELD(struct tcb, tm.life, RAW),
    FIELD(struct tcb, tm.probe, RAW),
    FIELD(struct tcb, tm.keep_probe, RAW),
    FIELD(struct tcb, tm.judged, RAW),
    FIELD(struct tcb, tm.overslept, RAW),
    FIELD(struct tcb, tm.keep_overslept, RAW),
    FIELD(struct tcb, tm.probes, RAW),
    FIELD(struct tcb, tm.keep_probes, RAW),
    FIELD(struct tcb, tm.retries, RAW),
    FIELD(struct tcb, tm.life_us, TIME),
    FIELD(struct tcb, tm.keep_us, TIME),
    FIELD(struct tcb, tm.pace_us, TIME),
    FIELD(struct tcb, tm.tlp_us, TIME),
    FIELD(struct tcb, tm.reo_us, TIME),
    FIELD(struct tcb, tm.stuck_us, TIME),
    FIELD(struct tcb, shortage.since_us, TIME),
    FIELD(struct tcb, shortage.stage, RAW),
    FIELD(struct tcb, shortage.only_opened, RAW),
    FIELD(struct tcb, shortage.refused, RAW),
    FIELD(struct tcb, rst_cause, RAW),
    FIELD(struct tcb, restless, RAW),
    FIELD(struct tcb, last_rx_us, TIME),
    FIELD(struct tcb, last_tx_us, TIME),
    FIELD(struct tcb, ttl_in, RAW),
    FIELD(struct tcb, tos_in, RAW),
};

/* A sequence number that counts while `valid`. */
static void put_seq(struct sum *s, bool valid, seq_t number, seq_t from)
{
    sum_word(s, valid ? (uint64_t)1 << 32 | seq_span(from, number) : 0);
}

static void put_conditional(struct sum *s, const struct tern *t, const struct tcb *c)
{
    seq_t iss = c->snd.iss, irs = c->rcv.irs;
    bool known = c->snd.syn_acked; /* from then on the peer's window is */
    put_seq(s, c->rcv.urgent, c->rcv.up, irs);
    put_seq(s, c->rcv.fin_ooo, c->rcv.fin, irs);
    put_seq(s, known, c->snd.wl1, irs);
    put_seq(s, known, c->snd.wl2, iss);
    put_seq(s, c->snd.urgent, c->snd.up, iss);
    put_seq(s, c->rec.phase != PHASE_OPEN, c->rec.point, iss);
    put_seq(s, c->rec.cwr_valid, c->rec.cwr_point, iss);
    put_seq(s, c->rec.recover_valid, c->rec.recover, iss);
    put_seq(s, c->rack.xmit_us != 0, c->rack.end, iss);
    put_seq(s, c->rack.round_valid, c->rack.round, iss);
    put_seq(s, c->tlp.out, c->tlp.end, iss);
    put_seq(s, c->undo.valid, c->undo.marker, iss);
    put_stamp(s, t, c->opt.ts, c->ts.recent);
    put_stamp(s, t, c->undo.valid && c->opt.ts, c->undo.stamp - c->ts.offset);
    sum_word(s, c->undo.valid ? (uint64_t)c->undo.cwnd << 32 | c->undo.ssthresh : 0);
    sum_word(s, c->undo.valid ? (uint64_t)c->undo.resent << 32 | c->undo.dsacked : 0);
}

static void put_sendlist(struct sum *s, const struct tern *t, const struct tcb *c)
{
    sum_word(s, c->list.count);
    for (ref_t r = c->list.seq.head; r != 0;) {
        const struct sendrec *p = at_const(t->a, r);
        sum_word(s, (uint64_t)seq_span(c->snd.iss, p->start) << 32 | p->len);
        sum_word(s, (uint64_t)p->flags << 8 | p->times);
        put_time(s, t, p->sent_us);
        r = p->seq.next;
    }
    for (ref_t r = c->list.time.head; r != 0;) {
        const struct sendrec *p = at_const(t->a, r);
        sum_word(s, seq_span(c->snd.iss, p->start));
        r = p->time.next;
    }
}

static void put_ranges(struct sum *s, const struct tern *t, const struct rcv *v)
{
    sum_word(s, v->ooo_count);
    for (ref_t r = v->ooo.head; r != 0;) {
        const struct range *g = at_const(t->a, r);
        sum_word(s, (uint64_t)seq_span(v->irs, seq(g->q.pos)) << 32 | (v->stamp - g->stamp));
        put_queue(s, t, &g->q);
        r = g->place.next;
    }
}

static void put_tcb(struct sum *s, const struct tern *t, const struct tcb *c)
{
    PUT(s, t, &c->h, head_fields);
    PUT(s, t, &c->face, face_fields);
    PUT(s, t, &c->set, option_fields);
    put_table(s, t, c, tcb_fields, ARRAY_LEN(tcb_fields), c->snd.iss, c->rcv.irs);
    put_conditional(s, t, c);
    put_queue(s, t, &c->rcv.q);
    put_queue(s, t, &c->snd.q);
    put_sendlist(s, t, c);
    put_ranges(s, t, &c->rcv);
    put_name(s, t, c->listener);
}

/* --- the other records -------------------------------------------------------------------------- */

static void put_idle(struct sum *s, const struct tern *t, const struct idle *i)
{
    struct tcb c;
    memset(&c, 0, sizeof c);
    idle_view(t, i, &c);
    put_tcb(s, t, &c);
    sum_word(s, i->gone << 2 | i->ending);
}

static void put_halfopen(struct sum *s, const struct tern *t, const struct halfopen *h)
{
    put_name(s, t, ref_of(t->a, h));
    put_name(s, t, h->listener);
    put_stamp(s, t, h->ts, h->ts_recent);
    sum_word(s, (uint64_t)h->mss << 16 | h->snd_wscale << 12 | h->rcv_wscale << 8 | h->link << 4 | h->queue);
    sum_word(s, h->ts | h->sack << 1 | h->ecn << 2 | h->repeated << 3 | h->follows << 4 |
                    h->challenged << 5);
    sum_word(s, h->queue == QUEUE_NOW ? 0 : t->w->now - backlog_sent_us(t, h));
}

static void put_timewait(struct sum *s, struct tern *t, ref_t r)
{
    const struct timewait *w = at_const(t->a, r);
    put_name(s, t, r);
    sum_word(s, seq_span(isn_make(t, w), w->snd_nxt));
    sum_word(s, (uint32_t)(w->rcv_nxt.v - (uint32_t)(t->w->now / 4)));
    put_stamp(s, t, w->ts, w->ts_recent);
    sum_word(s, (uint64_t)w->wnd << 16 | w->challenged << 12 | w->rcv_wscale << 8 | w->ts << 4 |
                    w->parked << 3 | w->again << 2);
    sum_word(s, waiting_due(t, r) - t->w->now);
}

static void put_listener(struct sum *s, const struct tern *t, const struct listener *l)
{
    PUT(s, t, &l->h, head_fields);
    PUT(s, t, &l->face, face_fields);
    PUT(s, t, &l->set, option_fields);
    sum_word(s, (uint64_t)l->backlog << 32 | l->offer);
    sum_word(s, l->cookies << 2 | l->foreign << 1 | l->defer);
    put_time(s, t, l->cookie_us);
    for (uint32_t q = 0; q < QUEUES; q++) {
        sum_word(s, q);
        put_order(s, t, &l->queue[q], offsetof(struct halfopen, place));
    }
    put_order(s, t, &l->aq, offsetof(struct tcb, aq));
}

enum { SET_TCB, SET_HALFOPEN, SET_TIMEWAIT, SET_LISTENER, SET_TAKEN, SET_HOLD, SET_FRAG };

static void add_connections(struct sum *set, const struct tern *t)
{
    const struct pool *idles[] = {&t->w->idles4, &t->w->idles6};
    struct sum s;
    for (ref_t r = 0; pool_next(t->a, &t->w->tcbs, &r);) {
        sum_begin(&s, SET_TCB);
        put_tcb(&s, t, at_const(t->a, r));
        sum_word(&s, 0);
        sum_join(set, &s);
    }
    for (size_t i = 0; i < ARRAY_LEN(idles); i++)
        for (ref_t r = 0; pool_next(t->a, idles[i], &r);) {
            const struct idle *idle = at_const(t->a, r);
            if (idle->tcb != 0)
                continue;
            sum_begin(&s, SET_TCB);
            put_idle(&s, t, idle);
            sum_join(set, &s);
        }
}

static void add_small(struct sum *set, struct tern *t)
{
    const struct pool *halves[] = {&t->w->halfopens4, &t->w->halfopens6};
    const struct fifo *waits[] = {&t->w->wait4.fifo, &t->w->wait6.fifo};
    struct sum s;
    for (size_t i = 0; i < ARRAY_LEN(halves); i++)
        for (ref_t r = 0; pool_next(t->a, halves[i], &r);) {
            sum_begin(&s, SET_HALFOPEN);
            put_halfopen(&s, t, at_const(t->a, r));
            sum_join(set, &s);
        }
    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        for (ref_t r = 0; fifo_next(t->a, waits[i], &r);) {
            sum_begin(&s, SET_TIMEWAIT);
            put_timewait(&s, t, r);
            sum_join(set, &s);
        }
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);) {
        sum_begin(&s, SET_LISTENER);
        put_listener(&s, t, at_const(t->a, r));
        sum_join(set, &s);
    }
}

/* Bytes that the program has taken, and buffers that it has lent; names of handles do not count. */
static void add_lent(struct sum *set, const struct tern *t)
{
    struct sum s;
    for (ref_t r = 0; pool_next(t->a, &t->w->taken, &r);) {
        sum_begin(&s, SET_TAKEN);
        put_queue(&s, t, &((const struct taken *)at_const(t->a, r))->q);
        sum_join(set, &s);
    }
    for (ref_t r = 0; pool_next(t->a, &t->w->lent.holds, &r);) {
        const struct hold *h = at_const(t->a, r);
        if (h->kind != HOLD_LENT)
            continue;
        sum_begin(&s, SET_HOLD);
        sum_word(&s, h->tag);
        sum_word(&s, (uint64_t)h->len << 8 | h->region);
        sum_word(&s, h->at);
        sum_word(&s, h->count != 0);
        sum_join(set, &s);
    }
}

/* --- IP ----------------------------------------------------------------------------------------- */

static void put_tables(struct sum *s, const struct ip_state *ip)
{
    for (int i = 0; i < IP_LINKS; i++)
        sum_word(s, (uint64_t)ip->links[i].mtu << 32 | ip->links[i].gso_max << 1 | ip->links[i].tx_csum);
    sum_word(s, ip->up);
    sum_word(s, (uint64_t)ip->n_addrs << 32 | ip->n_routes);
    for (uint32_t i = 0; i < ip->n_addrs; i++) {
        put_ip(s, &ip->addrs[i].ip);
        sum_word(s, ip->addrs[i].link << 16 | ip->addrs[i].prefix_len << 8 | ip->addrs[i].deprecated);
    }
    for (uint32_t i = 0; i < ip->n_routes; i++) {
        put_ip(s, &ip->routes[i].dst);
        sum_word(s, ip->routes[i].link << 16 | ip->routes[i].prefix_len << 8 | ip->routes[i].asked);
    }
    sum_word(s, ip->id);
}

static void put_echoes(struct sum *s, const struct tern *t)
{
    const struct ip_state *ip = &t->w->ip;
    sum_word(s, ip->echo_count);
    for (uint32_t i = 0; i < ip->echo_count; i++) {
        const struct ip_echo *e = &ip->echoes[(ip->echo_head + i) % IP_ECHOES];
        put_ip(s, &e->src);
        put_ip(s, &e->dst);
        sum_word(s, (uint64_t)e->rest << 32 | e->at);
        sum_word(s, e->link << 24 | e->tos << 16 | e->id);
        put_queue(s, t, &e->body);
    }
}

static void add_fragments(struct sum *set, const struct tern *t)
{
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        const struct frag_datagram *d = &t->w->ip.frag.d[i];
        struct sum s;
        if (!d->used)
            continue;
        sum_begin(&s, SET_FRAG);
        put_ip(&s, &d->src);
        put_ip(&s, &d->dst);
        sum_word(&s, (uint64_t)d->id << 32 | d->got);
        sum_word(&s, (uint64_t)d->high << 32 | d->total);
        sum_word(&s, (uint64_t)d->hdr_at << 32 | (uint64_t)d->hdr_len << 16 | d->refused);
        sum_word(&s, d->proto << 16 | d->link << 8 | d->ecn);
        for (uint32_t p = 0; p < d->n_pieces; p++)
            sum_word(&s, (uint64_t)d->pieces[p].start << 16 | d->pieces[p].len);
        put_queue(&s, t, &d->q);
        put_time(&s, t, d->deadline);
        sum_join(set, &s);
    }
}

/* --- the stack ---------------------------------------------------------------------------------- */

/* RST and ACK without a record: their numbers count from the first ones of who they answer for. Where these
 * are not known they are left out, and so are cookies, which a clock makes. */
static void put_replies(struct sum *s, const struct tern *t)
{
    sum_word(s, t->w->reply_count);
    for (uint32_t i = 0; i < t->w->reply_count; i++) {
        const struct reply *r = &t->w->replies[(t->w->reply_head + i) % REPLIES];
        put_ip(s, &r->who.local);
        put_ip(s, &r->who.remote);
        sum_word(s, (uint64_t)r->who.local_port << 32 | (uint64_t)r->who.remote_port << 16 | r->who.link);
        sum_word(s, r->who.state << 16 | r->who.tos << 8 | r->who.ttl);
        put_seq(s, r->who.iss.v != 0 && !r->cookie, r->seq, r->who.iss);
        put_seq(s, r->who.irs.v != 0, r->ack, r->who.irs);
        sum_word(s, (uint64_t)r->wnd << 32 | (uint64_t)r->cause << 16 | r->flags << 8 | r->cookie);
        sum_word(s, (uint64_t)r->opt.mss << 32 | r->opt.wscale << 16 | r->opt.sack_ok << 8 | r->opt.ts);
        put_stamp(s, t, r->opt.ts, r->opt.ts_ecr);
    }
}

static const struct field setting_fields[] = {
    FIELD(struct settings, rest_us, RAW),
    FIELD(struct settings, msl_us, RAW),
    FIELD(struct settings, rto_min_us, RAW),
    FIELD(struct settings, rto_max_us, RAW),
    FIELD(struct settings, delack_us, RAW),
    FIELD(struct settings, syn_retries_us, RAW),
    FIELD(struct settings, retries_us, RAW),
    FIELD(struct settings, fin_wait2_us, RAW),
    FIELD(struct settings, synack_retries, RAW),
    FIELD(struct settings, send_buffer, RAW),
    FIELD(struct settings, recv_buffer, RAW),
    FIELD(struct settings, port_low, RAW),
    FIELD(struct settings, port_high, RAW),
    FIELD(struct settings, ttl, RAW),
    FIELD(struct settings, ecn, RAW),
    FIELD(struct settings, timestamps, RAW),
    FIELD(struct settings, wscale, RAW),
    FIELD(struct settings, sack, RAW),
    FIELD(struct settings, rst_unclaimed, RAW),
    FIELD(struct settings, time_wait_max, RAW),
};

static const struct field world_fields[] = {
    FIELD(struct world, key_isn, RAW64S),
    FIELD(struct world, key_port, RAW64S),
    FIELD(struct world, key_table, RAW64S),
    FIELD(struct world, key_stamp, RAW64S),
    FIELD(struct world, key_sketch, RAW64S),
    FIELD(struct world, cookie_keys, RAW64S),
    FIELD(struct world, cookie_shared, RAW),
    FIELD(struct world, rng, RAW64S),
    FIELD(struct world, jump_us, TIME),
    FIELD(struct world, sweep.links_gone, RAW),
    FIELD(struct world, sweep.n_gone, RAW),
    FIELD(struct world, lent.news, RAW),
    FIELD(struct world, foreign, RAW),
    FIELD(struct world, port_next, RAW),
};

/* What it counts is live: with no half-open record all is zero, and it need not be looked at. */
static void put_sketch(struct sum *s, const struct tern *t)
{
    const uint32_t *count = &t->w->sources.count[0][0];
    uint32_t live = t->w->halfopens4.live + t->w->halfopens6.live;
    for (uint32_t i = 0; i < SKETCH_ROWS * SKETCH_COLUMNS && live > 0; i++)
        if (count[i] != 0)
            sum_word(s, (uint64_t)count[i] << 32 | i);
    sum_word(s, live);
}

/* All that stands in a line. */
static void put_orders(struct sum *s, struct tern *t)
{
    put_order(s, t, &t->w->short_waiting, offsetof(struct tcb, shortage.place));
    sum_word(s, 0);
    put_order(s, t, &t->w->short_kept, offsetof(struct tcb, shortage.place));
    sum_word(s, 0);
    put_order(s, t, &t->w->ready, offsetof(struct conn_head, turn));
    sum_word(s, 1);
    put_order(s, t, &t->w->events, offsetof(struct tcb, face.place));
    sum_word(s, 2);
    for (ref_t r = t->w->lent.back.head; r != 0; r = hold_at(t->a, r)->place.next)
        sum_word(s, hold_at(t->a, r)->tag);
}

void tern_digest(const tern *stack, uint64_t out[2])
{
    struct tern *t = (struct tern *)(uintptr_t)stack; /* nothing is changed */
    struct sum s, set;
    sum_begin(&s, 0);
    PUT(&s, t, &t->w->set, setting_fields);
    PUT(&s, t, t->w, world_fields);
    put_sketch(&s, t);
    sum_word(&s, t->w->sweep.left != 0);
    sum_word(&s, (uint64_t)t->a->pages_max << 32 | t->a->page_shift);
    put_tables(&s, &t->w->ip);
    put_echoes(&s, t);
    put_replies(&s, t);
    put_orders(&s, t);
    sum_begin(&set, 0);
    add_connections(&set, t);
    add_small(&set, t);
    add_lent(&set, t);
    add_fragments(&set, t);
    sum_join(&s, &set);
    out[0] = s.a;
    out[1] = s.b;
}

#undef FIELD
#undef PUT

/* ================================================================================== src/stack/events.c */

/* events.c - the program asks what happened. */

static void events__take(struct tern *t, tern_event *out)
{
    struct conn_head *h = head_at(t, t->w->events.head);
    struct face *f = face_of(h);
    out->handle = handle_of(t, h);
    out->data = f->data;
    out->bits = f->bits;
    f->bits = 0;
    face_unlist(t, h);
    if (h->kind == REC_TCB)
        timer_rearm(t, (struct tcb *)h); /* it may rest now */
}

int tern_events(tern *t, tern_event *out, int max)
{
    int n = 0;
    if (max > 0 && t->w->lent.news) {
        t->w->lent.news = false;
        out[n++] = (tern_event){.bits = TERN_RETURNED};
    }
    while (n < max && t->w->events.head != 0)
        events__take(t, &out[n++]);
    return n;
}

void tern_trace_only(tern *t, uint32_t kinds)
{
    if (t->trace.records != NULL)
        t->trace.kinds = kinds != 0 ? kinds : UINT32_MAX;
}

int tern_trace_take(tern *t, tern_trace_record *out, int max, uint64_t *lost)
{
    return trace_take(&t->trace, out, max, lost);
}


/* =================================================================================== src/stack/names.c */

/* names.c - names, rules and sentences of causes and states, from the one list; the edges of the diagram. */

static const struct {
    const char *name, *rule, *text;
} causes[] = {
    {"NONE", "", ""},
#define CAUSE(name, rule, text) {#name, rule, text},
/* causes.def - every reason in one list: CAUSE(name, rule, sentence).
 *
 * The sentence says what happened from the point of view of the stack that records it: "peer" is the other
 * end, "program" is ours. Groups: edges of the state diagram (src/tcp/state.def says which states they join),
 * reasons for refusing a packet, reasons for sending a segment, reasons for taking a segment for lost.
 */

/* Edges. */
CAUSE(PASSIVE_OPEN, "RFC 9293 3.10.1", "the program listens")
CAUSE(ACTIVE_OPEN, "RFC 9293 3.10.1", "the program connects: SYN is sent")
CAUSE(SYN_RCVD_LISTEN, "RFC 9293 3.10.7.2", "a SYN for a listener: answered with SYN+ACK")
CAUSE(SYN_DEFERRED, "local policy", "a SYN for a listener that defers: the program is to decide")
CAUSE(SYN_REJECTED, "local policy", "the program refused the SYN: RST")
CAUSE(SYN_IGNORED, "local policy", "the program ignored the SYN")
CAUSE(SYN_UNDECIDED, "local policy", "the program did not decide about the SYN in time: it is forgotten")
CAUSE(SYN_RCVD_SIMULTANEOUS, "RFC 9293 3.10.7.3", "SYN crossed SYN: simultaneous open, answered with SYN+ACK")
CAUSE(SYN_RCVD_TIME_WAIT, "RFC 9293 3.6.1", "a new SYN, newer than the old connection: TIME_WAIT gives way")
CAUSE(SYNACK_RCVD, "RFC 9293 3.10.7.3", "SYN+ACK acknowledges our SYN: the connection is open on this side")
CAUSE(SYN_ACKED, "RFC 9293 3.10.7.4 fifth",
      "the ACK of our SYN arrived: the connection is open on both sides")
CAUSE(COOKIE_ACKED, "RFC 4987 3.6",
      "the ACK brought our SYN cookie back: the connection is open, from nothing kept here")
CAUSE(REFUSED, "RFC 9293 3.10.7.3", "the peer answered our SYN with RST: connection refused")
CAUSE(REFUSED_SYN_RCVD, "RFC 9293 3.10.7.4 second",
      "RST in SYN_RCVD after an active open: connection refused")
CAUSE(HALFOPEN_RESET, "RFC 9293 3.10.7.4 second",
      "RST in SYN_RCVD: the half-open record goes, the listener stays")
CAUSE(HALFOPEN_SYN, "RFC 9293 3.10.7.4 fourth",
      "another SYN in the window in SYN_RCVD: the half-open record goes")
CAUSE(HALFOPEN_TIMEOUT, "RFC 9293 3.8.3", "SYN+ACK was repeated in vain: the half-open record goes")
CAUSE(HALFOPEN_EVICTED, "local policy",
      "the backlog is full and SYN+ACK was repeated in vain: the half-open record makes room")
CAUSE(OLD_DUPLICATE_SYN, "RFC 9293 3.6.1", "the new SYN was an old duplicate: back to TIME_WAIT")
CAUSE(SHUTDOWN, "RFC 9293 3.10.4", "the program closed its sending direction: FIN follows the queued data")
CAUSE(CLOSE, "RFC 9293 3.10.4", "the program closed: FIN follows the queued data")
CAUSE(CLOSE_SYN_SENT, "RFC 9293 3.10.4", "the program closed before an answer to its SYN came")
CAUSE(CLOSE_LISTEN, "RFC 9293 3.10.4", "the program closed its listener")
CAUSE(CLOSE_UNREAD, "RFC 9293 3.6.1 SHLD-3",
      "the program closed with bytes unread: RST tells the peer that they are lost")
CAUSE(CLOSE_LINGER0, "RFC 9293 3.10.5", "the program closed with linger 0: RST")
CAUSE(DATA_AFTER_CLOSE, "RFC 9293 3.6.1 SHLD-3", "data came for a program that has closed: RST")
CAUSE(ABORT, "RFC 9293 3.10.5", "the program aborted: RST")
CAUSE(LISTENER_GONE, "RFC 9293 3.10.4", "the listener was closed before the connection was accepted: RST")
CAUSE(FIN_RCVD, "RFC 9293 3.10.7.4 eighth", "FIN: the peer has closed and will send no more")
CAUSE(FIN_ACKED, "RFC 9293 3.10.7.4 fifth", "the ACK of our FIN arrived: the peer knows that we send no more")
CAUSE(FIN_CROSSED, "RFC 9293 3.10.7.4 eighth", "the peer's FIN crossed ours: both closed at the same time")
CAUSE(FIN_AND_ACK, "RFC 9293 3.10.7.4 eighth", "FIN, and our FIN is acknowledged: both directions are closed")
CAUSE(FIN_LAST, "RFC 9293 3.10.7.4 eighth",
      "the peer's FIN after ours was acknowledged: both directions are closed")
CAUSE(CLOSING_ACKED, "RFC 9293 3.10.7.4 fifth",
      "the ACK of our FIN arrived after crossing FINs: both directions are closed")
CAUSE(LAST_ACKED, "RFC 9293 3.10.7.4 fifth", "the ACK of our last FIN arrived: all is over")
CAUSE(TIME_WAIT_OVER, "RFC 9293 3.10.8",
      "2 MSL have passed: no segment of this connection can still be under way")
CAUSE(TIME_WAIT_REOPENED, "RFC 6191 2",
      "no port is free: our own SYN opens it again, newer by its timestamp than all of the old connection")
CAUSE(TIME_WAIT_RECYCLED, "local policy", "the oldest in TIME_WAIT gives its memory to others")
CAUSE(FIN_WAIT_2_TIMEOUT, "local policy", "the program is gone and the peer did not close in time")
CAUSE(RESET, "RFC 9293 3.10.7.4 second", "RST from the peer")
CAUSE(USER_TIMEOUT, "RFC 9293 3.10.8", "data stayed unacknowledged longer than the user timeout")
CAUSE(RETRIES_USED_UP, "RFC 9293 3.8.3", "retransmissions were used up without an answer")
CAUSE(SYN_RETRIES_USED_UP, "RFC 9293 3.8.3 MUST-23", "no answer to our SYN, however often repeated")
CAUSE(KEEPALIVE_FAILED, "RFC 9293 3.8.4", "keepalive probes stayed unanswered: the peer is gone")
CAUSE(ICMP_HARD, "RFC 9293 3.9.2.2", "ICMP said that the peer cannot be reached")
CAUSE(ADDR_REMOVED, "local policy", "the address of this side was taken away: nothing can be sent from it")
CAUSE(LINK_REMOVED, "RFC 4007 6", "the link of this link-local peer was taken away: no other leads to it")

/* Packets refused: before TCP. */
CAUSE(IP_MALFORMED, "RFC 791 3.1", "not a well-formed IP packet")
CAUSE(IP_CHECKSUM, "RFC 1122 3.2.1.2", "the IPv4 header checksum is wrong")
CAUSE(IP_SOURCE_INVALID, "RFC 9293 3.9.2.3 MUST-63", "the source address is not one a host can have")
CAUSE(IP_SOURCE_ROUTE, "RFC 9293 3.9.2.1", "source routes are refused")
CAUSE(FRAGMENT_LIMIT, "RFC 9293 3.7", "too many datagrams in reassembly")
CAUSE(FRAGMENT_OVERLAP, "RFC 5722 4", "fragments overlap: the datagram is dropped")
CAUSE(FRAGMENT_MALFORMED, "RFC 791 3.2", "a fragment that cannot be part of a datagram")
CAUSE(FRAGMENT_TIMEOUT, "RFC 1122 3.3.2", "reassembly took too long")
CAUSE(TCP_MALFORMED, "RFC 9293 3.1", "the TCP header does not fit its packet")
CAUSE(TCP_OPTION_LENGTH, "RFC 9293 3.1 MUST-7", "a TCP option has an impossible length")
CAUSE(TCP_CHECKSUM, "RFC 9293 3.1 MUST-3", "the TCP checksum is wrong")
CAUSE(ETHERNET_MALFORMED, "RFC 894", "not an Ethernet frame with a type and a station's source address")
CAUSE(ARP_MALFORMED, "RFC 826", "not a well-formed ARP message for IPv4 over Ethernet")
CAUSE(NDP_MALFORMED, "RFC 4861 7.1", "a neighbour discovery message that must be ignored")
CAUSE(ICMP_MALFORMED, "RFC 792", "not a well-formed ICMP message")
CAUSE(ICMP_UNUSED, "RFC 9293 3.9.2.2", "an ICMP message that changes nothing here")
CAUSE(ICMP_SEQ, "RFC 5927 4.1", "ICMP about a segment that is not in flight")
CAUSE(LINK_DOWN, "local policy", "by a link that is down, or not a link of this stack")
CAUSE(NOT_UNICAST, "RFC 9293 3.9.2.3 MUST-57", "TCP to a broadcast or multicast address")
CAUSE(REPLIES_FULL, "local policy", "too many stateless answers waiting: no answer")

/* Segments refused: by TCP. */
CAUSE(CLOSED_RST, "RFC 9293 3.10.7.1", "RST for a connection that does not exist")
CAUSE(NO_CONNECTION, "RFC 9293 3.10.7.1", "no such connection: answered with RST")
CAUSE(LISTEN_RST, "RFC 9293 3.10.7.2 first", "RST to a listener")
CAUSE(LISTEN_ACK, "RFC 9293 3.10.7.2 second", "ACK to a listener without a connection: answered with RST")
CAUSE(LISTEN_NO_SYN, "RFC 9293 3.10.7.2 fourth", "neither SYN nor ACK nor RST to a listener")
CAUSE(BACKLOG_FULL, "local policy",
      "the listener has as many half-open records as it may: silence, the peer tries again")
CAUSE(SOURCE_LIMIT, "local policy",
      "its source has as many half-open records as one may: silence, the peer tries again")
CAUSE(SYN_PENDING, "local policy", "the program has not decided about the SYN: nothing is answered")
CAUSE(COOKIE_INVALID, "RFC 4987 3.6", "an ACK to a listener that sends SYN cookies, and it is none of them")
CAUSE(ACCEPT_FULL, "local policy", "the accept queue is full: silence, the peer tries again")
CAUSE(SYN_SENT_BAD_ACK, "RFC 9293 3.10.7.3 first", "acknowledges something we never sent: answered with RST")
CAUSE(SYN_SENT_BAD_ACK_RST, "RFC 9293 3.10.7.3 first", "RST with an ACK of something we never sent: ignored")
CAUSE(SYN_SENT_RST_NO_ACK, "RFC 9293 3.10.7.3 second", "RST without ACK while opening: ignored")
CAUSE(SYN_SENT_NO_SYN, "RFC 9293 3.10.7.3 fifth", "neither SYN nor RST while opening")
CAUSE(SEQ_OLD, "RFC 9293 3.10.7.4 first", "an old duplicate: all of it was received before")
CAUSE(SEQ_BEYOND, "RFC 9293 3.10.7.4 first", "beyond the receive window")
CAUSE(SEQ_RST, "RFC 9293 3.10.7.4 first", "RST outside of the window: ignored")
CAUSE(WINDOW_PROBE, "RFC 9293 3.8.6.1", "data for a closed window: acknowledged, not taken")
CAUSE(PAWS, "RFC 7323 5.3", "its timestamp is older than the last one: an old duplicate")
CAUSE(TS_MISSING, "RFC 7323 3.2", "timestamps were agreed and this segment has none")
CAUSE(RST_CHALLENGE, "RFC 5961 3.2", "RST in the window but not exact: challenged")
CAUSE(SYN_CHALLENGE, "RFC 5961 4.2", "SYN in an open connection: challenged")
CAUSE(ACK_UNSENT, "RFC 9293 3.10.7.4 fifth", "acknowledges data that was never sent: answered with ACK")
CAUSE(ACK_TOO_OLD, "RFC 5961 5.2", "acknowledges data from longer ago than any window: answered with ACK")
CAUSE(NO_ACK_BIT, "RFC 9293 3.10.7.4 fifth", "no ACK in an open connection")
CAUSE(SYN_RCVD_BAD_ACK, "RFC 9293 3.10.7.4 fifth", "does not acknowledge our SYN+ACK: answered with RST")
CAUSE(TIME_WAIT_RST, "RFC 1337 3", "RST in TIME_WAIT: ignored, so that old segments stay harmless")
CAUSE(TIME_WAIT_OLD, "RFC 9293 3.10.7.4", "a segment of the old connection in TIME_WAIT")
CAUSE(TIME_WAIT_OLD_SYN, "RFC 6191 2",
      "a SYN in TIME_WAIT that is not newer than the old connection: answered with ACK")
CAUSE(OOO_LIMIT, "local policy", "out-of-order data beyond what the stack can keep")
CAUSE(NO_MEMORY, "local policy", "the stack's memory is used up")
CAUSE(SHORT_OF_MEMORY, "local policy", "data in the window dropped: the stack's memory is used up")
CAUSE(TEXT_IGNORED, "RFC 9293 3.10.7.4 seventh", "data after the peer's FIN: ignored")

/* Why a segment was sent. */
CAUSE(SEND_SYN, "RFC 9293 3.10.1", "to open the connection; one sequence number, no data")
CAUSE(SEND_SYNACK, "RFC 9293 3.10.7.2", "to answer the SYN: acknowledges it and sends our own")
CAUSE(SEND_COOKIE, "RFC 4987 3.6",
      "to answer the SYN and keep nothing: all that must be known comes back with the ACK")
CAUSE(SEND_ACK_OF_SYN, "RFC 9293 3.10.7.3", "to acknowledge the peer's SYN: the third step")
CAUSE(SEND_DATA, "RFC 9293 3.10.2", "data of the program")
CAUSE(SEND_FIN, "RFC 9293 3.10.4", "we have sent all; FIN takes one sequence number")
CAUSE(SEND_ACK_DELAYED, "RFC 9293 3.8.6.3", "acknowledges what came; it waited for data to ride on")
CAUSE(SEND_ACK_NOW, "RFC 5681 4.2", "acknowledges what came: two full segments or quick acknowledgment")
CAUSE(SEND_ACK_FIN, "RFC 9293 3.10.7.4 eighth", "acknowledges the peer's FIN")
CAUSE(SEND_ACK_DUP, "RFC 5681 4.2", "duplicate ACK: something is missing before what came")
CAUSE(SEND_ACK_FILL, "RFC 5681 4.2", "acknowledges at once: a gap was filled")
CAUSE(SEND_ACK_OLD, "RFC 9293 3.10.7.4 first", "acknowledges a segment that was not acceptable")
CAUSE(SEND_ACK_TIME_WAIT, "RFC 9293 3.10.7.4 eighth", "acknowledges the repeated FIN once more")
CAUSE(SEND_CHALLENGE, "RFC 5961 3.2", "challenge ACK: only the real peer can answer it")
CAUSE(SEND_WINDOW_UPDATE, "RFC 9293 3.8.6.2.2", "tells that the receive window has opened")
CAUSE(SEND_RETRANSMIT, "RFC 6298 5.4", "again: no acknowledgment came in time")
CAUSE(SEND_FAST_RETRANSMIT, "RFC 6675 5", "again: later data has arrived, this has not")
CAUSE(SEND_PARTIAL_RETRANSMIT, "RFC 6582 3.2", "again: a partial acknowledgment shows the next hole")
CAUSE(SEND_TAIL_PROBE, "RFC 8985 7.3",
      "tail loss probe: nothing was heard of the last segments for two round trips")
CAUSE(SEND_WINDOW_PROBE, "RFC 9293 3.8.6.1", "probes a closed window")
CAUSE(SEND_REFUSED_AGAIN, "RFC 9293 3.8.6.1",
      "again: the window has opened, or the path wants smaller segments")
CAUSE(SEND_KEEPALIVE, "RFC 9293 3.8.4", "asks whether the peer is still there")
CAUSE(SEND_RST_ABORT, "RFC 9293 3.10.5", "tells the peer that the connection is aborted")
CAUSE(SEND_RST_CLOSED, "RFC 9293 3.10.7.1", "there is no such connection here")
CAUSE(SEND_RST_REJECTED, "RFC 9293 3.10.7.1", "the program does not want this connection")
CAUSE(SEND_RST_BAD_ACK, "RFC 9293 3.5.2", "acknowledges something that was never sent: a segment of the past")
CAUSE(SEND_LIMITED, "RFC 3042", "new data on the first duplicate ACKs, to keep them coming")

/* Why a segment was taken for lost. */
CAUSE(LOSS_TIMEOUT, "RFC 6298 5.4", "its retransmission timeout passed")
CAUSE(LOSS_SACK, "RFC 6675 4", "three segments sent later have arrived")
CAUSE(LOSS_DUPACK, "RFC 5681 3.2", "three duplicate ACKs")
CAUSE(LOSS_RACK, "RFC 8985 6.2", "segments sent later have arrived, and it had time enough to")
CAUSE(LOSS_TAIL, "RFC 8985 7.4", "the probe repaired the loss of a last segment")
CAUSE(LOSS_PARTIAL, "RFC 6582 3.2", "a partial acknowledgment in recovery")
CAUSE(ECN_ECHO, "RFC 3168 6.1.2", "the network marked congestion: the window is halved without a loss")
CAUSE(UNDONE, "RFC 3708", "the peer had all that was sent again: nothing was lost, the path reorders")
CAUSE(RECOVERED, "RFC 6582 3.2", "all that was in flight at the loss is acknowledged")
#undef CAUSE
};
_Static_assert(ARRAY_LEN(causes) == TERN_CAUSES, "every cause has its words");

static const char *const states[] = {"CLOSED",      "LISTEN",     "SYN_SENT",   "SYN_RCVD",
                                     "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT",
                                     "CLOSING",     "LAST_ACK",   "TIME_WAIT"};
_Static_assert(ARRAY_LEN(states) == TERN_STATES, "every state has a name");

static const tern_edge edges[] = {
#define EDGE(cause, from, to) {TERN_C_##cause, TERN_##from, TERN_##to},
/* state.def - the legal edges of the state diagram: EDGE(cause, from, to). The cause names event and rule
 * (causes.def).
 *
 * The one door (state.c) takes a cause and asserts that the pair of states stands here with it. The diagram
 * in docs/STATES.md and the coverage test are made from this table.
 */
EDGE(PASSIVE_OPEN, CLOSED, LISTEN)
EDGE(ACTIVE_OPEN, CLOSED, SYN_SENT)
EDGE(SYN_RCVD_LISTEN, CLOSED, SYN_RCVD) /* the half-open record; the listener stays in LISTEN */
EDGE(SYN_RCVD_TIME_WAIT, CLOSED, SYN_RCVD) /* a new record; the old one waits, parked in TIME_WAIT */
EDGE(SYN_DEFERRED, CLOSED, SYN_RCVD) /* the SYN is not answered yet */
EDGE(SYN_REJECTED, SYN_RCVD, CLOSED)
EDGE(SYN_IGNORED, SYN_RCVD, CLOSED)
EDGE(SYN_UNDECIDED, SYN_RCVD, CLOSED)
EDGE(COOKIE_ACKED, LISTEN, ESTABLISHED) /* the control block takes over from the listener, which stays */
EDGE(CLOSE_LISTEN, LISTEN, CLOSED)

EDGE(SYNACK_RCVD, SYN_SENT, ESTABLISHED)
EDGE(SYN_RCVD_SIMULTANEOUS, SYN_SENT, SYN_RCVD)
EDGE(REFUSED, SYN_SENT, CLOSED)
EDGE(CLOSE_SYN_SENT, SYN_SENT, CLOSED)
EDGE(ABORT, SYN_SENT, CLOSED)
EDGE(SYN_RETRIES_USED_UP, SYN_SENT, CLOSED)
EDGE(USER_TIMEOUT, SYN_SENT, CLOSED)
EDGE(ICMP_HARD, SYN_SENT, CLOSED)

EDGE(SYN_ACKED, SYN_RCVD, ESTABLISHED)
EDGE(CLOSE, SYN_RCVD, FIN_WAIT_1)
EDGE(SHUTDOWN, SYN_RCVD, FIN_WAIT_1)
EDGE(REFUSED_SYN_RCVD, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_RESET, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_SYN, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_TIMEOUT, SYN_RCVD, CLOSED)
EDGE(HALFOPEN_EVICTED, SYN_RCVD, CLOSED)
EDGE(LISTENER_GONE, SYN_RCVD, CLOSED)
EDGE(OLD_DUPLICATE_SYN, SYN_RCVD, CLOSED) /* the parked record is found again in TIME_WAIT */
EDGE(CLOSE_LINGER0, SYN_RCVD, CLOSED)
EDGE(ABORT, SYN_RCVD, CLOSED)
EDGE(SYN_RETRIES_USED_UP, SYN_RCVD, CLOSED)
EDGE(USER_TIMEOUT, SYN_RCVD, CLOSED)
EDGE(ICMP_HARD, SYN_RCVD, CLOSED)

EDGE(CLOSE, ESTABLISHED, FIN_WAIT_1)
EDGE(SHUTDOWN, ESTABLISHED, FIN_WAIT_1)
EDGE(FIN_RCVD, ESTABLISHED, CLOSE_WAIT)
EDGE(FIN_ACKED, FIN_WAIT_1, FIN_WAIT_2)
EDGE(FIN_CROSSED, FIN_WAIT_1, CLOSING)
EDGE(FIN_AND_ACK, FIN_WAIT_1, TIME_WAIT)
EDGE(FIN_LAST, FIN_WAIT_2, TIME_WAIT)
EDGE(FIN_WAIT_2_TIMEOUT, FIN_WAIT_2, CLOSED)
EDGE(CLOSING_ACKED, CLOSING, TIME_WAIT)
EDGE(CLOSE, CLOSE_WAIT, LAST_ACK)
EDGE(SHUTDOWN, CLOSE_WAIT, LAST_ACK)
EDGE(LAST_ACKED, LAST_ACK, CLOSED)
EDGE(TIME_WAIT_OVER, TIME_WAIT, CLOSED)
EDGE(TIME_WAIT_RECYCLED, TIME_WAIT, CLOSED)
EDGE(TIME_WAIT_REOPENED, TIME_WAIT, CLOSED)
EDGE(SYN_RCVD_TIME_WAIT, TIME_WAIT, CLOSED) /* the handle's record gives way to the half-open one */
EDGE(ABORT, TIME_WAIT, CLOSED)

/* Any synchronized state but TIME_WAIT. */
#define EDGE_SYNC(cause)             \
    EDGE(cause, ESTABLISHED, CLOSED) \
    EDGE(cause, FIN_WAIT_1, CLOSED)  \
    EDGE(cause, FIN_WAIT_2, CLOSED)  \
    EDGE(cause, CLOSE_WAIT, CLOSED)  \
    EDGE(cause, CLOSING, CLOSED)     \
    EDGE(cause, LAST_ACK, CLOSED)
EDGE_SYNC(RESET)
EDGE_SYNC(ABORT)
#undef EDGE_SYNC

/* Where something of ours waits for an acknowledgment. */
#define EDGE_UNACKED(cause)          \
    EDGE(cause, ESTABLISHED, CLOSED) \
    EDGE(cause, FIN_WAIT_1, CLOSED)  \
    EDGE(cause, CLOSE_WAIT, CLOSED)  \
    EDGE(cause, CLOSING, CLOSED)     \
    EDGE(cause, LAST_ACK, CLOSED)
EDGE_UNACKED(USER_TIMEOUT)
EDGE_UNACKED(RETRIES_USED_UP)
#undef EDGE_UNACKED

/* Where nothing of ours may be on its way. */
EDGE(KEEPALIVE_FAILED, ESTABLISHED, CLOSED)
EDGE(KEEPALIVE_FAILED, FIN_WAIT_2, CLOSED)
EDGE(KEEPALIVE_FAILED, CLOSE_WAIT, CLOSED)

/* CLOSE that becomes a reset (RFC 9293 3.10.5 sends one in these states). */
EDGE(CLOSE_UNREAD, ESTABLISHED, CLOSED)
EDGE(CLOSE_UNREAD, FIN_WAIT_1, CLOSED)
EDGE(CLOSE_UNREAD, FIN_WAIT_2, CLOSED)
EDGE(CLOSE_UNREAD, CLOSE_WAIT, CLOSED)
EDGE(CLOSE_LINGER0, ESTABLISHED, CLOSED)
EDGE(CLOSE_LINGER0, FIN_WAIT_1, CLOSED)
EDGE(CLOSE_LINGER0, FIN_WAIT_2, CLOSED)
EDGE(CLOSE_LINGER0, CLOSE_WAIT, CLOSED)
EDGE(DATA_AFTER_CLOSE, FIN_WAIT_1, CLOSED)
EDGE(DATA_AFTER_CLOSE, FIN_WAIT_2, CLOSED)

/* A child that nobody has accepted. */
EDGE(LISTENER_GONE, ESTABLISHED, CLOSED)
EDGE(LISTENER_GONE, CLOSE_WAIT, CLOSED)

/* What a change of addresses and links ends: every state in which a record has a peer. */
#define EDGE_ALL(cause)              \
    EDGE(cause, SYN_SENT, CLOSED)    \
    EDGE(cause, SYN_RCVD, CLOSED)    \
    EDGE(cause, ESTABLISHED, CLOSED) \
    EDGE(cause, FIN_WAIT_1, CLOSED)  \
    EDGE(cause, FIN_WAIT_2, CLOSED)  \
    EDGE(cause, CLOSE_WAIT, CLOSED)  \
    EDGE(cause, CLOSING, CLOSED)     \
    EDGE(cause, LAST_ACK, CLOSED)    \
    EDGE(cause, TIME_WAIT, CLOSED)
EDGE_ALL(ADDR_REMOVED)
EDGE_ALL(LINK_REMOVED)
#undef EDGE_ALL
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

#undef CAUSE
#undef EDGE

/* ===================================================================================== src/stack/net.c */

/* net.c - links, addresses and routes, from the program's side (tern.h, net.h): the tables change, then the
 * records follow (tcp/change.c). */

/* What a change still under way has removed must not come back before it is done: old records of the same
 * address could not be told from new ones. */
static void settle(struct tern *t, const tern_ip *ip)
{
    const struct sweep *s = &t->w->sweep;
    for (uint32_t i = 0; change_under_way(t) && i < s->n_gone; i++)
        if (ip_eq(&s->gone[i].ip, ip))
            change_finish(t);
    life_end_of_batch(t);
}

/* To be called after each change of the tables. */
static int changed(struct tern *t, int result)
{
    if (result >= 0) {
        change_begin(t);
        life_end_of_batch(t);
    }
    return result;
}

/* Note that an address goes; the list has as many places as there are addresses. */
static void note_gone(struct tern *t, const struct ip_addr *a)
{
    struct sweep *s = &t->w->sweep;
    if (s->n_gone == IP_ADDRS)
        change_finish(t);
    reply_forget(t, &a->ip);
    s->gone[s->n_gone].ip = a->ip;
    s->gone[s->n_gone++].link = a->link;
}

int tern_link_add(tern *t, const tern_link_info *info)
{
    int id = ip_link_add(&t->w->ip, info, t->w->sweep.links_gone);
    if (id != -TERN_ENOMEM || !change_under_way(t))
        return id;
    change_finish(t);
    life_end_of_batch(t);
    return ip_link_add(&t->w->ip, info, 0);
}

int tern_link_set(tern *t, int link, const tern_link_info *info)
{
    return changed(t, ip_link_set(&t->w->ip, link, info));
}

int tern_link_up(tern *t, int link, bool up) { return changed(t, ip_link_up(&t->w->ip, link, up)); }

int tern_link_remove(tern *t, int link)
{
    struct ip_state *ip = &t->w->ip;
    for (uint32_t i = 0; ip_link_known(ip, link) && i < ip->n_addrs; i++)
        if (ip->addrs[i].link == link)
            note_gone(t, &ip->addrs[i]);
    int e = ip_link_remove(ip, link);
    if (e == 0)
        t->w->sweep.links_gone |= 1u << link;
    return changed(t, e);
}

int tern_addr_add(tern *t, int link, const tern_ip *ip, int prefix_len)
{
    settle(t, ip);
    return changed(t, ip_addr_add(&t->w->ip, link, ip, prefix_len));
}

int tern_addr_remove(tern *t, int link, const tern_ip *ip)
{
    int e;
    struct ip_addr *a = ip_addr_find(&t->w->ip, link, ip, &e);
    if (a == NULL)
        return e;
    note_gone(t, a);
    ip_addr_remove(&t->w->ip, a);
    return changed(t, 0);
}

int tern_addr_deprecate(tern *t, int link, const tern_ip *ip, bool deprecated)
{
    int e;
    struct ip_addr *a = ip_addr_find(&t->w->ip, link, ip, &e);
    if (a == NULL)
        return e;
    a->deprecated = deprecated;
    return 0;
}

int tern_route_add(tern *t, int link, const tern_ip *dst, int prefix_len)
{
    return changed(t, ip_route_add(&t->w->ip, link, dst, prefix_len));
}

int tern_route_remove(tern *t, int link, const tern_ip *dst, int prefix_len)
{
    return changed(t, ip_route_remove(&t->w->ip, link, dst, prefix_len));
}

int tern_route_replace(tern *t, int link, const tern_ip *dst, int prefix_len)
{
    return changed(t, ip_route_replace(&t->w->ip, link, dst, prefix_len));
}

int tern_link_list(const tern *t, tern_link_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    int n = 0;
    for (int id = 1; id < IP_LINKS; id++)
        if (ip_link_known(ip, id)) {
            if (n < max)
                out[n] = (tern_link_entry){id, ip_link_is_up(ip, (uint32_t)id), ip->links[id]};
            n++;
        }
    return n;
}

int tern_addr_list(const tern *t, tern_addr_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    for (int i = 0; i < max && (uint32_t)i < ip->n_addrs; i++) {
        const struct ip_addr *a = &ip->addrs[i];
        out[i] = (tern_addr_entry){a->ip, a->prefix_len, a->link, a->deprecated};
    }
    return (int)ip->n_addrs;
}

int tern_route_list(const tern *t, tern_route_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    for (int i = 0; i < max && (uint32_t)i < ip->n_routes; i++) {
        const struct ip_route *r = &ip->routes[i];
        out[i] = (tern_route_entry){r->dst, r->prefix_len, r->link, !r->asked};
    }
    return (int)ip->n_routes;
}


/* ================================================================================== src/stack/region.c */

/* region.c - memory outside of the stack's block: it is made known, given back, and forgotten (tern/lent.h).
 *
 * The pointer is kept beside the arena, in struct tern; the arena knows number and length.
 */

static bool known(const struct tern *t, int region)
{
    return region > 0 && region < REGIONS && t->w->lent.region[region].len != 0;
}

int tern_region_add(tern *t, const void *base, uint64_t len)
{
    if (base == NULL || len == 0)
        return -TERN_EINVAL;
    for (int i = 1; i < REGIONS; i++) {
        if (t->w->lent.region[i].len != 0)
            continue;
        t->w->lent.region[i] = (struct region){.len = len};
        t->regions.base[i] = base;
        return i;
    }
    return -TERN_ENOMEM;
}

int tern_region_remove(tern *t, int region)
{
    struct hold ignored;
    int e = tern_region_compact(t, region, UINT64_MAX);
    if (e < 0)
        return e;
    while (lent_fetch(t->a, region, &ignored))
        continue;
    t->w->lent.region[region].len = 0;
    t->regions.base[region] = NULL;
    return 0;
}

int tern_region_compact(tern *t, int region, uint64_t bytes)
{
    if (!known(t, region))
        return -TERN_ENOENT;
    return lent_compact(t->a, &t->regions, region, bytes) ? 0 : -TERN_ENOMEM;
}

int tern_rx_returned(tern *t, int region, uint64_t *buffers, int max)
{
    struct hold h;
    int n = 0;
    if (!known(t, region))
        return -TERN_ENOENT;
    while (n < max && lent_fetch(t->a, region, &h))
        buffers[n++] = h.tag;
    return n;
}

int tern_returned(tern *t, tern_lent *out, int max)
{
    struct hold h;
    int n = 0;
    while (n < max && lent_fetch(t->a, 0, &h))
        out[n++] = (tern_lent){h.tag, {h.conn}, h.at, h.len, h.region};
    return n;
}


/* ====================================================================================== src/stack/rx.c */

/* rx.c - a batch comes in: IP is parsed once, ICMP is answered or handed to TCP, segments go to tcp_input.
 *
 * Nothing is sent here. What is not ours goes back to the program as unclaimed, untouched.
 */

static enum tern_cause rx_tcp(struct tern *t, const tern_rx_packet *p, const struct ip_hdr *ip,
                              struct keep *keep)
{
    struct segment s;
    if (ip_is_multicast(&ip->dst) || ip_is_broadcast(&t->w->ip, &ip->dst))
        return TERN_C_NOT_UNICAST; /* RFC 9293 MUST-57 */
    if (!ip_valid_peer(&t->w->ip, &ip->src))
        return TERN_C_IP_SOURCE_INVALID; /* MUST-63 */
    enum tern_cause cause = tcp_parse(ip, !(p->flags & TERN_RX_CSUM_OK), &s);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    s.link = p->link;
    s.gso_size = p->gso_size;
    s.keep = keep;
    return tcp_input(t, &s);
}

static enum tern_cause rx_icmp(struct tern *t, const tern_rx_packet *p, const struct ip_hdr *ip)
{
    struct icmp_msg m;
    enum tern_cause cause = icmp_parse(ip, &m);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    if (m.is_error)
        return tcp_icmp(t, &m, p->link);
    bool echo = m.version == 4 ? m.type == ICMP_ECHO : m.type == ICMP6_ECHO;
    if (!echo || !ip_is_ours(&t->w->ip, &ip->dst, p->link))
        return TERN_C_ICMP_UNUSED;
    if (!ip_echo_queue(t->a, &t->w->ip, ip, &m, p->link))
        return TERN_C_REPLIES_FULL;
    t->w->stats.echo_replies++;
    return TERN_CAUSE_NONE;
}

/* To one of our addresses, or to a group that TCP must refuse by itself. */
static bool for_us(struct tern *t, const struct ip_hdr *ip, uint8_t link)
{
    if (ip_is_ours(&t->w->ip, &ip->dst, link))
        return true;
    return ip->proto == PROTO_TCP && (ip_is_multicast(&ip->dst) || ip_is_broadcast(&t->w->ip, &ip->dst));
}

/* To an address that is not ours, and yet to a listener of any address or to what it accepted. Fragments have
 * no ports to tell by. */
static bool to_foreign(struct tern *t, const struct ip_hdr *ip, uint8_t link)
{
    if (!t->w->foreign || ip->proto != PROTO_TCP || ip->fragment || ip->payload_len < 4 ||
        !ip_valid_peer(&t->w->ip, &ip->dst))
        return false;
    tern_endpoint local = {.ip = ip->dst, .port = get16(ip->payload + 2)};
    tern_endpoint remote = {.ip = ip->src, .port = get16(ip->payload)};
    return demux_find(t, &local, &remote, link) != 0 ||
           demux_listener(t, &local.ip, local.port, link) != NULL;
}

/* ICMP about a segment of such a connection. */
static bool about_foreign(struct tern *t, const struct ip_hdr *ip, uint8_t link)
{
    struct icmp_msg m;
    if (!t->w->foreign || ip->fragment || ip->proto != (ip->version == 4 ? PROTO_ICMP : PROTO_ICMP6) ||
        icmp_parse(ip, &m) != TERN_CAUSE_NONE || !m.is_error || !m.has_tcp)
        return false;
    tern_endpoint local = {.ip = m.in_src, .port = m.in_src_port};
    tern_endpoint remote = {.ip = m.in_dst, .port = m.in_dst_port};
    return demux_find(t, &local, &remote, link) != 0;
}

/* A whole packet, reassembled or not. `unclaimed` is set when it is not ours. */
static enum tern_cause rx_whole(struct tern *t, const tern_rx_packet *p, const struct ip_hdr *ip,
                                struct keep *keep, bool *unclaimed)
{
    bool icmp = ip->proto == (ip->version == 4 ? PROTO_ICMP : PROTO_ICMP6);
    if (ip->proto == PROTO_TCP)
        return rx_tcp(t, p, ip, keep);
    if (icmp)
        return rx_icmp(t, p, ip);
    *unclaimed = true;
    return TERN_CAUSE_NONE;
}

/* Only what we shall take is put together; fragments of the program's protocols go back to it one by one. */
static bool ours_when_whole(const struct ip_hdr *ip)
{
    if (ip->version == 4)
        return ip->proto == PROTO_TCP || ip->proto == PROTO_ICMP;
    return ip->proto != PROTO_UDP; /* TCP, ICMPv6, or headers that lead to them */
}

static enum tern_cause rx_fragment(struct tern *t, const tern_rx_packet *p, const struct ip_hdr *ip,
                                   bool *unclaimed)
{
    struct frag_packet whole = {0};
    struct ip_hdr inner;
    if (!ours_when_whole(ip)) {
        *unclaimed = true;
        return TERN_CAUSE_NONE;
    }
    enum tern_cause cause = frag_add(t->a, &t->w->ip.frag, t->w->now, ip, p->data, p->link, &whole);
    if (cause != TERN_CAUSE_NONE || whole.data == NULL)
        return cause;
    t->w->stats.reassembled++;
    tern_rx_packet q = *p;
    q.flags = 0; /* nobody has verified the whole */
    cause = ip_parse(whole.data, whole.len, &inner);
    if (cause == TERN_CAUSE_NONE)
        cause = rx_whole(t, &q, &inner, NULL, unclaimed); /* it lies in the arena: to be copied */
    return cause;
}

static enum tern_cause rx_one(struct tern *t, const tern_rx_packet *p, struct keep *keep, bool *unclaimed)
{
    struct ip_hdr ip;
    if (p->link >= IP_LINKS || !ip_link_is_up(&t->w->ip, p->link))
        return TERN_C_LINK_DOWN;
    enum tern_cause cause = ip_parse(p->data, p->len, &ip);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    if (!for_us(t, &ip, p->link) && !to_foreign(t, &ip, p->link) && !about_foreign(t, &ip, p->link)) {
        *unclaimed = true;
        return TERN_CAUSE_NONE;
    }
    if (ip.source_route)
        return TERN_C_IP_SOURCE_ROUTE; /* deviation from MUST-51, MUST-52, MUST-53, SHLD-24 */
    if (ip.fragment)
        return rx_fragment(t, p, &ip, unclaimed);
    return rx_whole(t, p, &ip, keep, unclaimed);
}

/* Where a lendable packet may stay. False: it must be copied. */
static bool may_keep(const struct tern *t, const tern_rx_packet *p, struct keep *k)
{
    if (!(p->flags & TERN_RX_LENDABLE) || p->region >= REGIONS)
        return false;
    const struct region *g = &t->w->lent.region[p->region];
    uintptr_t at = (uintptr_t)p->data - (uintptr_t)t->regions.base[p->region];
    if (g->len == 0 || at > g->len || p->len > g->len - at)
        return false;
    uint32_t pinned = p->pinned != 0 ? p->pinned : p->len;
    *k = (struct keep){.from = p->data,
                       .what = {.kind = HOLD_LINK,
                                .region = p->region,
                                .len = pinned,
                                .at = at,
                                .tag = p->buffer}};
    return true;
}

static void rx__judge(struct tern *t, tern_rx_packet *p)
{
    bool unclaimed = false;
    struct keep keep;
    bool lendable = may_keep(t, p, &keep);
    p->trace = (uint32_t)t->trace.head;
    enum tern_cause cause = rx_one(t, p, lendable ? &keep : NULL, &unclaimed);
    p->kept = lendable && keep_end(t->a, &keep);
    p->cause = (uint16_t)cause;
    p->verdict = unclaimed ? TERN_UNCLAIMED : cause == TERN_CAUSE_NONE ? TERN_TAKEN : TERN_DROPPED;
    t->w->stats.rx_packets++;
    t->w->stats.rx_bytes += p->len;
    if (unclaimed)
        t->w->stats.rx_unclaimed++;
    if (p->verdict == TERN_DROPPED) {
        t->w->stats.rx_dropped++;
        t->w->stats.dropped[cause]++;
    }
}

int tern_rx(tern *t, uint64_t now, tern_rx_packet *pkts, int n)
{
    int taken = 0;
    stack_clock(t, now);
    for (int i = 0; i < n; i++) {
        rx__judge(t, &pkts[i]);
        taken += pkts[i].verdict == TERN_TAKEN;
    }
    life_end_of_batch(t);
    return taken;
}


/* ================================================================================ src/stack/snapshot.c */

/* snapshot.c - a stack is written down, read again, and doubled.
 *
 *   image   | head | arena: header, map, world, pages | piece, length, bytes | piece, length, bytes | ...
 *             magic, byte order, version, layout, length, sum
 *
 * The head says in this order whether the bytes are an image at all, of this byte order, of this version of
 * the format, of a build whose records look like ours, whole, and undamaged; each answer is an error of its
 * own. The layout is a sum over the sizes of all records: a build that differs in one of them does not read
 * the image of another. What passes has been written by us, and is believed, but for what is cheap to look at
 * again: the places of pages and lists (image.c).
 *
 * Bytes that lie outside of the arena (lent.h) follow it in the image, piece by piece; when it is read they
 * become bytes of the new arena, so that a copy refers to nothing but itself. Who lent them is told in the
 * copy that they are returned, by its own count; in the original nothing has changed.
 *
 * The handle (struct tern) is not in the image: its pointers and the trace ring are given anew.
 */

#define IMAGE_VERSION 2u
#define ORDER         0x01020304u /* reads otherwise on a machine of the other byte order */

static const char magic[8] = {'t', 'e', 'r', 'n', 's', 'n', 'a', 'p'};

struct image_head {
    char magic[8];
    uint32_t order;
    uint32_t version;
    uint64_t layout;
    uint64_t length; /* of all, bytes */
    uint64_t sum;    /* of all behind it */
    uint64_t world;  /* its place in the arena, bytes */
    uint64_t arena;  /* bytes of the arena's image */
};

/* Before the bytes of a piece that refers to foreign memory. */
struct image_piece {
    ref_t piece;
    uint32_t len;
};

/* What is summed: from here to the end. */
#define SUMMED_AT offsetof(struct image_head, world)

/* Two builds that agree in the version and in these can read each other's arenas. */
static uint64_t layout(void)
{
    static const uint32_t sizes[] = {
        sizeof(struct arena),
        sizeof(struct world),
        sizeof(struct tcb),
        sizeof(struct idle),
        sizeof(struct halfopen),
        sizeof(struct timewait4),
        sizeof(struct timewait6),
        sizeof(struct listener),
        sizeof(struct hold),
        sizeof(struct piece),
        sizeof(struct taken),
        sizeof(struct sendrec),
        sizeof(struct range),
        sizeof(struct chunkq),
        sizeof(struct wheel),
        sizeof(struct ip_state),
        sizeof(tern_stats),
        TERN_CAUSES,
        TERN_STATES,
    };
    uint64_t sum = image_sum(sizes, sizeof sizes);
    for (const char *version = tern_version(); *version != '\0'; version++)
        sum = sum * 31 + (uint8_t)*version; /* gcc would make a loop that counts a call of strlen */
    return sum;
}

static struct arena *arena_behind(void *block)
{
    return (struct arena *)(void *)((uint8_t *)block + stack_handle_size());
}

static uint64_t world_offset(const struct tern *t)
{
    return (uint64_t)((const uint8_t *)t->w - (const uint8_t *)t->a);
}

/* Bytes of a block for an arena that may use `budget` bytes. */
static uint64_t block_for(uint64_t budget) { return stack_handle_size() + budget; }

/* --- writing ------------------------------------------------------------------------------------ */

static uint64_t foreign_size(const struct tern *t)
{
    uint64_t n = 0;
    uint32_t len;
    for (ref_t r = 0; (r = lent_next(t->a, r)) != 0;) {
        lent_bytes(t->a, &t->regions, r, &len);
        n += sizeof(struct image_piece) + len;
    }
    return n;
}

static void save_foreign(const struct tern *t, uint8_t *out)
{
    struct image_piece p;
    for (ref_t r = 0; (r = lent_next(t->a, r)) != 0; out += p.len) {
        const uint8_t *bytes = lent_bytes(t->a, &t->regions, r, &p.len);
        p.piece = r;
        memcpy(out, &p, sizeof p);
        out += sizeof p;
        memcpy(out, bytes, p.len);
    }
}

size_t tern_snapshot_size(const tern *t)
{
    return (size_t)(sizeof(struct image_head) + image_size(t->a, sizeof *t->w) + foreign_size(t));
}

int tern_snapshot(const tern *t, void *out, size_t size)
{
    uint8_t *bytes = out;
    struct image_head head = {
        .order = ORDER,
        .version = IMAGE_VERSION,
        .layout = layout(),
        .length = tern_snapshot_size(t),
        .world = world_offset(t),
        .arena = image_size(t->a, sizeof *t->w),
    };
    if (size < head.length)
        return -TERN_EMSGSIZE;
    memcpy(head.magic, magic, sizeof magic);
    memcpy(bytes, &head, sizeof head);
    save_foreign(t, image_save(t->a, t->w, sizeof *t->w, bytes + sizeof head));
    head.sum = image_sum(bytes + SUMMED_AT, head.length - SUMMED_AT);
    memcpy(bytes, &head, sizeof head);
    return 0;
}

/* --- parts -------------------------------------------------------------------------------------- */

struct parts {
    tern_slice *out;
    int max, n;
    const uint8_t *end; /* of the last */
};

/* Neighbours become one. */
static void add_part(struct parts *p, const void *data, uint64_t len)
{
    if (len == 0)
        return;
    if (p->end != data && p->n++ < p->max)
        p->out[p->n - 1] = (tern_slice){data, 0};
    if (p->n <= p->max)
        p->out[p->n - 1].len += (uint32_t)len;
    p->end = (const uint8_t *)data + len;
}

/* Answers that wait are a large table, and nearly always none waits. */
static void add_world(struct parts *p, const struct world *w)
{
    const uint8_t *end = (const uint8_t *)(w + 1), *behind = (const uint8_t *)&w->reply_head;
    add_part(p, w, w->reply_count > 0 ? sizeof *w : offsetof(struct world, replies));
    if (w->reply_count == 0)
        add_part(p, behind, (uint64_t)(end - behind));
}

int tern_parts(const tern *t, tern_slice *out, int max)
{
    struct parts p = {.out = out, .max = max};
    const struct arena *a = t->a;
    uint64_t page = arena_page_size(a), len;
    add_part(&p, t, stack_handle_size() + image_front(a));
    add_world(&p, t->w);
    for (uint32_t i = 0; i < a->pages_used; i++)
        if ((len = image_kept(a, i)) > 0)
            add_part(&p, (const uint8_t *)a + i * page, len);
    return p.n;
}

/* --- reading ------------------------------------------------------------------------------------ */

/* What the sum cannot say of an image: that its parts lie inside of it. */
static bool parts_sound(const uint8_t *image, const struct image_head *head)
{
    const uint8_t *body = image + sizeof *head;
    uint64_t left = head->length - sizeof *head, at = head->arena;
    struct image_piece p;
    if (head->arena > left || !image_sound(body, head->arena, head->world, sizeof(struct world)))
        return false;
    for (; at < left; at += p.len) {
        if (left - at < sizeof p)
            return false;
        memcpy(&p, body + at, sizeof p);
        at += sizeof p;
        if (p.len > left - at)
            return false;
    }
    return true;
}

/* The head of an image that is whole and ours, as far as can be told at once; otherwise what is wrong with
 * it. */
static int read_head(const uint8_t *image, uint64_t len, struct image_head *head)
{
    uint64_t had = min_u64(len, sizeof *head);
    memset(head, 0, sizeof *head);
    memcpy(head, image, (size_t)had);
    if (memcmp(head->magic, magic, (size_t)min_u64(had, sizeof magic)) != 0)
        return -TERN_ENOEXEC;
    if (had < sizeof *head)
        return -TERN_ENODATA;
    if (head->order != ORDER)
        return -TERN_EOPNOTSUPP;
    if (head->version != IMAGE_VERSION)
        return -TERN_EPROTONOSUPPORT;
    if (head->layout != layout())
        return -TERN_EOPNOTSUPP;
    if (head->length > len)
        return -TERN_ENODATA;
    if (head->length < sizeof *head)
        return -TERN_EBADMSG;
    return parts_sound(image, head) ? 0 : -TERN_EBADMSG;
}

static bool damaged(const uint8_t *image, const struct image_head *head)
{
    return head->sum != image_sum(image + SUMMED_AT, head->length - SUMMED_AT);
}

int tern_restore_size(const void *image, size_t len, size_t *block)
{
    struct image_head head;
    int e = read_head(image, len, &head);
    if (e == 0)
        *block = (size_t)block_for(image_budget((const uint8_t *)image + sizeof head));
    return e;
}

/* The handle of a block whose arena is in place. */
static struct tern *handle_for(void *memory, uint64_t world, void *trace, uint32_t trace_records)
{
    struct tern *t = memory;
    memset(t, 0, sizeof *t);
    t->a = arena_behind(memory);
    t->w = (struct world *)(void *)((uint8_t *)t->a + world);
    trace_init(&t->trace, trace, trace_records);
    return t;
}

/* The block and the ring that a new life is given. */
static int place_valid(const void *memory, const void *trace, uint32_t trace_records)
{
    if (memory == NULL || ((uintptr_t)memory & 15) != 0)
        return -TERN_EINVAL;
    if (trace != NULL && (trace_records == 0 || (trace_records & (trace_records - 1)) != 0))
        return -TERN_EINVAL;
    return 0;
}

/* Foreign bytes become the copy's own. */
static int own(struct tern *t, const struct image_piece *p, const uint8_t *bytes)
{
    if (!pool_valid(t->a, &t->w->lent.pieces, p->piece, pool_gen(t->a, p->piece)))
        return -TERN_EBADMSG;
    const struct piece *piece = at(t->a, p->piece);
    if (piece->c.used != p->len)
        return -TERN_EBADMSG;
    return lent_own(t->a, p->piece, bytes, MEM_CONTROL) ? 0 : -TERN_ENOMEM;
}

static int own_all(struct tern *t, const uint8_t *from, const uint8_t *end)
{
    struct image_piece p;
    int e = 0;
    for (; e == 0 && from < end; from += p.len) {
        memcpy(&p, from, sizeof p);
        from += sizeof p;
        if (arena_kind(t->a, p.piece) != PAGE_POOL0 + POOL_PIECE)
            return -TERN_EBADMSG;
        e = own(t, &p, from);
    }
    if (e == 0)
        lent_cut(t->a);
    return e;
}

int tern_restore(tern **out, const void *image, size_t len, void *memory, size_t size, void *trace,
                 uint32_t trace_records)
{
    struct image_head head;
    const uint8_t *body = (const uint8_t *)image + sizeof head;
    int e = place_valid(memory, trace, trace_records);
    if (e == 0)
        e = read_head(image, len, &head);
    if (e < 0)
        return e;
    if (damaged(image, &head))
        return -TERN_EBADMSG;
    if (size < block_for(image_budget(body)))
        return -TERN_ENOMEM;
    image_load(arena_behind(memory), body, head.world, sizeof(struct world));
    struct tern *t = handle_for(memory, head.world, trace, trace_records);
    if (!image_arena_sound(t->a, PAGE_POOL0 + POOLS) || t->a->lent != ref_of(t->a, &t->w->lent))
        return -TERN_EBADMSG;
    e = own_all(t, body + head.arena, (const uint8_t *)image + head.length);
    if (e == 0)
        *out = t;
    return e;
}

int tern_clone(tern **out, const tern *t, void *memory, size_t size, void *trace, uint32_t trace_records)
{
    int e = place_valid(memory, trace, trace_records);
    if (e < 0)
        return e;
    if (size < block_for((uint64_t)t->a->pages_max << t->a->page_shift))
        return -TERN_ENOMEM;
    image_copy(arena_behind(memory), t->a, t->w, sizeof *t->w);
    struct tern *copy = handle_for(memory, world_offset(t), trace, trace_records);
    struct image_piece p;
    for (ref_t r = 0; e == 0 && (r = lent_next(t->a, r)) != 0;) {
        const uint8_t *bytes = lent_bytes(t->a, &t->regions, r, &p.len);
        p.piece = r;
        e = own(copy, &p, bytes);
    }
    if (e < 0)
        return e;
    lent_cut(copy->a);
    *out = copy;
    return 0;
}

#undef IMAGE_VERSION
#undef ORDER
#undef SUMMED_AT

/* ==================================================================================== src/stack/tick.c */

/* tick.c - time passes: timers that are due fire, each at most once. */

#define JUMP_US 1000000u
#define WORK_MOST 1024u /* timers that fire or move on in one call */

/* The caller promised to come by the next deadline. When it comes more than a second later, the machine slept
 * or the process stood still: the time between was nobody's, and what began before says nothing of the
 * network (round trips), nor have peers been given the time that passed (timer.c). */
static bool jumped(const struct tern *t, uint64_t now)
{
    if (now - t->w->now <= JUMP_US)
        return false;
    uint64_t promised = wheel_next(&t->w->wheel);
    return promised < now && now - promised > JUMP_US;
}

TERN_PRIVATE void stack_clock(struct tern *t, uint64_t now)
{
    struct world *w = t->w;
    if (now < w->now) {
        w->stats.clock_went_back++;
        return;
    }
    if (UNLIKELY(jumped(t, now))) {
        uint64_t slept = now - w->now;
        w->jump_us = now;
        w->stats.clock_jumped++;
        w->now = now;
        backlog_slept(t, slept);
    }
    w->now = now;
}

void tern_tick(tern *t, uint64_t now)
{
    uint32_t work = WORK_MOST;
    stack_clock(t, now);
    for (struct wnode *n; (n = wheel_pop(t->a, &t->w->wheel, t->w->now, &work)) != NULL;)
        timer_fire(t, n);
    change_slice(t);
    waiting_expire(t);
    frag_expire(t->a, &t->w->ip.frag, t->w->now);
    life_end_of_batch(t);
}

static bool output_waits(const struct tern *t)
{
    return t->w->ready.head != 0 || t->w->reply_count > 0 || t->w->ip.echo_count > 0;
}

uint64_t tern_next_deadline(const tern *t)
{
    if (output_waits(t))
        return 0;
    if (change_under_way(t))
        return t->w->now;
    uint64_t next = min_u64(wheel_next(&t->w->wheel), frag_next_deadline(&t->w->ip.frag));
    return min_u64(min_u64(next, shortage_deadline(t)), waiting_next_deadline(t));
}

uint64_t tern_now(const tern *t) { return t->w->now; }

#undef JUMP_US
#undef WORK_MOST

/* ====================================================================================== src/stack/tx.c */

/* tx.c - what is to be sent is taken: stateless answers first, then each connection on the ready list in
 * turn.
 *
 * A connection gives a few packets and goes to the end of the list, so that one with much to send does not
 * hold up the others.
 */

#define TURN 16 /* packets of one connection in a row */

static int tx_conn(struct tern *t, struct conn_head *h, tern_tx_packet *pkts, int max)
{
    int n = 0, limit = max < TURN ? max : TURN;
    uint64_t trace = t->trace.head;
    if (change_under_way(t) && !change_reaches(t, self(t, h)))
        return 0; /* it has just ended */
    for (; n < limit && conn_output(t, h, &pkts[n]); trace = t->trace.head)
        pkts[n++].trace = (uint32_t)trace;
    if (n < limit)
        conn_unready(t, h);
    else if (h->ready && h->turn.next != 0) {
        conn_unready(t, h);
        conn_ready(t, h);
    }
    return n;
}

static int tx_stateless(struct tern *t, tern_tx_packet *pkts, int max)
{
    int n = 0;
    uint64_t trace = t->trace.head;
    for (; n < max && reply_output(t, &pkts[n]); trace = t->trace.head)
        pkts[n++].trace = (uint32_t)trace;
    while (n < max && ip_echo_emit(t->a, &t->w->ip, &pkts[n]))
        pkts[n++].trace = (uint32_t)trace;
    return n;
}

uint32_t tern_replies_room(const tern *t) { return REPLIES - t->w->reply_count; }

int tern_tx(tern *t, uint64_t now, tern_tx_packet *pkts, int max)
{
    stack_clock(t, now);
    if (UNLIKELY(t->w->ip.echo_sent > 0))
        ip_echo_done(t->a, &t->w->ip);
    int n = t->w->reply_count > 0 || t->w->ip.echo_count > 0 ? tx_stateless(t, pkts, max) : 0;
    while (n < max && t->w->ready.head != 0)
        n += tx_conn(t, head_at(t, t->w->ready.head), pkts + n, max - n);
    for (int i = 0; i < n; i++)
        t->w->stats.tx_bytes += pkts[i].len;
    t->w->stats.tx_packets += (uint64_t)n;
    life_end_of_batch(t);
    return n;
}

#undef TURN

/* =================================================================================== src/sock/choose.c */

/* choose.c - the addresses, port and link that a connection is opened with, where the program leaves them
 * open.
 *
 * The zone comes first, since a link-local address says nothing without it (RFC 4007 6); then the way; then
 * the source address (ip/source.c); then the port (RFC 6056, isn.c).
 */

/* The only link there is; -TERN_EDESTADDRREQ: there are several. */
static int only_link(const struct tern *t)
{
    int found = -TERN_ENETUNREACH;
    for (int id = 1; id < IP_LINKS; id++)
        if (ip_link_known(&t->w->ip, id))
            found = found < 0 && found != -TERN_EDESTADDRREQ ? id : -TERN_EDESTADDRREQ;
    return found;
}

/* The only link that has this address. */
static int link_with(const struct tern *t, const tern_ip *ip)
{
    int found = -TERN_EADDRNOTAVAIL;
    for (int id = 1; id < IP_LINKS; id++)
        if (ip_link_known(&t->w->ip, id) && ip_is_ours(&t->w->ip, ip, id))
            found = found == -TERN_EADDRNOTAVAIL ? id : -TERN_EDESTADDRREQ;
    return found;
}

/* The link that the endpoints name, or that follows from them; 0 = the routes decide. */
static int home_link(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote)
{
    bool zoned = ip_zone(&local->ip, &remote->ip, 1) != 0;
    int zone = remote->zone != 0 ? remote->zone : local->zone;
    if (zone != 0 && !ip_link_known(&t->w->ip, zone))
        return -TERN_ENODEV;
    if (zoned && local->zone != 0 && local->zone != zone)
        return -TERN_EINVAL; /* two zones */
    if (zone != 0 || !zoned)
        return zone;
    return ip_is_link_local6(&local->ip) ? link_with(t, &local->ip) : only_link(t);
}

/* The link by which the first segment leaves. */
static int first_way(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, int home)
{
    uint8_t way = ip_way(&t->w->ip, &local->ip, &remote->ip, (uint8_t)home);
    if (way != 0)
        return way;
    return home != 0 || ip_route_any(&t->w->ip, &remote->ip) != 0 ? -TERN_ENETDOWN : -TERN_ENETUNREACH;
}

/* The program's choice comes first (MUST-43). */
static int source(const struct tern *t, const tern_endpoint *remote, int home, int way, tern_ip *ip)
{
    if (ip_is_unspecified(ip))
        return ip_source(&t->w->ip, way, &remote->ip, ip) ? 0 : -TERN_EADDRNOTAVAIL;
    bool ours = ip_is_ours(&t->w->ip, ip, home) && tern_ip_is4(ip) == tern_ip_is4(&remote->ip);
    return ours ? 0 : -TERN_EADDRNOTAVAIL;
}

/* All but the port (MUST-43, MUST-44, MUST-46). Returns the way. */
static int addresses(const struct tern *t, const tern_endpoint *remote, struct choice *out)
{
    if (remote->port == 0 || !ip_valid_peer(&t->w->ip, &remote->ip))
        return -TERN_EINVAL;
    int home = home_link(t, &out->local, remote);
    int way = home < 0 ? home : first_way(t, &out->local, remote, home);
    int e = way < 0 ? way : source(t, remote, home, way, &out->local.ip);
    if (e < 0)
        return e;
    out->home = (uint8_t)home;
    if (ip_is_link_local6(&out->local.ip))
        out->home = (uint8_t)way;
    return way;
}

TERN_PRIVATE int choose(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, struct choice *out)
{
    *out = (struct choice){0};
    if (local != NULL)
        out->local = *local;
    int way = addresses(t, remote, out);
    if (way < 0)
        return way;
    /* that the pair is free is asked of the zone it lives in */
    uint8_t zone = ip_zone(&out->local.ip, &remote->ip, out->home);
    if (out->local.port == 0)
        return port_choose(t, &out->local, remote, zone);
    return demux_find(t, &out->local, remote, zone) != 0 ? -TERN_EADDRINUSE : 0;
}

void tern_port_range(const tern *t, uint16_t *low, uint16_t *high)
{
    *low = settings(t)->port_low;
    *high = settings(t)->port_high;
}

/* Every port of the range is looked up once. */
int tern_ports(const tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_port_use *out)
{
    struct choice c = {0};
    if (local != NULL)
        c.local = *local;
    int way = addresses(t, remote, &c);
    if (way < 0)
        return way;
    ports_count((struct tern *)(uintptr_t)t, &c.local, remote, ip_zone(&c.local.ip, &remote->ip, c.home),
                out);
    return 0;
}

int tern_source(const tern *t, const tern_endpoint *remote, tern_ip *out, int *link)
{
    struct choice c = {0};
    tern_endpoint to = *remote;
    to.port = 1; /* a port is not asked for */
    int way = addresses(t, &to, &c);
    if (way < 0)
        return way;
    *out = c.local.ip;
    if (link != NULL)
        *link = way;
    return 0;
}


/* ==================================================================================== src/sock/close.c */

/* close.c - shutdown, CLOSE and ABORT (RFC 9293 3.10.4, 3.10.5). What they do by state is in
 * src/tcp/close.c. */

int tern_shutdown(tern *t, tern_handle h)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (c->h.state == TERN_CLOSED)
        return -TERN_ENOTCONN;
    sock_trace(t, &c->h, TERN_CALL_SHUTDOWN, 0, 0);
    tcb_close_sending(t, c, TERN_C_SHUTDOWN);
    sock_done(t, c);
    return 0;
}

/* Letting go succeeds always. At rest, and no memory to wake it: it ends as soon as there is some. */
static int released_at_rest(struct tern *t, tern_handle h, int error, enum idle_end how)
{
    if (error != -TERN_ENOMEM)
        return error;
    idle_end_later(t, idle_at(t, sock_named(t, h)), how);
    return 0;
}

int tern_close(tern *t, tern_handle h)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return released_at_rest(t, h, e, IDLE_CLOSE);
    if (head->kind == REC_LISTENER) {
        listener_end(t, (struct listener *)head);
        sock_done(t, NULL);
        return 0;
    }
    struct tcb *c = (struct tcb *)head;
    sock_trace(t, &c->h, TERN_CALL_CLOSE, 0, 0);
    tcb_close(t, c);
    sock_done(t, c->dying ? NULL : c);
    return 0;
}

int tern_abort(tern *t, tern_handle h)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return released_at_rest(t, h, e, IDLE_ABORT);
    if (head->kind == REC_LISTENER)
        return tern_close(t, h);
    struct tcb *c = (struct tcb *)head;
    sock_trace(t, &c->h, TERN_CALL_ABORT, 0, 0);
    tcb_abort(t, c);
    sock_done(t, NULL);
    return 0;
}


/* =================================================================================== src/sock/handle.c */

/* handle.c - a handle is a reference and the generation that the record had: a stale one never reaches a
 * record of another life. */

static bool listener_held(const struct tern *t, ref_t r)
{
    return ((const struct listener *)at_const(t->a, r))->face.held;
}

/* The listener or idle record that a handle names; 0: stale, foreign, or released. */
TERN_PRIVATE ref_t sock_named(const struct tern *t, tern_handle h)
{
    const struct world *w = t->w;
    ref_t r = (ref_t)h.v;
    uint32_t gen = (uint32_t)(h.v >> 32);
    enum rec_kind kind = rec_kind(t, r);
    if (kind == REC_LISTENER) /* one that is closed may still have children to reset */
        return pool_valid(t->a, &w->listener_pool, r, gen) && listener_held(t, r) ? r : 0;
    bool is4 = arena_kind(t->a, r) == (enum page_kind)(PAGE_POOL0 + POOL_IDLE4);
    if (kind != REC_IDLE || !pool_valid(t->a, is4 ? &w->idles4 : &w->idles6, r, gen))
        return 0;
    const struct idle *i = at_const(t->a, r);
    bool held =
        i->tcb == 0 ? i->ending == IDLE_LIVES : ((const struct tcb *)at_const(t->a, i->tcb))->face.held;
    return held ? r : 0;
}

TERN_PRIVATE struct conn_head *sock_find(struct tern *t, tern_handle h, int *error)
{
    ref_t r = sock_named(t, h);
    *error = -TERN_EBADF;
    if (r == 0)
        return NULL;
    if (rec_kind(t, r) == REC_LISTENER)
        return head_at(t, r);
    struct tcb *c = idle_wake(t, idle_at(t, r));
    *error = -TERN_ENOMEM;
    return c != NULL ? &c->h : NULL;
}

TERN_PRIVATE struct tcb *sock_conn(struct tern *t, tern_handle h, int *error)
{
    struct conn_head *head = sock_find(t, h, error);
    if (head == NULL)
        return NULL;
    *error = -TERN_ENOTCONN;
    return head->kind == REC_TCB ? (struct tcb *)head : NULL;
}

TERN_PRIVATE void sock_done(struct tern *t, struct tcb *c)
{
    if (c != NULL)
        timer_rearm(t, c);
    life_end_of_batch(t);
}

TERN_PRIVATE void sock_trace(struct tern *t, const struct conn_head *h, enum tern_call call, uint64_t arg, int64_t result)
{
    trace_conn(t, h, TERN_TRACE_CALL, TERN_CAUSE_NONE, call, arg, (uint64_t)result);
}

int tern_set_data(tern *t, tern_handle h, uint64_t data)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    face_of(head)->data = data;
    return 0;
}


/* ===================================================================================== src/sock/info.c */

/* info.c - STATUS (RFC 9293 3.10.6) and more: what can be known of a stack, of one record, of all of them. */

void tern_get_stats(const tern *t, tern_stats *out)
{
    *out = t->w->stats;
    out->no_memory = t->a->refused;
    out->copied_bytes = t->a->copied;
    out->dropped[TERN_C_FRAGMENT_TIMEOUT] += t->w->ip.frag.timeouts;
    out->dropped[TERN_C_FRAGMENT_LIMIT] += t->w->ip.frag.evicted;
}

void tern_get_live(const tern *t, tern_live *out)
{
    const struct world *w = t->w;
    memset(out, 0, sizeof *out);
    out->listeners = w->listener_pool.live;
    out->halfopen = w->halfopens4.live + w->halfopens6.live;
    out->tcbs = w->idles4.live + w->idles6.live;
    out->asleep = out->tcbs - w->tcbs.live;
    out->timewait = waiting_live(t);
    out->timewait_held = w->wait_held;
    out->sendrecs = w->sendrecs.live;
    out->ranges = w->ranges.live;
    out->timers = w->wheel.armed;
    out->fragments = frag_live(&w->ip.frag);
    out->replies = w->reply_count + w->ip.echo_count;
    out->arena_used = (uint64_t)t->a->pages_used << t->a->page_shift;
    out->arena_free = (uint64_t)t->a->free_count << t->a->page_shift;
    out->chunks = t->a->chunks;
    out->pieces = w->lent.pieces.live;
    out->lent = w->lent.lent_count;
    out->kept = w->lent.link_count;
    out->returned = w->lent.back_count;
    out->taken = w->taken.live;
}

static void from_head(const struct conn_head *h, tern_info *out)
{
    out->conn = h->conn;
    out->local = (tern_endpoint){h->local, h->local_port, 0};
    out->remote = (tern_endpoint){h->remote, h->remote_port, 0};
    if (ip_is_link_local6(&h->remote))
        out->remote.zone = h->link;
    if (ip_is_link_local6(&h->local) || h->state == TERN_LISTEN)
        out->local.zone = h->link; /* of a listener: all that it hears */
    out->state = h->state;
    out->reason = h->cause;
    out->opened_us = h->opened_us;
    out->state_since_us = h->since_us;
}

/* Of records without a head. */
static void from_who(const struct tern *t, const void *record, tern_info *out)
{
    struct who w;
    who_of(t, record, &w);
    out->conn = w.conn;
    out->local = (tern_endpoint){w.local, w.local_port, 0};
    out->remote = (tern_endpoint){w.remote, w.remote_port, 0};
    if (ip_is_link_local6(&w.remote))
        out->remote.zone = w.link;
    out->state = w.state;
    out->iss = w.iss.v;
    out->irs = w.irs.v;
}

static void from_face(const struct face *f, tern_info *out)
{
    out->held = f->held;
    out->data = f->data;
    out->error = f->error;
    out->soft_error = f->soft_error;
    out->icmp_type = f->icmp_type;
    out->icmp_code = f->icmp_code;
}

static void next_timer(const struct tcb *c, tern_info *out)
{
    const struct {
        uint8_t kind;
        uint64_t us;
    } all[] = {
        {c->tm.rexmit, c->tm.rexmit_us},
        {c->tm.life, c->tm.life_us},
        {TERN_TIMER_DELACK, c->ack.delack_us},
        {TERN_TIMER_KEEPALIVE, c->tm.keep_us},
        {TERN_TIMER_PACE, c->tm.pace_us},
        {TERN_TIMER_TAIL_PROBE, c->tm.tlp_us},
        {TERN_TIMER_REORDER, c->tm.reo_us},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].us != 0 && (out->timer_us == 0 || all[i].us < out->timer_us)) {
            out->timer = all[i].kind;
            out->timer_us = all[i].us;
        }
}

/* What the next data may use: after a pause the restart window, though it is set only then. */
static uint32_t cwnd_now(const struct tern *t, const struct tcb *c)
{
    struct cc cc = c->cc;
    if (restarts_after_idle(t, c))
        cc_restart(&cc, c->snd.mss);
    return cc.cwnd;
}

static void queues(const struct tern *t, const struct tcb *c, tern_info *out)
{
    bool opening = c->h.state == TERN_SYN_SENT || c->h.state == TERN_SYN_RCVD;
    out->recv_queue = c->rcv.q.len;
    out->recv_ooo = c->rcv.ooo_bytes;
    out->send_queue = opening ? c->snd.q.len : snd_unsent(&c->snd);
    out->send_unacked = c->snd.q.len - min_u32(c->snd.q.len, out->send_queue);
    out->urgent = c->rcv.urgent ? seq_span(seq(c->rcv.q.pos), c->rcv.up) : 0; /* MUST-33 */
    out->rcv_wnd = rcv_wnd(&c->rcv);
    out->snd_wnd = c->snd.wnd;
    out->cwnd = cwnd_now(t, c);
    out->ssthresh = c->cc.ssthresh;
    out->in_flight = sendlist_pipe(&c->list, c->rec.reno_sacked);
}

static void agreed(const struct tcb *c, tern_info *out)
{
    out->mss = c->snd.mss;
    out->snd_wscale = c->opt.snd_wscale;
    out->rcv_wscale = c->opt.rcv_wscale;
    out->wscale = c->opt.wscale;
    out->timestamps = c->opt.ts;
    out->sack = c->opt.sack;
    out->ecn = c->opt.ecn;
    out->iss = c->snd.iss.v;
    out->irs = c->rcv.irs.v;
}

static void totals(const struct tcb *c, tern_info *out)
{
    out->bytes_sent = c->sum.sent;
    out->bytes_acked = c->sum.acked;
    out->bytes_received = c->sum.received;
    out->bytes_retransmitted = c->sum.retransmitted;
    out->segs_out = c->sum.segs_out;
    out->segs_in = c->sum.segs_in;
    out->retransmits = c->sum.retransmits;
    out->fast_retransmits = c->sum.fast_retransmits;
    out->timeouts = c->sum.timeouts;
    out->dup_acks_in = c->sum.dup_acks_in;
    out->ooo_in = c->sum.ooo_in;
    out->challenge_acks = c->sum.challenge_acks;
    out->dsacks = c->sum.dsacks;
}

static void timing(const struct tern *t, const struct tcb *c, tern_info *out)
{
    out->srtt_us = c->rtt.srtt_us;
    out->rttvar_us = c->rtt.rttvar_us;
    out->rto_us = rtt_timeout(&c->rtt, settings(t));
    out->min_rtt_us = c->rtt.min_us;
    out->backoff = c->tm.retries;
    out->probes = max_u32(c->tm.keep_probes, c->tm.probes);
    out->last_rx_us = c->last_rx_us;
    out->last_tx_us = c->last_tx_us;
    next_timer(c, out);
}

static void history(const struct tcb *c, tern_info *out)
{
    for (int i = 0; i < TERN_HISTORY; i++) {
        out->history[i].cause = c->history[i].cause;
        out->history[i].from = c->history[i].from;
        out->history[i].to = c->history[i].to;
        out->history[i].t_us = c->history[i].t_us;
    }
}

static void from_tcb(const struct tern *t, const struct tcb *c, tern_info *out)
{
    from_face(&c->face, out);
    out->unaccepted = c->listener != 0;
    out->link = ip_way(&t->w->ip, &c->h.local, &c->h.remote, c->h.link);
    out->eof_read = c->rcv.eof_read;
    out->eof_us = c->rcv.fin_us;
    out->fin_rcvd = c->rcv.fin_rcvd;
    out->fin_sent = c->snd.fin_sent;
    out->fin_acked = c->snd.fin_acked;
    out->ttl_in = c->ttl_in;
    out->dscp_in = c->tos_in >> 2; /* MAY-9 */
    queues(t, c, out);
    agreed(c, out);
    timing(t, c, out);
    totals(c, out);
    history(c, out);
}

static void from_listener(const struct tern *t, const struct listener *l, tern_info *out)
{
    from_face(&l->face, out);
    out->listener = true;
    out->backlog = l->backlog;
    out->halfopen = l->half_count;
    out->acceptq = l->aq_count;
    out->refused_full = l->refused_full;
    out->left_unaccepted = l->left_unaccepted;
    if (l->aq.head != 0)
        out->accept_oldest_us = ((const struct tcb *)at_const(t->a, l->aq.head))->h.since_us;
}

static void from_timewait(const struct tern *t, ref_t r, tern_info *out)
{
    const struct timewait *w = at_const(t->a, r);
    out->reason = (uint16_t)waiting_cause(w);
    out->timer = TERN_TIMER_TIME_WAIT;
    out->timer_us = waiting_due(t, r);
    out->state_since_us = out->timer_us - 2ull * settings(t)->msl_us;
    out->fin_rcvd = out->fin_sent = out->fin_acked = true;
    out->rcv_wscale = w->rcv_wscale;
    out->rcv_wnd = (uint32_t)w->wnd << w->rcv_wscale;
    out->timestamps = w->ts;
}

/* Awake or at rest, the same is to be seen. */
static void from_idle(const struct tern *t, const struct idle *i, tern_info *out)
{
    struct tcb view;
    const struct tcb *c = i->tcb != 0 ? at_const(t->a, i->tcb) : &view;
    if (c == &view) {
        memset(&view, 0, sizeof view);
        idle_view(t, i, &view);
    }
    from_head(&c->h, out);
    from_tcb(t, c, out);
    out->asleep = c == &view;
}

static void info__fill(const struct tern *t, ref_t r, tern_info *out)
{
    const void *record = at_const(t->a, r);
    memset(out, 0, sizeof *out);
    switch (rec_kind(t, r)) {
    case REC_IDLE: from_idle(t, record, out); break;
    case REC_LISTENER:
        from_head(record, out);
        from_listener(t, record, out);
        break;
    case REC_HALFOPEN:
        from_who(t, record, out);
        halfopen_info(t, record, out);
        break;
    case REC_TIMEWAIT:
        from_who(t, record, out);
        from_timewait(t, r, out);
        break;
    default: ASSERT(false);
    }
}

int tern_get_info(const tern *t, tern_handle h, tern_info *out)
{
    ref_t r = sock_named(t, h);
    if (r == 0)
        return -TERN_EBADF;
    info__fill(t, r, out);
    return 0;
}

/* The next live record behind *r in the i-th store of records; -1 = there is no such store. */
static int info__step(const struct tern *t, uint32_t i, ref_t *r)
{
    const struct world *w = t->w;
    switch (i) {
    case 0: return pool_next(t->a, &w->listener_pool, r);
    case 1: return pool_next(t->a, &w->halfopens4, r);
    case 2: return pool_next(t->a, &w->halfopens6, r);
    case 3: return pool_next(t->a, &w->idles4, r);
    case 4: return pool_next(t->a, &w->idles6, r);
    case 5: return fifo_next(t->a, &w->wait4.fifo, r);
    case 6: return fifo_next(t->a, &w->wait6.fifo, r);
    default: return -1;
    }
}

/* The cursor is the store in the upper half and the last record in the lower. */
int tern_walk(const tern *t, uint64_t *cursor, tern_info *out)
{
    uint32_t i = (uint32_t)(*cursor >> 32);
    ref_t r = (ref_t)*cursor;
    for (int found; (found = info__step(t, i, &r)) >= 0; i++, r = 0)
        if (found > 0) {
            *cursor = (uint64_t)i << 32 | r;
            info__fill(t, r, out);
            return 1;
        }
    return 0;
}


/* ===================================================================================== src/sock/lend.c */

/* lend.c - SEND and RECEIVE without a copy (RFC 9293 3.10.2, 3.10.3; tern/lent.h): lent memory, bytes moved
 * from connection to connection, and chunks in the program's hands. */

static bool lend__inside(const struct tern *t, int region, uint64_t at, size_t len)
{
    if (region <= 0 || region >= REGIONS)
        return false;
    uint64_t size = t->w->lent.region[region].len;
    return len > 0 && at <= size && len <= size - at;
}

/* n bytes of a region are queued; how many were. */
static uint32_t refer(struct tern *t, struct tcb *c, const struct hold *what)
{
    ref_t hold = what->len > 0 ? hold_new(t->a, what, MEM_DATA) : 0;
    if (hold == 0)
        return 0;
    if (chunkq_refer(t->a, &c->snd.q, hold, 0, what->len, MEM_DATA))
        return what->len;
    hold_forget(t->a, hold);
    return 0;
}

long tern_lend(tern *t, tern_handle h, int region, uint64_t at, size_t len, uint64_t tag, unsigned flags)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    if (!lend__inside(t, region, at, len))
        return -TERN_EINVAL;
    struct hold what = {
        .kind = HOLD_LENT,
        .region = (uint8_t)region,
        .len = (uint32_t)min_u64(len, stream_refer_room(&c->snd)),
        .at = at,
        .tag = tag,
        .conn = h.v,
    };
    shortage_redeem(t, c);
    uint32_t got = refer(t, c, &what);
    stream_sent(t, c, len, got, flags);
    sock_done(t, c);
    return got > 0 ? (long)got : -TERN_EAGAIN;
}

/* The program has taken n bytes off the receive queue. */
static void taken_off(struct tern *t, struct tcb *c, size_t asked, uint32_t n)
{
    recv_read(t, c);
    sock_trace(t, &c->h, TERN_CALL_RECV, asked, n);
}

/* The second connection of a call: should it have to wake, memory for it is not taken from the first. */
static struct tcb *wake_beside(struct tern *t, struct tcb *first, tern_handle h, int *error)
{
    bool before = first->restless;
    first->restless = true;
    struct tcb *c = sock_conn(t, h, error);
    first->restless = before;
    return c;
}

long tern_move(tern *t, tern_handle from, tern_handle to, size_t n, unsigned flags)
{
    int e;
    struct tcb *f = sock_conn(t, from, &e), *c = f != NULL ? wake_beside(t, f, to, &e) : NULL;
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    if (n == 0)
        return -TERN_EINVAL;
    if (f->rcv.q.len == 0)
        return stream_empty(f);
    uint32_t there = (uint32_t)min_u64(n, f->rcv.q.len);
    uint32_t want = min_u32(there, stream_refer_room(&c->snd));
    shortage_redeem(t, c);
    uint32_t got = chunkq_move(t->a, &t->regions, &c->snd.q, &f->rcv.q, want, MEM_DATA);
    if (got > 0)
        taken_off(t, f, n, got);
    stream_sent(t, c, there, got, flags);
    timer_rearm(t, f);
    sock_done(t, c);
    return got > 0 ? (long)got : -TERN_EAGAIN;
}

/* --- chunks in the program's hands ---------------------------------------------------------------- */

static struct taken *taken_find(struct tern *t, tern_chunk chunk)
{
    ref_t r = (ref_t)chunk.v;
    return pool_valid(t->a, &t->w->taken, r, (uint32_t)(chunk.v >> 32)) ? at(t->a, r) : NULL;
}

long tern_take(tern *t, tern_handle h, size_t n, tern_chunk *out)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (n == 0)
        return -TERN_EINVAL;
    if (c->rcv.q.len == 0)
        return stream_empty(c);
    ref_t me = pool_get(t->a, &t->w->taken, MEM_DATA);
    if (me == 0)
        return -TERN_ENOMEM;
    struct taken *k = at(t->a, me);
    chunkq_init(&k->q, 0);
    uint32_t want = (uint32_t)min_u64(n, c->rcv.q.len);
    uint32_t got = chunkq_move(t->a, &t->regions, &k->q, &c->rcv.q, want, MEM_DATA);
    if (got == 0) {
        pool_put(t->a, &t->w->taken, me);
        return -TERN_ENOMEM;
    }
    taken_off(t, c, n, got);
    sock_done(t, c);
    *out = (tern_chunk){(uint64_t)k->gen << 32 | me};
    return (long)got;
}

int tern_chunk_peek(tern *t, tern_chunk chunk, size_t at, tern_slice *slices, int max)
{
    const struct taken *k = taken_find(t, chunk);
    uint32_t got;
    if (k == NULL)
        return -TERN_EBADF;
    if (at > k->q.len)
        return -TERN_EINVAL;
    return chunkq_slices(t->a, &t->regions, &k->q, k->q.pos + (uint32_t)at, k->q.len, NULL, slices, max,
                         &got);
}

long tern_send_chunk(tern *t, tern_handle h, tern_chunk chunk, size_t at, size_t n, unsigned flags)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    struct taken *k = taken_find(t, chunk);
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    if (k == NULL)
        return -TERN_EBADF;
    if (n == 0 || at > k->q.len || n > k->q.len - at)
        return -TERN_EINVAL;
    uint32_t want = (uint32_t)min_u64(n, stream_refer_room(&c->snd));
    shortage_redeem(t, c);
    uint32_t got = chunkq_share(t->a, &t->regions, &c->snd.q, &k->q, k->q.pos + (uint32_t)at, want, MEM_DATA);
    stream_sent(t, c, n, got, flags);
    sock_done(t, c);
    return got > 0 ? (long)got : -TERN_EAGAIN;
}

int tern_drop(tern *t, tern_chunk chunk)
{
    struct taken *k = taken_find(t, chunk);
    if (k == NULL)
        return -TERN_EBADF;
    chunkq_clear(t->a, &k->q);
    pool_put(t->a, &t->w->taken, (ref_t)chunk.v);
    sock_done(t, NULL);
    return 0;
}


/* ===================================================================================== src/sock/open.c */

/* open.c - OPEN, passive and active, and accept (RFC 9293 3.9.1.1, 3.10.1). */

#define BACKLOG_DEFAULT 128u
#define BACKLOG_MOST    (1u << 24)

static struct listener *listener_new(struct tern *t, const tern_endpoint *local, uint32_t backlog,
                                     unsigned flags)
{
    ref_t me = pool_get(t->a, &t->w->listener_pool, MEM_DATA);
    if (me == 0)
        return NULL;
    struct listener *l = listener_at(t, me);
    l->h.kind = REC_LISTENER;
    l->h.local = local->ip;
    l->h.local_port = local->port;
    l->h.link = (uint8_t)local->zone;
    l->h.conn = conn_number(t);
    l->h.opened_us = t->w->now;
    l->backlog = backlog != 0 ? backlog : BACKLOG_DEFAULT;
    l->foreign = (flags & TERN_LISTEN_FOREIGN) != 0;
    l->defer = (flags & TERN_LISTEN_DEFER) != 0;
    l->face.held = true;
    options_default(t, &l->set);
    if (!demux_listener_insert(t, l)) {
        pool_put(t->a, &t->w->listener_pool, me);
        return NULL;
    }
    return l;
}

/* MUST-41: a new record or a failure; nothing that exists is touched. MUST-42: connections on the port do not
 * matter. */
int tern_listen_as(tern *t, const tern_endpoint *local, uint32_t backlog, unsigned flags, tern_handle *out)
{
    bool any = ip_is_unspecified(&local->ip), foreign = (flags & TERN_LISTEN_FOREIGN) != 0;
    if ((local->port == 0) != ((flags & TERN_LISTEN_ANY_PORT) != 0) || backlog > BACKLOG_MOST ||
        flags > (TERN_LISTEN_ANY_PORT | TERN_LISTEN_FOREIGN | TERN_LISTEN_DEFER))
        return -TERN_EINVAL;
    if (foreign && !any && !ip_valid_peer(&t->w->ip, &local->ip))
        return -TERN_EADDRNOTAVAIL;
    if (local->zone != 0 && !ip_link_known(&t->w->ip, local->zone))
        return -TERN_ENODEV;
    if (!any && !foreign && !ip_is_ours(&t->w->ip, &local->ip, local->zone))
        return -TERN_EADDRNOTAVAIL;
    tern_endpoint at = *local;
    if (any)
        memset(&at.ip, 0, sizeof at.ip);
    if (demux_listener_exact(t, &at.ip, at.port, (uint8_t)at.zone) != NULL)
        return -TERN_EADDRINUSE;
    struct listener *l = listener_new(t, &at, backlog, flags);
    if (l == NULL)
        return -TERN_ENOMEM;
    state_change(t, &l->h, TERN_C_PASSIVE_OPEN, TERN_LISTEN);
    *out = handle_of(t, &l->h);
    return 0;
}

int tern_listen(tern *t, const tern_endpoint *local, uint32_t backlog, tern_handle *out)
{
    return tern_listen_as(t, local, backlog, 0, out);
}

/* What the program must know of a connection that lived before it was accepted. */
static uint32_t bits_now(const struct tcb *c)
{
    uint32_t bits = 0;
    if (c->rcv.q.len > 0 || c->rcv.fin_rcvd || c->h.state == TERN_CLOSED)
        bits |= TERN_READABLE;
    if (c->rcv.fin_rcvd)
        bits |= TERN_PEER_CLOSED;
    if (c->rcv.urgent)
        bits |= TERN_URGENT;
    if (c->h.state == TERN_CLOSED)
        bits |= TERN_ENDED | TERN_WRITABLE;
    return bits;
}

int tern_accept(tern *t, tern_handle listener, tern_handle *out)
{
    int e;
    struct conn_head *head = sock_find(t, listener, &e);
    if (head == NULL)
        return e;
    if (head->kind != REC_LISTENER)
        return -TERN_EINVAL;
    struct listener *l = (struct listener *)head;
    struct tcb *c = listener_dequeue(t, l);
    if (c == NULL)
        return -TERN_EAGAIN;
    c->face.held = true;
    face_raise(t, &c->h, bits_now(c));
    if (c->h.state != TERN_CLOSED)
        shortage_opened(t, c);
    if (l->aq.head != 0)
        face_raise(t, &l->h, TERN_ACCEPTABLE);
    t->w->stats.accepted++;
    *out = handle_of(t, &c->h);
    sock_trace(t, &c->h, TERN_CALL_ACCEPT, 0, 0);
    sock_done(t, c);
    return 0;
}

/* The record in TIME_WAIT whose port this connection takes gives way (ports.c). The new ISS lies above its
 * numbers. It may have been given up for memory since it was chosen. */
static seq_t take_over(struct tern *t, const struct tcb *c)
{
    tern_endpoint local = {c->h.local, c->h.local_port, 0}, remote = {c->h.remote, c->h.remote_port, 0};
    ref_t old = demux_find(t, &local, &remote, c->h.link);
    if (old == 0)
        return isn_make(t, &c->h);
    seq_t iss = isn_make_above(t, &c->h, time_wait_snd_nxt(t, old));
    waiting_end(t, old, TERN_C_TIME_WAIT_REOPENED);
    t->w->stats.time_wait_reopened++;
    return iss;
}

static void prepare(struct tern *t, struct tcb *c, bool in_time_wait)
{
    struct snd *s = &c->snd;
    c->h.conn = conn_number(t);
    s->iss = in_time_wait ? take_over(t, c) : isn_make(t, &c->h);
    s->una = s->nxt = s->small = s->iss;
    chunkq_init(&s->q, s->iss.v + 1);
    sendlist_init(&c->list, s->iss);
    c->rcv.adv = seq_add(c->rcv.nxt, min_u32(c->rcv.buffer, 65535));
    chunkq_init(&c->rcv.q, c->rcv.nxt.v);
    c->opt.ecn = c->set.ecn == TERN_ECN_ON;
    c->face.held = true;
}

int tern_connect(tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_handle *out)
{
    struct choice from;
    struct options set;
    int e = choose(t, local, remote, &from);
    if (e < 0)
        return e;
    options_default(t, &set);
    struct tcb *c = tcb_new(t, &from.local, remote, from.home, &set);
    if (c == NULL)
        return -TERN_ENOMEM;
    prepare(t, c, e == PORT_IN_TIME_WAIT);
    if (!demux_insert(t, self(t, c))) {
        tcb_discard(t, c);
        return -TERN_ENOMEM;
    }
    t->w->stats.opens_active++;
    trace_conn(t, &c->h, TERN_TRACE_OPENED, TERN_C_ACTIVE_OPEN, 0, 0, 0);
    sock_trace(t, &c->h, TERN_CALL_CONNECT, 0, 0);
    state_change(t, &c->h, TERN_C_ACTIVE_OPEN, TERN_SYN_SENT);
    conn_ready(t, &c->h);
    *out = handle_of(t, &c->h);
    return 0;
}

#undef BACKLOG_DEFAULT
#undef BACKLOG_MOST

/* =================================================================================== src/sock/option.c */

/* option.c - options of connections and listeners: one table of ranges, one place where each takes effect. */

struct limits {
    uint32_t min, max;
};

static const struct limits limits[] = {
    [TERN_OPT_NODELAY] = {0, 1},
    [TERN_OPT_QUICKACK] = {0, 1},
    [TERN_OPT_KEEPALIVE] = {0, 1},
    [TERN_OPT_KEEPIDLE_MS] = {1, UINT32_MAX},
    [TERN_OPT_KEEPINTVL_MS] = {1, UINT32_MAX},
    [TERN_OPT_KEEPCNT] = {2, 255}, /* RFC 9293 MUST-29: never after one */
    [TERN_OPT_USER_TIMEOUT_MS] = {0, UINT32_MAX},
    [TERN_OPT_LINGER0] = {0, 1},
    [TERN_OPT_SEND_BUFFER] = {1024, 1u << 30},
    [TERN_OPT_RECV_BUFFER] = {1024, 1u << 30},
    [TERN_OPT_DSCP] = {0, 63},
    [TERN_OPT_TTL] = {1, 255},
    [TERN_OPT_ECN] = {TERN_ECN_PASSIVE, TERN_ECN_OFF},
    [TERN_OPT_REPORTS] = {0, 1},
    [TERN_OPT_MAX_SEG] = {0, 65495},
    [TERN_OPT_COOKIES] = {TERN_COOKIES_AUTO, TERN_COOKIES_NEVER},
};

static bool in_range(enum tern_option opt, uint32_t value)
{
    if ((unsigned)opt >= ARRAY_LEN(limits) || value < limits[opt].min || value > limits[opt].max)
        return false;
    return opt != TERN_OPT_MAX_SEG || value == 0 || value >= 88;
}

static struct options *option__options_of(struct conn_head *h)
{
    return h->kind == REC_TCB ? &((struct tcb *)h)->set : &((struct listener *)h)->set;
}

static void store(struct options *o, enum tern_option opt, uint32_t v)
{
    switch (opt) {
    case TERN_OPT_NODELAY: o->nodelay = v != 0; break;
    case TERN_OPT_QUICKACK: o->quickack = v != 0; break;
    case TERN_OPT_KEEPALIVE: o->keepalive = v != 0; break;
    case TERN_OPT_KEEPIDLE_MS: o->keep_idle_ms = v; break;
    case TERN_OPT_KEEPINTVL_MS: o->keep_intvl_ms = v; break;
    case TERN_OPT_KEEPCNT: o->keep_cnt = (uint8_t)v; break;
    case TERN_OPT_USER_TIMEOUT_MS: o->user_timeout_ms = v; break;
    case TERN_OPT_LINGER0: o->linger0 = v != 0; break;
    case TERN_OPT_SEND_BUFFER: o->send_buffer = v; break;
    case TERN_OPT_RECV_BUFFER: o->recv_buffer = v; break;
    case TERN_OPT_DSCP: o->dscp = (uint8_t)v; break;
    case TERN_OPT_TTL: o->ttl = (uint8_t)v; break;
    case TERN_OPT_ECN: o->ecn = (uint8_t)v; break;
    case TERN_OPT_REPORTS: o->reports = v != 0; break;
    case TERN_OPT_MAX_SEG: o->max_seg = (uint16_t)v; break;
    case TERN_OPT_COOKIES: break; /* not inherited: the listener has it */
    }
}

static uint32_t load(const struct options *o, enum tern_option opt)
{
    switch (opt) {
    case TERN_OPT_NODELAY: return o->nodelay;
    case TERN_OPT_QUICKACK: return o->quickack;
    case TERN_OPT_KEEPALIVE: return o->keepalive;
    case TERN_OPT_KEEPIDLE_MS: return o->keep_idle_ms;
    case TERN_OPT_KEEPINTVL_MS: return o->keep_intvl_ms;
    case TERN_OPT_KEEPCNT: return o->keep_cnt;
    case TERN_OPT_USER_TIMEOUT_MS: return o->user_timeout_ms;
    case TERN_OPT_LINGER0: return o->linger0;
    case TERN_OPT_SEND_BUFFER: return o->send_buffer;
    case TERN_OPT_RECV_BUFFER: return o->recv_buffer;
    case TERN_OPT_DSCP: return o->dscp;
    case TERN_OPT_TTL: return o->ttl;
    case TERN_OPT_ECN: return o->ecn;
    case TERN_OPT_REPORTS: return o->reports;
    case TERN_OPT_MAX_SEG: return o->max_seg;
    case TERN_OPT_COOKIES: break;
    }
    return 0;
}

/* A live connection follows at once. */
static void apply(struct tern *t, struct tcb *c, enum tern_option opt)
{
    c->h.tos = (uint8_t)(c->set.dscp << 2); /* MUST-48, SHLD-21 */
    c->h.ttl = c->set.ttl;                  /* MUST-49 */
    c->snd.buffer = max_u32(c->set.send_buffer, c->snd.q.len); /* what is queued stays */
    c->rcv.buffer = c->set.recv_buffer;
    if (opt == TERN_OPT_ECN && c->h.state == TERN_SYN_SENT && seq_eq(c->snd.nxt, c->snd.iss))
        c->opt.ecn = c->set.ecn == TERN_ECN_ON;
    if (opt == TERN_OPT_MAX_SEG && c->h.state >= TERN_SYN_RCVD)
        c->snd.mss = options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
    if (opt == TERN_OPT_KEEPALIVE || opt == TERN_OPT_KEEPIDLE_MS || opt == TERN_OPT_KEEPINTVL_MS)
        timer_keepalive(t, c);
    if (c->h.state != TERN_CLOSED)
        conn_ready(t, &c->h);
    sock_done(t, c);
}

int tern_setopt(tern *t, tern_handle h, enum tern_option opt, uint32_t value)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    if (!in_range(opt, value))
        return -TERN_EINVAL;
    if (opt == TERN_OPT_COOKIES && head->kind != REC_LISTENER)
        return -TERN_EINVAL;
    if (opt == TERN_OPT_COOKIES)
        ((struct listener *)head)->cookies = (uint8_t)value;
    store(option__options_of(head), opt, value);
    if (head->kind == REC_TCB)
        apply(t, (struct tcb *)head, opt);
    return 0;
}

int tern_getopt(tern *t, tern_handle h, enum tern_option opt, uint32_t *value)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    if ((unsigned)opt >= ARRAY_LEN(limits))
        return -TERN_EINVAL;
    if (opt == TERN_OPT_COOKIES && head->kind != REC_LISTENER)
        return -TERN_EINVAL;
    *value = opt == TERN_OPT_COOKIES ? ((struct listener *)head)->cookies : load(option__options_of(head), opt);
    return 0;
}


/* =================================================================================== src/sock/stream.c */

/* stream.c - SEND and RECEIVE (RFC 9293 3.10.2, 3.10.3). */

TERN_PRIVATE int stream_refused(const struct tcb *c)
{
    if (c->h.state == TERN_CLOSED)
        return c->face.error != 0 ? c->face.error : -TERN_EPIPE;
    return c->snd.fin_queued || c->h.state == TERN_TIME_WAIT ? -TERN_EPIPE : 0;
}

TERN_PRIVATE uint32_t stream_room(const struct snd *s) { return s->q.len < s->buffer ? s->buffer - s->q.len : 0; }

/* Room for bytes that are referred to. Records cost memory too: where pieces are small their number is
 * bounded. */
TERN_PRIVATE uint32_t stream_refer_room(const struct snd *s)
{
    return s->q.chunks < 64 + s->buffer / 256 ? stream_room(s) : 0;
}

TERN_PRIVATE void stream_sent(struct tern *t, struct tcb *c, size_t asked, uint32_t got, unsigned flags)
{
    struct snd *s = &c->snd;
    bool all = got == asked;
    sock_trace(t, &c->h, TERN_CALL_SEND, asked, got);
    if (asked == 0)
        return;
    s->more = (flags & TERN_MORE) != 0 && all;
    if ((flags & TERN_URG) != 0 && all) {
        s->up = snd_end(s);
        s->urgent = true;
    }
    if (!all && stream_refer_room(s) > 0)
        shortage_wait(t, c); /* not its limit: the stack's memory */
    else if (!all)
        s->blocked = true;
    conn_ready(t, &c->h);
}

long tern_send(tern *t, tern_handle h, const void *data, size_t len, unsigned flags)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    uint32_t want = (uint32_t)min_u64(len, stream_room(&c->snd));
    waiting_make_room(t, 1 + (want >> t->a->page_shift));
    shortage_redeem(t, c);
    uint32_t got = chunkq_append(t->a, &c->snd.q, data, want, MEM_DATA);
    stream_sent(t, c, len, got, flags);
    sock_done(t, c);
    return got > 0 || len == 0 ? (long)got : -TERN_EAGAIN;
}

/* An orderly end and a reset are told apart (RFC 9293 MUST-12). */
TERN_PRIVATE int stream_empty(struct tcb *c)
{
    if (c->h.state == TERN_CLOSED && c->face.error != 0)
        return c->face.error;
    if (c->rcv.fin_rcvd || c->h.state == TERN_CLOSED) {
        c->rcv.eof_read = c->rcv.fin_rcvd;
        return 0;
    }
    return -TERN_EAGAIN;
}

/* A connection with bytes to read; NULL: *e is what the call answers. */
static struct tcb *with_bytes(struct tern *t, tern_handle h, int *e)
{
    struct tcb *c = sock_conn(t, h, e);
    if (c == NULL || c->rcv.q.len > 0)
        return c;
    *e = stream_empty(c);
    return NULL;
}

static void consume(struct tern *t, struct tcb *c, uint32_t n)
{
    chunkq_drop_front(t->a, &c->rcv.q, n);
    recv_read(t, c);
}

long tern_recv(tern *t, tern_handle h, void *buf, size_t len)
{
    int e;
    struct tcb *c = with_bytes(t, h, &e);
    if (c == NULL)
        return e;
    uint32_t n = (uint32_t)min_u64(len, c->rcv.q.len);
    chunkq_copy(t->a, &t->regions, &c->rcv.q, c->rcv.q.pos, buf, n);
    consume(t, c, n);
    sock_trace(t, &c->h, TERN_CALL_RECV, len, n);
    sock_done(t, c);
    return (long)n;
}

int tern_peek(tern *t, tern_handle h, tern_slice *slices, int max)
{
    int e;
    uint32_t got;
    struct tcb *c = with_bytes(t, h, &e);
    if (c == NULL)
        return e;
    return chunkq_slices(t->a, &t->regions, &c->rcv.q, c->rcv.q.pos, c->rcv.q.len, NULL, slices, max, &got);
}

int tern_consume(tern *t, tern_handle h, size_t n)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (n > c->rcv.q.len)
        return -TERN_EINVAL;
    consume(t, c, (uint32_t)n);
    sock_trace(t, &c->h, TERN_CALL_RECV, n, (int64_t)n);
    sock_done(t, c);
    return 0;
}


/* ====================================================================================== src/sock/syn.c */

/* syn.c - SYNs that wait for the program's word, at listeners that defer (RFC 9293 3.10.7.2 third, put
 * off). */

/* The pending SYN of a handle that tern_next_syn gave; NULL: it is gone. */
static struct halfopen *pending(struct tern *t, tern_handle syn)
{
    ref_t r = (ref_t)syn.v;
    uint32_t gen = (uint32_t)(syn.v >> 32);
    if (!pool_valid(t->a, &t->w->halfopens4, r, gen) && !pool_valid(t->a, &t->w->halfopens6, r, gen))
        return NULL;
    struct halfopen *h = at(t->a, r);
    return h->queue == QUEUE_TAKEN && listener_at(t, h->listener)->h.state == TERN_LISTEN ? h : NULL;
}

static void describe(struct tern *t, struct halfopen *h, tern_syn *out)
{
    struct who who;
    who_of(t, h, &who);
    memset(out, 0, sizeof *out);
    out->handle.v = (uint64_t)h->id << 32 | self(t, h);
    out->local = (tern_endpoint){who.local, who.local_port, 0};
    out->remote = (tern_endpoint){who.remote, who.remote_port, 0};
    if (ip_is_link_local6(&who.remote))
        out->remote.zone = who.link;
    out->arrived_us = backlog_opened_us(t, h);
    out->mss = (uint16_t)h->mss;
    out->wscale = h->snd_wscale != SHIFT_NONE;
    out->sack = h->sack;
    out->timestamps = h->ts;
    out->ecn = h->ecn;
}

int tern_next_syn(tern *t, tern_handle listener, tern_syn *out)
{
    int e;
    struct conn_head *head = sock_find(t, listener, &e);
    if (head == NULL)
        return e;
    struct listener *l = (struct listener *)head;
    if (head->kind != REC_LISTENER || !l->defer)
        return -TERN_EINVAL;
    if (l->queue[QUEUE_PENDING].head == 0)
        return -TERN_EAGAIN;
    struct halfopen *h = at(t->a, l->queue[QUEUE_PENDING].head);
    describe(t, h, out);
    backlog_remove(t, l, h);
    backlog_append(t, l, h, QUEUE_TAKEN);
    conn_timer(t, &l->h, backlog_due_us(t, h));
    return 0;
}

int tern_syn_accept(tern *t, tern_handle syn, uint64_t data, tern_handle *out)
{
    struct halfopen *h = pending(t, syn);
    if (h == NULL)
        return -TERN_EBADF;
    struct tcb *c = halfopen_grow(t, h);
    if (c == NULL)
        return -TERN_ENOMEM;
    c->face.held = true;
    c->face.data = data;
    conn_ready(t, &c->h);
    t->w->stats.accepted++;
    *out = handle_of(t, &c->h);
    sock_trace(t, &c->h, TERN_CALL_ACCEPT, 0, 0);
    sock_done(t, c);
    return 0;
}

int tern_syn_reject(tern *t, tern_handle syn)
{
    struct halfopen *h = pending(t, syn);
    if (h == NULL)
        return -TERN_EBADF;
    reply_refusal(t, h);
    halfopen_end(t, h, TERN_C_SYN_REJECTED);
    return 0;
}

int tern_syn_ignore(tern *t, tern_handle syn)
{
    struct halfopen *h = pending(t, syn);
    if (h == NULL)
        return -TERN_EBADF;
    halfopen_end(t, h, TERN_C_SYN_IGNORED);
    return 0;
}

