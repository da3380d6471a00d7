/* duo.h - a world of the explorer: two stacks, two programs, and the segments under way between them.
 *
 *        program A                                   program B
 *            │ calls (actor.c)                           │
 *        stack A, its clock  ──▶  flying: a set  ◀──  stack B, its clock
 *
 * Nothing happens by itself. A move (move.h) is one thing that can happen next: a segment arrives, whichever
 * the explorer likes; one is lost or doubled; a timer fires; a program makes a call. What a stack has to send
 * after a move leaves at once and then is under way.
 *
 * Time. Nothing takes any: neither travelling nor calling. Time passes when a timer fires, and only then. As
 * long as no segment is under way the timer that is due first fires, on whichever side, and both clocks go on
 * together. A timer that fires while segments are under way, or before an earlier one of the other side,
 * stands for a network or a host that is slow: that costs one of bounds.early, and only that side's clock
 * goes on. So every order of timers and segments can be had, for its price. A segment whose age by either
 * clock is above the maximum segment lifetime is no more (RFC 9293 3.4.2), which TIME_WAIT relies on. Times
 * are rounded up to milliseconds, so that timestamps of two worlds tick alike.
 *
 * All of a world but the stacks is `struct scene`, plain data. The stacks lie in blocks of their own, which
 * never move: a world is put aside by copying their parts (tern_parts) and taken back by copying them to
 * where they were (mark.h).
 */
#ifndef EXPLORE_DUO_H
#define EXPLORE_DUO_H

#include "setting.h"
#include <tern/event.h>
#include <tern/socket.h>
#include <tern/stats.h>

/* The edges of the state diagram in sets of bits: bit i % 64 of word i / 64 for number i in tern_edges. */
#define EDGE_WORDS 4

enum {
    FLYING_MOST = 24,   /* segments under way at a time; more is a storm, and a violation */
    PACKET_BYTES = 128, /* of a segment with its headers */
    STREAMS = 4,        /* connections that one program opens or accepts in its life */
    RECORDS = 3,        /* of connections that a stack has at a time */
    RING = 256,         /* trace records between two looks */
    MSL_US = 30000000,
};

/* What was found wrong. The first has the lowest number: it is said first. */
enum fault {
    FAULT_NONE,
    FAULT_TRAP,      /* an assertion of the stack: an edge that is not in the table, a broken invariant */
    FAULT_MALFORMED, /* a packet that cannot be read, or goes to somebody else */
    FAULT_BYTES,     /* a program reads what the other has not sent */
    FAULT_EOF,       /* the end of the stream before the end of what was sent */
    FAULT_ACK,       /* a segment acknowledges what was never sent */
    FAULT_ERROR,     /* a program hears of an error that nothing explains */
    FAULT_GIVES_UP,  /* an end gives up though the other one is there and answers */
    FAULT_CALL,      /* a call fails that must not, or says what it must not */
    FAULT_STANDARD,  /* a probe draws what the standard does not allow (probe.h) */
    FAULT_STORM,     /* segments without end */
    FAULT_DISAGREE,  /* all is quiet, and the two ends are not of one mind */
    FAULT_STUCK,     /* somebody waits, and nothing will ever happen */
    FAULT_ENDLESS,   /* programs and network behave, and it does not come to an end */
    FAULT_LEFT,      /* it has ended, and something is left of it in a stack */
    FAULTS
};

/* What a fault is, in one sentence. */
const char *duo_fault_text(enum fault f);
const char *duo_fault_name(enum fault f);

/* A segment under way. */
struct flying {
    uint8_t bytes[PACKET_BYTES];
    uint8_t len;
    uint8_t to;           /* side */
    uint8_t flags, n_sack;
    bool ts;
    uint32_t number;      /* in the order of sending; for people */
    uint32_t seq, ack, space;
    uint32_t ts_val, ts_ecr;
    uint32_t sack[8];
    uint64_t rest[2];     /* a sum over all that is no number */
    uint64_t age_us;
};

/* The bytes that a program sends on one connection. */
struct stream {
    uint32_t iss;   /* of the connection */
    uint8_t sent;   /* bytes */
    bool finished;  /* none will follow: shut down, closed, aborted */
};

