/* Windows large and small, scaled and not (RFC 9293 3.1 MUST-1, 3.8.6; RFC 7323 2). */
#include "lab/lab.h"

/* Acknowledge two segments at a time until the window limits and not the congestion window any more; returns
 * what is in flight then. */
static uint32_t fill(struct lab *l, uint32_t window)
{
    const struct lab_flow *f = &l->flow[0];
    uint32_t una = 1, flight = 0;
    for (int i = 0; i < 3000; i++) {
        una += i ? 2000 : 0;
        TALKF(l, "< A 1 ack %u win %u", una, window);
        lab_forget(l);
        flight = f->snd_max - f->iss - una;
        if (flight + 1000 > window)
            break;
    }
    return flight;
}

/* MUST-1: 0x8000 and above are large windows, not negative ones. */
static void high_bit(void **state)
{
    struct lab_config cfg = {.stack = {.send_buffer = 4 << 20}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1000");
    TALK(l, "send 2000000");
    assert_int_equal(fill(l, 40000), 40000);
    lab_end(l);
}

/* The peer's scale, from 0 to 14: windows up to 30 bits (REC-1). The SYN's own is not scaled (RFC 7323
 * 2.2). (RFC7323-2.3-bcd, RFC7323-2.2-g) */
static void peer_scales(void **state)
{
    for (unsigned shift = 0; shift <= 14; shift++) {
        struct lab_config cfg = {.stack = {.send_buffer = 4 << 20}};
        struct lab *l = lab_new(state, &cfg);
        uint32_t window = 65535u << shift;
        TALKF(l,
              "connect\n"
              "> S 0\n"
              "< SA 0 ack 1 win 60000 <mss 1000,wscale %u>\n"
              "> A 1 ack 1\n"
              "? snd_wnd 60000\n"
              "< A 1 ack 1 win %u\n"
              "? snd_wnd %u",
              shift, window, window);
        lab_end(l);
    }
}

/* A window of a MiB is really filled. */
static void large_window_is_used(void **state)
{
    struct lab_config cfg = {.stack = {.send_buffer = 4 << 20}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1000,wscale 5");
    TALK(l, "send 3000000");
    uint32_t flight = fill(l, 1 << 20);
    assert_in_range(flight, (1 << 20) - 1000, 1 << 20);
    lab_end(l);
}

/* FIELD 23: buffers of 64 KiB, 128 KiB and 1 MiB, with and without scaling: what is offered grows with the
 * buffer, never wraps to near zero, and is 65535 at most without scaling. (RFC7323-2.3-e) */
static void offered_window(void **state)
{
    static const uint32_t buffers[] = {16384, 65535, 65536, 65537, 131072, 1 << 20, 3 << 20};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        for (int scaled = 0; scaled < 2; scaled++) {
            struct lab_config cfg = {.stack = {.recv_buffer = buffers[i]}, .memory = 32u << 20};
            struct lab *l = lab_new(state, &cfg);
            lab_accept(l, scaled ? "mss 1460,wscale 3" : "mss 1460");
            TALK(l, "< PA 1:11(10) ack 1\n"
                    "+0..500ms > A 1 ack 11");
            uint32_t offered = l->flow[0].edge - l->flow[0].peer_iss - 11;
            uint32_t want = scaled || buffers[i] < 65535 ? buffers[i] : 65535;
            assert_in_range(offered, want - 10 - (want >> 8), want);
            lab_end(l);
        }
}

/* A stream through a scaled window: the edge never goes back (audit A4), the window is never nearly shut
 * while the program reads. */
static void stream_through_scaled_window(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 1 << 20}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460,wscale 7");
    uint32_t pos = 1;
    for (int i = 0; i < 3000; i++) {
        uint32_t len = 1 + (uint32_t)(i * 7919) % 1460;
        TALKF(l, "< PA %u:%u(%u) ack 1", pos, pos + len, len);
        pos += len;
        if (i % 5 == 4)
            lab_recv(l, 0, 100000);
        lab_run(l, 1000);
        lab_forget(l);
        if (l->flow[0].edge - l->flow[0].peer_iss - pos < 1 << 19)
            lab_fail(l, "the window is down to %u", l->flow[0].edge - l->flow[0].peer_iss - pos);
    }
    lab_end(l);
}

/* Data that overlaps the right edge: what is inside is taken (3.10.7.4 first, "trim"), the rest comes again.
 */
static void overlapping_the_edge(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 4096}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460");
    TALK(l, "< A 1:1461(1460) ack 1\n"
            "< A 1461:2921(1460) ack 1\n"
            "< A 2921:4381(1460) ack 1");
    lab_run(l, SEC);
    lab_forget(l);
    TALK(l, "? recv_queue 4096\n"
            "recv 5000 -> 4096\n"
            "> A 1 ack 4097 win 4096\n"
            "< PA 4097:4381(284) ack 1\n"
            "recv 5000 -> 284");
    lab_forget(l);
    lab_end(l);
}

