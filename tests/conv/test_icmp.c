/* ICMP about a connection (RFC 9293 3.9.2.2, RFC 5927). */
#include "lab/lab.h"

/* Type and code of the same meaning in ICMP and ICMPv6. */
struct icmp_case {
    uint8_t type4, code4, type6, code6;
};

static void send_case(struct lab *l, struct icmp_case c, uint32_t rel_seq)
{
    bool v4 = tern_ip_is4(&l->ip);
    lab_icmp(l, 0, v4 ? c.type4 : c.type6, v4 ? c.code4 : c.code6, 0, rel_seq);
}

/* MUST-56: net, host unreachable, source route failed; time exceeded; parameter problem: never an abort. */
static const struct icmp_case soft[] = {{3, 0, 1, 0},  {3, 1, 1, 3},  {3, 5, 1, 0},
                                        {11, 0, 3, 0}, {11, 1, 3, 1}, {12, 0, 4, 0}};
/* SHLD-26 calls these hard: protocol, port unreachable (in IPv6 also: administratively prohibited). */
static const struct icmp_case hard[] = {{3, 2, 1, 4}, {3, 3, 1, 1}};

static struct lab *with_data_in_flight(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1000");
    TALK(l, "send 3000\n"
            "forget");
    lab_events(l, 0);
    return l;
}

/* MUST-54, MUST-56, SHLD-25, MUST-47: told to the program, and nothing more. */
static void soft_errors(void **state)
{
    for (size_t i = 0; i < sizeof(soft) / sizeof(soft[0]); i++) {
        struct lab *l = with_data_in_flight(state);
        send_case(l, soft[i], 1);
        TALK(l, "= ESTABLISHED\n"
                "events SOFT_ERROR");
        tern_info info;
        assert_true(lab_info(l, 0, &info));
        assert_true(info.soft_error < 0);
        assert_int_equal(info.icmp_type, tern_ip_is4(&l->ip) ? soft[i].type4 : soft[i].type6);
        TALK(l, "< A 1 ack 3001\n"
                "send 10\n"
                "> PA 3001:3011(10) ack 1");
        lab_end(l);
    }
}

/* RFC 5927 and Linux against SHLD-26: in a synchronized state hard errors are soft too (documented
 * deviation). (RFC5927-5.2-ab) */
static void hard_errors_are_soft_when_open(void **state)
{
    for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
        struct lab *l = with_data_in_flight(state);
        send_case(l, hard[i], 1001);
        TALK(l, "= ESTABLISHED\n"
                "events SOFT_ERROR");
        lab_end(l);
    }
}

/* While opening they end the attempt (3.9.2.2: SHOULD abort). */
static void hard_errors_end_an_opening(void **state)
{
    for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
        struct lab *l = lab_new(state, NULL);
        TALK(l, "connect\n"
                "> S 0");
        send_case(l, hard[i], 0);
        TALK(l, "= CLOSED\n"
                "? reason ICMP_HARD\n"
                "events ENDED");
        tern_info info;
        assert_true(lab_info(l, 0, &info));
        assert_true(info.error < 0);
        lab_end(l);
    }
}

/* Soft ones do not, also while opening (MUST-56). */
static void soft_errors_while_opening(void **state)
{
    for (size_t i = 0; i < sizeof(soft) / sizeof(soft[0]); i++) {
        struct lab *l = lab_new(state, NULL);
        TALK(l, "connect\n"
                "> S 0");
        send_case(l, soft[i], 0);
        TALK(l, "= SYN_SENT\n"
                "< SA 0 ack 1 win 65535 <mss 1000>\n"
                "> A 1 ack 1\n"
                "= ESTABLISHED");
        lab_end(l);
    }
}

/* MUST-55: source quench is dropped and changes nothing. (RFC5927-6.2-a) */
static void source_quench(void **state)
{
    struct lab *l = with_data_in_flight(state);
    tern_info before, after;
    if (!tern_ip_is4(&l->ip)) {
        lab_end(l);
        return;
    }
    assert_true(lab_info(l, 0, &before));
    lab_icmp(l, 0, ICMP_QUENCH, 0, 0, 1);
    assert_true(lab_info(l, 0, &after));
    assert_int_equal(before.cwnd, after.cwnd);
    assert_int_equal(after.soft_error, 0);
    TALK(l, "events !SOFT_ERROR\n"
            "> none");
    lab_end(l);
}

/* RFC 5927 4.1: only about what is in flight: SND.UNA =< SEQ < SND.NXT. (RFC5927-4.1-a) */
static void numbers_are_checked(void **state)
{
    static const uint32_t bad[] = {0, 3001, 70000, 0x80000000u, (uint32_t)-5000};
    struct lab *l = with_data_in_flight(state);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        send_case(l, soft[1], bad[i]);
    TALK(l, "events !SOFT_ERROR\n"
            "? soft_error 0");
    assert_int_equal(lab_stats(l).dropped[TERN_C_ICMP_SEQ], 5);
    send_case(l, soft[1], 3000);
    TALK(l, "events SOFT_ERROR");
    lab_end(l);
}

