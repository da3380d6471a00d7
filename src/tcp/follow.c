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

struct tcb *follow_begin(struct tern *t, const struct segment *s)
{
    if (s->opt.n_sack > 0 || (s->tos & 3) == ECN_CE)
        return NULL;
    ref_t r = demux_find_segment(t, s);
    if (r == 0 || rec_kind(t, r) != REC_TCB)
        return NULL;
    struct tcb *c = tcb_at(t, r);
    return c->h.state == TERN_ESTABLISHED && ack_says_nothing(c, s) && text_is_plain(c, s) ? c : NULL;
}

bool follow_take(struct tern *t, struct tcb *c, const struct follower *f, const tern_rx_packet *p,
                 struct keep *keep)
{
    tern_sum_fn *verify = p->flags & TERN_RX_CSUM_OK ? NULL : t->sum;
    uint32_t seg = p->gso_size != 0 ? p->gso_size : f->len;
    if (!seq_eq(f->seq, c->rcv.nxt) || f->len > rcv_wnd(&c->rcv) ||
        arena_room(t->a, MEM_DATA) < 2 + (f->len >> t->a->page_shift) ||
        !recv_follow(t, c, f, seg, verify, keep))
        return false;
    t->w->stats.segs_in++;
    c->sum.segs_in++;
    c->snd.wl1 = f->seq;
    return true;
}

void follow_trace(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct who who = {0};
    who_of(t, c, &who);
    trace_segment_of(t, &who, TERN_TRACE_SEG_IN, s, TERN_CAUSE_NONE, 0);
    trace_conn(t, &c->h, TERN_TRACE_DELIVER, TERN_CAUSE_NONE, s->len, c->rcv.q.len, 0);
}

void follow_end(struct tern *t, struct tcb *c)
{
    timer_rearm(t, c); /* a delayed ACK may have become due */
}
