/* The three steps that open a connection, from both ends (RFC 9293 3.5, 3.10.7.2, 3.10.7.3). */
#include "lab/lab.h"
#include "tcp/tcp.h"

/* RFC 9293 figure 6: the numbers of the three steps; a SYN has no data and takes one number. */
static void passive_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "= LISTEN\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1 <mss 1460>\n"
            "= SYN_RCVD\n"
            "accept -> EAGAIN\n"
            "< A 1 ack 1\n"
            "> none\n"
            "accept\n"
            "= ESTABLISHED\n"
            "+1s > none");
    lab_end(l);
}

static void active_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "= SYN_SENT\n"
            "events !CONNECTED\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1 <>\n"
            "= ESTABLISHED\n"
            "events CONNECTED|WRITABLE\n"
            "+1s > none");
    lab_end(l);
}

/* RFC 9293 3.10.7.3: bytes sent before the handshake ends are queued, and may ride on its last segment. */
static void queued_before_established(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "send 100\n"
            "> none\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> PA 1:101(100) ack 1");
    lab_end(l);
}

/* The third segment may carry data; it opens the connection all the same. */
static void data_on_third_segment(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< PA 1:101(100) ack 1\n"
            "+0..500ms > A 1 ack 101\n"
            "accept\n"
            "= ESTABLISHED\n"
            "recv 100");
    lab_end(l);
}

/* RFC 9293 3.1: the acknowledgment field counts only when ACK is set. */
static void syn_with_ack_field(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[66000];
    TALK(l, "listen");
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", pkt);
    put32(pkt + (tern_ip_is4(&l->ip) ? 20 : 40) + 8, 0x12345678);
    lab_checksum(pkt, len);
    lab_rx(l, pkt, len);
    TALK(l, "> SA 0 ack 1\n"
            "= SYN_RCVD");
    lab_end(l);
}

/* RFC 9293 3.10.7.4 fifth: after the handshake a segment without ACK is dropped. */
static void no_ack_is_dropped(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< P 1:11(10)\n"
            "+1s > none\n"
            "recv 10 -> EAGAIN\n"
            "< PA 1:11(10) ack 1\n"
            "recv 10");
    lab_end(l);
}

/* RFC 9293 3.10.7.2 third: other text on the SYN may wait; tern lets the peer send it again, and must not
 * lose or double it. */
static void data_on_syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0:10(10) win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< PA 1:21(20) ack 1\n"
            "+0..500ms > A 1 ack 21\n"
            "accept\n"
            "recv 100 -> 20");
    lab_end(l);
}

/* RFC 9293 3.10.7.3 fourth: text on the SYN+ACK is processed in ESTABLISHED (continue at the sixth step). */
static void data_on_syn_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< SA 0:10(10) ack 1 win 65535 <mss 1460>\n"
            "+0..500ms > A 1 ack 11\n"
            "= ESTABLISHED\n"
            "recv 10");
    lab_end(l);
}

/* RFC 9293 3.10.7.3: a SYN+ACK+FIN opens and half-closes at once (reached through the fourth step). */
static void fin_on_syn_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< SFA 0:10(10) ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 12\n"
            "= CLOSE_WAIT\n"
            "recv 10\n"
            "recv 10 -> 0");
    lab_end(l);
}

/* MUST-10, figure 7: SYN crosses SYN and one connection comes of it. Line 6 of the figure arrives with an old
 * number and must open it all the same (Appendix A.2). */
static void simultaneous_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1 <mss 1460>\n"
            "= SYN_RCVD\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "send 10\n"
            "> PA 1:11(10) ack 1");
    lab_end(l);
}

/* The same, but the peer answers with an ACK. */
static void simultaneous_open_acked(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "= ESTABLISHED\n"
            "events CONNECTED\n"
            "> none");
    lab_end(l);
}

static const struct tcb *tcb_first(struct lab *l)
{
    ref_t r = 0;
    assert_true(pool_next(l->t->a, &l->t->w->tcbs, &r));
    return tcb_at(l->t, r);
}

/* RFC 6298 5.4: until our SYN is acknowledged nothing is a window, so SYN+ACK is repeated by the
 * retransmission timer and no window is probed, whatever window the SYN has told and whatever the program has
 * closed. */
