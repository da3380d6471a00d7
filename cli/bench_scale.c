/* bench_scale.c - N connections between two stacks in one process: opened, held, spoken to at random, closed.
 *
 * Client and server are two stacks in memory that hand each other their packets in batches of 64, as two
 * machines would; both programs use the public calls alone. The clock is virtual. It goes on by a millisecond
 * with each batch, so that while packets go to random ones of very many connections nearly each packet finds
 * a connection at rest and wakes it, and it comes to rest again a second later: that is inside of what is
 * measured.
 *
 *   open    connect, accept                                    both ends
 *   held    an hour passes, second by second                   both ends
 *   W6      64 bytes arrive, are read, an ACK is made; timers  the server alone
 *   close   the client closes, then the server; 2 MSL          both ends
 */
#include "bench.h"
#include "cmd.h"
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>

#include "host/memory.h"
#include "host/wall.h"

enum {
    BATCH = 64,
    PER_PORT = 50000,   /* connections to each port of the server */
    FIRST_PORT = 1024,
    PAYLOAD = 64,
    STEP_US = 1000,     /* a batch */
    EVENTS = 4 * BATCH,
};
#define DEFAULT_N 1000000u
#define PACKETS 500000u   /* that are spoken, at least as many as there are in two seconds before */
#define FIRST_US 1000000u

struct side {
    tern *t;
    void *memory;
    size_t size;
    int link;
    tern_ip ip;
};

struct rig {
    struct side client, server;
    tern_handle listener, *handles; /* the client's */
    uint32_t n, open;
    uint64_t now, random;
    double server_s;                /* processor time inside of the server, while it was spoken to, */
    uint64_t packets;               /* by so many packets */
    const struct bench_options *o;
    struct progress *progress;
    tern_tx_packet tx[BATCH];
    tern_rx_packet rx[BATCH];
    uint8_t bytes[BATCH][2048];
    tern_event events[EVENTS];
};

static double cpu(void) { return (double)tern_cpu_ns() / 1e9; }

/* --- two stacks ------------------------------------------------------------------------------------ */

static bool side_open(struct side *s, uint8_t host, uint32_t n)
{
    tern_config cfg = {.port_low = 1024, .port_high = 65535};
    tern_link_info info = {.mtu = 1500};
    cfg.seed[0] = host;
    s->size = (size_t)n * 290 + ((size_t)96 << 20);
    s->ip = tern_ip4(192, 0, 2, host);
    s->memory = memory_reserve(s->size);
    if (s->memory == NULL || tern_create(&s->t, &cfg, s->memory, s->size) < 0)
        return false;
    s->link = tern_link_add(s->t, &info);
    return tern_addr_add(s->t, s->link, &s->ip, 24) == 0;
}

static void side_close(struct side *s)
{
    if (s->t != NULL)
        tern_destroy(s->t);
    memory_release(s->memory, s->size);
}

static bool rig_open(struct rig *g, uint32_t n)
{
    tern_endpoint any = {.port = 0};
    g->n = n;
    g->now = FIRST_US;
    g->random = 0x9e3779b97f4a7c15u;
    g->handles = malloc(n * sizeof *g->handles);
    return g->handles != NULL && side_open(&g->client, 1, n) && side_open(&g->server, 2, n) &&
           tern_listen_as(g->server.t, &any, 1 << 16, TERN_LISTEN_ANY_PORT, &g->listener) == 0 &&
           tern_setopt(g->server.t, g->listener, TERN_OPT_QUICKACK, 1) == 0;
}

static void rig_close(struct rig *g)
{
    side_close(&g->client);
    side_close(&g->server);
    free(g->handles);
}

/* --- packets from one to the other ------------------------------------------------------------------- */

/* What `from` has to send, at most a batch, lies in g->rx afterwards. */
static int collect(struct rig *g, struct side *from, const struct side *to)
{
    int n = tern_tx(from->t, g->now, g->tx, BATCH);
    for (int i = 0; i < n; i++) {
        uint32_t len = tern_tx_flatten(&g->tx[i], g->bytes[i]);
        g->rx[i] = (tern_rx_packet){.data = g->bytes[i], .len = len, .link = (uint8_t)to->link};
    }
    return n;
}

static int carry(struct rig *g, struct side *from, struct side *to)
{
    int total = 0, n;
    do {
        n = collect(g, from, to);
        tern_rx(to->t, g->now, g->rx, n);
        total += n;
    } while (n == BATCH);
    return total;
}

static void settle(struct rig *g)
{
    while (carry(g, &g->client, &g->server) + carry(g, &g->server, &g->client) > 0)
        continue;
}

