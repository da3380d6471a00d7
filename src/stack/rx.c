/* rx.c - a batch comes in: headers are read (arrival.c), then each packet has its turn: ICMP is answered or
 * handed to TCP, segments go to tcp_input.
 *
 * Nothing is sent here. What is not ours goes back to the program as unclaimed, untouched.
 */
#include "stack/arrival.h"
#include "stack/ether.h"
#include "stack/stack.h"
#include "tcp/follow.h"
#include "tcp/tcp.h"

static enum tern_cause rx_tcp(struct tern *t, struct arrival *a, struct keep *keep)
{
    if (ip_is_multicast(&a->ip.dst) || ip_is_broadcast(&t->w->ip, &a->ip.dst))
        return TERN_C_NOT_UNICAST; /* RFC 9293 MUST-57 */
    if (!ip_valid_peer(&t->w->ip, &a->ip.src))
        return TERN_C_IP_SOURCE_INVALID; /* MUST-63 */
    if (a->tcp_cause != TERN_CAUSE_NONE)
        return (enum tern_cause)a->tcp_cause;
    a->s.keep = keep;
    return tcp_input(t, &a->s);
}

static enum tern_cause rx_icmp(struct tern *t, const tern_rx_packet *p, const struct ip_hdr *ip)
{
    struct icmp_msg m;
    enum tern_cause cause = icmp_parse(ip, &m);
    if (cause != TERN_CAUSE_NONE)
        return cause;
    if (m.is_error)
        return tcp_icmp(t, &m, p->link);
    bool echo = m.version == 4 ? m.type == ICMP_ECHO : m.type == ICMP6_ECHO;
    if (!echo || !ip_is_ours(&t->w->ip, &ip->dst, p->link))
        return TERN_C_ICMP_UNUSED;
    if (!ip_echo_queue(t->a, &t->w->ip, ip, &m, p->link))
        return TERN_C_REPLIES_FULL;
    t->w->stats.echo_replies++;
    return TERN_CAUSE_NONE;
}

/* To one of our addresses, or to a group that TCP must refuse by itself. */
static bool for_us(struct tern *t, const struct arrival *a)
{
    const struct ip_hdr *ip = &a->ip;
    return a->ours || (ip->proto == PROTO_TCP &&
                       (ip_is_multicast(&ip->dst) || ip_is_broadcast(&t->w->ip, &ip->dst)));
}

/* To an address that is not ours, and yet to a listener of any address or to what it accepted. Fragments have
 * no ports to tell by. */
static bool to_foreign(struct tern *t, const struct ip_hdr *ip, uint8_t link)
{
    if (!t->w->foreign || ip->proto != PROTO_TCP || ip->fragment || ip->payload_len < 4 ||
        !ip_valid_peer(&t->w->ip, &ip->dst))
        return false;
    tern_endpoint local = {.ip = ip->dst, .port = get16(ip->payload + 2)};
    tern_endpoint remote = {.ip = ip->src, .port = get16(ip->payload)};
    return demux_find(t, &local, &remote, link) != 0 ||
           demux_listener(t, &local.ip, local.port, link) != NULL;
}

/* ICMP about a segment of such a connection. */
static bool about_foreign(struct tern *t, const struct ip_hdr *ip, uint8_t link)
{
    struct icmp_msg m;
    if (!t->w->foreign || ip->fragment || ip->proto != (ip->version == 4 ? PROTO_ICMP : PROTO_ICMP6) ||
        icmp_parse(ip, &m) != TERN_CAUSE_NONE || !m.is_error || !m.has_tcp)
        return false;
    tern_endpoint local = {.ip = m.in_src, .port = m.in_src_port};
    tern_endpoint remote = {.ip = m.in_dst, .port = m.in_dst_port};
    return demux_find(t, &local, &remote, link) != 0;
}

/* A whole packet, reassembled or not. `unclaimed` is set when it is not ours. */
static enum tern_cause rx_whole(struct tern *t, const tern_rx_packet *p, struct arrival *a, struct keep *keep,
                                bool *unclaimed)
{
    const struct ip_hdr *ip = &a->ip;
    if (a->segment)
        return rx_tcp(t, a, keep);
    if (ip->proto == (ip->version == 4 ? PROTO_ICMP : PROTO_ICMP6))
        return rx_icmp(t, p, ip);
    *unclaimed = true;
    return TERN_CAUSE_NONE;
}

/* Only what we shall take is put together; fragments of the program's protocols go back to it one by one. */
static bool ours_when_whole(const struct ip_hdr *ip)
{
    if (ip->version == 4)
        return ip->proto == PROTO_TCP || ip->proto == PROTO_ICMP;
    return ip->proto != PROTO_UDP; /* TCP, ICMPv6, or headers that lead to them */
}

