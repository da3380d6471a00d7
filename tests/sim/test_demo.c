/* test_demo.c - every scenario holds under several seeds, in the same way each time, and can be printed in
 * every form. */
#include "host/ladder.h"
#include "host/ladder_svg.h"
#include "host/trace_json.h"
#include "host/trace_text.h"
#include "sim/play.h"

#include <tern/snapshot.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

enum { SEEDS = 8, COLUMNS = 100 };

static void holds(void **state)
{
    const struct scenario *s = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct play p;
        play_run(&p, s, seed);
        if (!p.ok)
            print_error("%s, seed %llu: %s\n", s->name, (unsigned long long)seed, play_failed(&p));
        assert_true(p.ok);
        play_free(&p);
    }
}

/* --- printers -------------------------------------------------------------------------------- */

static char *printed(const struct story *s, void (*print)(const struct story *, FILE *))
{
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    print(s, f);
    fclose(f);
    return text;
}

static void print_ladder(const struct story *s, FILE *f)
{
    ladder_print(s, f, false);
}

static void print_svg(const struct story *s, FILE *f)
{
    ladder_svg_print(&s, 1, f);
}

static int width(const char *line)
{
    int n = 0;
    for (; *line; line++)
        n += ((unsigned char)*line & 0xc0) != 0x80;
    return n;
}

/* Everything that a scenario prints, of all its parts, as JSON. */
static char *json_watched(const char *name, uint64_t seed, struct world_watch watch)
{
    struct play p;
    struct json_lines lines = {0};
    play_run_watched(&p, scenario_find(name), seed, 0, watch);
    for (uint32_t i = 0; i < p.parts.n; i++)
        trace_json_print(&p.parts.v[i].story, &lines);
    play_free(&p);
    return lines.text;
}

static char *json_of(const char *name, uint64_t seed)
{
    return json_watched(name, seed, (struct world_watch){0});
}

/* In each of the first steps, and then now and then. */
static void move(struct world *w, void *ctx)
{
    uint64_t *steps = ctx;
    if (++*steps > 200 && *steps % 61 != 0)
        return;
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(world_move(w, i), 0);
}

/* Each stack is written down (or doubled) and goes on in another block of memory, while the one where it was
 * is overwritten: the story stays what it was, to the last byte. */
static void moving_stacks_tell_the_same_story(void **state)
{
    const struct scenario *s = *state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        uint64_t steps = 0;
        char *still = json_of(s->name, seed);
        char *moving = json_watched(s->name, seed, (struct world_watch){move, &steps});
        assert_string_equal(still, moving);
        assert_true(steps > 10);
        free(still);
        free(moving);
    }
}

/* --- digests --------------------------------------------------------------------------------- */

/* The situation of both stacks when something had happened, and when that was. */
struct moment {
    uint64_t t_us; /* since the world began */
    uint32_t logged;
    uint64_t digest[HOSTS][2];
};

struct moments {
    LIST(struct moment) list;
    uint32_t logged;
};

/* Whenever something has happened: a look at the clock that finds nothing due is nothing. */
static void keep_moment(struct world *w, void *ctx)
{
    struct moments *m = ctx;
    if (w->log.n == m->logged)
        return;
    m->logged = w->log.n;
    struct moment *now = LIST_ADD(m->list);
    now->t_us = w->now - w->start_us;
    now->logged = w->log.n;
    for (int i = 0; i < HOSTS; i++)
        if (w->host[i].stack != NULL)
            tern_digest(w->host[i].stack, now->digest[i]);
}

static struct moments moments_of(const struct scenario *s, uint64_t clock_us)
{
    struct play p;
    struct moments m = {0};
    play_run_watched(&p, s, 3, clock_us, (struct world_watch){keep_moment, &m});
    assert_true(p.ok);
    play_free(&p);
    return m;
}

/* The same story, begun at another time: at each moment the stacks are in the same situation. */
static void clocks_that_began_elsewhere(void **state)
{
    const struct scenario *s = *state;
    static const uint64_t starts[] = {8, 1000, 30000000, 200000000};
    struct moments one = moments_of(s, 0);
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct moments two = moments_of(s, starts[i] * 1000000);
        assert_int_equal(one.list.n, two.list.n);
        for (uint32_t k = 0; k < one.list.n; k++)
            assert_memory_equal(&one.list.v[k], &two.list.v[k], sizeof one.list.v[k]);
        free(two.list.v);
    }
    free(one.list.v);
}

/* Not of scenarios in which programs act when a stack wakes, which may be early, and so act at other times
 * when the clock began elsewhere; and not of a million SYNs. */
static bool same_at_any_time(const struct scenario *s)
{
    return strcmp(s->name, "half-close") != 0 && strcmp(s->name, "states") != 0 &&
           strcmp(s->name, "syn-flood") != 0 && strcmp(s->name, "lend") != 0;
}

static void same_seed_same_world(void **state)
{
    (void)state;
    char *one = json_of("close", 7), *two = json_of("close", 7), *other = json_of("close", 8);
    assert_string_equal(one, two);
    assert_string_not_equal(one, other);
    free(one);
    free(two);
    free(other);
}

