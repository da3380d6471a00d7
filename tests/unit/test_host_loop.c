/* The event loop: bytes get through, its descriptor is readable when and only when there is something to do.
 * */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/host.h>
#include <unistd.h>

static const tern_link_info plain = {.mtu = 1500};

static tern_host *open_host(uint32_t trace_records)
{
    tern_host *h;
    char err[200];
    tern_host_config cfg = {.memory = 64 << 20, .trace_records = trace_records};
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), 0);
    return h;
}

/* Two hosts and a cable, 192.0.2.1 and 192.0.2.2; the second one's end may be impaired. */
struct world {
    tern_host *a, *b;
};

static void attach(tern_host *h, tern_link *l, uint8_t last)
{
    tern_ip ip = tern_ip4(192, 0, 2, last);
    int id = tern_host_attach(h, l);
    assert_true(id > 0);
    assert_int_equal(tern_addr_add(tern_host_stack(h), id, &ip, 24), 0);
}

static struct world open_world(const tern_impair_config *path)
{
    struct world w = {open_host(0), open_host(0)};
    tern_link *a, *b;
    assert_int_equal(tern_link_pair(&a, &b, &plain, 1000), 0);
    if (path)
        assert_int_equal(tern_link_impair(&b, b, path, path), 0);
    attach(w.a, a, 1);
    attach(w.b, b, 2);
    return w;
}

static void close_world(struct world w)
{
    tern_host_destroy(w.a);
    tern_host_destroy(w.b);
}

/* Both do what is to be done; they share a thread and their cable has no descriptor, so both get their turn.
 * */
static void turn(struct world w)
{
    assert_true(tern_host_turn(w.a) >= 0);
    assert_true(tern_host_turn(w.b) >= 0);
}

static void open_connection(struct world w, tern_handle *client, tern_handle *server)
{
    tern_endpoint at = {tern_ip4(192, 0, 2, 1), 80, 0};
    tern_handle listener;
    assert_int_equal(tern_listen(tern_host_stack(w.a), &at, 0, &listener), 0);
    assert_int_equal(tern_connect(tern_host_stack(w.b), NULL, &at, client), 0);
    for (int i = 0; i < 1000; i++) {
        turn(w);
        if (tern_accept(tern_host_stack(w.a), listener, server) == 0)
            return;
        tern_host_wait(w.b, 1);
    }
    fail_msg("no connection");
}

/* Send `size` bytes from client to server; both check them. */
static void transfer(struct world w, tern_handle client, tern_handle server, size_t size)
{
    size_t sent = 0, got = 0;
    uint8_t buf[8192];
    uint64_t until = tern_host_now() + 20000000;
    while (got < size && tern_host_now() < until) {
        for (size_t i = 0; i < sizeof buf; i++)
            buf[i] = (uint8_t)((sent + i) % 251);
        size_t want = size - sent < sizeof buf ? size - sent : sizeof buf;
        long n = want > 0 ? tern_send(tern_host_stack(w.b), client, buf, want, 0) : 0;
        sent += n > 0 ? (size_t)n : 0;
        turn(w);
        while ((n = tern_recv(tern_host_stack(w.a), server, buf, sizeof buf)) > 0)
            for (long i = 0; i < n; i++, got++)
                assert_int_equal(buf[i], got % 251);
    }
    assert_int_equal(got, size);
}

static void bytes_get_through(void **state)
{
    struct world w = open_world(NULL);
    tern_handle client, server;
    (void)state;
    open_connection(w, &client, &server);
    transfer(w, client, server, 1000000);
    close_world(w);
}

static void bytes_get_through_a_bad_path(void **state)
{
    static const tern_impair_config bad = {.seed = 4,
                                           .delay_us = 500,
                                           .loss_ppm = 20000,
                                           .reorder_ppm = 50000,
                                           .duplicate_ppm = 10000,
                                           .corrupt_ppm = 5000};
    struct world w = open_world(&bad);
    tern_handle client, server;
    (void)state;
    open_connection(w, &client, &server);
    transfer(w, client, server, 300000);
    close_world(w);
}

