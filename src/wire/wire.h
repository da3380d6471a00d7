/* wire.h - the codecs: bytes of packets are touched here and nowhere else.
 *
 * parse: validates every length once into a plain struct; after that nothing can fail. Returns
 * TERN_CAUSE_NONE or why the packet is refused. emit: writes a header, returns its length. No function keeps
 * a pointer beyond the struct's `data`.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/mem.h"
#include "base/seq.h"
#include <tern/link.h>
#include <tern/stats.h>

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }
static inline void put32(uint8_t *p, uint32_t v) { put16(p, (uint16_t)(v >> 16)), put16(p + 2, (uint16_t)v); }

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_FRAGMENT = 44, PROTO_ICMP6 = 58 };
enum { ECN_NOT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

/* Internet checksum (RFC 1071). csum_add: `sum` plus that of n bytes, which begin at an even offset unless
 * `odd`; it grows by at most 65535, so sums may be added. csum_fold: to 16 bits, complemented, in host order
 * (put16 it). */
uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t n);
uint64_t csum_add_odd(uint64_t sum, const uint8_t *p, size_t n);
uint16_t csum_fold(uint64_t sum);
/* The same as a tern_sum_fn (link.h), which also copies. */
uint64_t csum_plain(void *to, const void *from, size_t n);
/* Sum of bytes that lie in pieces; the first one begins at an even offset. `fn`: who adds them up. */
uint64_t csum_slices(uint64_t sum, const tern_slice *slices, uint32_t n, tern_sum_fn *fn);
/* Sum of the pseudo-header (RFC 9293 3.1; RFC 8200 8.1 for IPv6). */
uint64_t csum_pseudo(const tern_ip *src, const tern_ip *dst, uint8_t proto, uint32_t len);

/* An IP packet, IPv4 or IPv6. */
struct ip_hdr {
    tern_ip src, dst;
    const uint8_t *payload;   /* behind all headers */
    uint32_t payload_len;
    uint32_t total_len;       /* of the packet; bytes behind it are padding */
    uint16_t hdr_len;         /* all IP headers: options or extension headers included */
    uint8_t version;          /* 4, 6 */
    uint8_t proto;            /* of the payload (behind IPv6 extension headers) */
    uint8_t ttl;
    uint8_t tos;              /* Diffserv << 2 | ECN */
    bool fragment;            /* part of a datagram: */
    bool more;                /* more fragments follow */
    bool dont_fragment;       /* IPv4's DF */
    bool source_route;        /* IPv4: has LSRR or SSRR; IPv6: routing header with segments left */
    uint32_t frag_off;        /* bytes */
    uint32_t frag_id;
    uint16_t frag_hdr_len;    /* bytes of headers before the fragmentable part */
};

/* Parse any IP packet (by its version). IP options and extension headers that are unknown are stepped over
 * (MUST-50). */
enum tern_cause ip_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out);

/* Write an IPv4 (20 bytes, checksum made, DF set) or IPv6 (40 bytes) header for `payload_len` bytes. `id`:
 * IPv4 identification. Returns its length. */
uint16_t ip_emit(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl, uint8_t tos,
                 uint32_t payload_len, uint16_t id);

/* The same for one fragment of a datagram: `payload_len` bytes at `offset` (a multiple of 8), more to follow
 * or not. IPv6 gets its fragment header: 48 bytes. */
uint16_t ip_emit_fragment(uint8_t *p, const tern_ip *src, const tern_ip *dst, uint8_t proto, uint8_t ttl,
                          uint8_t tos, uint32_t payload_len, uint16_t id, uint32_t offset, bool more);

/* Who an IP packet whose header ip_emit wrote is from, and to. */
void ip_addresses(const uint8_t *p, tern_ip *src, tern_ip *dst);

/* Take DF out of an IPv4 header that ip_emit wrote: routers may cut this packet. */
void ip4_allow_fragments(uint8_t *p);

enum { F_FIN = 1, F_SYN = 2, F_RST = 4, F_PSH = 8, F_ACK = 16, F_URG = 32, F_ECE = 64, F_CWR = 128 };

#define WSCALE_NONE 0xff
#define MAX_SACK 4

struct keep; /* base/lent.h */

struct sack_block {
    seq_t left, right;
};

/* TCP options, parsed or to be written. */
struct tcp_opts {
    uint16_t mss;           /* 0 = absent */
    uint8_t wscale;         /* 0..14 (larger ones are read as 14, RFC 7323 2.3); WSCALE_NONE = absent */
    bool sack_ok;           /* SACK permitted */
    bool ts;                /* timestamps present */
    uint8_t n_sack;
    uint32_t ts_val, ts_ecr;
    struct sack_block sack[MAX_SACK];
};

