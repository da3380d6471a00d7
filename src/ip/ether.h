/* ether.h - IP on Ethernet: neighbours, the addresses that others may have too, and what is said of both.
 *
 *   tern_tx ─▶ ether_frame ─▶ next hop (hop.c) ─▶ neighbour (neigh.c) ─ known ─▶ Ethernet header, away
 *                                                        └─ asked for ─▶ the packet waits (held.c)
 *   ARP, neighbour discovery ─▶ ether_arp, ether_nd (hear.c) ─▶ neigh_heard, neigh_advertised ─▶ what waits
 *   leaves tern_tick ─▶ ether_tick ─▶ questions are repeated, addresses become usable (dad.c)
 *
 * The cache of neighbours is records of a pool, found by a keyed hash, in the states of RFC 4861 7.3.2; ARP
 * uses the same machine (RFC 1122 2.3.2.1 asks for a timeout and allows unicast polls). Only what we send to,
 * or who asks for one of our addresses, has a record: what others say by themselves makes none (RFC 6583 6).
 * There are at most NEIGHS; one that is unused for a turn of the list gives way, and of those that have not
 * answered there is a quarter at most, the oldest of which give way first, so that a scan of the prefix
 * cannot push out who is spoken to.
 *
 * Whatever leaves here and is no packet of the moment (ARP, solicitations, packets that waited) is a `held`
 * record in the list `out`; tern_tx takes them first. All zero and without cost on a stack whose links carry
 * IP packets: `links` is 0 then, and nothing here is asked.
 *
 * Invariants: (1) a neighbour is in exactly one bucket and in `all`; (2) it is in `asked` exactly in
 * INCOMPLETE, DELAY, PROBE and FAILED; (3) only one in INCOMPLETE has packets waiting; (4) `next_us` is not
 * later than anything that is due.
 */
#ifndef IP_ETHER_H
#define IP_ETHER_H

#include "base/arena.h"
#include "base/chunkq.h"
#include "base/rand.h"
#include "base/sizes.h"
#include "wire/arp.h"
#include "wire/mld.h"
#include "wire/ndp.h"
#include <tern/net.h>

struct ip_state;
struct ip_addr;

enum {
    ND_RETRANS_US = 1000000,          /* RetransTimer (RFC 4861 10), also of ARP requests (RFC 1122
                                         2.3.2.1) */
    ND_REACHABLE_US = 30000000,       /* ReachableTime, before randomness */
    ND_DELAY_US = 5000000,            /* DELAY_FIRST_PROBE_TIME */
    ND_SOLICITS = 3,                  /* MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT */
    ND_FAILED_US = 20000000,          /* a neighbour that did not answer is remembered so long, to be seen */
    ROUTER_SOLICITS = 3,           /* MAX_RTR_SOLICITATIONS */
    ROUTER_SOLICIT_US = 4000000,   /* RTR_SOLICITATION_INTERVAL */
    ND_FIRST_US = 1000000,      /* MAX_RTR_SOLICITATION_DELAY; PROBE_WAIT of RFC 5227 1.1 */
    ARP_PROBES = 3,                /* PROBE_NUM */
    ARP_PROBE_US = 1000000,        /* PROBE_MIN; PROBE_MAX is twice that */
    ARP_WAIT_US = 2000000,
    ARP_ANNOUNCES = 2,                 /* ANNOUNCE_NUM, ANNOUNCE_INTERVAL apart: */
    ARP_ANNOUNCE_US = 2000000,
    ARP_DEFEND_US = 10000000,          /* DEFEND_INTERVAL */
    MLD_REPORTS = 2,                   /* MLD: a join is reported so often (RFC 3810 9.1, Robustness
                                          Variable) */
    MLD_REPORT_US = 1000000,           /* and so far apart (9.11) */
};

/* A packet, or message of ours, that leaves later. */
struct held_packet {
    uint32_t gen;
    struct place place;
    uint8_t link, flags;       /* flags: TERN_TX_... */
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
    uint8_t hdr[TERN_TX_HDR];  /* Ethernet header included; its destination is written when it is known */
    struct chunkq body;        /* a copy */
};

