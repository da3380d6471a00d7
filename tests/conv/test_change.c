/* Addresses, routes and links change while connections are there (net.h): what ends, with which reason; what
 * goes on, by which link; and that nothing is sent by the old state of affairs. */
#include <tern/net.h>

#include "lab/lab.h"

static tern_ip other_net(const struct lab *l, uint8_t host)
{
    if (tern_ip_is4(&l->ip))
        return tern_ip4(198, 51, 100, host);
    tern_ip ip = {{0x20, 0x01, 0x0d, 0xb8, 0, 7}};
    ip.b[15] = host;
    return ip;
}

static int prefix(const struct lab *l) { return tern_ip_is4(&l->ip) ? 24 : 64; }

static int second_link(struct lab *l)
{
    tern_link_info info = {.mtu = l->cfg.mtu};
    int link = tern_link_add(l->t, &info);
    assert_true(link > 0);
    return link;
}

/* A route to everything. */
static void route_all(struct lab *l, int link)
{
    tern_ip any = tern_ip_is4(&l->ip) ? tern_ip4(0, 0, 0, 0) : (tern_ip){{0}};
    assert_int_equal(tern_route_add(l->t, link, &any, 0), 0);
}

static void up(struct lab *l, int link, bool is_up)
{
    assert_int_equal(tern_link_up(l->t, link, is_up), 0);
    lab_collect(l);
    l->mark = l->now;
}

static void set_mtu(struct lab *l, uint32_t mtu)
{
    tern_link_info info = {.mtu = mtu};
    assert_int_equal(tern_link_set(l->t, l->link, &info), 0);
    lab_collect(l);
    l->mark = l->now;
}

static tern_info info(struct lab *l)
{
    tern_info i;
    assert_true(lab_info(l, 0, &i));
    return i;
}

/* The link of the next packet, 0 = none. */
static int next_link(struct lab *l)
{
    const struct lab_out *o = lab_next(l);
    return o == NULL ? 0 : o->link;
}

/* In every state: CLOSED, the reason, the error, the event; nothing is sent; small records are gone. */
static void address_removed(void **state)
{
    for (int p = LAB_SYN_SENT; p < LAB_PLACES; p++) {
        struct lab *l = lab_new(state, NULL);
        lab_reach(l, p, p != LAB_SYN_RCVD_PASSIVE);
        lab_forget(l);
        lab_events(l, 0);
        assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
        lab_collect(l);
        assert_int_equal(lab_pending(l), 0);
        tern_live live = lab_live(l);
        assert_int_equal(live.halfopen + live.timewait + live.timers, 0);
        if (p == LAB_SYN_RCVD_PASSIVE || p == LAB_TIME_WAIT_FREE) {
            assert_int_equal(live.tcbs, 0);
        } else {
            assert_int_equal(info(l).state, TERN_CLOSED);
            assert_int_equal(info(l).reason, TERN_C_ADDR_REMOVED);
            assert_int_equal(info(l).error, -TERN_EADDRNOTAVAIL);
            assert_true(lab_events(l, 0) & TERN_ENDED);
        }
        lab_run(l, 100 * SEC);
        assert_int_equal(lab_pending(l), 0);
        lab_end(l);
    }
}

/* What had arrived is read first, then the error comes; send says it at once. */
static void received_bytes_stay(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\n"
            "+any > A 1 ack 101");
    assert_int_equal(tern_addr_remove(l->t, 0, &l->ip), 0);
    TALK(l, "recv 100 -> 100\n"
            "recv 100 -> EADDRNOTAVAIL\n"
            "send 10 -> EADDRNOTAVAIL\n"
            "> none");
    lab_end(l);
}

