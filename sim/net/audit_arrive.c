/* audit_arrive.c - see audit.h: what a stack is given, and what it owes for it. */
#include "audit.h"

#include <string.h>

enum { RATION = 4, RATION_US = 20000000 };

/* --- the handshake --------------------------------------------------------------------------- */

static void note_syn(struct audit_syn *to, const struct segment *s)
{
    *to = (struct audit_syn){
        .there = true,
        .ts = s->ts,
        .sack = s->sack_ok,
        .ws = s->wscale != 0,
        .ecn = (s->flags & (ECE | CWR)) == (s->flags & ACK ? ECE : ECE | CWR),
        .shift = (uint8_t)(s->wscale ? (s->wscale - 1 > 14 ? 14 : s->wscale - 1) : 0),
        .mss = s->mss,
        .seq = s->seq,
        .ts_val = s->ts_val,
        .window = s->window,
    };
}

/* From here on its segments are followed. */
void audit_open(struct audit_flow *f, const struct audit_syn *peer)
{
    f->known = !f->twice;
    f->ecr_last = peer->ts_val;
    f->peer = *peer;
    f->rcv_nxt = f->last_ack = peer->seq + 1;
    f->ranges = 0;
    f->ce_ever = f->loose = f->fin_came = f->acks = f->ce = f->cwr_wanted = false;
    f->ts_recent = peer->ts_val;
    f->peer_edge = f->ours.seq + 1 + peer->window;
    f->wnd = peer->window;
    f->wl1 = peer->seq;
    f->wl2 = f->ours.seq;
    f->tries = 0;
}

static void arrived_syn(struct audit_flow *f, const struct segment *s, bool taken)
{
    struct audit_syn before = f->its;
    bool crossed = before.there && before.heard && before.seq == s->seq;
    note_syn(&f->its, s);
    f->its.heard = taken && f->ours.there;
    if (before.there && before.seq == s->seq) { /* a middlebox took options off one of them */
        f->its.ts |= before.ts;
        f->its.sack |= before.sack;
        f->its.ws |= before.ws;
        f->its.shift |= before.shift;
        f->its.mss = f->its.mss > before.mss ? f->its.mss : before.mss;
    }
    bool answers = (s->flags & ACK) && f->ours.there && s->ack == f->ours.seq + 1;
    if (!answers || !taken || (f->known && f->peer.seq == s->seq))
        return;
    if (!crossed)
        note_syn(&f->its, s); /* what a SYN before it had offered, nobody has heard */
    audit_open(f, &f->its);
    f->peer_edge = s->ack + s->window;
}

/* --- text and its acknowledgment ---------------------------------------------------------------- */

static void owe(struct net *n, struct audit_flow *f, const char *why)
{
    struct audit *a = n->audit;
    f->owes = why;
    if (a->n_owing < BATCH_MOST)
        a->owing[a->n_owing++] = (uint32_t)(f - a->flow);
}

/* For what is refused the stack may answer no more than so often (RFC 5961 7). */
static void owe_now_and_then(struct net *n, struct audit_flow *f, const char *why)
{
    if (n->now - f->refused_us > RATION_US) {
        f->refused_us = n->now;
        f->refused = 0;
    }
    if (++f->refused <= RATION && f->acks && f->acked > 1 && !f->fin_sent)
        owe(n, f, why);
}

static void note_stamp(struct audit_flow *f, const struct segment *s)
{
    if (s->ts && f->ours.ts && f->peer.ts && audit_ahead(s->ts_val, f->ts_recent) >= 0 &&
        audit_ahead(s->seq, f->last_ack) <= 0)
        f->ts_recent = s->ts_val;
}

/* What lies in the window is taken; the rest of it is not (RFC 9293 3.10.7.4 first). */
static void take_text(struct net *n, struct audit_flow *f, const struct segment *s)
{
    uint32_t before = f->rcv_nxt, ranges = f->ranges, end = s->seq + s->len;
    bool fin = s->flags & FIN;
    if (f->fin_came && audit_ahead(end, f->fin_came_at) > 0) {
        if (audit_ahead(s->seq, f->fin_came_at) >= 0)
            return; /* nothing comes behind a FIN (3.10.7.4, seventh) */
        end = f->fin_came_at;
    }
    if (s->len > 0 && f->edge_known && audit_ahead(end, f->edge) > 0) {
        end = f->edge;
        fin = false;
        f->blurred = true; /* a window has an exact edge, but what is told of it is rounded */
    }
    if (s->len > 0)
        audit_add_range(f, s->seq, end);
    if (s->len > 0 && audit_ahead(s->seq, before) > 0)
        f->newest = (struct audit_range){s->seq, end};
    if (fin && !f->fin_came) {
        f->fin_came = true;
        f->fin_came_at = end;
    }
    if (f->fin_came && f->rcv_nxt == f->fin_came_at) {
        f->rcv_nxt++;
        owe(n, f, "a FIN has come");
    }
    if (s->len > 0 && audit_ahead(s->seq, before) > 0)
        owe(n, f, "it came out of order");
    else if (s->len > 0 && ranges > 0 && f->rcv_nxt != before)
        owe(n, f, "it fills a gap");
}

