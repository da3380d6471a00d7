/* packet.h - TCP segments on the simulated wire: parse and build.
 *
 * The simulation reads and writes packets with this codec of its own and never with the stack's, so that a
 * mistake in the stack's codec cannot hide from the oracle.
 */
#ifndef SIM_PACKET_H
#define SIM_PACKET_H

#include <tern/tern.h>

enum {
    FIN = 1,
    SYN = 2,
    RST = 4,
    PSH = 8,
    ACK = 16,
    URG = 32,
    ECE = 64,
    CWR = 128,
};

enum { PACKET_MAX = 2048, PACKET_SACKS = 4 };

struct segment {
    tern_endpoint src, dst;
    uint32_t seq, ack;
    uint32_t len;        /* payload bytes */
    const uint8_t *data; /* payload; points into the packet */
    uint8_t flags;
    uint8_t n_sack;      /* SACK blocks */
    uint8_t wscale;      /* option + 1; 0 = none */
    bool ts;             /* timestamps option present */
    bool sack_ok;
    uint16_t window;     /* as on the wire, unscaled */
    uint16_t mss;        /* option; 0 = none */
    uint16_t urgent;     /* pointer */
    uint8_t tos;         /* Diffserv and ECN of the IP header */
    uint8_t ttl;         /* or hop limit; to be built: 0 = 64 */
    uint32_t ts_val, ts_ecr;
    struct {
        uint32_t start, end;
    } sack[PACKET_SACKS];
};

/* Sequence numbers that the segment takes: SYN and FIN take one each (RFC 9293 3.4). */
static inline uint32_t segment_space(const struct segment *s)
{
    return s->len + ((s->flags & SYN) != 0) + ((s->flags & FIN) != 0);
}

/* Parse an IPv4 or IPv6 packet with a TCP segment. NULL = well-formed; else what is wrong. `check`: with the
 * TCP checksum, which a link may not have completed yet. */
const char *segment_read(struct segment *s, const uint8_t *pkt, uint32_t len, bool check);

/* The same with the checksum. */
const char *segment_parse(struct segment *s, const uint8_t *pkt, uint32_t len);

/* Build the packet (both addresses of one family; what is set becomes an option). Returns its
 * length; `buf` holds PACKET_MAX bytes. */
uint32_t segment_build(const struct segment *s, uint8_t *buf);

bool ip_equal(const tern_ip *a, const tern_ip *b);
bool endpoint_equal(const tern_endpoint *a, const tern_endpoint *b);

#endif
