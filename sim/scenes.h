/* scenes.h - the scenarios: one function each, in scene_*.c; table in scenario.c. */
#ifndef SIM_SCENES_H
#define SIM_SCENES_H

#include "play.h"

void scene_handshake(struct play *p);
void scene_data_on_ack(struct play *p);
void scene_transfer(struct play *p);
void scene_close(struct play *p);
void scene_half_close(struct play *p);
void scene_three_step_close(struct play *p);
void scene_simultaneous_close(struct play *p);
void scene_closing_lost_ack(struct play *p);
void scene_simultaneous_open(struct play *p);
void scene_old_syn(struct play *p);
void scene_lost_last_ack(struct play *p);
void scene_time_wait(struct play *p);
void scene_old_duplicate(struct play *p);
void scene_port_reuse(struct play *p);
void scene_syn_rcvd(struct play *p);
void scene_syn_flood(struct play *p);
void scene_reset(struct play *p);
void scene_peer_gone(struct play *p);
void scene_fin_wait_1(struct play *p);
void scene_last_ack(struct play *p);
void scene_states(struct play *p);
void scene_close_wait(struct play *p);
void scene_lend(struct play *p);

/* A client without a stack: host A (or nobody) speaks segment by segment. */
struct raw {
    struct play *p;
    tern_endpoint local, remote;
    uint32_t seq, ack;
};

/* A raw client at host A that will talk to B's PORT; ports and numbers by the seed. */
struct raw raw_client(struct play *p);

/* It sends one segment; seq moves on by what the segment takes. */
void raw_send(struct raw *r, uint8_t flags, const char *data);

/* "A" closes first: both programs close in order, one after the other, until `last` is CLOSED and `first` in
 * TIME_WAIT. */
bool close_in_order(struct play *p, struct end *first, struct end *last);

#endif
