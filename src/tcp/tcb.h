/* tcb.h - the records of TCP: what a connection is at each stage of its life.
 *
 *   SYN arrives          handshake ends            both FINs done, handle released
 *   ┌──────────┐         ┌──────────────┐          ┌──────────┐
 *   │ halfopen │ ──────▶ │     tcb      │ ───────▶ │ timewait │ ──▶ gone
 *   └──────────┘         └──────────────┘          └──────────┘
 *                          │ ▲
 *        nothing to do ─▶  ▼ │  ◀─ a segment, a call, keepalive
 *                        ┌──────┐
 *                        │ idle │
 *                        └──────┘
 *
 * Four records, because a half-open connection, a busy one, one that is at rest and one in TIME_WAIT need
 * very different amounts of memory; small.h has the other three. One table finds any of them by addresses and
 * ports; a reference's page tells its kind. A connection that this program opens is a tcb from its SYN on.
 * While the program holds the handle, a connection in TIME_WAIT stays a tcb. Every tcb owns an idle record
 * from its beginning: the handle names that one, so it stays valid when the tcb goes and comes.
 *
 * The control block is made of groups, one for each mechanism. What can work on its own group gets only that
 * (reasm.c, sendlist.c, rtt.c, cc.c); what weighs several against each other gets the whole.
 *
 * Invariants (checked by check.c after every verb in tests):
 *   1. snd.una <= snd.nxt; snd.q holds the bytes from una on (behind an unacknowledged SYN: from iss + 1 on).
 *   2. the send list covers una..nxt without gap or overlap; its sums (sacked, lost, retx) are those of its
 *      records.
 *   3. rcv.q ends at rcv.nxt (before a received FIN); out-of-order ranges lie above rcv.nxt, sorted, apart
 *      from each other.
 *   4. rcv.nxt <= rcv.adv, and adv never goes back (RFC 9293 SHLD-14).
 *   5. a timer's deadline is in the wheel at the latest when it is due, but for who is on the ready list:
 *      after its turn there; and for who is unset: before the wheel is asked (timer_settle).
 *   6. RETRANSMIT or PERSIST is armed while something is in flight: PERSIST while the window is shut. PERSIST
 *      also while something waits for a shut window. Never both.
 *   7. a FIN is sent only behind all queued bytes; fin_acked implies fin_sent implies fin_queued.
 *   8. states with a received FIN: CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT (and CLOSED); others have none.
 *   9. nothing waits for ever: what is owed now is on the ready list; what is to be sent later has a timer,
 *      or the RETRANSMIT or PERSIST of what is in flight; who was refused room is told when there is some.
 *  10. a tcb and its idle record name each other; the table names the tcb, and the idle record while there is
 *      none, or it was made only to interrupt a rest. A CLOSED tcb is in no table.
 *  11. every half-open record stands in one queue of its listener; half_count and aq_count are the lengths of
 *      a listener's queues, and each row of the sketch adds up to the number of half-open records.
 *  12. the records of TIME_WAIT stand in the order in which they are due, and in the table.
 *  13. a tcb stands in the list of its stage of shortage; so many pages are promised as tcbs are KEPT.
 *  14. fin_queued in the states that our FIN leads to, and only there; fin_acked in FIN_WAIT_2 and TIME_WAIT.
 *  15. what was agreed bounds what is sent: sizes, shifts, ECN.
 *  16. challenge ACKs are within their ration, a delayed ACK is due within delack_us.
 *  17. timers are those of the state and its options, and none is further away than its longest time.
 *  18. timeout, congestion window and the points of recovery are within what the standards say of them.
 *  19. the send list's order of time is one, and its marks stand where they must.
 */
#ifndef TCP_TCB_H
#define TCP_TCB_H

#include "base/chunkq.h"
#include "base/seq.h"
#include "base/wheel.h"
#include "tcp/small.h"
#include "wire/wire.h"
#include <tern/stats.h>

enum rec_kind { REC_NONE, REC_LISTENER, REC_HALFOPEN, REC_TCB, REC_IDLE, REC_TIMEWAIT };

/* The head of a control block and of a listener: what the program can hold. The smaller records have none;
 * who.c tells of all kinds who they are. */
