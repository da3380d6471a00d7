/* segment.c - what a network card does with a super-segment (TSO), in software.
 *
 *     hdr | p0 p1 p2 p3 p4 p5 p6 ...          one packet, gso_size g
 *     hdr'| p0..                              seq,       first: CWR stays
 *          hdr'| pg..                         seq + g,   neither first nor last: no CWR, no FIN, no PSH
 *               hdr'| p2g.. end               seq + 2g,  last: FIN and PSH stay
 *
 * Each piece has its own IP length, IPv4 identification (one more each) and checksums. Super-segments never
 * carry URG: its pointer counts from the sequence number, and a card would repeat it wrongly.
 *
 * The header is a form of which a piece fills in few words; what the others add to the checksums is summed
 * once. The payload is touched once: summed while it is copied (sum.c).
 */
#include "packet.h"

#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)

enum { FLAG_FIN = 1, FLAG_PSH = 8, FLAG_CWR = 128, IP4_HDR = 20, IP6_HDR = 40, TCP_CHECKSUM = 16 };
enum { FORM = TERN_TX_HDR / 2 }; /* all of most headers, and a number that the compiler knows */

/* To 16 bits: a number and the same with its halves exchanged add up to the sum of both in the upper half,
 * the carry included. */
static inline uint32_t fold(uint64_t sum)
{
    sum += sum << 32 | sum >> 32;
    uint32_t half = (uint32_t)(sum >> 32);
    half += half << 16 | half >> 16;
    return half >> 16;
}

/* Of the words of a header; no more than some of the largest. */
static inline uint64_t sum_words(const uint8_t *p, uint32_t len)
{
    uint64_t sum = 0;
    for (; len >= 4; p += 4, len -= 4)
        sum += load32(p);
    return len > 0 ? sum + load16(p) : sum;
}

/* Addresses and protocol: what of the pseudo-header does not change with the length. */
static inline uint64_t sum_addresses(const uint8_t *ip)
{
    bool v4 = ip[0] >> 4 == 4;
    return (v4 ? ip[9] : ip[6]) + sum_words(ip + (v4 ? 12 : 8), v4 ? 8 : 32);
}

/* Of a TCP header what is the same in all pieces: number, flags and checksum are each one's own. */
static inline uint64_t sum_tcp(const uint8_t *p, uint32_t len)
{
    return (uint64_t)load32(p) + load32(p + 8) + load16(p + 14) + load16(p + 18) +
           sum_words(p + 20, len - 20);
}

/* Of an IPv4 header: not length, identification and checksum. */
static inline uint64_t sum_ip4(const uint8_t *p)
{
    return (uint64_t)load16(p) + load16(p + 6) + load16(p + 8) + sum_words(p + 12, (p[0] & 15) * 4u - 12);
}

/* Where the next byte of payload is. */
struct place {
    uint32_t slice, at;
};

/* The same, over the ends of slices. */
static uint64_t put_parts(const tern_cut *c, struct place *from, uint8_t *to, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t put = 0; put < n && from->slice < c->pkt->n_slices;) {
        const tern_slice *s = &c->pkt->slices[from->slice];
        uint32_t part = s->len - from->at < n - put ? s->len - from->at : n - put;
        sum += c->sum(to + put, s->data + from->at, part) << (put & 1 ? 8 : 0);
        put += part;
        from->at += part;
        if (from->at == s->len)
            *from = (struct place){from->slice + 1, 0};
    }
    return sum;
}

/* Bytes before the IP header. */
static uint32_t front_of(const tern_tx_packet *pkt)
{
    return frame_header((pkt->flags & TERN_TX_ETHERNET) != 0);
}

/* Write n bytes of payload; returns their sum. The cut stays out of reach of the call, so that the compiler
 * knows that nothing changes it. */
static inline uint64_t put_payload(tern_cut *c, uint8_t *to, uint32_t n)
{
    const tern_slice *s = &c->pkt->slices[c->slice];
    if (LIKELY(c->slice < c->pkt->n_slices && s->len - c->at > n)) {
        const uint8_t *from = s->data + c->at;
        c->at += n;
        return c->sum(to, from, n);
    }
    struct place from = {c->slice, c->at};
    const tern_cut copy = *c;
    uint64_t sum = put_parts(&copy, &from, to, n);
    c->slice = from.slice;
    c->at = from.at;
    return sum;
}

/* The whole packet as it is. */
static uint32_t put_whole(tern_cut *c, uint8_t *to)
{
    const tern_tx_packet *pkt = c->pkt;
    uint32_t front = front_of(pkt);
    memcpy(to, pkt->hdr, pkt->hdr_len);
    uint64_t payload = put_payload(c, to + pkt->hdr_len, pkt->len - pkt->hdr_len);
    uint32_t start = pkt->csum_start;
    if (!(pkt->flags & TERN_TX_CSUM))
        return pkt->len;
    if (pkt->csum_offset != TCP_CHECKSUM || start + 20u > pkt->hdr_len || (pkt->hdr_len - start) % 2 != 0) {
        transport_checksum(to + front, pkt->len - front, start - front, pkt->csum_offset);
        return pkt->len;
    }
    uint64_t sum = sum_words(to + start, pkt->hdr_len - start) - load16(to + start + TCP_CHECKSUM);
    store16(to + start + TCP_CHECKSUM, ~fold(payload + sum + sum_addresses(to + front) + pkt->len - start));
    return pkt->len;
}

