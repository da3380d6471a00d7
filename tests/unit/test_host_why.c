/* The sentences of `tern ss`: for each state, who did what, how long ago, and who has to act. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/info_json.h"
#include "host/why.h"

#define S(n)   ((uint64_t)(n)*1000000)
#define MIN(n) S((n)*60)
static const uint64_t now = S(100000);

/* A connection of this state, entered `us` ago. */
static tern_info in_state(enum tern_state state, uint64_t us)
{
    tern_info i = {.state = (uint8_t)state, .held = true, .state_since_us = now - us, .opened_us = now - us};
    i.local = (tern_endpoint){tern_ip4(192, 0, 2, 1), 80, 0};
    i.remote = (tern_endpoint){tern_ip4(192, 0, 2, 2), 51000, 0};
    i.last_rx_us = i.last_tx_us = now - us;
    i.snd_wnd = i.rcv_wnd = 65535;
    return i;
}

static tern_why ask(const tern_info *i)
{
    tern_why why;
    json_t *json = tern_info_json(i);
    tern_why_say(json, now, &why);
    json_decref(json);
    return why;
}

static void expect(const tern_info *i, const char *verdict, const char *owes, const char *const *parts)
{
    tern_why why = ask(i);
    assert_string_equal(why.verdict, verdict);
    assert_string_equal(why.owes, owes);
    for (; *parts != NULL; parts++)
        if (strstr(why.text, *parts) == NULL)
            fail_msg("\"%s\" is not in: %s", *parts, why.text);
}

#define EXPECT(i, verdict, owes, ...) expect(&(i), verdict, owes, (const char *const[]){__VA_ARGS__, NULL})

static tern_info close_wait(uint64_t us)
{
    tern_info i = in_state(TERN_CLOSE_WAIT, us);
    i.eof_us = now - us;
    i.fin_rcvd = true;
    i.reason = TERN_C_FIN_RCVD;
    return i;
}

/* FIELD, point 1: the plain direction first. Point 5: what was read decides between stuck, forgetful and
 * unwatched. */
static void close_wait_forgotten(void **state)
{
    (void)state;
    tern_info i = close_wait(MIN(14));
    i.eof_read = true;
    EXPECT(i, "forgotten", "this program", "The other side closed 14 min ago; this program has not.",
           "read the end of the stream");
}

static void close_wait_stuck(void **state)
{
    (void)state;
    tern_info i = close_wait(MIN(14));
    i.recv_queue = 1234;
    EXPECT(i, "stuck", "this program", "1,234 bytes before the end are still unread");
}

static void close_wait_unwatched(void **state)
{
    (void)state;
    tern_info i = close_wait(MIN(3));
    EXPECT(i, "unwatched", "this program", "nobody watches this connection");
}

static void close_wait_sends(void **state)
{
    (void)state;
    tern_info i = close_wait(S(30));
    i.eof_read = true;
    i.send_queue = 50000;
    i.last_tx_us = now - 200000;
    EXPECT(i, "healthy", "this program", "still sending", "half-closed connection at work");
}

/* Point 2: nobody's yet. */
static void close_wait_unaccepted(void **state)
{
    (void)state;
    tern_info i = close_wait(MIN(4));
    i.held = false;
    i.unaccepted = true;
    EXPECT(i, "stuck", "this program", "has not accepted this connection", "4 min");
}

static void close_wait_window_shut(void **state)
{
    (void)state;
    tern_info i = close_wait(MIN(4));
    i.send_queue = 4000;
    i.snd_wnd = 0;
    i.probes = 2;
    EXPECT(i, "blocked", "the other side", "receive window is shut", "probed the window twice");
}

/* Point 7: the other half. */
static void fin_wait_2(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_FIN_WAIT_2, MIN(3));
    EXPECT(i, "waiting", "the other side", "the program on the other side owes the close", "CLOSE_WAIT",
           "3 min");
    i.held = false;
    i.timer = TERN_TIMER_FIN_WAIT_2;
    i.timer_us = now + S(42);
    EXPECT(i, "waiting", "the other side", "gives up on it in 42 s");
}

static void fin_wait_1(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_FIN_WAIT_1, S(2));
    i.fin_sent = true;
    i.timer = TERN_TIMER_RETRANSMIT;
    i.timer_us = now + 400000;
    EXPECT(i, "waiting", "the other side", "This program closed first, 2.0 s ago", "repeated in 400 ms");
    i.backoff = 3;
    EXPECT(i, "lossy", "the network", "repeated 3 times, the next time in 400 ms");
}

static void fin_behind_data(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_FIN_WAIT_1, S(20));
    i.send_queue = 100000;
    i.snd_wnd = 0;
    EXPECT(i, "blocked", "the other side", "The FIN waits behind 100,000 bytes", "does not read");
}

