/* A connection at rest has given back its control block (src/tcp/idle.c), and nobody can tell: neither the
 * peer by what it gets, nor the program by what its calls return. Most tests here run everything twice, on a
 * stack whose connections rest and on its twin whose do not, and compare each byte that leaves, each result,
 * and the whole of tern_info. */
#include "lab/lab.h"

#include "tcp/tcp.h"

#include <limits.h>

#include <tern/lent.h>
#include <tern/net.h>

/* Where a connection can rest. */
static const struct {
    const char *name;
    enum tern_state state;
    uint32_t peer_fin, our_fin; /* numbers that FINs took */
} places[] = {
    {"ESTABLISHED", TERN_ESTABLISHED, 0, 0},
    {"CLOSE_WAIT", TERN_CLOSE_WAIT, 1, 0},
    {"FIN_WAIT_2", TERN_FIN_WAIT_2, 0, 1},
};

/* How it was opened. */
static const struct {
    const char *options;
    bool active;
    uint8_t ecn;
} kinds[] = {
    {"mss 1460", false, TERN_ECN_PASSIVE},
    {"mss 1460,sackOK,wscale 7", true, TERN_ECN_PASSIVE},
    {"mss 1200,sackOK,wscale 3,ts 900", false, TERN_ECN_PASSIVE},
    {"mss 1460,sackOK", true, TERN_ECN_ON},
};

struct twin {
    struct lab *l;
    int place, kind;
    uint32_t s, k; /* the next number of the peer, and of tern, relative */
};

static tern_info info_of(struct lab *l)
{
    tern_info i;
    memset(&i, 0, sizeof i);
    assert_true(lab_info(l, 0, &i));
    return i;
}

static bool asleep(struct lab *l) { return lab_live(l).asleep == 1; }

static struct tcb *tcb_of(struct lab *l)
{
    ref_t r = 0;
    assert_true(pool_next(l->t->a, &l->t->w->tcbs, &r));
    return tcb_at(l->t, r);
}

static void open_kind(struct lab *l, int kind)
{
    bool active = kinds[kind].active;
    if (active && kinds[kind].ecn == TERN_ECN_ON)
        TALKF(l, "connect\n> SEW 0\n< SAE 0 ack 1 win 65535 <%s>\n> A 1 ack 1", kinds[kind].options);
    else if (active)
        lab_connect(l, kinds[kind].options);
    else
        lab_accept(l, kinds[kind].options);
}

/* In its place, something said in both directions, all acknowledged, nothing to report. */
static void settle(struct twin *x)
{
    struct lab *l = x->l;
    uint8_t buf[8];
    open_kind(l, x->kind);
    TALK(l, "< PA 1:101(100) ack 1\n"
            "forget\n"
            "recv 100\n"
            "send 200\n"
            "+20ms < A 101 ack 201\n"
            "forget");
    if (places[x->place].peer_fin)
        TALK(l, "< FA 101 ack 201\nforget"), (void)!tern_recv(l->t, l->flow[0].h, buf, 1);
    if (places[x->place].our_fin)
        TALK(l, "shutdown\nforget\n+20ms < A 101 ack 202\nforget");
    x->s = 101 + places[x->place].peer_fin;
    x->k = 201 + places[x->place].our_fin;
    lab_events(l, 0);
    lab_run(l, 2 * SEC);
    lab_forget(l);
    assert_int_equal(lab_state(l, 0), places[x->place].state);
}

static void begin(void **state, struct twin *x, int place, int kind, bool rests)
{
    struct lab_config cfg = {.stack = {.rest_ms = rests ? 1 : UINT32_MAX, .ecn = kinds[kind].ecn},
                             .any_edge = true}; /* a second SYN confuses the audit of windows */
    *x = (struct twin){.l = lab_new(state, &cfg), .place = place, .kind = kind};
    settle(x);
    if (asleep(x->l) != rests)
        lab_fail(x->l, "%s, %s: %s", places[place].name, kinds[kind].options,
                 rests ? "it does not rest" : "it rests");
}

/* They may be told apart by `asleep` alone, and by the segment that told the window last: a rest does not
 * keep it, since any newer one will do. */
