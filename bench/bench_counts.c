/* bench_counts.c - fixed small work, for counting instructions instead of time (scripts/bench_counts.py).
 *
 *     bench-counts life|bulk|syn|touch N
 *
 * life: N whole lives, one after the other. bulk: N times 64 KiB in segments of 1,460 bytes, copied in and
 * out. syn: N SYNs from N addresses to a listener that can hold 1,024. touch: N packets, each to one of 1,000
 * open connections, in batches of 64, read and acknowledged. Two stacks in one thread, checksums made and
 * verified (the wire cuts super-segments of bulk, as in bench_memory.c), everything the same at every run.
 * What making the stacks costs goes out when the counts of two different N are subtracted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tern/host.h>
#include <tern/stats.h>

#define MEMORY (256ull << 20)
#define BATCH  64
#define TX_BATCH 16
#define OPEN   1000
#define GSO    65160 /* 45 segments with timestamps */

struct end {
    tern *t;
    int link;
    tern_ip ip;
};

static struct end a, b;
static uint64_t now = 1000000;
static tern_tx_packet tx[BATCH];
static tern_rx_packet rx[BATCH];
static uint8_t bytes[BATCH][2048], in[1 << 16], out[1 << 16];

static void need(bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "bench-counts: %s\n", what);
    exit(2);
}

static void end_init(struct end *e, uint8_t host, uint32_t gso)
{
    tern_config cfg = {.seed = {host}};
    void *mem =
        mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(mem != MAP_FAILED && tern_create(&e->t, &cfg, mem, MEMORY) == 0, "no stack");
    tern_set_sum(e->t, tern_host_sum(-1));
    e->link = tern_link_add(e->t, &(tern_link_info){.mtu = 1500, .gso_max = gso, .tx_csum = gso > 0});
    e->ip = tern_ip4(192, 0, 2, host);
    need(tern_addr_add(e->t, e->link, &e->ip, 24) == 0, "no address");
    tern_ip any = tern_ip4(0, 0, 0, 0);
    need(tern_route_add(e->t, e->link, &any, 0) == 0, "no route");
}

/* A packet that the link need not complete, as the wire carries it. */
static uint32_t flatten(const tern_tx_packet *p, uint8_t *to)
{
    uint32_t len = p->hdr_len;
    memcpy(to, p->hdr, len);
    for (uint32_t s = 0; s < p->n_slices; len += p->slices[s].len, s++)
        memcpy(to + len, p->slices[s].data, p->slices[s].len);
    return len;
}

/* Packet number `there` of the batch stands in its place; the number of the next one. */
static uint32_t put(struct end *to, uint32_t there, uint32_t len)
{
    rx[there] = (tern_rx_packet){.data = bytes[there], .len = len, .link = (uint8_t)to->link};
    if (there + 1 < BATCH)
        return there + 1;
    tern_rx(to->t, now, rx, BATCH);
    return 0;
}

static uint32_t put_cut(struct end *to, uint32_t there, const tern_tx_packet *p)
{
    uint32_t len[BATCH], some, room;
    tern_cut cut;
    tern_cut_begin(&cut, p, NULL);
    do {
        room = BATCH - there;
        some = tern_cut_some(&cut, bytes[there], sizeof bytes[0], len, room);
        for (uint32_t i = 0; i < some; i++)
            there = put(to, there, len[i]);
    } while (some == room);
    return there;
}

/* Everything that `from` has to send now arrives at `to`. */
static int carry(struct end *from, struct end *to)
{
    int total = 0;
    uint32_t there = 0;
    for (int n; (n = tern_tx(from->t, now, tx, TX_BATCH)) > 0; total += n) {
        for (int i = 0; i < n; i++) {
            if ((tx[i].flags & TERN_TX_CSUM) != 0)
                there = put_cut(to, there, &tx[i]);
            else
                there = put(to, there, flatten(&tx[i], bytes[there]));
        }
    }
    if (there > 0)
        tern_rx(to->t, now, rx, (int)there);
    return total;
}

static void settle(void)
{
    while (carry(&a, &b) + carry(&b, &a) > 0)
        continue;
}

static void time_passes(uint64_t us)
{
    now += us;
    tern_tick(a.t, now), tern_tick(b.t, now);
}

static tern_handle listener(void)
{
    tern_handle l;
    need(tern_listen(b.t, &(tern_endpoint){.port = 80}, 1024, &l) == 0, "listen");
    return l;
}

static void open_one(tern_handle l, tern_handle *c, tern_handle *s)
{
    tern_endpoint to = {.ip = b.ip, .port = 80};
    need(tern_connect(a.t, NULL, &to, c) == 0, "connect");
    settle();
    need(tern_accept(b.t, l, s) == 0, "accept");
}

static void drain_events(void)
{
    tern_event ev[BATCH];
    while (tern_events(a.t, ev, BATCH) + tern_events(b.t, ev, BATCH) > 0)
        continue;
}

