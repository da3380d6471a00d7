/* wires.c - see net.h: a packet's whole way through the network, computed when it is sent.
 *
 * A wire is a queue that empties at a rate, and a delay behind it. Packets of a wire keep their order unless
 * a fault says otherwise. What a wire does to a packet that it will get later is decided now; windows of
 * faults are fixed, so that makes no difference that anybody could see but for two packets that come to a
 * wire from different sides: the one sent first has the place before.
 */
#include "audit.h"
#include "net.h"
#include "record.h"

#include "link/packet.h"

#include <string.h>

enum { COPIES = 4, TCP = 6, TOS4 = 1 };

/* What became of a packet on its way. */
struct passage {
    uint64_t t;             /* where it is now */
    const char *lost;       /* words; NULL = not lost */
    bool corrupt, cut, marked, whole, crowded;
    uint32_t mtu;           /* the router before a wire so narrow cuts it; 0 = nobody */
    uint32_t copies;
    uint64_t copy_us[COPIES]; /* later than itself */
};

/* --- making ---------------------------------------------------------------------------------- */

static void wire_make(struct net_wire *w, uint32_t kbps, uint32_t delay_us, uint32_t queue_us,
                      uint32_t mark_us)
{
    w->ns_per_byte = kbps == 0 ? 0 : 8000000 / kbps;
    w->delay_us = delay_us;
    w->queue_us = queue_us;
    w->mark_us = mark_us;
    w->free_ns = 0;
    w->n_faults = 0;
}

/* From each router to each other: up to the common ancestor, and down. */
static void ways_make(struct net *n, const uint32_t *parent, uint32_t routers)
{
    for (uint32_t from = 0; from < routers; from++)
        for (uint32_t to = 0; to < routers; to++) {
            uint8_t up[ROUTERS_MOST], down[ROUTERS_MOST];
            uint32_t a = from, b = to, ups = 0, downs = 0;
            while (a != b) { /* a parent has the smaller number */
                if (a > b)
                    up[ups++] = (uint8_t)(HOSTS_MOST * 2 + (a - 1) * 2), a = parent[a];
                else
                    down[downs++] = (uint8_t)(HOSTS_MOST * 2 + (b - 1) * 2 + 1), b = parent[b];
            }
            uint8_t *way = n->way[from][to];
            memcpy(way, up, ups);
            for (uint32_t i = 0; i < downs; i++)
                way[ups + i] = down[downs - 1 - i];
            n->way_len[from][to] = (uint8_t)(ups + downs);
        }
}

static void add_fault(struct net *n, uint32_t item)
{
    const uint32_t *f = n->plan->item[item].f;
    if ((f[F_WHAT] >= FAULT_WIRES && f[F_WHAT] != FAULT_LIE) || f[F_PLACE] >= WIRES)
        return;
    struct net_wire *w = &n->wire[f[F_PLACE]];
    if (w->n_faults == WIRE_FAULTS)
        return;
    uint64_t from = f[F_FROM_MS] * 1000ull, until = from + f[F_FOR_MS] * 1000ull;
    w->fault[w->n_faults++] = (struct wire_fault){
        .from_us = from,
        .until_us = until < n->calm_us ? until : n->calm_us,
        .what = f[F_WHAT],
        .ppm = f[F_PPM],
        .arg = f[F_ARG],
        .item = item,
        .rng = {n->plan->seed * 977 + item},
    };
}

void wires_make(struct net *n)
{
    uint32_t parent[ROUTERS_MOST] = {0}, routers = 1, host = 0;
    for (uint32_t i = 0; i < WIRES; i++)
        wire_make(&n->wire[i], 0, 10, 2000000, 0);
    for (uint32_t i = 0; i < n->plan->n; i++) {
        const uint32_t *f = n->plan->item[i].f;
        if (n->plan->item[i].kind == ITEM_HOST) {
            wire_make(&n->wire[host * 2], f[H_RATE_KBPS], f[H_DELAY_US], f[H_QUEUE_US], f[H_MARK_US]);
            wire_make(&n->wire[host * 2 + 1], f[H_RATE_KBPS], f[H_DELAY_US], f[H_QUEUE_US], f[H_MARK_US]);
            host++;
        } else if (n->plan->item[i].kind == ITEM_TRUNK) {
            uint32_t at = HOSTS_MOST * 2 + (routers - 1) * 2;
            bool out = n->plan->item[i].out; /* then it is there, and does nothing to anybody */
            for (uint32_t k = 0; k < 2 && !out; k++)
                wire_make(&n->wire[at + k], f[T_RATE_KBPS], f[T_DELAY_US], f[T_QUEUE_US], f[T_MARK_US]);
            parent[routers] = f[T_PARENT] < routers ? f[T_PARENT] : 0;
            routers++;
        }
    }
    ways_make(n, parent, routers);
    for (uint32_t i = 0; i < n->plan->n; i++)
        if (n->plan->item[i].kind == ITEM_FAULT && !n->plan->item[i].out)
            add_fault(n, i);
}

