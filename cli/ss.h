/* ss.h - the rooms of `tern ss`: ss.c asks and filters, ss_print.c writes the table and the summary. */
#ifndef CLI_SS_H
#define CLI_SS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/why.h"

typedef struct ss_row {
    const json_t *info; /* one connection, as host/control.h documents */
    tern_why why;
} ss_row;

typedef struct ss_process {
    const json_t *answer;
    uint64_t now_us;
    ss_row *rows;
    int n_rows;
    int left_out; /* TIME_WAIT that only the summary counts */
} ss_process;

/* The table of one process, oldest state first. `brief`: without the sentences. */
void ss_print(const ss_process *p, bool brief);

/* What stands out over all connections of a process: how many wait for a close, to whom, since when. */
void ss_summary(const ss_process *p);

/* ss_prometheus.c: metrics of several processes, merged. */
typedef struct ss_metric ss_metric;
typedef struct ss_metrics {
    ss_metric *first;
} ss_metrics;

/* Add the text of one process. False: no memory, or it is no such text. */
bool ss_metrics_add(ss_metrics *all, const char *text, const char *process, int pid);

/* Print all, and free them. */
void ss_metrics_print(ss_metrics *all);

/* ss_ports.c: the answer "ports" of one process. */
void ss_ports_print(const json_t *answer);

/* Print a text, broken at blanks to the width of the terminal, each line indented. */
enum { SS_INDENT = 4 };
void ss_wrapped(const char *text);

/* "192.0.2.1:80", "[2001:db8::1]:80", "*:80" for any address. */
const char *ss_place(const json_t *info, const char *ip_key, const char *port_key, char buf[64]);

const char *ss_text(const json_t *o, const char *key);
uint64_t ss_number(const json_t *o, const char *key);

#endif
