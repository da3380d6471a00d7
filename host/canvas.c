/* canvas.c - see canvas.h. */
#include "host/canvas.h"

#include <string.h>

static int char_bytes(const char *text)
{
    int n = 1;
    while (((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

int canvas_width(const char *text)
{
    int n = 0;
    for (; *text; text += char_bytes(text))
        n++;
    return n;
}

void canvas_clear(struct canvas *c)
{
    memset(c, 0, sizeof *c);
}

int canvas_put(struct canvas *c, int column, enum canvas_style style, const char *text)
{
    for (; *text && column < CANVAS_COLUMNS; column++) {
        int n = char_bytes(text);
        if (column >= 0) {
            bool solid = strncmp(text, CANVAS_SOLID, 2) == 0;
            snprintf(c->cell[column], sizeof c->cell[column], "%.*s", solid ? 1 : n, solid ? " " : text);
            c->style[column] = (unsigned char)style;
        }
        text += n;
    }
    return column;
}

void canvas_put_right(struct canvas *c, int column, enum canvas_style style, const char *text)
{
    canvas_put(c, column - canvas_width(text), style, text);
}

void canvas_fill(struct canvas *c, int first, int last, enum canvas_style style, const char *character)
{
    for (int i = first; i < last; i++)
        canvas_put(c, i, style, character);
}

static const char *escape_of(unsigned char style)
{
    static const char *const escapes[] = {
        [STYLE_PLAIN] = "\033[0m",     [STYLE_DIM] = "\033[0;2m",    [STYLE_BOLD] = "\033[0;1m",
        [STYLE_STATE] = "\033[0;1;32m", [STYLE_LEFT] = "\033[0;36m",  [STYLE_RIGHT] = "\033[0;35m",
        [STYLE_WRONG] = "\033[0;31m",  [STYLE_NOTE] = "\033[0;33m",  [STYLE_GOOD] = "\033[0;32m",
    };
    return escapes[style];
}

void canvas_print(const struct canvas *c, FILE *out, bool color)
{
    int last = CANVAS_COLUMNS;
    while (last > 0 && (c->cell[last - 1][0] == 0 || strcmp(c->cell[last - 1], " ") == 0))
        last--;
    unsigned char style = STYLE_PLAIN;
    for (int i = 0; i < last; i++) {
        if (color && c->cell[i][0] && c->style[i] != style) {
            style = c->style[i];
            fputs(escape_of(style), out);
        }
        fputs(c->cell[i][0] ? c->cell[i] : " ", out);
    }
    if (style != STYLE_PLAIN)
        fputs(escape_of(STYLE_PLAIN), out);
    fputc('\n', out);
}

int canvas_fit(const char *text, int width)
{
    int bytes = 0, columns = 0, blank = 0;
    while (text[bytes] && columns < width) {
        if (text[bytes] == ' ')
            blank = bytes;
        bytes += char_bytes(text + bytes);
        columns++;
    }
    if (text[bytes] == 0 || text[bytes] == ' ' || blank == 0)
        return bytes;
    return blank;
}
