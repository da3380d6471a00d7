/* sixteen.c - how much memory a small machine needs for sixteen connections: found by trying, on that
 * machine.
 *
 *     peer: sixteen clients  ── packets, a millisecond under way ──▶  chip: a server that sends back what it
 *     gets a stack with plenty of memory                                   a stack in a block of N bytes
 *
 * One trial: all sixteen connect at once and stay open; each client sends a request of 2 KiB and gets an
 * answer of 2 KiB, all at the same time; then all close, and nothing may be left. The smallest N that gets
 * through is what is looked for, and there are two:
 *
 *     shared  the server reads as soon as it can. The connections share the memory; when it is short,
 *     segments are
 *             dropped and come again.
 *     full    the server reads nothing before all has arrived: sixteen receive buffers full at once. What
 *             this takes is enough for everything, whatever the clients do.
 */
#include "ports/chip/chip.h"

#include <tern/event.h>
#include <tern/link.h>
#include <tern/socket.h>
#include <tern/stats.h>

enum {
    CONNECTIONS = 16,
    BYTES = 2048,             /* of each request, and of each answer */
    BUFFER = 2048,            /* send and receive buffer of the chip's connections */
    CHIP_PAGE = 1024,
    CHIP_MOST = 192 << 10,    /* no trial takes more */
    STEP = 1024,
    PEER_BLOCK = 1 << 20,
    MTU = 1500,
    ON_THE_WAY = 256,         /* packets */
    TURN_US = 1000,
    REST_US = 5000000,        /* all quiet, before the memory at rest is looked at */
    PATIENCE_US = 60000000,   /* of each step, virtual: then a trial has failed */
};

struct packet {
    uint16_t len;
    uint8_t to;
    uint8_t bytes[MTU];
};

enum { PEER, CHIP, SIDES };

struct trial {
    uint64_t now;
    uint64_t until;           /* of rested() */
    tern *stack[SIDES];
    tern_handle listener;
    tern_handle client[CONNECTIONS], server[CONNECTIONS];
    uint32_t accepted;
    struct side {
        uint32_t sent, got;
    } at[SIDES][CONNECTIONS]; /* bytes, by the programs of both sides */
    uint32_t wrong;           /* bytes that were not those that were sent */
    tern_live idle, most;     /* of the chip: at rest with all connections open; the most of everything */
    tern_stats stats;         /* of the chip, at the end */
};

static _Alignas(16) uint8_t chip_block[CHIP_MOST], peer_block[PEER_BLOCK];
static struct packet way[ON_THE_WAY];
static uint32_t way_head, way_count;

/* --- the two stacks and what is between them ---------------------------------------------------- */

static tern *make_stack(void *block, size_t size, const tern_config *config, uint8_t host)
{
    tern *t;
    tern_ip ip = tern_ip4(192, 0, 2, host);
    if (tern_create(&t, config, block, size) < 0)
        return NULL;
    int link = tern_link_add(t, &(tern_link_info){.mtu = MTU});
    return tern_addr_add(t, link, &ip, 24) < 0 ? NULL : t;
}

static const tern_config chip_config = {
    .seed = {1},
    .page_size = CHIP_PAGE,
    .send_buffer = BUFFER,
    .recv_buffer = BUFFER,
};

static bool make(struct trial *t, size_t size)
{
    static const tern_config peer_config = {.seed = {2}};
    const tern_endpoint local = {.port = 7};
    *t = (struct trial){0};
    way_count = 0;
    t->stack[CHIP] = make_stack(chip_block, size, &chip_config, 1);
    t->stack[PEER] = make_stack(peer_block, sizeof peer_block, &peer_config, 2);
    return t->stack[CHIP] != NULL && t->stack[PEER] != NULL &&
           tern_listen(t->stack[CHIP], &local, CONNECTIONS, &t->listener) == 0;
}

static void leave(struct trial *t, int side)
{
    tern_tx_packet out;
    while (way_count < ON_THE_WAY && tern_tx(t->stack[side], t->now, &out, 1) == 1) {
        struct packet *p = &way[(way_head + way_count++) % ON_THE_WAY];
        p->len = (uint16_t)tern_tx_flatten(&out, p->bytes);
        p->to = (uint8_t)!side;
    }
}

