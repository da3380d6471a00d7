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

/* Settings that have a meaning for tern. `values`: those that have one, a letter each; NULL = any. */
static const struct {
    const char *name, *values;
    enum action action;
} known[] = {
    {"net.ipv4.tcp_ecn", "012", ECN},
    {"net.ipv4.tcp_timestamps", "01", TIMESTAMPS},
    {"net.ipv4.tcp_window_scaling", "01", WSCALE},
    {"net.ipv4.tcp_sack", "01", SACK},
    {"net.ipv4.tcp_fastopen", "0", NOTHING},
    {"net.ipv4.tcp_min_tso_segs", NULL, NOTHING}, /* how segments are handed to a device */
    {"net.inet.tcp.ecn.enable", "012", ECN},
    {"net.inet.tcp.sack.enable", "01", SACK},
    {"net.inet.tcp.blackhole", "0", NOTHING},
    {"net.inet.tcp.rfc1323", "1", NOTHING},
    {"net.inet.tcp.hostcache.purgenow", NULL, NOTHING}, /* tern has no such cache */
};

/* Where the setting lies, and what it is to be. */
static uint8_t *field(struct settings *set, enum action action, int n, uint8_t *value)
{
    tern_config *c = &set->config;
    *value = n == 0;
    switch (action) {
    case ECN: *value = n == 0 ? TERN_ECN_OFF : n == 1 ? TERN_ECN_ON : TERN_ECN_PASSIVE; return &c->ecn;
    case TIMESTAMPS: return &c->no_timestamps;
    case WSCALE: return &c->no_wscale;
    case SACK: return &c->no_sack;
    default: return NULL;
    }
}

/* One setting, NAME=VALUE. While the conversation goes on (`late`) it cannot change. False: it has no meaning
 * here. */
static bool set(struct run *r, const char *name, const char *value, bool late)
{
    uint8_t wanted;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *values = known[i].values;
        if (strcmp(known[i].name, name) != 0)
            continue;
        if (values != NULL && (strlen(value) != 1 || strchr(values, value[0]) == NULL))
            return false;
        uint8_t *at = field(&r->set, known[i].action, value[0] - '0', &wanted);
        if (at != NULL && late)
            return *at == wanted;
        if (at != NULL)
            *at = wanted;
        return true;
    }
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

/* The suites' own preparations, and what only lets real time pass or puts things back. */
static bool is_nothing(const char *word)
{
    return ends_with(word, "defaults.sh") || strcmp(word, "sleep") == 0 ||
           strstr(word, "sysctl_restore") != NULL || word[0] == '#';
}

static void read_line(struct run *r, char *line, bool late)
{
    char whole[200], *save = NULL;
    snprintf(whole, sizeof whole, "%s", line);
    for (char *word = strtok_r(line, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save)) {
        char *equals = strchr(word, '=');
        if (is_nothing(word)) {
            if (ends_with(word, "defaults.sh"))
                continue;
            return; /* the rest of the line belongs to it */
        }
        if (is_setter(word) || strcmp(word, "\\") == 0)
            continue;
        if (equals != NULL) {
            *equals = 0;
            dotted(word);
            if (set(r, word, equals + 1, late))
                continue;
        }
        run_skip(r, "the command `%.150s`", whole);
    }
}

static void read_command(struct run *r, const struct event *e, bool late)
{
    char text[2000], *save = NULL; /* not on the heap: run_skip leaves by a jump */
    if (strlen(e->text) >= sizeof text)
        run_skip(r, "a long command");
    strcpy(text, e->text);
    for (char *at = strtok_r(text, "\n;", &save); at != NULL; at = strtok_r(NULL, "\n;", &save))
        read_line(r, at, late);
}

/* Behind the last event of a script commands only put back what was changed. */
static bool something_follows(const struct event *e)
{
    for (e = e->next; e != NULL; e = e->next)
        if (e->kind != EVENT_COMMAND && !(e->kind == EVENT_CALL && strcmp(e->call->name, "close") == 0))
            return true;
    return false;
}

void commands_read(struct run *r)
{
    bool begun = false;
    for (const struct event *e = r->s->events; e != NULL; e = e->next) {
        r->event = e;
        if (e->kind != EVENT_COMMAND)
            begun = true;
        else if (!begun || something_follows(e))
            read_command(r, e, begun);
    }
    r->event = NULL;
}
