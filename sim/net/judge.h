/* judge.h - what a program at one end of a connection may be told, and what not.
 *
 * The judge sees what the programs see: results of calls and events. It knows what each program has given to
 * be sent, so it can say whether what another is given is right:
 *
 *  J1  The bytes that are delivered are those of one sender's stream, in order, from its first one on. A
 *      stream begins with its sender's name, so a mix-up of connections is wrong bytes too.
 *  J2  A sender is heard by one end only, and that is the end which it hears (if it hears one). But a SYN
 *      cookie can be shown twice: when the server's end has ended and the RST was lost, the client's
 *      segments, sent again, open another one (RFC 4987 3.6 has no way to know). Both
 *      server's ends then send with the same numbers, and the client may be given some of either.
 *  J3  The end of the stream is delivered when all bytes were, and only if the sender's program has closed;
 *      nothing is delivered after it.
 *  J4  A program is told of its connection's end once, and then the reason does not change.
 *  J5  The reason makes sense: a reset only when somebody had cause to send one, silence for as long as the
 *      limits say before a timeout, keepalive only where it was asked for, and so on.
 *  J6  TERN_CONNECTED is said at most once, and so is TERN_PEER_CLOSED.
 *
 * Progress (stuck, not released, records left over) is judged by who plays the world (net.c).
 */
#ifndef SIM_NET_JUDGE_H
#define SIM_NET_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum complaint_kind {
    COMPLAINT_NONE,
    WRONG_BYTES,      /* J1, J2 */
    WRONG_END,        /* J3 */
    WRONG_REASON,     /* J4, J5, J6 */
    WRONG_RESULT,     /* a call gave what it never may */
    STUCK,            /* the world is calm, and a connection does not end */
    LEFT_OVER,        /* all is over, and a stack has something left */
    OVER_BUDGET,
    WRONG_WIRE,       /* the audit: what a stack sends, or makes of what it is given */
    TRAPPED,          /* an assertion: an invariant, an edge that is not in the table, ... */
    COMPLAINTS
};

struct complaint {
    enum complaint_kind kind;
    uint64_t at_us;
    int32_t end, conn;
    uintptr_t where;  /* of a trap */
    char text[300];
};

/* What gives a peer (or a middlebox) cause for a reset, or the network cause for silence. */
enum excuse {
    EXCUSE_CRASH = 1,    /* a host of the connection has crashed */
    EXCUSE_NAT = 2,      /* a NAT forgot it */
    EXCUSE_NET = 4,      /* an address, a link or a listener was taken away */
    EXCUSE_PROGRAM = 8,  /* one of the programs has aborted, or closed with linger 0 or in the middle */
    EXCUSE_FAULTS = 16,  /* the plan has faults, snares or attacks: there may be long silence */
    EXCUSE_ICMP = 32,    /* somebody sends ICMP about it that is believed */
    EXCUSE_UNOPENED = 64, /* its server had no room, or refused, or a SYN met a full queue */
};

/* Limits that an end's stack works by, us; 0 = not asked for. */
struct judge_limits {
    uint64_t retries_us, syn_retries_us, user_timeout_us, keepalive_us;
};

struct judge_end {
    uint32_t name;       /* of its stream; 0 = it never sends */
    uint32_t hears;      /* name of the sender that it hears; 0 = not known yet */
    uint32_t heard_by;   /* name of the end that hears it; 0 = nobody yet */
    uint64_t sent;       /* bytes that its stack has taken */
    uint64_t got;        /* bytes that its program was given */
    uint8_t head[8];     /* the first of them */
    bool closed;         /* its program has closed its direction, or all, in order */
    bool eof;
    bool muddled;        /* J2: it has met two others by one cookie, whose numbers are the same: not judged */
    bool by_cookie;      /* a server's end that a SYN cookie may have opened (J2) */
    bool told_connected, told_peer_closed, told_ended;
    bool released;
    int error;           /* what ended it, as a call or event said; 0 = nothing yet */
    uint64_t opened_us;  /* by its host's clock */
};

/* A stream's bytes from position `at` on, as many as lie in a row (`*n`). `bytes`: the table of all streams
 * (judge_fill). Only behind the name's 8 bytes. */
const uint8_t *judge_stream(const uint8_t *bytes, uint32_t name, uint64_t at, uint32_t *n);
void judge_fill(uint8_t *bytes, size_t len);
/* Where in the table that is. */
uint32_t judge_place(uint32_t name, uint64_t at);

/* The 8 bytes that a stream begins with; and whose they are (0: nobody's). */
void judge_head(uint32_t name, uint8_t head[8]);
uint32_t judge_name(const uint8_t head[8]);

/* An end was given `n` bytes. `find`: the end that has a name (NULL: none). False: a complaint is written. */
typedef struct judge_end *judge_find(void *ctx, uint32_t name);
bool judge_got(struct judge_end *e, const uint8_t *bytes, const uint8_t *p, uint64_t n, judge_find *find,
               void *ctx, struct complaint *c);

/* An end was told that the stream is over. `sender`: the end on the other side if it is known otherwise. */
bool judge_eof(struct judge_end *e, const struct judge_end *sender, struct complaint *c);

/* An end was told an error: `error` (negative TERN_E...), for `reason` (enum tern_cause), at `now_us` of its
 * host's clock. `peer_there`: the other program still holds its end, which has not ended. */
bool judge_error(struct judge_end *e, int error, uint16_t reason, uint64_t now_us,
                 const struct judge_limits *limits, unsigned excuses, bool peer_there, struct complaint *c);

/* tern_events gave these bits. */
bool judge_told(struct judge_end *e, uint32_t bits, struct complaint *c);

void complain(struct complaint *c, enum complaint_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *complaint_word(enum complaint_kind kind);

#endif