/* A program. */
struct actor {
    tern_handle conn, listener, syn; /* 0 = none */
    uint8_t connects, listens;       /* how often it may yet */
    uint8_t received;                /* bytes on conn */
    uint8_t n_streams;               /* the last one is conn's */
    bool shut, eof;                  /* of conn: it has shut down; it has read the end */
    bool readable, ended;            /* what it was told of conn and has not looked into; of its end */
    bool acceptable, syn_waits;      /* what it was told of listener */
    bool removed;                    /* address or link are gone */
    int16_t error;                   /* that it heard of on conn; 0 = none */
    struct stream stream[STREAMS];
};

/* What a stack keeps of the one pair of ports that all is about. */
struct record {
    uint8_t state;
    uint32_t iss, irs; /* 0 = not known */
    uint32_t unread;   /* bytes that its program can read */
};

struct side {
    struct actor actor;
    struct record rec[RECORDS]; /* without listeners and what is CLOSED */
    uint8_t n_rec;
    uint8_t state;       /* of the connection as the standard tells it: LISTEN or CLOSED when there is none */
    uint32_t isn_base;   /* an ISS less the clock in units of 4 us (RFC 9293 3.4.1) */
    uint64_t now;        /* its clock, us */
    uint64_t digest[2];
    uint32_t sent_to;    /* the highest sequence number ever sent, plus one */
    bool sent_any;
};

/* All but the stacks. */
struct scene {
    struct side side[SIDES];
    struct bounds left;
    bool cut;       /* the wire is */
    bool broken;    /* something happened after which two ends may disagree until they speak: a RST was lost,
                       one end gave up without a word */
    bool rude;      /* something happened that a program may hear of as an error */
    bool cookie;    /* one has come back: if it does again, only one end knows of the second connection */
    uint8_t fault;  /* enum fault: of the last move */
    uint8_t overtaken; /* segments that came before the SYN that they follow, and were refused; 2 at most */
    uint8_t n_flying;
    uint32_t number; /* of the next segment */
    struct flying flying[FLYING_MOST + 1];
};

/* Somebody who writes down what happens (tell.c). */
struct witness {
    void (*sent)(void *ctx, const struct flying *f);
    void (*record)(void *ctx, int side, const tern_trace_record *r);
    void *ctx;
};

struct stage;

struct duo {
    const struct setting *setting;
    tern *stack[SIDES];
    void *block[SIDES];
    tern_trace_record *ring[SIDES];
    tern_endpoint at[SIDES];   /* the two ends of the connection */
    tern_endpoint stranger;    /* SET_EVICT, SET_RECYCLE: somebody far away */
    uint32_t stranger_next;    /* the next number that B will send to it */
    int link[SIDES];
    struct bounds allowed;     /* on every path; scene.left is what is left of them */
    bool dirty[SIDES];         /* the stack may differ from what the last mark says */
    uint64_t edges[EDGE_WORDS]; /* taken by any move so far */
    uint16_t n_edges;
    tern_edge edge[256];
    struct stage *stage;       /* where probes are played */
    tern_config config[SIDES]; /* as the stacks were made */
    const struct witness *witness; /* NULL: none */
    struct scene scene;
};

/* Make the world of a setting, with other bounds if they are given. NULL: no memory. */
struct duo *duo_new(const struct setting *setting, const struct bounds *bounds);
void duo_free(struct duo *d);

/* After a verb on a stack: what it sends is under way, what it tells is heard. True when anything could be
 * seen of it. */
bool duo_hear(struct duo *d, int side);

/* After the last verb of a move: invariants are looked at, and what the stack is now. */
void duo_look(struct duo *d, int side);

/* Both. */
void duo_settle(struct duo *d, int side);

/* Take a segment out. */
void duo_land(struct duo *d, uint32_t index);

/* A segment whose RST nobody will see. */
static inline bool flying_matters(const struct flying *f) { return f->flags & 4; }

/* What is found at once in the present world; sets scene.fault if it was none. */
void duo_blame(struct duo *d, enum fault f);

/* Whether nothing is left: no connection, no handle, no segment. */
bool duo_over(const struct duo *d);

/* sum.c: one value for all that decides what the world will do. Two worlds with the same value do the same
 * when the same happens to them, as far as 128 bits can tell. */
void duo_sum(struct duo *d, uint64_t out[2]);
/* of a segment under way: equal for two that are the same to their receiver */
void flying_sum(const struct duo *d, const struct flying *f, uint64_t out[2]);
void flying_fix(struct flying *f, const uint8_t *payload, uint32_t len, uint64_t window_and_options);

#endif
