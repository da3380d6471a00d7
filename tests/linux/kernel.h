/* kernel.h - the Linux kernel in tern's place: the scripts of tests/conversations played against it over a
 * TUN device, in a network namespace of its own, on the real clock.
 *
 *     script ──▶ check/: events, the peer's packets, the expectations
 *                  │ calls    ──▶ program.c ──▶ real sockets
 *                  │ packets  ──▶ device.c  ──▶ TUN ──▶ the kernel's TCP
 *                  ▼ states   ──▶ state.c   ──▶ /proc/net/tcp
 *
 * The first thing that the kernel does otherwise ends the script: what comes after it would only follow
 * from it.
 */
#ifndef LINUX_KERNEL_H
#define LINUX_KERNEL_H

#include <jansson.h>

#include "check/run.h"

struct kernel {
    int tun;
    uint64_t clock_zero; /* us of the real clock when the script's clock showed its start */
    json_t *differences; /* in options, so far; not owned */
    int real[SOCKS_MAX]; /* the descriptor behind each of run.h's; -1 */
};

/* Make the namespace, the device, the addresses, and set what the script's options ask for. Skips the script
 * when it asks for what Linux cannot be told. Exits with a message when the machine does not allow it. */
void device_open(struct run *r, struct kernel *k);

/* Read what the kernel has sent until `until_us` (the script's clock), or until the first segment. */
void device_wait(struct run *r, struct kernel *k, uint64_t until_us, bool stop);

/* The script's clock now. */
uint64_t device_now(const struct kernel *k);

/* A call of the program, by real sockets that never block; what blocks is tried again by run.c. */
struct answer program_call(struct run *r, struct kernel *k, const struct call_spec *c);
void program_close_all(struct run *r, struct kernel *k);

/* The state of a connection by name, as RFC 9293 calls it; CLOSED: there is none. */
const char *state_of(const struct run *r, int flow);
/* Linux's number of it, for tcpi_state. */
int state_number(const struct run *r, int flow);

#endif
