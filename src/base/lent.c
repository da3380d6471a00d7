/* lent.c - holds: what pieces refer to, how it is counted, and how it goes back (lent.h).
 *
 * Copying a region's bytes into the arena works from the holds: each knows its pieces, each piece its queue,
 * so the work is in proportion to what is copied, however many connections there are.
 */
#include "base/chunkq.h"

void lent_init(struct lent *l, uint32_t hold_pool, uint32_t piece_pool)
{
    pool_init(&l->holds, hold_pool, sizeof(struct hold));
    pool_init(&l->pieces, piece_pool, sizeof(struct piece));
}

#define PLACE offsetof(struct hold, place)
#define HELD  offsetof(struct piece, held)

/* --- lives of holds ------------------------------------------------------------------------------- */

ref_t hold_new(struct arena *a, const struct hold *what, enum mem_prio prio)
{
    struct lent *l = lent_of(a);
    ref_t r = pool_get(a, &l->holds, prio);
    if (r == 0)
        return 0;
    struct hold *h = hold_at(a, r);
    uint32_t gen = h->gen;
    *h = *what;
    h->gen = gen;
    h->count = 0;
    h->pieces = (struct list){0};
    if (h->region != 0) {
        struct region *g = &l->region[h->region];
        list_append(a, &g->live, r, PLACE);
        g->kept += h->len;
        g->holds++;
    }
    l->lent_count += h->kind == HOLD_LENT;
    l->link_count += h->kind == HOLD_LINK;
    return r;
}

/* Nothing refers to it any more. */
static void leave(struct arena *a, ref_t r)
{
    struct lent *l = lent_of(a);
    const struct hold *h = hold_at(a, r);
    ASSERT(h->count == 0 && h->pieces.head == 0);
    if (h->region != 0) {
        struct region *g = &l->region[h->region];
        list_remove(a, &g->live, r, PLACE);
        g->kept -= h->len;
        g->holds--;
    }
    l->lent_count -= h->kind == HOLD_LENT;
    l->link_count -= h->kind == HOLD_LINK;
}

void hold_forget(struct arena *a, ref_t hold)
{
    leave(a, hold);
    pool_put(a, &lent_of(a)->holds, hold);
}

void hold_drop(struct arena *a, ref_t hold)
{
    struct lent *l = lent_of(a);
    struct hold *h = hold_at(a, hold);
    if (--h->count > 0)
        return;
    leave(a, hold);
    switch ((enum hold_kind)h->kind) {
    case HOLD_PAGE:
        arena_page_free(a, h->page);
        pool_put(a, &l->holds, hold);
        break;
    case HOLD_LENT:
        list_append(a, &l->back, hold, PLACE);
        l->back_count++;
        l->news = true;
        break;
    case HOLD_LINK:
        list_append(a, &l->region[h->region].back, hold, PLACE);
        break;
    }
}

ref_t keep_hold(struct arena *a, struct keep *k, enum mem_prio prio)
{
    if (k->hold == 0) {
        k->hold = hold_new(a, &k->what, prio);
        if (k->hold != 0)
            hold_at(a, k->hold)->count = 1; /* until the packet is done with */
    }
    return k->hold;
}

bool keep_end(struct arena *a, struct keep *k)
{
    if (k->hold == 0)
        return false;
    if (--hold_at(a, k->hold)->count > 0)
        return true;
    hold_forget(a, k->hold);
    return false;
}

const uint8_t *hold_bytes(const struct arena *a, const struct regions *g, const struct hold *h)
{
    if (h->region == 0)
        return at_const(a, h->page);
    return g->base[h->region] + h->at;
}

bool lent_fetch(struct arena *a, int region, struct hold *out)
{
    struct lent *l = lent_of(a);
    struct list *back = region == 0 ? &l->back : &l->region[region].back;
    ref_t r = back->head;
    if (r == 0)
        return false;
    *out = *hold_at(a, r);
    list_remove(a, back, r, PLACE);
    l->back_count -= region == 0;
    pool_put(a, &l->holds, r);
    return true;
}

/* --- pieces --------------------------------------------------------------------------------------- */

static struct piece *piece_at(struct arena *a, ref_t r) { return at(a, r); }

ref_t piece_new(struct arena *a, ref_t hold, uint32_t off, uint32_t used, enum mem_prio prio)
{
    ref_t r = pool_get(a, &lent_of(a)->pieces, prio);
    if (r == 0)
        return 0;
    struct hold *h = hold_at(a, hold);
    struct piece *p = piece_at(a, r);
    p->c.off = off;
    p->c.used = used;
    p->c.hold = hold;
    list_insert(a, &h->pieces, r, h->pieces.head, HELD);
    h->count++;
    return r;
}

void piece_free(struct arena *a, ref_t piece)
{
    ref_t hold = piece_at(a, piece)->c.hold;
    list_remove(a, &hold_at(a, hold)->pieces, piece, HELD);
    pool_put(a, &lent_of(a)->pieces, piece);
    hold_drop(a, hold);
}

/* --- foreign bytes become the arena's --------------------------------------------------------------- */

bool lent_own(struct arena *a, ref_t piece, const uint8_t *bytes, enum mem_prio prio)
{
    struct piece *p = piece_at(a, piece);
    struct chunkq *q = (struct chunkq *)(void *)((uint8_t *)at(a, p->c.owner) + p->owner_low);
    return chunkq_own(a, q, piece, bytes, prio);
}

/* All that refers to this buffer gets a copy. */
static bool own_hold(struct arena *a, const struct regions *g, ref_t r)
{
    const struct hold *h = hold_at(a, r);
    for (uint32_t left = h->count; left > 0; left--) { /* with the last piece the hold goes */
        const struct piece *p = piece_at(a, h->pieces.head);
        if (!lent_own(a, h->pieces.head, hold_bytes(a, g, h) + p->c.off, MEM_DATA))
            return false;
    }
    return true;
}

bool lent_compact(struct arena *a, const struct regions *g, int region, uint64_t bytes)
{
    struct region *own = &lent_of(a)->region[region];
    uint64_t start = own->kept;
    while (own->live.head != 0 && start - own->kept < bytes)
        if (!own_hold(a, g, own->live.head))
            return false;
    return true;
}

static bool foreign(const struct arena *a, const struct chunk *c)
{
    return ((const struct hold *)at_const(a, c->hold))->region != 0;
}

ref_t lent_next(const struct arena *a, ref_t piece)
{
    const struct lent *l = at_const(a, a->lent);
    while (pool_next(a, &l->pieces, &piece))
        if (foreign(a, at_const(a, piece)))
            return piece;
    return 0;
}

const uint8_t *lent_bytes(const struct arena *a, const struct regions *g, ref_t piece, uint32_t *len)
{
    const struct chunk *c = at_const(a, piece);
    *len = c->used;
    return hold_bytes(a, g, at_const(a, c->hold)) + c->off;
}

void lent_cut(struct arena *a)
{
    struct hold ignored;
    for (int i = 1; i < REGIONS; i++) {
        ASSERT(lent_of(a)->region[i].live.head == 0);
        while (lent_fetch(a, i, &ignored))
            continue;
        lent_of(a)->region[i].len = 0;
    }
}
