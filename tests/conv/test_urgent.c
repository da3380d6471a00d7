/* Urgent data (RFC 9293 3.8.5, RFC 6093). */
#include "lab/lab.h"

/* MUST-30, MUST-62: the pointer is an offset to the byte after the urgent ones. */
static void sent(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 10 urg\n"
            "> UPA 1:11(10) ack 1 urg 10\n"
            "< A 1 ack 11\n"
            "send 10\n"
            "> PA 11:21(10) ack 1");
    lab_end(l);
}

/* MUST-31: of any length; all segments up to its end say so. */
static void long_urgent_data(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 2500 urg\n"
            "> UA 1:1001(1000) ack 1 urg 2500\n"
            "> UA 1001:2001(1000) ack 1 urg 1500\n"
            "> UPA 2001:2501(500) ack 1 urg 500");
    lab_end(l);
}

/* MUST-31: farther than the field can say: the largest that it can. */
static void beyond_64k(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000,wscale 7");
    TALK(l, "send 100000 urg\n"
            "> UA 1:1001(1000) ack 1 urg 65535\n"
            "> UA 1001:2001(1000) ack 1 urg 65535");
    lab_forget(l);
    for (uint32_t una = 2001; una < 100001;) {
        TALKF(l, "< A 1 ack %u", una);
        const struct lab_out *o;
        while ((o = lab_next(l)) != NULL) {
            uint32_t left = 100001 - (o->seg.seq.v - l->flow[0].iss);
            assert_true(o->seg.flags & F_URG);
            assert_int_equal(o->seg.up, left > 65535 ? 65535 : left);
        }
        una = l->flow[0].snd_max - l->flow[0].iss;
    }
    TALK(l, "< A 1 ack 100001\n"
            "send 10\n"
            "> PA 100001:100011(10) ack 1");
    lab_end(l);
}

/* MUST-32, MUST-33: the program is told, and can ask how much there is; reading past it ends it. */
static void received(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    TALK(l, "< UPA 1:11(10) ack 1 urg 4\n"
            "events URGENT|READABLE\n"
            "? urgent 4\n"
            "recv 3\n"
            "? urgent 1\n"
            "recv 7\n"
            "? urgent 0");
    lab_end(l);
}

/* MUST-32: the pointer may announce bytes that have not come, and when it moves on it is told again. */
static void announced_ahead(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    TALK(l, "< UA 1 ack 1 urg 100\n"
            "events URGENT\n"
            "< UPA 1:11(10) ack 1 urg 100\n"
            "events !URGENT\n"
            "< UPA 11:21(10) ack 1 urg 200\n"
            "events URGENT");
    lab_forget(l);
    lab_end(l);
}

/* An old segment does not move it back. */
static void pointer_does_not_go_back(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< UPA 1:11(10) ack 1 urg 50\n"
            "< UPA 11:61(50) ack 1 urg 1\n"
            "? urgent 50\n"
            "recv 60\n"
            "? urgent 0");
    lab_end(l);
}

/* MUST-66: also while our window is shut. */
static void in_a_shut_window(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 4096}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1024");
    for (int i = 0; i < 4; i++)
        TALKF(l, "< A %d:%d(1024) ack 1\n+200ms forget", 1 + i * 1024, 1025 + i * 1024);
    lab_events(l, 0);
    TALK(l, "< UPA 4097:4098(1) ack 1 urg 1\n"
            "> A 1 ack 4097 win 0\n"
            "events URGENT");
    lab_end(l);
}

/* After the peer's FIN URG means nothing (3.10.7.4 sixth). */
static void after_the_fin(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n");
    lab_events(l, 0);
    TALK(l, "< UA 2 ack 1 urg 5\n"
            "events !URGENT\n"
            "? urgent 0");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(sent),
        LAB_TEST(long_urgent_data),
        LAB_TEST(beyond_64k),
        LAB_TEST(received),
        LAB_TEST(announced_ahead),
        LAB_TEST(pointer_does_not_go_back),
        LAB_TEST(in_a_shut_window),
        LAB_TEST(after_the_fin),
    };
    return LAB_MAIN(tests);
}
