/* A mutator for inputs that are programs (stack_forge.h): it adds, removes, doubles, swaps and changes whole
 * steps, and takes steps of one input into another, where plain bytes would mostly make nonsense of what
 * follows.
 */
#ifndef FUZZ_STACK_MUTATE_H
#define FUZZ_STACK_MUTATE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max_size, unsigned seed);
/* libFuzzer's own, of plain bytes; there is none without it */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#ifndef FUZZ_HEAD
#define FUZZ_HEAD 4 /* bytes before the first step */
#endif
enum { MUTATE_STEPS = 600, MUTATE_ARGS = 255 };

/* Where the steps of an input begin; at[n] is its end. */
struct steps {
    uint32_t at[MUTATE_STEPS + 1];
    uint32_t n;
};

static uint32_t mutate_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)(*state >> 33);
}

static void find_steps(const uint8_t *data, size_t size, struct steps *s)
{
    uint32_t at = FUZZ_HEAD;
    s->n = 0;
    while (at + 2 <= size && s->n < MUTATE_STEPS) {
        s->at[s->n++] = at;
        at += 2u + data[at + 1];
    }
    s->at[s->n] = at < size ? at : (uint32_t)size;
}

/* Replace `old` bytes at `at` by `len` new ones, if the result is not too long. Returns the new size. */
static size_t mutate_put(uint8_t *data, size_t size, size_t max, uint32_t at, uint32_t old,
                         const uint8_t *fresh, uint32_t len)
{
    if (size - old + len > max)
        return size;
    memmove(data + at + len, data + at + old, size - at - old);
    memcpy(data + at, fresh, len);
    return size - old + len;
}

/* A step from nothing: mostly small numbers, which mean something to most operations. */
static uint32_t make_step(uint8_t *p, uint64_t *state)
{
    uint32_t n = mutate_random(state) % 12;
    p[0] = (uint8_t)(mutate_random(state) % 32);
    p[1] = (uint8_t)n;
    for (uint32_t i = 0; i < n; i++)
        p[2 + i] = (uint8_t)(mutate_random(state) & 1 ? mutate_random(state) % 8 : mutate_random(state));
    return 2 + n;
}

/* Change the choices of one step. */
static size_t change_step(uint8_t *data, size_t size, size_t max, uint32_t at, uint32_t len)
{
    uint8_t p[2 + MUTATE_ARGS];
    memcpy(p, data + at, len);
    uint32_t n = len > 2 ? len - 2 : 0;
    if (LLVMFuzzerMutate)
        n = (uint32_t)LLVMFuzzerMutate(p + 2, n, n + 4 < MUTATE_ARGS ? n + 4 : MUTATE_ARGS);
    p[1] = (uint8_t)n;
    return mutate_put(data, size, max, at, len, p, 2 + n);
}

static size_t mutate_once(uint8_t *data, size_t size, size_t max, uint64_t *state)
{
    struct steps s;
    uint8_t p[2 + MUTATE_ARGS] = {0};
    find_steps(data, size, &s);
    uint32_t how = mutate_random(state) % 16;
    uint32_t i = s.n > 0 ? mutate_random(state) % s.n : 0, k = s.n > 0 ? mutate_random(state) % s.n : 0;
    if (s.n == 0 || how < 4)
        return mutate_put(data, size, max, s.at[s.n > 0 ? i : 0], 0, p, make_step(p, state));
    uint32_t at = s.at[i], len = s.at[i + 1] - at;
    if (len < 2 || how == 4) {
        data[mutate_random(state) % FUZZ_HEAD] ^= (uint8_t)(1u << mutate_random(state) % 8);
        return size;
    }
    if (how < 10)
        return change_step(data, size, max, at, len);
    if (how == 10) { /* another operation with the same choices */
        data[at] = (uint8_t)(mutate_random(state) % 32);
        return size;
    }
    if (how < 13) /* removed */
        return mutate_put(data, size, max, at, len, p, 0);
    memcpy(p, data + at, len); /* doubled, or moved */
    if (how == 13 && k < i) {
        size = mutate_put(data, size, max, at, len, p, 0);
        return mutate_put(data, size, max, s.at[k], 0, p, len);
    }
    return mutate_put(data, size, max, s.at[k], 0, p, len);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint64_t state = seed;
    if (size < FUZZ_HEAD || max_size < FUZZ_HEAD + 2 * (2 + MUTATE_ARGS)) {
        size_t n = LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : size;
        return n;
    }
    for (uint32_t n = 1 + mutate_random(&state) % 4; n > 0; n--)
        size = mutate_once(data, size, max_size, &state);
    return size;
}

/* The beginning of one, then some steps of the other, then the rest of the first. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max_size, unsigned seed)
{
    uint64_t state = seed;
    struct steps sa, sb;
    if (a_size < FUZZ_HEAD || a_size > max_size)
        return 0;
    memcpy(out, a, a_size);
    find_steps(a, a_size, &sa);
    find_steps(b, b_size, &sb);
    if (b_size < FUZZ_HEAD || sb.n == 0)
        return a_size;
    uint32_t from = mutate_random(&state) % sb.n, to = from + 1 + mutate_random(&state) % (sb.n - from);
    uint32_t at = sa.at[mutate_random(&state) % (sa.n + 1)];
    return mutate_put(out, a_size, max_size, at, 0, b + sb.at[from], sb.at[to] - sb.at[from]);
}

#endif
