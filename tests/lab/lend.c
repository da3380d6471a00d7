/* lend.c - see lend.h. */
#include "lab/lend.h"

#include "tcp/tcp.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
static void forbid(const void *p, size_t n) { ASAN_POISON_MEMORY_REGION(p, n); }
static void allow(const void *p, size_t n) { ASAN_UNPOISON_MEMORY_REGION(p, n); }
#else
static void forbid(const void *p, size_t n) { (void)p, (void)n; }
static void allow(const void *p, size_t n) { (void)p, (void)n; }
#endif

enum { BLOCK = 4 << 20, DELAY_US = 1000 };

uint32_t lend_dice(struct lend_net *n, uint32_t below)
{
    uint64_t z = n->dice += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)(((z ^ z >> 31) >> 32) * below >> 32);
}

uint8_t lend_byte(uint32_t stream, uint64_t pos) { return (uint8_t)((pos * 0x9e3779b1u + stream) >> 11); }

void lend_same(const uint8_t *bytes, size_t len, uint32_t stream, uint64_t pos)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != lend_byte(stream, pos + i))
            fail_msg("byte %llu of stream %u is another one", (unsigned long long)(pos + i), stream);
}

/* --- memory that is lent -------------------------------------------------------------------------- */

static void free_slot(uint8_t *slot, size_t n, bool *out)
{
    assert_true(*out); /* it comes back once */
    *out = false;
    memset(slot, 0xee, n);
    forbid(slot, n);
}

static int take_slot(uint8_t *memory, size_t size, bool *out, int slots)
{
    for (int i = 0; i < slots; i++)
        if (!out[i]) {
            out[i] = true;
            allow(memory + (size_t)i * size, size);
            return i;
        }
    return -1;
}

static void events(struct lend_host *h)
{
    tern_event e[16];
    for (int k; (k = tern_events(h->t, e, 16)) > 0;)
        for (int i = 0; i < k; i++)
            if (e[i].bits & TERN_RETURNED) {
                assert_true(e[i].handle.v == 0);
                h->told++;
            }
}

void lend_fetch(struct lend_net *n, int host)
{
    struct lend_host *h = &n->host[host];
    uint64_t names[7];
    tern_lent back[3];
    for (int k; (k = tern_rx_returned(h->t, h->rx_region, names, 7)) > 0;)
        for (int i = 0; i < k; i++)
            free_slot(h->rx + names[i] * LEND_RX, LEND_RX, &h->rx_out[names[i]]);
    for (int k; (k = tern_returned(h->t, back, 3)) > 0;)
        for (int i = 0; i < k; i++) {
            assert_int_equal(back[i].region, h->tx_region);
            assert_int_equal(back[i].at, back[i].tag * LEND_TX);
            free_slot(h->tx + back[i].at, LEND_TX, &h->tx_out[back[i].tag]);
            h->last = back[i];
            h->returned++;
        }
    events(h);
}

long lend_lend(struct lend_net *n, int host, tern_handle h, uint32_t stream, uint64_t pos, uint32_t len,
               unsigned flags)
{
    struct lend_host *x = &n->host[host];
    int slot = take_slot(x->tx, LEND_TX, x->tx_out, LEND_TX_SLOTS);
    if (slot < 0)
        return -TERN_EAGAIN;
    uint64_t place = (uint64_t)slot * LEND_TX;
    for (uint32_t i = 0; i < len; i++)
        x->tx[place + i] = lend_byte(stream, pos + i);
    long got = tern_lend(x->t, h, x->tx_region, place, len, (uint64_t)slot, flags);
    if (got < 0)
        free_slot(x->tx + place, LEND_TX, &x->tx_out[slot]);
    return got;
}

long lend_send(struct lend_net *n, int host, tern_handle h, uint32_t stream, uint64_t pos, uint32_t len)
{
    uint8_t *bytes = malloc(len + 1);
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = lend_byte(stream, pos + i);
    long got = tern_send(n->host[host].t, h, bytes, len, 0);
    free(bytes);
    return got;
}

