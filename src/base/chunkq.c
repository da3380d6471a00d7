/* chunkq.c - a queue of bytes in pages.
 *
 *   chunk (a page):  [ header, 32 bytes | consumed | used bytes ........ | room ]
 *                                       0          off                   off + used
 *
 * Chunks are linked both ways, so both ends can be trimmed. Every chunk knows the stream position of its
 * first byte; a search starts at the hint, or at the nearer end, and walks.
 *
 * A hint is a reference that its owner keeps from an earlier search, and nobody tells him when that chunk
 * goes. So a hint is believed only if the page is a chunk of this very queue and its bytes lie inside it; a
 * stale hint costs a walk, never a wrong byte. (A chunk names its queue by the queue's place: a queue with
 * hints must not be moved.)
 *
 * Invariants: (1) chunks of a queue are contiguous: pos + used = the next one's pos; (2) none is empty; (3)
 * an empty queue has none; (4) len is the sum of used, chunks their number; (5) bytes that were appended
 * never move within a queue.
 */
#include "base/chunkq.h"

struct chunk {
    ref_t next, prev;
    ref_t owner;   /* place of the queue, in grains */
    uint32_t pos;  /* stream position of the first used byte */
    uint32_t off;  /* place of the first used byte behind the header */
    uint32_t used; /* bytes, > 0 */
    uint32_t reserved[2];
    uint8_t bytes[];
};
_Static_assert(sizeof(struct chunk) == 32, "header of a chunk");

static inline struct chunk *chunk_at(struct arena *a, ref_t r) { return at(a, r); }

static inline uint32_t capacity(const struct arena *a)
{
    return arena_page_size(a) - (uint32_t)sizeof(struct chunk);
}

static inline uint32_t room_behind(const struct arena *a, const struct chunk *c)
{
    return capacity(a) - c->off - c->used;
}

void chunkq_init(struct chunkq *q, uint32_t pos) { *q = (struct chunkq){.pos = pos}; }

/* A new last chunk, still empty. NULL: refused. */
static struct chunk *extend(struct arena *a, struct chunkq *q, enum mem_prio prio)
{
    ref_t r = arena_page(a, PAGE_CHUNK, prio);
    if (r == 0)
        return NULL;
    struct chunk *c = chunk_at(a, r);
    *c = (struct chunk){.prev = q->tail, .owner = ref_of(a, q), .pos = q->pos + q->len};
    if (q->tail != 0)
        chunk_at(a, q->tail)->next = r;
    else
        q->head = r;
    q->tail = r;
    q->chunks++;
    return c;
}

uint32_t chunkq_append(struct arena *a, struct chunkq *q, const void *data, uint32_t n, enum mem_prio prio)
{
    const uint8_t *from = data;
    uint32_t left = n;
    ASSERT(n <= UINT32_MAX - q->len);
    while (left > 0) {
        struct chunk *c = q->tail != 0 ? chunk_at(a, q->tail) : NULL;
        if (c == NULL || room_behind(a, c) == 0)
            c = extend(a, q, prio);
        if (c == NULL)
            break;
        uint32_t part = min_u32(left, room_behind(a, c));
        memcpy(c->bytes + c->off + c->used, from, part);
        c->used += part;
        q->len += part;
        from += part;
        left -= part;
    }
    return n - left;
}

/* The only chunk of a small queue is copied if it fits, so that pages do not stay nearly empty. */
static bool join_by_copy(struct arena *a, struct chunkq *q, struct chunkq *from)
{
    if (q->tail == 0 || from->chunks != 1 || from->len > room_behind(a, chunk_at(a, q->tail)))
        return false;
    struct chunk *to = chunk_at(a, q->tail), *c = chunk_at(a, from->head);
    memcpy(to->bytes + to->off + to->used, c->bytes + c->off, c->used);
    to->used += c->used;
    q->len += c->used;
    chunkq_clear(a, from);
    return true;
}

void chunkq_join(struct arena *a, struct chunkq *q, struct chunkq *from)
{
    ASSERT(from->pos == q->pos + q->len && from->len <= UINT32_MAX - q->len);
    uint32_t end = from->pos + from->len;
    if (from->len > 0 && !join_by_copy(a, q, from)) {
        for (ref_t r = from->head; r != 0; r = chunk_at(a, r)->next)
            chunk_at(a, r)->owner = ref_of(a, q);
        chunk_at(a, from->head)->prev = q->tail;
        if (q->tail != 0)
            chunk_at(a, q->tail)->next = from->head;
        else
            q->head = from->head;
        q->tail = from->tail;
        q->len += from->len;
        q->chunks += from->chunks;
    }
    chunkq_init(from, end);
}

