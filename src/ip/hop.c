/* hop.c - the way of a frame: next hop, neighbour, header (RFC 894, RFC 2464).
 *
 * The neighbour that the last packet went to is remembered with its destination, so that a run of packets to
 * one peer costs a comparison each, and neither routes nor the cache are searched.
 */
#include "ip/ip.h"

static const tern_ip none;

/* RFC 4861 6.3.6: a router that does not answer is not chosen while there is another. */
static bool answers(struct arena *a, const struct ether *e, const struct ip_route *r)
{
    if (ip_eq(&r->via, &none))
        return true;
    const struct neigh *n = neigh_find(a, e, r->link, &r->via);
    return n == NULL || n->state != TERN_NEIGH_FAILED;
}

/* Whether `r` is to be taken rather than `best` (NULL: there is none yet). */
static bool better(struct arena *a, const struct ether *e, const struct ip_route *r,
                   const struct ip_route *best)
{
    if (best == NULL || r->prefix_len != best->prefix_len)
        return best == NULL || r->prefix_len > best->prefix_len;
    return !answers(a, e, best) && answers(a, e, r);
}

/* RFC 4861 5.2, RFC 1122 3.3.1. Link-local addresses, and what no route of the link leads to, are on the link
 * itself. */
void ether_next_hop(struct arena *a, const struct ip_state *s, uint8_t link, const tern_ip *dst, tern_ip *out)
{
    const struct ip_route *best = NULL;
    *out = *dst;
    if (ip_is_link_local6(dst))
        return;
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct ip_route *r = &s->routes[i];
        if (r->link == link && ip_prefix_eq(&r->dst, dst, r->prefix_len) && better(a, &s->ether, r, best))
            best = r;
    }
    if (best != NULL && !ip_eq(&best->via, &none))
        *out = best->via;
}

/* Room for the header is made before the packet's own. */
static void put_header(const struct ip_state *s, tern_tx_packet *pkt, const struct eth_addr *to)
{
    struct eth_frame f = {.dst = *to, .type = pkt->flags & TERN_TX_IP6 ? ETH_IP6 : ETH_IP4};
    memcpy(f.src.b, s->links[pkt->link].hw, sizeof f.src.b);
    memmove(pkt->hdr + ETH_HDR, pkt->hdr, pkt->hdr_len);
    eth_emit(pkt->hdr, &f);
    pkt->flags |= TERN_TX_ETHERNET;
    pkt->hdr_len += ETH_HDR;
    pkt->csum_start += ETH_HDR;
    pkt->len += ETH_HDR;
}

/* Groups need no neighbour. */
static bool to_group(const struct ip_state *s, const tern_ip *dst, struct eth_addr *to)
{
    if (ip_is_multicast(dst))
        *to = eth_multicast(dst);
    else if (ip_is_broadcast(s, dst))
        memset(to->b, 0xff, sizeof to->b);
    else
        return false;
    return true;
}

/* The neighbour that the last packet went to, if this one goes there too and nothing has to be looked at. */
static struct neigh *as_before(struct arena *a, const struct ether *e, uint64_t now, uint8_t link,
                               const tern_ip *dst)
{
    if (e->last == 0 || e->last_link != link || !ip_eq(&e->last_dst, dst))
        return NULL;
    struct neigh *n = at(a, e->last);
    return neigh_state(n, now) == TERN_NEIGH_REACHABLE ? n : NULL;
}

bool ether_frame(struct arena *a, struct ip_state *s, uint64_t now, tern_tx_packet *pkt)
{
    struct ether *e = &s->ether;
    struct eth_addr group;
    tern_ip src, dst, hop;
    ip_addresses(pkt->hdr, &src, &dst);
    struct neigh *n = as_before(a, e, now, pkt->link, &dst);
    if (n != NULL) {
        n->used = true;
        put_header(s, pkt, &n->hw);
        return true;
    }
    if (to_group(s, &dst, &group)) {
        put_header(s, pkt, &group);
        return true;
    }
    ether_next_hop(a, s, pkt->link, &dst, &hop);
    bool known = neigh_use(a, s, now, pkt->link, &hop, &src, &n);
    if (n == NULL) {
        e->dropped++;
        return false;
    }
    put_header(s, pkt, &n->hw);
    if (!known) {
        held_wait(a, e, n, pkt);
        return false;
    }
    e->last = ref_of(a, n);
    e->last_dst = dst;
    e->last_link = pkt->link;
    return true;
}
