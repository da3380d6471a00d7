/* Timestamps and PAWS (RFC 7323). */
#include "lab/lab.h"

static struct lab *open_with_ts(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460,ts 1000>\n"
            "> SA 0 ack 1 <mss 1460,ts ecr 1000>\n"
            "< A 1 ack 1 <ts 1001>\n"
            "accept\n"
            "? timestamps 1\n"
            "? mss 1448");
    return l;
}

/* 3.2: agreed when both SYNs have it; each segment has it then, and takes 12 bytes of the MSS (RFC
 * 9293 3.7.1). (RFC7323-3.2-bfh) */
static void agreed(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "send 2000\n"
            "> A 1:1449(1448) ack 1 <ts ecr 1001>\n"
            "> PA 1449:2001(552) ack 1 <ts ecr 1001>\n"
            "< FA 1 ack 2001 <ts 1002>\n"
            "> A 2001 ack 2 <ts ecr 1002>\n"
            "shutdown\n"
            "> FA 2001 ack 2 <ts ecr 1002>");
    lab_end(l);
}

/* Our clock goes on, one tick a millisecond (5.4: 1 ms to 1 s a tick). (RFC7323-4.1-a, RFC7323-5.4-abcd) */
static void our_clock(void **state)
{
    struct lab *l = open_with_ts(state);
    uint32_t before = l->flow[0].ts_last;
    TALK(l, "+10s send 10\n"
            "> PA 1:11(10) ack 1");
    assert_in_range(l->flow[0].ts_last - before, 10, 10000);
    lab_end(l);
}

/* 5.3 R1: older than TS.Recent is an old duplicate: dropped, and acknowledged. (RFC7323-5.2-a,
 * RFC7323-5.3-abcd) */
static void paws(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "< PA 1:11(10) ack 1 <ts 2000>\n"
            "recv 10");
    lab_run(l, SEC);
    lab_forget(l);
    TALK(l, "< PA 11:21(10) ack 1 <ts 1999>\n"
            "> A 1 ack 11 <ts ecr 2000>\n"
            "recv 10 -> EAGAIN\n"
            "< PA 11:21(10) ack 1 <ts 2000>\n"
            "recv 10");
    lab_run(l, SEC);
    lab_forget(l);
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 21\n"
            "< A 20 ack 101 <ts 1999>\n" /* outside the window, where its ACK would count */
            "> A 101 ack 21\n"
            "? send_unacked 100");
    lab_end(l);
}

/* 5.2: compared modulo 2^32. */
static void paws_wraps(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460,ts 4294967290>\n"
            "> SA 0 ack 1 <mss 1460,ts ecr 4294967290>\n"
            "< A 1 ack 1 <ts 4294967295>\n"
            "accept\n"
            "< PA 1:11(10) ack 1 <ts 5>\n"
            "recv 10\n"
            "forget\n"
            "< PA 11:21(10) ack 1 <ts 4294967295>\n"
            "recv 10 -> EAGAIN");
    lab_end(l);
}

/* 5.3: a RST is not subject to PAWS; it needs no timestamp either (3.2). (RFC7323-5.2-e) */
static void rst_without_timestamp(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "< R 1 <nots>\n"
            "= CLOSED");
    lab_end(l);
}

/* 5.2: a RST that answers a segment with timestamps echoes it, and has no time of its own
 * (RFC7323-5.2-bc). */
static void rst_for_nobody(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "< S 0 win 65535 <mss 1460,ts 1000>\n"
            "> RA =0 ack 1 <ts =0 ecr 1000>\n"
            "< A 7 ack =77 <ts 1001>\n"
            "> R =77 <ts =0 ecr 1001>\n"
            "< A 7 ack =77 <nots>\n"
            "> R =77 <>");
    lab_end(l);
}

/* 5.2: one that ends a connection with timestamps has them (RFC7323-3.2-g, RFC7323-5.2-d), from a half-open
 * one too. */
static void rst_of_an_abort(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "abort\n"
            "> R 1 <ts ecr 0>");
    lab_end(l);
    l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460,ts 1000>\n"
            "> SA 0 ack 1 <mss 1460,ts ecr 1000>");
    assert_int_equal(tern_abort(l->t, l->listener), 0);
    lab_collect(l);
    TALK(l, "> R 1 <ts ecr 0>");
    lab_end(l);
}

/* 3.2: once agreed, a segment without it SHOULD be dropped. (RFC7323-3.2-ij) */
static void missing(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "< PA 1:11(10) ack 1 <nots>\n"
            "recv 10 -> EAGAIN\n"
            "= ESTABLISHED");
    lab_forget(l);
    lab_end(l);
}

/* 4.3: TS.Recent is taken from the segment that spans Last.ACK.sent: not from one ahead of a gap.
 * (RFC7323-4.3-bc, RFC7323-5.3-d) */
static void echo_of_the_earliest(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "< PA 11:21(10) ack 1 <ts 3000>\n"
            "> A 1 ack 1 <ts ecr 1001>\n"
            "< PA 1:11(10) ack 1 <ts 2500>\n"
            "> A 1 ack 21 <ts ecr 2500>");
    lab_end(l);
}

