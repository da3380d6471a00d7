/* tern.h - a TCP/IP stack that a program carries with it.
 *
 * One `tern` is one stack: addresses, routes, listeners, connections. All of its state lies in one block of
 * memory that the caller gives (the arena); nothing is allocated elsewhere. The stack is a function of its
 * inputs: packets (tern_rx), calls (socket.h), the time (`now`) and a seed. It reads no clock and calls
 * nothing back; the caller asks what happened (event.h) and takes what is to be sent (tern_tx).
 *
 *     link ──▶ tern_rx ──▶ records change ──▶ tern_events ──▶ program
 *     link ◀── tern_tx ◀── output decides  ◀── send/close ◀── program
 *                  tern_tick(now), at the latest at tern_next_deadline()
 *
 * Conventions of every public function:
 *  - `now` and every other time is in microseconds of one monotonic clock with an origin of the caller's
 *    choice. A `now` smaller than an earlier one is taken as the earlier one, and counted (stats.h,
 *    clock_went_back).
 *  - Functions that can fail return a negative TERN_E... value (equal to Linux's -errno), never set errno.
 *  - Ports and numbers are in host byte order; addresses are bytes in network order.
 *  - A stack is used by one thread at a time. Two stacks share nothing.
 */
#ifndef TERN_TERN_H
#define TERN_TERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Error values: the numbers are Linux's errno values on x86, so that strerror(-e) explains them there; they
 * are defined here because the core has no errno.h on a bare machine. */
enum {
    TERN_ENOENT = 2,          /* no such thing (an address, a route) */
    TERN_ENOEXEC = 8,         /* not an image of a stack (snapshot.h) */
    TERN_EBADF = 9,           /* stale or foreign handle */
    TERN_EAGAIN = 11,         /* nothing to do now; wait for the event */
    TERN_ENOMEM = 12,         /* the stack's memory is used up */
    TERN_EEXIST = 17,         /* it is there already */
    TERN_ENODEV = 19,         /* no such link */
    TERN_EINVAL = 22,         /* an argument out of its range */
    TERN_EPIPE = 32,          /* this side has closed its sending direction */
    TERN_ENODATA = 61,        /* the image is cut off */
    TERN_ENOSR = 63,          /* the ephemeral ports towards this remote have run out (tern_ports, stats.h) */
    TERN_EBADMSG = 74,        /* the image is damaged */
    TERN_EDESTADDRREQ = 89,   /* a link-local address without its zone, and several links could be meant */
    TERN_EMSGSIZE = 90,       /* larger than can ever fit */
    TERN_EPROTONOSUPPORT = 93, /* the image is of another version of its format */
    TERN_EOPNOTSUPP = 95,     /* the image is of another kind of machine, or another build */
    TERN_EADDRINUSE = 98,     /* port or 4-tuple taken */
    TERN_EADDRNOTAVAIL = 99,  /* not an address of this stack (any more) */
    TERN_ENETDOWN = 100,      /* the only way there is a link that is down, or the link was removed */
    TERN_ENETUNREACH = 101,   /* no route */
    TERN_ECONNABORTED = 103,  /* ended by this program's abort */
    TERN_ECONNRESET = 104,    /* ended by the peer's RST */
    TERN_ENOTCONN = 107,      /* not a connection, or not connected */
    TERN_ETIMEDOUT = 110,     /* ended by retransmissions, user timeout or keepalive */
    TERN_ECONNREFUSED = 111,  /* the peer refused with RST while opening */
    TERN_EHOSTUNREACH = 113,  /* ended or troubled by ICMP */
};

/* An IPv4 or IPv6 address. IPv4 is kept as ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so one path serves both. */
typedef struct tern_ip {
    uint8_t b[16];
} tern_ip;

/* Address and port. `zone` is a link's id, 0 = none named. It is part of an fe80::/10 address (RFC 4007 6):
 * the same one on two links is two addresses. A remote address of another kind may name with it the link that
 * it prefers while that is up; a listener with a zone hears that link only. */
typedef struct tern_endpoint {
    tern_ip ip;
    uint16_t port;
    uint16_t zone;
} tern_endpoint;

/* A name for a listener or connection: index and generation. 0 is never valid. A stale one gives
 * -TERN_EBADF. */
typedef struct tern_handle {
    uint64_t v;
} tern_handle;

typedef struct tern tern; /* opaque; lies at the start of the block given to tern_create */

/* a.b.c.d as a tern_ip. */
static inline tern_ip tern_ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return (tern_ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
}

