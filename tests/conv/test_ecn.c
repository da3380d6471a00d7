/* Explicit congestion notification (RFC 3168, SHLD-8). */
#include "lab/lab.h"

/* Section 6.1.1: asked by the peer, tern agrees; SYN and SYN+ACK themselves are not ECN-capable.
 * (RFC3168-6.1.1-ai, RFC3168-6.1.2-a, RFC3168-5-a) */
static void agreed_passively(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1460>\n"
            "> SAE 0 ack 1 notect\n"
            "< A 1 ack 1\n"
            "accept\n"
            "? ecn 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 ect0");
    lab_end(l);
}

/* RFC3168-6.1.1-bc */
static void not_asked(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "? ecn 0\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 notect");
    lab_end(l);
}

/* Only both bits on a SYN ask (6.1.1). (RFC3168-6.1.1-b) */
static void half_asked(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< SE 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "1< SW 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1");
    lab_end(l);
}

/* RFC3168-6.1.1-g */
static void off(void **state)
{
    struct lab_config cfg = {.stack = {.ecn = TERN_ECN_OFF}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    lab_end(l);
}

static struct lab *asking(void **state, const char *answer)
{
    struct lab_config cfg = {.stack = {.ecn = TERN_ECN_ON}};
    struct lab *l = lab_new(state, &cfg);
    TALKF(l,
          "connect\n"
          "> SEW 0 notect\n"
          "< %s 0 ack 1 win 65535 <mss 1000>\n"
          "> A 1 ack 1 notect",
          answer);
    return l;
}

/* tern asks; the peer agrees by ECE alone. (RFC3168-6.1.1-c, RFC3168-6.1.2-a) */
static void agreed_actively(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "? ecn 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 ect0");
    lab_end(l);
}

/* A peer that reflects both bits does not know what they mean (6.1.1). (RFC3168-6.1.1-dh) */
static void reflected(void **state)
{
    struct lab *l = asking(state, "SAEW");
    TALK(l, "? ecn 0\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 notect");
    lab_end(l);
}

/* RFC3168-6.1.1-d */
static void refused(void **state)
{
    struct lab *l = asking(state, "SA");
    TALK(l, "? ecn 0\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 notect");
    lab_end(l);
}

/* 6.1.3: after a CE mark every ACK carries ECE until CWR comes. (RFC3168-6.1.3-ab, RFC3168-6.1.1-f) */
static void echo_until_cwr(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "< PA 1:1001(1000) ack 1 ce\n"
            "+0..500ms > AE 1 ack 1001\n"
            "< PA 1001:2001(1000) ack 1 ect0\n"
            "+0..500ms > AE 1 ack 2001\n"
            "< PAW 2001:3001(1000) ack 1 ect0\n"
            "+0..500ms > A 1 ack 3001\n"
            "< PA 3001:4001(1000) ack 1 ect0\n"
            "+0..500ms > A 1 ack 4001");
    lab_end(l);
}

/* A CWR segment that is itself marked: the echo begins anew. */
static void cwr_with_ce(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "< PA 1:1001(1000) ack 1 ce\n"
            "+0..500ms > AE 1 ack 1001\n"
            "< PAW 1001:2001(1000) ack 1 ce\n"
            "+0..500ms > AE 1 ack 2001");
    lab_end(l);
}

/* A changed CE mark is told at once, with data in one batch too. */
static void ce_is_told_at_once(void **state)
{
    struct lab *l = asking(state, "SAE");
    for (int i = 0; i < 40; i++) { /* out of the first, quick ACKs */
        TALKF(l, "< PA %d:%d(100) ack 1 ect0", 1 + i * 100, 101 + i * 100);
        lab_run(l, 50 * MS);
    }
    lab_forget(l);
    TALK(l, "< PA 4001:5001(1000) ack 1 ce\n"
            "> AE 1 ack 5001");
    lab_end(l);
}

/* 6.1.2: ECE halves the window, once for each window of data, and the next new segment carries CWR.
 * (RFC3168-5-b, RFC3168-6.1.2-bf, RFC3168-6.1.1-e) */
static void one_reduction_a_round(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "send 40000");
    lab_forget(l);
    TALK(l, "< AE 1 ack 1001\n"
            "? ssthresh 5000\n"
            "? cwnd 5000\n"
            "> none\n"
            "< AE 1 ack 3001\n"
            "< AE 1 ack 5001\n"
            "? ssthresh 5000\n"
            "< AE 1 ack 6001");
    const struct lab_out *o = lab_next(l);
    assert_non_null(o);
    assert_true(o->seg.flags & F_CWR);
    assert_int_equal(o->seg.seq.v, l->flow[0].iss + 10001);
    while ((o = lab_next(l)) != NULL)
        assert_false(o->seg.flags & F_CWR);
    TALK(l, "? ssthresh 5000\n"
            "< A 1 ack 10001");
    lab_forget(l);
    TALK(l, "< AE 1 ack 11001");
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    assert_true(info.ssthresh < 5000);
    assert_int_equal(info.retransmits, 0);
    lab_end(l);
}

/* 6.1.5: what is sent again is not ECN-capable; a pure ACK (6.1.4) neither. (RFC3168-5.2-ab, RFC3168-6.1.4-a,
 * RFC3168-6.1.5-a) */
static void retransmissions_are_not_capable(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1 ect0\n"
            "+any > PA 1:101(100) ack 1 notect\n"
            "< PA 1:101(100) ack 101 ect0\n"
            "+0..500ms > A 101 ack 101 notect");
    lab_end(l);
}

