/* probe.h - what is tried on a connection, in whatever situation it is (see stage.h).
 *
 * Each probe is a short play: forged segments, calls, messages of routers, silence. What it leaves open, a
 * dice decides: from the same situation with the same number the same is played. Judged is by spec.h and
 * judge.c, and by what the probe itself knows of its own part of the standard (time, calls, ICMP).
 */
#ifndef SIM_SPEC_PROBE_H
#define SIM_SPEC_PROBE_H

#include "../rng.h"
#include "stage.h"

typedef void probe_fn(struct stage *x, struct rng *dice);

struct probe {
    const char *name;
    probe_fn *play;
    bool alone; /* it needs no connection: it makes its own */
};

uint32_t probe_count(void);
const struct probe *probe_at(uint32_t which);

/* Play one. The stage has been opened; unless it is `alone`, it has taken a connection. */
void probe_play(struct stage *x, uint32_t which, uint64_t number);

/* The plays. */
probe_fn probe_segments, probe_silence, probe_call, probe_icmp, probe_gone, probe_pause;

static inline uint32_t dice_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(rng_next(r) >> 33) % n;
}

/* One of several values. */
#define DICE_OF(r, ...)  \
    ((const uint32_t[]){ \
        __VA_ARGS__}[dice_below((r), sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))])

#endif
