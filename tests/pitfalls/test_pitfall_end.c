/* Pitfalls of docs/PITFALLS.md about ends, refusals and resets: 29, 30, 31, 32, 35, 36, 37, 38. */
#include "lab/lab.h"

/* 29: close with unread data is a RST, after a partial read too, in every state where bytes can wait. */
static void pitfall_29_close_unread(void **state)
{
    static const char *const before[] = {"", "shutdown\n> FA 1 ack 101",
                                         "shutdown\n> FA 1 ack 101\n< A 101 ack 2"};
    for (int partial = 0; partial < 2; partial++)
        for (int s = 0; s < 3; s++) {
            struct lab *l = lab_new(state, NULL);
            lab_accept(l, "mss 1460");
            TALK(l, "< PA 1:101(100) ack 1\n"
                    "+500ms forget");
            TALK(l, before[s]);
            if (partial)
                TALK(l, "recv 99");
            TALKF(l,
                  "close\n"
                  "> R %d\n"
                  "= LISTEN\n"
                  "+100s > none",
                  s ? 2 : 1);
            lab_end(l);
        }
}

/* The same in CLOSE_WAIT: the peer has closed and its last bytes were not read. */
static void pitfall_29_in_close_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FPA 1:101(100) ack 1\n"
            "> A 1 ack 102\n"
            "recv 50\n"
            "close\n"
            "> R 1\n"
            "= LISTEN");
    lab_end(l);
}

/* Everything read: no RST. */
static void pitfall_29_all_read(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\n"
            "+500ms forget\n"
            "recv 100\n"
            "close\n"
            "> FA 1 ack 101");
    lab_end(l);
}

/* 30: data after our close: RST, and it is over; in FIN_WAIT_1 and FIN_WAIT_2. Not hours of ACKs. */
static void pitfall_30_data_after_close(void **state)
{
    for (int acked = 0; acked < 2; acked++) {
        struct lab *l = lab_new(state, NULL);
        lab_accept(l, "mss 1460");
        TALK(l, "close\n"
                "> FA 1 ack 1");
        if (acked)
            TALK(l, "< A 1 ack 2");
        TALKF(l,
              "< PA 1:101(100) ack %d\n"
              "> R 2\n"
              "= LISTEN\n"
              "< PA 101:201(100) ack 2\n"
              "> R 2\n"
              "+1h > none",
              acked ? 2 : 1);
        lab_end(l);
    }
}

/* 30: but a half-close (shutdown) goes on reading. */
static void pitfall_30_not_after_shutdown(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< PA 1:101(100) ack 2\n"
            "+0..500ms > A 2 ack 101\n"
            "recv 100\n"
            "= FIN_WAIT_2");
    lab_end(l);
}

/* 31: linger 0: RST at once, even with data queued and in flight. */
static void pitfall_31_linger_0(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1000");
    TALK(l, "opt linger0 1\n"
            "send 100000\n"
            "forget\n"
            "close\n"
            "> R 10001\n"
            "= LISTEN\n"
            "+100s > none");
    tern_live v = lab_live(l);
    assert_int_equal(v.tcbs + v.chunks + v.sendrecs + v.timewait, 0);
    lab_end(l);
}

/* 32: refused at once by the right RST; a forged one (wrong ACK, no ACK) is ignored. */
static void pitfall_32_refused(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0");
    lab_events(l, 0);
    TALK(l, "< RA 0 ack 0\n"
            "< RA 0 ack 2\n"
            "< RA 0 ack 123456\n"
            "< R 1\n"
            "= SYN_SENT\n"
            "> none\n"
            "< RA 0 ack 1\n"
            "= CLOSED\n"
            "events ENDED\n"
            "? reason REFUSED\n"
            "recv 1 -> ECONNREFUSED\n"
            "send 1 -> ECONNREFUSED\n"
            "+100s > none");
    lab_end(l);
}

/* 35: a SYN or a RST in the window of an open connection: challenged, the connection lives on; and not
 * without end. */
