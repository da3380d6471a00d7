/* plan_draw.c - what kind of worlds there are: every decision of a seed, in the order of the list.
 *
 * Most worlds are small, a few have 50 hosts; most have faults, one in eight has none (there nothing may time
 * out and nobody may be reset without a program's doing). What seldom matters is drawn seldom, what a stack
 * is known to get wrong more often than it happens on the internet.
 */
#include "plan.h"

#include <string.h>

struct drawer {
    struct plan *p;
    struct rng rng;
    uint32_t hosts, routers, nats, conns, first_conn;
    uint32_t calm_ms, msl_ms; /* the shortest MSL of all: nothing may be older */
    uint32_t family;          /* of most hosts */
    bool clean;               /* no faults, no attacks, no snares */
};

static uint32_t between(struct drawer *d, uint32_t lo, uint32_t hi)
{
    return (uint32_t)rng_range(&d->rng, lo, hi);
}

/* True so many times of a hundred. */
static bool chance(struct drawer *d, uint32_t percent)
{
    return rng_next(&d->rng) % 100 < percent;
}

/* Small ones as often as large ones: uniform in the number of bits. */
static uint32_t spread(struct drawer *d, uint32_t lo, uint32_t hi)
{
    uint32_t octaves = 0;
    while (octaves < 31 && (hi >> octaves) > lo)
        octaves++;
    uint32_t top = hi >> between(d, 0, octaves);
    return between(d, lo, top > lo ? top : lo);
}

/* An index, by weights that end with 0. */
static uint32_t weighed(struct drawer *d, const uint8_t *weights)
{
    uint32_t sum = 0, i = 0;
    for (const uint8_t *w = weights; *w != 0; w++)
        sum += *w;
    for (uint32_t at = between(d, 0, sum - 1); at >= weights[i]; i++)
        at -= weights[i];
    return i;
}

static struct item *add(struct drawer *d, enum item_kind kind)
{
    struct item *item = &d->p->item[d->p->n++];
    memset(item, 0, sizeof *item);
    item->kind = (uint8_t)kind;
    for (uint32_t i = 0; i < item_fields(kind); i++)
        item->f[i] = item_field_least(kind, i);
    return item;
}

static bool full(const struct drawer *d)
{
    return d->p->n >= ITEMS_MOST - 1;
}

/* --- the network ----------------------------------------------------------------------------- */

static void draw_world(struct drawer *d)
{
    static const uint8_t sizes[] = {50, 34, 12, 4, 0};
    static const uint8_t lows[] = {2, 5, 13, 31}, highs[] = {4, 12, 30, HOSTS_MOST};
    struct item *w = add(d, ITEM_WORLD);
    uint32_t size = weighed(d, sizes);
    d->hosts = between(d, lows[size], highs[size]);
    d->routers = between(d, 1, d->hosts / 3 + 1 < ROUTERS_MOST ? d->hosts / 3 + 1 : ROUTERS_MOST);
    d->nats = d->hosts > 2 && chance(d, 35) ? between(d, 1, NATS_MOST) : 0;
    d->family = chance(d, 40) ? 1 : chance(d, 40) ? 2 : 3;
    d->clean = chance(d, 12);
    d->calm_ms = chance(d, 15) ? between(d, 200000, 1200000) : spread(d, 4000, 90000);
    w->f[W_CALM_MS] = d->calm_ms;
    d->msl_ms = UINT32_MAX;
}

static void draw_stack(struct drawer *d, uint32_t *f)
{
    f[H_MEMORY_KB] = chance(d, 20) ? between(d, 300, 700) : spread(d, 1024, 4096);
    f[H_PAGE_BITS] = chance(d, 70) ? 12 : between(d, 10, 14);
    f[H_NO_TS] = chance(d, 25);
    f[H_NO_WSCALE] = chance(d, 20);
    f[H_NO_SACK] = chance(d, 25);
    f[H_ECN] = between(d, 0, 2);
    f[H_MSL_MS] = chance(d, 60) ? between(d, 2000, 8000) : 30000;
    f[H_RTO_MIN_US] = chance(d, 70) ? 0 : spread(d, 20000, 1000000);
    f[H_RTO_MAX_US] = chance(d, 50) ? 0 : between(d, 2000000, 60000000);
    f[H_RETRIES_MS] = d->clean || chance(d, 40) ? 0 : spread(d, 10000, 200000);
    f[H_SYN_RETRIES_MS] = d->clean || chance(d, 50) ? 0 : spread(d, 3000, 60000);
    f[H_SYNACK_RETRIES] = chance(d, 60) ? 0 : between(d, 1, 6);
    f[H_DELACK_US] = chance(d, 60) ? 0 : spread(d, 1000, 400000);
    f[H_SEND_BUFFER] = chance(d, 40) ? 0 : spread(d, 2048, 262144);
    f[H_RECV_BUFFER] = chance(d, 40) ? 0 : spread(d, 2048, 262144);
    f[H_REST_MS] = chance(d, 50) ? 0 : spread(d, 10, 3000);
    f[H_FIN_WAIT2_MS] = chance(d, 40) ? 0 : spread(d, 500, 20000);
    f[H_TIME_WAIT_MAX] = chance(d, 85) ? 0 : between(d, 1, 4);
    f[H_PORTS] = chance(d, 85) ? 0 : between(d, 1, 6);
    f[H_NO_RST] = chance(d, 10);
}

