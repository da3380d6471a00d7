/* The two sides of fuzz_stack.c: their stacks, what their programs hold, and the packets between them. */
#ifndef FUZZ_STACK_SIDES_H
#define FUZZ_STACK_SIDES_H

#include "fuzz/stack_forge.h"
#include "fuzz/stack_lend.h"

#include <stdio.h>
#include <stdlib.h>

enum { HANDLES = 12, WIRE = 48, BLOCK = 2 << 20, STEPS = 600 };

struct packet {
    uint8_t *bytes;
    uint32_t len;
    uint16_t gso_size;
};

struct held {
    tern_handle h;
    uint64_t wrote, read;
    bool listener;
};

struct side {
    tern *t;
    tern_ip ip4, ip6;
    struct held held[HANDLES];
    struct packet wire[WIRE]; /* on its way to the other side */
    int n_wire;
    uint32_t mtu, gso_max;
    uint64_t cursor; /* of a walk that goes on while everything changes */
    uint8_t *block;  /* where it lives: */
    size_t size;
    struct lender lender;
    tern_chunk chunk; /* received bytes that the program holds; 0 = none */
};

static struct {
    struct side side[2];
    uint64_t now;
    bool forged; /* what is read need not be what was written any more */
    bool loud;
} z;

/* Two for the stacks; a third, into which one of them moves. */
static _Alignas(16) uint8_t blocks[3][BLOCK];
static uint8_t *spare;

#define SAY(...) (z.loud ? (void)fprintf(stderr, __VA_ARGS__) : (void)0)

/* --- the program -------------------------------------------------------------------------------- */

static struct side *a_side(void) { return &z.side[u8() & 1]; }
static struct side *other(const struct side *s) { return &z.side[s == &z.side[0]]; }

static struct held *a_held(struct side *s) { return &s->held[u8() % HANDLES]; }

static struct held *free_held(struct side *s)
{
    for (int i = 0; i < HANDLES; i++)
        if (s->held[i].h.v == 0)
            return &s->held[i];
    return NULL;
}

/* --- packets on their way ------------------------------------------------------------------------ */

static void wire_put(struct side *s, const uint8_t *bytes, uint32_t len, uint16_t gso_size)
{
    if (s->n_wire == WIRE)
        return;
    struct packet p = {.bytes = malloc(len), .len = len, .gso_size = gso_size};
    memcpy(p.bytes, bytes, len);
    s->wire[s->n_wire++] = p;
}

static struct packet wire_take(struct side *s, int i)
{
    struct packet p = s->wire[i];
    s->n_wire--;
    memmove(&s->wire[i], &s->wire[i + 1], (size_t)(s->n_wire - i) * sizeof p);
    return p;
}

#endif
