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

#include "tern.h"

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
#include "events.def"
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
