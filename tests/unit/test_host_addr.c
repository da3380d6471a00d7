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

static void endpoints(void **state)
{
    static const struct {
        const char *text, *back;
    } all[] = {
        {"192.0.2.1:80", NULL},
        {"192.0.2.1", "192.0.2.1:0"},
        {"[2001:db8::1]:80", NULL},
        {"[2001:db8::1]", "[2001:db8::1]:0"},
        {"2001:db8::1", "[2001:db8::1]:0"},
        {"[fe80::1%3]:80", NULL},
        {"fe80::1%15", "[fe80::1%15]:0"},
        {"[::]:65535", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tern_endpoint e;
        char buf[96];
        assert_int_equal(tern_endpoint_parse(all[i].text, NULL, &e), 0);
        assert_string_equal(tern_endpoint_text(&e, NULL, buf), all[i].back ? all[i].back : all[i].text);
    }
}

static void refuses_what_is_no_endpoint(void **state)
{
    static const char *const texts[] = {"",           ":80",           "192.0.2.1:",     "192.0.2.1:65536",
                                        "192.0.2.1:x", "[192.0.2.1]:80", "192.0.2.1%1:80", "[fe80::1%]:80",
                                        "[fe80::1%0]", "[fe80::1%16]",  "[fe80::1%lo]",   "[fe80::1",
                                        "[fe80::1]80", "[fe80::1]:80 ", "fe80::1%1%2",    "[::1]:-1"};
    tern_endpoint e;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(tern_endpoint_parse(texts[i], NULL, &e) < 0);
}

/* With a host the links have names. */
static void zones_by_name(void **state)
{
    char err[200], buf[96];
    tern_host_config cfg = {.memory = 64 << 20};
    tern_link_info info = {.mtu = 1500};
    tern_link *own, *other;
    tern_host *h;
    tern_endpoint e;
    (void)state;
    assert_int_equal(tern_host_create(&h, &cfg, err, sizeof err), 0);
    assert_int_equal(tern_link_pair(&own, &other, &info, 4), 0);
    own->device = "left";
    assert_int_equal(tern_host_attach(h, own), 1);
    assert_int_equal(tern_endpoint_parse("[fe80::1%left]:80", h, &e), 0);
    assert_int_equal(e.zone, 1);
    assert_string_equal(tern_endpoint_text(&e, h, buf), "[fe80::1%left]:80");
    assert_string_equal(tern_endpoint_text(&e, NULL, buf), "[fe80::1%1]:80");
    assert_int_equal(tern_endpoint_parse("[fe80::1%right]:80", h, &e), -TERN_ENODEV);
    tern_link_close(other);
    tern_host_destroy(h);
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
        cmocka_unit_test(endpoints),
        cmocka_unit_test(refuses_what_is_no_endpoint),
        cmocka_unit_test(zones_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
