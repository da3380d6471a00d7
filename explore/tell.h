/* tell.h - a path of the explorer as a story: the world is made anew, the moves are made again, and what
 * happens is written down for the ladder (host/story.h). */
#ifndef EXPLORE_TELL_H
#define EXPLORE_TELL_H

#include "search.h"

#include "host/story.h"

/* The story of `n` moves. `moves`: as words, one line each, for the caller to free; NULL: no memory. */
struct told {
    char log[3000];      /* and what was played, a line an act */
    char why[400]; /* FAULT_STANDARD: what is wrong with it; empty otherwise */
    struct story story;
    char **words;
    uint32_t n;
    uint8_t fault; /* enum fault: of the last move that was made */
};

/* Play moves and tell them. A move that is not possible ends the story before it. False: no memory. */
bool tell(struct told *t, const struct setting *setting, const struct bounds *bounds, const uint16_t *move,
          uint32_t n);
void told_free(struct told *t);

/* "0100.0001...": moves as text, and back. The text holds 5 bytes a move. tell_parse gives how many there
 * are, -1: it is no such text, or there are more than `max`. */
void tell_code(const uint16_t *move, uint32_t n, char *text);
int tell_parse(const char *text, uint16_t *move, uint32_t max);

#endif
