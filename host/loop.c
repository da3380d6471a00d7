/* loop.c - the event loop: one stack, its links, a clock.
 *
 *                      ┌─────────── epoll (tern_host_fd) ───────────┐
 *     link fds ────────┤                                            ├──── readable: call tern_host_turn
 *     timerfd ─────────┤  armed to the stack's deadline or a link's │
 *     control socket ──┘                                            ┘
 *
 * A turn receives first and runs timers then: a packet that came in time must not find its timer expired
 * because we were late. Output comes last, once for all that happened, so one acknowledgment covers all that
 * was received.
 *
 * The timer is armed lazily: only when something is due earlier than what it is set to. Deadlines that move
 * away with every packet (retransmission) then cost no system call; at worst a turn finds nothing to do. It
 * is there for those who have asked for the descriptor; tern_host_wait waits in epoll itself, for as long as
 * there is until then, and the timer is for what is far away, since it counts while the machine sleeps, too.
 * What epoll says then is kept for the turn that follows.
 *
 * A link that takes fewer packets than offered is a full queue: the rest is dropped and counted, and TCP
 * sends it again. Keeping them is not possible: slices are valid until the next call on the stack only.
 */
#include "host/capture.h"
#include "host/host_internal.h"
#include "host/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS = 8,             /* batches received from one link in a turn */
    NEAR_US = 1000000,      /* a deadline up to which tern_host_wait needs no timer */
    LARGE_BATCH = 64 << 10, /* bytes; a batch of fewer packets and fewer bytes was all that there was */
};

_Static_assert(HOST_BATCH <= 64, "send_batch has a bit for each packet");

#define MEMORY_DEFAULT (1ull << 30)

uint64_t tern_host_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- the epoll set ------------------------------------------------------------------------------ */

int host_watch(tern_host *h, int fd, uint32_t tag)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = tag};
    return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

void host_watch_write(tern_host *h, int fd, uint32_t tag, bool write)
{
    struct epoll_event ev = {.events = write ? EPOLLOUT : EPOLLIN, .data.u32 = tag};
    epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &ev);
}

static uint64_t next_deadline(const tern_host *h)
{
    uint64_t soonest = tern_next_deadline(h->stack);
    for (int id = 1; id < HOST_LINKS; id++) {
        tern_link *l = h->links[id].link;
        uint64_t next = l && h->links[id].gone == 0 ? l->ops->next(l) : UINT64_MAX;
        soonest = next < soonest ? next : soonest;
    }
    return soonest;
}

static void arm(tern_host *h)
{
    uint64_t deadline = next_deadline(h);
    if (deadline >= h->armed)
        return;
    struct itimerspec when = {0};
    when.it_value.tv_sec = (time_t)(deadline / 1000000);
    when.it_value.tv_nsec = (long)(deadline % 1000000 * 1000);
    if (deadline == 0)
        when.it_value.tv_nsec = 1; /* zero would disarm it */
    timerfd_settime(h->timer, TFD_TIMER_ABSTIME, &when, NULL);
    h->armed = deadline;
}

static void timer_fired(tern_host *h)
{
    uint64_t times;
    if (read(h->timer, &times, sizeof times) > 0)
        h->armed = UINT64_MAX;
}

/* --- trace -------------------------------------------------------------------------------------- */

static void drain_trace(tern_host *h)
{
    if (!h->on_trace && !h->capture)
        return;
    uint64_t lost = 0;
    for (int n; (n = tern_trace_take(h->stack, h->records, HOST_BATCH, &lost)) > 0;) {
        h->trace_lost += lost;
        h->trace_next += lost;
        for (int i = 0; i < n; i++) {
            if (h->on_trace)
                h->on_trace(h->trace_ctx, &h->records[i]);
            if (h->capture)
                capture_record(h->capture, h->trace_next + (uint64_t)i, &h->records[i]);
        }
        h->trace_next += (uint64_t)n;
    }
}

void tern_host_on_trace(tern_host *h, void (*fn)(void *ctx, const tern_trace_record *r), void *ctx)
{
    h->on_trace = fn;
    h->trace_ctx = ctx;
}

/* --- links -------------------------------------------------------------------------------------- */

