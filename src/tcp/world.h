/* world.h - all state of a stack, as the protocol's rooms see it.
 *
 * `struct tern` is the handle that the caller holds: it has the pointers (arena, trace ring) and lies before
 * the arena. `struct world` lies in the arena, holds no pointer, and is everything else.
 */
#ifndef TCP_WORLD_H
#define TCP_WORLD_H

#include "base/arena.h"
#include "base/fifo.h"
#include "base/htab.h"
#include "base/lent.h"
#include "base/rand.h"
#include "base/sizes.h"
#include "base/trace.h"
#include "base/wheel.h"
#include "ip/ip.h"
#include "tcp/tcb.h"
#include <tern/event.h>
#include <tern/socket.h>
#include <tern/stats.h>

/* Purposes of keys drawn from the seed. */
enum {
    KEY_ISN = 1,
    KEY_PORT,
    KEY_TABLE,
    KEY_STAMP,
    KEY_RNG,
    KEY_COOKIE,
    KEY_SKETCH,
    KEY_ETHER,
    KEY_NEIGH,
    KEY_IID
};

/* The pools, by number: a page's kind tells what its records are (rec_kind). */
enum {
    POOL_TCB,
    POOL_IDLE4,
    POOL_IDLE6,
    POOL_HALFOPEN4,
    POOL_HALFOPEN6,
    POOL_TIMEWAIT4,
    POOL_TIMEWAIT6,
    POOL_LISTENER,
    POOL_SENDREC,
    POOL_RANGE,
    POOL_HOLD,
    POOL_PIECE,
    POOL_TAKEN,
    POOL_NEIGH,
    POOL_HELD,
    POOLS
};

/* Who a record is, whatever its kind: what is needed to trace it and to answer for it. */
struct who {
    uint64_t conn;         /* number in the trace; 0 = no record */
    tern_ip local, remote;
    uint16_t local_port, remote_port;
    uint8_t state, link, tos, ttl;
    seq_t iss, irs;        /* 0 before known */
    uint8_t snd_wscale, rcv_wscale;
};

/* A segment that needs no record to be made, waiting for tern_tx (reply.c): a RST, the ACK of one of the
 * small records, or one more SYN+ACK. */
struct reply {
    struct who who;
    seq_t seq, ack;
    uint16_t wnd;          /* the field */
    uint16_t cause;
    uint8_t flags;
    bool cookie;           /* its timestamp is given */
    struct tcp_opts opt;
};

/* Configuration after checking: every field has its value. */
struct settings {
    uint64_t rest_us;
    uint32_t msl_us, rto_min_us, rto_max_us, delack_us;
    uint64_t syn_retries_us, retries_us, fin_wait2_us;
    uint32_t synack_retries;
    uint32_t send_buffer, recv_buffer;
    uint16_t port_low, port_high;
    uint8_t ttl, ecn;
    bool timestamps, wscale, sack, rst_unclaimed;
    uint32_t time_wait_max;    /* small records; 0 = only memory bounds them */
};

/* The records in TIME_WAIT of one address family, the next to be over first. */
struct waiting {
    struct fifo fifo;
    uint64_t last_us;      /* when the newest is due */
};

/* A change of addresses, routes or links on its way through the records (change.c). */
struct sweep {
    uint32_t page;         /* the next page to look at */
    uint32_t left;         /* so many; 0 = all records are up to date */
    uint32_t links_gone;   /* bit id: the link was removed */
    uint32_t n_gone;
    struct {
        tern_ip ip;
        uint8_t link;
    } gone[IP_ADDRS];      /* addresses removed */
};

/* The last keyed number that was made for a pair of addresses (isn.c): those of one peer follow each
 * other. */
struct keyed {
    uint32_t local, remote; /* IPv4; 0 = none yet */
    uint16_t port;
    uint32_t value;
};

/* How many segments come in a second, whichever connection they are for (idle.c). */
struct arrival_rate {
    uint64_t since_us, segs_in; /* it is counted from here */
    uint64_t per_second;        /* before that */
};

/* The last listener that was asked for (demux.c). */
struct last_listener {
    tern_ip local;
    uint16_t port;
    uint8_t link;
    uint32_t found_at;      /* what the listeners' table was then; 0 = none was asked for */
    ref_t found;            /* 0 = there is none */
};

/* Where the peer that a connect asked for last is reached, from which address (sock/choose.c). */
struct known_way {
    tern_ip remote, local;  /* IPv4 */
    uint8_t link;           /* 0: not known */
};

