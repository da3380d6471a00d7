/* The states of a neighbour, line by line from the table of RFC 4861 Appendix C, for IPv6 and, where ARP can
 * say it, for IPv4. The test plays the neighbour; time is the test's. */
#include "lab/ether.h"

#include <string.h>

static const tern_link_info card = {.mtu = 1500, .ethernet = true, .no_dad = true};

static struct eth_addr peer_hw(void) { return ether_hw(ETHER_STACKS); }
static const struct eth_addr other_hw = {{2, 9, 9, 9, 9, 9}};

struct net {
    struct ether_world *w;
    tern_ip us, peer;
};

static struct net begin(bool v6)
{
    struct net n = {.w = ether_new(1, &card),
                    .us = ether_ip(v6 ? "2001:db8::1" : "192.0.2.1"),
                    .peer = ether_ip(v6 ? "2001:db8::2" : "192.0.2.2")};
    ether_addr(n.w, 0, v6 ? "2001:db8::1/64" : "192.0.2.1/24");
    ether_run(n.w, 5 * SEC); /* announcements are over */
    ether_forget(n.w);
    return n;
}

static uint8_t state_of(const struct net *n) { return ether_neigh(n->w, 0, &n->peer).state; }

/* Something is to be sent to the peer: the answer to its SYN. */
static void send_to_peer(struct net *n) { ether_send_syn(n->w, &n->peer, &n->us, 0); }

/* The peer says where it is. */
static void advertise(struct net *n, const struct eth_addr *hw, bool solicited, bool override)
{
    struct ndp_msg m = {.type = ICMP6_NEIGHBOUR_ADVERT,
                        .target = n->peer,
                        .solicited = solicited,
                        .override = override,
                        .has_hw = hw != NULL};
    struct eth_addr to = ether_hw(0);
    if (hw != NULL)
        m.hw = *hw;
    ether_send_nd(n->w, &n->peer, &n->us, &to, &m);
}

static void solicit(struct net *n, const struct eth_addr *hw)
{
    struct ndp_msg m = {.type = ICMP6_NEIGHBOUR_SOLICIT, .target = n->us, .has_hw = true, .hw = *hw};
    tern_ip group = ndp_solicited_node(&n->us);
    struct eth_addr to = eth_multicast(&group);
    ether_send_nd(n->w, &n->peer, &group, &to, &m);
}

static void arp(struct net *n, uint16_t op, const struct eth_addr *hw, const struct eth_addr *to)
{
    struct arp_msg m = {.op = op, .sender_hw = *hw, .sender = n->peer, .target = n->us, .target_hw = *to};
    ether_send_arp(n->w, to, &m);
}

/* Bring the peer into a state, its address known as peer_hw() from DELAY, STALE, PROBE, REACHABLE on. */
static void bring(struct net *n, uint8_t state)
{
    struct eth_addr hw = peer_hw(), us = ether_hw(0);
    send_to_peer(n);
    assert_int_equal(state_of(n), TERN_NEIGH_INCOMPLETE);
    if (state == TERN_NEIGH_INCOMPLETE)
        return;
    if (tern_ip_is4(&n->us))
        arp(n, ARP_REPLY, &hw, &us);
    else
        advertise(n, &hw, true, true);
    assert_int_equal(state_of(n), TERN_NEIGH_REACHABLE);
    if (state == TERN_NEIGH_REACHABLE)
        return;
    ether_run(n->w, 46 * SEC); /* 30 s, half of it more at most */
    assert_int_equal(state_of(n), TERN_NEIGH_STALE);
    if (state == TERN_NEIGH_STALE)
        return;
    send_to_peer(n);
    assert_int_equal(state_of(n), TERN_NEIGH_DELAY);
    if (state == TERN_NEIGH_DELAY)
        return;
    ether_run(n->w, 5 * SEC);
    assert_int_equal(state_of(n), TERN_NEIGH_PROBE);
}

static void assert_hw(const struct net *n, const struct eth_addr *hw)
{
    tern_neigh_entry e = ether_neigh(n->w, 0, &n->peer);
    assert_true(e.known);
    assert_memory_equal(e.hw, hw->b, 6);
}

