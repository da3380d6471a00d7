/* net.c - see net.h: the clock, and what happens next. */
#include "audit.h"
#include "guard.h"
#include "net.h"
#include "record.h"
#include "trial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { START_US = 0, NAT_NET = 100 };

/* --- memory that is used again --------------------------------------------------------------- */

struct net *net_new(void)
{
    struct net *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->host = calloc(HOSTS_MOST, sizeof *n->host);
    n->stream = malloc(STREAM_ROOM);
    n->scratch = malloc(1 << 16);
    n->audit = calloc(1, sizeof *n->audit);
    if (n->host == NULL || n->stream == NULL || n->scratch == NULL || n->audit == NULL)
        return net_free(n), NULL;
    n->calm_limit_us = CALM_LIMIT_US;
    judge_fill(n->stream, STREAM_ROOM);
    return n;
}

void net_free(struct net *n)
{
    for (uint32_t i = 0; n->host != NULL && i < HOSTS_MOST; i++) {
        free(n->host[i].block);
        free(n->host[i].spare);
    }
    for (uint32_t i = 0; i < n->packets; i++)
        free(n->packet[i]);
    free(n->packet);
    free(n->free_packet);
    free(n->host);
    free(n->end);
    free(n->heap);
    free(n->stream);
    free(n->scratch);
    free(n->audit);
    trial_free(n->trial);
    free(n);
}

static void more_packets(struct net *n)
{
    uint32_t want = n->packets_cap ? n->packets_cap * 2 : 256;
    n->packet = realloc(n->packet, want * sizeof *n->packet);
    n->free_packet = realloc(n->free_packet, want * sizeof *n->free_packet);
    n->packets_cap = want;
}

uint32_t net_packet_new(struct net *n)
{
    if (n->packets_free > 0)
        return n->free_packet[--n->packets_free];
    if (n->packets == n->packets_cap)
        more_packets(n);
    n->packet[n->packets] = calloc(1, sizeof **n->packet);
    return n->packets++;
}

void net_packet_drop(struct net *n, uint32_t p) { n->free_packet[n->packets_free++] = p; }

/* --- what is to come ------------------------------------------------------------------------- */

