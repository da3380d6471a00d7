/* No transfer may stand still. A server like `tern serve` (it writes when it is told WRITABLE, with
 * TERN_MORE, and then says the end) sends 1 MB over the bad path of link/impair.c to a client that reads when
 * it is told READABLE: 3% lost, 3% reordered, 2% doubled, 1% damaged, 2 ms, both ways. Both are woken by
 * their deadlines and their links alone, as host/loop.c wakes them, and like on a busy machine sometimes too
 * late; the client may read in small pieces and sleep in between. Each seed is another mixture.
 *
 * What is judged is how long no new byte comes. With one packet of 12 lost on the way there and back,
 * timeouts that follow each other double a few times now and then; a connection that waits for nothing, or
 * whose timeouts grow by themselves, stands longer than that. Before the first byte the timeouts are those of
 * RFC 6298 for an unknown path, 1 s and 3 s. And while the machine is quick, nobody may take the path for
 * slow: 4 ms, at most 100 ms of reordering and 40 ms of a delayed ACK are a round trip; a timeout is none.
 *
 * TERN_SEEDS=n tries more; TERN_SEED=n only that one. */
#include "lab/lab.h"

#include <tern/host.h>

#include "tcp/tcp.h"

#define PERIOD 65521u /* prime: a stream that slips is seen */
#define BYTES  1000000u
#define BATCH  16

/* The longest time without a byte, on a machine that itself never stands still for longer than `pause`. */
#define STILL(pause) (10 * SEC + 20 * (pause))
#define OPENING      (60 * SEC)
#define ROUND_TRIP   (250 * MS)

enum { CLIENT, SERVER };

struct draws {
    uint64_t x;
};

struct end {
    tern *t;
    void *block;
    tern_link *link;
    int id;
    tern_handle h;
    uint64_t wake; /* not before: the machine is busy with others */
    bool quick;    /* it knows that the path is */
};

struct scene {
    struct end e[2];
    struct draws d;
    uint64_t seed, now, last; /* last: when a byte came */
    uint64_t read, wrote;
    uint64_t pause_us, nap_us; /* the machine stands still; the client does not read */
    uint64_t nap_until;
    uint32_t piece;           /* the client reads at most so much before it sleeps */
    bool eof, shut;
    uint8_t bytes[PERIOD + (64 << 10)];
};

static uint32_t draw(struct draws *d, uint32_t below)
{
    d->x = d->x * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((d->x >> 33) % below);
}

static uint32_t pick(struct draws *d, const uint32_t *list, uint32_t n) { return list[draw(d, n)]; }

__attribute__((noreturn)) static void stands(const struct scene *s, const char *what)
{
    fprintf(stderr, "\n# TERN_SEED=%llu, now %.3f s: %s; read %llu, wrote %llu, last byte at %.3f s\n",
            (unsigned long long)s->seed, (double)s->now / 1e6, what, (unsigned long long)s->read,
            (unsigned long long)s->wrote, (double)s->last / 1e6);
    for (int i = 0; i < 2; i++) {
        tern_info f;
        if (s->e[i].h.v == 0 || tern_get_info(s->e[i].t, s->e[i].h, &f) != 0)
            continue;
        fprintf(
            stderr,
            "# %s: %s, unacked %u, queued %u, cwnd %u, snd_wnd %u, rcv_wnd %u, rto %u, timer %u at %.3f s\n",
            i == CLIENT ? "client" : "server", tern_state_name(f.state), f.send_unacked, f.send_queue, f.cwnd,
            f.snd_wnd, f.rcv_wnd, f.rto_us, f.timer, (double)f.timer_us / 1e6);
    }
    fail();
    abort();
}

/* --- the two programs ------------------------------------------------------------------------------ */

static void serve(struct scene *s)
{
    struct end *e = &s->e[SERVER];
    while (s->wrote < BYTES) {
        uint64_t want = BYTES - s->wrote;
        want = want < 64 << 10 ? want : 64 << 10;
        long n = tern_send(e->t, e->h, s->bytes + s->wrote % PERIOD, want,
                           s->wrote + want < BYTES ? TERN_MORE : 0);
        if (n == -TERN_EAGAIN)
            return;
        if (n < 0)
            stands(s, "the server cannot send");
        s->wrote += (uint64_t)n;
    }
    if (!s->shut)
        assert_int_equal(tern_shutdown(e->t, e->h), 0);
    s->shut = true;
}

