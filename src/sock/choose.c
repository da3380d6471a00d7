/* choose.c - the addresses, port and link that a connection is opened with, where the program leaves them
 * open.
 *
 * The zone comes first, since a link-local address says nothing without it (RFC 4007 6); then the way; then
 * the source address (ip/source.c); then the port (RFC 6056, isn.c).
 */
#include "sock/sock.h"

/* The only link there is; -TERN_EDESTADDRREQ: there are several. */
static int only_link(const struct tern *t)
{
    int found = -TERN_ENETUNREACH;
    for (int id = 1; id < IP_LINKS; id++)
        if (ip_link_known(&t->w->ip, id))
            found = found < 0 && found != -TERN_EDESTADDRREQ ? id : -TERN_EDESTADDRREQ;
    return found;
}

/* The only link that has this address. */
static int link_with(const struct tern *t, const tern_ip *ip)
{
    int found = -TERN_EADDRNOTAVAIL;
    for (int id = 1; id < IP_LINKS; id++)
        if (ip_link_known(&t->w->ip, id) && ip_is_ours(&t->w->ip, ip, id))
            found = found == -TERN_EADDRNOTAVAIL ? id : -TERN_EDESTADDRREQ;
    return found;
}

/* The link that the endpoints name, or that follows from them; 0 = the routes decide. */
static int home_link(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote)
{
    bool zoned = ip_zone(&local->ip, &remote->ip, 1) != 0;
    int zone = remote->zone != 0 ? remote->zone : local->zone;
    if (zone != 0 && !ip_link_known(&t->w->ip, zone))
        return -TERN_ENODEV;
    if (zoned && local->zone != 0 && local->zone != zone)
        return -TERN_EINVAL; /* two zones */
    if (zone != 0 || !zoned)
        return zone;
    return ip_is_link_local6(&local->ip) ? link_with(t, &local->ip) : only_link(t);
}

/* The link by which the first segment leaves. */
static int first_way(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, int home)
{
    uint8_t way = ip_way(&t->w->ip, &local->ip, &remote->ip, (uint8_t)home);
    if (way != 0)
        return way;
    return home != 0 || ip_route_any(&t->w->ip, &remote->ip) != 0 ? -TERN_ENETDOWN : -TERN_ENETUNREACH;
}

/* The program's choice comes first (MUST-43). */
static int source(const struct tern *t, const tern_endpoint *remote, int home, int way, tern_ip *ip)
{
    if (ip_is_unspecified(ip))
        return ip_source(&t->w->ip, way, &remote->ip, ip) ? 0 : -TERN_EADDRNOTAVAIL;
    bool ours = ip_is_ours(&t->w->ip, ip, home) && tern_ip_is4(ip) == tern_ip_is4(&remote->ip);
    return ours ? 0 : -TERN_EADDRNOTAVAIL;
}

/* Link and address for the peer that was asked for last are known, while no table has changed since
 * (known_way_forget) and the program leaves both open. With Ethernet addresses come and go by themselves. */
static bool known(const struct tern *t, const tern_endpoint *remote, const struct choice *out)
{
    const struct known_way *k = &t->w->known;
    return k->link != 0 && ip_eq(&k->remote, &remote->ip) && remote->zone == 0 && out->local.zone == 0 &&
           ip_is_unspecified(&out->local.ip) && remote->port != 0 && !by_steps(t);
}

static void keep_known(struct tern *t, const tern_endpoint *remote, const struct choice *out)
{
    if (tern_ip_is4(&remote->ip) && out->home == 0 && t->w->ip.ether.links == 0)
        t->w->known = (struct known_way){remote->ip, out->local.ip, out->way};
}

/* All but the port (MUST-43, MUST-44, MUST-46). Returns the way. */
static int addresses(const struct tern *t, const tern_endpoint *remote, struct choice *out)
{
    if (remote->port == 0 || !ip_valid_peer(&t->w->ip, &remote->ip))
        return -TERN_EINVAL;
    int home = home_link(t, &out->local, remote);
    int way = home < 0 ? home : first_way(t, &out->local, remote, home);
    int e = way < 0 ? way : source(t, remote, home, way, &out->local.ip);
    if (e < 0)
        return e;
    out->home = (uint8_t)home;
    if (ip_is_link_local6(&out->local.ip))
        out->home = (uint8_t)way;
    return way;
}

int choose(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, struct choice *out)
{
    out->local = local != NULL ? *local : (tern_endpoint){0};
    out->home = 0;
    if (LIKELY(known(t, remote, out))) {
        out->local.ip = t->w->known.local;
        out->way = t->w->known.link;
    } else {
        bool open = ip_is_unspecified(&out->local.ip);
        int way = addresses(t, remote, out);
        if (way < 0)
            return way;
        out->way = (uint8_t)way;
        if (open)
            keep_known(t, remote, out);
    }
    /* that the pair is free is asked of the zone it lives in */
    uint8_t zone = ip_zone(&out->local.ip, &remote->ip, out->home);
    if (out->local.port == 0)
        return port_choose(t, &out->local, remote, zone, &out->gap);
    return demux_find_gap(t, &out->local, remote, zone, &out->gap) != 0 ? -TERN_EADDRINUSE : 0;
}

void tern_port_range(const tern *t, uint16_t *low, uint16_t *high)
{
    *low = settings(t)->port_low;
    *high = settings(t)->port_high;
}

/* Every port of the range is looked up once. */
int tern_ports(const tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_port_use *out)
{
    struct choice c = {0};
    if (local != NULL)
        c.local = *local;
    int way = addresses(t, remote, &c);
    if (way < 0)
        return way;
    ports_count((struct tern *)(uintptr_t)t, &c.local, remote, ip_zone(&c.local.ip, &remote->ip, c.home),
                out);
    return 0;
}

int tern_source(const tern *t, const tern_endpoint *remote, tern_ip *out, int *link)
{
    struct choice c = {0};
    tern_endpoint to = *remote;
    to.port = 1; /* a port is not asked for */
    int way = addresses(t, &to, &c);
    if (way < 0)
        return way;
    *out = c.local.ip;
    if (link != NULL)
        *link = way;
    return 0;
}
