/* Attacks: what somebody does who is not a peer that wants to talk. Off the path he guesses numbers; on the
 * other end he spends little so that we spend much. Each test says what must hold; where CPU time is the
 * matter it is counted in steps that can be seen (records, pages, packets), not in seconds. */
#include "lab/lab.h"

#include "tcp/tcp.h"

static struct lab *open_with(void **state, const struct lab_config *cfg, const char *opts)
{
    struct lab *l = lab_new(state, cfg);
    lab_accept(l, opts);
    return l;
}

static struct tcb *tcb_of(struct lab *l, int flow)
{
    return tcb_at(l->t, (ref_t)l->flow[flow].h.v);
}

/* How many packets tern has sent since the last time. */
static unsigned answers(struct lab *l)
{
    unsigned n = 0;
    while (lab_next(l) != NULL)
        n++;
    return n;
}

/* --- what an outsider can guess ------------------------------------------------------------------ */

/* RFC 5961 5.2 and RFC 7323 4.3: a segment whose ACK is refused must not set TS.Recent. Its sequence number
 * is cheap to guess (any segment that reaches over RCV.NXT), and afterwards PAWS would refuse all that is
 * true. (RFC5961-5.2-c) */
static void stamp_of_a_blind_segment(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460,ts 1000");
    TALKF(l, "< PA -1000:400(1400) ack 1000000000 <ts %u>\nforget", (uint32_t)(l->now / 1000) + 2000000000);
    TALK(l, "< PA 1:11(10) ack 1\n"
            "recv 10\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* The same for ECN: CWR of a segment that is refused ends no echo (RFC 3168 6.1.3). */
static void mark_of_a_blind_segment(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< SEW 0 win 65535 <mss 1460>\n"
            "> SAE 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "< PA 1:11(10) ack 1 ce\n"
            "> AE 1 ack 11\n"
            "< PAW 11:21(10) ack 1000000000 ect0\n"
            "> AE 1 ack 11\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* RFC 6864 4.1: in packets that are never fragmented the identification says nothing; a counter common to all
 * connections tells an outsider how much we send to others (and so whether his guess drew an ACK). */
static void identification_tells_nothing(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    if (!tern_ip_is4(&l->ip)) {
        lab_end(l);
        return;
    }
    uint16_t id[2] = {0};
    TALK(l, "opt nodelay 1");
    for (int i = 0; i < 2; i++) {
        TALK(l, "send 10");
        id[i] = get16(lab_next(l)->bytes + 4);
        TALK(l, "1< R 5000\n"    /* to nobody, */
                "1< A 1 ack 1\n" /* and this draws a RST for a third party */
                "forget");
    }
    if (id[1] != id[0] && (uint16_t)(id[1] - id[0]) < 16)
        lab_fail(l, "two packets apart the identification went from %u to %u", id[0], id[1]);
    lab_end(l);
}

/* --- storms -------------------------------------------------------------------------------------- */

/* RFC 7323 5.3 R1 answers a segment that PAWS refuses. Two ends with a wrong TS.Recent would answer each
 * other's answers without end. (RFC7323-5.3-c) */
static void paws_is_no_storm(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460,ts 1000");
    for (int i = 0; i < 500; i++)
        TALK(l, "< A 1 ack 1 <ts 900>");
    assert_in_range(answers(l), 1, 50);
    lab_end(l);
}

/* A half-open connection answers an ACK that does not fit; so would the one at the other end, if both are
 * half-open (two forged SYNs between two listeners). */
static void half_open_is_no_storm(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    for (int i = 0; i < 500; i++)
        TALK(l, "< A 2000000000 ack 77");
    assert_in_range(answers(l), 0, 50);
    lab_end(l);
}

/* The land attack: a SYN from our address and port to the same; the network carries our answers back to us.
 */
static void land(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen");
    l->flow[0].peer = l->flow[0].local;
    uint8_t buf[2000];
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", buf);
    lab_rx(l, buf, len);
    unsigned n = 0;
    const struct lab_out *o;
    while (n < 1000 && (o = lab_next(l)) != NULL) {
        n++;
        len = o->len;
        memcpy(buf, o->bytes, len);
        lab_rx(l, buf, len);
    }
    lab_forget(l);
    if (n > 50)
        lab_fail(l, "one packet made tern answer itself %u times at least", n);
    lab_end(l);
}

/* --- opening ------------------------------------------------------------------------------------- */

/* RFC 7323 3.2: with timestamps agreed a segment without them is dropped; also the third of the handshake. It
 * may not become a connection that nobody has opened, that has no timer and waits to be accepted.
 * (RFC7323-3.2-ij) */
static void third_segment_without_stamp(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460,ts 1000>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1 <nots>\n"
            "= SYN_RCVD\n"
            "accept -> EAGAIN\n"
            "< A 1 ack 1 <ts 1001>\n"
            "= ESTABLISHED\n"
            "accept");
    lab_end(l);
}

/* RFC 9293 3.10.7.3: the peer's SYN comes after connect and before our SYN has left. */
static void syn_before_ours_has_left(void **state)
{
    struct lab *l = lab_new(state, NULL);
    struct lab_flow *f = &l->flow[0];
    f->local.port = 50000, f->peer.port = 8080;
    uint8_t buf[2000];
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460>", buf);
    tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
    assert_int_equal(tern_connect(l->t, &f->local, &f->peer, &f->h), 0);
    tern_rx(l->t, l->now, &p, 1);
    tern_shutdown(l->t, f->h);
    lab_collect(l);
    lab_run(l, 10 * SEC);
    const struct lab_out *o = lab_next(l);
    LAB_CHECK(l, o != NULL && (o->seg.flags & F_SYN));
    lab_forget(l);
    lab_end(l);
}

/* --- memory -------------------------------------------------------------------------------------- */

/* Bytes out of order, one at a time and apart from each other: a page each would be 4096 times what the
 * window promises. */
static void out_of_order_in_single_bytes(void **state)
{
    struct lab_config cfg = {.memory = 64u << 20};
    struct lab *l = open_with(state, &cfg, "mss 1460,sackOK,wscale 7");
    for (int i = 0; i < 15000; i++)
        TALKF(l, "< A %d:%d(1) ack 1\nforget", 3 + 2 * i, 4 + 2 * i);
    tern_live v = lab_live(l);
    tern_info info;
    assert_true(lab_info(l, 0, &info));
    if ((uint64_t)v.chunks * 4096 > 2 * 1048576)
        lab_fail(l, "%u bytes out of order hold %u pages in %u ranges", info.recv_ooo, v.chunks, v.ranges);
    lab_end(l);
}

/* SACKs that cut what is in flight into single bytes ("SACK panic", CVE-2019-11477 and 11478): records are
 * for segments, not for bytes. */
static void sack_of_every_other_byte(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460,sackOK");
    TALK(l, "send 14600\nforget");
    for (int i = 0; i < 7000; i += 4)
        TALKF(l, "< A 1 ack 1 <sack %d:%d %d:%d %d:%d %d:%d>\nforget", 2 + 2 * i, 3 + 2 * i, 4 + 2 * i,
              5 + 2 * i, 6 + 2 * i, 7 + 2 * i, 8 + 2 * i, 9 + 2 * i);
    tern_live v = lab_live(l);
    if (v.sendrecs > 100)
        lab_fail(l, "14600 bytes in flight are %u records", v.sendrecs);
    lab_end(l);
}

/* RFC 9293 3.8.6.1 keeps a connection while its peer answers probes. Without a program behind it (or with a
 * user timeout) that has to have an end (RFC 6429). */
static void shut_window_of_an_orphan(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    TALK(l, "< A 1 ack 1 win 0\n"
            "send 5000\n"
            "close");
    for (int i = 0; i < 200 && lab_state(l, 0) != TERN_CLOSED && lab_live(l).tcbs > 0; i++) {
        lab_run(l, 30 * SEC);
        lab_forget(l);
        TALK(l, "< A 1 ack 1 win 0\nforget");
    }
    if (lab_live(l).tcbs > 0)
        lab_fail(l, "an orphan with 5000 bytes is kept for 100 minutes");
    lab_end(l);
}

/* Echo requests between two turns of a link that takes a few packets at a time. */
static void echo_between_turns(void **state)
{
    struct lab *l = lab_new(state, NULL);
    if (!tern_ip_is4(&l->ip)) {
        lab_end(l);
        return;
    }
    uint8_t p[200];
    uint16_t n = ip_emit(p, &l->peer_ip, &l->ip, PROTO_ICMP, 64, 0, 8 + 100, 1);
    memset(p + n + 8, 'x', 100);
    icmp_emit(p + n, 4, ICMP_ECHO, 0, 1, p + n + 8, 100, &l->peer_ip, &l->ip);
    tern_rx_packet rx = {.data = p, .len = (uint32_t)n + 108, .link = (uint8_t)l->link};
    for (int round = 0; round < 20; round++) {
        tern_tx_packet tx[4];
        for (int i = 0; i < 16; i++)
            tern_rx(l->t, l->now, &rx, 1);
        int got = tern_tx(l->t, l->now, tx, 4);
        for (int i = 0; i < got; i++)
            if (tx[i].len != rx.len)
                lab_fail(l, "the reply has %u bytes, the request %u", tx[i].len, rx.len);
    }
    lab_collect(l);
    lab_forget(l);
    lab_end(l);
}

/* Replies of any size have the right checksum, with small pages too. */
static void echo_of_60000_bytes(void **state)
{
    struct lab_config cfg = {.stack = {.page_size = 2048}};
    struct lab *l = lab_new(state, &cfg);
    static uint8_t p[65535];
    bool v4 = tern_ip_is4(&l->ip);
    uint16_t n =
        ip_emit(p, &l->peer_ip, &l->ip, v4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 8 + 60000, 1);
    memset(p + n + 8, 'x', 60000);
    icmp_emit(p + n, v4 ? 4 : 6, v4 ? ICMP_ECHO : ICMP6_ECHO, 0, 1, p + n + 8, 60000, &l->peer_ip, &l->ip);
    lab_rx(l, p, n + 8u + 60000u);
    uint64_t sum = v4 ? 0 : csum_pseudo(&l->ip, &l->peer_ip, PROTO_ICMP6, 8 + 60000);
    const struct lab_out *o;
    while ((o = lab_next(l)) != NULL) {
        uint32_t hdr = v4 ? 20 : o->bytes[6] == PROTO_FRAGMENT ? 48 : 40;
        sum = csum_add(sum, o->bytes + hdr, o->len - hdr);
    }
    assert_int_equal(csum_fold(sum), 0);
    lab_end(l);
}

/* A connection that the peer opens and we close leaves a record in TIME_WAIT. However many there are, their
 * memory comes back when 2 MSL are over, and until then it is not all of the memory. */
static void memory_comes_back_after_time_wait(void **state)
{
    struct lab_config cfg = {.memory = 1u << 20};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "listen");
    l->tuned = true;
    for (int i = 0; i < 8000 && lab_live(l).tcbs == 0; i++) {
        l->flow[1] = (struct lab_flow){.local = l->flow[0].local, .peer = l->flow[0].peer, .win = 65535};
        l->flow[1].peer.port = (uint16_t)(1000 + i);
        TALK(l, "1< S 0 win 65535 <mss 1460>");
        const struct lab_out *o = lab_next(l);
        if (o == NULL)
            break; /* refused: there is an end to it */
        TALK(l, "1< A 1 ack 1\n1 accept\n1 close\nforget\n1< FA 1 ack 2\nforget");
    }
    lab_run(l, 300 * SEC);
    lab_forget(l);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "send 100000\n"
            "forget\n"
            "? recv_queue 0");
    for (int i = 0; i < 40; i++)
        TALKF(l, "< PA %d:%d(1460) ack 1\nforget", 1 + 1460 * i, 1461 + 1460 * i);
    TALK(l, "? recv_queue 58400");
    lab_end(l);
}