static void check_segment(const json_t *o)
{
    static const char *const numbers[] = {"t_us", "seq", "ack", "len", "rseq", "rack"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        assert_true(json_is_integer(json_object_get(o, numbers[i])));
    assert_true(json_is_string(json_object_get(o, "flags")));
    assert_string_not_equal(json_string_value(json_object_get(o, "from")),
                            json_string_value(json_object_get(o, "to")));
}

static void check_state(const json_t *o)
{
    static const char *const words[] = {"host", "from", "to", "rule"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_true(json_is_string(json_object_get(o, words[i])));
}

static void json_is_as_promised(void **state)
{
    (void)state;
    char *text = json_of("closing-lost-ack", 3), *rest = NULL;
    int segments = 0, states = 0;
    json_int_t last = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        const char *ev = json_string_value(json_object_get(o, "ev"));
        bool is_segment = strcmp(ev, "segment") == 0;
        is_segment ? check_segment(o) : check_state(o);
        segments += is_segment;
        states += !is_segment;
        /* the clock runs on from part to part */
        assert_true(json_integer_value(json_object_get(o, "t_us")) >= last);
        last = json_integer_value(json_object_get(o, "t_us"));
        json_decref(o);
    }
    assert_true(segments > 20 && states > 20);
    free(text);
}

static void verdict_is_as_promised(void **state)
{
    (void)state;
    struct json_lines lines = {0};
    trace_json_verdict("close", true, NULL, &lines);
    trace_json_verdict("close", false, "why", &lines);
    assert_string_equal(lines.text,
                        "{\"ev\":\"verdict\",\"scenario\":\"close\",\"ok\":true}\n"
                        "{\"ev\":\"verdict\",\"scenario\":\"close\",\"ok\":false,\"failed\":\"why\"}\n");
    free(lines.text);
}

static void ladders_fit(void **state)
{
    (void)state;
    for (const struct scenario *s = scenarios(); s->name != NULL; s++) {
        struct play p;
        play_run(&p, s, 2); /* over IPv6: the longer addresses */
        for (uint32_t i = 0; i < p.parts.n; i++) {
            char *text = printed(&p.parts.v[i].story, print_ladder), *rest = NULL;
            for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                assert_true(width(line) <= COLUMNS);
            free(text);
        }
        play_free(&p);
    }
}

static void other_printers_work(void **state)
{
    (void)state;
    struct play p;
    play_run(&p, scenario_find("old-duplicate"), 1);
    for (uint32_t i = 0; i < p.parts.n; i++) {
        char *svg = printed(&p.parts.v[i].story, print_svg),
             *text = printed(&p.parts.v[i].story, trace_text_print);
        assert_non_null(strstr(svg, "<svg "));
        assert_non_null(strstr(svg, "</svg>"));
        assert_null(strstr(svg, "nan"));
        assert_non_null(strstr(text, "A SYN_SENT > ESTABLISHED"));
        free(svg);
        free(text);
    }
    play_free(&p);
}

/* --- the trace of one stack ------------------------------------------------------------------ */

static void one_stack_has_a_story(void **state)
{
    (void)state;
    const tern_trace_record records[] = {
        {.t_us = 5, .conn = 3, .kind = TERN_TRACE_SEG_OUT, .tcp_flags = SYN, .seq = 1000, .iss = 1000},
        {.t_us = 5, .conn = 4, .kind = TERN_TRACE_SEG_OUT, .tcp_flags = SYN, .seq = 9000, .iss = 9000},
        {.t_us = 9,
         .conn = 3,
         .kind = TERN_TRACE_SEG_IN,
         .tcp_flags = SYN | ACK,
         .seq = 70,
         .ack = 1001,
         .iss = 1000,
         .irs = 70},
        {.t_us = 9,
         .conn = 3,
         .kind = TERN_TRACE_STATE,
         .state = TERN_SYN_SENT,
         .state_to = TERN_ESTABLISHED,
         .cause = TERN_C_SYNACK_RCVD,
         .iss = 1000,
         .irs = 70},
    };
    struct story s;
    story_init(&s, "serve", "", "one connection");
    story_name(&s, STORY_LEFT, "tern", "192.0.2.1");
    story_name(&s, STORY_RIGHT, "peer", "192.0.2.2");
    story_from_trace(&s, records, 4, 0);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.items[1].side, STORY_RIGHT);
    assert_int_equal(s.items[1].rseq, 0);
    assert_int_equal(s.items[1].rack, 1);
    assert_int_equal(s.items[2].to, TERN_ESTABLISHED);
    char *text = printed(&s, print_ladder);
    assert_non_null(strstr(text, "SYN,ACK seq 0 ack 1"));
    free(text);
    story_free(&s);
}

int main(void)
{
    struct CMUnitTest tests[128] = {
        cmocka_unit_test(same_seed_same_world), cmocka_unit_test(json_is_as_promised),
        cmocka_unit_test(verdict_is_as_promised), cmocka_unit_test(ladders_fit),
        cmocka_unit_test(other_printers_work),  cmocka_unit_test(one_stack_has_a_story),
    };
    size_t n = 6;
    for (const struct scenario *s = scenarios(); s->name != NULL; s++) {
        void *scenario = (void *)(uintptr_t)s;
        tests[n++] = (struct CMUnitTest){.name = s->name, .test_func = holds, .initial_state = scenario};
        tests[n++] = (struct CMUnitTest){
            .name = s->name, .test_func = moving_stacks_tell_the_same_story, .initial_state = scenario};
        if (same_at_any_time(s))
            tests[n++] = (struct CMUnitTest){
                .name = s->name, .test_func = clocks_that_began_elsewhere, .initial_state = scenario};
    }
    return _cmocka_run_group_tests("demo", tests, n, NULL, NULL);
}
