/* socket.h - listeners and streams.
 *
 * A handle names one listener or one connection until tern_close or tern_abort releases it. A connection that
 * has ended (reset, timed out, closed in order) keeps its handle in state CLOSED, with its reason, until it
 * is released: nothing dangles and nothing is lost. Calls use the latest `now` the stack has seen (tern_tick
 * tells it).
 *
 * A call on a connection at rest (tern_config.rest_ms) needs memory to wake it. It may use what is kept back
 * for such; when even that is used up it gives -TERN_ENOMEM, nothing has changed, and the same call can be
 * made again later. tern_close and tern_abort release the handle all the same, and the connection ends as
 * soon as there is memory. tern_get_info and tern_walk never need any.
 *
 * What the calls do by state is RFC 9293 3.9.1 and 3.10.1 to 3.10.6; tests/matrix/calls.tsv has every cell.
 */
#ifndef TERN_SOCKET_H
#define TERN_SOCKET_H

#include "link.h"
#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Listen at a local address and port (passive OPEN, RFC 9293 3.10.1). Address all zero: any address of the
 * stack, both families. `backlog` bounds half-open records and the accept queue each (1..1<<24; 0 = 128).
 * When either is full a new SYN (or its last ACK) draws silence, so that the peer tries again. Errors:
 * -TERN_EADDRINUSE (a listener is there), -TERN_EADDRNOTAVAIL (not an address of the stack), -TERN_EINVAL
 * (port 0), -TERN_ENOMEM. */
int tern_listen(tern *t, const tern_endpoint *local, uint32_t backlog, tern_handle *out);

/* Other ways to listen, for programs that end other people's connections (VPNs, proxies). */
enum {
    TERN_LISTEN_ANY_PORT = 1, /* at every port: local.port is 0 */
    TERN_LISTEN_FOREIGN = 2,  /* addresses need not be the stack's: with an address all zero, any that packets
                                 given to tern_rx are for. Such packets are no more unclaimed when they
                                 belong to this listener or to what it accepted; fragments are, always */
    TERN_LISTEN_DEFER = 4,    /* a SYN is not answered but shown to the program (tern_next_syn) */
};

/* tern_listen with `flags` of TERN_LISTEN_... The listener that fits best gets a SYN: one of its port before
 * one of any port, then one of its address before one of any, then one of its zone. Errors as tern_listen;
 * -TERN_EINVAL also for a port with TERN_LISTEN_ANY_PORT or an unknown flag. */
int tern_listen_as(tern *t, const tern_endpoint *local, uint32_t backlog, unsigned flags, tern_handle *out);

/* A SYN that waits for the program's word: at most 30 s to be looked at and 30 s to be decided, then it is
 * forgotten. Meanwhile nothing is sent, and the same SYN again is the same one. */
typedef struct tern_syn {
    tern_handle handle;
    tern_endpoint local, remote;
    uint64_t arrived_us;
    uint16_t mss;                /* the peer's option, or the default */
    bool wscale, sack, timestamps, ecn; /* both sides can */
} tern_syn;

/* Take the oldest SYN that waits at a listener with TERN_LISTEN_DEFER (TERN_SYN_WAITS tells when). Errors:
 * -TERN_EAGAIN (none), -TERN_EBADF, -TERN_EINVAL (not such a listener). */
int tern_next_syn(tern *t, tern_handle listener, tern_syn *out);

/* Accept it: a connection in SYN_RCVD whose SYN+ACK leaves with the next tern_tx; `data` as by tern_set_data.
 * TERN_CONNECTED tells that it is open, TERN_ENDED that it is not to be. Errors: -TERN_EBADF (the peer has
 * left, or it is forgotten), -TERN_ENOMEM (it waits on). */
int tern_syn_accept(tern *t, tern_handle syn, uint64_t data, tern_handle *out);

/* Refuse it with RST, as a closed port does; or forget it: the peer's next try is a new SYN. Error:
 * -TERN_EBADF. */
