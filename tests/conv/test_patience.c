/* Loss by time over a long life (RFC 8985 6.2, step 4): how the reordering window grows, how long it stays
 * wide, and how many duplicates one flight can count. All round trips take 100 ms. */
#include "lab/lab.h"

/* Connected, and the path has been seen to reorder: of segments 1 and 2 the second was reported first. From
 * here on no number of SACKs makes a loss, only time does. */
static struct lab *reordering(void **state, const struct lab_config *cfg, uint32_t *next)
{
    struct lab *l = lab_new(state, cfg);
    TALK(l, "connect\n"
            "> S 0\n"
            "+100ms < SA 0 ack 1 win 65535 <mss 1000,sackOK,wscale 7>\n"
            "> A 1 ack 1\n"
            "send 2000\n"
            "> A 1:1001(1000) ack 1\n"
            "> PA 1001:2001(1000) ack 1\n"
            "+100ms < A 1 ack 1 win 4000000 <sack 1001:2001>\n"
            "+1ms < A 1 ack 2001\n"
            "> none");
    assert_int_equal(lab_stats(l).retransmits, 0);
    *next = 2001;
    return l;
}

/* A DSACK, one for each of n round trips, of what was acknowledged before (RFC 2883 4). */
static uint32_t dsacks(struct lab *l, uint32_t next, unsigned n)
{
    for (unsigned i = 0; i < n; i++, next += 1000)
        TALKF(l,
              "send 1000\n"
              "> PA %u:%u(1000) ack 1\n"
              "+100ms < A 1 ack %u <sack %u:%u>",
              next, next + 1000, next + 1000, next - 1000, next);
    return next;
}

/* The first of two is lost. Returns how long after the SACK of the other it is sent again. */
static uint64_t patience(struct lab *l, uint32_t *next)
{
    uint32_t at = *next;
    TALK(l, "send 2000");
    lab_forget(l);
    lab_run(l, 100 * MS);
    lab_forget(l);
    TALKF(l, "< A 1 ack %u <sack %u:%u>", at, at + 1000, at + 2000);
    uint64_t began = l->now;
    lab_run_until(l, began + SEC, true);
    uint64_t us = l->now - began;
    TALKF(l,
          "+any > A %u:%u(1000) ack 1\n"
          "+50ms < A 1 ack %u\n"
          "> none",
          at, at + 1000, at + 2000);
    *next = at + 2000;
    return us;
}

/* A quarter of the smallest round trip at first, and a quarter more with each DSACK; after 16 recoveries
 * without any it is what it was. (RFC8985-6.2) */
static void forgets_after_16_recoveries(void **state)
{
    uint32_t next;
    struct lab *l = reordering(state, NULL, &next);
    assert_in_range(patience(l, &next), 24 * MS, 27 * MS);
    next = dsacks(l, next, 1);
    for (int i = 0; i < 16; i++)
        assert_in_range(patience(l, &next), 49 * MS, 52 * MS);
    assert_in_range(patience(l, &next), 24 * MS, 27 * MS);
    lab_end(l);
}

/* However many there are, it never exceeds the smoothed round trip, and is not forgotten: 400 DSACKs. */
static void never_above_a_round_trip(void **state)
{
    uint32_t next;
    struct lab *l = reordering(state, NULL, &next);
    next = dsacks(l, next, 2);
    assert_in_range(patience(l, &next), 74 * MS, 77 * MS);
    next = dsacks(l, next, 398);
    assert_in_range(patience(l, &next), 98 * MS, 103 * MS);
    lab_end(l);
}

/* The congestion window grows to more than n segments: each ACK of one makes room for two. */
static uint32_t fill_the_pipe(struct lab *l, uint32_t next, uint32_t n)
{
    uint32_t sent = 0, flight;
    do {
        sent += lab_send(l, 0, n * 1000, 0) == (long)n * 1000 ? n : 0;
        lab_run(l, 100 * MS);
        flight = (uint32_t)lab_pending(l);
        for (uint32_t i = 0; i < flight; i++, next += lab_next(l)->seg.len)
            continue;
        for (uint32_t i = flight; i > 0; i--)
            TALKF(l, "< A 1 ack %u", next - 1000 * (i - 1));
    } while (flight < n);
    while (lab_pending(l) > 0) {
        for (lab_run(l, 100 * MS); lab_next(l) != NULL;)
            next += l->last.seg.len;
        TALKF(l, "< A 1 ack %u", next);
    }
    return next;
}

/* A flight of 400 segments, of which the first is late: its 399 SACKs begin nothing; time does. */
static void many_duplicates(void **state)
{
    enum { N = 400 };
    struct lab_config cfg = {.stack = {.send_buffer = 1u << 20}};
    uint32_t next;
    struct lab *l = reordering(state, &cfg, &next);
    next = fill_the_pipe(l, next, N);
    TALKF(l, "send %u", N * 1000);
    assert_int_equal(lab_pending(l), N);
    lab_forget(l);
    lab_run(l, 50 * MS);
    assert_int_equal(lab_pending(l), 0);
    l->mark = l->now += 50 * MS;
    for (unsigned i = 1; i < N; i++)
        TALKF(l, "< A 1 ack %u <sack %u:%u>", next, next + 1000, next + 1000 + 1000 * i);
    TALKF(l,
          "> none\n"
          "+20..30ms > A %u:%u(1000) ack 1\n"
          "> none\n"
          "< A 1 ack %u",
          next, next + 1000, next + N * 1000);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(forgets_after_16_recoveries),
        LAB_TEST(never_above_a_round_trip),
        LAB_TEST(many_duplicates),
    };
    return LAB_MAIN(tests);
}
