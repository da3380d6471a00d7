/* serve_file.c - from a request to its answer: which file, which part of it, or why not (RFC 9110 13 to
 * 15). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/wall.h"
#include "serve.h"

static const struct reason {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Unknown";
}

/* --- the head --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void head_add(answer *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(a->head + a->head_len, sizeof a->head - a->head_len, format, args);
    va_end(args);
    if (n > 0 && a->head_len + (size_t)n < sizeof a->head)
        a->head_len += (uint32_t)n;
}

static void head_begin(answer *a, int status)
{
    char date[40];
    a->status = status;
    a->head_len = 0;
    http_date((time_t)tern_wall_seconds(), date);
    head_add(a, "HTTP/1.1 %d %s\r\nServer: tern/%s\r\nDate: %s\r\n", status, reason_of(status),
             tern_version(), date);
}

static void head_end(answer *a, const request *r)
{
    bool old = r->parser.http_major == 1 && r->parser.http_minor == 0;
    if (!a->keep_alive)
        head_add(a, "Connection: close\r\n");
    else if (old)
        head_add(a, "Connection: keep-alive\r\n");
    head_add(a, "\r\n");
    a->body = a->left;
    if (r->parser.method == HTTP_HEAD)
        a->left = a->body = 0; /* RFC 9110 9.3.2: the same head, no body */
}

/* A short answer in words; `extra` is one header line more, or "". */
static void answer_words(answer *a, const request *r, int status, const char *extra)
{
    char *text = NULL;
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    int n = asprintf(
        &text,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%d %s</title></head>\n"
        "<body><h1>%d %s</h1></body></html>\n",
        status, reason_of(status), status, reason_of(status));
    a->text = n > 0 ? text : NULL;
    a->left = n > 0 ? (uint64_t)n : 0;
    a->offset = 0;
    head_begin(a, status);
    head_add(a, "Content-Type: text/html; charset=utf-8\r\nContent-Length: %" PRIu64 "\r\n%s", a->left,
             extra);
    head_end(a, r);
}

/* --- conditions and ranges -------------------------------------------------------------------- */

typedef struct version {
    char etag[48];
    time_t modified;
} version;

static void version_of(const struct stat *st, version *v)
{
    uint64_t ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
    snprintf(v->etag, sizeof v->etag, "\"%" PRIx64 "-%" PRIx64 "\"", ns, (uint64_t)st->st_size);
    v->modified = st->st_mtim.tv_sec;
}

/* Whether a list of entity tags names ours; W/ is ignored (weak comparison, RFC 9110 8.8.3.2). */
static bool etag_listed(const char *list, const char *etag)
{
    size_t len = strlen(etag);
    for (const char *p = list; (p = strchr(p, '"')) != NULL;) {
        const char *end = strchr(p + 1, '"');
        if (end == NULL)
            return false;
        if ((size_t)(end + 1 - p) == len && memcmp(p, etag, len) == 0)
            return true;
        p = end + 1;
    }
    return false;
}

/* RFC 9110 13.2.2: If-None-Match decides alone when it is there. */
static bool not_modified(const request *r, const version *v)
{
    const char *tags = r->field[FIELD_IF_NONE_MATCH];
    if (tags[0] != '\0')
        return strcmp(tags, "*") == 0 || etag_listed(tags, v->etag);
    time_t since = http_date_parse(r->field[FIELD_IF_MODIFIED]);
    return since >= 0 && v->modified <= since;
}

/* RFC 9110 13.1.5: a part only of the version that the client has the rest of. */
static bool range_wanted(const request *r, const version *v)
{
    const char *condition = r->field[FIELD_IF_RANGE];
    if (r->field[FIELD_RANGE][0] == '\0' || r->parser.method != HTTP_GET)
        return false;
    if (condition[0] == '\0')
        return true;
    if (condition[0] == '"')
        return strcmp(condition, v->etag) == 0;
    return http_date_parse(condition) == v->modified;
}

enum range { RANGE_NONE, RANGE_ONE, RANGE_IMPOSSIBLE };

static bool number(const char **text, uint64_t *out)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

/* RFC 9110 14.1.2: "bytes=first-last", "bytes=first-", "bytes=-suffix". What is malformed or has several
 * ranges may be ignored (14.2), and is. */
static enum range range_parse(const char *text, uint64_t size, uint64_t *first, uint64_t *count)
{
    uint64_t a = 0, b = 0;
    if (strncasecmp(text, "bytes=", 6) != 0)
        return RANGE_NONE;
    text += 6;
    bool has_a = number(&text, &a);
    if (*text++ != '-')
        return RANGE_NONE;
    bool has_b = number(&text, &b);
    if (*text != '\0' || (!has_a && !has_b) || (has_a && has_b && b < a))
        return RANGE_NONE;
    if (!has_a) {
        a = b < size ? size - b : 0;
        if (b == 0)
            return RANGE_IMPOSSIBLE;
        has_b = false;
    }
    if (a >= size)
        return RANGE_IMPOSSIBLE;
    *first = a;
    *count = (has_b && b < size ? b + 1 : size) - a;
    return RANGE_ONE;
}

