/* The calls of socket.h and event.h as a program meets them: handles, readiness, buffers, reading in place.
 */
#include "lab/lab.h"

/* A handle is stale after close and abort, and then every call says so: nothing more is read (MAY-1). A
 * foreign one too. */
static void stale_handles(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    tern_handle h = l->flow[0].h, none = {0}, garbage = {0x123456789abcdef0ull};
    TALK(l, "close\n"
            "> FA 1 ack 1");
    const tern_handle list[] = {h, none, garbage};
    for (size_t i = 0; i < 3; i++) {
        char byte;
        tern_info info;
        uint32_t value;
        tern_slice slice;
        tern_handle out;
        assert_int_equal(tern_send(l->t, list[i], "x", 1, 0), -TERN_EBADF);
        assert_int_equal(tern_recv(l->t, list[i], &byte, 1), -TERN_EBADF);
        assert_int_equal(tern_peek(l->t, list[i], &slice, 1), -TERN_EBADF);
        assert_int_equal(tern_consume(l->t, list[i], 0), -TERN_EBADF);
        assert_int_equal(tern_shutdown(l->t, list[i]), -TERN_EBADF);
        assert_int_equal(tern_close(l->t, list[i]), -TERN_EBADF);
        assert_int_equal(tern_abort(l->t, list[i]), -TERN_EBADF);
        assert_int_equal(tern_accept(l->t, list[i], &out), -TERN_EBADF);
        assert_int_equal(tern_get_info(l->t, list[i], &info), -TERN_EBADF);
        assert_int_equal(tern_setopt(l->t, list[i], TERN_OPT_NODELAY, 1), -TERN_EBADF);
        assert_int_equal(tern_getopt(l->t, list[i], TERN_OPT_NODELAY, &value), -TERN_EBADF);
        assert_int_equal(tern_set_data(l->t, list[i], 1), -TERN_EBADF);
    }
    lab_end(l);
}

/* Who wants to count state changes asks for nothing else; 0 is all again. */
static void only_some_trace(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_trace_record all[64];
    uint32_t states = 0, others = 0;
    tern_trace_only(l->t, 1u << TERN_TRACE_STATE);
    lab_accept(l, "mss 1460");
    int n = tern_trace_take(l->t, all, 64, NULL);
    for (int i = 0; i < n; i++)
        states += all[i].kind == TERN_TRACE_STATE;
    assert_int_equal(states, n);
    assert_int_equal(states, 3); /* LISTEN, SYN_RCVD, ESTABLISHED */
    tern_trace_only(l->t, 0);
    TALK(l, "< FA 1 ack 1\n+0..500ms > A 1 ack 2");
    n = tern_trace_take(l->t, all, 64, NULL);
    for (int i = 0; i < n; i++)
        others += all[i].kind == TERN_TRACE_SEG_IN || all[i].kind == TERN_TRACE_SEG_OUT;
    assert_int_equal(others, 2);
    tern_trace_only(l->t, 1u << TERN_TRACE_DROP); /* what was refused, without what came */
    TALK(l, "< A 90 ack 90000\n< A 2 ack 1\nforget");
    n = tern_trace_take(l->t, all, 64, NULL);
    assert_int_equal(n, 1);
    assert_int_equal(all[0].kind, TERN_TRACE_DROP);
    lab_end(l);
}

/* A record is used again for another connection: the old handle does not reach it. */
static void generations(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_handle old[50];
    tern_endpoint to = {.ip = l->peer_ip, .port = 80};
    for (int i = 0; i < 50; i++) {
        assert_int_equal(tern_connect(l->t, NULL, &to, &old[i]), 0);
        assert_int_equal(tern_abort(l->t, old[i]), 0);
        lab_collect(l);
        for (int k = 0; k <= i; k++)
            assert_int_equal(tern_abort(l->t, old[k]), -TERN_EBADF);
        for (int k = 0; k < i; k++)
            assert_true(old[k].v != old[i].v);
    }
    lab_forget(l);
    lab_end(l);
}

/* Readiness is told when it begins, once, with the program's own number; asking late gives the union. */
static void readiness(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_event ev[4];
    lab_accept(l, "mss 1460");
    lab_events(l, 0);
    assert_int_equal(tern_set_data(l->t, l->flow[0].h, 4711), 0);
    assert_int_equal(tern_events(l->t, ev, 4), 0);
    TALK(l, "< PA 1:11(10) ack 1\n"
            "< FA 11 ack 1\n"
            "forget");
    assert_int_equal(tern_events(l->t, ev, 4), 1);
    assert_int_equal(ev[0].handle.v, l->flow[0].h.v);
    assert_int_equal(ev[0].data, 4711);
    assert_true((ev[0].bits & TERN_READABLE) && (ev[0].bits & TERN_PEER_CLOSED));
    assert_int_equal(tern_events(l->t, ev, 4), 0);
    lab_end(l);
}

