/* Super-segments both ways, checksums left to the link, and segments joined in a batch (link.h). */
#include "lab/lab.h"

#include <tern/host.h>

static struct lab *with_gso(void **state, const char *opts)
{
    struct lab_config cfg = {.gso_max = 65000, .tx_csum = true};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, opts);
    return l;
}

/* One packet for all full segments of the window; PSH only with the last byte. */
static void one_packet(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 10000\n"
            "> PA 1:10001(10000) ack 1\n"
            "> none\n"
            "< A 1 ack 10001\n"
            "send 15500\n"
            "> A 10001:25001(15000) ack 1");
    assert_int_equal(l->last.gso_size, 1000);
    TALK(l, "> PA 25001:25501(500) ack 1\n"
            "> none");
    lab_end(l);
}

/* The window cuts it: full segments go, the rest waits. */
static void cut_by_the_window(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 30000\n"
            "> A 1:10001(10000) ack 1\n"
            "> none\n"
            "< A 1 ack 2001\n"
            "> A 10001:14001(4000) ack 1\n"
            "> none");
    lab_end(l);
}

/* The peer's window does, where it is the smaller one (MUST-34). */
static void cut_by_the_peers_window(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 2000\n"
            "> PA 1:2001(2000) ack 1\n"
            "< A 1 ack 2001 win 3500\n"
            "send 8000\n"
            "> A 2001:5001(3000) ack 1\n"
            "> none\n"
            "< A 1 ack 5001 win 65000\n"
            "> PA 5001:10001(5000) ack 1");
    lab_end(l);
}

/* After a pause longer than the timeout so much leaves as at the beginning, also when all of it is one packet
 * (RFC5681-4.1-a). The pause begins with the last text. */
static void restarts_after_a_pause(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 10000\n"
            "> PA 1:10001(10000) ack 1\n"
            "< A 1 ack 10001\n"
            "send 16000\n"
            "> PA 10001:26001(16000) ack 1\n"
            "< A 1 ack 26001\n"
            "? send_unacked 0\n"
            "+600ms send 30000\n"
            "> A 26001:36001(10000) ack 1\n"
            "> none");
    lab_end(l);
}

/* Ten segments are on their way as one packet; a round trip takes 20 ms, and SACK was agreed. */
static struct lab *ten_at_once(void **state)
{
    struct lab_config cfg = {.gso_max = 65000, .tx_csum = true};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "connect\n"
            "> S 0\n"
            "+20ms < SA 0 ack 1 win 65535 <mss 1000,sackOK>\n"
            "> A 1 ack 1\n"
            "send 10000\n"
            "> PA 1:10001(10000) ack 1");
    return l;
}

/* The peer claims to hold pieces of single segments, in the middle of a packet: nobody holds less than a
 * segment, so nothing of it counts (RFC 2018 asks for what is held; CVE-2019-11477). */
static void piece_of_a_segment(void **state)
{
    struct lab *l = ten_at_once(state);
    TALK(l, "+20ms < A 1 ack 1 <sack 2101:2901>\n"
            "< A 1 ack 1 <sack 2101:3101>\n"
            "< A 1 ack 1 <sack 2101:3101 4101:4200 5101:5200>\n"
            "> none\n"
            "< A 1 ack 1 <sack 2101:4101>\n" /* 3001 to 4001 is one, whole */
            "> none\n"
            "< A 1 ack 10001\n"
            "? bytes_retransmitted 0\n"
            "+5s > none");
    lab_end(l);
}

/* A piece of it is lost: only that piece is repeated (RFC 6675), though it was sent as one. */
static void piece_lost(void **state)
{
    struct lab *l = ten_at_once(state);
    TALK(l, "+20ms < A 1 ack 2001 <sack 3001:4001>\n"
            "< A 1 ack 2001 <sack 3001:5001>\n"
            "> none\n"
            "< A 1 ack 2001 <sack 3001:6001>\n"
            "> A 2001:3001(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "? bytes_retransmitted 1000\n"
            "? timeouts 0");
    lab_end(l);
}

