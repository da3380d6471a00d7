/* nat.c - NATs: many hosts behind one address, by ports (RFC 2663 4.1.2). A mapping is made when a host of
 * the inside sends, belongs to one connection, and is forgotten after a while or all at once; then the next
 * segment gets another port, and the server does not know it. */
#include "net.h"
#include "record.h"

#include "link/packet.h"

#include <string.h>

enum { FORGETS_US = 120 * 1000000 };

static void rewrite(struct net_packet *p, bool source, const tern_ip *ip, uint16_t port)
{
    uint8_t *b = p->bytes;
    uint32_t tcp = (b[0] & 15u) * 4;
    memcpy(b + (source ? 12 : 16), ip->b + 12, 4);
    store16(b + tcp + (source ? 0 : 2), port);
    ip4_header_checksum(b);
    if (p->csum_offset == 0)
        transport_checksum(b, p->len, tcp, 16);
}

static struct nat *nat_of_host(struct net *n, int host)
{
    uint32_t nat = n->host[host].plan[H_NAT];
    return nat != 0 ? &n->nat[nat - 1] : NULL;
}

static void forget(struct nat *nat, struct net_conn *c)
{
    c->excuses |= EXCUSE_NAT;
    if (c->nat_port != 0)
        nat->conn[(c->nat_port - NAT_PORT_LOW) % NAT_PORTS] = -1;
    c->nat_port = 0;
}

bool nat_out(struct net *n, int host, struct net_packet *p)
{
    struct nat *nat = nat_of_host(n, host);
    if (nat == NULL || p->bytes[0] >> 4 != 4)
        return true;
    if (p->conn < 0)
        return false;
    struct net_conn *c = &n->conn[p->conn];
    if (c->nat_port != 0 && n->now > c->nat_used_us + FORGETS_US)
        forget(nat, c);
    if (c->nat_port == 0) {
        c->nat_port = (uint16_t)(NAT_PORT_LOW + nat->next++ % NAT_PORTS);
        nat->conn[c->nat_port - NAT_PORT_LOW] = p->conn; /* NAT_PORTS are more than connections */
    }
    c->nat_used_us = n->now;
    rewrite(p, true, &nat->ip, c->nat_port);
    return true;
}

int32_t nat_find(const struct net *n, const tern_endpoint *outside)
{
    for (int i = 0; i < NATS_MOST; i++)
        if (memcmp(&n->nat[i].ip, &outside->ip, sizeof outside->ip) == 0 && outside->port >= NAT_PORT_LOW &&
            outside->port < NAT_PORT_LOW + NAT_PORTS)
            return n->nat[i].conn[outside->port - NAT_PORT_LOW];
    return -1;
}

bool nat_is(const struct net *n, const tern_ip *ip)
{
    for (int i = 0; i < NATS_MOST; i++)
        if (memcmp(&n->nat[i].ip, ip, sizeof *ip) == 0)
            return true;
    return false;
}

bool nat_in(struct net *n, struct net_packet *p)
{
    const uint8_t *b = p->bytes;
    uint32_t tcp = (b[0] & 15u) * 4;
    tern_endpoint outside = {.ip = tern_ip4(b[16], b[17], b[18], b[19]), .port = load16(b + tcp + 2)};
    int32_t conn = nat_find(n, &outside);
    if (conn < 0)
        return false;
    struct net_conn *c = &n->conn[conn];
    if (n->now > c->nat_used_us + FORGETS_US) {
        c->excuses |= EXCUSE_NAT;
        return false;
    }
    c->nat_used_us = n->now;
    p->conn = conn;
    p->to = (int16_t)c->plan[C_CLIENT];
    rewrite(p, false, &c->pair[0].ip, c->pair[0].port);
    return true;
}

void nat_forget(struct net *n, uint32_t nat)
{
    for (uint32_t i = 0; i < n->n_conns; i++)
        if (n->conn[i].nat_port != 0 && n->host[n->conn[i].plan[C_CLIENT]].plan[H_NAT] == nat + 1)
            forget(&n->nat[nat], &n->conn[i]);
}
