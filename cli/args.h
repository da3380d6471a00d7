/* args.h - values of options that several subcommands have. Each call returns CMD_OK, or CMD_CANNOT when the
 * value is none of its kind; the one line that says so has been printed then. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stdint.h>

/* --OPTION of `tern COMMAND`: a whole number of at most `most` (UINT64_MAX: of any size), decimal, octal or
 * hexadecimal as in C. */
int args_number(const char *command, const char *option, const char *text, uint64_t most, uint64_t *out);

/* The same, for a number that has 32 bits. */
int args_number32(const char *command, const char *option, const char *text, uint32_t most, uint32_t *out);

/* --color: always, never or auto. What `auto` means is in *color already, and stays. */
int args_color(const char *command, const char *when, bool *color);

#endif
