/* ladder.c - see ladder.h.
 *
 *      time   left state                                                              right state
 *     0.000       CLOSED ●────────────────────────────────────────────────────────────● LISTEN
 *     0.000              ├─ SYN seq 0 ─────────────────────────────────────── 21 ms ─▶│
 *                        │  to open the connection ... [RFC 9293 3.10.1]              │
 *     0.021              │        a SYN for a listener: answered with SYN+ACK [...]   ● SYN_RCVD
 *
 * A segment takes one row, at the time it was sent, unless something crosses it: then it takes two, one at
 * each end. Reasons stand below it, on the side of the one who has them; the same reason twice in a row is
 * said once.
 */
#include "host/ladder.h"

#include "host/canvas.h"

#include <stdio.h>
#include <string.h>

enum {
    TIME_END = 9,
    LABEL_END = 21,      /* the left state ends before this column */
    LINE_LEFT = 22,      /* life lines */
    LINE_RIGHT = 86,
    LABEL_RIGHT = 88,
    INNER = LINE_RIGHT - LINE_LEFT - 1,
    WORDS = 56,
    LATE_US = 150000,    /* a segment under way for longer gets a row at each end */
    GAP_US = 1000000,    /* a silence worth a line */
    FIN_BIT = 1,
    SYN_BIT = 2,
};

struct ladder {
    const struct story *s;
    FILE *out;
    bool color;
    uint64_t last_us;    /* time of the last row */
    uint16_t last_cause[2];
    struct story_tally tally; /* hidden since the last row */
    struct canvas row;
};

static void rails(struct ladder *l)
{
    canvas_clear(&l->row);
    canvas_put(&l->row, LINE_LEFT, STYLE_DIM, "│");
    canvas_put(&l->row, LINE_RIGHT, STYLE_DIM, "│");
}

static void print_row(struct ladder *l)
{
    canvas_print(&l->row, l->out, l->color);
}

/* Seconds; a real link is fast, so the story of one stack has microseconds. */
static void put_time(struct ladder *l, uint64_t t_us)
{
    char text[32];
    uint64_t us = t_us - l->s->start_us;
    if (l->s->one_sided && us < 100000000)
        snprintf(text, sizeof text, "%u.%06u", (unsigned)(us / 1000000), (unsigned)(us % 1000000));
    else
        snprintf(text, sizeof text, "%llu.%03u", (unsigned long long)((us + 500) / 1000000),
                 (unsigned)((us + 500) / 1000 % 1000));
    canvas_put_right(&l->row, TIME_END, STYLE_DIM, text);
}

static enum canvas_style style_of(uint8_t side)
{
    return side == STORY_LEFT ? STYLE_LEFT : STYLE_RIGHT;
}

/* --- silence --------------------------------------------------------------------------------- */

static void span_text(uint64_t us, char *buf, size_t len)
{
    double s = (double)us / 1e6;
    if (s < 120)
        snprintf(buf, len, " %.1f s pass ", s);
    else if (s < 7200)
        snprintf(buf, len, " %.1f min pass ", s / 60);
    else
        snprintf(buf, len, " %.1f h pass ", s / 3600);
}

static void gap(struct ladder *l, uint64_t t_us)
{
    if (t_us > l->last_us && t_us - l->last_us >= GAP_US) {
        char text[48];
        span_text(t_us - l->last_us, text, sizeof text);
        canvas_clear(&l->row);
        canvas_put(&l->row, LINE_LEFT, STYLE_DIM, "┊");
        canvas_put(&l->row, LINE_RIGHT, STYLE_DIM, "┊");
        canvas_put(&l->row, LINE_LEFT + 1 + (INNER - canvas_width(text)) / 2, STYLE_DIM, text);
        print_row(l);
    }
    if (t_us > l->last_us)
        l->last_us = t_us;
}

/* --- words ----------------------------------------------------------------------------------- */

/* One line of words between the life lines, on its side. */
static void put_words(struct ladder *l, uint8_t side, enum canvas_style style, const char *text, int bytes)
{
    char line[4 * WORDS + 1];
    snprintf(line, sizeof line, "%.*s", bytes, text);
    if (side == STORY_RIGHT)
        canvas_put_right(&l->row, LINE_RIGHT - 2, style, line);
    else if (side == STORY_LEFT)
        canvas_put(&l->row, LINE_LEFT + 3, style, line);
    else
        canvas_put(&l->row, LINE_LEFT + 1 + (INNER - canvas_width(line)) / 2, style, line);
}