static void same_info(const tern_info *a, const tern_info *b)
{
    tern_info x = *a, y = *b;
    assert_true(x.asleep || !y.asleep);
    x.asleep = y.asleep = false;
    x.link = y.link;
    x.snd_wl1 = y.snd_wl1;
    x.snd_wl2 = y.snd_wl2;
    assert_memory_equal(&x, &y, sizeof x);
}

static void same_packets(const struct lab *a, const struct lab *b)
{
    assert_int_equal(a->n_outs, b->n_outs);
    for (size_t i = 0; i < a->n_outs; i++) {
        const struct lab_out *x = &a->outs[a->first_out + i], *y = &b->outs[b->first_out + i];
        assert_int_equal(x->t, y->t);
        assert_int_equal(x->len, y->len);
        assert_memory_equal(x->bytes, y->bytes, x->len);
    }
}

typedef long action(struct twin *x, int n);

static void grow(struct twin *x);
static long a_burst(struct twin *x, int n);

/* The same on both; false: there is no n-th. */
static bool on_twins(void **state, int place, int kind, action *act, int n)
{
    struct twin x[2];
    long result[2];
    tern_info i[2];
    memset(i, 0, sizeof i);
    for (int k = 0; k < 2; k++)
        begin(state, &x[k], place, kind, k == 0);
    for (int k = 0; k < 2 && act == a_burst; k++)
        grow(&x[k]);
    i[0] = info_of(x[0].l), i[1] = info_of(x[1].l);
    assert_true(i[0].asleep && !i[1].asleep);
    same_info(&i[0], &i[1]);
    for (int k = 0; k < 2; k++) {
        result[k] = act(&x[k], n);
        lab_run(x[k].l, 20 * SEC);
    }
    assert_int_equal(result[0], result[1]);
    same_packets(x[0].l, x[1].l);
    uint32_t bits[2] = {lab_events(x[0].l, 0), lab_events(x[1].l, 0)};
    assert_int_equal(bits[0], bits[1]);
    for (int k = 0; k < 2; k++) {
        memset(&i[k], 0, sizeof i[k]);
        lab_info(x[k].l, 0, &i[k]);
    }
    same_info(&i[0], &i[1]);
    for (int k = 0; k < 2; k++)
        lab_end(x[k].l);
    return result[0] != LONG_MIN;
}

static void all_places(void **state, action *act)
{
    for (size_t place = 0; place < ARRAY_LEN(places); place++)
        for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
            for (int n = 0; on_twins(state, (int)place, (int)kind, act, n); n++)
                continue;
}

/* --- segments --------------------------------------------------------------------------------------- */

/* Numbers: %1 the peer's next, %2 what it acknowledges; with an offset behind them. */
static const char *const segments[] = {
    "< PA %0:%10(10) ack ^0",           /* data in order */
    "< A %0 ack ^0",                    /* nothing new */
    "< A %0 ack ^0 win 30000",          /* another window */
    "< A %0 ack ^0 win 0",
    "< FA %0 ack ^0",                   /* FIN, */
    "< FPA %0:%10(10) ack ^0",          /* with data */
    "< R %0",                           /* RST at its place, */
    "< R %5",                           /* in the window, */
    "< R %-50",                         /* and below it (RFC 5961 3.2) */
    "< S %0 win 1000 <mss 500>",        /* SYN: challenged (RFC 5961 4.2) */
    "< SA %0 ack ^0",
    "< PA %-30:%-10(20) ack ^0",        /* old data */
    "< PA %-10:%20(30) ack ^0",         /* old and new */
    "< A %-1 ack ^0",                   /* a keepalive probe, */
    "< A %-1:%0(1) ack ^0",             /* of the other fashion */
    "< PA %40:%50(10) ack ^0",          /* a gap */
    "< PA %40:%50(10) ack ^0\n< PA %0:%40(40) ack ^0", /* that is filled */
    "< A %0 ack ^1",                    /* of what was not sent */
    "< A %0 ack ^-100",                 /* an old one */
    "< PA %0:%10(10) ack ^-100",
    "< PAU %0:%10(10) ack ^0 urg 5",
    "< AE %0 ack ^0",
    "< PA %0:%10(10) ack ^0 ce",
    "< PAW %0:%10(10) ack ^0 ect0",
    "< PA %0:%10(10) ack ^0 <nots>",    /* without the timestamp that was agreed */
    "< PA %0:%10(10) ack ^0 <ts 1>",  /* with one from long ago (RFC 7323 5.3) */
    "< - %0",
    "< PA %900000:%900010(10) ack ^0",  /* beyond the window, perhaps */
    "<+ PA %0:%10(10) ack ^0\n< FA %10 ack ^0", /* two in a batch */
    "<+ PA %0:%10(10) ack ^0\n< R %10",
};

