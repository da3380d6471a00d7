/* usual.h - the short way in (usual.c), and the steps of the ordered list that it takes. */
#ifndef TCP_USUAL_H
#define TCP_USUAL_H

#include "tcp/tcp.h"

/* A segment to a control block: what is next and nothing else, to a connection of which the same is true,
 * goes the short way, all else by in_listed. */
enum tern_cause in_tcb(struct tern *t, struct tcb *c, const struct segment *s);

/* The same for one that has just been made of another record, in a state of 3.10.7.4. */
enum tern_cause in_live(struct tern *t, struct tcb *c, const struct segment *s);

/* input.c: the ordered list of its state. */
enum tern_cause in_listed(struct tern *t, struct tcb *c, const struct segment *s);

/* input.c: in SYN_RCVD our SYN is acknowledged; step eight, a FIN is next. */
void in_opened(struct tern *t, struct tcb *c, const struct segment *s);
void in_fin(struct tern *t, struct tcb *c);

/* ack.c: SND.WND by this segment, if it is no older one's; a sample of what left then, once, and has
 * arrived. */
void ack_update_window(struct tern *t, struct tcb *c, const struct segment *s);
void ack_round_trip(struct tern *t, struct tcb *c, uint64_t sent_us);

/* recv.c: text that begins at RCV.NXT and fits into the window. */
enum tern_cause recv_next(struct tern *t, struct tcb *c, const struct segment *s);

#endif
