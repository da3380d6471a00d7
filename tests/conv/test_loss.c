/* What a loss leaves behind: counts that begin anew, windows that open and shut by the right amount, the next
 * loss. RFC 5681 3, RFC 6582, RFC 6675, RFC 3522. */
#include "lab/lab.h"

/* `n` segments of 1000 bytes in flight, all that was queued. */
static struct lab *in_flight(void **state, const char *options, int n)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, options);
    TALKF(l, "send %d", 1000 * n);
    for (int i = 0; i < n; i++)
        TALKF(l, "> A %d:%d(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
    return l;
}

static void duplicates(struct lab *l, int n, int ack)
{
    for (int i = 0; i < n; i++)
        TALKF(l, "< A 1 ack %d", ack);
}

/* RFC6675-5-b, RFC 5681 3.2: three duplicates in a row, not two before progress and two behind it. */
static void counted_in_a_row(void **state)
{
    struct lab *l = in_flight(state, "mss 1000", 10);
    duplicates(l, 2, 1);
    duplicates(l, 3, 2001); /* the first of them is progress */
    TALK(l, "> none\n"
            "? retransmits 0\n"
            "< A 1 ack 2001\n"
            "> A 2001:3001(1000) ack 1\n"
            "? fast_retransmits 1");
    lab_end(l);
}

/* RFC 5681 2 (b): with nothing in flight no ACK is a duplicate, and nothing is reduced. */
static void nothing_in_flight(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    duplicates(l, 5, 1);
    TALK(l, "> none\n"
            "? dup_acks_in 0\n"
            "? cwnd 10000\n"
            "? ssthresh -1");
    lab_end(l);
}

/* RFC 6582 3.2 steps 1 and 4: after a timeout duplicates prove nothing until more is acknowledged than had
 * been sent then; just as much is not enough. */
static void recover(void **state)
{
    struct lab *l = in_flight(state, "mss 1000", 10);
    TALK(l, "+200ms > A 1:1001(1000) ack 1\n"
            "? timeouts 1\n"
            "< A 1 ack 10001\n"
            "send 10000\n"
            "> A 10001:11001(1000) ack 1\n"
            "> A 11001:12001(1000) ack 1");
    duplicates(l, 4, 10001);
    lab_forget(l); /* what limited transmit sends */
    TALK(l, "? fast_retransmits 0\n"
            "? retransmits 1");
    lab_end(l);
}

/* RFC5681-3.1-p, RFC 6582 3.2 step 4: when that is acknowledged the timeout is over, and the next loss is
 * found by duplicates. */
static void over_after_a_timeout(void **state)
{
    struct lab *l = in_flight(state, "mss 1000", 10);
    TALK(l, "+200ms > A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "< A 1 ack 10001\n"
            "send 20000\n"
            "> A 10001:11001(1000) ack 1\n"
            "> A 11001:12001(1000) ack 1\n"
            "< A 1 ack 12001\n"
            "> A 12001:13001(1000) ack 1\n"
            "> A 13001:14001(1000) ack 1\n"
            "> A 14001:15001(1000) ack 1\n"
            "> A 15001:16001(1000) ack 1");
    duplicates(l, 2, 12001);
    lab_forget(l);
    TALK(l, "< A 1 ack 12001\n"
            "> A 12001:13001(1000) ack 1\n"
            "? fast_retransmits 1");
    lab_end(l);
}

/* RFC5681-3.1-q: slow start after a timeout grows by a segment for each ACK, also when that acknowledges
 * many: what it covers may have been there before (RFC 3465 2.3). */
static void slow_start_after_a_timeout(void **state)
{
    struct lab *l = in_flight(state, "mss 1000", 10);
    TALK(l, "+200ms > A 1:1001(1000) ack 1\n"
            "? cwnd 1000\n"
            "< A 1 ack 4001\n"
            "? cwnd 2000");
    lab_end(l);
}

