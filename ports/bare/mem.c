/* mem.c - memcpy, memmove, memset and memcmp, for machines without a C library: all that the core needs.
 *
 * Simple loops, a byte at a time where nothing better is certain and a machine word at a time where both ends
 * are aligned. Compile with -fno-builtin, or a compiler may turn a loop into a call of itself.
 */
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t __attribute__((may_alias)) word;

enum { WORD = sizeof(word) };

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;
    if (((uintptr_t)d | (uintptr_t)s) % WORD == 0)
        for (; n >= WORD; n -= WORD, d += WORD, s += WORD)
            *(word *)(void *)d = *(const word *)(const void *)s;
    while (n-- > 0)
        *d++ = *s++;
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;
    if ((uintptr_t)d - (uintptr_t)s >= n) /* the start of dst is not inside src */
        return memcpy(dst, src, n);
    while (n-- > 0)
        d[n] = s[n];
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    unsigned char *d = dst;
    word all = (word)-1 / 255 * (unsigned char)c;
    for (; n > 0 && (uintptr_t)d % WORD != 0; n--)
        *d++ = (unsigned char)c;
    for (; n >= WORD; n -= WORD, d += WORD)
        *(word *)(void *)d = all;
    while (n-- > 0)
        *d++ = (unsigned char)c;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    for (; n > 0; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}
