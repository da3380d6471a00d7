/* Reassembly: fragments of Linux, every order, overlaps, limits, memory refused. */
#include "ip/frag.h"
#include "wire/ip_parts.h"
#include "wire_golden.h"
#include "wire_help.h"

enum { ARENA = 4 << 20 };

struct world {
    struct arena *a;
    struct frag_table *t;
    uint64_t now;
};

static struct world make_world(uint32_t page_size)
{
    struct world w = {.a = aligned_alloc(16, ARENA), .now = 1000};
    void *fixed;
    assert_non_null(w.a);
    assert_true(arena_init(w.a, ARENA, 0, page_size, sizeof(struct frag_table), &fixed));
    w.t = fixed;
    return w;
}

static uint32_t pages_in_use(const struct world *w) { return w->a->pages_used - w->a->free_count; }

/* Nothing may be left behind. */
static void end_world(struct world *w, uint32_t pages)
{
    frag_clear(w->a, w->t);
    assert_int_equal(frag_live(w->t), 0);
    assert_int_equal(pages_in_use(w), pages);
    free(w->a);
}

/* The invariants of frag.c. */
static void check(const struct world *w)
{
    uint32_t live = 0, chunks = 0;
    for (uint32_t i = 0; i < FRAG_DATAGRAMS; i++) {
        const struct frag_datagram *d = &w->t->d[i];
        uint32_t got = 0, high = 0;
        live += d->used;
        if (!d->used || d->refused) {
            assert_int_equal(d->q.len, 0);
            continue;
        }
        for (uint32_t k = 0; k < d->n_pieces; k++) {
            uint32_t end = (uint32_t)d->pieces[k].start + d->pieces[k].len;
            assert_true(d->pieces[k].len > 0 && end <= d->high);
            got += d->pieces[k].len;
            high = max_u32(high, end);
            for (uint32_t m = 0; m < k; m++) {
                uint32_t other = (uint32_t)d->pieces[m].start + d->pieces[m].len;
                assert_true(end <= d->pieces[m].start || d->pieces[k].start >= other);
            }
        }
        assert_true(got == d->got && high == d->high && d->q.len == got + d->hdr_len);
        assert_true(d->total == 0 || d->high <= d->total);
        assert_true(d->deadline > w->now && d->deadline <= w->now + FRAG_TIMEOUT_US);
        chunks += d->q.chunks;
    }
    assert_int_equal(live, frag_live(w->t));
    uint32_t holds = arena_page_size(w->a) / 16 * 15;
    assert_true(chunks <= 4 * ((65535 + FRAG_HDR_MAX + holds - 1) / holds));
}

/* One fragment of a datagram `data`: bytes from..from + n, of which the packet is made here. */
struct cut {
    tern_ip src, dst;
    uint32_t id, from, n;
    bool more;
    uint8_t proto, tos;
};

static uint32_t make_fragment(uint8_t *p, const struct cut *c, const uint8_t *data)
{
    bool is4 = tern_ip_is4(&c->src);
    uint32_t hdr_len = is4 ? 20 : 48;
    uint8_t proto = is4 ? c->proto : PROTO_FRAGMENT;
    ip_emit(p, &c->src, &c->dst, proto, 64, c->tos, is4 ? c->n : c->n + 8, (uint16_t)c->id);
    if (is4) {
        put16(p + 6, (uint16_t)(c->from / 8 | (c->more ? 0x2000 : 0)));
        put16(p + 10, 0);
        put16(p + 10, csum_fold(csum_add(0, p, 20)));
    } else {
        p[40] = c->proto, p[41] = 0;
        put16(p + 42, (uint16_t)(c->from | c->more));
        put32(p + 44, c->id);
    }
    memcpy(p + hdr_len, data + c->from, c->n);
    return hdr_len + c->n;
}