static void on_server(struct scene *s, const tern_event *ev)
{
    struct end *e = &s->e[SERVER];
    uint8_t request[100];
    if (e->h.v == 0) {
        if (tern_accept(e->t, ev->handle, &e->h) != 0)
            return;
    }
    long n = tern_recv(e->t, e->h, request, sizeof request);
    if (n > 0 || s->wrote > 0)
        serve(s);
}

static void read_some(struct scene *s)
{
    struct end *e = &s->e[CLIENT];
    uint8_t buf[64 << 10];
    long n = 1;
    for (uint32_t got = 0; n > 0 && got < s->piece; got += (uint32_t)n) {
        uint32_t want = s->piece - got < sizeof buf ? s->piece - got : sizeof buf;
        n = tern_recv(e->t, e->h, buf, want);
        if (n < 0 && n != -TERN_EAGAIN)
            stands(s, "the client cannot read");
        if (n <= 0)
            break;
        if (memcmp(buf, s->bytes + s->read % PERIOD, (size_t)n) != 0)
            stands(s, "wrong bytes");
        s->read += (uint64_t)n;
        s->last = s->now;
    }
    s->eof |= n == 0;
    if (n > 0)
        s->nap_until = s->now + 1 + draw(&s->d, (uint32_t)s->nap_us + 1);
}

static void on_client(struct scene *s, const tern_event *ev)
{
    struct end *e = &s->e[CLIENT];
    if ((ev->bits & TERN_CONNECTED) && tern_send(e->t, e->h, s->bytes, 80, 0) != 80)
        stands(s, "the client cannot ask");
    if ((ev->bits & TERN_READABLE) && s->nap_until <= s->now)
        read_some(s);
}

/* --- a host's turn --------------------------------------------------------------------------------- */

static void receive(struct scene *s, struct end *e)
{
    tern_rx_packet pkts[BATCH];
    int n;
    while ((n = e->link->ops->rx(e->link, s->now, pkts, BATCH)) > 0) {
        for (int i = 0; i < n; i++)
            pkts[i].link = (uint8_t)e->id;
        tern_rx(e->t, s->now, pkts, n);
        tcp_check_all(e->t);
    }
}

static void send_all(struct scene *s, struct end *e)
{
    tern_tx_packet pkts[BATCH];
    int n;
    while ((n = tern_tx(e->t, s->now, pkts, BATCH)) > 0)
        assert_int_equal(e->link->ops->tx(e->link, s->now, pkts, n), n);
    tcp_check_all(e->t);
}

static void turn(struct scene *s, int who)
{
    struct end *e = &s->e[who];
    tern_event ev[4];
    receive(s, e);
    tern_tick(e->t, s->now);
    for (int n; (n = tern_events(e->t, ev, 4)) > 0;)
        for (int i = 0; i < n; i++)
            (who == SERVER ? on_server : on_client)(s, &ev[i]);
    if (who == CLIENT && s->nap_until != 0 && s->nap_until <= s->now) {
        s->nap_until = 0;
        read_some(s);
    }
    send_all(s, e);
    if (s->pause_us > 0 && draw(&s->d, 50) == 0)
        e->wake = s->now + draw(&s->d, (uint32_t)s->pause_us);
}

static uint64_t due(const struct scene *s, int who)
{
    const struct end *e = &s->e[who];
    uint64_t a = tern_next_deadline(e->t), b = e->link->ops->next(e->link);
    uint64_t next = a < b ? a : b;
    if (who == CLIENT && s->nap_until != 0 && s->nap_until < next)
        next = s->nap_until;
    if (next == LAB_NEVER)
        return next;
    return next > e->wake ? next : e->wake;
}

/* Once it has known better. The first round trip may have been one with a loss in it. */
static bool slow(struct end *e)
{
    tern_info f;
    if (e->h.v == 0 || tern_get_info(e->t, e->h, &f) != 0)
        return false;
    e->quick |= f.srtt_us > 0 && f.srtt_us < 50 * MS;
    return e->quick && f.srtt_us > ROUND_TRIP;
}

static void step(struct scene *s)
{
    uint64_t c = due(s, CLIENT), v = due(s, SERVER), next = c < v ? c : v;
    if (next == LAB_NEVER)
        stands(s, "nobody waits for anything");
    if (next > s->now)
        s->now = next;
    int first = v <= s->now && (c > s->now || draw(&s->d, 2)) ? SERVER : CLIENT;
    turn(s, first);
    if (due(s, !first) <= s->now)
        turn(s, !first);
    if (s->now - s->last > (s->read == 0 ? OPENING : STILL(s->pause_us)))
        stands(s, "no byte for too long");
    if (s->pause_us == 0 && (slow(&s->e[CLIENT]) || slow(&s->e[SERVER])))
        stands(s, "takes the path for slow");
}

