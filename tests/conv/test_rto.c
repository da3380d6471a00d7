/* The retransmission timer: RFC 6298, Karn, back-off, and how long one tries (RFC 9293 3.8.1, 3.8.3). */
#include "lab/lab.h"

/* RFC 6298 2.1, 5.5, 5.7: SYN after 1 s, then doubled; MUST-23: for at least 3 minutes. MUST-22: the
 * program is told at R1 and at R2. (RFC6298-2.1-a, RFC6298-5.5-a) */
static void syn_is_repeated_for_3_minutes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+1s > S 0\n"
            "+2s > S 0\n"
            "events !SOFT_ERROR\n"
            "+4s > S 0\n"
            "events SOFT_ERROR\n"
            "+8s > S 0\n"
            "+16s > S 0\n"
            "+32s > S 0\n"
            "+64s > S 0\n"
            "+50s = SYN_SENT");
    lab_run(l, 200 * SEC);
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "? reason SYN_RETRIES_USED_UP\n"
            "events ENDED\n"
            "recv 1 -> ETIMEDOUT");
    lab_end(l);
}

/* The program may give up sooner (MUST-23 lets it): the user timeout holds in SYN_SENT too. */
static void syn_user_timeout(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "opt user_timeout 10000\n"
            "+9s = SYN_SENT");
    lab_run(l, 16 * SEC);
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "recv 1 -> ETIMEDOUT");
    lab_end(l);
}

/* SYN+ACK likewise: five times by default, about a minute; then the half-open record goes. */
static void syn_ack_is_repeated(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "+1s > SA 0 ack 1\n"
            "+2s > SA 0 ack 1\n"
            "+4s > SA 0 ack 1\n"
            "+8s > SA 0 ack 1\n"
            "+16s > SA 0 ack 1\n"
            "= SYN_RCVD\n"
            "+40s > none\n"
            "= LISTEN");
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* RFC 6298 2.2: first sample R: SRTT = R, RTTVAR = R/2, RTO = R + max(G, 4 * R/2). MUST-19: doubled each
 * time. (RFC6298-1-a, RFC6298-2.2-a, RFC6298-5.5-a) */
static void first_sample(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "? srtt_us 400000\n"
            "? rttvar_us 200000\n"
            "? rto_us 1200000\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+1200ms > PA 1:101(100) ack 1\n"
            "+2400ms > PA 1:101(100) ack 1\n"
            "+4800ms > PA 1:101(100) ack 1");
    lab_end(l);
}

/* RFC 6298 2.3: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, then SRTT = 7/8 SRTT + 1/8 R'. (RFC6298-2.3-abcd,
 * RFC6298-3-b, RFC7323-4.2-a) */
static void second_sample(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+800ms < A 1 ack 101\n"
            "? rttvar_us 250000\n"
            "? srtt_us 450000\n"
            "? min_rtt_us 400000\n"
            "? rto_us 1450000\n"
            "send 100\n"
            "> PA 101:201(100) ack 1\n"
            "+1450ms > PA 101:201(100) ack 1");
    lab_end(l);
}

/* Karn (MUST-18): the ACK of a repeated segment is no sample, and the back-off stays for the next one (RFC
 * 6298 5, 3). (RFC6298-3-a) */
static void karn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+1200ms > PA 1:101(100) ack 1\n"
            "+10ms < A 1 ack 101\n"
            "? srtt_us 400000\n"
            "send 100\n"
            "> PA 101:201(100) ack 1\n"
            "+2400ms > PA 101:201(100) ack 1\n"
            "+10ms < A 1 ack 201\n"
            "send 100\n"
            "> PA 201:301(100) ack 1\n"
            "+500ms < A 1 ack 301\n"
            "? srtt_us 412500\n"
            "? rto_us 1112500\n"
            "? backoff 0");
    lab_end(l);
}

/* MUST-18: nor is an ACK that covers a repeated segment and, behind it, one that was sent once: it had to
 * wait for the first. */
static void karn_in_one_ack(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1000>\n"
            "> A 1 ack 1\n"
            "send 2000\n"
            "> A 1:1001(1000) ack 1\n"
            "> PA 1001:2001(1000) ack 1\n"
            "+1200ms > A 1:1001(1000) ack 1\n"
            "+10ms < A 1 ack 2001\n"
            "? srtt_us 400000");
    lab_end(l);
}

/* RFC 7323 4.1: with timestamps an ACK of a repeated segment tells which sending it answers. */
static void timestamps_measure_repeated(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460,ts>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+1200ms > PA 1:101(100) ack 1\n"
            "+400ms < A 1 ack 101\n"
            "? srtt_us 400000\n"
            "? backoff 0");
    lab_end(l);
}

/* Something is sent at 0.4 s and, unanswered, again at 1.6 s; the peer's clock of ours counts from the
 * SYN. */
static struct lab *repeated_once(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460,ts 1000>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+1200ms > PA 1:101(100) ack 1");
    return l;
}

/* RFC 7323 5.3: to a peer that has it all the repetition is old, and it is refused before its timestamp is
 * looked at. So when the ACK of the first sending was lost, the answer to the second echoes the first. Taken
 * for a round trip, a timeout would lengthen the next one, and that the next but one: a path that loses now
 * and then would come to a stand. */
static void lost_ack_is_no_round_trip(void **state)
{
    struct lab *l = repeated_once(state);
    TALK(l, "+400ms < A 1 ack 101 <ts 2000 ecr 400>\n"
            "? srtt_us 400000\n"
            "send 100\n"
            "> PA 101:201(100) ack 1\n"
            "+400ms < A 1 ack 201\n"
            "? srtt_us 400000");
    lab_end(l);
}

