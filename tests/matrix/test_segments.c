/* Runs segments.tsv: every state with every segment, each cell in a stack of its own; README.md has the
 * meaning. Three passes: plain numbers, and both sides' numbers around 2^31 and 2^32. */
#include "matrix/table.h"
#include "matrix/world.h"

enum { NEXT, REPLY, RSEQ, RACK, BYTES, EVENT, RULE };

static const char *const states[] = {
    "CLOSED",      "LISTEN",      "SYN_SENT",    "SYN_RCVD_P",           "SYN_RCVD_A",
    "ESTABLISHED", "FIN_WAIT_1",  "FIN_WAIT_2",  "CLOSE_WAIT",           "CLOSING",
    "LAST_ACK",    "TIME_WAIT_H", "TIME_WAIT_R", "TIME_WAIT_H+listener", "TIME_WAIT_R+listener"};
static const struct {
    const char *name;
    uint8_t flags;
    uint32_t len;
} kinds[] = {
    {"SYN", F_SYN, 0},
    {"SYN+ACK", F_SYN | F_ACK, 0},
    {"ACK", F_ACK, 0},
    {"FIN+ACK", F_FIN | F_ACK, 0},
    {"RST", F_RST, 0},
    {"RST+ACK", F_RST | F_ACK, 0},
    {"data", F_PSH | F_ACK, 100},
    {"none", 0, 0},
};
static const char *const seqs[] = {"acceptable", "inside", "beyond", "old"};
static const char *const acks[] = {"acceptable", "old", "ancient", "unsent", "absent"};

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

/* The segment that arrives, and what tern had to say to it. */
struct event {
    uint8_t flags;
    uint32_t seq, ack, len, seg_len;
    uint32_t old_snd_nxt;
    bool answered;
};

/* --- the segment --- */

static void make_event(struct world *w, struct event *e)
{
    const struct cell *c = w->cell;
    bool none = strcmp(c->state, "CLOSED") == 0 || strcmp(c->state, "LISTEN") == 0;
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i].name, c->flags) == 0)
            e->flags = kinds[i].flags, e->len = kinds[i].len;
    e->seg_len = e->len + ((e->flags & (F_SYN | F_FIN)) != 0);
    uint32_t r = strcmp(c->state, "SYN_SENT") == 0 || none ? w->irs : w->rcv_nxt;
    e->seq = r;
    if (strcmp(c->seq, "inside") == 0)
        e->seq = r + 500;
    else if (strcmp(c->seq, "beyond") == 0)
        e->seq = r + 131072;
    else if (strcmp(c->seq, "old") == 0)
        e->seq = r - (e->seg_len ? e->seg_len : 1);
    bool opening = strncmp(c->state, "SYN_", 4) == 0;
    e->ack = w->snd_nxt;
    if (strcmp(c->ack, "old") == 0)
        e->ack = opening ? w->iss : w->snd_una - 100;
    else if (strcmp(c->ack, "ancient") == 0)
        e->ack = w->snd_una - 131072;
    else if (strcmp(c->ack, "unsent") == 0)
        e->ack = w->snd_nxt + 1000;
    else if (strcmp(c->ack, "absent") == 0)
        e->ack = 0, e->flags &= (uint8_t)~F_ACK;
    e->old_snd_nxt = w->snd_nxt;
}

/* --- the reply --- */

static uint32_t rcv_nxt_after(const struct world *w, const struct event *e)
{
    char *const *x = w->cell->expect;
    if (strcmp(x[REPLY], "SYNACK") == 0 || strcmp(w->cell->state, "SYN_SENT") == 0)
        return e->seq + 1;
    return w->rcv_nxt + (uint32_t)atoi(x[BYTES]) + table_has(x[EVENT], "eof");
}

static uint32_t number(struct world *w, const struct event *e, const char *word, uint32_t rcv_nxt)
{
    if (strcmp(word, "SND.NXT") == 0)
        return e->old_snd_nxt;
    if (strcmp(word, "RCV.NXT") == 0)
        return rcv_nxt;
    if (strcmp(word, "SEG.ACK") == 0)
        return e->ack;
    if (strcmp(word, "SEG.SEQ+SEG.LEN") == 0)
        return e->seq + e->seg_len;
    if (strcmp(word, "ISS") == 0)
        return w->iss;
    if (strcmp(word, "0") != 0 && strcmp(word, "-") != 0)
        world_fail(w, "the row has a number called %s", word);
    return 0;
}

