/* The choice of a source address, rule by rule (RFC 6724 5), with the examples of its section 10.1 where they
 * are about what exists here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/host.h>
#include <tern/net.h>
#include <tern/socket.h>

enum { LINKS = 3 };

struct addr {
    int link; /* 0 = no more */
    const char *cidr;
    bool deprecated;
};

struct one {
    const char *rule;
    struct addr addrs[4];
    const char *remote;
    uint16_t zone;
    const char *want; /* NULL: an error, */
    int error;
};

/* Everything is routed to link 1. In each pair the wrong one stands first, so that order alone would fail. */
static const struct one cases[] = {
    {"1: the destination itself",
     {{1, "2001:db8:1::2/128", false}, {1, "2001:db8:1::1/64", false}},
     "2001:db8:1::1",
     0,
     "2001:db8:1::1",
     0},
    {"1 before 3: also when it is deprecated",
     {{1, "2001:db8:2::1/64", false}, {1, "2001:db8:1::1/64", true}},
     "2001:db8:1::1",
     0,
     "2001:db8:1::1",
     0},
    {"2: global to global",
     {{1, "fe80::1/64", false}, {1, "2001:db8:3::1/64", false}},
     "2001:db8:1::1",
     0,
     "2001:db8:3::1",
     0},
    {"2: link-local to link-local",
     {{1, "2001:db8:1::2/64", false}, {1, "fe80::2/64", false}},
     "fe80::1",
     1,
     "fe80::2",
     0},
    {"2 before 3: the scope that fits, deprecated or not",
     {{1, "2001:db8:1::1/64", false}, {1, "fe80::2/64", true}},
     "fe80::1",
     1,
     "fe80::2",
     0},
    {"2: a wider scope when none fits", {{1, "2001:db8:1::2/64", false}}, "fe80::1", 1, "2001:db8:1::2", 0},
    {"2, IPv4 3.2: auto-configured ones stay on their link",
     {{1, "169.254.13.78/16", false}, {1, "192.0.2.1/24", false}},
     "198.51.100.1",
     0,
     "192.0.2.1",
     0},
    {"2, IPv4: and reach their like",
     {{1, "192.0.2.1/24", false}, {1, "169.254.13.78/16", false}},
     "169.254.1.1",
     0,
     "169.254.13.78",
     0},
    {"3: a preferred one, although the other has the longer prefix in common",
     {{1, "2001:db8:1::2/64", true}, {1, "2001:db8:9::2/64", false}},
     "2001:db8:1::1",
     0,
     "2001:db8:9::2",
     0},
    {"3, IPv4",
     {{1, "198.51.100.2/24", true}, {1, "192.0.2.1/24", false}},
     "198.51.100.1",
     0,
     "192.0.2.1",
     0},
    {"3: a deprecated one when there is no other",
     {{1, "198.51.100.2/24", true}},
     "198.51.100.1",
     0,
     "198.51.100.2",
     0},
    {"5: an address of the link, not a better one of another",
     {{2, "2001:db8:1::2/64", false}, {1, "2001:db8:9::2/64", false}},
     "2001:db8:1::1%1",
     1,
     "2001:db8:9::2",
     0},
    {"4: a link without one borrows",
     {{2, "2001:db8:1::2/64", false}},
     "2001:db8:9::1",
     0,
     "2001:db8:1::2",
     0},
    {"4: also when its own reaches no further than the link",
     {{1, "fe80::2/64", false}, {2, "2001:db8:1::2/64", false}},
     "2001:db8:9::1",
     0,
     "2001:db8:1::2",
     0},
    {"4: link-local ones are not lent", {{2, "fe80::2/64", false}}, "fe80::1", 1, NULL, -TERN_EADDRNOTAVAIL},
    {"6: a ULA to a ULA",
     {{1, "2001:db8:1::2/64", false}, {1, "fd00:1::2/64", false}},
     "fd00:2::1",
     0,
     "fd00:1::2",
     0},
    {"6: global to global, not from a ULA",
     {{1, "fd00:1::2/64", false}, {1, "2001:db8:1::2/64", false}},
     "2a00::1",
     0,
     "2001:db8:1::2",
     0},
    {"6: 6to4 to 6to4",
     {{1, "2001:db8:1::2/64", false}, {1, "2002:c633:6401:1::2/64", false}},
     "2002:c633:6401:2::1",
     0,
     "2002:c633:6401:1::2",
     0},
    {"6 before 8: Teredo has its own label",
     {{1, "2001:0:1::2/64", false}, {1, "2001:db8:1::2/64", false}},
     "2001:100::1",
     0,
     "2001:db8:1::2",
     0},
    {"8: the longest common prefix",
     {{1, "2001:db8:3::2/64", false}, {1, "2001:db8:1::2/64", false}},
     "2001:db8:1::1",
     0,
     "2001:db8:1::2",
     0},
    {"8, IPv4",
     {{1, "192.0.2.1/24", false}, {1, "198.51.100.2/24", false}},
     "198.51.100.1",
     0,
     "198.51.100.2",
     0},
    {"8: no further than our own prefix (2.2), then the order",
     {{1, "2001:db8:1::f000:2/64", false}, {1, "2001:db8:1::1:2/64", false}},
     "2001:db8:1::1:1",
     0,
     "2001:db8:1::f000:2",
     0},
    {"the family must be the destination's",
     {{1, "192.0.2.1/24", false}},
     "2001:db8:1::1",
     0,
     NULL,
     -TERN_EADDRNOTAVAIL},
};

