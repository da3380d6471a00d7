/* Outsiders against what is small, shared or remembered: half-open and TIME_WAIT records, cookies,
 * connections at rest. Each test is an attack that must bring nothing; those on the protocol itself are in
 * test_attack.c, floods in tests/pitfalls/test_pitfall_flood.c. */
#include "lab/lab.h"

#include <tern/net.h>

static void give(struct lab *l, const char *line)
{
    uint8_t buf[256];
    uint32_t len = lab_packet(l, line, buf);
    tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
    tern_rx(l->t, l->now, &p, 1);
    l->last_rx = p;
}

/* Take all that tern wants to send; how many packets go to `to`. */
static unsigned take(struct lab *l, const tern_ip *to)
{
    tern_tx_packet out[64];
    struct ip_hdr ip;
    unsigned count = 0;
    for (int n; (n = tern_tx(l->t, l->now, out, 64)) > 0;)
        for (int i = 0; i < n; i++)
            count += ip_parse(out[i].hdr, out[i].len, &ip) == TERN_CAUSE_NONE &&
                     memcmp(&ip.dst, to, sizeof ip.dst) == 0;
    return count;
}

/* --- what can be read from outside ---------------------------------------------------------------- */

enum { OWN = 3000 };

/* The attacker provokes an answer of each of his records, ten times; how many he gets. */
static unsigned provoke_own(struct lab *l)
{
    unsigned got = 0;
    for (uint16_t i = 0; i < OWN; i++) {
        l->flow[0].peer = l->flow[1].peer;
        l->flow[0].peer.port = (uint16_t)(20000 + i);
        for (int k = 0; k < 10; k++)
            give(l, "A 2000000000 ack 77");
        got += take(l, &l->flow[1].peer.ip);
    }
    return got;
}

/* Challenge ACKs that were counted for all small records together would tell an outsider, who sees how many
 * are left for his own, whether a pair that he guesses exists (CVE-2016-5696; RFC 5961 7). */
static void challenges_tell_nothing_of_others(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80}, victim = l->flow[0].peer;
    l->tuned = true;
    victim.ip.b[15] = 9;
    assert_int_equal(tern_listen(l->t, &any, 4 * OWN, &l->listener), 0);
    for (uint16_t i = 0; i < OWN; i++) {
        l->flow[0].peer = l->flow[1].peer;
        l->flow[0].peer.port = (uint16_t)(20000 + i);
        give(l, "S 0 win 65535 <mss 1460>");
        take(l, &victim.ip);
    }
    l->flow[0].peer = victim;
    give(l, "S 0 win 65535 <mss 1460>");
    take(l, &victim.ip);
    unsigned before = provoke_own(l);
    assert_in_range(before, 1, 10 * OWN);
    for (int i = 0; i < 6; i++) {
        l->now += SEC;
        tern_tick(l->t, l->now);
        take(l, &victim.ip);
    }
    l->flow[0].peer = victim;
    give(l, "A 2000000000 ack 77");
    assert_int_equal(take(l, &victim.ip), 1);
    assert_int_equal(provoke_own(l), before);
    lab_run(l, 200 * SEC);
    lab_forget(l);
    lab_end(l);
}

/* --- cookies -------------------------------------------------------------------------------------- */

static struct lab *with_cookies(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    l->tuned = true; /* the number in a cookie cannot be chosen by the time */
    assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS), 0);
    return l;
}

/* The timestamp is part of the cookie, all of it: who echoes another one would choose our clock, and with a
 * clock that is not ours a connection keeps its control block in TIME_WAIT. */
static void a_cookie_with_another_stamp_is_none(void **state)
{
    struct lab *l = with_cookies(state);
    TALK(l, "< S 0 win 65535 <mss 1460,sackOK,ts 700,wscale 7>\n"
            "> SA 0 ack 1");
    uint32_t stamp = l->flow[0].ts_last;
    TALKF(l, "< A 1 ack 1 <ts 800 ecr =%u>", stamp ^ 0x40000000u);
    TALKF(l, "< A 1 ack 1 <ts 800 ecr =%u>", stamp - 64);
    assert_int_equal(lab_stats(l).cookies_valid, 0);
    assert_int_equal(lab_live(l).tcbs, 0);
    TALKF(l, "< A 1 ack 1 <ts 800 ecr =%u>", stamp);
    assert_int_equal(lab_stats(l).cookies_valid, 1);
    TALK(l, "accept\n= ESTABLISHED");
    lab_end(l);
}

/* Where the program decides about each SYN, no cookie may pass it by: not one of another machine, nor of the
 * listener that was there before. */
