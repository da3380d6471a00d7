/* model.h - what RFC 9293 says the state must be: a model of both ends, driven by the wire and the programs'
 * calls alone.
 *
 * A `side` is one end of one connection, as a reader of RFC 9293 follows it with pencil and paper. It has no
 * timers but those whose length the configuration fixes (2 MSL, the life of a half-open record and of an
 * orphan in FIN_WAIT_2), no congestion control and no policy about when to send: it only knows what may be
 * sent and what must have been received.
 *
 * Positions are 64-bit: 0 is the SYN, 1 the first byte, and so on, so that nothing here can wrap; what lies
 * before the SYN belongs to the past and is negative.
 *
 * Where the standard leaves a choice, the wire decides: a SYN for a listener is a half-open connection once
 * SYN+ACK is sent.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "packet.h"
#include "world.h"

#define NOBODY UINT32_MAX

enum { BUCKETS = 1024 };

struct side {
    tern_endpoint local, remote;
    int8_t host;
    uint8_t state;          /* enum tern_state */
    bool listener;
    bool passive;           /* born from a listener */
    bool accepted;          /* the program has it (or opened it) */
    bool released;          /* the program has closed or aborted it */
    bool told_end;          /* the program was told of its end */
    bool keepalive, linger0;
    bool cookies;           /* of a listener: it answers every SYN with a cookie */
    bool from_time_wait;    /* this SYN_RCVD pushed a TIME_WAIT aside: `parked` */
    uint32_t parked;        /* its side */
    uint64_t since_us;      /* when `state` was entered (or 2 MSL started anew) */
    struct {
        uint32_t iss;
        int64_t una, nxt;   /* positions: oldest unacknowledged; behind the last one sent */
        int64_t edge;       /* right edge of the window that the peer offered */
        uint8_t *bytes;     /* what the program gave */
        int64_t n, cap;
        uint16_t mss;       /* the peer's option; 0 = none */
        uint8_t shift;
        bool fin_asked, fin_sent, fin_acked;
    } snd;
    struct {
        uint32_t irs;
        int64_t nxt;        /* position expected next */
        int64_t edge;       /* right edge offered to the peer */
        uint8_t *bytes;     /* what arrived, by position - 1 */
        uint8_t *got;       /* 1 for each byte that arrived */
        int64_t cap;
        int64_t n;          /* in order */
        int64_t n_read;     /* the program has read */
        int64_t fin_at;     /* position of the peer's FIN; 0 = not seen */
        uint8_t shift;
        bool fin;           /* the FIN was reached */
    } rcv;
    bool ts;                /* timestamps agreed */
    bool ts_asked, wscale_asked; /* in our SYN */
    uint8_t wscale;         /* we offered this shift, + 1 */
    uint32_t ts_recent;     /* RFC 7323 */
    int64_t last_ack;       /* position last acknowledged by us */
    uint32_t synacks;       /* SYN+ACKs sent */
    uint64_t synack_us, synack_gap_us;
    uint32_t next;          /* in its bucket, or NOBODY */
};

/* What the model saw a state do. */
struct transition {
    uint64_t t_us;
    tern_endpoint local, remote;
    int8_t host;
    uint8_t from, to;
    bool matched; /* the stack reported it too */
};

/* A RST that a host owes: as an answer, or because its program aborted. */
struct debt {
    uint64_t t_us;
    tern_endpoint local, remote;
    uint32_t seq, seq_or; /* either is right */
    uint32_t ack;
    int8_t host;
    bool answer;          /* with_ack decides about the ACK flag; else it is free */
    bool with_ack;        /* RST,ACK that acknowledges `ack` */
};

/* The last SYN that could open a connection at a host: what its SYN+ACK answers. */
struct pending_syn {
    struct segment syn;
    uint64_t t_us;
    bool there;
};

/* A SYN cookie that a listener has sent: no side, until the ACK brings it back. */
struct cookie {
    struct segment syn, synack;
};

enum { COOKIES = 4096, COMPLAINTS = 12, COMPLAINT_LEN = 240 };

struct model {
    const struct world *w;
    uint64_t now;
    LIST(struct side) sides;
    LIST(struct transition) transitions;
    LIST(struct debt) debts;
    uint32_t bucket[BUCKETS];
    struct pending_syn pending[HOSTS];
    struct cookie cookies[COOKIES]; /* a ring of the last */
    uint32_t n_cookies;
    uint64_t timer_us;           /* no side ends by its timer before this; 0 = look */
    uint32_t n_complaints;
    char complaint[COMPLAINTS][COMPLAINT_LEN];
};

void model_init(struct model *m, const struct world *w);
void model_free(struct model *m);

/* Say what is wrong. The first COMPLAINTS are kept. */
void model_complain(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The newest side with these endpoints, CLOSED or not; NULL. */
struct side *model_find(struct model *m, int host, const tern_endpoint *local, const tern_endpoint *remote);
struct side *model_listener(struct model *m, int host, const tern_endpoint *local);
struct side *model_new(struct model *m, int host, const tern_endpoint *local, const tern_endpoint *remote);
void model_state(struct model *m, struct side *s, enum tern_state to);

/* The passive side that a SYN and the SYN+ACK to it make, in LISTEN. */
struct side *model_passive(struct model *m, int host, const struct segment *syn,
                           const struct segment *synack);

/* A half-open connection of a listener ends: by the standard it returns to LISTEN; here its side is over. */
void model_back_to_listen(struct model *m, struct side *s);

/* Positions from numbers of the wire: the one nearest to what is expected. */
int64_t side_out_pos(const struct side *s, uint32_t seq);
int64_t side_in_pos(const struct side *s, uint32_t seq);

/* Time passes: what ends by its timer alone ends. */
void model_time(struct model *m, uint64_t now);

/* A call and its result (model_call.c). */
void model_call(struct model *m, const struct call *c);

/* A segment arrives at a host: RFC 9293 3.10.7 (model_arrive.c). */
void model_arrive(struct model *m, int host, const struct segment *seg);

/* A segment leaves a host (model_sent.c). */
void model_sent(struct model *m, int host, const struct segment *seg);

/* A host forgets everything. */
void model_crash(struct model *m, int host);

/* `host` must answer this segment with RST, in the form of RFC 9293 3.10.7.1. Never an answer to a RST. */
void model_owe_answer(struct model *m, int host, const struct segment *seg);

/* This side must send RST from where it stands (3.10.5); `or_seq` is right as well. */
void model_owe_reset(struct model *m, const struct side *s, uint32_t or_seq);

/* Names for complaints: "A" and so on. */
const char *model_host(const struct model *m, int host);

#endif
