/* mark.h - worlds put aside along one path, and put back.
 *
 * The marks of a path are numbered from 0, the beginning. A mark keeps the scene, and of each stack the parts
 * that say what it is; a stack that a move has not touched is kept once, by the mark before.
 */
#ifndef EXPLORE_MARK_H
#define EXPLORE_MARK_H

#include "duo.h"

struct marks;

struct marks *marks_new(struct duo *d);
void marks_free(struct marks *m);

/* Put the present world aside as mark number n (all above are forgotten); it has been reached from mark n - 1
 * by one move. False: no memory, or the path is too long. */
bool marks_put(struct marks *m, uint32_t n);

/* The world is as it was at mark n. */
void marks_back(struct marks *m, uint32_t n);

#endif