static bool before(const struct coming_up *a, const struct coming_up *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void net_later(struct net *n, uint64_t at, enum coming what, uint32_t index)
{
    if (n->heap_n == n->heap_cap) {
        n->heap_cap = n->heap_cap ? n->heap_cap * 2 : 1024;
        n->heap = realloc(n->heap, n->heap_cap * sizeof *n->heap);
    }
    struct coming_up c = {.at = at, .order = n->order++, .what = (uint32_t)what << 28 | index};
    uint32_t i = n->heap_n++;
    for (; i > 0 && before(&c, &n->heap[(i - 1) / 2]); i = (i - 1) / 2)
        n->heap[i] = n->heap[(i - 1) / 2];
    n->heap[i] = c;
}

static struct coming_up next(struct net *n)
{
    struct coming_up top = n->heap[0], last = n->heap[--n->heap_n];
    uint32_t i = 0;
    for (;;) {
        uint32_t c = 2 * i + 1;
        if (c >= n->heap_n)
            break;
        if (c + 1 < n->heap_n && before(&n->heap[c + 1], &n->heap[c]))
            c++;
        if (!before(&n->heap[c], &last))
            break;
        n->heap[i] = n->heap[c];
        i = c;
    }
    n->heap[i] = last;
    return top;
}

/* --- making ---------------------------------------------------------------------------------- */

void net_complain(struct net *n, enum complaint_kind kind, int end, const char *format, ...)
{
    char text[sizeof n->complaint.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n->complaint.kind != COMPLAINT_NONE)
        return;
    complain(&n->complaint, kind, "%s", text);
    n->complaint.at_us = n->now;
    n->complaint.end = end;
    n->complaint.conn = end >= 0 ? n->end[end].conn : -1;
}

void net_excuse(struct net *n, int host, unsigned excuses)
{
    for (uint32_t i = 0; i < n->n_conns; i++) {
        struct net_conn *c = &n->conn[i];
        if ((int)c->plan[C_CLIENT] == host || (int)c->plan[C_SERVER] == host)
            c->excuses |= excuses;
    }
}

static void forget_last_world(struct net *n)
{
    n->now = START_US;
    n->calm = false;
    n->n_hosts = n->n_ends = n->n_conns = n->open_ends = n->snares = 0;
    n->heap_n = n->order = 0;
    n->packets_free = 0;
    for (uint32_t i = 0; i < n->packets; i++)
        n->free_packet[n->packets_free++] = n->packets - 1 - i;
    memset(n->flow, 0, sizeof n->flow);
    audit_begin(n);
    memset(&n->complaint, 0, sizeof n->complaint);
    n->complaint.end = n->complaint.conn = -1;
    for (int i = 0; i < NATS_MOST; i++) {
        n->nat[i].ip = tern_ip4(198, 51, NAT_NET, (uint8_t)(i + 1));
        n->nat[i].next = 0;
        memset(n->nat[i].conn, 0xff, sizeof n->nat[i].conn);
    }
}

static void add_host(struct net *n, const struct item *item)
{
    struct net_host *h = &n->host[n->n_hosts++];
    h->plan = item->f;
    h->in = !item->out;
    h->t = NULL;
    h->next_us = NEVER_US;
    h->boots = h->verbs = 0;
    h->trials = 0;
    h->ahead_us = (int64_t)item->f[H_CLOCK_MS] * 1000 + 1000000;
    if (h->in && item->f[H_MSL_MS] * 1000 < n->lifetime_us)
        n->lifetime_us = item->f[H_MSL_MS] * 1000;
}

/* Both its hosts must be there, and have what it needs. */
static bool conn_possible(const struct net *n, const uint32_t *f)
{
    uint32_t a = f[C_CLIENT], b = f[C_SERVER];
    if (a == b || a >= n->n_hosts || b >= n->n_hosts || !n->host[a].in || !n->host[b].in)
        return false;
    uint32_t family = n->host[a].plan[H_FAMILY] & n->host[b].plan[H_FAMILY];
    return family & (f[C_IP6] || f[C_KIND] == CONN_LOCAL ? 2 : 1);
}

static void add_conn(struct net *n, uint32_t item)
{
    struct net_conn *c = &n->conn[n->n_conns];
    memset(c, 0, sizeof *c);
    c->plan = n->plan->item[item].f;
    c->item = item;
    c->end[0] = c->end[1] = -1;
    n->n_conns++;
    if (n->plan->item[item].out || !conn_possible(n, c->plan))
        return;
    uint64_t at = c->plan[C_START_MS] * 1000ull;
    c->watched = c->plan[C_WATCH] != 0 && c->plan[C_DO] != SNARE_NOTHING;
    n->snares += c->watched;
    n->counts->connections++;
    net_later(n, at, COMES_START, n->n_conns - 1);
    if (c->plan[C_KIND] == CONN_SIMULTANEOUS) {
        c->excuses |= EXCUSE_PROGRAM; /* the one that is early may be refused */
        net_later(n, at + c->plan[C_SKEW_US], COMES_START, (n->n_conns - 1) | 1u << 16);
    }
}

static void add_fault(struct net *n, uint32_t item)
{
    const uint32_t *f = n->plan->item[item].f;
    n->counts->faults[f[F_WHAT]]++;
    if (f[F_WHAT] >= FAULT_WIRES && f[F_WHAT] != FAULT_LIE && f[F_PLACE] < n->n_hosts)
        net_later(n, f[F_FROM_MS] * 1000ull, COMES_HOST, item);
}

static void add_attack(struct net *n, uint32_t item)
{
    const uint32_t *f = n->plan->item[item].f;
    n->counts->attacks[f[A_WHAT]]++;
    if (f[A_CONN] < n->n_conns && n->conn[f[A_CONN]].plan != NULL)
        net_later(n, f[A_FROM_MS] * 1000ull, COMES_ATTACK, item);
}

static void make(struct net *n)
{
    const struct plan *plan = n->plan;
    bool troubled = false;
    n->calm_us = plan->item[0].f[W_CALM_MS] * 1000ull;
    n->lifetime_us = UINT32_MAX;
    n->dice.s = plan->seed * 3 + 7;
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct item *item = &plan->item[i];
        if (item->kind == ITEM_HOST)
            add_host(n, item);
        else if (item->kind == ITEM_CONN)
            add_conn(n, i);
        else if (item->kind == ITEM_FAULT && !item->out)
            troubled = true, add_fault(n, i);
        else if (item->kind == ITEM_ATTACK && !item->out)
            troubled = true, add_attack(n, i);
    }
    wires_make(n);
    for (uint32_t i = 0; i < n->n_hosts; i++)
        if (n->host[i].in)
            host_make(n, (int)i);
    for (uint32_t i = 0; i < n->n_hosts; i++)
        if (n->host[i].in && n->host[i].t != NULL)
            host_settle(n, (int)i);
    for (uint32_t i = 0; i < n->n_conns && (troubled || n->snares > 0); i++)
        n->conn[i].excuses |= EXCUSE_FAULTS;
    net_later(n, n->calm_us, COMES_CALM, 0);
}