/* Another address of the same stack is not concerned. */
static void the_others_go_on(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip more = l->ip;
    more.b[15] = 77;
    assert_int_equal(tern_addr_add(l->t, l->link, &more, prefix(l)), 0);
    lab_connect(l, "mss 1460");
    assert_int_equal(tern_addr_remove(l->t, l->link, &more), 0);
    TALK(l, "send 10 -> 10\n"
            "> PA 1:11(10) ack 1\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* A listener outlives its address: nothing reaches it until the address is there again. */
static void listener_waits(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint at = {.ip = l->ip, .port = 80};
    assert_int_equal(tern_listen(l->t, &at, 0, &l->listener), 0);
    assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    uint8_t buf[66000];
    uint32_t len = lab_packet(l, "S 0 win 1000 <mss 1460>", buf);
    assert_int_equal(lab_rx(l, buf, len), TERN_UNCLAIMED);
    tern_info i;
    assert_int_equal(tern_get_info(l->t, l->listener, &i), 0);
    assert_int_equal(i.state, TERN_LISTEN);
    assert_int_equal(tern_addr_add(l->t, l->link, &l->ip, prefix(l)), 0);
    TALK(l, "< S 0 win 1000 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* What waits to be accepted waits on, with its end. */
static void unaccepted(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1");
    assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    assert_int_equal(lab_stats(l).left_unaccepted, 1);
    TALK(l, "accept\n"
            "= CLOSED\n"
            "recv 1 -> EADDRNOTAVAIL");
    lab_end(l);
}

/* A RST and an echo reply that wait for tern_tx are not sent from an address that is gone. */
static void waiting_answers(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t buf[66000], ping[128];
    uint32_t len = lab_packet(l, "A 1 ack 1", buf);
    bool v4 = tern_ip_is4(&l->ip);
    uint16_t n = ip_emit(ping, &l->peer_ip, &l->ip, v4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 8 + 16, 1);
    memset(ping + n + 8, 7, 16);
    icmp_emit(ping + n, v4 ? 4 : 6, v4 ? ICMP_ECHO : ICMP6_ECHO, 0, 1, ping + n + 8, 16, &l->peer_ip, &l->ip);
    tern_rx_packet p[2] = {{.data = buf, .len = len, .link = (uint8_t)l->link},
                           {.data = ping, .len = n + 24u, .link = (uint8_t)l->link}};
    tern_rx(l->t, l->now, p, 2);
    assert_int_equal(lab_live(l).replies, 2);
    assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    lab_collect(l);
    assert_int_equal(lab_pending(l), 0);
    assert_int_equal(tern_addr_add(l->t, l->link, &l->ip, prefix(l)), 0);
    tern_rx(l->t, l->now, p, 2);
    up(l, l->link, false);
    assert_int_equal(lab_pending(l), 0);
    up(l, l->link, true);
    assert_int_equal(lab_pending(l), 0);
    lab_end(l);
}

/* --- many records ------------------------------------------------------------------------------ */

enum { MANY = 9000 };

/* SYNs of so many ports; their SYN+ACKs are not taken. */
static void many_half_open(struct lab *l)
{
    tern_endpoint at = {.ip = l->ip, .port = 80};
    assert_int_equal(tern_listen(l->t, &at, 65535, &l->listener), 0);
    for (uint16_t i = 0; i < MANY; i++) {
        uint8_t buf[128];
        struct segment s = {.seq = seq(i), .wnd = 1000, .flags = F_SYN};
        s.opt.wscale = WSCALE_NONE;
        l->flow[0].peer.port = (uint16_t)(1000 + i);
        uint32_t len = lab_build(l, 0, &s, buf);
        tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
        tern_rx(l->t, l->now, &p, 1);
        assert_int_equal(p.verdict, TERN_TAKEN);
    }
    assert_int_equal(lab_live(l).halfopen, MANY);
}

/* A change among very many records is made in slices; what it has not come to yet sends nothing. */
static void in_slices(void **state)
{
    struct lab *l = lab_new(state, NULL);
    many_half_open(l);
    assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    uint32_t left = lab_live(l).halfopen;
    assert_in_range(left, 1, MANY - 1);
    tern_tx_packet out[4];
    assert_int_equal(tern_tx(l->t, l->now, out, 4), 0); /* they were all about to send */
    int ticks = 0;
    for (; tern_next_deadline(l->t) <= l->now; ticks++) {
        assert_in_range(ticks, 0, 10);
        tern_tick(l->t, l->now);
    }
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* Nothing of the old life is mistaken for the new one: the same address again ends the change first. */
static void added_again_in_between(void **state)
{
    struct lab *l = lab_new(state, NULL);
    many_half_open(l);
    lab_collect(l);
    lab_forget(l);
    assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    assert_in_range(lab_live(l).halfopen, 1, MANY - 1);
    assert_int_equal(tern_addr_add(l->t, l->link, &l->ip, prefix(l)), 0);
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* Other changes while one is under way: all are made in the end. */
static void changes_pile_up(void **state)
{
    struct lab *l = lab_new(state, NULL);
    many_half_open(l);
    lab_collect(l);
    lab_forget(l);
    assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(tern_link_up(l->t, l->link, i % 2 != 0), 0);
    lab_run(l, 1);
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* --- MTU --------------------------------------------------------------------------------------- */

/* Down: what is in flight and larger is cut and sent again, and the window holds as many segments as before
 * (RFC5681-3.1-e); up: no further than what the peer takes. */
static void mtu_changes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 2920 -> 2920\n"
            "> A 1:1461(1460) ack 1\n"
            "> PA 1461:2921(1460) ack 1");
    uint32_t cwnd = info(l).cwnd, head = tern_ip_is4(&l->ip) ? 40 : 60;
    set_mtu(l, 1300 + head);
    TALK(l, "? mss 1300\n"
            "> A 1:1301(1300) ack 1\n"
            "> A 1301:1461(160) ack 1\n"
            "> A 1461:2761(1300) ack 1\n"
            "> PA 2761:2921(160) ack 1\n"
            "< A 1 ack 2921\n"
            "send 2600 -> 2600\n"
            "> A 2921:4221(1300) ack 1\n"
            "> PA 4221:5521(1300) ack 1");
    assert_int_equal(info(l).timeouts, 0);
    assert_int_equal(info(l).cwnd, cwnd / 1460 * 1300);
    set_mtu(l, 9000);
    l->cfg.mtu = 9000;
    TALK(l, "? mss 1460\n"
            "> none\n"
            "< A 1 ack 5521\n"
            "send 2920 -> 2920\n"
            "> A 5521:6981(1460) ack 1\n"
            "> PA 6981:8441(1460) ack 1");
    lab_end(l);
}

/* Up to what was agreed, when the link was the narrower one at the handshake. */
static void mtu_grows(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 4000");
    TALK(l, "? mss 1460");
    l->cfg.mtu = 9000;
    set_mtu(l, 9000);
    TALK(l, "? mss 4000\n"
            "send 4000 -> 4000\n"
            "> PA 1:4001(4000) ack 1");
    lab_end(l);
}

/* What ICMP told of the path holds on when the link grows, and is forgotten on another link. */
static void path_and_link(void **state)
{
    struct lab *l = lab_new(state, NULL);
    bool v4 = tern_ip_is4(&l->ip);
    lab_connect(l, "mss 1460");
    TALK(l, "send 1460 -> 1460\n"
            "forget");
    lab_icmp(l, 0, v4 ? 3 : 2, v4 ? 4 : 0, 1400, 1);
    uint32_t path = v4 ? 1360 : 1340;
    TALKF(l, "? mss %u\nforget", path);
    l->cfg.mtu = 9000;
    set_mtu(l, 9000);
    TALKF(l, "? mss %u", path);
    int link2 = second_link(l);
    route_all(l, link2);
    up(l, l->link, false);
    TALK(l, "? mss 1460");
    lab_end(l);
}

/* A half-open connection says the MTU of now in its SYN+ACK, and the SYN of an active one too. */
static void mtu_while_opening(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint32_t head = tern_ip_is4(&l->ip) ? 40 : 60;
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    assert_int_equal(l->last.seg.opt.mss, 1460);
    set_mtu(l, 1300 + head);
    TALK(l, "+any > SA 0 ack 1");
    assert_int_equal(l->last.seg.opt.mss, 1300);
    TALK(l, "< A 1 ack 1\n"
            "accept\n"
            "? mss 1300\n"
            "1 connect\n"
            "1 > S 0");
    assert_int_equal(l->last.seg.opt.mss, 1300);
    set_mtu(l, 1280 + head);
    TALK(l, "1 +any > S 0");
    assert_int_equal(l->last.seg.opt.mss, 1280);
    lab_end(l);
}

/* --- down and up ------------------------------------------------------------------------------- */

/* Nothing is sent; calls work; timers run; what is due leaves when the link is up again. */
static void down_and_up(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    up(l, l->link, false);
    TALK(l, "send 3000 -> 3000\n"
            "+20s > none\n"
            "? link 0\n"
            "? timeouts 0\n"
            "= ESTABLISHED");
    uint8_t buf[66000];
    uint32_t len = lab_packet(l, "PA 1:11(10) ack 1", buf);
    assert_int_equal(lab_rx(l, buf, len), TERN_DROPPED);
    assert_int_equal(l->last_rx.cause, TERN_C_LINK_DOWN);
    up(l, l->link, true);
    TALK(l, "> A 1:1461(1460) ack 1\n"
            "> A 1461:2921(1460) ack 1\n"
            "> PA 2921:3001(80) ack 1\n"
            "< A 1 ack 3001\n"
            "? send_unacked 0\n"
            "? timeouts 0\n"
            "> none");
    lab_end(l);
}

/* TIME_WAIT owes the acknowledgment of a repeated FIN when the link goes: it leaves with the link's
 * return. */
static void down_in_time_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t buf[66000];
    lab_reach(l, LAB_TIME_WAIT, true);
    uint32_t len = lab_packet(l, "FA 1 ack 2", buf);
    tern_rx_packet pkt = {.data = buf, .len = len, .link = (uint8_t)l->link};
    tern_rx(l->t, l->now, &pkt, 1); /* and before it is answered: */
    up(l, l->link, false);
    TALK(l, "+1s > none");
    up(l, l->link, true);
    TALK(l, "> A 2 ack 2\n"
            "= TIME_WAIT");
    lab_end(l);
}

/* A SYN that cannot leave is not lost: when it leaves at last, the first window is whole (RFC 6928 2). */
static void no_way_no_loss(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_info info;
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &l->flow[0].h), 0);
    up(l, l->link, false); /* before it was sent */
    lab_run(l, 10 * SEC);
    assert_int_equal(lab_pending(l), 0);
    up(l, l->link, true);
    assert_int_not_equal(lab_pending(l), 0);
    assert_int_equal(tern_get_info(l->t, l->flow[0].h, &info), 0);
    assert_int_equal(info.state, TERN_SYN_SENT);
    assert_int_equal(info.ssthresh, UINT32_MAX);
    lab_forget(l);
    lab_end(l);
}

/* Something is in flight when the link goes: when it comes back late it is sent again at once, in slow start,
 * and the timeout begins anew. */
static void in_flight(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "send 2920 -> 2920\n"
            "> A 1:1461(1460) ack 1\n"
            "> PA 1461:2921(1460) ack 1");
    up(l, l->link, false);
    TALK(l, "+60s > none");
    up(l, l->link, true);
    TALK(l, "> A 1:1461(1460) ack 1\n"
            "> PA 1461:2921(1460) ack 1\n"
            "+0.9..1.6s > A 1:1461(1460) ack 1\n"
            "< A 1 ack 2921\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* What is owed is an ACK: it leaves when the way is there again. */
static void ack_waits(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    int link2 = second_link(l), first = l->link;
    up(l, first, false);
    l->link = link2; /* it comes by another way than ours */
    TALK(l, "< PA 1:101(100) ack 1\n"
            "+1s > none\n"
            "recv 100 -> 100");
    l->link = first;
    up(l, first, true);
    TALK(l, "> A 1 ack 101");
    lab_end(l);
}

/* Time runs against a connection that has no way: the user timeout, and the default. */
static void given_up(void **state)
{
    for (int by_option = 0; by_option < 2; by_option++) {
        struct lab *l = lab_new(state, NULL);
        lab_connect(l, "mss 1460");
        if (by_option)
            TALK(l, "opt user_timeout 10000");
        up(l, l->link, false);
        TALK(l, "send 100 -> 100");
        lab_run(l, by_option ? 9 * SEC : 900 * SEC);
        TALK(l, "= ESTABLISHED");
        lab_run(l, by_option ? 60 * SEC : 240 * SEC);
        assert_int_equal(info(l).state, TERN_CLOSED);
        assert_int_equal(info(l).reason, by_option ? TERN_C_USER_TIMEOUT : TERN_C_RETRIES_USED_UP);
        assert_int_equal(lab_pending(l), 0);
        lab_end(l);
    }
}

/* ... also of one that nobody holds any more, when the window was shut at first: a probe was acknowledged,
 * and the next cannot leave. */
static void given_up_while_probing(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "< A 1 ack 1 win 0\n"
            "send 100\n"
            "close\n"
            "+any > A 1:2(1) ack 1\n"
            "< A 1 ack 2 win 0");
    up(l, l->link, false);
    lab_run(l, 900 * SEC);
    assert_int_equal(lab_live(l).tcbs, 1);
    lab_run(l, 240 * SEC);
    assert_int_equal(lab_live(l).tcbs, 0);
    lab_end(l);
}

/* A SYN that cannot leave: it goes when the link is up, and the attempt ends in time when it never is. */
static void syn_waits(void **state)
{
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        struct lab *l = lab_new(state, NULL);
        tern_handle h;
        tern_endpoint to = l->flow[0].peer;
        assert_int_equal(tern_connect(l->t, NULL, &to, &h), 0);
        up(l, l->link, false);
        assert_int_equal(lab_pending(l), 0);
        lab_run(l, 50 * SEC);
        assert_int_equal(lab_pending(l), 0);
        up(l, l->link, comes_back);
        assert_int_equal(lab_pending(l), comes_back);
        lab_run(l, 400 * SEC);
        tern_info i;
        assert_int_equal(tern_get_info(l->t, h, &i), 0);
        assert_int_equal(i.state, TERN_CLOSED);
        assert_int_equal(i.reason, TERN_C_SYN_RETRIES_USED_UP);
        assert_int_equal(tern_close(l->t, h), 0);
        lab_end(l);
    }
}

/* Half-open and TIME_WAIT records come to their end; a reset connection does not wait to say so. */
static void small_records(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_reach(l, LAB_SYN_RCVD_PASSIVE, false);
    up(l, l->link, false);
    lab_run(l, 200 * SEC);
    assert_int_equal(lab_live(l).halfopen, 0);
    assert_int_equal(lab_pending(l), 0);
    lab_end(l);
    l = lab_new(state, NULL);
    lab_reach(l, LAB_TIME_WAIT_FREE, true);
    up(l, l->link, false);
    lab_run(l, 61 * SEC);
    assert_int_equal(lab_live(l).timewait, 0);
    lab_end(l);
    l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    up(l, l->link, false);
    TALK(l, "abort\n"
            "> none");
    assert_int_equal(lab_live(l).tcbs, 0);
    lab_end(l);
}

/* Connecting says what is wrong. */
static void connect_errors(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint near_end = l->flow[0].peer, far_end = near_end;
    far_end.ip = other_net(l, 9);
    tern_handle h;
    assert_int_equal(tern_connect(l->t, NULL, &far_end, &h), -TERN_ENETUNREACH);
    route_all(l, l->link);
    up(l, l->link, false);
    assert_int_equal(tern_connect(l->t, NULL, &near_end, &h), -TERN_ENETDOWN);
    assert_int_equal(tern_connect(l->t, NULL, &far_end, &h), -TERN_ENETDOWN);
    near_end.zone = 9;
    assert_int_equal(tern_connect(l->t, NULL, &near_end, &h), -TERN_ENODEV);
    lab_end(l);
}

/* --- routes ------------------------------------------------------------------------------------ */

/* A connection of ours follows the routes: down, up, replaced, removed. */
static void ours_follows_the_routes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    int link1 = l->link, link2 = second_link(l);
    l->tuned = true; /* a twin would not have these routes */
    l->flow[0].peer.ip = other_net(l, 9);
    tern_ip net = other_net(l, 0);
    assert_int_equal(tern_route_add(l->t, link1, &net, prefix(l)), 0);
    assert_int_equal(tern_route_add(l->t, link2, &net, prefix(l)), 0); /* the second choice */
    lab_connect(l, "mss 1460");
    assert_int_equal(info(l).link, link1);
    up(l, link1, false);
    assert_int_equal(info(l).link, link2);
    TALK(l, "send 10 -> 10");
    assert_int_equal(next_link(l), link2);
    l->link = link2;
    TALK(l, "< A 1 ack 11");
    up(l, link1, true);
    assert_int_equal(info(l).link, link1);
    assert_int_equal(tern_route_replace(l->t, link2, &net, prefix(l)), 0);
    assert_int_equal(info(l).link, link2);
    assert_int_equal(tern_route_add(l->t, link1, &net, prefix(l)), 0);
    assert_int_equal(tern_route_remove(l->t, link2, &net, prefix(l)), 0);
    assert_int_equal(info(l).link, link1);
    TALK(l, "send 10 -> 10");
    assert_int_equal(next_link(l), link1);
    assert_int_equal(tern_route_remove(l->t, link1, &net, prefix(l)), 0);
    assert_int_equal(info(l).link, 0);
    route_all(l, link2); /* a shorter prefix is the next choice */
    assert_int_equal(info(l).link, link2);
    lab_end(l);
}

