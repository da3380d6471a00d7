/* backlog.c - a listener's half-open records in their queues: when each SYN+ACK is sent, repeated, given up.
 *
 * A record has neither a timer nor a place on the ready list: those are its listener's. The SYN+ACK is
 * repeated (RFC4987-4-b): all records to which n repetitions were sent wait equally long for the next (RFC
 * 6298 5.5), so they stand in one queue in order of time, and the listener's one timer looks at the heads of
 * the queues.
 *
 *   SYN ──▶ QUEUE_NOW ──SYN+ACK──▶ QUEUE_SENT ──1 s──▶ QUEUE_SENT + 1 ──2 s──▶ ... ──▶ given up
 *
 * No call lasts long, however many they are: what is too much for one turn is left for the next. When the
 * machine slept for longer than a record may last, all records are stale: they end without a word, since
 * their peers have given up, and a storm of SYN+ACKs would meet nobody.
 */
#include "tcp/plan.h"

#define PLACE      offsetof(struct halfopen, place)
#define SENT_MASK  0x3ffffffu
#define STEP_MOST  300000000u /* us; the time of sending wraps after 9 min */
#define DECIDE_US 30000000u   /* for the program: to look at a SYN, and to decide about it */
#define TURN_MOST  1000       /* records that end in one turn */

static struct halfopen *half_at(struct tern *t, ref_t r) { return at(t->a, r); }

/* Rounded up, so that nothing is due too early. What is due then is so at a multiple of 8 us, and its next
 * sending is not rounded. */
static uint64_t now_8us(const struct tern *t) { return (t->w->now + 7) / 8; }

static void stamp_sent(const struct tern *t, struct halfopen *h)
{
    h->sent = now_8us(t) & SENT_MASK;
    h->challenged = 0;
}

uint64_t backlog_sent_us(const struct tern *t, const struct halfopen *h)
{
    uint64_t now = now_8us(t);
    return 8 * (now - ((now - h->sent) & SENT_MASK));
}

/* How long the records of a queue wait there (RFC 6298 2.1, 5.5). */
static uint64_t patience(const struct tern *t, uint32_t queue)
{
    if (queue >= QUEUE_PENDING)
        return DECIDE_US;
    uint64_t us = 1000000ull << (queue - QUEUE_SENT);
    return min_u64(us, min_u64(settings(t)->rto_max_us, STEP_MOST));
}

uint64_t backlog_due_us(const struct tern *t, const struct halfopen *h)
{
    return backlog_sent_us(t, h) + patience(t, h->queue);
}

/* When the SYN came: what it has waited for since then is known. */
uint64_t backlog_opened_us(const struct tern *t, const struct halfopen *h)
{
    uint64_t us = backlog_sent_us(t, h), waited = 0;
    for (uint32_t queue = QUEUE_SENT; queue < h->queue && h->queue < QUEUE_PENDING; queue++)
        waited += patience(t, queue);
    return us > waited ? us - waited : 0;
}

void backlog_append(struct tern *t, struct listener *l, struct halfopen *h, uint32_t queue)
{
    h->queue = queue & 15;
    list_append(t->a, &l->queue[queue], self(t, h), PLACE);
    stamp_sent(t, h);
}

void backlog_remove(struct tern *t, struct listener *l, struct halfopen *h)
{
    if (l->stale[h->queue] == self(t, h))
        l->stale[h->queue] = h->place.prev;
    list_remove(t->a, &l->queue[h->queue], self(t, h), PLACE);
}

/* The head of a queue if it is due; NULL = none. */
static struct halfopen *due_head(struct tern *t, const struct listener *l, uint32_t queue)
{
    ref_t r = l->queue[queue].head;
    return r != 0 && backlog_due_us(t, half_at(t, r)) <= t->w->now ? half_at(t, r) : NULL;
}

static uint32_t last_queue(const struct tern *t) { return QUEUE_SENT + settings(t)->synack_retries; }

/* When the next record becomes due, or did; 0 = none. */
static uint64_t next_due(struct tern *t, const struct listener *l)
{
    uint64_t next = 0;
    for (uint32_t queue = QUEUE_SENT; l->half_count > 0 && queue < QUEUES; queue++) {
        if (l->queue[queue].head == 0)
            continue;
        uint64_t due = backlog_due_us(t, half_at(t, l->queue[queue].head));
        if (next == 0 || due < next)
            next = due;
    }
    return next;
}

/* Among those that were repeated most often; NULL = none was. */
struct halfopen *backlog_oldest_repeated(struct tern *t, struct listener *l)
{
    for (uint32_t queue = QUEUE_PENDING - 1; queue > QUEUE_SENT; queue--)
        if (l->queue[queue].head != 0)
            return half_at(t, l->queue[queue].head);
    return NULL;
}

