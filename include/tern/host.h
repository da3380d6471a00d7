/* host.h - the Linux side: links, and an event loop with one descriptor for anybody's epoll.
 *
 * The core (tern.h) has no clock and no files; this does. A tern_host owns one stack, its memory and its
 * links. Everything happens in tern_host_turn: links are read, timers run, output is sent. The program does
 * its own work between turns.
 *
 *     tern_host_create → tern_host_attach(link) → tern_addr_add(tern_host_stack(h), ...) → loop {
 *         wait until tern_host_fd is readable (or tern_host_wait)
 *         tern_host_turn; tern_events; send, recv, ...
 *     }
 *
 * After calls on sockets, call tern_host_turn (or tern_host_flush) so that their output leaves at once.
 */
#ifndef TERN_HOST_H
#define TERN_HOST_H

#include "event.h"
#include "lent.h"
#include "link.h"
#include "net.h"
#include "socket.h"
#include "stats.h"
#include "tern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A link: a table of functions and its own state behind it. A wrapping link (impair, trace) owns the one
 * inside. */
typedef struct tern_link tern_link;

struct tern_link_ops {
    const char *name;
    /* Receive at most `max` packets that are there at `now` (us). Their bytes stay valid until the next rx on
     * this link (those that the stack keeps, longer: `seen`). Returns the count; 0 = none now; negative: the
     * link is gone (-errno). */
    int (*rx)(tern_link *l, uint64_t now, tern_rx_packet *pkts, int max);
    /* Send; returns how many were taken (the rest is dropped by the caller and counted), negative: the link
     * is gone. */
    int (*tx)(tern_link *l, uint64_t now, const tern_tx_packet *pkts, int n);
    /* Descriptor to poll for reading; -1 = none (memory). */
    int (*fd)(const tern_link *l);
    /* When rx will have something without any descriptor saying so (delay); UINT64_MAX = not known to. */
    uint64_t (*next)(const tern_link *l);
    void (*close)(tern_link *l);
    /* A link whose received packets may stay in its memory (tern_link.memory) has these three; others leave
     * them NULL.
     * The stack has seen these packets, all of the last rx: those `kept` are still in use, the rest is free
     * with the next rx. */
    void (*seen)(tern_link *l, const tern_rx_packet *pkts, int n);
    /* Kept packets (tern_rx_packet.buffer) that are free again. */
    void (*free_again)(tern_link *l, const uint64_t *buffers, int n);
    /* How many bytes of its memory the link would like to have back soon, by copying; 0 = it has enough. */
    uint64_t (*wants)(tern_link *l);
};

struct tern_link {
    const struct tern_link_ops *ops;
    tern_link_info info; /* what the stack is told */
    const char *device;  /* name of the device below, for people; lives as long as the link; NULL: none */
    const void *memory;  /* where received packets with TERN_RX_LENDABLE lie; NULL: there are none */
    uint64_t memory_len;
    bool drained;        /* set by rx where it knows: there was nothing more */
};

/* Open (or make) the TUN device `name` in the process' network namespace. IFF_VNET_HDR with TSO and checksum
 * offload both ways where the kernel offers it, plain otherwise (also with `plain`, for tests). Does not
 * configure addresses on the kernel's side. A device that is up already is waited for until the kernel sends
 * on it, some milliseconds, at most 200. On failure returns a negative errno and a sentence that says what
 * to do in `err`. */
int tern_link_tun(tern_link **out, const char *name, bool plain, char *err, size_t err_len);

/* At most so many queues of one device. */
#define TERN_QUEUES 16

/* Open `n` queues (1 and up) of one TUN device, a link each in `out`: for as many hosts, each in a thread of
 * its own, that share nothing. Every packet of a connection comes by the same queue, so all may have the same
 * addresses and listeners, and what one of them sends leaves by its own. Connections that it opens itself are
 * made by tern_host_connect. Errors as tern_link_tun; then none is open. */
int tern_link_tun_queues(tern_link **out, int n, const char *name, bool plain, char *err, size_t err_len);

/* The queue (from 0, in the order of tern_link_tun_queues) by which segments between these ports come. -1:
 * that is not known: one queue, another kind of link, or a kernel that does not let us choose (it wants root,
 * or CAP_BPF); it then sends by the queue on which it was last spoken to, if that was in the last 3 s. */
int tern_link_queue_of(const tern_link *l, uint16_t local_port, uint16_t remote_port);
/* Share the network card (or veth end, bridge port, ...) `name` with the kernel: frames by AF_PACKET with a
 * ring in memory (TPACKET_V3), segmentation and checksum offload both ways (PACKET_VNET_HDR) unless `plain`.
 * tern must have addresses of its own, which the kernel does not have; the card's Ethernet address is both
 * of theirs. The kernel hands packets over in blocks, at the latest after a millisecond. The caller may set
 * no_dad and autoconf in the link's info before it attaches it. Errors as tern_link_tun. */
int tern_link_packet(tern_link **out, const char *name, bool plain, char *err, size_t err_len);

