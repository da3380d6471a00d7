/* base_world.h - what the tests of src/base share: an arena in a block of its own, and numbers from a
 * seed. */
#ifndef UNIT_BASE_WORLD_H
#define UNIT_BASE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

/* SplitMix64: not of the code under test. */
struct dice {
    uint64_t x;
};

static inline uint64_t dice64(struct dice *d)
{
    uint64_t z = d->x += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static inline uint32_t dice(struct dice *d, uint32_t n) { return (uint32_t)((dice64(d) >> 32) * n >> 32); }

/* An arena of `size` bytes with `fixed` bytes of the owner's. The block is dirty at first. */
static inline struct arena *arena_make(size_t size, uint64_t budget, uint32_t page, size_t fixed,
                                       void **place)
{
    void *ignored;
    struct arena *a = aligned_alloc(64, size);
    assert_non_null(a);
    memset(a, 0xa5, size);
    assert_true(arena_init(a, size, budget, page, fixed, place != NULL ? place : &ignored));
    return a;
}

static inline uint32_t arena_in_use(const struct arena *a) { return a->pages_used - a->free_count; }

#endif