static enum tern_cause add_packet(struct world *w, const uint8_t *p, uint32_t len, struct frag_packet *out)
{
    struct ip_hdr ip;
    uint8_t *copy = exact(p, len);
    assert_int_equal(ip_parse(copy, len, &ip), TERN_CAUSE_NONE);
    assert_true(ip.fragment);
    enum tern_cause cause = frag_add(w->a, w->t, w->now, &ip, copy, 1, out);
    free(copy);
    check(w);
    return cause;
}

static enum tern_cause add(struct world *w, const struct cut *c, const uint8_t *data, struct frag_packet *out)
{
    static uint8_t p[70000];
    return add_packet(w, p, make_fragment(p, c, data), out);
}

/* A fragment of the usual datagram from 192.0.2.1 (or 2001:db8::1). */
static struct cut piece(int version, uint32_t id, uint32_t from, uint32_t n, bool more)
{
    struct cut c = {.id = id, .from = from, .n = n, .more = more, .proto = PROTO_UDP};
    c.src = version == 4 ? tern_ip4(192, 0, 2, 1) : ip6(0x2001, 0xdb8, 1);
    c.dst = version == 4 ? tern_ip4(192, 0, 2, 2) : ip6(0x2001, 0xdb8, 2);
    return c;
}

static enum tern_cause add_piece(struct world *w, int version, uint32_t id, uint32_t from, uint32_t n,
                                 bool more)
{
    static const uint8_t zeros[65536];
    struct frag_packet out;
    struct cut c = piece(version, id, from, n, more);
    enum tern_cause cause = add(w, &c, zeros, &out);
    assert_null(out.data);
    return cause;
}

static void assert_whole(const struct frag_packet *out, const struct cut *c, const uint8_t *data, uint32_t n)
{
    struct ip_hdr ip;
    assert_non_null(out->data);
    uint8_t *copy = exact(out->data, out->len);
    assert_int_equal(ip_parse(copy, out->len, &ip), TERN_CAUSE_NONE);
    assert_false(ip.fragment);
    assert_true(ip_eq(&ip.src, &c->src) && ip_eq(&ip.dst, &c->dst) && ip.proto == c->proto);
    assert_int_equal(ip.total_len, out->len);
    assert_int_equal(ip.payload_len, n);
    assert_memory_equal(ip.payload, data, n);
    free(copy);
}

/* --- what works ---------------------------------------------------------------------------------- */

/* What Linux sent, in every order: the ICMP checksum over 3008 bytes is right. */
static void fragments_of_linux(void **state)
{
    (void)state;
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    uint8_t msg[2][3008];
    memcpy(msg[0], GOLD_FRAG4_ICMP, 8);
    memcpy(msg[1], GOLD_FRAG6_ICMP, 8);
    for (int i = 0; i < 3000; i++)
        msg[0][8 + i] = msg[1][8 + i] = (uint8_t)(7 * i);
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (int order = 0; order < 12; order++) {
        bool v6 = order >= 6;
        uint32_t step = v6 ? 1448 : 1480, hdr_len = v6 ? 48 : 20;
        struct frag_packet out;
        for (int k = 0; k < 3; k++) {
            uint8_t p[1600], i = orders[order % 6][k];
            uint32_t n = i < 2 ? step : 3008 - 2 * step;
            memcpy(p, v6 ? GOLD_FRAG6[i] : GOLD_FRAG4[i], hdr_len);
            memcpy(p + hdr_len, msg[v6] + i * step, n);
            assert_null(k == 0 ? NULL : out.data);
            assert_int_equal(add_packet(&w, p, hdr_len + n, &out), TERN_CAUSE_NONE);
        }
        struct ip_hdr ip;
        struct icmp_msg m;
        assert_non_null(out.data);
        assert_int_equal(ip_parse(out.data, out.len, &ip), TERN_CAUSE_NONE);
        assert_int_equal(icmp_parse(&ip, &m), TERN_CAUSE_NONE);
        assert_true(m.type == (v6 ? ICMP6_ECHO : ICMP_ECHO) && m.body_len == 3000);
        assert_int_equal(ip.hdr_len, v6 ? 40 : 20);
        assert_int_equal(frag_live(w.t), 0);
    }
    end_world(&w, pages);
}

