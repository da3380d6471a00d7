/* recv.c - the sixth and seventh step: urgent data, text, and when to acknowledge it (RFC 9293 3.8.5,
 * 3.8.6.3; RFC 5681 4.2).
 *
 * Input only notes what is owed; output.c sends one acknowledgment for all of a batch (MUST-58, MUST-59), so
 * none has more than one (RFC5681-4.2-h):
 *
 *   now       out of order, a gap filled, two full segments, FIN, quick acknowledgment, a new CE mark
 *   delayed   else: within delack_us, or on the next data
 */
#include "tcp/usual.h"

void recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why)
{
    if (c->ack.now_cause != 0 && why == TERN_C_SEND_ACK_NOW && c->h.ready)
        return; /* as of most segments of a run */
    bool syn_owed = c->ack.now_cause == TERN_C_SEND_SYNACK; /* nothing is more urgent than our SYN */
    if (c->ack.now_cause == 0 || (!syn_owed && why != TERN_C_SEND_ACK_NOW))
        c->ack.now_cause = (uint16_t)why;
    conn_ready(t, &c->h);
}

/* RFC 9293 MUST-32, MUST-62: the pointer names the first byte behind the urgent data. An orphan has nobody to
 * tell. */
void recv_urgent(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct rcv *r = &c->rcv;
    if (c->face.orphan)
        return;
    seq_t up = seq_add(s->seq, s->up);
    seq_t read = seq(r->q.pos);
    if (!seq_gt(up, read) || (r->urgent && !seq_gt(up, r->up)))
        return;
    r->up = up;
    r->urgent = true;
    face_raise(t, &c->h, TERN_URGENT);
}

/* An out-of-order segment: a duplicate ACK at once (MAY-13, RFC5681-3.2-a, RFC5681-4.2-ef, RFC2018-4-e); each
 * its own while the peer cannot be told by SACK. */
static void owe_duplicate(struct tern *t, struct tcb *c)
{
    c->sum.ooo_in++;
    if (!c->opt.sack)
        c->ack.dup_owed++;
    recv_ack_now(t, c, TERN_C_SEND_ACK_DUP);
}

/* Delayed or not (RFC 9293 SHLD-18, SHLD-19; RFC5681-4.2-abc): at once where it fills a gap (RFC5681-3.2-b,
 * RFC5681-4.2-g), else in less than half a second (MUST-40, RFC5681-4.2-d). */
void recv_owe_ack(struct tern *t, struct tcb *c, uint32_t seg, uint32_t got, bool filled)
{
    struct acker *k = &c->ack;
    k->seg = max_u32(k->seg, min_u32(seg, 65535));
    k->bytes += got;
    if (filled)
        recv_ack_now(t, c, TERN_C_SEND_ACK_FILL);
    else if (k->quick > 0 || c->set.quickack || k->bytes >= 2 * k->seg)
        recv_ack_now(t, c, TERN_C_SEND_ACK_NOW);
    else if (k->delack_us == 0)
        k->delack_us = t->w->now + settings(t)->delack_us;
    k->quick -= k->quick > 0;
}

/* Whether n bytes are worth keeping the packet for: not a few bytes, and not little of a large buffer. */
static bool worth_keeping(const struct keep *k, uint32_t n)
{
    return n >= REFER_MIN && (k->hold != 0 || n >= k->what.len / 4);
}

/* Payload stays in the link's memory where it may and where that is worth it; else it is copied. */
uint32_t recv_store(struct tern *t, struct chunkq *q, struct keep *k, const uint8_t *data, uint32_t n,
                    enum mem_prio prio)
{
    if (LIKELY(k == NULL))
        return chunkq_append(t->a, q, data, n, prio);
    uint32_t gap = min_u32(n, chunkq_gap(t->a, q));
    if (!worth_keeping(k, n - gap) || keep_hold(t->a, k, prio) == 0)
        return chunkq_append(t->a, q, data, n, prio);
    uint32_t got = chunkq_append(t->a, q, data, gap, prio);
    if (chunkq_refer(t->a, q, k->hold, (uint32_t)(data + gap - k->from), n - gap, prio))
        return n;
    return got + chunkq_append(t->a, q, data + gap, n - gap, prio);
}

