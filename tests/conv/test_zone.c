/* Link-local addresses: the same one on two links is two (RFC 4007), for peers and for ourselves. */
#include <tern/net.h>

#include "lab/lab.h"

static struct lab *two_links(void **state, int *first, int *second)
{
    struct lab_config cfg = {.link_local = true};
    struct lab *l = lab_new(state, &cfg);
    tern_link_info info = {.mtu = l->cfg.mtu};
    l->tuned = true; /* a twin would not have the second link */
    *first = l->link;
    *second = tern_link_add(l->t, &info);
    assert_int_equal(tern_addr_add(l->t, *second, &l->ip, 64), 0); /* the same address again */
    assert_int_equal(tern_addr_add(l->t, *second, &l->ip, 64), -TERN_EEXIST);
    return l;
}

/* The peer's SYN by this link; what comes back must leave there too. */
static void syn_by(struct lab *l, int link)
{
    l->link = link;
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    assert_int_equal(l->last.link, link);
}

/* The same addresses and ports on two links: two connections, each with its own bytes. */
static void two_connections(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    TALK(l, "listen");
    syn_by(l, a);
    TALK(l, "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    tern_handle first = l->flow[0].h;
    struct lab_flow one = l->flow[0];
    l->flow[0].iss_known = l->flow[0].any_seen = l->flow[0].edge_known = l->flow[0].peer_edge_known = false;
    syn_by(l, b);
    assert_int_not_equal(l->flow[0].iss, one.iss); /* RFC 6528: of another pair */
    TALK(l, "< A 1 ack 1\n"
            "accept\n"
            "< PA 1:101(100) ack 1\n"
            "+any > A 1 ack 101\n"
            "recv 100 -> 100");
    tern_info i, k;
    assert_int_equal(tern_get_info(l->t, first, &i), 0);
    assert_int_equal(tern_get_info(l->t, l->flow[0].h, &k), 0);
    assert_true(i.remote.zone == a && i.local.zone == a && k.remote.zone == b && k.local.zone == b);
    assert_true(i.recv_queue == 0 && i.bytes_received == 0 && k.bytes_received == 100);
    assert_int_equal(tern_abort(l->t, first), 0);
    lab_collect(l);
    assert_int_equal(lab_next(l)->link, a);
    TALK(l, "= ESTABLISHED");
    lab_end(l);
}

/* Only the one link's connection ends, with its address or with the link. */
static void one_of_two_ends(void **state)
{
    for (int whole_link = 0; whole_link < 2; whole_link++) {
        int a, b;
        struct lab *l = two_links(state, &a, &b);
        tern_endpoint on_a = l->flow[0].peer, on_b = on_a;
        on_a.zone = (uint16_t)a;
        on_b.zone = (uint16_t)b;
        tern_handle ha, hb;
        tern_endpoint from = {.ip = l->ip, .port = 7};
        assert_int_equal(tern_connect(l->t, &from, &on_a, &ha), 0);
        assert_int_equal(tern_connect(l->t, &from, &on_b, &hb), 0);
        assert_int_equal(tern_connect(l->t, &from, &on_b, &hb), -TERN_EADDRINUSE);
        lab_collect(l);
        assert_int_equal(lab_next(l)->link, a);
        assert_int_equal(lab_next(l)->link, b);
        assert_int_equal(whole_link ? tern_link_remove(l->t, b) : tern_addr_remove(l->t, b, &l->ip), 0);
        tern_info i;
        assert_int_equal(tern_get_info(l->t, hb, &i), 0);
        assert_int_equal(i.reason, whole_link ? TERN_C_LINK_REMOVED : TERN_C_ADDR_REMOVED);
        assert_int_equal(i.error, whole_link ? -TERN_ENETDOWN : -TERN_EADDRNOTAVAIL);
        assert_int_equal(tern_get_info(l->t, ha, &i), 0);
        assert_int_equal(i.state, TERN_SYN_SENT);
        tern_abort(l->t, ha);
        tern_abort(l->t, hb);
        lab_end(l);
    }
}

/* Which link? With several it must be said; a name that means nothing is an error of its own. */
static void which_link(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    tern_endpoint to = l->flow[0].peer, from = {.ip = l->ip};
    tern_handle h;
    assert_int_equal(tern_connect(l->t, NULL, &to, &h), -TERN_EDESTADDRREQ);
    assert_int_equal(tern_connect(l->t, &from, &to, &h), -TERN_EDESTADDRREQ); /* both links have it */
    to.zone = 9;
    assert_int_equal(tern_connect(l->t, NULL, &to, &h), -TERN_ENODEV);
    to.zone = (uint16_t)a;
    from.zone = (uint16_t)b;
    assert_int_equal(tern_connect(l->t, &from, &to, &h), -TERN_EINVAL); /* two zones */
    to.zone = 0;
    assert_int_equal(tern_connect(l->t, &from, &to, &h), 0); /* ours says it */
    lab_collect(l);
    assert_int_equal(lab_next(l)->link, b);
    tern_abort(l->t, h);
    assert_int_equal(tern_link_up(l->t, b, false), 0);
    to.zone = (uint16_t)b;
    assert_int_equal(tern_connect(l->t, NULL, &to, &h), -TERN_ENETDOWN); /* no other leads there */
    assert_int_equal(tern_link_remove(l->t, b), 0);
    to.zone = 0;
    assert_int_equal(tern_connect(l->t, NULL, &to, &h), 0); /* there is only one */
    tern_abort(l->t, h);
    lab_end(l);
}

/* Our address on one link is not ours on the other. */
static void not_ours_there(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    uint8_t buf[66000];
    TALK(l, "listen");
    assert_int_equal(tern_addr_remove(l->t, b, &l->ip), 0);
    uint32_t len = lab_packet(l, "S 0 win 1000 <mss 1460>", buf);
    l->link = b;
    assert_int_equal(lab_rx(l, buf, len), TERN_UNCLAIMED);
    l->link = a;
    assert_int_equal(lab_rx(l, buf, len), TERN_TAKEN);
    lab_forget(l);
    lab_end(l);
}

/* Listeners of one link each, and one for the rest; the nearest fit is taken. */
static void listeners(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    tern_endpoint at = {.ip = l->ip, .port = 80, .zone = (uint16_t)a}, any = {.port = 80};
    tern_handle on_a, on_b, rest;
    assert_int_equal(tern_listen(l->t, &at, 0, &on_a), 0);
    assert_int_equal(tern_listen(l->t, &at, 0, &on_b), -TERN_EADDRINUSE);
    at.zone = 9;
    assert_int_equal(tern_listen(l->t, &at, 0, &on_b), -TERN_ENODEV);
    at = (tern_endpoint){.port = 80, .zone = (uint16_t)b};
    assert_int_equal(tern_listen(l->t, &at, 0, &on_b), 0); /* any address, this link only */
    assert_int_equal(tern_listen(l->t, &any, 0, &rest), 0);
    tern_handle want[] = {on_a, on_b};
    for (int i = 0; i < 2; i++) {
        tern_info info;
        l->flow[0].iss_known = l->flow[0].any_seen = false;
        syn_by(l, i == 0 ? a : b);
        assert_int_equal(tern_get_info(l->t, want[i], &info), 0);
        assert_int_equal(info.halfopen, 1);
        assert_int_equal(info.local.zone, i == 0 ? a : b);
    }
    tern_close(l->t, on_a);
    tern_close(l->t, on_b);
    tern_close(l->t, rest);
    lab_forget(l);
    lab_end(l);
}

/* Down is down: a link-local connection waits for its link, and finds no other. */
static void waits_for_its_link(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    tern_ip all = {{0}};
    assert_int_equal(tern_route_add(l->t, b, &all, 0), 0);
    l->link = a;
    l->flow[0].peer.zone = (uint16_t)a;
    lab_connect(l, "mss 1460");
    assert_int_equal(tern_link_up(l->t, a, false), 0);
    TALK(l, "? link 0\n"
            "send 10 -> 10\n"
            "+1s > none");
    assert_int_equal(tern_link_up(l->t, a, true), 0);
    lab_collect(l);
    assert_int_equal(lab_next(l)->link, a);
    lab_forget(l);
    lab_end(l);
}

/* TIME_WAIT knows its link too: the same pair may be opened on the other. */
static void time_wait(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    l->link = a;
    l->flow[0].peer.zone = (uint16_t)a;
    lab_reach(l, LAB_TIME_WAIT_FREE, true);
    lab_forget(l);
    assert_int_equal(lab_live(l).timewait, 1);
    tern_endpoint from = {.ip = l->ip, .port = l->flow[0].local.port}, to = l->flow[0].peer;
    tern_handle h;
    assert_int_equal(tern_connect(l->t, &from, &to, &h), -TERN_EADDRINUSE);
    to.zone = (uint16_t)b;
    assert_int_equal(tern_connect(l->t, &from, &to, &h), 0);
    tern_abort(l->t, h);
    lab_collect(l);
    TALK(l, "forget\n"
            "< FA 1 ack 2\n" /* the repeated FIN is answered by the link it came from */
            "> A 2 ack 2");
    assert_int_equal(l->last.link, a);
    assert_int_equal(tern_link_remove(l->t, a), 0);
    assert_int_equal(lab_live(l).timewait, 0);
    lab_end(l);
}

/* The address counts more than the zone: a listener of this address, on any link, comes before one of any
 * address on this link. */
static void address_before_zone(void **state)
{
    int a, b;
    struct lab *l = two_links(state, &a, &b);
    tern_endpoint exact = {.ip = l->ip, .port = 80}, here = {.port = 80, .zone = (uint16_t)b};
    tern_handle by_address, by_zone;
    tern_info info;
    assert_int_equal(tern_listen(l->t, &here, 0, &by_zone), 0);
    assert_int_equal(tern_listen(l->t, &exact, 0, &by_address), 0);
    syn_by(l, b);
    assert_int_equal(tern_get_info(l->t, by_address, &info), 0);
    assert_int_equal(info.halfopen, 1);
    tern_close(l->t, by_address);
    tern_close(l->t, by_zone);
    lab_forget(l);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(two_connections), LAB_TEST(one_of_two_ends), LAB_TEST(which_link),
        LAB_TEST(not_ours_there),  LAB_TEST(listeners),       LAB_TEST(waits_for_its_link),
        LAB_TEST(time_wait),
        LAB_TEST(address_before_zone),
    };
    return LAB_MAIN(tests);
}
