/* echo.c - answers to ICMP and ICMPv6 echo (RFC 1122 3.2.2.6, RFC 4443 4.2). A few wait in a ring for
 * tern_tx. */
#include "ip/ip.h"

#define ICMP_BYTES 8u     /* header of an echo message */
#define CHUNK_HEAD 64u    /* at most, of a page */
#define ECHO_TTL 64
#define ECHO_MOST 65500u  /* body; a datagram of 64 KiB carries no more */

bool ip_echo_queue(struct arena *a, struct ip_state *s, const struct ip_hdr *ip, const struct icmp_msg *m,
                   uint8_t link)
{
    if (s->echo_count + s->echo_sent == IP_ECHOES || m->body_len > ECHO_MOST || !ip_valid_peer(s, &ip->src))
        return false;
    struct ip_echo *e = &s->echoes[(s->echo_head + s->echo_count) % IP_ECHOES];
    *e = (struct ip_echo){.src = ip->dst, .dst = ip->src, .rest = m->rest, .link = link};
    e->tos = (uint8_t)(ip->tos & ~3);
    e->id = s->id++;
    chunkq_init(&e->body, 0);
    if (chunkq_append(a, &e->body, m->body, m->body_len, MEM_DATA) < m->body_len) {
        chunkq_clear(a, &e->body);
        return false;
    }
    s->echo_count++;
    return true;
}

/* The body lies in pieces, so the checksum is made here and not by icmp_emit. */
static void emit_header(struct arena *a, uint8_t *p, uint8_t version, const struct ip_echo *e,
                        tern_tx_packet *out)
{
    p[0] = version == 4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
    p[1] = 0;
    put16(p + 2, 0);
    put32(p + 4, e->rest);
    uint64_t sum = version == 4 ? 0 : csum_pseudo(&e->src, &e->dst, PROTO_ICMP6, ICMP_BYTES + e->body.len);
    sum = csum_add(sum, p, ICMP_BYTES);
    /* each turn but the last ends with a page: even */
    for (uint32_t from = 0, got; from < e->body.len; from += got) {
        int n = chunkq_slices(a, NULL, &e->body, from, e->body.len - from, NULL, out->slices, TERN_TX_SLICES,
                              &got);
        sum = csum_slices(sum, out->slices, (uint32_t)n, csum_plain);
    }
    put16(p + 2, csum_fold(sum));
}

/* How many bytes of the message the next packet carries: all, or what fits into a fragment. */
static uint32_t piece_of(const struct ip_echo *e, uint32_t mtu, uint8_t version, uint32_t most)
{
    uint32_t room = min_u32(mtu - (version == 4 ? 20 : 40), most), message = ICMP_BYTES + e->body.len;
    if (e->at == 0 && message <= room)
        return message;
    room = (room - (version == 4 ? 0 : 8)) & ~7u;
    return min_u32(room, message - e->at);
}

static uint16_t emit_ip(const struct ip_echo *e, uint32_t piece, uint8_t version, uint8_t *p)
{
    uint8_t proto = version == 4 ? PROTO_ICMP : PROTO_ICMP6;
    uint32_t message = ICMP_BYTES + e->body.len;
    if (piece == message)
        return ip_emit(p, &e->src, &e->dst, proto, ECHO_TTL, e->tos, piece, 0);
    return ip_emit_fragment(p, &e->src, &e->dst, proto, ECHO_TTL, e->tos, piece, e->id, e->at,
                            e->at + piece < message);
}

/* One packet of the reply at the head; true when it was the last one. */
static bool emit_piece(struct arena *a, struct ip_state *s, struct ip_echo *e, tern_tx_packet *out)
{
    uint8_t version = tern_ip_is4(&e->dst) ? 4 : 6;
    uint32_t slices = (TERN_TX_SLICES - 1) * (arena_page_size(a) - CHUNK_HEAD);
    uint32_t piece = piece_of(e, ip_mtu(s, e->link, &e->dst), version, slices), got = 0;
    uint32_t head = e->at == 0 ? ICMP_BYTES : 0, from = e->at == 0 ? 0 : e->at - ICMP_BYTES;
    uint16_t ip_len = emit_ip(e, piece, version, out->hdr);
    if (head > 0)
        emit_header(a, out->hdr + ip_len, version, e, out);
    int n = chunkq_slices(a, NULL, &e->body, from, piece - head, NULL, out->slices, TERN_TX_SLICES, &got);
    out->n_slices = (uint16_t)n;
    out->link = e->link;
    out->flags = version == 6 ? TERN_TX_IP6 : 0;
    out->hdr_len = (uint16_t)(ip_len + head);
    out->gso_size = out->csum_start = out->csum_offset = 0;
    out->not_before = 0;
    out->len = ip_len + piece;
    e->at += piece;
    return e->at == ICMP_BYTES + e->body.len;
}

/* The body's pages stay until ip_echo_done: the packets point into them. */
static void finish(struct ip_state *s)
{
    s->echo_sent++;
    s->echo_head = (s->echo_head + 1) % IP_ECHOES;
    s->echo_count--;
}

/* Since it was asked for, the link may have gone down, or the address may have been taken away. */
static bool sendable(const struct ip_state *s, const struct ip_echo *e)
{
    return ip_link_is_up(s, e->link) && ip_is_ours(s, &e->src, e->link);
}

bool ip_echo_emit(struct arena *a, struct ip_state *s, tern_tx_packet *out)
{
    while (s->echo_count > 0 && !sendable(s, &s->echoes[s->echo_head])) {
        chunkq_clear(a, &s->echoes[s->echo_head].body); /* no packet points into it */
        finish(s);
    }
    if (s->echo_count == 0)
        return false;
    if (emit_piece(a, s, &s->echoes[s->echo_head], out))
        finish(s);
    return true;
}

void ip_echo_done(struct arena *a, struct ip_state *s)
{
    for (; s->echo_sent > 0; s->echo_sent--)
        chunkq_clear(a, &s->echoes[(s->echo_head + IP_ECHOES - s->echo_sent) % IP_ECHOES].body);
}
