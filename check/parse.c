/* parse.c - reads a script: options, times, calls with their values, and what is neither. The grammar is that
 * of packetdrill's two suites (Google's, FreeBSD's); what belongs to it and is not for tern is recognised and
 * makes the script one to skip. Packets: parse_packet.c. */
#include "check/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/stats.h>

enum { MESSAGE = 300, DEPTH_MAX = 16, TIME_MAX = 10000000 };

/* --- memory and leaving ---------------------------------------------------------------------- */

struct block {
    struct block *next;
    max_align_t data[];
};

void *parse_alloc(struct parser *p, size_t size)
{
    struct block *b = calloc(1, sizeof *b + size);
    if (b == NULL)
        abort();
    b->next = p->s->pool;
    p->s->pool = b;
    return b->data;
}

char *parse_text(struct parser *p, const char *text, size_t len)
{
    char *copy = parse_alloc(p, len + 1);
    memcpy(copy, text, len);
    return copy;
}

static void leave(struct parser *p, const struct token *t, const char *format, va_list args)
{
    char text[MESSAGE];
    vsnprintf(text, sizeof text, format, args);
    p->s->line = t->line;
    p->s->column = t->column;
    p->s->message = parse_text(p, text, strlen(text));
}

void parse_wrong(struct parser *p, const struct token *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    leave(p, t, format, args);
    va_end(args);
    p->s->wrong = true;
    longjmp(p->out, 1);
}

void parse_skip(struct parser *p, const struct token *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    leave(p, t, format, args);
    va_end(args);
    p->s->unsupported = true;
    longjmp(p->out, 1);
}

/* --- tokens ---------------------------------------------------------------------------------- */

/* What --define=WORD=VALUE puts in the place of a word. */
static struct token defined(struct parser *p, struct token t)
{
    for (const struct script_option *o = p->s->options; o != NULL && t.kind == TOKEN_WORD; o = o->next) {
        struct lexer lexer;
        if (o->name == NULL || strcmp(o->name, "define") != 0 || strncmp(o->value, t.text, t.len) != 0 ||
            o->value[t.len] != '=')
            continue;
        lexer_init(&lexer, o->value + t.len + 1, strlen(o->value + t.len + 1));
        struct token other = lexer_next(&lexer);
        other.line = t.line;
        other.column = t.column;
        return other;
    }
    return t;
}

struct token parse_take(struct parser *p)
{
    struct token t = p->now;
    p->now = p->ahead;
    p->ahead = defined(p, lexer_next(&p->lexer));
    if (p->now.kind == TOKEN_WRONG)
        parse_wrong(p, &p->now, "%s", p->now.text);
    return t;
}

bool parse_if(struct parser *p, char sign)
{
    bool is = token_sign(&p->now, sign);
    if (is)
        parse_take(p);
    return is;
}

bool parse_if_word(struct parser *p, const char *word)
{
    bool is = token_is(&p->now, word);
    if (is)
        parse_take(p);
    return is;
}

/* What stands there, for a message. */
static const char *there(const struct token *t, char buf[60])
{
    if (t->kind == TOKEN_END)
        snprintf(buf, 60, "the end of the script");
    else
        snprintf(buf, 60, "'%.*s'", t->len > 40 ? 40 : (int)t->len, t->text);
    return buf;
}

void parse_sign(struct parser *p, char sign, const char *what)
{
    char buf[60];
    if (!token_sign(&p->now, sign))
        parse_wrong(p, &p->now, "'%c' is missing %s; there is %s", sign, what, there(&p->now, buf));
    parse_take(p);
}

int64_t parse_number(struct parser *p, const char *what, int64_t low, int64_t high)
{
    char buf[60];
    struct token t = p->now;
    if (t.kind != TOKEN_INTEGER && t.kind != TOKEN_HEX)
        parse_wrong(p, &t, "%s must be a number, not %s", what, there(&t, buf));
    if (t.number < low || t.number > high)
        parse_wrong(p, &t, "%s must be %lld to %lld, not %lld", what, (long long)low, (long long)high,
                    (long long)t.number);
    parse_take(p);
    return t.number;
}

