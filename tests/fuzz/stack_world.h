/* The world of fuzz_stack.c and fuzz_twin.c: two whole stacks and an attacker between them. The input
 * (stack_forge.h) is a program: calls, packets that are carried, lost, doubled, swapped or changed, segments
 * forged from the numbers of live records, ICMP about them, fragments, jumps of the clock, allocations that
 * fail.
 *
 *   A (10.0.0.1, 2001:db8::1) ◀── wire[1] ── wire[0] ──▶ B (10.0.0.2, 2001:db8::2)
 *                                  ▲ forged packets, also of strangers
 *
 * After some steps, and at the end: every invariant of check.c. Of every packet that leaves: it can be
 * parsed, it is not larger than the link bears, its window has not moved back. As long as nothing was forged,
 * the bytes that are read are those that were written. At the end everything is closed, all timers run out,
 * and nothing is left alive.
 */
#ifndef FUZZ_STACK_WORLD_H
#define FUZZ_STACK_WORLD_H

#include "fuzz/stack_attack.h"
#include "fuzz/stack_calls.h"
#include "fuzz/stack_listen.h"

#include <tern/snapshot.h>

/* --- time ----------------------------------------------------------------------------------------- */

static void tick_both(uint64_t now)
{
    z.now = now;
    tern_tick(z.side[0].t, now);
    tern_tick(z.side[1].t, now);
}

static uint64_t next_of_both(void)
{
    return min_u64(tern_next_deadline(z.side[0].t), tern_next_deadline(z.side[1].t));
}

/* To a time, by way of every deadline before it, as a program does that keeps its promise. A run in which
 * that takes very long is given up. */
static void wait_until(uint64_t until)
{
    int rounds = 0, standing = 0;
    for (; rounds < 3000; rounds++) {
        transmit_all(&z.side[0]);
        transmit_all(&z.side[1]);
        uint64_t next = next_of_both();
        standing = next <= z.now ? standing + 1 : 0;
        if (next >= until || standing > 20)
            break;
        tick_both(max_u64(next, z.now));
    }
    z.given_up |= rounds == 3000 || standing > 20;
    tick_both(until);
}

static void op_time(void)
{
    static const uint64_t jumps[] = {1000, 40000, 200000, 1000000, 5000000, 61000000, 400000000, 86400000000};
    uint32_t v = u8();
    uint64_t next = next_of_both(), until = z.now;
    if (v < 128 && next != UINT64_MAX && next > z.now)
        until = next;
    else if (v >= 128)
        until += jumps[v & 7] + (v & 8 ? u8() : 0);
    if (z.mode.patient)
        wait_until(z.now + jumps[v % 7]);
    else
        tick_both(until);
}

/* --- on its way ------------------------------------------------------------------------------------ */

/* All goes its way for a while. */
static void op_pump(void)
{
    for (uint32_t rounds = 1 + u8() % 8; rounds > 0; rounds--)
        for (int i = 0; i < 2; i++) {
            if (z.mode.sorted)
                transmit_all(&z.side[i]);
            while (z.side[i].n_wire < WIRE - 8 && transmit(&z.side[i], 8) > 0)
                ;
            while (z.side[i].n_wire > 0)
                deliver(&z.side[i], 8);
        }
}

static void op_transmit(void)
{
    struct side *s = a_side();
    uint32_t n = u8() & 7;
    if (z.mode.sorted)
        transmit_all(s);
    else
        transmit(s, (int)n);
}

static void op_deliver(void)
{
    struct side *s = a_side();
    deliver(s, (int)(u8() & 7));
}

static void op_fail(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    if (z.mode.no_failures)
        return;
    s->t->a->fail_after = v % 12;
    s->t->a->fail_more = v >> 6 == 3 ? v & 31 : 0;
}

/* --- what is around ------------------------------------------------------------------------------- */

