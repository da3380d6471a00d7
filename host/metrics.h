/* metrics.h - the state of a stack as text for Prometheus (text format 0.0.4), and what has to be counted for
 * it by a walk over all records. */
#ifndef HOST_METRICS_H
#define HOST_METRICS_H

#include <stddef.h>
#include <tern/host.h>

enum { METRICS_LISTENERS = 1024 }; /* more are counted, not named */

struct metrics_listener {
    tern_endpoint local;
    uint32_t backlog, halfopen, acceptq;
    uint64_t refused_full, left_unaccepted;
};

/* What a walk finds. */
struct metrics_tally {
    uint64_t by_state[TERN_STATES]; /* listeners included */
    struct metrics_listener *listeners;
    uint32_t n, room;
};

void metrics_count(struct metrics_tally *tally, const tern_info *info);
void metrics_free(struct metrics_tally *tally);

/* The whole text, to be freed; NULL: no memory. */
char *metrics_text(const tern_host *h, const struct metrics_tally *tally, size_t *len);

#endif
