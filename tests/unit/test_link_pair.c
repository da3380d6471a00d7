/* The cable in memory: order, limits, super-segments. */
#include "link_packets.h"

static const tern_link_info plain = {.mtu = 1500};
static const tern_link_info offloading = {.mtu = 1500, .gso_max = 65000, .tx_csum = true};

struct ends {
    tern_link *a, *b;
};

static struct ends open_pair(const tern_link_info *info, uint32_t queue)
{
    struct ends e;
    assert_int_equal(tern_link_pair(&e.a, &e.b, info, queue), 0);
    return e;
}

static void close_pair(struct ends e)
{
    tern_link_close(e.a);
    tern_link_close(e.b);
}

/* A packet whose payload is its number. */
static int send_number(tern_link *l, uint32_t number)
{
    tern_tx_packet pkt;
    make_packet(&pkt, false, ACK, (const uint8_t *)&number, 4);
    pkt.flags = 0;
    return l->ops->tx(l, 0, &pkt, 1);
}

static uint32_t number_of(const tern_rx_packet *p)
{
    uint32_t number;
    assert_int_equal(p->len, 44);
    memcpy(&number, p->data + 40, 4);
    return number;
}

static void keeps_the_order(void **state)
{
    struct ends e = open_pair(&plain, 1000);
    tern_rx_packet got[7];
    uint32_t next = 0;
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(send_number(e.a, i), 1);
    for (int n; (n = e.b->ops->rx(e.b, 0, got, 7)) > 0;)
        for (int i = 0; i < n; i++)
            assert_int_equal(number_of(&got[i]), next++);
    assert_int_equal(next, 100);
    close_pair(e);
}

static void directions_are_apart(void **state)
{
    struct ends e = open_pair(&plain, 10);
    tern_rx_packet got[4];
    (void)state;
    send_number(e.a, 1);
    send_number(e.b, 2);
    assert_int_equal(e.a->ops->rx(e.a, 0, got, 4), 1);
    assert_int_equal(number_of(&got[0]), 2);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 4), 1);
    assert_int_equal(number_of(&got[0]), 1);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 4), 0);
    close_pair(e);
}

static void overflows_at_its_limit(void **state)
{
    struct ends e = open_pair(&plain, 5);
    tern_tx_packet pkts[8];
    tern_rx_packet got[8];
    (void)state;
    for (int i = 0; i < 8; i++)
        make_packet(&pkts[i], false, ACK, NULL, 0);
    assert_int_equal(e.a->ops->tx(e.a, 0, pkts, 8), 5);
    assert_int_equal(e.a->ops->tx(e.a, 0, pkts, 8), 0);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 2), 2);
    assert_int_equal(e.a->ops->tx(e.a, 0, pkts, 8), 2);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 8), 5);
    close_pair(e);
}

/* What rx shows stays until the next rx, whatever is sent meanwhile. */
static void shown_bytes_stay(void **state)
{
    struct ends e = open_pair(&plain, 100);
    tern_rx_packet got[2], more[2];
    (void)state;
    send_number(e.a, 1);
    send_number(e.a, 2);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 2), 2);
    for (uint32_t i = 10; i < 60; i++) {
        send_number(e.a, i);
        send_number(e.b, i);
        e.a->ops->rx(e.a, 0, more, 1);
    }
    assert_int_equal(number_of(&got[0]), 1);
    assert_int_equal(number_of(&got[1]), 2);
    close_pair(e);
}

/* What the stack keeps stays until it comes back, and is used again then. */
static void kept_bytes_stay_until_they_are_free_again(void **state)
{
    struct ends e = open_pair(&plain, 100);
    tern_rx_packet got[3], more[2];
    bool reused = false;
    (void)state;
    for (uint32_t i = 1; i <= 3; i++)
        send_number(e.a, i);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 3), 3);
    for (int i = 0; i < 3; i++) {
        assert_true(got[i].flags & TERN_RX_LENDABLE);
        assert_true(got[i].data >= (const uint8_t *)e.b->memory);
        assert_true(got[i].data + got[i].len <= (const uint8_t *)e.b->memory + e.b->memory_len);
        got[i].kept = i == 1;
    }
    e.b->ops->seen(e.b, got, 3);
    for (uint32_t i = 10; i < 60; i++) {
        send_number(e.a, i);
        assert_int_equal(e.b->ops->rx(e.b, 0, more, 2), 1);
        more[0].kept = false;
        e.b->ops->seen(e.b, more, 1);
        assert_int_equal(number_of(&got[1]), 2);
        assert_ptr_not_equal(more[0].data, got[1].data);
    }
    e.b->ops->free_again(e.b, &got[1].buffer, 1);
    for (uint32_t i = 10; i < 20; i++) {
        send_number(e.a, i);
        e.b->ops->rx(e.b, 0, more, 2);
        reused = reused || more[0].data == got[1].data;
    }
    assert_true(reused);
    close_pair(e);
}

