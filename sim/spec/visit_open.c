/* visit_open.c - visitors who open connections: options, half-open records, queues that are full, cookies,
 * numbers (RFC 9293 3.5, 3.8.3, RFC 4987, RFC 6528). */
#include "visit.h"

#include <string.h>

enum { SYN_TRIES = 12, CROWD = 3 };

static const char *drawn_text(const struct stage *x)
{
    static _Thread_local char text[200];
    said_words(x, text, sizeof text);
    return text;
}

/* A SYN of any kind, then what may happen to a half-open record. */
void visit_handshake(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    o.mss = (uint16_t)DICE_OF(dice, 0, 1460, 536, 1000, 9000);
    o.wscale = (uint8_t)DICE_OF(dice, 0, 1, 8, 15, 16);
    tern_handle l;
    if (!visit_come(x) || (l = visit_listen(x, dice, 0)).v == 0 || !visit_syn(x, &o))
        return;
    struct segment synack = x->out[0].s;
    uint32_t again = 0;
    uint64_t most_us = x->config->rto_max_us != 0 ? x->config->rto_max_us : 120000000;
    switch (dice_below(dice, 4)) {
    case 0: /* nobody answers */
        for (uint64_t last = x->now, gap = 0; x->there && stage_fine(x) && again < 20;) {
            stage_next(x, 1000000 * VISIT_MS);
            if (x->n_out == 0)
                break;
            STAGE_HOLDS(x, x->out[0].s.flags == synack.flags && x->out[0].s.seq == synack.seq,
                        "a half-open connection says %s", drawn_text(x));
            STAGE_HOLDS(x, gap == 0 || x->now - last + gap / 4 >= 2 * gap || x->now - last >= most_us / 2,
                        "SYN+ACKs without back-off");
            STAGE_HOLDS(x, gap != 0 || x->now - last >= 900 * VISIT_MS, "a SYN+ACK is repeated too soon");
            gap = x->now - last;
            last = x->now;
            again++;
        }
        uint32_t most = x->config->synack_retries != 0 ? x->config->synack_retries : 5;
        STAGE_HOLDS(x, !x->there || x->hurried, "a half-open connection stays for ever");
        STAGE_HOLDS(x, again == most || x->hurried, "%u SYN+ACKs, and %u were asked for", again + 1,
                    most + 1);
        break;
    case 1: /* what an attacker repeats (RFC 5961 7) */
        for (int k = 0; k < 20 && stage_fine(x); k++) {
            struct segment s = stage_segment(x, ACK, 0);
            s.seq += 3000000;
            stage_put(x, &s);
            again += x->n_out;
        }
        STAGE_HOLDS(x, again > 0 && again < 20, "%u of 20 segments outside of the window are answered",
                    again);
        break;
    case 2:
        probe_segments(x, dice);
        break;
    default:
        if (visit_accept(x, l))
            probe_segments(x, dice);
        break;
    }
}

/* The stack calls, and nobody answers, or late, or another SYN. */
void visit_calls(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    if (!visit_come(x))
        return;
    x->local.port = (uint16_t)(3000 + dice_below(dice, 100));
    x->remote.port = (uint16_t)(7000 + dice_below(dice, 20000));
    stage_begin(x);
    if (tern_connect(x->t, &x->local, &x->remote, &x->h) < 0)
        return;
    uint64_t since = x->now;
    stage_end(x);
    if (x->n_out != 1)
        return;
    struct segment first = x->out[0].s;
    STAGE_HOLDS(x, (first.wscale != 0) == !x->config->no_wscale && first.ts == !x->config->no_timestamps &&
                       first.sack_ok == !x->config->no_sack && first.ts_ecr == 0,
                "the options of a SYN are not those of the configuration: %s", drawn_text(x));
    uint32_t tries = dice_below(dice, 4);
    for (uint32_t k = 0; k < tries && x->there; k++) {
        uint64_t from = x->now;
        stage_next(x, 400000 * VISIT_MS);
        uint64_t most = x->config->rto_max_us != 0 ? x->config->rto_max_us : 120000000;
        uint64_t wanted = (uint64_t)1000000 << k < most ? (uint64_t)1000000 << k : most, gap = x->now - from;
        if (!x->there || x->hurried || x->n_out == 0)
            return;
        STAGE_HOLDS(x, gap + 10 * VISIT_MS >= wanted && gap <= wanted + 100 * VISIT_MS,
                    "a SYN is repeated after %llu us, not %llu (RFC 6298 2.1)", (unsigned long long)gap,
                    (unsigned long long)wanted);
        STAGE_HOLDS(x, k < 1 || !(x->out[0].s.flags & ECE),
                    "a SYN asks for ECN again and again (RFC 3168 6.1.1.1)");
        STAGE_HOLDS(x, x->out[0].s.seq == first.seq, "a SYN is repeated with another number");
    }
    struct segment s = stage_segment(x, SYN | ACK, 0);
    s.mss = 1000;
    s.ts = o.ts && first.ts;
    s.ts_ecr = first.ts_val;
    s.seq = 12345;
    if (dice_below(dice, 3) == 0) {
        probe_segments(x, dice);
        return;
    }
    stage_put(x, &s);
    if (!stage_fine(x) || !x->there || x->i.state != TERN_ESTABLISHED || s.ts || tries == 0 ||
        (x->config->rto_max_us != 0 && x->config->rto_max_us < 3000000))
        return;
    STAGE_HOLDS(x, x->i.srtt_us == 0, "a round trip is measured of a SYN that was repeated (Karn)");
    STAGE_HOLDS(x, x->i.rto_us >= 2900000 && x->i.rto_us <= 3100000,
                "after a repeated SYN the timeout is %u us, not 3 s (RFC 6298 5.7)", x->i.rto_us);
    (void)since;
}

