/* conn.h - the lists that a record stands in, whatever it does: who has something to send (in turn), news
 * for the program, deadlines that the wheel does not know yet. Each has a flag on the record, so that asking
 * costs nothing.
 */
#ifndef TCP_CONN_H
#define TCP_CONN_H

#include "tcp/world.h"

#define TURN_PLACE  offsetof(struct conn_head, turn)
#define UNSET_PLACE offsetof(struct conn_head, unset_place)
#define FACE_PLACE  offsetof(struct tcb, face.place)

/* It has something to send: tern_tx will ask it. */
static inline void conn_ready(struct tern *t, struct conn_head *h)
{
    if (h->ready)
        return;
    h->ready = true;
    list_append(t->a, &t->w->ready, self(t, h), TURN_PLACE);
}

static inline void conn_unready(struct tern *t, struct conn_head *h)
{
    if (!h->ready)
        return;
    h->ready = false;
    list_remove(t->a, &t->w->ready, self(t, h), TURN_PLACE);
}

/* Its deadlines have changed: the wheel is told when it is asked next (timer_settle). */
static inline void conn_unset(struct tern *t, struct conn_head *h)
{
    if (h->unset)
        return;
    h->unset = true;
    list_append(t->a, &t->w->unset, self(t, h), UNSET_PLACE);
}

/* No deadline is left. */
static inline void conn_timer_off(struct tern *t, struct conn_head *h)
{
    if (h->unset)
        list_remove(t->a, &t->w->unset, self(t, h), UNSET_PLACE);
    h->unset = false;
    if (wheel_armed(&h->timer))
        wheel_cancel(t->a, &t->w->wheel, &h->timer);
}

/* The program need not be told of it any more. */
static inline void face_unlist(struct tern *t, struct conn_head *h)
{
    struct face *f = face_of(h);
    if (!f->listed)
        return;
    f->listed = false;
    list_remove(t->a, &t->w->events, self(t, h), FACE_PLACE);
}

#endif
