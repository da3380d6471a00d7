/* change.c - `tern addr`, `tern route`, `tern link`, `tern neigh`: the addresses, routes, links and
 * neighbours of a running tern process, listed and changed through its control socket (host/control.h). */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "host/control.h"

enum { OPT_JSON = 256, PROCESSES = 256 };

/* One of the three commands. */
struct subject {
    const char *name, *key; /* "addr", and its list in the answer to "net" */
    const char *usage;
    const char *verbs[5];   /* that change something */
    int min, max;           /* words behind such a verb */
    void (*print)(const json_t *row);
};

struct request {
    const struct subject *subject;
    bool json;
    int pid;          /* 0 = not said */
    const char *name; /* of the process; NULL = not said */
    char line[160];   /* the change; "" = list */
};

#define OPTIONS                                                                                 \
    "\n  -p, --pid PID        of this process, when several run\n"                              \
    "  -n, --name NAME      of the process of this name (`tern ss` shows it: serve, cat, ...)\n" \
    "      --json           the list as a JSON array\n"                                         \
    "  -h, --help           this text\n\n"                                                      \
    "Exit status: 0 done; 1 the process refuses, and says why; 2 it cannot be asked.\n"

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

static int number(const json_t *o, const char *key)
{
    return (int)json_integer_value(json_object_get(o, key));
}

static bool truth(const json_t *o, const char *key) { return json_is_true(json_object_get(o, key)); }

/* How it came, and how long it stays. */
static void print_learned(const json_t *row)
{
    int s = number(row, "valid_s");
    if (truth(row, "learned"))
        printf(s < 0 ? ", by itself" : ", by a router, for %d s", s);
    printf("\n");
}

static void print_addr(const json_t *row)
{
    printf("%s/%d link %d (%s)%s", text(row, "address"), number(row, "prefix_len"), number(row, "link"),
           text(row, "link_name"), truth(row, "deprecated") ? ", deprecated: not for new connections" : "");
    if (strcmp(text(row, "state"), "tentative") == 0)
        printf(", tentative: other hosts are asked whether they have it");
    else if (strcmp(text(row, "state"), "duplicate") == 0)
        printf(", duplicate: another host has it");
    print_learned(row);
}

static void print_route(const json_t *row)
{
    const char *via = text(row, "via");
    printf("%s/%d%s%s link %d (%s)%s", text(row, "dst"), number(row, "prefix_len"),
           via[0] != '\0' ? " via " : "", via, number(row, "link"), text(row, "link_name"),
           truth(row, "by_address") ? ", by an address" : "");
    print_learned(row);
}

static void print_neigh(const json_t *row)
{
    const char *hw = text(row, "ethernet");
    int waiting = number(row, "waiting");
    printf("%s %s link %d (%s) %s for %.1f s%s", text(row, "address"), hw[0] != '\0' ? hw : "unknown",
           number(row, "link"), text(row, "link_name"), text(row, "state"),
           (double)json_integer_value(json_object_get(row, "for_ms")) / 1000,
           truth(row, "router") ? ", router" : "");
    if (waiting > 0)
        printf(", %d packet%s wait%s", waiting, waiting == 1 ? "" : "s", waiting == 1 ? "s" : "");
    printf("\n");
}

static void print_link(const json_t *row)
{
    const char *hw = text(row, "ethernet");
    printf("%d %s %s mtu %d%s%s%s\n", number(row, "id"), text(row, "name"), truth(row, "up") ? "up" : "down",
           number(row, "mtu"), hw[0] != '\0' ? " ethernet " : "", hw,
           truth(row, "gone") ? ", the device is gone" : "");
}

