/* hosts.c - the stacks of a world, and what happens to their machines.
 *
 * Each host has its own clock: the world's, plus what it is ahead. A machine may crash and come back knowing
 * nothing, stand still for a while, be written down and read again in another place; its clock may leap, its
 * address and its link may be taken away. The programs on it go on through all but a crash.
 */
#include "audit.h"
#include "net.h"
#include "record.h"
#include "trial.h"

#include <tern/lent.h>
#include <tern/net.h>
#include <tern/snapshot.h>

#include <stdlib.h>
#include <string.h>

enum { BLOCK_LEAST = 64 << 10 };

uint64_t net_local(const struct net *n, const struct net_host *h)
{
    return (uint64_t)((int64_t)n->now + h->ahead_us);
}

/* --- making ---------------------------------------------------------------------------------- */

static void configure(const struct net *n, int host, tern_config *c)
{
    struct net_host *h = &n->host[host];
    const uint32_t *f = h->plan;
    memset(c, 0, sizeof *c);
    struct rng rng = {n->plan->seed * 51 + (uint64_t)host * 7919 + h->boots};
    for (size_t i = 0; i < sizeof c->seed; i++)
        c->seed[i] = (uint8_t)rng_next(&rng);
    c->page_size = f[H_PAGE_BITS] ? 1u << f[H_PAGE_BITS] : 0;
    c->msl_ms = f[H_MSL_MS];
    c->time_wait_max = f[H_TIME_WAIT_MAX];
    c->rto_min_us = f[H_RTO_MIN_US];
    c->rto_max_us = f[H_RTO_MAX_US];
    c->delack_us = f[H_DELACK_US];
    c->syn_retries_ms = f[H_SYN_RETRIES_MS];
    c->synack_retries = f[H_SYNACK_RETRIES];
    c->retries_ms = f[H_RETRIES_MS];
    c->fin_wait2_ms = f[H_FIN_WAIT2_MS];
    c->rest_ms = f[H_REST_MS];
    c->send_buffer = f[H_SEND_BUFFER];
    c->recv_buffer = f[H_RECV_BUFFER];
    c->port_low = f[H_PORTS] ? 40000 : 0;
    c->port_high = f[H_PORTS] ? (uint16_t)(39999 + f[H_PORTS]) : 0;
    c->ecn = (uint8_t)f[H_ECN];
    c->no_timestamps = (uint8_t)f[H_NO_TS];
    c->no_wscale = (uint8_t)f[H_NO_WSCALE];
    c->no_sack = (uint8_t)f[H_NO_SACK];
    c->unclaimed_rst = f[H_NO_RST] ? TERN_RST_NO : TERN_RST_YES;
    c->by_steps = n->by_steps;
    c->trace = h->ring;
    c->trace_records = n->rec != NULL ? RING : RING_UNRECORDED;
}

static void name_addresses(struct net_host *h, int host)
{
    uint32_t nat = h->plan[H_NAT];
    h->ip4 =
        nat ? tern_ip4(10, 0, (uint8_t)nat, (uint8_t)(host + 1)) : tern_ip4(192, 0, 2, (uint8_t)(host + 1));
    h->ip6 = (tern_ip){{0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(host + 1)}};
    h->local = (tern_ip){{0xfe, 0x80, [15] = (uint8_t)(host + 1)}};
}

static void add_addrs(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    if (h->plan[H_FAMILY] & 1)
        tern_addr_add(h->t, h->link, &h->ip4, 24);
    if (h->plan[H_FAMILY] & 2)
        tern_addr_add(h->t, h->link, &h->ip6, 64);
}

static void add_link(struct net *n, int host)
{
    static const tern_ip any6;
    struct net_host *h = &n->host[host];
    tern_ip any4 = tern_ip4(0, 0, 0, 0);
    tern_link_info info = {.mtu = h->plan[H_MTU], .gso_max = h->plan[H_GSO], .tx_csum = !h->plan[H_NO_CSUM]};
    h->link = tern_link_add(h->t, &info);
    add_addrs(n, host);
    if (h->plan[H_FAMILY] & 2) {
        tern_addr_add(h->t, h->link, &h->local, 10);
        tern_route_add(h->t, h->link, &any6, 0);
    }
    if (h->plan[H_FAMILY] & 1)
        tern_route_add(h->t, h->link, &any4, 0);
}

static bool get_block(struct net *n, struct net_host *h)
{
    tern_config c;
    configure(n, (int)(h - n->host), &c);
    size_t least = tern_min_size(&c), wanted = h->plan[H_MEMORY_KB] * (size_t)1024;
    size_t size = ((wanted > least + BLOCK_LEAST ? wanted : least + BLOCK_LEAST) + 63) & ~(size_t)63;
    if (h->room < size) {
        free(h->block);
        free(h->spare);
        h->spare = NULL;
        h->block = aligned_alloc(64, size);
        h->room = h->block != NULL ? size : 0;
    }
    h->size = size;
    h->config = c;
    return h->block != NULL;
}

