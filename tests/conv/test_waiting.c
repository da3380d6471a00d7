/* The small records of TIME_WAIT together: how many, which go first, what a storm of FINs does, what is known
 * of each; and ports that are taken by them. */
#include "lab/lab.h"
#include "stack/stack.h"
#include "tcp/tcp.h"

enum { FIRST = 20000, PEERS = 1000 };

static struct lab_flow peers[PEERS]; /* those of the last wait_with, by their port - FIRST */

/* Speak for the connection with this port. */
static void as_peer(struct lab *l, unsigned port)
{
    l->flow[0] = peers[port - FIRST];
}

/* Peer's ports from `first` on: each is served, closed by us first, and waits. */
static void wait_with(struct lab *l, unsigned first, unsigned n)
{
    if (!l->listener.v)
        TALK(l, "listen");
    for (unsigned i = 0; i < n; i++) {
        l->flow[0].peer.port = (uint16_t)(first + i);
        TALK(l, "reborn 0\n"
                "< S 0 win 65535 <mss 1460>\n"
                "> SA 0 ack 1\n"
                "< A 1 ack 1\n"
                "accept\n"
                "close\n"
                "> FA 1 ack 1\n"
                "< FA 1 ack 2\n"
                "> A 2 ack 2");
        if (first >= FIRST)
            peers[first - FIRST + i] = l->flow[0];
    }
}

static bool waits(struct lab *l, unsigned port)
{
    tern_info info;
    for (uint64_t cursor = 0; tern_walk(l->t, &cursor, &info);)
        if (info.state == TERN_TIME_WAIT && info.remote.port == port)
            return true;
    return false;
}

static uint64_t memory(struct lab *l)
{
    tern_live v = lab_live(l);
    return v.arena_used - v.arena_free;
}

/* time_wait_max: the oldest go, and are counted. */
static void limit(void **state)
{
    struct lab_config cfg = {.stack = {.time_wait_max = 10}};
    struct lab *l = lab_new(state, &cfg);
    wait_with(l, 20000, 30);
    assert_int_equal(lab_live(l).timewait, 10);
    assert_int_equal(lab_stats(l).time_wait_recycled, 20);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(waits(l, 20000 + i), i >= 20);
    lab_end(l);
}

/* With the memory used up by them, a new connection and its data still find room. */
static void give_up_memory(void **state)
{
    struct lab_config cfg = {.memory = tern_min_size(NULL)};
    struct lab *l = lab_new(state, &cfg);
    wait_with(l, 10000, 8000);
    tern_live v = lab_live(l);
    assert_true(lab_stats(l).time_wait_recycled > 0);
    assert_int_equal(v.timewait + lab_stats(l).time_wait_recycled, 8000);
    assert_true(waits(l, 17999)); /* the newest is there, the oldest has gone */
    assert_false(waits(l, 10000));
    l->flow[0].peer.port = 30000;
    TALK(l, "reborn 0\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "send 60000 -> 60000\n"
            "+any forget\n");
    assert_true(lab_live(l).timewait < v.timewait);
    TALK(l, "abort");
    lab_forget(l);
    lab_end(l);
}

