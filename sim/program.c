/* program.c - see program.h. */
#include "program.h"

#include "packet.h"

#include <stdlib.h>
#include <string.h>

static tern *stack_of(const struct end *e)
{
    return e->w->host[e->host].stack;
}

static struct call *log_call(struct end *e, enum call_what what, int64_t result)
{
    struct world *w = e->w;
    world_log(w, LOG_CALL, e->host, w->calls.n);
    struct call *c = LIST_ADD(w->calls);
    *c = (struct call){
        .t_us = w->now,
        .handle = e->handle.v,
        .result = result,
        .local = e->local,
        .remote = e->remote,
        .host = (int8_t)e->host,
        .what = (uint8_t)what,
    };
    e->result = (int)result;
    return c;
}

static void keep_bytes(struct call *c, const void *bytes, size_t len)
{
    c->len = (uint32_t)len;
    c->bytes = malloc(len ? len : 1);
    memcpy(c->bytes, bytes, len);
}

static struct end *new_end(struct world *w, int host)
{
    struct end *e = calloc(1, sizeof *e);
    e->w = w;
    e->host = host;
    *(struct end **)LIST_ADD(w->ends) = e;
    return e;
}

void prog_free(struct end *e)
{
    free(e->in);
    free(e);
}

/* Learn the addresses from STATUS. */
static void learn(struct end *e)
{
    tern_info info;
    if (prog_info(e, &info)) {
        e->local = info.local;
        e->remote = info.remote;
    }
}

struct end *prog_listen(struct world *w, int host, uint16_t port, uint32_t backlog)
{
    struct end *e = new_end(w, host);
    e->listener = true;
    e->local.port = port;
    int result = tern_listen(w->host[host].stack, &e->local, backlog, &e->handle);
    log_call(e, CALL_LISTEN, result);
    world_collect(w, host);
    return e;
}

struct end *prog_connect(struct world *w, int host, int to, uint16_t port, uint16_t local_port)
{
    struct end *e = new_end(w, host);
    e->local = (tern_endpoint){.ip = w->host[host].ip, .port = local_port};
    e->remote = (tern_endpoint){.ip = w->host[to].ip, .port = port};
    int result = tern_connect(w->host[host].stack, &e->local, &e->remote, &e->handle);
    if (result == 0)
        learn(e);
    log_call(e, CALL_CONNECT, result);
    world_collect(w, host);
    return e;
}

struct end *prog_accept(struct end *listener)
{
    tern_handle handle;
    listener->result = tern_accept(stack_of(listener), listener->handle, &handle);
    if (listener->result < 0)
        return NULL;
    struct end *e = new_end(listener->w, listener->host);
    e->handle = handle;
    learn(e);
    log_call(e, CALL_ACCEPT, 0);
    world_collect(e->w, e->host);
    return e;
}

void prog_note_sent(struct end *e, const void *bytes, long result)
{
    struct call *c = log_call(e, CALL_SEND, result);
    if (result > 0) {
        keep_bytes(c, bytes, (size_t)result);
        e->n_out += (uint64_t)result;
    }
    world_collect(e->w, e->host);
}

long prog_send(struct end *e, const void *data, size_t len)
{
    long n = tern_send(stack_of(e), e->handle, data, len, 0);
    prog_note_sent(e, data, n);
    return n;
}

/* Byte `at` of the stream of an end: no short period, different for both directions. */
static uint8_t stream_byte(const struct end *e, uint64_t at)
{
    struct rng r = {.s = at * 2 + (uint64_t)e->host};
    return (uint8_t)('a' + rng_next(&r) % 26);
}

void prog_stream_bytes(const struct end *e, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = stream_byte(e, e->n_out + i);
}

long prog_send_stream(struct end *e, size_t len)
{
    uint8_t bytes[16384];
    long total = 0;
    while (len > 0) {
        size_t n = len < sizeof bytes ? len : sizeof bytes;
        prog_stream_bytes(e, bytes, n);
        long taken = prog_send(e, bytes, n);
        if (taken < 0)
            return total ? total : taken;
        total += taken;
        len -= (size_t)taken;
        if ((size_t)taken < n)
            break;
    }
    return total;
}

