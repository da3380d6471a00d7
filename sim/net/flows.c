/* flows.c - whose packet is this? The connections of a world by their pair of endpoints, as the two hosts see
 * them (inside of NATs). A pair that is used again names the newest connection. */
#include "net.h"

#include <string.h>

static uint32_t slot_of(const tern_endpoint *a, const tern_endpoint *b)
{
    /* the same for both directions */
    uint32_t x = ((uint32_t)a->ip.b[15] << 16 | a->port) * 2654435761u;
    uint32_t y = ((uint32_t)b->ip.b[15] << 16 | b->port) * 2654435761u;
    return ((x ^ y) + (x + y) * 7) >> 20 & (FLOW_SLOTS - 1);
}

static bool same(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->port == b->port && memcmp(a->ip.b, b->ip.b, sizeof a->ip.b) == 0;
}

void flows_add(struct net *n, int32_t conn)
{
    struct net_conn *c = &n->conn[conn];
    uint32_t *slot = &n->flow[slot_of(&c->pair[0], &c->pair[1])];
    if (c->in_flow)
        flows_remove(n, conn);
    c->next = *slot;
    *slot = (uint32_t)conn + 1;
    c->in_flow = true;
}

void flows_remove(struct net *n, int32_t conn)
{
    struct net_conn *c = &n->conn[conn];
    uint32_t *at = &n->flow[slot_of(&c->pair[0], &c->pair[1])];
    while (*at != 0 && *at != (uint32_t)conn + 1)
        at = &n->conn[*at - 1].next;
    if (*at != 0)
        *at = c->next;
    c->in_flow = false;
}

int32_t flows_find_exactly(const struct net *n, const tern_endpoint *a, const tern_endpoint *b, uint32_t iss)
{
    for (uint32_t i = n->flow[slot_of(a, b)]; i != 0; i = n->conn[i - 1].next) {
        const struct net_conn *c = &n->conn[i - 1];
        bool pair =
            (same(&c->pair[0], a) && same(&c->pair[1], b)) || (same(&c->pair[0], b) && same(&c->pair[1], a));
        if (pair && c->iss == iss)
            return (int32_t)i - 1;
    }
    return -1;
}

int32_t flows_find(const struct net *n, const tern_endpoint *a, const tern_endpoint *b)
{
    for (uint32_t i = n->flow[slot_of(a, b)]; i != 0; i = n->conn[i - 1].next) {
        const struct net_conn *c = &n->conn[i - 1];
        if ((same(&c->pair[0], a) && same(&c->pair[1], b)) || (same(&c->pair[0], b) && same(&c->pair[1], a)))
            return (int32_t)i - 1;
    }
    return -1;
}

/* Addresses are made of the host's number: net.h, hosts.c. */
int host_of(const struct net *n, const tern_ip *ip)
{
    int host = ip->b[15] - 1;
    if (host < 0 || host >= (int)n->n_hosts || !n->host[host].in)
        return -1;
    const struct net_host *h = &n->host[host];
    bool its = memcmp(ip,
                      tern_ip_is4(ip)    ? &h->ip4
                      : ip->b[0] == 0xfe ? &h->local
                                         : &h->ip6,
                      sizeof *ip) == 0;
    return its ? host : -1;
}
