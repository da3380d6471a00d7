/* bench_memory.c - GOALS W1, W1z and W2 in memory: two stacks in one thread, each the other's link.
 *
 *     bench-memory [W1|W1z|W2]... [--seconds S]      all rows by default, 1 s each; bench/README.md
 *
 * W1: the sender keeps W bytes in flight; bytes are copied in and out and every checksum is made and
 * verified; what the machine can do at most is measured by peers/limits.c. W2: connect, 64 bytes there, 64
 * back, the client closes, to TIME_WAIT; the virtual clock moves so that few stay in TIME_WAIT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <tern/host.h>

#include "wire/wire.h"

#define MEMORY (256ull << 20)
#define BATCH    32 /* packets that arrive together */
#define TX_BATCH 16
#define MTU_ROOM 1536
#define GSO 64240 /* 44 segments */

/* What the two stacks are told of the wire between them. */
enum kind {
    PLAIN, /* packets and checksums are made by the stack */
    CARD,  /* the wire cuts super-segments into packets and makes their checksums, as a network card does */
    WHOLE, /* super-segments pass whole, without checksums */
};

struct end {
    tern *t;
    int link;
    tern_ip ip;
};

struct wire {
    struct end a, b;
    uint64_t now;
    tern_tx_packet tx[TX_BATCH];
    tern_rx_packet rx[BATCH];
    uint8_t *bytes; /* of the packets that are under way, `room` for each */
    uint32_t room;
    enum kind kind;
};

static double cpu_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void end_init(struct end *e, uint8_t host, uint32_t window, enum kind kind)
{
    tern_config cfg = {
        .page_size = 16384, .recv_buffer = window, .send_buffer = window, .no_timestamps = kind != PLAIN};
    cfg.seed[0] = host;
    void *mem =
        mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED || tern_create(&e->t, &cfg, mem, MEMORY) < 0)
        abort();
    tern_set_sum(e->t, tern_host_sum(-1));
    tern_link_info info = {.mtu = 1500, .gso_max = kind != PLAIN ? GSO : 0, .tx_csum = kind != PLAIN};
    e->link = tern_link_add(e->t, &info);
    e->ip = tern_ip4(192, 0, 2, host);
    tern_addr_add(e->t, e->link, &e->ip, 24);
}

/* What the sender's stack gave, as the receiver's link has it. */
static void lay(struct wire *w, int at, uint32_t len, const tern_tx_packet *p, const struct end *to)
{
    w->rx[at] = (tern_rx_packet){.data = w->bytes + (size_t)at * w->room,
                                 .len = len,
                                 .gso_size = w->kind == WHOLE ? p->gso_size : 0,
                                 .link = (uint8_t)to->link,
                                 .flags = w->kind == WHOLE ? TERN_RX_CSUM_OK : 0};
}

static void deliver(struct wire *w, struct end *to, int n)
{
    tern_rx(to->t, w->now, w->rx, n);
}

/* One direction: everything that `from` has to send now arrives at `to`. */
static int carry(struct wire *w, struct end *from, struct end *to)
{
    int total = 0, there = 0;
    for (int n; (n = tern_tx(from->t, w->now, w->tx, TX_BATCH)) > 0;) {
        total += n;
        for (int i = 0; i < n; i++) {
            const tern_tx_packet *p = &w->tx[i];
            tern_cut cut;
            tern_cut_begin(&cut, p, NULL);
            cut.cuts &= w->kind == CARD;
            for (uint32_t len; (len = tern_cut_next(&cut, w->bytes + (size_t)there * w->room)) > 0;) {
                lay(w, there++, len, p, to);
                if (there == BATCH) {
                    deliver(w, to, there);
                    there = 0;
                }
            }
        }
        if (n < TX_BATCH)
            break;
    }
    if (there > 0)
        deliver(w, to, there);
    return total;
}

static void settle(struct wire *w)
{
    int n;
    do {
        n = carry(w, &w->a, &w->b);
        n += carry(w, &w->b, &w->a);
    } while (n > 0);
}

static struct wire *wire_new(uint32_t window, enum kind kind)
{
    struct wire *w = calloc(1, sizeof *w);
    w->room = kind == WHOLE ? 66000 : MTU_ROOM;
    w->bytes = malloc((size_t)BATCH * w->room);
    w->now = 1000000;
    w->kind = kind;
    end_init(&w->a, 1, window, kind);
    end_init(&w->b, 2, window, kind);
    return w;
}