/* A listener says ACCEPTABLE; more events than asked for come at the next call. */
static void many_events(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_event ev[3];
    TALK(l, "listen");
    for (int i = 0; i < LAB_FLOWS; i++)
        TALKF(l, "%d< S 0 win 65535 <mss 1460>\n%d> SA 0 ack 1\n%d< A 1 ack 1", i, i, i);
    assert_int_equal(tern_events(l->t, ev, 3), 1);
    assert_int_equal(ev[0].handle.v, l->listener.v);
    assert_int_equal(ev[0].bits, TERN_ACCEPTABLE);
    for (int i = 0; i < LAB_FLOWS; i++)
        TALKF(l, "%d accept", i);
    while (tern_events(l->t, ev, 3) > 0)
        continue;
    for (int i = 0; i < LAB_FLOWS; i++)
        TALKF(l, "%d< PA 1:2(1) ack 1\nforget", i);
    int total = 0, n;
    while ((n = tern_events(l->t, ev, 3)) > 0)
        total += n;
    assert_int_equal(total, LAB_FLOWS);
    lab_end(l);
}

/* The send buffer: a short count when it is nearly full, EAGAIN when it is, WRITABLE when a send will take
 * something. */
static void send_buffer(void **state)
{
    struct lab_config cfg = {.stack = {.send_buffer = 10000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1000");
    TALK(l, "< A 1 ack 1 win 1000\n"
            "send 6000\n"
            "send 6000 -> 4000\n"
            "send 1 -> EAGAIN\n"
            "forget\n"
            "events !WRITABLE\n"
            "< A 1 ack 1001 win 1000\n"
            "events WRITABLE\n"
            "send 5000 -> 1000\n"
            "forget\n"
            "? send_queue 9000");
    lab_end(l);
}

/* Bytes in place: peek shows them all, consume drops what was used. */
static void peek_and_consume(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_slice s[16];
    lab_accept(l, "mss 1460");
    assert_int_equal(tern_peek(l->t, l->flow[0].h, s, 16), -TERN_EAGAIN);
    for (int i = 0; i < 10; i++)
        TALKF(l, "< PA %d:%d(1000) ack 1\nforget", 1 + i * 1000, 1001 + i * 1000);
    int n = tern_peek(l->t, l->flow[0].h, s, 16);
    uint32_t total = 0;
    for (int i = 0; i < n; i++)
        for (uint32_t k = 0; k < s[i].len; k++)
            assert_int_equal(s[i].data[k], lab_byte(true, total++));
    assert_int_equal(total, 10000);
    assert_int_equal(tern_consume(l->t, l->flow[0].h, 10001), -TERN_EINVAL);
    assert_int_equal(tern_consume(l->t, l->flow[0].h, 9500), 0);
    l->flow[0].read = 9500;
    TALK(l, "recv 1000 -> 500\n"
            "< FA 10001 ack 1\n"
            "forget");
    assert_int_equal(tern_peek(l->t, l->flow[0].h, s, 16), 0);
    lab_end(l);
}

/* Options: what was set is read; what is out of range is refused. */
static void option_ranges(void **state)
{
    static const struct {
        enum tern_option opt;
        uint32_t good, bad;
    } list[] = {
        {TERN_OPT_NODELAY, 1, 2},
        {TERN_OPT_QUICKACK, 1, 2},
        {TERN_OPT_KEEPALIVE, 1, 2},
        {TERN_OPT_KEEPIDLE_MS, 1, 0},
        {TERN_OPT_KEEPINTVL_MS, 5, 0},
        {TERN_OPT_KEEPCNT, 2, 1},
        {TERN_OPT_LINGER0, 1, 2},
        {TERN_OPT_SEND_BUFFER, 1024, 1023},
        {TERN_OPT_RECV_BUFFER, 1 << 30, (1u << 30) + 1},
        {TERN_OPT_DSCP, 63, 64},
        {TERN_OPT_TTL, 255, 256},
        {TERN_OPT_TTL, 1, 0},
        {TERN_OPT_REPORTS, 0, 2},
        {TERN_OPT_MAX_SEG, 88, 87},
    };
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen");
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        uint32_t value = 0;
        assert_int_equal(tern_setopt(l->t, l->listener, list[i].opt, list[i].good), 0);
        assert_int_equal(tern_getopt(l->t, l->listener, list[i].opt, &value), 0);
        assert_int_equal(value, list[i].good);
        assert_int_equal(tern_setopt(l->t, l->listener, list[i].opt, list[i].bad), -TERN_EINVAL);
        assert_int_equal(tern_getopt(l->t, l->listener, list[i].opt, &value), 0);
        assert_int_equal(value, list[i].good);
    }
    assert_int_equal(tern_setopt(l->t, l->listener, (enum tern_option)999, 1), -TERN_EINVAL);
    lab_end(l);
}

/* MUST-28 and the other defaults of socket.h. */
static void option_defaults(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint32_t v;
    lab_accept(l, "mss 1460");
    assert_int_equal(tern_getopt(l->t, l->flow[0].h, TERN_OPT_KEEPIDLE_MS, &v), 0);
    assert_true(v >= 7200000);
    assert_int_equal(tern_getopt(l->t, l->flow[0].h, TERN_OPT_KEEPALIVE, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(tern_getopt(l->t, l->flow[0].h, TERN_OPT_NODELAY, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(tern_getopt(l->t, l->flow[0].h, TERN_OPT_REPORTS, &v), 0);
    assert_int_equal(v, 1);
    lab_end(l);
}

/* Listening: each refusal of the header. */
static void listening(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80}, own = {.ip = l->ip, .port = 81},
                  foreign = {.ip = l->peer_ip, .port = 82};
    tern_endpoint zero = {.port = 0};
    tern_handle h, h2;
    assert_int_equal(tern_listen(l->t, &any, 0, &h), 0);
    assert_int_equal(tern_listen(l->t, &any, 0, &h2), -TERN_EADDRINUSE);
    assert_int_equal(tern_listen(l->t, &zero, 0, &h2), -TERN_EINVAL);
    assert_int_equal(tern_listen(l->t, &foreign, 0, &h2), -TERN_EADDRNOTAVAIL);
    assert_int_equal(tern_listen(l->t, &own, 0, &h2), 0);
    assert_int_equal(tern_close(l->t, h2), 0);
    assert_int_equal(tern_close(l->t, h), 0);
    assert_int_equal(tern_listen(l->t, &any, 0, &h), 0);
    assert_int_equal(tern_close(l->t, h), 0);
    lab_end(l);
}

/* Connecting: each refusal; and MUST-44: the source address is chosen by the route before the first segment
 * leaves. */
static void connecting(void **state)
{
    struct lab *l = lab_new(state, NULL);
    bool v4 = tern_ip_is4(&l->ip);
    tern_ip far_ip = l->peer_ip, second = v4 ? tern_ip4(192, 168, 7, 1) : l->ip, second_peer;
    far_ip.b[v4 ? 12 : 0] = v4 ? 99 : 0x30;
    if (!v4)
        second.b[7] = 0x77;
    second_peer = second;
    second_peer.b[15] = 9;
    tern_link_info info = {.mtu = 1500};
    int link2 = tern_link_add(l->t, &info);
    assert_int_equal(tern_addr_add(l->t, link2, &second, v4 ? 24 : 64), 0);
    tern_endpoint to = {.ip = l->peer_ip, .port = 0}, far_end = {.ip = far_ip, .port = 80};
    tern_endpoint wrong = {.ip = l->peer_ip, .port = 1}, near_end = {.ip = second_peer, .port = 80};
    tern_handle h;
    assert_int_equal(tern_connect(l->t, NULL, &to, &h), -TERN_EINVAL);
    assert_int_equal(tern_connect(l->t, NULL, &far_end, &h), -TERN_ENETUNREACH);
    assert_int_equal(tern_connect(l->t, &wrong, &near_end, &h), -TERN_EADDRNOTAVAIL);
    assert_int_equal(tern_connect(l->t, NULL, &near_end, &h), 0);
    lab_collect(l);
    const struct lab_out *o = lab_next(l);
    assert_non_null(o);
    assert_true(ip_eq(&o->ip.src, &second));
    assert_int_equal(tern_abort(l->t, h), 0);
    lab_end(l);
}

/* A walk meets each record once: listener, half-open, open, TIME_WAIT. */
static void walking(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> SA 0 ack 1\n"
            "2< A 1 ack 1\n"
            "2 accept\n"
            "2 close\n"
            "2> FA 1 ack 1\n"
            "2< FA 1 ack 2\n"
            "2> A 2 ack 2");
    unsigned seen[TERN_STATES] = {0}, total = 0;
    uint64_t cursor = 0;
    tern_info i;
    while (tern_walk(l->t, &cursor, &i) == 1 && total < 100) {
        seen[i.state]++;
        total++;
        assert_true(i.conn > 0);
    }
    assert_int_equal(total, 4);
    assert_int_equal(seen[TERN_LISTEN], 1);
    assert_int_equal(seen[TERN_SYN_RCVD], 1);
    assert_int_equal(seen[TERN_ESTABLISHED], 1);
    assert_int_equal(seen[TERN_TIME_WAIT], 1);
    lab_end(l);
}

/* A listener goes: what it has not handed out is reset, what was accepted lives on. */
static void listener_closes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> SA 0 ack 1\n"
            "2< A 1 ack 1\n"
            "unlisten");
    unsigned resets = 0;
    const struct lab_out *o;
    while ((o = lab_next(l)) != NULL) {
        assert_true(o->seg.flags & F_RST);
        assert_true(o->flow == 1 || o->flow == 2);
        resets++;
    }
    assert_int_equal(resets, 2);
    TALK(l, "= ESTABLISHED\n"
            "1= CLOSED\n"
            "2= CLOSED\n"
            "< PA 1:11(10) ack 1\n"
            "recv 10");
    lab_forget(l);
    lab_end(l);
}

/* Settings are checked once, by tern_create: with the defaults filled in, so that half a range cannot be an
 * empty one. */
static void configurations(void **state)
{
    static const struct {
        tern_config c;
        bool good;
    } list[] = {
        {{.page_size = 3000}, false},
        {{.page_size = 1 << 17}, false},
        {{.page_size = 1 << 16}, true},
        {{.msl_ms = 600001}, false},
        {{.msl_ms = 1}, true},
        {{.delack_us = 500001}, false},
        {{.ecn = 3}, false},
        {{.recv_buffer = (1u << 30) + 1}, false},
        {{.port_low = 50000, .port_high = 40000}, false},
        {{.port_high = 20000}, false}, /* below the default of port_low */
        {{.port_low = 61000}, false},  /* above the default of port_high */
        {{.port_low = 5, .port_high = 5}, true},
    };
    (void)state;
    void *block = aligned_alloc(16, 16 << 20);
    assert_non_null(block);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        tern *t;
        int r = tern_create(&t, &list[i].c, block, 16 << 20);
        if (r != (list[i].good ? 0 : -TERN_EINVAL))
            fail_msg("configuration %zu: tern_create gave %d", i, r);
        if (r == 0)
            tern_destroy(t);
    }
    tern *t;
    size_t least = tern_min_size(NULL);
    assert_int_equal(tern_create(&t, NULL, block, least - 4096), -TERN_ENOMEM);
    assert_int_equal(tern_create(&t, NULL, block, least), 0);
    tern_destroy(t);
    free(block);
}