/* Every page is taken: what cannot be noted must not be sent, else it is never repeated. */
static void nothing_in_flight_without_a_record(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    l->t->a->fail_after = 2; /* the first is the chunk of the bytes, the second the record of the segment */
    TALK(l, "send 100\n"
            "+0..3s > PA 1:101(100) ack 1\n"
            "+150ms..3s > PA 1:101(100) ack 1\n" /* it was lost: it is repeated */
            "< A 1 ack 101");
    lab_end(l);
}

/* --- numbers ------------------------------------------------------------------------------------- */

/* After 2^32 bytes SND.UNA may stand on ISS again; the SYN has been acknowledged all the same. */
static void una_on_iss_again(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    TALK(l, "send 1000\n"
            "> PA 1:1001(1000) ack 1\n"
            "< A 1 ack 1001");
    tcb_of(l, 0)->snd.iss = tcb_of(l, 0)->snd.una; /* as 4 GiB later */
    TALK(l, "send 500");
    LAB_CHECK(l, lab_next(l)->seg.len == 500);
    lab_run(l, 3 * SEC);
    const struct lab_out *o = lab_next(l); /* the retransmission */
    LAB_CHECK(l, o != NULL && !(o->seg.flags & F_SYN) && o->seg.len == 500);
    lab_forget(l);
    tcb_of(l, 0)->snd.iss = seq(l->flow[0].iss);
    lab_end(l);
}

