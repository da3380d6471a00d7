/* audit_sent.c - see audit.h: what a stack sends. */
#include "audit.h"

#include <string.h>

enum { TIMES_REST_US = 3000000, DELAYED_US = 500000 };

/* --- the handshake --------------------------------------------------------------------------- */

static void begin(struct audit_flow *f, const struct segment *s)
{
    bool twice = f->twice || f->ours.there;
    struct audit_syn its = f->its;
    tern_endpoint local = f->local, remote = f->remote;
    uint32_t next = f->next;
    int16_t host = f->host;
    memset(f, 0, sizeof *f);
    f->local = local;
    f->remote = remote;
    f->next = next;
    f->host = host;
    f->its = its;
    f->twice = twice;
    f->ours = (struct audit_syn){
        .there = true,
        .ts = s->ts,
        .sack = s->sack_ok,
        .ws = s->wscale != 0,
        .ecn = (s->flags & (ECE | CWR)) == (s->flags & ACK ? ECE : ECE | CWR),
        .shift = (uint8_t)(s->wscale ? s->wscale - 1 : 0),
        .mss = s->mss,
        .seq = s->seq,
    };
    f->snd_max = s->seq + 1;
    f->una = s->seq;
    f->ts_last = s->ts_val;
}

static void sent_syn(struct net *n, struct audit_flow *f, const struct segment *s)
{
    const struct audit_syn *i = &f->its;
    bool answer = s->flags & ACK;
    if (s->len > 0 || (s->flags & (FIN | URG)))
        audit_complain(n, f, "S1: a SYN with more than itself");
    if (!f->ours.there || s->seq != f->ours.seq || f->fin_sent)
        begin(f, s);
    f->plain |= !(s->flags & ECE);
    if (!answer)
        return;
    if (f->known && f->peer.seq + 1 == s->ack)
        return;
    if (!i->there || i->seq + 1 != s->ack)
        return; /* which SYN it answers was not seen */
    if (!f->twice && ((s->ts && !i->ts) || (s->sack_ok && !i->sack) || (s->wscale && !i->ws)))
        audit_complain(n, f, "S2: a SYN+ACK with an option that the SYN had not");
    f->ours.ts = s->ts;
    f->ours.sack = s->sack_ok;
    f->ours.ws = s->wscale != 0;
    f->ours.ecn = (s->flags & (ECE | CWR)) == ECE && i->ecn;
    if ((s->flags & (ECE | CWR)) == ECE && !i->ecn && !(f->its.there && (f->its.seq == s->ack - 1)))
        audit_complain(n, f, "S2: a SYN+ACK that agrees on ECN unasked");
    if (f->twice)
        return;
    audit_open(f, i);
    f->edge = s->ack + s->window;
    f->edge_known = true;
    f->peer_edge = s->seq + 1 + i->window;
}

/* --- numbers --------------------------------------------------------------------------------- */

static void check_ack(struct net *n, struct audit_flow *f, const struct segment *s)
{
    uint32_t edge = s->ack + ((uint32_t)s->window << (f->ours.ws && f->peer.ws ? f->ours.shift : 0));
    if (!(s->flags & ACK)) {
        audit_complain(n, f, "S3: no ACK in an open connection");
        return;
    }
    /* what the half-open record owed is said before what its connection says of the same batch */
    bool half_open = s->len == 0 && s->seq == f->ours.seq + 1 && s->ack == f->peer.seq + 1 &&
                     f->last_ack == s->ack;
    if (!f->blurred && audit_ahead(s->ack, f->rcv_nxt) > 0)
        audit_complain(n, f, "S3: acknowledges %d more than came", audit_ahead(s->ack, f->rcv_nxt));
    else if (!f->blurred && !half_open && audit_ahead(s->ack, f->rcv_nxt) < 0)
        audit_complain(n, f, "S3: acknowledges %d less than came", -audit_ahead(s->ack, f->rcv_nxt));
    else if (!f->blurred && !f->fin_came && audit_ahead(s->ack, f->last_ack) < 0)
        audit_complain(n, f, "S3: the acknowledgment goes back");
    if (f->edge_known && audit_ahead(edge + (1u << f->ours.shift), f->edge) <= 0)
        audit_complain(n, f, "S4: the window's right edge moves left by %d", audit_ahead(f->edge, edge));
    if (!f->edge_known || audit_ahead(edge, f->edge) > 0)
        f->edge = edge;
    f->edge_known = f->acks = true;
    f->last_ack = s->ack;
    f->owes = NULL;
}

