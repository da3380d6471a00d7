/* tale.h - a world's log as a story that the printers of host/ can draw. */
#ifndef SIM_TALE_H
#define SIM_TALE_H

#include "world.h"
#include "host/story.h"

/* Fill `s` (story_init was called) with all that happened. */
void tale_tell(const struct world *w, struct story *s);

#endif
