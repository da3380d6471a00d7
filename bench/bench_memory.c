/* bench_memory.c - GOALS W1 and W1z in memory: two stacks in one thread, each the other's link.
 *
 *     bench-memory [W1|W1z]... [--seconds S]      all rows by default, 1 s each; README.md
 *
 *                program    stack A       wire             stack B     program
 *     W1         in ─copy─▶ queue ─copy, sum─▶ packets ─copy, verify─▶ queue ─copy─▶ out
 *     W1z        in ─copy─▶ queue ─copy─▶ 64 KiB packets ────refer───▶ queue ─copy─▶ out
 *     W1z, lent  in ─────refer─────copy─▶ 64 KiB packets ────refer───▶ queue  looked at
 *
 * W bytes are in flight: the sender's window and its queue hold so many, and the receiver acknowledges when
 * all have come. Both programs work as packets come and go: of a large window the sender's queues as much as
 * the wire takes at once, and the receiver's reads what has come, before there is more of it. The wire does
 * what a network card does: in W1 it cuts what the stack gives it into packets of the MTU, with their
 * checksums, and the receiving stack verifies each. lwIP has no timestamps, so they are off here too. The
 * limits are measured by peers/limits.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tern/host.h>

#include "bench/peers/peer.h"

#define MEMORY   (256ull << 20)
#define BATCH    32         /* packets that arrive together */
#define TX_BATCH 16
#define MSS      1460u
#define GSO      (44 * MSS) /* payload of a super-segment */
#define SLOTS    64         /* packets of the wire that the receiver may refer to */
#define FRONT    24         /* before a packet: so its payload begins on a cache line */

enum how { CARD, WHOLE, LENT };

struct end {
    tern *t;
    int link;
    tern_ip ip;
};

struct wire {
    struct end a, b;
    enum how how;
    tern_sum_fn *sum;
    uint64_t now;
    tern_tx_packet tx[TX_BATCH];
    tern_rx_packet rx[BATCH];
    uint8_t *bytes;       /* of the packets under way, `room` for each */
    uint32_t room;
    int region;           /* of stack B: these bytes */
    uint32_t free[SLOTS]; /* WHOLE, LENT: those that nobody refers to */
    int n_free;
};

static uint8_t out[1 << 14]; /* what the program gets at once */
static uint8_t in[1 << 20];  /* what it sends; but for LENT only the beginning of it, again and again */

