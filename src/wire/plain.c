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
#include "wire.h"

enum { IP = 20, TCP = 20, TS = 12, SYN = 20 };
enum {
    TS_WORD = 0x0101080a,
    MSS_HALF = 0x0204,
    SYN_WORD = 0x0402080a,
    WSCALE_THREE = 0x010303,
    WSCALE_MAX = 14
};

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

/* One's complement addition of words as the machine loads them: the carry comes back in at the bottom. */
static inline uint64_t add(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

/* A sum and n bytes, few of them. */
static inline uint64_t add_bytes(uint64_t sum, const uint8_t *p, uint32_t n)
{
    for (; n >= 32; n -= 32, p += 32)
        sum = add(add(sum, load64(p)), load64(p + 8)), sum = add(add(sum, load64(p + 16)), load64(p + 24));
    for (; n >= 8; n -= 8, p += 8)
        sum = add(sum, load64(p));
    if (LIKELY(n == 0))
        return sum;
    uint64_t rest = 0;
    memcpy(&rest, p, n & 4);
    uint16_t two = 0, one = 0;
    memcpy(&two, p + (n & 4), n & 2);
    memcpy(&one, p + (n & 6), n & 1);
    return add(sum, rest + two + one);
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

static inline uint64_t ip_sum(const uint8_t *p) { return add(add(load64(p), load64(p + 8)), load32(p + 16)); }

/* Both addresses, protocol and length (RFC 9293 3.1). */
static inline uint64_t pseudo_sum(const uint8_t *ip, uint32_t tcp_len)
{
    return add(load64(ip + 12), (uint64_t)as_loaded(PROTO_TCP) + as_loaded(tcp_len));
}

/* --- reading -------------------------------------------------------------------------------------- */

static inline void read_ip4(tern_ip *ip, const uint8_t *p)
{
    *ip = tern_ip4(0, 0, 0, 0);
    memcpy(ip->b + 12, p, 4);
}

static inline void fill_ip(const uint8_t *p, uint32_t total, struct ip_hdr *ip)
{
    read_ip4(&ip->src, p + 12);
    read_ip4(&ip->dst, p + 16);
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

static inline void fill_options(const uint8_t *o, uint32_t len, struct tcp_opts *out)
{
    out->mss = 0;
    out->wscale = WSCALE_NONE;
    out->sack_ok = false;
    out->n_sack = 0;
    out->ts = len > 0;
    out->ts_val = out->ts_ecr = 0;
    if (len == 0)
        return;
    const uint8_t *stamps = o + 4;
    if (UNLIKELY(len == SYN)) {
        out->mss = get16(o + 2);
        out->wscale = o[19] > WSCALE_MAX ? WSCALE_MAX : o[19];
        out->sack_ok = true;
        stamps = o + 8;
    }
    out->ts_val = get32(stamps);
    out->ts_ecr = get32(stamps + 4);
}

static inline void fill_segment(const struct ip_hdr *ip, uint32_t opt_len, struct segment *s)
{
    const uint8_t *p = ip->payload;
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
    s->data = p + TCP + opt_len;
    s->len = ip->payload_len - TCP - opt_len;
    s->keep = NULL;
    s->pair = s->found = s->found_at = 0;
    fill_options(p + TCP, opt_len, &s->opt);
}

/* Whether the options are one of the kinds above. */
static inline bool options_plain(const uint8_t *tcp, uint32_t opt_len)
{
    const uint8_t *o = tcp + TCP;
    if (opt_len == TS)
        return get32(o) == TS_WORD;
    if (opt_len == SYN)
        return (tcp[13] & F_SYN) && get16(o) == MSS_HALF && get32(o + 4) == SYN_WORD &&
               get32(o + 16) >> 8 == WSCALE_THREE;
    return opt_len == 0;
}

bool plain_parse(const uint8_t *p, uint32_t len, bool verify, struct ip_hdr *ip, struct segment *s)
{
    if (len < IP + TCP || p[0] != 0x45 || p[9] != PROTO_TCP || (get16(p + 6) & 0x3fff) != 0)
        return false;
    uint32_t total = get16(p + 2), opt_len = (p[IP + 12] >> 4) * 4u - TCP;
    if (total > len || opt_len > 40 || total < IP + TCP + opt_len || total > PLAIN_MOST ||
        !options_plain(p + IP, opt_len))
        return false;
    if (fold(ip_sum(p)) != 0xffff)
        return false;
    if (verify && fold(add_bytes(pseudo_sum(p, total - IP), p + IP, total - IP)) != 0xffff)
        return false;
    fill_ip(p, total, ip);
    fill_segment(ip, opt_len, s);
    return true;
}

/* --- writing -------------------------------------------------------------------------------------- */

/* Bytes of options when they are one of the kinds above; -1: they are not. */
static inline int options_len(const struct tcp_opts *o, uint8_t flags)
{
    if (UNLIKELY(flags & F_SYN))
        return o->mss != 0 && o->sack_ok && o->ts && o->wscale != WSCALE_NONE ? SYN : -1;
    return o->n_sack != 0 ? -1 : o->ts ? TS : 0;
}

/* Returns their sum. */
static inline uint64_t put_options(uint8_t *p, const struct tcp_opts *o, int len)
{
    if (len == 0)
        return 0;
    if (LIKELY(len == TS)) {
        put32(p, TS_WORD);
        put32(p + 4, o->ts_val);
        put32(p + 8, o->ts_ecr);
            return add(load64(p + 4), load32(p));
    }
    put32(p, (uint32_t)MSS_HALF << 16 | o->mss);
    put32(p + 4, SYN_WORD);
    put32(p + 8, o->ts_val);
    put32(p + 12, o->ts_ecr);
    put32(p + 16, (uint32_t)WSCALE_THREE << 8 | o->wscale);
    return add(add(load64(p), load64(p + 8)), load32(p + 16));
}

/* Returns the sum of the TCP header. */
static inline uint64_t put_tcp(uint8_t *p, const struct segment *s, int opt_len)
{
    put16(p, s->src_port);
    put16(p + 2, s->dst_port);
    put32(p + 4, s->seq.v);
    put32(p + 8, s->ack.v);
    p[12] = (uint8_t)((TCP + opt_len) / 4 << 4);
    p[13] = s->flags;
    put16(p + 14, s->wnd);
    put32(p + 16, s->up);
    uint64_t sum = add(add(load64(p), load64(p + 8)), load32(p + 16));
    return add(sum, put_options(p + TCP, &s->opt, opt_len));
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
    int opt_len = options_len(&s->opt, s->flags);
    if (opt_len < 0 || s->fragments || !tern_ip_is4(&s->src))
        return 0;
    uint32_t hdr_len = TCP + (uint32_t)opt_len;
    put_ip(p, s, IP + hdr_len + payload);
    uint64_t sum = add(put_tcp(p + IP, s, opt_len), pseudo_sum(p, hdr_len + payload));
    sum = add_bytes(sum, data, payload);
    uint16_t folded = (uint16_t)~fold(sum);
    memcpy(p + IP + 16, &folded, 2);
    return (uint16_t)(IP + hdr_len);
}