struct conn_head {
    _Alignas(GRAIN) uint32_t gen; /* the pool's; records stand on grains, and a block is cast from its head */
    struct place turn;     /* in the list of records with something to send */
    uint8_t kind;          /* enum rec_kind */
    uint8_t state;         /* enum tern_state; written by state.h alone */
    uint8_t link;          /* home: where the peer's SYN came from, the zone, or what the program prefers;
                              0 = by the routes. Of a listener: the only link it hears */
    bool ready;            /* on the ready list */
    struct wnode timer;    /* its one place in the wheel: the earliest of its deadlines, or earlier */
    tern_ip local, remote;
    uint16_t local_port, remote_port;
    uint32_t hash;         /* of the 4-tuple, while in the table */
    uint64_t conn;         /* number in the trace */
    uint64_t opened_us;
    uint64_t since_us;     /* when the present state was entered */
    uint16_t cause;        /* of the last state change */
    uint8_t tos;           /* Diffserv << 2 */
    uint8_t ttl;
    bool parked;           /* in TIME_WAIT: a half-open successor is tried (3.6.1) */
    bool unset;            /* its deadlines have changed since the wheel was told (timer.c), */
    uint8_t pad[2];
    struct place unset_place; /* and it stands in the list of such */
};

/* What was agreed at the handshake. */
struct agreed {
    uint16_t mss;          /* the peer's MSS option, or the default (RFC 9293 MUST-15) */
    uint8_t snd_wscale;    /* shift of windows that the peer sends; 0..14 */
    uint8_t rcv_wscale;    /* shift of windows that we send */
    bool wscale, ts, sack, ecn;
};

/* A run of bytes that arrived above rcv.nxt. */
struct range {
    uint32_t gen;
    struct place place;    /* next: higher */
    uint32_t stamp;        /* order of last change: the newest is reported first (RFC 2018 4) */
    struct chunkq q;       /* pos = first sequence number */
    uint32_t pad[3];
};

/* Receiving. */
struct rcv {
    seq_t irs, nxt;
    seq_t adv;             /* right edge of the window that was offered; RCV.WND = adv - nxt */
    seq_t up;              /* RCV.UP; valid while urgent */
    uint32_t buffer;       /* limit of unread bytes, and of the window */
    struct chunkq q;       /* in order, unread */
    struct list ooo;       /* ranges above nxt, lowest first */
    uint32_t ooo_bytes, ooo_count;
    uint32_t stamp;        /* for range.stamp */
    seq_t fin;             /* sequence number of a FIN that came out of order; valid while fin_ooo */
    uint64_t fin_us;       /* when the FIN was received */
    bool fin_ooo, fin_rcvd;
    bool eof_read;         /* the program has been told the end */
    bool urgent;           /* urgent bytes unread */
};

/* When to acknowledge. */
struct acker {
    uint32_t bytes;        /* received since, in order */
    uint32_t seg;          /* largest segment received: an estimate of the peer's MSS */
    uint32_t dup_owed;     /* duplicate ACKs due */
    uint64_t delack_us;    /* deadline; 0 = none */
    uint16_t now_cause;    /* an ACK is due now, and why; 0 = none */
    uint8_t quick;         /* segments to acknowledge at once (start of a connection) */
    uint8_t ece;           /* echo congestion: ECE on ACKs until CWR (RFC 3168 6.1.3) */
    uint16_t challenges;   /* sent in the present interval (RFC 5961 7) */
    uint64_t challenge_us; /* start of the interval */
};

/* Timestamps (RFC 7323). */
struct stamps {
    uint32_t recent;       /* TS.Recent */
    uint32_t offset;       /* ours: keyed by addresses, */
    bool foreign;          /* or another machine's, which sent the cookie: the small records do not know it */
    uint64_t recent_us;    /* when it was set (24 days limit) */
    seq_t last_ack_sent;   /* Last.ACK.sent */
};

