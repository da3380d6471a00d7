/* Selective acknowledgment: what tern reports (RFC 2018), and what it does with reports (RFC 6675). */
#include "lab/lab.h"

/* --- sent --- */

/* RFC 2018 4: the first block holds the segment that came last, the others repeat what was reported last;
 * four fit. (RFC2018-4-fgh, RFC2018-8-c) */
static void newest_block_first(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    TALK(l, "< PA 201:301(100) ack 1\n"
            "> A 1 ack 1 <sack 201:301>\n"
            "< PA 401:501(100) ack 1\n"
            "> A 1 ack 1 <sack 401:501 201:301>\n"
            "< PA 601:701(100) ack 1\n"
            "> A 1 ack 1 <sack 601:701 401:501 201:301>\n"
            "< PA 801:901(100) ack 1\n"
            "> A 1 ack 1 <sack 801:901 601:701 401:501 201:301>\n"
            "< PA 1001:1101(100) ack 1\n"
            "> A 1 ack 1 <sack 1001:1101 801:901 601:701 401:501>\n"
            "< PA 301:401(100) ack 1\n"
            "> A 1 ack 1 <sack 201:501 1001:1101 801:901 601:701>\n"
            "? recv_ooo 600");
    lab_end(l);
}

/* Filling the first hole: acknowledged at once (RFC 5681 4.2), the rest is still reported. (RFC2018-4-d,
 * RFC2018-8-c) */
static void filling_holes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    TALK(l, "< PA 201:301(100) ack 1\n"
            "> A 1 ack 1 <sack 201:301>\n"
            "< PA 401:501(100) ack 1\n"
            "> A 1 ack 1 <sack 401:501 201:301>\n"
            "< PA 1:201(200) ack 1\n"
            "> A 1 ack 301 <sack 401:501>\n"
            "< PA 301:401(100) ack 1\n"
            "> A 1 ack 501 <>\n"
            "recv 1000 -> 500");
    lab_end(l);
}

/* With timestamps only three blocks fit (RFC 2018 3). (RFC2018-3-a) */
static void three_blocks_beside_timestamps(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK,ts");
    TALK(l, "< PA 201:301(100) ack 1\n"
            "> A 1 ack 1 <ts,sack 201:301>\n"
            "< PA 401:501(100) ack 1\n"
            "> A 1 ack 1 <ts,sack 401:501 201:301>\n"
            "< PA 601:701(100) ack 1\n"
            "> A 1 ack 1 <ts,sack 601:701 401:501 201:301>\n"
            "< PA 801:901(100) ack 1\n"
            "> A 1 ack 1 <ts,sack 801:901 601:701 401:501>");
    lab_end(l);
}

/* Data that tern sends meanwhile carries the report too, and no segment grows beyond the MTU by it.
 * (RFC2018-4-bd) */
static void blocks_on_data(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    TALK(l, "< PA 201:301(100) ack 1\n"
            "> A 1 ack 1 <sack 201:301>\n"
            "send 3000");
    const struct lab_out *o;
    uint32_t sent = 0;
    while ((o = lab_next(l)) != NULL) {
        sent += o->seg.len;
        assert_int_equal(o->seg.opt.n_sack, 1);
    }
    assert_int_equal(sent, 3000);
    lab_end(l);
}

/* Not agreed: not sent, and each out-of-order segment draws a duplicate ACK of its own, also within a batch
 * (RFC 5681 4.2). (RFC2018-4-c) */
static void without_sack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "<+ PA 201:301(100) ack 1\n"
            "<+ PA 301:401(100) ack 1\n"
            "< PA 501:601(100) ack 1\n"
            "> A 1 ack 1 <>\n"
            "> A 1 ack 1 <>\n"
            "> A 1 ack 1 <>\n"
            "> none");
    lab_end(l);
}

/* --- used --- */

static struct lab *ten_in_flight(void **state, const char *opts, size_t queued)
{
    struct lab *l = lab_new(state, NULL);
    TALKF(l,
          "connect\n"
          "> S 0\n"
          "+20ms < SA 0 ack 1 win 65535 <%s>\n"
          "> A 1 ack 1\n"
          "send %zu",
          opts, queued);
    for (int i = 0; i < 10; i++)
        TALKF(l, "> A %d:%d(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
    TALK(l, "+20ms > none");
    return l;
}

/* RFC 6675 5 (1): three segments above the hole. (RFC6675-4-fk, RFC6675-5-dfh, RFC2018-5.1-a,
 * RFC5681-4.3-abc) */
static void one_hole(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 1 <sack 1001:2001>\n"
            "< A 1 ack 1 <sack 1001:3001>\n"
            "> none\n"
            "< A 1 ack 1 <sack 1001:4001>\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "< A 1 ack 10001\n"
            "? cwnd 5000\n"
            "? timeouts 0\n"
            "+100s > none");
    lab_end(l);
}

