/* json_line.h - JSON objects, one a line, written into memory.
 *
 * For flat objects with many lines: `tern demo --json`. It needs nothing but memory and strings, so that the
 * same lines can be made where there is no file and no JSON library (ports/).
 */
#ifndef HOST_JSON_LINE_H
#define HOST_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines made so far; all zero at the start. `text` is the caller's to free, and ends with a zero byte when it
 * is not NULL. */
struct json_lines {
    char *text;
    size_t len, cap;
};

/* One line: begin, members in order, end. Strings are UTF-8 and escaped by RFC 8259 7. */
void json_line_begin(struct json_lines *l);
void json_line_string(struct json_lines *l, const char *key, const char *value);
void json_line_number(struct json_lines *l, const char *key, uint64_t value);
void json_line_bool(struct json_lines *l, const char *key, bool value);
void json_line_end(struct json_lines *l);

#endif