/* One TCP segment, validated. Passed down as const. */
struct segment {
    tern_ip src, dst;
    uint16_t src_port, dst_port;
    seq_t seq, ack;
    uint16_t wnd;           /* as on the wire, unscaled */
    uint16_t up;            /* urgent pointer field */
    uint8_t flags;          /* F_... */
    uint8_t tos, ttl, link;
    bool fragments;         /* out: DF is left off (IPv4), the path is narrower than we cut */
    uint16_t gso_size;      /* payload of one original segment when this is a super-segment; 0 = one */
    const uint8_t *data;    /* payload */
    uint32_t len;           /* payload bytes, without SYN and FIN */
    struct keep *keep;      /* received: where it may stay; NULL = it must be copied */
    uint32_t pair;          /* received: hash of its addresses and ports (tcp/demux.c), */
    uint32_t found, found_at; /* and what was found for it when it was read ahead (tcp/demux.c) */
    struct tcp_opts opt;
};

/* SEG.LEN: counts SYN and FIN (RFC 9293 3.4). */
static inline uint32_t seg_len(const struct segment *s)
{
    return s->len + ((s->flags & F_SYN) != 0) + ((s->flags & F_FIN) != 0);
}

/* Parse the TCP header in ip->payload. `verify`: check the checksum too. Options are read on every segment
 * (MUST-5), at any offset (MUST-64), unknown ones stepped over (MUST-6); an impossible length gives
 * TCP_OPTION_LENGTH (MUST-7): then all of `out` but the options behind it is valid, so that it can be
 * answered. `link`, `gso_size` and what is only received are 0: the caller knows them. */
enum tern_cause tcp_parse(const struct ip_hdr *ip, bool verify, struct segment *out);
/* The same; verified by this function, NULL = not. */
enum tern_cause tcp_parse_with(const struct ip_hdr *ip, tern_sum_fn *verify, struct segment *out);

/* A segment that others may follow, of which only the next bytes are new (follow.c). */
struct tcp_lead {
    const uint8_t *p;           /* its packet, which must stay; NULL = there is none: */
    uint16_t ip_len, tcp_len;   /* of the headers */
    uint32_t tcp_sum, ip_sum;   /* of what all have in common, with tcp_lead_sums */
};
/* From now on it is this one, if it is of that kind. `ip_len`: bytes of its IP headers. */
void tcp_lead(uint16_t ip_len, const uint8_t *p, const struct segment *s, struct tcp_lead *out);
/* Before its first follower is asked for. */
void tcp_lead_sums(struct tcp_lead *l);
/* Whether it is worth asking: most packets of a batch may be of different connections, which ports tell. */
static inline bool tcp_may_follow(const struct tcp_lead *l, const uint8_t *p, uint32_t len)
{
    return len > (uint32_t)l->ip_len + 4 && memcmp(p + l->ip_len, l->p + l->ip_len, 4) == 0;
}

/* Such a one: nothing of its headers says anything else. */
struct follower {
    seq_t seq;
    uint32_t len;           /* payload bytes, > 0 */
    const uint8_t *data;
    uint32_t sum;           /* of pseudo-header and TCP header */
};
bool tcp_follows(const struct tcp_lead *l, const uint8_t *p, uint32_t len, struct follower *out);
/* Whether its checksum is right, when this is the sum of its payload. */
static inline bool follower_right(const struct follower *f, uint64_t payload_sum)
{
    return (payload_sum + f->sum) % 0xffff == 0; /* and never 0, since the addresses are not */
}

/* Write a TCP header with options (each once; padded with NOP before, so that timestamps stand at a
 * multiple of 4). No MSS without F_SYN (MUST-65). SACK blocks as many as fit. Checksum field left 0.
 * Returns its length, 20..60. */
uint16_t tcp_emit(uint8_t *p, const struct segment *s);

/* A packet with the headers that nearly all have (plain.c), read at once: what tcp_parse would say of it
 * behind ip_parse, with `verify` both checksums. False: it is for those two, whatever is with it. */
#define PLAIN_IP      20u    /* bytes of its IP header */
#define PLAIN_MOST    512u   /* of a short one */
#define PLAIN_LONGEST 65535u /* of any */
bool plain_parse(const uint8_t *p, uint32_t len, bool verify, struct segment *s);

/* Write such headers as ip_emit and tcp_emit would, checksums made, for at most PLAIN_MOST bytes of payload
 * that lie at `data`. Returns their length; 0: they are not plain, nothing was written. */
