/* say.c - messages of this room: ARP (RFC 826, RFC 5227), neighbour and router solicitations, advertisements
 * (RFC 4861 4, RFC 4862 5.4.2), and the groups that their answers come to (RFC 3810).
 *
 * Neighbour discovery goes with hop limit 255, so that the hearer sees that no router has passed it on.
 */
#include "ip/ip.h"

enum { ND_HOPS = 255, MLD_HOPS = 1 };

static const struct eth_addr all_stations = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const tern_ip nobody;
static const tern_ip all_nodes = {{0xff, 2, [15] = 1}}, all_routers = {{0xff, 2, [15] = 2}};

static struct eth_addr own_hw(const struct ip_state *s, uint8_t link)
{
    struct eth_addr hw;
    memcpy(hw.b, s->links[link].hw, sizeof hw.b);
    return hw;
}

/* --- ARP ----------------------------------------------------------------------------------------- */

static void say_arp(struct arena *a, struct ip_state *s, uint8_t link, const struct eth_addr *to,
                    struct arp_msg *m)
{
    struct eth_frame f = {.dst = *to, .src = own_hw(s, link), .type = ETH_ARP};
    uint8_t *p = held_message(a, &s->ether, link, &f, ARP_LEN);
    m->sender_hw = f.src;
    if (p != NULL)
        arp_emit(p, m);
}

/* RFC 5227 2.4 has all that is said of our own addresses broadcast; what answers another's question goes to
 * it alone (RFC 826). */
void say_arp_reply(struct arena *a, struct ip_state *s, uint8_t link, const struct arp_msg *asked)
{
    struct arp_msg m = {.op = ARP_REPLY,
                        .sender = asked->target,
                        .target = asked->sender,
                        .target_hw = asked->sender_hw};
    say_arp(a, s, link, &asked->sender_hw, &m);
}

/* --- neighbour discovery ------------------------------------------------------------------------- */

static void say_nd(struct arena *a, struct ip_state *s, uint8_t link, const tern_ip *src, const tern_ip *dst,
                   const struct eth_addr *to, struct ndp_msg *m)
{
    uint8_t message[NDP_MAX];
    struct eth_frame f = {.dst = *to, .src = own_hw(s, link), .type = ETH_IP6};
    m->has_hw = !ip_is_unspecified(src); /* RFC 4861 4.1, 4.3: not from nobody; else it is asked for
                                            (RFC4861-7.2.2-a, RFC4861-7.2.4-a) */
    m->hw = f.src;
    uint16_t len = ndp_emit(message, m, src, dst);
    uint8_t *p = held_message(a, &s->ether, link, &f, (uint16_t)(40 + len));
    if (p == NULL)
        return;
    uint16_t ip_len = ip_emit(p, src, dst, PROTO_ICMP6, ND_HOPS, 0, len, 0);
    memcpy(p + ip_len, message, len);
}

/* To the solicited-node group; to the neighbour alone when its address is known. */
static void say_solicit(struct arena *a, struct ip_state *s, uint8_t link, const tern_ip *src,
                        const tern_ip *target, const struct eth_addr *only)
{
    struct ndp_msg m = {.type = ICMP6_NEIGHBOUR_SOLICIT, .target = *target};
    tern_ip group = ndp_solicited_node(target);
    struct eth_addr to = only != NULL ? *only : eth_multicast(&group);
    say_nd(a, s, link, src, only != NULL ? target : &group, &to, &m);
}

void say_advert(struct arena *a, struct ip_state *s, uint8_t link, const tern_ip *ours, const tern_ip *to,
                const struct eth_addr *hw)
{
    bool all = ip_is_unspecified(to); /* RFC4861-7.2.4-b; this is no router: RFC4861-7.2.4-c */
    struct ndp_msg m = {
        .type = ICMP6_NEIGHBOUR_ADVERT, .target = *ours, .solicited = !all, .override = true};
    struct eth_addr group = eth_multicast(&all_nodes);
    say_nd(a, s, link, ours, all ? &all_nodes : to, all ? &group : hw, &m);
}

