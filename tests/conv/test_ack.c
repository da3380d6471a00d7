/* When tern acknowledges (RFC 9293 3.8.6.3, RFC 5681 4.2) and when it tells of a window (3.8.6.2.2). */
#include "lab/lab.h"

/* Past the quick ACKs of a connection's start: 60 segments of 100 bytes. */
static struct lab *warmed(void **state, const struct lab_config *cfg)
{
    struct lab *l = lab_new(state, cfg);
    lab_accept(l, "mss 1460");
    for (int i = 0; i < 60; i++) {
        TALKF(l, "< PA %d:%d(100) ack 1", 1 + i * 100, 101 + i * 100);
        lab_recv(l, 0, 100);
        lab_run(l, 10 * MS);
    }
    lab_run(l, 500 * MS);
    lab_forget(l);
    TALK(l, "+1ms < A 6001 ack 1");
    return l;
}

/* MUST-40: less than half a second. (RFC5681-4.2-abd) */
static void delayed_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    for (int i = 0; i < 60; i++) {
        TALKF(l, "< PA %d:%d(100) ack 1", 1 + i * 100, 101 + i * 100);
        if (lab_pending(l) == 0) {
            TALKF(l, "+0..499ms > A 1 ack %d", 101 + i * 100);
            lab_end(l);
            return;
        }
        lab_forget(l);
    }
    lab_fail(l, "every segment was acknowledged at once: no ACK is delayed");
}

/* SHLD-19: at least each second full-sized segment. (RFC5681-4.2-c) */
static void every_second_segment(void **state)
{
    struct lab *l = warmed(state, NULL);
    TALK(l, "< A 6001:7461(1460) ack 1");
    lab_run(l, 1 * MS);
    bool first = lab_pending(l) > 0;
    lab_forget(l);
    TALK(l, "< A 7461:8921(1460) ack 1");
    bool second = lab_pending(l) > 0;
    lab_forget(l);
    assert_true(first || second);
    lab_end(l);
}

/* SHLD-18: fewer ACKs than segments in a stream; SHLD-19: not fewer than half. */
static void fewer_acks_than_segments(void **state)
{
    struct lab *l = warmed(state, NULL);
    unsigned acks = 0;
    for (int i = 0; i < 40; i++) {
        TALKF(l, "< A %d:%d(1460) ack 1", 6001 + i * 1460, 6001 + (i + 1) * 1460);
        lab_recv(l, 0, 1460);
        lab_run(l, 100);
        acks += (unsigned)lab_pending(l);
        lab_forget(l);
    }
    assert_in_range(acks, 20, 39);
    lab_end(l);
}

/* MUST-58, MUST-59: a batch is handled to its end, and one ACK tells of all. (RFC5681-4.2-h) */
static void one_ack_for_a_batch(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "<+ A 1:1461(1460) ack 1\n"
            "<+ A 1461:2921(1460) ack 1\n"
            "<+ A 2921:4381(1460) ack 1\n"
            "<+ A 4381:5841(1460) ack 1\n"
            "< PA 5841:7301(1460) ack 1\n"
            "> A 1 ack 7301\n"
            "> none");
    lab_end(l);
}

/* MAY-13, RFC 5681 4.2: out-of-order data is answered at once, and so is data that fills a gap.
 * (RFC5681-3.2-ab, RFC5681-4.2-efg) */
static void out_of_order_at_once(void **state)
{
    struct lab *l = warmed(state, NULL);
    TALK(l, "< PA 6101:6201(100) ack 1\n"
            "> A 1 ack 6001\n"
            "< PA 6301:6401(100) ack 1\n"
            "> A 1 ack 6001\n"
            "< PA 6001:6101(100) ack 1\n"
            "> A 1 ack 6201\n"
            "< PA 6201:6301(100) ack 1\n"
            "> A 1 ack 6401");
    lab_end(l);
}

/* The same within one batch: the filled gap is told in it. (RFC5681-4.2-g) */
static void gap_filled_in_a_batch(void **state)
{
    struct lab *l = warmed(state, NULL);
    TALK(l, "<+ PA 6101:6201(100) ack 1\n"
            "< PA 6001:6101(100) ack 1");
    const struct lab_out *o, *last = NULL;
    while ((o = lab_next(l)) != NULL)
        last = o;
    assert_non_null(last);
    assert_int_equal(last->seg.ack.v, l->flow[0].peer_iss + 6201);
    lab_end(l);
}

