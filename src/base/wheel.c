/* wheel.c - deadlines in constant time. Told here for 8 levels of 64 slots; a small build has 12 of 16
 * (sizes.h).
 *
 * A deadline lies in the level of the highest 6-bit digit in which it differs from the wheel's time, in the
 * slot that this digit names. So within a level the slots ahead of the wheel's own digit are in order of
 * time, and all of a level comes before all of the next one:
 *
 *   time       ... 2 | 17 | 40        (digits of levels 2, 1, 0)
 *   level 0:   slots 40..63           one microsecond each: a deadline exactly
 *   level 1:   slots 18..63           64 us each; when the time enters a slot, its nodes sink to level 0
 *   level 2:   slots  3..63           4096 us each
 *   level 7:   a ring              up to 2^47 us (4.4 years) ahead; digits below the wheel's: next round
 *
 * Nodes keep 48 bits of their deadline, relative to the origin and modulo 2^48; seen from the wheel's time,
 * within 2^47 either way, they are unique. A deadline that has passed keeps its value but waits in the slot
 * of the present time.
 *
 * Invariants: (1) a node's slot is a function of its deadline and the wheel's time alone, unless its slot is
 * sinking; (2) hence equal deadlines share a slot, and sinking keeps the order of a slot: they fire in the
 * order in which they came to it (what is armed between two steps of one sinking may overtake them); (3) the
 * time never goes back, and never passes a slot with nodes in it; (4) bit s of bits[k] is set exactly when
 * the slot has a node.
 */
#include "base/wheel.h"

#define TOP     (WHEEL_LEVELS - 1)
#define HORIZON (((uint64_t)1 << 47) - 1)

void wheel_init(struct wheel *w, uint64_t now)
{
    memset(w, 0, sizeof *w);
    w->origin = now;
}

static inline uint64_t relative(const struct wheel *w, uint64_t t)
{
    return t > w->origin ? t - w->origin : 0;
}

static inline uint32_t digit(uint64_t t, uint32_t level)
{
    return (uint32_t)(t >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1);
}

/* The node's 48 bits as the time nearest to the wheel's. */
static inline uint64_t when_of(const struct wheel *w, const struct wnode *n)
{
    uint64_t low = (uint64_t)n->when_hi << 32 | n->when_lo;
    return w->now + (uint64_t)((int64_t)((low - w->now) << 16) >> 16);
}

uint64_t wheel_when(const struct wheel *w, const struct wnode *n) { return w->origin + when_of(w, n); }

/* level * WHEEL_SLOTS + slot for a deadline. */
static inline uint32_t place_of(const struct wheel *w, uint64_t when)
{
    uint64_t t = max_u64(when, w->now);
    uint64_t differ = t ^ w->now;
    uint32_t level =
        differ < WHEEL_SLOTS ? 0 : min_u32((63 - (uint32_t)__builtin_clzll(differ)) / WHEEL_BITS, TOP);
    return level * WHEEL_SLOTS + digit(t, level);
}

static inline void append(struct arena *a, struct wheel *w, struct wnode *n, uint32_t place)
{
    uint32_t level = place / WHEEL_SLOTS, slot = place % WHEEL_SLOTS;
    ref_t self = ref_of(a, n), last = w->tail[level][slot];
    n->next = 0;
    n->prev = last;
    n->slot = (uint16_t)(place + 1);
    if (last != 0)
        ((struct wnode *)at(a, last))->next = self;
    else
        w->head[level][slot] = self;
    w->tail[level][slot] = self;
    w->bits[level] |= (uint64_t)1 << slot;
}

static inline void unlink_node(struct arena *a, struct wheel *w, struct wnode *n)
{
    uint32_t level = (n->slot - 1u) / WHEEL_SLOTS, slot = (n->slot - 1u) % WHEEL_SLOTS;
    if (n->prev != 0)
        ((struct wnode *)at(a, n->prev))->next = n->next;
    else
        w->head[level][slot] = n->next;
    if (n->next != 0)
        ((struct wnode *)at(a, n->next))->prev = n->prev;
    else
        w->tail[level][slot] = n->prev;
    if (w->head[level][slot] == 0)
        w->bits[level] &= ~((uint64_t)1 << slot);
}

