/* stream - endless data from a seed, and the check that the same arrived, so that gigabytes need no disk.
 *
 *     stream SEED BYTES           writes that many bytes to standard output
 *     stream --check SEED BYTES   reads standard input to its end and compares; exit 0: exactly these bytes
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 16 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

/* The bytes of block number `n`: any block can be made without those before it. */
static void make(uint64_t seed, uint64_t n, uint8_t *out)
{
    uint64_t base = mix(seed + 1) + n * (BLOCK / 8);
    for (uint64_t i = 0; i < BLOCK / 8; i++) {
        uint64_t v = mix((base + i) * 0x9e3779b97f4a7c15u);
        memcpy(out + i * 8, &v, 8);
    }
}

static int produce(uint64_t seed, uint64_t bytes)
{
    static uint8_t block[BLOCK];
    for (uint64_t at = 0; at < bytes; at += BLOCK) {
        size_t len = bytes - at < BLOCK ? (size_t)(bytes - at) : BLOCK;
        make(seed, at / BLOCK, block);
        for (size_t done = 0; done < len;) {
            ssize_t n = write(STDOUT_FILENO, block + done, len - done);
            if (n <= 0) {
                perror("stream: write");
                return 1;
            }
            done += (size_t)n;
        }
    }
    return 0;
}

static int differs(uint64_t at, const uint8_t *got, const uint8_t *want, size_t len)
{
    size_t i = 0;
    while (i < len && got[i] == want[i])
        i++;
    fprintf(stderr, "stream: byte %" PRIu64 " is %02x, should be %02x\n", at + i, got[i], want[i]);
    return 1;
}

static int check(uint64_t seed, uint64_t bytes)
{
    static uint8_t got[BLOCK], want[BLOCK];
    uint64_t at = 0;
    for (;;) {
        size_t in_block = (size_t)(at % BLOCK);
        ssize_t n = read(STDIN_FILENO, got + in_block, BLOCK - in_block);
        if (n <= 0)
            break;
        if (in_block == 0)
            make(seed, at / BLOCK, want);
        if (memcmp(got + in_block, want + in_block, (size_t)n) != 0)
            return differs(at, got + in_block, want + in_block, (size_t)n);
        at += (uint64_t)n;
    }
    if (at != bytes)
        fprintf(stderr, "stream: %" PRIu64 " bytes came, %" PRIu64 " should\n", at, bytes);
    return at != bytes;
}

int main(int argc, char **argv)
{
    bool checks = argc == 4 && strcmp(argv[1], "--check") == 0;
    if (argc != 3 && !checks) {
        fprintf(stderr, "usage: stream [--check] SEED BYTES\n");
        return 2;
    }
    uint64_t seed = strtoull(argv[argc - 2], NULL, 0), bytes = strtoull(argv[argc - 1], NULL, 0);
    return checks ? check(seed, bytes) : produce(seed, bytes);
}
