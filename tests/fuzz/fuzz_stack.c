/* Two whole stacks and an attacker between them. The input is a program: calls, packets that are carried,
 * lost, doubled, swapped or changed, segments forged from the numbers of live records, ICMP about them,
 * fragments, jumps of the clock, allocations that fail.
 *
 *   A (10.0.0.1, 2001:db8::1) ◀── wire[1] ── wire[0] ──▶ B (10.0.0.2, 2001:db8::2)
 *                                  ▲ forged packets, also of strangers
 *
 * After each step: every invariant of check.c. Of every packet that leaves: it can be parsed, it is not
 * larger than the link bears, its window has not moved back. As long as nothing was forged, the bytes that
 * are read are those that were written. At the end everything is closed, all timers run out, and nothing is
 * left alive.
 *
 * FUZZ_STACK_TRACE=1 in the environment prints what is done.
 */
#include "fuzz/stack_listen.h"
#include "fuzz/stack_sides.h"

#include <tern/snapshot.h>

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- packets ------------------------------------------------------------------------------------ */

/* Give one packet to a stack, in a block of exactly its size. */
static void give(struct side *to, const uint8_t *bytes, uint32_t len, uint16_t gso_size, uint8_t flags)
{
    uint8_t *exact = malloc(len ? len : 1);
    memcpy(exact, bytes, len);
    tern_rx_packet p = {.data = exact, .len = len, .gso_size = gso_size, .link = 1, .flags = flags};
    lender_place(to->t, &to->lender, &p);
    tern_rx(to->t, z.now, &p, 1);
    lender_seen(&to->lender, &p);
    SAY("  rx -> verdict %u %s\n", p.verdict, tern_cause_name(p.cause));
    free(exact);
}

/* What must hold of a packet that a stack sends. */
static void check_sent(const struct side *s, const tern_tx_packet *pkt, const uint8_t *bytes)
{
    struct ip_hdr ip;
    struct segment seg;
    uint32_t mtu = s->t->w->ip.links[pkt->link].mtu;
    ASSERT(ip_link_is_up(&s->t->w->ip, pkt->link));
    ASSERT(pkt->len <= 65575 && pkt->n_slices <= TERN_TX_SLICES && pkt->hdr_len <= TERN_TX_HDR);
    ASSERT(ip_parse(bytes, pkt->len, &ip) == TERN_CAUSE_NONE && ip.total_len == pkt->len);
    if (ip.proto != PROTO_TCP)
        return;
    ASSERT(tcp_parse(&ip, !(pkt->flags & TERN_TX_CSUM), &seg) == TERN_CAUSE_NONE);
    if (pkt->gso_size == 0) {
        ASSERT(pkt->len <= mtu);
        return;
    }
    ASSERT(seg.len > pkt->gso_size && seg.len <= s->gso_max && !(seg.flags & (F_SYN | F_RST)));
    ASSERT(pkt->len - seg.len + pkt->gso_size <= mtu);
}

static int transmit(struct side *s, int max)
{
    static uint8_t flat[66000];
    tern_tx_packet pkts[8];
    int n = tern_tx(s->t, z.now, pkts, max < 8 ? max : 8);
    for (int i = 0; i < n; i++) {
        ASSERT(tern_tx_flatten(&pkts[i], flat) == pkts[i].len);
        check_sent(s, &pkts[i], flat);
        fix_checksums(flat, pkts[i].len);
        SAY("  tx %u bytes gso %u\n", pkts[i].len, pkts[i].gso_size);
        wire_put(s, flat, pkts[i].len, pkts[i].gso_size);
    }
    return n;
}

static void deliver(struct side *s, int n)
{
    tern_rx_packet rx[8];
    struct packet p[8];
    int k = 0;
    for (; k < n && k < 8 && s->n_wire > 0; k++) {
        p[k] = wire_take(s, 0);
        rx[k] = (tern_rx_packet){.data = p[k].bytes, .len = p[k].len, .gso_size = p[k].gso_size, .link = 1};
        lender_place(other(s)->t, &other(s)->lender, &rx[k]);
    }
    if (k > 0)
        tern_rx(other(s)->t, z.now, rx, k);
    for (int i = 0; i < k; i++) {
        lender_seen(&other(s)->lender, &rx[i]);
        free(p[i].bytes);
    }
}

