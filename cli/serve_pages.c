/* serve_pages.c - the pages of files are lent to the stack, so that no byte of a download is copied on its
 * way from the page cache to the device.
 *
 *   one region, address space only    │ piece 0 │ piece 1 │    -    │ piece 3 │ ...
 *                                          ▲          ▲
 *                              64 MiB of a file,   of another, or the next of the same
 *
 * A piece is mapped when an answer first needs it, and goes a few seconds after the last: when no answer is
 * at it and the stack has returned all that was lent of it (tern_returned). Files are told apart as the
 * answers' entity tags are: another size or time is another file. Small files are read and copied, which
 * costs less than to keep account of them.
 *
 * A file can become shorter while it is mapped. Whoever reads behind its new end gets SIGBUS; the handler
 * puts an empty page there and marks the piece, and the connections that were promised those bytes are reset,
 * which is how a client learns that its download failed.
 */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECES = 256, PAGE = 4096, KEEP_US = 5000000 };

#define PIECE_SIZE ((uint64_t)64 << 20)

struct piece {
    file_id file;
    uint64_t number;  /* which piece of it */
    uint64_t left_us; /* when the last answer left it */
    uint32_t lent;    /* how often the stack has bytes of it */
    uint32_t answers; /* that are at it */
    bool mapped;
    volatile sig_atomic_t broken; /* the file has become shorter */
};

struct pages {
    uint8_t *base;
    int region;
    volatile sig_atomic_t broken; /* a piece is, and nobody has looked yet */
    struct piece pieces[PIECES];
};

/* All of the process, for the handler: threads come and go one after the other. */
static struct pages *volatile all_pages[TERN_QUEUES];

/* --- what has gone from under us ---------------------------------------------------------------- */