/* Of both address families the oldest goes, whichever it is of. */
static void oldest_of_both_families(void **state)
{
    struct lab_config cfg = {.stack = {.time_wait_max = 3}};
    struct lab *l = lab_new(state, &cfg);
    bool v6 = !tern_ip_is4(&l->ip);
    tern_ip ours = v6 ? tern_ip4(192, 0, 2, 1) : (tern_ip){{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    tern_ip other = ours;
    other.b[15]++;
    assert_int_equal(tern_addr_add(l->t, l->link, &ours, v6 ? 24 : 64), 0);
    for (unsigned i = 0; i < 6; i++) {
        bool second = i == 1 || i == 2 || i == 5;
        l->flow[0].local.ip = second ? ours : l->ip;
        l->flow[0].peer.ip = second ? other : l->peer_ip;
        wait_with(l, FIRST + i, 1);
        lab_run(l, SEC);
        for (unsigned k = 0; k <= i; k++)
            assert_int_equal(waits(l, FIRST + k), k + 3 > i);
    }
    lab_end(l);
}

/* What is left of those whose last FIN came at these times: none may be gone before 2 MSL have passed. */
static unsigned left(struct lab *l, const uint64_t *last_fin, unsigned n)
{
    bool there[PEERS] = {false};
    tern_info info;
    unsigned count = 0;
    for (uint64_t cursor = 0; tern_walk(l->t, &cursor, &info); count += info.state == TERN_TIME_WAIT)
        if (info.state == TERN_TIME_WAIT && info.remote.port >= FIRST) /* not the one of the first page */
            there[info.remote.port - FIRST] = true;
    for (unsigned i = 0; i < n; i++)
        if (!there[i] && l->now < last_fin[i] + 60 * SEC)
            lab_fail(l, "number %u is gone %u ms after its last FIN", i,
                     (unsigned)((l->now - last_fin[i]) / MS));
    return count;
}

/* Repeated FINs move records to the end, in the worst way: each round leaves a few on every page. What is
 * held stays within bounds, none ends early, and all end. */
static void storm_of_fins(void **state)
{
    enum { N = 900, ROUNDS = 18 };
    static uint64_t last_fin[N];
    struct lab *l = lab_new(state, NULL);
    wait_with(l, 10000, 1); /* the first page */
    uint64_t before = memory(l);
    wait_with(l, FIRST, N);
    uint64_t alone = memory(l) - before, most = 0;
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < N; i++) {
            if (i % 20 < round)
                continue;
            as_peer(l, FIRST + i);
            TALK(l, "+1ms < FA 1 ack 2\n> A 2 ack 2");
            last_fin[i] = l->now;
            uint64_t more = memory(l) - before;
            most = more > most ? more : most;
        }
    assert_int_equal(lab_live(l).timewait, N + 1);
    assert_true(most <= 2 * alone + 4 * 4096);
    for (int s = 0; s < 121; s++) {
        lab_run(l, SEC);
        left(l, last_fin, N);
    }
    assert_int_equal(left(l, last_fin, N), 0);
    lab_end(l);
}

/* Who was marked by a FIN that found the pages full of holes: 2 MSL begin anew where they end. 0 = nobody. */
static unsigned marked(struct lab *l)
{
    struct fifo *q = tern_ip_is4(&l->ip) ? &l->t->w->wait4.fifo : &l->t->w->wait6.fifo;
    for (ref_t r = 0; fifo_next(l->t->a, q, &r);) {
        const struct timewait *w = at(l->t->a, r);
        if (w->again && w->remote_port >= FIRST)
            return w->remote_port;
    }
    return 0;
}

/* So it is also when no timer has been run since, and the next packet is what tells the time. */
static void marked_and_no_tick(void **state)
{
    enum { N = 900 };
    struct lab *l = lab_new(state, NULL);
    wait_with(l, FIRST, N);
    for (unsigned round = 0; round < 18; round++)
        for (unsigned i = 0; i < N; i++) {
            as_peer(l, FIRST + i);
            if (i % 20 >= round)
                TALK(l, "+1ms < FA 1 ack 2\n> A 2 ack 2");
        }
    unsigned port = marked(l);
    assert_int_not_equal(port, 0);
    as_peer(l, port);
    lab_run(l, 30 * SEC);
    TALK(l, "< FA 1 ack 2\n> A 2 ack 2");
    uint8_t buf[128];
    uint32_t len = lab_packet(l, "FA 1 ack 2", buf);
    l->mark = l->now += 55 * SEC; /* 2 MSL after what was before, not after this one */
    lab_rx(l, buf, len);
    TALK(l, "> A 2 ack 2\n"
            "= TIME_WAIT");
    wait_with(l, 10000, 1); /* one that is not marked */
    len = lab_packet(l, "FA 1 ack 2", buf);
    l->mark = l->now += 61 * SEC;
    lab_rx(l, buf, len);
    TALK(l, "> R 2");
    lab_end(l);
}

/* One call ends a bounded number and says that there is more to do. */
static void ends_in_turns(void **state)
{
    struct lab *l = lab_new(state, NULL);
    wait_with(l, 20000, 600);
    uint64_t later = l->now + 100 * SEC;
    unsigned left = 600;
    for (int calls = 0; left > 0; calls++) {
        assert_in_range(calls, 0, 3);
        assert_true(tern_next_deadline(l->t) <= later);
        tern_tick(l->t, later);
        unsigned now_left = lab_live(l).timewait;
        assert_in_range(left - now_left, 1, 256);
        left = now_left;
    }
    l->now = later;
    assert_int_equal(tern_next_deadline(l->t), LAB_NEVER);
    lab_end(l);
}

/* Mixed with those that a program holds: both kinds are counted, apart. */
static void held_are_counted_apart(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460");
    TALK(l, "shutdown\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT");
    assert_int_equal(lab_live(l).timewait_held, 1);
    assert_int_equal(lab_live(l).timewait, 0);
    TALK(l, "+10s close");
    assert_int_equal(lab_live(l).timewait_held, 0);
    assert_int_equal(lab_live(l).timewait, 1);
    assert_int_equal(lab_live(l).tcbs, 0);
    lab_end(l);
}

/* What is known of a small record. */
static void info(void **state)
{
    struct lab *l = lab_new(state, NULL);
    lab_connect(l, "mss 1460,ts,wscale 7");
    tern_info open, i;
    assert_true(lab_info(l, 0, &open));
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT");
    uint64_t since = l->now;
    lab_run(l, 5 * SEC);
    assert_true(lab_info(l, 0, &i));
    assert_int_equal(i.conn, open.conn);
    assert_memory_equal(&i.local, &open.local, sizeof i.local);
    assert_memory_equal(&i.remote, &open.remote, sizeof i.remote);
    assert_int_equal(i.reason, TERN_C_FIN_AND_ACK);
    assert_int_equal(i.state_since_us, since);
    assert_int_equal(i.timer, TERN_TIMER_TIME_WAIT);
    assert_int_equal(i.timer_us, since + 60 * SEC);
    assert_true(i.timestamps && i.fin_sent && i.fin_rcvd && i.fin_acked && !i.held);
    assert_int_equal(i.rcv_wscale, open.rcv_wscale);
    lab_end(l);
}

/* RFC 5961 7: one challenge in a second, and the ration of one is not that of another. */
static void challenges_are_rationed(void **state)
{
    struct lab *l = lab_new(state, NULL);
    wait_with(l, 20000, 2);
    for (int i = 0; i < 25; i++)
        TALK(l, "< SA 0 ack 1");
    unsigned acks = 0;
    while (lab_next(l) != NULL)
        acks++;
    assert_int_equal(acks, 1);
    as_peer(l, 20000);
    TALK(l, "< SA 0 ack 1\n> A 2 ack 2");
    as_peer(l, 20001);
    TALK(l, "+1s < SA 0 ack 1\n> A 2 ack 2");
    lab_end(l);
}

/* Where the four bits for the turn repeat: 15 s later no answer, and at the next try there is one. */
static void a_turn_of_the_same_number(void **state)
{
    struct lab *l = lab_new(state, NULL);
    wait_with(l, 20000, 1);
    TALK(l, "+200ms < SA 0 ack 1\n"
            "> A 2 ack 2\n"
            "+14s < SA 0 ack 1\n"
            "> A 2 ack 2\n"
            "+15s < SA 0 ack 1\n"
            "> none\n"
            "+1s < SA 0 ack 1\n"
            "> A 2 ack 2");
    assert_int_equal(lab_stats(l).challenge_limited, 1);
    lab_end(l);
}

/* --- ports ----------------------------------------------------------------------------------- */

enum { PORTS = 20 };

static const struct lab_config few_ports = {.stack = {.port_low = 50000, .port_high = 50000 + PORTS - 1}};

/* Every port towards one remote is used by a connection that we have closed first. */
static void use_all(struct lab *l, const char *opts)
{
    for (int i = 0; i < PORTS; i++) {
        l->flow[0].local.port = (uint16_t)(50000 + i);
        l->flow[0].peer.port = 8080;
        TALK(l, "+10ms reborn 0");
        lab_connect(l, opts);
        TALK(l, "close\n"
                "> FA 1 ack 1\n"
                "< FA 1 ack 2\n"
                "> A 2 ack 2");
    }
}

static tern_port_use use_of(struct lab *l, const tern_endpoint *remote)
{
    tern_port_use use;
    assert_int_equal(tern_ports(l->t, NULL, remote, &use), 0);
    assert_int_equal(use.total, use.used + use.free);
    return use;
}

/* All in TIME_WAIT without timestamps: none can be opened anew safely; by time they come back. */
static void ports_wait(void **state)
{
    struct lab *l = lab_new(state, &few_ports);
    tern_handle h;
    use_all(l, "mss 1460");
    lab_run(l, 10 * SEC);
    tern_port_use use = use_of(l, &l->flow[0].peer);
    assert_int_equal(use.total, PORTS);
    assert_int_equal(use.by_state[TERN_TIME_WAIT], PORTS);
    assert_int_equal(use.reusable, 0);
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &h), -TERN_ENOSR);
    tern_endpoint other = l->flow[0].peer;
    other.port++;
    assert_int_equal(use_of(l, &other).free, PORTS);
    lab_run(l, 51 * SEC);
    assert_int_equal(use_of(l, &l->flow[0].peer).free, PORTS);
    TALK(l, "reborn 0");
    lab_connect(l, "mss 1460");
    lab_end(l);
}

