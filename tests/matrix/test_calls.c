/* Runs calls.tsv: every state with every call, each row's cells in stacks of their own; README.md has the
 * meaning. */
#include "matrix/table.h"
#include "matrix/world.h"

enum { RESULT, NEXT, SENT, SSEQ, SACK, EFFECT, RULE };

static const char *const states[] = {"CLOSED",      "LISTEN",      "SYN_SENT",   "SYN_RCVD_P", "SYN_RCVD_A",
                                     "ESTABLISHED", "FIN_WAIT_1",  "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING",
                                     "LAST_ACK",    "TIME_WAIT_H", "TIME_WAIT_R"};
static const char *const calls[] = {"OPEN_ACTIVE", "OPEN_PASSIVE", "SEND",  "RECEIVE",
                                    "CLOSE",       "SHUTDOWN",     "ABORT", "STATUS"};

static const struct pass passes[] = {
    {.name = "plain", .variant = {.name = "plain", .peer_iss = 0x10000000u}},
    {.name = "IRS before 2^32, ISS before 2^31",
     .seed = 1,
     .variant = {.name = "2^31", .peer_iss = 0xFFFFFF00u, .has_iss = true, .iss = 0x7fffff80u}},
    {.name = "IRS before 2^31, ISS before 2^32",
     .seed = 2,
     .variant = {.name = "2^32", .peer_iss = 0x7fffff00u, .has_iss = true, .iss = 0xffffff80u}},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    const char *name;
    long value;
} errors[] = {
    {"-EBADF", -TERN_EBADF},       {"-EAGAIN", -TERN_EAGAIN},         {"-EINVAL", -TERN_EINVAL},
    {"-EPIPE", -TERN_EPIPE},       {"-EADDRINUSE", -TERN_EADDRINUSE}, {"-ECONNRESET", -TERN_ECONNRESET},
    {"-ENOTCONN", -TERN_ENOTCONN}, {"-ETIMEDOUT", -TERN_ETIMEDOUT},   {"-ECONNREFUSED", -TERN_ECONNREFUSED},
};

/* What the call gave. */
struct result {
    long r;
    tern_handle opened; /* by OPEN */
    const char *status; /* of STATUS, or of `opened` */
    tern_handle used;   /* the handle that the call was made on */
};

static const char *status_of(struct world *w, tern_handle h, long *r)
{
    tern_info i;
    *r = tern_get_info(w->l->t, h, &i);
    return *r == 0 ? tern_state_name(i.state) : "";
}

static tern_handle handle_of(struct world *w)
{
    if (strncmp(w->cell->state, "LISTEN", 6) == 0)
        return w->l->listener;
    return w->old.v ? w->old : world_h(w);
}

static void open_active(struct world *w, struct result *out)
{
    struct lab_flow *f = &w->l->flow[0];
    out->r = tern_connect(w->l->t, &f->local, &f->peer, &out->opened);
    long ignored;
    if (out->r == 0)
        out->status = status_of(w, out->opened, &ignored);
}

static void open_passive(struct world *w, struct result *out)
{
    out->r = world_listen(w, &out->opened);
    long ignored;
    if (out->r == 0)
        out->status = status_of(w, out->opened, &ignored);
}

static long call_send(struct world *w, tern_handle h)
{
    uint8_t buf[100];
    struct lab_flow *f = &w->l->flow[0];
    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = lab_byte(false, f->wrote + i);
    long r = tern_send(w->l->t, h, buf, sizeof(buf), 0);
    f->wrote += r > 0 ? (uint64_t)r : 0;
    return r;
}

static long call_recv(struct world *w, tern_handle h)
{
    uint8_t buf[1000];
    return h.v == world_h(w).v && h.v ? world_recv(w, 1000) : tern_recv(w->l->t, h, buf, sizeof(buf));
}