/* The first new segment has CWR, and no other. */
static void check_cwr(struct lab *l)
{
    const struct lab_out *o;
    unsigned fresh = 0;
    while ((o = lab_next(l)) != NULL) {
        bool is_new = (int32_t)(o->seg.seq.v - l->flow[0].iss) > 10000;
        if (is_new)
            fresh++;
        if (((o->seg.flags & F_CWR) != 0) != (is_new && fresh == 1))
            lab_fail(l, "CWR is %s", o->seg.flags & F_CWR ? "on the wrong segment" : "missing");
    }
    assert_true(fresh > 0);
}

/* 6.1.2: "for any reason": the window was reduced by a fast retransmit, or by a timeout.
 * (RFC3168-6.1.2-ef) */
static void cwr_after_a_loss(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "send 10000\n"
            "forget\n"
            "< A 1 ack 1\n"
            "< A 1 ack 1\n"
            "< A 1 ack 1\n"
            "> A 1:1001(1000) ack 1 notect\n"
            "< A 1 ack 10001\n"
            "send 5000");
    check_cwr(l);
    lab_end(l);
    l = asking(state, "SAE");
    TALK(l, "send 10000\n"
            "forget\n"
            "+any > A 1:1001(1000) ack 1 notect\n"
            "< A 1 ack 10001\n"
            "send 5000");
    check_cwr(l);
    lab_end(l);
}

/* RFC3168-6.1.1-cf, RFC3168-6.1.1.1-b: the third SYN asks no longer, since the path may drop SYNs that do.
 * When the first one is answered after all, marks are echoed, but our own data is not ECN-capable. */
static void no_ect_after_a_plain_syn(void **state)
{
    struct lab_config cfg = {.stack = {.ecn = TERN_ECN_ON}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "connect\n"
            "> SEW 0\n"
            "+1s > SEW 0\n"
            "+2s > S 0\n"
            "< SAE 0 ack 1 win 65535 <mss 1000>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 notect\n"
            "< PA 1:1001(1000) ack 101 ce\n"
            "+0..500ms > AE 101 ack 1001");
    lab_end(l);
}

/* RFC3168-6.1.1-d: the peer asked, and its repeated SYN does not: no ECN then. */
static void asks_no_longer(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1460>\n"
            "> SAE 0 ack 1\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "? ecn 0\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 notect");
    lab_end(l);
}

/* RFC3168-6.1.2-c: an ACK with ECE lets nothing grow, also when the window has been reduced already. */
static void echoes_grow_nothing(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "send 40000");
    lab_forget(l);
    TALK(l, "< AE 1 ack 1001\n"
            "? cwnd 5000\n"
            "< AE 1 ack 9001\n"
            "? cwnd 5000\n"
            "< A 1 ack 10001\n"
            "? cwnd 5000");
    lab_end(l);
}

/* RFC3168-6.1.2-d: a window of one segment (the SYN+ACK was lost twice) is not made larger by an echo; the
 * next segment waits for the timeout, which begins anew: 100 ms + 4 * 50 ms. */
static void window_of_one(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1000>\n"
            "> SAE 0 ack 1\n"
            "+1s > SAE 0 ack 1\n"
            "+2s > SAE 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "? cwnd 1000\n"
            "send 3000\n"
            "> A 1:1001(1000) ack 1 ect0\n"
            "+100ms < AE 1 ack 1001\n"
            "? cwnd 1000\n"
            "+300ms > AW 1001:2001(1000) ack 1 ect0\n"
            "< A 1 ack 2001\n"
            "> PA 2001:3001(1000) ack 1 ect0");
    lab_end(l);
}

/* RFC3168-6.1.6-b: the mark of a window probe is echoed. */
static void marked_probe(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 4096}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1024>\n"
            "> SAE 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "< PA 1:4097(4096) ack 1 ect0\n"
            "+0..500ms > A 1 ack 4097 win 0\n"
            "< A 4097:4098(1) ack 1 ce\n"
            "> AE 1 ack 4097 win 0");
    lab_end(l);
}

/* ECE without an agreement is nothing. */
static void ece_not_agreed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 40000");
    lab_forget(l);
    TALK(l, "< AE 1 ack 1001\n"
            "? cwnd 11000");
    lab_end(l);
}

/* RFC3168-5.3-a: what is ECN-capable may not be cut on its way either. */
static void capable_and_whole(void **state)
{
    struct lab *l = asking(state, "SAE");
    TALK(l, "send 100");
    const struct lab_out *o = lab_next(l);
    assert_non_null(o);
    assert_int_equal(o->seg.tos & 3, 2);
    if (tern_ip_is4(&l->ip))
        assert_int_equal(o->bytes[6] & 0xe0, 0x40); /* DF */
    lab_end(l);
}

/* RFC3168-6.1.1-c: who has not asked has not agreed, whatever the SYN+ACK says. */
static void answered_unasked(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< SAE 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "? ecn 0\n"
            "send 100\n"
            "> PA 1:101(100) ack 1 notect");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(agreed_passively),
        LAB_TEST(not_asked),
        LAB_TEST(half_asked),
        LAB_TEST(off),
        LAB_TEST(agreed_actively),
        LAB_TEST(reflected),
        LAB_TEST(refused),
        LAB_TEST(echo_until_cwr),
        LAB_TEST(cwr_with_ce),
        LAB_TEST(ce_is_told_at_once),
        LAB_TEST(one_reduction_a_round),
        LAB_TEST(retransmissions_are_not_capable),
        LAB_TEST(cwr_after_a_loss),
        LAB_TEST(no_ect_after_a_plain_syn),
        LAB_TEST(asks_no_longer),
        LAB_TEST(echoes_grow_nothing),
        LAB_TEST(window_of_one),
        LAB_TEST(marked_probe),
        LAB_TEST(ece_not_agreed),
        LAB_TEST(capable_and_whole),
        LAB_TEST(answered_unasked),
    };
    return LAB_MAIN(tests);
}
