/* The budget of a stack and the order of giving up (docs/ARCHITECTURE.md, One block of memory): what arrived
 * out of order is refused first, then offers stop growing, then data in the window is dropped unacknowledged;
 * the byte at RCV.NXT and what lets connections end have room always. Who is refused waits and is told, in
 * turn.
 *
 * That no page is used beyond the budget is asserted after every verb of every test (tcp_check_all). Here the
 * figures of each step are looked at, and printed. */
#include "lab/lab.h"

#include "tcp/tcp.h"

/* A stack with so many pages of 4096 bytes behind its fixed part; the block is larger than the budget. */
static struct lab *lab_with(void **state, uint32_t pages)
{
    struct lab_config cfg = {.memory = 4u << 20};
    cfg.stack.budget = tern_min_size(NULL) + pages * 4096u;
    cfg.stack.send_buffer = 4u << 20;
    cfg.stack.rest_ms = UINT32_MAX;
    struct lab *l = lab_new(state, &cfg);
    assert_int_equal(l->t->a->pages_max, cfg.stack.budget / 4096);
    return l;
}

static uint32_t room(const struct lab *l, enum mem_prio prio) { return arena_room(l->t->a, prio); }

static void figures(struct lab *l, const char *when)
{
    tern_live v = lab_live(l);
    print_message(
        "# %s: %u of %u pages in use; room for out-of-order data %u, data %u, the edge %u, control %u\n",
        when, (uint32_t)((v.arena_used - v.arena_free) >> 12), l->t->a->pages_max, room(l, MEM_OOO),
        room(l, MEM_DATA), room(l, MEM_EDGE), room(l, MEM_CONTROL));
}

/* Connections 0..n - 1 by tern's listener, all quiet. */
static void open_many(struct lab *l, int n)
{
    TALK(l, "listen");
    for (int i = 0; i < n; i++)
        TALKF(l,
              "%d< S 0 win 65535 <mss 1460,sackOK,wscale 7>\n"
              "%d> SA 0 ack 1\n"
              "%d< A 1 ack 1 win 1000000\n"
              "%d accept",
              i, i, i, i);
    for (int i = 0; i < n; i++)
        lab_events(l, i);
    lab_run(l, 2 * SEC);
    assert_int_equal(l->t->a->promised, 0);
    lab_forget(l);
}

/* Connection i queues all that the stack has room for. */
static void fill_by_sending(struct lab *l, int i)
{
    while (lab_send(l, i, 100000, 0) > 0)
        lab_forget(l);
    lab_forget(l);
}

/* Islands of 100 bytes above RCV.NXT, until one is refused. */
static uint32_t fill_out_of_order(struct lab *l, int i)
{
    uint32_t n = 0;
    for (; l->last_rx.cause != TERN_C_OOO_LIMIT && n < 3000; n++) {
        TALKF(l, "%d< A %u:%u(100) ack 1", i, 2000 + 200 * n, 2100 + 200 * n);
        lab_forget(l);
    }
    return n - 1;
}

static void out_of_order_is_refused_first(void **state)
{
    struct lab *l = lab_with(state, 96);
    open_many(l, 3);
    figures(l, "at first");
    uint32_t islands = fill_out_of_order(l, 0);
    figures(l, "out-of-order data is refused");
    assert_true(islands > 20);
    assert_int_equal(room(l, MEM_OOO), 0);
    assert_true(room(l, MEM_DATA) >= 4); /* an eighth of the budget is left to the rest */
    TALK(l, "1< A 1:1001(1000) ack 1\n"
            "1+any > A 1 ack 1001\n"
            "1 recv 1000\n"
            "2 send 1000\n"
            "2> PA 1:1001(1000) ack 1\n"
            "0< A 1:1461(1460) ack 1\n" /* and the byte that is missing is taken */
            "0 recv 1460");
    assert_int_equal(l->last_rx.cause, TERN_CAUSE_NONE);
    lab_forget(l);
    lab_end(l);
}

/* MUST-26 (3.8.4): a connection that was closed in SYN_RCVD is opened by the ACK of its SYN, also when there
 * is no room for the text that comes along: it has its keepalive from then on. */