static void arrive(struct trial *t)
{
    for (; way_count > 0; way_count--, way_head = (way_head + 1) % ON_THE_WAY) {
        const struct packet *p = &way[way_head];
        tern_rx_packet in = {.data = p->bytes, .len = p->len, .link = 1};
        tern_rx(t->stack[p->to], t->now, &in, 1);
    }
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The programs look at all connections in each turn, so they only let the stacks know that they have heard: a
 * connection rests when its program has. */
static void hear(struct trial *t)
{
    tern_event events[8];
    for (int side = 0; side < SIDES; side++)
        while (tern_events(t->stack[side], events, 8) == 8)
            continue;
}

/* The next millisecond, or the next timer when nothing is under way. */
static void pass_time(struct trial *t)
{
    uint64_t next = least(tern_next_deadline(t->stack[CHIP]), tern_next_deadline(t->stack[PEER]));
    t->now = way_count == 0 && next != UINT64_MAX && next > t->now + TURN_US ? next : t->now + TURN_US;
    tern_tick(t->stack[CHIP], t->now);
    tern_tick(t->stack[PEER], t->now);
    arrive(t);
    hear(t);
}

static uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

static void note_most(struct trial *t)
{
    tern_live live;
    tern_get_live(t->stack[CHIP], &live);
    t->most.halfopen = most(t->most.halfopen, live.halfopen);
    t->most.tcbs = most(t->most.tcbs, live.tcbs);
    t->most.chunks = most(t->most.chunks, live.chunks);
    t->most.sendrecs = most(t->most.sendrecs, live.sendrecs);
    t->most.arena_used = live.arena_used;
}

/* --- the programs ------------------------------------------------------------------------------- */

/* Byte `at` of what the program of a side sends on its connection `i`. */
static uint8_t byte_of(int side, uint32_t i, uint32_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) + i * 31 + (uint32_t)side * 101);
}

static void send_some(struct trial *t, int side, uint32_t i, tern_handle h)
{
    uint8_t bytes[64];
    uint32_t *sent = &t->at[side][i].sent;
    for (long taken = 1; taken > 0 && *sent < BYTES; *sent += taken > 0 ? (uint32_t)taken : 0) {
        uint32_t n = (uint32_t)least(sizeof bytes, BYTES - *sent);
        for (uint32_t k = 0; k < n; k++)
            bytes[k] = byte_of(side, i, *sent + k);
        taken = tern_send(t->stack[side], h, bytes, n, 0);
    }
}

static void read_some(struct trial *t, int side, uint32_t i, tern_handle h)
{
    uint8_t bytes[64];
    uint32_t *got = &t->at[side][i].got;
    for (long n; (n = tern_recv(t->stack[side], h, bytes, sizeof bytes)) > 0; *got += (uint32_t)n)
        for (long k = 0; k < n; k++)
            t->wrong += bytes[k] != byte_of(!side, i, *got + (uint32_t)k);
}

/* --- one trial ---------------------------------------------------------------------------------- */

static bool in_state(const tern *t, tern_handle h, enum tern_state state)
{
    tern_info info;
    return tern_get_info(t, h, &info) == 0 && info.state == state;
}

static uint16_t port_of(const tern *t, tern_handle h, bool remote)
{
    tern_info info;
    return tern_get_info(t, h, &info) < 0 ? 0 : remote ? info.remote.port : info.local.port;
}

/* They need not come in the order in which the clients have asked. */
static void take_in(struct trial *t, tern_handle h)
{
    uint16_t port = port_of(t->stack[CHIP], h, true);
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        if (port_of(t->stack[PEER], t->client[i], false) == port)
            t->server[i] = h;
    t->accepted++;
}

static bool all_open(struct trial *t)
{
    tern_handle h;
    while (tern_accept(t->stack[CHIP], t->listener, &h) == 0)
        take_in(t, h);
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        if (!in_state(t->stack[PEER], t->client[i], TERN_ESTABLISHED))
            return false;
    return t->accepted == CONNECTIONS;
}

