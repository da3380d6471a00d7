/* What TCP asks of IP, and packets that IP must keep from it (RFC 9293 3.9.2, RFC 791, RFC 1122 3.2). */
#include "lab/lab.h"

static bool is4(const struct lab *l)
{
    return tern_ip_is4(&l->ip);
}

/* MUST-48, SHLD-21, SHLD-22: the Diffserv field of a connection, and its change while it is open. MAY-9: the
 * peer's is shown. */
static void diffserv(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "opt dscp 46\n"
            "send 10\n"
            "> PA 1:11(10) ack 1 dscp 46\n"
            "< A 1 ack 11 dscp 12\n"
            "? dscp_in 12\n"
            "opt dscp 0\n"
            "send 10\n"
            "> PA 11:21(10) ack 1 dscp 0");
    lab_end(l);
}

/* MUST-49: TTL or hop limit, of the stack and of a connection. */
static void ttl(void **state)
{
    struct lab_config cfg = {.stack = {.ttl = 99}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "connect\n"
            "> S 0 ttl 99\n"
            "< SA 0 ack 1 win 65535 <mss 1460> ttl 33\n"
            "> A 1 ack 1 ttl 99\n"
            "? ttl_in 33\n"
            "opt ttl 1\n"
            "send 10\n"
            "> PA 1:11(10) ack 1 ttl 1");
    lab_end(l);
}

/* A listener's settings are its children's, from the SYN+ACK on. */
static void inherited(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "opt dscp 10\n"
            "opt ttl 7\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1 dscp 10 ttl 7\n"
            "< A 1 ack 1\n"
            "accept\n"
            "send 10\n"
            "> PA 1:11(10) ack 1 dscp 10 ttl 7");
    lab_end(l);
}

/* --- packets changed by hand --- */

/* Options put behind the IPv4 header. */
static uint32_t with_ip_options(uint8_t *pkt, uint32_t len, const uint8_t *opts, uint32_t n)
{
    memmove(pkt + 20 + n, pkt + 20, len - 20);
    memcpy(pkt + 20, opts, n);
    pkt[0] = (uint8_t)(0x40 | (20 + n) / 4);
    put16(pkt + 2, (uint16_t)(len + n));
    lab_checksum(pkt, len + n);
    return len + n;
}

/* An extension header put behind the IPv6 header. */
static uint32_t with_ip6_header(uint8_t *pkt, uint32_t len, uint8_t kind, const uint8_t *hdr, uint32_t n)
{
    memmove(pkt + 40 + n, pkt + 40, len - 40);
    memcpy(pkt + 40, hdr, n);
    pkt[40] = PROTO_TCP;
    pkt[6] = kind;
    put16(pkt + 4, (uint16_t)(len - 40 + n));
    lab_checksum(pkt, len + n);
    return len + n;
}

/* MUST-50: IP options that TCP does not know are ignored. */
static void unknown_ip_options(void **state)
{
    static const uint8_t record_route[] = {7, 7, 8, 0, 0, 0, 0, 1};
    static const uint8_t dest[] = {0, 0, 1, 4, 0, 0, 0, 0};
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000];
    TALK(l, "listen");
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", pkt);
    len = is4(l) ? with_ip_options(pkt, len, record_route, 8) : with_ip6_header(pkt, len, 60, dest, 8);
    assert_int_equal(lab_rx(l, pkt, len), TERN_TAKEN);
    TALK(l, "> SA 0 ack 1");
    lab_end(l);
}

/* Source routes are refused, each of them (the documented deviation from MUST-51, MUST-52, MUST-53, SHLD-24),
 * with their own cause. */
static void source_routes(void **state)
{
    static const uint8_t loose[] = {131, 7, 4, 10, 0, 0, 9, 0}, strict[] = {137, 7, 4, 10, 0, 0, 9, 0};
    static const uint8_t routing[] = {0, 2, 0, 1, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8,
                                      0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0,   9};
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000];
    TALK(l, "listen");
    for (int i = 0; i < 2; i++) {
        uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", pkt);
        len = is4(l) ? with_ip_options(pkt, len, i ? loose : strict, 8)
                     : with_ip6_header(pkt, len, 43, routing, 24);
        assert_int_equal(lab_rx(l, pkt, len), TERN_DROPPED);
        assert_int_equal(l->last_rx.cause, TERN_C_IP_SOURCE_ROUTE);
    }
    TALK(l, "> none\n"
            "= LISTEN");
    lab_end(l);
}