static struct result make_call(struct world *w)
{
    struct result out = {.status = "", .used = handle_of(w)};
    const char *call = w->cell->call;
    tern *t = w->l->t;
    tern_tick(t, w->l->now);
    if (strcmp(call, "OPEN_ACTIVE") == 0)
        open_active(w, &out);
    else if (strcmp(call, "OPEN_PASSIVE") == 0)
        open_passive(w, &out);
    else if (strcmp(call, "SEND") == 0)
        out.r = call_send(w, out.used);
    else if (strcmp(call, "RECEIVE") == 0)
        out.r = call_recv(w, out.used);
    else if (strcmp(call, "CLOSE") == 0)
        out.r = tern_close(t, out.used);
    else if (strcmp(call, "SHUTDOWN") == 0)
        out.r = tern_shutdown(t, out.used);
    else if (strcmp(call, "ABORT") == 0)
        out.r = tern_abort(t, out.used);
    else if (strcmp(call, "STATUS") == 0)
        out.status = status_of(w, out.used, &out.r);
    else
        world_fail(w, "the row has a call of this name");
    return out;
}

static void check_result(struct world *w, const struct result *got)
{
    const char *want = w->cell->expect[RESULT];
    char name[32] = "";
    if (sscanf(want, "new(%31[^)])", name) == 1 || sscanf(want, "is(%31[^)])", name) == 1) {
        if (got->r != 0 || strcmp(got->status, name) != 0)
            world_fail(w, "the call gave %ld, STATUS is \"%s\"", got->r, got->status);
        return;
    }
    long value = atol(want);
    for (size_t i = 0; i < COUNT(errors); i++)
        if (strcmp(want, errors[i].name) == 0)
            value = errors[i].value;
    if (want[0] == '-' && value >= 0)
        world_fail(w, "the row has an unknown result");
    if (got->r != value)
        world_fail(w, "the call gave %ld", got->r);
}

static void check_sent(struct world *w, uint32_t snd_nxt, uint32_t rcv_nxt)
{
    static const struct {
        const char *name;
        uint8_t flags;
        uint32_t len;
    } kinds[] = {
        {"SYN", F_SYN, 0}, {"data", F_PSH | F_ACK, 100}, {"FINACK", F_FIN | F_ACK, 0}, {"RST", F_RST, 0}};
    char *const *x = w->cell->expect;
    const struct lab_out *o = lab_next(w->l);
    if (strcmp(x[SENT], "none") == 0) {
        if (o)
            world_fail(w, "a segment left: flags 0x%02x", o->seg.flags);
        return;
    }
    if (!o)
        world_fail(w, "no segment left");
    const struct segment *s = &o->seg;
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(x[SENT], kinds[i].name) == 0 && (s->flags != kinds[i].flags || s->len != kinds[i].len))
            world_fail(w, "the segment has flags 0x%02x and %u bytes", s->flags, s->len);
    if (strcmp(x[SSEQ], "SND.NXT") == 0 && s->seq.v != snd_nxt)
        world_fail(w, "SEQ is %u, not %u", s->seq.v, snd_nxt);
    if (strcmp(x[SACK], "RCV.NXT") == 0 && s->ack.v != rcv_nxt)
        world_fail(w, "ACK is %u, not %u", s->ack.v, rcv_nxt);
    if (lab_pending(w->l) > 0)
        world_fail(w, "more than one segment left");
}

static void check_quiet(struct world *w)
{
    const struct lab_out *o;
    lab_run(w->l, 500 * MS);
    while ((o = lab_next(w->l)) != NULL)
        if (seg_len(&o->seg) == 0)
            world_fail(w, "within 500 ms: flags 0x%02x", o->seg.flags);
}

static void check_state(struct world *w)
{
    char name[64];
    const char *want = w->cell->expect[NEXT];
    snprintf(name, sizeof(name), "%s", w->cell->state);
    name[strcspn(name, "+")] = 0;
    bool opened = strcmp(w->cell->call, "OPEN_PASSIVE") == 0 && w->cell->expect[RESULT][0] == 'n';
    bool listening = strcmp(name, "LISTEN") == 0;
    if (strcmp(want, "=") == 0)
        want = name;
    if (strcmp(want, "CLOSED") == 0 && opened)
        want = "LISTEN"; /* no record of the 4-tuple, and the new listener */
    if (listening && strcmp(w->cell->call, "OPEN_ACTIVE") == 0)
        want = "SYN_SENT"; /* of the 4-tuple; the port's listener is looked at below */
    if (strcmp(world_state(w), want) != 0)
        world_fail(w, "the state is %s, not %s", world_state(w), want);
    long r;
    if (listening && strcmp(w->cell->expect[NEXT], "=") == 0 &&
        strcmp(status_of(w, w->l->listener, &r), "LISTEN") != 0)
        world_fail(w, "the listener is gone");
}

