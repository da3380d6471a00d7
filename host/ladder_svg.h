/* ladder_svg.h - stories as a picture: two life lines, states beside them, segments slanted by their
 * delay. */
#ifndef HOST_LADDER_SVG_H
#define HOST_LADDER_SVG_H

#include "host/story.h"
#include <stdio.h>

/* Draw the stories below one another, as one SVG document. */
void ladder_svg_print(const struct story *const *stories, uint32_t n, FILE *out);

#endif