/* More than the queues hold. */
void visit_crowd(struct stage *x, struct rng *dice)
{
    tern_handle l;
    uint32_t answered = 0, opened = 0, open = dice_below(dice, 2);
    if (!visit_come(x) || (l = visit_listen(x, dice, CROWD)).v == 0)
        return;
    tern_setopt(x->t, l, TERN_OPT_COOKIES, TERN_COOKIES_NEVER);
    for (uint32_t k = 0; k < CROWD + 2 && stage_fine(x); k++) {
        x->remote.port++;
        x->remote.ip.b[15] = (uint8_t)(0xf0 + k);
        stage_look(x);
        struct segment s = stage_segment(x, SYN, 0);
        s.seq = 1000 * k;
        s.ts = false;
        stage_hand(x, &s);
        bool answer = x->n_out == 1 && x->out[0].s.flags == (SYN | ACK);
        answered += answer;
        STAGE_HOLDS(x, x->n_out == 0 || answer, "a full backlog draws %s", drawn_text(x));
        if (!answer || !open)
            continue;
        struct segment a = stage_segment(x, ACK, 0);
        stage_hand(x, &a);
        opened += x->there && x->i.state == TERN_ESTABLISHED;
    }
    STAGE_HOLDS(x, opened <= CROWD && answered - opened <= CROWD, "a backlog of %d has room for %u", CROWD,
                answered);
    STAGE_HOLDS(x, answered >= CROWD - 1 || x->blind, "a backlog of %d has room for %u only", CROWD,
                answered);
    uint32_t accepted = 0;
    tern_handle h;
    while (tern_accept(x->t, l, &h) == 0)
        accepted++;
    STAGE_HOLDS(x, accepted == opened, "%u connections are accepted, and %u were opened", accepted, opened);
}

