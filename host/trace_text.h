/* trace_text.h - a story as plain lines: one event a line, for grep and for logs. */
#ifndef HOST_TRACE_TEXT_H
#define HOST_TRACE_TEXT_H

#include "host/story.h"
#include <stdio.h>

/* "12.345678 A > B SYN,ACK seq 0 ack 1 len 0 win 65535 | why [rule]", "12.345678 A SYN_SENT > ESTABLISHED |
 * why [rule]". */
void trace_text_print(const struct story *s, FILE *out);

#endif
