/* hear.c - what other stations say: ARP (RFC 826, RFC 5227 2.1.1, 2.4), solicitations and advertisements of
 * neighbours (RFC 4861 7.2.3 to 7.2.5, RFC 4862 5.4.3 to 5.4.5). The codecs have refused what is malformed or
 * has crossed a router.
 *
 * Our own frames, which some networks send back, say nothing.
 */
#include "ip/ip.h"

static bool same_hw(const struct eth_addr *x, const uint8_t *y) { return memcmp(x->b, y, sizeof x->b) == 0; }

/* An address of this link; NULL: it is none. */
static struct ip_addr *own(struct ip_state *s, uint8_t link, const tern_ip *ip)
{
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].link == link && ip_eq(&s->addrs[i].ip, ip))
            return &s->addrs[i];
    return NULL;
}

/* --- ARP ----------------------------------------------------------------------------------------- */

/* A reply to what we have asked, or any other that tells of its sender. */
static void arp_told(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link,
                     const struct arp_msg *m, bool to_us)
{
    const struct neigh *n = neigh_find(a, &s->ether, link, &m->sender);
    bool asked = n != NULL && n->probes > 0 && m->op == ARP_REPLY && to_us;
    struct neigh_word w = {.hw = &m->sender_hw, .solicited = asked, .override = true};
    neigh_advertised(a, s, now, link, &m->sender, &w);
}

/* Whether somebody else means an address of ours: it says that it has it, in a request or a reply
 * (RFC5227-2.1.1-b, RFC5227-2.4-a), or asks for it as we do (RFC5227-2.1.1-c). */
static struct ip_addr *arp_disputed(struct ip_state *s, uint8_t link, const struct arp_msg *m)
{
    struct ip_addr *x = own(s, link, &m->sender);
    if (x != NULL)
        return x;
    x = own(s, link, &m->target);
    bool probe = m->op == ARP_REQUEST && ip_is_unspecified(&m->sender);
    return x != NULL && probe && x->state == TERN_ADDR_TENTATIVE ? x : NULL;
}

enum tern_cause hear_arp(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link,
                         const struct eth_frame *f)
{
    struct arp_msg m;
    enum tern_cause cause = arp_parse(f->payload, f->payload_len, &m);
    if (cause != TERN_CAUSE_NONE || same_hw(&m.sender_hw, s->links[link].hw))
        return cause;
    struct ip_addr *x = arp_disputed(s, link, &m);
    if (x != NULL) {
        dad_conflict(a, s, x, now);
        return TERN_CAUSE_NONE;
    }
    x = own(s, link, &m.target);
    bool for_us = x != NULL && x->state == TERN_ADDR_USABLE && m.op == ARP_REQUEST;
    if (for_us && ip_valid_peer(s, &m.sender))
        neigh_heard(a, s, now, link, &m.sender, &m.sender_hw, true); /* RFC 826: it will be answered soon */
    else if (!ip_is_unspecified(&m.sender))
        arp_told(a, s, now, link, &m, same_hw(&f->dst, s->links[link].hw));
    if (for_us) /* RFC5227-2.5-a */
        say_arp_reply(a, s, link, &m);
    return TERN_CAUSE_NONE;
}

/* --- neighbour discovery ------------------------------------------------------------------------- */

/* RFC 4862 5.4.3: from nobody, it asks whether the address is free. A tentative one is not answered for
 * (RFC4862-5.4.3-a). Without its link-layer address nothing is noted of the one who asks (RFC4861-7.2-a). */
static void asked_for(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, struct ip_addr *x,
                      const struct ip_hdr *ip, const struct ndp_msg *m, const struct eth_addr *from)
{
    bool nobody = ip_is_unspecified(&ip->src);
    if (x->state == TERN_ADDR_TENTATIVE && nobody)
        dad_conflict(a, s, x, now);
    if (x->state != TERN_ADDR_USABLE)
        return;
    if (!nobody && m->has_hw)
        neigh_heard(a, s, now, link, &ip->src, &m->hw, true);
    say_advert(a, s, link, &x->ip, &ip->src, m->has_hw ? &m->hw : from);
}

bool hear_neighbour(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const struct ip_hdr *ip,
                    const struct ndp_msg *m, const struct eth_addr *from)
{
    struct ip_addr *x = own(s, link, &m->target); /* RFC4861-7.2.3-a */
    struct neigh_word w = {.hw = m->has_hw ? &m->hw : NULL,
                           .solicited = m->solicited,
                           .override = m->override,
                           .router = m->router};
    if (same_hw(from, s->links[link].hw))
        return false;
    if (m->type == ICMP6_NEIGHBOUR_SOLICIT && x != NULL)
        asked_for(a, s, now, link, x, ip, m, from);
    if (m->type != ICMP6_NEIGHBOUR_ADVERT)
        return false;
    if (x == NULL)
        return neigh_advertised(a, s, now, link, &m->target, &w);
    dad_conflict(a, s, x, now);
    return false;
}

void hear_query(struct ip_state *s, uint64_t now, uint8_t link, uint32_t delay_ms)
{
    struct ether *e = &s->ether;
    struct ether_link *l = &e->link[link];
    if (l->report_us != 0)
        return; /* one is on its way */
    l->asked = true;
    l->report_us = now + 1 + rng_u64(&e->rng) % ((uint64_t)delay_ms * 1000 + 1); /* RFC 3810 6.2 */
    ether_due(e, l->report_us);
}
