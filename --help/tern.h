/* tern.h of tern 0.1.0, a TCP/IP stack that a program carries with it. Made from the sources
 * by scripts/amalgamate.py: change those. docs/EMBED.md says how to use it.
 *
 * MIT License
 *
 * Copyright (c) 2026 The tern authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy
 * of this software and associated documentation files (the "Software"), to deal
 * in the Software without restriction, including without limitation the rights
 * to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 * copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 */
#ifndef TERN_H
#define TERN_H

/* ================================================================================= include/tern/tern.h */

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

/* Whether `ip` is an IPv4 address. */
static inline bool tern_ip_is4(const tern_ip *ip)
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
    uint8_t unclaimed_rst;        /* TERN_RST_...: whether a segment for no connection of ours draws a RST
                                     (RFC 9293 3.10.7.1); default TERN_RST_YES */
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
 * tern_addr_add. How all of this is changed and listed later: net.h. */
int tern_route_add(tern *t, int link, const tern_ip *dst, int prefix_len);

/* "0.1.0": the version of the library. */
const char *tern_version(void);

#ifdef __cplusplus
}
#endif
#endif

/* ================================================================================ include/tern/event.h */

/* event.h - what happened: readiness for the program, and the trace for people.
 *
 * Readiness is bits on the connection's record, linked in a list: asking twice gives the union, nothing
 * overflows, and no program code runs inside the stack.
 *
 * The trace is a ring of fixed-size binary records, one for every event named in events.def. host/ prints
 * them as text, JSON, ladders; the core never makes text.
 */
#ifndef TERN_EVENT_H
#define TERN_EVENT_H


#ifdef __cplusplus
extern "C" {
#endif

enum {
    TERN_READABLE = 1,     /* recv will give bytes, end of stream or an error */
    TERN_WRITABLE = 2,     /* tern_send will take at least one byte, or say why the connection has ended.
                              Raised after a send found no room: memory for that byte is then kept for one
                              second, or until the connection rests. Also at connect and accept, when there
                              is memory; but none is kept, since that would be a page for each that only
                              listens */
    TERN_CONNECTED = 4,    /* the connection is ESTABLISHED (by connect) */
    TERN_ACCEPTABLE = 8,   /* a listener has a connection to accept */
    TERN_PEER_CLOSED = 16, /* the peer's FIN arrived: it will send no more (said at once, RFC 9293 3.6) */
    TERN_ENDED = 32,       /* the connection is CLOSED; info says why (tern_info.reason). Release the
                              handle */
    TERN_URGENT = 64,      /* urgent data is announced (RFC 9293 MUST-32) */
    TERN_SOFT_ERROR = 128, /* trouble reported: ICMP, or many retransmissions (MUST-47, SHLD-9); info has
                              it */
    TERN_RETURNED = 256,   /* lent buffers have come back: tern_returned has their tags (lent.h). Of the whole
                              stack: the event's handle is 0 */
    TERN_SYN_WAITS = 512,  /* a listener that defers has a SYN for tern_next_syn */
};

typedef struct tern_event {
    tern_handle handle;
    uint64_t data;  /* tern_set_data */
    uint32_t bits;  /* TERN_READABLE | ... : what became true since the last time this handle was reported */
} tern_event;

/* Take the handles for which something happened: at most `max`. Returns the count. Edge-triggered: a bit is
 * reported when it becomes true; the calls' -TERN_EAGAIN says when to wait again. */
int tern_events(tern *t, tern_event *out, int max);

/* The kinds of trace records; events.def says what each carries. */
enum tern_trace_kind {
    TERN_TRACE_NONE,
#define TRACE_EVENT(name, text) TERN_TRACE_##name,
/* events.def - every event of the trace, one line: TRACE_EVENT(name, what it says and what a, b, c carry). */
TRACE_EVENT(SEG_IN, "segment received; state = before")
TRACE_EVENT(SEG_OUT,
            "segment sent; a = 1 when (part of) it was sent before, 2 when a probe; cause = why it was sent")
TRACE_EVENT(STATE, "state change; cause = the rule (edges and causes share one numbering)")
TRACE_EVENT(DROP, "segment refused; cause = why")
TRACE_EVENT(CALL, "a call of the program; a = enum tern_call, b = argument (bytes), c = result")
TRACE_EVENT(TIMER_SET, "timer armed; a = enum tern_timer, b = deadline us")
TRACE_EVENT(TIMER_FIRED, "timer fired; a = enum tern_timer, b = how often in a row")
TRACE_EVENT(LOSS, "segment taken for lost; seq, len; cause = by which rule")
TRACE_EVENT(CWND, "congestion window changed; a = cwnd, b = ssthresh, c = bytes in flight")
TRACE_EVENT(RTT, "round trip measured; a = sample us, b = srtt us, c = rto us")
TRACE_EVENT(WINDOW, "send window changed; a = new, b = old")
TRACE_EVENT(DELIVER, "bytes made readable in order; a = bytes, b = unread in all")
TRACE_EVENT(ICMP, "ICMP about this connection; a = type, b = code")
TRACE_EVENT(OPENED, "connection record made; cause = by what")
TRACE_EVENT(RELEASED, "connection record gone; cause = reason of its end")
#undef TRACE_EVENT
    TERN_TRACE_KINDS
};

/* One trace record, 128 bytes. What a kind does not use is zero; events.def says what a, b, c mean. */
typedef struct tern_trace_record {
    uint64_t t_us;      /* when, the stack's clock */
    uint64_t conn;      /* which connection, a number that grows from 1 for each record of the stack; 0 =
                           none */
    uint8_t kind;       /* enum tern_trace_kind */
    uint8_t state;      /* TCP state before (enum tern_state, stats.h) */
    uint8_t state_to;   /* TCP state after */
    uint8_t tcp_flags;  /* as on the wire: FIN 1 SYN 2 RST 4 PSH 8 ACK 16 URG 32 ECE 64 CWR 128 */
    uint16_t cause;     /* enum tern_cause (stats.h): which rule; 0 = none */
    uint8_t link;
    uint8_t ecn;        /* ECN bits of the IP header */
    uint32_t seq, ack;  /* absolute; as in the segment */
    uint32_t len;       /* payload bytes */
    uint32_t wnd;       /* window in bytes, scaled */
    uint32_t iss, irs;  /* initial numbers of the connection, so that relative ones can be had (0 before
                           known) */
    uint16_t local_port, remote_port;
    uint32_t gso_size;  /* 0 = one segment */
    tern_ip local, remote;
    uint64_t a, b, c;
    uint32_t ts_val, ts_ecr;
    uint16_t mss;       /* option, on SYN; 0 = none */
    uint8_t wscale;     /* option + 1, on SYN; 0 = none */
    uint8_t n_sack;     /* SACK blocks in the segment */
    uint32_t up;        /* urgent pointer */
} tern_trace_record;

/* Take trace records, oldest first: at most `max` are copied to `out`. Returns the count. `*lost` (may be
 * NULL) is set to the number of records that were overwritten since the last call. Without a ring: 0. */
int tern_trace_take(tern *t, tern_trace_record *out, int max, uint64_t *lost);

/* Write only these kinds from now on: bit 1 << TERN_TRACE_STATE and so on; 0 = all, as at the start. The
 * others then cost nothing, so that whoever counts state changes need not pay for segments. Belongs to the
 * ring: a copy by snapshot.h begins with all. */
void tern_trace_only(tern *t, uint32_t kinds);

#ifdef __cplusplus
}
#endif
#endif

