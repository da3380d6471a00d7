/* segment.c - what a network card does with a super-segment (TSO), in software.
 *
 *     hdr | p0 p1 p2 p3 p4 p5 p6 ...          one packet, gso_size g
 *     hdr'| p0..                              seq,       first: CWR stays
 *          hdr'| pg..                         seq + g,   neither first nor last: no CWR, no FIN, no PSH
 *               hdr'| p2g.. end               seq + 2g,  last: FIN and PSH stay
 *
 * Each piece has its own IP length, IPv4 identification (one more each) and checksums. Super-segments never
 * carry URG: its pointer counts from the sequence number, and a card would repeat it wrongly.
 */
#include "packet.h"

#include <string.h>

enum { FLAG_FIN = 1, FLAG_PSH = 8, FLAG_CWR = 128 };

/* Reads the payload of a packet front to back. */
struct reader {
    const tern_tx_packet *pkt;
    uint32_t slice, at;
};

static void read_payload(struct reader *r, uint8_t *to, uint32_t n)
{
    while (n > 0 && r->slice < r->pkt->n_slices) {
        const tern_slice *s = &r->pkt->slices[r->slice];
        uint32_t part = s->len - r->at < n ? s->len - r->at : n;
        if (part > 0)
            memcpy(to, s->data + r->at, part);
        to += part;
        n -= part;
        r->at += part;
        if (r->at == s->len) {
            r->slice++;
            r->at = 0;
        }
    }
}

/* The headers of piece number `i`, which begins `done` bytes into the payload. */
static void piece_headers(uint8_t *p, uint32_t len, uint32_t tcp, uint32_t i, uint32_t done, bool last)
{
    if (p[0] >> 4 == 4) {
        store16(p + 2, len);
        store16(p + 4, load16(p + 4) + i);
        ip4_header_checksum(p);
    } else {
        store16(p + 4, len - 40);
    }
    store32(p + tcp + 4, load32(p + tcp + 4) + done);
    if (i > 0)
        p[tcp + 13] &= (uint8_t)~FLAG_CWR;
    if (!last)
        p[tcp + 13] &= (uint8_t) ~(FLAG_FIN | FLAG_PSH);
}

void tern_segment(const tern_tx_packet *pkt, void (*emit)(void *ctx, const uint8_t *pkt, uint32_t len),
                  void *ctx)
{
    uint8_t buf[TERN_TX_HDR + LINK_MAX_PACKET];
    uint32_t payload = pkt->len - pkt->hdr_len, done = 0;
    bool cut = pkt->gso_size > 0 && pkt->gso_size < payload;
    struct reader reader = {.pkt = pkt};
    if (pkt->len > sizeof buf)
        return;
    for (uint32_t i = 0; i == 0 || done < payload; i++) {
        uint32_t n = cut && pkt->gso_size < payload - done ? pkt->gso_size : payload - done;
        uint32_t len = pkt->hdr_len + n;
        memcpy(buf, pkt->hdr, pkt->hdr_len);
        read_payload(&reader, buf + pkt->hdr_len, n);
        if (cut)
            piece_headers(buf, len, pkt->csum_start, i, done, done + n == payload);
        if (cut || (pkt->flags & TERN_TX_CSUM))
            transport_checksum(buf, len, pkt->csum_start, pkt->csum_offset);
        emit(ctx, buf, len);
        done += n;
    }
}
