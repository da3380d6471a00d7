/* probe.c - see probe.h. */
#include "probe.h"

#include "sim/spec/probe.h"

#include <stdio.h>

enum { MTU = 1500 };

uint32_t probes_most(void) { return SIDES * probe_count(); }

static int side_of(uint32_t arg) { return (int)(arg & 1); }
static const struct probe *probe_of(uint32_t arg) { return probe_at(arg >> 1); }

void probe_text(uint32_t arg, char *buf, uint32_t len)
{
    snprintf(buf, len, "%s is tried: %s", side_of(arg) == A ? "A" : "B", probe_of(arg)->name);
}

/* One of the records of our pair of ports; false: there is none. */
static bool choose(const struct duo *d, int side, uint64_t number, tern_info *out)
{
    uint64_t cursor = 0;
    uint32_t n = 0;
    tern_info i;
    while (tern_walk(d->stack[side], &cursor, &i))
        if (!i.listener && i.state != TERN_CLOSED && ip_equal(&i.remote.ip, &d->at[!side].ip) &&
            (n++ == 0 || number % n == 0))
            *out = i;
    return n > 0;
}

/* What the program has of it. */
static tern_handle handle_of(const struct duo *d, int side, const tern_info *i)
{
    tern_handle h = d->scene.side[side].actor.conn;
    tern_info own;
    if (h.v != 0 && tern_get_info(d->stack[side], h, &own) == 0 && own.conn == i->conn)
        return h;
    return (tern_handle){0};
}

static bool set_out(struct duo *d, int side, const struct probe *p, uint64_t number)
{
    struct stage *x = d->stage;
    tern_info i;
    stage_open(x, d->stack[side], d->scene.side[side].now, d->link[side], MTU, &d->config[side]);
    x->logged = d->witness != NULL;
    x->odd_listener = d->setting->flags & (SET_COOKIES | SET_DEFER);
    if (p->alone)
        return true;
    if (choose(d, side, number, &i))
        return stage_take(x, &i, handle_of(d, side, &i));
    x->local = d->at[side];
    x->remote = d->at[!side];
    return p->play == probe_segments && !x->odd_listener;
}

bool probe_make(struct duo *d, uint32_t arg)
{
    int side = side_of(arg);
    uint64_t sum[2];
    if (d->scene.side[side].actor.removed)
        return false;
    duo_sum(d, sum);
    d->dirty[side] = true;
    if (!set_out(d, side, probe_of(arg), sum[0]))
        return false;
    probe_play(d->stage, arg >> 1, sum[1]);
    if (!stage_fine(d->stage))
        duo_blame(d, FAULT_STANDARD);
    return true;
}
