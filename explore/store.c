/* store.c - see store.h. The table doubles when it is half full. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 1 << 12 };

bool store_init(struct store *s)
{
    *s = (struct store){.cap = FIRST, .mask = 2 * FIRST - 1};
    s->node = malloc(s->cap * sizeof *s->node);
    s->slot = calloc((size_t)s->mask + 1, sizeof *s->slot);
    return s->node != NULL && s->slot != NULL;
}

void store_free(struct store *s)
{
    free(s->node);
    free(s->slot);
}

/* The key's slot: its own, or the empty one where it belongs. */
static uint32_t place(const struct store *s, const uint64_t key[2])
{
    uint32_t at = (uint32_t)key[0] & s->mask;
    for (; s->slot[at] != 0; at = (at + 1) & s->mask) {
        const struct node *n = &s->node[s->slot[at] - 1];
        if (n->key[0] == key[0] && n->key[1] == key[1])
            break;
    }
    return at;
}

uint32_t store_find(const struct store *s, const uint64_t key[2])
{
    uint32_t found = s->slot[place(s, key)];
    return found != 0 ? found - 1 : NO_NODE;
}

static bool grow(struct store *s)
{
    if (s->cap > UINT32_MAX / 4)
        return false;
    struct node *node = realloc(s->node, (size_t)s->cap * 2 * sizeof *node);
    if (node == NULL)
        return false;
    s->node = node;
    s->cap *= 2;
    uint32_t *slot = calloc((size_t)s->cap * 2, sizeof *slot);
    if (slot == NULL)
        return false;
    free(s->slot);
    s->slot = slot;
    s->mask = s->cap * 2 - 1;
    for (uint32_t i = 0; i < s->n; i++)
        s->slot[place(s, s->node[i].key)] = i + 1;
    return true;
}

uint32_t store_add(struct store *s, const uint64_t key[2], bool *fresh)
{
    if (s->n == s->cap && !grow(s))
        return NO_NODE;
    uint32_t at = place(s, key);
    *fresh = s->slot[at] == 0;
    if (!*fresh)
        return s->slot[at] - 1;
    s->node[s->n] = (struct node){.key = {key[0], key[1]}, .parent = NO_NODE, .next = NO_NODE};
    s->slot[at] = ++s->n;
    return s->n - 1;
}
