/* ladder_svg.c - see ladder_svg.h. Where things stand is svg_layout.c's business; here they are drawn.
 *
 * Each life line is a bar whose colour is the state. Words stand outside of the bars, numbers on the arrows
 * between them.
 */
#include "host/ladder_svg.h"

#include "host/svg_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 40, HEAD = 132, BETWEEN = 56, BAR = 8, FROM_BAR = 16, CHAR_WIDTH = 7 };

static const char *const ink[] = {"#0b7285", "#862e9c"}; /* of the two sides */

static const char *const heads[] = {"heada", "headb"};

/* --- small things ---------------------------------------------------------------------------- */

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        default: fputc(*text, out);
        }
}

static void put_text(FILE *out, int x, int y, const char *class, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"%s\" text-anchor=\"%s\">", x, y, class, anchor);
    put_escaped(out, text);
    fputs("</text>\n", out);
}

static const char *color_of(uint8_t state)
{
    static const char *const colors[TERN_STATES] = {
        [TERN_CLOSED] = "#ced4da",     [TERN_LISTEN] = "#adb5bd",     [TERN_SYN_SENT] = "#fcc419",
        [TERN_SYN_RCVD] = "#ffa94d",   [TERN_ESTABLISHED] = "#51cf66", [TERN_FIN_WAIT_1] = "#4dabf7",
        [TERN_FIN_WAIT_2] = "#228be6", [TERN_CLOSE_WAIT] = "#ff8787", [TERN_CLOSING] = "#9775fa",
        [TERN_LAST_ACK] = "#f06595",   [TERN_TIME_WAIT] = "#748ffc",
    };
    return state < TERN_STATES ? colors[state] : "#ced4da";
}

static int line_x(uint8_t side)
{
    return side == STORY_LEFT ? SVG_LEFT : SVG_RIGHT;
}

/* Where words begin (or end) beside a life line. */
static int words_x(uint8_t side)
{
    return side == STORY_LEFT ? SVG_LEFT - FROM_BAR : SVG_RIGHT + FROM_BAR;
}

static const char *anchor_of(uint8_t side)
{
    return side == STORY_LEFT ? "end" : side == STORY_RIGHT ? "start" : "middle";
}

static void time_text(const struct story *s, uint64_t t_us, char buf[32])
{
    uint64_t ms = (t_us - s->start_us + 500) / 1000;
    snprintf(buf, 32, "%llu.%03llu s", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
}

/* --- life lines ------------------------------------------------------------------------------ */

static uint8_t first_state(const struct story *s, uint8_t side)
{
    for (uint32_t k = 0; k < s->n; k++)
        if (s->items[k].kind == STORY_STATE && s->items[k].side == side)
            return s->items[k].from;
    return TERN_STATES;
}

static void bar(FILE *out, uint8_t side, int from, int to, uint8_t state)
{
    if (to > from)
        fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
                line_x(side) - BAR / 2, from, BAR, to - from,
                state == TERN_STATES ? "#e9ecef" : color_of(state));
}

static void life_line(FILE *out, const struct story *s, const struct svg_layout *l, uint8_t side, int top)
{
    uint8_t state = first_state(s, side);
    int from = top;
    for (uint32_t k = 0; k < l->n; k++) {
        const struct svg_mark *m = &l->mark[k];
        if (m->kind != SVG_STATE_CHANGE || m->side != side)
            continue;
        bar(out, side, from, m->y, state);
        state = s->items[m->item].to;
        from = m->y;
    }
    bar(out, side, from, l->bottom, state);
}

/* --- words ----------------------------------------------------------------------------------- */

static const char *const class_of[] = {"words", "rule", "note", "wrong"};

static void block(FILE *out, const struct svg_mark *m, int y)
{
    for (int k = 0; k < m->n_lines; k++, y += SVG_LINE)
        put_text(out, words_x(m->side), y, class_of[m->tone[k]], anchor_of(m->side), m->line[k]);
}

