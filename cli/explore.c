/* explore.c - `tern explore`: every world that two stacks, two programs and a bad network can come to, within
 * bounds. What a world and a move are: explore/duo.h, explore/move.h; how they are searched:
 * explore/search.h.
 */
#include "args.h"
#include "cmd.h"
#include "progress.h"

#include "explore/tell.h"
#include "host/json_line.h"
#include "host/ladder.h"

#include <tern/host.h>

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHOSEN_MOST = 64, NOT_GIVEN = -1 };

/* Bounds that may be given, by their place in struct bounds. */
static const struct {
    const char *name;
    size_t at;
    unsigned most;
} bound_options[] = {
    {"losses", offsetof(struct bounds, losses), 8}, {"dups", offsetof(struct bounds, dups), 8},
    {"bytes", offsetof(struct bounds, bytes), 8},   {"aborts", offsetof(struct bounds, aborts), 4},
    {"early", offsetof(struct bounds, early), 8},   {"cuts", offsetof(struct bounds, cuts), 1},
    {"refusals", offsetof(struct bounds, refusals), 8}, {"waits", offsetof(struct bounds, waits), 8},
};
enum { BOUNDS = sizeof bound_options / sizeof bound_options[0] };

struct options {
    bool json, color, list, by_steps;
    int bound[BOUNDS]; /* NOT_GIVEN: the setting's own */
    uint64_t limit, seconds;
    uint32_t threads, probes;
    const char *replay;
    const struct setting *chosen[CHOSEN_MOST];
    int n_chosen;
};

/* What all settings together have come to. */
struct sum {
    uint64_t states, transitions, faults;
    uint64_t pairs[TERN_STATES][TERN_STATES];
    uint64_t edges[EDGE_WORDS];
    bool complete, no_memory;
    uint64_t began_us;
    const volatile int *interrupted; /* not 0: enough */
    struct progress progress;
};

struct run {
    const struct options *o;
    const struct setting *setting;
    struct sum *sum;
    uint64_t until_us; /* its share of the time; 0 = without end */
};

static int usage(FILE *out)
{
    fputs(
        "usage: tern explore [SETTING...] [--losses N] [--dups N] [--bytes N] [--aborts N] [--early N]\n"
        "                    [--cuts N] [--refusals N] [--waits N] [--limit N] [--seconds N]\n"
        "                    [--threads N] [--probes N] [--by-steps] [--json]\n"
        "                    [--color=auto|always|never]\n"
        "       tern explore SETTING --replay MOVES\n"
        "       tern explore --list\n\n"
        "Searches every world that two stacks, their programs and the network between them can come to: any\n"
        "order of segments, timers and calls, with so many segments lost and doubled. Says how many there\n"
        "are, which pairs of states and which edges of the state diagram were reached, and tells a shortest\n"
        "story of everything that is wrong. Without SETTING: all of them.\n\n"
        "  --list          the settings, and what each is there for\n"
        "  --losses N      segments that the network loses on one path (--dups: doubles)\n"
        "  --bytes N       bytes that each program sends\n"
        "  --aborts N      connections that the programs abort\n"
        "  --early N       timers that fire though the answer is under way\n"
        "  --cuts N        1: the wire may be cut for good\n"
        "  --refusals N    segments that a router refuses with ICMP\n"
        "  --waits N       times that a second and a half pass though nothing is due\n"
        "  --limit N       stop each setting after so many worlds (default: none)\n"
        "  --seconds N     stop all after so long; the settings share it (default: no end)\n"
        "  --threads N     how many work (default: one for each processor); the result is the same\n"
        "  --probes N      in each world so many things are tried that nobody on the way has done, and held\n"
        "                  against the standard (default: 1; 0: none)\n"
        "  --by-steps      no short ways in the stacks: all goes through the ordered lists of the standard;\n"
        "                  the worlds are the same\n"
        "  --replay MOVES  tell one path of a setting, as a story printed its moves\n"
        "  --json          one JSON object a setting and a story, and one for all\n"
        "  --color=WHEN    auto (on a terminal), always or never\n\n"
        "Exit status: 0 nothing is wrong, 1 something is (its story is told), 2 it cannot be done.\n",
        out);
    return CMD_OK;
}

/* --- arguments ------------------------------------------------------------------------------- */

