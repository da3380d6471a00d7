/* demux.c - from addresses and ports to the record: one keyed hash over the 4-tuple.
 *
 * Records of all kinds but listeners share one table, so a segment costs one look-up. The hash is keyed by
 * the seed, so that nobody outside can aim at one slot (RFC4987-3.5-b). A connection is found before a
 * listener: a segment of an existing pair never reaches the listener on the same port (RFC 9293 3.10.7).
 */
#include "tcp/fetch.h"
#include "tcp/pair.h"
#include "tcp/tcp.h"

/* The zone is part of the pair where an address has a meaning on one link only (RFC 4007 6). */
static uint32_t hash6(const struct tern *t, const tern_ip *local, uint16_t local_port, const tern_ip *remote,
                      uint16_t remote_port, uint8_t link)
{
    const struct mixkey *k = &t->w->key_table;
    uint32_t ports = (uint32_t)local_port << 16 | remote_port;
    uint64_t sum = mix_pair(k, 4, ports, ip_zone(local, remote, link));
    for (uint32_t i = 0; i < 4; i++)
        sum += mix_pair(k, i, get32(local->b + 4 * i), get32(remote->b + 4 * i));
    return mix_end(k, sum);
}

static inline uint32_t pair_hash(const struct tern *t, const tern_ip *local, uint16_t local_port,
                                 const tern_ip *remote, uint16_t remote_port, uint8_t link)
{
    if (LIKELY(tern_ip_is4(remote)))
        return pair_hash4(t, local->b + 12, remote->b + 12, local_port, remote_port);
    return hash6(t, local, local_port, remote, remote_port, link);
}

uint32_t demux_hash(const struct tern *t, const struct who *w)
{
    return pair_hash(t, &w->local, w->local_port, &w->remote, w->remote_port, w->link);
}

/* Of the records that say who they are by a pair of addresses (ip_pair_write); NULL: it is IPv6. */
static const uint8_t *pair4_of(const struct tern *t, ref_t r)
{
    switch ((uint32_t)arena_kind(t->a, r)) {
    case PAGE_POOL0 + POOL_IDLE4: return ((const struct idle *)at_const(t->a, r))->pair;
    case PAGE_POOL0 + POOL_HALFOPEN4: return ((const struct halfopen *)at_const(t->a, r))->pair;
    case PAGE_POOL0 + POOL_TIMEWAIT4: return ((const struct timewait4 *)at_const(t->a, r))->pair;
    default: return NULL;
    }
}

static uint32_t small_hash4(const struct tern *t, ref_t r, enum rec_kind kind, const uint8_t *pair)
{
    const void *p = at_const(t->a, r);
    uint16_t local = kind == REC_IDLE       ? ((const struct idle *)p)->local_port
                     : kind == REC_HALFOPEN ? ((const struct halfopen *)p)->local_port
                                            : ((const struct timewait *)p)->local_port;
    uint16_t remote = kind == REC_IDLE       ? ((const struct idle *)p)->remote_port
                      : kind == REC_HALFOPEN ? ((const struct halfopen *)p)->remote_port
                                             : ((const struct timewait *)p)->remote_port;
    return pair_hash4(t, pair, pair + 4, local, remote);
}

static uint32_t make_hash(const struct tern *t, ref_t r)
{
    struct who w;
    enum rec_kind kind = rec_kind(t, r);
    if (kind == REC_TCB) {
        const struct conn_head *h = at_const(t->a, r);
        return pair_hash(t, &h->local, h->local_port, &h->remote, h->remote_port, h->link);
    }
    const uint8_t *pair = pair4_of(t, r);
    if (pair != NULL)
        return small_hash4(t, r, kind, pair);
    if (kind == REC_TIMEWAIT)
        waiting_pair(t, r, &w);
    else
        who_of(t, at_const(t->a, r), &w);
    return demux_hash(t, &w);
}

/* A control block in the table knows its own. */
uint32_t demux_pair_of(struct tern *t, ref_t r)
{
    return rec_kind(t, r) == REC_TCB ? head_at(t, r)->hash : make_hash(t, r);
}

static void keep_hash(struct tern *t, ref_t r, uint32_t hash)
{
    if (rec_kind(t, r) == REC_TCB)
        head_at(t, r)->hash = hash;
}

static bool same_idle(const struct tern *t, const struct idle *i, const tern_endpoint *local,
                      const tern_endpoint *remote, uint8_t link)
{
    tern_ip mine, other;
    if (i->local_port != local->port || i->remote_port != remote->port)
        return false;
    idle_addresses(t, i, &mine, &other);
    return ip_eq(&other, &remote->ip) && ip_eq(&mine, &local->ip) &&
           ip_zone(&mine, &other, i->link) == ip_zone(&mine, &other, link);
}

