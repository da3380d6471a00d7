/* scene_close.c - how a connection closes: four steps, three, and both sides at once. */
#include "scenes.h"

#define TO_ESTABLISHED_A TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED
#define TO_ESTABLISHED_B TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED

/* --- close ----------------------------------------------------------------------------------- */

/* B's first ACK of A's FIN. */
static struct segment ack_of_fin(const struct play *p, uint32_t u)
{
    struct segment s = {0};
    uint32_t n = count(p, B, ACK, SYN);
    for (uint32_t i = 0; i < n && s.ack != u + 1; i++)
        s = nth(p, B, ACK, SYN, i);
    return s;
}

/* The numbers of the four steps: FIN seq = u; ACK seq = v; FIN seq = w; ACK seq = u + 1. */
static void promise_four_steps(struct play *p, uint32_t in_between)
{
    struct segment fin = nth(p, A, FIN, 0, 0), last = nth(p, B, FIN, 0, 0), ack = ack_of_fin(p, fin.seq);
    struct segment end = nth(p, A, ACK, SYN, count(p, A, ACK, SYN) - 1);
    promise(p, fin.seq == nth(p, A, SYN, 0, 0).seq + 1 + 5,
            "first: FIN, seq = u, the number behind the last byte that A sent");
    promise(p, ack.ack == fin.seq + 1 && !(ack.flags & FIN),
            "second: ACK, seq = v, ack = u + 1: the FIN took one number");
    promise(p, last.seq == ack.seq + in_between && last.ack == fin.seq + 1,
            "third: FIN,ACK, seq = w = v + %u, ack = u + 1", in_between);
    promise(p, end.seq == fin.seq + 1 && end.ack == last.seq + 1, "fourth: ACK, seq = u + 1, ack = w + 1");
}

static void four_steps(struct play *p, uint32_t in_between)
{
    struct pair c;
    if (!open_pair(p, &c))
        return;
    prog_send(c.a, "hello", 5);
    settle(p);
    prog_read(c.b);
    remark(p, A, "A's program closes");
    prog_shutdown(c.a);
    if (!reaches(p, c.a, TERN_FIN_WAIT_2))
        return;
    uint64_t arrival = when_sent(p, A, FIN, 0, 0) + p->w.delay_us[A];
    promise(p, c.b->told & TERN_PEER_CLOSED && c.b->told_us[4] == arrival,
            "B's program is told at once that A has closed");
    pass(p, 200000);
    if (in_between) {
        prog_send_stream(c.b, in_between);
        settle(p);
    }
    remark(p, B, "B's program closes");
    prog_read(c.b);
    prog_close(c.b);
    settle(p);
    prog_read(c.a);
    promise_four_steps(p, in_between);
    promise(p, c.a->eof && c.a->n_in == in_between,
            "A's program has read all that B sent, and the end of the stream");
    promise(p, prog_state(c.b) == TERN_CLOSED && prog_state(c.a) == TERN_TIME_WAIT,
            "B, who closed last, is CLOSED; A, who closed first, waits in TIME_WAIT");
    prog_close(c.a);
    reaches(p, c.a, TERN_CLOSED);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
    promise_nothing_left(p, A);
    promise_nothing_left(p, B);
}

void scene_close(struct play *p)
{
    play_part(p, "w=v", "four steps; B sends nothing in between", NULL);
    four_steps(p, 0);
    play_part(p, "w>v", "four steps; B still sends 300 bytes in between", NULL);
    four_steps(p, 300);
}

bool close_in_order(struct play *p, struct end *first, struct end *last)
{
    prog_read(first);
    prog_close(first);
    if (!hears(p, last, TERN_PEER_CLOSED))
        return false;
    prog_read(last);
    prog_close(last);
    return reaches(p, last, TERN_CLOSED) && reaches(p, first, TERN_TIME_WAIT);
}

/* --- three-step-close ------------------------------------------------------------------------ */

void scene_three_step_close(struct play *p)
{
    struct pair c;
    play_part(p, "", "ACK and FIN in one segment", NULL);
    if (!open_pair(p, &c))
        return;
    uint32_t before = p->w.wire.n;
    remark(p, A, "A's program closes");
    prog_close(c.a);
    if (!hears(p, c.b, TERN_PEER_CLOSED))
        return;
    remark(p, B, "B's program has nothing left to send and closes at once");
    prog_close(c.b);
    settle(p);
    struct segment fin = nth(p, A, FIN, 0, 0), both = nth(p, B, FIN, 0, 0);
    promise(p, p->w.wire.n == before + 3, "three segments close the connection");
    promise(p, (both.flags & (FIN | ACK)) == (FIN | ACK) && both.ack == fin.seq + 1,
            "the second and the third step are one segment: FIN,ACK with ack = u + 1");
    reaches(p, c.a, TERN_CLOSED);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}