static void draw_server(struct drawer *d, uint32_t *f)
{
    static const uint8_t listening[LISTENING_KINDS + 1] = {58, 14, 14, 14};
    f[H_BACKLOG] = chance(d, 65) ? 0 : between(d, 1, 12);
    f[H_LISTEN] = weighed(d, listening);
    f[H_ACCEPT_MS] = chance(d, 80) ? 0 : spread(d, 5, 4000);
}

/* Rate, delay and queue of a wire. */
static void draw_wire(struct drawer *d, uint32_t *rate, uint32_t *delay, uint32_t *queue, uint32_t *mark)
{
    *rate = chance(d, 35) ? 0 : spread(d, d->clean ? 20000 : 1000, 1000000);
    *delay = chance(d, 50) ? spread(d, 20, 5000) : spread(d, 1000, 80000);
    *queue = d->clean ? 300000 : spread(d, 8000, 400000); /* a good network starves nobody */
    *mark = chance(d, 70) ? 0 : *queue / 3;
}

static void draw_host(struct drawer *d, uint32_t number)
{
    static const uint16_t mtus[] = {1500, 1500, 1500, 1492, 1400, 1280, 1006, 576};
    uint32_t *f = add(d, ITEM_HOST)->f;
    f[H_ROUTER] = between(d, 0, d->routers - 1);
    f[H_FAMILY] = chance(d, 85) ? d->family : 3;
    f[H_MTU] = mtus[between(d, 0, f[H_FAMILY] == 1 ? 7 : 5)];
    draw_stack(d, f);
    draw_server(d, f);
    if (f[H_MSL_MS] < d->msl_ms)
        d->msl_ms = f[H_MSL_MS];
    f[H_NO_CSUM] = chance(d, 20);
    f[H_GSO] = chance(d, 80) ? 0 : spread(d, 4000, 60000);
    f[H_NAT] = d->nats && number >= 1 && (f[H_FAMILY] & 1) && chance(d, 35) ? between(d, 1, d->nats) : 0;
    f[H_BATCH_US] = chance(d, 50) ? 0 : spread(d, 20, 2000);
    f[H_FLUSH_FIRST] = chance(d, 50);
    f[H_CLOCK_MS] = chance(d, 70) ? spread(d, 0, 1u << 30) : UINT32_MAX - spread(d, 0, 2 * d->calm_ms);
    draw_wire(d, &f[H_RATE_KBPS], &f[H_DELAY_US], &f[H_QUEUE_US], &f[H_MARK_US]);
}

static void draw_trunks(struct drawer *d)
{
    for (uint32_t i = 1; i < d->routers; i++) {
        uint32_t *f = add(d, ITEM_TRUNK)->f;
        f[T_PARENT] = between(d, 0, i - 1);
        draw_wire(d, &f[T_RATE_KBPS], &f[T_DELAY_US], &f[T_QUEUE_US], &f[T_MARK_US]);
    }
}

/* --- the programs ---------------------------------------------------------------------------- */

static uint32_t draw_bytes(struct drawer *d)
{
    uint32_t kind = between(d, 0, 99);
    if (kind < 12)
        return between(d, 8, 400);
    return kind < 25 ? spread(d, 400, 20000) : between(d, 40000, 160000);
}

