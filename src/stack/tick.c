/* tick.c - time passes: timers that are due fire, each at most once. */
#include "stack/ether.h"
#include "stack/stack.h"
#include "tcp/fetch.h"
#include "tcp/tcp.h"

#define WORK_MOST 1024u /* timers that fire or move on in one call */

/* The caller promised to come by the next deadline. When it comes more than a second later, the machine slept
 * or the process stood still: the time between was nobody's, and what began before says nothing of the
 * network (round trips), nor have peers been given the time that passed (timer.c). */
static bool jumped(struct tern *t, uint64_t now)
{
    timer_settle(t);
    uint64_t promised = wheel_next(&t->w->wheel);
    return promised < now && now - promised > JUMP_US;
}

/* Behind the present time, or far ahead of it. */
void stack_clock_far(struct tern *t, uint64_t now)
{
    struct world *w = t->w;
    if (now < w->now) {
        w->stats.clock_went_back++;
        return;
    }
    if (jumped(t, now)) {
        uint64_t slept = now - w->now;
        w->jump_us = now;
        w->stats.clock_jumped++;
        w->now = now;
        backlog_slept(t, slept);
    }
    w->now = now;
}

void tern_tick(tern *t, uint64_t now)
{
    uint32_t work = WORK_MOST;
    stack_clock(t, now);
    timer_settle(t);
    for (struct wnode *n; (n = wheel_pop(t->a, &t->w->wheel, t->w->now, &work)) != NULL;) {
        timer_fetch(t, wheel_front(t->a, &t->w->wheel));
        timer_fetch_rest(t, n);
        timer_fire(t, n);
    }
    change_slice(t);
    waiting_expire(t);
    frag_expire(t->a, &t->w->ip.frag, t->w->now);
    ether_tick(t);
    life_end_of_batch(t);
}

static bool output_waits(const struct tern *t)
{
    return t->w->ready.head != 0 || t->w->reply_count > 0 || t->w->ip.echo_count > 0 ||
           ether_wants_out(&t->w->ip.ether);
}

uint64_t tern_next_deadline(const tern *stack)
{
    struct tern *t = (struct tern *)(uintptr_t)stack;
    timer_settle(t);
    if (output_waits(t))
        return 0;
    if (change_under_way(t))
        return t->w->now;
    uint64_t next = min_u64(wheel_next(&t->w->wheel), frag_next_deadline(&t->w->ip.frag));
    next = min_u64(next, t->w->ip.ether.next_us);
    return min_u64(min_u64(next, shortage_deadline(t)), waiting_next_deadline(t));
}

uint64_t tern_now(const tern *t) { return t->w->now; }