static void pitfall_35_challenged(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    unsigned answers = 0;
    for (int i = 0; i < 1000; i++) {
        TALKF(l, i & 1 ? "< R %d" : "< S %d <mss 1460>", 2 + i);
        const struct lab_out *o;
        while ((o = lab_next(l)) != NULL) {
            assert_int_equal(o->seg.flags, F_ACK);
            assert_int_equal(o->seg.ack.v, l->flow[0].peer_iss + 1);
            answers++;
        }
    }
    assert_in_range(answers, 1, 100);
    TALK(l, "= ESTABLISHED\n"
            "< PA 1:11(10) ack 1\n"
            "recv 10");
    lab_forget(l);
    lab_end(l);
}

/* 36: simultaneous close and open by the standard are in conv/; here with each segment of ours repeated until
 * the peer wakes up. */
static void pitfall_36_simultaneous_close_lossy(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 1\n"
            "> A 2 ack 2\n"
            "= CLOSING\n"
            "+any > FA 1 ack 2\n"
            "< FA 1 ack 1\n"
            "> A 2 ack 2\n"
            "+any > FA 1 ack 2\n"
            "= CLOSING\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT\n"
            "+61s = CLOSED");
    lab_end(l);
}

static void pitfall_36_simultaneous_open_lossy(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "= SYN_RCVD\n"
            "+any > SA 0 ack 1\n"
            "+any > SA 0 ack 1\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* 36: FIN retransmissions are used up, in each state that waits for its ACK: it always ends, with a reason;
 * nothing is left. */
static void pitfall_36_fin_used_up(void **state)
{
    static const char *const ways[] = {"", "< FA 1 ack 1\n> A 2 ack 2\n= CLOSING"};
    for (int held = 0; held < 2; held++)
        for (int w = 0; w < 3; w++) {
            struct lab *l = lab_new(state, NULL);
            lab_connect(l, "mss 1460");
            if (w == 2)
                TALK(l, "< FA 1 ack 1\n> A 1 ack 2");
            TALKF(l, "%s\n> FA 1", held ? "shutdown" : "close");
            if (w < 2)
                TALK(l, ways[w]);
            lab_run(l, 1500 * SEC);
            lab_forget(l);
            TALK(l, "= CLOSED");
            if (held)
                TALK(l, "? reason RETRIES_USED_UP");
            lab_end(l);
        }
}

/* 37: a FIN alone is acknowledged as one number; also a repeated one. */
static void pitfall_37_fin_alone(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "= CLOSE_WAIT");
    lab_end(l);
}

/* 38: keepalive fails while the program waits to read: it is woken, with a reason. Also while it waits to
 * write. */
static void pitfall_38_reader_is_woken(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "opt keepidle 1000\n"
            "opt keepintvl 1000\n"
            "opt keepcnt 2\n"
            "opt keepalive 1\n"
            "recv 10 -> EAGAIN");
    lab_events(l, 0);
    lab_run(l, 5 * SEC);
    lab_forget(l);
    TALK(l, "events READABLE|ENDED\n"
            "recv 10 -> ETIMEDOUT\n"
            "send 10 -> ETIMEDOUT\n"
            "? reason KEEPALIVE_FAILED\n"
            "close");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(pitfall_29_close_unread),
        LAB_TEST(pitfall_29_in_close_wait),
        LAB_TEST(pitfall_29_all_read),
        LAB_TEST(pitfall_30_data_after_close),
        LAB_TEST(pitfall_30_not_after_shutdown),
        LAB_TEST(pitfall_31_linger_0),
        LAB_TEST(pitfall_32_refused),
        LAB_TEST(pitfall_35_challenged),
        LAB_TEST(pitfall_36_simultaneous_close_lossy),
        LAB_TEST(pitfall_36_simultaneous_open_lossy),
        LAB_TEST(pitfall_36_fin_used_up),
        LAB_TEST(pitfall_37_fin_alone),
        LAB_TEST(pitfall_38_reader_is_woken),
    };
    return LAB_MAIN(tests);
}