static bool is_pure_ack(const struct segment *s, uint32_t seq_no, uint32_t ack)
{
    return s->flags == F_ACK && s->len == 0 && s->seq.v == seq_no && s->ack.v == ack;
}

static void check_numbers(struct world *w, const struct event *e, const struct segment *s, uint32_t rcv_nxt)
{
    char *const *x = w->cell->expect;
    bool fresh = strcmp(x[RSEQ], "ISS") == 0 && strncmp(w->cell->state, "SYN_", 4) != 0;
    uint32_t want_seq = fresh ? s->seq.v : number(w, e, x[RSEQ], rcv_nxt);
    uint32_t want_ack = number(w, e, x[RACK], rcv_nxt);
    if (s->seq.v != want_seq)
        world_fail(w, "SEQ is %u, not %u (ISS %u, IRS %u)", s->seq.v, want_seq, w->iss, w->irs);
    if (s->ack.v != want_ack)
        world_fail(w, "ACK is %u, not %u (ISS %u, IRS %u)", s->ack.v, want_ack, w->iss, w->irs);
    if (strncmp(w->cell->state, "TIME", 4) == 0 && fresh && (int32_t)(s->seq.v - e->old_snd_nxt) <= 0)
        world_fail(w, "the new ISS is not above the old SND.NXT");
}

static void check_reply(struct world *w, struct event *e, uint32_t rcv_nxt)
{
    static const struct {
        const char *name;
        uint8_t flags;
    } replies[] = {{"ACK", F_ACK},
                   {"ACK?", F_ACK},
                   {"SYNACK", F_SYN | F_ACK},
                   {"RST", F_RST},
                   {"RSTACK", F_RST | F_ACK}};
    const char *want = w->cell->expect[REPLY];
    const struct lab_out *o = lab_next(w->l);
    e->answered = o != NULL;
    if (!o) {
        if (strcmp(want, "none") != 0 && strcmp(want, "ACK?") != 0)
            world_fail(w, "no reply");
        return;
    }
    for (size_t i = 0; i < COUNT(replies); i++) {
        if (strcmp(want, replies[i].name) != 0)
            continue;
        if (o->seg.flags != replies[i].flags || o->seg.len != 0)
            world_fail(w, "the reply has flags 0x%02x and %u bytes", o->seg.flags, o->seg.len);
        check_numbers(w, e, &o->seg, rcv_nxt);
        if (lab_pending(w->l) > 0)
            world_fail(w, "more than one reply");
        return;
    }
    world_fail(w, "a reply: flags 0x%02x, SEQ %u, ACK %u", o->seg.flags, o->seg.seq.v, o->seg.ack.v);
}

/* Step 2 of the README: nothing else within 500 ms, but for what was in flight. */
static void check_half_second(struct world *w, const struct event *e, uint32_t rcv_nxt)
{
    bool owed = strcmp(w->cell->expect[REPLY], "ACK?") == 0 && !e->answered;
    for (int i = 0; i < 50; i++) {
        const struct lab_out *o;
        lab_run(w->l, 10 * MS);
        while ((o = lab_next(w->l)) != NULL) {
            const struct segment *s = &o->seg;
            bool repeated = seg_len(s) > 0;
            if (owed && (is_pure_ack(s, e->old_snd_nxt, rcv_nxt) || (repeated && s->ack.v == rcv_nxt)))
                owed = false;
            else if (!repeated)
                world_fail(w, "%d ms later: flags 0x%02x, SEQ %u, ACK %u", (i + 1) * 10, s->flags, s->seq.v,
                           s->ack.v);
        }
    }
    if (owed)
        world_fail(w, "no ACK within 500 ms");
}

/* --- what the program sees --- */

static void check_recv(struct world *w, long want)
{
    long r = world_recv(w, 1000);
    if (r != want)
        world_fail(w, "recv gave %ld, not %ld", r, want);
}

static tern_info info_of(struct world *w)
{
    tern_info i;
    memset(&i, 0, sizeof(i));
    if (tern_get_info(w->l->t, world_h(w), &i) != 0)
        world_fail(w, "the handle is stale");
    return i;
}