enum {
    OPT_LIST = 256,
    OPT_LIMIT,
    OPT_SECONDS,
    OPT_THREADS,
    OPT_PROBES,
    OPT_BY_STEPS,
    OPT_REPLAY,
    OPT_JSON,
    OPT_COLOR,
    OPT_HELP,
    OPT_BOUND
};

static int parse_bound(struct options *o, int which)
{
    uint32_t n;
    int result = args_number32("explore", bound_options[which].name, optarg, bound_options[which].most, &n);
    if (result == CMD_OK)
        o->bound[which] = (int)n;
    return result;
}

static int parse_option(struct options *o, int option, const char *word)
{
    if (option >= OPT_BOUND)
        return parse_bound(o, option - OPT_BOUND);
    switch (option) {
    case OPT_LIST: o->list = true; return CMD_OK;
    case OPT_JSON: o->json = true; return CMD_OK;
    case OPT_BY_STEPS: o->by_steps = true; return CMD_OK;
    case OPT_REPLAY: o->replay = optarg; return CMD_OK;
    case OPT_COLOR: return args_color("explore", optarg, &o->color);
    case OPT_LIMIT: return args_number("explore", "limit", optarg, UINT32_MAX / 4, &o->limit);
    case OPT_SECONDS: return args_number("explore", "seconds", optarg, 1000000, &o->seconds);
    case OPT_PROBES: return args_number32("explore", "probes", optarg, 1000, &o->probes);
    case OPT_THREADS: return args_number32("explore", "threads", optarg, 64, &o->threads);
    case ':': return cmd_cannot("explore", "%s needs a value; see `tern explore --help`", word);
    default: return cmd_cannot("explore", "unknown option '%s'; see `tern explore --help`", word);
    }
}

static int parse_name(struct options *o, const char *name)
{
    const struct setting *s = setting_find(name);
    if (s == NULL)
        return cmd_cannot("explore", "no setting is called '%s'; `tern explore --list` names them all", name);
    if (o->n_chosen == CHOSEN_MOST)
        return cmd_cannot("explore", "too many settings");
    o->chosen[o->n_chosen++] = s;
    return CMD_OK;
}