void wires_cut(struct net *n, int host, uint64_t until_us)
{
    for (int k = 0; k < 2; k++) {
        struct net_wire *w = &n->wire[host * 2 + k];
        if (w->n_faults < WIRE_FAULTS)
            w->fault[w->n_faults++] =
                (struct wire_fault){.from_us = n->now, .until_us = until_us, .what = FAULT_DOWN};
    }
}

/* --- what may happen to bytes ---------------------------------------------------------------- */

static bool is4(const struct net_packet *p) { return p->bytes[0] >> 4 == 4; }
static uint32_t tcp_at(const struct net_packet *p) { return is4(p) ? (p->bytes[0] & 15u) * 4 : 40; }
static bool is_tcp(const struct net_packet *p) { return p->bytes[is4(p) ? 9 : 6] == TCP; }

static void complete_checksum(struct net_packet *p)
{
    if (p->csum_offset != 0)
        transport_checksum(p->bytes, p->len, p->csum_start, p->csum_offset);
    p->csum_offset = 0;
    p->flags &= (uint8_t)~TERN_RX_CSUM_OK;
}

static uint32_t tos_of(const struct net_packet *p)
{
    return is4(p) ? p->bytes[TOS4] : (p->bytes[0] & 15u) << 4 | p->bytes[1] >> 4;
}

static void mark_ce(struct net_packet *p)
{
    if (is4(p)) {
        p->bytes[TOS4] |= 3;
        ip4_header_checksum(p->bytes);
    } else {
        p->bytes[1] |= 3 << 4;
    }
}

/* NOPs in place of options: of timestamps, or of all. */
static void strip(struct net_packet *p, bool all)
{
    uint32_t at = tcp_at(p), end = at + (p->bytes[at + 12] >> 4) * 4u;
    for (uint32_t i = at + 20; i < end && p->bytes[i] != 0;) {
        uint32_t len = p->bytes[i] == 1 ? 1 : p->bytes[i + 1];
        if (len < 1 || i + len > end)
            break;
        if (all || p->bytes[i] == 8)
            memset(p->bytes + i, 1, len);
        i += len;
    }
    if (p->csum_offset == 0)
        transport_checksum(p->bytes, p->len, at, 16);
}

/* --- one wire -------------------------------------------------------------------------------- */

static bool meets(struct wire_fault *f)
{
    return rng_next(&f->rng) % 1000000 < f->ppm;
}

static bool bursts(struct wire_fault *f)
{
    if (f->run > 0)
        return f->run--, true;
    if (!meets(f))
        return false;
    f->run = (uint32_t)(rng_next(&f->rng) % (2 * f->arg + 1));
    return true;
}

static void add_copy(struct passage *x, uint64_t later_us)
{
    if (x->copies < COPIES)
        x->copy_us[x->copies++] = later_us;
}

/* Too large for the wire. */
static void too_big(struct net *n, struct net_packet *p, struct passage *x, uint32_t mtu, bool silent)
{
    bool may_cut = is4(p) && !(p->bytes[6] & 0x40);
    if (!is4(p) && mtu < 1280)
        mtu = 1280; /* RFC 8200 5 */
    if (p->len <= mtu)
        return;
    if (may_cut) {
        x->mtu = x->mtu == 0 || mtu < x->mtu ? mtu : x->mtu;
        return;
    }
    x->lost = "larger than the wire's MTU";
    if (!silent)
        icmp_about(n, p, p->from, 3, 4, mtu, x->t - n->now + 10);
}