/* A link is gone: it stays attached, silent, so that ids stay what they are. */
static void lost(tern_host *h, struct host_link *hl, int err)
{
    int fd = hl->link->ops->fd(hl->link);
    if (fd >= 0)
        epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
    hl->gone = err;
    if (h->gone == 0)
        h->gone = err;
}

/* What the stack refers to no more is the link's again; a link that runs short gets more of it, at the price
 * of copies. */
static void give_back(tern_host *h, struct host_link *hl)
{
    uint64_t buffers[HOST_BATCH];
    if (hl->region == 0)
        return;
    uint64_t wants = hl->link->ops->wants(hl->link);
    if (wants > 0)
        tern_region_compact(h->stack, hl->region, wants);
    for (int n; (n = tern_rx_returned(h->stack, hl->region, buffers, HOST_BATCH)) > 0;)
        hl->link->ops->free_again(hl->link, buffers, n);
}

/* Give a batch to the stack. Whether the link may have more: it came to an end because it was full. */
static bool take_batch(tern_host *h, int id, uint64_t now, int n)
{
    const struct host_link *hl = &h->links[id];
    uint32_t bytes = 0;
    for (int i = 0; i < n; i++) {
        h->rx[i].link = (uint8_t)id;
        h->rx[i].region = (uint8_t)hl->region; /* 0: nothing is left there */
        bytes += h->rx[i].len;
    }
    tern_rx(h->stack, now, h->rx, n);
    drain_trace(h);
    if (h->capture)
        capture_received(h->capture, now, h->rx, n);
    if (hl->region != 0)
        hl->link->ops->seen(hl->link, h->rx, n);
    return !hl->link->drained && (n == HOST_BATCH || bytes >= LARGE_BATCH);
}

/* Receive a batch. Returns the number of packets; `more` of the host has the link's bit if it may have
 * another one. */
static int receive(tern_host *h, int id, uint64_t now)
{
    struct host_link *hl = &h->links[id];
    give_back(h, hl);
    int n = hl->link->ops->rx(hl->link, now, h->rx, HOST_BATCH);
    if (n < 0)
        lost(h, hl, n);
    if (n > 0 && take_batch(h, id, now, n))
        h->more |= 1u << id;
    return n > 0 ? n : 0;
}

/* A batch of each link that has something, or that is due without a descriptor saying so. */
static int receive_all(tern_host *h, uint32_t ready)
{
    uint64_t now = tern_host_now();
    int total = 0;
    h->more = 0;
    h->rounds++;
    for (int id = 1; id < HOST_LINKS; id++) {
        tern_link *l = h->links[id].link;
        if (l && h->links[id].gone == 0 && (ready >> id & 1 || l->ops->next(l) <= now))
            total += receive(h, id, now);
    }
    return total;
}

/* Without room for answers the next batch waits until these have left; and nobody waits for ever. */
bool tern_host_more(const tern_host *h)
{
    return h->more != 0 && h->rounds < ROUNDS && tern_replies_room(h->stack) >= HOST_BATCH;
}

/* Hand packets that share a link to it. Returns how many it took. */
static int send_run(tern_host *h, uint64_t now, const tern_tx_packet *pkts, int n)
{
    struct host_link *hl = &h->links[pkts[0].link % HOST_LINKS];
    int taken = hl->link && hl->gone == 0 ? hl->link->ops->tx(hl->link, now, pkts, n) : 0;
    if (taken < 0) {
        lost(h, hl, taken);
        taken = 0;
    }
    h->tx_refused += (uint64_t)(n - taken);
    return taken;
}

/* Hand a batch to its links. Returns a bit for each packet that was not taken. */
static uint64_t send_batch(tern_host *h, uint64_t now, int n)
{
    uint64_t refused = 0;
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && h->tx[end].link == h->tx[i].link;)
            end++;
        for (int k = i + send_run(h, now, &h->tx[i], end - i); k < end; k++)
            refused |= 1ull << k;
    }
    return refused;
}

