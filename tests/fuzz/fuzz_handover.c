/* The new side of a handover (host/handover_take.c), and an old one that says anything.
 *
 * It begins with all that is right: a head, an image of a stack, luggage, descriptors. The input is a list of
 * what is done to that: bytes of the head or the image changed, descriptors too many or too few, parts that
 * lie about what comes with them, messages cut off or doubled, memory that is none. Whatever comes, no
 * descriptor and no byte stays behind; what was taken for right is right.
 */
#include "base/mem.h"
#include "host/handover_wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tern/handover.h>
#include <tern/snapshot.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 8, LUGGAGE = 100 };

/* What the old side says, and with which descriptors. */
struct part {
    struct handover_part said;
    uint8_t fds, len;
};

static struct {
    struct handover_head head;
    uint8_t head_bytes, head_fds;
    int memory;       /* the first descriptor of the head */
    struct part part[PARTS];
    uint8_t parts;
    uint8_t last;     /* said at the end; 0 = nothing */
    bool hangs_up;    /* when all is said, and does not wait for an answer */
    bool damaged;     /* the image */
    int listening;
    int got;          /* of the new side: a byte, or -1 */
} old;

static char place[] = "/tmp/tern-fuzz-handover-XXXXXX";
static uint8_t *image;
static size_t image_len;

/* --- once --------------------------------------------------------------------------------------------- */

static void socket_path(struct sockaddr_un *sa)
{
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(sa->sun_path, sizeof sa->sun_path, "%s/tern/%d-old.sock", place, (int)getpid());
}

static void remove_place(void)
{
    char path[100];
    struct sockaddr_un sa;
    socket_path(&sa);
    unlink(sa.sun_path);
    snprintf(path, sizeof path, "%s/tern", place);
    rmdir(path);
    rmdir(place);
    free(image);
}

static void make_image(void)
{
    tern *t;
    tern_handle h;
    tern_endpoint at = {.port = 80};
    size_t len = tern_min_size(NULL) + (1 << 16);
    void *block = malloc(len);
    ASSERT(block != NULL && tern_create(&t, NULL, block, len) == 0 && tern_listen(t, &at, 0, &h) == 0 &&
           tern_snapshot_size(t) > 0);
    image_len = tern_snapshot_size(t);
    image = malloc(image_len);
    ASSERT(image != NULL && tern_snapshot(t, image, image_len) == 0);
    tern_destroy(t);
    free(block);
}

static void make_place(void)
{
    char path[100];
    struct sockaddr_un sa;
    if (image != NULL)
        return;
    ASSERT(mkdtemp(place) != NULL && setenv("XDG_RUNTIME_DIR", place, 1) == 0);
    snprintf(path, sizeof path, "%s/tern", place);
    ASSERT(mkdir(path, 0700) == 0);
    make_image();
    socket_path(&sa);
    old.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(old.listening, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(old.listening, 4) == 0);
    atexit(remove_place);
}

/* --- what the old side will say ----------------------------------------------------------------------- */

struct list {
    const uint8_t *at;
    size_t left;
};

static uint32_t u8(struct list *l)
{
    if (l->left == 0)
        return 0;
    l->left--;
    return *l->at++;
}

static void change_head(struct list *l)
{
    uint32_t where = u8(l) % sizeof old.head;
    ((uint8_t *)&old.head)[where] = (uint8_t)u8(l);
}

static void change_image(struct list *l)
{
    uint32_t where = u8(l) << 8 | u8(l);
    uint8_t mask = (uint8_t)u8(l);
    uint8_t other = image[where % image_len] ^ mask;
    if (mask != 0 && pwrite(old.memory, &other, 1, (off_t)(where % image_len)) == 1)
        old.damaged = true;
}

static void another_memory(struct list *l)
{
    uint32_t v = u8(l);
    size_t len = image_len * (v >> 1) / 100;
    if (v & 1) {
        old.damaged |= ftruncate(old.memory, (off_t)len) == 0 && len < image_len;
        return;
    }
    close(old.memory);
    old.memory =
        v & 2 ? open("/dev/null", O_RDWR | O_CLOEXEC) : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(old.memory >= 0);
    old.damaged = true;
}

static void add_part(struct list *l)
{
    uint32_t n = u8(l) % (HANDOVER_FDS + 1), lie = u8(l);
    if (old.parts == PARTS)
        return;
    old.part[old.parts++] = (struct part){
        .said = {.fds = lie & 1 ? lie : n},
        .fds = (uint8_t)n,
        .len = (uint8_t)(lie & 2 ? lie % (sizeof(struct handover_part) + 1) : sizeof(struct handover_part)),
    };
    old.head.luggage_fds += n;
}

