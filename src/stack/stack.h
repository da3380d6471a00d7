/* stack.h - what the verbs share. */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "tcp/world.h"

/* Room for the handle before the arena, which must begin at a multiple of 16. */
size_t stack_handle_size(void);

/* Take the time: it never goes back. Later by so much and more it may have jumped. */
#define JUMP_US 1000000u
void stack_clock_far(struct tern *t, uint64_t now);
static inline void stack_clock(struct tern *t, uint64_t now)
{
    if (LIKELY(now - t->w->now <= JUMP_US))
        t->w->now = now;
    else
        stack_clock_far(t, now);
}

#endif