/* - | packet to send | create entry, send multicast NS, start retransmit timer | INCOMPLETE; then a
 *   repetition
 * a second, three in all, and it has failed; what waited was dropped. */
static void asks_three_times(bool v6)
{
    struct net n = begin(v6);
    tern_stats stats;
    send_to_peer(&n);
    assert_int_equal(ether_neigh(n.w, 0, &n.peer).waiting, 1);
    for (int i = 1; i <= 3; i++) {
        int asked =
            v6 ? ether_count_nd(n.w, 0, ICMP6_NEIGHBOUR_SOLICIT) : ether_count_arp(n.w, 0, ARP_REQUEST);
        assert_int_equal(asked, i);
        assert_int_equal(state_of(&n), TERN_NEIGH_INCOMPLETE);
        ether_run(n.w, SEC);
    }
    assert_int_equal(state_of(&n), TERN_NEIGH_FAILED);
    assert_null(ether_last_tcp(n.w, 0));
    tern_get_stats(n.w->t[0], &stats);
    assert_int_equal(stats.neigh_asked, 3);
    assert_int_equal(stats.neigh_failed, 1);
    assert_int_equal(stats.neigh_dropped, 1);
    ether_run(n.w, 21 * SEC);
    assert_int_equal(state_of(&n), 0);
    ether_free(n.w);
}

/* RFC4861-7.2.2-d */
static void asks_three_times_and_gives_up(void **state)
{
    (void)state;
    asks_three_times(false);
    asks_three_times(true);
}

/* RFC4861-7.2.2-a: from the address that the packet comes from, to the solicited-node group, with our own
 * link-layer address. RFC 826: broadcast. */
static void asks_as_the_standards_say(void **state)
{
    (void)state;
    struct net n = begin(true);
    send_to_peer(&n);
    const struct seen *s = ether_last_nd(n.w, 0, ICMP6_NEIGHBOUR_SOLICIT);
    tern_ip group = ndp_solicited_node(&n.peer);
    struct eth_addr to = eth_multicast(&group), hw = ether_hw(0);
    assert_non_null(s);
    assert_true(ip_eq(&s->ip.src, &n.us) && ip_eq(&s->ip.dst, &group) && ip_eq(&s->n.target, &n.peer));
    assert_memory_equal(s->eth.dst.b, to.b, 6);
    assert_true(s->n.has_hw);
    assert_memory_equal(s->n.hw.b, hw.b, 6);
    ether_free(n.w);

    n = begin(false);
    send_to_peer(&n);
    s = ether_last_arp(n.w, 0);
    assert_int_equal(s->a.op, ARP_REQUEST);
    assert_true(ip_eq(&s->a.sender, &n.us) && ip_eq(&s->a.target, &n.peer));
    assert_true(eth_is_group(&s->eth.dst));
    ether_free(n.w);
}

/* What waits leaves with the answer, once, to the address that it tells. (RFC4861-7.2.2-b) */
static void what_waits_leaves_with_the_answer(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct net n = begin(v6);
        bring(&n, TERN_NEIGH_REACHABLE);
        const struct seen *s = ether_last_tcp(n.w, 0);
        struct eth_addr hw = peer_hw();
        assert_non_null(s);
        assert_memory_equal(s->eth.dst.b, hw.b, 6);
        assert_int_equal(ether_neigh(n.w, 0, &n.peer).waiting, 0);
        ether_forget(n.w);
        ether_run(n.w, SEC);
        assert_null(ether_last_tcp(n.w, 0));
        ether_free(n.w);
    }
}

/* --- INCOMPLETE ---------------------------------------------------------------------------------- */

