/* plain.c - the headers that nearly all packets have, read and written at once: IPv4 without options, whole,
 * and TCP with no options, with timestamps alone where everybody puts them (RFC 7323 appendix A), or the SYN
 * with all that this stack and Linux ask for:
 *
 *     NOP NOP TS 10       MSS 4 | SACKOK 2, TS 10 | NOP, WS 3
 *
 * What is read here is what ip_parse and tcp_parse would have read, and what is written is what ip_emit and
 * tcp_emit would have written, to the byte (tests/unit/test_wire_plain.c); all else is left to them. They go
 * through a packet step by step, with sums of each part. Here the offsets are constants, and each word is
 * touched once.
 */
#include "wire/plain_read.h"

bool plain_parse(const uint8_t *p, uint32_t len, bool verify, struct segment *s)
{
    return plain_read(p, len, PLAIN_LONGEST, verify ? csum_plain : NULL, s);
}

/* Bytes of options when they are one of the kinds above; -1: they are not. */
static inline int options_len(const struct tcp_opts *o, uint8_t flags)
{
    if (UNLIKELY(flags & F_SYN))
        return o->mss != 0 && o->sack_ok && o->ts && o->wscale != WSCALE_NONE ? PLAIN_SYN : -1;
    return o->n_sack != 0 ? -1 : o->ts ? PLAIN_TS : 0;
}

uint16_t plain_emit(uint8_t *p, const struct segment *s, uint32_t payload, const uint8_t *data)
{
    int opt_len = options_len(&s->opt, s->flags);
    if (opt_len < 0 || s->fragments || !tern_ip_is4(&s->src))
        return 0;
    struct plain h = {
        .src = s->src.b + 12,
        .dst = s->dst.b + 12,
        .src_port = s->src_port,
        .dst_port = s->dst_port,
        .seq = s->seq.v,
        .ack = s->ack.v,
        .wnd = s->wnd,
        .up = s->up,
        .flags = s->flags,
        .tos = s->tos,
        .ttl = s->ttl,
        .opt_len = (uint8_t)opt_len,
        .mss = s->opt.mss,
        .wscale = s->opt.wscale,
        .ts_val = s->opt.ts_val,
        .ts_ecr = s->opt.ts_ecr,
    };
    return plain_write(p, &h, payload, plain_sum(data, payload), false);
}
