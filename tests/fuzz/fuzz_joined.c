/* Differential: segments that a link has joined (GRO) against the same segments one by one. Two copies of one
 * stack receive the same: the first as super-segments, the second as what they stand for, in one batch. Both
 * deliver the same bytes, stand in the same state, and say the same to the peer.
 *
 *   0   the connection: bit 0 IPv6, 1 no timestamps, 2 no SACK, 3 a small window, 4 no delayed ACKs
 *   then steps of 5 bytes:   what, offset, length of a segment, how many, flags
 */
#include "tcp/tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <tern/snapshot.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 4 << 20, VARIANTS = 32, STEP = 5, STEPS = 200, MOST = 65000 };
#define IRS 0xffffff00u /* so that its stream passes zero */

/* One stack with its connection, and what it has said last. */
struct end {
    tern *t;
    tern_handle h;
    uint8_t *block;
    struct segment said; /* the last segment that it sent */
    uint32_t n_said;     /* segments since it was last asked */
};

static _Alignas(16) uint8_t blocks[2][BLOCK];

static struct {
    struct end a, b; /* joined, single */
    tern_ip us, peer;
    uint64_t now;
    uint32_t high; /* the furthest that the peer has sent */
    uint32_t next; /* of the peer: where its stream has come to, from IRS + 1 on */
    seq_t nxt;     /* what the peer expects of us */
    bool ts, loud;
    bool quick; /* each packet is acknowledged at once; else a joined one counts once for the first quick
                   ones */
    bool closed;  /* the peer has sent FIN, and what follows it makes no sense */
    bool limited; /* something was not acceptable: how often that is answered is limited, by packets */
    uint32_t ts_val;
    uint8_t shift; /* of our window */
} z;

static uint8_t byte_at(uint32_t pos) { return (uint8_t)(pos * 7 + (pos >> 8) * 3); }

/* --- the peer's packets ----------------------------------------------------------------------------- */

/* Build a segment of its stream; options and numbers that it would have, no checksum: the link vouches.
 * Returns the packet's length. */
static uint32_t build(uint8_t *p, uint32_t pos, uint32_t len, uint8_t flags, uint8_t tos)
{
    struct segment s = {.src = z.peer, .dst = z.us, .src_port = 1000, .dst_port = 80, .flags = flags};
    s.seq = seq(IRS + (flags & F_SYN ? 0 : 1 + pos));
    s.ack = z.nxt;
    s.wnd = 65535;
    s.opt.wscale = flags & F_SYN ? 7 : WSCALE_NONE;
    s.opt.mss = flags & F_SYN ? 1460 : 0;
    s.opt.sack_ok = (flags & F_SYN) != 0;
    s.opt.ts = z.ts;
    s.opt.ts_val = z.ts_val;
    s.opt.ts_ecr = z.b.said.opt.ts_val;
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s.opt, s.flags));
    uint16_t at = ip_emit(p, &z.peer, &z.us, PROTO_TCP, 64, tos, tcp_len + len, 7);
    tcp_emit(p + at, &s);
    for (uint32_t i = 0; i < len; i++)
        p[at + tcp_len + i] = byte_at(pos + i);
    return at + tcp_len + len;
}

/* What a stack sends: the last of it is compared. */
static void take_output(struct end *e)
{
    static uint8_t flat[70000];
    tern_tx_packet pkts[8];
    struct ip_hdr ip;
    for (int n; (n = tern_tx(e->t, z.now, pkts, 8)) > 0; e->n_said += (uint32_t)n)
        for (int i = 0; i < n; i++) {
            uint32_t len = tern_tx_flatten(&pkts[i], flat);
            ASSERT(ip_parse(flat, len, &ip) == TERN_CAUSE_NONE && tcp_parse(&ip, true, &e->said) == 0);
            e->said.data = NULL;
        }
}

static void receive(struct end *e, tern_rx_packet *p, int n)
{
    e->n_said = 0;
    tern_rx(e->t, z.now, p, n);
    for (int i = 0; z.loud && i < n; i++)
        if (p[i].cause != 0)
            fprintf(stderr, "  %d: %s\n", i, tern_cause_name(p[i].cause));
    tcp_check_all(e->t);
    take_output(e);
}