/* RFC5681-3.1-m: bytes acknowledged are counted up to one window; a loss begins the count anew. */
static void count_of_avoidance(void **state)
{
    struct lab *l = in_flight(state, "mss 1000", 10);
    duplicates(l, 3, 1);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "? cwnd 5000\n"
            "? ssthresh 5000\n"
            "send 5000");
    for (int at = 10001; at < 15001; at += 1000)
        TALKF(l, "> A %d:%d(1000) ack 1", at, at + 1000);
    for (int at = 11001; at < 15001; at += 1000)
        TALKF(l, "< A 1 ack %d", at);
    TALK(l, "? cwnd 5000\n" /* 4000 of 5000 are counted */
            "+200ms > A 14001:15001(1000) ack 1\n"
            "? ssthresh 2000\n"
            "< A 1 ack 15001\n"
            "? cwnd 2000\n"
            "send 2000\n"
            "> A 15001:16001(1000) ack 1\n"
            "> A 16001:17001(1000) ack 1\n"
            "< A 1 ack 16001\n"
            "? cwnd 2000\n"
            "< A 1 ack 17001\n"
            "? cwnd 3000");
    lab_end(l);
}

/* RFC 6582 3.2 step 3: a partial ACK deflates the window by what it acknowledges, less one segment. Segments
 * 1 and 5 are lost; ten duplicates have let five new ones go. */
static void partial_ack_deflates(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 30000");
    lab_forget(l);
    duplicates(l, 10, 1);
    lab_forget(l);
    TALK(l, "? in_flight 5000\n"
            "? cwnd 5000\n"
            "< A 1 ack 4001\n"
            "> A 4001:5001(1000) ack 1\n"
            "> A 15001:16001(1000) ack 1\n"
            "> none");
    lab_end(l);
}

/* RFC 6582 3.2 step 3: the first partial ACK restarts the retransmission timer, and no other. */
static void first_partial_ack_restarts(void **state)
{
    struct lab *l = in_flight(state, "mss 1000", 10);
    duplicates(l, 3, 1);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "+50ms < A 1 ack 2001\n"
            "> A 2001:3001(1000) ack 1\n"
            "+100ms < A 1 ack 4001\n"
            "> A 4001:5001(1000) ack 1\n"
            "+100ms > A 4001:5001(1000) ack 1\n"
            "? timeouts 1");
    lab_end(l);
}

/* RFC 3522 3.2: the ACK of a retransmission that echoes the retransmission's own timestamp undoes nothing. */
static void echo_of_the_retransmission(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1012,ts");
    TALK(l, "send 10000");
    lab_forget(l);
    TALK(l, "+10ms < A 1 ack 1\n"
            "< A 1 ack 1\n"
            "< A 1 ack 1\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "+10ms < A 1 ack 10001\n"
            "? cwnd 5000\n"
            "? ssthresh 5000");
    lab_end(l);
}

/* ... and one that echoes a timestamp from before it does. */
static void echo_of_the_first_sending(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1012,ts");
    TALK(l, "+10ms send 10000");
    lab_forget(l);
    TALK(l, "+10ms < A 1 ack 1\n"
            "< A 1 ack 1\n"
            "< A 1 ack 1\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "+10ms < A 1 ack 10001 <ts ecr 10>\n"
            "? ssthresh -1");
    lab_end(l);
}

/* RFC6675-4-h, RFC 8985 6.2: when nothing new waits, the hole below what is SACKed is filled although two
 * segments above it are too few to prove a loss. */
static void hole_below_a_sack(void **state)
{
    struct lab *l = in_flight(state, "mss 1000,sackOK", 8);
    TALK(l, "< A 1 ack 1 <sack 1001:4001>\n"
            "> A 1:1001(1000) ack 1\n"
            "> none\n"
            "< A 1 ack 1 <sack 5001:7001 1001:4001>\n"
            "> A 4001:5001(1000) ack 1\n"
            "> none\n"
            "? fast_retransmits 2");
    lab_end(l);
}

/* RFC6298-3-a, RFC 2883 4: a DSACK tells that a repetition came, but not which one when there were two. */
static void dsack_of_two_repetitions(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460,sackOK,ts 1000>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+1s > PA 1:101(100) ack 1\n"
            "+1200ms > PA 1:101(100) ack 1\n"
            "+440ms < A 1 ack 101 <ts 4000 ecr 400,sack 1:101>\n"
            "? srtt_us 400000");
    lab_end(l);
}

