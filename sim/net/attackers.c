/* attackers.c - those who are on no wire: they see no packet and send what they like, with any source
 * address. They know who speaks to whom, and by which ports; the numbers they must guess.
 *
 * A guess that is right by chance would end a connection by the letter of the standard (RFC 5961 1: that is
 * what a window is). So blind guesses that come near the truth are drawn again, and the question is whether
 * the others do harm. The "near" attacks are the opposite: the number is in the window, as one guess in ten
 * thousand is, but not the exact one that RFC 5961 asks for.
 */
#include "../packet.h"

#include "net.h"
#include "record.h"

#include "link/packet.h"

#include <string.h>

enum { NEAR = 1 << 22, CROWD = 4, BURST = 320, HIGH_PORT = 30000 };

struct aim {
    struct net *n;
    struct net_conn *c;
    int32_t conn;
    int side, host;        /* who is hit */
    tern_endpoint victim, other;
    uint32_t its_next, expects; /* the truth: what the victim sends next, and hears next at the latest */
};

static uint32_t dice(struct net *n) { return (uint32_t)(rng_next(&n->dice) >> 16); }

static uint32_t far_from(struct net *n, uint32_t truth)
{
    uint32_t guess;
    do
        guess = dice(n);
    while (guess - truth + NEAR < 2 * NEAR);
    return guess;
}

static void inject(struct aim *a, uint32_t index, int host)
{
    struct net_packet *p = a->n->packet[index];
    p->conn = a->conn;
    wires_inject(a->n, host, index, 0);
}

static void send_segment(struct aim *a, const struct segment *s)
{
    uint32_t index = net_packet_new(a->n);
    struct net_packet *p = a->n->packet[index];
    p->len = segment_build(s, p->bytes);
    inject(a, index, a->host);
}

static struct segment as_peer(const struct aim *a, uint8_t flags, uint32_t seq, uint32_t ack)
{
    return (struct segment){
        .src = a->other, .dst = a->victim, .flags = flags, .seq = seq, .ack = ack, .window = 8192};
}

/* Somebody else, or nobody at all. */
static tern_endpoint stranger(const struct aim *a)
{
    tern_endpoint e = {.port = (uint16_t)(1024 + dice(a->n) % 60000)};
    uint8_t x = (uint8_t)(1 + dice(a->n) % 250);
    e.ip = tern_ip4(203, 0, 113, x);
    if (!tern_ip_is4(&a->victim.ip))
        e.ip = (tern_ip){{0x20, 1, 0x0d, 0xb8, 0xff, 0xff, [14] = (uint8_t)dice(a->n), [15] = x}};
    return e;
}

/* --- blind ----------------------------------------------------------------------------------- */

static void syn_flood(struct aim *a)
{
    tern_endpoint one = stranger(a);
    for (int i = 0; i < CROWD; i++) {
        struct segment s = {.src = dice(a->n) % 3 ? stranger(a) : one,
                            .dst = a->victim,
                            .flags = SYN,
                            .seq = dice(a->n),
                            .window = 1024,
                            .mss = 1460};
        s.src.port = (uint16_t)(1024 + dice(a->n) % 60000);
        s.dst.port = SERVER_PORT;
        send_segment(a, &s);
    }
}

static bool both_open(const struct aim *a)
{
    const struct net_conn *c = a->c;
    if (c->end[0] < 0 || c->end[1] < 0 || !a->n->end[c->end[0]].j.told_connected)
        return false;
    bool deferred = a->n->host[c->plan[C_SERVER]].plan[H_LISTEN] == LISTENING_DEFERRED;
    bool told = deferred || c->plan[C_KIND] == CONN_SIMULTANEOUS;
    return !told || a->n->end[c->end[1]].j.told_connected;
}

/* A connection that is not open yet can lose its place to a forged SYN: a half-open record goes (3.10.7.4
 * fourth), the forged one was there first, or it is taken for a simultaneous open. */
static void syn_may_harm(struct aim *a)
{
    if (!both_open(a))
        a->c->excuses |= EXCUSE_UNOPENED | EXCUSE_PROGRAM;
}

