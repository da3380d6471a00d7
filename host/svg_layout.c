/* svg_layout.c - see svg_layout.h.
 *
 * Time runs downwards, but not evenly: a millisecond is a little, an hour of silence is a gap of fixed
 * height, and whatever needs room for its words pushes all that follows further down. The order of things is
 * kept on both sides, so a segment never arrives above the place where it was sent.
 */
#include "host/svg_layout.h"

#include "host/canvas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP_US = 1000000,    /* a silence that is drawn as a gap */
    GAP_HEIGHT = 46,
    STEP_MAX = 60,       /* the most that a shorter silence takes */
    US_PER_PIXEL = 700,
    BETWEEN_ENDS = 20,   /* ends of segments at one life line */
    BLOCK_PAD = 7,
    LATE_US = 150000,
};

struct plan {
    const struct story *s;
    struct svg_layout *l;
    int y;
    uint64_t t_us;
    int free_y[2];            /* below the words at each side */
    int end_y[2];             /* of the last end of a segment at each side */
    uint16_t last_cause[2];
    uint64_t state_us[2];     /* of the last state change at each side */
    uint32_t *mark_of;        /* for each item: its SVG_SEND mark + 1 */
    struct story_tally tally; /* hidden since the last mark */
};

static struct svg_mark *new_mark(struct plan *p, enum svg_kind kind, uint8_t side, uint32_t item)
{
    struct svg_layout *l = p->l;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->mark = realloc(l->mark, l->cap * sizeof *l->mark);
    }
    struct svg_mark *m = &l->mark[l->n++];
    memset(m, 0, sizeof *m);
    m->kind = (uint8_t)kind;
    m->side = side;
    m->item = item;
    return m;
}

/* --- words ----------------------------------------------------------------------------------- */

static void add_words(struct svg_mark *m, enum svg_tone tone, const char *text)
{
    while (*text && m->n_lines < SVG_BLOCKS) {
        int bytes = canvas_fit(text, tone == TONE_NOTE ? SVG_WORDS - 6 : SVG_WORDS);
        m->tone[m->n_lines] = (uint8_t)tone;
        snprintf(m->line[m->n_lines++], sizeof m->line[0], "%.*s", bytes, text);
        text += bytes;
        text += strspn(text, " ");
    }
}

static void add_cause(struct svg_mark *m, enum svg_tone tone, uint16_t cause)
{
    if (cause == 0)
        return;
    add_words(m, tone, tern_cause_text((enum tern_cause)cause));
    add_words(m, tone == TONE_WRONG ? tone : TONE_RULE, tern_cause_rule((enum tern_cause)cause));
}

/* --- heights --------------------------------------------------------------------------------- */

static void gap_mark(struct plan *p, uint64_t us, uint32_t item)
{
    char text[64];
    double s = (double)us / 1e6;
    if (s < 120)
        snprintf(text, sizeof text, "%.1f s pass", s);
    else
        snprintf(text, sizeof text, "%.0f min pass", s / 60);
    int y = p->y;
    for (int side = 0; side < 2; side++)
        y = p->free_y[side] > y ? p->free_y[side] : y;
    struct svg_mark *m = new_mark(p, SVG_GAP, STORY_BOTH, item);
    m->y = y + 8;
    add_words(m, TONE_WORDS, text);
    p->y = y + GAP_HEIGHT;
}

/* Time moves on to t: how far down is that? */
static void advance(struct plan *p, uint64_t t_us, uint32_t item)
{
    uint64_t us = t_us > p->t_us ? t_us - p->t_us : 0;
    if (us >= GAP_US) {
        gap_mark(p, us, item);
    } else {
        int step = (int)(us / US_PER_PIXEL);
        p->y += step < STEP_MAX ? step : STEP_MAX;
    }
    p->t_us = t_us > p->t_us ? t_us : p->t_us;
}

static int at_least(int y, int floor)
{
    return y > floor ? y : floor;
}

/* The height of a mark, given what stands at its side already; words need the room below it. */
static void place(struct plan *p, struct svg_mark *m, int words_from)
{
    bool is_end = m->kind == SVG_SEND || m->kind == SVG_ARRIVE;
    int side = m->side;
    if (is_end && p->end_y[side])
        p->y = at_least(p->y, p->end_y[side] + BETWEEN_ENDS);
    if (m->n_lines || m->kind == SVG_STATE_CHANGE)
        p->y = at_least(p->y, p->free_y[side]);
    m->y = p->y;
    if (is_end)
        p->end_y[side] = p->y;
    if (m->n_lines || m->kind == SVG_STATE_CHANGE)
        p->free_y[side] = p->y + words_from + m->n_lines * SVG_LINE + BLOCK_PAD;
}

/* --- items ----------------------------------------------------------------------------------- */