/* Without SACK too, and after a timeout: the first segment, not the whole. */
static void piece_lost_without_sack(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 10000\n"
            "> PA 1:10001(10000) ack 1\n"
            "< A 1 ack 2001\n"
            "< A 1 ack 2001\n"
            "< A 1 ack 2001\n"
            "< A 1 ack 2001\n"
            "> A 2001:3001(1000) ack 1\n"
            "+any > A 2001:3001(1000) ack 1\n"
            "? cwnd 1000");
    lab_end(l);
}

/* An ACK may lie inside of a segment of it. */
static void ack_inside(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 10000\n"
            "> PA 1:10001(10000) ack 1\n"
            "< A 1 ack 1501\n"
            "? send_unacked 8500\n"
            "+any > A 1501:2501(1000) ack 1\n"
            "< A 1 ack 10001\n"
            "? send_unacked 0");
    lab_end(l);
}

/* A link that goes and comes back carries what it carried: nothing of it was too large, since each piece
 * was one segment. A smaller MTU is another matter. */
static void link_comes_back(void **state)
{
    struct lab *l = with_gso(state, "mss 1400");
    TALK(l, "send 14000\n"
            "> PA 1:14001(14000) ack 1");
    assert_int_equal(tern_link_up(l->t, l->link, false), 0);
    assert_int_equal(tern_link_up(l->t, l->link, true), 0);
    lab_collect(l);
    TALK(l, "> A 1:1401(1400) ack 1\n" /* one, as a question */
            "> none");
    tern_link_info info = {.mtu = 1280, .gso_max = 65000, .tx_csum = true};
    assert_int_equal(tern_link_set(l->t, l->link, &info), 0);
    lab_collect(l);
    const struct lab_out *o = lab_next(l);
    assert_non_null(o);
    assert_int_equal(o->seg.seq.v, l->flow[0].iss + 1);
    assert_in_range(o->seg.len, 1200, 1240);
    lab_end(l);
}

/* A FIN rides on the last piece. */
static void fin_on_the_last(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 4500 more\n"
            "shutdown");
    uint32_t end = 1;
    const struct lab_out *o;
    bool fin = false;
    while ((o = lab_next(l)) != NULL) {
        assert_int_equal(o->seg.seq.v - l->flow[0].iss, end);
        end += o->seg.len;
        fin = (o->seg.flags & F_FIN) != 0;
    }
    assert_int_equal(end, 4501);
    assert_true(fin);
    TALK(l, "< A 1 ack 4502\n"
            "= FIN_WAIT_2");
    lab_end(l);
}

/* Received: one packet of many segments is many segments to the acknowledgment policy, and all its bytes are
 * delivered. */
static void received(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t *pkt = malloc(66000);
    assert_non_null(pkt);
    lab_accept(l, "mss 1460");
    struct segment s = {.seq = seq(l->flow[0].peer_iss + 1),
                        .ack = seq(l->flow[0].iss + 1),
                        .flags = F_ACK | F_PSH,
                        .wnd = 65535,
                        .len = 30000};
    s.opt.wscale = WSCALE_NONE;
    uint32_t len = lab_build(l, 0, &s, pkt);
    assert_int_equal(lab_rx_gso(l, pkt, len, 1460), TERN_TAKEN);
    TALK(l, "> A 1 ack 30001\n"
            "> none\n"
            "recv 40000 -> 30000");
    free(pkt);
    lab_forget(l);
    lab_end(l);
}

/* In-order segments of one batch, then one with another flag, then old ones: nothing is lost or doubled by
 * joining them. */
static void joined_in_a_batch(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "<+ A 1:1001(1000) ack 1\n"
            "<+ A 1001:2001(1000) ack 1\n"
            "<+ A 1001:2001(1000) ack 1\n"
            "<+ PA 2001:2501(500) ack 1\n"
            "<+ A 3501:4501(1000) ack 1\n"
            "<+ A 2501:3501(1000) ack 1\n"
            "< FA 4501 ack 1");
    lab_forget(l);
    TALK(l, "= CLOSE_WAIT\n"
            "recv 10000 -> 4500\n"
            "recv 1 -> 0");
    lab_end(l);
}

