/* ICMP and ICMPv6: golden messages, embedded packets whole and cut short. */
#include "wire_golden.h"
#include "wire_help.h"

/* Parse a whole IP packet from a block of its own; `out->body` dangles afterwards. */
static enum tern_cause parse(const uint8_t *p, uint32_t len, struct icmp_msg *out)
{
    struct ip_hdr ip;
    uint8_t *copy = exact(p, len);
    enum tern_cause cause = ip_parse(copy, len, &ip);
    assert_int_equal(cause, TERN_CAUSE_NONE);
    cause = icmp_parse(&ip, out);
    free(copy);
    return cause;
}

/* A message of this type with this body, over IPv4 or IPv6. */
static enum tern_cause message(int version, uint8_t type, const uint8_t *body, uint32_t n,
                               struct icmp_msg *out)
{
    uint8_t p[400];
    tern_ip src = version == 4 ? tern_ip4(192, 0, 2, 1) : ip6(0x2001, 0xdb8, 1);
    uint16_t len = ip_emit(p, &src, &src, version == 4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 8 + n, 0);
    icmp_emit(p + len, (uint8_t)version, type, 3, 0x01020304, body, n, &src, &src);
    memcpy(p + len + 8, body, n);
    return parse(p, len + 8u + n, out);
}

static void golden_echo(void **state)
{
    (void)state;
    struct icmp_msg m;
    assert_int_equal(parse(GOLD_ECHO4, sizeof GOLD_ECHO4, &m), TERN_CAUSE_NONE);
    assert_true(m.version == 4 && m.type == ICMP_ECHO && m.code == 0 && m.rest == 0x74650001);
    assert_int_equal(m.body_len, 16);
    assert_false(m.is_error || m.has_tcp);
    assert_int_equal(parse(GOLD_ECHO6, sizeof GOLD_ECHO6, &m), TERN_CAUSE_NONE);
    assert_true(m.version == 6 && m.type == ICMP6_ECHO && m.rest == 0x74650001 && m.body_len == 16);
    assert_false(m.is_error || m.has_tcp);
}

/* Emit makes the same bytes as Linux did. */
static void writes_as_linux(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *p;
        uint32_t n;
    } rows[] = {{GOLD_ECHO4, sizeof GOLD_ECHO4}, {GOLD_ECHO6, sizeof GOLD_ECHO6},
                {GOLD_UNREACH4, sizeof GOLD_UNREACH4}, {GOLD_UNREACH6, sizeof GOLD_UNREACH6}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_hdr ip;
        struct icmp_msg m;
        uint8_t made[8];
        assert_int_equal(ip_parse(rows[i].p, rows[i].n, &ip), TERN_CAUSE_NONE);
        assert_int_equal(icmp_parse(&ip, &m), TERN_CAUSE_NONE);
        icmp_emit(made, m.version, m.type, m.code, m.rest, m.body, m.body_len, &ip.src, &ip.dst);
        assert_memory_equal(made, ip.payload, 8);
    }
}

static void golden_errors(void **state)
{
    (void)state;
    struct icmp_msg m;
    tern_ip us4 = tern_ip4(192, 0, 2, 1), to4 = tern_ip4(198, 51, 100, 9);
    assert_int_equal(parse(GOLD_UNREACH4, sizeof GOLD_UNREACH4, &m), TERN_CAUSE_NONE);
    assert_true(m.is_error && m.has_tcp && m.type == ICMP_UNREACH && m.code == 1);
    assert_true(ip_eq(&m.in_src, &us4) && ip_eq(&m.in_dst, &to4) && m.in_dst_port == 80);
    assert_int_equal(m.in_src_port, 60094);
    assert_int_equal(m.in_seq.v, get32(GOLD_UNREACH4 + 20 + 8 + 20 + 4));
    assert_int_equal(parse(GOLD_UNREACH6, sizeof GOLD_UNREACH6, &m), TERN_CAUSE_NONE);
    tern_ip us6 = ip6(0x2001, 0xdb8, 1), to6 = ip6(0x2001, 0xdb8, 9);
    put16(to6.b + 4, 1);
    assert_true(m.is_error && m.has_tcp && m.type == ICMP6_UNREACH && m.code == 0);
    assert_true(ip_eq(&m.in_src, &us6) && ip_eq(&m.in_dst, &to6) && m.in_dst_port == 80);
    assert_int_equal(m.in_src_port, 44196);
    assert_int_equal(m.in_seq.v, get32(GOLD_UNREACH6 + 40 + 8 + 40 + 4));
}

