/* small.h - the records of connections that need no control block (the picture is in tcb.h): half-open, at
 * rest, in TIME_WAIT.
 *
 * There may be millions of each, so every byte is counted: a field is here only if nothing else tells it, and
 * is as wide as it must be. Each begins with a word that is not 0 while it lives. None has a head that is
 * common to all; who.c tells who they are.
 */
#ifndef TCP_SMALL_H
#define TCP_SMALL_H

#include "base/seq.h"
#include "base/wheel.h"
#include <tern/stats.h>

/* --- half-open (halfopen.c, backlog.c) -------------------------------------------------------------- */

/* A connection between the peer's SYN and its ACK of our SYN+ACK, made by a listener: 48 bytes, of IPv6 80.
 * halfopen.c derives the rest: the window and the settings are the listener's, our timestamps begin at a
 * function of the addresses, and the next repetition is due a fixed time after the last. */
struct halfopen {
    uint32_t id;           /* low half of the connection number, never 0; the pool's generation */
    seq_t iss, irs;
    uint32_t ts_recent;    /* the peer's timestamp */
    ref_t listener;
    struct place place;    /* in its queue */
    uint16_t local_port, remote_port;
    uint32_t mss : 16;     /* the peer's MSS option, or the default */
    uint32_t snd_wscale : 4, rcv_wscale : 4; /* as agreed; SHIFT_NONE: no scaling */
    uint32_t link : 4;     /* where the SYN came from */
    uint32_t ts : 1, sack : 1, ecn : 1;
    uint32_t repeated : 1; /* a SYN+ACK has answered a repeated SYN */
    uint32_t sent : 26;    /* when the last SYN+ACK left by itself, units of 8 us, wraps after 9 min */
    uint32_t challenged : 1; /* a challenge ACK has been sent since then */
    uint32_t follows : 1;  /* a record in TIME_WAIT may be parked behind it (RFC 9293 3.6.1) */
    uint32_t queue : 4;    /* of the listener, below */
    uint8_t pair[];        /* of addresses: 8 bytes, of IPv6 32 (ip_pair_write) */
};
#define HALFOPEN4_SIZE ((sizeof(struct halfopen) + 8 + 15) & ~(size_t)15)
#define HALFOPEN6_SIZE ((sizeof(struct halfopen) + 32 + 15) & ~(size_t)15)
_Static_assert(HALFOPEN4_SIZE <= 48 && HALFOPEN6_SIZE <= 80, "with 12.7 bytes of table below 64 and 96");
#define SHIFT_NONE 15u

/* Queues of a listener's half-open records. In each the first is the next to become due, because all of it
 * waits equally long. */
enum {
    QUEUE_NOW,             /* its first SYN+ACK is to be sent */
    QUEUE_SENT,            /* QUEUE_SENT + n: n repetitions were sent, by itself */
    QUEUE_PENDING = 14,    /* not answered: the program is to look at it */
    QUEUE_TAKEN,           /* it has, and is to decide */
    QUEUES,
};

/* --- at rest (idle.c, idle_pack.c) ------------------------------------------------------------------- */

/* 48 bits: times in us (8.9 years from the clock's origin), byte counts (281 TB). */
struct u48 {
    uint16_t w[3];
};

enum idle_end { IDLE_LIVES, IDLE_CLOSE, IDLE_ABORT };

/* A connection at rest (idle.c): what cannot be had from anything else while nothing is in flight, queued,
 * owed or unread. While `tcb` is not 0 the connection is awake, and only gen and tcb mean anything. */
