/* What a connection keeps through a rest, and what keeps it from resting (src/tcp/idle.c). */
#include "lab/lab.h"

/* RFC5961-7-a: a rest neither renews the ration of challenge ACKs nor uses it up. */
static void ration_through_rest(void **state)
{
    struct lab_config soon = {.stack = {.rest_ms = 10}};
    struct lab *l = lab_new(state, &soon);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    TALK(l, "< R 100\n"
            "> A 1 ack 1\n"
            "+2s < R 100\n"
            "> A 1 ack 1");
    for (int i = 0; i < 8; i++)
        TALKF(l, "< R %d\n> A 1 ack 1", 100 + i);
    TALK(l, "+2s < R 100\n"
            "> none\n"
            "+4s < R 100\n"
            "> A 1 ack 1");
    lab_end(l);
}

/* MUST-17: what the program asked for holds after a rest: two small segments leave at once. */
static void nodelay_through_rest(void **state)
{
    struct lab_config soon = {.stack = {.rest_ms = 10}};
    struct lab *l = lab_new(state, &soon);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    TALK(l, "opt nodelay 1\n"
            "+10s > none");
    assert_int_equal(lab_live(l).asleep, 1);
    TALK(l, "send 10\n"
            "> PA 1:11(10) ack 1\n"
            "send 10\n"
            "> PA 11:21(10) ack 1");
    lab_end(l);
}

/* MUST-40: who owes a delayed ACK does not rest before it has left. */
static void no_rest_before_the_ack(void **state)
{
    struct lab_config soon = {.stack = {.rest_ms = 10, .delack_us = 400 * MS}};
    struct lab *l = lab_new(state, &soon);
    lab_accept(l, "mss 1460");
    for (int i = 0; i < 8; i++) /* acknowledged at once: the first of a connection */
        TALKF(l, "< PA %d:%d(1460) ack 1\nforget", 1 + i * 1460, 1461 + i * 1460);
    TALK(l, "recv 20000 -> 11680\n"
            "forget\n"
            "< PA 11681:11691(10) ack 1\n"
            "recv 20 -> 10");
    lab_events(l, 0);
    TALK(l, "+390ms > none\n"
            "+0..20ms > A 1 ack 11691");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(ration_through_rest),
        LAB_TEST(nodelay_through_rest),
        LAB_TEST(no_rest_before_the_ack),
    };
    return LAB_MAIN(tests);
}