static tern *stack(void *block, size_t size)
{
    tern *t;
    tern_link_info info = {.mtu = 1500};
    tern_ip any4 = tern_ip4(0, 0, 0, 0), any6 = {{0}};
    assert_int_equal(tern_create(&t, NULL, block, size), 0);
    for (int i = 1; i <= LINKS; i++)
        assert_int_equal(tern_link_add(t, &info), i);
    assert_int_equal(tern_route_add(t, 1, &any4, 0), 0);
    assert_int_equal(tern_route_add(t, 1, &any6, 0), 0);
    return t;
}

static void add(tern *t, const struct addr *a)
{
    tern_ip ip;
    int len;
    assert_int_equal(tern_cidr_parse(a->cidr, &ip, &len), 0);
    assert_int_equal(tern_addr_add(t, a->link, &ip, len), 0);
    assert_int_equal(tern_addr_deprecate(t, a->link, &ip, a->deprecated), 0);
}

static void try(const struct one *c)
{
    size_t size = tern_min_size(NULL);
    void *block = aligned_alloc(16, (size + 15) & ~(size_t)15);
    tern *t = stack(block, size);
    for (int i = 0; i < 4 && c->addrs[i].link != 0; i++)
        add(t, &c->addrs[i]);
    char text[46] = {0};
    for (int i = 0; c->remote[i] != '\0' && c->remote[i] != '%'; i++)
        text[i] = c->remote[i];
    tern_endpoint to = {.port = 80, .zone = c->zone};
    tern_ip got = {{0}};
    assert_int_equal(tern_ip_parse(text, &to.ip), 0);
    int e = tern_source(t, &to, &got, NULL);
    char said[46];
    if (e != c->error || (c->want != NULL && strcmp(tern_ip_text(&got, said), c->want) != 0))
        fail_msg("rule %s: %d, %s", c->rule, e, tern_ip_text(&got, said));
    tern_destroy(t);
    free(block);
}

static void rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        try(&cases[i]);
}

/* The program's choice comes before all rules; it must be ours, and of the same family. */
static void the_choice_of_the_program(void **state)
{
    (void)state;
    size_t size = tern_min_size(NULL);
    void *block = aligned_alloc(16, (size + 15) & ~(size_t)15);
    tern *t = stack(block, size);
    struct addr list[] = {
        {1, "2001:db8:1::2/64", false}, {2, "2001:db8:9::2/64", true}, {1, "192.0.2.1/24", 0}};
    for (int i = 0; i < 3; i++)
        add(t, &list[i]);
    tern_endpoint to = {.port = 80}, from = {.port = 0};
    tern_handle h;
    tern_info info;
    assert_int_equal(tern_ip_parse("2001:db8:1::1", &to.ip), 0);
    assert_int_equal(tern_ip_parse("2001:db8:9::2", &from.ip), 0);
    assert_int_equal(tern_connect(t, &from, &to, &h), 0);
    assert_int_equal(tern_get_info(t, h, &info), 0);
    assert_memory_equal(&info.local.ip, &from.ip, sizeof from.ip);
    assert_int_equal(info.link, 1); /* the route is the destination's */
    from.ip = tern_ip4(192, 0, 2, 1);
    assert_int_equal(tern_connect(t, &from, &to, &h), -TERN_EADDRNOTAVAIL);
    from.ip = tern_ip4(192, 0, 2, 77);
    to.ip = tern_ip4(192, 0, 2, 2);
    assert_int_equal(tern_connect(t, &from, &to, &h), -TERN_EADDRNOTAVAIL);
    tern_destroy(t);
    free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules), cmocka_unit_test(the_choice_of_the_program)};
    return cmocka_run_group_tests_name("ip_source", tests, NULL, NULL);
}
