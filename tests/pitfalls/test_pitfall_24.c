/* Pitfall 24 of docs/PITFALLS.md: initial numbers at 2^31-1 and 2^32-1, and a transfer of more than 2^32
 * bytes; byte-exact. */
#include "lab/pair.h"

/* 5 GB in an optimised build; with a sanitizer, or without optimisation, as much as crosses 2^32 from a start
 * just below it. */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
static const bool whole = true;
#else
static const bool whole = false;
#endif

static bool received(struct pair *p)
{
    return p->e[B].read == p->e[A].to_write && pair_info(p, A).bytes_acked == p->e[A].to_write;
}

static void move(struct pair *p, uint64_t bytes)
{
    pair_open(p);
    p->e[A].to_write = bytes;
    p->e[A].shut_when_written = true;
    pair_until(p, received, 100000 * SEC);
    PAIR_CHECK(p, pair_info(p, A).bytes_acked == bytes && pair_info(p, B).bytes_received == bytes);
    pair_end(p);
}

static struct pair_config fast_path(uint64_t seed)
{
    struct pair_config cfg = {
        .seed = seed, .gso = 60000, .memory = 64u << 20, .unchecked = true, .delay_us = 100};
    for (int i = 0; i < 2; i++) {
        cfg.stack[i].send_buffer = cfg.stack[i].recv_buffer = 8 << 20;
        cfg.stack[i].page_size = 16384;
    }
    return cfg;
}

/* The numbers go around once and a bit more, whatever they began with. */
static void pitfall_24_five_gigabytes(void **state)
{
    (void)state;
    struct pair_config cfg = fast_path(1);
    move(pair_new(&cfg), whole ? 5000000000u : 50000000u);
}

/* The time at which A's ISN is `iss` (RFC 6528: one more every 4 us), found by asking a stack of the same
 * seed. */
static uint64_t time_of(const struct pair_config *cfg, uint32_t iss)
{
    struct pair *p = pair_new(cfg);
    tern_endpoint from = {.ip = p->e[A].ip, .port = 40000}, to = {.ip = p->e[B].ip, .port = 80};
    tern_tx_packet pkt;
    struct ip_hdr ip;
    struct segment s;
    uint8_t bytes[2000];
    assert_int_equal(tern_connect(p->e[A].t, &from, &to, &p->e[A].h), 0);
    assert_int_equal(tern_tx(p->e[A].t, p->now, &pkt, 1), 1);
    uint32_t len = tern_tx_flatten(&pkt, bytes);
    assert_int_equal(ip_parse(bytes, len, &ip), TERN_CAUSE_NONE);
    assert_int_equal(tcp_parse(&ip, false, &s), TERN_CAUSE_NONE);
    uint64_t at = p->now + 4ull * (uint32_t)(iss - s.seq.v);
    pair_end(p);
    return at;
}

static void pitfall_24_isn(void **state)
{
    static const uint32_t isns[] = {0x7fffffffu, 0xffffffffu, 0x7fffffffu - 100000, 0xffffffffu - 30000000};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (int lossy = 0; lossy < 2; lossy++) {
            struct pair_config cfg =
                lossy ? (struct pair_config){.seed = i + 10, .delay_us = 1000} : fast_path(i + 20);
            cfg.start = time_of(&cfg, isns[i]);
            if (lossy) {
                cfg.loss_ppm = 20000;
                cfg.reorder_ppm = 20000;
            }
            move(pair_new(&cfg), lossy ? 1000000 : 40000000);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pitfall_24_isn),
        cmocka_unit_test(pitfall_24_five_gigabytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
