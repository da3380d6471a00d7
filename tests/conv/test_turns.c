/* Very much at once: no call lasts long, what is too much for one turn is left for the next, and in the end
 * all of it is done; and numbers that are counted far beyond what a day can bring. */
#include "lab/lab.h"
#include "stack/stack.h"
#include "tcp/tcp.h"

enum { MANY = 2500, TURN = 1000 };

static struct lab *with_room(void **state, uint32_t how)
{
    struct lab_config cfg = {.stack = {.synack_retries = 1}};
    struct lab *l = lab_new(state, &cfg);
    tern_endpoint any = {.port = 80};
    l->tuned = true;
    assert_int_equal(tern_listen_as(l->t, &any, 1u << 20, how, &l->listener), 0);
    return l;
}

/* A segment without options, not followed by tern_tx. */
static tern_rx_packet give(struct lab *l, const struct lab_flow *f, uint8_t flags, uint32_t at, uint32_t ack)
{
    uint8_t buf[128];
    struct segment s = {.seq = seq(at), .ack = seq(ack), .wnd = 1000, .flags = flags};
    s.opt.wscale = WSCALE_NONE;
    l->flow[0].local = f->local;
    l->flow[0].peer = f->peer;
    uint32_t len = lab_build(l, 0, &s, buf);
    tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
    tern_rx(l->t, l->now, &p, 1);
    p.data = NULL;
    return p;
}

static void syns_from(struct lab *l, uint32_t first, uint32_t n)
{
    struct lab_flow f = l->flow[0];
    for (uint32_t i = 0; i < n; i++) {
        f.peer.port = (uint16_t)(first + i);
        give(l, &f, F_SYN, i, 0);
    }
}

static void syns(struct lab *l, uint32_t n) { syns_from(l, 1000, n); }

/* Call after call of tern_tick at this time: no more end in one than a turn allows, and it says that there is
 * more. */
static void end_in_turns(struct lab *l, uint64_t at)
{
    uint32_t left = lab_live(l).halfopen;
    for (l->now = at; left > 0;) {
        assert_true(tern_next_deadline(l->t) <= at + 10);
        tern_tick(l->t, l->now++);
        uint32_t now_left = lab_live(l).halfopen;
        assert_in_range(left - now_left, 1, TURN);
        left = now_left;
    }
}

/* Nobody answers: all time out at the same moment. */
static void time_out(void **state)
{
    struct lab *l = with_room(state, 0);
    syns(l, MANY);
    lab_collect(l);
    lab_run(l, 1500 * MS); /* SYN+ACK, and once more */
    assert_int_equal(lab_pending(l), 2 * MANY);
    lab_forget(l);
    assert_int_equal(lab_live(l).halfopen, MANY);
    end_in_turns(l, l->now + 3 * SEC);
    lab_run(l, SEC);
    assert_int_equal(lab_pending(l), 0);
    lab_end(l);
}

/* The program decides about none of them (RFC 9293 leaves it open for how long): no word is said. */
static void undecided(void **state)
{
    struct lab *l = with_room(state, TERN_LISTEN_DEFER);
    syns(l, MANY);
    lab_collect(l);
    assert_int_equal(lab_live(l).halfopen, MANY);
    end_in_turns(l, l->now + 31 * SEC);
    lab_run(l, SEC);
    assert_int_equal(lab_pending(l), 0);
    lab_end(l);
}

/* The same of those that it has looked at. */
static void looked_at_and_undecided(void **state)
{
    struct lab *l = with_room(state, TERN_LISTEN_DEFER);
    tern_syn syn;
    syns(l, MANY);
    lab_collect(l);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(tern_next_syn(l->t, l->listener, &syn), 0);
    assert_int_equal(tern_next_syn(l->t, l->listener, &syn), -TERN_EAGAIN);
    end_in_turns(l, l->now + 31 * SEC);
    lab_run(l, SEC);
    assert_int_equal(lab_pending(l), 0);
    assert_int_equal(tern_syn_accept(l->t, syn.handle, 0, &syn.handle), -TERN_EBADF);
    lab_end(l);
}

/* The machine has slept for an hour: all are stale. */
static void slept(void **state)
{
    struct lab *l = with_room(state, 0);
    syns(l, MANY);
    lab_collect(l);
    lab_forget(l);
    end_in_turns(l, l->now + 3600 * SEC);
    lab_run(l, SEC);
    assert_int_equal(lab_pending(l), 0);
    lab_end(l);
}

