/* record.c - see record.h. */
#include "record.h"

#include "../packet.h"

#include "link/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Left, right, or neither (-1). */
static int side_of(const struct recorder *r, int host)
{
    return host == r->host[0] ? STORY_LEFT : host == r->host[1] ? STORY_RIGHT : -1;
}

static bool wanted(const struct recorder *r, int32_t conn)
{
    return r->conn < 0 || conn < 0 || conn == r->conn;
}

void record_note(struct net *n, int host, int32_t conn, const char *format, ...)
{
    char text[160];
    va_list args;
    struct recorder *r = n->rec;
    if (r == NULL || !wanted(r, conn))
        return;
    int side = host < 0 ? STORY_BOTH : side_of(r, host);
    if (side < 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    story_note(r->story, (enum story_side)side, n->now, text);
}

static void tell_state(struct net *n, int host, const tern_trace_record *t)
{
    struct recorder *r = n->rec;
    int side = side_of(r, host);
    if (side < 0)
        return;
    tern_endpoint local = {.ip = t->local, .port = t->local_port},
                  remote = {.ip = t->remote, .port = t->remote_port};
    int32_t conn = nat_is(n, &remote.ip) ? nat_find(n, &remote) : flows_find(n, &local, &remote);
    uint8_t from = t->state, to = t->state_to;
    if (!wanted(r, conn) || t->remote_port == 0 || story_edge_hidden(t->cause, from))
        return;
    story_edge(t->cause, &from, &to);
    struct story_item *i = story_add(r->story, STORY_STATE, (enum story_side)side, n->now);
    i->from = from;
    i->to = to;
    i->cause = t->cause;
    i->conn = conn >= 0 ? (uint32_t)conn : STORY_NOWHERE;
    i->port[side] = t->local_port;
    i->port[!side] = t->remote_port;
}

static void keep(struct recorder *r, const tern_trace_record *t)
{
    if (r->n_kept < RING)
        r->kept[r->n_kept++] = *t;
}

void record_pull(struct net *n, int host)
{
    struct recorder *r = n->rec;
    tern_trace_record t[32];
    int k;
    while ((k = tern_trace_take(n->host[host].t, t, 32, NULL)) > 0)
        for (int i = 0; i < k; i++) {
            if (t[i].kind == TERN_TRACE_STATE) {
                tell_state(n, host, &t[i]);
                keep(r, &t[i]);
            } else if (t[i].kind == TERN_TRACE_SEG_OUT) {
                r->cause = t[i].cause;
                r->again = t[i].a == 1;
            }
        }
}

bool record_kept(struct net *n, tern_trace_record *out)
{
    struct recorder *r = n->rec;
    if (r->first_kept == r->n_kept) {
        r->first_kept = r->n_kept = 0;
        return false;
    }
    *out = r->kept[r->first_kept++];
    return true;
}

/* Which side a segment comes from, in the story; -1: of others. */
static int from_side(const struct recorder *r, const struct net_packet *p)
{
    int from = side_of(r, p->from), to = side_of(r, p->to);
    if (p->from < 0 && to >= 0)
        return !to; /* forged, or a router's: shown from the other side */
    return from >= 0 && (to >= 0 || p->to < 0) ? from : -1;
}

static void describe(struct recorder *r, struct story_item *i, const struct net_packet *p,
                     const struct segment *g, int side)
{
    i->flags = g->flags;
    i->seq = g->seq;
    i->ack = g->ack;
    i->len = g->len;
    i->wnd = g->window;
    i->mss = g->mss;
    i->cause = p->from >= 0 ? p->cause : 0;
    i->again = p->again;
    i->copy = p->copy;
    i->outsider = p->from < 0;
    i->port[side] = g->src.port;
    i->port[!side] = g->dst.port;
    i->conn = p->conn >= 0 ? (uint32_t)p->conn : STORY_NOWHERE;
    if (p->conn < 0)
        return;
    uint32_t *iss = r->iss[p->conn];
    bool *known = r->known[p->conn];
    if (g->flags & SYN && p->from >= 0) {
        iss[side] = g->seq;
        known[side] = true;
    }
    i->rseq = known[side] ? g->seq - iss[side] : 0;
    i->rack = g->flags & ACK && known[!side] ? g->ack - iss[!side] : 0;
    i->bulk = (g->flags & (SYN | FIN | RST)) == 0 && !i->copy && !i->outsider && !i->again;
}

/* False: not a segment. Its checksum may be one that nobody has completed yet. */
static bool parse(const struct net_packet *p, uint8_t bytes[PACKET_ROOM], struct segment *g)
{
    memcpy(bytes, p->bytes, p->len);
    if (p->csum_offset != 0)
        transport_checksum(bytes, p->len, p->csum_start, p->csum_offset);
    return segment_parse(g, bytes, p->len) == NULL;
}

void record_sent(struct net *n, struct net_packet *p, uint64_t arrives_us, const char *lost_why)
{
    struct recorder *r = n->rec;
    struct segment g;
    uint8_t bytes[PACKET_ROOM];
    int side = from_side(r, p);
    p->number = STORY_NOWHERE;
    p->cause = r->cause;
    p->again = r->again;
    if (side < 0 || !wanted(r, p->conn) || (p->from < 0 && p->conn < 0))
        return;
    if (!parse(p, bytes, &g)) {
        story_note(r->story, (enum story_side) !side, n->now,
                   p->from < 0 ? "ICMP or a broken packet comes" : "a packet");
        return;
    }
    struct story_item *i = story_add(r->story, STORY_SEGMENT, (enum story_side)side, n->now);
    describe(r, i, p, &g, side);
    i->arrival_us = lost_why != NULL ? STORY_LOST : arrives_us;
    i->lost_why = lost_why;
    i->bulk &= lost_why == NULL;
    i->of = STORY_NOWHERE;
    p->number = r->story->n - 1;
}

void record_arrived(struct net *n, const struct net_packet *p, uint16_t refused)
{
    struct recorder *r = n->rec;
    struct segment g;
    uint8_t bytes[PACKET_ROOM];
    int side = from_side(r, p);
    if (side < 0 || p->number == STORY_NOWHERE || !parse(p, bytes, &g))
        return;
    struct story_item *i = story_add(r->story, STORY_ARRIVAL, (enum story_side)side, n->now);
    describe(r, i, p, &g, side);
    i->of = p->number;
    i->refused = refused;
    i->arrival_us = n->now;
    if (p->copy)
        return;
    struct story_item *sent = &r->story->items[p->number];
    sent->of = r->story->n - 1;
    sent->refused = refused;
    sent->bulk &= refused == 0;
    r->story->items[r->story->n - 1].bulk = sent->bulk;
}
