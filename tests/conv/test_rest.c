/* What a connection keeps through a rest, and what keeps it from resting (src/tcp/idle.c). */
#include "lab/lab.h"

#include "tcp/tcp.h"

static bool asleep(struct lab *l) { return lab_live(l).asleep == 1; }

static struct tcb *tcb_of(struct lab *l)
{
    ref_t r = 0;
    assert_true(pool_next(l->t->a, &l->t->w->tcbs, &r));
    return tcb_at(l->t, r);
}

static uint32_t cwnd_of(struct lab *l)
{
    tern_info i;
    assert_true(lab_info(l, 0, &i));
    return i.cwnd;
}

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

/* Who was at rest for long goes back to it as soon as all is said; who is woken again soon stays awake, until
 * the timer lays it to rest. */
static void interrupted(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    lab_run(l, 5 * SEC);
    assert_true(asleep(l));
    TALK(l, "< PA 1:2(1) ack 1\n"
            "> A 1 ack 2");
    assert_false(asleep(l)); /* unread, and the program has not been told */
    lab_events(l, TERN_READABLE);
    assert_false(asleep(l));
    TALK(l, "recv 1");
    assert_true(asleep(l));
    TALK(l, "+20ms < PA 2:3(1) ack 1\n"
            "> A 1 ack 3\n"
            "recv 1");
    lab_events(l, TERN_READABLE);
    assert_false(asleep(l));
    TALK(l, "+900ms > none");
    assert_false(asleep(l));
    TALK(l, "+200ms > none");
    assert_true(asleep(l));
    lab_end(l);
}

/* Bytes of our own: awake while they are in flight, back with their ACK. The congestion window is the same as
 * if it had stayed awake: it restarts with what is sent after a timeout, not before (RFC 5681 4.1). */
static void interrupted_by_a_call(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    lab_run(l, 5 * SEC);
    TALK(l, "send 14600\n"
            "forget\n"
            "+20ms > none");
    assert_false(asleep(l));
    TALK(l, "< A 1 ack 14601\n"
            "> none");
    assert_true(asleep(l));
    assert_int_equal(cwnd_of(l), 18 * 1460); /* slow start: 8 segments for one ACK (RFC 9406 4.2) */
    TALK(l, "+20ms send 1460\n"
            "> PA 14601:16061(1460) ack 1");
    assert_int_equal(cwnd_of(l), 18 * 1460);
    lab_end(l);
}

/* What only time makes worthless keeps it awake until the time has come. */
static void something_fresh(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    for (int i = 0; i < 5; i++) {
        struct lab *l = lab_new(state, &cfg);
        lab_accept(l, "mss 1460");
        lab_events(l, 0);
        lab_run(l, 5 * SEC);
        TALK(l, "< PA 1:2(1) ack 1\n"
                "> A 1 ack 2");
        lab_events(l, TERN_READABLE);
        struct tcb *c = tcb_of(l);
        switch (i) {
        case 0: break;
        case 1: c->rec.recover = c->rec.cwr_point = c->snd.una; c->rec.recover_valid = true; break;
        case 2: c->undo = (struct undo){.valid = true, .marker = c->snd.una}; break;
        case 3: c->cc.acked = 1; break;
        case 4: c->rack.round = c->snd.una; c->rack.round_valid = true; break;
        }
        TALK(l, "recv 1");
        assert_int_equal(asleep(l), i == 0);
        TALK(l, "+1100ms > none");
        assert_true(asleep(l));
        lab_end(l);
    }
}

static void second_connection(struct lab *l)
{
    TALK(l, "1 < S 0 win 65535 <mss 1460>\n"
            "1 > SA 0 ack 1\n"
            "1 < A 1 ack 1\n"
            "1 accept");
    lab_events(l, 0);
}

