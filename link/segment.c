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

enum { FLAG_FIN = 1, FLAG_PSH = 8, FLAG_CWR = 128, IP4_HDR = 20, IP6_HDR = 40, TCP_CHECKSUM = 16 };

static inline uint32_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32); /* < 2^33 */
    sum = (sum & 0xffff) + (sum >> 16);     /* < 2^18 */
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

/* Of the words of a header but those whose bits (1 << word) are set in `but`. */
static uint32_t sum_words_but(const uint8_t *p, uint32_t len, uint32_t but)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < len / 2; i++)
        sum += but >> i & 1 ? 0 : load16(p + 2 * i);
    return sum;
}

/* Addresses and protocol: what of the pseudo-header does not change with the length. */
static uint32_t sum_addresses(const uint8_t *ip)
{
    bool v4 = ip[0] >> 4 == 4;
    return (v4 ? ip[9] : ip[6]) + sum_words_but(ip + (v4 ? 12 : 8), v4 ? 8 : 32, 0);
}

/* The same, over the ends of slices. */
static uint64_t put_parts(tern_cut *c, uint8_t *to, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t put = 0; put < n && c->slice < c->pkt->n_slices;) {
        const tern_slice *s = &c->pkt->slices[c->slice];
        uint32_t part = s->len - c->at < n - put ? s->len - c->at : n - put;
        sum += c->sum(to + put, s->data + c->at, part) << (put & 1 ? 8 : 0);
        put += part;
        c->at += part;
        if (c->at == s->len) {
            c->slice++;
            c->at = 0;
        }
    }
    return sum;
}

/* Bytes before the IP header. */
static uint32_t front_of(const tern_tx_packet *pkt)
{
    return frame_header((pkt->flags & TERN_TX_ETHERNET) != 0);
}

/* Write n bytes of payload; returns their sum. */
static inline uint64_t put_payload(tern_cut *c, uint8_t *to, uint32_t n)
{
    const tern_slice *s = &c->pkt->slices[c->slice];
    if (c->slice >= c->pkt->n_slices || s->len - c->at <= n)
        return put_parts(c, to, n);
    const uint8_t *from = s->data + c->at;
    c->at += n;
    return c->sum(to, from, n);
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
    uint32_t sum = sum_words_but(to + start, pkt->hdr_len - start, 1u << TCP_CHECKSUM / 2);
    store16(to + start + TCP_CHECKSUM, ~fold(payload + sum + sum_addresses(to + front) + pkt->len - start));
    return pkt->len;
}

/* Length, identification and checksum of the IP header. */
static inline void fill_ip(uint8_t *p, const tern_cut *c, uint32_t len)
{
    if (!c->ip4) {
        store16(p + 4, len - IP6_HDR);
        return;
    }
    uint32_t id = (c->ip_id + c->pieces) & 0xffff, sum = ~fold((uint64_t)c->ip_sum + len + id);
    store32(p + 2, len << 16 | id);
    store16(p + 10, sum);
}

/* Number, flags and checksum of the TCP header; `payload`: the sum of the piece's. */
static inline void fill_tcp(uint8_t *tcp, const tern_cut *c, uint32_t len, bool last, uint64_t payload)
{
    uint32_t number = c->number + c->done;
    uint32_t off = (c->pieces > 0 ? FLAG_CWR : 0) | (last ? 0 : FLAG_FIN | FLAG_PSH), word = c->flags & ~off;
    uint32_t sum = ~fold(payload + c->hdr_sum + (number >> 16) + (number & 0xffff) + word + len);
    store32(tcp + 4, number);
    store16(tcp + 12, word);
    store16(tcp + TCP_CHECKSUM, sum);
}

static uint32_t put_piece(tern_cut *cut, uint8_t *to)
{
    const tern_tx_packet *pkt = cut->pkt;
    tern_cut c = *cut; /* so that the compiler knows that no byte written here changes it */
    uint32_t hdr = pkt->hdr_len, left = pkt->len - hdr - c.done, gso = pkt->gso_size, start = pkt->csum_start;
    uint32_t n = gso < left ? gso : left, front = front_of(pkt);
    memcpy(to, pkt->hdr, TERN_TX_HDR / 2); /* all of most headers, and a number that the compiler knows */
    if (hdr > TERN_TX_HDR / 2)
        memcpy(to + TERN_TX_HDR / 2, pkt->hdr + TERN_TX_HDR / 2, TERN_TX_HDR / 2);
    uint64_t payload = put_payload(cut, to + hdr, n);
    fill_ip(to + front, &c, hdr + n - front);
    fill_tcp(to + start, &c, hdr + n - start, n == left, payload);
    cut->done = c.done + n;
    cut->pieces = c.pieces + 1;
    return hdr + n;
}

void tern_cut_begin(tern_cut *c, const tern_tx_packet *pkt, tern_sum_fn *sum)
{
    uint32_t start = pkt->csum_start;
    *c = (tern_cut){.pkt = pkt, .sum = sum ? sum : tern_host_sum(-1)};
    c->cuts = pkt->gso_size > 0 && pkt->gso_size < pkt->len - pkt->hdr_len;
    if (!c->cuts)
        return;
    /* number, flags and checksum are each piece's own; so are length, identification and checksum of IP */
    c->hdr_sum = sum_words_but(pkt->hdr + start, pkt->hdr_len - start, 1u << 2 | 1u << 3 | 1u << 6 | 1u << 8);
    const uint8_t *ip = pkt->hdr + front_of(pkt);
    c->hdr_sum += sum_addresses(ip);
    c->number = load32(pkt->hdr + start + 4);
    c->flags = load16(pkt->hdr + start + 12);
    c->ip4 = ip[0] >> 4 == 4;
    c->ip_id = load16(ip + 4);
    c->ip_sum = sum_words_but(ip, (ip[0] & 15) * 4u, 1u << 1 | 1u << 2 | 1u << 5);
}

uint32_t tern_cut_next(tern_cut *c, uint8_t *to)
{
    if (c->cuts)
        return c->done < c->pkt->len - c->pkt->hdr_len ? put_piece(c, to) : 0;
    return c->pieces++ == 0 ? put_whole(c, to) : 0;
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
