/* scene_data.c - data: both ways at once, and one way only. */
#include "scenes.h"

enum { BOTH_WAYS = 5000, MEBIBYTE = 1 << 20 };

/* --- transfer -------------------------------------------------------------------------------- */

void scene_transfer(struct play *p)
{
    struct pair c;
    play_part(p, "", "data both ways at once", NULL);
    if (!open_pair(p, &c))
        return;
    struct end *first = p->w.first == A ? c.a : c.b, *second = p->w.first == A ? c.b : c.a;
    remark(p, OUTSIDE, "both programs write 5,000 bytes at the same time");
    prog_send_stream(first, BOTH_WAYS);
    prog_send_stream(second, BOTH_WAYS);
    settle(p);
    prog_read(c.a);
    prog_read(c.b);
    settle(p);
    uint64_t from_a = when_sent(p, A, PSH, SYN, 0), from_b = when_sent(p, B, PSH, SYN, 0);
    promise(p, c.b->n_in == BOTH_WAYS && same_bytes(p, c.a, c.b),
            "B's program has read what A's has written, byte for byte");
    promise(p, c.a->n_in == BOTH_WAYS && same_bytes(p, c.b, c.a),
            "A's program has read what B's has written, byte for byte");
    promise(p, from_a < from_b + p->w.delay_us[B] && from_b < from_a + p->w.delay_us[A],
            "full duplex: data of both sides was under way at the same time");
    line(
        p,
        "In every segment ack = N said: all up to N - 1 has arrived. The oracle has checked each.");
}

/* --- half-close ------------------------------------------------------------------------------ */

void scene_half_close(struct play *p)
{
    struct pair c;
    play_part(p, "", "one direction is closed, the other streams 1 MiB", NULL);
    if (!open_pair(p, &c))
        return;
    prog_send(c.a, "all, please", 11);
    prog_shutdown(c.a);
    remark(p, A, "A's program has asked its question and closes its sending direction");
    if (!reaches(p, c.a, TERN_FIN_WAIT_2))
        return;
    promise(p, prog_read(c.b) == 11 && c.b->eof,
            "B's program reads the question and then the end of the stream");
    promise(p, prog_send(c.a, "more", 4) == -TERN_EPIPE,
            "A's program can send no more: its own error says so");
    bool all = pump(p, c.b, c.a, MEBIBYTE);
    promise(p, all && same_bytes(p, c.b, c.a),
            "B streams 1 MiB in CLOSE_WAIT, and A takes it in FIN_WAIT_2, byte for byte");
    promise(p, prog_state(c.b) == TERN_CLOSE_WAIT && prog_state(c.a) == TERN_FIN_WAIT_2,
            "no state changes meanwhile");
    uint64_t fin = when_sent(p, A, FIN, 0, 0);
    uint64_t last_data = when_sent(p, A, PSH, SYN | FIN, 0);
    promise(p, last_data == NEVER || last_data <= fin, "behind its FIN A sends acknowledgments only");
    prog_close(c.b);
    remark(p, B, "B's program has said all and closes");
    settle(p);
    prog_read(c.a);
    promise(p, c.a->eof, "A's program reads the end of the stream");
    prog_close(c.a);
    reaches(p, c.a, TERN_CLOSED);
    goes(p, c.a, TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2,
         TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}
