/* chunkq.h - a queue of bytes: send buffer, receive queue, out-of-order range.
 *
 * It is a list of chunks. A chunk is a page of this queue alone, a small header and then bytes; or a piece,
 * which refers to bytes that lie elsewhere: in a page that several queues share, in memory that the program
 * lent, in a link's receive buffer (lent.h). Chunks know their position in the stream (32 bits, modulo 2^32;
 * the owner uses sequence numbers), so that a reference to a chunk is a hint that makes finding a position
 * constant time.
 *
 *   head ─▶ [hdr|....bytes....] ─▶ [hdr|bytes bytes bytes] ─▶ (piece) ─▶ [hdr|bytes..      ] ◀─ tail
 *                ^ pos                                                              ^ pos + len
 */
#ifndef BASE_CHUNKQ_H
#define BASE_CHUNKQ_H

#include "lent.h"
#include <tern/link.h>

/* Fewer bytes than these are copied rather than referred to: the records would cost as much, and what they
 * refer to would stay for the sake of a few bytes. */
#define REFER_MIN 512u

struct chunkq {
    struct list list;
    uint32_t pos;    /* stream position of the first byte */
    uint32_t len;    /* bytes */
    uint32_t chunks; /* in the list */
};

/* An empty queue whose first byte will have position pos. */
void chunkq_init(struct chunkq *q, uint32_t pos);

/* Copy bytes to the end. Returns how many fitted (fewer than n: memory refused). */
uint32_t chunkq_append(struct arena *a, struct chunkq *q, const void *data, uint32_t n, enum mem_prio prio);

/* The same by a function that also sums; *sum = that of all bytes that fitted. */
uint32_t chunkq_append_summed(struct arena *a, struct chunkq *q, const void *data, uint32_t n,
                              enum mem_prio prio, tern_sum_fn *fn, uint64_t *sum);

/* What fits behind the last byte without a new page, and where it would lie. The bytes that the caller puts
 * there (and those behind them that it leaves) are the queue's with chunkq_placed. */
static inline uint32_t chunkq_room(struct arena *a, const struct chunkq *q)
{
    const struct chunk *c = at(a, q->list.tail);
    if (q->list.tail == 0 || c->hold != 0)
        return 0;
    return arena_page_size(a) - (uint32_t)sizeof *c - c->off - c->used;
}
static inline uint8_t *chunkq_end(struct arena *a, const struct chunkq *q)
{
    struct chunk *c = at(a, q->list.tail);
    return (uint8_t *)c + sizeof *c + c->off + c->used;
}
static inline void chunkq_placed(struct arena *a, struct chunkq *q, uint32_t n)
{
    ((struct chunk *)at(a, q->list.tail))->used += n;
    q->len += n;
    a->copied += n;
}

/* All bytes of a queue that is not empty, when they lie in one page of its own; NULL = they do not. */
static inline const uint8_t *chunkq_whole(const struct arena *a, const struct chunkq *q)
{
    const struct chunk *c = at_const(a, q->list.head);
    return q->chunks == 1 && c->hold == 0 ? (const uint8_t *)c + sizeof *c + c->off : NULL;
}

/* Refer to n bytes of a hold, from its byte `off` on, at the end. False: memory refused. */
bool chunkq_refer(struct arena *a, struct chunkq *q, ref_t hold, uint32_t off, uint32_t n,
                  enum mem_prio prio);

/* Bytes that are better copied before a reference is put behind them: what the last page lacks to be half
 * full. */
uint32_t chunkq_gap(struct arena *a, const struct chunkq *q);

/* Move all of `from` to the end of `q`; from->pos must be q's end. `from` is empty afterwards. */
void chunkq_join(struct arena *a, struct chunkq *q, struct chunkq *from);

/* Move the first n bytes of `from` (n <= its length) to the end of `q`, whatever their positions, without
 * copying them (but for less than REFER_MIN, and what fills a page that is nearly empty). Returns how many
 * were moved: fewer than n when memory was refused. */
uint32_t chunkq_move(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                     uint32_t n, enum mem_prio prio);

/* The same for n bytes of `from` from position pos on, which stay there too: both refer to them. */
uint32_t chunkq_share(struct arena *a, const struct regions *g, struct chunkq *q, struct chunkq *from,
                      uint32_t pos, uint32_t n, enum mem_prio prio);

/* Put a copy of a piece's bytes in its place: `bytes` are copied into pages of the queue, the piece goes.
 * False: memory was refused; what was copied until then stays. */
bool chunkq_own(struct arena *a, struct chunkq *q, ref_t piece, const uint8_t *bytes, enum mem_prio prio);

/* Drop n bytes at the front, or at the end. n <= len. */
void chunkq_drop_front(struct arena *a, struct chunkq *q, uint32_t n);
void chunkq_drop_back(struct arena *a, struct chunkq *q, uint32_t n);
static inline void chunkq_clear(struct arena *a, struct chunkq *q)
{
    if (q->len > 0)
        chunkq_drop_front(a, q, q->len);
}

/* Copy out n bytes from position pos; must be inside. `g`: where foreign bytes are; NULL for a queue that
 * never referred to any. */
void chunkq_copy(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, void *out,
                 uint32_t n);

/* Slices for up to n bytes from position pos on (inside the queue), at most max slices. `hint` (may be NULL,
 * may hold 0, may be stale): where an earlier search of this queue ended; set to the chunk that holds pos.
 * Returns the number of slices; *got = their bytes. */
int chunkq_slices(struct arena *a, const struct regions *g, const struct chunkq *q, uint32_t pos, uint32_t n,
                  ref_t *hint, tern_slice *out, int max, uint32_t *got);

#endif