/* ================================================================================= include/tern/link.h */

/* link.h - how a link hands over batches of packets, with offload flags.
 *
 * A link is whatever carries IP packets: a TUN device, memory, a test. It calls tern_rx with what arrived and
 * sends what tern_tx gives. It lives outside of the core and is never called by it.
 */
#ifndef TERN_LINK_H
#define TERN_LINK_H


#ifdef __cplusplus
extern "C" {
#endif

/* What became of a received packet. */
enum {
    TERN_TAKEN = 0,     /* the stack's; done with */
    TERN_UNCLAIMED = 1, /* not the stack's (another protocol or address): the program may use it. Nothing was
                           answered */
    TERN_DROPPED = 2,   /* the stack's, and refused; `cause` says why (stats.h, tern_cause_text) */
};

enum {
    TERN_RX_CSUM_OK = 1,  /* the link vouches for the TCP checksum (verified, or never on a wire) */
    TERN_RX_LENDABLE = 2, /* the packet lies in `region`, and the stack may leave it there (lent.h) */
};

/* One IP packet that arrived. It may be a super-segment: one TCP header, up to 64 KiB of payload (gso_size >
 * 0 says what the segments' size on the wire was). The bytes are read during tern_rx only, and payload is
 * copied; but a lendable packet that comes back with `kept` set must stay as it is until tern_rx_returned
 * (lent.h) names its buffer. */
typedef struct tern_rx_packet {
    const uint8_t *data; /* first byte of the IP header */
    uint32_t len;        /* bytes, 1..65575 */
    uint16_t gso_size;   /* payload bytes of one original segment; 0 = one segment */
    uint8_t link;        /* id from tern_link_add */
    uint8_t flags;       /* TERN_RX_... */
    uint8_t verdict;     /* out: TERN_TAKEN, ... */
    uint8_t region;      /* lendable: from tern_region_add; `data` lies in it */
    uint16_t cause;      /* out: why it was dropped; 0 otherwise */
    bool kept;           /* out: the stack refers to its payload */
    uint32_t pinned;     /* lendable: bytes of the link's memory that are not free while it is kept; a payload
                            of less than a quarter of them is copied. 0 = len */
    uint64_t buffer;     /* lendable: the link's name for it */
    uint32_t trace;      /* out: as in tern_tx_packet */
} tern_rx_packet;

#define TERN_TX_SLICES 20
#define TERN_TX_HDR 128

/* A piece of memory to be sent as it is. */
typedef struct tern_slice {
    const uint8_t *data;
    uint32_t len;
} tern_slice;

/* One packet to send: header bytes, then the slices. With gso_size > 0 the payload is longer than one
 * segment: the link (or the kernel below it) cuts it into segments of gso_size and repeats the header (TSO).
 * With TERN_TX_CSUM the TCP checksum field holds the pseudo-header's sum and the link completes it from
 * csum_start on (checksum offload). */
typedef struct tern_tx_packet {
    uint8_t link;         /* which link */
    uint8_t flags;        /* TERN_TX_... */
    uint16_t hdr_len;     /* IP and TCP header, bytes */
    uint16_t gso_size;    /* 0 = one segment */
    uint16_t csum_start;  /* offset of the TCP header in the packet */
    uint16_t csum_offset; /* offset of the checksum field in the TCP header (16) */
    uint16_t n_slices;
    uint32_t len;         /* header and all slices, bytes */
    uint64_t not_before;  /* us; earliest departure (pacing); 0 = now */
    uint32_t trace;       /* how many trace records had been written when this packet's turn came (the low 32
                             bits): what the stack says of it follows, up to the next packet's number */
    uint8_t hdr[TERN_TX_HDR];
    tern_slice slices[TERN_TX_SLICES];
} tern_tx_packet;

enum {
    TERN_TX_CSUM = 1, /* complete the checksum at csum_start + csum_offset */
    TERN_TX_IP6 = 2,  /* IPv6 (else IPv4) */
};

/* Copy a packet into `buf` (at least pkt->len bytes), as one piece. Returns its length. Neither cuts nor
 * completes. */
static inline uint32_t tern_tx_flatten(const tern_tx_packet *pkt, uint8_t *buf)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pkt->hdr_len; i++)
        buf[n++] = pkt->hdr[i];
    for (uint32_t s = 0; s < pkt->n_slices; s++)
        for (uint32_t i = 0; i < pkt->slices[s].len; i++)
            buf[n++] = pkt->slices[s].data[i];
    return n;
}

#ifdef __cplusplus
}
#endif
#endif

/* ================================================================================= include/tern/lent.h */

/* lent.h - payload that is not copied: memory lent to the stack, and received bytes passed on.
 *
 * A region is memory outside of the stack's block, of the program or of a link, that the stack may refer to
 * by its number. Bytes go without a copy
 *
 *     from the program to the wire        tern_lend, and tern_returned says when the memory is its own again
 *     from a link to the program          TERN_RX_LENDABLE, tern_peek, tern_consume; tern_rx_returned
 *     from one connection to another      tern_move: what a relay is made of
 *     from one connection to several      tern_take, tern_send_chunk for each, tern_drop
 *
 * and mix with tern_send and tern_recv in the order of the calls. `copied_bytes` (stats.h) counts every byte
 * that was copied all the same: less than 512 bytes in one piece are (but for tern_lend), and what fills a
 * page of the stack that is nearly empty.
 *
 * Nothing here weakens the limits: queued bytes count against the connection's buffers wherever they lie, and
 * the records that refer to them are part of the stack's budget.
 */
#ifndef TERN_LENT_H
#define TERN_LENT_H