static void blind(struct aim *a, uint8_t flags, const char *data)
{
    if (flags & SYN)
        syn_may_harm(a);
    uint32_t ack = flags & ACK ? far_from(a->n, a->its_next) : 0;
    struct segment s = as_peer(a, flags, far_from(a->n, a->expects), ack);
    s.len = (uint32_t)strlen(data);
    s.data = (const uint8_t *)data;
    send_segment(a, &s);
}

static void blind_icmp(struct aim *a, uint32_t round)
{
    static const uint8_t types[][2] = {{3, 0}, {3, 1},  {3, 2},  {3, 3}, {3, 4},
                                       {4, 0}, {11, 0}, {12, 0}, {3, 13}};
    const uint8_t *t = types[round % (sizeof types / sizeof types[0])];
    icmp_forge(a->n, a->host, &a->victim, &a->other, far_from(a->n, a->its_next), t[0], t[1],
               68 + dice(a->n) % 1400);
}

/* --- by luck --------------------------------------------------------------------------------- */

static void near_syn(struct aim *a)
{
    struct segment s = as_peer(a, SYN, a->expects + 1 + dice(a->n) % 500, 0);
    s.mss = 1000;
    syn_may_harm(a);
    send_segment(a, &s);
}

static void near_ack(struct aim *a, uint32_t round)
{
    uint32_t ack = round & 1 ? a->its_next + 100000 + dice(a->n) % 10000 : a->its_next - (1u << 30);
    struct segment s = as_peer(a, ACK, a->expects, ack);
    send_segment(a, &s);
}

/* Data behind the FIN that the victim has had already. */
static void near_text(struct aim *a)
{
    struct segment s = as_peer(a, ACK, a->expects, a->its_next);
    int32_t end = a->c->end[a->side];
    if (end < 0 || !a->n->end[end].j.told_peer_closed)
        return;
    s.len = 4;
    s.data = (const uint8_t *)"evil";
    send_segment(a, &s);
}

static void near_bare(struct aim *a)
{
    struct segment s = as_peer(a, 0, a->expects, 0);
    s.len = 4;
    s.data = (const uint8_t *)"evil";
    send_segment(a, &s);
}

/* --- strays ---------------------------------------------------------------------------------- */

static void stray(struct aim *a, uint32_t round)
{
    static const uint8_t flags[] = {RST,       RST | ACK, ACK,       0,         FIN,
                                    SYN | ACK, SYN | FIN, FIN | ACK, URG | ACK, SYN};
    struct segment s =
        as_peer(a, flags[round % sizeof flags], far_from(a->n, a->expects), far_from(a->n, a->its_next));
    uint32_t to = dice(a->n) % 3;
    if (s.flags & SYN)
        syn_may_harm(a);
    if (!(s.flags & ACK))
        s.ack = 0;
    if (to > 0)
        s.src = stranger(a);
    if (to == 1)
        s.dst.port = SERVER_PORT;
    if (to == 2)
        s.dst.port = (uint16_t)(HIGH_PORT + dice(a->n) % 1000);
    send_segment(a, &s);
}

static void burst(struct aim *a)
{
    for (int i = 0; i < BURST; i++) {
        struct segment s = {
            .src = stranger(a), .dst = a->victim, .flags = ACK, .seq = dice(a->n), .ack = dice(a->n)};
        s.dst.port = CLOSED_PORT;
        send_segment(a, &s);
    }
}

static void cookie(struct aim *a)
{
    struct segment s = {
        .src = stranger(a), .dst = a->victim, .flags = ACK, .seq = dice(a->n), .ack = dice(a->n)};
    s.dst.port = SERVER_PORT;
    send_segment(a, &s);
}

/* --- broken packets -------------------------------------------------------------------------- */