static uint32_t options_of(const struct net_packet *p)
{
    const uint8_t *tcp = p->bytes + (p->bytes[0] >> 4 == 4 ? 20 : 40);
    return (tcp[12] >> 4) * 4u - 20;
}

static uint32_t mss_of(const struct audit_flow *f)
{
    if (f->peer.mss != 0)
        return f->peer.mss < 64 ? 64 : f->peer.mss;
    return tern_ip_is4(&f->remote.ip) ? 536 : 1220;
}

static void check_place(struct net *n, struct audit_flow *f, const struct segment *s)
{
    uint32_t end = s->seq + s->len;
    bool probe = s->len <= 1 && audit_ahead(s->seq, f->snd_max) <= 0;
    if (audit_ahead(s->seq, f->snd_max) > 0)
        audit_complain(n, f, "S5: a gap of %d before it", audit_ahead(s->seq, f->snd_max));
    if (s->len > 0 && audit_ahead(s->seq, f->ours.seq) <= 0 && !probe)
        audit_complain(n, f, "S5: text before the first");
    if (s->len > 0 && audit_ahead(end, f->snd_max) > 0 && audit_ahead(end, f->peer_edge) > 0 && !probe &&
        !f->blurred)
        audit_complain(n, f, "S6: %d beyond the peer's window", audit_ahead(end, f->peer_edge));
    if (f->fin_sent && audit_ahead(end + ((s->flags & FIN) != 0), f->fin_end) > 0)
        audit_complain(n, f, "S7: more behind the FIN");
    if (f->fin_sent && (s->flags & FIN) && end + 1 != f->fin_end)
        audit_complain(n, f, "S7: the FIN at another place");
}

static void check_options(struct net *n, struct audit_flow *f, const struct segment *s,
                          const struct net_packet *p)
{
    bool stamps = f->ours.ts && f->peer.ts;
    if (s->mss != 0 || s->wscale != 0 || s->sack_ok)
        audit_complain(n, f, "S8: an option of SYNs without SYN");
    if (s->ts != stamps)
        audit_complain(n, f,
                       stamps ? "S8: no timestamp, and it was agreed on"
                              : "S8: a timestamp that was not agreed on");
    if (stamps && s->ts && audit_ahead(s->ts_val, f->ts_last) < 0)
        audit_complain(n, f, "S9: its timestamps go back by %d", audit_ahead(f->ts_last, s->ts_val));
    if (stamps && s->ts && !f->blurred && !f->fin_came && f->ts_recent != 0 &&
        f->local.port != f->remote.port &&
        (audit_ahead(s->ts_ecr, f->ecr_last) < 0 || audit_ahead(s->ts_ecr, f->ts_recent) > 0))
        audit_complain(n, f, "S9: echoes timestamp %u, after %u, and TS.Recent is %u", s->ts_ecr, f->ecr_last,
                       f->ts_recent);
    f->ecr_last = s->ts_ecr;
    f->ts_last = s->ts_val;
    if (s->len + options_of(p) > mss_of(f))
        audit_complain(n, f, "S10: %u bytes and %u of options, MSS %u", s->len, options_of(p), mss_of(f));
}