/* MUST-3: a segment with any flipped bit is dropped. Bits of the IP header are left alone here. */
static void checksum(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000], bad[2000];
    lab_accept(l, "mss 1460");
    uint32_t len = lab_packet(l, "PA 1:101(100) ack 1", pkt);
    for (uint32_t bit = (is4(l) ? 20 : 40) * 8; bit < len * 8; bit += 7) {
        memcpy(bad, pkt, len);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(lab_rx(l, bad, len), TERN_DROPPED);
    }
    assert_true(lab_stats(l).dropped[TERN_C_TCP_CHECKSUM] > 60);
    TALK(l, "recv 1 -> EAGAIN\n"
            "> none\n"
            "= ESTABLISHED");
    assert_int_equal(lab_rx(l, pkt, len), TERN_TAKEN);
    TALK(l, "recv 100");
    lab_forget(l);
    lab_end(l);
}

/* The link vouches for the checksum: then it is not looked at. */
static void checksum_by_the_link(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000];
    lab_accept(l, "mss 1460");
    uint32_t len = lab_packet(l, "PA 1:101(100) ack 1", pkt);
    pkt[(is4(l) ? 20 : 40) + 16] ^= 0xff;
    tern_rx_packet p = {.data = pkt, .len = len, .link = (uint8_t)l->link, .flags = TERN_RX_CSUM_OK};
    assert_int_equal(tern_rx(l->t, l->now, &p, 1), 1);
    lab_collect(l);
    TALK(l, "recv 100");
    lab_forget(l);
    lab_end(l);
}

/* MUST-57: to a multicast or broadcast address: dropped without an answer. MUST-63: from one likewise. */
static void not_unicast(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip multicast4 = tern_ip4(224, 0, 0, 1), broadcast4 = tern_ip4(255, 255, 255, 255);
    tern_ip subnet4 = tern_ip4(10, 0, 0, 255), zero4 = tern_ip4(0, 0, 0, 0), loop4 = tern_ip4(127, 0, 0, 1);
    tern_ip multicast6 = {{0xff, 2}}, zero6 = {{0}};
    multicast6.b[15] = 1;
    tern_ip list[] = {multicast4, broadcast4, subnet4, zero4, loop4};
    size_t n = 4;
    if (!is4(l))
        list[0] = multicast6, list[1] = zero6, n = 2;
    TALK(l, "listen");
    for (size_t i = 0; i < n; i++) {
        uint8_t pkt[2000];
        tern_ip peer = l->flow[0].peer.ip, local = l->flow[0].local.ip;
        l->flow[0].peer.ip = list[i];
        lab_rx(l, pkt, lab_packet(l, "S 0 win 65535 <mss 1460>", pkt));
        TALK(l, "> none");
        l->flow[0].peer.ip = peer;
        l->flow[0].local.ip = list[i];
        lab_rx(l, pkt, lab_packet(l, "S 0 win 65535 <mss 1460>", pkt));
        TALK(l, "> none");
        l->flow[0].local.ip = local;
    }
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* MUST-46: OPEN to such an address is an error and sends nothing. */
static void connect_to_not_unicast(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip multicast6 = {{0xff, 2}};
    tern_endpoint to = {.port = 80};
    tern_handle h;
    const tern_ip list[] = {tern_ip4(224, 0, 0, 1),  tern_ip4(255, 255, 255, 255),
                            tern_ip4(10, 0, 0, 255), multicast6,
                            tern_ip4(0, 0, 0, 0),    {{0}}};
    for (size_t i = is4(l) ? 0 : 3; i < sizeof(list) / sizeof(list[0]); i++) {
        to.ip = list[i];
        assert_int_equal(tern_connect(l->t, NULL, &to, &h), -TERN_EINVAL);
    }
    TALK(l, "> none");
    lab_end(l);
}

/* Not for us: handed back, nothing answered. */
static void unclaimed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000];
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", pkt);
    pkt[is4(l) ? 9 : 6] = PROTO_UDP;
    lab_checksum(pkt, len);
    assert_int_equal(lab_rx(l, pkt, len), TERN_UNCLAIMED);
    l->flow[0].local.ip.b[15] = 200;
    assert_int_equal(lab_rx(l, pkt, lab_packet(l, "S 0 win 65535 <mss 1460>", pkt)), TERN_UNCLAIMED);
    TALK(l, "> none");
    lab_end(l);
}

/* Cut anywhere: refused, never read beyond (the sanitizer watches). Bytes behind the packet are padding. */
static void cut_and_padded(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000] = {0};
    lab_accept(l, "mss 1460");
    uint32_t len = lab_packet(l, "PA 1:11(10) ack 1 <ts 5>", pkt);
    for (uint32_t n = 1; n < len; n++)
        assert_int_not_equal(lab_rx(l, pkt, n), TERN_TAKEN);
    TALK(l, "recv 1 -> EAGAIN");
    assert_int_equal(lab_rx(l, pkt, len + 6), TERN_TAKEN);
    TALK(l, "recv 100 -> 10");
    lab_forget(l);
    lab_end(l);
}

