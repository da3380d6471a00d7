/* metrics.c - see metrics.h.
 *
 * Names follow the habits of Prometheus: counters end in _total, bytes and seconds are the units, one metric
 * with labels where a sum over the labels makes sense. Every counter of counters.def becomes one, with its
 * own words as help; what counts live objects comes from the same table as the JSON.
 */
#include "host/metrics.h"
#include "host/host_internal.h"
#include "host/info_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void metrics_count(struct metrics_tally *tally, const tern_info *info)
{
    tally->by_state[info->state % TERN_STATES]++;
    if (!info->listener || tally->n == METRICS_LISTENERS)
        return;
    if (tally->n == tally->room) {
        uint32_t room = tally->room ? tally->room * 2 : 16;
        struct metrics_listener *bigger = realloc(tally->listeners, room * sizeof *bigger);
        if (!bigger)
            return;
        tally->listeners = bigger;
        tally->room = room;
    }
    tally->listeners[tally->n++] = (struct metrics_listener){
        .local = info->local,
        .backlog = info->backlog,
        .halfopen = info->halfopen,
        .acceptq = info->acceptq,
        .refused_full = info->refused_full,
        .left_unaccepted = info->left_unaccepted,
    };
}

void metrics_free(struct metrics_tally *tally)
{
    free(tally->listeners);
    *tally = (struct metrics_tally){0};
}

/* --- lines -------------------------------------------------------------------------------------- */

/* Only a backslash and a line feed have to be escaped in a help text, and neither occurs in ours. */
static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP tern_%s %s\n# TYPE tern_%s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, uint64_t v)
{
    head(out, name, type, help);
    fprintf(out, "tern_%s %llu\n", name, (unsigned long long)v);
}

static void labelled(FILE *out, const char *name, const char *label, const char *value, uint64_t v)
{
    fprintf(out, "tern_%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)v);
}

/* --- groups of metrics -------------------------------------------------------------------------- */

static void counters(FILE *out, const tern_stats *s)
{
#define STAT(name, text) single(out, #name "_total", "counter", text, s->name);
#include <tern/counters.def>
#undef STAT
    head(out, "dropped_total", "counter", "packets refused, by cause (causes.def); those that occurred");
    for (int c = 0; c < TERN_CAUSES; c++)
        if (s->dropped[c] > 0)
            labelled(out, "dropped_total", "cause", tern_cause_name((enum tern_cause)c), s->dropped[c]);
}

static void states(FILE *out, const struct metrics_tally *tally)
{
    head(out, "connections", "gauge", "connections by state, half-open and TIME_WAIT records included");
    for (int s = 0; s < TERN_STATES; s++)
        if (s != TERN_LISTEN)
            labelled(out, "connections", "state", tern_state_name((enum tern_state)s), tally->by_state[s]);
}

/* Objects, and bytes of memory: the fields of tern_live as the JSON has them. */
static void live(FILE *out, const tern_host *h)
{
    tern_live live;
    const char *key;
    json_t *value;
    tern_get_live(h->stack, &live);
    json_t *fields = tern_live_json(&live);
    head(out, "live", "gauge", "live objects of the stack, by kind; none on a stack with nothing open");
    json_object_foreach(fields, key, value)
    {
        if (strncmp(key, "arena_", 6) != 0)
            labelled(out, "live", "kind", key, (uint64_t)json_integer_value(value));
    }
    json_decref(fields);
    single(out, "memory_used_bytes", "gauge", "memory in use now", live.arena_used - live.arena_free);
    single(out, "memory_peak_bytes", "gauge", "the most memory that was ever in use", live.arena_used);
    single(out, "memory_budget_bytes", "gauge", "the most memory that may be in use", h->budget);
}

static const char *where(const tern_endpoint *e, char buf[64])
{
    static const tern_ip any;
    char ip[46];
    if (memcmp(&e->ip, &any, sizeof any) == 0)
        snprintf(buf, 64, "*:%u", e->port);
    else
        snprintf(buf, 64, tern_ip_is4(&e->ip) ? "%s:%u" : "[%s]:%u", tern_ip_text(&e->ip, ip), e->port);
    return buf;
}

static void listeners(FILE *out, const struct metrics_tally *tally)
{
    static const struct {
        const char *name, *type, *help;
    } of[] = {
        {"listener_backlog", "gauge", "connections that may wait for accept"},
        {"listener_accept_queue", "gauge", "connections that wait for accept"},
        {"listener_halfopen", "gauge", "handshakes whose third step is missing"},
        {"listener_refused_total", "counter", "SYNs and last ACKs ignored because a queue was full"},
        {"listener_left_total", "counter", "connections whose peer was gone before accept"},
    };
    for (size_t m = 0; m < sizeof of / sizeof of[0]; m++) {
        head(out, of[m].name, of[m].type, of[m].help);
        for (uint32_t i = 0; i < tally->n; i++) {
            const struct metrics_listener *l = &tally->listeners[i];
            const uint64_t v[] = {l->backlog, l->acceptq, l->halfopen, l->refused_full, l->left_unaccepted};
            char buf[64];
            labelled(out, of[m].name, "local", where(&l->local, buf), v[m]);
        }
    }
}

/* A label's value may have any characters, these three behind a backslash. */
static const char *escaped(const char *value, char buf[64])
{
    size_t n = 0;
    for (; *value && n < 62; value++) {
        if (*value == '"' || *value == '\\' || *value == '\n')
            buf[n++] = '\\';
        buf[n++] = *value == '\n' ? 'n' : *value;
    }
    buf[n] = '\0';
    return buf;
}

static void links(FILE *out, const tern_host *h)
{
    char device[64];
    head(out, "link_up", "gauge", "1 while the link is there, 0 when its device is gone");
    for (int id = 1; id < HOST_LINKS; id++) {
        const tern_link *l = h->links[id].link;
        if (l)
            fprintf(out, "tern_link_up{link=\"%d\",kind=\"%s\",device=\"%s\"} %d\n", id, l->ops->name,
                    escaped(l->device ? l->device : "", device), h->links[id].gone == 0);
    }
    single(out, "link_refused_packets_total", "counter",
           "packets that a link did not take: its queue was full", h->tx_refused);
    single(out, "trace_lost_total", "counter", "trace records overwritten before they were read",
           h->trace_lost);
}

char *metrics_text(const tern_host *h, const struct metrics_tally *tally, size_t *len)
{
    tern_stats stats;
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        return NULL;
    tern_get_stats(h->stack, &stats);
    head(out, "build_info", "gauge", "the version of the library, as a label");
    fprintf(out, "tern_build_info{version=\"%s\"} 1\n", tern_version());
    states(out, tally);
    listeners(out, tally);
    live(out, h);
    links(out, h);
    counters(out, &stats);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
