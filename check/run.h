/* run.h - inside of a run: the stack, the peer's view of its connections, the program's descriptors. */
#ifndef CHECK_RUN_H
#define CHECK_RUN_H

#include <setjmp.h>

#include <tern/event.h>
#include <tern/link.h>
#include <tern/net.h>
#include <tern/socket.h>
#include <tern/stats.h>
#include <tern/tern.h>

#include "check/check.h"
#include "check/packet.h"
#include "check/script.h"
#include "check/words.h"

enum { FLOWS_MAX = 64, SOCKS_MAX = 64, STAMPS_MAX = 256, TEXT_MAX = 400 };

/* What the options of a script say. */
struct settings {
    tern_config config;
    tern_ip local, remote;
    uint16_t bind_port, connect_port;
    uint32_t mtu;
    uint16_t mss;           /* larger segments of the peer come joined from pieces of this size; 0 = as they
                               are */
    int64_t tolerance_us;
    int64_t tolerance_ppm;  /* of the time waited, in millionths */
    uint32_t ts_tick_us;    /* TS val is compared in these units; 0 = not */
    bool strict_segments;   /* no segment of the script stands for several */
    bool has_iss;           /* tern's first initial sequence number is to be: */
    uint32_t iss;
    uint32_t irs;           /* what the sequence numbers of the peer's SYNs count from */
    size_t memory;
};

/* Bytes that grow. */
struct bytes {
    uint8_t *v;
    size_t len, cap;
};

/* One connection as the peer sees it. Numbers of the script count from the initial sequence numbers, but
 * those of a SYN, which are what the script says. */
struct flow {
    tern_endpoint local, remote;
    uint16_t script_local; /* the port that the script uses for tern's; 0 = none yet */
    uint32_t made;         /* order of listening and of flows */
    bool local_known, remote_known, remote_final;
    uint32_t local_isn, script_isn; /* tern's, and the script's number for it */
    uint32_t remote_isn;
    uint32_t last_syn;     /* sequence number of the peer's last SYN */
    uint16_t last_win;
    uint32_t stamps;       /* TSvals of the script and of tern */
    struct {
        uint32_t script, live;
    } stamp[STAMPS_MAX];
    struct bytes written;  /* by tern's program, from the first byte of the stream */
};

/* A packet that tern has sent, not yet looked at. */
struct sent {
    uint64_t t;
    uint8_t *bytes;
    uint32_t len;
    int flow;           /* -1: it is no segment */
    const char *wrong;  /* malformed: why */
    bool local_known;
    uint32_t local_isn, remote_isn; /* of the flow when it was sent */
    struct packet packet;
};

enum sock_kind { SOCK_FREE, SOCK_NEW, SOCK_LISTENING, SOCK_CONNECTION, SOCK_EPOLL };

struct sock {
    int fd;
    enum sock_kind kind;
    tern_handle h;
    int flow;              /* of a connection */
    bool v6, nonblocking, bound, reuse, corked;
    bool opening;          /* connect has not been told that it is done */
    bool error_taken;      /* the program has been told why the connection ended */
    bool shut_read;
    tern_endpoint local;
    uint64_t read;         /* bytes that the program has got */
    uint32_t made;         /* of a listener: its place in the order of listen calls and flows */
    int linger;            /* -1 off */
    uint32_t low_water;
    uint32_t n_options;    /* set before there is a handle */
    struct {
        enum tern_option option;
        uint32_t value;
    } option[24];
    struct watch *watches; /* of an epoll */
};

/* A descriptor that an epoll watches. */
struct watch {
    int fd;
    uint32_t events;
    uint64_t data;
    uint32_t reported; /* edge-triggered: what was reported and has not gone away */
    uint64_t seen;     /* bytes received, or connections waiting, when it was looked at last */
    bool disarmed;     /* one-shot, reported */
    struct watch *next;
};

/* What a call gives. */
struct answer {
    bool blocks;     /* it is not done; try again when something has happened */
    int64_t value;   /* or a negative errno */
};

struct run;

