/* plain.h - the writing half of plain.c, for those who know the words of a header and need no struct segment
 * for them (tcp/lane_out.c): the compiler puts it where it is used, and only what differs from packet to
 * packet is left of it.
 *
 * Words are kept as the machine loads them from a packet. The Internet checksum does not care for that (RFC
 * 1071 2 B), so each is turned once, written, and added as it is; sums of a few 32-bit words need no carry in
 * 64 bits.
 */
#ifndef WIRE_PLAIN_H
#define WIRE_PLAIN_H

#include "wire/wire.h"

enum { PLAIN_TCP = 20, PLAIN_TS = 12, PLAIN_SYN = 20 };
enum {
    PLAIN_TS_WORD = 0x0101080a, /* NOP NOP TS 10 */
    PLAIN_MSS_HALF = 0x0204,
    PLAIN_SYN_WORD = 0x0402080a, /* SACKOK 2, TS 10 */
    PLAIN_WSCALE_THREE = 0x010303,
};

/* What is not the same in all plain packets. */
struct plain {
    const uint8_t *src, *dst; /* IPv4: four bytes each */
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    uint16_t wnd, up;
    uint8_t flags, tos, ttl;
    uint8_t opt_len;         /* PLAIN_SYN, PLAIN_TS or 0: */
    uint16_t mss;
    uint8_t wscale;
    uint32_t ts_val, ts_ecr;
};

static inline uint64_t plain_load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint32_t plain_load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* A number as the machine would load it from a packet. */
static inline uint32_t plain_word(uint32_t v)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(v) : v;
}
static inline uint32_t plain_half(uint32_t v)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16((uint16_t)v) : (uint16_t)v;
}

/* One's complement addition of words: the carry comes back in at the bottom. */
static inline uint64_t plain_add(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

/* To 16 bits. A number and the same with its halves exchanged add up to the sum of both in the upper half,
 * the carry included. */
static inline uint16_t plain_fold(uint64_t s)
{
    s += s << 32 | s >> 32;
    uint32_t half = (uint32_t)(s >> 32);
    half += half << 16 | half >> 16;
    return (uint16_t)(half >> 16);
}

/* Fewer than 8 bytes, the last 16 bits completed with zero. */
static inline uint64_t plain_rest(const uint8_t *p, uint32_t n)
{
    uint64_t rest = 0;
    uint16_t two = 0, one = 0;
    memcpy(&rest, p, n & 4);
    memcpy(&two, p + (n & 4), n & 2);
    memcpy(&one, p + (n & 6), n & 1);
    return rest + two + one;
}

/* The sum of n bytes, few of them. */
static inline uint64_t plain_sum(const uint8_t *p, uint32_t n)
{
    uint64_t a = 0, b = 0;
    for (; n >= 32; n -= 32, p += 32) {
        a = plain_add(plain_add(a, plain_load64(p)), plain_load64(p + 8));
        b = plain_add(plain_add(b, plain_load64(p + 16)), plain_load64(p + 24));
    }
    for (; n >= 8; n -= 8, p += 8)
        a = plain_add(a, plain_load64(p));
    return plain_add(plain_add(a, b), LIKELY(n == 0) ? 0 : plain_rest(p, n));
}

/* The next word of a packet; it comes to the sum. */
static inline uint8_t *plain_put(uint8_t *p, uint64_t *sum, uint32_t word)
{
    memcpy(p, &word, 4);
    *sum += word;
    return p + 4;
}

/* The options, which begin at p. */
static inline void plain_options(uint8_t *p, uint64_t *sum, const struct plain *h)
{
    if (LIKELY(h->opt_len == PLAIN_TS)) {
        p = plain_put(p, sum, plain_word(PLAIN_TS_WORD));
        p = plain_put(p, sum, plain_word(h->ts_val));
        plain_put(p, sum, plain_word(h->ts_ecr));
    } else if (h->opt_len == PLAIN_SYN) {
        p = plain_put(p, sum, plain_word((uint32_t)PLAIN_MSS_HALF << 16 | h->mss));
        p = plain_put(p, sum, plain_word(PLAIN_SYN_WORD));
        p = plain_put(p, sum, plain_word(h->ts_val));
        p = plain_put(p, sum, plain_word(h->ts_ecr));
        plain_put(p, sum, plain_word((uint32_t)PLAIN_WSCALE_THREE << 8 | h->wscale));
    }
}

/* The IP header of a packet of `total` bytes; returns the sum of the addresses. DF, and no identification
 * (RFC 6864 4.1). */
static inline uint64_t plain_ip(uint8_t *p, const struct plain *h, uint32_t total)
{
    uint64_t sum = 0, pair = 0;
    p = plain_put(p, &sum, plain_word(0x45000000 | (uint32_t)h->tos << 16 | total));
    p = plain_put(p, &sum, plain_word(0x4000));
    p = plain_put(p, &sum, plain_word((uint32_t)h->ttl << 24 | PROTO_TCP << 16));
    p = plain_put(p, &pair, plain_load32(h->src));
    p = plain_put(p, &pair, plain_load32(h->dst));
    uint16_t check = (uint16_t)~plain_fold(sum + pair);
    memcpy(p - 10, &check, 2);
    return pair;
}

/* Write a whole header for `payload` bytes whose sum this is; `partial`: the checksum of TCP is that of the
 * pseudo-header alone, and not complemented, for a link that completes it. Returns its length. */
static inline uint16_t plain_write(uint8_t *p, const struct plain *h, uint32_t payload, uint64_t payload_sum,
                                   bool partial)
{
    uint32_t len = PLAIN_TCP + (uint32_t)h->opt_len;
    uint64_t pseudo = plain_ip(p, h, PLAIN_IP + len + payload), sum = 0;
    pseudo += plain_half(PROTO_TCP) + (uint64_t)plain_half(len + payload);
    uint8_t *tcp = p + PLAIN_IP;
    plain_put(tcp, &sum, plain_word((uint32_t)h->src_port << 16 | h->dst_port));
    plain_put(tcp + 4, &sum, plain_word(h->seq));
    plain_put(tcp + 8, &sum, plain_word(h->ack));
    plain_put(tcp + 12, &sum, plain_word(len << 26 | (uint32_t)h->flags << 16 | h->wnd));
    plain_put(tcp + 16, &sum, plain_word(h->up));
    plain_options(tcp + PLAIN_TCP, &sum, h);
    uint16_t check = plain_fold(pseudo);
    if (!partial)
        check = (uint16_t)~plain_fold(plain_add(sum + pseudo, payload_sum));
    memcpy(tcp + 16, &check, 2);
    return (uint16_t)(PLAIN_IP + len);
}

#endif
