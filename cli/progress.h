/* progress.h - what a command that works for long says meanwhile, on standard error: on a terminal a bar,
 * drawn again five times a second; elsewhere a line each ten seconds. And the wish to end it early
 * (Ctrl-C). */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *command;
    bool terminal;    /* standard error is one */
    bool drawn;       /* a bar is on it */
    uint64_t said_us; /* when something was last said */
};

void progress_begin(struct progress *p, const char *command);

/* `done` of `total` (0: nobody knows), and what there is to say beside the bar. Cheap: mostly it is not time
 * to say anything. */
void progress_tell(struct progress *p, uint64_t done, uint64_t total, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Takes the bar away, so that something else can be written; the next call of progress_tell draws it anew. */
void progress_clear(struct progress *p);

/* From now on the first SIGINT or SIGTERM does not end the process and makes what is returned something else
 * than 0: the command says what it has found so far. The second one ends it. */
const volatile int *progress_interrupt(void);

#endif
