/* net.h - worlds of many hosts: what `tern sim` plays.
 *
 * A world is made from a plan (plan.h) and played to its end on one clock that jumps. Hosts have a tern stack
 * each; programs open connections between them; what the stacks send crosses wires, which have a rate, a
 * queue, a delay and faults; attackers, who see nothing, add packets of their own. The judge (judge.h)
 * compares what every program is given with what the other end's program gave.
 *
 *      host 1 ──up──▶                              ┌──down──▶ host 3
 *             ◀─down─  router 0 ──trunk──▶ router 1 ◀──up───
 *      host 2 ═ NAT ══▶         ◀──trunk──
 *
 * Two times: until the plan's CALM_MS there are faults, and nothing may go wrong (safety); then the faults
 * stop, programs that never close are told to, and everything must end within CALM_LIMIT (progress). At the
 * very end no stack may have anything left.
 *
 * A packet's whole way is computed when it is sent: each wire is asked in turn when the packet leaves it, if
 * it does. Faults are windows of time that the plan has fixed, so that a wire can answer for a moment to
 * come. A segment so costs one entry in the heap of what is to come, however many wires it crosses; that, and
 * buffers that are used again, is where the speed comes from (a million segments in a second).
 *
 * Nothing is written down in the first run of a world. A recorder (record.h) may be given for a second one:
 * the same seed plays the same world, so it sees what happened.
 */
#ifndef SIM_NET_NET_H
#define SIM_NET_NET_H

#include "judge.h"
#include "plan.h"

#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>
#include <tern/tern.h>

#define NEVER_US UINT64_MAX
#define CALM_LIMIT_US \
    (3 * 3600 * 1000000ull) /* the longest way to the end: retries_ms of 15 minutes, and again */

enum {
    PACKET_ROOM = 2048,
    WIRES = HOSTS_MOST * 2 + ROUTERS_MOST * 2,
    WIRE_FAULTS = 64,   /* of one wire; more are left out */
    FLOW_SLOTS = 4096,  /* a table of connections by their pair of addresses */
    NAT_PORTS = 4096,
    NAT_PORT_LOW = 20000,
    SERVER_PORT = 80,
    CLOSED_PORT = 81,
    STREAM_PERIOD = 65521, /* a prime: a shift by a window's size is noticed */
    STREAM_ROOM = 1 << 17,
    BATCH_MOST = 400, /* more than replies can wait */
    RING = 1 << 10, RING_UNRECORDED = 1 << 7,
    MOVES_MOST = 200000000, /* things that happen in one world; more: it never ends */
};

/* One packet on its way. */
struct net_packet {
    uint64_t sent_us;
    uint32_t len;
    uint16_t cause;      /* recorded runs: why it was sent, */
    bool again;          /* and whether it was sent before */
    int16_t from;        /* host, or -1: an attacker or a router */
    int16_t to;
    int32_t conn;        /* -1 = none of the plan's */
    uint32_t number;     /* recorded runs: its line in the story */
    uint8_t flags;       /* TERN_RX_... */
    bool copy;
    uint8_t csum_start, csum_offset; /* where the checksum that nobody has completed yet belongs; 0 =
                                        complete */
    uint8_t bytes[PACKET_ROOM];
};

/* What is to come. */
/* For COMES_HOST: an item with a fault that begins, or one of these with its item or host. */
enum { HOST_REPAIRS = 1 << 25, HOST_RECOVERS = 1 << 26, HOST_BOOTS = 1 << 27, INDEX_MASK = HOST_REPAIRS - 1 };
#define LISTENER_DATA UINT64_MAX /* what tern_events says with a listener */

enum coming {
    COMES_PACKET,
    COMES_END,
    COMES_START,
    COMES_SNARE,
    COMES_HOST,
    COMES_ATTACK,
    COMES_ACCEPT,
    COMES_CALM
};
struct coming_up {
    uint64_t at;
    uint32_t order;
    uint32_t what; /* enum coming << 28 | index */
};

struct wire_fault {
    uint64_t from_us, until_us;
    uint32_t what, ppm, arg;
    uint32_t item;
    uint32_t run;      /* FAULT_BURSTS: so many more */
    struct rng rng;
};

struct net_wire {
    uint32_t ns_per_byte; /* 0: without end */
    uint64_t delay_us, queue_us, mark_us;
    uint64_t free_ns;     /* what is on it now has left it then */
    uint32_t n_faults;
    struct wire_fault fault[WIRE_FAULTS];
};

