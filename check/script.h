/* script.h - a packetdrill script, read: options, and events in their order.
 *
 *     --tolerance_usecs=10000                                    an option
 *     0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3             a call of the program, at an absolute time
 *     +0   < S 0:0(0) win 32792 <mss 1000>                       the peer sends
 *     +.01~+.02 > S. 0:0(0) ack 1 <...>                          tern must send, some time in a range
 *     +0   %{ assert tcpi_state == TCP_SYN_RECV }%               something must be true
 *     +0   = SYN_RCVD                                            a state (tern only)
 *
 * Everything that a script is made of lies in one pool that goes with it.
 */
#ifndef CHECK_SCRIPT_H
#define CHECK_SCRIPT_H

#include <tern/tern.h>

#include "check/lexer.h"

/* --- values: arguments and results of calls --- */

enum value_kind {
    VALUE_ELLIPSIS, /* ... : left open */
    VALUE_NUMBER,
    VALUE_WORD,
    VALUE_STRING,
    VALUE_LIST,   /* [a, b] */
    VALUE_STRUCT, /* {name = a, b} */
    VALUE_CALL,   /* name(a, b): htons(80), inet_addr("...") */
    VALUE_OR,     /* a | b */
};

struct value {
    enum value_kind kind;
    int line, column;
    int64_t number;
    char *text;           /* word, string, name of the call */
    size_t len;           /* of the text */
    char *name;           /* as a field of a struct: its name; NULL */
    struct value *first;  /* items, arguments, operands */
    struct value *next;   /* the next one beside it */
};

/* --- packets --- */

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128, AE = 256 };
enum { OPTIONS_MAX = 40, SACKS_MAX = 4 };

/* One TCP option. */
struct tcp_option {
    uint8_t kind, len; /* as on the wire; len 1 for NOP and end of list */
    uint8_t n_sack;
    uint16_t mss;
    uint8_t wscale;
    uint32_t ts_val, ts_ecr;
    struct {
        uint32_t left, right;
    } sack[SACKS_MAX];
    uint8_t raw[OPTIONS_MAX]; /* of a kind not listed here, or of a wrong length: all of its bytes */
    uint8_t raw_len;          /* 0 = the fields above */
};

enum {
    OPTION_EOL = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_WSCALE = 3,
    OPTION_SACK_OK = 4,
    OPTION_SACK = 5,
    OPTION_TS = 8,
};

enum { TOS_OPEN, TOS_ECN, TOS_ALL, TOS_ECT }; /* left open; the ECN bits; all bits; ECT(0) or ECT(1) */

/* A packet as the script writes it; numbers are the script's. */
struct packet_spec {
    bool outbound; /* tern sends it */
    bool icmp;
    bool has_ack, has_win, has_ports, any_options;
    bool bad_checksum;       /* inbound: the TCP checksum is wrong */
    uint8_t tos_check, tos;  /* TOS_..., and the value */
    uint8_t ttl;             /* 0 = left open */
    bool has_flow;
    uint32_t flow_label;
    uint16_t src_port, dst_port;
    uint16_t flags;
    uint32_t seq, ack, len;
    uint16_t win, urg;
    uint32_t n_options;
    struct tcp_option options[OPTIONS_MAX];
    /* ICMP */
    uint8_t type, code;
    bool has_mtu, has_echo;  /* has_echo: seq and len are those of the segment that it is about */
    uint32_t mtu;
};

/* --- events --- */

struct call_spec {
    char *name;
    struct value *args; /* first of them */
    struct value *result;
    bool blocks;        /* an end time is given */
    int64_t end_us;     /* in the same count as the event's time */
    char *error;        /* name of the errno; NULL */
};

enum time_kind { TIME_ABSOLUTE, TIME_RELATIVE, TIME_ANY };
enum event_kind { EVENT_PACKET, EVENT_CALL, EVENT_CODE, EVENT_STATE, EVENT_COMMAND };

struct event {
    enum event_kind kind;
    enum time_kind time;
    bool range;
    int64_t us, end_us; /* end_us: of a range */
    int line, column;
    struct packet_spec *packet;
    struct call_spec *call;
    char *text; /* code, command, name of the state */
    bool has_ports;
    uint16_t src_port, dst_port; /* of a state: peer's and tern's */
    struct event *next;
};

struct script_option {
    const char *name, *value; /* value "" when there is none */
    int line, column;
    struct script_option *next;
};

struct script {
    const char *text; /* not owned */
    size_t len;
    struct script_option *options;
    struct event *events;
    uint32_t n_events;
    bool v6;            /* --ip_version=ipv6 */
    /* Not a script: where and why. */
    bool wrong;
    /* A script that uses what tern has not: where and what. */
    bool unsupported;
    int line, column;
    char *message;
    void *pool;
};

/* Read a script. The text must stay. Always to be freed. */
void script_parse(struct script *s, const char *text, size_t len);
void script_free(struct script *s);

/* The text of a line, without blanks around it, for messages. Returns its length. */
size_t script_line(const struct script *s, int line, const char **text);

#endif
