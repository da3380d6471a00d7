/* wait.c - poll and epoll. What a descriptor is ready for is what Linux's tcp_poll says in the same
 * situation, but that it is writable as soon as one byte fits.
 *
 * An edge-triggered watch reports a bit again when it has gone away meanwhile, or when more bytes have come.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "check/run.h"

#define IN      (POLLIN | POLLRDNORM)
#define OUT     (POLLOUT | POLLWRNORM)
#define ALWAYS  (POLLERR | POLLHUP)
#define NO_TIME UINT64_MAX

static struct answer gives(int64_t value)
{
    return (struct answer){.value = value};
}

/* --- readiness ------------------------------------------------------------------------------- */

static uint32_t connection_ready(struct run *r, const struct sock *k, const tern_info *i)
{
    bool ended = i->state == TERN_CLOSED, opening = i->state == TERN_SYN_SENT || i->state == TERN_SYN_RCVD;
    bool peer_done = i->fin_rcvd || ended || k->shut_read;
    bool own_done = ended || (i->state > TERN_ESTABLISHED && i->state != TERN_CLOSE_WAIT);
    uint32_t ready = 0, buffer = 0;
    if (ended || (peer_done && own_done))
        ready |= POLLHUP;
    if (peer_done)
        ready |= IN | POLLRDHUP;
    tern_getopt(r->t, k->h, TERN_OPT_SEND_BUFFER, &buffer);
    if (!opening && i->recv_queue >= k->low_water)
        ready |= IN;
    if (!opening && (own_done || i->send_queue + i->send_unacked < buffer))
        ready |= OUT;
    if (!opening && i->urgent > 0)
        ready |= POLLPRI;
    if (ended && i->error != 0 && !k->error_taken)
        ready |= POLLERR;
    return ready;
}

static uint32_t ready_for(struct run *r, const struct sock *k)
{
    tern_info info;
    if (k->kind == SOCK_NEW)
        return OUT | POLLHUP;
    if (!desc_info(r, k, &info))
        return 0;
    if (k->kind == SOCK_LISTENING)
        return info.acceptq > 0 ? IN : 0;
    return connection_ready(r, k, &info);
}

/* A timeout in milliseconds begins when the call does. True: it is over. */
static bool timed_out(struct run *r, int64_t ms)
{
    if (ms < 0)
        return false;
    if (r->wake == NO_TIME)
        r->wake = r->now + (uint64_t)ms * 1000;
    return r->now >= r->wake;
}

static void expect_bits(struct run *r, const struct value *v, uint32_t is, const char *what)
{
    char want[32], got[32];
    uint32_t expected = value_is_open(v) ? is : (uint32_t)value_number(r, v);
    if (expected == is)
        return;
    snprintf(want, sizeof want, "0x%x", expected);
    snprintf(got, sizeof got, "0x%x", is);
    run_fail(r, want, got, "%s", what);
}

/* --- poll ------------------------------------------------------------------------------------ */

/* What poll would report about one {fd=N, events=..., revents=...}. */
static uint32_t poll_one(struct run *r, const struct value *v)
{
    const struct value *fd = value_field(v, "fd"), *events = value_field(v, "events");
    if (fd == NULL || events == NULL)
        run_wrong(r, v->line, v->column, "{fd=N, events=..., revents=...} must stand here");
    struct sock *k = desc_find(r, (int)value_number(r, fd));
    if (k == NULL)
        return POLLNVAL;
    return ready_for(r, k) & ((uint32_t)value_number(r, events) | ALWAYS);
}

struct answer call_poll(struct run *r, const struct call_spec *c)
{
    const struct value *list = call_arg(c, 0);
    int64_t count = 0;
    if (list == NULL || list->kind != VALUE_LIST || call_arg(c, 2) == NULL)
        run_wrong(r, r->event->line, r->event->column,
                  "poll([{fd=N, events=...}, ...], COUNT, MILLISECONDS)");
    for (const struct value *v = list->first; v != NULL; v = v->next)
        count += poll_one(r, v) != 0;
    if (count == 0 && !timed_out(r, value_number(r, call_arg(c, 2))))
        return (struct answer){.blocks = true};
    for (const struct value *v = list->first; v != NULL; v = v->next) {
        const struct value *revents = value_field(v, "revents");
        if (revents != NULL)
            expect_bits(r, revents, poll_one(r, v), "poll reports other events");
    }
    return gives(count);
}

/* --- epoll ----------------------------------------------------------------------------------- */

struct answer call_epoll_create(struct run *r, int fd)
{
    if (fd < 0)
        return gives(0);
    desc_make(r, fd)->kind = SOCK_EPOLL;
    return gives(fd);
}

