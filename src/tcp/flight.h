/* flight.h - what sendlist.c offers: the records of what is in flight (RFC 6675 4), and what an ACK says of
 * them (RFC 8985 5.2). Calls that make or split a record give NULL or false without memory.
 */
#ifndef TCP_FLIGHT_H
#define TCP_FLIGHT_H

#include "tcp/world.h"

/* A sending that has arrived. */
struct delivery {
    uint64_t sent_us;     /* 0 = none */
    seq_t end;
    uint8_t times;        /* sent */
};
/* What one ACK says. */
struct acked {
    bool moved;           /* SND.UNA moves */
    bool duplicate;       /* RFC 5681 2 */
    bool ece;             /* it echoes congestion (RFC 3168 6.1.2) */
    uint32_t old_flight;  /* what was in flight before it */
    uint32_t bytes;       /* sequence numbers newly acknowledged, cumulatively */
    uint32_t news;        /* and by SACK */
    uint64_t rtt_sent_us; /* when the first of them that was never repeated was sent; 0 = none (Karn) */
    bool any_retx;        /* one of them had been repeated */
    bool reordered;       /* one of them arrived after others that were sent later (RFC 8985 6.2 step 3) */
    struct delivery once, again; /* the latest-sent of those sent once, and of those repeated */
    uint32_t dsacked;     /* bytes that the peer says came twice (RFC 2883), */
    seq_t dsack_left;     /* from here on */
    bool eifel;           /* the echoed timestamp is older than the first retransmission (RFC 3522) */
};
void sendlist_init(struct sendlist *l, seq_t iss);

/* All of a record but its generation: it is sent now, for the first time, and stands in no list. */
static inline void sendrec_now(const struct tern *t, struct sendrec *r, seq_t start, uint32_t len,
                               uint32_t size, ref_t chunk)
{
    r->seq = r->time = (struct place){0};
    r->start = start;
    r->len = len;
    r->chunk = chunk;
    r->sent_us = t->w->now;
    r->flags = 0;
    r->times = 1;
    r->size = (uint16_t)size;
}

/* What leaves now, for the first time. The first of a list is the list's own and needs no memory. */
struct sendrec *sendlist_add_behind(struct tern *t, struct sendlist *l, seq_t start, uint32_t len,
                                    uint32_t size, ref_t chunk);
static inline struct sendrec *sendlist_add(struct tern *t, struct sendlist *l, seq_t start, uint32_t len,
                                           uint32_t size, ref_t chunk)
{
    if (l->count > 0)
        return sendlist_add_behind(t, l, start, len, size, chunk);
    ref_t me = self(t, &l->own);
    l->own.gen = 1;
    sendrec_now(t, &l->own, start, len, size, chunk);
    l->bytes = len;
    l->count = 1;
    l->seq = l->time = (struct list){me, me};
    return &l->own;
}

/* The only one, sent once and never judged, has arrived. */
static inline void sendlist_take_only(struct tern *t, struct sendlist *l)
{
    const struct sendrec *r = at(t->a, l->seq.head);
    seq_t end = seq_add(r->start, r->len);
    if (LIKELY(r == &l->own))
        l->own.gen = 0;
    else
        pool_put(t->a, &t->w->sendrecs, l->seq.head);
    memset(l, 0, offsetof(struct sendlist, lost_below));
    l->lost_below = seq_max(l->lost_below, end);
    l->fack = seq_max(l->fack, end);
}

void sendlist_ack(struct tern *t, struct sendlist *l, seq_t una, struct acked *out);
uint32_t sendlist_sack(struct tern *t, struct sendlist *l, seq_t left, seq_t right, uint32_t mss,
                       struct acked *out);
uint32_t sendlist_mark_lost_sack(struct tern *t, struct sendlist *l, uint32_t mss);
uint32_t sendlist_mark_lost_time(struct tern *t, struct sendlist *l, uint64_t sent_us, seq_t end,
                                 uint64_t patience, uint64_t *next, bool *again);
void sendlist_reduced(struct tern *t, struct sendlist *l);
void sendlist_mark_head_lost(struct tern *t, struct sendlist *l, uint32_t mss);
bool sendlist_mark_large_lost(struct tern *t, struct sendlist *l, uint32_t size);
void sendlist_mark_all_lost(struct tern *t, struct sendlist *l, bool forget_sacks);
struct sendrec *sendlist_lost(struct tern *t, struct sendlist *l);
struct sendrec *sendlist_split(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t len);
void sendlist_extend(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t n);
bool sendlist_extend_tail(struct tern *t, struct sendlist *l, uint32_t n, uint32_t size);
void sendlist_resent(struct tern *t, struct sendlist *l, struct sendrec *r, uint32_t size);
void sendlist_clear(struct tern *t, struct sendlist *l);

#endif
