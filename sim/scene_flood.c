/* scene_flood.c - 100,000 SYNs from addresses that nobody has. */
#include "scenes.h"

enum { SECOND = 1000000, SPOOFED = 100000, APART_US = 200, BACKLOG = 128, CONNECT_AT = 25000 };

/* A SYN from somewhere in 198.18.0.0/15, the network for tests, or from 2001:db8:ffff::/48. */
static void spoof(struct play *p)
{
    struct rng *dice = &p->w.rng;
    uint64_t r = rng_next(dice);
    struct segment s = {
        .seq = (uint32_t)rng_next(dice), .flags = SYN, .window = 65535, .mss = 1460, .wscale = 8};
    s.dst = (tern_endpoint){.ip = p->w.host[B].ip, .port = PORT};
    s.src.port = (uint16_t)(1024 + r % 60000);
    s.src.ip = tern_ip4(198, (uint8_t)(18 + (r >> 16 & 1)), (uint8_t)(r >> 24), (uint8_t)(r >> 32));
    if (!tern_ip_is4(&s.dst.ip))
        s.src.ip = (tern_ip){{0x20, 1, 0x0d, 0xb8, 0xff, 0xff, [12] = (uint8_t)(r >> 24), (uint8_t)(r >> 32),
                              (uint8_t)(r >> 40), (uint8_t)(r >> 48)}};
    path_forge(&p->w, OUTSIDE, &s, 5000);
}

struct watch {
    uint32_t halfopen;
    uint64_t arena;
};

static void look(const struct play *p, struct watch *most)
{
    tern_live live;
    tern_get_live(p->w.host[B].stack, &live);
    most->halfopen = live.halfopen > most->halfopen ? live.halfopen : most->halfopen;
    most->arena = live.arena_used > most->arena ? live.arena_used : most->arena;
}

/* The flood, and in its middle an honest client asks. */
static struct end *flood(struct play *p, struct watch *most)
{
    struct end *honest = NULL;
    for (uint32_t i = 0; i < SPOOFED; i++) {
        if (i == CONNECT_AT)
            honest = prog_connect(&p->w, A, B, PORT, 0);
        spoof(p);
        world_run(&p->w, APART_US);
        if (i % 64 == 0)
            look(p, most);
    }
    return honest;
}

static bool echo_works(struct play *p, struct pair *c)
{
    uint64_t before = c->b->n_in;
    prog_send(c->a, "ping", 4);
    pass(p, 300000);
    prog_read(c->b);
    return c->b->n_in == before + 4;
}

void scene_syn_flood(struct play *p)
{
    struct pair old;
    struct watch before = {0}, most = {0};
    play_part(p, "", "100,000 spoofed SYNs in 20 seconds", NULL);
    struct end *listener = prog_listen(&p->w, B, PORT, BACKLOG);
    prog_setopt(listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS);
    if (!open_pair_from(p, &old, listener, 0))
        return;
    look(p, &before);
    remark(p, OUTSIDE, "somebody sends 5,000 SYNs a second, each from an address that nobody has");
    struct end *honest = flood(p, &most);
    promise(p, most.halfopen == 0, "B keeps nothing of a SYN: no half-open connection at any time");
    promise(p, most.arena - before.arena <= 1 << 20, "memory at B: %llu KiB before, %llu KiB at most",
            (unsigned long long)before.arena / 1024, (unsigned long long)most.arena / 1024);
    promise(p, count(p, B, RST, 0) == 0, "B resets nobody");
    promise(p, echo_works(p, &old), "the connection that was open before is served as always");
    bool connected = hears(p, honest, TERN_CONNECTED);
    uint64_t waited = p->w.now - when_sent(p, A, SYN, 0, 1);
    promise(p, connected && count(p, A, SYN, ACK) == 2 && waited < 21ull * SECOND,
            "a client that asked in the middle of it was connected by its first SYN");
    struct pair now = {.listener = listener, .a = honest, .b = prog_accept(listener)};
    promise(p, now.b != NULL && echo_works(p, &now), "and is served");
    pass(p, 70ull * SECOND);
    tern_live live;
    tern_get_live(p->w.host[B].stack, &live);
    promise(p, live.halfopen == 0, "a minute later there is still no half-open record");
    line(p,
         "This listener answers every SYN with a cookie (RFC 4987 3.6): what B must know comes back with the "
         "ACK, in the number that it acknowledges and in the timestamp that it echoes. By default tern does "
         "so only when the backlog is full, memory is short, or one source asks for more than its share.");
}
