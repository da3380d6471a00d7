/* plan.h - a world as a list of drawn decisions.
 *
 * Everything that a seed decides about a world is drawn first, into a list of items: the hosts with their
 * configuration, the trunks between routers, each connection with the programs at its two ends, each fault
 * with place and time, each attack. What is left to chance while the world runs (which packet is lost by a
 * wire that loses 2%) is drawn by dice that belong to one item each. So an item can be taken out, or one of
 * its numbers made smaller, and the rest stays as it was: that is what the shrinker (shrink.c) does, and what
 * makes a failing world short.
 *
 *     seed ──▶ plan_draw ──▶ [ w0 | h1 h2 h3 | t4 | c5 c6 ... | f20 f21 ... | a30 ... ] ──▶ net_play
 *                                    ▲ plan_only("h1,h2,c5.a_bytes=100,f21")
 *
 * A number is 32 bits; a field's least value is its harmless one, so "smaller" means "less happens".
 */
#ifndef SIM_NET_PLAN_H
#define SIM_NET_PLAN_H

#include "../rng.h"

#include <stdbool.h>
#include <stddef.h>

enum { HOSTS_LEAST = 2, HOSTS_MOST = 50, ROUTERS_MOST = 6, NATS_MOST = 3, ITEMS_MOST = 1024 };

enum item_kind { ITEM_WORLD, ITEM_HOST, ITEM_TRUNK, ITEM_CONN, ITEM_FAULT, ITEM_ATTACK, ITEM_KINDS };

/* FIELD(name, least): of the world; times in milliseconds where the name says so. */
#define WORLD_FIELDS(FIELD) \
    FIELD(CALM_MS, 100) /* then the faults stop, and progress is required */

#define HOST_FIELDS(FIELD)                                                                      \
    FIELD(ROUTER, 0)    /* which one it hangs on */                                             \
    FIELD(FAMILY, 1)    /* bit 1 IPv4, bit 2 IPv6 */                                            \
    FIELD(MTU, 1500)                                                                            \
    FIELD(MEMORY_KB, 1024)                                                                      \
    FIELD(PAGE_BITS, 12)                                                                        \
    FIELD(NO_TS, 0)                                                                             \
    FIELD(NO_WSCALE, 0)                                                                         \
    FIELD(NO_SACK, 0)                                                                           \
    FIELD(ECN, 0)                                                                               \
    FIELD(NO_CSUM, 0)   /* the link does not complete or vouch for checksums */                 \
    FIELD(GSO, 0)       /* largest super-segment that the link cuts */                          \
    FIELD(MSL_MS, 2000)                                                                         \
    FIELD(RTO_MIN_US, 0)                                                                        \
    FIELD(RTO_MAX_US, 0)                                                                        \
    FIELD(RETRIES_MS, 0)                                                                        \
    FIELD(SYN_RETRIES_MS, 0)                                                                    \
    FIELD(SYNACK_RETRIES, 0)                                                                    \
    FIELD(DELACK_US, 0)                                                                         \
    FIELD(SEND_BUFFER, 0)                                                                       \
    FIELD(RECV_BUFFER, 0)                                                                       \
    FIELD(REST_MS, 0)                                                                           \
    FIELD(FIN_WAIT2_MS, 0)                                                                      \
    FIELD(TIME_WAIT_MAX, 0)                                                                     \
    FIELD(PORTS, 0)     /* how many ephemeral ones; 0 = the default range */                    \
    FIELD(NO_RST, 0)    /* silent about segments for no connection */                           \
    FIELD(NAT, 0)       /* behind this NAT; 0 = none */                                         \
    FIELD(BATCH_US, 0)  /* packets are handed over at multiples of this */                      \
    FIELD(FLUSH_FIRST, 0) /* output leaves before the program is asked */                       \
    FIELD(RATE_KBPS, 0) /* of its wires; 0 = without end */                                     \
    FIELD(DELAY_US, 10)                                                                         \
    FIELD(QUEUE_US, 2000000) /* longer waiting is dropped */                                    \
    FIELD(MARK_US, 0)   /* longer waiting is marked, where ECN allows; 0 = never */             \
    FIELD(BACKLOG, 0)                                                                           \
    FIELD(LISTEN, 0)    /* enum listening */                                                    \
    FIELD(ACCEPT_MS, 0) /* how long its server waits before it accepts */                       \
    FIELD(CLOCK_MS, 0)  /* what its clock shows more than the world's at the start */

