/* SYN cookies (RFC 4987 3.6): what survives in them, when they are sent and believed, and what bounds a
 * listener without them. Pitfalls 11 and 12 are in tests/pitfalls/test_pitfall_flood.c. */
#include "lab/lab.h"

#define PERIOD (1ull << 26) /* of src/tcp/cookie.c, us */

static struct lab *listening(void **state, uint32_t backlog, uint32_t mode)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    l->tuned = true; /* the number in a cookie cannot be chosen by the time */
    assert_int_equal(tern_listen(l->t, &any, backlog, &l->listener), 0);
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, mode), 0);
    return l;
}

/* With timestamps all options survive, and so do the first data, which come with the ACK. (RFC4987-3.6-ac) */
static void all_options(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    TALK(l, "< SEW 0 win 65535 <mss 1440,sackOK,ts 5000,wscale 7>\n"
            "> SAE 0 ack 1 <mss 1460,sackOK,ts ecr 5000,wscale *>\n"
            "+10s > none");
    assert_int_equal(lab_live(l).halfopen + lab_live(l).tcbs + lab_live(l).timers, 0);
    TALK(l, "< PA 1:101(100) ack 1 win 512000\n"
            "> A 1 ack 101\n"
            "accept\n"
            "= ESTABLISHED\n"
            "? wscale 1\n"
            "? snd_wscale 7\n"
            "? sack 1\n"
            "? ecn 1\n"
            "? timestamps 1\n"
            "? snd_wnd 512000\n"
            "? mss 1428\n"
            "recv 100 -> 100\n"
            "send 2856\n"
            "> A 1:1429(1428) ack 101\n"
            "> PA 1429:2857(1428) ack 101");
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.history[0].cause, TERN_C_COOKIE_ACKED);
    assert_int_equal(info.history[0].from, TERN_LISTEN);
    assert_int_equal(lab_stats(l).cookies_sent, 1);
    assert_int_equal(lab_stats(l).cookies_valid, 1);
    lab_end(l);
}

/* Without timestamps there is no room: nothing that needs it may be offered (RFC 4987 3.6).
 * (RFC4987-3.6-c) */
static void no_timestamps(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    TALK(l, "< SEW 0 win 65535 <mss 1460,sackOK,wscale 7>\n"
            "> SA 0 ack 1 <mss 1460>\n"
            "< A 1 ack 1 win 65535\n"
            "accept\n"
            "? wscale 0\n"
            "? sack 0\n"
            "? ecn 0\n"
            "? snd_wnd 65535");
    lab_end(l);
}

/* The peer's MSS is rounded down, never up (RFC 9293 MUST-16). */
static void mss_rounded_down(void **state)
{
    static const unsigned asked[] = {88, 100, 536, 1219, 1220, 1400, 1440, 1459};
    static const unsigned got4[] = {88, 88, 536, 536, 1220, 1360, 1440, 1452};
    static const unsigned got6[] = {88, 88, 536, 536, 1220, 1360, 1440, 1440};
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    for (int i = 0; i < 8; i++) {
        TALKF(l, "%d< S 0 win 65535 <mss %u>\n%d> SA 0 ack 1\n%d< A 1 ack 1\n%d accept", i, asked[i], i, i,
              i);
        tern_info info;
        assert_true(lab_info(l, i, &info));
        assert_int_equal(info.mss, tern_ip_is4(&l->ip) ? got4[i] : got6[i]);
    }
    TALK(l, "8< S 0 win 65535 <mss 60>\n"
            "8> none");
    lab_end(l);
}

/* It counts for 67 s at least, and not after 135 s; then an ACK draws a RST as always (3.10.7.2 second).
 * (RFC4987-3.6-b) */