static const struct subject addr_subject = {
    .name = "addr",
    .key = "addresses",
    .usage =
        "usage: tern addr [OPTION...] [list]\n"
        "       tern addr [OPTION...] add CIDR [LINK]\n"
        "       tern addr [OPTION...] remove|deprecate|prefer ADDRESS [LINK]\n\n"
        "The addresses of a running tern process. Connections of an address that is removed end at once,\n"
        "without a word to the peer; one that is deprecated takes no new connections of tern's own, while\n"
        "the others go on. LINK is the name of the device or the number that `tern link` shows.\n" OPTIONS,
    .verbs = {"add", "remove", "deprecate", "prefer"},
    .min = 1,
    .max = 2,
    .print = print_addr,
};

static const struct subject route_subject = {
    .name = "route",
    .key = "routes",
    .usage =
        "usage: tern route [OPTION...] [list]\n"
        "       tern route [OPTION...] add|remove|replace CIDR [LINK]\n"
        "       tern route [OPTION...] via CIDR GATEWAY [LINK]\n\n"
        "The routes of a running tern process: the longest prefix whose link is up leads, then the one that\n"
        "was added first. Connections follow at once. A gateway is a neighbour on an Ethernet link.\n"
        OPTIONS,
    .verbs = {"add", "remove", "replace", "via"},
    .min = 1,
    .max = 3,
    .print = print_route,
};

static const struct subject link_subject = {
    .name = "link",
    .key = "links",
    .usage =
        "usage: tern link [OPTION...] [list]\n"
        "       tern link [OPTION...] up|down LINK\n"
        "       tern link [OPTION...] mtu LINK BYTES\n\n"
        "The links of a running tern process. By one that is down nothing is sent or received; its\n"
        "connections take another route or wait. A new MTU changes the segments of all connections.\n"
        OPTIONS,
    .verbs = {"up", "down", "mtu"},
    .min = 1,
    .max = 2,
    .print = print_link,
};

static const struct subject neigh_subject = {
    .name = "neigh",
    .key = "neighbours",
    .usage =
        "usage: tern neigh [OPTION...] [list]\n"
        "       tern neigh [OPTION...] flush [ADDRESS|all] [LINK]\n\n"
        "The neighbours of a running tern process on its Ethernet links: their addresses, by ARP and\n"
        "neighbour discovery, and what is known of them (RFC 4861 7.3.2). flush forgets them; they are\n"
        "asked anew when something is sent to them.\n" OPTIONS,
    .verbs = {"flush"},
    .min = 0,
    .max = 2,
    .print = print_neigh,
};

/* --- asking -------------------------------------------------------------------------------------- */

static bool fits(const struct request *r, const struct tern_control_peer *p)
{
    return (r->pid == 0 || p->pid == r->pid) && (r->name == NULL || strcmp(p->name, r->name) == 0);
}

static int several(const struct request *r, const struct tern_control_peer *all, int n)
{
    fprintf(stderr, "tern %s: several tern processes run; choose one with --pid:", r->subject->name);
    for (int i = 0; i < n; i++)
        if (fits(r, &all[i]))
            fprintf(stderr, " %d (%s)", all[i].pid, all[i].name);
    fprintf(stderr, "\n");
    return CMD_CANNOT;
}

/* The one process that is meant. */
static int find(const struct request *r, struct tern_control_peer *out)
{
    static const size_t size = PROCESSES * sizeof(struct tern_control_peer);
    struct tern_control_peer *all = malloc(size);
    int n = all != NULL ? tern_control_list(all, PROCESSES) : 0, found = 0, result = 0;
    for (int i = 0; i < n; i++)
        if (fits(r, &all[i]) && found++ == 0)
            *out = all[i];
    if (found == 0)
        result = cmd_cannot(r->subject->name,
                            "no %s is running (root sees those of all users, others their own)",
                            r->pid != 0 || r->name != NULL ? "such tern process" : "tern process");
    else if (found > 1)
        result = several(r, all, n);
    free(all);
    return result;
}

