/* IPv6 that configures itself, and gateways: what routers advertise, for how long it holds, what of it is not
 * believed; and who is asked for when the other end is far away. */
#include "lab/ether.h"

#include <string.h>

static const tern_link_info card = {.mtu = 1500, .ethernet = true, .no_dad = true};
static const tern_link_info alone = {.mtu = 1500, .ethernet = true, .autoconf = true};

static const char router[] = "fe80::99";

static struct ndp_msg advert(void)
{
    struct ndp_msg m = {.type = ICMP6_ROUTER_ADVERT,
                        .has_hw = true,
                        .hw = ether_hw(ETHER_STACKS),
                        .lifetime_s = 1800,
                        .mtu = 1400,
                        .n_prefixes = 1};
    m.prefixes[0] = (struct ndp_prefix){.prefix = ether_ip("2001:db8:1::"),
                                        .valid_s = 86400,
                                        .preferred_s = 14400,
                                        .len = 64,
                                        .on_link = true,
                                        .autonomous = true};
    return m;
}

static void send_advert(struct ether_world *w, const struct ndp_msg *m)
{
    tern_ip from = ether_ip(router), all = ether_ip("ff02::1");
    struct eth_addr to = eth_multicast(&all);
    ether_send_nd(w, &from, &all, &to, m);
}

/* The address that the stack has made in a prefix; all zero: none. */
static tern_addr_entry made_in(const struct ether_world *w, const char *prefix)
{
    tern_addr_entry all[64];
    tern_ip of = ether_ip(prefix);
    int n = tern_addr_list(w->t[0], all, 64);
    for (int i = 0; i < n; i++)
        if (all[i].learned && ip_prefix_eq(&all[i].ip, &of, 64))
            return all[i];
    return (tern_addr_entry){0};
}

static bool has_route(const struct ether_world *w, const char *dst, int len, const char *via)
{
    tern_route_entry all[64];
    tern_ip to = ether_ip(dst), by = ether_ip(via);
    int n = tern_route_list(w->t[0], all, 64);
    for (int i = 0; i < n; i++)
        if (all[i].learned && all[i].prefix_len == len && ip_prefix_eq(&all[i].dst, &to, len) &&
            ip_eq(&all[i].via, &by))
            return true;
    return false;
}

/* RFC 4862 5.3, RFC 4861 6.3.7: a link-local address, then routers are asked for, three times, 4 s apart.
 * (RFC4861-6.3.4-ab) */
static void it_configures_itself(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &alone);
    ether_run(w, 30 * SEC);
    tern_addr_entry ll = made_in(w, "fe80::");
    assert_true(ip_is_link_local6(&ll.ip) && ll.state == TERN_ADDR_USABLE && ll.valid_us == 0);
    assert_int_equal(ether_count_nd(w, 0, ICMP6_ROUTER_SOLICIT), 3);
    assert_true(ip_eq(&ether_last_nd(w, 0, ICMP6_ROUTER_SOLICIT)->ip.src, &ll.ip));
    struct ndp_msg m = advert();
    send_advert(w, &m);
    assert_int_equal(made_in(w, "2001:db8:1::").state, TERN_ADDR_TENTATIVE);
    ether_run(w, 3 * SEC);
    tern_addr_entry e = made_in(w, "2001:db8:1::");
    assert_int_equal(e.state, TERN_ADDR_USABLE);
    assert_int_equal(e.valid_us - (w->now - 3 * SEC), 86400 * SEC);
    assert_true(has_route(w, "::", 0, router) && has_route(w, "2001:db8:1::", 64, "::"));
    tern_ip gate = ether_ip(router);
    assert_true(ether_neigh(w, 0, &gate).router);
    assert_int_equal(ether_neigh(w, 0, &gate).state, TERN_NEIGH_STALE);
    ether_free(w);
}

/* Routers are asked for until one with a lifetime has spoken; one without is not what was asked for.
 * (RFC4861-6.3.7-a) */
