/* neigh.c - the cache of neighbours, by the state machine of RFC 4861 (7.2, 7.3.3, Appendix C). ARP has no
 * states of its own: a request stands for a solicitation, a reply to what we asked for a solicited
 * advertisement, and any other for an unsolicited one.
 *
 *                 packet to send                        answer
 *       (none) ───────────────────▶ INCOMPLETE ───────────────────▶ REACHABLE ◀──┐
 *          ▲                            │ 3 asked in vain               │ 30 s   │ answer, or ACKs of
 *          └──── 20 s ────── FAILED ◀───┘                               ▼        │ the peer behind it
 *                              ▲        5 s            packet to send          │
 *                              └── PROBE ◀──── DELAY ◀──────────────── STALE ───┘
 *                                 3 asked in vain         (it spoke of itself: STALE)
 *
 * REACHABLE ends without a timer: whoever asks is told STALE. All others with a deadline are in one short
 * list, which is walked when the earliest of them is due.
 */
#include "ip/ip.h"

static const size_t all_place = offsetof(struct neigh, all), asked_place = offsetof(struct neigh, asked);

static struct neigh *neigh_at(struct arena *a, ref_t r) { return at(a, r); }

/* RFC 4861 6.3.2: between half and one and a half of the base. */
static uint64_t draw_reachable(struct ether *e, uint32_t base_ms)
{
    uint64_t base = (uint64_t)base_ms * 1000;
    return base / 2 + rng_u64(&e->rng) % (base + 1);
}

static uint64_t reachable_us(struct ether *e, uint8_t link, uint64_t now)
{
    struct ether_link *l = &e->link[link];
    if (now >= l->renew_us) {
        l->reachable_us = draw_reachable(e, l->base_ms);
        l->renew_us = now + 2ull * 3600 * 1000000; /* "every few hours" */
    }
    return l->reachable_us;
}

/* --- finding ------------------------------------------------------------------------------------- */

static ref_t *bucket_of(struct ether *e, uint8_t link, const tern_ip *ip)
{
    uint8_t key[17];
    memcpy(key, ip->b, 16);
    key[16] = link;
    return &e->bucket[siphash13(e->key, key, sizeof key) & (NEIGH_BUCKETS - 1)];
}

struct neigh *neigh_find(struct arena *a, const struct ether *e, uint8_t link, const tern_ip *ip)
{
    for (ref_t r = *bucket_of((struct ether *)(uintptr_t)e, link, ip); r != 0; r = neigh_at(a, r)->chain) {
        struct neigh *n = neigh_at(a, r);
        if (n->link == link && ip_eq(&n->ip, ip))
            return n;
    }
    return NULL;
}

uint8_t neigh_state(const struct neigh *n, uint64_t now)
{
    return n->state == TERN_NEIGH_REACHABLE && now >= n->until_us ? TERN_NEIGH_STALE : n->state;
}

static bool in_asked(uint8_t state)
{
    return state == TERN_NEIGH_INCOMPLETE || state == TERN_NEIGH_DELAY || state == TERN_NEIGH_PROBE ||
           state == TERN_NEIGH_FAILED;
}

/* Neither an answer nor an older one is there: such are the first to give way. */
static bool unanswered(uint8_t state) { return state == TERN_NEIGH_INCOMPLETE || state == TERN_NEIGH_FAILED; }

/* The only writer of the state. `until`: see struct neigh. */
static void enter(struct arena *a, struct ether *e, struct neigh *n, uint8_t state, uint64_t now,
                  uint64_t until)
{
    ref_t r = ref_of(a, n);
    if (in_asked(n->state))
        list_remove(a, &e->asked, r, asked_place);
    if (in_asked(state)) {
        list_append(a, &e->asked, r, asked_place);
        ether_due(e, until);
    }
    e->incomplete += unanswered(state);
    e->incomplete -= unanswered(n->state);
    if (n->state != state)
        n->since_us = now;
    n->state = state;
    n->until_us = until;
}

/* --- making and dropping ------------------------------------------------------------------------- */

void neigh_drop(struct arena *a, struct ether *e, struct neigh *n)
{
    ref_t r = ref_of(a, n), *at_ref = bucket_of(e, n->link, &n->ip);
    held_drop_all(a, e, n);
    while (*at_ref != r)
        at_ref = &neigh_at(a, *at_ref)->chain;
    *at_ref = n->chain;
    enter(a, e, n, 0, 0, 0);
    list_remove(a, &e->all, r, all_place);
    if (e->last == r)
        e->last = 0;
    pool_put(a, &e->neighs, r);
}