/* They wait for accept when their listener closes: each is reset (RFC 9293 3.10.5), so many in a turn. */
static void wait_for_accept(void **state)
{
    struct lab *l = with_room(state, 0);
    struct lab_flow f = l->flow[0];
    static uint32_t iss[MANY];
    syns(l, MANY);
    lab_collect(l);
    for (uint32_t i = 0; i < MANY; i++) {
        const struct lab_out *o = lab_next(l);
        assert_non_null(o);
        iss[o->seg.dst_port - 1000] = o->seg.seq.v;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        f.peer.port = (uint16_t)(1000 + i);
        give(l, &f, F_ACK, i + 1, iss[i] + 1);
    }
    tcp_check_all(l->t);
    assert_int_equal(lab_live(l).tcbs, MANY);
    assert_int_equal(tern_close(l->t, l->listener), 0);
    assert_int_equal(tern_close(l->t, l->listener), -TERN_EBADF);
    tern_tx_packet out[64];
    uint32_t resets = 0;
    for (int n; (n = tern_tx(l->t, l->now, out, 64)) > 0;)
        resets += (uint32_t)n;
    assert_int_equal(resets, TURN);
    assert_true(tern_next_deadline(l->t) <= l->now + 10);
    lab_run(l, SEC);
    assert_int_equal(lab_pending(l), MANY - TURN);
    for (const struct lab_out *o; (o = lab_next(l)) != NULL;)
        assert_true(o->seg.flags & F_RST);
    assert_int_equal(lab_live(l).tcbs, 0);
    l->listener.v = 0;
    lab_end(l);
}

/* An address is removed. Its records lie far behind, so that they are not come to in the same call; a SYN+ACK
 * of theirs that falls due meanwhile must not leave from an address that is somebody else's now. */
static void address_gone_meanwhile(void **state)
{
    enum { FIRST_TO = 6000, LATER_TO = 100 };
    struct lab *l = with_room(state, 0);
    tern_ip other = l->ip;
    other.b[15] = 77;
    assert_int_equal(tern_addr_add(l->t, l->link, &other, tern_ip_is4(&other) ? 24 : 64), 0);
    tern_ip first = l->ip;
    syns_from(l, 1000, FIRST_TO);
    l->flow[0].local.ip = other;
    syns_from(l, 1000, LATER_TO);
    lab_collect(l);
    lab_forget(l);
    l->now += SEC + 10;
    tern_tick(l->t, l->now); /* all are due */
    assert_int_equal(tern_addr_remove(l->t, l->link, &other), 0);
    assert_int_equal(lab_live(l).halfopen, FIRST_TO + LATER_TO);
    lab_collect(l);
    for (const struct lab_out *o; (o = lab_next(l)) != NULL;)
        assert_true(ip_eq(&o->ip.src, &first));
    assert_int_equal(lab_live(l).halfopen, FIRST_TO);
    lab_run(l, 10 * SEC);
    lab_forget(l);
    l->flow[0].local.ip = first;
    lab_end(l);
}

/* More of memory is asked for than all records in TIME_WAIT hold: so many are given up in one call as fill a
 * page of any size, and the rest stays for the next. */
static void give_up_in_turns(void **state)
{
    enum { WAIT = 5000 };
    struct lab_config cfg = {.stack = {.page_size = 1024}};
    const struct lab_variant *v = *state;
    cfg.memory = tern_min_size(&cfg.stack) + WAIT * (v->v6 ? 80u : 48u) + (70u << 10);
    struct lab *l = lab_new(state, &cfg);
    tern_endpoint any = {.port = 80};
    struct lab_flow f = l->flow[0];
    l->tuned = true;
    assert_int_equal(tern_listen(l->t, &any, 10, &l->listener), 0);
    for (uint32_t i = 0; i < WAIT; i++) {
        tern_handle h;
        f.peer.port = (uint16_t)(1000 + i);
        l->flow[0] = f;
        give(l, &f, F_SYN, i, 0);
        lab_collect(l);
        uint32_t iss = lab_next(l)->seg.seq.v;
        give(l, &f, F_ACK, i + 1, iss + 1);
        assert_int_equal(tern_accept(l->t, l->listener, &h), 0);
        assert_int_equal(tern_close(l->t, h), 0);
        lab_collect(l);
        lab_forget(l);
        give(l, &f, F_ACK | F_FIN, i + 1, iss + 2);
        lab_collect(l);
        lab_forget(l);
    }
    assert_int_equal(lab_live(l).timewait, WAIT);
    lab_connect_call(l, 1);
    static const uint8_t much[200000];
    uint64_t before = lab_stats(l).time_wait_recycled;
    assert_in_range(tern_send(l->t, l->flow[1].h, much, sizeof much, 0), 1, sizeof much);
    assert_in_range(lab_stats(l).time_wait_recycled - before, 1000, 2200); /* 2100, and those of one page */
    assert_int_equal(lab_live(l).timewait, WAIT - lab_stats(l).time_wait_recycled);
    lab_forget(l);
    lab_end(l);
}

/* The ring of answers is full: what more would be said is not, and is counted; whoever wants to hear it asks
 * again. Nothing else changes. */