/* Fill in the numbers. */
static void fill(const struct twin *x, const char *in, char *out)
{
    for (; *in; in++) {
        if (*in != '%' && *in != '^') {
            *out++ = *in;
            continue;
        }
        char *end;
        long offset = strtol(in + 1, &end, 10);
        out += sprintf(out, "%ld", (long)(*in == '%' ? x->s : x->k) + offset);
        in = end - 1;
    }
    *out = 0;
}

static long a_segment(struct twin *x, int n)
{
    char text[256];
    if ((size_t)n == ARRAY_LEN(segments))
        return LONG_MIN;
    fill(x, segments[n], text);
    lab_talk(x->l, __FILE__, __LINE__, text);
    return x->l->last_rx.verdict * 1000 + x->l->last_rx.cause;
}

static void every_segment(void **state) { all_places(state, a_segment); }

/* ICMP about a segment that was sent: the last byte, one in flight no more, and a number never sent. */
static long an_icmp(struct twin *x, int n)
{
    static const struct {
        uint8_t type4, code4, type6, code6;
        uint32_t rest;
    } kinds_of[] = {
        {ICMP_UNREACH, 1, ICMP6_UNREACH, 0, 0},
        {ICMP_UNREACH, 3, ICMP6_UNREACH, 4, 0},
        {ICMP_UNREACH, 4, ICMP6_TOO_BIG, 0, 1300},
    };
    struct lab *l = x->l;
    bool v4 = tern_ip_is4(&l->ip);
    int kind = n / 3;
    if ((size_t)kind == ARRAY_LEN(kinds_of))
        return LONG_MIN;
    const uint32_t at[] = {x->k - 1, x->k, 100000};
    lab_icmp(l, 0, v4 ? kinds_of[kind].type4 : kinds_of[kind].type6,
             v4 ? kinds_of[kind].code4 : kinds_of[kind].code6, kinds_of[kind].rest, at[n % 3]);
    return l->last_rx.verdict * 1000 + l->last_rx.cause;
}

static void every_icmp(void **state) { all_places(state, an_icmp); }

/* --- calls ------------------------------------------------------------------------------------------ */

static long an_option(struct lab *l, int opt)
{
    static const uint32_t values[] = {
        [TERN_OPT_NODELAY] = 1,         [TERN_OPT_QUICKACK] = 1,         [TERN_OPT_KEEPALIVE] = 1,
        [TERN_OPT_KEEPIDLE_MS] = 3000,  [TERN_OPT_KEEPINTVL_MS] = 2000,  [TERN_OPT_KEEPCNT] = 3,
        [TERN_OPT_USER_TIMEOUT_MS] = 9, [TERN_OPT_LINGER0] = 1,          [TERN_OPT_SEND_BUFFER] = 2000,
        [TERN_OPT_RECV_BUFFER] = 9000,  [TERN_OPT_DSCP] = 46,            [TERN_OPT_TTL] = 7,
        [TERN_OPT_ECN] = TERN_ECN_OFF,  [TERN_OPT_REPORTS] = 0,          [TERN_OPT_MAX_SEG] = 500,
    };
    uint32_t before = 0, after = 0;
    tern_handle h = l->flow[0].h;
    int a = tern_getopt(l->t, h, (enum tern_option)opt, &before);
    int b = tern_setopt(l->t, h, (enum tern_option)opt, values[opt]);
    int c = tern_getopt(l->t, h, (enum tern_option)opt, &after);
    lab_collect(l);
    long sent = lab_send(l, 0, 700, 0); /* it shows */
    return a + b * 10 + c * 100 + (long)before * 7 + (long)after * 3 + sent * 11;
}

static long a_close(struct lab *l, int (*call)(tern *, tern_handle))
{
    long r = call(l->t, l->flow[0].h);
    l->flow[0].h.v = 0;
    lab_collect(l);
    return r;
}

