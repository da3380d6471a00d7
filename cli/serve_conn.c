/* serve_conn.c - one connection of tern serve: read a request, send the answer, go on or close.
 *
 *     READ ──request complete──▶ SEND ──all sent, keep-alive──▶ READ
 *       │ end of stream            └──all sent, no keep-alive──▶ DRAIN ──end of stream, or enough──▶ closed
 *       └──▶ closed
 *
 * A client that has closed its direction (nc -N) still gets its answer: end of stream is only looked at
 * between answers. While an answer is sent nothing is read: what the client sends meanwhile waits in the
 * receive window, which is the back-pressure that a pipeline needs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

enum {
    IDLE_S = 60,         /* between two requests */
    HEAD_S = 30,         /* for a request to come in whole */
    STALL_S = 300,       /* an answer of which nothing is taken any more */
    DRAIN_S = 5,         /* after the last answer */
    DRAIN_MAX = 1 << 20, /* bytes read after the last answer */
};

static uint64_t now_of(const server *s) { return tern_now(s->net.stack); }

conn *conn_new(server *s)
{
    conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->next = s->conns;
    if (c->next != NULL)
        c->next->prev = c;
    s->conns = c;
    s->n_conns++;
    return c;
}

void conn_open(server *s, tern_handle h)
{
    conn *c = conn_new(s);
    if (c == NULL) {
        tern_abort(s->net.stack, h);
        return;
    }
    c->h = h;
    c->since_us = now_of(s);
    tern_set_data(s->net.stack, h, (uint64_t)(uintptr_t)c);
    conn_run(s, c); /* the request may have come with the handshake's last segment */
}

static void end_answer(server *s, conn *c)
{
    if (c->ans != NULL)
        pages_leave(s, c->ans);
    answer_free(c->ans);
    c->ans = NULL;
}

void conn_free(server *s, conn *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->conns = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    s->n_conns--;
    free(c->req);
    end_answer(s, c);
    free(c);
}

/* Everything said: close in order. */
static void finish(server *s, conn *c)
{
    tern_close(s->net.stack, c->h);
    conn_free(s, c);
}

