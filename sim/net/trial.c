/* trial.c - see trial.h. A stack is put aside as its parts (tern_parts), and taken back to where it was. */
#include "trial.h"

#include "../spec/probe.h"

#include <tern/net.h>
#include <tern/snapshot.h>

#include <stdlib.h>
#include <string.h>

enum {
    PARTS = 512,
    BYTES_MOST = 512 << 10, /* of a stack: a larger one would cost more than it shows */
    LINKS = 16,
    MEMORY_PLENTY = 640 << 10, /* with less left a stack may refuse what it is given */
};

/* What a trial needs, kept from one to the next. */
struct trial {
    struct stage stage;
    tern_slice part[PARTS];
    uint32_t parts;
    uint8_t bytes[BYTES_MOST];
    uint64_t count;
};

void trial_free(struct trial *t) { free(t); }

static bool keep(struct trial *k, const tern *t)
{
    size_t len = 0;
    int n = tern_parts(t, k->part, PARTS);
    for (int i = 0; i < n && i < PARTS; i++)
        len += k->part[i].len;
    if (n > PARTS || len > BYTES_MOST)
        return false;
    k->parts = (uint32_t)n;
    uint8_t *to = k->bytes;
    for (uint32_t i = 0; i < k->parts; to += k->part[i++].len)
        memcpy(to, k->part[i].data, k->part[i].len);
    return true;
}

static void put_back(struct trial *k, tern *t)
{
    tern_check(t); /* what was played must have left it sound */
    const uint8_t *from = k->bytes;
    for (uint32_t i = 0; i < k->parts; from += k->part[i++].len)
        memcpy((uint8_t *)(uintptr_t)k->part[i].data, from, k->part[i].len);
}

/* Its only link as it is now; false: it is down or away. */
static bool link_is_up(const struct net_host *h, uint32_t *mtu)
{
    tern_link_entry link[LINKS];
    int n = tern_link_list(h->t, link, LINKS);
    for (int i = 0; i < n && i < LINKS; i++)
        if (link[i].link == h->link) {
            *mtu = link[i].info.mtu;
            return link[i].up;
        }
    return false;
}

static void open_stage(struct net *n, int host, struct stage *x, uint32_t mtu)
{
    struct net_host *h = &n->host[host];
    tern_live live;
    tern_stats stats;
    stage_open(x, h->t, net_local(n, h), h->link, mtu, &h->config);
    x->last_only = n->check_every > 1;
    x->mtu_known = false; /* routers may have spoken */
    tern_get_live(h->t, &live);
    x->blind = h->size + live.arena_free < live.arena_used + MEMORY_PLENTY;
    tern_get_stats(h->t, &stats);
    bool asks = h->plan[H_LISTEN] == LISTENING_DEFERRED;
    x->odd_listener = asks || stats.cookies_sent > 0 || x->blind; /* an ACK may be a cookie that comes back */
}

/* --- which connection
 * ---------------------------------------------------------------------------------------- */

/* One of those that a program has, or one of any. */
static bool choose(struct net *n, int host, struct rng *dice, tern_info *i, tern_handle *handle)
{
    struct net_host *h = &n->host[host];
    uint64_t cursor = 0;
    uint32_t count = 0;
    tern_info other;
    for (uint32_t tries = 0; tries < 24 && n->n_ends > 0; tries++) {
        const struct net_end *e = &n->end[dice_below(dice, n->n_ends)];
        if (e->host == host && !e->over && tern_get_info(h->t, e->h, i) == 0 && i->state != TERN_CLOSED) {
            *handle = e->h;
            return true;
        }
    }
    handle->v = 0;
    while (tern_walk(h->t, &cursor, &other))
        if (!other.listener && other.state != TERN_CLOSED && !(other.held && other.state < TERN_TIME_WAIT) &&
            dice_below(dice, ++count) == 0)
            *i = other;
    return count > 0;
}

static bool fit(const struct net *n, int host)
{
    const struct net_host *h = &n->host[host];
    return h->t != NULL && !h->asleep && h->link != 0 && n->check_every != 0;
}

static struct trial *trial_of(struct net *n)
{
    if (n->trial == NULL)
        n->trial = calloc(1, sizeof *n->trial);
    return n->trial;
}

static void tell(struct net *n, int host, const struct stage *x, const char *what)
{
    if (!stage_fine(x))
        net_complain(n, WRONG_WIRE, -1, "host %d, port %u to %u, tried: %s: %s", host, x->local.port,
                     x->remote.port, what, x->why);
}

void trial_now(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    struct trial *k;
    tern_info i;
    tern_handle handle;
    uint32_t mtu;
    if (!fit(n, host) || ++h->trials % TRIAL_EVERY != 0 || (k = trial_of(n)) == NULL ||
        !link_is_up(h, &mtu) || !keep(k, h->t))
        return;
    struct rng dice = {n->plan->seed * 1000003u + h->trials + (uint64_t)host * 7919};
    uint32_t which = dice_below(&dice, probe_count());
    const struct probe *p = probe_at(which);
    open_stage(n, host, &k->stage, mtu);
    if (p->alone || (choose(n, host, &dice, &i, &handle) && stage_take(&k->stage, &i, handle)))
        probe_play(&k->stage, which, rng_next(&dice));
    put_back(k, h->t);
    tell(n, host, &k->stage, p->name);
}

void trial_arrival(struct net *n, int host, const struct net_packet *p)
{
    struct net_host *h = &n->host[host];
    struct trial *k;
    struct segment s;
    uint32_t mtu;
    bool tcp = p->bytes[p->bytes[0] >> 4 == 4 ? 9 : 6] == 6;
    if (!fit(n, host) || !tcp || ++h->trials % ARRIVAL_EVERY != 0 || (k = trial_of(n)) == NULL ||
        segment_read(&s, p->bytes, p->len, p->csum_offset == 0) != NULL || !link_is_up(h, &mtu) ||
        !keep(k, h->t))
        return;
    open_stage(n, host, &k->stage, mtu);
    k->stage.local = s.dst;
    k->stage.remote = s.src;
    stage_arrival(&k->stage, &s, p->bytes, p->len, p->flags);
    put_back(k, h->t);
    tell(n, host, &k->stage, "what arrives");
}