/* One that a peer opened answers by the link its SYN came from, whatever the routes say, while that is up. */
static void theirs_answers_where_it_came_from(void **state)
{
    struct lab *l = lab_new(state, NULL);
    int link1 = l->link, link2 = second_link(l);
    l->flow[0].peer.ip = other_net(l, 9);
    route_all(l, link1);
    l->link = link2;
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>");
    assert_int_equal(next_link(l), link2);
    TALK(l, "< A 1 ack 1\n"
            "accept");
    assert_int_equal(info(l).link, link2);
    up(l, link2, false);
    assert_int_equal(info(l).link, link1);
    up(l, link2, true);
    assert_int_equal(info(l).link, link2);
    assert_int_equal(tern_link_remove(l->t, link2), 0);
    assert_int_equal(info(l).link, link1);
    assert_int_equal(second_link(l), link2); /* another link of the same id is not its home */
    assert_int_equal(info(l).link, link1);
    l->link = link1;
    lab_end(l);
}

/* At rest too a connection forgets a home that is no more: a later link of that id is another. */
static void home_goes_at_rest(void **state)
{
    struct lab *l = lab_new(state, NULL);
    int link1 = l->link, link2 = second_link(l);
    l->flow[0].peer.ip = other_net(l, 9);
    route_all(l, link1);
    l->link = link2;
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept");
    lab_events(l, 0);
    lab_run(l, 60 * SEC);
    assert_int_equal(lab_live(l).asleep, 1);
    assert_int_equal(tern_link_remove(l->t, link2), 0);
    assert_int_equal(lab_live(l).asleep, 1);
    assert_int_equal(second_link(l), link2);
    lab_send(l, 0, 10, 0);
    assert_int_equal(next_link(l), link1);
    l->link = link1;
    lab_forget(l);
    lab_end(l);
}

