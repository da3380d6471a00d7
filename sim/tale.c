/* tale.c - see tale.h. Segments come from the tap, with arrivals and losses; the reasons beside them from the
 * stacks' traces.
 *
 * A conversation is one connection of the story: two endpoints, until a SYN with another initial number
 * begins a new one.
 */
#include "tale.h"

#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conversation {
    tern_endpoint end[2]; /* of A and of B; an outsider stands in for A */
    uint32_t iss[2];
    bool known[2];
    uint32_t crowd;  /* with nobody's address: number in the crowd, from 1; 0 = with a host */
    uint32_t number; /* in the story; STORY_NOWHERE for the crowd */
    uint32_t next; /* in its bucket */
};

#define NOBODY UINT32_MAX

enum { BUCKET_COUNT = 4096 };

struct teller {
    const struct world *w;
    struct story *s;
    LIST(struct conversation) conv;
    uint32_t bucket[BUCKET_COUNT];
    uint32_t numbered;    /* conversations that have a number */
    uint32_t crowd;       /* those that have none */
    uint32_t *item_of;    /* for each of wire[]: its item, or NOBODY */
    uint32_t *conv_of;    /* and its conversation */
};

static uint32_t hash(const tern_endpoint *a, const tern_endpoint *b)
{
    uint32_t h = a->port * 65599u + b->port;
    for (int i = 12; i < 16; i++)
        h = h * 31 + a->ip.b[i];
    return h % BUCKET_COUNT;
}

static bool same_ends(const struct conversation *c, const tern_endpoint *a, const tern_endpoint *b)
{
    return endpoint_equal(&c->end[0], a) && endpoint_equal(&c->end[1], b);
}

/* The newest conversation of these endpoints; NOBODY. */
static uint32_t find(const struct teller *t, const tern_endpoint *a, const tern_endpoint *b)
{
    uint32_t i = t->bucket[hash(a, b)];
    while (i != NOBODY && !same_ends(&t->conv.v[i], a, b))
        i = t->conv.v[i].next;
    return i;
}

/* The conversation whose other end, seen from `side`, has this initial number; else the newest. */
static uint32_t find_by_peer(const struct teller *t, const tern_endpoint *a, const tern_endpoint *b, int side,
                             uint32_t irs)
{
    uint32_t newest = find(t, a, b), i = newest;
    for (; i != NOBODY; i = t->conv.v[i].next)
        if (same_ends(&t->conv.v[i], a, b) && t->conv.v[i].known[!side] && t->conv.v[i].iss[!side] == irs)
            return i;
    return newest;
}

static uint32_t begin(struct teller *t, const tern_endpoint *a, const tern_endpoint *b, bool outsider)
{
    uint32_t index = t->conv.n, *bucket = &t->bucket[hash(a, b)];
    struct conversation *c = LIST_ADD(t->conv);
    c->end[0] = *a;
    c->end[1] = *b;
    c->crowd = outsider ? ++t->crowd : 0;
    c->number = outsider ? STORY_NOWHERE : t->numbered++;
    c->next = *bucket;
    *bucket = index;
    return index;
}

/* Whether the numbers of a segment can belong to this conversation: none lies before its initial numbers. */
static bool fits(const struct conversation *c, const struct segment *g, int side)
{
    /* RST for no connection: no number of its own */
    bool zero = (g->flags & (RST | ACK)) == (RST | ACK) && g->seq == 0;
    if (c->known[side] && (int32_t)(g->seq - c->iss[side]) < 0 && !zero)
        return false;
    return !(g->flags & ACK) || !c->known[!side] || (int32_t)(g->ack - c->iss[!side]) >= 0;
}

/* The conversation that a segment belongs to, from side `side`: the newest whose numbers it fits. */
static uint32_t conversation(struct teller *t, const struct segment *g, int side, bool outsider)
{
    const tern_endpoint *a = side == 0 ? &g->src : &g->dst, *b = side == 0 ? &g->dst : &g->src;
    uint32_t newest = find(t, a, b), i = newest;
    bool first = (g->flags & (SYN | ACK)) == SYN;
    while (i != NOBODY && !(same_ends(&t->conv.v[i], a, b) && fits(&t->conv.v[i], g, side)))
        i = t->conv.v[i].next;
    if (i == NOBODY)
        i = newest;
    if (i == NOBODY || (first && t->conv.v[i].known[side] && t->conv.v[i].iss[side] != g->seq))
        i = begin(t, a, b, outsider);
    struct conversation *c = &t->conv.v[i];
    if ((g->flags & SYN) && !c->known[side]) {
        c->known[side] = true;
        c->iss[side] = g->seq;
    }
    return i;
}

/* --- segments -------------------------------------------------------------------------------- */

static int side_of(const struct wire *p)
{
    return p->from == OUTSIDE ? p->to == A : p->from;
}

static void describe(struct teller *t, struct story_item *i, const struct wire *p, const struct segment *g)
{
    i->flags = g->flags;
    i->seq = g->seq;
    i->ack = g->ack;
    i->len = g->len;
    i->wnd = g->window;
    i->mss = g->mss;
    i->cause = p->why;
    i->again = p->again == 1;
    i->copy = p->copy;
    i->outsider = p->from == OUTSIDE;
    i->lost_why = p->lost_why;
    i->arrival_us = p->fate == LOST ? STORY_LOST : p->fate == ARRIVED ? p->due_us : STORY_UNKNOWN;
    int side = side_of(p);
    i->port[side] = g->src.port;
    i->port[!side] = g->dst.port;
    const struct conversation *c = &t->conv.v[t->conv_of[p - t->w->wire.v]];
    i->conn = c->number;
    i->rseq = c->known[side] ? g->seq - c->iss[side] : 0;
    i->rack = g->flags & ACK && c->known[!side] ? g->ack - c->iss[!side] : 0;
    bool plain =
        (g->flags & (SYN | FIN | RST)) == 0 && p->fate != LOST && !p->refused && !i->again && !p->copy;
    i->bulk = plain;
    i->crowd = c->crowd;
}

