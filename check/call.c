/* call.c - the program's calls. Each gives its result, a negative errno, or that it blocks: then it is tried
 * again whenever something has happened. What a call that blocks has done so far is kept in the run. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check/run.h"

#define BLOCKS ((struct answer){.blocks = true})

static struct answer gives(int64_t value)
{
    return (struct answer){.value = value};
}

/* --- arguments ------------------------------------------------------------------------------- */

const struct value *call_arg(const struct call_spec *c, int n)
{
    const struct value *v = c->args;
    while (v != NULL && n-- > 0)
        v = v->next;
    return v;
}

bool value_is_open(const struct value *v)
{
    return v == NULL || v->kind == VALUE_ELLIPSIS;
}

const struct value *value_field(const struct value *v, const char *name)
{
    for (const struct value *f = v ? v->first : NULL; f != NULL; f = f->next)
        if (f->name != NULL && strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static int64_t word_value(struct run *r, const struct value *v)
{
    int64_t n;
    if (!word_number(v->text, &n))
        run_skip(r, "%s is not known here", v->text);
    return n;
}

int64_t value_number(struct run *r, const struct value *v)
{
    int64_t n = 0;
    if (v == NULL)
        run_wrong(r, r->event->line, r->event->column, "%s has too few arguments", r->event->call->name);
    switch (v->kind) {
    case VALUE_NUMBER: return v->number;
    case VALUE_WORD: return word_value(r, v);
    case VALUE_OR:
        for (const struct value *part = v->first; part != NULL; part = part->next)
            n |= value_number(r, part);
        return n;
    case VALUE_CALL:
        if ((strcmp(v->text, "htons") == 0 || strcmp(v->text, "htonl") == 0) && v->first != NULL)
            return value_number(r, v->first);
        break;
    case VALUE_LIST: /* [1] : what a pointer points to */
        if (v->first != NULL && v->first->next == NULL)
            return value_number(r, v->first);
        break;
    default: break;
    }
    run_wrong(r, v->line, v->column, "a number must stand here");
}

/* The descriptor that an argument names; NULL: none is open by that name. */
static struct sock *sock_arg(struct run *r, const struct call_spec *c, int n)
{
    return desc_find(r, (int)value_number(r, call_arg(c, n)));
}

/* inet_addr("192.0.2.1") and inet6_addr("2001:db8::1"). */
static bool read_ip(const struct value *v, tern_ip *out)
{
    struct in_addr v4;
    struct in6_addr v6;
    const struct value *text = v != NULL && v->kind == VALUE_CALL ? v->first : NULL;
    if (text == NULL || text->kind != VALUE_STRING)
        return false;
    if (inet_pton(AF_INET, text->text, &v4) == 1) {
        const uint8_t *b = (const uint8_t *)&v4;
        *out = tern_ip4(b[0], b[1], b[2], b[3]);
        return true;
    }
    if (inet_pton(AF_INET6, text->text, &v6) != 1)
        return false;
    memcpy(out->b, &v6, 16);
    return true;
}

/* {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("192.0.2.1")}. False: of no IP family. */
bool value_endpoint(struct run *r, const struct value *v, tern_endpoint *out)
{
    const struct value *family = value_field(v, "sa_family"), *port = value_field(v, "sin_port");
    const struct value *addr = value_field(v, "sin_addr");
    port = port ? port : value_field(v, "sin6_port");
    addr = addr ? addr : value_field(v, "sin6_addr");
    if (v->kind != VALUE_STRUCT || family == NULL)
        run_wrong(r, v->line, v->column,
                  "an address must stand here: {sa_family = ..., sin_port = ..., ...}");
    int64_t kind = value_number(r, family);
    if (kind != AF_INET && kind != AF_INET6)
        return false;
    if (port == NULL || addr == NULL || !read_ip(addr, &out->ip))
        run_wrong(r, v->line, v->column, "this address has no port, or no IP address that can be read");
    out->port = (uint16_t)value_number(r, port);
    tern_ip any4 = tern_ip4(0, 0, 0, 0);
    if (memcmp(&out->ip, &any4, sizeof any4) == 0)
        out->ip = (tern_ip){{0}};
    return true;
}

/* --- opening --------------------------------------------------------------------------------- */

/* The number that the script gives a new descriptor. */
static int new_fd(struct run *r, const struct call_spec *c)
{
    if (c->result->kind != VALUE_NUMBER || c->result->number > INT32_MAX)
        run_wrong(r, c->result->line, c->result->column, "%s gives a descriptor: a number must stand here",
                  c->name);
    return (int)c->result->number;
}

static struct answer do_socket(struct run *r, const struct call_spec *c)
{
    const struct value *domain = call_arg(c, 0);
    int64_t family = value_is_open(domain) ? r->s->v6 ? AF_INET6 : AF_INET : value_number(r, domain);
    int64_t type = value_number(r, call_arg(c, 1)), proto = value_number(r, call_arg(c, 2));
    int fd = new_fd(r, c);
    if ((family != AF_INET && family != AF_INET6) || (type & 15) != SOCK_STREAM ||
        (proto != IPPROTO_TCP && proto != IPPROTO_IP))
        run_skip(r, "a socket that is not TCP's");
    if (fd < 0)
        return gives(0); /* what is expected to fail here does not */
    struct sock *k = desc_make(r, fd);
    k->v6 = family == AF_INET6;
    k->nonblocking = type & SOCK_NONBLOCK;
    return gives(fd);
}

static bool is_taken(const struct run *r, const struct sock *k, const tern_endpoint *at)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *o = &r->sock[i];
        bool holds = o != k && o->bound && (o->kind == SOCK_NEW || o->kind == SOCK_LISTENING);
        if (holds && o->local.port == at->port && !(o->reuse && k->reuse))
            return true;
    }
    return false;
}