/* --- tables ------------------------------------------------------------------------------------ */

static bool has_route(struct lab *l, const tern_ip *dst, int prefix_len, int link)
{
    tern_route_entry r[64];
    int n = tern_route_list(l->t, r, 64);
    bool found = false;
    for (int i = 0; i < n; i++)
        found |=
            r[i].prefix_len == prefix_len && r[i].link == link && ip_prefix_eq(&r[i].dst, dst, prefix_len);
    return found;
}

/* The route to a prefix lives as long as one of its addresses, unless it was asked for. */
static void prefix_routes(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip a = other_net(l, 1), b = other_net(l, 2);
    int len = prefix(l);
    assert_int_equal(tern_addr_add(l->t, l->link, &a, len), 0);
    assert_int_equal(tern_addr_add(l->t, l->link, &b, len), 0);
    assert_int_equal(tern_addr_remove(l->t, l->link, &a), 0);
    assert_true(has_route(l, &b, len, l->link));
    assert_int_equal(tern_addr_remove(l->t, l->link, &b), 0);
    assert_false(has_route(l, &b, len, l->link));
    assert_int_equal(tern_addr_add(l->t, l->link, &a, len), 0);
    assert_int_equal(tern_route_add(l->t, l->link, &a, len), 0); /* asked for now */
    assert_int_equal(tern_route_add(l->t, l->link, &a, len), -TERN_EEXIST);
    assert_int_equal(tern_addr_remove(l->t, l->link, &a), 0);
    assert_true(has_route(l, &b, len, l->link));
    lab_end(l);
}

