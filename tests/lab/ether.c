/* ether.c - see ether.h. */
#include "lab/ether.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/host.h>

enum { MEMORY = 8 << 20, ME = ETHER_STACKS };

struct eth_addr ether_hw(int station) { return (struct eth_addr){{2, 0, 0, 0, 0, (uint8_t)(station + 1)}}; }

tern_ip ether_ip(const char *text)
{
    tern_ip ip;
    assert_int_equal(tern_ip_parse(text, &ip), 0);
    return ip;
}

struct ether_world *ether_new(int stacks, const tern_link_info *like)
{
    struct ether_world *w = calloc(1, sizeof *w);
    w->now = SEC;
    w->stacks = stacks;
    for (int i = 0; i < stacks; i++) {
        tern_config cfg = {.seed = {(uint8_t)(i + 1), 77}};
        tern_link_info info = *like;
        struct eth_addr hw = ether_hw(i);
        memcpy(info.hw, hw.b, 6);
        w->block[i] = aligned_alloc(4096, MEMORY);
        assert_int_equal(tern_create(&w->t[i], &cfg, w->block[i], MEMORY), 0);
        tern_tick(w->t[i], w->now);
        w->link[i] = tern_link_add(w->t[i], &info);
        assert_true(w->link[i] > 0);
    }
    return w;
}

void ether_free(struct ether_world *w)
{
    for (int i = 0; i < w->stacks; i++) {
        tern_destroy(w->t[i]);
        free(w->block[i]);
    }
    free(w);
}

void ether_addr(struct ether_world *w, int stack, const char *cidr)
{
    tern_ip ip;
    int len;
    assert_int_equal(tern_cidr_parse(cidr, &ip, &len), 0);
    assert_int_equal(tern_addr_add(w->t[stack], w->link[stack], &ip, len), 0);
}

/* --- the wire ------------------------------------------------------------------------------------ */

static void read_ip(struct seen *s)
{
    struct icmp_msg icmp;
    if (ip_parse(s->eth.payload, s->eth.payload_len, &s->ip) != TERN_CAUSE_NONE)
        return;
    s->tcp = s->ip.proto == PROTO_TCP;
    s->nd = s->ip.proto == PROTO_ICMP6 && icmp_parse(&s->ip, &icmp) == TERN_CAUSE_NONE &&
            ndp_parse(&s->ip, &icmp, &s->n) == TERN_CAUSE_NONE;
}

static void look(struct ether_world *w, int from, const uint8_t *frame, uint32_t len)
{
    struct seen *s = &w->seen[w->n];
    if (w->n == ETHER_SEEN || len > sizeof w->bytes[0])
        return;
    memcpy(w->bytes[w->n], frame, len);
    *s = (struct seen){.t_us = w->now, .from = from};
    assert_int_equal(eth_parse(w->bytes[w->n], len, &s->eth), TERN_CAUSE_NONE);
    struct eth_addr hw = ether_hw(from < 0 ? ME : from);
    assert_memory_equal(s->eth.src.b, hw.b, 6);
    if (s->eth.type == ETH_ARP)
        s->arp = arp_parse(s->eth.payload, s->eth.payload_len, &s->a) == TERN_CAUSE_NONE;
    else
        read_ip(s);
    w->n++;
}

static bool is_lost(struct ether_world *w)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % 1000000 < w->loss_ppm;
}

static void to_all(struct ether_world *w, int from, const uint8_t *frame, uint32_t len)
{
    look(w, from, frame, len);
    for (int i = 0; i < w->stacks; i++) {
        if (i == from || (w->loss_ppm > 0 && is_lost(w)))
            continue;
        tern_rx_packet p = {
            .data = frame, .len = len, .link = (uint8_t)w->link[i], .flags = TERN_RX_ETHERNET};
        tern_rx(w->t[i], w->now, &p, 1);
        tern_check(w->t[i]);
    }
}

struct way {
    struct ether_world *w;
    int from;
};

static void piece(void *ctx, const uint8_t *frame, uint32_t len)
{
    struct way *way = ctx;
    to_all(way->w, way->from, frame, len);
}

static bool sends(struct ether_world *w, int i)
{
    tern_tx_packet out[8];
    struct way way = {w, i};
    int n = tern_tx(w->t[i], w->now, out, 8);
    uint8_t *frames = malloc((size_t)8 * ETHER_FRAME);
    uint32_t len[8];
    for (int k = 0; k < n; k++) { /* their bytes are valid until the next call */
        assert_true(out[k].flags & TERN_TX_ETHERNET);
        assert_true(out[k].link == w->link[i]);
        len[k] = tern_tx_flatten(&out[k], frames + (size_t)k * ETHER_FRAME);
    }
    tern_check(w->t[i]);
    for (int k = 0; k < n; k++) {
        tern_tx_packet p = out[k];
        p.n_slices = 1;
        p.slices[0] = (tern_slice){frames + (size_t)k * ETHER_FRAME + p.hdr_len, len[k] - p.hdr_len};
        tern_segment(&p, piece, &way);
    }
    free(frames);
    return n > 0;
}

void ether_flush(struct ether_world *w)
{
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < w->stacks; i++)
            any |= sends(w, i);
    }
}

