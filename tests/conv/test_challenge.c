/* Blind attacks on an open connection: RFC 5961, and the limit that must not be a side channel
 * (CVE-2016-5696). */
#include "lab/lab.h"

/* RFC 5961 3.2: RST at exactly RCV.NXT resets; elsewhere in the window it is challenged; outside it is
 * nothing. (RFC5961-3.2-abcde) */
static void rst(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< R 2\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "< RA 1000 ack 1\n"
            "> A 1 ack 1\n"
            "< R 0\n"
            "> none\n"
            "< R 2000000000\n"
            "> none\n"
            "= ESTABLISHED\n"
            "? challenge_acks 2\n"
            "< R 1\n"
            "= CLOSED\n"
            "? reason RESET");
    lab_end(l);
}

/* SHLD-2: a RST with data is a RST. */
static void rst_with_data(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< R 1:21(20)\n"
            "= CLOSED\n"
            "> none");
    lab_end(l);
}

/* RFC 5961 4.2: a SYN anywhere is challenged; the honest peer that lost its state answers with the exact RST.
 (RFC5961-4.2-abcd) */
static void syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< S 1 <mss 1460>\n"
            "> A 1 ack 1\n"
            "< S 1000 <mss 1460>\n"
            "> A 1 ack 1\n"
            "< S 77777777 <mss 1460>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED\n"
            "< R 1\n"
            "= CLOSED");
    lab_end(l);
}

/* RFC 5961 5.2, MAY-12: the ACK must lie in SND.UNA - MAX.SND.WND .. SND.NXT; data with another is not taken.
 (RFC5961-5.2-abc) */
static void blind_data(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< PA 1:11(10) ack 2\n"
            "> A 1 ack 1\n"
            "recv 10 -> EAGAIN\n"
            "< PA 1:11(10) ack -70000\n"
            "> A 1 ack 1\n"
            "recv 10 -> EAGAIN\n"
            "< PA 1:11(10) ack -60000\n"
            "recv 10\n"
            "= ESTABLISHED");
    lab_end(l);
}

static unsigned challenges(struct lab *l, int flow, unsigned tries)
{
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++) {
        TALKF(l, "%d< R %u", flow, 2 + i);
        const struct lab_out *o;
        while ((o = lab_next(l)) != NULL)
            n += o->flow == flow;
    }
    return n;
}

/* The fifth trap: limited per connection. What one connection draws is not seen on another.
 * (RFC5961-7-abc) */
static void limited_for_each_connection(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept");
    unsigned first = challenges(l, 0, 500);
    assert_in_range(first, 1, 100);
    assert_int_equal(challenges(l, 0, 100), 0);
    assert_true(lab_stats(l).challenge_limited > 0);
    assert_int_equal(challenges(l, 1, 500), first);
    lab_run(l, 10 * SEC);
    assert_int_equal(challenges(l, 0, 500), first);
    TALK(l, "= ESTABLISHED\n1= ESTABLISHED");
    lab_end(l);
}

/* The limit is no shield for the real thing: an exact RST still resets, data still flows. */
static void limit_does_not_stop_work(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    challenges(l, 0, 500);
    TALK(l, "< PA 1:11(10) ack 1\n"
            "+0..500ms > A 1 ack 11\n"
            "recv 10\n"
            "< R 11\n"
            "= CLOSED");
    lab_end(l);
}

/* The same rules for a half-open connection. */
static void half_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< R 100\n"
            "> A 1 ack 1\n"
            "= SYN_RCVD\n"
            "< R 1\n"
            "> none\n"
            "= LISTEN");
    lab_end(l);
}

/* RFC5961-4.2-c: after the challenge nothing of the segment counts, neither its ACK nor its data. */
static void nothing_of_a_syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "< SA 1:11(10) ack 101\n"
            "> A 101 ack 1\n"
            "? recv_queue 0\n"
            "? send_unacked 100\n"
            "= ESTABLISHED");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(rst),
        LAB_TEST(rst_with_data),
        LAB_TEST(syn),
        LAB_TEST(blind_data),
        LAB_TEST(limited_for_each_connection),
        LAB_TEST(limit_does_not_stop_work),
        LAB_TEST(half_open),
        LAB_TEST(nothing_of_a_syn),
    };
    return LAB_MAIN(tests);
}