/* A key of SYN cookies (cookie.c), and how far the clock of its periods is ahead of ours, us, modulo 2^64. */
#define COOKIE_KEYS 2
struct cookie_key {
    struct sipkey key;
    uint64_t ahead_us;
};

/* A sketch of counts by key, in a fixed size (sketch.c). */
struct sketch {
    uint32_t count[SKETCH_ROWS][SKETCH_COLUMNS];
};

struct world {
    struct settings set;
    bool by_steps;            /* tern_config.by_steps: no short way is taken */
    struct sipkey key_isn, key_port, key_stamp, key_sketch;
    struct mixkey key_table;
    struct keyed last_stamp, last_port;
    struct known_way known;
    struct options defaults;  /* of a connection, by `set` */
    struct rng rng;
    uint64_t now;
    uint64_t jump_us;         /* now, when the clock had last jumped (stack/tick.c); 0 = never */
    uint64_t next_conn;
    struct ip_state ip;
    struct sweep sweep;
    struct wheel wheel;
    struct htab conns;        /* 4-tuple to halfopen, tcb, idle, timewait; parked ones too */
    struct htab listeners;    /* local port to listener */
    struct last_listener last_listener;
    struct arrival_rate rate;
    uint32_t any_port;        /* listeners of port 0: any */
    bool foreign;             /* one has been made for addresses that are not ours (its connections may live
                                 longer than it) */
    struct pool tcbs, idles4, idles6, halfopens4, halfopens6, listener_pool, sendrecs, ranges;
    struct pool taken;        /* chunks that the program holds */
    struct waiting wait4, wait6;
    uint32_t wait_held;       /* control blocks in TIME_WAIT */
    _Alignas(GRAIN) struct lent lent;
    struct list ready;        /* records with something to send, by turn */
    struct list unset;        /* records whose deadlines the wheel does not know yet, by unset_place */
    struct list events;       /* records with news for the program, by face.place */
    ref_t dying;              /* tcbs to be freed at the end of the batch, by aq.next; 0 = none */
    struct list short_waiting, short_kept; /* tcbs that lack memory, oldest first (shortage.c) */
    struct reply replies[REPLIES];
    uint32_t reply_head, reply_count;
    ref_t press;              /* idle.c: the control block to be looked at next under pressure */
    struct cookie_key cookie_keys[COOKIE_KEYS]; /* the present one, the one before */
    bool cookie_shared;       /* other machines send cookies with these keys too */
    struct sketch sources;    /* half-open records, by source */
    uint32_t port_next;       /* counter of RFC 6056 algorithm 3 */
    tern_stats stats;
};

struct tern {
    struct arena *a;
    struct world *w;
    struct trace_ring trace;
    struct regions regions;   /* memory outside: the links' and the program's */
    tern_sum_fn *sum;         /* who sums payload; never NULL (tern_set_sum) */
};

/* Received bytes that the program has taken off a connection and holds (tern_take). */
struct taken {
    uint32_t gen;
    ref_t next;               /* free link */
    struct chunkq q;
    uint32_t reserved;
};

static inline struct tcb *tcb_at(struct tern *t, ref_t r) { return at(t->a, r); }
static inline struct conn_head *head_at(struct tern *t, ref_t r) { return at(t->a, r); }
/* What a reference points to: told by its page. */
static inline enum rec_kind rec_kind(const struct tern *t, ref_t r)
{
    switch ((int)arena_kind(t->a, r) - PAGE_POOL0) {
    case POOL_TCB: return REC_TCB;
    case POOL_IDLE4:
    case POOL_IDLE6: return REC_IDLE;
    case POOL_HALFOPEN4:
    case POOL_HALFOPEN6: return REC_HALFOPEN;
    case POOL_TIMEWAIT4:
    case POOL_TIMEWAIT6: return REC_TIMEWAIT;
    case POOL_LISTENER: return REC_LISTENER;
    default: return REC_NONE;
    }
}

static inline struct listener *listener_at(struct tern *t, ref_t r) { return at(t->a, r); }
static inline ref_t self(struct tern *t, const void *record) { return ref_of(t->a, record); }
static inline struct idle *idle_at(struct tern *t, ref_t r) { return at(t->a, r); }

/* A connection's handle names its idle record, a listener's the listener. */
static inline tern_handle handle_of(struct tern *t, const struct conn_head *h)
{
    ref_t r = h->kind == REC_TCB ? ((const struct tcb *)h)->idle : self(t, h);
    return (tern_handle){(uint64_t)pool_gen(t->a, r) << 32 | r};
}

#endif