int tern_syn_reject(tern *t, tern_handle syn);
int tern_syn_ignore(tern *t, tern_handle syn);

/* Take the oldest established connection off the accept queue. It may have ended meanwhile; then its recv
 * says how. Errors: -TERN_EAGAIN (none waiting), -TERN_EBADF, -TERN_EINVAL (not a listener). */
int tern_accept(tern *t, tern_handle listener, tern_handle *out);

/* Open a connection (active OPEN). `local` NULL, or with address all zero or port 0: the stack chooses
 * (source address by route, RFC 9293 MUST-44; port by RFC 6056). The SYN leaves with the next tern_tx;
 * TERN_CONNECTED tells the end. Errors: -TERN_EINVAL (port 0; a broadcast, multicast or unspecified remote,
 * MUST-46), -TERN_EADDRINUSE (this 4-tuple exists or is in TIME_WAIT), -TERN_ENOSR (the ephemeral ports
 * towards this remote have run out, and of those in TIME_WAIT none can be opened anew safely: tern_ports,
 * stats.h), -TERN_EADDRNOTAVAIL (not our address), -TERN_ENETUNREACH, -TERN_ENOMEM. A source route cannot be
 * given: a documented deviation from MUST-51 and so from MUST-52 (docs/ARCHITECTURE.md). */
int tern_connect(tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_handle *out);

enum {
    /* more follows at once: do not send a small segment yet (cleared by the next send without it) */
    TERN_MORE = 1,
    /* the last byte of this call ends urgent data (RFC 9293 3.8.5; new programs should not, SHLD-13) */
    TERN_URG = 2,
};

/* Queue up to `len` bytes to send. Returns how many were taken (>= 1; fewer than len when the buffer is
 * nearly full). In SYN_SENT and SYN_RCVD bytes are queued and leave after ESTABLISHED. Errors: -TERN_EAGAIN
 * (no room in its buffer, or no memory in the stack: wait for TERN_WRITABLE), -TERN_EPIPE (this side was shut
 * down), -TERN_ENOTCONN (a listener), -TERN_EBADF, or the reason that ended the connection (-TERN_ECONNRESET,
 * -TERN_ECONNREFUSED, -TERN_ETIMEDOUT, -TERN_EHOSTUNREACH). */
long tern_send(tern *t, tern_handle h, const void *data, size_t len, unsigned flags);

/* Copy out up to `len` received bytes in order. Returns the count; 0 = the peer has closed and all was read
 * (also when len is 0 and there is nothing to say). Reading opens the receive window. Errors: -TERN_EAGAIN
 * (nothing yet), -TERN_ENOTCONN (a listener), -TERN_EBADF, or the reason that ended the connection, after the
 * bytes that came before are read (also before a reset: RFC 9293 3.10.7.4 would drop them). */
long tern_recv(tern *t, tern_handle h, void *buf, size_t len);

/* Look at received bytes in place: fills at most `max` slices, returns how many. They are valid until the
 * next call on this stack. 0 slices and the errors as tern_recv (0 = end of stream). */
int tern_peek(tern *t, tern_handle h, tern_slice *slices, int max);

/* Drop `n` bytes from the front of what was received (n at most what tern_peek showed in all). Opens the
 * window. Errors: -TERN_EINVAL (more than is there), -TERN_EBADF, -TERN_ENOTCONN. */
int tern_consume(tern *t, tern_handle h, size_t n);

/* Close the sending direction after what is queued: FIN (RFC 9293 3.10.4). Receiving goes on. Calling it
 * again is fine. Errors: -TERN_ENOTCONN (listener, or ended), -TERN_EBADF. */
int tern_shutdown(tern *t, tern_handle h);

