/* audit_flow.c - see audit.h: the records of connections, and what may follow a call. */
#include "audit.h"

#include <tern/stats.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void audit_begin(struct net *n)
{
    struct audit *a = n->audit;
    a->n = a->n_owing = 0;
    memset(a->slot, 0, sizeof a->slot);
    memset(a->clock_us, 0, sizeof a->clock_us);
    memset(a->blurred, 0, sizeof a->blurred);
}

void audit_forget(struct net *n, int host)
{
    for (uint32_t i = 0; i < n->audit->n; i++)
        if (n->audit->flow[i].host == host) {
            struct audit_flow *f = &n->audit->flow[i];
            f->twice |= f->ours.there; /* what goes on has options of SYNs that are forgotten here */
            f->known = f->ours.there = f->its.there = false;
        }
    n->audit->n_owing = 0;
    audit_disturb(n, host, n->now);
}

void audit_disturb(struct net *n, int host, uint64_t until_us)
{
    uint64_t *c = &n->audit->clock_us[host];
    *c = until_us > *c ? until_us : *c;
}

static uint32_t slot_of(int host, const tern_endpoint *local, const tern_endpoint *remote)
{
    uint32_t h = (uint32_t)host * 31 + local->port;
    h = h * 31 + remote->port;
    for (int i = 8; i < 16; i++)
        h = h * 31 + remote->ip.b[i];
    return h % AUDIT_SLOTS;
}

bool audit_follows(struct net *n, struct audit_flow *f)
{
    tern_stats stats;
    if (!f->known || !f->fin_sent || f->una != f->fin_end || !f->fin_came)
        return f->known;
    tern_get_stats(n->host[f->host].t, &stats);
    if (stats.cookies_sent > 0) {
        f->known = false;
        f->twice = true;
    }
    return f->known;
}

struct audit_flow *audit_find(struct net *n, int host, const tern_endpoint *local,
                              const tern_endpoint *remote, bool make)
{
    struct audit *a = n->audit;
    uint32_t *slot = &a->slot[slot_of(host, local, remote)];
    for (uint32_t i = *slot; i != 0; i = a->flow[i - 1].next) {
        struct audit_flow *f = &a->flow[i - 1];
        if (f->host == host && endpoint_equal(&f->local, local) && endpoint_equal(&f->remote, remote))
            return f;
    }
    if (!make || a->n == AUDIT_FLOWS)
        return NULL;
    struct audit_flow *f = &a->flow[a->n++];
    memset(f, 0, sizeof *f);
    f->local = *local;
    f->remote = *remote;
    f->host = (int16_t)host;
    f->next = *slot;
    *slot = a->n;
    return f;
}

void audit_complain(struct net *n, const struct audit_flow *f, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n->complaint.kind != COMPLAINT_NONE)
        return;
    net_complain(n, WRONG_WIRE, -1, "host %d, port %u to %u: %s", f->host, f->local.port, f->remote.port,
                 text);
    n->complaint.conn = flows_find(n, &f->local, &f->remote);
}

/* Whether it is a whole TCP segment; `vouched`: nobody has completed its checksum yet. */
bool audit_read(struct segment *s, const struct net_packet *p, bool vouched)
{
    return segment_read(s, p->bytes, p->len, !vouched) == NULL;
}

/* --- ranges ---------------------------------------------------------------------------------- */

/* What was given in order makes rcv_nxt move; the rest waits in ranges that do not touch. */
void audit_add_range(struct audit_flow *f, uint32_t from, uint32_t to)
{
    if (audit_ahead(to, f->rcv_nxt) <= 0)
        return;
    for (uint32_t i = 0; i < f->ranges;) {
        struct audit_range *r = &f->range[i];
        if (audit_ahead(from, r->to) > 0 || audit_ahead(r->from, to) > 0) {
            i++;
            continue;
        }
        from = audit_ahead(r->from, from) < 0 ? r->from : from;
        to = audit_ahead(r->to, to) > 0 ? r->to : to;
        *r = f->range[--f->ranges];
    }
    if (audit_ahead(from, f->rcv_nxt) <= 0)
        f->rcv_nxt = to;
    else if (f->ranges < AUDIT_RANGES)
        f->range[f->ranges++] = (struct audit_range){from, to};
    else
        f->blurred = true;
}

bool audit_has(const struct audit_flow *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < f->ranges; i++)
        if (audit_ahead(from, f->range[i].from) >= 0 && audit_ahead(to, f->range[i].to) <= 0)
            return true;
    return false;
}

/* --- calls ----------------------------------------------------------------------------------- */

static enum tern_state after_fin(enum tern_state s)
{
    switch (s) {
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED: return TERN_FIN_WAIT_1;
    case TERN_CLOSE_WAIT: return TERN_LAST_ACK;
    default: return s;
    }
}

/* RFC 9293 3.10.4 and 3.10.5: what CLOSE, shutdown and ABORT lead to. */
static enum tern_state after_call(const tern_info *b, enum tern_cause call)
{
    enum tern_state s = (enum tern_state)b->state;
    bool reading =
        s == TERN_ESTABLISHED || s == TERN_CLOSE_WAIT || s == TERN_FIN_WAIT_1 || s == TERN_FIN_WAIT_2;
    if (call == TERN_C_ABORT)
        return TERN_CLOSED;
    if (s == TERN_SYN_SENT || (call == TERN_C_CLOSE_LINGER0 && (reading || s == TERN_SYN_RCVD)))
        return TERN_CLOSED;
    if (call == TERN_C_CLOSE && reading && b->recv_queue > 0)
        return TERN_CLOSED;
    return after_fin(s);
}

void audit_called(struct net *n, const struct net_end *e, const tern_info *b, enum tern_cause call)
{
    struct net_host *h = &n->host[e->host];
    tern_info now = {0};
    uint64_t cursor = 0;
    if (n->audit == NULL || n->check_every == 0 || b->error != 0 || b->state == TERN_TIME_WAIT)
        return;
    enum tern_state state = TERN_CLOSED, wanted = after_call(b, call);
    while (tern_walk(h->t, &cursor, &now))
        if (!now.listener && now.conn == b->conn)
            state = (enum tern_state)now.state;
    if (state != wanted)
        net_complain(n, WRONG_WIRE, -1, "A1: host %d: the program's %s in %s leads to %s", e->host,
                     tern_cause_name(call), tern_state_name((enum tern_state)b->state),
                     tern_state_name(state));
}

void audit_gone(struct net *n, int host, const tern_ip *ip)
{
    tern_info now;
    uint64_t cursor = 0;
    if (n->audit == NULL || n->check_every == 0 || n->host[host].t == NULL)
        return;
    while (tern_walk(n->host[host].t, &cursor, &now))
        if (!now.listener && now.error == 0 && now.state != TERN_CLOSED && ip_equal(&now.local.ip, ip)) {
            net_complain(n, WRONG_WIRE, -1, "A2: host %d: a connection in %s keeps an address that is gone",
                         host, tern_state_name((enum tern_state)now.state));
            return;
        }
    audit_forget(n, host); /* a cookie that comes back may open a pair once more, with the same numbers */
}