static long a_refusal(struct lab *l, int n)
{
    static uint8_t word[64];
    tern_handle h = l->flow[0].h;
    tern_slice slice;
    tern_chunk chunk;
    uint32_t v;
    int region = tern_region_add(l->t, word, sizeof word);
    for (uint32_t i = 0; i < sizeof word; i++)
        word[i] = lab_byte(false, l->flow[0].wrote + i);
    switch (n) {
    case 0: return tern_peek(l->t, h, &slice, 1);
    case 1: return tern_consume(l->t, h, 1);
    case 2: return tern_consume(l->t, h, 0);
    case 3: return tern_take(l->t, h, 10, &chunk);
    case 4: return tern_move(l->t, h, h, 10, 0);
    case 5: return tern_lend(l->t, h, region, 0, 64, 1, 0);
    case 6: return tern_lend(l->t, h, region, 0, 65, 1, 0);
    case 7: return tern_setopt(l->t, h, TERN_OPT_DSCP, 64);
    case 8: return tern_setopt(l->t, h, (enum tern_option)99, 0);
    case 9: return tern_getopt(l->t, h, (enum tern_option)99, &v);
    default: return LONG_MIN;
    }
}

static long a_call(struct twin *x, int n)
{
    struct lab *l = x->l;
    tern_handle h = l->flow[0].h;
    tern_tick(l->t, l->now);
    switch (n) {
    case 0: return lab_send(l, 0, 10, 0);
    case 1: return lab_send(l, 0, 100000, 0);
    case 2: return lab_send(l, 0, 10, TERN_MORE);
    case 3: return lab_send(l, 0, 10, TERN_URG);
    case 4: return lab_send(l, 0, 0, 0);
    case 5: return lab_recv(l, 0, 10);
    case 6: return tern_shutdown(l->t, h);
    case 7: return a_close(l, tern_close);
    case 8: return a_close(l, tern_abort);
    case 9: return tern_set_data(l->t, h, 77);
    default: break;
    }
    if (n - 10 <= TERN_OPT_MAX_SEG)
        return an_option(l, n - 10);
    long r = a_refusal(l, n - 11 - TERN_OPT_MAX_SEG);
    lab_collect(l);
    return r;
}

/* A congestion window that has grown: after the rest it is the restart window (RFC 5681 4.1), as it would be
 * awake. */
static long a_burst(struct twin *x, int n)
{
    struct lab *l = x->l;
    if (n == 1)
        return LONG_MIN;
    return lab_send(l, 0, 100000, 0);
}

static void grow(struct twin *x)
{
    struct lab *l = x->l;
    for (uint32_t i = 0, n = 9 * 1460; i < 3; i++) {
        TALKF(l, "send %u\nforget", n);
        x->k += n;
        lab_run(l, 20 * MS);
        TALKF(l, "forget\n< A %u ack %u\nforget", x->s, x->k);
    }
    assert_true(info_of(l).cwnd > 10 * 1460);
    lab_events(l, 0);
    lab_run(l, 2 * SEC);
}

static void every_call(void **state) { all_places(state, a_call); }

static void a_window_that_has_grown(void **state)
{
    for (int n = 0; on_twins(state, 0, 1, a_burst, n); n++)
        continue;
}

/* --- rest and time ---------------------------------------------------------------------------------- */

/* After the longer of rest_ms and the retransmission timeout without a segment; not sooner. */
static void when_it_rests(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 5000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    uint64_t last = l->now;
    lab_run_until(l, last + 5 * SEC - 1, false);
    assert_false(asleep(l));
    tern_info before = info_of(l);
    lab_run_until(l, last + 5 * SEC, false);
    assert_true(asleep(l));
    assert_int_equal(l->t->w->tcbs.live, 0);
    tern_info at_rest = info_of(l), walked;
    uint64_t cursor = 0;
    same_info(&at_rest, &before);
    assert_int_equal(tern_walk(l->t, &cursor, &walked), 1);
    assert_memory_equal(&walked, &at_rest, sizeof walked);
    assert_int_equal(tern_walk(l->t, &cursor, &walked), 0);
    assert_int_equal(lab_live(l).tcbs, 1);
    assert_int_equal(lab_live(l).timers, 0);
    assert_int_equal(lab_stats(l).rests, 1);
    TALK(l, "send 10\n> PA 1:11(10) ack 1");
    assert_false(asleep(l));
    assert_int_equal(lab_stats(l).wakes, 1);
    TALK(l, "+5s < A 1 ack 11\nforget");
    lab_events(l, 0);
    lab_run(l, 4900 * MS);
    assert_false(asleep(l));
    lab_end(l);
}

