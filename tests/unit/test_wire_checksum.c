/* The Internet checksum against its definition, byte by byte. */
#include "wire_help.h"

/* RFC 1071 3: the example of the standard, whose sum is ddf2. */
static void rfc1071_example(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(csum_fold(csum_add(0, bytes, 8)), (uint16_t)~0xddf2);
    assert_int_equal(csum_fold(csum_add(0, bytes, 0)), 0xffff);
}

static void every_length_and_alignment(void **state)
{
    (void)state;
    uint64_t r = 1;
    for (size_t n = 0; n < 700; n++) {
        for (size_t shift = 0; shift < 9; shift++) {
            uint8_t *p = malloc(n + shift + 1);
            rnd_bytes(&r, p, n + shift);
            uint8_t *q = exact(p + shift, n);
            assert_int_equal(csum_fold(csum_add(0, p + shift, n)), slow_csum(p + shift, n, 0));
            assert_int_equal(csum_fold(csum_add(0, q, n)), slow_csum(p + shift, n, 0));
            free(q);
            free(p);
        }
    }
}

/* Bytes after an odd number of others (RFC 1071 2 B): any cut into three gives the sum of the whole. */
static void pieces_add_up(void **state)
{
    (void)state;
    uint64_t r = 2;
    uint8_t p[300];
    rnd_bytes(&r, p, sizeof p);
    uint16_t whole = csum_fold(csum_add(0, p, sizeof p));
    for (size_t a = 0; a <= sizeof p; a += 7) {
        for (size_t b = a; b <= sizeof p; b++) {
            uint64_t sum = csum_add(0, p, a);
            sum = (a % 2 ? csum_add_odd : csum_add)(sum, p + a, b - a);
            sum = (b % 2 ? csum_add_odd : csum_add)(sum, p + b, sizeof p - b);
            assert_int_equal(csum_fold(sum), whole);
        }
    }
}

/* Slices of any lengths, odd and empty ones among them. */
static void slices_add_up(void **state)
{
    (void)state;
    uint64_t r = 5;
    uint8_t p[400];
    rnd_bytes(&r, p, sizeof p);
    for (int round = 0; round < 2000; round++) {
        tern_slice slices[12];
        uint32_t at = 0;
        for (uint32_t i = 0; i < 12; at += slices[i++].len)
            slices[i] = (tern_slice){p + at, (uint32_t)(rnd(&r) % 33)};
        assert_int_equal(csum_fold(csum_slices(0, slices, 12, csum_plain)), slow_csum(p, at, 0));
    }
}

/* Every addition carries; 64 KiB of ones, and 10,000 such sums added up. */
static void carries(void **state)
{
    (void)state;
    uint8_t *ones = malloc(65536);
    memset(ones, 0xff, 65536);
    uint64_t sum = 0;
    for (int i = 0; i < 10000; i++)
        sum = csum_add(sum, ones, 65535 + (size_t)(i & 1));
    assert_int_equal(csum_fold(csum_add(0, ones, 65536)), 0);
    assert_int_equal(csum_fold(csum_add(0, ones, 65535)), (uint16_t)~0xff00);
    assert_int_equal(csum_fold(csum_add(0xffff, ones, 2)), 0);
    assert_true(sum <= 10000ull * 65535);
    free(ones);
}

/* One bit flipped changes the sum, wherever it is. */
static void no_bit_is_forgotten(void **state)
{
    (void)state;
    uint64_t r = 3;
    uint8_t p[203];
    rnd_bytes(&r, p, sizeof p);
    uint16_t was = csum_fold(csum_add(0, p, sizeof p));
    for (size_t bit = 0; bit < 8 * sizeof p; bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(csum_fold(csum_add(0, p, sizeof p)), was);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void pseudo_headers(void **state)
{
    (void)state;
    tern_ip a = tern_ip4(192, 0, 2, 1), b = tern_ip4(192, 0, 2, 2);
    /* c000 + 0201 + c000 + 0202 + 0006 + 0014 = 1841d, folded 841e */
    assert_int_equal(csum_fold(csum_pseudo(&a, &b, PROTO_TCP, 20)), (uint16_t)~0x841e);
    tern_ip c = ip6(0x2001, 0xdb8, 1), d = ip6(0x2001, 0xdb8, 2);
    /* 2 * (2001 + 0db8) + 1 + 2 + 3a + length 00010008 in two words */
    uint16_t want = (uint16_t)~(0x5b72 + 3 + 0x3a + 9);
    assert_int_equal(csum_fold(csum_pseudo(&c, &d, PROTO_ICMP6, 0x10008)), want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1071_example),
        cmocka_unit_test(every_length_and_alignment),
        cmocka_unit_test(pieces_add_up),
        cmocka_unit_test(slices_add_up),
        cmocka_unit_test(carries),
        cmocka_unit_test(no_bit_is_forgotten),
        cmocka_unit_test(pseudo_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
