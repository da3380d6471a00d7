/* checksum.c - the Internet checksum (RFC 1071).
 *
 * The checksum is the complement of the one's complement sum of all 16-bit words. That sum does not care for
 * the order of bytes (RFC 1071 2 B) nor for the width of the adder (2 C), so the loop adds 64-bit words as
 * the machine loads them, each with its carry, in four sums that do not wait for one another; the result is
 * folded to 16 bits and turned to host order at the end. Partial sums returned from here are therefore small
 * numbers that may simply be added up; 2^47 of them fit.
 */
#include "wire.h"

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* One's complement addition: the carry comes back in at the bottom. */
static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static inline uint16_t swap16(uint16_t v)
{
    return (uint16_t)(v << 8 | v >> 8);
}

static inline uint16_t fold16(uint64_t s)
{
    s = (s & 0xffffffff) + (s >> 32); /* < 2^33 */
    s = (s & 0xffff) + (s >> 16);     /* < 2^18 */
    s = (s & 0xffff) + (s >> 16);
    return (uint16_t)((s & 0xffff) + (s >> 16));
}

/* A sum of words as the machine loads them, as a sum of 16-bit words in network order. */
static inline uint16_t in_network_order(uint64_t sum)
{
    uint16_t s = fold16(sum);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? swap16(s) : s;
}

/* Fewer than 8 bytes, as sum of words of 4, 2 and 2 bytes, the last one completed with zero. */
static uint64_t load_tail(const uint8_t *p, size_t n)
{
    uint32_t four = 0;
    uint16_t two = 0, one = 0;
    if (n & 4)
        memcpy(&four, p, 4);
    if (n & 2)
        memcpy(&two, p + (n & 4), 2);
    if (n & 1)
        memcpy(&one, p + (n & 6), 1);
    return (uint64_t)four + two + one;
}

/* Sum of n bytes from an even offset, as 16-bit words in network order. */
static uint16_t sum_words(const uint8_t *p, size_t n)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (; n >= 64; p += 64, n -= 64) {
        a = add_carry(a, load64(p));
        b = add_carry(b, load64(p + 8));
        c = add_carry(c, load64(p + 16));
        d = add_carry(d, load64(p + 24));
        a = add_carry(a, load64(p + 32));
        b = add_carry(b, load64(p + 40));
        c = add_carry(c, load64(p + 48));
        d = add_carry(d, load64(p + 56));
    }
    for (; n >= 8; p += 8, n -= 8)
        a = add_carry(a, load64(p));
    b = add_carry(b, load_tail(p, n));
    return in_network_order(add_carry(add_carry(a, b), add_carry(c, d)));
}

/* An IPv4 header without options is every second call. */
uint64_t csum_add(uint64_t sum, const uint8_t *p, size_t n)
{
    if (n == 20)
        return sum + in_network_order(add_carry(add_carry(load64(p), load64(p + 8)), load32(p + 16)));
    return sum + sum_words(p, n);
}

/* Bytes from an odd offset are in the other half of their words (RFC 1071 2 B). */
uint64_t csum_add_odd(uint64_t sum, const uint8_t *p, size_t n)
{
    return sum + swap16(sum_words(p, n));
}

uint16_t csum_fold(uint64_t sum)
{
    return (uint16_t)~fold16(sum);
}

uint64_t csum_pseudo(const tern_ip *src, const tern_ip *dst, uint8_t proto, uint32_t len)
{
    uint64_t sum;
    if (tern_ip_is4(src))
        sum = (uint64_t)load32(src->b + 12) + load32(dst->b + 12);
    else
        sum = add_carry(add_carry(load64(src->b), load64(src->b + 8)),
                        add_carry(load64(dst->b), load64(dst->b + 8)));
    return (uint64_t)in_network_order(sum) + proto + (len >> 16) + (len & 0xffff);
}

uint64_t csum_plain(void *to, const void *from, size_t n)
{
    if (to != NULL)
        memcpy(to, from, n);
    return sum_words(from, n);
}

uint64_t csum_slices(uint64_t sum, const tern_slice *slices, uint32_t n, tern_sum_fn *fn)
{
    bool odd = false;
    for (uint32_t i = 0; i < n; i++) {
        sum += fn(NULL, slices[i].data, slices[i].len) << (odd ? 8 : 0);
        odd ^= slices[i].len & 1;
    }
    return sum;
}
