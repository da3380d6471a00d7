/* net.c - links, addresses and routes, from the program's side (tern.h, net.h): the tables change, then the
 * records follow (tcp/change.c). */
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

/* To be called after each change of the tables. */
static int changed(struct tern *t, int result)
{
    if (result >= 0) {
        change_begin(t);
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

int tern_link_add(tern *t, const tern_link_info *info)
{
    int id = ip_link_add(&t->w->ip, info, t->w->sweep.links_gone);
    if (id != -TERN_ENOMEM || !change_under_way(t))
        return id;
    change_finish(t);
    life_end_of_batch(t);
    return ip_link_add(&t->w->ip, info, 0);
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
    if (e == 0)
        t->w->sweep.links_gone |= 1u << link;
    return changed(t, e);
}

int tern_addr_add(tern *t, int link, const tern_ip *ip, int prefix_len)
{
    settle(t, ip);
    return changed(t, ip_addr_add(&t->w->ip, link, ip, prefix_len));
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
        out[i] = (tern_addr_entry){a->ip, a->prefix_len, a->link, a->deprecated};
    }
    return (int)ip->n_addrs;
}

int tern_route_list(const tern *t, tern_route_entry *out, int max)
{
    const struct ip_state *ip = &t->w->ip;
    for (int i = 0; i < max && (uint32_t)i < ip->n_routes; i++) {
        const struct ip_route *r = &ip->routes[i];
        out[i] = (tern_route_entry){r->dst, r->prefix_len, r->link, !r->asked};
    }
    return (int)ip->n_routes;
}