/* Words of a segment: the last line has the time at its outer end. */
static void timed_block(FILE *out, const struct story *s, const struct svg_mark *m)
{
    struct svg_mark rest = *m;
    char time[32];
    rest.n_lines -= m->timed;
    block(out, &rest, m->y + 4);
    if (!m->timed)
        return;
    const char *last = m->line[rest.n_lines];
    time_text(s, s->items[m->item].t_us, time);
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"words\" text-anchor=\"%s\">", words_x(m->side),
            m->y + 4 + SVG_LINE * rest.n_lines, anchor_of(m->side));
    if (m->side == STORY_LEFT)
        fprintf(out, "<tspan class=\"time\">%s</tspan>\u2002", time);
    put_escaped(out, last);
    if (m->side == STORY_RIGHT)
        fprintf(out, "\u2002<tspan class=\"time\">%s</tspan>", time);
    fputs("</text>\n", out);
}

static void state_change(FILE *out, const struct story *s, const struct svg_mark *m)
{
    const struct story_item *i = &s->items[m->item];
    const char *name = tern_state_name((enum tern_state)i->to);
    char time[32];
    int width = (int)strlen(name) * 8 + 16, x = words_x(m->side);
    int left = m->side == STORY_LEFT ? x - width : x;
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"18\" rx=\"9\" fill=\"%s\"/>\n", left,
            m->y - 9, width, color_of(i->to));
    put_text(out, left + width / 2, m->y + 4, "state", "middle", name);
    time_text(s, i->t_us, time);
    put_text(out, m->side == STORY_LEFT ? left - 8 : left + width + 8, m->y + 4, "time", anchor_of(m->side),
             time);
    fprintf(out,
            "<circle cx=\"%d\" cy=\"%d\" r=\"5\" fill=\"#fff\" stroke=\"#495057\" stroke-width=\"1.5\"/>\n",
            line_x(m->side), m->y);
    block(out, m, m->y + SVG_STATE + 4);
}

static void only_words(FILE *out, const struct svg_mark *m)
{
    if (m->side != STORY_BOTH)
        block(out, m, m->y + 4);
    for (int k = 0; m->side == STORY_BOTH && k < m->n_lines; k++)
        put_text(out, (SVG_LEFT + SVG_RIGHT) / 2, m->y + 4 + SVG_LINE * k, "note", "middle", m->line[k]);
}

/* A silence: the life lines are torn. */
static void gap(FILE *out, const struct svg_mark *m)
{
    for (uint8_t side = STORY_LEFT; side <= STORY_RIGHT; side++) {
        int x = line_x(side);
        fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\" fill=\"#fff\"/>\n", x - BAR,
                m->y + 5, 2 * BAR);
        for (int k = 0; k < 3; k++)
            fprintf(out, "<circle cx=\"%d\" cy=\"%d\" r=\"1.3\" fill=\"#868e96\"/>\n", x, m->y + 8 + 4 * k);
    }
    put_text(out, (SVG_LEFT + SVG_RIGHT) / 2, m->y + 16, "fold", "middle", m->line[0]);
}

/* --- segments -------------------------------------------------------------------------------- */

struct arrow {
    double x1, y1, x2, y2;
    double length;
    double along_x, along_y; /* unit vector from left to right: text runs along it */
    const char *color, *head;
    bool lost, late;
};

/* A square root without the mathematics library, by Newton: exact enough for a picture. */
static double root(double v)
{
    double r = v > 1 ? v : 1;
    for (int k = 0; k < 40; k++)
        r = (r + v / r) / 2;
    return r;
}

static void measure(struct arrow *a)
{
    double dx = a->x2 - a->x1, dy = a->y2 - a->y1, sign = dx < 0 ? -1 : 1;
    a->length = root(dx * dx + dy * dy);
    a->along_x = sign * dx / a->length;
    a->along_y = sign * dy / a->length;
}

static struct arrow make_arrow(const struct story *s, const struct svg_mark *m)
{
    uint8_t side = m->side;
    int step = side == STORY_LEFT ? 1 : -1;
    struct arrow a = {.lost = s->items[m->item].arrival_us == STORY_LOST, .late = m->late};
    a.x1 = line_x(side) + step * 7;
    a.x2 = line_x(!side) - step * 7;
    a.y1 = m->y;
    a.y2 = m->other_y;
    a.color = a.lost ? "#e03131" : s->items[m->item].outsider ? "#495057" : ink[side];
    a.head = a.lost ? "lost" : s->items[m->item].outsider ? "headx" : heads[side];
    if (a.lost) { /* it ends on its way */
        a.x2 = a.x1 + (a.x2 - a.x1) * 0.55;
        a.y2 = a.y1 + (a.y2 - a.y1) * 0.55;
    }
    measure(&a);
    return a;
}

