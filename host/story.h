/* story.h - what happened between two sides, as a list that every printer reads: ladder, text, JSON, picture.
 *
 *     a simulated world: two sides,  ──┐                   ┌─▶ ladder.c      two life lines of text
 *     every arrival known              ├─▶ struct story ───┼─▶ ladder_svg.c  a picture
 *     the trace of one stack           │                   ├─▶ trace_text.c  one line an event
 *     (story_from_trace)             ──┘                   └─▶ trace_json.c  one object an event
 *
 * Items are in the order in which things happened. A segment is there twice where both ends are watched: when
 * it sets out (STORY_SEGMENT) and when it arrives (STORY_ARRIVAL, which points back). Seen from one stack
 * only, one time is known and the segment stands there once.
 */
#ifndef HOST_STORY_H
#define HOST_STORY_H

#include <tern/event.h>
#include <tern/stats.h>
#include <tern/tern.h>

#define STORY_UNKNOWN UINT64_MAX       /* nobody saw it */
#define STORY_LOST    (UINT64_MAX - 1) /* it never arrived */
#define STORY_NOWHERE UINT32_MAX

enum story_kind {
    STORY_SEGMENT, /* sets out (or, from the trace of one stack, was received) */
    STORY_ARRIVAL, /* the segment `of` arrives */
    STORY_STATE,   /* a state change */
    STORY_NOTE,    /* words */
};

enum story_side { STORY_LEFT, STORY_RIGHT, STORY_BOTH };

struct story_item {
    uint64_t t_us;
    uint64_t arrival_us; /* of a segment: when it arrives, STORY_UNKNOWN or STORY_LOST */
    uint8_t kind;        /* enum story_kind */
    uint8_t side;        /* enum story_side: who sends; whose state; whose words */
    uint8_t flags;       /* of the TCP header */
    uint8_t from, to;    /* enum tern_state */
    bool outsider;       /* sent by neither side (forged addresses) */
    bool again;          /* the segment was sent before */
    bool copy;           /* a second copy made by the path: arrives, was never sent */
    bool bulk;           /* one of many of its kind: a long run of such items is folded */
    bool hidden;         /* folded away */
    uint16_t cause;      /* enum tern_cause: why it was sent; the rule of a state change */
    uint16_t refused;    /* why the receiver dropped the segment; 0 = it did not */
    uint16_t mss;
    uint32_t conn;       /* connections of a story are numbered from 0; STORY_NOWHERE = not numbered */
    uint32_t seq, ack, len, wnd;
    uint32_t rseq, rack; /* relative to the initial numbers */
    uint32_t of;         /* STORY_ARRIVAL: index of the segment; STORY_SEGMENT: of its arrival, or
                            STORY_NOWHERE */
    uint32_t crowd;      /* not 0: belongs to that one of very many conversations alike, of which a few are
                            enough */
    uint16_t port[2];    /* of the left and the right side */
    const char *lost_why; /* static words; NULL */
    char *text;          /* STORY_NOTE; owned */
};

struct story {
    char *scenario, *part; /* names; part may be "" */
    char *title;           /* one line */
    char *name[2];         /* "A", "B" */
    char *addr[2];         /* in words; may be "" */
    uint64_t start_us;     /* printed times count from here */
    uint32_t conns;
    bool one_sided;        /* made from the trace of the left side alone */
    struct story_item *items;
    uint32_t n, cap;
};

void story_init(struct story *s, const char *scenario, const char *part, const char *title);
void story_free(struct story *s);

/* Name a side. */
void story_name(struct story *s, enum story_side side, const char *name, const char *addr);

/* A new, zeroed item at time t_us; valid until the next is added. */
struct story_item *story_add(struct story *s, enum story_kind kind, enum story_side side, uint64_t t_us);

/* A remark. */
void story_note(struct story *s, enum story_side side, uint64_t t_us, const char *text);

/* The story of one connection (trace records of one stack, oldest first; conn 0 = the one that the first
 * record names). The stack is the left side. */
void story_from_trace(struct story *s, const tern_trace_record *records, uint32_t n, uint64_t conn);

/* Hide what a reader need not see: of each run of more than `keep` ordinary items all but the first and the
 * last few, and of a crowd all but its first conversation. */
void story_fold(struct story *s, uint32_t keep);

/* Counts of what is hidden, to be told in one line. */
struct story_tally {
    uint64_t bytes[2], data[2], acks, syns, crowd;
};

void story_tally_add(struct story_tally *t, const struct story_item *i);

/* "719 segments from B (1,036,936 bytes), 367 ACK". False (and an empty text): nothing to say. */
bool story_tally_text(const struct story *s, const struct story_tally *t, char *buf, size_t len);

/* A state change as the standard tells it. A stack keeps records: a half-open one is made from nothing while
 * the listener stays, and goes. The standard says that LISTEN becomes SYN_RCVD and, after a reset, SYN_RCVD
 * becomes LISTEN again. */
void story_edge(uint16_t cause, uint8_t *from, uint8_t *to);

/* Whether a record of the trace only tells of such bookkeeping, and of no edge of the standard's diagram. */
bool story_edge_hidden(uint16_t cause, uint8_t from);

/* "SYN,ACK": flags in the order of their bits, which is what the JSON says. Returns buf. */
const char *story_flags(uint8_t flags, char buf[40]);

/* "1,234,567": a number with its thousands apart. Returns buf. */
const char *story_number(uint64_t v, char buf[32]);

/* "SYN,ACK seq 0 ack 1": a segment in few words, numbers relative. Returns buf. */
const char *story_segment_text(const struct story *s, const struct story_item *i, char *buf, size_t len);

/* Name of who sent a segment: of the side, or X for an outsider. */
const char *story_from(const struct story *s, const struct story_item *i);

#endif
