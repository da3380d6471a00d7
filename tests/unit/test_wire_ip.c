/* IPv4 and IPv6 headers: golden packets, every truncation, options and extension headers. */
#include "wire_golden.h"
#include "wire_help.h"

static enum tern_cause parse(const uint8_t *p, uint32_t len, struct ip_hdr *ip)
{
    uint8_t *copy = exact(p, len);
    enum tern_cause cause = ip_parse(copy, len, ip);
    free(copy);
    return cause;
}

static void fix_csum4(uint8_t *p)
{
    put16(p + 10, 0);
    put16(p + 10, slow_csum(p, (p[0] & 15) * 4u, 0));
}

/* --- IPv4 ------------------------------------------------------------------------------------------ */

static void golden4(void **state)
{
    (void)state;
    struct ip_hdr ip;
    const uint8_t *p = GOLD_SYN4;
    assert_int_equal(ip_parse(p, sizeof GOLD_SYN4, &ip), TERN_CAUSE_NONE);
    tern_ip src = tern_ip4(192, 0, 2, 1), dst = tern_ip4(192, 0, 2, 2);
    assert_true(ip_eq(&ip.src, &src) && ip_eq(&ip.dst, &dst));
    assert_int_equal(ip.version, 4);
    assert_int_equal(ip.proto, PROTO_TCP);
    assert_int_equal(ip.ttl, 64);
    assert_int_equal(ip.hdr_len, 20);
    assert_int_equal(ip.frag_hdr_len, 20);
    assert_int_equal(ip.total_len, 60);
    assert_int_equal(ip.payload_len, 40);
    assert_ptr_equal(ip.payload, p + 20);
    assert_true(ip.dont_fragment);
    assert_false(ip.fragment || ip.more || ip.source_route);
    assert_int_equal(ip.frag_id, 0x7cc3);
    uint8_t made[20];
    assert_int_equal(ip_emit(made, &src, &dst, PROTO_TCP, 64, 0, 40, 0x7cc3), 20);
    assert_memory_equal(made, p, 20);
}

static void truncated4(void **state)
{
    (void)state;
    struct ip_hdr ip;
    for (uint32_t n = 0; n < sizeof GOLD_DATA4; n++)
        assert_int_equal(parse(GOLD_DATA4, n, &ip), TERN_C_IP_MALFORMED);
    assert_int_equal(parse(GOLD_DATA4, sizeof GOLD_DATA4, &ip), TERN_CAUSE_NONE);
}

/* RFC 1122 3.2.1.2: each bit of the header counts. */
static void bit_flips4(void **state)
{
    (void)state;
    struct ip_hdr ip;
    for (uint32_t bit = 0; bit < 160; bit++) {
        uint8_t p[sizeof GOLD_SYN4];
        memcpy(p, GOLD_SYN4, sizeof p);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(parse(p, sizeof p, &ip), TERN_CAUSE_NONE);
        if (bit >= 32)
            assert_int_equal(parse(p, sizeof p, &ip), TERN_C_IP_CHECKSUM);
    }
}