static void check_sack(struct net *n, struct audit_flow *f, const struct segment *s)
{
    bool agreed = f->ours.sack && f->peer.sack;
    if (s->n_sack > 0 && !agreed)
        audit_complain(n, f, "S11: SACK blocks that were not agreed on");
    if (f->blurred || !agreed)
        return;
    if (s->n_sack == 0 && f->ranges > 0 && s->len == 0)
        audit_complain(n, f, "S11: no SACK block, and something came out of order");
    bool newest = false;
    for (uint32_t i = 0; i < s->n_sack; i++) {
        uint32_t from = s->sack[i].start, to = s->sack[i].end;
        bool again = i == 0 && (audit_ahead(to, s->ack) <= 0 || (s->n_sack > 1 && audit_has(f, from, to)));
        if (audit_ahead(to, from) <= 0 || (!again && !audit_has(f, from, to)))
            audit_complain(n, f, "S11: a SACK block of what did not come");
        newest |= audit_ahead(f->newest.from, from) >= 0 && audit_ahead(f->newest.to, to) <= 0 && i < 2;
    }
    if (f->owes != NULL && s->n_sack > 0 && !newest && audit_has(f, f->newest.from, f->newest.to))
        audit_complain(n, f, "S11: the latest that came is not in the first SACK block");
}

static uint32_t mark_of(const struct net_packet *p)
{
    return (p->bytes[0] >> 4 == 4 ? p->bytes[1] : p->bytes[1] >> 4) & 3u;
}

static void check_ecn(struct net *n, struct audit_flow *f, const struct segment *s,
                      const struct net_packet *p)
{
    bool agreed = f->ours.ecn && f->peer.ecn,
         is_new = s->len > 0 && audit_ahead(s->seq + s->len, f->snd_max) > 0;
    if (mark_of(p) != 0 && (!agreed || f->plain || !is_new))
        audit_complain(n, f, "S12: ECN-capable, and it is %s", agreed ? "no new data" : "not agreed on");
    if (!agreed && (s->flags & (ECE | CWR)))
        audit_complain(n, f, "S13: ECE or CWR, and ECN was not agreed on");
    if (!f->blurred && agreed && !f->ce_ever && (s->flags & ECE))
        audit_complain(n, f, "S13: ECE, and no CE has come");
    f->unsaid = f->ce && !(s->flags & ECE) ? f->unsaid + 1 : 0;
    if (!f->blurred && agreed && f->unsaid == 12)
        audit_complain(n, f, "S13: no ECE twelve times, and CE has come");
    if ((s->flags & CWR) && agreed && !is_new)
        audit_complain(n, f, "S13: CWR on what is no new data");
}

/* --- how much, and when -------------------------------------------------------------------------- */

static void check_flight(struct net *n, struct audit_flow *f, const struct segment *s)
{
    uint32_t end = s->seq + s->len, mss = mss_of(f);
    uint32_t first = 10 * mss > 14600 ? (2 * mss > 14600 ? 2 * mss : 14600) : 10 * mss;
    uint32_t most = first + f->acked + 2 * mss + 2;
    if (s->len > 1 && !f->loose && !f->blurred && audit_ahead(end, f->snd_max) > 0 && end - f->una > most)
        audit_complain(n, f, "S14: %u bytes in flight, and %u were acknowledged", end - f->una, f->acked);
}

static bool settled(const struct net *n, const struct audit_flow *f)
{
    return n->now > n->audit->clock_us[f->host] + TIMES_REST_US && n->host[f->host].link != 0;
}

/* Sent again with nothing heard in between: each time after a longer while (RFC 6298 5.5). */
static void check_again(struct net *n, struct audit_flow *f, const struct segment *s)
{
    const uint32_t *c = n->host[f->host].plan;
    uint64_t gap = n->now - f->sent_us, most = c[H_RTO_MAX_US] ? c[H_RTO_MAX_US] : 120000000;
    bool same = f->tries > 0 && f->sent_seq == s->seq;
    bool leapt = n->audit->clock_us[f->host] > f->sent_us; /* since then: its clock went another way than
                                                              ours */
    if (audit_ahead(s->seq, f->snd_max) >= 0 || s->seq != f->una || segment_space(s) == 0)
        return;
    if (same && !leapt && f->tries > 3 && settled(n, f) && f->local.port != f->remote.port &&
        gap < f->gap_us * 11 / 10 && gap < most * 9 / 10)
        audit_complain(n, f, "S15: sent again after %llu us, the time before after %llu",
                       (unsigned long long)gap, (unsigned long long)f->gap_us);
    /* one in which the machine stood still is longer than it waited, and says nothing of the next */
    f->gap_us = same && !leapt ? gap : 0;
    f->tries = same ? f->tries + 1 : 1;
    f->sent_us = n->now;
    f->sent_seq = s->seq;
}

