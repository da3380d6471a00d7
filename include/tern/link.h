/* link.h - how a link hands over batches of packets, with offload flags.
 *
 * A link is whatever carries IP packets or Ethernet frames: a TUN device, a network card, memory, a test. It
 * calls tern_rx with what arrived and sends what tern_tx gives. It lives outside of the core and is never
 * called by it.
 */
#ifndef TERN_LINK_H
#define TERN_LINK_H

#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What became of a received packet. */
enum {
    TERN_TAKEN = 0,     /* the stack's; done with */
    TERN_UNCLAIMED = 1, /* not the stack's (another protocol or address): the program may use it. Nothing was
                           answered */
    TERN_DROPPED = 2,   /* the stack's, and refused; `cause` says why (stats.h, tern_cause_text) */
};

enum {
    TERN_RX_CSUM_OK = 1,  /* the link vouches for the TCP checksum (verified, or never on a wire) */
    TERN_RX_LENDABLE = 2, /* the packet lies in `region`, and the stack may leave it there (lent.h) */
    TERN_RX_ETHERNET = 4, /* it is a frame: 14 bytes of Ethernet header (18 with a VLAN tag), then the packet.
                             Only from a link of that kind */
};

/* One IP packet, or Ethernet frame, that arrived. It may be a super-segment: one TCP header, up to 64 KiB of
 * payload (gso_size > 0 says what the segments' size on the wire was). The bytes are read during tern_rx
 * only, and payload is copied; but a lendable packet that comes back with `kept` set must stay as it is until
 * tern_rx_returned (lent.h) names its buffer. */
typedef struct tern_rx_packet {
    const uint8_t *data; /* first byte of the IP header, or of the frame */
    uint32_t len;        /* bytes, 1..65575, of a frame 18 more */
    uint16_t gso_size;   /* payload bytes of one original segment; 0 = one segment */
    uint8_t link;        /* id from tern_link_add */
    uint8_t flags;       /* TERN_RX_... */
    uint8_t verdict;     /* out: TERN_TAKEN, ... */
    uint8_t region;      /* lendable: from tern_region_add; `data` lies in it */
    uint16_t cause;      /* out: why it was dropped; 0 otherwise */
    bool kept;           /* out: the stack refers to its payload */
    uint32_t pinned;     /* lendable: bytes of the link's memory that are not free while it is kept; a payload
                            of less than a quarter of them is copied. 0 = len */
    uint64_t buffer;     /* lendable: the link's name for it */
    uint32_t trace;      /* out: as in tern_tx_packet */
} tern_rx_packet;

#define TERN_ETHERNET_HDR 14
#define TERN_TX_SLICES 20
#define TERN_TX_HDR 128

/* A piece of memory to be sent as it is. */
typedef struct tern_slice {
    const uint8_t *data;
    uint32_t len;
} tern_slice;

/* One packet to send: header bytes, then the slices. With gso_size > 0 the payload is longer than one
 * segment: the link (or the kernel below it) cuts it into segments of gso_size and repeats the header (TSO).
 * With TERN_TX_CSUM the TCP checksum field holds the pseudo-header's sum and the link completes it from
 * csum_start on (checksum offload). */
typedef struct tern_tx_packet {
    uint8_t link;         /* which link */
    uint8_t flags;        /* TERN_TX_... */
    uint16_t hdr_len;     /* IP and TCP header, bytes */
    uint16_t gso_size;    /* 0 = one segment */
    uint16_t csum_start;  /* offset of the TCP header in the packet */
    uint16_t csum_offset; /* offset of the checksum field in the TCP header (16) */
    uint16_t n_slices;
    uint32_t len;         /* header and all slices, bytes */
    uint64_t not_before;  /* us; earliest departure (pacing); 0 = now */
    uint32_t trace;       /* how many trace records had been written when this packet's turn came (the low 32
                             bits): what the stack says of it follows, up to the next packet's number */
    uint8_t hdr[TERN_TX_HDR];
    tern_slice slices[TERN_TX_SLICES];
} tern_tx_packet;

enum {
    TERN_TX_CSUM = 1, /* complete the checksum at csum_start + csum_offset */
    TERN_TX_IP6 = 2,  /* IPv6 (else IPv4, or ARP) */
    TERN_TX_ETHERNET = 4, /* `hdr` begins with an Ethernet header of TERN_ETHERNET_HDR bytes; hdr_len, len and
                             csum_start count it */
};

/* Sums n bytes (fewer than 2^31) for an Internet checksum (RFC 1071) and copies them to `to` on the way,
 * unless that is NULL. The answer is any number below 2^48 that is the sum of the 16-bit words in network
 * order, the last one completed with zero, plus or minus a multiple of 65535, and 0 for zeros only: such
 * numbers may be added up, and those of bytes at an odd offset multiplied by 256 before. A pure function:
 * which one is best depends on the processor, which the core does not ask (tern_set_sum; on Linux: host.h,
 * tern_host_sum). */
typedef uint64_t tern_sum_fn(void *to, const void *from, size_t n);

/* Copy a packet into `buf` (at least pkt->len bytes), as one piece. Returns its length. Neither cuts nor
 * completes. */
static inline uint32_t tern_tx_flatten(const tern_tx_packet *pkt, uint8_t *buf)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pkt->hdr_len; i++)
        buf[n++] = pkt->hdr[i];
    for (uint32_t s = 0; s < pkt->n_slices; s++)
        for (uint32_t i = 0; i < pkt->slices[s].len; i++)
            buf[n++] = pkt->slices[s].data[i];
    return n;
}

#ifdef __cplusplus
}
#endif
#endif
