/* scene_again.c - the same addresses and ports again: late SYNs, late data, and what TIME_WAIT lets
 * through. */
#include "scenes.h"

#define TO_TIME_WAIT_B TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED, TERN_FIN_WAIT_1, TERN_TIME_WAIT

enum { SECOND = 1000000 };

static uint16_t own_port(struct play *p)
{
    return (uint16_t)rng_range(&p->w.rng, 40000, 49999);
}

/* What the receiver said about the first copy that the path made; 0 = it took it or none arrived. */
static uint16_t refusal_of_copy(const struct play *p)
{
    for (uint32_t i = 0; i < p->w.wire.n; i++)
        if (p->w.wire.v[i].copy)
            return p->w.wire.v[i].refused;
    return 0;
}

static void duplicate_next(struct play *p, int from, uint8_t set, uint8_t clear, uint64_t later_us)
{
    path_fault(&p->w, (struct fault){.what = DUPLICATE,
                                     .from = from,
                                     .set = set,
                                     .clear = clear,
                                     .count = 1,
                                     .extra_us = later_us});
}

static void hold_next_syn(struct play *p, uint64_t later_us)
{
    path_fault(
        &p->w,
        (struct fault){.what = HOLD, .from = A, .set = SYN, .clear = ACK, .count = 1, .extra_us = later_us});
}

/* B, the server, closes first: TIME_WAIT is at B and A's port is free again. */
static bool server_closes_first(struct play *p, struct pair *c)
{
    return close_in_order(p, c->b, c->a);
}

/* --- old-syn --------------------------------------------------------------------------------- */

static void late_syn_to_listener(struct play *p)
{
    play_part(p, "listener", "a request of the past reaches a listener", NULL);
    uint16_t port = own_port(p);
    struct end *listener = prog_listen(&p->w, B, PORT, 0);
    hold_next_syn(p, 300000);
    struct end *past = prog_connect(&p->w, A, B, PORT, port);
    pass(p, 50000);
    prog_close(past);
    remark(p, A, "A's program gives up; its SYN is still somewhere in the network");
    pass(p, 50000);
    hold_next_syn(p, 600000);
    struct end *a = prog_connect(&p->w, A, B, PORT, port);
    remark(p, A, "and opens again, from the same port; the old SYN overtakes the new one");
    pass(p, 900000);
    struct end *b = prog_accept(listener);
    struct segment old = nth(p, A, SYN, 0, 0), answer = nth(p, B, SYN | ACK, 0, 0),
                   rst = nth(p, A, RST, 0, 0);
    promise(p, answer.ack == old.seq + 1, "B cannot know that the SYN is old: it answers SYN,ACK");
    promise(
        p, rst.seq == old.seq + 1 && count(p, A, RST, 0) == 1,
        "A can: the ACK is for nothing it has asked now. It answers RST with the very number that B expects");
    promise(p, b != NULL && prog_state(a) == TERN_ESTABLISHED,
            "B is back in LISTEN when the new SYN comes: the connection opens");
    promise(p, prog_accept(listener) == NULL, "of the old request B's program never heard");
    goes(p, a, TERN_CLOSED, TERN_SYN_SENT, TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED);
    if (b != NULL)
        goes(p, b, TERN_LISTEN, TERN_SYN_RCVD, TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED);
}

static void late_syn_to_time_wait(struct play *p)
{
    struct pair c;
    play_part(p, "time-wait", "a request of the past reaches TIME_WAIT", NULL);
    duplicate_next(p, A, SYN, ACK, 3 * SECOND);
    if (!open_pair(p, &c) || !server_closes_first(p, &c))
        return;
    settle(p);
    uint64_t since = p->w.now;
    uint32_t acks = count(p, B, ACK, SYN);
    remark(p, OUTSIDE, "a second copy of A's SYN arrives now");
    pass(p, 3 * SECOND);
    promise(p, count(p, B, ACK, SYN) == acks + 1 && count(p, B, SYN, 0) == 1,
            "B answers the old SYN with an ACK, not with SYN,ACK");
    promise(p, count(p, A, RST, 0) == 1, "A knows of no connection and answers RST");
    promise(p, prog_state(c.b) == TERN_TIME_WAIT, "TIME_WAIT is kept: RST does not end it (RFC 1337)");
    reaches(p, c.b, TERN_CLOSED);
    promise(p, p->w.now - since > 59 * SECOND && p->w.now - since <= 60 * SECOND + 20000,
            "and its 2 MSL are not lengthened");
    goes(p, c.b, TO_TIME_WAIT_B, TERN_CLOSED);
}

void scene_old_syn(struct play *p)
{
    late_syn_to_listener(p);
    late_syn_to_time_wait(p);
}

/* --- old-duplicate --------------------------------------------------------------------------- */

static void late_data(struct play *p, const struct world_setup *setup, const char *name, const char *title,
                      uint16_t cause)
{
    struct pair old, new;
    play_part(p, name, title, setup);
    uint16_t port = own_port(p);
    if (!open_pair_from(p, &old, NULL, port))
        return;
    duplicate_next(p, A, PSH, SYN, 2 * SECOND);
    prog_send(old.a, "byte of the past", 16);
    settle(p);
    prog_read(old.b);
    if (!server_closes_first(p, &old))
        return;
    settle(p);
    remark(p, A, "the same ports again: a new connection");
    if (!open_pair_from(p, &new, old.listener, port))
        return;
    prog_send(new.a, "first ", 6);
    pass(p, 2 * SECOND);
    prog_send(new.a, "second", 6);
    settle(p);
    prog_read(new.b);
    promise(p, refusal_of_copy(p) == cause, "B refuses the late segment: %s",
            tern_cause_text((enum tern_cause)cause));
    promise(p, new.b->n_in == 12 && same_bytes(p, new.a, new.b),
            "its bytes never reach the new connection's program");
}

