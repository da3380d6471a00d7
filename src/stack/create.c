/* create.c - a stack is made and unmade; its configuration is checked once and
 * constant afterwards. */
#include "stack/stack.h"
#include "tcp/tcp.h"

#define ROUND16(n) (((n) + 15u) & ~15u)

#define PAGE_LEAST 1024u
_Static_assert(ROUND16(sizeof(struct tcb)) + GRAIN <= PAGE_LEAST, "the largest record fits into a page");

static const tern_config defaults;

static uint32_t page_size(const tern_config *cfg) { return cfg->page_size != 0 ? cfg->page_size : 4096; }

static uint64_t or_default(uint64_t value, uint64_t dflt) { return value != 0 ? value : dflt; }
static uint16_t port_low(const tern_config *c) { return (uint16_t)or_default(c->port_low, 32768); }
static uint16_t port_high(const tern_config *c) { return (uint16_t)or_default(c->port_high, 60999); }

static bool config_valid(const tern_config *c)
{
    uint32_t page = page_size(c);
    if (page < PAGE_LEAST || page > 65536 || (page & (page - 1)) != 0)
        return false;
    if (c->msl_ms > 600000 || c->delack_us >= 500000 || c->ecn > TERN_ECN_OFF ||
        c->unclaimed_rst > TERN_RST_NO)
        return false;
    if (c->synack_retries > QUEUE_PENDING - QUEUE_SENT - 1)
        return false; /* a queue for each */
    if (c->rto_max_us != 0 && c->rto_max_us < 1000000)
        return false;
    if (port_low(c) > port_high(c))
        return false;
    if (c->recv_buffer > 1u << 30 || c->send_buffer > 1u << 30)
        return false;
    return c->trace == NULL || (c->trace_records != 0 && (c->trace_records & (c->trace_records - 1)) == 0);
}

static void fill_settings(struct settings *s, const tern_config *c)
{
    s->msl_us = (uint32_t)or_default(c->msl_ms, 30000) * 1000u;
    s->rto_min_us = (uint32_t)or_default(c->rto_min_us, 200000);
    s->rto_max_us = (uint32_t)or_default(c->rto_max_us, 120000000);
    s->delack_us = (uint32_t)or_default(c->delack_us, 40000);
    s->syn_retries_us = or_default(c->syn_retries_ms, 180000) * 1000; /* MUST-23 */
    s->retries_us = or_default(c->retries_ms, 924600) * 1000; /* SHLD-11 */
    s->rest_us = c->rest_ms == UINT32_MAX ? UINT64_MAX : or_default(c->rest_ms, 1000) * 1000;
    s->fin_wait2_us = or_default(c->fin_wait2_ms, 60000) * 1000;
    s->synack_retries = (uint32_t)or_default(c->synack_retries, 5);
    s->send_buffer = (uint32_t)or_default(c->send_buffer, 262144);
    s->recv_buffer = (uint32_t)or_default(c->recv_buffer, 1048576);
    s->port_low = port_low(c);
    s->port_high = port_high(c);
    s->ttl = (uint8_t)or_default(c->ttl, 64);
    s->ecn = c->ecn;
    s->timestamps = !c->no_timestamps;
    s->wscale = !c->no_wscale;
    s->sack = !c->no_sack;
    s->time_wait_max = c->time_wait_max;
    s->rst_unclaimed = c->unclaimed_rst == TERN_RST_YES;
}

static void fill_pools(struct world *w)
{
    pool_init(&w->tcbs, POOL_TCB, ROUND16(sizeof(struct tcb)));
    pool_init(&w->idles4, POOL_IDLE4, ROUND16(sizeof(struct idle) + 8));
    pool_init(&w->idles6, POOL_IDLE6, ROUND16(sizeof(struct idle) + 32));
    pool_init(&w->halfopens4, POOL_HALFOPEN4, HALFOPEN4_SIZE);
    pool_init(&w->halfopens6, POOL_HALFOPEN6, HALFOPEN6_SIZE);
    fifo_init(&w->wait4.fifo, POOL_TIMEWAIT4, sizeof(struct timewait4));
    fifo_init(&w->wait6.fifo, POOL_TIMEWAIT6, sizeof(struct timewait6));
    pool_init(&w->listener_pool, POOL_LISTENER, ROUND16(sizeof(struct listener)));
    pool_init(&w->sendrecs, POOL_SENDREC, ROUND16(sizeof(struct sendrec)));
    pool_init(&w->ranges, POOL_RANGE, ROUND16(sizeof(struct range)));
    pool_init(&w->taken, POOL_TAKEN, ROUND16(sizeof(struct taken)));
    lent_init(&w->lent, POOL_HOLD, POOL_PIECE);
    neigh_init(&w->ip.ether, POOL_NEIGH, POOL_HELD);
}