/* RFC5681-3.1-b, RFC 6928 2: ten segments, but not more than 14600 bytes unless two segments are more. */
static void initial_window(void **state)
{
    const struct lab_variant *v = *state;
    struct lab_config jumbo = {.mtu = v->v6 ? 9020 : 9000};
    struct lab *l = lab_new(state, &jumbo);
    lab_connect(l, "mss 8960");
    TALK(l, "? mss 8960\n"
            "? cwnd 17920");
    lab_end(l);
    l = lab_new(state, &jumbo);
    lab_connect(l, "mss 4000");
    TALK(l, "? cwnd 14600");
    lab_end(l);
    l = lab_new(state, NULL);
    lab_connect(l, "mss 536");
    TALK(l, "? cwnd 5360");
    lab_end(l);
}

/* RFC6675-5.1-d: after a timeout SACKs say what to send again, and begin no new recovery: the window grows
 * from one segment, and ssthresh stays. */
static void sacks_after_a_timeout(void **state)
{
    struct lab *l = in_flight(state, "mss 1000,sackOK", 10);
    lab_run(l, 150 * MS); /* a tail probe, perhaps */
    lab_run(l, 400 * MS);
    lab_forget(l);
    TALK(l, "? timeouts 1\n"
            "? cwnd 1000\n"
            "? ssthresh 5000\n"
            "< A 1 ack 1 <sack 2001:4001>\n"
            "? cwnd 1000\n"
            "< A 1 ack 1 <sack 5001:9001 2001:4001>\n"
            "? cwnd 1000\n"
            "? ssthresh 5000\n"
            "< A 1 ack 4001 <sack 5001:9001>\n"
            "? cwnd 2000\n"
            "? ssthresh 5000\n"
            "> A 4001:5001(1000) ack 1");
    lab_end(l);
}

/* RFC 8985 7.2: one tail probe is out at a time. What an ACK leaves in flight behind it waits for the
 * timeout, which began anew with that ACK. */
static void one_tail_probe(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+100ms < SA 0 ack 1 win 65535 <mss 1000,sackOK>\n"
            "> A 1 ack 1\n"
            "send 3000\n"
            "forget\n"
            "+202ms > PA 2001:3001(1000) ack 1\n"
            "+10ms < A 1 ack 1001\n"
            "+205ms > none\n"
            "? timeouts 0\n"
            "+any > A 1001:2001(1000) ack 1\n"
            "? timeouts 1");
    lab_end(l);
}

/* RFC 6298 5.7, RFC 6582 3.2: a SYN that had to be repeated says nothing of the data that follows: a loss in
 * the first flight is found by duplicates, and nobody is told of congestion (RFC3168-6.1.2-f). */
static void after_a_lost_syn(void **state)
{
    struct lab_config asks = {.stack = {.ecn = TERN_ECN_ON}};
    struct lab *l = lab_new(state, &asks);
    TALK(l, "connect\n"
            "> SEW 0\n"
            "+1s > SEW 0\n"
            "+10ms < SAE 0 ack 1 win 65535 <mss 1000>\n"
            "> A 1 ack 1\n"
            "? ecn 1\n"
            "send 10000\n"
            "> A 1:1001(1000) ack 1 ect0\n"
            "> A 1001:2001(1000) ack 1 ect0\n"
            "forget");
    duplicates(l, 3, 1);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "? fast_retransmits 1");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(counted_in_a_row),
        LAB_TEST(nothing_in_flight),
        LAB_TEST(recover),
        LAB_TEST(over_after_a_timeout),
        LAB_TEST(slow_start_after_a_timeout),
        LAB_TEST(count_of_avoidance),
        LAB_TEST(partial_ack_deflates),
        LAB_TEST(first_partial_ack_restarts),
        LAB_TEST(echo_of_the_retransmission),
        LAB_TEST(echo_of_the_first_sending),
        LAB_TEST(hole_below_a_sack),
        LAB_TEST(dsack_of_two_repetitions),
        LAB_TEST(initial_window),
        LAB_TEST(sacks_after_a_timeout),
        LAB_TEST(one_tail_probe),
        LAB_TEST(after_a_lost_syn),
    };
    return LAB_MAIN(tests);
}