static void lifetime(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1");
    lab_run(l, PERIOD);
    TALK(l, "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    lab_run(l, PERIOD);
    TALK(l, "1< A 1 ack 1\n"
            "1> none");
    assert_int_equal(lab_stats(l).cookies_invalid, 1);
    lab_run(l, PERIOD);
    TALK(l, "1< A 1 ack 1\n"
            "1> R 1");
    lab_end(l);
}

/* Guesses: other numbers, ports, options; each costs a look and nothing else. (RFC4987-3.6-b) */
static void guesses(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    TALK(l, "< S 0 win 65535 <mss 1460,ts 700,wscale 7>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 9\n"
            "< A 1 ack 4294967287\n"
            "< A 2 ack 1\n"
            "< A 1 ack 1 <nots>\n"
            "< A 1 ack 1 <ts 800 ecr 12345678>\n"
            "> none");
    assert_int_equal(lab_stats(l).cookies_invalid, 5);
    assert_int_equal(lab_live(l).tcbs, 0);
    l->flow[1] = l->flow[0];
    l->flow[1].peer.port++;
    TALK(l, "1< A 1 ack 1\n"
            "1> none\n"
            "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* The peer that closes or resets at once; and the second segment when the first was lost. */
static void loss_and_end(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< PA 101:201(100) ack 1\n"
            "> none\n"
            "< PA 1:101(100) ack 1\n"
            "> A 1 ack 101\n"
            "< FPA 101:201(100) ack 1\n"
            "> A 1 ack 202\n"
            "accept\n"
            "= CLOSE_WAIT\n"
            "recv 300 -> 200\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< R 1\n"
            "1> none");
    assert_int_equal(lab_live(l).tcbs, 1);
    lab_end(l);
}

/* By itself: a full backlog answers with cookies, and those who are in it go on. (RFC4987-3.7-a,
 * RFC4987-4-ac) */
static void when_full(void **state)
{
    struct lab *l = listening(state, 2, TERN_COOKIES_AUTO);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> SA 0 ack 1\n"
            "2< A 1 ack 1\n"
            "2 accept\n"
            "2= ESTABLISHED\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "1= ESTABLISHED\n"
            "+1s > SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept");
    assert_int_equal(lab_stats(l).cookies_sent, 1);
    lab_end(l);
}

/* The accept queue is full: silence, and no cookies; when there is room the last ACK is heard. */
static void accept_queue_full(void **state)
{
    struct lab *l = listening(state, 1, TERN_COOKIES_ALWAYS);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> none\n"
            "1< PA 1:11(10) ack 1\n"
            "1> none\n"
            "accept\n"
            "+1s > none\n"
            "1< PA 1:11(10) ack 1\n"
            "1> A 1 ack 11\n"
            "1 accept");
    assert_int_equal(lab_stats(l).cookies_sent, 2);
    lab_end(l);
}

/* Never: the oldest to which a SYN+ACK was repeated makes room, the others stay (RFC4987-3.4-a). */
static void never(void **state)
{
    struct lab *l = listening(state, 2, TERN_COOKIES_NEVER);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "+500ms > none\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> none\n"
            "+500ms > SA 0 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "2< A 1 ack 1\n"
            "2 accept\n"
            "2= ESTABLISHED");
    assert_int_equal(lab_stats(l).halfopen_evicted, 1);
    assert_int_equal(lab_stats(l).cookies_sent, 0);
    TALK(l, "< A 1 ack 1\n" /* it is told the truth */
            "> R 1");
    lab_end(l);
}

static int syn_from(struct lab *l, uint8_t host, uint16_t port)
{
    uint8_t buf[128];
    l->flow[0].peer.ip.b[15] = host;
    l->flow[0].peer.port = port;
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", buf);
    lab_rx(l, buf, len);
    return l->last_rx.cause;
}

/* A cookie that cannot wait for tern_tx is none that was sent, and its SYN is dropped: the peer asks
 * again. */
static void no_room_for_an_answer(void **state)
{
    struct lab *l = listening(state, 64, TERN_COOKIES_ALWAYS);
    uint32_t room = tern_replies_room(l->t), more = 10;
    for (uint32_t i = 0; i < room + more; i++) {
        uint8_t buf[128];
        l->flow[0].peer.port = (uint16_t)(20000 + i);
        uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", buf);
        tern_rx_packet rx = {.data = buf, .len = len, .link = (uint8_t)l->link};
        assert_int_equal(tern_rx(l->t, l->now, &rx, 1), i < room);
        assert_int_equal(rx.cause, i < room ? TERN_CAUSE_NONE : TERN_C_REPLIES_FULL);
    }
    assert_int_equal(lab_stats(l).cookies_sent, room);
    assert_int_equal(lab_stats(l).dropped[TERN_C_REPLIES_FULL], more);
    assert_int_equal(lab_stats(l).rx_dropped, more);
    lab_collect(l);
    assert_int_equal(lab_pending(l), room);
    lab_forget(l);
    lab_end(l);
}

