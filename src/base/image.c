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
#include "base/image.h"

#define WORD 8u

static const uint8_t *map_of(const struct arena *a) { return at_const(a, a->map); }

static uint64_t page_bytes(const struct arena *a) { return (uint64_t)1 << a->page_shift; }

/* Bytes that the image keeps of page `number`. */
static uint64_t kept(const struct arena *a, const uint8_t *map, uint32_t number)
{
    return map[number] == PAGE_FREE ? GRAIN : page_bytes(a);
}

/* Header and map, up to the high-water mark. */
static uint64_t front(const struct arena *a) { return (uint64_t)a->map * GRAIN + a->pages_used; }

uint64_t image_front(const struct arena *a) { return front(a); }

uint64_t image_kept(const struct arena *a, uint32_t number)
{
    const uint8_t *map = map_of(a);
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
    return front(a) + fixed + n_free * (uint64_t)GRAIN + whole * page_bytes(a);
}

uint64_t image_size(const struct arena *a, size_t fixed) { return size_of(a, map_of(a), fixed); }

static uint8_t *put(uint8_t *out, const void *from, uint64_t n)
{
    memcpy(out, from, (size_t)n);
    return out + n;
}

uint8_t *image_save(const struct arena *a, const void *fixed_at, size_t fixed, uint8_t *out)
{
    const uint8_t *map = map_of(a), *base = (const uint8_t *)a;
    out = put(out, a, front(a));
    out = put(out, fixed_at, fixed);
    for (uint32_t i = first_page(a, map); i < a->pages_used; i++)
        out = put(out, base + i * page_bytes(a), kept(a, map, i));
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

uint64_t image_budget(const uint8_t *in)
{
    struct arena a = header_of(in);
    return budget_of(&a);
}

bool image_sound(const uint8_t *in, uint64_t len, uint64_t fixed_offset, size_t fixed)
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

void image_load(struct arena *a, const uint8_t *in, uint64_t fixed_offset, size_t fixed)
{
    struct arena head = header_of(in);
    uint8_t *base = (uint8_t *)a;
    memcpy(base, in, (size_t)front(&head));
    in += front(&head);
    memcpy(base + fixed_offset, in, fixed);
    in += fixed;
    const uint8_t *map = map_of(a);
    for (uint32_t i = first_page(a, map); i < a->pages_used; i++) {
        memcpy(base + i * page_bytes(a), in, (size_t)kept(a, map, i));
        in += kept(a, map, i);
    }
}

void image_copy(struct arena *to, const struct arena *from, const void *fixed_at, size_t fixed)
{
    const uint8_t *map = map_of(from), *src = (const uint8_t *)from;
    uint8_t *dst = (uint8_t *)to;
    memcpy(dst, src, (size_t)front(from));
    memcpy(dst + ((const uint8_t *)fixed_at - src), fixed_at, fixed);
    for (uint32_t i = first_page(from, map); i < from->pages_used; i++) {
        uint64_t at = i * page_bytes(from);
        memcpy(dst + at, src + at, (size_t)kept(from, map, i));
    }
}

/* The free list has just the free pages, each once. */
static bool free_list_sound(const struct arena *a)
{
    const uint8_t *map = map_of(a);
    uint32_t n = 0, number = a->free_head;
    for (; number != 0 && n < a->free_count; n++) {
        if (number >= a->pages_used || map[number] != PAGE_FREE)
            return false;
        number = *(const uint32_t *)at_const(a, number << (a->page_shift - 4));
    }
    return number == 0 && n == a->free_count;
}

bool image_arena_sound(const struct arena *a, uint32_t kinds)
{
    const uint8_t *map = map_of(a);
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

static inline uint64_t step(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * 0x9e3779b97f4a7c15u;
    return lane ^ lane >> 32;
}

uint64_t image_sum(const void *data, uint64_t n)
{
    const uint8_t *p = data;
    uint64_t lane[LANES] = {1, 2, 3, 4}, left = n, sum = n;
    uint8_t rest[LANES * WORD] = {0};
    for (; left >= sizeof rest; left -= sizeof rest, p += sizeof rest)
        for (uint32_t i = 0; i < LANES; i++)
            lane[i] = step(lane[i], word_at(p + i * WORD));
    memcpy(rest, p, (size_t)left);
    for (uint32_t i = 0; i < LANES; i++)
        sum = step(sum, step(lane[i], word_at(rest + i * WORD)));
    return sum;
}
