/* Cutting super-segments: what a network card's TSO does, held against hand-made packets. */
#include "link_packets.h"

struct pieces {
    int n;
    uint32_t len[64];
    uint8_t data[64][2100];
};

static void keep(void *ctx, const uint8_t *pkt, uint32_t len)
{
    struct pieces *out = ctx;
    assert_true(out->n < 64);
    assert_true(len <= sizeof out->data[0]);
    memcpy(out->data[out->n], pkt, len);
    out->len[out->n++] = len;
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + i / 256);
}

/* 2500 bytes in pieces of 1000, from slices of odd lengths. */
static void cut(struct pieces *out, bool v6, uint8_t *payload)
{
    tern_tx_packet pkt;
    fill(payload, 2500);
    make_packet(&pkt, v6, ACK | PSH | FIN | CWR, payload, 2500);
    pkt.gso_size = 1000;
    pkt.n_slices = 4;
    pkt.slices[0] = (tern_slice){payload, 1};
    pkt.slices[1] = (tern_slice){payload + 1, 1001};
    pkt.slices[2] = (tern_slice){payload + 1002, 0};
    pkt.slices[3] = (tern_slice){payload + 1002, 1498};
    out->n = 0;
    tern_segment(&pkt, keep, out);
    assert_int_equal(out->n, 3);
}

static void check_piece(const struct pieces *out, int i, uint32_t hdr, const uint8_t *payload)
{
    static const uint32_t sizes[] = {1000, 1000, 500};
    static const uint8_t flags[] = {ACK | CWR, ACK, ACK | PSH | FIN};
    const uint8_t *p = out->data[i];
    assert_int_equal(out->len[i], hdr + 20 + sizes[i]);
    assert_int_equal(be32(p + hdr + 4), (uint32_t)(0xffffff00u + 1000u * (uint32_t)i)); /* wraps */
    assert_int_equal(p[hdr + 13], flags[i]);
    assert_memory_equal(p + hdr + 20, payload + 1000 * i, sizes[i]);
    assert_checksums(p, out->len[i]);
}

static void cuts_ipv4(void **state)
{
    static struct pieces out;
    uint8_t payload[2500];
    (void)state;
    cut(&out, false, payload);
    for (int i = 0; i < 3; i++) {
        check_piece(&out, i, 20, payload);
        assert_int_equal(be16(out.data[i] + 2), out.len[i]);
        assert_int_equal(be16(out.data[i] + 4), (0xffff + i) & 0xffff); /* the identification counts on */
    }
}

static void cuts_ipv6(void **state)
{
    static struct pieces out;
    uint8_t payload[2500];
    (void)state;
    cut(&out, true, payload);
    for (int i = 0; i < 3; i++) {
        check_piece(&out, i, 40, payload);
        assert_int_equal(be16(out.data[i] + 4), out.len[i] - 40);
    }
}

static void exact_multiple_has_no_empty_piece(void **state)
{
    static struct pieces out;
    static uint8_t payload[3000];
    tern_tx_packet pkt;
    (void)state;
    make_packet(&pkt, false, ACK, payload, 3000);
    pkt.gso_size = 1000;
    out.n = 0;
    tern_segment(&pkt, keep, &out);
    assert_int_equal(out.n, 3);
    assert_int_equal(out.len[2], 1040);
}

static void completes_a_single_packet(void **state)
{
    static struct pieces out;
    uint8_t payload[777];
    (void)state;
    fill(payload, sizeof payload);
    for (int v6 = 0; v6 < 2; v6++) {
        tern_tx_packet pkt;
        make_packet(&pkt, v6, ACK | FIN | CWR, payload, sizeof payload);
        pkt.gso_size = 1000; /* longer than the payload: nothing to cut */
        out.n = 0;
        tern_segment(&pkt, keep, &out);
        assert_int_equal(out.n, 1);
        assert_int_equal(out.len[0], pkt.len);
        assert_int_equal(out.data[0][pkt.csum_start + 13], ACK | FIN | CWR);
        assert_checksums(out.data[0], out.len[0]);
    }
}

static void leaves_a_complete_packet_alone(void **state)
{
    static struct pieces out;
    uint8_t payload[100], flat[200];
    tern_tx_packet pkt;
    (void)state;
    fill(payload, sizeof payload);
    make_packet(&pkt, false, ACK, payload, sizeof payload);
    pkt.flags = 0; /* its checksum is wrong, and that is not ours to mend */
    tern_tx_flatten(&pkt, flat);
    out.n = 0;
    tern_segment(&pkt, keep, &out);
    assert_int_equal(out.n, 1);
    assert_memory_equal(out.data[0], flat, pkt.len);
}