static void lay_segment(struct plan *p, uint32_t index)
{
    const struct story_item *i = &p->s->items[index];
    struct svg_mark *m = new_mark(p, SVG_SEND, i->side, index);
    bool new_cause = i->cause && (i->cause != p->last_cause[i->side] || (i->flags & 3));
    p->last_cause[i->side] = i->cause;
    if (new_cause)
        add_words(m, TONE_WORDS, tern_cause_text((enum tern_cause)i->cause));
    m->timed = m->n_lines > 0 && i->t_us != p->state_us[i->side] &&
               canvas_width(m->line[m->n_lines - 1]) + 10 <= SVG_WORDS;
    place(p, m, SVG_LINE / 2);
    p->mark_of[index] = p->l->n;
    /* its arrival is not watched, or folded away */
    if (i->of == STORY_NOWHERE && i->arrival_us != STORY_LOST) {
        uint64_t delay = i->arrival_us == STORY_UNKNOWN ? 0 : i->arrival_us - i->t_us;
        int drop = delay ? (int)(delay / US_PER_PIXEL) : 6;
        m->other_y = m->y + (drop < STEP_MAX ? drop : STEP_MAX);
    }
}

static void lay_arrival(struct plan *p, uint32_t index)
{
    const struct story_item *i = &p->s->items[index];
    struct svg_mark *m = new_mark(p, SVG_ARRIVE, !i->side, index);
    if (i->refused)
        add_cause(m, TONE_WRONG, i->refused);
    if (i->of == STORY_NOWHERE)
        p->y += 30; /* a late copy comes from above */
    place(p, m, SVG_LINE / 2);
    if (i->of == STORY_NOWHERE)
        return;
    struct svg_mark *send = &p->l->mark[p->mark_of[i->of] - 1];
    send->other_y = m->y;
    send->late = i->t_us - p->s->items[i->of].t_us > LATE_US;
}

static void lay_state(struct plan *p, uint32_t index)
{
    const struct story_item *i = &p->s->items[index];
    struct svg_mark *m = new_mark(p, SVG_STATE_CHANGE, i->side, index);
    add_cause(m, TONE_WORDS, i->cause);
    p->state_us[i->side] = i->t_us;
    place(p, m, SVG_STATE);
    p->last_cause[i->side] = 0;
}

static void lay_note(struct plan *p, uint32_t index)
{
    const struct story_item *i = &p->s->items[index];
    struct svg_mark *m = new_mark(p, SVG_WORDS_ONLY, i->side, index);
    add_words(m, TONE_NOTE, i->text);
    if (i->side != STORY_BOTH) {
        place(p, m, SVG_LINE / 2);
        return;
    }
    p->y = at_least(p->y + 20, at_least(p->end_y[0], p->end_y[1]) + 26);
    m->y = p->y;
    p->y += 8 + SVG_LINE * m->n_lines;
}

/* What was left out, on the side that sent most of it. */
static void lay_fold(struct plan *p, uint32_t index)
{
    char text[160], line[180];
    const struct story_tally *t = &p->tally;
    bool any = story_tally_text(p->s, t, text, sizeof text);
    uint8_t side = t->data[1] > t->data[0] ? STORY_RIGHT : STORY_LEFT;
    memset(&p->tally, 0, sizeof p->tally);
    if (!any)
        return;
    struct svg_mark *m = new_mark(p, SVG_WORDS_ONLY, side, index);
    snprintf(line, sizeof line, "⋮ %s", text);
    add_words(m, TONE_RULE, line);
    place(p, m, SVG_LINE / 2);
}

static void lay_item(struct plan *p, uint32_t index)
{
    const struct story_item *i = &p->s->items[index];
    lay_fold(p, index);
    advance(p, i->t_us, index);
    switch (i->kind) {
    case STORY_SEGMENT: lay_segment(p, index); break;
    case STORY_ARRIVAL: lay_arrival(p, index); break;
    case STORY_STATE: lay_state(p, index); break;
    default: lay_note(p, index); break;
    }
}

/* A lost segment has no arrival: it falls as far as one that is not lost. */
static void drop_lost(struct svg_layout *l, const struct story *s)
{
    for (uint32_t k = 0; k < l->n; k++)
        if (l->mark[k].kind == SVG_SEND && s->items[l->mark[k].item].arrival_us == STORY_LOST)
            l->mark[k].other_y = l->mark[k].y + 40;
}

void svg_layout_make(struct svg_layout *l, const struct story *s, int top)
{
    struct plan p = {.s = s, .l = l, .y = top, .t_us = s->start_us};
    memset(l, 0, sizeof *l);
    p.mark_of = calloc(s->n + 1, sizeof *p.mark_of);
    for (uint32_t i = 0; i < s->n; i++)
        if (s->items[i].hidden)
            story_tally_add(&p.tally, &s->items[i]);
        else
            lay_item(&p, i);
    lay_fold(&p, s->n);
    drop_lost(l, s);
    l->bottom = p.y;
    for (int side = 0; side < 2; side++)
        l->bottom = at_least(l->bottom, at_least(p.free_y[side], p.end_y[side] + 12));
    for (uint32_t k = 0; k < l->n; k++)
        l->bottom = at_least(l->bottom, l->mark[k].other_y + 12);
    free(p.mark_of);
}

void svg_layout_free(struct svg_layout *l)
{
    free(l->mark);
    memset(l, 0, sizeof *l);
}
