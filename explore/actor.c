/* actor.c - the programs: each call that one can make, and what it may expect of it.
 *
 * A program knows only what its stack has told it (events, results). It sends bytes that say whose they are,
 * on which of its connections, and which in line; who reads them knows what must come. The stream that a
 * connection carries is found by initial numbers: the reader's IRS is the sender's ISS.
 */
#include "move.h"

#include <tern/net.h>

#include <string.h>

enum { USER_TIMEOUT_MS = 700, KEEP_IDLE_MS = 5000, KEEP_INTVL_MS = 1000, KEEP_COUNT = 2, READ_MOST = 64 };

static const char *const words[CALLS] = {
    "listens",
    "connects",
    "accepts",
    "sends a byte",
    "reads",
    "shuts its direction down",
    "closes",
    "aborts",
    "closes its listener",
    "looks at the SYN",
    "accepts the SYN",
    "rejects the SYN",
    "ignores the SYN",
    "loses its address",
};

const char *call_text(enum call_kind call) { return words[call]; }

static uint8_t byte_of(int side, uint32_t stream, uint32_t at)
{
    return (uint8_t)(0x80 | side << 6 | (stream & 3) << 4 | (at & 15));
}

static struct actor *actor_of(struct duo *d, int side) { return &d->scene.side[side].actor; }

static struct stream *stream_of(struct actor *a) { return &a->stream[a->n_streams - 1]; }

/* --- connections -------------------------------------------------------------------------------- */

static void options(struct duo *d, int side, tern_handle h, bool listener)
{
    tern *t = d->stack[side];
    unsigned flags = d->setting->flags;
    if (flags & SET_KEEPALIVE) {
        tern_setopt(t, h, TERN_OPT_KEEPALIVE, 1);
        tern_setopt(t, h, TERN_OPT_KEEPIDLE_MS, KEEP_IDLE_MS);
        tern_setopt(t, h, TERN_OPT_KEEPINTVL_MS, KEEP_INTVL_MS);
        tern_setopt(t, h, TERN_OPT_KEEPCNT, KEEP_COUNT);
    }
    if (flags & SET_TIMEOUT)
        tern_setopt(t, h, TERN_OPT_USER_TIMEOUT_MS, USER_TIMEOUT_MS);
    if (flags & SET_LINGER)
        tern_setopt(t, h, TERN_OPT_LINGER0, 1);
    if (listener && flags & SET_COOKIES)
        tern_setopt(t, h, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS);
    if (listener && flags & SET_EVICT)
        tern_setopt(t, h, TERN_OPT_COOKIES, TERN_COOKIES_NEVER);
}

/* A new connection of this program: nothing is known of it yet. */
static void take_conn(struct duo *d, int side, tern_handle h)
{
    struct actor *a = actor_of(d, side);
    tern_info i;
    a->conn = h;
    a->received = 0;
    a->shut = a->eof = a->readable = a->ended = false;
    a->error = 0;
    a->stream[a->n_streams++] =
        (struct stream){.iss = tern_get_info(d->stack[side], h, &i) == 0 ? i.iss : 0};
}

static void let_go(struct actor *a)
{
    stream_of(a)->finished = true;
    a->conn.v = 0;
    a->received = 0;
    a->shut = a->eof = a->readable = a->ended = false;
    a->error = 0;
}

static bool do_listen(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    unsigned flags = d->setting->flags;
    tern_endpoint at = {.port = d->at[side].port};
    int e = tern_listen_as(d->stack[side], &at, flags & SET_EVICT ? 1 : 0,
                           flags & SET_DEFER ? TERN_LISTEN_DEFER : 0, &a->listener);
    a->listens--;
    if (e < 0)
        duo_blame(d, FAULT_CALL);
    else
        options(d, side, a->listener, true);
    return true;
}

static bool do_connect(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    bool chooses = d->setting->flags & SET_NEW_PORT && side == A;
    tern_handle h;
    int e = tern_connect(d->stack[side], chooses ? NULL : &d->at[side], &d->at[!side], &h);
    if (e == -TERN_EADDRINUSE || e == -TERN_ENOSR || (e < 0 && a->removed))
        return false; /* the pair is still in TIME_WAIT; there is no way */
    if (e < 0) {
        duo_blame(d, FAULT_CALL);
        return true;
    }
    a->connects--;
    take_conn(d, side, h);
    options(d, side, h, false);
    return true;
}

