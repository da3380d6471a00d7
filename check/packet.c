/* packet.c - see packet.h. */
#include "check/packet.h"

#include "sim/bytes.h"

#include <string.h>

enum { TCP = 6, ICMP = 1, ICMP6 = 58, HEADER4 = 20, HEADER6 = 40 };

/* --- building -------------------------------------------------------------------------------- */

static uint32_t put_ip(uint8_t *p, const struct packet *k, uint8_t proto, uint32_t payload)
{
    if (!tern_ip_is4(&k->src)) {
        memset(p, 0, HEADER6);
        put32(p, 6u << 28 | (uint32_t)k->tos << 20 | (k->flow_label & 0xfffff));
        put16(p + 4, payload);
        p[6] = proto;
        p[7] = k->ttl;
        memcpy(p + 8, k->src.b, 16);
        memcpy(p + 24, k->dst.b, 16);
        return HEADER6;
    }
    memset(p, 0, HEADER4);
    p[0] = 0x45;
    p[1] = k->tos;
    put16(p + 2, HEADER4 + payload);
    p[6] = 0x40; /* not to be fragmented */
    p[8] = k->ttl;
    p[9] = proto;
    memcpy(p + 12, k->src.b + 12, 4);
    memcpy(p + 16, k->dst.b + 12, 4);
    put16(p + 10, checksum_of(p, HEADER4));
    return HEADER4;
}

static uint32_t put_option(uint8_t *p, const struct tcp_option *o)
{
    if (o->raw_len) {
        memcpy(p, o->raw, o->raw_len);
        return o->raw_len;
    }
    p[0] = o->kind;
    if (o->len == 1)
        return 1;
    p[1] = o->len;
    if (o->kind == OPTION_MSS)
        put16(p + 2, o->mss);
    if (o->kind == OPTION_WSCALE)
        p[2] = o->wscale;
    if (o->kind == OPTION_TS)
        put32(p + 2, o->ts_val), put32(p + 6, o->ts_ecr);
    for (uint32_t i = 0; o->kind == OPTION_SACK && i < o->n_sack; i++) {
        put32(p + 2 + 8 * i, o->sack[i].left);
        put32(p + 6 + 8 * i, o->sack[i].right);
    }
    return o->len;
}

/* The options, filled up to a multiple of 4 by the end of the list. */
static uint32_t put_options(uint8_t *p, const struct packet *k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n_options; i++)
        n += put_option(p + n, &k->options[i]);
    while (n % 4)
        p[n++] = 0;
    return n;
}

uint32_t packet_build(const struct packet *k, bool bad_checksum, uint8_t *buf)
{
    uint8_t *tcp = buf + (tern_ip_is4(&k->src) ? HEADER4 : HEADER6);
    memset(tcp, 0, 20);
    uint32_t header = 20 + put_options(tcp + 20, k);
    put16(tcp, k->src_port);
    put16(tcp + 2, k->dst_port);
    put32(tcp + 4, k->seq);
    put32(tcp + 8, k->ack);
    tcp[12] = (uint8_t)(header << 2 | (k->flags & AE ? 1 : 0));
    tcp[13] = (uint8_t)k->flags;
    put16(tcp + 14, k->win);
    put16(tcp + 18, k->urg);
    if (k->data != NULL)
        memcpy(tcp + header, k->data, k->len);
    else
        memset(tcp + header, 0, k->len);
    uint32_t ip = put_ip(buf, k, TCP, header + k->len);
    uint16_t checksum = checksum_between(&k->src, &k->dst, TCP, tcp, header + k->len);
    put16(tcp + 16, bad_checksum ? checksum ^ 0x0100u : checksum);
    return ip + header + k->len;
}

uint32_t packet_icmp(const struct packet *k, const tern_ip *from, uint8_t type, uint8_t code, uint32_t rest,
                     uint8_t *buf)
{
    bool v4 = tern_ip_is4(&k->src);
    struct packet outer = {.src = *from, .dst = k->src, .ttl = 64};
    uint32_t ip = v4 ? HEADER4 : HEADER6;
    uint8_t *icmp = buf + ip, *tcp = icmp + 8 + ip;
    put_ip(icmp + 8, k, TCP, 20 + k->len);
    memset(tcp, 0, 8);
    put16(tcp, k->src_port);
    put16(tcp + 2, k->dst_port);
    put32(tcp + 4, k->seq);
    icmp[0] = type;
    icmp[1] = code;
    put16(icmp + 2, 0);
    put32(icmp + 4, rest);
    uint32_t len = 8 + ip + 8;
    put_ip(buf, &outer, v4 ? ICMP : ICMP6, len);
    put16(icmp + 2, v4 ? checksum_of(icmp, len) : checksum_between(from, &k->src, ICMP6, icmp, len));
    return ip + len;
}

