/* Pitfalls of docs/PITFALLS.md about flow, at one stack: 15, 16, 20, 23, 25, 26. The same under seeds of
 * loss: test_pitfall_seeds.c. */
#include "lab/lab.h"

/* 15: the window shuts and the only update is lost: it goes on, and the gaps between probes double. */
static void pitfall_15_update_lost(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+100ms < SA 0 ack 1 win 1460 <mss 1460>\n"
            "> A 1 ack 1\n"
            "send 5000\n"
            "> A 1:1461(1460) ack 1\n"
            "+100ms < A 1 ack 1461 win 0");
    uint64_t last = l->now, gap = 0;
    for (int i = 0; i < 6; i++) {
        lab_run_until(l, l->now + 1000 * SEC, true);
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        assert_int_equal(o->seg.len, 1);
        if (gap)
            assert_in_range(o->t - last, gap * 19 / 10, gap * 21 / 10);
        gap = o->t - last;
        last = o->t;
        TALK(l, "< A 1 ack 1461 win 0");
    }
    TALK(l, "+any > A 1461:1462(1) ack 1\n" /* the update was lost; this probe's answer has the window */
            "< A 1 ack 1462 win 65535\n"
            "> A 1462:2922(1460) ack 1");
    lab_forget(l);
    TALK(l, "< A 1 ack 5001\n"
            "? send_unacked 0");
    lab_end(l);
}

/* 16: an hour of a shut window and a living peer: kept; then a dead one: ended by the user timeout, with a
 * reason. */
static void pitfall_16_shut_for_an_hour(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "< A 1 ack 1 win 0\n"
            "send 1000");
    uint64_t end = l->now + 3600 * SEC;
    while (l->now < end) {
        lab_run_until(l, end, true);
        if (lab_next(l))
            TALK(l, "< A 1 ack 1 win 0\n= ESTABLISHED");
    }
    uint64_t died = l->now;
    lab_events(l, 0);
    while (lab_state(l, 0) != TERN_CLOSED && l->now - died < 3000 * SEC)
        lab_run(l, SEC);
    lab_forget(l);
    assert_in_range(l->now - died, 100 * SEC, 1300 * SEC);
    TALK(l, "events ENDED\n"
            "recv 1 -> ETIMEDOUT");
    lab_end(l);
}

/* 20: the out-of-order queue is full to the last page: the segment at the left edge is accepted all the same.
 */
static void pitfall_20_left_edge(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 1 << 20}, .memory = tern_min_size(NULL) + (256u << 10)};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460,sackOK,wscale 7");
    for (uint32_t i = 0; i < 2000; i++) { /* islands, more than the stack can keep */
        uint32_t from = 1461 + 500 * i;
        if (l->flow[0].edge - l->flow[0].peer_iss < from + 100)
            break;
        TALKF(l, "< PA %u:%u(100) ack 1", from, from + 100);
        lab_forget(l);
    }
    assert_true(lab_stats(l).dropped[TERN_C_OOO_LIMIT] + lab_stats(l).dropped[TERN_C_SHORT_OF_MEMORY] > 0);
    TALK(l, "< A 1:1461(1460) ack 1\n"
            "recv 100000 -> 1560");
    lab_forget(l);
    for (uint32_t pos = 1561; pos < 100000; pos += 1000) { /* and so is what follows: progress goes on */
        TALKF(l, "< PA %u:%u(1000) ack 1", pos, pos + 1000);
        lab_recv(l, 0, 100000);
        lab_forget(l);
    }
    assert_true(l->flow[0].read >= 100000);
    lab_end(l);
}

/* 23: buffers of 64 KiB, 128 KiB, 1 MiB, scaled or not: while the program reads, the window never wraps to
 * near zero. */
