/* ether.h - stacks on one Ethernet, on a virtual clock: each station is a stack or the test itself, and every
 * frame that a stack sends reaches all others, but for those that the test lets get lost. */
#ifndef LAB_ETHER_H
#define LAB_ETHER_H

#include "tcp/tcp.h"
#include "wire/arp.h"
#include "wire/mld.h"
#include "wire/ndp.h"
#include <tern/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ETHER_STACKS = 2, ETHER_SEEN = 4096, ETHER_FRAME = 65536 };
#define MS 1000ull
#ifndef SEC
#define SEC 1000000ull
#endif

/* A frame that was on the wire. */
struct seen {
    uint64_t t_us;
    int from;          /* stack's number; -1 = the test */
    struct eth_frame eth;
    bool arp, nd, tcp; /* which of these is valid */
    struct arp_msg a;
    struct ip_hdr ip;  /* of nd and tcp */
    struct ndp_msg n;
};

struct ether_world {
    uint64_t now;
    tern *t[ETHER_STACKS];
    void *block[ETHER_STACKS];
    int link[ETHER_STACKS];
    int stacks;
    uint32_t loss_ppm;    /* of all frames */
    uint64_t random;
    struct seen seen[ETHER_SEEN];
    uint8_t bytes[ETHER_SEEN][160]; /* their beginnings, to which `seen` points */
    uint32_t n;
};

/* So many stacks with a link each, which has this info but for its hw (02:00:00:00:00:01, ...). No address
 * yet. */
struct ether_world *ether_new(int stacks, const tern_link_info *like);
void ether_free(struct ether_world *w);

/* A usable address: on a link with no_dad at once. */
void ether_addr(struct ether_world *w, int stack, const char *cidr);
tern_ip ether_ip(const char *text);
struct eth_addr ether_hw(int station);

/* Let time pass: timers, frames. Invariants are looked at after each step. */
void ether_run(struct ether_world *w, uint64_t us);
/* Take what the stacks send now, and let it arrive. */
void ether_flush(struct ether_world *w);

/* The test's own station (ETHER_STACKS, at ether_hw(ETHER_STACKS)) sends. */
void ether_inject(struct ether_world *w, const uint8_t *frame, uint32_t len);
void ether_send_arp(struct ether_world *w, const struct eth_addr *to, const struct arp_msg *m);
void ether_send_nd(struct ether_world *w, const tern_ip *src, const tern_ip *dst, const struct eth_addr *to,
                   const struct ndp_msg *m);
/* A TCP segment without payload, for a port where nobody listens: it draws a RST. */
void ether_send_syn(struct ether_world *w, const tern_ip *src, const tern_ip *dst, int to_stack);

/* Frames seen since the last ether_forget that fit. */
void ether_forget(struct ether_world *w);
int ether_count_arp(const struct ether_world *w, int from, uint16_t op);
int ether_count_nd(const struct ether_world *w, int from, uint8_t type);
const struct seen *ether_last_nd(const struct ether_world *w, int from, uint8_t type);
const struct seen *ether_last_arp(const struct ether_world *w, int from);
const struct seen *ether_last_tcp(const struct ether_world *w, int from);

/* The neighbour's entry; state 0 = there is none. */
tern_neigh_entry ether_neigh(const struct ether_world *w, int stack, const tern_ip *ip);
tern_addr_entry ether_addr_entry(const struct ether_world *w, int stack, const tern_ip *ip);

#endif