/* Sending. */
struct snd {
    seq_t iss, una, nxt;
    seq_t wl1, wl2;        /* SND.WL1, SND.WL2 */
    seq_t up;              /* SND.UP: behind the last urgent byte; valid while urgent */
    seq_t small;           /* behind the last small segment sent (Minshall) */
    uint32_t wnd, max_wnd; /* SND.WND, MAX.SND.WND, bytes (32 bits: REC-1) */
    uint32_t mss;          /* largest payload with the options we send */
    uint32_t mtu_mss;      /* upper bound by the MTU of link and path, for a header without options */
    uint32_t buffer;       /* limit of queued bytes */
    struct chunkq q;       /* unacknowledged and unsent */
    bool syn_acked;        /* SND.UNA may stand on ISS again 4 GiB later */
    bool fin_queued, fin_sent, fin_acked;
    bool urgent;
    bool more;             /* TERN_MORE: hold a small segment */
    bool blocked;          /* a send found no room: WRITABLE when there is */
    bool narrow;           /* the path's MTU is below what we cut to: DF is left off (RFC 1191 3) */
    bool cwr;              /* CWR on the next new data (RFC 3168 6.1.2) */
    bool limited;          /* the congestion window, not the program, held output back */
    uint8_t link;          /* where it sends now; 0 = there is no way, nothing leaves (change.c) */
    bool no_ect;           /* a SYN of ours did not ask for ECN: ECT is not set (RFC3168-6.1.1-c) */
    uint16_t path_mss;     /* what ICMP told of this way, as mtu_mss; 0 = nothing */
    uint64_t blocked_us;   /* silly-window override: since when a small segment waits; 0 = none. While
                              rec.held: until when new data waits */
    uint64_t last_us;      /* last data sent (restart after idle) */
};

/* Segments in flight, in order of sequence and of time (sendlist.c). */
struct sendrec {
    uint32_t gen;
    struct place seq;      /* in order of sequence */
    struct place time;     /* in order of the last sending; only what may still be in the network: neither
                              SACKED, nor LOST and not sent again */
    seq_t start;
    uint32_t len;          /* sequence numbers, SYN and FIN included */
    ref_t chunk;           /* hint: where its first byte lies */
    uint64_t sent_us;      /* last sending */
    uint8_t flags;         /* SR_... below */
    uint8_t times;         /* sent */
    uint16_t size;         /* of the largest segment that it was cut into */
};

enum {
    SR_SACKED = 1, /* the peer has it, out of order */
    SR_LOST = 2,   /* taken for lost */
    SR_RETX = 4,   /* lost, and a retransmission of it is in flight */
    SR_BEFORE = 8, /* that left before the window was last reduced */
};

struct sendlist {
    struct list seq, time; /* all records; those that may still be in the network */
    ref_t hint;            /* where the last search ended */
    ref_t high;            /* the highest SACKed record; 0 = none */
    ref_t lost_next;       /* lowest lost record not yet sent again; 0 = none */
    uint32_t count;
    uint32_t bytes, sacked, lost, retx; /* sums of len: all, SACKed, LOST, RETX */
    seq_t lost_below;      /* all below that are not SACKed have been judged */
    seq_t fack;            /* highest number delivered (RFC 8985 RACK.fack) */
    /* a record that costs no memory, and most often is the only one; gen 0 = it is in no list */
    _Alignas(GRAIN) struct sendrec own;
};

/* Round trip and timeout (RFC 6298). */
struct rtt {
    uint32_t srtt_us, rttvar_us; /* 0 = no sample yet */
    uint32_t rto_us;       /* without back-off */
    uint32_t min_us;       /* smallest sample; 0 = none */
    uint8_t backoff;       /* doublings */
};

/* Congestion control (cc.c). */
struct cc {
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t acked;        /* bytes acknowledged since the last step of congestion avoidance */
    uint8_t algo;          /* index into the table of controls */
};

/* RACK (RFC 8985): loss judged by time of sending. */
struct rack {
    uint64_t xmit_us;      /* when the latest-sent of all delivered segments was sent; 0 = none yet */
    seq_t end;             /* and its end */
    uint32_t rtt_us;       /* its round trip */
    bool reordering;       /* the path has been seen to reorder */
    uint8_t mult;          /* of min_rtt / 4: the reordering window; grows with DSACKs */
    uint8_t persist;       /* recoveries until mult falls back to 1 */
    bool round_valid;
    seq_t round;           /* mult grows once in a round trip */
};

/* Tail loss probe (RFC 8985 7). */
struct tlp {
    bool out;              /* a probe is in flight */
    bool resent;           /* it repeated a segment (no new data was there to send) */
    bool due;              /* one is to be sent */
    bool unmeasured;       /* no round trip was measured since the last one left */
    seq_t end;             /* SND.NXT after it */
};

/* What a reduction of the window can be taken back to, when DSACKs show that every retransmission was
 * needless (RFC 3708). */
