/* Every allocation fails in turn: the first of a scenario, the second, ... until it runs without failing;
 * then the same with three and with four in a row. On each side. Nothing may be lost but time and the
 * operation that was told so: bytes arrive as they were written, a call that says -TERN_ENOMEM or
 * -TERN_EAGAIN works when it is made again, all invariants hold after each step (check.c), and at the end
 * nothing is alive.
 *
 * Each scenario asserts how many points of failure it has, so that it cannot become empty unseen. */
#include "lab/pair.h"

#include "tcp/tcp.h"

#include <tern/lent.h>
#include <tern/net.h>

struct scenario {
    struct pair_config cfg;
    void (*run)(struct pair *p);
    uint32_t points; /* of failure, at least, both sides together, one at a time */
};

/* A call that may want memory is made again until it has it. */
#define INSIST(p, call)                                 \
    do {                                                \
        long r_;                                        \
        int tries_ = 0;                                 \
        while ((r_ = (call)) == -TERN_ENOMEM)           \
            PAIR_CHECK(p, ++tries_ < 100);              \
        if (r_ < 0)                                     \
            pair_fail(p, "%s: %ld", #call, r_);         \
    } while (0)

static void connect_to(struct pair *p, int from, uint16_t port, uint16_t to_port, tern_handle *h)
{
    tern_endpoint local = {.ip = p->e[from].ip, .port = port};
    tern_endpoint remote = {.ip = p->e[!from].ip, .port = to_port};
    INSIST(p, tern_connect(p->e[from].t, &local, &remote, h));
}

static bool both_open(struct pair *p)
{
    struct pair_end *b = &p->e[B];
    if (b->h.v == 0 && b->listener.v != 0 && tern_accept(b->t, b->listener, &b->h) != 0)
        b->h.v = 0;
    return b->h.v != 0 && pair_state(p, A) >= TERN_ESTABLISHED && pair_state(p, B) >= TERN_ESTABLISHED;
}

/* The client speaks first: when memory is so short that the SYN was answered by a cookie, nothing but its
 * data repeats an ACK that was lost (RFC 4987 3.6). */
static void open_it(struct pair *p)
{
    p->e[A].to_write = 1;
    tern_endpoint any = {.port = 80};
    INSIST(p, tern_listen(p->e[B].t, &any, 0, &p->e[B].listener));
    connect_to(p, A, 40000, 80, &p->e[A].h);
    pair_until(p, both_open, 300 * SEC);
}

static void handshake(struct pair *p)
{
    open_it(p);
}

/* Both send SYN before either hears of the other (RFC 9293 3.5, figure 7). */
static void crossing(struct pair *p)
{
    connect_to(p, A, 1000, 2000, &p->e[A].h);
    connect_to(p, B, 2000, 1000, &p->e[B].h);
    pair_until(p, both_open, 300 * SEC);
}

static void write_both(struct pair *p, uint64_t bytes)
{
    for (int i = 0; i < 2; i++) {
        p->e[i].to_write = bytes;
        p->e[i].shut_when_written = true;
    }
}

/* The handshake has six tries, so on a clean path they are enough. */
static void transfer(struct pair *p)
{
    uint32_t loss = p->cfg.loss_ppm;
    p->cfg.loss_ppm = 0;
    open_it(p);
    p->cfg.loss_ppm = loss;
    write_both(p, 80000);
    pair_until(p, pair_transferred, 400 * SEC);
    PAIR_CHECK(p, p->e[A].resets == 0 && p->e[B].resets == 0);
}

static bool both_gone(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        tern_live v;
        tern_get_live(p->e[i].t, &v);
        if (v.tcbs + v.timewait + v.halfopen > 0)
            return false;
    }
    return true;
}

static void release(struct pair *p, int i, bool abort_it)
{
    INSIST(p, abort_it ? tern_abort(p->e[i].t, p->e[i].h) : tern_close(p->e[i].t, p->e[i].h));
    p->e[i].h.v = 0;
    pair_flush(p);
}

/* Which way it ends: who first, in what manner, how long after the other. */
static void end_by(struct pair *p, int order)
{
    open_it(p);
    for (int i = 0; i < 2; i++)
        p->e[i].to_write = 5000;
    pair_until(p, pair_transferred, 400 * SEC);
    release(p, order & 1, order & 2);
    if (order & 4)
        pair_run(p, order & 8 ? 200000 : 2 * SEC);
    release(p, !(order & 1), order & 16);
    pair_until(p, both_gone, 400 * SEC);
}

