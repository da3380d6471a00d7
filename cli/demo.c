/* demo.c - `tern demo`: plays scenarios between two stacks in memory, draws them, and says whether their
 * promises held. */
#include "args.h"
#include "cmd.h"

#include "host/canvas.h"
#include "host/ladder.h"
#include "host/ladder_svg.h"
#include "sim/play.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 98, MAX_NAMES = 64 };

struct options {
    bool json, color, list;
    uint64_t seed;
    const char *svg;
    const char *pcap;
    const struct scenario *chosen[MAX_NAMES];
    int n_chosen;
};

static int usage(FILE *out)
{
    fputs(
        "usage: tern demo [NAME...] [--json] [--seed N] [--svg FILE] [--pcap FILE]\n"
        "                 [--color=auto|always|never]\n"
        "       tern demo --list\n\n"
        "Plays scenarios from the life of a connection between two tern stacks, A and B, in memory and on\n"
        "a virtual clock, and draws every segment and every change of state with its reason. Without NAME:\n"
        "all of them.\n\n"
        "  --list        the names of the scenarios, and what each shows\n"
        "  --seed N      other initial numbers, ports and delays; another one runs first (default 1)\n"
        "  --json        one JSON object a line: segments, states, at the end of each scenario a verdict\n"
        "  --svg FILE    draw a picture as well\n"
        "  --pcap FILE   write the packets as well, each with what both sides say of it (for Wireshark)\n"
        "  --color=WHEN  auto (on a terminal), always or never\n\n"
        "Exit status: 0 every promise held, 1 one did not (it is named), 2 bad usage.\n",
        out);
    return CMD_OK;
}

/* --- arguments ------------------------------------------------------------------------------- */

static int parse_name(struct options *o, const char *name)
{
    const struct scenario *s = scenario_find(name);
    if (s == NULL)
        return cmd_cannot("demo", "no scenario is called '%s'; `tern demo --list` names them all", name);
    if (o->n_chosen == MAX_NAMES)
        return cmd_cannot("demo", "too many names");
    o->chosen[o->n_chosen++] = s;
    return CMD_OK;
}

enum { OPT_LIST = 256, OPT_SEED, OPT_JSON, OPT_SVG, OPT_PCAP, OPT_COLOR, OPT_HELP };

static int parse_option(struct options *o, int option, const char *word)
{
    switch (option) {
    case OPT_LIST: o->list = true; return CMD_OK;
    case OPT_JSON: o->json = true; return CMD_OK;
    case OPT_SVG: o->svg = optarg; return CMD_OK;
    case OPT_PCAP: o->pcap = optarg; return CMD_OK;
    case OPT_SEED: return args_number("demo", "seed", optarg, UINT64_MAX, &o->seed);
    case OPT_COLOR: return args_color("demo", optarg, &o->color);
    case ':': return cmd_cannot("demo", "%s needs a value; see `tern demo --help`", word);
    default: return cmd_cannot("demo", "unknown option '%s'; see `tern demo --help`", word);
    }
}

/* CMD_OK, CMD_CANNOT, or -1 when the usage was asked for and printed. */
static int parse(struct options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"list", no_argument, NULL, OPT_LIST},         {"seed", required_argument, NULL, OPT_SEED},
        {"json", no_argument, NULL, OPT_JSON},         {"svg", required_argument, NULL, OPT_SVG},
        {"pcap", required_argument, NULL, OPT_PCAP},   {"color", required_argument, NULL, OPT_COLOR},
        {"help", no_argument, NULL, OPT_HELP},         {NULL, 0, NULL, 0},
    };
    int option, result = CMD_OK;
    *o = (struct options){.seed = 1, .color = isatty(STDOUT_FILENO)};
    optind = 0;
    while (result == CMD_OK && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == OPT_HELP || option == 'h')
            return usage(stdout), -1;
        result = parse_option(o, option, argv[optind - 1]);
    }
    for (int i = optind; i < argc && result == CMD_OK; i++)
        result = parse_name(o, argv[i]);
    return result;
}

/* --- output ---------------------------------------------------------------------------------- */

static void list(void)
{
    for (const struct scenario *s = scenarios(); s->name != NULL; s++)
        printf("%-20s %s\n", s->name, s->title);
}

static const char *paint(const struct options *o, const char *escape)
{
    return o->color ? escape : "";
}

static void print_mark(const struct options *o, bool ok, const char *text)
{
    printf("  %s%s%s ", paint(o, ok ? "\033[32m" : "\033[1;31m"), ok ? "✓" : "✗", paint(o, "\033[0m"));
    for (const char *at = text; *at; at += strspn(at, " ")) {
        int fits = canvas_fit(at, WIDTH - 4);
        printf("%s%.*s\n", at == text ? "" : "    ", fits, at);
        at += fits;
    }
}

static void print_title(const struct options *o, const struct scenario *s)
{
    printf("%s%s%s: %s\n", paint(o, "\033[1m"), s->name, paint(o, "\033[0m"), s->title);
    ladder_wrap(stdout, "  ", WIDTH - 2, s->documents);
    if (s->decides != NULL) {
        fputs("  RFC 9293 decides:\n", stdout);
        ladder_wrap(stdout, "  ", WIDTH - 2, s->decides);
    }
}

