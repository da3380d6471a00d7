/* heap.c - malloc for WebAssembly: what the scenarios take, out of memory that grows.
 *
 * Blocks are whole lines of 64 bytes and begin 16 bytes before one, with their size there, so that what the
 * program gets is aligned to 64. What is freed goes on a list of its size and is given out again from there;
 * large sizes share a list.
 *
 *     | ............ |size 16| block ............. |size 16| block ...
 *                            ^ multiple of 64
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, HEAD = 16, SMALL = 1024 /* lines */, WASM_PAGE = 65536 };

struct block {
    size_t lines;
    struct block *next; /* while it is free */
    char pad[HEAD - sizeof(size_t) - sizeof(struct block *)];
};

_Static_assert(sizeof(struct block) == HEAD, "the head stands before a line");

extern unsigned char __heap_base; /* the linker's */
static uintptr_t top;
static struct block *freed[SMALL + 1]; /* by lines; the last: all that are larger */

static struct block **list_of(size_t lines) { return &freed[lines < SMALL ? lines : SMALL]; }

static struct block *find_freed(size_t lines)
{
    struct block **at = list_of(lines);
    while (*at != NULL && (*at)->lines < lines)
        at = &(*at)->next;
    struct block *found = *at;
    if (found != NULL)
        *at = found->next;
    return found;
}

static struct block *fresh(size_t lines)
{
    if (top == 0)
        top = ((uintptr_t)&__heap_base + HEAD + LINE - 1) / LINE * LINE;
    struct block *b = (struct block *)(top - HEAD);
    uintptr_t end = top + lines * LINE, have = __builtin_wasm_memory_size(0) * WASM_PAGE;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + WASM_PAGE - 1) / WASM_PAGE) == SIZE_MAX)
        __builtin_trap();
    b->lines = lines;
    top = end;
    return b;
}

void *malloc(size_t n)
{
    size_t lines = (n + HEAD + LINE - 1) / LINE;
    struct block *b = find_freed(lines);
    return (b != NULL ? b : fresh(lines)) + 1;
}

void free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = (struct block *)p - 1, **list = list_of(b->lines);
    b->next = *list;
    *list = b;
}

void *calloc(size_t n, size_t size) { return memset(malloc(n * size), 0, n * size); }

void *realloc(void *p, size_t n)
{
    if (p == NULL)
        return malloc(n);
    size_t room = ((struct block *)p - 1)->lines * LINE - HEAD;
    if (n <= room)
        return p;
    void *larger = memcpy(malloc(n), p, room);
    free(p);
    return larger;
}

void *aligned_alloc(size_t alignment, size_t n) { return alignment <= LINE ? malloc(n) : NULL; }
