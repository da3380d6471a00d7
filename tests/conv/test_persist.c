/* The closed window of the peer, and a window that shrinks (RFC 9293 3.8.6, 3.8.6.1). */
#include "lab/lab.h"

/* The peer takes 1460 bytes and shuts its window; `rest` bytes wait. RTT 100 ms, so RTO = 300 ms. */
static struct lab *shut(void **state, unsigned rest)
{
    struct lab *l = lab_new(state, NULL);
    TALKF(l,
          "connect\n"
          "> S 0\n"
          "+100ms < SA 0 ack 1 win 1460 <mss 1460>\n"
          "> A 1 ack 1\n"
          "send %u\n"
          "> A 1:1461(1460) ack 1\n"
          "+100ms < A 1 ack 1461 win 0",
          1460 + rest);
    return l;
}

/* MUST-36: probed; SHLD-29: after one RTO; SHLD-30: the gaps grow exponentially. One byte of what waits. */
static void probes_back_off(void **state)
{
    struct lab *l = shut(state, 1000);
    uint64_t before = l->now, gap = 0;
    for (int i = 0; i < 8; i++) {
        lab_run_until(l, l->now + 1000 * SEC, true);
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        if (o->seg.seq.v != l->flow[0].iss + 1461 || o->seg.len != 1)
            lab_fail(l, "probe %d is not one byte at 1461", i);
        uint64_t now_gap = o->t - before;
        if (i == 0)
            assert_in_range(now_gap, 200 * MS, 1000 * MS);
        else if (i < 6)
            assert_in_range(now_gap, gap * 19 / 10, gap * 21 / 10);
        gap = now_gap;
        before = o->t;
        TALK(l, "< A 1 ack 1461 win 0");
    }
    lab_end(l);
}

/* RFC 5681 2: an answer to a probe is no sign of a loss, though it repeats the number: the window must not
 * suffer by it. */
static void answers_are_no_duplicates(void **state)
{
    struct lab *l = shut(state, 10000);
    for (int i = 0; i < 6; i++)
        TALK(l, "+any > A 1461:1462(1) ack 1\n"
                "< A 1 ack 1461 win 0");
    TALK(l, "? fast_retransmits 0\n"
            "? cwnd 14600\n"
            "< A 1 ack 1461 win 65535");
    assert_true(lab_pending(l) >= 7);
    lab_forget(l);
    lab_end(l);
}

/* Behind a probe that was refused lies what the peer has no window for: an ACK with that number would be
 * refused too, and what the peer sends never be acknowledged while its window is shut. */
static void acks_while_shut(void **state)
{
    struct lab *l = shut(state, 1000);
    TALK(l, "+any > A 1461:1462(1) ack 1\n"
            "< A 1 ack 1461 win 0\n"
            "< PA 1:101(100) ack 1461 win 0\n"
            "+0..500ms > A 1461 ack 101\n"
            "< A 101 ack 1461 win 65535\n"
            "> PA 1461:2461(1000) ack 101");
    lab_end(l);
}

/* The other side of it: our window is shut, our data is in flight, and the peer, whose probe we have refused,
 * acknowledges it with the number behind that. RFC 9293 3.10.7.4 first: "special allowance". */
static void ack_behind_a_refused_probe(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 2048}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    TALK(l, "< A 1:1025(1024) ack 1\n"
            "+0..500ms > A 1 ack 1025\n"
            "< A 1025:2049(1024) ack 1\n"
            "+0..500ms > A 1 ack 2049 win 0\n"
            "< A 2049:2050(1) ack 1\n"
            "> A 1 ack 2049 win 0\n"
            "send 500\n"
            "> PA 1:501(500) ack 2049\n"
            "< A 2050 ack 501\n"
            "? send_unacked 0");
    lab_forget(l);
    lab_end(l);
}

/* MUST-37: as long as the peer answers the probes the connection lives: here a day. */
static void a_day_of_probes(void **state)
{
    struct lab *l = shut(state, 1000);
    uint64_t end = l->now + 24 * 3600 * SEC;
    unsigned probes = 0;
    while (l->now < end) {
        lab_run_until(l, end, true);
        if (!lab_next(l))
            break;
        probes++;
        TALK(l, "< A 1 ack 1461 win 0\n= ESTABLISHED");
    }
    assert_in_range(probes, 24 * 30, 24 * 3600);
    TALK(l, "< A 1 ack 1461 win 65535\n"
            "> PA 1461:2461(1000) ack 1");
    lab_end(l);
}

