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

#include "mem.h"

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
size_t arena_fixed_size(uint64_t size, uint32_t page_size, size_t fixed);

/* Lay out an arena in `block`. `budget` bytes at most are ever used (0: all). On success `*fixed_at` is the
 * place of `fixed` zeroed bytes behind the map. False: too small. */
bool arena_init(struct arena *a, uint64_t size, uint64_t budget, uint32_t page_size, size_t fixed,
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

/* `n` neighbouring pages (tables only), cleared. 0 = refused. */
ref_t arena_pages(struct arena *a, uint32_t n, enum mem_prio prio);
void arena_pages_free(struct arena *a, ref_t first, uint32_t n);

/* Kind of the page that a reference points into; PAGE_FREE if it is outside of the used part. */
static inline enum page_kind arena_kind(const struct arena *a, ref_t r)
{
    uint32_t number = r >> (a->page_shift - 4);
    return number < a->pages_used ? (enum page_kind)((const uint8_t *)at_const(a, a->map))[number]
                                  : PAGE_FREE;
}

/* Ask for the memory that arena_kind looks at (mem.h, FETCH). */
static inline void arena_fetch_kind(const struct arena *a, ref_t r)
{
    FETCH((const uint8_t *)at_const(a, a->map) + (r >> (a->page_shift - 4)));
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
bool arena_promise(struct arena *a);
void arena_redeem(struct arena *a);

/* Where the short way below ends: a page from above the mark, or none. */
COLD ref_t arena_page_more(struct arena *a, enum page_kind kind, enum mem_prio prio);

/* One page of a kind; its bytes are not cleared. 0 = refused. */
static inline ref_t arena_page(struct arena *a, enum page_kind kind, enum mem_prio prio)
{
    uint32_t number = a->free_head;
    if (UNLIKELY(number == 0 || a->fail_after != 0 || arena_room(a, prio) == 0))
        return arena_page_more(a, kind, prio);
    ref_t page = number << (a->page_shift - 4);
    a->free_head = *(const uint32_t *)at(a, page);
    a->free_count--;
    ((uint8_t *)at(a, a->map))[number] = (uint8_t)kind;
    a->chunks += kind == PAGE_CHUNK;
    return page;
}

static inline void arena_page_free(struct arena *a, ref_t page)
{
    uint32_t number = page >> (a->page_shift - 4);
    uint8_t *kind = (uint8_t *)at(a, a->map) + number;
    ASSERT(number < a->pages_used && *kind >= PAGE_TABLE && page == number << (a->page_shift - 4));
    a->chunks -= *kind == PAGE_CHUNK;
    *kind = PAGE_FREE;
    *(uint32_t *)at(a, page) = a->free_head;
    a->free_head = number;
    a->free_count++;
}

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
    uint32_t per_grain; /* 2^24 / grains of a record, rounded up: a division as a multiplication */
};

void pool_init(struct pool *p, uint32_t number, uint32_t size);

/* The head of a page of records: in the ring of the pool's pages. */
struct slab {
    ref_t next, prev;
    ref_t free;        /* its first free record; 0 = none */
    uint32_t live;
};

/* A free record names the next one of its page behind its generation, which is 0. */
struct free_record {
    uint32_t gen;
    ref_t next;
};

/* Where the short ways below end: a page is to come, to go back to the arena, to come to the ring's front. */
COLD bool pool_grow(struct arena *a, struct pool *p, enum mem_prio prio);
COLD void pool_page_back(struct arena *a, struct pool *p, ref_t page);
COLD void pool_page_first(struct arena *a, struct pool *p, ref_t page);

/* A record whose bytes are anything, but for its generation: who takes it writes all of it. 0 = refused. */
static inline ref_t pool_take(struct arena *a, struct pool *p, enum mem_prio prio)
{
    bool there = p->pages != 0 && ((const struct slab *)at(a, p->pages))->free != 0;
    if (UNLIKELY(there ? arena_fails(a) : !pool_grow(a, p, prio)))
        return 0;
    struct slab *s = at(a, p->pages);
    ref_t r = s->free;
    struct free_record *record = at(a, r);
    s->free = record->next;
    p->empty -= s->live++ == 0;
    p->live++;
    if (s->free == 0)
        p->pages = s->next; /* the ring turns: a full page stands last */
    record->gen = p->next_gen;
    p->next_gen += p->next_gen == UINT32_MAX ? 2 : 1;
    return r;
}

/* A record, zeroed but for its generation. 0 = refused. */
static inline ref_t pool_get(struct arena *a, struct pool *p, enum mem_prio prio)
{
    ref_t r = pool_take(a, p, prio);
    if (LIKELY(r != 0))
        memset((uint8_t *)at(a, r) + sizeof(uint32_t), 0, p->size - sizeof(uint32_t));
    return r;
}

static inline void pool_put(struct arena *a, struct pool *p, ref_t r)
{
    struct free_record *record = at(a, r);
    ref_t page = r & ~(arena_page_size(a) / GRAIN - 1);
    struct slab *s = at(a, page);
    ASSERT(record->gen != 0);
    record->gen = 0;
    record->next = s->free;
    if (UNLIKELY(s->free == 0))
        pool_page_first(a, p, page);
    s->free = r;
    p->live--;
    if (--s->live > 0)
        return;
    if (p->empty == 0)
        p->empty = 1; /* it is kept for the next life */
    else
        pool_page_back(a, p, page);
}

static inline uint32_t pool_gen(const struct arena *a, ref_t r) { return *(const uint32_t *)at_const(a, r); }

/* Whether a distance of less than a page is a multiple of a record's size. The product's error is less than
 * distance / 2^24, too little to reach the next whole number (4096 grains in the largest page). */
static inline bool pool_divides(const struct pool *p, uint32_t grains)
{
    return (uint32_t)((uint64_t)grains * p->per_grain >> 24) * (p->size / GRAIN) == grains;
}

/* Whether `r`, which lies in a page of this pool, is the start of a live record with this generation, not
 * 0. */
static inline bool pool_named(const struct arena *a, const struct pool *p, ref_t r, uint32_t gen)
{
    uint32_t grains = arena_page_size(a) / GRAIN;
    uint32_t to_end = grains - (r & (grains - 1));
    return to_end < grains && pool_divides(p, to_end) && pool_gen(a, r) == gen;
}

/* Whether `r` is the start of a live record of this pool with this generation. Safe for any values. */
static inline bool pool_valid(const struct arena *a, const struct pool *p, ref_t r, uint32_t gen)
{
    if (gen == 0 || arena_kind(a, r) != (enum page_kind)(PAGE_POOL0 + p->number))
        return false;
    return pool_named(a, p, r, gen);
}

/* Walk over live records: start with *r = 0; returns false at the end. Order is fixed by the allocation
 * history. */
bool pool_next(const struct arena *a, const struct pool *p, ref_t *r);

/* The live record behind `r` in one page of the pool (r = 0: the first); 0 = the page's end. Unlike
 * pool_next this is indifferent to pages that come and go between two calls. */
ref_t pool_in_page(const struct arena *a, const struct pool *p, ref_t page, ref_t r);

#endif