/* Whether `ip` is an IPv4 address. It is six instructions, and compilers take it for many more. */
__attribute__((always_inline)) static inline bool tern_ip_is4(const tern_ip *ip)
{
    const uint8_t *b = ip->b; /* compilers make one load of each */
    uint64_t front = (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
                     (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
                     (uint64_t)b[7] << 56;
    uint32_t next = (uint32_t)b[8] | (uint32_t)b[9] << 8 | (uint32_t)b[10] << 16 | (uint32_t)b[11] << 24;
    return front == 0 && next == 0xffff0000u;
}

/* Settings of a stack. Zero in any field means the default named beside it. Checked once by tern_create. */
typedef struct tern_config {
    uint8_t seed[32];             /* all randomness: keys of ISNs, ports, hashes. Unpredictable in production.
                                     All zero is taken as it is (tests) */
    uint32_t page_size;           /* arena page and payload chunk, bytes, a power of two 1024..65536; default
                                     4096 */
    uint64_t budget;              /* hard ceiling of arena use, bytes; default: all of the block */
    uint32_t msl_ms;              /* maximum segment lifetime, 1..600000 ms; default 30000. TIME_WAIT lasts 2
                                     MSL (RFC 9293 3.6.1; the standard's arbitrary value is 2 minutes). Once
                                     the handle is released it may last longer by 1/1024 of that, and by the
                                     time that the handle was held; when the peer repeats its FIN, by 2 MSL
                                     more at most; never shorter, but for memory and the next field */
    uint32_t time_wait_max;       /* records in TIME_WAIT that no program holds: one more, and the oldest goes
                                     (TIME_WAIT_RECYCLED); default 0: as many as fit. They go, oldest first,
                                     before anything else is refused for want of memory */
    uint32_t rto_min_us;          /* lower bound of the retransmission timeout; default 200000 (RFC 6298 2.4
                                     asks for 1 s as a SHOULD; Linux uses 200 ms; documented deviation) */
    uint32_t rto_max_us;          /* upper bound, 1000000 at least; default 120000000 (RFC 6298 2.5 asks for
                                     60 s or more) */
    uint32_t delack_us;           /* delayed ACK; default 40000; below 500000 (RFC 9293 MUST-40) */
    uint32_t syn_retries_ms;      /* how long a SYN is repeated (R2 of 3.8.3); default 180000 (MUST-23: at
                                     least 3 min) */
    uint32_t synack_retries;      /* times a SYN+ACK is repeated; default 5 (about 63 s); at most 12 */
    uint32_t retries_ms;          /* how long unacknowledged data is repeated (R2); default 924600, about
                                     15 min (SHLD-11 asks for 100 s or more) */
    uint32_t fin_wait2_ms;        /* an orphan in FIN_WAIT_2 ends after this; default 60000 */
    uint32_t rest_ms;             /* a connection with nothing to do gives back its control block after this,
                                     and its retransmission timeout; default 1000; UINT32_MAX = only when
                                     memory is short */
    uint32_t send_buffer;         /* bytes queued per connection; default 262144 */
    uint32_t recv_buffer;         /* receive window offered at most, bytes; default 1048576; at most 1 GiB
                                     (RFC 7323) */
    uint16_t port_low, port_high; /* ephemeral range, inclusive; default 32768..60999 (RFC 6056) */
    uint8_t ttl;                  /* TTL and hop limit; default 64 */
    uint8_t ecn;                  /* TERN_ECN_...; default TERN_ECN_PASSIVE (RFC 3168) */
    uint8_t no_timestamps;        /* 1: never offer RFC 7323 timestamps */
    uint8_t no_wscale;            /* 1: never offer window scaling */
    uint8_t no_sack;              /* 1: never offer SACK (RFC 2018) */
    uint8_t iid_secret[16];       /* what IPv6 addresses are made with that the stack makes by itself (RFC
                                     7217): the same secret gives the same address on the same network. All
                                     zero: made from the seed */
    uint8_t unclaimed_rst;        /* TERN_RST_...: whether a segment for no connection of ours draws a RST
                                     (RFC 9293 3.10.7.1); default TERN_RST_YES */
    uint8_t by_steps;             /* 1: each segment goes through the ordered lists of RFC 9293 3.10.7, all
                                     headers through the general codec, also where there is a shorter way for
                                     what is usual: slower, and nothing else is different. For comparisons */
    void *trace;                  /* ring for trace records (event.h), 8-byte aligned, or NULL: no trace */
    uint32_t trace_records;       /* its size in records, a power of two */
} tern_config;

enum { TERN_ECN_PASSIVE = 0, TERN_ECN_ON = 1, TERN_ECN_OFF = 2 }; /* answer when asked; also ask; never */
enum { TERN_RST_YES = 0, TERN_RST_NO = 1 };                       /* answer with RST; stay silent */

/* The smallest block that tern_create accepts for this configuration, in bytes. cfg NULL = all defaults. */
size_t tern_min_size(const tern_config *cfg);

/* Make a stack in `memory` (16-byte aligned, `size` bytes, at most 64 GiB; owned by the stack until
 * tern_destroy). The memory need not be zeroed and untouched pages stay untouched, so a large lazily backed
 * mapping costs nothing. Errors: -TERN_EINVAL (a field out of range), -TERN_ENOMEM (block too small). */
int tern_create(tern **out, const tern_config *cfg, void *memory, size_t size);

/* Let the stack make and verify checksums of payload with this function (link.h), for instance one with the
 * vectors of this processor; NULL, and before the first call: with the core's own. It belongs to the process
 * and not to the stack: an image has none. */
void tern_set_sum(tern *t, uint64_t (*sum)(void *to, const void *from, size_t n));

/* End a stack. Nothing is sent; every handle is stale afterwards. The block is the caller's again. */
void tern_destroy(tern *t);

struct tern_rx_packet;
struct tern_tx_packet;

/* Receive a batch: `n` packets that arrived on a link (link.h). Each packet's `verdict` is set.
 * Acknowledgments are decided once per connection and batch and leave by tern_tx (RFC 9293 MUST-58, MUST-59).
 * Returns the number of packets taken by the stack (verdict TERN_TAKEN). */
int tern_rx(tern *t, uint64_t now, struct tern_rx_packet *pkts, int n);

/* Take what is to be sent now: fills at most `max` packets. Their slices point into the stack's memory and
 * stay valid until the next call on this stack. Returns the number filled; 0 = nothing more to send now. Call
 * until 0. */
int tern_tx(tern *t, uint64_t now, struct tern_tx_packet *pkts, int max);

/* How many more answers that need no connection (RST, SYN cookies, ACKs of TIME_WAIT) can wait for tern_tx;
 * those beyond are dropped and counted. Who hands over packets batch after batch calls tern_tx in between
 * when this is less than a batch. */
uint32_t tern_replies_room(const tern *t);

/* Run the timers that are due at `now`. After a jump of the clock each timer is due at most once. Also the
 * way to tell the stack the time before calls on sockets, which use the latest `now` seen. No call takes
 * long: at most 1024 timers are looked at, and at most 256 records in TIME_WAIT end. While more are due
 * tern_next_deadline names a time that is past, and the next call goes on. */
void tern_tick(tern *t, uint64_t now);

/* When tern_tick must be called at the latest (it may be early, never late); UINT64_MAX = no timer is armed.
 * 0 = output is waiting: call tern_tx. */
uint64_t tern_next_deadline(const tern *t);

/* Let several machines behind one address finish each other's handshakes by SYN cookies (RFC 4987 3.6): all
 * are given the same 16 secret bytes, and `shared_us`, what a clock that they share says now (us; to a few
 * seconds). The key before stays valid, so that keys can be changed on one machine after the other; a second
 * change ends it. Without this call keys are drawn from the seed, and an ACK is looked at only when this
 * stack has sent cookies lately. */
void tern_set_cookie_key(tern *t, const uint8_t key[16], uint64_t shared_us);

/* The latest `now` that this stack has been given. */
uint64_t tern_now(const tern *t);

/* A link as the stack knows it. */
typedef struct tern_link_info {
    uint32_t mtu;        /* largest IP packet, bytes, 576..65535 (1280 at least for IPv6) */
    uint32_t gso_max;    /* largest TCP payload handed over as one super-segment with gso_size; 0 = the link
                            cannot split */
    bool tx_csum;        /* the link fills in TCP checksums (csum_start, csum_offset) */
    bool ethernet;       /* what it carries are Ethernet frames (else IP packets): the stack finds out its
                            neighbours' addresses by itself (net.h). Stays as it is. Only then: */
    bool no_dad;         /* use addresses at once, without asking whether another host has them */
    bool autoconf;       /* IPv6 by itself: a link-local address, routers, prefixes, MTU (RFC 4862) */
    uint8_t hw[6];       /* its Ethernet address: not a group's, not all zero */
} tern_link_info;

/* Add a link. Returns its id, 1..15. Errors: -TERN_EINVAL, -TERN_ENOMEM (too many). */
int tern_link_add(tern *t, const tern_link_info *info);

/* Give a link an address with its on-link prefix (prefix_len of the address family: 0..32 or 0..128). Packets
 * to it are this stack's, whatever link they come by (a link-local one: by this link only); connections may
 * use it as source; its prefix is routed to the link. At most 64 addresses. Errors: -TERN_ENODEV (no such
 * link), -TERN_EINVAL (multicast, unspecified; IPv6 on a link with an MTU below 1280), -TERN_EEXIST,
 * -TERN_ENOMEM. */
int tern_addr_add(tern *t, int link, const tern_ip *ip, int prefix_len);

/* Route `dst`/`prefix_len` to a link; longest prefix wins, then what was added first. The same prefix by
 * several links: the first that is up is used. At most 64 routes (prefixes of addresses included). Errors as
 * tern_addr_add. By a gateway, and how all of this is changed and listed later: net.h. */
int tern_route_add(tern *t, int link, const tern_ip *dst, int prefix_len);

/* "0.1.0": the version of the library. */
const char *tern_version(void);

#ifdef __cplusplus
}
#endif
#endif