static void only_states(const struct net *n, struct net_host *h)
{
    if (n->rec == NULL)
        tern_trace_only(h->t, 1u << TERN_TRACE_STATE);
}

void host_make(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    name_addresses(h, host);
    h->t = NULL;
    h->asleep = false;
    h->next_us = NEVER_US;
    h->listener.v = 0;
    h->link = 0;
    h->region = 0;
    h->accept_waits = false;
    if (!get_block(n, h) || tern_create(&h->t, &h->config, h->block, h->size) < 0) {
        net_complain(n, WRONG_RESULT, -1, "the stack of host %d cannot be made", host);
        h->t = NULL;
        return;
    }
    h->boots++;
    only_states(n, h);
    tern_tick(h->t, net_local(n, h));
    add_link(n, host);
    h->region = tern_region_add(h->t, n->stream, STREAM_ROOM);
    host_listen(n, host);
}

/* --- verbs ----------------------------------------------------------------------------------- */

static void flush(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    int k, most = n->rec != NULL ? 1 : (int)(sizeof n->tx / sizeof n->tx[0]);
    if (n->rec != NULL)
        record_pull(n, host); /* what happened before */
    while ((k = tern_tx(h->t, net_local(n, h), n->tx, most)) > 0)
        for (int i = 0; i < k; i++) {
            if (n->rec != NULL)
                record_pull(n, host);
            wires_send(n, host, &n->tx[i]);
        }
}

static void count_edge(struct net *n, const tern_trace_record *r)
{
    n->counts->edges[r->cause][r->state][r->state_to]++;
    n->counts->states[r->state_to]++;
}

static int next_states(struct net *n, int host, tern_trace_record *out, int max)
{
    if (n->rec != NULL)
        return record_kept(n, out);
    return tern_trace_take(n->host[host].t, out, max, NULL);
}

static void read_trace(struct net *n, int host)
{
    tern_trace_record r[32];
    int k;
    if (n->rec != NULL)
        record_pull(n, host);
    while ((k = next_states(n, host, r, 32)) > 0)
        for (int i = 0; i < k; i++) {
            count_edge(n, &r[i]);
            program_state(n, host, &r[i]);
        }
}

static void check(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    tern_live live;
    n->counts->verbs++;
    if (n->check_every == 0 || ++h->verbs % n->check_every != 0)
        return;
    n->counts->checks++;
    tern_check(h->t);
    tern_get_live(h->t, &live);
    if (live.arena_used > h->size)
        net_complain(n, OVER_BUDGET, -1, "host %d uses %llu bytes of %zu", host,
                     (unsigned long long)live.arena_used, h->size);
}

static void next_call(struct net *n, struct net_host *h)
{
    uint64_t d = tern_next_deadline(h->t), local = net_local(n, h);
    h->next_us = d == UINT64_MAX ? NEVER_US : d <= local ? n->now : n->now + (d - local);
    if (h->asleep)
        h->next_us = NEVER_US;
}

void host_settle(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    if (h->plan[H_FLUSH_FIRST])
        flush(n, host);
    program_events(n, host);
    flush(n, host);
    while (program_events(n, host)) /* what output has raised */
        flush(n, host);
    audit_settled(n, host);
    read_trace(n, host);
    check(n, host);
    trial_now(n, host);
    next_call(n, h);
}

void host_tick(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    tern_tick(h->t, net_local(n, h));
    host_settle(n, host);
}

void host_receive(struct net *n, int host, uint32_t *packets, uint32_t count)
{
    struct net_host *h = &n->host[host];
    tern_rx_packet rx[BATCH_MOST];
    bool deaf = h->t == NULL || h->asleep;
    for (uint32_t i = 0; i < count; i++) {
        struct net_packet *p = n->packet[packets[i]];
        uint8_t link = (uint8_t)(h->link != 0 ? h->link : 1);
        rx[i] = (tern_rx_packet){.data = p->bytes, .len = p->len, .link = link, .flags = p->flags};
    }
    for (uint32_t i = 0; i < count && !deaf && count == 1; i++)
        trial_arrival(n, host, n->packet[packets[i]]);
    if (!deaf)
        tern_rx(h->t, net_local(n, h), rx, (int)count);
    for (uint32_t i = 0; i < count; i++) {
        if (!deaf && n->check_every != 0)
            audit_arrived(n, host, n->packet[packets[i]], &rx[i]);
        if (n->rec != NULL && !deaf)
            record_arrived(n, n->packet[packets[i]], rx[i].cause);
        net_packet_drop(n, packets[i]);
    }
    if (!deaf)
        host_settle(n, host);
}

