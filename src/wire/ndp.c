/* ndp.c - neighbour discovery messages.
 *
 *   ICMPv6 header 4 | word of flags 4 | fixed part of the type | options: type 1, length / 8 1, value
 *                     `-- icmp.rest     `-- icmp.body
 */
#include "ndp.h"

enum { OPT_SOURCE_HW = 1, OPT_TARGET_HW = 2, OPT_PREFIX = 3, OPT_MTU = 5 };
enum { HOP_LIMIT = 255, PREFIX_UNITS = 4 };

tern_ip ndp_solicited_node(const tern_ip *target)
{
    const uint8_t *b = target->b;
    return (tern_ip){{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b[13], b[14], b[15]}};
}

/* --- reading ------------------------------------------------------------------------------------- */

static tern_ip read_ip(const uint8_t *p)
{
    tern_ip ip;
    memcpy(ip.b, p, 16);
    return ip;
}

/* Bytes between the 8 of ICMPv6 and the options; -1: not a type of ours. */
static int fixed_len(uint8_t type)
{
    switch (type) {
    case ICMP6_ROUTER_SOLICIT: return 0;
    case ICMP6_ROUTER_ADVERT: return 8;
    case ICMP6_NEIGHBOUR_SOLICIT:
    case ICMP6_NEIGHBOUR_ADVERT: return 16;
    default: return -1;
    }
}

/* RFC 4861 4.6.2. A prefix longer than an address is stepped over. */
static void read_prefix(const uint8_t *p, struct ndp_msg *m)
{
    if (m->n_prefixes == NDP_PREFIXES || p[2] > 128)
        return;
    m->prefixes[m->n_prefixes++] = (struct ndp_prefix){
        .prefix = read_ip(p + 16),
        .valid_s = get32(p + 4),
        .preferred_s = get32(p + 8),
        .len = p[2],
        .on_link = (p[3] & 0x80) != 0,
        .autonomous = (p[3] & 0x40) != 0,
    };
}

/* One option of `units` times 8 bytes. Those that do not belong to the type, are unknown or have a length
 * that is not theirs, are stepped over (RFC4861-6.1.2-b, RFC4861-7.1.1-b). */
static void read_option(const uint8_t *p, uint8_t units, struct ndp_msg *m)
{
    uint8_t hw = m->type == ICMP6_NEIGHBOUR_ADVERT ? OPT_TARGET_HW : OPT_SOURCE_HW;
    bool from_router = m->type == ICMP6_ROUTER_ADVERT;
    if (p[0] == hw && units == 1) {
        memcpy(m->hw.b, p + 2, 6);
        m->has_hw = true;
    } else if (p[0] == OPT_PREFIX && units == PREFIX_UNITS && from_router) {
        read_prefix(p, m);
    } else if (p[0] == OPT_MTU && units == 1 && from_router) {
        m->mtu = get32(p + 4);
    }
}

/* None has the length 0, or the message is not heard (RFC4861-4.6-a). */
static bool read_options(const uint8_t *p, uint32_t len, struct ndp_msg *m)
{
    while (len != 0) {
        if (len < 8 || p[1] == 0 || (uint32_t)p[1] * 8 > len)
            return false;
        read_option(p, p[1], m);
        len -= (uint32_t)p[1] * 8;
        p += p[1] * 8;
    }
    return true;
}

static void read_fixed(const struct icmp_msg *icmp, struct ndp_msg *m)
{
    uint32_t rest = icmp->rest;
    if (m->type == ICMP6_NEIGHBOUR_SOLICIT || m->type == ICMP6_NEIGHBOUR_ADVERT)
        m->target = read_ip(icmp->body);
    if (m->type == ICMP6_NEIGHBOUR_ADVERT) {
        m->router = (rest & 1u << 31) != 0;
        m->solicited = (rest & 1u << 30) != 0;
        m->override = (rest & 1u << 29) != 0;
    }
    if (m->type == ICMP6_ROUTER_ADVERT) {
        m->hop_limit = (uint8_t)(rest >> 24);
        m->managed = (rest & 1u << 23) != 0;
        m->other = (rest & 1u << 22) != 0;
        m->lifetime_s = (uint16_t)rest;
        m->reachable_ms = get32(icmp->body);
        m->retrans_ms = get32(icmp->body + 4);
    }
}

/* ::ffff:a.b.c.d names no IPv6 station, and would be taken for the IPv4 address in it (RFC 4291 2.5.5.2). */
static bool is_target(const tern_ip *ip) { return !ip_is_multicast(ip) && !tern_ip_is4(ip); }

