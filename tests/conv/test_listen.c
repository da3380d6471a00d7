/* Ways to listen: any port, addresses that are not ours, SYNs that the program decides about; and the end of
 * a listener with very many children. */
#include "lab/lab.h"

static tern_handle listen_as(struct lab *l, const tern_ip *ip, uint16_t port, unsigned flags)
{
    tern_handle h;
    tern_endpoint at = {.port = port};
    if (ip != NULL)
        at.ip = *ip;
    assert_int_equal(tern_listen_as(l->t, &at, 0, flags, &h), 0);
    return h;
}

/* The listener that gets connection 0 to `port`, by its number of connections that wait. */
static bool gets(struct lab *l, tern_handle h, int flow, uint16_t port)
{
    tern_info info;
    tern_handle c;
    l->flow[flow].local.port = port;
    TALKF(l, "%d< S 0 win 65535 <mss 1460>\n%d> SA 0 ack 1\n%d< A 1 ack 1", flow, flow, flow);
    assert_int_equal(tern_get_info(l->t, h, &info), 0);
    if (info.acceptq == 0)
        return false;
    assert_int_equal(tern_accept(l->t, h, &c), 0);
    l->flow[flow].h = c;
    assert_int_equal(tern_get_info(l->t, c, &info), 0);
    assert_int_equal(info.local.port, port);
    assert_memory_equal(&info.local.ip, &l->flow[flow].local.ip, sizeof info.local.ip);
    return true;
}

/* A listener of one of our addresses hears nothing of what goes to another one. */
static void one_address(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_ip other = l->ip;
    other.b[15] ^= 0x40;
    assert_int_equal(tern_addr_add(l->t, l->link, &other, tern_ip_is4(&l->ip) ? 24 : 64), 0);
    tern_handle web = listen_as(l, &l->ip, 80, 0);
    l->flow[0].local = (tern_endpoint){.ip = other, .port = 80};
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> RA =0 ack 1");
    assert_true(gets(l, web, 1, 80));
    assert_int_equal(tern_close(l->t, web), 0);
    lab_end(l);
}

/* Port before any port, address before any address. */
static void most_specific(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_handle any = listen_as(l, NULL, 0, TERN_LISTEN_ANY_PORT);
    tern_handle ours = listen_as(l, &l->ip, 0, TERN_LISTEN_ANY_PORT);
    tern_handle web = listen_as(l, NULL, 80, 0);
    tern_handle exact = listen_as(l, &l->ip, 443, 0);
    assert_true(gets(l, ours, 0, 80 + 1));
    assert_true(gets(l, web, 1, 80));
    assert_true(gets(l, exact, 2, 443));
    assert_true(gets(l, ours, 3, 65535));
    assert_int_equal(tern_close(l->t, ours), 0);
    assert_true(gets(l, any, 4, 9999));
    assert_int_equal(tern_close(l->t, any), 0);
    assert_int_equal(tern_close(l->t, web), 0);
    assert_int_equal(tern_close(l->t, exact), 0);
    lab_collect(l);
    lab_forget(l);
    l->flow[6].local.port = 7777;
    TALK(l, "6< S 0 win 65535 <mss 1460>\n"
            "6> RA =0 ack 1");
    lab_forget(l);
    lab_end(l);
}

static void errors(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_handle h, other;
    tern_endpoint at = {.port = 80};
    tern_syn syn;
    assert_int_equal(tern_listen_as(l->t, &at, 0, TERN_LISTEN_ANY_PORT, &h), -TERN_EINVAL);
    assert_int_equal(tern_listen_as(l->t, &at, 0, 8, &h), -TERN_EINVAL);
    assert_int_equal(tern_listen_as(l->t, &at, (1u << 24) + 1, 0, &h), -TERN_EINVAL);
    assert_int_equal(tern_listen_as(l->t, &at, 1u << 24, 0, &h), 0);
    assert_int_equal(tern_listen_as(l->t, &at, 0, TERN_LISTEN_FOREIGN, &h), -TERN_EADDRINUSE);
    assert_int_equal(tern_next_syn(l->t, h, &syn), -TERN_EINVAL);
    at.port = 0;
    assert_int_equal(tern_listen_as(l->t, &at, 0, 0, &h), -TERN_EINVAL);
    at = (tern_endpoint){.ip = l->peer_ip, .port = 81};
    assert_int_equal(tern_listen_as(l->t, &at, 0, 0, &h), -TERN_EADDRNOTAVAIL);
    assert_int_equal(tern_listen_as(l->t, &at, 0, TERN_LISTEN_FOREIGN, &other), 0);
    at.ip = tern_ip4(224, 0, 0, 1);
    assert_int_equal(tern_listen_as(l->t, &at, 0, TERN_LISTEN_FOREIGN, &h), -TERN_EADDRNOTAVAIL);
    assert_int_equal(tern_syn_reject(l->t, (tern_handle){77}), -TERN_EBADF);
    assert_int_equal(tern_close(l->t, other), 0);
    assert_int_equal(tern_close(l->t, h), 0);
    lab_end(l);
}

