/* Every edge of the state diagram is taken, by segments, calls and time: one test for each line of
 * src/tcp/state.def. An edge that nothing can take has no place there. */
#include <tern/net.h>

#include "lab/lab.h"

struct edge {
    enum tern_cause cause;
    enum tern_state from, to;
    const char *name;
};

static const struct edge edges[] = {
#define EDGE(cause, from, to) {TERN_C_##cause, TERN_##from, TERN_##to, #cause ": " #from " to " #to},
#include "tcp/state.def"
#undef EDGE
};

/* The place of lab_reach for a state. */
static enum lab_place place_of(enum tern_state s)
{
    static const enum lab_place places[TERN_STATES] = {
        [TERN_CLOSED] = LAB_CLOSED,           [TERN_LISTEN] = LAB_LISTEN,
        [TERN_SYN_SENT] = LAB_SYN_SENT,       [TERN_SYN_RCVD] = LAB_SYN_RCVD_ACTIVE,
        [TERN_ESTABLISHED] = LAB_ESTABLISHED, [TERN_FIN_WAIT_1] = LAB_FIN_WAIT_1,
        [TERN_FIN_WAIT_2] = LAB_FIN_WAIT_2,   [TERN_CLOSE_WAIT] = LAB_CLOSE_WAIT,
        [TERN_CLOSING] = LAB_CLOSING,         [TERN_LAST_ACK] = LAB_LAST_ACK,
        [TERN_TIME_WAIT] = LAB_TIME_WAIT,
    };
    return places[s];
}

static void reach(struct lab *l, enum tern_state s)
{
    lab_reach(l, place_of(s), true);
}

/* RCV.NXT and SND.NXT of such a connection, relative. */
static unsigned rcv_nxt(enum tern_state s)
{
    return s == TERN_CLOSE_WAIT || s == TERN_CLOSING || s == TERN_LAST_ACK ? 2 : 1;
}

static void set(struct lab *l, enum tern_option opt, uint32_t value)
{
    assert_int_equal(tern_setopt(l->t, l->flow[0].h, opt, value), 0);
}

/* A new SYN of the same peer, far above the old one; the handshake is ended when `whole`. */
static void new_incarnation(struct lab *l, bool whole)
{
    TALK(l, "listen\n"
            "+1s reborn 100000\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    if (whole)
        TALK(l, "< A 1 ack 1\naccept");
}

/* The only port is in TIME_WAIT, and old enough to be opened anew. */
static void only_port(struct lab *l)
{
    tern_handle h;
    lab_connect(l, "mss 1460,ts");
    TALK(l, "close\n"
            "> FA 1 ack 1\n"
            "< FA 1 ack 2\n"
            "> A 2 ack 2\n"
            "+2s = TIME_WAIT");
    assert_int_equal(tern_connect(l->t, NULL, &l->flow[0].peer, &h), 0);
    assert_int_equal(tern_abort(l->t, h), 0);
}

/* A second connection in TIME_WAIT, where one is the limit. */
static void one_too_many(struct lab *l)
{
    TALK(l, "close");
    l->flow[0].peer.port++;
    TALK(l, "reborn 0");
    lab_reach(l, LAB_TIME_WAIT_FREE, true);
}

/* A listener that answers SYNs with cookies. */
static void cookie(struct lab *l)
{
    TALK(l, "listen");
    l->tuned = true; /* the number in a cookie cannot be chosen by the time */
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS), 0);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1");
}

static void open_edges(struct lab *l, const struct edge *e)
{
    switch (e->cause) {
    case TERN_C_PASSIVE_OPEN: TALK(l, "listen"); break;
    case TERN_C_ACTIVE_OPEN: TALK(l, "connect"); break;
    case TERN_C_SYN_RCVD_LISTEN: lab_reach(l, LAB_SYN_RCVD_PASSIVE, false); break;
    case TERN_C_SYN_RCVD_TIME_WAIT:
        lab_reach(l, e->from == TERN_CLOSED ? LAB_TIME_WAIT_FREE : LAB_TIME_WAIT, true);
        new_incarnation(l, e->from == TERN_TIME_WAIT);
        break;
    case TERN_C_CLOSE_LISTEN: TALK(l, "listen\nunlisten"); break;
    case TERN_C_TIME_WAIT_REOPENED: only_port(l); break;
    case TERN_C_SYNACK_RCVD: lab_connect(l, "mss 1460"); break;
    case TERN_C_SYN_RCVD_SIMULTANEOUS: lab_reach(l, LAB_SYN_RCVD_ACTIVE, true); break;
    case TERN_C_REFUSED: TALK(l, "connect\n> S 0\n< RA 0 ack 1"); break;
    case TERN_C_CLOSE_SYN_SENT: TALK(l, "connect\n> S 0\nclose"); break;
    case TERN_C_SYN_ACKED: lab_accept(l, "mss 1460"); break;
    case TERN_C_COOKIE_ACKED: cookie(l); break;
    default: break;
    }
}

