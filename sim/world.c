/* world.c - see world.h: the clock, the hosts, and the log. */
#include "world.h"

#include "explain.h"
#include "lend.h"
#include "path.h"
#include "program.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUIET_US = 60000, /* longer than any delay and delayed ACK; shorter than what is left of any timeout */
    DELAY_MIN_US = 4000,
    DELAY_MAX_US = 48000,
    IDLE_STEPS = 10000,
};

void *list_add(void **v, uint32_t *n, uint32_t *cap, size_t size)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 32;
        *v = realloc(*v, *cap * size);
    }
    void *item = (char *)*v + *n * size;
    memset(item, 0, size);
    ++*n;
    return item;
}

void world_log(struct world *w, enum log_kind kind, int host, uint32_t index)
{
    struct log_entry *e = LIST_ADD(w->log);
    *e = (struct log_entry){.t_us = w->now, .index = index, .kind = (uint8_t)kind, .host = (int8_t)host};
}

void world_note(struct world *w, int host, const char *text)
{
    world_log(w, LOG_NOTE, host, w->notes.n);
    struct note *n = LIST_ADD(w->notes);
    *n = (struct note){.t_us = w->now, .host = (int8_t)host, .text = strdup(text)};
}

/* --- hosts ----------------------------------------------------------------------------------- */

static int boot(struct world *w, int i)
{
    struct host *h = &w->host[i];
    tern_config config = h->config;
    for (size_t n = 0; n < sizeof config.seed; n++)
        config.seed[n] = (uint8_t)rng_next(&w->rng);
    config.trace = h->ring;
    config.trace_records = RING_RECORDS;
    int error = tern_create(&h->stack, &config, h->memory, ARENA_BYTES);
    if (error < 0)
        return error;
    tern_tick(h->stack, w->now);
    tern_link_info info = {.mtu = 1500};
    int link = tern_link_add(h->stack, &info);
    return link < 0 ? link : tern_addr_add(h->stack, link, &h->ip, tern_ip_is4(&h->ip) ? 0 : 1);
}

static int host_init(struct world *w, int i, const struct world_setup *setup)
{
    struct host *h = &w->host[i];
    h->name = i == A ? "A" : "B";
    h->config = setup->stack[i];
    h->ip = tern_ip4(192, 0, 2, (uint8_t)(i + 1));
    if (setup->ip6)
        h->ip = (tern_ip){{0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(i + 1)}};
    if (setup->raw[i])
        return 0;
    h->memory = aligned_alloc(64, ARENA_BYTES);
    h->ring = calloc(RING_RECORDS, sizeof(tern_trace_record));
    return boot(w, i);
}

int world_init(struct world *w, const struct world_setup *setup)
{
    memset(w, 0, sizeof *w);
    w->rng.s = setup->seed;
    w->watch = setup->watch;
    w->now = w->start_us = setup->start_us ? setup->start_us : 1000000;
    w->first = (int)(rng_next(&w->rng) & 1);
    int error = 0;
    for (int i = 0; i < HOSTS; i++) {
        w->delay_us[i] = rng_range(&w->rng, DELAY_MIN_US, DELAY_MAX_US);
        int result = host_init(w, i, setup);
        if (result >= 0 && setup->lends && !setup->raw[i])
            result = lend_begin(w, i);
        error = result < 0 ? result : error;
    }
    return error;
}

int world_crash(struct world *w, int host)
{
    tern_destroy(w->host[host].stack);
    world_log(w, LOG_CRASH, host, 0);
    for (uint32_t i = 0; i < w->ends.n; i++)
        if (w->ends.v[i]->host == host)
            w->ends.v[i]->released = true;
    bool lends = w->host[host].lender != NULL;
    lend_free(&w->host[host]);
    int error = boot(w, host);
    return error >= 0 && lends ? lend_begin(w, host) : error;
}

void world_cut(struct world *w, int host, bool cut)
{
    w->host[host].cut = cut;
}

static void host_free(struct host *h)
{
    if (h->stack != NULL)
        tern_destroy(h->stack);
    lend_free(h);
    free(h->memory);
    free(h->spare);
    free(h->ring);
}

void world_free(struct world *w)
{
    for (int i = 0; i < HOSTS; i++)
        host_free(&w->host[i]);
    for (uint32_t i = 0; i < w->wire.n; i++)
        free(w->wire.v[i].bytes);
    for (uint32_t i = 0; i < w->calls.n; i++)
        free(w->calls.v[i].bytes);
    for (uint32_t i = 0; i < w->notes.n; i++)
        free(w->notes.v[i].text);
    for (uint32_t i = 0; i < w->ends.n; i++)
        prog_free(w->ends.v[i]);
    explain_free(w);
    free(w->wire.v);
    free(w->calls.v);
    free(w->states.v);
    free(w->notes.v);
    free(w->log.v);
    free(w->faults.v);
    free(w->under_way.v);
    free(w->ends.v);
    memset(w, 0, sizeof *w);
}

/* --- what a stack says ----------------------------------------------------------------------- */

static void collect_state(struct world *w, int host, const tern_trace_record *r)
{
    world_log(w, LOG_STATE, host, w->states.n);
    struct state_change *s = LIST_ADD(w->states);
    *s = (struct state_change){
        .t_us = r->t_us,
        .local = {.ip = r->local, .port = r->local_port},
        .remote = {.ip = r->remote, .port = r->remote_port},
        .iss = r->iss,
        .irs = r->irs,
        .host = (int8_t)host,
        .from = r->state,
        .to = r->state_to,
        .cause = r->cause,
    };
}

