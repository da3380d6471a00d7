/* Options of the handshake in every combination, and options that are strange (RFC 9293 3.1, 3.2; RFC 7323;
 * RFC 2018). */
#include "lab/lab.h"

enum { WS = 1, SACK = 2, TS = 4 };

static void words(char out[128], const char *first, int set, const char *ws, const char *ts)
{
    snprintf(out, 128, "%s%s%s%s%s%s", first, set & SACK ? ",sackOK" : "", set & TS ? "," : "",
             set & TS ? ts : "", set & WS ? ",wscale " : "", set & WS ? ws : "");
}

static void check_use(struct lab *l, int set)
{
    TALKF(l,
          "? wscale %d\n"
          "? sack %d\n"
          "? timestamps %d\n"
          "? mss %d\n"
          "send 10\n"
          "> PA 1:11(10) ack 1 <%s>",
          (set & WS) != 0, (set & SACK) != 0, (set & TS) != 0, set & TS ? 1388 : 1400, set & TS ? "ts" : "");
}

/* Answering: the SYN+ACK has what the SYN had and our stack may (RFC 7323 2.2, 3.2: never what was not
 * asked); MSS always (SHLD-5), and the peer's is kept to (MUST-14). (RFC7323-2.2-e, RFC7323-2.3-a,
 * RFC7323-3.2-e) */
static void answered(void **state)
{
    for (int theirs = 0; theirs < 8; theirs++)
        for (int ours = 0; ours < 8; ours++) {
            struct lab_config cfg = {.stack = {.no_wscale = !(ours & WS),
                                               .no_sack = !(ours & SACK),
                                               .no_timestamps = !(ours & TS)}};
            struct lab *l = lab_new(state, &cfg);
            char syn[128], answer[128];
            words(syn, "mss 1400", theirs, "7", "ts 5");
            words(answer, "mss 1460", theirs & ours, "*", "ts ecr 5");
            TALKF(l,
                  "listen\n"
                  "< S 0 win 65535 <%s>\n"
                  "> SA 0 ack 1 <%s>\n"
                  "< A 1 ack 1\n"
                  "accept",
                  syn, answer);
            check_use(l, theirs & ours);
            lab_end(l);
        }
}

/* Asking: the SYN has what our stack may; used is what the answer has too. (RFC7323-2.2-ab, RFC7323-3.2-d) */
static void asked(void **state)
{
    for (int theirs = 0; theirs < 8; theirs++)
        for (int ours = 0; ours < 8; ours++) {
            struct lab_config cfg = {.stack = {.no_wscale = !(ours & WS),
                                               .no_sack = !(ours & SACK),
                                               .no_timestamps = !(ours & TS)}};
            struct lab *l = lab_new(state, &cfg);
            char syn[128], answer[128];
            words(syn, "mss 1460", ours, "*", "ts ecr 0");
            words(answer, "mss 1400", theirs, "7", "ts 5");
            TALKF(l,
                  "connect\n"
                  "> S 0 <%s>\n"
                  "< SA 0 ack 1 win 65535 <%s>\n"
                  "> A 1 ack 1",
                  syn, answer);
            check_use(l, theirs & ours);
            lab_end(l);
        }
}

/* MUST-15: without the option, 536 bytes in IPv4 and 1220 in IPv6. */
static void mss_absent(void **state)
{
    struct lab *l = lab_new(state, NULL);
    unsigned mss = tern_ip_is4(&l->ip) ? 536 : 1220;
    lab_connect(l, "");
    TALKF(l,
          "send 3000\n"
          "> A 1:%u(%u) ack 1",
          1 + mss, mss);
    lab_forget(l);
    lab_end(l);
}

/* MAY-3: offered on both kinds of SYN, also where it is what the peer would take without (MUST-15). */
static void mss_of_the_default(void **state)
{
    struct lab *l = lab_new(state, NULL);
    unsigned mss = tern_ip_is4(&l->ip) ? 536 : 1220;
    lab_end(l);
    struct lab_config cfg = {.mtu = mss + (mss == 536 ? 40 : 60)};
    l = lab_new(state, &cfg);
    TALKF(l,
          "listen\n"
          "< S 0 win 65535 <mss 1460>\n"
          "> SA 0 ack 1 <mss %u>\n"
          "1 connect\n"
          "1> S 0 <mss %u,sackOK,ts,wscale *>",
          mss, mss);
    lab_end(l);
}

/* MUST-16: never more than our own path takes. MUST-67: offered is what the MTU lets in. */
static void mss_larger_than_the_mtu(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 9000");
    TALK(l, "send 3000\n"
            "> A 1:1461(1460) ack 1");
    lab_forget(l);
    lab_end(l);
}

static void mss_by_option(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "opt max_seg 500\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1 <mss 500>\n"
            "< A 1 ack 1\n"
            "accept\n"
            "send 600\n"
            "> A 1:501(500) ack 1");
    lab_forget(l);
    lab_end(l);
}

/* A tiny MSS is no way to make us divide by zero, nor to make a flood of headers of one byte each. */
static void mss_tiny(void **state)
{
    static const unsigned sizes[] = {0, 1, 8, 12, 40, 64};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct lab *l = lab_new(state, NULL);
        TALKF(l,
              "listen\n"
              "< S 0 win 65535 <mss %u,ts>\n"
              "> SA 0 ack 1\n"
              "< A 1 ack 1\n"
              "accept\n"
              "send 1000",
              sizes[i]);
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        assert_true(o->seg.len >= 16); /* a path carries 68 bytes (RFC 791 3.2): 28 of TCP's, 12 for
                                          timestamps */
        if (sizes[i] >= 28)
            assert_true(o->seg.len + 12 <= sizes[i]); /* MUST-16 */
        lab_forget(l);
        lab_end(l);
    }
}