static tern_handle listen_on(struct wire *w, uint16_t port)
{
    tern_handle l;
    tern_endpoint at = {.port = port};
    if (tern_listen(w->b.t, &at, 1024, &l) < 0)
        abort();
    return l;
}

static uint8_t in[1 << 14], out[1 << 14]; /* what the programs hand over and get at once */

static void bulk(const char *row, uint32_t segments, enum kind kind, double seconds)
{
    uint32_t window = segments * 1460;
    struct wire *w = wire_new(window, kind);
    tern_handle l = listen_on(w, 9), c, s;
    tern_endpoint to = {.ip = w->b.ip, .port = 9};
    tern_connect(w->a.t, NULL, &to, &c);
    settle(w);
    if (tern_accept(w->b.t, l, &s) < 0)
        abort();
    uint64_t got = 0;
    uint32_t room = window;
    double start = cpu_seconds(), used;
    do {
        for (int k = 0; k < 2000; k++) {
            w->now += 20;
            for (long n; room > 0; room -= (uint32_t)n)
                if ((n = tern_send(w->a.t, c, in, sizeof in < room ? sizeof in : room, 0)) <= 0)
                    break;
            carry(w, &w->a, &w->b);
            for (long n; (n = tern_recv(w->b.t, s, out, sizeof out)) > 0;)
                got += (uint64_t)n, room += (uint32_t)n;
            carry(w, &w->b, &w->a);
        }
        tern_tick(w->a.t, w->now);
        tern_tick(w->b.t, w->now);
        used = cpu_seconds() - start;
    } while (used < seconds);
    printf("{\"workload\":\"%s\",\"case\":\"%u\",\"stack\":\"tern\",\"unit\":\"Gbit/s\",\"value\":%.2f}\n",
           row, segments, (double)got * 8 / used / 1e9);
}

static void life(struct wire *w, tern_handle l, const tern_endpoint *to)
{
    tern_handle c, s;
    uint8_t buf[64];
    if (tern_connect(w->a.t, NULL, to, &c) < 0)
        abort();
    carry(w, &w->a, &w->b), carry(w, &w->b, &w->a);
    tern_send(w->a.t, c, in, 64, 0);
    carry(w, &w->a, &w->b);
    if (tern_accept(w->b.t, l, &s) < 0 || tern_recv(w->b.t, s, buf, 64) != 64)
        abort();
    tern_send(w->b.t, s, buf, 64, 0);
    carry(w, &w->b, &w->a);
    if (tern_recv(w->a.t, c, buf, 64) != 64)
        abort();
    tern_close(w->a.t, c);
    carry(w, &w->a, &w->b);
    if (tern_recv(w->b.t, s, buf, 64) != 0)
        abort();
    tern_close(w->b.t, s);
    carry(w, &w->b, &w->a), carry(w, &w->a, &w->b);
}

/* One at a time; after each batch of lives the clock passes 2 MSL. */
static void lives(double seconds)
{
    struct wire *w = wire_new(65536, PLAIN);
    tern_handle l = listen_on(w, 80);
    tern_endpoint to = {.ip = w->b.ip, .port = 80};
    uint64_t n = 0;
    double start = cpu_seconds(), used;
    do {
        for (int k = 0; k < 1000; k++, n++) {
            w->now += 60000; /* about 1,000 in TIME_WAIT */
            life(w, l, &to);
            tern_tick(w->a.t, w->now), tern_tick(w->b.t, w->now);
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    printf("{\"workload\":\"W2\",\"stack\":\"tern\",\"unit\":\"lives/cpu-s\",\"value\":%.0f}\n",
           (double)n / used);
}

/* Whether the row is asked for: all are when none is named. */
static bool asked(int argc, char **argv, const char *row)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], row) == 0)
            return true;
        any |= argv[i][0] == 'W';
    }
    return !any;
}

int main(int argc, char **argv)
{
    static const uint32_t segments[] = {8, 64, 700};
    double seconds = argc > 2 && strcmp(argv[argc - 2], "--seconds") == 0 ? atof(argv[argc - 1]) : 1;
    for (uint32_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    for (int i = 0; i < 3 && asked(argc, argv, "W1"); i++)
        if (getenv("ONE") == NULL || atoi(getenv("ONE")) == i) bulk("W1", segments[i], CARD, seconds);
    if (asked(argc, argv, "W1z"))
        bulk("W1z", 700, WHOLE, seconds);
    if (asked(argc, argv, "W2"))
        lives(seconds);
    return 0;
}