static bool same_head(const struct conn_head *h, const tern_endpoint *local, const tern_endpoint *remote,
                      uint8_t link)
{
    return h->local_port == local->port && h->remote_port == remote->port && ip_eq(&h->remote, &remote->ip) &&
           ip_eq(&h->local, &local->ip) && (h->link == link || ip_zone(&local->ip, &remote->ip, 1) == 0);
}

/* The record by which the table names a connection: a rest that is only interrupted leaves it as it is. */
static inline ref_t named(const struct tern *t, ref_t r)
{
    const struct tcb *c = at_const(t->a, r);
    return rec_kind(t, r) == REC_TCB && c->by_idle ? c->idle : r;
}

/* And the one that lives, by what the table names. */
static inline ref_t living(const struct tern *t, ref_t r)
{
    const struct idle *i = at_const(t->a, r);
    return rec_kind(t, r) == REC_IDLE && i->tcb != 0 ? i->tcb : r;
}

static bool same(const struct tern *t, ref_t named, const tern_endpoint *local, const tern_endpoint *remote,
                 uint8_t link, bool parked)
{
    ref_t r = living(t, named);
    const struct conn_head *h = at_const(t->a, r);
    if (LIKELY(arena_kind(t->a, r) == (enum page_kind)(PAGE_POOL0 + POOL_TCB)))
        return h->parked == parked && same_head(h, local, remote, link);
    switch (rec_kind(t, r)) {
    case REC_IDLE:
        return same_idle(t, at_const(t->a, r), local, remote, link);
    case REC_TIMEWAIT:
        return waiting_same(t, r, local, remote, link) &&
               ((const struct timewait *)at_const(t->a, r))->parked == parked;
    case REC_HALFOPEN:
        return !parked && halfopen_is(t, at_const(t->a, r), local, remote, link);
    default: ASSERT(false);
    }
    return false;
}

/* The record of that pair, whose hash is known. */
static ref_t find(struct tern *t, uint32_t hash, const tern_endpoint *local, const tern_endpoint *remote,
                  uint8_t link, bool parked)
{
    struct htab_iter it;
    for (ref_t r = htab_first(t->a, &t->w->conns, hash, &it); r != 0; r = htab_next(t->a, &t->w->conns, &it))
        if (same(t, r, local, remote, link, parked))
            return living(t, r);
    return 0;
}

ref_t demux_find(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link)
{
    uint32_t hash = pair_hash(t, &local->ip, local->port, &remote->ip, remote->port, link);
    return find(t, hash, local, remote, link, false);
}

ref_t demux_find_gap(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                     struct demux_gap *gap)
{
    gap->pair = pair_hash(t, &local->ip, local->port, &remote->ip, remote->port, link);
    gap->changes = t->w->conns.changes;
    ref_t r = htab_first(t->a, &t->w->conns, gap->pair, &gap->at);
    while (UNLIKELY(r != 0) && !same(t, r, local, remote, link, false))
        r = htab_next(t->a, &t->w->conns, &gap->at);
    return UNLIKELY(r != 0) ? living(t, r) : 0;
}

ref_t demux_find_parked(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link)
{
    uint32_t hash = pair_hash(t, &local->ip, local->port, &remote->ip, remote->port, link);
    return find(t, hash, local, remote, link, true);
}

uint32_t demux_pair(const struct tern *t, const struct segment *s)
{
    return pair_hash(t, &s->dst, s->dst_port, &s->src, s->src_port, s->link);
}

/* Of IPv4, at rest or awake since it was found. */
static inline bool is_named4(const struct tern *t, ref_t r, const struct segment *s)
{
    const struct idle *i = at_const(t->a, r);
    return arena_kind(t->a, r) == (enum page_kind)(PAGE_POOL0 + POOL_IDLE4) && tern_ip_is4(&s->src) &&
           i->local_port == s->dst_port && i->remote_port == s->src_port &&
           memcmp(i->pair, s->dst.b + 12, 4) == 0 && memcmp(i->pair + 4, s->src.b + 12, 4) == 0;
}

static ref_t find_any(struct tern *t, const struct segment *s)
{
    tern_endpoint local = {s->dst, s->dst_port, 0}, remote = {s->src, s->src_port, 0};
    return find(t, s->pair, &local, &remote, s->link, false);
}

/* Read ahead, a segment has been looked for already: while the table is the same, the search would be too,
 * but for those that have come to rest since or ceased to be (demux_exchange): the same connection (RFC 9293
 * 3.3.1). */
