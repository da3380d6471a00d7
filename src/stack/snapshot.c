/* snapshot.c - a stack is written down, read again, and doubled.
 *
 *   image   | head | arena: header, map, world, pages | piece, length, bytes | piece, length, bytes | ...
 *             magic, byte order, version, layout, length, sum
 *
 * The head says in this order whether the bytes are an image at all, of this byte order, of this version of
 * the format, of a build whose records look like ours, whole, and undamaged; each answer is an error of its
 * own. The layout is a sum over the sizes of all records: a build that differs in one of them does not read
 * the image of another. What passes has been written by us, and is believed, but for what is cheap to look at
 * again: the places of pages and lists (image.c).
 *
 * Bytes that lie outside of the arena (lent.h) follow it in the image, piece by piece; when it is read they
 * become bytes of the new arena, so that a copy refers to nothing but itself. Who lent them is told in the
 * copy that they are returned, by its own count; in the original nothing has changed.
 *
 * The handle (struct tern) is not in the image: its pointers and the trace ring are given anew.
 */
#include "base/image.h"
#include "stack/stack.h"
#include "tcp/tcp.h"
#include <tern/snapshot.h>

#define IMAGE_VERSION 3u
#define ORDER         0x01020304u /* reads otherwise on a machine of the other byte order */

static const char magic[8] = {'t', 'e', 'r', 'n', 's', 'n', 'a', 'p'};

struct image_head {
    char magic[8];
    uint32_t order;
    uint32_t version;
    uint64_t layout;
    uint64_t length; /* of all, bytes */
    uint64_t sum;    /* of all behind it */
    uint64_t world;  /* its place in the arena, bytes */
    uint64_t arena;  /* bytes of the arena's image */
};

/* Before the bytes of a piece that refers to foreign memory. */
struct image_piece {
    ref_t piece;
    uint32_t len;
};

/* What is summed: from here to the end. */
#define SUMMED_AT offsetof(struct image_head, world)

/* Two builds that agree in the version and in these can read each other's arenas. */
static uint64_t layout(void)
{
    static const uint32_t sizes[] = {
        sizeof(struct arena),
        sizeof(struct world),
        sizeof(struct tcb),
        sizeof(struct idle),
        sizeof(struct halfopen),
        sizeof(struct timewait4),
        sizeof(struct timewait6),
        sizeof(struct listener),
        sizeof(struct hold),
        sizeof(struct piece),
        sizeof(struct taken),
        sizeof(struct sendrec),
        sizeof(struct range),
        sizeof(struct chunkq),
        sizeof(struct wheel),
        sizeof(struct ip_state),
        sizeof(struct neigh),
        sizeof(struct held_packet),
        sizeof(tern_stats),
        TERN_CAUSES,
        TERN_STATES,
    };
    uint64_t sum = image_sum(sizes, sizeof sizes);
    for (const char *version = tern_version(); *version != '\0'; version++)
        sum = sum * 31 + (uint8_t)*version; /* gcc would make a loop that counts a call of strlen */
    return sum;
}

static struct arena *arena_behind(void *block)
{
    return (struct arena *)(void *)((uint8_t *)block + stack_handle_size());
}

static uint64_t world_offset(const struct tern *t)
{
    return (uint64_t)((const uint8_t *)t->w - (const uint8_t *)t->a);
}

/* Bytes of a block for an arena that may use `budget` bytes. */
static uint64_t block_for(uint64_t budget) { return stack_handle_size() + budget; }

/* --- writing ------------------------------------------------------------------------------------ */

static uint64_t foreign_size(const struct tern *t)
{
    uint64_t n = 0;
    uint32_t len;
    for (ref_t r = 0; (r = lent_next(t->a, r)) != 0;) {
        lent_bytes(t->a, &t->regions, r, &len);
        n += sizeof(struct image_piece) + len;
    }
    return n;
}

static void save_foreign(const struct tern *t, uint8_t *out)
{
    struct image_piece p;
    for (ref_t r = 0; (r = lent_next(t->a, r)) != 0; out += p.len) {
        const uint8_t *bytes = lent_bytes(t->a, &t->regions, r, &p.len);
        p.piece = r;
        memcpy(out, &p, sizeof p);
        out += sizeof p;
        memcpy(out, bytes, p.len);
    }
}

