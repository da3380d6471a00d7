/* world.h - a virtual world: hosts with a tern stack each, a path between them, and one clock that jumps.
 *
 * Nothing here waits. The clock stands still while hosts send and receive, then jumps to whatever is due
 * next: a packet's arrival or a stack's timer. An hour of silence costs nothing, and the same seed gives the
 * same world, bit for bit.
 *
 *     program (program.h)  ──calls──▶  host A: a stack            host B: a stack  ◀──calls──  program
 *                                        │ tern_tx                      ▲ tern_rx, one packet at a time
 *                                        ▼                              │
 *                                      path (path.h): a delay per direction, faults by script
 *                                        │
 *                         wire[]: every packet that ever left, when it was sent, when it arrived or was lost
 *
 * Everything that happens is appended to one log in its true order: packets sent and arrived, calls and their
 * results, and (apart, for people and for the comparison afterwards) the state changes that the stacks
 * themselves report.
 *
 * Rules of the world:
 *  1. One packet is delivered at a time, and its receiver's answer leaves before anything else happens. So
 *     the ack field of every segment must be exactly what had arrived when it was sent.
 *  2. Between a delivery and the answer a program may act (world_until stops there): it can answer a FIN with
 *     a close "at once".
 *  3. Packets of one direction keep their order unless a fault says otherwise.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "rng.h"
#include <tern/event.h>
#include <tern/stats.h>
#include <tern/tern.h>

#define NEVER UINT64_MAX

enum { A, B, HOSTS, OUTSIDE = -1 };

enum fate { UNDER_WAY, ARRIVED, LOST };

/* One packet on the wire. */
struct wire {
    uint64_t sent_us;
    uint64_t due_us;      /* arrival (would have arrived, when LOST) */
    uint8_t *bytes;
    uint32_t len;
    int8_t from, to;      /* host, or OUTSIDE */
    uint8_t fate;         /* enum fate */
    bool forged;          /* made by the scenario, not by a stack */
    bool copy;            /* a second copy, made by the path */
    uint8_t again;        /* the sender's trace: 1 = sent before, 2 = a probe. For people */
    uint16_t why;         /* the sender's trace: enum tern_cause. For people */
    uint16_t refused;     /* what the receiver said: enum tern_cause, 0 = taken. For people */
    const char *lost_why; /* words; NULL when not lost */
};

/* A state change that a stack reports. For people, and for the comparison after the verdict. */
struct state_change {
    uint64_t t_us;
    tern_endpoint local, remote;
    uint32_t iss, irs;
    int8_t host;
    uint8_t from, to; /* enum tern_state */
    uint16_t cause;
};

/* A call of a program and its result, or what a program was told (tern_events). */
enum call_what {
    CALL_LISTEN,
    CALL_CONNECT,
    CALL_ACCEPT,
    CALL_SEND,
    CALL_RECV,
    CALL_SHUTDOWN,
    CALL_CLOSE,
    CALL_ABORT,
    CALL_SETOPT, /* arg = option, len = value */
    CALL_TOLD,   /* arg = TERN_READABLE | ..., result = tern_info.error */
};

struct call {
    uint64_t t_us;
    uint64_t handle;
    uint64_t arg;
    int64_t result;
    tern_endpoint local, remote;
    uint8_t *bytes; /* what was sent or received */
    uint32_t len;
    int8_t host;
    uint8_t what; /* enum call_what */
};

/* A remark for the reader. */
struct note {
    uint64_t t_us;
    char *text;
    int8_t host; /* whose side, or OUTSIDE */
};

enum log_kind { LOG_SENT, LOG_ARRIVED, LOG_LOST, LOG_CALL, LOG_STATE, LOG_NOTE, LOG_CRASH };

struct log_entry {
    uint64_t t_us;
    uint32_t index; /* in wire[], calls[], states[], notes[] */
    uint8_t kind;   /* enum log_kind */
    int8_t host;
};

/* A growing array of `type`, with its length and room. */
#define LIST(type) \
    struct {       \
        type *v;   \
        uint32_t n, cap; \
    }

/* What the path does to the packets that match. */
enum fault_what { DROP, HOLD, DUPLICATE };

