/* net.h - links, addresses, routes and neighbours of a stack, and their change while it runs.
 *
 * What a change means for the connections that are there:
 *
 *  - An address that is removed ends its connections at once, with the reason ADDR_REMOVED and the error
 *    -TERN_EADDRNOTAVAIL. Nothing is sent: the address is not ours any more, and may be another host's
 *    already. Half-open and TIME_WAIT records of it go. A listener at it stays: it hears nothing until the
 *    address is there again.
 *  - A link that is down carries nothing either way, and routes by it are not used. A connection whose peer
 *    can be reached by another link goes on there; one that has no way left keeps all it has, sends nothing
 *    and lets its timers run, so that in the end the user timeout or the retries end it. When a way is there
 *    again, what is due leaves at once.
 *  - A connection that this program opened follows the routes. One that a peer opened answers by the link its
 *    SYN came from, as long as that is up, then by the routes. Link-local addresses never leave their link.
 *  - A new MTU of a link changes the largest segment of its connections at once: down, and what is in flight
 *    and larger is cut and sent again; up, as far as the peer's MSS allows.
 *
 * Each change is made for all records by the end of the call as long as they are few; in a stack with very
 * many, a call looks at 4096 of them and the rest follow in slices at each tern_tick (tern_next_deadline says
 * now until it is done). What has not been looked at yet neither sends nor receives by the old state of
 * affairs. Only a call that adds what a change still under way has removed finishes that change first.
 *
 * On a link of kind Ethernet (tern_link_info.ethernet) the stack asks for the Ethernet addresses of its
 * neighbours by ARP and neighbour discovery, and answers for its own. A new address is *tentative* for a
 * while: other hosts are asked whether they have it (IPv6: 1 to 2 s, RFC 4862 5.4; IPv4: 4 to 7 s, RFC 5227),
 * and until then it is neither a source nor a destination, though a listener may be made at it already. If
 * another host has it, it stays unused, as *duplicate*. tern_addr_list tells how far it is.
 *
 * A `link` is an id from tern_link_add. -TERN_ENODEV always means: no such link.
 */
#ifndef TERN_NET_H
#define TERN_NET_H

#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One link. */
typedef struct tern_link_entry {
    int link;            /* its id */
    bool up;
    tern_link_info info;
} tern_link_entry;

/* One address. */
typedef struct tern_addr_entry {
    tern_ip ip;
    uint8_t prefix_len;
    uint8_t link;
    bool deprecated;     /* chosen as a source only when there is no other (RFC 6724 5, rule 3) */
    uint8_t state;       /* TERN_ADDR_... */
    bool learned;        /* made by the stack (RFC 4862) */
    uint64_t valid_us;   /* it goes then; 0 = never */
    uint64_t preferred_us; /* it is deprecated from then on; 0 = never */
} tern_addr_entry;

enum {
    TERN_ADDR_USABLE,    /* ours */
    TERN_ADDR_TENTATIVE, /* other hosts are being asked */
    TERN_ADDR_DUPLICATE, /* another host has it: not used */
};

/* One route, in the order in which they are asked for equal prefixes. */
typedef struct tern_route_entry {
    tern_ip dst;
    uint8_t prefix_len;
    uint8_t link;
    bool by_addr;        /* the prefix of an address, and nobody else asked for it */
    bool learned;        /* by a router's advertisement (RFC 4861 6.3.4) */
    tern_ip via;         /* the gateway; all zero: those addresses are on the link itself */
    uint64_t until_us;   /* it goes then; 0 = never */
} tern_route_entry;

/* How much is known of a neighbour (RFC 4861 7.3.2; the same for IPv4). */
enum {
    TERN_NEIGH_INCOMPLETE = 1, /* being asked for its address; what is sent to it waits */
    TERN_NEIGH_REACHABLE,      /* it has shown lately that it hears us */
    TERN_NEIGH_STALE,          /* that was long ago; fine until something is sent to it */
    TERN_NEIGH_DELAY,          /* something was: perhaps the peer's ACKs will show it */
    TERN_NEIGH_PROBE,          /* it is being asked whether it is there */
    TERN_NEIGH_FAILED,         /* it did not answer; asked anew when something is sent to it */
};

