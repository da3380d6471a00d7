/* bench_sizes.c - what one connection costs at each stage of its life, and the longest call on the way.
 *
 * One stack with a listener on every port it needs; the peers are forged: segments are built and parsed by
 * the simulation's codec, so that nothing but the stack's own records takes memory. The clock is virtual.
 * Time is processor time of the thread, since the machine may have other work.
 */
#include "bench.h"
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>

#include "host/wall.h"
#include "sim/packet.h"

#define DEFAULT_N 1000000u
#define PORT 80
#define PEER_PORTS 16u        /* of each peer's address: no source has more than its share */
#define PASSES 2
#define REST_EVERY 128u       /* idle: after so many new ones the clock goes on */
#define REST_US 4000000u      /* by this: longer than the first timeout */

enum { RX, TX, TICK, ACCEPT, CLOSE };
static const char *const calls[] = {"tern_rx", "tern_tx", "tern_tick", "tern_accept", "tern_close"};

struct longest {
    float us;
    uint8_t call;
};

struct rig {
    tern *t;
    void *memory;
    size_t size;
    uint64_t now;
    int link;
    bool v6;
    tern_endpoint local;
    tern_handle listener;
    struct longest call;      /* the longest since it was last cleared */
};

/* --- the stack and the clock ----------------------------------------------------------------------- */

static double cpu(void) { return (double)tern_cpu_ns() / 1e9; }

static void note(struct rig *g, uint8_t call, double since)
{
    float us = (float)((cpu() - since) * 1e6);
    if (us > g->call.us)
        g->call = (struct longest){us, call};
}

/* Bytes of the arena that are in use. */
static uint64_t used(const struct rig *g)
{
    tern_live live;
    tern_get_live(g->t, &live);
    return live.arena_used - live.arena_free;
}

static bool rig_open(struct rig *g, bool v6, uint32_t n)
{
    tern_config cfg = {.msl_ms = 600000};
    tern_link_info info = {.mtu = 1500};
    tern_ip any = {{0}};
    memset(g, 0, sizeof *g);
    g->v6 = v6;
    g->now = 1000000;
    g->size = (size_t)n * (v6 ? 336 : 288) + (64u << 20);
    g->memory =
        mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (g->memory == MAP_FAILED || tern_create(&g->t, &cfg, g->memory, g->size) < 0)
        return false;
    g->link = tern_link_add(g->t, &info);
    g->local.ip = v6 ? (tern_ip){{0x20, 0x01, 0x0d, 0xb8, [15] = 1}} : tern_ip4(192, 0, 2, 1);
    g->local.port = PORT;
    if (!v6)
        any = tern_ip4(0, 0, 0, 0);
    return tern_addr_add(g->t, g->link, &g->local.ip, v6 ? 64 : 24) == 0 &&
           tern_route_add(g->t, g->link, &any, 0) == 0 &&
           tern_listen(g->t, &g->local, 1u << 24, &g->listener) == 0;
}

static void rig_close(struct rig *g)
{
    if (g->t != NULL)
        tern_destroy(g->t);
    if (g->memory != NULL && g->memory != MAP_FAILED)
        munmap(g->memory, g->size);
}

/* --- the forged peers ------------------------------------------------------------------------------ */

static tern_endpoint peer(const struct rig *g, uint32_t i)
{
    uint32_t host = i / PEER_PORTS + 1;
    tern_endpoint e = {.port = (uint16_t)(10000 + i % PEER_PORTS)};
    e.ip = tern_ip4(10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host);
    if (g->v6)
        e.ip = (tern_ip){{0x20, 0x01, 0x0d, 0xb8, 1, (uint8_t)(host >> 16), (uint8_t)(host >> 8),
                          (uint8_t)host, [15] = 1}};
    return e;
}

static void send(struct rig *g, const struct segment *s)
{
    uint8_t bytes[PACKET_MAX];
    tern_rx_packet p = {.data = bytes, .len = segment_build(s, bytes), .link = (uint8_t)g->link};
    double since = cpu();
    tern_rx(g->t, g->now, &p, 1);
    note(g, RX, since);
}

