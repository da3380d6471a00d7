/* How connections end in order (RFC 9293 3.6), and what is lost on the way. */
#include "lab/lab.h"

/* Figure 12: FIN, ACK, FIN, ACK; each FIN takes one number. We close first. */
static void four_steps_active(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "= FIN_WAIT_1\n"
            "> FA 1 ack 1\n"
            "< A 1 ack 2\n"
            "= FIN_WAIT_2\n"
            "+1s < FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT\n"
            "recv 10 -> 0\n"
            "+59s = TIME_WAIT\n"
            "+2s = CLOSED\n"
            "? reason TIME_WAIT_OVER\n"
            "> none");
    lab_end(l);
}

/* The peer closes first. The program is told at once. */
static void four_steps_passive(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "= CLOSE_WAIT\n"
            "events PEER_CLOSED|READABLE\n"
            "recv 10 -> 0\n"
            "+10min = CLOSE_WAIT\n"
            "shutdown\n"
            "= LAST_ACK\n"
            "> FA 1 ack 2\n"
            "< A 2 ack 2\n"
            "= CLOSED\n"
            "events ENDED\n"
            "? reason LAST_ACKED\n"
            "+1s > none");
    lab_end(l);
}

/* w > v: the passive side has sent something in between, and the active side takes it (half-close). */
static void half_close(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 50\n"
            "> PA 1:51(50) ack 1\n"
            "shutdown\n"
            "> FA 51 ack 1\n"
            "< A 1 ack 52\n"
            "send 1 -> EPIPE\n"
            "< PA 1:1001(1000) ack 52\n"
            "+0..500ms > A 52 ack 1001\n"
            "recv 2000 -> 1000\n"
            "= FIN_WAIT_2\n"
            "+1s < FPA 1001:1501(500) ack 52\n"
            "> A 52 ack 1502\n"
            "recv 2000 -> 500\n"
            "recv 2000 -> 0\n"
            "= TIME_WAIT");
    lab_end(l);
}

/* We go on sending in CLOSE_WAIT. */
static void sending_in_close_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "send 2000\n"
            "> A 1:1461(1460) ack 2\n"
            "> PA 1461:2001(540) ack 2\n"
            "< A 2 ack 2001\n"
            "shutdown\n"
            "> FA 2001 ack 2\n"
            "= LAST_ACK\n"
            "< A 2 ack 2002\n"
            "= CLOSED");
    lab_end(l);
}

/* 3.10.7.4 eighth: in FIN_WAIT_1 a FIN whose ACK covers our FIN leads straight to TIME_WAIT. */
static void three_steps(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT\n"
            "? reason FIN_AND_ACK");
    lab_end(l);
}

/* Figure 13: FIN crosses FIN. Both go to CLOSING, and from there to TIME_WAIT. */
static void simultaneous_close(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 1\n"
            "> A 2 ack 2\n"
            "= CLOSING\n"
            "< A 2 ack 2\n"
            "= TIME_WAIT\n"
            "? reason CLOSING_ACKED\n"
            "+59s = TIME_WAIT\n"
            "+2s = CLOSED");
    lab_end(l);
}

/* CLOSING lasts until our FIN, repeated, is acknowledged. */
static void closing_ack_lost(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 1\n"
            "> A 2 ack 2\n"
            "+any > FA 1 ack 2\n"
            "= CLOSING\n"
            "+any > FA 1 ack 2\n"
            "< A 2 ack 2\n"
            "= TIME_WAIT");
    lab_end(l);
}

/* The ACK of our FIN is lost: the peer's FIN acknowledges it. Not CLOSING. */
static void fin_covers_lost_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "+100ms < FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT");
    lab_end(l);
}

/* Our FIN is lost and is repeated, also as an orphan (3.8.3); FIN_WAIT_1 until its ACK. */
static void lost_fin(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "= FIN_WAIT_1\n"
            "+any > FA 1 ack 1\n"
            "+any > FA 1 ack 1\n"
            "= FIN_WAIT_1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT\n"
            "+61s = CLOSED");
    assert_int_equal(lab_live(l).tcbs + lab_live(l).timewait, 0);
    lab_end(l);
}

/* LAST_ACK: the last ACK is lost, our FIN is repeated until it comes. */
static void last_ack_lost(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "shutdown\n"
            "> FA 1 ack 2\n"
            "+any > FA 1 ack 2\n"
            "+any > FA 1 ack 2\n"
            "= LAST_ACK\n"
            "< A 2 ack 2\n"
            "= CLOSED");
    lab_end(l);
}

/* 3.10.4: the state changes at the call; the FIN follows what is queued. */
static void fin_behind_queue(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< A 1 ack 1 win 1460\n"
            "send 3000\n"
            "> A 1:1461(1460) ack 1\n"
            "shutdown\n"
            "= FIN_WAIT_1\n"
            "> none\n"
            "< A 1 ack 1461 win 10000\n"
            "> A 1461:2921(1460) ack 1\n"
            "> FPA 2921:3001(80) ack 1\n"
            "< A 1 ack 3002\n"
            "= FIN_WAIT_2");
    lab_end(l);
}