/* Who is examined: tern (run.c), or another stack in its place (tests/linux). */
struct subject {
    void (*begin)(struct run *r);
    void (*over)(struct run *r); /* the script has passed: what must hold then; NULL = nothing */
    void (*end)(struct run *r);
    /* The peer's packet; `gso_size`: joined from segments with so much payload, 0 = it is one. */
    void (*give)(struct run *r, const uint8_t *bytes, uint32_t len, uint16_t gso_size);
    void (*collect)(struct run *r);                                  /* as run_collect */
    void (*until)(struct run *r, uint64_t until, bool stop);         /* as run_until */
    struct answer (*call)(struct run *r, const struct call_spec *c); /* as call_perform */
    void (*code)(struct run *r, const struct event *e);              /* an assertion; fails the run */
    const char *(*state)(struct run *r, const struct event *e);      /* name of the state that `e` asks for */
    /* Another segment than the script's, in its options alone: noted, and the script goes on. NULL: it
     * fails. */
    void (*options_differ)(struct run *r, const char *expected, const char *got);
    bool foreign; /* what each stack chooses for itself is not compared: window, its scale, PSH */
};

struct run {
    const struct script *s;
    const struct check_options *options;
    const struct subject *subject;
    void *subject_state; /* its own */
    struct settings set;
    tern *t;
    void *block;
    int link;
    uint64_t now, zero;   /* the clock; the script's time 0 */
    uint64_t over;        /* when the last event was; 0 = not yet */
    int64_t base;         /* what relative times count from, script's time */
    struct flow *flow;
    int flows, current;   /* current: the flow of packets without ports; -1 */
    uint32_t order;       /* counts listen calls and flows */
    struct sent *sent;
    size_t n_sent, first_sent, cap_sent;
    struct sock sock[SOCKS_MAX];
    const struct event *event;   /* being performed */
    const struct event *blocked; /* a call that has not come back */
    int64_t blocked_end;
    struct answer blocked_answer; /* it has come back: */
    bool blocked_done;
    uint64_t blocked_at;
    uint64_t blocked_count;      /* bytes that a blocking write has got rid of */
    uint64_t wake;               /* when the timeout of poll or epoll_wait is over; UINT64_MAX */
    struct bytes scratch;        /* of a read or write; here, so that leaving the run frees it */
    tern_trace_record *ring, *trace;
    uint32_t n_trace, cap_trace;
    bool isn_seen;               /* tern has sent a SYN, the first with: */
    uint32_t isn;
    bool broken;                 /* tern has trapped: it is not to be touched any more */
    struct check_result *result;
    jmp_buf out;
};

/* --- run.c --- */

/* Leave the run. `expected` and `got` may be NULL; texts are copied. */
void run_fail(struct run *r, const char *expected, const char *got, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));
void run_skip(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* The script cannot mean this. */
void run_wrong(struct run *r, int line, int column, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));

/* check_run_buffer with another subject; there is no ladder. */
void check_run_against(const struct subject *subject, const char *text, size_t len,
                       struct check_result *out);
/* The subject has sent a packet, now. */
void run_keep(struct run *r, const uint8_t *bytes, uint32_t len);
/* Try a call that blocks again. */
void run_try_blocked(struct run *r);
/* Let time pass until `until` (live). `stop`: return as soon as tern has sent something. */
void run_until(struct run *r, uint64_t until, bool stop);
/* Take what tern wants to send, look at the invariants, try a blocked call again. After every verb. */
void run_collect(struct run *r);
/* Time of the script of a time of the clock, and how much a time may be off. */
int64_t run_script_time(const struct run *r, uint64_t t);
int64_t run_tolerance(const struct run *r, int64_t at);
/* "0.250000". Returns buf. */
const char *run_time_text(int64_t us, char buf[32]);

/* --- settings.c --- */
void settings_read(struct run *r);

/* --- flow.c --- */

/* The flow of a live pair; -1. */
int flow_find(const struct run *r, const tern_endpoint *local, const tern_endpoint *remote);
/* A new one, which becomes the current one. */
int flow_new(struct run *r, const tern_endpoint *local, const tern_endpoint *remote);
/* Note what a packet of tern says about its connection. */
void flow_learn(struct run *r, struct sent *s);
/* The peer sends: the script's packet made live, and given to tern. */
void flow_receive(struct run *r, const struct packet_spec *k);
/* The listener that the next packet without ports is for: when it is newer than the current flow; NULL. */
const struct sock *flow_newer_listener(const struct run *r);
/* The flow that a state directive means; -1. */
int flow_of_ports(const struct run *r, uint16_t peer, uint16_t tern_port);
/* The byte that the peer sends at this place of its stream. */
uint8_t flow_byte(uint64_t place);
/* The state of the connection as the standard has it: a listener is LISTEN where no record is. */
enum tern_state flow_state(struct run *r, const tern_endpoint *local, const tern_endpoint *remote,
                           tern_info *info);