/* RFC 1191: what is sent again after the path has become narrower fits the path, to the byte. */
static void narrower_path_to_the_byte(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    TALK(l, "send 4000\nforget");
    bool v4 = tern_ip_is4(&l->ip);
    lab_icmp(l, 0, v4 ? ICMP_UNREACH : ICMP6_TOO_BIG, v4 ? 4 : 0, 1300, 1);
    const struct lab_out *o;
    unsigned n = 0;
    while ((o = lab_next(l)) != NULL) {
        n++;
        if (o->len > 1300 || o->gso_size != 0)
            lab_fail(l, "a packet of %u bytes (pieces of %u) on a path of 1300, and the link splits nothing",
                     o->len, o->gso_size);
    }
    LAB_CHECK(l, n > 0);
    lab_end(l);
}

/* Data beyond a FIN that came out of order: the FIN ends the stream, what lies behind it is nothing (RFC 9293
 * 3.10.7.4 seventh). The invariants of the ranges must hold on. */
static void data_beyond_a_fin(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460,sackOK");
    TALK(l, "< A 12:22(10) ack 1\n"
            "> A 1 ack 1 <sack 12:22>\n"
            "< FA 11 ack 1\n"
            "> A 1 ack 1\n"
            "< PA 1:11(10) ack 1\n"
            "> A 1 ack 12 <>\n"
            "= CLOSE_WAIT\n"
            "recv 10\n"
            "recv 10 -> 0");
    assert_int_equal(lab_live(l).ranges, 0);
    lab_end(l);
}