static void draw_program(struct drawer *d, uint32_t *p, bool clean)
{
    static const uint8_t endings[ENDINGS + 1] = {42, 15, 10, 7, 4, 8, 7, 7};
    p[P_BYTES] = draw_bytes(d);
    p[P_WRITE] = spread(d, 200, 65536);
    p[P_WRITE_US] = chance(d, 80) ? 0 : spread(d, 100, 200000);
    p[P_READ] = spread(d, 600, 65536);
    p[P_READ_US] = chance(d, 80) ? 0 : spread(d, 100, 200000);
    p[P_READ_FROM_MS] = chance(d, 88) ? 0 : spread(d, 10, d->calm_ms);
    p[P_ENDING] = clean ? END_IN_ORDER : weighed(d, endings);
    p[P_END_AT] = spread(d, 0, p[P_BYTES]);
    p[P_NODELAY] = chance(d, 40);
    p[P_HOW] = between(d, 0, 3) | (chance(d, 15) ? HOW_CORKS : 0) | (chance(d, 8) ? HOW_URGENT : 0) |
               (chance(d, 15) ? HOW_QUICKACK : 0) | (chance(d, 20) ? HOW_WAITS : 0);
    p[P_USER_TIMEOUT_MS] = clean || chance(d, 80) ? 0 : spread(d, 500, 60000);
    p[P_KEEPIDLE_MS] = clean || chance(d, 70) ? 0 : spread(d, 200, 20000);
    p[P_BUFFER] = chance(d, 85) ? 0 : spread(d, 1024, 131072);
}

static void draw_snare(struct drawer *d, uint32_t *f)
{
    static const uint8_t snares[] = {1, 14, 14, 8, 14, 12, 8, 6, 5, 4, 9, 0};
    f[C_WATCH] = between(d, 1, 2);
    f[C_STATE] = between(d, 2, 10); /* SYN_SENT .. TIME_WAIT */
    f[C_DO] = weighed(d, snares);
    f[C_TO] = between(d, 0, 1);
    if (f[C_KIND] == CONN_LOCAL && chance(d, 30))
        f[C_DO] = SNARE_LINK_GONE; /* only such connections end by it */
    f[C_LATER_US] = chance(d, 60) ? 0 : spread(d, 10, 300000);
}

static bool both_have(const struct drawer *d, uint32_t a, uint32_t b, uint32_t family)
{
    return d->p->item[1 + a].f[H_FAMILY] & d->p->item[1 + b].f[H_FAMILY] & family;
}

static bool behind_nat(const struct drawer *d, uint32_t host)
{
    return d->p->item[1 + host].f[H_NAT] != 0;
}

/* Two hosts that can speak to each other. Behind a NAT nobody serves, and it has IPv4 alone to do with. */
static bool draw_pair(struct drawer *d, uint32_t *f)
{
    uint32_t a = between(d, 0, d->hosts - 1), b = between(d, 0, d->hosts - 1);
    bool near = chance(d, 12) && both_have(d, a, b, 2);
    if (a == b || !both_have(d, a, b, 3))
        return false;
    f[C_CLIENT] = a;
    f[C_SERVER] = b;
    f[C_IP6] = near || !both_have(d, a, b, 1) || (both_have(d, a, b, 2) && chance(d, 50));
    f[C_KIND] = near ? CONN_LOCAL : chance(d, 7) ? CONN_SIMULTANEOUS : CONN_PLAIN;
    if (!f[C_IP6] && (behind_nat(d, b) || (f[C_KIND] == CONN_SIMULTANEOUS && behind_nat(d, a))))
        return false;
    return true;
}

static void draw_conn(struct drawer *d)
{
    uint32_t pair[C_FIELDS] = {0};
    for (int tries = 0; !draw_pair(d, pair); tries++)
        if (tries == 50)
            return;
    uint32_t *f = add(d, ITEM_CONN)->f;
    memcpy(f, pair, C_OWN * sizeof *f);
    f[C_START_MS] = between(d, 1, d->calm_ms < 60000 ? d->calm_ms * 7 / 10 : 30000);
    f[C_SKEW_US] = spread(d, 0, 100000);
    draw_program(d, f + C_CLIENT_P, d->clean);
    draw_program(d, f + C_SERVER_P, d->clean);
    if (!d->clean && chance(d, 30))
        draw_snare(d, f);
}

/* --- faults and attacks ---------------------------------------------------------------------- */