/* An address goes: with it TIME_WAIT, which kept old packets from new connections. */
static void remove_address(struct side *s, const tern_ip *ip)
{
    int e = tern_addr_remove(s->t, u8() & 1, ip);
    ASSERT(e == 0 || e == -TERN_ENOENT);
    z.forged = true;
}

static void set_mtu(struct side *s)
{
    static const uint16_t mtus[] = {576, 1280, 1400, 1500, 9000};
    tern_link_info info = {.mtu = mtus[u8() % ARRAY_LEN(mtus)], .gso_max = s->gso_max};
    if (z.mode.cut)
        return; /* what is in flight is repeated by its records, and a super-segment is one */
    int e = tern_link_set(s->t, 1, &info);
    ASSERT(e == 0 || (e == -TERN_EINVAL && info.mtu < 1280));
    if (e == 0)
        s->mtu = info.mtu;
}

/* A second link. What moves there while the other side has none is lost. */
static void second_link(struct side *s, bool there)
{
    tern_link_info info = {.mtu = s->mtu};
    tern_ip ll = link_local(s);
    if (!there) {
        int e = tern_link_remove(s->t, 2);
        ASSERT(e == 0 || e == -TERN_ENODEV);
    } else if (tern_link_add(s->t, &info) == 2) {
        ASSERT(tern_addr_add(s->t, 2, &ll, 64) == (info.mtu < 1280 ? -TERN_EINVAL : 0));
    }
}

/* Addresses, routes and links change under everything. */
static void op_net(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    const tern_ip *ip = v & 8 ? &s->ip6 : &s->ip4;
    tern_ip any = v & 8 ? (tern_ip){{0}} : tern_ip4(0, 0, 0, 0);
    int len = v & 8 ? 64 : 24;
    SAY("  net %02x\n", v);
    switch (v & 7) {
    case 0: remove_address(s, ip); break;
    case 1: tern_addr_add(s->t, 1, ip, len); break;
    case 2: ASSERT(tern_link_up(s->t, 1, v & 16) == 0); break;
    case 3: ASSERT(tern_link_up(s->t, 1, true) == 0); break;
    case 4: set_mtu(s); break;
    case 5: second_link(s, v & 16); break;
    case 6: (v & 16 ? tern_route_add : tern_route_remove)(s->t, v & 32 ? 2 : 1, &any, 0); break;
    case 7: tern_route_replace(s->t, v & 32 ? 2 : 1, ip, len); break;
    }
    tcp_check_all(s->t);
}

/* --- another place -------------------------------------------------------------------------------- */

/* By an image that need not be aligned, or doubled; into the block that is free. */
static int carry(struct side *s, uint32_t how, bool foreign)
{
    static uint8_t image[BLOCK_PLENTY + BLOCK];
    size_t need, len = tern_snapshot_size(s->t), off = how >> 1 & 7;
    if (how & 1)
        return tern_clone(&s->t, s->t, spare, s->size, s->ring, s->ring != NULL ? RING : 0);
    ASSERT(len <= sizeof image - 8 && tern_snapshot(s->t, image + off, len) == 0);
    ASSERT(tern_restore_size(image + off, len, &need) == 0 && (need <= s->size || foreign));
    if (need > s->size)
        return -TERN_ENOMEM;
    return tern_restore(&s->t, image + off, len, spare, need, s->ring, s->ring != NULL ? RING : 0);
}

/* A stack is written down, or doubled, and goes on elsewhere; where it was nothing is left. */
static void move(struct side *s, uint32_t how)
{
    uint8_t *from = s->block;
    bool foreign = lent_next(s->t->a, 0) != 0; /* then it grows, and that may be too much */
    uint64_t before[2], after[2];
    cover_side(s);
    tern_digest(s->t, before);
    int e = carry(s, how, foreign);
    ASSERT(e == 0 || (e == -TERN_ENOMEM && foreign));
    if (e < 0)
        return;
    tern_digest(s->t, after);
    ASSERT(foreign || memcmp(before, after, sizeof before) == 0);
    lender_moved(s->t, &s->lender);
    memset(from, 0xdb, s->size < BLOCK ? s->size : BLOCK);
    s->block = spare;
    spare = from;
}

