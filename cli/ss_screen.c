/* ss_screen.c - draws a sample: per process what it does and its listeners, then the connections in columns.
 *
 * Lines are made of plain characters, cut at the width of the window; a colour is set for a whole line only.
 * Columns that do not fit are left out, the least important first; where there is room left, the sentence
 * that says why a connection is as it is follows on its line.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "host/wall.h"

#include "ss_watch.h"

enum { LINE = 1200, ROW_REASON_MIN = 24, LISTENERS = 4 };

#define RED "\033[31m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define REVERSE "\033[7m"
#define PLAIN "\033[0m"
#define CLEAR_LINE "\033[K" /* from here to its end */

typedef struct screen {
    FILE *out;
    const sample *now, *before;
    const watch_view *view;
    int lines; /* drawn so far */
} screen;

/* --- lines ------------------------------------------------------------------------------------ */

static bool full(const screen *s) { return s->view->height > 0 && s->lines >= s->view->height - 1; }

/* A line, cut at the width. `style`: an escape sequence, or "". */
__attribute__((format(printf, 3, 4))) static void line(screen *s, const char *style, const char *format, ...)
{
    char text[LINE];
    va_list args;
    if (full(s))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool styled = s->view->screen && style[0] != '\0';
    fprintf(s->out, "%s%.*s%s%s\n", styled ? style : "", s->view->width, text, styled ? PLAIN : "",
            s->view->screen ? CLEAR_LINE : "");
    s->lines++;
}

/* "999", "1.2k", "340M": at most five characters. */
static const char *short_number(uint64_t n, char buf[16])
{
    static const char units[] = " kMGTP";
    int unit = 0;
    uint64_t tenths = n * 10;
    if (n > UINT64_MAX / 10)
        tenths = UINT64_MAX;
    for (; tenths >= 10000 && unit < 5; unit++)
        tenths /= 1000;
    if (unit == 0)
        snprintf(buf, 16, "%u", (unsigned)n);
    else if (tenths < 100)
        snprintf(buf, 16, "%u.%u%c", (unsigned)(tenths / 10), (unsigned)(tenths % 10), units[unit]);
    else
        snprintf(buf, 16, "%u%c", (unsigned)(tenths / 10), units[unit]);
    return buf;
}

/* Tenths as "0.3" or "1.2k". */
static const char *short_rate(uint64_t tenths, char buf[16])
{
    if (tenths >= 100 || tenths % 10 == 0)
        return short_number(tenths / 10, buf);
    snprintf(buf, 16, "%u.%u", (unsigned)(tenths / 10), (unsigned)(tenths % 10));
    return buf;
}

/* --- processes -------------------------------------------------------------------------------- */

static void draw_states(screen *s, const sample_process *p)
{
    char text[400] = "";
    size_t n = 0;
    uint64_t all = 0;
    for (int i = 0; i < TERN_STATES; i++) {
        if (i == TERN_LISTEN || p->by_state[i] == 0)
            continue;
        all += p->by_state[i];
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%llu %s", n > 0 ? ", " : ": ",
                              (unsigned long long)p->by_state[i], tern_state_name((enum tern_state)i));
    }
    line(s, BOLD, "%s, process %d, %llu connection%s%s", p->name, p->pid, (unsigned long long)all,
         all == 1 ? "" : "s", text);
}

static void draw_rates(screen *s, const sample_process *p)
{
    static const char *const keys[] = {"rx_bytes", "segs_in",     "tx_bytes",   "segs_out",
                                       "established", "retransmits", "rx_dropped"};
    char v[7][16], used[16], budget[16];
    const json_t *live = json_object_get(p->stats, "live"), *host = json_object_get(p->stats, "host");
    for (int i = 0; i < 7; i++)
        short_rate(sample_rate10(p, s->before, keys[i]), v[i]);
    line(s, "", "  in %sB/s, %s segments/s; out %sB/s, %s segments/s", v[0], v[1], v[2], v[3]);
    line(s, "", "  opened %s/s, sent again %s/s, dropped %s/s; memory %sB of %sB", v[4], v[5], v[6],
         short_number(ss_number(live, "arena_used") - ss_number(live, "arena_free"), used),
         short_number(ss_number(host, "memory_budget"), budget));
}

