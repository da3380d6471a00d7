/* memory.h - address space for a stack: reserved as a whole, given by the kernel page by page as it is
 * touched, in huge pages where it has them. */
#ifndef HOST_MEMORY_H
#define HOST_MEMORY_H

#include <stddef.h>

/* `len` bytes of zeroed memory that cost nothing until they are touched. NULL: errno says why. */
void *memory_reserve(size_t len);
void memory_release(void *p, size_t len);

#endif
