/* lexer.c - see lexer.h. */
#include "check/lexer.h"

#include <string.h>

void lexer_init(struct lexer *l, const char *text, size_t len)
{
    *l = (struct lexer){.at = text, .end = text + len, .line_start = text, .line = 1};
}

bool token_is(const struct token *t, const char *word)
{
    return t->kind == TOKEN_WORD && t->len == strlen(word) && memcmp(t->text, word, t->len) == 0;
}

bool token_sign(const struct token *t, char sign)
{
    return t->kind == TOKEN_SIGN && t->number == sign;
}

/* --- characters ------------------------------------------------------------------------------ */

static char peek(const struct lexer *l, size_t ahead)
{
    return (size_t)(l->end - l->at) > ahead ? l->at[ahead] : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void step(struct lexer *l)
{
    if (*l->at++ == '\n') {
        l->line++;
        l->line_start = l->at;
    }
}

/* Step over blanks and comments. False: a comment has no end; the token is where it begins. */
static bool skip_blanks(struct lexer *l, struct token *t)
{
    while (l->at < l->end) {
        if (peek(l, 0) == '/' && peek(l, 1) == '/') {
            while (l->at < l->end && *l->at != '\n')
                step(l);
        } else if (peek(l, 0) == '/' && peek(l, 1) == '*') {
            t->line = l->line;
            t->column = (int)(l->at - l->line_start) + 1;
            step(l), step(l);
            while (l->at < l->end && !(peek(l, 0) == '*' && peek(l, 1) == '/'))
                step(l);
            if (l->at == l->end)
                return false;
            step(l), step(l);
        } else if (strchr(" \t\r\n\f", *l->at) != NULL && *l->at != 0) {
            step(l);
        } else {
            break;
        }
    }
    return true;
}

/* --- kinds of tokens ------------------------------------------------------------------------- */

static struct token wrong(struct token t, const char *why)
{
    t.kind = TOKEN_WRONG;
    t.text = why;
    t.len = strlen(why);
    return t;
}

/* Everything up to `close`; the text is what stands between. */
static struct token delimited(struct lexer *l, struct token t, enum token_kind kind, const char *open,
                              const char *close, const char *missing)
{
    size_t n = strlen(close);
    for (size_t i = strlen(open); i > 0; i--)
        step(l);
    t.text = l->at;
    while (l->at < l->end) {
        if ((size_t)(l->end - l->at) >= n && memcmp(l->at, close, n) == 0) {
            t.len = (size_t)(l->at - t.text);
            for (size_t i = n; i > 0; i--)
                step(l);
            t.kind = kind;
            return t;
        }
        if (n == 1 && *l->at == '\\' && l->at + 1 < l->end)
            step(l);
        step(l);
    }
    return wrong(t, missing);
}

enum { DIGITS_MAX = 18 };

/* Millionths, rounded down; more digits than that are read and not counted. */
static struct token fraction(struct lexer *l, struct token t, bool minus)
{
    int64_t unit = 100000;
    t.kind = TOKEN_DECIMAL;
    t.number *= 1000000;
    for (step(l); is_digit(peek(l, 0)); step(l)) {
        t.number += unit * (*l->at - '0');
        unit /= 10;
    }
    if (minus)
        t.number = -t.number;
    t.len = (size_t)(l->at - t.text);
    return t;
}

static struct token hex(struct lexer *l, struct token t)
{
    int digits = 0;
    t.kind = TOKEN_HEX;
    for (step(l), step(l); is_hex(peek(l, 0)); step(l), digits++) {
        if (digits >= 15)
            return wrong(t, "this number is too large");
        char c = *l->at;
        t.number = t.number * 16 + (is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
    }
    t.len = (size_t)(l->at - t.text);
    return t;
}

static struct token word(struct lexer *l, struct token t)
{
    t.kind = TOKEN_WORD;
    while (is_word(peek(l, 0)))
        step(l);
    t.len = (size_t)(l->at - t.text);
    return t;
}

/* Too many digits for a number; with letters behind them they are a word (bytes in hexadecimal). */
static struct token too_long(struct lexer *l, struct token t, bool minus)
{
    while (is_digit(peek(l, 0)))
        step(l);
    return is_word(peek(l, 0)) && !minus ? word(l, t) : wrong(t, "this number is too large");
}

/* A number, or a word that begins with digits. */
static struct token number(struct lexer *l, struct token t)
{
    bool minus = peek(l, 0) == '-';
    int digits = 0;
    if (minus)
        step(l);
    if (peek(l, 0) == '0' && (peek(l, 1) | 32) == 'x' && is_hex(peek(l, 2)))
        return hex(l, t);
    t.kind = TOKEN_INTEGER;
    for (; is_digit(peek(l, 0)); step(l), digits++) {
        if (digits >= DIGITS_MAX)
            return too_long(l, t, minus);
        t.number = t.number * 10 + (*l->at - '0');
    }
    if (peek(l, 0) == '.' && is_digit(peek(l, 1)))
        return digits <= 12 ? fraction(l, t, minus) : wrong(t, "this number is too large");
    if (is_word(peek(l, 0)) && !minus)
        return word(l, t);
    if (minus)
        t.number = -t.number;
    t.len = (size_t)(l->at - t.text);
    return t;
}

/* --name, and behind = everything up to a blank; a quoted value may hold blanks. */
static struct token option(struct lexer *l, struct token t)
{
    char quote = 0;
    t.kind = TOKEN_OPTION;
    while (l->at < l->end && (quote || !strchr(" \t\r\n", *l->at) || *l->at == 0)) {
        if (quote && *l->at == quote)
            quote = 0;
        else if (!quote && (*l->at == '"' || *l->at == '`'))
            quote = *l->at;
        step(l);
    }
    t.len = (size_t)(l->at - t.text);
    return quote ? wrong(t, "the value of this option has no closing quote") : t;
}

static bool begins_number(const struct lexer *l)
{
    size_t i = peek(l, 0) == '-';
    return is_digit(peek(l, i)) || (peek(l, i) == '.' && is_digit(peek(l, i + 1)));
}

static struct token sign(struct lexer *l, struct token t)
{
    t.kind = TOKEN_SIGN;
    t.number = (unsigned char)*l->at;
    step(l);
    t.len = 1;
    return t;
}

static bool only_blanks(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t' || *from == '\r'))
        from++;
    return from == to;
}

struct token lexer_next(struct lexer *l)
{
    struct token t = {0};
    if (!skip_blanks(l, &t))
        return wrong(t, "this comment has no end");
    t.line = l->line;
    t.column = (int)(l->at - l->line_start) + 1;
    t.text = l->at;
    t.starts_line = only_blanks(l->line_start, l->at);
    char c = peek(l, 0);
    if (l->at == l->end)
        return t;
    if (c == '-' && peek(l, 1) == '-' && is_word(peek(l, 2)))
        return option(l, t);
    if (c == '.' && peek(l, 1) == '.' && peek(l, 2) == '.') {
        step(l), step(l), step(l);
        t.kind = TOKEN_ELLIPSIS;
        t.len = 3;
        return t;
    }
    if (begins_number(l))
        return number(l, t);
    if (is_word(c))
        return word(l, t);
    if (c == '"')
        return delimited(l, t, TOKEN_STRING, "\"", "\"", "this string has no closing quote");
    if (c == '`')
        return delimited(l, t, TOKEN_COMMAND, "`", "`", "this command has no closing backquote");
    if (c == '%' && peek(l, 1) == '{')
        return delimited(l, t, TOKEN_CODE, "%{", "}%", "this code has no closing }%");
    return sign(l, t);
}