/* One source gets its share of the records, and cookies beyond; the others get records. (RFC4987-3.5-b) */
static void one_source(void **state)
{
    struct lab *l = listening(state, 64, TERN_COOKIES_AUTO);
    for (uint16_t i = 0; i < 500; i++)
        assert_int_equal(syn_from(l, 2, (uint16_t)(20000 + i)), TERN_CAUSE_NONE);
    lab_forget(l);
    tern_live live = lab_live(l);
    assert_int_equal(live.halfopen, 32); /* free until half of it is taken */
    assert_int_equal(lab_stats(l).cookies_sent, 468);
    l->flow[0].peer = l->flow[1].peer;
    if (tern_ip_is4(&l->peer_ip))
        for (uint8_t host = 10; host < 26; host++)
            assert_int_equal(syn_from(l, host, 4000), TERN_CAUSE_NONE);
    live = lab_live(l);
    assert_int_equal(live.halfopen, tern_ip_is4(&l->peer_ip) ? 48 : 32);
    lab_forget(l);
    lab_run(l, 70 * SEC);
    lab_forget(l);
    assert_int_equal(lab_live(l).halfopen, 0);
    /* what was counted is taken back */
    assert_int_equal(syn_from(l, 2, 30000), TERN_CAUSE_NONE);
    assert_int_equal(lab_live(l).halfopen, 1);
    lab_forget(l);
    lab_end(l);
}

/* Where cookies may not be sent the source that has its share hears nothing. */
static void one_source_never(void **state)
{
    struct lab *l = listening(state, 64, TERN_COOKIES_NEVER);
    for (uint16_t i = 0; i < 32; i++)
        assert_int_equal(syn_from(l, 2, (uint16_t)(20000 + i)), TERN_CAUSE_NONE);
    assert_int_equal(syn_from(l, 2, 30000), TERN_C_SOURCE_LIMIT);
    assert_int_equal(lab_stats(l).syn_source_limited, 1);
    lab_forget(l);
    lab_end(l);
}

/* Its timestamps neither jump back nor lose what they echo (RFC 7323 5.2). */
static void stamps_go_on(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    for (int i = 0; i < 9; i++) {
        lab_run(l, 37 * MS);
        TALKF(l, "%d< S 0 win 65535 <mss 1460,sackOK,ts,wscale %d>", i, i);
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        uint32_t val = o->seg.opt.ts_val;
        assert_int_equal(o->seg.opt.ts_ecr, (uint32_t)(l->now / 1000));
        TALKF(l, "%d< PA 1:11(10) ack 1\n%d accept", i, i);
        o = lab_next(l);
        assert_non_null(o);
        assert_in_range(o->seg.opt.ts_val - val, 0, 128);
        TALKF(l, "%d? snd_wscale %d", i, i);
    }
    lab_end(l);
}