static struct story_item *segment_item(struct teller *t, uint32_t index, enum story_kind kind, uint64_t at)
{
    const struct wire *p = &t->w->wire.v[index];
    struct segment g;
    segment_parse(&g, p->bytes, p->len);
    int side = side_of(p);
    if (t->conv_of[index] == NOBODY)
        t->conv_of[index] = conversation(t, &g, side, p->from == OUTSIDE || p->to == OUTSIDE);
    struct story_item *i = story_add(t->s, kind, (enum story_side)side, at);
    describe(t, i, p, &g);
    return i;
}

static void tell_sent(struct teller *t, uint32_t index)
{
    const struct wire *p = &t->w->wire.v[index];
    segment_item(t, index, STORY_SEGMENT, p->sent_us);
    t->item_of[index] = t->s->n - 1;
    /* its second copy, if the path made one */
    for (uint32_t k = index + 1; k < t->w->wire.n && t->w->wire.v[k].copy; k++)
        t->conv_of[k] = t->conv_of[index];
}

static void tell_arrived(struct teller *t, uint32_t index)
{
    const struct wire *p = &t->w->wire.v[index];
    struct story_item *i = segment_item(t, index, STORY_ARRIVAL, p->due_us);
    i->refused = p->refused;
    uint32_t of = t->item_of[index];
    i->of = of;
    if (of != NOBODY) {
        i->bulk = t->s->items[of].bulk;
        t->s->items[of].of = t->s->n - 1;
        t->s->items[of].refused = p->refused;
    }
}

/* Lost at once: the segment's own line says so. A copy lost, or one lost at its end: a line of its own. */
static void tell_lost(struct teller *t, uint32_t index)
{
    const struct wire *p = &t->w->wire.v[index];
    if (p->copy && t->item_of[index] == NOBODY)
        segment_item(t, index, STORY_SEGMENT, p->sent_us);
}

/* --- states ---------------------------------------------------------------------------------- */

static void tell_state(struct teller *t, const struct state_change *c)
{
    uint8_t from = c->from, to = c->to;
    if (story_edge_hidden(c->cause, from))
        return;
    story_edge(c->cause, &from, &to);
    struct story_item *i = story_add(t->s, STORY_STATE, (enum story_side)c->host, c->t_us);
    const tern_endpoint *a = c->host == A ? &c->local : &c->remote,
                        *b = c->host == A ? &c->remote : &c->local;
    uint32_t conn = c->remote.port ? find_by_peer(t, a, b, c->host, c->irs) : NOBODY;
    bool used = conn != NOBODY && t->conv.v[conn].known[c->host];
    if (c->remote.port && (conn == NOBODY || (to == TERN_SYN_SENT && used)))
        conn = begin(t, a, b, false);
    i->conn = conn == NOBODY ? STORY_NOWHERE : t->conv.v[conn].number;
    i->crowd = conn == NOBODY ? 0 : t->conv.v[conn].crowd;
    i->from = from;
    i->to = to;
    i->cause = c->cause;
    i->port[c->host == A ? 0 : 1] = c->local.port;
    i->port[c->host == A ? 1 : 0] = c->remote.port;
}

static void tell_entry(struct teller *t, const struct log_entry *e)
{
    const struct world *w = t->w;
    switch (e->kind) {
    case LOG_SENT: tell_sent(t, e->index); break;
    case LOG_ARRIVED: tell_arrived(t, e->index); break;
    case LOG_LOST: tell_lost(t, e->index); break;
    case LOG_STATE: tell_state(t, &w->states.v[e->index]); break;
    case LOG_NOTE: {
        const struct note *n = &w->notes.v[e->index];
        story_note(t->s, n->host == OUTSIDE ? STORY_BOTH : (enum story_side)n->host, n->t_us, n->text);
        break;
    }
    default: break;
    }
}

static void tell_names(const struct world *w, struct story *s)
{
    for (int i = 0; i < HOSTS; i++) {
        const uint8_t *b = w->host[i].ip.b;
        char text[48];
        if (tern_ip_is4(&w->host[i].ip))
            snprintf(text, sizeof text, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
        else
            snprintf(text, sizeof text, "%x:%x::%x", b[0] << 8 | b[1], b[2] << 8 | b[3], b[15]);
        story_name(s, (enum story_side)i, w->host[i].name, text);
    }
}

void tale_tell(const struct world *w, struct story *s)
{
    struct teller t = {.w = w, .s = s};
    uint32_t n = w->wire.n ? w->wire.n : 1;
    t.item_of = malloc(n * sizeof *t.item_of);
    t.conv_of = malloc(n * sizeof *t.conv_of);
    memset(t.item_of, 0xff, n * sizeof *t.item_of);
    memset(t.conv_of, 0xff, n * sizeof *t.conv_of);
    memset(t.bucket, 0xff, sizeof t.bucket);
    tell_names(w, s);
    s->start_us = w->start_us;
    for (uint32_t i = 0; i < w->log.n; i++)
        tell_entry(&t, &w->log.v[i]);
    s->conns = t.numbered;
    free(t.item_of);
    free(t.conv_of);
    free(t.conv.v);
}
