/* handover.c - the old process' side of a handover (tern/handover.h; what passes: handover_wire.h).
 *
 *   asked ──▶ image into a memfd ──▶ head, descriptors ──▶ wait ──'T'──▶ over: this process has nothing
 *                                                           │
 *                    the other has died, or patience ends ──┴──▶ shut, look once more, 'K', go on
 */
#include "host/handover_wire.h"
#include "host/host_internal.h"

#include <tern/handover.h>
#include <tern/snapshot.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* --- being asked -------------------------------------------------------------------------------- */

void tern_host_allow_handover(tern_host *h, bool allow)
{
    h->asked.allowed = allow;
    if (!allow)
        tern_host_decline(h, "this process does not hand over");
}

bool tern_host_handover_asked(const tern_host *h) { return h->phase == HOST_LIVE && h->asked.fd >= 0; }

/* Who asks may end this process anyway. */
static bool trusted(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

/* It stays in the epoll set, waiting to be written to, so that the host is readable until it has an
 * answer. */
bool handover_ask(tern_host *h, int fd)
{
    if (!h->asked.allowed || h->asked.fd >= 0 || !trusted(fd))
        return false;
    h->asked.fd = fd;
    host_watch_write(h, fd, HOST_TAG_ASKED, true);
    return true;
}

static void hang_up(tern_host *h)
{
    if (h->asked.fd < 0)
        return;
    epoll_ctl(h->epoll, EPOLL_CTL_DEL, h->asked.fd, NULL);
    close(h->asked.fd);
    h->asked.fd = -1;
}

void tern_host_decline(tern_host *h, const char *why)
{
    if (!tern_host_handover_asked(h))
        return;
    dprintf(h->asked.fd, "{\"error\":\"%s\"}\n", why);
    hang_up(h);
}

void handover_end(tern_host *h)
{
    hang_up(h);
    for (int id = 1; h->phase == HOST_WAITING && id < HOST_LINKS; id++)
        if (h->asked.link_fds[id] >= 0)
            close(h->asked.link_fds[id]);
    if (h->asked.memory != NULL)
        munmap(h->asked.memory, h->asked.memory_len);
    free(h->asked.fds);
    h->asked.memory = NULL;
    h->asked.fds = NULL;
}

/* --- sending ------------------------------------------------------------------------------------ */

struct parcel {
    struct handover_head head;
    int fds[1 + HOST_LINKS]; /* the memory, the links */
    int n_fds;
};

__attribute__((format(printf, 4, 5))) static int say(int rc, char *err, size_t len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (err != NULL && len > 0)
        vsnprintf(err, len, format, args);
    va_end(args);
    return rc;
}

/* Every link must be one that another process can hold. */
static int gather_links(const tern_host *h, struct parcel *p)
{
    for (int id = 1; id < HOST_LINKS; id++) {
        tern_link *l = h->links[id].link;
        if (l == NULL)
            continue;
        int fd = l->ops->fd(l);
        if (fd < 0 || h->links[id].gone != 0)
            return -EOPNOTSUPP;
        p->head.links[id] = 1;
        p->fds[p->n_fds++] = fd;
    }
    return 0;
}

/* Image and luggage go to memory that nobody can change any more. A descriptor, or -errno. */
static int fill_memory(const tern_host *h, const tern_luggage *own, struct parcel *p)
{
    size_t image = tern_snapshot_size(h->stack), len = image + (own != NULL ? own->len : 0);
    int fd = memfd_create("tern-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)len) < 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return -e;
    }
    uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    int rc = at == MAP_FAILED ? -errno : tern_snapshot(h->stack, at, image);
    if (rc == 0 && own != NULL && own->len > 0)
        memcpy(at + image, own->data, own->len);
    if (at != MAP_FAILED)
        munmap(at, len);
    if (rc == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    p->head.image_len = image;
    p->head.luggage_len = len - image;
    return fd;
}

/* One message with descriptors. */
static int send_fds(int fd, const void *data, size_t len, const int *fds, int n)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(HANDOVER_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)data, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n > 0) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)len)
        return 0;
    return sent >= 0 || errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int send_luggage(int fd, const tern_luggage *own)
{
    int rc = 0;
    for (int at = 0; rc == 0 && own != NULL && at < own->n_fds;) {
        int n = own->n_fds - at < HANDOVER_FDS ? own->n_fds - at : HANDOVER_FDS;
        struct handover_part part = {.fds = (uint32_t)n};
        rc = send_fds(fd, &part, sizeof part, own->fds + at, n);
        at += n;
    }
    return rc;
}

