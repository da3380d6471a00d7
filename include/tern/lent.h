/* lent.h - payload that is not copied: memory lent to the stack, and received bytes passed on.
 *
 * A region is memory outside of the stack's block, of the program or of a link, that the stack may refer to
 * by its number. Bytes go without a copy
 *
 *     from the program to the wire        tern_lend, and tern_returned says when the memory is its own again
 *     from a link to the program          TERN_RX_LENDABLE, tern_peek, tern_consume; tern_rx_returned
 *     from one connection to another      tern_move: what a relay is made of
 *     from one connection to several      tern_take, tern_send_chunk for each, tern_drop
 *
 * and mix with tern_send and tern_recv in the order of the calls. `copied_bytes` (stats.h) counts every byte
 * that was copied all the same: less than 512 bytes in one piece are (but for tern_lend), and what fills a
 * page of the stack that is nearly empty.
 *
 * Nothing here weakens the limits: queued bytes count against the connection's buffers wherever they lie, and
 * the records that refer to them are part of the stack's budget.
 */
#ifndef TERN_LENT_H
#define TERN_LENT_H

#include "link.h"
#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tell the stack of `len` bytes at `base` (1 and up; regions may overlap). Nothing is read but what is lent
 * or received there. Returns the region's number, 1..15. Errors: -TERN_EINVAL (NULL or empty), -TERN_ENOMEM
 * (15 are there). */
int tern_region_add(tern *t, const void *base, uint64_t len);

/* The stack is to forget a region: what is still referred to is copied into the stack's own memory first, so
 * lent buffers come back (tern_returned has their tags). What tern_rx_returned has not handed out yet is
 * handed out no more: all is free. Errors: -TERN_ENOENT (no such region), -TERN_ENOMEM (no memory for the
 * copies; the region stays, the call can be repeated). */
int tern_region_remove(tern *t, int region);

/* Copy what is referred to in a region into the stack's own memory, oldest buffer first, until buffers of
 * `bytes` bytes in all (at least) have come back, or all. For a link that runs short of receive memory, or a
 * program that wants its memory sooner. Errors: -TERN_ENOENT, -TERN_ENOMEM (fewer came back; those that did,
 * did). */
int tern_region_compact(tern *t, int region, uint64_t bytes);

/* Queue `len` bytes (at least 1) at offset `at` of a region to be sent, as tern_send does, but from where
 * they lie. Returns how many were taken (as tern_send): these, and no others, must stay unchanged until
 * tern_returned hands out `tag`. Each call that takes bytes returns its tag exactly once: when the peer has
 * acknowledged the bytes, or when the connection ends in whatever way, its handle released or not. Errors: as
 * tern_send, -TERN_EINVAL (not a region, not inside it, len 0), -TERN_EAGAIN also when many small pieces are
 * queued (more than one per 256 bytes of the send buffer, and 64: small things are better sent by
 * tern_send). */
long tern_lend(tern *t, tern_handle h, int region, uint64_t at, size_t len, uint64_t tag, unsigned flags);

/* A buffer that has come back. */
typedef struct tern_lent {
    uint64_t tag;     /* as given */
    tern_handle conn; /* of whom; it may be released by now */
    uint64_t at;      /* the bytes that had been taken */
    uint32_t len;
    int region;
} tern_lent;

/* Take the lent buffers that have come back, at most `max`, in the order in which they did; those of one
 * connection come back in the order in which they were lent (unless tern_region_compact came between).
 * Returns the count. TERN_RETURNED (event.h, of handle 0) says when there is something to take. tern_destroy
 * returns all of them without a word. */
int tern_returned(tern *t, tern_lent *out, int max);

/* Move up to `n` received bytes (at least 1) of `from` to the end of what `to` has to send; the two may be
 * the same. Counts as reading and as sending: the window opens, `flags` are those of tern_send. Returns how
 * many bytes; 0 = the peer of `from` has closed and all was moved: the time for tern_shutdown(to). Errors:
 * what tern_send says about `to` (-TERN_EPIPE, ...), else what tern_recv says about `from`. -TERN_EAGAIN:
 * `from` has nothing (wait for TERN_READABLE) or `to` no room (wait for TERN_WRITABLE); trying at both is
 * right. */
long tern_move(tern *t, tern_handle from, tern_handle to, size_t n, unsigned flags);

/* Received bytes in the program's hands. 0 is never valid; a stale one gives -TERN_EBADF. */
typedef struct tern_chunk {
    uint64_t v;
} tern_chunk;

/* Take up to `n` received bytes (at least 1) off a connection and hold them, where they are. Counts as
 * reading. Returns how many; 0 and the errors as tern_recv, -TERN_EINVAL (n 0), -TERN_ENOMEM (no memory to
 * note it; nothing was taken). Give it back with tern_drop, whatever becomes of the connection. */
long tern_take(tern *t, tern_handle h, size_t n, tern_chunk *out);

/* Look at a chunk's bytes from offset `at` on: fills at most `max` slices, returns how many (0 at its end).
 * They are valid until the next call on this stack. Errors: -TERN_EBADF, -TERN_EINVAL (behind its end). */
int tern_chunk_peek(tern *t, tern_chunk chunk, size_t at, tern_slice *slices, int max);

/* Queue up to `n` bytes (at least 1) of a chunk, from offset `at` on, to be sent; the chunk keeps them, so
 * that they can be sent on several connections. Returns and errors as tern_send; -TERN_EINVAL (n 0, not
 * inside). */
long tern_send_chunk(tern *t, tern_handle h, tern_chunk chunk, size_t at, size_t n, unsigned flags);

/* Let go of a chunk. What was queued of it is still sent. Error: -TERN_EBADF. */
int tern_drop(tern *t, tern_chunk chunk);

/* For links: the names (tern_rx_packet.buffer) of packets that came back `kept` and to which nothing refers
 * any more, at most `max`, in the order in which they became free; each once. Returns the count. Error:
 * -TERN_ENOENT. */
int tern_rx_returned(tern *t, int region, uint64_t *buffers, int max);

#ifdef __cplusplus
}
#endif
#endif
