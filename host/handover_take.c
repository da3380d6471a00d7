/* handover_take.c - the new process' side of a handover (tern/handover.h; what passes: handover_wire.h). */
#include "host/control.h"
#include "host/handover_wire.h"
#include "host/host_internal.h"

#include <tern/handover.h>
#include <tern/net.h>
#include <tern/snapshot.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PEERS = 256, PATIENCE_S = 2 * HANDOVER_PATIENCE_MS / 1000 };

/* A sentence goes here. */
struct problem {
    char *text;
    size_t len;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct problem *pr, int rc, const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    if (pr->text != NULL && pr->len > 0)
        vsnprintf(pr->text, pr->len, format, args);
    va_end(args);
    return rc;
}

/* --- asking ------------------------------------------------------------------------------------- */

static int choose_peer(struct tern_control_peer *out, const char *name, int pid, const struct problem *pr)
{
    struct tern_control_peer *peers = calloc(PEERS, sizeof *peers);
    int n = peers != NULL ? tern_control_list(peers, PEERS) : 0, found = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(peers[i].name, name) == 0 && (pid == 0 || peers[i].pid == pid)) {
            *out = peers[i];
            found++;
        }
    free(peers);
    if (found == 1)
        return 0;
    if (found > 1)
        return fail(pr, -ENOTUNIQ, "several processes are called %s: name one by its process number", name);
    if (pid != 0)
        return fail(pr, -ENOENT, "process %d is not a running tern called %s", pid, name);
    return fail(pr, -ENOENT, "there is no running tern called %s to take over from", name);
}

/* A connection on which the question has been asked, or -errno. */
static int ask(const struct tern_control_peer *peer, const struct problem *pr)
{
    static const char question[] = HANDOVER_QUESTION "\n";
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", peer->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(pr, -errno, "no socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0 &&
        send(fd, question, sizeof question - 1, MSG_NOSIGNAL) == (ssize_t)sizeof question - 1)
        return fd;
    int rc = fail(pr, -errno, "process %d cannot be asked: %s", peer->pid, strerror(errno));
    close(fd);
    return rc;
}

/* --- receiving ---------------------------------------------------------------------------------- */

/* Receive bytes and the descriptors that come with them. Returns the bytes; *n_fds descriptors are at
 * `fds`. */
static ssize_t receive_fds(int fd, void *data, size_t len, int *fds, int *n_fds)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(HANDOVER_FDS * sizeof(int))];
    } control;
    struct iovec iov = {data, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
    ssize_t n;
    *n_fds = 0;
    m.msg_controllen = sizeof control;
    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        *n_fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), (size_t)*n_fds * sizeof(int));
    }
    return n;
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

/* What came instead of a head: the beginning of a JSON object that says why not. */
static int refused(int fd, const void *begin, size_t len, const struct problem *pr)
{
    char text[512];
    memcpy(text, begin, len);
    for (ssize_t n; len < sizeof text && (n = recv(fd, text + len, sizeof text - len, 0)) > 0;)
        len += (size_t)n;
    json_t *o = json_loadb(text, len, JSON_DISABLE_EOF_CHECK, NULL);
    const char *why = json_string_value(json_object_get(o, "error"));
    int rc = fail(pr, -ECONNREFUSED, "the old process says: %s",
                  why != NULL ? why : "something that is no answer; is it of another version?");
    json_decref(o);
    return rc;
}

static int cut_off(ssize_t n, const struct problem *pr)
{
    if (n < 0 && errno == EAGAIN)
        return fail(pr, -ETIMEDOUT, "the old process does not answer");
    return fail(pr, -EPIPE, "the old process went away, or gave up");
}

