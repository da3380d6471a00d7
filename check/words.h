/* words.h - names that scripts use for numbers. */
#ifndef CHECK_WORDS_H
#define CHECK_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* The level of tern's own socket options: setsockopt(3, SOL_TERN, TERN_OPT_COOKIES, [1], 4). */
enum { SOL_TERN = 0x7e54 };

/* A constant by its name, as <sys/socket.h> and its like have it. */
bool word_number(const char *word, int64_t *out);

/* TERN_OPT_... by its name (sockopt.c). */
bool desc_option_number(const char *word, int64_t *out);

/* "ECONNRESET"; a number as text when it has no name. */
const char *errno_name(int number, char buf[32]);

#endif
