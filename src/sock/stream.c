/* stream.c - SEND and RECEIVE (RFC 9293 3.10.2, 3.10.3). */
#include "sock/sock.h"

int stream_refused(const struct tcb *c)
{
    if (c->h.state == TERN_CLOSED)
        return c->face.error != 0 ? c->face.error : -TERN_EPIPE;
    return c->snd.fin_queued || c->h.state == TERN_TIME_WAIT ? -TERN_EPIPE : 0;
}

uint32_t stream_room(const struct snd *s) { return s->q.len < s->buffer ? s->buffer - s->q.len : 0; }

/* Room for bytes that are referred to. Records cost memory too: where pieces are small their number is
 * bounded. */
uint32_t stream_refer_room(const struct snd *s)
{
    return s->q.chunks < 64 + s->buffer / 256 ? stream_room(s) : 0;
}

void stream_sent(struct tern *t, struct tcb *c, size_t asked, uint32_t got, unsigned flags)
{
    struct snd *s = &c->snd;
    bool all = got == asked;
    sock_trace(t, &c->h, TERN_CALL_SEND, asked, got);
    if (asked == 0)
        return;
    s->more = (flags & TERN_MORE) != 0 && all;
    if ((flags & TERN_URG) != 0 && all) {
        s->up = snd_end(s);
        s->urgent = true;
    }
    if (!all && stream_refer_room(s) > 0)
        shortage_wait(t, c); /* not its limit: the stack's memory */
    else if (!all)
        s->blocked = true;
    conn_ready(t, &c->h);
}

long tern_send(tern *t, tern_handle h, const void *data, size_t len, unsigned flags)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    uint32_t want = (uint32_t)min_u64(len, stream_room(&c->snd));
    waiting_make_room(t, 1 + (want >> t->a->page_shift));
    shortage_redeem(t, c);
    uint32_t got = chunkq_append(t->a, &c->snd.q, data, want, MEM_DATA);
    stream_sent(t, c, len, got, flags);
    sock_done(t, c);
    return got > 0 || len == 0 ? (long)got : -TERN_EAGAIN;
}

/* An orderly end and a reset are told apart (RFC 9293 MUST-12). */
int stream_empty(struct tcb *c)
{
    if (c->h.state == TERN_CLOSED && c->face.error != 0)
        return c->face.error;
    if (c->rcv.fin_rcvd || c->h.state == TERN_CLOSED) {
        c->rcv.eof_read = c->rcv.fin_rcvd;
        return 0;
    }
    return -TERN_EAGAIN;
}

/* A connection with bytes to read; NULL: *e is what the call answers. */
static struct tcb *with_bytes(struct tern *t, tern_handle h, int *e)
{
    struct tcb *c = sock_conn(t, h, e);
    if (c == NULL || c->rcv.q.len > 0)
        return c;
    *e = stream_empty(c);
    return NULL;
}

static void consume(struct tern *t, struct tcb *c, uint32_t n)
{
    chunkq_drop_front(t->a, &c->rcv.q, n);
    recv_read(t, c);
}

long tern_recv(tern *t, tern_handle h, void *buf, size_t len)
{
    int e;
    struct tcb *c = with_bytes(t, h, &e);
    if (c == NULL)
        return e;
    uint32_t n = (uint32_t)min_u64(len, c->rcv.q.len);
    chunkq_copy(t->a, &t->regions, &c->rcv.q, c->rcv.q.pos, buf, n);
    consume(t, c, n);
    sock_trace(t, &c->h, TERN_CALL_RECV, len, n);
    sock_done(t, c);
    return (long)n;
}

int tern_peek(tern *t, tern_handle h, tern_slice *slices, int max)
{
    int e;
    uint32_t got;
    struct tcb *c = with_bytes(t, h, &e);
    if (c == NULL)
        return e;
    return chunkq_slices(t->a, &t->regions, &c->rcv.q, c->rcv.q.pos, c->rcv.q.len, NULL, slices, max, &got);
}

int tern_consume(tern *t, tern_handle h, size_t n)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (n > c->rcv.q.len)
        return -TERN_EINVAL;
    consume(t, c, (uint32_t)n);
    sock_trace(t, &c->h, TERN_CALL_RECV, n, (int64_t)n);
    sock_done(t, c);
    return 0;
}