/* --- playing --------------------------------------------------------------------------------- */

/* All that has arrived at this host by now. */
static void packets_come(struct net *n, uint32_t first)
{
    uint32_t batch[BATCH_MOST], count = 0;
    int host = n->packet[first]->to;
    batch[count++] = first;
    while (count < BATCH_MOST && n->heap_n > 0 && n->heap[0].at <= n->now &&
           n->heap[0].what >> 28 == COMES_PACKET && n->packet[n->heap[0].what & 0xfffffff]->to == host)
        batch[count++] = next(n).what & 0xfffffff;
    host_receive(n, host, batch, count);
}

static void end_comes(struct net *n, uint32_t end)
{
    struct net_end *e = &n->end[end];
    struct net_host *h = &n->host[e->host];
    if (e->wake_us != n->now || e->over)
        return;
    e->wake_us = 0;
    if (h->t == NULL)
        return;
    if (!h->asleep)
        tern_tick(h->t, net_local(n, h));
    program_act(n, end);
    if (!h->asleep)
        host_settle(n, e->host);
}

static void host_comes(struct net *n, uint32_t index)
{
    uint32_t what = index & INDEX_MASK;
    if (index & HOST_BOOTS) {
        host_make(n, (int)what);
        if (n->host[what].t != NULL)
            host_settle(n, (int)what);
    } else if (index & HOST_REPAIRS) {
        host_repair(n, (int)what);
    } else {
        host_fault(n, what, !(index & HOST_RECOVERS));
    }
}

static void calm_comes(struct net *n)
{
    n->calm = true;
    record_note(n, -1, -1, "the faults stop");
    for (uint32_t i = 0; i < n->n_hosts; i++)
        host_calm(n, (int)i);
    program_calm(n);
}

static void accept_comes(struct net *n, int host)
{
    program_accept(n, host);
    if (n->host[host].t != NULL && !n->host[host].asleep)
        host_settle(n, host);
}

static void attack_comes(struct net *n, uint32_t item)
{
    const uint32_t *f = n->plan->item[item].f;
    uint32_t round = n->attack_round[item]++;
    if (n->calm)
        return;
    attack_now(n, item, round);
    if (round + 1 < f[A_COUNT])
        net_later(n, n->now + f[A_GAP_US], COMES_ATTACK, item);
}

static void happens(struct net *n, struct coming_up c)
{
    uint32_t index = c.what & 0xfffffff;
    switch ((enum coming)(c.what >> 28)) {
    case COMES_PACKET: packets_come(n, index); break;
    case COMES_END: end_comes(n, index); break;
    case COMES_START: program_start(n, index & 0xffff, index >> 16); break;
    case COMES_SNARE: program_snare(n, index); break;
    case COMES_HOST: host_comes(n, index); break;
    case COMES_ATTACK: attack_comes(n, index); break;
    case COMES_ACCEPT: accept_comes(n, (int)index); break;
    case COMES_CALM: calm_comes(n); break;
    }
}

static int first_host(const struct net *n)
{
    uint64_t first = NEVER_US;
    int which = -1;
    for (uint32_t i = 0; i < n->n_hosts; i++)
        if (n->host[i].next_us < first) {
            first = n->host[i].next_us;
            which = (int)i;
        }
    return which;
}

/* One thing happens. False: nothing is to come. */
static bool step(struct net *n)
{
    int host = first_host(n);
    uint64_t by_host = host >= 0 ? n->host[host].next_us : NEVER_US;
    uint64_t by_heap = n->heap_n > 0 ? n->heap[0].at : NEVER_US;
    if (by_host == NEVER_US && by_heap == NEVER_US)
        return false;
    if (by_heap <= by_host) {
        n->now = by_heap > n->now ? by_heap : n->now;
        happens(n, next(n));
    } else {
        n->now = by_host > n->now ? by_host : n->now;
        host_tick(n, host);
    }
    return true;
}