/* Take the network card `name` over from the kernel: frames by AF_XDP, on its first queue, without offloads.
 * What the driver offers decides between no copy at all and a copy in the kernel; `how` (at least 16 bytes,
 * or NULL) is told: "zero-copy" or "copy". Received payload stays in the memory shared with the kernel until
 * the program has read it. Errors as tern_link_tun; -TERN_EOPNOTSUPP: built without libxdp. */
int tern_link_xdp(tern_link **out, const char *name, char *how, char *err, size_t err_len);

/* Two ends in memory. `info` for both (of Ethernet ends the second one's address differs in the last bit);
 * packets are kept (at most `queue` each way) until the other end
 * receives. */
int tern_link_pair(tern_link **a, tern_link **b, const tern_link_info *info, uint32_t queue);

/* What a bad path does, to packets in one direction. All in millionths, times in us. */
typedef struct tern_impair_config {
    uint64_t seed;
    uint32_t delay_us, jitter_us;      /* every packet: delay + uniform 0..jitter, order kept */
    uint64_t rate_bps;                 /* 0 = no limit; then a queue of `queue_bytes` before it (0 = 256
                                          KiB) */
    uint32_t queue_bytes;
    uint32_t loss_ppm, duplicate_ppm, corrupt_ppm, reorder_ppm;
    uint32_t reorder_min, reorder_max; /* a reordered packet is overtaken by this many others (default 3..10),
                                          at most 50 ms */
    uint32_t ce_ppm;                   /* ECN-capable packets marked CE */
} tern_impair_config;

/* Wrap a link: `tx` is done to what the stack sends, `rx` to what it receives (NULL: nothing). Super-segments
 * are cut into their segments (checksums completed) before they are harmed, since a path harms packets of the
 * wire. Takes ownership of `inner`. */
int tern_link_impair(tern_link **out, tern_link *inner, const tern_impair_config *tx,
                     const tern_impair_config *rx);

/* Close a link that no host owns; a wrapping one closes what is inside. NULL is fine. */
void tern_link_close(tern_link *l);

/* Cut a super-segment into the packets that the wire would carry, checksums filled in. Calls `emit` for each;
 * `pkt` and its bytes are valid during the call. Works for any packet (one call when there is nothing to
 * cut). */
void tern_segment(const tern_tx_packet *pkt, void (*emit)(void *ctx, const uint8_t *pkt, uint32_t len),
                  void *ctx);

/* The same piece by piece: what a super-segment is on the wire. */
typedef struct tern_cut {
    const tern_tx_packet *pkt;
    tern_sum_fn *sum;
    uint32_t slice, at;     /* where the next payload byte is */
    uint32_t done, pieces;  /* payload bytes and pieces until now */
    uint32_t hdr_sum, ip_sum; /* of what all pieces have in common */
    uint32_t number, flags;   /* of the first: sequence number, the word with the flags, */
    uint32_t ip_id;           /* identification */
    bool cuts, ip4;
} tern_cut;

/* Begin to cut `pkt`, which stays as it is until the last piece; a packet with nothing to cut is one piece.
 * `sum` NULL: tern_host_sum(-1). */
void tern_cut_begin(tern_cut *c, const tern_tx_packet *pkt, tern_sum_fn *sum);
/* Write the next piece, checksums filled in, into `to`, which has room for its header and gso_size bytes (or
 * all of the packet, when there is nothing to cut), and for TERN_TX_HDR at least. Returns its length; 0 =
 * there are no more. */
uint32_t tern_cut_next(tern_cut *c, uint8_t *to);
/* The same for up to `max` pieces: the first at `to`, each `room` bytes behind the one before it, their
 * lengths in `len`. Returns how many; fewer than `max` = there are no more. */
uint32_t tern_cut_some(tern_cut *c, uint8_t *to, uint32_t room, uint32_t *len, uint32_t max);

/* The function with the widest vectors of this processor that are not wider than the given step: 0 = what
 * every machine has, 1 = 32 bytes (AVX2), 2 = 64 bytes (AVX-512); -1 = the widest there are. */
tern_sum_fn *tern_host_sum(int step);

typedef struct tern_host tern_host;

typedef struct tern_host_config {
    tern_config stack;      /* seed all zero: drawn from getrandom */
    uint64_t memory;        /* bytes of address space for the stack; default 1 GiB; pages are used only when
                               touched */
    const char *name;       /* for the control socket, shown by `tern ss`; NULL: no control socket */
    uint32_t trace_records; /* ring of trace records; default 0 = none; a power of two */
} tern_host_config;

/* Make a host: memory mapped, stack made, control socket opened. On failure returns a negative errno
 * (-ENOMEM, -EINVAL, -EACCES) and a sentence that says what to do in `err`. */
int tern_host_create(tern_host **out, const tern_host_config *cfg, char *err, size_t err_len);
/* End it: links attached are closed, memory is returned, every handle is stale. */
void tern_host_destroy(tern_host *h);
tern *tern_host_stack(tern_host *h);

