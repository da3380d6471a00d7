/* trace_text.h - a story as plain lines: one event a line, for grep and for logs. */
#ifndef HOST_TRACE_TEXT_H
#define HOST_TRACE_TEXT_H

#include "host/story.h"
#include <stdio.h>

/* "12.345678 A > B SYN,ACK seq 0 ack 1 len 0 win 65535 | why [rule]", "12.345678 A SYN_SENT > ESTABLISHED |
 * why [rule]". */
void trace_text_print(const struct story *s, FILE *out);

/* One record of a stack's trace, of any kind, as one line without line break. Returns buf. */
const char *trace_text_record(const tern_trace_record *r, char *buf, size_t len);

#endif
