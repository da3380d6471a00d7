/* play.c - see play.h: parts and promises. The verbs are in verbs.c. */
#include "play.h"

#include "host/trace_json.h"
#include "tale.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLD_ABOVE = 48, PART_GAP_US = 1000000 };

static struct part *now_playing(struct play *p)
{
    return &p->parts.v[p->parts.n - 1];
}

/* --- promises -------------------------------------------------------------------------------- */

static char *text_of(const char *format, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = strdup("?");
    return text;
}

static struct promise *new_promise(struct play *p, char *text, bool ok)
{
    struct promise *q = LIST_ADD(now_playing(p)->promises);
    q->text = text;
    q->ok = ok;
    return q;
}

void promise(struct play *p, bool ok, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    new_promise(p, text_of(format, args), ok);
    va_end(args);
}

void promise_states(struct play *p, int host, const struct end *e, const uint8_t *states)
{
    char text[400];
    int n = snprintf(text, sizeof text, "%s goes ", p->w.host[host].name);
    int length = 0;
    for (; states[length] != TERN_STATES; length++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s", length ? " → " : "",
                      tern_state_name((enum tern_state)states[length]));
    struct promise *q = new_promise(p, strdup(text), false);
    q->states = malloc((size_t)length + 1);
    memcpy(q->states, states, (size_t)length + 1);
    q->host = host;
    q->local = e->local;
    q->remote = e->remote;
}

void line(struct play *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *(char **)LIST_ADD(now_playing(p)->lines) = text_of(format, args);
    va_end(args);
}

/* Whether the model's transitions of that connection are exactly the promised path. */
static bool path_holds(const struct promise *q, const struct verdict *v)
{
    uint32_t step = 0;
    for (uint32_t i = 0; i < v->n_transitions; i++) {
        const struct transition *t = &v->transitions[i];
        if (t->host != q->host || !endpoint_equal(&t->local, &q->local) ||
            !endpoint_equal(&t->remote, &q->remote))
            continue;
        if (q->states[step] == TERN_STATES || t->from != q->states[step] || t->to != q->states[step + 1])
            return false;
        step++;
    }
    return q->states[step] != TERN_STATES && q->states[step + 1] == TERN_STATES;
}

/* --- parts ----------------------------------------------------------------------------------- */

static void capture_part(struct play *p, const struct part *part)
{
    char name[120];
    const struct story *s = &part->story;
    snprintf(name, sizeof name, "%s%s%s", p->scenario->name, s->part[0] ? ", " : "", s->part);
    explain_write(&p->w, name, s->title, p->pcap_shift_us, p->pcap_interfaces++, p->pcap);
}

static void judge_part(struct play *p)
{
    if (!p->on)
        return;
    struct part *part = now_playing(p);
    oracle_judge(&p->w, &part->verdict);
    tale_tell(&p->w, &part->story);
    story_fold(&part->story, FOLD_ABOVE);
    part->ok = part->verdict.ok;
    for (uint32_t i = 0; i < part->promises.n; i++) {
        struct promise *q = &part->promises.v[i];
        if (q->states != NULL)
            q->ok = path_holds(q, &part->verdict);
        part->ok &= q->ok;
    }
    p->ok &= part->ok;
    p->clock_us = p->w.now + PART_GAP_US;
    if (p->pcap != NULL)
        capture_part(p, part);
    world_free(&p->w);
    p->on = false;
}

void play_part(struct play *p, const char *name, const char *title, const struct world_setup *setup)
{
    static const struct world_setup defaults;
    judge_part(p);
    struct part *part = LIST_ADD(p->parts);
    story_init(&part->story, p->scenario->name, name, title);
    struct world_setup s = setup ? *setup : defaults;
    struct rng dice = {.s = p->seed * 1000003 + p->parts.n};
    for (const char *c = p->scenario->name; *c; c++)
        dice.s = dice.s * 131 + (uint8_t)*c;
    s.seed = rng_next(&dice);
    s.start_us = p->clock_us;
    s.watch = p->watch;
    s.ip6 = p->seed % 4 == 2; /* every fourth seed plays over IPv6 */
    p->on = true;
    int error = world_init(&p->w, &s);
    if (p->pcap != NULL)
        explain_begin(&p->w);
    if (error < 0)
        promise(p, false, "the stacks can be made (error %d)", error);
}

static void run(struct play *p, const struct scenario *scenario, uint64_t seed)
{
    p->scenario = scenario;
    p->seed = seed;
    p->ok = true;
    scenario->play(p);
    judge_part(p);
}

void play_run_captured(struct play *p, const struct scenario *scenario, uint64_t seed, struct pcapng *pcap,
                       const struct play *earlier)
{
    memset(p, 0, sizeof *p);
    p->pcap = pcap;
    if (earlier != NULL) {
        p->pcap_shift_us = earlier->pcap_shift_us + earlier->clock_us;
        p->pcap_interfaces = earlier->pcap_interfaces;
    }
    run(p, scenario, seed);
}

void play_run(struct play *p, const struct scenario *scenario, uint64_t seed)
{
    play_run_captured(p, scenario, seed, NULL, NULL);
}

void play_run_watched(struct play *p, const struct scenario *scenario, uint64_t seed, uint64_t clock_us,
                      struct world_watch watch)
{
    memset(p, 0, sizeof *p);
    p->watch = watch;
    p->clock_us = clock_us;
    run(p, scenario, seed);
}

static void part_free(struct part *part)
{
    for (uint32_t i = 0; i < part->promises.n; i++) {
        free(part->promises.v[i].text);
        free(part->promises.v[i].states);
    }
    for (uint32_t i = 0; i < part->lines.n; i++)
        free(part->lines.v[i]);
    free(part->promises.v);
    free(part->lines.v);
    story_free(&part->story);
    verdict_free(&part->verdict);
}

void play_free(struct play *p)
{
    for (uint32_t i = 0; i < p->parts.n; i++)
        part_free(&p->parts.v[i]);
    free(p->parts.v);
    memset(p, 0, sizeof *p);
}

const char *play_failed(const struct play *p)
{
    for (uint32_t i = 0; i < p->parts.n; i++) {
        const struct part *part = &p->parts.v[i];
        for (uint32_t k = 0; k < part->promises.n; k++)
            if (!part->promises.v[k].ok)
                return part->promises.v[k].text;
        if (!part->verdict.ok)
            return part->verdict.complaint[0];
    }
    return NULL;
}

void play_json(const struct play *p, struct json_lines *out)
{
    for (uint32_t i = 0; i < p->parts.n; i++)
        trace_json_print(&p->parts.v[i].story, out);
    trace_json_verdict(p->scenario->name, p->ok, play_failed(p), out);
}