/* --- match.c --- */

/* tern must send this now; waits for it. */
void match_expect(struct run *r, const struct event *e, int64_t from, int64_t to);
/* The oldest packet was looked at. */
void match_forget(struct run *r);
/* Nothing may be left over. */
void match_nothing_left(struct run *r);

/* --- print.c --- */

/* A packet in the script's notation; for a packet_spec what it leaves open is not printed. Return buf. */
const char *print_spec(const struct packet_spec *k, char *buf, size_t len);

/* --- desc.c, call.c, sockopt.c, wait.c --- */

struct sock *desc_find(struct run *r, int fd);
struct sock *desc_make(struct run *r, int fd);
void desc_release(struct run *r, struct sock *k);
/* A new connection's flow, its options. */
void desc_connected(struct run *r, struct sock *k);
/* What the end of the connection says to a call: 0 or a negative errno, told once. */
int desc_error(struct run *r, struct sock *k);
bool desc_info(const struct run *r, const struct sock *k, tern_info *out);

/* Perform the call of an event, or try a blocked one again. Gives its answer. */
struct answer call_perform(struct run *r, const struct call_spec *c);
struct answer call_tern(struct run *r, const struct call_spec *c);
/* The answer against what the script says; fails the run. */
void call_judge(struct run *r, const struct event *e, const struct answer *a);

/* Helpers for arguments: the n-th one (NULL = fewer), as a number, as a descriptor. */
const struct value *call_arg(const struct call_spec *c, int n);
int64_t value_number(struct run *r, const struct value *v);
bool value_is_open(const struct value *v);
const struct value *value_field(const struct value *v, const char *name);
/* The address that a struct gives; false: of no IP family. */
bool value_endpoint(struct run *r, const struct value *v, tern_endpoint *out);
/* What calls that read and write ask for, whichever of them it is; `data` NULL: the script leaves it open. */
int64_t call_length(struct run *r, const struct call_spec *c);
int64_t call_flags(struct run *r, const struct call_spec *c);
const struct value *call_data(const struct call_spec *c);
/* The bytes from `from` to `len` that such a call writes, and that they were written. */
void call_fill(const struct flow *f, const struct value *data, int64_t from, int64_t len, uint8_t *out);
void call_note_written(struct flow *f, const uint8_t *bytes, size_t n);

struct answer call_setsockopt(struct run *r, struct sock *k, const struct call_spec *c);
struct answer call_getsockopt(struct run *r, struct sock *k, const struct call_spec *c);
struct answer call_ioctl(struct run *r, struct sock *k, const struct call_spec *c);
/* Set an option now, or note it for when there is a handle. */
int desc_set(struct run *r, struct sock *k, enum tern_option option, uint32_t value);
void desc_apply_options(struct run *r, struct sock *k);
struct answer call_poll(struct run *r, const struct call_spec *c);
/* Look at what epolls watch, whenever something has happened. */
void wait_refresh(struct run *r);
struct answer call_epoll_create(struct run *r, int fd);
struct answer call_epoll_ctl(struct run *r, struct sock *k, const struct call_spec *c);
struct answer call_epoll_wait(struct run *r, struct sock *k, const struct call_spec *c);

/* --- command.c --- */
/* What the commands in backquotes ask for, before the stack is made. */
void commands_read(struct run *r);

/* --- code.c --- */
void code_run(struct run *r, const struct event *e);
/* A field of Linux's tcp_info, or of tern_info, by its name. False: there is none. */
bool code_field(const tern_info *i, const char *name, int64_t *out);

/* --- report.c --- */
/* Take tern's trace. */
void report_take_trace(struct run *r);
/* Draw the ladder of the flow that was last in use. */
void report_ladder(struct run *r, bool color);

#endif
