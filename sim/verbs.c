/* verbs.c - the verbs of which scenarios are told (play.h). */
#include "play.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_US = 600000000 };

void remark(struct play *p, int host, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    world_note(&p->w, host, text);
}

/* --- opening --------------------------------------------------------------------------------- */

bool open_pair_from(struct play *p, struct pair *c, struct end *listener, uint16_t port)
{
    c->listener = listener ? listener : prog_listen(&p->w, B, PORT, 0);
    c->b = NULL;
    c->a = prog_connect(&p->w, A, B, PORT, port);
    if (c->a->result == 0)
        settle(p);
    if (c->a->result == 0)
        c->b = prog_accept(c->listener);
    bool open = c->b != NULL && prog_state(c->a) == TERN_ESTABLISHED && prog_state(c->b) == TERN_ESTABLISHED;
    if (!open)
        promise(p, false, "A and B open a connection");
    return open;
}

bool open_pair(struct play *p, struct pair *c)
{
    return open_pair_from(p, c, NULL, 0);
}

/* --- waiting --------------------------------------------------------------------------------- */

struct wait {
    struct play *p;
    struct end *e;
    enum tern_state state;
    uint32_t bits;
    uint32_t seen; /* entries of the log looked at */
    int from;
    uint8_t set, clear;
};

static bool is_in_state(void *ctx)
{
    const struct wait *w = ctx;
    return prog_state(w->e) == w->state;
}

bool reaches(struct play *p, struct end *e, enum tern_state state)
{
    struct wait w = {.e = e, .state = state};
    bool ok = world_until(&p->w, is_in_state, &w, PATIENCE_US);
    if (!ok)
        promise(p, false, "%s reaches %s (it is in %s)", p->w.host[e->host].name, tern_state_name(state),
                tern_state_name(prog_state(e)));
    return ok;
}

static bool was_told(void *ctx)
{
    const struct wait *w = ctx;
    return w->e->told & w->bits;
}

bool hears(struct play *p, struct end *e, uint32_t bits)
{
    struct wait w = {.e = e, .bits = bits};
    bool ok = world_until(&p->w, was_told, &w, PATIENCE_US);
    if (!ok)
        promise(p, false, "%s's program hears of event %#x", p->w.host[e->host].name, bits);
    return ok;
}

static bool has_arrived(void *ctx)
{
    struct wait *w = ctx;
    const struct world *world = &w->p->w;
    for (; w->seen < world->log.n; w->seen++) {
        const struct log_entry *e = &world->log.v[w->seen];
        struct segment s;
        if (e->kind != LOG_ARRIVED && e->kind != LOG_LOST)
            continue;
        const struct wire *wire = &world->wire.v[e->index];
        if (wire->from == w->from && segment_parse(&s, wire->bytes, wire->len) == NULL &&
            (s.flags & w->set) == w->set && (s.flags & w->clear) == 0) {
            w->seen++;
            return true;
        }
    }
    return false;
}

bool until_arrived(struct play *p, int from, uint8_t set, uint8_t clear)
{
    struct wait w = {.p = p, .from = from, .set = set, .clear = clear, .seen = p->w.log.n};
    bool ok = world_until(&p->w, has_arrived, &w, PATIENCE_US);
    char flags[40];
    if (!ok)
        promise(p, false, "%s sends %s", p->w.host[from].name, story_flags(set, flags));
    return ok;
}

void pass(struct play *p, uint64_t us)
{
    world_run(&p->w, us);
}

void settle(struct play *p)
{
    world_settle(&p->w);
}

/* --- data ------------------------------------------------------------------------------------ */

bool pump(struct play *p, struct end *from, struct end *to, uint64_t len)
{
    uint64_t start = to->n_in, given = 0, limit = p->w.now + PATIENCE_US;
    while (to->n_in - start < len) {
        if (given < len) {
            long n = prog_send_stream(from, len - given);
            given += n > 0 ? (uint64_t)n : 0;
        }
        if (!world_step(&p->w, limit))
            break;
        prog_read(to);
    }
    return to->n_in - start == len;
}

bool same_bytes(const struct play *p, const struct end *from, const struct end *to)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < p->w.calls.n; i++) {
        const struct call *c = &p->w.calls.v[i];
        if (c->what != CALL_SEND || c->handle != from->handle.v || c->host != from->host || c->result <= 0)
            continue;
        if (at + c->len > to->n_in || memcmp(to->in + at, c->bytes, c->len) != 0)
            return false;
        at += c->len;
    }
    return at == to->n_in;
}

/* --- the wire -------------------------------------------------------------------------------- */

struct segment nth(const struct play *p, int from, uint8_t set, uint8_t clear, uint32_t n)
{
    static const struct segment none;
    struct segment s;
    return path_find(&p->w, from, set, clear, n, &s) ? s : none;
}

uint64_t when_sent(const struct play *p, int from, uint8_t set, uint8_t clear, uint32_t n)
{
    struct segment s;
    const struct wire *w = path_find(&p->w, from, set, clear, n, &s);
    return w ? w->sent_us : NEVER;
}

uint32_t count(const struct play *p, int from, uint8_t set, uint8_t clear)
{
    uint32_t n = 0;
    struct segment s;
    for (uint32_t i = 0; i < p->w.wire.n; i++) {
        const struct wire *w = &p->w.wire.v[i];
        if (w->from == from && !w->copy && segment_parse(&s, w->bytes, w->len) == NULL &&
            (s.flags & set) == set && (s.flags & clear) == 0)
            n++;
    }
    return n;
}

void lose_next(struct play *p, int from, uint8_t set, uint8_t clear, uint32_t n, const char *words)
{
    path_fault(
        &p->w,
        (struct fault){.what = DROP, .from = from, .set = set, .clear = clear, .count = n, .words = words});
}

void lose_acks(struct play *p, int from, uint32_t n, const char *words)
{
    path_fault(&p->w, (struct fault){.what = DROP,
                                     .from = from,
                                     .set = ACK,
                                     .clear = SYN | FIN | RST,
                                     .without_data = true,
                                     .count = n,
                                     .words = words});
}

void promise_nothing_left(struct play *p, int host)
{
    tern_live live;
    tern_get_live(p->w.host[host].stack, &live);
    uint32_t left = live.halfopen + live.tcbs + live.timewait + live.sendrecs + live.ranges + live.timers;
    promise(p, left == 0, "nothing is left of it at %s: no record, no timer", p->w.host[host].name);
}
