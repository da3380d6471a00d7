/* ndp.h - neighbour discovery for IPv6 over Ethernet (RFC 4861): solicitations and advertisements of
 * neighbours and routers. Redirects are not read. */
#ifndef WIRE_NDP_H
#define WIRE_NDP_H

#include "ethernet.h"

enum { NDP_MAX = 192 };    /* bytes that ndp_emit writes at most */
enum { NDP_PREFIXES = 4 }; /* read of one router advertisement; later ones are stepped over */

/* Prefix information (RFC 4861 4.6.2). */
struct ndp_prefix {
    tern_ip prefix;
    uint32_t valid_s, preferred_s; /* UINT32_MAX = for ever */
    uint8_t len;                   /* bits, 0..128 */
    bool on_link, autonomous;
};

struct ndp_msg {
    uint8_t type;              /* ICMP6_NEIGHBOUR_..., ICMP6_ROUTER_... */
    bool has_hw;               /* the link-layer address option that belongs to the type is there: */
    struct eth_addr hw;        /* of the target in a neighbour advertisement, of the sender otherwise */
    /* neighbours */
    tern_ip target;
    bool router, solicited, override; /* flags of an advertisement */
    /* router advertisement */
    uint8_t hop_limit;         /* 0 = not said */
    bool managed, other;
    uint16_t lifetime_s;       /* as default router; 0 = it is none */
    uint32_t reachable_ms, retrans_ms; /* 0 = not said */
    uint32_t mtu;              /* 0 = not said */
    uint8_t n_prefixes;
    struct ndp_prefix prefixes[NDP_PREFIXES];
};

/* Parse what icmp_parse has read from `ip`. Refused (NDP_MALFORMED) is all that RFC 4861 6.1 and 7.1 have
 * ignored, in particular what has crossed a router, and every other type. */
enum tern_cause ndp_parse(const struct ip_hdr *ip, const struct icmp_msg *icmp, struct ndp_msg *out);

/* Write the whole ICMPv6 message, checksum made. Returns its length. To be sent with hop limit 255. */
uint16_t ndp_emit(uint8_t *p, const struct ndp_msg *m, const tern_ip *src, const tern_ip *dst);

/* The solicited-node address ff02::1:ffXX:XXXX of an address (RFC 4291 2.7.1). */
tern_ip ndp_solicited_node(const tern_ip *target);

#endif