/* Too short, or with any bit flipped: refused. In IPv6 the addresses count too. */
static void damaged(void **state)
{
    (void)state;
    struct icmp_msg m;
    uint8_t p[200];
    for (uint32_t n = 0; n < 8; n++)
        assert_int_equal(parse(p, ip4_around(p, PROTO_ICMP, GOLD_ECHO4 + 20, n), &m), TERN_C_ICMP_MALFORMED);
    for (uint32_t n = 8; n < 24; n++)
        assert_int_equal(parse(p, ip4_around(p, PROTO_ICMP, GOLD_ECHO4 + 20, n), &m), TERN_C_ICMP_MALFORMED);
    for (uint32_t bit = 160; bit < 8 * sizeof GOLD_ECHO4; bit++) {
        memcpy(p, GOLD_ECHO4, sizeof GOLD_ECHO4);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(parse(p, sizeof GOLD_ECHO4, &m), TERN_C_ICMP_MALFORMED);
    }
    for (uint32_t bit = 64; bit < 8 * sizeof GOLD_ECHO6; bit++) {
        memcpy(p, GOLD_ECHO6, sizeof GOLD_ECHO6);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(parse(p, sizeof GOLD_ECHO6, &m), TERN_C_ICMP_MALFORMED);
    }
}

/* The embedded packet cut at every byte: TCP is known from 8 bytes behind its IP header on. */
static void embedded_cut(void **state)
{
    (void)state;
    struct icmp_msg m;
    for (uint32_t n = 0; n <= 60; n++) {
        assert_int_equal(message(4, ICMP_UNREACH, GOLD_SYN4, n, &m), TERN_CAUSE_NONE);
        assert_true(m.is_error && m.has_tcp == (n >= 28));
    }
    for (uint32_t n = 0; n <= 80; n++) {
        assert_int_equal(message(6, ICMP6_TOO_BIG, GOLD_SYN6, n, &m), TERN_CAUSE_NONE);
        assert_true(m.is_error && m.has_tcp == (n >= 48));
    }
}

static void which_types_are_errors(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < 256; type++) {
        struct icmp_msg m;
        bool error4 = type == 3 || type == 4 || type == 11 || type == 12, error6 = type >= 1 && type <= 4;
        assert_int_equal(message(4, (uint8_t)type, GOLD_SYN4, sizeof GOLD_SYN4, &m), TERN_CAUSE_NONE);
        assert_true(m.is_error == error4 && m.has_tcp == error4 && m.code == 3 && m.rest == 0x01020304);
        assert_int_equal(message(6, (uint8_t)type, GOLD_SYN6, sizeof GOLD_SYN6, &m), TERN_CAUSE_NONE);
        assert_true(m.is_error == error6 && m.has_tcp == error6);
    }
}