/* Words in as many rows as they need; the row under way is the first. */
static void words(struct ladder *l, uint8_t side, enum canvas_style style, const char *text)
{
    while (*text) {
        int bytes = canvas_fit(text, WORDS);
        put_words(l, side, style, text, bytes);
        print_row(l);
        rails(l);
        text += bytes;
        text += strspn(text, " ");
    }
}

/* The sentence of a cause and its rule; the rule is not broken over two rows. */
static void cause_words(uint16_t cause, const char *before, char *buf, size_t len)
{
    enum tern_cause c = (enum tern_cause)cause;
    int n = snprintf(buf, len, "%s%s [", before, tern_cause_text(c));
    for (const char *rule = tern_cause_rule(c); *rule && (size_t)n + 4 < len; rule++) {
        if (*rule == ' ')
            n += snprintf(buf + n, len - (size_t)n, CANVAS_SOLID);
        else
            buf[n++] = *rule;
    }
    snprintf(buf + n, len - (size_t)n, "]");
}

/* --- segments -------------------------------------------------------------------------------- */

static bool takes_space(const struct story_item *i)
{
    return i->len > 0 || (i->flags & (FIN_BIT | SYN_BIT));
}

/* Whether the segment needs a row at each end: it is late, or another that matters crosses it. */
static bool is_split(const struct story *s, uint32_t index)
{
    const struct story_item *i = &s->items[index];
    if (i->of == STORY_NOWHERE)
        return false;
    if (i->arrival_us - i->t_us > LATE_US)
        return true;
    for (uint32_t k = i->of; k-- > 0 && s->items[k].t_us + LATE_US > i->t_us;) {
        const struct story_item *o = &s->items[k];
        bool other_way = o->kind == STORY_SEGMENT && o->side != i->side && !o->hidden && o->conn == i->conn;
        bool meanwhile = o->arrival_us != STORY_LOST && o->arrival_us != STORY_UNKNOWN &&
                         o->arrival_us > i->t_us && (k > index || (o->of != STORY_NOWHERE && o->of > index));
        if (other_way && meanwhile && takes_space(i) && takes_space(o))
            return true;
    }
    return false;
}

/* The segment's text on its line: near the end where it is sent, or near the one where it arrives. */
struct arrow {
    char text[120];
    char extra[64];   /* at the other end: delay, or why it was lost */
    uint8_t side;     /* who sends */
    bool head, tail;  /* the arrow reaches the receiver; leaves the sender */
    bool lost;
};

/* Distances are counted from the sender's life line: one picture for both directions. */
static void fill_from(struct canvas *c, const struct arrow *a, int first, int last, const char *character)
{
    enum canvas_style style = a->lost ? STYLE_WRONG : style_of(a->side);
    if (a->side == STORY_LEFT)
        canvas_fill(c, LINE_LEFT + 1 + first, LINE_LEFT + 1 + last, style, character);
    else
        canvas_fill(c, LINE_RIGHT - last, LINE_RIGHT - first, style, character);
}

static void put_from(struct canvas *c, const struct arrow *a, int distance, enum canvas_style style,
                     const char *text)
{
    if (a->side == STORY_LEFT)
        canvas_put(c, LINE_LEFT + 1 + distance, style, text);
    else
        canvas_put_right(c, LINE_RIGHT - distance, style, text);
}

/* The line of the arrow: whole, or solid near the end that this row is about. */
static void draw_line(struct canvas *c, const struct arrow *a)
{
    fill_from(c, a, 0, INNER, a->head && a->tail ? "─" : "┄");
    if (a->tail && !a->head)
        fill_from(c, a, 0, INNER * 2 / 3, "─");
    if (a->head && !a->tail)
        fill_from(c, a, INNER / 3, INNER, "─");
    if (a->lost)
        fill_from(c, a, INNER * 2 / 3, INNER, " ");
    if (a->head)
        fill_from(c, a, INNER - 1, INNER, a->side == STORY_LEFT ? "▶" : "◀");
}

