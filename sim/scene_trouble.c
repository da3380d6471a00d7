/* scene_trouble.c - what goes wrong: resets, peers that vanish, programs that forget to close. */
#include "scenes.h"

#define TO_ESTABLISHED_A TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED
#define TO_ESTABLISHED_B TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED

enum { SECOND = 1000000 };

/* --- reset ----------------------------------------------------------------------------------- */

static void refused(struct play *p)
{
    play_part(p, "refused", "nobody listens there", NULL);
    struct end *a = prog_connect(&p->w, A, B, PORT, 0);
    settle(p);
    struct segment syn = nth(p, A, SYN, 0, 0), rst = nth(p, B, RST, 0, 0);
    promise(p, (rst.flags & (RST | ACK)) == (RST | ACK) && rst.seq == 0 && rst.ack == syn.seq + 1,
            "B answers RST,ACK with seq = 0, ack = x + 1");
    promise(p, a->error == -TERN_ECONNREFUSED && p->w.now < p->w.start_us + SECOND,
            "A's program is told \"refused\" one round trip later, not after minutes");
    goes(p, a, TERN_CLOSED, TERN_SYN_SENT, TERN_CLOSED);
}

static void aborted(struct play *p)
{
    struct pair c;
    play_part(p, "abort", "a program aborts", NULL);
    if (!open_pair(p, &c))
        return;
    prog_send(c.a, "half a sentence", 15);
    settle(p);
    remark(p, A, "A's program aborts");
    prog_abort(c.a);
    settle(p);
    struct segment rst = nth(p, A, RST, 0, 0);
    promise(p, rst.flags & RST && rst.seq == nth(p, A, SYN, 0, 0).seq + 16,
            "A sends RST with exactly the number that comes next");
    promise(p, c.b->error == -TERN_ECONNRESET, "B's program is told \"reset\"");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSED);
}

static void data_after_close(struct play *p)
{
    struct pair c;
    play_part(p, "data-after-close", "data for a program that has closed", NULL);
    if (!open_pair(p, &c))
        return;
    remark(p, A, "A's program closes both directions and is gone");
    prog_close(c.a);
    settle(p);
    prog_send(c.b, "are you there?", 14);
    settle(p);
    promise(p, count(p, A, RST, 0) == 1,
            "nobody can read this any more: A says so with RST (RFC 9293 3.6.1)");
    promise(p, c.b->error == -TERN_ECONNRESET, "B's program learns that its bytes did not arrive");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_CLOSED);
}

static void crashed_peer_hears_data(struct play *p)
{
    struct pair c;
    play_part(p, "crash", "the peer has crashed and come back: half-open", NULL);
    if (!open_pair(p, &c))
        return;
    world_crash(&p->w, B);
    remark(p, B, "B's machine crashes and comes back; it remembers nothing");
    pass(p, SECOND);
    promise(p, prog_state(c.a) == TERN_ESTABLISHED, "A still believes in the connection: it is half-open");
    prog_send(c.a, "still there?", 12);
    settle(p);
    promise(p, count(p, B, RST, 0) == 1 && nth(p, B, RST, 0, 0).seq == nth(p, A, PSH, 0, 0).ack,
            "the first data draws RST, with seq = the ack it carried");
    promise(p, c.a->error == -TERN_ECONNRESET, "A's program is told \"reset\"");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_CLOSED);
}

static void crashed_peer_opens_again(struct play *p)
{
    struct pair c;
    play_part(p, "reopen", "the peer has crashed and opens again from the same port", NULL);
    uint16_t port = (uint16_t)rng_range(&p->w.rng, 40000, 49999);
    if (!open_pair_from(p, &c, NULL, port))
        return;
    world_crash(&p->w, A);
    remark(p, A, "A's machine crashes and comes back; its program connects again");
    pass(p, SECOND);
    struct end *again = prog_connect(&p->w, A, B, PORT, port);
    settle(p);
    promise(p, count(p, B, SYN, 0) == 1,
            "B has that connection still: it challenges the SYN with an ACK (RFC 5961)");
    promise(p, count(p, A, RST, 0) == 1 && c.b->error == -TERN_ECONNRESET,
            "only the real A can answer with the right RST: B's old connection goes");
    hears(p, again, TERN_CONNECTED);
    settle(p);
    struct end *b = prog_accept(c.listener);
    promise(p, b != NULL && prog_state(b) == TERN_ESTABLISHED, "A's next SYN opens the new one");
}

void scene_reset(struct play *p)
{
    refused(p);
    aborted(p);
    data_after_close(p);
    crashed_peer_hears_data(p);
    crashed_peer_opens_again(p);
}

/* --- peer-gone ------------------------------------------------------------------------------- */

static void keepalive(struct play *p)
{
    struct pair c;
    play_part(p, "keepalive", "nothing to send: keepalive asks", NULL);
    if (!open_pair(p, &c))
        return;
    prog_setopt(c.a, TERN_OPT_KEEPIDLE_MS, 60000);
    prog_setopt(c.a, TERN_OPT_KEEPINTVL_MS, 10000);
    prog_setopt(c.a, TERN_OPT_KEEPCNT, 4);
    prog_setopt(c.a, TERN_OPT_KEEPALIVE, 1);
    pass(p, 150 * SECOND);
    promise(p, prog_state(c.a) == TERN_ESTABLISHED && count(p, A, ACK, SYN) >= 3,
            "while B is there it answers each probe");
    remark(p, OUTSIDE, "B's cable is pulled out");
    world_cut(&p->w, B, true);
    uint32_t before = count(p, A, ACK, SYN);
    hears(p, c.a, TERN_ENDED);
    promise(p, count(p, A, ACK, SYN) - before == 4, "A asks four times in vain, 10 seconds apart");
    promise(p, c.a->error == -TERN_ETIMEDOUT && c.a->reason == TERN_C_KEEPALIVE_FAILED,
            "then A's program is told: %s", tern_cause_text(TERN_C_KEEPALIVE_FAILED));
    goes(p, c.a, TO_ESTABLISHED_A, TERN_CLOSED);
}

static void user_timeout(struct play *p)
{
    struct pair c;
    play_part(p, "user-timeout", "something to send: the user timeout ends it", NULL);
    if (!open_pair(p, &c))
        return;
    prog_setopt(c.a, TERN_OPT_USER_TIMEOUT_MS, 20000);
    remark(p, OUTSIDE, "B's cable is pulled out");
    world_cut(&p->w, B, true);
    prog_send(c.a, "hello?", 6);
    uint64_t since = p->w.now;
    hears(p, c.a, TERN_ENDED);
    uint64_t after = p->w.now - since;
    promise(p, count(p, A, PSH, 0) >= 4, "A repeats the data, waiting twice as long each time");
    promise(p, after >= 20 * SECOND && after <= 40 * SECOND, "20 s were set; the end comes after %.1f s",
            (double)after / 1e6);
    promise(p, c.a->error == -TERN_ETIMEDOUT && c.a->reason == TERN_C_USER_TIMEOUT, "A's program is told: %s",
            tern_cause_text(TERN_C_USER_TIMEOUT));
    goes(p, c.a, TO_ESTABLISHED_A, TERN_CLOSED);
}

void scene_peer_gone(struct play *p)
{
    keepalive(p);
    user_timeout(p);
}
