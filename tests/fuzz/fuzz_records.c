/* Differential: small records against control blocks, where a connection can have either.
 *
 * An even first byte: TIME_WAIT of a connection that the program still holds, and of one that it has
 * released. An odd one: a handshake that is kept as a half-open record, and one that is kept nowhere (a SYN
 * cookie). Both get the same segments and must say the same, but for what the records cannot know
 * (docs/ARCHITECTURE.md): how many challenges were answered lately, hence more than a second between the
 * steps; and what a cookie has no room for, hence only these sizes of segments.
 *
 *   1   bit 0 no timestamps, 1 IPv6, 2 no SACK, 3 ECN
 *   then steps of 8 bytes: flags, seq, ack, length, window, timestamp, time, what else
 */
#include "tcp/tcp.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 1 << 20, STEP = 8, STEPS = 40, SAID = 8 };
#define IRS 0xfffffff0u /* so that its stream passes zero */

struct end {
    tern *t;
    tern_handle listener, h;
    struct segment said[SAID]; /* since it was last asked */
    int n;
};

static struct {
    struct end end[2];
    uint64_t now;
    tern_ip us, peer;
    uint32_t how;
    bool ts, loud;
} z;

static _Alignas(16) uint8_t blocks[2][BLOCK];

/* --- packets ---------------------------------------------------------------------------------------- */

static void listen_to(struct end *e)
{
    static uint8_t flat[4096];
    tern_tx_packet pkts[4];
    struct ip_hdr ip;
    for (int n; (n = tern_tx(e->t, z.now, pkts, 4)) > 0;)
        for (int i = 0; i < n && e->n < SAID; i++) {
            uint32_t len = tern_tx_flatten(&pkts[i], flat);
            struct segment *s = &e->said[e->n++];
            ASSERT(ip_parse(flat, len, &ip) == TERN_CAUSE_NONE && tcp_parse(&ip, true, s) == TERN_CAUSE_NONE);
            s->data = NULL;
        }
    tcp_check_all(e->t);
}

static void tell(struct end *e, const struct segment *s)
{
    uint8_t p[200];
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s->opt, s->flags));
    uint16_t at = ip_emit(p, &s->src, &s->dst, PROTO_TCP, 64, s->tos, tcp_len + s->len, 7);
    tcp_emit(p + at, s);
    memset(p + at + tcp_len, 'x', s->len);
    tern_rx_packet rx = {.data = p, .len = at + tcp_len + s->len, .link = 1, .flags = TERN_RX_CSUM_OK};
    e->n = 0;
    tern_rx(e->t, z.now, &rx, 1);
    if (z.loud)
        fprintf(stderr, "  %s\n", tern_cause_name(rx.cause));
    listen_to(e);
}

static struct segment segment(uint8_t flags, seq_t at, seq_t ack)
{
    struct segment s = {.src = z.peer, .dst = z.us, .src_port = 1000, .dst_port = 80, .flags = flags};
    s.seq = at, s.ack = ack, s.wnd = 65535;
    s.opt.wscale = flags & F_SYN ? 7 : WSCALE_NONE;
    s.opt.mss = flags & F_SYN ? 1460 : 0;
    s.opt.sack_ok = (flags & F_SYN) && !(z.how & 4);
    s.opt.ts = z.ts;
    s.opt.ts_val = (uint32_t)(z.now / 1000);
    return s;
}

static void make(struct end *e, uint8_t *block, bool cookies)
{
    tern_endpoint at = {.port = 80};
    tern_link_info link = {.mtu = 1500};
    tern_config cfg = {.no_timestamps = !z.ts, .seed = {7}};
    ASSERT(tern_create(&e->t, &cfg, block, BLOCK) == 0 && tern_link_add(e->t, &link) == 1);
    ASSERT(tern_addr_add(e->t, 1, &z.us, z.how & 2 ? 64 : 24) == 0);
    tern_tick(e->t, z.now);
    ASSERT(tern_listen(e->t, &at, 4, &e->listener) == 0);
    if (cookies)
        ASSERT(tern_setopt(e->t, e->listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS) == 0);
}

