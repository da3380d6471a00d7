/* The clock that the caller gives: jumps, steps back, deadlines (tern.h, DESIGN "The way of a packet"). And
 * two stacks in one process, which share nothing. */
#include "lab/lab.h"

/* The clock stands still for the stack while a laptop sleeps: `us` pass at once, without a tick between. */
static void jump(struct lab *l, uint64_t us)
{
    l->now += us;
    l->mark = l->now;
    tern_tick(l->t, l->now);
    lab_collect(l);
}

/* After a jump each timer is due once: one retransmission, and no verdict before an unanswered one. */
static void jump_with_data_in_flight(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 1000\n"
            "> PA 1:1001(1000) ack 1");
    jump(l, 48 * 3600 * SEC);
    TALK(l, "= ESTABLISHED\n"
            "> PA 1:1001(1000) ack 1\n"
            "> none\n"
            "< A 1 ack 1001\n"
            "= ESTABLISHED\n"
            "? send_unacked 0");
    lab_end(l);
}

/* The user timeout asks the peer before it judges. */
static void jump_over_the_user_timeout(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "opt user_timeout 10000\n"
            "send 1000\n"
            "> PA 1:1001(1000) ack 1");
    jump(l, 3600 * SEC);
    TALK(l, "= ESTABLISHED\n"
            "> PA 1:1001(1000) ack 1\n"
            "< A 1 ack 1001\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* And so does keepalive: one probe after the jump, not a death. */
static void jump_over_keepalive(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "opt keepidle 1000\n"
            "opt keepintvl 1000\n"
            "opt keepcnt 3\n"
            "opt keepalive 1");
    jump(l, 3600 * SEC);
    TALK(l, "= ESTABLISHED\n"
            "> A 0 ack 1\n"
            "> none\n"
            "< A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* TIME_WAIT and a half-open record after a jump that is longer than they last: over, and nothing is sent. */
static void jump_over_the_rest(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1000");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1");
    jump(l, 3600 * SEC);
    TALK(l, "= LISTEN\n"
            "> none");
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* Back: taken as the former time, counted, and nothing fires twice. */
static void clock_goes_back(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 1000\n"
            "> PA 1:1001(1000) ack 1");
    uint64_t now = l->now;
    tern_tick(l->t, now - 500 * MS);
    assert_int_equal(tern_now(l->t), now);
    assert_int_equal(lab_stats(l).clock_went_back, 1);
    tern_tick(l->t, 0);
    assert_int_equal(tern_now(l->t), now);
    TALK(l, "> none\n"
            "+any > PA 1:1001(1000) ack 1\n"
            "< A 1 ack 1001");
    lab_end(l);
}

/* An origin of the caller's choice: 0, and close to the end of 48 bits of microseconds. */
static void any_origin(void **state)
{
    static const uint64_t origins[] = {1, 4 * 0xffffffffull, (1ull << 40) - 3 * SEC, 1ull << 45, 1ull << 60};
    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        struct lab_config cfg = {.start = origins[i]};
        struct lab *l = lab_new(state, &cfg);
        TALK(l, "connect\n"
                "> S 0\n"
                "+1s > S 0\n"
                "< SA 0 ack 1 win 65535 <mss 1000,ts>\n"
                "> A 1 ack 1\n"
                "send 100\n"
                "> PA 1:101(100) ack 1\n"
                "+any > PA 1:101(100) ack 1\n"
                "< A 1 ack 101\n"
                "close\n"
                "> FA 101 ack 1\n"
                "< FA 1 ack 102\n"
                "> A 102 ack 2\n"
                "+59s = TIME_WAIT\n"
                "+2s = CLOSED");
        lab_end(l);
    }
}

/* A timer is never late: it fires in the very microsecond that tern_next_deadline named; and calls without
 * need are harmless. */