/* Takes the trace. The last SEG_OUT record, when there is one, is left in `out`: the packet just sent. */
static bool collect_trace(struct world *w, int host, tern_trace_record *out)
{
    tern_trace_record records[64];
    bool sent = false;
    int n;
    while ((n = tern_trace_take(w->host[host].stack, records, 64, NULL)) > 0)
        for (int i = 0; i < n; i++) {
            explain_record(w, &records[i]);
            if (records[i].kind == TERN_TRACE_STATE)
                collect_state(w, host, &records[i]);
            if (records[i].kind == TERN_TRACE_SEG_OUT) {
                *out = records[i];
                sent = true;
            }
        }
    return sent;
}

static void collect_events(struct world *w, int host)
{
    tern_event events[16];
    int n;
    while ((n = tern_events(w->host[host].stack, events, 16)) > 0)
        for (int i = 0; i < n; i++)
            prog_told(w, host, &events[i]);
}

void world_collect(struct world *w, int host)
{
    tern_trace_record ignored;
    collect_trace(w, host, &ignored);
    explain_between(w, host);
    lend_collect(w, host);
    collect_events(w, host);
}

/* --- the clock ------------------------------------------------------------------------------- */

static int in_turn(const struct world *w, int k)
{
    return (w->first + k) % HOSTS;
}

static void send_one(struct world *w, int host, const tern_tx_packet *pkt)
{
    uint8_t bytes[PACKET_MAX];
    tern_trace_record out;
    uint32_t len = tern_tx_flatten(pkt, bytes);
    struct wire *p = path_send(w, host, bytes, len);
    uint32_t index = (uint32_t)(p - w->wire.v);
    if (collect_trace(w, host, &out)) {
        w->wire.v[index].why = out.cause;
        w->wire.v[index].again = (uint8_t)out.a;
    }
    explain_sent(w, host, index);
}

static void flush(struct world *w)
{
    static const tern_tx_packet nothing;
    for (int k = 0; k < HOSTS; k++) {
        int host = in_turn(w, k);
        tern_tx_packet pkt = nothing;
        while (w->host[host].stack != NULL && tern_tx(w->host[host].stack, w->now, &pkt, 1) == 1)
            send_one(w, host, &pkt);
        if (w->host[host].stack != NULL)
            world_collect(w, host);
    }
}

static void deliver(struct world *w)
{
    struct wire *p = path_take(w);
    if (p->fate != ARRIVED || w->host[p->to].stack == NULL)
        return;
    int host = p->to;
    uint32_t index = (uint32_t)(p - w->wire.v);
    tern_trace_record ignored;
    tern_rx_packet rx = {.data = p->bytes, .len = p->len, .link = 1};
    lend_place(w, host, &rx);
    tern_rx(w->host[host].stack, w->now, &rx, 1);
    w->wire.v[index].refused = rx.cause;
    collect_trace(w, host, &ignored);
    explain_received(w, index, &rx);
    lend_seen(w, host, &rx);
    lend_collect(w, host);
    collect_events(w, host);
}

static uint64_t deadline(const struct world *w)
{
    uint64_t next = NEVER;
    for (int i = 0; i < HOSTS; i++) {
        uint64_t t = w->host[i].stack ? tern_next_deadline(w->host[i].stack) : NEVER;
        next = t < next ? t : next;
    }
    return next;
}

/* Move the clock, for everybody. Timers that are due run. */
static void tick(struct world *w, uint64_t now)
{
    w->now = now > w->now ? now : w->now;
    for (int k = 0; k < HOSTS; k++) {
        int host = in_turn(w, k);
        if (w->host[host].stack == NULL)
            continue;
        tern_tick(w->host[host].stack, w->now);
        world_collect(w, host);
    }
}

/* A stack whose deadline never moves on would keep the world in one moment for ever. */
static bool is_stuck(struct world *w, bool moved)
{
    w->idle_steps = moved ? 0 : w->idle_steps + 1;
    w->stuck |= w->idle_steps > IDLE_STEPS;
    return w->stuck;
}

static void look(struct world *w)
{
    if (w->watch.look != NULL)
        w->watch.look(w, w->watch.ctx);
}

bool world_step(struct world *w, uint64_t limit)
{
    flush(w);
    look(w);
    uint64_t arrival = path_next(w), timer = deadline(w);
    uint64_t next = arrival < timer ? arrival : timer;
    if (next == NEVER || next > limit || is_stuck(w, next > w->now || arrival <= timer)) {
        if (limit != NEVER)
            tick(w, limit);
        return false;
    }
    tick(w, next);
    if (arrival <= timer)
        deliver(w);
    look(w);
    return true;
}

void world_run(struct world *w, uint64_t us)
{
    uint64_t end = w->now + us;
    while (world_step(w, end))
        ;
    flush(w);
}

bool world_until(struct world *w, bool (*done)(void *ctx), void *ctx, uint64_t us)
{
    uint64_t end = w->now + us;
    while (!done(ctx)) {
        flush(w);
        if (done(ctx))
            return true;
        if (!world_step(w, end))
            return done(ctx);
    }
    return true;
}

void world_settle(struct world *w)
{
    uint64_t quiet_since = w->now;
    uint32_t before;
    do {
        before = w->log.n;
        bool moved = world_step(w, quiet_since + QUIET_US);
        if (w->log.n > before)
            quiet_since = w->now;
        else if (!moved)
            return;
    } while (!w->stuck);
}