/* --- forging ------------------------------------------------------------------------------------ */

/* One of the live records of a pool, NULL = there is none. */
static void *a_record(struct side *s, const struct pool *pool, uint32_t n)
{
    void *found = NULL;
    ref_t r = 0;
    for (n %= 6; pool_next(s->t->a, pool, &r); n--) {
        found = at(s->t->a, r);
        if (n == 0)
            break;
    }
    return found;
}

static struct tcb *a_tcb(struct side *s) { return a_record(s, &s->t->w->tcbs, u8()); }

static void send_forged(struct side *to, const struct segment *s)
{
    static uint8_t p[PACKET + 128];
    if (tern_ip_is4(&s->src) != tern_ip_is4(&s->dst))
        return;
    uint32_t len = build(p, s);
    SAY("  forged flags %02x seq %u ack %u len %u win %u sack %u\n", s->flags, s->seq.v, s->ack.v, s->len,
        s->wnd, s->opt.n_sack);
    give(to, p, len, (uint16_t)(s->len > 1 && (s->wnd & 7) == 7 ? 1 + s->ack.v % 2000 : 0), 0);
}

static void op_forge(void)
{
    struct side *s = a_side();
    struct tcb *c = a_tcb(s);
    if (c == NULL)
        return;
    z.forged = true;
    struct segment g = {.flags = pick_flags()};
    towards(&g, s->t, c);
    g.len = pick_len();
    g.seq = pick_seq(c, g.len);
    g.ack = pick_ack(c);
    g.wnd = pick_wnd();
    uint32_t v = u8();
    g.tos = v & 3;
    g.up = (uint16_t)(g.flags & F_URG ? u16() : 0);
    forge_options(c, (uint32_t)(z.now / 1000), &g);
    g.data = payload(g.seq.v - c->rcv.irs.v - 1, g.len, (v & 0xf0) == 0xf0);
    send_forged(s, &g);
}

static tern_ip a_stranger(const struct side *s, bool v6)
{
    tern_ip ip = v6 ? s->ip6 : s->ip4;
    static const uint8_t hosts[] = {7, 8, 9, 0, 1, 2, 255, 99};
    ip.b[15] = hosts[u8() % ARRAY_LEN(hosts)];
    return ip;
}

/* A SYN (or something else) of a stranger to a port. */
static void op_stranger(void)
{
    struct side *s = a_side();
    bool v6 = u8() & 1;
    struct segment g = {.src = a_stranger(s, v6), .dst = v6 ? s->ip6 : s->ip4};
    z.forged = true;
    g.src_port = (uint16_t)(1000 + u8() % 4), g.dst_port = (uint16_t)(80 + u8() % 3);
    g.flags = u8() < 200 ? F_SYN : pick_flags();
    g.seq = seq(u8() & 1 ? 0xffffff00u + u8() : u32());
    g.ack = seq(u32());
    g.wnd = pick_wnd();
    g.len = u8() < 200 ? 0 : pick_len();
    g.data = payload(0, g.len, false);
    forge_options(NULL, 0, &g);
    g.opt.ts_val = (uint32_t)(z.now / 1000);
    send_forged(s, &g);
}

/* The answer to a SYN+ACK, right or nearly. */
static void op_third(void)
{
    struct side *s = a_side();
    struct world *w = s->t->w;
    uint32_t n = u8();
    struct halfopen *h = a_record(s, n & 128 ? &w->halfopens6 : &w->halfopens4, n);
    if (h == NULL)
        return;
    uint32_t v = u8();
    struct segment g = {.flags = v < 200 ? F_ACK : pick_flags()};
    z.forged = true;
    towards(&g, s->t, h);
    g.seq = seq_add(h->irs, 1 + (v & 1 ? delta() : 0));
    g.ack = seq_add(h->iss, 1 + ((v & 6) == 6 ? delta() : 0));
    g.len = v & 8 ? pick_len() : 0;
    g.wnd = pick_wnd();
    g.opt.wscale = WSCALE_NONE;
    g.opt.ts = h->ts && (v & 0x70) != 0x70;
    g.opt.ts_val = h->ts_recent + (v & 2 ? delta() : 1);
    g.data = payload(0, g.len, false);
    send_forged(s, &g);
}

