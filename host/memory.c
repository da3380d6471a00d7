/* memory.c - see memory.h.
 *
 * A stack uses its block from the beginning on and touches nothing above what it needs, so a large
 * reservation costs address space alone. Ten million connections at rest lie in 2.5 GB: with pages of 4 KiB
 * nearly every packet for a random one of them would miss the processor's table of pages, too, at each of the
 * records that it needs. So huge pages are asked for, but not for the first few MiB: a small stack shall stay
 * small.
 */
#include "host/memory.h"

#include <stdint.h>
#include <sys/mman.h>

#define SMALL ((size_t)8 << 20) /* of a stack of thirty thousand connections at rest */

void *memory_reserve(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (len > SMALL)
        (void)madvise((uint8_t *)p + SMALL, len - SMALL, MADV_HUGEPAGE); /* only a wish */
    return p;
}

void memory_release(void *p, size_t len)
{
    if (p != NULL)
        munmap(p, len);
}
