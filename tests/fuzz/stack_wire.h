/* Packets of fuzz_stack.c: how they leave, arrive, and what must hold of them. */
#ifndef FUZZ_STACK_WIRE_H
#define FUZZ_STACK_WIRE_H

#include "fuzz/stack_cover.h"
#include "fuzz/stack_sides.h"

#include <tern/host.h>

/* Hand packets to a stack: in one call, or each in its own. */
static void receive(struct side *s, tern_rx_packet *p, int n)
{
    if (!z.mode.singly)
        tern_rx(s->t, z.now, p, n);
    for (int i = 0; i < n; i++) {
        if (z.mode.singly)
            tern_rx(s->t, z.now, &p[i], 1);
        lender_seen(&s->lender, &p[i]);
        see(p[i].verdict + 4u * p[i].cause);
        cover_drop(p[i].cause);
        SAY("  rx -> verdict %u %s\n", p[i].verdict, tern_cause_name(p[i].cause));
    }
}

static void place(struct side *s, tern_rx_packet *p)
{
    if (!z.mode.no_lending)
        lender_place(s->t, &s->lender, p);
}

/* Give one packet to a stack, in a block of exactly its size. */
static void give(struct side *to, const uint8_t *bytes, uint32_t len, uint16_t gso_size, uint8_t flags)
{
    uint8_t *exact = malloc(len ? len : 1);
    uint8_t link = len >= 40 && bytes[0] >> 4 == 6 && bytes[8] == 0xfe ? 2 : 1; /* its source says which */
    memcpy(exact, bytes, len);
    tern_rx_packet p = {.data = exact, .len = len, .gso_size = gso_size, .link = link, .flags = flags};
    place(to, &p);
    receive(to, &p, 1);
    free(exact);
}

/* What must hold of a packet that a stack sends. */
static void check_sent(const struct side *s, const tern_tx_packet *pkt, const uint8_t *bytes)
{
    struct ip_hdr ip;
    struct segment seg;
    uint32_t mtu = s->t->w->ip.links[pkt->link].mtu;
    ASSERT(ip_link_is_up(&s->t->w->ip, pkt->link));
    ASSERT(pkt->len <= 65575 && pkt->n_slices <= TERN_TX_SLICES && pkt->hdr_len <= TERN_TX_HDR);
    ASSERT(ip_parse(bytes, pkt->len, &ip) == TERN_CAUSE_NONE && ip.total_len == pkt->len);
    if (ip.proto != PROTO_TCP)
        return;
    ASSERT(tcp_parse(&ip, !(pkt->flags & TERN_TX_CSUM), &seg) == TERN_CAUSE_NONE);
    if (pkt->gso_size == 0) {
        ASSERT(pkt->len <= mtu);
        return;
    }
    ASSERT(seg.len > pkt->gso_size && seg.len <= s->gso_max && !(seg.flags & (F_SYN | F_RST)));
    ASSERT(pkt->len - seg.len + pkt->gso_size <= mtu);
}

static void put_piece(void *ctx, const uint8_t *pkt, uint32_t len) { wire_put(ctx, pkt, len, 0, 1); }

static int transmit(struct side *s, int max)
{
    static uint8_t flat[66000];
    tern_tx_packet pkts[8];
    int n = tern_tx(s->t, z.now, pkts, max < 8 ? max : 8);
    for (int i = 0; i < n; i++) {
        ASSERT(tern_tx_flatten(&pkts[i], flat) == pkts[i].len);
        check_sent(s, &pkts[i], flat);
        SAY("  tx %u bytes gso %u\n", pkts[i].len, pkts[i].gso_size);
        if (z.mode.cut && pkts[i].link == 1) {
            tern_segment(&pkts[i], put_piece, s);
            continue;
        }
        fix_checksums(flat, pkts[i].len);
        if (!z.mode.sorted) {
            see_bytes(flat, pkts[i].len);
            see(pkts[i].gso_size);
        }
        wire_put(s, flat, pkts[i].len, pkts[i].gso_size, pkts[i].link);
    }
    return n;
}

/* --- one connection after the other --------------------------------------------------------------- */

/* Connections take turns of so many packets, which are more bytes where packets are larger; and after a
 * change of a link, in the order in which their records lie. No order between connections is promised: what
 * leaves at one time is compared one connection after the other, without the identification of IPv4. */
static int by_connection(const struct packet *a, const struct packet *b)
{
    uint32_t at = a->bytes[0] >> 4 == 4 ? 20 : 40;
    if (a->bytes[0] != b->bytes[0])
        return a->bytes[0] < b->bytes[0] ? -1 : 1;
    if (a->len < at + 4 || b->len < at + 4)
        return 0;
    return memcmp(a->bytes + at, b->bytes + at, 4);
}

static void see_piece(struct packet *p)
{
    if (p->bytes[0] >> 4 == 4) {
        put16(p->bytes + 4, 0);
        fix_checksums(p->bytes, p->len);
    }
    see_bytes(p->bytes, p->len);
    see(p->gso_size);
}

/* Take all that is to be sent now. */
static void transmit_all(struct side *s)
{
    int first = s->n_wire, rounds = 0;
    while (transmit(s, 8) > 0)
        ASSERT(++rounds < 10000);
    if (!z.mode.sorted)
        return;
    for (int i = first + 1; i < s->n_wire; i++) { /* insertion keeps the order of equal ones */
        struct packet p = s->wire[i];
        int k = i;
        for (; k > first && by_connection(&s->wire[k - 1], &p) > 0; k--)
            s->wire[k] = s->wire[k - 1];
        s->wire[k] = p;
    }
    for (int i = first; i < s->n_wire; i++)
        see_piece(&s->wire[i]);
}

/* --- arriving ------------------------------------------------------------------------------------- */

static void deliver(struct side *s, int n)
{
    tern_rx_packet rx[8];
    struct packet p[8];
    int k = 0;
    for (; k < n && k < 8 && s->n_wire > 0; k++) {
        p[k] = wire_take(s, 0);
        rx[k] = (tern_rx_packet){
            .data = p[k].bytes, .len = p[k].len, .gso_size = p[k].gso_size, .link = p[k].link};
        place(other(s), &rx[k]);
    }
    if (k > 0)
        receive(other(s), rx, k);
    for (int i = 0; i < k; i++)
        free(p[i].bytes);
}

#endif
