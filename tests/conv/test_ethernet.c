/* IP on Ethernet, beyond one neighbour: connections between two stacks from a cold cache, with frames lost
 * and neighbours forgotten in the middle; addresses that another host has. */
#include "lab/ether.h"

#include <stdlib.h>
#include <string.h>
#include <tern/snapshot.h>
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif

static const tern_link_info card = {.mtu = 1500, .ethernet = true, .no_dad = true};
static const tern_link_info asking = {.mtu = 1500, .ethernet = true};
static const tern_link_info alone = {.mtu = 1500, .ethernet = true, .autoconf = true};
static const struct eth_addr all_stations = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* --- connections --------------------------------------------------------------------------------- */

enum { BYTES = 300000 };

struct talk {
    struct ether_world *w;
    tern_handle listener, client, server;
    uint32_t wrote, read;
};

static uint8_t byte_at(uint32_t i) { return (uint8_t)(i * 31 + (i >> 8)); }

static void begin_talk(struct talk *k, struct ether_world *w, const char *from, const char *to)
{
    tern_endpoint local = {.ip = ether_ip(from)}, at = {.ip = ether_ip(to), .port = 80};
    *k = (struct talk){.w = w};
    assert_int_equal(tern_listen(w->t[1], &at, 0, &k->listener), 0);
    assert_int_equal(tern_connect(w->t[0], &local, &at, &k->client), 0);
}

static void write_some(struct talk *k)
{
    uint8_t bytes[5000];
    while (k->wrote < BYTES) {
        uint32_t n = min_u32(sizeof bytes, BYTES - k->wrote);
        for (uint32_t i = 0; i < n; i++)
            bytes[i] = byte_at(k->wrote + i);
        long r = tern_send(k->w->t[0], k->client, bytes, n, 0);
        if (r <= 0)
            return;
        k->wrote += (uint32_t)r;
    }
}

static void read_some(struct talk *k)
{
    uint8_t bytes[5000];
    if (k->server.v == 0 && tern_accept(k->w->t[1], k->listener, &k->server) != 0)
        return;
    for (long n; (n = tern_recv(k->w->t[1], k->server, bytes, sizeof bytes)) > 0;)
        for (long i = 0; i < n; i++)
            assert_int_equal(bytes[i], byte_at(k->read++));
}

/* One step of both programs. False: all bytes have come. */
static bool talk_on(struct talk *k, uint64_t us)
{
    write_some(k);
    ether_run(k->w, us);
    read_some(k);
    return k->read < BYTES;
}

static void end_talk(struct talk *k)
{
    tern_live live;
    tern_close(k->w->t[0], k->client);
    tern_close(k->w->t[1], k->server);
    tern_close(k->w->t[1], k->listener);
    ether_run(k->w, 300 * SEC);
    for (int i = 0; i < 2; i++) {
        tern_get_live(k->w->t[i], &live);
        assert_int_equal(live.tcbs + live.timewait + live.halfopen + live.chunks + live.held, 0);
    }
    ether_free(k->w);
}

/* The two stacks get an address each, and talk. */
static void talk_over(struct talk *k, struct ether_world *w, bool v6)
{
    ether_addr(w, 0, v6 ? "2001:db8::1/64" : "192.0.2.1/24");
    ether_addr(w, 1, v6 ? "2001:db8::2/64" : "192.0.2.2/24");
    begin_talk(k, w, v6 ? "2001:db8::1" : "192.0.2.1", v6 ? "2001:db8::2" : "192.0.2.2");
}

/* From a cold cache, cards that cut super-segments and those that do not. */
static void bytes_go_over(void **state)
{
    static const char *const ends[][4] = {{"192.0.2.1/24", "192.0.2.2/24", "192.0.2.1", "192.0.2.2"},
                                          {"2001:db8::1/64", "2001:db8::2/64", "2001:db8::1", "2001:db8::2"}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        const char *const *e = ends[i & 1];
        tern_link_info info = card;
        info.gso_max = i & 2 ? 64000 : 0;
        info.tx_csum = i & 2;
        struct ether_world *w = ether_new(2, &info);
        struct talk k;
        ether_addr(w, 0, e[0]);
        ether_addr(w, 1, e[1]);
        begin_talk(&k, w, e[2], e[3]);
        for (int turn = 0; talk_on(&k, 10 * MS); turn++)
            assert_true(turn < 1000);
        tern_stats stats;
        tern_get_stats(w->t[0], &stats);
        /* the SYN waited for the answer, and was not lost */
        assert_int_equal(stats.timeouts + stats.neigh_dropped, 0);
        end_talk(&k);
    }
}

