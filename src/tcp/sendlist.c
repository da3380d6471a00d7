/* sendlist.c - what is in flight: one record for each sending, in order of sequence and in order of time: the
 * scoreboard of RFC 6675 (RFC6675-4-a).
 *
 *   seq    head ─▶ [una....) ─▶ [....) ─▶ [SACKED) ─▶ [....nxt) ◀─ tail
 *   time   head ─▶ oldest sending  ...  latest sending ◀─ tail
 *
 * A record covers a run of sequence numbers that left together (up to a 64 KiB super-segment); it is split
 * when a SACK or a retransmission needs part of it. The order of time holds only what may still be in the
 * network, so that a judge by time (rack.c) meets nothing else; a retransmission moves its record to the end.
 *
 * Invariants: (1) records are neighbours without gap and cover SND.UNA..SND.NXT; (2) bytes, sacked, lost,
 * retx are the sums of the lengths of all records, of those with SACKED, LOST, RETX; (3) SACKED excludes LOST
 * and RETX; RETX is set only on records that were LOST; (4) lost_next is at or below the lowest record that
 * is LOST and not RETX.
 *
 * No walk is longer than what the event newly concerns: searches start from the last place, judging starts at
 * the top, and neighbours that are SACKed are one record: however long a run is that each ACK reports again,
 * it is one step.
 */
#include "tcp/tcp.h"

#define BY_SEQ  offsetof(struct sendrec, seq)
#define BY_TIME offsetof(struct sendrec, time)

static struct sendrec *rec(struct tern *t, ref_t r) { return r == 0 ? NULL : at(t->a, r); }
static seq_t rec_end(const struct sendrec *r) { return seq_add(r->start, r->len); }

static void time_append(struct tern *t, struct sendlist *l, const struct sendrec *r)
{
    list_append(t->a, &l->time, self(t, r), BY_TIME);
}

static void time_remove(struct tern *t, struct sendlist *l, const struct sendrec *r)
{
    list_remove(t->a, &l->time, self(t, r), BY_TIME);
}

static bool in_network(const struct sendrec *r)
{
    return !(r->flags & SR_SACKED) && (r->flags & (SR_LOST | SR_RETX)) != SR_LOST;
}

/* Put `n` behind `r`, whose second half it is, in both orders. */
static void insert_behind(struct tern *t, struct sendlist *l, const struct sendrec *r,
                          const struct sendrec *n)
{
    list_insert(t->a, &l->seq, self(t, n), r->seq.next, BY_SEQ);
    if (in_network(r))
        list_insert(t->a, &l->time, self(t, n), r->time.next, BY_TIME);
    l->count++;
}

/* `len` numbers of a record come to the sums, or leave them. */
static void sums(struct sendlist *l, const struct sendrec *r, uint32_t len, bool add)
{
    uint32_t n = add ? len : 0u - len;
    l->bytes += n;
    if (r->flags & SR_SACKED)
        l->sacked += n;
    if (r->flags & SR_LOST)
        l->lost += n;
    if (r->flags & SR_RETX)
        l->retx += n;
}

static void set_flags(struct sendlist *l, struct sendrec *r, uint8_t flags)
{
    sums(l, r, r->len, false);
    r->flags = flags;
    sums(l, r, r->len, true);
}

void sendlist_init(struct sendlist *l, seq_t iss)
{
    memset(l, 0, sizeof *l);
    l->lost_below = l->fack = iss;
}

/* A record, not cleared but for its generation: the list's own, if that is free. NULL: no memory. */
static struct sendrec *record_new(struct tern *t, struct sendlist *l)
{
    if (l->own.gen == 0) {
        l->own.gen = 1;
        return &l->own;
    }
    return rec(t, pool_take(t->a, &t->w->sendrecs, MEM_CONTROL));
}

static void record_free(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    if (r == &l->own)
        r->gen = 0;
    else
        pool_put(t->a, &t->w->sendrecs, self(t, r));
}

struct sendrec *sendlist_add_behind(struct tern *t, struct sendlist *l, seq_t start, uint32_t len,
                                    uint32_t size, ref_t chunk)
{
    struct sendrec *r = record_new(t, l);
    if (r == NULL)
        return NULL;
    sendrec_now(t, r, start, len, size, chunk);
    l->bytes += len;
    l->count++;
    list_append(t->a, &l->seq, self(t, r), BY_SEQ);
    time_append(t, l, r);
    return r;
}