/* Another machine with the same key and clock ends the handshake, also while keys are being changed. */
static void shared_key(void **state)
{
    static const uint8_t one[16] = "the first secret", two[16] = "and the next one";
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    tern_set_cookie_key(l->t, one, 1000000 * SEC);
    TALK(l, "< S 0 win 65535 <mss 1440,sackOK,ts 5000,wscale 3>\n"
            "> SA 0 ack 1");
    tern_config cfg = {.seed = "another machine"};
    size_t size = 1u << 20;
    void *block = aligned_alloc(16, size);
    tern *other;
    assert_int_equal(tern_create(&other, &cfg, block, size), 0);
    tern_link_info info = {.mtu = 1520};
    int link = tern_link_add(other, &info);
    tern_addr_add(other, link, &l->ip, tern_ip_is4(&l->ip) ? 24 : 64);
    uint64_t now = 77 * SEC; /* its own clock */
    tern_tick(other, now);
    tern_set_cookie_key(other, one, 1000000 * SEC + 2 * SEC);
    tern_set_cookie_key(other, two, 1000000 * SEC + 2 * SEC);
    tern_handle listener, h;
    tern_endpoint any = {.port = 80};
    assert_int_equal(tern_listen(other, &any, 0, &listener), 0);
    uint8_t buf[200];
    uint32_t len = lab_packet(l, "PA 1:11(10) ack 1", buf), stamp = l->flow[0].ts_last;
    tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)link};
    tern_rx(other, now, &p, 1);
    assert_int_equal(p.cause, TERN_CAUSE_NONE);
    assert_int_equal(tern_accept(other, listener, &h), 0);
    tern_info at;
    assert_int_equal(tern_get_info(other, h, &at), 0);
    assert_int_equal(at.state, TERN_ESTABLISHED);
    assert_int_equal(at.snd_wscale, 3);
    assert_true(at.sack);
    tern_tx_packet out[4];
    struct ip_hdr ip;
    struct segment s;
    assert_int_equal(tern_tx(other, now, out, 4), 1);
    assert_int_equal(ip_parse(out[0].hdr, out[0].len, &ip), TERN_CAUSE_NONE);
    assert_int_equal(tcp_parse(&ip, true, &s), TERN_CAUSE_NONE);
    assert_in_range(s.opt.ts_val - stamp, 0, 10000); /* the peer must not think it old */
    tern_destroy(other);
    free(block);
    lab_forget(l);
    lab_end(l);
}

/* Another machine with the same key answers the SYN of connection 0; its SYN+ACK is the next packet here. */
static void answered_elsewhere(struct lab *l, const char *syn)
{
    static const uint8_t key[16] = "the first secret";
    tern_config cfg = {.seed = "another machine"};
    size_t size = 1u << 20;
    void *block = aligned_alloc(16, size);
    tern *other;
    tern_handle listener;
    tern_endpoint any = {.port = 80};
    tern_link_info info = {.mtu = 1520};
    uint64_t now = 770 * SEC; /* its own clock */
    uint8_t buf[200];
    assert_int_equal(tern_create(&other, &cfg, block, size), 0);
    int link = tern_link_add(other, &info);
    tern_addr_add(other, link, &l->ip, tern_ip_is4(&l->ip) ? 24 : 64);
    tern_tick(other, now);
    tern_set_cookie_key(other, key, 1000000 * SEC);
    tern_set_cookie_key(l->t, key, 1000000 * SEC);
    assert_int_equal(tern_listen(other, &any, 0, &listener), 0);
    tern_setopt(other, listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS);
    tern_rx_packet p = {.data = buf, .len = lab_packet(l, syn, buf), .link = (uint8_t)link};
    tern_rx(other, now, &p, 1);
    struct ip_hdr ip;
    struct segment s;
    assert_int_equal(ip_parse(buf, p.len, &ip), TERN_CAUSE_NONE);
    assert_int_equal(tcp_parse(&ip, true, &s), TERN_CAUSE_NONE);
    lab_learn_in(l, 0, &s);
    tern_tx_packet out;
    assert_int_equal(tern_tx(other, now, &out, 1), 1);
    lab_capture(l, &out);
    tern_destroy(other);
    free(block);
}

/* The clock of the one that has answered goes on, as long as the connection is known: through a rest, and to
 * the end of TIME_WAIT (RFC 7323 5.4: it never goes back). */
static void anothers_clock_goes_on(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_ALWAYS);
    answered_elsewhere(l, "S 0 win 65535 <mss 1440,sackOK,ts 5000,wscale 3>");
    TALK(l, "> SA 0 ack 1");
    uint32_t stamp = l->flow[0].ts_last;
    TALK(l, "< PA 1:11(10) ack 1\n"
            "> A 1 ack 11\n"
            "accept\n"
            "= ESTABLISHED\n"
            "recv 100 -> 10");
    assert_in_range(l->flow[0].ts_last - stamp, 0, 1000);
    lab_events(l, 0);
    lab_run(l, 10 * SEC);
    TALK(l, "< PA 11:21(10) ack 1\n"
            "> A 1 ack 21\n"
            "recv 100 -> 10");
    assert_in_range(l->flow[0].ts_last - stamp, 9900, 11000);
    TALK(l, "close\n"
            "> FA 1 ack 21\n"
            "< FA 21 ack 2\n"
            "> A 2 ack 22\n"
            "= TIME_WAIT\n"
            "+20s < FA 21 ack 2\n"
            "> A 2 ack 22");
    assert_in_range(l->flow[0].ts_last - stamp, 29900, 31000);
    lab_end(l);
}

