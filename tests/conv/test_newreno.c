/* Loss found by duplicate ACKs, without SACK: RFC 5681 3.2, RFC 6582, RFC 3042. */
#include "lab/lab.h"

/* Ten segments of 1000 bytes fill the initial window (RFC 6928); more waits. */
static struct lab *ten_in_flight(void **state, size_t queued)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALKF(l, "send %zu", queued);
    for (int i = 0; i < 10; i++)
        TALKF(l, "> A %d:%d(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
    TALK(l, "> none");
    return l;
}

static void duplicates(struct lab *l, int n)
{
    for (int i = 0; i < n; i++)
        TALK(l, "< A 1 ack 1");
}

/* RFC 5681 3.2: the third duplicate ACK repeats the first segment; ssthresh is half of what was in flight.
 * (RFC5681-3.2-cgim) */
static void third_duplicate(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 2);
    TALK(l, "> none");
    duplicates(l, 1);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "? fast_retransmits 1\n"
            "< A 1 ack 10001\n"
            "? cwnd 5000\n"
            "? timeouts 0\n"
            "+100s > none");
    lab_end(l);
}

/* RFC 3042: the first two duplicates bring new data; it does not count for ssthresh (RFC 5681 3.2 step 2). In
 * recovery a new segment goes out for each duplicate once half of the window has drained; the full ACK ends
 * it at ssthresh. (RFC5681-3.2-dehjlm) */
static void window_during_recovery(void **state)
{
    struct lab *l = ten_in_flight(state, 20000);
    TALK(l, "< A 1 ack 1\n"
            "> A 10001:11001(1000) ack 1\n"
            "< A 1 ack 1\n"
            "> A 11001:12001(1000) ack 1\n"
            "< A 1 ack 1\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000");
    duplicates(l, 4);
    TALK(l, "> none\n"
            "< A 1 ack 1\n"
            "> A 12001:13001(1000) ack 1\n"
            "< A 1 ack 1\n"
            "> A 13001:14001(1000) ack 1\n"
            "< A 1 ack 1\n"
            "> A 14001:15001(1000) ack 1\n"
            "< A 1 ack 1\n"
            "> A 15001:16001(1000) ack 1\n"
            "< A 1 ack 12001\n"
            "> A 16001:17001(1000) ack 1\n"
            "> none\n"
            "? cwnd 5000");
    lab_end(l);
}

/* RFC 6582 3.2 step 3: a partial ACK shows the next hole, which is repeated at once; recovery goes on. */
static void partial_ack(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 3);
    TALK(l, "> A 1:1001(1000) ack 1");
    duplicates(l, 5);
    TALK(l, "< A 1 ack 2001\n"
            "> A 2001:3001(1000) ack 1\n"
            "< A 1 ack 6001\n"
            "> A 6001:7001(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "> none\n"
            "? timeouts 0\n"
            "? ssthresh 5000\n"
            "? retransmits 3");
    lab_end(l);
}

/* RFC 6582 3.2 step 1: duplicates below the recovery point are not a new loss. */
static void one_reduction(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 3);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "< A 1 ack 3001\n"
            "> A 3001:4001(1000) ack 1\n"
            "< A 1 ack 3001\n"
            "< A 1 ack 3001\n"
            "< A 1 ack 3001\n"
            "< A 1 ack 3001\n"
            "? ssthresh 5000\n"
            "< A 1 ack 10001\n"
            "? ssthresh 5000\n"
            "? fast_retransmits 2");
    lab_end(l);
}

/* RFC 5681 3.2 step 1, RFC 3042: limited transmit is for two duplicates. Those after a recovery that prove
 * nothing (RFC 6582 3.2) bring no more: there would be more in flight than cwnd and two segments.
 * (RFC5681-3.2-d) */
static void limited_transmit_ends(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 3);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "? cwnd 5000\n"
            "send 20000");
    for (int i = 0; i < 5; i++)
        TALKF(l, "> A %d:%d(1000) ack 1", 10001 + i * 1000, 11001 + i * 1000);
    TALK(l, "> none\n"
            "< A 1 ack 10001\n"
            "> A 15001:16001(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "> A 16001:17001(1000) ack 1");
    for (int i = 0; i < 4; i++)
        TALK(l, "< A 1 ack 10001\n"
                "> none");
    lab_end(l);
}