/* RFC 6675 5 (2): one ACK that shows more than two segments above the hole is enough (other ACKs were lost).
 (RFC6675-4-c, RFC6675-5-ad) */
static void one_ack_is_enough(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 1 <sack 1001:4001>\n"
            "> A 1:1001(1000) ack 1\n"
            "? fast_retransmits 1");
    lab_end(l);
}

/* RFC 6675 5, C: what is sent is ruled by the pipe; holes first, then new data. Segments 1 and 3 are lost.
 * (RFC6675-4-adefg, RFC6675-5-efgjklm) */
static void two_holes(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 20000);
    TALK(l, "< A 1 ack 1 <sack 1001:2001>\n"
            "> A 10001:11001(1000) ack 1\n"
            "+1ms < A 1 ack 1 <sack 3001:4001 1001:2001>\n"
            "> A 11001:12001(1000) ack 1\n"
            "+1ms < A 1 ack 1 <sack 3001:5001 1001:2001>\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "+1ms < A 1 ack 1 <sack 3001:6001 1001:2001>\n"
            "+1ms < A 1 ack 1 <sack 3001:7001 1001:2001>\n"
            "+1ms < A 1 ack 1 <sack 3001:8001 1001:2001>\n"
            "> none\n"
            "+1ms < A 1 ack 1 <sack 3001:9001 1001:2001>\n"
            "> A 2001:3001(1000) ack 1\n"
            "+1ms < A 1 ack 1 <sack 3001:10001 1001:2001>\n"
            "> A 12001:13001(1000) ack 1\n"
            "+13ms < A 1 ack 1 <sack 3001:11001 1001:2001>\n"
            "> A 13001:14001(1000) ack 1\n"
            "+1ms < A 1 ack 1 <sack 3001:12001 1001:2001>\n"
            "> A 14001:15001(1000) ack 1\n"
            "+1ms < A 1 ack 2001 <sack 3001:12001>\n"
            "> A 15001:16001(1000) ack 1\n"
            "+4ms < A 1 ack 12001\n"
            "> A 16001:17001(1000) ack 1\n"
            "> none\n"
            "? cwnd 5000\n"
            "? retransmits 2\n"
            "? timeouts 0");
    lab_end(l);
}

/* With a round trip of 20 ms and `n` bytes in flight, all forgotten. */
static struct lab *far_peer(void **state, int n)
{
    struct lab *l = lab_new(state, NULL);
    TALKF(l,
          "connect\n"
          "> S 0\n"
          "+20ms < SA 0 ack 1 win 65535 <mss 1000,sackOK>\n"
          "> A 1 ack 1\n"
          "send %d",
          n);
    lab_forget(l);
    return l;
}

/* RFC5681-4.3-d, RFC 8985 9.3: a retransmission that is lost as well reduces the window a second time; two
 * of one round do so once. Segments 1 to 3 are lost, and again the first and the third. */
static void lost_again(void **state)
{
    struct lab *l = far_peer(state, 30000);
    TALK(l, "+20ms < A 1 ack 1 <sack 3001:6001>\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "+1ms < A 1 ack 1 <sack 3001:7001>\n"
            "> A 1001:2001(1000) ack 1\n"
            "+1ms < A 1 ack 1 <sack 3001:9001>\n"
            "> A 2001:3001(1000) ack 1\n"
            "> A 10001:11001(1000) ack 1\n"
            "+1ms < A 1 ack 1 <sack 3001:10001>\n"
            "> A 11001:12001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "? cwnd 5000\n"
            "+18ms < A 1 ack 1 <sack 1001:2001 3001:10001>\n"
            "? ssthresh 2500\n"
            "? cwnd 2500\n"
            "> none\n"
            "+1ms < A 1 ack 1 <sack 3001:11001 1001:2001>\n"
            "> A 1:1001(1000) ack 1\n"
            "> none\n"
            "+1ms < A 1 ack 1 <sack 3001:12001 1001:2001>\n"
            "> A 2001:3001(1000) ack 1\n"
            "? ssthresh 2500\n"
            "+20ms < A 1 ack 12001\n"
            "? cwnd 2500\n"
            "? timeouts 0");
    lab_forget(l);
    lab_end(l);
}