#define TRUNK_FIELDS(FIELD)                                                                     \
    FIELD(PARENT, 0)    /* router 1 + n hangs on this one */                                    \
    FIELD(RATE_KBPS, 0)                                                                         \
    FIELD(DELAY_US, 10)                                                                         \
    FIELD(QUEUE_US, 2000000)                                                                    \
    FIELD(MARK_US, 0)

/* What a program at one end does. */
#define PROGRAM_FIELDS(FIELD)                                                                   \
    FIELD(BYTES, 8)     /* sends so many, its name included */                                  \
    FIELD(WRITE, 1)     /* at most so many at once */                                           \
    FIELD(WRITE_US, 0)  /* and then waits */                                                    \
    FIELD(READ, 1)                                                                              \
    FIELD(READ_US, 0)                                                                           \
    FIELD(READ_FROM_MS, 0) /* does not read before */                                           \
    FIELD(ENDING, 0)    /* enum ending */                                                       \
    FIELD(END_AT, 0)    /* ... after so many bytes, sent or received */                         \
    FIELD(NODELAY, 0)                                                                           \
    FIELD(HOW, 0)       /* bits: enum how */                                                    \
    FIELD(USER_TIMEOUT_MS, 0)                                                                   \
    FIELD(KEEPIDLE_MS, 0)                                                                       \
    FIELD(BUFFER, 0)    /* receive buffer set by the program; 0 = left */

#define CONN_FIELDS(FIELD)                                                                      \
    FIELD(CLIENT, 0)                                                                            \
    FIELD(SERVER, 0)                                                                            \
    FIELD(KIND, 0)      /* enum conn_kind */                                                    \
    FIELD(START_MS, 1)                                                                          \
    FIELD(IP6, 0)                                                                               \
    FIELD(SKEW_US, 0)   /* both connect: the second, so much later */                           \
    FIELD(WATCH, 0)     /* a snare: when this end ... (0 = none, 1 = client, 2 = server) */     \
    FIELD(STATE, 0)     /* ... is in this state, */                                             \
    FIELD(DO, 0)        /* this happens (enum snare), */                                        \
    FIELD(TO, 0)        /* to that end (0 client, 1 server), */                                 \
    FIELD(LATER_US, 0)  /* so much later */

#define FAULT_FIELDS(FIELD)                                                                     \
    FIELD(WHAT, 0)      /* enum fault_what */                                                   \
    FIELD(PLACE, 0)     /* a wire (net.h says how they are numbered), or a host */              \
    FIELD(FROM_MS, 0)                                                                           \
    FIELD(FOR_MS, 0)                                                                            \
    FIELD(PPM, 0)       /* how many packets in a million it meets */                            \
    FIELD(ARG, 0)

#define ATTACK_FIELDS(FIELD)                                                                    \
    FIELD(WHAT, 0)      /* enum attack */                                                       \
    FIELD(CONN, 0)      /* the connection whose addresses and ports it knows */                 \
    FIELD(SIDE, 0)      /* whom it is sent to: 0 client, 1 server */                            \
    FIELD(FROM_MS, 0)                                                                           \
    FIELD(COUNT, 1)                                                                             \
    FIELD(GAP_US, 0)