struct undo {
    bool valid;
    seq_t marker;          /* SND.UNA when it began */
    uint32_t cwnd, ssthresh; /* before */
    uint32_t resent, dsacked; /* bytes retransmitted since, and reported as duplicates */
    uint32_t stamp;        /* our timestamp on the first retransmission (Eifel, RFC 3522) */
};

/* Loss recovery. */
enum recovery_phase { PHASE_OPEN, PHASE_RECOVERY, PHASE_LOSS };

struct recovery {
    uint8_t phase;
    uint8_t dupacks;       /* duplicate ACKs in a row (no SACK), or with news by SACK */
    bool force;            /* the next retransmission does not ask pipe (RFC 6675 5 (4.3), RFC 6582 3.2) */
    seq_t point;           /* RecoveryPoint: snd.nxt when it began */
    seq_t cwr_point;       /* ECN: no second reduction before this is acknowledged */
    bool cwr_valid;
    seq_t recover;         /* RFC 6582: duplicate ACKs at or below prove nothing */
    bool recover_valid;
    bool partial;          /* the first partial ACK of this recovery has come */
    bool held;             /* ECE met a window of one segment: snd.blocked_us (RFC3168-6.1.2-d) */
    bool rescued;          /* the rescue of this recovery was sent (RFC6675-4-i) */
    uint32_t lead;         /* bytes sent by limited transmit (RFC 3042) */
    uint32_t reno_sacked;  /* without SACK: bytes that duplicate ACKs say have left the network */
};

/* Deadlines; 0 = disarmed. Those that exclude each other are one tagged field. */
struct timers {
    uint64_t rexmit_us;    /* by rexmit: */
    uint8_t rexmit;        /* TERN_TIMER_NONE, _RETRANSMIT, _PERSIST */
    uint8_t life;          /* TERN_TIMER_NONE, _FIN_WAIT_2, _TIME_WAIT */
    bool probe;            /* a window probe is due */
    bool keep_probe;       /* a keepalive probe is due */
    bool judged;           /* the user timeout has come once; one more retransmission before the verdict */
    bool overslept;        /* the clock jumped over that one: one more, and no more */
    bool keep_overslept;   /* the same of the last keepalive probe */
    uint8_t probes;        /* unanswered window probes: back-off */
    uint8_t keep_probes;   /* unanswered keepalive probes */
    uint8_t retries;       /* retransmission timeouts in a row */
    uint64_t life_us;
    uint64_t keep_us;
    uint64_t pace_us;      /* output said "not before" */
    uint64_t tlp_us;       /* tail loss probe */
    uint64_t reo_us;       /* RACK: when the oldest suspect becomes lost */
    uint64_t stuck_us;     /* since when data waits without progress; 0 = it does not */
};

struct options {
    uint32_t keep_idle_ms, keep_intvl_ms, user_timeout_ms;
    uint32_t send_buffer, recv_buffer;
    uint16_t max_seg;
    uint8_t keep_cnt;
    uint8_t ecn;
    uint8_t dscp, ttl;
    bool nodelay, quickack, keepalive, linger0, reports;
};

struct totals {
    uint64_t sent, acked, received, retransmitted;
    uint32_t segs_out, segs_in, retransmits, fast_retransmits, timeouts, dup_acks_in, ooo_in, challenge_acks,
        dsacks;
};

/* Memory for what it wants to send (shortage.c). */
enum shortage_stage { SHORTAGE_NONE, SHORTAGE_WAITING, SHORTAGE_KEPT };

struct shortage {
    struct place place;    /* in the list of its stage */
    uint64_t since_us;     /* in this stage */
    uint8_t stage;         /* enum shortage_stage; KEPT: a page is kept for its next send */
    bool only_opened;      /* waiting: it has not tried to send, so no page need be kept for it */
    uint8_t refused;       /* times in a row that a packet could not be noted: back-off; 0..7 */
};

/* What the program sees: events, and who holds the record. */
struct face {
    struct place place;    /* in the event list, */
    bool listed;           /* if it is */
    bool held;             /* the program has the handle */
    bool orphan;           /* the program released it; what waits for accept is neither */
    uint32_t bits;         /* TERN_READABLE, ... not yet reported */
    uint64_t data;
    int32_t error;         /* negative TERN_E..., once it has ended */
    int32_t soft_error;
    uint8_t icmp_type, icmp_code;
};