void wheel_set(struct arena *a, struct wheel *w, struct wnode *n, uint64_t when)
{
    uint64_t lowest = w->now > HORIZON ? w->now - HORIZON : 0;
    uint64_t t = max_u64(min_u64(relative(w, when), w->now + HORIZON), lowest);
    uint32_t place = place_of(w, t);
    n->when_lo = (uint32_t)t;
    n->when_hi = (uint16_t)(t >> 32);
    if (n->slot == place + 1)
        return; /* moved within its slot: neighbours need not be touched */
    if (n->slot != 0)
        unlink_node(a, w, n);
    else
        w->armed++;
    append(a, w, n, place);
}

void wheel_cancel(struct arena *a, struct wheel *w, struct wnode *n)
{
    if (n->slot == 0)
        return;
    unlink_node(a, w, n);
    n->next = n->prev = 0;
    n->slot = 0;
    w->armed--;
}

/* The first slot with nodes; *start = when the time enters it. False: nothing is armed. */
static inline bool first_slot(const struct wheel *w, uint32_t *level, uint32_t *slot, uint64_t *start)
{
    if (w->armed == 0)
        return false;
    uint32_t k = 0;
    while (w->bits[k] == 0)
        k++;
    uint32_t here = digit(w->now, k);
    uint64_t ahead = w->bits[k] >> here | w->bits[k] << (-here & (WHEEL_SLOTS - 1));
    uint32_t steps = (uint32_t)__builtin_ctzll(ahead);
    *level = k;
    *slot = (here + steps) & (WHEEL_SLOTS - 1);
    *start = ((w->now >> (WHEEL_BITS * k)) + steps) << (WHEEL_BITS * k);
    return true;
}

/* The time has entered the slot w->sinking - 1 of a higher level: its nodes sink, in order, as many as there
 * is work for. */
static void sink(struct arena *a, struct wheel *w, uint32_t *work)
{
    uint32_t level = (w->sinking - 1) / WHEEL_SLOTS, slot = (w->sinking - 1) % WHEEL_SLOTS;
    ref_t r;
    while ((r = w->head[level][slot]) != 0 && *work > 0) {
        struct wnode *n = at(a, r);
        unlink_node(a, w, n);
        append(a, w, n, place_of(w, when_of(w, n)));
        --*work;
    }
    if (r == 0)
        w->sinking = 0;
}

struct wnode *wheel_pop(struct arena *a, struct wheel *w, uint64_t now, uint32_t *work)
{
    uint64_t until = max_u64(relative(w, now), w->now), start;
    uint32_t level, slot;
    for (;;) {
        if (w->sinking != 0)
            sink(a, w, work);
        if (*work == 0)
            return NULL;
        if (!first_slot(w, &level, &slot, &start) || start > until)
            break;
        w->now = start;
        if (level > 0 && w->head[level][slot] != w->tail[level][slot]) {
            w->sinking = level * WHEEL_SLOTS + slot + 1;
            continue;
        }
        --*work;
        /* in level 0, or alone in its slot: the earliest of all */
        struct wnode *n = at(a, w->head[level][slot]);
        uint64_t when = when_of(w, n);
        w->now = max_u64(start, min_u64(when, until));
        if (when <= until) {
            wheel_cancel(a, w, n);
            return n;
        }
        wheel_set(a, w, n, w->origin + when);
    }
    w->now = until;
    return NULL;
}

const struct wnode *wheel_front(const struct arena *a, const struct wheel *w)
{
    uint64_t start;
    uint32_t level, slot;
    if (w->sinking != 0 || !first_slot(w, &level, &slot, &start))
        return NULL;
    return at_const(a, w->head[level][slot]);
}

uint64_t wheel_next(const struct wheel *w)
{
    uint64_t start;
    uint32_t level, slot;
    if (w->sinking != 0)
        return w->origin + w->now;
    return first_slot(w, &level, &slot, &start) ? w->origin + start : UINT64_MAX;
}