static enum tern_cause rx_fragment(struct tern *t, const tern_rx_packet *p, const struct arrival *a,
                                   bool *unclaimed)
{
    struct frag_packet whole = {0};
    struct arrival inner;
    if (!ours_when_whole(&a->ip)) {
        *unclaimed = true;
        return TERN_CAUSE_NONE;
    }
    enum tern_cause cause = frag_add(t->a, &t->w->ip.frag, t->w->now, &a->ip, a->packet, p->link, &whole);
    if (cause != TERN_CAUSE_NONE || whole.data == NULL)
        return cause;
    t->w->stats.reassembled++;
    tern_rx_packet q = *p;
    q.flags = 0; /* nobody has verified the whole */
    q.data = whole.data;
    q.len = whole.len;
    arrival_read(t, &q, &inner);
    if (inner.plain)
        return tcp_input(t, &inner.s); /* of which `ip` is not known, and need not be */
    if (inner.cause != TERN_CAUSE_NONE)
        return (enum tern_cause)inner.cause;
    return rx_whole(t, &q, &inner, NULL, unclaimed); /* it lies in the arena: to be copied */
}

static enum tern_cause rx_one(struct tern *t, const tern_rx_packet *p, struct arrival *a, struct keep *keep,
                              bool *unclaimed)
{
    const struct ip_hdr *ip = &a->ip;
    enum tern_cause cause = (enum tern_cause)a->cause;
    if (UNLIKELY(a->frame != FRAME_NONE) && ether_hear(t, p, a, &cause, unclaimed))
        return cause;
    if (cause != TERN_CAUSE_NONE)
        return cause;
    if (!for_us(t, a) && !to_foreign(t, ip, p->link) && !about_foreign(t, ip, p->link)) {
        *unclaimed = true;
        return TERN_CAUSE_NONE;
    }
    if (ip->source_route)
        return TERN_C_IP_SOURCE_ROUTE; /* deviation from MUST-51, MUST-52, MUST-53, SHLD-24 */
    if (ip->fragment)
        return rx_fragment(t, p, a, unclaimed);
    return rx_whole(t, p, a, keep, unclaimed);
}

/* Where a lendable packet may stay. False: it must be copied. */
static bool may_keep(const struct tern *t, const tern_rx_packet *p, struct keep *k)
{
    if (!(p->flags & TERN_RX_LENDABLE) || p->region >= REGIONS)
        return false;
    const struct region *g = &t->w->lent.region[p->region];
    uintptr_t at = (uintptr_t)p->data - (uintptr_t)t->regions.base[p->region];
    if (g->len == 0 || at > g->len || p->len > g->len - at)
        return false;
    uint32_t pinned = p->pinned != 0 ? p->pinned : p->len;
    *k = (struct keep){.from = p->data,
                       .what = {.kind = HOLD_LINK,
                                .region = p->region,
                                .len = pinned,
                                .at = at,
                                .tag = p->buffer}};
    return true;
}

static void note_verdict(struct tern *t, tern_rx_packet *p, enum tern_cause cause, bool unclaimed)
{
    tern_stats *s = &t->w->stats;
    p->cause = (uint16_t)cause;
    p->verdict = TERN_TAKEN;
    s->rx_packets++;
    s->rx_bytes += p->len;
    if (UNLIKELY(unclaimed)) {
        p->verdict = TERN_UNCLAIMED;
        s->rx_unclaimed++;
    } else if (UNLIKELY(cause != TERN_CAUSE_NONE)) {
        p->verdict = TERN_DROPPED;
        s->rx_dropped++;
        s->dropped[cause]++;
    }
}

/* A short segment to us that nothing is wrong with: it has been looked at already, and is never kept. */
static inline void judge_plain(struct tern *t, tern_rx_packet *p, const struct segment *s)
{
    p->trace = (uint32_t)t->trace.head;
    p->kept = false;
    note_verdict(t, p, tcp_input(t, s), false);
}

static void judge(struct tern *t, tern_rx_packet *p, struct arrival *a)
{
    if (LIKELY(a->plain)) {
        judge_plain(t, p, &a->s);
        return;
    }
    bool unclaimed = false;
    struct keep keep;
    bool lendable = may_keep(t, p, &keep);
    p->trace = (uint32_t)t->trace.head;
    enum tern_cause cause = rx_one(t, p, a, lendable ? &keep : NULL, &unclaimed);
    p->kept = lendable && keep_end(t->a, &keep);
    note_verdict(t, p, cause, unclaimed);
}

