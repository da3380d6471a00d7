/* Pitfalls of docs/PITFALLS.md about SYN floods: 11, 12. */
#include "lab/lab.h"

static void give(struct lab *l, const char *line)
{
    uint8_t buf[128];
    uint32_t len = lab_packet(l, line, buf);
    tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
    tern_rx(l->t, l->now, &p, 1);
}

/* All that is to be sent is thrown away. */
static void drain(struct lab *l)
{
    tern_tx_packet out[64];
    while (tern_tx(l->t, l->now, out, 64) > 0)
        continue;
}

/* 11: 100,000 spoofed SYNs in a second, and in their midst honest clients: memory stays as it was, and each
 * of them is served by its first SYN. */
static void pitfall_11_spoofed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80}, peer = l->flow[0].peer;
    l->tuned = true;
    assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
    uint64_t most = 0, before = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        l->flow[0].peer = peer;
        l->flow[0].peer.port = (uint16_t)(1024 + i % 50000);
        l->flow[0].peer.ip.b[15] = (uint8_t)(2 + i % 250);
        l->flow[0].peer.ip.b[tern_ip_is4(&peer.ip) ? 13 : 6] = (uint8_t)(i / 250);
        if (!tern_ip_is4(&peer.ip))
            l->flow[0].peer.ip.b[7] = (uint8_t)i; /* each from a network of its own */
        give(l, "S 0 win 65535 <mss 1460>");
        l->now += 10;
        if (i % 32 == 31)
            drain(l);
        if (i == 1000)
            before = lab_live(l).arena_used;
        if (i % 12500 == 6250) {
            drain(l);
            int k = 1 + (int)(i / 12500);
            TALKF(l,
                  "%d< S 0 win 65535 <mss 1440,sackOK,ts,wscale 7>\n%d> SA 0 ack 1\n%d< PA 1:11(10) ack 1\n"
                  "%d> A 1 ack 11\n%d accept\n%d= ESTABLISHED\n%d? wscale 1",
                  k, k, k, k, k, k, k);
        }
        most = lab_live(l).halfopen > most ? lab_live(l).halfopen : most;
    }
    assert_int_equal(most, 128);
    assert_in_range(lab_live(l).arena_used, before, before + 8 * (4 * 4096)); /* the eight that were served */
    lab_run(l, 70 * SEC);
    lab_forget(l);
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* 12: the same SYN 50 times: one record, and no control block (RFC4987-3.5-a); each is answered, and the
 * timer's schedule is what it was. */
static void pitfall_12_same_syn(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    for (int i = 0; i < 49; i++)
        TALK(l, "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1");
    assert_int_equal(lab_live(l).halfopen, 1);
    assert_int_equal(lab_live(l).tcbs, 0);
    assert_int_equal(lab_stats(l).opens_passive, 1);
    TALK(l, "+1s > SA 0 ack 1\n"
            "+2s > SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    assert_int_equal(lab_live(l).halfopen, 0);
    assert_int_equal(lab_live(l).replies, 0);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {LAB_TEST(pitfall_11_spoofed), LAB_TEST(pitfall_12_same_syn)};
    return LAB_MAIN(tests);
}
