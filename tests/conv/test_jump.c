/* Clocks that jump forward while nobody is awake: 1 s, 1 h, 25 and 50 days (the half and the whole of a
 * 32-bit clock of milliseconds), 200 years. After each of them every timer fires at most once, peers are
 * asked before they are judged, and no sleep is taken for a round trip. */
#include "lab/lab.h"

#define DAY (86400 * SEC)

static const uint64_t jumps[] = {2 * SEC, 3600 * SEC, 25 * DAY, 50 * DAY, 200ull * 365 * DAY};
#define JUMPS (sizeof(jumps) / sizeof(jumps[0]))

static void jump(struct lab *l, uint64_t us)
{
    l->now += us;
    l->mark = l->now;
    tern_tick(l->t, l->now);
    lab_collect(l);
}

static tern_info info(struct lab *l)
{
    tern_info i;
    assert_true(lab_info(l, 0, &i));
    return i;
}

/* A connection with a round trip of 100 ms known. */
static struct lab *measured(void **state, const char *opts)
{
    struct lab *l = lab_new(state, NULL);
    TALKF(l,
          "connect\n"
          "> S 0\n"
          "+100ms < SA 0 ack 1 win 65535 <%s>\n"
          "> A 1 ack 1\n"
          "send 1000\n"
          "> PA 1:1001(1000) ack 1\n"
          "+100ms < A 1 ack 1001",
          opts);
    return l;
}

/* In flight: one repetition, whatever the jump; the ACK of before, that comes after, is no round trip,
 * whether it is Karn's that would tell it or the timestamp. */
static void one_repetition_and_no_sample(void **state)
{
    static const char *const opts[] = {"mss 1460", "mss 1460,ts"};
    for (size_t i = 0; i < 2 * JUMPS; i++) {
        struct lab *l = measured(state, opts[i % 2]);
        tern_info before = info(l);
        TALK(l, "send 1000\n"
                "> PA 1001:2001(1000) ack 1");
        jump(l, jumps[i / 2]);
        TALK(l, "> PA 1001:2001(1000) ack 1\n"
                "> none\n"
                "< A 1 ack 2001\n"
                "= ESTABLISHED");
        tern_info after = info(l);
        assert_int_equal(after.srtt_us, before.srtt_us);
        assert_int_equal(after.rttvar_us, before.rttvar_us);
        assert_int_equal(after.min_rtt_us, before.min_rtt_us);
        assert_int_equal(after.timeouts, 1);
        assert_int_equal(lab_stats(l).clock_jumped, 1);
        TALK(l, "send 1000\n"
                "> PA 2001:3001(1000) ack 1\n"
                "+200ms < A 1 ack 3001"); /* and from now on it is measured again */
        assert_in_range(info(l).srtt_us, before.srtt_us + 1, 200000);
        lab_end(l);
    }
}

/* The packet is there when the machine wakes, and is read before the timers run. */
static void packets_before_timers(void **state)
{
    for (size_t i = 0; i < JUMPS; i++) {
        struct lab *l = measured(state, "mss 1460,sackOK");
        tern_info before = info(l);
        TALK(l, "send 2000\n"
                "> A 1001:2461(1460) ack 1\n"
                "> PA 2461:3001(540) ack 1");
        uint8_t one[66000], two[66000];
        uint32_t n1 = lab_packet(l, "A 1 ack 2461", one), n2 = lab_packet(l, "A 1 ack 3001", two);
        l->now += jumps[i];
        lab_rx(l, one, n1);
        lab_rx(l, two, n2);
        assert_int_equal(info(l).srtt_us, before.srtt_us);
        lab_run(l, 1);
        assert_int_equal(lab_pending(l), 0);
        lab_end(l);
    }
}

/* The handshake too: the SYN's round trip is not the sleep. */
static void while_opening(void **state)
{
    for (size_t i = 0; i < JUMPS; i++) {
        struct lab *l = lab_new(state, NULL);
        TALK(l, "connect\n"
                "> S 0");
        l->now += jumps[i];
        TALK(l, "< SA 0 ack 1 win 65535 <mss 1460>\n"
                "> A 1 ack 1\n"
                "= ESTABLISHED\n"
                "? srtt_us 0\n"
                "? rto_us 1000000");
        lab_end(l);
    }
}

