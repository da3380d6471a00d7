/* record.h - what happened in a world, written down for people: for the second run of a world that failed.
 *
 * The story is that of one pair of hosts (those of the connection that the judge complains about), as a
 * ladder shows it; what happens to other hosts is left out. Without a recorder nothing here costs anything.
 */
#ifndef SIM_NET_RECORD_H
#define SIM_NET_RECORD_H

#include "net.h"

#include "host/story.h"

struct recorder {
    struct story *story;
    int host[2];           /* left and right; -1 = not told apart yet: all is written */
    int32_t conn;          /* the connection; -1 = all between the two hosts */
    uint16_t cause;        /* of the packet that has just left, as its stack says */
    bool again;            /* it was sent before */
    tern_trace_record kept[RING];
    uint32_t n_kept, first_kept;
    uint32_t iss[ITEMS_MOST][2];
    bool known[ITEMS_MOST][2];
};

/* A packet leaves its host; `arrives_us` as in story.h. */
void record_sent(struct net *n, struct net_packet *p, uint64_t arrives_us, const char *lost_why);
/* It comes to a host, which says `refused` (enum tern_cause; 0 = took it). */
void record_arrived(struct net *n, const struct net_packet *p, uint16_t refused);
/* Read what a stack says by its trace: it goes into the story, and its changes of state are kept for
 * hosts.c, which asks for them after the verb, as it does in worlds that are not recorded. */
void record_pull(struct net *n, int host);
/* The oldest that is kept; false: none. */
bool record_kept(struct net *n, tern_trace_record *out);
/* A remark about a host (-1: the world), and about a connection (-1: none). */
void record_note(struct net *n, int host, int32_t conn, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
