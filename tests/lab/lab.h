/* lab.h - wire conversations: one tern stack on a virtual clock, and the test plays its peer by raw segments.
 *
 * A test is a script of lines (lab_talk, or the TALK macro):
 *
 *     listen                                   the program of tern calls; `-> X` says what must come back
 *     < S 0 win 65535 <mss 1460,sackOK>        the peer sends
 *     > SA 0 ack 1 <mss 1460,sackOK>           tern must have sent exactly this next
 *     < A 1 ack 1
 *     accept
 *     send 100 -> 100
 *     > PA 1:101(100) ack 1
 *     +200ms > PA 1:101(100) ack 1             ... comes 200 ms after the line before (1 ms, 1 % off)
 *     +1..3s > A 1                             ... comes at some time from 1 to 3 s after it
 *     +any > R 1                               ... comes some time
 *     +5s > none                               ... nothing comes for 5 s
 *     +1s < PA 1:11(10) ack 101 win 200        wait, then send
 *     = CLOSE_WAIT                             the state of the connection
 *     ? recv_queue 10                          a field of tern_info
 *
 * Numbers are relative to the two initial sequence numbers; `=5` is absolute. The window is in bytes (scaled
 * by what was agreed; a segment without `win` repeats the last). Flags: S F R P A U E W (CWR), `-` = none. In
 * what tern must send, P is required where it is written, forbidden where p is written, and left open
 * otherwise; options are compared where <...> is written. `<+` puts a segment into the same batch as the next
 * `<`. Words behind the numbers: `ack N`, `win N`, `urg N`, `ect0`, `ect1`, `ce`, `notect`, `ttl N`, `dscp
 * N`. When timestamps were agreed the peer's segments carry them unless <nots>. A digit before a line names
 * another connection ("1 connect").
 *
 * The bytes of both streams are a function of their position, so each byte that tern sends or delivers is
 * checked always; so are checksums, sizes, both windows and the invariants of src/tcp/check.c (audit.c).
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>
#include <tern/tern.h>

#include "wire/wire.h"

#define LAB_FLOWS 10
#define LAB_NEVER UINT64_MAX
#define MS        1000ull
#define SEC       1000000ull

/* How a test is run again: other initial numbers, IPv6. */
struct lab_variant {
    const char *name;
    bool v6;
    uint32_t peer_iss;
    bool has_iss;
    bool by_steps; /* tern_config.by_steps */
    uint32_t iss; /* tern's; reached by choosing the time of the first SYN */
};

struct lab_config {
    tern_config stack; /* trace is the lab's own */
    uint32_t mtu;      /* default 1500, for IPv6 1520, so that the MSS is 1460 */
    uint32_t gso_max;
    bool tx_csum;
    bool any_edge;  /* do not audit the windows */
    size_t memory;  /* of the stack; default 8 MiB */
    uint64_t start; /* the first `now`; default 1 s */
    bool link_local; /* addresses fe80::1 and fe80::2, in every variant */
};

/* One connection as the peer sees it. */
struct lab_flow {
    tern_endpoint local, peer; /* tern's end, the peer's end */
    tern_handle h;
    uint32_t peer_iss;
    uint32_t iss;
    bool iss_known;
    bool any_seen;     /* something was received from tern: */
    uint32_t peer_nxt; /* the next byte that the peer wants */
    bool peer_ws, tern_ws, peer_ts, tern_ts;
    uint8_t peer_shift, tern_shift;
    uint32_t ts_first, ts_last; /* TSval of tern */
    uint32_t win;               /* the peer's window, bytes */
    uint64_t wrote, read;       /* bytes that tern's program has sent and received */
    bool edge_known, peer_edge_known;
    uint32_t edge;      /* right edge of tern's window */
    uint32_t peer_edge; /* the furthest that the peer's window ever reached */
    uint32_t snd_max;   /* the furthest that tern has sent */
    bool fin_seen;
    bool plain_syn;     /* tern has sent a SYN or SYN+ACK that does not set ECN up */
    tern_handle old; /* of an incarnation before this one */
    uint32_t events; /* readiness bits since they were last asked for */
};