static void *map(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void end_init(struct end *e, uint8_t host, uint32_t window)
{
    tern_config cfg = {
        .page_size = 65536, .recv_buffer = window, .send_buffer = window, .no_timestamps = 1, .seed = {host}};
    if (tern_create(&e->t, &cfg, map(MEMORY), MEMORY) < 0)
        abort();
    tern_set_sum(e->t, tern_host_sum(-1));
    e->link = tern_link_add(e->t, &(tern_link_info){.mtu = MSS + 40, .gso_max = GSO, .tx_csum = true});
    e->ip = tern_ip4(192, 0, 2, host);
    tern_addr_add(e->t, e->link, &e->ip, 24);
}

static uint8_t *slot(const struct wire *w, uint32_t k) { return w->bytes + (size_t)k * w->room + FRONT; }

static void wire_init(struct wire *w, enum how how, uint32_t window)
{
    *w = (struct wire){.how = how,
                       .sum = tern_host_sum(-1),
                       .now = 1000000,
                       .room = how == CARD ? 1536 : 65536,
                       .n_free = SLOTS};
    w->bytes = map((size_t)SLOTS * w->room);
    end_init(&w->a, 1, window);
    end_init(&w->b, 2, window);
    for (uint32_t i = 0; i < SLOTS; i++)
        w->free[i] = SLOTS - 1 - i;
    if (w->a.link != w->b.link)
        abort();
    for (uint32_t i = 0; i < BATCH; i++)
        w->rx[i] = (tern_rx_packet){.data = slot(w, i), .link = (uint8_t)w->a.link};
    w->region = tern_region_add(w->b.t, w->bytes, (uint64_t)SLOTS * w->room);
}

/* --- packets cut and summed: W1 ---------------------------------------------------------------- */

static void arrive(struct wire *w, struct end *to, int n)
{
    if (n > 0 && tern_rx(to->t, w->now, w->rx, n) != n)
        abort(); /* nothing is lost here, and every checksum is right */
}

static void carry_cut(struct wire *w, const tern_tx_packet *pkts, int n, struct end *to)
{
    uint32_t there = 0, len[BATCH];
    for (int i = 0; i < n;) {
        tern_cut cut;
        tern_cut_begin(&cut, &pkts[i++], w->sum);
        for (bool more = true; more;) {
            uint32_t end = there + tern_cut_some(&cut, slot(w, there), w->room, len, BATCH - there);
            more = end == BATCH;
            for (const uint32_t *of = len; there < end; there++)
                w->rx[there].len = *of++; /* all else stands there already */
            if (more)
                arrive(w, to, BATCH), there = 0;
        }
    }
    arrive(w, to, (int)there);
}

/* --- packets as they are, which may stay where they lie: W1z ------------------------------------ */

static void flatten(const tern_tx_packet *p, uint8_t *to)
{
    memcpy(to, p->hdr, p->hdr_len);
    to += p->hdr_len;
    for (uint32_t i = 0; i < p->n_slices; to += p->slices[i].len, i++)
        memcpy(to, p->slices[i].data, p->slices[i].len);
}

static void carry_whole(struct wire *w, const tern_tx_packet *pkts, int n, struct end *to)
{
    uint64_t back[SLOTS];
    int returned = tern_rx_returned(w->b.t, w->region, back, SLOTS);
    for (int i = 0; i < returned; i++)
        w->free[w->n_free++] = (uint32_t)back[i];
    for (int i = 0; i < n; i++) {
        uint32_t k = w->n_free > 0 ? w->free[--w->n_free] : (abort(), 0u);
        uint8_t *at = slot(w, k);
        flatten(&pkts[i], at);
        w->rx[i] = (tern_rx_packet){.data = at,
                                    .len = pkts[i].len,
                                    .gso_size = pkts[i].gso_size,
                                    .link = (uint8_t)to->link,
                                    .flags = TERN_RX_CSUM_OK | (to == &w->b ? TERN_RX_LENDABLE : 0),
                                    .region = (uint8_t)w->region,
                                    .pinned = w->room,
                                    .buffer = k};
    }
    arrive(w, to, n);
    for (int i = 0; i < n; i++)
        if (!w->rx[i].kept)
            w->free[w->n_free++] = (uint32_t)w->rx[i].buffer;
}

/* One direction: everything that `from` has to send now arrives at `to`. */
static int carry(struct wire *w, struct end *from, struct end *to)
{
    int total = 0, n;
    do {
        n = tern_tx(from->t, w->now, w->tx, TX_BATCH);
        (w->how == CARD ? carry_cut : carry_whole)(w, w->tx, n, to);
        total += n;
    } while (n == TX_BATCH);
    return total;
}

/* --- the programs -------------------------------------------------------------------------------- */

/* Queues all that there is room for; returns the bytes. */
static uint32_t feed(struct wire *w, tern_handle c, int region, uint32_t room, uint64_t pos)
{
    tern_lent lent[SLOTS];
    uint32_t left = room;
    long n = 1;
    while (left > 0 && n > 0) {
        uint64_t at = (pos + room - left) % sizeof in;
        if (w->how == LENT)
            n = tern_lend(w->a.t, c, region, at, left < sizeof in - at ? left : sizeof in - at, 0, 0);
        else
            n = tern_send(w->a.t, c, in, left < sizeof out ? left : sizeof out, 0);
        left -= n > 0 ? (uint32_t)n : 0;
    }
    while (w->how == LENT && tern_returned(w->a.t, lent, SLOTS) > 0)
        continue;
    return room - left;
}

/* Takes all that has come; returns the bytes. */
static uint32_t drain(struct wire *w, tern_handle s)
{
    tern_slice slices[32];
    uint32_t got = 0;
    for (long n = 1; n > 0;) {
        if (w->how == LENT) {
            int k = tern_peek(w->b.t, s, slices, 32);
            n = 0;
            for (int i = 0; i < k; i++)
                n += slices[i].len;
            tern_consume(w->b.t, s, (size_t)n);
        } else {
            n = tern_recv(w->b.t, s, out, sizeof out);
        }
        got += n > 0 ? (uint32_t)n : 0;
        if (n < (long)sizeof out && w->how != LENT)
            break; /* there is no more */
    }
    return got;
}

static void open_between(struct wire *w, tern_handle *c, tern_handle *s)
{
    tern_handle l;
    tern_endpoint at = {.port = 9}, to = {.ip = w->b.ip, .port = 9};
    if (tern_listen(w->b.t, &at, 1, &l) < 0 || tern_connect(w->a.t, NULL, &to, c) < 0)
        abort();
    while (carry(w, &w->a, &w->b) + carry(w, &w->b, &w->a) > 0)
        continue;
    if (tern_accept(w->b.t, l, s) < 0)
        abort();
}

static uint64_t copied(const struct wire *w)
{
    tern_stats a, b;
    tern_get_stats(w->a.t, &a);
    tern_get_stats(w->b.t, &b);
    return a.copied_bytes + b.copied_bytes;
}

static void bulk(const char *row, const char *which, enum how how, uint32_t segments, double seconds)
{
    static struct wire w;
    uint32_t window = segments * MSS, turn = how == CARD ? BATCH * MSS : window;
    tern_handle c, s;
    uint64_t got = 0, sent = 0;
    wire_init(&w, how, window);
    int region = tern_region_add(w.a.t, in, sizeof in);
    open_between(&w, &c, &s);
    double start = cpu_seconds(), used;
    do {
        for (int k = 0; k < 500; k++) {
            w.now += 20;
            for (uint32_t n = 1, asked = 0; n > 0 && asked < window; asked += n, sent += n) {
                n = feed(&w, c, region, window - asked < turn ? window - asked : turn, sent);
                carry(&w, &w.a, &w.b);
                got += drain(&w, s);
            }
            carry(&w, &w.b, &w.a);
        }
        tern_tick(w.a.t, w.now);
        tern_tick(w.b.t, w.now);
        used = cpu_seconds() - start;
    } while (used < seconds);
    printf("{\"workload\":\"%s\",\"case\":\"%s\",\"stack\":\"%s\",\"unit\":\"Gbit/s\",\"value\":%.2f,"
           "\"copied_bytes_per_byte\":%.3f}\n",
           row, which, how == LENT ? "tern-lent" : "tern", (double)got * 8 / used / 1e9,
           (double)copied(&w) / (double)got);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"8", "64", "700"};
    double seconds = argument(argc, argv, "--seconds", 1);
    for (uint32_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 3 && row_asked(argc, argv, "W1"); i++)
        bulk("W1", names[i], CARD, (uint32_t)atoi(names[i]), seconds);
    if (row_asked(argc, argv, "W1z")) {
        bulk("W1z", "", WHOLE, 4 * 44, seconds);
        bulk("W1z", "", LENT, 4 * 44, seconds);
    }
    return 0;
}
