/* cc.c - congestion control behind one const table. In bytes, never in segments. This file: the table, the
 * initial window, and NewReno's arithmetic (RFC 5681). A control sees its own group and numbers, never the
 * connection.
 */
#include "tcp/tcp.h"

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)); RFC5681-3.1-b had less. */
uint32_t cc_initial_window(uint32_t mss) { return min_u32(10 * mss, max_u32(2 * mss, 14600)); }

/* RFC5681-4.1-a, RFC 6928 3: after idle longer than the timeout the window says nothing any more. */
void cc_restart(struct cc *cc, uint32_t mss) { cc->cwnd = min_u32(cc->cwnd, cc_initial_window(mss)); }

static void newreno_init(struct cc *cc, uint32_t mss)
{
    cc->cwnd = cc_initial_window(mss);
    cc->ssthresh = UINT32_MAX; /* RFC5681-3.1-f: arbitrarily high */
    cc->acked = 0;
}

/* How many segments one ACK may add in slow start. RFC5681-3.1-hi asks for at most one SMSS an ACK, written
 * for receivers that acknowledge every second segment. Receivers with receive offload acknowledge 64 KiB at
 * once; RFC 3465 counts bytes with a limit L, and RFC 9406 4.2 takes L = 8. We follow the latter. */
#define SLOW_START_LIMIT 8

/* `bytes` newly acknowledged, and the window was what bounded us: slow start, then congestion avoidance
 * (MUST-19, RFC5681-3.1-a). */
static void newreno_acked(struct cc *cc, uint32_t bytes, uint32_t mss)
{
    if (cc->cwnd < cc->ssthresh) {
        uint32_t step = min_u32(min_u32(bytes, SLOW_START_LIMIT * mss), cc->ssthresh - cc->cwnd);
        cc->cwnd += step;
        return;
    }
    /* RFC5681-3.1-jklm: about one SMSS each round trip, counted in bytes acknowledged. */
    cc->acked += bytes;
    if (cc->acked >= cc->cwnd) {
        cc->acked -= cc->cwnd;
        cc->cwnd += mss;
        if (cc->acked > cc->cwnd)
            cc->acked = cc->cwnd;
    }
}

/* RFC 5681 3.1 (4), RFC5681-3.1-g: half of what is in flight, at least two segments. */
static uint32_t newreno_loss(struct cc *cc, uint32_t in_flight, uint32_t mss)
{
    cc->acked = 0;
    return max_u32(in_flight / 2, 2 * mss);
}

static const struct cc_ops newreno = {newreno_init, newreno_acked, newreno_loss};

const struct cc_ops *const cc_table[] = {&newreno};

void cc_init(struct cc *cc, uint8_t algo, uint32_t mss)
{
    memset(cc, 0, sizeof *cc);
    cc->algo = algo;
    cc_table[algo]->init(cc, mss);
}
