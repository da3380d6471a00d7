/* scene_last.c - the end of the end: lost acknowledgments of FINs, and 2 MSL of waiting. */
#include "scenes.h"

#define TO_ESTABLISHED_A TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED
#define TO_ESTABLISHED_B TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED

enum { SECOND = 1000000, SLACK_US = 20000 };

static bool about(uint64_t is, uint64_t should_be)
{
    return is >= should_be && is <= should_be + SLACK_US;
}

/* --- lost-last-ack --------------------------------------------------------------------------- */

/* A closes, B closes; A's last ACK will be lost. A is in TIME_WAIT then. */
static bool close_and_lose(struct play *p, struct pair *c, uint32_t acks)
{
    prog_close(c->a);
    if (!reaches(p, c->a, TERN_FIN_WAIT_2))
        return false;
    lose_acks(p, A, acks, "the last ACK is lost");
    prog_read(c->b);
    prog_shutdown(c->b); /* B's program keeps its handle to see how it ends */
    return reaches(p, c->a, TERN_TIME_WAIT);
}

static void answered_again(struct play *p)
{
    struct pair c;
    play_part(p, "with", "TIME_WAIT answers the repeated FIN", NULL);
    if (!open_pair(p, &c) || !close_and_lose(p, &c, 1))
        return;
    uint64_t first = p->w.now;
    if (!reaches(p, c.b, TERN_CLOSED))
        return;
    uint64_t again = when_sent(p, B, FIN, 0, 1) + p->w.delay_us[B];
    promise(p, count(p, B, FIN, 0) == 2, "B in LAST_ACK hears nothing and repeats its FIN");
    promise(p, c.b->error == 0, "A acknowledges once more: B's program sees an orderly end");
    reaches(p, c.a, TERN_CLOSED);
    promise(p, about(p->w.now, again + 60 * SECOND),
            "A's 2 MSL began anew with the repeated FIN, %.1f s after the first",
            (double)(again - first) / 1e6);
    line(p, "B waited for its retransmission timeout, %.0f ms: not for 1 MSL, as one article has it.",
         (double)(when_sent(p, B, FIN, 0, 1) - when_sent(p, B, FIN, 0, 0)) / 1e3);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}

static void without_time_wait(struct play *p)
{
    struct pair c;
    play_part(p, "without", "the same, but A remembers nothing", NULL);
    if (!open_pair(p, &c) || !close_and_lose(p, &c, 1))
        return;
    pass(p, 1000);
    remark(p, A, "A forgets the connection: its machine starts anew, without TIME_WAIT");
    world_crash(&p->w, A);
    reaches(p, c.b, TERN_CLOSED);
    promise(p, count(p, A, RST, 0) == 1,
            "A does not know the connection and answers the repeated FIN with RST");
    promise(p, c.b->error == -TERN_ECONNRESET,
            "B's program is told \"reset\" where all had arrived: that is what TIME_WAIT spares it");
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}

void scene_lost_last_ack(struct play *p)
{
    answered_again(p);
    without_time_wait(p);
}

/* --- time-wait ------------------------------------------------------------------------------- */

static void wait_two_msl(struct play *p, uint64_t two_msl_us)
{
    struct pair c;
    if (!open_pair(p, &c))
        return;
    prog_close(c.a);
    if (!hears(p, c.b, TERN_PEER_CLOSED))
        return;
    prog_close(c.b);
    if (!reaches(p, c.a, TERN_TIME_WAIT))
        return;
    uint64_t since = p->w.now;
    if (!reaches(p, c.b, TERN_CLOSED))
        return;
    uint64_t b_closed = p->w.now;
    remark(p, OUTSIDE, "B is CLOSED; A waits");
    reaches(p, c.a, TERN_CLOSED);
    promise(p, about(p->w.now - since, two_msl_us), "A's TIME_WAIT lasts 2 MSL = %.1f s",
            (double)two_msl_us / 1e6);
    promise(p, b_closed < p->w.now, "the passive side was CLOSED %.1f s earlier",
            (double)(p->w.now - b_closed) / 1e6);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
    promise_nothing_left(p, A);
}