/* What is not the beginning of a TCP segment of the same family is no business of TCP. */
static void embedded_others(void **state)
{
    (void)state;
    struct icmp_msg m;
    uint8_t p[100];
    assert_int_equal(message(4, ICMP_UNREACH, GOLD_SYN6, sizeof GOLD_SYN6, &m), TERN_CAUSE_NONE);
    assert_false(m.has_tcp);
    assert_int_equal(message(6, ICMP6_UNREACH, GOLD_SYN4, sizeof GOLD_SYN4, &m), TERN_CAUSE_NONE);
    assert_false(m.has_tcp);
    static const struct {
        uint8_t at, value;
    } changes[] = {{9, PROTO_UDP}, {7, 1}, {6, 0x1f}, {0, 0x44}, {0, 0x55}, {0, 0x4f}};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        memcpy(p, GOLD_SYN4, sizeof GOLD_SYN4);
        p[changes[i].at] = changes[i].value;
        assert_int_equal(message(4, ICMP_UNREACH, p, sizeof GOLD_SYN4, &m), TERN_CAUSE_NONE);
        assert_false(m.has_tcp);
    }
    /* what routers change, and a first fragment, do not matter */
    memcpy(p, GOLD_SYN4, sizeof GOLD_SYN4);
    p[1] = 3, p[6] = 0x20, p[8] = 0, p[10] = 0, put16(p + 2, 9999);
    assert_int_equal(message(4, ICMP_TIME, p, 28, &m), TERN_CAUSE_NONE);
    assert_true(m.has_tcp);
    /* IPv4-mapped addresses inside of IPv6 */
    tern_ip mapped = tern_ip4(192, 0, 2, 1);
    memcpy(p, GOLD_SYN6, sizeof GOLD_SYN6);
    memcpy(p + 24, mapped.b, 16);
    assert_int_equal(message(6, ICMP6_UNREACH, p, sizeof GOLD_SYN6, &m), TERN_CAUSE_NONE);
    assert_false(m.has_tcp);
    memcpy(p, GOLD_SYN6, sizeof GOLD_SYN6);
    memcpy(p + 8, mapped.b, 16);
    assert_int_equal(message(6, ICMP6_UNREACH, p, sizeof GOLD_SYN6, &m), TERN_CAUSE_NONE);
    assert_false(m.has_tcp);
}

/* Extension headers in the embedded packet, cut at every byte. */
static void embedded_extensions(void **state)
{
    (void)state;
    uint8_t p[120];
    memcpy(p, GOLD_SYN6, 40);
    static const uint8_t chain[] = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9};
    p[6] = 0;
    memcpy(p + 40, chain, sizeof chain);
    memcpy(p + 64, GOLD_SYN6 + 40, 40);
    for (uint32_t n = 0; n <= 104; n++) {
        struct icmp_msg m;
        assert_int_equal(message(6, ICMP6_TIME, p, n, &m), TERN_CAUSE_NONE);
        assert_true(m.has_tcp == (n >= 72));
        assert_true(!m.has_tcp || m.in_dst_port == 7000);
    }
    struct icmp_msg m;
    p[59] = 9; /* a later fragment */
    assert_int_equal(message(6, ICMP6_TIME, p, 104, &m), TERN_CAUSE_NONE);
    assert_false(m.has_tcp);
}

static void round_trips(void **state)
{
    (void)state;
    uint64_t r = 8;
    for (int i = 0; i < 20000; i++) {
        uint8_t p[200], version = i % 2 ? 4 : 6, type = (uint8_t)rnd(&r), code = (uint8_t)rnd(&r);
        tern_ip src = rnd_ip(&r, version), dst = rnd_ip(&r, version);
        uint32_t rest = (uint32_t)rnd(&r), n = (uint32_t)(rnd(&r) % 100);
        uint16_t len = ip_emit(p, &src, &dst, version == 4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 8 + n, 0);
        rnd_bytes(&r, p + len + 8, n);
        icmp_emit(p + len, version, type, code, rest, p + len + 8, n, &src, &dst);
        struct icmp_msg m;
        assert_int_equal(parse(p, len + 8 + n, &m), TERN_CAUSE_NONE);
        assert_true(m.type == type && m.code == code && m.rest == rest);
        assert_true(m.body_len == n && m.version == version);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_echo),
        cmocka_unit_test(writes_as_linux),
        cmocka_unit_test(golden_errors),
        cmocka_unit_test(damaged),
        cmocka_unit_test(embedded_cut),
        cmocka_unit_test(which_types_are_errors),
        cmocka_unit_test(embedded_others),
        cmocka_unit_test(embedded_extensions),
        cmocka_unit_test(round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
