/* scene_open.c - how a connection opens: three steps, data on the third, two SYNs that cross, one that never
 * completes. */
#include "scenes.h"

#include <stdio.h>
#include <string.h>

struct raw raw_client(struct play *p)
{
    struct rng *dice = &p->w.rng;
    struct raw r = {.p = p, .seq = (uint32_t)rng_next(dice)};
    r.local = (tern_endpoint){.ip = p->w.host[A].ip, .port = (uint16_t)rng_range(dice, 20000, 60000)};
    r.remote = (tern_endpoint){.ip = p->w.host[B].ip, .port = PORT};
    return r;
}

void raw_send(struct raw *r, uint8_t flags, const char *data)
{
    struct segment s = {
        .src = r->local,
        .dst = r->remote,
        .seq = r->seq,
        .ack = r->ack,
        .flags = flags,
        .window = 8192,
        .mss = flags & SYN ? 1220 : 0,
        .data = (const uint8_t *)data,
        .len = (uint32_t)strlen(data),
    };
    path_forge(&r->p->w, A, &s, r->p->w.delay_us[A]);
    r->seq += segment_space(&s);
}

/* --- handshake ------------------------------------------------------------------------------- */

static void three_steps(struct play *p)
{
    struct pair c;
    play_part(p, "", "three steps open a connection", NULL);
    if (!open_pair(p, &c))
        return;
    struct segment syn = nth(p, A, SYN, 0, 0), answer = nth(p, B, SYN | ACK, 0, 0),
                   third = nth(p, A, ACK, SYN, 0);
    promise(p, p->w.wire.n == 3, "three segments open the connection, no more");
    promise(p, syn.flags == SYN || syn.flags == (SYN | ECE | CWR),
            "first: A asks with SYN = 1, ACK = 0, seq = x");
    promise(p, syn.len == 0 && answer.ack == syn.seq + 1,
            "the SYN carries no data and yet takes one number: B answers ack = x + 1");
    promise(p, (answer.flags & (SYN | ACK)) == (SYN | ACK),
            "second: B answers with SYN = 1, ACK = 1, seq = y");
    promise(p, third.flags == ACK && third.seq == syn.seq + 1 && third.ack == answer.seq + 1,
            "third: A acknowledges with ACK = 1, seq = x + 1, ack = y + 1");
    promise(p, c.a->told & TERN_CONNECTED, "A's program is told that it is connected; B's accepts");
    goes(p, c.a, TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED);
    goes(p, c.b, TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED);
    line(p,
         "x = %u and y = %u are drawn by RFC 6528: a keyed hash of the addresses and ports, plus a clock, so "
         "that nobody can guess them and no segment of an earlier connection fits into this one.",
         syn.seq, answer.seq);
}

static void what_ack_counts_for(struct play *p)
{
    play_part(p, "ack-bit", "the ack field counts only when ACK = 1", &(struct world_setup){.raw[A] = true});
    struct end *listener = prog_listen(&p->w, B, PORT, 0);
    struct raw r = raw_client(p);
    remark(p, A, "A is a test program here: it writes its segments by hand");
    r.ack = 0x12345678;
    uint32_t x = r.seq;
    raw_send(&r, SYN, "");
    settle(p);
    struct segment answer = nth(p, B, SYN | ACK, 0, 0);
    promise(p, answer.ack == x + 1,
            "a SYN with ACK = 0 and something in its ack field is a SYN like any other");
    r.ack = answer.seq + 1;
    raw_send(&r, ACK, "");
    settle(p);
    struct end *b = prog_accept(listener);
    promise(p, b != NULL, "the connection opens");
    if (b == NULL)
        return;
    uint32_t before = count(p, B, 0, 0);
    raw_send(&r, PSH, "no ACK here");
    settle(p);
    promise(
        p, prog_read(b) == -TERN_EAGAIN && count(p, B, 0, 0) == before,
        "after the handshake a segment without ACK is dropped: no byte is delivered, nothing is answered");
    r.seq -= (uint32_t)strlen("no ACK here");
    raw_send(&r, PSH | ACK, "with ACK it counts");
    settle(p);
    promise(p, prog_read(b) == (long)strlen("with ACK it counts"),
            "the same place in the stream, now with ACK: delivered");
    goes(p, b, TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED);
}

void scene_handshake(struct play *p)
{
    three_steps(p);
    what_ack_counts_for(p);
}

/* --- data-on-ack ----------------------------------------------------------------------------- */

static void third_with_data(struct play *p)
{
    static const char request[] = "the third segment may carry data";
    play_part(p, "with", "the third segment carries data", NULL);
    struct end *listener = prog_listen(&p->w, B, PORT, 0);
    struct end *a = prog_connect(&p->w, A, B, PORT, 0);
    prog_send(a, request, sizeof request - 1);
    remark(p, A, "A's program has written already: the bytes wait for the SYN+ACK");
    settle(p);
    struct end *b = prog_accept(listener);
    struct segment syn = nth(p, A, SYN, 0, 0), answer = nth(p, B, SYN, 0, 0), third = nth(p, A, ACK, SYN, 0);
    promise(p, third.len == sizeof request - 1,
            "the third segment acknowledges the SYN and carries the data as well");
    promise(p, third.seq == syn.seq + 1 && third.ack == answer.seq + 1,
            "its first byte is number x + 1, its ack is y + 1");
    promise(p, b != NULL && prog_read(b) == (long)sizeof request - 1 && same_bytes(p, a, b),
            "B's program reads it");
    goes(p, a, TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED);
}