/* Every tenth frame is lost, ARP and neighbour discovery too. */
static void bytes_go_over_a_bad_wire(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct ether_world *w = ether_new(2, &card);
        struct talk k;
        talk_over(&k, w, v6);
        w->loss_ppm = 100000;
        for (int turn = 0; talk_on(&k, 100 * MS); turn++)
            assert_true(turn < 10000);
        w->loss_ppm = 0;
        end_talk(&k);
    }
}

/* Neighbours are forgotten in the middle of a transfer, on either side. */
static void bytes_go_on_when_neighbours_are_forgotten(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(2, &card);
    struct talk k;
    talk_over(&k, w, false);
    for (int turn = 0; talk_on(&k, 1 * MS); turn++) {
        assert_true(turn < 10000);
        if (turn % 7 == 0)
            tern_neigh_flush(w->t[turn / 7 % 2], 0, NULL);
    }
    end_talk(&k);
}

/* RFC 4861 7.3.1: while ACKs come nobody has to be asked. */
static void acks_confirm_the_neighbour(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(2, &card);
    struct talk k;
    talk_over(&k, w, false);
    ether_run(w, 5 * SEC);
    ether_forget(w);
    for (int i = 0; i < 300; i++) {
        tern_send(w->t[0], k.client, "x", 1, 0);
        ether_run(w, SEC);
    }
    assert_int_equal(ether_count_arp(w, 0, ARP_REQUEST), 0);
    assert_true(ether_count_arp(w, 1, ARP_REQUEST) > 0); /* the other side only acknowledges: it asks */
    ether_free(w);
}

/* RFC 1122 3.3.2.1, as from a router: the program is told; it is no end of the connection.
 * (RFC4861-7.2.2-e) */
static void a_silent_neighbour_is_told(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &card);
    tern_endpoint to = {.ip = ether_ip("192.0.2.9"), .port = 80};
    tern_handle h;
    tern_info info;
    ether_addr(w, 0, "192.0.2.1/24");
    assert_int_equal(tern_connect(w->t[0], NULL, &to, &h), 0);
    ether_run(w, 3500 * MS);
    assert_int_equal(tern_get_info(w->t[0], h, &info), 0);
    assert_int_equal(info.state, TERN_SYN_SENT);
    assert_int_equal(info.soft_error, -TERN_EHOSTUNREACH);
    ether_free(w);
}

/* --- addresses that others have ------------------------------------------------------------------ */

static struct ether_world *with_address(const tern_link_info *like, const char *cidr)
{
    struct ether_world *w = ether_new(1, like);
    ether_addr(w, 0, cidr);
    return w;
}

static void say_arp_of(struct ether_world *w, uint16_t op, const char *sender, const char *target)
{
    struct arp_msg m = {.op = op,
                        .sender_hw = ether_hw(ETHER_STACKS),
                        .sender = ether_ip(sender),
                        .target = ether_ip(target)};
    ether_send_arp(w, &all_stations, &m);
}

/* RFC 5227 2.1.1: three probes, 1 to 2 s apart, then 2 s, then two announcements 2 s apart; then silence.
 * (RFC5227-2.1-ab, RFC5227-2.1.1-a, RFC5227-2.3-a, RFC5227-2.5-a) */