/* A packet that tern sent. */
struct lab_out {
    uint64_t t;
    uint8_t *bytes;
    uint32_t len;
    uint16_t gso_size;
    uint8_t link;
    struct ip_hdr ip;
    struct segment seg; /* when it is TCP */
    int flow;           /* -1 = of none */
};

struct lab {
    tern *t;
    void *block;
    tern_trace_record *trace;
    uint64_t now;
    uint64_t mark; /* when the last line happened */
    struct lab_config cfg;
    const struct lab_variant *variant;
    bool tuned;
    int link;
    tern_ip ip, peer_ip;
    tern_handle listener;
    struct lab_flow flow[LAB_FLOWS];
    struct lab_out *outs; /* sent by tern and not yet looked at */
    size_t n_outs, cap_outs, first_out;
    struct lab_out last; /* the one that was looked at last */
    uint8_t *batch[64];
    tern_rx_packet batch_pkts[64];
    int n_batch;
    tern_rx_packet last_rx; /* verdict and cause of the last packet given */
    bool done;              /* no more audit: the test is over */
    const char *file, *line_text;
    int line;
};

/* A stack with address 10.0.0.1/24 (2001:db8::1/64) on one link. `state` is cmocka's (it names the variant),
 * NULL = none. */
struct lab *lab_new(void **state, const struct lab_config *cfg);

/* Close everything, let all time pass, and assert that nothing is left alive; then destroy. */
void lab_end(struct lab *l);