static void free_head(struct arena *a, struct chunkq *q)
{
    ref_t r = q->head;
    q->head = chunk_at(a, r)->next;
    if (q->head != 0)
        chunk_at(a, q->head)->prev = 0;
    else
        q->tail = 0;
    q->chunks--;
    arena_page_free(a, r);
}

static void free_tail(struct arena *a, struct chunkq *q)
{
    ref_t r = q->tail;
    q->tail = chunk_at(a, r)->prev;
    if (q->tail != 0)
        chunk_at(a, q->tail)->next = 0;
    else
        q->head = 0;
    q->chunks--;
    arena_page_free(a, r);
}

void chunkq_drop_front(struct arena *a, struct chunkq *q, uint32_t n)
{
    ASSERT(n <= q->len);
    q->pos += n;
    q->len -= n;
    while (n > 0) {
        struct chunk *c = chunk_at(a, q->head);
        if (c->used > n) {
            c->pos += n;
            c->off += n;
            c->used -= n;
            return;
        }
        n -= c->used;
        free_head(a, q);
    }
}

void chunkq_drop_back(struct arena *a, struct chunkq *q, uint32_t n)
{
    ASSERT(n <= q->len);
    q->len -= n;
    while (n > 0) {
        struct chunk *c = chunk_at(a, q->tail);
        if (c->used > n) {
            c->used -= n;
            return;
        }
        n -= c->used;
        free_tail(a, q);
    }
}

void chunkq_clear(struct arena *a, struct chunkq *q) { chunkq_drop_front(a, q, q->len); }

/* Whether a hint of any age is a chunk of this queue. */
static bool hint_good(const struct arena *a, const struct chunkq *q, ref_t hint)
{
    if (hint == 0 || arena_kind(a, hint) != PAGE_CHUNK || hint % (arena_page_size(a) / GRAIN) != 0)
        return false;
    const struct chunk *c = at_const(a, hint);
    return c->owner == ref_of(a, q) && c->pos - q->pos < q->len;
}

/* The chunk that holds position pos, which must be inside the queue. */
static ref_t find(struct arena *a, const struct chunkq *q, uint32_t pos, ref_t hint)
{
    uint32_t offset = pos - q->pos;
    ref_t r = offset > q->len / 2 ? q->tail : q->head;
    if (hint_good(a, q, hint))
        r = hint;
    while (chunk_at(a, r)->pos - q->pos > offset)
        r = chunk_at(a, r)->prev;
    while (pos - chunk_at(a, r)->pos >= chunk_at(a, r)->used)
        r = chunk_at(a, r)->next;
    return r;
}

void chunkq_copy(struct arena *a, const struct chunkq *q, uint32_t pos, void *out, uint32_t n)
{
    ASSERT(pos - q->pos <= q->len && n <= q->len - (pos - q->pos));
    uint8_t *to = out;
    for (ref_t r = n > 0 ? find(a, q, pos, 0) : 0; n > 0; r = chunk_at(a, r)->next) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t skip = pos - c->pos, part = min_u32(n, c->used - skip);
        memcpy(to, c->bytes + c->off + skip, part);
        to += part;
        pos += part;
        n -= part;
    }
}

int chunkq_slices(struct arena *a, const struct chunkq *q, uint32_t pos, uint32_t n, ref_t *hint,
                  tern_slice *out, int max, uint32_t *got)
{
    ASSERT(pos - q->pos <= q->len);
    uint32_t left = min_u32(n, q->len - (pos - q->pos));
    int count = 0;
    *got = 0;
    if (left == 0)
        return 0;
    ref_t r = find(a, q, pos, hint != NULL ? *hint : 0);
    if (hint != NULL)
        *hint = r;
    for (; count < max && *got < left; r = chunk_at(a, r)->next) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t skip = pos + *got - c->pos, part = min_u32(left - *got, c->used - skip);
        out[count++] = (tern_slice){c->bytes + c->off + skip, part};
        *got += part;
    }
    return count;
}
