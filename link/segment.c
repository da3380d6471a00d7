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
enum { FORM = TERN_TX_HDR / 2 }; /* all of most headers, and a number that the compiler knows */

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
    memcpy(to, pkt->hdr, FORM);
    if (hdr > FORM)
        memcpy(to + FORM, pkt->hdr + FORM, TERN_TX_HDR - FORM);
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

/* How many pieces can be written that are neither the last nor cross the end of a slice, `max` at most. */
static uint32_t pieces_in_a_row(const tern_cut *c, uint32_t max)
{
    const tern_tx_packet *pkt = c->pkt;
    if (!c->cuts || c->slice >= pkt->n_slices || pkt->hdr_len > FORM ||
        (c->pieces == 0 && (c->flags & FLAG_CWR)))
        return 0;
    uint32_t gso = pkt->gso_size, left = pkt->len - pkt->hdr_len - c->done;
    uint32_t here = pkt->slices[c->slice].len - c->at;
    uint32_t n = left > 0 && here > 0 ? ((left < here ? left : here) - 1) / gso : 0;
    return n < max ? n : max;
}

/* So many of these: a form of their header is filled in once, and in each piece what is its own. */
static void put_row(tern_cut *cut, uint8_t *to, uint32_t room, uint32_t n)
{
    tern_cut c = *cut;
    const tern_tx_packet *pkt = c.pkt;
    uint32_t hdr = pkt->hdr_len, gso = pkt->gso_size, start = pkt->csum_start, front = front_of(pkt);
    uint32_t len = hdr + gso - front, word = c.flags & ~(uint32_t)(FLAG_CWR | FLAG_FIN | FLAG_PSH);
    uint64_t common = (uint64_t)c.hdr_sum + word + hdr + gso - start;
    const uint8_t *from = pkt->slices[c.slice].data + c.at;
    uint8_t form[FORM];
    memcpy(form, pkt->hdr, FORM);
    store16(form + start + 12, word);
    if (!c.ip4)
        store16(form + front + 4, len - IP6_HDR);
    for (uint32_t i = 0; i < n; i++, to += room, from += gso) {
        uint32_t number = c.number + c.done + i * gso, id = (c.ip_id + c.pieces + i) & 0xffff;
        memcpy(to, form, FORM);
        uint64_t payload = c.sum(to + hdr, from, gso);
        if (c.ip4) {
            store32(to + front + 2, len << 16 | id);
            store16(to + front + 10, ~fold((uint64_t)c.ip_sum + len + id));
        }
        store32(to + start + 4, number);
        store16(to + start + TCP_CHECKSUM, ~fold(payload + common + (number >> 16) + (number & 0xffff)));
    }
    cut->done += n * gso;
    cut->pieces += n;
    cut->at += n * gso;
}

uint32_t tern_cut_some(tern_cut *c, uint8_t *to, uint32_t room, uint32_t *len, uint32_t max)
{
    uint32_t n = 0, last = 1;
    while (n < max && last > 0) {
        uint32_t row = pieces_in_a_row(c, max - n);
        if (row > 0)
            put_row(c, to + (size_t)n * room, room, row);
        for (; row > 0; row--)
            len[n++] = c->pkt->hdr_len + c->pkt->gso_size;
        if (n < max && (last = tern_cut_next(c, to + (size_t)n * room)) > 0)
            len[n++] = last;
    }
    return n;
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
