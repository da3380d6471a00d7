/* ip.c - links, addresses and routes: small arrays in the order of adding, searched in order. */
#include "ip/ip.h"

#define GSO_MOST 65455u /* beside the longest IPv4 and TCP headers in 65535 bytes */

static int prefix_most(const tern_ip *ip) { return tern_ip_is4(ip) ? 32 : 128; }

/* --- links --------------------------------------------------------------------------------------- */

static bool info_valid(const tern_link_info *info)
{
    struct eth_addr hw;
    memcpy(hw.b, info->hw, sizeof hw.b);
    bool named = !eth_is_group(&hw) && (hw.b[0] | hw.b[1] | hw.b[2] | hw.b[3] | hw.b[4] | hw.b[5]) != 0;
    return info->mtu >= 576 && info->mtu <= 65535 && info->gso_max <= GSO_MOST && (!info->ethernet || named);
}

int ip_link_add(struct ip_state *s, const tern_link_info *info, uint32_t taken)
{
    if (!info_valid(info))
        return -TERN_EINVAL;
    for (int id = 1; id < IP_LINKS; id++)
        if (s->links[id].mtu == 0 && !(taken >> id & 1)) {
            s->links[id] = *info;
            s->up |= 1u << id;
            return id;
        }
    return -TERN_ENOMEM;
}

static bool has_address6(const struct ip_state *s, int link)
{
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].link == link && !tern_ip_is4(&s->addrs[i].ip))
            return true;
    return false;
}

int ip_link_set(struct ip_state *s, int link, const tern_link_info *info)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    if (!info_valid(info) || (info->mtu < 1280 && has_address6(s, link)))
        return -TERN_EINVAL; /* RFC 8200 5 */
    if (info->ethernet != s->links[link].ethernet)
        return -TERN_EINVAL;
    s->links[link] = *info;
    if (s->ether.link[link].mtu6 > info->mtu)
        s->ether.link[link].mtu6 = 0;
    return 0;
}

int ip_link_up(struct ip_state *s, int link, bool up)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    s->up = up ? s->up | 1u << link : s->up & ~(1u << link);
    return 0;
}

/* --- routes -------------------------------------------------------------------------------------- */

static bool same_prefix(const struct ip_route *r, const tern_ip *dst, int prefix_len)
{
    return r->prefix_len == prefix_len && ip_prefix_eq(&r->dst, dst, prefix_len);
}

/* Those that routers advertise stand beside the others. */
static struct ip_route *route_find(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    for (uint32_t i = 0; i < s->n_routes; i++)
        if (s->routes[i].link == link && same_prefix(&s->routes[i], dst, prefix_len) && !s->routes[i].learned)
            return &s->routes[i];
    return NULL;
}

static void route_drop(struct ip_state *s, struct ip_route *r)
{
    uint32_t behind = s->n_routes - 1 - (uint32_t)(r - s->routes);
    memmove(r, r + 1, behind * sizeof *r);
    s->n_routes--;
}

static int route_valid(const struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    return prefix_len < 0 || prefix_len > prefix_most(dst) ? -TERN_EINVAL : 0;
}

static int route_put(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, bool asked)
{
    struct ip_route *r = route_find(s, link, dst, prefix_len);
    if (r != NULL && (r->asked || !asked))
        return -TERN_EEXIST;
    if (r == NULL && s->n_routes == IP_ROUTES)
        return -TERN_ENOMEM;
    if (r == NULL)
        r = &s->routes[s->n_routes++];
    *r = (struct ip_route){
        .dst = *dst, .link = (uint8_t)link, .prefix_len = (uint8_t)prefix_len, .asked = asked};
    return 0;
}

int ip_route_via(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, const tern_ip *via)
{
    int e = route_valid(s, link, dst, prefix_len);
    if (e < 0)
        return e;
    if (!ether_is(&s->ether, (uint32_t)link) || tern_ip_is4(dst) != tern_ip_is4(via) ||
        !ip_valid_peer(s, via))
        return -TERN_EINVAL;
    e = route_put(s, link, dst, prefix_len, true);
    if (e < 0 && e != -TERN_EEXIST)
        return e;
    route_find(s, link, dst, prefix_len)->via = *via;
    return 0;
}

/* --- routes that routers advertise ---------------------------------------------------------------- */