size_t tern_snapshot_size(const tern *t)
{
    return (size_t)(sizeof(struct image_head) + image_size(t->a, sizeof *t->w) + foreign_size(t));
}

int tern_snapshot(const tern *t, void *out, size_t size)
{
    uint8_t *bytes = out;
    struct image_head head = {
        .order = ORDER,
        .version = IMAGE_VERSION,
        .layout = layout(),
        .length = tern_snapshot_size(t),
        .world = world_offset(t),
        .arena = image_size(t->a, sizeof *t->w),
    };
    if (size < head.length)
        return -TERN_EMSGSIZE;
    memcpy(head.magic, magic, sizeof magic);
    memcpy(bytes, &head, sizeof head);
    save_foreign(t, image_save(t->a, t->w, sizeof *t->w, bytes + sizeof head));
    head.sum = image_sum(bytes + SUMMED_AT, head.length - SUMMED_AT);
    memcpy(bytes, &head, sizeof head);
    return 0;
}

/* --- parts -------------------------------------------------------------------------------------- */

struct parts {
    tern_slice *out;
    int max, n;
    const uint8_t *end; /* of the last */
};

/* Neighbours become one. */
static void add_part(struct parts *p, const void *data, uint64_t len)
{
    if (len == 0)
        return;
    if (p->end != data && p->n++ < p->max)
        p->out[p->n - 1] = (tern_slice){data, 0};
    if (p->n <= p->max)
        p->out[p->n - 1].len += (uint32_t)len;
    p->end = (const uint8_t *)data + len;
}

/* Answers that wait are a large table, and nearly always none waits. */
static void add_world(struct parts *p, const struct world *w)
{
    const uint8_t *end = (const uint8_t *)(w + 1), *behind = (const uint8_t *)&w->reply_head;
    add_part(p, w, w->reply_count > 0 ? sizeof *w : offsetof(struct world, replies));
    if (w->reply_count == 0)
        add_part(p, behind, (uint64_t)(end - behind));
}

int tern_parts(const tern *t, tern_slice *out, int max)
{
    struct parts p = {.out = out, .max = max};
    const struct arena *a = t->a;
    uint64_t page = arena_page_size(a), len;
    add_part(&p, t, stack_handle_size() + image_front(a));
    add_world(&p, t->w);
    for (uint32_t i = 0; i < a->pages_used; i++)
        if ((len = image_kept(a, i)) > 0)
            add_part(&p, (const uint8_t *)a + i * page, len);
    return p.n;
}

/* --- reading ------------------------------------------------------------------------------------ */

/* What the sum cannot say of an image: that its parts lie inside of it. */
static bool parts_sound(const uint8_t *image, const struct image_head *head)
{
    const uint8_t *body = image + sizeof *head;
    uint64_t left = head->length - sizeof *head, at = head->arena;
    struct image_piece p;
    if (head->arena > left || !image_sound(body, head->arena, head->world, sizeof(struct world)))
        return false;
    for (; at < left; at += p.len) {
        if (left - at < sizeof p)
            return false;
        memcpy(&p, body + at, sizeof p);
        at += sizeof p;
        if (p.len > left - at)
            return false;
    }
    return true;
}

/* The head of an image that is whole and ours, as far as can be told at once; otherwise what is wrong with
 * it. */
static int read_head(const uint8_t *image, uint64_t len, struct image_head *head)
{
    uint64_t had = min_u64(len, sizeof *head);
    memset(head, 0, sizeof *head);
    memcpy(head, image, (size_t)had);
    if (memcmp(head->magic, magic, (size_t)min_u64(had, sizeof magic)) != 0)
        return -TERN_ENOEXEC;
    if (had < sizeof *head)
        return -TERN_ENODATA;
    if (head->order != ORDER)
        return -TERN_EOPNOTSUPP;
    if (head->version != IMAGE_VERSION)
        return -TERN_EPROTONOSUPPORT;
    if (head->layout != layout())
        return -TERN_EOPNOTSUPP;
    if (head->length > len)
        return -TERN_ENODATA;
    if (head->length < sizeof *head)
        return -TERN_EBADMSG;
    return parts_sound(image, head) ? 0 : -TERN_EBADMSG;
}

