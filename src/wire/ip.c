/* ip.c - IP headers of both versions: which one it is, writing, and making a whole of fragments. */
#include "ip_parts.h"

enum tern_cause ip_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out)
{
    uint8_t version = len > 0 ? p[0] >> 4 : 0;
    if (version == 4)
        return ip4_parse(p, len, out);
    return version == 6 ? ip6_parse(p, len, out) : TERN_C_IP_MALFORMED; /* RFC 1122 3.2.1.1 */
}

static void put_csum4(uint8_t *p, uint32_t hdr_len)
{
    put16(p + 10, 0);
    put16(p + 10, csum_fold(csum_add(0, p, hdr_len)));
}

uint16_t ip_emit(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl, uint8_t tos,
                 uint32_t payload_len, uint16_t id)
{
    bool is4 = tern_ip_is4(src);
    ASSERT(is4 == tern_ip_is4(dst) && payload_len <= (is4 ? 65535u - IP4_HDR : 65535u));
    if (!is4) {
        put32(p, 6u << 28 | (uint32_t)tos << 20); /* flow label 0: not labelled (RFC 6437 2; RFC4987-4-d) */
        put16(p + 4, (uint16_t)payload_len);
        p[6] = proto, p[7] = ttl;
        memcpy(p + 8, src->b, 16);
        memcpy(p + 24, dst->b, 16);
        return IP6_HDR;
    }
    p[0] = 4 << 4 | IP4_HDR / 4, p[1] = tos;
    put16(p + 2, (uint16_t)(IP4_HDR + payload_len));
    put16(p + 4, id);
    put16(p + 6, 0x4000); /* DF: path MTU is discovered, never fragmented (RFC 1191 3) */
    p[8] = ttl, p[9] = proto;
    memcpy(p + 12, src->b + 12, 4);
    memcpy(p + 16, dst->b + 12, 4);
    put_csum4(p, IP4_HDR);
    return IP4_HDR;
}

void ip_addresses(const uint8_t *p, tern_ip *src, tern_ip *dst)
{
    if (p[0] >> 4 == 4) {
        *src = tern_ip4(p[12], p[13], p[14], p[15]);
        *dst = tern_ip4(p[16], p[17], p[18], p[19]);
        return;
    }
    memcpy(src->b, p + 8, 16);
    memcpy(dst->b, p + 24, 16);
}

void ip4_allow_fragments(uint8_t *p)
{
    put16(p + 6, (uint16_t)(get16(p + 6) & ~0x4000));
    put_csum4(p, IP4_HDR);
}

uint16_t ip_emit_fragment(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl,
                          uint8_t tos, uint32_t payload_len, uint16_t id, uint32_t offset, bool more)
{
    if (tern_ip_is4(src)) { /* RFC 791 3.1: in units of 8, More Fragments is bit 13 */
        ip_emit(p, src, dst, proto, ttl, tos, payload_len, id);
        put16(p + 6, (uint16_t)(offset / 8 | (more ? 0x2000u : 0)));
        put_csum4(p, IP4_HDR);
        return IP4_HDR;
    }
    ip_emit(p, src, dst, PROTO_FRAGMENT, ttl, tos, payload_len + 8, id);
    uint8_t *f = p + IP6_HDR; /* RFC 8200 4.5 */
    f[0] = proto, f[1] = 0;
    put16(f + 2, (uint16_t)(offset | more));
    put32(f + 4, id);
    return IP6_HDR + 8;
}

/* Offset of the next-header field that names the fragment header: that of the last header before it. */
static uint32_t last_next6(const uint8_t *p, uint32_t hdr_len)
{
    uint32_t field = 6;
    for (uint32_t at = IP6_HDR; at < hdr_len; at += ((uint32_t)p[at + 1] + 1) * 8)
        field = at;
    return field;
}

bool ip_unfragment(uint8_t *p, uint16_t frag_hdr_len, uint8_t proto, uint32_t payload_len, uint8_t ecn)
{
    if (p[0] >> 4 == 6) { /* RFC 8200 4.5 */
        uint32_t len = frag_hdr_len - (uint32_t)IP6_HDR + payload_len;
        if (len > 65535)
            return false;
        put16(p + 4, (uint16_t)len);
        p[1] = (uint8_t)((p[1] & 0xcf) | ecn << 4);
        p[last_next6(p, frag_hdr_len)] = proto;
        return true;
    }
    if (frag_hdr_len + payload_len > 65535)
        return false;
    put16(p + 2, (uint16_t)(frag_hdr_len + payload_len)); /* RFC 791 3.2 */
    p[1] = (uint8_t)((p[1] & 0xfc) | ecn);
    put16(p + 6, 0);
    put_csum4(p, frag_hdr_len);
    return true;
}
