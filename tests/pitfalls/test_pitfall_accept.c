/* Pitfalls of docs/PITFALLS.md about listening, accepting and sockets that nobody uses: 5, 8, 9, 14, 34,
 * 41. */
#include "lab/lab.h"

/* 5: the peer closes and the program never does: CLOSE_WAIT for as long as it likes, and one can see since
 * when. */
static void pitfall_05_close_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_info info;
    lab_accept(l, "mss 1460");
    TALK(l, "+5s < FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "recv 1 -> 0");
    uint64_t closed = l->now;
    TALK(l, "+72h > none\n"
            "= CLOSE_WAIT");
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.eof_us, closed);
    assert_int_equal(info.state_since_us, closed);
    assert_int_equal(info.reason, TERN_C_FIN_RCVD);
    assert_true(info.held && info.eof_read && info.fin_rcvd && !info.fin_sent);
    lab_end(l);
}

/* The listener's own numbers. */
static tern_info listener_info(struct lab *l)
{
    tern_info info;
    memset(&info, 0, sizeof(info));
    assert_int_equal(tern_get_info(l->t, l->listener, &info), 0);
    return info;
}

/* 8: the client leaves in order while it waits in the accept queue: accept gives it, with its bytes and its
 * end. */
static void pitfall_08_left_by_fin(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "< FPA 1:11(10) ack 1\n"
            "> A 1 ack 12\n"
            "= CLOSE_WAIT\n"
            "? unaccepted 1");
    assert_int_equal(listener_info(l).acceptq, 1);
    TALK(l, "+1h accept\n"
            "recv 100 -> 10\n"
            "recv 100 -> 0\n"
            "close\n"
            "> FA 1 ack 12\n"
            "< A 12 ack 2\n"
            "= LISTEN");
    lab_end(l);
}

/* 8, 14: by RST: it is reported by accept, or is gone without a trace in the queue; counted as never
 * accepted. No double free. */
static void pitfall_14_left_by_rst(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< PA 1:11(10) ack 1\n"
            "forget\n"
            "< R 11\n"
            "> none");
    assert_int_equal(listener_info(l).left_unaccepted, 1);
    assert_int_equal(lab_stats(l).left_unaccepted, 1);
    tern_handle h;
    int r = tern_accept(l->t, l->listener, &h);
    if (r == 0) {
        char byte[16];
        long got = tern_recv(l->t, h, byte, sizeof(byte));
        while (got > 0)
            got = tern_recv(l->t, h, byte, sizeof(byte));
        assert_int_equal(got, -TERN_ECONNRESET);
        assert_int_equal(tern_close(l->t, h), 0);
    } else {
        assert_int_equal(r, -TERN_EAGAIN);
    }
    assert_int_equal(listener_info(l).acceptq, 0);
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "1= ESTABLISHED");
    lab_end(l);
}

/* 9: SYN, SYN+ACK, RST, a thousand times with a backlog of two: each slot is free again at once. */
static void pitfall_09_reset_half_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    assert_int_equal(tern_listen(l->t, &any, 2, &l->listener), 0);
    for (int i = 0; i < 1000; i++) {
        l->flow[0].peer.port = (uint16_t)(10000 + i);
        TALK(l, "reborn 0\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< R 1");
        assert_int_equal(lab_live(l).halfopen, 0);
    }
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "1= ESTABLISHED");
    assert_int_equal(listener_info(l).refused_full, 0);
    lab_end(l);
}

/* Its neighbour: a full backlog is silent, and the peer's retry is served when there is room (rows 10 and 20
 * of the demands). */
static void pitfall_10_full_is_silent(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    assert_int_equal(tern_listen(l->t, &any, 2, &l->listener), 0);
    for (int i = 0; i < 2; i++)
        TALKF(l, "%d< S 0 win 65535 <mss 1460>\n%d> SA 0 ack 1\n%d< A 1 ack 1", i, i, i);
    TALK(l, "3< S 0 win 65535 <mss 1460>");
    lab_forget(l); /* an answer is no harm as long as it is no RST: the accept queue counts at the last ACK */
    TALK(l, "4< S 0 win 65535 <mss 1460>\n"
            "5< S 0 win 65535 <mss 1460>\n"
            "6< S 0 win 65535 <mss 1460>");
    const struct lab_out *o;
    while ((o = lab_next(l)) != NULL)
        assert_false(o->seg.flags & F_RST);
    assert_true(listener_info(l).refused_full > 0);
    TALK(l, "accept\n"
            "1 accept\n"
            "+70s forget\n"
            "6< S 0 win 65535 <mss 1460>\n"
            "6> SA 0 ack 1\n"
            "6< A 1 ack 1\n"
            "6 accept\n"
            "6= ESTABLISHED");
    lab_end(l);
}

/* 34: two connections to one host and a listener on the same port: a bare RST reaches the right one. */
static void pitfall_34_right_socket(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept");
    /* and one that tern opened from the listener's own port to the peer */
    l->flow[2].local.port = 80;
    l->flow[2].peer.port = 5555;
    tern_handle h;
    assert_int_equal(tern_connect(l->t, &l->flow[2].local, &l->flow[2].peer, &h), 0);
    l->flow[2].h = h;
    lab_collect(l);
    TALK(l, "2> S 0\n"
            "2< SA 0 ack 1 win 65535 <mss 1460>\n"
            "2> A 1 ack 1\n"
            "1< R 1\n"
            "= ESTABLISHED\n"
            "1 recv 1 -> ECONNRESET\n"
            "2= ESTABLISHED\n"
            "recv 1 -> EAGAIN\n"
            "2< R 1\n"
            "= ESTABLISHED\n"
            "2 recv 1 -> ECONNRESET");
    assert_int_equal(listener_info(l).state, TERN_LISTEN);
    lab_end(l);
}

/* 41: opened and closed at once, never used: nothing left; the SYN either never leaves or is not missed. */
static void pitfall_41_never_used(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint to = {.ip = l->peer_ip, .port = 80}, any = {.port = 1234};
    for (int i = 0; i < 300; i++) {
        tern_handle h;
        assert_int_equal(tern_connect(l->t, NULL, &to, &h), 0);
        assert_int_equal(i & 1 ? tern_close(l->t, h) : tern_abort(l->t, h), 0);
        assert_int_equal(tern_close(l->t, h), -TERN_EBADF);
        assert_int_equal(tern_listen(l->t, &any, 0, &h), 0);
        assert_int_equal(i & 1 ? tern_close(l->t, h) : tern_abort(l->t, h), 0);
        lab_collect(l);
    }
    tern_live v = lab_live(l);
    assert_int_equal(v.tcbs + v.listeners + v.timers + v.sendrecs + v.chunks, 0);
    lab_forget(l);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(pitfall_05_close_wait),     LAB_TEST(pitfall_08_left_by_fin),
        LAB_TEST(pitfall_14_left_by_rst),    LAB_TEST(pitfall_09_reset_half_open),
        LAB_TEST(pitfall_10_full_is_silent), LAB_TEST(pitfall_34_right_socket),
        LAB_TEST(pitfall_41_never_used),
    };
    return LAB_MAIN(tests);
}