static void pass(struct rig *g, uint64_t us)
{
    g->now += us;
    tern_tick(g->client.t, g->now);
    tern_tick(g->server.t, g->now);
}

/* All that is due by now happens: a call of tern_tick does a bounded amount. */
static void pass_all(struct rig *g, uint64_t us)
{
    pass(g, us);
    while (tern_next_deadline(g->client.t) <= g->now || tern_next_deadline(g->server.t) <= g->now) {
        pass(g, 0);
        settle(g);
    }
}

/* --- the server's program ---------------------------------------------------------------------------- */

static void serve_one(struct rig *g, const tern_event *e)
{
    uint8_t buf[BATCH * PAYLOAD];
    tern_handle h;
    tern *t = g->server.t;
    if (e->handle.v == g->listener.v) {
        while (tern_accept(t, g->listener, &h) == 0)
            continue;
        return;
    }
    if (tern_recv(t, e->handle, buf, sizeof buf) == 0 || e->bits & TERN_ENDED)
        tern_close(t, e->handle);
}

static void serve(struct rig *g)
{
    for (int n; (n = tern_events(g->server.t, g->events, EVENTS)) > 0;)
        for (int i = 0; i < n; i++)
            serve_one(g, &g->events[i]);
}

static void client_hears(struct rig *g)
{
    while (tern_events(g->client.t, g->events, EVENTS) > 0)
        continue;
}

/* --- the four phases --------------------------------------------------------------------------------- */

static bool open_batch(struct rig *g, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        tern_endpoint remote = {.ip = g->server.ip, .port = (uint16_t)(FIRST_PORT + i / PER_PORT)};
        if (tern_connect(g->client.t, NULL, &remote, &g->handles[i]) < 0)
            return false;
    }
    settle(g);
    serve(g);
    client_hears(g);
    settle(g);
    pass(g, STEP_US);
    return true;
}

static uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Connections `from` to `to` of the sizes that are measured at each; g->open goes on to `to`. */
static bool open_up_to(struct rig *g, uint32_t to)
{
    while (g->open < to) {
        uint32_t next = min(to, g->open + BATCH);
        if (!open_batch(g, g->open, next)) {
            fprintf(stderr, "tern bench: connection %u could not be opened\n", g->open);
            return false;
        }
        g->open = next;
        progress_tell(g->progress, g->open, g->n, "%u of %u open", g->open, g->n);
    }
    return true;
}

static void hold(struct rig *g)
{
    for (int s = 0; s < 3600; s++)
        pass_all(g, 1000000);
}

static uint32_t below(struct rig *g, uint32_t n)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return (uint32_t)((g->random >> 32) * n >> 32);
}

/* The server takes the n packets of g->rx, `each` at a time; its answers lie in g->tx. */
static int answer(struct rig *g, int n, int each)
{
    double since = cpu();
    int answers = 0;
    tern *t = g->server.t;
    for (int i = 0; i < n; i += each) {
        tern_rx(t, g->now, g->rx + i, n - i < each ? n - i : each);
        serve(g);
        answers += tern_tx(t, g->now, g->tx + answers, BATCH - answers);
    }
    tern_tick(t, g->now);
    g->server_s += cpu() - since;
    g->packets += (uint64_t)n;
    return answers;
}

/* A batch of random connections is spoken to. */
static bool speak_batch(struct rig *g, int each)
{
    static const uint8_t words[PAYLOAD];
    for (int i = 0; i < BATCH; i++)
        if (tern_send(g->client.t, g->handles[below(g, g->open)], words, PAYLOAD, 0) != PAYLOAD)
            return false;
    int answers = answer(g, collect(g, &g->client, &g->server), each);
    for (int i = 0; i < answers; i++) {
        uint32_t len = tern_tx_flatten(&g->tx[i], g->bytes[i]);
        g->rx[i] = (tern_rx_packet){.data = g->bytes[i], .len = len, .link = (uint8_t)g->client.link};
    }
    tern_rx(g->client.t, g->now, g->rx, answers);
    client_hears(g);
    g->now += STEP_US;
    tern_tick(g->client.t, g->now);
    return answers > 0;
}

/* ns a packet in the server; negative: it failed. */
static double speak(struct rig *g, int each, uint32_t packets)
{
    uint32_t before = min(packets, 2000000 / STEP_US * BATCH);
    for (uint32_t i = 0; i < before + packets; i += BATCH) {
        if (i / BATCH == before / BATCH)
            g->server_s = 0, g->packets = 0;
        if (!speak_batch(g, each))
            return -1;
        progress_tell(g->progress, i, before + packets, "%u open, spoken to %s", g->open,
                      each == 1 ? "one by one" : "in batches");
    }
    return g->server_s / (double)g->packets * 1e9;
}

