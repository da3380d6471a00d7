/* impair.c - a bad path around any link, the same for the same seed.
 *
 *   packet ─▶ cut into ─▶ lost? ─▶ copied? ─▶ CE? ─▶ bit   ─▶ held ─▶ rate, queue ─▶ delay ─▶ out
 *             segments    gone     twice            flipped?  back?   full: gone     (in order)
 *
 * Each direction is a lane with its own random numbers, drawn in the order in which packets come: with a
 * virtual clock the same packets at the same times meet the same fate.
 *
 * Reordering happens at the entrance. A held packet waits until so many later ones have gone past, then
 * enters right behind the last of them; a held one that is let go counts for those held before it. So every
 * held packet is overtaken by exactly the number drawn for it, unless 50 ms pass first. Behind the entrance
 * order is kept: jitter only stretches gaps.
 *
 * Whatever has been through a lane was on a wire: it has complete checksums, and nobody vouches for them any
 * more.
 *
 * Back-pressure: packets are taken from the link inside only while fewer than one batch stands ready to be
 * received; what is delayed is bounded by IMPAIR_PATH_BYTES. What does not fit is dropped and counted.
 */
#include "impair.h"
#include "packet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOLD_US = 50000, /* a reordered packet is held at most so long */
    QUEUE_BYTES = 256 << 10,
    BATCH = 16, /* packets moved at once to or from the link inside */
    ROUNDS = 8, /* batches taken from it in one rx */
    MILLION = 1000000,
};

struct lane {
    tern_impair_config cfg;
    bool on;               /* false: packets of this direction are not touched */
    bool ethernet;         /* they are frames */
    uint64_t random;       /* state of the generator */
    uint64_t arrived;      /* packets so far: gives pkt.order */
    struct pkt_queue held; /* by arrival, so by deadline too */
    struct pkt_queue path; /* by due */
    uint64_t line_free_ns; /* when the limited rate has sent all that it took */
    uint64_t last_due;     /* of the packet that entered the path last */
    tern_impair_counts count;
};

struct impair {
    tern_link link;
    tern_link *inner;
    struct pkt_pool pool;
    struct lane tx, rx;
    struct pkt_queue lent; /* shown by the last rx */
    int gone;              /* what the link inside said when it went: -errno */
    uint64_t now;          /* of the present call, for what happens inside tern_segment */
    struct lane *lane;     /* likewise */
};

static struct impair *impair_of(const tern_link *l) { return (struct impair *)l; }

/* --- chance ------------------------------------------------------------------------------------- */

