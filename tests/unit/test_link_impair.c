/* The bad path: what it does is counted, bounded, and the same for the same seed. All under a virtual clock.
 * */
#include "link_packets.h"

#include "link/impair.h"

static const tern_link_info offloading = {.mtu = 1500, .gso_max = 65000, .tx_csum = true};

/* A path with one impaired end: what `bad` sends is harmed by `tx`, what it receives by `rx`. */
struct path {
    tern_link *bad, *good;
};

static struct path open_path(const tern_impair_config *tx, const tern_impair_config *rx)
{
    struct path p;
    tern_link *inner;
    assert_int_equal(tern_link_pair(&inner, &p.good, &offloading, 1 << 20), 0);
    assert_int_equal(tern_link_impair(&p.bad, inner, tx, rx), 0);
    return p;
}

static void close_path(struct path p)
{
    tern_link_close(p.bad);
    tern_link_close(p.good);
}

/* A complete packet of 100 bytes of payload which begin with its number. */
static void send_number(tern_link *l, uint64_t now, uint32_t number, uint8_t tos)
{
    static uint8_t payload[100];
    tern_tx_packet pkt;
    memcpy(payload, &number, 4);
    make_packet(&pkt, false, ACK, payload, sizeof payload);
    set_tos(&pkt, tos);
    assert_int_equal(l->ops->tx(l, now, &pkt, 1), 1);
}

static uint32_t number_of(const tern_rx_packet *p)
{
    uint32_t number;
    memcpy(&number, p->data + 40, 4);
    return number;
}

/* What comes out of the path, in order. */
struct arrivals {
    uint32_t n;
    uint32_t number[400000];
    uint64_t at[400000];
    uint64_t hash; /* of bytes and times */
};

static void note(struct arrivals *a, const tern_rx_packet *p, uint64_t now)
{
    assert_true(a->n < sizeof a->number / sizeof a->number[0]);
    a->number[a->n] = p->len >= 44 ? number_of(p) : 0;
    a->at[a->n++] = now;
    for (uint32_t i = 0; i < p->len; i++)
        a->hash = (a->hash ^ p->data[i]) * 0x100000001b3;
    a->hash = (a->hash ^ now) * 0x100000001b3;
}

/* Let the path go on until `until`, stopping whenever it says that something is due. */
static void run(struct path p, uint64_t from, uint64_t until, struct arrivals *a)
{
    tern_rx_packet got[64];
    for (uint64_t now = from; now <= until;) {
        assert_int_equal(p.bad->ops->rx(p.bad, now, got, 64), 0);
        for (int n; (n = p.good->ops->rx(p.good, now, got, 64)) > 0;)
            for (int i = 0; i < n; i++)
                note(a, &got[i], now);
        uint64_t next = p.bad->ops->next(p.bad);
        if (next > until)
            return;
        assert_true(next > now); /* what was due has left */
        now = next;
    }
}

/* Send `count` numbered packets, one each `gap` us. */
static void stream(struct path p, uint32_t count, uint64_t gap, uint8_t tos, struct arrivals *a)
{
    memset(a, 0, sizeof *a);
    for (uint32_t i = 0; i < count; i++) {
        send_number(p.bad, i * gap, i, tos);
        run(p, i * gap, i * gap + gap - 1, a);
    }
    run(p, count * gap, count * gap + 10000000, a);
}

static struct arrivals arrivals, others;

static tern_impair_counts tx_counts(struct path p)
{
    tern_impair_counts tx, rx;
    tern_impair_get_counts(p.bad, &tx, &rx);
    return tx;
}

static const tern_impair_config everything = {
    .seed = 42,
    .delay_us = 1000,
    .jitter_us = 300,
    .rate_bps = 200000000,
    .queue_bytes = 20000,
    .loss_ppm = 20000,
    .duplicate_ppm = 10000,
    .corrupt_ppm = 5000,
    .reorder_ppm = 50000,
    .ce_ppm = 10000,
};

static void same_seed_same_bytes(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        tern_impair_config cfg = everything;
        cfg.seed += (uint64_t)other;
        struct path p = open_path(&everything, NULL), q = open_path(&cfg, NULL);
        stream(p, 20000, 10, 2, &arrivals);
        stream(q, 20000, 10, 2, &others);
        assert_true(arrivals.n > 15000);
        assert_int_equal(arrivals.hash == others.hash, !other);
        close_path(p);
        close_path(q);
    }
}

