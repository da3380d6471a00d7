/* arrival.c - the first of two passes over a batch: headers are read, and what they lead to is fetched.
 *
 * With many connections next to nothing of what a packet needs lies in the processor's caches, and each piece
 * of it is found only through the one before:
 *
 *   pair ─▶ slot of the table ─▶ record ─▶ (of a control block) the rest of it
 *
 * One after the other these cost a trip to memory each. So each step is made for all packets of the batch
 * before the next step, and only asks for the memory; when the packets' turn comes, it is there. A packet may
 * change what the next one finds: so what is found here counts only while the table is the same, and else it
 * is looked up again.
 */
#include "stack/arrival.h"
#include "stack/ether.h"
#include "tcp/tcp.h"

static bool may_be_ours(const struct tern *t, const struct arrival *a)
{
    return a->ours || t->w->foreign || ip_is_multicast(&a->ip.dst) || ip_is_broadcast(&t->w->ip, &a->ip.dst);
}

static void note_arrival(struct tern *t, const tern_rx_packet *p, struct segment *s)
{
    s->link = p->link;
    s->gso_size = p->gso_size;
    s->pair = demux_pair(t, s);
    s->found_at = 0;
}

static void read_segment(struct tern *t, const tern_rx_packet *p, struct arrival *a)
{
    a->segment = true;
    a->tcp_cause = (uint16_t)tcp_parse_with(&a->ip, p->flags & TERN_RX_CSUM_OK ? NULL : t->sum, &a->s);
    if (a->tcp_cause == TERN_CAUSE_NONE)
        note_arrival(t, p, &a->s);
}

/* The packet that nearly all are: a segment to one of our addresses. */
static bool read_plain(struct tern *t, const tern_rx_packet *p, uint32_t len, struct arrival *out)
{
    const struct ip_state *ip = &t->w->ip;
    if (UNLIKELY(t->w->by_steps) ||
        !plain_parse(out->packet, len, !(p->flags & TERN_RX_CSUM_OK), &out->ip, &out->s) ||
        !ip_is_ours(ip, &out->s.dst, p->link) || !ip_valid_peer4(ip, &out->s.src) ||
        !ip_valid_peer4(ip, &out->s.dst))
        return false;
    out->ours = out->segment = out->plain = true;
    out->cause = out->tcp_cause = TERN_CAUSE_NONE;
    note_arrival(t, p, &out->s);
    return true;
}

/* An IP packet of `len` bytes at out->packet. */
static void read_packet(struct tern *t, const tern_rx_packet *p, uint32_t len, struct arrival *out)
{
    out->ours = out->segment = out->plain = false;
    out->cause = (uint16_t)ip_parse(out->packet, len, &out->ip);
    if (out->cause != TERN_CAUSE_NONE)
        return;
    out->ours = ip_is_ours(&t->w->ip, &out->ip.dst, p->link);
    if (out->ip.proto == PROTO_TCP && !out->ip.fragment && may_be_ours(t, out))
        read_segment(t, p, out);
}

/* A frame to all stations may carry what only one may: that is looked at in its turn. */
static COLD void read_frame(struct tern *t, const tern_rx_packet *p, struct arrival *out)
{
    uint32_t len = p->len;
    out->ours = out->segment = out->plain = false;
    if (ether_open(t, p, out, &len) && (eth_is_group(&out->eth.dst) || !read_plain(t, p, len, out)))
        read_packet(t, p, len, out);
}

void arrival_read(struct tern *t, const tern_rx_packet *p, struct arrival *out)
{
    bool up = p->link < IP_LINKS && ip_link_is_up(&t->w->ip, p->link);
    out->follows = false;
    out->packet = p->data;
    out->frame = FRAME_NONE;
    out->cause = TERN_C_LINK_DOWN;
    if (UNLIKELY(!up))
        out->ours = out->segment = out->plain = false;
    else if (UNLIKELY(p->flags & TERN_RX_ETHERNET))
        read_frame(t, p, out);
    else if (UNLIKELY(!read_plain(t, p, p->len, out)))
        read_packet(t, p, p->len, out);
}

static bool leads_on(const struct arrival *a) { return a->segment && a->tcp_cause == TERN_CAUSE_NONE; }

/* The records that n segments will find are asked for, then what lies behind them. */
static void fetch_records(struct tern *t, struct segment *const *first, int n)
{
    ref_t found[RX_AHEAD];
    for (int i = 0; i < n; i++)
        found[i] = demux_fetch_record(t, first[i]);
    for (int i = 0; i < n; i++)
        demux_fetch_rest(t, found[i]);
}

/* The pairs of segments that lead somewhere are asked for, each once: one connection's packets often follow
 * each other. */
static int fetch_slot(struct tern *t, struct segment *s, struct segment **first, int differ)
{
    if (differ > 0 && first[differ - 1]->pair == s->pair)
        return differ;
    demux_fetch_slot(t, s->pair);
    first[differ] = s;
    return differ + 1;
}

/* Of frames: what stands before the IP header is the same too. */
static bool same_front(const uint8_t *lead, const tern_rx_packet *p, uint32_t front)
{
    return p->len > front && memcmp(lead - front, p->data, front) == 0;
}

void arrivals_read(struct tern *t, const tern_rx_packet *pkts, int n, struct arrival *out,
                   struct follower *run)
{
    struct segment *first[RX_AHEAD];
    struct tcp_lead lead;
    uint32_t front = 0; /* bytes before the IP header of the lead */
    uint8_t link = 0;
    int differ = 0;
    if (n == 1) { /* its turn is now */
        arrival_read(t, pkts, out);
        return;
    }
    lead.p = NULL;
    for (int i = 0; i < n; i++) {
        const tern_rx_packet *p = &pkts[i];
        out[i].follows = p->link == link && lead.p != NULL &&
                         (LIKELY(front == 0) || same_front(lead.p, p, front)) &&
                         tcp_follows(&lead, p->data + front, p->len - front, &run[i]);
        if (out[i].follows)
            continue;
        arrival_read(t, p, &out[i]);
        lead.p = NULL;
        if (!leads_on(&out[i]))
            continue;
        link = p->link;
        front = (uint32_t)(out[i].packet - p->data);
        if (!settings(t)->no_runs)
            tcp_lead(&out[i].ip, out[i].packet, &out[i].s, &lead);
        differ = fetch_slot(t, &out[i].s, first, differ);
    }
    if (differ > 1)
        fetch_records(t, first, differ);
}