static void draw_line(FILE *out, const struct arrow *a)
{
    fprintf(
        out,
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1.8\"%s "
        "marker-end=\"url(#%s)\"/>\n",
        a->x1, a->y1, a->x2, a->y2, a->color, a->lost || a->late ? " stroke-dasharray=\"7 5\"" : "", a->head);
}

/* Words along the line, `along` it from its sender's end, `above` it. */
static void draw_label(FILE *out, const struct arrow *a, uint8_t side, const char *class, double along,
                       double above, const char *text)
{
    double part = along / a->length, x = a->x1 + (a->x2 - a->x1) * part, y = a->y1 + (a->y2 - a->y1) * part;
    double width = (double)strlen(text) * (strcmp(class, "lost") == 0 ? CHAR_WIDTH - 1 : CHAR_WIDTH);
    fprintf(out, "<g transform=\"matrix(%.4f %.4f %.4f %.4f %.1f %.1f)\">", a->along_x, a->along_y,
            -a->along_y, a->along_x, x, y);
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"12\" fill=\"#fff\" fill-opacity=\"0.8\"/>",
            side == STORY_LEFT ? -1.0 : 1.0 - width, above - 10, width);
    fprintf(out, "<text y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", above, class,
            side == STORY_LEFT ? "start" : "end");
    put_escaped(out, text);
    fputs("</text></g>\n", out);
}

static void segment(FILE *out, const struct story *s, const struct svg_mark *m)
{
    const struct story_item *i = &s->items[m->item];
    struct arrow a = make_arrow(s, m);
    char text[140];
    int n = i->outsider ? snprintf(text, sizeof text, "X: ")
            : i->copy   ? snprintf(text, sizeof text, "copy of ")
                        : 0;
    story_segment_text(s, i, text + n, sizeof text - (size_t)n);
    draw_label(out, &a, m->side, "segment", 14, -5, text);
    if (a.lost && i->lost_why)
        draw_label(out, &a, m->side, "lost", a.length + 14, 4, i->lost_why);
    timed_block(out, s, m);
}

/* A copy that nobody sent comes from nowhere. */
static struct arrow late_arrow(const struct story *s, const struct svg_mark *m)
{
    uint8_t from = s->items[m->item].side;
    int step = from == STORY_LEFT ? 1 : -1;
    struct arrow a = {
        .x2 = line_x(!from) - step * 7, .y2 = m->y, .late = true, .color = ink[from], .head = heads[from]};
    a.x1 = a.x2 - step * 260;
    a.y1 = a.y2 - 22;
    measure(&a);
    return a;
}

static bool is_late_copy(const struct story *s, const struct svg_mark *m)
{
    return m->kind == SVG_ARRIVE && s->items[m->item].of == STORY_NOWHERE;
}

static void arrival(FILE *out, const struct story *s, const struct svg_mark *m)
{
    char text[140] = "late copy: ";
    block(out, m, m->y + 4);
    if (!is_late_copy(s, m))
        return;
    struct arrow a = late_arrow(s, m);
    story_segment_text(s, &s->items[m->item], text + strlen(text), sizeof text - strlen(text));
    draw_label(out, &a, s->items[m->item].side, "segment", 6, -5, text);
}

/* What lies below all words. */
static void draw_lines(FILE *out, const struct story *s, const struct svg_mark *m)
{
    struct arrow a;
    if (m->kind == SVG_GAP) {
        gap(out, m);
    } else if (m->kind == SVG_SEND) {
        a = make_arrow(s, m);
        draw_line(out, &a);
    } else if (is_late_copy(s, m)) {
        a = late_arrow(s, m);
        draw_line(out, &a);
    }
}

static void draw_words(FILE *out, const struct story *s, const struct svg_mark *m)
{
    switch (m->kind) {
    case SVG_SEND: segment(out, s, m); break;
    case SVG_ARRIVE: arrival(out, s, m); break;
    case SVG_STATE_CHANGE: state_change(out, s, m); break;
    case SVG_GAP: break;
    default: only_words(out, m); break;
    }
}

/* --- a story, and all ------------------------------------------------------------------------ */