static struct ip_route *learned_find(struct ip_state *s, int link, const tern_ip *dst, int prefix_len,
                                     const tern_ip *via)
{
    for (uint32_t i = 0; i < s->n_routes; i++) {
        struct ip_route *r = &s->routes[i];
        if (r->learned && r->link == link && same_prefix(r, dst, prefix_len) && ip_eq(&r->via, via))
            return r;
    }
    return NULL;
}

static uint32_t learned_count(const struct ip_state *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_routes; i++)
        n += s->routes[i].learned;
    return n;
}

bool ip_route_learn(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, const tern_ip *via,
                    uint64_t until_us)
{
    struct ip_route *r = learned_find(s, link, dst, prefix_len, via);
    if (r == NULL && (s->n_routes == IP_ROUTES || learned_count(s) == IP_LEARNED))
        return false;
    if (r == NULL)
        r = &s->routes[s->n_routes++];
    *r = (struct ip_route){.dst = *dst,
                           .link = (uint8_t)link,
                           .prefix_len = (uint8_t)prefix_len,
                           .learned = true,
                           .via = *via,
                           .until_us = until_us};
    return true;
}

bool ip_route_unlearn(struct ip_state *s, int link, const tern_ip *dst, int prefix_len, const tern_ip *via)
{
    struct ip_route *r = learned_find(s, link, dst, prefix_len, via);
    if (r != NULL)
        route_drop(s, r);
    return r != NULL;
}

/* --- what the program asks for -------------------------------------------------------------------- */

int ip_route_add(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int e = route_valid(s, link, dst, prefix_len);
    return e < 0 ? e : route_put(s, link, dst, prefix_len, true);
}

int ip_route_remove(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int e = route_valid(s, link, dst, prefix_len);
    struct ip_route *r = e < 0 ? NULL : route_find(s, link, dst, prefix_len);
    if (r == NULL)
        return e < 0 ? e : -TERN_ENOENT;
    route_drop(s, r);
    return 0;
}

/* One of the same prefix gives its place; the others go. */
int ip_route_replace(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int e = route_valid(s, link, dst, prefix_len);
    bool placed = false;
    if (e < 0)
        return e;
    for (uint32_t i = 0; i < s->n_routes;) {
        struct ip_route *r = &s->routes[i];
        if (!same_prefix(r, dst, prefix_len)) {
            i++;
        } else if (placed) {
            route_drop(s, r);
        } else {
            *r = (struct ip_route){
                .dst = *dst, .link = (uint8_t)link, .prefix_len = (uint8_t)prefix_len, .asked = true};
            placed = true;
            i++;
        }
    }
    return placed ? 0 : route_put(s, link, dst, prefix_len, true);
}

/* Longest prefix, then what was added first; links of the mask only. */
static int route_by(const struct ip_state *s, const tern_ip *dst, uint32_t links)
{
    int best = 0, best_len = -1;
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct ip_route *r = &s->routes[i];
        if (!(links >> r->link & 1) || r->prefix_len <= best_len ||
            !ip_prefix_eq(&r->dst, dst, r->prefix_len))
            continue;
        best = r->link;
        best_len = r->prefix_len;
    }
    return best;
}

int ip_route(const struct ip_state *s, const tern_ip *dst) { return route_by(s, dst, s->up); }
int ip_route_any(const struct ip_state *s, const tern_ip *dst) { return route_by(s, dst, UINT32_MAX); }

uint8_t ip_way_by_routes(const struct ip_state *s, const tern_ip *local, const tern_ip *remote)
{
    if (ip_is_link_local6(local) || ip_is_link_local6(remote))
        return 0;
    return (uint8_t)ip_route(s, remote);
}

/* --- addresses ----------------------------------------------------------------------------------- */

/* All host bits one (RFC 922), in a prefix that has a broadcast address at all (RFC 3021). */
static void derive_broadcasts(struct ip_state *s)
{
    s->n_broadcasts = 0;
    for (uint32_t i = 0; i < s->n_addrs; i++) {
        const struct ip_addr *a = &s->addrs[i];
        uint32_t all_ones = get32(a->ip.b + 12) | (a->prefix_len < 32 ? 0xffffffffu >> a->prefix_len : 0);
        if (tern_ip_is4(&a->ip) && a->prefix_len <= 30 && !ip_is_broadcast4_of(s, all_ones))
            s->broadcasts[s->n_broadcasts++] = all_ones;
    }
}