static void fill_ether_keys(struct ether *e, const tern_config *c)
{
    static const uint8_t none[sizeof c->iid_secret];
    bool given = memcmp(c->iid_secret, none, sizeof none) != 0;
    e->key = sipkey_derive(c->seed, KEY_NEIGH);
    e->iid = given ? sipkey_of(c->iid_secret) : sipkey_derive(c->seed, KEY_IID);
    rng_init(&e->rng, c->seed, KEY_ETHER);
}

static void fill_keys(struct world *w, const uint8_t seed[32])
{
    w->key_isn = sipkey_derive(seed, KEY_ISN);
    w->key_port = sipkey_derive(seed, KEY_PORT);
    w->key_table = mixkey_of(sipkey_derive(seed, KEY_TABLE));
    w->key_stamp = sipkey_derive(seed, KEY_STAMP);
    w->key_sketch = sipkey_derive(seed, KEY_SKETCH);
    w->cookie_keys[0].key = w->cookie_keys[1].key = sipkey_derive(seed, KEY_COOKIE);
    rng_init(&w->rng, seed, KEY_RNG);
    w->ip.id = (uint16_t)rng_u64(&w->rng);
    w->port_next = (uint32_t)rng_u64(&w->rng);
}

size_t stack_handle_size(void) { return ROUND16(sizeof(struct tern)); }

size_t tern_min_size(const tern_config *cfg)
{
    uint32_t page = page_size(cfg != NULL ? cfg : &defaults);
    size_t fixed = arena_fixed_size(64ull * page, page, ROUND16(sizeof(struct world)));
    return stack_handle_size() + fixed + (uint64_t)PAGES_LEAST * page;
}

int tern_create(tern **out, const tern_config *cfg, void *memory, size_t size)
{
    if (cfg == NULL)
        cfg = &defaults;
    if (!config_valid(cfg) || out == NULL || memory == NULL || ((uintptr_t)memory & 15) != 0)
        return -TERN_EINVAL;
    if (size < tern_min_size(cfg))
        return -TERN_ENOMEM;
    struct tern *t = memory;
    memset(t, 0, sizeof *t);
    t->a = (struct arena *)(void *)((uint8_t *)memory + stack_handle_size());
    void *world;
    if (!arena_init(t->a, size - stack_handle_size(), cfg->budget, page_size(cfg),
                    ROUND16(sizeof(struct world)), &world))
        return -TERN_ENOMEM;
    t->w = world;
    fill_settings(&t->w->set, cfg);
    t->w->by_steps = cfg->by_steps != 0;
    options_default(&t->w->set, &t->w->defaults);
    fill_keys(t->w, cfg->seed);
    fill_ether_keys(&t->w->ip.ether, cfg);
    fill_pools(t->w);
    t->a->lent = ref_of(t->a, &t->w->lent);
    wheel_init(&t->w->wheel, 0);
    trace_init(&t->trace, cfg->trace, cfg->trace_records);
    tern_set_sum(t, NULL);
    if (!htab_init(t->a, &t->w->conns) || !htab_init(t->a, &t->w->listeners))
        return -TERN_ENOMEM;
    *out = t;
    return 0;
}

void tern_set_sum(tern *t, tern_sum_fn *sum) { t->sum = sum != NULL ? sum : csum_plain; }

void tern_destroy(tern *t)
{
    if (t == NULL)
        return;
    t->a = NULL; /* all state lies in the block; a later use of this handle faults at once */
    t->w = NULL;
}

void tern_set_cookie_key(tern *t, const uint8_t key[16], uint64_t shared_us)
{
    cookie_set_key(t, sipkey_of(key), shared_us);
}

const char *tern_version(void) { return "0.1.0"; }
