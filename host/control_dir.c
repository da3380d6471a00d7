/* control_dir.c - where control sockets lie.
 *
 * Ours goes to the first of $XDG_RUNTIME_DIR/tern, /run/tern (root) and /tmp/tern-UID that can be made and
 * that nobody else can write to. Who looks for others looks at all of them, since a process inside `sudo` or
 * a user namespace may have had another environment or user number; but a directory of another user is
 * trusted by root only.
 */
#include "host/host_internal.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *control_place(int n, char *buf, size_t len)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int wrote = 0;
    switch (n) {
    case 0:
        /* none: an absolute path that leads nowhere, so that the next place is tried */
        wrote = snprintf(buf, len, "%s/tern", runtime && runtime[0] == '/' ? runtime : "/nonexistent");
        break;
    case 1: wrote = snprintf(buf, len, "%s", "/run/tern"); break;
    case 2: wrote = snprintf(buf, len, "/tmp/tern-%u", (unsigned)geteuid()); break;
    default: return NULL;
    }
    return wrote > 0 && (size_t)wrote < len ? buf : "/nonexistent";
}

static bool ours_alone(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

bool control_make_dir(const char *path)
{
    mkdir(path, 0700);
    return ours_alone(path) && access(path, W_OK | X_OK) == 0;
}

/* Whether a directory is the same as one of the first `n`, by another name perhaps. */
static bool seen(const struct stat *st, const struct stat *before, int n)
{
    for (int i = 0; i < n; i++)
        if (before[i].st_dev == st->st_dev && before[i].st_ino == st->st_ino)
            return true;
    return false;
}

enum { DIRS = 64 };

void control_each_dir(void (*fn)(void *ctx, const char *dir, bool ours), void *ctx)
{
    char place[128];
    struct stat before[DIRS];
    int n = 0;
    glob_t found = {0};
    glob(control_place(0, place, sizeof place), GLOB_NOSORT, NULL, &found);
    glob("/run/tern", GLOB_APPEND, NULL, &found);
    glob("/run/user/*/tern", GLOB_APPEND, NULL, &found);
    glob("/tmp/tern-*", GLOB_APPEND, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc && n < DIRS; i++) {
        const char *dir = found.gl_pathv[i];
        bool ours = ours_alone(dir);
        if (lstat(dir, &before[n]) < 0 || !S_ISDIR(before[n].st_mode) || seen(&before[n], before, n))
            continue;
        n++;
        if (ours || geteuid() == 0)
            fn(ctx, dir, ours);
    }
    globfree(&found);
}