/* --- beginning and end ----------------------------------------------------------------------------- */

static void make_end(struct scene *s, int i, const tern_link_info *info)
{
    static const uint32_t buffers[] = {0, 0, 0, 4096, 16384, 65536, 1 << 20};
    struct end *e = &s->e[i];
    size_t size = 16u << 20;
    tern_config c = {.send_buffer = pick(&s->d, buffers, 7), .recv_buffer = pick(&s->d, buffers, 7)};
    c.no_sack = draw(&s->d, 6) == 0;
    c.no_timestamps = draw(&s->d, 6) == 0;
    c.no_wscale = draw(&s->d, 6) == 0;
    c.ecn = (uint8_t)draw(&s->d, 3);
    c.rest_ms = draw(&s->d, 3) ? 0 : 1;
    memcpy(c.seed, &s->seed, sizeof s->seed);
    c.seed[31] = (uint8_t)i;
    e->block = aligned_alloc(16, size);
    assert_non_null(e->block);
    assert_int_equal(tern_create(&e->t, &c, e->block, size), 0);
    tern_tick(e->t, s->now);
    e->id = tern_link_add(e->t, info);
    tern_ip ip = tern_ip4(192, 0, 2, i == SERVER ? 1 : 2);
    assert_int_equal(tern_addr_add(e->t, e->id, &ip, 24), 0);
}

static void begin(struct scene *s, uint64_t seed)
{
    static const uint32_t pauses[] = {0, 0, 1000, 30000, 300000, 2500000},
                          naps[] = {0, 0, 1000, 50000, 400000};
    static const uint32_t pieces[] = {1000, 4096, 16384, 65536, UINT32_MAX, UINT32_MAX};
    memset(s, 0, offsetof(struct scene, bytes));
    s->d.x = seed * 7919;
    for (int i = 0; i < 5; i++)
        draw(&s->d, 2);
    s->seed = seed;
    s->now = s->last = SEC;
    s->pause_us = pick(&s->d, pauses, 6);
    s->piece = pick(&s->d, pieces, 6);
    s->nap_us = s->piece < 16384 ? 1000 : pick(&s->d, naps, 5);
    tern_link_info info = {.mtu = 1500};
    info.gso_max = draw(&s->d, 3) ? 65435 : 0;
    info.tx_csum = info.gso_max > 0;
    tern_impair_config bad = {.seed = seed, .delay_us = 2000, .loss_ppm = 30000, .reorder_ppm = 30000,
                              .duplicate_ppm = 20000, .corrupt_ppm = 10000};
    tern_link *far;
    assert_int_equal(tern_link_pair(&s->e[CLIENT].link, &far, &info, 4096), 0);
    assert_int_equal(tern_link_impair(&s->e[SERVER].link, far, &bad, &bad), 0);
    make_end(s, CLIENT, &info);
    make_end(s, SERVER, &info);
    tern_endpoint any = {.port = 80}, to = {.ip = tern_ip4(192, 0, 2, 1), .port = 80};
    tern_handle listener;
    assert_int_equal(tern_listen(s->e[SERVER].t, &any, 0, &listener), 0);
    assert_int_equal(tern_connect(s->e[CLIENT].t, NULL, &to, &s->e[CLIENT].h), 0);
}

static void end(struct scene *s)
{
    for (int i = 0; i < 2; i++) {
        tern_destroy(s->e[i].t);
        tern_link_close(s->e[i].link);
        free(s->e[i].block);
    }
}

static void never_still(void **state)
{
    const char *seeds = getenv("TERN_SEEDS"), *only = getenv("TERN_SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only ? from : seeds ? strtoull(seeds, NULL, 10) : 400;
    static struct scene s;
    (void)state;
    for (uint32_t i = 0; i < sizeof s.bytes; i++)
        s.bytes[i] = (uint8_t)(i % PERIOD * 2654435761u >> 13);
    for (uint64_t seed = from; seed <= to; seed++) {
        begin(&s, seed);
        while (!s.eof)
            step(&s);
        assert_int_equal(s.read, BYTES);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_still)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