/* The head, the memory and the links. */
static int receive_head(tern_host *h, struct handover_head *head, int *memory, const struct problem *pr)
{
    int fds[HANDOVER_FDS], n_fds, at = 1, links = 0;
    ssize_t n = receive_fds(h->asked.fd, head, sizeof *head, fds, &n_fds);
    *memory = -1;
    if (n <= 0)
        return cut_off(n, pr);
    for (int id = 0; id < HOST_LINKS; id++)
        links += head->links[id] != 0;
    bool whole = n == sizeof *head && memcmp(head->magic, handover_magic, sizeof head->magic) == 0 &&
                 head->links[0] == 0; /* there is no link 0 */
    if (!whole || n_fds != 1 + links || head->luggage_fds > HANDOVER_FDS_ALL) {
        close_all(fds, n_fds);
        return whole ? fail(pr, -EMFILE, "not all descriptors came: raise the limit (ulimit -n)")
                     : refused(h->asked.fd, head, (size_t)n, pr);
    }
    *memory = fds[0];
    for (int id = 1; id < HOST_LINKS; id++) {
        h->asked.link_there[id] = head->links[id] != 0;
        h->asked.link_fds[id] = head->links[id] != 0 ? fds[at++] : -1;
    }
    return 0;
}

/* The descriptors of the luggage; `*have` of them came, whatever is returned. */
static int receive_luggage(tern_host *h, uint32_t want, int *have, const struct problem *pr)
{
    *have = 0;
    h->asked.fds = calloc(want + HANDOVER_FDS, sizeof(int));
    if (h->asked.fds == NULL)
        return fail(pr, -ENOMEM, "no memory");
    while ((uint32_t)*have < want) {
        struct handover_part part;
        int n_fds;
        ssize_t n = receive_fds(h->asked.fd, &part, sizeof part, h->asked.fds + *have, &n_fds);
        *have += n_fds;
        if (n != sizeof part)
            return cut_off(n, pr);
        if (part.fds != (uint32_t)n_fds || n_fds == 0)
            return fail(pr, -EMFILE, "not all descriptors came: raise the limit (ulimit -n)");
    }
    return 0;
}

static int map_memory(tern_host *h, const struct handover_head *head, int memory, const struct problem *pr)
{
    struct stat st;
    uint64_t len = head->image_len + head->luggage_len;
    if (fstat(memory, &st) < 0 || len < head->image_len || (uint64_t)st.st_size != len)
        return fail(pr, -EPROTO, "what the old process sent is not what it said");
    void *at = mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED | MAP_POPULATE, memory, 0);
    if (at == MAP_FAILED)
        return fail(pr, -errno, "the state cannot be mapped: %s", strerror(errno));
    h->asked.memory = at;
    h->asked.memory_len = (size_t)len;
    return 0;
}

/* What is about to be written is asked for at once, page by page it takes longer. Kernels before 5.14 do not
 * know how. */
static void populate(const tern_host *h, uint64_t image_len)
{
#ifdef MADV_POPULATE_WRITE
    uint64_t len = image_len < h->memory_len ? image_len : h->memory_len;
    (void)madvise(h->memory, (size_t)len, MADV_POPULATE_WRITE);
#else
    (void)h, (void)image_len;
#endif
}

/* --- the stack again ---------------------------------------------------------------------------- */

static int restore(tern_host *h, const tern_host_config *cfg, uint64_t image_len, const struct problem *pr)
{
    size_t need;
    int rc = tern_restore_size(h->asked.memory, image_len, &need);
    if (rc == -EPROTONOSUPPORT || rc == -EOPNOTSUPP)
        return fail(pr, -EPROTO, "the old process is of another build of tern");
    if (rc == 0)
        rc = host_map(h, cfg, need);
    if (rc == 0)
        populate(h, image_len);
    if (rc == 0)
        rc = tern_restore(&h->stack, h->asked.memory, image_len, h->memory, h->memory_len, h->ring,
                          cfg->trace_records);
    if (rc < 0)
        return fail(pr, rc, "the state cannot be restored: %s", strerror(-rc));
    tern_set_sum(h->stack, tern_host_sum(-1));
    return 0;
}

