/* pair.c - see pair.h. */
#include "lab/pair.h"

#include "tcp/tcp.h"

#include <tern/host.h>

#define PERIOD 65521u /* prime: a stream that slips is seen */
#define PIECE  65536u

struct pair_packet {
    uint64_t at, order;
    uint8_t *bytes;
    uint32_t len;
    uint16_t gso_size;
    uint8_t to;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

static uint32_t draw(struct pair *p, uint32_t below)
{
    p->rng += 0x9E3779B97F4A7C15ull;
    return below ? (uint32_t)(mix(p->rng) % below) : 0;
}

static bool chance(struct pair *p, uint32_t ppm)
{
    return ppm && draw(p, 1000000) < ppm;
}

/* The bytes of a stream from a position on, PIECE at most: a period of pseudo-random bytes, written twice. */
static const uint8_t *stream(const struct pair *p, uint64_t pos)
{
    return p->bytes + pos % PERIOD;
}

void pair_fail(struct pair *p, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "\n# seed %llu, now %.3f s: ", (unsigned long long)p->cfg.seed, (double)p->now / 1e6);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    for (int i = 0; i < 2; i++) {
        const struct pair_end *e = &p->e[i];
        tern_info f;
        fprintf(stderr, "#   %c wrote %llu of %llu, read %llu, eof %d, error %ld", "AB"[i],
                (unsigned long long)e -> wrote, (unsigned long long)e -> to_write,
                (unsigned long long)e -> read, e -> eof, e -> error);
        if (e->h.v && tern_get_info(e->t, e->h, &f) == 0)
            fprintf(stderr,
                    "; %s, unacked %u, queued %u, cwnd %u, snd_wnd %u, rcv_wnd %u, timer %u at %.3f s",
                    tern_state_name(f.state), f.send_unacked, f.send_queue, f.cwnd, f.snd_wnd, f.rcv_wnd,
                    f.timer, (double)f.timer_us / 1e6);
        fprintf(stderr, "\n");
    }
    fail();
    abort();
}

/* --- the path: a heap of packets by time --- */

static bool before(const struct pair_packet *a, const struct pair_packet *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void heap_push(struct pair *p, struct pair_packet k)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 256;
        p->heap = realloc(p->heap, p->cap * sizeof(*p->heap));
        assert_non_null(p->heap);
    }
    size_t i = p->n++;
    for (; i > 0 && before(&k, &p->heap[(i - 1) / 2]); i = (i - 1) / 2)
        p->heap[i] = p->heap[(i - 1) / 2];
    p->heap[i] = k;
}

static struct pair_packet heap_pop(struct pair *p)
{
    struct pair_packet top = p->heap[0], last = p->heap[--p->n];
    size_t i = 0;
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= p->n)
            break;
        if (c + 1 < p->n && before(&p->heap[c + 1], &p->heap[c]))
            c++;
        if (!before(&p->heap[c], &last))
            break;
        p->heap[i] = p->heap[c];
        i = c;
    }
    p->heap[i] = last;
    return top;
}

static void travel(struct pair *p, int from, const uint8_t *bytes, uint32_t len, uint16_t gso_size)
{
    struct pair_packet k = {.at = p->now + p->cfg.delay_us + draw(p, p->cfg.jitter_us),
                            .order = p->order++,
                            .len = len,
                            .gso_size = gso_size,
                            .to = (uint8_t)!from};
    if (chance(p, p->cfg.reorder_ppm))
        k.at += p->cfg.reorder_us;
    k.bytes = malloc(len);
    assert_non_null(k.bytes);
    memcpy(k.bytes, bytes, len);
    heap_push(p, k);
}

/* One packet as it is on the wire: looked at, and perhaps lost or doubled. */
static void on_wire(struct pair *p, int from, const uint8_t *bytes, uint32_t len, uint16_t gso_size)
{
    struct pair_end *e = &p->e[from];
    struct ip_hdr ip;
    struct segment s;
    bool is_ip = ip_parse(bytes, len, &ip) == TERN_CAUSE_NONE;
    if (is_ip && ip.proto != PROTO_TCP)
        return; /* answers to what the test has sent by itself */
    if (!is_ip || tcp_parse(&ip, !p->cfg.unchecked, &s) != TERN_CAUSE_NONE)
        pair_fail(p, "%c sent a packet that is not well-formed", "AB"[from]);
    e->segments++;
    /* what comes late to a connection that is CLOSED draws a RST by right */
    e->resets += (s.flags & F_RST) && pair_state(p, from) != TERN_CLOSED;
    p->sent++;
    if ((p->cfg.drop && p->cfg.drop(p, from, &s)) || chance(p, p->cfg.loss_ppm)) {
        p->lost++;
        return;
    }
    travel(p, from, bytes, len, gso_size);
    if (chance(p, p->cfg.duplicate_ppm))
        travel(p, from, bytes, len, gso_size);
}

struct sender {
    struct pair *p;
    int from;
};

