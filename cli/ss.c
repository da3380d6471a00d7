/* ss.c - `tern ss`: the connections of all running tern processes, and why they are as they are. */
#include "ss.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tern/stats.h>

#include "cmd.h"
#include "host/control.h"
#include "ss_watch.h"

static const char usage[] =
    "usage: tern ss [OPTION...] [STATE...]\n\n"
    "Lists the listeners and connections of all running tern processes: state, since when, queues, timer,\n"
    "and in words why, and who has to act. With STATE (such as close_wait, listen, time-wait) only those.\n\n"
    "  -a, --all            also each connection in TIME_WAIT that no program holds any more (else a count)\n"
    "  -b, --brief          the table only, without the sentences\n"
    "  -p, --pid PID        only this process\n"
    "      --ports          instead: which remotes hold the ephemeral ports, and how many in TIME_WAIT\n"
    "  -w, --watch[=S]      a live view, renewed every S seconds (1); on a terminal keys sort and filter\n"
    "      --prometheus     counters and gauges in the text format of Prometheus\n"
    "      --json           a JSON array, one object per process (fields as tern_info; why, verdict, owes)\n"
    "  -h, --help           this text\n\n"
    "Exit status: 0 something was listed; 1 nothing was; 2 it cannot be done.\n";

enum { OPT_JSON = 256, OPT_PROMETHEUS, OPT_PORTS, PROCESSES = 256 };

typedef struct ss {
    bool all, brief, json, prometheus, watch, ports;
    uint64_t every_us; /* --watch */
    int pid;                  /* 0 = all */
    bool wanted[TERN_STATES]; /* all false = every state */
    bool any_wanted;
    int listed;
    json_t *array;      /* --json: the processes */
    ss_metrics metrics; /* --prometheus */
} ss;

const char *ss_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

uint64_t ss_number(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

/* --- states ----------------------------------------------------------------------------------- */

/* "close-wait" and "CLOSE_WAIT" are the same. */
static bool same_state(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char x = *a == '-' ? '_' : *a, y = *b == '-' ? '_' : *b;
        if ((x >= 'a' && x <= 'z' ? x - 32 : x) != (y >= 'a' && y <= 'z' ? y - 32 : y))
            return false;
    }
    return *a == *b;
}

/* The number of a state by its name, or by the one that Linux' ss uses; -1 = none. */
static int state_of(const char *name)
{
    static const struct {
        const char *name;
        enum tern_state state;
    } others[] = {{"ESTAB", TERN_ESTABLISHED},     {"SYN_RECV", TERN_SYN_RCVD},
                  {"SYN_RECEIVED", TERN_SYN_RCVD}, {"FIN_WAIT1", TERN_FIN_WAIT_1},
                  {"FIN_WAIT2", TERN_FIN_WAIT_2},  {"LISTENING", TERN_LISTEN},
                  {"UNCONN", TERN_CLOSED},         {"CLOSE", TERN_CLOSED}};
    for (int s = 0; s < TERN_STATES; s++)
        if (same_state(name, tern_state_name((enum tern_state)s)))
            return s;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (same_state(name, others[i].name))
            return (int)others[i].state;
    return -1;
}

static bool wanted(const ss *o, const json_t *info)
{
    int state = state_of(ss_text(info, "state"));
    return !o->any_wanted || (state >= 0 && o->wanted[state]);
}

/* What to ask: TIME_WAIT records that nobody holds may be millions, all alike, and are only counted unless
 * they are asked for. The process counts them, so that none is written and read. */
static const char *question(const ss *o)
{
    return o->all || o->wanted[TERN_TIME_WAIT] ? "ss" : "live";
}

/* --- one process ------------------------------------------------------------------------------ */

/* Listeners first, then what has been in its state for longest. */
static int by_age(const void *a, const void *b)
{
    const ss_row *x = a, *y = b;
    int lx = json_is_true(json_object_get(x->info, "listener")),
        ly = json_is_true(json_object_get(y->info, "listener"));
    uint64_t tx = ss_number(x->info, "state_since_us"), ty = ss_number(y->info, "state_since_us");
    if (lx != ly)
        return ly - lx;
    return tx < ty ? -1 : tx > ty;
}