struct net_host {
    const uint32_t *plan; /* H_... */
    tern *t;              /* NULL: crashed, not back yet; or not in this world */
    void *block, *spare;
    size_t size;          /* of the block, for the stack */
    tern_config config;
    tern_ip ip4, ip6, local; /* what it has (inside of a NAT: what it believes) */
    int link;             /* 0: taken away */
    int region;           /* the stream's bytes, to lend from */
    bool in;              /* not taken out of the plan */
    bool asleep;
    int64_t ahead_us;     /* what its clock shows more than the world's */
    uint64_t next_us;     /* when its stack wants to be called */
    uint32_t boots;
    tern_handle listener;
    size_t room;          /* of the blocks */
    uint32_t verbs;
    uint64_t trials;      /* turns for one */
    bool accept_waits;    /* its server will accept after its pause */
    tern_trace_record ring[RING];
};

struct nat {
    tern_ip ip;
    uint32_t next;
    int32_t conn[NAT_PORTS]; /* which connection has the outside port; -1 = none */
};

/* A connection of the plan. */
struct net_conn {
    const uint32_t *plan;  /* C_... */
    uint32_t item;
    int32_t end[2];        /* of the client and of the server; -1 = not there (yet) */
    tern_endpoint pair[2]; /* client's and server's, as the two hosts see them (inside of NATs) */
    bool in_flow;
    uint32_t iss;          /* of the client: a pair may be used again */
    unsigned excuses;      /* enum excuse */
    uint16_t nat_port;     /* of the client; 0 = none */
    uint64_t nat_used_us;
    bool watched;          /* its snare is set */
    uint32_t segments;
    uint32_t tries;
    uint32_t seq[2], ack[2]; /* of the latest segment from each side; for attackers who are lucky */
    uint16_t window[2];
    bool seen[2];
    uint32_t next;         /* in its slot of the flow table, +1 */
};

struct net_end {
    struct judge_end j;
    const uint32_t *plan;  /* P_...: of a server's end that could not be told, the least of all */
    tern_handle h;
    int32_t conn;          /* -1 = not known */
    uint8_t side;          /* 0 client, 1 server */
    int16_t host;
    bool over;             /* its handle is released */
    bool shut;
    bool dead;             /* a call has said that it has ended */
    bool read_over;        /* ... and all that came before was read */
    uint64_t wake_us;      /* 0 = none */
    uint64_t write_us, read_us; /* not before */
};

/* What all worlds together have shown. */
struct net_counts {
    uint64_t worlds, connections, opened, both_ends, segments, bytes, virtual_us, verbs, checks;
    uint64_t states[TERN_STATES];
    uint64_t drops[TERN_CAUSES];
    uint64_t edges[TERN_CAUSES][TERN_STATES][TERN_STATES];
    uint64_t in_order;            /* connections whose both programs read the other's stream to its end */
    uint64_t faults[FAULTS], attacks[ATTACKS], snares[SNARES];
    uint32_t *per_conn;           /* how many connections had that many segments */
    uint64_t slowest_us;          /* the longest time from calm to the end */
};

enum { PER_CONN_MOST = 100000 };

struct recorder;
struct audit;
struct trial;

struct net {
    const struct plan *plan;
    uint64_t now, calm_us;
    bool calm;
    uint64_t calm_limit_us;  /* CALM_LIMIT_US, but for tests of the judge */
    bool by_steps;           /* tern_config.by_steps of all: set between worlds; what happens is the same */
    uint32_t check_every;    /* the invariants after every so many verbs of a host; 0 = never */
    uint32_t lifetime_us;    /* nothing on the wires gets older */
    uint32_t n_hosts, n_ends, n_conns, open_ends, ends_cap, snares;
    struct net_host *host;   /* HOSTS_MOST */
    struct net_wire wire[WIRES];
    struct nat nat[NATS_MOST];
    struct net_end *end;
    struct net_conn conn[ITEMS_MOST];
    uint32_t attack_round[ITEMS_MOST]; /* of each item that is one */
    struct rng dice;
    /* ways: the trunks from router to router */
    uint8_t way[ROUTERS_MOST][ROUTERS_MOST][ROUTERS_MOST], way_len[ROUTERS_MOST][ROUTERS_MOST];
    struct coming_up *heap;
    uint32_t heap_n, heap_cap, order;
    struct net_packet **packet;
    uint32_t *free_packet;
    uint32_t packets, packets_free, packets_cap;
    uint32_t flow[FLOW_SLOTS];
    uint8_t *stream;         /* every stream's bytes: STREAM_ROOM of them, with a period of STREAM_PERIOD */
    uint8_t *scratch;
    struct complaint complaint;
    struct net_counts *counts;
    struct audit *audit;
    struct trial *trial;     /* NULL: none yet */
    struct recorder *rec;    /* NULL: nothing is written down */
    tern_tx_packet tx[16];
};

