/* The two sides of fuzz_stack.c and fuzz_twin.c: their stacks, what their programs hold, and the packets
 * between them. */
#ifndef FUZZ_STACK_SIDES_H
#define FUZZ_STACK_SIDES_H

#include "fuzz/stack_forge.h"
#include "fuzz/stack_lend.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HANDLES = 12,
    WIRE = 48,
    WIRE_PLENTY = 1024,
    BLOCK = 2 << 20,
    BLOCK_PLENTY = 16 << 20,
    STEPS = 600,
    RING = 1024,
    CHECK_EVERY = 4
};

struct packet {
    uint8_t *bytes;
    uint32_t len;
    uint16_t gso_size;
    uint8_t link;
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
    struct packet wire[WIRE_PLENTY]; /* on its way to the other side */
    int n_wire;
    uint32_t mtu, gso_max;
    uint64_t cursor; /* of a walk that goes on while everything changes */
    uint8_t *block;  /* where it lives: */
    size_t size;
    struct lender lender;
    tern_chunk chunk; /* received bytes that the program holds; 0 = none */
    tern_trace_record *ring; /* NULL: none */
};

/* What differs between runs of the same input. Two runs of which each other thing is equal must show the same
 * (fuzz_twin.c). */
struct mode {
    bool no_lending;  /* nothing refers to memory of links and program */
    bool no_failures; /* memory is plenty, and no allocation is made to fail */
    bool patient;     /* the clock passes every deadline, and what is to be sent is sent in time */
    bool no_moves;    /* no stack is written down or doubled, */
    uint8_t moves;    /* or each one is after so many steps, besides; 0 = not */
    bool singly;      /* packets are handed over one in a call, */
    bool no_gso;      /* and never are super-segments */
    bool by_steps;    /* no short way is taken (world.h) */
    bool digests;     /* what the records say is compared too (tern_digest) */
    bool cut;         /* a super-segment is on the wire as the packets that it stands for */
    bool sorted;      /* all leaves that can, and what leaves is compared one connection after the other */
    bool traced;      /* there is a ring of trace records */
    uint8_t fill;     /* what is in a stack's memory before it is made */
    uint32_t rest_ms; /* 0: the input says */
};

/* All that can be seen of a run, in order, as one number; and what it was after each step. */
struct seen {
    uint64_t all;
    uint64_t after[STEPS + 2];
    int steps;
};

static struct {
    struct side side[2];
    uint64_t now;
    bool forged; /* what is read need not be what was written any more */
    bool loud;
    bool given_up; /* what was seen need not be equal */
    struct mode mode;
    struct seen seen;
} z;

/* Something can be seen (splitmix64 makes it count, and its place). */
static void see(uint64_t v)
{
    uint64_t x = z.seen.all + v + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    z.seen.all = x ^ (x >> 31);
}

static void see_bytes(const uint8_t *p, size_t n)
{
    uint64_t v = n;
    for (size_t i = 0; i < n; i++)
        v = v * 0x100000001b3u + p[i]; /* FNV's prime */
    see(v);
}

/* Two for the stacks; a third, into which one of them moves. */
static _Alignas(16) uint8_t blocks[3][BLOCK_PLENTY];
static uint8_t *spare;
static tern_trace_record rings[2][RING];

#define SAY(...) (z.loud ? (void)fprintf(stderr, __VA_ARGS__) : (void)0)

/* --- the program -------------------------------------------------------------------------------- */

static struct side *a_side(void) { return &z.side[u8() & 1]; }
static struct side *other(const struct side *s) { return &z.side[s == &z.side[0]]; }

/* What each side is called on the second link. */
static tern_ip link_local(const struct side *s)
{
    return (tern_ip){{0xfe, 0x80, [15] = s == &z.side[0] ? 1 : 2}};
}

static struct held *a_held(struct side *s) { return &s->held[u8() % HANDLES]; }

static struct held *free_held(struct side *s)
{
    for (int i = 0; i < HANDLES; i++)
        if (s->held[i].h.v == 0)
            return &s->held[i];
    return NULL;
}

/* --- packets on their way ------------------------------------------------------------------------ */

static void wire_put(struct side *s, const uint8_t *bytes, uint32_t len, uint16_t gso_size, uint8_t link)
{
    if (s->n_wire == (z.mode.sorted ? WIRE_PLENTY : WIRE))
        return;
    struct packet p = {.bytes = malloc(len), .len = len, .gso_size = gso_size, .link = link};
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