/* --- the net --------------------------------------------------------------------------------------- */

static void put_on_wire(struct lend_net *n, const uint8_t *bytes, uint32_t len, uint64_t delay)
{
    if (n->n_wire == LEND_WIRE)
        return;
    struct lend_packet *p = &n->wire[n->n_wire++];
    *p = (struct lend_packet){n->now + delay, malloc(len), len};
    memcpy(p->bytes, bytes, len);
}

static void send_all(struct lend_net *n, struct lend_host *h)
{
    static uint8_t flat[66000];
    tern_tx_packet pkts[8];
    for (int k; (k = tern_tx(h->t, n->now, pkts, 8)) > 0;)
        for (int i = 0; i < k; i++) {
            uint32_t len = tern_tx_flatten(&pkts[i], flat);
            uint32_t dice = lend_dice(n, 256);
            if (dice < n->lose)
                continue;
            put_on_wire(n, flat, len, DELAY_US);
            if (lend_dice(n, 256) < n->twice)
                put_on_wire(n, flat, len, 3 * DELAY_US);
            if (lend_dice(n, 256) < n->late)
                n->wire[n->n_wire - 1].due += lend_dice(n, 8) * DELAY_US;
        }
}

/* In a slot of the receive memory, or (slot < 0) in a block of just its size. */
static void receive(struct lend_net *n, struct lend_host *h, const struct lend_packet *p, int slot)
{
    uint8_t *at = slot < 0 ? malloc(p->len) : h->rx + slot * LEND_RX;
    memcpy(at, p->bytes, p->len);
    tern_rx_packet rx = {.data = at, .len = p->len, .link = 1};
    if (slot >= 0) {
        rx.flags = TERN_RX_LENDABLE;
        rx.region = (uint8_t)h->rx_region;
        rx.pinned = LEND_RX;
        rx.buffer = (uint64_t)slot;
    }
    tern_rx(h->t, n->now, &rx, 1);
    tcp_check_all(h->t);
    if (slot < 0)
        assert_false(rx.kept);
    if (slot < 0)
        free(at);
    else if (!rx.kept)
        free_slot(at, LEND_RX, &h->rx_out[slot]);
}

static void arrive(struct lend_net *n, const struct lend_packet *p)
{
    struct lend_host *h = &n->host[p->bytes[19] - 1];
    int slot = -1;
    if (lend_dice(n, 256) >= n->plain) {
        slot = take_slot(h->rx, LEND_RX, h->rx_out, LEND_RX_SLOTS);
        if (slot < 0) {
            h->rx_short++;
            tern_region_compact(h->t, h->rx_region, LEND_RX_SLOTS / 4 * LEND_RX);
            lend_fetch(n, (int)(h - n->host));
        }
    }
    receive(n, h, p, slot);
}

void lend_step(struct lend_net *n)
{
    for (int i = 0; i < LEND_HOSTS; i++)
        send_all(n, &n->host[i]);
    n->now += DELAY_US;
    for (int i = 0; i < n->n_wire;) {
        struct lend_packet p = n->wire[i];
        if (p.due > n->now) {
            i++;
            continue;
        }
        n->n_wire--;
        memmove(&n->wire[i], &n->wire[i + 1], (size_t)(n->n_wire - i) * sizeof p);
        arrive(n, &p);
        free(p.bytes);
    }
    for (int i = 0; i < LEND_HOSTS; i++) {
        tern_tick(n->host[i].t, n->now);
        tcp_check_all(n->host[i].t);
        lend_fetch(n, i);
    }
}

void lend_steps(struct lend_net *n, uint32_t steps)
{
    while (steps-- > 0)
        lend_step(n);
}

