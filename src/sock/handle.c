/* handle.c - a handle is a reference and the generation that the record had: a stale one never reaches a
 * record of another life. */
#include "sock/sock.h"

static bool listener_held(const struct tern *t, ref_t r)
{
    return ((const struct listener *)at_const(t->a, r))->face.held;
}

/* The listener or idle record that a handle names; 0: stale, foreign, or released. */
ref_t sock_named(const struct tern *t, tern_handle h)
{
    const struct world *w = t->w;
    ref_t r = (ref_t)h.v;
    uint32_t gen = (uint32_t)(h.v >> 32);
    enum rec_kind kind = rec_kind(t, r);
    if (kind == REC_LISTENER) /* one that is closed may still have children to reset */
        return pool_valid(t->a, &w->listener_pool, r, gen) && listener_held(t, r) ? r : 0;
    bool is4 = arena_kind(t->a, r) == (enum page_kind)(PAGE_POOL0 + POOL_IDLE4);
    if (kind != REC_IDLE || !pool_valid(t->a, is4 ? &w->idles4 : &w->idles6, r, gen))
        return 0;
    const struct idle *i = at_const(t->a, r);
    bool held =
        i->tcb == 0 ? i->ending == IDLE_LIVES : ((const struct tcb *)at_const(t->a, i->tcb))->face.held;
    return held ? r : 0;
}

/* A connection that is awake, as nearly all are that the program speaks to; NULL: look closer. */
static struct tcb *awake(struct tern *t, tern_handle h)
{
    ref_t r = (ref_t)h.v;
    uint32_t gen = (uint32_t)(h.v >> 32), number = (uint32_t)arena_kind(t->a, r) - PAGE_POOL0;
    if (UNLIKELY(number != POOL_IDLE4 && number != POOL_IDLE6) || gen == 0 ||
        !pool_named(t->a, number == POOL_IDLE4 ? &t->w->idles4 : &t->w->idles6, r, gen))
        return NULL;
    ref_t tcb = ((const struct idle *)at_const(t->a, r))->tcb;
    return tcb != 0 && tcb_at(t, tcb)->face.held ? tcb_at(t, tcb) : NULL;
}

struct conn_head *sock_find(struct tern *t, tern_handle h, int *error)
{
    struct tcb *live = awake(t, h);
    if (LIKELY(live != NULL))
        return &live->h;
    ref_t r = sock_named(t, h);
    *error = -TERN_EBADF;
    if (r == 0)
        return NULL;
    if (rec_kind(t, r) == REC_LISTENER)
        return head_at(t, r);
    struct tcb *c = idle_wake(t, idle_at(t, r));
    if (c != NULL)
        timer_rearm(t, c); /* a call may do nothing more */
    *error = -TERN_ENOMEM;
    return c != NULL ? &c->h : NULL;
}

struct tcb *sock_conn(struct tern *t, tern_handle h, int *error)
{
    struct tcb *c = awake(t, h);
    if (LIKELY(c != NULL))
        return c;
    struct conn_head *head = sock_find(t, h, error);
    if (head == NULL)
        return NULL;
    *error = -TERN_ENOTCONN;
    return head->kind == REC_TCB ? (struct tcb *)head : NULL;
}

void sock_done(struct tern *t, struct tcb *c)
{
    if (c != NULL) {
        timer_rearm(t, c);
        idle_back(t, c);
    }
    life_end_of_batch(t);
}

void sock_trace(struct tern *t, const struct conn_head *h, enum tern_call call, uint64_t arg, int64_t result)
{
    trace_conn(t, h, TERN_TRACE_CALL, TERN_CAUSE_NONE, call, arg, (uint64_t)result);
}

int tern_set_data(tern *t, tern_handle h, uint64_t data)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    face_of(head)->data = data;
    return 0;
}
