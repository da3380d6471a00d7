/* close.c - shutdown, CLOSE and ABORT (RFC 9293 3.10.4, 3.10.5). What they do by state is in
 * src/tcp/close.c. */
#include "sock/sock.h"

int tern_shutdown(tern *t, tern_handle h)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (c->h.state == TERN_CLOSED)
        return -TERN_ENOTCONN;
    sock_trace(t, &c->h, TERN_CALL_SHUTDOWN, 0, 0);
    tcb_close_sending(t, c, TERN_C_SHUTDOWN);
    sock_done(t, c);
    return 0;
}

/* Letting go succeeds always. At rest, and no memory to wake it: it ends as soon as there is some. */
static int released_at_rest(struct tern *t, tern_handle h, int error, enum idle_end how)
{
    if (error != -TERN_ENOMEM)
        return error;
    idle_end_later(t, idle_at(t, sock_named(t, h)), how);
    return 0;
}

int tern_close(tern *t, tern_handle h)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return released_at_rest(t, h, e, IDLE_CLOSE);
    if (head->kind == REC_LISTENER) {
        listener_end(t, (struct listener *)head);
        sock_done(t, NULL);
        return 0;
    }
    struct tcb *c = (struct tcb *)head;
    sock_trace(t, &c->h, TERN_CALL_CLOSE, 0, 0);
    tcb_close(t, c);
    sock_done(t, c->dying ? NULL : c);
    return 0;
}

int tern_abort(tern *t, tern_handle h)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return released_at_rest(t, h, e, IDLE_ABORT);
    if (head->kind == REC_LISTENER)
        return tern_close(t, h);
    struct tcb *c = (struct tcb *)head;
    sock_trace(t, &c->h, TERN_CALL_ABORT, 0, 0);
    tcb_abort(t, c);
    sock_done(t, NULL);
    return 0;
}