static bool close_all(struct rig *g)
{
    for (uint32_t i = 0; i < g->n; i += BATCH) {
        for (uint32_t k = i; k < min(g->n, i + BATCH); k++)
            tern_close(g->client.t, g->handles[k]);
        carry(g, &g->client, &g->server);
        serve(g);
        settle(g);
        pass(g, STEP_US);
        progress_tell(g->progress, i, g->n, "%u of %u closed", i, g->n);
    }
    pass_all(g, 120000000);
    return true;
}

/* --- what is said ------------------------------------------------------------------------------------ */

static void say(const struct rig *g, const char *workload, const char *what, const char *unit, double value)
{
    progress_clear(g->progress);
    if (g->o->json)
        printf("{\"workload\":\"%s\",\"case\":\"%s%u\",\"stack\":\"tern\",\"unit\":\"%s\",\"value\":%.6g}\n",
               workload, what, g->open, unit, value);
    else
        printf("%-12s %9u %12.1f %s\n", *what != '\0' ? what : "spoken to ", g->open, value, unit);
    fflush(stdout);
}

static uint64_t used(const struct side *s)
{
    tern_live live;
    tern_get_live(s->t, &live);
    return live.arena_used - live.arena_free;
}

/* How many connections a side has, records in TIME_WAIT too. */
static uint32_t there(const struct side *s)
{
    tern_live live;
    tern_get_live(s->t, &live);
    return live.tcbs + live.timewait + live.halfopen;
}

static bool all_there(const struct rig *g, uint32_t n, const char *when)
{
    if (there(&g->client) == n && there(&g->server) == n)
        return true;
    fprintf(stderr, "tern bench: %s there are %u and %u connections, not %u\n", when, there(&g->client),
            there(&g->server), n);
    return false;
}

/* The largest that this process has been, bytes; 0: the kernel does not tell. */
static double resident(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmHWM: %lu", &kib) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return (double)kib * 1024;
}

/* At g->open connections. */
static bool measure_speaking(struct rig *g)
{
    uint32_t packets = g->o->packets != 0 ? g->o->packets : PACKETS;
    double batched = speak(g, BATCH, packets), single = batched < 0 ? -1 : speak(g, 1, packets);
    if (single < 0) {
        fprintf(stderr, "tern bench: a connection does not take what is said to it\n");
        return false;
    }
    say(g, "W6", "", "ns/packet", batched);
    say(g, "W6", "one by one ", "ns/packet", single);
    return true;
}

static bool measure_opening(struct rig *g, uint32_t to)
{
    double since = cpu(), from = g->open;
    if (!open_up_to(g, to) || !all_there(g, to, "after opening"))
        return false;
    say(g, "scale", "open ", "ns/connection", (cpu() - since) / (to - from) * 1e9);
    return true;
}

static bool measure_holding(struct rig *g)
{
    hold(g);
    double since = cpu();
    hold(g);
    say(g, "scale", "held ", "ns/connection/h", (cpu() - since) / g->n * 1e9);
    say(g, "scale", "memory ", "bytes/connection", (double)(used(&g->client) + used(&g->server)) / g->n);
    return all_there(g, g->n, "after two hours");
}

static bool measure_closing(struct rig *g)
{
    double since = cpu();
    close_all(g);
    say(g, "scale", "close ", "ns/connection", (cpu() - since) / g->n * 1e9);
    say(g, "scale", "process ", "GiB", resident() / (1 << 30));
    return all_there(g, 0, "after closing");
}

static bool measure(struct rig *g)
{
    for (uint64_t size = g->o->growth ? 1000 : g->n; size <= g->n; size *= 10)
        if (!measure_opening(g, (uint32_t)size) || !measure_speaking(g))
            return false;
    return (g->open == g->n || measure_opening(g, g->n)) && measure_holding(g) && measure_closing(g);
}

int bench_scale(const struct bench_options *o)
{
    struct progress progress;
    struct rig *g = calloc(1, sizeof *g);
    uint32_t n = o->n != 0 ? o->n : DEFAULT_N;
    int status = CMD_OK;
    if (g == NULL)
        return cmd_cannot("bench", "no memory");
    progress_begin(&progress, "bench");
    g->o = o;
    g->progress = &progress;
    if (!rig_open(g, n))
        status = cmd_cannot("bench", "no memory for two stacks of %u connections; give a smaller --n", n);
    else if (!measure(g))
        status = CMD_NO;
    rig_close(g);
    free(g);
    return status;
}