struct neigh {
    uint32_t gen;
    ref_t chain;               /* the next in its bucket */
    struct place all;          /* in ether.all: the next to be looked at for one to give way stands first */
    struct place asked;        /* in ether.asked */
    uint64_t until_us;         /* REACHABLE: how long; in `asked`: when its next step is due */
    uint64_t since_us;         /* in this state */
    tern_ip ip;
    tern_ip from;              /* our address that the last packet to it came from: to be asked from it */
    struct list waiting;       /* held records, the oldest first */
    struct eth_addr hw;
    uint8_t link, state;       /* TERN_NEIGH_... */
    uint8_t probes;            /* sent and unanswered */
    uint8_t waits;             /* records in `waiting` */
    bool known;                /* hw is */
    bool router, used;         /* used: since it was last looked at for that */
};

/* What there is of Ethernet on one link. */
struct ether_link {
    uint64_t reachable_us;     /* of this link's neighbours: drawn around the routers' base (RFC 4861
                                  6.3.2) */
    uint64_t renew_us;         /* when it is drawn again */
    uint64_t retrans_us;
    uint64_t solicit_us;       /* routers are asked for then; 0 = not */
    uint64_t report_us;        /* groups are reported then; 0 = not */
    uint32_t base_ms;          /* BaseReachableTime */
    uint32_t mtu6;             /* of IPv6, as a router says; 0 = the link's */
    uint8_t solicits, reports; /* still to be sent */
    bool asked;                /* the report answers a query */
};

struct ether {
    uint32_t links;            /* bit id: of kind Ethernet; 0 = nothing here is used */
    uint64_t next_us;          /* not later than the next thing that is due; UINT64_MAX = none */
    struct pool neighs, helds;
    struct sipkey key, iid;    /* of the buckets; of interface identifiers (RFC 7217) */
    struct rng rng;
    ref_t bucket[NEIGH_BUCKETS];
    struct list all, asked;
    uint32_t incomplete;       /* neighbours in INCOMPLETE and FAILED */
    uint32_t waits;            /* packets that wait for neighbours, in all */
    struct list out;           /* held records to be sent now, */
    struct list sent;          /* sent: their bytes are looked at until the next call, */
    struct list lost;          /* and packets whose neighbour did not answer */
    ref_t last;                /* the neighbour that the last packet went to; 0 = none. Its destination: */
    tern_ip last_dst;
    uint8_t last_link;
    struct ether_link link[IP_LINKS];
    /* counters, ever */
    uint64_t asks, failures, conflicts, dropped;
};

static inline bool ether_is(const struct ether *e, uint32_t link) { return e->links >> link & 1; }

/* What is due at `when` is not slept over. */
static inline void ether_due(struct ether *e, uint64_t when)
{
    if (when < e->next_us)
        e->next_us = when;
}

static inline bool ether_wants_out(const struct ether *e) { return e->out.head != 0; }

/* dad.c: the link is there; it goes. */
void ether_link_begin(struct ip_state *s, int link);
void ether_link_end(struct arena *a, struct ip_state *s, int link);

/* --- neigh.c: the cache --------------------------------------------------------------------------- */

void neigh_init(struct ether *e, uint32_t neigh_pool, uint32_t held_pool);
struct neigh *neigh_find(struct arena *a, const struct ether *e, uint8_t link, const tern_ip *ip);

/* The state at this time: REACHABLE ends by itself. */
uint8_t neigh_state(const struct neigh *n, uint64_t now);

/* A packet from `from` goes to this next hop. True: at `*to`; false: not known yet, the neighbour (NULL: no
 * memory for one) is being asked. */
bool neigh_use(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *hop,
               const tern_ip *from, struct neigh **n);

/* It has spoken of itself: NS, RS, RA, an ARP request (RFC 4861 7.2.3, 6.3.4). `make`: a record is made if
 * there is none. */
void neigh_heard(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *ip,
                 const struct eth_addr *hw, bool make);

/* An advertisement or ARP reply (RFC 4861 7.2.5). */
struct neigh_word {
    const struct eth_addr *hw; /* NULL: not said */
    bool solicited, override, router;
};
/* Returns whether it was a router and says now that it is none. */
bool neigh_advertised(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *ip,
                      const struct neigh_word *w);

/* A peer behind this next hop has shown that it hears us (RFC 4861 7.3.1). */
void neigh_confirm(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *dst);

/* What is due: repeated questions, failures. */
void neigh_tick(struct arena *a, struct ip_state *s, uint64_t now);
uint64_t neigh_next(struct arena *a, const struct ether *e);

