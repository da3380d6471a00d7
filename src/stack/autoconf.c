/* autoconf.c - IPv6 that configures itself: a link-local address, and what routers advertise: themselves,
 * prefixes, the MTU (RFC 4861 6.3.4, RFC 4862 5.3 and 5.5).
 *
 * Interface identifiers are those of RFC 7217: a keyed hash of prefix, link and a counter that grows when
 * another host has the address; after three of those the stack gives up (6). Nobody can tell from them which
 * machine it is, and the same machine on the same network has the same address again.
 *
 * Whoever is on the link can send advertisements. So there are never more than IP_LEARNED routes and as many
 * addresses by them; a short lifetime from nowhere ends no address at once (5.5.3 e); and what the program
 * has asked for is never touched. CurHopLimit is not taken over (RFC4861-6.3.4-e): the program's
 * setting stands.
 */
#include "stack/ether.h"
#include "tcp/tcp.h"

enum { TRIES = 3, TWO_HOURS_S = 7200, REACHABLE_MOST_MS = 3600000, RETRANS_MOST_MS = 60000 };

static const tern_ip any6;

static uint64_t until(const struct tern *t, uint32_t seconds)
{
    return seconds == UINT32_MAX ? 0 : t->w->now + (uint64_t)seconds * 1000000;
}

/* --- addresses ----------------------------------------------------------------------------------- */

/* RFC 5453: the subnet routers' anycast address, and those of RFC 2526. */
static bool reserved(uint64_t iid)
{
    return iid == 0 || (iid | 0x7f) == 0xfdffffffffffffff;
}

/* RFC 7217 5. */
static tern_ip make_address(const struct tern *t, int link, const tern_ip *prefix, uint8_t tries)
{
    tern_ip ip = *prefix;
    uint8_t what[16];
    uint64_t iid;
    memcpy(what, prefix->b, 8);
    memcpy(what + 8, t->w->ip.links[link].hw, 6);
    what[14] = tries, what[15] = 0;
    do {
        iid = siphash24(t->w->ip.ether.iid, what, sizeof what);
        what[15]++;
    } while (reserved(iid));
    for (int i = 0; i < 8; i++)
        ip.b[8 + i] = (uint8_t)(iid >> (56 - 8 * i));
    return ip;
}

static struct ip_addr *learned_of(struct tern *t, int link, const tern_ip *prefix)
{
    struct ip_state *s = &t->w->ip;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].learned && s->addrs[i].link == link && ip_prefix_eq(&s->addrs[i].ip, prefix, 64))
            return &s->addrs[i];
    return NULL;
}

static uint32_t learned_count(const struct ip_state *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        n += s->addrs[i].learned;
    return n;
}

void autoconf_begin(struct tern *t, int link)
{
    static const tern_ip prefix = {{0xfe, 0x80}};
    struct ip_addr like = {.ip = make_address(t, link, &prefix, 0)};
    net_addr_learn(t, link, &like); /* without room for one more there is none */
}

/* Another host has it: the next one is tried (RFC 7217 6). */
static void try_another(struct tern *t, struct ip_addr had)
{
    tern_addr_remove(t, had.link, &had.ip);
    if (had.tries == TRIES)
        return;
    had.tries++;
    tern_ip prefix = had.ip;
    memset(prefix.b + 8, 0, 8);
    had.ip = make_address(t, had.link, &prefix, had.tries);
    net_addr_learn(t, had.link, &had);
}

/* RFC 4862 5.5.3 e: the valid lifetime may grow, or shrink to two hours. */
static void renew(struct tern *t, struct ip_addr *x, const struct ndp_prefix *p)
{
    uint64_t now = t->w->now, two_hours = until(t, TWO_HOURS_S), wanted = until(t, p->valid_s);
    bool longer = wanted == 0 || (x->valid_us != 0 && wanted > x->valid_us);
    if (p->valid_s > TWO_HOURS_S || longer)
        x->valid_us = wanted;
    else if (x->valid_us == 0 || x->valid_us > two_hours)
        x->valid_us = two_hours;
    x->preferred_us = until(t, p->preferred_s);
    x->deprecated = x->preferred_us != 0 && x->preferred_us <= now;
}

/* RFC 4862 5.5.3. */
static void take_address(struct tern *t, int link, const struct ndp_prefix *p)
{
    struct ip_addr *x = learned_of(t, link, &p->prefix);
    if (p->len != 64 || p->preferred_s > p->valid_s) /* RFC4862-5.5.3-a, and c */
        return;
    if (x != NULL) {
        renew(t, x, p);
        return;
    }
    if (p->valid_s == 0 || learned_count(&t->w->ip) == IP_LEARNED)
        return;
    tern_ip prefix = p->prefix;
    memset(prefix.b + 8, 0, 8);
    struct ip_addr like = {.ip = make_address(t, link, &prefix, 0),
                           .valid_us = until(t, p->valid_s),
                           .preferred_us = until(t, p->preferred_s),
                           .deprecated = p->preferred_s == 0};
    net_addr_learn(t, link, &like);
}

/* --- routers ------------------------------------------------------------------------------------- */