static void draw_words(struct canvas *c, const struct arrow *a)
{
    char text[140], extra[80];
    snprintf(text, sizeof text, " %s ", a->text);
    snprintf(extra, sizeof extra, " %s ", a->extra);
    int width = canvas_width(text), extra_width = canvas_width(extra);
    put_from(c, a, a->tail ? 1 : INNER - 3 - width, STYLE_BOLD, text);
    if (a->lost)
        put_from(c, a, width + 3 > INNER - extra_width ? width + 3 : INNER - extra_width, STYLE_WRONG, extra);
    else if (a->extra[0] && a->head && a->tail && width + extra_width + 8 < INNER)
        put_from(c, a, INNER - 3 - extra_width, STYLE_DIM, extra);
}

static void draw(struct ladder *l, const struct arrow *a, uint64_t t_us)
{
    gap(l, t_us);
    rails(l);
    put_time(l, t_us);
    draw_line(&l->row, a);
    draw_words(&l->row, a);
    if (a->tail && a->side == STORY_LEFT)
        canvas_put(&l->row, LINE_LEFT, STYLE_DIM, "├");
    else if (a->tail)
        canvas_put(&l->row, LINE_RIGHT, STYLE_DIM, "┤");
    print_row(l);
    rails(l);
}

static void refused_words(struct ladder *l, const struct story_item *i)
{
    char text[300];
    if (i->refused == 0)
        return;
    cause_words(i->refused, "✗ ", text, sizeof text);
    words(l, i->side == STORY_LEFT ? STORY_RIGHT : STORY_LEFT, STYLE_WRONG, text);
}

/* Why it was sent; once for several in a row with the same reason. */
static void reason(struct ladder *l, const struct story_item *i)
{
    char text[300];
    if (i->cause != 0 && (i->cause != l->last_cause[i->side] || (i->flags & (FIN_BIT | SYN_BIT)))) {
        cause_words(i->cause, "", text, sizeof text);
        words(l, i->side, STYLE_DIM, text);
    }
    l->last_cause[i->side] = i->cause;
}

static void delay_text(const struct story_item *i, char *buf, size_t len)
{
    buf[0] = 0;
    if (i->arrival_us != STORY_UNKNOWN && i->arrival_us != STORY_LOST)
        snprintf(buf, len, "%.1f ms", (double)(i->arrival_us - i->t_us) / 1e3);
    else if (i->arrival_us == STORY_LOST)
        snprintf(buf, len, "✗ %s", i->lost_why ? i->lost_why : "lost");
}

static void segment_row(struct ladder *l, uint32_t index)
{
    const struct story_item *i = &l->s->items[index];
    bool split = is_split(l->s, index);
    struct arrow a = {.side = i->side, .tail = true, .lost = i->arrival_us == STORY_LOST};
    a.head = !split && !a.lost;
    int n = i->outsider ? snprintf(a.text, sizeof a.text, "X: ") : 0;
    if (i->copy)
        n += snprintf(a.text + n, sizeof a.text - (size_t)n, "copy of ");
    story_segment_text(l->s, i, a.text + n, sizeof a.text - (size_t)n);
    delay_text(i, a.extra, sizeof a.extra);
    draw(l, &a, a.lost && i->copy ? l->last_us : i->t_us);
    reason(l, i);
    if (!split)
        refused_words(l, i);
}

static void arrival_row(struct ladder *l, uint32_t index)
{
    const struct story_item *i = &l->s->items[index];
    struct arrow a = {.side = i->side, .head = true};
    uint64_t sent = i->of == STORY_NOWHERE ? 0 : l->s->items[i->of].t_us;
    story_segment_text(l->s, i, a.text, sizeof a.text);
    size_t n = strlen(a.text);
    if (i->copy)
        snprintf(a.text + n, sizeof a.text - n, " (a late copy)");
    else if (i->t_us - sent > LATE_US)
        snprintf(a.text + n, sizeof a.text - n, " (sent at %.3f)", (double)(sent - l->s->start_us) / 1e6);
    draw(l, &a, i->t_us);
    refused_words(l, i);
}

/* --- states, notes, folds -------------------------------------------------------------------- */

