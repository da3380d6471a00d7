/* demux.c - from addresses and ports to the record: one keyed hash over the 4-tuple.
 *
 * Half-open, open and TIME_WAIT records share one table, so a segment costs one look-up. The hash is keyed by
 * the seed, so that nobody outside can aim at one slot. A connection is found before a listener: a segment of
 * an existing pair never reaches the listener on the same port (RFC 9293 3.10.7).
 */
#include "tcp/tcp.h"

static uint32_t pair_hash(const struct tern *t, const tern_ip *local, uint16_t lport, const tern_ip *remote,
                          uint16_t rport)
{
    uint8_t key[36];
    memcpy(key, local->b, 16);
    memcpy(key + 16, remote->b, 16);
    memcpy(key + 32, &lport, 2);
    memcpy(key + 34, &rport, 2);
    return (uint32_t)siphash13(t->w->key_table, key, sizeof key);
}

uint32_t demux_hash(const struct tern *t, const struct who *w)
{
    return pair_hash(t, &w->local, w->local_port, &w->remote, w->remote_port);
}

static uint32_t hash_of(struct tern *t, ref_t r)
{
    struct who w;
    who_of(t, at(t->a, r), &w);
    return demux_hash(t, &w);
}

static bool same(const struct tern *t, ref_t r, const tern_ip *local, uint16_t lport, const tern_ip *remote,
                 uint16_t rport)
{
    if (rec_kind(t, r) == REC_TIMEWAIT)
        return waiting_same(t, r, local, lport, remote, rport);
    const struct conn_head *h = at_const(t->a, r);
    return h->local_port == lport && h->remote_port == rport && ip_eq(&h->remote, remote) &&
           ip_eq(&h->local, local);
}

static ref_t find(struct tern *t, const tern_ip *local, uint16_t lport, const tern_ip *remote, uint16_t rport,
                  bool parked)
{
    struct htab_iter it;
    uint32_t hash = pair_hash(t, local, lport, remote, rport);
    for (ref_t r = htab_first(t->a, &t->w->conns, hash, &it); r != 0; r = htab_next(t->a, &t->w->conns, &it))
        if (same(t, r, local, lport, remote, rport) && time_wait_parked(t, r) == parked)
            return r;
    return 0;
}

ref_t demux_find(struct tern *t, const tern_ip *local, uint16_t lport, const tern_ip *remote, uint16_t rport)
{
    return find(t, local, lport, remote, rport, false);
}

ref_t demux_find_parked(struct tern *t, const tern_ip *local, uint16_t lport, const tern_ip *remote,
                        uint16_t rport)
{
    return find(t, local, lport, remote, rport, true);
}

bool demux_insert(struct tern *t, ref_t r)
{
    return htab_insert(t->a, &t->w->conns, hash_of(t, r), r, MEM_DATA);
}

void demux_remove(struct tern *t, ref_t r) { htab_remove(t->a, &t->w->conns, hash_of(t, r), r); }

void demux_replace(struct tern *t, ref_t from, ref_t to)
{
    htab_replace(t->a, &t->w->conns, hash_of(t, to), from, to);
}

/* Listeners are few; their hash is of the port alone, and the address is compared. */
static uint32_t port_hash(struct tern *t, uint16_t port)
{
    return (uint32_t)siphash13(t->w->key_table, &port, sizeof port);
}

struct listener *demux_listener_exact(struct tern *t, const tern_ip *local, uint16_t port)
{
    struct htab_iter it;
    uint32_t hash = port_hash(t, port);
    for (ref_t r = htab_first(t->a, &t->w->listeners, hash, &it); r != 0;
         r = htab_next(t->a, &t->w->listeners, &it)) {
        struct listener *l = listener_at(t, r);
        if (l->h.local_port == port && ip_eq(&l->h.local, local))
            return l;
    }
    return NULL;
}

struct listener *demux_listener(struct tern *t, const tern_ip *local, uint16_t port)
{
    static const tern_ip any = {{0}};
    struct listener *l = demux_listener_exact(t, local, port);
    return l != NULL ? l : demux_listener_exact(t, &any, port);
}

bool demux_listener_insert(struct tern *t, struct listener *l)
{
    return htab_insert(t->a, &t->w->listeners, port_hash(t, l->h.local_port), self(t, l), MEM_DATA);
}

void demux_listener_remove(struct tern *t, struct listener *l)
{
    htab_remove(t->a, &t->w->listeners, port_hash(t, l->h.local_port), self(t, l));
}
