/* chunkq.h - a queue of bytes in pages: send buffer, receive queue, out-of-order range.
 *
 * Every chunk is one page: a small header, then bytes. Chunks know their position in the stream (32 bits,
 * modulo 2^32; the owner uses sequence numbers), so that a reference to a chunk is a hint that makes finding
 * a position constant time.
 *
 *   q.head ─▶ [hdr|....bytes....] ─▶ [hdr|bytes bytes bytes] ─▶ [hdr|bytes..      ] ◀─ q.tail
 *              ^ pos                                                    ^ pos + len
 */
#ifndef BASE_CHUNKQ_H
#define BASE_CHUNKQ_H

#include "arena.h"
#include <tern/link.h>

struct chunkq {
    ref_t head, tail;
    uint32_t pos;    /* stream position of the first byte */
    uint32_t len;    /* bytes */
    uint32_t chunks; /* pages in use */
};

/* An empty queue whose first byte will have position pos. */
void chunkq_init(struct chunkq *q, uint32_t pos);

/* Copy bytes to the end. Returns how many fitted (fewer than n: memory refused). */
uint32_t chunkq_append(struct arena *a, struct chunkq *q, const void *data, uint32_t n, enum mem_prio prio);

/* Move all of `from` to the end of `q`; from->pos must be q's end. `from` is empty afterwards. */
void chunkq_join(struct arena *a, struct chunkq *q, struct chunkq *from);

/* Drop n bytes at the front, or at the end. n <= len. */
void chunkq_drop_front(struct arena *a, struct chunkq *q, uint32_t n);
void chunkq_drop_back(struct arena *a, struct chunkq *q, uint32_t n);
void chunkq_clear(struct arena *a, struct chunkq *q);

/* Copy out n bytes from position pos; must be inside. */
void chunkq_copy(struct arena *a, const struct chunkq *q, uint32_t pos, void *out, uint32_t n);

/* Slices for up to n bytes from position pos on (inside the queue), at most max slices. `hint` (may be NULL,
 * may hold 0, may be stale): where an earlier search of this queue ended; set to the chunk that holds pos.
 * Returns the number of slices; *got = their bytes. */
int chunkq_slices(struct arena *a, const struct chunkq *q, uint32_t pos, uint32_t n, ref_t *hint,
                  tern_slice *out, int max, uint32_t *got);

#endif
