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
#include "base/htab.h"

#define MAX_DEPTH 24

static inline ref_t *directory(struct arena *a, const struct htab *h) { return at(a, h->dir); }

static ref_t segment_new(struct arena *a, uint32_t depth, enum mem_prio prio)
{
    ref_t r = arena_page(a, PAGE_TABLE, prio);
    if (r == 0)
        return 0;
    struct htab_page *s = at(a, r);
    memset(s, 0, arena_page_size(a));
    s->depth = depth;
    return r;
}

bool htab_init(struct arena *a, struct htab *h)
{
    *h = (struct htab){.dir_pages = 1, .changes = 1};
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

void htab_free(struct arena *a, struct htab *h)
{
    for (uint64_t i = 0; h->dir != 0 && i < (uint64_t)1 << h->depth;) {
        ref_t r = directory(a, h)[i];
        i += (uint64_t)1 << (h->depth - ((const struct htab_page *)at(a, r))->depth);
        arena_page_free(a, r);
    }
    if (h->dir != 0)
        arena_pages_free(a, h->dir, h->dir_pages);
    *h = (struct htab){0};
}

static inline void put(struct htab_page *s, uint32_t n, struct htab_slot entry)
{
    uint32_t i = htab_home(entry.hash, n);
    while (s->slots[i].ref != 0)
        i = htab_after(i, n);
    s->slots[i] = entry;
    s->used++;
}

/* Put every entry of `s` again: into `ones` if its bit is set, else into `zeros` (one of them may be s
 * itself). Begins behind an empty slot, so an entry never has to pass one that still waits, and equal hashes
 * keep their order. */
static void deal(struct htab_page *s, uint32_t n, uint32_t bit, struct htab_page *zeros,
                 struct htab_page *ones)
{
    uint32_t start = 0;
    while (s->slots[start].ref != 0)
        start++;
    for (uint32_t i = htab_after(start, n); i != start; i = htab_after(i, n)) {
        struct htab_slot entry = s->slots[i];
        if (entry.ref == 0)
            continue;
        s->slots[i].ref = 0;
        s->used--;
        put((entry.hash & bit) != 0 ? ones : zeros, n, entry);
    }
}

/* Let the directory entries of all hashes that begin with the `bits` upper bits of `hash` name segment r. */
static void point(struct arena *a, struct htab *h, uint32_t hash, uint32_t bits, ref_t r)
{
    ref_t *entry = directory(a, h) + ((size_t)htab_prefix(hash, bits) << (h->depth - bits));
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
    uint32_t n = htab_slots(a);
    struct htab_page *s = at(a, htab_page_of(a, h, hash));
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

bool htab_insert(struct arena *a, struct htab *h, uint32_t hash, ref_t r, enum mem_prio prio)
{
    uint32_t n = htab_slots(a), m = htab_spread(hash);
    struct htab_page *s = at(a, htab_page_of(a, h, m));
    while (UNLIKELY(s->used >= n - n / 8) && split(a, h, m, prio))
        s = at(a, htab_page_of(a, h, m));
    if (UNLIKELY(s->used + 1 >= n))
        return false;
    put(s, n, (struct htab_slot){m, r});
    h->count++;
    htab_changed(h);
    return true;
}

/* Close the hole at i: entries behind it whose search begins at or before it move up. */
void htab_close_hole(struct htab_page *s, uint32_t n, uint32_t i)
{
    for (uint32_t j = htab_after(i, n); s->slots[j].ref != 0; j = htab_after(j, n)) {
        uint32_t k = htab_home(s->slots[j].hash, n);
        bool stays = i <= j ? i < k && k <= j : i < k || k <= j;
        if (!stays) {
            s->slots[i] = s->slots[j];
            i = j;
        }
    }
    s->slots[i] = (struct htab_slot){0, 0};
}

/* Join the nearly empty segment of `hash` with its sister, if both together are small. */
void htab_join(struct arena *a, struct htab *h, uint32_t hash)
{
    ref_t r = htab_page_of(a, h, hash);
    struct htab_page *s = at(a, r);
    uint32_t n = htab_slots(a);
    struct htab_page *sister = at(a, htab_page_of(a, h, hash ^ 1u << (32 - s->depth)));
    if (sister->depth != s->depth || s->used + sister->used > n * 3 / 8)
        return;
    deal(s, n, 0, sister, sister);
    sister->depth--;
    point(a, h, hash, sister->depth, ref_of(a, sister));
    arena_page_free(a, r);
}

void htab_fetch_place(const struct arena *a, const struct htab *h, uint32_t hash)
{
    FETCH((const ref_t *)at_const(a, h->dir) + htab_prefix(htab_spread(hash), h->depth));
}

/* A search looks at a few slots, so half of them end in the next line. */
void htab_fetch(const struct arena *a, const struct htab *h, uint32_t hash)
{
    uint32_t m = htab_spread(hash);
    const struct htab_page *s = at_const(a, htab_page_of(a, h, m));
    const struct htab_slot *slot = &s->slots[htab_home(m, htab_slots(a))];
    FETCH(slot);
    FETCH(slot + 4);
}
