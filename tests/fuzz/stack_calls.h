/* Operations of fuzz_stack.c: what a program calls. */
#ifndef FUZZ_STACK_CALLS_H
#define FUZZ_STACK_CALLS_H

#include "fuzz/stack_attack.h"

static void op_connect(void)
{
    struct side *s = a_side();
    struct held *x = free_held(s);
    uint32_t v = u8();
    bool v6 = v & 1;
    tern_endpoint to = {.ip = v6 ? other(s)->ip6 : other(s)->ip4, .port = (uint16_t)(80 + (v >> 1) % 3)};
    if ((v & 0xe0) == 0xe0)
        to.ip = a_stranger(s, v6);
    if ((v & 0xe0) == 0xc0)
        to.ip = link_local(other(s)), to.zone = 2;
    tern_endpoint from = {.port = (uint16_t)((v & 0x18) == 0x18 ? 80 + v % 3 : 0)};
    if (x == NULL)
        return;
    *x = (struct held){0};
    int e = tern_connect(s->t, &from, &to, &x->h);
    see((uint64_t)e);
    SAY("  connect %d\n", e);
    if (e < 0)
        x->h.v = 0;
}

/* A buffer was full: what then waits to fill a packet (decide.c, waits_for_more) is less than one, and with
 * super-segments a packet is more. */
static void was_refused(void)
{
    if (z.mode.cut)
        z.given_up = true;
}

static void op_send(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    static uint8_t buf[8192];
    uint32_t v = u8(), n = v < 128 ? v : (v - 127) * 64;
    for (uint32_t i = 0; i < n; i++)
        buf[i] = byte_at(x->wrote + i);
    uint32_t f = u8();
    long got = tern_send(s->t, x->h, buf, n, f > 224 ? f & 3 : 0);
    ASSERT(got <= (long)n);
    x->wrote += got > 0 ? (uint64_t)got : 0;
    if (got == -TERN_EAGAIN || (got >= 0 && got < (long)n))
        was_refused();
    see((uint64_t)got);
    SAY("  send %u -> %ld\n", n, got);
}