static void op_move(void)
{
    struct side *s = a_side();
    uint32_t how = u8();
    if (!z.mode.no_moves)
        move(s, how);
}

static const struct {
    const char *name;
    void (*run)(void);
} ops[] = {
    {"connect", op_connect}, {"listen", op_listen},       {"accept", op_accept}, {"send", op_send},
    {"lend", op_lend},       {"recv", op_recv},           {"peek", op_peek},     {"end", op_end},
    {"option", op_option},   {"handle", op_handle},       {"look", op_look},     {"time", op_time},
    {"pump", op_pump},       {"transmit", op_transmit},   {"deliver", op_deliver}, {"fail", op_fail},
    {"wire", op_wire},       {"change", op_change},       {"raw", op_raw},       {"fragments", op_fragments},
    {"compact", op_compact}, {"forge", op_forge},         {"pass", op_pass},     {"stranger", op_stranger},
    {"third", op_third},     {"late", op_late},           {"icmp", op_icmp},     {"echo", op_echo},
    {"time", op_time},       {"net", op_net},             {"move", op_move},     {"decide", op_decide},
};

/* --- beginning and end -------------------------------------------------------------------------- */

static bool begin_side(int i, uint32_t a, uint32_t b)
{
    struct side *s = &z.side[i];
    static const uint32_t buffers[] = {0, 1024, 3000, 65536};
    tern_config cfg = {
        .page_size = a & 1 ? 2048 : 4096,
        .msl_ms = a & 2 ? 1 : 0,
        .send_buffer = buffers[a >> 2 & 3],
        .recv_buffer = buffers[a >> 4 & 3],
        .ecn = (uint8_t)(a >> 6 == 3 ? TERN_ECN_ON : 0),
        .no_timestamps = b & 1,
        .no_wscale = (b & 6) == 6,
        .no_sack = (b & 24) == 24,
        .synack_retries = 2,
        .rest_ms = (b & 6) == 4 ? 1 : 0,
        .time_wait_max = (b & 24) == 16 ? 2 : 0,
        .port_low = 40000,
        .port_high = (b & 24) == 8 ? 40003 : 49999,
        .seed = {(uint8_t)i},
        .trace = z.mode.traced ? rings[i] : NULL,
        .trace_records = z.mode.traced ? RING : 0,
    };
    size_t size = z.mode.no_failures ? BLOCK_PLENTY : BLOCK;
    if (z.mode.rest_ms != 0)
        cfg.rest_ms = z.mode.rest_ms;
    if (z.mode.no_failures)
        cfg.budget = 0;
    else if (b & 32)
        size = tern_min_size(&cfg) + (b >> 6) * 65536u;
    else if ((b & 24) == 16)
        cfg.budget = tern_min_size(&cfg) + (a & 63) * 2048u;
    s->block = blocks[i];
    s->size = size;
    s->ring = cfg.trace;
    spare = blocks[2];
    if (z.mode.fill != 0)
        memset(s->block, z.mode.fill, size);
    if (tern_create(&s->t, &cfg, s->block, size) != 0)
        return false;
    s->t->w->by_steps = z.mode.by_steps;
    s->mtu = 1500;
    s->gso_max = (b & 128) && !z.mode.no_gso ? 65000 : 0;
    tern_link_info info = {.mtu = s->mtu, .gso_max = s->gso_max, .tx_csum = b & 64};
    s->ip4 = tern_ip4(10, 0, 0, (uint8_t)(i + 1));
    s->ip6 = (tern_ip){{0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(i + 1)}};
    tern_tick(s->t, z.now);
    return tern_link_add(s->t, &info) == 1 && tern_addr_add(s->t, 1, &s->ip4, 24) == 0 &&
           tern_addr_add(s->t, 1, &s->ip6, 64) == 0 && lender_begin(s->t, &s->lender);
}