static struct answer do_bind(struct run *r, struct sock *k, const struct call_spec *c)
{
    tern_endpoint at = {.ip = r->set.local, .port = r->set.bind_port};
    const struct value *v = call_arg(c, 1);
    tern_addr_entry have[8];
    static const tern_ip any;
    if (!value_is_open(v) && !value_endpoint(r, v, &at))
        return gives(-EAFNOSUPPORT);
    if (k->kind != SOCK_NEW || k->bound)
        return gives(-EINVAL);
    int n = tern_addr_list(r->t, have, 8);
    bool ours = memcmp(&at.ip, &any, sizeof any) == 0;
    for (int i = 0; i < n && i < 8; i++)
        ours |= memcmp(&at.ip, &have[i].ip, sizeof any) == 0;
    if (!ours)
        return gives(-EADDRNOTAVAIL);
    if (at.port != 0 && is_taken(r, k, &at))
        return gives(-EADDRINUSE);
    k->local = at;
    k->bound = true;
    return gives(0);
}

static struct answer do_listen(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t backlog = value_number(r, call_arg(c, 1));
    if (k->kind == SOCK_LISTENING)
        return gives(0);
    if (k->kind != SOCK_NEW)
        return gives(-EINVAL);
    if (!k->bound || k->local.port == 0)
        run_skip(r, "a listener whose port the stack chooses");
    int result = tern_listen(r->t, &k->local, backlog > 0 ? (uint32_t)backlog : 1, &k->h);
    if (result < 0)
        return gives(result);
    k->kind = SOCK_LISTENING;
    k->made = ++r->order;
    desc_apply_options(r, k);
    return gives(0);
}

