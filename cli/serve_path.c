/* serve_path.c - from a URL to an opened file below the served directory, never outside of it.
 *
 * Two locks on the same door: dot segments are resolved here, in the text, and the kernel is asked to resolve
 * the rest beneath the directory (openat2, RESOLVE_BENEATH), so that no symbolic link leads out either.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode one segment, up to the next '/', into `out`. Returns its length, or -1 (malformed, NUL or '/'
 * inside, too long). */
static int segment(const char **url, char *out, size_t out_len)
{
    size_t n = 0;
    const char *p = *url;
    for (; *p != '\0' && *p != '/' && *p != '?' && *p != '#'; p++) {
        int c = (unsigned char)*p;
        if (c == '%') {
            int high = hex(p[1]), low = high < 0 ? -1 : hex(p[2]);
            if (low < 0)
                return -1;
            c = high * 16 + low;
            p += 2;
        }
        if (c == '\0' || c == '/' || n + 1 >= out_len)
            return -1;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    *url = p;
    return (int)n;
}

/* "http://host/path" (a proxy's form) to its path. */
static const char *skip_authority(const char *url)
{
    if (strncasecmp(url, "http://", 7) != 0)
        return url;
    const char *slash = strchr(url + 7, '/');
    return slash != NULL ? slash : "/";
}

/* Names that begin with a dot are nobody's business, but for what RFC 8615 sets apart. */
static bool hidden(const char *name) { return name[0] == '.' && strcmp(name, ".well-known") != 0; }

int path_of_url(const char *url, char *out, size_t out_len)
{
    size_t n = 0;
    bool folder = true;
    url = skip_authority(url);
    if (*url != '/')
        return 400;
    while (*url == '/') {
        char name[256];
        url++;
        int len = segment(&url, name, sizeof name);
        folder = len == 0;
        if (len < 0)
            return 400;
        if (len == 0 || strcmp(name, ".") == 0) {
            folder = true;
        } else if (strcmp(name, "..") == 0) {
            while (n > 0 && out[n - 1] != '/')
                n--;
            n -= n > 0;
            folder = true;
        } else {
            if (hidden(name) || n + (size_t)len + 3 > out_len)
                return 404;
            if (n > 0)
                out[n++] = '/';
            memcpy(out + n, name, (size_t)len);
            n += (size_t)len;
        }
    }
    if (folder && n > 0)
        out[n++] = '/';
    out[n] = '\0';
    return 0;
}

/* Kernels before 5.6 have no openat2: step by step, and no symbolic link at all. */
static int open_stepwise(int root, const char *path)
{
    int at = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0 && *path != '\0') {
        char name[256];
        size_t len = strcspn(path, "/");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW;
        int next = openat(at, name, path[len] == '/' ? flags | O_DIRECTORY : flags);
        int error = errno;
        close(at);
        errno = error;
        at = next;
        path += len + (path[len] == '/');
    }
    return at >= 0 ? at : -errno;
}

int path_open(int root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, root, path[0] != '\0' ? path : ".", &how, sizeof how);
    if (fd < 0 && errno == ENOSYS)
        return open_stepwise(root, path);
    return fd >= 0 ? (int)fd : -errno;
}