/* Old data before new in one segment: only the new part is used. */
static void overlapping_the_left(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\n"
            "< PA 51:201(150) ack 1\n"
            "recv 1000 -> 200\n"
            "< PA 1:301(300) ack 1\n"
            "recv 1000 -> 100");
    lab_forget(l);
    lab_end(l);
}

/* Out-of-order pieces that overlap each other in every way: each byte is delivered once. */
static void overlapping_pieces(void **state)
{
    static const struct {
        unsigned from, to;
    } pieces[] = {{301, 401}, {251, 351}, {351, 451}, {201, 501}, {601, 701},
                  {501, 601}, {101, 301}, {650, 801}, {1, 102}};
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        TALKF(l, "< PA %u:%u(%u) ack 1", pieces[i].from, pieces[i].to, pieces[i].to - pieces[i].from);
        lab_forget(l);
    }
    TALK(l, "? recv_queue 800\n"
            "? recv_ooo 0\n"
            "recv 1000 -> 800");
    lab_end(l);
}

/* FIELD 20: the out-of-order queue is full; the segment at the left edge is taken all the same. */
static void left_edge_is_always_taken(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 65536, .budget = 0}, .memory = 0};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460,sackOK");
    for (unsigned i = 0; i < 300; i++) { /* small islands far apart: as many records as it will keep */
        TALKF(l, "< PA %u:%u(1) ack 1", 1001 + 200 * i, 1002 + 200 * i);
        lab_forget(l);
    }
    TALK(l, "< PA 1:1001(1000) ack 1\n"
            "recv 2000 -> 1001\n"
            "= ESTABLISHED");
    lab_forget(l);
    lab_end(l);
}

/* 3.10.7.4 first: what lies beyond the window is trimmed, SYN and FIN included: a FIN behind the edge has not
 * come. */
static void fin_beyond_the_edge(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 4096}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1460");
    TALK(l, "< A 1:1461(1460) ack 1\n"
            "< A 1461:2921(1460) ack 1\n"
            "< FPA 2921:4197(1276) ack 1\n"
            "+1s forget\n"
            "= ESTABLISHED\n"
            "recv 5000 -> 4096\n"
            "forget\n"
            "< FPA 4097:4197(100) ack 1\n"
            "> A 1 ack 4198\n"
            "= CLOSE_WAIT\n"
            "recv 1000 -> 100\n"
            "recv 1000 -> 0");
    lab_end(l);
}

/* A FIN just at the edge: all data fits and the FIN needs a number of its own, which a shut window does not
 * have. */
static void fin_at_the_edge(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 4096}};
    struct lab *l = lab_new(state, &cfg);
    lab_accept(l, "mss 1024");
    for (int i = 0; i < 4; i++)
        TALKF(l, "< A %d:%d(1024) ack 1\n+200ms forget", 1 + i * 1024, 1025 + i * 1024);
    TALK(l, "< FA 4097 ack 1\n"
            "= ESTABLISHED\n"
            "forget\n"
            "recv 5000 -> 4096\n"
            "forget\n"
            "+1s < FA 4097 ack 1\n"
            "> A 1 ack 4098\n"
            "= CLOSE_WAIT\n"
            "recv 1 -> 0");
    lab_end(l);
}