static void side_head(FILE *out, const struct story *s, uint8_t side, int y)
{
    char text[120];
    snprintf(text, sizeof text, side == STORY_LEFT ? "%s  %s" : "%s  %s", s->name[side], s->addr[side]);
    int x = line_x(side);
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"190\" height=\"26\" rx=\"5\" fill=\"%s\"/>\n", x - 95,
            y - 18, ink[side]);
    put_text(out, x, y, "name", "middle", text);
}

static void start_state(FILE *out, const struct story *s, uint8_t side, int y)
{
    uint8_t state = first_state(s, side);
    if (state != TERN_STATES)
        put_text(out, words_x(side), y + 4, "time", anchor_of(side), tern_state_name((enum tern_state)state));
}

static void draw_story(FILE *out, const struct story *s, const struct svg_layout *l, int top)
{
    char title[200];
    snprintf(title, sizeof title, "%s%s%s", s->scenario, s->part[0] ? " / " : "", s->part);
    put_text(out, SVG_WIDTH / 2, top + 20, "title", "middle", title);
    put_text(out, SVG_WIDTH / 2, top + 40, "subtitle", "middle", s->title);
    side_head(out, s, STORY_LEFT, top + 78);
    side_head(out, s, STORY_RIGHT, top + 78);
    int lines = top + 86;
    for (uint8_t side = STORY_LEFT; side <= STORY_RIGHT; side++) {
        life_line(out, s, l, side, lines);
        start_state(out, s, side, lines + 18);
    }
    for (uint32_t k = 0; k < l->n; k++)
        draw_lines(out, s, &l->mark[k]);
    for (uint32_t k = 0; k < l->n; k++)
        draw_words(out, s, &l->mark[k]);
}

static void marker(FILE *out, const char *id, const char *color)
{
    fprintf(
        out,
        "<marker id=\"%s\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" ",
        id);
    fprintf(out, "orient=\"auto\"><path d=\"M0 0 L10 5 L0 10 L3 5 z\" fill=\"%s\"/></marker>\n", color);
}

static void head(FILE *out, int height)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n",
            SVG_WIDTH, height, SVG_WIDTH, height);
    fputs(
        "<style>\n"
        "text { font-family: 'DejaVu Sans', Verdana, sans-serif; font-size: 11px; fill: #343a40 }\n"
        ".title { font-size: 19px; font-weight: bold; fill: #212529 }\n"
        ".subtitle { font-size: 13px; fill: #495057 }\n"
        ".name { font-size: 13px; font-weight: bold; fill: #fff }\n"
        ".state { font-size: 11px; font-weight: bold; fill: #212529 }\n"
        ".words { fill: #495057 }\n"
        ".rule { font-size: 10px; fill: #868e96 }\n"
        ".time { font-size: 10px; fill: #868e96 }\n"
        ".note { font-style: italic; font-size: 12px; fill: #b35900 }\n"
        ".fold { font-size: 11px; fill: #868e96 }\n"
        ".wrong, .lost { fill: #e03131 }\n"
        ".segment { font-family: 'DejaVu Sans Mono', Menlo, monospace; font-size: 11.5px;"
        " font-weight: bold }\n"
        ".note, .fold { paint-order: stroke; stroke: #fff; stroke-width: 4px }\n"
        "</style>\n<defs>\n",
        out);
    marker(out, heads[0], ink[0]);
    marker(out, heads[1], ink[1]);
    marker(out, "headx", "#495057");
    fputs(
        "<marker id=\"lost\" viewBox=\"0 0 10 10\" refX=\"5\" refY=\"5\" markerWidth=\"9\""
        " markerHeight=\"9\">"
        "<path d=\"M1 1 L9 9 M9 1 L1 9\" stroke=\"#e03131\" stroke-width=\"2\"/></marker>\n"
        "</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        out);
}

void ladder_svg_print(const struct story *const *stories, uint32_t n, FILE *out)
{
    struct svg_layout *layouts = calloc(n + 1, sizeof *layouts);
    int *tops = calloc(n + 1, sizeof *tops), top = MARGIN;
    for (uint32_t k = 0; k < n; k++) {
        tops[k] = top;
        svg_layout_make(&layouts[k], stories[k], top + HEAD);
        top = layouts[k].bottom + BETWEEN;
    }
    head(out, top);
    for (uint32_t k = 0; k < n; k++) {
        draw_story(out, stories[k], &layouts[k], tops[k]);
        svg_layout_free(&layouts[k]);
    }
    fputs("</svg>\n", out);
    free(layouts);
    free(tops);
}