/* How long a record lasts that nobody answers. */
static uint64_t lifetime(const struct tern *t)
{
    uint64_t us = 0;
    for (uint32_t queue = QUEUE_SENT; queue <= last_queue(t); queue++)
        us += patience(t, queue);
    return us;
}

void backlog_slept(struct tern *t, uint64_t us)
{
    if (us <= lifetime(t))
        return;
    for (ref_t r = 0; pool_next(t->a, &t->w->listener_pool, &r);) {
        struct listener *l = listener_at(t, r);
        for (uint32_t queue = 0; queue < QUEUE_PENDING; queue++)
            l->stale[queue] = l->queue[queue].tail;
        l->any_stale = true;
        if (l->half_count > 0)
            conn_timer(t, &l->h, t->w->now);
    }
}

/* A stale record; NULL = none is left. */
static struct halfopen *stale_head(struct tern *t, const struct listener *l)
{
    for (uint32_t queue = 0; l->any_stale && queue < QUEUE_PENDING; queue++)
        if (l->stale[queue] != 0)
            return half_at(t, l->queue[queue].head);
    return NULL;
}

/* There is nobody any more to hear these. False: there are more. */
static bool give_up_stale(struct tern *t, struct listener *l)
{
    struct halfopen *h;
    for (int i = 0; i < TURN_MOST; i++) {
        if ((h = stale_head(t, l)) == NULL) {
            l->any_stale = false;
            return true;
        }
        halfopen_end(t, h, TERN_C_HALFOPEN_TIMEOUT);
    }
    return false;
}

/* Those whose time is over. False: there are more. */
static bool give_up(struct tern *t, struct listener *l, uint32_t queue, enum tern_cause cause)
{
    struct halfopen *h;
    for (int i = 0; i < TURN_MOST; i++) {
        if ((h = due_head(t, l, queue)) == NULL)
            return true;
        halfopen_end(t, h, cause);
    }
    return false;
}

/* The next to be sent a SYN+ACK; NULL = none. */
static struct halfopen *next_out(struct tern *t, const struct listener *l)
{
    struct halfopen *h = NULL;
    if (stale_head(t, l) != NULL)
        return NULL; /* those come first, and say nothing */
    if (l->queue[QUEUE_NOW].head != 0)
        return half_at(t, l->queue[QUEUE_NOW].head);
    for (uint32_t queue = QUEUE_SENT; queue < last_queue(t) && h == NULL; queue++)
        h = due_head(t, l, queue);
    return h;
}

/* While it is to send, its turn sees to who is due. At worst the timer fires in vain. */
void backlog_set(struct tern *t, struct listener *l)
{
    uint64_t next = l->h.state == TERN_LISTEN && !l->h.ready ? next_due(t, l) : 0;
    if (next != 0)
        conn_timer(t, &l->h, next);
}

void backlog_timer(struct tern *t, struct listener *l)
{
    if (l->h.state == TERN_CLOSED) {
        listener_drain(t, l);
        return;
    }
    bool all = give_up_stale(t, l) && give_up(t, l, last_queue(t), TERN_C_HALFOPEN_TIMEOUT) &&
               give_up(t, l, QUEUE_PENDING, TERN_C_SYN_UNDECIDED) &&
               give_up(t, l, QUEUE_TAKEN, TERN_C_SYN_UNDECIDED);
    if (next_out(t, l) != NULL)
        conn_ready(t, &l->h);
    if (all)
        conn_unset(t, &l->h);
    else
        conn_timer(t, &l->h, t->w->now + 1);
}

/* False: there is no way to the peer; as if it had left and was lost. */
static bool send_synack(struct tern *t, struct listener *l, struct halfopen *h, tern_tx_packet *out)
{
    struct who who;
    struct reply_synack a;
    bool first = h->queue == QUEUE_NOW, sent = first && lane_synack(t, l, h, out);
    if (!sent) {
        halfopen_synack(t, h, &who, &a);
        sent = synack_build(t, &who, &a, first ? TERN_C_SEND_SYNACK : TERN_C_SEND_RETRANSMIT,
                            !first || h->repeated, out);
    }
    backlog_remove(t, l, h);
    backlog_append(t, l, h, h->queue + 1u);
    return sent;
}

bool backlog_output(struct tern *t, struct listener *l, tern_tx_packet *out)
{
    int turns = 0;
    for (struct halfopen *h; (h = next_out(t, l)) != NULL && turns < TURN_MOST; turns++) {
        if (change_under_way(t) && !change_reaches(t, self(t, h)))
            continue;
        if (!send_synack(t, l, h, out))
            continue;
        if (next_out(t, l) == NULL) {
            conn_unset(t, &l->h);
            conn_unready(t, &l->h); /* that was all */
        }
        return true;
    }
    if (turns < TURN_MOST)
        conn_unset(t, &l->h);
    else
        conn_timer(t, &l->h, t->w->now + 1);
    return false;
}
