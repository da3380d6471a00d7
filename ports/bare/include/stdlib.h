/* stdlib.h - of C's, what the scenarios use (ports/bare/heap.c). */
#ifndef BARE_STDLIB_H
#define BARE_STDLIB_H

#include <stddef.h>

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void *aligned_alloc(size_t alignment, size_t n); /* alignment: 64 at most */
void free(void *p);

#endif