/* The FIN arrives before the data that precedes it: it waits behind the gap (SHLD-31). */
static void fin_out_of_order(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FPA 101:201(100) ack 1\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "recv 10 -> EAGAIN\n"
            "< PA 1:101(100) ack 1\n"
            "> A 1 ack 202\n"
            "= CLOSE_WAIT\n"
            "recv 1000 -> 200\n"
            "recv 1000 -> 0");
    lab_end(l);
}

/* A repeated FIN is acknowledged again in CLOSE_WAIT and LAST_ACK, and changes nothing. */
static void repeated_fin(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "+1s < FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "= CLOSE_WAIT\n"
            "shutdown\n"
            "> FA 1 ack 2\n"
            "< FA 1 ack 1\n"
            "> A 2 ack 2\n"
            "= LAST_ACK\n"
            "< A 2 ack 2\n"
            "= CLOSED");
    lab_end(l);
}

/* An orphan in FIN_WAIT_2 whose peer never closes ends after fin_wait2_ms (local policy); a held one does
 * not. */
static void fin_wait_2_timeout(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< A 1 ack 2\n"
            "= FIN_WAIT_2\n"
            "+58s = FIN_WAIT_2\n"
            "+3s = CLOSED\n"
            "> none");
    assert_int_equal(lab_stats(l).fin_wait2_timeouts, 1);
    TALK(l, "1 connect\n"
            "1> S 0\n"
            "1< SA 0 ack 1 win 65535 <mss 1460>\n"
            "1> A 1 ack 1\n"
            "1 shutdown\n"
            "1> FA 1 ack 1\n"
            "1< A 1 ack 2\n"
            "1 +1h = FIN_WAIT_2");
    lab_end(l);
}

/* SHLD-3, RFC 2525 2.17: CLOSE with unread bytes is a RST, also after a part was read. */
static void close_unread(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\n"
            "+0..500ms > A 1 ack 101\n"
            "recv 60\n"
            "close\n"
            "> R 1\n"
            "= LISTEN");
    lab_end(l);
}

/* SHLD-3: bytes for a program that has closed draw a RST at once, and the connection is gone. */
static void data_after_close(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< A 1 ack 2\n"
            "= FIN_WAIT_2\n"
            "< PA 1:101(100) ack 2\n"
            "> R 2\n"
            "= CLOSED\n"
            "+100s > none");
    lab_end(l);
}

/* RFC 9293 3.10.5: linger 0 turns CLOSE into ABORT. */
static void linger_0(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "opt linger0 1\n"
            "close\n"
            "> R 101\n"
            "= CLOSED\n"
            "+100s > none");
    lab_end(l);
}

/* MUST-12: the program can tell an orderly end from a reset. */
static void end_or_reset(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "1< R 1\n"
            "events PEER_CLOSED|!ENDED\n"
            "1 events ENDED|!PEER_CLOSED\n"
            "recv 1 -> 0\n"
            "1 recv 1 -> ECONNRESET\n"
            "1 ? reason RESET");
    lab_end(l);
}

/* Aborted before its FIN has left, with bytes that the peer will never get: in CLOSE-WAIT or ESTABLISHED, as
 * RFC 9293 3.10.4 has it, so 3.10.5 sends RST; once the FIN has left it sends none. */
static void abort_before_the_fin(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1 win 0\n"
            "> A 1 ack 2\n"
            "send 100\n"
            "shutdown\n"
            "= LAST_ACK\n"
            "> none\n"
            "abort\n"
            "> R 1\n"
            "+1s > none");
    lab_end(l);
    l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< A 1 ack 1 win 0\n"
            "send 100\n"
            "shutdown\n"
            "= FIN_WAIT_1\n"
            "> none\n"
            "< FA 1 ack 1 win 0\n"
            "> A 1 ack 2\n"
            "= CLOSING\n"
            "abort\n"
            "> R 1\n"
            "+1s > none");
    lab_end(l);
    l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "shutdown\n"
            "> FA 1 ack 2\n"
            "= LAST_ACK\n"
            "abort\n"
            "+1s > none");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(four_steps_active), LAB_TEST(abort_before_the_fin), LAB_TEST(four_steps_passive),
        LAB_TEST(half_close),        LAB_TEST(sending_in_close_wait),
        LAB_TEST(three_steps),       LAB_TEST(simultaneous_close),
        LAB_TEST(closing_ack_lost),  LAB_TEST(fin_covers_lost_ack),
        LAB_TEST(lost_fin),          LAB_TEST(last_ack_lost),
        LAB_TEST(fin_behind_queue),  LAB_TEST(fin_out_of_order),
        LAB_TEST(repeated_fin),      LAB_TEST(fin_wait_2_timeout),
        LAB_TEST(close_unread),      LAB_TEST(data_after_close),
        LAB_TEST(linger_0),          LAB_TEST(end_or_reset),
    };
    return LAB_MAIN(tests);
}