ref_t demux_find_segment(struct tern *t, const struct segment *s)
{
    if (UNLIKELY(by_steps(t)))
        return find_any(t, s);
    ref_t r = pair_first(t, s);
    if (r == 0 || LIKELY(pair_found(t, r, s)))
        return r;
    if (!is_named4(t, r, s))
        return find_any(t, s);
    ref_t awake = living(t, r);
    if (awake != r && tcb_at(t, awake)->by_idle)
        demux_exchange(t, s->pair, r, awake); /* it did not go back soon: it is named by itself from now on */
    return awake == r || pair_found(t, awake, s) ? awake : find_any(t, s);
}

/* --- ahead of the turn ----------------------------------------------------------------------------- */

#define LINE 64u

/* Ask for the lines of bytes from..to of a record; it need not begin on one. */
static inline void fetch_lines(const struct tern *t, ref_t r, uint32_t from, uint32_t to)
{
    const uint8_t *p = at_const(t->a, r);
    for (uint32_t i = from; i < to; i += LINE)
        FETCH(p + i);
    FETCH(p + to - 1);
}

void demux_fetch_place(const struct tern *t, uint32_t pair) { htab_fetch_place(t->a, &t->w->conns, pair); }

void demux_fetch_slot(const struct tern *t, uint32_t pair) { htab_fetch(t->a, &t->w->conns, pair); }

void demux_fetch_for(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                     uint8_t link)
{
    demux_fetch_slot(t, pair_hash(t, &local->ip, local->port, &remote->ip, remote->port, link));
}

/* What is compared, and all of an idle record, whatever kind it is. */
ref_t demux_fetch_record(const struct tern *t, struct segment *s)
{
    struct htab_iter it;
    s->found = htab_first(t->a, &t->w->conns, s->pair, &it);
    s->found_at = t->w->conns.changes;
    if (s->found == 0)
        return 0;
    arena_fetch_kind(t->a, s->found);
    fetch_lines(t, s->found, 0, sizeof(struct idle) + 8);
    return s->found;
}

ref_t demux_fetch_rest(const struct tern *t, ref_t r)
{
    if (r == 0 || rec_kind(t, r) != REC_TCB)
        return 0;
    fetch_lines(t, r, sizeof(struct idle) + 8, sizeof(struct tcb));
    return r;
}

void waiting_fetch(const struct tern *t, ref_t r)
{
    if (r != 0)
        demux_fetch_slot(t, make_hash(t, r));
}

/* The handle is made of it, and the program's calls begin there. */
void demux_fetch_named(const struct tern *t, ref_t r)
{
    if (r != 0)
        FETCH(at_const(t->a, ((const struct tcb *)at_const(t->a, r))->idle));
}

/* The node lies in the head of the record. */
void timer_fetch(const struct tern *t, const struct wnode *n)
{
    if (n != NULL && rec_kind(t, ref_of(t->a, n)) == REC_TCB)
        fetch_lines(t, ref_of(t->a, n), 0, sizeof(struct tcb));
}

/* Mostly it is to be laid to rest: its idle record, and its place in the table. */
void timer_fetch_rest(const struct tern *t, const struct wnode *n)
{
    if (rec_kind(t, ref_of(t->a, n)) != REC_TCB)
        return;
    const struct tcb *c = (const void *)((const uint8_t *)n - offsetof(struct conn_head, timer));
    fetch_lines(t, c->idle, 0, sizeof(struct idle) + 8);
    demux_fetch_slot(t, c->h.hash);
}

bool demux_insert_pair(struct tern *t, ref_t r, uint32_t pair)
{
    keep_hash(t, r, pair);
    return htab_insert(t->a, &t->w->conns, pair, r, MEM_DATA);
}

bool demux_insert_gap(struct tern *t, ref_t r, const struct demux_gap *gap)
{
    keep_hash(t, r, gap->pair);
    return htab_insert_at(t->a, &t->w->conns, &gap->at, gap->changes, gap->pair, r, MEM_DATA);
}

bool demux_insert(struct tern *t, ref_t r) { return demux_insert_pair(t, r, make_hash(t, r)); }

void demux_remove(struct tern *t, ref_t r)
{
    htab_remove(t->a, &t->w->conns, demux_pair_of(t, r), named(t, r));
}

void demux_replace_pair(struct tern *t, uint32_t pair, ref_t from, ref_t to)
{
    keep_hash(t, to, pair);
    htab_replace(t->a, &t->w->conns, pair, named(t, from), to);
}

