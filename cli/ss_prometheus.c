/* ss_prometheus.c - `tern ss --prometheus`: the metrics of all processes as one text, each sample with its
 * process as a label. A metric may have one head and its samples must stand together, so the texts are
 * merged metric by metric. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ss.h"

/* One metric: its two lines of head, and the samples of all processes. */
struct ss_metric {
    ss_metric *next;
    char *head, *samples;
    size_t head_len, room, len;
};

/* "# HELP NAME " of both is the same. */
static bool same_name(const char *a, const char *b)
{
    size_t n = strlen("# HELP ");
    n += strcspn(a + n, " \n") + 1;
    return strncmp(a, b, n) == 0;
}

static ss_metric *metric_of(ss_metrics *all, const char *head, size_t len)
{
    ss_metric **at = &all->first;
    for (; *at != NULL; at = &(*at)->next)
        if (same_name((*at)->head, head))
            return *at;
    ss_metric *m = calloc(1, sizeof *m);
    if (m == NULL || (m->head = strndup(head, len)) == NULL) {
        free(m);
        return NULL;
    }
    m->head_len = len;
    return *at = m;
}

static bool append(ss_metric *m, const char *text, size_t len)
{
    if (m->len + len > m->room) {
        size_t room = (m->len + len) * 2;
        char *bigger = realloc(m->samples, room);
        if (bigger == NULL)
            return false;
        m->samples = bigger;
        m->room = room;
    }
    memcpy(m->samples + m->len, text, len);
    m->len += len;
    return true;
}

/* `NAME VALUE` or `NAME{LABELS} VALUE`, with the process' labels before the others. False too when the line
 * is neither. */
static bool append_sample(ss_metric *m, const char *line, size_t len, const char *labels)
{
    size_t name = strcspn(line, "{ ");
    bool has = line[name] == '{';
    return name > 0 && name < len && append(m, line, name) && append(m, "{", 1) &&
           append(m, labels, strlen(labels)) && append(m, has ? "," : "}", 1) &&
           append(m, line + name + has, len - name - has);
}

/* Bytes of the next n lines; 0: there are not so many. */
static size_t lines(const char *text, int n)
{
    const char *end = text;
    for (; n > 0; n--) {
        end = strchr(end, '\n');
        if (end == NULL)
            return 0;
        end++;
    }
    return (size_t)(end - text);
}

bool ss_metrics_add(ss_metrics *all, const char *text, const char *process, int pid)
{
    char labels[100];
    ss_metric *m = NULL;
    snprintf(labels, sizeof labels, "process=\"%s\",pid=\"%d\"", process, pid);
    while (*text != '\0') {
        bool head = strncmp(text, "# HELP ", 7) == 0;
        size_t len = lines(text, head ? 2 : 1); /* # TYPE follows */
        if (len == 0)
            return false; /* cut off: its process has ended */
        if (head)
            m = metric_of(all, text, len);
        if (m == NULL || (!head && !append_sample(m, text, len, labels)))
            return false;
        text += len;
    }
    return true;
}

void ss_metrics_print(ss_metrics *all)
{
    while (all->first != NULL) {
        ss_metric *m = all->first;
        all->first = m->next;
        fwrite(m->head, 1, m->head_len, stdout);
        if (m->len > 0)
            fwrite(m->samples, 1, m->len, stdout);
        free(m->head);
        free(m->samples);
        free(m);
    }
}
