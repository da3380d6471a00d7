/* trace_json.h - a story as JSON: one object a line. */
#ifndef HOST_TRACE_JSON_H
#define HOST_TRACE_JSON_H

#include "host/json_line.h"
#include "host/story.h"

/* Every segment and every state change, in order, as {"t_us":...,"ev":"segment",...} with from, to, flags
 * ("SYN,ACK"), seq, ack, len, rseq, rack; and {"t_us":...,"ev":"state",...} with host, from, to, rule.
 * More fields: scenario, part, conn (number of the connection in the story), ports, win, why and rule (of
 * sending), arrived_us or lost, again, copy, refused (why the receiver dropped it). */
void trace_json_print(const struct story *s, struct json_lines *out);

/* The last line: {"ev":"verdict","scenario":"close","ok":true}; with "failed" (what did not hold) when not
 * ok. */
void trace_json_verdict(const char *scenario, bool ok, const char *failed, struct json_lines *out);

#endif
