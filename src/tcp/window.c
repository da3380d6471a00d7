/* window.c - the window that we offer (RFC 9293 3.8.6): never shrinks, and opens in worthwhile steps.
 *
 *   RCV.NXT          RCV.ADV = RCV.NXT + RCV.WND
 *     │◀── offered ────▶│◀─ held back until worth it ─▶│
 *     └── what fits: buffer - unread ──────────────────┘
 */
#include "tcp/plan.h"

/* What the bytes that the program has not read leave room for; none for as long as it does not read
 * (MAY-8). */
static uint32_t recv_space(const struct tcb *c)
{
    uint32_t used = c->rcv.q.len;
    return used < c->rcv.buffer ? c->rcv.buffer - used : 0;
}

/* The window that could be offered now; smaller when the stack runs short of pages. */
static uint32_t window_could(const struct tern *t, const struct tcb *c)
{
    uint64_t room = (uint64_t)arena_room(t->a, MEM_DATA) << t->a->page_shift;
    uint32_t space = recv_space(c);
    if (room / 2 < space)
        space = (uint32_t)(room / 2);
    return min_u32(space, window_max(c)) & ~((1u << c->opt.rcv_wscale) - 1);
}

void window_open(const struct tern *t, struct tcb *c)
{
    uint32_t offered = rcv_wnd(&c->rcv), could = window_could(t, c);
    if (could > offered && window_worthwhile(c, could - offered))
        c->rcv.adv = seq_add(c->rcv.nxt, could);
}

/* The program has read: is it worth telling the peer? Yes when the window was shut or nearly so and the step
 * is worthwhile, else when the edge moves by a quarter of the buffer. */
bool window_update_due(struct tern *t, struct tcb *c)
{
    uint32_t offered = rcv_wnd(&c->rcv);
    if (LIKELY(c->rcv.buffer <= offered || !window_worthwhile(c, c->rcv.buffer - offered)))
        return false; /* then it cannot be with less */
    uint32_t could = window_could(t, c);
    if (could <= offered)
        return false;
    uint32_t gain = could - offered;
    if (!window_worthwhile(c, gain))
        return false;
    return offered < 2 * max_u32(c->ack.seg, c->snd.mss) || gain >= c->rcv.buffer / 4;
}

/* For windows that are offered no more: rounding down would take back what was offered (SHLD-14). */
uint16_t window_field_up(uint32_t wnd, uint8_t shift) { return window_field(wnd + (1u << shift) - 1, shift); }
