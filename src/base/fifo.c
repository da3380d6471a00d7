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
#include "base/fifo.h"

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

static inline ref_t page_of(const struct arena *a, ref_t r) { return r & ~(arena_page_size(a) / GRAIN - 1); }

static inline uint32_t per_page(const struct arena *a, const struct fifo *f)
{
    return (arena_page_size(a) - (uint32_t)sizeof(struct run)) / f->size;
}

static inline ref_t place(const struct fifo *f, ref_t page, uint32_t i)
{
    return page + (ref_t)(sizeof(struct run) / GRAIN) + i * (f->size / GRAIN);
}

static inline uint32_t index_of(const struct arena *a, const struct fifo *f, ref_t r)
{
    return (r - place(f, page_of(a, r), 0)) / (f->size / GRAIN);
}

static inline bool lives(const struct arena *a, ref_t r)
{
    uint32_t word;
    memcpy(&word, at_const(a, r), sizeof word);
    return word != 0;
}

void fifo_init(struct fifo *f, uint32_t number, uint32_t size)
{
    ASSERT(size >= GRAIN && size % GRAIN == 0 && PAGE_POOL0 + number <= UINT8_MAX);
    *f = (struct fifo){.size = size, .number = number};
}

static bool grow(struct arena *a, struct fifo *f, enum mem_prio prio)
{
    ref_t page = arena_page(a, (enum page_kind)(PAGE_POOL0 + f->number), prio);
    if (page == 0)
        return false;
    *run_at(a, page) = (struct run){0};
    list_append(a, &f->chain, page, CHAIN);
    f->pages++;
    return true;
}

ref_t fifo_append(struct arena *a, struct fifo *f, bool turn, enum mem_prio prio)
{
    bool full = f->chain.tail == 0 || turn || run_at(a, f->chain.tail)->used == per_page(a, f);
    if (full ? !grow(a, f, prio) : arena_fails(a))
        return 0;
    struct run *run = run_at(a, f->chain.tail);
    ref_t r = place(f, f->chain.tail, run->used++);
    run->live++;
    f->live++;
    memset(at(a, r), 0, f->size);
    return r;
}

static void give_back(struct arena *a, struct fifo *f, ref_t page)
{
    list_remove(a, &f->chain, page, CHAIN);
    f->pages--;
    arena_page_free(a, page);
}

void fifo_remove(struct arena *a, struct fifo *f, ref_t r)
{
    ref_t page = page_of(a, r);
    struct run *run = run_at(a, page);
    ASSERT(arena_kind(a, r) == (enum page_kind)(PAGE_POOL0 + f->number) && lives(a, r));
    memset(at(a, r), 0, sizeof(uint32_t));
    f->live--;
    if (--run->live == 0) {
        give_back(a, f, page);
        return;
    }
    while (!lives(a, place(f, page, run->first)))
        run->first++;
}

ref_t fifo_front(const struct arena *a, const struct fifo *f)
{
    ref_t page = f->chain.head;
    return page == 0 ? 0 : place(f, page, run_const(a, page)->first);
}

/* The place behind r in the chain, live or not; 0 = none. */
static ref_t behind(const struct arena *a, const struct fifo *f, ref_t r)
{
    ref_t page = page_of(a, r);
    uint32_t i = index_of(a, f, r) + 1;
    if (i < run_const(a, page)->used)
        return place(f, page, i);
    page = run_const(a, page)->chain.next;
    return page == 0 ? 0 : place(f, page, run_const(a, page)->first);
}

ref_t fifo_behind(const struct arena *a, const struct fifo *f, ref_t r, uint32_t n)
{
    ref_t page = page_of(a, r);
    uint32_t i = index_of(a, f, r) + n;
    return i < run_const(a, page)->used && lives(a, place(f, page, i)) ? place(f, page, i) : 0;
}

bool fifo_next(const struct arena *a, const struct fifo *f, ref_t *r)
{
    if (*r == 0) {
        *r = fifo_front(a, f);
        return *r != 0;
    }
    if (arena_kind(a, *r) != (enum page_kind)(PAGE_POOL0 + f->number))
        *r = 0; /* the page has gone since: the walk ends */
    while (*r != 0 && (*r = behind(a, f, *r)) != 0 && !lives(a, *r))
        continue;
    return *r != 0;
}

ref_t fifo_in_page(const struct arena *a, const struct fifo *f, ref_t page, ref_t r)
{
    const struct run *run = run_const(a, page);
    uint32_t i = r == 0 ? run->first : index_of(a, f, r) + 1;
    while (i < run->used && !lives(a, place(f, page, i)))
        i++;
    return i < run->used ? place(f, page, i) : 0;
}

uint64_t *fifo_note(struct arena *a, ref_t r) { return &run_at(a, page_of(a, r))->note; }

uint64_t fifo_room(const struct arena *a, const struct fifo *f)
{
    return (uint64_t)f->pages * per_page(a, f);
}