/* --- simultaneous-close ---------------------------------------------------------------------- */

/* Both programs close; the second before it can have heard of the first. The seed says who is first. */
static void close_both(struct play *p, struct pair *c)
{
    struct end *first = p->w.first == A ? c->a : c->b, *second = p->w.first == A ? c->b : c->a;
    prog_close(first);
    pass(p, rng_range(&p->w.rng, 0, 3500)); /* shorter than the shortest way */
    prog_close(second);
}

void scene_simultaneous_close(struct play *p)
{
    struct pair c;
    play_part(p, "", "FIN crosses FIN", NULL);
    if (!open_pair(p, &c))
        return;
    remark(p, OUTSIDE, "both programs close at nearly the same time");
    close_both(p, &c);
    settle(p);
    struct segment a = nth(p, A, FIN, 0, 0), b = nth(p, B, FIN, 0, 0);
    promise(p, a.ack == b.seq && b.ack == a.seq, "neither FIN acknowledges the other: they crossed");
    reaches(p, c.a, TERN_CLOSED);
    reaches(p, c.b, TERN_CLOSED);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_CLOSING, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_FIN_WAIT_1, TERN_CLOSING, TERN_TIME_WAIT, TERN_CLOSED);
    promise_nothing_left(p, A);
    promise_nothing_left(p, B);
}

/* --- closing-lost-ack ------------------------------------------------------------------------ */

static void lost_ack_then_fin(struct play *p)
{
    struct pair c;
    play_part(p, "a", "the ACK of our FIN is lost, then the peer's FIN comes", NULL);
    if (!open_pair(p, &c))
        return;
    lose_acks(p, B, 1, "lost");
    prog_close(c.a);
    if (!until_arrived(p, B, ACK, SYN | FIN))
        return;
    remark(p, B, "B's program closes before A repeats its FIN");
    prog_close(c.b);
    settle(p);
    promise(p, nth(p, B, FIN, 0, 0).ack == nth(p, A, FIN, 0, 0).seq + 1,
            "B's FIN acknowledges A's FIN: nothing is missing");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_TIME_WAIT);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}

static void lost_fin(struct play *p)
{
    struct pair c;
    play_part(p, "b", "our FIN is lost while the peer closes, too", NULL);
    if (!open_pair(p, &c))
        return;
    lose_next(p, A, FIN, 0, 1, "lost");
    prog_close(c.a);
    pass(p, rng_range(&p->w.rng, 0, 3500));
    prog_close(c.b);
    settle(p);
    promise(
        p, prog_state(c.a) == TERN_CLOSING && prog_state(c.b) == TERN_FIN_WAIT_2,
        "A is in CLOSING: its own FIN is still unacknowledged; B in FIN_WAIT_2 knows nothing of a crossing");
    reaches(p, c.a, TERN_TIME_WAIT);
    settle(p);
    promise(p, count(p, A, FIN, 0) == 2, "A repeats its FIN when the timer says that it was lost");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_CLOSING, TERN_TIME_WAIT);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_TIME_WAIT);
}

static void lost_ack_of_crossing(struct play *p)
{
    struct pair c;
    play_part(p, "c", "the FINs cross and the ACK of ours is lost", NULL);
    if (!open_pair(p, &c))
        return;
    lose_acks(p, B, 1, "lost");
    close_both(p, &c);
    settle(p);
    uint64_t since = p->w.now;
    promise(p, prog_state(c.a) == TERN_CLOSING && prog_state(c.b) == TERN_TIME_WAIT,
            "A waits in CLOSING for an ACK that was lost");
    reaches(p, c.a, TERN_TIME_WAIT);
    promise(p, count(p, A, FIN, 0) == 2 && p->w.now - since > 100000,
            "CLOSING lasts until A's FIN was repeated and B has answered from TIME_WAIT");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_CLOSING, TERN_TIME_WAIT);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_FIN_WAIT_1, TERN_CLOSING, TERN_TIME_WAIT);
}

void scene_closing_lost_ack(struct play *p)
{
    lost_ack_then_fin(p);
    lost_fin(p);
    lost_ack_of_crossing(p);
}
