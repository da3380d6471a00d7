/* audit.h - what goes over the wires, held against the standard.
 *
 * The judge (judge.h) hears what programs are told. The audit looks at every packet that a stack is given and
 * at every one that it sends, and at the states that calls lead to. It keeps a record of its own for each
 * connection of each host, made from the packets alone, with the codec of the simulation. docs/SIM.md has the
 * rules by number; a complaint begins with its number.
 *
 * What cannot be known is not judged: when fragments come, which the stack puts together, or when a
 * connection began with segments that the audit did not see, the rules that depend on it are silent.
 */
#ifndef SIM_NET_AUDIT_H
#define SIM_NET_AUDIT_H

#include "../packet.h"
#include "net.h"

enum { AUDIT_FLOWS = 4096, AUDIT_SLOTS = 4096, AUDIT_RANGES = 64 };

/* The options of a SYN, and its number. */
struct audit_syn {
    bool there, ts, sack, ws, ecn;
    bool heard; /* taken by who had sent a SYN itself: what it offered counts */
    uint8_t shift;
    uint16_t mss; /* 0 = not said */
    uint32_t seq, ts_val, window;
};

struct audit_range {
    uint32_t from, to;
};

/* A connection as one of its two hosts has it. */
struct audit_flow {
    tern_endpoint local, remote;
    int16_t host;
    uint32_t next;      /* in its slot, +1 */
    bool twice;         /* its pair had other SYNs before: which one lives is not known */
    bool known;         /* the SYNs of both sides were seen */
    bool loose;         /* something was lost or came out of order: what is in flight is not known */
    bool blurred;       /* what has arrived is not known exactly */
    struct audit_syn its, ours, peer; /* `its`: the last SYN that came; `peer`: the one that was answered */
    bool acked_syn;
    /* what it has sent */
    bool fin_sent;
    uint32_t snd_max, una, fin_end;
    uint32_t wnd, wl1, wl2, peer_edge;
    bool plain;         /* a SYN or SYN+ACK did not set ECN up */
    uint32_t ts_last, ecr_last;
    uint32_t acked;     /* bytes that the peer has acknowledged */
    uint64_t sent_us, gap_us; /* when the oldest unacknowledged was sent last, and the time before that */
    uint32_t sent_seq;
    uint32_t tries;
    /* what it has been given */
    uint32_t rcv_nxt, edge, last_ack, ts_recent;
    bool edge_known, fin_came, acks;
    uint32_t fin_came_at;
    struct audit_range range[AUDIT_RANGES];
    uint32_t ranges;
    struct audit_range newest;
    uint32_t unsaid;    /* so many segments had no ECE */
    bool ce_ever, ce, cwr_wanted;
    /* what it owes */
    uint64_t refused_us;    /* since then so many were refused */
    uint32_t refused;
    const char *owes;   /* words: why an ACK must leave at once; NULL = it need not */
};

struct audit {
    struct audit_flow flow[AUDIT_FLOWS];
    uint32_t n, slot[AUDIT_SLOTS];
    uint32_t owing[BATCH_MOST]; /* flows that owe an answer to this batch */
    uint32_t n_owing;
    uint64_t clock_us[HOSTS_MOST]; /* when its clock or its link was last disturbed */
    bool blurred[HOSTS_MOST];      /* fragments came, or memory was short */
};

/* A new world; a host that has lost its memory. */
void audit_begin(struct net *n);
void audit_forget(struct net *n, int host);
/* Times of this host mean nothing for a while: it stood still, its clock leapt, its link was away. */
void audit_disturb(struct net *n, int host, uint64_t until_us);

/* A packet was given to a host, whose stack said `rx` about it. */
void audit_arrived(struct net *n, int host, const struct net_packet *p, const tern_rx_packet *rx);
/* A host's stack has sent a packet. */
void audit_sent(struct net *n, int host, const struct net_packet *p);
/* All that the stack had to say to a batch has been taken. */
void audit_settled(struct net *n, int host);

/* A program closed, aborted, ...: the state that must follow. `before`: what tern_get_info said. */
void audit_called(struct net *n, const struct net_end *e, const tern_info *before, enum tern_cause call);
/* An address or a link is gone: no connection may still have it. */
void audit_gone(struct net *n, int host, const tern_ip *ip);

/* audit_flow.c */
void audit_open(struct audit_flow *f, const struct audit_syn *peer); /* from here on it is followed */
struct audit_flow *audit_find(struct net *n, int host, const tern_endpoint *local,
                              const tern_endpoint *remote, bool make);
/* Whether what this flow says can be judged. When both FINs are acknowledged, a host that sends cookies may
 * be shown one twice, and open the same pair once more with the same numbers (RFC 4987 3.6). */
bool audit_follows(struct net *n, struct audit_flow *f);
void audit_add_range(struct audit_flow *f, uint32_t from, uint32_t to);
bool audit_has(const struct audit_flow *f, uint32_t from, uint32_t to);
void audit_complain(struct net *n, const struct audit_flow *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool audit_read(struct segment *s, const struct net_packet *p, bool vouched);

static inline int32_t audit_ahead(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

#endif
