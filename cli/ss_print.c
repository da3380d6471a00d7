/* ss_print.c - the table and the sentences of `tern ss`. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ss.h"

enum { GROUPS = 256 };

static int columns(void)
{
    struct winsize w;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40)
        return w.ws_col < 120 ? w.ws_col : 120;
    return 110;
}

/* Words of a text, broken at blanks, each line indented. */
static void print_wrapped(const char *text, int width)
{
    int at = 0;
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (at > 0 && at + 1 + len > width) {
            printf("\n");
            at = 0;
        }
        at += at == 0 ? printf("%*s%.*s", SS_INDENT, "", len, text) : printf(" %.*s", len, text);
        text += len;
        text += *text == ' ';
    }
    printf("\n");
}

void ss_wrapped(const char *text) { print_wrapped(text, columns() - SS_INDENT); }

const char *ss_place(const json_t *info, const char *ip_key, const char *port_key, char buf[64])
{
    const char *ip = ss_text(info, ip_key);
    unsigned port = (unsigned)ss_number(info, port_key);
    if (strcmp(ip, "::") == 0 || strcmp(ip, "0.0.0.0") == 0)
        snprintf(buf, 64, port != 0 ? "*:%u" : "*", port);
    else
        snprintf(buf, 64, strchr(ip, ':') != NULL ? "[%s]:%u" : "%s:%u", ip, port);
    return buf;
}

static const char *timer(const ss_process *p, const json_t *info, char buf[64])
{
    char span[32];
    const char *name = ss_text(info, "timer");
    uint64_t due = ss_number(info, "timer_us");
    if (name[0] == '\0' || strcmp(name, "none") == 0)
        return "-";
    snprintf(buf, 64, "%s in %s", name, tern_why_span(due > p->now_us ? due - p->now_us : 0, span));
    return buf;
}

static void print_row(const ss_process *p, const ss_row *r)
{
    char local[64], remote[64], span[32], due[64];
    const json_t *i = r->info;
    uint64_t since = ss_number(i, "state_since_us");
    bool listener = json_is_true(json_object_get(i, "listener"));
    uint64_t in = listener ? ss_number(i, "acceptq") : ss_number(i, "recv_queue");
    uint64_t out =
        listener ? ss_number(i, "backlog") : ss_number(i, "send_queue") + ss_number(i, "send_unacked");
    printf("%-11s  %-22s  %-22s  %7llu  %7llu  %-10s  %s\n", ss_text(i, "state"),
           ss_place(i, "local", "local_port", local), ss_place(i, "remote", "remote_port", remote),
           (unsigned long long)in, (unsigned long long)out, tern_why_span(p->now_us - since, span),
           timer(p, i, due));
}

void ss_print(const ss_process *p, bool brief)
{
    printf("%s, process %d (tern %s)\n", ss_text(p->answer, "name"), (int)ss_number(p->answer, "pid"),
           ss_text(p->answer, "version"));
    if (p->n_rows > 0)
        printf("%-11s  %-22s  %-22s  %7s  %7s  %-10s  %s\n", "State", "Local", "Remote", "Recv-Q", "Send-Q",
               "Since", "Timer");
    for (int i = 0; i < p->n_rows; i++) {
        print_row(p, &p->rows[i]);
        if (!brief)
            ss_wrapped(p->rows[i].why.text);
    }
}

/* --- the summary ------------------------------------------------------------------------------ */

typedef struct group {
    const char *peer;
    int count, recent; /* recent: entered the state within the last minute */
    uint64_t oldest_us;
} group;

static int by_count(const void *a, const void *b)
{
    return ((const group *)b)->count - ((const group *)a)->count;
}

/* Connections in one state by their peer's address, those of very many peers in one last group. Returns the
 * number of groups. */
static int group_by_peer(const ss_process *p, const char *state, group *g)
{
    const json_t *list = json_object_get(p->answer, "connections"), *info;
    size_t i;
    int n = 0;
    json_array_foreach(list, i, info)
    {
        const char *peer = ss_text(info, "remote");
        uint64_t age = p->now_us - ss_number(info, "state_since_us");
        int k = 0;
        if (strcmp(ss_text(info, "state"), state) != 0)
            continue;
        while (k < n && k < GROUPS - 1 && strcmp(g[k].peer, peer) != 0)
            k++;
        if (k == n)
            g[n++] = (group){.peer = k < GROUPS - 1 ? peer : "others"};
        g[k].count++;
        g[k].recent += age < 60000000;
        g[k].oldest_us = age > g[k].oldest_us ? age : g[k].oldest_us;
    }
    qsort(g, (size_t)n, sizeof *g, by_count);
    return n;
}

/* A line of which what does not fit is left out: names come from another process. */
struct line {
    char text[400];
    size_t at;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->at, sizeof l->text - l->at, format, args);
    va_end(args);
    l->at += n > 0 ? (size_t)n : 0;
    l->at = l->at < sizeof l->text ? l->at : sizeof l->text - 1;
}

/* "12 in CLOSE_WAIT, all with 192.0.2.2; the oldest for 14 min, 3 of them new in the last minute" */
static void print_group(const char *state, const group *g, int n, const char *meaning)
{
    struct line line = {.at = 0};
    char span[32];
    int total = 0, recent = 0;
    uint64_t oldest = 0;
    for (int i = 0; i < n; i++) {
        total += g[i].count;
        recent += g[i].recent;
        oldest = g[i].oldest_us > oldest ? g[i].oldest_us : oldest;
    }
    add(&line, "%d in %s, ", total, state);
    if (n == 1)
        add(&line, "all with %.100s", g[0].peer);
    else
        add(&line, "with %d peers, most (%d) with %.100s", n, g[0].count, g[0].peer);
    add(&line, "; the oldest for %s", tern_why_span(oldest, span));
    if (recent > 0)
        add(&line, ", %d new in the last minute", recent);
    add(&line, ". %s", meaning);
    ss_wrapped(line.text);
}

void ss_summary(const ss_process *p)
{
    static const char *const states[][2] = {
        {"CLOSE_WAIT", "The other sides have closed, this program has not."},
        {"FIN_WAIT_2", "This program has closed, the other sides have not."},
        {"TIME_WAIT", "Harmless: reserved for 2 MSL after this side closed first; each costs tens of bytes."},
        {"SYN_RCVD", "The third step of their handshakes is missing."},
    };
    group *g = calloc(GROUPS, sizeof *g);
    for (size_t i = 0; g != NULL && i < sizeof states / sizeof states[0]; i++) {
        int n = group_by_peer(p, states[i][0], g), total = 0;
        for (int k = 0; k < n; k++)
            total += g[k].count;
        if (total > 1 || (p->left_out > 0 && i == 2))
            print_group(states[i][0], g, n, states[i][1]);
    }
    free(g);
}