/* IPv4 bears 65535 bytes: a link may not ask for more than fits beside the longest headers. */
static void largest_super_segment(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_link_info info = {.mtu = 1500, .gso_max = 65495};
    assert_int_equal(tern_link_add(l->t, &info), -TERN_EINVAL);
    info.gso_max = 65535 - 40 - 60;
    assert_true(tern_link_add(l->t, &info) > 0);
    lab_end(l);
}

/* One end of the ephemeral range is given, the other is the default: together they must be a range. */
static void half_a_port_range(void **state)
{
    (void)state;
    static _Alignas(16) uint8_t block[1 << 20];
    tern *t;
    tern_config high = {.port_low = 61000}, low = {.port_high = 1000};
    assert_int_equal(tern_create(&t, &high, block, sizeof block), -TERN_EINVAL);
    assert_int_equal(tern_create(&t, &low, block, sizeof block), -TERN_EINVAL);
}

/* --- what a peer may lie about -------------------------------------------------------------------- */

/* Savage et al. 1999, ACK division: many ACKs for one segment's bytes grow the window by those bytes, no more
 * (RFC 5681 3.1, RFC 3465). (RFC5681-3.1-i) */
static void ack_division(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    tern_info before, after;
    TALK(l, "send 60000\nforget");
    assert_true(lab_info(l, 0, &before));
    for (int i = 2; i <= 1461; i++)
        TALKF(l, "< A 1 ack %d\nforget", i);
    assert_true(lab_info(l, 0, &after));
    assert_true(after.cwnd <= before.cwnd + 1460);
    lab_end(l);
}