/* The same from where it lies. */
static void op_lend(void)
{
    struct side *s = a_side();
    struct lender *l = &s->lender;
    struct held *x = a_held(s);
    uint32_t v = u8(), n = 1 + (v < 64 ? v : (v - 63) * 15);
    int slot = z.mode.no_lending ? -1 : slot_take(l->tx_out, TX_SLOTS);
    if (slot < 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        l->tx[slot * TX_SLOT + (int)i] = byte_at(x->wrote + i);
    uint64_t at = (uint64_t)slot * TX_SLOT;
    long got = tern_lend(s->t, x->h, l->tx_region, at, n, (uint64_t)slot, v & 1 ? TERN_MORE : 0);
    ASSERT(got != 0 && got <= (long)n);
    if (got < 0)
        slot_back(l->tx, TX_SLOT, l->tx_out, (uint64_t)slot);
    x->wrote += got > 0 ? (uint64_t)got : 0;
    see((uint64_t)got);
    SAY("  lend %u -> %ld\n", n, got);
}

/* Received bytes go on from connection to connection. */
static void op_pass(void)
{
    struct side *s = a_side();
    struct held *from = a_held(s), *to = a_held(s);
    uint32_t v = u8(), n = 1 + u8() * 40;
    long got;
    if (v % 4 == 0) {
        z.forged = true;
        got = tern_move(s->t, from->h, to->h, n, 0);
    } else if (s->chunk.v == 0) {
        got = tern_take(s->t, from->h, n, &s->chunk);
        from->read += got > 0 ? (uint64_t)got : 0;
    } else if (v % 4 == 1) {
        got = tern_drop(s->t, s->chunk);
        ASSERT(got == 0);
        s->chunk.v = 0;
    } else {
        z.forged = true;
        got = tern_send_chunk(s->t, to->h, s->chunk, v % 16, n, 0);
    }
    see((uint64_t)got);
    SAY("  pass %u %u -> %ld\n", v, n, got);
}

/* The link, or the program, wants its memory. */
static void op_compact(void)
{
    struct side *s = a_side();
    uint32_t v = u8();
    int region = v & 1 ? s->lender.rx_region : s->lender.tx_region;
    if (z.mode.no_lending)
        return;
    int e = tern_region_compact(s->t, region, v * 64);
    SAY("  compact %d\n", e);
}

static void was_read(struct held *x, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ASSERT(z.forged || p[i] == byte_at(x->read + i));
    see_bytes(p, n);
    x->read += n;
}

static void op_recv(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    static uint8_t buf[8192];
    uint32_t n = u8() * 32;
    long got = tern_recv(s->t, x->h, buf, n);
    ASSERT(got <= (long)n);
    if (got > 0)
        was_read(x, buf, (size_t)got);
    see((uint64_t)got);
    SAY("  recv %u -> %ld\n", n, got);
}

static void op_peek(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    tern_slice slices[4];
    int n = tern_peek(s->t, x->h, slices, 1 + (int)(u8() & 3));
    uint32_t part = u8(), used = 0;
    for (int i = 0; i < n; i++) {
        uint32_t k = slices[i].len * part / 255;
        if (k == 0)
            break;
        was_read(x, slices[i].data, k);
        used += k;
        if (k < slices[i].len)
            break;
    }
    if (n >= 0)
        ASSERT(tern_consume(s->t, x->h, used) == 0);
}

static void op_end(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    uint32_t v = u8();
    if (v % 4 < 2) {
        see((uint64_t)tern_shutdown(s->t, x->h));
        return;
    }
    int e = v % 4 == 2 ? tern_close(s->t, x->h) : tern_abort(s->t, x->h);
    see((uint64_t)e);
    ASSERT(e == 0 || x->h.v == 0);
    ASSERT(tern_close(s->t, x->h) == -TERN_EBADF);
    *x = (struct held){0};
}

static void op_option(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    uint32_t opt = u8() % (TERN_OPT_COOKIES + 2), got, v = u8();
    uint32_t value = v < 128 ? v : v < 192 ? u16() : u32();
    if (opt >= TERN_OPT_KEEPIDLE_MS && opt <= TERN_OPT_USER_TIMEOUT_MS)
        value = 500 + value % (1u << 20); /* the end of a run waits for it, and goes through all of it */
    int e = tern_setopt(s->t, x->h, (enum tern_option)opt, value);
    see((uint64_t)e);
    SAY("  setopt %u %u -> %d\n", opt, value, e);
    if (e == 0)
        ASSERT(tern_getopt(s->t, x->h, (enum tern_option)opt, &got) == 0 && got == value);
}

/* Any number as a handle: refused, or one that is held. */
static void op_handle(void)
{
    struct side *s = a_side();
    struct held *x = a_held(s);
    uint8_t buf[4] = {0};
    tern_slice slice;
    tern_info info;
    uint32_t value;
    uint32_t turned = u32();
    tern_handle h = {x->h.v ^ (uint64_t)turned << (u8() & 32)};
    for (int i = 0; i < HANDLES; i++)
        if (h.v == s->held[i].h.v)
            return;
    ASSERT(tern_send(s->t, h, buf, 1, 0) == -TERN_EBADF && tern_recv(s->t, h, buf, 1) == -TERN_EBADF);
    ASSERT(tern_peek(s->t, h, &slice, 1) == -TERN_EBADF && tern_consume(s->t, h, 0) == -TERN_EBADF);
    ASSERT(tern_shutdown(s->t, h) == -TERN_EBADF && tern_close(s->t, h) == -TERN_EBADF);
    ASSERT(tern_abort(s->t, h) == -TERN_EBADF && tern_get_info(s->t, h, &info) == -TERN_EBADF);
    ASSERT(tern_setopt(s->t, h, TERN_OPT_TTL, 1) == -TERN_EBADF && tern_accept(s->t, h, &h) == -TERN_EBADF);
    ASSERT(tern_getopt(s->t, h, TERN_OPT_TTL, &value) == -TERN_EBADF &&
           tern_set_data(s->t, h, 1) == -TERN_EBADF);
}

/* What an event says, in one number. */
static uint64_t event_told(struct side *s, const tern_event *e)
{
    tern_info info = {0};
    ASSERT(e->handle.v == 0 ? e->bits == TERN_RETURNED : tern_get_info(s->t, e->handle, &info) == 0);
    return e->handle.v == 0 ? e->bits : e->bits + ((info.state + 16ull * info.reason) << 32);
}

/* All events, as a set: what a change of a link ends is told in the order in which the records lie. */
static void look_at_all(struct side *s)
{
    tern_event e;
    uint64_t sum = 0;
    while (tern_events(s->t, &e, 1) == 1)
        sum += event_told(s, &e) * 0x9e3779b97f4a7c15u;
    see(sum);
}

static void op_look(void)
{
    struct side *s = a_side();
    tern_event events[3];
    tern_info info;
    int most = (int)(u8() & 3), n = z.mode.sorted ? 0 : tern_events(s->t, events, most);
    for (int i = 0; i < n; i++)
        see(event_told(s, &events[i]));
    if (z.mode.sorted && most > 0)
        look_at_all(s);
    for (uint32_t i = u8() & 7; i > 0; i--) {
        if (!tern_walk(s->t, &s->cursor, &info))
            s->cursor = 0;
        else
            ASSERT(info.state < TERN_STATES);
    }
}

#endif
