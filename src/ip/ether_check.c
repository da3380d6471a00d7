/* ether_check.c - the numbered invariants of ether.h, looked at after every verb in tests. */
#include "ip/ip.h"

static uint32_t length(struct arena *a, const struct list *l, size_t place)
{
    uint32_t n = 0;
    for (ref_t r = l->head; r != 0; r = list_next(a, r, place))
        n++;
    return n;
}

static bool wants_time(uint8_t state)
{
    return state == TERN_NEIGH_INCOMPLETE || state == TERN_NEIGH_DELAY || state == TERN_NEIGH_PROBE ||
           state == TERN_NEIGH_FAILED;
}

void ether_check(struct arena *a, const struct ip_state *s)
{
    const struct ether *e = &s->ether;
    const size_t place = offsetof(struct held_packet, place);
    uint32_t asked = 0, unanswered = 0, waits = 0;
    for (ref_t r = e->all.head; r != 0; r = list_next(a, r, offsetof(struct neigh, all))) {
        struct neigh *n = at(a, r);
        ASSERT(neigh_find(a, e, n->link, &n->ip) == n && ether_is(e, n->link)); /* 1 */
        asked += wants_time(n->state);
        unanswered += n->state == TERN_NEIGH_INCOMPLETE || n->state == TERN_NEIGH_FAILED;
        ASSERT(n->waits == length(a, &n->waiting, place) && n->waits <= HELD_EACH);
        ASSERT(n->waits == 0 || n->state == TERN_NEIGH_INCOMPLETE); /* 3 */
        ASSERT(n->known || unanswered > 0);
        waits += n->waits;
        if (wants_time(n->state))
            ASSERT(n->until_us >= e->next_us); /* 4 */
    }
    ASSERT(length(a, &e->all, offsetof(struct neigh, all)) == e->neighs.live && e->neighs.live <= NEIGHS);
    ASSERT(length(a, &e->asked, offsetof(struct neigh, asked)) == asked); /* 2 */
    ASSERT(unanswered == e->incomplete && waits == e->waits && waits <= HELD_ALL);
    ASSERT(length(a, &e->out, place) + length(a, &e->sent, place) + waits == e->helds.live);
    ASSERT(dad_next(s) >= e->next_us && e->lost.head == 0);
}