/* Optimistic ACKs: what has not been sent is not acknowledged (RFC 9293 3.10.7.4 fifth). */
static void optimistic_ack(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    TALK(l, "send 60000\nforget\n"
            "< A 1 ack 20000\n"
            "> A 14601 ack 1\n"
            "? send_unacked 14600");
    lab_end(l);
}

/* Duplicate ACKs without end (DupACK spoofing) send no more than what is there. */
static void endless_duplicates(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    TALK(l, "send 60000\nforget");
    for (int i = 0; i < 300; i++)
        TALK(l, "< A 1 ack 1");
    assert_in_range(answers(l), 1, 50);
    lab_end(l);
}

/* An urgent pointer far beyond what comes, again and again: a number, not memory (RFC 9293 3.8.5). */
static void urgent_without_data(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    for (int i = 0; i < 100; i++)
        TALKF(l, "< UA 1 ack 1 urg %d", 65535 - i);
    assert_in_range(answers(l), 0, 20);
    TALK(l, "< PA 1:11(10) ack 1\n"
            "recv 10\n"
            "= ESTABLISHED");
    lab_forget(l);
    lab_end(l);
}

/* Overlapping bytes that disagree: what came first stays (and is what was SACKed). */
static void lies_in_overlap(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460,sackOK");
    uint8_t buf[2000];
    TALK(l, "< A 11:21(10) ack 1\nforget");
    uint32_t len = lab_packet(l, "PA 1:31(30) ack 1", buf);
    for (uint32_t i = len - 20; i < len - 10; i++)
        buf[i] ^= 0xff;
    lab_checksum(buf, len);
    lab_rx(l, buf, len);
    TALK(l, "forget\nrecv 30");
    lab_end(l);
}

/* RFC 1337: RST, old data, and old FIN do not end TIME_WAIT early or wake it. (RFC1337-3-a, RFC1337-4-a) */
static void time_wait_assassination(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_reach(l, LAB_TIME_WAIT_FREE, true);
    TALK(l, "< R 2\n= TIME_WAIT\n"
            "< PA 1:2(1) ack 2\nforget\n= TIME_WAIT\n"
            "< SA 0 ack 1\nforget\n= TIME_WAIT");
    lab_end(l);
}

static int refuses(struct lab *l, uint64_t v)
{
    tern_handle h = {v}, other;
    tern_slice slice;
    tern_info info;
    uint8_t b[1] = {0};
    uint32_t value;
    return tern_send(l->t, h, b, 1, 0) == -TERN_EBADF && tern_recv(l->t, h, b, 1) == -TERN_EBADF &&
           tern_peek(l->t, h, &slice, 1) == -TERN_EBADF && tern_consume(l->t, h, 0) == -TERN_EBADF &&
           tern_shutdown(l->t, h) == -TERN_EBADF && tern_accept(l->t, h, &other) == -TERN_EBADF &&
           tern_setopt(l->t, h, TERN_OPT_TTL, 9) == -TERN_EBADF &&
           tern_getopt(l->t, h, TERN_OPT_TTL, &value) == -TERN_EBADF &&
           tern_set_data(l->t, h, 1) == -TERN_EBADF && tern_get_info(l->t, h, &info) == -TERN_EBADF &&
           tern_abort(l->t, h) == -TERN_EBADF && tern_close(l->t, h) == -TERN_EBADF;
}

/* Any 64 bits as a handle: every place of the arena with every small generation, and every bit of true
 * handles turned. */