/* The same while opening: a wrong number does not end the attempt. */
static void numbers_are_checked_while_opening(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0");
    send_case(l, hard[0], 1);
    send_case(l, hard[0], 12345);
    TALK(l, "= SYN_SENT");
    lab_end(l);
}

/* SHLD-20: reports can be switched off. */
static void reports_off(void **state)
{
    struct lab *l = with_data_in_flight(state);
    TALK(l, "opt reports 0");
    send_case(l, soft[0], 1);
    TALK(l, "events !SOFT_ERROR\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* Too big (IPv4 code 4, ICMPv6 type 2) is about the path's MTU, never an abort, whatever it says. */
static void too_big_is_no_abort(void **state)
{
    static const uint32_t mtus[] = {0, 1, 68, 296, 1280, 1400, 65535, 0xffffffffu};
    for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
        struct lab *l = with_data_in_flight(state);
        bool v4 = tern_ip_is4(&l->ip);
        lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, mtus[i], 1);
        TALK(l, "= ESTABLISHED");
        lab_forget(l);
        TALK(l, "< A 1 ack 3001\n"
                "? send_unacked 0\n"
                "= ESTABLISHED");
        lab_end(l);
    }
}

/* RFC 1191, RFC 8201: a smaller path: what was in flight is sent again in smaller pieces at once, and so is
 * what follows. (RFC5927-7.2-abcd, RFC7323-5.7-a) */
static void smaller_path(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    bool v4 = tern_ip_is4(&l->ip);
    uint32_t largest = v4 ? 1360 : 1340;
    TALK(l, "send 4380\n"
            "forget");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1400, 1);
    const struct lab_out *o = lab_next(l);
    assert_non_null(o);
    assert_int_equal(o->seg.seq.v - l->flow[0].iss, 1);
    assert_int_equal(o->seg.len, largest);
    uint32_t end = 1;
    for (int i = 0; i < 20 && end < 8761; i++) {
        end = o && o->seg.seq.v - l->flow[0].iss == end ? end + o->seg.len : end;
        while ((o = lab_next(l)) != NULL) {
            assert_true(o->seg.len <= largest);
            end = o->seg.seq.v - l->flow[0].iss == end ? end + o->seg.len : end;
        }
        TALKF(l, "< A 1 ack %u", end);
        if (i == 0)
            TALK(l, "send 4380");
        o = lab_next(l);
    }
    TALK(l, "? send_unacked 0\n"
            "= ESTABLISHED\n"
            "? timeouts 0");
    lab_end(l);
}

/* Never larger than before, and not on the word of a segment that is not in flight. */
static void no_larger_path(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    bool v4 = tern_ip_is4(&l->ip);
    TALK(l, "send 1460\n"
            "forget");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 9000, 1);
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1400, 5000);
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1400, 0);
    TALK(l, "? mss 1460\n"
            "> none");
    lab_end(l);
}

/* RFC 8201 4: a Packet Too Big below 1280 is discarded; so is one below IPv4's 68 (RFC5927-7.4-a). */
static void impossible_path(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    bool v4 = tern_ip_is4(&l->ip);
    TALK(l, "send 1460\n"
            "forget");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, v4 ? 67 : 1279, 1);
    TALK(l, "? mss 1460\n"
            "> none");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1280, 1);
    TALKF(l, "? mss %d", v4 ? 1240 : 1220);
    lab_end(l);
}

/* RFC5681-3.1-e: a path that turns out to be narrower is given as many segments as before, not as many
 * bytes. */
static void smaller_path_smaller_window(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    bool v4 = tern_ip_is4(&l->ip);
    TALK(l, "send 1460\n"
            "forget\n"
            "? cwnd 14600");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, v4 ? 1340 : 1360, 1);
    TALK(l, "? mss 1300\n"
            "? cwnd 13000");
    lab_end(l);
}

/* An error about no connection of ours, an error about an error, a cut one: nothing happens. */
static void strangers(void **state)
{
    struct lab *l = with_data_in_flight(state);
    l->flow[5].iss = 1234;
    l->flow[5].local.port = 999;
    lab_icmp(l, 5, 3, 1, 0, 0);
    lab_icmp(l, 5, 1, 0, 0, 0);
    TALK(l, "events !SOFT_ERROR\n"
            "= ESTABLISHED\n"
            "> none");
    lab_end(l);
}

/* A half-open record is not ended by ICMP from anybody (its peer is not even verified). */
static void half_open(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1000>\n"
            "> SA 0 ack 1");
    send_case(l, soft[1], 0);
    TALK(l, "= SYN_RCVD\n"
            "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* RFC5927-5.2-c: an error about one connection says nothing of another, to the same host and port. */
static void one_connection_only(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    bool v4 = tern_ip_is4(&l->ip);
    TALK(l, "1 connect\n"
            "1> S 0\n"
            "1< SA 0 ack 1 win 65535 <mss 1460>\n"
            "1> A 1 ack 1\n"
            "send 1460\n"
            "> PA 1:1461(1460) ack 1\n"
            "1 send 100\n"
            "1> PA 1:101(100) ack 1");
    lab_events(l, 1);
    send_case(l, hard[0], 1);
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1400, 1);
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.mss, v4 ? 1360 : 1340);
    assert_true(lab_info(l, 1, &info));
    assert_int_equal(info.mss, 1460);
    assert_int_equal(info.soft_error, 0);
    assert_int_equal(lab_events(l, 1) & TERN_SOFT_ERROR, 0);
    lab_end(l);
}

