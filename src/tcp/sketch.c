/* sketch.c - counts by key in a fixed size: what each source has, without a record for each.
 *
 * A count-min sketch (Cormode, Muthukrishnan 2005): each key has one cell in every row, chosen by a keyed
 * hash; its count is the least of them. Where keys share a cell the count is too high, never too low, and
 * nobody outside can choose keys that meet. A row's sum is the number of all that is counted now, so one key
 * is wrong by about that number divided by the columns: spoofed sources cannot fill it, since each of them
 * counts only as long as its half-open record is there (RFC 4987 3: the table is bounded).
 */
#include "tcp/tcp.h"

_Static_assert(SKETCH_ROWS <= 4 && SKETCH_COLUMNS <= 65536, "16 bits of the hash for each row");

/* A host of IPv4, a site's network of IPv6: what one sender has to choose from for nothing. */
uint64_t sketch_source(const struct tern *t, const tern_ip *ip)
{
    struct sipkey k = t->w->key_sketch;
    uint64_t x = tern_ip_is4(ip) ? get32(ip->b + 12) : (uint64_t)get32(ip->b) << 32 | get32(ip->b + 4);
    x = (x + k.k0) * (k.k1 | 1);
    x = (x ^ x >> 32) * (k.k0 | 1);
    return x ^ x >> 29;
}

static uint32_t column(uint64_t key, uint32_t row) { return (key >> (16 * row) & 0xffff) % SKETCH_COLUMNS; }

uint32_t sketch_count(const struct sketch *s, uint64_t key)
{
    uint32_t least = s->count[0][column(key, 0)];
    for (uint32_t row = 1; row < SKETCH_ROWS; row++)
        least = min_u32(least, s->count[row][column(key, row)]);
    return least;
}

void sketch_add(struct sketch *s, uint64_t key)
{
    for (uint32_t row = 0; row < SKETCH_ROWS; row++)
        s->count[row][column(key, row)]++;
}

/* Only what was added. */
void sketch_take(struct sketch *s, uint64_t key)
{
    for (uint32_t row = 0; row < SKETCH_ROWS; row++)
        s->count[row][column(key, row)]--;
}