/* RFC 5681 2: a duplicate ACK has no data, the same window, and something is in flight. */
static void what_is_no_duplicate(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    TALK(l, "< A 1 ack 1 win 60000\n"
            "< A 1 ack 1 win 59000\n"
            "< A 1 ack 1 win 58000\n"
            "< A 1 ack 1 win 57000\n"
            "> none");
    for (int i = 0; i < 4; i++)
        TALKF(l, "< PA %d:%d(10) ack 1", 1 + 10 * i, 11 + 10 * i);
    lab_forget(l);
    TALK(l, "? fast_retransmits 0\n"
            "< A 41 ack 10001\n"
            "< A 41 ack 10001\n"
            "< A 41 ack 10001\n"
            "< A 41 ack 10001\n"
            "? fast_retransmits 0");
    lab_end(l);
}

/* Reordering by two is no loss. */
static void reordering_by_two(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 2);
    TALK(l, "< A 1 ack 3001\n"
            "< A 1 ack 10001\n"
            "? retransmits 0\n"
            "? cwnd 20000");
    lab_end(l);
}

/* The retransmission is lost too: the timeout repeats it, and duplicates of before it do not start another
 * fast retransmit (RFC 6582 3.2 step 1, 4). */
static void retransmission_lost(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 9);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "+any > A 1:1001(1000) ack 1\n"
            "? timeouts 1\n"
            "? cwnd 1000\n"
            "< A 1 ack 10001\n"
            "< A 1 ack 10001\n"
            "< A 1 ack 10001\n"
            "< A 1 ack 10001\n"
            "? timeouts 1\n"
            "+100s > none");
    lab_end(l);
}

/* FIELD 37 and RFC 9293 3.4: a FIN alone counts as one in flight: three segments sent after a hole with the
 * FIN among them. */
static void fin_in_recovery(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 4000\n"
            "shutdown\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 1001:2001(1000) ack 1\n"
            "> A 2001:3001(1000) ack 1\n"
            "> PA 3001:4001(1000) ack 1\n"
            "> FA 4001 ack 1\n"
            "< A 1 ack 1\n"
            "< A 1 ack 1\n"
            "< A 1 ack 1\n"
            "> A 1:1001(1000) ack 1\n"
            "< A 1 ack 4002\n"
            "= FIN_WAIT_2");
    lab_end(l);
}

/* RFC5681-3.2-k: more duplicates than segments in flight are a peer's lie. They inflate the window by as many
 * as were outstanding: 5 + 10 - 10 may go, whatever else it claims. */
static void more_duplicates_than_segments(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 50);
    TALK(l, "> A 1:1001(1000) ack 1\n"
            "> none\n"
            "send 50000");
    for (int i = 0; i < 5; i++)
        TALKF(l, "> A %d:%d(1000) ack 1", 10001 + i * 1000, 11001 + i * 1000);
    TALK(l, "> none");
    lab_end(l);
}

/* RFC6675-5-bc, RFC 5681 3.2: an ACK of new data makes the count of duplicates begin anew: twice two of them
 * are no loss. */
static void count_begins_anew(void **state)
{
    struct lab *l = ten_in_flight(state, 10000);
    duplicates(l, 2);
    TALK(l, "< A 1 ack 2001\n"
            "< A 1 ack 2001\n"
            "< A 1 ack 2001\n"
            "> none\n"
            "? fast_retransmits 0\n"
            "< A 1 ack 2001\n"
            "> A 2001:3001(1000) ack 1");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(third_duplicate),   LAB_TEST(window_during_recovery), LAB_TEST(partial_ack),
        LAB_TEST(one_reduction),     LAB_TEST(limited_transmit_ends),  LAB_TEST(what_is_no_duplicate),
        LAB_TEST(reordering_by_two), LAB_TEST(retransmission_lost),    LAB_TEST(fin_in_recovery),
        LAB_TEST(more_duplicates_than_segments),
        LAB_TEST(count_begins_anew),
    };
    return LAB_MAIN(tests);
}