/* RFC6675-4-ijk, RFC6675-5-l: segments 1, 2 and 10 are lost and there is no new data. Nothing can tell of the
 * last one; once the recovery has repaired more than its first segment, it is sent again, once. */
static void rescue(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 1 <sack 2001:5001>\n"
            "> A 1:1001(1000) ack 1\n"
            "< A 1 ack 1 <sack 2001:9001>\n"
            "> A 1001:2001(1000) ack 1\n"
            "< A 1 ack 1001 <sack 2001:9001>\n"
            "> none\n"
            "< A 1 ack 9001\n"
            "> PA 9001:10001(1000) ack 1\n"
            "+50ms > none\n"
            "< A 1 ack 10001\n"
            "? timeouts 0\n"
            "? retransmits 3");
    lab_end(l);
}

/* What was sent as full segments is repeated while the peer's own data has a hole: the SACK blocks take room,
 * so a segment becomes two packets; none is larger than the MTU (audit A2), and all bytes come. */
static void repeated_with_blocks(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460,sackOK");
    TALK(l, "send 7300\n"
            "forget\n"
            "< PA 101:201(100) ack 1 <sack 1461:2921>\n"
            "forget\n"
            "< A 201 ack 1 <sack 1461:4381>\n"
            "< A 201 ack 1 <sack 1461:5841>\n"
            "< A 201 ack 1 <sack 1461:7301>");
    uint32_t end = 1;
    for (int i = 0; i < 5 && end < 1461; i++) {
        const struct lab_out *o;
        while ((o = lab_next(l)) != NULL)
            if (o->seg.len > 0 && o->seg.seq.v - l->flow[0].iss == end) {
                assert_int_equal(o->seg.opt.n_sack, 1);
                assert_int_equal(o->gso_size, 0);
                end += o->seg.len;
            }
        TALKF(l, "< A 201 ack %u <sack 1461:7301>", end);
    }
    assert_int_equal(end, 1461);
    TALK(l, "< A 201 ack 7301\n"
            "? timeouts 0");
    lab_forget(l);
    lab_end(l);
}

/* What was SACKed is not sent again. (RFC2018-5-a, RFC6675-4-f) */
static void sacked_is_not_repeated(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 1 <sack 1001:10001>\n"
            "> A 1:1001(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "+100s > none\n"
            "? retransmits 1");
    lab_end(l);
}

/* RFC 2018 8: after a timeout the reports count for nothing, because the receiver may have dropped what it
 * had. (RFC2018-5-bc, RFC2018-5.1-b, RFC2018-8-d, RFC6675-4-b) */
static void reneging(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 1 <sack 1001:10001>\n"
            "> A 1:1001(1000) ack 1\n"
            "+any > A 1:1001(1000) ack 1\n"
            "? timeouts 1\n"
            "< A 1 ack 1001\n"
            "> A 1001:2001(1000) ack 1");
    lab_forget(l);
    TALK(l, "< A 1 ack 10001\n"
            "+100s > none");
    lab_end(l);
}

/* Blocks that cannot be: beyond what was sent, below what was acknowledged, backward, empty. Nothing happens.
 */
static void impossible_blocks(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 1001\n"
            "< A 1 ack 1001 <sack 20001:30001>\n"
            "< A 1 ack 1001 <sack -9000:-5000>\n"
            "< A 1 ack 1001 <sack 5001:3001>\n"
            "< A 1 ack 1001 <sack 5001:5001>\n"
            "< A 1 ack 1001 <sack 9001:20001>\n"
            "< A 1 ack 1001 <sack -1000000000:1000000000>\n"
            "> none\n"
            "? fast_retransmits 0\n"
            "< A 1 ack 10001\n"
            "? retransmits 0\n"
            "+100s > none");
    lab_end(l);
}

/* Blocks that were not agreed are not looked at. */
static void blocks_not_agreed(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000", 10000);
    TALK(l, "< A 1 ack 1 <sack 1001:10001>\n"
            "> none\n"
            "? sack 0");
    lab_end(l);
}