static void print_verdict(const struct options *o, const struct part *part)
{
    char text[300];
    const struct verdict *v = &part->verdict;
    for (uint32_t i = 0; i < part->promises.n; i++)
        print_mark(o, part->promises.v[i].ok, part->promises.v[i].text);
    for (uint32_t i = 0; i < v->n_complaints && i < COMPLAINTS; i++)
        print_mark(o, false, v->complaint[i]);
    snprintf(text, sizeof text,
             "oracle: %u segments and %u calls follow RFC 9293; the %u changes of state are the right ones",
             v->segments, v->calls, v->states);
    if (v->ok)
        print_mark(o, true, text);
}

static void print_part(const struct options *o, const struct part *part)
{
    const struct story *s = &part->story;
    printf("\n  %s%s%s%s%s\n\n", paint(o, "\033[4m"), s->part, s->part[0] ? ": " : "", s->title,
           paint(o, "\033[0m"));
    ladder_print(s, stdout, o->color);
    fputc('\n', stdout);
    for (uint32_t i = 0; i < part->lines.n; i++)
        ladder_wrap(stdout, "  ", WIDTH - 2, part->lines.v[i]);
    if (part->lines.n)
        fputc('\n', stdout);
    print_verdict(o, part);
}

static void print_play(const struct options *o, const struct play *p)
{
    if (o->json) {
        struct json_lines lines = {0};
        play_json(p, &lines);
        fwrite(lines.text, 1, lines.len, stdout);
        free(lines.text);
        return;
    }
    print_title(o, p->scenario);
    for (uint32_t i = 0; i < p->parts.n; i++)
        print_part(o, &p->parts.v[i]);
    printf("\n%s%s: %s%s\n\n", paint(o, p->ok ? "\033[1;32m" : "\033[1;31m"), p->scenario->name,
           p->ok ? "ok" : "FAILED", paint(o, "\033[0m"));
}

/* --- running --------------------------------------------------------------------------------- */

struct gallery {
    const struct story **stories;
    uint32_t n;
};

static void hang(struct gallery *g, const struct play *p)
{
    g->stories = realloc(g->stories, (g->n + p->parts.n + 1) * sizeof *g->stories);
    for (uint32_t i = 0; i < p->parts.n; i++)
        g->stories[g->n++] = &p->parts.v[i].story;
}

static int draw(const struct options *o, const struct gallery *g)
{
    if (o->svg == NULL)
        return CMD_OK;
    FILE *file = fopen(o->svg, "w");
    if (file == NULL)
        return cmd_cannot("demo", "cannot write %s: %s", o->svg, strerror(errno));
    ladder_svg_print(g->stories, g->n, file);
    if (fclose(file) != 0)
        return cmd_cannot("demo", "cannot write %s: %s", o->svg, strerror(errno));
    return CMD_OK;
}

/* The packets of all plays, for Wireshark. */
static int write_pcap(const struct options *o, struct pcapng *pcap)
{
    if (o->pcap == NULL)
        return CMD_OK;
    FILE *file = pcap->failed ? NULL : fopen(o->pcap, "w");
    size_t wrote = file != NULL ? fwrite(pcap->bytes, 1, pcap->len, file) : 0;
    if (file == NULL || (fclose(file) != 0) | (wrote != pcap->len))
        return cmd_cannot("demo", "cannot write %s: %s", o->pcap, strerror(errno));
    return CMD_OK;
}

static void report(const struct options *o, const struct play *plays)
{
    for (int i = 0; i < o->n_chosen; i++)
        if (!plays[i].ok)
            fprintf(stderr, "tern demo: %s, seed %llu: this does not hold: %s\n", plays[i].scenario->name,
                    (unsigned long long)o->seed, play_failed(&plays[i]));
}

static void summary(const struct options *o, const struct play *plays)
{
    int bad = 0;
    for (int i = 0; i < o->n_chosen; i++)
        bad += !plays[i].ok;
    printf("%d scenarios, seed %llu: %d ok", o->n_chosen, (unsigned long long)o->seed, o->n_chosen - bad);
    for (int i = 0; i < o->n_chosen; i++)
        if (!plays[i].ok)
            printf(", %s FAILED", plays[i].scenario->name);
    printf("\n");
}

static int run(const struct options *o)
{
    struct play *plays = calloc((size_t)o->n_chosen, sizeof *plays);
    struct gallery gallery = {0};
    struct pcapng pcap = {0};
    bool ok = true;
    pcapng_section(&pcap, "tern demo", "Each comment says what the sender, the path and the receiver did.");
    for (int i = 0; i < o->n_chosen; i++) {
        play_run_captured(&plays[i], o->chosen[i], o->seed, o->pcap != NULL ? &pcap : NULL,
                          i > 0 ? &plays[i - 1] : NULL);
        print_play(o, &plays[i]);
        hang(&gallery, &plays[i]);
        ok &= plays[i].ok;
    }
    if (!o->json && o->n_chosen > 1)
        summary(o, plays);
    fflush(stdout);
    report(o, plays);
    int drawn = draw(o, &gallery);
    if (drawn == CMD_OK)
        drawn = write_pcap(o, &pcap);
    pcapng_free(&pcap);
    for (int i = 0; i < o->n_chosen; i++)
        play_free(&plays[i]);
    free(plays);
    free(gallery.stories);
    return drawn != CMD_OK ? drawn : ok ? CMD_OK : CMD_NO;
}

int cmd_demo(int argc, char **argv)
{
    struct options o;
    int result = parse(&o, argc, argv);
    if (result != CMD_OK)
        return result < 0 ? CMD_OK : result;
    if (o.list) {
        list();
        return CMD_OK;
    }
    if (o.n_chosen == 0)
        for (const struct scenario *s = scenarios(); s->name != NULL; s++)
            o.chosen[o.n_chosen++] = s;
    return run(&o);
}