/* No jump: a host that is merely idle until the next deadline, or comes a little late, measures as ever. */
static void no_jump(void **state)
{
    struct lab *l = measured(state, "mss 1460");
    lab_run(l, 30 * DAY);
    TALK(l, "send 1000\n"
            "> PA 1001:2001(1000) ack 1\n"
            "+250ms < A 1 ack 2001");
    assert_int_equal(lab_stats(l).clock_jumped, 0);
    assert_true(info(l).srtt_us > 100000);
    TALK(l, "send 1000\n"
            "> PA 2001:3001(1000) ack 1");
    l->now = info(l).timer_us + 600 * MS; /* a busy machine */
    l->mark = l->now;
    TALK(l, "< A 1 ack 3001");
    assert_int_equal(lab_stats(l).clock_jumped, 0);
    lab_end(l);
}

/* The user timeout, asked once before the machine slept: that attempt had no time to be answered. One more,
 * awake; and then the verdict. */
static void user_timeout_after_an_attempt(void **state)
{
    for (size_t i = 1; i < JUMPS; i++)
        for (int answered = 0; answered < 2; answered++) {
            struct lab *l = measured(state, "mss 1460");
            TALK(l, "opt user_timeout 10000\n"
                    "send 1000\n"
                    "> PA 1001:2001(1000) ack 1\n"
                    "+any > PA 1001:2001(1000) ack 1");
            jump(l, jumps[i]);
            TALK(l, "= ESTABLISHED\n"
                    "> PA 1001:2001(1000) ack 1\n"
                    "> none");
            if (answered)
                TALK(l, "+50ms < A 1 ack 2001\n"
                        "+100s = ESTABLISHED");
            else
                TALK(l, "+60s = CLOSED");
            assert_int_equal(info(l).reason, answered ? TERN_C_SYNACK_RCVD : TERN_C_USER_TIMEOUT);
            lab_forget(l);
            lab_end(l);
        }
}

/* Keepalive's last probe was sent before the machine slept: it is asked once more. */
static void keepalive_after_the_last_probe(void **state)
{
    for (size_t i = 1; i < JUMPS; i++)
        for (int answered = 0; answered < 2; answered++) {
            struct lab *l = measured(state, "mss 1460");
            TALK(l, "opt keepidle 1000\n"
                    "opt keepintvl 5000\n"
                    "opt keepcnt 2\n"
                    "opt keepalive 1\n"
                    "+any > A 1000 ack 1\n"
                    "+5s > A 1000 ack 1");
            jump(l, jumps[i]);
            TALK(l, "= ESTABLISHED\n"
                    "> A 1000 ack 1\n"
                    "> none");
            if (answered)
                TALK(l, "< A 1 ack 1001\n"
                        "+900ms = ESTABLISHED");
            else
                TALK(l, "+6s = CLOSED");
            lab_forget(l);
            lab_end(l);
        }
}

/* A caller who always comes too late cannot keep a dead peer's connection for ever. */
static void always_late(void **state)
{
    struct lab *l = measured(state, "mss 1460");
    TALK(l, "opt user_timeout 10000\n"
            "send 1000\n"
            "> PA 1001:2001(1000) ack 1");
    for (int i = 0; i < 20 && lab_state(l, 0) != TERN_CLOSED; i++)
        jump(l, 300 * SEC);
    assert_int_equal(lab_state(l, 0), TERN_CLOSED);
    assert_int_equal(info(l).reason, TERN_C_USER_TIMEOUT);
    lab_forget(l);
    lab_end(l);
}

/* A shut window is probed once, and the wait for it is not held against the peer. */
static void shut_window(void **state)
{
    for (size_t i = 0; i < JUMPS; i++) {
        struct lab *l = measured(state, "mss 1460");
        TALK(l, "< A 1 ack 1001 win 0\n"
                "send 100");
        jump(l, jumps[i]);
        TALK(l, "> A 1001:1002(1) ack 1\n"
                "> none\n"
                "< A 1 ack 1001 win 0\n"
                "= ESTABLISHED");
        lab_forget(l);
        lab_end(l);
    }
}

/* RFC 7323 5.5: the peer's timestamp clock has gone on, by less than half its round, by more, by all of it;
 * what it says after so long is believed, and its echo of ours too. */
