/* fetch.h - the steps of a look-up to come (stack/arrival.c): each asks for the memory of the next. */
#ifndef TCP_FETCH_H
#define TCP_FETCH_H

#include "tcp/world.h"

void demux_fetch_place(const struct tern *t, uint32_t pair);   /* the table's directory */
void demux_fetch_slot(const struct tern *t, uint32_t pair);    /* the slot */
void demux_fetch_for(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                     uint8_t link); /* the slot, by the pair itself */
ref_t demux_fetch_record(const struct tern *t, struct segment *s); /* the record, noted in s; 0 = none */
ref_t demux_fetch_rest(const struct tern *t, ref_t r); /* the rest of a control block; 0 = it is none */
void demux_fetch_named(const struct tern *t, ref_t r); /* the control block's idle record; r may be 0 */

/* What the timer of a node will need that is to fire soon (NULL: none), and what it needs that fires now. */
void timer_fetch(const struct tern *t, const struct wnode *n);
void timer_fetch_rest(const struct tern *t, const struct wnode *n);

/* What the end of a record in TIME_WAIT will need: its slot in the table. r may be 0. */
void waiting_fetch(const struct tern *t, ref_t r);

#endif