/* splitmix64: one addition a step, so that every seed, zero too, is a good one. */
static uint64_t draw(struct lane *ln)
{
    uint64_t z = ln->random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Uniform in 0..n-1. */
static uint32_t draw_below(struct lane *ln, uint32_t n) { return (uint32_t)((draw(ln) >> 32) * n >> 32); }

static bool chance(struct lane *ln, uint32_t ppm) { return ppm > 0 && draw_below(ln, MILLION) < ppm; }

/* --- harm --------------------------------------------------------------------------------------- */

static void mark_ce(struct lane *ln, struct pkt *p)
{
    uint8_t *ip = p->data + frame_header(ln->ethernet);
    bool v4 = ip[0] >> 4 == 4;
    uint8_t ecn = v4 ? ip[1] & 3 : ip[1] >> 4 & 3;
    if (ecn == 0 || ecn == 3 || p->len < 20 + frame_header(ln->ethernet) || (!v4 && ip[0] >> 4 != 6))
        return;
    ip[1] |= v4 ? 3 : 0x30;
    ip4_header_checksum(ip);
    ln->count.marked++;
}

static void flip_bit(struct lane *ln, struct pkt *p)
{
    uint32_t bit = draw_below(ln, p->len * 8);
    p->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    ln->count.corrupted++;
}

/* --- rate and delay ----------------------------------------------------------------------------- */

/* When the last bit of this packet has left the limited line; UINT64_MAX: the queue before it is full. */
static uint64_t line_leaves_ns(struct lane *ln, uint32_t len, uint64_t t)
{
    uint64_t rate = ln->cfg.rate_bps, now_ns = t * 1000;
    if (rate == 0)
        return now_ns;
    uint64_t takes = (uint64_t)len * 8 * 1000000000 / rate;
    uint64_t limit = (uint64_t)ln->cfg.queue_bytes * 8 * 1000000000 / rate;
    uint64_t waits = ln->line_free_ns > now_ns ? ln->line_free_ns - now_ns : 0;
    if (waits > 0 && waits + takes > limit)
        return UINT64_MAX;
    return ln->line_free_ns = now_ns + waits + takes;
}

/* Put a packet on the way at time `t`; false (and it is gone): no room. */
static bool path_enter(struct impair *im, struct lane *ln, struct pkt *p, uint64_t t)
{
    uint64_t leaves = UINT64_MAX;
    if (ln->path.bytes + ln->held.bytes + p->len > IMPAIR_PATH_BYTES)
        ln->count.overflow++;
    else if ((leaves = line_leaves_ns(ln, p->len, t)) == UINT64_MAX)
        ln->count.tail_drops++;
    if (leaves == UINT64_MAX) {
        pkt_give(&im->pool, p);
        return false;
    }
    uint64_t due = leaves / 1000 + ln->cfg.delay_us;
    if (ln->cfg.jitter_us > 0)
        due += draw_below(ln, ln->cfg.jitter_us + 1);
    ln->last_due = p->due = due > ln->last_due ? due : ln->last_due;
    pkt_push(&ln->path, p);
    return true;
}

/* --- reordering --------------------------------------------------------------------------------- */

/* Take `p` out of the held list; `before` stands in front of it (NULL: it is the first). */
static struct pkt *held_remove(struct pkt_queue *held, struct pkt *before, struct pkt *p)
{
    if (!before)
        return pkt_pop(held);
    before->next = p->next;
    if (held->tail == p)
        held->tail = before;
    held->count--;
    held->bytes -= p->len;
    return p;
}

/* The oldest held packet that enough others have overtaken; NULL: none. */
static struct pkt *held_take_ready(struct pkt_queue *held)
{
    struct pkt *before = NULL;
    for (struct pkt *p = held->head; p; before = p, p = p->next)
        if (p->left == 0)
            return held_remove(held, before, p);
    return NULL;
}

/* Send a packet on its way, and behind it those held ones for which it was the last to wait for. */
static void lane_go(struct impair *im, struct lane *ln, struct pkt *p, uint64_t t)
{
    for (; p; p = held_take_ready(&ln->held)) {
        uint64_t order = p->order;
        if (!path_enter(im, ln, p, t))
            continue;
        for (struct pkt *h = ln->held.head; h && h->order < order; h = h->next)
            if (h->left > 0)
                h->left--;
    }
}

static void lane_hold(struct lane *ln, struct pkt *p, uint64_t t)
{
    p->left = ln->cfg.reorder_min + draw_below(ln, ln->cfg.reorder_max - ln->cfg.reorder_min + 1);
    p->due = t + HOLD_US;
    pkt_push(&ln->held, p);
    ln->count.reordered++;
}

/* Let those go that were held long enough. */
static void lane_expire(struct impair *im, struct lane *ln, uint64_t now)
{
    while (ln->held.head && ln->held.head->due <= now) {
        struct pkt *p = pkt_pop(&ln->held);
        lane_go(im, ln, p, p->due);
    }
}

/* --- the entrance ------------------------------------------------------------------------------- */

static void enter_copy(struct impair *im, struct lane *ln, const uint8_t *data, uint32_t len)
{
    struct pkt *p = pkt_take(&im->pool, len);
    if (!p) {
        ln->count.overflow++;
        return;
    }
    memcpy(p->data, data, len);
    p->order = ln->arrived++;
    p->flags = ln->ethernet ? TERN_RX_ETHERNET : 0;
    if (chance(ln, ln->cfg.ce_ppm))
        mark_ce(ln, p);
    if (chance(ln, ln->cfg.corrupt_ppm))
        flip_bit(ln, p);
    if (chance(ln, ln->cfg.reorder_ppm))
        lane_hold(ln, p, im->now);
    else
        lane_go(im, ln, p, im->now);
}

/* tern_segment gives the packets of the wire one by one. */
static void enter(void *ctx, const uint8_t *data, uint32_t len)
{
    struct impair *im = ctx;
    struct lane *ln = im->lane;
    ln->count.entered++;
    if (chance(ln, ln->cfg.loss_ppm)) {
        ln->count.lost++;
        return;
    }
    enter_copy(im, ln, data, len);
    if (chance(ln, ln->cfg.duplicate_ppm)) {
        ln->count.duplicated++;
        enter_copy(im, ln, data, len);
    }
}

static void lane_enter(struct impair *im, struct lane *ln, uint64_t now, const tern_tx_packet *pkt)
{
    im->now = now;
    im->lane = ln;
    tern_segment(pkt, enter, im);
}

static uint64_t lane_next(const struct lane *ln)
{
    uint64_t path = ln->path.head ? ln->path.head->due : UINT64_MAX;
    uint64_t held = ln->held.head ? ln->held.head->due : UINT64_MAX;
    return path < held ? path : held;
}

/* --- the exits ---------------------------------------------------------------------------------- */

/* Only what every link reads is set: the record has room for 20 slices. */
static void show_tx(const struct pkt *p, tern_tx_packet *out)
{
    out->link = 0;
    bool ethernet = (p->flags & TERN_RX_ETHERNET) != 0;
    out->flags = p->data[frame_header(ethernet)] >> 4 == 6 ? TERN_TX_IP6 : 0;
    out->flags |= ethernet ? TERN_TX_ETHERNET : 0;
    out->hdr_len = (uint16_t)(p->len < 40 ? p->len : 40);
    out->gso_size = out->csum_start = out->csum_offset = 0;
    out->n_slices = 1;
    out->len = p->len;
    out->not_before = 0;
    memcpy(out->hdr, p->data, out->hdr_len);
    out->slices[0] = (tern_slice){p->data + out->hdr_len, p->len - out->hdr_len};
}

/* Hand what is due to the link inside. 0, or negative: it is gone. */
static int pump(struct impair *im, uint64_t now)
{
    struct lane *ln = &im->tx;
    tern_tx_packet out[BATCH];
    lane_expire(im, ln, now);
    while (im->gone == 0 && ln->path.head && ln->path.head->due <= now) {
        struct pkt_queue batch = {0};
        int n = 0;
        for (; n < BATCH && ln->path.head && ln->path.head->due <= now; n++) {
            struct pkt *p = pkt_pop(&ln->path);
            show_tx(p, &out[n]);
            pkt_push(&batch, p);
        }
        int taken = im->inner->ops->tx(im->inner, now, out, n);
        pkt_give_all(&im->pool, &batch);
        ln->count.left += taken > 0 ? (uint64_t)taken : 0;
        ln->count.refused += (uint64_t)(taken > 0 ? n - taken : n);
        im->gone = taken < 0 ? taken : 0;
    }
    return im->gone;
}

/* Take a batch from the link inside. Returns how many came. */
static int feed(struct impair *im, uint64_t now)
{
    tern_rx_packet in[BATCH];
    tern_tx_packet pkt;
    int n = im->inner->ops->rx(im->inner, now, in, BATCH);
    if (n < 0)
        im->gone = n;
    for (int i = 0; i < n; i++) {
        packet_from_rx(&in[i], &pkt);
        lane_enter(im, &im->rx, now, &pkt);
    }
    return n > 0 ? n : 0;
}

/* Show what is due. */
static int deliver(struct impair *im, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct lane *ln = &im->rx;
    int n = 0;
    for (; n < max && ln->path.head && ln->path.head->due <= now; n++) {
        struct pkt *p = pkt_pop(&ln->path);
        pkt_show(p, &pkts[n]);
        pkt_push(&im->lent, p);
    }
    ln->count.left += (uint64_t)n;
    return n;
}

static int impair_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    struct impair *im = impair_of(l);
    pkt_give_all(&im->pool, &im->lent);
    int gone = pump(im, now);
    if (!im->rx.on)
        return gone < 0 ? gone : im->inner->ops->rx(im->inner, now, pkts, max);
    lane_expire(im, &im->rx, now);
    int n = deliver(im, now, pkts, max);
    for (int round = 0; round < ROUNDS && n < max && im->gone == 0; round++) {
        int came = feed(im, now);
        n += deliver(im, now, pkts + n, max - n);
        if (came == 0)
            break;
    }
    return n > 0 ? n : im->gone;
}

