/* pair.h - the short way from a segment to its record (demux.c has the long one): the hash of its pair, and
 * the record if it is found at once.
 */
#ifndef TCP_PAIR_H
#define TCP_PAIR_H

#include "tcp/tcp.h"

/* Of IPv4 addresses the four bytes that differ: what is hashed for every packet is short then. */
static INLINED inline uint32_t pair_hash4(const struct tern *t, const uint8_t *local, const uint8_t *remote,
                                         uint16_t local_port, uint16_t remote_port)
{
    const struct mixkey *k = &t->w->key_table;
    uint32_t ports = (uint32_t)local_port << 16 | remote_port;
    return mix_end(k, mix_pair(k, 0, get32(local), get32(remote)) + mix_pair(k, 1, ports, 0));
}

static INLINED inline bool pair_is_of(const struct conn_head *h, const struct segment *s)
{
    return h->local_port == s->dst_port && h->remote_port == s->src_port && !h->parked &&
           ip_eq(&h->remote, &s->src) && ip_eq(&h->local, &s->dst) &&
           (h->link == s->link || ip_zone(&s->dst, &s->src, 1) == 0);
}

/* A control block that is found at once, as nearly always. One that has gone since is free or another's. */
static INLINED inline bool pair_found(const struct tern *t, ref_t r, const struct segment *s)
{
    return arena_kind(t->a, r) == (enum page_kind)(PAGE_POOL0 + POOL_TCB) && pool_gen(t->a, r) != 0 &&
           pair_is_of(at_const(t->a, r), s);
}

/* The same of a half-open record of IPv4. */
static INLINED inline bool pair_opens(const struct tern *t, ref_t r, const struct segment *s)
{
    const struct halfopen *h = at_const(t->a, r);
    return arena_kind(t->a, r) == (enum page_kind)(PAGE_POOL0 + POOL_HALFOPEN4) && pool_gen(t->a, r) != 0 &&
           h->local_port == s->dst_port && h->remote_port == s->src_port && tern_ip_is4(&s->src) &&
           memcmp(h->pair, s->dst.b + 12, 4) == 0 && memcmp(h->pair + 4, s->src.b + 12, 4) == 0;
}

/* What is first in the table by its hash; read ahead, it has been looked for already: while the table is the
 * same, the search would be too, but for what demux.c says of it. */
static INLINED inline ref_t pair_first(const struct tern *t, const struct segment *s)
{
    struct htab_iter it;
    const struct htab *conns = &t->w->conns;
    return s->found_at == conns->changes ? s->found : htab_first(t->a, conns, s->pair, &it);
}

#endif
