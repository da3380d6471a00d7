/* lend.h - a few stacks on one net, whose programs and links lend memory. Memory that comes back is
 * overwritten at once (and poisoned, when AddressSanitizer is there), so whoever still refers to it is seen.
 *
 *   host 0 ── host 1 ── host 2       192.0.2.1, .2, .3; packets take 1 ms, and may be lost, late or doubled
 *
 * Each host has two regions: receive memory in slots (a packet each; some packets come in memory that cannot
 * be lent), and slots of the program for tern_lend, whose tag is the slot's number. After each step every
 * invariant of check.c is checked.
 */
#ifndef LAB_LEND_H
#define LAB_LEND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/event.h>
#include <tern/lent.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>
#include <tern/tern.h>

enum {
    LEND_HOSTS = 3,
    LEND_RX = 2048,   /* bytes of a receive slot */
    LEND_RX_SLOTS = 160,
    LEND_TX = 8192,   /* bytes of a slot of the program */
    LEND_TX_SLOTS = 96,
    LEND_WIRE = 4096,
};

struct lend_host {
    tern *t;
    void *block;
    tern_ip ip;
    uint8_t *rx, *tx; /* the two regions */
    int rx_region, tx_region;
    bool rx_out[LEND_RX_SLOTS], tx_out[LEND_TX_SLOTS];
    uint32_t rx_short; /* times that there was no slot, and memory was asked back */
    uint32_t returned; /* tags that came back */
    tern_lent last;    /* the last of them */
    uint32_t told;     /* TERN_RETURNED events */
};

struct lend_packet {
    uint64_t due;
    uint8_t *bytes;
    uint32_t len;
};

struct lend_net {
    struct lend_host host[LEND_HOSTS];
    uint64_t now;
    uint64_t dice;
    uint32_t lose, late, twice; /* in 256 */
    uint32_t plain;             /* in 256: packets whose memory cannot be lent */
    struct lend_packet wire[LEND_WIRE];
    int n_wire;
};

/* `cfg` (NULL: defaults) is for all three. */
void lend_begin(struct lend_net *n, uint64_t seed, const tern_config *cfg);
/* All time passes; nothing must be left alive, and every slot must have come back. */
void lend_end(struct lend_net *n);

/* What is to be sent leaves, 1 ms passes, what is due arrives, timers run, memory comes back. */
void lend_step(struct lend_net *n);
void lend_steps(struct lend_net *n, uint32_t steps);
/* Connect host `from` to host `to`, over a clean path. */
void lend_connect(struct lend_net *n, int from, int to, tern_handle *client, tern_handle *server);

uint32_t lend_dice(struct lend_net *n, uint32_t below);

/* Byte `pos` of a stream. */
uint8_t lend_byte(uint32_t stream, uint64_t pos);
/* The program of a host lends the bytes of a stream from `pos` on, at most `len` (at most LEND_TX). Returns
 * what tern_lend does; -TERN_EAGAIN when no slot is free. */
long lend_lend(struct lend_net *n, int host, tern_handle h, uint32_t stream, uint64_t pos, uint32_t len,
               unsigned flags);
/* The same by copying. */
long lend_send(struct lend_net *n, int host, tern_handle h, uint32_t stream, uint64_t pos, uint32_t len);
/* These bytes are the stream's. */
void lend_same(const uint8_t *bytes, size_t len, uint32_t stream, uint64_t pos);
/* Fetch what came back, and overwrite it. */
void lend_fetch(struct lend_net *n, int host);

#endif