static bool all_arrived(struct trial *t)
{
    tern_info info;
    bool all = true;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        send_some(t, PEER, i, t->client[i]);
        all &= tern_get_info(t->stack[CHIP], t->server[i], &info) == 0 && info.recv_queue == BYTES;
    }
    return all;
}

/* The server answers when it has the whole request. */
static bool all_answered(struct trial *t)
{
    bool done = true;
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        send_some(t, PEER, i, t->client[i]);
        read_some(t, CHIP, i, t->server[i]);
        if (t->at[CHIP][i].got == BYTES)
            send_some(t, CHIP, i, t->server[i]);
        read_some(t, PEER, i, t->client[i]);
        done &= t->at[PEER][i].got == BYTES;
    }
    return done;
}

/* The server closes when it has read the end. */
static bool all_gone(struct trial *t)
{
    tern_live live;
    uint8_t byte;
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        if (tern_recv(t->stack[CHIP], t->server[i], &byte, 1) == 0)
            tern_close(t->stack[CHIP], t->server[i]);
    tern_get_live(t->stack[CHIP], &live);
    return live.tcbs == 0 && live.halfopen == 0 && live.timewait == 0 && live.chunks == 0 &&
           live.sendrecs == 0;
}

/* Turns until `done`; false: it never comes. */
static bool turn_until(struct trial *t, bool (*done)(struct trial *t))
{
    uint64_t end = t->now + PATIENCE_US;
    while (t->now < end) {
        bool is = done(t);
        leave(t, CHIP);
        leave(t, PEER);
        note_most(t);
        if (is)
            return true;
        pass_time(t);
    }
    return false;
}

static bool rested(struct trial *t) { return t->now >= t->until; }

static bool connect_all(struct trial *t)
{
    const tern_endpoint chip = {.ip = tern_ip4(192, 0, 2, 1), .port = 7};
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        if (tern_connect(t->stack[PEER], NULL, &chip, &t->client[i]) < 0)
            return false;
    return true;
}

/* The clients close first, so TIME_WAIT is theirs. */
static void clients_close(struct trial *t)
{
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        tern_close(t->stack[PEER], t->client[i]);
}

static bool trial_holds(struct trial *t, size_t size, bool full)
{
    bool held = make(t, size) && connect_all(t) && turn_until(t, all_open);
    t->until = t->now + REST_US;
    held = held && turn_until(t, rested);
    if (held)
        tern_get_live(t->stack[CHIP], &t->idle);
    held = held && (!full || turn_until(t, all_arrived));
    held = held && turn_until(t, all_answered) && t->wrong == 0;
    if (held) {
        clients_close(t);
        held = turn_until(t, all_gone);
    }
    if (t->stack[CHIP] != NULL)
        tern_get_stats(t->stack[CHIP], &t->stats);
    return held;
}

/* --- the answer --------------------------------------------------------------------------------- */

static void say_number(const char *what, uint64_t value)
{
    char digits[21];
    uint32_t at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    chip_say(what);
    chip_say(" ");
    chip_say(digits + at);
    chip_say("\n");
}

static void say_trial(const struct trial *t, size_t size)
{
    say_number("block", size);
    say_number("at-rest", t->idle.arena_used - t->idle.arena_free);
    say_number("used", t->most.arena_used);
    say_number("halfopen", t->most.halfopen);
    say_number("chunks", t->most.chunks);
    say_number("refused", t->stats.no_memory);
    say_number("retransmits", t->stats.retransmits);
}

static bool smallest(const char *mode, bool full)
{
    static struct trial t;
    for (size_t size = tern_min_size(&chip_config); size <= CHIP_MOST; size += STEP)
        if (trial_holds(&t, size, full)) {
            chip_say(mode);
            chip_say("\n");
            say_trial(&t, size);
            return true;
        }
    return false;
}

int chip_main(void)
{
    say_number("page", CHIP_PAGE);
    bool found = smallest("shared", false) && smallest("full", true);
    say_number("stack", chip_stack_used());
    return found ? 0 : 1;
}