/* --- values ---------------------------------------------------------------------------------- */

static struct value *parse_value(struct parser *p);

static struct value *new_value(struct parser *p, enum value_kind kind)
{
    struct value *v = parse_alloc(p, sizeof *v);
    v->kind = kind;
    v->line = p->now.line;
    v->column = p->now.column;
    return v;
}

/* Values up to the closing sign, which is taken. */
static struct value *parse_values(struct parser *p, char close)
{
    struct value *first = NULL, **end = &first;
    while (!token_sign(&p->now, close)) {
        *end = parse_value(p);
        end = &(*end)->next;
        if (!token_sign(&p->now, close))
            parse_sign(p, ',', "between two values");
    }
    parse_take(p);
    return first;
}

static struct value *take_text(struct parser *p, enum value_kind kind)
{
    struct value *v = new_value(p, kind);
    struct token t = parse_take(p);
    v->text = parse_text(p, t.text, t.len);
    v->len = t.len;
    return v;
}

/* Strings that stand side by side are one. */
static struct value *parse_string(struct parser *p)
{
    struct value *v = take_text(p, VALUE_STRING);
    while (p->now.kind == TOKEN_STRING) {
        struct token t = parse_take(p);
        char *both = parse_alloc(p, v->len + t.len + 1);
        memcpy(both, v->text, v->len);
        memcpy(both + v->len, t.text, t.len);
        v->text = both;
        v->len += t.len;
    }
    if (p->now.kind == TOKEN_ELLIPSIS) { /* "abc"... : the rest is left open */
        parse_take(p);
        v->number = 1;
    }
    return v;
}

/* A word, name(values), or name = value. */
static struct value *parse_named(struct parser *p)
{
    struct value *v = take_text(p, VALUE_WORD);
    if (parse_if(p, '(')) {
        v->kind = VALUE_CALL;
        v->first = parse_values(p, ')');
    }
    if (token_sign(&p->now, '=')) {
        parse_take(p);
        char *name = v->text;
        v = parse_value(p);
        v->name = name;
    }
    return v;
}

static struct value *parse_group(struct parser *p, enum value_kind kind, char close)
{
    struct value *v = new_value(p, kind);
    parse_take(p);
    v->first = parse_values(p, close);
    return v;
}

static struct value *parse_single(struct parser *p)
{
    char buf[60];
    struct value *v;
    switch (p->now.kind) {
    case TOKEN_ELLIPSIS:
        v = new_value(p, VALUE_ELLIPSIS);
        parse_take(p);
        return v;
    case TOKEN_INTEGER:
    case TOKEN_HEX:
        v = new_value(p, VALUE_NUMBER);
        v->number = parse_take(p).number;
        return v;
    case TOKEN_STRING: return parse_string(p);
    case TOKEN_WORD: return parse_named(p);
    default: break;
    }
    if (token_sign(&p->now, '['))
        return parse_group(p, VALUE_LIST, ']');
    if (token_sign(&p->now, '{'))
        return parse_group(p, VALUE_STRUCT, '}');
    parse_wrong(p, &p->now, "a value must stand here, not %s", there(&p->now, buf));
}

static struct value *parse_value(struct parser *p)
{
    if (++p->depth > DEPTH_MAX)
        parse_wrong(p, &p->now, "values lie too deep in each other");
    struct value *v = parse_single(p);
    while (parse_if(p, '|')) {
        struct value *both = new_value(p, VALUE_OR);
        both->name = v->name;
        both->first = v;
        v->next = parse_single(p);
        v = both;
    }
    p->depth--;
    return v;
}

/* --- calls ----------------------------------------------------------------------------------- */

