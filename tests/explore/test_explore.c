/* The explorer itself: what it finds does not depend on the number of threads; two worlds with the same sum
 * do the same whatever happens to them; marks put back what was; a story is told as it was found.
 *
 * timeout: 240 */
#include "explore/mark.h"
#include "explore/move.h"
#include "explore/search.h"
#include "explore/store.h"
#include "explore/tell.h"
#include "lab/lab.h"

enum { WALKS = 3000, STEPS = 24, WAY = 64 };

static struct search_result *searched(const char *setting, const struct bounds *b, unsigned threads,
                                      uint64_t limit)
{
    struct search_config config = {
        .setting = setting_find(setting), .bounds = b, .threads = threads, .limit = limit};
    assert_non_null(config.setting);
    struct search_result *r = search(&config);
    assert_non_null(r);
    return r;
}

static void complete_and_clean(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        struct bounds bounds;
        uint64_t least; /* worlds */
    } list[] = {
        {"listening", {0}, 2000},     {"listening", {.losses = 1}, 20000}, {"closed", {0}, 1000},
        {"evict", {0}, 500},          {"recycle", {0}, 1000},              {"linger", {0}, 1000},
        {"cookies", {0}, 1000},       {"defer", {0}, 2000},
        {"listening", {.losses = 1, .waits = 1}, 50000},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct search_result *r = searched(list[i].setting, &list[i].bounds, 2, 0);
        if (r->faults != 0 || !r->complete || r->states < list[i].least || r->over == 0)
            fail_msg("%s: %llu worlds, %llu faults", list[i].setting, (unsigned long long)r->states,
                     (unsigned long long)r->faults);
        free(r);
    }
}

static void threads_make_no_difference(void **state)
{
    (void)state;
    for (unsigned limit = 0; limit <= 9000; limit += 9000) {
        struct search_result *one = searched("listening", &(struct bounds){.dups = limit > 0}, 1, limit);
        struct search_result *three = searched("listening", &(struct bounds){.dups = limit > 0}, 3, limit);
        assert_memory_equal(one, three, sizeof *one);
        free(one);
        free(three);
    }
}

/* The stacks' short ways for what is usual lead where the ordered lists of the standard lead. */
static void short_ways_make_no_difference(void **state)
{
    (void)state;
    static const char *const names[] = {"listening", "closed", "meeting", "recycle", "evict"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct setting *s = setting_find(names[i]);
        struct setting slow = *s;
        slow.config.by_steps = 1;
        struct search_config config = {.setting = s, .threads = 2, .limit = 15000};
        struct search_result *a = search(&config);
        config.setting = &slow;
        struct search_result *b = search(&config);
        assert_non_null(a);
        assert_non_null(b);
        assert_memory_equal(a, b, sizeof *a);
        free(a);
        free(b);
    }
}

/* --- equal sums ---------------------------------------------------------------------------------- */

struct way {
    uint64_t key[2];
    uint16_t move[WAY];
    uint32_t n;
};

static uint32_t draw(uint64_t *dice, uint32_t below)
{
    *dice = *dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*dice >> 33) % below);
}

/* What all moves of the present world lead to, the order of moves left out: the sums of the worlds, added. */
static void futures(struct duo *d, struct marks *m, uint32_t at, uint64_t out[3])
{
    uint16_t moves[MOVES_MOST];
    int n = moves_list(d, moves);
    memset(out, 0, 3 * sizeof *out);
    for (int i = 0; i < n; i++) {
        uint64_t key[2];
        marks_back(m, at);
        if (!move_make(d, moves[i]))
            continue;
        duo_sum(d, key);
        out[0] += key[0] * 31 + d->scene.fault;
        out[1] += key[1];
        out[2]++;
    }
    marks_back(m, at);
}

static void walk(struct duo *d, struct marks *m, const struct way *w, uint64_t out[3])
{
    marks_back(m, 0);
    for (uint32_t i = 0; i < w->n; i++)
        assert_true(move_make(d, w->move[i]));
    assert_true(marks_put(m, 1));
    futures(d, m, 1, out);
}

static void tell_difference(const char *setting, const struct way *one, const struct way *two)
{
    char code[2][5 * WAY + 1];
    tell_code(one->move, one->n, code[0]);
    tell_code(two->move, two->n, code[1]);
    fail_msg("%s: %s and %s have one sum and two futures", setting, code[0], code[1]);
}

/* Walk at random and remember how each world was reached first; when it is reached otherwise, both ways must
 * have the same future. Returns how often that was looked at. */
static uint32_t look_twice(const char *setting, const struct bounds *b, uint64_t seed)
{
    struct store seen;
    struct way *ways = calloc(WALKS * STEPS + 1, sizeof *ways);
    struct duo *d = duo_new(setting_find(setting), b);
    struct marks *m = marks_new(d);
    uint32_t twice = 0;
    assert_true(store_init(&seen) && marks_put(m, 0));
    for (uint32_t i = 0; i < WALKS; i++) {
        struct way w = {.n = 0};
        marks_back(m, 0);
        for (uint32_t step = 0; step < STEPS; step++) {
            uint16_t moves[MOVES_MOST];
            int n = moves_list(d, moves);
            uint16_t move = moves[draw(&seed, (uint32_t)n)];
            bool fresh;
            if (!move_make(d, move) || d->scene.fault != FAULT_NONE)
                break;
            w.move[w.n++] = move;
            duo_sum(d, w.key);
            uint32_t id = store_add(&seen, w.key, &fresh);
            if (fresh) {
                ways[id] = w;
            } else if (twice < WALKS && (ways[id].n != w.n || memcmp(ways[id].move, w.move, w.n * 2) != 0)) {
                uint64_t one[3], two[3];
                walk(d, m, &ways[id], one);
                walk(d, m, &w, two);
                if (memcmp(one, two, sizeof one) != 0)
                    tell_difference(setting, &ways[id], &w);
                twice++;
                marks_back(m, 1);
            }
        }
    }
    store_free(&seen);
    marks_free(m);
    duo_free(d);
    free(ways);
    return twice;
}