static void draw_wire_fault(struct drawer *d, uint32_t *f)
{
    uint32_t trunks = (d->routers - 1) * 2, at = between(d, 0, d->hosts * 2 + trunks - 1);
    f[F_PLACE] = at < d->hosts * 2 ? at : HOSTS_MOST * 2 + at - d->hosts * 2;
    f[F_PPM] = chance(d, 30) ? 1000000 : spread(d, 2000, 300000);
    switch (f[F_WHAT]) {
    case FAULT_LOSS: f[F_PPM] = spread(d, 1000, 400000); break;
    case FAULT_BURSTS: f[F_PPM] = spread(d, 1000, 50000), f[F_ARG] = spread(d, 2, 60); break;
    case FAULT_REORDER: f[F_PPM] = spread(d, 5000, 600000), f[F_ARG] = spread(d, 50, 100000); break;
    case FAULT_DUPLICATE: f[F_PPM] = spread(d, 5000, 400000), f[F_ARG] = spread(d, 1, 20000); break;
    case FAULT_OLD: f[F_PPM] = spread(d, 2000, 200000), f[F_ARG] = spread(d, 50, d->msl_ms * 9 / 10); break;
    case FAULT_CORRUPT:
    case FAULT_TRUNCATE: f[F_PPM] = spread(d, 2000, 200000); break;
    case FAULT_DOWN: f[F_FOR_MS] = spread(d, 20, d->calm_ms); break;
    case FAULT_JITTER: f[F_PPM] = 1000000, f[F_ARG] = spread(d, 100, 60000); break;
    case FAULT_MTU: f[F_ARG] = chance(d, 50) ? between(d, 1280, 1450) : between(d, 296, 1280); break;
    case FAULT_BLACK_HOLE: f[F_ARG] = between(d, 296, 1450); break;
    case FAULT_UNREACHABLE: f[F_ARG] = between(d, 0, 15), f[F_FOR_MS] = spread(d, 100, 10000); break;
    default: break;
    }
}

static void draw_host_fault(struct drawer *d, uint32_t *f)
{
    f[F_PLACE] = between(d, 0, d->hosts - 1);
    switch (f[F_WHAT]) {
    case FAULT_SLEEP: f[F_FOR_MS] = spread(d, 100, d->calm_ms); break;
    case FAULT_AHEAD: f[F_ARG] = spread(d, 1, 86400000); break;
    case FAULT_BACK: f[F_ARG] = spread(d, 1, 20000); break;
    case FAULT_LINK_MTU: f[F_ARG] = between(d, 1280, 1500); break;
    default: break;
    }
}

static void draw_fault(struct drawer *d)
{
    static const uint8_t what[FAULTS_DRAWN + 1] = {14, 8, 8, 6, 7, 6, 3, 6, 5, 5, 6, 4, 4, 2, 2,
                                             3,  8, 4, 4, 3, 4, 4, 4, 3, 3};
    uint32_t *f = add(d, ITEM_FAULT)->f;
    f[F_WHAT] = weighed(d, what);
    f[F_FROM_MS] = between(d, 0, d->calm_ms < 60000 ? d->calm_ms : 60000);
    f[F_FOR_MS] = spread(d, 50, d->calm_ms);
    if (f[F_WHAT] < FAULT_WIRES)
        draw_wire_fault(d, f);
    else
        draw_host_fault(d, f);
}

static void draw_attack(struct drawer *d)
{
    uint32_t *f = add(d, ITEM_ATTACK)->f;
    f[A_WHAT] = between(d, 0, ATTACKS - 1);
    f[A_CONN] = between(d, 0, d->conns - 1);
    f[A_SIDE] = between(d, 0, 1);
    f[A_FROM_MS] = d->p->item[d->first_conn + f[A_CONN]].f[C_START_MS] + spread(d, 0, 4000);
    f[A_COUNT] = spread(d, 1, f[A_WHAT] == ATTACK_SYN_FLOOD ? 600 : 80);
    f[A_GAP_US] = spread(d, 10, 100000);
    if (f[A_WHAT] == ATTACK_NEAR_TEXT)
        f[A_COUNT] = 600, f[A_GAP_US] = spread(d, 500, 50000); /* it waits for the FIN */
}

void plan_draw(struct plan *p, uint64_t seed)
{
    struct drawer d = {.p = p, .rng = {seed * 0x2545f4914f6cdd1du + 1}};
    p->seed = seed;
    p->n = 0;
    draw_world(&d);
    for (uint32_t i = 0; i < d.hosts; i++)
        draw_host(&d, i);
    draw_trunks(&d);
    d.first_conn = p->n;
    uint32_t conns = 3 + d.hosts * between(&d, 2, 5);
    for (uint32_t i = 0; i < conns && !full(&d); i++)
        draw_conn(&d);
    d.conns = p->n - d.first_conn;
    uint32_t faults = d.clean ? 0 : between(&d, 1, 3 + d.hosts);
    for (uint32_t i = 0; i < faults && !full(&d); i++)
        draw_fault(&d);
    uint32_t attacks = d.clean || d.conns == 0 || chance(&d, 55) ? 0 : spread(&d, 1, 3 + d.hosts);
    for (uint32_t i = 0; i < attacks && !full(&d); i++)
        draw_attack(&d);
}
