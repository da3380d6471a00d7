/* echo.c - answers to ICMP and ICMPv6 echo (RFC 1122 3.2.2.6, RFC 4443 4.2). A few wait in a ring for
 * tern_tx. */
#include "ip/ip.h"

bool ip_echo_queue(struct arena *a, struct ip_state *s, const struct ip_hdr *ip, const struct icmp_msg *m,
                   uint8_t link)
{
    uint32_t hdr = ip->version == 4 ? 28 : 48;
    if (s->echo_count == IP_ECHOES || m->body_len + hdr > s->links[link].mtu || !ip_valid_peer(s, &ip->src))
        return false;
    struct ip_echo *e = &s->echoes[(s->echo_head + s->echo_count) % IP_ECHOES];
    *e = (struct ip_echo){.src = ip->dst, .dst = ip->src, .rest = m->rest, .link = link};
    e->tos = (uint8_t)(ip->tos & ~3);
    chunkq_init(&e->body, 0);
    if (chunkq_append(a, &e->body, m->body, m->body_len, MEM_DATA) < m->body_len) {
        chunkq_clear(a, &e->body);
        return false;
    }
    s->echo_count++;
    return true;
}

/* The body lies in pieces, so the checksum is made here and not by icmp_emit. */
static void emit_header(uint8_t *p, uint8_t version, const struct ip_echo *e, const tern_tx_packet *out)
{
    p[0] = version == 4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
    p[1] = 0;
    put16(p + 2, 0);
    put32(p + 4, e->rest);
    uint64_t sum = version == 4 ? 0 : csum_pseudo(&e->src, &e->dst, PROTO_ICMP6, 8 + e->body.len);
    sum = csum_add(sum, p, 8);
    put16(p + 2, csum_fold(csum_slices(sum, out->slices, out->n_slices)));
}

/* The body's pages stay until ip_echo_done: the packet points into them. */
bool ip_echo_emit(struct arena *a, struct ip_state *s, tern_tx_packet *out)
{
    if (s->echo_count == 0)
        return false;
    struct ip_echo *e = &s->echoes[s->echo_head];
    uint8_t version = tern_ip_is4(&e->dst) ? 4 : 6;
    uint8_t proto = version == 4 ? PROTO_ICMP : PROTO_ICMP6;
    uint32_t body = e->body.len, got = 0;
    uint16_t ip_len = ip_emit(out->hdr, &e->src, &e->dst, proto, 64, e->tos, 8 + body, s->id++);
    out->n_slices = (uint16_t)chunkq_slices(a, &e->body, 0, body, NULL, out->slices, TERN_TX_SLICES, &got);
    emit_header(out->hdr + ip_len, version, e, out);
    out->link = e->link;
    out->flags = version == 6 ? TERN_TX_IP6 : 0;
    out->hdr_len = (uint16_t)(ip_len + 8);
    out->gso_size = out->csum_start = out->csum_offset = 0;
    out->not_before = 0;
    out->len = out->hdr_len + body;
    s->echo_sent++;
    s->echo_head = (s->echo_head + 1) % IP_ECHOES;
    s->echo_count--;
    return true;
}

void ip_echo_done(struct arena *a, struct ip_state *s)
{
    for (; s->echo_sent > 0; s->echo_sent--)
        chunkq_clear(a, &s->echoes[(s->echo_head + IP_ECHOES - s->echo_sent) % IP_ECHOES].body);
}