static void ipv4_asks_before_it_uses(void **state)
{
    (void)state;
    struct ether_world *w = with_address(&asking, "192.0.2.1/24");
    tern_ip us = ether_ip("192.0.2.1");
    assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_TENTATIVE);
    say_arp_of(w, ARP_REQUEST, "192.0.2.2", "192.0.2.1");
    assert_int_equal(ether_count_arp(w, 0, ARP_REPLY), 0); /* not ours yet */
    ether_forget(w);
    ether_run(w, 3 * SEC);
    ether_run(w, 9 * SEC);
    assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_USABLE);
    uint64_t at[5];
    int n = 0;
    for (uint32_t i = 0; i < w->n && n < 5; i++) {
        const struct seen *s = &w->seen[i];
        assert_true(s->arp && s->a.op == ARP_REQUEST && ip_eq(&s->a.target, &us));
        assert_int_equal(ip_is_unspecified(&s->a.sender), n < 3);
        assert_true(memcmp(s->a.sender_hw.b, ether_hw(0).b, 6) == 0 && eth_is_group(&s->eth.dst));
        at[n++] = s->t_us;
    }
    assert_int_equal(n, 5);
    assert_true(at[0] <= 2 * SEC);
    for (int i = 1; i < 3; i++)
        assert_in_range(at[i] - at[i - 1], 1 * SEC, 2 * SEC);
    assert_int_equal(at[3] - at[2], 2 * SEC);
    assert_int_equal(at[4] - at[3], 2 * SEC);
    say_arp_of(w, ARP_REQUEST, "192.0.2.2", "192.0.2.1");
    assert_int_equal(ether_count_arp(w, 0, ARP_REPLY), 1);
    ether_forget(w);
    ether_run(w, 7200 * SEC);
    assert_int_equal(w->n, 0);
    ether_free(w);
}

/* Whoever has it says so, in a reply or a request; or another asks for it at the same time.
 * (RFC5227-2.1.1-bc) */
static void ipv4_gives_way(void **state)
{
    (void)state;
    tern_ip us = ether_ip("192.0.2.1");
    for (int how = 0; how < 3; how++) {
        bool probe = how == 1;
        struct ether_world *w = with_address(&asking, "192.0.2.1/24");
        tern_endpoint local = {.ip = us}, to = {.ip = ether_ip("192.0.2.2"), .port = 80};
        tern_handle h;
        ether_run(w, 3 * SEC);
        say_arp_of(w, how > 0 ? ARP_REQUEST : ARP_REPLY, probe ? "0.0.0.0" : "192.0.2.1",
                   how == 2 ? "192.0.2.9" : "192.0.2.1");
        assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_DUPLICATE);
        ether_forget(w);
        ether_run(w, 20 * SEC);
        assert_int_equal(w->n, 0);
        assert_int_equal(tern_connect(w->t[0], &local, &to, &h), -TERN_EADDRNOTAVAIL);
        tern_stats stats;
        tern_get_stats(w->t[0], &stats);
        assert_int_equal(stats.addr_conflicts, 1);
        ether_free(w);
    }
}

/* An address in use is defended, once in 10 s, and kept. (RFC5227-2.4-ab) */
static void ipv4_defends(void **state)
{
    (void)state;
    struct ether_world *w = with_address(&card, "192.0.2.1/24");
    tern_ip us = ether_ip("192.0.2.1");
    ether_run(w, 10 * SEC);
    ether_forget(w);
    for (int i = 0; i < 5; i++)
        say_arp_of(w, ARP_REQUEST, "192.0.2.1", "192.0.2.1");
    assert_int_equal(ether_count_arp(w, 0, ARP_REQUEST), 1);
    assert_true(ip_eq(&ether_last_arp(w, 0)->a.sender, &us));
    ether_run(w, 10 * SEC);
    say_arp_of(w, ARP_REPLY, "192.0.2.1", "192.0.2.7");
    assert_int_equal(ether_count_arp(w, 0, ARP_REQUEST), 2);
    assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_USABLE);
    say_arp_of(w, ARP_REQUEST, "0.0.0.0", "192.0.2.1"); /* a probe by another is answered */
    assert_int_equal(ether_count_arp(w, 0, ARP_REPLY), 1);
    ether_free(w);
}

static void nd(struct ether_world *w, uint8_t type, const char *src, const char *dst, const char *target,
               bool with_hw)
{
    struct ndp_msg m = {.type = type,
                        .target = ether_ip(target),
                        .override = true,
                        .has_hw = with_hw,
                        .hw = ether_hw(ETHER_STACKS)};
    tern_ip from = ether_ip(src), to = ether_ip(dst);
    struct eth_addr group = eth_multicast(&to);
    ether_send_nd(w, &from, &to, &group, &m);
}

