/* chunkq.c - a queue of bytes in pages and pieces.
 *
 *   page:   [ header, 32 bytes | consumed | used bytes ........ | room ]
 *                                         off                   off + used
 *   piece:  [ the same header, hold != 0 ] ──▶ bytes off .. off + used of what is held
 *
 * Chunks are linked both ways, so both ends can be trimmed. Every chunk knows the stream position of its
 * first byte; a search starts at the hint, or at the nearer end, and walks.
 *
 * A hint is a reference that its owner keeps from an earlier search, and nobody tells him when that chunk
 * goes. So a hint is believed only if it is a chunk of this very queue and its bytes lie inside it; a stale
 * hint costs a walk, never a wrong byte. (A chunk names its queue by the queue's place: a queue that is not
 * empty must not be moved.)
 *
 * A page that is to be shared is first turned into a hold and a piece where it stands; its bytes stay where
 * they are. What is small is copied instead, and so is what fills a last page that is less than half full:
 * however references and copies alternate, pages are half full on the average.
 *
 * Invariants: (1) chunks of a queue are contiguous: pos + used = the next one's pos; (2) none is empty; (3)
 * an empty queue has none; (4) len is the sum of used, chunks their number; (5) between calls bytes of a
 * queue do not move, unless a piece of foreign memory is replaced by its copy.
 */
#include "base/chunkq.h"

static inline struct chunk *chunk_at(struct arena *a, ref_t r) { return at(a, r); }

static inline uint8_t *page_bytes(struct chunk *c) { return (uint8_t *)c + sizeof(struct chunk); }

static inline const uint8_t *bytes_of(const struct arena *a, const struct regions *g, const struct chunk *c)
{
    if (LIKELY(c->hold == 0))
        return (const uint8_t *)c + sizeof(struct chunk) + c->off;
    return hold_bytes(a, g, at_const(a, c->hold)) + c->off;
}

static inline uint32_t capacity(const struct arena *a)
{
    return arena_page_size(a) - (uint32_t)sizeof(struct chunk);
}

/* What can still be appended to a chunk. */
static inline uint32_t room_behind(const struct arena *a, const struct chunk *c)
{
    return c->hold != 0 ? 0 : capacity(a) - c->off - c->used;
}

static inline uint32_t tail_room(struct arena *a, const struct chunkq *q)
{
    return q->list.tail != 0 ? room_behind(a, chunk_at(a, q->list.tail)) : 0;
}

void chunkq_init(struct chunkq *q, uint32_t pos) { *q = (struct chunkq){.pos = pos}; }

#define PLACE offsetof(struct chunk, place)

/* --- the list ------------------------------------------------------------------------------------- */

static void set_owner(struct arena *a, const struct chunkq *q, struct chunk *c)
{
    c->owner = ref_of(a, q);
    if (c->hold != 0)
        ((struct piece *)(void *)c)->owner_low = (uint32_t)((uintptr_t)q - (uintptr_t)at(a, c->owner));
}

/* Into the list before `where` (0: at the end). */
static void put_before(struct arena *a, struct chunkq *q, ref_t r, ref_t where)
{
    if (q->list.head == 0) {
        q->list = (struct list){r, r};
        chunk_at(a, r)->place = (struct place){0};
    } else {
        list_insert(a, &q->list, r, where, PLACE);
    }
    set_owner(a, q, chunk_at(a, r));
    q->chunks++;
}

static void take_out(struct arena *a, struct chunkq *q, ref_t r)
{
    list_remove(a, &q->list, r, PLACE);
    q->chunks--;
}

/* At the end, with the bytes that it has. */
static void put_last(struct arena *a, struct chunkq *q, ref_t r)
{
    struct chunk *c = chunk_at(a, r);
    c->pos = q->pos + q->len;
    put_before(a, q, r, 0);
    q->len += c->used;
}

static void drop_chunk(struct arena *a, struct chunkq *q, ref_t r)
{
    take_out(a, q, r);
    if (chunk_at(a, r)->hold != 0)
        piece_free(a, r);
    else
        arena_page_free(a, r);
}

/* A new page before `where`, still empty. NULL: refused. */
static struct chunk *new_page(struct arena *a, struct chunkq *q, ref_t where, uint32_t pos,
                              enum mem_prio prio)
{
    ref_t r = arena_page(a, PAGE_CHUNK, prio);
    if (r == 0)
        return NULL;
    struct chunk *c = chunk_at(a, r);
    *c = (struct chunk){.pos = pos};
    put_before(a, q, r, where);
    return c;
}

