/* sock.h - what the files of this room share: from handle to record. */
#ifndef SOCK_SOCK_H
#define SOCK_SOCK_H

#include "tcp/tcp.h"

/* The listener or idle record that a handle names; 0: stale, foreign, or released. */
ref_t sock_named(const struct tern *t, tern_handle h);

/* The listener or control block of a handle; a connection at rest is woken. NULL with *error = -TERN_EBADF
 * (stale or foreign) or -TERN_ENOMEM (at rest, and no memory to wake it: nothing has changed). */
struct conn_head *sock_find(struct tern *t, tern_handle h, int *error);

/* The connection of a handle: NULL with *error as above, or -TERN_ENOTCONN (a listener). */
struct tcb *sock_conn(struct tern *t, tern_handle h, int *error);

/* End of a call: what died is freed; timers of the connection are right. */
void sock_done(struct tern *t, struct tcb *c);

void sock_trace(struct tern *t, const struct conn_head *h, enum tern_call call, uint64_t arg, int64_t result);

/* stream.c: what sending says in states that take no data; 0 = it may. */
int stream_refused(const struct tcb *c);
/* Bytes that may be queued: copied, or referred to. */
uint32_t stream_room(const struct snd *s);
uint32_t stream_refer_room(const struct snd *s);
/* `got` of the bytes that the program asked to send have been queued. */
void stream_sent(struct tern *t, struct tcb *c, size_t asked, uint32_t got, unsigned flags);
/* What reading says when nothing is there. */
int stream_empty(struct tcb *c);

/* choose.c: where a connection is opened from. */
struct choice {
    tern_endpoint local;
    uint8_t home;          /* conn_head.link */
    uint8_t way;           /* the link by which the first segment leaves */
    struct demux_gap gap;  /* where it comes to stand in the table, unless choose returned
                              PORT_IN_TIME_WAIT */
};
int choose(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, struct choice *out);

#endif