struct idle {
    uint32_t gen;          /* half of the handle */
    ref_t tcb;             /* 0 = at rest */
    uint16_t local_port, remote_port;
    uint8_t state : 4, way : 4; /* way: snd.link when it came to rest */
    uint8_t link : 4;      /* home */
    uint8_t ending : 2;    /* enum idle_end: the program let go, and there was no memory to end it */
    uint8_t rationed : 1;  /* put to rest while its ration of challenge ACKs ran */
    uint8_t unmeasured : 1; /* no round trip was measured since a tail loss probe */
    uint8_t wscales;       /* snd_wscale << 4 | rcv_wscale */
    uint8_t rack_mult;
    struct wnode timer;    /* keepalive, or when to try again to end; not armed = none */
    uint64_t data;
    seq_t irs, rcv_nxt, rcv_adv, iss, snd_una;
    uint32_t snd_wnd, max_wnd;
    uint32_t ts_recent, ts_recent_s; /* TS.Recent, and when it was set, in seconds */
    uint32_t srtt_us, rttvar_us, min_rtt_us;
    uint32_t cwnd, ssthresh;
    uint32_t segs_out, segs_in;
    uint32_t wscale : 1, ts : 1, sack : 1, ecn : 1; /* agreed */
    uint32_t fin_rcvd : 1, eof_read : 1, fin_acked : 1;
    uint32_t narrow : 1, limited : 1, ece : 1, cwr : 1, reordering : 1;
    uint32_t nodelay : 1, quickack : 1, keepalive : 1, linger0 : 1, reports : 1, set_ecn : 2; /* options */
    uint32_t quick : 4, rack_persist : 5, algo : 3;
    uint32_t gone : 1;     /* its address went, and there was no memory to end it: it ends when it wakes */
    uint32_t keep_idle_ms, keep_intvl_ms, user_timeout_ms, send_buffer, recv_buffer;
    uint32_t retransmitted;
    uint16_t retransmits, fast_retransmits, timeouts, dup_acks_in, ooo_in, challenge_acks, dsacks;
    uint16_t acked_wraps, received_wraps; /* above the 32 bits that the sequence numbers tell */
    struct u48 sent, conn, opened_us, since_us, last_rx_us, last_tx_us;
    uint16_t cause, peer_mss, path_mss, ack_seg, max_seg;
    uint8_t keep_cnt, dscp, ttl, ttl_in, tos_in, icmp_type, icmp_code;
    uint8_t soft_error;    /* negated */
    uint16_t from;         /* of the last four changes of state, newest lowest, four bits each */
    struct {
        uint16_t cause;
        struct u48 t_us;
    } earlier[TERN_HISTORY - 1]; /* the changes before the last; 0 = none */
    uint8_t pair[];        /* of addresses: 8 bytes, of IPv6 32 (ip_pair_write) */
};
_Static_assert(sizeof(struct idle) + 8 <= 240,
               "an idle connection over IPv4 (docs/ARCHITECTURE.md, Four records)");

/* --- in TIME_WAIT (waiting.c, timewait.c) ------------------------------------------------------------ */

/* A connection in TIME_WAIT whose handle is released: what its answers need (waiting.c). The rest of what was
 * known is given up: its totals, its options of sending, when it was opened. */
struct timewait {
    uint32_t id : 26;      /* lower bits of the number in the trace */
    uint32_t challenged : 4; /* the turn in which a challenge ACK was sent (timewait.c); 0 = none yet */
    uint32_t how : 2;      /* the edge that led here (waiting.c); never 0: the record lives */
    seq_t snd_nxt, rcv_nxt;
    uint32_t ts_recent;    /* valid while ts */
    uint16_t local_port, remote_port;
    uint32_t wnd : 16;     /* the field that was last sent; bytes by rcv_wscale */
    uint32_t rcv_wscale : 4;
    uint32_t ts : 1;       /* timestamps were agreed */
    uint32_t parked : 1;   /* a half-open successor is tried (RFC 9293 3.6.1) */
    uint32_t again : 1;    /* when 2 MSL are over they begin once more: a repeated FIN came */
    uint32_t late : 9;     /* due so many ticks after its page's first record (waiting.c) */
};

struct timewait4 {
    struct timewait w;
    uint8_t pair[8];       /* of addresses (ip_pair_write) */
};

struct timewait6 {
    struct timewait w;
    tern_ip local, remote;
    uint8_t link;          /* where it sends: the address alone does not tell (fe80::/10) */
    uint8_t pad[7];
};
/* with the table's 12.7 bytes an entry and a page's head: 48 and 80 at most */
_Static_assert(sizeof(struct timewait4) == 32, "a page of 4096 bytes has 127 records");
_Static_assert(sizeof(struct timewait6) == 64, "a page of 4096 bytes has 63 records");

#endif