/* --- files and directories -------------------------------------------------------------------- */

static void answer_file(answer *a, const request *r, const char *path, const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size, first = 0, count = size;
    char date[40], extra[64];
    version v;
    version_of(st, &v);
    http_date(v.modified, date);
    if (not_modified(r, &v)) {
        head_begin(a, 304);
        head_add(a, "ETag: %s\r\nLast-Modified: %s\r\n", v.etag, date);
        a->left = 0;
        head_end(a, r);
        return;
    }
    enum range range =
        range_wanted(r, &v) ? range_parse(r->field[FIELD_RANGE], size, &first, &count) : RANGE_NONE;
    if (range == RANGE_IMPOSSIBLE) {
        snprintf(extra, sizeof extra, "Content-Range: bytes */%" PRIu64 "\r\n", size);
        answer_words(a, r, 416, extra);
        return;
    }
    head_begin(a, range == RANGE_ONE ? 206 : 200);
    head_add(a, "Content-Type: %s\r\nContent-Length: %" PRIu64 "\r\nAccept-Ranges: bytes\r\n", mime_of(path),
             count);
    head_add(a, "ETag: %s\r\nLast-Modified: %s\r\n", v.etag, date);
    if (range == RANGE_ONE)
        head_add(a, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", first, first + count - 1,
                 size);
    a->file = (file_id){.device = st->st_dev,
                        .number = st->st_ino,
                        .size = size,
                        .mtime_s = (uint64_t)st->st_mtim.tv_sec,
                        .mtime_ns = (uint64_t)st->st_mtim.tv_nsec};
    a->offset = first;
    a->left = count;
    head_end(a, r);
}

/* A directory's address ends in '/', or the links in its page would lead astray. */
static void answer_moved(answer *a, const request *r)
{
    char extra[700];
    size_t path = strcspn(r->url, "?#");
    if (path > 600 || strchr(r->url, '\r') != NULL || strchr(r->url, '\n') != NULL || r->url[1] == '/') {
        answer_words(a, r, 404, ""); /* "//host" would be another host's address */
        return;
    }
    snprintf(extra, sizeof extra, "Location: %.*s/\r\n", (int)path, r->url);
    answer_words(a, r, 301, extra);
}

static void answer_listing(answer *a, const request *r, const char *path)
{
    size_t len = 0;
    a->text = list_page(a->fd, path, &len);
    a->fd = -1;
    if (a->text == NULL) {
        answer_words(a, r, 500, "");
        return;
    }
    a->left = len;
    head_begin(a, 200);
    head_add(a,
             "Content-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\nCache-Control: no-cache\r\n",
             len);
    head_end(a, r);
}

static int status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case EXDEV: /* leads out of the directory: for the client there is nothing */
    case ELOOP: return 404;
    case EACCES:
    case EPERM: return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return 503;
    default: return 500;
    }
}

/* Something was opened: a file, or a directory with or without index.html. */
static void answer_opened(server *s, answer *a, const request *r, char *path, size_t room)
{
    struct stat st;
    size_t len = strlen(path);
    bool folder = len == 0 || path[len - 1] == '/';
    if (fstat(a->fd, &st) != 0) {
        answer_words(a, r, 500, "");
    } else if (S_ISDIR(st.st_mode) && !folder) {
        answer_moved(a, r);
    } else if (S_ISDIR(st.st_mode)) {
        snprintf(path + len, room - len, "index.html");
        int index = path_open(s->root, path);
        if (index < 0 || fstat(index, &st) != 0 || !S_ISREG(st.st_mode)) {
            if (index >= 0)
                close(index);
            path[len] = '\0';
            answer_listing(a, r, path);
            return;
        }
        close(a->fd);
        a->fd = index;
        answer_file(a, r, path, &st);
    } else if (S_ISREG(st.st_mode)) {
        answer_file(a, r, path, &st);
    } else {
        answer_words(a, r, 403, ""); /* a pipe or a device is no file to serve */
    }
}

void answer_make(server *s, const request *r, answer *a)
{
    char path[REQUEST_URL + 16];
    memset(a, 0, offsetof(answer, head));
    a->fd = -1;
    a->keep_alive = r->keep_alive && r->refuse == 0;
    if (r->refuse != 0) {
        answer_words(a, r, r->refuse, "");
    } else if (r->parser.method == HTTP_OPTIONS) {
        head_begin(a, 204);
        head_add(a, "Allow: GET, HEAD, OPTIONS\r\n");
        head_end(a, r);
    } else if (r->parser.method != HTTP_GET && r->parser.method != HTTP_HEAD) {
        answer_words(a, r, 405, "Allow: GET, HEAD, OPTIONS\r\n");
    } else {
        int status = path_of_url(r->url, path, sizeof path - 16);
        if (status == 0 && (a->fd = path_open(s->root, path)) < 0)
            status = status_of_errno(-a->fd);
        if (status != 0)
            answer_words(a, r, status, "");
        else
            answer_opened(s, a, r, path, sizeof path);
    }
}

void answer_free(answer *a)
{
    if (a != NULL) {
        if (a->fd >= 0)
            close(a->fd);
        free(a->text);
        free(a);
    }
}
