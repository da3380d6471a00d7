/* oracle.c - see oracle.h. */
#include "oracle.h"

#include "host/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMER_SLACK_US = 20000 }; /* a stack may let a long timer run a little longer */

static void judge_sent(struct model *m, const struct wire *p, struct verdict *v)
{
    struct segment seg;
    if (p->forged || p->from < 0 || m->w->host[p->from].stack == NULL)
        return;
    const char *wrong = segment_parse(&seg, p->bytes, p->len);
    v->segments++;
    if (wrong != NULL)
        model_complain(m, "%s sends a packet that is not well-formed: %s", model_host(m, p->from), wrong);
    else
        model_sent(m, p->from, &seg);
}

static void judge_arrived(struct model *m, const struct wire *p)
{
    struct segment seg;
    if (p->to >= 0 && m->w->host[p->to].stack != NULL && segment_parse(&seg, p->bytes, p->len) == NULL)
        model_arrive(m, p->to, &seg);
}

static void judge_entry(struct model *m, const struct log_entry *e, struct verdict *v)
{
    const struct world *w = m->w;
    model_time(m, e->t_us);
    switch (e->kind) {
    case LOG_SENT: judge_sent(m, &w->wire.v[e->index], v); break;
    case LOG_ARRIVED: judge_arrived(m, &w->wire.v[e->index]); break;
    case LOG_CALL:
        v->calls++;
        model_call(m, &w->calls.v[e->index]);
        break;
    case LOG_CRASH: model_crash(m, e->host); break;
    default: break;
    }
}

/* A program that holds a connection must have been told of its end. */
static void judge_ends(struct model *m)
{
    for (uint32_t i = 0; i < m->sides.n; i++) {
        const struct side *s = &m->sides.v[i];
        if (s->accepted && !s->released && !s->told_end && s->state == TERN_CLOSED)
            model_complain(m, "%s's program still holds a connection that has ended, and was not told",
                           model_host(m, s->host));
    }
}

/* --- afterwards: what the stacks said of themselves ------------------------------------------ */

/* A half-open record that goes: LISTEN to the stack's reader, no record to the model's. */
static uint8_t plain(uint8_t state)
{
    return state == TERN_LISTEN ? (uint8_t)TERN_CLOSED : state;
}

static bool agree(const struct transition *t, const struct state_change *c, uint8_t from, uint8_t to)
{
    uint64_t apart = t->t_us > c->t_us ? t->t_us - c->t_us : c->t_us - t->t_us;
    return t->host == c->host && t->local.port == c->local.port && endpoint_equal(&t->remote, &c->remote) &&
           plain(t->from) == plain(from) && plain(t->to) == plain(to) && apart <= TIMER_SLACK_US;
}

static bool claim(struct model *m, const struct state_change *c, uint8_t from, uint8_t to, uint32_t *start)
{
    while (*start < m->transitions.n && m->transitions.v[*start].matched)
        ++*start;
    for (uint32_t i = *start; i < m->transitions.n; i++) {
        struct transition *t = &m->transitions.v[i];
        if (!t->matched && agree(t, c, from, to))
            return t->matched = true;
    }
    return false;
}

static void compare(struct model *m, struct verdict *v)
{
    uint32_t start = 0;
    for (uint32_t i = 0; i < m->w->states.n; i++) {
        const struct state_change *c = &m->w->states.v[i];
        uint8_t from = c->from, to = c->to;
        if (story_edge_hidden(c->cause, from))
            continue;
        story_edge(c->cause, &from, &to);
        m->now = c->t_us;
        if (claim(m, c, from, to, &start))
            v->states++;
        else
            model_complain(m, "%s's stack says %s -> %s (%s); the wire does not", model_host(m, c->host),
                           tern_state_name((enum tern_state)from), tern_state_name((enum tern_state)to),
                           tern_cause_name((enum tern_cause)c->cause));
    }
    for (uint32_t i = 0; i < m->transitions.n; i++) {
        const struct transition *t = &m->transitions.v[i];
        m->now = t->t_us;
        if (!t->matched)
            model_complain(m, "the wire says that %s went %s -> %s; its stack does not",
                           model_host(m, t->host), tern_state_name((enum tern_state)t->from),
                           tern_state_name((enum tern_state)t->to));
    }
}

void oracle_judge(const struct world *w, struct verdict *v)
{
    struct model m;
    memset(v, 0, sizeof *v);
    model_init(&m, w);
    for (uint32_t i = 0; i < w->log.n; i++)
        judge_entry(&m, &w->log.v[i], v);
    model_time(&m, w->now);
    judge_ends(&m);
    compare(&m, v);
    if (w->stuck)
        model_complain(&m, "a stack says again and again that it has output, and gives none");
    v->n_complaints = m.n_complaints;
    memcpy(v->complaint, m.complaint, sizeof v->complaint);
    v->ok = m.n_complaints == 0;
    v->transitions = m.transitions.v;
    v->n_transitions = m.transitions.n;
    m.transitions.v = NULL;
    model_free(&m);
}

void verdict_free(struct verdict *v)
{
    free(v->transitions);
    v->transitions = NULL;
}
