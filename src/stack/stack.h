/* stack.h - what the verbs share. */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "tcp/world.h"

/* Room for the handle before the arena, which must begin at a multiple of 16. */
size_t stack_handle_size(void);

/* Take the time: it never goes back. */
void stack_clock(struct tern *t, uint64_t now);

#endif