/* In-order bytes go to the queue. The segment at RCV.NXT has reserved memory, for which others are put to
 * rest if need be; what does not fit is not acknowledged. */
static uint32_t append(struct tern *t, struct tcb *c, struct keep *k, const uint8_t *data, uint32_t len)
{
    struct rcv *r = &c->rcv;
    bool first = r->q.len == 0;
    uint32_t got = recv_store(t, &r->q, k, data, len, first ? MEM_EDGE : MEM_DATA);
    if (UNLIKELY(got == 0 && first && idle_press(t)))
        got = recv_store(t, &r->q, k, data, len, MEM_EDGE);
    r->nxt = seq_add(r->nxt, got);
    return got;
}

static void deliver(struct tern *t, struct tcb *c, uint32_t bytes)
{
    c->sum.received += bytes;
    trace_conn(t, &c->h, TERN_TRACE_DELIVER, TERN_CAUSE_NONE, bytes, c->rcv.q.len, 0);
    face_raise(t, &c->h, TERN_READABLE);
}

/* Bytes of [RCV.NXT, RCV.NXT + len) before the first range: what came first stays, so that nothing that was
 * SACKed changes. */
static uint32_t before_ranges(struct tern *t, const struct rcv *r, uint32_t len)
{
    if (r->ooo.head == 0)
        return len;
    const struct range *first = at(t->a, r->ooo.head);
    return min_u32(len, seq_span(r->nxt, seq(first->q.pos)));
}

static enum tern_cause in_order(struct tern *t, struct tcb *c, const struct segment *s, const uint8_t *data,
                                uint32_t len)
{
    struct rcv *r = &c->rcv;
    bool gap = r->ooo.head != 0, all = true;
    seq_t start = r->nxt, end = seq_add(r->nxt, len);
    while (all && seq_lt(r->nxt, end)) {
        uint32_t piece = before_ranges(t, r, seq_span(r->nxt, end));
        all = append(t, c, s->keep, data + seq_span(start, r->nxt), piece) == piece;
        if (all && gap)
            reasm_pull(t, r);
    }
    uint32_t got = seq_span(start, r->nxt);
    if (got > 0) {
        recv_owe_ack(t, c, s->gso_size != 0 ? s->gso_size : s->len, got, gap);
        deliver(t, c, got);
    }
    return all ? TERN_CAUSE_NONE : TERN_C_SHORT_OF_MEMORY;
}

/* The same of a segment that begins at RCV.NXT and fits, while nothing waits out of order (usual.c). */
enum tern_cause recv_next(struct tern *t, struct tcb *c, const struct segment *s)
{
    uint32_t got = append(t, c, s->keep, s->data, s->len);
    if (LIKELY(got > 0)) {
        recv_owe_ack(t, c, s->gso_size != 0 ? s->gso_size : s->len, got, false);
        deliver(t, c, got);
    }
    return LIKELY(got == s->len) ? TERN_CAUSE_NONE : TERN_C_SHORT_OF_MEMORY;
}

/* What was wrong is taken back. */
static bool take_verified(struct tern *t, struct rcv *r, const struct follower *f, tern_sum_fn *verify)
{
    uint64_t sum;
    uint32_t got = chunkq_append_summed(t->a, &r->q, f->data, f->len, MEM_DATA, verify, &sum);
    if (LIKELY(got == f->len && follower_right(f, sum)))
        return true;
    chunkq_drop_back(t->a, &r->q, got);
    t->a->copied -= got;
    return false;
}

static bool take_stored(struct tern *t, struct rcv *r, const struct follower *f, struct keep *keep)
{
    uint32_t got = recv_store(t, &r->q, keep, f->data, f->len, MEM_DATA);
    if (got < f->len)
        chunkq_drop_back(t->a, &r->q, got);
    return got == f->len;
}