static void routers_are_asked_for_until_one_speaks(void **state)
{
    (void)state;
    for (int lifetime = 0; lifetime < 2; lifetime++) {
        struct ether_world *w = ether_new(1, &alone);
        while (ether_count_nd(w, 0, ICMP6_ROUTER_SOLICIT) == 0)
            ether_run(w, 100 * MS);
        struct ndp_msg m = advert();
        m.lifetime_s = lifetime ? 1800 : 0;
        send_advert(w, &m);
        ether_run(w, 60 * SEC);
        assert_int_equal(ether_count_nd(w, 0, ICMP6_ROUTER_SOLICIT), lifetime ? 1 : 3);
        ether_free(w);
    }
}

/* RFC 7217: the same secret, the same address; another prefix, another identifier. */
static void its_addresses_are_stable(void **state)
{
    (void)state;
    tern_ip first[2];
    for (int i = 0; i < 2; i++) {
        struct ether_world *w = ether_new(1, &alone);
        struct ndp_msg m = advert();
        send_advert(w, &m);
        ether_run(w, 5 * SEC);
        first[i] = made_in(w, "2001:db8:1::").ip;
        tern_ip ll = made_in(w, "fe80::").ip;
        assert_true(memcmp(first[i].b + 8, ll.b + 8, 8) != 0);
        ether_free(w);
    }
    assert_true(ip_eq(&first[0], &first[1]));
}

/* RFC 4861 6.3.4: the MTU is that of IPv6 alone; one that cannot be is not taken. */
static void the_mtu_is_taken(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {1279, 1501, 65536};
    struct ether_world *w = ether_new(1, &alone);
    tern_ip six = ether_ip("2001:db8::2"), four = ether_ip("192.0.2.2");
    struct ndp_msg m = advert();
    send_advert(w, &m);
    assert_int_equal(ip_mss(&w->t[0]->w->ip, w->link[0], &six), 1340);
    assert_int_equal(ip_mss(&w->t[0]->w->ip, w->link[0], &four), 1460);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        m.mtu = wrong[i];
        send_advert(w, &m);
        assert_int_equal(ip_mss(&w->t[0]->w->ip, w->link[0], &six), 1340);
    }
    ether_free(w);
}

/* Whether a SYN to this address is answered, if only by a RST. */
static bool answers_at(struct ether_world *w, const tern_ip *us)
{
    tern_ip peer = ether_ip("2001:db8:1::7");
    ether_forget(w);
    ether_send_syn(w, &peer, us, 0);
    return ether_count_nd(w, 0, ICMP6_NEIGHBOUR_SOLICIT) > 0 || ether_last_tcp(w, 0) != NULL;
}

/* What lives shorter ends: the router (RFC4861-6.3.5-a), prefixes (6.3.5), addresses: a deprecated one is as
 * good as before for who knows it (RFC4862-5.5.4-a), one no longer valid is none (RFC4862-5.5.4-bc). */
static void lifetimes_end(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &alone);
    struct ndp_msg m = advert();
    m.lifetime_s = 100;
    m.prefixes[0].valid_s = 60;
    m.prefixes[0].preferred_s = 30;
    send_advert(w, &m);
    ether_run(w, 29 * SEC);
    assert_false(made_in(w, "2001:db8:1::").deprecated);
    ether_run(w, 2 * SEC);
    assert_true(made_in(w, "2001:db8:1::").deprecated);
    tern_endpoint us = {.ip = made_in(w, "2001:db8:1::").ip},
                  to = {.ip = ether_ip("2001:db8:1::7"), .port = 9};
    tern_handle h;
    assert_true(answers_at(w, &us.ip));
    ether_run(w, 30 * SEC);
    assert_int_equal(made_in(w, "2001:db8:1::").link, 0);
    assert_false(answers_at(w, &us.ip));
    assert_int_equal(tern_connect(w->t[0], &us, &to, &h), -TERN_EADDRNOTAVAIL);
    assert_false(has_route(w, "2001:db8:1::", 64, "::"));
    assert_true(has_route(w, "::", 0, router));
    ether_run(w, 40 * SEC);
    assert_false(has_route(w, "::", 0, router));
    ether_free(w);
}

