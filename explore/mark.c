/* mark.c - see mark.h. */
#include "mark.h"

#include <tern/snapshot.h>

#include <stdlib.h>
#include <string.h>

enum { PATH_MOST = 4096, PARTS = 64 };

/* The parts of one stack. */
struct image {
    tern_slice part[PARTS]; /* where they belong */
    uint32_t n;
    uint8_t *bytes;
    size_t cap;
};

struct mark {
    struct scene *scene;
    struct image image[SIDES];
    uint32_t owner[SIDES]; /* the mark that keeps the stack: this one, or one before */
};

struct marks {
    struct duo *d;
    struct mark *mark[PATH_MOST];
    uint32_t loaded[SIDES]; /* the owner of what is in the block, unless the stack is dirty */
};

static const size_t scene_head = offsetof(struct scene, flying);

static void copy_scene(struct scene *to, const struct scene *from)
{
    memcpy(to, from, scene_head + from->n_flying * sizeof from->flying[0]);
}

struct marks *marks_new(struct duo *d)
{
    struct marks *m = calloc(1, sizeof *m);
    if (m != NULL) {
        m->d = d;
        d->dirty[A] = d->dirty[B] = true;
    }
    return m;
}

void marks_free(struct marks *m)
{
    for (uint32_t n = 0; n < PATH_MOST && m->mark[n] != NULL; n++) {
        for (int side = 0; side < SIDES; side++)
            free(m->mark[n]->image[side].bytes);
        free(m->mark[n]->scene);
        free(m->mark[n]);
    }
    free(m);
}

static struct mark *mark_at(struct marks *m, uint32_t n)
{
    if (n >= PATH_MOST)
        return NULL;
    if (m->mark[n] == NULL) {
        struct mark *k = calloc(1, sizeof *k);
        if (k != NULL && (k->scene = malloc(sizeof *k->scene)) == NULL) {
            free(k);
            k = NULL;
        }
        m->mark[n] = k;
    }
    return m->mark[n];
}

static bool keep(struct image *i, const tern *t)
{
    size_t len = 0;
    int n = tern_parts(t, i->part, PARTS);
    if (n > PARTS)
        return false;
    i->n = (uint32_t)n;
    for (uint32_t k = 0; k < i->n; k++)
        len += i->part[k].len;
    if (len > i->cap) {
        uint8_t *more = realloc(i->bytes, len * 2);
        if (more == NULL)
            return false;
        i->bytes = more;
        i->cap = len * 2;
    }
    uint8_t *to = i->bytes;
    for (uint32_t k = 0; k < i->n; to += i->part[k++].len)
        memcpy(to, i->part[k].data, i->part[k].len);
    return true;
}

static void give_back(const struct image *i)
{
    const uint8_t *from = i->bytes;
    for (uint32_t k = 0; k < i->n; from += i->part[k++].len)
        memcpy((void *)(uintptr_t)i->part[k].data, from, i->part[k].len);
}

bool marks_put(struct marks *m, uint32_t n)
{
    struct mark *k = mark_at(m, n);
    if (k == NULL)
        return false;
    copy_scene(k->scene, &m->d->scene);
    for (int side = 0; side < SIDES; side++) {
        if (m->d->dirty[side]) {
            k->owner[side] = n;
            if (!keep(&k->image[side], m->d->stack[side]))
                return false;
            m->d->dirty[side] = false;
        } else {
            k->owner[side] = m->loaded[side];
        }
        m->loaded[side] = k->owner[side];
    }
    return true;
}

void marks_back(struct marks *m, uint32_t n)
{
    const struct mark *k = m->mark[n];
    copy_scene(&m->d->scene, k->scene);
    for (int side = 0; side < SIDES; side++) {
        if (!m->d->dirty[side] && m->loaded[side] == k->owner[side])
            continue;
        give_back(&m->mark[k->owner[side]]->image[side]);
        m->loaded[side] = k->owner[side];
        m->d->dirty[side] = false;
    }
}
