/* Any bytes for the HTTP server's reader (cli/serve_http.c), whole and cut anywhere: the same requests come
 * of them, and the same refusals; each is answered from a folder of a few files, and no file outside of it
 * can be had. The first two bytes say where it is cut. */
#include "base/mem.h"
#include "cli/serve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS = 8 };

/* root/{index.html,a.txt,.hidden,folder/b c.txt,out -> ..}; `secret` lies beside it. */
static const char *const files[] = {"secret", "root/index.html", "root/a.txt", "root/.hidden",
                                    "root/folder/b c.txt"};
static char place[] = "/tmp/tern-fuzz-http-XXXXXX";

static const char *in_place(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", place, name);
    return path;
}

static void remove_root(void)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(in_place(files[i]));
    unlink(in_place("root/out"));
    rmdir(in_place("root/folder"));
    rmdir(in_place("root"));
    rmdir(place);
}

static int make_root(void)
{
    ASSERT(mkdtemp(place) != NULL);
    atexit(remove_root);
    ASSERT(mkdir(in_place("root"), 0700) == 0 && mkdir(in_place("root/folder"), 0700) == 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        int fd = open(in_place(files[i]), O_CREAT | O_WRONLY, 0600);
        ASSERT(fd >= 0 && write(fd, i == 0 ? "secret" : "0123456789", 10 - (i == 0) * 4) > 0);
        close(fd);
    }
    ASSERT(symlink("..", in_place("root/out")) == 0);
    return open(in_place("root"), O_PATH | O_DIRECTORY);
}

static void answer_one(server *s, const request *r)
{
    answer *a = calloc(1, sizeof *a);
    char bytes[6];
    answer_make(s, r, a);
    ASSERT(a->status >= 200 && a->status < 600 && a->head_len <= sizeof a->head && a->left <= a->body);
    ASSERT(a->head_len > 4 && memcmp(a->head + a->head_len - 4, "\r\n\r\n", 4) == 0);
    if (a->fd >= 0) {
        ASSERT(a->offset + a->left <= 10);
        ASSERT(pread(a->fd, bytes, 6, 0) == 6 && memcmp(bytes, "012345", 6) == 0);
    }
    answer_free(a);
}

/* What came of some bytes. */
struct outcome {
    uint32_t n;
    uint16_t refuse;
    struct {
        char url[REQUEST_URL];
        char field[FIELDS][REQUEST_FIELD];
        bool keep_alive;
    } request[REQUESTS];
};

/* Feed a piece; false: no more is read. */
static bool feed(server *s, request *r, struct outcome *o, const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t used = request_feed(r, p, n);
        ASSERT(used <= n);
        p += used, n -= used;
        if (r->complete || r->refuse != 0) {
            answer_one(s, r);
            o->refuse = r->refuse;
            if (r->refuse != 0 || o->n == REQUESTS)
                return false;
            strcpy(o->request[o->n].url, r->url);
            for (int i = 0; i < FIELDS; i++)
                strcpy(o->request[o->n].field[i], r->field[i]);
            o->request[o->n++].keep_alive = r->keep_alive;
            if (!r->keep_alive)
                return false;
            request_init(r);
        } else {
            ASSERT(n == 0); /* it wants more, and has taken all */
        }
    }
    return true;
}

/* What is too long and wrong besides may be refused for either. */
static bool same_refusal(uint16_t a, uint16_t b)
{
    return a == b || (a != 0 && b != 0 && (a == 414 || a == 431 || b == 414 || b == 431));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static server *s;
    static request r;
    static struct outcome whole, pieces;
    if (s == NULL) {
        s = calloc(1, sizeof *s);
        s->root = make_root();
        s->root_name = "/";
    }
    if (size < 2 || size > 8192)
        return 0;
    const uint8_t *p = data + 2;
    size_t n = size - 2;
    memset(&whole, 0, sizeof whole);
    memset(&pieces, 0, sizeof pieces);
    request_init(&r);
    feed(s, &r, &whole, p, n);
    request_init(&r);
    for (size_t at = 0, part; at < n; at += part) {
        part = 1 + (at == 0 ? data[0] : data[1]) * (n - at) / 1024;
        part = part < n - at ? part : n - at;
        uint8_t *exact = malloc(part);
        memcpy(exact, p + at, part);
        bool more = feed(s, &r, &pieces, exact, part);
        free(exact);
        if (!more)
            break;
    }
    ASSERT(whole.n == pieces.n && same_refusal(whole.refuse, pieces.refuse));
    ASSERT(memcmp(whole.request, pieces.request, sizeof whole.request) == 0);
    char date[40];
    time_t t = http_date_parse((const char *)(n > 0 ? whole.request[0].field[FIELD_IF_MODIFIED] : ""));
    if (t >= 0) {
        http_date(t, date);
        ASSERT(http_date_parse(date) == t);
    }
    return 0;
}