/* 4.3 with delayed ACKs: the first segment since the last ACK is echoed, so that the peer's RTT includes the
 * delay. (RFC7323-4.3-a) */
static void echo_of_the_first_delayed(void **state)
{
    struct lab *l = open_with_ts(state);
    for (int i = 0; i < 60; i++) {
        TALKF(l, "< PA %d:%d(10) ack 1 <ts %d>", 1 + i * 10, 11 + i * 10, 2000 + i);
        lab_recv(l, 0, 10);
        lab_run(l, 300 * MS);
        lab_forget(l);
    }
    TALK(l, "< PA 601:611(10) ack 1 <ts 5000>\n"
            "+1ms < PA 611:621(10) ack 1 <ts 5001>\n"
            "+0..500ms > A 1 ack 621 <ts ecr 5000>");
    lab_end(l);
}

/* 5.5: after 24 days of silence TS.Recent is worth nothing. (RFC7323-5.5-ab) */
static void twenty_four_days(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "+720h < PA 1:11(10) ack 1 <ts 500>\n"
            "recv 10");
    lab_forget(l);
    lab_end(l);
}

/* Asked by us and not answered: not used. (RFC7323-3.2-k) */
static void not_agreed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1 <>\n"
            "send 10\n"
            "> PA 1:11(10) ack 1 <>\n"
            "? mss 1460\n"
            "< PA 1:11(10) ack 11 <ts 5000>\n"
            "recv 10\n"
            "< PA 11:21(10) ack 11 <ts 4000>\n"
            "recv 10");
    lab_end(l);
}

/* The SYN's own TSecr is zero (3.2: valid only when ACK is set). (RFC7323-3.2-a) */
static void no_echo_on_the_first_syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts ecr 0,wscale *>");
    lab_end(l);
}

/* Two connections between the same addresses: the clock of the later one is not behind (RFC 6191 needs that).
 */
static void clock_grows_across_connections(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0");
    uint32_t first = l->flow[0].ts_last;
    TALK(l, "+5s forget\n"
            "1 connect");
    lab_forget(l);
    assert_in_range(l->flow[1].ts_last - first, 1, 10000);
    lab_end(l);
}

/* RFC7323-3.2-c: the echo on a segment without ACK means nothing: a crossing SYN measures no round trip. */
static void echo_without_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+50ms < S 0 win 65535 <mss 1460,ts 1000 ecr 0>\n"
            "> SA 0 ack 1\n"
            "? srtt_us 0");
    lab_end(l);
}

/* RFC7323-4.1-b: an echo measures only if the ACK is of something new; the window update of later does
 * not. */
static void echo_of_nothing_new(void **state)
{
    struct lab *l = open_with_ts(state);
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+100ms < A 1 ack 101");
    tern_info before, after;
    assert_true(lab_info(l, 0, &before));
    TALK(l, "+800ms < A 1 ack 101 win 30000");
    assert_true(lab_info(l, 0, &after));
    assert_int_equal(after.srtt_us, before.srtt_us);
    assert_int_equal(after.rttvar_us, before.rttvar_us);
    lab_end(l);
}

/* RFC7323-7-a, RFC7323-7.1-a: our timestamps are not the system's time, but this and a number that the seed
 * and the pair of addresses give. */
static void offset_is_keyed(void **state)
{
    uint32_t seen[3];
    for (int i = 0; i < 3; i++) {
        struct lab_config cfg = {.stack = {.seed = {(uint8_t)i}}};
        struct lab *l = lab_new(state, &cfg);
        TALK(l, "connect\n"
                "> S 0");
        seen[i] = l->flow[0].ts_last - (uint32_t)(l->now / 1000);
        assert_int_not_equal(seen[i], 0);
        lab_end(l);
    }
    assert_int_not_equal(seen[0], seen[1]);
    assert_int_not_equal(seen[1], seen[2]);
}

/* RFC7323-5.2-e: a RST that is in the window but not exact is challenged, with or without a timestamp, new or
 * old. */
static void inexact_rst_is_challenged(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,ts 1000");
    TALK(l, "< R 100 <nots>\n"
            "> A 1 ack 1\n"
            "< R 101 <ts 1 ecr 0>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "? challenge_acks 2");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(agreed),
        LAB_TEST(our_clock),
        LAB_TEST(paws),
        LAB_TEST(paws_wraps),
        LAB_TEST(rst_without_timestamp), LAB_TEST(rst_for_nobody), LAB_TEST(rst_of_an_abort),
        LAB_TEST(missing),
        LAB_TEST(echo_of_the_earliest),
        LAB_TEST(echo_of_the_first_delayed),
        LAB_TEST(twenty_four_days),
        LAB_TEST(not_agreed),
        LAB_TEST(no_echo_on_the_first_syn),
        LAB_TEST(clock_grows_across_connections),
        LAB_TEST(echo_without_ack),
        LAB_TEST(echo_of_nothing_new),
        LAB_TEST(offset_is_keyed),
        LAB_TEST(inexact_rst_is_challenged),
    };
    return LAB_MAIN(tests);
}