static struct answer do_accept(struct run *r, struct sock *k, const struct call_spec *c)
{
    tern_handle h;
    const struct value *flags = strcmp(c->name, "accept4") == 0 ? call_arg(c, 3) : NULL;
    if (k->kind != SOCK_LISTENING)
        return gives(-EINVAL);
    int result = tern_accept(r->t, k->h, &h);
    if (result == -EAGAIN && !k->nonblocking)
        return BLOCKS;
    if (result < 0)
        return gives(result);
    int fd = new_fd(r, c);
    if (fd < 0) { /* the script expects an error, and there is a connection: which number is all the same */
        for (fd = 3; desc_find(r, fd) != NULL;)
            fd++;
    }
    struct sock *child = desc_make(r, fd);
    child->h = h;
    child->v6 = k->v6;
    child->nonblocking = flags != NULL && value_number(r, flags) & SOCK_NONBLOCK;
    desc_connected(r, child);
    return gives(fd);
}

/* How a connect that is on its way stands. */
static struct answer connect_state(struct run *r, struct sock *k, bool waits)
{
    tern_info info;
    desc_info(r, k, &info);
    if (info.state == TERN_CLOSED) {
        int error = desc_error(r, k);
        k->opening = false;
        return gives(error ? error : -ECONNABORTED);
    }
    if (info.state != TERN_SYN_SENT && info.state != TERN_SYN_RCVD) {
        k->opening = false;
        return gives(0);
    }
    return waits ? BLOCKS : gives(-EALREADY);
}

static struct answer do_connect(struct run *r, struct sock *k, const struct call_spec *c)
{
    tern_endpoint to = {.ip = r->set.remote, .port = r->set.connect_port};
    const struct value *v = call_arg(c, 1);
    if (k->kind == SOCK_CONNECTION)
        return k->opening ? connect_state(r, k, !k->nonblocking) : gives(-EISCONN);
    if (k->kind != SOCK_NEW)
        return gives(-EISCONN);
    if (!value_is_open(v) && !value_endpoint(r, v, &to))
        return gives(-EAFNOSUPPORT);
    int result = tern_connect(r->t, k->bound ? &k->local : NULL, &to, &k->h);
    if (result < 0)
        return gives(result);
    k->opening = true;
    desc_connected(r, k);
    r->current = k->flow;
    r->flow[k->flow].made = ++r->order;
    return k->nonblocking ? gives(-EINPROGRESS) : BLOCKS;
}

/* --- reading --------------------------------------------------------------------------------- */

/* The bytes of the peer's stream are known: those that come must be these. */
static void check_read(struct run *r, const struct sock *k, const uint8_t *got, long n)
{
    for (long i = 0; i < n; i++)
        if (got[i] != flow_byte((uint32_t)(k->read + (uint64_t)i)))
            run_fail(r, NULL, NULL,
                     "byte %llu of what the program has read is another one than the peer has sent",
                     (unsigned long long)k->read + (unsigned long long)i + 1);
}

/* Room for `n` bytes, until the next call. */
static uint8_t *scratch(struct run *r, size_t n)
{
    if (n > r->scratch.cap) {
        r->scratch.cap = n;
        r->scratch.v = realloc(r->scratch.v, n);
    }
    return r->scratch.v;
}

static long peek(struct run *r, const struct sock *k, uint8_t *buf, size_t len)
{
    tern_slice slices[64];
    size_t n = 0;
    int count = tern_peek(r->t, k->h, slices, 64);
    if (count < 0)
        return count;
    for (int i = 0; i < count && n < len; i++) {
        size_t take = slices[i].len < len - n ? slices[i].len : len - n;
        memcpy(buf + n, slices[i].data, take);
        n += take;
    }
    return (long)n;
}

enum { READ_MAX = 1 << 26 };

