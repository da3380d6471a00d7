/* packet.h - what the links share: packets kept in memory, and the few header fields a path touches.
 *
 * The core's codecs stay in the core (a link sees include/tern only); a link needs far less of a packet than
 * TCP does: where the transport header begins, and checksums.
 */
#ifndef LINK_PACKET_H
#define LINK_PACKET_H

#include <tern/host.h>

enum { LINK_MAX_PACKET = 65575 }; /* 40 bytes of IPv6 header and 65535 behind it */
enum { LINK_MAX_FRAME = LINK_MAX_PACKET + 18 }; /* with Ethernet's header and a tag */

/* A packet kept in memory. */
struct pkt {
    struct pkt *next;
    uint64_t due;      /* us: when it leaves (in the held list: when it leaves at the latest) */
    uint64_t order;    /* number at its arrival */
    uint32_t len;      /* bytes in data */
    uint32_t room;     /* bytes that data can take */
    uint32_t left;     /* packets that still have to overtake it */
    uint16_t gso_size; /* as in tern_rx_packet */
    uint8_t flags;     /* TERN_RX_... */
    uint8_t data[];
};

/* First in, first out. */
struct pkt_queue {
    struct pkt *head, *tail;
    uint32_t count;
    uint64_t bytes;
};

enum { PKT_SIZES = 6 }; /* 2 KiB and doubles of it, and the largest packet */

/* Buffers of packets that were given back, by size; the one used last is taken first, since it is still in
 * the cache. A pool may have a block of memory that is used before the heap: packets in it are lendable. */
struct pkt_pool {
    struct pkt *free[PKT_SIZES];
    uint8_t *memory;   /* NULL: none */
    uint64_t len, used; /* bytes */
    bool short_of;     /* a packet had to be taken from the heap since this was last cleared */
};

/* Give the pool a block of its own: address space, pages are used when touched. False: none to be had. */
bool pkt_pool_memory(struct pkt_pool *pool, uint64_t len);
/* Whether a packet lies in the pool's block. */
bool pkt_in_memory(const struct pkt_pool *pool, const struct pkt *p);
/* Bytes that its buffer takes. */
uint32_t pkt_size(const struct pkt *p);

struct pkt *pkt_take(struct pkt_pool *pool, uint32_t len); /* NULL: no memory */
void pkt_give(struct pkt_pool *pool, struct pkt *p);
void pkt_give_all(struct pkt_pool *pool, struct pkt_queue *q);
void pkt_pool_end(struct pkt_pool *pool);
void pkt_push(struct pkt_queue *q, struct pkt *p);
struct pkt *pkt_pop(struct pkt_queue *q); /* NULL: empty */

/* What the receiver of a link is told about a kept packet. */
void pkt_show(const struct pkt *p, tern_rx_packet *out);

static inline uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static inline void store16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline uint32_t load32(const uint8_t *p) { return (uint32_t)load16(p) << 16 | load16(p + 2); }

static inline void store32(uint8_t *p, uint32_t v)
{
    store16(p, v >> 16);
    store16(p + 2, v);
}

/* Bytes of an Ethernet header before the IP packet; 0 on a link of IP packets. */
static inline uint32_t frame_header(bool ethernet) { return ethernet ? TERN_ETHERNET_HDR : 0; }

/* Where the transport header begins; 0 when it does not (fragments, extension headers, not IP). `proto` is
 * set then too. */
uint32_t transport_offset(const uint8_t *p, uint32_t len, uint8_t *proto);

/* Write the IPv4 header checksum; nothing on IPv6. */
void ip4_header_checksum(uint8_t *p);

/* Compute the transport checksum anew: of everything from `start`, with the pseudo-header of the IP header
 * before it. */
void transport_checksum(uint8_t *p, uint32_t len, uint32_t start, uint32_t offset);

/* Whether header and (TCP, UDP) transport checksums are right. */
bool packet_checksums_ok(const uint8_t *p, uint32_t len);

/* Turn a received packet into one to send, so that it can be cut. Its bytes stay where they are. */
void packet_from_rx(const tern_rx_packet *rx, tern_tx_packet *tx);

#endif