struct tcb {
    struct conn_head h;
    struct face face;
    struct agreed opt;
    struct options set;
    struct rcv rcv;
    struct acker ack;
    struct stamps ts;
    struct snd snd;
    struct sendlist list;
    struct rtt rtt;
    struct cc cc;
    struct recovery rec;
    struct rack rack;
    struct undo undo;
    struct tlp tlp;
    struct timers tm;
    struct shortage shortage;
    struct totals sum;
    ref_t idle;            /* its idle record, which the handle names */
    ref_t listener;        /* while unaccepted: whose queue it is in; 0 = none */
    struct place aq;       /* in that queue; aq.next also in the list of the dying */
    uint16_t rst_cause;    /* a RST is due, and why; 0 = none */
    bool dying;            /* to be freed at the end of the batch */
    bool restless;         /* does not fit into an idle record as it is now */
    bool interrupted;      /* woken after a long rest, to which it goes back soon (idle.c) */
    bool by_idle;          /* so soon that the table names its idle record still (demux.c) */
    uint64_t last_rx_us, last_tx_us;
    uint64_t woken_us;     /* when it last ceased to be at rest; 0 = never was */
    uint8_t ttl_in, tos_in;
    struct {
        uint16_t cause;
        uint8_t from, to;
        uint64_t t_us;
    } history[TERN_HISTORY];
};

struct listener {
    struct conn_head h;    /* local address (zero: any) and port; state LISTEN or CLOSED */
    struct face face;
    struct options set;
    struct list queue[QUEUES]; /* half-open records */
    ref_t stale[QUEUES];   /* the last one from before the machine slept too long; 0 = none */
    struct list aq;        /* tcbs that wait for accept, oldest first */
    uint32_t backlog, half_count, aq_count;
    bool foreign;          /* its address need not be the stack's */
    bool defer;            /* SYNs wait for the program */
    bool any_stale;        /* a record of `stale` may be there */
    uint8_t cookies;       /* TERN_COOKIES_... */
    uint64_t cookie_us;    /* when the last cookie was sent; 0 = never */
    uint32_t offer;        /* window of its SYN+ACKs: the largest so far, so that none is taken back */
    uint64_t refused_full, left_unaccepted;
};

/* Of a control block or a listener. It stands behind the head of both, so one list of events has both. */
static inline struct face *face_of(struct conn_head *h) { return &((struct tcb *)(void *)h)->face; }
_Static_assert(offsetof(struct listener, face) == offsetof(struct tcb, face), "face_of");

/* RCV.WND */
static inline uint32_t rcv_wnd(const struct rcv *r) { return seq_span(r->nxt, r->adv); }

/* FlightSize of RFC 5681: sent and not cumulatively acknowledged. */
static inline uint32_t flight(const struct snd *s) { return seq_span(s->una, s->nxt); }

/* Sequence number behind all queued bytes: where the FIN goes. */
static inline seq_t snd_end(const struct snd *s) { return seq(s->q.pos + s->q.len); }

/* Bytes queued and not yet sent. */
static inline uint32_t snd_unsent(const struct snd *s)
{
    seq_t end = snd_end(s);
    return seq_gt(end, s->nxt) ? seq_span(s->nxt, end) : 0;
}

/* RFC 6675 SetPipe() (RFC6675-4-d): what is still in the network. Without SACK, duplicate ACKs say how much
 * has left it (RFC 5681 3.2). */
static inline uint32_t sendlist_pipe(const struct sendlist *l, uint32_t reno_sacked)
{
    uint32_t out = l->sacked + l->lost + reno_sacked;
    uint32_t left = l->bytes > out ? l->bytes - out : 0;
    return left + l->retx;
}

/* The field of the header that says a window (RFC7323-2.3-e). */
static inline uint16_t window_field(uint32_t wnd, uint8_t shift)
{
    uint32_t v = wnd >> shift;
    return (uint16_t)min_u32(v, 65535);
}

/* What our timestamps say at a time, a tick each millisecond: proportional to time (RFC7323-4.1-a), fast and
 * slow enough (RFC7323-5.4-abcd). */
static inline uint32_t stamp_at(uint64_t us, uint32_t offset) { return (uint32_t)(us / 1000) + offset; }

/* What each segment tells whatever is in it, also the one that makes the control block. */
static inline void tcb_heard(struct tcb *c, const struct segment *s, uint64_t now)
{
    c->last_rx_us = now;
    c->ttl_in = s->ttl;
    c->tos_in = s->tos;
}

#endif
