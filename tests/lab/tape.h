/* tape.h - what is done to one stack, written down, so that the same can be done to another one.
 *
 * An operation is a small head and some bytes; performing it appends everything that can be seen of the stack
 * (results, packets, events, trace) to a record. Two stacks are the same when equal tapes give equal records.
 */
#ifndef LAB_TAPE_H
#define LAB_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>
#include <tern/tern.h>

struct bytes {
    uint8_t *v;
    size_t n, cap;
};

void bytes_put(struct bytes *b, const void *data, size_t n);
void bytes_free(struct bytes *b);
void bytes_write(const struct bytes *b, const char *path);
struct bytes bytes_read(const char *path);

enum tape_op {
    OP_RX,     /* the bytes are a packet */
    OP_TICK,
    OP_TX,     /* one packet */
    OP_EVENTS, /* at most `arg` */
    OP_ACCEPT,
    OP_SEND,   /* the bytes */
    OP_RECV,   /* at most `arg` bytes */
    OP_SHUTDOWN,
    OP_CLOSE,
    OP_INFO,   /* everything that tern_walk shows */
};

struct op {
    uint64_t now; /* of OP_RX, OP_TICK, OP_TX */
    uint64_t handle;
    uint32_t arg;
    uint32_t len; /* of the bytes behind it */
    uint8_t what; /* enum tape_op */
    uint8_t pad[7];
};

/* Perform one operation and append what comes of it. Returns the place in `out` where the result begins: an
 * int64_t, then what was received, or the packet, or the events. */
size_t tape_do(tern *t, const struct op *o, const void *bytes, struct bytes *out);

/* Perform all that is on a tape. */
void tape_play(tern *t, const struct bytes *tape, struct bytes *out);

#endif