static int verdict(struct lab *l, const char *line)
{
    uint8_t buf[2000];
    uint32_t len = lab_packet(l, line, buf);
    tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
    tern_rx(l->t, l->now, &p, 1);
    return p.verdict;
}

/* Other people's connections: to addresses that are not ours, at the ports that are listened at; all else
 * stays unclaimed; and what was accepted outlives its listener. */
static void foreign(void **state)
{
    struct lab *l = lab_new(state, NULL);
    l->tuned = true;
    struct lab_flow *f = &l->flow[0];
    f->local.ip.b[14] ^= 0x55; /* not ours */
    f->local.port = 443;
    assert_int_equal(verdict(l, "S 0 win 65535 <mss 1460>"), TERN_UNCLAIMED);
    tern_handle ours = listen_as(l, NULL, 443, 0);
    assert_int_equal(verdict(l, "S 0 win 65535 <mss 1460>"), TERN_UNCLAIMED);
    tern_handle h = listen_as(l, NULL, 0, TERN_LISTEN_ANY_PORT | TERN_LISTEN_FOREIGN), c;
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< PA 1:11(10) ack 1\n"
            "> A 1 ack 11");
    assert_int_equal(tern_accept(l->t, h, &c), 0);
    f->h = c;
    assert_int_equal(tern_close(l->t, h), 0);
    assert_int_equal(tern_close(l->t, ours), 0);
    TALK(l, "< PA 11:21(10) ack 1\n"
            "> A 1 ack 21\n"
            "recv 100 -> 20\n"
            "send 10\n"
            "> PA 1:11(10) ack 21\n"
            "< A 21 ack 11");
    f->peer.port++;
    assert_int_equal(verdict(l, "S 0 win 65535 <mss 1460>"), TERN_UNCLAIMED);
    f->peer.port--;
    TALK(l, "close\n"
            "> FA 11 ack 21\n"
            "< FA 21 ack 12\n"
            "> A 12 ack 22\n"
            "= TIME_WAIT\n"
            "< FA 21 ack 12\n"
            "> A 12 ack 22");
    lab_run(l, 70 * SEC);
    assert_int_equal(verdict(l, "FA 21 ack 12"), TERN_UNCLAIMED);
    lab_end(l);
}

/* ICMP about them is theirs too (RFC 9293 MUST-54). */
static void foreign_icmp(void **state)
{
    struct lab *l = lab_new(state, NULL);
    l->tuned = true;
    l->flow[0].local.ip.b[14] ^= 0x55;
    tern_handle h = listen_as(l, NULL, 0, TERN_LISTEN_ANY_PORT | TERN_LISTEN_FOREIGN), c;
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1");
    assert_int_equal(tern_accept(l->t, h, &c), 0);
    l->flow[0].h = c;
    TALK(l, "send 1400\n"
            "> PA 1:1401(1400) ack 1");
    if (tern_ip_is4(&l->ip))
        lab_icmp(l, 0, 3, 4, 1000, 1);
    else
        lab_icmp(l, 0, 2, 0, 1300, 1);
    assert_int_equal(lab_stats(l).icmp_errors_in, 1);
    assert_int_equal(tern_close(l->t, h), 0);
    lab_collect(l);
    lab_forget(l);
    lab_end(l);
}

static struct lab *deferring(void **state)
{
    struct lab *l = lab_new(state, NULL);
    l->tuned = true;
    l->listener = listen_as(l, NULL, 80, TERN_LISTEN_DEFER);
    return l;
}