static void strip_by(struct net_packet *p, uint32_t what)
{
    if (!is_tcp(p) || p->len < tcp_at(p) + 20)
        return;
    uint32_t flags = p->bytes[tcp_at(p) + 13];
    bool syn = flags & 2, ack = flags & 16;
    if (what == FAULT_STRIP_TS && !syn)
        strip(p, false);
    if (what == FAULT_STRIP_OPTIONS && syn && !ack)
        strip(p, true);
}

static void lie(struct net_packet *p)
{
    uint32_t at = tcp_at(p), payload = at + (p->bytes[at + 12] >> 4) * 4u;
    if (payload >= p->len)
        return;
    p->bytes[p->len - 1] ^= 1;
    if (p->csum_offset == 0)
        transport_checksum(p->bytes, p->len, at, 16);
}

static void harm(struct net *n, struct wire_fault *f, struct net_packet *p, struct passage *x)
{
    switch (f->what) {
    case FAULT_LOSS: x->lost = meets(f) ? "lost" : NULL; break;
    case FAULT_BURSTS: x->lost = bursts(f) ? "lost in a burst" : NULL; break;
    case FAULT_DOWN: x->lost = "the wire is down"; break;
    case FAULT_REORDER: x->t += meets(f) ? f->arg : 0; break;
    case FAULT_JITTER: x->t += rng_next(&f->rng) % (f->arg + 1); break;
    case FAULT_DUPLICATE:
        if (meets(f))
            add_copy(x, rng_next(&f->rng) % (f->arg + 1));
        break;
    case FAULT_OLD:
        if (meets(f))
            add_copy(x, f->arg * 1000ull);
        break;
    case FAULT_CORRUPT: x->corrupt |= meets(f); break;
    case FAULT_TRUNCATE: x->cut |= meets(f); break;
    case FAULT_MARK: x->marked |= meets(f); break;
    case FAULT_MTU: too_big(n, p, x, f->arg, false); break;
    case FAULT_BLACK_HOLE: too_big(n, p, x, f->arg, true); break;
    case FAULT_UNREACHABLE:
        if (meets(f)) {
            x->lost = "unreachable";
            icmp_about(n, p, p->from, 3, (uint8_t)f->arg == 4 ? 1 : (uint8_t)f->arg, 0, x->t - n->now + 10);
        }
        break;
    case FAULT_STRIP_TS:
    case FAULT_STRIP_OPTIONS: strip_by(p, f->what); break;
    case FAULT_LIE:
        if (is_tcp(p) && meets(f))
            lie(p);
        break;
    default: break;
    }
}

/* The queue before a wire. */
static void wait_turn(struct net_wire *w, const struct net_packet *p, struct passage *x)
{
    uint64_t t_ns = x->t * 1000;
    if (w->ns_per_byte == 0)
        return;
    uint64_t wait_ns = w->free_ns > t_ns ? w->free_ns - t_ns : 0;
    if (wait_ns > w->queue_us * 1000) {
        x->lost = "the queue is full";
        x->crowded = true;
        return;
    }
    if (w->mark_us != 0 && wait_ns > w->mark_us * 1000)
        x->marked = true;
    w->free_ns = t_ns + wait_ns + (uint64_t)p->len * w->ns_per_byte;
    x->t = w->free_ns / 1000;
}

static void cross(struct net *n, struct net_wire *w, struct net_packet *p, struct passage *x)
{
    for (uint32_t i = 0; i < w->n_faults && x->lost == NULL; i++)
        if (x->t >= w->fault[i].from_us && x->t < w->fault[i].until_us)
            harm(n, &w->fault[i], p, x);
    if (x->lost == NULL)
        wait_turn(w, p, x);
    x->t += w->delay_us;
}

static void cross_all(struct net *n, int from, int to, struct net_packet *p, struct passage *x)
{
    uint32_t a = n->host[from].plan[H_ROUTER], b = n->host[to].plan[H_ROUTER];
    a = a < ROUTERS_MOST ? a : 0, b = b < ROUTERS_MOST ? b : 0;
    cross(n, &n->wire[from * 2], p, x);
    for (uint32_t i = 0; i < n->way_len[a][b] && x->lost == NULL; i++)
        cross(n, &n->wire[n->way[a][b][i]], p, x);
    if (x->lost == NULL)
        cross(n, &n->wire[to * 2 + 1], p, x);
    if (x->lost == NULL && x->t - n->now > n->lifetime_us)
        x->lost = "older than a segment may get";
}

