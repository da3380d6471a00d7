/* reasm.c - bytes that arrived above RCV.NXT: ranges, sorted, apart from each other (RFC 9293 SHLD-31, RFC
 * 2018).
 *
 *        nxt            ┌── range ──┐        ┌── range ──┐
 *   ──────┴─────────────┴───────────┴────────┴───────────┴──▶
 *
 * Only what is new is kept; where a segment overlaps bytes that are there, the earlier ones stay. When the
 * gap below a range is filled, its chunks move to the receive queue without a copy.
 */
#include "tcp/tcp.h"

#define PLACE offsetof(struct range, place)

static struct range *range_at(struct tern *t, ref_t r) { return r == 0 ? NULL : at(t->a, r); }
static seq_t range_start(const struct range *g) { return seq(g->q.pos); }
static seq_t range_end(const struct range *g) { return seq(g->q.pos + g->q.len); }

/* Each range takes a page at least, so their number is bounded by what the window promises. */
static uint32_t ranges_max(struct tern *t, const struct rcv *r)
{
    return max_u32(8, r->buffer >> t->a->page_shift);
}

/* A new range behind `prev` (NULL: first). */
static struct range *range_new(struct tern *t, struct rcv *r, struct range *prev, seq_t start)
{
    ref_t me = r->ooo_count < ranges_max(t, r) ? pool_get(t->a, &t->w->ranges, MEM_OOO) : 0;
    if (me == 0)
        return NULL;
    struct range *g = range_at(t, me);
    chunkq_init(&g->q, start.v);
    list_insert(t->a, &r->ooo, me, prev == NULL ? r->ooo.head : prev->place.next, PLACE);
    r->ooo_count++;
    return g;
}

static void range_free(struct tern *t, struct rcv *r, struct range *g)
{
    list_remove(t->a, &r->ooo, self(t, g), PLACE);
    chunkq_clear(t->a, &g->q);
    r->ooo_count--;
    pool_put(t->a, &t->w->ranges, self(t, g));
}

/* The last range that begins at or before `start`. Searched from the top: news is mostly at the end. */
static struct range *range_before(struct tern *t, struct rcv *r, seq_t start)
{
    struct range *g = range_at(t, r->ooo.tail);
    while (g != NULL && seq_gt(range_start(g), start))
        g = range_at(t, g->place.prev);
    return g;
}

bool reasm_has(struct tern *t, struct rcv *r, seq_t n)
{
    const struct range *g = range_before(t, r, n);
    return g != NULL && seq_gt(range_end(g), n);
}

static enum tern_cause append(struct tern *t, struct rcv *r, struct range *g, const uint8_t *data,
                              uint32_t len, struct keep *k)
{
    uint32_t got = recv_store(t, &g->q, k, data, len, MEM_OOO);
    r->ooo_bytes += got;
    g->stamp = ++r->stamp;
    return got == len ? TERN_CAUSE_NONE : TERN_C_OOO_LIMIT;
}

/* Two neighbours that touch become one: as new as the first, which has just grown. */
static void join_next(struct tern *t, struct rcv *r, struct range *g)
{
    struct range *n = range_at(t, g->place.next);
    if (n == NULL || !seq_eq(range_end(g), range_start(n)))
        return;
    chunkq_join(t->a, &g->q, &n->q);
    range_free(t, r, n);
}

/* Put a piece that overlaps nothing behind `prev`: grow it, or make a range. */
static enum tern_cause put_piece(struct tern *t, struct rcv *r, struct range **prev, seq_t start,
                             const uint8_t *data, uint32_t len, struct keep *k)
{
    struct range *g = *prev;
    if (g == NULL || !seq_eq(range_end(g), start)) {
        g = range_new(t, r, *prev, start);
        if (g == NULL)
            return TERN_C_OOO_LIMIT;
    }
    enum tern_cause cause = append(t, r, g, data, len, k);
    if (g->q.len == 0) {
        range_free(t, r, g);
        return TERN_C_OOO_LIMIT;
    }
    join_next(t, r, g);
    *prev = g;
    return cause;
}

enum tern_cause reasm_add(struct tern *t, struct rcv *r, seq_t start, const uint8_t *data, uint32_t len,
                          struct keep *k)
{
    struct range *g = range_before(t, r, start);
    while (len > 0) {
        if (g != NULL && seq_gt(range_end(g), start)) { /* these bytes are there */
            uint32_t skip = min_u32(len, seq_span(start, range_end(g)));
            start = seq_add(start, skip), data += skip, len -= skip;
            g->stamp = ++r->stamp;
            continue;
        }
        struct range *n = range_at(t, g == NULL ? r->ooo.head : g->place.next);
        uint32_t piece = n == NULL ? len : min_u32(len, seq_span(start, range_start(n)));
        ASSERT(piece > 0); /* the next range begins higher: neighbours that touch are one */
        enum tern_cause cause = put_piece(t, r, &g, start, data, piece, k);
        if (cause != TERN_CAUSE_NONE)
            return cause;
        start = seq_add(start, piece), data += piece, len -= piece;
    }
    return TERN_CAUSE_NONE;
}

/* Move to the queue what follows RCV.NXT without a gap now; drop what RCV.NXT has passed. */
uint32_t reasm_pull(struct tern *t, struct rcv *r)
{
    uint32_t moved = 0;
    while (r->ooo.head != 0) {
        struct range *g = range_at(t, r->ooo.head);
        if (seq_gt(range_start(g), r->nxt))
            break;
        uint32_t old = min_u32(g->q.len, seq_span(range_start(g), r->nxt));
        r->ooo_bytes -= g->q.len;
        if (old > 0)
            chunkq_drop_front(t->a, &g->q, old);
        moved += g->q.len;
        r->nxt = seq_add(r->nxt, g->q.len);
        if (g->q.len > 0)
            chunkq_join(t->a, &r->q, &g->q);
        range_free(t, r, g);
    }
    return moved;
}

void reasm_clear(struct tern *t, struct rcv *r)
{
    while (r->ooo.head != 0)
        range_free(t, r, range_at(t, r->ooo.head));
    r->ooo_bytes = 0;
    r->fin_ooo = false;
}

/* The block with the latest segment first (RFC2018-4-f), then the most recently reported ones (RFC2018-4-h),
 * as many as have room (RFC2018-4-g): runs of bytes that are held, and nothing else (RFC2018-3-a,
 * RFC2018-8-c). */
uint8_t reasm_sack(struct tern *t, const struct rcv *r, struct sack_block *out, uint8_t max)
{
    uint32_t stamps[MAX_SACK];
    uint8_t n = 0;
    for (struct range *g = range_at(t, r->ooo.head); g != NULL; g = range_at(t, g->place.next)) {
        uint8_t i = n < max ? n : (uint8_t)(max - 1);
        if (n == max && g->stamp < stamps[i])
            continue;
        while (i > 0 && stamps[i - 1] < g->stamp) {
            stamps[i] = stamps[i - 1];
            out[i] = out[i - 1];
            i--;
        }
        stamps[i] = g->stamp;
        out[i] = (struct sack_block){range_start(g), range_end(g)};
        n = n < max ? (uint8_t)(n + 1) : n;
    }
    return n;
}