/* Send until the stack has nothing more. Returns the number of packets. */
static int send_all(tern_host *h)
{
    int total = 0, n;
    do {
        uint64_t now = tern_host_now();
        n = tern_tx(h->stack, now, h->tx, HOST_BATCH);
        uint64_t refused = send_batch(h, now, n);
        drain_trace(h);
        if (h->capture)
            capture_sent(h->capture, now, h->tx, n, refused);
        total += n;
    } while (n == HOST_BATCH);
    if (h->capture)
        capture_flush(h->capture);
    return total;
}

int host_put_link(tern_host *h, int id, tern_link *l)
{
    h->links[id] = (struct host_link){.link = l};
    int region = l->memory != NULL ? tern_region_add(h->stack, l->memory, l->memory_len) : 0;
    h->links[id].region = region > 0 ? region : 0; /* without one its packets are copied */
    int fd = l->ops->fd(l);
    int rc = fd >= 0 ? host_watch(h, fd, (uint32_t)id) : 0;
    if (rc < 0)
        h->links[id].gone = h->gone = rc;
    return rc;
}

int tern_host_attach(tern_host *h, tern_link *l)
{
    int id = tern_link_add(h->stack, &l->info);
    if (id < 0) {
        tern_link_close(l);
        return id;
    }
    int rc = host_put_link(h, id, l);
    return rc < 0 ? rc : id;
}

int tern_host_detach(tern_host *h, int id)
{
    struct host_link *hl = id > 0 && id < HOST_LINKS ? &h->links[id] : NULL;
    if (!hl || !hl->link)
        return -TERN_ENODEV;
    int e = hl->region > 0 ? tern_region_remove(h->stack, hl->region) : 0;
    if (e < 0)
        return e; /* the stack still needs its memory */
    int fd = hl->link->ops->fd(hl->link);
    if (fd >= 0 && hl->gone == 0)
        epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
    tern_link_remove(h->stack, id);
    tern_link_close(hl->link);
    *hl = (struct host_link){0};
    h->more &= ~(1u << id);
    h->seen = -1; /* what was seen may be about it */
    return 0;
}

/* Ports are tried from a random one on, so that nobody can guess them (RFC 6056 3.3.1). */
int tern_host_connect(tern_host *h, int queue, const tern_endpoint *remote, tern_handle *out)
{
    enum { LOW = 32768, PORTS = 60999 - LOW + 1 };
    tern_endpoint local = {.zone = remote->zone};
    uint32_t dice;
    int id, rc = tern_source(h->stack, remote, &local.ip, &id);
    const tern_link *l = rc == 0 && id > 0 && id < HOST_LINKS ? h->links[id].link : NULL;
    if (l == NULL || tern_link_queue_of(l, 1, 1) < 0)
        return rc < 0 ? rc : tern_connect(h->stack, NULL, remote, out);
    if (getrandom(&dice, sizeof dice, 0) != sizeof dice)
        return -errno;
    rc = -TERN_ENOSR;
    for (uint32_t i = 0; i < PORTS && (rc == -TERN_ENOSR || rc == -TERN_EADDRINUSE); i++) {
        local.port = (uint16_t)(LOW + (dice + i) % PORTS);
        if (tern_link_queue_of(l, local.port, remote->port) == queue)
            rc = tern_connect(h->stack, &local, remote, out);
    }
    return rc == -TERN_EADDRINUSE ? -TERN_ENOSR : rc;
}

const char *tern_host_link_name(const tern_host *h, int id)
{
    const tern_link *l = id > 0 && id < HOST_LINKS ? h->links[id].link : NULL;
    if (!l)
        return "";
    return l->device ? l->device : l->ops->name;
}

int tern_host_link_id(const tern_host *h, const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    bool digits = *text >= '0' && *text <= '9' && *end == '\0';
    for (int id = 1; id < HOST_LINKS; id++) {
        const tern_link *l = h->links[id].link;
        if (l && (digits ? number == id : l->device && strcmp(l->device, text) == 0))
            return id;
    }
    return -TERN_ENODEV;
}

/* --- turns -------------------------------------------------------------------------------------- */

/* Look what is ready: a bit per link; timer and control socket are served at once. Returns how many were.
 * While a link has more, nobody need be asked. */
