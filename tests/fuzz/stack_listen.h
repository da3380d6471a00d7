/* Operations of fuzz_stack.c: listeners of every kind, what they accept, SYNs that wait for a decision. */
#ifndef FUZZ_STACK_LISTEN_H
#define FUZZ_STACK_LISTEN_H

#include "fuzz/stack_sides.h"

static void op_listen(void)
{
    struct side *s = a_side();
    struct held *x = free_held(s);
    tern_endpoint at = {.port = (uint16_t)(80 + u8() % 3)};
    if (x == NULL)
        return;
    *x = (struct held){.listener = true};
    uint32_t v = u8(), flags = v >= 192 ? TERN_LISTEN_DEFER : 0;
    if ((v & 0x30) == 0x30) {
        flags |= TERN_LISTEN_ANY_PORT | TERN_LISTEN_FOREIGN;
        at.port = 0;
    }
    int e = tern_listen_as(s->t, &at, v % 5, flags, &x->h);
    see((uint64_t)e);
    if (e < 0)
        x->h.v = 0;
    else if (v & 8)
        ASSERT(tern_setopt(s->t, x->h, TERN_OPT_COOKIES, v >> 6 == 2 ? TERN_COOKIES_NEVER : v >> 6 & 1) == 0);
}

/* The program decides about a SYN, of which it may have taken another in between. */
static void op_decide(void)
{
    struct side *s = a_side();
    struct held *l = a_held(s), *x = free_held(s);
    tern_syn syn, next;
    uint32_t v = u8();
    if (x == NULL || tern_next_syn(s->t, l->h, &syn) < 0)
        return;
    if (v & 16)
        tern_next_syn(s->t, l->h, &next);
    if (v % 3 == 0 && tern_syn_accept(s->t, syn.handle, v, &x->h) == 0) {
        tern_handle h = x->h;
        *x = (struct held){.h = h};
    } else if (v % 3 != 0) {
        ASSERT((v % 3 == 1 ? tern_syn_reject : tern_syn_ignore)(s->t, syn.handle) == 0);
        ASSERT(tern_syn_reject(s->t, syn.handle) == -TERN_EBADF);
    }
    SAY("  decided %u\n", v % 3);
}

static void op_accept(void)
{
    struct side *s = a_side();
    struct held *l = a_held(s), *x = free_held(s);
    tern_handle h;
    if (x == NULL || tern_accept(s->t, l->h, &h) < 0)
        return;
    *x = (struct held){.h = h};
    SAY("  accepted\n");
}

#endif