/* Random datagrams of both families and every page size, cut at random places, shuffled, several at a
 * time, some pieces twice. */
static void random_cuts(void **state)
{
    (void)state;
    uint64_t r = 11;
    uint8_t *data = malloc(65535);
    rnd_bytes(&r, data, 65535);
    for (uint32_t page = 512; page <= 65536; page *= 2) {
        struct world w = make_world(page);
        uint32_t pages = pages_in_use(&w);
        for (int round = 0; round < 60; round++) {
            int version = round % 2 ? 4 : 6;
            uint32_t n = 9 + (uint32_t)(rnd(&r) % (round % 4 < 2 ? 65500 : 3000)), count = 0;
            struct cut cuts[FRAG_PIECES];
            for (uint32_t from = 0; from < n; count++) {
                uint32_t len = 8 * (uint32_t)(1 + rnd(&r) % (n / 8 + 1));
                len = count == FRAG_PIECES - 1 || from + len > n ? n - from : len;
                if (from == 0 && len == n)
                    len = max_u32(n / 2 / 8 * 8, 8);
                cuts[count] = piece(version, (uint32_t)round, from, len, from + len < n);
                from += len;
            }
            for (uint32_t i = count; i > 1; i--) {
                uint32_t k = (uint32_t)(rnd(&r) % i);
                struct cut c = cuts[i - 1];
                cuts[i - 1] = cuts[k], cuts[k] = c;
            }
            struct frag_packet out;
            for (uint32_t i = 0; i < count; i++) {
                assert_int_equal(add(&w, &cuts[i], data, &out), TERN_CAUSE_NONE);
                if (i + 1 < count && rnd(&r) % 3 == 0)
                    assert_int_equal(add(&w, &cuts[rnd(&r) % (i + 1)], data, &out), TERN_CAUSE_NONE);
                assert_true((out.data != NULL) == (i + 1 == count));
            }
            assert_whole(&out, &cuts[0], data, n);
        }
        end_world(&w, pages);
    }
    free(data);
}

/* The longest of both families; one byte more is refused. */
static void largest(void **state)
{
    (void)state;
    uint64_t r = 12;
    uint8_t *data = malloc(65536);
    rnd_bytes(&r, data, 65536);
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (int version = 4; version <= 6; version += 2) {
        uint32_t most = version == 4 ? 65515 : 65535;
        struct frag_packet out;
        struct cut first = piece(version, 1, 0, 60000, true);
        struct cut last = piece(version, 1, 60000, most - 60000, false);
        assert_int_equal(add(&w, &first, data, &out), TERN_CAUSE_NONE);
        assert_int_equal(add(&w, &last, data, &out), TERN_CAUSE_NONE);
        assert_whole(&out, &first, data, most);
        first.id = last.id = 2, last.n++;
        assert_int_equal(add(&w, &first, data, &out), TERN_CAUSE_NONE);
        assert_int_equal(add(&w, &last, data, &out), TERN_C_FRAGMENT_MALFORMED);
        assert_null(out.data);
    }
    free(data);
    end_world(&w, pages);
}

/* Headers of the first fragment are those of the whole: IPv4 options, and IPv6 headers before the fragment
 * header. */
