/* Many seeds, each another mixture: options on or off, buffers, MTU, super-segments, weather, who writes how
 * much, who closes when and how. Every byte arrives, both ends see the end, nothing is left. TERN_SEEDS=n
 * tries more; TERN_SEED=n only that one. */
#include "lab/pair.h"

struct draws {
    uint64_t x;
};

static uint32_t draw(struct draws *d, uint32_t below)
{
    d->x = d->x * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((d->x >> 33) % below);
}

static uint32_t pick(struct draws *d, const uint32_t *list, uint32_t n)
{
    return list[draw(d, n)];
}

static void mix_stack(struct draws *d, tern_config *c)
{
    static const uint32_t buffers[] = {2048, 4096, 16384, 65536, 262144, 1 << 20};
    static const uint32_t pages[] = {1024, 2048, 4096, 16384, 65536};
    c->no_sack = draw(d, 3) == 0;
    c->no_timestamps = draw(d, 3) == 0;
    c->no_wscale = draw(d, 3) == 0;
    c->ecn = (uint8_t)draw(d, 3);
    c->send_buffer = pick(d, buffers, 6);
    c->recv_buffer = pick(d, buffers, 6);
    c->page_size = pick(d, pages, 5);
    c->delack_us = draw(d, 2) ? 40000 : 1 + draw(d, 499999);
    c->msl_ms = 1 + draw(d, 30000);
}

static struct pair_config mix_pair(struct draws *d, uint64_t seed)
{
    static const uint32_t mtus[] = {1500, 1500, 576, 9000, 1280, 65535};
    static const uint32_t losses[] = {0, 0, 1000, 10000, 50000, 100000};
    static const uint32_t delays[] = {1, 100, 1000, 10000, 100000};
    struct pair_config c = {.seed = seed};
    mix_stack(d, &c.stack[A]);
    mix_stack(d, &c.stack[B]);
    c.v6 = draw(d, 3) == 0;
    c.mtu = pick(d, mtus, 6);
    c.mtu = c.v6 && c.mtu < 1280 ? 1280 : c.mtu;
    c.gso = draw(d, 3) == 0 ? 2000 + draw(d, 60000) : 0;
    c.cut = draw(d, 2);
    c.loss_ppm = pick(d, losses, 6);
    c.delay_us = pick(d, delays, 5);
    c.jitter_us = draw(d, 2) ? draw(d, 5000) : 0;
    c.reorder_ppm = draw(d, 2) ? draw(d, 100000) : 0;
    c.reorder_us = 1 + draw(d, 20000);
    c.duplicate_ppm = draw(d, 3) ? 0 : draw(d, 50000);
    c.memory = draw(d, 4) ? 0 : tern_min_size(&c.stack[A]) + tern_min_size(&c.stack[B]) + (128u << 10);
    c.start = 1 + (uint64_t)draw(d, 0x7fffffff) * 9;
    return c;
}

static void set_options(struct draws *d, struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct pair_end *e = &p->e[i];
        if (draw(d, 2))
            PAIR_CHECK(p, tern_setopt(e->t, e->h, TERN_OPT_NODELAY, 1) == 0);
        if (draw(d, 4) == 0)
            PAIR_CHECK(p, tern_setopt(e->t, e->h, TERN_OPT_QUICKACK, 1) == 0);
        if (draw(d, 3) == 0)
            PAIR_CHECK(p, tern_setopt(e->t, e->h, TERN_OPT_KEEPALIVE, 1) == 0);
    }
}

static void converse(struct draws *d, struct pair *p)
{
    static const uint32_t sizes[] = {0, 1, 100, 5000, 60000, 150000};
    for (int i = 0; i < 2; i++) {
        p->e[i].to_write = pick(d, sizes, 6);
        p->e[i].shut_when_written = draw(d, 2) == 0;
        p->e[i].idle_reader = draw(d, 4) == 0;
    }
    pair_run(p, draw(d, 3) ? draw(d, 3000000) : 0);
    for (int i = 0; i < 2; i++) { /* and now to the end */
        p->e[i].idle_reader = false;
        p->e[i].to_write += pick(d, sizes, 6) * !p->e[i].did_shut;
        p->e[i].shut_when_written = true;
    }
    pair_until(p, pair_transferred, 7200 * SEC);
}

static void sweep(void **state)
{
    const char *seeds = getenv("TERN_SEEDS"), *only = getenv("TERN_SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1;
    uint64_t to = only ? from : seeds ? strtoull(seeds, NULL, 10) : 1000;
    (void)state;
    for (uint64_t seed = from; seed <= to; seed++) {
        struct draws d = {seed * 7919};
        for (int i = 0; i < 5; i++)
            draw(&d, 2);
        struct pair_config cfg = mix_pair(&d, seed);
        struct pair *p = pair_new(&cfg);
        pair_open(p);
        set_options(&d, p);
        converse(&d, p);
        PAIR_CHECK(p, p->e[A].resets == 0 && p->e[B].resets == 0);
        pair_end(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sweep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