static void a_cookie_does_not_pass_a_deferring_listener(void **state)
{
    static const uint8_t key[16] = "shared with one!";
    struct lab *l = with_cookies(state);
    tern_endpoint any = {.port = 80};
    tern_set_cookie_key(l->t, key, 1000 * SEC);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    assert_int_equal(tern_close(l->t, l->listener), 0);
    assert_int_equal(tern_listen_as(l->t, &any, 0, TERN_LISTEN_DEFER, &l->listener), 0);
    TALK(l, "< A 1 ack 1\n"
            "> R 1");
    assert_int_equal(lab_live(l).tcbs, 0);
    lab_end(l);
}

/* The first SYN was answered by a cookie, which came late; the second one met room and got a record, with
 * another number. The peer has taken the first answer: it is no liar, and is not reset. */
static void a_late_cookie_counts_beside_a_record(void **state)
{
    static const char *const offers[] = {"mss 1460", "mss 1400,sackOK,ts 700,wscale 3"};
    for (int i = 0; i < 2; i++) {
        struct lab *l = with_cookies(state);
        TALKF(l, "< S 0 win 65535 <%s>\n> SA 0 ack 1", offers[i]);
        assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_AUTO), 0);
        char line[100];
        snprintf(line, sizeof line, "S 0 win 65535 <%s>", offers[i]);
        l->now += SEC;
        give(l, line);
        if (i == 0)
            assert_int_equal(take(l, &l->peer_ip), 1);
        assert_int_equal(lab_live(l).halfopen, 1);
        TALK(l, "< PA 1:11(10) ack 1\n"
                "> A 1 ack 11\n"
                "accept\n"
                "= ESTABLISHED\n"
                "recv 10 -> 10\n"
                "send 100\n"
                "> PA 1:101(100) ack 11");
        tern_info info;
        assert_true(lab_info(l, 0, &info));
        assert_int_equal(info.snd_wscale, i == 0 ? 0 : 3);
        assert_int_equal(info.sack, i != 0);
        assert_int_equal(info.mss, i == 0 ? 1460 - (tern_ip_is4(&l->ip) ? 0 : 20) : 1360 - 12);
        assert_int_equal(lab_live(l).halfopen, 0);
        assert_int_equal(lab_stats(l).cookies_valid, 1);
        assert_int_equal(lab_stats(l).resets_out, 0);
        lab_end(l);
    }
}

/* --- connections at rest -------------------------------------------------------------------------- */

enum { MANY = 4000 };

struct crowd {
    int n;
    uint32_t iss[MANY];
    tern_handle h[MANY];
};

/* Flow 0 is this one of them. */
static void be_one(struct lab *l, const struct crowd *c, int i)
{
    l->flow[0].peer.port = (uint16_t)(10000 + i);
    l->flow[0].iss = c->iss[i];
    l->flow[0].iss_known = true;
}

static void pass(struct lab *l, uint64_t us)
{
    tern_event e[64];
    l->now += us;
    tern_tick(l->t, l->now);
    take(l, &l->peer_ip);
    while (tern_events(l->t, e, 64) > 0)
        continue;
}

/* One more connection opens, and comes to rest later. False: no memory. */
static bool join(struct lab *l, struct crowd *c)
{
    tern_tx_packet out;
    struct ip_hdr ip;
    struct segment s;
    be_one(l, c, c->n);
    give(l, "S 0 win 65535 <mss 1460>");
    if (tern_tx(l->t, l->now, &out, 1) != 1 || ip_parse(out.hdr, out.len, &ip) != TERN_CAUSE_NONE ||
        tcp_parse(&ip, true, &s) != TERN_CAUSE_NONE)
        return false;
    c->iss[c->n] = s.seq.v;
    be_one(l, c, c->n);
    give(l, "A 1 ack 1");
    if (tern_accept(l->t, l->listener, &c->h[c->n]) != 0)
        return false;
    c->n++;
    pass(l, 20 * MS);
    return true;
}

/* Most of memory is taken by connections at rest, most of them the attacker's, or such that he has guessed
 * the pair of, and there is not enough left to wake them all. A segment of rubbish wakes each; what it draws,
 * a challenge ACK, must not keep it awake while others cannot wake: with a few hundred packets in five
 * seconds all of them would stand still. */