static void choose(struct list *l)
{
    switch (u8(l) % 8) {
    case 0: change_head(l); break;
    case 1: change_image(l); break;
    case 2: old.head_fds = (uint8_t)(u8(l) % 20); break;
    case 3: add_part(l); break;
    case 4: old.head_bytes = (uint8_t)(u8(l) % (sizeof old.head + 1)); break;
    case 5: another_memory(l); break;
    case 6: old.last = (uint8_t)u8(l); break;
    default: old.head.links[u8(l) % HANDOVER_LINKS] ^= 1; break;
    }
}

static void plan(struct list *l)
{
    static const uint8_t luggage[LUGGAGE] = {1, 2, 3};
    int listening = old.listening;
    memset(&old, 0, sizeof old);
    old.listening = listening;
    old.got = -1;
    memcpy(old.head.magic, handover_magic, sizeof old.head.magic);
    old.head.image_len = image_len;
    old.head.luggage_len = LUGGAGE;
    old.head_bytes = sizeof old.head;
    old.head_fds = 255; /* as many as are right */
    old.hangs_up = u8(l) & 1;
    old.memory = memfd_create("fuzz", MFD_CLOEXEC);
    ASSERT(old.memory >= 0 && write(old.memory, image, image_len) == (ssize_t)image_len);
    ASSERT(write(old.memory, luggage, LUGGAGE) == LUGGAGE);
    while (l->left > 0)
        choose(l);
    if (old.head_fds != 255)
        return;
    old.head_fds = 1;
    for (int id = 1; id < HANDOVER_LINKS; id++)
        old.head_fds = (uint8_t)(old.head_fds + (old.head.links[id] != 0));
}

/* --- the old side ------------------------------------------------------------------------------------- */

static void say(int fd, const void *data, size_t len, const int *fds, uint32_t n)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(HANDOVER_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)data, len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n > 0) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    (void)sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* Who asks; others only look whether somebody is there. */
static int await_question(void)
{
    for (;;) {
        char byte = 0;
        int fd = accept(old.listening, NULL, NULL);
        while (byte != '\n' && recv(fd, &byte, 1, 0) == 1)
            continue;
        if (byte == '\n')
            return fd;
        close(fd);
    }
}

static void *answer(void *ctx)
{
    int fds[HANDOVER_FDS + 1];
    char byte;
    int fd = await_question();
    (void)ctx;
    for (int i = 0; i <= HANDOVER_FDS; i++)
        fds[i] = old.memory;
    say(fd, &old.head, old.head_bytes, fds, old.head_fds);
    for (int i = 0; i < old.parts; i++)
        say(fd, &old.part[i].said, old.part[i].len, fds, old.part[i].fds);
    if (old.last != 0)
        (void)send(fd, &old.last, 1, MSG_NOSIGNAL);
    shutdown(fd, old.hangs_up ? SHUT_RDWR : SHUT_WR);
    old.got = recv(fd, &byte, 1, 0) == 1 ? byte : -1;
    close(fd);
    return NULL;
}

/* --- the new side ------------------------------------------------------------------------------------- */

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ASSERT(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void taken(tern_host *h, const tern_luggage *got)
{
    char err[300] = "";
    int links = 0;
    ASSERT(!old.damaged && got->len == old.head.luggage_len && got->n_fds == (int)old.head.luggage_fds);
    for (int i = 0; i < got->n_fds; i++)
        close(got->fds[i]);
    for (int id = 0; id < HANDOVER_LINKS; id++) {
        int fd = tern_host_link_fd(h, id);
        ASSERT((fd >= 0) == (id > 0 && old.head.links[id] != 0) && tern_host_link_fd(h, id) == -1);
        links += fd >= 0;
        if (fd >= 0)
            close(fd);
    }
    int rc = tern_host_own(h, err, sizeof err);
    ASSERT(links > 0 ? rc == -EINVAL : rc == 0 || rc == -ECONNABORTED);
    ASSERT((rc == 0) == (err[0] == '\0'));
    tern_host_destroy(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct list l = {data, size};
    pthread_t thread;
    tern_host *h;
    tern_luggage got;
    tern_host_config cfg = {.memory = 1 << 20};
    char err[300] = "";
    if (size > 256)
        return 0;
    make_place();
    int before = open_files();
    plan(&l);
    ASSERT(pthread_create(&thread, NULL, answer, NULL) == 0);
    int rc = tern_host_take_over(&h, &cfg, "old", 0, &got, err, sizeof err);
    ASSERT(rc == 0 || (rc < 0 && err[0] != '\0'));
    if (rc == 0)
        taken(h, &got);
    pthread_join(thread, NULL);
    ASSERT(old.got == -1 || old.got == HANDOVER_TAKEN);
    close(old.memory);
    ASSERT(open_files() == before);
    return 0;
}