static void piece(void *ctx, const uint8_t *bytes, uint32_t len)
{
    const struct sender *s = ctx;
    if (len > s->p->cfg.mtu)
        pair_fail(s->p, "a piece of %u bytes, MTU %u", len, s->p->cfg.mtu);
    on_wire(s->p, s->from, bytes, len, 0);
}

static void leaves(struct pair *p, int from, const tern_tx_packet *pkt)
{
    struct sender s = {p, from};
    if (p->cfg.cut) {
        tern_segment(pkt, piece, &s);
        return;
    }
    uint8_t *bytes = malloc(pkt->len);
    assert_non_null(bytes);
    tern_tx_flatten(pkt, bytes);
    if (pkt->flags & TERN_TX_CSUM)
        put16(bytes + pkt->csum_start + pkt->csum_offset,
              csum_fold(csum_add(0, bytes + pkt->csum_start, pkt->len - pkt->csum_start)));
    on_wire(p, from, bytes, pkt->len, pkt->gso_size);
    free(bytes);
}

static void collect(struct pair *p, int end)
{
    tern_tx_packet pkts[4];
    struct pair_end *e = &p->e[end];
    int n;
    while ((n = tern_tx(e->t, p->now, pkts, 4)) > 0)
        for (int i = 0; i < n; i++)
            leaves(p, end, &pkts[i]);
    if (!p->cfg.unchecked && lab_check_now())
        tcp_check_all(e->t);
}

void pair_flush(struct pair *p)
{
    collect(p, A);
    collect(p, B);
}

/* --- the programs --- */

/* ENOMEM: at rest, and no memory to wake it; the call can be made again. */
static bool again_later(long r) { return r == -TERN_EAGAIN || r == -TERN_ENOMEM; }

static void write_some(struct pair *p, struct pair_end *e)
{
    while (e->wrote < e->to_write) {
        uint64_t left = e->to_write - e->wrote;
        long r = tern_send(e->t, e->h, stream(p, e->wrote), left < PIECE ? left : PIECE, 0);
        if (r <= 0) {
            e->error = again_later(r) ? e->error : r;
            return;
        }
        e->wrote += (uint64_t)r;
    }
    if (e->shut_when_written && !e->did_shut) {
        int r = tern_shutdown(e->t, e->h);
        PAIR_CHECK(p, r == 0 || r == -TERN_ENOMEM);
        e->did_shut = r == 0;
    }
}

static void read_some(struct pair *p, struct pair_end *e, uint8_t *buf)
{
    long r;
    while ((r = tern_recv(e->t, e->h, buf, PIECE)) > 0) {
        if (memcmp(buf, stream(p, e->read), (size_t)r) != 0)
            pair_fail(p, "bytes from %llu on are wrong", (unsigned long long)e->read);
        e->read += (uint64_t)r;
    }
    e->eof |= r == 0;
    if (r < 0 && !again_later(r))
        e->error = r;
}

static void programs(struct pair *p)
{
    uint8_t *buf = p->bytes + PERIOD + PIECE;
    for (int i = 0; i < 2; i++) {
        struct pair_end *e = &p->e[i];
        tern_event ev[8];
        while (tern_events(e->t, ev, 8) > 0)
            continue;
        if (!e->h.v)
            continue;
        if (pair_state(p, i) >= TERN_ESTABLISHED)
            write_some(p, e);
        if (!e->idle_reader)
            read_some(p, e, buf);
    }
    pair_flush(p);
}

/* --- running --- */

static uint64_t next_event(struct pair *p)
{
    uint64_t t = p->n ? p->heap[0].at : LAB_NEVER;
    for (int i = 0; i < 2; i++) {
        uint64_t d = tern_next_deadline(p->e[i].t);
        t = d < t ? d : t;
    }
    return t;
}

bool pair_step(struct pair *p, uint64_t until)
{
    programs(p);
    uint64_t t = next_event(p);
    if (t == LAB_NEVER || t > until) {
        if (until != LAB_NEVER && until > p->now)
            p->now = until;
        return false;
    }
    p->now = t > p->now ? t : p->now;
    tern_tick(p->e[A].t, p->now);
    tern_tick(p->e[B].t, p->now);
    while (p->n && p->heap[0].at <= p->now) {
        struct pair_packet k = heap_pop(p);
        tern_rx_packet rx = {.data = k.bytes,
                             .len = k.len,
                             .gso_size = k.gso_size,
                             .link = (uint8_t)p->e[k.to].link,
                             .flags = p->cfg.unchecked ? TERN_RX_CSUM_OK : 0};
        tern_rx(p->e[k.to].t, p->now, &rx, 1);
        free(k.bytes);
        collect(p, k.to);
    }
    programs(p);
    return true;
}

void pair_run(struct pair *p, uint64_t us)
{
    uint64_t until = p->now + us;
    while (pair_step(p, until))
        continue;
    p->now = until;
    tern_tick(p->e[A].t, p->now);
    tern_tick(p->e[B].t, p->now);
    pair_flush(p);
}

void pair_until(struct pair *p, bool (*done)(struct pair *p), uint64_t us)
{
    uint64_t until = p->now + us;
    while (!done(p))
        if (!pair_step(p, until) && !done(p))
            pair_fail(p, "it does not come to an end");
}