/* One solicitation from nobody to the solicited-node group, a second, and it is ours; the group is reported
 * first (RFC 3810, twice). Another address of the same group is none of ours.
 * (RFC4862-5.4-a, RFC4862-5.4.2-a, RFC4862-5.4.3-a, RFC4861-7.2.1-a, RFC4861-7.2.3-a, RFC4861-7.2.4-abc) */
static void ipv6_asks_before_it_uses(void **state)
{
    (void)state;
    struct ether_world *w = with_address(&asking, "2001:db8::1/64");
    tern_ip us = ether_ip("2001:db8::1");
    nd(w, ICMP6_NEIGHBOUR_SOLICIT, "2001:db8::2", "ff02::1:ff00:1", "2001:db8::1", true);
    assert_int_equal(ether_count_nd(w, 0, ICMP6_NEIGHBOUR_ADVERT), 0);
    ether_run(w, 1500 * MS);
    const struct seen *s = ether_last_nd(w, 0, ICMP6_NEIGHBOUR_SOLICIT);
    assert_non_null(s);
    assert_true(ip_is_unspecified(&s->ip.src) && ip_eq(&s->n.target, &us) && !s->n.has_hw);
    assert_int_equal(w->seen[1].ip.payload[0], ICMP6_LISTENER_REPORT); /* behind the test's own frame */
    ether_run(w, 1 * SEC);
    assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_USABLE);
    nd(w, ICMP6_NEIGHBOUR_SOLICIT, "2001:db8::2", "ff02::1:ff00:1", "2001:db8::1", true);
    s = ether_last_nd(w, 0, ICMP6_NEIGHBOUR_ADVERT);
    assert_true(s != NULL && s->n.solicited && s->n.override && !s->n.router && s->n.has_hw);
    nd(w, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1:ff00:1", "2001:db8::1", false);
    s = ether_last_nd(w, 0, ICMP6_NEIGHBOUR_ADVERT); /* the address is taken: all are told */
    tern_ip all_nodes = ether_ip("ff02::1");
    assert_true(!s->n.solicited && ip_eq(&s->ip.dst, &all_nodes));
    ether_forget(w);
    nd(w, ICMP6_NEIGHBOUR_SOLICIT, "2001:db8::2", "ff02::1:ff00:1", "2001:db8::5:0:1", true);
    assert_int_equal(ether_count_nd(w, 0, ICMP6_NEIGHBOUR_ADVERT), 0);
    ether_free(w);
}

/* RFC4862-5.4.5-a */
static void ipv6_gives_way(void **state)
{
    (void)state;
    tern_ip us = ether_ip("2001:db8::1");
    for (int asks = 0; asks < 2; asks++) {
        struct ether_world *w = with_address(&asking, "2001:db8::1/64");
        ether_run(w, 500 * MS);
        if (asks)
            nd(w, ICMP6_NEIGHBOUR_SOLICIT, "::", "ff02::1:ff00:1", "2001:db8::1", false);
        else
            nd(w, ICMP6_NEIGHBOUR_ADVERT, "2001:db8::1", "ff02::1", "2001:db8::1", true);
        assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_DUPLICATE);
        ether_run(w, 10 * SEC);
        assert_int_equal(ether_addr_entry(w, 0, &us).state, TERN_ADDR_DUPLICATE);
        ether_free(w);
    }
}