/* Everything that is used again from world to world. NULL: no memory. */
struct net *net_new(void);
void net_free(struct net *n);

/* Play a world to its end. n->complaint says what was wrong; its text is empty when nothing was. The counts
 * are added to `counts`. */
void net_play(struct net *n, const struct plan *plan, struct net_counts *counts, uint32_t check_every,
              struct recorder *rec);

/* net.c */
void net_later(struct net *n, uint64_t at, enum coming what, uint32_t index);
uint32_t net_packet_new(struct net *n);
void net_packet_drop(struct net *n, uint32_t p);
void net_complain(struct net *n, enum complaint_kind kind, int end, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void net_excuse(struct net *n, int host, unsigned excuses); /* for every connection of a host that has
                                                               begun */
uint64_t net_local(const struct net *n, const struct net_host *h);

/* flows.c: which connection a pair of endpoints belongs to. */
void flows_add(struct net *n, int32_t conn);
void flows_remove(struct net *n, int32_t conn);
/* The one among those of this pair whose client began with this number. */
int32_t flows_find_exactly(const struct net *n, const tern_endpoint *a, const tern_endpoint *b, uint32_t iss);
int32_t flows_find(const struct net *n, const tern_endpoint *a, const tern_endpoint *b);
int host_of(const struct net *n, const tern_ip *ip); /* -1 = nobody */

/* wires.c: packets cross the network. */
void wires_make(struct net *n);
void wires_send(struct net *n, int host, const tern_tx_packet *pkt);
void wires_inject(struct net *n, int host, uint32_t packet, uint64_t delay_us); /* arrives at host as it is */
void wires_cut(struct net *n, int host, uint64_t until_us);

/* nat.c: false: the NAT drops it. */
bool nat_out(struct net *n, int host, struct net_packet *p);
bool nat_in(struct net *n, struct net_packet *p);
bool nat_is(const struct net *n, const tern_ip *ip);
int32_t nat_find(const struct net *n, const tern_endpoint *outside); /* which connection has it; -1 */
void nat_forget(struct net *n, uint32_t nat);

/* icmp.c: a router's word about a packet, for its sender. */
void icmp_about(struct net *n, const struct net_packet *p, int to, uint8_t type4, uint8_t code4, uint32_t mtu,
                uint64_t delay_us);
void icmp_forge(struct net *n, int to, const tern_endpoint *its, const tern_endpoint *other, uint32_t seq,
                uint8_t type4, uint8_t code4, uint32_t rest);

/* hosts.c: the stacks. */
void host_make(struct net *n, int host);
void host_settle(struct net *n, int host); /* after a verb: programs, output, checks, when next */
void host_tick(struct net *n, int host);
void host_receive(struct net *n, int host, uint32_t *packets, uint32_t count);
void host_crash(struct net *n, int host, uint64_t back_us);
void host_fault(struct net *n, uint32_t item, bool begins);
void host_repair(struct net *n, int host); /* address, link and listener are there again */
void host_calm(struct net *n, int host); /* whatever was taken away is there again */
void host_end(struct net *n, int host);
void host_listen(struct net *n, int host);
void host_unlisten(struct net *n, int host);
void host_addr(struct net *n, int host, bool there);
void host_link(struct net *n, int host, bool there);

/* programs.c */
void program_start(struct net *n, uint32_t conn, int side);
bool program_events(struct net *n, int host); /* false: there were none */
void program_act(struct net *n, uint32_t end);
void program_accept(struct net *n, int host);
void program_calm(struct net *n);
void program_crashed(struct net *n, int host);
void program_state(struct net *n, int host, const tern_trace_record *r); /* does a snare close? */
void program_snare(struct net *n, uint32_t conn);

/* attackers.c */
void attack_now(struct net *n, uint32_t item, uint32_t round);

#endif