/* An ACK that waits rides on data: one segment, not two. */
static void ack_rides_on_data(void **state)
{
    struct lab *l = warmed(state, NULL);
    TALK(l, "< PA 6001:6101(100) ack 1");
    lab_recv(l, 0, 100);
    TALK(l, "send 200\n"
            "> PA 1:201(200) ack 6101\n"
            "+1s < A 6101 ack 201");
    lab_forget(l); /* a repetition of the 200 bytes, no more */
    TALK(l, "+1s > none");
    lab_end(l);
}

/* The option: never delayed. */
static void quickack_option(void **state)
{
    struct lab *l = warmed(state, NULL);
    TALK(l, "opt quickack 1");
    for (int i = 0; i < 10; i++)
        TALKF(l, "< PA %d:%d(100) ack 1\n> A 1 ack %d", 6001 + i * 100, 6101 + i * 100, 6101 + i * 100);
    lab_end(l);
}

/* At the start of a connection ACKs are quick, because the peer is in slow start. */
static void quick_at_the_start(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    for (int i = 0; i < 4; i++)
        TALKF(l, "< PA %d:%d(100) ack 1\n> A 1 ack %d", 1 + i * 100, 101 + i * 100, 101 + i * 100);
    lab_end(l);
}

/* An ACK is not acknowledged; nor is a segment with an old ACK and nothing else. */
static void no_ack_for_acks(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< A 1 ack 1\n"
            "< A 1 ack 1 win 30000\n"
            "< A 1 ack 0\n"
            "+2s > none");
    lab_end(l);
}

static struct lab *filled(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 16384}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1024");
    for (int i = 0; i < 16; i++) {
        TALKF(l, "< A %d:%d(1024) ack 1", 1 + i * 1024, 1025 + i * 1024);
        lab_run(l, 100 * MS);
    }
    assert_int_equal(l->flow[0].edge - l->flow[0].peer_iss, 16385);
    lab_forget(l);
    return l;
}

/* 3.8.6.1: what comes for a closed window is acknowledged and not taken. MUST-66: but ACK and RST are. */
static void closed_window(void **state)
{
    struct lab *l = filled(state);
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 16385 win 0\n"
            "< A 16385:16386(1) ack 101\n"
            "> A 101 ack 16385 win 0\n"
            "? send_unacked 0\n"
            "? recv_queue 16384\n"
            "< R 16385\n"
            "= CLOSED");
    lab_end(l);
}

/* MAY-8: shut for as long as the program does not read, here a day of probes; nothing ends by it. */
static void shut_for_a_day(void **state)
{
    struct lab *l = filled(state);
    for (int i = 0; i < 24; i++)
        TALK(l, "+1h < A 16385:16386(1) ack 1\n"
                "> A 1 ack 16385 win 0\n"
                "= ESTABLISHED");
    TALK(l, "recv 16384\n"
            "> A 1 ack 16385 win 16384");
    lab_end(l);
}

/* FIELD 26: a reader that drains it all is told of at once. */
static void update_after_drain(void **state)
{
    struct lab *l = filled(state);
    TALK(l, "recv 16384\n"
            "> A 1 ack 16385 win 16384");
    lab_end(l);
}

/* MUST-39: small reads do not make small windows; the edge moves in steps of a segment or half the buffer. */
static void small_reads(void **state)
{
    struct lab *l = filled(state);
    uint32_t edge = 0;
    for (int i = 0; i < 100; i++) {
        lab_recv(l, 0, 100);
        const struct lab_out *o;
        while ((o = lab_next(l)) != NULL) {
            assert_true(o->seg.wnd - edge >= 1024);
            edge = o->seg.wnd;
        }
    }
    assert_true(edge >= 4096);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(delayed_ack),         LAB_TEST(every_second_segment), LAB_TEST(fewer_acks_than_segments),
        LAB_TEST(one_ack_for_a_batch), LAB_TEST(out_of_order_at_once), LAB_TEST(gap_filled_in_a_batch),
        LAB_TEST(ack_rides_on_data),   LAB_TEST(quickack_option),      LAB_TEST(quick_at_the_start),
        LAB_TEST(no_ack_for_acks),     LAB_TEST(closed_window),        LAB_TEST(update_after_drain),
        LAB_TEST(small_reads),         LAB_TEST(shut_for_a_day),
    };
    return LAB_MAIN(tests);
}