/* --- bytes come in -------------------------------------------------------------------------------- */

/* Copy as much as there is room for behind the bytes of a page. */
static inline uint32_t fill(struct arena *a, struct chunk *c, const uint8_t *from, uint32_t n)
{
    uint32_t part = min_u32(n, room_behind(a, c));
    memcpy(page_bytes(c) + c->off + c->used, from, part);
    c->used += part;
    a->copied += part;
    return part;
}

/* The page that takes what comes next; NULL: refused. */
static inline struct chunk *page_with_room(struct arena *a, struct chunkq *q, enum mem_prio prio)
{
    struct chunk *c = q->list.tail != 0 ? chunk_at(a, q->list.tail) : NULL;
    return c != NULL && room_behind(a, c) > 0 ? c : new_page(a, q, 0, q->pos + q->len, prio);
}

/* An empty queue begins with a page that n bytes fit into. */
static inline struct chunk *first_page(struct arena *a, struct chunkq *q, uint32_t n, enum mem_prio prio)
{
    ref_t r = arena_page(a, PAGE_CHUNK, prio);
    if (UNLIKELY(r == 0))
        return NULL;
    struct chunk *c = chunk_at(a, r);
    *c = (struct chunk){.owner = ref_of(a, q), .pos = q->pos, .used = n};
    q->list = (struct list){r, r};
    q->chunks = 1;
    q->len = n;
    a->copied += n;
    return c;
}

static inline bool begins(const struct arena *a, const struct chunkq *q, uint32_t n)
{
    return q->list.head == 0 && n - 1 < capacity(a);
}

uint32_t chunkq_append(struct arena *a, struct chunkq *q, const void *data, uint32_t n, enum mem_prio prio)
{
    if (LIKELY(begins(a, q, n))) {
        struct chunk *first = first_page(a, q, n, prio);
        if (first == NULL)
            return 0;
        memcpy(page_bytes(first), data, n);
        return n;
    }
    const uint8_t *from = data;
    struct chunk *c;
    uint32_t done = 0;
    ASSERT(n <= UINT32_MAX - q->len);
    while (done < n && (c = page_with_room(a, q, prio)) != NULL) {
        uint32_t part = fill(a, c, from + done, n - done);
        q->len += part;
        done += part;
    }
    return done;
}

uint32_t chunkq_append_summed(struct arena *a, struct chunkq *q, const void *data, uint32_t n,
                              enum mem_prio prio, tern_sum_fn *fn, uint64_t *sum)
{
    const uint8_t *from = data;
    struct chunk *c;
    uint32_t done = 0;
    *sum = 0;
    if (begins(a, q, n)) {
        if ((c = first_page(a, q, n, prio)) == NULL)
            return 0;
        *sum = fn(page_bytes(c), from, n);
        return n;
    }
    ASSERT(n <= UINT32_MAX - q->len);
    while (done < n && (c = page_with_room(a, q, prio)) != NULL) {
        uint32_t part = min_u32(n - done, room_behind(a, c));
        uint64_t words = fn(page_bytes(c) + c->off + c->used, from + done, part);
        *sum += words << (done & 1 ? 8 : 0); /* RFC 1071 2 B */
        c->used += part;
        q->len += part;
        done += part;
    }
    a->copied += done;
    return done;
}

uint32_t chunkq_gap(struct arena *a, const struct chunkq *q)
{
    uint32_t room = tail_room(a, q);
    return room > capacity(a) / 2 ? room - capacity(a) / 2 : 0;
}

bool chunkq_refer(struct arena *a, struct chunkq *q, ref_t hold, uint32_t off, uint32_t n,
                  enum mem_prio prio)
{
    ASSERT(n > 0 && n <= UINT32_MAX - q->len);
    struct chunk *c = q->list.tail != 0 ? chunk_at(a, q->list.tail) : NULL;
    if (c != NULL && c->hold == hold && c->off + c->used == off) { /* what follows the last piece */
        c->used += n;
        q->len += n;
        return true;
    }
    ref_t piece = piece_new(a, hold, off, n, prio);
    if (piece == 0)
        return false;
    put_last(a, q, piece);
    return true;
}

bool chunkq_own(struct arena *a, struct chunkq *q, ref_t piece, const uint8_t *bytes, enum mem_prio prio)
{
    struct chunk *p = chunk_at(a, piece);
    while (p->used > 0) {
        struct chunk *c = p->place.prev != 0 ? chunk_at(a, p->place.prev) : NULL;
        if (c == NULL || room_behind(a, c) == 0)
            c = new_page(a, q, piece, p->pos, prio);
        if (c == NULL)
            return false;
        uint32_t part = fill(a, c, bytes, p->used);
        bytes += part;
        p->pos += part;
        p->off += part;
        p->used -= part;
    }
    drop_chunk(a, q, piece);
    return true;
}

