/* ip.h - addresses, routes, links, and the answers that IP gives by itself.
 *
 * A handful of addresses and routes, so plain arrays searched in order. Nothing here knows TCP:
 * stack/rx.c asks here whose a packet is and hands segments on.
 */
#ifndef IP_IP_H
#define IP_IP_H

#include "base/arena.h"
#include "base/chunkq.h"
#include "base/sizes.h"
#include "ip/ether.h"
#include "ip/frag.h"
#include "wire/wire.h"
#include <tern/net.h>

struct ip_addr {
    tern_ip ip;
    uint8_t link;
    uint8_t prefix_len;
    bool deprecated;
    uint8_t state;     /* TERN_ADDR_... */
    bool learned;      /* made by the stack (stack/autoconf.c) */
    uint8_t probes;    /* still to be sent, then announcements: */
    uint8_t announces;
    uint8_t tries;     /* before it, of the same prefix, that others had (RFC 7217 6) */
    uint64_t step_us;  /* when the next of them is due, or it becomes usable; 0 = nothing is */
    uint64_t defended_us; /* when we last did; 0 = never */
    uint64_t valid_us, preferred_us; /* it goes, is deprecated then; 0 = never */
};

struct ip_route {
    tern_ip dst;
    uint8_t link;
    uint8_t prefix_len;
    bool asked;        /* by the program; else it is the prefix of an address, */
    bool learned;      /* or a router advertised it */
    tern_ip via;       /* gateway; all zero: none */
    uint64_t until_us; /* it goes then; 0 = never */
};

/* An echo reply waiting for tern_tx. */
struct ip_echo {
    tern_ip src, dst;
    uint32_t rest;
    uint8_t link;
    uint8_t tos;
    uint16_t id;       /* of the fragments, when it must be cut (RFC 1122 3.2.2.6) */
    uint32_t at;       /* bytes of the message already emitted */
    struct chunkq body;
};

struct ip_state {
    tern_link_info links[IP_LINKS]; /* mtu 0 = no such link */
    uint32_t up;                    /* bit id: the link is there and up */
    struct ip_addr addrs[IP_ADDRS];
    struct ip_route routes[IP_ROUTES];
    uint32_t n_addrs, n_routes;
    uint32_t broadcasts[IP_ADDRS];  /* IPv4 broadcast addresses of our prefixes, each once (ip.c derives
                                       them) */
    uint32_t n_broadcasts;
    struct ip_echo echoes[IP_ECHOES]; /* a ring: */
    uint32_t echo_head, echo_count;
    uint32_t echo_sent;               /* emitted, pages not yet released */
    uint16_t id;                      /* IPv4 identification */
    struct frag_table frag;
    struct ether ether;
};

/* The tables (the errors are those of tern.h and net.h). ip_link_add: `taken` has the bits of ids that must
 * not be given yet. */
int ip_link_add(struct ip_state *s, const tern_link_info *info, uint32_t taken);
int ip_link_set(struct ip_state *s, int link, const tern_link_info *info);
int ip_link_up(struct ip_state *s, int link, bool up);
int ip_link_remove(struct ip_state *s, int link);
int ip_addr_add(struct ip_state *s, int link, const tern_ip *ip, int prefix_len);
struct ip_addr *ip_addr_find(struct ip_state *s, int link, const tern_ip *ip, int *error);
void ip_addr_remove(struct ip_state *s, struct ip_addr *a);
int ip_route_add(struct ip_state *s, int link, const tern_ip *dst, int prefix_len);
int ip_route_remove(struct ip_state *s, int link, const tern_ip *dst, int prefix_len);
int ip_route_replace(struct ip_state *s, int link, const tern_ip *dst, int prefix_len);
int ip_route_via(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, const tern_ip *via);

/* A route that a router advertises, until then (0: for ever); one that is there is renewed. False: no
 * room. */
bool ip_route_learn(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, const tern_ip *via,
                    uint64_t until_us);
/* It does so no more. False: there was none. */
bool ip_route_unlearn(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, const tern_ip *via);

static inline bool ip_link_known(const struct ip_state *s, int link)
{
    return link > 0 && link < IP_LINKS && s->links[link].mtu != 0;
}
static inline bool ip_link_is_up(const struct ip_state *s, uint32_t link) { return s->up >> link & 1; }

/* Zone of a pair of addresses: the link, when one of them has a meaning on that link only (RFC 4007 6);
 * otherwise 0. */