static struct answer read_bytes(struct run *r, struct sock *k, int64_t len, int64_t flags)
{
    tern_info info;
    if (k->kind != SOCK_CONNECTION)
        return gives(-ENOTCONN);
    if (flags & ~(int64_t)(MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_TRUNC))
        run_skip(r, "recv with these flags");
    if (flags & MSG_TRUNC)
        run_skip(r, "recv with MSG_TRUNC");
    desc_info(r, k, &info);
    if (len < 0 || len > READ_MAX)
        return gives(-EINVAL);
    bool waits = !k->nonblocking && !(flags & MSG_DONTWAIT);
    bool ended = info.fin_rcvd || info.state == TERN_CLOSED || k->shut_read;
    uint32_t least = flags & MSG_WAITALL ? (uint32_t)len : k->low_water < len ? k->low_water : (uint32_t)len;
    if (waits && !ended && info.recv_queue < least)
        return BLOCKS;
    uint8_t *buf = scratch(r, (size_t)len + 1);
    long n = flags & MSG_PEEK ? peek(r, k, buf, (size_t)len) : tern_recv(r->t, k->h, buf, (size_t)len);
    if (n > 0)
        check_read(r, k, buf, n);
    if (n > 0 && !(flags & MSG_PEEK))
        k->read += (uint64_t)n;
    if (n >= 0 || n == -EBADF)
        return gives(n);
    if (n == -EAGAIN)
        return k->shut_read ? gives(0) : waits ? BLOCKS : gives(-EAGAIN);
    return gives(desc_error(r, k)); /* told once, then the end of the stream */
}

/* [{..., 100}, {..., 50}] : the bytes in all. */
static int64_t iov_length(struct run *r, const struct value *list)
{
    int64_t sum = 0;
    if (list == NULL || list->kind != VALUE_LIST)
        run_wrong(r, r->event->line, r->event->column, "a list of {..., LENGTH} must stand here");
    for (const struct value *v = list->first; v != NULL; v = v->next) {
        if (v->kind != VALUE_STRUCT || v->first == NULL || v->first->next == NULL)
            run_wrong(r, v->line, v->column, "{..., LENGTH} must stand here");
        sum += value_number(r, v->first->next);
    }
    return sum;
}

static int64_t msg_length(struct run *r, const struct value *msg)
{
    if (value_field(msg, "msg_control") != NULL)
        run_skip(r, "control messages");
    return iov_length(r, value_field(msg, "msg_iov"));
}

static int64_t optional(struct run *r, const struct value *v)
{
    return value_is_open(v) ? 0 : value_number(r, v);
}

/* read and write have no flags, readv and writev a list, recvmsg and sendmsg a struct and flags. */
int64_t call_length(struct run *r, const struct call_spec *c)
{
    if (strcmp(c->name, "readv") == 0 || strcmp(c->name, "writev") == 0)
        return iov_length(r, call_arg(c, 1));
    if (strcmp(c->name, "recvmsg") == 0 || strcmp(c->name, "sendmsg") == 0)
        return msg_length(r, call_arg(c, 1));
    return value_number(r, call_arg(c, 2));
}

int64_t call_flags(struct run *r, const struct call_spec *c)
{
    bool message = strcmp(c->name, "recvmsg") == 0 || strcmp(c->name, "sendmsg") == 0;
    bool plain = strncmp(c->name, "read", 4) == 0 || strncmp(c->name, "write", 5) == 0;
    return plain ? 0 : optional(r, call_arg(c, message ? 2 : 3));
}

const struct value *call_data(const struct call_spec *c)
{
    bool list = strcmp(c->name, "writev") == 0 || strcmp(c->name, "sendmsg") == 0;
    return list ? NULL : call_arg(c, 1);
}

static struct answer do_read(struct run *r, struct sock *k, const struct call_spec *c)
{
    return read_bytes(r, k, call_length(r, c), call_flags(r, c));
}

/* --- writing --------------------------------------------------------------------------------- */

void call_note_written(struct flow *f, const uint8_t *bytes, size_t n)
{
    struct bytes *w = &f->written;
    if (w->len + n > w->cap) {
        w->cap = (w->len + n) * 2;
        w->v = realloc(w->v, w->cap);
    }
    memcpy(w->v + w->len, bytes, n);
    w->len += n;
}

/* What is written where the script says `...`: other bytes at each place, so that a mistake shows. */
static uint8_t own_byte(uint64_t place)
{
    return (uint8_t)~flow_byte(place ^ 0x5555);
}

