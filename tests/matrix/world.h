/* world.h - the world of a cell of the matrix: README.md's situations, brought about by real segments and
 * calls. */
#ifndef MATRIX_WORLD_H
#define MATRIX_WORLD_H

#include "lab/lab.h"

/* How the tables are run: initial numbers, and what situations are for (they differ a little for calls). */
struct pass {
    const char *name;
    struct lab_variant variant;
    uint8_t seed;
};

/* A cell: the table's words, and where they stand. */
struct cell {
    const struct pass *pass;
    const char *file;
    int line;
    const char *state;             /* situation, with its suffix */
    const char *flags, *seq, *ack; /* segments */
    const char *call;              /* calls */
    char *const *expect;           /* the columns behind those */
};

struct world {
    struct lab *l;
    const struct cell *cell;
    bool for_calls, unread, queued;
    uint32_t irs, iss, rcv_nxt, rcv_wnd, snd_una, snd_nxt;
    tern_handle old;  /* a handle that was released */
    uint64_t began;   /* TIME_WAIT */
    long recv_before; /* what recv gave before the event; 1 = there was no handle */
    uint32_t unacked_before;
    bool fin_acked_before;
};

#define MATRIX_WND 32768
#define world_h(w) ((w)->l->flow[0].h)

struct world *world_new(const struct cell *c, bool for_calls);
void world_end(struct world *w);

/* The cell fails: prints the row. */
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Bring about the situation of the cell. */
void world_reach(struct world *w);

/* The peer sends. `len` bytes of its stream. */
void world_say(struct world *w, uint8_t flags, uint32_t seq_no, uint32_t ack, uint32_t len);

/* What tern sent next (NULL = nothing); keeps the numbers. */
const struct lab_out *world_take(struct world *w);
void world_drain(struct world *w);

/* recv, with the bytes checked. */
long world_recv(struct world *w, size_t n);
long world_send(struct world *w, size_t n);
int world_connect(struct world *w);
int world_listen(struct world *w, tern_handle *out);

/* The 4-tuple's state in the words of the tables; "CLOSED" = no live record, nor a listener. */
const char *world_state(struct world *w);

#endif
