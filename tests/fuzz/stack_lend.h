/* Memory that a side of fuzz_stack.c lends: slots for what it receives, and slots of its program. What comes
 * back is overwritten at once. */
#ifndef FUZZ_STACK_LEND_H
#define FUZZ_STACK_LEND_H

#include "tcp/tcp.h"

#include <tern/lent.h>

enum { RX_SLOTS = 48, RX_SLOT = 2048, TX_SLOTS = 16, TX_SLOT = 3000 };

struct lender {
    uint8_t rx[RX_SLOTS * RX_SLOT], tx[TX_SLOTS * TX_SLOT];
    bool rx_out[RX_SLOTS], tx_out[TX_SLOTS];
    int rx_region, tx_region;
    uint32_t turn; /* packets received */
};

static bool lender_begin(tern *t, struct lender *l)
{
    l->rx_region = tern_region_add(t, l->rx, sizeof l->rx);
    l->tx_region = tern_region_add(t, l->tx, sizeof l->tx);
    return l->rx_region > 0 && l->tx_region > 0;
}

static void slot_back(uint8_t *memory, uint32_t size, bool *out, uint64_t i)
{
    ASSERT(out[i]);
    out[i] = false;
    memset(memory + i * size, 0xee, size);
}

static int slot_take(bool *out, int n)
{
    for (int i = 0; i < n; i++)
        if (!out[i]) {
            out[i] = true;
            return i;
        }
    return -1;
}

static void lender_fetch(tern *t, struct lender *l)
{
    uint64_t names[5];
    tern_lent back[3];
    for (int n; (n = tern_rx_returned(t, l->rx_region, names, 5)) > 0;)
        for (int i = 0; i < n; i++)
            slot_back(l->rx, RX_SLOT, l->rx_out, names[i]);
    for (int n; (n = tern_returned(t, back, 3)) > 0;)
        for (int i = 0; i < n; i++)
            slot_back(l->tx, TX_SLOT, l->tx_out, back[i].tag);
}

/* The stack has moved: it refers to nothing of ours any more. */
static void lender_moved(tern *t, struct lender *l)
{
    for (int i = 0; i < RX_SLOTS; i++)
        if (l->rx_out[i])
            slot_back(l->rx, RX_SLOT, l->rx_out, (uint64_t)i);
    ASSERT(lender_begin(t, l));
    lender_fetch(t, l);
    for (int i = 0; i < TX_SLOTS; i++)
        ASSERT(!l->tx_out[i]);
}

/* A packet that arrives lies in a slot from now on, when one is free (but for each fourth). */
static void lender_place(tern *t, struct lender *l, tern_rx_packet *p)
{
    if (p->len > RX_SLOT || (++l->turn & 3) == 0)
        return;
    int i = slot_take(l->rx_out, RX_SLOTS);
    if (i < 0) {
        tern_region_compact(t, l->rx_region, 8 * RX_SLOT);
        lender_fetch(t, l);
        return;
    }
    memcpy(l->rx + i * RX_SLOT, p->data, p->len);
    p->data = l->rx + i * RX_SLOT;
    p->flags |= TERN_RX_LENDABLE;
    p->region = (uint8_t)l->rx_region;
    p->pinned = RX_SLOT;
    p->buffer = (uint64_t)i;
}

static void lender_seen(struct lender *l, const tern_rx_packet *p)
{
    if ((p->flags & TERN_RX_LENDABLE) && !p->kept)
        slot_back(l->rx, RX_SLOT, l->rx_out, p->buffer);
}

#endif
