/* plain.c - the headers that nearly all packets have, read and written at once: IPv4 without options, whole,
 * and TCP with no options, with timestamps alone where everybody puts them (RFC 7323 appendix A), or the SYN
 * with all that this stack and Linux ask for:
 *
 *     NOP NOP TS 10       MSS 4 | SACKOK 2, TS 10 | NOP, WS 3
 *
 * What is read here is what ip_parse and tcp_parse would have read, and what is written is what ip_emit and
 * tcp_emit would have written, to the byte (tests/unit/test_wire_plain.c); all else is left to them. They go
 * through a packet step by step, with sums of each part. Here the offsets are constants, and each word is
 * touched once.
 */
#include "wire/plain.h"

enum { IP = PLAIN_IP, TCP = PLAIN_TCP, TS = PLAIN_TS, SYN = PLAIN_SYN, WSCALE_MAX = 14 };

static inline uint64_t ip_sum(const uint8_t *p)
{
    return plain_add(plain_add(plain_load64(p), plain_load64(p + 8)), plain_load32(p + 16));
}

/* Both addresses, protocol and length (RFC 9293 3.1). */
static inline uint64_t pseudo_sum(const uint8_t *ip, uint32_t tcp_len)
{
    return plain_add(plain_load64(ip + 12), (uint64_t)plain_half(PROTO_TCP) + plain_half(tcp_len));
}

/* Of its header, whose options are of one of the kinds above: whole words. */
static inline uint64_t header_sum(const uint8_t *p, uint32_t opt_len)
{
    uint64_t sum = plain_add(plain_load64(p), plain_load64(p + 8));
    if (UNLIKELY(opt_len == 0))
        return plain_add(sum, plain_load32(p + 16));
    sum = plain_add(plain_add(sum, plain_load64(p + 16)), plain_load64(p + 24));
    return opt_len == TS ? sum : plain_add(sum, plain_load64(p + 32));
}

static inline uint16_t tcp_sum(const uint8_t *ip, uint32_t opt_len, uint32_t len)
{
    uint64_t sum = plain_add(pseudo_sum(ip, TCP + opt_len + len), header_sum(ip + IP, opt_len));
    return plain_fold(len == 0 ? sum : plain_add(sum, plain_sum(ip + IP + TCP + opt_len, len)));
}

/* --- reading -------------------------------------------------------------------------------------- */

static inline void fill_options(const uint8_t *o, uint32_t len, struct tcp_opts *out)
{
    const uint8_t *stamps = o + 4;
    out->mss = 0;
    out->wscale = WSCALE_NONE;
    out->sack_ok = false;
    out->n_sack = 0;
    out->ts = len > 0;
    out->ts_val = out->ts_ecr = 0;
    if (UNLIKELY(len == 0))
        return;
    if (UNLIKELY(len == SYN)) {
        out->mss = get16(o + 2);
        out->wscale = o[19] > WSCALE_MAX ? WSCALE_MAX : o[19];
        out->sack_ok = true;
        stamps = o + 8;
    }
    out->ts_val = get32(stamps);
    out->ts_ecr = get32(stamps + 4);
}

/* ::ffff:a.b.c.d, in two stores of the size in which it will be loaded. */
static inline void read_ip4(tern_ip *ip, const uint8_t *p)
{
    const uint64_t v = plain_load32(p);
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    uint64_t front = 0, back = little ? 0xffff0000u | v << 32 : (uint64_t)0xffff << 32 | v;
    memcpy(ip->b, &front, 8);
    memcpy(ip->b + 8, &back, 8);
}

static inline void fill_segment(const uint8_t *ip, uint32_t opt_len, uint32_t len, struct segment *s)
{
    const uint8_t *p = ip + IP;
    read_ip4(&s->src, ip + 12), read_ip4(&s->dst, ip + 16);
    s->src_port = get16(p), s->dst_port = get16(p + 2);
    s->seq = seq(get32(p + 4)), s->ack = seq(get32(p + 8));
    s->wnd = get16(p + 14);
    s->up = get16(p + 18);
    s->flags = p[13];
    s->tos = ip[1], s->ttl = ip[8];
    s->link = 0;
    s->fragments = false;
    s->gso_size = 0;
    s->data = p + TCP + opt_len;
    s->len = len;
    s->keep = NULL;
    s->pair = s->found = s->found_at = 0;
    fill_options(p + TCP, opt_len, &s->opt);
}

/* Whether the options are one of the kinds above. */
static inline bool options_plain(const uint8_t *tcp, uint32_t opt_len)
{
    const uint8_t *o = tcp + TCP;
    if (opt_len == TS)
        return get32(o) == PLAIN_TS_WORD;
    if (opt_len == SYN)
        return (tcp[13] & F_SYN) && get16(o) == PLAIN_MSS_HALF && get32(o + 4) == PLAIN_SYN_WORD &&
               get32(o + 16) >> 8 == PLAIN_WSCALE_THREE;
    return opt_len == 0;
}

bool plain_parse(const uint8_t *p, uint32_t len, bool verify, struct segment *s)
{
    if (UNLIKELY(len < IP + TCP || p[0] != 0x45 || p[9] != PROTO_TCP || (get16(p + 6) & 0x3fff) != 0))
        return false;
    uint32_t total = get16(p + 2), opt_len = (p[IP + 12] >> 4) * 4u - TCP;
    if (UNLIKELY(total > len || opt_len > 40 || total < IP + TCP + opt_len || total > PLAIN_MOST ||
                 !options_plain(p + IP, opt_len)))
        return false;
    if (UNLIKELY(plain_fold(ip_sum(p)) != 0xffff))
        return false;
    uint32_t data_len = total - IP - TCP - opt_len;
    if (verify && UNLIKELY(tcp_sum(p, opt_len, data_len) != 0xffff))
        return false;
    fill_segment(p, opt_len, data_len, s);
    return true;
}

/* --- writing -------------------------------------------------------------------------------------- */

/* Bytes of options when they are one of the kinds above; -1: they are not. */
static inline int options_len(const struct tcp_opts *o, uint8_t flags)
{
    if (UNLIKELY(flags & F_SYN))
        return o->mss != 0 && o->sack_ok && o->ts && o->wscale != WSCALE_NONE ? PLAIN_SYN : -1;
    return o->n_sack != 0 ? -1 : o->ts ? PLAIN_TS : 0;
}

uint16_t plain_emit(uint8_t *p, const struct segment *s, uint32_t payload, const uint8_t *data)
{
    int opt_len = options_len(&s->opt, s->flags);
    if (opt_len < 0 || s->fragments || !tern_ip_is4(&s->src))
        return 0;
    struct plain h = {
        .src = &s->src,
        .dst = &s->dst,
        .src_port = s->src_port,
        .dst_port = s->dst_port,
        .seq = s->seq.v,
        .ack = s->ack.v,
        .wnd = s->wnd,
        .up = s->up,
        .flags = s->flags,
        .tos = s->tos,
        .ttl = s->ttl,
        .opt_len = (uint8_t)opt_len,
        .mss = s->opt.mss,
        .wscale = s->opt.wscale,
        .ts_val = s->opt.ts_val,
        .ts_ecr = s->opt.ts_ecr,
    };
    return plain_write(p, &h, payload, plain_sum(data, payload), false);
}