static int look(tern_host *h, uint32_t *ready)
{
    *ready = h->more;
    if (*ready != 0)
        return 0;
    int n = h->seen >= 0 ? h->seen : epoll_wait(h->epoll, h->events, HOST_EVENTS, 0);
    h->seen = -1;
    for (int i = 0; i < n; i++) {
        uint32_t tag = h->events[i].data.u32;
        if (tag < HOST_LINKS)
            *ready |= 1u << tag;
        else if (tag == HOST_TAG_TIMER)
            timer_fired(h);
        else if (tag != HOST_TAG_ASKED) /* that one the program must answer */
            control_event(h, tag - HOST_TAG_CONTROL);
    }
    return n > 0 ? n : 0;
}

int tern_host_receive(tern_host *h)
{
    uint32_t ready;
    if (h->phase != HOST_LIVE)
        return 0;
    int did = look(h, &ready);
    did += receive_all(h, ready);
    tern_tick(h->stack, tern_host_now());
    return h->gone < 0 ? h->gone : did;
}

int tern_host_turn(tern_host *h)
{
    int did = 0;
    do {
        int n = tern_host_receive(h);
        did += n > 0 ? n : 0;
    } while (tern_host_more(h));
    int sent = tern_host_flush(h);
    return sent < 0 ? sent : did + sent;
}

int tern_host_flush(tern_host *h)
{
    if (h->phase != HOST_LIVE)
        return 0;
    int did = send_all(h);
    h->more = h->rounds = 0; /* epoll knows of what is left, and of all else */
    if (h->polled)
        arm(h);
    return h->gone < 0 ? h->gone : did;
}

int tern_host_fd(tern_host *h)
{
    if (!h->polled && h->phase == HOST_LIVE && tern_next_deadline(h->stack) != 0)
        arm(h); /* from now on tern_host_flush does; output that waits for it is none of the timer's */
    h->polled = true;
    return h->epoll;
}

/* How long to wait, in us, at most `timeout` (negative: for ever); the timer is armed for what is not
 * near. */
static int64_t how_long(tern_host *h, int64_t timeout)
{
    uint64_t deadline = next_deadline(h), now = tern_host_now();
    if (deadline > now + NEAR_US || h->polled) {
        arm(h);
        return timeout;
    }
    int64_t until = deadline > now ? (int64_t)(deadline - now) : 0;
    return timeout < 0 || until < timeout ? until : timeout;
}

/* Wait in epoll; < 0: -errno. Kernels before 5.11 know milliseconds only, rounded up: nothing is early. */
static int wait_us(tern_host *h, int64_t us)
{
    struct timespec ts = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
    int n = epoll_pwait2(h->epoll, h->events, HOST_EVENTS, us < 0 ? NULL : &ts, NULL);
    if (n < 0 && errno == ENOSYS)
        n = epoll_wait(h->epoll, h->events, HOST_EVENTS, us < 0 ? -1 : (int)((us + 999) / 1000));
    return n < 0 ? -errno : n;
}

int tern_host_wait(tern_host *h, int timeout_ms)
{
    if (tern_host_more(h))
        return 1;
    int64_t timeout = timeout_ms < 0 ? -1 : (int64_t)timeout_ms * 1000, us = timeout;
    if (h->phase == HOST_LIVE)
        us = how_long(h, timeout);
    int n = wait_us(h, us);
    h->seen = n > 0 ? n : -1;
    return n == 0 && us != timeout ? 1 : n; /* 1: a deadline has come */
}

tern *tern_host_stack(tern_host *h) { return h->stack; }

/* --- making and ending -------------------------------------------------------------------------- */

/* A seed that nobody can guess, unless the program has chosen one. */
static int choose_seed(uint8_t seed[32])
{
    uint8_t any = 0;
    for (int i = 0; i < 32; i++)
        any |= seed[i];
    if (any)
        return 0;
    return getrandom(seed, 32, 0) == 32 ? 0 : -errno;
}

/* What IPv6 addresses are made with stays the same on this machine, if it has a number of its own (RFC 7217
 * 5: nobody else can know it). */