/* RFC 6583 6: those that do not answer never take the place of those that do. */
static void drop_unanswered(struct arena *a, struct ether *e)
{
    for (ref_t r = e->asked.head; r != 0; r = list_next(a, r, asked_place))
        if (unanswered(neigh_at(a, r)->state)) {
            neigh_drop(a, e, neigh_at(a, r));
            return;
        }
}

/* The first one that was not used since the last turn. */
static void drop_unused(struct arena *a, struct ether *e)
{
    for (;;) {
        ref_t r = e->all.head;
        struct neigh *n = neigh_at(a, r);
        if (!n->used) {
            neigh_drop(a, e, n);
            return;
        }
        n->used = false;
        list_remove(a, &e->all, r, all_place);
        list_append(a, &e->all, r, all_place);
    }
}

static struct neigh *make(struct arena *a, struct ether *e, uint8_t link, const tern_ip *ip)
{
    if (e->incomplete >= NEIGHS / 4)
        drop_unanswered(a, e);
    if (e->neighs.live == NEIGHS)
        drop_unused(a, e);
    ref_t r = pool_get(a, &e->neighs, MEM_DATA);
    if (r == 0)
        return NULL;
    struct neigh *n = neigh_at(a, r);
    ref_t *bucket = bucket_of(e, link, ip);
    n->chain = *bucket;
    *bucket = r;
    list_append(a, &e->all, r, all_place);
    n->link = link;
    n->ip = *ip;
    return n;
}

int neigh_flush(struct arena *a, struct ether *e, int link, const tern_ip *ip)
{
    int count = 0;
    for (ref_t r = e->all.head, next; r != 0; r = next) {
        struct neigh *n = neigh_at(a, r);
        next = n->all.next;
        if ((link != 0 && n->link != link) || (ip != NULL && !ip_eq(&n->ip, ip)))
            continue;
        neigh_drop(a, e, n);
        count++;
    }
    return count;
}

/* --- events -------------------------------------------------------------------------------------- */

/* The next time not before RetransTimer (RFC4861-7.2.2-d). */
static void ask(struct arena *a, struct ip_state *s, struct neigh *n, uint64_t now)
{
    n->probes++;
    s->ether.asks++;
    say_ask(a, s, n->link, &n->ip, &n->from, n->state == TERN_NEIGH_PROBE ? &n->hw : NULL);
    n->until_us = now + s->ether.link[n->link].retrans_us;
    ether_due(&s->ether, n->until_us);
}

/* RFC 4861 7.2.2. */
static void resolve(struct arena *a, struct ip_state *s, struct neigh *n, uint64_t now)
{
    enter(a, &s->ether, n, TERN_NEIGH_INCOMPLETE, now, now);
    n->known = false;
    n->probes = 0;
    ask(a, s, n, now);
}

/* The address is known, or known to be another. What waits for it leaves. */
static void learn(struct arena *a, struct ether *e, struct neigh *n, const struct eth_addr *hw)
{
    n->hw = *hw;
    n->known = true;
    n->probes = 0;
    held_release(a, e, n);
}

static void reachable(struct arena *a, struct ether *e, struct neigh *n, uint64_t now)
{
    n->probes = 0;
    enter(a, e, n, TERN_NEIGH_REACHABLE, now, now + reachable_us(e, n->link, now));
}

bool neigh_use(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *hop,
               const tern_ip *from, struct neigh **out)
{
    struct ether *e = &s->ether;
    struct neigh *n = neigh_find(a, e, link, hop);
    if (n == NULL)
        n = make(a, e, link, hop);
    *out = n;
    if (n == NULL)
        return false;
    n->from = *from;
    n->used = true;
    switch (neigh_state(n, now)) {
    case 0:
    case TERN_NEIGH_FAILED: resolve(a, s, n, now); return false;
    case TERN_NEIGH_INCOMPLETE: return false;
    case TERN_NEIGH_STALE: enter(a, e, n, TERN_NEIGH_DELAY, now, now + ND_DELAY_US); return true; /* 7.3.3 */
    default: return true;
    }
}

/* It has spoken of itself: where it is now, and nothing of whether it hears us (RFC4861-7.2.3-b,
 * RFC4861-6.3.4-b). */
void neigh_heard(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *ip,
                 const struct eth_addr *hw, bool make_one)
{
    struct ether *e = &s->ether;
    struct neigh *n = neigh_find(a, e, link, ip);
    if (n == NULL && make_one)
        n = make(a, e, link, ip);
    if (n == NULL || (n->known && memcmp(n->hw.b, hw->b, sizeof hw->b) == 0 && n->state != TERN_NEIGH_FAILED))
        return;
    enter(a, e, n, TERN_NEIGH_STALE, now, 0);
    learn(a, e, n, hw);
}

/* One that has no address yet (RFC 4861 7.2.5): the flags do not matter but for the state (RFC4861-7.3.1-a).
 * False: it tells no address, and nothing is taken. */