static void closed_with_a_shut_window(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 0 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "send 8\n"
            "shutdown\n"
            "= FIN_WAIT_1");
    for (int i = 0, wait = 1; i < 4; i++, wait *= 2) {
        TALKF(l, "+%ds > SA 0 ack 1", wait);
        assert_int_equal(tcb_first(l)->tm.rexmit, TERN_TIMER_RETRANSMIT);
    }
    TALK(l, "< A 1 ack 1 win 0\n"
            "+any > A 1:2(1) ack 1\n"
            "< A 1 ack 1 win 100\n"
            "+any > FPA 1:9(8) ack 1");
    lab_end(l);
}

/* The program closes before that, and what opens the connection acknowledges its FIN, too. */
static void simultaneous_open_closed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "shutdown\n"
            "= FIN_WAIT_1\n"
            "> FA 1 ack 1\n"
            "< SA 0 ack 2 win 65535 <mss 1460>\n"
            "= FIN_WAIT_2\n"
            "> A 2 ack 1");
    lab_end(l);
}

/* An older timestamp is one of another life: RFC 7323 5.3 R1 makes no exception for it. */
static void simultaneous_open_paws(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 65535 <mss 1460,ts 1000>\n"
            "> SA 0 ack 1\n"
            "< SA 0 ack 1 win 65535 <mss 1460,ts 999>\n"
            "= SYN_RCVD\n"
            "> A 1 ack 1\n"
            "< SA 0 ack 1 win 65535 <mss 1460,ts 1001>\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* RFC 9293 figure 8: an old SYN, then the RST of the peer that knows better; the listener is undisturbed and
 * the new SYN is served. */
static void old_syn_then_new(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< R 1\n"
            "= LISTEN\n"
            "reborn 100000\n"
            "+1s < S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* MUST-11: in SYN_RCVD a RST leads back to where OPEN began: passive to LISTEN, active to CLOSED and an
 * error. */
static void reset_in_syn_rcvd(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< R 1\n"
            "= LISTEN\n"
            "accept -> EAGAIN\n"
            "1 connect\n"
            "1> S 0\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< R 1\n"
            "1= CLOSED\n"
            "1 recv 1 -> ECONNREFUSED\n"
            "> none");
    lab_end(l);
}

/* RFC 9293 3.5.1, figure 9: the peer of a half-open connection has crashed and opens anew. Our ACK draws its
 * RST. */
static void half_open_peer_crashed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< S 500000 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "< R 1\n"
            "= CLOSED\n"
            "recv 1 -> ECONNRESET");
    lab_end(l);
}

/* Figure 10: the other way round: ours is gone, and the peer's data draws a RST. */
static void half_open_we_crashed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "< PA 1:101(100) ack 77777\n"
            "> R 77777\n"
            "< P 1:101(100)\n"
            "> RA =0 ack 101\n"
            "< R 1\n"
            "> none");
    lab_end(l);
}

/* RFC 9293 3.5.2 group 1: what draws no answer when the configuration says so. */
static void silent_when_told(void **state)
{
    struct lab_config cfg = {.stack = {.unclaimed_rst = TERN_RST_NO}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "< S 0\n"
            "> none\n"
            "< PA 1:101(100) ack 77777\n"
            "> none");
    lab_end(l);
}

/* 3.10.7.3 first: an ACK of something never sent draws <SEQ=SEG.ACK><CTL=RST>, and SYN_SENT goes on; a RST
 * with it draws nothing. */
static void syn_sent_bad_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< SA 0 ack 2 win 65535 <mss 1460>\n"
            "> R 2\n"
            "= SYN_SENT\n"
            "< A 1 ack 0\n"
            "> R 0\n"
            "= SYN_SENT\n"
            "< RA 0 ack 2\n"
            "> none\n"
            "= SYN_SENT\n"
            "< R 0\n"
            "> none\n"
            "= SYN_SENT\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* A listener of the same port may be made while connections from it are opening (MUST-42), and leaves them
 * alone (MUST-41). */
