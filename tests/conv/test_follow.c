/* Runs of segments that come in one batch (src/tcp/follow.c): whatever is among them, the stack is the same
 * afterwards as if each had come by itself and gone through the ordered list of RFC 9293 3.10.7.4: its
 * digest, what it tells of each packet, what it writes down, what it answers, what the program reads. */
#include "lab/lab.h"

#include <tern/snapshot.h>

#define MOST 40

/* One packet of the peer: a line of the lab. The first character may say more: `!` its last byte is damaged,
 * `?` its IP checksum is, `v` the link vouches for its checksum, `w` the same and the checksum is wrong, `2`
 * it is shown as a super-segment of two. */
struct batch {
    const char *options;
    const char *lines[MOST];
};

static void damage(char how, uint8_t *pkt, uint32_t len, tern_rx_packet *rx)
{
    if (how == '!')
        pkt[len - 1] ^= 0x10;
    if (how == '?' && pkt[0] >> 4 == 4)
        pkt[11] ^= 1;
    if (how == 'w')
        pkt[(pkt[0] >> 4 == 4 ? 20 : 40) + 16] ^= 1;
    if (how == 'v' || how == 'w')
        rx->flags = TERN_RX_CSUM_OK;
    if (how == '2')
        rx->gso_size = 5;
}

static int build(struct lab *l, const struct batch *b, tern_rx_packet *rx, uint8_t *pkts[])
{
    int n = 0;
    for (; n < MOST && b->lines[n] != NULL; n++) {
        const char *line = b->lines[n];
        char how = strchr("!?vw2", line[0]) ? line[0] : ' ';
        uint8_t *buf = malloc(66000);
        assert_non_null(buf);
        uint32_t len = lab_packet(l, line + (how != ' '), buf);
        pkts[n] = realloc(buf, len); /* exactly, so that the sanitizer sees reads behind it */
        rx[n] = (tern_rx_packet){.data = pkts[n], .len = len, .link = (uint8_t)l->link};
        damage(how, pkts[n], len, &rx[n]);
    }
    return n;
}

/* Behind 5000 bytes that are sent, 10 that have come, and what happens `before` (NULL: nothing). */
static struct lab *play(void **state, const struct batch *b, const char *before, bool together,
                        tern_rx_packet *rx, int *n)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t *pkts[MOST];
    lab_accept(l, b->options);
    TALK(l, "send 5000");
    lab_forget(l);
    TALK(l, "< A 1:11(10) ack 1");
    lab_forget(l);
    if (before != NULL)
        TALK(l, before);
    lab_forget(l);
    *n = build(l, b, rx, pkts);
    for (int i = 0; i < *n && !together; i++)
        tern_rx(l->t, l->now, &rx[i], 1);
    if (together)
        tern_rx(l->t, l->now, rx, *n);
    for (int i = 0; i < *n; i++)
        free(pkts[i]);
    return l;
}

static void compare(void **state, const struct batch *batch, const char *before)
{
    tern_rx_packet one[MOST], all[MOST];
    tern_info info, other;
    int n, m;
    struct lab *a = play(state, batch, before, true, all, &n);
    struct lab *b = play(state, batch, before, false, one, &m);
    assert_int_equal(n, m);
    for (int i = 0; i < n; i++) {
        assert_int_equal(all[i].verdict, one[i].verdict);
        assert_int_equal(all[i].cause, one[i].cause);
        assert_int_equal(all[i].trace, one[i].trace);
    }
    lab_same_stacks(a, b);
    lab_same_traces(a, b);
    lab_same_answers(a, b);
    bool there = lab_info(a, 0, &info);
    assert_int_equal(lab_info(b, 0, &other), there);
    if (there)
        assert_int_equal(info.recv_queue, other.recv_queue);
    if (there && info.recv_queue > 0)
        lab_recv(a, 0, info.recv_queue), lab_recv(b, 0, info.recv_queue); /* and checks each byte */
    lab_same_answers(a, b);
    lab_same_stacks(a, b);
    lab_end(a);
    lab_end(b);
}

#define TS "mss 1460,sackOK,ts"