/* --- what happens to machines ---------------------------------------------------------------- */

static void take_stats(struct net *n, struct net_host *h)
{
    tern_stats s;
    tern_get_stats(h->t, &s);
    for (uint32_t i = 0; i < TERN_CAUSES; i++)
        n->counts->drops[i] += s.dropped[i];
}

void host_end(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    if (h->t == NULL)
        return;
    take_stats(n, h);
    tern_destroy(h->t);
    h->t = NULL;
    h->next_us = NEVER_US;
}

void host_crash(struct net *n, int host, uint64_t back_us)
{
    if (n->host[host].t == NULL)
        return;
    record_note(n, host, -1, "the machine crashes");
    net_excuse(n, host, EXCUSE_CRASH);
    program_crashed(n, host);
    host_end(n, host);
    audit_forget(n, host);
    net_later(n, back_us, COMES_HOST, (uint32_t)host | HOST_BOOTS);
}

static void complain_of_move(struct net *n, int host, const char *what)
{
    net_complain(n, WRONG_RESULT, -1, "host %d: %s", host, what);
}

/* Written down, read again in the other block, and what it was before is gone. */
static void move(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    uint64_t before[2], after[2];
    tern *copy;
    size_t size = tern_snapshot_size(h->t);
    uint8_t *image = malloc(size);
    if (h->spare == NULL)
        h->spare = aligned_alloc(64, h->room);
    if (image == NULL || h->spare == NULL) {
        free(image);
        return;
    }
    record_note(n, host, -1, "the stack is written down and read again");
    tern_live live;
    tern_get_live(h->t, &live); /* what is lent comes back in the copy */
    tern_digest(h->t, before);
    if (tern_snapshot(h->t, image, size) < 0 || tern_restore(&copy, image, size, h->spare, h->size, h->ring,
                                                             n->rec != NULL ? RING : RING_UNRECORDED) < 0) {
        free(image); /* bytes in regions may have no room in the copy's budget: then nothing happens */
        return;
    }
    free(image);
    tern_digest(copy, after);
    if (live.lent + live.returned == 0 && (before[0] != after[0] || before[1] != after[1]))
        complain_of_move(n, host, "a stack that was written down and read again has another digest");
    tern_destroy(h->t);
    void *old = h->block;
    h->block = h->spare;
    h->spare = old;
    h->t = copy;
    only_states(n, h);
    h->region = tern_region_add(h->t, n->stream, STREAM_ROOM);
}

void host_addr(struct net *n, int host, bool there)
{
    struct net_host *h = &n->host[host];
    if (h->t == NULL || h->link == 0)
        return;
    record_note(n, host, -1, there ? "the address is there again" : "the address is taken away");
    net_excuse(n, host, EXCUSE_NET);
    if (there) {
        add_addrs(n, host);
        return;
    }
    tern_addr_remove(h->t, h->link, &h->ip4);
    tern_addr_remove(h->t, h->link, &h->ip6);
    audit_disturb(n, host, n->now);
    audit_gone(n, host, &h->ip4);
    audit_gone(n, host, &h->ip6);
}

void host_link(struct net *n, int host, bool there)
{
    struct net_host *h = &n->host[host];
    if (h->t == NULL || there == (h->link != 0))
        return;
    record_note(n, host, -1, there ? "the link is there again" : "the link is taken away");
    net_excuse(n, host, EXCUSE_NET);
    if (there) {
        add_link(n, host);
        return;
    }
    tern_link_remove(h->t, h->link);
    h->link = 0;
    audit_disturb(n, host, n->now);
    audit_gone(n, host, &h->local);
    audit_gone(n, host, &h->ip4);
    audit_gone(n, host, &h->ip6);
}

void host_listen(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    tern_endpoint any = {.port = SERVER_PORT};
    unsigned flags = h->plan[H_LISTEN] == LISTENING_DEFERRED ? TERN_LISTEN_DEFER : 0;
    if (h->t == NULL || h->listener.v != 0)
        return;
    int error = tern_listen_as(h->t, &any, h->plan[H_BACKLOG], flags, &h->listener);
    if (error < 0) {
        h->listener.v = 0;
        if (error != -TERN_ENOMEM)
            net_complain(n, WRONG_RESULT, -1, "host %d cannot listen: error %d", host, error);
        return;
    }
    tern_set_data(h->t, h->listener, LISTENER_DATA);
    if (h->plan[H_LISTEN] == LISTENING_COOKIES)
        tern_setopt(h->t, h->listener, TERN_OPT_COOKIES, TERN_COOKIES_ALWAYS);
    if (h->plan[H_LISTEN] == LISTENING_NO_COOKIES)
        tern_setopt(h->t, h->listener, TERN_OPT_COOKIES, TERN_COOKIES_NEVER);
}

