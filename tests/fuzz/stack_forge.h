/* The input of fuzz_stack.c, and packets forged from the numbers of live records.
 *
 *   input   | 4 bytes: what the two stacks are like | step | step | ...
 *   step    | operation | n | n bytes: its choices, taken front to back; those that are missing are 0
 *
 * A step that is removed, doubled or changed leaves the others as they are, which is what a fuzzer needs.
 */
#ifndef FUZZ_STACK_FORGE_H
#define FUZZ_STACK_FORGE_H

#include "tcp/tcp.h"

enum { PACKET = 2048 };

/* What is left of the step that is being done. */
static struct {
    const uint8_t *at, *end;
} input;

static uint32_t u8(void) { return input.at < input.end ? *input.at++ : 0; }

/* Take the step at `at`: returns its operation, and `*next` is the step behind it. */
static uint32_t next_step(const uint8_t *at, const uint8_t *end, const uint8_t **next)
{
    size_t left = (size_t)(end - at);
    size_t n = left < 2 ? 0 : at[1] < left - 2 ? at[1] : left - 2;
    input.at = left < 2 ? end : at + 2;
    input.end = input.at + n;
    *next = input.end;
    return at[0];
}

static uint32_t u16(void)
{
    uint32_t high = u8(); /* first: in one expression the order would be the compiler's */
    return high << 8 | u8();
}

static uint32_t u32(void)
{
    uint32_t high = u16();
    return high << 16 | u16();
}

/* A distance: mostly small, of either sign, sometimes anything. */
static uint32_t delta(void)
{
    uint32_t v = u8();
    if (v < 128)
        return v - 64;
    if (v < 192)
        return (v - 128) * 1460 - 32 * 1460;
    return v < 240 ? u16() - 32768 : u32();
}

static uint8_t byte_at(uint64_t pos) { return (uint8_t)(pos * 7 + (pos >> 8) * 3); }

static void fix_checksums(uint8_t *p, uint32_t len)
{
    struct ip_hdr ip;
    if (len >= 20 && p[0] >> 4 == 4 && (p[0] & 15) * 4u >= 20 && (p[0] & 15) * 4u <= len) {
        put16(p + 10, 0);
        put16(p + 10, csum_fold(csum_add(0, p, (p[0] & 15) * 4u)));
    }
    if (ip_parse(p, len, &ip) != TERN_CAUSE_NONE || ip.fragment)
        return;
    uint8_t *at = p + (ip.payload - p);
    uint32_t field = ip.proto == PROTO_TCP ? 16 : 2;
    if (ip.payload_len < field + 2)
        return;
    uint64_t sum = ip.proto == PROTO_ICMP ? 0 : csum_pseudo(&ip.src, &ip.dst, ip.proto, ip.payload_len);
    put16(at + field, 0);
    put16(at + field, csum_fold(csum_add(sum, at, ip.payload_len)));
}

static uint32_t build(uint8_t *p, const struct segment *s)
{
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s->opt, s->flags));
    uint16_t ip_len = ip_emit(p, &s->src, &s->dst, PROTO_TCP, 64, s->tos, tcp_len + s->len, 7);
    tcp_emit(p + ip_len, s);
    memcpy(p + ip_len + tcp_len, s->data, s->len);
    fix_checksums(p, ip_len + tcp_len + s->len);
    return ip_len + tcp_len + s->len;
}

/* --- numbers of a segment ------------------------------------------------------------------------ */

static const uint8_t *payload(uint32_t from, uint32_t len, bool lie)
{
    static uint8_t buf[PACKET];
    for (uint32_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(byte_at(from + i) ^ (lie ? 0x55 : 0));
    return buf;
}

static uint32_t pick_len(void)
{
    static const uint16_t sizes[] = {0, 0, 0, 1, 2, 8, 52, 100, 536, 1448, 1460};
    uint32_t v = u8();
    return v < 200 ? sizes[v % ARRAY_LEN(sizes)] : u8() * 5u;
}

static uint8_t pick_flags(void)
{
    static const uint8_t usual[] = {F_ACK,         F_ACK | F_PSH, F_ACK | F_FIN, F_RST,
                                    F_RST | F_ACK, F_SYN,         F_SYN | F_ACK, F_ACK | F_URG,
                                    F_ACK | F_ECE, F_ACK | F_CWR, F_FIN,         F_ACK | F_PSH | F_FIN};
    uint32_t v = u8();
    return v < 240 ? usual[v % ARRAY_LEN(usual)] : (uint8_t)u8();
}

/* What a peer, or somebody who knows nearly everything, would send to this control block. */
static void forge_options(const struct tcb *c, uint32_t now_ms, struct segment *s)
{
    uint32_t v = u8();
    s->opt.wscale = WSCALE_NONE;
    if (s->flags & F_SYN) {
        s->opt.mss = (uint16_t)(v & 1 ? u16() : 1460);
        s->opt.ts = (v & 2) != 0;
        s->opt.sack_ok = (v & 4) != 0;
        s->opt.wscale = v & 8 ? (uint8_t)(v >> 4) : WSCALE_NONE;
    }
    if (c == NULL)
        return;
    if (!(s->flags & F_SYN))
        s->opt.ts = c->opt.ts && v < 240;
    s->opt.ts_val = c->ts.recent + (v & 16 ? delta() : 1);
    s->opt.ts_ecr = now_ms + c->ts.offset - (v & 32 ? u16() : 1);
    s->opt.n_sack = (uint8_t)(v & 64 ? v & 3 : 0);
    for (int i = 0; i < s->opt.n_sack; i++) {
        seq_t base = u8() & 1 ? c->snd.una : c->snd.nxt;
        s->opt.sack[i].left = seq_add(base, delta());
        s->opt.sack[i].right = seq_add(s->opt.sack[i].left, 1 + u8() * (v & 128 ? 1u : 73u));
    }
}

static seq_t pick_seq(const struct tcb *c, uint32_t len)
{
    uint32_t v = u8();
    if (v < 128)
        return c->rcv.nxt;
    if (v < 160)
        return seq_add(c->rcv.nxt, delta());
    if (v < 176)
        return seq_sub(c->rcv.adv, len);
    if (v < 192)
        return seq_add(c->rcv.adv, delta());
    if (v < 208)
        return c->rcv.irs;
    return v < 224 ? seq_sub(c->rcv.nxt, len) : seq_add(c->rcv.nxt, 1 + u8() * 3u);
}

static seq_t pick_ack(const struct tcb *c)
{
    uint32_t v = u8();
    if (v < 64)
        return c->snd.nxt;
    if (v < 128)
        return c->snd.una;
    if (v < 192)
        return seq_add(c->snd.una, seq_span(c->snd.una, c->snd.nxt) * (v & 15) / 16);
    return seq_add(v & 1 ? c->snd.una : c->snd.nxt, delta());
}

/* From the peer of a record. */
static void towards(struct segment *s, const struct tern *t, const void *record)
{
    struct who w;
    who_of(t, record, &w);
    s->src = w.remote, s->dst = w.local;
    s->src_port = w.remote_port, s->dst_port = w.local_port;
}

static uint16_t pick_wnd(void)
{
    uint32_t v = u8();
    return (uint16_t)(v < 64 ? 65535 : v < 96 ? 0 : v < 128 ? v - 95 : u16());
}

#endif