/* The SYN was answered elsewhere, and its repetition here, by a record. When the ACK of the other's cookie
 * comes, the clock of that machine could not go on from here: it is an ACK of nothing that this record has
 * sent (RFC 9293 3.10.7.4 fifth), and the record stays as it is. (RFC4987-3.6-ac) */
static void anothers_cookie_meets_a_record(void **state)
{
    struct lab *l = listening(state, 0, TERN_COOKIES_NEVER);
    uint8_t buf[200];
    struct lab_flow before = l->flow[0];
    answered_elsewhere(l, "S 0 win 65535 <mss 1440,sackOK,ts,wscale 3>");
    l->flow[0] = before;
    const struct lab_out *o = lab_next(l);
    assert_non_null(o);
    struct segment ack = {.seq = o->seg.ack, .ack = seq_add(o->seg.seq, 1), .wnd = 100, .flags = F_ACK};
    ack.opt = (struct tcp_opts){.ts = true, .ts_val = 1000, .wscale = WSCALE_NONE};
    ack.opt.ts_ecr = o->seg.opt.ts_val;
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_AUTO), 0);
    TALK(l, "< S 0 win 65535 <mss 1440,sackOK,ts,wscale 3>\n"
            "> SA 0 ack 1");
    assert_int_equal(lab_live(l).halfopen, 1);
    lab_rx(l, buf, lab_build(l, 0, &ack, buf));
    o = lab_next(l);
    assert_non_null(o);
    assert_int_equal(o->seg.flags, F_RST);
    assert_int_equal(o->seg.seq.v, ack.ack.v);
    TALK(l, "= SYN_RCVD\n"
            "< A 1 ack 1\n"
            "= ESTABLISHED\n"
            "accept");
    lab_end(l);
}

/* Timestamps that nobody has asked for, with an echo of nothing: ignored (RFC 7323 3.2). (RFC7323-3.2-k) */
static void unasked_timestamps(void **state)
{
    struct lab_config cfg = {.stack = {.no_timestamps = true}};
    struct lab *l = lab_new(state, &cfg);
    l->tuned = true;
    TALK(l, "listen");
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS), 0);
    TALK(l, "< S 0 win 65535 <mss 1460,sackOK,ts,wscale 7>\n"
            "> SA 0 ack 1 <mss 1460>\n"
            "< PA 1:11(10) ack 1 <ts 800 ecr 12345678>\n"
            "> A 1 ack 11 <>\n"
            "accept\n"
            "? timestamps 0\n"
            "recv 100 -> 10");
    lab_end(l);
}

/* An option of listeners alone. */
static void option(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint32_t value;
    lab_accept(l, "mss 1460");
    assert_int_equal(tern_setopt(l->t, l->flow[0].h, TERN_OPT_COOKIES, 1), -TERN_EINVAL);
    assert_int_equal(tern_getopt(l->t, l->flow[0].h, TERN_OPT_COOKIES, &value), -TERN_EINVAL);
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, 3), -TERN_EINVAL);
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_NEVER), 0);
    assert_int_equal(tern_getopt(l->t, l->listener, TERN_OPT_COOKIES, &value), 0);
    assert_int_equal(value, TERN_COOKIES_NEVER);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(all_options),  LAB_TEST(no_timestamps), LAB_TEST(mss_rounded_down),
        LAB_TEST(lifetime),     LAB_TEST(guesses),       LAB_TEST(loss_and_end),
        LAB_TEST(when_full),    LAB_TEST(never),         LAB_TEST(accept_queue_full),
        LAB_TEST(no_room_for_an_answer),
        LAB_TEST(one_source),   LAB_TEST(shared_key),    LAB_TEST(one_source_never),
        LAB_TEST(stamps_go_on), LAB_TEST(option),
        LAB_TEST(anothers_clock_goes_on), LAB_TEST(anothers_cookie_meets_a_record),
        LAB_TEST(unasked_timestamps),
    };
    return LAB_MAIN(tests);
}
