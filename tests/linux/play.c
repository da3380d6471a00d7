/* play.c - plays one script of tests/conversations against the Linux kernel and says what it does otherwise.
 *
 *     linux-play FILE.pkt...      one JSON object a line for each: file, verdict (same, differs, not played),
 *                                 and the line of the script, what tern does and what Linux does
 *
 * Needs root: each script gets a network namespace and a TUN device of its own. Each runs in a process of its
 * own, up to --at-once N (default 16) at a time; most of a script is waiting.
 */
#include <getopt.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"

enum { LONGEST_S = 25, TOLERANCE_US = 40000, TOLERANCE_PPM = 300000 };

/* --- the kernel as the one who is examined ----------------------------------------------------- */

static json_t *found; /* the differences of the script that this process plays */

static void begin(struct run *r)
{
    struct kernel *k = calloc(1, sizeof *k);
    k->differences = found;
    k->tun = -1;
    for (int i = 0; i < SOCKS_MAX; i++)
        k->real[i] = -1;
    r->subject_state = k;
    r->set.tolerance_us = TOLERANCE_US;
    r->set.tolerance_ppm = TOLERANCE_PPM;
    device_open(r, k);
}

static void end(struct run *r)
{
    struct kernel *k = r->subject_state;
    if (k == NULL)
        return; /* the script was left before */
    program_close_all(r, k);
    close(k->tun);
    free(k);
}

static void give(struct run *r, const uint8_t *bytes, uint32_t len, uint16_t gso_size)
{
    if (gso_size != 0)
        run_skip(r, "joined segments");
    struct kernel *k = r->subject_state;
    if (write(k->tun, bytes, len) != (ssize_t)len)
        run_fail(r, NULL, NULL, "the device does not take the packet");
}

/* The kernel answers within its own time: a moment is given to it. */
static void collect(struct run *r)
{
    struct kernel *k = r->subject_state;
    device_wait(r, k, device_now(k) + 1000, false);
}

static void until(struct run *r, uint64_t us, bool stop)
{
    device_wait(r, r->subject_state, us, stop);
}

static struct answer call(struct run *r, const struct call_spec *c)
{
    return program_call(r, r->subject_state, c);
}

/* Of assertions only the state is compared: the rest is what each stack counts for itself. */
static void code(struct run *r, const struct event *e)
{
    static regex_t state;
    static bool ready;
    regmatch_t m[2];
    int64_t want;
    char word[40];
    if (!ready)
        ready = regcomp(&state, "^[^a-z]*assert *tcpi_state *== *(TCP_[A-Z0-9_]+)", REG_EXTENDED) == 0;
    if (regexec(&state, e->text, 2, m, 0) != 0)
        return;
    snprintf(word, sizeof word, "%.*s", (int)(m[1].rm_eo - m[1].rm_so), e->text + m[1].rm_so);
    int is = state_number(r, flow_newer_listener(r) != NULL ? -1 : r->current);
    /* A connection without a record leaves its listener; one that is half-open has its listener's descriptor
     * (docs/CHECK.md). */
    bool listens = is == 10 || is == 3;
    if (word_number(word, &want) && want != is && !(listens && (want == 10 || want == 3 || want == 7)))
        run_fail(r, word, state_of(r, r->current), "the connection is in another state");
}

static void add_text(json_t *o, const char *name, const char *text)
{
    if (text != NULL)
        json_object_set_new(o, name, json_string(text));
}

static void note(json_t *list, const struct script *s, int line, const char *why, const char *expected,
                 const char *got)
{
    const char *text;
    json_t *o = json_object();
    size_t len = line > 0 ? script_line(s, line, &text) : 0;
    json_object_set_new(o, "line", json_integer(line));
    json_object_set_new(o, "script", json_stringn(len ? text : "", len));
    add_text(o, "why", why);
    add_text(o, "tern", expected);
    add_text(o, "linux", got);
    json_array_append_new(list, o);
}

static void options_differ(struct run *r, const char *expected, const char *got)
{
    struct kernel *k = r->subject_state;
    note(k->differences, r->s, r->event->line, "another segment than expected: options", expected, got);
}

static const char *state(struct run *r, const struct event *e)
{
    return state_of(r, e->has_ports ? flow_of_ports(r, e->src_port, e->dst_port) : r->current);
}

static const struct subject kernel = {
    .begin = begin,
    .end = end,
    .give = give,
    .collect = collect,
    .until = until,
    .call = call,
    .code = code,
    .state = state,
    .options_differ = options_differ,
    .foreign = true,
};

/* --- one script ------------------------------------------------------------------------------ */

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *text = malloc(1 << 20);
    *len = f != NULL ? fread(text, 1, 1 << 20, f) : 0;
    if (f == NULL)
        perror(path), exit(2);
    fclose(f);
    return text;
}

/* How long it lasts by its own times, in seconds. */
static int64_t lasts(const struct script *s)
{
    int64_t us = 0;
    for (const struct event *e = s->events; e != NULL; e = e->next) {
        int64_t to = e->range ? e->end_us : e->us;
        us = e->time == TIME_RELATIVE ? us + to : e->time == TIME_ABSOLUTE && to > us ? to : us;
    }
    return us / 1000000;
}

static const char *verdict_of(const struct check_result *result, const json_t *differences)
{
    switch (result->verdict) {
    case CHECK_PASSED: return json_array_size(differences) > 0 ? "differs" : "same";
    case CHECK_FAILED: return "differs";
    case CHECK_SKIPPED: return "not played";
    default: return "wrong";
    }
}

static void play_events(const struct script *s, const char *text, size_t len, json_t *o)
{
    struct check_result result;
    found = json_array();
    check_run_against(&kernel, text, len, &result);
    add_text(o, "verdict", verdict_of(&result, found));
    if (result.verdict == CHECK_FAILED)
        note(found, s, result.line, result.message, result.expected, result.got);
    else
        add_text(o, "why", result.message);
    json_object_set_new(o, "differences", found);
    check_result_free(&result);
}

static void play(const char *path)
{
    size_t len;
    struct script s;
    char *text = read_file(path, &len);
    json_t *o = json_object();
    add_text(o, "file", path);
    script_parse(&s, text, len);
    if (!s.wrong && !s.unsupported && lasts(&s) > LONGEST_S) {
        add_text(o, "verdict", "not played");
        add_text(o, "why", "lasts longer than 25 s");
    } else {
        play_events(&s, text, len, o);
    }
    char *line = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("%s\n", line);
    fflush(stdout);
    free(line);
    json_decref(o);
    script_free(&s);
    free(text);
}

/* --- all of them ----------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct option options[] = {{"at-once", required_argument, NULL, 'n'}, {0}};
    int most = 16, running = 0, status, bad = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (o != 'n' || (most = atoi(optarg)) < 1)
            return fprintf(stderr, "usage: linux-play [--at-once N] FILE.pkt...\n"), 2;
    for (int i = optind; i < argc || running > 0;) {
        if (i < argc && running < most) {
            if (fork() == 0) {
                play(argv[i]);
                exit(0);
            }
            i++, running++;
            continue;
        }
        if (wait(&status) < 0)
            continue;
        running--, bad |= status != 0;
        if (WIFSIGNALED(status))
            fprintf(stderr, "linux-play: a script's process was ended by signal %d\n", WTERMSIG(status));
    }
    return bad ? 2 : 0;
}
