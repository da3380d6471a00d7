/* bench_timewait.c - what a million connections in TIME_WAIT cost, and how long the longest call is while
 * they end.
 *
 *     bench-timewait [N]     default 1000000; one JSON object a line, IPv4 and IPv6
 *
 * Two stacks in one thread, each the other's link; the clock is virtual. The server closes first, so its side
 * waits. Bytes a record: (memory of the arena with N - with 0) / N, the table of connections included, at the
 * end and at the worst of all points from N/2 on. Longest call: the longest tern_tick while all of them end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <tern/event.h>
#include <tern/socket.h>
#include <tern/stats.h>

#define BATCH 64
#define PORTS 20000u /* of the client, for each of the server's */

struct end {
    tern *t;
    int link;
    tern_ip ip;
};

static struct end server, client;
static uint64_t now = 1000000;
static uint8_t bytes[BATCH][2048];

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* the machine may have other work */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench-timewait: %s\n", what);
    exit(1);
}

static void make(struct end *e, uint8_t host, bool v6, size_t size)
{
    tern_config cfg = {.msl_ms = 600000};
    cfg.seed[0] = host;
    void *mem =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(mem != MAP_FAILED && tern_create(&e->t, &cfg, mem, size) == 0, "no memory");
    tern_link_info info = {.mtu = 1500};
    e->link = tern_link_add(e->t, &info);
    e->ip = v6 ? (tern_ip){{0x20, 0x01, 0x0d, 0xb8}} : tern_ip4(192, 0, 2, host);
    e->ip.b[15] = host;
    must(tern_addr_add(e->t, e->link, &e->ip, v6 ? 64 : 24) == 0, "address");
}

static int carry(struct end *from, struct end *to)
{
    static tern_tx_packet tx[BATCH];
    static tern_rx_packet rx[BATCH];
    int n = tern_tx(from->t, now, tx, BATCH);
    for (int i = 0; i < n; i++) {
        uint32_t len = tx[i].hdr_len;
        memcpy(bytes[i], tx[i].hdr, len);
        rx[i] = (tern_rx_packet){.data = bytes[i], .len = len, .link = (uint8_t)to->link};
    }
    tern_rx(to->t, now, rx, n);
    return n;
}

static void settle(void)
{
    while (carry(&client, &server) + carry(&server, &client) > 0)
        continue;
}

/* One life: the client connects, the server closes, the client closes. */
static void live(tern_handle listener, uint32_t i)
{
    tern_handle c, s;
    tern_endpoint from = {client.ip, (uint16_t)(10000 + i % PORTS), 0};
    tern_endpoint to = {server.ip, (uint16_t)(1000 + i / PORTS), 0};
    must(tern_connect(client.t, &from, &to, &c) == 0, "connect");
    settle();
    must(tern_accept(server.t, listener, &s) == 0, "accept");
    tern_close(server.t, s);
    settle();
    tern_close(client.t, c);
    settle();
}

static uint64_t memory(void)
{
    tern_live v;
    tern_get_live(server.t, &v);
    return v.arena_used - v.arena_free;
}

static double expire(uint32_t *calls)
{
    double longest = 0;
    for (uint64_t next; (next = tern_next_deadline(server.t)) != UINT64_MAX; ++*calls) {
        now = next > now ? next : now;
        double start = seconds();
        tern_tick(server.t, now);
        double took = seconds() - start;
        longest = took > longest ? took : longest;
    }
    return longest;
}

static void run(bool v6, uint32_t n)
{
    make(&server, 1, v6, (size_t)n * 160 + (64u << 20));
    make(&client, 2, v6, 64u << 20);
    tern_handle listener = {0};
    double before = 0, worst = 0;
    for (uint32_t i = 0; i < n; i++) {
        tern_endpoint at = {server.ip, (uint16_t)(1000 + i / PORTS), 0};
        if (i % PORTS == 0)
            must(tern_listen(server.t, &at, 0, &listener) == 0, "listen");
        if (i == 0)
            before = (double)memory();
        live(listener, i);
        if (i >= n / 2 && i % 64 == 0 && ((double)memory() - before) / (i + 1) > worst)
            worst = ((double)memory() - before) / (i + 1);
    }
    tern_live v;
    tern_get_live(server.t, &v);
    must(v.timewait == n, "not all are in TIME_WAIT");
    double each = ((double)memory() - before) / n;
    uint32_t calls = 0;
    double longest = expire(&calls);
    tern_get_live(server.t, &v);
    must(v.timewait == 0, "not all have ended");
    printf("{\"record\":\"timewait\",\"ip\":%d,\"n\":%u,\"bytes\":%.2f,\"worst_bytes\":%.2f,"
           "\"expire_calls\":%u,\"longest_call_us\":%.0f,\"left_bytes\":%.0f}\n",
           v6 ? 6 : 4, n, each, worst, calls, longest * 1e6, (double)memory() - before);
    fflush(stdout);
    tern_destroy(server.t);
    tern_destroy(client.t);
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    must(n > 0 && n <= 20000000, "1 to 20000000");
    run(false, n);
    run(true, n);
    return 0;
}