/* Bytes behind total_len are padding of the link. */
static void padding(void **state)
{
    (void)state;
    struct ip_hdr ip;
    uint8_t p[100] = {0};
    memcpy(p, GOLD_SYN4, sizeof GOLD_SYN4);
    assert_int_equal(parse(p, sizeof p, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.payload_len, 40);
    uint8_t q[120] = {0};
    memcpy(q, GOLD_SYN6, sizeof GOLD_SYN6);
    assert_int_equal(parse(q, sizeof q, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.payload_len, 40);
    assert_int_equal(ip.total_len, 80);
}

static void lengths4(void **state)
{
    (void)state;
    struct ip_hdr ip;
    uint8_t p[60];
    memcpy(p, GOLD_SYN4, 60);
    put16(p + 2, 61); /* more than there is */
    fix_csum4(p);
    assert_int_equal(parse(p, 60, &ip), TERN_C_IP_MALFORMED);
    put16(p + 2, 19); /* less than the header */
    fix_csum4(p);
    assert_int_equal(parse(p, 60, &ip), TERN_C_IP_MALFORMED);
    put16(p + 2, 20); /* nothing but the header */
    fix_csum4(p);
    assert_int_equal(parse(p, 60, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.payload_len, 0);
    for (uint8_t ihl = 0; ihl < 5; ihl++) {
        p[0] = 0x40 | ihl;
        fix_csum4(p);
        assert_int_equal(parse(p, 60, &ip), TERN_C_IP_MALFORMED);
    }
    for (uint32_t version = 0; version < 16; version++) {
        memcpy(p, GOLD_SYN4, 60);
        p[0] = (uint8_t)(version << 4 | 5);
        fix_csum4(p);
        assert_int_equal(parse(p, 60, &ip) == TERN_CAUSE_NONE, version == 4);
    }
}

static void fragment_fields4(void **state)
{
    (void)state;
    static const struct {
        uint16_t word;
        bool fragment, more, df;
        uint32_t off;
    } rows[] = {
        {0x0000, false, false, false, 0}, {0x4000, false, false, true, 0},
        {0x2000, true, true, false, 0},   {0x0001, true, false, false, 8},
        {0x3fff, true, true, false, 65528}, {0x8000, false, false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_hdr ip;
        uint8_t p[60];
        memcpy(p, GOLD_SYN4, 60);
        put16(p + 6, rows[i].word);
        fix_csum4(p);
        assert_int_equal(parse(p, 60, &ip), TERN_CAUSE_NONE);
        assert_int_equal(ip.fragment, rows[i].fragment);
        assert_int_equal(ip.more, rows[i].more);
        assert_int_equal(ip.dont_fragment, rows[i].df);
        assert_int_equal(ip.frag_off, rows[i].off);
    }
}

static enum tern_cause with_options4(const uint8_t *options, uint32_t n, struct ip_hdr *ip)
{
    uint8_t p[60];
    memcpy(p, GOLD_SYN4, 20);
    memcpy(p + 20, options, n);
    p[0] = (uint8_t)(0x40 | (5 + n / 4));
    put16(p + 2, (uint16_t)(20 + n));
    fix_csum4(p);
    return parse(p, 20 + n, ip);
}

/* MUST-50: unknown IP options are stepped over; source routes are noticed behind them. */
static void must_50_options4(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12], n;
        enum tern_cause cause;
        bool route;
    } rows[] = {
        {{1, 1, 1, 1}, 4, TERN_CAUSE_NONE, false},
        {{0, 131, 3, 4}, 4, TERN_CAUSE_NONE, false},                        /* behind the end of the list */
        {{148, 4, 0, 0}, 4, TERN_CAUSE_NONE, false},                        /* router alert */
        {{131, 7, 4, 10, 0, 0, 1, 0}, 8, TERN_CAUSE_NONE, true},            /* LSRR */
        {{137, 7, 4, 10, 0, 0, 1, 0}, 8, TERN_CAUSE_NONE, true},            /* SSRR */
        {{222, 3, 9, 1, 131, 7, 4, 10, 0, 0, 1, 0}, 12, TERN_CAUSE_NONE, true},
        {{222, 0, 0, 0}, 4, TERN_C_IP_MALFORMED, false},
        {{222, 1, 0, 0}, 4, TERN_C_IP_MALFORMED, false},
        {{222, 5, 0, 0}, 4, TERN_C_IP_MALFORMED, false},
        {{1, 1, 1, 222}, 4, TERN_C_IP_MALFORMED, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_hdr ip;
        assert_int_equal(with_options4(rows[i].bytes, rows[i].n, &ip), rows[i].cause);
        if (rows[i].cause == TERN_CAUSE_NONE) {
            assert_int_equal(ip.source_route, rows[i].route);
            assert_int_equal(ip.hdr_len, 20 + rows[i].n);
        }
    }
}

/* --- IPv6 ------------------------------------------------------------------------------------------ */

static void golden6(void **state)
{
    (void)state;
    struct ip_hdr ip;
    tern_ip src = ip6(0x2001, 0xdb8, 1), dst = ip6(0x2001, 0xdb8, 2);
    assert_int_equal(ip_parse(GOLD_SYN6, sizeof GOLD_SYN6, &ip), TERN_CAUSE_NONE);
    assert_true(ip_eq(&ip.src, &src) && ip_eq(&ip.dst, &dst));
    assert_int_equal(ip.version, 6);
    assert_int_equal(ip.proto, PROTO_TCP);
    assert_int_equal(ip.ttl, 64);
    assert_int_equal(ip.hdr_len, 40);
    assert_int_equal(ip.payload_len, 40);
    assert_false(ip.fragment || ip.source_route);
    /* hop-by-hop with router alert */
    assert_int_equal(ip_parse(GOLD_MLD6, sizeof GOLD_MLD6, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.proto, PROTO_ICMP6);
    assert_int_equal(ip.hdr_len, 48);
    assert_int_equal(ip.frag_hdr_len, 48);
    assert_ptr_equal(ip.payload, GOLD_MLD6 + 48);
}

static void truncated6(void **state)
{
    (void)state;
    struct ip_hdr ip;
    for (uint32_t n = 0; n < sizeof GOLD_DATA6; n++)
        assert_int_equal(parse(GOLD_DATA6, n, &ip), TERN_C_IP_MALFORMED);
    for (uint32_t n = 0; n < sizeof GOLD_MLD6; n++)
        assert_int_equal(parse(GOLD_MLD6, n, &ip), TERN_C_IP_MALFORMED);
}

/* An IPv6 packet whose first header is `next`, with `n` bytes behind the 40. */
static enum tern_cause packet6(uint8_t next, const uint8_t *bytes, uint32_t n, struct ip_hdr *ip)
{
    uint8_t p[2200];
    tern_ip src = ip6(0x2001, 0xdb8, 1), dst = ip6(0x2001, 0xdb8, 2);
    ip_emit(p, &src, &dst, next, 64, 0, n, 0);
    memcpy(p + 40, bytes, n);
    return parse(p, 40 + n, ip);
}

/* The chain cut at every place while the payload length says the same: never accepted, never read beyond. */
static void cut_chains(void **state)
{
    (void)state;
    struct ip_hdr ip;
    static const uint8_t chain[] = {
        60, 0, 1, 4, 0, 0, 0, 0, /* hop-by-hop */
        43, 1, 1, 4, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, /* destination */
        44, 0, 0, 0, 0, 0, 0, 0, /* routing, nothing left */
        6,  0, 0, 0, 0, 0, 0, 9, /* atomic fragment */
    };
    for (uint32_t n = 0; n < sizeof chain; n++)
        assert_int_equal(packet6(0, chain, n, &ip), TERN_C_IP_MALFORMED);
    assert_int_equal(packet6(0, chain, sizeof chain, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.proto, PROTO_TCP);
    assert_int_equal(ip.hdr_len, 40 + sizeof chain);
    assert_int_equal(ip.payload_len, 0);
    assert_false(ip.fragment || ip.source_route);
}

static void extension_headers(void **state)
{
    (void)state;
    static const struct {
        uint8_t next, bytes[24], n;
        enum tern_cause cause;
        uint8_t proto;
        bool route;
    } rows[] = {
        {59, {0}, 0, TERN_CAUSE_NONE, 59, false},                               /* nothing follows */
        {51, {6, 4}, 24, TERN_CAUSE_NONE, 51, false},                           /* AH is not ours */
        {135, {59}, 8, TERN_CAUSE_NONE, 135, false},                            /* mobility neither */
        {43, {6, 0, 4, 1}, 8, TERN_CAUSE_NONE, 6, true},                        /* segments left */
        {43, {6, 0, 4, 0}, 8, TERN_CAUSE_NONE, 6, false},
        {60, {6, 0, 0x1e, 4, 1, 2, 3, 4}, 8, TERN_CAUSE_NONE, 6, false},        /* unknown, step over */
        {60, {6, 0, 0x3e, 4, 1, 2, 3, 4}, 8, TERN_CAUSE_NONE, 6, false},        /* and may change */
        {60, {6, 0, 0x5e, 4, 1, 2, 3, 4}, 8, TERN_C_IP_MALFORMED, 0, false},    /* unknown, discard */
        {60, {6, 0, 0x9e, 4, 1, 2, 3, 4}, 8, TERN_C_IP_MALFORMED, 0, false},
        {60, {6, 0, 0xde, 4, 1, 2, 3, 4}, 8, TERN_C_IP_MALFORMED, 0, false},
        {0, {6, 0, 0xc2, 4, 0, 1, 0, 0}, 8, TERN_C_IP_MALFORMED, 0, false},     /* jumbo payload */
        {0, {6, 0, 1, 5, 0, 0, 0, 0}, 8, TERN_C_IP_MALFORMED, 0, false},        /* option too long */
        {0, {6, 0, 0, 0, 0, 0, 0, 1}, 8, TERN_C_IP_MALFORMED, 0, false},        /* option without length */
        {0, {6, 0, 0, 0, 0, 0, 1, 0}, 8, TERN_CAUSE_NONE, 6, false},            /* Pad1 and an empty PadN */
        {60, {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16, TERN_C_IP_MALFORMED, 0, false}, /* hop-by-hop second */
        {0, {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16, TERN_C_IP_MALFORMED, 0, false},  /* and twice */
        {0, {6, 1, 1, 4, 0, 0, 0, 0}, 8, TERN_C_IP_MALFORMED, 0, false},        /* header too long */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_hdr ip;
        assert_int_equal(packet6(rows[i].next, rows[i].bytes, rows[i].n, &ip), rows[i].cause);
        if (rows[i].cause == TERN_CAUSE_NONE) {
            assert_int_equal(ip.proto, rows[i].proto);
            assert_int_equal(ip.source_route, rows[i].route);
        }
    }
}

/* RFC 6946: offset 0 and no more to come is a whole packet. RFC 8200 4.1: one fragment header at most. */
static void fragment_headers(void **state)
{
    (void)state;
    struct ip_hdr ip;
    uint8_t p[24] = {6, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef};
    assert_int_equal(packet6(44, p, 24, &ip), TERN_CAUSE_NONE);
    assert_false(ip.fragment || ip.more);
    assert_int_equal(ip.payload_len, 16);
    put16(p + 2, 8 | 1);
    assert_int_equal(packet6(44, p, 24, &ip), TERN_CAUSE_NONE);
    assert_true(ip.fragment && ip.more);
    assert_int_equal(ip.frag_off, 8);
    assert_int_equal(ip.frag_id, 0xdeadbeef);
    assert_int_equal(ip.frag_hdr_len, 40);
    assert_int_equal(ip.hdr_len, 48);
    assert_int_equal(ip.proto, PROTO_TCP);
    put16(p + 2, 0xfff8 | 6); /* reserved bits do not count */
    assert_int_equal(packet6(44, p, 24, &ip), TERN_CAUSE_NONE);
    assert_true(ip.fragment && !ip.more);
    assert_int_equal(ip.frag_off, 65528);
    uint8_t twice[16] = {44, 0, 0, 0, 0, 0, 0, 1, 6, 0, 0, 1, 0, 0, 0, 1};
    assert_int_equal(packet6(44, twice, 16, &ip), TERN_C_IP_MALFORMED);
}

/* 8 extension headers and 1024 bytes of them are read, not more. */
static void chain_limits(void **state)
{
    (void)state;
    struct ip_hdr ip;
    uint8_t p[2100] = {0};
    for (uint32_t i = 0; i < 9; i++)
        memcpy(p + 8 * i, (uint8_t[]){60, 0, 1, 4}, 4);
    p[56] = 6;
    assert_int_equal(packet6(60, p, 80, &ip), TERN_CAUSE_NONE);
    p[56] = 60, p[64] = 6;
    assert_int_equal(packet6(60, p, 80, &ip), TERN_C_IP_MALFORMED);
    memset(p, 0, sizeof p);
    p[0] = 6, p[1] = 127;
    assert_int_equal(packet6(60, p, 1100, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.hdr_len, 40 + 1024);
    p[1] = 128;
    assert_int_equal(packet6(60, p, 1100, &ip), TERN_C_IP_MALFORMED);
}

/* An IPv4-mapped address in an IPv6 packet would pass for an IPv4 peer (RFC 6890 2.2.3). */
static void mapped_addresses(void **state)
{
    (void)state;
    struct ip_hdr ip;
    tern_ip mapped = tern_ip4(192, 0, 2, 1);
    uint8_t p[sizeof GOLD_SYN6];
    memcpy(p, GOLD_SYN6, sizeof p);
    memcpy(p + 8, mapped.b, 16);
    assert_int_equal(parse(p, sizeof p, &ip), TERN_C_IP_SOURCE_INVALID);
    memcpy(p, GOLD_SYN6, sizeof p);
    memcpy(p + 24, mapped.b, 16);
    assert_int_equal(parse(p, sizeof p, &ip), TERN_C_IP_MALFORMED);
}

/* --- both ------------------------------------------------------------------------------------------ */

static void round_trips(void **state)
{
    (void)state;
    uint64_t r = 4;
    for (int i = 0; i < 5000; i++) {
        int version = i % 2 ? 4 : 6;
        tern_ip src = rnd_ip(&r, version), dst = rnd_ip(&r, version);
        uint8_t ttl = (uint8_t)rnd(&r), tos = (uint8_t)rnd(&r);
        uint16_t id = (uint16_t)rnd(&r), n = (uint16_t)(rnd(&r) % 200);
        uint8_t p[300] = {0};
        uint16_t len = ip_emit(p, &src, &dst, PROTO_UDP, ttl, tos, n, id);
        struct ip_hdr ip;
        assert_int_equal(len, version == 4 ? 20 : 40);
        assert_int_equal(parse(p, (uint32_t)len + n, &ip), TERN_CAUSE_NONE);
        assert_true(ip_eq(&ip.src, &src) && ip_eq(&ip.dst, &dst));
        assert_int_equal(ip.ttl, ttl);
        assert_int_equal(ip.tos, tos);
        assert_int_equal(ip.proto, PROTO_UDP);
        assert_int_equal(ip.payload_len, n);
        assert_int_equal(ip.version, version);
        assert_true(version == 6 || (ip.frag_id == id && ip.dont_fragment));
        if (n > 0)
            assert_int_equal(parse(p, (uint32_t)len + n - 1, &ip), TERN_C_IP_MALFORMED);
    }
}

/* What a TUN device with segmentation offload hands over: total_len 65535; 40 + 65535. */
static void largest(void **state)
{
    (void)state;
    struct ip_hdr ip;
    uint8_t *p = calloc(1, 65575);
    tern_ip a4 = tern_ip4(192, 0, 2, 1), a6 = ip6(0x2001, 0xdb8, 1);
    ip_emit(p, &a4, &a4, PROTO_TCP, 64, 0, 65515, 1);
    assert_int_equal(ip_parse(p, 65535, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.payload_len, 65515);
    assert_int_equal(ip_parse(p, 65534, &ip), TERN_C_IP_MALFORMED);
    ip_emit(p, &a6, &a6, PROTO_TCP, 64, 0, 65535, 0);
    assert_int_equal(ip_parse(p, 65575, &ip), TERN_CAUSE_NONE);
    assert_int_equal(ip.payload_len, 65535);
    assert_int_equal(ip.total_len, 65575);
    assert_int_equal(ip_parse(p, 65574, &ip), TERN_C_IP_MALFORMED);
    free(p);
}

/* Any bytes at all: no read beyond, and what is accepted lies inside. */
static void noise(void **state)
{
    (void)state;
    uint64_t r = 5;
    for (int i = 0; i < 100000; i++) {
        uint8_t p[120];
        uint32_t n = (uint32_t)(rnd(&r) % sizeof p);
        rnd_bytes(&r, p, n);
        if (n >= 40 && i % 2) {
            p[0] = 0x60, put16(p + 4, (uint16_t)(n - 40));
            p[6] = (uint8_t[]){0, 43, 44, 60}[rnd(&r) % 4];
            p[40 + rnd(&r) % 2] &= 1;
        } else if (n >= 60) {
            p[0] = (uint8_t)(0x45 + rnd(&r) % 11), put16(p + 2, (uint16_t)n);
            fix_csum4(p);
        }
        struct ip_hdr ip;
        uint8_t *copy = exact(p, n);
        if (ip_parse(copy, n, &ip) == TERN_CAUSE_NONE) {
            assert_true(ip.total_len <= n && ip.hdr_len + ip.payload_len == ip.total_len);
            assert_ptr_equal(ip.payload, copy + ip.hdr_len);
            assert_true(ip.frag_hdr_len <= ip.hdr_len && ip.fragment == (ip.more || ip.frag_off != 0));
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden4),          cmocka_unit_test(truncated4),
        cmocka_unit_test(bit_flips4),       cmocka_unit_test(padding),
        cmocka_unit_test(lengths4),         cmocka_unit_test(fragment_fields4),
        cmocka_unit_test(must_50_options4), cmocka_unit_test(golden6),
        cmocka_unit_test(truncated6),       cmocka_unit_test(cut_chains),
        cmocka_unit_test(extension_headers), cmocka_unit_test(fragment_headers),
        cmocka_unit_test(chain_limits),     cmocka_unit_test(mapped_addresses),
        cmocka_unit_test(round_trips),      cmocka_unit_test(largest),
        cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
