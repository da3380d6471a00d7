/* bench_threads.c - GOALS W8 in memory: two threads with a pair of stacks each, which share nothing.
 *
 *     bench-threads [W8] [--seconds S]      bench/README.md
 *
 * The same work is done by one thread and then by two at once: W1 (64 segments in flight) and W2c (1,000
 * lives at a time). The figure is the work of both in a second of their own processor time, as a multiple of
 * what the one alone did: 2 is what two cores can do, and less is what they take from each other. `wall` is
 * the same by the clock on the wall, which says something only on a machine that does nothing else.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>

#include "peers/peer.h"

#define MEMORY (256ull << 20)

enum { BATCH = 64, LIVES = 1000, WINDOW = 64 * 1460, PAYLOAD = 64 };

struct end {
    tern *t;
    int link;
    tern_ip ip;
};

/* All that one thread has. */
struct pair {
    struct end a, b;
    uint64_t now;
    tern_handle listener, from, to; /* bulk */
    tern_handle client[LIVES], server[LIVES];
    tern_tx_packet tx[BATCH];
    tern_rx_packet rx[BATCH];
    uint8_t bytes[BATCH][1600];
    uint8_t in[1 << 16], out[1 << 16];
};

static void end_init(struct end *e, uint8_t host)
{
    tern_config cfg = {.seed = {host}, .recv_buffer = WINDOW, .send_buffer = 1 << 18};
    tern_link_info info = {.mtu = 1500};
    void *mem =
        mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED || tern_create(&e->t, &cfg, mem, MEMORY) < 0)
        abort();
    e->link = tern_link_add(e->t, &info);
    e->ip = tern_ip4(192, 0, 2, host);
    tern_addr_add(e->t, e->link, &e->ip, 24);
}

/* Everything that `from` has to send now arrives at `to`. */
static int carry(struct pair *p, struct end *from, struct end *to)
{
    int total = 0, n;
    do {
        n = tern_tx(from->t, p->now, p->tx, BATCH);
        for (int i = 0; i < n; i++) {
            uint32_t len = p->tx[i].hdr_len;
            memcpy(p->bytes[i], p->tx[i].hdr, len);
            for (uint32_t s = 0; s < p->tx[i].n_slices; len += p->tx[i].slices[s].len, s++)
                memcpy(p->bytes[i] + len, p->tx[i].slices[s].data, p->tx[i].slices[s].len);
            p->rx[i] = (tern_rx_packet){.data = p->bytes[i], .len = len, .link = (uint8_t)to->link};
        }
        if (n > 0)
            tern_rx(to->t, p->now, p->rx, n);
        total += n;
    } while (n == BATCH);
    return total;
}

static void settle(struct pair *p)
{
    while (carry(p, &p->a, &p->b) + carry(p, &p->b, &p->a) > 0)
        continue;
}

static struct pair *pair_new(uint16_t port)
{
    struct pair *p = calloc(1, sizeof *p);
    tern_endpoint at = {.port = port};
    p->now = 1000000;
    end_init(&p->a, 1);
    end_init(&p->b, 2);
    if (tern_listen(p->b.t, &at, 4 * LIVES, &p->listener) < 0)
        abort();
    return p;
}

static void pair_free(struct pair *p)
{
    munmap(p->a.t, MEMORY);
    munmap(p->b.t, MEMORY);
    free(p);
}

/* Some of W1; returns bits. */
static double bulk(struct pair *p)
{
    tern_endpoint to = {.ip = p->b.ip, .port = 80};
    uint64_t got = 0;
    if (p->from.v == 0) {
        tern_connect(p->a.t, NULL, &to, &p->from);
        settle(p);
        if (tern_accept(p->b.t, p->listener, &p->to) < 0)
            abort();
    }
    for (int k = 0; k < 500; k++) {
        p->now += 20;
        while (tern_send(p->a.t, p->from, p->in, sizeof p->in, 0) > 0)
            continue;
        carry(p, &p->a, &p->b);
        for (long n; (n = tern_recv(p->b.t, p->to, p->out, sizeof p->out)) > 0;)
            got += (uint64_t)n;
        carry(p, &p->b, &p->a);
    }
    tern_tick(p->a.t, p->now);
    tern_tick(p->b.t, p->now);
    return (double)got * 8;
}