#ifdef __cplusplus
extern "C" {
#endif

/* Tell the stack of `len` bytes at `base` (1 and up; regions may overlap). Nothing is read but what is lent
 * or received there. Returns the region's number, 1..15. Errors: -TERN_EINVAL (NULL or empty), -TERN_ENOMEM
 * (15 are there). */
int tern_region_add(tern *t, const void *base, uint64_t len);

/* The stack is to forget a region: what is still referred to is copied into the stack's own memory first, so
 * lent buffers come back (tern_returned has their tags). What tern_rx_returned has not handed out yet is
 * handed out no more: all is free. Errors: -TERN_ENOENT (no such region), -TERN_ENOMEM (no memory for the
 * copies; the region stays, the call can be repeated). */
int tern_region_remove(tern *t, int region);

/* Copy what is referred to in a region into the stack's own memory, oldest buffer first, until buffers of
 * `bytes` bytes in all (at least) have come back, or all. For a link that runs short of receive memory, or a
 * program that wants its memory sooner. Errors: -TERN_ENOENT, -TERN_ENOMEM (fewer came back; those that did,
 * did). */
int tern_region_compact(tern *t, int region, uint64_t bytes);

/* Queue `len` bytes (at least 1) at offset `at` of a region to be sent, as tern_send does, but from where
 * they lie. Returns how many were taken (as tern_send): these, and no others, must stay unchanged until
 * tern_returned hands out `tag`. Each call that takes bytes returns its tag exactly once: when the peer has
 * acknowledged the bytes, or when the connection ends in whatever way, its handle released or not. Errors: as
 * tern_send, -TERN_EINVAL (not a region, not inside it, len 0), -TERN_EAGAIN also when many small pieces are
 * queued (more than one per 256 bytes of the send buffer, and 64: small things are better sent by
 * tern_send). */
long tern_lend(tern *t, tern_handle h, int region, uint64_t at, size_t len, uint64_t tag, unsigned flags);

/* A buffer that has come back. */
typedef struct tern_lent {
    uint64_t tag;     /* as given */
    tern_handle conn; /* of whom; it may be released by now */
    uint64_t at;      /* the bytes that had been taken */
    uint32_t len;
    int region;
} tern_lent;

/* Take the lent buffers that have come back, at most `max`, in the order in which they did; those of one
 * connection come back in the order in which they were lent (unless tern_region_compact came between).
 * Returns the count. TERN_RETURNED (event.h, of handle 0) says when there is something to take. tern_destroy
 * returns all of them without a word. */
int tern_returned(tern *t, tern_lent *out, int max);

/* Move up to `n` received bytes (at least 1) of `from` to the end of what `to` has to send; the two may be
 * the same. Counts as reading and as sending: the window opens, `flags` are those of tern_send. Returns how
 * many bytes; 0 = the peer of `from` has closed and all was moved: the time for tern_shutdown(to). Errors:
 * what tern_send says about `to` (-TERN_EPIPE, ...), else what tern_recv says about `from`. -TERN_EAGAIN:
 * `from` has nothing (wait for TERN_READABLE) or `to` no room (wait for TERN_WRITABLE); trying at both is
 * right. */
long tern_move(tern *t, tern_handle from, tern_handle to, size_t n, unsigned flags);

/* Received bytes in the program's hands. 0 is never valid; a stale one gives -TERN_EBADF. */
typedef struct tern_chunk {
    uint64_t v;
} tern_chunk;

/* Take up to `n` received bytes (at least 1) off a connection and hold them, where they are. Counts as
 * reading. Returns how many; 0 and the errors as tern_recv, -TERN_EINVAL (n 0), -TERN_ENOMEM (no memory to
 * note it; nothing was taken). Give it back with tern_drop, whatever becomes of the connection. */
long tern_take(tern *t, tern_handle h, size_t n, tern_chunk *out);

/* Look at a chunk's bytes from offset `at` on: fills at most `max` slices, returns how many (0 at its end).
 * They are valid until the next call on this stack. Errors: -TERN_EBADF, -TERN_EINVAL (behind its end). */
int tern_chunk_peek(tern *t, tern_chunk chunk, size_t at, tern_slice *slices, int max);

/* Queue up to `n` bytes (at least 1) of a chunk, from offset `at` on, to be sent; the chunk keeps them, so
 * that they can be sent on several connections. Returns and errors as tern_send; -TERN_EINVAL (n 0, not
 * inside). */
long tern_send_chunk(tern *t, tern_handle h, tern_chunk chunk, size_t at, size_t n, unsigned flags);

/* Let go of a chunk. What was queued of it is still sent. Error: -TERN_EBADF. */
int tern_drop(tern *t, tern_chunk chunk);

/* For links: the names (tern_rx_packet.buffer) of packets that came back `kept` and to which nothing refers
 * any more, at most `max`, in the order in which they became free; each once. Returns the count. Error:
 * -TERN_ENOENT. */
int tern_rx_returned(tern *t, int region, uint64_t *buffers, int max);

#ifdef __cplusplus
}
#endif
#endif

/* ================================================================================== include/tern/net.h */

/* net.h - links, addresses and routes of a stack, and their change while it runs.
 *
 * What a change means for the connections that are there:
 *
 *  - An address that is removed ends its connections at once, with the reason ADDR_REMOVED and the error
 *    -TERN_EADDRNOTAVAIL. Nothing is sent: the address is not ours any more, and may be another host's
 *    already. Half-open and TIME_WAIT records of it go. A listener at it stays: it hears nothing until the
 *    address is there again.
 *  - A link that is down carries nothing either way, and routes by it are not used. A connection whose peer
 *    can be reached by another link goes on there; one that has no way left keeps all it has, sends nothing
 *    and lets its timers run, so that in the end the user timeout or the retries end it. When a way is there
 *    again, what is due leaves at once.
 *  - A connection that this program opened follows the routes. One that a peer opened answers by the link its
 *    SYN came from, as long as that is up, then by the routes. Link-local addresses never leave their link.
 *  - A new MTU of a link changes the largest segment of its connections at once: down, and what is in flight
 *    and larger is cut and sent again; up, as far as the peer's MSS allows.
 *
 * Each change is made for all records by the end of the call as long as they are few; in a stack with very
 * many, a call looks at 4096 of them and the rest follow in slices at each tern_tick (tern_next_deadline says
 * now until it is done). What has not been looked at yet neither sends nor receives by the old state of
 * affairs. Only a call that adds what a change still under way has removed finishes that change first.
 *
 * A `link` is an id from tern_link_add. -TERN_ENODEV always means: no such link.
 */
#ifndef TERN_NET_H
#define TERN_NET_H


#ifdef __cplusplus
extern "C" {
#endif

/* One link. */
typedef struct tern_link_entry {
    int link;            /* its id */
    bool up;
    tern_link_info info;
} tern_link_entry;

/* One address. */
typedef struct tern_addr_entry {
    tern_ip ip;
    uint8_t prefix_len;
    uint8_t link;
    bool deprecated;     /* chosen as a source only when there is no other (RFC 6724 5, rule 3) */
} tern_addr_entry;

/* One route, in the order in which they are asked for equal prefixes. */
typedef struct tern_route_entry {
    tern_ip dst;
    uint8_t prefix_len;
    uint8_t link;
    bool by_addr;        /* the prefix of an address, and nobody else asked for it */
} tern_route_entry;

/* Change what is known of a link: MTU and offloads. Errors: -TERN_ENODEV, -TERN_EINVAL (as tern_link_add; an
 * MTU below 1280 with an IPv6 address on the link, RFC 8200 5). */
int tern_link_set(tern *t, int link, const tern_link_info *info);

/* Take a link down, or up again; a new one is up. Doing it again is fine. Error: -TERN_ENODEV. */
int tern_link_up(tern *t, int link, bool up);

/* Take a link away, with its addresses and routes. Its id may be given to a later one. Connections to a
 * link-local peer on it end with the reason LINK_REMOVED, those from its addresses as with tern_addr_remove.
 * Error: -TERN_ENODEV. */
int tern_link_remove(tern *t, int link);

/* Take an address away. `link` 0: whichever has it (of a link-local one that several links have: the one
 * whose address was added first). Its prefix stays routed to the link while another of its addresses has the
 * same, or the route was asked for. Errors: -TERN_ENODEV, -TERN_ENOENT (not an address of that link). */
int tern_addr_remove(tern *t, int link, const tern_ip *ip);

/* Deprecate an address, or prefer it again: connections that use it go on, new ones take another when there
 * is one. For an address that is soon to go. `link` and errors as tern_addr_remove. */
int tern_addr_deprecate(tern *t, int link, const tern_ip *ip, bool deprecated);

/* Take a route away. What it carried takes the next choice: the same prefix by another link, a shorter
 * prefix. Errors: -TERN_ENODEV, -TERN_ENOENT. */
int tern_route_remove(tern *t, int link, const tern_ip *dst, int prefix_len);

/* Let `dst`/`prefix_len` go by this link and no other, without a moment in which there is no route. Errors as
 * tern_route_add, without -TERN_EEXIST. */
int tern_route_replace(tern *t, int link, const tern_ip *dst, int prefix_len);

/* What there is: at most `max` entries are filled, in the order of adding (links: of their ids). Return how
 * many there are in all. */
int tern_link_list(const tern *t, tern_link_entry *out, int max);
int tern_addr_list(const tern *t, tern_addr_entry *out, int max);
int tern_route_list(const tern *t, tern_route_entry *out, int max);

/* The source address that tern_connect would choose towards `remote` now (RFC 6724 5), and the link (`*link`
 * may be NULL). Errors as tern_connect's about addresses. */
int tern_source(const tern *t, const tern_endpoint *remote, tern_ip *out, int *link);

#ifdef __cplusplus
}
#endif
#endif

