/* peer.h - what every measuring program under bench/ needs: the arguments, the clock, the line of a result
 * (bench/README.md). */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Processor time of this process, all threads, seconds. */
static inline double cpu_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Whether `row` is named by the arguments; all are when none is. */
static inline bool row_asked(int argc, char **argv, const char *row)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], row) == 0)
            return true;
        any |= argv[i][0] == 'W' || argv[i][0] == 'M';
    }
    return !any;
}

/* The number behind the argument `name`. */
static inline double argument(int argc, char **argv, const char *name, double otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return atof(argv[i + 1]);
    return otherwise;
}

/* One measured figure. `what` is the row's case, "" if the row has one only. */
static inline void result(const char *workload, const char *what, const char *stack, const char *unit,
                          double value)
{
    printf("{\"workload\":\"%s\",\"case\":\"%s\",\"stack\":\"%s\",\"unit\":\"%s\",\"value\":%.6g}\n",
           workload, what, stack, unit, value);
    fflush(stdout);
}

#endif
