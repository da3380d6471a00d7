/* sum.c - two independent chains of multiplications, each a bijection of the state for every word: a word
 * that differs is never lost in the step that takes it. */
#include "base/sum.h"

static inline uint64_t rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

/* All bits of the result depend on all of x (the finish of splitmix64). */
static inline uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void sum_begin(struct sum *s, uint32_t purpose)
{
    *s = (struct sum){.a = finish(purpose + 1ull), .b = finish(~(uint64_t)purpose)};
}

void sum_word(struct sum *s, uint64_t word)
{
    s->a = (rotl(s->a, 25) ^ word) * 0x9e3779b97f4a7c15u;
    s->a ^= s->a >> 29;
    s->b = (rotl(s->b, 41) + word) * 0xd6e8feb86659fd93u;
    s->b ^= s->b >> 32;
}

void sum_bytes(struct sum *s, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        s->part |= (uint64_t)p[i] << (8 * (s->n % 8));
        if (++s->n % 8 == 0) {
            sum_word(s, s->part);
            s->part = 0;
        }
    }
}

void sum_bytes_end(struct sum *s)
{
    sum_word(s, s->part);
    sum_word(s, s->n);
    s->part = 0;
    s->n = 0;
}

void sum_join(struct sum *set, const struct sum *s)
{
    set->a += finish(s->a ^ rotl(s->b, 17));
    set->b += finish(s->b + rotl(s->a, 31));
}