/* What pieces of the same size and the same flags have in common. */
struct shape {
    uint32_t ip_len;  /* of the packet, as its header says */
    uint32_t flags;   /* the word with the flags */
    uint32_t ip_sum;  /* of the IP header, without the identification */
    uint64_t tcp_sum; /* of pseudo-header and header, without the number */
};

static inline struct shape shape_of(const tern_cut *c, uint32_t payload, bool last)
{
    const tern_tx_packet *pkt = c->pkt;
    uint32_t off = (c->pieces > 0 ? FLAG_CWR : 0) | (last ? 0 : FLAG_FIN | FLAG_PSH), flags = c->flags & ~off;
    uint32_t len = pkt->hdr_len + payload - front_of(pkt), tcp_len = pkt->hdr_len - pkt->csum_start + payload;
    return (struct shape){.ip_len = c->ip4 ? len : len - IP6_HDR,
                          .flags = flags,
                          .ip_sum = c->ip_sum + len,
                          .tcp_sum = (uint64_t)c->hdr_sum + flags + tcp_len};
}

/* Length, identification and checksum of the IP header; number, flags and checksum of the TCP header behind
 * it. `payload`: the sum of the piece's. */
static inline void fill(uint8_t *ip, uint8_t *tcp, const tern_cut *c, const struct shape *s, uint64_t payload)
{
    uint32_t number = c->number + c->done;
    if (c->ip4) {
        uint32_t id = (c->ip_id + c->pieces) & 0xffff;
        store32(ip + 2, s->ip_len << 16 | id);
        store16(ip + 10, ~fold(s->ip_sum + id));
    } else {
        store16(ip + 4, s->ip_len);
    }
    store32(tcp + 4, number);
    store16(tcp + 12, s->flags);
    store16(tcp + TCP_CHECKSUM, ~fold(payload + s->tcp_sum + (number >> 16) + (number & 0xffff)));
}

/* Pieces of what is cut, as tern_cut_some says. */
static uint32_t put_pieces(tern_cut *cut, uint8_t *to, uint32_t room, uint32_t *len, uint32_t max)
{
    tern_cut c = *cut; /* so that the compiler knows that no byte written here changes it */
    const tern_tx_packet *pkt = c.pkt;
    uint32_t hdr = pkt->hdr_len, some = pkt->gso_size, start = pkt->csum_start, front = front_of(pkt);
    uint32_t left = pkt->len - hdr - c.done, n = 0;
    struct shape shape = shape_of(&c, some, false);
    for (; n < max && left > 0; n++, to += room) {
        if (left <= some)
            shape = shape_of(&c, some = left, true);
        else if (c.pieces == 1)
            shape = shape_of(&c, some, false);
        memcpy(to, pkt->hdr, FORM);
        if (hdr > FORM)
            memcpy(to + FORM, pkt->hdr + FORM, TERN_TX_HDR - FORM);
        uint64_t payload = put_payload(&c, to + hdr, some);
        fill(to + front, to + start, &c, &shape, payload);
        len[n] = hdr + some;
        left -= some;
        c.done += some;
        c.pieces++;
    }
    cut->done = c.done;
    cut->pieces = c.pieces;
    cut->slice = c.slice;
    cut->at = c.at;
    return n;
}

void tern_cut_begin(tern_cut *c, const tern_tx_packet *pkt, tern_sum_fn *sum)
{
    uint32_t start = pkt->csum_start;
    *c = (tern_cut){.pkt = pkt, .sum = sum ? sum : tern_host_sum(-1)};
    c->cuts = pkt->gso_size > 0 && pkt->gso_size < pkt->len - pkt->hdr_len;
    if (!c->cuts)
        return;
    const uint8_t *ip = pkt->hdr + front_of(pkt), *tcp = pkt->hdr + start;
    c->hdr_sum = fold(sum_tcp(tcp, pkt->hdr_len - start) + sum_addresses(ip));
    c->number = load32(tcp + 4);
    c->flags = load16(tcp + 12);
    c->ip4 = ip[0] >> 4 == 4;
    c->ip_id = load16(ip + 4);
    c->ip_sum = c->ip4 ? fold(sum_ip4(ip)) : 0;
}

uint32_t tern_cut_some(tern_cut *c, uint8_t *to, uint32_t room, uint32_t *len, uint32_t max)
{
    if (c->cuts)
        return put_pieces(c, to, room, len, max);
    if (max == 0 || c->pieces++ > 0)
        return 0;
    len[0] = put_whole(c, to);
    return 1;
}

uint32_t tern_cut_next(tern_cut *c, uint8_t *to)
{
    uint32_t len;
    return tern_cut_some(c, to, 0, &len, 1) > 0 ? len : 0;
}

void tern_segment(const tern_tx_packet *pkt, void (*emit)(void *ctx, const uint8_t *pkt, uint32_t len),
                  void *ctx)
{
    uint8_t buf[TERN_TX_HDR + LINK_MAX_PACKET];
    tern_cut cut;
    if (pkt->len > sizeof buf)
        return;
    tern_cut_begin(&cut, pkt, NULL);
    for (uint32_t len; (len = tern_cut_next(&cut, buf)) > 0;)
        emit(ctx, buf, len);
}