/* The peer opens with a window of zero: nothing is sent into it, it is probed, and it opens. */
static void zero_in_the_syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "connect\n"
            "> S 0\n"
            "+10ms < SA 0 ack 1 win 0 <mss 1000>\n"
            "> A 1 ack 1\n"
            "send 1500\n"
            "> none\n"
            "+200..1500ms > A 1:2(1) ack 1\n"
            "< A 1 ack 1 win 0\n"
            "+any > A 1:2(1) ack 1\n"
            "< A 1 ack 1 win 5000\n");
    const struct lab_out *o;
    uint32_t end = 1;
    while ((o = lab_next(l)) != NULL)
        end = o->seg.seq.v - l->flow[0].iss + o->seg.len;
    assert_int_equal(end, 1501);
    lab_end(l);
}

/* RFC7323-2.4-b: windows are said in units of 32 bytes here, and a few bytes that come in between make what
 * is said less exact. What lies inside the furthest edge that was ever said is taken, to its last byte. */
static void what_was_offered_is_taken(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK,wscale 7");
    uint32_t next = 1;
    for (int i = 0; i < 20; i++, next += 7) {
        TALKF(l, "< PA %u:%u(7) ack 1", next, next + 7);
        lab_run(l, 50 * MS);
    }
    lab_forget(l);
    uint32_t edge = l->flow[0].edge - l->flow[0].peer_iss;
    TALKF(l,
          "< PA %u:%u(100) ack 1\n"
          "> A 1 ack %u <sack %u:%u>",
          edge - 100, edge, next, edge - 100, edge);
    lab_end(l);
}

/* 3.10.7.4 eighth: a FIN just behind the right edge is not taken with the data that fills the window. */
static void fin_behind_the_edge(void **state)
{
    struct lab *l = lab_new(state, &(struct lab_config){.any_edge = true});
    lab_accept(l, "mss 1460");
    TALK(l, "opt recv_buffer 1024");
    for (int at = 1; at < 65001; at += 1000)
        TALKF(l, "< A %d:%d(1000) ack 1", at, at + 1000);
    lab_forget(l);
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    uint32_t room = info.rcv_wnd;
    assert_in_range(room, 1, 1000);
    TALKF(l, "< FA 65001:%u(1) ack 1\n"
             "+0..500ms > A 1 ack %u",
          65001 + room, 65001 + room);
    TALK(l, "= ESTABLISHED");
    lab_end(l);
}

/* MUST-66, SHLD-2: a RST counts while our window is shut, and also when it carries data. */
static void rst_with_data_while_shut(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    TALK(l, "opt recv_buffer 1024");
    for (int at = 1; at < 65001; at += 1000)
        TALKF(l, "< A %d:%d(1000) ack 1", at, at + 1000);
    TALK(l, "< A 65001:65536(535) ack 1");
    lab_run(l, 500 * MS);
    lab_forget(l);
    TALK(l, "? rcv_wnd 0\n"
            "< R 65536:65556(20)\n"
            "= CLOSED\n"
            "? reason RESET");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(high_bit),
        LAB_TEST(peer_scales),
        LAB_TEST(large_window_is_used),
        LAB_TEST(offered_window),
        LAB_TEST(stream_through_scaled_window),
        LAB_TEST(overlapping_the_edge),
        LAB_TEST(overlapping_the_left),
        LAB_TEST(overlapping_pieces),
        LAB_TEST(left_edge_is_always_taken),
        LAB_TEST(fin_beyond_the_edge),
        LAB_TEST(fin_at_the_edge),
        LAB_TEST(zero_in_the_syn),
        LAB_TEST(what_was_offered_is_taken),
        LAB_TEST(fin_behind_the_edge),
        LAB_TEST(rst_with_data_while_shut),
    };
    return LAB_MAIN(tests);
}