static void check_accept(struct world *w)
{
    tern_handle h = {0};
    int r = w->l->listener.v ? tern_accept(w->l->t, w->l->listener, &h) : -TERN_EAGAIN;
    if (!table_has(w->cell->expect[EVENT], "accepted")) {
        if (r != -TERN_EAGAIN)
            world_fail(w, "accept gave %d", r);
        return;
    }
    if (r != 0)
        world_fail(w, "accept gave %d", r);
    world_h(w) = h;
    w->recv_before = -TERN_EAGAIN;
}

static void check_acked(struct world *w)
{
    const char *event = w->cell->expect[EVENT];
    tern_info i = info_of(w);
    if (table_has(event, "acked")) {
        if (i.send_unacked != 0 || (i.fin_sent && !i.fin_acked))
            world_fail(w, "%u bytes (FIN %s) are still unacknowledged", i.send_unacked,
                       i.fin_acked || !i.fin_sent ? "not" : "too");
    } else if (w->recv_before != 1 && i.state != TERN_CLOSED && w->unacked_before != 0) {
        if (i.send_unacked != w->unacked_before)
            world_fail(w, "SND.UNA has moved: %u unacknowledged, before %u", i.send_unacked,
                       w->unacked_before);
    }
    if (!table_has(event, "acked") && i.state != TERN_CLOSED && i.fin_acked != w->fin_acked_before)
        world_fail(w, "our FIN is taken for acknowledged");
}

static void check_ended(struct world *w)
{
    static const struct {
        const char *word;
        long recv;
    } ends[] = {{"refused", -TERN_ECONNREFUSED}, {"reset", -TERN_ECONNRESET}, {"closed", 0}};
    const char *event = w->cell->expect[EVENT];
    for (size_t i = 0; i < COUNT(ends); i++)
        if (table_has(event, ends[i].word)) {
            if (info_of(w).state != TERN_CLOSED)
                world_fail(w, "STATUS is not CLOSED");
            check_recv(w, ends[i].recv);
        }
    if (table_has(event, "ended") && info_of(w).state != TERN_CLOSED)
        world_fail(w, "STATUS is not CLOSED");
}

static void check_event(struct world *w)
{
    const char *event = w->cell->expect[EVENT];
    long bytes = atol(w->cell->expect[BYTES]);
    check_accept(w);
    if (!world_h(w).v)
        return;
    if (table_has(event, "connected")) {
        uint32_t bits = lab_events(w->l, 0);
        w->recv_before = -TERN_EAGAIN;
        if (info_of(w).state <= TERN_SYN_RCVD || !(bits & TERN_CONNECTED) || !(bits & TERN_WRITABLE))
            world_fail(w, "not connected and writable: events 0x%x", bits);
    } else if (!table_has(event, "accepted")) {
        check_acked(w);
    }
    check_ended(w);
    if (bytes > 0)
        check_recv(w, bytes);
    if (table_has(event, "eof"))
        check_recv(w, 0);
    else if (info_of(w).state != TERN_CLOSED && w->recv_before != 1)
        check_recv(w, w->recv_before);
}

/* The situation without "+listener". */
static void plain_state(const struct cell *c, char name[64])
{
    snprintf(name, 64, "%s", c->state);
    name[strcspn(name, "+")] = 0;
}

static void check_state(struct world *w)
{
    char same[64];
    const char *want = w->cell->expect[NEXT];
    plain_state(w->cell, same);
    if (strcmp(want, "=") == 0)
        want = same;
    const char *is = world_state(w);
    if (w->l->listener.v && strcmp(want, "CLOSED") == 0)
        want = "LISTEN";
    if (strcmp(is, want) != 0)
        world_fail(w, "the state is %s, not %s", is, want);
    if (w->l->listener.v) {
        tern_info i;
        if (tern_get_info(w->l->t, w->l->listener, &i) != 0 || i.state != TERN_LISTEN)
            world_fail(w, "the listener is gone");
    }
    if (strcmp(w->cell->state, "TIME_WAIT_H+listener") == 0 && info_of(w).state != TERN_TIME_WAIT)
        world_fail(w, "the old handle does not answer TIME_WAIT any more");
}

/* `kept`: what waits behind a gap is delivered once the gap is filled. */
static void check_kept(struct world *w)
{
    if (!table_has(w->cell->expect[EVENT], "kept"))
        return;
    const char *before = tern_state_name(info_of(w).state);
    bool fin = strcmp(w->cell->flags, "FIN+ACK") == 0;
    world_say(w, F_PSH | F_ACK, w->rcv_nxt, w->snd_una, 500);
    check_recv(w, fin ? 500 : 600);
    if (!fin)
        return;
    check_recv(w, 0);
    const char *want = strcmp(before, "ESTABLISHED") == 0  ? "CLOSE_WAIT"
                       : strcmp(before, "FIN_WAIT_1") == 0 ? "CLOSING"
                                                           : "TIME_WAIT_H";
    if (strcmp(world_state(w), want) != 0)
        world_fail(w, "after the gap was filled the state is %s, not %s", world_state(w), want);
}

