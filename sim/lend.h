/* lend.h - hosts whose links and programs lend memory (tern/lent.h). What comes back is overwritten at once,
 * so that bytes that are still in use somewhere show up as wrong. */
#ifndef SIM_LEND_H
#define SIM_LEND_H

#include "program.h"

#include <tern/lent.h>
#include <tern/link.h>

/* A host begins to lend: in the setup, and again after its stack has been made anew or has moved. */
int lend_begin(struct world *w, int host);
void lend_free(struct host *h);

/* A packet that arrives is put where it may stay; the stack has seen it; memory comes back. Nothing happens
 * at hosts that lend nothing. */
void lend_place(struct world *w, int host, tern_rx_packet *pkt);
void lend_seen(struct world *w, int host, const tern_rx_packet *pkt);
void lend_collect(struct world *w, int host);

/* How often something came back that was not lent, or was not there any more: must be 0. */
uint32_t lend_wrong(const struct world *w);

/* As prog_send_stream, but from lent memory: at most 8,192 bytes. */
long prog_lend(struct end *e, size_t len);
/* As prog_read, but read in place. */
long prog_look(struct end *e);
/* What came in at one end goes out at another: moved; returns what tern_move does. */
long prog_move(struct end *from, struct end *to, size_t len);
/* Received bytes are taken, and sent from where they are. */
long prog_take(struct end *e, size_t len, tern_chunk *chunk);
long prog_send_chunk(struct end *e, tern_chunk chunk, size_t at, size_t len);
int prog_drop(struct world *w, int host, tern_chunk chunk);

#endif
