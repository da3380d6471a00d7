/* sum.h - a value of 128 bits made of words, in which every word and its place count; and one of several such
 * values in which their order does not. For comparing states (stack/digest.c), not against a forger.
 */
#ifndef BASE_SUM_H
#define BASE_SUM_H

#include "mem.h"

struct sum {
    uint64_t a, b;
    /* bytes that are not a whole word yet: */
    uint64_t part;
    uint32_t n;
};

void sum_begin(struct sum *s, uint32_t purpose);
void sum_word(struct sum *s, uint64_t word);

/* A run of bytes, in pieces of any lengths; the pieces do not count. sum_bytes_end ends it. */
void sum_bytes(struct sum *s, const uint8_t *p, uint32_t n);
void sum_bytes_end(struct sum *s);

/* Add another sum to a set: neither the order nor the sums before it matter. */
void sum_join(struct sum *set, const struct sum *s);

#endif