static tern_syn next_syn(struct lab *l)
{
    tern_syn syn;
    tern_event ev;
    assert_int_equal(tern_events(l->t, &ev, 1), 1);
    assert_int_equal(ev.handle.v, l->listener.v);
    assert_int_equal(ev.bits, TERN_SYN_WAITS);
    assert_int_equal(tern_next_syn(l->t, l->listener, &syn), 0);
    return syn;
}

/* The program says yes: only then does the SYN+ACK leave. */
static void deferred_accept(void **state)
{
    struct lab *l = deferring(state);
    TALK(l, "< S 0 win 65535 <mss 1440,sackOK,ts,wscale 7>\n"
            "+1s < S 0 win 65535 <mss 1440,sackOK,ts,wscale 7>\n"
            "< A 1 ack 77\n"
            "> none");
    assert_int_equal(lab_live(l).halfopen, 1);
    uint64_t asked = l->now - SEC;
    tern_syn syn = next_syn(l), none;
    assert_in_range(syn.arrived_us - asked, 0, 3);
    assert_int_equal(syn.mss, 1440);
    assert_true(syn.sack && syn.wscale && syn.timestamps && !syn.ecn);
    assert_int_equal(syn.remote.port, l->flow[0].peer.port);
    assert_memory_equal(&syn.remote.ip, &l->peer_ip, sizeof l->peer_ip);
    assert_memory_equal(&syn.local.ip, &l->ip, sizeof l->ip);
    assert_int_equal(tern_next_syn(l->t, l->listener, &none), -TERN_EAGAIN);
    tern_info info;
    assert_int_equal(tern_get_info(l->t, syn.handle, &info), -TERN_EBADF); /* no connection yet */
    assert_int_equal(tern_syn_accept(l->t, syn.handle, 4711, &l->flow[0].h), 0);
    assert_int_equal(tern_syn_accept(l->t, syn.handle, 0, &none.handle), -TERN_EBADF);
    lab_collect(l);
    TALK(l, "= SYN_RCVD\n"
            "> SA 0 ack 1 <mss 1460,sackOK,ts,wscale *>\n"
            "+1s > SA 0 ack 1\n"
            "< PA 1:11(10) ack 1\n"
            "> A 1 ack 11\n"
            "= ESTABLISHED\n"
            "? snd_wscale 7\n"
            "recv 100 -> 10");
    assert_int_equal(tern_get_info(l->t, l->flow[0].h, &info), 0);
    assert_int_equal(info.data, 4711);
    assert_true(lab_events(l, 0) & TERN_CONNECTED);
    assert_int_equal(lab_stats(l).syns_deferred, 1);
    lab_end(l);
}

/* The program closes before the peer's ACK has come: what it has queued is sent all the same, in the window
 * that this ACK tells (SND.WL1 is not known before, RFC 9293 3.10.7.4 fifth). */
static void deferred_closed_early(void **state)
{
    struct lab *l = deferring(state);
    TALK(l, "< S 0 win 65535 <mss 1460>");
    tern_syn syn = next_syn(l);
    assert_int_equal(tern_syn_accept(l->t, syn.handle, 0, &l->flow[0].h), 0);
    lab_collect(l);
    TALK(l, "= SYN_RCVD\n"
            "> SA 0 ack 1\n"
            "send 3000\n"
            "shutdown\n"
            "= FIN_WAIT_1\n"
            "< A 1 ack 1 win 65535\n"
            "> A 1:1461(1460) ack 1\n"
            "> A 1461:2921(1460) ack 1\n"
            "> FPA 2921:3001(80) ack 1\n"
            "< FA 1 ack 3002\n"
            "> A 3002 ack 2");
    lab_end(l);
}

/* The program says no: as if nobody listened. Or nothing: the next try is a new SYN. */
static void deferred_refused(void **state)
{
    struct lab *l = deferring(state);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> none");
    assert_int_equal(tern_syn_reject(l->t, next_syn(l).handle), 0);
    lab_collect(l);
    TALK(l, "> RA =0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>");
    assert_int_equal(tern_syn_ignore(l->t, next_syn(l).handle), 0);
    TALK(l, "1> none\n"
            "+1s > none\n"
            "1< S 0 win 65535 <mss 1460>");
    assert_int_equal(tern_syn_reject(l->t, next_syn(l).handle), 0);
    lab_collect(l);
    TALK(l, "1> RA =0 ack 1");
    assert_int_equal(lab_live(l).halfopen, 0);
    lab_end(l);
}

