/* why.h - why an edge of the state diagram is taken in no setting. */
#ifndef EXPLORE_WHY_H
#define EXPLORE_WHY_H

#include <tern/stats.h>

/* One sentence; for an edge of which nothing is known: that a search with wider bounds may reach it. */
const char *why_not(const tern_edge *edge);

#endif