static void deadlines(void **state)
{
    struct lab_config cfg = {.stack.rest_ms = UINT32_MAX};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1000");
    assert_int_equal(tern_next_deadline(l->t), LAB_NEVER);
    TALK(l, "send 1000\n"
            "> PA 1:1001(1000) ack 1");
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.timer, TERN_TIMER_RETRANSMIT);
    for (l->now += 1; l->now < info.timer_us; l->now += 777) {
        tern_tick(l->t, l->now);
        lab_collect(l);
        assert_int_equal(lab_pending(l), 0);
        assert_true(tern_next_deadline(l->t) <= info.timer_us);
    }
    l->now = info.timer_us;
    tern_tick(l->t, l->now);
    lab_collect(l);
    assert_int_equal(lab_pending(l), 1);
    lab_forget(l);
    lab_end(l);
}

/* --- two stacks in one process --- */

static void speak(struct lab *l, int step)
{
    static const char *const script[] = {
        "connect",
        "+100ms < SA 0 ack 1 win 65535 <mss 1000,sackOK,ts,wscale 7>",
        "send 20000",
        "+50ms < A 1 ack 1001 <sack 2001:5001>",
        "+50ms < PA 1:501(500) ack 6001",
        "recv 500",
        "shutdown",
        "+1s < A 501 ack 6001",
    };
    TALK(l, script[step]);
}

/* The same conversation alone, and with another stack's in between each line: the same packets, bit for bit.
 */
static void two_stacks_share_nothing(void **state)
{
    struct lab_config cfg = {0}, other = {.stack = {.seed = {9}, .no_sack = 1}, .start = 77 * SEC};
    struct lab *alone = lab_new(state, &cfg), *beside = lab_new(state, &cfg), *noise = lab_new(state, &other);
    for (int i = 0; i < 8; i++)
        speak(alone, i);
    for (int i = 0; i < 8; i++) {
        speak(beside, i);
        speak(noise, i);
    }
    lab_end(noise);
    TALK(beside, "< A 501 ack 7001");
    TALK(alone, "< A 501 ack 7001");
    assert_int_equal(lab_pending(alone), lab_pending(beside));
    const struct lab_out *x, *y;
    while ((x = lab_next(alone)) != NULL && (y = lab_next(beside)) != NULL) {
        assert_int_equal(x->len, y->len);
        assert_memory_equal(x->bytes, y->bytes, x->len);
    }
    lab_end(alone);
    lab_end(beside);
}

static int drain(struct lab *l)
{
    tern_tx_packet pkts[64];
    int n, total = 0;
    while ((n = tern_tx(l->t, l->now, pkts, 64)) > 0)
        total += n;
    return total;
}

/* However many timers are due at once, one call looks at so many and says that there is more to do. */
static void many_timers_in_turns(void **state)
{
    enum { N = 5000 };
    static tern_handle handles[N];
    struct lab *l = lab_new(state, &(struct lab_config){.memory = 32 << 20});
    tern_endpoint to = {.ip = l->peer_ip, .port = 1};
    for (int i = 0; i < N; i++, to.port++)
        assert_int_equal(tern_connect(l->t, NULL, &to, &handles[i]), 0);
    assert_int_equal(drain(l), N);
    l->now = tern_next_deadline(l->t);
    while (lab_stats(l).timeouts == 0) { /* the first turns bring the timers down to their microsecond */
        l->now = tern_next_deadline(l->t) > l->now ? tern_next_deadline(l->t) : l->now;
        tern_tick(l->t, l->now);
    }
    for (uint64_t before = 0, now; before < N; before = now) {
        now = lab_stats(l).timeouts;
        assert_in_range(now - before, 1, 1024);
        assert_int_equal(drain(l), now - before);
        if (now < N) {
            assert_true(tern_next_deadline(l->t) <= l->now);
            tern_tick(l->t, l->now);
        }
    }
    assert_int_equal(lab_stats(l).timeouts, N);
    assert_true(tern_next_deadline(l->t) > l->now);
    for (int i = 0; i < N; i++)
        tern_abort(l->t, handles[i]);
    drain(l);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(jump_with_data_in_flight),
        LAB_TEST(jump_over_the_user_timeout),
        LAB_TEST(jump_over_keepalive),
        LAB_TEST(jump_over_the_rest),
        LAB_TEST(clock_goes_back),
        LAB_TEST(any_origin),
        LAB_TEST(deadlines),
        LAB_TEST(many_timers_in_turns),
        LAB_TEST(two_stacks_share_nothing),
    };
    return LAB_MAIN(tests);
}