void call_fill(const struct flow *f, const struct value *data, int64_t from, int64_t len, uint8_t *out)
{
    for (int64_t i = from; i < len; i++) {
        bool given = data != NULL && data->kind == VALUE_STRING && i < (int64_t)data->len;
        out[i - from] = given ? (uint8_t)data->text[i] : own_byte(f->written.len + (uint64_t)(i - from));
    }
}

static long write_some(struct run *r, struct sock *k, const struct value *data, int64_t from, int64_t len,
                       unsigned flags)
{
    struct flow *f = &r->flow[k->flow];
    uint8_t *bytes = scratch(r, (size_t)(len - from) + 1);
    call_fill(f, data, from, len, bytes);
    long n = tern_send(r->t, k->h, bytes, (size_t)(len - from), flags);
    if (n > 0)
        call_note_written(f, bytes, (size_t)n);
    return n;
}

/* The connection has ended or cannot be written to: its reason once, then a broken pipe. */
static struct answer cannot_write(struct run *r, struct sock *k, long error)
{
    if (error == -EPIPE || error == -EBADF || error == -ENOTCONN)
        return gives(error);
    int told = desc_error(r, k);
    return gives(told ? told : -EPIPE);
}

/* `blocked_count` bytes of a call that blocks are gone already. */
static struct answer write_bytes(struct run *r, struct sock *k, const struct value *data, int64_t len,
                                 int64_t flags)
{
    unsigned more = (flags & MSG_MORE || k->corked ? TERN_MORE : 0) | (flags & MSG_OOB ? TERN_URG : 0);
    bool waits = !k->nonblocking && !(flags & MSG_DONTWAIT);
    if (flags & ~(int64_t)(MSG_MORE | MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL))
        run_skip(r, "send with these flags");
    if (k->kind != SOCK_CONNECTION)
        return gives(-EPIPE);
    if (len < 0 || len > READ_MAX)
        return gives(-EINVAL);
    if (len == 0)
        return gives(0);
    int64_t done = (int64_t)r->blocked_count;
    while (done < len) {
        long n = write_some(r, k, data, done, len, more);
        if (n == -EAGAIN)
            break;
        if (n < 0)
            return done > 0 ? gives(done) : cannot_write(r, k, n);
        done += n;
    }
    r->blocked_count = (uint64_t)done;
    if (done == len || (!waits && done > 0))
        return gives(done);
    return waits ? BLOCKS : gives(-EAGAIN);
}

static struct answer do_write(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t flags = call_flags(r, c);
    if (flags & MSG_FASTOPEN)
        run_skip(r, "TCP Fast Open");
    return write_bytes(r, k, call_data(c), call_length(r, c), flags);
}

/* --- closing --------------------------------------------------------------------------------- */

static struct answer do_close(struct run *r, struct sock *k)
{
    if (k->linger > 0)
        run_skip(r, "close that lingers");
    if (k->kind == SOCK_CONNECTION || k->kind == SOCK_LISTENING) {
        if (k->linger == 0)
            desc_set(r, k, TERN_OPT_LINGER0, 1);
        tern_close(r->t, k->h);
    }
    desc_release(r, k);
    return gives(0);
}

static struct answer do_shutdown(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t how = value_number(r, call_arg(c, 1));
    tern_info info;
    if (how < SHUT_RD || how > SHUT_RDWR)
        return gives(-EINVAL);
    if (k->kind == SOCK_LISTENING)
        run_skip(r, "shutdown of a listener");
    if (k->kind != SOCK_CONNECTION || !desc_info(r, k, &info) || info.state == TERN_CLOSED)
        return gives(-ENOTCONN);
    k->shut_read |= how != SHUT_WR;
    return gives(how == SHUT_RD ? 0 : tern_shutdown(r->t, k->h));
}

/* --- others ---------------------------------------------------------------------------------- */

