/* rand.h - keyed hashing and random numbers, all drawn from the seed. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "mem.h"

struct sipkey {
    uint64_t k0, k1;
};

/* SipHash-c-d (Aumasson, Bernstein 2012) of n bytes. 2-4 for what outsiders must not guess (ISN, ports), 1-3
 * for what they never see. */
uint64_t siphash24(struct sipkey key, const void *data, size_t n);
uint64_t siphash13(struct sipkey key, const void *data, size_t n);

/* The same of bytes that are there as words already, at least one: each the next eight bytes, the first of
 * them lowest; the last has at most seven, and above them the length of all (sip_length). What is put
 * together byte by byte in memory must be written before it can be read as words again, and that takes longer
 * than a round. */
uint64_t siphash24_words(struct sipkey key, const uint64_t *words, size_t n);
static inline uint64_t sip_length(uint64_t bytes) { return bytes << 56; }

/* The key of a table's hash: of words that nobody outside sees the hash of, a few multiplications instead of
 * SipHash's rounds. Pairs of words are added to secret ones and multiplied (NH; Black, Halevi, Krawczyk,
 * Krovetz, Rogaway 1999), and the sum is multiplied with a secret odd number, of which the upper half counts
 * (Dietzfelbinger and others 1997). Whatever words somebody prepares, two of them have the same hash with a
 * probability of no more than 2^-30 over the keys: he does as well with random ones. */
struct mixkey {
    uint64_t w[6];         /* two words of 32 bits each; the last is the odd number */
};
struct mixkey mixkey_of(struct sipkey key);

/* The next two words of what is hashed; `at` counts pairs, 0..4. */
static inline uint64_t mix_pair(const struct mixkey *k, uint32_t at, uint32_t a, uint32_t b)
{
    return (uint64_t)(a + (uint32_t)k->w[at]) * (b + (uint32_t)(k->w[at] >> 32));
}

static inline uint32_t mix_end(const struct mixkey *k, uint64_t sum)
{
    return (uint32_t)(sum * k->w[5] >> 32);
}

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
