/* explain.h - what the stacks of a world say about each packet, kept for a capture (`tern demo --pcap`).
 *
 * The capture is the bird's view: each packet once, at the time it was sent, with what its sender says, what
 * became of it on the way, and what its receiver decided.
 */
#ifndef SIM_EXPLAIN_H
#define SIM_EXPLAIN_H

#include "host/pcapng.h"
#include "world.h"
#include <tern/link.h>

#ifndef WITHOUT_JANSSON

/* From now on the world's packets are explained. */
void explain_begin(struct world *w);
void explain_free(struct world *w);

/* What follows does nothing in a world that is not explained. */

/* A record was taken from a host's trace. */
void explain_record(struct world *w, const tern_trace_record *r);
/* All records since the last of these three calls belong to this packet, or to no packet at all. */
void explain_sent(struct world *w, int host, uint32_t index);
void explain_received(struct world *w, uint32_t index, const tern_rx_packet *rx);
void explain_between(struct world *w, int host);

/* Write all packets of the world as those of one interface. `shift_us` is added to the clock. */
void explain_write(const struct world *w, const char *name, const char *title, uint64_t shift_us,
                   uint32_t interface, struct pcapng *out);

#else

/* The words of a capture are host/'s, which needs a JSON library: builds without one (ports/) explain
 * nothing. */
#define explain_begin(w)                                     ((void)0)
#define explain_free(w)                                      ((void)0)
#define explain_record(w, r)                                 ((void)0)
#define explain_sent(w, host, index)                         ((void)0)
#define explain_received(w, index, rx)                       ((void)0)
#define explain_between(w, host)                             ((void)0)
#define explain_write(w, name, title, shift, interface, out) ((void)0)

#endif
#endif
