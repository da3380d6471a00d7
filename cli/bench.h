/* bench.h - the measurements of `tern bench`, one file each. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

struct bench_options {
    bool json;      /* one object a line instead of a table */
    bool growth;    /* at every power of ten up to n */
    uint32_t n;     /* records; 0 = the measurement's default */
    uint32_t packets; /* scale: how many are spoken each time; 0 = the default */
    const char *only; /* sizes: this record only; NULL = all */
};

/* What each kind of record costs, and the longest call while they are made. Returns CMD_.... */
int bench_sizes(const struct bench_options *o);

/* Opening, holding, speaking to and closing n connections between two stacks. Returns CMD_.... */
int bench_scale(const struct bench_options *o);

#endif
