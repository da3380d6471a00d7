/* serve_http.c - from bytes to a request, by the distribution's http_parser. */
#include <string.h>
#include <strings.h>

#include "serve.h"

static const char *const names[FIELDS] = {"",    "range", "if-range", "if-none-match", "if-modified-since",
                                          "host"};

/* Append to a NUL-terminated field of `size` bytes; false when it does not fit. */
static bool append(char *field, size_t size, const char *at, size_t len)
{
    size_t have = strlen(field);
    if (len >= size - have || memchr(at, 0, len) != NULL)
        return false;
    memcpy(field + have, at, len);
    field[have + len] = '\0';
    return true;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    request *r = p->data;
    r->url_too_long |= !append(r->url, sizeof r->url, at, len);
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    request *r = p->data;
    if (r->in_value)
        r->name[0] = '\0';
    r->in_value = false;
    if (!append(r->name, sizeof r->name, at, len))
        memset(r->name, '?', sizeof r->name - 1); /* longer than any that matters: none of ours */
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    request *r = p->data;
    if (!r->in_value) {
        r->in_value = true;
        r->current = FIELD_OTHER;
        for (uint8_t i = 1; i < FIELDS; i++)
            if (strcasecmp(r->name, names[i]) == 0)
                r->current = i;
        r->host_given |= r->current == FIELD_HOST;
    }
    /* a field that does not fit is taken as not given, however its pieces come: all of these may be
     * ignored */
    if (r->current != FIELD_OTHER && !append(r->field[r->current], REQUEST_FIELD, at, len)) {
        r->field[r->current][0] = '\0';
        r->current = FIELD_OTHER;
    }
    return 0;
}

static int on_complete(http_parser *p)
{
    request *r = p->data;
    r->complete = true;
    r->keep_alive = http_should_keep_alive(p) != 0;
    http_parser_pause(p, 1); /* what follows is the next request of a pipeline */
    return 0;
}

void request_init(request *r)
{
    memset(r, 0, sizeof *r);
    http_parser_init(&r->parser, HTTP_REQUEST);
    r->parser.data = r;
}

/* RFC 9112 3.2: a request of HTTP/1.1 names its host. RFC 9110 4.1: a URL longer than we read is 414. */
static uint16_t refusal(const request *r)
{
    if (r->url_too_long)
        return 414;
    bool old = r->parser.http_major == 1 && r->parser.http_minor == 0;
    if (r->complete && !old && !r->host_given)
        return 400;
    return 0;
}

/* A method that nobody knows is 501 (RFC 9110 15.6.2); what does not look like one is no HTTP. */
static uint16_t refusal_of_error(enum http_errno error, uint8_t first)
{
    if (error == HPE_HEADER_OVERFLOW)
        return 431;
    return error == HPE_INVALID_METHOD && first >= 'A' && first <= 'Z' ? 501 : 400;
}

/* Empty lines before a request are no part of it (RFC 9112 2.2). */
static void note_first(request *r, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len && !r->begun; i++) {
        r->begun = data[i] != '\r' && data[i] != '\n';
        r->first = data[i];
    }
}

size_t request_feed(request *r, const uint8_t *data, size_t len)
{
    static const http_parser_settings settings = {.on_url = on_url,
                                                  .on_header_field = on_name,
                                                  .on_header_value = on_value,
                                                  .on_message_complete = on_complete};
    note_first(r, data, len);
    size_t n = http_parser_execute(&r->parser, &settings, (const char *)data, len);
    enum http_errno error = HTTP_PARSER_ERRNO(&r->parser);
    r->head_bytes += (uint32_t)n;
    r->refuse = refusal(r);
    if (error != HPE_OK && error != HPE_PAUSED && r->refuse == 0)
        r->refuse = refusal_of_error(error, r->first);
    else if (r->head_bytes > REQUEST_HEAD_MAX && r->refuse == 0)
        r->refuse = r->parser.method == HTTP_GET || r->parser.method == HTTP_HEAD ? 431 : 413;
    return n;
}