/* The peer leaves, or time passes: the handle is stale, and nothing was sent. */
static void deferred_gone(void **state)
{
    struct lab *l = deferring(state);
    tern_handle h;
    TALK(l, "< S 0 win 65535 <mss 1460>");
    tern_syn syn = next_syn(l);
    TALK(l, "< R 9\n"
            "< R 1\n"
            "> none");
    assert_int_equal(tern_syn_accept(l->t, syn.handle, 0, &h), -TERN_EBADF);
    TALK(l, "1< S 0 win 65535 <mss 1460>");
    syn = next_syn(l);
    TALK(l, "+31s > none");
    assert_int_equal(tern_syn_accept(l->t, syn.handle, 0, &h), -TERN_EBADF);
    TALK(l, "2< S 0 win 65535 <mss 1460>\n"
            "+31s > none");
    assert_int_equal(tern_next_syn(l->t, l->listener, &syn), -TERN_EAGAIN);
    assert_int_equal(lab_live(l).halfopen + lab_live(l).timers, 0);
    lab_end(l);
}

/* As many as the backlog holds; more draw silence, never a cookie. Closing the listener refuses them. */
static void deferred_many(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80};
    l->tuned = true;
    assert_int_equal(tern_listen_as(l->t, &any, 2, TERN_LISTEN_DEFER, &l->listener), 0);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "> none");
    assert_int_equal(lab_live(l).halfopen, 2);
    assert_int_equal(l->last_rx.cause, TERN_C_BACKLOG_FULL);
    tern_syn syn = next_syn(l);
    TALK(l, "unlisten\n"
            "1> RA =0 ack 1\n"
            "> RA =0 ack 1");
    assert_int_equal(tern_syn_reject(l->t, syn.handle), -TERN_EBADF);
    lab_end(l);
}

/* A listener with very many half-open children ends in turns; whoever goes on meanwhile hears RST. */
static void end_of_many(void **state)
{
    enum { MANY = 5000 };
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = 80}, at = {.ip = l->ip, .port = 80};
    l->tuned = true;
    assert_int_equal(tern_listen(l->t, &any, 1u << 20, &l->listener), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t buf[128];
        struct segment s = {.seq = seq(i), .wnd = 1000, .flags = F_SYN};
        s.opt.wscale = WSCALE_NONE;
        l->flow[0].peer.port = (uint16_t)(1000 + i);
        uint32_t len = lab_build(l, 0, &s, buf);
        tern_rx_packet p = {.data = buf, .len = len, .link = (uint8_t)l->link};
        tern_rx(l->t, l->now, &p, 1);
    }
    lab_collect(l);
    lab_forget(l);
    assert_int_equal(lab_live(l).halfopen, MANY);
    assert_int_equal(tern_close(l->t, l->listener), 0);
    assert_int_equal(tern_close(l->t, l->listener), -TERN_EBADF);
    uint32_t left = lab_live(l).halfopen;
    assert_in_range(left, 1, MANY - 1);
    assert_int_equal(tern_listen(l->t, &at, 0, &l->listener), 0); /* the port is free at once */
    uint8_t buf[128];
    uint32_t len = lab_packet(l, "A 1 ack 1", buf); /* of the last, which was not come to yet */
    lab_forget(l);
    lab_rx(l, buf, len);
    assert_int_equal(lab_live(l).halfopen, left - 1);
    lab_run(l, SEC);
    lab_forget(l);
    assert_int_equal(lab_live(l).halfopen, 0);
    assert_int_equal(lab_live(l).listeners, 1);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(most_specific), LAB_TEST(one_address),    LAB_TEST(errors),        LAB_TEST(foreign),
        LAB_TEST(foreign_icmp),     LAB_TEST(deferred_accept), LAB_TEST(deferred_refused),
        LAB_TEST(deferred_gone),    LAB_TEST(deferred_closed_early),
          LAB_TEST(deferred_many), LAB_TEST(end_of_many),
    };
    return LAB_MAIN(tests);
}
