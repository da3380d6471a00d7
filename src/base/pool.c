/* pool.c - records of one size, with generations that make stale handles harmless.
 *
 *   page:  [ next page, slack ...... | record | record | record | ... | record ]
 *            first word                                                ^ ends at the page's end
 *   record: [ generation | next free |  ............ ]   while free (even generation)
 *           [ generation |  the owner's ............ ]   while live (odd generation)
 *
 * Records lie against the end of their page: then records whose size is a multiple of a cache line begin on
 * one.
 *
 * Invariants: (1) pages of a pool stay its own for ever, so a generation can always be read; (2) a record is
 * on the free list exactly when its generation is even; (3) generations only grow; (4) live + length of the
 * free list = total.
 */
#include "base/arena.h"

struct record {
    uint32_t gen;
    ref_t next; /* while free */
};

static inline struct record *record_at(struct arena *a, ref_t r) { return at(a, r); }

void pool_init(struct pool *p, uint32_t number, uint32_t size)
{
    ASSERT(size >= GRAIN && size % GRAIN == 0 && PAGE_POOL0 + number <= UINT8_MAX);
    *p = (struct pool){.size = size, .number = number};
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

/* One more page of free records, the lowest first. */
static bool grow(struct arena *a, struct pool *p, enum mem_prio prio)
{
    uint32_t n = (arena_page_size(a) - GRAIN) / p->size;
    ASSERT(n > 0);
    ref_t page = arena_page(a, kind_of(p), prio);
    if (page == 0)
        return false;
    *(ref_t *)at(a, page) = p->pages;
    p->pages = page;
    for (uint32_t i = n; i > 0; i--) {
        ref_t r = page + first_record(a, p) + (i - 1) * (p->size / GRAIN);
        *record_at(a, r) = (struct record){.gen = 0, .next = p->free};
        p->free = r;
    }
    p->total += n;
    return true;
}

ref_t pool_get(struct arena *a, struct pool *p, enum mem_prio prio)
{
    if (LIKELY(p->free != 0) ? arena_fails(a) : !grow(a, p, prio))
        return 0;
    ref_t r = p->free;
    struct record *record = record_at(a, r);
    uint32_t gen = record->gen + 1;
    p->free = record->next;
    p->live++;
    memset(record, 0, p->size);
    record->gen = gen;
    return r;
}

void pool_put(struct arena *a, struct pool *p, ref_t r)
{
    struct record *record = record_at(a, r);
    ASSERT((record->gen & 1) != 0 && arena_kind(a, r) == kind_of(p));
    record->gen++;
    record->next = p->free;
    p->free = r;
    p->live--;
}

bool pool_valid(const struct arena *a, const struct pool *p, ref_t r, uint32_t gen)
{
    if ((gen & 1) == 0 || arena_kind(a, r) != kind_of(p))
        return false;
    uint32_t grains = arena_page_size(a) / GRAIN;
    uint32_t to_end = grains - (r & (grains - 1));
    return to_end < grains && to_end % (p->size / GRAIN) == 0 && pool_gen(a, r) == gen;
}

/* The record behind r (0: the first of all), live or not; 0 = none. */
static ref_t step(const struct arena *a, const struct pool *p, ref_t r)
{
    uint32_t grains = arena_page_size(a) / GRAIN;
    ref_t page = r & ~(grains - 1);
    if (r != 0 && r + p->size / GRAIN < page + grains)
        return r + p->size / GRAIN;
    ref_t next = r == 0 ? p->pages : *(const ref_t *)at_const(a, page);
    return next == 0 ? 0 : next + first_record(a, p);
}

bool pool_next(const struct arena *a, const struct pool *p, ref_t *r)
{
    do {
        *r = step(a, p, *r);
    } while (*r != 0 && (pool_gen(a, *r) & 1) == 0);
    return *r != 0;
}
