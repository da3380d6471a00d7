/* sum.c - the Internet checksum of bytes while they are copied, by the widest vectors that the processor has.
 *
 * One's complement addition does not care how wide its words are (RFC 1071 2 B), so the lower and the upper
 * halves of 64-bit lanes are two sums that cannot overflow, and all is folded to 16 bits at the end. The
 * first is had for less: whole lanes are added, modulo 2^64, and the upper halves are taken away in the end.
 *
 *   vector   | h1 l1 | h2 l2 | h3 l3 | ...        whole += h1 l1 | h2 l2 | h3 l3 | ...
 *                                                 high  += h1    | h2    | h3    | ...
 *
 * What is left at the end, shorter than a vector, is read as the last whole vector of the bytes, in which
 * those that were added already are masked out. With that a sum costs nothing beside the copy. The vectors
 * are those of the compiler's language, so the same lines (sum_width.h) serve every width and every machine.
 */
#include <tern/host.h>

#include <string.h>

enum { WIDEST = 64 };

#define OFF8 0, 0, 0, 0, 0, 0, 0, 0
#define ON8  255, 255, 255, 255, 255, 255, 255, 255

/* n bytes before its middle: a mask that lets the last n bytes of a vector through. */
static const uint8_t edge[2 * WIDEST] = {OFF8, OFF8, OFF8, OFF8, OFF8, OFF8, OFF8, OFF8,
                                         ON8,  ON8,  ON8,  ON8,  ON8,  ON8,  ON8,  ON8};

/* In network order, as link.h says: a multiple of 256 has the bytes of its words exchanged. */
static inline uint64_t in_network_order(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? sum << 8 : sum;
}

/* Fewer bytes than a vector. */
static inline __attribute__((always_inline)) uint64_t sum_little(uint8_t *to, const uint8_t *p, size_t n)
{
    uint64_t sum = 0, word;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        sum += (word & 0xffffffff) + (word >> 32);
        if (to) {
            memcpy(to, &word, 8);
            to += 8;
        }
    }
    word = 0;
    memcpy(&word, p, n);
    if (to)
        memcpy(to, &word, n);
    return sum + (word & 0xffffffff) + (word >> 32);
}

/* A vector that was read once stays in its register: gcc would read it again for each use, and each of three
 * loads over the end of a cache line costs two. */
#if defined __x86_64__ && !defined __clang__
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define IN_REGISTER(v) (void)0
#endif

#define WIDTH 16
#define VEC   vec16
#define SUM   sum16
#include "sum_width.h"

static uint64_t sum_any(void *restrict to, const void *restrict from, size_t n)
{
    return in_network_order(to ? sum16(to, from, n) : sum16(NULL, from, n));
}

#ifdef __x86_64__
#define WIDTH 32
#define VEC   vec32
#define SUM   sum32
#include "sum_width.h"

#define WIDTH 64
#define VEC   vec64
#define SUM   sum64
#include "sum_width.h"

__attribute__((target("avx2"))) static uint64_t sum_avx2(void *restrict to, const void *restrict from,
                                                         size_t n)
{
    return in_network_order(to ? sum32(to, from, n) : sum32(NULL, from, n));
}

__attribute__((target("avx512f,avx512bw"))) static uint64_t sum_avx512(void *restrict to,
                                                                       const void *restrict from, size_t n)
{
    return in_network_order(to ? sum64(to, from, n) : sum64(NULL, from, n));
}

static int widest(void)
{
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512f"))
        return 2;
    return __builtin_cpu_supports("avx2") ? 1 : 0;
}

static tern_sum_fn *const sums[] = {sum_any, sum_avx2, sum_avx512};
#else
static int widest(void) { return 0; }

static tern_sum_fn *const sums[] = {sum_any};
#endif

tern_sum_fn *tern_host_sum(int step)
{
    int most = widest();
    return sums[step < 0 || step > most ? most : step];
}
