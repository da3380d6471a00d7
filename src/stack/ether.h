/* ether.h - frames in and out, and what routers tell (src/ip/ether.h has the machinery). */
#ifndef STACK_ETHER_H
#define STACK_ETHER_H

#include "stack/arrival.h"

/* What is in a frame: `a->eth`, `a->frame`, and its packet with the length. Nothing is changed by it. False:
 * no packet; `a->cause` says whether it is refused. */
bool ether_open(const struct tern *t, const tern_rx_packet *frame, struct arrival *a, uint32_t *len);

/* Its turn. True: it is done with: *cause, *unclaimed. False: it is as any other packet. */
bool ether_hear(struct tern *t, const tern_rx_packet *frame, const struct arrival *a, enum tern_cause *cause,
                bool *unclaimed);

/* Packets that wait to be sent by this room: at most `max`. Returns how many. */
int ether_send(struct tern *t, tern_tx_packet *pkts, int max);

/* Give the packets of Ethernet links their headers; those whose neighbour is not known yet are taken out.
 * Returns how many are left. */
int ether_frames(struct tern *t, tern_tx_packet *pkts, int n);

void ether_tick(struct tern *t);

/* autoconf.c: a link that configures itself has come. */
void autoconf_begin(struct tern *t, int link);
/* A router's advertisement. */
void autoconf_hear(struct tern *t, uint8_t link, const struct ip_hdr *ip, const struct ndp_msg *m);
/* It is no router any more. */
void autoconf_router_gone(struct tern *t, uint8_t link, const tern_ip *router);
void autoconf_tick(struct tern *t);
uint64_t autoconf_next(const struct tern *t);

/* net.c: the tables have changed: the records follow, now or in slices. */
void net_changed(struct tern *t);
/* An address that the stack makes. */
int net_addr_learn(struct tern *t, int link, const struct ip_addr *like);

#endif
