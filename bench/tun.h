/* tun.h - what the benchmarks over TUN share: a world of their own, the kernel's side, and who is measured.
 *
 *     bench_tun.c   the workloads, rounds, figures
 *     tun_world.c   namespace, device, the kernel's sender, receiver and clients, processor time
 *     tun_blind.c   the limits: what a TUN device allows to somebody who does next to nothing
 *     tun_tern.c    tern's side
 *
 * Both sides run on one core, pinned; what counts is what was done in a second of processor time of both.
 */
#ifndef BENCH_TUN_H
#define BENCH_TUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TUN_NAME "bench0"
#define TUN_BODY 128 /* bytes of an answer's body */

enum { TUN_QUEUES = 2 }; /* of a device with several (W8) */

/* The kernel's process, and what it does with 192.0.2.1. */
enum peer { PEER_SENDS, PEER_RECEIVES, PEER_WRK, PEER_WRK_CLOSE };

/* Somebody who serves at 192.0.2.1 (ports 9 and 80) of the device. */
struct side {
    const char *name; /* as in the output */
    /* Make it, and the device with it; those of W8 are made TUN_QUEUES times, a queue each. */
    void *(*open)(const char *device);
    /* Work until there is none, waiting a little for it first (10 ms at most). */
    void (*turn)(void *self);
    /* How much has been done: bytes, or requests answered. */
    uint64_t (*done)(const void *self);
    void (*close)(void *self);
};

/* --- tun_world.c */

/* Go into a network namespace of our own and to one core (-1: the last that we may use; -2: to all of them).
 * Exits when it cannot be. */
void world_enter(int core);
/* Open a queue of the device `name`, with headers of 10 bytes and all offloads; several: others may
 * follow. */
int world_tun(const char *name, bool several);
/* The device gets 192.0.2.2/24 and is up. */
void world_up(const char *name);
/* Start the kernel's process. */
pid_t world_peer(enum peer what);
void world_end_peer(pid_t pid);
/* Seconds of processor time of this process and of another one. */
double world_cpu(pid_t other);
/* Seconds since some moment. */
double world_clock(void);

/* The answer that every server gives, of *len bytes. */
const char *web_answer(bool closes, uint32_t *len);

/* --- tun_blind.c */
extern const struct side blind_sink, blind_sink_copy, blind_queue, blind_source, responder, responder_close;

/* --- tun_tern.c */
extern const struct side our_sink, our_sink_peek, our_queue, our_source, our_source_lend, our_web,
    our_web_close;

#endif