/* SHLD-25: what ICMP told is why a connection is given up in the end. */
static void told_at_the_end(void **state)
{
    struct lab *l = with_data_in_flight(state);
    lab_run(l, 60 * SEC);
    send_case(l, soft[1], 1); /* behind R1, which is told as a timeout */
    lab_run(l, 3000 * SEC);
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "recv 1 -> EHOSTUNREACH");
    lab_end(l);
}

/* RFC 1191 3: only what is too large for the path is sent again. */
static void what_fits_is_not_repeated(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    bool v4 = tern_ip_is4(&l->ip);
    uint32_t fits = v4 ? 1360 : 1340;
    TALKF(l, "opt max_seg %u\n"
             "send %u\n"
             "forget",
          fits, 2 * fits);
    TALK(l, "opt max_seg 0");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1400, 1);
    TALK(l, "> none\n"
            "? retransmits 0");
    lab_end(l);
}

/* RFC 1191 3: a path too narrow for the smallest segment that we cut is sent to without DF, in segments of
 * 512 bytes; ICMP that asks for less is not believed (RFC5927-7.4-a). A larger MTU told later changes
 * nothing (RFC5927-7.2-a). */
static void narrow_path(void **state)
{
    struct lab *l = with_data_in_flight(state);
    bool v4 = tern_ip_is4(&l->ip);
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 100, 1);
    const struct lab_out *o = lab_next(l);
    if (v4) {
        assert_non_null(o);
        assert_int_equal(o->seg.len, 512);
        assert_false(o->ip.dont_fragment);
        lab_icmp(l, 0, 3, 4, 600, 1);
        TALK(l, "? mss 512");
    }
    lab_forget(l);
    lab_end(l);
}

/* RFC5927-7.2-a: what was told once does not become larger by a later word. */
static void path_does_not_grow(void **state)
{
    struct lab *l = with_data_in_flight(state);
    bool v4 = tern_ip_is4(&l->ip);
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, v4 ? 800 : 1000, 1);
    tern_info before, after;
    assert_true(lab_info(l, 0, &before));
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, v4 ? 900 : 1290, 1);
    assert_true(lab_info(l, 0, &after));
    assert_int_equal(before.mss, after.mss);
    lab_forget(l);
    lab_end(l);
}

/* Types that RFC 4443 has not (yet) given a meaning, and errors about another protocol's packets (a datagram
 * to port 0 of the peer): nothing changes, whatever numbers stand in them. */
static void about_something_else(void **state)
{
    struct lab *l = with_data_in_flight(state);
    bool v4 = tern_ip_is4(&l->ip);
    uint8_t body[48] = {0}, buf[128];
    uint32_t body_len = ip_emit(body, &l->ip, &l->peer_ip, PROTO_UDP, 64, 0, 8, 1) + 8u;
    uint16_t n = ip_emit(buf, &l->peer_ip, &l->ip, v4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 8 + body_len, 1);
    icmp_emit(buf + n, v4 ? 4 : 6, v4 ? 3 : 1, v4 ? 1 : 0, 0, body, body_len, &l->peer_ip, &l->ip);
    memcpy(buf + n + 8, body, body_len);
    lab_rx(l, buf, n + 8 + body_len);
    assert_int_equal(lab_stats(l).dropped[TERN_C_ICMP_UNUSED], 1);
    if (!v4) {
        lab_icmp(l, 0, 100, 0, 0, 1);
        assert_int_equal(lab_stats(l).dropped[TERN_C_ICMP_UNUSED], 2);
    }
    TALK(l, "events !SOFT_ERROR\n"
            "= ESTABLISHED");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(soft_errors),
        LAB_TEST(hard_errors_are_soft_when_open),
        LAB_TEST(hard_errors_end_an_opening),
        LAB_TEST(soft_errors_while_opening),
        LAB_TEST(source_quench),
        LAB_TEST(numbers_are_checked),
        LAB_TEST(numbers_are_checked_while_opening),
        LAB_TEST(reports_off),
        LAB_TEST(too_big_is_no_abort),
        LAB_TEST(strangers),
        LAB_TEST(half_open),
        LAB_TEST(smaller_path),
        LAB_TEST(no_larger_path),
        LAB_TEST(impossible_path),
        LAB_TEST(smaller_path_smaller_window),
        LAB_TEST(one_connection_only),
        LAB_TEST(told_at_the_end),
        LAB_TEST(what_fits_is_not_repeated),
        LAB_TEST(narrow_path),
        LAB_TEST(path_does_not_grow),
        LAB_TEST(about_something_else),
    };
    return LAB_MAIN(tests);
}
