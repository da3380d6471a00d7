/* serve_move.c - what `tern serve` itself knows of its connections goes to another process (--handover): half
 * a request, an answer and the byte at which it is, the file that it comes from. The connections themselves
 * go with the stack (tern/handover.h).
 *
 *   luggage   | head | listener, listener, ... | conn | request? | answer? | text? | conn | ...
 *   and, in the order of the connections, the descriptor of each answer that has a file
 *
 * Both processes are of one build (the stack's image sees to that), so structures go as they are; only the
 * library that reads requests could be another one, and that is asked.
 */
#include "serve.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"

struct move_head {
    uint64_t parser; /* http_parser_version of who wrote it */
    uint32_t sizes;  /* of the structures */
    uint32_t n_conns;
    int32_t n_listens;
    uint32_t pad;
    uint64_t swept_us;
};

struct move_listen {
    tern_endpoint at;
    tern_handle h;
};

struct move_conn {
    tern_handle h;
    uint64_t since_us;
    uint64_t text_len; /* of the answer, from its next byte on */
    uint32_t drained;
    uint8_t phase;
    uint8_t has_req, has_ans, has_file; /* 0 or 1 */
};

static uint32_t sizes(void)
{
    return (uint32_t)(sizeof(request) + 7 * sizeof(answer) + 31 * sizeof(struct move_conn));
}

/* --- out ---------------------------------------------------------------------------------------- */

struct trunk {
    uint8_t *bytes;
    size_t len, room;
    int *fds;
    int n_fds;
    bool failed; /* no memory */
};

static void pack(struct trunk *t, const void *data, size_t n)
{
    if (t->failed || n == 0)
        return;
    if (t->len + n > t->room) {
        size_t room = (t->len + n) * 2;
        uint8_t *bigger = realloc(t->bytes, room);
        if (bigger == NULL) {
            t->failed = true;
            return;
        }
        t->bytes = bigger;
        t->room = room;
    }
    memcpy(t->bytes + t->len, data, n);
    t->len += n;
}

/* What is left of a text; what was sent of it stays behind. */
static void pack_answer(struct trunk *t, const answer *a)
{
    answer copy = *a;
    copy.text = NULL;
    copy.piece = 0;
    copy.fd = -1;
    if (a->text != NULL)
        copy.offset = 0;
    pack(t, &copy, sizeof copy);
    if (a->text != NULL)
        pack(t, a->text + a->offset, a->left);
    if (a->fd >= 0)
        t->fds[t->n_fds++] = a->fd;
}

static void pack_conn(struct trunk *t, const conn *c)
{
    const answer *a = c->ans;
    struct move_conn m = {
        .h = c->h,
        .since_us = c->since_us,
        .text_len = a != NULL && a->text != NULL ? a->left : 0,
        .drained = c->drained,
        .phase = c->phase,
        .has_req = c->req != NULL,
        .has_ans = a != NULL,
        .has_file = a != NULL && a->fd >= 0,
    };
    pack(t, &m, sizeof m);
    if (c->req != NULL)
        pack(t, c->req, sizeof *c->req);
    if (a != NULL)
        pack_answer(t, a);
}

static void pack_all(const server *s, struct trunk *t)
{
    struct move_head head = {
        .parser = http_parser_version(),
        .sizes = sizes(),
        .n_conns = s->n_conns,
        .n_listens = s->n_listens,
        .swept_us = s->swept_us,
    };
    pack(t, &head, sizeof head);
    for (int i = 0; i < s->n_listens; i++)
        pack(t, &(struct move_listen){s->listens[i], s->listeners[i]}, sizeof(struct move_listen));
    for (const conn *c = s->conns; c != NULL; c = c->next)
        pack_conn(t, c);
}

bool move_out(server *s)
{
    char err[200];
    struct trunk t = {.fds = calloc(s->n_conns + 1, sizeof(int))};
    t.failed = t.fds == NULL;
    if (!t.failed)
        pack_all(s, &t);
    int r = -1;
    if (t.failed) {
        tern_host_decline(s->net.host, "the old process has not enough memory to hand over");
        fprintf(stderr, "tern serve: not enough memory to hand over\n");
    } else {
        tern_luggage luggage = {.data = t.bytes, .len = t.len, .fds = t.fds, .n_fds = t.n_fds};
        r = tern_host_hand_over(s->net.host, &luggage, 0, err, sizeof err);
        if (r != 0)
            fprintf(stderr, "tern serve: not handed over, and going on: %s\n", err);
        else
            fprintf(stderr, "tern serve: handed over with %u connections\n", s->n_conns);
    }
    free(t.bytes);
    free(t.fds);
    return r == 0;
}