struct fault {
    enum fault_what what;
    int from;             /* host whose packets */
    uint8_t set, clear;   /* flags that must be there, must not be there */
    bool with_data;       /* only with payload */
    bool without_data;    /* only without payload */
    uint16_t port;        /* only this port, on either side; 0 = any */
    uint32_t skip, count; /* let `skip` pass, then harm `count` (0 = all) */
    uint64_t extra_us;    /* HOLD, DUPLICATE: how much later than usual (the second copy) arrives */
    const char *words;    /* for people: why */
    uint32_t seen;        /* how many matched so far */
};

struct end;
struct explain;
struct world;
struct lender;

enum { ARENA_BYTES = 64 << 20, RING_RECORDS = 1 << 12 };

struct host {
    const char *name;
    tern *stack;          /* NULL = raw: the scenario speaks for it */
    void *memory, *ring;
    void *spare;          /* the other block of a stack that moves; NULL = it never has */
    tern_config config;
    tern_ip ip;
    bool cut;             /* its cable is out */
    struct lender *lender; /* lend.h; NULL = neither link nor programs lend memory */
};

/* Somebody who looks at the world twice in each step, when everything that the stacks have said is
 * collected: after their output has left, and after a packet has come or a timer has run. */
struct world_watch {
    void (*look)(struct world *w, void *ctx);
    void *ctx;
};

struct world {
    uint64_t now;
    uint64_t start_us;
    struct rng rng;
    struct host host[HOSTS];
    int first;                   /* who runs first when both could */
    uint64_t delay_us[HOSTS];    /* of what that host sends */
    uint64_t lifetime_us;        /* the path discards what is older; 0 = nothing */
    LIST(struct wire) wire;
    LIST(struct call) calls;
    LIST(struct state_change) states;
    LIST(struct note) notes;
    LIST(struct log_entry) log;
    LIST(struct fault) faults;
    LIST(uint32_t) under_way;    /* a heap of indices into wire[], earliest on top */
    LIST(struct end *) ends;     /* program.h */
    uint32_t idle_steps;         /* steps in a row that moved neither the clock nor a packet */
    struct explain *explain;     /* explain.h; NULL = packets are not explained */
    struct world_watch watch;
    uint64_t moves;              /* of stacks, so far */
    bool stuck;                  /* a stack always says that it has something to do, and does nothing */
};

struct world_setup {
    uint64_t seed;
    uint64_t start_us;         /* what the clock shows at the start; 0 = 1 s */
    bool ip6;
    struct world_watch watch;  /* NULL: nobody watches */
    bool lends;                /* links and programs lend memory (lend.h) */
    bool moving;               /* the stacks move all the time: nobody may notice */
    bool raw[HOSTS];           /* no stack: the scenario speaks for this host */
    tern_config stack[HOSTS];  /* zero: the defaults; the seed is drawn here */
};

/* Make the world. 0, or a negative TERN_E... of tern_create. */
int world_init(struct world *w, const struct world_setup *setup);
void world_free(struct world *w);

/* One thing happens: what the stacks have to send leaves, then the clock jumps to the next arrival or timer,
 * but not beyond `limit`. False when nothing was due by then (the clock stands at `limit` if that is not
 * NEVER). */
bool world_step(struct world *w, uint64_t limit);

/* Let `us` pass. */
void world_run(struct world *w, uint64_t us);

/* Let things happen until `done` says so (asked after every step, before answers leave) or `us` have passed.
 * Returns what `done` said last. */
bool world_until(struct world *w, bool (*done)(void *ctx), void *ctx, uint64_t us);

/* Let things happen until nothing has happened for 60 ms (what a fault holds back may still be under way). */
void world_settle(struct world *w);

/* The host's machine loses all it knew and comes back with another seed. Its ends are gone. */
int world_crash(struct world *w, int host);

/* The host's stack is written down and read again, or doubled, in another block of memory; where it was
 * nothing is left. What the stack has traced must have been collected. 0, or the error. */
int world_move(struct world *w, int host);

/* The host's cable is pulled out (or put back): what it sends and what is sent to it is lost. */
void world_cut(struct world *w, int host, bool cut);

/* Collect what a stack says after a verb: trace and events. */
void world_collect(struct world *w, int host);

void world_log(struct world *w, enum log_kind kind, int host, uint32_t index);

/* A remark at this time; `text` is copied. */
void world_note(struct world *w, int host, const char *text);

/* Room for one more in a LIST: LIST_ADD(list) is a pointer to the new, zeroed item. */
void *list_add(void **v, uint32_t *n, uint32_t *cap, size_t size);
#define LIST_ADD(list) list_add((void **)&(list).v, &(list).n, &(list).cap, sizeof *(list).v)

#endif
