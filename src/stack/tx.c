/* tx.c - what is to be sent is taken: stateless answers first, then each connection on the ready list in
 * turn.
 *
 * A connection gives a few packets and goes to the end of the list, so that one with much to send does not
 * hold up the others.
 */
#include "stack/ether.h"
#include "stack/stack.h"
#include "tcp/plan.h"

#define TURN 16 /* packets of one connection in a row */

static APART int tx_conn(struct tern *t, struct conn_head *h, tern_tx_packet *pkts, int max)
{
    int n = 0, limit = max < TURN ? max : TURN;
    uint64_t trace = t->trace.head;
    if (change_under_way(t) && !change_reaches(t, self(t, h)))
        return 0; /* it has just ended */
    for (; n < limit && h->ready && conn_output(t, h, &pkts[n]); trace = t->trace.head)
        pkts[n++].trace = (uint32_t)trace;
    if (n < limit || !h->ready) {
        conn_unready(t, h);
        if (h->kind == REC_TCB)
            idle_back(t, (struct tcb *)h);
    } else if (h->ready && h->turn.next != 0) {
        conn_unready(t, h);
        conn_ready(t, h);
    }
    return n;
}

/* One that is to say the usual. As above. */
static INLINED inline int tx_lane(struct tern *t, struct conn_head *h, tern_tx_packet *out)
{
    uint64_t trace = t->trace.head;
    if (UNLIKELY(h->kind != REC_TCB) || change_under_way(t))
        return LANE_NOT;
    int n = lane_out(t, (struct tcb *)h, out);
    if (n >= 0)
        idle_back(t, (struct tcb *)h);
    if (n > 0)
        out->trace = (uint32_t)trace;
    return n;
}

static APART int tx_stateless(struct tern *t, tern_tx_packet *pkts, int max)
{
    int n = 0;
    uint64_t trace = t->trace.head;
    for (; n < max && reply_output(t, &pkts[n]); trace = t->trace.head)
        pkts[n++].trace = (uint32_t)trace;
    while (n < max && ip_echo_emit(t->a, &t->w->ip, &pkts[n]))
        pkts[n++].trace = (uint32_t)trace;
    return n;
}

uint32_t tern_replies_room(const tern *t) { return REPLIES - t->w->reply_count; }

static INLINED inline int tx_some(struct tern *t, tern_tx_packet *pkts, int max)
{
    int n = 0;
    if (UNLIKELY((t->w->reply_count | t->w->ip.echo_count) != 0))
        n = tx_stateless(t, pkts, max);
    for (ref_t r; n < max && (r = t->w->ready.head) != 0;) {
        int some = tx_lane(t, head_at(t, r), pkts + n);
        n += LIKELY(some >= 0) ? some : tx_conn(t, head_at(t, r), pkts + n, max - n);
    }
    return n;
}

/* With Ethernet: what waited leaves first, and packets whose neighbour must be asked for first stay here. If
 * that is all there was, the questions leave now. */
static COLD int tx_ether(struct tern *t, tern_tx_packet *pkts, int max)
{
    struct ether *e = &t->w->ip.ether;
    int n = 0, some = 1;
    held_done(t->a, e);
    while (n == 0 && some > 0) {
        n = ether_send(t, pkts, max);
        some = tx_some(t, pkts + n, max - n);
        n += ether_frames(t, pkts + n, some);
    }
    return n;
}

static APART uint64_t bytes_of(const tern_tx_packet *pkts, int n)
{
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += pkts[i].len;
    return bytes;
}

static APART int tx_all(struct tern *t, tern_tx_packet *pkts, int max)
{
    if (UNLIKELY(t->w->ip.echo_sent > 0))
        ip_echo_done(t->a, &t->w->ip);
    int n = LIKELY(t->w->ip.ether.links == 0) ? tx_some(t, pkts, max) : tx_ether(t, pkts, max);
    t->w->stats.tx_packets += (uint64_t)n;
    t->w->stats.tx_bytes += n == 1 ? pkts->len : bytes_of(pkts, n);
    life_end_of_batch(t);
    return n;
}

int tern_tx(tern *t, uint64_t now, tern_tx_packet *pkts, int max)
{
    const struct world *w = t->w;
    stack_clock(t, now);
    if (LIKELY(w->ready.head != 0) || w->reply_count > 0 || w->ip.echo_count > 0 || w->ip.echo_sent > 0 ||
        w->ip.ether.links != 0)
        return tx_all(t, pkts, max);
    life_end_of_batch(t); /* every second call has nothing to send */
    return 0;
}