/* Two connections in one batch, mixed. */
static void two_connections_in_a_batch(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "<+ A 1:1001(1000) ack 1\n"
            "1<+ A 1:1001(1000) ack 1\n"
            "<+ A 1001:2001(1000) ack 1\n"
            "1<+ A 1001:2001(1000) ack 1\n"
            "< A 2001:3001(1000) ack 1");
    unsigned acks[2] = {0};
    const struct lab_out *o;
    while ((o = lab_next(l)) != NULL)
        acks[o->flow]++;
    assert_int_equal(acks[0], 1); /* MUST-59: one for each connection and batch */
    assert_int_equal(acks[1], 1);
    TALK(l, "recv 5000 -> 3000\n"
            "1 recv 5000 -> 2000");
    lab_end(l);
}

/* A RST and a FIN in the same batch as data, for a handle that the program has just closed: no harm (FIELD 13
 * in small). */
static void end_in_a_batch(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "<+ PA 1:11(10) ack 1\n"
            "<+ FA 11 ack 1\n"
            "<+ R 12\n"
            "< PA 1:11(10) ack 1");
    lab_forget(l);
    TALK(l, "= CLOSED\n"
            "close");
    lab_end(l);
}

/* MUST-62: the urgent pointer counts from each segment's own number, and a link repeats the header as it is:
 * so urgent data leaves in single segments. */
static void urgent_is_not_cut(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    TALK(l, "send 2500 urg\n"
            "> UA 1:1001(1000) ack 1 urg 2500\n"
            "> UA 1001:2001(1000) ack 1 urg 1500\n"
            "> UPA 2001:2501(500) ack 1 urg 500\n"
            "< A 1 ack 2501\n"
            "send 3000\n"
            "> PA 2501:5501(3000) ack 1");
    lab_end(l);
}

/* --- a super-segment cut by the house's own knife (host.h, tern_segment) is what the wire would have carried
 * --- */

struct cut {
    struct lab *l;
    unsigned n;
    uint32_t next;
    uint8_t flags_before;
    bool fin, cwr;
};

static void one_piece(void *ctx, const uint8_t *pkt, uint32_t len)
{
    struct cut *c = ctx;
    struct ip_hdr ip;
    struct segment s;
    assert_true(len <= c->l->cfg.mtu);
    assert_int_equal(ip_parse(pkt, len, &ip), TERN_CAUSE_NONE);
    assert_int_equal(tcp_parse(&ip, true, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.seq.v - c->l->flow[0].iss, c->next);
    assert_false(c->flags_before & (F_FIN | F_PSH)); /* on the last piece only */
    assert_true(c->n == 0 || !(s.flags & F_CWR));    /* RFC 3168 6.1.2: on the first */
    for (uint32_t i = 0; i < s.len; i++)
        assert_int_equal(s.data[i], lab_byte(false, c->next - 1 + i));
    c->flags_before = s.flags;
    c->next += s.len;
    c->fin |= (s.flags & F_FIN) != 0;
    c->cwr |= (s.flags & F_CWR) != 0;
    c->n++;
}

static void cut_into_pieces(void **state)
{
    struct lab *l = with_gso(state, "mss 1000");
    struct cut c = {.l = l, .next = 1};
    tern_tx_packet pkt;
    uint8_t data[9500];
    for (uint32_t i = 0; i < sizeof(data); i++)
        data[i] = lab_byte(false, i);
    assert_int_equal(tern_send(l->t, l->flow[0].h, data, sizeof(data), TERN_MORE), sizeof(data));
    assert_int_equal(tern_shutdown(l->t, l->flow[0].h), 0);
    while (tern_tx(l->t, l->now, &pkt, 1) == 1)
        tern_segment(&pkt, one_piece, &c);
    assert_int_equal(c.n, 10);
    assert_int_equal(c.next, 9501);
    assert_true(c.fin);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(one_packet),
        LAB_TEST(cut_by_the_window), LAB_TEST(cut_by_the_peers_window),
        LAB_TEST(restarts_after_a_pause),
        LAB_TEST(piece_of_a_segment), LAB_TEST(piece_lost),
        LAB_TEST(piece_lost_without_sack),
        LAB_TEST(ack_inside),
        LAB_TEST(link_comes_back),
        LAB_TEST(fin_on_the_last),
        LAB_TEST(received),
        LAB_TEST(joined_in_a_batch),
        LAB_TEST(two_connections_in_a_batch),
        LAB_TEST(end_in_a_batch),
        LAB_TEST(urgent_is_not_cut),
        LAB_TEST(cut_into_pieces),
    };
    return LAB_MAIN(tests);
}