/* 2 MSL: 60 s from TIME_WAIT's beginning, or from 40 s after it when the row says so. */
static void check_2msl(struct world *w)
{
    bool restarted = table_has(w->cell->expect[EVENT], "2msl");
    if (strncmp(w->cell->state, "TIME", 4) != 0 || strcmp(w->cell->expect[NEXT], "=") != 0)
        return;
    lab_run(w->l, w->began + 70 * SEC - w->l->now - (restarted ? 0 : 9 * SEC));
    bool there = strncmp(world_state(w), "TIME", 4) == 0;
    if (there != restarted)
        world_fail(w, restarted ? "2 MSL have not started anew" : "61 s, and TIME_WAIT is still there");
    lab_run(w->l, w->began + 101 * SEC - w->l->now);
    if (strncmp(world_state(w), "TIME", 4) == 0)
        world_fail(w, "TIME_WAIT never ends");
    world_drain(w);
}

static void run_cell(void **state)
{
    const struct cell *c = *state;
    struct world *w = world_new(c, false);
    struct event e = {0};
    world_reach(w);
    make_event(w, &e);
    uint32_t rcv_nxt = rcv_nxt_after(w, &e);
    world_say(w, e.flags, e.seq, e.ack, e.len);
    check_reply(w, &e, rcv_nxt);
    check_state(w);
    check_event(w);
    check_half_second(w, &e, rcv_nxt);
    w->rcv_nxt = rcv_nxt;
    if (table_has(c->expect[EVENT], "acked") || table_has(c->expect[EVENT], "accepted") ||
        table_has(c->expect[EVENT], "connected"))
        w->snd_una = e.old_snd_nxt;
    check_kept(w);
    check_2msl(w);
    world_end(w);
}

/* --- all cells --- */

static void missing(void **state)
{
    const struct cell *c = *state;
    fail_msg("segments.tsv has no row, or more than one, for %s, %s, seq %s, ack %s", c->state, c->flags,
             c->seq, c->ack);
}

static const struct table_row *row_of(const struct table *t, const struct cell *c)
{
    const struct table_row *found = NULL;
    for (size_t i = 0; i < t->n; i++) {
        char *const *col = t->rows[i].column;
        if (!table_covers(col[0], c->state) || !table_covers(col[1], c->flags) ||
            !table_covers(col[2], c->seq) || !table_covers(col[3], c->ack))
            continue;
        if (found)
            return NULL;
        found = &t->rows[i];
    }
    return found;
}

static void add_cell(const struct table *t, struct cell *c, struct CMUnitTest *test, size_t i)
{
    char *name = malloc(160);
    assert_non_null(name);
    c->file = "tests/matrix/segments.tsv";
    c->ack = acks[i % 5];
    c->seq = seqs[i / 5 % 4];
    c->flags = kinds[i / 20 % 8].name;
    c->state = states[i / 160 % COUNT(states)];
    c->pass = &passes[i / 160 / COUNT(states)];
    const struct table_row *row = row_of(t, c);
    c->line = row ? row->line : 0;
    c->expect = row ? row->column + 4 : NULL;
    snprintf(name, 160, "line %d: %s, %s, seq %s, ack %s (%s)", c->line, c->state, c->flags, c->seq, c->ack,
             c->pass->name);
    *test = (struct CMUnitTest){.name = name, .test_func = row ? run_cell : missing, .initial_state = c};
}

int main(void)
{
    struct table *t = table_load("segments.tsv");
    size_t n = COUNT(passes) * COUNT(states) * 160;
    struct cell *cells = calloc(n, sizeof(*cells));
    struct CMUnitTest *tests = calloc(n, sizeof(*tests));
    if (!cells || !tests)
        return 1;
    for (size_t i = 0; i < n; i++)
        add_cell(t, &cells[i], &tests[i], i);
    int failed = _cmocka_run_group_tests("segments.tsv", tests, n, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)tests[i].name);
    free(tests);
    free(cells);
    table_free(t);
    return failed;
}