static bool collect(const ss *o, const json_t *answer, ss_process *p)
{
    json_t *list = json_object_get(answer, "connections"), *info;
    size_t i;
    *p = (ss_process){.answer = answer, .now_us = ss_number(answer, "now_us")};
    p->left_out = o->any_wanted ? 0 : (int)ss_number(answer, "time_wait");
    p->rows = calloc(json_array_size(list) + 1, sizeof *p->rows);
    if (p->rows == NULL)
        return false;
    json_array_foreach(list, i, info)
    {
        if (!wanted(o, info))
            continue;
        p->rows[p->n_rows].info = info;
        tern_why_say(info, p->now_us, &p->rows[p->n_rows].why);
        p->n_rows++;
    }
    qsort(p->rows, (size_t)p->n_rows, sizeof *p->rows, by_age);
    return true;
}

static void add_json(ss *o, const ss_process *p)
{
    json_t *process = json_copy((json_t *)(uintptr_t)p->answer), *list = json_array();
    for (int i = 0; i < p->n_rows; i++) {
        json_t *info = json_copy((json_t *)(uintptr_t)p->rows[i].info);
        json_object_set_new(info, "verdict", json_string(p->rows[i].why.verdict));
        json_object_set_new(info, "owes", json_string(p->rows[i].why.owes));
        json_object_set_new(info, "why", json_string(p->rows[i].why.text));
        json_array_append_new(list, info);
    }
    json_object_set_new(process, "connections", list);
    json_object_del(process, "time_wait");
    json_object_set_new(process, "time_wait_left_out", json_integer(p->left_out));
    json_array_append_new(o->array, process);
}

/* A question that one process did not answer. */
static void unanswered(const struct tern_control_peer *peer, int error)
{
    if (error != -ENOENT && error != -ECONNREFUSED) /* these two: it ended while we asked */
        fprintf(stderr, "tern ss: process %d (%s) does not answer: %s\n", peer->pid, peer->name,
                strerror(-error));
}

static int add_metrics(ss *o, const struct tern_control_peer *peer)
{
    char *text = NULL;
    int r = tern_control_text(peer, "metrics", &text);
    if (r != 0) {
        unanswered(peer, r);
        return 0;
    }
    bool good = ss_metrics_add(&o->metrics, text, peer->name, peer->pid);
    free(text);
    o->listed++;
    return good ? 0 : cmd_cannot("ss", "not enough memory");
}

static int show(ss *o, const struct tern_control_peer *peer)
{
    json_t *answer = NULL;
    ss_process p;
    int r = tern_control_ask(peer, question(o), &answer);
    if (r != 0) {
        unanswered(peer, r);
        return 0;
    }
    json_object_set_new(answer, "pid",
                        json_integer(peer->pid)); /* as seen from here, not from its namespace */
    if (!collect(o, answer, &p)) {
        json_decref(answer);
        return cmd_cannot("ss", "not enough memory");
    }
    if (o->json) {
        add_json(o, &p);
    } else if (p.n_rows > 0 || p.left_out > 0) {
        if (o->listed > 0)
            printf("\n");
        ss_print(&p, o->brief);
        if (!o->brief)
            ss_summary(&p);
    }
    o->listed += p.n_rows + p.left_out;
    free(p.rows);
    json_decref(answer);
    return 0;
}

/* --ports */
static int show_ports(ss *o, const struct tern_control_peer *peer)
{
    json_t *answer = NULL;
    int r = tern_control_ask(peer, "ports", &answer);
    if (r != 0) {
        unanswered(peer, r);
        return 0;
    }
    json_object_set_new(answer, "pid", json_integer(peer->pid));
    if (o->json) {
        json_array_append(o->array, answer);
    } else {
        if (o->listed > 0)
            printf("\n");
        ss_ports_print(answer);
    }
    o->listed++;
    json_decref(answer);
    return 0;
}

