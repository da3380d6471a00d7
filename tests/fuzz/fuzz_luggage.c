/* The luggage of `tern serve` (cli/serve_move.c), read by the process that takes over.
 *
 * Two servers: the first gets connections, requests and answers as the input says and packs them; what it
 * packed must give the second one the same. Then bytes of it are changed, and it is cut off: whatever comes,
 * nothing is read beyond its end, no answer speaks of bytes that it has not, and no descriptor and no memory
 * stays behind. (Who sends it runs the same build and has the same user, so what structures hold besides, a
 * parser's state for one, is not changed here.)
 */
#include "base/mem.h"
#include "cli/cmd.h"
#include "cli/serve.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <tern/handover.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CONNS = 6 };

static struct {
    uint8_t *bytes; /* what was packed */
    size_t len;
    int fds[CONNS], n_fds;
} packed;

/* --- what the command's other files would do ------------------------------------------------------------ */

int cmd_cannot(const char *name, const char *format, ...)
{
    (void)name, (void)format;
    return CMD_CANNOT;
}

const char *net_endpoint_text(const tern_endpoint *e, char buf[64])
{
    (void)e;
    buf[0] = '\0';
    return buf;
}

void tern_host_decline(tern_host *h, const char *why) { (void)h, (void)why; }

int tern_host_hand_over(tern_host *h, const tern_luggage *own, int patience_ms, char *err, size_t err_len)
{
    (void)h, (void)patience_ms, (void)err, (void)err_len;
    packed.bytes = malloc(own->len);
    ASSERT(packed.bytes != NULL && own->n_fds <= CONNS);
    memcpy(packed.bytes, own->data, own->len);
    packed.len = own->len;
    packed.n_fds = own->n_fds;
    for (int i = 0; i < own->n_fds; i++) /* as they come in another process: others, of the same files */
        packed.fds[i] = fcntl(own->fds[i], F_DUPFD_CLOEXEC, 3);
    return 0;
}

/* --- two servers ---------------------------------------------------------------------------------------- */

struct list {
    const uint8_t *at;
    size_t left;
};

static uint32_t u8(struct list *l)
{
    if (l->left == 0)
        return 0;
    l->left--;
    return *l->at++;
}

static server *new_server(tern *t)
{
    server *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    s->net.stack = t;
    s->root = -1;
    return s;
}

static void end_server(server *s)
{
    while (s->conns != NULL)
        conn_free(s, s->conns);
    ASSERT(s->n_conns == 0);
    free(s);
}

static FILE *nowhere; /* where stderr goes, since it says there how many went */

static bool packs(server *s)
{
    FILE *there = stderr;
    stderr = nowhere;
    bool went = move_out(s);
    stderr = there;
    for (conn *c = s->conns; c != NULL; c = c->next)
        if (c->ans != NULL)
            c->ans->piece = 0; /* nothing was mapped in truth */
    return went;
}

static void give_answer(conn *c, struct list *l)
{
    uint32_t kind = u8(l), n = u8(l);
    answer *a = c->ans = calloc(1, sizeof *a);
    ASSERT(a != NULL);
    c->phase = PHASE_SEND;
    *a = (answer){.status = 200, .head_len = n, .head_sent = u8(l) % (n + 1), .fd = -1};
    a->piece = (int)(kind >> 2);
    if (kind & 1) {
        a->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        a->offset = n;
        a->left = 1000;
    } else if (kind & 2) {
        a->text = malloc(300);
        ASSERT(a->text != NULL && a->fd < 0);
        memset(a->text, (int)kind, 300);
        a->offset = n;
        a->left = 300 - n;
    }
}

static void fill(server *s, struct list *l)
{
    for (uint32_t n = u8(l) % (CONNS + 1); n > 0; n--) {
        tern_endpoint to = {.ip = tern_ip4(192, 0, 2, 2), .port = 80};
        uint32_t v = u8(l);
        conn *c = conn_new(s);
        ASSERT(c != NULL && tern_connect(s->net.stack, NULL, &to, &c->h) == 0);
        c->drained = v;
        c->phase = v & 8 ? PHASE_DRAIN : PHASE_READ;
        if (v & 1 && (c->req = calloc(1, sizeof *c->req)) != NULL)
            request_init(c->req);
        if (v & 2)
            give_answer(c, l);
    }
    s->n_listens = (int)(u8(l) % (SERVE_LISTENS + 1));
}