static void put_state(struct ladder *l, uint8_t side, uint8_t state)
{
    const char *name = tern_state_name((enum tern_state)state);
    canvas_put(&l->row, side == STORY_LEFT ? LINE_LEFT : LINE_RIGHT, STYLE_STATE, "●");
    if (side == STORY_LEFT)
        canvas_put_right(&l->row, LABEL_END, STYLE_STATE, name);
    else
        canvas_put(&l->row, LABEL_RIGHT, STYLE_STATE, name);
}

static void state_row(struct ladder *l, const struct story_item *i)
{
    char text[320], conn[16] = "";
    if (l->s->conns > 1 && i->conn != STORY_NOWHERE)
        snprintf(conn, sizeof conn, "#%u ", i->conn + 1);
    cause_words(i->cause, conn, text, sizeof text);
    gap(l, i->t_us);
    rails(l);
    put_time(l, i->t_us);
    put_state(l, i->side, i->to);
    l->last_cause[0] = l->last_cause[1] = 0;
    words(l, i->side, STYLE_PLAIN, text);
}

static void note_row(struct ladder *l, const struct story_item *i)
{
    gap(l, i->t_us);
    rails(l);
    print_row(l);
    put_time(l, i->t_us);
    words(l, i->side, STYLE_NOTE, i->text);
}

/* What was left out since the last row. */
static void fold_row(struct ladder *l)
{
    char text[300], line[320];
    bool any = story_tally_text(l->s, &l->tally, text, sizeof text);
    memset(&l->tally, 0, sizeof l->tally);
    if (!any)
        return;
    snprintf(line, sizeof line, "⋮ %s", text);
    rails(l);
    words(l, STORY_BOTH, STYLE_DIM, line);
}

/* --- all ------------------------------------------------------------------------------------- */

/* The state at the top of a life line: what the first change says that it was. */
static void first_states(struct ladder *l)
{
    rails(l);
    for (int side = 0; side < 2; side++)
        for (uint32_t k = 0; k < l->s->n; k++)
            if (l->s->items[k].kind == STORY_STATE && l->s->items[k].side == side) {
                put_state(l, (uint8_t)side, l->s->items[k].from);
                break;
            }
    put_time(l, l->s->start_us);
    print_row(l);
}

static void header(struct ladder *l)
{
    char left[160], right[160];
    canvas_clear(&l->row);
    snprintf(left, sizeof left, "%s %s", l->s->name[0], l->s->addr[0]);
    snprintf(right, sizeof right, "%s %s", l->s->addr[1], l->s->name[1]);
    canvas_put_right(&l->row, TIME_END, STYLE_DIM, "s");
    canvas_put(&l->row, LINE_LEFT, STYLE_LEFT, left);
    if (canvas_width(left) + canvas_width(right) > INNER) { /* long addresses: a row each */
        print_row(l);
        canvas_clear(&l->row);
    }
    canvas_put_right(&l->row, LINE_RIGHT + 1, STYLE_RIGHT, right);
    print_row(l);
}

static void item_rows(struct ladder *l, uint32_t index)
{
    const struct story_item *item = &l->s->items[index];
    switch (item->kind) {
    case STORY_SEGMENT: segment_row(l, index); break;
    case STORY_ARRIVAL: arrival_row(l, index); break;
    case STORY_STATE: state_row(l, item); break;
    default: note_row(l, item); break;
    }
}

/* Whether an item has a row at all: an arrival has none when its segment took one row for both ends. */
static bool has_row(const struct story *s, const struct story_item *i)
{
    return i->kind != STORY_ARRIVAL || i->of == STORY_NOWHERE || is_split(s, i->of);
}

void ladder_print(const struct story *s, FILE *out, bool color)
{
    struct ladder l = {.s = s, .out = out, .color = color, .last_us = s->start_us};
    header(&l);
    first_states(&l);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->items[i].hidden) {
            story_tally_add(&l.tally, &s->items[i]);
            l.last_us = s->items[i].t_us > l.last_us ? s->items[i].t_us : l.last_us;
        } else if (has_row(s, &s->items[i])) {
            fold_row(&l);
            item_rows(&l, i);
        }
    }
    fold_row(&l);
}

void ladder_wrap(FILE *out, const char *indent, int width, const char *text)
{
    while (*text) {
        int bytes = canvas_fit(text, width);
        fprintf(out, "%s%.*s\n", indent, bytes, text);
        text += bytes;
        text += strspn(text, " ");
    }
}