bool pair_transferred(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct pair_end *e = &p->e[i], *o = &p->e[!i];
        if (e->error)
            pair_fail(p, "%c has an error", "AB"[i]);
        if (e->wrote < e->to_write || e->read < o->to_write || (o->shut_when_written && !e->eof))
            return false;
    }
    return true;
}

tern_info pair_info(struct pair *p, int end)
{
    tern_info i;
    memset(&i, 0, sizeof(i));
    tern_get_info(p->e[end].t, p->e[end].h, &i);
    return i;
}

enum tern_state pair_state(struct pair *p, int end)
{
    return pair_info(p, end).state;
}

/* --- beginning and end --- */

static void make_end(struct pair *p, int i)
{
    struct pair_end *e = &p->e[i];
    tern_config c = p->cfg.stack[i];
    for (int k = 0; k < 8; k++)
        c.seed[k] = (uint8_t)(mix(p->cfg.seed * 2 + (uint64_t)i) >> (8 * k));
    tern_ip v6 = {{0x20, 0x01, 0x0d, 0xb8}};
    v6.b[15] = (uint8_t)(1 + i);
    e->ip = p->cfg.v6 ? v6 : tern_ip4(10, 0, 0, (uint8_t)(1 + i));
    e->block = aligned_alloc(16, p->cfg.memory);
    assert_non_null(e->block);
    assert_int_equal(tern_create(&e->t, &c, e->block, p->cfg.memory), 0);
    tern_tick(e->t, p->now);
    tern_link_info info = {
        .mtu = p->cfg.mtu, .gso_max = p->cfg.gso, .tx_csum = p->cfg.unchecked || p->cfg.cut};
    e->link = tern_link_add(e->t, &info);
    assert_int_equal(tern_addr_add(e->t, e->link, &e->ip, p->cfg.v6 ? 64 : 24), 0);
}

struct pair *pair_new(const struct pair_config *cfg)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->cfg = *cfg;
    p->cfg.delay_us = cfg->delay_us ? cfg->delay_us : 5000;
    p->cfg.reorder_us = cfg->reorder_us ? cfg->reorder_us : 3000;
    p->cfg.mtu = cfg->mtu ? cfg->mtu : 1500;
    p->cfg.memory = cfg->memory ? cfg->memory : 16u << 20;
    p->now = cfg->start ? cfg->start : SEC;
    p->rng = mix(cfg->seed + 1);
    uint8_t *bytes = malloc(PERIOD + 2 * PIECE);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < PERIOD + PIECE; i++)
        bytes[i] = (uint8_t)(mix(i % PERIOD + 1) >> 32);
    p->bytes = bytes;
    make_end(p, A);
    make_end(p, B);
    return p;
}

static bool opened(struct pair *p)
{
    if (!p->e[B].h.v && tern_accept(p->e[B].t, p->e[B].listener, &p->e[B].h) != 0)
        p->e[B].h.v = 0;
    return p->e[B].h.v && pair_state(p, A) == TERN_ESTABLISHED && pair_state(p, B) == TERN_ESTABLISHED;
}

void pair_open(struct pair *p)
{
    tern_endpoint any = {.port = 80}, to = {.ip = p->e[B].ip, .port = 80};
    tern_endpoint from = {.ip = p->e[A].ip, .port = 40000};
    PAIR_CHECK(p, p->e[B].listener.v || tern_listen(p->e[B].t, &any, 0, &p->e[B].listener) == 0);
    PAIR_CHECK(p, tern_connect(p->e[A].t, &from, &to, &p->e[A].h) == 0);
    pair_until(p, opened, 200 * SEC);
}

static void check_dead(struct pair *p, int i)
{
    tern_live v;
    tern_get_live(p->e[i].t, &v);
    if (v.listeners || v.halfopen || v.tcbs || v.timewait || v.chunks || v.sendrecs || v.ranges || v.timers ||
        v.fragments || v.replies || tern_next_deadline(p->e[i].t) != LAB_NEVER)
        pair_fail(
            p,
            "alive on %c: %u listeners %u half-open %u tcbs %u TIME_WAIT %u chunks %u records %u ranges "
            "%u timers",
            "AB"[i], v.listeners, v.halfopen, v.tcbs, v.timewait, v.chunks, v.sendrecs, v.ranges, v.timers);
}

void pair_end(struct pair *p)
{
    p->cfg.loss_ppm = 0;
    p->cfg.drop = NULL;
    for (int i = 0; i < 2; i++) {
        if (p->e[i].h.v)
            tern_close(p->e[i].t, p->e[i].h);
        if (p->e[i].listener.v)
            tern_close(p->e[i].t, p->e[i].listener);
        p->e[i].h.v = p->e[i].listener.v = 0;
    }
    pair_run(p, 3000 * SEC);
    for (int i = 0; i < 2; i++) {
        check_dead(p, i);
        tern_destroy(p->e[i].t);
        free(p->e[i].block);
    }
    while (p->n)
        free(heap_pop(p).bytes);
    free(p->heap);
    free(p->bytes);
    free(p);
}
