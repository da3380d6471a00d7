/* ss_watch.h - the rooms of `tern ss --watch`: ss_sample.c asks all processes and compares with what they
 * said before, ss_screen.c draws, ss_watch.c owns the terminal and the keys. */
#ifndef CLI_SS_WATCH_H
#define CLI_SS_WATCH_H

#include <stdio.h>

#include <tern/stats.h>

#include "ss.h"

/* Totals of one connection, kept for the next comparison. */
typedef struct sample_total {
    uint64_t conn, in, out, again;
} sample_total;

typedef struct sample_process {
    int pid;
    char name[40];
    json_t *ss, *stats; /* answers; NULL = none */
    uint64_t now_us;
    uint64_t span_us;   /* since the sample before; 0 = there is none to compare with */
    uint64_t by_state[TERN_STATES];
    sample_total *totals; /* sorted by conn */
    size_t n_totals;
} sample_process;

/* One connection that is shown. */
typedef struct sample_row {
    const json_t *info;
    uint32_t process;              /* index in sample.processes */
    int rank;                      /* 0 = a problem, 1 = waits, 2 = healthy, 3 = over or harmless */
    const char *verdict, *owes;    /* why.h */
    uint64_t in, out;              /* bytes/s: received in order, acknowledged by the peer */
    uint64_t again;                /* retransmissions since the sample before */
    uint64_t queued;               /* bytes in both directions */
    uint64_t age_us;               /* in this state */
} sample_row;

typedef struct sample {
    sample_process *processes;
    uint32_t n_processes;
    sample_row *rows; /* listeners are not among them */
    size_t n_rows;
    uint64_t took_us; /* to gather it */
} sample;

/* Ask all processes (or the one with this number). `before` may be NULL. NULL: no memory. */
sample *sample_take(int pid, const sample *before);
void sample_free(sample *s);

/* By how much a counter of a process grew per second since the sample before, times 10. */
uint64_t sample_rate10(const sample_process *now, const sample *before, const char *counter);

enum watch_sort { SORT_PROBLEMS, SORT_RATE, SORT_QUEUE, SORT_AGE, SORTS };
enum watch_filter { FILTER_ALL, FILTER_PROBLEMS, FILTER_OPEN, FILTER_BUSY, FILTERS };

typedef struct watch_view {
    enum watch_sort sort;
    enum watch_filter filter;
    bool reasons;      /* sentences below each row */
    bool paused;
    bool screen;       /* a terminal: colours, and no more than its lines */
    int width, height; /* cells; height 0 = as many lines as there are */
    size_t top;        /* rows scrolled away */
    uint64_t every_us;
    const bool *wanted; /* states; NULL = all */
} watch_view;

/* Sort the rows as the view wants them, and draw. Corrects view->top. */
void screen_draw(FILE *out, sample *now, const sample *before, watch_view *view);

/* The whole command. `wanted`: states to list, NULL = all. */
int ss_watch(int pid, uint64_t every_us, const bool *wanted);

#endif
