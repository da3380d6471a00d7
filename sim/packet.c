/* packet.c - see packet.h. */
#include "packet.h"

#include "bytes.h"

#include <string.h>

enum { TCP = 6 };

bool ip_equal(const tern_ip *a, const tern_ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool endpoint_equal(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

/* --- parse ----------------------------------------------------------------------------------- */

static const char *parse_ip4(struct segment *s, const uint8_t *p, uint32_t len, uint32_t *tcp)
{
    uint32_t header = (p[0] & 15u) * 4;
    if (len < 20 || header < 20 || header > len || get16(p + 2) != len)
        return "the IPv4 header does not fit its packet";
    if (checksum_of(p, header) != 0)
        return "the IPv4 checksum is wrong";
    if (p[9] != 6)
        return "not TCP";
    s->tos = p[1];
    s->ttl = p[8];
    s->src.ip = tern_ip4(p[12], p[13], p[14], p[15]);
    s->dst.ip = tern_ip4(p[16], p[17], p[18], p[19]);
    *tcp = header;
    return NULL;
}

static const char *parse_ip6(struct segment *s, const uint8_t *p, uint32_t len, uint32_t *tcp)
{
    if (len < 40 || get16(p + 4) + 40 != len)
        return "the IPv6 header does not fit its packet";
    if (p[6] != 6)
        return "not TCP";
    s->tos = (uint8_t)(get16(p) >> 4);
    s->ttl = p[7];
    memcpy(s->src.ip.b, p + 8, 16);
    memcpy(s->dst.ip.b, p + 24, 16);
    *tcp = 40;
    return NULL;
}

static void parse_sack(struct segment *s, const uint8_t *p, uint32_t len)
{
    for (uint32_t at = 2; at + 8 <= len && s->n_sack < PACKET_SACKS; at += 8) {
        s->sack[s->n_sack].start = get32(p + at);
        s->sack[s->n_sack++].end = get32(p + at + 4);
    }
}

static void parse_option(struct segment *s, const uint8_t *p, uint32_t len)
{
    if (p[0] == 2 && len == 4) {
        s->mss = (uint16_t)get16(p + 2);
    } else if (p[0] == 3 && len == 3) {
        s->wscale = (uint8_t)(p[2] + 1);
    } else if (p[0] == 4 && len == 2) {
        s->sack_ok = true;
    } else if (p[0] == 5) {
        parse_sack(s, p, len);
    } else if (p[0] == 8 && len == 10) {
        s->ts = true;
        s->ts_val = get32(p + 2);
        s->ts_ecr = get32(p + 6);
    }
}

static const char *parse_options(struct segment *s, const uint8_t *p, uint32_t len)
{
    for (uint32_t at = 0; at < len && p[at] != 0;) {
        if (p[at] == 1) {
            at++;
            continue;
        }
        if (at + 1 >= len || p[at + 1] < 2 || at + p[at + 1] > len)
            return "a TCP option has an impossible length";
        parse_option(s, p + at, p[at + 1]);
        at += p[at + 1];
    }
    return NULL;
}

const char *segment_parse(struct segment *s, const uint8_t *pkt, uint32_t len)
{
    return segment_read(s, pkt, len, true);
}

const char *segment_read(struct segment *s, const uint8_t *pkt, uint32_t len, bool check)
{
    uint32_t at = 0;
    memset(s, 0, sizeof *s);
    if (len < 20)
        return "too short for an IP header";
    const char *wrong = pkt[0] >> 4 == 4 ? parse_ip4(s, pkt, len, &at) : parse_ip6(s, pkt, len, &at);
    if (wrong != NULL)
        return wrong;
    const uint8_t *p = pkt + at;
    uint32_t header = len - at < 20 ? 0 : (p[12] >> 4) * 4u;
    if (header < 20 || header > len - at)
        return "the TCP header does not fit its packet";
    if (check && checksum_between(&s->src.ip, &s->dst.ip, TCP, p, len - at) != 0)
        return "the TCP checksum is wrong";
    s->src.port = (uint16_t)get16(p);
    s->dst.port = (uint16_t)get16(p + 2);
    s->seq = get32(p + 4);
    s->ack = get32(p + 8);
    s->flags = p[13];
    s->window = (uint16_t)get16(p + 14);
    s->urgent = (uint16_t)get16(p + 18);
    s->data = p + header;
    s->len = len - at - header;
    return parse_options(s, p + 20, header - 20);
}

/* --- build ----------------------------------------------------------------------------------- */

/* As many blocks as there is room for. */
static uint32_t build_sack(const struct segment *s, uint8_t *p, uint32_t n)
{
    uint32_t blocks = s->n_sack;
    while (n + 4 + blocks * 8 > 40)
        blocks--;
    if (blocks == 0)
        return n;
    put32(p + n, 0x01010500u + 2 + blocks * 8);
    for (uint32_t i = 0; i < blocks; i++) {
        put32(p + n + 4 + i * 8, s->sack[i].start);
        put32(p + n + 8 + i * 8, s->sack[i].end);
    }
    return n + 4 + blocks * 8;
}

static uint32_t build_options(const struct segment *s, uint8_t *p)
{
    uint32_t n = 0;
    if (s->mss) {
        put16(p, 0x0204);
        put16(p + 2, s->mss);
        n = 4;
    }
    if (s->wscale) {
        put32(p + n, 0x01030300u + s->wscale - 1u);
        n += 4;
    }
    if (s->sack_ok) {
        put32(p + n, 0x01010402);
        n += 4;
    }
    if (s->ts) {
        put32(p + n, 0x0101080a);
        put32(p + n + 4, s->ts_val);
        put32(p + n + 8, s->ts_ecr);
        n += 12;
    }
    return build_sack(s, p, n);
}

static uint32_t build_ip(const struct segment *s, uint8_t *p, uint32_t payload)
{
    if (!tern_ip_is4(&s->src.ip)) {
        put32(p, 0x60000000u | (uint32_t)s->tos << 20);
        put32(p + 4, payload << 16 | 6 << 8 | (s->ttl ? s->ttl : 64));
        memcpy(p + 8, s->src.ip.b, 16);
        memcpy(p + 24, s->dst.ip.b, 16);
        return 40;
    }
    memset(p, 0, 20);
    put16(p, 0x4500u | s->tos);
    put16(p + 2, payload + 20);
    put16(p + 6, 0x4000);
    put16(p + 8, (s->ttl ? s->ttl : 64u) << 8 | 6);
    memcpy(p + 12, s->src.ip.b + 12, 4);
    memcpy(p + 16, s->dst.ip.b + 12, 4);
    put16(p + 10, checksum_of(p, 20));
    return 20;
}

uint32_t segment_build(const struct segment *s, uint8_t *buf)
{
    uint8_t options[40];
    uint32_t n_options = build_options(s, options), tcp_len = 20 + n_options + s->len;
    uint32_t at = build_ip(s, buf, tcp_len);
    uint8_t *p = buf + at;
    put16(p, s->src.port);
    put16(p + 2, s->dst.port);
    put32(p + 4, s->seq);
    put32(p + 8, s->ack);
    p[12] = (uint8_t)((20 + n_options) / 4 << 4);
    p[13] = s->flags;
    put16(p + 14, s->window);
    put32(p + 16, s->urgent);
    memcpy(p + 20, options, n_options);
    if (s->len)
        memcpy(p + 20 + n_options, s->data, s->len);
    put16(p + 16, checksum_between(&s->src.ip, &s->dst.ip, TCP, p, tcp_len));
    return at + tcp_len;
}
