/* program.c - the program's calls by real sockets. None of them ever blocks: what would is tried again by
 * run.c, which knows how long the script lets it wait. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"

#define BLOCKS ((struct answer){.blocks = true})
enum { LENGTH_MAX = 1 << 24 };

static struct answer gives(int64_t result)
{
    return (struct answer){.value = result < 0 ? -errno : result};
}

static int real_of(const struct run *r, const struct kernel *k, const struct sock *s)
{
    return k->real[s - r->sock];
}

/* --- addresses ------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t to_address(const struct run *r, const tern_endpoint *e, union address *out)
{
    memset(out, 0, sizeof *out);
    if (!r->s->v6) { /* the address of any kind of host has no family of its own */
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(e->port);
        memcpy(&out->v4.sin_addr, e->ip.b + 12, 4);
        return sizeof out->v4;
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(e->port);
    memcpy(&out->v6.sin6_addr, e->ip.b, 16);
    return sizeof out->v6;
}

static tern_endpoint of_address(const union address *a)
{
    tern_endpoint e = {.port = ntohs(a->v4.sin_port)};
    if (a->any.sa_family == AF_INET) {
        const uint8_t *b = (const uint8_t *)&a->v4.sin_addr;
        e.ip = tern_ip4(b[0], b[1], b[2], b[3]);
    } else {
        memcpy(e.ip.b, &a->v6.sin6_addr, 16);
    }
    return e;
}

/* The connection behind a socket, as a flow. */
static void connected(struct run *r, struct kernel *k, struct sock *s)
{
    union address local, remote;
    socklen_t a = sizeof local, b = sizeof remote;
    int fd = real_of(r, k, s);
    s->kind = SOCK_CONNECTION;
    if (getsockname(fd, &local.any, &a) < 0 || getpeername(fd, &remote.any, &b) < 0)
        return;
    tern_endpoint own = of_address(&local), peer = of_address(&remote);
    s->flow = flow_find(r, &own, &peer);
    if (s->flow < 0)
        s->flow = flow_new(r, &own, &peer);
    r->flow[s->flow].written.len = 0;
}

/* --- opening --------------------------------------------------------------------------------- */

static struct sock *new_sock(struct run *r, struct kernel *k, int fd, int real)
{
    struct sock *s = desc_make(r, fd);
    fcntl(real, F_SETFL, O_NONBLOCK);
    k->real[s - r->sock] = real;
    return s;
}