void host_unlisten(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    if (h->t == NULL || h->listener.v == 0)
        return;
    record_note(n, host, -1, "the listener is closed");
    net_excuse(n, host, EXCUSE_NET);
    tern_close(h->t, h->listener);
    h->listener.v = 0;
}

static void clock_leaps(struct net *n, int host, int64_t us)
{
    struct net_host *h = &n->host[host];
    record_note(n, host, -1, us > 0 ? "the clock leaps ahead" : "the clock is set back");
    h->ahead_us += us;
    if (net_local(n, h) > (uint64_t)INT64_MAX) /* it is never before its own beginning */
        h->ahead_us = -(int64_t)n->now + 1;
    tern_tick(h->t, net_local(n, h));
}

static void link_mtu(struct net *n, int host, uint32_t mtu)
{
    struct net_host *h = &n->host[host];
    tern_link_info info = {.mtu = mtu, .gso_max = h->plan[H_GSO], .tx_csum = !h->plan[H_NO_CSUM]};
    if (h->link != 0)
        tern_link_set(h->t, h->link, &info);
}

static void sleep_now(struct net *n, int host, bool begins)
{
    struct net_host *h = &n->host[host];
    record_note(n, host, -1, begins ? "the machine stands still" : "the machine goes on");
    h->asleep = begins;
    if (begins)
        h->next_us = NEVER_US;
    else
        tern_tick(h->t, net_local(n, h));
}

static void fault_now(struct net *n, int host, const uint32_t *f, bool begins)
{
    struct net_host *h = &n->host[host];
    audit_disturb(n, host, n->now + (begins ? f[F_FOR_MS] * 1000ull : 0));
    switch (f[F_WHAT]) {
    case FAULT_MOVE: move(n, host); break;
    case FAULT_SLEEP: sleep_now(n, host, begins); break;
    case FAULT_AHEAD: clock_leaps(n, host, (int64_t)f[F_ARG] * 1000); break;
    case FAULT_BACK: clock_leaps(n, host, -(int64_t)f[F_ARG] * 1000); break;
    case FAULT_FORGET:
        if (h->plan[H_NAT] != 0)
            nat_forget(n, h->plan[H_NAT] - 1);
        break;
    case FAULT_LINK_DOWN:
        record_note(n, host, -1, begins ? "the interface goes down" : "the interface is up again");
        if (h->link != 0)
            tern_link_up(h->t, h->link, !begins);
        break;
    case FAULT_LINK_MTU: link_mtu(n, host, begins ? f[F_ARG] : h->plan[H_MTU]); break;
    case FAULT_RENUMBER: host_addr(n, host, !begins); break;
    case FAULT_UNLISTEN:
        if (begins)
            host_unlisten(n, host);
        else
            host_listen(n, host);
        break;
    default: break;
    }
}

void host_repair(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    audit_disturb(n, host, n->now);
    if (h->t == NULL || h->asleep)
        return;
    tern_tick(h->t, net_local(n, h));
    host_link(n, host, true);
    add_addrs(n, host);
    host_listen(n, host);
    host_settle(n, host);
}

void host_calm(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    if (h->t == NULL)
        return; /* it comes back just now */
    h->asleep = false;
    host_repair(n, host);
    tern_link_up(h->t, h->link, true);
    link_mtu(n, host, h->plan[H_MTU]);
    host_settle(n, host);
}

/* What has an end. */
static bool lasts(uint32_t what)
{
    return what == FAULT_SLEEP || what >= FAULT_LINK_DOWN;
}

void host_fault(struct net *n, uint32_t item, bool begins)
{
    const uint32_t *f = n->plan->item[item].f;
    int host = (int)(f[F_PLACE] % HOSTS_MOST);
    uint64_t over = n->now + f[F_FOR_MS] * 1000ull;
    if (!n->host[host].in || n->host[host].t == NULL)
        return; /* down; when it comes back all is new */
    over = over < n->calm_us ? over : n->calm_us;
    if (begins && lasts(f[F_WHAT]))
        net_later(n, over, COMES_HOST, item | HOST_RECOVERS);
    if (n->host[host].asleep && (begins || f[F_WHAT] != FAULT_SLEEP))
        return;
    if (f[F_WHAT] == FAULT_CRASH) {
        host_crash(n, host, over);
        return;
    }
    fault_now(n, host, f, begins);
    if (!n->host[host].asleep)
        host_settle(n, host);
}
