/* Pitfalls of docs/PITFALLS.md between two stacks, under seeds of loss, reordering and duplication: 15, 21,
 * 22, 25, 36, and that everything ends with nothing left. */
#include "lab/pair.h"

#define SEEDS 25

static struct pair_config bad_path(uint64_t seed)
{
    return (struct pair_config){.seed = seed,
                                .loss_ppm = 20000 + (uint32_t)(seed % 5) * 20000,
                                .reorder_ppm = 50000,
                                .duplicate_ppm = 10000,
                                .jitter_us = (uint32_t)(seed % 3) * 1000,
                                .v6 = seed % 4 == 0};
}

static void transfer(struct pair *p, uint64_t a_to_b, uint64_t b_to_a)
{
    p->e[A].to_write = a_to_b;
    p->e[B].to_write = b_to_a;
    p->e[A].shut_when_written = p->e[B].shut_when_written = true;
    pair_until(p, pair_transferred, 3600 * SEC);
}

/* Both directions at once, any weather: every byte, both ends, no RST; then nothing is left. */
static void both_ways(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair_config cfg = bad_path(seed);
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        transfer(p, 300000, 200000);
        PAIR_CHECK(p, p->e[A].resets == 0 && p->e[B].resets == 0);
        PAIR_CHECK(p, p->lost > 0);
        pair_end(p);
    }
}

/* 15: the reader stops until the window is shut, then reads all at once, and that update is lost. */
static bool drop_updates(struct pair *p, int from, const struct segment *s)
{
    return from == B && s->len == 0 && s->wnd > 0 && p->cfg.drop_state > 0 && p->cfg.drop_state-- > 0;
}

static bool window_is_shut(struct pair *p)
{
    return pair_info(p, A).snd_wnd == 0;
}

static void pitfall_15_update_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair_config cfg = {.seed = seed, .loss_ppm = seed % 2 ? 0 : 50000, .drop = drop_updates};
        cfg.stack[B].recv_buffer = 8192;
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        p->e[B].idle_reader = true;
        p->e[A].to_write = 100000;
        p->e[A].shut_when_written = true;
        pair_until(p, window_is_shut, 100 * SEC);
        pair_run(p, 10 * SEC);
        p->cfg.drop_state = 1 + seed % 3;
        p->e[B].idle_reader = false;
        p->e[B].shut_when_written = true;
        pair_until(p, pair_transferred, 600 * SEC);
        pair_end(p);
    }
}

/* 21: one loss, out-of-order data kept: one fast retransmit, no timeout; with SACK and without. */
static bool drop_one(struct pair *p, int from, const struct segment *s)
{
    if (from != A || s->len < 1000 || p->cfg.drop_state == 0)
        return false;
    return --p->cfg.drop_state == 0;
}

static void pitfall_21_one_loss(void **state)
{
    (void)state;
    for (uint64_t which = 1; which <= 60; which += 3)
        for (int sack = 0; sack < 2; sack++) {
            struct pair_config cfg = {.seed = which, .drop = drop_one, .drop_state = which};
            cfg.stack[A].no_sack = cfg.stack[B].no_sack = !sack;
            struct pair *p = pair_new(&cfg);
            pair_open(p);
            p->e[A].to_write = 300000;
            while (p->e[B].read < 300000)
                PAIR_CHECK(p, pair_step(p, p->now + 10 * SEC));
            tern_info i = pair_info(p, A);
            PAIR_CHECK(p, i.timeouts == 0 && i.retransmits == 1 && i.fast_retransmits == 1);
            pair_end(p);
        }
}

/* 22: on every segment of new data that leaves, what is in flight is within the congestion window (RFC 3042:
 * and two more). */
static bool watch_flight(struct pair *p, int from, const struct segment *s)
{
    if (s->len == 0 || !p->e[from].h.v)
        return false;
    tern_info i = pair_info(p, from);
    if (i.in_flight > i.cwnd + 2 * i.mss && i.segs_out > p->cfg.drop_state && i.retransmits == 0)
        pair_fail(p, "%u bytes in flight, congestion window %u", i.in_flight, i.cwnd);
    return false;
}