/* Make two of one: r keeps the first `len` numbers, the rest is returned. NULL: no memory. */
struct sendrec *sendlist_split(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t len)
{
    struct sendrec *n = record_new(t, l);
    if (n == NULL)
        return NULL;
    uint32_t gen = n->gen;
    *n = *r;
    n->gen = gen;
    n->start = seq_add(r->start, len);
    n->len = r->len - len;
    r->len = len;
    insert_behind(t, l, r, n);
    if (l->high == self(t, r))
        l->high = self(t, n);
    return n;
}

/* The last record takes n more numbers along. */
void sendlist_extend(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t n)
{
    ASSERT(l->seq.tail == self(t, r));
    sums(l, r, n, true);
    r->len += n;
}

/* The same for numbers that are sent now: only when the last record can stand for them. */
bool sendlist_extend_tail(struct tern *t, struct sendlist *l, uint32_t n, uint32_t size)
{
    struct sendrec *r = rec(t, l->seq.tail);
    if (r == NULL || !in_network(r))
        return false;
    r->size = (uint16_t)max_u32(r->size, size);
    sendlist_extend(t, l, r, n);
    return true;
}

static void forget(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    ref_t me = self(t, r);
    if (l->hint == me)
        l->hint = r->seq.next;
    if (l->high == me)
        l->high = 0;
    if (l->lost_next == me)
        l->lost_next = r->seq.next;
}

/* Take the first record out. */
static void remove_head(struct tern *t, struct sendlist *l)
{
    struct sendrec *r = rec(t, l->seq.head);
    sums(l, r, r->len, false);
    forget(t, l, r);
    if (in_network(r))
        time_remove(t, l, r);
    list_remove(t->a, &l->seq, l->seq.head, BY_SEQ);
    l->count--;
    record_free(t, l, r);
}

/* The latest-sent of what one ACK delivers, in order of sending (RFC 8985 5.2). */
static void latest(struct delivery *d, const struct sendrec *r, seq_t end)
{
    if (d->sent_us == 0 || r->sent_us > d->sent_us || (r->sent_us == d->sent_us && seq_gt(end, d->end)))
        *d = (struct delivery){r->sent_us, end, r->times};
}

/* A record, or its first part up to `end`, has arrived. */
static void delivered(struct sendlist *l, const struct sendrec *r, seq_t end, struct acked *out)
{
    latest(r->times > 1 ? &out->again : &out->once, r, end);
    if (seq_gt(end, l->fack))
        l->fack = end;
    else if (seq_lt(end, l->fack) && r->times == 1)
        out->reordered = true;
}

static void account(struct sendlist *l, const struct sendrec *r, uint32_t len, struct acked *out)
{
    out->bytes += len;
    if (r->times > 1)
        out->any_retx = true;
    if (r->flags & SR_SACKED)
        return;
    delivered(l, r, seq_add(r->start, len), out);
    if (r->times == 1 && out->rtt_sent_us == 0)
        out->rtt_sent_us = r->sent_us;
}

/* All below `una` has arrived. */
void sendlist_ack(struct tern *t, struct sendlist *l, seq_t una, struct acked *out)
{
    /* neither falls further behind than what it is compared with */
    l->lost_below = seq_max(l->lost_below, una);
    while (l->seq.head != 0) {
        struct sendrec *r = rec(t, l->seq.head);
        if (seq_ge(r->start, una))
            return;
        if (seq_le(rec_end(r), una)) {
            account(l, r, r->len, out);
            remove_head(t, l);
            continue;
        }
        uint32_t n = seq_span(r->start, una);
        account(l, r, n, out);
        sums(l, r, n, false);
        r->start = una;
        r->len -= n;
        return;
    }
}

/* The record that holds s, or NULL. Starts where the last search ended. */
static struct sendrec *find(struct tern *t, struct sendlist *l, seq_t s)
{
    struct sendrec *r = rec(t, l->hint != 0 ? l->hint : l->seq.head);
    while (r != NULL && seq_lt(s, r->start))
        r = rec(t, r->seq.prev);
    while (r != NULL && seq_ge(s, rec_end(r)))
        r = rec(t, r->seq.next);
    if (r == NULL)
        return NULL;
    l->hint = self(t, r);
    return r;
}

/* Note that a record has arrived, though not in order. */
static void mark_sacked(struct tern *t, struct sendlist *l, struct sendrec *r, struct acked *out)
{
    if (r->times == 1)
        out->rtt_sent_us = r->sent_us; /* the latest of them: it triggered this SACK */
    delivered(l, r, rec_end(r), out);
    if (in_network(r))
        time_remove(t, l, r);
    set_flags(l, r, SR_SACKED);
    if (l->high == 0 || seq_gt(r->start, rec(t, l->high)->start))
        l->high = self(t, r);
}