/* Every other counter that has moved, whatever it is called. */
static void draw_other_counters(screen *s, const sample_process *p)
{
    static const char *const shown[] = {"rx_bytes",    "tx_bytes",    "rx_packets",    "tx_packets",
                                        "segs_in",     "segs_out",    "opens_passive", "accepted",
                                        "established", "retransmits", "rx_dropped",    "copied_bytes"};
    char text[600] = "", v[16];
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(p->stats, "stats"), key, value)
    {
        uint64_t rate = sample_rate10(p, s->before, key);
        bool known = false;
        for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
            known |= strcmp(shown[i], key) == 0;
        if (known || rate == 0 || n + 60 > sizeof text)
            continue;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s/s", n > 0 ? ", " : "", key,
                              short_rate(rate, v));
    }
    if (n > 0)
        line(s, "", "  %s", text);
}

static void draw_listener(screen *s, const json_t *info)
{
    char local[64], refused[64] = "";
    uint64_t queue = ss_number(info, "acceptq"), backlog = ss_number(info, "backlog");
    if (ss_number(info, "refused_full") > 0)
        snprintf(refused, sizeof refused, ", refused %llu",
                 (unsigned long long)ss_number(info, "refused_full"));
    line(s, queue >= backlog ? RED : "", "  listens at %s: %llu of %llu wait for accept, %llu half open%s",
         ss_place(info, "local", "local_port", local), (unsigned long long)queue, (unsigned long long)backlog,
         (unsigned long long)ss_number(info, "halfopen"), refused);
}

/* A few of them: first those at which something happens. */
static void draw_listeners(screen *s, const sample_process *p)
{
    const json_t *info;
    size_t i;
    int drawn = 0, left_out = 0;
    for (int quiet = 0; quiet < 2; quiet++) {
        json_array_foreach(json_object_get(p->ss, "connections"), i, info)
        {
            bool idle = ss_number(info, "acceptq") + ss_number(info, "halfopen") == 0;
            if (!json_is_true(json_object_get(info, "listener")) || idle != (quiet == 1))
                continue;
            if (drawn < LISTENERS)
                draw_listener(s, info);
            left_out += drawn++ >= LISTENERS;
        }
    }
    if (left_out > 0)
        line(s, "", "  and %d more listeners", left_out);
}

static void draw_processes(screen *s)
{
    for (uint32_t i = 0; i < s->now->n_processes; i++) {
        const sample_process *p = &s->now->processes[i];
        if (p->ss == NULL) {
            line(s, RED, "%s, process %d, does not answer", p->name, p->pid);
            continue;
        }
        draw_states(s, p);
        draw_rates(s, p);
        draw_other_counters(s, p);
        draw_listeners(s, p);
    }
    if (s->now->n_processes == 0)
        line(s, "", "no tern process is running (root sees those of all users, others their own)");
}

/* --- order and choice ------------------------------------------------------------------------- */

static uint64_t rate_of(const sample_row *r) { return r->in + r->out; }

static int larger_first(uint64_t a, uint64_t b) { return a > b ? -1 : a < b; }

static int by_age(const void *a, const void *b)
{
    const sample_row *x = a, *y = b;
    int r = larger_first(x->age_us, y->age_us);
    return r != 0 ? r : -larger_first(ss_number(x->info, "conn"), ss_number(y->info, "conn"));
}

static int by_rate(const void *a, const void *b)
{
    int r = larger_first(rate_of(a), rate_of(b));
    return r != 0 ? r : by_age(a, b);
}

static int by_queue(const void *a, const void *b)
{
    int r = larger_first(((const sample_row *)a)->queued, ((const sample_row *)b)->queued);
    return r != 0 ? r : by_rate(a, b);
}

static int by_problem(const void *a, const void *b)
{
    const sample_row *x = a, *y = b;
    return x->rank != y->rank ? x->rank - y->rank : by_rate(a, b);
}

