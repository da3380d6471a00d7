/* ip.c - links, addresses and routes: small arrays, searched in order. */
#include "ip/ip.h"

#define GSO_MOST 65455u /* beside the longest IPv4 and TCP headers in 65535 bytes */

int ip_link_add(struct ip_state *s, const tern_link_info *info)
{
    if (info->mtu < 576 || info->mtu > 65535 || info->gso_max > GSO_MOST)
        return -TERN_EINVAL;
    if (s->n_links + 1 >= IP_LINKS)
        return -TERN_ENOMEM;
    int id = (int)++s->n_links;
    s->links[id] = *info;
    return id;
}

static bool link_known(const struct ip_state *s, int link)
{
    return link > 0 && (uint32_t)link <= s->n_links;
}

int ip_route_add(struct ip_state *s, int link, const tern_ip *dst, int prefix_len)
{
    int max = tern_ip_is4(dst) ? 32 : 128;
    if (!link_known(s, link) || prefix_len < 0 || prefix_len > max)
        return -TERN_EINVAL;
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct ip_route *r = &s->routes[i];
        if (r->prefix_len == prefix_len && tern_ip_is4(&r->dst) == tern_ip_is4(dst) &&
            ip_prefix_eq(&r->dst, dst, prefix_len))
            return r->link == link ? -TERN_EEXIST : -TERN_EINVAL;
    }
    if (s->n_routes == IP_ROUTES)
        return -TERN_ENOMEM;
    s->routes[s->n_routes++] = (struct ip_route){*dst, (uint8_t)link, (uint8_t)prefix_len};
    return 0;
}

int ip_addr_add(struct ip_state *s, int link, const tern_ip *ip, int prefix_len)
{
    int max = tern_ip_is4(ip) ? 32 : 128;
    if (!link_known(s, link) || prefix_len < 0 || prefix_len > max)
        return -TERN_EINVAL;
    if (ip_is_multicast(ip) || ip_is_unspecified(ip) || ip_is_broadcast4(ip))
        return -TERN_EINVAL;
    if (!tern_ip_is4(ip) && s->links[link].mtu < 1280)
        return -TERN_EINVAL; /* RFC 8200 5 */
    if (ip_is_ours(s, ip))
        return -TERN_EEXIST;
    if (s->n_addrs == IP_ADDRS)
        return -TERN_ENOMEM;
    int e = ip_route_add(s, link, ip, prefix_len);
    if (e < 0 && e != -TERN_EEXIST)
        return e;
    s->addrs[s->n_addrs++] = (struct ip_addr){*ip, (uint8_t)link, (uint8_t)prefix_len};
    return 0;
}

bool ip_is_ours(const struct ip_state *s, const tern_ip *ip)
{
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (ip_eq(&s->addrs[i].ip, ip))
            return true;
    return false;
}

/* All host bits one (RFC 922), in a prefix that has a broadcast address at all (RFC 3021). */
static bool directed_broadcast(const struct ip_addr *a, const tern_ip *ip)
{
    if (!tern_ip_is4(&a->ip) || !tern_ip_is4(ip) || a->prefix_len > 30 ||
        !ip_prefix_eq(&a->ip, ip, a->prefix_len))
        return false;
    uint32_t host = 0xffffffffu >> a->prefix_len;
    return (get32(ip->b + 12) & host) == host;
}

bool ip_is_broadcast(const struct ip_state *s, const tern_ip *ip)
{
    if (ip_is_broadcast4(ip))
        return true;
    for (uint32_t i = 0; i < s->n_addrs; i++)
        if (directed_broadcast(&s->addrs[i], ip))
            return true;
    return false;
}

bool ip_valid_peer(const struct ip_state *s, const tern_ip *ip)
{
    if (ip_is_unspecified(ip) || ip_is_multicast(ip) || ip_is_broadcast(s, ip))
        return false;
    return !(tern_ip_is4(ip) && ip->b[12] == 0); /* 0.0.0.0/8: "this network" */
}

int ip_route(const struct ip_state *s, const tern_ip *dst)
{
    int best = 0, best_len = -1;
    for (uint32_t i = 0; i < s->n_routes; i++) {
        const struct ip_route *r = &s->routes[i];
        if (tern_ip_is4(&r->dst) != tern_ip_is4(dst) || r->prefix_len <= best_len ||
            !ip_prefix_eq(&r->dst, dst, r->prefix_len))
            continue;
        best = r->link;
        best_len = r->prefix_len;
    }
    return best;
}

/* Bits that two addresses have in common from the front. */
static int common_bits(const tern_ip *a, const tern_ip *b)
{
    int n = 0;
    while (n < 128 && ((a->b[n / 8] ^ b->b[n / 8]) >> (7 - n % 8) & 1) == 0)
        n++;
    return n;
}

bool ip_source(const struct ip_state *s, int link, const tern_ip *dst, tern_ip *out)
{
    int best = -1;
    for (uint32_t i = 0; i < s->n_addrs; i++) {
        const struct ip_addr *a = &s->addrs[i];
        if (a->link != link || tern_ip_is4(&a->ip) != tern_ip_is4(dst))
            continue;
        int score = common_bits(&a->ip, dst);                                  /* RFC 6724 5, rule 8 */
        score += ip_is_link_local6(&a->ip) == ip_is_link_local6(dst) ? 256 : 0; /* rule 2 */
        if (score > best) {
            best = score;
            *out = a->ip;
        }
    }
    return best >= 0;
}

uint32_t ip_mss(const struct ip_state *s, int link, const tern_ip *remote)
{
    return s->links[link].mtu - (tern_ip_is4(remote) ? 40 : 60);
}
