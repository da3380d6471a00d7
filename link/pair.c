/* pair.c - a cable in memory: what goes in at one end comes out at the other, in order, at once.
 *
 * There is no clock and no descriptor here: the same calls give the same packets, whatever the time. A
 * super-segment passes as it is when the link was announced as one that can split, and its checksum is
 * vouched for, since it was never on a wire; on a link announced as plain it is cut and completed, as a
 * network card would. An end whose other side is closed is a cable in the air: what is sent vanishes.
 *
 * Packets lie in one block of memory and may stay there for as long as the receiver's stack refers to them;
 * their names are their places in it. When the block is used up, packets come from the heap (those are
 * copied), and the link asks for a quarter of the block back.
 */
#include "packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 32 << 20 };

struct pair {
    struct pkt_pool pool;
    struct pkt_queue waiting[2]; /* for each end: to be received */
    struct pkt_queue lent[2];    /* for each end: shown by the last rx */
    uint32_t limit;              /* packets waiting, each way */
    bool open[2];
};

struct pair_end {
    tern_link link;
    struct pair *pair;
    int side;
};

static struct pair_end *end_of(const tern_link *l) { return (struct pair_end *)l; }

static int pair_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct pair *pair = end_of(l)->pair;
    int side = end_of(l)->side, n = 0;
    (void)now;
    pkt_give_all(&pair->pool, &pair->lent[side]);
    for (struct pkt *p; n < max && (p = pkt_pop(&pair->waiting[side])) != NULL; n++) {
        pkt_show(p, &pkts[n]);
        if (pkt_in_memory(&pair->pool, p)) {
            pkts[n].flags |= TERN_RX_LENDABLE;
            pkts[n].pinned = pkt_size(p);
            pkts[n].buffer = (uint64_t)((const uint8_t *)p - pair->pool.memory);
        }
        pkt_push(&pair->lent[side], p);
    }
    return n;
}

/* What is kept belongs to no queue until it comes back. */
static void pair_seen(tern_link *l, const tern_rx_packet *pkts, int n)
{
    struct pkt_queue *lent = &end_of(l)->pair->lent[end_of(l)->side];
    for (int i = 0; i < n; i++) {
        struct pkt *p = pkt_pop(lent);
        if (!pkts[i].kept)
            pkt_push(lent, p);
    }
}

static void pair_free_again(tern_link *l, const uint64_t *buffers, int n)
{
    struct pkt_pool *pool = &end_of(l)->pair->pool;
    for (int i = 0; i < n; i++)
        pkt_give(pool, (struct pkt *)(void *)(pool->memory + buffers[i]));
}

static uint64_t pair_wants(tern_link *l)
{
    struct pkt_pool *pool = &end_of(l)->pair->pool;
    bool wants = pool->short_of;
    pool->short_of = false;
    return wants ? pool->len / 4 : 0;
}

/* A packet for the other end, as one piece; NULL when its queue is full. */
static struct pkt *place_for(struct pair_end *end, uint32_t len)
{
    struct pkt_queue *q = &end->pair->waiting[!end->side];
    struct pkt *p = q->count < end->pair->limit ? pkt_take(&end->pair->pool, len) : NULL;
    if (p)
        pkt_push(q, p);
    return p;
}

/* What the wire would carry; what finds no place is lost. */
static void put_pieces(struct pair_end *end, const tern_tx_packet *pkt)
{
    struct pkt_queue *q = &end->pair->waiting[!end->side];
    bool cuts = pkt->gso_size > 0 && pkt->gso_size < pkt->len - pkt->hdr_len;
    uint32_t most = cuts ? (uint32_t)pkt->hdr_len + pkt->gso_size : pkt->len;
    tern_cut cut;
    tern_cut_begin(&cut, pkt, NULL);
    for (struct pkt *p;
         (p = q->count < end->pair->limit ? pkt_take(&end->pair->pool, most) : NULL) != NULL;) {
        p->len = tern_cut_next(&cut, p->data);
        if (p->len == 0) {
            pkt_give(&end->pair->pool, p);
            return;
        }
        p->flags = pkt->flags & TERN_TX_ETHERNET ? TERN_RX_ETHERNET : 0;
        pkt_push(q, p);
    }
}