static void listen_beside_opening(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0");
    tern_endpoint same = {.port = l->flow[0].local.port};
    tern_handle h;
    assert_int_equal(tern_listen(l->t, &same, 0, &h), 0);
    TALK(l, "= SYN_SENT\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    assert_int_equal(tern_close(l->t, h), 0);
    TALK(l, "= ESTABLISHED\n"
            "> none");
    lab_end(l);
}

/* MUST-43: the local address of OPEN is the connection's. */
static void local_address_is_used(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip second = l->ip;
    second.b[15] = 77;
    assert_int_equal(tern_addr_add(l->t, l->link, &second, tern_ip_is4(&l->ip) ? 24 : 64), 0);
    l->flow[1].local.ip = second;
    TALK(l, "connect\n"
            "> S 0\n"
            "1 connect\n"
            "1> S 0\n"
            "1< SA 0 ack 1 win 65535 <mss 1460>\n"
            "1> A 1 ack 1\n"
            "1 send 10\n"
            "1> PA 1:11(10) ack 1");
    lab_end(l);
}

/* MUST-45: what a listener at "any" answers with is the address that was asked. */
static void answers_from_the_address_asked(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip second = l->ip;
    second.b[15] = 78;
    assert_int_equal(tern_addr_add(l->t, l->link, &second, tern_ip_is4(&l->ip) ? 24 : 64), 0);
    l->flow[1].local.ip = second;
    TALK(l, "listen\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "1 send 10\n"
            "1> PA 1:11(10) ack 1");
    lab_end(l);
}

/* Options are agreed in a simultaneous open too: both SYNs carried them. */
static void simultaneous_open_with_options(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "< S 0 win 65535 <mss 1200,sackOK,ts 100,wscale 3>\n"
            "> SA 0 ack 1 <mss 1460,sackOK,ts ecr 100,wscale *>\n"
            "< SA 0 ack 1 win 65535 <mss 1200,sackOK,ts 101,wscale 3>\n"
            "> A 1 ack 1 <ts>\n"
            "= ESTABLISHED\n"
            "? mss 1188\n"
            "? snd_wscale 3\n"
            "? sack 1\n"
            "? timestamps 1\n"
            "? snd_wnd 65535\n" /* the windows of SYNs are not scaled */
            "< A 1 ack 1 win 80000\n"
            "? snd_wnd 80000");
    lab_end(l);
}

/* Our third segment is lost: the peer repeats its SYN+ACK and gets it again; or the peer, passive here, is
 * answered by data. */
static void third_segment_lost(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "+1s < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "+2s < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
    l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "+1s > SA 0 ack 1\n"
            "+100ms < S 0 win 65535 <mss 1460>\n" /* ours was lost */
            "> SA 0 ack 1\n"
            "< PA 1:11(10) ack 1\n"
            "+0..500ms > A 1 ack 11\n"
            "accept\n"
            "recv 10");
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* The accept queue is full when the last ACK comes: silence; the SYN+ACK is repeated, and its ACK opens once
 * there is room. */
static void accept_queue_full(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    assert_int_equal(tern_listen(l->t, &any, 1, &l->listener), 0);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1");
    assert_int_equal(lab_live(l).tcbs, 1);
    TALK(l, "1< S 0 win 65535 <mss 1460>");
    bool answered =
        lab_pending(l) > 0; /* silence to the SYN, or to the ACK: either is allowed, a RST never */
    lab_forget(l);
    TALK(l, "1< A 1 ack 1\n"
            "1< PA 1:11(10) ack 1");
    const struct lab_out *o;
    while ((o = lab_next(l)) != NULL)
        assert_true(!(o->seg.flags & F_RST) || !answered);
    TALK(l, "accept");
    if (answered) {
        TALK(l, "1 +any > SA 0 ack 1\n");
    } else {
        TALK(l, "+1s forget\n"
                "1< S 0 win 65535 <mss 1460>\n"
                "1> SA 0 ack 1");
    }
    TALK(l, "1< PA 1:11(10) ack 1\n"
            "1 accept\n"
            "1 recv 10\n"
            "1= ESTABLISHED");
    lab_forget(l);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(passive_open),
        LAB_TEST(active_open),
        LAB_TEST(queued_before_established),
        LAB_TEST(data_on_third_segment),
        LAB_TEST(syn_with_ack_field),
        LAB_TEST(no_ack_is_dropped),
        LAB_TEST(data_on_syn),
        LAB_TEST(data_on_syn_ack),
        LAB_TEST(fin_on_syn_ack),
        LAB_TEST(simultaneous_open),
        LAB_TEST(simultaneous_open_acked),
        LAB_TEST(simultaneous_open_closed),
        LAB_TEST(closed_with_a_shut_window),
        LAB_TEST(simultaneous_open_paws),
        LAB_TEST(old_syn_then_new),
        LAB_TEST(reset_in_syn_rcvd),
        LAB_TEST(half_open_peer_crashed),
        LAB_TEST(half_open_we_crashed),
        LAB_TEST(silent_when_told),
        LAB_TEST(syn_sent_bad_ack),
        LAB_TEST(listen_beside_opening),
        LAB_TEST(local_address_is_used),
        LAB_TEST(answers_from_the_address_asked),
        LAB_TEST(simultaneous_open_with_options),
        LAB_TEST(third_segment_lost),
        LAB_TEST(accept_queue_full),
    };
    return LAB_MAIN(tests);
}
