/* prelude.h - what happened to a world before the explorer comes (SET_EVICT, SET_RECYCLE). */
#ifndef EXPLORE_PRELUDE_H
#define EXPLORE_PRELUDE_H

#include "duo.h"

void prelude(struct duo *d);

#endif