static void ends_in_all_orders(struct pair *p) { end_by(p, (int)(p->cfg.seed & 31)); }

static void close_unread(struct pair *p)
{
    open_it(p);
    p->e[B].idle_reader = true;
    p->e[A].to_write = 20000;
    pair_run(p, SEC);
    release(p, B, false);
    pair_run(p, SEC);
}

#define MANY 6

/* Each client says a byte once it is open, and the server has read it. */
static bool many_are_open(struct pair *p, tern_handle *a, tern_handle *b, bool *said)
{
    struct pair_end *e = &p->e[B];
    int n = 0;
    while (n < MANY && b[n].v != 0)
        n++;
    while (n < MANY && tern_accept(e->t, e->listener, &b[n]) == 0)
        n++;
    for (int i = 0; i < MANY; i++) {
        tern_info info = {0};
        tern_get_info(p->e[A].t, a[i], &info);
        if (info.state == TERN_ESTABLISHED && !said[i])
            said[i] = tern_send(p->e[A].t, a[i], "x", 1, 0) == 1;
        uint8_t byte;
        if (info.state != TERN_ESTABLISHED ||
            (b[i].v != 0 && tern_recv(e->t, b[i], &byte, 1) == -TERN_ENOMEM))
            return false;
    }
    return n == MANY && b[MANY - 1].v != 0;
}

/* Several are half-open at a time. */
static void many_at_once(struct pair *p)
{
    tern_handle a[MANY] = {{0}}, b[MANY] = {{0}};
    bool said[MANY] = {0};
    tern_endpoint any = {.port = 80};
    INSIST(p, tern_listen(p->e[B].t, &any, MANY, &p->e[B].listener));
    for (int i = 0; i < MANY; i++)
        connect_to(p, A, (uint16_t)(40000 + i), 80, &a[i]);
    for (int tries = 0; !many_are_open(p, a, b, said); tries++) {
        PAIR_CHECK(p, tries < 10000);
        pair_step(p, p->now + SEC);
    }
    for (int i = 0; i < MANY; i++) {
        INSIST(p, (i & 1 ? tern_abort : tern_close)(p->e[A].t, a[i]));
        pair_flush(p);
    }
    pair_run(p, 10 * SEC);
    for (int i = 0; i < MANY; i++)
        INSIST(p, tern_close(p->e[B].t, b[i]));
    pair_flush(p);
}

/* The ACK of B's FIN is lost a few times, so A's record in TIME_WAIT moves. */
static bool lose_last_acks(struct pair *p, int from, const struct segment *s)
{
    tern_live v;
    tern_get_live(p->e[A].t, &v);
    return from == A && s->len == 0 && v.timewait > 0 && p->cfg.drop_state++ < 3;
}

static void time_wait_again(struct pair *p)
{
    open_it(p);
    release(p, A, false);
    pair_run(p, SEC);
    p->cfg.drop = lose_last_acks;
    p->cfg.drop_state = 0;
    release(p, B, false);
    pair_until(p, both_gone, 1000 * SEC);
}

static void rest_and_wake(struct pair *p)
{
    open_it(p);
    for (int i = 0; i < 2; i++)
        INSIST(p, tern_setopt(p->e[i].t, p->e[i].h, TERN_OPT_KEEPIDLE_MS, 3000));
    INSIST(p, tern_setopt(p->e[A].t, p->e[A].h, TERN_OPT_KEEPALIVE, 1));
    for (int round = 1; round <= 4; round++) {
        pair_run(p, 10 * SEC);
        p->e[round & 1].to_write += 3000;
        p->e[!(round & 1)].to_write += round == 4 ? 700 : 0;
        pair_until(p, pair_transferred, 100 * SEC);
    }
    tern_stats s;
    tern_get_stats(p->e[A].t, &s);
    PAIR_CHECK(p, s.rests >= 4 && s.wakes >= 4);
    pair_run(p, 10 * SEC);
    INSIST(p, tern_shutdown(p->e[A].t, p->e[A].h));
    pair_run(p, 10 * SEC); /* FIN_WAIT_2 and CLOSE_WAIT rest too */
    release(p, B, false);
    pair_run(p, 10 * SEC);
}