static bool is_shown(const sample_row *r, const watch_view *v)
{
    const char *state = ss_text(r->info, "state");
    for (int s = 0; v->wanted != NULL && s < TERN_STATES; s++)
        if (!v->wanted[s] && strcmp(state, tern_state_name((enum tern_state)s)) == 0)
            return false;
    switch (v->filter) {
    case FILTER_PROBLEMS: return r->rank == 0;
    case FILTER_OPEN: return strcmp(state, "TIME_WAIT") != 0 && strcmp(state, "CLOSED") != 0;
    case FILTER_BUSY: return rate_of(r) > 0 || r->queued > 0;
    default: return true;
    }
}

/* Those that are shown come first, in order. Returns how many. */
static size_t arrange(sample *s, const watch_view *v)
{
    static int (*const orders[SORTS])(const void *, const void *) = {by_problem, by_rate, by_queue, by_age};
    size_t n = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        if (!is_shown(&s->rows[i], v))
            continue;
        sample_row r = s->rows[n];
        s->rows[n++] = s->rows[i];
        s->rows[i] = r;
    }
    qsort(s->rows, n, sizeof *s->rows, orders[v->sort]);
    return n;
}

/* --- the table -------------------------------------------------------------------------------- */

enum column { STATE, REMOTE, WHAT, IN, OUT, SINCE, RECV_Q, SEND_Q, LOCAL, RTT, AGAIN, PROCESS, COLUMNS };

static const struct {
    const char *title;
    int width; /* negative: left-aligned */
} columns[COLUMNS] = {
    [STATE] = {"State", -11}, [LOCAL] = {"Local", -21},  [REMOTE] = {"Remote", -21}, [IN] = {"In/s", 6},
    [OUT] = {"Out/s", 6},     [RECV_Q] = {"Recv-Q", 6},  [SEND_Q] = {"Send-Q", 6},   [RTT] = {"RTT", 7},
    [AGAIN] = {"Again", 5},   [SINCE] = {"Since", 10},   [PROCESS] = {"Process", -8}, [WHAT] = {"What", -9},
};

/* From left to right. */
static const enum column order[COLUMNS] = {STATE, LOCAL, REMOTE, IN, OUT, RECV_Q, SEND_Q, RTT, AGAIN, SINCE,
                                           PROCESS, WHAT};

static int cells(enum column c) { return abs(columns[c].width) + 2; }

/* Which columns fit: taken in the order of enum column. Returns the cells that are left. */
static int choose(const screen *s, bool chosen[COLUMNS])
{
    int left = s->view->width;
    for (int c = 0; c < COLUMNS; c++) {
        bool wanted = c != PROCESS || s->now->n_processes > 1;
        chosen[c] = wanted && cells((enum column)c) <= left;
        left -= chosen[c] ? cells((enum column)c) : 0;
    }
    return left;
}

static const char *rtt_text(uint64_t us, char buf[32])
{
    return us > 0 ? tern_why_span(us, buf) : "-";
}

static const char *cell(const screen *s, const sample_row *r, enum column c, char buf[64])
{
    const json_t *i = r->info;
    const sample_process *p = &s->now->processes[r->process];
    switch (c) {
    case STATE: return ss_text(i, "state");
    case LOCAL: return ss_place(i, "local", "local_port", buf);
    case REMOTE: return ss_place(i, "remote", "remote_port", buf);
    case IN: return short_number(r->in, buf);
    case OUT: return short_number(r->out, buf);
    case RECV_Q: return short_number(ss_number(i, "recv_queue"), buf);
    case SEND_Q: return short_number(ss_number(i, "send_queue") + ss_number(i, "send_unacked"), buf);
    case RTT: return rtt_text(ss_number(i, "srtt_us"), buf);
    case AGAIN: return short_number(r->again, buf);
    case SINCE: return tern_why_span(r->age_us, buf);
    case PROCESS: return p->name;
    default: return r->verdict;
    }
}

