/* command.c - what stands in backquotes: commands for the shell of a machine that packetdrill is run on.
 *
 * Nothing is run here. What sets Linux or FreeBSD up as tern is anyway, or can be told to be, is done or
 * passed over; a script that asks for anything else is skipped, with the first command that is the reason.
 */
#include "check/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum action { NOTHING, ECN, TIMESTAMPS, WSCALE, SACK };

/* Settings that have a meaning for tern. `value`: the one that is passed over, NULL = any. */
static const struct {
    const char *name, *value;
    enum action action;
} known[] = {
    {"net.ipv4.tcp_ecn", NULL, ECN},
    {"net.ipv4.tcp_timestamps", NULL, TIMESTAMPS},
    {"net.ipv4.tcp_window_scaling", NULL, WSCALE},
    {"net.ipv4.tcp_sack", NULL, SACK},
    {"net.inet.tcp.sack.enable", NULL, SACK},
    {"net.inet.tcp.ecn.enable", NULL, ECN},
    {"net.inet.tcp.blackhole", "0", NOTHING},
    {"net.inet.tcp.rfc1323", "1", NOTHING},
    {"net.inet.tcp.hostcache.purgenow", NULL, NOTHING},
    {"kern.ipc.maxsockbuf", NULL, NOTHING},
    {"net.ipv4.tcp_congestion_control", "reno", NOTHING},
    {"net.inet.tcp.cc.algorithm", "newreno", NOTHING},
    {"net.ipv4.tcp_fastopen", "0", NOTHING},
    {"net.ipv4.tcp_min_tso_segs", NULL, NOTHING},
    {"net.ipv4.ip_local_port_range", NULL, NOTHING},
};

static void apply(struct run *r, enum action action, const char *value)
{
    tern_config *c = &r->set.config;
    int n = atoi(value);
    if (action == ECN)
        c->ecn = n == 0 ? TERN_ECN_OFF : n == 1 ? TERN_ECN_ON : TERN_ECN_PASSIVE;
    else if (action == TIMESTAMPS)
        c->no_timestamps = n == 0;
    else if (action == WSCALE)
        c->no_wscale = n == 0;
    else if (action == SACK)
        c->no_sack = n == 0;
}

/* One setting, NAME=VALUE. False: it has no meaning here. */
static bool set(struct run *r, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, name) == 0 &&
            (known[i].value == NULL || strcmp(known[i].value, value) == 0))
            return apply(r, known[i].action, value), true;
    return false;
}

/* /proc/sys/net/ipv4/tcp_ecn and net.ipv4.tcp_ecn are the same. */
static void dotted(char *name)
{
    static const char proc[] = "/proc/sys/";
    if (strncmp(name, proc, sizeof proc - 1) == 0)
        memmove(name, name + sizeof proc - 1, strlen(name) - sizeof proc + 2);
    for (; *name; name++)
        *name = *name == '/' ? '.' : *name;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_setter(const char *word)
{
    return strcmp(word, "sysctl") == 0 || strcmp(word, "-w") == 0 || strcmp(word, "-q") == 0 ||
           strcmp(word, "-qw") == 0 || ends_with(word, "set_sysctls.py");
}

static void run_line(struct run *r, char *line)
{
    char whole[200], *save = NULL;
    snprintf(whole, sizeof whole, "%s", line);
    for (char *word = strtok_r(line, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save)) {
        char *equals = strchr(word, '=');
        if (ends_with(word, "defaults.sh") || is_setter(word))
            continue;
        if (strstr(word, "sysctl_restore") != NULL)
            return;
        if (equals != NULL) {
            *equals = 0;
            dotted(word);
            if (set(r, word, equals + 1))
                continue;
        }
        run_skip(r, "the command `%.150s`", whole);
    }
}

void command_read(struct run *r, const struct event *e)
{
    char text[1000], *save = NULL; /* not on the heap: run_skip leaves by a jump */
    r->event = e;
    if (strlen(e->text) >= sizeof text)
        run_skip(r, "a long command");
    strcpy(text, e->text);
    for (char *at = strtok_r(text, "\n;", &save); at != NULL; at = strtok_r(NULL, "\n;", &save))
        run_line(r, at);
    r->event = NULL;
}