/* The path, the addresses and the links of A change while bytes are under way, and while it rests. */
static void changes(struct pair *p)
{
    struct pair_end *a = &p->e[A];
    tern_ip more = a->ip;
    more.b[15] = 77;
    open_it(p);
    a->to_write = p->e[B].to_write = 20000;
    pair_run(p, 11000);
    INSIST(p, tern_link_up(a->t, a->link, false));
    pair_run(p, SEC);
    INSIST(p, tern_link_up(a->t, a->link, true));
    pair_flush(p);
    tern_link_info narrow = {.mtu = 1300};
    INSIST(p, tern_link_set(a->t, a->link, &narrow));
    INSIST(p, tern_addr_add(a->t, a->link, &more, 24));
    INSIST(p, tern_addr_remove(a->t, a->link, &more));
    pair_until(p, pair_transferred, 400 * SEC);
    pair_run(p, 20 * SEC);
    INSIST(p, tern_addr_remove(a->t, a->link, &a->ip));
    pair_run(p, SEC);
    PAIR_CHECK(p, pair_state(p, A) == TERN_CLOSED || pair_info(p, A).asleep);
    INSIST(p, tern_close(a->t, a->h));
    a->h.v = 0;
    INSIST(p, tern_addr_add(a->t, a->link, &a->ip, 24));
    pair_flush(p);
}

/* A talks to itself in lent memory: B takes chunks and sends them back twice over. */
static void lent_and_chunks(struct pair *p)
{
    static const uint8_t word[9000] = {1, 2, 3};
    struct pair_end *a = &p->e[A], *b = &p->e[B];
    uint32_t lent = 0, back = 0, read = 0;
    uint8_t buf[2048];
    open_it(p);
    a->idle_reader = b->idle_reader = true;
    int region = tern_region_add(a->t, word, sizeof word);
    PAIR_CHECK(p, region > 0);
    for (int i = 0; i < 4000 && read < 2 * (1 + 2 * sizeof word); i++) {
        tern_chunk chunk;
        tern_lent r;
        if (lent < 2 * sizeof word) {
            long n =
                tern_lend(a->t, a->h, region, lent % sizeof word, sizeof word - lent % sizeof word, i, 0);
            PAIR_CHECK(p, n > 0 || n == -TERN_EAGAIN || n == -TERN_ENOMEM);
            lent += n > 0 ? (uint32_t)n : 0;
        }
        long n = tern_take(b->t, b->h, 4000, &chunk);
        PAIR_CHECK(p, n > 0 || n == -TERN_EAGAIN || n == -TERN_ENOMEM);
        for (uint32_t at = 0, twice = 0; n > 0 && twice < 2;) {
            long k = tern_send_chunk(b->t, b->h, chunk, at, (size_t)n - at, 0);
            PAIR_CHECK(p, k > 0 || k == -TERN_EAGAIN);
            at += k > 0 ? (uint32_t)k : 0;
            if (at == n)
                at = 0, twice++;
            pair_step(p, p->now + SEC);
        }
        if (n > 0)
            INSIST(p, tern_drop(b->t, chunk));
        for (long k; (k = tern_recv(a->t, a->h, buf, sizeof buf)) > 0;)
            read += (uint32_t)k;
        while (tern_returned(a->t, &r, 1) == 1)
            back += r.len;
        pair_step(p, p->now + SEC);
    }
    PAIR_CHECK(p, read == 2 * (1 + 2 * sizeof word));
    pair_run(p, SEC);
    for (tern_lent r; tern_returned(a->t, &r, 1) == 1;)
        back += r.len;
    PAIR_CHECK(p, back == 2 * sizeof word);
    INSIST(p, tern_region_remove(a->t, region));
}

/* An echo request of 3000 bytes from B to A in three pieces of IPv4. */
static void ping_in_pieces(struct pair *p, uint16_t id)
{
    static uint8_t body[3008], whole[3028];
    struct pair_end *a = &p->e[A];
    uint16_t at = ip_emit(whole, &p->e[B].ip, &a->ip, PROTO_ICMP, 64, 0, sizeof body, id);
    icmp_emit(whole + at, 4, ICMP_ECHO, 0, id, body + 8, sizeof body - 8, &p->e[B].ip, &a->ip);
    memcpy(whole + at + 8, body + 8, sizeof body - 8);
    for (uint32_t from = 0; from < sizeof body; from += 1480) {
        uint8_t piece[1500];
        uint32_t n = min_u32(1480, sizeof body - from);
        memcpy(piece, whole, 20);
        memcpy(piece + 20, whole + 20 + from, n);
        put16(piece + 2, (uint16_t)(20 + n));
        put16(piece + 4, id);
        put16(piece + 6, (uint16_t)(from / 8 | (from + n < sizeof body ? 0x2000u : 0)));
        put16(piece + 10, 0);
        put16(piece + 10, csum_fold(csum_add(0, piece, 20)));
        tern_rx_packet rx = {.data = piece, .len = 20 + n, .link = (uint8_t)a->link};
        tern_rx(a->t, p->now, &rx, 1);
        tcp_check_all(a->t);
    }
    pair_flush(p);
}

