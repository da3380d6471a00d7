/* region.c - memory outside of the stack's block: it is made known, given back, and forgotten (tern/lent.h).
 *
 * The pointer is kept beside the arena, in struct tern; the arena knows number and length.
 */
#include "tcp/tcp.h"
#include <tern/lent.h>

static bool known(const struct tern *t, int region)
{
    return region > 0 && region < REGIONS && t->w->lent.region[region].len != 0;
}

int tern_region_add(tern *t, const void *base, uint64_t len)
{
    if (base == NULL || len == 0)
        return -TERN_EINVAL;
    for (int i = 1; i < REGIONS; i++) {
        if (t->w->lent.region[i].len != 0)
            continue;
        t->w->lent.region[i] = (struct region){.len = len};
        t->regions.base[i] = base;
        return i;
    }
    return -TERN_ENOMEM;
}

int tern_region_remove(tern *t, int region)
{
    struct hold ignored;
    int e = tern_region_compact(t, region, UINT64_MAX);
    if (e < 0)
        return e;
    while (lent_fetch(t->a, region, &ignored))
        continue;
    t->w->lent.region[region].len = 0;
    t->regions.base[region] = NULL;
    return 0;
}

int tern_region_compact(tern *t, int region, uint64_t bytes)
{
    if (!known(t, region))
        return -TERN_ENOENT;
    return lent_compact(t->a, &t->regions, region, bytes) ? 0 : -TERN_ENOMEM;
}

int tern_rx_returned(tern *t, int region, uint64_t *buffers, int max)
{
    struct hold h;
    int n = 0;
    if (!known(t, region))
        return -TERN_ENOENT;
    while (n < max && lent_fetch(t->a, region, &h))
        buffers[n++] = h.tag;
    return n;
}

int tern_returned(tern *t, tern_lent *out, int max)
{
    struct hold h;
    int n = 0;
    while (n < max && lent_fetch(t->a, 0, &h))
        out[n++] = (tern_lent){h.tag, {h.conn}, h.at, h.len, h.region};
    return n;
}
