/* bench_lives.c - GOALS W2, W2c, W2t and W2m: whole lives of connections in memory, two stacks in one thread.
 *
 *     bench-lives [ROW...] [--seconds S | --lives N]        one line of result a row (README.md)
 *
 * A life: connect, 64 bytes there, 64 back, the client closes, the server closes, the client waits in
 * TIME_WAIT. Everything goes through the public calls, every checksum is made and verified, and what a stack
 * wrote is handed to the other as it is: the bench copies headers and payload into one packet, as a wire
 * would, where there is payload, and does nothing else. The virtual clock moves on with each life, so that as
 * many connections stay in TIME_WAIT as the row says; their ends and the choice of ports are inside of the
 * measured time.
 *
 *     W2    1 at a time, about 1,000 in TIME_WAIT
 *     W2c   1,000 at a time, about 1,000 more in TIME_WAIT
 *     W2t   1 at a time, 50,000 in TIME_WAIT (the server has four ports, since to one there are 28,232)
 *     W2m   1,000 at a time, with 1 million idle connections and 1 million in TIME_WAIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tern/event.h>
#include <tern/socket.h>
#include <tern/stats.h>

#include "bench/peers/peer.h"

#define BATCH   64
#define PORT    1000
#define TWO_MSL 60000000ull

struct end {
    tern *t;
    int link;
};

struct row {
    const char *name;
    uint32_t at_once;  /* lives at the same time */
    uint32_t waiting;  /* in TIME_WAIT, about */
    uint32_t idle;     /* connections that do nothing meanwhile */
    uint32_t ports;    /* of the server: to each the client has all of its own */
};

static const struct row rows[] = {
    {"W2", 1, 1000, 0, 1},
    {"W2c", 1000, 2000, 0, 1},
    {"W2t", 1, 50000, 0, 4},
    {"W2m", 1000, 1000000, 1000000, 120},
};

struct bench {
    struct end a, b;
    const struct row *row;
    tern_ip server;
    uint64_t now;
    tern_handle *listener;      /* one for each port */
    uint32_t turn, accepted;    /* which port is next, for connect and for accept */
    tern_handle *mine, *theirs; /* of the lives under way */
    tern_tx_packet tx[BATCH];
    tern_rx_packet rx[BATCH];
    uint8_t bytes[BATCH][256];
};

static const uint8_t request[64] = "a request of sixty-four bytes";

static void must(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "bench-lives: %s\n", what);
    exit(1);
}

static void end_init(struct end *e, const char *seed, const tern_ip *ip, size_t memory)
{
    tern_config cfg = {.rest_ms = 1};
    memcpy(cfg.seed, seed, strlen(seed));
    void *mem =
        mmap(NULL, memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    madvise(mem, memory, MADV_HUGEPAGE); /* as host/ does: a page table is a table that is missed, too */
    must(mem != MAP_FAILED && tern_create(&e->t, &cfg, mem, memory) == 0, "no memory");
    tern_link_info info = {.mtu = 1500};
    e->link = tern_link_add(e->t, &info);
    tern_addr_add(e->t, e->link, ip, 24);
}

static struct bench *bench_new(const struct row *row)
{
    struct bench *b = calloc(1, sizeof *b);
    size_t memory = row->idle > 0 ? 4ull << 30 : 256ull << 20;
    b->row = row;
    b->now = 1000000;
    b->mine = calloc(row->at_once, sizeof *b->mine);
    b->theirs = calloc(row->at_once, sizeof *b->theirs);
    tern_ip client = tern_ip4(192, 0, 2, 1);
    b->server = tern_ip4(192, 0, 2, 2);
    end_init(&b->a, "the client", &client, memory);
    end_init(&b->b, "the server", &b->server, memory);
    b->listener = calloc(row->ports, sizeof *b->listener);
    for (uint32_t i = 0; i < row->ports; i++)
        must(tern_listen(b->b.t, &(tern_endpoint){.port = (uint16_t)(PORT + i)}, 4096, &b->listener[i]) == 0,
             "no listener");
    return b;
}

/* What the other end receives: what was written, as one piece. */
static const uint8_t *one_piece(const tern_tx_packet *p, uint8_t *room)
{
    if (p->n_slices == 0)
        return p->hdr;
    uint32_t len = p->hdr_len;
    memcpy(room, p->hdr, len);
    for (uint32_t i = 0; i < p->n_slices; len += p->slices[i].len, i++)
        memcpy(room + len, p->slices[i].data, p->slices[i].len);
    return room;
}

/* Everything that `from` has to send now arrives at `to`. Packets, how many. */
static int carry(struct bench *w, struct end *from, struct end *to)
{
    int total = 0, n;
    do {
        n = tern_tx(from->t, w->now, w->tx, BATCH);
        for (int i = 0; i < n; i++)
            w->rx[i] = (tern_rx_packet){
                .data = one_piece(&w->tx[i], w->bytes[i]), .len = w->tx[i].len, .link = (uint8_t)to->link};
        if (n > 0)
            tern_rx(to->t, w->now, w->rx, n);
        total += n;
    } while (n == BATCH);
    return total;
}

static uint32_t next_port(const struct bench *w, uint32_t *turn)
{
    uint32_t at = *turn;
    *turn = at + 1 < w->row->ports ? at + 1 : 0;
    return at;
}

/* The handles of the connections that the server has not accepted yet, in the order in which they came. */
static void accept_all(struct bench *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        must(tern_accept(w->b.t, w->listener[next_port(w, &w->accepted)], &w->theirs[i]) == 0,
             "a connection has not arrived");
}

static void connect_all(struct bench *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        tern_endpoint to = {.ip = w->server, .port = (uint16_t)(PORT + next_port(w, &w->turn))};
        must(tern_connect(w->a.t, NULL, &to, &w->mine[i]) == 0, "no connection");
    }
    carry(w, &w->a, &w->b);
    carry(w, &w->b, &w->a);
}

