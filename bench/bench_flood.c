/* bench_flood.c - SYNs from addresses that nobody has, in memory.
 *
 *     bench-flood [SYNS [RECORDS]]     default 10000000 and 1000000; one JSON object a line, IPv4 and IPv6
 *
 * flood: SYNS to a listener with a backlog of 1,024; SYNs a CPU-second with their answers taken, and the
 * memory of the arena when the backlog was full and at the end. halfopen: RECORDS to a listener with room for
 * all: bytes a record, (memory with N - with 0) / N, the table of connections included, at the end and at the
 * worst of all points from N/2 on; and the longest single call of tern_rx (64 packets), tern_tx (64 packets)
 * and tern_tick, until all have been repeated and given up.
 *
 *     bench-flood W7 [--seconds S]     GOALS W7, in the form of bench/README.md
 *
 * The flood for S seconds of processor time, and during it 1,000 connects of an honest client. `served` is
 * how many of them opened by their first SYN.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <tern/event.h>
#include <tern/socket.h>
#include <tern/stats.h>

#include "peers/peer.h"
#include "wire/wire.h"

#define BATCH  64
#define HONEST 1000

static uint64_t now = 1000000;
static uint8_t bytes[BATCH][128];
static double longest;

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* the machine may have other work */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static tern *make(bool v6, uint8_t host, uint32_t backlog, tern_ip *ip, tern_handle *l)
{
    size_t size = 8ull << 30;
    tern_config cfg = {.seed = {host}};
    tern *t;
    void *mem =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tern_link_info info = {.mtu = 1500};
    if (mem == MAP_FAILED || tern_create(&t, &cfg, mem, size) < 0)
        abort();
    int link = tern_link_add(t, &info);
    *ip = v6 ? (tern_ip){{0x20, 0x01, 0x0d, 0xb8, [15] = host}} : tern_ip4(192, 0, 2, host);
    tern_ip any = v6 ? (tern_ip){{0}} : tern_ip4(0, 0, 0, 0);
    if (link != 1 || tern_addr_add(t, link, ip, v6 ? 64 : 24) < 0 || tern_route_add(t, link, &any, 0) < 0 ||
        tern_listen(t, &(tern_endpoint){.port = 80}, backlog, l) < 0)
        abort();
    return t;
}

/* The n-th SYN of a flood; checksums count as verified by the link. */
static uint32_t syn(uint8_t *p, const tern_ip *to, uint32_t n)
{
    uint32_t dice = n * 2654435761u;
    struct segment s = {.dst = *to, .dst_port = 80, .seq = seq(dice), .wnd = 65535, .flags = F_SYN};
    s.src = tern_ip_is4(to) ? tern_ip4(198, (uint8_t)(18 + (n >> 16 & 1)), (uint8_t)(n >> 8), (uint8_t)n)
                            : (tern_ip){{0x20, 0x01, 0x0d, 0xb8, 0xff, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                                         (uint8_t)n}};
    s.src_port = (uint16_t)(1024 + (n >> 17));
    s.opt = (struct tcp_opts){.mss = 1460, .wscale = 7, .sack_ok = true, .ts = true, .ts_val = n};
    uint16_t len = (uint16_t)(20 + tcp_opts_len(&s.opt, s.flags));
    uint16_t at = ip_emit(p, &s.src, &s.dst, PROTO_TCP, 64, 0, len, 1);
    return (uint32_t)at + tcp_emit(p + at, &s);
}

static uint64_t used(const tern *t)
{
    tern_live v;
    tern_get_live(t, &v);
    return v.arena_used - v.arena_free;
}

static double timed(double start)
{
    double took = seconds() - start;
    longest = took > longest ? took : longest;
    return took;
}

static void make_batch(tern_rx_packet *in, const tern_ip *to, uint32_t first)
{
    for (uint32_t i = 0; i < BATCH; i++)
        in[i] = (tern_rx_packet){
            .data = bytes[i], .len = syn(bytes[i], to, first + i), .link = 1, .flags = TERN_RX_CSUM_OK};
    now += 10 * BATCH; /* 100,000 a second */
}

/* A batch of SYNs comes in and its answers are taken. Returns the CPU seconds of both. The clock is read
 * twice, since to read it costs as much as to answer a SYN. */
static double batch(tern *t, const tern_ip *to, uint32_t first)
{
    static tern_tx_packet out[BATCH];
    tern_rx_packet in[BATCH];
    make_batch(in, to, first);
    double start = seconds();
    tern_rx(t, now, in, BATCH);
    while (tern_tx(t, now, out, BATCH) > 0)
        continue;
    return seconds() - start;
}

/* The same; the longest call is noted. */
static void batch_by_calls(tern *t, const tern_ip *to, uint32_t first)
{
    static tern_tx_packet out[BATCH];
    tern_rx_packet in[BATCH];
    make_batch(in, to, first);
    double start = seconds();
    tern_rx(t, now, in, BATCH);
    timed(start);
    for (int n = 1; n > 0;) {
        start = seconds();
        n = tern_tx(t, now, out, BATCH);
        timed(start);
    }
}