/* Who asks gets an answer, or asks again. */
static void echoes(struct pair *p)
{
    tern_stats s = {0};
    uint16_t id = 1;
    for (; id < 40 && s.echo_replies < 5; id++) {
        ping_in_pieces(p, id);
        pair_run(p, SEC);
        tern_get_stats(p->e[A].t, &s);
    }
    PAIR_CHECK(p, s.echo_replies == 5);
    pair_run(p, 100 * SEC); /* what was not made whole goes */
}

/* --- the loop --------------------------------------------------------------------------------------- */

/* Run it with the n-th allocation of one side failing, and `more` behind it. False: there were fewer. */
static bool run_failing(const struct scenario *s, int side, uint32_t n, uint32_t more)
{
    struct pair *p = pair_new(&s->cfg);
    struct arena *a = p->e[side].t->a;
    a->fail_after = n;
    a->fail_more = more;
    s->run(p);
    bool failed = a->refused > 0 && a->fail_after < n;
    a->fail_after = a->fail_more = 0;
    pair_end(p);
    return failed;
}

/* `points`: what fails at the least. The only record of what is in flight takes no memory (tcb.h, sendlist),
 * so who sends one segment at a time has fewer. */
static void every_one(const struct scenario *s)
{
    static const uint32_t more[] = {0, 2, 3};
    uint32_t points = 0;
    for (int side = A; side <= B; side++)
        for (size_t i = 0; i < ARRAY_LEN(more); i++) {
            uint32_t n = 1;
            while (run_failing(s, side, n, more[i]))
                n++;
            points += i == 0 ? n - 1 : 0;
        }
    if (points < s->points)
        fail_msg("only %u points of failure, %u expected", points, s->points);
    print_message("# %u points of failure\n", points);
}

#define MEMORY (512u << 10)

static void test_handshake(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 1, .memory = MEMORY}, handshake, 8});
}

static void test_crossing(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 2, .memory = MEMORY}, crossing, 4});
}

static void test_transfer(void **state)
{
    (void)state;
    every_one(&(struct scenario){
        .cfg =
            {.seed = 3, .memory = MEMORY, .loss_ppm = 50000, .duplicate_ppm = 20000, .reorder_ppm = 100000},
        transfer,
        220});
}

static void test_transfer_v6_without_sack(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 4,
                                  .memory = MEMORY,
                                  .v6 = true,
                                  .stack = {{.no_sack = 1, .no_timestamps = 1}},
                                  .loss_ppm = 50000,
                                  .reorder_ppm = 100000},
                                 transfer,
                                 219});
}

static void test_transfer_in_super_segments(void **state)
{
    (void)state;
    every_one(&(struct scenario){
        .cfg = {.seed = 5, .memory = MEMORY, .gso = 65000, .cut = true, .loss_ppm = 80000}, transfer, 60});
}

static void test_ends(void **state)
{
    (void)state;
    for (uint64_t order = 0; order < 32; order++)
        every_one(&(struct scenario){.cfg = {.seed = 32 + order, .memory = MEMORY}, ends_in_all_orders, 20});
}

static void test_close_unread(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 6, .memory = MEMORY}, close_unread, 20});
}

static void test_many_half_open(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 7, .memory = MEMORY}, many_at_once, 30});
}

static void test_time_wait_again(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 8, .memory = MEMORY}, time_wait_again, 12});
}

static void test_rest_and_wake(void **state)
{
    (void)state;
    every_one(&(struct scenario){
        .cfg = {.seed = 9, .memory = MEMORY, .stack = {{.rest_ms = 1}, {.rest_ms = 1}}}, rest_and_wake, 30});
}

static void test_changes(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 10, .memory = MEMORY}, changes, 60});
}

static void test_lent_and_chunks(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 11, .memory = MEMORY}, lent_and_chunks, 60});
}

static void test_fragments_and_echoes(void **state)
{
    (void)state;
    every_one(&(struct scenario){.cfg = {.seed = 12, .memory = MEMORY}, echoes, 10});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_transfer_v6_without_sack),
        cmocka_unit_test(test_transfer_in_super_segments),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_close_unread),
        cmocka_unit_test(test_many_half_open),
        cmocka_unit_test(test_time_wait_again),
        cmocka_unit_test(test_rest_and_wake),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_lent_and_chunks),
        cmocka_unit_test(test_fragments_and_echoes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
