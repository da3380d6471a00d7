/* Questions about addresses. */
#include "wire_help.h"

static void kinds(void **state)
{
    (void)state;
    tern_ip any4 = tern_ip4(0, 0, 0, 0), any6 = {{0}}, one4 = tern_ip4(0, 0, 0, 1), one6 = ip6(0, 0, 1);
    assert_true(ip_is_unspecified(&any4) && ip_is_unspecified(&any6));
    assert_false(ip_is_unspecified(&one4) || ip_is_unspecified(&one6));
    tern_ip low = tern_ip4(223, 255, 255, 255), first = tern_ip4(224, 0, 0, 0), last = tern_ip4(239, 9, 9, 9),
            high = tern_ip4(240, 0, 0, 0), group6 = ip6(0xff02, 0, 1), not6 = ip6(0xfeff, 0, 1);
    assert_true(ip_is_multicast(&first) && ip_is_multicast(&last) && ip_is_multicast(&group6));
    assert_false(ip_is_multicast(&low) || ip_is_multicast(&high) || ip_is_multicast(&not6));
    tern_ip all = tern_ip4(255, 255, 255, 255), near = tern_ip4(255, 255, 255, 254), all6;
    memset(all6.b, 0xff, 16);
    assert_true(ip_is_broadcast4(&all));
    assert_false(ip_is_broadcast4(&near) || ip_is_broadcast4(&all6));
    tern_ip ll = ip6(0xfe80, 0, 1), llend = ip6(0xfebf, 0, 1), site = ip6(0xfec0, 0, 1);
    assert_true(ip_is_link_local6(&ll) && ip_is_link_local6(&llend));
    assert_false(ip_is_link_local6(&site) || ip_is_link_local6(&any4));
}

static void equality(void **state)
{
    (void)state;
    tern_ip a = ip6(0x2001, 0xdb8, 1);
    for (int i = 0; i < 16; i++) {
        tern_ip b = a;
        assert_true(ip_eq(&a, &b));
        b.b[i] ^= 1;
        assert_false(ip_eq(&a, &b));
    }
}

/* Two addresses that differ in bit k first agree in prefixes up to k and in none longer. */
static void prefixes(void **state)
{
    (void)state;
    tern_ip a6 = ip6(0x2001, 0xdb8, 1), a4 = tern_ip4(10, 20, 30, 40);
    for (int bit = 0; bit < 128; bit++) {
        tern_ip b = a6;
        b.b[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        for (int len = 0; len <= 128; len++)
            assert_int_equal(ip_prefix_eq(&a6, &b, len), len <= bit);
    }
    for (int bit = 0; bit < 32; bit++) {
        tern_ip b = a4;
        b.b[12 + bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        for (int len = 0; len <= 32; len++)
            assert_int_equal(ip_prefix_eq(&a4, &b, len), len <= bit);
    }
    assert_false(ip_prefix_eq(&a4, &a6, 0)); /* 0.0.0.0/0 is no route for IPv6 */
    assert_false(ip_prefix_eq(&a6, &a4, 0));
    assert_false(ip_prefix_eq(&a4, &a4, 33) || ip_prefix_eq(&a4, &a4, -1) || ip_prefix_eq(&a6, &a6, 129));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(equality),
        cmocka_unit_test(prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
