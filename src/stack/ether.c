/* ether.c - Ethernet frames: opened when they come, made when they go. */
#include "stack/ether.h"
#include "tcp/tcp.h"

/* --- in ------------------------------------------------------------------------------------------ */

static bool for_this_station(const struct tern *t, uint8_t link, const struct eth_frame *f)
{
    return eth_is_group(&f->dst) || memcmp(f->dst.b, t->w->ip.links[link].hw, sizeof f->dst.b) == 0;
}

static void hear_listeners(struct tern *t, uint8_t link, const struct ip_hdr *ip, const struct icmp_msg *m)
{
    tern_ip group;
    uint32_t delay_ms;
    if (mld_query_parse(ip, m, &group, &delay_ms))
        hear_query(&t->w->ip, t->w->now, link, delay_ms);
}

/* Neighbour discovery, whatever address it is for. */
static enum tern_cause hear_nd(struct tern *t, uint8_t link, const struct eth_frame *f,
                               const struct ip_hdr *ip, const struct icmp_msg *icmp)
{
    struct ndp_msg m;
    enum tern_cause cause = ndp_parse(ip, icmp, &m);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    if (m.type == ICMP6_ROUTER_ADVERT)
        autoconf_hear(t, link, ip, &m);
    else if (hear_neighbour(t->a, &t->w->ip, t->w->now, link, ip, &m, &f->src))
        autoconf_router_gone(t, link, &m.target);
    return TERN_CAUSE_NONE;
}

/* True: the packet was such a message, and is done with. Those that were cut are none (RFC 6980 5). */
static bool is_message(struct tern *t, uint8_t link, const struct arrival *a, enum tern_cause *cause)
{
    struct icmp_msg m;
    if (a->ip.version != 6 || a->ip.proto != PROTO_ICMP6 || a->ip.fragment ||
        icmp_parse(&a->ip, &m) != TERN_CAUSE_NONE)
        return false;
    if (m.type == ICMP6_LISTENER_QUERY)
        hear_listeners(t, link, &a->ip, &m);
    else if (m.type >= ICMP6_ROUTER_SOLICIT && m.type <= ICMP6_NEIGHBOUR_ADVERT)
        *cause = hear_nd(t, link, &a->eth, &a->ip, &m);
    else
        return false;
    return true;
}

/* RFC 1122 3.3.6: to all stations, and yet to one address: nobody's. */
static bool stray(const struct tern *t, const struct arrival *a)
{
    return eth_is_group(&a->eth.dst) && !ip_is_multicast(&a->ip.dst) &&
           !ip_is_broadcast(&t->w->ip, &a->ip.dst);
}

bool ether_open(const struct tern *t, const tern_rx_packet *p, struct arrival *a, uint32_t *len)
{
    struct eth_frame *f = &a->eth;
    a->frame = FRAME_OTHER;
    a->cause = (uint16_t)eth_parse(p->data, p->len, f);
    if (a->cause != TERN_CAUSE_NONE || !ether_is(&t->w->ip.ether, p->link) ||
        !for_this_station(t, p->link, f) || (f->tag & 0xfff) != 0)
        return false; /* a tag of priority alone is fine (802.1Q) */
    if (f->type == ETH_ARP)
        a->frame = FRAME_ARP;
    if (f->type != ETH_IP4 && f->type != ETH_IP6)
        return false;
    a->frame = FRAME_PACKET;
    a->packet = f->payload;
    *len = f->payload_len;
    return true;
}

bool ether_hear(struct tern *t, const tern_rx_packet *p, const struct arrival *a, enum tern_cause *cause,
                bool *unclaimed)
{
    if (*cause != TERN_CAUSE_NONE)
        return true;
    if (a->frame == FRAME_ARP)
        *cause = hear_arp(t->a, &t->w->ip, t->w->now, p->link, &a->eth);
    else if (a->frame == FRAME_OTHER)
        *unclaimed = true;
    else if (stray(t, a))
        *cause = TERN_C_NOT_UNICAST;
    else
        return is_message(t, p->link, a, cause);
    return true;
}

/* --- out ----------------------------------------------------------------------------------------- */

int ether_send(struct tern *t, tern_tx_packet *pkts, int max)
{
    struct ether *e = &t->w->ip.ether;
    int n = 0;
    while (n < max && held_emit(t->a, e, &pkts[n])) {
        pkts[n].trace = (uint32_t)t->trace.head;
        n += ip_link_is_up(&t->w->ip, pkts[n].link); /* else it is dropped */
    }
    return n;
}

int ether_frames(struct tern *t, tern_tx_packet *pkts, int n)
{
    struct ip_state *s = &t->w->ip;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (ether_is(&s->ether, pkts[i].link) && !ether_frame(t->a, s, t->w->now, &pkts[i]))
            continue;
        if (kept < i)
            pkts[kept] = pkts[i];
        kept++;
    }
    return kept;
}

/* --- time ---------------------------------------------------------------------------------------- */

/* A connection whose neighbour does not answer is told (RFC4861-7.2.2-e), as by a router (RFC 1122 3.3.2.1):
 * softly, its timers go on. */
static void tell_lost(struct tern *t)
{
    struct ether *e = &t->w->ip.ether;
    for (ref_t r = e->lost.head; r != 0; r = list_next(t->a, r, offsetof(struct held_packet, place))) {
        const struct held_packet *h = at_const(t->a, r);
        struct icmp_msg m;
        e->dropped++;
        if (h->csum_offset != 16)
            continue; /* no segment */
        icmp_unreachable(h->hdr + ETH_HDR, h->csum_start - ETH_HDR, &m);
        tcp_icmp(t, &m, h->link);
    }
    held_clear(t->a, e, &e->lost);
}

void ether_tick(struct tern *t)
{
    struct ip_state *s = &t->w->ip;
    uint64_t now = t->w->now;
    if (s->ether.links == 0 || now < s->ether.next_us)
        return;
    s->ether.next_us = UINT64_MAX;
    neigh_tick(t->a, s, now);
    dad_tick(t->a, s, now);
    autoconf_tick(t);
    tell_lost(t);
    ether_due(&s->ether, neigh_next(t->a, &s->ether));
    ether_due(&s->ether, min_u64(dad_next(s), autoconf_next(t)));
}
