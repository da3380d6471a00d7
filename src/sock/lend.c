/* lend.c - SEND and RECEIVE without a copy (RFC 9293 3.10.2, 3.10.3; tern/lent.h): lent memory, bytes moved
 * from connection to connection, and chunks in the program's hands. */
#include "sock/sock.h"
#include <tern/lent.h>

static bool inside(const struct tern *t, int region, uint64_t at, size_t len)
{
    if (region <= 0 || region >= REGIONS)
        return false;
    uint64_t size = t->w->lent.region[region].len;
    return len > 0 && at <= size && len <= size - at;
}

/* n bytes of a region are queued; how many were. */
static uint32_t refer(struct tern *t, struct tcb *c, const struct hold *what)
{
    ref_t hold = what->len > 0 ? hold_new(t->a, what, MEM_DATA) : 0;
    if (hold == 0)
        return 0;
    if (chunkq_refer(t->a, &c->snd.q, hold, 0, what->len, MEM_DATA))
        return what->len;
    hold_forget(t->a, hold);
    return 0;
}

long tern_lend(tern *t, tern_handle h, int region, uint64_t at, size_t len, uint64_t tag, unsigned flags)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    if (!inside(t, region, at, len))
        return -TERN_EINVAL;
    struct hold what = {
        .kind = HOLD_LENT,
        .region = (uint8_t)region,
        .len = (uint32_t)min_u64(len, stream_refer_room(&c->snd)),
        .at = at,
        .tag = tag,
        .conn = h.v,
    };
    shortage_redeem(t, c);
    uint32_t got = refer(t, c, &what);
    stream_sent(t, c, len, got, flags);
    sock_done(t, c);
    return got > 0 ? (long)got : -TERN_EAGAIN;
}

/* The program has taken n bytes off the receive queue. */
static void taken_off(struct tern *t, struct tcb *c, size_t asked, uint32_t n)
{
    recv_read(t, c);
    sock_trace(t, &c->h, TERN_CALL_RECV, asked, n);
}

/* The second connection of a call: should it have to wake, memory for it is not taken from the first. */
static struct tcb *wake_beside(struct tern *t, struct tcb *first, tern_handle h, int *error)
{
    bool before = first->restless;
    first->restless = true;
    struct tcb *c = sock_conn(t, h, error);
    first->restless = before;
    return c;
}

long tern_move(tern *t, tern_handle from, tern_handle to, size_t n, unsigned flags)
{
    int e;
    struct tcb *f = sock_conn(t, from, &e), *c = f != NULL ? wake_beside(t, f, to, &e) : NULL;
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    if (n == 0)
        return -TERN_EINVAL;
    if (f->rcv.q.len == 0)
        return stream_empty(f);
    uint32_t there = (uint32_t)min_u64(n, f->rcv.q.len);
    uint32_t want = min_u32(there, stream_refer_room(&c->snd));
    shortage_redeem(t, c);
    uint32_t got = chunkq_move(t->a, &t->regions, &c->snd.q, &f->rcv.q, want, MEM_DATA);
    if (got > 0)
        taken_off(t, f, n, got);
    stream_sent(t, c, there, got, flags);
    timer_rearm(t, f);
    sock_done(t, c);
    return got > 0 ? (long)got : -TERN_EAGAIN;
}

/* --- chunks in the program's hands ---------------------------------------------------------------- */

static struct taken *taken_find(struct tern *t, tern_chunk chunk)
{
    ref_t r = (ref_t)chunk.v;
    return pool_valid(t->a, &t->w->taken, r, (uint32_t)(chunk.v >> 32)) ? at(t->a, r) : NULL;
}

long tern_take(tern *t, tern_handle h, size_t n, tern_chunk *out)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    if (c == NULL)
        return e;
    if (n == 0)
        return -TERN_EINVAL;
    if (c->rcv.q.len == 0)
        return stream_empty(c);
    ref_t me = pool_get(t->a, &t->w->taken, MEM_DATA);
    if (me == 0)
        return -TERN_ENOMEM;
    struct taken *k = at(t->a, me);
    chunkq_init(&k->q, 0);
    uint32_t want = (uint32_t)min_u64(n, c->rcv.q.len);
    uint32_t got = chunkq_move(t->a, &t->regions, &k->q, &c->rcv.q, want, MEM_DATA);
    if (got == 0) {
        pool_put(t->a, &t->w->taken, me);
        return -TERN_ENOMEM;
    }
    taken_off(t, c, n, got);
    sock_done(t, c);
    *out = (tern_chunk){(uint64_t)k->gen << 32 | me};
    return (long)got;
}

int tern_chunk_peek(tern *t, tern_chunk chunk, size_t at, tern_slice *slices, int max)
{
    const struct taken *k = taken_find(t, chunk);
    uint32_t got;
    if (k == NULL)
        return -TERN_EBADF;
    if (at > k->q.len)
        return -TERN_EINVAL;
    return chunkq_slices(t->a, &t->regions, &k->q, k->q.pos + (uint32_t)at, k->q.len, NULL, slices, max,
                         &got);
}

long tern_send_chunk(tern *t, tern_handle h, tern_chunk chunk, size_t at, size_t n, unsigned flags)
{
    int e;
    struct tcb *c = sock_conn(t, h, &e);
    struct taken *k = taken_find(t, chunk);
    if (c == NULL || (e = stream_refused(c)) != 0)
        return e;
    if (k == NULL)
        return -TERN_EBADF;
    if (n == 0 || at > k->q.len || n > k->q.len - at)
        return -TERN_EINVAL;
    uint32_t want = (uint32_t)min_u64(n, stream_refer_room(&c->snd));
    shortage_redeem(t, c);
    uint32_t got = chunkq_share(t->a, &t->regions, &c->snd.q, &k->q, k->q.pos + (uint32_t)at, want, MEM_DATA);
    stream_sent(t, c, n, got, flags);
    sock_done(t, c);
    return got > 0 ? (long)got : -TERN_EAGAIN;
}

int tern_drop(tern *t, tern_chunk chunk)
{
    struct taken *k = taken_find(t, chunk);
    if (k == NULL)
        return -TERN_EBADF;
    chunkq_clear(t->a, &k->q);
    pool_put(t->a, &t->w->taken, (ref_t)chunk.v);
    sock_done(t, NULL);
    return 0;
}