/* What both have said: as many segments, and the same in them. Numbers count from what each began with. */
static void compare(bool exact)
{
    struct end *a = &z.end[0], *b = &z.end[1];
    for (int i = 0; z.loud && i < 2; i++)
        for (int k = 0; k < z.end[i].n; k++)
            fprintf(stderr, "  %c flags %02x seq %u ack %u wnd %u ts %d\n", 'a' + i, z.end[i].said[k].flags,
                    z.end[i].said[k].seq.v, z.end[i].said[k].ack.v, z.end[i].said[k].wnd,
                    z.end[i].said[k].opt.ts);
    ASSERT(a->n == b->n);
    for (int i = 0; i < a->n; i++) {
        struct segment *x = &a->said[i], *y = &b->said[i];
        ASSERT(x->flags == y->flags && seq_eq(x->ack, y->ack) && x->opt.ts == y->opt.ts);
        ASSERT(!exact || (seq_eq(x->seq, y->seq) && x->opt.ts_ecr == y->opt.ts_ecr));
        ASSERT(x->opt.sack_ok == y->opt.sack_ok && x->opt.wscale == y->opt.wscale &&
               x->opt.mss == y->opt.mss);
    }
}

/* --- TIME_WAIT -------------------------------------------------------------------------------------- */

/* Numbers of one end at which its steps begin. */
struct base {
    seq_t seq, ack;
};

static void both(const struct segment *s)
{
    tell(&z.end[0], s);
    tell(&z.end[1], s);
}

static struct base enter_time_wait(void)
{
    seq_t irs = seq(IRS), iss;
    for (int i = 0; i < 2; i++)
        make(&z.end[i], blocks[i], false);
    struct segment s = segment(F_SYN, irs, seq(0));
    both(&s);
    ASSERT(z.end[0].n == 1);
    iss = z.end[0].said[0].seq;
    s = segment(F_ACK, seq_add(irs, 1), seq_add(iss, 1));
    both(&s);
    for (int i = 0; i < 2; i++) {
        ASSERT(tern_accept(z.end[i].t, z.end[i].listener, &z.end[i].h) == 0);
        ASSERT(tern_shutdown(z.end[i].t, z.end[i].h) == 0);
        listen_to(&z.end[i]);
    }
    s = segment(F_ACK | F_FIN, seq_add(irs, 1), seq_add(iss, 2));
    both(&s);
    compare(true);
    ASSERT(tern_close(z.end[1].t, z.end[1].h) == 0); /* this one becomes small */
    return (struct base){seq_add(irs, 2), seq_add(iss, 2)};
}

static uint32_t near(uint8_t v) { return v < 128 ? (uint32_t)v - 64 : ((uint32_t)v - 192) * 1000u; }

static uint64_t limited(const struct end *e)
{
    tern_stats stats;
    tern_get_stats(e->t, &stats);
    return stats.challenge_limited;
}

static void wait_step(const uint8_t *p, struct base base)
{
    static const uint8_t flags[] = {F_ACK,         F_ACK | F_FIN, F_RST, F_SYN,
                                    F_SYN | F_ACK, F_FIN,         0,     F_RST | F_ACK};
    z.now += 1000000 + p[6] * 20000u;
    tern_tick(z.end[0].t, z.now);
    tern_tick(z.end[1].t, z.now);
    struct segment s = segment(flags[p[0] % 8], seq_add(base.seq, p[1] < 64 ? (uint32_t)-1 : near(p[1])),
                               seq_add(base.ack, p[2] < 64 ? 0 : near(p[2])));
    s.len = p[3] < 100 ? 0 : p[3] % 64u;
    s.wnd = (uint16_t)(p[4] * 257u);
    s.opt.ts_val += p[5] < 128 ? 0 : near(p[5]);
    s.opt.ts &= (p[7] & 3) != 3;
    uint64_t before = limited(&z.end[1]);
    both(&s);
    if (limited(&z.end[1]) == before)
        compare(true);
    else
        ASSERT(z.end[1].n == 0); /* it counts by turns of the time that is left, a control block by five
                                    seconds */
}

