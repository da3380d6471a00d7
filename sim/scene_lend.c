/* scene_lend.c - a relay, and programs that lend, move, take and copy by turns, over a path that loses. */
#include "scenes.h"

#include "lend.h"

enum { STREAM = 120000, LONGEST_LOAN = 8000 };

/* A writes on `in.a`; B passes what `in.b` receives to `out.b`; A reads at `out.a`. */
struct relay {
    struct play *p;
    struct pair in, out;
    tern_chunk chunk;   /* taken by B's program and not yet sent altogether; 0 = none */
    uint64_t chunk_at;  /* its place in the stream */
    bool shut;          /* B has passed the end on */
};

static uint64_t roll(struct relay *r, uint64_t n) { return rng_range(&r->p->w.rng, 0, n - 1); }

static void write_some(struct relay *r)
{
    uint64_t left = STREAM - r->in.a->n_out, most = left < LONGEST_LOAN ? left : LONGEST_LOAN;
    if (left == 0)
        return;
    if (roll(r, 3) == 0)
        prog_send_stream(r->in.a, 1 + roll(r, most));
    else
        prog_lend(r->in.a, 1 + roll(r, most));
    if (r->in.a->n_out == STREAM)
        prog_shutdown(r->in.a);
}

/* What B's program has read, or taken, and not yet sent. */
static void send_rest(struct relay *r)
{
    struct end *from = r->in.b, *to = r->out.b;
    uint64_t left = from->n_in - to->n_out;
    if (r->chunk.v != 0)
        prog_send_chunk(to, r->chunk, to->n_out - r->chunk_at, left);
    else
        prog_send(to, from->in + to->n_out, left);
    if (r->chunk.v != 0 && to->n_out == from->n_in) {
        prog_drop(&r->p->w, B, r->chunk);
        r->chunk.v = 0;
    }
}

static void pass_some(struct relay *r)
{
    if (r->shut)
        return;
    if (r->in.b->n_in > r->out.b->n_out) {
        send_rest(r);
        return;
    }
    uint64_t way = roll(r, 4);
    if (way == 0) {
        prog_look(r->in.b);
    } else if (way == 1) {
        r->chunk_at = r->in.b->n_in;
        if (prog_take(r->in.b, 1 + roll(r, 20000), &r->chunk) <= 0)
            r->chunk.v = 0;
    } else {
        prog_move(r->in.b, r->out.b, 1 + roll(r, 20000));
    }
    if (r->in.b->eof) {
        prog_shutdown(r->out.b);
        r->shut = true;
    }
}

static void read_some(struct relay *r)
{
    if (roll(r, 2))
        prog_look(r->out.a);
    else
        prog_read(r->out.a);
}

/* A few losses, in both directions: lent memory is sent again from where it lies. */
static void lose_some(struct play *p)
{
    static const uint32_t data[] = {3, 9, 10, 25, 60, 61, 62}, acks[] = {5, 20, 40};
    for (uint32_t i = 0; i < 7; i++)
        for (int host = A; host <= B; host++)
            path_fault(&p->w, (struct fault){.what = DROP,
                                             .from = host,
                                             .with_data = true,
                                             .skip = data[i],
                                             .count = 1,
                                             .words = "lost"});
    for (uint32_t i = 0; i < 3; i++)
        path_fault(&p->w, (struct fault){.what = DROP,
                                         .from = B,
                                         .set = ACK,
                                         .clear = SYN | FIN,
                                         .without_data = true,
                                         .skip = acks[i],
                                         .count = 1,
                                         .words = "lost"});
}

static bool nothing_lent(const struct play *p, int host)
{
    tern_live v;
    tern_get_live(p->w.host[host].stack, &v);
    return v.lent + v.returned + v.kept + v.taken + v.pieces == 0;
}

void scene_lend(struct play *p)
{
    struct relay r = {.p = p};
    struct world_setup setup = {.lends = true};
    play_part(p, "", "a relay passes 120,000 bytes on, and packets are lost", &setup);
    if (!open_pair(p, &r.in) || !open_pair_from(p, &r.out, r.in.listener, 0))
        return;
    lose_some(p);
    remark(p, OUTSIDE, "A's program lends and sends by turns; B's moves, takes and copies to its other "
                       "connection");
    for (uint32_t steps = 0; !r.out.a->eof && steps < 100000; steps++) {
        write_some(&r);
        pass_some(&r);
        read_some(&r);
        world_step(&p->w, p->w.now + 1000000);
    }
    promise(p, r.out.a->n_in == STREAM && same_bytes(p, r.in.a, r.out.a),
            "what A's program wrote comes back through B, byte for byte");
    promise(p, r.out.a->eof, "and so does the end of the stream");
    prog_close(r.in.b);
    prog_close(r.out.a);
    settle(p);
    prog_close(r.in.a);
    prog_close(r.out.b);
    settle(p);
    promise(p, nothing_lent(p, A) && nothing_lent(p, B),
            "all memory that was lent, by programs and links, has come back");
    promise(p, lend_wrong(&p->w) == 0, "each buffer once");
    line(
        p,
        "What comes back is overwritten at once. Had anybody still used it, other bytes would have arrived.");
}
