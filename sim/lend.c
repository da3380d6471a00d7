/* lend.c - see lend.h. */
#include "lend.h"

#include <stdlib.h>
#include <string.h>

enum { RX_SLOTS = 256, RX_SLOT = 2048, TX_SLOTS = 64, TX_SLOT = 8192, SLICES = 64 };

struct lender {
    uint8_t rx[RX_SLOTS * RX_SLOT], tx[TX_SLOTS * TX_SLOT];
    bool rx_out[RX_SLOTS], tx_out[TX_SLOTS];
    int rx_region, tx_region;
    uint32_t wrong;
};

static struct lender *lender_of(const struct end *e) { return e->w->host[e->host].lender; }

static tern *stack_of(const struct end *e) { return e->w->host[e->host].stack; }

int lend_begin(struct world *w, int host)
{
    struct host *h = &w->host[host];
    if (h->lender == NULL)
        h->lender = calloc(1, sizeof *h->lender);
    struct lender *l = h->lender;
    if (l == NULL)
        return -TERN_ENOMEM;
    l->rx_region = tern_region_add(h->stack, l->rx, sizeof l->rx);
    l->tx_region = tern_region_add(h->stack, l->tx, sizeof l->tx);
    memset(l->rx, 0xee, sizeof l->rx); /* a stack that moved refers to nothing here */
    memset(l->rx_out, 0, sizeof l->rx_out);
    return l->rx_region > 0 && l->tx_region > 0 ? 0 : -TERN_ENOMEM;
}

void lend_free(struct host *h)
{
    free(h->lender);
    h->lender = NULL;
}

uint32_t lend_wrong(const struct world *w)
{
    uint32_t sum = 0;
    for (int i = 0; i < HOSTS; i++)
        sum += w->host[i].lender != NULL ? w->host[i].lender->wrong : 0;
    return sum;
}

/* --- slots ------------------------------------------------------------------------------------- */

static int take_slot(bool *out, int n)
{
    for (int i = 0; i < n; i++)
        if (!out[i]) {
            out[i] = true;
            return i;
        }
    return -1;
}

static void slot_back(struct lender *l, uint8_t *memory, size_t size, bool *out, uint64_t i)
{
    l->wrong += !out[i];
    out[i] = false;
    memset(memory + i * size, 0xee, size);
}

void lend_place(struct world *w, int host, tern_rx_packet *pkt)
{
    struct lender *l = w->host[host].lender;
    int i = l != NULL && pkt->len <= RX_SLOT ? take_slot(l->rx_out, RX_SLOTS) : -1;
    if (i < 0)
        return;
    memcpy(l->rx + i * RX_SLOT, pkt->data, pkt->len);
    pkt->data = l->rx + i * RX_SLOT;
    pkt->flags |= TERN_RX_LENDABLE;
    pkt->region = (uint8_t)l->rx_region;
    pkt->pinned = RX_SLOT;
    pkt->buffer = (uint64_t)i;
}

void lend_seen(struct world *w, int host, const tern_rx_packet *pkt)
{
    struct lender *l = w->host[host].lender;
    if ((pkt->flags & TERN_RX_LENDABLE) && !pkt->kept)
        slot_back(l, l->rx, RX_SLOT, l->rx_out, pkt->buffer);
}

void lend_collect(struct world *w, int host)
{
    struct lender *l = w->host[host].lender;
    uint64_t names[16];
    tern_lent back[16];
    if (l == NULL)
        return;
    for (int n; (n = tern_rx_returned(w->host[host].stack, l->rx_region, names, 16)) > 0;)
        for (int i = 0; i < n; i++)
            slot_back(l, l->rx, RX_SLOT, l->rx_out, names[i]);
    for (int n; (n = tern_returned(w->host[host].stack, back, 16)) > 0;)
        for (int i = 0; i < n; i++)
            slot_back(l, l->tx, TX_SLOT, l->tx_out, back[i].tag);
}

/* --- programs ---------------------------------------------------------------------------------- */

long prog_lend(struct end *e, size_t len)
{
    struct lender *l = lender_of(e);
    int slot = take_slot(l->tx_out, TX_SLOTS);
    if (slot < 0)
        return -TERN_EAGAIN;
    uint64_t at = (uint64_t)slot * TX_SLOT;
    prog_stream_bytes(e, l->tx + at, len);
    uint8_t *copy = malloc(len);
    memcpy(copy, l->tx + at, len);
    long n = tern_lend(stack_of(e), e->handle, l->tx_region, at, len, (uint64_t)slot, 0);
    if (n < 0)
        slot_back(l, l->tx, TX_SLOT, l->tx_out, (uint64_t)slot);
    prog_note_sent(e, copy, n);
    free(copy);
    return n;
}

/* Copies what slices show, for the log; at most `len` bytes. */
static size_t gather(const tern_slice *slices, int n, uint8_t *out, size_t len)
{
    size_t sum = 0;
    for (int i = 0; i < n && sum < len; i++) {
        size_t part = slices[i].len < len - sum ? slices[i].len : len - sum;
        memcpy(out + sum, slices[i].data, part);
        sum += part;
    }
    return sum;
}

long prog_look(struct end *e)
{
    tern_slice slices[SLICES];
    uint8_t bytes[SLICES * 8192];
    int n = tern_peek(stack_of(e), e->handle, slices, SLICES);
    long sum = n > 0 ? (long)gather(slices, n, bytes, sizeof bytes) : n;
    if (sum > 0)
        tern_consume(stack_of(e), e->handle, (size_t)sum);
    prog_note_read(e, bytes, sum);
    return sum;
}

long prog_move(struct end *from, struct end *to, size_t len)
{
    tern_slice slices[SLICES];
    uint8_t bytes[SLICES * 8192];
    int n = tern_peek(stack_of(from), from->handle, slices, SLICES);
    size_t sum = gather(slices, n, bytes, len < sizeof bytes ? len : sizeof bytes);
    long moved = tern_move(stack_of(from), from->handle, to->handle, sum > 0 ? sum : 1, 0);
    prog_note_read(from, bytes, moved);
    if (moved > 0)
        prog_note_sent(to, bytes, moved);
    return moved;
}

long prog_take(struct end *e, size_t len, tern_chunk *chunk)
{
    tern_slice slices[SLICES];
    uint8_t bytes[SLICES * 8192];
    long n = tern_take(stack_of(e), e->handle, len < sizeof bytes / 8 ? len : sizeof bytes / 8, chunk);
    size_t sum = 0;
    for (int k; n > 0 && (k = tern_chunk_peek(stack_of(e), *chunk, sum, slices, SLICES)) > 0;)
        sum += gather(slices, k, bytes + sum, sizeof bytes - sum);
    prog_note_read(e, bytes, n);
    return n;
}

long prog_send_chunk(struct end *e, tern_chunk chunk, size_t at, size_t len)
{
    tern_slice slices[SLICES];
    uint8_t bytes[SLICES * 8192];
    int k = tern_chunk_peek(stack_of(e), chunk, at, slices, SLICES);
    size_t sum = gather(slices, k, bytes, len < sizeof bytes ? len : sizeof bytes);
    long n = tern_send_chunk(stack_of(e), e->handle, chunk, at, sum, 0);
    prog_note_sent(e, bytes, n);
    return n;
}

int prog_drop(struct world *w, int host, tern_chunk chunk)
{
    int result = tern_drop(w->host[host].stack, chunk);
    world_collect(w, host);
    return result;
}
