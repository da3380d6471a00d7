/* mem.h - the few words that every room uses: memory functions, assertions, small arithmetic. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The four functions that a compiler may call anyway; the core needs nothing else from outside. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* assert: a mistake of the programmer, ends the process. NEVER: handled, but must be unreachable; in debug
 * builds it ends the process too, so that tests see it. Usable as a condition: if (NEVER(x == 0)) return. */
#define ASSERT(x) ((x) ? (void)0 : __builtin_trap())
#ifdef NDEBUG
#define NEVER(x) __builtin_expect(!!(x), 0)
#else
#define NEVER(x) (__builtin_expect(!!(x), 0) ? (__builtin_trap(), true) : false)
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* A function that is seldom called: it lies apart, and the way to it at the end of its caller, so that what
 * is called for every packet lies dense and fits into the processor's instruction cache. */
#define COLD __attribute__((cold, noinline))
/* A function that is part of its caller always: on a way that each packet goes, where calls would cost as
 * much as what is done. */
#define INLINED __attribute__((always_inline))
/* A function that stays one: its caller often does without it, and then need not save registers for it. */
#define APART __attribute__((noinline))
/* Ask the processor for the cache line at p, which will be needed soon: a hint that changes nothing, and
 * allowed at any address. */
#define FETCH(p) __builtin_prefetch(p)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
