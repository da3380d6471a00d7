/* trace_json.h - a story as JSON: one object a line. */
#ifndef HOST_TRACE_JSON_H
#define HOST_TRACE_JSON_H

#include "host/story.h"
#include <jansson.h>
#include <stdio.h>

/* Every segment and every state change, in order:
 *   {"t_us":1000000,"ev":"segment","from":"A","to":"B","flags":"SYN,ACK","seq":1,"ack":2,"len":0,"rseq":0,"rack":1,...}
 *   {"t_us":1000000,"ev":"state","host":"A","from":"SYN_SENT","to":"ESTABLISHED","rule":"RFC 9293 3.10.7.3",...}
 * More fields: scenario, part, conn (number of the connection in the story), ports, win, why and rule (of sending), arrived_us or
 * lost, again, copy, refused (why the receiver dropped it). */
void trace_json_print(const struct story *s, FILE *out);

/* The last line: {"ev":"verdict","scenario":"close","ok":true}; with "failed" (what did not hold) when not ok. */
void trace_json_verdict(const char *scenario, bool ok, const char *failed, FILE *out);

#endif
