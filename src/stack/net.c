/* net.c - links, addresses and routes, from the program's side (tern.h, net.h): the tables change, then the
 * records follow (tcp/change.c). */
#include "stack/ether.h"
#include "tcp/tcp.h"

/* What a change still under way has removed must not come back before it is done: old records of the same
 * address could not be told from new ones. */
static void settle(struct tern *t, const tern_ip *ip)
{
    const struct sweep *s = &t->w->sweep;
    for (uint32_t i = 0; change_under_way(t) && i < s->n_gone; i++)
        if (ip_eq(&s->gone[i].ip, ip))
            change_finish(t);
    life_end_of_batch(t);
}

void net_changed(struct tern *t)
{
    t->w->ip.ether.last = 0; /* the next hop may be another */
    t->w->known.link = 0;    /* and so may source and way */
    change_begin(t);
}

/* To be called after each change of the tables. */
static int changed(struct tern *t, int result)
{
    if (result >= 0) {
        net_changed(t);
        life_end_of_batch(t);
    }
    return result;
}

/* Note that an address goes; the list has as many places as there are addresses. */
static void note_gone(struct tern *t, const struct ip_addr *a)
{
    struct sweep *s = &t->w->sweep;
    if (s->n_gone == IP_ADDRS)
        change_finish(t);
    reply_forget(t, &a->ip);
    s->gone[s->n_gone].ip = a->ip;
    s->gone[s->n_gone++].link = a->link;
}

static int add_link(struct tern *t, const tern_link_info *info)
{
    int id = ip_link_add(&t->w->ip, info, t->w->sweep.links_gone);
    if (id != -TERN_ENOMEM || !change_under_way(t))
        return id;
    change_finish(t);
    life_end_of_batch(t);
    return ip_link_add(&t->w->ip, info, 0);
}

int tern_link_add(tern *t, const tern_link_info *info)
{
    int id = add_link(t, info);
    t->w->known.link = 0;
    if (id < 0 || !info->ethernet)
        return id;
    ether_link_begin(&t->w->ip, id);
    if (info->autoconf)
        autoconf_begin(t, id);
    return id;
}

int tern_link_set(tern *t, int link, const tern_link_info *info)
{
    return changed(t, ip_link_set(&t->w->ip, link, info));
}

int tern_link_up(tern *t, int link, bool up) { return changed(t, ip_link_up(&t->w->ip, link, up)); }

int tern_link_remove(tern *t, int link)
{
    struct ip_state *ip = &t->w->ip;
    for (uint32_t i = 0; ip_link_known(ip, link) && i < ip->n_addrs; i++)
        if (ip->addrs[i].link == link)
            note_gone(t, &ip->addrs[i]);
    int e = ip_link_remove(ip, link);
    ether_link_end(t->a, ip, e == 0 ? link : 0);
    if (e == 0)
        t->w->sweep.links_gone |= 1u << link;
    return changed(t, e);
}

int tern_addr_add(tern *t, int link, const tern_ip *ip, int prefix_len)
{
    settle(t, ip);
    int e = ip_addr_add(&t->w->ip, link, ip, prefix_len);
    if (e == 0)
        dad_begin(&t->w->ip, &t->w->ip.addrs[t->w->ip.n_addrs - 1], t->w->now);
    return changed(t, e);
}

/* Its own route has no more than the address: whether the prefix is on the link the router says (RFC 5942
 * 4). */
int net_addr_learn(struct tern *t, int link, const struct ip_addr *like)
{
    struct ip_state *s = &t->w->ip;
    if (change_under_way(t))
        change_finish(t);
    int e = ip_addr_add(s, link, &like->ip, 128);
    if (e < 0)
        return e;
    struct ip_addr *x = &s->addrs[s->n_addrs - 1];
    x->learned = true;
    x->tries = like->tries;
    x->valid_us = like->valid_us;
    x->preferred_us = like->preferred_us;
    x->deprecated = like->deprecated;
    dad_begin(s, x, t->w->now);
    net_changed(t);
    return 0;
}