static inline uint8_t ip_zone(const tern_ip *a, const tern_ip *b, uint8_t link)
{
    return ip_is_link_local6(a) || ip_is_link_local6(b) ? link : 0;
}

/* Whether packets to `ip` that come by `link` (0: by any) are ours: an address that is usable. */
bool ip_is_ours(const struct ip_state *s, const tern_ip *ip, int link);

/* Its entry, usable or not; NULL: none. */
struct ip_addr *ip_addr_at(struct ip_state *s, const tern_ip *ip, int link);

/* Whether a peer may have this address: neither unspecified, nor multicast, nor broadcast, that of our
 * prefixes included (RFC 9293 3.9.2.3; RFC 1122 3.2.1.3). */
bool ip_valid_peer(const struct ip_state *s, const tern_ip *ip);

/* Of an IPv4 address as a number. */
static inline bool ip_is_broadcast4_of(const struct ip_state *s, uint32_t ip4)
{
    for (uint32_t i = 0; i < s->n_broadcasts; i++)
        if (s->broadcasts[i] == ip4)
            return true;
    return ip4 == 0xffffffff;
}

static inline bool ip_is_broadcast(const struct ip_state *s, const tern_ip *ip)
{
    return tern_ip_is4(ip) && ip_is_broadcast4_of(s, get32(ip->b + 12));
}

/* As ip_valid_peer: not 0.0.0.0/8 ("this network"), nor multicast. */
static inline bool ip_valid_peer4(const struct ip_state *s, const tern_ip *ip)
{
    uint32_t ip4 = get32(ip->b + 12);
    return ip4 >> 24 != 0 && ip4 >> 28 != 14 && !ip_is_broadcast4_of(s, ip4);
}

/* Of a packet whose addresses are IPv4: to an address of ours, from one that may be a peer's, and neither is
 * a broadcast. */
static inline bool ip_is_plain4(const struct ip_state *s, const tern_ip *src, const tern_ip *dst, int link)
{
    const struct ip_addr *first = &s->addrs[0]; /* most stacks have one */
    bool ours = s->n_addrs > 0 && first->state == TERN_ADDR_USABLE && ip_eq(&first->ip, dst);
    const uint32_t low = 1u << 24, some = 223u << 24; /* 1.0.0.0 to 223.255.255.255 */
    uint32_t a = get32(src->b + 12), b = get32(dst->b + 12);
    bool odd = (a - low >= some) | (b - low >= some);
    for (uint32_t i = 0; i < s->n_broadcasts; i++)
        odd |= (s->broadcasts[i] == a) | (s->broadcasts[i] == b);
    return (LIKELY(ours) || ip_is_ours(s, dst, link)) &&
           (LIKELY(!odd) || (ip_valid_peer4(s, src) && ip_valid_peer4(s, dst)));
}

/* Link towards a destination (longest prefix, of links that are up); 0 = no route. */
int ip_route(const struct ip_state *s, const tern_ip *dst);

/* The same, links that are down included. */
int ip_route_any(const struct ip_state *s, const tern_ip *dst);

/* The way of a connection: `home`, where its peer is known to be (0: not known), while that is up; else by
 * the routes, unless one of the addresses is link-local. 0 = there is no way now. */
uint8_t ip_way_by_routes(const struct ip_state *s, const tern_ip *local, const tern_ip *remote);
static inline uint8_t ip_way(const struct ip_state *s, const tern_ip *local, const tern_ip *remote,
                             uint8_t home)
{
    return home != 0 && ip_link_is_up(s, home) ? home : ip_way_by_routes(s, local, remote);
}

/* source.c: source address for a destination by that link (RFC 6724 5); false: none. */
bool ip_source(const struct ip_state *s, int link, const tern_ip *dst, tern_ip *out);

/* Largest IP packet to this peer by this link. */
uint32_t ip_mtu(const struct ip_state *s, int link, const tern_ip *remote);

/* Largest TCP payload with an option-less header on this link: MMS_S - 20 (RFC 9293 MUST-16, MUST-67). */
uint32_t ip_mss(const struct ip_state *s, int link, const tern_ip *remote);

/* Take an echo request: a reply is queued. False: no room (dropped). */
bool ip_echo_queue(struct arena *a, struct ip_state *s, const struct ip_hdr *ip, const struct icmp_msg *m,
                   uint8_t link);

/* Emit one waiting echo reply; false = none. */
bool ip_echo_emit(struct arena *a, struct ip_state *s, tern_tx_packet *out);

/* Release the pages of the replies emitted so far. */
void ip_echo_done(struct arena *a, struct ip_state *s);

#endif
