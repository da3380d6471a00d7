/* stats.h - counters, connection info, and the causes of everything that happens to a connection. */
#ifndef TERN_STATS_H
#define TERN_STATS_H

#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The eleven states (RFC 9293 3.3.2). From ESTABLISHED on they are the synchronized ones. */
enum tern_state {
    TERN_CLOSED,
    TERN_LISTEN,
    TERN_SYN_SENT,
    TERN_SYN_RCVD,
    TERN_ESTABLISHED,
    TERN_FIN_WAIT_1,
    TERN_FIN_WAIT_2,
    TERN_CLOSE_WAIT,
    TERN_CLOSING,
    TERN_LAST_ACK,
    TERN_TIME_WAIT,
    TERN_STATES
};

/* Causes: one list for the edges of the state diagram, drops, resets and reasons of sending. */
enum tern_cause {
    TERN_CAUSE_NONE,
#define CAUSE(name, rule, text) TERN_C_##name,
#include "causes.def"
#undef CAUSE
    TERN_CAUSES
};

/* Name ("SYN_SENT"), rule ("RFC 9293 3.10.7.3") and sentence of a cause; name of a state. Never NULL. */
const char *tern_state_name(enum tern_state s);
const char *tern_cause_name(enum tern_cause c);
const char *tern_cause_rule(enum tern_cause c);
const char *tern_cause_text(enum tern_cause c);

/* One legal edge of the state diagram: the cause names event and rule. */
typedef struct tern_edge {
    uint16_t cause;   /* enum tern_cause */
    uint8_t from, to; /* enum tern_state */
} tern_edge;

/* All legal edges (src/tcp/state.def), always in the same order: at most `max` are filled. Returns how many
 * there are. A stack that would take another one ends the process instead. */
int tern_edges(tern_edge *out, int max);

/* Counters of a stack since it was made. */
typedef struct tern_stats {
#define STAT(name, text) uint64_t name;
#include "counters.def"
#undef STAT
    uint64_t dropped[TERN_CAUSES]; /* packets refused, by cause */
} tern_stats;

/* Copy the counters. */
void tern_get_stats(const tern *t, tern_stats *out);

/* Live objects; all zero on a stack with nothing open. */
typedef struct tern_live {
    uint32_t listeners, halfopen, tcbs, timewait;
    uint32_t asleep;      /* of the tcbs: connections at rest, without a control block */
    uint32_t timewait_held; /* of the tcbs: in TIME_WAIT, since the program holds the handle or bytes are
                               unread */
    uint32_t chunks;      /* payload pages in use */
    uint32_t sendrecs;    /* records of segments in flight */
    uint32_t ranges;      /* out-of-order ranges */
    uint32_t timers;      /* armed timers */
    uint32_t pieces;      /* references of queues to bytes that others have too (lent.h) */
    uint32_t lent;        /* buffers that the program has lent and not got back */
    uint32_t returned;    /* of those that came back, waiting for tern_returned */
    uint32_t kept;        /* packets that stay in links' memory */
    uint32_t taken;       /* chunks that the program holds */
    uint32_t fragments;   /* datagrams in reassembly */
    uint32_t replies;     /* stateless answers waiting for tern_tx */
    uint32_t neighbours;  /* in the cache; they outlive connections */
    uint32_t held;        /* packets that wait for a neighbour's address, ARP and the like to be sent */
    uint64_t arena_used;  /* bytes of the arena ever used (high-water, whole pages) */
    uint64_t arena_free;  /* of those, bytes in free pages */
} tern_live;

/* Count the live objects. */
void tern_get_live(const tern *t, tern_live *out);

enum tern_timer {
    TERN_TIMER_NONE,
    TERN_TIMER_RETRANSMIT,
    TERN_TIMER_PERSIST,
    TERN_TIMER_DELACK,
    TERN_TIMER_KEEPALIVE,
    TERN_TIMER_FIN_WAIT_2,
    TERN_TIMER_TIME_WAIT,
    TERN_TIMER_PACE,       /* output waits until then: a small segment, the silly window */
    TERN_TIMER_TAIL_PROBE, /* RFC 8985 7 */
    TERN_TIMER_REORDER,    /* RFC 8985 6: a segment out of order is lost then */
    TERN_TIMERS
};

enum tern_call {
    TERN_CALL_NONE,
    TERN_CALL_CONNECT,
    TERN_CALL_ACCEPT,
    TERN_CALL_SEND,
    TERN_CALL_RECV,
    TERN_CALL_SHUTDOWN,
    TERN_CALL_CLOSE,
    TERN_CALL_ABORT,
};

#define TERN_HISTORY 4

/* Everything a person or program may want to know of one listener or connection. A record in TIME_WAIT that
 * nobody holds is small and knows little: names, reason, windows offered, timer, and as state_since_us when
 * its 2 MSL began (anew); the rest is zero. */