static void loses_two_in_a_hundred(void **state)
{
    static const uint64_t seeds[] = {0, 1, 2, 0xffffffffffffffff};
    (void)state;
    for (size_t s = 0; s < 4; s++) {
        tern_impair_config cfg = {.seed = seeds[s], .loss_ppm = 20000};
        struct path p = open_path(&cfg, NULL);
        stream(p, 100000, 1, 0, &arrivals);
        assert_in_range(100000 - arrivals.n, 1780, 2220); /* five standard deviations */
        assert_int_equal(tx_counts(p).lost, 100000 - arrivals.n);
        for (uint32_t i = 1; i < arrivals.n; i++)
            assert_true(arrivals.number[i] > arrivals.number[i - 1]);
        close_path(p);
    }
}

static void duplicates(void **state)
{
    tern_impair_config cfg = {.seed = 3, .duplicate_ppm = 10000};
    struct path p = open_path(&cfg, NULL);
    uint32_t twice = 0;
    (void)state;
    stream(p, 100000, 1, 0, &arrivals);
    for (uint32_t i = 1; i < arrivals.n; i++)
        twice += arrivals.number[i] == arrivals.number[i - 1];
    assert_int_equal(arrivals.n, 100000 + twice);
    assert_in_range(twice, 840, 1160);
    assert_int_equal(tx_counts(p).duplicated, twice);
    close_path(p);
}

/* For each packet: how many sent later arrived before it. */
static uint32_t overtaken_by(const struct arrivals *a, uint32_t i)
{
    uint32_t count = 0, from = i > 2000 ? i - 2000 : 0;
    for (uint32_t k = from; k < i; k++)
        count += a->number[k] > a->number[i];
    return count;
}

static void reordered_packets_are_overtaken_by_3_to_10(void **state)
{
    tern_impair_config cfg = {.seed = 9, .reorder_ppm = 50000};
    struct path p = open_path(&cfg, NULL);
    uint32_t seen[11] = {0}, moved = 0;
    (void)state;
    stream(p, 20000, 100, 0, &arrivals);
    assert_int_equal(arrivals.n, 20000);
    for (uint32_t i = 0; i < arrivals.n - 20; i++) {
        uint32_t by = overtaken_by(&arrivals, i);
        assert_true(by == 0 || (by >= 3 && by <= 10));
        seen[by]++;
        moved += by > 0;
    }
    assert_in_range(moved, 840, 1160); /* 5% */
    for (int by = 3; by <= 10; by++)
        assert_in_range(seen[by], moved / 8 - 60, moved / 8 + 60);
    close_path(p);
}

static void reordering_keeps_to_its_own_bounds(void **state)
{
    tern_impair_config cfg = {
        .seed = 9, .reorder_ppm = 200000, .reorder_min = 5, .reorder_max = 5, .delay_us = 700};
    struct path p = open_path(&cfg, NULL);
    (void)state;
    stream(p, 5000, 50, 0, &arrivals);
    for (uint32_t i = 0; i < arrivals.n - 50; i++) {
        uint32_t by = overtaken_by(&arrivals, i);
        assert_true(by == 0 || by == 5);
    }
    close_path(p);
}

static void nothing_is_held_longer_than_50_ms(void **state)
{
    tern_impair_config cfg = {.seed = 1, .reorder_ppm = 1000000, .delay_us = 1000};
    struct path p = open_path(&cfg, NULL);
    (void)state;
    memset(&arrivals, 0, sizeof arrivals);
    send_number(p.bad, 500, 7, 0);
    assert_true(p.bad->ops->next(p.bad) == 50500);
    run(p, 500, 1000000, &arrivals);
    assert_int_equal(arrivals.n, 1);
    assert_int_equal(arrivals.at[0], 51500);
    close_path(p);
}

static void delay_and_jitter_keep_the_order(void **state)
{
    tern_impair_config cfg = {.seed = 5, .delay_us = 10000, .jitter_us = 5000};
    struct path p = open_path(&cfg, NULL);
    uint64_t least = UINT64_MAX, most = 0;
    (void)state;
    stream(p, 10000, 100, 0, &arrivals);
    assert_int_equal(arrivals.n, 10000);
    for (uint32_t i = 0; i < arrivals.n; i++) {
        uint64_t took = arrivals.at[i] - i * 100;
        assert_int_equal(arrivals.number[i], i);
        least = took < least ? took : least;
        most = took > most ? took : most;
    }
    assert_in_range(least, 10000, 13000);
    assert_in_range(most, 14900, 15000);
    close_path(p);
}