/* --- reading --------------------------------------------------------------------------------- */

/* The IP header; returns its length, 0 = `why` says what is wrong. */
static uint32_t read_ip(struct packet *k, const uint8_t *p, uint32_t len, uint32_t *payload, uint8_t *proto,
                        const char **why)
{
    *why = "the IP header is cut off";
    if (len >= HEADER6 && p[0] >> 4 == 6) {
        *payload = get16(p + 4);
        *proto = p[6];
        k->tos = (uint8_t)(get32(p) >> 20);
        k->flow_label = get32(p) & 0xfffff;
        k->ttl = p[7];
        memcpy(k->src.b, p + 8, 16);
        memcpy(k->dst.b, p + 24, 16);
        *why = "the length in the IP header is wrong";
        return HEADER6 + *payload == len ? HEADER6 : 0;
    }
    if (len < HEADER4 || p[0] != 0x45)
        return 0;
    *why = checksum_of(p, HEADER4) != 0 ? "the checksum of the IP header is wrong"
                                         : "the length in the IP header is wrong";
    if (checksum_of(p, HEADER4) != 0 || get16(p + 2) != len)
        return 0;
    *payload = len - HEADER4;
    *proto = p[9];
    k->tos = p[1];
    k->ttl = p[8];
    k->src = tern_ip4(p[12], p[13], p[14], p[15]);
    k->dst = tern_ip4(p[16], p[17], p[18], p[19]);
    return HEADER4;
}

/* The length that an option of this kind must have; 0 = any. */
static bool usual_length(uint8_t kind, uint8_t len)
{
    switch (kind) {
    case OPTION_MSS: return len == 4;
    case OPTION_WSCALE: return len == 3;
    case OPTION_SACK_OK: return len == 2;
    case OPTION_SACK: return len >= 10 && len <= 34 && len % 8 == 2;
    case OPTION_TS: return len == 10;
    default: return false;
    }
}

static void read_option(struct tcp_option *o, const uint8_t *p)
{
    if (!usual_length(o->kind, o->len)) {
        memcpy(o->raw, p, o->len);
        o->raw_len = o->len;
    } else if (o->kind == OPTION_MSS) {
        o->mss = (uint16_t)get16(p + 2);
    } else if (o->kind == OPTION_WSCALE) {
        o->wscale = p[2];
    } else if (o->kind == OPTION_TS) {
        o->ts_val = get32(p + 2);
        o->ts_ecr = get32(p + 6);
    } else if (o->kind == OPTION_SACK) {
        o->n_sack = (uint8_t)((o->len - 2) / 8);
        for (uint32_t i = 0; i < o->n_sack; i++) {
            o->sack[i].left = get32(p + 2 + 8 * i);
            o->sack[i].right = get32(p + 6 + 8 * i);
        }
    }
}

static bool read_options(struct packet *k, const uint8_t *p, uint32_t len)
{
    for (uint32_t at = 0; at < len;) {
        struct tcp_option *o = &k->options[k->n_options++];
        *o = (struct tcp_option){.kind = p[at], .len = 1};
        if (o->kind > OPTION_NOP) {
            if (len - at < 2 || p[at + 1] < 2 || p[at + 1] > len - at)
                return false;
            o->len = p[at + 1];
            read_option(o, p + at);
        }
        at += o->len;
    }
    return true;
}

const char *packet_read(struct packet *k, const uint8_t *bytes, uint32_t len)
{
    const char *why;
    uint32_t payload = 0;
    uint8_t proto = 0;
    *k = (struct packet){0};
    uint32_t ip = read_ip(k, bytes, len, &payload, &proto, &why);
    if (ip == 0)
        return why;
    if (proto != TCP)
        return "it is no TCP segment";
    const uint8_t *tcp = bytes + ip;
    uint32_t header = payload >= 20 ? (uint32_t)tcp[12] >> 4 << 2 : 0;
    if (header < 20 || header > payload)
        return "the length of the TCP header is wrong";
    if (checksum_between(&k->src, &k->dst, TCP, tcp, payload) != 0)
        return "the TCP checksum is wrong";
    if (tcp[12] & 0x0e)
        return "reserved bits of the TCP header are set";
    k->src_port = (uint16_t)get16(tcp);
    k->dst_port = (uint16_t)get16(tcp + 2);
    k->seq = get32(tcp + 4);
    k->ack = get32(tcp + 8);
    k->flags = (uint16_t)(tcp[13] | (tcp[12] & 1) << 8);
    k->win = (uint16_t)get16(tcp + 14);
    k->urg = (uint16_t)get16(tcp + 18);
    k->data = tcp + header;
    k->len = payload - header;
    return read_options(k, tcp + 20, header - 20) ? NULL : "the length of a TCP option is wrong";
}