/* --- arrival --------------------------------------------------------------------------------- */

static uint64_t arrival(const struct net *n, int to, uint64_t t)
{
    uint64_t batch = n->host[to].plan[H_BATCH_US];
    return batch == 0 ? t : (t + batch - 1) / batch * batch;
}

static uint32_t copy_of(struct net *n, uint32_t index)
{
    uint32_t c = net_packet_new(n);
    struct net_packet *copy = n->packet[c], *p = n->packet[index];
    memcpy(copy, p, offsetof(struct net_packet, bytes) + p->len);
    copy->copy = true;
    return c;
}

/* A router cuts it: pieces of the same datagram, mostly in order. */
static void deliver_pieces(struct net *n, uint32_t index, uint32_t mtu, uint64_t at)
{
    struct net_packet *p = n->packet[index];
    complete_checksum(p);
    uint32_t head = tcp_at(p), step = (mtu - head) & ~7u, len = p->len - head;
    for (uint32_t done = 0; done < len; done += step) {
        uint32_t size = len - done < step ? len - done : step, c = copy_of(n, index);
        struct net_packet *piece = n->packet[c];
        memmove(piece->bytes + head, p->bytes + head + done, size);
        piece->len = head + size;
        piece->copy = done > 0;
        store16(piece->bytes + 2, piece->len);
        store16(piece->bytes + 6, done / 8 | (done + size < len ? 0x2000u : 0));
        ip4_header_checksum(piece->bytes);
        net_later(n, at + rng_next(&n->dice) % 4, COMES_PACKET, c);
    }
    net_packet_drop(n, index);
}

static void spoil(struct net *n, struct net_packet *p, const struct passage *x)
{
    complete_checksum(p);
    if (x->corrupt)
        p->bytes[rng_next(&n->dice) % p->len] ^= (uint8_t)(1 << rng_next(&n->dice) % 8);
    if (x->cut)
        p->len = 1 + (uint32_t)(rng_next(&n->dice) % p->len);
}

static void deliver(struct net *n, uint32_t index, const struct passage *x)
{
    struct net_packet *p = n->packet[index];
    uint64_t at = arrival(n, p->to, x->t);
    if (x->marked && (tos_of(p) & 3) != 0)
        mark_ce(p);
    for (uint32_t i = 0; i < x->copies; i++) {
        uint64_t later = arrival(n, p->to, x->t + x->copy_us[i]);
        if (later - n->now <= n->lifetime_us)
            net_later(n, later, COMES_PACKET, copy_of(n, index));
    }
    if (x->mtu != 0) {
        deliver_pieces(n, index, x->mtu, at);
        return;
    }
    if (x->corrupt || x->cut)
        spoil(n, p, x);
    net_later(n, at, COMES_PACKET, index);
}

/* --- departure ------------------------------------------------------------------------------- */

static void endpoints(const struct net_packet *p, tern_endpoint *src, tern_endpoint *dst)
{
    const uint8_t *b = p->bytes;
    uint32_t tcp = tcp_at(p);
    memset(src, 0, sizeof *src);
    memset(dst, 0, sizeof *dst);
    if (is4(p)) {
        src->ip = tern_ip4(b[12], b[13], b[14], b[15]);
        dst->ip = tern_ip4(b[16], b[17], b[18], b[19]);
    } else {
        memcpy(src->ip.b, b + 8, 16);
        memcpy(dst->ip.b, b + 24, 16);
    }
    if (is_tcp(p)) {
        src->port = load16(b + tcp);
        dst->port = load16(b + tcp + 2);
    }
}

/* What the lucky among the attackers happen to guess. */
static void learn(struct net *n, const struct net_packet *p, const tern_endpoint *src)
{
    struct net_conn *c = &n->conn[p->conn];
    const uint8_t *tcp = p->bytes + tcp_at(p);
    int side = src->port == c->pair[0].port && memcmp(&src->ip, &c->pair[0].ip, sizeof src->ip) == 0 ? 0 : 1;
    uint32_t end = load32(tcp + 4) + p->len - tcp_at(p) - (tcp[12] >> 4) * 4u + ((tcp[13] & 3) != 0);
    c->segments++;
    if (tcp[13] & 4)
        return;
    if (!c->seen[side] || (int32_t)(end - c->seq[side]) > 0 || (tcp[13] & 2))
        c->seq[side] = end;
    if (tcp[13] & 16)
        c->ack[side] = load32(tcp + 8);
    c->window[side] = load16(tcp + 14);
    c->seen[side] = true;
}

