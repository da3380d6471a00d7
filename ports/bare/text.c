/* text.c - strings and snprintf for machines without a C library: as much as the scenarios use. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n] != 0)
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    for (; *a != 0 && *a == *b; a++, b++)
        continue;
    return (unsigned char)*a - (unsigned char)*b;
}

char *strdup(const char *s) { return memcpy(malloc(strlen(s) + 1), s, strlen(s) + 1); }

/* --- snprintf -------------------------------------------------------------------------------- */

struct out {
    char *buf;
    size_t room, n; /* n counts on beyond the room: what snprintf returns */
};

/* One conversion. */
struct conv {
    bool left, zero, prefix;
    int width, precision; /* precision -1: none given */
    int longs;            /* how many l; z is what size_t is */
};

static void put(struct out *o, char c)
{
    if (o->n + 1 < o->room)
        o->buf[o->n] = c;
    o->n++;
}

static void put_field(struct out *o, const struct conv *c, const char *text, size_t len)
{
    size_t width = c->width > 0 ? (size_t)c->width : 0;
    for (size_t i = len; !c->left && i < width; i++)
        put(o, c->zero ? '0' : ' ');
    for (size_t i = 0; i < len; i++)
        put(o, text[i]);
    for (size_t i = len; c->left && i < width; i++)
        put(o, ' ');
}

/* The digits of v, written so that they end before `end`; where they begin. */
static char *digits(char *end, uint64_t v, unsigned base)
{
    do
        *--end = "0123456789abcdef"[v % base];
    while ((v /= base) != 0);
    return end;
}

static void put_number(struct out *o, const struct conv *c, uint64_t v, unsigned base, bool minus)
{
    char text[32], *end = text + sizeof text, *at = digits(end, v, base);
    if (c->prefix && v != 0) {
        *--at = 'x';
        *--at = '0';
    }
    if (minus)
        *--at = '-';
    put_field(o, c, at, (size_t)(end - at));
}

static void put_fixed(struct out *o, const struct conv *c, double v)
{
    char text[48], *end = text + sizeof text, *at;
    int places = c->precision < 0 ? 6 : c->precision;
    uint64_t unit = 1;
    for (int i = 0; i < places; i++)
        unit *= 10;
    uint64_t all = (uint64_t)((v < 0 ? -v : v) * (double)unit + 0.5);
    at = digits(end, all % unit + unit, 10); /* a 1 stands where the point comes */
    if (places > 0)
        *at = '.';
    else
        at = end;
    at = digits(at, all / unit, 10);
    if (v < 0)
        *--at = '-';
    put_field(o, c, at, (size_t)(end - at));
}

static void put_string(struct out *o, const struct conv *c, const char *s)
{
    size_t len = 0, most = c->precision < 0 ? SIZE_MAX : (size_t)c->precision;
    while (len < most && s[len] != 0)
        len++;
    put_field(o, c, s, len);
}

static int read_number(const char **f)
{
    int n = 0;
    while (**f >= '0' && **f <= '9')
        n = n * 10 + *(*f)++ - '0';
    return n;
}

/* Flags, width, precision and length; *f stands on the conversion then. */
static struct conv read_conv(const char **f)
{
    struct conv c = {.precision = -1};
    for (;; ++*f) {
        if (**f == '-')
            c.left = true;
        else if (**f == '0')
            c.zero = true;
        else if (**f == '#')
            c.prefix = true;
        else
            break;
    }
    c.width = read_number(f);
    if (**f == '.') {
        ++*f;
        c.precision = read_number(f);
    }
    for (; **f == 'l' || **f == 'z'; ++*f)
        c.longs += **f == 'z' ? sizeof(size_t) / sizeof(long) : 1;
    return c;
}

/* One argument, as printf's caller gave it. A va_list may be an array, so a pointer to it is passed in a
 * struct. */
struct rest {
    va_list args;
};

static int64_t next_signed(struct rest *r, int longs)
{
    return longs == 0   ? va_arg(r->args, int)
           : longs == 1 ? va_arg(r->args, long)
                        : va_arg(r->args, long long);
}

static uint64_t next_unsigned(struct rest *r, int longs)
{
    return longs == 0   ? va_arg(r->args, unsigned)
           : longs == 1 ? va_arg(r->args, unsigned long)
                        : va_arg(r->args, unsigned long long);
}

static void convert(struct out *o, const struct conv *c, char what, struct rest *r)
{
    int64_t v;
    char character;
    switch (what) {
    case 's': put_string(o, c, va_arg(r->args, const char *)); break;
    case 'c':
        character = (char)va_arg(r->args, int);
        put_field(o, c, &character, 1);
        break;
    case 'd':
        v = next_signed(r, c->longs);
        put_number(o, c, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0);
        break;
    case 'u': put_number(o, c, next_unsigned(r, c->longs), 10, false); break;
    case 'x': put_number(o, c, next_unsigned(r, c->longs), 16, false); break;
    case 'f': put_fixed(o, c, va_arg(r->args, double)); break;
    case '%': put(o, '%'); break;
    default: __builtin_trap(); /* a conversion that nobody has used so far: add it */
    }
}

int vsnprintf(char *buf, size_t room, const char *format, va_list args)
{
    struct out o = {.buf = buf, .room = room};
    struct rest rest;
    va_copy(rest.args, args);
    for (const char *f = format; *f != 0; f++) {
        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        f++;
        struct conv c = read_conv(&f);
        convert(&o, &c, *f, &rest);
    }
    va_end(rest.args);
    if (room > 0)
        buf[o.n < room ? o.n : room - 1] = 0;
    return (int)o.n;
}

int snprintf(char *buf, size_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(buf, room, format, args);
    va_end(args);
    return n;
}

int vasprintf(char **out, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    *out = malloc((size_t)n + 1);
    vsnprintf(*out, (size_t)n + 1, format, again);
    va_end(again);
    return n;
}