/* A window update sends at once what waited. */
static void window_opens(void **state)
{
    struct lab *l = shut(state, 2000);
    TALK(l, "+1ms < A 1 ack 1461 win 65535\n"
            "> A 1461:2921(1460) ack 1\n"
            "> PA 2921:3461(540) ack 1\n"
            "< A 1 ack 3461\n"
            "+100s > none");
    lab_end(l);
}

/* The only update is lost: the answer to the next probe tells of the window (MUST-36). The probe's byte was
 * taken. */
static void update_lost(void **state)
{
    struct lab *l = shut(state, 1000);
    TALK(l, "+200..1000ms > A 1461:1462(1) ack 1\n"
            "< A 1 ack 1462 win 65535\n"
            "> PA 1462:2461(999) ack 1\n"
            "< A 1 ack 2461\n"
            "? send_unacked 0\n"
            "+100s > none");
    lab_end(l);
}

/* No answer to any probe: ended by R2, as with any data (3.8.6.1 lets a connection live only while probes are
 * acknowledged). */
static void probes_unanswered(void **state)
{
    struct lab *l = shut(state, 1000);
    lab_run(l, 1200 * SEC);
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "recv 1 -> ETIMEDOUT");
    lab_end(l);
}

/* A FIN waits behind data for a closed window, and is sent when it opens; probing goes on after the close. */
static void close_while_shut(void **state)
{
    struct lab *l = shut(state, 1000);
    TALK(l, "close\n"
            "= FIN_WAIT_1\n"
            "+200..1000ms > A 1461:1462(1) ack 1\n"
            "< A 1 ack 1461 win 0\n"
            "+any > A 1461:1462(1) ack 1\n"
            "< A 1 ack 1461 win 65535\n"
            "> FPA 1461:2461(1000) ack 1\n"
            "< A 1 ack 2462\n"
            "= FIN_WAIT_2");
    lab_end(l);
}

/* MUST-34: the peer takes its right edge back, over what was sent. Nothing new beyond it (SHLD-15); what is
 * inside is repeated (SHLD-16); it goes on when the window comes back. (RFC7323-2.4-ad) */
static void window_shrinks(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 20000");
    for (int i = 0; i < 10; i++)
        TALKF(l, "> A %d:%d(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
    TALK(l, "< A 1 ack 1001 win 4000\n"
            "> none\n"
            "+any > A 1001:2001(1000) ack 1\n"
            "< A 1 ack 2001 win 4000\n");
    const struct lab_out *o;
    lab_run(l, 20 * SEC);
    while ((o = lab_next(l)) != NULL)
        if ((int32_t)(o->seg.seq.v - l->flow[0].iss - 1) >= 10000)
            lab_fail(l, "new data was sent though the window had shrunk");
    TALK(l, "= ESTABLISHED\n"
            "< A 1 ack 10001 win 65535");
    o = lab_next(l);
    assert_non_null(o);
    assert_int_equal(o->seg.seq.v - l->flow[0].iss, 10001);
    lab_forget(l);
    TALK(l, "= ESTABLISHED");
    lab_end(l);
}

/* MUST-35, SHLD-17: shrunk to nothing with data in flight: probed, and not timed out while the peer answers.
 */
static void window_shrinks_to_zero(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 3000\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 1001:2001(1000) ack 1\n"
            "> PA 2001:3001(1000) ack 1\n"
            "< A 1 ack 1 win 0");
    uint64_t end = l->now + 3600 * SEC;
    while (l->now < end) {
        lab_run_until(l, end, true);
        if (lab_pending(l) == 0)
            break;
        lab_forget(l);
        TALK(l, "+10ms < A 1 ack 1 win 0\n= ESTABLISHED");
    }
    TALK(l, "< A 1 ack 1 win 65535");
    lab_run(l, 5 * SEC);
    assert_true(lab_pending(l) > 0);
    lab_forget(l);
    TALK(l, "< A 1 ack 3001\n"
            "? send_unacked 0\n"
            "+100s > none");
    lab_end(l);
}

/* MAY-7: what was sent before the window shrank is sent again beyond its new edge too. (RFC7323-2.4-ef) */
static void repeated_beyond_the_edge(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 3000\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 1001:2001(1000) ack 1\n"
            "> PA 2001:3001(1000) ack 1\n"
            "< A 1 ack 1 win 1000\n"
            "+any > A 1:1001(1000) ack 1\n"
            "< A 1 ack 1001 win 1000\n"
            "> A 1001:2001(1000) ack 1\n"
            "> PA 2001:3001(1000) ack 1\n"
            "< A 1 ack 3001 win 1000\n"
            "+100s > none");
    lab_end(l);
}

