/* audit.c - what must hold of every segment that tern sends, whatever the test is about.
 *
 *  A1  No MSS option without SYN (RFC 9293 MUST-65).
 *  A2  No packet is larger than the MTU; a super-segment's pieces are not, and it has more than one.
 *  A3  The bytes are those of the program's stream (never other ones for a number that was used before).
 *  A4  The right edge of tern's window does not move left (SHLD-14).
 *  A5  Nothing is sent beyond the furthest edge that the peer ever offered, but for a probe of one byte
 *      (3.8.6.1).
 *  A6  Nothing comes after the FIN.
 *  A7  New data is sent only within the congestion window, and limited transmit's two segments (RFC 5681,
 *      RFC 3042).
 *  A8  With timestamps agreed each segment but a RST has them (RFC 7323 3.2).
 *  A9  A segment with SYN or ACK acknowledges what the peer has sent only.
 *  A10 Pure ACKs, SYNs and retransmissions are not ECN-capable (RFC 3168 6.1.1, 6.1.4, 6.1.5), and nothing is
 *      when one of our SYNs or SYN+ACKs did not set ECN up (6.1.1).
 *  A11 Options: each but NOP and EOL has a length that fits (MUST-68), behind EOL all is zero (MUST-69).
 */
#include "lab/lab.h"

static int32_t ahead(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static void audit_size(struct lab *l, const struct lab_out *o)
{
    uint32_t headers = o->len - o->seg.len;
    if (o->gso_size != 0 && o->seg.len > l->cfg.gso_max)
        lab_fail(l, "A2: %u bytes to be cut by a link that cuts %u", o->seg.len, l->cfg.gso_max);
    if (o->gso_size == 0 && o->len > l->cfg.mtu)
        lab_fail(l, "A2: a packet of %u bytes, MTU %u", o->len, l->cfg.mtu);
    if (o->gso_size != 0 && (headers + o->gso_size > l->cfg.mtu || o->seg.len <= o->gso_size))
        lab_fail(l, "A2: a super-segment of %u bytes in pieces of %u, MTU %u", o->seg.len, o->gso_size,
                 l->cfg.mtu);
}

static void audit_bytes(struct lab *l, const struct lab_flow *f, const struct segment *s)
{
    uint32_t pos = s->seq.v - f->iss - 1 + ((s->flags & F_SYN) != 0);
    for (uint32_t i = 0; i < s->len; i++)
        if (f->iss_known && s->data[i] != lab_byte(false, (uint32_t)(pos + i)) &&
            !(s->len == 1 && pos + 1 == 0))
            lab_fail(l, "A3: the byte at %u of the stream is wrong", pos + i);
}

static void audit_window(struct lab *l, struct lab_flow *f, const struct segment *s)
{
    bool scaled = f->peer_ws && f->tern_ws && !(s->flags & F_SYN);
    uint32_t edge = s->ack.v + (scaled ? (uint32_t)s->wnd << f->tern_shift : s->wnd);
    if (!(s->flags & F_ACK) || (s->flags & F_RST))
        return;
    if (f->edge_known && ahead(edge, f->edge) < 0)
        lab_fail(l, "A4: the right edge moves left by %d to %u", -ahead(edge, f->edge), edge - f->peer_iss);
    f->edge = edge;
    f->edge_known = true;
}

static void audit_limits(struct lab *l, struct lab_flow *f, const struct segment *s)
{
    uint32_t end = s->seq.v + seg_len(s);
    tern_info info = {0};
    if (f->h.v)
        tern_get_info(l->t, f->h, &info);
    if (f->fin_seen && ahead(end, f->snd_max) > 0)
        lab_fail(l, "A6: sent after the FIN");
    bool is_new = s->len > 0 && ahead(end, f->snd_max) > 0;
    bool probe = s->len == 1 && ahead(s->seq.v, f->snd_max) <= 0;
    if (is_new && f->peer_edge_known && ahead(s->seq.v + s->len, f->peer_edge) > 0 && !probe)
        lab_fail(l, "A5: %d bytes beyond the peer's window", ahead(s->seq.v + s->len, f->peer_edge));
    if (is_new && !probe && info.cwnd > 0 && info.in_flight > info.cwnd + 2 * info.mss)
        lab_fail(l, "A7: %u bytes in flight, window %u", info.in_flight, info.cwnd);
    if ((s->tos & 3) != 0 && f->plain_syn)
        lab_fail(l, "A10: ECN-capable after a SYN that did not ask");
    if (is_new && (s->tos & 3) == 0 && info.ecn && !probe && !f->plain_syn)
        lab_fail(l, "A10: data on a connection with ECN is not marked ECN-capable");
    if ((s->tos & 3) != 0 && !is_new && !(s->len > 0 && ahead(end, f->snd_max) >= 0))
        lab_fail(l, "A10: ECN-capable though it is no new data");
    if (ahead(end, f->snd_max) > 0)
        f->snd_max = end;
    f->fin_seen |= (s->flags & F_FIN) != 0;
}

static void audit_options(struct lab *l, const uint8_t *tcp)
{
    uint32_t end = (tcp[12] >> 4) * 4u, i = 20;
    while (i < end && tcp[i] != 0) {
        if (tcp[i] == 1) {
            i++;
            continue;
        }
        if (i + 1 >= end || tcp[i + 1] < 2 || i + tcp[i + 1] > end)
            lab_fail(l, "A11: option %u at %u has no fitting length", tcp[i], i);
        i += tcp[i + 1];
    }
    for (; i < end; i++)
        if (tcp[i] != 0)
            lab_fail(l, "A11: behind EOL something else than zero");
}

void lab_audit(struct lab *l, const struct lab_out *o)
{
    struct lab_flow *f = &l->flow[o->flow];
    const struct segment *s = &o->seg;
    audit_size(l, o);
    audit_options(l, o->ip.payload);
    if (s->opt.mss != 0 && !(s->flags & F_SYN))
        lab_fail(l, "A1: an MSS option without SYN");
    if (s->flags & F_RST)
        return;
    audit_bytes(l, f, s);
    if (!l->cfg.any_edge && f->iss_known) {
        audit_window(l, f, s);
        audit_limits(l, f, s);
    }
    if (f->tern_ts && f->peer_ts && !s->opt.ts && !(s->flags & F_SYN))
        lab_fail(l, "A8: no timestamp");
}
