/* The explorer finds what is wrong: faults are built into the core one at a time, and each must be found, for
 * what it is, by a shortest way.
 *
 * timeout: 240 */
#include "explore/planted.h"

#include "explore/tell.h"
#include "lab/lab.h"

/* How a fault shows: all of `kinds` that may be found first, and the least moves to the first of them. */
struct shows {
    enum planted planted;
    const char *setting;
    struct bounds bounds;
    uint32_t kinds; /* bit: enum fault */
    uint32_t moves; /* 0 = not said */
};

static const struct shows list[] = {
    {PLANTED_FIN_NOT_ACKED, "listening", {.losses = 0}, 1u << FAULT_GIVES_UP, 0},
    /* connect, SYN, SYN+ACK, A shuts, FIN, B accepts, B shuts, FIN */
    {PLANTED_NO_TIME_WAIT, "listening", {.losses = 0}, 1u << FAULT_TRAP, 8},
    /* connect, SYN, SYN+ACK, A sends, it arrives, B accepts, B reads */
    {PLANTED_WRONG_BYTE, "data", {.bytes = 1}, 1u << FAULT_BYTES, 7},
    {PLANTED_SILENT_PORT, "closed", {.losses = 0}, 1u << FAULT_DISAGREE | 1u << FAULT_GIVES_UP, 0},
    {PLANTED_NOT_RELEASED, "listening", {.losses = 0}, 1u << FAULT_LEFT | 1u << FAULT_STUCK, 0},
    {PLANTED_NOT_REPEATED, "listening", {.losses = 1}, 1u << FAULT_GIVES_UP, 0},
    {PLANTED_FIN_TOO_SOON, "data", {.bytes = 1}, 1u << FAULT_EOF | 1u << FAULT_TRAP, 0},
    {PLANTED_ACKS_TOO_MUCH, "data", {.bytes = 1}, 1u << FAULT_ACK | 1u << FAULT_TRAP, 6},
    {PLANTED_CHATTER, "listening", {.losses = 0}, 1u << FAULT_ENDLESS | 1u << FAULT_STORM, 0},
};

/* The faults are built into steps of the ordered lists, so all segments take these. */
static const struct setting *by_steps(const char *name)
{
    static struct setting s;
    s = *setting_find(name);
    s.config.by_steps = 1;
    return &s;
}

static struct search_result *searched(const struct shows *s, uint64_t limit)
{
    struct search_config config = {
        .setting = by_steps(s->setting), .bounds = &s->bounds, .limit = limit, .threads = 2};
    assert_non_null(config.setting);
    struct search_result *r = search(&config);
    assert_non_null(r);
    return r;
}

/* The shortest of all that were found. */
static enum fault nearest(const struct search_result *r)
{
    enum fault best = FAULT_NONE;
    for (int f = 1; f < FAULTS; f++)
        if (r->found[f].times > 0 && (best == FAULT_NONE || r->found[f].n < r->found[best].n))
            best = (enum fault)f;
    return best;
}

/* Told again, the story comes to the same fault (what shows in the end only, in the search alone). */
static void again(const struct shows *s, enum fault f, const struct search_found *found)
{
    struct told t;
    char code[5 * PATH_TOLD + 1];
    uint16_t move[PATH_TOLD];
    assert_true(tell(&t, by_steps(s->setting), &s->bounds, found->move, found->n));
    assert_int_equal(t.n, found->n);
    bool of_the_move = f < FAULT_DISAGREE && f != FAULT_NONE;
    assert_int_equal(t.fault, of_the_move ? f : FAULT_NONE);
    told_free(&t);
    tell_code(found->move, found->n, code);
    assert_int_equal(tell_parse(code, move, PATH_TOLD), found->n);
    assert_memory_equal(move, found->move, found->n * sizeof move[0]);
}

static void found(const struct shows *s)
{
    planted = s->planted;
    struct search_result *r = searched(s, 60000);
    enum fault f = nearest(r);
    if (f == FAULT_NONE || !(s->kinds >> f & 1))
        fail_msg("planted fault %d shows as '%s'", s->planted, duo_fault_name(f));
    if (s->moves != 0)
        assert_int_equal(r->found[f].n, s->moves);
    again(s, f, &r->found[f]);
    free(r);
    planted = PLANTED_NONE;
}

static void each_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        found(&list[i]);
}

/* The same searches find nothing in the core as it is. */
static void without_them_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct search_result *r = searched(&list[i], 60000);
        if (r->faults != 0)
            fail_msg("'%s' is found in '%s'", duo_fault_name(nearest(r)), list[i].setting);
        free(r);
    }
}

/* What is tried in the worlds (probe.h) shows them, too, in few worlds; and nothing in the core as it is. */
static void probes_find_them(void **state)
{
    (void)state;
    static const enum planted shown[] = {PLANTED_NONE,        PLANTED_FIN_NOT_ACKED, PLANTED_WRONG_BYTE,
                                         PLANTED_SILENT_PORT, PLANTED_NOT_REPEATED,  PLANTED_ACKS_TOO_MUCH,
                                         PLANTED_CHATTER};
    struct bounds none = {.losses = 0};
    struct search_config config = {
        .setting = by_steps("listening"), .bounds = &none, .limit = 60, .threads = 2, .probes = 4};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        planted = shown[i];
        struct search_result *r = search(&config);
        assert_non_null(r);
        bool found = r->found[FAULT_STANDARD].times + r->found[FAULT_TRAP].times > 0;
        if (found != (shown[i] != PLANTED_NONE))
            fail_msg("planted fault %d: %s", shown[i], found ? "it is found" : "no probe shows it");
        free(r);
    }
    planted = PLANTED_NONE;
}

/* A shorter way is never missed: with the limit below it there is none. */
static void no_shorter_way(void **state)
{
    (void)state;
    planted = PLANTED_NO_TIME_WAIT;
    struct search_result *r = searched(&list[1], 0);
    assert_true(r->found[FAULT_TRAP].times > 0);
    assert_int_equal(r->found[FAULT_TRAP].n, 8);
    assert_true(r->found[FAULT_TRAP].trap_at != 0);
    free(r);
    planted = PLANTED_NONE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found),
        cmocka_unit_test(without_them_nothing),
        cmocka_unit_test(probes_find_them),
        cmocka_unit_test(no_shorter_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
