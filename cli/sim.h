/* sim.h - what the files of `tern sim` share. */
#ifndef CLI_SIM_H
#define CLI_SIM_H

#include "sim/net/net.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_options {
    uint64_t seed, runs;
    uint32_t check;     /* invariants after every so many verbs; 0 = never */
    uint32_t seconds;   /* ends after so long; 0 = when all runs are done */
    uint64_t conns;     /* ends after so many connections; 0 = when all runs are done */
    bool json, color, list;
    bool by_steps;      /* tern_config.by_steps of all stacks */
    const char *only;
};

/* A world that failed, shrunk. */
struct sim_failure {
    struct plan *plan;
    struct complaint complaint;
    uint64_t seed;
    uint32_t tries;     /* of the shrinker */
    bool unfinished;    /* it had no more time */
    bool by_steps;      /* it was played so */
};

/* What all runs have shown: for people, or as one line of JSON. `cpu_ns`: processor time of the worlds. */
void sim_report(const struct sim_options *o, const struct net_counts *k, uint64_t cpu_ns, uint32_t failed,
                bool stopped);

/* The items of a world, a line each. */
void sim_list(const struct plan *p);

/* A failure with its story, and the command that plays it again. */
void sim_tell(const struct sim_options *o, struct net *n, const struct sim_failure *f);

#endif