/* Every refusal of every call. */
static void errors(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern *t = l->t;
    tern_ip a = other_net(l, 1), group = {{0xff, 2}};
    int len = prefix(l);
    tern_link_info bad = {.mtu = 575}, narrow = {.mtu = 600}, fine = {.mtu = 1500};
    assert_int_equal(tern_addr_add(t, 9, &a, len), -TERN_ENODEV);
    assert_int_equal(tern_addr_add(t, 0, &a, len), -TERN_ENODEV);
    assert_int_equal(tern_addr_add(t, l->link, &a, 129), -TERN_EINVAL);
    assert_int_equal(tern_addr_add(t, l->link, &group, 64), -TERN_EINVAL);
    assert_int_equal(tern_addr_add(t, l->link, &l->ip, len), -TERN_EEXIST);
    assert_int_equal(tern_addr_remove(t, 9, &a), -TERN_ENODEV);
    assert_int_equal(tern_addr_remove(t, l->link, &a), -TERN_ENOENT);
    assert_int_equal(tern_addr_remove(t, 0, &a), -TERN_ENOENT);
    assert_int_equal(tern_addr_deprecate(t, 0, &a, true), -TERN_ENOENT);
    assert_int_equal(tern_route_add(t, 9, &a, len), -TERN_ENODEV);
    assert_int_equal(tern_route_add(t, l->link, &a, -1), -TERN_EINVAL);
    assert_int_equal(tern_route_remove(t, 9, &a, len), -TERN_ENODEV);
    assert_int_equal(tern_route_remove(t, l->link, &a, len), -TERN_ENOENT);
    assert_int_equal(tern_route_replace(t, 9, &a, len), -TERN_ENODEV);
    assert_int_equal(tern_link_set(t, 9, &fine), -TERN_ENODEV);
    assert_int_equal(tern_link_set(t, l->link, &bad), -TERN_EINVAL);
    assert_int_equal(tern_link_set(t, l->link, &narrow), tern_ip_is4(&l->ip) ? 0 : -TERN_EINVAL);
    assert_int_equal(tern_link_up(t, 9, true), -TERN_ENODEV);
    assert_int_equal(tern_link_up(t, 0, true), -TERN_ENODEV);
    assert_int_equal(tern_link_remove(t, 9), -TERN_ENODEV);
    assert_int_equal(tern_link_remove(t, -1), -TERN_ENODEV);
    assert_int_equal(tern_link_remove(t, 16), -TERN_ENODEV);
    lab_end(l);
}