/* Perform a script. */
void lab_talk(struct lab *l, const char *file, int line, const char *script);
void lab_talkf(struct lab *l, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define TALK(l, script) lab_talk(l, __FILE__, __LINE__, script)
#define TALKF(l, ...)   lab_talkf(l, __FILE__, __LINE__, __VA_ARGS__)

/* The test fails: prints why, the line of the script, and the last trace records. */
void lab_fail(struct lab *l, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
#define LAB_CHECK(l, x)                                                    \
    do {                                                                   \
        (l)->file = __FILE__, (l)->line = __LINE__, (l)->line_text = NULL; \
        if (!(x))                                                          \
            lab_fail(l, "does not hold: %s", #x);                          \
    } while (0)

/* --- time and packets --- */

/* Let time pass, with a tick at each deadline. What tern sends is kept. */
void lab_run(struct lab *l, uint64_t us);
void lab_run_until(struct lab *l, uint64_t t, bool stop_at_output);
/* Take from tern what it wants to send now; check invariants. Done by everything here that calls tern. */
void lab_collect(struct lab *l);
/* Give a packet to tern, as it is. Returns its verdict; cause in l->last_rx. */
int lab_rx(struct lab *l, const uint8_t *pkt, uint32_t len);
int lab_rx_gso(struct lab *l, const uint8_t *pkt, uint32_t len, uint16_t gso_size);
/* The next packet that tern has sent, NULL = none (valid until the next call); and to forget all. */
const struct lab_out *lab_next(struct lab *l);
size_t lab_pending(const struct lab *l);
void lab_forget(struct lab *l);

/* A packet of the peer as bytes: from a line ("S 0 win 100 <mss 1460>"), or from a segment (whose numbers are
 * absolute; payload NULL = the bytes of the stream). Returns its length. `buf`: 66000 bytes. */
uint32_t lab_packet(struct lab *l, const char *line, uint8_t *buf);
uint32_t lab_build(struct lab *l, int flow, const struct segment *s, uint8_t *buf);
/* Make the checksums right again after a change of bytes. */
void lab_checksum(uint8_t *pkt, uint32_t len);
/* An ICMP error (or ICMPv6) about a segment of tern with this relative sequence number. */
void lab_icmp(struct lab *l, int flow, uint8_t type, uint8_t code, uint32_t rest, uint32_t rel_seq);

/* The byte at a position of a stream: of the peer, or of tern. */
uint8_t lab_byte(bool of_peer, uint64_t pos);

/* --- calls --- */
long lab_send(struct lab *l, int flow, size_t n, unsigned flags);
long lab_recv(struct lab *l, int flow, size_t n); /* checks the bytes */
int lab_connect_call(struct lab *l, int flow);
int lab_listen_call(struct lab *l);
int lab_accept_call(struct lab *l, int flow);
/* Readiness bits of a connection since the last time. */
uint32_t lab_events(struct lab *l, int flow);
/* Info of a connection, held or not. False: there is no record. */
bool lab_info(struct lab *l, int flow, tern_info *out);
enum tern_state lab_state(struct lab *l, int flow);
tern_live lab_live(struct lab *l);
tern_stats lab_stats(struct lab *l);

/* --- shortcuts --- */

/* Connection 0 open, by tern's connect or by its listener: MSS 1460 both ways, the peer's window 65535;
 * nothing pending. `opts`: of the peer's SYN, e.g. "mss 1460,sackOK,wscale 7". */
void lab_connect(struct lab *l, const char *opts);
void lab_accept(struct lab *l, const char *opts);

/* Situations: every state by segments and calls. */
enum lab_place {
    LAB_CLOSED,      /* no record */
    LAB_CLOSED_HELD, /* ended by a reset, the program has not yet released it */
    LAB_LISTEN,
    LAB_SYN_SENT,
    LAB_SYN_RCVD_PASSIVE, /* of a listener */
    LAB_SYN_RCVD_ACTIVE,  /* of SYN_SENT: simultaneous open */
    LAB_ESTABLISHED,
    LAB_FIN_WAIT_1,
    LAB_FIN_WAIT_2,
    LAB_CLOSE_WAIT,
    LAB_CLOSING,
    LAB_LAST_ACK,
    LAB_TIME_WAIT,      /* the program holds the handle */
    LAB_TIME_WAIT_FREE, /* it has released it */
    LAB_PLACES
};
extern const char *const lab_place_names[LAB_PLACES];
enum tern_state lab_place_state(enum lab_place p);
/* Bring connection 0 there, opened by tern (`active`) or by its peer; the handle is kept where there is one
 * (the program calls shutdown). */
void lab_reach(struct lab *l, enum lab_place p, bool active);

/* --- two that were played the same --- */

/* What they have written down; their digests and counters; what they have to say (it is taken). */
void lab_same_traces(struct lab *a, struct lab *b);
void lab_same_stacks(struct lab *a, struct lab *b);
void lab_same_answers(struct lab *a, struct lab *b);

/* --- running --- */

/* Whether all invariants are to be looked at now: always, or each n-th time with TERN_CHECK_EACH=n, for runs
 * that are slow and ask something else (valgrind, coverage). */
bool lab_check_now(void);
/* Run each test in each variant (plain, numbers around 2^31 and 2^32, IPv6, without short ways). The
 * environment may ask for less where a run is slow: TERN_VARIANTS names those wanted ("plain,IPv6"). */
int lab_main(const char *group, const struct CMUnitTest *tests, size_t n);
#define LAB_TEST(f)                \
    {                              \
        .name = #f, .test_func = f \
    }
#define LAB_MAIN(tests) lab_main(__FILE__, tests, sizeof(tests) / sizeof((tests)[0]))

/* --- printing --- */
void lab_print_segment(FILE *f, const struct lab *l, int flow, bool of_peer, const struct segment *s);
void lab_print_trace(FILE *f, struct lab *l, int last);

/* --- for the files of this folder --- */
struct lab_line {
    int flow;
    bool timed, until_any;
    uint64_t lo, hi; /* us after the line before */
    char dir;        /* < > = ? or 'c' for a call */
    bool batch, none;
    const char *rest;   /* of calls, and of = ? */
    struct segment seg; /* numbers absolute */
    bool has_ack, has_win, has_opts, has_up, no_ts, psh, no_psh;
    bool any_mss, any_wscale, any_ts, has_ecr, has_tos_ecn, has_ttl, has_dscp;
    uint32_t win;
};
void lab_parse(struct lab *l, const char *text, struct lab_line *out);
void lab_call(struct lab *l, int flow, const char *text);
void lab_capture(struct lab *l, const tern_tx_packet *pkt);
void lab_audit(struct lab *l, const struct lab_out *o);
void lab_learn_in(struct lab *l, int flow, const struct segment *s);
int lab_flow_of(const struct lab *l, const struct segment *s);
void lab_tune(struct lab *l, int flow, bool active);

#endif
