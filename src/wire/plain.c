/* plain.c - the headers that nearly all packets have, read and written at once: IPv4 without options, whole, and TCP
 * with no options or with timestamps alone, where everybody puts them (RFC 7323 appendix A).
 *
 * What is read here is what ip_parse and tcp_parse would have read, and what is written is what ip_emit and
 * tcp_emit would have written, to the byte (tests/unit/test_wire_plain.c); all else is left to them. They go through
 * a packet step by step, with sums of each part. Here the offsets are constants, and each word is touched once.
 */
#include "wire.h"

enum { IP = 20, TCP = 20, TS = 12 };
enum { TS_WORD = 0x0101080a }; /* NOP NOP, kind 8, length 10 */

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Words as the machine loads them, in halves, so that no carry is lost: 2^31 of them may be added. */
static inline uint64_t halves(uint64_t v) { return (v & 0xffffffff) + (v >> 32); }

/* Of n bytes, a few. */
static inline uint64_t sum_short(const uint8_t *p, uint32_t n)
{
    uint64_t sum = 0;
    for (; n >= 8; n -= 8, p += 8)
        sum += halves(load64(p));
    if (n & 4)
        sum += load32(p), p += 4;
    uint16_t two = 0, one = 0;
    if (n & 2)
        memcpy(&two, p, 2), p += 2;
    if (n & 1)
        memcpy(&one, p, 1);
    return sum + two + one;
}

static inline uint16_t fold(uint64_t s)
{
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)((s & 0xffff) + (s >> 16));
}

/* A 16-bit word as the machine would load it from the packet. */
static inline uint16_t as_loaded(uint32_t v)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16((uint16_t)v) : (uint16_t)v;
}

static inline uint64_t ip_sum(const uint8_t *p) { return halves(load64(p)) + halves(load64(p + 8)) + load32(p + 16); }

/* Both addresses, protocol and length (RFC 9293 3.1). */
static inline uint64_t pseudo_sum(const uint8_t *ip, uint32_t tcp_len)
{
    return halves(load64(ip + 12)) + as_loaded(PROTO_TCP) + as_loaded(tcp_len);
}

/* --- reading -------------------------------------------------------------------------------------- */

static inline void fill_ip(const uint8_t *p, uint32_t total, struct ip_hdr *ip)
{
    ip->src = tern_ip4(p[12], p[13], p[14], p[15]);
    ip->dst = tern_ip4(p[16], p[17], p[18], p[19]);
    ip->payload = p + IP;
    ip->payload_len = total - IP;
    ip->total_len = total;
    ip->hdr_len = ip->frag_hdr_len = IP;
    ip->version = 4;
    ip->proto = PROTO_TCP;
    ip->ttl = p[8];
    ip->tos = p[1];
    ip->fragment = ip->more = ip->source_route = false;
    ip->dont_fragment = (p[6] & 0x40) != 0;
    ip->frag_off = 0;
    ip->frag_id = get16(p + 4);
}

static inline void fill_segment(const struct ip_hdr *ip, uint32_t hdr_len, struct segment *s)
{
    const uint8_t *p = ip->payload;
    bool ts = hdr_len > TCP;
    s->src = ip->src, s->dst = ip->dst;
    s->src_port = get16(p), s->dst_port = get16(p + 2);
    s->seq = seq(get32(p + 4)), s->ack = seq(get32(p + 8));
    s->flags = p[13];
    s->wnd = get16(p + 14);
    s->up = get16(p + 18);
    s->tos = ip->tos, s->ttl = ip->ttl;
    s->link = 0;
    s->fragments = false;
    s->gso_size = 0;
    s->data = p + hdr_len;
    s->len = ip->payload_len - hdr_len;
    s->keep = NULL;
    s->pair = 0;
    s->opt.mss = 0;
    s->opt.wscale = WSCALE_NONE;
    s->opt.sack_ok = false;
    s->opt.n_sack = 0;
    s->opt.ts = ts;
    s->opt.ts_val = ts ? get32(p + 24) : 0;
    s->opt.ts_ecr = ts ? get32(p + 28) : 0;
}

bool plain_parse(const uint8_t *p, uint32_t len, bool verify, struct ip_hdr *ip, struct segment *s)
{
    if (len < IP + TCP || p[0] != 0x45 || p[9] != PROTO_TCP || (get16(p + 6) & 0x3fff) != 0)
        return false;
    uint32_t total = get16(p + 2), off = p[IP + 12] >> 4;
    bool ts = off == (TCP + TS) / 4;
    if (total > len || total < IP + 4 * off || total > IP + PLAIN_MOST || (!ts && off != TCP / 4) ||
        (ts && get32(p + IP + TCP) != TS_WORD))
        return false;
    if (fold(ip_sum(p)) != 0xffff)
        return false;
    if (verify && fold(pseudo_sum(p, total - IP) + sum_short(p + IP, total - IP)) != 0xffff)
        return false;
    fill_ip(p, total, ip);
    fill_segment(ip, 4 * off, s);
    return true;
}

/* --- writing -------------------------------------------------------------------------------------- */

bool plain_fits(const struct segment *s)
{
    return tern_ip_is4(&s->src) && !s->fragments && !(s->flags & F_SYN) && s->opt.n_sack == 0;
}

/* The checksum's sum of pseudo-header and TCP header comes out of what is written. */
static inline uint64_t put_tcp(uint8_t *p, const struct segment *s, uint32_t hdr_len)
{
    put16(p, s->src_port);
    put16(p + 2, s->dst_port);
    put32(p + 4, s->seq.v);
    put32(p + 8, s->ack.v);
    p[12] = (uint8_t)(hdr_len / 4 << 4);
    p[13] = s->flags;
    put16(p + 14, s->wnd);
    put16(p + 16, 0);
    put16(p + 18, s->up);
    uint64_t sum = halves(load64(p)) + halves(load64(p + 8)) + load32(p + 16);
    if (hdr_len == TCP)
        return sum;
    put32(p + TCP, TS_WORD);
    put32(p + TCP + 4, s->opt.ts_val);
    put32(p + TCP + 8, s->opt.ts_ecr);
    return sum + load32(p + TCP) + halves(load64(p + TCP + 4));
}

static inline void put_ip(uint8_t *p, const struct segment *s, uint32_t total)
{
    p[0] = 0x45, p[1] = s->tos;
    put16(p + 2, (uint16_t)total);
    put32(p + 4, 0x4000); /* DF, and no identification (RFC 6864 4.1) */
    p[8] = s->ttl, p[9] = PROTO_TCP;
    put16(p + 10, 0);
    memcpy(p + 12, s->src.b + 12, 4);
    memcpy(p + 16, s->dst.b + 12, 4);
    uint16_t sum = (uint16_t)~fold(ip_sum(p));
    memcpy(p + 10, &sum, 2);
}

uint16_t plain_emit(uint8_t *p, const struct segment *s, uint32_t payload, const uint8_t *data)
{
    uint32_t hdr_len = s->opt.ts ? TCP + TS : TCP;
    put_ip(p, s, IP + hdr_len + payload);
    uint64_t sum = put_tcp(p + IP, s, hdr_len) + pseudo_sum(p, hdr_len + payload);
    if (payload > 0)
        sum += sum_short(data, payload);
    uint16_t folded = (uint16_t)~fold(sum);
    memcpy(p + IP + 16, &folded, 2);
    return (uint16_t)(IP + hdr_len);
}