/* IPv4 fragments are put together, in any order (RFC 791 3.2). */
static void fragments(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[2000], piece[2000];
    if (!is4(l)) {
        lab_end(l);
        return;
    }
    lab_accept(l, "mss 1460");
    uint32_t len = lab_packet(l, "PA 1:1001(1000) ack 1", pkt);
    for (int i = 2; i >= 0; i--) {
        uint32_t from = (uint32_t)i * 400, n = len - 20 - from < 400 ? len - 20 - from : 400;
        memcpy(piece, pkt, 20);
        memcpy(piece + 20, pkt + 20 + from, n);
        put16(piece + 2, (uint16_t)(20 + n));
        put16(piece + 6, (uint16_t)(from / 8 | (i < 2 ? 0x2000 : 0)));
        lab_checksum(piece, 20 + n);
        assert_int_equal(lab_rx(l, piece, 20 + n), TERN_TAKEN);
    }
    assert_int_equal(lab_live(l).fragments, 0);
    assert_int_equal(lab_stats(l).reassembled, 1);
    TALK(l, "recv 2000 -> 1000");
    lab_forget(l);
    lab_end(l);
}

/* Echo requests are answered, in both families. */
static void echo(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[200], body[56];
    uint8_t version = is4(l) ? 4 : 6, proto = is4(l) ? PROTO_ICMP : PROTO_ICMP6;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t)i;
    uint16_t n = ip_emit(pkt, &l->peer_ip, &l->ip, proto, 64, 0, 8 + sizeof(body), 1);
    icmp_emit(pkt + n, version, is4(l) ? ICMP_ECHO : ICMP6_ECHO, 0, 0x12340001, body, sizeof(body),
              &l->peer_ip, &l->ip);
    memcpy(pkt + n + 8, body, sizeof(body));
    assert_int_equal(lab_rx(l, pkt, n + 8u + (uint32_t)sizeof(body)), TERN_TAKEN);
    const struct lab_out *o = lab_next(l);
    struct icmp_msg m;
    assert_non_null(o);
    assert_int_equal(o->ip.proto, proto);
    assert_int_equal(icmp_parse(&o->ip, &m), TERN_CAUSE_NONE);
    assert_int_equal(m.type, is4(l) ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY);
    assert_int_equal(m.rest, 0x12340001);
    assert_int_equal(m.body_len, sizeof(body));
    assert_memory_equal(m.body, body, sizeof(body));
    lab_end(l);
}

/* RFC4987-4-d, RFC 6437 2: SYN+ACK, ACK and data of a connection have one flow label: none. */
static void flow_label(void **state)
{
    struct lab *l = lab_new(state, NULL);
    if (tern_ip_is4(&l->ip)) {
        lab_end(l);
        return;
    }
    lab_accept(l, "mss 1460");
    TALK(l, "send 2000");
    const struct lab_out *o;
    unsigned n = 0;
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1< S 0 win 65535 <mss 1460>");
    for (; (o = lab_next(l)) != NULL; n++)
        assert_int_equal((o->bytes[1] & 15) << 16 | o->bytes[2] << 8 | o->bytes[3], 0);
    assert_in_range(n, 4, 4);
    lab_end(l);
}

/* MUST-2: what leaves has the right checksum, with options and without, of even and odd lengths; the lab
 * looks at each. */
static void checksum_sent(void **state)
{
    for (int n = 1; n < 40; n++) {
        struct lab *l = lab_new(state, NULL);
        lab_connect(l, n % 2 ? "mss 1460,ts" : "mss 1460");
        TALKF(l, "send %d", n);
        assert_int_equal(lab_next(l)->seg.len, n);
        lab_end(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(diffserv),
        LAB_TEST(ttl),
        LAB_TEST(inherited),
        LAB_TEST(unknown_ip_options),
        LAB_TEST(source_routes),
        LAB_TEST(checksum),
        LAB_TEST(checksum_by_the_link),
        LAB_TEST(not_unicast),
        LAB_TEST(connect_to_not_unicast),
        LAB_TEST(unclaimed),
        LAB_TEST(cut_and_padded),
        LAB_TEST(fragments),
        LAB_TEST(echo),
        LAB_TEST(flow_label),
        LAB_TEST(checksum_sent),
    };
    return LAB_MAIN(tests);
}
