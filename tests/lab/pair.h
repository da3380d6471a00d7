/* pair.h - two stacks, A and B, joined by a path that loses, delays, reorders and doubles packets by a seed,
 * and a program on each that writes and reads all it can. For bulk transfers and sweeps over seeds.
 *
 *   A connects to B's port 80. Each byte that a program gets is compared with what the other wrote.
 */
#ifndef LAB_PAIR_H
#define LAB_PAIR_H

#include "lab/lab.h"

struct pair;

struct pair_config {
    uint64_t seed;
    tern_config stack[2]; /* the seeds are made from `seed` */
    uint32_t delay_us;    /* one way; default 5 ms */
    uint32_t jitter_us;
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    uint32_t reorder_us; /* how much later a reordered packet comes; default 3 ms */
    bool cut;            /* super-segments are cut before the path harms them */
    uint32_t gso;        /* super-segments up to this many bytes; 0 = none */
    uint32_t mtu;        /* default 1500 */
    size_t memory;       /* of each stack; default 16 MiB */
    uint64_t start;      /* the first `now`; default 1 s */
    bool unchecked;      /* no tcp_check_all (for very long runs) */
    bool v6;
    /* Looked at for each packet that `from` sends; true = lost. */
    bool (*drop)(struct pair *p, int from, const struct segment *s);
    uint64_t drop_state; /* for `drop` */
};

struct pair_end {
    tern *t;
    void *block;
    int link;
    tern_ip ip;
    tern_handle listener, h;
    uint64_t to_write, wrote, read; /* bytes */
    bool shut_when_written;         /* shutdown after the last byte */
    bool did_shut;
    bool idle_reader; /* does not read */
    bool eof;
    long error;                /* of send or recv, other than EAGAIN */
    uint64_t segments, resets; /* sent; resets while it was not CLOSED */
};

struct pair {
    struct pair_config cfg;
    struct pair_end e[2];
    uint64_t now;
    uint64_t rng;
    struct pair_packet *heap;
    size_t n, cap;
    uint64_t order;
    uint64_t lost, sent;
    uint8_t *bytes; /* of the streams, and room to read into */
};

enum { A, B };

struct pair *pair_new(const struct pair_config *cfg);

/* B listens, A connects, both are ESTABLISHED and B has accepted (or the test fails). */
void pair_open(struct pair *p);

/* Let one event happen (a packet, a timer). False: nothing is under way and no timer is armed, or the next is
 * after `until`. */
bool pair_step(struct pair *p, uint64_t until);
void pair_run(struct pair *p, uint64_t us);

/* Go on until `done` says so; the test fails after `us`. */
void pair_until(struct pair *p, bool (*done)(struct pair *p), uint64_t us);

/* Both programs have written and read all, and seen the end. */
bool pair_transferred(struct pair *p);

/* After calls on a stack: take what it sends. */
void pair_flush(struct pair *p);

tern_info pair_info(struct pair *p, int end);
enum tern_state pair_state(struct pair *p, int end);

/* Close what is open, let all time pass, assert that nothing is alive on either side. */
void pair_end(struct pair *p);

void pair_fail(struct pair *p, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
#define PAIR_CHECK(p, x)                                                      \
    do {                                                                      \
        if (!(x))                                                             \
            pair_fail(p, "%s:%d: does not hold: %s", __FILE__, __LINE__, #x); \
    } while (0)

#endif