static void opened_without_room(void **state, bool in_order)
{
    struct lab *l = lab_with(state, 96);
    open_many(l, 2);
    TALK(l, "2 connect\n"
            "2> S 0\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> SA 0 ack 1\n"
            "2 opt keepalive 1\n"
            "2 send 8\n"
            "2 shutdown\n"
            "2= FIN_WAIT_1");
    if (in_order)
        fill_by_sending(l, 1);
    else
        fill_out_of_order(l, 0);
    TALK(l, in_order ? "2< A 1:9001(9000) ack 1 win 65535" : "2< A 2:12(10) ack 1 win 65535");
    assert_int_equal(l->last_rx.cause, in_order ? TERN_C_SHORT_OF_MEMORY : TERN_C_OOO_LIMIT);
    const struct tcb *c = NULL;
    for (ref_t r = 0; (c == NULL || c->h.state != TERN_FIN_WAIT_1) && pool_next(l->t->a, &l->t->w->tcbs, &r);)
        c = tcb_at(l->t, r);
    assert_true(c->snd.syn_acked && c->tm.keep_us > l->now);
    lab_forget(l);
    lab_end(l);
}

static void refused_text_opens_all_the_same(void **state)
{
    opened_without_room(state, false);
    opened_without_room(state, true);
}

static void offers_stop_growing(void **state)
{
    struct lab *l = lab_with(state, 200);
    open_many(l, 2);
    tern_info before, i;
    TALK(l, "0< A 1:1025(1024) ack 1\nforget\n0 recv 1024");
    assert_true(lab_info(l, 0, &before));
    fill_by_sending(l, 1);
    figures(l, "no room for data");
    uint32_t edge = l->flow[0].edge;
    for (uint32_t pos = 1025; pos < 60 * 1024; pos += 1024) { /* the audit sees to it that the edge never goes
                                                             back */
        TALKF(l, "0< A %u:%u(1024) ack 1\nforget\n0 recv 1024", pos, pos + 1024);
        /* rounded up to what can be said */
        assert_in_range(l->flow[0].edge - edge, 0, 1u << before.rcv_wscale);
    }
    assert_true(lab_info(l, 0, &i));
    assert_true(i.rcv_wnd < before.rcv_wnd);
    uint32_t all = l->flow[1].snd_max - l->flow[1].iss;
    TALKF(l, "1< A 1 ack %u", all); /* room again: so is the offer */
    lab_forget(l);
    while (lab_info(l, 1, &i) && i.send_unacked + i.send_queue > 0) {
        lab_run(l, 10 * MS);
        TALKF(l, "1< A 1 ack %u", l->flow[1].snd_max - l->flow[1].iss);
        lab_forget(l);
    }
    TALK(l, "0< A 61441:62441(1000) ack 1\nforget\n0 recv 1000");
    lab_run(l, 100 * MS);
    lab_forget(l);
    assert_true((int32_t)(l->flow[0].edge - edge) > 0);
    lab_end(l);
}

static void data_in_the_window_is_dropped_last(void **state)
{
    struct lab *l = lab_with(state, 96);
    open_many(l, 3);
    TALK(l, "0< A 1:3001(3000) ack 1\nforget");
    fill_by_sending(l, 1);
    figures(l, "no room for data");
    assert_int_equal(room(l, MEM_DATA), 0);
    assert_true(room(l, MEM_EDGE) > 0 && room(l, MEM_CONTROL) > room(l, MEM_EDGE));
    /* unread bytes are there, so these are not the byte at the edge: what fits into the last page is taken */
    TALK(l, "0< A 3001:9001(6000) ack 1");
    assert_int_equal(l->last_rx.cause, TERN_C_SHORT_OF_MEMORY);
    tern_info i;
    assert_true(lab_info(l, 0, &i));
    assert_true(i.recv_queue < 9000);
    lab_run(l, SEC);
    lab_forget(l);
    /* unacknowledged: the peer will send it again; the program reads, and it is taken bit by bit */
    TALKF(l, "0 recv %u", i.recv_queue);
    uint32_t pos = 1 + i.recv_queue;
    for (int tries = 0; pos < 9001 && tries < 10; tries++) {
        TALKF(l, "0< A %u:9001(%u) ack 1\nforget", pos, 9001 - pos);
        assert_true(lab_info(l, 0, &i));
        TALKF(l, "0 recv %u", i.recv_queue);
        pos += i.recv_queue;
    }
    assert_int_equal(pos, 9001);
    lab_end(l);
}