/* The same of a tail loss probe, and the peer says that the repetition came as the second (RFC 2883): that is
 * the answered one. */
static void dsack_measures_repeated(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0 <mss 1460,sackOK,ts,wscale *>\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460,sackOK,ts 1000>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+1s > PA 1:101(100) ack 1\n"
            "+440ms < A 1 ack 101 <ts 2000 ecr 400,sack 1:101>\n"
            "? srtt_us 405000");
    lab_end(l);
}

/* An answer sooner after the repetition than any round trip was: the first sending's, late (RFC 3522). So
 * much the path takes now. */
static void late_ack_is_a_round_trip(void **state)
{
    struct lab *l = repeated_once(state);
    TALK(l, "+10ms < A 1 ack 101 <ts 2000 ecr 400>\n"
            "? srtt_us 501250");
    lab_end(l);
}

/* RFC 6298 5.7: when the SYN had to be repeated the first data has an RTO of 3 s. (RFC6298-5.7-a) */
static void rto_after_lost_syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+1s > S 0\n"
            "+10ms < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+3s > PA 1:101(100) ack 1");
    lab_end(l);
}

/* RFC 6298 5.1 to 5.3: the timer is started by the first segment, restarted by an ACK of new data, stopped
 * when all is acknowledged. (RFC6298-5-ab, RFC6298-5.1-a, RFC6298-5.2-a, RFC6298-5.3-a) */
static void timer_restart(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+400ms < SA 0 ack 1 win 65535 <mss 1460>\n"
            "> A 1 ack 1\n"
            "opt nodelay 1\n"
            "send 100\n"
            "> PA 1:101(100) ack 1\n"
            "+200ms send 100\n"
            "> PA 101:201(100) ack 1\n"
            "+200ms < A 1 ack 101\n"
            "? srtt_us 400000\n"
            "? rttvar_us 150000\n"
            "? rto_us 1000000\n"
            "+1s > PA 101:201(100) ack 1\n"
            "< A 1 ack 201\n"
            "+100s > none");
    lab_end(l);
}

/* RFC 6298 5.4, 5.6; RFC 5681 3.1: the timeout repeats the first segment only; cwnd is one segment; then slow
 * start. (RFC6298-5.4-a, RFC6298-5.6-a, RFC5681-3.1-q) */
static void timeout_repeats_the_first(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+100ms < SA 0 ack 1 win 65535 <mss 1000>\n"
            "> A 1 ack 1\n"
            "send 4000\n"
            "> A 1:1001(1000) ack 1\n"
            "> A 1001:2001(1000) ack 1\n"
            "> A 2001:3001(1000) ack 1\n"
            "> PA 3001:4001(1000) ack 1\n"
            "+300ms > A 1:1001(1000) ack 1\n"
            "? cwnd 1000\n"
            "? ssthresh 2000\n"
            "> none\n"
            "+100ms < A 1 ack 1001\n"
            "> A 1001:2001(1000) ack 1\n"
            "> A 2001:3001(1000) ack 1\n"
            "> none\n"
            "+100ms < A 1 ack 4001\n"
            "+100s > none");
    lab_end(l);
}

/* RFC 6298 2.5: a bound of at least 60 s; tern's is 120 s. SHLD-11: data is tried for at least 100 s;
 * MUST-20: then the connection ends, R1 (SHLD-9, SHLD-10) is told before. (RFC6298-2.5-a) */
static void data_until_r2(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 100\n"
            "> PA 1:101(100) ack 1");
    uint64_t start = l->now, last = l->now, longest = 0;
    while (lab_state(l, 0) == TERN_ESTABLISHED) {
        lab_run_until(l, l->now + 200 * SEC, true);
        const struct lab_out *o = lab_next(l);
        if (o && o->seg.len == 100) {
            longest = o->t - last > longest ? o->t - last : longest;
            last = o->t;
        }
        if (l->now - start > 3000 * SEC)
            lab_fail(l, "it never ends");
    }
    assert_in_range(longest, 60 * SEC, 121 * SEC);
    assert_in_range(l->now - start, 100 * SEC, 1200 * SEC);
    TALK(l, "events SOFT_ERROR|ENDED\n"
            "recv 1 -> ETIMEDOUT\n"
            "? reason RETRIES_USED_UP");
    lab_end(l);
}

/* RFC6298-4-a: round trips that never differ make the variance nothing; what is added to SRTT is not. */
static void steady_round_trips(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    for (int i = 0; i < 120; i++) {
        TALKF(l, "send 100\n"
                 "> PA %d:%d(100) ack 1\n"
                 "+100ms < A 1 ack %d",
              1 + 100 * i, 101 + 100 * i, 101 + 100 * i);
    }
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    assert_in_range(info.srtt_us, 99000, 100000);
    assert_in_range(info.rttvar_us, 0, 200);
    assert_int_equal(info.rto_us, info.srtt_us + 200000);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(syn_is_repeated_for_3_minutes),
        LAB_TEST(syn_user_timeout),
        LAB_TEST(syn_ack_is_repeated),
        LAB_TEST(first_sample),
        LAB_TEST(second_sample),
        LAB_TEST(karn),
        LAB_TEST(karn_in_one_ack),
        LAB_TEST(timestamps_measure_repeated),
        LAB_TEST(lost_ack_is_no_round_trip),
        LAB_TEST(dsack_measures_repeated),
        LAB_TEST(late_ack_is_a_round_trip),
        LAB_TEST(rto_after_lost_syn),
        LAB_TEST(timer_restart),
        LAB_TEST(timeout_repeats_the_first),
        LAB_TEST(data_until_r2),
        LAB_TEST(steady_round_trips),
    };
    return LAB_MAIN(tests);
}