static void equal_sums_equal_futures(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        struct bounds bounds;
    } list[] = {
        {"listening", {.losses = 1, .dups = 1, .bytes = 1, .aborts = 1, .early = 1}},
        {"crossing", {.losses = 1, .dups = 1, .bytes = 1, .early = 1}},
        {"again", {.dups = 1, .aborts = 1}},
        {"reopened", {.losses = 1, .dups = 1}},
        {"timestamps", {.losses = 1, .dups = 1, .bytes = 1, .early = 2}},
        {"cookies", {.losses = 1, .dups = 1}},
        {"defer", {.losses = 1, .dups = 1}},
        {"keepalive", {.losses = 2, .cuts = 1}},
        {"router", {.refusals = 2}},
        {"link", {.losses = 1}},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (look_twice(list[i].setting, &list[i].bounds, i + 1) < 300)
            fail_msg("%s: too few worlds are reached twice", list[i].setting);
}

/* --- parts ----------------------------------------------------------------------------------------- */

static void marks_put_back(void **state)
{
    (void)state;
    struct duo *d = duo_new(setting_find("listening"), &(struct bounds){.losses = 1});
    struct marks *m = marks_new(d);
    uint64_t key[4][2], now[2];
    static const uint16_t way[] = {MOVE(MOVE_CALL, A << 4 | DO_CONNECT), MOVE(MOVE_DELIVER, 0),
                                   MOVE(MOVE_DELIVER, 0)};
    assert_true(marks_put(m, 0));
    duo_sum(d, key[0]);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(move_make(d, way[i]));
        assert_true(marks_put(m, i + 1));
        duo_sum(d, key[i + 1]);
    }
    static const uint32_t order[] = {0, 3, 1, 2, 0, 2, 3, 3, 1};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        marks_back(m, order[i]);
        duo_sum(d, now);
        assert_memory_equal(now, key[order[i]], sizeof now);
        move_make(d, MOVE(MOVE_CALL, B << 4 | DO_UNLISTEN)); /* something else happens */
    }
    marks_free(m);
    duo_free(d);
}

static void store_finds_all(void **state)
{
    (void)state;
    struct store s;
    bool fresh;
    assert_true(store_init(&s));
    for (uint64_t i = 0; i < 20000; i++) { /* many of one place, and of the same first half */
        assert_int_equal(store_add(&s, (uint64_t[]){i % 500 << 40, i}, &fresh), i);
        assert_true(fresh);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        assert_int_equal(store_find(&s, (uint64_t[]){i % 500 << 40, i}), i);
        assert_int_equal(store_add(&s, (uint64_t[]){i % 500 << 40, i}, &fresh), i);
        assert_false(fresh);
    }
    assert_int_equal(store_find(&s, (uint64_t[]){1, 20001}), NO_NODE);
    store_free(&s);
}

static void story_of_a_handshake(void **state)
{
    (void)state;
    static const uint16_t way[] = {MOVE(MOVE_CALL, A << 4 | DO_CONNECT), MOVE(MOVE_DUPLICATE, 0),
                                   MOVE(MOVE_DELIVER, 0), MOVE(MOVE_LOSE, 0), MOVE(MOVE_DELIVER, 0),
                                   MOVE(MOVE_DELIVER, 7)};
    struct told t;
    uint32_t lost = 0, arrived = 0, states = 0;
    assert_true(tell(&t, setting_find("listening"), NULL, way, 6));
    assert_int_equal(t.n, 5); /* the last is not possible */
    assert_string_equal(t.words[0], "A connects");
    assert_string_equal(t.words[4], "SYN,ACK from B arrives");
    for (uint32_t i = 0; i < t.story.n; i++) {
        const struct story_item *it = &t.story.items[i];
        lost += it->kind == STORY_SEGMENT && it->arrival_us == STORY_LOST;
        arrived += it->kind == STORY_ARRIVAL;
        states += it->kind == STORY_STATE;
    }
    assert_int_equal(arrived, 2);
    assert_int_equal(states, 3); /* SYN_SENT, SYN_RCVD, ESTABLISHED */
    assert_int_equal(lost, 0);   /* what was lost was the copy */
    told_free(&t);
    assert_int_equal(tell_parse("0100.00", (uint16_t[8]){0}, 8), -1);
    assert_int_equal(tell_parse("0100.0000.zzzz", (uint16_t[8]){0}, 8), -1);
    assert_int_equal(tell_parse("0100.0000", (uint16_t[1]){0}, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_and_clean), cmocka_unit_test(threads_make_no_difference),
        cmocka_unit_test(short_ways_make_no_difference),
        cmocka_unit_test(equal_sums_equal_futures), cmocka_unit_test(marks_put_back),
        cmocka_unit_test(store_finds_all), cmocka_unit_test(story_of_a_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
