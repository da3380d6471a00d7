/* frag.h - reassembly of fragmented datagrams, IPv4 (RFC 791 3.2) and IPv6 (RFC 8200 4.5), within limits.
 *
 * The table lies in the stack's world, which never moves in the arena; all zero = empty.
 */
#ifndef IP_FRAG_H
#define IP_FRAG_H

#include "base/arena.h"
#include "base/chunkq.h"
#include "base/sizes.h"
#include "wire/wire.h"

enum {
    FRAG_PER_SOURCE = 4,       /* of these, from one source (an IPv4 address, an IPv6 /64) */
    FRAG_HDR_MAX = 256,        /* bytes of headers before the fragmentable part */
    FRAG_TIMEOUT_US = 60000000 /* from the first piece: RFC 8200 4.5; RFC 1122 3.3.2 asks for 60 to 120 s */
};

/* Bytes of the fragmentable part that have come; in order of arrival. */
struct frag_piece {
    uint16_t start, len;
};

/* One datagram. It is told from others by source, destination, identification, link and, in IPv4,
 * protocol. */
struct frag_datagram {
    uint64_t deadline;  /* us */
    tern_ip src, dst;
    uint32_t id;
    uint32_t got;       /* bytes that have come */
    uint32_t high;      /* end of the piece that ends last */
    uint32_t total;     /* bytes in all; 0 = the last piece has not come */
    uint32_t hdr_at;    /* where the first piece's headers stand in the queue: behind its bytes */
    uint16_t hdr_len;   /* 0 = it has not come */
    uint16_t refused;   /* enum tern_cause: given up, and its later fragments with it; 0 = not */
    uint8_t used;
    uint8_t proto;      /* as the first piece says; in IPv4 of all */
    uint8_t link;
    uint8_t ecn;        /* codepoints seen: bit 1 << ECN_... */
    uint32_t n_pieces;
    struct chunkq q;    /* the bytes of the pieces, in their order, and the headers */
    struct frag_piece pieces[FRAG_PIECES];
};

struct frag_table {
    uint64_t timeouts;  /* datagrams given up because of their age, ever */
    uint64_t evicted;   /* datagrams that gave way to others, ever */
    uint32_t live;      /* records in use */
    ref_t whole;        /* the datagram made whole last: a run of pages, kept for the next; 0 = none yet */
    uint32_t whole_pages;
    uint32_t reserved;
    struct frag_datagram d[FRAG_DATAGRAMS];
};

/* A datagram made whole: header and payload, no fragment any more. Valid until the next frag_add. */
struct frag_packet {
    const uint8_t *data; /* NULL = not yet */
    uint32_t len;
};

/* Add a packet that ip_parse calls a fragment; `packet` is its first byte. Returns TERN_CAUSE_NONE when it
 * was kept or was known already; when it was the missing one, `out` is the whole packet, which ip_parse
 * accepts and calls no fragment. Otherwise the cause of the refusal. */
enum tern_cause frag_add(struct arena *a, struct frag_table *t, uint64_t now, const struct ip_hdr *ip,
                         const uint8_t *packet, uint8_t link, struct frag_packet *out);

/* Give up what is too old. Returns how many datagrams that were; cause FRAGMENT_TIMEOUT. */
uint32_t frag_expire(struct arena *a, struct frag_table *t, uint64_t now);

/* When frag_expire has something to do; UINT64_MAX = never. */
uint64_t frag_next_deadline(const struct frag_table *t);

/* Datagrams in the table, given up ones included. */
static inline uint32_t frag_live(const struct frag_table *t) { return t->live; }

/* Give up all of them, and all memory. */
void frag_clear(struct arena *a, struct frag_table *t);

#endif
