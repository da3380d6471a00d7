/* report.c - the ladder of a run: what tern's trace says about the connection that was last in use. */
#include "check/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/ladder.h"
#include "host/story.h"

enum { TRACE_MAX = 65536, FOLD = 40 };

void report_take_trace(struct run *r)
{
    enum { AT_ONCE = 256 };
    for (;;) {
        if (r->n_trace + AT_ONCE > r->cap_trace) {
            if (r->cap_trace >= TRACE_MAX) /* the beginning is told; nobody reads a ladder that long */
                r->n_trace -= AT_ONCE;
            else
                r->cap_trace = r->cap_trace ? r->cap_trace * 2 : AT_ONCE;
            r->trace = realloc(r->trace, r->cap_trace * sizeof *r->trace);
        }
        int n = tern_trace_take(r->t, r->trace + r->n_trace, AT_ONCE, NULL);
        r->n_trace += (uint32_t)n;
        if (n < AT_ONCE)
            return;
    }
}

static bool is_of(const tern_trace_record *rec, const struct flow *f)
{
    return rec->local_port == f->local.port && rec->remote_port == f->remote.port &&
           memcmp(&rec->remote, &f->remote.ip, sizeof rec->remote) == 0;
}

/* The record's connection, and what happened before and after it at the same addresses, as one. */
static uint32_t choose(const struct run *r, tern_trace_record *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_trace; i++) {
        if (r->current < 0 || !is_of(&r->trace[i], &r->flow[r->current]))
            continue;
        out[n] = r->trace[i];
        out[n++].conn = 1;
    }
    return n;
}

static char *draw(const struct story *s, bool color)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return NULL;
    ladder_print(s, out, color);
    fclose(out);
    return text;
}

void report_ladder(struct run *r, bool color)
{
    struct story story;
    if (!r->broken)
        report_take_trace(r);
    tern_trace_record *mine = malloc((r->n_trace + 1) * sizeof *mine);
    uint32_t n = choose(r, mine);
    if (n > 0) {
        story_init(&story, "check", "", "");
        story_from_trace(&story, mine, n, 1);
        story_name(&story, STORY_LEFT, "tern", "");
        story_name(&story, STORY_RIGHT, "peer", "");
        story.start_us = r->zero;
        story_fold(&story, FOLD);
        r->result->ladder = draw(&story, color);
        story_free(&story);
    }
    free(mine);
}
