/* model_call.c - what the programs' calls do to the model: RFC 9293 3.10.1 to 3.10.5. */
#include "model.h"

#include <tern/socket.h>

#include <stdlib.h>
#include <string.h>

static bool synchronized(const struct side *s)
{
    return s->state >= TERN_ESTABLISHED;
}

static void passive_open(struct model *m, const struct call *c)
{
    if (c->result < 0)
        return;
    struct side *s = model_new(m, c->host, &c->local, &c->remote);
    s->listener = true;
    model_state(m, s, TERN_LISTEN);
}

static void active_open(struct model *m, const struct call *c)
{
    struct side *s = model_find(m, c->host, &c->local, &c->remote);
    bool exists = s != NULL && s->state != TERN_CLOSED;
    if (c->result == 0 && exists)
        model_complain(m, "%s opened a connection that exists in %s", model_host(m, c->host),
                       tern_state_name((enum tern_state)s->state));
    if (c->result < 0)
        return;
    s = model_new(m, c->host, &c->local, &c->remote);
    s->accepted = true;
    model_state(m, s, TERN_SYN_SENT);
}

static void accepted(struct model *m, const struct call *c, struct side *s)
{
    if (s == NULL || s->accepted)
        model_complain(m, "%s accepted a connection that nobody opened", model_host(m, c->host));
    else
        s->accepted = true;
}

static void sent(struct model *m, const struct call *c, struct side *s)
{
    if (c->result <= 0)
        return;
    if (s->snd.fin_asked)
        model_complain(m, "%s took data after the program had closed", model_host(m, c->host));
    if (s->snd.n + c->len > s->snd.cap) {
        s->snd.cap = (s->snd.n + c->len) * 2;
        s->snd.bytes = realloc(s->snd.bytes, (size_t)s->snd.cap);
    }
    memcpy(s->snd.bytes + s->snd.n, c->bytes, c->len);
    s->snd.n += c->len;
}

static void received_bytes(struct model *m, const struct call *c, struct side *s)
{
    const char *host = model_host(m, c->host);
    if (s->rcv.n_read + c->len > s->rcv.n)
        model_complain(m, "%s's program read %u bytes where %lld had arrived in order", host, c->len,
                       (long long)(s->rcv.n - s->rcv.n_read));
    else if (memcmp(s->rcv.bytes + s->rcv.n_read, c->bytes, c->len) != 0)
        model_complain(m, "%s's program read other bytes than arrived", host);
    s->rcv.n_read += c->len;
}

static void received(struct model *m, const struct call *c, struct side *s)
{
    const char *host = model_host(m, c->host);
    if (c->result > 0) {
        received_bytes(m, c, s);
    } else if (c->result == 0) {
        if (!s->rcv.fin)
            model_complain(m, "%s's program was told of an end of stream before any FIN", host);
        else if (s->rcv.n_read != s->rcv.n)
            model_complain(m, "%s's program was told of the end of stream with bytes missing", host);
    } else if (s->state != TERN_CLOSED) {
        model_complain(m, "%s's recv failed (%d) in %s", host, (int)c->result,
                       tern_state_name((enum tern_state)s->state));
    }
}

/* CLOSE by state (3.10.4); the state changes at the call, the FIN follows the queued data. */
static void close_sending(struct model *m, struct side *s)
{
    s->snd.fin_asked = true;
    if (s->state == TERN_SYN_RCVD || s->state == TERN_ESTABLISHED)
        model_state(m, s, TERN_FIN_WAIT_1);
    else if (s->state == TERN_CLOSE_WAIT)
        model_state(m, s, TERN_LAST_ACK);
    else if (s->state == TERN_SYN_SENT)
        model_state(m, s, TERN_CLOSED);
}

/* RST where the standard asks for one (3.10.5): not before the peer knows us, not when both FINs are out. */
static void reset(struct model *m, struct side *s)
{
    if (s->state == TERN_SYN_RCVD || (synchronized(s) && s->state != TERN_CLOSING &&
                                      s->state != TERN_LAST_ACK && s->state != TERN_TIME_WAIT))
        model_owe_reset(m, s, s->snd.iss + (uint32_t)s->snd.nxt);
    if (s->state != TERN_CLOSED)
        model_state(m, s, TERN_CLOSED);
}

