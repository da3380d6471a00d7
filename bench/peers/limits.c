/* limits.c - what the machine can do at most: the same bytes moved without any protocol.
 *
 *     peer-limits [M|W1|W1z]... [--seconds S]
 *
 * M: memcpy of 64 KiB that lie in the cache, us: the figure by which columns measured elsewhere are scaled.
 * W1: for each 1,460 bytes a copy in, a verified checksum and a copy out, over a ring of W segments.
 * W1z: the same with 64 KiB and no checksum. */
#include "peer.h"

#include <stdint.h>

#define STACK "limit"

static uint8_t in[1 << 16], out[1 << 16];

/* The sum of RFC 1071 over 64-bit words, their halves apart, not folded; `len` is a multiple of 4. */
#define CLONES target_clones("arch=x86-64-v4", "avx2", "default")
__attribute__((CLONES, optimize("O3", "unroll-loops"))) static uint64_t sum_of(const uint8_t *p, uint32_t len)
{
    uint64_t low = 0, high = 0;
    uint32_t last = 0;
    for (uint32_t k = 0; k < len / 8; k++) {
        uint64_t word;
        memcpy(&word, p + (size_t)k * 8, 8);
        low += word & 0xffffffff;
        high += word >> 32;
    }
    if (len % 8 != 0)
        memcpy(&last, p + len - 4, 4);
    return low + high + last;
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static double copies(uint32_t piece, uint32_t pieces, bool verify, double seconds)
{
    uint8_t *ring = malloc((size_t)piece * pieces);
    uint16_t right = fold(sum_of(in, piece));
    uint64_t done = 0, wrong = 0;
    double start = cpu_seconds(), used;
    if (ring == NULL)
        abort();
    do {
        for (uint32_t k = 0; k < 4096; k++, done++) {
            uint8_t *at = ring + (size_t)(done % pieces) * piece;
            memcpy(at, in, piece);
            if (verify)
                wrong += fold(sum_of(at, piece)) != right;
            memcpy(out, at, piece);
            __asm__ volatile("" : : "r"(out), "r"(at) : "memory");
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    free(ring);
    if (wrong != 0)
        abort();
    return (double)done * piece * 8 / used / 1e9;
}

static double memcpy_us(double seconds)
{
    uint64_t n = 0;
    double start = cpu_seconds(), used;
    do {
        for (uint32_t k = 0; k < 1000; k++, n++) {
            memcpy(out, in, sizeof in);
            __asm__ volatile("" : : "r"(out) : "memory");
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    return used / (double)n * 1e6;
}

int main(int argc, char **argv)
{
    static const uint32_t windows[] = {8, 64, 700};
    double seconds = argument(argc, argv, "--seconds", 0.3);
    char what[16];
    for (uint32_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 7);
    if (row_asked(argc, argv, "M"))
        result("M", "", STACK, "us", memcpy_us(seconds));
    for (int i = 0; i < 3 && row_asked(argc, argv, "W1"); i++) {
        snprintf(what, sizeof what, "%u", windows[i]);
        result("W1", what, STACK, "Gbit/s", copies(1460, windows[i], true, seconds));
    }
    if (row_asked(argc, argv, "W1z"))
        result("W1z", "", STACK, "Gbit/s", copies(1 << 16, 16, false, seconds));
    return 0;
}