static int impair_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    struct impair *im = impair_of(l);
    if (!im->tx.on)
        return im->inner->ops->tx(im->inner, now, pkts, n);
    lane_expire(im, &im->tx, now);
    for (int i = 0; i < n; i++)
        lane_enter(im, &im->tx, now, &pkts[i]);
    int gone = pump(im, now);
    return gone < 0 ? gone : n;
}

static int impair_fd(const tern_link *l) { return impair_of(l)->inner->ops->fd(impair_of(l)->inner); }

static uint64_t impair_next(const tern_link *l)
{
    const struct impair *im = impair_of(l);
    uint64_t tx = lane_next(&im->tx), rx = lane_next(&im->rx), inner = im->inner->ops->next(im->inner);
    uint64_t soonest = tx < rx ? tx : rx;
    return inner < soonest ? inner : soonest;
}

static void impair_close(tern_link *l)
{
    struct impair *im = impair_of(l);
    pkt_give_all(&im->pool, &im->lent);
    pkt_give_all(&im->pool, &im->tx.held);
    pkt_give_all(&im->pool, &im->tx.path);
    pkt_give_all(&im->pool, &im->rx.held);
    pkt_give_all(&im->pool, &im->rx.path);
    pkt_pool_end(&im->pool);
    tern_link_close(im->inner);
    free(im);
}