static void no_room_for_answers(void **state)
{
    struct lab *l = with_room(state, 0);
    struct lab_flow f = l->flow[0], waits = f;
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "1 accept\n"
            "1 close\n"
            "1> FA 1 ack 1\n"
            "1< FA 1 ack 2\n"
            "1> A 2 ack 2\n"
            "+1s > SA 0 ack 1");
    struct lab_flow ended = l->flow[1];
    f = l->flow[0];
    tern_endpoint asks = {.port = 81};
    tern_handle deferred;
    tern_syn syn;
    assert_int_equal(tern_listen_as(l->t, &asks, 0, TERN_LISTEN_DEFER, &deferred), 0);
    waits.local.port = 81;
    give(l, &waits, F_SYN, 5, 0);
    assert_int_equal(tern_next_syn(l->t, deferred, &syn), 0);
    uint32_t room = tern_replies_room(l->t);
    struct lab_flow nobody = f;
    nobody.local.port = 4;
    for (uint32_t i = 0; i < room; i++)
        give(l, &nobody, F_ACK, 1, i);
    assert_int_equal(tern_replies_room(l->t), 0);
    uint64_t before = lab_stats(l).dropped[TERN_C_REPLIES_FULL], told = 0;
#define UNTOLD(what)                                                                        \
    do {                                                                                    \
        what;                                                                               \
        assert_int_equal(lab_stats(l).dropped[TERN_C_REPLIES_FULL], before + ++told);       \
    } while (0)
    UNTOLD(give(l, &nobody, F_ACK, 1, 1));                                  /* no connection: RST */
    UNTOLD(give(l, &f, F_SYN, f.peer_iss, 0));                              /* the same SYN: SYN+ACK */
    UNTOLD(give(l, &f, F_ACK, f.peer_iss + 1, f.iss + 9));                  /* a wrong ACK: RST */
    UNTOLD(give(l, &f, F_RST, f.peer_iss + 9, 0));                          /* a guess: challenge ACK */
    UNTOLD(give(l, &ended, F_ACK | F_FIN, ended.peer_iss + 1, ended.iss + 2)); /* its FIN again: ACK */
    UNTOLD(assert_int_equal(tern_syn_reject(l->t, syn.handle), 0));         /* RST of the program's */
    UNTOLD(assert_int_equal(tern_close(l->t, l->listener), 0));             /* RST for the half-open one */
#undef UNTOLD
    assert_int_equal(tern_close(l->t, deferred), 0);
    l->listener.v = 0;
    lab_collect(l);
    assert_int_equal(lab_pending(l), room);
    lab_forget(l);
    lab_end(l);
}

/* Very many pages in which nothing is to be looked at: a sweep walks over so many in a call, too. */
static void address_gone_far_away(void **state)
{
    enum { PIPES = 75 };
    struct lab_config cfg = {.stack = {.page_size = 1024, .send_buffer = 1u << 20}, .memory = 100u << 20};
    struct lab *l = lab_new(state, &cfg);
    tern_ip other = l->ip;
    other.b[15] = 77;
    assert_int_equal(tern_addr_add(l->t, l->link, &other, tern_ip_is4(&other) ? 24 : 64), 0);
    static uint8_t much[1u << 20];
    tern_handle full[PIPES], last;
    tern_endpoint to = {.ip = l->peer_ip, .port = 7}, from = {.ip = l->ip};
    for (int i = 0; i < PIPES; i++) {
        assert_int_equal(tern_connect(l->t, &from, &to, &full[i]), 0);
        assert_int_equal(tern_send(l->t, full[i], much, sizeof much, 0), sizeof much);
    }
    from.ip = other;
    assert_int_equal(tern_connect(l->t, &from, &to, &last), 0);
    lab_collect(l);
    lab_forget(l);
    tern_info info;
    assert_int_equal(tern_addr_remove(l->t, l->link, &other), 0);
    assert_int_equal(tern_get_info(l->t, last, &info), 0);
    tern_tick(l->t, ++l->now);
    tern_tick(l->t, ++l->now);
    assert_int_equal(tern_get_info(l->t, last, &info), 0);
    assert_int_equal(info.state, TERN_CLOSED);
    assert_int_equal(info.error, -TERN_EADDRNOTAVAIL);
    for (int i = 0; i < PIPES; i++)
        assert_int_equal(tern_abort(l->t, full[i]), 0);
    assert_int_equal(tern_close(l->t, last), 0);
    lab_collect(l);
    lab_forget(l);
    lab_end(l);
}

/* Connections are numbered with 64 bits. Small records keep half of it, and 0 is none: so one number is left
 * out, and who was opened before keeps its own (tern_info.id). */
static void numbers_beyond_32_bits(void **state)
{
    struct lab *l = with_room(state, 0);
    tern_info info;
    l->t->w->next_conn = UINT32_MAX - 1;
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1");
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.conn, UINT32_MAX);
    assert_true(lab_info(l, 1, &info));
    assert_int_equal(info.conn, 0x100000001);
    TALK(l, "< A 1 ack 1\n"
            "accept\n"
            "= ESTABLISHED");
    assert_true(lab_info(l, 0, &info));
    assert_int_equal(info.conn, UINT32_MAX);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(time_out),
        LAB_TEST(undecided),
        LAB_TEST(looked_at_and_undecided),
        LAB_TEST(slept),
        LAB_TEST(wait_for_accept),
        LAB_TEST(address_gone_meanwhile),
        LAB_TEST(give_up_in_turns),
        LAB_TEST(no_room_for_answers),
        LAB_TEST(address_gone_far_away),
        LAB_TEST(numbers_beyond_32_bits),
    };
    return LAB_MAIN(tests);
}
