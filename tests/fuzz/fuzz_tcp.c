/* Any bytes as a TCP segment: accepted ones are written again and read the same; the checksum decides
 * alone what `verify` refuses. The first byte: bit 0 IPv6, bit 1 make the checksum right. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct segment *a, const struct segment *b)
{
    ASSERT(a->src_port == b->src_port && a->dst_port == b->dst_port && seq_eq(a->seq, b->seq));
    ASSERT(seq_eq(a->ack, b->ack) && a->flags == b->flags && a->wnd == b->wnd && a->up == b->up);
    ASSERT(a->opt.mss == b->opt.mss && a->opt.wscale == b->opt.wscale && a->opt.sack_ok == b->opt.sack_ok);
    ASSERT(a->opt.ts == b->opt.ts && a->opt.ts_val == b->opt.ts_val && a->opt.ts_ecr == b->opt.ts_ecr);
    ASSERT(a->opt.n_sack == b->opt.n_sack);
    for (uint8_t i = 0; i < a->opt.n_sack; i++)
        ASSERT(seq_eq(a->opt.sack[i].left, b->opt.sack[i].left) &&
               seq_eq(a->opt.sack[i].right, b->opt.sack[i].right));
}

/* Written and read again: the same, but for SACK blocks on a SYN and a fourth one beside timestamps. */
static void round_trip(const struct ip_hdr *ip, struct segment *s)
{
    uint8_t p[60];
    struct segment again;
    uint16_t len = tcp_emit(p, s);
    struct ip_hdr made = *ip;
    ASSERT(len <= 60 && len == 20 + tcp_opts_len(&s->opt, s->flags));
    made.payload = p, made.payload_len = len;
    ASSERT(tcp_parse(&made, false, &again) == TERN_CAUSE_NONE);
    if (s->flags & F_SYN)
        s->opt.n_sack = 0;
    else if (s->opt.ts && s->opt.n_sack > 3)
        s->opt.n_sack = 3;
    same(s, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t p[4096];
    struct segment s, t;
    if (size < 1 || size > sizeof p)
        return 0;
    struct ip_hdr ip = {.src = tern_ip4(192, 0, 2, 1), .dst = tern_ip4(192, 0, 2, 2), .version = 4};
    ip.payload = data + 1, ip.payload_len = (uint32_t)size - 1;
    if (data[0] & 1)
        ip.src.b[0] = ip.dst.b[0] = 0x20, ip.version = 6;
    if (data[0] & 2 && ip.payload_len >= 20) {
        memcpy(p, ip.payload, ip.payload_len);
        ip.payload = p;
        put16(p + 16, 0);
        uint64_t sum = csum_pseudo(&ip.src, &ip.dst, PROTO_TCP, ip.payload_len);
        put16(p + 16, csum_fold(csum_add(sum, p, ip.payload_len)));
    }
    enum tern_cause cause = tcp_parse(&ip, false, &s), strict = tcp_parse(&ip, true, &t);
    ASSERT(strict == cause || strict == TERN_C_TCP_CHECKSUM);
    ASSERT(ip.payload != p || strict == cause);
    if (cause != TERN_CAUSE_NONE)
        return 0;
    ASSERT(s.data >= ip.payload + 20 && s.data + s.len == ip.payload + ip.payload_len);
    round_trip(&ip, &s);
    return 0;
}