static void beyond_two_msl(struct play *p)
{
    struct pair old, new;
    play_part(p, "2msl", "after 2 MSL there is nothing left that could come late", NULL);
    p->w.lifetime_us = 30 * SECOND;
    uint16_t port = own_port(p);
    if (!open_pair_from(p, &old, NULL, port))
        return;
    duplicate_next(p, A, PSH, SYN, 60 * SECOND);
    prog_send(old.a, "byte of the past", 16);
    settle(p);
    prog_read(old.b);
    if (!server_closes_first(p, &old) || !reaches(p, old.b, TERN_CLOSED))
        return;
    remark(p, A, "TIME_WAIT is over: the same ports again");
    if (!open_pair_from(p, &new, old.listener, port))
        return;
    prog_send(new.a, "new", 3);
    settle(p);
    prog_read(new.b);
    bool died = false;
    for (uint32_t i = 0; i < p->w.wire.n; i++)
        died |= p->w.wire.v[i].copy && p->w.wire.v[i].fate == LOST;
    promise(p, died, "a segment that the network kept longer than 1 MSL was discarded on its way");
    promise(p, new.b->n_in == 3 && same_bytes(p, new.a, new.b), "the new connection sees its own bytes only");
}

void scene_old_duplicate(struct play *p)
{
    struct world_setup plain = {.stack[A].no_timestamps = 1, .stack[B].no_timestamps = 1};
    late_data(p, NULL, "timestamps", "late data of an earlier connection: its timestamp gives it away",
              TERN_C_PAWS);
    late_data(p, &plain, "numbers", "the same without timestamps: its number gives it away", TERN_C_SEQ_OLD);
    beyond_two_msl(p);
}

/* --- port-reuse ------------------------------------------------------------------------------ */

static void local_open_refused(struct play *p)
{
    struct pair c;
    play_part(p, "local", "our own program opens the same pair of ports", NULL);
    uint16_t port = own_port(p);
    if (!open_pair_from(p, &c, NULL, port) || !close_in_order(p, c.a, c.b))
        return;
    settle(p);
    uint32_t before = p->w.wire.n;
    struct end *again = prog_connect(&p->w, A, B, PORT, port);
    remark(p, A, "A's program connects from the same port: refused");
    promise(p, again->result == -TERN_EADDRINUSE, "connect says at once that the address is in use");
    promise(p, p->w.wire.n == before && prog_state(c.a) == TERN_TIME_WAIT,
            "nothing is sent; TIME_WAIT stays");
    reaches(p, c.a, TERN_CLOSED);
    struct pair later;
    bool open = open_pair_from(p, &later, c.listener, port);
    promise(p, open, "after 2 MSL the same ports open again");
}

static void new_syn_accepted(struct play *p, const struct world_setup *setup, const char *name,
                             const char *title)
{
    struct pair old, new;
    play_part(p, name, title, setup);
    uint16_t port = own_port(p);
    if (!open_pair_from(p, &old, NULL, port) || !server_closes_first(p, &old))
        return;
    settle(p);
    pass(p, SECOND);
    remark(p, A, "A's program connects again from the same port; B still waits");
    if (!open_pair_from(p, &new, old.listener, port))
        return;
    struct segment first = nth(p, A, SYN, 0, 0), second = nth(p, A, SYN, 0, 1);
    promise(p, count(p, A, SYN, 0) == 2, "B accepts the new SYN at once: no retry, no wait");
    if (second.ts)
        promise(p, (int32_t)(second.ts_val - first.ts_val) > 0,
                "its timestamp is newer than the old connection's (RFC 6191)");
    else
        promise(p, (int32_t)(second.seq - nth(p, A, FIN, 0, 0).seq) > 0,
                "its number is beyond all that the old connection used (RFC 9293 3.6.1)");
    prog_send(new.a, "new", 3);
    settle(p);
    prog_read(new.b);
    promise(p, new.b->n_in == 3 && same_bytes(p, new.a, new.b), "the new connection works");
    goes(p, new.b, TO_TIME_WAIT_B, TERN_SYN_RCVD, TERN_ESTABLISHED);
}

static void old_syn_refused(struct play *p)
{
    struct pair c;
    play_part(p, "old", "the peer's SYN is an old one", NULL);
    duplicate_next(p, A, SYN, ACK, 2 * SECOND);
    if (!open_pair_from(p, &c, NULL, own_port(p)) || !server_closes_first(p, &c))
        return;
    pass(p, 3 * SECOND);
    promise(p, refusal_of_copy(p) == TERN_C_TIME_WAIT_OLD_SYN, "B refuses it: %s",
            tern_cause_text(TERN_C_TIME_WAIT_OLD_SYN));
    promise(p, count(p, B, SYN, 0) == 1 && prog_state(c.b) == TERN_TIME_WAIT,
            "an ACK is all it draws; TIME_WAIT is kept");
}

void scene_port_reuse(struct play *p)
{
    struct world_setup plain = {.stack[A].no_timestamps = 1, .stack[B].no_timestamps = 1};
    local_open_refused(p);
    new_syn_accepted(p, NULL, "newer", "the peer's new SYN has a newer timestamp");
    new_syn_accepted(p, &plain, "higher", "without timestamps: the peer's new SYN has a higher number");
    old_syn_refused(p);
}