/* To a record in TIME_WAIT. */
static void op_late(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    const struct fifo *f = v & 1 ? &s->t->w->wait4.fifo : &s->t->w->wait6.fifo;
    if (f->live == 0)
        return;
    ref_t r = 0;
    for (uint32_t n = (v >> 1) % f->live; fifo_next(s->t->a, f, &r) && n > 0; n--)
        continue;
    const struct timewait *w = at_const(s->t->a, r);
    struct segment g = {.flags = pick_flags()};
    z.forged = true;
    towards(&g, s->t, w);
    g.len = pick_len();
    g.seq = seq_add(w->rcv_nxt, delta());
    g.ack = seq_add(w->snd_nxt, u8() & 1 ? delta() : 0);
    g.wnd = pick_wnd();
    g.opt.wscale = WSCALE_NONE;
    g.opt.ts = w->ts;
    g.opt.ts_val = w->ts_recent + delta();
    g.data = payload(0, g.len, false);
    send_forged(s, &g);
}

/* ICMP about a segment of a connection. */
static void op_icmp(void)
{
    struct side *s = a_side();
    struct tcb *c = a_tcb(s);
    uint8_t p[256], body[64];
    if (c == NULL)
        return;
    bool v6 = !tern_ip_is4(&c->h.local);
    uint16_t n = ip_emit(body, &c->h.local, &c->h.remote, PROTO_TCP, 64, 0, 100, 1);
    put16(body + n, c->h.local_port);
    put16(body + n + 2, c->h.remote_port);
    put32(body + n + 4, seq_add(c->snd.una, u8() & 1 ? delta() : 0).v);
    uint8_t type = (uint8_t)(u8() & 3 ? (v6 ? ICMP6_TOO_BIG : ICMP_UNREACH) : u8() % 13);
    uint8_t code = (uint8_t)(u8() & 1 ? 4 : u8() % 16);
    tern_ip src = a_stranger(s, v6);
    uint32_t body_len = (uint32_t)n + 8 - (u8() < 16 ? u8() % 8 : 0);
    uint16_t at = ip_emit(p, &src, &c->h.local, v6 ? PROTO_ICMP6 : PROTO_ICMP, 64, 0, 8 + body_len, 1);
    memcpy(p + at + 8, body, body_len);
    icmp_emit(p + at, v6 ? 6 : 4, type, v6 ? 0 : code, u8() & 1 ? u16() % 1600 : u32(), p + at + 8, body_len,
              &src, &c->h.local);
    SAY("  icmp type %u code %u\n", type, code);
    give(s, p, at + 8 + body_len, 0, 0);
}

static void op_echo(void)
{
    struct side *s = a_side();
    static uint8_t p[PACKET + 100];
    tern_ip src = a_stranger(s, false);
    uint32_t n = pick_len();
    uint16_t at = ip_emit(p, &src, &s->ip4, PROTO_ICMP, 64, 0, 8 + n, 1);
    memcpy(p + at + 8, payload(0, n, false), n);
    icmp_emit(p + at, 4, ICMP_ECHO, 0, 1, p + at + 8, n, &src, &s->ip4);
    give(s, p, at + 8 + n, 0, 0);
}

/* A packet from the wire goes in pieces of IPv4, in any order. */
static void op_fragments(void)
{
    struct side *s = a_side();
    if (s->n_wire == 0)
        return;
    struct packet whole = wire_take(s, (int)(u8() % (uint32_t)s->n_wire));
    uint32_t unit = 8 + u8() % 16 * 64, at = 0, order = u8();
    if (whole.bytes[0] >> 4 == 4 && whole.len > 20 && whole.len <= PACKET) {
        for (uint32_t i = 0; 20 + at < whole.len; i++, at += unit) {
            uint8_t p[PACKET];
            uint32_t from = (order & 1) ? (whole.len - 21) / unit * unit - at : at;
            uint32_t n = min_u32(unit, whole.len - 20 - from);
            memcpy(p, whole.bytes, 20);
            memcpy(p + 20, whole.bytes + 20 + from, n);
            put16(p + 2, (uint16_t)(20 + n));
            put16(p + 6, (uint16_t)(from / 8 | (from + n < whole.len - 20 ? 0x2000u : 0)));
            fix_checksums(p, 20);
            if ((order >> (1 + i % 7) & 1) == 0)
                give(other(s), p, 20 + n, 0, 0);
        }
    }
    free(whole.bytes);
}