static int64_t parse_time(struct parser *p)
{
    char buf[60];
    struct token t = p->now;
    if (t.kind != TOKEN_INTEGER && t.kind != TOKEN_DECIMAL)
        parse_wrong(p, &t, "a time in seconds must stand here, not %s", there(&t, buf));
    if (t.number > (t.kind == TOKEN_INTEGER ? TIME_MAX : TIME_MAX * 1000000ll))
        parse_wrong(p, &t, "this time is too large");
    parse_take(p);
    return t.kind == TOKEN_INTEGER ? t.number * 1000000 : t.number;
}

static int64_t parse_time_from_zero(struct parser *p)
{
    struct token t = p->now;
    int64_t us = parse_time(p);
    if (us < 0)
        parse_wrong(p, &t, "a time must not be negative");
    return us;
}

/* (words that explain), which nobody compares. */
static void parse_note(struct parser *p)
{
    while (!token_sign(&p->now, ')')) {
        if (p->now.kind == TOKEN_END)
            parse_wrong(p, &p->now, "')' is missing behind the note");
        parse_take(p);
    }
    parse_take(p);
}

static struct call_spec *parse_call(struct parser *p)
{
    char buf[60];
    struct call_spec *c = parse_alloc(p, sizeof *c);
    if (p->now.kind == TOKEN_ELLIPSIS) {
        parse_take(p);
        c->blocks = true;
        c->end_us = parse_time_from_zero(p);
    }
    if (p->now.kind != TOKEN_WORD)
        parse_wrong(p, &p->now, "the name of a call must stand here, not %s", there(&p->now, buf));
    struct token name = parse_take(p);
    c->name = parse_text(p, name.text, name.len);
    parse_sign(p, '(', "behind the name of the call");
    c->args = parse_values(p, ')');
    parse_sign(p, '=', "behind the call, before its result");
    c->result = parse_value(p);
    if (p->now.kind == TOKEN_WORD && p->now.text[0] == 'E') {
        struct token t = parse_take(p);
        c->error = parse_text(p, t.text, t.len);
    }
    if (parse_if(p, '('))
        parse_note(p);
    return c;
}

/* --- events ---------------------------------------------------------------------------------- */

/* = STATE, or = 40001 > 8080 STATE. */
static void parse_state(struct parser *p, struct event *e)
{
    char buf[60];
    parse_take(p);
    if (p->now.kind == TOKEN_INTEGER) {
        e->has_ports = true;
        e->src_port = (uint16_t)parse_number(p, "a port", 1, 65535);
        parse_sign(p, '>', "between two ports");
        e->dst_port = (uint16_t)parse_number(p, "a port", 1, 65535);
    }
    struct token t = p->now;
    if (t.kind != TOKEN_WORD)
        parse_wrong(p, &t, "the name of a state must stand here, not %s", there(&t, buf));
    parse_take(p);
    e->kind = EVENT_STATE;
    e->text = parse_text(p, t.text, t.len);
    for (int s = 0; s < TERN_STATES; s++)
        if (strcmp(e->text, tern_state_name(s)) == 0)
            return;
    parse_wrong(p, &t, "no state is called %s", e->text);
}

static void parse_action(struct parser *p, struct event *e)
{
    char buf[60];
    if (token_sign(&p->now, '<') || token_sign(&p->now, '>')) {
        e->kind = EVENT_PACKET;
        e->packet = parse_packet(p);
    } else if (token_sign(&p->now, '=')) {
        parse_state(p, e);
    } else if (p->now.kind == TOKEN_CODE || p->now.kind == TOKEN_COMMAND) {
        e->kind = p->now.kind == TOKEN_CODE ? EVENT_CODE : EVENT_COMMAND;
        struct token t = parse_take(p);
        e->text = parse_text(p, t.text, t.len);
    } else if (p->now.kind == TOKEN_WORD || p->now.kind == TOKEN_ELLIPSIS) {
        e->kind = EVENT_CALL;
        e->call = parse_call(p);
    } else {
        parse_wrong(p, &p->now, "a packet, a call, %%{ code }%% or a state must stand here, not %s",
                    there(&p->now, buf));
    }
}