/* Give the host a link (it owns it from now on). Returns the stack's link id, or negative. */
int tern_host_attach(tern_host *h, tern_link *l);

/* Take a link away while running: it is closed, and the stack forgets it (tern_link_remove). Errors:
 * -TERN_ENODEV (not a link of this host), -TERN_ENOMEM (no room for what it received and was not read yet;
 * the link stays). */
int tern_host_detach(tern_host *h, int id);

/* tern_connect from a host that has one of several queues, number `queue`: by a port whose answers come to it
 * (any, where that is not known). Errors as tern_connect. */
int tern_host_connect(tern_host *h, int queue, const tern_endpoint *remote, tern_handle *out);

/* A link by its id in digits, or by the name of its device ("tern0"). -TERN_ENODEV: there is none. */
int tern_host_link_id(const tern_host *h, const char *text);

/* The name of a link's device; without one, what kind of link it is ("pair"). "" for no link. */
const char *tern_host_link_name(const tern_host *h, int id);

/* Readable whenever tern_host_turn has something to do (epoll of links, a timer, the control socket). Never
 * changes. */
int tern_host_fd(tern_host *h);

/* Do all that is due: receive (bounded), timers, control socket, send. Never blocks. Returns > 0 when
 * something was done, 0 when not, negative when a link is gone. */
int tern_host_turn(tern_host *h);

/* The two halves of a turn. tern_host_receive takes a batch and does all but sending: then the program does
 * its work (tern_events, tern_recv, tern_send), and tern_host_flush sends what came of it, at the latest
 * before it waits. So an answer and the acknowledgment of its question are one segment, where tern_host_turn
 * sends two (a server of short connections sends a quarter fewer segments). tern_host_fd stays quiet about
 * output that waits for tern_host_flush. */
int tern_host_receive(tern_host *h);

/* Whether links may have more at once than tern_host_receive took (not after 8 batches). Who receives and
 * works until they have not, and flushes then, reads what is still in the cache and acknowledges once:
 *
 *     do { tern_host_receive; tern_events, tern_recv, ... } while (tern_host_more); tern_host_flush
 */
bool tern_host_more(const tern_host *h);

/* Only send what the stack has to send. */
int tern_host_flush(tern_host *h);

/* Block until there is something to do, a signal came (-EINTR), or timeout_ms passed (-1 = for ever). */
int tern_host_wait(tern_host *h, int timeout_ms);

/* The clock that the host gives to its stack: CLOCK_BOOTTIME in microseconds. */
uint64_t tern_host_now(void);

/* Called with every trace record taken from the ring in each turn, before it can be overwritten. */
void tern_host_on_trace(tern_host *h, void (*fn)(void *ctx, const tern_trace_record *r), void *ctx);

/* A capture: every packet that the stack receives or sends, on all links, as pcapng, which Wireshark reads.
 * Each packet has a comment: what the stack decided, by which rule, and which state changed. */
typedef struct tern_capture_config {
    const char *file;   /* path; made anew. "-" = standard output (a reader that stops reading stops the
                           stack) */
    uint64_t file_size; /* bytes: a file that would grow beyond it becomes NAME.1.EXT and another is begun; at
                           least 64 KiB; 0 = one file without limit */
    uint32_t files;     /* with file_size: how many files are kept in all, 1..1000; default 10 */
    uint32_t snap;      /* bytes kept of each packet; 0 = all */
} tern_capture_config;

/* Begin a capture (the one before ends), or with NULL end it. The host must have a trace ring
 * (tern_host_config.trace_records; 65536 is plenty). On failure returns a negative errno and a sentence in
 * `err`. Costs what writing to the file costs, in the turns of the host. */
int tern_host_capture(tern_host *h, const tern_capture_config *cfg, char *err, size_t err_len);

/* What has gone wrong behind the program's back (a capture could not be written any more): a sentence, once;
 * NULL = nothing. Valid until the next call. */
const char *tern_host_trouble(tern_host *h);

/* Text to address: "192.0.2.1", "2001:db8::1". 0 or -EINVAL. And back (46 bytes are enough, brackets not
 * included). */
int tern_ip_parse(const char *text, tern_ip *out);
const char *tern_ip_text(const tern_ip *ip, char buf[46]);
/* "192.0.2.1:80", "[2001:db8::1]:80", "[fe80::1%tern0]:80", "[fe80::1%1]:80", and the same without port (0)
 * and brackets. A zone is a link's id, or with a host (else NULL) its device's name. 0, -EINVAL, or
 * -TERN_ENODEV: no link is called so. And back, the zone as a name when there is a host; 96 bytes are
 * enough. */
int tern_endpoint_parse(const char *text, const tern_host *h, tern_endpoint *out);
const char *tern_endpoint_text(const tern_endpoint *e, const tern_host *h, char buf[96]);
/* "192.0.2.1/24": prefix_len defaults to 32 or 128. */
int tern_cidr_parse(const char *text, tern_ip *out, int *prefix_len);

#ifdef __cplusplus
}
#endif
#endif