/* Whether the descriptor is readable within `ms`. */
static bool readable(tern_host *h, int ms)
{
    struct pollfd p = {.fd = tern_host_fd(h), .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

static void settle(tern_host *h)
{
    while (tern_host_turn(h) > 0)
        ;
}

static void an_idle_host_sleeps(void **state)
{
    struct world w = open_world(NULL);
    (void)state;
    settle(w.a);
    assert_false(readable(w.a, 20));
    assert_int_equal(tern_host_wait(w.a, 10), 0);
    close_world(w);
}

/* What a call has queued wakes who waits, even if the program forgot to flush. */
static void a_call_wakes(void **state)
{
    struct world w = open_world(NULL);
    tern_endpoint at = {tern_ip4(192, 0, 2, 1), 80, 0};
    tern_handle h;
    (void)state;
    settle(w.b);
    assert_int_equal(tern_connect(tern_host_stack(w.b), NULL, &at, &h), 0);
    assert_int_equal(tern_host_wait(w.b, 1000), 1);
    assert_true(tern_host_turn(w.b) > 0);
    close_world(w);
}

/* Who polls the descriptor itself is not woken by output that waits for tern_host_flush: a loop that asks for
 * the descriptor before it flushes would never sleep. */
static void output_that_waits_is_quiet(void **state)
{
    struct world w = open_world(NULL);
    tern_endpoint at = {tern_ip4(192, 0, 2, 1), 80, 0};
    tern_handle h;
    (void)state;
    settle(w.b);
    uint64_t begin = tern_host_now();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_connect(tern_host_stack(w.b), NULL, &at, &h), 0);
        struct pollfd p = {.fd = tern_host_fd(w.b), .events = POLLIN};
        bool quiet = poll(&p, 1, 20) == 0;
        assert_true(quiet || tern_host_now() - begin > 500000); /* then it is the first SYN's timer */
        assert_true(tern_host_flush(w.b) > 0);
    }
    close_world(w);
}

/* The retransmission timer of a SYN that nobody answers fires by itself, about a second later. */
static void a_timer_wakes(void **state)
{
    struct world w = open_world(NULL);
    tern_endpoint at = {tern_ip4(192, 0, 2, 77), 80, 0};
    tern_handle h;
    tern_stats stats;
    uint64_t begin = tern_host_now();
    (void)state;
    assert_int_equal(tern_connect(tern_host_stack(w.b), NULL, &at, &h), 0);
    settle(w.b);
    do {
        assert_int_equal(tern_host_wait(w.b, 5000), 1);
        settle(w.b);
        tern_get_stats(tern_host_stack(w.b), &stats);
    } while (stats.retransmits == 0);
    assert_in_range(tern_host_now() - begin, 900000, 2500000);
    close_world(w);
}

static void a_delayed_packet_wakes(void **state)
{
    static const tern_impair_config slow = {.delay_us = 30000};
    struct world w = open_world(&slow);
    tern_endpoint at = {tern_ip4(192, 0, 2, 1), 80, 0};
    tern_handle h;
    (void)state;
    assert_int_equal(tern_connect(tern_host_stack(w.b), NULL, &at, &h), 0);
    uint64_t begin = tern_host_now();
    settle(w.b);
    assert_true(readable(w.b, 1000));
    assert_in_range(tern_host_now() - begin, 25000, 500000);
    close_world(w);
}

/* Between the halves of a turn the program answers: its answer and the acknowledgment are one segment. */
static void an_answer_carries_the_acknowledgment(void **state)
{
    struct world w = open_world(NULL);
    tern_handle client, server;
    tern_stats before, after;
    char buf[10] = "question";
    (void)state;
    open_connection(w, &client, &server);
    turn(w);
    assert_int_equal(tern_send(tern_host_stack(w.b), client, buf, 8, 0), 8);
    assert_true(tern_host_flush(w.b) > 0);
    tern_get_stats(tern_host_stack(w.a), &before);
    assert_true(tern_host_receive(w.a) > 0);
    tern_get_stats(tern_host_stack(w.a), &after);
    assert_int_equal(after.tx_packets, before.tx_packets);
    assert_int_equal(tern_recv(tern_host_stack(w.a), server, buf, sizeof buf), 8);
    assert_int_equal(tern_send(tern_host_stack(w.a), server, "answer", 6, 0), 6);
    assert_int_equal(tern_host_flush(w.a), 1);
    assert_int_equal(tern_host_receive(w.b), 1);
    tern_info info;
    assert_int_equal(tern_get_info(tern_host_stack(w.b), client, &info), 0);
    assert_int_equal(info.send_unacked, 0);
    assert_int_equal(info.recv_queue, 6);
    close_world(w);
}

struct count {
    uint32_t n;
    uint64_t last_us;
};

static void count_record(void *ctx, const tern_trace_record *r)
{
    struct count *c = ctx;
    assert_true(r->t_us >= c->last_us);
    c->last_us = r->t_us;
    c->n++;
}

static void trace_records_are_handed_over(void **state)
{
    struct world w = {open_host(1024), open_host(0)};
    struct count c = {0};
    tern_link *a, *b;
    tern_handle client, server;
    uint64_t missed;
    tern_trace_record r;
    (void)state;
    assert_int_equal(tern_link_pair(&a, &b, &plain, 1000), 0);
    attach(w.a, a, 1);
    attach(w.b, b, 2);
    tern_host_on_trace(w.a, count_record, &c);
    open_connection(w, &client, &server);
    transfer(w, client, server, 100000);
    settle(w.a);
    assert_true(c.n > 100);
    assert_int_equal(tern_trace_take(tern_host_stack(w.a), &r, 1, &missed), 0);
    close_world(w);
}

/* A link made by the test. */
struct fake {
    tern_link link;
    int rx_says, tx_says; /* what rx and tx return; 1 = tx takes all */
    int closed;           /* times */
};