static void parse_when(struct parser *p, struct event *e)
{
    if (parse_if(p, '*')) {
        e->time = TIME_ANY;
        return;
    }
    e->time = parse_if(p, '+') ? TIME_RELATIVE : TIME_ABSOLUTE;
    e->us = parse_time(p);
    if (!token_sign(&p->now, '~'))
        return;
    struct token t = parse_take(p);
    e->range = true;
    if (e->time == TIME_RELATIVE)
        parse_sign(p, '+', "before the end of a relative range");
    e->end_us = parse_time(p);
    if (e->end_us < e->us)
        parse_wrong(p, &t, "the range of times is backwards");
}

/* Commands before and behind the events have no time. */
static void parse_event(struct parser *p, struct event *e)
{
    struct token start = p->now;
    e->line = start.line;
    e->column = start.column;
    if (start.kind == TOKEN_COMMAND) {
        parse_action(p, e);
        e->time = TIME_RELATIVE;
        return;
    }
    parse_when(p, e);
    parse_action(p, e);
    if (e->us < 0 && e->kind != EVENT_COMMAND)
        parse_wrong(p, &start, "a time must not be negative");
    if ((e->time == TIME_ANY || e->range) && !(e->kind == EVENT_PACKET && e->packet->outbound))
        parse_wrong(p, &start, "%s is for packets that tern sends", e->range ? "a range of times" : "'*'");
}

static void parse_option(struct parser *p, struct script_option *o)
{
    struct token t = parse_take(p);
    const char *equals = memchr(t.text, '=', t.len);
    size_t name = equals ? (size_t)(equals - t.text) : t.len;
    o->line = t.line;
    o->column = t.column;
    o->name = parse_text(p, t.text + 2, name - 2);
    o->value = equals ? parse_text(p, equals + 1, t.len - name - 1) : parse_text(p, "", 0);
    if (strcmp(o->name, "ip_version") == 0)
        p->s->v6 = strcmp(o->value, "ipv6") == 0;
}

static void parse_script(struct parser *p)
{
    struct script_option **option_end = &p->s->options;
    struct event **event_end = &p->s->events;
    while (p->now.kind == TOKEN_OPTION) {
        *option_end = parse_alloc(p, sizeof **option_end);
        parse_option(p, *option_end);
        option_end = &(*option_end)->next;
    }
    while (p->now.kind != TOKEN_END) {
        *event_end = parse_alloc(p, sizeof **event_end);
        parse_event(p, *event_end);
        event_end = &(*event_end)->next;
        p->s->n_events++;
    }
    if (p->s->n_events == 0)
        parse_wrong(p, &p->now, "there is no event in this script");
}

void script_parse(struct script *s, const char *text, size_t len)
{
    struct parser p = {.s = s};
    *s = (struct script){.text = text, .len = len};
    lexer_init(&p.lexer, text, len);
    p.now = lexer_next(&p.lexer);
    p.ahead = lexer_next(&p.lexer);
    if (setjmp(p.out) == 0) {
        if (p.now.kind == TOKEN_WRONG)
            parse_wrong(&p, &p.now, "%s", p.now.text);
        parse_script(&p);
    }
}

void script_free(struct script *s)
{
    for (struct block *b = s->pool, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    s->pool = NULL;
}

size_t script_line(const struct script *s, int line, const char **text)
{
    const char *at = s->text, *end = s->text + s->len;
    for (int i = 1; i < line && at < end; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        at = stop ? stop + 1 : end;
    }
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    stop = stop ? stop : end;
    while (at < stop && strchr(" \t\r", *at) && *at)
        at++;
    while (stop > at && strchr(" \t\r", stop[-1]) && stop[-1])
        stop--;
    *text = at;
    return (size_t)(stop - at);
}
