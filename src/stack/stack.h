/* stack.h - what the verbs share. */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "tcp/world.h"

/* Take the time: it never goes back. */
void stack_clock(struct tern *t, uint64_t now);

#endif