/* One neighbour: an address on an Ethernet link, that of a gateway too. */
typedef struct tern_neigh_entry {
    tern_ip ip;
    uint8_t link;
    uint8_t state;       /* TERN_NEIGH_... */
    bool known;          /* hw is */
    uint8_t hw[6];       /* its Ethernet address */
    bool router;         /* it says that it is one (IPv6) */
    uint8_t probes;      /* unanswered */
    uint16_t waiting;    /* packets that wait for its address */
    uint64_t since_us;   /* since when it has been in this state */
} tern_neigh_entry;

/* Change what is known of a link: MTU and offloads. Errors: -TERN_ENODEV, -TERN_EINVAL (as tern_link_add; an
 * MTU below 1280 with an IPv6 address on the link, RFC 8200 5). */
int tern_link_set(tern *t, int link, const tern_link_info *info);

/* Take a link down, or up again; a new one is up. Doing it again is fine. Error: -TERN_ENODEV. */
int tern_link_up(tern *t, int link, bool up);

/* Take a link away, with its addresses and routes. Its id may be given to a later one. Connections to a
 * link-local peer on it end with the reason LINK_REMOVED, those from its addresses as with tern_addr_remove.
 * Error: -TERN_ENODEV. */
int tern_link_remove(tern *t, int link);

/* Take an address away. `link` 0: whichever has it (of a link-local one that several links have: the one
 * whose address was added first). Its prefix stays routed to the link while another of its addresses has the
 * same, or the route was asked for. Errors: -TERN_ENODEV, -TERN_ENOENT (not an address of that link). */
int tern_addr_remove(tern *t, int link, const tern_ip *ip);

/* Deprecate an address, or prefer it again: connections that use it go on, new ones take another when there
 * is one. For an address that is soon to go. `link` and errors as tern_addr_remove. */
int tern_addr_deprecate(tern *t, int link, const tern_ip *ip, bool deprecated);

/* Take a route away. What it carried takes the next choice: the same prefix by another link, a shorter
 * prefix. Errors: -TERN_ENODEV, -TERN_ENOENT. */
int tern_route_remove(tern *t, int link, const tern_ip *dst, int prefix_len);

/* Let `dst`/`prefix_len` go by this link and no other, without a moment in which there is no route. Errors as
 * tern_route_add, without -TERN_EEXIST. */
int tern_route_replace(tern *t, int link, const tern_ip *dst, int prefix_len);

/* Route `dst`/`prefix_len` by a gateway, which is a neighbour on the link (of kind Ethernet). In place of the
 * same route by another gateway or none. Errors as tern_route_add, and -TERN_EINVAL: the gateway is of
 * another family or no host's address, or the link is of IP packets. */
int tern_route_add_via(tern *t, int link, const tern_ip *dst, int prefix_len, const tern_ip *via);

/* The neighbours that are known or asked for: at most `max` entries are filled, in no particular order, which
 * is the same in each run. Returns how many there are in all. */
int tern_neigh_list(const tern *t, tern_neigh_entry *out, int max);

/* Forget neighbours: those of a link (0: of all), `ip` alone or (NULL) all of them. They are asked anew when
 * something is sent to them; what waits for them is dropped. Returns how many; error: -TERN_ENODEV. */
int tern_neigh_flush(tern *t, int link, const tern_ip *ip);

/* What there is: at most `max` entries are filled, in the order of adding (links: of their ids). Return how
 * many there are in all. */
int tern_link_list(const tern *t, tern_link_entry *out, int max);
int tern_addr_list(const tern *t, tern_addr_entry *out, int max);
int tern_route_list(const tern *t, tern_route_entry *out, int max);

/* The source address that tern_connect would choose towards `remote` now (RFC 6724 5), and the link (`*link`
 * may be NULL). Errors as tern_connect's about addresses. */
int tern_source(const tern *t, const tern_endpoint *remote, tern_ip *out, int *link);

#ifdef __cplusplus
}
#endif
#endif
