/* json_line.c - see json_line.h. */
#include "host/json_line.h"

#include <stdlib.h>
#include <string.h>

static void add(struct json_lines *l, const char *bytes, size_t n)
{
    if (l->len + n + 1 > l->cap) {
        l->cap = (l->len + n + 1) * 2;
        l->text = realloc(l->text, l->cap);
    }
    memcpy(l->text + l->len, bytes, n);
    l->len += n;
    l->text[l->len] = 0;
}

static void add_words(struct json_lines *l, const char *words) { add(l, words, strlen(words)); }

/* The character of a short escape, 0 when there is none. */
static char short_escape(char c)
{
    switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
    }
}

/* RFC 8259 7: quotation mark, reverse solidus and U+0000 to U+001F must be escaped, and only they. */
static void add_char(struct json_lines *l, char c)
{
    static const char hex[] = "0123456789abcdef";
    char escape = short_escape(c);
    if (escape != 0)
        add(l, (const char[]){'\\', escape}, 2);
    else if ((unsigned char)c < 0x20)
        add(l, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    else
        add(l, &c, 1);
}

static void add_string(struct json_lines *l, const char *text)
{
    add(l, "\"", 1);
    for (; *text != 0; text++)
        add_char(l, *text);
    add(l, "\"", 1);
}

static void add_key(struct json_lines *l, const char *key)
{
    if (l->text[l->len - 1] != '{')
        add(l, ",", 1);
    add_string(l, key);
    add(l, ":", 1);
}

void json_line_begin(struct json_lines *l) { add(l, "{", 1); }

void json_line_string(struct json_lines *l, const char *key, const char *value)
{
    add_key(l, key);
    add_string(l, value);
}

void json_line_number(struct json_lines *l, const char *key, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    add_key(l, key);
    add(l, digits + at, sizeof digits - at);
}

void json_line_bool(struct json_lines *l, const char *key, bool value)
{
    add_key(l, key);
    add_words(l, value ? "true" : "false");
}

void json_line_end(struct json_lines *l) { add(l, "}\n", 2); }