void lend_connect(struct lend_net *n, int from, int to, tern_handle *client, tern_handle *server)
{
    tern_handle l;
    tern_endpoint at = {.ip = n->host[to].ip, .port = 80};
    uint32_t lose = n->lose, late = n->late, twice = n->twice;
    n->lose = n->late = n->twice = 0;
    assert_int_equal(tern_listen(n->host[to].t, &at, 0, &l), 0);
    assert_int_equal(tern_connect(n->host[from].t, NULL, &at, client), 0);
    lend_steps(n, 6);
    assert_int_equal(tern_accept(n->host[to].t, l, server), 0);
    tern_close(n->host[to].t, l);
    n->lose = lose, n->late = late, n->twice = twice;
}

/* --- beginning and end ----------------------------------------------------------------------------- */

static void begin_host(struct lend_net *n, int i, const tern_config *cfg)
{
    struct lend_host *h = &n->host[i];
    tern_config own = cfg != NULL ? *cfg : (tern_config){0};
    tern_link_info info = {.mtu = 1500};
    own.seed[0] = (uint8_t)i;
    h->block = aligned_alloc(64, BLOCK);
    h->rx = malloc(LEND_RX * LEND_RX_SLOTS);
    h->tx = malloc(LEND_TX * LEND_TX_SLOTS);
    assert_int_equal(tern_create(&h->t, &own, h->block, BLOCK), 0);
    tern_tick(h->t, n->now);
    h->ip = tern_ip4(192, 0, 2, (uint8_t)(i + 1));
    assert_int_equal(tern_link_add(h->t, &info), 1);
    assert_int_equal(tern_addr_add(h->t, 1, &h->ip, 24), 0);
    h->rx_region = tern_region_add(h->t, h->rx, LEND_RX * LEND_RX_SLOTS);
    h->tx_region = tern_region_add(h->t, h->tx, LEND_TX * LEND_TX_SLOTS);
    assert_true(h->rx_region > 0 && h->tx_region > 0);
    forbid(h->rx, LEND_RX * LEND_RX_SLOTS);
    forbid(h->tx, LEND_TX * LEND_TX_SLOTS);
}

void lend_begin(struct lend_net *n, uint64_t seed, const tern_config *cfg)
{
    memset(n, 0, sizeof *n);
    n->dice = seed;
    n->now = 1000000;
    for (int i = 0; i < LEND_HOSTS; i++)
        begin_host(n, i, cfg);
}

static void end_host(struct lend_host *h)
{
    tern_live v;
    tern_get_live(h->t, &v);
    assert_int_equal(v.listeners + v.halfopen + v.tcbs + v.timewait, 0);
    assert_int_equal(v.chunks + v.sendrecs + v.ranges + v.timers, 0);
    assert_int_equal(v.pieces + v.lent + v.returned + v.kept + v.taken, 0);
    for (int i = 0; i < LEND_RX_SLOTS; i++)
        assert_false(h->rx_out[i]);
    for (int i = 0; i < LEND_TX_SLOTS; i++)
        assert_false(h->tx_out[i]);
    tern_destroy(h->t);
    allow(h->rx, LEND_RX * LEND_RX_SLOTS);
    allow(h->tx, LEND_TX * LEND_TX_SLOTS);
    free(h->rx);
    free(h->tx);
    free(h->block);
}

void lend_end(struct lend_net *n)
{
    lend_steps(n, 50);
    for (int round = 0; round < 2000; round++) {
        uint64_t next = UINT64_MAX;
        for (int i = 0; i < LEND_HOSTS; i++)
            next = min_u64(next, tern_next_deadline(n->host[i].t));
        if (next == UINT64_MAX && n->n_wire == 0)
            break;
        if (n->n_wire == 0)
            n->now = max_u64(n->now, next);
        lend_step(n);
    }
    for (int i = 0; i < n->n_wire; i++)
        free(n->wire[i].bytes);
    for (int i = 0; i < LEND_HOSTS; i++)
        end_host(&n->host[i]);
}