static void op_raw(void)
{
    uint8_t p[128];
    struct side *s = a_side();
    uint32_t n = 1 + u8() % 127;
    for (uint32_t i = 0; i < n; i++)
        p[i] = (uint8_t)u8();
    if (u8() & 1) {
        p[0] = 0x45;
        put16(p + 2, (uint16_t)n);
        memcpy(p + 16, s->ip4.b + 12, 4);
        p[9] = u8() & 1 ? PROTO_TCP : p[9];
        if (n >= 20)
            fix_checksums(p, n);
    }
    z.forged = true;
    give(s, p, n, (uint16_t)(u8() & 1 ? u16() : 0), (uint8_t)(u8() & 1));
}

/* A packet on the wire is changed. */
static void op_change(void)
{
    struct side *s = a_side();
    if (s->n_wire == 0)
        return;
    struct packet *p = &s->wire[u8() % (uint32_t)s->n_wire];
    uint32_t where = u8() % p->len;
    p->bytes[where] ^= (uint8_t)(1u << (u8() & 7));
    if (u8() & 1) {
        z.forged = true;
        fix_checksums(p->bytes, p->len);
    }
}

static void op_wire(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    if (s->n_wire == 0)
        return;
    struct packet p = wire_take(s, (int)(u8() % (uint32_t)s->n_wire));
    if (v % 3 == 0) { /* lost */
        free(p.bytes);
        return;
    }
    if (v % 3 == 1) /* twice */
        wire_put(s, p.bytes, p.len, p.gso_size);
    wire_put(s, p.bytes, p.len, p.gso_size); /* overtaken */
    free(p.bytes);
}

/* --- calls -------------------------------------------------------------------------------------- */

static void op_connect(void)
{
    struct side *s = a_side();
    struct held *x = free_held(s);
    uint32_t v = u8();
    bool v6 = v & 1;
    tern_endpoint to = {.ip = v6 ? other(s)->ip6 : other(s)->ip4, .port = (uint16_t)(80 + (v >> 1) % 3)};
    if ((v & 0xe0) == 0xe0)
        to.ip = a_stranger(s, v6);
    tern_endpoint from = {.port = (uint16_t)((v & 0x18) == 0x18 ? 80 + v % 3 : 0)};
    if (x == NULL)
        return;
    *x = (struct held){0};
    int e = tern_connect(s->t, &from, &to, &x->h);
    SAY("  connect %d\n", e);
    if (e < 0)
        x->h.v = 0;
}

static void op_send(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    static uint8_t buf[8192];
    uint32_t v = u8(), n = v < 128 ? v : (v - 127) * 64;
    for (uint32_t i = 0; i < n; i++)
        buf[i] = byte_at(x->wrote + i);
    uint32_t f = u8();
    long got = tern_send(s->t, x->h, buf, n, f > 224 ? f & 3 : 0);
    ASSERT(got <= (long)n);
    x->wrote += got > 0 ? (uint64_t)got : 0;
    SAY("  send %u -> %ld\n", n, got);
}