/* ============================================================================= include/tern/snapshot.h */

/* snapshot.h - a stack is written down, read again in another place, and doubled.
 *
 * All state of a stack lies in its block and nothing there is a pointer, so a stack can be written down, read
 * again in another process, and doubled. A copy is given the time, packets and calls as its original would
 * be, and then does the same, bit for bit; handles stay valid, and events not yet taken wait in both. What
 * lies outside of the block (the ring of trace records, with what is still in it) is not copied but given
 * anew. Bytes in regions (lent.h) become bytes of the copy, which knows no regions; buffers that were lent
 * count there as returned. The clock must go on: a copy takes a `now` before the original's for a clock that
 * went back.
 *
 * Two copies that speak to the same network at the same time are two hosts with one address: let one of them
 * rest. */
#ifndef TERN_SNAPSHOT_H
#define TERN_SNAPSHOT_H


#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the image that tern_snapshot would write now. */
size_t tern_snapshot_size(const tern *t);

/* Write an image of the stack into `out`, which has `size` bytes and need not be aligned. It takes
 * tern_snapshot_size bytes: a head (magic, format version, byte order, layout of the records, length,
 * checksum), the used part of the block, free pages left out, and a copy of every byte in a region that is
 * still referred to. The stack is not changed. Error:
 * -TERN_EMSGSIZE (`size` is too small). */
int tern_snapshot(const tern *t, void *out, size_t size);

/* How large a block the stack of this image needs: what its own could use at most (the block's size, or the
 * budget). The same errors as tern_restore, but the checksum is not looked at. */
int tern_restore_size(const void *image, size_t len, size_t *block);

/* Make a stack from an image, in `memory` (16-byte aligned; `size` at least what tern_restore_size says). In
 * a larger block the budget stays that of the original. `trace` and `trace_records` are as in tern_config.
 * Nothing else comes from a configuration: the image has it.
 *
 * An image is trusted but for damage: damage of any kind is found by its checksum, while somebody who can
 * make images can make a stack do anything. Errors: -TERN_ENOEXEC (not an image), -TERN_EPROTONOSUPPORT
 * (another version of the format), -TERN_EOPNOTSUPP (another byte order, or a build whose records differ),
 * -TERN_ENODATA (cut off), -TERN_EBADMSG (damaged), -TERN_ENOMEM (the block is too small, or the budget
 * does not leave room for the bytes that were in regions), -TERN_EINVAL
 * (memory not aligned, trace_records no power of two). */
int tern_restore(tern **out, const void *image, size_t len, void *memory, size_t size, void *trace,
                 uint32_t trace_records);

/* The same without an image: a second stack equal to `t`. Errors: -TERN_ENOMEM, -TERN_EINVAL. */
int tern_clone(tern **out, const tern *t, void *memory, size_t size, void *trace, uint32_t trace_records);

/* The parts of its block that say what a stack is, for taking back what follows: who copies these bytes
 * aside, and later to where they were, has the stack as it was then (not what its ring says, nor what lies in
 * regions). That is a few pages instead of the whole block, and there is nothing to be undone. Fills at most
 * `max` slices, returns how many there are: fewer than the pages in use. */
int tern_parts(const tern *t, tern_slice *out, int max);

/* A value for the situation that the stack is in: equal for two stacks that, given the same inputs from now
 * on, do the same. It covers states, sequence numbers (from ISS and IRS on), bytes in queues, timers (from
 * now on), options, listeners and accept queues, addresses, events that wait, and the keys. It does not see
 * what makes no difference: where the clock began (a whole number of seconds earlier or later), in which
 * order records were made and where they lie, their generations, free memory, and whether a connection is at
 * rest; nor what is only told: counters, totals, histories, why and when a state was entered,
 * connection numbers of the trace, and tern_set_data. The same on every machine. */
void tern_digest(const tern *t, uint64_t out[2]);

#ifdef __cplusplus
}
#endif
#endif

/* =============================================================================== include/tern/socket.h */

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
 * unread it is reset instead (RFC 9293 SHLD-3), with linger 0 too. A listener's half-open and unaccepted
 * children are reset. Error: -TERN_EBADF. */
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

/* ================================================================================ include/tern/stats.h */

/* stats.h - counters, connection info, and the causes of everything that happens to a connection. */
#ifndef TERN_STATS_H
#define TERN_STATS_H