/* One more SYN than the backlog takes, to a listener that may send no cookies. */
static void evicted(struct lab *l)
{
    tern_endpoint any = {.port = 80};
    assert_int_equal(tern_listen(l->t, &any, 1, &l->listener), 0);
    assert_int_equal(tern_setopt(l->t, l->listener, TERN_OPT_COOKIES, TERN_COOKIES_NEVER), 0);
    TALK(l, "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "+1s > SA 0 ack 1\n"
            "1< S 0 win 65535 <mss 1460>\n"
            "1> SA 0 ack 1");
}

static bool is_decision(uint16_t cause)
{
    return cause == TERN_C_SYN_DEFERRED || cause == TERN_C_SYN_REJECTED || cause == TERN_C_SYN_IGNORED ||
           cause == TERN_C_SYN_UNDECIDED;
}

/* A SYN that waits for the program, and what it says. */
static void decided(struct lab *l, uint16_t cause)
{
    tern_endpoint any = {.port = 80};
    tern_syn syn;
    l->tuned = true;
    assert_int_equal(tern_listen_as(l->t, &any, 0, TERN_LISTEN_DEFER, &l->listener), 0);
    TALK(l, "< S 0 win 65535 <mss 1460>");
    assert_int_equal(tern_next_syn(l->t, l->listener, &syn), 0);
    if (cause == TERN_C_SYN_REJECTED)
        assert_int_equal(tern_syn_reject(l->t, syn.handle), 0);
    else if (cause == TERN_C_SYN_IGNORED)
        assert_int_equal(tern_syn_ignore(l->t, syn.handle), 0);
    else
        lab_run(l, 40 * SEC);
}

static void syn_rcvd_edges(struct lab *l, const struct edge *e)
{
    bool passive = e->cause == TERN_C_HALFOPEN_RESET || e->cause == TERN_C_HALFOPEN_SYN ||
                   e->cause == TERN_C_HALFOPEN_TIMEOUT || e->cause == TERN_C_LISTENER_GONE;
    if (e->cause == TERN_C_HALFOPEN_EVICTED)
        evicted(l);
    else if (e->cause != TERN_C_OLD_DUPLICATE_SYN)
        lab_reach(l, passive ? LAB_SYN_RCVD_PASSIVE : LAB_SYN_RCVD_ACTIVE, !passive);
    switch (e->cause) {
    case TERN_C_REFUSED_SYN_RCVD:
    case TERN_C_HALFOPEN_RESET: TALK(l, "< R 1"); break;
    case TERN_C_HALFOPEN_SYN: TALK(l, "< S 10"); break;
    case TERN_C_HALFOPEN_TIMEOUT: lab_run(l, 200 * SEC); break;
    case TERN_C_LISTENER_GONE: TALK(l, "unlisten"); break;
    case TERN_C_OLD_DUPLICATE_SYN:
        lab_reach(l, LAB_TIME_WAIT_FREE, true);
        new_incarnation(l, false);
        TALK(l, "< R 1");
        break;
    case TERN_C_CLOSE: TALK(l, "close"); break;
    case TERN_C_SHUTDOWN: TALK(l, "shutdown"); break;
    default: break;
    }
}

/* The orderly way. */
static void closing_edges(struct lab *l, const struct edge *e)
{
    switch (e->cause) {
    case TERN_C_CLOSE: TALK(l, "close"); break;
    case TERN_C_SHUTDOWN: TALK(l, "shutdown"); break;
    case TERN_C_FIN_RCVD: TALK(l, "< FA 1 ack 1"); break;
    case TERN_C_FIN_ACKED: TALK(l, "< A 1 ack 2"); break;
    case TERN_C_FIN_CROSSED: TALK(l, "< FA 1 ack 1"); break;
    case TERN_C_FIN_AND_ACK:
    case TERN_C_FIN_LAST: TALK(l, "< FA 1 ack 2"); break;
    case TERN_C_FIN_WAIT_2_TIMEOUT:
        TALK(l, "close");
        lab_run(l, 100 * SEC);
        break;
    case TERN_C_CLOSING_ACKED:
    case TERN_C_LAST_ACKED: TALK(l, "< A 2 ack 2"); break;
    case TERN_C_TIME_WAIT_OVER: lab_run(l, 61 * SEC); break;
    case TERN_C_TIME_WAIT_RECYCLED: one_too_many(l); break;
    default: break;
    }
}

/* What waits for an acknowledgment waits in vain. */
static void give_up(struct lab *l, const struct edge *e)
{
    if (e->cause == TERN_C_USER_TIMEOUT)
        set(l, TERN_OPT_USER_TIMEOUT_MS, 5000);
    if (e->from == TERN_ESTABLISHED || e->from == TERN_CLOSE_WAIT)
        TALK(l, "send 10");
    lab_run(l, 1200 * SEC);
}

