/* lab.c - the lab's stack, its clock, and what goes in and out. See lab.h. */
#include "lab/lab.h"

#include "tcp/tcp.h"

#define TRACE_RECORDS 4096

static void default_flows(struct lab *l)
{
    for (int i = 0; i < LAB_FLOWS; i++) {
        struct lab_flow *f = &l->flow[i];
        *f = (struct lab_flow){
            .local = {.ip = l->ip, .port = 80},
            .peer = {.ip = l->peer_ip, .port = (uint16_t)(40000 + i)},
            .peer_iss =
                (l->variant && l->variant->peer_iss ? l->variant->peer_iss : 1000000) + 100000u * (uint32_t)i,
            .win = 65535,
        };
    }
}

static tern_ip address(bool v6, uint8_t host)
{
    tern_ip ip = {{0x20, 0x01, 0x0d, 0xb8}};
    ip.b[15] = host;
    return v6 ? ip : tern_ip4(10, 0, 0, host);
}

static void make_link_local(tern_ip *ip)
{
    uint8_t host = ip->b[15];
    *ip = (tern_ip){{0xfe, 0x80}};
    ip->b[15] = host;
}

static void make_stack(struct lab *l)
{
    tern_config c = l->cfg.stack;
    c.by_steps |= l->variant && l->variant->by_steps;
    c.trace = l->trace;
    c.trace_records = TRACE_RECORDS;
    assert_int_equal(tern_create(&l->t, &c, l->block, l->cfg.memory), 0);
    tern_tick(l->t, l->now);
    tern_link_info info = {.mtu = l->cfg.mtu, .gso_max = l->cfg.gso_max, .tx_csum = l->cfg.tx_csum};
    l->link = tern_link_add(l->t, &info);
    assert_true(l->link > 0);
    assert_int_equal(tern_addr_add(l->t, l->link, &l->ip, tern_ip_is4(&l->ip) ? 24 : 64), 0);
}

static void *must(void *p)
{
    assert_non_null(p);
    return p;
}

static struct lab *lab_make(const struct lab_variant *v, const struct lab_config *cfg)
{
    struct lab *l = must(calloc(1, sizeof(*l)));
    l->variant = v;
    if (cfg)
        l->cfg = *cfg;
    bool v6 = (v && v->v6) || l->cfg.link_local;
    l->cfg.mtu = l->cfg.mtu ? l->cfg.mtu : v6 ? 1520 : 1500;
    l->cfg.memory = l->cfg.memory ? l->cfg.memory : 8u << 20;
    l->now = l->mark = l->cfg.start ? l->cfg.start : SEC;
    l->ip = address(v6, 1);
    l->peer_ip = address(v6, 2);
    if (l->cfg.link_local)
        make_link_local(&l->ip), make_link_local(&l->peer_ip);
    l->block = must(aligned_alloc(16, (l->cfg.memory + 15) & ~(size_t)15));
    l->trace = must(aligned_alloc(16, TRACE_RECORDS * sizeof(*l->trace)));
    default_flows(l);
    make_stack(l);
    return l;
}

struct lab *lab_new(void **state, const struct lab_config *cfg)
{
    return lab_make(state ? *state : NULL, cfg);
}

static void lab_free(struct lab *l)
{
    lab_forget(l);
    free(l->last.bytes);
    free(l->outs);
    for (int i = 0; i < l->n_batch; i++)
        free(l->batch[i]);
    tern_destroy(l->t);
    free(l->block);
    free(l->trace);
    free(l);
}

void lab_fail(struct lab *l, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "\n# %s:%d:%s%s\n#   ", l->file ? l->file : "?", l->line, l->variant ? " variant " : "",
            l->variant ? l->variant->name : "");
    if (l->line_text)
        fprintf(stderr, "at \"%s\": ", l->line_text);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    lab_print_trace(stderr, l, 40);
    _fail(l->file ? l->file : __FILE__, l->line);
    abort(); /* not reached: _fail jumps */
}

bool lab_check_now(void)
{
    static unsigned each, turn;
    if (each == 0) {
        const char *said = getenv("TERN_CHECK_EACH");
        each = said && atoi(said) > 0 ? (unsigned)atoi(said) : 1;
    }
    return turn++ % each == 0;
}

void lab_collect(struct lab *l)
{
    tern_tx_packet pkts[4];
    int n;
    int rounds = 0;
    bool check = lab_check_now();
    if (check)
        tcp_check_all(l->t);
    while ((n = tern_tx(l->t, l->now, pkts, 4)) > 0) {
        for (int i = 0; i < n; i++)
            lab_capture(l, &pkts[i]);
        if (++rounds > 100000)
            lab_fail(l, "tern_tx never says 0");
    }
    if (check)
        tcp_check_all(l->t);
    if (tern_next_deadline(l->t) == 0)
        lab_fail(l, "tern_next_deadline says that output waits, and tern_tx gave none");
}

void lab_run_until(struct lab *l, uint64_t t, bool stop_at_output)
{
    int rounds = 0;
    bool ticked = false;
    lab_collect(l);
    while (!(stop_at_output && lab_pending(l) > 0)) {
        uint64_t next = tern_next_deadline(l->t);
        if (l->now >= t && !(ticked && next <= l->now))
            return; /* one call need not have done all that was due at t */
        if (next <= l->now && ++rounds > 1000)
            lab_fail(l, "tern_next_deadline stands still at %llu", (unsigned long long)next);
        rounds = next > l->now ? 0 : rounds;
        if (next > l->now)
            l->now = next < t ? next : t;
        tern_tick(l->t, l->now);
        ticked = true;
        lab_collect(l);
        if (t == LAB_NEVER && next == LAB_NEVER)
            return;
    }
}