static void put_whole(struct pair_end *end, const tern_tx_packet *pkt)
{
    struct pkt *p = place_for(end, pkt->len);
    if (!p)
        return;
    uint8_t *to = p->data;
    memcpy(to, pkt->hdr, pkt->hdr_len);
    to += pkt->hdr_len;
    for (uint32_t i = 0; i < pkt->n_slices; i++) {
        memcpy(to, pkt->slices[i].data, pkt->slices[i].len);
        to += pkt->slices[i].len;
    }
    p->gso_size = pkt->gso_size;
    p->flags = pkt->gso_size > 0 || (pkt->flags & TERN_TX_CSUM) ? TERN_RX_CSUM_OK : 0;
    if (pkt->flags & TERN_TX_ETHERNET)
        p->flags |= TERN_RX_ETHERNET;
}

static int pair_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    struct pair_end *end = end_of(l);
    struct pair *pair = end->pair;
    (void)now;
    if (!pair->open[!end->side])
        return n;
    for (int i = 0; i < n; i++) {
        if (pair->waiting[!end->side].count >= pair->limit)
            return i;
        bool splits = pkts[i].gso_size == 0 || l->info.gso_max > 0;
        bool sums = !(pkts[i].flags & TERN_TX_CSUM) || l->info.tx_csum;
        if (splits && sums)
            put_whole(end, &pkts[i]);
        else
            put_pieces(end, &pkts[i]);
    }
    return n;
}

static int pair_fd(const tern_link *l)
{
    (void)l;
    return -1;
}

static uint64_t pair_next(const tern_link *l)
{
    return end_of(l)->pair->waiting[end_of(l)->side].count > 0 ? 0 : UINT64_MAX;
}

static void pair_close(tern_link *l)
{
    struct pair_end *end = end_of(l);
    struct pair *pair = end->pair;
    pkt_give_all(&pair->pool, &pair->waiting[end->side]);
    pkt_give_all(&pair->pool, &pair->lent[end->side]);
    pair->open[end->side] = false;
    if (!pair->open[!end->side]) {
        pkt_pool_end(&pair->pool);
        free(pair);
    }
    free(end);
}

static const struct tern_link_ops pair_ops = {.name = "pair",
                                              .rx = pair_rx,
                                              .tx = pair_tx,
                                              .fd = pair_fd,
                                              .next = pair_next,
                                              .close = pair_close,
                                              .seen = pair_seen,
                                              .free_again = pair_free_again,
                                              .wants = pair_wants};

static struct pair_end *make_end(struct pair *pair, int side, const tern_link_info *info)
{
    struct pair_end *end = malloc(sizeof *end);
    const struct pkt_pool *pool = &pair->pool;
    if (end)
        *end = (struct pair_end){
            .link = {.ops = &pair_ops, .info = *info, .memory = pool->memory, .memory_len = pool->len},
            .pair = pair,
            .side = side};
    if (end)
        end->link.info.hw[5] ^= (uint8_t)side; /* two stations */
    return end;
}

int tern_link_pair(tern_link **a, tern_link **b, const tern_link_info *info, uint32_t queue)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair)
        pkt_pool_memory(&pair->pool, MEMORY); /* without it every packet comes from the heap */
    struct pair_end *left = pair ? make_end(pair, 0, info) : NULL;
    struct pair_end *right = left ? make_end(pair, 1, info) : NULL;
    if (!right) {
        free(left);
        if (pair)
            pkt_pool_end(&pair->pool);
        free(pair);
        return -ENOMEM;
    }
    pair->limit = queue > 0 ? queue : 1;
    pair->open[0] = pair->open[1] = true;
    *a = &left->link;
    *b = &right->link;
    return 0;
}
