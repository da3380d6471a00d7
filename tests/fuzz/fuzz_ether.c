/* A stack on Ethernet that configures itself, and a program of steps from the input: frames of any bytes, ARP
 * and neighbour discovery from a few stations about a few addresses, segments, calls, time. Every invariant
 * after each step; what leaves is a frame of ours; a copy is in the same situation as its original; and when
 * all is quiet for an hour nothing waits any more. */
#include "tcp/tcp.h"
#include "wire/arp.h"
#include "wire/mld.h"
#include "wire/ndp.h"
#include <tern/net.h>
#include <tern/snapshot.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 1 << 20, STEPS = 200, FRAME = 2048 };

struct play {
    tern *t;
    void *block;
    int link;
    uint64_t now;
    const uint8_t *p, *end;
};

static const struct eth_addr us = {{2, 0, 0, 0, 0, 1}};

static uint8_t byte(struct play *s) { return s->p < s->end ? *s->p++ : 0; }

static struct eth_addr station(struct play *s) { return (struct eth_addr){{2, 0, 0, 0, 0, byte(s) & 3}}; }

static struct eth_addr receiver(struct play *s)
{
    static const struct eth_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    static const struct eth_addr nodes = {{0x33, 0x33, 0, 0, 0, 1}};
    uint8_t b = byte(s);
    return b & 1 ? all : b & 2 ? nodes : us;
}

static tern_ip four(struct play *s)
{
    uint8_t b = byte(s);
    return b == 255 ? tern_ip4(0, 0, 0, 0) : tern_ip4(192, 0, b >> 4 & 3, b & 15);
}

/* One of a few, or an address that the stack has now. */
static tern_ip six(struct play *s)
{
    tern_addr_entry all[IP_ADDRS];
    uint8_t b = byte(s);
    int n = tern_addr_list(s->t, all, IP_ADDRS);
    tern_ip ip = {{0x20, 0x01, 0x0d, 0xb8, [15] = b & 7}};
    if (b & 0x80 && n > 0 && !tern_ip_is4(&all[b % n].ip))
        return all[b % n].ip;
    if (b & 0x40)
        return (tern_ip){{0}};
    if (b & 0x20)
        ip = (tern_ip){{0xfe, 0x80, [15] = b & 7}};
    if (b & 0x10)
        ip = (tern_ip){{0xff, 0x02, [15] = 1}};
    return ip;
}

/* --- frames -------------------------------------------------------------------------------------- */

static void arrive(struct play *s, uint8_t *frame, uint32_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1); /* so that a byte too far is found */
    memcpy(exact, frame, len);
    tern_rx_packet p = {.data = exact, .len = len, .link = (uint8_t)s->link, .flags = TERN_RX_ETHERNET};
    tern_rx(s->t, s->now, &p, 1);
    free(exact);
}

static uint32_t begin_frame(struct play *s, uint8_t *frame, uint16_t type)
{
    struct eth_frame f = {.dst = receiver(s), .src = station(s), .type = type};
    return eth_emit(frame, &f);
}

static void any_frame(struct play *s)
{
    uint8_t frame[FRAME];
    uint32_t n = byte(s);
    for (uint32_t i = 0; i < n; i++)
        frame[i] = byte(s);
    arrive(s, frame, n);
}

static void arp_frame(struct play *s)
{
    uint8_t frame[FRAME];
    uint32_t at = begin_frame(s, frame, ETH_ARP);
    struct arp_msg m = {.op = byte(s) & 1 ? ARP_REPLY : ARP_REQUEST, .sender_hw = station(s)};
    m.sender = four(s), m.target = four(s);
    arrive(s, frame, at + arp_emit(frame + at, &m));
}

static void fill_prefixes(struct play *s, struct ndp_msg *m)
{
    m->n_prefixes = byte(s) % (NDP_PREFIXES + 1);
    for (uint8_t i = 0; i < m->n_prefixes; i++) {
        uint8_t b = byte(s);
        m->prefixes[i] = (struct ndp_prefix){.prefix = {{0x20, 0x01, 0x0d, 0xb8, b, byte(s)}},
                                             .valid_s = b & 1 ? UINT32_MAX : byte(s) * 60u,
                                             .preferred_s = byte(s) * 30u,
                                             .len = b & 2 ? 64 : byte(s) % 129,
                                             .on_link = b & 4,
                                             .autonomous = b & 8};
    }
}

static void nd_frame(struct play *s)
{
    uint8_t frame[FRAME], message[NDP_MAX], b = byte(s);
    uint32_t at = begin_frame(s, frame, ETH_IP6);
    tern_ip src = six(s), dst = six(s);
    struct ndp_msg m = {.type = (uint8_t)(ICMP6_ROUTER_SOLICIT + (b & 3)),
                        .target = b == 7 ? four(s) : six(s),
                        .has_hw = b & 4,
                        .hw = station(s),
                        .router = b & 8,
                        .solicited = b & 16,
                        .override = b & 32,
                        .lifetime_s = b & 64 ? byte(s) : 0,
                        .mtu = b & 128 ? byte(s) * 16u : 0};
    if (m.type == ICMP6_ROUTER_ADVERT) {
        m.reachable_ms = byte(s) * 100u;
        m.retrans_ms = byte(s) * 100u;
        fill_prefixes(s, &m);
    }
    uint16_t len = ndp_emit(message, &m, &src, &dst);
    ip_emit(frame + at, &src, &dst, PROTO_ICMP6, 255, 0, len, 0);
    memcpy(frame + at + 40, message, len);
    arrive(s, frame, at + 40 + len);
}