/* With timestamps, and a second later, the oldest of them is opened anew: above its numbers, with a newer
 * timestamp, and what the old peer still sends is not taken. */
static void oldest_port_is_reopened(void **state)
{
    struct lab *l = lab_new(state, &few_ports);
    tern_handle h;
    tern_info info;
    use_all(l, "mss 1460,ts");
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &h), -TERN_ENOSR); /* too fresh */
    lab_run(l, 2 * SEC);
    assert_int_equal(use_of(l, &l->flow[0].peer).reusable, PORTS);
    uint64_t oldest_us = UINT64_MAX;
    uint16_t oldest = 0;
    for (uint64_t cursor = 0; tern_walk(l->t, &cursor, &info);)
        if (info.state == TERN_TIME_WAIT && info.timer_us < oldest_us) {
            oldest_us = info.timer_us;
            oldest = info.local.port;
        }
    uint32_t ts = l->flow[0].ts_last;
    TALK(l, "reborn 5000");
    l->flow[0].local.port = oldest;
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &l->flow[0].h), 0);
    lab_collect(l);
    TALK(l, "> S 0\n"
            "< SA 0 ack 1 win 65535 <mss 1460,ts>\n"
            "> A 1 ack 1\n"
            "= ESTABLISHED");
    assert_true((int32_t)(l->flow[0].ts_last - ts) > 0);
    assert_int_equal(lab_stats(l).time_wait_reopened, 1);
    assert_int_equal(use_of(l, &l->flow[0].peer).by_state[TERN_ESTABLISHED], 1);
    assert_int_equal(use_of(l, &l->flow[0].peer).by_state[TERN_TIME_WAIT], PORTS - 1);
    TALK(l, "< PA 1:11(10) ack 1\nrecv 10");
    lab_forget(l);
    lab_end(l);
}