static void serve_all(struct pair *p)
{
    for (int i = 0; i < LIVES; i++)
        if (tern_accept(p->b.t, p->listener, &p->server[i]) < 0 ||
            tern_recv(p->b.t, p->server[i], p->out, PAYLOAD) != PAYLOAD ||
            tern_send(p->b.t, p->server[i], p->out, PAYLOAD, 0) != PAYLOAD)
            abort();
}

/* A round of W2c; returns the number of lives. */
static double lives(struct pair *p)
{
    tern_endpoint to = {.ip = p->b.ip, .port = 80};
    p->now += 30000000; /* half of 2 MSL: two rounds are in TIME_WAIT */
    tern_tick(p->a.t, p->now);
    tern_tick(p->b.t, p->now);
    for (int i = 0; i < LIVES; i++)
        if (tern_connect(p->a.t, NULL, &to, &p->client[i]) < 0)
            abort();
    settle(p);
    for (int i = 0; i < LIVES; i++)
        tern_send(p->a.t, p->client[i], p->in, PAYLOAD, 0);
    carry(p, &p->a, &p->b);
    serve_all(p);
    carry(p, &p->b, &p->a);
    for (int i = 0; i < LIVES; i++) {
        if (tern_recv(p->a.t, p->client[i], p->out, PAYLOAD) != PAYLOAD)
            abort();
        tern_close(p->a.t, p->client[i]);
    }
    carry(p, &p->a, &p->b);
    for (int i = 0; i < LIVES; i++)
        tern_close(p->b.t, p->server[i]);
    settle(p);
    return LIVES;
}

/* What a thread is to do, and what it did. */
struct task {
    double (*work)(struct pair *p);
    double seconds;          /* of processor time */
    pthread_barrier_t *gate; /* NULL: alone */
    double rate, wall_rate;
};

static double thread_seconds(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *run(void *arg)
{
    struct task *k = arg;
    struct pair *p = pair_new(80);
    double did = 0, cpu, wall, used;
    k->work(p);
    if (k->gate != NULL)
        pthread_barrier_wait(k->gate);
    cpu = thread_seconds(CLOCK_THREAD_CPUTIME_ID);
    wall = thread_seconds(CLOCK_MONOTONIC);
    do {
        did += k->work(p);
        used = thread_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    } while (used < k->seconds);
    k->rate = did / used;
    k->wall_rate = did / (thread_seconds(CLOCK_MONOTONIC) - wall);
    pair_free(p);
    return NULL;
}

static void measure(const char *what, double (*work)(struct pair *p), double seconds)
{
    struct task alone = {.work = work, .seconds = seconds}, both[2];
    pthread_barrier_t gate;
    pthread_t other;
    run(&alone);
    pthread_barrier_init(&gate, NULL, 2);
    both[0] = both[1] = (struct task){.work = work, .seconds = seconds, .gate = &gate};
    if (pthread_create(&other, NULL, run, &both[1]) != 0)
        abort();
    run(&both[0]);
    pthread_join(other, NULL);
    printf("{\"workload\":\"W8\",\"case\":\"%s\",\"stack\":\"tern\",\"unit\":\"x\",\"value\":%.3f,"
           "\"wall\":%.3f}\n",
           what, (both[0].rate + both[1].rate) / alone.rate,
           (both[0].wall_rate + both[1].wall_rate) / alone.wall_rate);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = argument(argc, argv, "--seconds", 0.5);
    if (!row_asked(argc, argv, "W8"))
        return 0;
    measure("W1", bulk, seconds);
    measure("W2c", lives, seconds);
    return 0;
}