/* What there is can be listed, also into too little room; a link that goes takes its own with it. */
static void lists(void **state)
{
    struct lab *l = lab_new(state, NULL);
    int link2 = second_link(l), len = prefix(l);
    tern_ip a = other_net(l, 1);
    assert_int_equal(tern_addr_add(l->t, link2, &a, len), 0);
    assert_int_equal(tern_addr_deprecate(l->t, link2, &a, true), 0);
    route_all(l, link2);
    up(l, link2, false);
    tern_link_entry links[4];
    assert_int_equal(tern_link_list(l->t, links, 4), 2);
    assert_true(links[0].link == l->link && links[0].up && links[1].link == link2 && !links[1].up);
    assert_int_equal(links[1].info.mtu, l->cfg.mtu);
    assert_int_equal(tern_link_list(l->t, links, 1), 2);
    tern_addr_entry addrs[4];
    assert_int_equal(tern_addr_list(l->t, addrs, 4), 2);
    assert_true(ip_eq(&addrs[1].ip, &a) && addrs[1].link == link2 && addrs[1].deprecated);
    assert_int_equal(addrs[1].prefix_len, len);
    tern_route_entry routes[4];
    assert_int_equal(tern_route_list(l->t, routes, 4), 3);
    assert_true(routes[1].by_addr && !routes[2].by_addr && routes[2].prefix_len == 0);
    assert_int_equal(tern_link_remove(l->t, link2), 0);
    assert_int_equal(tern_link_list(l->t, links, 4), 1);
    assert_int_equal(tern_addr_list(l->t, addrs, 0), 1);
    assert_int_equal(tern_route_list(l->t, NULL, 0), 1);
    lab_end(l);
}

