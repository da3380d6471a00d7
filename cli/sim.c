/* sim.c - `tern sim`: worlds of many hosts, drawn from seeds, played and judged (sim/net/net.h says how). */
#include "args.h"
#include "cmd.h"
#include "progress.h"
#include "sim.h"

#include "host/wall.h"
#include "sim/net/shrink.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FAILURES_MOST = 3,      /* are shrunk and told; more are counted */
    SHRINK_MOST = 4000,     /* worlds that the shrinker may play */
    SHRINK_SEGMENTS = 60000000, /* and segments in them: a minute or two */
    SHRINK_SECONDS = 120,   /* of processor time, if even that is slower than thought */
};

static int usage(FILE *out)
{
    fputs(
        "usage: tern sim [--seed N] [--runs N] [--seconds N] [--conns N] [--check N]\n"
        "                [--by-steps] [--json] [--color=auto|always|never]\n"
        "       tern sim --seed N --only ITEMS | --list\n\n"
        "Draws a world from each seed: 2 to 50 hosts with a tern stack each, routers, NATs, programs,\n"
        "faults, attackers. Plays it on a virtual clock, compares all that is delivered with what was\n"
        "sent, and checks the stacks' invariants. A seed that fails is shrunk to a short story.\n\n"
        "  --seed N      the first seed (default 1)\n"
        "  --runs N      how many seeds (default 1000)\n"
        "  --seconds N   no more than N seconds of processor time\n"
        "  --conns N     no more worlds once there have been N connections\n"
        "  --check N     the invariants after every N-th verb (default 1; 0: never, which is faster)\n"
        "  --by-steps    no short ways in the stacks: all goes through the ordered lists of the standard\n"
        "  --only ITEMS  of this seed's world only these items, and the story of it\n"
        "  --list        the items of this seed's world\n"
        "  --json        one JSON object a line\n"
        "  --color=WHEN  auto (on a terminal), always or never\n\n"
        "Exit status: 0 nothing was found, 1 a world failed, 2 bad usage.\n",
        out);
    return CMD_OK;
}

/* --- arguments ------------------------------------------------------------------------------- */

enum {
    OPT_SEED = 256,
    OPT_RUNS,
    OPT_SECONDS,
    OPT_CONNS,
    OPT_CHECK,
    OPT_BY_STEPS,
    OPT_ONLY,
    OPT_LIST,
    OPT_JSON,
    OPT_COLOR,
    OPT_HELP
};

static int parse_option(struct sim_options *o, int option, const char *word)
{
    switch (option) {
    case OPT_SEED: return args_number("sim", "seed", optarg, UINT64_MAX, &o->seed);
    case OPT_RUNS: return args_number("sim", "runs", optarg, UINT64_MAX, &o->runs);
    case OPT_CONNS: return args_number("sim", "conns", optarg, UINT64_MAX, &o->conns);
    case OPT_SECONDS: return args_number32("sim", "seconds", optarg, UINT32_MAX, &o->seconds);
    case OPT_CHECK: return args_number32("sim", "check", optarg, UINT32_MAX, &o->check);
    case OPT_BY_STEPS: o->by_steps = true; return CMD_OK;
    case OPT_ONLY: o->only = optarg; return CMD_OK;
    case OPT_LIST: o->list = true; return CMD_OK;
    case OPT_JSON: o->json = true; return CMD_OK;
    case OPT_COLOR: return args_color("sim", optarg, &o->color);
    case ':': return cmd_cannot("sim", "%s needs a value; see `tern sim --help`", word);
    default: return cmd_cannot("sim", "unknown option '%s'; see `tern sim --help`", word);
    }
}

/* CMD_OK, CMD_CANNOT, or -1 when the usage was asked for and printed. */
static int parse(struct sim_options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, OPT_SEED},       {"runs", required_argument, NULL, OPT_RUNS},
        {"seconds", required_argument, NULL, OPT_SECONDS}, {"conns", required_argument, NULL, OPT_CONNS},
        {"check", required_argument, NULL, OPT_CHECK},     {"only", required_argument, NULL, OPT_ONLY},
        {"json", no_argument, NULL, OPT_JSON},             {"color", required_argument, NULL, OPT_COLOR},
        {"by-steps", no_argument, NULL, OPT_BY_STEPS},
        {"list", no_argument, NULL, OPT_LIST},             {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    int option, result = CMD_OK;
    *o = (struct sim_options){.seed = 1, .runs = 1000, .check = 1, .color = isatty(STDOUT_FILENO)};
    optind = 0;
    while (result == CMD_OK && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == OPT_HELP || option == 'h')
            return usage(stdout), -1;
        result = parse_option(o, option, argv[optind - 1]);
    }
    if (result == CMD_OK && optind < argc)
        return cmd_cannot("sim", "'%s' is too much; see `tern sim --help`", argv[optind]);
    return result;
}

/* --- running --------------------------------------------------------------------------------- */

struct sim {
    struct sim_options o;
    struct net *net;
    struct plan *plan;
    struct net_counts *counts, *scratch;
    struct progress progress;
    const volatile int *interrupted; /* not 0: enough */
    uint32_t failed;
    uint64_t cpu_ns;
    bool stopped; /* before all runs were done */
};

