/* canvas.h - one row of text made of cells: every cell one character (UTF-8) and a style. */
#ifndef HOST_CANVAS_H
#define HOST_CANVAS_H

#include <stdbool.h>
#include <stdio.h>

enum { CANVAS_COLUMNS = 120 };

#define CANVAS_SOLID \
    "\xc2\xa0" /* a blank at which canvas_fit does not break (U+00A0); printed as a plain blank */

enum canvas_style {
    STYLE_PLAIN,
    STYLE_DIM,
    STYLE_BOLD,
    STYLE_STATE,
    STYLE_LEFT,
    STYLE_RIGHT,
    STYLE_WRONG,
    STYLE_NOTE,
    STYLE_GOOD,
};

struct canvas {
    char cell[CANVAS_COLUMNS][5]; /* one UTF-8 character each; empty = blank */
    unsigned char style[CANVAS_COLUMNS];
};

void canvas_clear(struct canvas *c);

/* Write text from a column on; what does not fit is cut. Returns the column behind it. */
int canvas_put(struct canvas *c, int column, enum canvas_style style, const char *text);

/* Write text so that it ends before `column`. */
void canvas_put_right(struct canvas *c, int column, enum canvas_style style, const char *text);

/* Fill columns first..last-1 with one character. */
void canvas_fill(struct canvas *c, int first, int last, enum canvas_style style, const char *character);

/* Print the row, without blanks at its end. */
void canvas_print(const struct canvas *c, FILE *out, bool color);

/* Characters in a UTF-8 text. */
int canvas_width(const char *text);

/* Bytes of `text` that fit in `width` columns without breaking a word (a longer word is broken). */
int canvas_fit(const char *text, int width);

#endif
