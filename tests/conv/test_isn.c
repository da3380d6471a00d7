/* Numbers that outsiders must not guess: ISNs (RFC 6528), ports (RFC 6056). */
#include "lab/lab.h"

static uint32_t isn_of(struct lab *l, int flow)
{
    char line[32];
    snprintf(line, sizeof(line), "%d connect\n%d> S 0", flow, flow);
    TALK(l, line);
    return l->flow[flow].iss;
}

static uint32_t isn_at(void **state, uint64_t start, uint8_t seed)
{
    struct lab_config cfg = {.start = start};
    cfg.stack.seed[31] = seed;
    struct lab *l = lab_new(state, &cfg);
    l->tuned = true;
    uint32_t iss = isn_of(l, 0);
    lab_end(l);
    return iss;
}

/* RFC 6528 3, SHLD-1, MUST-8: M, a clock of 4 us a tick, on top of F. (RFC6528-3-a) */
static void clock_part(void **state)
{
    uint32_t first = isn_at(state, SEC, 0);
    assert_int_equal(isn_at(state, SEC + 4, 0) - first, 1);
    assert_int_equal(isn_at(state, SEC + 400, 0) - first, 100);
    assert_int_equal(isn_at(state, 3601 * SEC, 0) - first, 900000000u);
    assert_int_equal(isn_at(state, SEC + 4ull * 0x100000000ull, 0), first); /* 4.77 hours: once around */
}

/* SHLD-1, MUST-9: F depends on the secret and on each part of the 4-tuple. (RFC6528-3-bc) */
static void keyed_part(void **state)
{
    uint32_t first = isn_at(state, SEC, 0);
    assert_int_not_equal(isn_at(state, SEC, 1), first);
    struct lab *l = lab_new(state, NULL);
    l->tuned = true;
    uint32_t seen[LAB_FLOWS];
    for (int i = 0; i < LAB_FLOWS; i++) {
        seen[i] = isn_of(l, i);
        for (int k = 0; k < i; k++) {
            uint32_t d = seen[i] - seen[k];
            assert_true(d > 100000 && d < 0xffffffffu - 100000);
        }
    }
    lab_end(l);
}

/* A listener's ISNs follow the same rule: a later incarnation of the same pair starts above the earlier one
 * (3.4.1). */