static void passes_a_bare_header(void **state)
{
    static struct pieces out;
    tern_tx_packet pkt;
    (void)state;
    make_packet(&pkt, true, ACK, NULL, 0);
    out.n = 0;
    tern_segment(&pkt, keep, &out);
    assert_int_equal(out.n, 1);
    assert_int_equal(out.len[0], 60);
    assert_checksums(out.data[0], 60);
}

/* The largest there is: 64 KiB in 1,448-byte segments. */
static void count_only(void *ctx, const uint8_t *pkt, uint32_t len)
{
    uint32_t *bytes = ctx;
    assert_checksums(pkt, len);
    *bytes += len - 60;
}

static void cuts_the_largest(void **state)
{
    static uint8_t payload[65515];
    uint32_t bytes = 0;
    tern_tx_packet pkt;
    (void)state;
    fill(payload, sizeof payload);
    make_packet(&pkt, true, ACK, payload, sizeof payload);
    pkt.gso_size = 1448;
    tern_segment(&pkt, count_only, &bytes);
    assert_int_equal(bytes, sizeof payload);
}

/* `max` at a time; all pieces, as tern_cut_next gives them one by one. */
static int cut_by(const tern_tx_packet *pkt, uint32_t max, uint8_t (*to)[2100], uint32_t *len)
{
    tern_cut c;
    int n = 0;
    uint32_t some = max;
    tern_cut_begin(&c, pkt, NULL);
    while (some == max) {
        some = tern_cut_some(&c, to[n], sizeof to[0], len + n, max);
        n += (int)some;
        assert_true(n < 60);
    }
    assert_int_equal(tern_cut_next(&c, to[n]), 0);
    return n;
}

static void assert_cut_the_same(const tern_tx_packet *pkt)
{
    static struct pieces one;
    static uint8_t many[64][2100];
    uint32_t len[64];
    one.n = 0;
    tern_segment(pkt, keep, &one);
    for (uint32_t max = 1; max <= 64; max += max < 8 ? 1 : 28) {
        memset(many, 0xa5, sizeof many);
        assert_int_equal(cut_by(pkt, max, many, len), one.n);
        for (int i = 0; i < one.n; i++) {
            assert_int_equal(len[i], one.len[i]);
            assert_memory_equal(many[i], one.data[i], len[i]);
        }
    }
}

/* Slices that end inside, before, and exactly with a piece; with and without what only the first may have. */
static void some_at_once_are_the_same(void **state)
{
    static const uint32_t ends[][3] = {{20000, 0, 0}, {5000, 5001, 20000}, {999, 4000, 20000}, {19999, 0, 0}};
    static uint8_t payload[20000];
    tern_tx_packet pkt;
    (void)state;
    fill(payload, sizeof payload);
    for (int v = 0; v < 16; v++) {
        const uint32_t *end = ends[v / 4];
        make_packet(&pkt, v % 2 != 0, ACK | PSH | (v & 2 ? CWR : 0), payload, sizeof payload);
        pkt.gso_size = 1000;
        pkt.n_slices = 0;
        for (uint32_t at = 0, i = 0; at < pkt.len - pkt.hdr_len; at = end[i++]) {
            uint32_t to = i < 3 && end[i] > at && end[i] < sizeof payload ? end[i] : sizeof payload;
            pkt.slices[pkt.n_slices++] = (tern_slice){payload + at, to - at};
            if (to == sizeof payload)
                break;
        }
        assert_cut_the_same(&pkt);
    }
}

/* What is not cut is one piece, and a bare header is one. */
static void some_of_one(void **state)
{
    uint8_t payload[700];
    tern_tx_packet pkt;
    (void)state;
    fill(payload, sizeof payload);
    make_packet(&pkt, false, ACK, payload, sizeof payload);
    assert_cut_the_same(&pkt);
    make_packet(&pkt, true, ACK, payload, 0);
    assert_cut_the_same(&pkt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_ipv4),
        cmocka_unit_test(cuts_ipv6),
        cmocka_unit_test(exact_multiple_has_no_empty_piece),
        cmocka_unit_test(completes_a_single_packet),
        cmocka_unit_test(leaves_a_complete_packet_alone),
        cmocka_unit_test(passes_a_bare_header),
        cmocka_unit_test(cuts_the_largest),
        cmocka_unit_test(some_at_once_are_the_same),
        cmocka_unit_test(some_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
