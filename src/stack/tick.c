/* tick.c - time passes: timers that are due fire, each at most once. */
#include "stack/stack.h"
#include "tcp/tcp.h"

void stack_clock(struct tern *t, uint64_t now)
{
    if (now < t->w->now)
        t->w->stats.clock_went_back++;
    else
        t->w->now = now;
}

void tern_tick(tern *t, uint64_t now)
{
    stack_clock(t, now);
    for (struct wnode *n; (n = wheel_pop(t->a, &t->w->wheel, t->w->now)) != NULL;)
        timer_fire(t, n);
    change_slice(t);
    waiting_expire(t);
    frag_expire(t->a, &t->w->ip.frag, t->w->now);
    life_end_of_batch(t);
}

static bool output_waits(const struct tern *t)
{
    return t->w->ready_head != 0 || t->w->reply_count > 0 || t->w->ip.echo_count > 0;
}

uint64_t tern_next_deadline(const tern *t)
{
    if (output_waits(t))
        return 0;
    if (change_under_way(t))
        return t->w->now;
    uint64_t next = min_u64(wheel_next(&t->w->wheel), frag_next_deadline(&t->w->ip.frag));
    return min_u64(next, waiting_next_deadline(t));
}

uint64_t tern_now(const tern *t) { return t->w->now; }