/* --- bytes go -------------------------------------------------------------------------------------- */

void chunkq_drop_front(struct arena *a, struct chunkq *q, uint32_t n)
{
    ASSERT(n <= q->len);
    if (LIKELY(n == q->len && q->chunks == 1 && chunk_at(a, q->list.head)->hold == 0)) {
        ref_t page = q->list.head;
        *q = (struct chunkq){.pos = q->pos + n};
        arena_page_free(a, page);
        return;
    }
    q->pos += n;
    q->len -= n;
    while (n > 0) {
        struct chunk *c = chunk_at(a, q->list.head);
        if (c->used > n) {
            c->pos += n;
            c->off += n;
            c->used -= n;
            return;
        }
        n -= c->used;
        drop_chunk(a, q, q->list.head);
    }
}

void chunkq_drop_back(struct arena *a, struct chunkq *q, uint32_t n)
{
    ASSERT(n <= q->len);
    q->len -= n;
    while (n > 0) {
        struct chunk *c = chunk_at(a, q->list.tail);
        if (c->used > n) {
            c->used -= n;
            return;
        }
        n -= c->used;
        drop_chunk(a, q, q->list.tail);
    }
}

/* --- where a position is --------------------------------------------------------------------------- */

/* Whether a chunk is there now: a page, or a live piece. */
static bool is_chunk(const struct arena *a, ref_t r)
{
    if (arena_kind(a, r) == PAGE_CHUNK)
        return r % (arena_page_size(a) / GRAIN) == 0;
    if (a->lent == 0)
        return false;
    const struct lent *l = at_const(a, a->lent);
    return pool_valid(a, &l->pieces, r, pool_gen(a, r));
}

/* Whether a hint of any age is a chunk of this queue. */
static bool hint_good(const struct arena *a, const struct chunkq *q, ref_t hint)
{
    if (hint == 0 || !is_chunk(a, hint))
        return false;
    const struct chunk *c = at_const(a, hint);
    return c->owner == ref_of(a, q) && c->pos - q->pos < q->len;
}

/* The chunk that holds position pos, which must be inside the queue. */
static ref_t find(struct arena *a, const struct chunkq *q, uint32_t pos, ref_t hint)
{
    uint32_t offset = pos - q->pos;
    if (q->chunks == 1)
        return q->list.head;
    ref_t r = offset > q->len / 2 ? q->list.tail : q->list.head;
    if (hint_good(a, q, hint))
        r = hint;
    while (chunk_at(a, r)->pos - q->pos > offset)
        r = chunk_at(a, r)->place.prev;
    while (pos - chunk_at(a, r)->pos >= chunk_at(a, r)->used)
        r = chunk_at(a, r)->place.next;
    return r;
}

/* --- from queue to queue -------------------------------------------------------------------------- */

/* A page becomes a piece of a hold, in the same place of its queue. 0 = refused. */
static ref_t to_piece(struct arena *a, struct chunkq *q, ref_t page, enum mem_prio prio)
{
    struct chunk *c = chunk_at(a, page);
    ref_t hold = hold_new(a, &(struct hold){.kind = HOLD_PAGE, .page = page}, prio);
    ref_t piece = hold == 0 ? 0 : piece_new(a, hold, (uint32_t)sizeof *c + c->off, c->used, prio);
    if (piece == 0) {
        if (hold != 0)
            hold_forget(a, hold);
        return 0;
    }
    chunk_at(a, piece)->pos = c->pos;
    put_before(a, q, piece, page);
    take_out(a, q, page);
    c->owner = 0; /* a hint that still leads here must not be believed */
    return piece;
}

/* A part of a chunk of `from` goes to the end of q as well. False: memory was refused. */
static bool share_part(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                       ref_t *r, uint32_t skip, uint32_t n, enum mem_prio prio)
{
    if (n < REFER_MIN)
        return chunkq_append(a, q, bytes_of(a, g, chunk_at(a, *r)) + skip, n, prio) == n;
    if (chunk_at(a, *r)->hold == 0) {
        ref_t piece = to_piece(a, from, *r, prio);
        if (piece == 0)
            return false;
        *r = piece;
    }
    const struct chunk *c = chunk_at(a, *r);
    return chunkq_refer(a, q, c->hold, c->off + skip, n, prio);
}

