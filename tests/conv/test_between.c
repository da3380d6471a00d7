/* Between a timer and the output that it has asked for a segment comes and says that it is needless:
 * tern_tick, tern_rx, and only then tern_tx. Nothing is sent that the peer has said it need not have. */
#include "lab/lab.h"

/* Time passes until tern has something to say, or to `at`. It is not asked for it. */
static void tick_until(struct lab *l, uint64_t at)
{
    for (uint64_t next; (next = tern_next_deadline(l->t)) != 0 && l->now < at;) {
        l->now = next < at ? next : at;
        tern_tick(l->t, l->now);
    }
}

/* A connection with a round trip of 100 ms and `n` segments in flight. */
static struct lab *in_flight(void **state, const char *opts, unsigned n)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, opts);
    TALK(l, "send 1460\n"
            "> A 1:1461(1460) ack 1\n"
            "+100ms < A 1 ack 1461");
    TALKF(l, "send %u", n * 1460);
    lab_forget(l);
    return l;
}

/* The probe of the tail (RFC 8985 7.3) was due, and the ACK of everything comes: no probe. (RFC8985-7.3) */
static void all_is_acknowledged(void **state)
{
    struct lab *l = in_flight(state, "mss 1460,sackOK", 2);
    tick_until(l, l->now + 10 * SEC);
    assert_int_equal(lab_pending(l), 0);
    TALK(l, "< A 1 ack 4381\n"
            "+5s > none");
    lab_end(l);
}

/* The tail itself has come, says a SACK: what lies below was sent before it and is lost by now (RFC 8985
 * 6.2), and that alone is sent again. */
static void tail_is_sacked(void **state)
{
    struct lab *l = in_flight(state, "mss 1460,sackOK", 2);
    tick_until(l, l->now + 10 * SEC);
    TALK(l, "< A 1 ack 1461 <sack 2921:4381>\n"
            "> A 1461:2921(1460) ack 1\n"
            "< A 1 ack 4381\n"
            "+5s > none");
    lab_end(l);
}

/* The retransmission timer was over, and the ACK of everything comes: nothing is repeated. */
static void timeout_and_ack(void **state)
{
    struct lab *l = in_flight(state, "mss 1460", 2);
    tick_until(l, l->now + 10 * SEC);
    TALK(l, "< A 1 ack 4381\n"
            "+5s > none");
    assert_int_equal(lab_stats(l).retransmits, 0);
    lab_end(l);
}

/* A shut window was to be probed, and opens: the data leave, not a probe (RFC 9293 3.8.6.1). */
static void window_opens(void **state)
{
    struct lab *l = in_flight(state, "mss 1460", 1);
    TALK(l, "< A 1 ack 2921 win 0\n"
            "send 1460\n"
            "> none");
    tick_until(l, l->now + 10 * SEC);
    TALK(l, "< A 1 ack 2921 win 65535\n"
            "> PA 2921:4381(1460) ack 1\n"
            "< A 1 ack 4381\n"
            "+5s > none");
    lab_end(l);
}

/* The delayed ACK was due, and text comes that is acknowledged at once: one ACK of both. */
static void delayed_ack_and_text(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    for (int i = 0; i < 20; i++)
        TALKF(l, "< PA %d:%d(100) ack 1", 1 + 100 * i, 101 + 100 * i);
    lab_run(l, SEC);
    lab_forget(l);
    TALK(l, "< PA 2001:2101(100) ack 1\n"
            "> none");
    tick_until(l, l->now + 10 * SEC);
    TALK(l, "< A 2101:3561(1460) ack 1\n"
            "> A 1 ack 3561\n"
            "+1s > none");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(all_is_acknowledged), LAB_TEST(tail_is_sacked), LAB_TEST(timeout_and_ack),
        LAB_TEST(window_opens),        LAB_TEST(delayed_ack_and_text),
    };
    return LAB_MAIN(tests);
}
