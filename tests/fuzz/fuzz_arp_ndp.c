/* Any bytes as an Ethernet frame, an ARP message, or a neighbour discovery message: accepted ones are
 * written again and read the same. The first byte chooses; its highest bit is the source's scope. */
#include "wire/arp.h"
#include "wire/ndp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_ethernet(const uint8_t *p, uint32_t n)
{
    struct eth_frame f;
    uint8_t made[18];
    if (eth_parse(p, n, &f) != TERN_CAUSE_NONE)
        return;
    uint16_t len = eth_emit(made, &f);
    ASSERT(memcmp(made, p, len) == 0 && f.payload == p + len && f.payload_len == n - len);
}

static void fuzz_arp(const uint8_t *p, uint32_t n)
{
    struct arp_msg m;
    uint8_t made[28];
    if (arp_parse(p, n, &m) != TERN_CAUSE_NONE)
        return;
    ASSERT(arp_emit(made, &m) == 28 && memcmp(made, p, 28) == 0);
}

static void same(const struct ndp_msg *a, const struct ndp_msg *b)
{
    ASSERT(a->type == b->type && a->has_hw == b->has_hw && memcmp(a->hw.b, b->hw.b, 6) == 0);
    ASSERT(ip_eq(&a->target, &b->target) && a->router == b->router && a->solicited == b->solicited);
    ASSERT(a->override == b->override && a->hop_limit == b->hop_limit && a->managed == b->managed);
    ASSERT(a->other == b->other && a->lifetime_s == b->lifetime_s && a->reachable_ms == b->reachable_ms);
    ASSERT(a->retrans_ms == b->retrans_ms && a->mtu == b->mtu && a->n_prefixes == b->n_prefixes);
    for (uint8_t i = 0; i < a->n_prefixes; i++)
        ASSERT(ip_eq(&a->prefixes[i].prefix, &b->prefixes[i].prefix) && a->prefixes[i].len <= 128);
}

static void fuzz_ndp(const uint8_t *p, uint32_t n, bool link_local)
{
    struct ndp_msg m, again;
    uint8_t made[NDP_MAX];
    struct ip_hdr ip = {.version = 6, .proto = PROTO_ICMP6, .ttl = 255};
    ip.src.b[0] = link_local ? 0xfe : 0x20, ip.src.b[1] = link_local ? 0x80 : 1;
    ip.dst.b[0] = 0x20;
    if (n < 8)
        return;
    struct icmp_msg icmp = {.version = 6, .type = p[0], .code = p[1], .rest = get32(p + 4)};
    icmp.body = p + 8, icmp.body_len = n - 8;
    if (ndp_parse(&ip, &icmp, &m) != TERN_CAUSE_NONE)
        return;
    uint16_t len = ndp_emit(made, &m, &ip.src, &ip.dst);
    ASSERT(len <= NDP_MAX);
    ip.payload = made, ip.payload_len = len;
    ASSERT(icmp_parse(&ip, &icmp) == TERN_CAUSE_NONE && ndp_parse(&ip, &icmp, &again) == TERN_CAUSE_NONE);
    same(&m, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    uint32_t n = (uint32_t)size - 1;
    switch (data[0] & 3) {
    case 0: fuzz_ethernet(data + 1, n); break;
    case 1: fuzz_arp(data + 1, n); break;
    default: fuzz_ndp(data + 1, n, data[0] >> 7); break;
    }
    return 0;
}