static void empty_wire(struct side *s)
{
    while (s->n_wire > 0)
        free(wire_take(s, 0).bytes);
}

static void drain(struct side *s)
{
    int rounds = 0;
    while (transmit(s, 8) > 0) {
        empty_wire(s);
        ASSERT(++rounds < 10000);
    }
    empty_wire(s);
    tcp_check_all(s->t);
    ASSERT(tern_next_deadline(s->t) != 0);
}

static void end_side(struct side *s)
{
    s->t->a->fail_after = s->t->a->fail_more = 0;
    for (int i = 0; i < HANDLES; i++)
        if (s->held[i].h.v != 0)
            ASSERT(((i & 1) ? tern_abort : tern_close)(s->t, s->held[i].h) == 0);
    if (s->chunk.v != 0)
        ASSERT(tern_drop(s->t, s->chunk) == 0);
    drain(s);
    uint64_t now = z.now, next;
    for (int rounds = 0; (next = tern_next_deadline(s->t)) != UINT64_MAX; rounds++) {
        ASSERT(rounds < 20000);
        now = max_u64(now, next);
        tern_tick(s->t, now);
        z.now = now;
        drain(s);
    }
    lender_fetch(s->t, &s->lender);
    tern_live v;
    tern_get_live(s->t, &v);
    ASSERT(!v.pieces && !v.lent && !v.returned && !v.kept && !v.taken);
    ASSERT(!v.listeners && !v.halfopen && !v.tcbs && !v.timewait);
    ASSERT(!v.chunks && !v.sendrecs && !v.ranges && !v.timers && !v.fragments && !v.replies);
    ASSERT(s->t->w->conns.count == 0 && s->t->w->ready.head == 0 && s->t->w->events.head == 0);
    cover_side(s);
}

/* All that both stacks know. */
static void see_digests(void)
{
    uint64_t d[2];
    for (int i = 0; i < 2; i++) {
        tern_digest(z.side[i].t, d);
        see(d[0]);
        see(d[1]);
    }
}

/* --- a run ------------------------------------------------------------------------------------------ */

static void do_step(uint32_t op)
{
    SAY("%d %s\n", z.seen.steps, ops[op].name);
    ops[op].run();
    for (int k = 0; k < 2; k++) {
        struct side *s = &z.side[k];
        if (z.mode.moves != 0 && (z.seen.steps + k) % z.mode.moves == 0)
            move(s, (uint32_t)z.seen.steps);
        if (z.loud || z.seen.steps % CHECK_EVERY == 0)
            tcp_check_all(s->t); /* takes longer than most steps; who looks for the step asks for all */
        lender_fetch(s->t, &s->lender);
        cover_side(s);
    }
    if (z.mode.digests)
        see_digests();
    z.seen.after[z.seen.steps++] = z.seen.all;
}

static void end_run(void)
{
    uint64_t now = z.now;
    tcp_check_all(z.side[0].t);
    tcp_check_all(z.side[1].t);
    end_side(&z.side[0]);
    z.now = now;
    end_side(&z.side[1]);
    empty_wire(&z.side[0]);
    empty_wire(&z.side[1]);
    z.seen.after[z.seen.steps++] = z.seen.all;
}

/* Play an input; z.seen is what could be seen. False: it is none. */
static bool play(const uint8_t *data, size_t size, const struct mode *mode)
{
    if (size < 6)
        return false;
    memset(&z, 0, sizeof z);
    z.mode = *mode;
    z.now = 1000000;
    z.loud = getenv("FUZZ_STACK_TRACE") != NULL;
    if (!begin_side(0, data[0], data[1]) || !begin_side(1, data[2], data[3]))
        return false;
    const uint8_t *at = data + 4, *end = data + size;
    while (z.seen.steps < STEPS && at < end)
        do_step(next_step(at, end, &at) % ARRAY_LEN(ops));
    end_run();
    return true;
}

#endif
