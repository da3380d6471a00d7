/* tell.c - see tell.h. Segments and changes of state come from the stacks' traces, in their order; which
 * segment on the wire a record speaks of follows from the order of sending. */
#include "tell.h"

#include "probe.h"
#include "sim/packet.h"
#include "sim/spec/stage.h"
#include "trap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENT_MOST = 4096, WAIT_MOST = 64 };

struct teller {
    struct duo *d;
    struct story *s;
    uint32_t item_of[SENT_MOST];       /* by number of the segment; STORY_NOWHERE */
    struct flying waits[WAIT_MOST];    /* sent, and its record has not come yet */
    uint32_t n_waits;
    uint32_t iss[SIDES];
    bool known[SIDES];
    uint32_t arrival;                  /* item of the segment that arrives in this move; STORY_NOWHERE */
};

static uint64_t clock_of(const struct teller *t)
{
    uint64_t a = t->d->scene.side[A].now, b = t->d->scene.side[B].now;
    return a > b ? a : b;
}

/* --- segments ----------------------------------------------------------------------------------- */

static void fill(struct teller *t, struct story_item *i, const struct flying *f)
{
    int from = !f->to;
    struct segment g;
    segment_parse(&g, f->bytes, f->len);
    if (g.flags & SYN) {
        t->iss[from] = g.seq;
        t->known[from] = true;
    }
    i->flags = g.flags;
    i->seq = g.seq;
    i->ack = g.ack;
    i->len = g.len;
    i->wnd = g.window;
    i->mss = g.mss;
    i->rseq = t->known[from] ? g.seq - t->iss[from] : 0;
    i->rack = g.flags & ACK && t->known[!from] ? g.ack - t->iss[!from] : 0;
    i->port[from] = g.src.port;
    i->port[!from] = g.dst.port;
}

static void tell_sent(struct teller *t, const struct flying *f, const tern_trace_record *r)
{
    struct story_item *i = story_add(t->s, STORY_SEGMENT, (enum story_side)!f->to, clock_of(t));
    fill(t, i, f);
    i->again = r->a == 1;
    i->cause = r->cause;
    if (t->d->scene.cut) {
        i->arrival_us = STORY_LOST;
        i->lost_why = "the wire is cut";
    }
    if (f->number < SENT_MOST)
        t->item_of[f->number] = t->s->n - 1;
}

static void tell_arrival(struct teller *t, const struct flying *f)
{
    uint32_t of = f->number < SENT_MOST ? t->item_of[f->number] : STORY_NOWHERE;
    bool copy = of != STORY_NOWHERE && t->s->items[of].arrival_us < STORY_LOST;
    struct story_item *i = story_add(t->s, STORY_ARRIVAL, (enum story_side)!f->to, clock_of(t));
    fill(t, i, f);
    i->copy = copy;
    t->arrival = t->s->n - 1;
    if (of == STORY_NOWHERE || copy)
        return;
    struct story_item *sent = &t->s->items[of];
    i->of = of;
    i->again = sent->again;
    i->cause = sent->cause;
    sent->of = t->arrival;
    sent->arrival_us = i->t_us;
}

static void tell_lost(struct teller *t, const struct flying *f, const char *why)
{
    uint32_t of = f->number < SENT_MOST ? t->item_of[f->number] : STORY_NOWHERE;
    if (of == STORY_NOWHERE || t->s->items[of].arrival_us != STORY_UNKNOWN)
        return;
    t->s->items[of].arrival_us = STORY_LOST;
    t->s->items[of].lost_why = why;
}

/* --- the trace ---------------------------------------------------------------------------------- */

static void on_sent(void *ctx, const struct flying *f)
{
    struct teller *t = ctx;
    if (t->n_waits < WAIT_MOST)
        t->waits[t->n_waits++] = *f;
}

static void take_waiting(struct teller *t, int side, const tern_trace_record *r)
{
    uint32_t k = 0;
    while (k < t->n_waits && t->waits[k].to == side)
        k++;
    if (k == t->n_waits)
        return; /* to the stranger */
    tell_sent(t, &t->waits[k], r);
    memmove(&t->waits[k], &t->waits[k + 1], (--t->n_waits - k) * sizeof t->waits[0]);
}

static void tell_state(struct teller *t, int side, const tern_trace_record *r)
{
    uint8_t from = r->state, to = r->state_to;
    if (story_edge_hidden(r->cause, from))
        return;
    story_edge(r->cause, &from, &to);
    struct story_item *i = story_add(t->s, STORY_STATE, (enum story_side)side, clock_of(t));
    i->from = from;
    i->to = to;
    i->cause = r->cause;
    i->port[side] = r->local_port;
    i->port[!side] = r->remote_port;
}