static void lives(uint32_t n)
{
    tern_handle l = listener(), c, s;
    tern_endpoint to = {.ip = b.ip, .port = 80};
    for (uint32_t k = 0; k < n; k++) {
        need(tern_connect(a.t, NULL, &to, &c) == 0, "connect");
        carry(&a, &b), carry(&b, &a);
        need(tern_send(a.t, c, in, 64, 0) == 64, "request");
        carry(&a, &b);
        need(tern_accept(b.t, l, &s) == 0 && tern_recv(b.t, s, out, 64) == 64, "accept");
        need(tern_send(b.t, s, out, 64, 0) == 64, "reply");
        carry(&b, &a);
        need(tern_recv(a.t, c, out, 64) == 64, "the reply");
        tern_close(a.t, c);
        carry(&a, &b);
        need(tern_recv(b.t, s, out, 64) == 0, "the client's FIN");
        tern_close(b.t, s);
        carry(&b, &a), carry(&a, &b);
        drain_events();
        time_passes(100000); /* some hundreds stay in TIME_WAIT */
    }
}

static void bulk(uint32_t n)
{
    tern_handle l = listener(), c, s;
    open_one(l, &c, &s);
    for (uint32_t k = 0; k < n; k++) {
        for (uint32_t sent = 0, got = 0; got < sizeof in;) {
            long did = sent < sizeof in ? tern_send(a.t, c, in + sent, sizeof in - sent, 0) : 0;
            sent += did > 0 ? (uint32_t)did : 0;
            carry(&a, &b);
            for (long r; (r = tern_recv(b.t, s, out, sizeof out)) > 0;)
                got += (uint32_t)r;
            carry(&b, &a);
            time_passes(50);
        }
        drain_events();
    }
}

static void touch(uint32_t n)
{
    static tern_handle c[OPEN], s[OPEN];
    tern_handle l = listener();
    uint32_t dice = 1;
    for (uint32_t k = 0; k < OPEN; k++)
        open_one(l, &c[k], &s[k]);
    time_passes(5000000); /* they rest */
    for (uint32_t k = 0; k < n; k += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            dice = dice * 1664525u + 1013904223u;
            uint32_t which = (dice >> 8) % OPEN;
            need(tern_send(a.t, c[which], in, 64, 0) == 64, "send");
        }
        carry(&a, &b);
        tern_event ev[BATCH];
        for (int got; (got = tern_events(b.t, ev, BATCH)) > 0;)
            for (int i = 0; i < got; i++)
                tern_recv(b.t, ev[i].handle, out, sizeof out);
        time_passes(50000); /* the delayed acknowledgments are due */
        carry(&b, &a);
        drain_events();
    }
}

/* A SYN that stack `a` makes for an address of its own is sent again from all others: only addresses,
 * and with them the checksums, change. */
static void syns(uint32_t n)
{
    tern_handle c;
    tern_endpoint to = {.ip = b.ip, .port = 80};
    listener();
    need(tern_connect(a.t, NULL, &to, &c) == 0 && tern_tx(a.t, now, tx, 1) == 1, "no SYN");
    for (uint32_t k = 0; k < n; k++) {
        uint8_t *p = bytes[k % BATCH];
        memcpy(p, tx[0].hdr, tx[0].hdr_len);
        p[12] = 198, p[13] = (uint8_t)(18 + (k >> 16 & 1)), p[14] = (uint8_t)(k >> 8), p[15] = (uint8_t)k;
        rx[k % BATCH] = (tern_rx_packet){
            .data = p, .len = tx[0].hdr_len, .link = (uint8_t)b.link, .flags = TERN_RX_CSUM_OK};
        uint32_t sum = 0;
        p[10] = p[11] = 0;
        for (int i = 0; i < 20; i += 2)
            sum += (uint32_t)p[i] << 8 | p[i + 1];
        sum = ~((sum >> 16) + sum % 65536);
        p[10] = (uint8_t)(sum >> 8), p[11] = (uint8_t)sum;
        if (k % BATCH < BATCH - 1)
            continue;
        static tern_tx_packet answers[BATCH];
        now += 640;
        tern_rx(b.t, now, rx, BATCH);
        while (tern_tx(b.t, now, answers, BATCH) > 0)
            continue;
        tern_tick(b.t, now);
    }
    tern_stats st;
    tern_get_stats(b.t, &st);
    need(n < 4096 || st.cookies_sent > 0, "no SYN was answered with a cookie");
}

int main(int argc, char **argv)
{
    const char *what = argc == 3 ? argv[1] : "";
    uint32_t n = argc == 3 ? (uint32_t)atoi(argv[2]) : 0;
    for (uint32_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    uint32_t gso = strcmp(what, "bulk") == 0 ? GSO : 0;
    end_init(&a, 1, gso), end_init(&b, 2, gso);
    if (strcmp(what, "life") == 0)
        lives(n);
    else if (strcmp(what, "bulk") == 0)
        bulk(n);
    else if (strcmp(what, "touch") == 0)
        touch(n);
    else if (strcmp(what, "syn") == 0)
        syns(n);
    else
        need(false, "usage: bench-counts life|bulk|syn|touch N");
    return 0;
}