static void pitfall_22_in_flight(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct pair_config cfg = bad_path(seed);
        cfg.drop = watch_flight;
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        transfer(p, 400000, 400000);
        pair_end(p);
    }
}

/* 25: request and response between two stacks, with the peer's ACKs delayed by 200 ms: no exchange takes
 * longer than the path does. */
static void pitfall_25_request_response(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct pair_config cfg = {.seed = seed};
        cfg.stack[A].delack_us = 200000;
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        for (int i = 0; i < 50; i++) {
            uint64_t asked = p->now;
            p->e[A].to_write += 200;
            while (p->e[B].read < p->e[A].to_write)
                PAIR_CHECK(p, pair_step(p, p->now + SEC));
            p->e[B].to_write += 8192;
            while (p->e[A].read < p->e[B].to_write)
                PAIR_CHECK(p, pair_step(p, p->now + SEC));
            PAIR_CHECK(p, p->now - asked < 2 * 5000 + 40000);
        }
        pair_end(p);
    }
}

/* 36: both close at once, or both connect at once, with every segment at risk: it always ends as it should.
 */
static bool both_closed(struct pair *p)
{
    return p->e[A].eof && p->e[B].eof && pair_state(p, A) != TERN_FIN_WAIT_1 &&
           pair_state(p, B) != TERN_FIN_WAIT_1;
}

static void pitfall_36_simultaneous_close(void **state)
{
    (void)state;
    bool closing = false;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct pair_config cfg = bad_path(seed);
        cfg.loss_ppm = 200000;
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        pair_run(p, SEC);
        p->e[A].shut_when_written = p->e[B].shut_when_written = true;
        pair_step(p, p->now + 1);
        PAIR_CHECK(p, p->e[A].did_shut && p->e[B].did_shut);
        while (!both_closed(p)) {
            PAIR_CHECK(p, pair_step(p, p->now + 1000 * SEC));
            closing |= pair_state(p, A) == TERN_CLOSING && pair_state(p, B) == TERN_CLOSING;
        }
        PAIR_CHECK(p, p->e[A].error == 0 && p->e[B].error == 0);
        pair_end(p);
    }
    assert_true(closing);
}

static bool both_open(struct pair *p)
{
    return pair_state(p, A) == TERN_ESTABLISHED && pair_state(p, B) == TERN_ESTABLISHED;
}

static void pitfall_36_simultaneous_open(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct pair_config cfg = bad_path(seed);
        cfg.loss_ppm = seed % 2 ? 200000 : 0;
        struct pair *p = pair_new(&cfg);
        tern_endpoint a = {.ip = p->e[A].ip, .port = 1000}, b = {.ip = p->e[B].ip, .port = 2000};
        PAIR_CHECK(p, tern_connect(p->e[A].t, &a, &b, &p->e[A].h) == 0);
        PAIR_CHECK(p, tern_connect(p->e[B].t, &b, &a, &p->e[B].h) == 0);
        pair_flush(p);
        pair_until(p, both_open, 170 * SEC);
        transfer(p, 50000, 50000);
        pair_end(p);
    }
}

/* Numbers that wrap in the middle of it: many starts, so that both sides' ISNs lie anywhere; and with large
 * windows. */
static void wraps(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 12; k++) {
        struct pair_config cfg = bad_path(k + 100);
        cfg.start = SEC + k * 1432 * SEC; /* 4.77 hours are a turn of the ISN's clock */
        cfg.stack[A].recv_buffer = cfg.stack[B].recv_buffer = 4 << 20;
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        transfer(p, 200000, 200000);
        pair_end(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(pitfall_15_update_lost),
        cmocka_unit_test(pitfall_21_one_loss),
        cmocka_unit_test(pitfall_22_in_flight),
        cmocka_unit_test(pitfall_25_request_response),
        cmocka_unit_test(pitfall_36_simultaneous_close),
        cmocka_unit_test(pitfall_36_simultaneous_open),
        cmocka_unit_test(wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