/* A timeout above rest_ms: a slow path is given its time. */
static void not_before_the_timeout(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1}};
    struct lab *l = lab_new(state, &cfg);
    TALK(l, "connect\n> S 0\n+900ms < SA 0 ack 1 win 65535 <mss 1460>\n> A 1 ack 1\nevents CONNECTED");
    uint32_t rto = info_of(l).rto_us;
    uint64_t last = l->now;
    assert_true(rto >= 900000);
    lab_run_until(l, last + rto, false);
    assert_false(asleep(l));
    lab_run_until(l, last + rto + 1, false);
    assert_true(asleep(l));
    lab_end(l);
}

/* What is not over keeps it awake: bytes unread, unsent or unacknowledged, an event that nobody has taken. */
static void what_keeps_it_awake(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    TALK(l, "< PA 1:11(10) ack 1\nforget");
    lab_events(l, 0);
    lab_run(l, 10 * SEC);
    assert_false(asleep(l)); /* unread */
    TALK(l, "forget\nrecv 10");
    lab_run(l, 10 * SEC);
    assert_true(asleep(l));
    TALK(l, "forget\n< PA 11:21(10) ack 1\nforget\nrecv 10");
    lab_run(l, 10 * SEC);
    assert_false(asleep(l)); /* READABLE was not taken */
    lab_events(l, 0);
    TALK(l, "< A 21 ack 1\nforget"); /* it is looked at when something happens */
    lab_run(l, 10 * SEC);
    assert_true(asleep(l));
    TALK(l, "send 10\nforget");
    lab_run(l, 100 * MS);
    assert_false(asleep(l)); /* unacknowledged */
    lab_forget(l);
    TALK(l, "< A 21 ack 11 win 0\nsend 10\nforget");
    lab_run(l, 60 * SEC);
    assert_false(asleep(l)); /* the window is shut and probed */
    lab_end(l);
}

/* Keepalive goes on through the rest: the probe leaves when it is due, and the verdict falls as if awake. */
static long keepalive(struct twin *x, int n)
{
    struct lab *l = x->l;
    if (n == 2)
        return LONG_MIN;
    TALK(l, "opt keepidle 5000\nopt keepintvl 2000\nopt keepcnt 3\nopt keepalive 1");
    lab_run(l, 3 * SEC);
    TALKF(l, "< A %u ack %u", x->s, x->k);
    lab_run(l, 5100 * MS);
    assert_int_equal(lab_pending(l), 1);
    if (n == 0)
        TALKF(l, "< A %u ack %u", x->s, x->k); /* it lives */
    lab_run(l, 20 * SEC);
    return 0;
}

static void keepalive_through_rest(void **state) { all_places(state, keepalive); }

/* RFC 7323 5.5: a timestamp older than 24 days says nothing, also when most of that time was a rest. */
static long after_days(struct twin *x, int n)
{
    static const uint64_t days[] = {1, 23, 25, 60};
    struct lab *l = x->l;
    if ((size_t)n == ARRAY_LEN(days))
        return LONG_MIN;
    lab_run(l, days[n] * 86400 * SEC);
    TALKF(l, "< PA %u:%u(10) ack %u <ts 901>", x->s, x->s + 10, x->k);
    return l->last_rx.cause;
}

static void timestamps_after_days(void **state)
{
    for (int n = 0; on_twins(state, 0, 2, after_days, n); n++)
        continue;
}

/* --- numbers ---------------------------------------------------------------------------------------- */