/* A peer that repeats its FIN has not seen our last ACK: not that one. A program that names the port is
 * refused as ever. */
static void not_every_port_is_reopened(void **state)
{
    struct lab_config cfg = {.stack = {.port_low = 50000, .port_high = 50000}};
    struct lab *l = lab_new(state, &cfg);
    tern_handle h;
    lab_connect(l, "mss 1460,ts");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "+5s = TIME_WAIT\n");
    assert_int_equal(tern_connect(l->t, &l->flow[0].local, &l->flow[0].peer, &h), -TERN_EADDRINUSE);
    TALK(l, "< FA 1 ack 2\n"
            "> A 2 ack 2");
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &h), -TERN_ENOSR);
    lab_run(l, 2 * SEC);
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &h), 0);
    assert_int_equal(tern_abort(l->t, h), 0);
    lab_end(l);
}

/* The errors of tern_ports are those of tern_connect. */
static void ports_errors(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_port_use use;
    tern_endpoint to = l->flow[0].peer, mine = l->flow[0].peer;
    mine.ip = l->ip;
    assert_int_equal(tern_ports(l->t, &mine, &to, &use), 0);
    assert_int_equal(use.total, 28232);
    assert_int_equal(use.used, 0);
    assert_int_equal(tern_ports(l->t, &to, &to, &use), -TERN_EADDRNOTAVAIL);
    to.port = 0;
    assert_int_equal(tern_ports(l->t, NULL, &to, &use), -TERN_EINVAL);
    to = (tern_endpoint){.ip = tern_ip4(198, 51, 100, 1), .port = 80};
    assert_int_equal(tern_ports(l->t, NULL, &to, &use), -TERN_ENETUNREACH);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(limit),
        LAB_TEST(give_up_memory),
        LAB_TEST(oldest_of_both_families),
        LAB_TEST(storm_of_fins),
        LAB_TEST(marked_and_no_tick),
        LAB_TEST(ends_in_turns),
        LAB_TEST(held_are_counted_apart),
        LAB_TEST(info),
        LAB_TEST(challenges_are_rationed),
        LAB_TEST(a_turn_of_the_same_number),
        LAB_TEST(ports_wait),
        LAB_TEST(oldest_port_is_reopened),
        LAB_TEST(not_every_port_is_reopened),
        LAB_TEST(ports_errors),
    };
    return LAB_MAIN(tests);
}