static bool first_word(struct arena *a, struct ether *e, struct neigh *n, uint64_t now,
                       const struct neigh_word *w)
{
    if (w->hw == NULL)
        return false;
    if (w->solicited)
        reachable(a, e, n, now);
    else
        enter(a, e, n, TERN_NEIGH_STALE, now, 0);
    learn(a, e, n, w->hw);
    return true;
}

/* Appendix C, the lines of !INCOMPLETE (RFC4861-7.2.5-b). False: another address and no right to override
 * what is known: nothing is taken (RFC4861-7.2.5-a). */
static bool later_word(struct arena *a, struct ether *e, struct neigh *n, uint64_t now,
                       const struct neigh_word *w)
{
    bool other = w->hw != NULL && memcmp(n->hw.b, w->hw->b, sizeof n->hw.b) != 0;
    if (other && !w->override) {
        if (neigh_state(n, now) == TERN_NEIGH_REACHABLE)
            enter(a, e, n, TERN_NEIGH_STALE, now, 0);
        return false;
    }
    if (other)
        learn(a, e, n, w->hw);
    if (w->solicited)
        reachable(a, e, n, now);
    else if (other)
        enter(a, e, n, TERN_NEIGH_STALE, now, 0);
    return true;
}

/* Returns whether a router says that it is none any more (RFC4861-7.2.5-c). */
bool neigh_advertised(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *ip,
                      const struct neigh_word *w)
{
    struct neigh *n = neigh_find(a, &s->ether, link, ip);
    if (n == NULL)
        return false; /* nobody asked: 7.2.5, RFC 6583 6 */
    bool was_router = n->router, known = n->known && n->state != TERN_NEIGH_FAILED;
    bool taken = known ? later_word(a, &s->ether, n, now, w) : first_word(a, &s->ether, n, now, w);
    if (taken)
        n->router = w->router;
    return was_router && !n->router;
}

void neigh_confirm(struct arena *a, struct ip_state *s, uint64_t now, uint8_t link, const tern_ip *dst)
{
    struct ether *e = &s->ether;
    struct neigh *n;
    if (e->last != 0 && e->last_link == link && ip_eq(&e->last_dst, dst)) {
        n = neigh_at(a, e->last);
    } else {
        tern_ip hop;
        ether_next_hop(a, s, link, dst, &hop);
        n = neigh_find(a, e, link, &hop);
    }
    if (n == NULL || !n->known || n->state == TERN_NEIGH_FAILED)
        return;
    reachable(a, e, n, now);
}

/* --- time ---------------------------------------------------------------------------------------- */

/* It did not answer. What waited for it is told of (stack/ether.c). */
static void fail(struct arena *a, struct ether *e, struct neigh *n, uint64_t now)
{
    const size_t place = offsetof(struct held_packet, place);
    e->failures++;
    e->waits -= n->waits;
    n->waits = 0;
    list_join(a, &e->lost, &n->waiting, place);
    enter(a, e, n, TERN_NEIGH_FAILED, now, now + ND_FAILED_US);
}

static void step(struct arena *a, struct ip_state *s, struct neigh *n, uint64_t now)
{
    switch (n->state) {
    case TERN_NEIGH_DELAY:
        enter(a, &s->ether, n, TERN_NEIGH_PROBE, now, now);
        ask(a, s, n, now);
        break;
    case TERN_NEIGH_INCOMPLETE:
    case TERN_NEIGH_PROBE:
        if (n->probes < ND_SOLICITS)
            ask(a, s, n, now);
        else
            fail(a, &s->ether, n, now);
        break;
    default: neigh_drop(a, &s->ether, n); break; /* FAILED, and long forgotten */
    }
}

void neigh_tick(struct arena *a, struct ip_state *s, uint64_t now)
{
    for (ref_t r = s->ether.asked.head, next; r != 0; r = next) {
        struct neigh *n = neigh_at(a, r);
        next = n->asked.next;
        if (n->until_us <= now)
            step(a, s, n, now);
    }
}

uint64_t neigh_next(struct arena *a, const struct ether *e)
{
    uint64_t next = UINT64_MAX;
    for (ref_t r = e->asked.head; r != 0; r = list_next(a, r, asked_place))
        next = min_u64(next, neigh_at(a, r)->until_us);
    return next;
}

void neigh_init(struct ether *e, uint32_t neigh_pool, uint32_t held_pool)
{
    pool_init(&e->neighs, neigh_pool, (sizeof(struct neigh) + GRAIN - 1) / GRAIN * GRAIN);
    pool_init(&e->helds, held_pool, (sizeof(struct held_packet) + GRAIN - 1) / GRAIN * GRAIN);
    e->next_us = UINT64_MAX;
}