static int fake_rx(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max)
{
    (void)now, (void)pkts, (void)max;
    return ((struct fake *)l)->rx_says;
}

static int fake_tx(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n)
{
    int says = ((struct fake *)l)->tx_says;
    (void)now, (void)pkts;
    return says == 1 ? n : says;
}

static int fake_fd(const tern_link *l)
{
    (void)l;
    return -1;
}

static uint64_t fake_next(const tern_link *l)
{
    return ((const struct fake *)l)->rx_says < 0 ? 0 : UINT64_MAX;
}

static void fake_close(tern_link *l) { ((struct fake *)l)->closed++; }

static const struct tern_link_ops fake_ops = {.name = "fake",
                                              .rx = fake_rx,
                                              .tx = fake_tx,
                                              .fd = fake_fd,
                                              .next = fake_next,
                                              .close = fake_close};

static void connect_into_the_void(tern_host *h)
{
    tern_endpoint at = {tern_ip4(192, 0, 2, 9), 80, 0};
    tern_handle c;
    assert_int_equal(tern_connect(tern_host_stack(h), NULL, &at, &c), 0);
}

static void a_link_that_is_gone_is_told(void **state)
{
    struct fake f = {.link = {.ops = &fake_ops, .info = plain}, .rx_says = -ENODEV};
    tern_host *h = open_host(0);
    (void)state;
    attach(h, &f.link, 1);
    assert_int_equal(tern_host_turn(h), -ENODEV);
    assert_int_equal(tern_host_turn(h), -ENODEV); /* and again, who missed it */
    assert_false(readable(h, 10));                /* without a busy loop */
    tern_host_destroy(h);
    assert_int_equal(f.closed, 1);
}

static void a_link_that_breaks_when_sending_is_told(void **state)
{
    struct fake f = {.link = {.ops = &fake_ops, .info = plain}, .tx_says = -EBADF};
    tern_host *h = open_host(0);
    (void)state;
    attach(h, &f.link, 1);
    connect_into_the_void(h);
    assert_int_equal(tern_host_flush(h), -EBADF);
    tern_host_destroy(h);
}

static void a_full_link_is_no_error(void **state)
{
    struct fake f = {.link = {.ops = &fake_ops, .info = plain}};
    tern_host *h = open_host(0);
    (void)state;
    attach(h, &f.link, 1);
    connect_into_the_void(h);
    assert_true(tern_host_turn(h) > 0);
    assert_int_equal(tern_host_turn(h), 0);
    tern_host_destroy(h);
}

static void bad_links_are_refused_and_closed(void **state)
{
    struct fake f = {.link = {.ops = &fake_ops, .info = {.mtu = 100}}};
    tern_host *h = open_host(0);
    (void)state;
    assert_true(tern_host_attach(h, &f.link) < 0);
    assert_int_equal(f.closed, 1);
    tern_host_destroy(h);
    assert_int_equal(f.closed, 1);
}

static void says_what_is_wrong_with_the_configuration(void **state)
{
    tern_host *h = NULL;
    char err[200] = "";
    tern_host_config cfg = {.stack.page_size = 3};
    (void)state;
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "configuration"));
    cfg = (tern_host_config){.memory = 4096};
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), -ENOMEM);
    assert_non_null(strstr(err, "memory"));
    assert_null(h);
}

static void seeds_differ_unless_given(void **state)
{
    tern_endpoint at = {tern_ip4(192, 0, 2, 9), 80, 0};
    uint64_t ports[2][4];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake f = {.link = {.ops = &fake_ops, .info = plain}, .tx_says = 1};
        tern_host *h = open_host(0);
        attach(h, &f.link, 1);
        for (int k = 0; k < 4; k++) {
            tern_handle c;
            tern_info info;
            assert_int_equal(tern_connect(tern_host_stack(h), NULL, &at, &c), 0);
            assert_int_equal(tern_get_info(tern_host_stack(h), c, &info), 0);
            ports[i][k] = info.local.port;
        }
        tern_host_destroy(h);
    }
    assert_memory_not_equal(ports[0], ports[1], sizeof ports[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_get_through),
        cmocka_unit_test(bytes_get_through_a_bad_path),
        cmocka_unit_test(an_answer_carries_the_acknowledgment),
        cmocka_unit_test(an_idle_host_sleeps),
        cmocka_unit_test(a_call_wakes),
        cmocka_unit_test(output_that_waits_is_quiet),
        cmocka_unit_test(a_timer_wakes),
        cmocka_unit_test(a_delayed_packet_wakes),
        cmocka_unit_test(trace_records_are_handed_over),
        cmocka_unit_test(a_link_that_is_gone_is_told),
        cmocka_unit_test(a_link_that_breaks_when_sending_is_told),
        cmocka_unit_test(a_full_link_is_no_error),
        cmocka_unit_test(bad_links_are_refused_and_closed),
        cmocka_unit_test(says_what_is_wrong_with_the_configuration),
        cmocka_unit_test(seeds_differ_unless_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
