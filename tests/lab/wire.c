/* wire.c - packets of the peer made, packets of tern taken apart. */
#include "lab/lab.h"

uint8_t lab_byte(bool of_peer, uint64_t pos)
{
    uint64_t x = (pos + (of_peer ? 0x1234567 : 0)) * 0x9E3779B97F4A7C15ull;
    return (uint8_t)(x >> 56);
}

void lab_checksum(uint8_t *pkt, uint32_t len)
{
    struct ip_hdr ip;
    if ((pkt[0] >> 4) == 4) {
        put16(pkt + 10, 0);
        put16(pkt + 10, csum_fold(csum_add(0, pkt, (pkt[0] & 15u) * 4)));
    }
    if (ip_parse(pkt, len, &ip) != TERN_CAUSE_NONE || ip.fragment || ip.payload_len < 20 ||
        ip.proto != PROTO_TCP)
        return;
    uint8_t *tcp = pkt + (ip.payload - pkt);
    put16(tcp + 16, 0);
    uint64_t sum = csum_pseudo(&ip.src, &ip.dst, PROTO_TCP, ip.payload_len);
    put16(tcp + 16, csum_fold(csum_add(sum, tcp, ip.payload_len)));
}

uint32_t lab_build(struct lab *l, int flow, const struct segment *in, uint8_t *buf)
{
    struct segment s = *in;
    struct lab_flow *f = &l->flow[flow];
    uint8_t tcp[60];
    s.src = f->peer.ip, s.src_port = f->peer.port;
    s.dst = f->local.ip, s.dst_port = f->local.port;
    uint16_t tcp_len = tcp_emit(tcp, &s);
    uint16_t ip_len = ip_emit(buf, &s.src, &s.dst, PROTO_TCP, s.ttl ? s.ttl : 64, s.tos, tcp_len + s.len, 1);
    memcpy(buf + ip_len, tcp, tcp_len);
    uint8_t *data = buf + ip_len + tcp_len;
    uint32_t pos = s.seq.v - f->peer_iss - 1 + ((s.flags & F_SYN) != 0);
    for (uint32_t i = 0; i < s.len; i++)
        data[i] = s.data ? s.data[i] : lab_byte(true, pos + i);
    lab_checksum(buf, ip_len + tcp_len + s.len);
    return ip_len + tcp_len + s.len;
}

/* What tern may count on after this segment of the peer. */
void lab_learn_in(struct lab *l, int flow, const struct segment *s)
{
    struct lab_flow *f = &l->flow[flow];
    if (s->flags & F_RST)
        return;
    if (s->flags & F_SYN) {
        f->peer_ts = s->opt.ts;
        f->peer_ws = s->opt.wscale != WSCALE_NONE;
        f->peer_shift = f->peer_ws ? s->opt.wscale : 0;
        if (f->peer_shift > 14)
            f->peer_shift = 14; /* RFC 7323 2.3 */
    }
    if (!(s->flags & F_ACK) && !(s->flags & F_SYN))
        return;
    uint32_t wnd =
        (s->flags & F_SYN) || !f->tern_ws || !f->peer_ws ? s->wnd : (uint32_t)s->wnd << f->peer_shift;
    uint32_t edge = s->ack.v + wnd;
    if (!(s->flags & F_ACK))
        edge = f->iss + 1 + wnd;
    if (!f->peer_edge_known || (int32_t)(edge - f->peer_edge) > 0)
        f->peer_edge = edge;
    f->peer_edge_known = f->iss_known;
}

static void learn_out(struct lab_flow *f, const struct segment *s)
{
    if ((s->flags & F_SYN) && !f->iss_known) {
        f->iss_known = true;
        f->iss = s->seq.v;
        f->peer_nxt = f->snd_max = f->iss;
    }
    if (s->flags & F_SYN) {
        f->tern_ws = s->opt.wscale != WSCALE_NONE;
        f->tern_shift = f->tern_ws ? s->opt.wscale : 0;
        f->tern_ts = s->opt.ts;
        f->plain_syn |= (s->flags & (F_ECE | F_CWR)) != ((s->flags & F_ACK) ? F_ECE : F_ECE | F_CWR);
    }
    if (s->opt.ts) {
        f->ts_first = f->any_seen && f->ts_first ? f->ts_first : s->opt.ts_val;
        f->ts_last = s->opt.ts_val;
    }
    f->any_seen = true;
    if (s->flags & F_RST)
        return;
    uint32_t end = s->seq.v + seg_len(s);
    if ((int32_t)(s->seq.v - f->peer_nxt) <= 0 && (int32_t)(end - f->peer_nxt) > 0)
        f->peer_nxt = end;
}