/* Byte counts beyond 4 GiB: the sequence numbers tell the low half. */
static void counts_beyond_4_gib(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    TALK(l, "< PA 1:101(100) ack 1\nforget\nrecv 100\nsend 200\n+20ms < A 101 ack 201\nforget");
    lab_events(l, 0);
    struct tcb *c = tcb_of(l);
    c->sum.sent += 7ull << 32;
    c->sum.acked += 5ull << 32;
    c->sum.received += 0xffffull << 32;
    tern_info before = info_of(l);
    lab_run(l, 3 * SEC);
    assert_true(asleep(l));
    tern_info at_rest = info_of(l);
    same_info(&at_rest, &before);
    TALK(l, "send 10\n> PA 201:211(10) ack 101\n< A 101 ack 211");
    assert_int_equal(info_of(l).bytes_acked, before.bytes_acked + 10);
    assert_int_equal(info_of(l).bytes_received, before.bytes_received);
    lab_end(l);
}

/* What does not fit stays awake, and is asked again only after the next segment. */
static void what_does_not_fit(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    TALK(l, "opt quickack 1\n+20ms < PA 1:2(1) ack 1\nforget\nrecv 1");
    lab_events(l, 0);
    struct tcb *c = tcb_of(l);
    uint32_t *const fields[] = {&c->sum.retransmits, &c->sum.fast_retransmits, &c->sum.timeouts,
                                &c->sum.dup_acks_in, &c->sum.ooo_in,           &c->sum.challenge_acks,
                                &c->sum.dsacks};
    uint32_t s = 2;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        *fields[i] = 65536;
        lab_run(l, 10 * SEC);
        assert_false(asleep(l));
        assert_true(c->restless);
        assert_false(wheel_armed(&c->h.timer)); /* it costs nothing until something happens */
        TALKF(l, "< PA %u:%u(1) ack 1\nforget\nrecv 1", s, s + 1), s++;
        assert_false(c->restless);
        lab_events(l, 0);
        *fields[i] = 65535;
        tern_info before = info_of(l);
        lab_run(l, 10 * SEC);
        assert_true(asleep(l));
        lab_forget(l);
        assert_int_equal(info_of(l).segs_in, before.segs_in);
        for (int twice = 0; twice < 2; twice++) /* else it would go back to rest */
            TALKF(l, "< PA %u:%u(1) ack 1\nforget\nrecv 1", s, s + 1), s++, lab_events(l, 0);
        c = tcb_of(l);
        assert_ptr_equal(&c->sum.retransmits, fields[0]); /* the same place again */
        *fields[i] = 0;
    }
    lab_end(l);
}

/* Also what only years, or a program's odd settings, make too large for the small record: each alone keeps
 * the connection awake, and without it, it rests. */
static void what_hardly_ever_fits(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    for (int i = 0; i < 17; i++) {
        TALKF(l, "+20ms < PA %d:%d(1) ack 1\nforget\nrecv 1", 1 + i, 2 + i);
        lab_events(l, 0);
        struct tcb *c = tcb_of(l), was = *c;
        switch (i) {
        case 0: c->sum.retransmitted = 1ull << 32; break;
        case 1: c->sum.sent = 1ull << 48; break;
        case 2: c->sum.acked += 1ull << 48; break;
        case 3: c->sum.received += 1ull << 48; break;
        case 4: c->sum.acked += 1; break; /* not what the sequence numbers say */
        case 5: c->sum.received += 1; break;
        case 6: c->h.opened_us |= 1ull << 48; break;
        case 7: c->ts.recent_us = (1ull << 32) * 1000000; break;
        case 8: c->history[0].t_us++; break; /* not a chain that ends in the present state */
        case 9: c->history[0].to = TERN_CLOSE_WAIT; break;
        case 10: c->snd.buffer--; break; /* smaller than the program has set: while memory was short */
        case 11: c->rcv.buffer--; break;
        case 12: c->rack.persist = 32; break;
        case 13: c->history[1].t_us |= 1ull << 48; break;
        case 14: c->ts.foreign = true; break; /* another machine's clock goes on */
        case 15: c->snd.no_ect = true; break;
        default: c->ack.quick = 16; break;
        }
        lab_run(l, 10 * SEC);
        assert_false(asleep(l));
        assert_true(c->restless);
        c->sum = was.sum, c->h.opened_us = was.h.opened_us, c->ts.recent_us = was.ts.recent_us;
        memcpy(c->history, was.history, sizeof was.history);
        c->snd.buffer = was.snd.buffer, c->rcv.buffer = was.rcv.buffer;
        c->rack.persist = was.rack.persist, c->ack.quick = was.ack.quick;
        c->ts.foreign = false, c->snd.no_ect = was.snd.no_ect;
    }
    TALK(l, "< PA 18:19(1) ack 1\nforget\nrecv 1");
    lab_events(l, 0);
    lab_run(l, 10 * SEC);
    assert_true(asleep(l));
    lab_end(l);
}