/* RFC 7323 2.3: a shift above 14 is used as 14. 2.2: the window of a SYN is never scaled. (RFC7323-2.2-g,
 * RFC7323-2.3-f) */
static void shift_above_14(void **state)
{
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[66000];
    TALK(l, "listen");
    uint32_t len = lab_packet(l, "S 0 win 65535 <mss 1460,wscale 14>", pkt);
    uint8_t *opts = pkt + len - 8;
    for (int i = 0; i < 8; i++)
        if (opts[i] == 3 && opts[i + 1] == 3)
            opts[i + 2] = 15;
    lab_checksum(pkt, len);
    lab_rx(l, pkt, len);
    TALK(l, "> SA 0 ack 1");
    l->flow[0].peer_ws = true;
    l->flow[0].peer_shift = 14;
    TALK(l, "< A 1 ack 1 win 163840\n"
            "accept\n"
            "? snd_wscale 14\n"
            "? snd_wnd 163840");
    lab_end(l);
}

/* --- strange options: bytes put behind the header of a segment --- */

static uint32_t with_options(struct lab *l, const char *line, const uint8_t *opts, uint32_t n, uint8_t *pkt)
{
    uint32_t ip_len = tern_ip_is4(&l->ip) ? 20 : 40;
    uint32_t len = lab_packet(l, line, pkt);
    uint32_t payload = len - ip_len - 20;
    memmove(pkt + ip_len + 20 + n, pkt + ip_len + 20, payload);
    memcpy(pkt + ip_len + 20, opts, n);
    pkt[ip_len + 12] = (uint8_t)((20 + n) / 4 << 4);
    len += n;
    if (ip_len == 20)
        put16(pkt + 2, (uint16_t)len);
    else
        put16(pkt + 4, (uint16_t)(len - 40));
    lab_checksum(pkt, len);
    return len;
}

/* MUST-6: unknown kinds are stepped over; MUST-64: at any offset; MUST-4: NOP and EOL. (RFC5482-3-e,
 * RFC5482-4.1-a) */
static void unknown_options(void **state)
{
    static const uint8_t opts[] = {253, 5, 1, 2,    3,   1, 1, 1,
                                   2,   4, 5, 0x78, 254, 2, 0, 0}; /* MSS 1400 at offset 8 */
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[66000];
    TALK(l, "listen");
    uint32_t len = with_options(l, "S 0 win 65535", opts, sizeof(opts), pkt);
    lab_rx(l, pkt, len);
    TALK(l, "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "? mss 1400");
    lab_end(l);
}

static void odd_offset(void **state)
{
    static const uint8_t opts[] = {1, 2, 4, 5, 0x78, 1, 1, 0};
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[66000];
    TALK(l, "listen");
    uint32_t len = with_options(l, "S 0 win 65535", opts, sizeof(opts), pkt);
    lab_rx(l, pkt, len);
    TALK(l, "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "? mss 1400");
    lab_end(l);
}

/* MUST-5: options on data, ACK and FIN are parsed and do no harm. */
static void options_on_any_segment(void **state)
{
    static const uint8_t opts[] = {253, 4, 1, 2};
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[66000];
    lab_accept(l, "mss 1460");
    lab_rx(l, pkt, with_options(l, "PA 1:11(10) ack 1", opts, sizeof(opts), pkt));
    TALK(l, "recv 10\nforget");
    lab_rx(l, pkt, with_options(l, "FA 11 ack 1", opts, sizeof(opts), pkt));
    TALK(l, "+0..500ms > A 1 ack 12\n= CLOSE_WAIT");
    lab_end(l);
}

/* MUST-7: an impossible length is refused and counted, and harms nobody. */
static void impossible_lengths(void **state)
{
    static const uint8_t cases[][4] = {{253, 0, 1, 1}, {253, 1, 1, 1}, {253, 9, 1, 1}, {1, 1, 1, 253}};
    struct lab *l = lab_new(state, NULL);
    uint8_t pkt[66000];
    lab_accept(l, "mss 1460");
    for (size_t i = 0; i < 4; i++) {
        int verdict = lab_rx(l, pkt, with_options(l, "PA 1:11(10) ack 1", cases[i], 4, pkt));
        assert_int_equal(verdict, TERN_DROPPED);
        assert_int_equal(l->last_rx.cause, TERN_C_TCP_OPTION_LENGTH);
    }
    assert_int_equal(lab_stats(l).dropped[TERN_C_TCP_OPTION_LENGTH], 4);
    TALK(l, "recv 1 -> EAGAIN\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* RFC7323-2.3-f: no buffer is so large that the shift would go above 14. */
static void shift_of_the_largest_buffer(void **state)
{
    struct lab_config cfg = {.stack = {.recv_buffer = 1u << 30}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "connect\n"
            "> S 0 <mss *,sackOK,ts,wscale 14>");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(answered),           LAB_TEST(asked),
        LAB_TEST(mss_absent),         LAB_TEST(mss_larger_than_the_mtu),
        LAB_TEST(mss_by_option),      LAB_TEST(mss_tiny),
        LAB_TEST(shift_above_14), LAB_TEST(shift_of_the_largest_buffer),     LAB_TEST(unknown_options),
        LAB_TEST(odd_offset),         LAB_TEST(options_on_any_segment),
        LAB_TEST(impossible_lengths), LAB_TEST(mss_of_the_default),
    };
    return LAB_MAIN(tests);
}
