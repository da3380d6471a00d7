/* usual.h - the short way in (usual.c), and the steps of the ordered list that it takes. */
#ifndef TCP_USUAL_H
#define TCP_USUAL_H

#include "tcp/tcp.h"

/* What is next and nothing else, to a connection of which the same is true: *cause is why it was refused
 * after all, or TERN_CAUSE_NONE. False: it is for the ordered lists, and nothing has happened. */
bool in_usual(struct tern *t, struct tcb *c, const struct segment *s, enum tern_cause *cause);

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
