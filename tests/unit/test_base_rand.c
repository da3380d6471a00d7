/* SipHash against its reference, and numbers that are drawn from it. */
#include "base_world.h"

#include "base/rand.h"

/* Key 00..0f, input 00..n-1 for n = 0..16 and 63. The value for n = 15 is the example of the paper (appendix
 * A); all were computed with OpenSSL 3 (openssl mac SIPHASH, 2-4 and 1-3 rounds). */
static const uint64_t expect24[] = {
    0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7,
    0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0,
    0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7, 0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
    0xa129ca6149be45e5, 0x3f2acc7f57c29bdb, 0x958a324ceb064572,
};
static const uint64_t expect13[] = {
    0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d, 0x8bf80ab8e7ddf7fb, 0xcf75576088d38328,
    0xdef9d52f49533b67, 0xc50d2b50c59f22a7, 0xd3927d989bb11140, 0x369095118d299a8e, 0x25a48eb36c063de4,
    0x79de85ee92ff097f, 0x70c118c1f94dc352, 0x78a384b157b4d9a2, 0x306f760c1229ffa7, 0x605aa111c0f95d34,
    0xd320d86d2a519956, 0xcc4fdd1a7d908b66, 0x9d199062b7bbb3a8,
};

static const struct sipkey key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void test_siphash_matches_the_reference(void **state)
{
    (void)state;
    uint8_t text[1 + 63];
    for (size_t i = 0; i < ARRAY_LEN(expect24); i++) {
        size_t n = i < 17 ? i : 63;
        for (size_t shift = 0; shift < 2; shift++) { /* also from an odd address */
            for (size_t k = 0; k < n; k++)
                text[shift + k] = (uint8_t)k;
            assert_int_equal(siphash24(key, text + shift, n), expect24[i]);
            assert_int_equal(siphash13(key, text + shift, n), expect13[i]);
        }
    }
}

static void test_words_hash_as_their_bytes_do(void **state)
{
    (void)state;
    for (size_t n = 0; n < 64; n++) {
        uint8_t text[64];
        uint64_t words[8] = {0};
        for (size_t k = 0; k < n; k++)
            text[k] = (uint8_t)(k * 37 + n), words[k / 8] |= (uint64_t)text[k] << k % 8 * 8;
        words[n / 8] |= sip_length(n);
        assert_int_equal(siphash24_words(key, words, n / 8 + 1), siphash24(key, text, n));
    }
}

static void test_every_bit_of_seed_and_purpose_counts(void **state)
{
    (void)state;
    uint8_t seed[32] = {0};
    struct sipkey keys[256 + 32];
    for (uint32_t i = 0; i < 256; i++) {
        seed[i / 8] ^= (uint8_t)(1u << i % 8);
        keys[i] = sipkey_derive(seed, 7);
        seed[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (uint32_t i = 0; i < 32; i++)
        keys[256 + i] = sipkey_derive(seed, 1u << i);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        for (size_t k = 0; k < i; k++)
            assert_true(keys[i].k0 != keys[k].k0 && keys[i].k1 != keys[k].k1);
}

static void test_the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    const uint8_t seed[32] = "one seed of thirty-two bytes....";
    struct rng a, b, other;
    rng_init(&a, seed, 1);
    rng_init(&b, seed, 1);
    rng_init(&other, seed, 2);
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_u64(&a);
        assert_int_equal(x, rng_u64(&b));
        assert_true(x != rng_u64(&other) && x != last);
        last = x;
    }
}

static void test_below_stays_below_and_is_even(void **state)
{
    (void)state;
    const uint32_t limits[] = {1, 2, 3, 10, 1000, 0x80000001, 0xffffffff};
    const uint8_t seed[32] = {1};
    struct rng r;
    rng_init(&r, seed, 3);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        for (int k = 0; k < 1000; k++)
            assert_true(rng_below(&r, limits[i]) < limits[i]);
    uint32_t count[10] = {0};
    for (int i = 0; i < 100000; i++)
        count[rng_below(&r, 10)]++;
    for (int i = 0; i < 10; i++) /* 5 sigma */
        assert_in_range(count[i], 10000 - 480, 10000 + 480);
    /* without drawing again every third number would come twice as often as the others */
    uint32_t thirds = 0;
    for (int i = 0; i < 30000; i++)
        thirds += rng_below(&r, 0xc0000000) % 3 == 0;
    assert_in_range(thirds, 10000 - 410, 10000 + 410);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_matches_the_reference),
        cmocka_unit_test(test_words_hash_as_their_bytes_do),
        cmocka_unit_test(test_every_bit_of_seed_and_purpose_counts),
        cmocka_unit_test(test_the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(test_below_stays_below_and_is_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
