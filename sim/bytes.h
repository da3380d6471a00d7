/* bytes.h - what every codec outside the core needs: numbers in network order, and checksums (RFC 1071).
 *
 * The judges, the peers of scripts and the routers of the virtual networks read and write packets with these
 * and never with the stack's own, so that a mistake there cannot hide.
 */
#ifndef SIM_BYTES_H
#define SIM_BYTES_H

#include <tern/tern.h>

static inline uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
    return get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

/* `sum` and the bytes: one's complement, not yet folded. Only the last piece may be of odd length. Words of
 * 32 bits are added as they are: their upper half counts 2^16 times, which is once in one's complement. */
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *p, uint32_t len)
{
    for (; len > 3; p += 4, len -= 4)
        sum += get32(p);
    if (len > 1) {
        sum += get16(p);
        p += 2, len -= 2;
    }
    return len ? sum + ((uint64_t)p[0] << 8) : sum;
}

/* The checksum; 0 when the bytes had a right one in them. */
static inline uint16_t checksum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static inline uint16_t checksum_of(const uint8_t *p, uint32_t len)
{
    return checksum_fold(checksum_add(0, p, len));
}

/* With the pseudo-header (RFC 9293 3.1, RFC 8200 8.1). */
static inline uint16_t checksum_between(const tern_ip *src, const tern_ip *dst, uint8_t proto,
                                        const uint8_t *p, uint32_t len)
{
    uint32_t skip = tern_ip_is4(src) ? 12 : 0;
    uint64_t sum = checksum_add(proto + (uint64_t)len, src->b + skip, 16 - skip);
    return checksum_fold(checksum_add(checksum_add(sum, dst->b + skip, 16 - skip), p, len));
}

#endif