/* --- memory ----------------------------------------------------------------------------------------- */

/* With no memory at all a segment is dropped and counted, a call says so, and both work later. */
static void no_memory_to_wake(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    lab_run(l, 2 * SEC);
    assert_true(asleep(l));
    struct arena *a = l->t->a;
    tern_handle h = l->flow[0].h;
    uint32_t v;
    char buf[8];
    tern_info before = info_of(l);
    a->fail_after = 1, a->fail_more = UINT32_MAX;
    assert_int_equal(tern_send(l->t, h, "x", 1, 0), -TERN_ENOMEM);
    assert_int_equal(tern_recv(l->t, h, buf, 8), -TERN_ENOMEM);
    assert_int_equal(tern_shutdown(l->t, h), -TERN_ENOMEM);
    assert_int_equal(tern_setopt(l->t, h, TERN_OPT_TTL, 9), -TERN_ENOMEM);
    assert_int_equal(tern_getopt(l->t, h, TERN_OPT_TTL, &v), -TERN_ENOMEM);
    assert_int_equal(tern_set_data(l->t, h, 5), -TERN_ENOMEM);
    TALK(l, "< PA 1:11(10) ack 1\n> none");
    assert_int_equal(l->last_rx.cause, TERN_C_NO_MEMORY);
    assert_int_equal(lab_stats(l).dropped[TERN_C_NO_MEMORY], 1);
    assert_true(asleep(l));
    tern_info after = info_of(l); /* the status call always answers */
    assert_memory_equal(&before, &after, sizeof before);
    a->fail_after = a->fail_more = 0;
    TALK(l, "< PA 1:11(10) ack 1\n"
            "+any > A 1 ack 11\n"
            "recv 10\n"
            "send 5\n"
            "> PA 1:6(5) ack 11\n"
            "< A 11 ack 6");
    lab_end(l);
}

/* Letting go succeeds always; what is owed to the peer follows when there is memory. */
static void release_without_memory(void **state)
{
    for (int how = 0; how < 6; how++) {
        struct lab_config cfg = {.stack = {.rest_ms = 1000}};
        struct lab *l = lab_new(state, &cfg);
        lab_connect(l, "mss 1460");
        if (how >= 4)
            TALK(l, "opt linger0 1\nopt keepidle 100000\nopt keepalive 1");
        lab_run(l, 2 * SEC);
        assert_true(asleep(l));
        struct arena *a = l->t->a;
        tern_handle h = l->flow[0].h;
        a->fail_after = 1, a->fail_more = UINT32_MAX;
        assert_int_equal((how & 1 ? tern_abort : tern_close)(l->t, h), 0);
        assert_int_equal(tern_close(l->t, h), -TERN_EBADF);
        assert_int_equal(tern_send(l->t, h, "x", 1, 0), -TERN_EBADF);
        l->flow[0].h.v = 0;
        assert_false(info_of(l).held);
        lab_run(l, 5 * SEC);
        assert_int_equal(lab_pending(l), 0);
        a->fail_after = a->fail_more = 0;
        l->mark = l->now;
        if (how & 2)
            TALK(l, "< PA 1:11(10) ack 1"); /* a segment wakes it too */
        if (how == 0)
            TALK(l, "+0..1s > FA 1 ack 1\n< FA 1 ack 2\n> A 2 ack 2");
        else if (how == 2)
            TALK(l, "> R 1"); /* data that nobody will read */
        else
            TALK(l, "+0..1s > R 1");
        lab_run(l, SEC);
        lab_forget(l);
        assert_int_equal(lab_live(l).tcbs, 0);
        lab_end(l);
    }
}