static struct answer do_fcntl(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t what = value_number(r, call_arg(c, 1));
    if (what == F_GETFL)
        return gives(O_RDWR | (k->nonblocking ? O_NONBLOCK : 0));
    if (what == F_SETFL)
        k->nonblocking = value_number(r, call_arg(c, 2)) & O_NONBLOCK;
    else if (what != F_SETFD && what != F_GETFD)
        run_skip(r, "this fcntl");
    return gives(0);
}

/* --- which one ------------------------------------------------------------------------------- */

typedef struct answer (*on_sock)(struct run *r, struct sock *k, const struct call_spec *c);

static const struct {
    const char *name;
    on_sock perform;
    int args; /* at least */
} calls[] = {
    {"bind", do_bind, 2},       {"listen", do_listen, 2},     {"accept", do_accept, 1},
    {"accept4", do_accept, 4},  {"connect", do_connect, 2},   {"read", do_read, 3},
    {"recv", do_read, 4},       {"recvfrom", do_read, 4},     {"readv", do_read, 2},
    {"recvmsg", do_read, 3},    {"write", do_write, 3},       {"send", do_write, 4},
    {"sendto", do_write, 4},    {"writev", do_write, 2},      {"sendmsg", do_write, 3},
    {"shutdown", do_shutdown, 2}, {"fcntl", do_fcntl, 2},     {"setsockopt", call_setsockopt, 4},
    {"getsockopt", call_getsockopt, 4}, {"ioctl", call_ioctl, 2},
    {"epoll_ctl", call_epoll_ctl, 4}, {"epoll_wait", call_epoll_wait, 4},
};

static struct answer on_descriptor(struct run *r, const struct call_spec *c)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(c->name, calls[i].name) != 0)
            continue;
        if (call_arg(c, calls[i].args - 1) == NULL)
            run_wrong(r, r->event->line, r->event->column, "%s has too few arguments", c->name);
        struct sock *k = sock_arg(r, c, 0);
        return k != NULL ? calls[i].perform(r, k, c) : gives(-EBADF);
    }
    run_skip(r, "the call %s", c->name);
}

struct answer call_perform(struct run *r, const struct call_spec *c) { return r->subject->call(r, c); }

struct answer call_tern(struct run *r, const struct call_spec *c)
{
    if (strcmp(c->name, "socket") == 0)
        return do_socket(r, c);
    if (strcmp(c->name, "poll") == 0)
        return call_poll(r, c);
    if (strcmp(c->name, "epoll_create") == 0 || strcmp(c->name, "epoll_create1") == 0)
        return call_epoll_create(r, new_fd(r, c));
    if (strcmp(c->name, "close") == 0) {
        struct sock *k = sock_arg(r, c, 0);
        return k != NULL ? do_close(r, k) : gives(-EBADF);
    }
    return on_descriptor(r, c);
}

static const char *result_text(int64_t value, char buf[60])
{
    char name[32];
    if (value < 0)
        snprintf(buf, 60, "-1 %s", errno_name((int)-value, name));
    else
        snprintf(buf, 60, "%lld", (long long)value);
    return buf;
}

void call_judge(struct run *r, const struct event *e, const struct answer *a)
{
    const struct call_spec *c = e->call;
    char want[60], is[60];
    int64_t error = 0;
    if (c->result->kind == VALUE_ELLIPSIS)
        return;
    int64_t value = value_number(r, c->result);
    if (c->error != NULL && !word_number(c->error, &error))
        run_skip(r, "the error %s is not known here", c->error);
    if (value < 0 && c->error == NULL && a->value < 0)
        return; /* it fails, and the script does not say how */
    if (a->value == (value < 0 && c->error != NULL ? -error : value))
        return;
    if (value < 0 && c->error == NULL)
        snprintf(want, sizeof want, "-1");
    else
        result_text(value < 0 ? -error : value, want);
    run_fail(r, want, result_text(a->value, is), "%s gives another result", c->name);
}