/* Its block used up, the cable goes on with packets that must be copied, and asks for memory. */
static void a_cable_short_of_memory_asks_for_it(void **state)
{
    static uint8_t payload[60000];
    struct ends e = open_pair(&offloading, 10);
    tern_tx_packet pkt;
    tern_rx_packet got;
    uint64_t kept[2000];
    int n = 0;
    (void)state;
    make_packet(&pkt, false, ACK | PSH, payload, sizeof payload);
    pkt.gso_size = 1460;
    assert_true(e.b->ops->wants(e.b) == 0);
    for (bool lendable = true; lendable; n += lendable) {
        assert_int_equal(e.a->ops->tx(e.a, 0, &pkt, 1), 1);
        assert_int_equal(e.b->ops->rx(e.b, 0, &got, 1), 1);
        lendable = got.flags & TERN_RX_LENDABLE;
        got.kept = lendable;
        kept[n] = got.buffer;
        e.b->ops->seen(e.b, &got, 1);
    }
    assert_true(n > 100 && n < 2000);
    assert_true(e.b->ops->wants(e.b) > 1 << 20);
    assert_true(e.b->ops->wants(e.b) == 0); /* said once */
    e.b->ops->free_again(e.b, kept, n);
    e.a->ops->tx(e.a, 0, &pkt, 1);
    e.b->ops->rx(e.b, 0, &got, 1);
    assert_true(got.flags & TERN_RX_LENDABLE);
    e.a->ops->tx(e.a, 0, &pkt, 1);
    e.b->ops->rx(e.b, 0, &got, 1); /* nor does the packet from the heap come again */
    assert_true(got.flags & TERN_RX_LENDABLE);
    close_pair(e);
}

static void super_segments_pass_whole(void **state)
{
    static uint8_t payload[40000];
    struct ends e = open_pair(&offloading, 100);
    tern_tx_packet pkt;
    tern_rx_packet got[2];
    (void)state;
    memset(payload, 'x', sizeof payload);
    make_packet(&pkt, false, ACK | PSH, payload, sizeof payload);
    pkt.gso_size = 1460;
    assert_int_equal(e.a->ops->tx(e.a, 0, &pkt, 1), 1);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 2), 1);
    assert_int_equal(got[0].len, sizeof payload + 40);
    assert_int_equal(got[0].gso_size, 1460);
    assert_int_equal(got[0].flags & TERN_RX_CSUM_OK, TERN_RX_CSUM_OK);
    assert_memory_equal(got[0].data + 40, payload, sizeof payload);
    close_pair(e);
}

static void a_plain_link_cuts_and_completes(void **state)
{
    static uint8_t payload[4000];
    struct ends e = open_pair(&plain, 100);
    tern_tx_packet pkt;
    tern_rx_packet got[8];
    (void)state;
    make_packet(&pkt, true, ACK, payload, sizeof payload);
    pkt.gso_size = 1440;
    assert_int_equal(e.a->ops->tx(e.a, 0, &pkt, 1), 1);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 8), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(got[i].gso_size, 0);
        assert_int_equal(got[i].flags & TERN_RX_CSUM_OK, 0);
        assert_checksums(got[i].data, got[i].len);
    }
    close_pair(e);
}

static void vouches_only_for_what_was_left_to_it(void **state)
{
    struct ends e = open_pair(&offloading, 10);
    tern_tx_packet pkt;
    tern_rx_packet got[2];
    (void)state;
    make_whole_packet(&pkt, false, (const uint8_t *)"hello", 5);
    e.a->ops->tx(e.a, 0, &pkt, 1);
    make_packet(&pkt, false, ACK, (const uint8_t *)"hello", 5);
    e.a->ops->tx(e.a, 0, &pkt, 1);
    assert_int_equal(e.b->ops->rx(e.b, 0, got, 2), 2);
    assert_int_equal(got[0].flags & TERN_RX_CSUM_OK, 0);
    assert_checksums(got[0].data, got[0].len);
    assert_int_equal(got[1].flags & TERN_RX_CSUM_OK, TERN_RX_CSUM_OK);
    close_pair(e);
}

static void says_when_there_is_something(void **state)
{
    struct ends e = open_pair(&plain, 10);
    (void)state;
    assert_int_equal(e.b->ops->fd(e.b), -1);
    assert_true(e.b->ops->next(e.b) == UINT64_MAX);
    send_number(e.a, 1);
    assert_true(e.b->ops->next(e.b) == 0);
    assert_true(e.a->ops->next(e.a) == UINT64_MAX);
    close_pair(e);
}

static void a_closed_end_swallows(void **state)
{
    struct ends e = open_pair(&plain, 10);
    (void)state;
    send_number(e.a, 1);
    tern_link_close(e.b);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(send_number(e.a, i), 1);
    tern_link_close(e.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(directions_are_apart),
        cmocka_unit_test(overflows_at_its_limit),
        cmocka_unit_test(shown_bytes_stay),
        cmocka_unit_test(kept_bytes_stay_until_they_are_free_again),
        cmocka_unit_test(a_cable_short_of_memory_asks_for_it),
        cmocka_unit_test(super_segments_pass_whole),
        cmocka_unit_test(a_plain_link_cuts_and_completes),
        cmocka_unit_test(vouches_only_for_what_was_left_to_it),
        cmocka_unit_test(says_when_there_is_something),
        cmocka_unit_test(a_closed_end_swallows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
