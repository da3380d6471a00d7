/* ladder.h - a story as text: two life lines with states, and an arrow for each segment. At most 100
 * columns. */
#ifndef HOST_LADDER_H
#define HOST_LADDER_H

#include "host/story.h"
#include <stdio.h>

/* Print the story. `color`: with terminal escapes. */
void ladder_print(const struct story *s, FILE *out, bool color);

/* Print text wrapped to `width` columns, each line behind `indent`. */
void ladder_wrap(FILE *out, const char *indent, int width, const char *text);

#endif