static void let_pass(tern *t, uint64_t until)
{
    static tern_tx_packet out[BATCH];
    for (uint64_t due; (due = tern_next_deadline(t)) <= until;) {
        now = due > now ? due : now;
        double start = seconds();
        tern_tick(t, now);
        timed(start);
        for (int n = 1; n > 0;) {
            start = seconds();
            n = tern_tx(t, now, out, BATCH);
            timed(start);
        }
    }
}

static void flood(bool v6, uint32_t syns)
{
    tern_ip ip;
    tern_handle l;
    tern *t = make(v6, 1, 1024, &ip, &l);
    uint64_t full = 0;
    double cpu = 0;
    longest = 0;
    for (uint32_t n = 0; n < syns; n += BATCH) {
        cpu += batch(t, &ip, n);
        if (n == 16 * BATCH)
            full = used(t);
        let_pass(t, now);
    }
    tern_stats s;
    tern_get_stats(t, &s);
    printf("{\"row\":\"flood\",\"ip\":%d,\"syns\":%u,\"syns_per_cpu_second\":%.0f,\"cookies\":%llu,"
           "\"bytes_full\":%llu,\"bytes_end\":%llu}\n",
           v6 ? 6 : 4, syns, syns / cpu, (unsigned long long)s.cookies_sent, (unsigned long long)full,
           (unsigned long long)used(t));
}

/* What one stack has to send goes to the other, if that is there. */
static void pass(tern *from, tern *to)
{
    static tern_tx_packet out[BATCH];
    static uint8_t packet[2048];
    for (int n; (n = tern_tx(from, now, out, BATCH)) > 0;)
        for (int i = 0; to != NULL && i < n; i++) {
            tern_rx_packet in = {.data = packet, .len = tern_tx_flatten(&out[i], packet), .link = 1};
            tern_rx(to, now, &in, 1);
        }
}

/* One connect of an honest client: whether its first SYN opened it. Both ends forget it then. */
static bool honest(tern *client, tern *t, const tern_ip *ip, tern_handle l)
{
    tern_handle c, s;
    if (tern_connect(client, NULL, &(tern_endpoint){.ip = *ip, .port = 80}, &c) < 0)
        return false;
    pass(client, t), pass(t, client), pass(client, t);
    bool served = tern_accept(t, l, &s) == 0;
    if (served)
        tern_abort(t, s);
    tern_abort(client, c);
    pass(t, NULL), pass(client, NULL);
    return served;
}

static void honest_flood(bool v6, double most)
{
    tern_ip ip, own;
    tern_handle l, none;
    tern *t = make(v6, 1, 1024, &ip, &l), *client = make(v6, 2, 16, &own, &none);
    uint32_t served = 0, asked = 0, n = 0;
    double cpu = 0;
    const char *stack = v6 ? "tern-ipv6" : "tern";
    for (; cpu < most || asked < HONEST; n += BATCH) {
        cpu += batch(t, &ip, n);
        if (asked < HONEST && n >= 64 * BATCH) { /* the backlog is full */
            double start = seconds();
            served += honest(client, t, &ip, l);
            cpu += timed(start);
            asked++;
        }
        let_pass(t, now);
    }
    result("W7", "", stack, "SYN/cpu-s", n / cpu);
    result("W7", "served", stack, "of 1,000", served);
}

static void records(bool v6, uint32_t want)
{
    tern_ip ip;
    tern_handle l;
    tern *t = make(v6, 1, 1u << 24, &ip, &l);
    uint64_t before = used(t);
    double worst = 0, at_end = 0;
    tern_live v;
    longest = 0;
    for (uint32_t n = 0; n < want; n += BATCH) {
        batch_by_calls(t, &ip, n);
        at_end = (double)(used(t) - before) / (n + BATCH);
        worst = n >= want / 2 && at_end > worst ? at_end : worst;
    }
    double coming = longest;
    longest = 0;
    tern_get_live(t, &v);
    uint32_t most = v.halfopen;
    let_pass(t, now + 100000000);
    tern_get_live(t, &v);
    printf("{\"row\":\"halfopen\",\"ip\":%d,\"n\":%u,\"bytes\":%.1f,\"worst_bytes\":%.1f,\"longest_us\":%.0f,"
           "\"longest_repeating_us\":%.0f,\"left\":%u}\n",
           v6 ? 6 : 4, most, at_end, worst, coming * 1e6, longest * 1e6, v.halfopen);
}

int main(int argc, char **argv)
{
    if (argc > 1 && row_asked(argc, argv, "W7") && argv[1][0] == 'W') {
        honest_flood(false, argument(argc, argv, "--seconds", 1));
        honest_flood(true, argument(argc, argv, "--seconds", 1));
        return 0;
    }
    uint32_t syns = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000000;
    uint32_t want = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000000;
    for (int v6 = 0; v6 < 2; v6++) {
        flood(v6, syns);
        records(v6, want);
    }
    return 0;
}