/* Whether the stack has sent something; its last segment. */
static bool receive(struct rig *g, struct segment *out)
{
    static tern_tx_packet pkt;
    static uint8_t bytes[PACKET_MAX];
    bool any = false;
    for (;;) {
        double since = cpu();
        int n = tern_tx(g->t, g->now, &pkt, 1);
        note(g, TX, since);
        if (n != 1)
            return any;
        uint32_t len = tern_tx_flatten(&pkt, bytes);
        any = segment_parse(out, bytes, len) == NULL;
    }
}

static void tick(struct rig *g)
{
    double since = cpu();
    tern_tick(g->t, g->now);
    note(g, TICK, since);
}

static struct segment from_peer(const struct rig *g, uint32_t i, uint8_t flags)
{
    return (struct segment){.src = peer(g, i),
                            .dst = g->local,
                            .seq = 1000,
                            .flags = flags,
                            .window = 65535,
                            .ts = true,
                            .ts_val = 1};
}

/* --- the three kinds ------------------------------------------------------------------------------- */

static bool make_halfopen(struct rig *g, uint32_t i)
{
    struct segment syn = from_peer(g, i, SYN), answer;
    syn.mss = 1460;
    syn.wscale = 8;
    syn.sack_ok = true;
    send(g, &syn);
    return receive(g, &answer) && answer.flags == (SYN | ACK);
}

static bool establish(struct rig *g, uint32_t i, tern_handle *h, uint32_t *seq, uint32_t *stamp)
{
    struct segment syn = from_peer(g, i, SYN), answer, ack = from_peer(g, i, ACK);
    syn.mss = 1460;
    syn.wscale = 8;
    syn.sack_ok = true;
    send(g, &syn);
    if (!receive(g, &answer))
        return false;
    ack.seq = 1001;
    ack.ack = *seq = answer.seq + 1;
    ack.ts_ecr = *stamp = answer.ts_val;
    send(g, &ack);
    double since = cpu();
    int e = tern_accept(g->t, g->listener, h);
    note(g, ACCEPT, since);
    tern_event events[8];
    while (tern_events(g->t, events, 8) > 0)
        continue;
    receive(g, &answer);
    return e == 0;
}

static bool make_idle(struct rig *g, uint32_t i)
{
    tern_handle h;
    uint32_t seq, stamp;
    if (!establish(g, i, &h, &seq, &stamp))
        return false;
    if (i % REST_EVERY == REST_EVERY - 1) {
        g->now += REST_US;
        tick(g);
    }
    return true;
}

/* This side closes first. */
static bool make_timewait(struct rig *g, uint32_t i)
{
    tern_handle h;
    uint32_t seq, stamp;
    struct segment fin = from_peer(g, i, FIN | ACK), answer;
    if (!establish(g, i, &h, &seq, &stamp))
        return false;
    double since = cpu();
    tern_close(g->t, h);
    note(g, CLOSE, since);
    if (!receive(g, &answer) || !(answer.flags & FIN))
        return false;
    fin.seq = 1001;
    fin.ack = seq + 1;
    fin.ts_ecr = stamp;
    send(g, &fin);
    return receive(g, &answer) && answer.flags == ACK;
}

/* --- measuring ------------------------------------------------------------------------------------- */

struct kind {
    const char *name;
    bool (*make)(struct rig *g, uint32_t i);
};

static const struct kind kinds[] = {
    {"halfopen", make_halfopen},
    {"idle", make_idle},
    {"timewait", make_timewait},
};

/* How many the stack says there are. */
static uint32_t count(const struct rig *g, const struct kind *k)
{
    tern_live live;
    tern_get_live(g->t, &live);
    if (k->make == make_halfopen)
        return live.halfopen;
    return k->make == make_idle ? live.tcbs : live.timewait;
}

/* What was measured of n records of a kind. */
struct figures {
    double bytes, worst;      /* of one */
    double make_s;            /* processor time for all */
    struct longest made;      /* call while they were made */
    struct longest ended;     /* and while they ended; 0 = not measured */
};