/* Cut a record so that the part inside left..right stands alone: at segment boundaries only, since a receiver
 * holds whole segments, and one that reports single bytes (CVE-2019-11477) would have us keep a record for
 * each. NULL: nothing of it is wholly inside, or no memory. */
static struct sendrec *cut_out(struct tern *t, struct sendlist *l, struct sendrec *r, seq_t left, seq_t right,
                               uint32_t mss)
{
    if (seq_lt(r->start, left)) {
        uint32_t before = (seq_span(r->start, left) + mss - 1) / mss * mss;
        if (before >= r->len || (r = sendlist_split(t, l, r, before)) == NULL)
            return NULL;
    }
    if (seq_gt(rec_end(r), right)) {
        uint32_t keep = seq_gt(right, r->start) ? seq_span(r->start, right) / mss * mss : 0;
        if (keep == 0 || sendlist_split(t, l, r, keep) == NULL)
            return NULL;
    }
    return r;
}

/* Of two neighbours that are SACKed the first stands for both. What was sent again among them makes all of it
 * so: Karn's rule (MUST-18) then takes one sample less. */
static void join(struct tern *t, struct sendlist *l, struct sendrec *r, struct sendrec *next)
{
    ref_t me = self(t, next);
    if (l->high == me)
        l->high = self(t, r);
    if (l->hint == me)
        l->hint = self(t, r);
    if (l->lost_next == me)
        l->lost_next = self(t, r);
    r->len += next->len;
    r->times = r->times > next->times ? r->times : next->times;
    list_remove(t->a, &l->seq, me, BY_SEQ);
    l->count--;
    record_free(t, l, next);
}

/* A run of SACKed bytes is one record, so that the next ACK, which reports most of them again, steps over it
 * at once. Returns the record that holds those of `r`. */
static struct sendrec *join_sacked(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    struct sendrec *prev = rec(t, r->seq.prev), *next = rec(t, r->seq.next);
    if (next != NULL && (next->flags & SR_SACKED))
        join(t, l, r, next);
    if (prev == NULL || !(prev->flags & SR_SACKED))
        return r;
    join(t, l, prev, r);
    return prev;
}

/* RFC 6675 Update(): the peer holds left..right. Returns the bytes that are news. */
uint32_t sendlist_sack(struct tern *t, struct sendlist *l, seq_t left, seq_t right, uint32_t mss,
                       struct acked *out)
{
    uint32_t news = 0;
    struct sendrec *r = find(t, l, left);
    while (r != NULL && seq_lt(r->start, right)) {
        struct sendrec *part = r->flags & SR_SACKED ? NULL : cut_out(t, l, r, left, right, mss);
        if (part != NULL) {
            news += part->len;
            mark_sacked(t, l, part, out);
            r = join_sacked(t, l, part);
        }
        l->hint = self(t, r);
        r = rec(t, r->seq.next);
    }
    return news;
}

static void mark_lost(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    if (in_network(r))
        time_remove(t, l, r);
    set_flags(l, r, (uint8_t)((r->flags | SR_LOST) & ~SR_RETX));
    if (l->lost_next == 0 || seq_lt(r->start, rec(t, l->lost_next)->start))
        l->lost_next = self(t, r);
}

/* Everything below `r` that is not SACKed and was not judged before is lost. */
static uint32_t judge_below(struct tern *t, struct sendlist *l, struct sendrec *r)
{
    uint32_t lost = 0;
    seq_t judged = r->start;
    for (r = rec(t, r->seq.prev); r != NULL; r = rec(t, r->seq.prev)) {
        if (seq_le(rec_end(r), l->lost_below))
            break;
        if (!(r->flags & (SR_SACKED | SR_LOST))) {
            mark_lost(t, l, r);
            lost += r->len;
        }
    }
    l->lost_below = judged;
    return lost;
}

/* RFC 6675 IsLost() (RFC6675-4-c): three SACKed runs above, or more than two segments' bytes SACKed above.
 * Counts from the highest SACK down and stops as soon as either holds. Returns the bytes newly taken for
 * lost. */
uint32_t sendlist_mark_lost_sack(struct tern *t, struct sendlist *l, uint32_t mss)
{
    uint32_t runs = 0, bytes = 0;
    bool in_run = false;
    for (struct sendrec *r = rec(t, l->high); r != NULL; r = rec(t, r->seq.prev)) {
        if (!(r->flags & SR_SACKED)) {
            in_run = false;
            continue;
        }
        runs += !in_run;
        in_run = true;
        bytes += r->len;
        if (runs >= 3 || bytes > 2 * mss)
            return judge_below(t, l, r);
        if (bytes == l->sacked)
            return 0; /* there are no more */
    }
    return 0;
}