/* What the addresses must be, per type (RFC4861-6.1.2-a, RFC4861-7.1.1-a, RFC4861-7.1.2-a). */
static bool addresses_fine(const struct ip_hdr *ip, const struct ndp_msg *m)
{
    bool nobody = ip_is_unspecified(&ip->src);
    switch (m->type) {
    case ICMP6_NEIGHBOUR_SOLICIT: { /* RFC 4861 7.1.1 */
        tern_ip node = ndp_solicited_node(&m->target);
        return is_target(&m->target) && (!nobody || (!m->has_hw && ip_eq(&ip->dst, &node)));
    }
    case ICMP6_NEIGHBOUR_ADVERT: /* 7.1.2 */
        return !nobody && is_target(&m->target) && !(m->solicited && ip_is_multicast(&ip->dst));
    case ICMP6_ROUTER_SOLICIT: /* 6.1.1 */
        return !nobody || !m->has_hw;
    default: /* 6.1.2 */
        return ip_is_link_local6(&ip->src);
    }
}

enum tern_cause ndp_parse(const struct ip_hdr *ip, const struct icmp_msg *icmp, struct ndp_msg *out)
{
    int fixed = fixed_len(icmp->type);
    if (ip->version != 6 || fixed < 0 || icmp->body_len < (uint32_t)fixed)
        return TERN_C_NDP_MALFORMED;
    if (ip->ttl != HOP_LIMIT || icmp->code != 0 || ip_is_multicast(&ip->src))
        return TERN_C_NDP_MALFORMED; /* 255: no router has touched it (RFC4861-7.1.1-a, RFC4861-6.1.2-a) */
    *out = (struct ndp_msg){.type = icmp->type};
    read_fixed(icmp, out);
    if (!read_options(icmp->body + fixed, icmp->body_len - (uint32_t)fixed, out) || !addresses_fine(ip, out))
        return TERN_C_NDP_MALFORMED;
    return TERN_CAUSE_NONE;
}

/* --- writing ------------------------------------------------------------------------------------- */

static uint8_t *put_hw(uint8_t *p, const struct ndp_msg *m)
{
    p[0] = m->type == ICMP6_NEIGHBOUR_ADVERT ? OPT_TARGET_HW : OPT_SOURCE_HW, p[1] = 1;
    memcpy(p + 2, m->hw.b, 6);
    return p + 8;
}

static uint8_t *put_mtu(uint8_t *p, uint32_t mtu)
{
    put32(p, (uint32_t)OPT_MTU << 24 | 1 << 16);
    put32(p + 4, mtu);
    return p + 8;
}

static uint8_t *put_prefix(uint8_t *p, const struct ndp_prefix *x)
{
    p[0] = OPT_PREFIX, p[1] = PREFIX_UNITS;
    p[2] = x->len, p[3] = (uint8_t)(x->on_link << 7 | x->autonomous << 6);
    put32(p + 4, x->valid_s);
    put32(p + 8, x->preferred_s);
    put32(p + 12, 0);
    memcpy(p + 16, x->prefix.b, 16);
    return p + PREFIX_UNITS * 8;
}

static uint8_t *put_router_advert(uint8_t *p, const struct ndp_msg *m)
{
    put32(p, m->reachable_ms);
    put32(p + 4, m->retrans_ms);
    p += 8;
    if (m->has_hw)
        p = put_hw(p, m);
    if (m->mtu)
        p = put_mtu(p, m->mtu);
    for (uint8_t i = 0; i < m->n_prefixes; i++)
        p = put_prefix(p, &m->prefixes[i]);
    return p;
}

static uint8_t *put_neighbour(uint8_t *p, const struct ndp_msg *m)
{
    memcpy(p, m->target.b, 16);
    return m->has_hw ? put_hw(p + 16, m) : p + 16;
}

/* The word behind the checksum. */
static uint32_t flags_of(const struct ndp_msg *m)
{
    if (m->type == ICMP6_NEIGHBOUR_ADVERT)
        return (uint32_t)m->router << 31 | (uint32_t)m->solicited << 30 | (uint32_t)m->override << 29;
    if (m->type == ICMP6_ROUTER_ADVERT)
        return (uint32_t)m->hop_limit << 24 | (uint32_t)m->managed << 23 | (uint32_t)m->other << 22 |
               m->lifetime_s;
    return 0;
}

uint16_t ndp_emit(uint8_t *p, const struct ndp_msg *m, const tern_ip *src, const tern_ip *dst)
{
    uint8_t *body = p + 8, *end = body;
    ASSERT(fixed_len(m->type) >= 0 && m->n_prefixes <= NDP_PREFIXES);
    if (m->type == ICMP6_ROUTER_ADVERT)
        end = put_router_advert(body, m);
    else if (m->type != ICMP6_ROUTER_SOLICIT)
        end = put_neighbour(body, m);
    else if (m->has_hw)
        end = put_hw(body, m);
    icmp_emit(p, 6, m->type, 0, flags_of(m), body, (uint32_t)(end - body), src, dst);
    return (uint16_t)(end - p);
}
