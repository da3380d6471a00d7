/* snapshot.h - a stack is written down, read again in another place, and doubled.
 *
 * All state of a stack lies in its block and nothing there is a pointer, so a stack can be written down, read
 * again in another process, and doubled. A copy is given the time, packets and calls as its original would
 * be, and then does the same, bit for bit; handles stay valid, and events not yet taken wait in both. What
 * lies outside of the block (the ring of trace records, with what is still in it) is not copied but given
 * anew. Bytes in regions (lent.h) become bytes of the copy, which knows no regions; buffers that were lent
 * count there as returned. The clock must go on: a copy takes a `now` before the original's for a clock that
 * went back.
 *
 * Two copies that speak to the same network at the same time are two hosts with one address: let one of them
 * rest. */
#ifndef TERN_SNAPSHOT_H
#define TERN_SNAPSHOT_H

#include "link.h"
#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the image that tern_snapshot would write now. */
size_t tern_snapshot_size(const tern *t);

/* Write an image of the stack into `out`, which has `size` bytes and need not be aligned. It takes
 * tern_snapshot_size bytes: a head (magic, format version, byte order, layout of the records, length,
 * checksum), the used part of the block, free pages left out, and a copy of every byte in a region that is
 * still referred to. The stack is not changed. Error:
 * -TERN_EMSGSIZE (`size` is too small). */
int tern_snapshot(const tern *t, void *out, size_t size);

/* How large a block the stack of this image needs: what its own could use at most (the block's size, or the
 * budget). The same errors as tern_restore, but the checksum is not looked at. */
int tern_restore_size(const void *image, size_t len, size_t *block);

/* Make a stack from an image, in `memory` (16-byte aligned; `size` at least what tern_restore_size says). In
 * a larger block the budget stays that of the original. `trace` and `trace_records` are as in tern_config.
 * Nothing else comes from a configuration: the image has it.
 *
 * An image is trusted but for damage: damage of any kind is found by its checksum, while somebody who can
 * make images can make a stack do anything. Errors: -TERN_ENOEXEC (not an image), -TERN_EPROTONOSUPPORT
 * (another version of the format), -TERN_EOPNOTSUPP (another byte order, or a build whose records differ),
 * -TERN_ENODATA (cut off), -TERN_EBADMSG (damaged), -TERN_ENOMEM (the block is too small, or the budget
 * does not leave room for the bytes that were in regions), -TERN_EINVAL
 * (memory not aligned, trace_records no power of two). */
int tern_restore(tern **out, const void *image, size_t len, void *memory, size_t size, void *trace,
                 uint32_t trace_records);

/* The same without an image: a second stack equal to `t`. Errors: -TERN_ENOMEM, -TERN_EINVAL. */
int tern_clone(tern **out, const tern *t, void *memory, size_t size, void *trace, uint32_t trace_records);

/* The parts of its block that say what a stack is, for taking back what follows: who copies these bytes
 * aside, and later to where they were, has the stack as it was then (not what its ring says, nor what lies in
 * regions). That is a few pages instead of the whole block, and there is nothing to be undone. Fills at most
 * `max` slices, returns how many there are: fewer than the pages in use. */
int tern_parts(const tern *t, tern_slice *out, int max);

/* A value for the situation that the stack is in: equal for two stacks that, given the same inputs from now
 * on, do the same. It covers states, sequence numbers (from ISS and IRS on), bytes in queues, timers (from
 * now on), options, listeners and accept queues, addresses, events that wait, and the keys. It does not see
 * what makes no difference: where the clock began (a whole number of seconds earlier or later), in which
 * order records were made and where they lie, their generations, free memory, and whether a connection is at
 * rest; nor what is only told: counters, totals, histories, why and when a state was entered,
 * connection numbers of the trace, and tern_set_data. The same on every machine. */
void tern_digest(const tern *t, uint64_t out[2]);

#ifdef __cplusplus
}
#endif
#endif