uint16_t plain_emit(uint8_t *p, const struct segment *s, uint32_t payload, const uint8_t *data);

/* Bytes that these options will take in the header, padded to 4. */
uint16_t tcp_opts_len(const struct tcp_opts *o, uint8_t flags);

/* ICMP and ICMPv6. */
enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACH = 3,
    ICMP_QUENCH = 4,
    ICMP_ECHO = 8,
    ICMP_TIME = 11,
    ICMP_PARAM = 12
};
enum {
    ICMP6_UNREACH = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_TIME = 3,
    ICMP6_PARAM = 4,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_ROUTER_SOLICIT = 133,
    ICMP6_ROUTER_ADVERT = 134,
    ICMP6_NEIGHBOUR_SOLICIT = 135,
    ICMP6_NEIGHBOUR_ADVERT = 136
};

struct icmp_msg {
    uint8_t version;        /* 4, 6 */
    uint8_t type, code;
    uint32_t rest;          /* second word: echo id and sequence, next-hop MTU, pointer */
    const uint8_t *body;    /* behind the 8 bytes */
    uint32_t body_len;
    bool is_error;          /* type of an error with an embedded packet */
    bool has_tcp;           /* the embedded packet is TCP, with at least ports and sequence number: */
    tern_ip in_src, in_dst; /* of the embedded packet: in_src is us */
    uint16_t in_src_port, in_dst_port;
    seq_t in_seq;
};

/* Parse and verify the checksum. */
enum tern_cause icmp_parse(const struct ip_hdr *ip, struct icmp_msg *out);

/* As if a router had said that the host cannot be reached to which this packet of ours goes; its TCP header
 * begins at `tcp_at`. */
void icmp_unreachable(const uint8_t *packet, uint32_t tcp_at, struct icmp_msg *out);

/* Write the 8 bytes of an ICMP (or, by version, ICMPv6) message whose body stands at `body`; checksum
 * made. */
void icmp_emit(uint8_t *p, uint8_t version, uint8_t type, uint8_t code, uint32_t rest, const uint8_t *body,
               uint32_t body_len, const tern_ip *src, const tern_ip *dst);

/* Kinds of addresses. Each is asked several times a packet, and is shorter than a call. IPv4 addresses are
 * ::ffff:a.b.c.d, so byte 12 is their first. */
/* Two loads of each; compilers call memcmp where they find nothing better. */
static inline bool ip_eq(const tern_ip *a, const tern_ip *b)
{
    uint64_t x[2], y[2];
    memcpy(x, a->b, sizeof x);
    memcpy(y, b->b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* 224.0.0.0/4 (RFC 1112 4); ff00::/8 (RFC 4291 2.7). */
static inline bool ip_is_multicast(const tern_ip *ip)
{
    return tern_ip_is4(ip) ? (ip->b[12] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

/* 0.0.0.0 (RFC 1122 3.2.1.3 a); :: (RFC 4291 2.5.2). */
static inline bool ip_is_unspecified(const tern_ip *ip)
{
    static const tern_ip none;
    return tern_ip_is4(ip) ? get32(ip->b + 12) == 0 : ip_eq(ip, &none);
}

/* 255.255.255.255 (RFC 1122 3.2.1.3 c). */
static inline bool ip_is_broadcast4(const tern_ip *ip)
{
    return get32(ip->b + 12) == 0xffffffff && tern_ip_is4(ip);
}

/* fe80::/10 (RFC 4291 2.5.6). */
static inline bool ip_is_link_local6(const tern_ip *ip)
{
    return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

/* A pair of addresses of one family as the small records keep it: 8 bytes of IPv4, 32 of IPv6. */
static inline void ip_pair_write(uint8_t *out, const tern_ip *local, const tern_ip *remote)
{
    if (LIKELY(tern_ip_is4(remote))) {
        memcpy(out, local->b + 12, 4);
        memcpy(out + 4, remote->b + 12, 4);
    } else {
        memcpy(out, local->b, 16);
        memcpy(out + 16, remote->b, 16);
    }
}

static inline void ip_pair_read(const uint8_t *in, bool ip4, tern_ip *local, tern_ip *remote)
{
    if (LIKELY(ip4)) {
        *local = tern_ip4(in[0], in[1], in[2], in[3]);
        *remote = tern_ip4(in[4], in[5], in[6], in[7]);
    } else {
        memcpy(local->b, in, 16);
        memcpy(remote->b, in + 16, 16);
    }
}

/* Whether the first `len` bits (of the family: IPv4 counts from the last 4 bytes) agree. */
bool ip_prefix_eq(const tern_ip *a, const tern_ip *b, int len);

#endif