static bool do_accept(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    tern_handle h;
    int e = tern_accept(d->stack[side], a->listener, &h);
    if (e == -TERN_EAGAIN)
        return false;
    a->acceptable = false;
    if (e < 0)
        duo_blame(d, FAULT_CALL);
    else
        take_conn(d, side, h);
    return true;
}

/* --- data --------------------------------------------------------------------------------------- */

static bool do_send(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    struct stream *s = stream_of(a);
    uint8_t byte = byte_of(side, a->n_streams, s->sent);
    if (tern_send(d->stack[side], a->conn, &byte, 1, 0) == 1)
        s->sent++;
    else
        duo_blame(d, FAULT_CALL);
    return true;
}

/* What the other program sends on our connection; its number from 1 on. 0: none of its streams. */
static uint32_t stream_read(const struct duo *d, int side)
{
    const struct actor *peer = &d->scene.side[!side].actor;
    tern_info i;
    if (tern_get_info(d->stack[side], d->scene.side[side].actor.conn, &i) < 0)
        return 0;
    for (uint32_t n = 0; n < peer->n_streams; n++)
        if (peer->stream[n].iss == i.irs)
            return n + 1;
    return 0;
}

static void check_bytes(struct duo *d, int side, const uint8_t *bytes, long n)
{
    struct actor *a = actor_of(d, side);
    uint32_t stream = stream_read(d, side);
    for (long i = 0; i < n; i++, a->received++) {
        bool sent = stream > 0 && a->received < actor_of(d, !side)->stream[stream - 1].sent;
        if (!sent || bytes[i] != byte_of(!side, stream, a->received))
            duo_blame(d, FAULT_BYTES);
    }
}

static void check_end(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    uint32_t stream = stream_read(d, side);
    const struct stream *s = stream > 0 ? &actor_of(d, !side)->stream[stream - 1] : NULL;
    a->eof = true;
    if (s == NULL || !s->finished || a->received != s->sent)
        duo_blame(d, FAULT_EOF);
}

static bool do_recv(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    uint8_t bytes[READ_MOST];
    long r = tern_recv(d->stack[side], a->conn, bytes, sizeof bytes);
    if (r == -TERN_EAGAIN)
        duo_blame(d, FAULT_CALL); /* it was told that there is something */
    for (; r > 0; r = tern_recv(d->stack[side], a->conn, bytes, sizeof bytes))
        check_bytes(d, side, bytes, r);
    a->readable = false;
    if (r == 0)
        check_end(d, side);
    if (r >= 0 || r == -TERN_EAGAIN)
        return true;
    a->error = (int16_t)r;
    if (!d->scene.rude)
        duo_blame(d, FAULT_ERROR);
    return true;
}

/* --- the end ------------------------------------------------------------------------------------ */

static bool do_shutdown(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    if (tern_shutdown(d->stack[side], a->conn) < 0)
        duo_blame(d, FAULT_CALL);
    a->shut = stream_of(a)->finished = true;
    return true;
}

static bool do_close(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    if (tern_close(d->stack[side], a->conn) < 0)
        duo_blame(d, FAULT_CALL);
    let_go(a);
    return true;
}

static bool do_abort(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    if (tern_abort(d->stack[side], a->conn) < 0)
        duo_blame(d, FAULT_CALL);
    d->scene.left.aborts--;
    let_go(a);
    return true;
}

static bool do_unlisten(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    if (tern_close(d->stack[side], a->listener) < 0)
        duo_blame(d, FAULT_CALL);
    a->listener.v = a->syn.v = 0;
    a->acceptable = a->syn_waits = false;
    return true;
}

static bool do_remove(struct duo *d, int side)
{
    int e = d->setting->flags & SET_LINK
                ? tern_link_remove(d->stack[side], d->link[side])
                : tern_addr_remove(d->stack[side], d->link[side], &d->at[side].ip);
    actor_of(d, side)->removed = true;
    if (e < 0)
        duo_blame(d, FAULT_CALL);
    return true;
}