static void choose_secret(uint8_t secret[16])
{
    static const uint8_t none[16];
    char text[32];
    int fd = memcmp(secret, none, sizeof none) == 0 ? open("/etc/machine-id", O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    bool whole = read(fd, text, sizeof text) == sizeof text;
    for (int i = 0; whole && i < 16; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1]};
        secret[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    close(fd);
}

static int open_descriptors(tern_host *h)
{
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (h->epoll < 0 || h->timer < 0)
        return -errno;
    return host_watch(h, h->timer, HOST_TAG_TIMER);
}

int host_map(tern_host *h, const tern_host_config *cfg, uint64_t at_least)
{
    h->memory_len = cfg->memory ? cfg->memory : MEMORY_DEFAULT;
    if (h->memory_len < at_least)
        h->memory_len = at_least;
    h->memory = memory_reserve(h->memory_len);
    h->ring_len = cfg->trace_records * sizeof(tern_trace_record);
    h->ring = h->ring_len > 0 ? memory_reserve(h->ring_len) : NULL;
    return h->memory && (h->ring_len == 0 || h->ring) ? 0 : -ENOMEM;
}

static int make_stack(tern_host *h, const tern_host_config *cfg)
{
    tern_config stack = cfg->stack;
    int rc = choose_seed(stack.seed);
    choose_secret(stack.iid_secret);
    if (rc == 0)
        rc = host_map(h, cfg, 0);
    if (rc < 0)
        return rc;
    if (h->ring) {
        stack.trace = h->ring;
        stack.trace_records = cfg->trace_records;
    }
    h->budget = stack.budget ? stack.budget : h->memory_len;
    rc = tern_create(&h->stack, &stack, h->memory, h->memory_len);
    if (rc < 0)
        return rc;
    tern_set_sum(h->stack, tern_host_sum(-1));
    tern_tick(h->stack, tern_host_now());
    return 0;
}

static int explain(int rc, const tern_host *h, const tern_config *cfg, char *err, size_t err_len)
{
    unsigned long long mib = h->memory_len >> 20;
    if (rc == -ENOMEM && h->memory)
        snprintf(err, err_len, "too little memory for a stack: give it %zu KiB at least",
                 (tern_min_size(cfg) >> 10) + 1);
    else if (rc == -ENOMEM)
        snprintf(err, err_len, "no address space for a stack of %llu MiB: ask for less memory", mib);
    else if (rc == -EINVAL)
        snprintf(err, err_len,
                 "the stack's configuration has a value out of its range (tern.h, tern_config)");
    else if (rc == -EMFILE || rc == -ENFILE)
        snprintf(err, err_len, "no descriptors left: raise the limit (ulimit -n)");
    else
        snprintf(err, err_len, "cannot make the stack: %s", strerror(-rc));
    return rc;
}

tern_host *host_new(int *rc)
{
    tern_host *h = calloc(1, sizeof *h);
    *rc = -ENOMEM;
    if (!h)
        return NULL;
    h->armed = UINT64_MAX;
    h->epoll = h->timer = h->seen = -1;
    h->asked.fd = -1;
    *rc = open_descriptors(h);
    return h;
}

int tern_host_create(tern_host **out, const tern_host_config *cfg, char *err, size_t err_len)
{
    int rc;
    tern_host *h = host_new(&rc);
    char unwanted[1];
    if (!err || err_len == 0) {
        err = unwanted;
        err_len = sizeof unwanted;
    }
    err[0] = '\0';
    if (!h) {
        snprintf(err, err_len, "no memory");
        return -ENOMEM;
    }
    if (rc == 0)
        rc = make_stack(h, cfg);
    if (rc < 0) {
        explain(rc, h, &cfg->stack, err, err_len);
        tern_host_destroy(h);
        return rc;
    }
    if (cfg->name)
        control_open(h, cfg->name, err, err_len); /* without one, all but `tern ss` works: `err` says why */
    *out = h;
    return 0;
}

void tern_host_destroy(tern_host *h)
{
    if (!h)
        return;
    handover_end(h);
    control_close(h);
    if (h->capture)
        capture_end(h->capture);
    for (int id = 1; id < HOST_LINKS; id++)
        tern_link_close(h->links[id].link);
    if (h->stack)
        tern_destroy(h->stack);
    memory_release(h->memory, h->memory_len);
    memory_release(h->ring, h->ring_len);
    if (h->timer >= 0)
        close(h->timer);
    if (h->epoll >= 0)
        close(h->epoll);
    free(h);
}