static void forged_handles(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    uint64_t conn = l->flow[0].h.v, listener = l->listener.v;
    for (uint64_t r = 0; r < (l->cfg.memory >> 4) + 64; r++)
        for (uint64_t gen = 0; gen < 4; gen++)
            if ((gen << 32 | r) != conn && (gen << 32 | r) != listener)
                LAB_CHECK(l, refuses(l, gen << 32 | r));
    for (int bit = 0; bit < 64; bit++) {
        LAB_CHECK(l, refuses(l, conn ^ 1ull << bit));
        LAB_CHECK(l, refuses(l, listener ^ 1ull << bit));
    }
    TALK(l, "= ESTABLISHED");
    lab_end(l);
}

/* Nothing given, nothing taken: NULL with length 0 is fine in every call. */
static void nothing(void **state)
{
    struct lab *l = open_with(state, NULL, "mss 1460");
    tern_handle h = l->flow[0].h;
    assert_int_equal(tern_send(l->t, h, NULL, 0, 0), 0);
    assert_int_equal(tern_recv(l->t, h, NULL, 0), -TERN_EAGAIN);
    assert_int_equal(tern_peek(l->t, h, NULL, 0), -TERN_EAGAIN);
    assert_int_equal(tern_consume(l->t, h, 0), 0);
    TALK(l, "< PA 1:11(10) ack 1\nforget");
    assert_int_equal(tern_recv(l->t, h, NULL, 0), 0);
    assert_int_equal(tern_peek(l->t, h, NULL, 0), 0);
    assert_int_equal(tern_consume(l->t, h, 11), -TERN_EINVAL);
    assert_int_equal(tern_events(l->t, NULL, 0), 0);
    assert_int_equal(tern_rx(l->t, l->now, NULL, 0), 0);
    assert_int_equal(tern_tx(l->t, l->now, NULL, 0), 0);
    TALK(l, "recv 10");
    lab_forget(l);
    lab_end(l);
}

/* Sources that nobody can have: no answer, no record (RFC 9293 MUST-63, MUST-57; RFC 1122 3.2.1.3). */
static void impossible_sources(void **state)
{
    static const uint8_t hosts[][4] = {
        {0, 0, 0, 0}, {255, 255, 255, 255}, {224, 0, 0, 1}, {10, 0, 0, 255}, {0, 1, 2, 3}};
    struct lab *l = lab_new(state, NULL);
    l->tuned = true; /* no SYN+ACK comes that could be tuned */
    TALK(l, "listen");
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0] && tern_ip_is4(&l->ip); i++) {
        memcpy(l->flow[1].peer.ip.b + 12, hosts[i], 4);
        TALK(l, "1< S 0 win 65535 <mss 1460>");
        assert_int_equal(answers(l), 0);
        assert_int_equal(lab_live(l).halfopen, 0);
    }
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(stamp_of_a_blind_segment),
        LAB_TEST(mark_of_a_blind_segment),
        LAB_TEST(identification_tells_nothing),
        LAB_TEST(paws_is_no_storm),
        LAB_TEST(half_open_is_no_storm),
        LAB_TEST(land),
        LAB_TEST(third_segment_without_stamp),
        LAB_TEST(syn_before_ours_has_left),
        LAB_TEST(out_of_order_in_single_bytes),
        LAB_TEST(sack_of_every_other_byte),
        LAB_TEST(shut_window_of_an_orphan),
        LAB_TEST(echo_between_turns),
        LAB_TEST(echo_of_60000_bytes),
        LAB_TEST(memory_comes_back_after_time_wait),
        LAB_TEST(nothing_in_flight_without_a_record),
        LAB_TEST(una_on_iss_again),
        LAB_TEST(narrower_path_to_the_byte),
        LAB_TEST(data_beyond_a_fin),
        LAB_TEST(largest_super_segment),
        LAB_TEST(half_a_port_range),
        LAB_TEST(ack_division),
        LAB_TEST(optimistic_ack),
        LAB_TEST(endless_duplicates),
        LAB_TEST(urgent_without_data),
        LAB_TEST(lies_in_overlap),
        LAB_TEST(time_wait_assassination),
        LAB_TEST(forged_handles),
        LAB_TEST(nothing),
        LAB_TEST(impossible_sources),
    };
    return LAB_MAIN(tests);
}