#define AS_W(name, least) W_##name,
#define AS_H(name, least) H_##name,
#define AS_T(name, least) T_##name,
#define AS_P(name, least) P_##name,
#define AS_C(name, least) C_##name,
#define AS_F(name, least) F_##name,
#define AS_A(name, least) A_##name,
enum { WORLD_FIELDS(AS_W) W_FIELDS };
enum { HOST_FIELDS(AS_H) H_FIELDS };
enum { TRUNK_FIELDS(AS_T) T_FIELDS };
enum { PROGRAM_FIELDS(AS_P) P_FIELDS };
enum {
    CONN_FIELDS(AS_C) C_OWN,
    C_CLIENT_P = C_OWN,
    C_SERVER_P = C_OWN + P_FIELDS,
    C_FIELDS = C_SERVER_P + P_FIELDS
};
enum { FAULT_FIELDS(AS_F) F_FIELDS };
enum { ATTACK_FIELDS(AS_A) A_FIELDS };
#undef AS_W
#undef AS_H
#undef AS_T
#undef AS_P
#undef AS_C
#undef AS_F
#undef AS_A
enum { FIELDS_MOST = 40 };

enum listening {
    LISTENING,
    LISTENING_COOKIES,  /* answers every SYN with a cookie */
    LISTENING_NO_COOKIES,
    LISTENING_DEFERRED, /* the program decides about each SYN */
    LISTENING_KINDS
};

enum ending {
    END_IN_ORDER,   /* sends all, closes its direction, reads to the end, closes */
    END_LISTENS_FIRST, /* reads to the end before it closes its direction */
    END_CLOSES,     /* sends all, closes; what still comes is not wanted */
    END_ABORTS,     /* at END_AT */
    END_LINGERS0,   /* closes at END_AT with linger 0 */
    END_HALF,       /* closes its direction at once, then reads */
    END_NEVER,      /* until the world is calm */
    END_DIES,       /* closes at END_AT, in the middle of it all */
    ENDINGS
};

enum how { HOW_LENDS = 1, HOW_PEEKS = 2, HOW_CORKS = 4, HOW_URGENT = 8, HOW_QUICKACK = 16, HOW_WAITS = 32 };

enum conn_kind {
    CONN_PLAIN,
    CONN_SIMULTANEOUS, /* both connect */
    CONN_LOCAL,        /* by link-local addresses (IPv6) */
    CONN_KINDS
};

enum snare {
    SNARE_NOTHING,
    SNARE_CLOSE,
    SNARE_ABORT,
    SNARE_LINGER0,
    SNARE_SHUTDOWN,
    SNARE_CUT,        /* its wires carry nothing until the world is calm */
    SNARE_ADDR_GONE,  /* its address is taken away for a while */
    SNARE_LINK_GONE,  /* its link is taken away for a while */
    SNARE_CRASH,      /* its machine loses all it knew */
    SNARE_UNLISTEN,   /* its listener is closed and opened again */
    SNARE_ICMP,       /* an ICMP that says: unreachable, about the last segment that it sent */
    SNARES
};

