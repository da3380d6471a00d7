/* Neighbour discovery: golden messages, what RFC 4861 6.1 and 7.1 have ignored, round trips. */
#include "wire/ndp.h"
#include "wire_golden.h"
#include "wire_help.h"

static const struct eth_addr A = {{2, 0, 0, 0, 0, 10}}, B = {{2, 0, 0, 0, 0, 11}};

static enum tern_cause parse(const uint8_t *p, uint32_t len, struct ndp_msg *out)
{
    struct ip_hdr ip;
    struct icmp_msg icmp;
    uint8_t *copy = exact(p, len);
    assert_int_equal(ip_parse(copy, len, &ip), TERN_CAUSE_NONE);
    assert_int_equal(icmp_parse(&ip, &icmp), TERN_CAUSE_NONE);
    enum tern_cause cause = ndp_parse(&ip, &icmp, out);
    free(copy);
    return cause;
}

/* Make the lengths and the checksum right again after a change. */
static enum tern_cause parse_fixed(uint8_t *p, uint32_t len, struct ndp_msg *out)
{
    tern_ip src, dst;
    memcpy(src.b, p + 8, 16);
    memcpy(dst.b, p + 24, 16);
    put16(p + 4, (uint16_t)(len - 40));
    put16(p + 42, 0);
    put16(p + 42, csum_fold(csum_add(csum_pseudo(&src, &dst, PROTO_ICMP6, len - 40), p + 40, len - 40)));
    return parse(p, len, out);
}

static void golden(void **state)
{
    (void)state;
    struct ndp_msg m;
    tern_ip two = ip6(0x2001, 0xdb8, 2);
    assert_int_equal(parse(GOLD_NS, sizeof GOLD_NS, &m), TERN_CAUSE_NONE);
    assert_true(m.type == ICMP6_NEIGHBOUR_SOLICIT && ip_eq(&m.target, &two) && m.has_hw);
    assert_memory_equal(m.hw.b, A.b, 6);
    assert_int_equal(parse(GOLD_NA, sizeof GOLD_NA, &m), TERN_CAUSE_NONE);
    assert_true(m.type == ICMP6_NEIGHBOUR_ADVERT && ip_eq(&m.target, &two) && m.has_hw);
    assert_true(m.solicited && m.override && !m.router);
    assert_memory_equal(m.hw.b, B.b, 6);
    assert_int_equal(parse(GOLD_NS_DAD, sizeof GOLD_NS_DAD, &m), TERN_CAUSE_NONE);
    assert_true(!m.has_hw && ip_is_link_local6(&m.target));
    assert_int_equal(parse(GOLD_RS, sizeof GOLD_RS, &m), TERN_CAUSE_NONE);
    assert_true(m.type == ICMP6_ROUTER_SOLICIT && m.has_hw);
}

static void writes_as_linux(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *p;
        uint32_t n;
    } rows[] = {{GOLD_NS, sizeof GOLD_NS}, {GOLD_NA, sizeof GOLD_NA}, {GOLD_RS, sizeof GOLD_RS}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ndp_msg m;
        struct ip_hdr ip;
        uint8_t made[NDP_MAX];
        assert_int_equal(ip_parse(rows[i].p, rows[i].n, &ip), TERN_CAUSE_NONE);
        assert_int_equal(parse(rows[i].p, rows[i].n, &m), TERN_CAUSE_NONE);
        assert_int_equal(ndp_emit(made, &m, &ip.src, &ip.dst), ip.payload_len);
        assert_memory_equal(made, ip.payload, ip.payload_len);
    }
}

/* RFC4861-4.6-a, RFC4861-7.1.1-b */
static void cut(void **state)
{
    (void)state;
    struct ndp_msg m;
    uint8_t p[100];
    for (uint32_t n = 48; n <= sizeof GOLD_NA; n++) {
        memcpy(p, GOLD_NA, sizeof GOLD_NA);
        assert_int_equal(parse_fixed(p, n, &m) == TERN_CAUSE_NONE, n == 64 || n == sizeof GOLD_NA);
    }
    memcpy(p, GOLD_NA, sizeof GOLD_NA);
    p[65] = 0; /* an option of length 0 */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NA, &m), TERN_C_NDP_MALFORMED);
    p[65] = 2; /* and one that is too long */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NA, &m), TERN_C_NDP_MALFORMED);
    p[64] = 1, p[65] = 1; /* and one of solicitations */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NA, &m), TERN_CAUSE_NONE);
    assert_false(m.has_hw);
    p[64] = 200; /* and one that nobody knows */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NA, &m), TERN_CAUSE_NONE);
    assert_false(m.has_hw);
}

