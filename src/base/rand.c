/* rand.c - SipHash, and random numbers made of it.
 *
 * All randomness of a stack comes from the 32 bytes of seed in its configuration, so that a run can be
 * repeated exactly.
 *
 *   seed ──derive(purpose)──▶ key ──▶ siphash24(key, counter++) = the next number
 *
 * Invariants: (1) two purposes never share a key; (2) results do not depend on the machine's byte order; (3)
 * nothing here keeps state outside of the structures passed in.
 */
#include "base/rand.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

/* Little-endian by definition; compilers make one load of it. */
static inline uint64_t load64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline void store64(uint8_t *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> (8 * i));
}

static inline void one_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

/* 1 to 4, known where this is inlined: no loop is left then. */
static inline void rounds(struct sip *s, int n)
{
    one_round(s);
    if (n > 1)
        one_round(s);
    if (n > 2)
        one_round(s);
    if (n > 3)
        one_round(s);
}

static inline void absorb(struct sip *s, uint64_t word, int c)
{
    s->v3 ^= word;
    rounds(s, c);
    s->v0 ^= word;
}

/* The last word: what is left over, and the length in the top byte. */
static inline uint64_t last_word(const uint8_t *p, size_t left, size_t n)
{
    uint64_t word = (uint64_t)n << 56;
    size_t i = 0;
    if (left >= 4) {
        word |= (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
        i = 4;
    }
    for (; i < left; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static inline struct sip begin(struct sipkey key)
{
    return (struct sip){
        key.k0 ^ 0x736f6d6570736575,
        key.k1 ^ 0x646f72616e646f6d,
        key.k0 ^ 0x6c7967656e657261,
        key.k1 ^ 0x7465646279746573,
    };
}

static inline uint64_t end(struct sip *s, int d)
{
    s->v2 ^= 0xff;
    rounds(s, d);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* c rounds for every word, d rounds at the end; both constant where this is inlined. */
static inline __attribute__((always_inline)) uint64_t siphash(struct sipkey key, const uint8_t *p, size_t n,
                                                              int c, int d)
{
    struct sip s = begin(key);
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8)
        absorb(&s, load64(p), c);
    absorb(&s, last_word(p, left, n), c);
    return end(&s, d);
}

uint64_t siphash24_words(struct sipkey key, const uint64_t *words, size_t n)
{
    struct sip s = begin(key);
    for (size_t i = 0; i < n; i++)
        absorb(&s, words[i], 2);
    return end(&s, 4);
}

uint64_t siphash24(struct sipkey key, const void *data, size_t n) { return siphash(key, data, n, 2, 4); }

uint64_t siphash13(struct sipkey key, const void *data, size_t n) { return siphash(key, data, n, 1, 3); }

struct sipkey sipkey_of(const uint8_t key[16]) { return (struct sipkey){load64(key), load64(key + 8)}; }

struct sipkey sipkey_derive(const uint8_t seed[32], uint32_t purpose)
{
    struct sipkey root = {load64(seed), load64(seed + 8)};
    uint8_t text[24];
    for (int i = 0; i < 16; i++)
        text[i] = seed[16 + i];
    store64(text + 16, (uint64_t)purpose << 1);
    uint64_t k0 = siphash24(root, text, sizeof text);
    store64(text + 16, (uint64_t)purpose << 1 | 1);
    return (struct sipkey){k0, siphash24(root, text, sizeof text)};
}

void rng_init(struct rng *r, const uint8_t seed[32], uint32_t purpose)
{
    *r = (struct rng){.key = sipkey_derive(seed, purpose)};
}

uint64_t rng_u64(struct rng *r)
{
    uint8_t text[8];
    store64(text, r->counter++);
    return siphash24(r->key, text, sizeof text);
}

struct mixkey mixkey_of(struct sipkey key)
{
    struct rng r = {.key = key};
    struct mixkey k;
    for (int i = 0; i < 6; i++)
        k.w[i] = rng_u64(&r);
    k.w[5] |= 1;
    return k;
}

/* Lemire 2019: the high half of a product; the few low halves that would favour some results are drawn
 * again. */
uint32_t rng_below(struct rng *r, uint32_t n)
{
    ASSERT(n > 0);
    uint32_t unfair = (0u - n) % n; /* 2^32 mod n */
    uint64_t product;
    do {
        product = (rng_u64(r) >> 32) * n;
    } while ((uint32_t)product < unfair);
    return (uint32_t)(product >> 32);
}
