/* shrink.c - see shrink.h. */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>

/* The same failure: the same kind of complaint, a trap at the same place, the same words for a reason. */
static bool same(const struct complaint *a, const struct complaint *b)
{
    return a->kind == b->kind && a->where == b->where &&
           (a->kind != WRONG_REASON || strcmp(a->text, b->text) == 0);
}

static bool enough(struct shrinker *s)
{
    bool slow = s->most_segments != 0 && s->scratch->segments >= s->most_segments;
    bool late = s->over != NULL && s->over(s->with);
    s->unfinished = slow || late || s->tries >= s->most || (s->stop != NULL && *s->stop);
    return s->unfinished;
}

/* Does this plan fail in the same way? */
static bool fails(struct shrinker *s, const struct plan *plan, struct complaint *c)
{
    s->tries++;
    net_play(s->net, plan, s->scratch, s->check_every, NULL);
    if (!same(&s->net->complaint, c))
        return false;
    *c = s->net->complaint;
    return true;
}

/* The items of one kind that are still in. */
static uint32_t list_items(const struct plan *p, uint32_t kinds, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < p->n; i++)
        if (!p->item[i].out && kinds >> p->item[i].kind & 1)
            out[n++] = i;
    return n;
}

static void set_out(struct plan *p, const uint32_t *items, uint32_t from, uint32_t n, bool out)
{
    for (uint32_t i = from; i < from + n; i++)
        p->item[items[i]].out = out;
}

/* Take out what can be taken out of these kinds of items. True: something went. */
static bool fewer(struct shrinker *s, struct plan *p, uint32_t kinds, struct complaint *c)
{
    uint32_t items[ITEMS_MOST], n = list_items(p, kinds, items);
    bool some = false;
    for (uint32_t size = n; size > 0 && !enough(s); size = size > 1 ? (size + 1) / 2 : 0) {
        for (uint32_t from = 0; from < n && !enough(s);) {
            uint32_t len = n - from < size ? n - from : size;
            set_out(p, items, from, len, true);
            if (fails(s, p, c)) {
                memmove(items + from, items + from + len, (n - from - len) * sizeof *items);
                n -= len;
                some = true;
            } else {
                set_out(p, items, from, len, false);
                from += len;
            }
        }
    }
    return some;
}

/* A smaller value of one field: its least, or else half the way there, again and again. */
static bool smaller_field(struct shrinker *s, struct plan *p, uint32_t item, uint32_t field,
                          struct complaint *c)
{
    uint32_t least = item_field_least(p->item[item].kind, field), *f = &p->item[item].f[field], before = *f;
    if (before == least)
        return false;
    *f = least;
    if (fails(s, p, c))
        return true;
    uint32_t good = before;
    for (uint32_t half; good > least && !enough(s); good = half) {
        half = least + (good - least) / 2;
        *f = half;
        if (half == good || !fails(s, p, c))
            break;
    }
    *f = good;
    return good != before;
}

static bool smaller(struct shrinker *s, struct plan *p, struct complaint *c)
{
    bool some = false;
    for (uint32_t i = 0; i < p->n && !enough(s); i++) {
        if (p->item[i].out)
            continue;
        for (uint32_t f = 0; f < item_fields(p->item[i].kind) && !enough(s); f++)
            if (!item_names((enum item_kind)p->item[i].kind, f))
                some |= smaller_field(s, p, i, f, c);
    }
    return some;
}

void shrink(struct shrinker *s, struct plan *p, struct complaint *c)
{
    s->scratch->segments = 0;
    uint32_t acts = 1u << ITEM_CONN | 1u << ITEM_FAULT | 1u << ITEM_ATTACK;
    bool some = true;
    for (int round = 0; some && round < 8 && !enough(s); round++) {
        some = fewer(s, p, acts, c);
        some |= fewer(s, p, 1u << ITEM_HOST | 1u << ITEM_TRUNK, c);
        some |= smaller(s, p, c);
    }
}