/* RFC 2883: a first block that was acknowledged already reports a duplicate; it is no new loss. */
static void duplicate_sack(void **state)
{
    struct lab *l = ten_in_flight(state, "mss 1000,sackOK", 10000);
    TALK(l, "< A 1 ack 5001\n"
            "< A 1 ack 5001 <sack 1001:2001>\n"
            "< A 1 ack 5001 <sack 2001:3001>\n"
            "< A 1 ack 5001 <sack 3001:4001>\n"
            "> none\n"
            "? fast_retransmits 0");
    lab_end(l);
}

/* RFC6675-4-h: segment 3 is not lost by number, but the peer waits below what it has SACKed, and what it has
 * was sent later (RFC 8985 6.2): it is sent again with the first. */
static void below_the_highest(void **state)
{
    struct lab *l = far_peer(state, 5000);
    TALK(l, "+20ms < A 1 ack 1 <sack 1001:2001>\n"
            "< A 1 ack 1 <sack 3001:4001 1001:2001>\n"
            "> none\n"
            "< A 1 ack 1 <sack 3001:5001 1001:2001>\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 2001:3001(1000) ack 1\n"
            "? cwnd 2500\n"
            "> none\n"
            "+20ms < A 1 ack 5001\n"
            "? retransmits 2\n"
            "? timeouts 0");
    lab_end(l);
}

/* RFC6675-5.1-abcdef: a timeout ends the recovery, and what SACK reports before all is acknowledged that had
 * been sent by then begins no other one: it only says what need not be sent again. */
static void timeout_in_recovery(void **state)
{
    struct lab *l = far_peer(state, 10000);
    TALK(l, "+20ms < A 1 ack 1 <sack 1001:4001>\n"
            "> A 1:1001(1000) ack 1\n"
            "? ssthresh 5000\n"
            "+any > A 1:1001(1000) ack 1\n"
            "? timeouts 1\n"
            "? cwnd 1000\n"
            "? ssthresh 5000\n"
            "+20ms < A 1 ack 4001\n"
            "? cwnd 2000\n"
            "> A 4001:5001(1000) ack 1\n"
            "> A 5001:6001(1000) ack 1\n"
            "+20ms < A 1 ack 5001 <sack 6001:7001>\n"
            "> A 7001:8001(1000) ack 1\n"
            "> A 8001:9001(1000) ack 1\n"
            "< A 1 ack 5001 <sack 6001:8001>\n"
            "> PA 9001:10001(1000) ack 1\n"
            "< A 1 ack 5001 <sack 6001:9001>\n"
            "? ssthresh 5000\n"
            "? cwnd 3000\n"
            "> none\n"
            "< A 1 ack 10001\n"
            "? ssthresh 5000\n"
            "? timeouts 1");
    lab_end(l);
}

/* What the peer holds is one record for each run, however many segments it came in and in whatever order they
 * were reported: an ACK's work does not grow with the flight. */
static void one_record_a_run(void **state)
{
    static const struct {
        int left, right;
        uint32_t records; /* in flight afterwards */
    } said[] = {
        {1001, 2001, 10}, {3001, 4001, 10}, {5001, 6001, 10}, {2001, 3001, 8}, {4001, 5001, 6},
        {9001, 10001, 6}, {8001, 9001, 5},  {7001, 8001, 4},  {6001, 7001, 2},
    };
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1000,sackOK");
    TALK(l, "send 10000");
    lab_forget(l);
    assert_int_equal(lab_live(l).sendrecs, 10);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        TALKF(l, "< A 1 ack 1 <sack %d:%d>", said[i].left, said[i].right);
        assert_int_equal(lab_live(l).sendrecs, said[i].records);
    }
    lab_forget(l);
    TALK(l, "< A 1 ack 10001\n"
            "? send_queue 0");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(newest_block_first),
        LAB_TEST(filling_holes),
        LAB_TEST(three_blocks_beside_timestamps),
        LAB_TEST(blocks_on_data),
        LAB_TEST(without_sack),
        LAB_TEST(one_hole),
        LAB_TEST(one_ack_is_enough),
        LAB_TEST(two_holes),
        LAB_TEST(lost_again),
        LAB_TEST(rescue),
        LAB_TEST(repeated_with_blocks),
        LAB_TEST(sacked_is_not_repeated),
        LAB_TEST(reneging),
        LAB_TEST(impossible_blocks),
        LAB_TEST(blocks_not_agreed),
        LAB_TEST(duplicate_sack),
        LAB_TEST(below_the_highest),
        LAB_TEST(timeout_in_recovery),
        LAB_TEST(one_record_a_run),
    };
    return LAB_MAIN(tests);
}