/* RFC 4862 5.5.3 e: an advertisement out of nowhere takes no address away at once; a router may say that it
 * is none (RFC 4861 6.3.4), also by the flag of its advertisement as a neighbour (RFC4861-7.2.5-c); but not
 * from elsewhere without the right to override what is known (RFC4861-7.2.5-a). A prefix without the on-link
 * flag says nothing of that (RFC4861-6.3.4-d). The hop limit is not taken over (RFC4861-6.3.4-e). */
static void what_a_forger_can_do(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &alone);
    struct ndp_msg m = advert();
    send_advert(w, &m);
    ether_run(w, 5 * SEC);
    m.prefixes[0].valid_s = m.prefixes[0].preferred_s = 0;
    send_advert(w, &m);
    tern_addr_entry e = made_in(w, "2001:db8:1::");
    assert_int_equal(e.valid_us - w->now, 7200 * SEC);
    assert_true(e.deprecated);
    m.prefixes[0].valid_s = 100;
    send_advert(w, &m); /* two hours are left: it is ignored */
    assert_int_equal(made_in(w, "2001:db8:1::").valid_us, e.valid_us);
    m = advert();
    m.hop_limit = 1;
    send_advert(w, &m);
    assert_false(made_in(w, "2001:db8:1::").deprecated);
    m.prefixes[0].on_link = false;
    send_advert(w, &m);
    assert_true(has_route(w, "2001:db8:1::", 64, "::"));
    for (uint32_t i = 0; i < 200; i++) { /* a flood of prefixes */
        put16(m.prefixes[0].prefix.b + 4, (uint16_t)(100 + i));
        send_advert(w, &m);
    }
    tern_addr_entry all[64];
    assert_int_equal(tern_addr_list(w->t[0], all, 64), IP_LEARNED);
    tern_ip gate = ether_ip(router), all_nodes = ether_ip("ff02::1"), far = ether_ip("2001:db8:f::1");
    struct eth_addr to = eth_multicast(&all_nodes);
    struct ndp_msg forged = {.type = ICMP6_NEIGHBOUR_ADVERT, .target = gate, .has_hw = true};
    forged.hw = (struct eth_addr){{2, 9, 9, 9, 9, 9}};
    ether_send_nd(w, &gate, &all_nodes, &to, &forged);
    assert_true(has_route(w, "::", 0, router) && ether_neigh(w, 0, &gate).router);
    tern_ip us = made_in(w, "2001:db8:1::").ip;
    ether_send_syn(w, &far, &us, 0);
    assert_true(ether_last_tcp(w, 0)->ip.ttl > 1);
    forged.hw = ether_hw(ETHER_STACKS);
    ether_send_nd(w, &gate, &all_nodes, &to, &forged); /* itself: not a router any more */
    assert_false(has_route(w, "::", 0, router));
    ether_free(w);
}

/* What must not be believed: from afar, with another hop limit, with a wrong option (RFC4861-6.1.2-a,
 * RFC4862-5.5.3-a); and nothing where the program configures (RFC4862-5.5-a). */
static void adverts_that_are_ignored(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &alone);
    struct ndp_msg m = advert();
    tern_ip from = ether_ip("2001:db8::99"), all = ether_ip("ff02::1");
    struct eth_addr to = eth_multicast(&all);
    ether_send_nd(w, &from, &all, &to, &m);
    assert_false(has_route(w, "::", 0, "2001:db8::99"));
    m.prefixes[0].prefix = ether_ip("fe80::");
    send_advert(w, &m);
    assert_false(has_route(w, "fe80::", 64, "::"));
    m.prefixes[0].prefix = ether_ip("2001:db8:1::");
    m.prefixes[0].preferred_s = m.prefixes[0].valid_s + 1; /* RFC 4862 5.5.3 c */
    send_advert(w, &m);
    assert_int_equal(made_in(w, "2001:db8:1::").link, 0);
    m = advert();
    m.prefixes[0].len = 63; /* 5.5.3 d */
    send_advert(w, &m);
    assert_int_equal(made_in(w, "2001:db8:1::").link, 0);
    ether_free(w);
    w = ether_new(1, &card); /* the program configures */
    m = advert();
    send_advert(w, &m);
    assert_false(has_route(w, "::", 0, router));
    ether_free(w);
}