static int receive_all(tern_host *h, const tern_host_config *cfg, tern_luggage *got, const struct problem *pr)
{
    struct handover_head head = {0};
    int memory, n_fds = 0, rc = receive_head(h, &head, &memory, pr);
    if (rc == 0)
        rc = receive_luggage(h, head.luggage_fds, &n_fds, pr);
    if (rc == 0)
        rc = map_memory(h, &head, memory, pr);
    if (memory >= 0)
        close(memory);
    if (rc == 0)
        rc = restore(h, cfg, head.image_len, pr);
    if (rc < 0) {
        if (h->asked.fds != NULL)
            close_all(h->asked.fds, n_fds);
        return rc;
    }
    *got = (tern_luggage){
        .data = (const uint8_t *)h->asked.memory + head.image_len,
        .len = head.luggage_len,
        .fds = h->asked.fds,
        .n_fds = n_fds,
    };
    return 0;
}

int tern_host_take_over(tern_host **out, const tern_host_config *cfg, const char *name, int pid,
                        tern_luggage *got, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    struct tern_control_peer peer;
    int rc = choose_peer(&peer, name, pid, &pr);
    if (rc < 0)
        return rc;
    tern_host *h = host_new(&rc);
    if (h == NULL || rc < 0) {
        tern_host_destroy(h);
        return fail(&pr, rc, "no host can be made: %s", strerror(-rc));
    }
    h->phase = HOST_WAITING;
    snprintf(h->asked.name, sizeof h->asked.name, "%s", cfg->name != NULL ? cfg->name : "");
    memset(h->asked.link_fds, -1, sizeof h->asked.link_fds);
    rc = h->asked.fd = ask(&peer, &pr);
    if (rc >= 0)
        rc = receive_all(h, cfg, got, &pr);
    if (rc < 0) {
        tern_host_destroy(h);
        return rc;
    }
    *out = h;
    return 0;
}

int tern_host_link_fd(tern_host *h, int link)
{
    if (h->phase != HOST_WAITING || link < 1 || link >= HOST_LINKS)
        return -1;
    int fd = h->asked.link_fds[link];
    h->asked.link_fds[link] = -1;
    return fd;
}

int tern_host_adopt(tern_host *h, int link, tern_link *l)
{
    bool fits = h->phase == HOST_WAITING && link > 0 && link < HOST_LINKS && h->asked.link_there[link] &&
                h->links[link].link == NULL;
    int rc = fits ? tern_link_set(h->stack, link, &l->info) : -EINVAL;
    if (rc < 0) {
        tern_link_close(l);
        return rc;
    }
    return host_put_link(h, link, l);
}

/* --- the moment --------------------------------------------------------------------------------- */

/* 'T' did not go through: what has become of the old one? */
static bool old_one_lives(int fd)
{
    char c;
    ssize_t n;
    do
        n = recv(fd, &c, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1 || (n < 0 && errno == EAGAIN); /* it said 'K', or it is there and says nothing */
}

static bool take(int fd)
{
    static const char taken = HANDOVER_TAKEN;
    ssize_t n;
    do
        n = send(fd, &taken, 1, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == 1 || !old_one_lives(fd);
}

int tern_host_own(tern_host *h, char *err, size_t err_len)
{
    struct problem pr = {err, err_len};
    if (h->phase != HOST_WAITING)
        return fail(&pr, -EINVAL, "this host was not taken over, or is owned already");
    for (int id = 1; id < HOST_LINKS; id++)
        if (h->asked.link_there[id] && h->links[id].link == NULL)
            return fail(&pr, -EINVAL, "link %d was not adopted", id);
    if (!take(h->asked.fd))
        return fail(&pr, -ECONNABORTED, "the old process has given up waiting, and goes on");
    handover_end(h);
    h->phase = HOST_LIVE;
    fail(&pr, 0, "%s", "");
    if (h->asked.name[0] != '\0')
        control_open(h, h->asked.name, err, err_len); /* without one, all but `tern ss` works */
    return 0;
}