void scene_time_wait(struct play *p)
{
    play_part(p, "default", "MSL as tern has it by default: 30 s", NULL);
    wait_two_msl(p, 60 * SECOND);
    play_part(p, "configured", "MSL set to 2 minutes, as the standard has it",
              &(struct world_setup){.stack[A].msl_ms = 120000});
    wait_two_msl(p, 240 * SECOND);
    play_part(p, "short", "MSL set to half a second", &(struct world_setup){.stack[A].msl_ms = 500});
    wait_two_msl(p, SECOND);
}

/* --- fin-wait-1, last-ack -------------------------------------------------------------------- */

/* The waits between FINs: each about twice the one before. */
static bool fins_back_off(const struct play *p, int host)
{
    uint64_t before = when_sent(p, host, FIN, 0, 1) - when_sent(p, host, FIN, 0, 0);
    for (uint32_t n = 2; n < count(p, host, FIN, 0); n++) {
        uint64_t gap = when_sent(p, host, FIN, 0, n) - when_sent(p, host, FIN, 0, n - 1);
        if (gap < before * 18 / 10 || gap > before * 22 / 10)
            return false;
        before = gap;
    }
    return true;
}

void scene_fin_wait_1(struct play *p)
{
    struct pair c;
    play_part(p, "", "FIN_WAIT_1 lasts while the ACK of our FIN is missing", NULL);
    if (!open_pair(p, &c))
        return;
    remark(p, OUTSIDE, "the link will drop three ACKs from B");
    lose_acks(p, B, 3, "dropped by the link");
    prog_shutdown(c.a);
    uint64_t since = p->w.now;
    pass(p, 3 * p->w.delay_us[A] + p->w.delay_us[B]);
    promise(p, prog_state(c.a) == TERN_FIN_WAIT_1 && prog_state(c.b) == TERN_CLOSE_WAIT,
            "A is held in FIN_WAIT_1 while B is in CLOSE_WAIT already");
    if (!reaches(p, c.a, TERN_FIN_WAIT_2))
        return;
    promise(p, count(p, A, FIN, 0) == 4, "A sends its FIN four times, at the same number");
    promise(p, fins_back_off(p, A), "each time it waits twice as long (RFC 6298 5.5)");
    promise(p, p->w.now - since > 1000000, "FIN_WAIT_1 lasted %.1f s", (double)(p->w.now - since) / 1e6);
    prog_read(c.b);
    prog_close(c.b);
    settle(p);
    prog_read(c.a);
    prog_close(c.a);
    reaches(p, c.a, TERN_CLOSED);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}

void scene_last_ack(struct play *p)
{
    struct pair c;
    play_part(p, "", "LAST_ACK lasts while the last ACK is missing", NULL);
    if (!open_pair(p, &c))
        return;
    if (!close_and_lose(p, &c, 3))
        return;
    uint64_t since = p->w.now;
    pass(p, 2 * p->w.delay_us[A]);
    promise(p, prog_state(c.b) == TERN_LAST_ACK && prog_state(c.a) == TERN_TIME_WAIT,
            "B is held in LAST_ACK while A is in TIME_WAIT already");
    if (!reaches(p, c.b, TERN_CLOSED))
        return;
    promise(p, count(p, B, FIN, 0) == 4, "B sends its FIN four times, at the same number");
    promise(p, fins_back_off(p, B), "each time it waits twice as long (RFC 6298 5.5)");
    promise(p, p->w.now - since > 1000000 && c.b->error == 0, "LAST_ACK lasted %.1f s, and ended in order",
            (double)(p->w.now - since) / 1e6);
    uint64_t last_fin = when_sent(p, B, FIN, 0, 3) + p->w.delay_us[B];
    reaches(p, c.a, TERN_CLOSED);
    promise(p, about(p->w.now, last_fin + 60 * SECOND), "each repeated FIN started A's 2 MSL anew");
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}
