/* dad.c - our own addresses on Ethernet: does another host have them? (RFC 4862 5.4, RFC 5227)
 *
 *     added ─▶ TENTATIVE ── asked, nobody says so ──▶ USABLE ─▶ (IPv4) announced twice
 *                  └─ another host has it ─▶ DUPLICATE
 *
 * IPv6 asks once and waits a second, IPv4 three times in 3 to 6 s and waits two more; both begin after a
 * random part of a second, so that machines switched on together do not ask together. An address in use is
 * defended, but not more than once in 10 s, and kept (RFC 5227 2.4 c: it is a server's).
 *
 * Here too what a link says by itself: it asks for routers (RFC 4861 6.3.7), and reports the groups that
 * questions for its addresses come to (RFC 3810), so that switches let them through.
 */
#include "ip/ip.h"

static uint64_t part_of(struct ether *e, uint64_t us) { return rng_u64(&e->rng) % (us + 1); }

static void report_soon(struct ether *e, uint8_t link, uint64_t when)
{
    struct ether_link *l = &e->link[link];
    l->reports = MLD_REPORTS;
    l->report_us = when;
    ether_due(e, when);
}

static void at_time(struct ether *e, struct ip_addr *x, uint64_t when)
{
    x->step_us = when;
    ether_due(e, when);
}

/* No address is used before it was asked for (RFC4862-5.4-a, RFC5227-2.1-a), unless the link says so. */
void dad_begin(struct ip_state *s, struct ip_addr *x, uint64_t now)
{
    struct ether *e = &s->ether;
    bool is4 = tern_ip_is4(&x->ip);
    if (!ether_is(e, x->link))
        return;
    if (!is4)
        report_soon(e, x->link, now + 1); /* the group is joined first (RFC4862-5.4.2-a, RFC4861-7.2.1-a) */
    x->announces = is4 ? ARP_ANNOUNCES : 0;
    if (s->links[x->link].no_dad) { /* RFC4862-5.1-a */
        at_time(e, x, now + 1);
        return;
    }
    x->state = TERN_ADDR_TENTATIVE;
    x->probes = is4 ? ARP_PROBES : 1;
    at_time(e, x, now + 1 + part_of(e, ND_FIRST_US));
}

/* One that is asked for is given up (RFC4862-5.4.5-a), one in use is kept (RFC5227-2.4-ab). */
void dad_conflict(struct arena *a, struct ip_state *s, struct ip_addr *x, uint64_t now)
{
    struct ether *e = &s->ether;
    e->conflicts++;
    if (x->state == TERN_ADDR_TENTATIVE) {
        x->state = TERN_ADDR_DUPLICATE;
        x->step_us = 0;
        ether_due(e, now); /* one that the stack made is made anew (stack/autoconf.c) */
    } else if (x->state == TERN_ADDR_USABLE && tern_ip_is4(&x->ip) &&
               (x->defended_us == 0 || now - x->defended_us >= ARP_DEFEND_US)) {
        x->defended_us = now;
        say_announce(a, s, x);
    }
}

/* --- time ---------------------------------------------------------------------------------------- */

static void ask(struct arena *a, struct ip_state *s, struct ip_addr *x, uint64_t now)
{
    struct ether *e = &s->ether;
    uint64_t wait = e->link[x->link].retrans_us; /* RFC 4862 5.4 */
    say_probe(a, s, x);
    x->probes--;
    if (tern_ip_is4(&x->ip)) /* RFC 5227 2.1.1 */
        wait = x->probes > 0 ? ARP_PROBE_US + part_of(e, ARP_PROBE_US) : ARP_WAIT_US;
    at_time(e, x, now + wait);
}

/* Nobody has said that it is his. The first link-local address lets us ask for routers. */
static void usable(struct ip_state *s, struct ip_addr *x, uint64_t now)
{
    struct ether *e = &s->ether;
    struct ether_link *l = &e->link[x->link];
    x->state = TERN_ADDR_USABLE;
    if (ip_is_link_local6(&x->ip) && l->solicits == ROUTER_SOLICITS && l->solicit_us == 0) {
        l->solicit_us = now + 1 + part_of(e, ND_FIRST_US);
        ether_due(e, l->solicit_us);
    }
}

/* Asked for, then announced (RFC5227-2.3-a), and then never again by itself (RFC5227-2.1-b). */
static void step(struct arena *a, struct ip_state *s, struct ip_addr *x, uint64_t now)
{
    x->step_us = 0;
    if (x->probes > 0) {
        ask(a, s, x, now);
        return;
    }
    usable(s, x, now);
    if (x->announces == 0)
        return;
    say_announce(a, s, x);
    if (--x->announces > 0)
        at_time(&s->ether, x, now + ARP_ANNOUNCE_US);
}

static void link_step(struct arena *a, struct ip_state *s, uint8_t link, uint64_t now)
{
    struct ether_link *l = &s->ether.link[link];
    if (l->report_us != 0 && l->report_us <= now) {
        say_groups(a, s, link, !l->asked);
        l->report_us = !l->asked && --l->reports > 0 ? now + MLD_REPORT_US : 0;
        l->asked = false;
    }
    if (l->solicit_us != 0 && l->solicit_us <= now) {
        l->solicits -= say_router_solicit(a, s, link);
        l->solicit_us = l->solicits > 0 ? now + ROUTER_SOLICIT_US : 0;
    }
}

void dad_tick(struct arena *a, struct ip_state *s, uint64_t now)
{
    for (uint8_t link = 1; link < IP_LINKS; link++)
        if (ether_is(&s->ether, link))
            link_step(a, s, link, now);
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].step_us != 0 && s->addrs[i].step_us <= now)
            step(a, s, &s->addrs[i], now);
}

uint64_t dad_next(const struct ip_state *s)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].step_us != 0)
            next = min_u64(next, s->addrs[i].step_us);
    for (uint32_t link = 1; link < IP_LINKS; link++) {
        const struct ether_link *l = &s->ether.link[link];
        if (l->report_us != 0)
            next = min_u64(next, l->report_us);
        if (l->solicit_us != 0)
            next = min_u64(next, l->solicit_us);
    }
    return next;
}

/* --- links --------------------------------------------------------------------------------------- */

void ether_link_begin(struct ip_state *s, int link)
{
    s->ether.links |= 1u << link;
    s->ether.link[link] = (struct ether_link){
        .base_ms = ND_REACHABLE_US / 1000,
        .retrans_us = ND_RETRANS_US,
        .solicits = s->links[link].autoconf ? ROUTER_SOLICITS : 0,
    };
}

void ether_link_end(struct arena *a, struct ip_state *s, int link)
{
    if (!ether_is(&s->ether, (uint32_t)link))
        return;
    neigh_flush(a, &s->ether, link, NULL);
    s->ether.links &= ~(1u << link);
    s->ether.link[link] = (struct ether_link){0};
    s->ether.last = 0;
}