/* Two stacks take the same address one after the other, and at the same time. */
static void two_stacks_want_it(void **state)
{
    (void)state;
    static const char *const what[] = {"192.0.2.1/24", "2001:db8::1/64"};
    for (int i = 0; i < 2; i++) {
        tern_ip ip = ether_ip(i ? "2001:db8::1" : "192.0.2.1");
        struct ether_world *w = ether_new(2, &asking);
        ether_addr(w, 0, what[i]);
        ether_run(w, 20 * SEC);
        ether_addr(w, 1, what[i]);
        ether_run(w, 20 * SEC);
        assert_int_equal(ether_addr_entry(w, 0, &ip).state, TERN_ADDR_USABLE);
        assert_int_equal(ether_addr_entry(w, 1, &ip).state, TERN_ADDR_DUPLICATE);
        ether_free(w);
        w = ether_new(2, &asking);
        ether_addr(w, 0, what[i]);
        ether_addr(w, 1, what[i]);
        ether_run(w, 20 * SEC);
        assert_true(ether_addr_entry(w, 0, &ip).state != TERN_ADDR_USABLE ||
                    ether_addr_entry(w, 1, &ip).state != TERN_ADDR_USABLE);
        ether_free(w);
    }
}

/* A listener may be there before its address is; nothing else is. (RFC4862-5.4-a) Where the link says so, no
 * address is asked for (RFC4862-5.1-a). */
static void a_tentative_address_waits(void **state)
{
    (void)state;
    struct ether_world *w = with_address(&asking, "192.0.2.1/24");
    tern_endpoint at = {.ip = ether_ip("192.0.2.1"), .port = 9},
                  to = {.ip = ether_ip("192.0.2.2"), .port = 1};
    tern_handle h;
    assert_int_equal(tern_listen(w->t[0], &at, 0, &h), 0);
    ether_send_syn(w, &to.ip, &at.ip, 0);
    assert_null(ether_last_tcp(w, 0));
    assert_int_equal(tern_connect(w->t[0], NULL, &to, &h), -TERN_EADDRNOTAVAIL);
    ether_run(w, 10 * SEC);
    assert_int_equal(tern_connect(w->t[0], NULL, &to, &h), 0);
    ether_free(w);
    w = with_address(&card, "192.0.2.1/24");
    assert_int_equal(tern_connect(w->t[0], NULL, &to, &h), 0);
    ether_free(w);
}

/* --- frames -------------------------------------------------------------------------------------- */

static uint8_t verdict_of(struct ether_world *w, const uint8_t *frame, uint32_t len, uint8_t flags)
{
    tern_rx_packet p = {.data = frame, .len = len, .link = (uint8_t)w->link[0], .flags = flags};
    tern_rx(w->t[0], w->now, &p, 1);
    return p.verdict;
}

static void frames_for_others(void **state)
{
    (void)state;
    struct ether_world *w = with_address(&card, "192.0.2.1/24");
    uint8_t frame[128] = {0};
    struct eth_frame f = {.dst = ether_hw(0), .src = ether_hw(ETHER_STACKS), .type = ETH_IP4};
    tern_ip peer = ether_ip("192.0.2.2"), us = ether_ip("192.0.2.1");
    struct segment s = {.src = peer, .dst = us, .src_port = 1, .dst_port = 2, .flags = F_SYN};
    s.opt.wscale = WSCALE_NONE;
    eth_emit(frame, &f);
    ip_emit(frame + 14, &peer, &us, PROTO_TCP, 64, 0, 20, 0);
    tcp_emit(frame + 34, &s);
    put16(frame + 50, csum_fold(csum_add(csum_pseudo(&peer, &us, PROTO_TCP, 20), frame + 34, 20)));
    uint8_t flags = TERN_RX_ETHERNET;
    tern_stats stats;
    assert_int_not_equal(verdict_of(w, frame, 60, flags), TERN_UNCLAIMED);
    frame[5] ^= 1; /* another station's */
    assert_int_equal(verdict_of(w, frame, 60, flags), TERN_UNCLAIMED);
    memset(frame, 0xff, 6); /* to all stations, but to one address: RFC 1122 3.3.6 */
    assert_int_equal(verdict_of(w, frame, 60, flags), TERN_DROPPED);
    tern_get_stats(w->t[0], &stats);
    assert_int_equal(stats.dropped[TERN_C_NOT_UNICAST], 1);
    f.type = 0x88cc;
    eth_emit(frame, &f);
    assert_int_equal(verdict_of(w, frame, 60, flags), TERN_UNCLAIMED);
    assert_int_equal(verdict_of(w, frame, 13, flags), TERN_DROPPED);
    tern_link_up(w->t[0], w->link[0], false);
    assert_int_equal(verdict_of(w, frame, 60, flags), TERN_DROPPED);
    ether_free(w);
}