/* No memory of its own that packets could stay in: what passes an impaired link is copied. */
static const struct tern_link_ops impair_ops = {.name = "impair",
                                                .rx = impair_rx,
                                                .tx = impair_tx,
                                                .fd = impair_fd,
                                                .next = impair_next,
                                                .close = impair_close};

/* `salt` keeps the two directions of one seed from rolling the same dice. */
static void lane_init(struct lane *ln, const tern_impair_config *cfg, uint64_t salt, bool ethernet)
{
    ln->ethernet = ethernet;
    if (!cfg)
        return;
    ln->on = true;
    ln->cfg = *cfg;
    ln->random = cfg->seed ^ salt;
    draw(ln);
    if (ln->cfg.queue_bytes == 0)
        ln->cfg.queue_bytes = QUEUE_BYTES;
    if (ln->cfg.reorder_min == 0)
        ln->cfg.reorder_min = 3;
    if (ln->cfg.reorder_max == 0)
        ln->cfg.reorder_max = 10;
    if (ln->cfg.reorder_max < ln->cfg.reorder_min)
        ln->cfg.reorder_max = ln->cfg.reorder_min;
}

int tern_link_impair(tern_link **out, tern_link *inner, const tern_impair_config *tx,
                     const tern_impair_config *rx)
{
    struct impair *im = calloc(1, sizeof *im);
    if (!im)
        return -ENOMEM;
    im->link = (tern_link){.ops = &impair_ops, .info = inner->info, .device = inner->device};
    im->inner = inner;
    lane_init(&im->tx, tx, 0, inner->info.ethernet);
    lane_init(&im->rx, rx, 0x7265636569766564, inner->info.ethernet);
    *out = &im->link;
    return 0;
}

void tern_impair_get_counts(const tern_link *l, tern_impair_counts *tx, tern_impair_counts *rx)
{
    *tx = impair_of(l)->tx.count;
    *rx = impair_of(l)->rx.count;
}