static void check_program(struct net *n, struct audit_flow *f, const struct segment *s, int32_t conn)
{
    if (conn < 0)
        return;
    const struct net_conn *c = &n->conn[conn];
    int side = endpoint_equal(&c->pair[0], &f->local) ? 0 : 1;
    int32_t end = c->end[side];
    if (end < 0 || n->end[end].host != f->host || side != 0 || c->iss != f->ours.seq)
        return;
    const struct net_end *e = &n->end[end];
    uint32_t all = f->ours.seq + 1 + (uint32_t)e->j.sent, last = s->seq + s->len;
    if (s->len > 0 && audit_ahead(last, all) > 0)
        audit_complain(n, f, "S16: %d bytes that no program gave", audit_ahead(last, all));
    if ((s->flags & FIN) && !e->j.closed && !e->over)
        audit_complain(n, f, "S16: FIN, and the program has not closed");
    if ((s->flags & FIN) && last != all)
        audit_complain(n, f, "S16: FIN before the last byte");
    if (s->len > 1 && last == all && !(s->flags & PSH))
        audit_complain(n, f, "S17: the last that there is, without PSH");
}

/* --- all of it --------------------------------------------------------------------------------- */

static void check_packet(struct net *n, int host, const struct net_packet *p)
{
    const uint8_t *b = p->bytes;
    if (b[0] >> 4 == 4 ? b[8] != 64 : b[7] != 64)
        net_complain(n, WRONG_WIRE, -1, "S19: host %d sends with another TTL than 64", host);
}

static void follow(struct net *n, struct audit_flow *f, const struct segment *s, const struct net_packet *p)
{
    uint32_t end = s->seq + segment_space(s);
    check_sack(n, f, s);
    check_ack(n, f, s);
    check_place(n, f, s);
    check_options(n, f, s, p);
    check_ecn(n, f, s, p);
    check_flight(n, f, s);
    check_again(n, f, s);
    check_program(n, f, s, p->conn);
    if (s->flags & CWR)
        f->cwr_wanted = false;
    if (s->flags & FIN) {
        f->fin_sent = true;
        f->fin_end = end;
    }
    if (audit_ahead(end, f->snd_max) > 0)
        f->snd_max = end;
}

void audit_sent(struct net *n, int host, const struct net_packet *p)
{
    struct segment s;
    if (p->bytes[p->bytes[0] >> 4 == 4 ? 9 : 6] != 6)
        return;
    const char *wrong = segment_read(&s, p->bytes, p->len, p->csum_offset == 0);
    if (wrong != NULL) {
        net_complain(n, WRONG_WIRE, -1, "S0: host %d sends what is no segment: %s", host, wrong);
        return;
    }
    check_packet(n, host, p);
    struct audit_flow *f = audit_find(n, host, &s.src, &s.dst, p->conn >= 0 && (s.flags & SYN));
    if (f == NULL)
        return;
    f->blurred |= n->audit->blurred[host] || n->audit->clock_us[host] != 0;
    if ((mark_of(p) != 0) && (s.flags & (SYN | RST)))
        audit_complain(n, f, "S12: a SYN or RST is ECN-capable");
    if (s.flags & RST) {
        f->known = false; /* whether it goes on is not seen */
    } else if (s.flags & SYN) {
        sent_syn(n, f, &s);
    } else if (audit_follows(n, f)) {
        follow(n, f, &s, p);
    }
}

void audit_settled(struct net *n, int host)
{
    struct audit *a = n->audit;
    for (uint32_t i = 0; i < a->n_owing; i++) {
        struct audit_flow *f = &a->flow[a->owing[i]];
        if (f->owes != NULL && f->known && f->host == host && settled(n, f) && !f->blurred)
            audit_complain(n, f, "S21: no ACK at once: %s", f->owes);
        f->owes = NULL;
    }
    a->n_owing = 0;
}