static void headers_of_the_first(void **state)
{
    (void)state;
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    struct frag_packet out;
    struct ip_hdr ip;
    uint8_t p[200] = {0}, q[200], zeros[64] = {0};
    struct cut last = piece(4, 5, 16, 5, false), last6 = piece(6, 5, 16, 5, false);
    struct cut first = piece(4, 5, 0, 16, true);
    make_fragment(q, &first, zeros);
    memcpy(p, q, 20);
    memcpy(p + 20, (uint8_t[]){148, 4, 0, 0}, 4); /* router alert */
    p[0] = 0x46, p[8] = 33;
    put16(p + 2, 40);
    put16(p + 10, 0);
    put16(p + 10, csum_fold(csum_add(0, p, 24)));
    assert_int_equal(add(&w, &last, zeros, &out), TERN_CAUSE_NONE);
    assert_int_equal(add_packet(&w, p, 40, &out), TERN_CAUSE_NONE);
    assert_int_equal(ip_parse(out.data, out.len, &ip), TERN_CAUSE_NONE);
    assert_true(ip.hdr_len == 24 && ip.ttl == 33 && ip.payload_len == 21 && out.len == 45);
    /* hop-by-hop and destination options before the fragment header, destination options behind it */
    static const uint8_t chain[] = {60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 1, 0, 0, 0, 5,
                                    17, 0, 1, 4, 0, 0, 0, 0, 0,  1, 0, 2, 0, 0, 0, 0};
    ip_emit(p, &last6.src, &last6.dst, 0, 64, 0, sizeof chain, 0);
    memcpy(p + 40, chain, sizeof chain);
    assert_int_equal(add(&w, &last6, zeros, &out), TERN_CAUSE_NONE);
    assert_int_equal(add_packet(&w, p, 40 + sizeof chain, &out), TERN_CAUSE_NONE);
    assert_int_equal(ip_parse(out.data, out.len, &ip), TERN_CAUSE_NONE);
    assert_true(ip.hdr_len == 64 && ip.proto == PROTO_UDP && ip.payload_len == 13 && !ip.fragment);
    end_world(&w, pages);
}

/* RFC 3168 5.3. (RFC3168-5.3-bcd) */
static void ecn(void **state)
{
    (void)state;
    static const struct {
        uint8_t a, b;
        int whole; /* -1: refused */
    } rows[] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2},  {3, 3, 3}, {2, 3, 3},
                {3, 2, 3}, {1, 3, 3}, {0, 3, -1}, {3, 0, -1}};
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (int version = 4; version <= 6; version += 2) {
        for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
            uint8_t zeros[24] = {0};
            struct frag_packet out;
            struct ip_hdr ip;
            struct cut a = piece(version, i, 0, 16, true), b = piece(version, i, 16, 8, false);
            a.tos = 0xb8 | rows[i].a, b.tos = rows[i].b;
            assert_int_equal(add(&w, &a, zeros, &out), TERN_CAUSE_NONE);
            enum tern_cause cause = add(&w, &b, zeros, &out);
            assert_int_equal(cause, rows[i].whole < 0 ? TERN_C_FRAGMENT_MALFORMED : TERN_CAUSE_NONE);
            if (cause != TERN_CAUSE_NONE)
                continue;
            assert_int_equal(ip_parse(out.data, out.len, &ip), TERN_CAUSE_NONE);
            assert_int_equal(ip.tos, 0xb8 | rows[i].whole);
        }
    }
    end_world(&w, pages);
}

/* --- what is refused ----------------------------------------------------------------------------- */

/* RFC 5722 4: an overlap of a single byte ends the datagram, and all that follows of it. */
static void overlaps(void **state)
{
    (void)state;
    static const struct {
        uint32_t from, n;
    } rows[] = {{0, 16}, {8, 8}, {8, 16}, {8, 24}, {8, 32}, {16, 8}, {24, 8}, {24, 16}, {16, 24}, {0, 64}};
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (int version = 4; version <= 6; version += 2) {
        for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
            bool overlap = rows[i].from + rows[i].n > 16 && rows[i].from < 32;
            assert_int_equal(add_piece(&w, version, i, 16, 16, true), TERN_CAUSE_NONE);
            enum tern_cause cause = add_piece(&w, version, i, rows[i].from, rows[i].n, true);
            assert_int_equal(cause, overlap ? TERN_C_FRAGMENT_OVERLAP : TERN_CAUSE_NONE);
            if (overlap) {
                assert_int_equal(add_piece(&w, version, i, 80, 16, true), TERN_C_FRAGMENT_OVERLAP);
                assert_int_equal(add_piece(&w, version, i, 16, 16, true), TERN_C_FRAGMENT_OVERLAP);
            }
        }
    }
    end_world(&w, pages);
}

