/* store.h - the worlds that have been visited, each known by its sum, by how it was reached, and by where
 * good manners lead from it.
 *
 * A world itself is not kept: it is made again by walking the path from the beginning. A visited world takes
 * 32 bytes and its share of the table, so ten million take half a gigabyte.
 */
#ifndef EXPLORE_STORE_H
#define EXPLORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define NO_NODE UINT32_MAX

enum {
    NODE_OVER = 1,     /* nothing is left of any connection */
    NODE_EXPANDED = 2, /* all its moves have been tried */
    NODE_ENDS = 4,     /* with good manners it comes to an end */
    NODE_ENDLESS = 8,  /* with good manners it goes round in a circle */
};

struct node {
    uint64_t key[2];
    uint32_t parent; /* NO_NODE: the beginning */
    uint32_t next;   /* where good manners lead; NO_NODE: nowhere, or not known */
    uint16_t move;   /* from the parent */
    uint8_t flags;   /* NODE_... */
    uint8_t pair;    /* state of A << 4 | state of B */
};

struct store {
    struct node *node;
    uint32_t n, cap;
    uint32_t *slot; /* open addressing: number of the node + 1; 0 = empty */
    uint32_t mask;
};

bool store_init(struct store *s);
void store_free(struct store *s);

/* The node with this key; NO_NODE. */
uint32_t store_find(const struct store *s, const uint64_t key[2]);

/* The same, and where there is none it is made; `*fresh` says which. NO_NODE: no memory, or four billion. */
uint32_t store_add(struct store *s, const uint64_t key[2], bool *fresh);

#endif