static void later_is_above(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    uint32_t first = l->flow[0].iss;
    TALK(l, "< R 1\n"
            "+1s reborn 5000\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    assert_int_equal(l->flow[0].iss - first, 250000);
    lab_end(l);
}

/* --- ports --- */

static uint16_t port_of(struct lab *l, const tern_endpoint *remote)
{
    tern_handle h;
    tern_info info;
    assert_int_equal(tern_connect(l->t, NULL, remote, &h), 0);
    assert_int_equal(tern_get_info(l->t, h, &info), 0);
    assert_int_equal(tern_abort(l->t, h), 0);
    lab_collect(l);
    lab_forget(l);
    return info.local.port;
}

/* In the configured range, and to different remotes not the same sequence (RFC 6056 3.3: an offset for each).
 (RFC6056-3.2-c, RFC6056-3.3-a, RFC6056-5-a, RFC5927-4.2-a) */
static void ports(void **state)
{
    struct lab_config cfg = {.stack = {.port_low = 40000, .port_high = 49999}};
    struct lab *l = lab_new(state, &cfg);
    unsigned sequential = 0;
    uint16_t last = 0;
    for (unsigned i = 0; i < 200; i++) {
        tern_endpoint remote = {.ip = l->peer_ip, .port = (uint16_t)(1000 + i)};
        uint16_t port = port_of(l, &remote);
        assert_in_range(port, 40000, 49999);
        sequential += port == last + 1;
        last = port;
    }
    assert_in_range(sequential, 0, 5);
    lab_end(l);
}

/* RFC6056-3.1-a, RFC6056-3.2-a: the port of a listener is given to no connect, whatever its address.
 * (RFC6056-3.2-b) */
static void ports_of_listeners(void **state)
{
    struct lab_config cfg = {.stack = {.port_low = 50000, .port_high = 50003}};
    struct lab *l = lab_new(state, &cfg);
    tern_endpoint at = {.port = 50002}, own = {.ip = l->ip, .port = 50000};
    tern_endpoint remote = {.ip = l->peer_ip, .port = 80};
    tern_handle any, one;
    tern_port_use use;
    assert_int_equal(tern_listen(l->t, &at, 0, &any), 0);
    assert_int_equal(tern_listen(l->t, &own, 0, &one), 0);
    assert_int_equal(tern_ports(l->t, NULL, &remote, &use), 0);
    assert_int_equal(use.free, 2);
    assert_int_equal(use.by_state[TERN_LISTEN], 2);
    for (int i = 0; i < 20; i++)
        assert_int_equal(port_of(l, &remote) & 1, 1);
    assert_int_equal(tern_abort(l->t, any), 0);
    assert_int_equal(tern_abort(l->t, one), 0);
    lab_end(l);
}

/* Another seed, other ports. (RFC6056-3.3-a) */
static void ports_are_keyed(void **state)
{
    uint16_t seen[2][50];
    for (int s = 0; s < 2; s++) {
        struct lab_config cfg = {.stack = {.seed = {(uint8_t)s}}};
        struct lab *l = lab_new(state, &cfg);
        for (unsigned i = 0; i < 50; i++) {
            tern_endpoint remote = {.ip = l->peer_ip, .port = (uint16_t)(1000 + i)};
            seen[s][i] = port_of(l, &remote);
        }
        lab_end(l);
    }
    unsigned equal = 0;
    for (unsigned i = 0; i < 50; i++)
        equal += seen[0][i] == seen[1][i];
    assert_in_range(equal, 0, 5);
}

/* They run out towards one remote, with their own error, and not towards another; each is used once. */
static void ports_run_out(void **state)
{
    struct lab_config cfg = {.stack = {.port_low = 50000, .port_high = 50019}};
    struct lab *l = lab_new(state, &cfg);
    tern_endpoint remote = {.ip = l->peer_ip, .port = 80}, other = {.ip = l->peer_ip, .port = 81};
    tern_handle h[20], more;
    bool used[20] = {false};
    for (int i = 0; i < 20; i++) {
        tern_info info;
        assert_int_equal(tern_connect(l->t, NULL, &remote, &h[i]), 0);
        assert_int_equal(tern_get_info(l->t, h[i], &info), 0);
        assert_in_range(info.local.port, 50000, 50019);
        assert_false(used[info.local.port - 50000]);
        used[info.local.port - 50000] = true;
    }
    assert_int_equal(tern_connect(l->t, NULL, &remote, &more), -TERN_ENOSR);
    assert_int_equal(tern_connect(l->t, NULL, &other, &more), 0);
    assert_int_equal(tern_abort(l->t, more), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(tern_abort(l->t, h[i]), 0);
    assert_int_equal(tern_connect(l->t, NULL, &remote, &more), 0);
    assert_int_equal(tern_abort(l->t, more), 0);
    lab_end(l);
}

/* The same inputs give the same numbers: two stacks of one seed agree in every bit that they send. */
static void a_function_of_its_inputs(void **state)
{
    struct lab *a = lab_new(state, NULL), *b = lab_new(state, NULL);
    struct lab *both[] = {a, b};
    for (int i = 0; i < 2; i++)
        TALK(both[i], "connect\n"
                      "+100ms < SA 0 ack 1 win 65535 <mss 1000,sackOK,ts,wscale 7>\n"
                      "send 30000\n"
                      "+1s < A 1 ack 1001 <sack 3001:5001>\n"
                      "+1s < PA 1:101(100) ack 1001");
    assert_int_equal(lab_pending(a), lab_pending(b));
    const struct lab_out *x, *y;
    while ((x = lab_next(a)) != NULL && (y = lab_next(b)) != NULL) {
        assert_int_equal(x->t, y->t);
        assert_int_equal(x->len, y->len);
        assert_memory_equal(x->bytes, y->bytes, x->len);
    }
    lab_end(a);
    lab_end(b);
}

/* RFC6056-3.1-b: a port that was used a moment ago comes last, though it is free. */
static void ports_go_round(void **state)
{
    struct lab_config cfg = {.stack = {.port_low = 50000, .port_high = 50019}};
    struct lab *l = lab_new(state, &cfg);
    tern_endpoint remote = {.ip = l->peer_ip, .port = 80};
    unsigned used = 0;
    for (int i = 0; i < 20; i++)
        used |= 1u << (port_of(l, &remote) - 50000);
    assert_int_equal(used, (1u << 20) - 1);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(clock_part),
        LAB_TEST(keyed_part),
        LAB_TEST(later_is_above),
        LAB_TEST(ports),
        LAB_TEST(ports_of_listeners), LAB_TEST(ports_are_keyed),
        LAB_TEST(ports_run_out),
        LAB_TEST(a_function_of_its_inputs),
        LAB_TEST(ports_go_round),
    };
    return LAB_MAIN(tests);
}
