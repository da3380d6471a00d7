/* Slow start and congestion avoidance in bytes (RFC 5681, RFC 3465, RFC 6928). */
#include "lab/lab.h"

/* Count the data segments that wait to be looked at, and forget them. */
static unsigned burst(struct lab *l)
{
    unsigned n = 0;
    const struct lab_out *o;
    while ((o = lab_next(l)) != NULL)
        n += o->seg.len > 0;
    return n;
}

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)) bytes at the start. (RFC5681-3.1-b) */
static void initial_window(void **state)
{
    static const struct {
        unsigned mss, segments;
    } cases[] = {{1460, 10}, {1000, 10}, {536, 10}, {100, 10}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lab *l = lab_new(state, NULL);
        char opts[32];
        snprintf(opts, sizeof(opts), "mss %u", cases[i].mss);
        lab_connect(l, opts);
        TALK(l, "send 60000");
        assert_int_equal(burst(l), cases[i].segments);
        lab_end(l);
    }
}

/* RFC 5681 3.1: the initial window is one segment after a lost SYN; RFC 6928 2 asks for that after the second
 * loss only. (RFC5681-3.1-d) */
static void initial_window_after_lost_syns(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+1s > S 0\n"
            "+2s > S 0\n"
            "< SA 0 ack 1 win 65535 <mss 1000>\n"
            "> A 1 ack 1\n"
            "send 20000\n"
            "> A 1:1001(1000) ack 1\n"
            "> none");
    lab_end(l);
}

/* MUST-19, RFC 5681 3.1: in slow start each ACK adds what it acknowledges; RFC 3465: by bytes, so two
 * segments add two. (RFC5681-3.1-acfh) */
static void slow_start(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 60000\n"
            "? cwnd 10000");
    assert_int_equal(burst(l), 10);
    TALK(l, "< A 1 ack 1001\n"
            "? cwnd 11000");
    assert_int_equal(burst(l), 2);
    TALK(l, "< A 1 ack 3001\n"
            "? cwnd 13000");
    assert_int_equal(burst(l), 4);
    TALK(l, "< A 1 ack 10001\n"
            "? cwnd 20000");
    assert_int_equal(burst(l), 14);
    lab_end(l);
}

/* RFC 5681 3.1: a receiver that divides its ACKs gains nothing: as many bytes as were acknowledged, not one
 * segment an ACK. (RFC5681-3.1-i) */
static void divided_acks(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 60000");
    burst(l);
    for (int i = 1; i <= 10; i++)
        TALKF(l, "< A 1 ack %d", 1 + i * 100);
    TALK(l, "? cwnd 11000");
    assert_int_equal(burst(l), 2);
    lab_end(l);
}

/* MUST-19, RFC 5681 3.1: above ssthresh about one segment for each window of bytes acknowledged.
 * (RFC5681-3.1-jklm) */
static void congestion_avoidance(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000,sackOK");
    TALK(l, "send 100000\n"
            "< A 1 ack 1 <sack 1001:4001>\n"
            "? ssthresh 5000");
    lab_run(l, 0);
    lab_forget(l);
    uint32_t nxt = l->flow[0].snd_max - l->flow[0].iss;
    TALKF(l, "< A 1 ack %u\n? cwnd 5000", nxt);
    uint32_t una = nxt;
    for (unsigned window = 5000; window < 9000; window += 1000) {
        for (unsigned i = 0; i < window / 1000; i++) {
            TALKF(l, "? cwnd %u", window);
            una += 1000;
            TALKF(l, "< A 1 ack %u", una);
        }
        TALKF(l, "? cwnd %u", window + 1000);
        lab_forget(l);
    }
    lab_end(l);
}

/* RFC 5681 4.1: after a pause longer than the RTO the window is the initial one again (restart window).
 * (RFC5681-4.1-a) */
static void restart_after_idle(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+100ms < SA 0 ack 1 win 65535 <mss 1000>\n"
            "> A 1 ack 1\n"
            "send 40000");
    for (int i = 1; i <= 40; i++)
        TALKF(l, "< A 1 ack %d", 1 + i * 1000);
    lab_forget(l);
    TALK(l, "? send_unacked 0\n"
            "+5s send 40000");
    assert_int_equal(burst(l), 10);
    lab_end(l);
}

/* RFC 5681 3.1 (4): a timeout sets ssthresh once for a segment that times out again and again.
 * (RFC5681-3.1-gp) */
static void timeouts_in_a_row(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 10000");
    burst(l);
    TALK(l, "+any > A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "? cwnd 1000\n"
            "+any > A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "+any > A 1:1001(1000) ack 1\n"
            "? ssthresh 5000");
    lab_end(l);
}

/* FIELD 22: with every segment that leaves, bytes in flight are within the congestion window (A7 of the
 * audit); here over a long transfer with losses of each kind. (RFC5681-2-a, RFC5681-3-a) */
static void never_more_than_the_window(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000,sackOK");
    TALK(l, "send 200000");
    uint32_t una = 1;
    for (int round = 0; round < 60 && una < 200001; round++) {
        lab_forget(l);
        uint32_t max = l->flow[0].snd_max - l->flow[0].iss;
        if (round % 7 == 3 && max - una > 5000) {
            TALKF(l, "< A 1 ack %u <sack %u:%u>", una, una + 1000, una + 5000);
            lab_forget(l);
        } else if (round % 11 == 5) {
            lab_run(l, 3 * SEC);
            lab_forget(l);
        }
        una = l->flow[0].snd_max - l->flow[0].iss;
        TALKF(l, "< A 1 ack %u", una);
    }
    assert_int_equal(una, 200001);
    lab_end(l);
}

/* RFC5681-3.1-c: the ACK that completes the handshake makes nothing grow, on either side. */
static void handshake_grows_nothing(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1000");
    TALK(l, "? cwnd 10000");
    lab_end(l);
    l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "? cwnd 10000");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(initial_window),    LAB_TEST(initial_window_after_lost_syns), LAB_TEST(slow_start),
        LAB_TEST(divided_acks),      LAB_TEST(congestion_avoidance),           LAB_TEST(restart_after_idle),
        LAB_TEST(timeouts_in_a_row), LAB_TEST(never_more_than_the_window),
        LAB_TEST(handshake_grows_nothing),
    };
    return LAB_MAIN(tests);
}
