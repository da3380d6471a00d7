/* TCP headers and options: golden segments, round trips, and options of every wrong kind. */
#include "wire_golden.h"
#include "wire_help.h"

/* Parse a whole IP packet from a block of its own; `out->data` dangles afterwards. */
static enum tern_cause parse(const uint8_t *p, uint32_t len, bool verify, struct segment *out)
{
    struct ip_hdr ip;
    uint8_t *copy = exact(p, len);
    enum tern_cause cause = ip_parse(copy, len, &ip);
    assert_int_equal(cause, TERN_CAUSE_NONE);
    cause = tcp_parse(&ip, verify, out);
    free(copy);
    return cause;
}

/* A segment of `flags` with these option bytes, padded to 4 with `pad`. */
static enum tern_cause with_options(uint8_t flags, const uint8_t *options, uint32_t n, uint8_t pad,
                                    struct segment *out)
{
    uint8_t tcp[60] = {0}, p[100];
    struct segment s = {.src_port = 1, .dst_port = 2, .seq = {3}, .flags = flags, .opt.wscale = WSCALE_NONE};
    uint32_t hdr_len = 20 + (n + 3) / 4 * 4;
    tcp_emit(tcp, &s);
    memset(tcp + 20, pad, hdr_len - 20);
    memcpy(tcp + 20, options, n);
    tcp[12] = (uint8_t)(hdr_len / 4 << 4);
    return parse(p, ip4_around(p, PROTO_TCP, tcp, hdr_len), false, out);
}

static void same_opts(const struct tcp_opts *a, const struct tcp_opts *b)
{
    assert_int_equal(a->mss, b->mss);
    assert_int_equal(a->wscale, b->wscale);
    assert_int_equal(a->sack_ok, b->sack_ok);
    assert_int_equal(a->ts, b->ts);
    assert_int_equal(a->ts_val, b->ts_val);
    assert_int_equal(a->ts_ecr, b->ts_ecr);
    assert_int_equal(a->n_sack, b->n_sack);
    for (uint8_t i = 0; i < a->n_sack; i++)
        assert_true(seq_eq(a->sack[i].left, b->sack[i].left) && seq_eq(a->sack[i].right, b->sack[i].right));
}

/* --- golden -------------------------------------------------------------------------------------- */

