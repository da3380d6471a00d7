/* capture_file.c - see capture_file.h. A batch of blocks goes out in one write and nothing is kept back in a
 * buffer, so a process that dies leaves whole blocks; where a write fails in the middle (a full disk) the
 * piece of a block is cut off again. */
#include "host/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_stdout(const struct capture_file *f) { return strcmp(f->path, "-") == 0; }

static int create(struct capture_file *f)
{
    f->fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    f->at = 0;
    return f->fd < 0 ? -errno : 0;
}

int capture_file_open(struct capture_file *f, const char *path)
{
    f->fd = -1;
    if (strlen(path) + 16 > sizeof f->path) /* room for a number */
        return -ENAMETOOLONG;
    memcpy(f->path, path, strlen(path) + 1);
    if (!is_stdout(f))
        return create(f);
    f->at = 0;
    f->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return f->fd < 0 ? -errno : 0;
}

int capture_file_write(struct capture_file *f, const uint8_t *blocks, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(f->fd, blocks + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int err = n < 0 ? errno : EIO;
            bool cut = done == 0 || ftruncate(f->fd, (off_t)f->at) == 0;
            (void)cut; /* what went through a pipe cannot be taken back */
            return -err;
        }
        done += (size_t)n;
    }
    f->at += len;
    return 0;
}

/* "web.pcapng" and 2 to "web.2.pcapng"; a name without a dot gets the number at its end. */
static void numbered(const struct capture_file *f, uint32_t number, char *out, size_t len)
{
    const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
    const char *dot = strrchr(name, '.');
    if (dot == name)
        dot = NULL;
    int stem = dot ? (int)(dot - f->path) : (int)strlen(f->path);
    if (number == 0)
        snprintf(out, len, "%s", f->path);
    else
        snprintf(out, len, "%.*s.%u%s", stem, f->path, number, dot ? dot : "");
}

int capture_file_rotate(struct capture_file *f, uint32_t files)
{
    char from[PATH_MAX], to[PATH_MAX];
    if (is_stdout(f))
        return 0;
    capture_file_close(f);
    for (uint32_t i = files - 1; i > 0; i--) {
        numbered(f, i - 1, from, sizeof from);
        numbered(f, i, to, sizeof to);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return create(f);
}

void capture_file_close(struct capture_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}
