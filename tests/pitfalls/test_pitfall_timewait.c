/* Pitfalls of docs/PITFALLS.md about TIME_WAIT and ports: 1, 2, 3, 4, 42, 43. Each number is the row's. */
#include "lab/lab.h"
#include "lab/pair.h"

/* A whole life that we begin and end: connect, a request, its answer, we close first. */
static void we_close_first(struct lab *l, uint16_t local, uint16_t remote)
{
    l->flow[0].local.port = local;
    l->flow[0].peer.port = remote;
    TALK(l, "reborn 0");
    lab_connect(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "< PA 1:101(100) ack 101\n"
            "recv 100\n"
            "forget\n"
            "close\n"
            "> FA 101 ack 101\n"
            "< FA 101 ack 102\n"
            "> A 102 ack 102");
}

/* Bytes of the arena in use. */
static uint64_t memory_of(struct lab *l)
{
    tern_live v = lab_live(l);
    return v.arena_used - v.arena_free;
}

/* 1: 10,000 cycles, we close first, faster than 2 MSL. Memory is flat, the number in TIME_WAIT is bounded by
 * the memory or by the limit, the oldest are recycled and counted, and no connect is refused. */
static void pitfall_01_ten_thousand_cycles(void **state)
{
    for (int limited = 0; limited < 2; limited++) {
        struct lab_config cfg = {.memory = tern_min_size(NULL),
                                 .stack = {.time_wait_max = limited ? 500 : 0}};
        struct lab *l = lab_new(state, &cfg);
        uint64_t half = 0;
        for (unsigned i = 0; i < 10000; i++) {
            we_close_first(l, (uint16_t)(50000 + i % 10000), 8080);
            if (i == 5000)
                half = memory_of(l);
        }
        tern_live v = lab_live(l);
        tern_stats s = lab_stats(l);
        assert_true(memory_of(l) <= half + half / 16);
        assert_int_equal(s.time_wait_recycled, 10000 - v.timewait);
        assert_true(limited ? v.timewait == 500 : v.timewait > 500 && v.timewait < 5000);
        assert_int_equal(v.tcbs, 0);
        lab_run(l, 61 * SEC);
        assert_int_equal(lab_live(l).timewait, 0);
        lab_end(l);
    }
}

/* 42: active opens to one remote until its ports run out, nine of ten in TIME_WAIT: an error of its own, and
 * the status says for this remote what holds them. Other remotes are not touched; 2 MSL later it works. */
static void pitfall_42_ports_run_out(void **state)
{
    enum { PORTS = 400, OPEN = 40 };
    struct lab_config cfg = {.stack = {.port_low = 50000, .port_high = 50000 + PORTS - 1}};
    struct lab *l = lab_new(state, &cfg);
    tern_handle h[OPEN], more;
    tern_port_use use;
    for (unsigned i = 0; i < PORTS - OPEN; i++)
        we_close_first(l, (uint16_t)(50000 + i), 8080);
    tern_endpoint remote = l->flow[0].peer, other = remote;
    other.port++;
    for (unsigned i = 0; i < OPEN; i++)
        assert_int_equal(tern_connect(l->t, NULL, &remote, &h[i]), 0);
    assert_int_equal(tern_connect(l->t, NULL, &remote, &more), -TERN_ENOSR);
    assert_int_equal(tern_ports(l->t, NULL, &remote, &use), 0);
    assert_int_equal(use.total, PORTS);
    assert_int_equal(use.used, PORTS);
    assert_int_equal(use.free, 0);
    assert_int_equal(use.by_state[TERN_TIME_WAIT], PORTS - OPEN);
    assert_int_equal(use.by_state[TERN_SYN_SENT], OPEN);
    assert_int_equal(tern_ports(l->t, NULL, &other, &use), 0);
    assert_int_equal(use.free, PORTS);
    assert_int_equal(tern_connect(l->t, NULL, &other, &more), 0);
    assert_int_equal(tern_abort(l->t, more), 0);
    for (unsigned i = 0; i < OPEN; i++)
        assert_int_equal(tern_abort(l->t, h[i]), 0);
    lab_run(l, 61 * SEC);
    assert_int_equal(tern_ports(l->t, NULL, &remote, &use), 0);
    assert_int_equal(use.free, PORTS);
    assert_int_equal(tern_connect(l->t, NULL, &remote, &more), 0);
    assert_int_equal(tern_abort(l->t, more), 0);
    lab_forget(l);
    lab_end(l);
}

/* A connection that we closed first, 500 bytes of the peer's stream old; the listener still there. */
static struct lab *in_time_wait(void **state, bool keep, const char *opts)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, opts);
    TALKF(l,
          "< PA 1:501(500) ack 1\n"
          "recv 500\n"
          "forget\n"
          "%s\n"
          "> FA 1 ack 501\n"
          "< FA 501 ack 2\n"
          "> A 2 ack 502\n"
          "= TIME_WAIT",
          keep ? "shutdown" : "close");
    return l;
}