static void on_bus(int number, siginfo_t *info, void *context)
{
    uint8_t *at = (uint8_t *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    (void)context;
    for (int i = 0; i < TERN_QUEUES; i++) {
        struct pages *p = all_pages[i];
        if (p == NULL || at < p->base || at >= p->base + PIECES * PIECE_SIZE)
            continue;
        p->pieces[(uint64_t)(at - p->base) / PIECE_SIZE].broken = 1;
        p->broken = 1;
        if (mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at)
            return;
    }
    signal(number, SIG_DFL); /* not ours: it strikes again */
}

bool pages_broken(server *s)
{
    bool broken = s->pages != NULL && s->pages->broken;
    if (broken)
        s->pages->broken = 0;
    return broken;
}

bool pages_lost(const server *s, const conn *c)
{
    return c->lent_of > 0 && s->pages->pieces[c->lent_of - 1].broken;
}

/* --- pieces ------------------------------------------------------------------------------------- */

static uint8_t *address(const struct pages *p, int i) { return p->base + (uint64_t)i * PIECE_SIZE; }

static bool unused(const struct piece *e) { return e->lent == 0 && e->answers == 0; }

static void unmap(struct pages *p, int i)
{
    mmap(address(p, i), PIECE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
         0);
    p->pieces[i] = (struct piece){0};
}

/* The piece that is there already, or else one to be used for it; -1: all are busy. */
static int place_for(const struct pages *p, const file_id *file, uint64_t number)
{
    int best = -1;
    for (int i = 0; i < PIECES; i++) {
        const struct piece *e = &p->pieces[i];
        if (e->mapped && !e->broken && e->number == number && memcmp(&e->file, file, sizeof *file) == 0)
            return i;
        if (unused(e) && (best < 0 || e->left_us < p->pieces[best].left_us))
            best = i;
    }
    return best;
}

static int map_piece(struct pages *p, const answer *a, uint64_t number)
{
    int i = place_for(p, &a->file, number);
    struct piece *e = i >= 0 ? &p->pieces[i] : NULL;
    if (e == NULL || (e->mapped && !e->broken && e->number == number &&
                      memcmp(&e->file, &a->file, sizeof e->file) == 0))
        return i;
    if (e->mapped)
        unmap(p, i);
    uint64_t at = number * PIECE_SIZE, len = a->file.size - at < PIECE_SIZE ? a->file.size - at : PIECE_SIZE;
    if (mmap(address(p, i), len, PROT_READ, MAP_SHARED | MAP_FIXED, a->fd, (off_t)at) == MAP_FAILED) {
        unmap(p, i); /* a file that cannot be mapped is read */
        return -1;
    }
    *e = (struct piece){.file = a->file, .number = number, .mapped = true};
    return i;
}

void pages_leave(server *s, answer *a)
{
    if (a->piece == 0)
        return;
    struct piece *e = &s->pages->pieces[a->piece - 1];
    e->answers--;
    e->left_us = tern_now(s->net.stack);
    a->piece = 0;
}

/* The answer's next byte lies in a piece that is mapped. */
static bool enter(server *s, answer *a)
{
    struct pages *p = s->pages;
    uint64_t number = a->offset / PIECE_SIZE;
    if (a->piece > 0 && p->pieces[a->piece - 1].number == number)
        return true;
    pages_leave(s, a);
    int i = map_piece(p, a, number);
    if (i < 0)
        return false;
    p->pieces[i].answers++;
    a->piece = i + 1;
    return true;
}

/* Tags name the process: after a handover those of the old one may come, which are nobody's. */
static uint64_t tag_of(int piece) { return (uint64_t)getpid() << 32 | (uint32_t)piece; }

long pages_send(server *s, conn *c, answer *a)
{
    if (s->pages == NULL || a->fd < 0 || a->body < PAGES_LEAST || !enter(s, a))
        return 0;
    uint64_t in = a->offset % PIECE_SIZE, len = PIECE_SIZE - in < a->left ? PIECE_SIZE - in : a->left;
    long n = tern_lend(s->net.stack, c->h, s->pages->region, (uint64_t)(a->piece - 1) * PIECE_SIZE + in, len,
                       tag_of(a->piece), len < a->left ? TERN_MORE : 0);
    if (n > 0) {
        s->pages->pieces[a->piece - 1].lent++;
        c->lent_of = a->piece;
    }
    return n;
}

void pages_returned(server *s)
{
    tern_lent back[64];
    for (int n; (n = tern_returned(s->net.stack, back, 64)) > 0;)
        for (int i = 0; i < n; i++) {
            uint32_t piece = (uint32_t)back[i].tag;
            if (s->pages != NULL && piece >= 1 && piece <= PIECES && back[i].tag == tag_of((int)piece))
                s->pages->pieces[piece - 1].lent--;
        }
}

void pages_sweep(server *s, uint64_t now)
{
    for (int i = 0; s->pages != NULL && i < PIECES; i++) {
        const struct piece *e = &s->pages->pieces[i];
        if (e->mapped && unused(e) && now - e->left_us > KEEP_US)
            unmap(s->pages, i);
    }
}

/* --- opening ------------------------------------------------------------------------------------ */

/* Without address space, or without a region, files are read. */
void pages_open(server *s)
{
    struct sigaction bus = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    struct pages *p = calloc(1, sizeof *p);
    int mine = 0;
    while (mine < TERN_QUEUES && all_pages[mine] != NULL)
        mine++;
    if (p == NULL || mine == TERN_QUEUES) {
        free(p);
        return;
    }
    p->base = mmap(NULL, PIECES * PIECE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    p->region = p->base != MAP_FAILED ? tern_region_add(s->net.stack, p->base, PIECES * PIECE_SIZE) : -1;
    s->pages = p;
    all_pages[mine] = p;
    if (p->region < 0 || sigaction(SIGBUS, &bus, NULL) != 0)
        pages_close(s);
}

void pages_close(server *s)
{
    struct pages *p = s->pages;
    for (int i = 0; i < TERN_QUEUES; i++)
        if (p != NULL && all_pages[i] == p)
            all_pages[i] = NULL;
    if (p != NULL && p->base != MAP_FAILED)
        munmap(p->base, PIECES * PIECE_SIZE);
    free(p);
    s->pages = NULL;
}