/* What fills the last page of q, when that is nearly empty, is copied. Returns the bytes. */
static uint32_t fill_gap(struct arena *a, const struct regions *g, struct chunkq *q, const struct chunk *c,
                         uint32_t skip, uint32_t n)
{
    uint32_t part = min_u32(n, chunkq_gap(a, q));
    if (part > 0)
        q->len += fill(a, chunk_at(a, q->list.tail), bytes_of(a, g, c) + skip, part);
    return part;
}

uint32_t chunkq_move(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                     uint32_t n, enum mem_prio prio)
{
    uint32_t moved = 0;
    ASSERT(n <= from->len && n <= UINT32_MAX - q->len);
    while (moved < n) {
        ref_t r = from->list.head;
        struct chunk *c = chunk_at(a, r);
        uint32_t part = min_u32(n - moved, c->used), copied = fill_gap(a, g, q, c, 0, part);
        if (copied > 0) {
            part = copied;
            chunkq_drop_front(a, from, part);
        } else if (part == c->used) {
            from->pos += part;
            from->len -= part;
            take_out(a, from, r);
            put_last(a, q, r);
        } else {
            uint32_t before = q->len;
            bool whole = share_part(a, g, q, from, &r, 0, part, prio);
            part = q->len - before;
            chunkq_drop_front(a, from, part);
            if (!whole)
                return moved + part;
        }
        moved += part;
    }
    return moved;
}

uint32_t chunkq_share(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                      uint32_t pos, uint32_t n, enum mem_prio prio)
{
    uint32_t start = q->len, left = n;
    ASSERT(q != from && pos - from->pos <= from->len && n <= from->len - (pos - from->pos));
    ref_t r = n > 0 ? find(a, from, pos, 0) : 0;
    for (bool whole = true; left > 0 && whole; left = n - (q->len - start)) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t at_pos = pos + (q->len - start), skip = at_pos - c->pos,
                 part = min_u32(left, c->used - skip);
        if (fill_gap(a, g, q, c, skip, part) == 0)
            whole = share_part(a, g, q, from, &r, skip, part, prio);
        c = chunk_at(a, r); /* it may be a piece now */
        if (pos + (q->len - start) - c->pos == c->used)
            r = c->place.next;
    }
    return q->len - start;
}

/* The only chunk of a small queue is copied if it fits, so that pages do not stay nearly empty. */
static bool join_by_copy(struct arena *a, struct chunkq *q, struct chunkq *from)
{
    struct chunk *c = chunk_at(a, from->list.head);
    if (from->chunks != 1 || c->hold != 0 || from->len > tail_room(a, q))
        return false;
    q->len += fill(a, chunk_at(a, q->list.tail), page_bytes(c) + c->off, c->used);
    chunkq_clear(a, from);
    return true;
}

void chunkq_join(struct arena *a, struct chunkq *q, struct chunkq *from)
{
    ASSERT(from->pos == q->pos + q->len && from->len <= UINT32_MAX - q->len);
    uint32_t end = from->pos + from->len;
    if (from->len > 0 && !join_by_copy(a, q, from)) {
        for (ref_t r = from->list.head; r != 0; r = chunk_at(a, r)->place.next)
            set_owner(a, q, chunk_at(a, r));
        list_join(a, &q->list, &from->list, PLACE);
        q->len += from->len;
        q->chunks += from->chunks;
    }
    chunkq_init(from, end);
}

/* --- bytes are looked at ---------------------------------------------------------------------------- */

void chunkq_copy(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, void *out,
                 uint32_t n)
{
    ASSERT(pos - q->pos <= q->len && n <= q->len - (pos - q->pos));
    uint8_t *to = out;
    a->copied += n;
    for (ref_t r = n > 0 ? find(a, q, pos, 0) : 0; n > 0; r = chunk_at(a, r)->place.next) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t skip = pos - c->pos, part = min_u32(n, c->used - skip);
        memcpy(to, bytes_of(a, g, c) + skip, part);
        to += part;
        pos += part;
        n -= part;
    }
}

int chunkq_slices(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, uint32_t n,
                  ref_t *hint, tern_slice *out, int max, uint32_t *got)
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
    for (; count < max && *got < left; r = chunk_at(a, r)->place.next) {
        const struct chunk *c = chunk_at(a, r);
        uint32_t skip = pos + *got - c->pos, part = min_u32(left - *got, c->used - skip);
        out[count++] = (tern_slice){bytes_of(a, g, c) + skip, part};
        *got += part;
    }
    return count;
}