typedef struct tern_info {
    uint64_t conn;              /* the number it has in the trace */
    tern_endpoint local, remote;
    uint8_t state;              /* enum tern_state */
    uint8_t link;               /* what it sends by now; 0 = no link leads to the peer, or a listener */
    bool listener;
    bool held;                  /* the program holds the handle (false: orphan, half-open, waiting for
                                   accept) */
    bool asleep;                /* at rest, without a control block (rest_ms) */
    bool unaccepted;            /* waits in a listener's accept queue */
    bool eof_read;              /* the program has read the end of the stream */
    bool fin_rcvd, fin_sent, fin_acked;
    bool fin_waits;             /* the peer's FIN has come, and something before it has not */
    int error;                  /* 0, or the negative TERN_E... that ended it */
    uint16_t reason;            /* enum tern_cause of the last state change */
    uint64_t opened_us;         /* when the record was made */
    uint64_t state_since_us;    /* when the present state was entered */
    uint64_t last_rx_us, last_tx_us; /* last segment from / to the peer; 0 = none */
    uint64_t eof_us;            /* when the peer's FIN arrived; 0 = not */
    struct {
        uint16_t cause;
        uint8_t from, to;
        uint64_t t_us;
    } history[TERN_HISTORY];    /* the last state changes, newest first; cause 0 = none */
    /* queues, bytes */
    uint32_t recv_queue;        /* received in order, unread */
    uint32_t recv_ooo;          /* received out of order */
    uint32_t send_queue;        /* queued by the program, not yet sent */
    uint32_t send_unacked;      /* sent, not yet acknowledged */
    uint32_t urgent;            /* bytes of urgent data still unread (MUST-33) */
    /* windows, bytes */
    uint32_t rcv_wnd, snd_wnd, cwnd, ssthresh, in_flight;
    uint32_t mss;               /* largest payload sent */
    uint8_t snd_wscale, rcv_wscale;
    bool timestamps, sack, ecn, wscale;
    /* the variables of RFC 9293 3.3.1 and what goes with them, as they are: for who holds a connection
       against the standard. Of a half-open record and one in TIME_WAIT only SND.UNA, SND.NXT, RCV.NXT and
       TS.Recent mean anything */
    uint32_t snd_una, snd_nxt, snd_wl1, snd_wl2, max_snd_wnd, rcv_nxt;
    uint32_t ts_recent, last_ack_sent; /* RFC 7323 4.3 */
    uint32_t iss, irs;          /* initial sequence numbers, ours and the peer's, so that relative ones can be
                                   had; 0 = not known (yet) */
    /* timing, us */
    uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us;
    uint8_t timer;              /* enum tern_timer that is due next */
    uint64_t timer_us;          /* its deadline; 0 = none */
    uint32_t backoff;           /* timeouts in a row */
    uint32_t probes;            /* unanswered keepalive or window probes */
    /* totals */
    uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retransmitted;
    uint32_t segs_out, segs_in, retransmits, fast_retransmits, timeouts, dup_acks_in, ooo_in, challenge_acks,
        dsacks;
    int soft_error;             /* last soft error, negative TERN_E..., or 0 */
    uint8_t icmp_type, icmp_code; /* of it */
    uint8_t ttl_in, dscp_in;    /* of the last segment received (MAY-9) */
    /* listeners */
    uint32_t backlog, halfopen, acceptq;
    uint64_t accept_oldest_us;  /* since when the oldest has waited for accept; 0 = none */
    uint64_t refused_full;      /* SYNs or last ACKs ignored because a queue was full */
    uint64_t left_unaccepted;   /* connections whose peer was gone before accept */
    uint64_t data;              /* tern_set_data */
} tern_info;

/* Info of one handle. Error: -TERN_EBADF. */
int tern_get_info(const tern *t, tern_handle h, tern_info *out);

/* What the ephemeral ports are used for towards one remote. */
typedef struct tern_port_use {
    uint32_t total;       /* port_low..port_high */
    uint32_t used, free;  /* in all total; used: tern_connect would not choose it */
    uint32_t by_state[TERN_STATES]; /* the used ones; those in TERN_TIME_WAIT become free by time; ports of
                                       listeners are in TERN_LISTEN */
    uint32_t reusable;    /* of those in TIME_WAIT: with no port free tern_connect opens one of them anew */
} tern_port_use;

/* The ports of a local address towards a remote address and port. `local` NULL or with address all zero: the
 * source address that tern_connect would choose; its port does not matter. Costs one look-up for each port of
 * the range (28,232 by default: about 2 ms). Errors: as tern_connect for the same addresses. */
int tern_ports(const tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_port_use *out);

/* The range that ephemeral ports are taken from, inclusive (tern_config.port_low, port_high). */
void tern_port_range(const tern *t, uint16_t *low, uint16_t *high);

/* Walk over all listeners, connections, half-open and TIME_WAIT records, held or not. Start with *cursor = 0;
 * returns 1 and fills `out`, or 0 at the end. Changing the stack during a walk may repeat or miss a record,
 * nothing worse. */
int tern_walk(const tern *t, uint64_t *cursor, tern_info *out);

/* Look at every numbered invariant of the stack (src/tcp/tcb.h); a broken one ends the process by a trap. For
 * tests, simulations and tools, after each verb; it costs a walk over all records. */
void tern_check(tern *t);

#ifdef __cplusplus
}
#endif
#endif