static void show(const struct request *r, const json_t *answer)
{
    json_t *list = json_object_get(answer, r->subject->key), *row;
    size_t i;
    if (r->json) {
        json_dumpf(list, stdout, JSON_INDENT(1));
        printf("\n");
        return;
    }
    json_array_foreach(list, i, row) r->subject->print(row);
}

static int ask(const struct request *r)
{
    struct tern_control_peer peer;
    json_t *answer = NULL;
    int result = find(r, &peer);
    if (result != 0)
        return result;
    int e = tern_control_ask(&peer, r->line[0] != '\0' ? r->line : "net", &answer);
    if (e != 0)
        return cmd_cannot(r->subject->name, "process %d (%s) does not answer: %s", peer.pid, peer.name,
                          strerror(-e));
    const char *refusal = text(answer, "error");
    if (refusal[0] != '\0') {
        fprintf(stderr, "tern %s: process %d (%s) refuses: %s\n", r->subject->name, peer.pid, peer.name,
                refusal);
        result = CMD_NO;
    } else if (r->line[0] == '\0') {
        show(r, answer);
    }
    json_decref(answer);
    return result;
}

/* --- the command line ---------------------------------------------------------------------------- */

static bool known_verb(const struct subject *s, const char *verb)
{
    for (int i = 0; s->verbs[i] != NULL; i++)
        if (strcmp(s->verbs[i], verb) == 0)
            return true;
    return false;
}

/* A word that is to stand in a line of words. */
static bool plain(const char *word)
{
    return word[0] != '\0' && strpbrk(word, " \t\r\n") == NULL;
}

/* "add 192.0.2.7/24 tern0" behind the options, to the line that is asked. */
static int make_line(struct request *r, int n, char **words)
{
    const struct subject *s = r->subject;
    if (n == 0 || (n == 1 && strcmp(words[0], "list") == 0))
        return 0;
    if (!known_verb(s, words[0]) || n - 1 < s->min || n - 1 > s->max)
        return cmd_cannot(s->name, "see tern %s --help", s->name);
    size_t len = (size_t)snprintf(r->line, sizeof r->line, "%s", s->name);
    for (int i = 0; i < n; i++) {
        if (!plain(words[i]) || len + strlen(words[i]) + 3 > sizeof r->line)
            return cmd_cannot(s->name, "'%s' is no address, link or number", words[i]);
        len += (size_t)snprintf(r->line + len, sizeof r->line - len, " %s", words[i]);
    }
    return 0;
}

static int set_pid(struct request *r, const char *word)
{
    char *end;
    long v = strtol(word, &end, 10);
    if (*end != '\0' || v < 1 || v > 0x7fffffff)
        return cmd_cannot(r->subject->name, "'%s' is no process number", word);
    r->pid = (int)v;
    return 0;
}

static int run(const struct subject *s, int argc, char **argv)
{
    static const struct option long_options[] = {
        {"pid", required_argument, NULL, 'p'},  {"name", required_argument, NULL, 'n'},
        {"json", no_argument, NULL, OPT_JSON}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct request r = {.subject = s};
    int c, e = 0;
    while (e == 0 && (c = getopt_long(argc, argv, "p:n:h", long_options, NULL)) != -1) {
        switch (c) {
        case 'h': fputs(s->usage, stdout); return CMD_OK;
        case 'p': e = set_pid(&r, optarg); break;
        case 'n': r.name = optarg; break;
        case OPT_JSON: r.json = true; break;
        default: return cmd_cannot(s->name, "see tern %s --help", s->name);
        }
    }
    if (e == 0)
        e = make_line(&r, argc - optind, argv + optind);
    return e != 0 ? e : ask(&r);
}

int cmd_addr(int argc, char **argv) { return run(&addr_subject, argc, argv); }
int cmd_route(int argc, char **argv) { return run(&route_subject, argc, argv); }
int cmd_link(int argc, char **argv) { return run(&link_subject, argc, argv); }
int cmd_neigh(int argc, char **argv) { return run(&neigh_subject, argc, argv); }