static bool shrunk_long_enough(void *began_ns)
{
    return tern_cpu_ns() - *(uint64_t *)began_ns > SHRINK_SECONDS * 1000000000ull;
}

static void failed(struct sim *s, uint64_t seed)
{
    uint64_t began_ns = tern_cpu_ns();
    struct sim_failure f = {
        .plan = s->plan, .complaint = s->net->complaint, .seed = seed, .by_steps = s->o.by_steps};
    struct shrinker shrinker = {.net = s->net,
                                .scratch = s->scratch,
                                .check_every = 1,
                                .most = SHRINK_MOST,
                                .most_segments = SHRINK_SEGMENTS,
                                .stop = s->interrupted,
                                .over = shrunk_long_enough,
                                .with = &began_ns};
    progress_clear(&s->progress);
    if (!s->o.json)
        fprintf(stderr, "tern sim: seed %llu fails (%s: %s); it is being shrunk\n", (unsigned long long)seed,
                complaint_word(f.complaint.kind), f.complaint.text);
    shrink(&shrinker, s->plan, &f.complaint);
    f.tries = shrinker.tries;
    f.unfinished = shrinker.unfinished;
    sim_tell(&s->o, s->net, &f);
}

static void play_one(struct sim *s, uint64_t seed)
{
    uint64_t before = tern_cpu_ns();
    plan_draw(s->plan, seed);
    net_play(s->net, s->plan, s->counts, s->o.check, NULL);
    s->cpu_ns += tern_cpu_ns() - before;
    if (s->net->complaint.kind == COMPLAINT_NONE)
        return;
    if (s->failed++ < FAILURES_MOST)
        failed(s, seed);
    else
        fprintf(stderr, "tern sim: seed %llu fails too\n", (unsigned long long)seed);
}

static void tell_progress(struct sim *s)
{
    const struct net_counts *k = s->counts;
    progress_tell(&s->progress, k->worlds, s->o.runs, "%llu of %llu worlds, %llu connections, %u failed",
                  (unsigned long long)k->worlds, (unsigned long long)s->o.runs,
                  (unsigned long long)k->connections, s->failed);
}

static bool time_is_over(const struct sim *s)
{
    return *s->interrupted || (s->o.seconds != 0 && s->cpu_ns / 1000000000 >= s->o.seconds) ||
           (s->o.conns != 0 && s->counts->connections >= s->o.conns);
}

static int play_all(struct sim *s)
{
    for (uint64_t i = 0; i < s->o.runs && !s->stopped; i++) {
        play_one(s, s->o.seed + i);
        tell_progress(s);
        s->stopped = i + 1 < s->o.runs && time_is_over(s);
    }
    progress_clear(&s->progress);
    sim_report(&s->o, s->counts, s->cpu_ns, s->failed, s->stopped && *s->interrupted);
    return s->failed ? CMD_NO : CMD_OK;
}

/* One world, or what is wanted of it, with its story. */
static int play_only(struct sim *s)
{
    const char *wrong;
    plan_draw(s->plan, s->o.seed);
    if (!plan_only(s->plan, s->o.only, &wrong))
        return cmd_cannot("sim", "--only: seed %llu has nothing like '%s'", (unsigned long long)s->o.seed,
                          wrong);
    net_play(s->net, s->plan, s->counts, s->o.check, NULL);
    struct sim_failure f = {
        .plan = s->plan, .complaint = s->net->complaint, .seed = s->o.seed, .by_steps = s->o.by_steps};
    sim_tell(&s->o, s->net, &f);
    return f.complaint.kind != COMPLAINT_NONE ? CMD_NO : CMD_OK;
}

static int list_items(struct sim *s)
{
    plan_draw(s->plan, s->o.seed);
    sim_list(s->plan);
    return CMD_OK;
}

static bool make(struct sim *s)
{
    s->net = net_new();
    s->plan = malloc(sizeof *s->plan);
    s->counts = calloc(2, sizeof *s->counts);
    if (s->net == NULL || s->plan == NULL || s->counts == NULL)
        return false;
    s->net->by_steps = s->o.by_steps;
    s->scratch = s->counts + 1;
    s->counts->per_conn = calloc(PER_CONN_MOST, sizeof *s->counts->per_conn);
    s->scratch->per_conn = calloc(PER_CONN_MOST, sizeof *s->scratch->per_conn);
    return s->counts->per_conn != NULL && s->scratch->per_conn != NULL;
}

static void end(struct sim *s)
{
    if (s->net != NULL)
        net_free(s->net);
    if (s->counts != NULL) {
        free(s->counts->per_conn);
        free(s->counts[1].per_conn);
    }
    free(s->counts);
    free(s->plan);
}

int cmd_sim(int argc, char **argv)
{
    struct sim s = {0};
    int result = parse(&s.o, argc, argv);
    if (result != CMD_OK)
        return result < 0 ? CMD_OK : result;
    s.interrupted = progress_interrupt();
    progress_begin(&s.progress, "sim");
    if (!make(&s))
        result = cmd_cannot("sim", "not enough memory");
    else
        result = s.o.list ? list_items(&s) : s.o.only != NULL ? play_only(&s) : play_all(&s);
    end(&s);
    return result;
}
