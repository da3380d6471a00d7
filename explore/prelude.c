/* prelude.c - what was before: a stranger, far away and silent ever since, has left something at B. Some
 * edges need a record that is in the way of ours. */
#include "prelude.h"

#include "move.h"
#include "sim/packet.h"

enum { STRANGER_SEQ = 5000, REPEATED_US = 1500000 };

static void from_stranger(struct duo *d, uint8_t flags, uint32_t seq)
{
    uint8_t bytes[PACKET_MAX];
    struct segment g = {
        .src = d->stranger,
        .dst = d->at[B],
        .seq = seq,
        .ack = flags & ACK ? d->stranger_next : 0,
        .flags = flags,
        .window = 8192,
    };
    tern_rx_packet rx = {.data = bytes, .len = segment_build(&g, bytes), .link = (uint8_t)d->link[B]};
    tern_rx(d->stack[B], d->scene.side[B].now, &rx, 1);
    duo_settle(d, B);
}

/* Its SYN+ACK has been repeated in vain once, so it may be evicted. */
static void half_open(struct duo *d)
{
    from_stranger(d, SYN, STRANGER_SEQ);
    for (int side = 0; side < SIDES; side++) {
        d->scene.side[side].now += REPEATED_US;
        tern_tick(d->stack[side], d->scene.side[side].now);
        duo_settle(d, side);
    }
}

/* A whole connection, which B's program closes first. */
static void in_time_wait(struct duo *d)
{
    tern_handle h = {0};
    struct actor *b = &d->scene.side[B].actor;
    from_stranger(d, SYN, STRANGER_SEQ);
    from_stranger(d, ACK, STRANGER_SEQ + 1);
    if (tern_accept(d->stack[B], b->listener, &h) < 0 || tern_close(d->stack[B], h) < 0)
        duo_blame(d, FAULT_CALL);
    b->acceptable = false;
    duo_settle(d, B);
    from_stranger(d, ACK | FIN, STRANGER_SEQ + 1);
}

void prelude(struct duo *d)
{
    if (!(d->setting->flags & (SET_EVICT | SET_RECYCLE)))
        return;
    d->stranger = (tern_endpoint){.ip = tern_ip4(198, 51, 100, 1), .port = 4000};
    if (d->setting->flags & SET_EVICT)
        half_open(d);
    else
        in_time_wait(d);
}
