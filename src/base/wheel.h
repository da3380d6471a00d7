/* wheel.h - a hierarchical timing wheel: deadlines in microseconds, arm and cancel in constant time.
 *
 * Levels of 64 slots; level k has slots of 64^k us. A node lies in the level of the highest 6-bit digit in
 * which its deadline differs from the wheel's time, and sinks as time comes nearer. A bitmap per level finds
 * the next slot. Nodes are embedded in records at 16-byte aligned places and linked by reference. Nodes of
 * one slot are kept in order of arming, so that two runs with the same inputs fire in the same order.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "arena.h"
#include "sizes.h"

enum { WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 48 / WHEEL_BITS };

struct wnode {
    ref_t next, prev;  /* in its slot; both 0 while it is not armed */
    uint32_t when_lo;  /* deadline relative to the wheel's origin, 48 bits */
    uint16_t when_hi;
    uint16_t slot;     /* level * WHEEL_SLOTS + slot + 1; 0 = not armed */
};

struct wheel {
    uint64_t origin;   /* us; the time at init */
    uint64_t now;      /* relative to origin */
    uint32_t armed;    /* nodes */
    uint32_t sinking;  /* level * WHEEL_SLOTS + slot + 1 whose nodes are on their way down; 0 = none */
    uint64_t bits[WHEEL_LEVELS];
    ref_t head[WHEEL_LEVELS][WHEEL_SLOTS], tail[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now);

/* Arm (or move) a node. A deadline in the past is due at the next pop. */
void wheel_set(struct arena *a, struct wheel *w, struct wnode *n, uint64_t when);
void wheel_cancel(struct arena *a, struct wheel *w, struct wnode *n);
static inline bool wheel_armed(const struct wnode *n) { return n->slot != 0; }
uint64_t wheel_when(const struct wheel *w, const struct wnode *n);

/* Take out one node whose deadline is <= now, in order of deadline; NULL when there is none (then the wheel
 * stands at now), or when *work is used up: each node that is touched takes one of it. wheel_next then names
 * a time that is past. */
struct wnode *wheel_pop(struct arena *a, struct wheel *w, uint64_t now, uint32_t *work);

/* The node that is likely to be popped next, NULL = none: to ask for its memory, and for nothing else. */
const struct wnode *wheel_front(const struct arena *a, const struct wheel *w);

/* The earliest deadline, or an earlier time at which the wheel needs a turn; UINT64_MAX = nothing armed. */
uint64_t wheel_next(const struct wheel *w);

#endif