static void query_frame(struct play *s)
{
    uint8_t frame[FRAME], body[16] = {0};
    uint32_t at = begin_frame(s, frame, ETH_IP6);
    tern_ip src = {{0xfe, 0x80, [15] = 9}}, dst = {{0xff, 0x02, [15] = 1}};
    memcpy(frame + at + 48, body, sizeof body);
    ip_emit(frame + at, &src, &dst, PROTO_ICMP6, 1, 0, 24, 0);
    icmp_emit(frame + at + 40, 6, ICMP6_LISTENER_QUERY, 0, (uint32_t)byte(s) << 24, frame + at + 48, 16, &src,
              &dst);
    arrive(s, frame, at + 64);
}

/* A SYN from a neighbour, or from afar: it wants an answer. */
static void segment_frame(struct play *s)
{
    uint8_t frame[FRAME];
    bool v6 = byte(s) & 1;
    uint32_t at = begin_frame(s, frame, v6 ? ETH_IP6 : ETH_IP4);
    tern_ip src = v6 ? six(s) : four(s), dst = v6 ? six(s) : four(s);
    struct segment g = {.src = src, .dst = dst, .src_port = byte(s), .dst_port = 80, .flags = F_SYN};
    g.opt.wscale = WSCALE_NONE;
    if (tern_ip_is4(&src) != tern_ip_is4(&dst))
        return;
    at += ip_emit(frame + at, &src, &dst, PROTO_TCP, 64, 0, 20, 0);
    tcp_emit(frame + at, &g);
    put16(frame + at + 16, csum_fold(csum_add(csum_pseudo(&src, &dst, PROTO_TCP, 20), frame + at, 20)));
    arrive(s, frame, at + 20);
}

/* --- calls --------------------------------------------------------------------------------------- */

static void call(struct play *s)
{
    uint8_t what = byte(s);
    tern_ip ip = what & 0x80 ? six(s) : four(s), via = what & 0x80 ? six(s) : four(s);
    tern_endpoint to = {.ip = ip, .port = 80};
    tern_link_info info;
    tern_handle h;
    switch (what & 7) {
    case 0: tern_addr_add(s->t, s->link, &ip, what & 0x80 ? 64 : 24); break;
    case 1: tern_addr_remove(s->t, 0, &ip); break;
    case 2: tern_route_add_via(s->t, s->link, &ip, byte(s) % 33, &via); break;
    case 3: tern_neigh_flush(s->t, 0, what & 8 ? &ip : NULL); break;
    case 4: tern_connect(s->t, NULL, &to, &h); break;
    case 5: tern_link_up(s->t, s->link, what & 8); break;
    case 6: tern_addr_deprecate(s->t, 0, &ip, what & 8); break;
    case 7:
        info = (tern_link_info){.mtu = 1280 + byte(s) * 4u, .ethernet = true, .autoconf = true};
        memcpy(info.hw, us.b, 6);
        tern_link_set(s->t, s->link, &info);
        break;
    }
}

static void leave(struct play *s)
{
    tern_tx_packet out[4];
    for (int n; (n = tern_tx(s->t, s->now, out, 4)) > 0;)
        for (int i = 0; i < n; i++) {
            ASSERT((out[i].flags & TERN_TX_ETHERNET) && out[i].hdr_len >= ETH_HDR);
            ASSERT(memcmp(out[i].hdr + 6, us.b, 6) == 0 && out[i].link == s->link);
        }
}

static void pass(struct play *s, uint64_t us_)
{
    for (uint64_t end = s->now + us_; s->now < end;) {
        uint64_t next = tern_next_deadline(s->t);
        s->now = next > end ? end : next > s->now ? next : s->now + 1;
        tern_tick(s->t, s->now);
        leave(s);
    }
}

static void copied(struct play *s)
{
    uint64_t one[2], two[2];
    size_t size = tern_snapshot_size(s->t);
    void *image = malloc(size), *block = aligned_alloc(4096, MEMORY);
    tern *copy;
    ASSERT(tern_snapshot(s->t, image, size) == 0);
    ASSERT(tern_restore(&copy, image, size, block, MEMORY, NULL, 0) == 0);
    tern_digest(s->t, one);
    tern_digest(copy, two);
    ASSERT(one[0] == two[0] && one[1] == two[1]);
    tern_check(copy);
    free(image);
    free(s->block);
    s->block = block;
    s->t = copy;
}

static void step(struct play *s)
{
    switch (byte(s) % 10) {
    case 0: any_frame(s); break;
    case 1:
    case 2: arp_frame(s); break;
    case 3:
    case 4: nd_frame(s); break;
    case 5: query_frame(s); break;
    case 6: segment_frame(s); break;
    case 7: call(s); break;
    case 8: pass(s, (uint64_t)byte(s) * 20000 + 1); break;
    case 9: copied(s); break;
    }
    if (byte(s) & 1)
        leave(s);
    tern_check(s->t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tern_config cfg = {.seed = {7}, .page_size = 1024, .time_wait_max = 8};
    tern_link_info info = {.mtu = 1500, .ethernet = true, .autoconf = true};
    struct play s = {.p = data, .end = data + size, .now = 1000000};
    tern_endpoint any = {.port = 80};
    tern_handle h;
    tern_live live;
    memcpy(info.hw, us.b, 6);
    s.block = aligned_alloc(4096, MEMORY);
    ASSERT(tern_create(&s.t, &cfg, s.block, MEMORY) == 0);
    info.no_dad = byte(&s) & 1;
    s.link = tern_link_add(s.t, &info);
    ASSERT(s.link > 0 && tern_listen(s.t, &any, 0, &h) == 0);
    for (int i = 0; i < STEPS && s.p < s.end; i++)
        step(&s);
    pass(&s, 3600ull * 1000000);
    tern_check(s.t);
    tern_get_live(s.t, &live);
    ASSERT(live.held == 0 && live.halfopen == 0);
    free(s.block);
    return 0;
}