/* With no room for data at all: bytes at RCV.NXT, FIN both ways, RST, and the status calls. */
static void what_has_room_always(void **state)
{
    struct lab *l = lab_with(state, 96);
    tern_info i;
    uint64_t cursor = 0;
    int n = 0;
    open_many(l, 5);
    fill_by_sending(l, 4);
    figures(l, "no room for data");
    TALK(l, "0< A 1:1001(1000) ack 1\n"
            "0+any > A 1 ack 1001\n"
            "0 recv 1000\n"
            "0 send 10 -> EAGAIN\n"
            "0< FA 1001 ack 1\n"
            "0> A 1 ack 1002\n"
            "0 close\n"
            "0> FA 1 ack 1002\n"
            "0< A 1002 ack 2\n"
            "1 close\n"
            "1> FA 1 ack 1\n"
            "1< FA 1 ack 2\n"
            "1> A 2 ack 2\n"
            "2 abort\n"
            "2> R 1\n"
            "3< R 1");
    assert_true(lab_info(l, 4, &i));
    while (tern_walk(l->t, &cursor, &i) == 1)
        n++;
    assert_int_equal(n, 3); /* the listener, 3 with its reason, 4; 1 gave its record in TIME_WAIT to 4, which
                               waits */
    assert_int_equal(lab_stats(l).time_wait_recycled, 1);
    figures(l, "after two closes and two resets");
    l->flow[2].h.v = 0;
    lab_end(l);
}

/* --- who waits ---------------------------------------------------------------------------------------- */

/* Nobody who waits for memory has a timer; when pages come free each in front gets one, with the event, and
 * the send takes at least a byte though others ask in between. */
static void told_in_turn(void **state)
{
    struct lab *l = lab_with(state, 64);
    open_many(l, 9);
    fill_by_sending(l, 0);
    uint32_t timers = lab_live(l).timers;
    for (int i = 1; i < 9; i++)
        assert_int_equal(lab_send(l, i, 10, 0), -TERN_EAGAIN);
    assert_int_equal(lab_live(l).timers, timers);
    for (int i = 0; i < 9; i++)
        assert_int_equal(lab_events(l, i) & TERN_WRITABLE, 0);
    figures(l, "eight wait");
    /* three pages come free */
    TALKF(l, "0< A 1 ack %u", 1 + 3 * 4096);
    lab_forget(l);
    uint32_t told = l->t->a->promised;
    assert_in_range(told, 2, 4); /* 0 first: it has waited longest */
    figures(l, "some have been told");
    for (int i = 0; i < 9; i++)
        l->flow[i].events = 0;
    for (int i = 8; i >= 0; i--) { /* those who were not told get nothing: neither waiters, nor who comes
                                     anew */
        bool was_told = (uint32_t)i < told;
        assert_int_equal((lab_events(l, i) & TERN_WRITABLE) != 0, was_told);
        if (!was_told)
            assert_int_equal(lab_send(l, i, 10, 0), -TERN_EAGAIN);
    }
    for (int i = 0; i < (int)told; i++)
        assert_int_equal(lab_send(l, i, 10, 0), 10);
    assert_int_equal(l->t->a->promised, 0);
    lab_forget(l);
    lab_end(l);
}

/* Who was told and says nothing loses the page after a second, to the next; that has a deadline only while
 * somebody waits. */