/* RFC4861-7.1.1-a, RFC4861-7.1.2-a: hop limit 255 and code 0; every other type. */
static void must_be_ignored(void **state)
{
    (void)state;
    struct ndp_msg m;
    uint8_t p[100];
    for (uint32_t hops = 0; hops < 256; hops++) {
        memcpy(p, GOLD_NS, sizeof GOLD_NS);
        p[7] = (uint8_t)hops;
        assert_int_equal(parse(p, sizeof GOLD_NS, &m) == TERN_CAUSE_NONE, hops == 255);
        memcpy(p, GOLD_NS, sizeof GOLD_NS);
        p[41] = (uint8_t)hops;
        assert_int_equal(parse_fixed(p, sizeof GOLD_NS, &m) == TERN_CAUSE_NONE, hops == 0);
        p[41] = 0, p[40] = (uint8_t)hops;
        if (hops < 133 || hops > 136)
            assert_int_equal(parse_fixed(p, sizeof GOLD_NS, &m), TERN_C_NDP_MALFORMED);
    }
}

/* RFC4861-7.1.1-a, RFC4861-7.1.2-a, RFC 4861 6.1.1: the addresses. */
static void addresses(void **state)
{
    (void)state;
    struct ndp_msg m;
    uint8_t p[100];
    memcpy(p, GOLD_NS, sizeof GOLD_NS);
    p[48] = 0xff; /* multicast target */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NS, &m), TERN_C_NDP_MALFORMED);
    tern_ip mapped = tern_ip4(192, 0, 2, 1); /* it is no IPv6 address, and could be one of ours */
    memcpy(p + 48, mapped.b, 16);
    assert_int_equal(parse_fixed(p, sizeof GOLD_NS, &m), TERN_C_NDP_MALFORMED);
    memcpy(p, GOLD_NS, sizeof GOLD_NS);
    memset(p + 8, 0, 16); /* nobody asks, and says where to answer */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NS, &m), TERN_C_NDP_MALFORMED);
    assert_int_equal(parse_fixed(p, 64, &m), TERN_CAUSE_NONE);
    p[39] ^= 1; /* not the solicited-node address of the target */
    assert_int_equal(parse_fixed(p, 64, &m), TERN_C_NDP_MALFORMED);
    memcpy(p, GOLD_NA, sizeof GOLD_NA);
    p[24] = 0xff; /* solicited, and to all */
    assert_int_equal(parse_fixed(p, sizeof GOLD_NA, &m), TERN_C_NDP_MALFORMED);
    p[44] = 0x20;
    assert_int_equal(parse_fixed(p, sizeof GOLD_NA, &m), TERN_CAUSE_NONE);
    memcpy(p, GOLD_RS, sizeof GOLD_RS);
    memset(p + 8, 0, 16);
    assert_int_equal(parse_fixed(p, sizeof GOLD_RS, &m), TERN_C_NDP_MALFORMED);
    assert_int_equal(parse_fixed(p, 48, &m), TERN_CAUSE_NONE);
}

static struct ndp_msg random_msg(uint64_t *r)
{
    struct ndp_msg m = {.type = (uint8_t)(ICMP6_ROUTER_SOLICIT + rnd(r) % 4), .has_hw = rnd(r) % 2};
    if (m.has_hw)
        rnd_bytes(r, m.hw.b, 6);
    if (m.type == ICMP6_NEIGHBOUR_SOLICIT || m.type == ICMP6_NEIGHBOUR_ADVERT)
        m.target = rnd_ip(r, 6);
    if (m.type == ICMP6_NEIGHBOUR_ADVERT)
        m.router = rnd(r) % 2, m.solicited = rnd(r) % 2, m.override = rnd(r) % 2;
    if (m.type != ICMP6_ROUTER_ADVERT)
        return m;
    m.hop_limit = (uint8_t)rnd(r), m.managed = rnd(r) % 2, m.other = rnd(r) % 2;
    m.lifetime_s = (uint16_t)rnd(r);
    m.reachable_ms = (uint32_t)rnd(r), m.retrans_ms = (uint32_t)rnd(r), m.mtu = (uint32_t)(rnd(r) % 3);
    m.n_prefixes = (uint8_t)(rnd(r) % (NDP_PREFIXES + 1));
    for (uint8_t i = 0; i < m.n_prefixes; i++) {
        struct ndp_prefix *x = &m.prefixes[i];
        x->prefix = rnd_ip(r, 6), x->len = (uint8_t)(rnd(r) % 129);
        x->on_link = rnd(r) % 2, x->autonomous = rnd(r) % 2;
        x->valid_s = (uint32_t)rnd(r), x->preferred_s = (uint32_t)rnd(r);
    }
    return m;
}

