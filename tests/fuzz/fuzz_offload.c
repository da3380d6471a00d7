/* A packet to send, of any headers, slices and segment size, cut as a card would cut it (link/segment.c): no
 * byte of the payload is lost, doubled or moved, each piece is a packet of its own with right checksums, and
 * the way back from a received packet (packet_from_rx) leads to the same pieces.
 *
 *   0 flags: IPv6, FIN, PSH, CWR   1 header options   2..3 segment size   4 slices   then payload
 */
#include "link/packet.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 8192, HEAD = 5 };

struct pieces {
    const uint8_t *payload;
    uint32_t len, at, n, gso_size;
    uint32_t seq;
    uint8_t flags;
};

static void take_piece(void *ctx, const uint8_t *p, uint32_t len)
{
    struct pieces *c = ctx;
    struct ip_hdr ip;
    struct segment s;
    ASSERT(ip_parse(p, len, &ip) == TERN_CAUSE_NONE && ip.total_len == len);
    ASSERT(tcp_parse(&ip, true, &s) == TERN_CAUSE_NONE && packet_checksums_ok(p, len));
    ASSERT(s.len <= c->len - c->at && memcmp(s.data, c->payload + c->at, s.len) == 0);
    ASSERT(s.seq.v == c->seq + c->at);
    bool last = c->at + s.len == c->len;
    bool cut = c->gso_size != 0 && c->gso_size < c->len;
    ASSERT(!cut || s.len == c->gso_size || last);
    uint8_t want = c->flags;
    if (!last)
        want &= (uint8_t) ~(F_FIN | F_PSH); /* they belong to the last one, */
    if (c->n > 0)
        want &= (uint8_t)~F_CWR; /* and this to the first (RFC 3168 6.1.2) */
    ASSERT(s.flags == want);
    c->at += s.len;
    c->n++;
}

static void cut(const tern_tx_packet *pkt, struct pieces c)
{
    tern_segment(pkt, take_piece, &c);
    ASSERT(c.at == c.len);
    ASSERT(c.n == (c.gso_size == 0 || c.len == 0 ? 1 : (c.len + c.gso_size - 1) / c.gso_size));
}

/* The payload in so many slices as there is room for, of lengths that the input chooses. */
static void slice(tern_tx_packet *pkt, const uint8_t *payload, uint32_t n, uint32_t cuts)
{
    uint32_t each = 1 + cuts % 700, at = 0;
    pkt->n_slices = 0;
    while (at < n) {
        uint32_t part = pkt->n_slices == TERN_TX_SLICES - 1 || each > n - at ? n - at : each;
        pkt->slices[pkt->n_slices++] = (tern_slice){payload + at, part};
        at += part;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t flat[MOST + TERN_TX_HDR];
    if (size < HEAD || size > MOST)
        return 0;
    uint32_t n = (uint32_t)size - HEAD;
    bool v6 = data[0] & 1;
    struct segment s = {.seq = seq(0xfffffff0u + data[1]),
                        .flags = (uint8_t)(F_ACK | (data[0] & 2 ? F_FIN : 0))};
    s.src = v6 ? (tern_ip){{0x20, 1, 0x0d, 0xb8, [15] = 1}} : tern_ip4(192, 0, 2, 1);
    s.dst = s.src;
    s.dst.b[15] = 2;
    s.flags |= (uint8_t)((data[0] & 4 ? F_PSH : 0) | (data[0] & 8 ? F_CWR : 0));
    s.opt.wscale = WSCALE_NONE;
    s.opt.ts = data[1] & 1;
    tern_tx_packet pkt = {.flags = (uint8_t)(TERN_TX_CSUM | (v6 ? TERN_TX_IP6 : 0)), .csum_offset = 16};
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s.opt, s.flags));
    pkt.csum_start = ip_emit(pkt.hdr, &s.src, &s.dst, PROTO_TCP, 64, 0, tcp_len + n, 7);
    tcp_emit(pkt.hdr + pkt.csum_start, &s);
    pkt.hdr_len = (uint16_t)(pkt.csum_start + tcp_len);
    pkt.len = pkt.hdr_len + n;
    pkt.gso_size = get16(data + 2) & 0x0fff;
    slice(&pkt, data + HEAD, n, data[4] * 3u);
    struct pieces c = {data + HEAD, n, 0, 0, pkt.gso_size, s.seq.v, s.flags};
    cut(&pkt, c);
    tern_rx_packet rx = {.data = flat, .len = tern_tx_flatten(&pkt, flat), .gso_size = pkt.gso_size};
    rx.flags = TERN_RX_CSUM_OK;
    packet_from_rx(&rx, &pkt);
    cut(&pkt, c);
    return 0;
}