static struct watch **find_watch(struct sock *k, int fd)
{
    struct watch **w = &k->watches;
    while (*w != NULL && (*w)->fd != fd)
        w = &(*w)->next;
    return w;
}

static uint64_t watch_data(struct run *r, const struct value *v, uint64_t otherwise)
{
    static const char *const names[] = {"fd", "ptr", "u32", "u64"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (value_field(v, names[i]) != NULL)
            return (uint64_t)value_number(r, value_field(v, names[i]));
    return otherwise;
}

static void set_watch(struct run *r, struct watch *w, const struct value *v)
{
    const struct value *events = value_field(v, "events");
    if (events == NULL)
        run_wrong(r, v->line, v->column, "{events=..., fd=N} must stand here");
    w->events = (uint32_t)value_number(r, events);
    w->data = watch_data(r, v, (uint64_t)w->fd);
    w->reported = 0;
    w->disarmed = false;
}

struct answer call_epoll_ctl(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t what = value_number(r, call_arg(c, 1));
    int fd = (int)value_number(r, call_arg(c, 2));
    if (k->kind != SOCK_EPOLL)
        return gives(-EINVAL);
    if (desc_find(r, fd) == NULL)
        return gives(-EBADF);
    struct watch **at = find_watch(k, fd), *w = *at;
    if ((what == EPOLL_CTL_ADD) == (w != NULL))
        return gives(w != NULL ? -EEXIST : -ENOENT);
    if (what == EPOLL_CTL_DEL) {
        *at = w->next;
        free(w);
        return gives(0);
    }
    if (w == NULL) {
        w = *at = calloc(1, sizeof *w);
        w->fd = fd;
    }
    set_watch(r, w, call_arg(c, 3));
    return gives(0);
}

static uint32_t watch_ready(struct run *r, struct watch *w)
{
    struct sock *k = desc_find(r, w->fd);
    uint32_t ready = k != NULL && !w->disarmed ? ready_for(r, k) & (w->events | ALWAYS) : 0;
    return w->events & EPOLLET ? ready & ~w->reported : ready;
}

/* What was reported and is not so any more, or is so anew. */
static void refresh(struct run *r, struct watch *w)
{
    tern_info info;
    struct sock *k = desc_find(r, w->fd);
    if (k == NULL)
        return;
    w->reported &= ready_for(r, k);
    if (desc_info(r, k, &info) && info.bytes_received + info.acceptq != w->seen) {
        w->seen = info.bytes_received + info.acceptq;
        w->reported &= ~(uint32_t)IN;
    }
}

void wait_refresh(struct run *r)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        for (struct watch *w = r->sock[i].watches; w != NULL; w = w->next)
            refresh(r, w);
}

/* One reported event, against the one that the script has in its place. */
static void expect_watch(struct run *r, const struct value *v, const struct watch *w, uint32_t ready)
{
    char want[32], got[32];
    if (v == NULL || value_is_open(v))
        return;
    uint64_t data = watch_data(r, v, w->data);
    if (data != w->data) {
        snprintf(want, sizeof want, "%llu", (unsigned long long)data);
        snprintf(got, sizeof got, "%llu", (unsigned long long)w->data);
        run_fail(r, want, got, "epoll_wait reports another descriptor");
    }
    if (value_field(v, "events") != NULL)
        expect_bits(r, value_field(v, "events"), ready, "epoll_wait reports other events");
}

static int64_t report_watches(struct run *r, struct sock *k, const struct value *v, int64_t most)
{
    int64_t count = 0;
    for (struct watch *w = k->watches; w != NULL && count < most; w = w->next) {
        uint32_t ready = watch_ready(r, w);
        if (ready == 0)
            continue;
        expect_watch(r, v, w, ready);
        w->reported |= ready;
        w->disarmed = w->events & EPOLLONESHOT;
        v = v != NULL ? v->next : NULL;
        count++;
    }
    return count;
}

struct answer call_epoll_wait(struct run *r, struct sock *k, const struct call_spec *c)
{
    const struct value *v = call_arg(c, 1);
    int64_t most = value_number(r, call_arg(c, 2));
    bool any = false;
    if (k->kind != SOCK_EPOLL || most <= 0)
        return gives(-EINVAL);
    for (struct watch *w = k->watches; w != NULL; w = w->next)
        any |= watch_ready(r, w) != 0;
    if (!any && !timed_out(r, value_number(r, call_arg(c, 3))))
        return (struct answer){.blocks = true};
    bool list = v->kind == VALUE_LIST;
    return gives(any ? report_watches(r, k, list ? v->first : v->kind == VALUE_STRUCT ? v : NULL, most) : 0);
}