static void append(struct end *e, const uint8_t *bytes, size_t len)
{
    if (e->n_in + len > e->in_cap) {
        e->in_cap = (e->n_in + len) * 2;
        e->in = realloc(e->in, e->in_cap);
    }
    memcpy(e->in + e->n_in, bytes, len);
    e->n_in += len;
}

long prog_read(struct end *e)
{
    uint8_t bytes[16384];
    long total = 0, n;
    while ((n = tern_recv(stack_of(e), e->handle, bytes, sizeof bytes)) > 0) {
        keep_bytes(log_call(e, CALL_RECV, n), bytes, (size_t)n);
        append(e, bytes, (size_t)n);
        total += n;
    }
    if (n != -TERN_EAGAIN)
        log_call(e, CALL_RECV, n);
    e->eof |= n == 0;
    if (n < 0 && n != -TERN_EAGAIN)
        e->error = (int)n;
    world_collect(e->w, e->host);
    return total ? total : n;
}

void prog_note_read(struct end *e, const uint8_t *bytes, long result)
{
    if (result > 0) {
        keep_bytes(log_call(e, CALL_RECV, result), bytes, (size_t)result);
        append(e, bytes, (size_t)result);
    } else if (result != -TERN_EAGAIN) {
        log_call(e, CALL_RECV, result);
    }
    e->eof |= result == 0;
    if (result < 0 && result != -TERN_EAGAIN)
        e->error = (int)result;
    world_collect(e->w, e->host);
}

int prog_shutdown(struct end *e)
{
    int result = tern_shutdown(stack_of(e), e->handle);
    log_call(e, CALL_SHUTDOWN, result);
    world_collect(e->w, e->host);
    return result;
}

static int release(struct end *e, enum call_what what, int (*call)(tern *, tern_handle))
{
    int result = call(stack_of(e), e->handle);
    log_call(e, what, result);
    e->released = true;
    world_collect(e->w, e->host);
    return result;
}

int prog_close(struct end *e)
{
    return release(e, CALL_CLOSE, tern_close);
}

int prog_abort(struct end *e)
{
    return release(e, CALL_ABORT, tern_abort);
}

int prog_setopt(struct end *e, enum tern_option opt, uint32_t value)
{
    int result = tern_setopt(stack_of(e), e->handle, opt, value);
    struct call *c = log_call(e, CALL_SETOPT, result);
    c->arg = opt;
    c->len = value;
    return result;
}

bool prog_find(const struct world *w, int host, const tern_endpoint *local, const tern_endpoint *remote,
               tern_info *info)
{
    uint64_t cursor = 0;
    while (tern_walk(w->host[host].stack, &cursor, info) == 1)
        if (endpoint_equal(&info->local, local) && endpoint_equal(&info->remote, remote))
            return true;
    return false;
}

bool prog_info(const struct end *e, tern_info *info)
{
    return !e->released && tern_get_info(stack_of(e), e->handle, info) == 0;
}

enum tern_state prog_state(const struct end *e)
{
    tern_info info;
    bool found = e->released ? prog_find(e->w, e->host, &e->local, &e->remote, &info) : prog_info(e, &info);
    return found ? (enum tern_state)info.state : TERN_CLOSED;
}

static struct end *find_end(struct world *w, int host, tern_handle handle)
{
    for (uint32_t i = w->ends.n; i-- > 0;)
        if (w->ends.v[i]->host == host && w->ends.v[i]->handle.v == handle.v && !w->ends.v[i]->released)
            return w->ends.v[i];
    return NULL;
}

static void note_end(struct end *e)
{
    tern_info info;
    if (!prog_info(e, &info))
        return;
    e->error = info.error;
    e->reason = info.reason;
}

void prog_told(struct world *w, int host, const tern_event *event)
{
    struct end *e = find_end(w, host, event->handle);
    if (e == NULL)
        return;
    for (int bit = 0; bit < 9; bit++)
        if ((event->bits >> bit & 1) && !(e->told >> bit & 1))
            e->told_us[bit] = w->now;
    e->told |= event->bits;
    if (event->bits & TERN_ENDED)
        note_end(e);
    int result = e->result;
    struct call *c = log_call(e, CALL_TOLD, e->error);
    c->arg = event->bits;
    e->result = result;
}