/* Forget one; all of a link (0: of all) and address (NULL: of all). */
void neigh_drop(struct arena *a, struct ether *e, struct neigh *n);
int neigh_flush(struct arena *a, struct ether *e, int link, const tern_ip *ip);

/* --- held.c: packets that wait, messages that leave ----------------------------------------------- */

/* A copy of a packet waits for the neighbour; the oldest goes when there are too many. */
void held_wait(struct arena *a, struct ether *e, struct neigh *n, const tern_tx_packet *pkt);
/* All that waits for it leaves now, or is dropped. */
void held_release(struct arena *a, struct ether *e, struct neigh *n);
void held_drop_all(struct arena *a, struct ether *e, struct neigh *n);
/* A message of our own of `len` bytes behind the Ethernet header: its bytes are to be written to what comes
 * back. NULL: no room, it is not sent. */
uint8_t *held_message(struct arena *a, struct ether *e, uint8_t link, const struct eth_frame *f,
                      uint16_t len);
/* The next of `out` as a packet; false: none. */
bool held_emit(struct arena *a, struct ether *e, tern_tx_packet *out);
/* What was emitted may go. */
void held_done(struct arena *a, struct ether *e);
/* All in this list go. */
void held_clear(struct arena *a, struct ether *e, struct list *l);

/* --- say.c: messages ------------------------------------------------------------------------------ */

/* Ask for a neighbour: all of the link, or itself alone when its address is known (a probe). */
void say_ask(struct arena *a, struct ip_state *s, uint8_t link, const tern_ip *ip, const tern_ip *from,
             const struct eth_addr *only);
/* RFC 5227 2.1.1, RFC 4862 5.4.2: does anybody have this address of ours? */
void say_probe(struct arena *a, struct ip_state *s, const struct ip_addr *x);
/* RFC 5227 2.3, RFC 4861 7.2.6: we have it. */
void say_announce(struct arena *a, struct ip_state *s, const struct ip_addr *x);
/* The answer to an ARP request, to a solicitation (`to` unspecified: to all nodes). */
void say_arp_reply(struct arena *a, struct ip_state *s, uint8_t link, const struct arp_msg *asked);
void say_advert(struct arena *a, struct ip_state *s, uint8_t link, const tern_ip *ours, const tern_ip *to,
                const struct eth_addr *hw);
/* RFC 4861 6.3.7. False: there is no address to ask from yet. */
bool say_router_solicit(struct arena *a, struct ip_state *s, uint8_t link);
/* RFC 3810 5.2: the solicited-node groups of the link's addresses; `joined`: as a change, else as an
 * answer. */
void say_groups(struct arena *a, struct ip_state *s, uint8_t link, bool joined);

/* --- dad.c: addresses ----------------------------------------------------------------------------- */

/* An address has come to a link: it is tentative, or usable at once. */
void dad_begin(struct ip_state *s, struct ip_addr *x, uint64_t now);
/* Another host has it. */
void dad_conflict(struct arena *a, struct ip_state *s, struct ip_addr *x, uint64_t now);
void dad_tick(struct arena *a, struct ip_state *s, uint64_t now);
uint64_t dad_next(const struct ip_state *s);

/* --- hop.c: the way of a frame -------------------------------------------------------------------- */

/* Give a packet its Ethernet header. False: its next hop is not known yet, and a copy waits. */
bool ether_frame(struct arena *a, struct ip_state *s, uint64_t now, tern_tx_packet *pkt);
/* The gateway, or the destination itself. */
void ether_next_hop(struct arena *a, const struct ip_state *s, uint8_t link, const tern_ip *dst,
                    tern_ip *out);

/* ether_check.c: every invariant; a broken one ends the process. */
void ether_check(struct arena *a, const struct ip_state *s);

/* --- hear.c: what others say ---------------------------------------------------------------------- */

enum tern_cause hear_arp(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link,
                         const struct eth_frame *f);
/* Neighbours' messages, in a frame of the station `from`; those of routers are for stack/autoconf.c. Returns
 * whether a router, m->target, is one no more. */
bool hear_neighbour(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const struct ip_hdr *ip,
                    const struct ndp_msg *m, const struct eth_addr *from);
/* Somebody wants to know which groups we are in, within this time. */
void hear_query(struct ip_state *s, uint64_t now, uint8_t link, uint32_t delay_ms);

#endif