static void links_that_cannot_be(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(1, &card);
    tern_link_info info = card;
    assert_int_equal(tern_link_add(w->t[0], &info), -TERN_EINVAL); /* no address */
    info.hw[0] = 1;
    assert_int_equal(tern_link_add(w->t[0], &info), -TERN_EINVAL); /* a group's */
    info = (tern_link_info){.mtu = 1500};
    assert_int_equal(tern_link_set(w->t[0], w->link[0], &info), -TERN_EINVAL); /* of another kind */
    tern_ip any = ether_ip("0.0.0.0"), gate = ether_ip("192.0.2.254");
    int tun = tern_link_add(w->t[0], &info);
    assert_true(tun > 0);
    assert_int_equal(tern_route_add_via(w->t[0], tun, &any, 0, &gate), -TERN_EINVAL);
    ether_free(w);
}

/* --- copies -------------------------------------------------------------------------------------- */

/* An image holds the padding of its records, which nobody has written and valgrind knows of. */
static void whole_image(const void *image, size_t size)
{
#if __has_include(<valgrind/memcheck.h>)
    (void)VALGRIND_MAKE_MEM_DEFINED(image, size);
#else
    (void)image, (void)size;
#endif
}

/* A copy made in the middle of everything goes on as its original does. */
static void a_copy_goes_on_alike(void **state)
{
    (void)state;
    struct ether_world *w = ether_new(2, &alone);
    struct talk k;
    ether_addr(w, 0, "192.0.2.1/24");
    ether_addr(w, 1, "192.0.2.2/24");
    ether_run(w, 15 * SEC);
    begin_talk(&k, w, "192.0.2.1", "192.0.2.2");
    struct ndp_msg m = {.type = ICMP6_ROUTER_ADVERT, .lifetime_s = 1800, .mtu = 1400, .n_prefixes = 1};
    tern_ip router = ether_ip("fe80::99"), all = ether_ip("ff02::1");
    struct eth_addr to = eth_multicast(&all);
    m.prefixes[0] = (struct ndp_prefix){.prefix = ether_ip("2001:db8:1::"), .valid_s = 86400, .len = 64};
    m.prefixes[0].on_link = m.prefixes[0].autonomous = true;
    ether_send_nd(w, &router, &all, &to, &m);
    for (int turn = 0; talk_on(&k, 1 * MS); turn++) {
        size_t size = tern_snapshot_size(w->t[0]);
        void *image = malloc(size), *block = aligned_alloc(4096, 8 << 20);
        uint64_t before[2], after[2];
        tern *copy;
        assert_int_equal(tern_snapshot(w->t[0], image, size), 0);
        whole_image(image, size);
        assert_int_equal(tern_restore(&copy, image, size, block, 8 << 20, NULL, 0), 0);
        tern_digest(w->t[0], before);
        tern_digest(copy, after);
        assert_true(before[0] == after[0] && before[1] == after[1]);
        tern_check(copy);
        free(image);
        tern_destroy(w->t[0]);
        free(w->block[0]);
        w->t[0] = copy;
        w->block[0] = block;
        if (turn == 3)
            tern_neigh_flush(copy, 0, NULL);
    }
    end_talk(&k);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_over),
        cmocka_unit_test(bytes_go_over_a_bad_wire),
        cmocka_unit_test(bytes_go_on_when_neighbours_are_forgotten),
        cmocka_unit_test(acks_confirm_the_neighbour),
        cmocka_unit_test(a_silent_neighbour_is_told),
        cmocka_unit_test(ipv4_asks_before_it_uses),
        cmocka_unit_test(ipv4_gives_way),
        cmocka_unit_test(ipv4_defends),
        cmocka_unit_test(ipv6_asks_before_it_uses),
        cmocka_unit_test(ipv6_gives_way),
        cmocka_unit_test(two_stacks_want_it),
        cmocka_unit_test(a_tentative_address_waits),
        cmocka_unit_test(frames_for_others),
        cmocka_unit_test(links_that_cannot_be),
        cmocka_unit_test(a_copy_goes_on_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
