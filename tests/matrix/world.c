/* world.c - see world.h and README.md, "The world of a cell". */
#include "matrix/world.h"

#define LOCAL_PORT  7000
#define REMOTE_PORT 5000

static uint8_t peer_byte(uint32_t k)
{
    return (uint8_t)((7ull * k + 13) % 251);
}

struct world *world_new(const struct cell *c, bool for_calls)
{
    struct lab_config cfg = {.any_edge = true};
    void *state = (void *)(uintptr_t)&c->pass->variant;
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    cfg.stack.seed[0] = c->pass->seed;
    w->cell = c;
    w->for_calls = for_calls;
    w->l = lab_new(&state, &cfg);
    w->irs = c->pass->variant.peer_iss;
    w->l->flow[0].local.port = LOCAL_PORT;
    w->l->flow[0].peer.port = REMOTE_PORT;
    w->l->file = c->file;
    w->l->line = c->line;
    w->rcv_nxt = w->irs;
    w->snd_una = w->snd_nxt = 0x20000000;
    w->recv_before = 1;
    return w;
}

void world_end(struct world *w)
{
    w->l->line_text = "the end";
    lab_end(w->l);
    free(w);
}

void world_fail(struct world *w, const char *fmt, ...)
{
    const struct cell *c = w->cell;
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n# %s:%d: %s", c->file, c->line, c->state);
    if (c->call)
        fprintf(stderr, " %s", c->call);
    else
        fprintf(stderr, ": %s, seq %s, ack %s", c->flags, c->seq, c->ack);
    fprintf(stderr, " (%s)\n#   expected:", c->pass->name);
    for (int i = 0; i < (c->call ? 7 : 7); i++)
        fprintf(stderr, " %s |", c->expect[i]);
    fprintf(stderr, "\n");
    w->l->file = c->file, w->l->line = c->line, w->l->line_text = NULL;
    lab_fail(w->l, "got: %s", why);
}

void world_say(struct world *w, uint8_t flags, uint32_t seq_no, uint32_t ack, uint32_t len)
{
    uint8_t payload[1500], pkt[1600];
    struct segment s = {.seq = seq(seq_no), .ack = seq(ack), .flags = flags, .wnd = MATRIX_WND, .len = len};
    s.opt.wscale = WSCALE_NONE;
    s.opt.mss = flags & F_SYN ? 1460 : 0;
    for (uint32_t i = 0; i < len; i++)
        payload[i] = peer_byte(seq_no - w->irs - 1 + i);
    s.data = payload;
    tern_tick(w->l->t, w->l->now);
    uint32_t n = lab_build(w->l, 0, &s, pkt);
    if (!(flags & F_ACK)) { /* the codec writes 0; the tables want a number there */
        put32(pkt + 20 + 8, ack);
        lab_checksum(pkt, n);
    }
    lab_rx(w->l, pkt, n);
}

const struct lab_out *world_take(struct world *w)
{
    const struct lab_out *o = lab_next(w->l);
    if (!o)
        return NULL;
    const struct segment *s = &o->seg;
    if (o->flow != 0)
        world_fail(w, "a packet of another connection");
    if (s->flags & F_RST)
        return o;
    if (s->flags & F_SYN) {
        if (s->seq.v != w->iss)
            w->snd_una = s->seq.v;
        w->iss = s->seq.v;
        w->snd_nxt = w->iss + 1;
    }
    if ((int32_t)(s->seq.v + seg_len(s) - w->snd_nxt) > 0)
        w->snd_nxt = s->seq.v + seg_len(s);
    if (s->flags & F_ACK) {
        w->rcv_nxt = s->ack.v;
        w->rcv_wnd = s->wnd;
    }
    return o;
}

void world_drain(struct world *w)
{
    lab_collect(w->l);
    while (world_take(w))
        continue;
}

/* The next must be this. */
static void take(struct world *w, uint8_t flags)
{
    const struct lab_out *o = world_take(w);
    if (!o)
        world_fail(w, "while reaching the situation nothing came, flags 0x%x were awaited", flags);
    if ((o->seg.flags & ~F_PSH) != (flags & ~F_PSH))
        world_fail(w, "while reaching the situation flags 0x%x came, 0x%x were awaited", o->seg.flags, flags);
}

long world_recv(struct world *w, size_t n)
{
    uint8_t buf[2048];
    tern_tick(w->l->t, w->l->now);
    long r = tern_recv(w->l->t, world_h(w), buf, n < sizeof(buf) ? n : sizeof(buf));
    struct lab_flow *f = &w->l->flow[0];
    for (long i = 0; i < r; i++)
        if (buf[i] != peer_byte((uint32_t)f->read + (uint32_t)i))
            world_fail(w, "the byte at %u of the peer's stream is wrong", (unsigned)f->read + (unsigned)i);
    f->read += r > 0 ? (uint64_t)r : 0;
    lab_collect(w->l);
    return r;
}

