/* net.h - links, addresses and routes of a stack, and their change while it runs.
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
} tern_addr_entry;

/* One route, in the order in which they are asked for equal prefixes. */
typedef struct tern_route_entry {
    tern_ip dst;
    uint8_t prefix_len;
    uint8_t link;
    bool by_addr;        /* the prefix of an address, and nobody else asked for it */
} tern_route_entry;

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
