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
#include "base/arena.h"

#define MAX_SIZE ((uint64_t)1 << 36) /* what 32-bit references in grains reach */
#define LINE     64u                 /* the fixed part begins on a cache line */
#define MAP_AT   ((sizeof(struct arena) + GRAIN - 1) / GRAIN * GRAIN)

static inline uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

static uint64_t map_end(uint64_t size, uint32_t page_size)
{
    return round_up(MAP_AT + min_u64(size, MAX_SIZE) / page_size, LINE);
}

size_t arena_fixed_size(uint64_t size, uint32_t page_size, size_t fixed)
{
    return (size_t)round_up(map_end(size, page_size) + fixed, page_size);
}

static inline uint8_t *map_of(const struct arena *a) { return (uint8_t *)(uintptr_t)at_const(a, a->map); }

static inline ref_t page_ref(const struct arena *a, uint32_t number) { return number << (a->page_shift - 4); }

static inline uint32_t *free_link(struct arena *a, uint32_t number) { return at(a, page_ref(a, number)); }

bool arena_init(struct arena *a, uint64_t size, uint64_t budget, uint32_t page_size, size_t fixed,
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
    memset(map_of(a), PAGE_FIXED, (size_t)first);
    *fixed_at = (uint8_t *)a + map_end(usable, page_size);
    memset(*fixed_at, 0, fixed);
    return true;
}

bool arena_promise(struct arena *a)
{
    if (arena_room(a, MEM_DATA) == 0)
        return false;
    a->promised++;
    return true;
}

void arena_redeem(struct arena *a)
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

ref_t arena_page_more(struct arena *a, enum page_kind kind, enum mem_prio prio)
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
    map_of(a)[number] = (uint8_t)kind;
    a->chunks += kind == PAGE_CHUNK;
    return page_ref(a, number);
}

/* The first of n neighbouring free pages; 0 = there is no such run. */
static uint32_t find_run(const struct arena *a, uint32_t n)
{
    const uint8_t *map = map_of(a);
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

ref_t arena_pages(struct arena *a, uint32_t n, enum mem_prio prio)
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
    memset(map_of(a) + first, PAGE_TABLE, n);
    memset(at(a, page_ref(a, first)), 0, (size_t)n << a->page_shift);
    return page_ref(a, first);
}

/* From the highest down, so that the lowest is the first to be used again. */
void arena_pages_free(struct arena *a, ref_t first, uint32_t n)
{
    for (uint32_t i = n; i > 0; i--)
        arena_page_free(a, first + ((i - 1) << (a->page_shift - 4)));
}
