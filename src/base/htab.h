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

struct htab_iter {
    uint32_t hash;
    ref_t segment;
    uint32_t slot;
};

/* False: no memory. */
bool htab_init(struct arena *a, struct htab *h);
void htab_free(struct arena *a, struct htab *h);
bool htab_insert(struct arena *a, struct htab *h, uint32_t hash, ref_t r, enum mem_prio prio);

/* The entry must be there. */
void htab_remove(struct arena *a, struct htab *h, uint32_t hash, ref_t r);

/* Put another record in the place of `from`, same hash: cannot fail. */
void htab_replace(struct arena *a, struct htab *h, uint32_t hash, ref_t from, ref_t to);
ref_t htab_first(const struct arena *a, const struct htab *h, uint32_t hash, struct htab_iter *it);
ref_t htab_next(const struct arena *a, const struct htab *h, struct htab_iter *it);

/* Ask for the memory where a search for this hash begins (mem.h, FETCH): the directory's entry, then the
 * slot. */
void htab_fetch_place(const struct arena *a, const struct htab *h, uint32_t hash);
void htab_fetch(const struct arena *a, const struct htab *h, uint32_t hash);

#endif
