/* held.c - what leaves later: packets that wait for a neighbour's address (RFC4861-7.2.2-bc, RFC 1122
 * 2.3.2.2: at least one; the newest stay), and the messages that this room makes itself.
 *
 * What waits is a copy, since the packet's bytes are valid for the moment only. Copies have the priority of
 * data that can be sent again: when memory is short they are the first to be refused.
 */
#include "ip/ip.h"

static const size_t held_place = offsetof(struct held_packet, place);

static struct held_packet *held_at(struct arena *a, ref_t r) { return at(a, r); }

static void give(struct arena *a, struct ether *e, ref_t r)
{
    chunkq_clear(a, &held_at(a, r)->body);
    pool_put(a, &e->helds, r);
}

static ref_t take_first(struct arena *a, struct list *l)
{
    ref_t r = l->head;
    if (r != 0)
        list_remove(a, l, r, held_place);
    return r;
}

void held_clear(struct arena *a, struct ether *e, struct list *l)
{
    for (ref_t r; (r = take_first(a, l)) != 0;)
        give(a, e, r);
}

void held_done(struct arena *a, struct ether *e) { held_clear(a, e, &e->sent); }

/* --- packets that wait --------------------------------------------------------------------------- */

static void drop_oldest(struct arena *a, struct ether *e, struct neigh *n)
{
    give(a, e, take_first(a, &n->waiting));
    n->waits--;
    e->waits--;
    e->dropped++;
}

/* The payload, in few enough pieces to be one packet again. */
static bool copy_body(struct arena *a, struct held_packet *h, const tern_tx_packet *pkt)
{
    chunkq_init(&h->body, 0);
    for (uint32_t i = 0; i < pkt->n_slices; i++)
        if (chunkq_append(a, &h->body, pkt->slices[i].data, pkt->slices[i].len, MEM_OOO) < pkt->slices[i].len)
            return false;
    return h->body.chunks <= TERN_TX_SLICES;
}

static ref_t copy(struct arena *a, struct ether *e, const tern_tx_packet *pkt)
{
    ref_t r = pool_get(a, &e->helds, MEM_OOO);
    if (r == 0)
        return 0;
    struct held_packet *h = held_at(a, r);
    h->link = pkt->link;
    h->flags = pkt->flags;
    h->hdr_len = pkt->hdr_len;
    h->gso_size = pkt->gso_size;
    h->csum_start = pkt->csum_start;
    h->csum_offset = pkt->csum_offset;
    memcpy(h->hdr, pkt->hdr, pkt->hdr_len);
    if (copy_body(a, h, pkt))
        return r;
    give(a, e, r);
    return 0;
}

void held_wait(struct arena *a, struct ether *e, struct neigh *n, const tern_tx_packet *pkt)
{
    if (n->waits == HELD_EACH)
        drop_oldest(a, e, n);
    ref_t r = e->waits < HELD_ALL ? copy(a, e, pkt) : 0;
    if (r == 0) {
        e->dropped++;
        return;
    }
    list_append(a, &n->waiting, r, held_place);
    n->waits++;
    e->waits++;
}

void held_release(struct arena *a, struct ether *e, struct neigh *n)
{
    for (ref_t r; (r = take_first(a, &n->waiting)) != 0;) {
        memcpy(held_at(a, r)->hdr, n->hw.b, sizeof n->hw.b); /* an Ethernet header begins with it */
        list_append(a, &e->out, r, held_place);
    }
    e->waits -= n->waits;
    n->waits = 0;
}

void held_drop_all(struct arena *a, struct ether *e, struct neigh *n)
{
    while (n->waits > 0)
        drop_oldest(a, e, n);
}

/* --- messages ------------------------------------------------------------------------------------ */

uint8_t *held_message(struct arena *a, struct ether *e, uint8_t link, const struct eth_frame *f, uint16_t len)
{
    ref_t r = e->helds.live < HELD_ALL + HELD_MESSAGES ? pool_get(a, &e->helds, MEM_CONTROL) : 0;
    if (r == 0) {
        e->dropped++;
        return NULL;
    }
    struct held_packet *h = held_at(a, r);
    ASSERT(len + ETH_HDR <= TERN_TX_HDR);
    h->link = link;
    h->flags = (uint8_t)(TERN_TX_ETHERNET | (f->type == ETH_IP6 ? TERN_TX_IP6 : 0));
    h->hdr_len = (uint16_t)(len + ETH_HDR);
    chunkq_init(&h->body, 0);
    eth_emit(h->hdr, f);
    list_append(a, &e->out, r, held_place);
    return h->hdr + ETH_HDR;
}

bool held_emit(struct arena *a, struct ether *e, tern_tx_packet *out)
{
    ref_t r = take_first(a, &e->out);
    uint32_t got = 0;
    if (r == 0)
        return false;
    struct held_packet *h = held_at(a, r);
    list_append(a, &e->sent, r, held_place);
    out->link = h->link;
    out->flags = h->flags;
    out->hdr_len = h->hdr_len;
    out->gso_size = h->gso_size;
    out->csum_start = h->csum_start;
    out->csum_offset = h->csum_offset;
    out->not_before = 0;
    memcpy(out->hdr, h->hdr, h->hdr_len);
    out->n_slices = (uint16_t)chunkq_slices(a, NULL, &h->body, 0, h->body.len, NULL, out->slices,
                                            TERN_TX_SLICES, &got);
    out->len = h->hdr_len + got;
    return true;
}