/* The table that the door asserts: no edge twice, none that goes nowhere, and all that a listener takes. */
static void legal_edges(void **state)
{
    tern_edge e[256];
    (void)state;
    int n = tern_edges(e, 256);
    assert_in_range(n, 79, 256);
    for (int i = 0; i < n; i++) {
        assert_in_range(e[i].cause, 1, TERN_CAUSES - 1);
        assert_true(e[i].from < TERN_STATES && e[i].to < TERN_STATES && e[i].from != e[i].to);
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(&e[i], &e[k], sizeof e[i]);
    }
    tern_edge few[3] = {{0}};
    assert_int_equal(tern_edges(few, 2), n);
    assert_memory_equal(few, e, 2 * sizeof *e);
    assert_int_equal(few[2].cause, 0);
}

/* Both initial numbers, as soon as they are known. */
static void initial_numbers(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_info i;
    lab_accept(l, "mss 1460");
    assert_true(lab_info(l, 0, &i));
    assert_true(l->flow[0].iss_known);
    assert_int_equal(i.iss, l->flow[0].iss);
    assert_int_equal(i.irs, l->flow[0].peer_iss);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(stale_handles),
        LAB_TEST(only_some_trace),  LAB_TEST(generations),     LAB_TEST(readiness),
        LAB_TEST(many_events),    LAB_TEST(send_buffer),     LAB_TEST(peek_and_consume),
        LAB_TEST(option_ranges),  LAB_TEST(option_defaults), LAB_TEST(listening),
        LAB_TEST(connecting),     LAB_TEST(walking),         LAB_TEST(listener_closes),
        LAB_TEST(configurations), LAB_TEST(legal_edges), LAB_TEST(initial_numbers),
    };
    return LAB_MAIN(tests);
}