static void check_effect(struct world *w, const struct result *got)
{
    long r;
    bool released = strcmp(w->cell->expect[EFFECT], "released") == 0;
    status_of(w, got->used, &r);
    if (released && r != -TERN_EBADF)
        world_fail(w, "the handle was not released: STATUS gives %ld", r);
    if (!released && got->used.v != w->old.v && r != 0)
        world_fail(w, "the handle is stale: STATUS gives %ld", r);
    if (!released)
        return;
    if (world_h(w).v == got->used.v)
        world_h(w).v = 0;
    if (w->l->listener.v == got->used.v)
        w->l->listener.v = 0;
}

static void run_cell(void **state)
{
    const struct cell *c = *state;
    struct world *w = world_new(c, true);
    world_reach(w);
    uint32_t snd_nxt = w->snd_nxt, rcv_nxt = w->rcv_nxt;
    struct result got = make_call(w);
    lab_collect(w->l);
    check_result(w, &got);
    check_sent(w, snd_nxt, rcv_nxt);
    check_effect(w, &got);
    check_state(w);
    check_quiet(w);
    if (got.opened.v)
        tern_abort(w->l->t, got.opened);
    world_end(w);
}

static void missing(void **state)
{
    const struct cell *c = *state;
    fail_msg("calls.tsv has no row, or more than one, for %s %s", c->state, c->call);
}

/* --- all cells --- */

struct list {
    struct cell *cells;
    struct CMUnitTest *tests;
    size_t n;
};

static void add(struct list *all, const struct cell *c)
{
    char *name = malloc(160);
    assert_non_null(name);
    snprintf(name, 160, "line %d: %s %s (%s)", c->line, c->state, c->call, c->pass->name);
    all->cells[all->n] = *c;
    all->tests[all->n] = (struct CMUnitTest){
        .name = name, .test_func = c->line ? run_cell : missing, .initial_state = &all->cells[all->n]};
    all->n++;
}

static void add_suffixes(struct list *all, const struct table *t, struct cell c)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!strchr(t->rows[i].column[0], '+'))
            continue;
        c.state = t->rows[i].column[0];
        c.line = t->rows[i].line;
        c.expect = t->rows[i].column + 2;
        for (size_t k = 0; k < COUNT(calls); k++) {
            c.call = calls[k];
            if (table_covers(t->rows[i].column[1], c.call))
                add(all, &c);
        }
    }
}

static void add_product(struct list *all, const struct table *t, struct cell c)
{
    for (size_t k = 0; k < COUNT(states) * COUNT(calls); k++) {
        int found = 0;
        c.state = states[k / COUNT(calls)];
        c.call = calls[k % COUNT(calls)];
        c.line = 0;
        for (size_t i = 0; i < t->n; i++)
            if (table_covers(t->rows[i].column[0], c.state) && table_covers(t->rows[i].column[1], c.call)) {
                found++;
                c.line = t->rows[i].line;
                c.expect = t->rows[i].column + 2;
            }
        c.line = found == 1 ? c.line : 0;
        add(all, &c);
    }
}

int main(void)
{
    struct table *t = table_load("calls.tsv");
    size_t max = COUNT(passes) * (COUNT(states) * COUNT(calls) + t->n * COUNT(calls));
    struct list all = {.cells = calloc(max, sizeof(struct cell)),
                       .tests = calloc(max, sizeof(struct CMUnitTest))};
    if (!all.cells || !all.tests)
        return 1;
    for (size_t p = 0; p < COUNT(passes); p++) {
        struct cell c = {.pass = &passes[p], .file = "tests/matrix/calls.tsv"};
        add_product(&all, t, c);
        add_suffixes(&all, t, c);
    }
    int failed = _cmocka_run_group_tests("calls.tsv", all.tests, all.n, NULL, NULL);
    for (size_t i = 0; i < all.n; i++)
        free((void *)(uintptr_t)all.tests[i].name);
    free(all.tests);
    free(all.cells);
    table_free(t);
    return failed;
}
