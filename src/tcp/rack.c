/* rack.c - loss by time (RFC 8985 6.2): a segment is lost when one that was sent later has arrived and it has
 * had a round trip and a little more since its own sending.
 *
 *   sent ──▶  s1   s2   s3   s4
 *   arrived             s3          s1 and s2 were sent before s3: once RTT + reordering window have
 *                                   passed since their sending, they are lost. s4 is not judged.
 *
 * The reordering window is a quarter of the smallest RTT, growing with each round trip in which a DSACK shows
 * a needless repetition, never above SRTT. Until the path is seen to reorder it is 0 in recovery, and also
 * when recovery begins because recovery.c has found a loss by number. Repetitions are judged like first
 * sendings: the send list moves them to the end of its order of time.
 */
#include "tcp/tcp.h"

#define PERSIST 16 /* RFC 8985 6.2 step 4: recoveries that a widened window outlives */

/* RFC 8985 6.2 step 2: a repeated segment's ACK may be of its first sending. */
static bool ambiguous(const struct tcb *c, const struct segment *s, uint64_t sent_us, uint32_t stamp_sent,
                      uint64_t now)
{
    if (c->opt.ts && s->opt.ts && (int32_t)(s->opt.ts_ecr - stamp_sent) < 0)
        return true;
    return now - sent_us < c->rtt.min_us;
}

static void advance(const struct tern *t, struct rack *r, const struct delivery *d)
{
    if (d->sent_us < r->xmit_us || (d->sent_us == r->xmit_us && seq_le(d->end, r->end)))
        return;
    r->xmit_us = d->sent_us;
    r->end = d->end;
    if (!across_jump(t, d->sent_us))
        r->rtt_us = (uint32_t)min_u64(t->w->now - d->sent_us, UINT32_MAX);
}

/* What was sent once has arrived, all of it and nothing else. */
void rack_delivered(const struct tern *t, struct rack *r, uint64_t sent_us, seq_t end)
{
    advance(t, r, &(struct delivery){.sent_us = sent_us, .end = end});
}

/* Step 4: a DSACK widens the reordering window, once in a round trip. */
static void widen(struct tcb *c)
{
    struct rack *r = &c->rack;
    if (r->round_valid)
        return; /* it is not over yet, or rack_update would have noticed */
    r->round = c->snd.nxt;
    r->round_valid = true;
    r->persist = PERSIST;
    if (r->mult < 255)
        r->mult++;
}

void rack_recovered(struct rack *r)
{
    if (r->persist > 0 && --r->persist == 0)
        r->mult = 1;
}

void rack_update(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a)
{
    struct rack *r = &c->rack;
    uint64_t now = t->w->now;
    if (r->mult == 0)
        r->mult = 1;
    if (r->round_valid && seq_ge(c->snd.una, r->round))
        r->round_valid = false;
    if (a->dsacked > 0)
        widen(c);
    if (a->once.sent_us != 0)
        advance(t, r, &a->once);
    uint32_t stamp = stamp_at(a->again.sent_us, c->ts.offset);
    if (a->again.sent_us != 0 && !ambiguous(c, s, a->again.sent_us, stamp, now))
        advance(t, r, &a->again);
    if (a->reordered)
        r->reordering = true;
}

/* Step 4, its end: no patience when the path has never reordered and a loss is certain. So in a recovery all
 * is lost that lies below the highest SACK and was sent before it (RFC6675-4-h). */
static uint64_t window(const struct tcb *c, bool certain)
{
    if (!c->rack.reordering && (certain || c->rec.phase != PHASE_OPEN))
        return 0;
    return min_u64((uint64_t)c->rack.mult * c->rtt.min_us / 4, c->rtt.srtt_us);
}

/* Step 5. */
uint32_t rack_detect(struct tern *t, struct tcb *c, bool certain, bool *again)
{
    struct rack *r = &c->rack;
    c->tm.reo_us = 0;
    *again = false;
    if (!c->opt.sack || r->xmit_us == 0)
        return 0;
    uint64_t patience = r->rtt_us + window(c, certain);
    return sendlist_mark_lost_time(t, &c->list, r->xmit_us, r->end, patience, &c->tm.reo_us, again);
}