static void report(bool v6, const struct kind *k, uint32_t n, const struct figures *f, bool json)
{
    const char *form = json ? "{\"record\":\"%s\",\"ip\":%d,\"n\":%u,\"bytes\":%.2f,\"worst_bytes\":%.2f,"
                              "\"longest_call_us\":%.0f,\"longest_call\":\"%s\",\"longest_end_us\":%.0f,"
                              "\"made_per_s\":%.0f}\n"
                            : "%-9s IPv%d %9u %9.2f %9.2f %12.0f  %-12s %12.0f %10.0f\n";
    printf(form, k->name, v6 ? 6 : 4, n, f->bytes, f->worst, (double)f->made.us, calls[f->made.call],
           (double)f->ended.us, n / (f->make_s > 0 ? f->make_s : 1));
    fflush(stdout);
}

/* `took`: the longest call for each record, or in a later pass the less of this and the earlier ones. */
static bool make_all(struct rig *g, const struct kind *k, uint32_t n, struct longest *took, bool again,
                     struct figures *f)
{
    double before = (double)used(g), since = cpu();
    *f = (struct figures){0};
    for (uint32_t i = 0; i < n; i++) {
        g->call.us = 0;
        if (!k->make(g, i)) {
            fprintf(stderr, "tern bench: %s number %u could not be made\n", k->name, i);
            return false;
        }
        double each = ((double)used(g) - before) / (i + 1);
        if (i >= n / 2 && each > f->worst)
            f->worst = each;
        if (!again || g->call.us < took[i].us)
            took[i] = g->call;
        if (took[i].us > f->made.us)
            f->made = took[i];
    }
    f->make_s = cpu() - since;
    if (k->make == make_idle) { /* the last of them as well */
        g->now += REST_US;
        tick(g);
    }
    f->bytes = ((double)used(g) - before) / n;
    return true;
}

/* Half-open and TIME_WAIT records end by their timers alone. */
static void let_end(struct rig *g, const struct kind *k, struct figures *f)
{
    struct segment s;
    g->call.us = 0;
    for (uint64_t next; count(g, k) > 0 && (next = tern_next_deadline(g->t)) != UINT64_MAX;) {
        g->now = next > g->now ? next : g->now;
        tick(g);
        receive(g, &s);
    }
    f->ended = g->call;
}

static bool measure(struct rig *g, const struct kind *k, uint32_t n, struct longest *took, bool again,
                    struct figures *f)
{
    if (!make_all(g, k, n, took, again, f))
        return false;
    uint32_t there = count(g, k);
    if (there != n) {
        fprintf(stderr, "tern bench: of %u %s records %u are there\n", n, k->name, there);
        return false;
    }
    if (k->make != make_idle)
        let_end(g, k, f);
    return true;
}

/* Each pass does exactly the same, so what the machine's other work adds to a call in one is not there in the
 * other: a call counts with its shortest. */
static int one_size(const struct kind *k, bool v6, uint32_t n, bool json)
{
    struct figures f = {0};
    float ended = 0;
    struct longest *took = malloc(n * sizeof *took);
    int status = took != NULL ? CMD_OK : cmd_cannot("bench", "no memory for %u figures", n);
    for (int pass = 0; pass < PASSES && status == CMD_OK; pass++) {
        struct rig g;
        if (!rig_open(&g, v6, n))
            status = cmd_cannot("bench", "no memory for %u connections", n);
        else if (!measure(&g, k, n, took, pass > 0, &f))
            status = CMD_NO;
        rig_close(&g);
        ended = pass == 0 || f.ended.us < ended ? f.ended.us : ended;
    }
    f.ended.us = ended;
    if (status == CMD_OK)
        report(v6, k, n, &f, json);
    free(took);
    return status;
}

int bench_sizes(const struct bench_options *o)
{
    uint32_t n = o->n != 0 ? o->n : DEFAULT_N;
    int status = CMD_OK;
    if (!o->json)
        printf("%-14s %9s %9s %9s %12s  %-12s %12s %10s\n", "record", "number", "bytes", "worst",
               "longest us", "in", "ending us", "made per s");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (o->only != NULL && strcmp(o->only, kinds[i].name) != 0)
            continue;
        for (int v6 = 0; v6 < 2; v6++)
            for (uint64_t size = o->growth ? 1000 : n; size <= n && status == CMD_OK; size *= 10)
                status = one_size(&kinds[i], v6 != 0, (uint32_t)size, o->json);
    }
    return status;
}