/* One line of cells: of a row, or the titles (r NULL). Returns its length. */
static size_t make_cells(const screen *s, const sample_row *r, const bool chosen[COLUMNS], char *text,
                         size_t len)
{
    char buf[64];
    size_t n = 0;
    for (int k = 0; k < COLUMNS; k++) {
        enum column c = order[k];
        if (!chosen[c])
            continue;
        const char *value = r != NULL ? cell(s, r, c, buf) : columns[c].title;
        n += (size_t)snprintf(text + n, len - n, "%*.*s  ", columns[c].width, abs(columns[c].width), value);
    }
    return n;
}

static void draw_reason(screen *s, const char *why)
{
    while (*why != '\0') {
        int room = s->view->width - 4, len = (int)strlen(why);
        if (len > room)
            for (len = room; len > 0 && why[len] != ' ';)
                len--;
        if (len <= 0)
            len = (int)strlen(why);
        line(s, DIM, "    %.*s", len, why);
        why += len;
        why += strspn(why, " ");
    }
}

/* The first sentence tells the state and since when, which have columns: what follows it, if anything
 * does. */
static const char *behind_first(const char *why)
{
    const char *next = strstr(why, ". ");
    return next != NULL ? next + 2 : why;
}

static void draw_row(screen *s, const sample_row *r, const bool chosen[COLUMNS], int left)
{
    static const char *const styles[] = {RED, "", "", DIM};
    char text[LINE];
    tern_why why;
    size_t n = make_cells(s, r, chosen, text, sizeof text);
    tern_why_say(r->info, s->now->processes[r->process].now_us, &why);
    if (!s->view->reasons && left >= ROW_REASON_MIN)
        snprintf(text + n, sizeof text - n, "%.*s", left, behind_first(why.text));
    line(s, styles[r->rank], "%s", text);
    if (s->view->reasons)
        draw_reason(s, why.text);
}

static void draw_table(screen *s, size_t shown, size_t top)
{
    bool chosen[COLUMNS];
    char text[LINE];
    int left = choose(s, chosen);
    if (shown == 0)
        return;
    make_cells(s, NULL, chosen, text, sizeof text);
    line(s, REVERSE, "%-*s", s->view->screen ? s->view->width : 1, text);
    for (size_t i = top; i < shown && !full(s); i++)
        draw_row(s, &s->now->rows[i], chosen, left);
}

/* --- all together ----------------------------------------------------------------------------- */

static const char *const sort_names[SORTS] = {"problems", "rate", "queues", "age"};
static const char *const filter_names[FILTERS] = {"all", "problems", "open", "busy"};

static void draw_foot(screen *s, size_t shown)
{
    const watch_view *v = s->view;
    char more[64] = "";
    if (shown > 0)
        snprintf(more, sizeof more, "  from %zu of %zu", v->top + 1, shown);
    char text[LINE];
    snprintf(text, sizeof text, "q quit  s sort: %s  f filter: %s  r reasons  space %s  arrows scroll%s",
             sort_names[v->sort], filter_names[v->filter], v->paused ? "go on" : "pause", more);
    fprintf(s->out, REVERSE "%-*.*s" PLAIN, v->width, v->width, text);
}

void screen_draw(FILE *out, sample *now, const sample *before, watch_view *view)
{
    screen s = {.out = out, .now = now, .before = before, .view = view};
    int64_t t = tern_wall_seconds();
    size_t shown = arrange(now, view);
    if (view->top >= shown)
        view->top = shown > 0 ? shown - 1 : 0;
    if (view->screen)
        fputs("\033[H", out);
    line(&s, "", "tern ss, %02u:%02u:%02u UTC, every %u.%u s%s%s", (unsigned)(t / 3600 % 24),
         (unsigned)(t / 60 % 60), (unsigned)(t % 60), (unsigned)(view->every_us / 1000000),
         (unsigned)(view->every_us / 100000 % 10), view->paused ? ", paused" : "",
         now->took_us > view->every_us ? ", slower: so many to ask about" : "");
    draw_processes(&s);
    draw_table(&s, shown, view->top);
    if (!view->screen)
        return;
    fputs("\033[J", out);
    fprintf(out, "\033[%d;1H", view->height);
    draw_foot(&s, shown);
}
