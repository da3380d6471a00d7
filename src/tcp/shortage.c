/* shortage.c - who is refused memory for what it wants to send, and is told when there is some.
 *
 *   tern_send ── refused by memory ─▶ waiting ── a page is free ─▶ kept ── the next send, 1 s, rest ─▶
 *                                                  TERN_WRITABLE
 *
 * A send that is refused by the stack's memory (not by the limit of its own buffer) waits in a list, first
 * come, first served. At the end of every verb the pages that have come free go to those who stand in front:
 * to each one page, kept for it in the budget as if it were in use, and TERN_WRITABLE. So the send that
 * follows takes at least one byte, whatever arrived in between. It is the same when an ACK makes room in the
 * buffer. What is kept and not used goes back after a while: a program that was told and says nothing must
 * not hold what others wait for. A connection that has just opened is told when there is memory, but none is
 * kept for it: most wait for the peer to speak first, and each would hold a page that new ones need.
 *
 * Nobody looks at a clock while waiting, so ten thousand who wait cost nothing but their places in the list.
 * RFC 9293 3.10.2 lets SEND say "insufficient resources"; when it may be tried again is ours to say.
 */
#include "tcp/tcp.h"

#define KEPT_US 1000000u
#define PLACE   offsetof(struct tcb, shortage.place)

static struct list *list_of(struct tern *t, enum shortage_stage stage)
{
    return stage == SHORTAGE_WAITING ? &t->w->short_waiting : &t->w->short_kept;
}

/* Out of its list; a page kept for it is free. */
static void unlist(struct tern *t, struct tcb *c)
{
    struct shortage *s = &c->shortage;
    if (s->stage == SHORTAGE_NONE)
        return;
    if (s->stage == SHORTAGE_KEPT)
        arena_redeem(t->a);
    list_remove(t->a, list_of(t, s->stage), self(t, c), PLACE);
    s->stage = SHORTAGE_NONE;
}

static void put_last(struct tern *t, struct tcb *c, enum shortage_stage stage)
{
    c->shortage.stage = stage;
    c->shortage.since_us = t->w->now;
    list_append(t->a, list_of(t, stage), self(t, c), PLACE);
}

/* A page has been promised to it. */
static void tell(struct tern *t, struct tcb *c)
{
    put_last(t, c, SHORTAGE_KEPT);
    c->snd.blocked = false;
    face_raise(t, &c->h, TERN_WRITABLE);
}

/* A send was refused. Who waits already keeps its place. */
void shortage_wait(struct tern *t, struct tcb *c)
{
    c->snd.blocked = true;
    c->shortage.only_opened = false;
    if (c->shortage.stage != SHORTAGE_NONE)
        return;
    put_last(t, c, SHORTAGE_WAITING);
}

/* Its buffer has room: it is told so, or waits behind the others for memory. */
void shortage_writable(struct tern *t, struct tcb *c)
{
    if (!c->face.held || c->shortage.stage == SHORTAGE_WAITING)
        return;
    bool kept = c->shortage.stage == SHORTAGE_KEPT;
    unlist(t, c);
    if ((kept || t->w->short_waiting.head == 0) && arena_promise(t->a))
        tell(t, c);
    else
        shortage_wait(t, c);
}

/* It is about to send: what is kept for it can be taken. */
void shortage_redeem(struct tern *t, struct tcb *c)
{
    if (c->shortage.stage == SHORTAGE_KEPT)
        unlist(t, c);
}

/* It sends no more. */
void shortage_leave(struct tern *t, struct tcb *c)
{
    unlist(t, c);
    c->snd.blocked = false;
}

/* It has opened, or been accepted. */
void shortage_opened(struct tern *t, struct tcb *c)
{
    if (!c->face.held)
        return; /* who is not accepted yet is told then */
    bool kept = c->shortage.stage == SHORTAGE_KEPT; /* for what it wanted to send before */
    if (kept || (t->w->short_waiting.head == 0 && arena_room(t->a, MEM_DATA) > 0)) {
        face_raise(t, &c->h, TERN_WRITABLE);
        return;
    }
    shortage_wait(t, c);
    c->shortage.only_opened = true;
}

static uint64_t lapses_us(const struct tern *t)
{
    ref_t r = t->w->short_kept.head;
    return r == 0 ? UINT64_MAX : ((const struct tcb *)at_const(t->a, r))->shortage.since_us + KEPT_US;
}

/* A page that is kept in vain matters only while somebody waits for one. */
uint64_t shortage_deadline(const struct tern *t)
{
    return t->w->short_waiting.head != 0 ? lapses_us(t) : UINT64_MAX;
}

/* A page has been promised to this one. */
static void serve(struct tern *t, struct tcb *c)
{
    unlist(t, c);
    tell(t, c);
    if (c->shortage.only_opened)
        unlist(t, c); /* told, and nothing kept */
}

/* What is free goes to those who wait; the oldest in TIME_WAIT give way to them. */
void shortage_serve(struct tern *t)
{
    while (lapses_us(t) <= t->w->now)
        shortage_redeem(t, tcb_at(t, t->w->short_kept.head));
    while (t->w->short_waiting.head != 0) {
        waiting_make_room(t, 1);
        if (!arena_promise(t->a))
            return;
        serve(t, tcb_at(t, t->w->short_waiting.head));
    }
}
