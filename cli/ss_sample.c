/* ss_sample.c - what all tern processes say now, and what has changed since they were asked before. */
#include <stdlib.h>
#include <string.h>

#include "host/control.h"
#include <tern/host.h>

#include "ss_watch.h"

enum { PROCESSES = 256 };

static int by_conn(const void *a, const void *b)
{
    uint64_t x = ((const sample_total *)a)->conn, y = ((const sample_total *)b)->conn;
    return x < y ? -1 : x > y;
}

static const sample_process *same_process(const sample *before, const sample_process *p)
{
    for (uint32_t i = 0; before != NULL && i < before->n_processes; i++)
        if (before->processes[i].pid == p->pid && strcmp(before->processes[i].name, p->name) == 0)
            return &before->processes[i];
    return NULL;
}

/* --- one process ------------------------------------------------------------------------------ */

static void ask(const struct tern_control_peer *peer, sample_process *p)
{
    *p = (sample_process){.pid = peer->pid};
    memcpy(p->name, peer->name, sizeof p->name);
    if (tern_control_ask(peer, "stats", &p->stats) != 0)
        p->stats = NULL;
    if (p->stats == NULL || tern_control_ask(peer, "live", &p->ss) != 0)
        p->ss = NULL;
    if (p->ss != NULL)
        p->now_us = ss_number(p->ss, "now_us");
}

static int rank_of(const char *verdict, const char *state)
{
    static const char *const problems[] = {"stuck", "forgotten", "unwatched", "blocked", "lossy"};
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
        if (strcmp(verdict, problems[i]) == 0)
            return 0;
    if (strcmp(verdict, "over") == 0 || strcmp(state, "TIME_WAIT") == 0)
        return 3;
    return strcmp(verdict, "waiting") == 0 ? 1 : 2;
}

static uint64_t per_second(uint64_t now, uint64_t before, uint64_t span_us)
{
    return span_us > 0 && now > before ? (now - before) * 1000000 / span_us : 0;
}

/* What this connection has done since `p` was asked before. */
static void compare(sample_row *r, const sample_total *now, const sample_process *p,
                    const sample_process *before)
{
    const sample_total *then = NULL;
    if (before != NULL && before->n_totals > 0)
        then = bsearch(now, before->totals, before->n_totals, sizeof *now, by_conn);
    if (then == NULL)
        return;
    r->in = per_second(now->in, then->in, p->span_us);
    r->out = per_second(now->out, then->out, p->span_us);
    r->again = now->again > then->again ? now->again - then->again : 0;
}

static void count_state(sample_process *p, const json_t *info)
{
    for (int s = 0; s < TERN_STATES; s++)
        if (strcmp(ss_text(info, "state"), tern_state_name((enum tern_state)s)) == 0)
            p->by_state[s]++;
}

/* The rows and totals of one process; room for them is there. */
static void read_connections(sample *s, uint32_t index, const sample_process *before)
{
    sample_process *p = &s->processes[index];
    const json_t *info;
    size_t i;
    json_array_foreach(json_object_get(p->ss, "connections"), i, info)
    {
        tern_why why;
        count_state(p, info);
        if (json_is_true(json_object_get(info, "listener")))
            continue;
        sample_row *r = &s->rows[s->n_rows++];
        sample_total *t = &p->totals[p->n_totals++];
        *t = (sample_total){ss_number(info, "conn"), ss_number(info, "bytes_received"),
                            ss_number(info, "bytes_acked"), ss_number(info, "retransmits")};
        tern_why_say(info, p->now_us, &why);
        *r = (sample_row){.info = info, .process = index, .verdict = why.verdict, .owes = why.owes};
        r->rank = rank_of(why.verdict, ss_text(info, "state"));
        r->queued = ss_number(info, "recv_queue") + ss_number(info, "send_queue") +
                    ss_number(info, "send_unacked");
        uint64_t since = ss_number(info, "state_since_us");
        r->age_us = p->now_us > since ? p->now_us - since : 0;
        compare(r, t, p, before);
    }
    p->by_state[TERN_TIME_WAIT] += ss_number(p->ss, "time_wait");
    qsort(p->totals, p->n_totals, sizeof *p->totals, by_conn);
}

/* --- all -------------------------------------------------------------------------------------- */

static bool read_all(sample *s, const sample *before)
{
    size_t rows = 0;
    for (uint32_t i = 0; i < s->n_processes; i++)
        rows += json_array_size(json_object_get(s->processes[i].ss, "connections"));
    s->rows = malloc((rows + 1) * sizeof *s->rows);
    for (uint32_t i = 0; s->rows != NULL && i < s->n_processes; i++) {
        sample_process *p = &s->processes[i];
        const sample_process *then = same_process(before, p);
        size_t n = json_array_size(json_object_get(p->ss, "connections"));
        p->totals = malloc((n + 1) * sizeof *p->totals);
        if (p->totals == NULL)
            return false;
        p->span_us = then != NULL && p->now_us > then->now_us ? p->now_us - then->now_us : 0;
        read_connections(s, i, then);
    }
    return s->rows != NULL;
}

sample *sample_take(int pid, const sample *before)
{
    uint64_t began = tern_host_now();
    struct tern_control_peer *peers = malloc(PROCESSES * sizeof *peers);
    sample *s = calloc(1, sizeof *s);
    int n = peers != NULL ? tern_control_list(peers, PROCESSES) : 0;
    if (s != NULL)
        s->processes = calloc((size_t)n + 1, sizeof *s->processes);
    for (int i = 0; s != NULL && s->processes != NULL && i < n; i++)
        if (pid == 0 || peers[i].pid == pid)
            ask(&peers[i], &s->processes[s->n_processes++]);
    bool good = peers != NULL && s != NULL && s->processes != NULL && read_all(s, before);
    free(peers);
    if (!good) {
        sample_free(s);
        return NULL;
    }
    s->took_us = tern_host_now() - began;
    return s;
}

void sample_free(sample *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; s->processes != NULL && i < s->n_processes; i++) {
        json_decref(s->processes[i].ss);
        json_decref(s->processes[i].stats);
        free(s->processes[i].totals);
    }
    free(s->processes);
    free(s->rows);
    free(s);
}

uint64_t sample_rate10(const sample_process *now, const sample *before, const char *counter)
{
    const sample_process *then = same_process(before, now);
    if (then == NULL || then->stats == NULL || now->stats == NULL)
        return 0;
    uint64_t a = ss_number(json_object_get(now->stats, "stats"), counter);
    uint64_t b = ss_number(json_object_get(then->stats, "stats"), counter);
    return a > b && now->span_us > 0 ? (a - b) * 10000000 / now->span_us : 0;
}