/* 2: the peer reuses its port with a higher ISN: connected in one round trip; old data is never delivered. */
static void pitfall_02_higher_isn(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = in_time_wait(state, keep, "mss 1460");
        uint8_t old[1000];
        uint32_t len = lab_packet(l, "PA 401:501(100) ack 1", old);
        TALK(l, "+1s reborn 700\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED");
        lab_rx(l, old, len);
        lab_forget(l);
        TALK(l, "recv 100 -> EAGAIN\n"
                "= ESTABLISHED\n"
                "< PA 1:101(100) ack 1\n"
                "recv 100");
        lab_forget(l);
        lab_end(l);
    }
}

/* 3: a lower ISN and a newer timestamp: connects. */
static void pitfall_03_lower_isn_newer_timestamp(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = in_time_wait(state, keep, "mss 1460,ts");
        TALK(l, "+1s reborn -3000000\n"
                "< S 0 win 65535 <mss 1460,ts>\n"
                "> SA 0 ack 1\n"
                "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED\n"
                "< PA 1:101(100) ack 1\n"
                "recv 100");
        lab_forget(l);
        lab_end(l);
    }
}

/* 3: and with neither: each SYN draws one ACK, the peer's RST none; no loop; and once TIME_WAIT is over it
 * connects. */
static void pitfall_03_neither(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = in_time_wait(state, keep, "mss 1460");
        for (int i = 0; i < 5; i++)
            TALK(l, "+3s < S -5000 win 65535 <mss 1460>\n"
                    "> A 2 ack 502\n"
                    "< R 502\n"
                    "> none\n"
                    "= TIME_WAIT");
        TALK(l, "+46s reborn -5000\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED");
        lab_end(l);
    }
}

/* 4: RST during TIME_WAIT is ignored (RFC 1337); a late FIN near its end is acknowledged again and 2 MSL
 * start anew. */
static void pitfall_04_rst_and_late_fin(void **state)
{
    for (int keep = 0; keep < 2; keep++) {
        struct lab *l = in_time_wait(state, keep, "mss 1460");
        TALKF(l,
              "+10s < R 502\n"
              "> none\n"
              "= TIME_WAIT\n"
              "+49s < FA 501 ack 2\n"
              "> A 2 ack 502\n"
              "+59s = TIME_WAIT\n"
              "+2s = %s",
              keep ? "CLOSED" : "LISTEN");
        lab_end(l);
    }
}

/* 43: a short TIME_WAIT does not take the FIN with it: the FIN is sent, repeated, and acknowledged before. */
static void pitfall_43_fin_before_time_wait(void **state)
{
    struct lab_config cfg = {.stack = {.msl_ms = 1}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460");
    TALK(l, "send 10\n"
            "> PA 1:11(10) ack 1\n"
            "close\n"
            "> FA 11 ack 1\n"
            "+any > PA 1:11(10) ack 1\n");
    lab_run(l, 5 * SEC);
    lab_forget(l);
    TALK(l, "< A 1 ack 11\n"
            "+any > FA 11 ack 1\n"
            "+any > FA 11 ack 1\n"
            "< A 1 ack 12\n"
            "= FIN_WAIT_2\n"
            "+1s < FA 1 ack 12\n"
            "> A 12 ack 2\n"
            "+10ms = LISTEN");
    lab_end(l);
}

static bool b_saw_the_end(struct pair *p)
{
    return p->e[B].eof || p->e[B].error;
}

/* 43, with 30 seeds of loss: whatever is lost, the peer sees an orderly end, and all bytes before it. */
static void pitfall_43_seeds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct pair_config cfg = {
            .seed = seed, .loss_ppm = 200000, .reorder_ppm = 100000, .duplicate_ppm = 50000};
        cfg.stack[A].msl_ms = 1;
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        p->e[A].to_write = 20000;
        while (p->e[A].wrote < p->e[A].to_write)
            pair_step(p, p->now + 10 * SEC);
        PAIR_CHECK(p, tern_close(p->e[A].t, p->e[A].h) == 0);
        p->e[A].h.v = 0;
        pair_until(p, b_saw_the_end, 900 * SEC);
        PAIR_CHECK(p, p->e[B].eof && p->e[B].read == 20000);
        pair_end(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(pitfall_01_ten_thousand_cycles),
        LAB_TEST(pitfall_02_higher_isn),
        LAB_TEST(pitfall_03_lower_isn_newer_timestamp),
        LAB_TEST(pitfall_03_neither),
        LAB_TEST(pitfall_04_rst_and_late_fin),
        LAB_TEST(pitfall_42_ports_run_out),
        LAB_TEST(pitfall_43_fin_before_time_wait),
    };
    const struct CMUnitTest seeds[] = {cmocka_unit_test(pitfall_43_seeds)};
    int failed = LAB_MAIN(tests);
    return failed + cmocka_run_group_tests_name("seeds", seeds, NULL, NULL);
}