static void compare(bool all_told)
{
    tern_info a, b;
    const struct segment *x = &z.a.said, *y = &z.b.said;
    ASSERT(tern_get_info(z.a.t, z.a.h, &a) == 0 && tern_get_info(z.b.t, z.b.h, &b) == 0);
    if (z.loud)
        fprintf(stderr, "  said %u and %u, ack %u and %u, wnd %u and %u, unread %llu and %llu\n", z.a.n_said,
                z.b.n_said, x->ack.v - IRS, y->ack.v - IRS, x->wnd, y->wnd, (unsigned long long)a.recv_queue,
                (unsigned long long)b.recv_queue);
    ASSERT(a.state == b.state && a.reason == b.reason && a.recv_queue == b.recv_queue);
    if (z.limited || !all_told)
        return;
    ASSERT(!z.quick || (z.a.n_said == 0) == (z.b.n_said == 0));
    ASSERT(seq_eq(x->ack, y->ack) && x->flags == y->flags && x->opt.n_sack == y->opt.n_sack);
    for (int i = 0; i < x->opt.n_sack; i++)
        ASSERT(seq_eq(x->opt.sack[i].left, y->opt.sack[i].left) &&
               seq_eq(x->opt.sack[i].right, y->opt.sack[i].right));
}

/* --- the beginning ---------------------------------------------------------------------------------- */

static void exchange(uint8_t flags)
{
    uint8_t p[200];
    tern_rx_packet rx = {.data = p, .link = 1, .flags = TERN_RX_CSUM_OK};
    rx.len = build(p, 0, 0, flags, 0);
    receive(&z.b, &rx, 1);
    z.nxt = seq_add(z.b.said.seq, 1);
}

/* An open connection, made once for each variant, as an image. */
static const uint8_t *opened(uint32_t variant, size_t *len, tern_handle *h)
{
    static struct {
        uint8_t *image;
        size_t len;
        tern_handle h;
        struct segment said;
    } made[VARIANTS];
    if (made[variant].image == NULL) {
        tern_handle listener;
        tern_endpoint at = {.port = 80};
        tern_link_info link = {.mtu = 1500};
        tern_config cfg = {.no_timestamps = variant >> 1 & 1, .no_sack = variant >> 2 & 1};
        cfg.recv_buffer = variant & 8 ? 4000 : 100000;
        ASSERT(tern_create(&z.b.t, &cfg, blocks[1], BLOCK) == 0 && tern_link_add(z.b.t, &link) == 1);
        ASSERT(tern_addr_add(z.b.t, 1, &z.us, z.us.b[0] ? 64 : 24) == 0);
        ASSERT(tern_listen(z.b.t, &at, 4, &listener) == 0);
        exchange(F_SYN);
        exchange(F_ACK);
        ASSERT(tern_accept(z.b.t, listener, &made[variant].h) == 0);
        ASSERT(tern_setopt(z.b.t, made[variant].h, TERN_OPT_QUICKACK, variant >> 4 & 1) == 0);
        made[variant].said = z.b.said;
        made[variant].len = tern_snapshot_size(z.b.t);
        made[variant].image = malloc(made[variant].len);
        ASSERT(tern_snapshot(z.b.t, made[variant].image, made[variant].len) == 0);
    }
    z.a.said = z.b.said = made[variant].said;
    *len = made[variant].len;
    *h = made[variant].h;
    return made[variant].image;
}

static void begin(uint32_t variant)
{
    size_t len;
    memset(&z, 0, sizeof z);
    z.now = 1000000;
    z.loud = getenv("FUZZ_LOUD") != NULL;
    z.ts = !(variant & 2), z.quick = variant & 16;
    z.us = variant & 1 ? (tern_ip){{0x20, 1, 0x0d, 0xb8, [15] = 1}} : tern_ip4(192, 0, 2, 1);
    z.peer = z.us;
    z.peer.b[15] = 2;
    const uint8_t *image = opened(variant, &len, &z.a.h);
    z.b.h = z.a.h;
    z.nxt = z.b.said.seq;
    ASSERT(tern_restore(&z.a.t, image, len, blocks[0], BLOCK, NULL, 0) == 0);
    ASSERT(tern_restore(&z.b.t, image, len, blocks[1], BLOCK, NULL, 0) == 0);
    z.nxt = seq_add(z.b.said.seq, 1);
    z.shift = z.b.said.opt.wscale;
}

/* --- steps ------------------------------------------------------------------------------------------ */

static uint8_t single[64][2000];

