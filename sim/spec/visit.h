/* visit.h - a visitor: a peer who comes from nowhere, opens a connection of its own and plays a whole
 * conversation on it, in the middle of whatever the stack is doing (see probe.h). It knows what it has
 * offered and what it has sent, so it can ask for more than a probe: how a flight grows, what is repeated
 * first, when an acknowledgment comes. */
#ifndef SIM_SPEC_VISIT_H
#define SIM_SPEC_VISIT_H

#include "probe.h"

enum { VISIT_MSS = 1000 };
#define VISIT_MS 1000ull

/* What the visitor's SYN or SYN+ACK offers. */
struct offer {
    uint16_t mss;      /* 0 = no option */
    uint8_t wscale;    /* shift + 1; 0 = no option */
    bool sack, ts, ecn;
};

struct offer visit_offer(struct rng *dice);

/* An address of the stack and one of nobody beside it; false: it has none. */
bool visit_come(struct stage *x);

/* A listener of the visitor's own; 0 = none could be had. */
tern_handle visit_listen(struct stage *x, struct rng *dice, uint32_t backlog);

/* Its SYN; what the stack answers is judged. The record is half-open then. */
bool visit_syn(struct stage *x, const struct offer *o);
/* The third step, and accept. */
bool visit_accept(struct stage *x, tern_handle listener);

/* All three: a connection to the stack's listener (or, `calls`, by the stack's own connect), with the
 * program's handle in x->h. False: not to be had; what is wrong is said. */
bool visit_open(struct stage *x, struct rng *dice, const struct offer *o, bool calls);

/* The program sends; how much was taken. */
uint32_t visit_send(struct stage *x, uint32_t len, unsigned flags);
/* The program reads all; how much. */
uint32_t visit_read(struct stage *x);
/* An ACK of the visitor, and nothing else. */
void visit_ack(struct stage *x, uint32_t ack);
/* Text in order. */
void visit_text(struct stage *x, uint32_t len);
/* Bytes of payload in the last act, of those from number `from` on (0: of all). */
uint32_t visit_bytes(const struct stage *x, uint32_t from);

probe_fn visit_handshake, visit_calls, visit_flight, visit_loss, visit_timeout, visit_receiver, visit_puzzle,
    visit_window, visit_persist, visit_keepalive, visit_nagle, visit_ecn, visit_rest, visit_end, visit_again,
    visit_crowd, visit_cookie, visit_ration, visit_urgent, visit_headers;

#endif
