/* rand.h - keyed hashing and random numbers, all drawn from the seed. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "mem.h"

struct sipkey {
    uint64_t k0, k1;
};

/* SipHash-c-d (Aumasson, Bernstein 2012) of n bytes. 2-4 for what outsiders must not guess (ISN, ports), 1-3
 * for tables. */
uint64_t siphash24(struct sipkey key, const void *data, size_t n);
uint64_t siphash13(struct sipkey key, const void *data, size_t n);

/* Numbers from a key and a counter: siphash24(key, counter++). */
struct rng {
    struct sipkey key;
    uint64_t counter;
};

/* A key as 16 bytes. */
struct sipkey sipkey_of(const uint8_t key[16]);

/* Derive from a 32-byte seed and a purpose, so that no two purposes share a key. */
struct sipkey sipkey_derive(const uint8_t seed[32], uint32_t purpose);
void rng_init(struct rng *r, const uint8_t seed[32], uint32_t purpose);
uint64_t rng_u64(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* 0..n-1 without bias; n > 0 */

#endif