/* SND.UNA and SND.WND (RFC 9293 3.10.7.4 fifth): the window of an old segment does not count, and then the
 * edge moves with what is acknowledged. */
static void note_ack(struct audit_flow *f, const struct segment *s)
{
    f->tries = 0;
    if (!(s->flags & ACK) || audit_ahead(s->ack, f->snd_max) > 0 || audit_ahead(s->ack, f->una) < 0)
        return;
    f->loose |= s->n_sack > 0 || (s->ack == f->una && s->len == 0);
    f->acked += s->ack - f->una;
    f->una = s->ack;
    if (audit_ahead(f->wl1, s->seq) < 0 || (f->wl1 == s->seq && audit_ahead(f->wl2, s->ack) <= 0)) {
        f->wnd = (uint32_t)s->window << (f->ours.ws && f->peer.ws ? f->peer.shift : 0);
        f->wl1 = s->seq;
        f->wl2 = s->ack;
    }
    uint32_t seen = s->ack + ((uint32_t)s->window << (f->ours.ws && f->peer.ws ? f->peer.shift : 0));
    uint32_t edge = f->una + f->wnd;
    edge = audit_ahead(seen, edge) > 0 ? seen : edge;
    if (audit_ahead(edge, f->peer_edge) > 0)
        f->peer_edge = edge;
}

static void taken(struct net *n, struct audit_flow *f, const struct segment *s, const struct net_packet *p)
{
    uint32_t tos = p->bytes[0] >> 4 == 4 ? p->bytes[1] : (uint32_t)(p->bytes[0] << 4 | p->bytes[1] >> 4);
    note_stamp(f, s);
    if (f->ours.ecn && f->peer.ecn && (tos & 3) == 3)
        f->ce_ever = true;
    if (f->ours.ecn && f->peer.ecn && (s->flags & ECE))
        f->cwr_wanted = true;
    uint32_t before = f->rcv_nxt;
    take_text(n, f, s);
    if (f->ours.ecn && f->peer.ecn && (tos & 3) == 3 && f->rcv_nxt == before + s->len && s->len > 0 &&
        s->seq == before)
        f->ce = true;
}

/* --- refusals -------------------------------------------------------------------------------- */

/* A refused segment: was there reason, and is something owed for it? */
static void refused(struct net *n, struct audit_flow *f, const struct segment *s, enum tern_cause cause)
{
    bool stamps = f->ours.ts && f->peer.ts;
    uint32_t end = s->seq + segment_space(s);
    switch (cause) {
    case TERN_C_SEQ_OLD:
        if (audit_ahead(end, f->rcv_nxt) > 0 && !f->blurred)
            audit_complain(n, f, "A3: refused as old, and it ends %d behind what came",
                           audit_ahead(end, f->rcv_nxt));
        if (s->len > 0)
            owe_now_and_then(n, f, "it repeats what had come");
        break;
    case TERN_C_SEQ_BEYOND:
        if (f->edge_known && audit_ahead(s->seq, f->edge) < 0 && audit_ahead(s->seq, f->rcv_nxt) >= 0 &&
            !f->blurred)
            audit_complain(n, f, "A3: refused as beyond a window that it is in");
        break;
    case TERN_C_WINDOW_PROBE:
        owe_now_and_then(n, f, "it probes a closed window");
        note_stamp(f, s);
        break;
    case TERN_C_PAWS:
        if (!stamps || !s->ts || (audit_ahead(s->ts_val, f->ts_recent) >= 0 && !f->blurred))
            audit_complain(n, f, "A3: refused for its timestamp, which is not older");
        break;
    case TERN_C_TS_MISSING:
        if (!stamps || s->ts)
            audit_complain(n, f, "A3: refused for a timestamp that it has, or that was not agreed on");
        break;
    case TERN_C_ACK_UNSENT:
        if (audit_ahead(s->ack, f->snd_max) <= 0)
            audit_complain(n, f, "A3: refused for an ACK of what was sent");
        break;
    case TERN_C_ACK_TOO_OLD:
        if (audit_ahead(s->ack, f->una) >= 0)
            audit_complain(n, f, "A3: refused for an old ACK, and it is not old");
        break;
    default: f->blurred |= segment_space(s) > 0; break;
    }
}

