/* Addresses as text, and back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <tern/host.h>

static void round_trips(void **state)
{
    static const char *const texts[] = {"0.0.0.0",     "192.0.2.1",   "255.255.255.255", "::",
                                        "2001:db8::1", "fe80::1:2:3", "ff02::1",         "1:2:3:4:5:6:7:8"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tern_ip ip;
        char buf[46];
        assert_int_equal(tern_ip_parse(texts[i], &ip), 0);
        assert_string_equal(tern_ip_text(&ip, buf), texts[i]);
    }
}

static void ipv4_is_a_mapped_address(void **state)
{
    tern_ip a, b;
    char buf[46];
    (void)state;
    assert_int_equal(tern_ip_parse("192.0.2.7", &a), 0);
    assert_int_equal(tern_ip_parse("::ffff:192.0.2.7", &b), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(tern_ip_is4(&b));
    assert_string_equal(tern_ip_text(&b, buf), "192.0.2.7");
}

static void refuses_what_is_no_address(void **state)
{
    static const char *const texts[] = {
        "",      "192.0.2", "192.0.2.256", "192.0.2.1.5", "01.2.3.4",     "192.0.2.1 ", " 192.0.2.1",
        "[::1]", "1::2::3", "12345::",     "localhost",   "192.0.2.1/24", "::1%lo"};
    tern_ip ip;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(tern_ip_parse(texts[i], &ip), -TERN_EINVAL);
}

static void reads_prefixes(void **state)
{
    static const struct {
        const char *text;
        int prefix;
    } rows[] = {{"192.0.2.1/24", 24},   {"192.0.2.1", 32},    {"0.0.0.0/0", 0}, {"192.0.2.1/32", 32},
                {"2001:db8::1/64", 64}, {"2001:db8::1", 128}, {"::/0", 0},      {"2001:db8::/128", 128}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        tern_ip ip;
        int prefix;
        assert_int_equal(tern_cidr_parse(rows[i].text, &ip, &prefix), 0);
        assert_int_equal(prefix, rows[i].prefix);
    }
}

static void refuses_bad_prefixes(void **state)
{
    static const char *const texts[] = {"192.0.2.1/",   "192.0.2.1/33", "192.0.2.1/-1",   "192.0.2.1/+8",
                                        "192.0.2.1/ 8", "192.0.2.1/8x", "2001:db8::/129", "192.0.2.1/0000",
                                        "/24",          "192.0.2.1//8", "192.0.2.1/24/8", ""};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tern_ip ip = {{1}}, before = ip;
        int prefix = 7;
        assert_int_equal(tern_cidr_parse(texts[i], &ip, &prefix), -TERN_EINVAL);
        assert_memory_equal(&ip, &before, sizeof ip);
        assert_int_equal(prefix, 7);
    }
}

static void refuses_endless_text(void **state)
{
    char text[300];
    tern_ip ip;
    int prefix;
    (void)state;
    memset(text, ':', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(tern_cidr_parse(text, &ip, &prefix), -TERN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(ipv4_is_a_mapped_address),
        cmocka_unit_test(refuses_what_is_no_address),
        cmocka_unit_test(reads_prefixes),
        cmocka_unit_test(refuses_bad_prefixes),
        cmocka_unit_test(refuses_endless_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