/* A socket that blocks, but not for ever. */
static void make_patient(int fd, int ms)
{
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

/* --- waiting ------------------------------------------------------------------------------------ */

/* 'T' is there. */
static bool taken(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT) == 1 && c == HANDOVER_TAKEN;
}

/* 0: the other one has it. */
static int await(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t until = tern_host_now() + (uint64_t)ms * 1000, now;
    int n;
    do {
        now = tern_host_now();
        n = poll(&p, 1, until > now ? (int)((until - now) / 1000) + 1 : 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0 && taken(fd))
        return 0;
    return n > 0 ? -EPIPE : -ETIMEDOUT;
}

/* Give up, unless it is too late for that. 0: it was too late, the other one has it. */
static int give_up(int fd, int rc)
{
    static const char kept = HANDOVER_KEPT;
    shutdown(fd, SHUT_RD);
    if (taken(fd))
        return 0;
    while (send(fd, &kept, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
        continue;
    return rc;
}

static int explain(int rc, char *err, size_t len)
{
    switch (rc) {
    case 0: return 0;
    case -EOPNOTSUPP: return say(rc, err, len, "a link of this host has no descriptor to hand over");
    case -ETIMEDOUT: return say(rc, err, len, "the other process did not take over in time");
    case -EPIPE: return say(rc, err, len, "the other process has gone, or could not take over");
    default: return say(rc, err, len, "the state could not be sent: %s", strerror(-rc));
    }
}

/* Links are not watched any more: their descriptors live on in the other process, and epoll goes by what is
 * behind a descriptor. */
static void be_over(tern_host *h)
{
    h->phase = HOST_OVER;
    for (int id = 1; id < HOST_LINKS; id++) {
        tern_link *l = h->links[id].link;
        if (l != NULL && h->links[id].gone == 0)
            epoll_ctl(h->epoll, EPOLL_CTL_DEL, l->ops->fd(l), NULL);
    }
    control_close(h);
}

int tern_host_hand_over(tern_host *h, const tern_luggage *own, int patience_ms, char *err, size_t err_len)
{
    struct parcel p = {.n_fds = 1};
    int patience = patience_ms > 0 ? patience_ms : HANDOVER_PATIENCE_MS;
    if (!tern_host_handover_asked(h))
        return say(-ENOENT, err, err_len, "no process has asked for this host");
    int fd = h->asked.fd, rc = gather_links(h, &p);
    if (rc == 0)
        rc = p.fds[0] = fill_memory(h, own, &p);
    if (rc < 0) {
        tern_host_decline(h, "the old process could not write its state down, or has a link that cannot go");
        return explain(rc, err, err_len);
    }
    memcpy(p.head.magic, handover_magic, sizeof p.head.magic);
    p.head.luggage_fds = own != NULL ? (uint32_t)own->n_fds : 0;
    make_patient(fd, patience);
    rc = send_fds(fd, &p.head, sizeof p.head, p.fds, p.n_fds);
    close(p.fds[0]);
    if (rc == 0)
        rc = send_luggage(fd, own);
    if (rc == 0)
        rc = await(fd, patience);
    if (rc < 0)
        rc = give_up(fd, rc);
    hang_up(h);
    if (rc == 0)
        be_over(h);
    return explain(rc, err, err_len);
}