static void break_tcp(struct net_packet *p, uint32_t how)
{
    bool v4 = p->bytes[0] >> 4 == 4;
    uint32_t tcp = v4 ? 20 : 40;
    switch (how) {
    case 0: p->bytes[tcp + 12] = 4 << 4; break; /* a header of 16 bytes */
    case 1: p->bytes[tcp + 12] = 15 << 4; break; /* longer than the packet */
    case 2: p->bytes[tcp + 21] = 77; break; /* an option of 77 bytes */
    case 3: p->bytes[tcp + 4] ^= 1; return; /* its checksum is not made right */
    case 4: memset(p->bytes + (v4 ? 12 : 8), 0xff, v4 ? 4 : 16); break; /* from a group, or from all */
    case 5:
        memset(p->bytes + (v4 ? 16 : 24), 0xff, v4 ? 4 : 16); /* to all */
        break;
    case 6: p->bytes[0] = 0x55; return;
    case 7: store16(p->bytes + (v4 ? 2 : 4), 5000); break; /* longer than it is */
    default: break;
    }
    ip4_header_checksum(p->bytes);
    transport_checksum(p->bytes, p->len, tcp, 16);
}

/* Source routes: LSRR, or a routing header with a segment left. */
static void add_source_route(struct net_packet *p)
{
    bool v4 = p->bytes[0] >> 4 == 4;
    uint32_t at = v4 ? 20 : 40, room = 8;
    memmove(p->bytes + at + room, p->bytes + at, p->len - at);
    memset(p->bytes + at, 0, room);
    p->len += room;
    if (v4) {
        p->bytes[0] = 0x47;
        p->bytes[20] = 131, p->bytes[21] = 7, p->bytes[22] = 4;
        store16(p->bytes + 2, p->len);
        ip4_header_checksum(p->bytes);
        return;
    }
    p->bytes[40] = p->bytes[6];
    p->bytes[6] = 43;
    p->bytes[43] = 1;
    store16(p->bytes + 4, p->len - 40);
}

static void broken_icmp(struct aim *a, uint32_t how)
{
    uint32_t index = net_packet_new(a->n);
    struct net_packet *p = a->n->packet[index];
    struct segment s = as_peer(a, ACK, 0, 0);
    p->len = segment_build(&s, p->bytes);
    bool v4 = p->bytes[0] >> 4 == 4;
    p->bytes[v4 ? 9 : 6] = v4 ? 1 : 58; /* what was TCP is taken for ICMP, its checksum is not */
    if (how & 1)
        p->len = (v4 ? 20 : 40) + 6;
    store16(p->bytes + (v4 ? 2 : 4), v4 ? p->len : p->len - 40);
    ip4_header_checksum(p->bytes);
    inject(a, index, a->host);
}

static void broken(struct aim *a, uint32_t round)
{
    if (round % 11 >= 9) {
        broken_icmp(a, round);
        return;
    }
    uint32_t index = net_packet_new(a->n);
    struct net_packet *p = a->n->packet[index];
    struct segment s = as_peer(a, ACK, far_from(a->n, a->expects), far_from(a->n, a->its_next));
    s.mss = 1000; /* four bytes of options */
    p->len = segment_build(&s, p->bytes);
    if (round % 11 == 8)
        add_source_route(p);
    else
        break_tcp(p, round % 11);
    inject(a, index, a->host);
}

/* --- fragments ------------------------------------------------------------------------------- */

struct piece {
    uint32_t offset, len, id;
    bool more;
};

static void send_piece(struct aim *a, const struct piece *f)
{
    uint32_t index = net_packet_new(a->n);
    struct net_packet *p = a->n->packet[index];
    bool v4 = tern_ip_is4(&a->victim.ip);
    uint32_t head = v4 ? 20 : 48;
    memset(p->bytes, 0x5a, head + f->len);
    memset(p->bytes, 0, head);
    p->len = head + f->len;
    if (v4) {
        p->bytes[0] = 0x45, p->bytes[8] = 64, p->bytes[9] = 6;
        store16(p->bytes + 2, p->len);
        store16(p->bytes + 4, f->id);
        store16(p->bytes + 6, f->offset / 8 | (f->more ? 0x2000u : 0));
        memcpy(p->bytes + 12, a->other.ip.b + 12, 4);
        memcpy(p->bytes + 16, a->victim.ip.b + 12, 4);
        ip4_header_checksum(p->bytes);
    } else {
        p->bytes[0] = 0x60, p->bytes[6] = 44, p->bytes[7] = 64;
        store16(p->bytes + 4, p->len - 40);
        memcpy(p->bytes + 8, a->other.ip.b, 16);
        memcpy(p->bytes + 24, a->victim.ip.b, 16);
        p->bytes[40] = 6;
        store16(p->bytes + 42, f->offset | f->more);
        store32(p->bytes + 44, f->id);
    }
    inject(a, index, a->host);
}

