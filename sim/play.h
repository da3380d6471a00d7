/* play.h - the stage on which scenarios are played: parts, promises, and the verbs of which their stories are
 * told.
 *
 * A scenario is one function in a scene_*.c: it builds a world, lets programs act, says what a watcher must
 * see, and never looks into a stack. Each part of it has a world of its own; at its end the oracle judges it.
 */
#ifndef SIM_PLAY_H
#define SIM_PLAY_H

#include "explain.h"
#include "oracle.h"
#include "packet.h"
#include "path.h"
#include "program.h"
#include "host/json_line.h"
#include "host/story.h"

enum { PORT = 80 };

struct promise {
    char *text;
    bool ok;
    /* A path of states that the oracle's model must have seen; checked when the part is judged. */
    uint8_t *states; /* ends with TERN_STATES; NULL = not such a promise */
    int host;
    tern_endpoint local, remote;
};

struct part {
    struct story story;
    struct verdict verdict;
    LIST(struct promise) promises;
    LIST(char *) lines; /* text to print below the ladder: tables, what tern ss says */
    bool ok;
};

struct play {
    const struct scenario *scenario;
    uint64_t seed;
    uint64_t clock_us; /* where the next part's clock begins */
    struct pcapng *pcap;    /* where the packets of all parts go; NULL = nowhere */
    uint64_t pcap_shift_us; /* added to their times */
    uint32_t pcap_interfaces;
    struct world_watch watch; /* what is done with the world of each part */
    bool on;           /* a part is being played in `w` */
    struct world w;
    LIST(struct part) parts;
    bool ok;
};

struct scenario {
    const char *name;
    const char *title;     /* one line */
    const char *documents; /* what the articles say */
    const char *decides;   /* where they are loose: what RFC 9293 says; NULL */
    void (*play)(struct play *p);
};

/* All scenarios in the order of the story; ends with a NULL name. */
const struct scenario *scenarios(void);
const struct scenario *scenario_find(const char *name);

/* Play a scenario: p->parts, p->ok. */
void play_run(struct play *p, const struct scenario *scenario, uint64_t seed);
/* The same, and the packets go to `pcap`, after those of an earlier play of which it has some (NULL:
 * none). */
void play_run_captured(struct play *p, const struct scenario *scenario, uint64_t seed, struct pcapng *pcap,
                       const struct play *earlier);

/* The same in worlds that are watched, whose clock begins at `clock_us` (0 = 1 s). */
void play_run_watched(struct play *p, const struct scenario *scenario, uint64_t seed, uint64_t clock_us,
                      struct world_watch watch);
void play_free(struct play *p);

/* The first promise that did not hold, or the oracle's first complaint; NULL. */
const char *play_failed(const struct play *p);

/* Everything that happened, as trace_json.h says it, with the verdict as the last line. */
void play_json(const struct play *p, struct json_lines *out);

/* --- verbs of the scenarios ------------------------------------------------------------------ */

/* A new part: the old one is judged, a new world begins. `setup` NULL: defaults. Its seed and clock are
 * filled in here. */
void play_part(struct play *p, const char *name, const char *title, const struct world_setup *setup);

/* What must be seen. The text says it as a fact. */
void promise(struct play *p, bool ok, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The connection of this end goes through exactly these states, judged by the wire: goes(p, e, TERN_CLOSED,
 * TERN_SYN_SENT). */
#define goes(p, e, ...) promise_states(p, (e)->host, e, (const uint8_t[]){__VA_ARGS__, TERN_STATES})
void promise_states(struct play *p, int host, const struct end *e, const uint8_t *states);

/* A remark in the ladder; a line below it. */
void remark(struct play *p, int host, const char *format, ...) __attribute__((format(printf, 3, 4)));
void line(struct play *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* B listens, A connects, the handshake runs, B accepts. False when that did not work (a promise has failed
 * then). */
struct pair {
    struct end *listener, *a, *b;
};
bool open_pair(struct play *p, struct pair *c);

/* The same by the choice of ports and a listener that is there already (NULL: it is made); `port` is A's, 0 =
 * any. */
bool open_pair_from(struct play *p, struct pair *c, struct end *listener, uint16_t port);

/* Let things happen until this end is in that state (or its record has gone, for CLOSED). Fails a promise
 * after 10 minutes. */
bool reaches(struct play *p, struct end *e, enum tern_state state);

/* ... until its program was told one of `bits`. */
bool hears(struct play *p, struct end *e, uint32_t bits);

/* ... until a segment with these flags has arrived at (or been lost on the way to) the other host; `clear` as
 * in path_find. */
bool until_arrived(struct play *p, int from, uint8_t set, uint8_t clear);

/* ... until `us` have passed; until nothing is going on any more. */
void pass(struct play *p, uint64_t us);
void settle(struct play *p);

/* Move a stream of `len` bytes from one end to the other. True when all has been read. */
bool pump(struct play *p, struct end *from, struct end *to, uint64_t len);

/* Everything that `to` has read is what `from` has given, from its first byte. */
bool same_bytes(const struct play *p, const struct end *from, const struct end *to);

/* The n-th segment of a host with flags `set` and without `clear`; all zero when there is none. */
struct segment nth(const struct play *p, int from, uint8_t set, uint8_t clear, uint32_t n);
uint32_t count(const struct play *p, int from, uint8_t set, uint8_t clear);

/* When that segment was sent; NEVER. */
uint64_t when_sent(const struct play *p, int from, uint8_t set, uint8_t clear, uint32_t n);

/* Lose the next `n` (0 = all) segments of a host that match; the words stand beside the broken arrow. */
void lose_next(struct play *p, int from, uint8_t set, uint8_t clear, uint32_t n, const char *words);

/* Lose pure acknowledgments: no data, SYN, FIN or RST. */
void lose_acks(struct play *p, int from, uint32_t n, const char *words);

/* All is over: both ends of a pair are CLOSED and nothing is left of them. */
void promise_nothing_left(struct play *p, int host);

#endif