/* The same bytes again are harmless (RFC 8200 4.5); other bytes at the same place are an overlap. */
static void repetitions(void **state)
{
    (void)state;
    static uint8_t data[40000], other[40000];
    struct world w = make_world(512);
    uint32_t pages = pages_in_use(&w);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = other[i] = (uint8_t)(i * 31 >> 3);
    struct frag_packet out;
    struct cut first = piece(4, 1, 0, 8000, true), big = piece(4, 1, 8000, 20000, true);
    assert_int_equal(add(&w, &big, data, &out), TERN_CAUSE_NONE);
    assert_int_equal(add(&w, &first, data, &out), TERN_CAUSE_NONE);
    assert_int_equal(add(&w, &big, data, &out), TERN_CAUSE_NONE);
    assert_int_equal(add(&w, &first, data, &out), TERN_CAUSE_NONE);
    assert_int_equal(w.t->d[0].n_pieces, 2);
    other[27999] ^= 1;
    assert_int_equal(add(&w, &first, other, &out), TERN_CAUSE_NONE);
    assert_int_equal(add(&w, &big, other, &out), TERN_C_FRAGMENT_OVERLAP);
    end_world(&w, pages);
}

/* RFC 791 3.2, RFC 8200 4.5: what no fragment of anything can be. */
static void malformed(void **state)
{
    (void)state;
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (int version = 4; version <= 6; version += 2) {
        assert_int_equal(add_piece(&w, version, 1, 0, 0, true), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(add_piece(&w, version, 1, 8, 0, false), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(add_piece(&w, version, 1, 8, 12, true), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(add_piece(&w, version, 1, 65528, 8, false), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(frag_live(w.t), 0);
        /* two ends; an end before what has come; something behind the end */
        assert_int_equal(add_piece(&w, version, 2, 80, 8, false), TERN_CAUSE_NONE);
        assert_int_equal(add_piece(&w, version, 2, 88, 8, false), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(add_piece(&w, version, 3, 80, 8, true), TERN_CAUSE_NONE);
        assert_int_equal(add_piece(&w, version, 3, 40, 8, false), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(add_piece(&w, version, 4, 80, 8, false), TERN_CAUSE_NONE);
        assert_int_equal(add_piece(&w, version, 4, 160, 8, true), TERN_C_FRAGMENT_MALFORMED);
        assert_int_equal(add_piece(&w, version, 4, 0, 80, true), TERN_C_FRAGMENT_MALFORMED);
        frag_clear(w.a, w.t);
    }
    end_world(&w, pages);
}

/* RFC 8200 4.5, RFC 7112: a first fragment holds all headers. RFC 8200 4.1: and no second fragment header. */
static void headers_in_the_first(void **state)
{
    (void)state;
    static const struct {
        uint8_t proto, n, bytes[32];
        enum tern_cause cause;
    } rows[] = {
        {PROTO_TCP, 16, {0}, TERN_C_FRAGMENT_MALFORMED},
        {PROTO_TCP, 24, {0}, TERN_CAUSE_NONE},
        {PROTO_UDP, 8, {0}, TERN_CAUSE_NONE},
        {60, 8, {17, 0, 1, 4}, TERN_C_FRAGMENT_MALFORMED},
        {60, 16, {17, 0, 1, 4}, TERN_CAUSE_NONE},
        {60, 16, {17, 2, 1, 20}, TERN_C_FRAGMENT_MALFORMED},
        {44, 16, {17}, TERN_CAUSE_NONE}, /* found out when it is whole */
    };
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct frag_packet out;
        uint8_t data[40] = {0};
        struct cut c = piece(6, i, 0, rows[i].n, true), last = piece(6, i, rows[i].n, 8, false);
        memcpy(data, rows[i].bytes, sizeof rows[i].bytes);
        c.proto = last.proto = rows[i].proto;
        assert_int_equal(add(&w, &c, data, &out), rows[i].cause);
        if (rows[i].cause == TERN_CAUSE_NONE)
            assert_int_equal(add(&w, &last, data, &out), TERN_CAUSE_NONE);
    }
    /* a fragment in the fragment: the whole would be a fragment again */
    struct frag_packet out;
    uint8_t data[40] = {17, 0, 0, 1};
    struct cut c = piece(6, 99, 0, 24, true), last = piece(6, 99, 24, 8, false);
    c.proto = last.proto = PROTO_FRAGMENT;
    assert_int_equal(add(&w, &c, data, &out), TERN_CAUSE_NONE);
    assert_int_equal(add(&w, &last, data, &out), TERN_C_FRAGMENT_MALFORMED);
    assert_null(out.data);
    end_world(&w, pages);
}

/* Each part of the name tells datagrams apart; in IPv6 the protocol is no part of it. */
static void names(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (int version = 4; version <= 6; version += 2) {
        struct frag_packet out;
        struct cut a = piece(version, 1, 0, 32, true);
        assert_int_equal(add(&w, &a, zeros, &out), TERN_CAUSE_NONE);
        for (int k = 0; k < 4; k++) {
            struct cut b = piece(version, 1, 32, 8, false);
            if (k == 0)
                b.id++;
            else if (k == 1)
                b.src.b[15]++;
            else if (k == 2)
                b.dst.b[15]++;
            else
                b.proto = PROTO_ICMP;
            assert_int_equal(add(&w, &b, zeros, &out), TERN_CAUSE_NONE);
            assert_true((out.data != NULL) == (version == 6 && k == 3));
        }
        frag_clear(w.a, w.t);
    }
    struct ip_hdr ip;
    struct frag_packet out;
    uint8_t p[100];
    struct cut a = piece(4, 1, 0, 32, true), b = piece(4, 1, 32, 8, false);
    uint32_t len = make_fragment(p, &a, zeros);
    assert_int_equal(ip_parse(p, len, &ip), TERN_CAUSE_NONE);
    assert_int_equal(frag_add(w.a, w.t, w.now, &ip, p, 2, &out), TERN_CAUSE_NONE); /* by another link */
    assert_int_equal(add(&w, &b, zeros, &out), TERN_CAUSE_NONE);
    assert_null(out.data);
    end_world(&w, pages);
}

/* --- limits -------------------------------------------------------------------------------------- */

static void too_many_pieces(void **state)
{
    (void)state;
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    for (uint32_t i = 0; i < FRAG_PIECES; i++)
        assert_int_equal(add_piece(&w, 4, 1, 16 * i, 8, true), TERN_CAUSE_NONE);
    assert_int_equal(add_piece(&w, 4, 1, 16 * FRAG_PIECES, 8, true), TERN_C_FRAGMENT_LIMIT);
    assert_int_equal(add_piece(&w, 4, 1, 8, 8, true), TERN_C_FRAGMENT_LIMIT);
    end_world(&w, pages);
}

/* One source has 4 datagrams at most, and its oldest gives way; others are not touched. In IPv6 a /64 is
 * one source. */
static void share_of_a_source(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    for (int version = 4; version <= 6; version += 2) {
        struct world w = make_world(4096);
        uint32_t pages = pages_in_use(&w);
        struct frag_packet out;
        struct cut other = piece(version, 1, 0, 32, true);
        other.src.b[version == 4 ? 15 : 7]++;
        assert_int_equal(add(&w, &other, zeros, &out), TERN_CAUSE_NONE);
        for (uint32_t id = 0; id < 20; id++) {
            struct cut c = piece(version, id, 0, 32, true);
            w.now++;
            if (version == 6)
                c.src.b[8] = (uint8_t)id;
            assert_int_equal(add(&w, &c, zeros, &out), TERN_CAUSE_NONE);
            assert_int_equal(frag_live(w.t), 1 + min_u32(id + 1, FRAG_PER_SOURCE));
        }
        assert_int_equal(w.t->evicted, 16);
        other.from = 32, other.more = false; /* still there */
        assert_int_equal(add(&w, &other, zeros, &out), TERN_CAUSE_NONE);
        assert_non_null(out.data);
        end_world(&w, pages);
    }
}

/* Many sources: the table is never fuller than full, the oldest gives way. */
static void full_table(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    struct frag_packet out;
    for (uint32_t i = 0; i < 100; i++) {
        struct cut c = piece(4, 7, 0, 32, true);
        c.src.b[15] = (uint8_t)i;
        w.now++;
        assert_int_equal(add(&w, &c, zeros, &out), TERN_CAUSE_NONE);
        assert_int_equal(frag_live(w.t), min_u32(i + 1, FRAG_DATAGRAMS));
    }
    for (uint32_t i = 84; i < 100; i++) { /* the 16 newest are whole with their other half */
        struct cut c = piece(4, 7, 32, 8, false);
        c.src.b[15] = (uint8_t)i;
        assert_int_equal(add(&w, &c, zeros, &out), TERN_CAUSE_NONE);
        assert_non_null(out.data);
    }
    end_world(&w, pages);
}

/* Bytes: large pieces of many datagrams, from one source and from many; check() holds the sum against the
 * limit. */
static void bytes_in_all(void **state)
{
    (void)state;
    static uint8_t zeros[65536];
    for (uint32_t sources = 1; sources <= 16; sources += 5) {
        struct world w = make_world(4096);
        uint32_t pages = pages_in_use(&w), share = 72 * 1024 / 4096;
        struct frag_packet out;
        for (uint32_t i = 0; i < 200; i++) {
            struct cut c = piece(4, i / sources, 8 * (i % 3), 30000, true);
            c.src.b[15] = (uint8_t)(i % sources);
            w.now++;
            assert_int_equal(add(&w, &c, zeros, &out), TERN_CAUSE_NONE);
            assert_true(pages_in_use(&w) - pages <= share * min_u32(sources, 4));
        }
        end_world(&w, pages);
    }
}

/* RFC 8200 4.5: 60 s after the first piece, whatever came later. */
static void timeouts(void **state)
{
    (void)state;
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w);
    assert_int_equal(frag_next_deadline(w.t), UINT64_MAX);
    assert_int_equal(add_piece(&w, 4, 1, 0, 32, true), TERN_CAUSE_NONE);
    uint64_t deadline = w.now + FRAG_TIMEOUT_US;
    w.now += FRAG_TIMEOUT_US / 2;
    assert_int_equal(add_piece(&w, 4, 1, 64, 32, true), TERN_CAUSE_NONE);
    assert_int_equal(add_piece(&w, 6, 1, 64, 32, true), TERN_CAUSE_NONE);
    assert_int_equal(frag_next_deadline(w.t), deadline);
    assert_int_equal(frag_expire(w.a, w.t, deadline - 1), 0);
    assert_int_equal(frag_expire(w.a, w.t, deadline), 1);
    assert_int_equal(frag_live(w.t), 1);
    assert_int_equal(frag_next_deadline(w.t), deadline + FRAG_TIMEOUT_US / 2);
    w.now = deadline; /* what comes now is a new datagram */
    assert_int_equal(add_piece(&w, 4, 1, 96, 32, false), TERN_CAUSE_NONE);
    assert_int_equal(frag_live(w.t), 2);
    w.now += 2 * (uint64_t)FRAG_TIMEOUT_US;
    assert_int_equal(frag_expire(w.a, w.t, w.now), 2);
    assert_int_equal(w.t->timeouts, 3);
    assert_int_equal(pages_in_use(&w), pages);
    /* what was refused before is counted as that, and forgotten in its time */
    assert_int_equal(add_piece(&w, 4, 2, 0, 32, true), TERN_CAUSE_NONE);
    assert_int_equal(add_piece(&w, 4, 2, 8, 32, true), TERN_C_FRAGMENT_OVERLAP);
    assert_int_equal(frag_expire(w.a, w.t, w.now + FRAG_TIMEOUT_US), 0);
    assert_int_equal(frag_live(w.t), 0);
    end_world(&w, pages);
}

/* Whichever allocation is refused: the datagram is given up, nothing leaks, and the next one works. */
static void memory_refused(void **state)
{
    (void)state;
    static uint8_t data[20000];
    for (uint32_t fail = 1; fail < 60; fail++) {
        struct world w = make_world(512);
        uint32_t pages = pages_in_use(&w);
        struct cut a = piece(6, 1, 0, 10000, true), b = piece(6, 1, 10000, 9999, false);
        struct frag_packet out;
        w.a->fail_after = fail;
        enum tern_cause first = add(&w, &a, data, &out), second = add(&w, &b, data, &out);
        bool failed = w.a->fail_after == 0;
        assert_true((out.data == NULL) == failed);
        assert_int_equal(second, failed ? TERN_C_FRAGMENT_LIMIT : TERN_CAUSE_NONE);
        assert_true(first == TERN_CAUSE_NONE || first == TERN_C_FRAGMENT_LIMIT);
        w.a->fail_after = 0;
        a.id = b.id = 2;
        assert_int_equal(add(&w, &a, data, &out), TERN_CAUSE_NONE);
        assert_int_equal(add(&w, &b, data, &out), TERN_CAUSE_NONE);
        assert_whole(&out, &a, data, 19999);
        end_world(&w, pages);
    }
}

/* A thousand datagrams of all sizes later, the arena has been asked for no more than at the start. */
static void no_ratchet(void **state)
{
    (void)state;
    static uint8_t data[65536];
    struct world w = make_world(4096);
    uint32_t pages = pages_in_use(&w), high = 0;
    uint64_t r = 13;
    for (uint32_t id = 0; id < 2000; id++) {
        uint32_t cut = 8 * (uint32_t)(1 + rnd(&r) % 8000);
        struct cut a = piece(4, id, 0, cut, true), b = piece(4, id, cut, 100, false);
        struct frag_packet out;
        add(&w, &b, data, &out);
        assert_int_equal(add(&w, &a, data, &out), TERN_CAUSE_NONE);
        assert_whole(&out, &a, data, cut + 100);
        if (id == 100)
            high = w.a->pages_used;
    }
    assert_int_equal(w.a->pages_used, high);
    assert_true(high <= pages + 3 * 18);
    end_world(&w, pages);
    w = make_world(512); /* each a little larger than the one before */
    pages = pages_in_use(&w);
    for (uint32_t id = 0; id < 127; id++) {
        struct cut a = piece(4, id, 0, 512 * id + 8, true), b = piece(4, id, 512 * id + 8, 8, false);
        struct frag_packet out;
        assert_int_equal(add(&w, &a, data, &out), TERN_CAUSE_NONE);
        assert_int_equal(add(&w, &b, data, &out), TERN_CAUSE_NONE);
    }
    assert_true(w.a->pages_used <= pages + 3 * 140 + 2 * 129);
    end_world(&w, pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_of_linux),
        cmocka_unit_test(random_cuts),
        cmocka_unit_test(largest),
        cmocka_unit_test(headers_of_the_first),
        cmocka_unit_test(ecn),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(repetitions),
        cmocka_unit_test(malformed),
        cmocka_unit_test(headers_in_the_first),
        cmocka_unit_test(names),
        cmocka_unit_test(too_many_pieces),
        cmocka_unit_test(share_of_a_source),
        cmocka_unit_test(full_table),
        cmocka_unit_test(bytes_in_all),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(memory_refused),
        cmocka_unit_test(no_ratchet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