/* RFC4861-7.3.1-a */
static void incomplete(void **state)
{
    (void)state;
    static const struct {
        bool solicited, override, hw;
        uint8_t then;
    } rows[] = {
        {true, false, true, TERN_NEIGH_REACHABLE},   {true, true, true, TERN_NEIGH_REACHABLE},
        {false, false, true, TERN_NEIGH_STALE},      {false, true, true, TERN_NEIGH_STALE},
        {true, true, false, TERN_NEIGH_INCOMPLETE},  {false, false, false, TERN_NEIGH_INCOMPLETE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net n = begin(true);
        struct eth_addr hw = peer_hw();
        bring(&n, TERN_NEIGH_INCOMPLETE);
        advertise(&n, rows[i].hw ? &hw : NULL, rows[i].solicited, rows[i].override);
        assert_int_equal(state_of(&n), rows[i].then);
        assert_int_equal(ether_last_tcp(n.w, 0) != NULL, rows[i].hw); /* queued packets are sent */
        ether_free(n.w);
    }
}

static void incomplete_hears_of_itself(void **state)
{
    (void)state;
    struct eth_addr hw = peer_hw(), all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct net n = begin(true);
    bring(&n, TERN_NEIGH_INCOMPLETE);
    solicit(&n, &hw);
    assert_int_equal(state_of(&n), TERN_NEIGH_STALE);
    assert_non_null(ether_last_tcp(n.w, 0));
    ether_free(n.w);
    n = begin(false);
    bring(&n, TERN_NEIGH_INCOMPLETE);
    arp(&n, ARP_REQUEST, &hw, &all);
    assert_int_equal(state_of(&n), TERN_NEIGH_STALE);
    assert_non_null(ether_last_tcp(n.w, 0));
    ether_free(n.w);
}

/* --- !INCOMPLETE --------------------------------------------------------------------------------- */

struct row {
    bool solicited, override, other; /* flags; another address than the one cached */
    uint8_t from, then;              /* 0 = unchanged */
    bool taken;                      /* the other address is */
};

static void play_row(const struct row *r, uint8_t from)
{
    struct net n = begin(true);
    struct eth_addr hw = peer_hw();
    bring(&n, from);
    advertise(&n, r->other ? &other_hw : &hw, r->solicited, r->override);
    assert_int_equal(state_of(&n), r->then != 0 ? r->then : from);
    assert_hw(&n, r->taken ? &other_hw : &hw);
    ether_free(n.w);
}

/* RFC4861-7.2.5-ab, RFC4861-7.3.1-a */
static void advertisements_later(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {true, false, false, 0, TERN_NEIGH_REACHABLE, false},
        {true, false, true, TERN_NEIGH_REACHABLE, TERN_NEIGH_STALE, false},
        {true, false, true, TERN_NEIGH_STALE, 0, false},
        {true, false, true, TERN_NEIGH_DELAY, 0, false},
        {true, false, true, TERN_NEIGH_PROBE, 0, false},
        {true, true, false, 0, TERN_NEIGH_REACHABLE, false},
        {true, true, true, 0, TERN_NEIGH_REACHABLE, true},
        {false, false, false, 0, 0, false},
        {false, false, true, TERN_NEIGH_STALE, 0, false},
        {false, false, true, TERN_NEIGH_DELAY, 0, false},
        {false, false, true, TERN_NEIGH_PROBE, 0, false},
        {false, true, false, 0, 0, false},
        {false, true, true, 0, TERN_NEIGH_STALE, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (uint8_t from = TERN_NEIGH_REACHABLE; from <= TERN_NEIGH_PROBE; from++)
            if (rows[i].from == 0 || rows[i].from == from)
                play_row(&rows[i], from);
    }
}

/* NS, RS, RA: the same address changes nothing, another one makes it STALE. (RFC4861-7.2.3-b) */
static void solicitations_later(void **state)
{
    (void)state;
    for (uint8_t from = TERN_NEIGH_REACHABLE; from <= TERN_NEIGH_PROBE; from++) {
        struct net n = begin(true);
        struct eth_addr hw = peer_hw();
        bring(&n, from);
        solicit(&n, &hw);
        assert_int_equal(state_of(&n), from); /* the answer is no packet that the cache is asked for */
        solicit(&n, &other_hw);
        assert_int_equal(state_of(&n), TERN_NEIGH_STALE);
        assert_hw(&n, &other_hw);
        ether_free(n.w);
    }
}

/* ARP: an unasked reply or a gratuitous request tells of a change, and proves nothing (RFC 826). */
static void arp_later(void **state)
{
    (void)state;
    static const struct eth_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    for (uint8_t from = TERN_NEIGH_REACHABLE; from <= TERN_NEIGH_PROBE; from++) {
        struct net n = begin(false);
        struct eth_addr hw = peer_hw(), us = ether_hw(0);
        bring(&n, from);
        arp(&n, ARP_REQUEST, &hw, &all);
        assert_int_equal(state_of(&n), from);
        arp(&n, ARP_REPLY, &other_hw, &all);
        assert_int_equal(state_of(&n), TERN_NEIGH_STALE);
        assert_hw(&n, &other_hw);
        arp(&n, ARP_REPLY, &hw, &us);
        assert_int_equal(state_of(&n), TERN_NEIGH_STALE); /* nobody asked */
        ether_free(n.w);
    }
}

/* DELAY | delay timeout | unicast NS | PROBE | three in vain | entry discarded. */
static void probes(bool v6)
{
    struct net n = begin(v6);
    struct eth_addr hw = peer_hw(), us = ether_hw(0);
    bring(&n, TERN_NEIGH_DELAY);
    ether_forget(n.w);
    ether_run(n.w, 4900 * MS);
    assert_int_equal(n.w->n, 0);
    ether_run(n.w, 200 * MS);
    assert_int_equal(state_of(&n), TERN_NEIGH_PROBE);
    const struct seen *s = v6 ? ether_last_nd(n.w, 0, ICMP6_NEIGHBOUR_SOLICIT) : ether_last_arp(n.w, 0);
    assert_non_null(s);
    assert_memory_equal(s->eth.dst.b, hw.b, 6); /* to it alone */
    ether_run(n.w, 1900 * MS);
    int asked = v6 ? ether_count_nd(n.w, 0, ICMP6_NEIGHBOUR_SOLICIT) : ether_count_arp(n.w, 0, ARP_REQUEST);
    assert_int_equal(asked, 3);
    send_to_peer(&n); /* packets go on to the cached address (7.3.3) */
    assert_memory_equal(ether_last_tcp(n.w, 0)->eth.dst.b, hw.b, 6);
    ether_run(n.w, SEC);
    assert_int_equal(state_of(&n), TERN_NEIGH_FAILED);
    send_to_peer(&n); /* and then it is asked for anew */
    assert_int_equal(state_of(&n), TERN_NEIGH_INCOMPLETE);
    ether_free(n.w);

    n = begin(v6);
    bring(&n, TERN_NEIGH_PROBE);
    if (v6)
        advertise(&n, &hw, true, true);
    else
        arp(&n, ARP_REPLY, &hw, &us);
    assert_int_equal(state_of(&n), TERN_NEIGH_REACHABLE);
    ether_free(n.w);
}

static void probes_one_by_one(void **state)
{
    (void)state;
    probes(false);
    probes(true);
}

/* --- limits -------------------------------------------------------------------------------------- */

/* RFC 4861 7.2.5, RFC 6583: what nobody asked for makes no entry; nor does who asks and does not say where he
 * is (RFC4861-7.2-a). */
static void unasked_makes_none(void **state)
{
    (void)state;
    struct eth_addr hw = peer_hw(), us = ether_hw(0), all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct net n = begin(true);
    advertise(&n, &hw, true, true);
    assert_int_equal(state_of(&n), 0);
    struct ndp_msg ask = {.type = ICMP6_NEIGHBOUR_SOLICIT, .target = n.us};
    ether_send_nd(n.w, &n.peer, &n.us, &us, &ask);
    assert_int_equal(ether_count_nd(n.w, 0, ICMP6_NEIGHBOUR_ADVERT), 1); /* to where it came from */
    assert_int_equal(state_of(&n), 0);
    ether_free(n.w);
    n = begin(false);
    arp(&n, ARP_REPLY, &hw, &us);
    struct arp_msg m = {.op = ARP_REQUEST, .sender_hw = hw, .sender = n.peer, .target = n.peer};
    ether_send_arp(n.w, &all, &m); /* gratuitous */
    assert_int_equal(state_of(&n), 0);
    ether_free(n.w);
}

/* A scan of the prefix: those who do not answer never push out one that is spoken to. */
static void a_scan_pushes_nobody_out(void **state)
{
    (void)state;
    struct net n = begin(true);
    bring(&n, TERN_NEIGH_REACHABLE);
    for (uint32_t i = 0; i < 4 * NEIGHS; i++) {
        tern_ip from = n.peer;
        put32(from.b + 12, 0x10000 + i);
        ether_send_syn(n.w, &from, &n.us, 0);
    }
    tern_live live;
    tern_get_live(n.w->t[0], &live);
    assert_int_equal(live.neighbours, NEIGHS / 4 + 1);
    assert_true(live.held <= HELD_ALL + HELD_MESSAGES);
    assert_int_equal(state_of(&n), TERN_NEIGH_REACHABLE);
    ether_run(n.w, 30 * SEC);
    tern_get_live(n.w->t[0], &live);
    assert_int_equal(live.neighbours, 1);
    assert_int_equal(live.held, 0);
    ether_free(n.w);
}

/* Stations that only ask for us: there are NEIGHS entries at most, and those in use stay. */
static void a_crowd_pushes_nobody_out(void **state)
{
    (void)state;
    struct net n = begin(false);
    struct eth_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    bring(&n, TERN_NEIGH_REACHABLE);
    for (uint32_t i = 0; i < 3 * NEIGHS; i++) {
        struct arp_msg m = {.op = ARP_REQUEST, .sender_hw = other_hw, .sender = n.peer, .target = n.us};
        put16(m.sender.b + 14, (uint16_t)(0x300 + i));
        m.sender.b[13] = 7;
        ether_send_arp(n.w, &all, &m);
        if (i % 256 == 0)
            send_to_peer(&n);
    }
    tern_live live;
    tern_get_live(n.w->t[0], &live);
    assert_int_equal(live.neighbours, NEIGHS);
    assert_int_equal(state_of(&n), TERN_NEIGH_REACHABLE);
    ether_free(n.w);
}

/* Of what waits the newest stays. (RFC4861-7.2.2-c) */
static void the_newest_waits(void **state)
{
    (void)state;
    struct net n = begin(true);
    struct eth_addr hw = peer_hw();
    for (int i = 0; i < HELD_EACH + 3; i++)
        send_to_peer(&n);
    assert_int_equal(ether_neigh(n.w, 0, &n.peer).waiting, HELD_EACH);
    ether_forget(n.w);
    advertise(&n, &hw, true, true);
    int sent = 0;
    for (uint32_t i = 0; i < n.w->n; i++)
        sent += n.w->seen[i].tcp;
    assert_int_equal(sent, HELD_EACH);
    ether_free(n.w);
}

static void flushed_and_removed(void **state)
{
    (void)state;
    struct net n = begin(false);
    bring(&n, TERN_NEIGH_REACHABLE);
    assert_int_equal(tern_neigh_flush(n.w->t[0], 9, NULL), -TERN_ENODEV);
    assert_int_equal(tern_neigh_flush(n.w->t[0], n.w->link[0], &n.us), 0);
    assert_int_equal(tern_neigh_flush(n.w->t[0], 0, &n.peer), 1);
    assert_int_equal(state_of(&n), 0);
    send_to_peer(&n);
    assert_int_equal(state_of(&n), TERN_NEIGH_INCOMPLETE);
    assert_int_equal(tern_link_remove(n.w->t[0], n.w->link[0]), 0);
    tern_check(n.w->t[0]);
    tern_live live;
    tern_get_live(n.w->t[0], &live);
    assert_int_equal(live.neighbours, 0);
    ether_free(n.w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_three_times_and_gives_up),
        cmocka_unit_test(asks_as_the_standards_say),
        cmocka_unit_test(what_waits_leaves_with_the_answer),
        cmocka_unit_test(incomplete),
        cmocka_unit_test(incomplete_hears_of_itself),
        cmocka_unit_test(advertisements_later),
        cmocka_unit_test(solicitations_later),
        cmocka_unit_test(arp_later),
        cmocka_unit_test(probes_one_by_one),
        cmocka_unit_test(unasked_makes_none),
        cmocka_unit_test(a_scan_pushes_nobody_out),
        cmocka_unit_test(a_crowd_pushes_nobody_out),
        cmocka_unit_test(the_newest_waits),
        cmocka_unit_test(flushed_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