static bool damaged(const uint8_t *image, const struct image_head *head)
{
    return head->sum != image_sum(image + SUMMED_AT, head->length - SUMMED_AT);
}

int tern_restore_size(const void *image, size_t len, size_t *block)
{
    struct image_head head;
    int e = read_head(image, len, &head);
    if (e == 0)
        *block = (size_t)block_for(image_budget((const uint8_t *)image + sizeof head));
    return e;
}

/* The handle of a block whose arena is in place. */
static struct tern *handle_for(void *memory, uint64_t world, void *trace, uint32_t trace_records)
{
    struct tern *t = memory;
    memset(t, 0, sizeof *t);
    t->a = arena_behind(memory);
    t->w = (struct world *)(void *)((uint8_t *)t->a + world);
    trace_init(&t->trace, trace, trace_records);
    tern_set_sum(t, NULL);
    return t;
}

/* The block and the ring that a new life is given. */
static int place_valid(const void *memory, const void *trace, uint32_t trace_records)
{
    if (memory == NULL || ((uintptr_t)memory & 15) != 0)
        return -TERN_EINVAL;
    if (trace != NULL && (trace_records == 0 || (trace_records & (trace_records - 1)) != 0))
        return -TERN_EINVAL;
    return 0;
}

/* Foreign bytes become the copy's own. */
static int own(struct tern *t, const struct image_piece *p, const uint8_t *bytes)
{
    if (!pool_valid(t->a, &t->w->lent.pieces, p->piece, pool_gen(t->a, p->piece)))
        return -TERN_EBADMSG;
    const struct piece *piece = at(t->a, p->piece);
    if (piece->c.used != p->len)
        return -TERN_EBADMSG;
    return lent_own(t->a, p->piece, bytes, MEM_CONTROL) ? 0 : -TERN_ENOMEM;
}

static int own_all(struct tern *t, const uint8_t *from, const uint8_t *end)
{
    struct image_piece p;
    int e = 0;
    for (; e == 0 && from < end; from += p.len) {
        memcpy(&p, from, sizeof p);
        from += sizeof p;
        if (arena_kind(t->a, p.piece) != PAGE_POOL0 + POOL_PIECE)
            return -TERN_EBADMSG;
        e = own(t, &p, from);
    }
    if (e == 0)
        lent_cut(t->a);
    return e;
}

int tern_restore(tern **out, const void *image, size_t len, void *memory, size_t size, void *trace,
                 uint32_t trace_records)
{
    struct image_head head;
    const uint8_t *body = (const uint8_t *)image + sizeof head;
    int e = place_valid(memory, trace, trace_records);
    if (e == 0)
        e = read_head(image, len, &head);
    if (e < 0)
        return e;
    if (damaged(image, &head))
        return -TERN_EBADMSG;
    if (size < block_for(image_budget(body)))
        return -TERN_ENOMEM;
    image_load(arena_behind(memory), body, head.world, sizeof(struct world));
    struct tern *t = handle_for(memory, head.world, trace, trace_records);
    if (!image_arena_sound(t->a, PAGE_POOL0 + POOLS) || t->a->lent != ref_of(t->a, &t->w->lent))
        return -TERN_EBADMSG;
    e = own_all(t, body + head.arena, (const uint8_t *)image + head.length);
    if (e == 0)
        *out = t;
    return e;
}

int tern_clone(tern **out, const tern *t, void *memory, size_t size, void *trace, uint32_t trace_records)
{
    int e = place_valid(memory, trace, trace_records);
    if (e < 0)
        return e;
    if (size < block_for((uint64_t)t->a->pages_max << t->a->page_shift))
        return -TERN_ENOMEM;
    image_copy(arena_behind(memory), t->a, t->w, sizeof *t->w);
    struct tern *copy = handle_for(memory, world_offset(t), trace, trace_records);
    struct image_piece p;
    for (ref_t r = 0; e == 0 && (r = lent_next(t->a, r)) != 0;) {
        const uint8_t *bytes = lent_bytes(t->a, &t->regions, r, &p.len);
        p.piece = r;
        e = own(copy, &p, bytes);
    }
    if (e < 0)
        return e;
    lent_cut(copy->a);
    *out = copy;
    return 0;
}