static struct answer do_socket(struct run *r, struct kernel *k, const struct call_spec *c)
{
    int64_t type = value_is_open(call_arg(c, 1)) ? SOCK_STREAM : value_number(r, call_arg(c, 1));
    int real = socket(r->s->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (real < 0)
        return gives(-1);
    int one = 1; /* so that a port can be bound again while a connection of the last script lives */
    setsockopt(real, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int fd = (int)value_number(r, c->result);
    struct sock *s = new_sock(r, k, fd, real);
    s->nonblocking = type & SOCK_NONBLOCK;
    return (struct answer){.value = fd};
}

static struct answer do_bind(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    union address a;
    tern_endpoint at = {.ip = r->set.local, .port = r->set.bind_port};
    if (!value_is_open(call_arg(c, 1)) && !value_endpoint(r, call_arg(c, 1), &at))
        run_skip(r, "an address of another family");
    socklen_t len = to_address(r, &at, &a);
    int result = bind(real_of(r, k, s), &a.any, len);
    if (result == 0)
        s->local = at;
    return gives(result);
}

static struct answer do_listen(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    int result = listen(real_of(r, k, s), (int)value_number(r, call_arg(c, 1)));
    if (result == 0) {
        s->kind = SOCK_LISTENING;
        s->made = ++r->order;
    }
    return gives(result);
}

static struct answer do_accept(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    int real = accept(real_of(r, k, s), NULL, NULL);
    if (real < 0 && errno == EAGAIN && !s->nonblocking)
        return BLOCKS;
    if (real < 0)
        return gives(-1);
    int64_t fd = value_is_open(c->result) ? 1000 + real : value_number(r, c->result);
    struct sock *child = new_sock(r, k, fd < 0 ? 1000 + real : (int)fd, real);
    const struct value *flags = strcmp(c->name, "accept4") == 0 ? call_arg(c, 3) : NULL;
    child->nonblocking = flags != NULL && value_number(r, flags) & SOCK_NONBLOCK;
    connected(r, k, child);
    return (struct answer){.value = fd < 0 ? 1000 + real : fd};
}

/* How a connect that is under way stands. */
static struct answer connect_again(struct run *r, struct kernel *k, struct sock *s)
{
    int error = 0;
    socklen_t len = sizeof error;
    struct pollfd p = {.fd = real_of(r, k, s), .events = POLLOUT};
    if (poll(&p, 1, 0) == 0)
        return s->nonblocking ? (struct answer){.value = -EALREADY} : BLOCKS;
    getsockopt(p.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    s->opening = false;
    return (struct answer){.value = -error};
}

static struct answer do_connect(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    union address a;
    tern_endpoint to = {.ip = r->set.remote, .port = r->set.connect_port};
    if (!value_is_open(call_arg(c, 1)) && !value_endpoint(r, call_arg(c, 1), &to))
        run_skip(r, "an address of another family");
    if (s->opening)
        return connect_again(r, k, s);
    socklen_t len = to_address(r, &to, &a);
    int result = connect(real_of(r, k, s), &a.any, len), error = errno;
    if (result < 0 && error == EINPROGRESS) {
        s->opening = true;
        s->kind = SOCK_CONNECTION;
        union address own;
        socklen_t size = sizeof own;
        getsockname(real_of(r, k, s), &own.any, &size);
        tern_endpoint local = of_address(&own);
        s->flow = flow_find(r, &local, &to);
        s->flow = s->flow < 0 ? flow_new(r, &local, &to) : s->flow;
        r->current = s->flow;
        r->flow[s->flow].made = ++r->order;
        return s->nonblocking ? (struct answer){.value = -EINPROGRESS} : BLOCKS;
    }
    errno = error;
    return gives(result);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static struct answer do_read(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    int64_t len = call_length(r, c), flags = call_flags(r, c);
    bool waits = !s->nonblocking && !(flags & MSG_DONTWAIT);
    if (len < 0 || len > LENGTH_MAX)
        run_skip(r, "a length like this");
    if (waits && flags & MSG_WAITALL) {
        int have = 0;
        ioctl(real_of(r, k, s), FIONREAD, &have);
        struct pollfd p = {.fd = real_of(r, k, s), .events = POLLRDHUP};
        if (have < len && poll(&p, 1, 0) == 0)
            return BLOCKS;
    }
    char *buf = malloc((size_t)len + 1);
    ssize_t n = recv(real_of(r, k, s), buf, (size_t)len, (int)flags & ~MSG_WAITALL);
    int error = errno;
    free(buf);
    if (n < 0 && error == EAGAIN && waits)
        return BLOCKS;
    errno = error;
    return gives(n);
}

static struct answer do_write(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    const struct value *data = call_data(c);
    int64_t len = call_length(r, c), flags = call_flags(r, c);
    bool waits = !s->nonblocking && !(flags & MSG_DONTWAIT);
    if (len < 0 || len > LENGTH_MAX)
        run_skip(r, "a length like this");
    while ((int64_t)r->blocked_count < len || len == 0) {
        int64_t from = (int64_t)r->blocked_count;
        uint8_t *bytes = malloc((size_t)(len - from) + 1);
        if (s->flow >= 0)
            call_fill(&r->flow[s->flow], data, from, len, bytes);
        ssize_t n = send(real_of(r, k, s), bytes, (size_t)(len - from), (int)flags | MSG_NOSIGNAL);
        int error = errno;
        if (n > 0 && s->flow >= 0)
            call_note_written(&r->flow[s->flow], bytes, (size_t)n);
        free(bytes);
        errno = error;
        if (n < 0 && from == 0 && !(error == EAGAIN && waits))
            return gives(-1);
        if (n < 0)
            break;
        r->blocked_count += (uint64_t)n;
        if (len == 0)
            break;
    }
    bool done = (int64_t)r->blocked_count == len;
    return done || !waits ? (struct answer){.value = (int64_t)r->blocked_count} : BLOCKS;
}

/* --- closing --------------------------------------------------------------------------------- */

static struct answer do_close(struct run *r, struct kernel *k, struct sock *s)
{
    int result = close(real_of(r, k, s));
    k->real[s - r->sock] = -1;
    desc_release(r, s);
    return gives(result);
}

void program_close_all(struct run *r, struct kernel *k)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (r->sock[i].kind != SOCK_FREE && k->real[i] >= 0)
            close(k->real[i]);
}

/* --- settings of sockets ----------------------------------------------------------------------- */

static struct answer do_setsockopt(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    int64_t level = value_number(r, call_arg(c, 1)), name = value_number(r, call_arg(c, 2));
    const struct value *v = call_arg(c, 3);
    int fd = real_of(r, k, s);
    if (level == SOL_TERN)
        run_skip(r, "an option that only tern has");
    if (v != NULL && v->kind == VALUE_STRING)
        return gives(setsockopt(fd, (int)level, (int)name, v->text, (socklen_t)v->len));
    const struct value *on = value_field(v, "onoff"), *seconds = value_field(v, "linger");
    if (on != NULL && seconds != NULL) {
        struct linger l = {.l_onoff = (int)value_number(r, on), .l_linger = (int)value_number(r, seconds)};
        return gives(setsockopt(fd, (int)level, (int)name, &l, sizeof l));
    }
    int value = (int)value_number(r, v);
    return gives(setsockopt(fd, (int)level, (int)name, &value, sizeof value));
}

/* What it says is looked at only where it is one number. */
static struct answer do_getsockopt(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    int64_t level = value_number(r, call_arg(c, 1)), name = value_number(r, call_arg(c, 2));
    const struct value *want = call_arg(c, 3);
    int value = 0;
    socklen_t len = sizeof value;
    if (level == SOL_TERN)
        run_skip(r, "an option that only tern has");
    int result = getsockopt(real_of(r, k, s), (int)level, (int)name, &value, &len);
    if (result == 0 && !value_is_open(want) && want->kind == VALUE_LIST && want->first != NULL &&
        want->first->kind != VALUE_ELLIPSIS && want->first->kind != VALUE_STRING &&
        value_number(r, want) != value) {
        char a[32], b[32];
        snprintf(a, sizeof a, "%lld", (long long)value_number(r, want));
        snprintf(b, sizeof b, "%d", value);
        run_fail(r, a, b, "getsockopt gives another value");
    }
    return gives(result);
}

static struct answer do_fcntl(struct run *r, struct sock *s, const struct call_spec *c)
{
    int64_t what = value_number(r, call_arg(c, 1));
    if (what == F_GETFL)
        return (struct answer){.value = O_RDWR | (s->nonblocking ? O_NONBLOCK : 0)};
    if (what == F_SETFL)
        s->nonblocking = value_number(r, call_arg(c, 2)) & O_NONBLOCK;
    return (struct answer){0};
}

static struct answer do_ioctl(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    int value = 0;
    const struct value *want = call_arg(c, 2);
    int64_t what = value_number(r, call_arg(c, 1));
    if (what == FIONBIO) {
        s->nonblocking = value_number(r, want);
        return (struct answer){0};
    }
    int result = ioctl(real_of(r, k, s), (unsigned long)what, &value);
    if (result == 0 && !value_is_open(want) && want->kind == VALUE_LIST && want->first != NULL &&
        want->first->kind != VALUE_ELLIPSIS && value_number(r, want) != value) {
        char a[32], b[32];
        snprintf(a, sizeof a, "%lld", (long long)value_number(r, want));
        snprintf(b, sizeof b, "%d", value);
        run_fail(r, a, b, "ioctl gives another value");
    }
    return gives(result);
}

/* --- which one ------------------------------------------------------------------------------- */

static bool one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static struct answer on_socket(struct run *r, struct kernel *k, struct sock *s, const struct call_spec *c)
{
    static const char *const reads[] = {"read", "recv", "recvfrom", "readv", "recvmsg", NULL};
    static const char *const writes[] = {"write", "send", "sendto", "writev", "sendmsg", NULL};
    const char *name = c->name;
    if (one_of(name, reads))
        return do_read(r, k, s, c);
    if (one_of(name, writes))
        return do_write(r, k, s, c);
    if (strcmp(name, "bind") == 0)
        return do_bind(r, k, s, c);
    if (strcmp(name, "listen") == 0)
        return do_listen(r, k, s, c);
    if (strcmp(name, "accept") == 0 || strcmp(name, "accept4") == 0)
        return do_accept(r, k, s, c);
    if (strcmp(name, "connect") == 0)
        return do_connect(r, k, s, c);
    if (strcmp(name, "close") == 0)
        return do_close(r, k, s);
    if (strcmp(name, "shutdown") == 0)
        return gives(shutdown(real_of(r, k, s), (int)value_number(r, call_arg(c, 1))));
    if (strcmp(name, "setsockopt") == 0)
        return do_setsockopt(r, k, s, c);
    if (strcmp(name, "getsockopt") == 0)
        return do_getsockopt(r, k, s, c);
    if (strcmp(name, "fcntl") == 0)
        return do_fcntl(r, s, c);
    if (strcmp(name, "ioctl") == 0)
        return do_ioctl(r, k, s, c);
    run_skip(r, "the call %s is not played against Linux", name);
}

struct answer program_call(struct run *r, struct kernel *k, const struct call_spec *c)
{
    if (strcmp(c->name, "socket") == 0)
        return do_socket(r, k, c);
    if (strcmp(c->name, "poll") == 0 || strncmp(c->name, "epoll", 5) == 0)
        run_skip(r, "the call %s is not played against Linux", c->name);
    struct sock *s = desc_find(r, (int)value_number(r, call_arg(c, 0)));
    return s != NULL ? on_socket(r, k, s, c) : (struct answer){.value = -EBADF};
}