static bool same(const tern_endpoint *e, const tern_ip *ip, uint16_t port)
{
    return e->port == port && memcmp(&e->ip, ip, sizeof(*ip)) == 0;
}

int lab_flow_of(const struct lab *l, const struct segment *s)
{
    for (int i = 0; i < LAB_FLOWS; i++) {
        const struct lab_flow *f = &l->flow[i];
        if (same(&f->local, &s->src, s->src_port) && same(&f->peer, &s->dst, s->dst_port))
            return i;
    }
    return -1;
}

static struct lab_out *new_out(struct lab *l)
{
    if (l->n_outs == 0)
        l->first_out = 0;
    if (l->first_out + l->n_outs == l->cap_outs) {
        size_t cap = l->cap_outs ? l->cap_outs * 2 : 64;
        l->outs = realloc(l->outs, cap * sizeof(*l->outs));
        assert_non_null(l->outs);
        l->cap_outs = cap;
    }
    struct lab_out *o = &l->outs[l->first_out + l->n_outs++];
    memset(o, 0, sizeof(*o));
    return o;
}

/* Complete a checksum that was left to the link, as a link does: over all from the TCP header on. */
static void complete(const tern_tx_packet *pkt, uint8_t *bytes)
{
    uint8_t *field = bytes + pkt->csum_start + pkt->csum_offset;
    put16(field, csum_fold(csum_add(0, bytes + pkt->csum_start, pkt->len - pkt->csum_start)));
}

void lab_capture(struct lab *l, const tern_tx_packet *pkt)
{
    struct lab_out *o = new_out(l);
    o->t = l->now;
    o->len = pkt->len;
    o->gso_size = pkt->gso_size;
    o->link = pkt->link;
    o->flow = -1;
    o->bytes = malloc(pkt->len + 1);
    assert_non_null(o->bytes);
    if (tern_tx_flatten(pkt, o->bytes) != pkt->len)
        lab_fail(l, "a packet's len is not what its pieces have");
    if (pkt->flags & TERN_TX_CSUM)
        complete(pkt, o->bytes);
    enum tern_cause c = ip_parse(o->bytes, o->len, &o->ip);
    if (c != TERN_CAUSE_NONE)
        lab_fail(l, "tern sent a bad IP packet: %s", tern_cause_text(c));
    if (o->ip.proto != PROTO_TCP)
        return;
    c = tcp_parse(&o->ip, true, &o->seg); /* MUST-2: also the checksum, of each segment */
    if (c != TERN_CAUSE_NONE)
        lab_fail(l, "tern sent a bad segment: %s", tern_cause_text(c));
    o->flow = lab_flow_of(l, &o->seg);
    if (o->flow >= 0) {
        learn_out(&l->flow[o->flow], &o->seg);
        if (!l->done)
            lab_audit(l, o);
    }
}

/* ICMP's error quotes the IP header and at least 8 bytes (RFC 792); ICMPv6 as much as fits. Here: header
 * and 8. */
static uint32_t quoted(struct lab *l, int flow, uint32_t rel_seq, uint8_t *out)
{
    struct lab_flow *f = &l->flow[flow];
    struct segment s = {.src_port = f->local.port, .dst_port = f->peer.port, .seq = seq(f->iss + rel_seq)};
    s.flags = F_ACK;
    s.opt.wscale = WSCALE_NONE;
    uint8_t tcp[60];
    uint16_t n = ip_emit(out, &f->local.ip, &f->peer.ip, PROTO_TCP, 60, 0, 20 + 100, 1);
    tcp_emit(tcp, &s);
    memcpy(out + n, tcp, 8);
    return n + 8u;
}

void lab_icmp(struct lab *l, int flow, uint8_t type, uint8_t code, uint32_t rest, uint32_t rel_seq)
{
    uint8_t buf[256], body[128];
    uint32_t body_len = quoted(l, flow, rel_seq, body);
    bool v4 = tern_ip_is4(&l->ip);
    tern_ip router = l->peer_ip;
    router.b[15] = 254;
    uint16_t n = ip_emit(buf, &router, &l->ip, v4 ? PROTO_ICMP : PROTO_ICMP6, 64, 0, 8 + body_len, 1);
    icmp_emit(buf + n, v4 ? 4 : 6, type, code, rest, body, body_len, &router, &l->ip);
    memcpy(buf + n + 8, body, body_len);
    tern_tick(l->t, l->now);
    lab_rx(l, buf, n + 8 + body_len);
    l->mark = l->now;
}