/* Text is summed while it is copied, and has come only if the sum is right. */
static bool take_text(struct tern *t, struct rcv *r, const struct follower *f, tern_sum_fn *verify,
                      struct keep *keep)
{
    if (keep != NULL || verify == NULL)
        return (verify == NULL || follower_right(f, verify(NULL, f->data, f->len))) &&
               take_stored(t, r, f, keep);
    return take_verified(t, r, f, verify);
}

/* All of a follower's text is taken (follow.c), or nothing has happened. `seg`: the size of its segments. */
bool recv_follow(struct tern *t, struct tcb *c, const struct follower *f, uint32_t seg, tern_sum_fn *verify,
                 struct keep *keep)
{
    struct rcv *r = &c->rcv;
    if (r->q.len == 0 || !take_text(t, r, f, verify, keep)) /* the first byte has reserved memory */
        return false;
    r->nxt = seq_add(r->nxt, f->len);
    recv_owe_ack(t, c, seg, f->len, false);
    c->sum.received += f->len;
    return true;
}

/* SHLD-3, RFC 2525 2.17: nobody will read this any more. */
static enum tern_cause after_close(struct tern *t, struct tcb *c)
{
    c->rst_cause = TERN_C_SEND_RST_ABORT;
    tcb_end(t, c, TERN_C_DATA_AFTER_CLOSE, -TERN_ECONNRESET);
    return TERN_C_DATA_AFTER_CLOSE;
}

/* A FIN is noted wherever it stands; the eighth step sees whether it is next. Not where there is a byte
 * already: the peer contradicts itself, and what came first stays, here as everywhere. Noted, it would be
 * passed over when the gap below is filled, and nothing that follows would be taken, for ever. */
static void note_fin(struct tern *t, struct rcv *r, seq_t fin)
{
    if (!seq_ge(fin, r->nxt) || !seq_lt(fin, r->adv) || reasm_has(t, r, fin))
        return;
    r->fin_ooo = true;
    r->fin = fin;
}

/* The new part of the segment's text: from RCV.NXT or above to the right edge, and to a FIN: nothing comes
 * behind one (RFC 9293 3.10.7.4 seventh). */
enum tern_cause recv_text(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct rcv *r = &c->rcv;
    seq_t text = seq_add(s->seq, (s->flags & F_SYN) != 0); /* text begins behind a SYN */
    seq_t start = seq_max(text, r->nxt);
    seq_t end = seq_min(seq_add(text, s->len), r->adv);
    seq_t fin = seq_add(text, s->len);
    if (!r->fin_ooo && (s->flags & F_FIN))
        note_fin(t, r, fin);
    else if (r->fin_ooo)
        end = seq_min(end, r->fin);
    if (!seq_lt(start, end)) {
        if ((s->flags & F_FIN) && seq_gt(fin, r->nxt))
            owe_duplicate(t, c);
        return r->fin_ooo && s->len > 0 && seq_gt(fin, r->fin) ? TERN_C_TEXT_IGNORED : TERN_CAUSE_NONE;
    }
    if (c->face.orphan)
        return after_close(t, c);
    const uint8_t *data = s->data + seq_span(text, start);
    uint32_t len = seq_span(start, end);
    if (seq_eq(start, r->nxt))
        return in_order(t, c, s, data, len);
    enum tern_cause cause = reasm_add(t, r, start, data, len, s->keep);
    owe_duplicate(t, c);
    return cause;
}

bool recv_fin_reached(const struct tcb *c)
{
    return c->rcv.fin_ooo && !c->rcv.fin_rcvd && seq_eq(c->rcv.fin, c->rcv.nxt);
}

/* The program has taken bytes. */
void recv_read(struct tern *t, struct tcb *c)
{
    if (c->rcv.urgent && seq_le(c->rcv.up, seq(c->rcv.q.pos)))
        c->rcv.urgent = false;
    if (!c->rcv.fin_rcvd && c->h.state >= TERN_ESTABLISHED && window_update_due(t, c))
        recv_ack_now(t, c, TERN_C_SEND_WINDOW_UPDATE);
}