/* The same from where it lies. */
static void op_lend(void)
{
    struct side *s = a_side();
    struct lender *l = &s->lender;
    struct held *x = a_held(s);
    uint32_t v = u8(), n = 1 + (v < 64 ? v : (v - 63) * 15);
    int slot = slot_take(l->tx_out, TX_SLOTS);
    if (slot < 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        l->tx[slot * TX_SLOT + (int)i] = byte_at(x->wrote + i);
    uint64_t at = (uint64_t)slot * TX_SLOT;
    long got = tern_lend(s->t, x->h, l->tx_region, at, n, (uint64_t)slot, v & 1 ? TERN_MORE : 0);
    ASSERT(got != 0 && got <= (long)n);
    if (got < 0)
        slot_back(l->tx, TX_SLOT, l->tx_out, (uint64_t)slot);
    x->wrote += got > 0 ? (uint64_t)got : 0;
    SAY("  lend %u -> %ld\n", n, got);
}

/* Received bytes go on from connection to connection. */
static void op_pass(void)
{
    struct side *s = a_side();
    struct held *from = a_held(s), *to = a_held(s);
    uint32_t v = u8(), n = 1 + u8() * 40;
    long got;
    if (v % 4 == 0) {
        z.forged = true;
        got = tern_move(s->t, from->h, to->h, n, 0);
    } else if (s->chunk.v == 0) {
        got = tern_take(s->t, from->h, n, &s->chunk);
        from->read += got > 0 ? (uint64_t)got : 0;
    } else if (v % 4 == 1) {
        got = tern_drop(s->t, s->chunk);
        ASSERT(got == 0);
        s->chunk.v = 0;
    } else {
        z.forged = true;
        got = tern_send_chunk(s->t, to->h, s->chunk, v % 16, n, 0);
    }
    SAY("  pass %u %u -> %ld\n", v, n, got);
}

/* The link, or the program, wants its memory. */
static void op_compact(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    int region = v & 1 ? s->lender.rx_region : s->lender.tx_region;
    SAY("  compact %d\n", tern_region_compact(s->t, region, v * 64));
}

static void was_read(struct held *x, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ASSERT(z.forged || p[i] == byte_at(x->read + i));
    x->read += n;
}

static void op_recv(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    static uint8_t buf[8192];
    uint32_t n = u8() * 32;
    long got = tern_recv(s->t, x->h, buf, n);
    ASSERT(got <= (long)n);
    if (got > 0)
        was_read(x, buf, (size_t)got);
    SAY("  recv %u -> %ld\n", n, got);
}

static void op_peek(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    tern_slice slices[4];
    int n = tern_peek(s->t, x->h, slices, 1 + (int)(u8() & 3));
    uint32_t part = u8(), used = 0;
    for (int i = 0; i < n; i++) {
        uint32_t k = slices[i].len * part / 255;
        if (k == 0)
            break;
        was_read(x, slices[i].data, k);
        used += k;
        if (k < slices[i].len)
            break;
    }
    if (n >= 0)
        ASSERT(tern_consume(s->t, x->h, used) == 0);
}

static void op_end(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    uint32_t v = u8();
    if (v % 4 < 2) {
        tern_shutdown(s->t, x->h);
        return;
    }
    int e = v % 4 == 2 ? tern_close(s->t, x->h) : tern_abort(s->t, x->h);
    ASSERT(e == 0 || x->h.v == 0);
    ASSERT(tern_close(s->t, x->h) == -TERN_EBADF);
    *x = (struct held){0};
}

static void op_option(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    uint32_t opt = u8() % (TERN_OPT_COOKIES + 2), got, v = u8();
    uint32_t value = v < 128 ? v : v < 192 ? u16() : u32();
    if (opt >= TERN_OPT_KEEPIDLE_MS && opt <= TERN_OPT_USER_TIMEOUT_MS)
        value = 500 + value % (1u << 20); /* the end of a run waits for it, and goes through all of it */
    int e = tern_setopt(s->t, x->h, (enum tern_option)opt, value);
    SAY("  setopt %u %u -> %d\n", opt, value, e);
    if (e == 0)
        ASSERT(tern_getopt(s->t, x->h, (enum tern_option)opt, &got) == 0 && got == value);
}

/* Any number as a handle: refused, or one that is held. */
static void op_handle(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    uint8_t buf[4] = {0};
    tern_slice slice;
    tern_info info;
    uint32_t value;
    uint32_t turned = u32();
    tern_handle h = {x->h.v ^ (uint64_t)turned << (u8() & 32)};
    for (int i = 0; i < HANDLES; i++)
        if (h.v == s->held[i].h.v)
            return;
    ASSERT(tern_send(s->t, h, buf, 1, 0) == -TERN_EBADF && tern_recv(s->t, h, buf, 1) == -TERN_EBADF);
    ASSERT(tern_peek(s->t, h, &slice, 1) == -TERN_EBADF && tern_consume(s->t, h, 0) == -TERN_EBADF);
    ASSERT(tern_shutdown(s->t, h) == -TERN_EBADF && tern_close(s->t, h) == -TERN_EBADF);
    ASSERT(tern_abort(s->t, h) == -TERN_EBADF && tern_get_info(s->t, h, &info) == -TERN_EBADF);
    ASSERT(tern_setopt(s->t, h, TERN_OPT_TTL, 1) == -TERN_EBADF && tern_accept(s->t, h, &h) == -TERN_EBADF);
    ASSERT(tern_getopt(s->t, h, TERN_OPT_TTL, &value) == -TERN_EBADF &&
           tern_set_data(s->t, h, 1) == -TERN_EBADF);
}

static void op_look(void)
{
    struct side *s = a_side();
    tern_event events[3];
    tern_info info;
    int n = tern_events(s->t, events, (int)(u8() & 3));
    for (int i = 0; i < n; i++)
        ASSERT(events[i].handle.v == 0 ? events[i].bits == TERN_RETURNED
                                       : tern_get_info(s->t, events[i].handle, &info) == 0);
    for (uint32_t i = u8() & 7; i > 0; i--) {
        if (!tern_walk(s->t, &s->cursor, &info))
            s->cursor = 0;
        else
            ASSERT(info.state < TERN_STATES);
    }
}

static void op_time(void)
{
    static const uint64_t jumps[] = {1000, 40000, 200000, 1000000, 5000000, 61000000, 400000000, 86400000000};
    uint32_t v = u8();
    uint64_t next = min_u64(tern_next_deadline(z.side[0].t), tern_next_deadline(z.side[1].t));
    if (v < 128 && next != UINT64_MAX && next > z.now)
        z.now = next;
    else if (v >= 128)
        z.now += jumps[v & 7] + (v & 8 ? u8() : 0);
    tern_tick(z.side[0].t, z.now);
    tern_tick(z.side[1].t, z.now);
}

/* All goes its way for a while. */
static void op_pump(void)
{
    for (uint32_t rounds = 1 + u8() % 8; rounds > 0; rounds--)
        for (int i = 0; i < 2; i++) {
            while (z.side[i].n_wire < WIRE - 8 && transmit(&z.side[i], 8) > 0)
                ;
            while (z.side[i].n_wire > 0)
                deliver(&z.side[i], 8);
        }
}

static void op_transmit(void)
{
    struct side *s = a_side();
    transmit(s, (int)(u8() & 7));
}

static void op_deliver(void)
{
    struct side *s = a_side();
    deliver(s, (int)(u8() & 7));
}

static void op_fail(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    s->t->a->fail_after = v % 12;
    s->t->a->fail_more = v >> 6 == 3 ? v & 31 : 0;
}

/* An address goes: with it TIME_WAIT, which kept old packets from new connections. */
static void remove_address(struct side *s, const tern_ip *ip)
{
    int e = tern_addr_remove(s->t, u8() & 1, ip);
    ASSERT(e == 0 || e == -TERN_ENOENT);
    z.forged = true;
}

static void set_mtu(struct side *s)
{
    static const uint16_t mtus[] = {576, 1280, 1400, 1500, 9000};
    tern_link_info info = {.mtu = mtus[u8() % ARRAY_LEN(mtus)], .gso_max = s->gso_max};
    int e = tern_link_set(s->t, 1, &info);
    ASSERT(e == 0 || (e == -TERN_EINVAL && info.mtu < 1280));
    if (e == 0)
        s->mtu = info.mtu;
}

/* A second link, which carries nothing to the other side: what moves there waits, or is lost. */
static void second_link(struct side *s, bool there)
{
    tern_link_info info = {.mtu = s->mtu};
    tern_ip ll = {{0xfe, 0x80, [15] = 1}};
    if (!there) {
        int e = tern_link_remove(s->t, 2);
        ASSERT(e == 0 || e == -TERN_ENODEV);
    } else if (tern_link_add(s->t, &info) == 2) {
        ASSERT(tern_addr_add(s->t, 2, &ll, 64) == (info.mtu < 1280 ? -TERN_EINVAL : 0));
    }
}

/* Addresses, routes and links change under everything. */
static void op_net(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    const tern_ip *ip = v & 8 ? &s->ip6 : &s->ip4;
    tern_ip any = v & 8 ? (tern_ip){{0}} : tern_ip4(0, 0, 0, 0);
    int len = v & 8 ? 64 : 24;
    SAY("  net %02x\n", v);
    switch (v & 7) {
    case 0: remove_address(s, ip); break;
    case 1: tern_addr_add(s->t, 1, ip, len); break;
    case 2: ASSERT(tern_link_up(s->t, 1, v & 16) == 0); break;
    case 3: ASSERT(tern_link_up(s->t, 1, true) == 0); break;
    case 4: set_mtu(s); break;
    case 5: second_link(s, v & 16); break;
    case 6: (v & 16 ? tern_route_add : tern_route_remove)(s->t, v & 32 ? 2 : 1, &any, 0); break;
    case 7: tern_route_replace(s->t, v & 32 ? 2 : 1, ip, len); break;
    }
    tcp_check_all(s->t);
}

/* A stack is written down, or doubled, and goes on elsewhere; where it was nothing is left. */
static void op_move(void)
{
    static uint8_t image[2 * BLOCK];
    struct side *s = a_side();
    uint8_t *from = s->block;
    size_t need;
    bool foreign = lent_next(s->t->a, 0) != 0; /* then it grows, and that may be too much */
    int e;
    if (u8() & 1) {
        e = tern_clone(&s->t, s->t, spare, s->size, NULL, 0);
    } else {
        size_t len = tern_snapshot_size(s->t), off = u8() & 7;
        ASSERT(len <= sizeof image - 8 && tern_snapshot(s->t, image + off, len) == 0);
        ASSERT(tern_restore_size(image + off, len, &need) == 0 && (need <= s->size || foreign));
        e = need > s->size ? -TERN_ENOMEM : tern_restore(&s->t, image + off, len, spare, need, NULL, 0);
    }
    ASSERT(e == 0 || (e == -TERN_ENOMEM && foreign));
    if (e < 0)
        return;
    lender_moved(s->t, &s->lender);
    memset(from, 0xdb, BLOCK);
    s->block = spare;
    spare = from;
}

static const struct {
    const char *name;
    void (*run)(void);
} ops[] = {
    {"connect", op_connect}, {"listen", op_listen},       {"accept", op_accept}, {"send", op_send},
    {"lend", op_lend},       {"recv", op_recv},           {"peek", op_peek},     {"end", op_end},
    {"option", op_option},   {"handle", op_handle},       {"look", op_look},     {"time", op_time},
    {"pump", op_pump},       {"transmit", op_transmit},   {"deliver", op_deliver}, {"fail", op_fail},
    {"wire", op_wire},       {"change", op_change},       {"raw", op_raw},       {"fragments", op_fragments},
    {"compact", op_compact}, {"forge", op_forge},         {"pass", op_pass},     {"stranger", op_stranger},
    {"third", op_third},     {"late", op_late},           {"icmp", op_icmp},     {"echo", op_echo},
    {"time", op_time},       {"net", op_net},             {"move", op_move},     {"decide", op_decide},
};

/* --- beginning and end -------------------------------------------------------------------------- */

static bool begin_side(int i, uint32_t a, uint32_t b)
{
    struct side *s = &z.side[i];
    static const uint32_t buffers[] = {0, 1024, 3000, 65536};
    tern_config cfg = {
        .page_size = a & 1 ? 2048 : 4096,
        .msl_ms = a & 2 ? 1 : 0,
        .send_buffer = buffers[a >> 2 & 3],
        .recv_buffer = buffers[a >> 4 & 3],
        .ecn = (uint8_t)(a >> 6 == 3 ? TERN_ECN_ON : 0),
        .no_timestamps = b & 1,
        .no_wscale = (b & 6) == 6,
        .no_sack = (b & 24) == 24,
        .synack_retries = 2,
        .rest_ms = (b & 6) == 4 ? 1 : 0,
        .time_wait_max = (b & 24) == 16 ? 2 : 0,
        .port_low = 40000,
        .port_high = (b & 24) == 8 ? 40003 : 49999,
        .seed = {(uint8_t)i},
    };
    size_t size = BLOCK;
    if (b & 32)
        size = tern_min_size(&cfg) + (b >> 6) * 65536u;
    else if ((b & 24) == 16)
        cfg.budget = tern_min_size(&cfg) + (a & 63) * 2048u;
    s->block = blocks[i];
    s->size = size;
    spare = blocks[2];
    if (tern_create(&s->t, &cfg, s->block, size) != 0)
        return false;
    s->mtu = 1500;
    s->gso_max = b & 128 ? 65000 : 0;
    tern_link_info info = {.mtu = s->mtu, .gso_max = s->gso_max, .tx_csum = b & 64};
    s->ip4 = tern_ip4(10, 0, 0, (uint8_t)(i + 1));
    s->ip6 = (tern_ip){{0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(i + 1)}};
    tern_tick(s->t, z.now);
    return tern_link_add(s->t, &info) == 1 && tern_addr_add(s->t, 1, &s->ip4, 24) == 0 &&
           tern_addr_add(s->t, 1, &s->ip6, 64) == 0 && lender_begin(s->t, &s->lender);
}

static void empty_wire(struct side *s)
{
    while (s->n_wire > 0)
        free(wire_take(s, 0).bytes);
}

static void drain(struct side *s)
{
    int rounds = 0;
    while (transmit(s, 8) > 0) {
        empty_wire(s);
        ASSERT(++rounds < 10000);
    }
    empty_wire(s);
    tcp_check_all(s->t);
    ASSERT(tern_next_deadline(s->t) != 0);
}

static void end_side(struct side *s)
{
    s->t->a->fail_after = s->t->a->fail_more = 0;
    for (int i = 0; i < HANDLES; i++)
        if (s->held[i].h.v != 0)
            ASSERT(((i & 1) ? tern_abort : tern_close)(s->t, s->held[i].h) == 0);
    if (s->chunk.v != 0)
        ASSERT(tern_drop(s->t, s->chunk) == 0);
    drain(s);
    uint64_t now = z.now, next;
    for (int rounds = 0; (next = tern_next_deadline(s->t)) != UINT64_MAX; rounds++) {
        ASSERT(rounds < 20000);
        now = max_u64(now, next);
        tern_tick(s->t, now);
        z.now = now;
        drain(s);
    }
    lender_fetch(s->t, &s->lender);
    tern_live v;
    tern_get_live(s->t, &v);
    ASSERT(!v.pieces && !v.lent && !v.returned && !v.kept && !v.taken);
    ASSERT(!v.listeners && !v.halfopen && !v.tcbs && !v.timewait);
    ASSERT(!v.chunks && !v.sendrecs && !v.ranges && !v.timers && !v.fragments && !v.replies);
    ASSERT(s->t->w->conns.count == 0 && s->t->w->ready.head == 0 && s->t->w->events.head == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&z, 0, sizeof z);
    input.at = data, input.end = data + size;
    z.now = 1000000;
    z.loud = getenv("FUZZ_STACK_TRACE") != NULL;
    uint32_t a = u8(), b = u8(), a2 = u8(), b2 = u8();
    if (size < 5 || !begin_side(0, a, b) || !begin_side(1, a2, b2))
        return 0;
    for (int i = 0; i < STEPS && input.at < input.end; i++) {
        uint32_t op = u8() % ARRAY_LEN(ops);
        SAY("%d %s\n", i, ops[op].name);
        ops[op].run();
        for (int k = 0; k < 2; k++) {
            tcp_check_all(z.side[k].t);
            lender_fetch(z.side[k].t, &z.side[k].lender);
        }
    }
    uint64_t now = z.now;
    end_side(&z.side[0]);
    z.now = now;
    end_side(&z.side[1]);
    empty_wire(&z.side[0]);
    empty_wire(&z.side[1]);
    return 0;
}