/* 3.10.7.4 fifth: an old segment does not turn the window back (SND.WL1, SND.WL2). */
static void old_window_is_ignored(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "< PA 1:101(100) ack 101 win 20000\n"
            "? snd_wnd 20000\n"
            "< A 1 ack 1 win 7\n"
            "? snd_wnd 20000\n"
            "< A 101 ack 101 win 30000\n"
            "? snd_wnd 30000");
    lab_end(l);
}

/* SHLD-29: a FIN alone is not sent into a shut window; after one timeout it is the probe (3.8.6.1). */
static void fin_alone_while_shut(void **state)
{
    struct lab *l = shut(state, 0);
    TALK(l, "shutdown\n"
            "= FIN_WAIT_1\n"
            "+200ms > none\n"
            "+0..500ms > FA 1461 ack 1\n"
            "< A 1 ack 1462 win 0\n"
            "= FIN_WAIT_2");
    lab_end(l);
}

/* 3.8.6: a FIN takes a place in the window; where the data fills it the FIN waits for an ACK. */
static void fin_needs_room(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< A 1 ack 1 win 1000\n"
            "send 1000\n"
            "> PA 1:1001(1000) ack 1\n"
            "send 1000\n"
            "shutdown\n"
            "> none\n"
            "< A 1 ack 1001 win 1000\n"
            "> PA 1001:2001(1000) ack 1\n"
            "> none\n"
            "< A 1 ack 2001 win 1000\n"
            "> FA 2001 ack 1");
    lab_end(l);
}

/* 3.8.6.1: what is in flight when the window shuts is probed by one byte, not repeated whole, and what is
 * lost waits until it opens (MUST-35). */
static void one_byte_of_what_is_in_flight(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 5000\n"
            "forget\n"
            "<+ A 1 ack 1\n"
            "<+ A 1 ack 1\n"
            "<+ A 1 ack 1\n"
            "< A 1 ack 1 win 0\n"
            "> none\n"
            "+200ms > A 1:2(1) ack 1\n"
            "< A 1 ack 1 win 0\n"
            "+400ms > A 1:2(1) ack 1\n"
            "< A 1 ack 1 win 10000\n"
            "forget\n"
            "< A 1 ack 5001\n"
            "? send_unacked 0");
    lab_end(l);
}

/* SHLD-29: a window that shuts again is probed after one timeout again: the back-off is of that shutting. */
static void back_off_begins_anew(void **state)
{
    struct lab *l = shut(state, 5000);
    TALK(l, "+300ms > A 1461:1462(1) ack 1\n"
            "+600ms > A 1461:1462(1) ack 1\n"
            "+1200ms > A 1461:1462(1) ack 1\n"
            "< A 1 ack 1462 win 1460\n"
            "> A 1462:2922(1460) ack 1\n"
            "+100ms < A 1 ack 2922 win 0\n"
            "+200..400ms > A 2922:2923(1) ack 1");
    lab_end(l);
}

/* RFC 6429 3: a peer that keeps its window shut may hold a connection for ever, but not one whose program has
 * gone: that ends although the probes are answered. */
static void orphan_is_bounded(void **state)
{
    struct lab *l = shut(state, 1000);
    TALK(l, "close");
    for (uint64_t end = l->now + 3000 * SEC; l->now < end;) {
        lab_run_until(l, end, true);
        const struct lab_out *o = lab_next(l);
        if (o == NULL || o->seg.flags & F_RST)
            break;
        TALK(l, "< A 1 ack 1461 win 0");
    }
    assert_int_equal(lab_live(l).tcbs, 0);
    lab_forget(l);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(probes_back_off),
        LAB_TEST(answers_are_no_duplicates),
        LAB_TEST(acks_while_shut),
        LAB_TEST(ack_behind_a_refused_probe),
        LAB_TEST(a_day_of_probes),
        LAB_TEST(window_opens),
        LAB_TEST(update_lost),
        LAB_TEST(probes_unanswered),
        LAB_TEST(close_while_shut),
        LAB_TEST(window_shrinks),
        LAB_TEST(window_shrinks_to_zero),
        LAB_TEST(repeated_beyond_the_edge),
        LAB_TEST(old_window_is_ignored),
        LAB_TEST(fin_alone_while_shut),
        LAB_TEST(fin_needs_room),
        LAB_TEST(one_byte_of_what_is_in_flight),
        LAB_TEST(back_off_begins_anew),
        LAB_TEST(orphan_is_bounded),
    };
    return LAB_MAIN(tests);
}
