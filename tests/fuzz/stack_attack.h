/* Operations of fuzz_stack.c that a program or a network in good order would not cause: segments forged from
 * the numbers of live records, ICMP about them, fragments, packets lost, doubled, overtaken and changed. */
#ifndef FUZZ_STACK_ATTACK_H
#define FUZZ_STACK_ATTACK_H

#include "fuzz/stack_wire.h"

/* An order of records that does not depend on where they lie: two runs that must show the same may have made
 * them one after the other, or in one batch. */
static bool tcb_first(const void *a, const void *b)
{
    const struct conn_head *x = &((const struct tcb *)a)->h, *y = &((const struct tcb *)b)->h;
    int ip = memcmp(&x->remote, &y->remote, sizeof x->remote);
    if (x->local_port != y->local_port)
        return x->local_port < y->local_port;
    if (x->remote_port != y->remote_port)
        return x->remote_port < y->remote_port;
    return ip != 0 ? ip < 0 : x->state < y->state;
}

static bool halfopen_first(const void *a, const void *b)
{
    const struct halfopen *x = a, *y = b; /* of one pool, so of one address family: the IPv4 part differs */
    int ip = memcmp(x->pair, y->pair, 8);
    if (x->local_port != y->local_port)
        return x->local_port < y->local_port;
    return x->remote_port != y->remote_port ? x->remote_port < y->remote_port : ip < 0;
}

/* The n-th of a pool's live records in such an order, or the last; NULL = there is none. */
static void *a_record(struct side *s, const struct pool *pool, bool (*first)(const void *, const void *),
                      uint32_t n)
{
    void *found = NULL;
    for (;; n--) {
        void *best = NULL;
        for (ref_t r = 0; pool_next(s->t->a, pool, &r);) {
            void *c = at(s->t->a, r);
            if ((found == NULL || first(found, c)) && (best == NULL || first(c, best)))
                best = c;
        }
        if (best == NULL)
            return found;
        found = best;
        if (n == 0)
            return found;
    }
}

/* Where one run has connections at rest and the other has not, they have not the same control blocks. */
static struct tcb *a_tcb(struct side *s)
{
    return z.mode.rest_ms != 0 ? NULL : a_record(s, &s->t->w->tcbs, tcb_first, u8() % 6);
}

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
    struct halfopen *h = a_record(s, n & 128 ? &w->halfopens6 : &w->halfopens4, halfopen_first, n % 6);
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
    if (z.mode.cut && type == (v6 ? ICMP6_TOO_BIG : ICMP_UNREACH) && (v6 || code == 4))
        return; /* as with a smaller MTU (set_mtu) */
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
        wire_put(s, p.bytes, p.len, p.gso_size, p.link);
    wire_put(s, p.bytes, p.len, p.gso_size, p.link); /* overtaken */
    free(p.bytes);
}

#endif