#ifdef __cplusplus
extern "C" {
#endif

/* The eleven states (RFC 9293 3.3.2). From ESTABLISHED on they are the synchronized ones. */
enum tern_state {
    TERN_CLOSED,
    TERN_LISTEN,
    TERN_SYN_SENT,
    TERN_SYN_RCVD,
    TERN_ESTABLISHED,
    TERN_FIN_WAIT_1,
    TERN_FIN_WAIT_2,
    TERN_CLOSE_WAIT,
    TERN_CLOSING,
    TERN_LAST_ACK,
    TERN_TIME_WAIT,
    TERN_STATES
};

/* Causes: one list for the edges of the state diagram, drops, resets and reasons of sending. */
enum tern_cause {
    TERN_CAUSE_NONE,
#define CAUSE(name, rule, text) TERN_C_##name,
/* causes.def - every reason in one list: CAUSE(name, rule, sentence).
 *
 * The sentence says what happened from the point of view of the stack that records it: "peer" is the other
 * end, "program" is ours. Groups: edges of the state diagram (src/tcp/state.def says which states they join),
 * reasons for refusing a packet, reasons for sending a segment, reasons for taking a segment for lost.
 */

/* Edges. */
CAUSE(PASSIVE_OPEN, "RFC 9293 3.10.1", "the program listens")
CAUSE(ACTIVE_OPEN, "RFC 9293 3.10.1", "the program connects: SYN is sent")
CAUSE(SYN_RCVD_LISTEN, "RFC 9293 3.10.7.2", "a SYN for a listener: answered with SYN+ACK")
CAUSE(SYN_DEFERRED, "local policy", "a SYN for a listener that defers: the program is to decide")
CAUSE(SYN_REJECTED, "local policy", "the program refused the SYN: RST")
CAUSE(SYN_IGNORED, "local policy", "the program ignored the SYN")
CAUSE(SYN_UNDECIDED, "local policy", "the program did not decide about the SYN in time: it is forgotten")
CAUSE(SYN_RCVD_SIMULTANEOUS, "RFC 9293 3.10.7.3", "SYN crossed SYN: simultaneous open, answered with SYN+ACK")
CAUSE(SYN_RCVD_TIME_WAIT, "RFC 9293 3.6.1", "a new SYN, newer than the old connection: TIME_WAIT gives way")
CAUSE(SYNACK_RCVD, "RFC 9293 3.10.7.3", "SYN+ACK acknowledges our SYN: the connection is open on this side")
CAUSE(SYN_ACKED, "RFC 9293 3.10.7.4 fifth",
      "the ACK of our SYN arrived: the connection is open on both sides")
CAUSE(COOKIE_ACKED, "RFC 4987 3.6",
      "the ACK brought our SYN cookie back: the connection is open, from nothing kept here")
CAUSE(REFUSED, "RFC 9293 3.10.7.3", "the peer answered our SYN with RST: connection refused")
CAUSE(REFUSED_SYN_RCVD, "RFC 9293 3.10.7.4 second",
      "RST in SYN_RCVD after an active open: connection refused")
CAUSE(HALFOPEN_RESET, "RFC 9293 3.10.7.4 second",
      "RST in SYN_RCVD: the half-open record goes, the listener stays")
CAUSE(HALFOPEN_SYN, "RFC 9293 3.10.7.4 fourth",
      "another SYN in the window in SYN_RCVD: the half-open record goes")
CAUSE(HALFOPEN_TIMEOUT, "RFC 9293 3.8.3", "SYN+ACK was repeated in vain: the half-open record goes")
CAUSE(HALFOPEN_EVICTED, "local policy",
      "the backlog is full and SYN+ACK was repeated in vain: the half-open record makes room")
CAUSE(OLD_DUPLICATE_SYN, "RFC 9293 3.6.1", "the new SYN was an old duplicate: back to TIME_WAIT")
CAUSE(SHUTDOWN, "RFC 9293 3.10.4", "the program closed its sending direction: FIN follows the queued data")
CAUSE(CLOSE, "RFC 9293 3.10.4", "the program closed: FIN follows the queued data")
CAUSE(CLOSE_SYN_SENT, "RFC 9293 3.10.4", "the program closed before an answer to its SYN came")
CAUSE(CLOSE_LISTEN, "RFC 9293 3.10.4", "the program closed its listener")
CAUSE(CLOSE_UNREAD, "RFC 9293 3.6.1 SHLD-3",
      "the program closed with bytes unread: RST tells the peer that they are lost")
CAUSE(CLOSE_LINGER0, "RFC 9293 3.10.5", "the program closed with linger 0: RST")
CAUSE(DATA_AFTER_CLOSE, "RFC 9293 3.6.1 SHLD-3", "data came for a program that has closed: RST")
CAUSE(ABORT, "RFC 9293 3.10.5", "the program aborted: RST")
CAUSE(LISTENER_GONE, "RFC 9293 3.10.4", "the listener was closed before the connection was accepted: RST")
CAUSE(FIN_RCVD, "RFC 9293 3.10.7.4 eighth", "FIN: the peer has closed and will send no more")
CAUSE(FIN_ACKED, "RFC 9293 3.10.7.4 fifth", "the ACK of our FIN arrived: the peer knows that we send no more")
CAUSE(FIN_CROSSED, "RFC 9293 3.10.7.4 eighth", "the peer's FIN crossed ours: both closed at the same time")
CAUSE(FIN_AND_ACK, "RFC 9293 3.10.7.4 eighth", "FIN, and our FIN is acknowledged: both directions are closed")
CAUSE(FIN_LAST, "RFC 9293 3.10.7.4 eighth",
      "the peer's FIN after ours was acknowledged: both directions are closed")
CAUSE(CLOSING_ACKED, "RFC 9293 3.10.7.4 fifth",
      "the ACK of our FIN arrived after crossing FINs: both directions are closed")
CAUSE(LAST_ACKED, "RFC 9293 3.10.7.4 fifth", "the ACK of our last FIN arrived: all is over")
CAUSE(TIME_WAIT_OVER, "RFC 9293 3.10.8",
      "2 MSL have passed: no segment of this connection can still be under way")
CAUSE(TIME_WAIT_REOPENED, "RFC 6191 2",
      "no port is free: our own SYN opens it again, newer by its timestamp than all of the old connection")
CAUSE(TIME_WAIT_RECYCLED, "local policy", "the oldest in TIME_WAIT gives its memory to others")
CAUSE(FIN_WAIT_2_TIMEOUT, "local policy", "the program is gone and the peer did not close in time")
CAUSE(RESET, "RFC 9293 3.10.7.4 second", "RST from the peer")
CAUSE(USER_TIMEOUT, "RFC 9293 3.10.8", "data stayed unacknowledged longer than the user timeout")
CAUSE(RETRIES_USED_UP, "RFC 9293 3.8.3", "retransmissions were used up without an answer")
CAUSE(SYN_RETRIES_USED_UP, "RFC 9293 3.8.3 MUST-23", "no answer to our SYN, however often repeated")
CAUSE(KEEPALIVE_FAILED, "RFC 9293 3.8.4", "keepalive probes stayed unanswered: the peer is gone")
CAUSE(ICMP_HARD, "RFC 9293 3.9.2.2", "ICMP said that the peer cannot be reached")
CAUSE(ADDR_REMOVED, "local policy", "the address of this side was taken away: nothing can be sent from it")
CAUSE(LINK_REMOVED, "RFC 4007 6", "the link of this link-local peer was taken away: no other leads to it")

/* Packets refused: before TCP. */
CAUSE(IP_MALFORMED, "RFC 791 3.1", "not a well-formed IP packet")
CAUSE(IP_CHECKSUM, "RFC 1122 3.2.1.2", "the IPv4 header checksum is wrong")
CAUSE(IP_SOURCE_INVALID, "RFC 9293 3.9.2.3 MUST-63", "the source address is not one a host can have")
CAUSE(IP_SOURCE_ROUTE, "RFC 9293 3.9.2.1", "source routes are refused")
CAUSE(FRAGMENT_LIMIT, "RFC 9293 3.7", "too many datagrams in reassembly")
CAUSE(FRAGMENT_OVERLAP, "RFC 5722 4", "fragments overlap: the datagram is dropped")
CAUSE(FRAGMENT_MALFORMED, "RFC 791 3.2", "a fragment that cannot be part of a datagram")
CAUSE(FRAGMENT_TIMEOUT, "RFC 1122 3.3.2", "reassembly took too long")
CAUSE(TCP_MALFORMED, "RFC 9293 3.1", "the TCP header does not fit its packet")
CAUSE(TCP_OPTION_LENGTH, "RFC 9293 3.1 MUST-7", "a TCP option has an impossible length")
CAUSE(TCP_CHECKSUM, "RFC 9293 3.1 MUST-3", "the TCP checksum is wrong")
CAUSE(ETHERNET_MALFORMED, "RFC 894", "not an Ethernet frame with a type and a station's source address")
CAUSE(ARP_MALFORMED, "RFC 826", "not a well-formed ARP message for IPv4 over Ethernet")
CAUSE(NDP_MALFORMED, "RFC 4861 7.1", "a neighbour discovery message that must be ignored")
CAUSE(ICMP_MALFORMED, "RFC 792", "not a well-formed ICMP message")
CAUSE(ICMP_UNUSED, "RFC 9293 3.9.2.2", "an ICMP message that changes nothing here")
CAUSE(ICMP_SEQ, "RFC 5927 4.1", "ICMP about a segment that is not in flight")
CAUSE(LINK_DOWN, "local policy", "by a link that is down, or not a link of this stack")
CAUSE(NOT_UNICAST, "RFC 9293 3.9.2.3 MUST-57", "TCP to a broadcast or multicast address")
CAUSE(REPLIES_FULL, "local policy", "too many stateless answers waiting: no answer")

/* Segments refused: by TCP. */
CAUSE(CLOSED_RST, "RFC 9293 3.10.7.1", "RST for a connection that does not exist")
CAUSE(NO_CONNECTION, "RFC 9293 3.10.7.1", "no such connection: answered with RST")
CAUSE(LISTEN_RST, "RFC 9293 3.10.7.2 first", "RST to a listener")
CAUSE(LISTEN_ACK, "RFC 9293 3.10.7.2 second", "ACK to a listener without a connection: answered with RST")
CAUSE(LISTEN_NO_SYN, "RFC 9293 3.10.7.2 fourth", "neither SYN nor ACK nor RST to a listener")
CAUSE(BACKLOG_FULL, "local policy",
      "the listener has as many half-open records as it may: silence, the peer tries again")
CAUSE(SOURCE_LIMIT, "local policy",
      "its source has as many half-open records as one may: silence, the peer tries again")
CAUSE(SYN_PENDING, "local policy", "the program has not decided about the SYN: nothing is answered")
CAUSE(COOKIE_INVALID, "RFC 4987 3.6", "an ACK to a listener that sends SYN cookies, and it is none of them")
CAUSE(ACCEPT_FULL, "local policy", "the accept queue is full: silence, the peer tries again")
CAUSE(SYN_SENT_BAD_ACK, "RFC 9293 3.10.7.3 first", "acknowledges something we never sent: answered with RST")
CAUSE(SYN_SENT_BAD_ACK_RST, "RFC 9293 3.10.7.3 first", "RST with an ACK of something we never sent: ignored")
CAUSE(SYN_SENT_RST_NO_ACK, "RFC 9293 3.10.7.3 second", "RST without ACK while opening: ignored")
CAUSE(SYN_SENT_NO_SYN, "RFC 9293 3.10.7.3 fifth", "neither SYN nor RST while opening")
CAUSE(SEQ_OLD, "RFC 9293 3.10.7.4 first", "an old duplicate: all of it was received before")
CAUSE(SEQ_BEYOND, "RFC 9293 3.10.7.4 first", "beyond the receive window")
CAUSE(SEQ_RST, "RFC 9293 3.10.7.4 first", "RST outside of the window: ignored")
CAUSE(WINDOW_PROBE, "RFC 9293 3.8.6.1", "data for a closed window: acknowledged, not taken")
CAUSE(PAWS, "RFC 7323 5.3", "its timestamp is older than the last one: an old duplicate")
CAUSE(TS_MISSING, "RFC 7323 3.2", "timestamps were agreed and this segment has none")
CAUSE(RST_CHALLENGE, "RFC 5961 3.2", "RST in the window but not exact: challenged")
CAUSE(SYN_CHALLENGE, "RFC 5961 4.2", "SYN in an open connection: challenged")
CAUSE(ACK_UNSENT, "RFC 9293 3.10.7.4 fifth", "acknowledges data that was never sent: answered with ACK")
CAUSE(ACK_TOO_OLD, "RFC 5961 5.2", "acknowledges data from longer ago than any window: answered with ACK")
CAUSE(NO_ACK_BIT, "RFC 9293 3.10.7.4 fifth", "no ACK in an open connection")
CAUSE(SYN_RCVD_BAD_ACK, "RFC 9293 3.10.7.4 fifth", "does not acknowledge our SYN+ACK: answered with RST")
CAUSE(TIME_WAIT_RST, "RFC 1337 3", "RST in TIME_WAIT: ignored, so that old segments stay harmless")
CAUSE(TIME_WAIT_OLD, "RFC 9293 3.10.7.4", "a segment of the old connection in TIME_WAIT")
CAUSE(TIME_WAIT_OLD_SYN, "RFC 6191 2",
      "a SYN in TIME_WAIT that is not newer than the old connection: answered with ACK")
CAUSE(OOO_LIMIT, "local policy", "out-of-order data beyond what the stack can keep")
CAUSE(NO_MEMORY, "local policy", "the stack's memory is used up")
CAUSE(SHORT_OF_MEMORY, "local policy", "data in the window dropped: the stack's memory is used up")
CAUSE(TEXT_IGNORED, "RFC 9293 3.10.7.4 seventh", "data after the peer's FIN: ignored")

/* Why a segment was sent. */
CAUSE(SEND_SYN, "RFC 9293 3.10.1", "to open the connection; one sequence number, no data")
CAUSE(SEND_SYNACK, "RFC 9293 3.10.7.2", "to answer the SYN: acknowledges it and sends our own")
CAUSE(SEND_COOKIE, "RFC 4987 3.6",
      "to answer the SYN and keep nothing: all that must be known comes back with the ACK")
CAUSE(SEND_ACK_OF_SYN, "RFC 9293 3.10.7.3", "to acknowledge the peer's SYN: the third step")
CAUSE(SEND_DATA, "RFC 9293 3.10.2", "data of the program")
CAUSE(SEND_FIN, "RFC 9293 3.10.4", "we have sent all; FIN takes one sequence number")
CAUSE(SEND_ACK_DELAYED, "RFC 9293 3.8.6.3", "acknowledges what came; it waited for data to ride on")
CAUSE(SEND_ACK_NOW, "RFC 5681 4.2", "acknowledges what came: two full segments or quick acknowledgment")
CAUSE(SEND_ACK_FIN, "RFC 9293 3.10.7.4 eighth", "acknowledges the peer's FIN")
CAUSE(SEND_ACK_DUP, "RFC 5681 4.2", "duplicate ACK: something is missing before what came")
CAUSE(SEND_ACK_FILL, "RFC 5681 4.2", "acknowledges at once: a gap was filled")
CAUSE(SEND_ACK_OLD, "RFC 9293 3.10.7.4 first", "acknowledges a segment that was not acceptable")
CAUSE(SEND_ACK_TIME_WAIT, "RFC 9293 3.10.7.4 eighth", "acknowledges the repeated FIN once more")
CAUSE(SEND_CHALLENGE, "RFC 5961 3.2", "challenge ACK: only the real peer can answer it")
CAUSE(SEND_WINDOW_UPDATE, "RFC 9293 3.8.6.2.2", "tells that the receive window has opened")
CAUSE(SEND_RETRANSMIT, "RFC 6298 5.4", "again: no acknowledgment came in time")
CAUSE(SEND_FAST_RETRANSMIT, "RFC 6675 5", "again: later data has arrived, this has not")
CAUSE(SEND_PARTIAL_RETRANSMIT, "RFC 6582 3.2", "again: a partial acknowledgment shows the next hole")
CAUSE(SEND_TAIL_PROBE, "RFC 8985 7.3",
      "tail loss probe: nothing was heard of the last segments for two round trips")
CAUSE(SEND_WINDOW_PROBE, "RFC 9293 3.8.6.1", "probes a closed window")
CAUSE(SEND_REFUSED_AGAIN, "RFC 9293 3.8.6.1",
      "again: the window has opened, or the path wants smaller segments")
CAUSE(SEND_KEEPALIVE, "RFC 9293 3.8.4", "asks whether the peer is still there")
CAUSE(SEND_RST_ABORT, "RFC 9293 3.10.5", "tells the peer that the connection is aborted")
CAUSE(SEND_RST_CLOSED, "RFC 9293 3.10.7.1", "there is no such connection here")
CAUSE(SEND_RST_REJECTED, "RFC 9293 3.10.7.1", "the program does not want this connection")
CAUSE(SEND_RST_BAD_ACK, "RFC 9293 3.5.2", "acknowledges something that was never sent: a segment of the past")
CAUSE(SEND_LIMITED, "RFC 3042", "new data on the first duplicate ACKs, to keep them coming")

/* Why a segment was taken for lost. */
CAUSE(LOSS_TIMEOUT, "RFC 6298 5.4", "its retransmission timeout passed")
CAUSE(LOSS_SACK, "RFC 6675 4", "three segments sent later have arrived")
CAUSE(LOSS_DUPACK, "RFC 5681 3.2", "three duplicate ACKs")
CAUSE(LOSS_RACK, "RFC 8985 6.2", "segments sent later have arrived, and it had time enough to")
CAUSE(LOSS_TAIL, "RFC 8985 7.4", "the probe repaired the loss of a last segment")
CAUSE(LOSS_PARTIAL, "RFC 6582 3.2", "a partial acknowledgment in recovery")
CAUSE(ECN_ECHO, "RFC 3168 6.1.2", "the network marked congestion: the window is halved without a loss")
CAUSE(UNDONE, "RFC 3708", "the peer had all that was sent again: nothing was lost, the path reorders")
CAUSE(RECOVERED, "RFC 6582 3.2", "all that was in flight at the loss is acknowledged")
#undef CAUSE
    TERN_CAUSES
};

/* Name ("SYN_SENT"), rule ("RFC 9293 3.10.7.3") and sentence of a cause; name of a state. Never NULL. */
const char *tern_state_name(enum tern_state s);
const char *tern_cause_name(enum tern_cause c);
const char *tern_cause_rule(enum tern_cause c);
const char *tern_cause_text(enum tern_cause c);

/* One legal edge of the state diagram: the cause names event and rule. */
typedef struct tern_edge {
    uint16_t cause;   /* enum tern_cause */
    uint8_t from, to; /* enum tern_state */
} tern_edge;

/* All legal edges (src/tcp/state.def), always in the same order: at most `max` are filled. Returns how many
 * there are. A stack that would take another one ends the process instead. */
int tern_edges(tern_edge *out, int max);

/* Counters of a stack since it was made. */
typedef struct tern_stats {
#define STAT(name, text) uint64_t name;
/* counters.def - the counters of a stack: STAT(name, what it counts). */
STAT(rx_packets, "packets given to tern_rx")
STAT(rx_bytes, "their bytes")
STAT(rx_unclaimed, "packets handed back")
STAT(rx_dropped, "packets refused, all causes")
STAT(tx_packets, "packets given by tern_tx")
STAT(tx_bytes, "their bytes")
STAT(segs_in, "TCP segments accepted for processing")
STAT(segs_out, "TCP segments sent")
STAT(opens_active, "connects")
STAT(opens_passive, "half-open records made")
STAT(halfopen_evicted, "half-open records that made room for a new one")
STAT(syn_source_limited, "SYNs whose source had as many half-open records as one may")
STAT(syns_deferred, "SYNs shown to the program before an answer")
STAT(cookies_sent, "SYNs answered with a cookie")
STAT(cookies_valid, "connections opened by a cookie")
STAT(cookies_invalid, "ACKs that were no cookie while some were awaited")
STAT(accepted, "connections accepted by the program")
STAT(left_unaccepted, "connections ended by the peer before accept")
STAT(established, "connections that became ESTABLISHED")
STAT(resets_in, "connections ended by the peer's RST")
STAT(resets_out, "RST segments sent")
STAT(retransmits, "segments retransmitted")
STAT(fast_retransmits, "of these, by duplicate ACK or SACK")
STAT(timeouts, "retransmission timeouts")
STAT(challenge_acks, "challenge ACKs sent")
STAT(challenge_limited, "challenge ACKs not sent because of the limit")
STAT(time_wait_reused, "TIME_WAIT records that gave way to a new SYN")
STAT(time_wait_reopened, "TIME_WAIT records that gave way to a connect, since no port was free")
STAT(time_wait_recycled, "TIME_WAIT records given up early, for want of memory or by time_wait_max")
STAT(time_wait_rst_ignored, "RSTs ignored in TIME_WAIT")
STAT(fin_wait2_timeouts, "orphans ended in FIN_WAIT_2")
STAT(ecn_ce_in, "segments received with CE")
STAT(ecn_echo_in, "segments received with ECE that changed the window")
STAT(echo_replies, "ICMP echo requests answered")
STAT(icmp_errors_in, "ICMP errors matched to a connection")
STAT(reassembled, "datagrams reassembled from fragments")
STAT(rests, "times that a connection at rest gave back its control block")
STAT(wakes, "and that one was made again")
STAT(copied_bytes, "payload bytes that the stack copied: in, out, and inside")
STAT(no_memory, "allocations refused")
STAT(clock_went_back, "times that now was smaller than before")
STAT(clock_jumped, "times that now came more than a second after a deadline: nobody was awake")
STAT(soft_errors, "soft errors reported to programs")
#undef STAT
    uint64_t dropped[TERN_CAUSES]; /* packets refused, by cause */
} tern_stats;

/* Copy the counters. */
void tern_get_stats(const tern *t, tern_stats *out);

/* Live objects; all zero on a stack with nothing open. */
typedef struct tern_live {
    uint32_t listeners, halfopen, tcbs, timewait;
    uint32_t asleep;      /* of the tcbs: connections at rest, without a control block */
    uint32_t timewait_held; /* of the tcbs: in TIME_WAIT, since the program holds the handle or bytes are
                               unread */
    uint32_t chunks;      /* payload pages in use */
    uint32_t sendrecs;    /* records of segments in flight */
    uint32_t ranges;      /* out-of-order ranges */
    uint32_t timers;      /* armed timers */
    uint32_t pieces;      /* references of queues to bytes that others have too (lent.h) */
    uint32_t lent;        /* buffers that the program has lent and not got back */
    uint32_t returned;    /* of those that came back, waiting for tern_returned */
    uint32_t kept;        /* packets that stay in links' memory */
    uint32_t taken;       /* chunks that the program holds */
    uint32_t fragments;   /* datagrams in reassembly */
    uint32_t replies;     /* stateless answers waiting for tern_tx */
    uint64_t arena_used;  /* bytes of the arena ever used (high-water, whole pages) */
    uint64_t arena_free;  /* of those, bytes in free pages */
} tern_live;

/* Count the live objects. */
void tern_get_live(const tern *t, tern_live *out);

enum tern_timer {
    TERN_TIMER_NONE,
    TERN_TIMER_RETRANSMIT,
    TERN_TIMER_PERSIST,
    TERN_TIMER_DELACK,
    TERN_TIMER_KEEPALIVE,
    TERN_TIMER_FIN_WAIT_2,
    TERN_TIMER_TIME_WAIT,
    TERN_TIMER_PACE,       /* output waits until then: a small segment, the silly window */
    TERN_TIMER_TAIL_PROBE, /* RFC 8985 7 */
    TERN_TIMER_REORDER,    /* RFC 8985 6: a segment out of order is lost then */
    TERN_TIMERS
};

enum tern_call {
    TERN_CALL_NONE,
    TERN_CALL_CONNECT,
    TERN_CALL_ACCEPT,
    TERN_CALL_SEND,
    TERN_CALL_RECV,
    TERN_CALL_SHUTDOWN,
    TERN_CALL_CLOSE,
    TERN_CALL_ABORT,
};

#define TERN_HISTORY 4

/* Everything a person or program may want to know of one listener or connection. A record in TIME_WAIT that
 * nobody holds is small and knows little: names, reason, windows offered, timer, and as state_since_us when
 * its 2 MSL began (anew); the rest is zero. */
typedef struct tern_info {
    uint64_t conn;              /* the number it has in the trace */
    tern_endpoint local, remote;
    uint8_t state;              /* enum tern_state */
    uint8_t link;               /* what it sends by now; 0 = no link leads to the peer, or a listener */
    bool listener;
    bool held;                  /* the program holds the handle (false: orphan, half-open, waiting for
                                   accept) */
    bool asleep;                /* at rest, without a control block (rest_ms) */
    bool unaccepted;            /* waits in a listener's accept queue */
    bool eof_read;              /* the program has read the end of the stream */
    bool fin_rcvd, fin_sent, fin_acked;
    int error;                  /* 0, or the negative TERN_E... that ended it */
    uint16_t reason;            /* enum tern_cause of the last state change */
    uint64_t opened_us;         /* when the record was made */
    uint64_t state_since_us;    /* when the present state was entered */
    uint64_t last_rx_us, last_tx_us; /* last segment from / to the peer; 0 = none */
    uint64_t eof_us;            /* when the peer's FIN arrived; 0 = not */
    struct {
        uint16_t cause;
        uint8_t from, to;
        uint64_t t_us;
    } history[TERN_HISTORY];    /* the last state changes, newest first; cause 0 = none */
    /* queues, bytes */
    uint32_t recv_queue;        /* received in order, unread */
    uint32_t recv_ooo;          /* received out of order */
    uint32_t send_queue;        /* queued by the program, not yet sent */
    uint32_t send_unacked;      /* sent, not yet acknowledged */
    uint32_t urgent;            /* bytes of urgent data still unread (MUST-33) */
    /* windows, bytes */
    uint32_t rcv_wnd, snd_wnd, cwnd, ssthresh, in_flight;
    uint32_t mss;               /* largest payload sent */
    uint8_t snd_wscale, rcv_wscale;
    bool timestamps, sack, ecn, wscale;
    uint32_t iss, irs;          /* initial sequence numbers, ours and the peer's, so that relative ones can be
                                   had; 0 = not known (yet) */
    /* timing, us */
    uint32_t srtt_us, rttvar_us, rto_us, min_rtt_us;
    uint8_t timer;              /* enum tern_timer that is due next */
    uint64_t timer_us;          /* its deadline; 0 = none */
    uint32_t backoff;           /* timeouts in a row */
    uint32_t probes;            /* unanswered keepalive or window probes */
    /* totals */
    uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retransmitted;
    uint32_t segs_out, segs_in, retransmits, fast_retransmits, timeouts, dup_acks_in, ooo_in, challenge_acks,
        dsacks;
    int soft_error;             /* last soft error, negative TERN_E..., or 0 */
    uint8_t icmp_type, icmp_code; /* of it */
    uint8_t ttl_in, dscp_in;    /* of the last segment received (MAY-9) */
    /* listeners */
    uint32_t backlog, halfopen, acceptq;
    uint64_t accept_oldest_us;  /* since when the oldest has waited for accept; 0 = none */
    uint64_t refused_full;      /* SYNs or last ACKs ignored because a queue was full */
    uint64_t left_unaccepted;   /* connections whose peer was gone before accept */
    uint64_t data;              /* tern_set_data */
} tern_info;

/* Info of one handle. Error: -TERN_EBADF. */
int tern_get_info(const tern *t, tern_handle h, tern_info *out);

/* What the ephemeral ports are used for towards one remote. */
typedef struct tern_port_use {
    uint32_t total;       /* port_low..port_high */
    uint32_t used, free;  /* in all total; used: tern_connect would not choose it */
    uint32_t by_state[TERN_STATES]; /* the used ones; those in TERN_TIME_WAIT become free by time; ports of
                                       listeners are in TERN_LISTEN */
    uint32_t reusable;    /* of those in TIME_WAIT: with no port free tern_connect opens one of them anew */
} tern_port_use;

/* The ports of a local address towards a remote address and port. `local` NULL or with address all zero: the
 * source address that tern_connect would choose; its port does not matter. Costs one look-up for each port of
 * the range (28,232 by default: about 2 ms). Errors: as tern_connect for the same addresses. */
int tern_ports(const tern *t, const tern_endpoint *local, const tern_endpoint *remote, tern_port_use *out);

/* The range that ephemeral ports are taken from, inclusive (tern_config.port_low, port_high). */
void tern_port_range(const tern *t, uint16_t *low, uint16_t *high);

/* Walk over all listeners, connections, half-open and TIME_WAIT records, held or not. Start with *cursor = 0;
 * returns 1 and fills `out`, or 0 at the end. Changing the stack during a walk may repeat or miss a record,
 * nothing worse. */
int tern_walk(const tern *t, uint64_t *cursor, tern_info *out);

/* Look at every numbered invariant of the stack (src/tcp/tcb.h); a broken one ends the process by a trap. For
 * tests, simulations and tools, after each verb; it costs a walk over all records. */
void tern_check(tern *t);

#ifdef __cplusplus
}
#endif
#endif

#endif