static bool due(const struct end *e, uint64_t now) { return tern_next_deadline(e->t) <= now; }

/* Timers are run when a stack says that one is due. One call of tern_tick does a bounded piece of work, and
 * may leave something to send. */
static void time_passes(struct bench *w, uint64_t us)
{
    w->now += us;
    while (due(&w->a, w->now)) {
        tern_tick(w->a.t, w->now);
        carry(w, &w->a, &w->b);
    }
    while (due(&w->b, w->now)) {
        tern_tick(w->b.t, w->now);
        carry(w, &w->b, &w->a);
    }
}

/* As many lives as the row has at once. */
static void lives(struct bench *w)
{
    uint32_t n = w->row->at_once;
    uint8_t buf[64];
    connect_all(w, n);
    for (uint32_t i = 0; i < n; i++)
        must(tern_send(w->a.t, w->mine[i], request, 64, 0) == 64, "a request was not taken");
    carry(w, &w->a, &w->b);
    accept_all(w, n);
    for (uint32_t i = 0; i < n; i++) {
        must(tern_recv(w->b.t, w->theirs[i], buf, 64) == 64, "a request has not arrived");
        must(tern_send(w->b.t, w->theirs[i], buf, 64, 0) == 64, "a reply was not taken");
    }
    carry(w, &w->b, &w->a);
    for (uint32_t i = 0; i < n; i++) {
        must(tern_recv(w->a.t, w->mine[i], buf, 64) == 64, "a reply has not arrived");
        tern_close(w->a.t, w->mine[i]);
    }
    carry(w, &w->a, &w->b);
    for (uint32_t i = 0; i < n; i++) {
        must(tern_recv(w->b.t, w->theirs[i], buf, 64) == 0, "an end has not arrived");
        tern_close(w->b.t, w->theirs[i]);
    }
    carry(w, &w->b, &w->a);
    carry(w, &w->a, &w->b);
    time_passes(w, TWO_MSL * n / w->row->waiting);
}

/* Connections that open and then do nothing; they go to rest. */
static void make_idle(struct bench *w)
{
    for (uint32_t made = 0; made < w->row->idle; made += w->row->at_once) {
        connect_all(w, w->row->at_once);
        carry(w, &w->a, &w->b);
        accept_all(w, w->row->at_once);
        time_passes(w, 2000);
    }
}

static void drain_events(struct bench *w)
{
    tern_event ev[64];
    while (tern_events(w->a.t, ev, 64) > 0)
        continue;
    while (tern_events(w->b.t, ev, 64) > 0)
        continue;
}

static uint32_t in_time_wait(const struct bench *w)
{
    tern_live v;
    tern_get_live(w->a.t, &v);
    return v.timewait;
}

static void measure(const struct row *row, uint64_t most, double seconds)
{
    struct bench *w = bench_new(row);
    make_idle(w);
    drain_events(w);
    for (uint32_t n = 0; n < row->waiting + row->waiting / 16; n += row->at_once)
        lives(w);
    uint64_t n = 0;
    double start = cpu_seconds(), used;
    do {
        for (uint32_t k = 0; k < 1000; k += row->at_once, n += row->at_once)
            lives(w);
        used = cpu_seconds() - start;
    } while (most > 0 ? n < most : used < seconds);
    must(in_time_wait(w) + row->at_once >= row->waiting * 9 / 10, "fewer in TIME_WAIT than the row says");
    result(row->name, "", "tern", "lives/cpu-s", (double)n / used);
}

int main(int argc, char **argv)
{
    uint64_t most = (uint64_t)argument(argc, argv, "--lives", 0);
    double seconds = argument(argc, argv, "--seconds", 1.0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (row_asked(argc, argv, rows[i].name))
            measure(&rows[i], most, seconds);
    return 0;
}