/* Close and release the handle. A connection ends in order: what is queued is sent, then FIN; with bytes
 * unread it is reset instead (RFC 9293 SHLD-3), with linger 0 too; but not in CLOSING and LAST_ACK, where
 * both sides have closed: the FIN is repeated there until it is acknowledged (tern_abort would delete the
 * connection at once). A listener's half-open and unaccepted children are reset. Error: -TERN_EBADF. */
int tern_close(tern *t, tern_handle h);

/* Reset (RFC 9293 3.10.5) and release the handle. Error: -TERN_EBADF. */
int tern_abort(tern *t, tern_handle h);

/* Options of a connection (set on a listener, they are inherited by what it accepts). */
enum tern_option {
    TERN_OPT_NODELAY,         /* 0/1; 1 = Nagle off (MUST-17). Default 0 (Minshall's form of Nagle) */
    TERN_OPT_QUICKACK,        /* 0/1; 1 = never delay an ACK. Default 0 (quick at the start, then delayed) */
    TERN_OPT_KEEPALIVE,       /* 0/1; default 0 (MUST-25) */
    TERN_OPT_KEEPIDLE_MS,     /* quiet time before the first probe; default 7200000 (MUST-28); 1 and up */
    TERN_OPT_KEEPINTVL_MS,    /* between probes; default 75000; 1 and up */
    TERN_OPT_KEEPCNT,         /* unanswered probes until the peer counts as dead; default 9; 2..255
                                 (MUST-29) */
    TERN_OPT_USER_TIMEOUT_MS, /* data without acknowledgment ends the connection after this (MUST-21); 0 = the
                                 stack's retries_ms; UINT32_MAX = never. A shut window does not end it while
                                 the peer answers probes (MUST-37) */
    TERN_OPT_LINGER0,         /* 0/1; 1 = tern_close resets */
    TERN_OPT_SEND_BUFFER,     /* bytes, 1024..1<<30 */
    TERN_OPT_RECV_BUFFER,     /* bytes, 1024..1<<30; the window scale is fixed at the SYN: set large ones
                                 before */
    TERN_OPT_DSCP,            /* 0..63: Diffserv field of what is sent (MUST-48, SHLD-21) */
    TERN_OPT_TTL,             /* 1..255: TTL or hop limit (MUST-49) */
    TERN_OPT_ECN,             /* TERN_ECN_... for a connection whose SYN has not left, or a listener */
    TERN_OPT_REPORTS,         /* 0/1; 1 = soft errors raise TERN_SOFT_ERROR. Default 1 (SHLD-20) */
    TERN_OPT_MAX_SEG,         /* 88..65495: upper bound of the MSS used and offered; 0 = by MTU */
    TERN_OPT_COOKIES,         /* TERN_COOKIES_...; of a listener only */
};

/* SYN cookies (RFC 4987 3.6): when a listener answers a SYN without keeping anything. The peer notices
 * nothing but this: its MSS is rounded down to one of eight values, and without timestamps window scaling,
 * SACK and ECN are not agreed. A SYN+ACK that is lost is not repeated by itself. */
enum {
    TERN_COOKIES_AUTO = 0,   /* when the backlog is full, memory is short, or the source has its share */
    TERN_COOKIES_ALWAYS = 1,
    TERN_COOKIES_NEVER = 2,  /* instead: the oldest record whose SYN+ACK was repeated makes room, or
                                silence */
};

/* Set an option. Errors: -TERN_EBADF, -TERN_EINVAL (value out of range, unknown, or a listener's option for a
 * connection). */
int tern_setopt(tern *t, tern_handle h, enum tern_option opt, uint32_t value);

/* Read an option. Errors: -TERN_EBADF, -TERN_EINVAL. */
int tern_getopt(tern *t, tern_handle h, enum tern_option opt, uint32_t *value);

/* Attach a number of the program's own to a handle; tern_events gives it back. Error: -TERN_EBADF. */
int tern_set_data(tern *t, tern_handle h, uint64_t data);

#ifdef __cplusplus
}
#endif
#endif