/* What must have been refused. */
static void accepted(struct net *n, struct audit_flow *f, const struct segment *s)
{
    uint32_t end = s->seq + segment_space(s);
    bool stamps = f->ours.ts && f->peer.ts;
    if (f->blurred || f->fin_came || (s->flags & (SYN | RST)))
        return;
    if (!(s->flags & ACK))
        audit_complain(n, f, "A4: a segment without ACK is taken");
    else if (audit_ahead(s->ack, f->snd_max) > 0)
        audit_complain(n, f, "A4: an ACK of %d more than was sent is taken", audit_ahead(s->ack, f->snd_max));
    else if (stamps && !s->ts)
        audit_complain(n, f, "A4: a segment without the timestamp that was agreed on is taken");
    else if (stamps && audit_ahead(s->ts_val, f->ecr_last) < 0 &&
             audit_ahead(s->ts_val, f->ecr_last) > -0x1000000)
        audit_complain(n, f, "A4: a segment with an old timestamp is taken");
    else if (f->edge_known && audit_ahead(s->seq, f->edge) > 0)
        audit_complain(n, f, "A4: a segment %d beyond the window is taken", audit_ahead(s->seq, f->edge));
    else if (f->acks && audit_ahead(end, f->rcv_nxt) < -1)
        audit_complain(n, f, "A4: a segment that ends %d before what came is taken",
                       audit_ahead(f->rcv_nxt, end));
}

static bool in_pieces(const struct net_packet *p)
{
    const uint8_t *b = p->bytes;
    return p->len > 8 && (b[0] >> 4 == 4 ? ((b[6] & 0x3f) | b[7]) != 0 : b[6] == 44);
}

static bool wants_memory(enum tern_cause c)
{
    return c == TERN_C_OOO_LIMIT || c == TERN_C_NO_MEMORY || c == TERN_C_SHORT_OF_MEMORY ||
           c == TERN_C_TEXT_IGNORED || c == TERN_C_ACCEPT_FULL;
}

void audit_arrived(struct net *n, int host, const struct net_packet *p, const tern_rx_packet *rx)
{
    struct segment s;
    bool vouched = p->flags & TERN_RX_CSUM_OK;
    if (in_pieces(p)) {
        n->audit->blurred[host] = true;
        return;
    }
    if (p->len > 20 && p->bytes[p->bytes[0] >> 4 == 4 ? 9 : 6] != 6) {
        audit_disturb(n, host, n->now); /* ICMP: it may have made segments smaller */
        return;
    }
    if (!audit_read(&s, p, vouched)) {
        if (rx->verdict == TERN_TAKEN)
            net_complain(n, WRONG_WIRE, -1, "A5: host %d takes what is no whole segment", host);
        return;
    }
    struct audit_flow *f = audit_find(n, host, &s.dst, &s.src, p->conn >= 0 && (s.flags & SYN));
    if (f == NULL)
        return;
    if (s.flags & RST)
        f->blurred = true; /* forged ones may end it, or lead back to an older one */
    n->audit->blurred[host] |= wants_memory((enum tern_cause)rx->cause);
    bool is_taken = rx->verdict == TERN_TAKEN && rx->cause == 0;
    f->blurred |= n->audit->blurred[host] || n->audit->clock_us[host] != 0;
    if ((s.flags & SYN) && f->its.there && f->its.seq != s.seq) {
        f->twice = true; /* which of them the stack believes is not seen */
        f->known = false;
    }
    if (s.flags & SYN)
        arrived_syn(f, &s, is_taken);
    if (!audit_follows(n, f) || rx->verdict == TERN_UNCLAIMED)
        return;
    if (s.flags & CWR)
        f->ce = false;
    /* one that is old, or forged: nothing of it counts */
    bool old = rx->cause == TERN_C_PAWS || rx->cause == TERN_C_TS_MISSING;
    if (!(s.flags & (SYN | RST)) && !old)
        note_ack(f, &s);
    if (rx->cause != 0 && !(s.flags & (SYN | RST)))
        refused(n, f, &s, (enum tern_cause)rx->cause);
    if (is_taken && (s.flags & RST))
        f->known = false;
    if (!is_taken || (s.flags & (SYN | RST)))
        return;
    accepted(n, f, &s);
    taken(n, f, &s, p);
}