static void complain_stuck(struct net *n)
{
    for (uint32_t i = 0; i < n->n_ends; i++) {
        struct net_end *e = &n->end[i];
        tern_info info = {0};
        if (e->over)
            continue;
        tern_get_info(n->host[e->host].t, e->h, &info);
        net_complain(
            n, STUCK, (int)i, "%s, and it does not end: sent %llu, got %llu, %s; %u queued, %u in flight",
            tern_state_name(info.state), (unsigned long long)e->j.sent, (unsigned long long)e->j.got,
            e->j.eof ? "end of stream read" : "no end of stream", info.send_queue, info.send_unacked);
        return;
    }
    net_complain(n, STUCK, -1, "stacks still have something to do, and it does not end");
}

/* Only listeners may be left, and those go now. */
static void close_listeners(struct net *n)
{
    for (uint32_t i = 0; i < n->n_hosts; i++) {
        struct net_host *h = &n->host[i];
        if (h->t == NULL || h->listener.v == 0)
            continue;
        tern_tick(h->t, net_local(n, h));
        tern_close(h->t, h->listener);
        h->listener.v = 0;
        host_settle(n, (int)i);
    }
}

static void judge_left_over(struct net *n, int host)
{
    struct net_host *h = &n->host[host];
    tern_live v;
    if (h->t == NULL)
        return;
    tern_get_live(h->t, &v);
    uint64_t left = (uint64_t)v.listeners + v.halfopen + v.tcbs + v.timewait + v.chunks + v.sendrecs +
                    v.ranges + v.timers + v.pieces + v.lent + v.returned + v.kept + v.taken + v.fragments +
                    v.replies;
    if (left != 0)
        net_complain(
            n, LEFT_OVER, -1,
            "host %d has at the end: %u listeners, %u half-open, %u connections, %u in TIME_WAIT, "
            "%u chunks, %u sendrecs, %u ranges, %u timers, %u pieces, %u lent, %u fragments, %u replies",
            host, v.listeners, v.halfopen, v.tcbs, v.timewait, v.chunks, v.sendrecs, v.ranges, v.timers,
            v.pieces, v.lent, v.fragments, v.replies);
}

static void run(struct net *n)
{
    uint64_t limit = n->calm_us + n->calm_limit_us;
    uint64_t moves = 0, ends_us = 0;
    bool listening = true;
    while (n->complaint.kind == COMPLAINT_NONE && (step(n) || listening)) {
        if (n->open_ends > 0)
            ends_us = n->now;
        if (listening && n->calm && n->open_ends == 0 && n->heap_n == 0) {
            listening = false;
            close_listeners(n);
        }
        if (n->calm && n->open_ends > 0 && n->heap_n == 0 && first_host(n) < 0)
            complain_stuck(n);
        if (n->now > limit || ++moves > MOVES_MOST)
            complain_stuck(n);
    }
    for (uint32_t i = 0; i < n->n_hosts && n->complaint.kind == COMPLAINT_NONE; i++)
        judge_left_over(n, (int)i);
    if (ends_us > n->calm_us && ends_us - n->calm_us > n->counts->slowest_us)
        n->counts->slowest_us = ends_us - n->calm_us;
}

static void count_conn(struct net_counts *k, const struct net *n, const struct net_conn *c)
{
    if (c->end[0] < 0 && c->end[1] < 0)
        return;
    k->per_conn[c->segments < PER_CONN_MOST ? c->segments : PER_CONN_MOST - 1]++;
    if (c->end[0] < 0 || c->end[1] < 0)
        return;
    k->both_ends++;
    k->in_order += n->end[c->end[0]].j.eof && n->end[c->end[1]].j.eof;
}

static void count(struct net *n)
{
    struct net_counts *k = n->counts;
    k->worlds++;
    k->virtual_us += n->now;
    for (uint32_t i = 0; i < n->n_conns; i++)
        count_conn(k, n, &n->conn[i]);
}

static void play(void *ctx)
{
    struct net *n = ctx;
    make(n);
    run(n);
}

void net_play(struct net *n, const struct plan *plan, struct net_counts *counts, uint32_t check_every,
              struct recorder *rec)
{
    n->plan = plan;
    n->counts = counts;
    n->check_every = check_every;
    n->rec = rec;
    memset(n->attack_round, 0, sizeof n->attack_round);
    forget_last_world(n);
    uintptr_t where = guard(play, n);
    if (where != 0 && n->complaint.kind == COMPLAINT_NONE) {
        net_complain(n, TRAPPED, -1,
                     "an assertion of the stack does not hold (or memory was read that is not there)");
        n->complaint.where = where;
    }
    count(n);
    for (uint32_t i = 0; i < n->n_hosts; i++) {
        if (where == 0)
            host_end(n, (int)i);
        n->host[i].t = NULL;
    }
}