static void play_time_wait(const uint8_t *data, size_t size)
{
    struct base base = enter_time_wait();
    tern_info a, b;
    for (size_t at = 0, i = 0; at + STEP <= size && i < STEPS; at += STEP, i++) {
        uint64_t cursor = 0;
        bool waits = false;
        wait_step(data + at, base);
        while (tern_walk(z.end[1].t, &cursor, &b))
            waits |= b.state == TERN_TIME_WAIT;
        tern_live live[2];
        tern_get_live(z.end[0].t, &live[0]);
        tern_get_live(z.end[1].t, &live[1]);
        ASSERT(tern_get_info(z.end[0].t, z.end[0].h, &a) == 0 && live[0].halfopen == live[1].halfopen);
        if (live[0].halfopen > 0 || !waits || a.state != TERN_TIME_WAIT)
            return; /* over, or opened anew; the small one may last a little longer */
    }
}

/* --- half-open -------------------------------------------------------------------------------------- */

static void play_handshake(const uint8_t *data, size_t size)
{
    if (size < STEP || !z.ts)
        return; /* without timestamps a cookie has no room for options */
    make(&z.end[0], blocks[0], false);
    make(&z.end[1], blocks[1], true);
    struct segment s = segment(F_SYN, seq(IRS), seq(0));
    s.opt.mss = data[4] & 1 ? 1460 : 536;
    s.opt.wscale = data[5] < 200 ? data[5] % 15 : WSCALE_NONE;
    s.flags |= z.how & 8 ? F_ECE | F_CWR : 0;
    both(&s);
    compare(false);
    ASSERT(z.end[0].n == 1);
    uint32_t off = data[2] < 200 ? 0 : near(data[2]);
    for (int i = 0; i < 2; i++) {
        struct end *e = &z.end[i];
        s = segment(F_ACK, seq(IRS + 1), seq_add(e->said[0].seq, 1 + off));
        s.opt.ts_ecr = e->said[0].opt.ts_val;
        s.len = data[3] % 64;
        s.wnd = (uint16_t)(data[1] * 257u);
        z.now += i == 0 ? 1000 : 0;
        tell(e, &s);
    }
    if (off == 0)
        compare(false); /* a wrong ACK draws a RST; to who sends cookies it may be of anything: silence */
    tern_info a, b;
    int x = tern_accept(z.end[0].t, z.end[0].listener, &z.end[0].h);
    int y = tern_accept(z.end[1].t, z.end[1].listener, &z.end[1].h);
    ASSERT(x == y && (x == 0) == (off == 0));
    if (x != 0)
        return;
    ASSERT(tern_get_info(z.end[0].t, z.end[0].h, &a) == 0 && tern_get_info(z.end[1].t, z.end[1].h, &b) == 0);
    ASSERT(a.state == b.state && a.recv_queue == b.recv_queue && a.mss == b.mss);
    ASSERT(a.snd_wnd == b.snd_wnd && a.snd_wscale == b.snd_wscale && a.rcv_wscale == b.rcv_wscale);
    ASSERT(a.timestamps == b.timestamps && a.sack == b.sack && a.ecn == b.ecn && a.wscale == b.wscale);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    memset(&z, 0, sizeof z);
    z.now = 5000000;
    z.loud = getenv("FUZZ_LOUD") != NULL;
    z.how = data[1];
    z.ts = !(data[1] & 1);
    z.us = data[1] & 2 ? (tern_ip){{0x20, 1, 0x0d, 0xb8, [15] = 1}} : tern_ip4(192, 0, 2, 1);
    z.peer = z.us;
    z.peer.b[15] = 2;
    if (data[0] & 1)
        play_handshake(data + 2, size - 2);
    else
        play_time_wait(data + 2, size - 2);
    return 0;
}
