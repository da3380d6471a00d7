/* arrival.h - a packet of a batch as it is known before its turn. */
#ifndef STACK_ARRIVAL_H
#define STACK_ARRIVAL_H

#include "tcp/pair.h"
#include "wire/ethernet.h"
#include "wire/plain_read.h"

enum frame { FRAME_NONE /* no frame */, FRAME_PACKET, FRAME_ARP, FRAME_OTHER /* not ours */ };

struct arrival {
    uint16_t cause;     /* why it is refused, whosoever it is; else TERN_CAUSE_NONE, and `ip` is valid: */
    bool ours;          /* to one of our addresses */
    bool plain;         /* a segment that nothing is wrong with (wire/plain.c), from a peer that may be one:
                           `ip` is not filled */
    bool segment;       /* a whole TCP segment that may be ours: */
    uint16_t tcp_cause; /* why TCP refuses it; else TERN_CAUSE_NONE, and `s` is valid but for keep */
    uint8_t frame;      /* FRAME_...: what is in a frame; but for FRAME_NONE `eth` is valid */
    const uint8_t *packet; /* first byte of the IP header */
    struct eth_frame eth;
    struct ip_hdr ip;
    struct segment s;
};

/* Bytes of its IP headers. */
static inline uint16_t ip_len_of(const struct arrival *a) { return a->plain ? PLAIN_IP : a->ip.hdr_len; }

/* The packet that nearly all are: a short segment to one of our addresses that nothing is wrong with, `len`
 * bytes at `at`. False: it is none, or there may be one. */
static INLINED inline bool arrival_plain(const struct tern *t, const tern_rx_packet *p, const uint8_t *at,
                                        uint32_t len, struct segment *s)
{
    /* what is long may stay there */
    uint32_t most = p->flags & TERN_RX_LENDABLE ? PLAIN_MOST : PLAIN_LONGEST;
    if (UNLIKELY(by_steps(t)) ||
        !plain_read(at, len, most, p->flags & TERN_RX_CSUM_OK ? NULL : t->sum, s) ||
        !ip_is_plain4(&t->w->ip, &s->src, &s->dst, p->link))
        return false;
    s->link = p->link;
    s->gso_size = p->gso_size;
    s->pair = pair_hash4(t, s->dst.b + 12, s->src.b + 12, s->dst_port, s->src_port);
    return true;
}

static inline bool arrival_link_up(const struct tern *t, const tern_rx_packet *p)
{
    return p->link < IP_LINKS && ip_link_is_up(&t->w->ip, p->link);
}

/* What the packet says. Its bytes are asked, and the links and addresses, and nothing that another packet can
 * change. */
void arrival_read(struct tern *t, const tern_rx_packet *p, struct arrival *out);

/* The look-ups that the packets of a batch will make: each pair once in a row, as many as differ. */
struct ahead {
    uint64_t may_follow;     /* bit i: packet i is not read yet; it may say nothing but the next bytes of the
                                latest before it that is (wire/follow.c) */
    int n, at;               /* pairs; turns that have begun */
    struct segment *first[RX_AHEAD]; /* of each pair the first */
    ref_t found[RX_AHEAD];   /* where a pair seems to lead; 0 = nowhere, or to a record that is all fetched */
};

_Static_assert(RX_AHEAD <= 64, "may_follow");

/* Reads n packets, at most RX_AHEAD, and has the processor fetch what the first of them will need. */
void arrivals_read(struct tern *t, const tern_rx_packet *pkts, int n, struct arrival *out,
                   struct ahead *ahead);

/* A packet's turn begins: what others will need that come a little later is asked for. */
void ahead_turn(struct tern *t, struct ahead *h);
static inline void ahead_of_turn(struct tern *t, struct ahead *h)
{
    if (h->at < h->n)
        ahead_turn(t, h);
}

#endif
