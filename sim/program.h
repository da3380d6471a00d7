/* program.h - the programs on the simulated hosts: the calls of socket.h, with every call and result in the
 * log.
 *
 * An `end` is what a program holds: a listener or one end of a connection. It belongs to the world and stays
 * readable after it was released, so that a scenario can look back.
 */
#ifndef SIM_PROGRAM_H
#define SIM_PROGRAM_H

#include "world.h"
#include <tern/socket.h>

struct end {
    struct world *w;
    tern_handle handle;
    tern_endpoint local, remote;
    int host;
    bool listener;
    bool released;    /* closed or aborted by the program: the handle is gone */
    bool eof;         /* recv has said 0 */
    uint32_t told;    /* TERN_READABLE | ...: all that tern_events has said so far */
    uint64_t told_us[9]; /* when each bit was said first, by its position */
    int error;        /* what ended it, as tern_events and tern_get_info or a call said: negative; 0 */
    int result;       /* of the last call */
    uint16_t reason;  /* of its last state change, when it was told of its end (enum tern_cause) */
    uint8_t *in;      /* everything received */
    uint64_t n_in, in_cap;
    uint64_t n_out;   /* bytes that send has taken */
};

/* Each returns the end; end->result is the call's. A refused call gives an end without a handle. */
struct end *prog_listen(struct world *w, int host, uint16_t port, uint32_t backlog);
struct end *prog_connect(struct world *w, int host, int to, uint16_t port, uint16_t local_port);

/* NULL when there is nobody to accept. */
struct end *prog_accept(struct end *listener);

long prog_send(struct end *e, const void *data, size_t len);

/* Send `len` bytes, or as many as there is room for, of a stream that depends on the end and the position
 * alone. */
long prog_send_stream(struct end *e, size_t len);

/* These bytes of that stream, from what the end has sent so far. */
void prog_stream_bytes(const struct end *e, uint8_t *out, size_t len);

/* Read all there is. Returns the bytes read (0 = none), or the error of the last call; e->eof tells the end
 * of the stream. */
long prog_read(struct end *e);

int prog_shutdown(struct end *e);
int prog_close(struct end *e);
int prog_abort(struct end *e);
int prog_setopt(struct end *e, enum tern_option opt, uint32_t value);

/* The state now, as STATUS says it (RFC 9293 3.10.6); CLOSED for what is gone. */
enum tern_state prog_state(const struct end *e);

/* Everything STATUS says. False for a stale handle. */
bool prog_info(const struct end *e, tern_info *info);

/* The record of a connection whoever holds it: by its two endpoints as `host` sees them. */
bool prog_find(const struct world *w, int host, const tern_endpoint *local, const tern_endpoint *remote,
               tern_info *info);

/* A program hears what happened (world.c calls this with what tern_events gave). */
void prog_told(struct world *w, int host, const tern_event *event);

/* For ways to send and to read that stand elsewhere (lend.c): a call that gave `result` goes to the log, with
 * the bytes that it took or gave. */
void prog_note_sent(struct end *e, const void *bytes, long result);
void prog_note_read(struct end *e, const uint8_t *bytes, long result);

void prog_free(struct end *e);

#endif
