/* move.h - what can happen next in a world: the moves of the explorer.
 *
 * A move is a number of 16 bits: what in the upper byte, which one in the lower. The list of a world's moves
 * is in a fixed order, so a path is a list of numbers, and means the same each time it is walked.
 */
#ifndef EXPLORE_MOVE_H
#define EXPLORE_MOVE_H

#include "duo.h"

enum move_kind {
    MOVE_DELIVER,   /* segment number `arg` of those under way arrives */
    MOVE_CALL,      /* arg: side << 4 | enum call_kind */
    MOVE_TIME,      /* the timer that is due first fires */
    MOVE_LOSE,      /* a segment is lost */
    MOVE_DUPLICATE, /* a second copy of it is under way */
    MOVE_EARLY,     /* the next timer of side `arg` fires, though it is early */
    MOVE_CUT,       /* the wire is cut */
    MOVE_REFUSE,    /* a router refuses a segment: ICMP arrives at its sender */
    MOVE_WAIT,      /* a second and a half pass, and what was due until then happens */
    MOVE_PROBE,     /* something is tried, and then the world is given up (probe.h) */
    MOVE_KINDS
};

enum call_kind {
    DO_LISTEN,
    DO_CONNECT,
    DO_ACCEPT,
    DO_SEND, /* one byte */
    DO_RECV, /* all there is */
    DO_SHUTDOWN,
    DO_CLOSE,
    DO_ABORT,
    DO_UNLISTEN,
    DO_NEXT_SYN,
    DO_SYN_ACCEPT,
    DO_SYN_REJECT,
    DO_SYN_IGNORE,
    DO_REMOVE, /* the side's address, or its link */
    CALLS
};

enum { MOVES_MOST = 4 * FLYING_MOST + 2 * CALLS + 8 };

#define MOVE(kind, arg) ((uint16_t)((kind) << 8 | (arg)))
static inline enum move_kind move_kind(uint16_t m) { return (enum move_kind)(m >> 8); }
static inline uint32_t move_arg(uint16_t m) { return m & 0xff; }

/* The moves that may be possible now, at most MOVES_MOST; of segments that are the same to their receiver the
 * first. */
int moves_list(struct duo *d, uint16_t out[MOVES_MOST]);

/* Make a move. False: it is not possible after all, and the world is not to be used (put a mark back). */
bool move_make(struct duo *d, uint16_t move);

/* Whether programs and network would behave if this were the next move, and how soon they would make it: the
 * lower the sooner. MANNERS_NEVER: they would not. Network that loses nothing; programs that read, close when
 * they have read the end, and wait for it. */
enum { MANNERS_NEVER = 255 };
uint8_t move_manners(const struct duo *d, uint16_t move);

/* "A's program connects": the move in words, before it is made. */
void move_text(const struct duo *d, uint16_t move, char *buf, uint32_t len);

/* actor.c: a program makes a call. False: not possible now. */
bool call_make(struct duo *d, int side, enum call_kind call);
/* whether the program would think of it */
bool call_possible(const struct duo *d, int side, enum call_kind call);
const char *call_text(enum call_kind call);

#endif
