/* follow.c - the next bytes of a stream, with headers that say nothing else new (wire/follow.c).
 *
 * Bulk data comes as runs of segments that differ in nothing but their numbers. The first of a run goes
 * through the ordered list of 3.10.7.4 like any other. When that has taken it, and the connection then is in
 * a state in which the same list would do nothing with its successor but to take the text, then it is enough
 * to take the text:
 *
 *   first    RCV.NXT is the successor's number, all of it lies in the window; its timestamp is TS.Recent's or
 *            newer, since the first one's was
 *   fifth    SEG.ACK is SND.UNA, and its window was noted: nothing moves; it is no duplicate, since it has
 *            text, and no loss is being repaired that would be judged anew
 *   others   no RST, SYN, URG or FIN; no CE mark to note; nothing out of order to join
 *
 * What remains is written down here step by step, and leaves the same state behind as the list does. Whatever
 * is otherwise goes through the list: also a wrong checksum, which shows only when the bytes are there
 * already and are taken back.
 */
#include "tcp/follow.h"
#include "tcp/tcp.h"

/* RFC 9293 3.10.7.4 fifth: an ACK of nothing new changes nothing. */
static bool ack_says_nothing(const struct tcb *c, const struct segment *s)
{
    const struct snd *n = &c->snd;
    return seq_eq(s->ack, n->una) && seq_eq(n->wl1, s->seq) && seq_eq(n->wl2, s->ack) &&
           c->rec.phase == PHASE_OPEN && c->rec.dupacks == 0 && c->list.sacked == 0;
}

/* Sixth to eighth: text that is next is taken, and nothing else. */
static bool text_is_plain(const struct tcb *c, const struct segment *s)
{
    const struct rcv *r = &c->rcv;
    return seq_eq(r->nxt, seq_add(s->seq, s->len)) && r->ooo.head == 0 && !r->fin_ooo && !c->face.orphan;
}

bool follow_begin(struct tern *t, struct run *run, uint16_t ip_len, const uint8_t *p,
                  const struct segment *s, uint32_t front)
{
    tcp_lead(ip_len, p, s, &run->lead);
    if (run->lead.p == NULL || s->opt.n_sack > 0 || (s->tos & 3) == ECN_CE)
        return false;
    ref_t r = demux_find_segment(t, s);
    if (r == 0 || rec_kind(t, r) != REC_TCB)
        return false;
    run->c = tcb_at(t, r);
    run->front = front;
    if (run->c->h.state != TERN_ESTABLISHED || !ack_says_nothing(run->c, s) || !text_is_plain(run->c, s))
        return false;
    tcp_lead_sums(&run->lead);
    return true;
}

static bool next_of(const struct run *run, const tern_rx_packet *p, seq_t nxt, struct follower *f)
{
    return tcp_follows(&run->lead, p->data + run->front, p->len - run->front, f) && seq_eq(f->seq, nxt);
}

/* Payload of one of its segments. */
static uint32_t segment_size(const tern_rx_packet *p, const struct follower *f)
{
    return p->gso_size != 0 ? p->gso_size : f->len;
}

bool follow_take(struct tern *t, struct run *run, const tern_rx_packet *p, struct keep *keep)
{
    struct tcb *c = run->c;
    struct follower f;
    tern_sum_fn *verify = p->flags & TERN_RX_CSUM_OK ? NULL : t->sum;
    if (!next_of(run, p, c->rcv.nxt, &f) || f.len > rcv_wnd(&c->rcv) ||
        arena_room(t->a, MEM_DATA) < 2 + (f.len >> t->a->page_shift) ||
        !recv_follow(t, c, &f, segment_size(p, &f), verify, keep))
        return false;
    t->w->stats.segs_in++;
    c->sum.segs_in++;
    c->snd.wl1 = f.seq;
    return true;
}

/* Room for a row: behind what the last page has, and in the window. 0: others must see to it. */
static uint32_t row_room(struct tern *t, const struct run *run)
{
    const struct rcv *r = &run->c->rcv;
    if (r->q.len == 0 || arena_room(t->a, MEM_DATA) < 2)
        return 0; /* the first byte has reserved memory */
    return min_u32(chunkq_room(t->a, &r->q), rcv_wnd(r));
}

/* The same of all that lie one behind the other in the last page: text is summed while it is copied, and has
 * come only if the sum is right. How many. */
int follow_row(struct tern *t, struct run *run, tern_rx_packet *pkts, int n)
{
    struct tcb *c = run->c;
    struct rcv *r = &c->rcv;
    struct follower f;
    seq_t last = r->nxt;
    uint32_t room = row_room(t, run), got = 0, trace = (uint32_t)t->trace.head;
    uint8_t *to = room > 0 ? chunkq_end(t->a, &r->q) : NULL;
    uint64_t bytes = 0;
    int i = 0;
    for (; i < n && room > got; i++) {
        tern_rx_packet *p = &pkts[i];
        if ((p->flags & (TERN_RX_CSUM_OK | TERN_RX_LENDABLE)) != 0 ||
            !next_of(run, p, seq_add(r->nxt, got), &f) || f.len > room - got ||
            !follower_right(&f, t->sum(to + got, f.data, f.len)))
            break;
        got += f.len;
        bytes += p->len;
        recv_owe_ack(t, c, segment_size(p, &f), f.len, false);
        last = f.seq;
        p->trace = trace;
        p->kept = false;
        p->cause = TERN_CAUSE_NONE;
        p->verdict = TERN_TAKEN;
    }
    if (i == 0)
        return 0;
    chunkq_placed(t->a, &r->q, got);
    r->nxt = seq_add(r->nxt, got);
    c->sum.received += got;
    c->sum.segs_in += (uint32_t)i;
    c->snd.wl1 = last;
    t->w->stats.segs_in += (uint64_t)i;
    t->w->stats.rx_packets += (uint64_t)i;
    t->w->stats.rx_bytes += bytes;
    return i;
}

void follow_trace(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct who who = {0};
    who_of(t, c, &who);
    trace_segment_of(t, &who, TERN_TRACE_SEG_IN, s, TERN_CAUSE_NONE, 0);
    trace_conn(t, &c->h, TERN_TRACE_DELIVER, TERN_CAUSE_NONE, s->len, c->rcv.q.len, 0);
}

/* A delayed ACK may have become due. */
void follow_end(struct tern *t, struct run *run) { timer_rearm(t, run->c); }