static void what_is_kept_lapses(void **state)
{
    struct lab *l = lab_with(state, 64);
    open_many(l, 4);
    fill_by_sending(l, 0);
    for (int i = 1; i < 4; i++)
        assert_int_equal(lab_send(l, i, 10, 0), -TERN_EAGAIN);
    TALK(l, "0< A 1 ack 4097");
    lab_forget(l);
    uint64_t since = l->now;
    uint32_t told = l->t->a->promised;
    assert_in_range(told, 1, 2);
    for (int i = 0; i < 4; i++)
        l->flow[i].events = 0, lab_events(l, i);
    lab_run_until(l, since + SEC - 1, false);
    for (int i = (int)told; i < 4; i++)
        assert_int_equal(lab_events(l, i) & TERN_WRITABLE, 0);
    lab_run_until(l, since + SEC, false);
    assert_true(lab_events(l, (int)told) & TERN_WRITABLE);
    assert_int_equal(lab_send(l, (int)told, 10, 0), 10);
    lab_forget(l);
    lab_end(l);
}

/* After WRITABLE the next send takes at least one byte: whatever happens in between, of many connections in a
 * small stack, for a long time. */
static void writable_means_so(void **state)
{
    struct lab *l = lab_with(state, 40);
    uint32_t dice = 12345, told = 0, refused = 0;
    open_many(l, 10);
    for (int round = 0; round < 4000; round++) {
        dice = dice * 1664525 + 1013904223;
        int i = (int)(dice >> 16) % 10, other = (int)(dice >> 20) % 10;
        if ((dice >> 24) % 3 == 0) { /* the peer has all so far */
            TALKF(l, "%d< A %u ack %u", i, 1 + (uint32_t)l->flow[i].read,
                  l->flow[i].any_seen ? l->flow[i].snd_max - l->flow[i].iss : 1);
        } else if ((dice >> 24) % 3 == 1) { /* or says something, perhaps beyond a gap */
            uint32_t from = 1 + (uint32_t)l->flow[i].read + ((dice >> 28) % 2 ? 3000 : 0);
            TALKF(l, "%d< A %u:%u(700) ack %u", i, from, from + 700,
                  l->flow[i].any_seen ? l->flow[i].snd_max - l->flow[i].iss : 1);
        }
        lab_recv(l, i, 100000);
        for (int k = 0; k < 10; k++)
            if (lab_events(l, k) & TERN_WRITABLE) {
                int first = (k + 3) % 10; /* somebody else asks first */
                fill_by_sending(l, first);
                lab_events(l, first);
                assert_true(lab_send(l, k, 5000, 0) > 0);
                told++;
            }
        refused += lab_send(l, other, 20000, 0) == -TERN_EAGAIN;
        lab_events(l, other);
        lab_run(l, MS);
        lab_forget(l);
    }
    print_message("# told %u times, refused %u times\n", told, refused);
    assert_true(told > 500 && refused > 500);
    lab_end(l);
}

/* Records in TIME_WAIT give way before a send is refused, and those that come while one waits. */
static void time_wait_gives_way_to_a_send(void **state)
{
    struct lab *l = lab_with(state, 64);
    open_many(l, 7);
    for (int i = 1; i < 6; i++)
        TALKF(l, "%d close\n%d> FA 1 ack 1\n%d< FA 1 ack 2\n%d> A 2 ack 2", i, i, i, i);
    assert_int_equal(lab_live(l).timewait, 5);
    fill_by_sending(l, 0);
    assert_int_equal(lab_live(l).timewait, 0);
    assert_int_equal(lab_stats(l).time_wait_recycled, 5);
    TALK(l, "6 close\n6> FA 1 ack 1\n6< FA 1 ack 2\n6> A 2 ack 2");
    assert_int_equal(lab_live(l).timewait, 0);
    assert_int_equal(lab_stats(l).time_wait_recycled, 6);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(out_of_order_is_refused_first),
        LAB_TEST(refused_text_opens_all_the_same),
        LAB_TEST(offers_stop_growing),
        LAB_TEST(data_in_the_window_is_dropped_last),
        LAB_TEST(what_has_room_always),
        LAB_TEST(told_in_turn),
        LAB_TEST(what_is_kept_lapses),
        LAB_TEST(writable_means_so),
        LAB_TEST(time_wait_gives_way_to_a_send),
    };
    return LAB_MAIN(tests);
}