static void third_without_data(struct play *p)
{
    struct pair c;
    play_part(p, "without", "the third segment carries nothing", NULL);
    if (!open_pair(p, &c))
        return;
    pass(p, 500000);
    prog_send(c.a, "later", 5);
    settle(p);
    prog_read(c.b);
    struct segment syn = nth(p, A, SYN, 0, 0), third = nth(p, A, ACK, SYN, 0), data = nth(p, A, PSH, SYN, 0);
    promise(p, third.len == 0 && third.seq == syn.seq + 1, "the third segment is an ACK alone, seq = x + 1");
    promise(p, data.len == 5 && data.seq == third.seq,
            "it took no number: the first byte has seq = x + 1, too");
    promise(p, same_bytes(p, c.a, c.b) && c.b->n_in == 5, "B's program reads it");
}

void scene_data_on_ack(struct play *p)
{
    third_with_data(p);
    third_without_data(p);
}

/* --- simultaneous-open ----------------------------------------------------------------------- */

void scene_simultaneous_open(struct play *p)
{
    play_part(p, "", "SYN crosses SYN", NULL);
    uint16_t port[2] = {(uint16_t)rng_range(&p->w.rng, 5000, 5999),
                        (uint16_t)rng_range(&p->w.rng, 6000, 6999)};
    struct end *e[2];
    int first = p->w.first;
    e[first] = prog_connect(&p->w, first, !first, port[!first], port[first]);
    pass(p, rng_range(&p->w.rng, 0, 3500)); /* shorter than the shortest way */
    e[!first] = prog_connect(&p->w, !first, first, port[first], port[!first]);
    settle(p);
    for (int host = A; host <= B; host++) {
        struct segment syn = nth(p, host, SYN, ACK, 0), answer = nth(p, host, SYN | ACK, 0, 0);
        promise(p, answer.flags & SYN && answer.seq == syn.seq,
                "%s answers with SYN,ACK and its initial number again", p->w.host[host].name);
        promise(p, e[host]->told & TERN_CONNECTED, "%s's program is told that it is connected",
                p->w.host[host].name);
        goes(p, e[host], TERN_CLOSED, TERN_SYN_SENT, TERN_SYN_RCVD, TERN_ESTABLISHED);
    }
    prog_send(e[A], "to B", 4);
    prog_send(e[B], "to A", 4);
    settle(p);
    prog_read(e[A]);
    prog_read(e[B]);
    promise(p, same_bytes(p, e[A], e[B]) && same_bytes(p, e[B], e[A]),
            "one connection came of it, and carries data both ways");
}

/* --- syn-rcvd -------------------------------------------------------------------------------- */

static bool gaps_double(const struct play *p)
{
    for (uint32_t n = 2; n < 6; n++) {
        uint64_t gap = when_sent(p, B, SYN | ACK, 0, n) - when_sent(p, B, SYN | ACK, 0, n - 1);
        uint64_t before = when_sent(p, B, SYN | ACK, 0, n - 1) - when_sent(p, B, SYN | ACK, 0, n - 2);
        if (gap < before * 19 / 10 || gap > before * 21 / 10)
            return false;
    }
    return true;
}

void scene_syn_rcvd(struct play *p)
{
    play_part(p, "", "a client that withholds the last ACK", &(struct world_setup){.raw[A] = true});
    struct end *listener = prog_listen(&p->w, B, PORT, 0);
    struct raw r = raw_client(p);
    tern_info info = {0};
    raw_send(&r, SYN, "");
    remark(p, A, "A is a test client: it asks, and never sends the third segment");
    pass(p, 10000000);
    bool listed = prog_find(&p->w, B, &r.remote, &r.local, &info);
    promise(p, listed && info.state == TERN_SYN_RCVD, "B lists the connection: SYN_RCVD");
    promise(p, prog_accept(listener) == NULL, "its program has nothing to accept");
    line(p, "B after 10 s: port %u <- port %u  %s, since %.1f s", info.local.port, info.remote.port,
         tern_state_name((enum tern_state)info.state), (double)(p->w.now - info.state_since_us) / 1e6);
    pass(p, 100000000);
    promise(p, count(p, B, SYN | ACK, 0) == 6, "SYN,ACK is sent six times: once and five times again");
    promise(p, gaps_double(p), "each time it waits twice as long: 1, 2, 4, 8, 16 seconds");
    promise(p, !prog_find(&p->w, B, &r.remote, &r.local, &info), "then the half-open record goes");
    promise_nothing_left(p, B);
    r.ack = nth(p, B, SYN | ACK, 0, 0).seq + 1;
    raw_send(&r, ACK, "");
    settle(p);
    promise(p, count(p, B, RST, 0) == 1,
            "the ACK, a minute too late, draws RST: there is no such connection");
    promise(p, prog_state(listener) == TERN_LISTEN, "the listener was there all the time");
}