void ether_run(struct ether_world *w, uint64_t us)
{
    uint64_t end = w->now + us;
    for (;;) {
        uint64_t next = UINT64_MAX;
        ether_flush(w);
        for (int i = 0; i < w->stacks; i++) {
            uint64_t d = tern_next_deadline(w->t[i]);
            next = d < next ? d : next;
        }
        if (next > end)
            break;
        w->now = next > w->now ? next : w->now;
        for (int i = 0; i < w->stacks; i++) {
            tern_tick(w->t[i], w->now);
            tern_check(w->t[i]);
        }
    }
    w->now = end;
    for (int i = 0; i < w->stacks; i++)
        tern_tick(w->t[i], w->now);
    ether_flush(w);
}

/* --- the test's station -------------------------------------------------------------------------- */

void ether_inject(struct ether_world *w, const uint8_t *frame, uint32_t len)
{
    to_all(w, -1, frame, len);
    ether_flush(w);
}

void ether_send_arp(struct ether_world *w, const struct eth_addr *to, const struct arp_msg *m)
{
    uint8_t frame[ETH_HDR + ARP_LEN];
    struct eth_frame f = {.dst = *to, .src = ether_hw(ME), .type = ETH_ARP};
    eth_emit(frame, &f);
    arp_emit(frame + ETH_HDR, m);
    ether_inject(w, frame, sizeof frame);
}

void ether_send_nd(struct ether_world *w, const tern_ip *src, const tern_ip *dst, const struct eth_addr *to,
                   const struct ndp_msg *m)
{
    uint8_t frame[ETH_HDR + 40 + NDP_MAX], message[NDP_MAX];
    struct eth_frame f = {.dst = *to, .src = ether_hw(ME), .type = ETH_IP6};
    uint16_t len = ndp_emit(message, m, src, dst);
    eth_emit(frame, &f);
    ip_emit(frame + ETH_HDR, src, dst, PROTO_ICMP6, 255, 0, len, 0);
    memcpy(frame + ETH_HDR + 40, message, len);
    ether_inject(w, frame, (uint32_t)(ETH_HDR + 40 + len));
}

void ether_send_syn(struct ether_world *w, const tern_ip *src, const tern_ip *dst, int to_stack)
{
    uint8_t frame[128];
    struct eth_frame f = {.dst = ether_hw(to_stack),
                          .src = ether_hw(ME),
                          .type = tern_ip_is4(src) ? ETH_IP4 : ETH_IP6};
    struct segment s = {.src = *src, .dst = *dst, .src_port = 4000, .dst_port = 9, .flags = F_SYN};
    s.opt.wscale = WSCALE_NONE;
    uint32_t at = eth_emit(frame, &f);
    at += ip_emit(frame + at, src, dst, PROTO_TCP, 64, 0, 20, 0);
    uint16_t len = tcp_emit(frame + at, &s);
    put16(frame + at + 16, csum_fold(csum_add(csum_pseudo(src, dst, PROTO_TCP, len), frame + at, len)));
    ether_inject(w, frame, at + len);
}

/* --- what was seen ------------------------------------------------------------------------------- */

void ether_forget(struct ether_world *w) { w->n = 0; }

int ether_count_arp(const struct ether_world *w, int from, uint16_t op)
{
    int count = 0;
    for (uint32_t i = 0; i < w->n; i++)
        count += w->seen[i].from == from && w->seen[i].arp && w->seen[i].a.op == op;
    return count;
}

int ether_count_nd(const struct ether_world *w, int from, uint8_t type)
{
    int count = 0;
    for (uint32_t i = 0; i < w->n; i++)
        count += w->seen[i].from == from && w->seen[i].nd && w->seen[i].n.type == type;
    return count;
}

const struct seen *ether_last_nd(const struct ether_world *w, int from, uint8_t type)
{
    for (uint32_t i = w->n; i-- > 0;)
        if (w->seen[i].from == from && w->seen[i].nd && w->seen[i].n.type == type)
            return &w->seen[i];
    return NULL;
}

const struct seen *ether_last_arp(const struct ether_world *w, int from)
{
    for (uint32_t i = w->n; i-- > 0;)
        if (w->seen[i].from == from && w->seen[i].arp)
            return &w->seen[i];
    return NULL;
}

const struct seen *ether_last_tcp(const struct ether_world *w, int from)
{
    for (uint32_t i = w->n; i-- > 0;)
        if (w->seen[i].from == from && w->seen[i].tcp)
            return &w->seen[i];
    return NULL;
}

tern_neigh_entry ether_neigh(const struct ether_world *w, int stack, const tern_ip *ip)
{
    tern_neigh_entry all[NEIGHS];
    int n = tern_neigh_list(w->t[stack], all, NEIGHS);
    for (int i = 0; i < n; i++)
        if (memcmp(&all[i].ip, ip, sizeof *ip) == 0)
            return all[i];
    return (tern_neigh_entry){0};
}

tern_addr_entry ether_addr_entry(const struct ether_world *w, int stack, const tern_ip *ip)
{
    tern_addr_entry all[64];
    int n = tern_addr_list(w->t[stack], all, 64);
    for (int i = 0; i < n && i < 64; i++)
        if (memcmp(&all[i].ip, ip, sizeof *ip) == 0)
            return all[i];
    fail_msg("no such address");
    return all[0];
}