static void rubbish_keeps_nobody_from_waking(void **state)
{
    struct lab_config cfg = {.memory = 640 << 10};
    struct lab *l = lab_new(state, &cfg);
    struct crowd *c = calloc(1, sizeof *c);
    tern_endpoint any = {.port = 80};
    char bytes[10];
    l->tuned = true;
    assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
    while (c->n < MANY && lab_live(l).arena_used < cfg.memory / 4 * 3 && join(l, c))
        continue;
    assert_in_range(c->n, 500, MANY - 1);
    pass(l, 10 * SEC);
    pass(l, 10 * SEC);
    for (int i = 1; i < c->n; i++) {
        be_one(l, c, i);
        give(l, "A 2000000000 ack 1");
        take(l, &l->peer_ip);
    }
    pass(l, 10 * MS);
    be_one(l, c, 0);
    give(l, "PA 1:11(10) ack 1");
    assert_int_equal(l->last_rx.cause, TERN_CAUSE_NONE);
    assert_int_equal(tern_recv(l->t, c->h[0], bytes, sizeof bytes), sizeof bytes);
    for (int i = 0; i < c->n; i++)
        assert_int_equal(tern_abort(l->t, c->h[i]), 0);
    pass(l, 200 * SEC);
    lab_forget(l);
    lab_end(l);
    free(c);
}

/* Put to rest for want of memory and woken again a connection has no new ration of challenge ACKs (RFC 5961
 * 7). */
static void a_forced_rest_renews_no_ration(void **state)
{
    struct lab_config cfg = {.memory = 640 << 10};
    struct lab *l = lab_new(state, &cfg);
    struct crowd *c = calloc(1, sizeof *c);
    tern_endpoint any = {.port = 80};
    unsigned got = 0;
    l->tuned = true;
    assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
    while (c->n < MANY && lab_live(l).arena_used < cfg.memory / 4 * 3 && join(l, c))
        continue;
    pass(l, 10 * SEC);
    pass(l, 10 * SEC);
    for (int round = 0; round < 5; round++)
        for (int i = 0; i < c->n; i++) {
            be_one(l, c, i);
            for (int k = 0; k < (i == 0 ? 4 : 1); k++) {
                give(l, "A 2000000000 ack 1");
                unsigned answers = take(l, &l->peer_ip);
                got += i == 0 ? answers : 0;
            }
            l->now += 10;
        }
    assert_true(lab_stats(l).wakes > 2 * (unsigned)c->n); /* so they were put to rest in between */
    assert_in_range(got, 1, 10);
    pass(l, 6 * SEC);
    be_one(l, c, 0);
    give(l, "A 2000000000 ack 1");
    assert_int_equal(take(l, &l->peer_ip), 1);
    for (int i = 0; i < c->n; i++)
        assert_int_equal(tern_abort(l->t, c->h[i]), 0);
    pass(l, 200 * SEC);
    lab_forget(l);
    lab_end(l);
    free(c);
}

/* --- links ---------------------------------------------------------------------------------------- */

/* By which link the next packet leaves; 0 = there is none. */
static int next_by(struct lab *l)
{
    tern_tx_packet out;
    return tern_tx(l->t, l->now, &out, 1) == 1 ? out.link : 0;
}

/* A link is removed, and the next one that is added gets its number: it is another network, which must not
 * see what small records send; they go by the routes. */
static void a_later_link_of_that_number_is_another(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    tern_link_info info = {.mtu = 1500};
    int first = l->link, second = tern_link_add(l->t, &info);
    l->tuned = true;
    assert_int_equal(tern_listen(l->t, &any, 0, &l->listener), 0);
    l->link = second;
    give(l, "S 0 win 65535 <mss 1460>");
    assert_int_equal(next_by(l), second);
    assert_int_equal(tern_link_remove(l->t, second), 0);
    tern_tick(l->t, l->now);
    assert_int_equal(tern_link_add(l->t, &info), second);
    l->now += SEC;
    tern_tick(l->t, l->now);
    assert_int_equal(next_by(l), first);
    l->link = first;
    lab_run(l, 200 * SEC);
    lab_forget(l);
    lab_end(l);
}

/* The same in TIME_WAIT. */
static void nor_is_it_in_time_wait(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_link_info info = {.mtu = 1500};
    int first = l->link, second = tern_link_add(l->t, &info);
    l->link = second;
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1\n"
            "accept\n"
            "close\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "= TIME_WAIT");
    assert_int_equal(lab_live(l).timewait, 1);
    assert_int_equal(tern_link_remove(l->t, second), 0);
    tern_tick(l->t, l->now);
    assert_int_equal(tern_link_add(l->t, &info), second);
    l->link = first;
    give(l, "FA 1 ack 2");
    assert_int_equal(next_by(l), first);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(challenges_tell_nothing_of_others),
        LAB_TEST(a_cookie_with_another_stamp_is_none),
        LAB_TEST(a_cookie_does_not_pass_a_deferring_listener),
        LAB_TEST(a_late_cookie_counts_beside_a_record),
        LAB_TEST(rubbish_keeps_nobody_from_waking),
        LAB_TEST(a_forced_rest_renews_no_ration),
        LAB_TEST(a_later_link_of_that_number_is_another),
        LAB_TEST(nor_is_it_in_time_wait),
    };
    return LAB_MAIN(tests);
}
