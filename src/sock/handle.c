/* handle.c - a handle is a reference and the generation that the record had: a stale one never reaches a
 * record of another life. */
#include "sock/sock.h"

struct conn_head *sock_find(struct tern *t, tern_handle h)
{
    ref_t r = (ref_t)h.v;
    uint32_t gen = (uint32_t)(h.v >> 32);
    if (!pool_valid(t->a, &t->w->tcbs, r, gen) && !pool_valid(t->a, &t->w->listener_pool, r, gen))
        return NULL;
    struct conn_head *head = head_at(t, r);
    return face_of(head)->held ? head : NULL;
}

struct tcb *sock_conn(struct tern *t, tern_handle h, int *error)
{
    struct conn_head *head = sock_find(t, h);
    *error = head == NULL ? -TERN_EBADF : -TERN_ENOTCONN;
    return head != NULL && head->kind == REC_TCB ? (struct tcb *)head : NULL;
}

void sock_done(struct tern *t, struct tcb *c)
{
    if (c != NULL)
        timer_rearm(t, c);
    life_end_of_batch(t);
}

void sock_trace(struct tern *t, const struct conn_head *h, enum tern_call call, uint64_t arg, int64_t result)
{
    trace_conn(t, h, TERN_TRACE_CALL, TERN_CAUSE_NONE, call, arg, (uint64_t)result);
}

int tern_set_data(tern *t, tern_handle h, uint64_t data)
{
    struct conn_head *head = sock_find(t, h);
    if (head == NULL)
        return -TERN_EBADF;
    face_of(head)->data = data;
    return 0;
}