/* A listener that keeps nothing (RFC 4987 3.6). */
void visit_cookie(struct stage *x, struct rng *dice)
{
    struct offer o = visit_offer(dice);
    tern_handle l, h;
    if (!visit_come(x) || (l = visit_listen(x, dice, dice_below(dice, 2) ? 1 : 0)).v == 0)
        return;
    tern_setopt(x->t, l, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS);
    x->odd_listener = true;
    struct segment s = stage_segment(x, SYN, 0);
    s.mss = o.mss;
    s.wscale = o.wscale;
    s.sack_ok = o.sack;
    s.ts = o.ts;
    s.seq = 5000;
    stage_hand(x, &s);
    if (x->n_out != 1 || x->out[0].s.flags != (SYN | ACK))
        return;
    struct segment synack = x->out[0].s;
    bool stamps = o.ts && !x->config->no_timestamps;
    STAGE_HOLDS(x, !x->there, "a cookie, and something is kept");
    STAGE_HOLDS(x, stamps || (!synack.wscale && !synack.sack_ok),
                "a cookie without timestamps agrees on options");
    uint64_t wait = DICE_OF(dice, 10, 70000, 500000);
    stage_pass(x, wait * VISIT_MS);
    uint32_t wrong = dice_below(dice, 4);
    struct segment a = stage_segment(x, ACK, 0);
    a.seq = s.seq + 1 + (wrong == 1);
    a.ack = (synack.seq + 1) ^ (wrong == 2 ? 0x10000000 : 0);
    a.ts = stamps;
    a.ts_ecr = synack.ts_val;
    stage_hand(x, &a);
    bool good = wrong != 1 && wrong != 2;
    bool opened = x->there && x->i.state == TERN_ESTABLISHED;
    STAGE_HOLDS(x, !opened || good, "an ACK that is no cookie opens a connection");
    STAGE_HOLDS(x, !opened || wait < 400000, "a cookie counts for %u s", (unsigned)(wait / 1000));
    STAGE_HOLDS(x, opened || !good || wait > 60000 || x->blind, "a cookie that comes back opens nothing");
    if (!opened)
        return;
    STAGE_HOLDS(x, x->i.mss <= o.mss, "a cookie makes %u of an MSS of %u", x->i.mss, o.mss);
    STAGE_HOLDS(x, x->i.snd_wscale == (synack.wscale && o.wscale ? o.wscale - 1 : 0),
                "a cookie forgets the shift");
    STAGE_HOLDS(x, tern_accept(x->t, l, &h) == 0, "nothing to accept, and a cookie has come back");
}

/* Numbers: each connection has its own, and they count time (RFC 6528 3, RFC 9293 MUST-8). */
void visit_again(struct stage *x, struct rng *dice)
{
    tern_handle a, b;
    tern_info i, k;
    if (!visit_come(x))
        return;
    x->local.port = (uint16_t)(3500 + dice_below(dice, 100));
    x->remote.port = (uint16_t)(7000 + dice_below(dice, 20000));
    tern_endpoint other = x->remote;
    other.port++;
    if (tern_connect(x->t, &x->local, &x->remote, &a) < 0 || tern_connect(x->t, &x->local, &other, &b) < 0 ||
        tern_get_info(x->t, a, &i) < 0 || tern_get_info(x->t, b, &k) < 0)
        return;
    STAGE_HOLDS(x, i.iss != k.iss, "two pairs of ports have the same initial number (RFC 6528 3)");
    STAGE_HOLDS(x, tern_connect(x->t, &x->local, &x->remote, &b) == -TERN_EADDRINUSE,
                "two connections of one pair (MUST-42)");
    tern_abort(x->t, a);
    stage_pass(x, 2000 * VISIT_MS);
    if (x->hurried || tern_connect(x->t, &x->local, &x->remote, &a) < 0 || tern_get_info(x->t, a, &k) < 0)
        return;
    int32_t went = ahead(k.iss, i.iss);
    STAGE_HOLDS(x, went >= 400000 && went <= 700000,
                "in two seconds the initial number goes on by %d (MUST-8)", went);
    tern_endpoint wrong = x->remote;
    wrong.ip = tern_ip4(255, 255, 255, 255);
    STAGE_HOLDS(x, tern_connect(x->t, NULL, &wrong, &b) < 0, "a connect to a broadcast address (MUST-46)");
    wrong.ip = tern_ip4(224, 0, 0, 1);
    STAGE_HOLDS(x, tern_connect(x->t, NULL, &wrong, &b) < 0, "a connect to a multicast address (MUST-46)");
    wrong = x->local;
    wrong.ip.b[15] ^= 0x80;
    STAGE_HOLDS(x, tern_connect(x->t, &wrong, &x->remote, &b) < 0,
                "a connect from an address that is not ours");
    if (tern_connect(x->t, NULL, &x->remote, &b) == 0 && tern_get_info(x->t, b, &k) == 0) {
        uint16_t low, high;
        tern_port_range(x->t, &low, &high);
        STAGE_HOLDS(x, k.local.port >= low && k.local.port <= high, "port %u is not in the range (RFC 6056)",
                    k.local.port);
    }
    tern_handle l, m;
    tern_endpoint at = {.ip = x->local.ip, .port = 3999, .zone = x->local.zone};
    if (tern_listen(x->t, &at, 0, &l) == 0)
        STAGE_HOLDS(x, tern_listen(x->t, &at, 0, &m) == -TERN_EADDRINUSE,
                    "two listeners at one place (3.10.1)");
}
