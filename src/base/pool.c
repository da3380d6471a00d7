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
#include "base/arena.h"

_Static_assert(sizeof(struct slab) == GRAIN, "one grain before the records");

static inline struct slab *slab_at(struct arena *a, ref_t page) { return at(a, page); }

static inline ref_t page_of(const struct arena *a, ref_t r) { return r & ~(arena_page_size(a) / GRAIN - 1); }

void pool_init(struct pool *p, uint32_t number, uint32_t size)
{
    ASSERT(size >= GRAIN && size % GRAIN == 0 && PAGE_POOL0 + number <= UINT8_MAX);
    uint32_t grains = size / GRAIN;
    *p = (struct pool){
        .size = size, .number = number, .next_gen = 1, .per_grain = ((1u << 24) + grains - 1) / grains};
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

void pool_page_first(struct arena *a, struct pool *p, ref_t page)
{
    if (p->pages == page)
        return;
    unlink_page(a, p, page);
    link_before(a, page, p->pages);
    p->pages = page;
}

static uint32_t per_page(const struct arena *a, const struct pool *p)
{
    return (arena_page_size(a) - GRAIN) / p->size;
}

/* One more page of free records, the lowest first, at the front. */
bool pool_grow(struct arena *a, struct pool *p, enum mem_prio prio)
{
    uint32_t n = per_page(a, p);
    ASSERT(n > 0);
    ref_t page = arena_page(a, kind_of(p), prio);
    if (page == 0)
        return false;
    *slab_at(a, page) = (struct slab){0};
    link_before(a, page, p->pages);
    p->pages = page;
    for (uint32_t i = n; i > 0; i--) {
        ref_t r = page + first_record(a, p) + (i - 1) * (p->size / GRAIN);
        *(struct free_record *)at(a, r) = (struct free_record){.gen = 0, .next = slab_at(a, page)->free};
        slab_at(a, page)->free = r;
    }
    p->total += n;
    p->empty++;
    return true;
}

void pool_page_back(struct arena *a, struct pool *p, ref_t page)
{
    unlink_page(a, p, page);
    arena_page_free(a, page);
    p->total -= per_page(a, p);
}

/* The record behind r (0: the first of all), live or not; 0 = none. */
static ref_t step(const struct arena *a, const struct pool *p, ref_t r)
{
    ref_t page = page_of(a, r);
    if (r != 0 && r + p->size / GRAIN < page + arena_page_size(a) / GRAIN)
        return r + p->size / GRAIN;
    ref_t next = r == 0 ? p->pages : ((const struct slab *)at_const(a, page))->next;
    return next == 0 || (r != 0 && next == p->pages) ? 0 : next + first_record(a, p);
}

bool pool_next(const struct arena *a, const struct pool *p, ref_t *r)
{
    do {
        if (*r != 0 && arena_kind(a, *r) != kind_of(p))
            *r = 0; /* the page has gone since: the walk ends */
        else
            *r = step(a, p, *r);
    } while (*r != 0 && pool_gen(a, *r) == 0);
    return *r != 0;
}

ref_t pool_in_page(const struct arena *a, const struct pool *p, ref_t page, ref_t r)
{
    ref_t end = page + arena_page_size(a) / GRAIN;
    r = r == 0 ? page + first_record(a, p) : r + p->size / GRAIN;
    while (r < end && pool_gen(a, r) == 0)
        r += p->size / GRAIN;
    return r < end ? r : 0;
}
