/* close.c - CLOSE and ABORT by state (RFC 9293 3.10.4, 3.10.5; 3.6.1 for bytes left unread). The calls are in
 * src/sock; a connection at rest that could not be woken for them comes here when it is (idle.c). */
#include "tcp/tcp.h"

/* The FIN follows what is queued; the state changes at the call. */
static void close_sending(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    c->snd.fin_queued = true;
    c->snd.more = false;
    shortage_leave(t, c);
    state_change(t, &c->h, cause, c->h.state == TERN_CLOSE_WAIT ? TERN_LAST_ACK : TERN_FIN_WAIT_1);
    conn_ready(t, &c->h);
}

/* 3.10.4 by state, the handle apart. */
void tcb_close_sending(struct tern *t, struct tcb *c, enum tern_cause cause)
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

/* States in which 3.10.5 sends a RST. */
static bool abort_resets(const struct tcb *c)
{
    return c->h.state == TERN_SYN_RCVD || c->h.state == TERN_ESTABLISHED || c->h.state == TERN_FIN_WAIT_1 ||
           c->h.state == TERN_FIN_WAIT_2 || c->h.state == TERN_CLOSE_WAIT;
}

/* LAST_ACK and CLOSING are entered at the call, those of 3.10.4 when the FIN leaves. Until then 3.10.5 has
 * the connection in CLOSE-WAIT, and the peer must hear that bytes are lost. */
static bool fin_waits(const struct tcb *c)
{
    return (c->h.state == TERN_LAST_ACK || c->h.state == TERN_CLOSING) && !c->snd.fin_sent;
}

static void reset(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    if (c->h.state == TERN_CLOSED)
        return;
    if (abort_resets(c) || fin_waits(c))
        c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, cause, -TERN_ECONNABORTED);
}

/* MAY-1: half-duplex; with the handle goes all reading. */
void tcb_close(struct tern *t, struct tcb *c)
{
    bool unread = c->rcv.q.len > 0;
    if (unread && synchronized(c) && abort_resets(c))
        reset(t, c, TERN_C_CLOSE_UNREAD);
    else if (c->set.linger0 && abort_resets(c))
        reset(t, c, TERN_C_CLOSE_LINGER0);
    else
        tcb_close_sending(t, c, TERN_C_CLOSE);
    tcb_release(t, c);
}

void tcb_abort(struct tern *t, struct tcb *c)
{
    reset(t, c, TERN_C_ABORT);
    tcb_release(t, c);
}
