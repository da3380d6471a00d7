/* parse.h - inside of the parser: what parse.c and parse_packet.c share. */
#ifndef CHECK_PARSE_H
#define CHECK_PARSE_H

#include <setjmp.h>

#include "check/script.h"

struct parser {
    struct script *s;
    struct lexer lexer;
    struct token now;   /* to be read next */
    struct token ahead; /* behind it */
    uint32_t depth;     /* of values in values */
    jmp_buf out;
};

/* Memory that lives as long as the script, zeroed. */
void *parse_alloc(struct parser *p, size_t size);
char *parse_text(struct parser *p, const char *text, size_t len);

/* Leave the parser: not a script, or one that uses what tern has not. */
void parse_wrong(struct parser *p, const struct token *t, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));
void parse_skip(struct parser *p, const struct token *t, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* Take the token. */
struct token parse_take(struct parser *p);
/* Take it when it is this sign or word. */
bool parse_if(struct parser *p, char sign);
bool parse_if_word(struct parser *p, const char *word);
/* Take it; anything else is wrong. `what` is what stands before it, in words. */
void parse_sign(struct parser *p, char sign, const char *what);
int64_t parse_number(struct parser *p, const char *what, int64_t low, int64_t high);

/* A packet; the < or > is next. */
struct packet_spec *parse_packet(struct parser *p);

#endif
