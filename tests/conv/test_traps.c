/* The known traps of the standard's text (DESIGN, "The legal edges"), each with its test. */
#include "lab/lab.h"

/* 1. A repeated FIN has SEG.SEQ < RCV.NXT and fails the first step: in TIME_WAIT it must be recognised there,
 * exactly, and only it starts 2 MSL anew. */
static void trap_1_repeated_fin_in_time_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\n"
            "recv 100\n"
            "forget\n"
            "shutdown\n"
            "> FA 1 ack 101\n"
            "< FA 101 ack 2\n"
            "> A 2 ack 102\n"
            "= TIME_WAIT\n"
            "+40s < FPA 51:91(40) ack 2\n" /* a FIN, but not the peer's: ends before RCV.NXT */
            "+10s < A 101 ack 2\n"
            "+5s forget\n"
            "+6s = CLOSED");
    lab_end(l);
    l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\n"
            "recv 100\n"
            "forget\n"
            "shutdown\n"
            "> FA 1 ack 101\n"
            "< FPA 101:151(50) ack 2\n"
            "> A 2 ack 152\n"
            "recv 50\n"
            "= TIME_WAIT\n"
            "+50s < FPA 101:151(50) ack 2\n" /* the same segment again, with its data */
            "> A 2 ack 152\n"
            "+50s = TIME_WAIT\n"
            "+11s = CLOSED");
    lab_end(l);
}

/* 2. RFC 9293 A.2: segments that fail the first step and whose ACK must count: simultaneous open ... */
static void trap_2_simultaneous_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* ... simultaneous close: the ACK of our FIN comes on the peer's repeated FIN only ... */
static void trap_2_simultaneous_close(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 1\n"
            "> A 2 ack 2\n"
            "= CLOSING\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT");
    lab_end(l);
}

/* ... and window probes that cross: both windows shut, each probe carries an ACK the other needs. */
static void trap_2_crossing_probes(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 4096}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1024");
    for (int i = 0; i < 4; i++)
        TALKF(l, "< A %d:%d(1024) ack 1\n+200ms forget", 1 + i * 1024, 1025 + i * 1024);
    TALK(l, "send 1000\n"
            "> PA 1:1001(1000) ack 4097 win 0\n"
            "< A 4097:4098(1) ack 1001 win 0\n"
            "> A 1001 ack 4097 win 0\n"
            "? send_unacked 0");
    lab_end(l);
}

/* ... and a connection to oneself: every segment is answered by oneself. */
static void trap_2_self_connect(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint self = {.ip = l->ip, .port = 7777};
    tern_handle h;
    assert_int_equal(tern_connect(l->t, &self, &self, &h), 0);
    lab_collect(l);
    for (int i = 0; i < 50; i++) {
        const struct lab_out *o = lab_next(l);
        if (!o)
            break;
        uint8_t pkt[2000];
        uint32_t len = o->len;
        memcpy(pkt, o->bytes, len);
        lab_rx(l, pkt, len);
    }
    tern_info info;
    assert_int_equal(tern_get_info(l->t, h, &info), 0);
    assert_int_equal(info.state, TERN_ESTABLISHED);
    assert_int_equal(lab_pending(l), 0);
    assert_int_equal(tern_abort(l->t, h), 0);
    lab_end(l);
}

/* 3. FIN+ACK in FIN_WAIT_1: one change of state, straight to TIME_WAIT; FIN_WAIT_2 is never seen. */
static void trap_3_one_change(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_info info;
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT");
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.history[0].from, TERN_FIN_WAIT_1);
    assert_int_equal(info.history[0].to, TERN_TIME_WAIT);
    assert_int_equal(info.history[0].cause, TERN_C_FIN_AND_ACK);
    assert_int_equal(info.history[1].to, TERN_FIN_WAIT_1);
    lab_end(l);
}

/* 4. On CLOSE the state changes at the call and the FIN follows the data: an ACK of all that was sent is not
 * an ACK of a FIN that was not. */
static void trap_4_fin_not_yet_sent(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "< A 1 ack 1 win 1000\n"
            "send 1000\n"
            "> PA 1:1001(1000) ack 1\n"
            "send 500\n"
            "shutdown\n"
            "= FIN_WAIT_1\n"
            "< A 1 ack 1001 win 0\n"
            "= FIN_WAIT_1\n"
            "? fin_acked 0\n"
            "< FA 1 ack 1001 win 0\n"
            "> A 1001 ack 2\n"
            "= CLOSING\n"
            "< A 2 ack 1001 win 5000\n"
            "> FPA 1001:1501(500) ack 2\n"
            "< A 2 ack 1501\n"
            "= CLOSING\n"
            "+any > FA 1501 ack 2\n"
            "< A 2 ack 1502\n"
            "= TIME_WAIT");
    lab_end(l);
}

/* 5. Challenge ACKs: test_challenge.c, limited_for_each_connection. Here: nothing about one connection's
 * challenges can be read from another's, whatever the order. */
static void trap_5_no_global_counter(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept");
    unsigned alone = 0, beside = 0;
    for (int i = 0; i < 300; i++) { /* the attacker's own connection, while none attacks */
        TALK(l, "1< R 100");
        alone += lab_pending(l) > 0;
        lab_forget(l);
    }
    lab_run(l, 60 * SEC);
    for (int i = 0; i < 300; i++) { /* and while he sends RSTs to another */
        TALK(l, "< R 100\nforget\n1< R 100");
        beside += lab_pending(l) > 0;
        lab_forget(l);
    }
    assert_int_equal(alone, beside);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(trap_1_repeated_fin_in_time_wait),
        LAB_TEST(trap_2_simultaneous_open),
        LAB_TEST(trap_2_simultaneous_close),
        LAB_TEST(trap_2_crossing_probes),
        LAB_TEST(trap_2_self_connect),
        LAB_TEST(trap_3_one_change),
        LAB_TEST(trap_4_fin_not_yet_sent),
        LAB_TEST(trap_5_no_global_counter),
    };
    return LAB_MAIN(tests);
}