static void closing_and_last_ack(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_CLOSING, S(1));
    i.fin_sent = true;
    EXPECT(i, "waiting", "the other side", "at the same time", "not acknowledged yet");
    i = in_state(TERN_LAST_ACK, S(1));
    i.fin_sent = true;
    EXPECT(i, "waiting", "the other side", "The other side closed first", "this program has closed too");
}

/* Point 10: does it matter? */
static void time_wait(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_TIME_WAIT, S(18));
    i.timer = TERN_TIMER_TIME_WAIT;
    i.timer_us = now + S(42);
    i.reason = TERN_C_FIN_LAST;
    EXPECT(i, "healthy", "time", "this one first", "42 s more", "Harmless");
    i.reason = TERN_C_CLOSING_ACKED;
    EXPECT(i, "healthy", "time", "at the same time");
}

/* Point 12: what cannot be seen from here is said so. */
static void opening(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_SYN_SENT, S(7));
    i.timer = TERN_TIMER_RETRANSMIT;
    i.timer_us = now + S(8);
    i.backoff = 2;
    EXPECT(i, "stuck", "the other side", "sent 7.0 s ago and has no answer",
           "repeated twice, the next time in 8.0 s", "look the same from here");
    i = in_state(TERN_SYN_RCVD, S(1));
    i.reason = TERN_C_SYN_RCVD_LISTEN;
    EXPECT(i, "waiting", "the other side", "A SYN came 1.0 s ago", "third step");
}

static void soft_error(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_SYN_SENT, S(7));
    i.soft_error = -TERN_EHOSTUNREACH;
    i.icmp_type = 3;
    i.icmp_code = 1;
    EXPECT(i, "stuck", "the other side", "ICMP type 3, code 1");
}

static void listening(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_LISTEN, MIN(100));
    i.listener = true;
    EXPECT(i, "healthy", "nobody", "Waits for connections.");
    i.acceptq = 131;
    i.backlog = 128;
    i.accept_oldest_us = now - MIN(4);
    i.refused_full = 7;
    i.left_unaccepted = 1;
    EXPECT(i, "stuck", "this program", "131 connections wait for the program to accept, the oldest for 4 min",
           "does not accept", "1 client left before", "7 attempts met a full queue");
}

/* Point 13: say healthy when it is. */
static void established(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_ESTABLISHED, MIN(3));
    i.last_rx_us = now - S(1);
    EXPECT(i, "healthy", "nobody", "Open for 3 min; both sides may send.");
    i.last_rx_us = i.last_tx_us = now - MIN(5);
    EXPECT(i, "healthy", "nobody", "idle", "Keepalive is off");
    i.recv_queue = 9;
    EXPECT(i, "stuck", "this program", "9 bytes lie unread", "does not read");
    i.recv_queue = 0;
    i.send_unacked = 1448;
    i.backoff = 4;
    EXPECT(i, "lossy", "the network", "1,448 bytes sent are not acknowledged", "4 times");
}

static void closed(void **state)
{
    (void)state;
    tern_info i = in_state(TERN_CLOSED, S(12));
    i.reason = TERN_C_RESET;
    i.error = -TERN_ECONNRESET;
    EXPECT(i, "over", "this program", "Over for 12 s: RST from the peer (RFC 9293 3.10.7.4 second).",
           "Connection reset by peer", "not released");
}

static void spans_and_bytes(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(tern_why_span(0, b), "0 us");
    assert_string_equal(tern_why_span(999999, b), "999 ms");
    assert_string_equal(tern_why_span(3250000, b), "3.2 s");
    assert_string_equal(tern_why_span(S(119), b), "119 s");
    assert_string_equal(tern_why_span(MIN(14), b), "14 min");
    assert_string_equal(tern_why_span(MIN(125), b), "2 h 5 min");
    assert_string_equal(tern_why_span(S(86400) * 3, b), "3 days");
    assert_string_equal(tern_why_bytes(1, b), "1 byte");
    assert_string_equal(tern_why_bytes(1005, b), "1,005 bytes");
    assert_string_equal(tern_why_bytes(5 << 20, b), "5.0 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_wait_forgotten),
        cmocka_unit_test(close_wait_stuck),
        cmocka_unit_test(close_wait_unwatched),
        cmocka_unit_test(close_wait_sends),
        cmocka_unit_test(close_wait_unaccepted),
        cmocka_unit_test(close_wait_window_shut),
        cmocka_unit_test(fin_wait_2),
        cmocka_unit_test(fin_wait_1),
        cmocka_unit_test(fin_behind_data),
        cmocka_unit_test(closing_and_last_ack),
        cmocka_unit_test(time_wait),
        cmocka_unit_test(opening),
        cmocka_unit_test(soft_error),
        cmocka_unit_test(listening),
        cmocka_unit_test(established),
        cmocka_unit_test(closed),
        cmocka_unit_test(spans_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