void lab_run(struct lab *l, uint64_t us)
{
    lab_run_until(l, l->now + us, false);
}

static int deliver(struct lab *l, tern_rx_packet *pkts, int n)
{
    int taken = tern_rx(l->t, l->now, pkts, n);
    int count = 0;
    for (int i = 0; i < n; i++)
        count += pkts[i].verdict == TERN_TAKEN;
    if (taken != count)
        lab_fail(l, "tern_rx returned %d, and %d packets have the verdict TAKEN", taken, count);
    l->last_rx = pkts[n - 1];
    lab_collect(l);
    return pkts[n - 1].verdict;
}

int lab_rx_gso(struct lab *l, const uint8_t *pkt, uint32_t len, uint16_t gso_size)
{
    /* a block of exactly this size, so that the sanitizer sees reads beyond it */
    uint8_t *exact = must(malloc(len));
    memcpy(exact, pkt, len);
    tern_rx_packet p = {.data = exact, .len = len, .gso_size = gso_size, .link = (uint8_t)l->link};
    int verdict = deliver(l, &p, 1);
    free(exact);
    return verdict;
}

int lab_rx(struct lab *l, const uint8_t *pkt, uint32_t len)
{
    return lab_rx_gso(l, pkt, len, 0);
}

const struct lab_out *lab_next(struct lab *l)
{
    if (l->n_outs == 0)
        return NULL;
    free(l->last.bytes);
    l->last = l->outs[l->first_out++];
    l->n_outs--;
    return &l->last;
}

size_t lab_pending(const struct lab *l)
{
    return l->n_outs;
}

void lab_forget(struct lab *l)
{
    while (l->n_outs > 0)
        free(l->outs[l->first_out++].bytes), l->n_outs--;
}

tern_live lab_live(struct lab *l)
{
    tern_live live;
    tern_get_live(l->t, &live);
    return live;
}

tern_stats lab_stats(struct lab *l)
{
    tern_stats stats;
    tern_get_stats(l->t, &stats);
    return stats;
}

static void all_dead(struct lab *l)
{
    tern_live v = lab_live(l);
    if (v.listeners || v.halfopen || v.tcbs || v.timewait || v.chunks || v.sendrecs || v.ranges || v.timers ||
        v.fragments || v.replies)
        lab_fail(l,
                 "alive at the end: %u listeners, %u half-open, %u tcbs, %u TIME_WAIT, %u chunks, %u send "
                 "records, %u ranges, %u timers, %u fragments, %u replies",
                 v.listeners, v.halfopen, v.tcbs, v.timewait, v.chunks, v.sendrecs, v.ranges, v.timers,
                 v.fragments, v.replies);
    if (tern_next_deadline(l->t) != LAB_NEVER)
        lab_fail(l, "nothing is alive and yet a deadline is named");
}

void lab_end(struct lab *l)
{
    l->done = true;
    l->line_text = "the end";
    for (int i = 0; i < LAB_FLOWS; i++) {
        if (l->flow[i].h.v)
            tern_abort(l->t, l->flow[i].h);
        if (l->flow[i].old.v)
            tern_abort(l->t, l->flow[i].old);
        lab_collect(l);
    }
    if (l->listener.v)
        tern_close(l->t, l->listener);
    lab_collect(l);
    lab_run(l, 3000 * SEC);
    all_dead(l);
    lab_free(l);
}

/* --- initial numbers by choice --- */

/* What ISN would tern choose now? Ask a stack that is the same in everything. */
static uint32_t isn_now(const struct lab *l, int flow, bool active)
{
    struct lab_config cfg = l->cfg;
    cfg.start = l->now;
    struct lab_variant plain = {.name = "tuning", .v6 = l->variant->v6, .peer_iss = l->variant->peer_iss};
    struct lab *twin = lab_make(&plain, &cfg);
    twin->tuned = true;
    twin->flow[flow].local = l->flow[flow].local;
    twin->flow[flow].peer = l->flow[flow].peer;
    if (active) {
        assert_int_equal(lab_connect_call(twin, flow), 0);
    } else {
        assert_int_equal(lab_listen_call(twin), 0);
        lab_talkf(twin, __FILE__, __LINE__, "%d< S 0", flow);
    }
    if (!twin->flow[flow].iss_known)
        lab_fail(twin, "no SYN came");
    uint32_t iss = twin->flow[flow].iss;
    lab_free(twin);
    return iss;
}

/* RFC 6528: the ISN grows by one every 4 us. So any ISN can be had by waiting for it. */
void lab_tune(struct lab *l, int flow, bool active)
{
    if (l->tuned || !l->variant || !l->variant->has_iss || !ip_eq(&l->flow[flow].local.ip, &l->ip))
        return;
    l->tuned = true;
    uint32_t ahead = l->variant->iss - isn_now(l, flow, active);
    l->now += 4ull * ahead;
    l->mark = l->now;
    tern_tick(l->t, l->now);
}