/* Keepalive that finds no memory is asked again, a second later. */
static void keepalive_without_memory(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = 1000}};
    struct lab *l = lab_new(state, &cfg);
    lab_connect(l, "mss 1460");
    TALK(l, "opt keepidle 5000\nopt keepalive 1");
    lab_run(l, 2 * SEC);
    assert_true(asleep(l));
    struct arena *a = l->t->a;
    a->fail_after = 1, a->fail_more = UINT32_MAX;
    uint64_t refused = a->refused;
    lab_run(l, 13 * SEC);
    assert_int_equal(lab_pending(l), 0);
    assert_in_range(a->refused - refused, 5, 12);
    a->fail_after = a->fail_more = 0;
    l->mark = l->now;
    TALK(l, "+0..1s > A 0 ack 1");
    lab_end(l);
}

/* The address goes while it is at rest; with no memory to end it, it ends when it wakes. */
static void address_goes_at_rest(void **state)
{
    for (int short_of = 0; short_of < 2; short_of++) {
        struct lab_config cfg = {.stack = {.rest_ms = 1000}};
        struct lab *l = lab_new(state, &cfg);
        lab_connect(l, "mss 1460");
        lab_run(l, 2 * SEC);
        assert_true(asleep(l));
        l->t->a->fail_after = short_of, l->t->a->fail_more = short_of ? UINT32_MAX : 0;
        assert_int_equal(tern_addr_remove(l->t, l->link, &l->ip), 0);
        lab_collect(l);
        lab_run(l, SEC);
        assert_int_equal(asleep(l), short_of);
        l->t->a->fail_after = l->t->a->fail_more = 0;
        TALK(l, "send 1 -> EADDRNOTAVAIL\n= CLOSED\n> none");
        assert_int_equal(info_of(l).reason, TERN_C_ADDR_REMOVED);
        assert_true(lab_events(l, 0) & TERN_ENDED);
        lab_end(l);
    }
}

/* Memory is short: who is quiet is put to rest before a new connection is refused. */
static void pressed(void **state)
{
    struct lab_config cfg = {.stack = {.rest_ms = UINT32_MAX}, .memory = 256u << 10};
    struct lab *l = lab_new(state, &cfg);
    tern_handle h[4000];
    uint32_t n = 0;
    TALK(l, "listen");
    for (; n < ARRAY_LEN(h); n++) {
        l->flow[1] = (struct lab_flow){.local = l->flow[0].local, .peer = l->flow[0].peer, .win = 65535};
        l->flow[1].peer.port = (uint16_t)(1000 + n);
        lab_run(l, MS);
        TALK(l, "1< S 0 win 65535 <mss 1460>");
        if (lab_pending(l) == 0)
            break;
        TALK(l, "1< A 1 ack 1");
        if (tern_accept(l->t, l->listener, &h[n]) != 0)
            break;
        lab_forget(l);
        tern_event ev[8];
        while (tern_events(l->t, ev, 8) > 0)
            continue;
        lab_run(l, 10 * MS);
    }
    l->flow[1].h.v = 0;
    tern_live v = lab_live(l);
    uint32_t pages = (uint32_t)((v.arena_used - v.arena_free) >> l->t->a->page_shift);
    print_message("# %u connections in 256 KiB, %u of them at rest, %u of %u pages in use\n", n, v.asleep,
                  pages, l->t->a->pages_max);
    assert_true(v.asleep > n / 2);
    assert_true((uint64_t)(l->t->a->pages_max - 8) << l->t->a->page_shift > (uint64_t)n * 240);
    assert_true(n > 300); /* by control blocks alone: half of that */
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(tern_abort(l->t, h[i]), 0);
    lab_collect(l);
    lab_forget(l);
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(every_segment),
        LAB_TEST(every_icmp),
        LAB_TEST(every_call),
        LAB_TEST(a_window_that_has_grown),
        LAB_TEST(when_it_rests),
        LAB_TEST(not_before_the_timeout),
        LAB_TEST(what_keeps_it_awake),
        LAB_TEST(keepalive_through_rest),
        LAB_TEST(timestamps_after_days),
        LAB_TEST(counts_beyond_4_gib),
        LAB_TEST(what_does_not_fit),
        LAB_TEST(what_hardly_ever_fits),
        LAB_TEST(no_memory_to_wake),
        LAB_TEST(release_without_memory),
        LAB_TEST(keepalive_without_memory),
        LAB_TEST(address_goes_at_rest),
        LAB_TEST(pressed),
    };
    return LAB_MAIN(tests);
}