static void close_listener(struct model *m, struct side *listener)
{
    model_state(m, listener, TERN_CLOSED);
    for (uint32_t i = 0; i < m->sides.n; i++) {
        struct side *s = &m->sides.v[i];
        if (s->host == listener->host && s->passive && !s->accepted &&
            s->local.port == listener->local.port && s->state != TERN_CLOSED)
            reset(m, s);
    }
}

static void closed(struct model *m, struct side *s)
{
    if (s->listener) {
        close_listener(m, s);
        return;
    }
    bool unread = s->rcv.n_read < s->rcv.n && s->state != TERN_TIME_WAIT;
    s->released = true;
    if (synchronized(s) && (unread || s->linger0)) /* SHLD-3, RFC 2525 2.17 */
        reset(m, s);
    else
        close_sending(m, s);
    if (s->state == TERN_FIN_WAIT_2)
        s->since_us = m->now; /* the orphan's timer starts */
    m->timer_us = 0;
}

static void set_option(struct side *s, const struct call *c)
{
    if (c->result == 0 && c->arg == TERN_OPT_KEEPALIVE)
        s->keepalive = c->len;
    if (c->result == 0 && c->arg == TERN_OPT_LINGER0)
        s->linger0 = c->len;
    if (c->result == 0 && c->arg == TERN_OPT_COOKIES)
        s->cookies = c->len == TERN_COOKIES_ALWAYS;
}

/* The end by a timer that only the stack has: it must at least be possible. */
static void timed_out(struct model *m, struct side *s)
{
    bool waiting =
        s->snd.una < s->snd.nxt || s->state == TERN_SYN_SENT || s->keepalive || s->snd.n + 1 > s->snd.nxt;
    if (!waiting)
        model_complain(m, "%s ended a connection by timeout that waited for nothing", model_host(m, s->host));
    model_state(m, s, TERN_CLOSED);
}

static void told(struct model *m, const struct call *c, struct side *s)
{
    const char *host = model_host(m, c->host);
    if ((c->arg & TERN_CONNECTED) && (s->state < TERN_ESTABLISHED || s->passive))
        model_complain(m, "%s's program was told of a connection too early", host);
    if ((c->arg & TERN_PEER_CLOSED) && !s->rcv.fin)
        model_complain(m, "%s's program was told that the peer closed, and no FIN had come", host);
    if (!(c->arg & TERN_ENDED))
        return;
    s->told_end = true;
    if (s->state != TERN_CLOSED && c->result == -TERN_ETIMEDOUT)
        timed_out(m, s);
    if (s->state != TERN_CLOSED)
        model_complain(m, "%s's program was told of the end in %s", host,
                       tern_state_name((enum tern_state)s->state));
}

static void one_call(struct model *m, const struct call *c, struct side *s)
{
    switch (c->what) {
    case CALL_SEND: sent(m, c, s); break;
    case CALL_RECV: received(m, c, s); break;
    case CALL_SHUTDOWN:
        if (c->result == 0 && !s->snd.fin_asked)
            close_sending(m, s);
        break;
    case CALL_CLOSE: closed(m, s); break;
    case CALL_ABORT:
        s->released = true;
        reset(m, s);
        break;
    case CALL_SETOPT: set_option(s, c); break;
    case CALL_TOLD: told(m, c, s); break;
    default: break;
    }
}

void model_call(struct model *m, const struct call *c)
{
    struct side *s = model_find(m, c->host, &c->local, &c->remote);
    if (c->remote.port == 0)
        s = model_listener(m, c->host, &c->local);
    if (c->what == CALL_LISTEN)
        passive_open(m, c);
    else if (c->what == CALL_CONNECT)
        active_open(m, c);
    else if (c->what == CALL_ACCEPT)
        accepted(m, c, s);
    else if (s == NULL)
        model_complain(m, "%s's program called about a connection that the wire does not know",
                       model_host(m, c->host));
    else if (!s->listener || c->what == CALL_CLOSE || c->what == CALL_SETOPT)
        one_call(m, c, s);
}
