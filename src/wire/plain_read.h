/* plain_read.h - the reading half of plain.c, for the way that every packet comes (stack/arrival.h): part of
 * its caller.
 */
#ifndef WIRE_PLAIN_READ_H
#define WIRE_PLAIN_READ_H

#include "wire/plain.h"

enum { PLAIN_WSCALE_MAX = 14 };

static INLINED inline uint64_t plain_ip_sum(const uint8_t *p)
{
    return plain_add(plain_add(plain_load64(p), plain_load64(p + 8)), plain_load32(p + 16));
}

/* Both addresses, protocol and length (RFC 9293 3.1). */
static INLINED inline uint64_t plain_pseudo_sum(const uint8_t *ip, uint32_t tcp_len)
{
    return plain_add(plain_load64(ip + 12), (uint64_t)plain_half(PROTO_TCP) + plain_half(tcp_len));
}

/* Of its header, whose options are of one of the kinds above: whole words. */
static INLINED inline uint64_t plain_header_sum(const uint8_t *p, uint32_t opt_len)
{
    uint64_t sum = plain_add(plain_load64(p), plain_load64(p + 8));
    if (UNLIKELY(opt_len == 0))
        return plain_add(sum, plain_load32(p + 16));
    sum = plain_add(plain_add(sum, plain_load64(p + 16)), plain_load64(p + 24));
    return opt_len == PLAIN_TS ? sum : plain_add(sum, plain_load64(p + 32));
}

/* Of text: what is short is summed here. The other function's sum is one of words in network order. */
static INLINED inline uint64_t plain_text_sum(const uint8_t *p, uint32_t len, tern_sum_fn *fn)
{
    if (LIKELY(len <= PLAIN_MOST))
        return len == 0 ? 0 : plain_sum(p, len);
    return plain_half(plain_fold(fn(NULL, p, len)));
}

static INLINED inline uint16_t plain_tcp_sum(const uint8_t *ip, uint32_t opt_len, uint32_t len,
                                             tern_sum_fn *fn)
{
    uint64_t sum =
        plain_add(plain_pseudo_sum(ip, PLAIN_TCP + opt_len + len), plain_header_sum(ip + PLAIN_IP, opt_len));
    return plain_fold(plain_add(sum, plain_text_sum(ip + PLAIN_IP + PLAIN_TCP + opt_len, len, fn)));
}

static INLINED inline void plain_fill_options(const uint8_t *o, uint32_t len, struct tcp_opts *out)
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
    if (UNLIKELY(len == PLAIN_SYN)) {
        out->mss = get16(o + 2);
        out->wscale = o[19] > PLAIN_WSCALE_MAX ? PLAIN_WSCALE_MAX : o[19];
        out->sack_ok = true;
        stamps = o + 8;
    }
    out->ts_val = get32(stamps);
    out->ts_ecr = get32(stamps + 4);
}

/* ::ffff:a.b.c.d, in two stores of the size in which it will be loaded. */
static INLINED inline void plain_read_ip4(tern_ip *ip, const uint8_t *p)
{
    const uint64_t v = plain_load32(p);
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    uint64_t front = 0, back = little ? 0xffff0000u | v << 32 : (uint64_t)0xffff << 32 | v;
    memcpy(ip->b, &front, 8);
    memcpy(ip->b + 8, &back, 8);
}

static INLINED inline void plain_fill_segment(const uint8_t *ip, uint32_t opt_len, uint32_t len,
                                             struct segment *s)
{
    const uint8_t *p = ip + PLAIN_IP;
    plain_read_ip4(&s->src, ip + 12), plain_read_ip4(&s->dst, ip + 16);
    s->src_port = get16(p), s->dst_port = get16(p + 2);
    s->seq = seq(get32(p + 4)), s->ack = seq(get32(p + 8));
    s->wnd = get16(p + 14);
    s->up = get16(p + 18);
    s->flags = p[13];
    s->tos = ip[1], s->ttl = ip[8];
    s->link = 0;
    s->fragments = false;
    s->gso_size = 0;
    s->data = p + PLAIN_TCP + opt_len;
    s->len = len;
    s->keep = NULL;
    s->pair = s->found = s->found_at = 0;
    plain_fill_options(p + PLAIN_TCP, opt_len, &s->opt);
}

/* Whether the options are one of the kinds above. */
static INLINED inline bool plain_options_known(const uint8_t *tcp, uint32_t opt_len)
{
    const uint8_t *o = tcp + PLAIN_TCP;
    if (opt_len == PLAIN_TS)
        return get32(o) == PLAIN_TS_WORD;
    if (opt_len == PLAIN_SYN)
        return (tcp[13] & F_SYN) && get16(o) == PLAIN_MSS_HALF && get32(o + 4) == PLAIN_SYN_WORD &&
               get32(o + 16) >> 8 == PLAIN_WSCALE_THREE;
    return opt_len == 0;
}

/* As plain_parse, of packets of `most` bytes at most; `verify`: what sums long ones, NULL = the checksum of
 * TCP is not asked. */
static INLINED inline bool plain_read(const uint8_t *p, uint32_t len, uint32_t most, tern_sum_fn *verify,
                                     struct segment *s)
{
    if (UNLIKELY(len < PLAIN_IP + PLAIN_TCP || p[0] != 0x45 || p[9] != PROTO_TCP ||
                 (get16(p + 6) & 0x3fff) != 0))
        return false;
    uint32_t total = get16(p + 2), opt_len = (p[PLAIN_IP + 12] >> 4) * 4u - PLAIN_TCP;
    if (UNLIKELY(total > len || opt_len > 40 || total < PLAIN_IP + PLAIN_TCP + opt_len ||
                 total > most || !plain_options_known(p + PLAIN_IP, opt_len)))
        return false;
    if (UNLIKELY(plain_fold(plain_ip_sum(p)) != 0xffff))
        return false;
    uint32_t data_len = total - PLAIN_IP - PLAIN_TCP - opt_len;
    if (verify != NULL && UNLIKELY(plain_tcp_sum(p, opt_len, data_len, verify) != 0xffff))
        return false;
    plain_fill_segment(p, opt_len, data_len, s);
    return true;
}

#endif