void demux_replace(struct tern *t, ref_t from, ref_t to)
{
    demux_replace_pair(t, demux_pair_of(t, from), from, to);
}

/* A connection comes to rest or ceases to: what was found for others is still so, and its two records name
 * each other. */
void demux_exchange(struct tern *t, uint32_t pair, ref_t from, ref_t to)
{
    uint32_t changes = t->w->conns.changes;
    demux_replace_pair(t, pair, from, to);
    t->w->conns.changes = changes;
    if (rec_kind(t, to) == REC_TCB)
        tcb_at(t, to)->by_idle = false;
}

/* Listeners are few; their hash is of the port alone, and the address is compared. */
static uint32_t port_hash(const struct tern *t, uint16_t port)
{
    return mix_end(&t->w->key_table, mix_pair(&t->w->key_table, 0, port, 0));
}

struct listener *demux_listener_exact(struct tern *t, const tern_ip *local, uint16_t port, uint8_t zone)
{
    struct htab_iter it;
    uint32_t hash = port_hash(t, port);
    for (ref_t r = htab_first(t->a, &t->w->listeners, hash, &it); r != 0;
         r = htab_next(t->a, &t->w->listeners, &it)) {
        struct listener *l = listener_at(t, r);
        if (l->h.local_port == port && l->h.link == zone && ip_eq(&l->h.local, local))
            return l;
    }
    return NULL;
}

/* Whether there is a listener of this very port, at whatever address. */
bool demux_listens(struct tern *t, uint16_t port)
{
    struct htab_iter it;
    if (t->w->listeners.count == 0)
        return false;
    ref_t r = htab_first(t->a, &t->w->listeners, port_hash(t, port), &it);
    while (r != 0 && listener_at(t, r)->h.local_port != port)
        r = htab_next(t->a, &t->w->listeners, &it);
    return r != 0;
}

/* How well a listener of this port (0: of any) fits: the address counts more than the zone; 0 = not at
 * all. */
static int fit(const struct listener *l, const tern_ip *local, uint16_t port, uint8_t link, bool foreign)
{
    bool any = ip_is_unspecified(&l->h.local);
    if (l->h.local_port != port || (l->h.link != 0 && l->h.link != link) ||
        (!any && !ip_eq(&l->h.local, local)) || (foreign && !l->foreign))
        return 0;
    return 1 + 2 * !any + (l->h.link != 0);
}

static struct listener *of_port(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link,
                                bool foreign)
{
    struct htab_iter it;
    uint32_t hash = port_hash(t, port);
    struct listener *best = NULL;
    int best_fit = 0;
    for (ref_t r = htab_first(t->a, &t->w->listeners, hash, &it); r != 0;
         r = htab_next(t->a, &t->w->listeners, &it)) {
        int f = fit(listener_at(t, r), local, port, link, foreign);
        if (f > best_fit)
            best = listener_at(t, r);
        best_fit = f > best_fit ? f : best_fit;
    }
    return best;
}

/* One of the port comes before one of any port. */
static struct listener *search_listener(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link)
{
    bool foreign = t->w->foreign && !ip_is_ours(&t->w->ip, local, link);
    struct listener *l = of_port(t, local, port, link, foreign);
    return l == NULL && t->w->any_port > 0 ? of_port(t, local, 0, link, foreign) : l;
}

/* SYNs come to the same listener again and again: the last answer holds while the listeners are the same.
 * Where one of them is for foreign addresses it depends on ours, too. */
struct listener *demux_listener(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link)
{
    struct last_listener *last = &t->w->last_listener;
    if (UNLIKELY(t->w->foreign || by_steps(t)))
        return search_listener(t, local, port, link);
    if (UNLIKELY(last->found_at != t->w->listeners.changes || last->port != port || last->link != link ||
                 !ip_eq(&last->local, local))) {
        struct listener *l = search_listener(t, local, port, link);
        *last =
            (struct last_listener){*local, port, link, t->w->listeners.changes, l != NULL ? self(t, l) : 0};
    }
    return last->found != 0 ? listener_at(t, last->found) : NULL;
}

bool demux_listener_insert(struct tern *t, struct listener *l)
{
    if (!htab_insert(t->a, &t->w->listeners, port_hash(t, l->h.local_port), self(t, l), MEM_DATA))
        return false;
    t->w->any_port += l->h.local_port == 0;
    t->w->foreign |= l->foreign;
    return true;
}

void demux_listener_remove(struct tern *t, struct listener *l)
{
    htab_remove(t->a, &t->w->listeners, port_hash(t, l->h.local_port), self(t, l));
    t->w->any_port -= l->h.local_port == 0;
}
