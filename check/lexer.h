/* lexer.h - the words of a packetdrill script.
 *
 * Every token knows where it stands, so that every message about a script can say file:line:column. Comments
 * (two slashes to the end of the line, or between slash-star and star-slash) and blanks are stepped over.
 */
#ifndef CHECK_LEXER_H
#define CHECK_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,     /* letters, digits, underscores, and not a number */
    TOKEN_INTEGER,  /* decimal, may begin with a minus */
    TOKEN_HEX,      /* 0x... */
    TOKEN_DECIMAL,  /* with a fraction: .5 or 1.25; `number` is in millionths */
    TOKEN_STRING,   /* "..."; the text is without the quotes, escapes are as they were */
    TOKEN_COMMAND,  /* `...` */
    TOKEN_CODE,     /* %{ ... }% */
    TOKEN_OPTION,   /* --name or --name=value; the text is all of it */
    TOKEN_ELLIPSIS, /* ... */
    TOKEN_SIGN,     /* any other single character */
    TOKEN_WRONG,    /* cannot be read; `text` is the reason */
};

struct token {
    enum token_kind kind;
    const char *text; /* points into the script (or, of TOKEN_WRONG, to static words) */
    size_t len;
    int64_t number; /* of numbers; of TOKEN_SIGN the character; of TOKEN_DECIMAL millionths */
    int line, column; /* from 1; columns count bytes */
    bool starts_line; /* nothing stands before it on its line */
};

struct lexer {
    const char *at, *end;
    const char *line_start;
    int line;
};

void lexer_init(struct lexer *l, const char *text, size_t len);

/* The next token. At the end TOKEN_END for ever. */
struct token lexer_next(struct lexer *l);

/* Whether the token is this word, or this character. */
bool token_is(const struct token *t, const char *word);
bool token_sign(const struct token *t, char sign);

#endif
