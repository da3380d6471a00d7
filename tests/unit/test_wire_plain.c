/* The short way through the headers (wire/plain.c) against the long one (wire/ip.c, wire/tcp.c): what is
 * written is the same to the byte, and what is read says the same, or nothing. */
#include "wire_help.h"

#define ROUNDS 200000

static uint32_t dice_state = 1;

static uint32_t dice(uint32_t n)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % n;
}

static struct segment any_segment(void)
{
    static const uint8_t flags[] = {F_ACK,         F_ACK | F_PSH, F_ACK | F_FIN, F_SYN,
                                    F_SYN | F_ACK, F_RST,         0xff,          0};
    struct segment s = {.src = tern_ip4(192, 0, 2, (uint8_t)dice(256)), .dst = tern_ip4(198, 51, 100, 7)};
    s.src_port = (uint16_t)dice(65536), s.dst_port = (uint16_t)dice(65536);
    s.seq = seq(dice(1 << 24) << 8), s.ack = seq(dice(1 << 24) * 257);
    s.wnd = (uint16_t)dice(65536), s.up = (uint16_t)(dice(3) == 0 ? dice(65536) : 0);
    s.flags = flags[dice(sizeof flags)];
    s.tos = (uint8_t)dice(256), s.ttl = (uint8_t)(1 + dice(255));
    s.opt.wscale = dice(4) > 0 ? (uint8_t)dice(15) : WSCALE_NONE;
    s.opt.mss = (uint16_t)(dice(4) > 0 ? 536 + dice(9000) : 0);
    s.opt.sack_ok = dice(4) > 0, s.opt.ts = dice(4) > 0;
    s.opt.ts_val = dice(1 << 24) * 251, s.opt.ts_ecr = dice(1 << 24);
    s.opt.n_sack = dice(6) == 0;
    return s;
}

/* A whole packet by the codecs. */
static uint32_t by_steps(uint8_t *p, const struct segment *s, const uint8_t *data, uint32_t n)
{
    uint16_t tcp_len = (uint16_t)(20 + tcp_opts_len(&s->opt, s->flags));
    uint16_t ip_len = ip_emit(p, &s->src, &s->dst, PROTO_TCP, s->ttl, s->tos, tcp_len + n, 0);
    tcp_emit(p + ip_len, s);
    uint64_t sum = csum_pseudo(&s->src, &s->dst, PROTO_TCP, tcp_len + n);
    sum = csum_add(csum_add(sum, p + ip_len, tcp_len), data, n);
    put16(p + ip_len + 16, csum_fold(sum));
    memcpy(p + ip_len + tcp_len, data, n);
    return ip_len + tcp_len + n;
}

static void fill(uint8_t *data, uint32_t n)
{
    uint8_t same = dice(3) == 0 ? 0xff : 0;
    for (uint32_t i = 0; i < n; i++)
        data[i] = same != 0 ? same : (uint8_t)dice(256);
}

static void written_alike(void **state)
{
    (void)state;
    uint8_t a[700], b[700], data[PLAIN_MOST];
    uint32_t plain = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct segment s = any_segment();
        uint32_t n = dice(3) > 0 ? dice(100) : dice(PLAIN_MOST);
        fill(data, n);
        uint32_t len = by_steps(a, &s, data, n);
        uint16_t hdr_len = plain_emit(b, &s, n, data);
        if (hdr_len == 0)
            continue;
        plain++;
        assert_int_equal(hdr_len + n, len);
        assert_memory_equal(a, b, hdr_len);
    }
    assert_in_range(plain, ROUNDS / 3, ROUNDS);
}

static void same_segment(const struct segment *a, const struct segment *b)
{
    const struct tcp_opts *x = &a->opt, *y = &b->opt;
    assert_true(ip_eq(&a->src, &b->src) && ip_eq(&a->dst, &b->dst));
    assert_true(a->src_port == b->src_port && a->dst_port == b->dst_port);
    assert_true(seq_eq(a->seq, b->seq) && seq_eq(a->ack, b->ack) && a->wnd == b->wnd && a->up == b->up);
    assert_true(a->flags == b->flags && a->tos == b->tos && a->ttl == b->ttl && a->link == b->link);
    assert_true(a->fragments == b->fragments && a->gso_size == b->gso_size && a->data == b->data);
    assert_true(a->len == b->len && a->keep == b->keep && a->pair == b->pair);
    assert_true(x->mss == y->mss && x->wscale == y->wscale && x->sack_ok == y->sack_ok && x->ts == y->ts);
    assert_true(x->n_sack == y->n_sack && x->ts_val == y->ts_val && x->ts_ecr == y->ts_ecr);
}

/* A byte somewhere, a bit of it, or the length. */
static uint32_t damage(uint8_t *p, uint32_t len)
{
    switch (dice(4)) {
    case 0: p[dice(len)] = (uint8_t)dice(256); break;
    case 1: p[dice(60) % len] ^= (uint8_t)(1u << dice(8)); break;
    case 2: return dice(len + 1);
    default: break;
    }
    return len;
}

static void read_alike(void **state)
{
    (void)state;
    uint8_t p[3200], data[3000];
    uint32_t plain = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct segment s = any_segment(), a, b;
        struct ip_hdr ip;
        uint32_t n = dice(3) > 0 ? dice(100) : dice(sizeof data); /* what is long is summed elsewhere */
        fill(data, n);
        uint32_t len = damage(p, by_steps(p, &s, data, n));
        bool verify = dice(2) == 0;
        memset(&a, 0xa5, sizeof a);
        uint8_t *copy = exact(p, len);
        if (plain_parse(copy, len, verify, &a)) {
            plain++;
            assert_int_equal(ip_parse(copy, len, &ip), TERN_CAUSE_NONE);
            assert_int_equal(tcp_parse(&ip, verify, &b), TERN_CAUSE_NONE);
            same_segment(&a, &b);
        }
        free(copy);
    }
    assert_in_range(plain, ROUNDS / 8, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_alike),
        cmocka_unit_test(read_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