static void same(const struct ndp_msg *a, const struct ndp_msg *b)
{
    assert_true(a->type == b->type && a->has_hw == b->has_hw && ip_eq(&a->target, &b->target));
    assert_memory_equal(a->hw.b, b->hw.b, 6);
    assert_true(a->router == b->router && a->solicited == b->solicited && a->override == b->override);
    assert_true(a->hop_limit == b->hop_limit && a->managed == b->managed && a->other == b->other);
    assert_true(a->lifetime_s == b->lifetime_s && a->reachable_ms == b->reachable_ms && a->mtu == b->mtu);
    assert_true(a->retrans_ms == b->retrans_ms && a->n_prefixes == b->n_prefixes);
    for (uint8_t i = 0; i < a->n_prefixes; i++) {
        const struct ndp_prefix *x = &a->prefixes[i], *y = &b->prefixes[i];
        assert_true(ip_eq(&x->prefix, &y->prefix) && x->len == y->len && x->on_link == y->on_link);
        assert_true(x->autonomous == y->autonomous && x->valid_s == y->valid_s);
        assert_true(x->preferred_s == y->preferred_s);
    }
}

static void round_trips(void **state)
{
    (void)state;
    uint64_t r = 10;
    for (int i = 0; i < 20000; i++) {
        uint8_t p[40 + NDP_MAX];
        struct ndp_msg in = random_msg(&r), out;
        tern_ip src = ip6(0xfe80, 0, (uint16_t)rnd(&r)), dst = ip6(0x2001, 0, (uint16_t)rnd(&r));
        uint16_t len = ndp_emit(p + 40, &in, &src, &dst);
        assert_true(len <= NDP_MAX);
        ip_emit(p, &src, &dst, PROTO_ICMP6, 255, 0, len, 0);
        assert_int_equal(parse(p, 40u + len, &out), TERN_CAUSE_NONE);
        same(&in, &out);
        for (uint32_t n = 48; in.type == ICMP6_ROUTER_ADVERT && n < 40u + len; n += 3) {
            uint8_t q[40 + NDP_MAX];
            memcpy(q, p, sizeof q);
            parse_fixed(q, n, &out); /* cut short: nothing is read beyond */
        }
    }
}

/* Router advertisements: from link-local addresses only; more prefixes than are kept; one that cannot be, and
 * options that do not belong there. (RFC4861-6.1.2-ab) */
static void router_advertisements(void **state)
{
    (void)state;
    uint8_t p[400];
    struct ndp_msg out, in = {.type = ICMP6_ROUTER_ADVERT, .n_prefixes = 2};
    in.prefixes[0].len = 64, in.prefixes[1].len = 10;
    tern_ip src = ip6(0xfe80, 0, 1), dst = ip6(0xff02, 0, 1), global = ip6(0x2001, 0xdb8, 1);
    uint32_t len = 40u + ndp_emit(p + 40, &in, &src, &dst);
    ip_emit(p, &src, &dst, PROTO_ICMP6, 255, 0, len - 40, 0);
    for (int i = 0; i < 6; i++, len += 32)
        memcpy(p + len, p + len - 32, 32);
    assert_int_equal(parse_fixed(p, len, &out), TERN_CAUSE_NONE);
    assert_int_equal(out.n_prefixes, NDP_PREFIXES);
    p[56 + 2] = 129;
    assert_int_equal(parse_fixed(p, 56 + 64, &out), TERN_CAUSE_NONE);
    assert_true(out.n_prefixes == 1 && out.prefixes[0].len == 10);
    p[56] = 77, p[56 + 32] = 2, p[56 + 33] = 1; /* unknown; of advertisements of neighbours */
    assert_int_equal(parse_fixed(p, 56 + 32 + 8, &out), TERN_CAUSE_NONE);
    assert_true(out.n_prefixes == 0 && !out.has_hw);
    memcpy(p + 8, global.b, 16);
    assert_int_equal(parse_fixed(p, 56 + 32 + 8, &out), TERN_C_NDP_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),    cmocka_unit_test(writes_as_linux), cmocka_unit_test(cut),
        cmocka_unit_test(addresses), cmocka_unit_test(must_be_ignored), cmocka_unit_test(round_trips),
        cmocka_unit_test(router_advertisements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