/* CMD_OK, CMD_CANNOT, or -1 when the usage was asked for and printed. */
static int parse(struct options *o, int argc, char **argv)
{
    static const struct option others[] = {
        {"list", no_argument, NULL, OPT_LIST},           {"limit", required_argument, NULL, OPT_LIMIT},
        {"seconds", required_argument, NULL, OPT_SECONDS}, {"threads", required_argument, NULL, OPT_THREADS},
        {"probes", required_argument, NULL, OPT_PROBES}, {"by-steps", no_argument, NULL, OPT_BY_STEPS},
        {"replay", required_argument, NULL, OPT_REPLAY}, {"json", no_argument, NULL, OPT_JSON},
        {"color", required_argument, NULL, OPT_COLOR},   {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    struct option options[BOUNDS + sizeof others / sizeof others[0]];
    int option, result = CMD_OK;
    for (int i = 0; i < BOUNDS; i++)
        options[i] = (struct option){bound_options[i].name, required_argument, NULL, OPT_BOUND + i};
    memcpy(options + BOUNDS, others, sizeof others);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (struct options){
        .color = isatty(STDOUT_FILENO), .threads = cores > 0 ? (unsigned)cores : 1, .probes = 1};
    for (int i = 0; i < BOUNDS; i++)
        o->bound[i] = NOT_GIVEN;
    optind = 0;
    while (result == CMD_OK && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == OPT_HELP || option == 'h')
            return usage(stdout), -1;
        result = parse_option(o, option, argv[optind - 1]);
    }
    for (int i = optind; i < argc && result == CMD_OK; i++)
        result = parse_name(o, argv[i]);
    if (result == CMD_OK && o->replay != NULL && o->n_chosen != 1)
        return cmd_cannot("explore", "--replay wants the one setting that its moves are of");
    return result;
}

/* The i-th of those chosen, as it is to be played. */
static struct setting setting_for(const struct options *o, int i)
{
    struct setting s = *o->chosen[i];
    s.config.by_steps = o->by_steps;
    return s;
}

/* The setting's bounds, but for those that were given. */
static struct bounds bounds_for(const struct options *o, const struct setting *s)
{
    struct bounds b = s->bounds;
    for (int i = 0; i < BOUNDS; i++)
        if (o->bound[i] != NOT_GIVEN)
            *((uint8_t *)&b + bound_options[i].at) = (uint8_t)o->bound[i];
    return b;
}

/* --- words ----------------------------------------------------------------------------------- */

static const char *paint(const struct options *o, const char *escape)
{
    return o->color ? escape : "";
}

static void list(void)
{
    char bounds[120];
    for (const struct setting *s = settings(); s->name != NULL; s++) {
        bounds_text(&s->bounds, bounds, sizeof bounds);
        printf("%-16s %s\n%-16s   shows: %s\n%-16s   bounds: %s\n", s->name, s->title, "", s->adds, "",
               bounds);
    }
}

/* --- progress -------------------------------------------------------------------------------- */

static bool go_on(void *ctx, const struct search_progress *p)
{
    struct run *r = ctx;
    char worlds[32];
    /* How much there is to do nobody knows; how much of what was found is worked off, is known. */
    progress_tell(&r->sum->progress, p->expanded, p->states, "%s: %s worlds, %" PRIu64 "%% looked at",
                  r->setting->name, story_number(p->states, worlds),
                  p->states > 0 ? p->expanded * 100 / p->states : 0);
    return *r->sum->interrupted == 0 && (r->until_us == 0 || tern_host_now() < r->until_us);
}

/* --- stories --------------------------------------------------------------------------------- */

/* The options that change what a path means. */
static void say_bounds(const struct setting *s, const struct bounds *b, char *buf, size_t len)
{
    size_t n = 0;
    buf[0] = 0;
    for (int i = 0; i < BOUNDS; i++) {
        unsigned is = *((const uint8_t *)b + bound_options[i].at);
        if (is != *((const uint8_t *)&s->bounds + bound_options[i].at) && n < len)
            n += (size_t)snprintf(buf + n, len - n, " --%s %u", bound_options[i].name, is);
    }
}

static void print_told(const struct options *o, const struct told *t, uint32_t circle)
{
    for (uint32_t i = 0; i < t->n; i++)
        printf("  %3u  %s%s\n", i + 1, t->words[i],
               circle != 0 && i + 1 == circle ? "   (from here on in a circle)" : "");
    fputc('\n', stdout);
    ladder_print(&t->story, stdout, o->color);
    if (t->why[0] != 0)
        printf("%s\n  %s\n", t->log, t->why);
}

static void story_json(const struct setting *s, enum fault f, const struct search_found *found,
                       const char *code)
{
    struct json_lines l = {0};
    json_line_begin(&l);
    json_line_string(&l, "setting", s->name);
    json_line_string(&l, "violation", duo_fault_name(f));
    json_line_string(&l, "text", duo_fault_text(f));
    json_line_number(&l, "times", found->times);
    json_line_number(&l, "length", found->n);
    json_line_string(&l, "moves", code);
    json_line_end(&l);
    fwrite(l.text, 1, l.len, stdout);
    free(l.text);
}

static void tell_found(const struct options *o, const struct setting *s, const struct bounds *b, enum fault f,
                       const struct search_found *found)
{
    char code[5 * PATH_TOLD + 1], more[200];
    struct told t;
    tell_code(found->move, found->n, code);
    if (o->json) {
        story_json(s, f, found, code);
        return;
    }
    say_bounds(s, b, more, sizeof more);
    printf("\n%s%s: %s%s\n  found %" PRIu64 " times; a shortest way there has %u moves:\n\n",
           paint(o, "\033[1;31m"), duo_fault_name(f), duo_fault_text(f), paint(o, "\033[0m"), found->times,
           found->n);
    if (tell(&t, s, b, found->move, found->n))
        print_told(o, &t, found->circle);
    told_free(&t);
    if (found->trap_at != 0)
        printf("  the trap: addr2line -f -e PROGRAM %#" PRIx64 "\n", found->trap_at);
    printf("  again: tern explore %s%s%s --replay %s\n", s->name, more, o->by_steps ? " --by-steps" : "",
           code);
}

static int replay(const struct options *o)
{
    uint16_t move[PATH_TOLD];
    struct told t;
    const struct setting s = setting_for(o, 0);
    struct bounds b = bounds_for(o, &s);
    int n = tell_parse(o->replay, move, PATH_TOLD);
    if (n < 0)
        return cmd_cannot("explore", "'%s' is no list of moves: give what a story printed", o->replay);
    if (!tell(&t, &s, &b, move, (uint32_t)n)) {
        told_free(&t);
        return cmd_cannot("explore", "there is no memory for it");
    }
    print_told(o, &t, 0);
    uint32_t made = t.n;
    bool wrong = t.fault != FAULT_NONE;
    told_free(&t);
    if (made < (uint32_t)n)
        return cmd_cannot("explore", "move %u is not possible there: are the bounds those of the story?",
                          made + 1);
    return wrong ? CMD_NO : CMD_OK;
}

/* --- one setting ------------------------------------------------------------------------------- */

static void setting_json(const struct setting *s, const struct bounds *b, const struct search_result *r)
{
    struct json_lines l = {0};
    json_line_begin(&l);
    json_line_string(&l, "setting", s->name);
    for (int i = 0; i < BOUNDS; i++)
        json_line_number(&l, bound_options[i].name, *((const uint8_t *)b + bound_options[i].at));
    json_line_number(&l, "states", r->states);
    json_line_number(&l, "transitions", r->transitions);
    json_line_number(&l, "depth", r->depth);
    json_line_number(&l, "violations", r->faults);
    json_line_bool(&l, "complete", r->complete);
    json_line_end(&l);
    fwrite(l.text, 1, l.len, stdout);
    free(l.text);
}

static void print_setting(const struct options *o, const struct setting *s, const struct bounds *b,
                          const struct search_result *r)
{
    char text[120], states[32], moves[32];
    bounds_text(b, text, sizeof text);
    printf("%s%-15s%s  %s; %s\n", paint(o, "\033[1m"), s->name, paint(o, "\033[0m"), s->title, text);
    printf("%-15s  %s worlds, %s moves tried, the longest way %u: %s; ", "", story_number(r->states, states),
           story_number(r->transitions, moves), r->depth, r->complete ? "complete" : "not complete");
    if (r->faults == 0)
        printf("nothing is wrong\n");
    else
        printf("%s%" PRIu64 " violations%s\n", paint(o, "\033[1;31m"), r->faults, paint(o, "\033[0m"));
}

static void add_up(struct sum *sum, const struct search_result *r)
{
    sum->states += r->states;
    sum->transitions += r->transitions;
    sum->faults += r->faults;
    sum->complete &= r->complete;
    sum->no_memory |= r->no_memory;
    for (int i = 0; i < EDGE_WORDS; i++)
        sum->edges[i] |= r->edges[i];
    for (int a = 0; a < TERN_STATES; a++)
        for (int b = 0; b < TERN_STATES; b++)
            sum->pairs[a][b] += r->pairs[a][b];
}

/* What is left of the time is shared by the settings that are left. */
static uint64_t share_until(const struct options *o, const struct sum *sum, int settings_left)
{
    uint64_t now = tern_host_now(), end = sum->began_us + o->seconds * 1000000;
    if (o->seconds == 0)
        return 0;
    return now < end ? now + (end - now) / (uint64_t)settings_left : now;
}

/* The i-th of the chosen ones. */
static bool run_setting(const struct options *o, int i, struct sum *sum)
{
    const struct setting own = setting_for(o, i), *s = &own;
    struct bounds b = bounds_for(o, s);
    struct run run = {
        .o = o, .setting = s, .sum = sum, .until_us = share_until(o, sum, o->n_chosen - i)};
    struct search_config config = {.setting = s,
                                   .bounds = &b,
                                   .limit = o->limit,
                                   .threads = o->threads,
                                   .probes = o->probes,
                                   .go_on = go_on,
                                   .ctx = &run};
    struct search_result *r = search(&config);
    progress_clear(&sum->progress);
    if (r == NULL)
        return false;
    if (o->json)
        setting_json(s, &b, r);
    else
        print_setting(o, s, &b, r);
    for (int f = 1; f < FAULTS; f++)
        if (r->found[f].times > 0)
            tell_found(o, s, &b, (enum fault)f, &r->found[f]);
    fflush(stdout);
    add_up(sum, r);
    free(r);
    return true;
}

/* --- all of them ------------------------------------------------------------------------------- */

static bool has_edge(const struct sum *sum, int i)
{
    return sum->edges[i / 64] >> i % 64 & 1;
}

static void print_pairs(const struct sum *sum)
{
    static const char *const brief[TERN_STATES] = {"CLOSED", "LISTEN", "SYN_S", "SYN_R", "ESTAB", "FIN_W1",
                                                   "FIN_W2", "CLOSE_W", "CLOSING", "LAST_A", "TIME_W"};
    printf("\nWorlds by the states of A (down) and B (across):\n\n%-11s", "");
    for (int b = 0; b < TERN_STATES; b++)
        printf(" %8s", brief[b]);
    for (int a = 0; a < TERN_STATES; a++) {
        printf("\n%-11s", tern_state_name((enum tern_state)a));
        for (int b = 0; b < TERN_STATES; b++) {
            if (sum->pairs[a][b] == 0)
                printf(" %8s", "·");
            else
                printf(" %8" PRIu64, sum->pairs[a][b]);
        }
    }
    printf("\n");
}

static int edges_covered(const struct sum *sum)
{
    int covered = 0;
    for (int i = 0; i < 64 * EDGE_WORDS; i++)
        covered += has_edge(sum, i);
    return covered;
}

static void print_edges(const struct sum *sum, bool all)
{
    tern_edge edge[64 * EDGE_WORDS];
    int n = tern_edges(edge, 64 * EDGE_WORDS), covered = edges_covered(sum);
    printf("\nEdges of the state diagram (docs/STATES.md): %d of %d taken\n", covered, n);
    for (int i = 0; i < n && all; i++)
        if (!has_edge(sum, i))
            printf("  not taken: %s → %s by %s\n", tern_state_name((enum tern_state)edge[i].from),
                   tern_state_name((enum tern_state)edge[i].to),
                   tern_cause_name((enum tern_cause)edge[i].cause));
    if (all && covered < n)
        printf("  Each edge can be taken in some setting: give wider bounds, or a higher --limit.\n");
}

static void summary_json(const struct sum *sum)
{
    struct json_lines l = {0};
    json_line_begin(&l);
    json_line_number(&l, "states", sum->states);
    json_line_number(&l, "edges_covered", (uint64_t)edges_covered(sum));
    json_line_number(&l, "edges_total", (uint64_t)tern_edges(NULL, 0));
    json_line_number(&l, "violations", sum->faults);
    json_line_bool(&l, "complete", sum->complete);
    json_line_bool(&l, "interrupted", *sum->interrupted != 0);
    json_line_end(&l);
    fwrite(l.text, 1, l.len, stdout);
    free(l.text);
}

static void summary(const struct sum *sum, bool all)
{
    char states[32], moves[32];
    print_pairs(sum);
    print_edges(sum, all);
    printf("\n%s worlds, %s moves, %s%s; %" PRIu64 " violations\n", story_number(sum->states, states),
           story_number(sum->transitions, moves), sum->complete ? "complete" : "not complete",
           *sum->interrupted ? " (interrupted)" : "", sum->faults);
}

/* Whether each setting was chosen. */
static bool everything(const struct options *o)
{
    int n = 0;
    for (const struct setting *s = settings(); s->name != NULL; s++)
        n++;
    return o->n_chosen >= n;
}

static int run_all(const struct options *o)
{
    struct sum sum = {
        .complete = true, .began_us = tern_host_now(), .interrupted = progress_interrupt()};
    progress_begin(&sum.progress, "explore");
    for (int i = 0; i < o->n_chosen; i++) {
        if (*sum.interrupted) {
            sum.complete = false;
            break;
        }
        if (!run_setting(o, i, &sum))
            return cmd_cannot("explore", "there is no memory for it; give a lower --limit");
    }
    if (o->json)
        summary_json(&sum);
    else
        summary(&sum, everything(o));
    if (sum.no_memory && sum.faults == 0)
        return cmd_cannot("explore", "memory was used up before all was searched; give a lower --limit");
    return sum.faults > 0 ? CMD_NO : CMD_OK;
}

int cmd_explore(int argc, char **argv)
{
    struct options o;
    int result = parse(&o, argc, argv);
    if (result != CMD_OK)
        return result < 0 ? CMD_OK : result;
    if (o.list) {
        list();
        return CMD_OK;
    }
    if (o.replay != NULL)
        return replay(&o);
    if (o.n_chosen == 0)
        for (const struct setting *s = settings(); s->name != NULL; s++)
            o.chosen[o.n_chosen++] = s;
    return run_all(&o);
}
