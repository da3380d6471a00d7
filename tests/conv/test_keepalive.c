/* Keepalive and the user timeout (RFC 9293 3.8.4, 3.8.3, 3.10.8). */
#include "lab/lab.h"

/* MUST-25: off unless asked for. */
static void off_at_first(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "+72h > none\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* MAY-5, MUST-24, MUST-28: switched on, the first probe comes after two hours; SHLD-12: no data, SEG.SEQ =
 * SND.NXT-1. */
static void first_probe_after_two_hours(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "opt keepalive 1\n"
            "+7199s > none\n"
            "+0..2s > A 0 ack 1\n"
            "< A 1 ack 1\n"
            "+7199s > none\n"
            "+0..2s > A 0 ack 1");
    lab_end(l);
}

static struct lab *fast_keepalive(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "opt keepidle 10000\n"
            "opt keepintvl 2000\n"
            "opt keepcnt 3\n"
            "opt keepalive 1");
    return l;
}

/* MUST-27: intervals of choice; MUST-29: one unanswered probe kills nothing; three do here, and the program
 * is woken with a reason (FIELD 38). */
static void dead_after_the_last_probe(void **state)
{
    struct lab *l = fast_keepalive(state);
    lab_events(l, 0);
    TALK(l, "+10s > A 0 ack 1\n"
            "+2s > A 0 ack 1\n"
            "= ESTABLISHED\n"
            "+2s > A 0 ack 1\n"
            "= ESTABLISHED\n"
            "recv 10 -> EAGAIN\n"
            "+3s = CLOSED\n"
            "events READABLE|ENDED\n"
            "recv 10 -> ETIMEDOUT\n"
            "? reason KEEPALIVE_FAILED");
    lab_end(l);
}

/* An answer, late as it may be, saves it. */
static void answer_saves_it(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "+10s > A 0 ack 1\n"
            "+2s > A 0 ack 1\n"
            "+1s < A 1 ack 1\n"
            "+10s > A 0 ack 1\n"
            "< A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* MUST-26: so is an answer whose number is the edge of our window: the peer has filled it, and all was
 * lost. */
static void answer_from_the_edge(void **state)
{
    struct lab *l = fast_keepalive(state);
    for (int i = 0; i < 4; i++)
        TALK(l, "+10s > A 0 ack 1\n"
                "< A 65536 ack 1\n"
                "> A 1 ack 1 win 65535\n"
                "+9s > none\n"
                "= ESTABLISHED\n"
                "< A 1 ack 1");
    lab_end(l);
}

/* MUST-26: only when nothing came for the interval, and nothing of ours is unacknowledged. */
static void not_while_busy(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "+8s < PA 1:11(10) ack 1\n"
            "+0..500ms > A 1 ack 11\n"
            "+9s > none\n"
            "send 10\n"
            "> PA 1:11(10) ack 11");
    for (int i = 0; i < 5; i++) { /* what comes is the data again, not a probe */
        lab_run_until(l, l->now + 100 * SEC, true);
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        assert_int_equal(o->seg.len, 10);
    }
    lab_end(l);
}

/* The peer has forgotten the connection: its RST ends it. */
static void peer_has_forgotten(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "+10s > A 0 ack 1\n"
            "< R 1\n"
            "= CLOSED\n"
            "recv 1 -> ECONNRESET");
    lab_end(l);
}

/* Switched off again (MUST-24). */
static void off_again(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "+5s opt keepalive 0\n"
            "+72h > none\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* In FIN_WAIT_2 and CLOSE_WAIT too the peer may vanish. */
static void other_states(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "< FA 1 ack 1\n"
            "> A 1 ack 2\n"
            "+10s > A 0 ack 2\n"
            "+2s > A 0 ack 2\n"
            "+2s > A 0 ack 2\n"
            "+3s = CLOSED\n"
            "? reason KEEPALIVE_FAILED");
    lab_end(l);
}

/* tern as the one that is probed: it answers (3.10.7.4 first). With a byte of garbage (MAY-6 of the peer)
 * too. */
static void answers_probes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< A 0 ack 1\n"
            "> A 1 ack 1\n"
            "< A 0:1(1) ack 1\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* 3.10.8, MUST-20, MUST-21: the user timeout of a connection, from the data on; not when the next
 * retransmission, which is twice as far away, would be due. */
static void user_timeout(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "opt user_timeout 30000\n"
            "+100s = ESTABLISHED\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+29900ms = ESTABLISHED");
    lab_run(l, 200 * MS);
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "? reason USER_TIMEOUT\n"
            "send 1 -> ETIMEDOUT");
    lab_end(l);
}

/* Progress starts it anew. */
static void user_timeout_progress(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "opt user_timeout 30000\n"
            "send 3000\n"
            "+20s < A 1 ack 1001\n"
            "+20s < A 1 ack 2001\n"
            "+20s = ESTABLISHED\n"
            "< A 1 ack 3001\n"
            "forget\n"
            "+100s > none\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* MUST-21: unlimited is a choice. */
static void never_give_up(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "opt user_timeout 4294967295\n"
            "send 100\n"
            "+100h = ESTABLISHED\n"
            "forget\n"
            "< A 1 ack 101\n"
            "+1h > none");
    lab_end(l);
}

/* FIELD 16: the window shut for an hour and the peer alive: kept. Then it is dead: ended by the user timeout.
 */
static void shut_window_and_user_timeout(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "opt user_timeout 60000\n"
            "< A 1 ack 1 win 0\n"
            "send 1000");
    uint64_t end = l->now + 3600 * SEC;
    while (l->now < end) {
        lab_run_until(l, end, true);
        if (lab_next(l))
            TALK(l, "< A 1 ack 1 win 0\n= ESTABLISHED");
    }
    lab_run(l, 400 * SEC);
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "recv 1 -> ETIMEDOUT");
    lab_end(l);
}

/* MUST-26: what is refused is no sign of life: it does not put the next probe off. */
static void rubbish_is_no_sign(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "+5s < A 1000000 ack 1\n"
            "> A 1 ack 1\n"
            "+4s < A 1 ack 1000000\n"
            "> A 1 ack 1\n"
            "+1s > A 0 ack 1");
    lab_end(l);
}

/* A FIN with text that was received before is no segment that was refused (MUST-26). */
static void fin_again_with_text(void **state)
{
    struct lab *l = fast_keepalive(state);
    TALK(l, "< PA 1:11(10) ack 1\n"
            "> A 1 ack 11\n"
            "+9s < FPA 1:11(10) ack 1\n"
            "> A 1 ack 12\n"
            "= CLOSE_WAIT\n"
            "+9s > none\n"
            "+0..2s > A 0 ack 12");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(off_at_first),
        LAB_TEST(first_probe_after_two_hours),
        LAB_TEST(dead_after_the_last_probe),
        LAB_TEST(answer_saves_it),
        LAB_TEST(answer_from_the_edge),
        LAB_TEST(not_while_busy),
        LAB_TEST(peer_has_forgotten),
        LAB_TEST(off_again),
        LAB_TEST(other_states),
        LAB_TEST(answers_probes),
        LAB_TEST(user_timeout),
        LAB_TEST(user_timeout_progress),
        LAB_TEST(never_give_up),
        LAB_TEST(shut_window_and_user_timeout),
        LAB_TEST(rubbish_is_no_sign),
        LAB_TEST(fin_again_with_text),
    };
    return LAB_MAIN(tests);
}
