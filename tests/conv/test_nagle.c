/* When data leaves: Nagle in Minshall's form, PSH, and the sender's silly-window avoidance (RFC
 * 9293 3.7.4, 3.8.6.2.1). */
#include "lab/lab.h"

/* SHLD-7: a small segment waits while another small one is unacknowledged; then what has gathered leaves as
 * one. */
static void small_waits_for_small(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "send 100\n"
            "send 100\n"
            "send 50\n"
            "> none\n"
            "< A 1 ack 101\n"
            "> PA 101:351(250) ack 1");
    lab_end(l);
}

/* A full segment never waits; what is left over does. */
static void full_does_not_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "send 1500\n"
            "> A 101:1101(1000) ack 1\n"
            "> none\n"
            "< A 1 ack 101\n"
            "> PA 1101:1601(500) ack 1");
    lab_end(l);
}

/* Minshall: behind full segments a small one leaves at once, so a reply's last piece does not wait for a
 * delayed ACK. */
static void minshall(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 2500\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 1001:2001(1000) ack 1\n"
            "> PA 2001:2501(500) ack 1\n"
            "send 100\n"
            "> none\n"
            "< A 1 ack 2001\n"
            "> none\n"
            "< A 1 ack 2501\n"
            "> PA 2501:2601(100) ack 1");
    lab_end(l);
}

/* MUST-17: off for a connection. */
static void nodelay(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "opt nodelay 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "send 100\n"
            "> PA 101:201(100) ack 1\n"
            "send 1\n"
            "> PA 201:202(1) ack 1");
    lab_end(l);
}

/* Switching it off lets go what waits. */
static void nodelay_lets_go(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "send 100\n"
            "> none\n"
            "opt nodelay 1\n"
            "> PA 101:201(100) ack 1");
    lab_end(l);
}

/* MAY-16: more is coming, says the program: pieces are joined, and the next send without it lets them go. */
static void more(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100 more\n"
            "send 200 more\n"
            "> none\n"
            "send 1500 more\n"
            "> A 1:1461(1460) ack 1\n"
            "> none\n"
            "send 10\n"
            "> PA 1461:1811(350) ack 1");
    lab_end(l);
}

/* MUST-60: the program promised more and sends none: what it gave leaves after a while all the same. */
static void more_that_never_comes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100 more\n"
            "> none\n"
            "+100..1000ms > PA 1:101(100) ack 1\n"
            "> none");
    lab_end(l);
}

/* The close ends the waiting. */
static void close_lets_go(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "send 100\n"
            "> none\n"
            "shutdown\n"
            "> FPA 101:201(100) ack 1");
    lab_end(l);
}

/* MUST-61: PSH stands on the segment that empties the queue. */
static void psh_on_the_last(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 3000\n"
            "> Ap 1:1001(1000) ack 1\n"
            "> Ap 1001:2001(1000) ack 1\n"
            "> PA 2001:3001(1000) ack 1");
    lab_end(l);
}

/* SHLD-28: what was small when it was queued leaves in full segments when it could not leave before. SHLD-27:
 * thirty sends, each of which was pushed, and one PSH. */
static void largest_segments(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0");
    for (int i = 0; i < 30; i++)
        TALK(l, "send 100");
    TALK(l, "< SA 0 ack 1 win 65535 <mss 1000>\n"
            "> Ap 1:1001(1000) ack 1\n"
            "> Ap 1001:2001(1000) ack 1\n"
            "> PA 2001:3001(1000) ack 1");
    lab_end(l);
}

/* MUST-38 (3.8.6.2.1): a small opening of the window is not used at once, but after the override, 0.1 to 1 s.
 */
static void small_opening(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< A 1 ack 1 win 5840\n"
            "send 10000\n"
            "> A 1:1461(1460) ack 1\n"
            "> A 1461:2921(1460) ack 1\n"
            "> A 2921:4381(1460) ack 1\n"
            "> A 4381:5841(1460) ack 1\n"
            "< A 1 ack 5841 win 500\n"
            "> none\n"
            "+100..1000ms > A 5841:6341(500) ack 1\n"
            "> none");
    lab_end(l);
}

/* Rule 3: half of the largest window that the peer ever offered is enough. */
static void half_of_the_largest_window(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "< SA 0 ack 1 win 800 <mss 1460>\n"
            "> A 1 ack 1\n"
            "send 4000\n"
            "> A 1:801(800) ack 1\n"
            "< A 1 ack 801 win 500\n"
            "> A 801:1301(500) ack 1\n"
            "< A 1 ack 1301 win 800\n"
            "> A 1301:2101(800) ack 1");
    lab_end(l);
}

/* MAY-16: a program that has more than the buffer takes has the rest of a segment ready as soon as an ACK
 * makes room; until then what does not fill one stays, for as long as an ACK is sure to come at once. */
static void full_buffer_ends_with_a_whole_segment(void **state)
{
    struct lab_config cfg = {.stack.send_buffer = 6500};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1000");
    TALK(l, "send 9000 -> 6500\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 1001:2001(1000) ack 1\n"
            "> A 2001:3001(1000) ack 1\n"
            "> A 3001:4001(1000) ack 1\n"
            "> A 4001:5001(1000) ack 1\n"
            "> A 5001:6001(1000) ack 1\n"
            "> none\n"
            "< A 1 ack 2001\n"
            "> PA 6001:6501(500) ack 1\n"
            "send 2500 -> 2000\n"
            "> A 6501:7501(1000) ack 1\n"
            "> A 7501:8501(1000) ack 1\n"
            "> none\n"
            "< A 1 ack 8501\n"
            "send 7000 -> 6500\n"
            "> A 8501:9501(1000) ack 1\n"
            "> A 9501:10501(1000) ack 1\n"
            "> A 10501:11501(1000) ack 1\n"
            "> A 11501:12501(1000) ack 1\n"
            "> A 12501:13501(1000) ack 1\n"
            "> A 13501:14501(1000) ack 1\n"
            "> none\n"
            "shutdown\n"
            "> PFA 14501:15001(500) ack 1");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(small_waits_for_small),
        LAB_TEST(full_does_not_wait),
        LAB_TEST(minshall),
        LAB_TEST(nodelay),
        LAB_TEST(nodelay_lets_go),
        LAB_TEST(more),
        LAB_TEST(more_that_never_comes),
        LAB_TEST(close_lets_go),
        LAB_TEST(psh_on_the_last),
        LAB_TEST(largest_segments),
        LAB_TEST(small_opening),
        LAB_TEST(half_of_the_largest_window),
        LAB_TEST(full_buffer_ends_with_a_whole_segment),
    };
    return LAB_MAIN(tests);
}
