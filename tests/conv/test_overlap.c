/* Segments that overlap with other bytes than before (RFC 9293 3.10.7.4 seventh, RFC 2018 8): which of them
 * the program gets, and what waits above a gap. */
#include "lab/lab.h"

/* A segment of the peer at a relative number, all its bytes `byte`. */
static void say(struct lab *l, uint32_t rel, uint32_t len, uint8_t byte)
{
    uint8_t buf[2000], bytes[1500];
    const struct lab_flow *f = &l->flow[0];
    struct segment s = {
        .seq = seq(f->peer_iss + rel), .ack = seq(f->iss + 1), .flags = F_ACK, .wnd = 65535, .data = bytes};
    s.opt.wscale = WSCALE_NONE;
    s.len = len;
    memset(bytes, byte, len);
    assert_int_equal(lab_rx(l, buf, lab_build(l, 0, &s, buf)), TERN_TAKEN);
}

static void hear(struct lab *l, const char *want)
{
    char got[64] = "";
    long n = tern_recv(l->t, l->flow[0].h, got, sizeof got - 1);
    assert_int_equal(n, (long)strlen(want));
    assert_string_equal(got, want);
    l->done = true; /* these are not the bytes that the lab would send */
}

/* RFC2018-8-c: what was reported stays as it was reported, whatever a later segment has in its place. */
static void first_come_stays(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    say(l, 4, 3, 'b'); /* ...bbb */
    say(l, 1, 9, 'a'); /* the gap, the same place, and behind it */
    hear(l, "aaabbbaaa");
    lab_forget(l);
    lab_end(l);
}

/* The same above the gap: a range grows around what is there. */
static void above_a_gap(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    say(l, 6, 2, 'c');
    say(l, 4, 6, 'b');
    say(l, 12, 1, 'd');
    say(l, 5, 9, 'e');
    say(l, 1, 3, 'a');
    hear(l, "aaabbccbbeede");
    lab_forget(l);
    lab_end(l);
}

/* What is old is cut off, what is beyond it is new. */
static void old_and_new(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460");
    say(l, 1, 3, 'a');
    say(l, 1, 5, 'b');
    hear(l, "aaabb");
    lab_forget(l);
    lab_end(l);
}

/* SHLD-31: each range costs memory of ours, so their number is bounded by what the window promises: single
 * bytes with gaps between them come to no more. */
static void ranges_are_bounded(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_accept(l, "mss 1460,sackOK");
    TALK(l, "opt recv_buffer 65536");
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t buf[200];
        const struct lab_flow *f = &l->flow[0];
        struct segment s = {.seq = seq(f->peer_iss + 3 + 2 * i), .ack = seq(f->iss + 1), .flags = F_ACK};
        s.opt.wscale = WSCALE_NONE;
        s.wnd = 65535;
        s.len = 1;
        lab_rx(l, buf, lab_build(l, 0, &s, buf));
    }
    lab_forget(l);
    assert_in_range(lab_live(l).ranges, 8, 32);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(first_come_stays),
        LAB_TEST(above_a_gap),
        LAB_TEST(old_and_new),
        LAB_TEST(ranges_are_bounded),
    };
    return LAB_MAIN(tests);
}
