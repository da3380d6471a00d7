/* Ethernet frames and ARP. */
#include "wire/arp.h"
#include "wire_golden.h"
#include "wire_help.h"

static const struct eth_addr A = {{2, 0, 0, 0, 0, 10}}, B = {{2, 0, 0, 0, 0, 11}};

static enum tern_cause parse(const uint8_t *p, uint32_t len, struct eth_frame *out)
{
    uint8_t *copy = exact(p, len);
    enum tern_cause cause = eth_parse(copy, len, out);
    free(copy);
    return cause;
}

static enum tern_cause parse_arp(const uint8_t *p, uint32_t len, struct arp_msg *out)
{
    uint8_t *copy = exact(p, len);
    enum tern_cause cause = arp_parse(copy, len, out);
    free(copy);
    return cause;
}

static void golden_frames(void **state)
{
    (void)state;
    struct eth_frame f;
    uint8_t made[18];
    assert_int_equal(eth_parse(GOLD_ARP_REPLY, sizeof GOLD_ARP_REPLY, &f), TERN_CAUSE_NONE);
    assert_memory_equal(f.dst.b, A.b, 6);
    assert_memory_equal(f.src.b, B.b, 6);
    assert_true(f.type == ETH_ARP && !f.tagged && f.payload == GOLD_ARP_REPLY + 14 && f.payload_len == 28);
    assert_int_equal(eth_emit(made, &f), 14);
    assert_memory_equal(made, GOLD_ARP_REPLY, 14);
    for (uint32_t n = 0; n < 14; n++)
        assert_int_equal(parse(GOLD_ARP_REPLY, n, &f), TERN_C_ETHERNET_MALFORMED);
}

static void frames_refused(void **state)
{
    (void)state;
    struct eth_frame f;
    uint8_t p[42];
    memcpy(p, GOLD_ARP_REPLY, sizeof p);
    p[6] |= 1; /* a group as source */
    assert_int_equal(parse(p, sizeof p, &f), TERN_C_ETHERNET_MALFORMED);
    memcpy(p, GOLD_ARP_REPLY, sizeof p);
    for (uint32_t type = 0; type < 65536; type++) {
        put16(p + 12, (uint16_t)type);
        assert_int_equal(parse(p, sizeof p, &f) == TERN_CAUSE_NONE, type >= 0x600);
        assert_true(type < 0x600 || f.type == (type == ETH_VLAN ? 0x0800 : type)); /* 00 01 08 00 follow */
    }
}

static void tags(void **state)
{
    (void)state;
    uint8_t p[20] = {0};
    struct eth_frame f, in = {.dst = A, .src = B, .type = ETH_IP6, .tag = 0xe123, .tagged = true};
    assert_int_equal(eth_emit(p, &in), 18);
    for (uint32_t n = 0; n < 18; n++)
        assert_int_equal(parse(p, n, &f), TERN_C_ETHERNET_MALFORMED);
    assert_int_equal(parse(p, 20, &f), TERN_CAUSE_NONE);
    assert_true(f.tagged && f.tag == 0xe123 && f.type == ETH_IP6 && f.payload_len == 2);
    put16(p + 16, ETH_VLAN); /* two tags */
    assert_int_equal(parse(p, 20, &f), TERN_C_ETHERNET_MALFORMED);
}

static void multicast(void **state)
{
    (void)state;
    tern_ip g4 = tern_ip4(239, 255, 1, 2), g6 = ip6(0xff02, 0, 0xabcd);
    g6.b[12] = 0xff;
    assert_memory_equal(eth_multicast(&g4).b, ((uint8_t[]){1, 0, 0x5e, 0x7f, 1, 2}), 6);
    assert_memory_equal(eth_multicast(&g6).b, ((uint8_t[]){0x33, 0x33, 0xff, 0, 0xab, 0xcd}), 6);
}

static void golden_arp(void **state)
{
    (void)state;
    struct arp_msg m;
    uint8_t made[28];
    tern_ip one = tern_ip4(192, 0, 2, 1), two = tern_ip4(192, 0, 2, 2);
    const uint8_t *request = GOLD_ARP_REQUEST + 14, *reply = GOLD_ARP_REPLY + 14;
    assert_int_equal(arp_parse(request, 28, &m), TERN_CAUSE_NONE);
    assert_true(m.op == ARP_REQUEST && ip_eq(&m.sender, &one) && ip_eq(&m.target, &two));
    assert_memory_equal(m.sender_hw.b, A.b, 6);
    assert_int_equal(arp_emit(made, &m), 28);
    assert_memory_equal(made, request, 28);
    assert_int_equal(arp_parse(reply, 28, &m), TERN_CAUSE_NONE);
    assert_true(m.op == ARP_REPLY && ip_eq(&m.sender, &two) && ip_eq(&m.target, &one));
    assert_int_equal(arp_emit(made, &m), 28);
    assert_memory_equal(made, reply, 28);
    for (uint32_t n = 0; n < 28; n++)
        assert_int_equal(parse_arp(reply, n, &m), TERN_C_ARP_MALFORMED);
}

static void arp_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t at, value;
    } changes[] = {{1, 6}, {0, 1}, {2, 0x86}, {3, 1}, {4, 8}, {5, 16},
                   {7, 0}, {7, 3}, {6, 1},    {8, 3}, {14, 224}};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct arp_msg m;
        uint8_t p[28];
        memcpy(p, GOLD_ARP_REPLY + 14, 28);
        p[changes[i].at] = changes[i].value;
        assert_int_equal(parse_arp(p, 28, &m), TERN_C_ARP_MALFORMED);
    }
    struct arp_msg m;
    uint8_t p[28];
    memcpy(p, GOLD_ARP_REPLY + 14, 28);
    memset(p + 14, 255, 4); /* 255.255.255.255 is at ... */
    assert_int_equal(parse_arp(p, 28, &m), TERN_C_ARP_MALFORMED);
    memset(p + 14, 0, 4); /* a probe */
    assert_int_equal(parse_arp(p, 28, &m), TERN_CAUSE_NONE);
}

static void arp_round_trips(void **state)
{
    (void)state;
    uint64_t r = 9;
    for (int i = 0; i < 2000; i++) {
        struct arp_msg out, in = {.op = (uint16_t)(1 + rnd(&r) % 2)};
        uint8_t p[28];
        in.sender = rnd_ip(&r, 4), in.target = rnd_ip(&r, 4);
        rnd_bytes(&r, in.sender_hw.b, 6), rnd_bytes(&r, in.target_hw.b, 6);
        in.sender_hw.b[0] &= 0xfe;
        arp_emit(p, &in);
        assert_int_equal(parse_arp(p, 28, &out), TERN_CAUSE_NONE);
        assert_true(in.op == out.op && ip_eq(&in.sender, &out.sender) && ip_eq(&in.target, &out.target));
        assert_memory_equal(in.sender_hw.b, out.sender_hw.b, 6);
        assert_memory_equal(in.target_hw.b, out.target_hw.b, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_frames), cmocka_unit_test(frames_refused), cmocka_unit_test(tags),
        cmocka_unit_test(multicast),     cmocka_unit_test(golden_arp),     cmocka_unit_test(arp_refused),
        cmocka_unit_test(arp_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