/* --- in ----------------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *at;
    size_t left;
    const int *fds;
    int n_fds;
    bool failed; /* the luggage is shorter than it says, or there is no memory */
};

static void unpack(struct reader *r, void *to, size_t n)
{
    if (r->failed || n > r->left) {
        r->failed = true;
        memset(to, 0, n);
        return;
    }
    memcpy(to, r->at, n);
    r->at += n;
    r->left -= n;
}

static void *unpack_new(struct reader *r, size_t n)
{
    void *p = n <= r->left ? malloc(n > 0 ? n : 1) : NULL;
    if (p == NULL)
        r->failed = true;
    else
        unpack(r, p, n);
    return p;
}

static request *unpack_request(struct reader *r)
{
    request *req = unpack_new(r, sizeof *req);
    if (req != NULL)
        req->parser.data = req;
    return req;
}

/* Nothing is sent that is not there. */
static bool answer_fits(const answer *a, const struct move_conn *m)
{
    bool body = m->text_len > 0 ? a->offset == 0 && a->left == m->text_len : m->has_file || a->left == 0;
    return body && a->head_len <= sizeof a->head && a->head_sent <= a->head_len;
}

static answer *unpack_answer(struct reader *r, const struct move_conn *m)
{
    answer *a = unpack_new(r, sizeof *a);
    if (a == NULL)
        return NULL;
    r->failed |= !answer_fits(a, m);
    a->text = m->text_len > 0 ? unpack_new(r, m->text_len) : NULL;
    a->fd = -1;
    a->piece = 0; /* it was one of the old process' memory */
    if (m->has_file && r->n_fds > 0) {
        a->fd = *r->fds++;
        r->n_fds--;
    } else if (m->has_file) {
        r->failed = true;
    }
    return a;
}

static void unpack_conn(server *s, struct reader *r)
{
    struct move_conn m;
    unpack(r, &m, sizeof m);
    conn *c = r->failed ? NULL : conn_new(s);
    if (c == NULL) {
        r->failed = true;
        return;
    }
    c->h = m.h;
    c->since_us = m.since_us;
    c->drained = m.drained;
    c->phase = m.phase;
    c->req = m.has_req ? unpack_request(r) : NULL;
    c->ans = m.has_ans ? unpack_answer(r, &m) : NULL;
    r->failed |= m.phase > PHASE_DRAIN || (m.phase == PHASE_SEND) != (m.has_ans != 0);
    r->failed |= tern_set_data(s->net.stack, c->h, (uint64_t)(uintptr_t)c) != 0;
}

static void unpack_all(server *s, struct reader *r, const struct move_head *head)
{
    s->swept_us = head->swept_us;
    s->n_listens = head->n_listens;
    for (int i = 0; i < s->n_listens && !r->failed; i++) {
        struct move_listen l;
        unpack(r, &l, sizeof l);
        s->listens[i] = l.at;
        s->listeners[i] = l.h;
    }
    for (uint32_t i = 0; i < head->n_conns && !r->failed; i++)
        unpack_conn(s, r);
}

int move_in(server *s, const tern_luggage *luggage)
{
    struct reader r = {luggage->data, luggage->len, luggage->fds, luggage->n_fds, false};
    struct move_head head;
    unpack(&r, &head, sizeof head);
    bool same = !r.failed && head.parser == http_parser_version() && head.sizes == sizes() &&
                head.n_listens >= 0 && head.n_listens <= SERVE_LISTENS;
    if (same)
        unpack_all(s, &r, &head);
    for (; r.n_fds > 0; r.n_fds--)
        close(*r.fds++);
    if (!same)
        return cmd_cannot("serve", "the old process is of another build, or of another command");
    return r.failed ? cmd_cannot("serve", "not enough memory to take over") : 0;
}
