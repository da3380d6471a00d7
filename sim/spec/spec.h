/* spec.h - the standard as a function: what one arriving segment must do to a connection.
 *
 * spec_arrives is RFC 9293 3.10.7 (with RFC 5961, 7323 and 1337 where they change it), written from their
 * text and not from the stack's: given what can be seen of a connection before (tern_info has the variables
 * of 3.3.1) and a segment, it says what must hold after. It remembers nothing and changes nothing, so whoever
 * has a stack and a segment can ask it: the simulator before it hands a packet over, the explorer in each of
 * its worlds (stage.h plays the two against each other).
 *
 * Where the standard leaves room, the answer leaves it too: a set of states, "an acknowledgment now or within
 * half a second". Where tern decided (docs/ARCHITECTURE.md, tests/matrix/README.md: P1 to P19), the place
 * says so by that name.
 */
#ifndef SIM_SPEC_SPEC_H
#define SIM_SPEC_SPEC_H

#include "../packet.h"

#include <tern/stats.h>

/* What leaves for it, before any time passes. */
enum spec_reply {
    REPLY_ANY,       /* the standard does not say */
    REPLY_NONE,      /* nothing: it was dropped in silence, or there is nothing to be said */
    REPLY_SOON,      /* an acknowledgment now, or by a timer within half a second (MUST-40) */
    REPLY_ACK,       /* an acknowledgment now: <SEQ=SND.NXT><ACK=RCV.NXT> */
    REPLY_CHALLENGE, /* the same, but not more often than RFC 5961 7 allows */
    REPLY_SYNACK,
    REPLY_RST_ACK,   /* <SEQ=SEG.ACK><CTL=RST> */
    REPLY_RST_ZERO,  /* <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK> */
    REPLY_RST_NXT,   /* <SEQ=SND.NXT><CTL=RST>: data for nobody (SHLD-3) */
};

struct spec_expect {
    const char *rule;    /* what decided */
    uint32_t states;     /* bit 1 << state: it may be in one of these afterwards; CLOSED: nothing is left */
    enum spec_reply reply;
    bool same;           /* dropped: none of its variables changes */
    bool una_known, wnd_known, nxt_known, ts_known;
    uint32_t una, wnd;   /* SND.UNA, SND.WND */
    uint32_t nxt;        /* RCV.NXT, or more if something waited above it (`more`) */
    bool more;
    uint32_t ts_recent;
    int error;           /* what the program hears when this ends the connection; 0 = nothing */
    bool fin;            /* the peer's FIN is taken */
};

#define STATE_BIT(s) (1u << (s))

/* A segment for a connection in SYN_SENT or later. `passive`: its SYN_RCVD came from LISTEN. */
void spec_arrives(const tern_info *b, bool passive, const struct segment *s, struct spec_expect *e);

/* A segment for nobody: with a listener at its port, or without. */
void spec_stranger(bool listens, const struct segment *s, struct spec_expect *e);

/* 3.10.7.4 first: the four rows of the table. */
bool spec_acceptable(uint32_t nxt, uint32_t wnd, const struct segment *s);

/* Sequence numbers: how far a is ahead of b. */
static inline int32_t ahead(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

#endif