static void give_up(server *s, conn *c)
{
    tern_abort(s->net.stack, c->h);
    conn_free(s, c);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void log_answer(const server *s, const conn *c)
{
    const request *r = c->req;
    tern_info info;
    char peer[64] = "?";
    if (!s->verbose)
        return;
    if (tern_get_info(s->net.stack, c->h, &info) == 0)
        net_endpoint_text(&info.remote, peer);
    flockfile(stdout); /* one line is one thread's */
    printf("%s \"%s ", peer, r->refuse != 0 && r->url[0] == '\0' ? "?" : http_method_str(r->parser.method));
    for (const char *p = r->url; *p != '\0'; p++) /* nothing of the client's reaches the terminal unseen */
        printf(*p > ' ' && *p < 127 && *p != '"' && *p != '\\' ? "%c" : "\\x%02x", (unsigned char)*p);
    printf(" HTTP/%u.%u\" %d %llu\n", r->parser.http_major, r->parser.http_minor, c->ans->status,
           (unsigned long long)c->ans->body);
    fflush(stdout);
    funlockfile(stdout);
}

static bool begin_answer(server *s, conn *c)
{
    c->ans = malloc(sizeof *c->ans);
    if (c->ans == NULL)
        return false;
    answer_make(s, c->req, c->ans);
    log_answer(s, c);
    free(c->req);
    c->req = NULL;
    c->phase = PHASE_SEND;
    return true;
}

/* The next bytes of the body: from the text in place, or read from the file. 0 = the file has become
 * shorter. */
static size_t body_piece(server *s, const answer *a, const char **data)
{
    size_t want = a->left < SERVE_CHUNK ? (size_t)a->left : SERVE_CHUNK;
    if (a->text != NULL) {
        *data = a->text + a->offset;
        return want;
    }
    ssize_t n = pread(a->fd, s->chunk, want, (off_t)a->offset);
    *data = s->chunk;
    return n > 0 ? (size_t)n : 0;
}

/* Give `len` bytes to the connection; returns how many it took, or the error. */
static long push(server *s, conn *c, const char *data, size_t len, bool more)
{
    size_t done = 0;
    while (done < len) {
        long n = tern_send(s->net.stack, c->h, data + done, len - done, more ? TERN_MORE : 0);
        if (n < 0)
            return done > 0 && n == -TERN_EAGAIN ? (long)done : n;
        done += (size_t)n;
        c->since_us = now_of(s);
    }
    return (long)done;
}

enum progress { GO_ON, WAIT, GONE };

/* Send some of the body: lent where its pages are, else read and copied. Returns how many bytes went, or an
 * error; 0 = the file has become shorter. `*more`: it took all that it was offered. */
static long send_piece(server *s, conn *c, bool *more)
{
    answer *a = c->ans;
    const char *data;
    long n = pages_send(s, c, a);
    if (n > 0)
        c->since_us = now_of(s);
    if (n != 0)
        return n;
    size_t len = body_piece(s, a, &data);
    n = len > 0 ? push(s, c, data, len, a->left > len) : 0;
    *more = n == (long)len;
    return n;
}

static enum progress send_body(server *s, conn *c)
{
    answer *a = c->ans;
    bool more = true;
    while (a->left > 0 && more) {
        long n = send_piece(s, c, &more);
        if (n == -TERN_EAGAIN)
            return WAIT;
        if (n == 0) /* promised more than there is: only a reset tells the client so */
            give_up(s, c);
        else if (n < 0)
            finish(s, c);
        if (n <= 0)
            return GONE;
        a->offset += (uint64_t)n;
        a->left -= (uint64_t)n;
    }
    return a->left > 0 ? WAIT : GO_ON;
}

static enum progress send_answer(server *s, conn *c)
{
    answer *a = c->ans;
    if (a->head_sent < a->head_len) {
        long n = push(s, c, a->head + a->head_sent, a->head_len - a->head_sent, a->left > 0);
        if (n < 0 && n != -TERN_EAGAIN) {
            finish(s, c);
            return GONE;
        }
        a->head_sent += n > 0 ? (uint32_t)n : 0;
        if (a->head_sent < a->head_len)
            return WAIT;
    }
    enum progress p = send_body(s, c);
    if (p != GO_ON)
        return p;
    c->phase = a->keep_alive ? PHASE_READ : PHASE_DRAIN;
    if (c->phase == PHASE_DRAIN)
        tern_shutdown(s->net.stack, c->h);
    end_answer(s, c);
    c->since_us = now_of(s);
    return GO_ON;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The stream has ended, or is broken. A request that was cut off in the middle gets no answer. */
static enum progress read_ended(server *s, conn *c)
{
    finish(s, c);
    return GONE;
}

static enum progress read_request(server *s, conn *c)
{
    tern_slice slices[16];
    for (;;) {
        int n = tern_peek(s->net.stack, c->h, slices, 16);
        if (n == -TERN_EAGAIN)
            return WAIT;
        if (n <= 0)
            return read_ended(s, c);
        if (c->req == NULL) {
            c->req = malloc(sizeof *c->req);
            if (c->req == NULL)
                break;
            request_init(c->req);
            c->since_us = now_of(s); /* HEAD_S counts from the first byte: trickling does not prolong it */
        }
        size_t used = 0;
        for (int i = 0; i < n && !c->req->complete && c->req->refuse == 0; i++)
            used += request_feed(c->req, slices[i].data, slices[i].len);
        tern_consume(s->net.stack, c->h, used);
        if (c->req->complete || c->req->refuse != 0) {
            if (!begin_answer(s, c))
                break;
            return GO_ON;
        }
    }
    give_up(s, c);
    return GONE;
}

/* After our FIN: read on until the client's, so that what it still sends does not turn our close into a
 * reset, which could destroy the answer on its way (RFC 9112 9.6). */
static enum progress drain(server *s, conn *c)
{
    for (;;) {
        long n = tern_recv(s->net.stack, c->h, s->chunk, sizeof s->chunk);
        if (n == -TERN_EAGAIN)
            return WAIT;
        c->drained += n > 0 ? (uint32_t)n : 0;
        if (n <= 0 || c->drained > DRAIN_MAX)
            break;
    }
    finish(s, c);
    return GONE;
}

void conn_run(server *s, conn *c)
{
    enum progress p = GO_ON;
    while (p == GO_ON)
        p = c->phase == PHASE_READ   ? read_request(s, c)
            : c->phase == PHASE_SEND ? send_answer(s, c)
                                     : drain(s, c);
}

/* --- patience --------------------------------------------------------------------------------- */

static uint64_t patience_s(const conn *c)
{
    if (c->phase == PHASE_SEND)
        return STALL_S;
    if (c->phase == PHASE_DRAIN)
        return DRAIN_S;
    return c->req != NULL ? HEAD_S : IDLE_S;
}

void conn_check(server *s)
{
    for (conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (pages_lost(s, c))
            give_up(s, c);
    }
}

/* Once a second: end those that have kept us waiting for too long. */
void conn_sweep(server *s, uint64_t now)
{
    if (now - s->swept_us < 1000000)
        return;
    s->swept_us = now;
    pages_sweep(s, now);
    for (conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (now - c->since_us < patience_s(c) * 1000000)
            continue;
        if (c->phase == PHASE_SEND) {
            give_up(s, c);
        } else if (c->phase == PHASE_READ && c->req != NULL) {
            c->req->refuse = 408;
            if (begin_answer(s, c))
                conn_run(s, c);
        } else {
            finish(s, c);
        }
    }
}