/* The first segment, not all of the record that it left with. */
void sendlist_mark_head_lost(struct tern *t, struct sendlist *l, uint32_t mss)
{
    struct sendrec *r = rec(t, l->seq.head);
    if (r == NULL || (r->flags & SR_SACKED))
        return;
    if (r->len > mss + 1) /* a FIN goes with it */
        sendlist_split(t, l, r, mss);
    mark_lost(t, l, r);
}

/* After a timeout (RFC 6298 5.4). `forget_sacks`: the receiver may have reneged (RFC 2018 8). */
void sendlist_mark_all_lost(struct tern *t, struct sendlist *l, bool forget_sacks)
{
    for (struct sendrec *r = rec(t, l->seq.head); r != NULL; r = rec(t, r->seq.next)) {
        if (forget_sacks && (r->flags & SR_SACKED)) {
            set_flags(l, r, 0);
            time_append(t, l, r); /* only to be taken out again as lost */
        }
        if (!(r->flags & SR_SACKED))
            mark_lost(t, l, r);
    }
    if (forget_sacks)
        l->high = 0;
    if (l->seq.tail != 0)
        l->lost_below = rec_end(rec(t, l->seq.tail));
}

/* Segments of more than `size` bytes cannot have passed; a super-segment counts as what it was cut into. A
 * FIN is no byte of theirs, which may cost one that just fits a repetition. False: there were none. */
bool sendlist_mark_large_lost(struct tern *t, struct sendlist *l, uint32_t size)
{
    bool any = false;
    for (struct sendrec *r = rec(t, l->seq.head); r != NULL; r = rec(t, r->seq.next)) {
        if (min_u32(r->len, r->size) <= size || (r->flags & SR_SACKED))
            continue;
        mark_lost(t, l, r);
        any = true;
    }
    return any;
}

/* The lowest record that is lost and not under way again. */
struct sendrec *sendlist_lost(struct tern *t, struct sendlist *l)
{
    struct sendrec *r = rec(t, l->lost_next);
    while (r != NULL && (r->flags & (SR_LOST | SR_RETX)) != SR_LOST)
        r = rec(t, r->seq.next);
    l->lost_next = r == NULL ? 0 : self(t, r);
    return r;
}

/* It was sent once more: HighRxt is that no record below is LOST and not RETX (RFC6675-5-m, RFC6675-4-j). */
void sendlist_resent(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t size)
{
    if (in_network(r))
        time_remove(t, l, r);
    else
        set_flags(l, r, r->flags | SR_RETX);
    r->flags &= (uint8_t)~SR_BEFORE;
    r->sent_us = t->w->now;
    r->size = (uint16_t)size;
    if (r->times < 255)
        r->times++;
    time_append(t, l, r);
}

void sendlist_clear(struct tern *t, struct sendlist *l)
{
    while (l->seq.head != 0)
        remove_head(t, l);
}

/* In order of sending, RFC 8985 RACK_detect_loss: everything sent before (sent_us, end) that has had
 * `patience` since its sending is lost. Returns the bytes newly lost; *next is when the oldest suspect will
 * be, 0 = there is none. *again: a retransmission of after the last reduction is among them. */
uint32_t sendlist_mark_lost_time(struct tern *t, struct sendlist *l, uint64_t sent_us, seq_t end,
                                 uint64_t patience, uint64_t *next, bool *again)
{
    uint32_t lost = 0;
    *next = 0;
    *again = false;
    for (struct sendrec *r = rec(t, l->time.head); r != NULL;) {
        if (r->sent_us > sent_us || (r->sent_us == sent_us && seq_ge(rec_end(r), end)))
            break;
        if (r->sent_us + patience > t->w->now) {
            *next = r->sent_us + patience;
            break;
        }
        struct sendrec *after = rec(t, r->time.next);
        *again |= (r->flags & (SR_RETX | SR_BEFORE)) == SR_RETX;
        mark_lost(t, l, r);
        lost += r->len;
        r = after;
    }
    return lost;
}

/* The window has been reduced: what was sent again before that is no reason to reduce it once more. */
void sendlist_reduced(struct tern *t, struct sendlist *l)
{
    for (struct sendrec *r = rec(t, l->time.head); r != NULL; r = rec(t, r->time.next))
        if (r->flags & SR_RETX)
            r->flags |= SR_BEFORE;
}
