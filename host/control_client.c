/* control_client.c - finding and asking tern processes. A socket that refuses has nobody behind it any more
 * (a process that was killed could not remove it), so it is removed; sockets are born listening (control.c),
 * so there is no moment at which one refuses and yet lives. */
#include "host/control.h"
#include "host/host_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 3 };

/* A connected socket, or -errno. */
static int connect_to(const char *path, int flags)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path)
        return -ENAMETOOLONG;
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -errno;
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    int err = errno;
    close(fd);
    return -err;
}

/* --- finding ------------------------------------------------------------------------------------ */

struct finding {
    struct tern_control_peer *out;
    int max, n;
};

/* "123-serve.sock" to 123 and "serve". */
static bool parse_name(const char *file, struct tern_control_peer *peer)
{
    char *rest;
    long pid = strtol(file, &rest, 10);
    size_t len = strlen(rest);
    if (rest == file || pid <= 0 || *rest != '-' || len < 7 || strcmp(rest + len - 5, ".sock") != 0)
        return false;
    peer->pid = (int)pid;
    snprintf(peer->name, sizeof peer->name, "%.*s", (int)(len - 6), rest + 1);
    return true;
}

/* Whether somebody listens there. The kernel knows the process' number as it is here, in our pid namespace.
 * */
static bool alive(struct tern_control_peer *peer, bool ours)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;
    int fd = connect_to(peer->path, SOCK_NONBLOCK);
    if (fd < 0) {
        if (fd == -ECONNREFUSED && ours)
            unlink(peer->path);
        return fd == -EAGAIN; /* its queue is full, so it has one */
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid > 0)
        peer->pid = who.pid;
    close(fd);
    return true;
}

static void look_at(void *ctx, const char *dir, bool ours)
{
    struct finding *f = ctx;
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct tern_control_peer peer = {0};
        int len = snprintf(peer.path, sizeof peer.path, "%s/%s", dir, e->d_name);
        if (len >= (int)sizeof peer.path || !parse_name(e->d_name, &peer) || !alive(&peer, ours))
            continue;
        if (f->n < f->max)
            f->out[f->n++] = peer;
    }
    closedir(d);
}

static int by_pid_and_name(const void *a, const void *b)
{
    const struct tern_control_peer *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid < y->pid ? -1 : 1;
    return strcmp(x->name, y->name);
}

int tern_control_list(struct tern_control_peer *out, int max)
{
    struct finding f = {.out = out, .max = max};
    control_each_dir(look_at, &f);
    if (f.n > 1)
        qsort(out, (size_t)f.n, sizeof *out, by_pid_and_name);
    return f.n;
}

/* --- asking ------------------------------------------------------------------------------------- */

struct answer {
    int fd;
    int err; /* errno of a failed read; 0 = none */
};

static size_t read_answer(void *buf, size_t len, void *ctx)
{
    struct answer *a = ctx;
    ssize_t n;
    do
        n = recv(a->fd, buf, len, 0);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (size_t)n;
    a->err = errno == EAGAIN ? ETIMEDOUT : errno;
    return (size_t)-1;
}

/* Connect and ask. 0, or -errno. */
static int put_question(const struct tern_control_peer *peer, const char *cmd, struct answer *a)
{
    char line[CONTROL_LINE];
    int len = snprintf(line, sizeof line, "%s\n", cmd);
    *a = (struct answer){.fd = connect_to(peer->path, 0)};
    if (a->fd < 0)
        return a->fd == -EAGAIN ? -ETIMEDOUT : a->fd;
    if (len >= (int)sizeof line || send(a->fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        a->err = len >= (int)sizeof line ? EINVAL : errno;
    return 0;
}

int tern_control_ask(const struct tern_control_peer *peer, const char *cmd, json_t **out)
{
    struct answer a;
    int rc = put_question(peer, cmd, &a);
    if (rc < 0)
        return rc;
    *out = a.err == 0 ? json_load_callback(read_answer, &a, 0, NULL) : NULL;
    close(a.fd);
    if (*out)
        return 0;
    return a.err ? -a.err : -EPROTO;
}

int tern_control_text(const struct tern_control_peer *peer, const char *cmd, char **out)
{
    struct answer a;
    char buf[4096];
    size_t len = 0, n;
    int rc = put_question(peer, cmd, &a);
    if (rc < 0)
        return rc;
    FILE *text = open_memstream(out, &len);
    while (text && a.err == 0 && (n = read_answer(buf, sizeof buf, &a)) > 0 && a.err == 0)
        fwrite(buf, 1, n, text);
    close(a.fd);
    if (!text || fclose(text) != 0)
        return -ENOMEM;
    if (a.err == 0 && len > 0)
        return 0;
    free(*out);
    return a.err ? -a.err : -EPROTO;
}