/* What is repeated takes unsent bytes along only if all of it may leave: else SND.NXT would stand behind what
 * was never sent. Here the path becomes narrow after a timeout, and wide again by another way. */
static void unsent_waits_for_the_window(void **state)
{
    struct lab *l = lab_new(state, NULL);
    if (!tern_ip_is4(&l->ip)) { /* IPv6 knows no path as narrow as that */
        lab_end(l);
        return;
    }
    lab_connect(l, "mss 1460");
    TALK(l, "send 1460\n"
            "> PA 1:1461(1460) ack 1\n"
            "+any > PA 1:1461(1460) ack 1\n"
            "+any > PA 1:1461(1460) ack 1\n"
            "? cwnd 1460\n"
            "send 488");
    lab_icmp(l, 0, 3, 4, 100, 1);
    TALK(l, "> A 1:513(512) ack 1");
    up(l, l->link, false);
    up(l, l->link, true);
    TALK(l, "> A 1:513(512) ack 1\n" /* as a question */
            "< A 1 ack 513\n"
            "> A 513:1461(948) ack 1\n"
            "< A 1 ack 1461\n"
            "> PA 1461:1949(488) ack 1");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(address_removed),
        LAB_TEST(received_bytes_stay),
        LAB_TEST(the_others_go_on),
        LAB_TEST(listener_waits),
        LAB_TEST(unaccepted),
        LAB_TEST(waiting_answers),
        LAB_TEST(in_slices),
        LAB_TEST(added_again_in_between),
        LAB_TEST(changes_pile_up),
        LAB_TEST(mtu_changes),
        LAB_TEST(mtu_grows),
        LAB_TEST(path_and_link),
        LAB_TEST(mtu_while_opening),
        LAB_TEST(down_and_up),
        LAB_TEST(down_in_time_wait),
        LAB_TEST(no_way_no_loss),
        LAB_TEST(unsent_waits_for_the_window),
        LAB_TEST(in_flight),
        LAB_TEST(ack_waits),
        LAB_TEST(given_up),
        LAB_TEST(given_up_while_probing),
        LAB_TEST(syn_waits),
        LAB_TEST(small_records),
        LAB_TEST(connect_errors),
        LAB_TEST(ours_follows_the_routes),
        LAB_TEST(theirs_answers_where_it_came_from),
        LAB_TEST(home_goes_at_rest),
        LAB_TEST(prefix_routes),
        LAB_TEST(errors),
        LAB_TEST(lists),
    };
    return LAB_MAIN(tests);
}
