/* stdio.h - of C's, what the scenarios use (ports/bare/text.c). */
#ifndef BARE_STDIO_H
#define BARE_STDIO_H

#include <stdarg.h>
#include <stddef.h>

/* Conversions: c d u x s f %, with the flags - 0 #, width, precision and the lengths l ll z; no others. */
int snprintf(char *buf, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *buf, size_t room, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
int vasprintf(char **out, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

#endif