/* A rest that is interrupted by the connection's last segment, or by its last but one. */
static void interrupted_by_the_end(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    for (int i = 0; i < 3; i++) {
        struct lab *l = lab_new(state, &cfg);
        lab_accept(l, "mss 1460");
        lab_events(l, 0);
        if (i > 0)
            TALK(l, "shutdown\n"
                    "> FA 1 ack 1\n"
                    "< A 1 ack 2");
        lab_events(l, 0);
        lab_run(l, 5 * SEC);
        assert_true(asleep(l));
        if (i == 0)
            TALK(l, "< R 1\n"
                    "> none\n"
                    "= CLOSED\n"
                    "< A 1 ack 1\n"
                    "> R 1");
        else
            TALK(l, "< FA 1 ack 2\n"
                    "> A 2 ack 2\n"
                    "= TIME_WAIT");
        if (i == 2)
            TALK(l, "close");
        if (i > 0)
            TALK(l, "< FA 1 ack 2\n"
                    "> A 2 ack 2");
        lab_end(l);
    }
}

/* Awake, found so by a second segment, and at rest with the next one that says nothing. */
static void tired(struct lab *l)
{
    TALK(l, "0 < PA 1:2(1) ack 1\n"
            "0 > A 1 ack 2\n"
            "0 < A 2 ack 1\n"
            "0 > none");
    lab_events(l, 0);
    struct tcb *c = tcb_of(l);
    c->cc.acked = 1; /* else it would rest now */
    TALK(l, "0 recv 1");
    c->cc.acked = 0;
}

/* What was found for a segment when its batch was read is gone by its turn: the first segment sends the first
 * connection back to rest, the second wakes the other one in the memory that has just become free, or (it is
 * awake already) leaves it free; and the third is the first connection's. */
static void changing_hands_in_a_batch(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    for (int awake = 0; awake < 2; awake++) {
        struct lab *l = lab_new(state, &cfg);
        lab_accept(l, "mss 1460");
        second_connection(l);
        lab_run(l, 5 * SEC);
        assert_int_equal(lab_live(l).asleep, 2);
        tired(l);
        if (awake)
            TALK(l, "1 < PA 1:11(10) ack 1\n"
                    "1 > A 1 ack 11");
        assert_int_equal(lab_live(l).asleep, 1 - awake);
        TALKF(l,
              "0 <+ A 2 ack 1\n"
              "1 <+ PA %d:%d(10) ack 1\n"
              "0 <+ PA 2:22(20) ack 1\n"
              "1 < PA %d:%d(10) ack 1\n"
              "forget\n"
              "0 recv 100 -> 20\n"
              "1 recv 100 -> %d",
              1 + 10 * awake, 11 + 10 * awake, 11 + 10 * awake, 21 + 10 * awake, 20 + 10 * awake);
        lab_end(l);
    }
}

/* Who is woken soon, but after thousands of segments to others, goes back at once, too. */
static void far_away(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460");
    second_connection(l);
    lab_run(l, 5 * SEC);
    for (int i = 0; i < 5000; i++)
        TALK(l, "1 < A 1 ack 1");
    lab_run(l, 1100 * MS);
    for (int i = 0; i < 3; i++) { /* after 1.1 s, 0.95 s, and 0.8 s with fewer segments */
        TALKF(l, "0 +%dms < PA %d:%d(1) ack 1\nforget", i == 0 ? 0 : 1100 - 150 * i, 1 + i, 2 + i);
        lab_events(l, TERN_READABLE);
        uint32_t before = lab_live(l).asleep;
        TALK(l, "0 recv 1");
        assert_int_equal(lab_live(l).asleep, before + (i < 2));
    }
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(ration_through_rest),
        LAB_TEST(nodelay_through_rest),
        LAB_TEST(no_rest_before_the_ack),
        LAB_TEST(interrupted),
        LAB_TEST(interrupted_by_a_call),
        LAB_TEST(something_fresh),
        LAB_TEST(interrupted_by_the_end),
        LAB_TEST(changing_hands_in_a_batch),
        LAB_TEST(far_away),
    };
    return LAB_MAIN(tests);
}