long world_send(struct world *w, size_t n)
{
    return lab_send(w->l, 0, n, 0);
}

int world_connect(struct world *w)
{
    return lab_connect_call(w->l, 0);
}

int world_listen(struct world *w, tern_handle *out)
{
    tern_endpoint any = {.port = LOCAL_PORT};
    tern_tick(w->l->t, w->l->now);
    int r = tern_listen(w->l->t, &any, 0, out);
    lab_collect(w->l);
    return r;
}

static void check(struct world *w, bool ok, const char *what)
{
    if (!ok)
        world_fail(w, "while reaching the situation: %s", what);
}

/* --- parts of a set-up --- */

static void listening(struct world *w)
{
    lab_tune(w->l, 0, false);
    check(w, world_listen(w, &w->l->listener) == 0, "listen");
}

static void part_h(struct world *w)
{
    check(w, world_connect(w) == 0, "connect");
    take(w, F_SYN);
    if (w->queued)
        check(w, world_send(w, 100) == 100, "send before the handshake");
    world_say(w, F_SYN | F_ACK, w->irs, w->iss + 1, 0);
    take(w, F_ACK);
    w->snd_una = w->snd_nxt;
}

static void part_f(struct world *w)
{
    check(w, world_send(w, 200) == 200, "send 200");
    take(w, F_ACK);
}

static void part_t(struct world *w)
{
    part_f(w);
    w->snd_una = w->snd_nxt;
    world_say(w, F_ACK, w->rcv_nxt, w->snd_una, 0);
    world_say(w, F_ACK | F_PSH, w->rcv_nxt, w->snd_una, 300);
    check(w, world_recv(w, 300) == 300, "recv 300");
    lab_run(w->l, 500 * MS);
    world_drain(w);
    if (!w->unread)
        return;
    world_say(w, F_ACK | F_PSH, w->rcv_nxt, w->snd_una, 100);
    lab_run(w->l, 500 * MS);
    world_drain(w);
}

/* The program reads what is there: the end. */
static void read_end(struct world *w)
{
    if (!w->unread)
        check(w, world_recv(w, 100) == 0, "recv did not give 0");
}

static void our_fin(struct world *w)
{
    check(w, tern_shutdown(w->l->t, world_h(w)) == 0, "shutdown");
    lab_collect(w->l);
    take(w, F_FIN | F_ACK);
}

static void peers_fin(struct world *w, uint32_t ack)
{
    world_say(w, F_FIN | F_ACK, w->rcv_nxt, ack, 0);
    take(w, F_ACK);
    read_end(w);
}

/* --- situations --- */

static void reach_opening(struct world *w, const char *name)
{
    if (strcmp(name, "CLOSED") == 0 && w->for_calls) {
        part_h(w);
        part_t(w);
        world_say(w, F_RST, w->rcv_nxt, 0, 0);
    } else if (strcmp(name, "LISTEN") == 0) {
        listening(w);
    } else if (strcmp(name, "SYN_SENT") == 0 || strcmp(name, "SYN_RCVD_A") == 0) {
        check(w, world_connect(w) == 0, "connect");
        take(w, F_SYN);
        if (w->queued)
            check(w, world_send(w, 100) == 100, "send before the handshake");
    }
    if (strcmp(name, "SYN_RCVD_P") == 0) {
        listening(w);
        w->old = w->l->listener;
        if (w->for_calls) { /* its handle is released: a listener made and closed before */
            tern_close(w->l->t, w->l->listener);
            listening(w);
        }
    }
    if (strncmp(name, "SYN_RCVD", 8) == 0) {
        world_say(w, F_SYN, w->irs, 0, 0);
        take(w, F_SYN | F_ACK);
    }
    if (strcmp(name, "LISTEN") != 0 && strcmp(name, "CLOSED") != 0)
        w->snd_una = w->iss;
}

static void reach_time_wait(struct world *w, bool release)
{
    w->snd_una = w->snd_nxt;
    world_say(w, F_ACK, w->rcv_nxt, w->snd_nxt, 0);
    peers_fin(w, w->snd_nxt);
    w->began = w->l->now;
    if (release) {
        w->old = world_h(w);
        check(w, tern_close(w->l->t, world_h(w)) == 0, "close");
        world_h(w).v = 0;
        lab_collect(w->l);
    }
}