enum fault_what {
    FAULT_LOSS,       /* each packet for itself */
    FAULT_BURSTS,     /* in runs of ARG */
    FAULT_REORDER,    /* ARG us later than its turn */
    FAULT_DUPLICATE,  /* a copy ARG us later */
    FAULT_OLD,        /* a copy ARG ms later: an old duplicate */
    FAULT_CORRUPT,    /* a bit flips */
    FAULT_TRUNCATE,   /* the end is missing */
    FAULT_DOWN,       /* nothing passes */
    FAULT_JITTER,     /* up to ARG us more */
    FAULT_MARK,       /* CE, where ECN allows; else nothing */
    FAULT_MTU,        /* larger than ARG: ICMP says so */
    FAULT_BLACK_HOLE, /* larger than ARG: nobody says so */
    FAULT_UNREACHABLE, /* lost, and ICMP of code ARG says so */
    FAULT_STRIP_TS,   /* a middlebox makes NOPs of timestamps */
    FAULT_STRIP_OPTIONS, /* and of all options of SYNs */
    FAULT_WIRES,      /* those above happen on wires, those below to hosts */
    FAULT_CRASH = FAULT_WIRES, /* gone for FOR_MS, then it knows nothing */
    FAULT_MOVE,       /* its stack is written down and read again */
    FAULT_SLEEP,      /* the machine stands still for FOR_MS, and what comes is lost */
    FAULT_AHEAD,      /* its clock leaps by ARG ms */
    FAULT_BACK,       /* its clock goes back by ARG ms */
    FAULT_FORGET,     /* its NAT forgets all mappings */
    FAULT_LINK_DOWN,  /* its interface is down, and it knows */
    FAULT_LINK_MTU,   /* its interface has an MTU of ARG, and it knows */
    FAULT_RENUMBER,   /* its address is taken away, and given back after FOR_MS */
    FAULT_UNLISTEN,   /* its listener is closed, and opened again after FOR_MS */
    FAULTS_DRAWN,
    FAULT_LIE = FAULTS_DRAWN, /* a wire changes a byte and makes the checksum right: for testing the judge */
    FAULTS
};

enum attack {
    ATTACK_SYN_FLOOD,  /* from many addresses */
    ATTACK_SYN,        /* as the peer; numbers guessed */
    ATTACK_RST,
    ATTACK_DATA,
    ATTACK_FIN,
    ATTACK_ICMP,       /* unreachable, too big, quench; about guessed numbers */
    ATTACK_NEAR_RST,   /* by luck the number lies in the window, but is not exact */
    ATTACK_NEAR_SYN,
    ATTACK_NEAR_ACK,   /* a number in the window that acknowledges what was never sent, or long ago */
    ATTACK_NEAR_BARE,  /* in the window, without ACK */
    ATTACK_NEAR_TEXT,  /* data behind the FIN that has come */
    ATTACK_STRAY,      /* flags of all kinds to ports that listen, and to some that do not */
    ATTACK_BROKEN,     /* impossible lengths, options, source addresses, groups */
    ATTACK_FRAGMENTS,  /* that overlap, lack, or cannot be */
    ATTACK_COOKIE,     /* ACKs that might be SYN cookies */
    ATTACK_BURST,      /* many strays in one batch */
    ATTACKS
};

struct item {
    uint8_t kind;                /* enum item_kind */
    bool out;                    /* taken out of the world */
    uint32_t f[FIELDS_MOST];
};

struct plan {
    uint64_t seed;
    uint32_t n;
    struct item item[ITEMS_MOST];
};

/* Draw all decisions of a seed. */
void plan_draw(struct plan *p, uint64_t seed);

/* Keep only the items that `text` names, with other numbers where it gives them: "h1,h2!,c5.a_bytes=100" ("!"
 * makes all numbers of an item the least ones first). The
 * world (item 0) always stays. False: `wrong` points at what cannot be understood. */
bool plan_only(struct plan *p, const char *text, const char **wrong);

/* The same text from a plan of which items are out and numbers differ from what its seed draws. Returns its
 * length, as snprintf does. */
size_t plan_text(const struct plan *p, char *buf, size_t size);

/* Whether a field says whom or what an item speaks of; such a one is never made smaller. */
bool item_names(enum item_kind kind, uint32_t field);

/* Its number of fields, a field's name (lower case) and its least value. */
uint32_t item_fields(enum item_kind kind);
const char *item_field_name(enum item_kind kind, uint32_t field);
uint32_t item_field_least(enum item_kind kind, uint32_t field);

/* Words for people; never NULL. */
const char *fault_name(enum fault_what what);
const char *attack_name(enum attack what);
const char *snare_name(enum snare what);
const char *ending_name(enum ending what);

/* Hosts whose item is still in, counted; and each item kind. */
uint32_t plan_count(const struct plan *p, enum item_kind kind);

#endif
