/* stage.h - a stack on which something is tried, by a peer who says what it likes, before a judge.
 *
 * Whoever has a stack in some situation (the explorer in a world, the simulator between two packets) puts it
 * on a stage, lets a probe (probe.h) play with one of its connections, or a visitor with a new one, and then
 * puts the stack back as it was. Everything here works on the stack in its place.
 *
 * Each act (a segment, a call, time that passes) is followed by all that the stack has to say; each segment
 * that it says is held against what any segment must be (judge.c), and what an arriving segment did against
 * spec.h. The first thing that is wrong is kept in words; nothing more is judged after it.
 */
#ifndef SIM_SPEC_STAGE_H
#define SIM_SPEC_STAGE_H

#include "spec.h"

#include <tern/event.h>
#include <tern/socket.h>
#include <tern/tern.h>

enum { STAGE_OUT = 96, STAGE_WHY = 400, STAGE_LOG = 3000, FORGE_BYTES = 1460, MSL_FACTOR = 2 };

/* A segment that the stack has sent. */
struct said {
    struct segment s;   /* its data is gone */
    uint64_t at_us;
    uint32_t bytes;     /* of the packet */
    uint16_t gso_size;
    uint8_t first, last; /* of its payload */
    bool df;
};

struct stage {
    tern *t;
    uint64_t now;
    int link;
    uint32_t mtu;
    const tern_config *config;
    bool odd_listener;  /* it answers by cookies, or asks its program: what strangers hear is not judged */
    bool last_only;     /* the stack's own invariants are left to who plays, for the end */
    bool blind;         /* what is received may be refused for want of memory: that is not judged */
    /* the connection */
    tern_endpoint local, remote;
    uint64_t conn;
    tern_handle h;      /* 0 = the program has none */
    bool passive, was_passive; /* it comes from LISTEN; before the last act */
    bool there;         /* it has a record, and is not CLOSED */
    tern_info i, before; /* as it is; as it was before the last act */
    uint32_t dscp, ttl; /* what its segments must bear */
    bool mtu_known;     /* no ICMP has spoken: packets may be as large as the link allows */
    /* what the last act has drawn */
    struct said out[STAGE_OUT];
    uint32_t n_out, lost_out, heard, any_out; /* any: to whomever */
    uint32_t events;    /* bits raised for h */
    uint32_t rx_cause;
    bool rx_cookie;     /* a cookie was the answer: nothing is kept */
    bool rx_unclaimed;  /* the address is not ours */
    bool hurried;       /* more timers were due than were waited for: times mean nothing any more */
    bool limited;       /* an answer was withheld by its ration (RFC 5961 7) */
    /* the peer */
    uint32_t ts_val;    /* what its clock shows */
    bool acked_known;
    uint32_t acked;     /* the last ACK field that the stack has sent */
    uint32_t ts_seen;   /* the last timestamp that the stack showed */
    uint8_t shift;      /* of the windows that it says */
    uint16_t window;    /* field of its segments, */
    uint8_t tos, its_ttl;
    char why[STAGE_WHY]; /* empty: nothing is wrong */
    bool logged;        /* for people: what is played is written down */
    uint32_t log_n;
    char log[STAGE_LOG]; /* what has been played, a line an act; its end is left out when it is long */
    uint8_t bytes[70000];
};

/* Begin: the stack's output is drained unjudged. */
void stage_open(struct stage *x, tern *t, uint64_t now, int link, uint32_t mtu, const tern_config *config);

/* Take up a connection that is there. False: it is none that can be followed. */
bool stage_take(struct stage *x, const tern_info *i, tern_handle h);

/* What is known of the connection now. */
void stage_look(struct stage *x);

/* A segment of the peer as it would send it now: at RCV.NXT, with ACK of all that was sent. */
struct segment stage_segment(const struct stage *x, uint32_t flags, uint32_t len);

/* It arrives, and is judged. stage_hand: without a judge. */
void stage_put(struct stage *x, const struct segment *s);
void stage_hand(struct stage *x, const struct segment *s);
void stage_raw(struct stage *x, const uint8_t *packet, uint32_t len);
/* A segment that was not made here, of the pair local, remote: judged. `flags`: TERN_RX_... */
void stage_arrival(struct stage *x, const struct segment *s, const uint8_t *packet, uint32_t len,
                   uint8_t flags);
/* Several in one batch, unjudged. */
void stage_batch(struct stage *x, const struct segment *s, uint32_t n);

/* An ICMP message about a segment of the connection; `type` and `code` are those of IPv4, `rest` its last
 * word (the MTU). */
void stage_icmp(struct stage *x, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq);

/* Time passes: each timer at its own time. stage_next: until the next thing is said, but no longer than
 * `most`; false: nothing was said. */
void stage_pass(struct stage *x, uint64_t us);
bool stage_next(struct stage *x, uint64_t most_us);

/* What a call has drawn. `begin` before it, `end` after. */
void stage_begin(struct stage *x);
void stage_end(struct stage *x);

/* A line of the log. */
void stage_note(struct stage *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* It is wrong, unless something was before; nothing, if `right`. */
void stage_wrong(struct stage *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define STAGE_HOLDS(x, right, ...) ((right) ? (void)0 : stage_wrong((x), __VA_ARGS__))

static inline bool stage_fine(const struct stage *x) { return x->why[0] == 0; }

/* judge.c */
void judge_said(struct stage *x, const struct said *o);
void judge_arrival(struct stage *x, const struct segment *s, bool had, bool listened);
/* Whether something listens where the segment goes. */
bool stage_listens(const struct stage *x, const tern_endpoint *local);
/* "SYN,ACK seq ..." for people */
void segment_words(const struct segment *s, char *buf, uint32_t len);
void said_words(const struct stage *x, char *buf, uint32_t len);

#endif