static void reach_closing(struct world *w, const char *name)
{
    if (strncmp(name, "FIN_WAIT", 8) == 0 || strcmp(name, "CLOSING") == 0 || strncmp(name, "TIME", 4) == 0)
        our_fin(w);
    if (strcmp(name, "FIN_WAIT_2") == 0) {
        w->snd_una = w->snd_nxt;
        world_say(w, F_ACK, w->rcv_nxt, w->snd_nxt, 0);
    } else if (strcmp(name, "CLOSING") == 0) {
        peers_fin(w, w->snd_una);
    } else if (strncmp(name, "TIME", 4) == 0) {
        reach_time_wait(w, name[10] == 'R');
    } else if (strcmp(name, "CLOSE_WAIT") == 0 || strcmp(name, "LAST_ACK") == 0) {
        peers_fin(w, w->snd_nxt);
    }
    if (strcmp(name, "LAST_ACK") == 0)
        our_fin(w);
}

static void reach_suffix(struct world *w, const char *suffix)
{
    if (strcmp(suffix, "halfopen") == 0 || strcmp(suffix, "unaccepted") == 0) {
        world_say(w, F_SYN, w->irs, 0, 0);
        take(w, F_SYN | F_ACK);
    }
    if (strcmp(suffix, "unaccepted") == 0)
        world_say(w, F_ACK, w->irs + 1, w->iss + 1, 0);
    if (strcmp(suffix, "listener") == 0)
        check(w, world_listen(w, &w->l->listener) == 0, "listen");
}

/* What the segment or call may change. */
static void remember(struct world *w)
{
    tern_info info;
    if (world_h(w).v && tern_get_info(w->l->t, world_h(w), &info) == 0) {
        w->recv_before = w->unread ? 1 : world_recv(w, 1);
        w->unacked_before = info.send_unacked;
        w->fin_acked_before = info.fin_acked;
    }
    lab_events(w->l, 0);
}

void world_reach(struct world *w)
{
    char name[64];
    snprintf(name, sizeof(name), "%s", w->cell->state);
    char *plus = strchr(name, '+');
    const char *suffix = plus ? plus + 1 : "";
    if (plus)
        *plus = 0;
    w->unread = strcmp(suffix, "unread") == 0;
    w->queued = strcmp(suffix, "queued") == 0;
    static const char *const opening[] = {"CLOSED", "LISTEN", "SYN_SENT", "SYN_RCVD_P", "SYN_RCVD_A"};
    bool early = false;
    for (size_t i = 0; i < sizeof(opening) / sizeof(opening[0]); i++)
        early |= strcmp(name, opening[i]) == 0;
    if (early) {
        reach_opening(w, name);
    } else {
        part_h(w);
        part_t(w);
        reach_closing(w, name);
        if (!w->for_calls && (strcmp(name, "ESTABLISHED") == 0 || strcmp(name, "CLOSE_WAIT") == 0))
            part_f(w);
    }
    reach_suffix(w, suffix);
    if (!w->for_calls && strncmp(name, "TIME", 4) == 0)
        lab_run(w->l, w->began + 40 * SEC - w->l->now);
    world_drain(w);
    remember(w);
    if (!early)
        check(w, w->rcv_wnd >= 1000, "RCV.WND is below 1000");
    if (strcmp(name, "LISTEN") != 0 || !*suffix)
        check(w, strcmp(world_state(w), name) == 0, world_state(w));
}

/* --- looking --- */

static const char *name_of(const tern_info *i)
{
    if (i->state == TERN_SYN_RCVD)
        return i->held ? "SYN_RCVD_A" : "SYN_RCVD_P";
    if (i->state == TERN_TIME_WAIT)
        return i->held ? "TIME_WAIT_H" : "TIME_WAIT_R";
    return tern_state_name(i->state);
}

const char *world_state(struct world *w)
{
    uint64_t cursor = 0;
    tern_info i;
    const char *found = NULL;
    bool listener = false;
    while (tern_walk(w->l->t, &cursor, &i) == 1) {
        listener |= i.listener && i.local.port == LOCAL_PORT && i.state == TERN_LISTEN;
        if (i.listener || i.local.port != LOCAL_PORT || i.remote.port != REMOTE_PORT ||
            i.state == TERN_CLOSED)
            continue;
        /* a TIME_WAIT record may wait behind the half-open one that is to take its place (3.6.1) */
        if (!found || i.state != TERN_TIME_WAIT)
            found = name_of(&i);
    }
    return found ? found : listener ? "LISTEN" : "CLOSED";
}