static void take_prefix(struct tern *t, uint8_t link, const struct ndp_prefix *p)
{
    if (ip_is_link_local6(&p->prefix) || ip_is_multicast(&p->prefix) || tern_ip_is4(&p->prefix))
        return;
    if (p->on_link && p->valid_s > 0)
        ip_route_learn(&t->w->ip, link, &p->prefix, p->len, &any6, until(t, p->valid_s));
    else if (p->on_link) /* without the flag it says nothing of that (RFC4861-6.3.4-d) */
        ip_route_unlearn(&t->w->ip, link, &p->prefix, p->len, &any6);
    if (p->autonomous)
        take_address(t, link, p);
}

/* RFC 4861 6.3.4: what is not said stays as it is. */
static void take_times(struct tern *t, uint8_t link, const struct ndp_msg *m)
{
    struct ether_link *l = &t->w->ip.ether.link[link];
    if (m->reachable_ms != 0 && m->reachable_ms <= REACHABLE_MOST_MS && m->reachable_ms != l->base_ms) {
        l->base_ms = m->reachable_ms;
        l->renew_us = 0;
    }
    if (m->retrans_ms != 0 && m->retrans_ms <= RETRANS_MOST_MS)
        l->retrans_us = (uint64_t)m->retrans_ms * 1000;
}

static void take_mtu(struct tern *t, uint8_t link, uint32_t mtu)
{
    if (mtu >= 1280 && mtu <= t->w->ip.links[link].mtu)
        t->w->ip.ether.link[link].mtu6 = mtu;
}

/* There is a router, and no more is asked for (RFC4861-6.3.7-a). One that is no default router is not what
 * was asked for. */
static void stop_asking(struct ether_link *l, const struct ndp_msg *m)
{
    if (m->lifetime_s == 0)
        return;
    l->solicits = 0;
    l->solicit_us = 0;
}

void autoconf_hear(struct tern *t, uint8_t link, const struct ip_hdr *ip, const struct ndp_msg *m)
{
    struct ip_state *s = &t->w->ip;
    struct ether_link *l = &s->ether.link[link];
    uint32_t routes = s->n_routes, mtu = l->mtu6;
    if (!s->links[link].autoconf)
        return; /* the program configures (RFC4862-5.5-a) */
    if (m->has_hw)
        neigh_heard(t->a, s, t->w->now, link, &ip->src, &m->hw, true);
    struct neigh *router = neigh_find(t->a, &s->ether, link, &ip->src);
    if (router != NULL)
        router->router = true; /* RFC4861-6.3.4-a */
    if (m->lifetime_s > 0)
        ip_route_learn(s, link, &any6, 0, &ip->src, until(t, m->lifetime_s));
    else
        ip_route_unlearn(s, link, &any6, 0, &ip->src);
    take_times(t, link, m);
    take_mtu(t, link, m->mtu);
    for (uint8_t i = 0; i < m->n_prefixes; i++)
        take_prefix(t, link, &m->prefixes[i]);
    stop_asking(l, m);
    ether_due(&s->ether, t->w->now); /* lifetimes are looked at again */
    if (routes != s->n_routes || mtu != l->mtu6)
        net_changed(t);
}

void autoconf_router_gone(struct tern *t, uint8_t link, const tern_ip *router)
{
    if (ip_route_unlearn(&t->w->ip, link, &any6, 0, router))
        net_changed(t);
}

/* --- time ---------------------------------------------------------------------------------------- */

static bool over(uint64_t when, uint64_t now) { return when != 0 && when <= now; }

/* Whoever used a router that goes looks for another way (RFC4861-6.3.5-a). Returns whether any went. */
static bool expire_routes(struct tern *t)
{
    struct ip_state *s = &t->w->ip;
    bool any = false;
    for (uint32_t i = 0; i < s->n_routes;) {
        struct ip_route r = s->routes[i];
        if (over(r.until_us, t->w->now))
            any |= ip_route_unlearn(s, r.link, &r.dst, r.prefix_len, &r.via);
        else
            i++;
    }
    return any;
}

/* A deprecated address is ours as before (RFC4862-5.5.4-a); one that is no longer valid is gone for both
 * directions (RFC4862-5.5.4-bc). An address that is removed makes the others move up. */
static void expire_addrs(struct tern *t)
{
    struct ip_state *s = &t->w->ip;
    for (uint32_t i = 0; i < s->n_addrs;) {
        struct ip_addr *x = &s->addrs[i];
        if (over(x->preferred_us, t->w->now)) {
            x->deprecated = true;
            x->preferred_us = 0;
        }
        if (over(x->valid_us, t->w->now)) {
            tern_ip ip = x->ip;
            tern_addr_remove(t, x->link, &ip);
        } else if (x->learned && x->state == TERN_ADDR_DUPLICATE) {
            try_another(t, *x);
        } else {
            i++;
        }
    }
}

void autoconf_tick(struct tern *t)
{
    if (expire_routes(t))
        net_changed(t);
    expire_addrs(t);
}

static uint64_t sooner(uint64_t next, uint64_t when) { return when != 0 && when < next ? when : next; }

uint64_t autoconf_next(const struct tern *t)
{
    const struct ip_state *s = &t->w->ip;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < s->n_routes; i++)
        next = sooner(next, s->routes[i].until_us);
    for (uint32_t i = 0; i < s->n_addrs; i++)
        next = sooner(sooner(next, s->addrs[i].valid_us), s->addrs[i].preferred_us);
    return next;
}
