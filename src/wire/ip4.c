/* ip4.c - the IPv4 header (RFC 791 3.1). */
#include "ip_parts.h"

enum { OPT_END = 0, OPT_NOP = 1, OPT_LSRR = 131, OPT_SSRR = 137 };

/* Walk the options. Source routes are noted; all others are stepped over (RFC 9293 3.9.2 MUST-50). False:
 * a length that does not fit. */
static bool read_options(const uint8_t *p, const uint8_t *end, struct ip_hdr *out)
{
    while (p < end && *p != OPT_END) {
        if (*p == OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return false;
        if (*p == OPT_LSRR || *p == OPT_SSRR)
            out->source_route = true;
        p += p[1];
    }
    return true;
}

/* Flags and fragment offset: reserved, DF, MF, 13 bits in units of 8 bytes. */
static void read_fragment(const uint8_t *p, struct ip_hdr *out)
{
    uint16_t word = get16(p + 6);
    out->dont_fragment = (word & 0x4000) != 0;
    out->more = (word & 0x2000) != 0;
    out->frag_off = (uint32_t)(word & 0x1fff) * 8;
    out->frag_id = get16(p + 4);
    out->fragment = out->more || out->frag_off != 0;
}

enum tern_cause ip4_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out)
{
    if (len < IP4_HDR)
        return TERN_C_IP_MALFORMED;
    uint32_t hdr_len = (uint32_t)(p[0] & 15) * 4, total_len = get16(p + 2);
    if (hdr_len < IP4_HDR || hdr_len > total_len || total_len > len)
        return TERN_C_IP_MALFORMED;
    if (csum_fold(csum_add(0, p, hdr_len)) != 0)
        return TERN_C_IP_CHECKSUM; /* RFC 1122 3.2.1.2 */
    *out = (struct ip_hdr){
        .src = tern_ip4(p[12], p[13], p[14], p[15]),
        .dst = tern_ip4(p[16], p[17], p[18], p[19]),
        .payload = p + hdr_len,
        .payload_len = total_len - hdr_len,
        .total_len = total_len,
        .hdr_len = (uint16_t)hdr_len,
        .frag_hdr_len = (uint16_t)hdr_len,
        .version = 4,
        .proto = p[9],
        .ttl = p[8],
        .tos = p[1],
    };
    read_fragment(p, out);
    return read_options(p + IP4_HDR, p + hdr_len, out) ? TERN_CAUSE_NONE : TERN_C_IP_MALFORMED;
}