int ip_addr_add(struct ip_state *s, int link, const tern_ip *ip, int prefix_len)
{
    int e = route_valid(s, link, ip, prefix_len);
    if (e < 0)
        return e;
    if (ip_is_multicast(ip) || ip_is_unspecified(ip) || ip_is_broadcast4(ip))
        return -TERN_EINVAL;
    if (!tern_ip_is4(ip) && s->links[link].mtu < 1280)
        return -TERN_EINVAL; /* RFC 8200 5 */
    if (ip_addr_at(s, ip, link) != NULL)
        return -TERN_EEXIST;
    if (s->n_addrs == IP_ADDRS)
        return -TERN_ENOMEM;
    e = route_put(s, link, ip, prefix_len, false);
    if (e < 0 && e != -TERN_EEXIST)
        return e;
    s->addrs[s->n_addrs++] =
        (struct ip_addr){.ip = *ip, .link = (uint8_t)link, .prefix_len = (uint8_t)prefix_len};
    derive_broadcasts(s);
    return 0;
}

/* The entry of an address, by link 0 the first; NULL with *error. */
struct ip_addr *ip_addr_find(struct ip_state *s, int link, const tern_ip *ip, int *error)
{
    *error = link != 0 && !ip_link_known(s, link) ? -TERN_ENODEV : -TERN_ENOENT;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if ((link == 0 || s->addrs[i].link == link) && ip_eq(&s->addrs[i].ip, ip))
            return &s->addrs[i];
    return NULL;
}

/* Whether an address of the link still wants this route to its prefix. */
static bool prefix_wanted(const struct ip_state *s, const struct ip_route *r)
{
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (s->addrs[i].link == r->link && same_prefix(r, &s->addrs[i].ip, s->addrs[i].prefix_len))
            return true;
    return false;
}

void ip_addr_remove(struct ip_state *s, struct ip_addr *a)
{
    struct ip_addr old = *a;
    uint32_t behind = s->n_addrs - 1 - (uint32_t)(a - s->addrs);
    memmove(a, a + 1, behind * sizeof *a);
    s->n_addrs--;
    derive_broadcasts(s);
    struct ip_route *r = route_find(s, old.link, &old.ip, old.prefix_len);
    if (r != NULL && !r->asked && !prefix_wanted(s, r))
        route_drop(s, r);
}

int ip_link_remove(struct ip_state *s, int link)
{
    if (!ip_link_known(s, link))
        return -TERN_ENODEV;
    for (uint32_t i = 0; i < s->n_addrs;)
        if (s->addrs[i].link == link)
            ip_addr_remove(s, &s->addrs[i]);
        else
            i++;
    for (uint32_t i = 0; i < s->n_routes;)
        if (s->routes[i].link == link)
            route_drop(s, &s->routes[i]);
        else
            i++;
    s->links[link] = (tern_link_info){0};
    s->up &= ~(1u << link);
    return 0;
}

bool ip_is_ours(const struct ip_state *s, const tern_ip *ip, int link)
{
    bool zoned = link != 0 && ip_is_link_local6(ip);
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (ip_eq(&s->addrs[i].ip, ip) && (!zoned || s->addrs[i].link == link) &&
            s->addrs[i].state == TERN_ADDR_USABLE)
            return true;
    return false;
}

struct ip_addr *ip_addr_at(struct ip_state *s, const tern_ip *ip, int link)
{
    bool zoned = link != 0 && ip_is_link_local6(ip);
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (ip_eq(&s->addrs[i].ip, ip) && (!zoned || s->addrs[i].link == link))
            return &s->addrs[i];
    return NULL;
}

bool ip_valid_peer(const struct ip_state *s, const tern_ip *ip)
{
    if (tern_ip_is4(ip))
        return ip_valid_peer4(s, ip);
    return !ip_is_unspecified(ip) && !ip_is_multicast(ip);
}

uint32_t ip_mtu(const struct ip_state *s, int link, const tern_ip *remote)
{
    uint32_t mtu6 = s->ether.link[link].mtu6;
    return mtu6 == 0 || tern_ip_is4(remote) ? s->links[link].mtu : mtu6;
}

uint32_t ip_mss(const struct ip_state *s, int link, const tern_ip *remote)
{
    return ip_mtu(s, link, remote) - (tern_ip_is4(remote) ? 40 : 60);
}
