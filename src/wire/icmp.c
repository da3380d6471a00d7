/* icmp.c - ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and errors with the packet that drew them. */
#include "ip_parts.h"

enum { ICMP_HDR = 8 };

/* Errors that carry the beginning of a packet of ours. Redirects do too, but ask for something that tern
 * does not do. */
static bool is_error(uint8_t version, uint8_t type)
{
    if (version == 6)
        return type >= ICMP6_UNREACH && type <= ICMP6_PARAM;
    return type == ICMP_UNREACH || type == ICMP_QUENCH || type == ICMP_TIME || type == ICMP_PARAM;
}

/* The embedded IPv4 header; lengths and checksum in it are not trusted, it may have been changed on its
 * way. Returns the offset of the TCP header, 0 = not to be had. */
static uint32_t embedded4(const uint8_t *p, uint32_t len, struct icmp_msg *m)
{
    if (len < IP4_HDR || p[0] >> 4 != 4 || (p[0] & 15) * 4 < IP4_HDR)
        return 0;
    if (p[9] != PROTO_TCP || (get16(p + 6) & 0x1fff) != 0)
        return 0;
    m->in_src = tern_ip4(p[12], p[13], p[14], p[15]);
    m->in_dst = tern_ip4(p[16], p[17], p[18], p[19]);
    return (uint32_t)(p[0] & 15) * 4;
}

static uint32_t embedded6(const uint8_t *p, uint32_t len, struct icmp_msg *m)
{
    if (len < IP6_HDR || p[0] >> 4 != 6)
        return 0;
    uint8_t proto = p[6];
    uint32_t at = IP6_HDR;
    if (!ip6_skip_ext(p, len, &proto, &at) || proto != PROTO_TCP)
        return 0;
    memcpy(m->in_src.b, p + 8, 16);
    memcpy(m->in_dst.b, p + 24, 16);
    return tern_ip_is4(&m->in_src) || tern_ip_is4(&m->in_dst) ? 0 : at;
}

/* At least 8 bytes behind the IP header are there (RFC 792): ports and sequence number. */
static void read_embedded(struct icmp_msg *m)
{
    const uint8_t *p = m->body;
    uint32_t at = m->version == 4 ? embedded4(p, m->body_len, m) : embedded6(p, m->body_len, m);
    if (at == 0 || m->body_len < at + 8)
        return;
    m->has_tcp = true;
    m->in_src_port = get16(p + at);
    m->in_dst_port = get16(p + at + 2);
    m->in_seq = seq(get32(p + at + 4));
}

/* ICMPv6 has a pseudo-header (RFC 4443 2.3), ICMP has none. */
static uint64_t pseudo(uint8_t version, const tern_ip *src, const tern_ip *dst, uint32_t len)
{
    return version == 6 ? csum_pseudo(src, dst, PROTO_ICMP6, len) : 0;
}

enum tern_cause icmp_parse(const struct ip_hdr *ip, struct icmp_msg *out)
{
    const uint8_t *p = ip->payload;
    if (ip->payload_len < ICMP_HDR)
        return TERN_C_ICMP_MALFORMED;
    uint64_t sum = pseudo(ip->version, &ip->src, &ip->dst, ip->payload_len);
    if (csum_fold(csum_add(sum, p, ip->payload_len)) != 0)
        return TERN_C_ICMP_MALFORMED;
    *out = (struct icmp_msg){
        .version = ip->version,
        .type = p[0],
        .code = p[1],
        .rest = get32(p + 4),
        .body = p + ICMP_HDR,
        .body_len = ip->payload_len - ICMP_HDR,
        .is_error = is_error(ip->version, p[0]),
    };
    if (out->is_error)
        read_embedded(out);
    return TERN_CAUSE_NONE;
}

void icmp_unreachable(const uint8_t *packet, uint32_t tcp_at, struct icmp_msg *out)
{
    uint8_t version = packet[0] >> 4;
    *out = (struct icmp_msg){
        .version = version,
        .type = version == 4 ? ICMP_UNREACH : ICMP6_UNREACH,
        .code = version == 4 ? 1 : 3, /* host (RFC 792), address (RFC 4443 3.1) */
        .is_error = true,
        .has_tcp = true,
        .in_src_port = get16(packet + tcp_at),
        .in_dst_port = get16(packet + tcp_at + 2),
        .in_seq = seq(get32(packet + tcp_at + 4)),
    };
    ip_addresses(packet, &out->in_src, &out->in_dst);
}

void icmp_emit(uint8_t *p, uint8_t version, uint8_t type, uint8_t code, uint32_t rest, const uint8_t *body,
               uint32_t body_len, const tern_ip *src, const tern_ip *dst)
{
    p[0] = type, p[1] = code;
    put16(p + 2, 0);
    put32(p + 4, rest);
    uint64_t sum = csum_add(pseudo(version, src, dst, ICMP_HDR + body_len), p, ICMP_HDR);
    put16(p + 2, csum_fold(csum_add(sum, body, body_len)));
}