static void pitfall_23_window_never_wraps(void **state)
{
    static const uint32_t buffers[] = {65536, 131072, 1 << 20};
    for (size_t b = 0; b < 3; b++)
        for (int scaled = 0; scaled < 2; scaled++) {
            struct lab_config cfg = {.stack = {.recv_buffer = buffers[b]}};
            struct lab *l = lab_new(state, &cfg);
            lab_accept(l, scaled ? "mss 1460,wscale 0" : "mss 1460");
            for (uint32_t pos = 1; pos < 1460 * 400; pos += 1460) {
                TALKF(l, "< A %u:%u(1460) ack 1", pos, pos + 1460);
                lab_recv(l, 0, 1460);
                lab_forget(l);
                uint32_t wnd = l->flow[0].edge - l->flow[0].peer_iss - pos - 1460;
                assert_in_range(wnd, 30000, buffers[b]);
            }
            lab_end(l);
        }
}

/* 25: requests of 200 bytes, replies of 8 KiB, a peer that delays its ACKs by 200 ms: each reply leaves whole
 * at once. */
static void pitfall_25_no_stall(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    uint32_t in = 1, out = 1;
    for (int i = 0; i < 20; i++) {
        TALKF(l, "+1ms < PA %u:%u(200) ack %u", in, in + 200,
              out); /* the request acknowledges the last reply */
        in += 200;
        lab_recv(l, 0, 200);
        uint64_t asked = l->now;
        lab_send(l, 0, 8192, 0);
        lab_run(l, 39 * MS);
        const struct lab_out *o;
        uint32_t got = 0;
        while ((o = lab_next(l)) != NULL) {
            got += o->seg.len;
            assert_true(o->seg.len == 0 || o->t == asked);
        }
        assert_int_equal(got, 8192);
        out += 8192;
        lab_run(l, 161 * MS); /* the peer's delayed ACK, without which nothing may wait */
        lab_forget(l);
        TALKF(l, "< A %u ack %u", in, out);
        lab_forget(l);
    }
    lab_end(l);
}

/* 25: a reply in two writes, the head and a body whose end is small (the case that Nagle and a delayed ACK
 * bring to a stop). */
static void pitfall_25_two_writes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< PA 1:201(200) ack 1\n"
            "recv 200\n"
            "forget\n"
            "send 3000\n"
            "> A 1:1461(1460) ack 201\n"
            "> A 1461:2921(1460) ack 201\n"
            "> PA 2921:3001(80) ack 201");
    lab_end(l);
}

/* 26: a reader that drains a full window at once: the update leaves at once, whole. */
static void pitfall_26_update_at_once(void **state)
{
    static const uint32_t buffers[] = {8192, 32768, 65535};
    for (size_t b = 0; b < 3; b++) {
        struct lab_config cfg = {.stack = {.recv_buffer = buffers[b]}};
        struct lab *l = lab_new(state, &cfg);
        lab_accept(l, "mss 1460");
        uint32_t pos = 1;
        while (pos + 1460 <= l->flow[0].edge - l->flow[0].peer_iss) {
            TALKF(l, "< A %u:%u(1460) ack 1\n+100ms forget", pos, pos + 1460);
            pos += 1460;
        }
        uint32_t rest = l->flow[0].edge - l->flow[0].peer_iss - pos;
        if (rest)
            TALKF(l, "< A %u:%u(%u) ack 1\n+100ms forget", pos, pos + rest, rest);
        assert_int_equal(lab_recv(l, 0, 100000), buffers[b]);
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        assert_int_equal(o->t, l->now);
        assert_int_equal(o->seg.wnd, buffers[b]);
        lab_end(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(pitfall_15_update_lost),    LAB_TEST(pitfall_16_shut_for_an_hour),
        LAB_TEST(pitfall_20_left_edge),      LAB_TEST(pitfall_23_window_never_wraps),
        LAB_TEST(pitfall_25_no_stall),       LAB_TEST(pitfall_25_two_writes),
        LAB_TEST(pitfall_26_update_at_once),
    };
    return LAB_MAIN(tests);
}
