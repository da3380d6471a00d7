/* wire_help.h - what the tests of the codecs share: blocks of exactly the right size, random numbers. */
#ifndef TESTS_WIRE_HELP_H
#define TESTS_WIRE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/wire.h"

/* A copy in a block of its own of exactly n bytes, so that a sanitizer or valgrind sees a read beyond. */
static inline uint8_t *exact(const void *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n == 0)
        return copy;
    memcpy(copy, p, n);
    return copy;
}

/* splitmix64 */
static inline uint64_t rnd(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline void rnd_bytes(uint64_t *state, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rnd(state);
}

/* A random unicast address of a family. */
static inline tern_ip rnd_ip(uint64_t *state, int version)
{
    tern_ip ip = tern_ip4((uint8_t)(1 + rnd(state) % 126), 2, (uint8_t)rnd(state), (uint8_t)rnd(state));
    if (version == 6) {
        rnd_bytes(state, ip.b, 16);
        ip.b[0] = 0x20;
    }
    return ip;
}

static inline tern_ip ip6(uint16_t a, uint16_t b, uint16_t h)
{
    tern_ip ip = {{0}};
    put16(ip.b, a), put16(ip.b + 2, b), put16(ip.b + 14, h);
    return ip;
}

/* The definition of RFC 1071, byte by byte. */
static inline uint16_t slow_csum(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* An IPv4 packet around `n` bytes of payload; returns its length. */
static inline uint32_t ip4_around(uint8_t *p, uint8_t proto, const void *payload, uint32_t n)
{
    tern_ip src = tern_ip4(192, 0, 2, 1), dst = tern_ip4(192, 0, 2, 2);
    uint16_t len = ip_emit(p, &src, &dst, proto, 64, 0, n, 7);
    memcpy(p + len, payload, n);
    return len + n;
}

#endif