/* RFC 7217 6: another host has the address: the next one, three times. */
static void the_next_address_is_tried(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &alone);
    tern_ip had[5];
    int tries = 0;
    for (tern_addr_entry e = made_in(w, "fe80::"); e.link != 0 && tries < 5; e = made_in(w, "fe80::")) {
        for (int i = 0; i < tries; i++)
            assert_false(ip_eq(&had[i], &e.ip));
        had[tries++] = e.ip;
        struct ndp_msg m = {.type = ICMP6_NEIGHBOUR_ADVERT, .target = e.ip, .has_hw = true,
                            .hw = ether_hw(ETHER_STACKS)};
        tern_ip all = ether_ip("ff02::1");
        struct eth_addr to = eth_multicast(&all);
        ether_send_nd(w, &e.ip, &all, &to, &m);
        ether_run(w, 100 * MS);
    }
    assert_int_equal(tries, 4);
    ether_free(w);
}

/* --- gateways ------------------------------------------------------------------------------------ */

static void far_away_by_the_gateway(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &card);
    ether_addr(w, 0, "192.0.2.1/24");
    tern_ip any = ether_ip("0.0.0.0"), gate = ether_ip("192.0.2.254"), far = ether_ip("198.51.100.7");
    tern_ip us = ether_ip("192.0.2.1"), six = ether_ip("2001:db8::1");
    assert_int_equal(tern_route_add_via(w->t[0], w->link[0], &any, 0, &six), -TERN_EINVAL);
    assert_int_equal(tern_route_add_via(w->t[0], 7, &any, 0, &gate), -TERN_ENODEV);
    assert_int_equal(tern_route_add_via(w->t[0], w->link[0], &any, 0, &gate), 0);
    ether_run(w, 5 * SEC);
    ether_send_syn(w, &far, &us, 0);
    assert_int_equal(ether_neigh(w, 0, &gate).state, TERN_NEIGH_INCOMPLETE);
    assert_int_equal(ether_neigh(w, 0, &far).state, 0);
    assert_true(ip_eq(&ether_last_arp(w, 0)->a.target, &gate));
    tern_route_entry r[8];
    int n = tern_route_list(w->t[0], r, 8);
    assert_true(n == 2 && ip_eq(&r[1].via, &gate));
    ether_free(w);
}

/* RFC 4861 6.3.6: of two routers the one that answers. (RFC4861-6.3.4-c) */
static void the_router_that_answers(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &alone);
    tern_ip one = ether_ip("fe80::91"), two = ether_ip("fe80::92"), all = ether_ip("ff02::1");
    tern_ip far = ether_ip("2001:db8:f::1");
    struct eth_addr to = eth_multicast(&all);
    struct ndp_msg m = advert();
    ether_send_nd(w, &one, &all, &to, &m);
    m.n_prefixes = 0;
    m.hw.b[5] = 0x92;
    ether_send_nd(w, &two, &all, &to, &m);
    ether_run(w, 5 * SEC);
    tern_ip us = made_in(w, "2001:db8:1::").ip;
    ether_send_syn(w, &far, &us, 0);
    struct eth_addr first = ether_hw(ETHER_STACKS);
    assert_memory_equal(ether_last_tcp(w, 0)->eth.dst.b, first.b, 6);
    ether_run(w, 10 * SEC); /* nobody answers the probes */
    assert_int_equal(ether_neigh(w, 0, &one).state, TERN_NEIGH_FAILED);
    ether_send_syn(w, &far, &us, 0);
    assert_int_equal(ether_last_tcp(w, 0)->eth.dst.b[5], 0x92);
    ether_free(w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_configures_itself),
        cmocka_unit_test(routers_are_asked_for_until_one_speaks),
        cmocka_unit_test(its_addresses_are_stable),
        cmocka_unit_test(the_mtu_is_taken),
        cmocka_unit_test(lifetimes_end),
        cmocka_unit_test(what_a_forger_can_do),
        cmocka_unit_test(adverts_that_are_ignored),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(far_away_by_the_gateway),
        cmocka_unit_test(the_router_that_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