/* --- held against each other ---------------------------------------------------------------------------- */

static void same_answer(const answer *a, const answer *b)
{
    ASSERT(a->status == b->status && a->head_len == b->head_len && a->head_sent == b->head_sent);
    ASSERT(b->piece == 0 && a->left == b->left && (a->fd < 0) == (b->fd < 0) &&
           (a->fd < 0 || a->offset == b->offset));
    if (a->text != NULL && a->left > 0)
        ASSERT(memcmp(a->text + a->offset, b->text + b->offset, a->left) == 0);
}

/* The list of the second begins with whom the first has last. */
static void same(const server *a, const server *b)
{
    const conn *d = b->conns;
    ASSERT(a->n_conns == b->n_conns && a->n_listens == b->n_listens);
    while (d != NULL && d->next != NULL)
        d = d->next;
    for (const conn *c = a->conns; c != NULL; c = c->next, d = d->prev) {
        ASSERT(d->h.v == c->h.v && d->phase == c->phase && d->drained == c->drained);
        ASSERT((c->req == NULL) == (d->req == NULL) && (c->ans == NULL) == (d->ans == NULL));
        if (c->ans != NULL)
            same_answer(c->ans, d->ans);
    }
}

/* No answer has less than it says. */
static void in_bounds(const server *s)
{
    for (const conn *c = s->conns; c != NULL; c = c->next) {
        const answer *a = c->ans;
        ASSERT(c->phase <= PHASE_DRAIN && (c->phase == PHASE_SEND) == (a != NULL));
        if (a == NULL)
            continue;
        ASSERT(a->piece == 0 && a->head_sent <= a->head_len && a->head_len <= sizeof a->head);
        for (uint64_t i = 0; a->text != NULL && i < a->left; i += 64)
            ASSERT(a->text[a->offset + i] >= 0 || a->text[a->offset + i] < 0); /* the sanitizer looks */
    }
}

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    ASSERT(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* Lengths, counts and marks are changed wherever they are: the places are multiples of four. */
static bool change(struct list *l)
{
    bool changed = false;
    while (l->left >= 3) {
        size_t where = (u8(l) << 8 | u8(l)) % packed.len / 4 * 4;
        uint8_t mask = (uint8_t)u8(l);
        if (mask == 255) { /* the end is missing */
            packed.len = where + 1;
            uint8_t *less = realloc(packed.bytes, packed.len);
            ASSERT(less != NULL);
            packed.bytes = less;
        } else {
            packed.bytes[where] ^= mask;
        }
        changed |= mask != 0;
    }
    return changed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct list l = {data, size};
    tern *t;
    tern_ip ip = tern_ip4(192, 0, 2, 1);
    tern_link_info link = {.mtu = 1500};
    size_t len = tern_min_size(NULL) + (1 << 18);
    void *block = malloc(len);
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "we");
    int before = open_files();
    ASSERT(nowhere != NULL && block != NULL && tern_create(&t, NULL, block, len) == 0);
    ASSERT(tern_link_add(t, &link) == 1 && tern_addr_add(t, 1, &ip, 24) == 0);
    server *a = new_server(t), *b = new_server(t);
    fill(a, &l);
    ASSERT(packs(a));
    bool changed = change(&l);
    tern_luggage luggage = {packed.bytes, packed.len, packed.fds, packed.n_fds};
    int r = move_in(b, &luggage);
    ASSERT(changed ? r == 0 || r == CMD_CANNOT : r == 0);
    if (!changed)
        same(a, b);
    if (r == 0)
        in_bounds(b);
    end_server(a);
    end_server(b);
    free(packed.bytes);
    tern_destroy(t);
    free(block);
    ASSERT(open_files() == before);
    return 0;
}
