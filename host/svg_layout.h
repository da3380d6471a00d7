/* svg_layout.h - where things stand in the picture of a story. */
#ifndef HOST_SVG_LAYOUT_H
#define HOST_SVG_LAYOUT_H

#include "host/story.h"

enum {
    SVG_WIDTH = 1120,
    SVG_LEFT = 350,   /* x of the life lines */
    SVG_RIGHT = 770,
    SVG_WORDS = 54,   /* characters of a line of words beside a life line */
    SVG_LINE = 14,    /* height of a line of words */
    SVG_STATE = 21,   /* height of a state */
    SVG_BLOCKS = 6,   /* lines of one block of words at most */
};

enum svg_kind { SVG_SEND, SVG_ARRIVE, SVG_STATE_CHANGE, SVG_WORDS_ONLY, SVG_GAP };

/* One thing at one height. */
struct svg_mark {
    int y;
    uint8_t kind;  /* enum svg_kind */
    uint8_t side;  /* at which life line; STORY_BOTH = between them */
    uint32_t item; /* of the story */
    int other_y;   /* SVG_SEND: where it arrives (0: nowhere) */
    bool timed;    /* its words end with the time */
    bool late;     /* it was under way for long */
    uint8_t n_lines;
    char line[SVG_BLOCKS][SVG_WORDS + 80]; /* the words beside it */
    uint8_t tone[SVG_BLOCKS];              /* enum svg_tone of each line */
};

enum svg_tone { TONE_WORDS, TONE_RULE, TONE_NOTE, TONE_WRONG };

struct svg_layout {
    struct svg_mark *mark;
    uint32_t n, cap;
    int bottom;
};

/* Lay the story out from height `top` on. */
void svg_layout_make(struct svg_layout *l, const struct story *s, int top);
void svg_layout_free(struct svg_layout *l);

#endif