/* A run of equal segments, the last one perhaps shorter. FIN and PSH are the last one's. */
static void op_segments(uint32_t pos, uint32_t each, uint32_t total, uint8_t last_flags, uint8_t tos)
{
    static uint8_t joined[MOST + 100];
    tern_rx_packet many[64],
        one = {.data = joined, .link = 1, .gso_size = (uint16_t)each, .flags = TERN_RX_CSUM_OK};
    int n = 0;
    uint8_t flags = F_ACK | last_flags;
    if (total > 64 * each)
        total = 64 * each;
    for (uint32_t at = 0; at < total || n == 0; at += each, n++) {
        uint32_t part = min_u32(each, total - at);
        uint8_t f = at + part == total ? flags : F_ACK;
        many[n] = (tern_rx_packet){.data = single[n], .link = 1, .flags = TERN_RX_CSUM_OK};
        many[n].len = build(single[n], pos + at, part, f, tos);
    }
    one.len = build(joined, pos, total, flags, tos);
    if (z.loud)
        fprintf(stderr, "%u segments of %u from %u to %u, flags %02x\n", n, each, pos, pos + total, flags);
    if (n == 1)
        one.gso_size = 0;
    receive(&z.a, &one, 1);
    receive(&z.b, many, n);
    compare(z.quick);
}

static void op_read(uint32_t most)
{
    static uint8_t x[65536], y[65536];
    long a = tern_recv(z.a.t, z.a.h, x, most), b = tern_recv(z.b.t, z.b.h, y, most);
    ASSERT(a == b && (a <= 0 || memcmp(x, y, (size_t)a) == 0));
    if (z.loud)
        fprintf(stderr, "read %ld\n", a);
    z.a.n_said = z.b.n_said = 0;
    take_output(&z.a);
    take_output(&z.b);
    compare(z.quick);
}

/* After this nothing is owed any more. */
static void op_time(uint32_t us)
{
    us = max_u32(us, 60000);
    z.now += us;
    z.ts_val = (uint32_t)(z.now / 1000);
    z.a.n_said = z.b.n_said = 0;
    tern_tick(z.a.t, z.now);
    tern_tick(z.b.t, z.now);
    take_output(&z.a);
    take_output(&z.b);
    compare(true);
}

/* How many bytes behind `pos` both windows take: acknowledged at other moments, they need not be equal. */
static uint32_t window_behind(uint32_t pos)
{
    uint32_t a = z.a.said.ack.v + ((uint32_t)z.a.said.wnd << z.shift) - (IRS + 1);
    uint32_t b = z.b.said.ack.v + ((uint32_t)z.b.said.wnd << z.shift) - (IRS + 1);
    uint32_t edge = (int32_t)(a - b) < 0 ? a : b;
    return (int32_t)(edge - pos) > 0 ? edge - pos : 0;
}

static void step(const uint8_t *p)
{
    uint32_t what = p[0] % 8, each = p[2] < 128 ? 1448 : 1 + p[2] * 5u, total = each * (1 + p[3] % 40);
    uint8_t flags = (uint8_t)((p[4] & 1 ? F_PSH : 0) | ((p[4] & 0x1c) == 0x1c ? F_FIN : 0));
    total -= p[4] & 2 ? p[1] % each : 0; /* the last one is shorter */
    if (total > MOST)
        total = MOST;
    uint8_t tos = p[4] >> 6;
    if (what == 6) {
        op_read(p[1] * 256u + p[2]);
    } else if (what == 7) {
        op_time(p[1] * 1000u);
    } else {
        uint32_t pos = what < 4    ? z.next
                       : what == 4 ? z.next + p[1] * 20u
                                   : z.next - min_u32(z.next, p[1] * 20u);
        z.limited |= what == 5 || z.closed;
        if (window_behind(pos) < total) { /* no peer sends beyond it */
            total = window_behind(pos);
            flags &= (uint8_t)~F_FIN;
        }
        if (total == 0)
            return;
        if (pos + total < z.high)
            flags &= (uint8_t)~F_FIN; /* its end is behind all that it has sent */
        z.high = max_u32(z.high, pos + total);
        op_segments(pos, each, total, flags, tos);
        z.closed |= (flags & F_FIN) != 0;
        if (pos <= z.next && pos + total > z.next)
            z.next = pos + total;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    begin(data[0] % VARIANTS);
    for (size_t i = 0, at = 1; i < STEPS && at + STEP <= size; i++, at += STEP)
        step(data + at);
    return 0;
}
