/* trial.h - now and then a stack of a world is put aside, something is tried on it and held against the
 * standard (sim/spec), and it is taken back as it was: the world does not notice. What is tried is drawn from
 * the seed, with dice of its own. */
#ifndef SIM_NET_TRIAL_H
#define SIM_NET_TRIAL_H

#include "net.h"

enum { TRIAL_EVERY = 61, ARRIVAL_EVERY = 31 }; /* verbs, packets of a host */

/* A probe, on one of the connections of a host; when its turn has come. */
void trial_now(struct net *n, int host);

/* A packet that is about to be given to a host: what it will do must be what the standard says. */
void trial_arrival(struct net *n, int host, const struct net_packet *p);

void trial_free(struct trial *t);

#endif
