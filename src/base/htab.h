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

#include "arena.h"

struct htab {
    ref_t dir;        /* directory: uint32_t refs of segments */
    uint32_t dir_pages;
    uint32_t depth;   /* log2 of the directory's entries */
    uint32_t count;
    uint32_t changes; /* of any entry: what was found is still so while it is the same; never 0 */
};

/* A segment: one page of slots. */
struct htab_slot {
    uint32_t hash; /* spread */
    ref_t ref;     /* 0 = empty */
};

struct htab_page {
    uint32_t used;
    uint32_t depth;
    struct htab_slot slots[];
};

struct htab_iter {
    uint32_t hash;
    ref_t segment;
    uint32_t slot;
};

/* False: no memory. */
bool htab_init(struct arena *a, struct htab *h);
void htab_free(struct arena *a, struct htab *h);
bool htab_insert(struct arena *a, struct htab *h, uint32_t hash, ref_t r, enum mem_prio prio);

/* Bijective; hashes that differ in few bits come to lie far apart. */
static inline uint32_t htab_mix(uint32_t hash)
{
    hash = (hash ^ hash >> 16) * 0x9e3779b1u;
    return hash ^ hash >> 15;
}

/* With u = hash / 2^32 the place is u (2 + u) / 3: three halves of the average density at 0, three quarters
 * at 1. A few hashes share a place, which is as harmless as any collision: the caller compares records. */
static inline uint32_t htab_spread(uint32_t hash)
{
    uint64_t u = htab_mix(hash);
    return (uint32_t)((2 * u + (u * u >> 32)) / 3);
}

static inline uint32_t htab_slots(const struct arena *a)
{
    return (arena_page_size(a) - (uint32_t)sizeof(struct htab_page)) / (uint32_t)sizeof(struct htab_slot);
}

static inline uint32_t htab_home(uint32_t hash, uint32_t n) { return (hash & 0xffff) * n >> 16; }

static inline uint32_t htab_after(uint32_t i, uint32_t n) { return i + 1 == n ? 0 : i + 1; }

/* The upper `bits` bits. */
static inline uint32_t htab_prefix(uint32_t hash, uint32_t bits)
{
    return (uint32_t)((uint64_t)hash >> (32 - bits));
}

static inline ref_t htab_page_of(const struct arena *a, const struct htab *h, uint32_t hash)
{
    return ((const ref_t *)at_const(a, h->dir))[htab_prefix(hash, h->depth)];
}

static inline void htab_changed(struct htab *h) { h->changes += h->changes == UINT32_MAX ? 2 : 1; }

static inline uint32_t htab_locate(const struct htab_page *s, uint32_t n, uint32_t hash, ref_t r)
{
    uint32_t i = htab_home(hash, n);
    while (s->slots[i].ref != r) {
        ASSERT(s->slots[i].ref != 0);
        i = htab_after(i, n);
    }
    ASSERT(s->slots[i].hash == hash);
    return i;
}

/* Where removal is not all of it: entries behind the hole are to move up; a nearly empty segment to be
 * joined. */
void htab_close_hole(struct htab_page *s, uint32_t n, uint32_t i);
void htab_join(struct arena *a, struct htab *h, uint32_t hash);

/* The entry must be there. */
static inline void htab_remove(struct arena *a, struct htab *h, uint32_t hash, ref_t r)
{
    uint32_t n = htab_slots(a), m = htab_spread(hash);
    struct htab_page *s = at(a, htab_page_of(a, h, m));
    uint32_t i = htab_locate(s, n, m, r);
    if (LIKELY(s->slots[htab_after(i, n)].ref == 0))
        s->slots[i] = (struct htab_slot){0, 0};
    else
        htab_close_hole(s, n, i);
    s->used--;
    h->count--;
    htab_changed(h);
    if (UNLIKELY(s->depth > 0 && (s->used == n / 8 || s->used == 0)))
        htab_join(a, h, m);
}

/* Put another record in the place of `from`, same hash: cannot fail. */
static inline void htab_replace(struct arena *a, struct htab *h, uint32_t hash, ref_t from, ref_t to)
{
    uint32_t m = htab_spread(hash);
    htab_changed(h);
    struct htab_page *s = at(a, htab_page_of(a, h, m));
    s->slots[htab_locate(s, htab_slots(a), m, from)].ref = to;
}

/* From the iterator's slot on to an entry of its hash, or to the empty slot that ends the search. */
static inline ref_t htab_search(const struct arena *a, struct htab_iter *it)
{
    const struct htab_page *s = at_const(a, it->segment);
    uint32_t n = htab_slots(a), i = it->slot;
    while (s->slots[i].ref != 0 && s->slots[i].hash != it->hash)
        i = htab_after(i, n);
    it->slot = i;
    return s->slots[i].ref;
}

static inline ref_t htab_first(const struct arena *a, const struct htab *h, uint32_t hash,
                               struct htab_iter *it)
{
    it->hash = htab_spread(hash);
    it->segment = htab_page_of(a, h, it->hash);
    it->slot = htab_home(it->hash, htab_slots(a));
    return htab_search(a, it);
}

static inline ref_t htab_next(const struct arena *a, const struct htab *h, struct htab_iter *it)
{
    (void)h;
    it->slot = htab_after(it->slot, htab_slots(a));
    return htab_search(a, it);
}

/* The same as htab_insert, where a search for this hash has just ended with nothing: the place is known while
 * the table has not changed since (`changes`). */
static inline bool htab_insert_at(struct arena *a, struct htab *h, const struct htab_iter *it,
                                  uint32_t changes, uint32_t hash, ref_t r, enum mem_prio prio)
{
    struct htab_page *s = at(a, it->segment);
    uint32_t n = htab_slots(a);
    if (UNLIKELY(changes != h->changes || s->used >= n - n / 8))
        return htab_insert(a, h, hash, r, prio);
    s->slots[it->slot] = (struct htab_slot){it->hash, r};
    s->used++;
    h->count++;
    htab_changed(h);
    return true;
}

/* Ask for the memory where a search for this hash begins (mem.h, FETCH): the directory's entry, then the
 * slot. */
void htab_fetch_place(const struct arena *a, const struct htab *h, uint32_t hash);
void htab_fetch(const struct arena *a, const struct htab *h, uint32_t hash);

#endif
