/* ip6.c - the IPv6 header and its extension headers (RFC 8200 3, 4).
 *
 *   | 40 bytes | hop-by-hop | destination | routing | fragment | destination | upper layer ...
 *              `-- in any order, but hop-by-hop first and one fragment header at most
 *              `-- unfragmentable part ------------´           `-- fragmentable part
 *
 * Headers that a host processes are stepped over: hop-by-hop, destination options, routing with nothing left,
 * an atomic fragment (RFC 6946). Anything else, AH and ESP included, is the protocol that the caller finds.
 * Jumbograms (RFC 2675) are not supported: their option is one of those whose ignorance means refusal.
 */
#include "ip_parts.h"

enum { EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_DESTINATION = 60 };

static bool is_ext(uint8_t next)
{
    return next == EXT_HOP_BY_HOP || next == EXT_ROUTING || next == EXT_DESTINATION || next == PROTO_FRAGMENT;
}

/* Bytes of the extension header at `at`; 0 = it does not fit. All but the fragment header say their length
 * in units of 8 bytes beyond the first 8. */
static uint32_t ext_len(const uint8_t *p, uint32_t at, uint32_t len, uint8_t type)
{
    if (len - at < 8)
        return 0;
    uint32_t n = type == PROTO_FRAGMENT ? IP6_FRAG_HDR : ((uint32_t)p[at + 1] + 1) * 8;
    return n <= len - at ? n : 0;
}

/* Options of a hop-by-hop or destination header (RFC 8200 4.2): those that we do not know are stepped over
 * when their two highest bits are 00, and make the packet unwanted otherwise. We know none but padding,
 * and need none. */
static bool options_fine(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (*p == 0) { /* Pad1: the only one without a length */
            p++;
            continue;
        }
        if (end - p < 2 || p[1] > end - p - 2 || (*p & 0xc0) != 0)
            return false;
        p += p[1] + 2;
    }
    return true;
}

/* Returns false for the second one: a packet is fragmented once (RFC 8200 4.1). */
static bool read_fragment(const uint8_t *p, uint32_t at, struct ip_hdr *out)
{
    if (out->frag_hdr_len != 0)
        return false;
    out->frag_off = get16(p + at + 2) & 0xfff8;
    out->more = (p[at + 3] & 1) != 0;
    out->frag_id = get32(p + at + 4);
    out->frag_hdr_len = (uint16_t)at;
    out->fragment = out->more || out->frag_off != 0; /* neither: an atomic fragment, whole (RFC 6946 4) */
    return true;
}

static bool read_ext(const uint8_t *p, uint32_t at, uint32_t n, uint8_t type, struct ip_hdr *out)
{
    switch (type) {
    case PROTO_FRAGMENT:
        return read_fragment(p, at, out);
    case EXT_ROUTING: /* RFC 8200 4.4: segments left */
        out->source_route |= p[at + 3] != 0;
        return true;
    case EXT_HOP_BY_HOP:
        if (at != IP6_HDR)
            return false; /* RFC 8200 4.1: only right behind the IPv6 header */
        return options_fine(p + at + 2, p + at + n);
    default:
        return options_fine(p + at + 2, p + at + n);
    }
}

static enum tern_cause read_chain(const uint8_t *p, struct ip_hdr *out)
{
    uint8_t next = p[6];
    uint32_t at = IP6_HDR;
    for (int count = 0; is_ext(next) && !out->fragment; count++) {
        uint32_t n = ext_len(p, at, out->total_len, next);
        if (n == 0 || count == EXT_MAX || at + n > IP6_HDR + EXT_BYTES_MAX || !read_ext(p, at, n, next, out))
            return TERN_C_IP_MALFORMED;
        next = p[at];
        at += n;
    }
    out->proto = next;
    out->hdr_len = (uint16_t)at;
    out->payload = p + at;
    out->payload_len = out->total_len - at;
    if (!out->fragment)
        out->frag_hdr_len = (uint16_t)at;
    return TERN_CAUSE_NONE;
}

enum tern_cause ip6_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out)
{
    if (len < IP6_HDR || len - IP6_HDR < get16(p + 4))
        return TERN_C_IP_MALFORMED;
    *out = (struct ip_hdr){
        .total_len = (uint32_t)IP6_HDR + get16(p + 4),
        .version = 6,
        .ttl = p[7],
        .tos = (uint8_t)(p[0] << 4 | p[1] >> 4),
    };
    memcpy(out->src.b, p + 8, 16);
    memcpy(out->dst.b, p + 24, 16);
    /* ::ffff:0:0/96 never stands on a wire (RFC 6890 2.2.3); here it would pass for IPv4. */
    if (tern_ip_is4(&out->src))
        return TERN_C_IP_SOURCE_INVALID;
    if (tern_ip_is4(&out->dst))
        return TERN_C_IP_MALFORMED;
    return read_chain(p, out);
}

bool ip6_skip_ext(const uint8_t *p, uint32_t len, uint8_t *next, uint32_t *at)
{
    for (int count = 0; is_ext(*next); count++) {
        uint32_t n = *at <= len ? ext_len(p, *at, len, *next) : 0;
        if (n == 0 || count == EXT_MAX)
            return false;
        if (*next == PROTO_FRAGMENT && (get16(p + *at + 2) & 0xfff8) != 0)
            return false;
        *next = p[*at];
        *at += n;
    }
    return *at <= len;
}
