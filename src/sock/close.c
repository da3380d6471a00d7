/* close.c - shutdown, CLOSE and ABORT by state (RFC 9293 3.10.4, 3.10.5; 3.6.1 for bytes left unread). */
#include "sock/sock.h"

/* The FIN follows what is queued; the state changes at the call. */
static void close_sending(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    c->snd.fin_queued = true;
    c->snd.more = false;
    state_change(t, &c->h, cause, c->h.state == TERN_CLOSE_WAIT ? TERN_LAST_ACK : TERN_FIN_WAIT_1);
    conn_ready(t, &c->h);
}

/* 3.10.4 by state, the handle apart. */
static void close_by_state(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    switch ((enum tern_state)c->h.state) {
    case TERN_SYN_SENT:
        tcb_end(t, c, TERN_C_CLOSE_SYN_SENT, -TERN_ECONNABORTED);
        break;
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED:
    case TERN_CLOSE_WAIT:
        close_sending(t, c, cause);
        break;
    default:
        break; /* already closing, or closed */
    }
}

int tern_shutdown(tern *t, tern_handle h)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (c->h.state == TERN_CLOSED)
        return -TERN_ENOTCONN;
    sock_trace(t, &c->h, TERN_CALL_SHUTDOWN, 0, 0);
    close_by_state(t, c, TERN_C_SHUTDOWN);
    sock_done(t, c);
    return 0;
}

/* States in which 3.10.5 sends a RST. */
static bool abort_resets(const struct tcb *c)
{
    return c->h.state == TERN_SYN_RCVD || c->h.state == TERN_ESTABLISHED || c->h.state == TERN_FIN_WAIT_1 ||
           c->h.state == TERN_FIN_WAIT_2 || c->h.state == TERN_CLOSE_WAIT;
}

static void reset(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    if (c->h.state == TERN_CLOSED)
        return;
    if (abort_resets(c))
        c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, cause, -TERN_ECONNABORTED);
}

/* MAY-1: half-duplex; with the handle goes all reading. */
static void close_conn(struct tern *t, struct tcb *c)
{
    sock_trace(t, &c->h, TERN_CALL_CLOSE, 0, 0);
    bool unread = c->rcv.q.len > 0;
    if (unread && synchronized(c) && abort_resets(c))
        reset(t, c, TERN_C_CLOSE_UNREAD);
    else if (c->set.linger0 && abort_resets(c))
        reset(t, c, TERN_C_CLOSE_LINGER0);
    else
        close_by_state(t, c, TERN_C_CLOSE);
    tcb_release(t, c);
}

int tern_close(tern *t, tern_handle h)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    if (head->kind == REC_LISTENER) {
        listener_end(t, (struct listener *)head);
        sock_done(t, NULL);
        return 0;
    }
    struct tcb *c = (struct tcb *)head;
    close_conn(t, c);
    sock_done(t, c->dying ? NULL : c);
    return 0;
}

int tern_abort(tern *t, tern_handle h)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    if (head->kind == REC_LISTENER)
        return tern_close(t, h);
    struct tcb *c = (struct tcb *)head;
    sock_trace(t, &c->h, TERN_CALL_ABORT, 0, 0);
    reset(t, c, TERN_C_ABORT);
    tcb_release(t, c);
    sock_done(t, NULL);
    return 0;
}