static void send_one(struct net *n, int host, uint32_t index)
{
    struct net_packet *p = n->packet[index];
    tern_endpoint src, dst;
    struct passage x = {.t = n->now};
    endpoints(p, &src, &dst);
    p->conn = -1;
    p->from = (int16_t)host;
    p->to = -1;
    if (nat_is(n, &dst.ip))
        x.lost = nat_in(n, p) ? NULL : "the NAT has no such mapping";
    else if ((p->conn = flows_find(n, &src, &dst)), (p->to = (int16_t)host_of(n, &dst.ip)) < 0)
        x.lost = "nobody has this address";
    if (p->conn >= 0 && is_tcp(p))
        learn(n, p, &src);
    if (n->check_every != 0)
        audit_sent(n, host, p);
    if (x.lost == NULL && !nat_out(n, host, p))
        x.lost = "the NAT knows nothing of it";
    if (x.lost == NULL)
        cross_all(n, host, p->to, p, &x);
    if (x.crowded && p->conn >= 0 && is_tcp(p) && p->bytes[tcp_at(p) + 13] & 2)
        n->conn[p->conn].excuses |= EXCUSE_UNOPENED;
    if (n->rec != NULL)
        record_sent(n, p, x.t, x.lost);
    if (x.lost != NULL)
        net_packet_drop(n, index);
    else
        deliver(n, index, &x);
}

static uint32_t begin(struct net *n, uint32_t len)
{
    uint32_t index = net_packet_new(n);
    struct net_packet *p = n->packet[index];
    p->sent_us = n->now;
    p->len = len;
    p->flags = 0;
    p->copy = false;
    p->csum_start = p->csum_offset = 0;
    n->counts->segments++;
    return index;
}

static void flatten(const tern_tx_packet *pkt, uint8_t *to)
{
    memcpy(to, pkt->hdr, pkt->hdr_len);
    to += pkt->hdr_len;
    for (uint32_t i = 0; i < pkt->n_slices; to += pkt->slices[i++].len)
        memcpy(to, pkt->slices[i].data, pkt->slices[i].len);
}

struct cutter {
    struct net *n;
    int host;
};

static void piece(void *ctx, const uint8_t *bytes, uint32_t len)
{
    struct cutter *c = ctx;
    if (len > PACKET_ROOM)
        return;
    uint32_t index = begin(c->n, len);
    memcpy(c->n->packet[index]->bytes, bytes, len);
    send_one(c->n, c->host, index);
}

void wires_send(struct net *n, int host, const tern_tx_packet *pkt)
{
    if (pkt->gso_size > 0 && pkt->len - pkt->hdr_len > pkt->gso_size) {
        tern_segment(pkt, piece, &(struct cutter){n, host});
        return;
    }
    if (pkt->len > PACKET_ROOM) {
        net_complain(n, WRONG_RESULT, -1, "host %d sends a packet of %u bytes", host, pkt->len);
        return;
    }
    uint32_t index = begin(n, pkt->len);
    struct net_packet *p = n->packet[index];
    flatten(pkt, p->bytes);
    if (pkt->flags & TERN_TX_CSUM) {
        p->flags = TERN_RX_CSUM_OK;
        p->csum_start = (uint8_t)pkt->csum_start;
        p->csum_offset = (uint8_t)pkt->csum_offset;
    }
    send_one(n, host, index);
}

void wires_inject(struct net *n, int host, uint32_t index, uint64_t delay_us)
{
    struct net_packet *p = n->packet[index];
    p->from = -1;
    p->to = (int16_t)host;
    p->sent_us = n->now;
    p->flags = 0;
    p->copy = false;
    p->csum_start = p->csum_offset = 0;
    if (n->rec != NULL)
        record_sent(n, p, n->now + delay_us, NULL);
    net_later(n, arrival(n, host, n->now + delay_us), COMES_PACKET, index);
}