static int ask(ss *o, const struct tern_control_peer *peer)
{
    if (o->prometheus)
        return add_metrics(o, peer);
    return o->ports ? show_ports(o, peer) : show(o, peer);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(ss *o)
{
    static const size_t size = PROCESSES * sizeof(struct tern_control_peer);
    struct tern_control_peer *peers = malloc(size);
    if (peers == NULL)
        return cmd_cannot("ss", "not enough memory");
    int n = tern_control_list(peers, PROCESSES), asked = 0, r = 0;
    for (int i = 0; i < n && r == 0; i++) {
        if (o->pid != 0 && peers[i].pid != o->pid)
            continue;
        asked++;
        r = ask(o, &peers[i]);
    }
    free(peers);
    if (o->json) {
        json_dumpf(o->array, stdout, JSON_INDENT(1));
        printf("\n");
        json_decref(o->array);
    } else if (o->prometheus) {
        ss_metrics_print(&o->metrics);
    } else if (asked == 0) {
        fprintf(stderr, "tern ss: no %s is running (root sees those of all users, others their own)\n",
                o->pid != 0 ? "such tern process" : "tern process");
    } else if (o->listed == 0) {
        fprintf(stderr, "tern ss: nothing of that kind in %d tern %s\n", asked,
                asked == 1 ? "process" : "processes");
    }
    return r != 0 ? r : o->listed > 0 ? CMD_OK : CMD_NO;
}

static int set_pid(ss *o, const char *text)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (*end != '\0' || v < 1 || v > 0x7fffffff)
        return cmd_cannot("ss", "'%s' is no process number", text);
    o->pid = (int)v;
    return 0;
}

/* "2", "0.5"; NULL = 1 */
static int set_interval(ss *o, const char *text)
{
    char *end = NULL;
    double v = text != NULL ? strtod(text, &end) : 1;
    if (text != NULL && (*end != '\0' || end == text || !(v >= 0.1 && v <= 86400)))
        return cmd_cannot("ss", "'%s' is no interval; give seconds from 0.1 to 86400", text);
    o->every_us = (uint64_t)(v * 1e6);
    return 0;
}

static int set_states(ss *o, int n, char **names)
{
    for (int i = 0; i < n; i++) {
        int s = state_of(names[i]);
        if (s < 0)
            return cmd_cannot("ss",
                              "no state is called '%s'; there are listen, syn_sent, syn_rcvd, established, "
                              "fin_wait_1, fin_wait_2, close_wait, closing, last_ack, time_wait, closed",
                              names[i]);
        o->wanted[s] = o->any_wanted = true;
    }
    return 0;
}

int cmd_ss(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"all", no_argument, NULL, 'a'},       {"brief", no_argument, NULL, 'b'},
        {"pid", required_argument, NULL, 'p'}, {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},      {"prometheus", no_argument, NULL, OPT_PROMETHEUS},
        {"watch", optional_argument, NULL, 'w'},  {"ports", no_argument, NULL, OPT_PORTS},
        {NULL, 0, NULL, 0}};
    ss o = {0};
    int c, r = 0;
    while (r == 0 && (c = getopt_long(argc, argv, "abp:w::h", long_options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return CMD_OK;
        }
        if (c == '?')
            return cmd_cannot("ss", "see tern ss --help");
        o.all |= c == 'a';
        o.brief |= c == 'b';
        o.json |= c == OPT_JSON;
        o.prometheus |= c == OPT_PROMETHEUS;
        o.watch |= c == 'w';
        o.ports |= c == OPT_PORTS;
        if (c == 'p')
            r = set_pid(&o, optarg);
        if (c == 'w')
            r = set_interval(&o, optarg);
    }
    if (r == 0)
        r = set_states(&o, argc - optind, argv + optind);
    if (r == 0 && o.watch)
        return ss_watch(o.pid, o.every_us, o.any_wanted ? o.wanted : NULL);
    if (r == 0 && o.json)
        o.array = json_array();
    return r != 0 ? r : run(&o);
}