static void ends(struct lab *l, const struct edge *e)
{
    switch (e->cause) {
    case TERN_C_RESET: TALKF(l, "< R %u", rcv_nxt(e->from)); break;
    case TERN_C_ABORT: TALK(l, "abort"); break;
    case TERN_C_USER_TIMEOUT:
    case TERN_C_SYN_RETRIES_USED_UP:
    case TERN_C_RETRIES_USED_UP: give_up(l, e); break;
    case TERN_C_KEEPALIVE_FAILED:
        set(l, TERN_OPT_KEEPALIVE, 1);
        set(l, TERN_OPT_KEEPIDLE_MS, 1000);
        set(l, TERN_OPT_KEEPINTVL_MS, 1000);
        lab_run(l, 30 * SEC);
        break;
    case TERN_C_ICMP_HARD:
        if (l->variant != NULL && l->variant->v6)
            lab_icmp(l, 0, 1, 4, 0, 0);
        else
            lab_icmp(l, 0, 3, 3, 0, 0);
        break;
    case TERN_C_CLOSE_LINGER0:
        set(l, TERN_OPT_LINGER0, 1);
        TALK(l, "close");
        break;
    default: break;
    }
}

/* Text that is left unread, or comes when nobody will read it. */
static void unread_edges(struct lab *l, const struct edge *e)
{
    if (e->cause == TERN_C_CLOSE_UNREAD && e->from == TERN_CLOSE_WAIT) {
        lab_connect(l, "mss 1460");
        TALK(l, "< FPA 1:11(10) ack 1");
    } else {
        reach(l, e->from);
    }
    const char *text = e->from == TERN_FIN_WAIT_2 ? "< PA 1:11(10) ack 2" : "< PA 1:11(10) ack 1";
    if (e->cause == TERN_C_DATA_AFTER_CLOSE)
        TALKF(l, "close\n%s", text);
    else
        TALKF(l, "%s\nclose", e->from == TERN_CLOSE_WAIT ? "+1ms forget" : text);
}

static void child_edges(struct lab *l, const struct edge *e)
{
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< A 1 ack 1");
    if (e->from == TERN_CLOSE_WAIT)
        TALK(l, "< FA 1 ack 1");
    TALK(l, "unlisten");
}

/* The address or the link of the connection goes. */
static void change_edges(struct lab *l, const struct edge *e)
{
    reach(l, e->from);
    if (e->cause == TERN_C_ADDR_REMOVED)
        assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
    else
        assert_int_equal(tern_link_remove(l->t, l->link), 0);
}

static bool is_change(const struct edge *e)
{
    return e->cause == TERN_C_ADDR_REMOVED || e->cause == TERN_C_LINK_REMOVED;
}

static void take(struct lab *l, const struct edge *e)
{
    bool unread = e->cause == TERN_C_CLOSE_UNREAD || e->cause == TERN_C_DATA_AFTER_CLOSE;
    open_edges(l, e);
    if (is_decision(e->cause)) {
        decided(l, e->cause);
        return;
    }
    if (is_change(e)) {
        change_edges(l, e);
    } else if (unread) {
        unread_edges(l, e);
    } else if (e->cause == TERN_C_LISTENER_GONE && e->from != TERN_SYN_RCVD) {
        child_edges(l, e);
    } else if (e->from == TERN_SYN_RCVD && e->cause != TERN_C_SYN_ACKED) {
        syn_rcvd_edges(l, e);
        ends(l, e);
    } else if (e->from >= TERN_ESTABLISHED && e->cause != TERN_C_SYN_RCVD_TIME_WAIT &&
               e->cause != TERN_C_TIME_WAIT_REOPENED) {
        reach(l, e->from);
        closing_edges(l, e);
        ends(l, e);
    } else if (e->from == TERN_SYN_SENT && e->to == TERN_CLOSED && lab_state(l, 0) == TERN_CLOSED &&
               e->cause != TERN_C_REFUSED && e->cause != TERN_C_CLOSE_SYN_SENT) {
        reach(l, e->from);
        ends(l, e);
    }
    lab_collect(l);
}

static bool taken(struct lab *l, const struct edge *e)
{
    tern_trace_record *all = calloc(1 << 16, sizeof *all);
    int n = tern_trace_take(l->t, all, 1 << 16, NULL);
    bool seen = false;
    for (int i = 0; i < n; i++)
        seen |= all[i].kind == TERN_TRACE_STATE && all[i].cause == e->cause && all[i].state == e->from &&
                all[i].state_to == e->to;
    free(all);
    return seen;
}

static void every_edge(void **state)
{
    unsigned missing = 0;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        struct lab_config cfg = {.stack = {.time_wait_max = 1},
                                 .link_local = edges[i].cause == TERN_C_LINK_REMOVED};
        if (edges[i].cause == TERN_C_TIME_WAIT_REOPENED)
            cfg.stack.port_low = cfg.stack.port_high = 50000;
        struct lab *l = lab_new(state, &cfg);
        take(l, &edges[i]);
        if (!taken(l, &edges[i])) {
            print_error("# not taken: %s\n", edges[i].name);
            missing++;
        }
        lab_forget(l);
        lab_end(l);
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {LAB_TEST(every_edge)};
    return LAB_MAIN(tests);
}