static const struct batch batches[] = {
    {"mss 1460", {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "PA 31:41(10) ack 1", "A 41:51(10) ack 1"}},
    {TS,
     {"A 11:1459(1448) ack 1", "A 1459:2907(1448) ack 1", "A 2907:4355(1448) ack 1",
      "PA 4355:4400(45) ack 1"}},
    /* odd lengths, over the ends of pages */
    {TS,
     {"A 11:1300(1289) ack 1", "A 1300:2601(1301) ack 1", "A 2601:3900(1299) ack 1",
      "A 3900:5201(1301) ack 1"}},
    /* damaged: in the middle, the first, the last; behind it comes what is out of order now */
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "!A 31:41(10) ack 1", "A 41:51(10) ack 1"}},
    {TS, {"!A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1"}},
    {"mss 1460", {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "?A 31:41(10) ack 1", "A 31:41(10) ack 1"}},
    {TS,
     {"A 11:1311(1300) ack 1", "A 1311:2611(1300) ack 1", "A 2611:3911(1300) ack 1",
      "!A 3911:5211(1300) ack 1", "A 3911:5211(1300) ack 1"}},
    /* a gap, filled in the same batch; twice the same; an overlap */
    {TS,
     {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 41:51(10) ack 1", "A 31:41(10) ack 1",
      "A 51:61(10) ack 1"}},
    {"mss 1460", {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1"}},
    {"mss 1460", {"A 11:21(10) ack 1", "A 21:41(20) ack 1", "A 31:51(20) ack 1", "A 51:61(10) ack 1"}},
    /* the ACK moves in the middle, or the window; pure ACKs between */
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1461", "A 41:51(10) ack 1461"}},
    {TS,
     {"A 11:21(10) ack 1", "A 21:31(10) ack 1 win 900", "A 31:41(10) ack 1 win 900", "A 41:51(10) ack 1"}},
    {"mss 1460", {"A 11:21(10) ack 1", "A 21 ack 1", "A 21 ack 1", "A 21 ack 1", "A 21:31(10) ack 1"}},
    {"mss 1460", {"A 11:21(10) ack 100000", "A 21:31(10) ack 100000", "A 21:31(10) ack 1"}},
    {TS, {"vA 11:21(10) ack 1", "vA 21:31(10) ack 1", "vA 31:41(10) ack 1461", "vA 41:51(10) ack 1461"}},
    {TS,
     {"A 41:51(10) ack 1", "A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1",
      "A 51:61(10) ack 1"}},
    {TS,
     {"A 11:21(10) ack 1461", "A 41:51(10) ack 1", "A 21:31(10) ack 1461", "A 31:41(10) ack 1461",
      "A 51:61(10) ack 1461"}},
    /* flags: FIN at the end and before the end, RST, SYN, URG, CWR and ECE, none at all */
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "FPA 31:41(10) ack 1"}},
    {TS, {"A 11:21(10) ack 1", "FA 21:31(10) ack 1", "A 31:41(10) ack 1", "A 41:51(10) ack 1"}},
    {TS,
     {"A 11:21(10) ack 1", "A 31:41(10) ack 1", "FA 41:51(10) ack 1", "A 21:31(10) ack 1",
      "A 51:61(10) ack 1"}},
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "S 31", "A 31:41(10) ack 1"}},
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "UA 31:41(10) ack 1 urg 5", "A 41:51(10) ack 1"}},
    {TS, {"EWA 11:21(10) ack 1", "EWA 21:31(10) ack 1", "A 31:41(10) ack 1"}},
    {TS, {"- 11:21(10)", "- 21:31(10)", "A 11:21(10) ack 1", "A 21:31(10) ack 1"}},
    /* marks of IP; a super-segment; what the link vouches for */
    {TS, {"A 11:21(10) ack 1 ce", "A 21:31(10) ack 1 ce", "A 31:41(10) ack 1"}},
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1 ect0", "A 31:41(10) ack 1 ttl 7", "A 41:51(10) ack 1"}},
    {"mss 1460", {"2A 11:21(10) ack 1", "2A 21:31(10) ack 1", "A 31:41(10) ack 1", "2A 41:51(10) ack 1"}},
    {TS,
     {"vA 11:711(700) ack 1", "vA 711:1411(700) ack 1", "wA 1411:2111(700) ack 1", "A 2111:2811(700) ack 1"}},
    /* SACK blocks, and no timestamp among those that have one */
    {TS, {"A 11:21(10) ack 1 <sack 100:200>", "A 21:31(10) ack 1 <sack 100:200>", "A 31:41(10) ack 1"}},
    {TS, {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1 <nots>", "A 31:41(10) ack 1"}},
    /* more than is read ahead at once */
    {"mss 1460", {"A 11:21(10) ack 1",   "A 21:31(10) ack 1",   "A 31:41(10) ack 1",   "A 41:51(10) ack 1",
                  "A 51:61(10) ack 1",   "A 61:71(10) ack 1",   "A 71:81(10) ack 1",   "A 81:91(10) ack 1",
                  "A 91:101(10) ack 1",  "A 101:111(10) ack 1", "A 111:121(10) ack 1", "A 121:131(10) ack 1",
                  "A 131:141(10) ack 1", "A 141:151(10) ack 1", "A 151:161(10) ack 1", "A 161:171(10) ack 1",
                  "A 171:181(10) ack 1", "A 181:191(10) ack 1", "A 191:201(10) ack 1", "A 201:211(10) ack 1",
                  "A 211:221(10) ack 1", "A 221:231(10) ack 1", "A 231:241(10) ack 1", "A 241:251(10) ack 1",
                  "A 251:261(10) ack 1", "A 261:271(10) ack 1", "A 271:281(10) ack 1", "A 281:291(10) ack 1",
                  "A 291:301(10) ack 1", "A 301:311(10) ack 1", "A 311:321(10) ack 1", "A 321:331(10) ack 1",
                  "A 331:341(10) ack 1", "A 341:351(10) ack 1", "A 351:361(10) ack 1"}},
};

static void as_one_by_one(void **state)
{
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
        compare(state, &batches[i], NULL);
}

/* The same text, when more is going on: duplicate ACKs, a recovery, SACKed bytes, a FIN that waits, a program
 * that has closed. */
static void while_more_goes_on(void **state)
{
    static const struct batch plain = {
        "mss 1460", {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1", "A 41:51(10) ack 1"}};
    static const struct batch sack = {
        "mss 1460,sackOK", {"A 11:21(10) ack 1", "A 21:31(10) ack 1", "A 31:41(10) ack 1"}};
    static const struct batch late = {
        "mss 1460", {"A 11:21(10) ack 5002", "A 21:31(10) ack 5002", "A 31:41(10) ack 5002"}};
    compare(state, &plain, "< A 11 ack 1");
    compare(state, &plain, "< A 11 ack 1\n< A 11 ack 1\n< A 11 ack 1");
    compare(state, &plain, "< FA 61:71(10) ack 1");
    compare(state, &plain, "+5s < A 11 ack 1");
    compare(state, &sack, "< A 11 ack 1 <sack 2921:4381>");
    compare(state, &late, "< A 11 ack 5001\nshutdown");
    compare(state, &late, "recv 10\n< A 11 ack 5001\nclose");
    compare(state, &plain, "< R 11");
}

/* Beyond the window nothing is taken: the run ends at the right edge, wherever it cuts a segment. */
static void right_edge(void **state)
{
    for (uint32_t buffer = 2000; buffer <= 2060; buffer += 15) {
        struct lab_config cfg = {.stack = {.recv_buffer = buffer, .no_wscale = 1}};
        struct lab *l = lab_new(state, &cfg);
        lab_accept(l, "mss 1460");
        TALK(l, "<+ A 1:501(500) ack 1\n"
                "<+ A 501:1001(500) ack 1\n"
                "<+ A 1001:1501(500) ack 1\n"
                "<+ A 1501:2001(500) ack 1\n"
                "< A 2001:2501(500) ack 1");
        TALKF(l, "> A 1 ack %u win 0", buffer + 1);
        TALKF(l, "recv 5000 -> %u", buffer);
        lab_forget(l);
        lab_end(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(as_one_by_one),
        LAB_TEST(while_more_goes_on),
        LAB_TEST(right_edge),
    };
    return LAB_MAIN(tests);
}