/* A link-local address of ours that is usable: routers and listeners' reports want one. */
static const struct ip_addr *link_local(const struct ip_state *s, uint8_t link)
{
    for (uint32_t i = 0; i < s->n_addrs; i++) {
        const struct ip_addr *x = &s->addrs[i];
        if (x->link == link && x->state == TERN_ADDR_USABLE && ip_is_link_local6(&x->ip))
            return x;
    }
    return NULL;
}

bool say_router_solicit(struct arena *a, struct ip_state *s, uint8_t link)
{
    const struct ip_addr *from = link_local(s, link);
    struct ndp_msg m = {.type = ICMP6_ROUTER_SOLICIT};
    struct eth_addr to = eth_multicast(&all_routers);
    if (from == NULL)
        return false;
    say_nd(a, s, link, &from->ip, &all_routers, &to, &m);
    return true;
}

/* --- both ---------------------------------------------------------------------------------------- */

/* RFC 4861 7.2.2: from the address of the packet that asks, if it is ours. */
static tern_ip asker(const struct ip_state *s, uint8_t link, const tern_ip *target, const tern_ip *from)
{
    tern_ip src;
    if (ip_is_ours(s, from, link))
        return *from;
    if (ip_source(s, link, target, &src))
        return src;
    return tern_ip_is4(target) ? tern_ip4(0, 0, 0, 0) : nobody;
}

void say_ask(struct arena *a, struct ip_state *s, uint8_t link, const tern_ip *ip, const tern_ip *from,
             const struct eth_addr *only)
{
    tern_ip src = asker(s, link, ip, from);
    if (tern_ip_is4(ip)) {
        struct arp_msg m = {.op = ARP_REQUEST, .sender = src, .target = *ip};
        say_arp(a, s, link, only != NULL ? only : &all_stations, &m);
    } else if (!ip_is_unspecified(&src)) { /* from nobody it would mean something else (RFC 4862 5.4.3) */
        say_solicit(a, s, link, &src, ip, only);
    }
}

/* From nobody, so that no cache is spoiled (RFC5227-2.1.1-a, RFC 4862 5.4.2). */
void say_probe(struct arena *a, struct ip_state *s, const struct ip_addr *x)
{
    struct arp_msg m = {.op = ARP_REQUEST, .sender = tern_ip4(0, 0, 0, 0), .target = x->ip};
    if (tern_ip_is4(&x->ip))
        say_arp(a, s, x->link, &all_stations, &m);
    else
        say_solicit(a, s, x->link, &nobody, &x->ip, NULL);
}

void say_announce(struct arena *a, struct ip_state *s, const struct ip_addr *x)
{
    struct arp_msg m = {.op = ARP_REQUEST, .sender = x->ip, .target = x->ip};
    if (tern_ip_is4(&x->ip))
        say_arp(a, s, x->link, &all_stations, &m);
    else
        say_advert(a, s, x->link, &x->ip, &nobody, NULL);
}

/* --- groups -------------------------------------------------------------------------------------- */

void say_groups(struct arena *a, struct ip_state *s, uint8_t link, bool joined)
{
    const struct ip_addr *from = link_local(s, link);
    tern_ip src = from != NULL ? from->ip : nobody; /* RFC 3810 5.2.13 */
    for (uint32_t i = 0; i < s->n_addrs; i++) {
        const struct ip_addr *x = &s->addrs[i];
        if (x->link != link || tern_ip_is4(&x->ip) || x->state == TERN_ADDR_DUPLICATE)
            continue;
        tern_ip group = ndp_solicited_node(&x->ip), dst = mld_reports_to();
        struct eth_frame f = {.dst = eth_multicast(&dst), .src = own_hw(s, link), .type = ETH_IP6};
        uint8_t *p = held_message(a, &s->ether, link, &f, MLD_REPORT_LEN);
        if (p != NULL)
            mld_emit(p, &src, &group, joined, MLD_HOPS);
    }
}
