/* link_packets.h - hand-made packets for the tests of the links, and a plain checksum to hold theirs against.
 * */
#ifndef UNIT_LINK_PACKETS_H
#define UNIT_LINK_PACKETS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <tern/host.h>

enum { FIN = 1, PSH = 8, ACK = 16, CWR = 128 };

static inline uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static inline uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

/* RFC 1071, a byte at a time. */
static inline uint32_t plain_sum(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Sum of pseudo-header (of `len` bytes of TCP) and so on; 0xffff when the checksum is right. */
static inline uint32_t plain_tcp_sum(const uint8_t *p, size_t len)
{
    uint32_t hdr = p[0] >> 4 == 4 ? 20 : 40;
    uint8_t tail[4] = {0, 6, (uint8_t)((len - hdr) >> 8), (uint8_t)(len - hdr)};
    uint32_t sum = hdr == 20 ? plain_sum(0, p + 12, 8) : plain_sum(0, p + 8, 32);
    return plain_sum(plain_sum(sum, tail, 4), p + hdr, len - hdr);
}

static inline void assert_checksums(const uint8_t *p, size_t len)
{
    if (p[0] >> 4 == 4)
        assert_int_equal(plain_sum(0, p, 20), 0xffff);
    assert_int_equal(plain_tcp_sum(p, len), 0xffff);
}

/* Set Diffserv and ECN of an IPv4 packet, and its header checksum. */
static inline void set_tos(tern_tx_packet *pkt, uint8_t tos)
{
    uint8_t *h = pkt->hdr;
    h[1] = tos;
    h[10] = h[11] = 0;
    uint32_t sum = ~plain_sum(0, h, 20);
    h[10] = (uint8_t)(sum >> 8);
    h[11] = (uint8_t)sum;
}

/* A TCP packet of `n` bytes of payload, with the checksum left to the link. */
static inline void make_packet(tern_tx_packet *pkt, bool v6, uint8_t flags, const uint8_t *payload,
                               uint32_t n)
{
    uint32_t hdr = v6 ? 40 : 20;
    memset(pkt, 0, sizeof *pkt);
    uint8_t *h = pkt->hdr, *t = h + hdr;
    uint32_t total = hdr + 20 + n;
    if (v6) {
        uint32_t len = 20 + n;
        memcpy(h, (uint8_t[8]){0x60, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, 6, 64}, 8);
        memcpy(h + 8, (uint8_t[16]){0x20, 1, 0xd, 0xb8, [15] = 1}, 16);
        memcpy(h + 24, (uint8_t[16]){0x20, 1, 0xd, 0xb8, [15] = 2}, 16);
    } else {
        memcpy(h, (uint8_t[20]){0x45,
                                0,
                                (uint8_t)(total >> 8),
                                (uint8_t)total,
                                0xff,
                                0xff,
                                0x40,
                                0,
                                64,
                                6,
                                0,
                                0,
                                192,
                                0,
                                2,
                                1,
                                192,
                                0,
                                2,
                                2},
               20);
        set_tos(pkt, 0);
    }
    memcpy(t, (uint8_t[20]){0x1f, 0x90, 0xc0, 0, 0xff, 0xff, 0xff, 0, 1, 2, 3, 4, 0x50, flags, 0x20, 0}, 20);
    pkt->flags = (uint8_t)(TERN_TX_CSUM | (v6 ? TERN_TX_IP6 : 0));
    pkt->hdr_len = (uint16_t)(hdr + 20);
    pkt->csum_start = (uint16_t)hdr;
    pkt->csum_offset = 16;
    pkt->len = total;
    pkt->n_slices = n > 0;
    pkt->slices[0] = (tern_slice){payload, n};
}

/* As above, but complete, so that nothing is left to the link. */
static inline void make_whole_packet(tern_tx_packet *pkt, bool v6, const uint8_t *payload, uint32_t n)
{
    static uint8_t flat[2048];
    make_packet(pkt, v6, ACK, payload, n);
    assert_true(pkt->len <= sizeof flat);
    tern_tx_flatten(pkt, flat);
    uint32_t sum = ~plain_tcp_sum(flat, pkt->len);
    pkt->hdr[pkt->csum_start + 16] = (uint8_t)(sum >> 8);
    pkt->hdr[pkt->csum_start + 17] = (uint8_t)sum;
    pkt->flags &= (uint8_t)~TERN_TX_CSUM;
}

#endif