int tern_addr_remove(tern *t, int link, const tern_ip *ip)
{
    int e;
    struct ip_addr *a = ip_addr_find(&t->w->ip, link, ip, &e);
    if (a == NULL)
        return e;
    note_gone(t, a);
    ip_addr_remove(&t->w->ip, a);
    return changed(t, 0);
}

int tern_addr_deprecate(tern *t, int link, const tern_ip *ip, bool deprecated)
{
    int e;
    struct ip_addr *a = ip_addr_find(&t->w->ip, link, ip, &e);
    if (a == NULL)
        return e;
    a->deprecated = deprecated;
    t->w->known.link = 0;
    return 0;
}

int tern_route_add(tern *t, int link, const tern_ip *dst, int prefix_len)
{
    return changed(t, ip_route_add(&t->w->ip, link, dst, prefix_len));
}

int tern_route_remove(tern *t, int link, const tern_ip *dst, int prefix_len)
{
    return changed(t, ip_route_remove(&t->w->ip, link, dst, prefix_len));
}

int tern_route_replace(tern *t, int link, const tern_ip *dst, int prefix_len)
{
    return changed(t, ip_route_replace(&t->w->ip, link, dst, prefix_len));
}

int tern_route_add_via(tern *t, int link, const tern_ip *dst, int prefix_len, const tern_ip *via)
{
    return changed(t, ip_route_via(&t->w->ip, link, dst, prefix_len, via));
}

int tern_neigh_flush(tern *t, int link, const tern_ip *ip)
{
    if (link != 0 && !ip_link_known(&t->w->ip, link))
        return -TERN_ENODEV;
    return neigh_flush(t->a, &t->w->ip.ether, link, ip);
}

static void show_neigh(const struct neigh *n, uint64_t now, tern_neigh_entry *out)
{
    *out = (tern_neigh_entry){.ip = n->ip,
                              .link = n->link,
                              .state = neigh_state(n, now),
                              .known = n->known,
                              .router = n->router,
                              .probes = n->probes,
                              .waiting = n->waits,
                              .since_us = n->since_us};
    if (out->state != n->state)
        out->since_us = n->until_us; /* it became stale by itself */
    memcpy(out->hw, n->hw.b, sizeof out->hw);
}

int tern_neigh_list(const tern *t, tern_neigh_entry *out, int max)
{
    int n = 0;
    for (ref_t r = t->w->ip.ether.all.head; r != 0; r = list_next(t->a, r, offsetof(struct neigh, all)), n++)
        if (n < max)
            show_neigh(at_const(t->a, r), t->w->now, &out[n]);
    return n;
}

int tern_link_list(const tern *t, tern_link_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    int n = 0;
    for (int id = 1; id < IP_LINKS; id++)
        if (ip_link_known(ip, id)) {
            if (n < max)
                out[n] = (tern_link_entry){id, ip_link_is_up(ip, (uint32_t)id), ip->links[id]};
            n++;
        }
    return n;
}

int tern_addr_list(const tern *t, tern_addr_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    for (int i = 0; i < max && (uint32_t)i < ip->n_addrs; i++) {
        const struct ip_addr *a = &ip->addrs[i];
        out[i] = (tern_addr_entry){.ip = a->ip,
                                   .prefix_len = a->prefix_len,
                                   .link = a->link,
                                   .deprecated = a->deprecated,
                                   .state = a->state,
                                   .learned = a->learned,
                                   .valid_us = a->valid_us,
                                   .preferred_us = a->preferred_us};
    }
    return (int)ip->n_addrs;
}

int tern_route_list(const tern *t, tern_route_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    for (int i = 0; i < max && (uint32_t)i < ip->n_routes; i++) {
        const struct ip_route *r = &ip->routes[i];
        out[i] = (tern_route_entry){.dst = r->dst,
                                    .prefix_len = r->prefix_len,
                                    .link = r->link,
                                    .by_addr = !r->asked && !r->learned,
                                    .learned = r->learned,
                                    .via = r->via,
                                    .until_us = r->until_us};
    }
    return (int)ip->n_routes;
}