static void timestamps_go_round(void **state)
{
    for (size_t i = 0; i < JUMPS; i++) {
        struct lab *l = measured(state, "mss 1460,ts");
        jump(l, jumps[i]);
        TALK(l, "< PA 1:101(100) ack 1001\n"
                "recv 100 -> 100\n"
                "= ESTABLISHED");
        lab_forget(l);
        TALK(l, "send 1000\n"
                "> PA 1001:2001(1000) ack 101\n"
                "+100ms < A 101 ack 2001\n"
                "? send_unacked 0");
        assert_in_range(info(l).srtt_us, 99000, 101000);
        lab_end(l);
    }
}

/* TIME_WAIT is over when the machine wakes, and a new SYN that is there before the timers finds it so. */
static void time_wait(void **state)
{
    for (size_t i = 1; i < JUMPS; i++)
        for (int syn_first = 0; syn_first < 2; syn_first++) {
            struct lab *l = lab_new(state, NULL);
            lab_reach(l, LAB_TIME_WAIT_FREE, false);
            lab_forget(l);
            l->now += jumps[i];
            if (syn_first)
                TALK(l, "reborn 100\n"
                        "< S 0 win 1000 <mss 1460>\n"
                        "> SA 0 ack 1\n"
                        "< R 1");
            assert_int_equal(lab_stats(l).time_wait_reused, 0);
            lab_run(l, 1);
            assert_int_equal(lab_live(l).timewait, 0);
            assert_int_equal(lab_pending(l), 0);
            lab_end(l);
        }
}

/* A half-open connection: repeated once after a short sleep; after one that is longer than it lasts it ends
 * without a word, also when a thousand wait. What comes later is served. */
static void half_open(void **state)
{
    enum { MANY = 3000 };
    for (size_t i = 0; i < JUMPS; i++) {
        struct lab *l = lab_new(state, NULL);
        tern_endpoint at = {.ip = l->ip, .port = 80};
        uint8_t buf[128];
        l->tuned = true; /* no other jump than this test's */
        assert_int_equal(tern_listen(l->t, &at, 4 * MANY, &l->listener), 0);
        for (uint16_t n = 0; n < MANY; n++) {
            struct segment s = {.seq = seq(n), .wnd = 1000, .flags = F_SYN, .opt.wscale = WSCALE_NONE};
            l->flow[1].peer.port = (uint16_t)(1000 + n);
            lab_rx(l, buf, lab_build(l, 1, &s, buf));
        }
        assert_int_equal(lab_pending(l), MANY);
        lab_forget(l);
        jump(l, jumps[i]);
        lab_run(l, 10);
        assert_int_equal(lab_pending(l), i == 0 ? MANY : 0);
        assert_int_equal(lab_live(l).halfopen, i == 0 ? MANY : 0);
        lab_forget(l);
        TALK(l, "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< A 1 ack 1\n"
                "accept\n"
                "= ESTABLISHED");
        lab_end(l);
    }
}

/* Back by as much: time stands still, nothing fires, and it is counted. */
static void and_back(void **state)
{
    for (size_t i = 0; i < JUMPS; i++) {
        struct lab_config cfg = {.start = jumps[JUMPS - 1] + SEC};
        struct lab *l = lab_new(state, &cfg);
        TALK(l, "connect\n"
                "> S 0\n"
                "+100ms < SA 0 ack 1 win 65535 <mss 1460>\n"
                "> A 1 ack 1\n"
                "send 1000\n"
                "> PA 1:1001(1000) ack 1");
        uint64_t now = l->now;
        tern_tick(l->t, now - jumps[i]);
        assert_int_equal(tern_now(l->t), now);
        assert_int_equal(lab_stats(l).clock_went_back, 1);
        assert_int_equal(lab_stats(l).clock_jumped, 0);
        TALK(l, "> none\n"
                "+100ms < A 1 ack 1001");
        assert_in_range(info(l).srtt_us, 99000, 101000);
        lab_end(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(one_repetition_and_no_sample),
        LAB_TEST(packets_before_timers),
        LAB_TEST(while_opening),
        LAB_TEST(no_jump),
        LAB_TEST(user_timeout_after_an_attempt),
        LAB_TEST(keepalive_after_the_last_probe),
        LAB_TEST(always_late),
        LAB_TEST(shut_window),
        LAB_TEST(timestamps_go_round),
        LAB_TEST(time_wait),
        LAB_TEST(half_open),
        LAB_TEST(and_back),
    };
    return LAB_MAIN(tests);
}