/* 140 bytes at 1 Mbit/s take 1,120 us. */
static void rate_is_kept(void **state)
{
    tern_impair_config cfg = {.rate_bps = 1000000, .delay_us = 500};
    struct path p = open_path(&cfg, NULL);
    (void)state;
    memset(&arrivals, 0, sizeof arrivals);
    for (uint32_t i = 0; i < 100; i++)
        send_number(p.bad, 0, i, 0);
    run(p, 0, 10000000, &arrivals);
    assert_int_equal(arrivals.n, 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(arrivals.at[i], 500 + (i + 1) * 1120);
    close_path(p);
}

static void the_queue_before_the_rate_is_limited(void **state)
{
    tern_impair_config cfg = {.rate_bps = 1000000, .queue_bytes = 1400};
    struct path p = open_path(&cfg, NULL);
    (void)state;
    memset(&arrivals, 0, sizeof arrivals);
    for (uint32_t i = 0; i < 100; i++)
        send_number(p.bad, 0, i, 0);
    run(p, 0, 10000000, &arrivals);
    assert_int_equal(arrivals.n, 10);
    assert_int_equal(arrivals.number[9], 9); /* the tail is dropped */
    assert_int_equal(tx_counts(p).tail_drops, 90);
    close_path(p);
}

/* Whatever is corrupted differs in one bit, and a checksum shows it wherever it lies in what they cover. */
static void corrupts_one_bit(void **state)
{
    tern_impair_config cfg = {.seed = 8, .corrupt_ppm = 1000000};
    struct path p = open_path(&cfg, NULL);
    tern_rx_packet got[1];
    tern_tx_packet pkt;
    uint8_t payload[100] = "hello", right[140];
    (void)state;
    make_whole_packet(&pkt, false, payload, sizeof payload);
    tern_tx_flatten(&pkt, right);
    for (int i = 0; i < 5000; i++) {
        int bits = 0;
        p.bad->ops->tx(p.bad, 0, &pkt, 1);
        assert_int_equal(p.good->ops->rx(p.good, 0, got, 1), 1);
        assert_int_equal(got[0].len, sizeof right);
        assert_int_equal(got[0].flags & TERN_RX_CSUM_OK, 0);
        for (size_t k = 0; k < sizeof right; k++)
            bits += __builtin_popcount((unsigned)(got[0].data[k] ^ right[k]));
        assert_int_equal(bits, 1);
        assert_true(plain_sum(0, got[0].data, 20) != 0xffff ||
                    plain_tcp_sum(got[0].data, got[0].len) != 0xffff);
    }
    close_path(p);
}

static void marks_only_ecn_capable_packets(void **state)
{
    static const uint8_t tos[] = {0xb8, 0xb9, 0xba, 0xbb}; /* not, ECT(1), ECT(0), CE */
    tern_impair_config cfg = {.seed = 8, .ce_ppm = 1000000};
    struct path p = open_path(&cfg, NULL);
    tern_rx_packet got[1];
    (void)state;
    for (int i = 0; i < 4; i++) {
        uint8_t payload[10] = {0};
        tern_tx_packet pkt;
        make_packet(&pkt, false, ACK, payload, sizeof payload);
        set_tos(&pkt, tos[i]);
        p.bad->ops->tx(p.bad, 0, &pkt, 1);
        assert_int_equal(p.good->ops->rx(p.good, 0, got, 1), 1);
        assert_int_equal(got[0].data[1], i == 0 ? 0xb8 : 0xbb);
        assert_checksums(got[0].data, got[0].len);
    }
    assert_int_equal(tx_counts(p).marked, 2);
    close_path(p);
}

static void marks_ipv6(void **state)
{
    tern_impair_config cfg = {.seed = 8, .ce_ppm = 1000000};
    struct path p = open_path(&cfg, NULL);
    tern_rx_packet got[1];
    tern_tx_packet pkt;
    (void)state;
    make_packet(&pkt, true, ACK, NULL, 0);
    pkt.hdr[1] = 0x20; /* ECT(0) */
    p.bad->ops->tx(p.bad, 0, &pkt, 1);
    assert_int_equal(p.good->ops->rx(p.good, 0, got, 1), 1);
    assert_int_equal(got[0].data[0], 0x60);
    assert_int_equal(got[0].data[1], 0x30);
    assert_checksums(got[0].data, got[0].len);
    close_path(p);
}

/* A path harms packets of the wire: super-segments are cut, checksums completed, nobody vouches for them. */
static void super_segments_are_cut_both_ways(void **state)
{
    static const tern_impair_config quiet = {.delay_us = 100};
    static uint8_t payload[5000];
    struct path p = open_path(&quiet, &quiet);
    tern_link *from[] = {p.bad, p.good}, *to[] = {p.good, p.bad};
    (void)state;
    for (int way = 0; way < 2; way++) {
        tern_tx_packet pkt;
        tern_rx_packet got[8];
        make_packet(&pkt, way, ACK | PSH, payload, sizeof payload);
        pkt.gso_size = 1000;
        assert_int_equal(from[way]->ops->tx(from[way], 0, &pkt, 1), 1);
        assert_int_equal(p.bad->ops->rx(p.bad, 0, got, 8), 0);
        assert_true(p.bad->ops->next(p.bad) == 100);
        int n = p.bad->ops->rx(p.bad, 100, got, 8);
        n = way == 0 ? p.good->ops->rx(p.good, 100, got, 8) : n;
        assert_int_equal(n, 5);
        for (int i = 0; i < n; i++) {
            assert_int_equal((got[i].flags & TERN_RX_CSUM_OK) | got[i].gso_size, 0);
            assert_checksums(got[i].data, got[i].len);
        }
        assert_true(to[way]->ops->next(to[way]) == UINT64_MAX);
    }
    close_path(p);
}

static void an_untouched_direction_passes_whole(void **state)
{
    static uint8_t payload[5000];
    struct path p = open_path(&everything, NULL);
    tern_tx_packet pkt;
    tern_rx_packet got[2];
    (void)state;
    make_packet(&pkt, false, ACK, payload, sizeof payload);
    pkt.gso_size = 1000;
    p.good->ops->tx(p.good, 0, &pkt, 1);
    assert_int_equal(p.bad->ops->rx(p.bad, 0, got, 2), 1);
    assert_int_equal(got[0].gso_size, 1000);
    assert_int_equal(got[0].flags & TERN_RX_CSUM_OK, TERN_RX_CSUM_OK);
    close_path(p);
}

static void a_path_holds_a_bounded_number_of_bytes(void **state)
{
    static const tern_impair_config slow = {.delay_us = 10000000};
    static uint8_t payload[60000];
    struct path p = open_path(&slow, NULL);
    tern_tx_packet pkt;
    (void)state;
    make_packet(&pkt, false, ACK, payload, sizeof payload);
    pkt.gso_size = 1000;
    for (int i = 0; i < 2000; i++) /* 120 MB in packets of 1,040 bytes */
        assert_int_equal(p.bad->ops->tx(p.bad, 0, &pkt, 1), 1);
    tern_impair_counts c = tx_counts(p);
    assert_int_equal(c.entered, 120000);
    assert_int_equal(c.entered - c.overflow, IMPAIR_PATH_BYTES / 1040);
    close_path(p);
}

/* Without delay a receiver that takes little leaves the rest where it was. */
static void takes_no_more_than_can_be_received(void **state)
{
    static const tern_impair_config some = {.seed = 1, .loss_ppm = 1};
    static uint8_t payload[60000];
    struct path p = open_path(NULL, &some);
    tern_tx_packet pkt;
    tern_rx_packet got[4];
    uint32_t total = 0;
    (void)state;
    make_packet(&pkt, false, ACK, payload, sizeof payload);
    pkt.gso_size = 1460;
    for (int i = 0; i < 2000; i++) /* 120 MB: more than a path holds */
        assert_int_equal(p.good->ops->tx(p.good, 0, &pkt, 1), 1);
    for (int n; (n = p.bad->ops->rx(p.bad, 0, got, 4)) > 0;)
        total += (uint32_t)n;
    assert_in_range(total, 2000 * 42 - 5, 2000 * 42);
    close_path(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(loses_two_in_a_hundred),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(reordered_packets_are_overtaken_by_3_to_10),
        cmocka_unit_test(reordering_keeps_to_its_own_bounds),
        cmocka_unit_test(nothing_is_held_longer_than_50_ms),
        cmocka_unit_test(delay_and_jitter_keep_the_order),
        cmocka_unit_test(rate_is_kept),
        cmocka_unit_test(the_queue_before_the_rate_is_limited),
        cmocka_unit_test(corrupts_one_bit),
        cmocka_unit_test(marks_only_ecn_capable_packets),
        cmocka_unit_test(marks_ipv6),
        cmocka_unit_test(super_segments_are_cut_both_ways),
        cmocka_unit_test(an_untouched_direction_passes_whole),
        cmocka_unit_test(a_path_holds_a_bounded_number_of_bytes),
        cmocka_unit_test(takes_no_more_than_can_be_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
