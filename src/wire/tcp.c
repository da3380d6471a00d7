/* tcp.c - the TCP header (RFC 9293 3.1). */
#include "tcp_options.h"

enum { TCP_HDR = 20 };

static bool checksum_right(const struct ip_hdr *ip, tern_sum_fn *sum)
{
    uint64_t pseudo = csum_pseudo(&ip->src, &ip->dst, PROTO_TCP, ip->payload_len);
    return csum_fold(pseudo + sum(NULL, ip->payload, ip->payload_len)) == 0;
}

static void read_header(const struct ip_hdr *ip, const uint8_t *p, uint32_t hdr_len, struct segment *out)
{
    *out = (struct segment){
        .src = ip->src,
        .dst = ip->dst,
        .src_port = get16(p),
        .dst_port = get16(p + 2),
        .seq = seq(get32(p + 4)),
        .ack = seq(get32(p + 8)),
        .flags = p[13],
        .wnd = get16(p + 14),
        .up = get16(p + 18),
        .tos = ip->tos,
        .ttl = ip->ttl,
        .data = p + hdr_len,
        .len = ip->payload_len - hdr_len,
    };
}

enum tern_cause tcp_parse(const struct ip_hdr *ip, bool verify, struct segment *out)
{
    return tcp_parse_with(ip, verify ? csum_plain : NULL, out);
}

enum tern_cause tcp_parse_with(const struct ip_hdr *ip, tern_sum_fn *verify, struct segment *out)
{
    const uint8_t *p = ip->payload;
    if (ip->payload_len < TCP_HDR)
        return TERN_C_TCP_MALFORMED;
    uint32_t hdr_len = (uint32_t)(p[12] >> 4) * 4;
    if (hdr_len < TCP_HDR || hdr_len > ip->payload_len)
        return TERN_C_TCP_MALFORMED;
    if (verify != NULL && !checksum_right(ip, verify))
        return TERN_C_TCP_CHECKSUM; /* MUST-3 */
    read_header(ip, p, hdr_len, out);
    if (!tcp_opts_parse(p + TCP_HDR, hdr_len - TCP_HDR, (out->flags & F_SYN) != 0, &out->opt))
        return TERN_C_TCP_OPTION_LENGTH; /* MUST-7 */
    return TERN_CAUSE_NONE;
}

uint16_t tcp_emit(uint8_t *p, const struct segment *s)
{
    uint16_t len = (uint16_t)(TCP_HDR + tcp_opts_emit(p + TCP_HDR, &s->opt, s->flags));
    put16(p, s->src_port);
    put16(p + 2, s->dst_port);
    put32(p + 4, s->seq.v);
    put32(p + 8, s->ack.v);
    p[12] = (uint8_t)(len / 4 << 4);
    p[13] = s->flags;
    put16(p + 14, s->wnd);
    put16(p + 16, 0);
    put16(p + 18, s->up);
    return len;
}