static void on_record(void *ctx, int side, const tern_trace_record *r)
{
    struct teller *t = ctx;
    if (r->kind == TERN_TRACE_SEG_OUT)
        take_waiting(t, side, r);
    else if (r->kind == TERN_TRACE_STATE)
        tell_state(t, side, r);
    else if (r->kind == TERN_TRACE_DROP && t->arrival != STORY_NOWHERE)
        t->s->items[t->arrival].refused = r->cause;
}

/* --- moves -------------------------------------------------------------------------------------- */

static void before_move(struct teller *t, uint16_t move, const char *words)
{
    uint32_t arg = move_arg(move);
    struct flying f = t->d->scene.flying[arg < FLYING_MOST ? arg : 0];
    int side = (int)(arg >> 4);
    t->arrival = STORY_NOWHERE;
    switch (move_kind(move)) {
    case MOVE_DELIVER: tell_arrival(t, &f); break;
    case MOVE_LOSE: tell_lost(t, &f, "lost"); break;
    case MOVE_REFUSE: tell_lost(t, &f, "refused by a router"); break;
    case MOVE_CALL: story_note(t->s, (enum story_side)side, clock_of(t), words); break;
    default: story_note(t->s, STORY_BOTH, clock_of(t), words); break;
    }
    for (uint32_t i = 0; move_kind(move) == MOVE_CUT && i < t->d->scene.n_flying; i++)
        tell_lost(t, &t->d->scene.flying[i], "the wire is cut");
}

static bool add_words(struct told *out, const char *words)
{
    char **more = realloc(out->words, (out->n + 1) * sizeof *more);
    if (more == NULL)
        return false;
    out->words = more;
    out->words[out->n] = strdup(words);
    return out->words[out->n++] != NULL;
}

/* Whether the move is one of the present world's. */
static bool is_possible(struct duo *d, uint16_t move)
{
    uint16_t moves[MOVES_MOST];
    if (move_kind(move) == MOVE_PROBE)
        return move_arg(move) < probes_most();
    int n = moves_list(d, moves);
    for (int i = 0; i < n; i++)
        if (moves[i] == move)
            return true;
    return false;
}

static bool tell_moves(struct teller *t, struct told *out, const uint16_t *move, uint32_t n)
{
    char words[120];
    uint64_t where;
    for (uint32_t i = 0; i < n && out->fault == FAULT_NONE && is_possible(t->d, move[i]); i++) {
        move_text(t->d, move[i], words, sizeof words);
        before_move(t, move[i], words);
        if (!add_words(out, words))
            return false;
        if (!trap_move(t->d, move[i], &where))
            break;
        out->fault = t->d->scene.fault;
    }
    if (out->fault != FAULT_NONE)
        story_note(t->s, STORY_BOTH, clock_of(t), duo_fault_text((enum fault)out->fault));
    if (out->fault == FAULT_STANDARD) {
        snprintf(out->why, sizeof out->why, "%s", t->d->stage->why);
        snprintf(out->log, sizeof out->log, "%s", t->d->stage->log);
    }
    return true;
}

bool tell(struct told *out, const struct setting *setting, const struct bounds *bounds, const uint16_t *move,
          uint32_t n)
{
    struct teller *t = calloc(1, sizeof *t);
    memset(out, 0, sizeof *out);
    struct duo *d = duo_new(setting, bounds);
    if (t == NULL || d == NULL) {
        free(t);
        if (d != NULL)
            duo_free(d);
        return false;
    }
    struct witness witness = {on_sent, on_record, t};
    t->d = d;
    t->s = &out->story;
    memset(t->item_of, 0xff, sizeof t->item_of);
    story_init(t->s, setting->name, "", setting->title);
    story_name(t->s, STORY_LEFT, "A", "");
    story_name(t->s, STORY_RIGHT, "B", "");
    t->s->start_us = clock_of(t);
    t->s->conns = 1;
    for (int side = 0; side < SIDES; side++)
        tern_trace_only(d->stack[side], 0);
    d->witness = &witness;
    trap_begin();
    bool ok = tell_moves(t, out, move, n);
    trap_end();
    duo_free(d);
    free(t);
    return ok;
}

void told_free(struct told *t)
{
    story_free(&t->story);
    for (uint32_t i = 0; i < t->n; i++)
        free(t->words[i]);
    free(t->words);
}

/* --- as text ------------------------------------------------------------------------------------ */

void tell_code(const uint16_t *move, uint32_t n, char *text)
{
    text[0] = 0;
    for (uint32_t i = 0; i < n; i++)
        snprintf(text + 4 * i + (i > 0 ? i - 1 : 0), 6, i > 0 ? ".%04x" : "%04x", move[i]);
}

int tell_parse(const char *text, uint16_t *move, uint32_t max)
{
    uint32_t n = 0;
    for (const char *at = text; *at != 0; n++) {
        char *end;
        unsigned long v = strtoul(at, &end, 16);
        if (end - at != 4 || v > 0xffff || n == max || (*end != '.' && *end != 0))
            return -1;
        move[n] = (uint16_t)v;
        at = *end == '.' ? end + 1 : end;
    }
    return (int)n;
}
