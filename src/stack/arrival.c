/* arrival.c - the first of two passes over a batch: headers are read, and what they lead to is fetched.
 *
 * With many connections next to nothing of what a packet needs lies in the processor's caches, and each piece
 * of it is found only through the one before:
 *
 *   pair ─▶ directory ─▶ slot of the table ─▶ record ─▶ (of a control block) the rest ─▶ its idle record
 *
 * One after the other these cost a trip to memory each. So each step is made some packets before the next
 * step, and only asks for the memory: while other headers are read, and while packets before it have their
 * turn. When its own turn comes, all is there. A packet may change what the next one finds: so what is found
 * here counts only while the table is the same, and else it is looked up again.
 */
#include "stack/arrival.h"
#include "stack/ether.h"
#include "tcp/fetch.h"
#include "tcp/tcp.h"

static bool may_be_ours(const struct tern *t, const struct arrival *a)
{
    return a->ours || t->w->foreign || ip_is_multicast(&a->ip.dst) || ip_is_broadcast(&t->w->ip, &a->ip.dst);
}

static void read_segment(struct tern *t, const tern_rx_packet *p, struct arrival *a)
{
    a->segment = true;
    a->tcp_cause = (uint16_t)tcp_parse_with(&a->ip, p->flags & TERN_RX_CSUM_OK ? NULL : t->sum, &a->s);
    if (a->tcp_cause != TERN_CAUSE_NONE)
        return;
    a->s.link = p->link;
    a->s.gso_size = p->gso_size;
    a->s.pair = demux_pair(t, &a->s);
    a->s.found_at = 0;
}

static bool read_plain(struct tern *t, const tern_rx_packet *p, uint32_t len, struct arrival *out)
{
    if (!arrival_plain(t, p, out->packet, len, &out->s))
        return false;
    out->ours = out->segment = out->plain = true;
    out->cause = out->tcp_cause = TERN_CAUSE_NONE;
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
    out->packet = p->data;
    out->frame = FRAME_NONE;
    out->cause = TERN_C_LINK_DOWN;
    if (UNLIKELY(!arrival_link_up(t, p)))
        out->ours = out->segment = out->plain = false;
    else if (UNLIKELY(p->flags & TERN_RX_ETHERNET))
        read_frame(t, p, out);
    else if (UNLIKELY(!read_plain(t, p, p->len, out)))
        read_packet(t, p, p->len, out);
}

static bool leads_on(const struct arrival *a) { return a->segment && a->tcp_cause == TERN_CAUSE_NONE; }

/* The slot is asked for while so many more headers are read; the last two steps are made so many turns before
 * a packet's own, since a control block is large. */
enum { SLOT = 8, REST = 6, NAMED = 3 };

void ahead_turn(struct tern *t, struct ahead *h)
{
    int i = h->at++;
    if (i + REST < h->n)
        h->found[i + REST] = demux_fetch_rest(t, h->found[i + REST]);
    if (i + NAMED < h->n)
        demux_fetch_named(t, h->found[i + NAMED]);
}

/* The steps that have no turn to be made in. */
static void ahead_begin(struct tern *t, struct ahead *h)
{
    for (int i = h->n > SLOT ? h->n - SLOT : 0; i < h->n; i++)
        demux_fetch_slot(t, h->first[i]->pair);
    for (int i = 0; i < h->n; i++)
        h->found[i] = demux_fetch_record(t, h->first[i]);
    for (int i = 0; i < REST && i < h->n; i++)
        h->found[i] = demux_fetch_rest(t, h->found[i]);
}

/* One connection's packets often follow each other. */
static void ahead_add(struct tern *t, struct ahead *h, struct segment *s)
{
    if (h->n > 0 && h->first[h->n - 1]->pair == s->pair)
        return;
    demux_fetch_place(t, s->pair);
    if (h->n >= SLOT)
        demux_fetch_slot(t, h->first[h->n - SLOT]->pair);
    h->first[h->n++] = s;
}

/* Of frames: what stands before the IP header is the same too. */
static bool same_front(const uint8_t *lead, const tern_rx_packet *p, uint32_t front)
{
    return p->len > front && memcmp(lead - front, p->data, front) == 0;
}

void arrivals_read(struct tern *t, const tern_rx_packet *pkts, int n, struct arrival *out,
                   struct ahead *ahead)
{
    struct tcp_lead lead = {0};
    uint32_t front = 0; /* bytes before the IP header of the lead */
    uint8_t link = 0;
    ahead->n = ahead->at = 0;
    ahead->may_follow = 0;
    for (int i = 0; i < n; i++) {
        const tern_rx_packet *p = &pkts[i];
        if (lead.p != NULL && p->link == link && (LIKELY(front == 0) || same_front(lead.p, p, front)) &&
            tcp_may_follow(&lead, p->data + front, p->len - front)) {
            ahead->may_follow |= 1ull << i;
            continue;
        }
        arrival_read(t, p, &out[i]);
        lead.p = NULL;
        if (!leads_on(&out[i]))
            continue;
        link = p->link;
        front = (uint32_t)(out[i].packet - p->data);
        if (!by_steps(t))
            tcp_lead(ip_len_of(&out[i]), out[i].packet, &out[i].s, &lead);
        ahead_add(t, ahead, &out[i].s);
    }
    if (ahead->n > 1)
        ahead_begin(t, ahead);
    else
        ahead->n = 0; /* the one connection is found soon enough */
}