static void golden_syn(void **state)
{
    (void)state;
    struct segment s;
    assert_int_equal(parse(GOLD_SYN4, sizeof GOLD_SYN4, true, &s), TERN_CAUSE_NONE);
    tern_ip src = tern_ip4(192, 0, 2, 1), dst = tern_ip4(192, 0, 2, 2);
    assert_true(ip_eq(&s.src, &src) && ip_eq(&s.dst, &dst));
    assert_int_equal(s.src_port, 0xb302);
    assert_int_equal(s.dst_port, 7000);
    assert_int_equal(s.seq.v, 0x6fce0dc8);
    assert_int_equal(s.ack.v, 0);
    assert_int_equal(s.flags, F_SYN);
    assert_int_equal(s.wnd, 64240);
    assert_int_equal(s.len, 0);
    assert_int_equal(seg_len(&s), 1);
    assert_int_equal(s.ttl, 64);
    assert_int_equal(s.link, 0);
    assert_int_equal(s.gso_size, 0);
    const struct tcp_opts want = {
        .mss = 1460, .wscale = 10, .sack_ok = true, .ts = true, .ts_val = 415479171};
    same_opts(&s.opt, &want);
    assert_int_equal(parse(GOLD_SYN6, sizeof GOLD_SYN6, true, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.opt.mss, 1440);
    assert_int_equal(s.dst_port, 7000);
}

static void golden_data(void **state)
{
    (void)state;
    struct ip_hdr ip;
    struct segment s;
    assert_int_equal(ip_parse(GOLD_DATA4, sizeof GOLD_DATA4, &ip), TERN_CAUSE_NONE);
    assert_int_equal(tcp_parse(&ip, true, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.flags, F_PSH | F_ACK);
    assert_int_equal(s.len, 12);
    assert_memory_equal(s.data, "hello, tern\n", 12);
    assert_int_equal(s.ack.v, 0xce22bfde);
    const struct tcp_opts want = {
        .wscale = WSCALE_NONE, .ts = true, .ts_val = 415479171, .ts_ecr = 937777663};
    same_opts(&s.opt, &want);
    assert_int_equal(ip_parse(GOLD_FIN4, sizeof GOLD_FIN4, &ip), TERN_CAUSE_NONE);
    assert_int_equal(tcp_parse(&ip, true, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.flags, F_FIN | F_ACK);
    assert_int_equal(seg_len(&s), 1);
}

/* What tern writes is, byte for byte, what Linux wrote: the same layout of options. */
static void writes_as_linux(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *p;
        uint32_t n;
    } rows[] = {
        {GOLD_SYN4, sizeof GOLD_SYN4},   {GOLD_SYNACK4, sizeof GOLD_SYNACK4}, {GOLD_DATA4, sizeof GOLD_DATA4},
        {GOLD_FIN4, sizeof GOLD_FIN4},   {GOLD_SYN6, sizeof GOLD_SYN6},       {GOLD_DATA6, sizeof GOLD_DATA6},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_hdr ip;
        struct segment s;
        uint8_t made[60];
        assert_int_equal(ip_parse(rows[i].p, rows[i].n, &ip), TERN_CAUSE_NONE);
        assert_int_equal(tcp_parse(&ip, true, &s), TERN_CAUSE_NONE);
        uint16_t len = tcp_emit(made, &s);
        assert_int_equal(len, ip.payload_len - s.len);
        uint64_t sum = csum_add(csum_pseudo(&s.src, &s.dst, PROTO_TCP, ip.payload_len), made, len);
        put16(made + 16, csum_fold(csum_add(sum, s.data, s.len)));
        assert_memory_equal(made, ip.payload, len);
    }
}

/* --- structure ----------------------------------------------------------------------------------- */

/* Every length of payload below the header's is refused; every one from there on has the rest as data. */
static void truncated(void **state)
{
    (void)state;
    const uint8_t *tcp = GOLD_DATA4 + 20;
    for (uint32_t n = 0; n <= 44; n++) {
        uint8_t p[100];
        struct segment s;
        enum tern_cause cause = parse(p, ip4_around(p, PROTO_TCP, tcp, n), false, &s);
        assert_int_equal(cause, n < 32 ? TERN_C_TCP_MALFORMED : TERN_CAUSE_NONE);
        if (n >= 32)
            assert_int_equal(s.len, n - 32);
    }
}

static void data_offsets(void **state)
{
    (void)state;
    for (uint32_t words = 0; words < 16; words++) {
        uint8_t p[sizeof GOLD_DATA4];
        struct segment s;
        memcpy(p, GOLD_DATA4, sizeof p);
        memset(p + 40, 1, sizeof p - 40); /* NOP wherever the header ends */
        p[32] = (uint8_t)(words << 4);
        enum tern_cause cause = parse(p, sizeof p, false, &s);
        assert_int_equal(cause, words < 5 || words > 11 ? TERN_C_TCP_MALFORMED : TERN_CAUSE_NONE);
    }
}

/* MUST-3: each single bit flipped anywhere in a segment is caught, over IPv4 and IPv6; and so are the
 * addresses, which the pseudo-header covers. */
static void must_3_bit_flips(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *p;
        uint32_t n, from;
    } rows[] = {{GOLD_DATA4, sizeof GOLD_DATA4, 20}, {GOLD_SYN4, sizeof GOLD_SYN4, 20},
                {GOLD_DATA6, sizeof GOLD_DATA6, 8}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (uint32_t bit = 8 * rows[i].from; bit < 8 * rows[i].n; bit++) {
            struct segment s;
            uint8_t p[100];
            memcpy(p, rows[i].p, rows[i].n);
            p[bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum tern_cause cause = parse(p, rows[i].n, true, &s);
            assert_true(cause == TERN_C_TCP_CHECKSUM || cause == TERN_C_TCP_MALFORMED);
        }
    }
}

/* A link that vouches for the checksum: nothing of the data is looked at. */
static void unverified(void **state)
{
    (void)state;
    struct segment s;
    uint8_t p[sizeof GOLD_DATA4];
    memcpy(p, GOLD_DATA4, sizeof p);
    p[36] ^= 0xff, p[sizeof p - 1] ^= 0xff;
    assert_int_equal(parse(p, sizeof p, false, &s), TERN_CAUSE_NONE);
    assert_int_equal(parse(p, sizeof p, true, &s), TERN_C_TCP_CHECKSUM);
}

/* --- options ------------------------------------------------------------------------------------- */

/* MUST-4: end of list, no-operation, maximum segment size. */
static void must_4_kinds(void **state)
{
    (void)state;
    struct segment s;
    assert_int_equal(with_options(F_SYN, (uint8_t[]){2, 4, 5, 0xb4}, 4, 0, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.opt.mss, 1460);
    assert_int_equal(with_options(F_SYN, (uint8_t[]){1, 1, 1, 2, 4, 5, 0xb4, 0}, 8, 0, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.opt.mss, 1460);
    assert_int_equal(with_options(F_SYN, (uint8_t[]){0, 2, 4, 5, 0xb4}, 5, 0, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.opt.mss, 0); /* behind the end of the list */
    assert_int_equal(with_options(F_SYN, (uint8_t[]){0}, 0, 0, &s), TERN_CAUSE_NONE);
    const struct tcp_opts none = {.wscale = WSCALE_NONE};
    same_opts(&s.opt, &none);
}

/* MUST-5: on any segment; what only a SYN may say is heard from a SYN only. */
static void must_5_any_segment(void **state)
{
    (void)state;
    static const uint8_t all[] = {2, 4, 5, 0xb4, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2,
                                  5, 10, 0, 0, 0, 3, 0, 0, 0, 4};
    static const uint8_t flags[] = {F_ACK,         F_ACK | F_PSH, F_FIN | F_ACK, F_RST,
                                    F_RST | F_ACK, 0,             F_SYN,         F_SYN | F_ACK};
    for (size_t i = 0; i < sizeof flags; i++) {
        struct segment s;
        bool syn = (flags[i] & F_SYN) != 0;
        assert_int_equal(with_options(flags[i], all, sizeof all, 0, &s), TERN_CAUSE_NONE);
        assert_true(s.opt.ts && s.opt.ts_val == 1 && s.opt.ts_ecr == 2);
        assert_true(s.opt.n_sack == 1 && s.opt.sack[0].left.v == 3 && s.opt.sack[0].right.v == 4);
        assert_int_equal(s.opt.mss, syn ? 1460 : 0);
        assert_int_equal(s.opt.wscale, syn ? 7 : WSCALE_NONE);
        assert_int_equal(s.opt.sack_ok, syn);
    }
}

/* MUST-6: every kind that we do not know, of every length, is stepped over; the MSS behind it counts. */
static void must_6_unknown(void **state)
{
    (void)state;
    for (uint32_t kind = 6; kind < 256; kind++) {
        if (kind == 8)
            continue;
        for (uint32_t len = 2; len <= 36; len++) {
            struct segment s;
            uint8_t options[40] = {(uint8_t)kind, (uint8_t)len};
            memset(options + 2, 0xee, sizeof options - 2);
            memcpy(options + len, (uint8_t[]){2, 4, 2, 0x18}, 4);
            assert_int_equal(with_options(F_SYN, options, len + 4, 1, &s), TERN_CAUSE_NONE);
            assert_int_equal(s.opt.mss, 536);
        }
    }
}

/* MUST-7: an impossible length is refused with its own cause, and the segment is known well enough to be
 * answered. */
static void must_7_impossible_lengths(void **state)
{
    (void)state;
    for (uint32_t kind = 2; kind < 256; kind++) {
        static const uint8_t lengths[] = {0, 1, 9, 40, 41, 128, 255};
        for (size_t i = 0; i < sizeof lengths; i++) {
            struct segment s;
            uint8_t options[8] = {(uint8_t)kind, lengths[i], 0, 0, 0, 0, 0, 0};
            assert_int_equal(with_options(F_SYN, options, 8, 0, &s), TERN_C_TCP_OPTION_LENGTH);
            assert_true(s.src_port == 1 && s.dst_port == 2 && s.seq.v == 3 && s.flags == F_SYN && s.len == 0);
        }
        struct segment s;
        uint8_t last[4] = {1, 1, 1, (uint8_t)kind}; /* no room for the length */
        assert_int_equal(with_options(F_SYN, last, 4, 0, &s), TERN_C_TCP_OPTION_LENGTH);
    }
}

/* Options cut off at every place: accepted only between two options. */
static void options_cut(void **state)
{
    (void)state;
    static const uint8_t all[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7};
    for (uint32_t n = 0; n <= sizeof all; n += 4) {
        struct segment s;
        bool between = n == 0 || n == 4 || n == 16 || n == 20;
        assert_int_equal(with_options(F_SYN, all, n, 0, &s) == TERN_CAUSE_NONE, between);
    }
}

/* A known kind with a length of another kind is no such option; those behind it still count. */
static void foreign_lengths(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {2, 3, 4, 5, 8}, own[] = {4, 3, 2, 0, 10};
    for (size_t k = 0; k < sizeof kinds; k++) {
        for (uint32_t len = 2; len <= 36; len++) {
            if (len == own[k] || (kinds[k] == 5 && len % 8 == 2 && len > 2))
                continue;
            struct segment s;
            uint8_t options[40] = {kinds[k], (uint8_t)len};
            memcpy(options + len, (uint8_t[]){3, 3, 5, 1}, 4);
            assert_int_equal(with_options(F_SYN, options, len + 4, 1, &s), TERN_CAUSE_NONE);
            const struct tcp_opts want = {.wscale = 5};
            same_opts(&s.opt, &want);
        }
    }
}

/* MUST-64: at any offset. */
static void must_64_any_offset(void **state)
{
    (void)state;
    for (uint32_t shift = 0; shift <= 21; shift++) {
        struct segment s;
        uint8_t options[40];
        memset(options, 1, sizeof options);
        memcpy(options + shift, GOLD_SYN4 + 40, 4);                /* MSS */
        memcpy(options + shift + 4, GOLD_SYN4 + 46, 10);           /* timestamps */
        memcpy(options + shift + 14, (uint8_t[]){4, 2, 3, 3, 9}, 5); /* SACK permitted, window scale */
        assert_int_equal(with_options(F_SYN, options, shift + 19, 0, &s), TERN_CAUSE_NONE);
        const struct tcp_opts want = {
            .mss = 1460, .wscale = 9, .sack_ok = true, .ts = true, .ts_val = 415479171};
        same_opts(&s.opt, &want);
    }
}

/* RFC 7323 2.3: larger shifts are read as 14. (RFC7323-2.3-f) */
static void window_scales(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < 256; v++) {
        struct segment s;
        assert_int_equal(with_options(F_SYN, (uint8_t[]){3, 3, (uint8_t)v}, 3, 1, &s), TERN_CAUSE_NONE);
        assert_int_equal(s.opt.wscale, v > 14 ? 14 : v);
    }
}

static void sack_blocks(void **state)
{
    (void)state;
    for (uint8_t n = 0; n <= 4; n++) {
        struct segment s;
        uint8_t options[40] = {5, (uint8_t)(2 + 8 * n)};
        for (uint8_t i = 0; i < n; i++)
            put32(options + 2 + 8 * i, 100 + i), put32(options + 6 + 8 * i, 200 + i);
        assert_int_equal(with_options(F_ACK, options, 2 + 8u * n, 1, &s), TERN_CAUSE_NONE);
        assert_int_equal(s.opt.n_sack, n);
        for (uint8_t i = 0; i < n; i++)
            assert_true(s.opt.sack[i].left.v == 100u + i && s.opt.sack[i].right.v == 200u + i);
    }
}

/* An option that comes twice: the last one counts. */
static void repeated(void **state)
{
    (void)state;
    struct segment s;
    static const uint8_t two[] = {2, 4, 1, 1, 2, 4, 2, 2, 3, 3, 1, 3, 3, 2, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2,
                                  0, 0, 0, 3, 0, 0, 0, 4};
    assert_int_equal(with_options(F_SYN, two, sizeof two, 0, &s), TERN_CAUSE_NONE);
    assert_int_equal(s.opt.mss, 0x202);
    assert_int_equal(s.opt.wscale, 2);
    assert_int_equal(s.opt.n_sack, 2);
}

/* --- writing ------------------------------------------------------------------------------------- */

/* Values a program can ask for, of which emit writes those that the flags allow. */
static struct tcp_opts random_opts(uint64_t *r)
{
    uint64_t pick = rnd(r);
    struct tcp_opts o = {.wscale = WSCALE_NONE};
    if (pick & 1)
        o.mss = (uint16_t)(1 + rnd(r) % 65535);
    if (pick & 2)
        o.wscale = (uint8_t)(rnd(r) % 15);
    o.sack_ok = (pick & 4) != 0;
    if (pick & 8)
        o.ts = true, o.ts_val = (uint32_t)rnd(r), o.ts_ecr = (uint32_t)rnd(r);
    o.n_sack = pick & 16 ? (uint8_t)(rnd(r) % 5) : 0;
    for (uint8_t i = 0; i < o.n_sack; i++)
        o.sack[i].left = seq((uint32_t)rnd(r)), o.sack[i].right = seq((uint32_t)rnd(r));
    return o;
}

static struct tcp_opts allowed(struct tcp_opts o, uint8_t flags)
{
    if (flags & F_SYN) {
        o.n_sack = 0;
    } else {
        o.mss = 0, o.wscale = WSCALE_NONE, o.sack_ok = false;
        if (o.ts && o.n_sack > 3)
            o.n_sack = 3;
    }
    return o;
}

/* MUST-68, MUST-69: option by option, each with its length, up to the last byte, and zeros behind an end
 * of list. Returns a bit per kind seen. */
static uint32_t walk(const uint8_t *p, uint32_t n)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < n;) {
        if (p[i] == 0) {
            for (; i < n; i++)
                assert_int_equal(p[i], 0);
            break;
        }
        if (p[i] == 1) {
            i++;
            continue;
        }
        assert_true(p[i] < 32 && i + 1 < n && p[i + 1] >= 2 && p[i + 1] <= n - i);
        assert_true((seen & 1u << p[i]) == 0);
        if (p[i] == 8 || p[i] == 5 || p[i] == 2)
            assert_int_equal(i % 4, p[i] == 2 ? 0 : 2); /* the value at a multiple of 4 */
        seen |= 1u << p[i];
        i += p[i + 1];
    }
    return seen;
}

/* parse(emit(x)) = x. MUST-65: no MSS without SYN. MUST-68: each option has its length; MUST-69: nothing but
 * zeros behind the end of the list (walk looks at both). */
static void must_65_68_69_round_trips(void **state)
{
    (void)state;
    uint64_t r = 6;
    for (int i = 0; i < 50000; i++) {
        int version = i % 2 ? 4 : 6;
        struct segment out, in = {.opt = random_opts(&r)};
        in.src = rnd_ip(&r, version), in.dst = rnd_ip(&r, version);
        in.src_port = (uint16_t)rnd(&r), in.dst_port = (uint16_t)rnd(&r);
        in.seq = seq((uint32_t)rnd(&r)), in.ack = seq((uint32_t)rnd(&r));
        in.wnd = (uint16_t)rnd(&r), in.up = (uint16_t)rnd(&r);
        in.flags = (uint8_t)rnd(&r), in.tos = (uint8_t)rnd(&r), in.ttl = (uint8_t)rnd(&r);
        in.len = (uint32_t)(rnd(&r) % 50);
        uint8_t data[50], p[200], *tcp = p + (version == 4 ? 20 : 40);
        rnd_bytes(&r, data, sizeof data);
        uint16_t len = tcp_emit(tcp, &in);
        struct tcp_opts want = allowed(in.opt, in.flags);
        assert_int_equal(len, 20 + tcp_opts_len(&in.opt, in.flags));
        assert_true(len % 4 == 0 && len <= 60);
        assert_true((walk(tcp + 20, len - 20u) & 1 << 2) == 0 || (in.flags & F_SYN) != 0);
        memcpy(tcp + len, data, in.len);
        ip_emit(p, &in.src, &in.dst, PROTO_TCP, in.ttl, in.tos, len + in.len, 0);
        uint64_t sum = csum_pseudo(&in.src, &in.dst, PROTO_TCP, len + in.len);
        put16(tcp + 16, csum_fold(csum_add(sum, tcp, len + in.len)));
        struct ip_hdr ip;
        uint8_t *copy = exact(p, (size_t)(tcp - p) + len + in.len);
        assert_int_equal(ip_parse(copy, (uint32_t)(tcp - p) + len + in.len, &ip), TERN_CAUSE_NONE);
        assert_int_equal(tcp_parse(&ip, true, &out), TERN_CAUSE_NONE);
        assert_true(ip_eq(&in.src, &out.src) && ip_eq(&in.dst, &out.dst));
        assert_true(in.src_port == out.src_port && in.dst_port == out.dst_port && in.wnd == out.wnd);
        assert_true(seq_eq(in.seq, out.seq) && seq_eq(in.ack, out.ack) && in.up == out.up);
        assert_true(in.flags == out.flags && in.tos == out.tos && in.ttl == out.ttl && in.len == out.len);
        assert_memory_equal(out.data, data, in.len);
        same_opts(&out.opt, &want);
        free(copy);
    }
}

/* The exact bytes of each layout. */
static void layouts(void **state)
{
    (void)state;
    static const struct {
        uint8_t flags, n, bytes[40];
        struct tcp_opts opt;
    } rows[] = {
        {F_SYN, 20, {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7},
         {.mss = 1460, .wscale = 7, .sack_ok = true, .ts = true, .ts_val = 1, .ts_ecr = 2}},
        {F_SYN, 12, {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
         {.wscale = WSCALE_NONE, .ts = true, .ts_val = 1, .ts_ecr = 2}},
        {F_SYN, 12, {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 0}, {.mss = 1460, .sack_ok = true}},
        {F_SYN, 0, {0}, {.wscale = WSCALE_NONE}},
        {F_ACK, 12, {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2},
         {.wscale = WSCALE_NONE, .ts = true, .ts_val = 1, .ts_ecr = 2}},
        {F_ACK, 12, {1, 1, 5, 10, 0, 0, 0, 5, 0, 0, 0, 6},
         {.wscale = WSCALE_NONE, .n_sack = 1, .sack = {{{5}, {6}}}}},
        {F_ACK, 40, {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 26, 0, 0, 0, 1,
                     0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6},
         {.wscale = WSCALE_NONE, .ts = true, .ts_val = 1, .ts_ecr = 2, .n_sack = 4,
          .sack = {{{1}, {2}}, {{3}, {4}}, {{5}, {6}}, {{7}, {8}}}}},
        {F_ACK, 0, {0}, {.mss = 1460, .wscale = 7, .sack_ok = true}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t p[60];
        struct segment s = {.flags = rows[i].flags, .opt = rows[i].opt};
        assert_int_equal(tcp_emit(p, &s), 20 + rows[i].n);
        assert_memory_equal(p + 20, rows[i].bytes, rows[i].n);
        assert_int_equal(get16(p + 16), 0);
    }
}

/* Any bytes as options: parsed or refused, never read beyond. */
static void noise(void **state)
{
    (void)state;
    uint64_t r = 7;
    for (int i = 0; i < 200000; i++) {
        struct segment s;
        uint8_t options[40];
        for (size_t k = 0; k < sizeof options; k++)
            options[k] = (uint8_t)(rnd(&r) % (i % 2 ? 12 : 256));
        uint32_t n = (uint32_t)(rnd(&r) % 11) * 4;
        enum tern_cause cause = with_options((uint8_t)rnd(&r), options, n, 0, &s);
        assert_true(cause == TERN_CAUSE_NONE || cause == TERN_C_TCP_OPTION_LENGTH);
        assert_true(s.opt.n_sack <= MAX_SACK && (s.opt.wscale <= 14 || s.opt.wscale == WSCALE_NONE));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_syn),
        cmocka_unit_test(golden_data),
        cmocka_unit_test(writes_as_linux),
        cmocka_unit_test(truncated),
        cmocka_unit_test(data_offsets),
        cmocka_unit_test(must_3_bit_flips),
        cmocka_unit_test(unverified),
        cmocka_unit_test(must_4_kinds),
        cmocka_unit_test(must_5_any_segment),
        cmocka_unit_test(must_6_unknown),
        cmocka_unit_test(must_7_impossible_lengths),
        cmocka_unit_test(options_cut),
        cmocka_unit_test(foreign_lengths),
        cmocka_unit_test(must_64_any_offset),
        cmocka_unit_test(window_scales),
        cmocka_unit_test(sack_blocks),
        cmocka_unit_test(repeated),
        cmocka_unit_test(must_65_68_69_round_trips),
        cmocka_unit_test(layouts),
        cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
