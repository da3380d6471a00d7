/* When an acknowledgment leaves, after the first segments of a connection, which are acknowledged at once:
 * RFC 9293 3.8.6.3, RFC 5681 4.2. */
#include "lab/lab.h"

/* A connection whose first eight segments have come and been read. Returns the next number of the peer. */
static struct lab *past_the_quick(void **state, const char *options)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, options);
    for (int i = 0; i < 8; i++) {
        TALKF(l, "< PA %d:%d(1460) ack 1", 1 + i * 1460, 1461 + i * 1460);
        lab_forget(l);
    }
    TALK(l, "recv 20000 -> 11680\n"
            "+1s > none");
    lab_forget(l);
    return l;
}

#define AT 11681 /* the peer's next number there */

/* SHLD-18, MUST-40, RFC5681-4.2-a, RFC5681-4.2-d: one segment waits for another, or for a while (40 ms by
 * default). The time runs from the first that is not acknowledged: more small ones do not put it off. */
static void from_the_first(void **state)
{
    struct lab *l = past_the_quick(state, "mss 1460");
    TALKF(l, "< PA %d:%d(10) ack 1", AT, AT + 10);
    TALK(l, "> none");
    TALKF(l, "+30ms < PA %d:%d(10) ack 1", AT + 10, AT + 20);
    TALKF(l, "+10ms > A 1 ack %d", AT + 20);
    TALK(l, "+1s > none");
    lab_end(l);
}

/* SHLD-19, RFC5681-4.2-c: the second full-sized segment is acknowledged at once. */
static void every_second(void **state)
{
    struct lab *l = past_the_quick(state, "mss 1460");
    for (int at = AT; at < AT + 4 * 1460; at += 2 * 1460) {
        TALKF(l, "< A %d:%d(1460) ack 1", at, at + 1460);
        TALK(l, "> none");
        TALKF(l, "< A %d:%d(1460) ack 1", at + 1460, at + 2920);
        TALKF(l, "> A 1 ack %d", at + 2920);
    }
    TALK(l, "+1s > none");
    lab_end(l);
}

/* SHLD-18, RFC5681-4.2-h: what leaves by itself acknowledges too; nothing follows it. */
static void data_carries_it(void **state)
{
    struct lab *l = past_the_quick(state, "mss 1460");
    TALKF(l, "< PA %d:%d(10) ack 1", AT, AT + 10);
    TALK(l, "send 5");
    TALKF(l, "> PA 1:6(5) ack %d", AT + 10);
    TALKF(l, "< A %d ack 6", AT + 10);
    TALK(l, "+1s > none");
    lab_end(l);
}

/* MUST-58, MUST-59: bytes that one ACK has told are not counted for the next. */
static void counted_anew(void **state)
{
    struct lab *l = past_the_quick(state, "mss 1460");
    TALKF(l, "< A %d:%d(1460) ack 1", AT, AT + 1460);
    TALKF(l, "+40ms > A 1 ack %d", AT + 1460);
    TALKF(l, "< A %d:%d(1460) ack 1", AT + 1460, AT + 2920);
    TALK(l, "> none");
    TALKF(l, "+40ms > A 1 ack %d", AT + 2920);
    lab_end(l);
}

/* RFC5681-3.2-b, RFC5681-4.2-g: what fills a gap, or a part of it, is acknowledged at once, also when it is
 * small. */
static void gap_filled(void **state)
{
    struct lab *l = past_the_quick(state, "mss 1460,sackOK");
    TALKF(l, "< PA %d:%d(10) ack 1", AT + 30, AT + 40);
    TALKF(l, "> A 1 ack %d <sack %d:%d>", AT, AT + 30, AT + 40);
    TALKF(l, "< PA %d:%d(10) ack 1", AT, AT + 10);
    TALKF(l, "> A 1 ack %d <sack %d:%d>", AT + 10, AT + 30, AT + 40);
    TALKF(l, "< PA %d:%d(20) ack 1", AT + 10, AT + 30);
    TALKF(l, "> A 1 ack %d", AT + 40);
    TALK(l, "+1s > none");
    lab_end(l);
}

/* MUST-58: with SACK one ACK tells of all that came out of order in one batch; without it each segment draws
 * its own (RFC5681-4.2-f), before any data that waits to be sent. */
static void out_of_order_in_a_batch(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    TALK(l, "<+ A 101:201(100) ack 1\n"
            "<+ A 301:401(100) ack 1\n"
            "< A 501:601(100) ack 1\n"
            "> A 1 ack 1 <sack 501:601 301:401 101:201>\n"
            "> none");
    lab_end(l);
    l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< A 1 ack 1 win 1460\n"
            "send 2000\n"
            "> A 1:1461(1460) ack 1\n"
            "<+ A 101:201(100) ack 1\n"
            "<+ A 301:401(100) ack 1\n"
            "< A 501:601(100) ack 1461\n"
            "> A 1461 ack 1\n"
            "> A 1461 ack 1\n"
            "> A 1461 ack 1\n"
            "> PA 1461:2001(540) ack 1");
    lab_end(l);
}

/* The program may ask that all is acknowledged at once. */
static void quickack(void **state)
{
    struct lab *l = past_the_quick(state, "mss 1460");
    TALK(l, "opt quickack 1");
    TALKF(l, "< PA %d:%d(10) ack 1", AT, AT + 10);
    TALKF(l, "> A 1 ack %d", AT + 10);
    lab_end(l);
}

/* RFC3168-6.1.3-a: a mark does not wait. */
static void marked(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1460>\n"
            "> SAE 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept");
    for (int i = 0; i < 8; i++) {
        TALKF(l, "< PA %d:%d(1460) ack 1 ect0", 1 + i * 1460, 1461 + i * 1460);
        lab_forget(l);
    }
    TALKF(l, "< PA %d:%d(10) ack 1 ce", AT, AT + 10);
    TALKF(l, "> AE 1 ack %d", AT + 10);
    TALKF(l, "< PA %d:%d(10) ack 1 ce", AT + 10, AT + 20);
    TALKF(l, "+40ms > AE 1 ack %d", AT + 20);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(from_the_first), LAB_TEST(every_second),           LAB_TEST(data_carries_it),
        LAB_TEST(counted_anew),   LAB_TEST(gap_filled),             LAB_TEST(out_of_order_in_a_batch),
        LAB_TEST(quickack),       LAB_TEST(marked),
    };
    return LAB_MAIN(tests);
}
