/* path.c - see path.h. Packets under way lie in a heap, ordered by arrival and then by who set out first. */
#include "path.h"

#include <stdlib.h>
#include <string.h>

static bool earlier(const struct world *w, uint32_t a, uint32_t b)
{
    uint64_t at = w->wire.v[a].due_us, bt = w->wire.v[b].due_us;
    return at != bt ? at < bt : a < b;
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

static void heap_push(struct world *w, uint32_t index)
{
    *(uint32_t *)LIST_ADD(w->under_way) = index;
    uint32_t *v = w->under_way.v;
    for (uint32_t i = w->under_way.n - 1; i > 0 && earlier(w, v[i], v[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&v[i], &v[(i - 1) / 2]);
}

static uint32_t heap_pop(struct world *w)
{
    uint32_t *v = w->under_way.v, top = v[0], n = --w->under_way.n;
    v[0] = v[n];
    for (uint32_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && earlier(w, v[child + 1], v[child]))
            child++;
        if (!earlier(w, v[child], v[i]))
            break;
        swap(&v[child], &v[i]);
    }
    return top;
}

static int host_of(const struct world *w, const tern_ip *ip)
{
    for (int i = 0; i < HOSTS; i++)
        if (ip_equal(&w->host[i].ip, ip))
            return i;
    return OUTSIDE;
}

static uint32_t record(struct world *w, int from, const uint8_t *bytes, uint32_t len, uint64_t delay)
{
    struct segment s;
    uint32_t index = w->wire.n;
    struct wire *p = LIST_ADD(w->wire);
    segment_parse(&s, bytes, len);
    p->sent_us = w->now;
    p->due_us = w->now + delay;
    p->from = (int8_t)from;
    p->to = (int8_t)host_of(w, &s.dst.ip);
    p->len = len;
    p->bytes = malloc(len);
    memcpy(p->bytes, bytes, len);
    return index;
}

static void lose(struct world *w, uint32_t index, const char *words)
{
    struct wire *p = &w->wire.v[index];
    p->fate = LOST;
    p->lost_why = words;
    world_log(w, LOG_LOST, p->from, index);
}

static void depart(struct world *w, uint32_t index)
{
    const struct wire *p = &w->wire.v[index];
    if ((p->from >= 0 && w->host[p->from].cut) || (p->to >= 0 && w->host[p->to].cut))
        lose(w, index, "the cable is out");
    else if (w->lifetime_us && p->due_us - p->sent_us > w->lifetime_us)
        lose(w, index, "older than 1 MSL: discarded");
    else
        heap_push(w, index);
}

static bool matches(const struct fault *f, int from, const struct segment *s)
{
    return f->from == from && (s->flags & f->set) == f->set && (s->flags & f->clear) == 0 &&
           !(f->with_data && s->len == 0) && !(f->without_data && s->len != 0) &&
           (f->port == 0 || f->port == s->src.port || f->port == s->dst.port);
}

/* The fault that harms this segment, or NULL. Every fault that matches counts it. */
static const struct fault *harm(struct world *w, int from, const struct segment *s)
{
    const struct fault *found = NULL;
    for (uint32_t i = 0; i < w->faults.n; i++) {
        struct fault *f = &w->faults.v[i];
        if (!matches(f, from, s))
            continue;
        uint32_t n = f->seen++;
        if (found == NULL && n >= f->skip && (f->count == 0 || n < f->skip + f->count))
            found = f;
    }
    return found;
}

static void second_copy(struct world *w, uint32_t index, uint64_t extra_us)
{
    const struct wire *p = &w->wire.v[index];
    uint32_t copy = record(w, p->from, p->bytes, p->len, p->due_us - p->sent_us + extra_us);
    w->wire.v[copy].copy = true;
    depart(w, copy);
}

struct wire *path_send(struct world *w, int from, const uint8_t *bytes, uint32_t len)
{
    struct segment s;
    uint32_t index = record(w, from, bytes, len, w->delay_us[from]);
    segment_parse(&s, bytes, len);
    world_log(w, LOG_SENT, from, index);
    const struct fault *f = harm(w, from, &s);
    if (f != NULL && f->what == HOLD)
        w->wire.v[index].due_us += f->extra_us;
    if (f != NULL && f->what == DROP)
        lose(w, index, f->words ? f->words : "lost on the way");
    else
        depart(w, index);
    if (f != NULL && f->what == DUPLICATE)
        second_copy(w, index, f->extra_us);
    return &w->wire.v[index];
}

uint32_t path_forge(struct world *w, int from, const struct segment *s, uint64_t delay_us)
{
    uint8_t bytes[PACKET_MAX];
    uint32_t index = record(w, from, bytes, segment_build(s, bytes), delay_us);
    w->wire.v[index].forged = true;
    world_log(w, LOG_SENT, from, index);
    depart(w, index);
    return index;
}

uint32_t path_replay(struct world *w, uint32_t index, uint64_t delay_us)
{
    const struct wire *old = &w->wire.v[index];
    uint32_t copy = record(w, old->from, old->bytes, old->len, delay_us);
    w->wire.v[copy].copy = true;
    w->wire.v[copy].sent_us = w->wire.v[index].sent_us;
    depart(w, copy);
    return copy;
}

uint64_t path_next(const struct world *w)
{
    return w->under_way.n ? w->wire.v[w->under_way.v[0]].due_us : NEVER;
}

struct wire *path_take(struct world *w)
{
    uint32_t index = heap_pop(w);
    struct wire *p = &w->wire.v[index];
    if (p->to >= 0 && w->host[p->to].cut) {
        lose(w, index, "the cable is out");
    } else if (p->to == OUTSIDE) {
        p->fate = LOST;
        p->lost_why = "nobody lives there";
        world_log(w, LOG_LOST, OUTSIDE, index);
    } else {
        p->fate = ARRIVED;
        world_log(w, LOG_ARRIVED, p->to, index);
    }
    return p;
}

void path_fault(struct world *w, struct fault f)
{
    *(struct fault *)LIST_ADD(w->faults) = f;
}

void path_no_faults(struct world *w)
{
    w->faults.n = 0;
}

const struct wire *path_find(const struct world *w, int from, uint8_t set, uint8_t clear, uint32_t n,
                             struct segment *s)
{
    for (uint32_t i = 0; i < w->wire.n; i++) {
        const struct wire *p = &w->wire.v[i];
        if (p->from != from || p->copy || segment_parse(s, p->bytes, p->len) != NULL)
            continue;
        if ((s->flags & set) == set && (s->flags & clear) == 0 && n-- == 0)
            return p;
    }
    return NULL;
}