/* One of a run whose bytes stay in the link's memory, or do not fit behind those before it. False: it is none
 * of the run, and nothing has happened. */
static bool rx_follower(struct tern *t, struct run *run, tern_rx_packet *p)
{
    struct keep keep;
    bool lendable = may_keep(t, p, &keep);
    p->trace = (uint32_t)t->trace.head;
    bool follows = follow_take(t, run, p, lendable ? &keep : NULL);
    p->kept = lendable && keep_end(t->a, &keep);
    if (follows)
        note_verdict(t, p, TERN_CAUSE_NONE, false);
    return follows;
}

static COLD void trace_follower(struct tern *t, struct tcb *c, const tern_rx_packet *p)
{
    struct arrival a;
    arrival_read(t, p, &a);
    follow_trace(t, c, &a.s);
}

/* Those that follow `lead`, which has just been taken, as many as go the short way; one by one if each is to
 * be written down. How many. */
static int rx_run(struct tern *t, const struct arrival *lead, uint32_t front, tern_rx_packet *pkts, int n)
{
    struct run run;
    if (!follow_begin(t, &run, ip_len_of(lead), lead->packet, &lead->s, front))
        return 0;
    bool traced = trace_wants(&t->trace, TERN_TRACE_SEG_IN) || trace_wants(&t->trace, TERN_TRACE_DELIVER);
    int i = 0;
    for (int some = 1; i < n && some > 0; i += some) {
        some = follow_row(t, &run, pkts + i, UNLIKELY(traced) ? 1 : n - i);
        if (some == 0)
            some = rx_follower(t, &run, &pkts[i]);
        if (UNLIKELY(traced) && some > 0)
            trace_follower(t, run.c, &pkts[i]);
    }
    if (i > 0)
        follow_end(t, &run);
    return i;
}

/* How many of the n packets from number `from` on may follow the one before them. */
static int may_follow(const struct ahead *h, int from, int n)
{
    uint64_t others = from < 64 ? ~(h->may_follow >> from) : 1;
    int some = others != 0 ? __builtin_ctzll(others) : 64;
    return some < n ? some : n;
}

/* What was read ahead has its turn, in order. How many were taken. */
static int judge_all(struct tern *t, tern_rx_packet *pkts, struct arrival *arrivals, struct ahead *ahead,
                     int n)
{
    int got = 0;
    for (int i = 0; i < n;) {
        struct arrival *a = &arrivals[i];
        tern_rx_packet *p = &pkts[i];
        ahead_of_turn(t, ahead);
        if (ahead->may_follow >> i & 1)
            arrival_read(t, p, a);
        judge(t, p, a);
        i++;
        int more = may_follow(ahead, i, n - i);
        if (p->verdict != TERN_TAKEN)
            continue;
        got++;
        if (more == 0 || !a->segment)
            continue;
        more = rx_run(t, a, (uint32_t)(a->packet - p->data), pkts + i, more);
        got += more;
        i += more;
    }
    return got;
}

/* More than one: their headers are read before the first has its turn. */
static int rx_batch(struct tern *t, tern_rx_packet *pkts, int n)
{
    struct arrival arrivals[RX_AHEAD];
    struct ahead ahead;
    int got = 0;
    for (int first = 0; first < n; first += RX_AHEAD) {
        int some = n - first < RX_AHEAD ? n - first : RX_AHEAD;
        arrivals_read(t, pkts + first, some, arrivals, &ahead);
        got += judge_all(t, pkts + first, arrivals, &ahead, some);
    }
    life_end_of_batch(t);
    return got;
}

/* Its turn is now. */
static COLD void rx_single(struct tern *t, tern_rx_packet *p)
{
    struct arrival a;
    arrival_read(t, p, &a);
    judge(t, p, &a);
}

/* The same of the packet that nearly all are: nothing of it is written down but the segment. */
static int rx_alone(struct tern *t, tern_rx_packet *p)
{
    struct segment s;
    bool usual = arrival_link_up(t, p) && !(p->flags & TERN_RX_ETHERNET);
    if (LIKELY(usual && arrival_plain(t, p, p->data, p->len, &s)))
        judge_plain(t, p, &s);
    else
        rx_single(t, p);
    life_end_of_batch(t);
    return p->verdict == TERN_TAKEN;
}

int tern_rx(tern *t, uint64_t now, tern_rx_packet *pkts, int n)
{
    stack_clock(t, now);
    return LIKELY(n == 1) ? rx_alone(t, pkts) : rx_batch(t, pkts, n);
}
