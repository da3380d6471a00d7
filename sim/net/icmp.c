/* icmp.c - ICMP as routers send it about a packet, and as attackers forge it: type and code are those of
 * IPv4, and become their like of ICMPv6 (RFC 792, RFC 4443). */
#include "net.h"

#include "../bytes.h"

#include <string.h>

enum { EMBEDDED = 96, ICMP = 1, ICMP6 = 58, TCP = 6 };

/* RFC 4443 3.1: no route 0, prohibited 1, beyond scope 2, address 3, port 4. */
static void write_head(uint8_t *p, bool v4, uint8_t type, uint8_t code, uint32_t rest)
{
    if (!v4 && type == 3 && code == 4)
        p[0] = 2, p[1] = 0;
    else if (!v4)
        p[0] = type == 3 ? 1 : type == 11 ? 3 : type == 12 ? 4 : 200, p[1] = code % 7;
    else
        p[0] = type, p[1] = code;
    put16(p + 2, 0);
    put32(p + 4, rest);
}

/* An IP header from `src`'s address to `dst`'s, for `len` bytes of ICMP. */
static uint32_t write_ip(uint8_t *b, const uint8_t *src, const uint8_t *dst, bool v4, uint32_t len)
{
    memset(b, 0, 40);
    if (v4) {
        b[0] = 0x45, b[8] = 64, b[9] = ICMP;
        put16(b + 2, 20 + len);
        memcpy(b + 12, src, 4);
        memcpy(b + 16, dst, 4);
        put16(b + 10, checksum_of(b, 20));
        return 20;
    }
    b[0] = 0x60, b[6] = ICMP6, b[7] = 64;
    put16(b + 4, len);
    memcpy(b + 8, src, 16);
    memcpy(b + 24, dst, 16);
    return 40;
}

/* `about`: the packet, from its sender's view; `by`: who says it. */
static void say(struct net *n, int to, const uint8_t *about, uint32_t len, const uint8_t *by, uint8_t type,
                uint8_t code, uint32_t rest, uint64_t delay_us)
{
    bool v4 = about[0] >> 4 == 4;
    uint32_t index = net_packet_new(n), body = len < EMBEDDED ? len : EMBEDDED;
    struct net_packet *p = n->packet[index];
    uint32_t at = write_ip(p->bytes, by, about + (v4 ? 12 : 8), v4, 8 + body);
    write_head(p->bytes + at, v4, type, code, rest);
    memcpy(p->bytes + at + 8, about, body);
    p->len = at + 8 + body;
    uint64_t sum = checksum_add(0, p->bytes + at, 8 + body);
    if (!v4)
        sum += checksum_add(8 + body + ICMP6, p->bytes + 8, 32);
    put16(p->bytes + at + 2, checksum_fold(sum));
    p->conn = -1;
    wires_inject(n, to, index, delay_us);
}

void icmp_about(struct net *n, const struct net_packet *p, int to, uint8_t type, uint8_t code, uint32_t rest,
                uint64_t delay_us)
{
    uint8_t about[EMBEDDED], router[16] = {0x20, 1, 0x0d, 0xb8, [14] = 1, [15] = 1};
    static const uint8_t router4[4] = {203, 0, 113, 1};
    uint32_t len = p->len < EMBEDDED ? p->len : EMBEDDED;
    bool v4 = p->bytes[0] >> 4 == 4;
    if (to < 0 || n->host[to].t == NULL)
        return;
    memcpy(about, p->bytes, len);
    if (v4 && p->conn >= 0 && n->conn[p->conn].nat_port != 0 && (int)n->conn[p->conn].plan[C_CLIENT] == to) {
        memcpy(about + 12, n->host[to].ip4.b + 12, 4); /* its NAT puts this right */
        put16(about + (about[0] & 15) * 4, n->conn[p->conn].pair[0].port);
    }
    if (p->conn >= 0)
        n->conn[p->conn].excuses |= EXCUSE_ICMP;
    say(n, to, about, len, v4 ? router4 : router, type, code, rest, delay_us);
}

void icmp_forge(struct net *n, int to, const tern_endpoint *its, const tern_endpoint *other, uint32_t seq,
                uint8_t type, uint8_t code, uint32_t rest)
{
    uint8_t about[60] = {0};
    bool v4 = tern_ip_is4(&its->ip);
    uint32_t tcp = v4 ? 20 : 40;
    about[0] = v4 ? 0x45 : 0x60;
    about[v4 ? 9 : 6] = TCP;
    put16(about + (v4 ? 2 : 4), v4 ? 40 : 20);
    memcpy(about + (v4 ? 12 : 8), its->ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
    memcpy(about + (v4 ? 16 : 24), other->ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
    put16(about + tcp, its->port);
    put16(about + tcp + 2, other->port);
    put32(about + tcp + 4, seq);
    about[tcp + 12] = 5 << 4;
    say(n, to, about, tcp + 20, other->ip.b + (v4 ? 12 : 0), type, code, rest, 10);
}
