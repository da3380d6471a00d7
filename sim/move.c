/* move.c - a stack moves to another block of memory in the middle of everything: what a snapshot is for.
 *
 * Moves take turns: an image that is restored, and a clone. The block where the stack was is overwritten, so
 * that anything which still looks there is found out. Original and copy must have the same digest.
 */
#include "lend.h"

#include <tern/snapshot.h>

#include <stdlib.h>
#include <string.h>

static int by_image(struct host *h, void *memory)
{
    size_t len = tern_snapshot_size(h->stack), need;
    void *image = malloc(len);
    int error = image != NULL ? tern_snapshot(h->stack, image, len) : -TERN_ENOMEM;
    if (error == 0)
        error = tern_restore_size(image, len, &need);
    if (error == 0)
        error = tern_restore(&h->stack, image, len, memory, need, h->ring, RING_RECORDS);
    free(image);
    return error;
}

int world_move(struct world *w, int host)
{
    struct host *h = &w->host[host];
    tern_live live;
    uint64_t before[2], after[2];
    if (h->stack == NULL)
        return 0;
    if (h->spare == NULL)
        h->spare = aligned_alloc(64, ARENA_BYTES);
    if (h->spare == NULL)
        return -TERN_ENOMEM;
    tern_get_live(h->stack, &live);
    tern_digest(h->stack, before);
    bool clone = w->moves++ & 2;
    int error = clone ? tern_clone(&h->stack, h->stack, h->spare, ARENA_BYTES, h->ring, RING_RECORDS)
                      : by_image(h, h->spare);
    if (error < 0)
        return error;
    tern_digest(h->stack, after);
    /* where memory was lent, it has come back by the move: the situation is another one */
    if (h->lender == NULL && memcmp(before, after, sizeof before) != 0)
        return -TERN_EBADMSG;
    void *from = h->memory;
    memset(from, 0xdb, live.arena_used);
    h->memory = h->spare;
    h->spare = from;
    if (h->lender == NULL)
        return 0;
    error = lend_begin(w, host); /* what was lent has come back */
    lend_collect(w, host);
    return error;
}