/* --- SYNs that wait for the program's word -------------------------------------------------------- */

static bool do_next_syn(struct duo *d, int side)
{
    struct actor *a = actor_of(d, side);
    tern_syn syn;
    int e = tern_next_syn(d->stack[side], a->listener, &syn);
    if (e == -TERN_EAGAIN)
        return false; /* it has gone again */
    a->syn_waits = false;
    a->syn = syn.handle;
    if (e < 0)
        duo_blame(d, FAULT_CALL);
    return true;
}

static bool do_decide(struct duo *d, int side, enum call_kind call)
{
    struct actor *a = actor_of(d, side);
    tern *t = d->stack[side];
    tern_handle h;
    int e = call == DO_SYN_ACCEPT ? tern_syn_accept(t, a->syn, 0, &h)
            : call == DO_SYN_REJECT ? tern_syn_reject(t, a->syn)
                                    : tern_syn_ignore(t, a->syn);
    a->syn.v = 0;
    if (e < 0 && e != -TERN_EBADF) /* which says that the peer has left */
        duo_blame(d, FAULT_CALL);
    if (e == 0 && call == DO_SYN_ACCEPT)
        take_conn(d, side, h);
    return true;
}

/* --- all of them -------------------------------------------------------------------------------- */

/* SET_NO_UNLISTEN: only when all is over. */
static bool may_unlisten(const struct duo *d, const struct actor *a)
{
    const struct scene *c = &d->scene;
    bool over = c->n_flying == 0 && c->side[A].n_rec == 0 && c->side[B].n_rec == 0 && a->conn.v == 0;
    return over || !(d->setting->flags & SET_NO_UNLISTEN);
}

bool call_possible(const struct duo *d, int side, enum call_kind call)
{
    const struct actor *a = &d->scene.side[side].actor;
    const struct bounds *left = &d->scene.left;
    bool conn = a->conn.v != 0, open = conn && !a->shut && !a->ended, room = !conn && a->n_streams < STREAMS;
    switch (call) {
    case DO_LISTEN: return a->listens > 0 && a->listener.v == 0;
    case DO_CONNECT: return a->connects > 0 && room;
    case DO_ACCEPT: return a->acceptable && room;
    case DO_SEND: return open && a->stream[a->n_streams - 1].sent < left->bytes;
    case DO_RECV: return conn && a->readable;
    case DO_SHUTDOWN: return open && !(d->setting->flags & SET_NO_SHUTDOWN);
    case DO_CLOSE: return conn;
    case DO_ABORT: return conn && left->aborts > 0;
    case DO_UNLISTEN: return a->listener.v != 0 && may_unlisten(d, a);
    case DO_NEXT_SYN: return a->syn_waits && a->syn.v == 0;
    case DO_SYN_ACCEPT: return a->syn.v != 0 && room;
    case DO_SYN_REJECT:
    case DO_SYN_IGNORE: return a->syn.v != 0;
    case DO_REMOVE: return !a->removed && d->setting->flags & (SET_ADDRESS | SET_LINK);
    case CALLS: break;
    }
    return false;
}

bool call_make(struct duo *d, int side, enum call_kind call)
{
    switch (call) {
    case DO_LISTEN: return do_listen(d, side);
    case DO_CONNECT: return do_connect(d, side);
    case DO_ACCEPT: return do_accept(d, side);
    case DO_SEND: return do_send(d, side);
    case DO_RECV: return do_recv(d, side);
    case DO_SHUTDOWN: return do_shutdown(d, side);
    case DO_CLOSE: return do_close(d, side);
    case DO_ABORT: return do_abort(d, side);
    case DO_UNLISTEN: return do_unlisten(d, side);
    case DO_NEXT_SYN: return do_next_syn(d, side);
    case DO_SYN_ACCEPT:
    case DO_SYN_REJECT:
    case DO_SYN_IGNORE: return do_decide(d, side, call);
    case DO_REMOVE: return do_remove(d, side);
    case CALLS: break;
    }
    return false;
}