static void fragments(struct aim *a, uint32_t round)
{
    uint32_t id = dice(a->n) & 0xffff;
    switch (round % 5) {
    case 0: /* overlap */
        send_piece(a, &(struct piece){0, 64, id, true});
        send_piece(a, &(struct piece){32, 64, id, true});
        break;
    /* reaches beyond the largest datagram */
    case 1: send_piece(a, &(struct piece){65528, 64, id, true}); break;
    case 2: send_piece(a, &(struct piece){0, 61, id, true}); break; /* not a multiple of 8 */
    case 3: /* more pieces than any datagram needs */
        for (uint32_t i = 0; i < 80; i++)
            send_piece(a, &(struct piece){i * 16, 8, id, true});
        break;
    default: send_piece(a, &(struct piece){0, 64, id, true}); break; /* and the rest never comes */
    }
}

/* --- the attack ------------------------------------------------------------------------------ */

static bool aim_at(struct net *n, const uint32_t *f, struct aim *a)
{
    struct net_conn *c = &n->conn[f[A_CONN]];
    int side = f[A_SIDE] != 0;
    *a = (struct aim){.n = n, .c = c, .conn = (int32_t)f[A_CONN], .side = side};
    a->host = (int)c->plan[side == 0 ? C_CLIENT : C_SERVER];
    if (!c->in_flow || n->host[a->host].t == NULL)
        return false;
    a->victim = c->pair[side];
    a->other = c->pair[!side];
    if (side == 1 && c->nat_port != 0) {
        a->other.ip = n->nat[n->host[c->plan[C_CLIENT]].plan[H_NAT] - 1].ip;
        a->other.port = c->nat_port;
    }
    a->its_next = c->seq[side];
    a->expects = c->seq[!side];
    return true;
}

void attack_now(struct net *n, uint32_t item, uint32_t round)
{
    const uint32_t *f = n->plan->item[item].f;
    struct aim a;
    if (!aim_at(n, f, &a))
        return;
    switch ((enum attack)f[A_WHAT]) {
    case ATTACK_SYN_FLOOD: syn_flood(&a); break;
    case ATTACK_SYN: blind(&a, SYN, ""); break;
    case ATTACK_RST: blind(&a, RST, ""); break;
    case ATTACK_DATA: blind(&a, ACK | PSH, "forged data"); break;
    case ATTACK_FIN: blind(&a, ACK | FIN, ""); break;
    case ATTACK_ICMP: blind_icmp(&a, round); break;
    case ATTACK_NEAR_RST: {
        struct segment s = as_peer(&a, RST, a.expects + 1 + dice(n) % 500, 0);
        send_segment(&a, &s);
        break;
    }
    case ATTACK_NEAR_SYN: near_syn(&a); break;
    case ATTACK_NEAR_ACK: near_ack(&a, round); break;
    case ATTACK_NEAR_BARE: near_bare(&a); break;
    case ATTACK_NEAR_TEXT: near_text(&a); break;
    case ATTACK_STRAY: stray(&a, round); break;
    case ATTACK_BROKEN: broken(&a, round); break;
    case ATTACK_FRAGMENTS: fragments(&a, round); break;
    case ATTACK_COOKIE: cookie(&a); break;
    case ATTACK_BURST:
        if (round % 8 == 0)
            burst(&a);
        break;
    default: break;
    }
}
