/* Pitfalls of docs/PITFALLS.md about TIME_WAIT: 2, 3, 4, 43. Each number is the row's. */
#include "lab/lab.h"
#include "lab/pair.h"

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
        LAB_TEST(pitfall_02_higher_isn),
        LAB_TEST(pitfall_03_lower_isn_newer_timestamp),
        LAB_TEST(pitfall_03_neither),
        LAB_TEST(pitfall_04_rst_and_late_fin),
        LAB_TEST(pitfall_43_fin_before_time_wait),
    };
    const struct CMUnitTest seeds[] = {cmocka_unit_test(pitfall_43_seeds)};
    int failed = LAB_MAIN(tests);
    return failed + cmocka_run_group_tests_name("seeds", seeds, NULL, NULL);
}
