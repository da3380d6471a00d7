/* ethernet.c - Ethernet headers. */
#include "ethernet.h"

enum { TYPE_MIN = 0x600 }; /* smaller ones are lengths (RFC 1122 2.3.3) */

enum tern_cause eth_parse(const uint8_t *p, uint32_t len, struct eth_frame *out)
{
    if (len < ETH_HDR)
        return TERN_C_ETHERNET_MALFORMED;
    bool tagged = get16(p + 12) == ETH_VLAN;
    uint32_t hdr_len = tagged ? ETH_TAGGED_HDR : ETH_HDR;
    if (len < hdr_len)
        return TERN_C_ETHERNET_MALFORMED;
    *out = (struct eth_frame){
        .type = get16(p + hdr_len - 2),
        .tag = tagged ? get16(p + 14) : 0,
        .tagged = tagged,
        .payload = p + hdr_len,
        .payload_len = len - hdr_len,
    };
    memcpy(out->dst.b, p, 6);
    memcpy(out->src.b, p + 6, 6);
    bool fine = out->type >= TYPE_MIN && out->type != ETH_VLAN && !eth_is_group(&out->src);
    return fine ? TERN_CAUSE_NONE : TERN_C_ETHERNET_MALFORMED;
}

uint16_t eth_emit(uint8_t *p, const struct eth_frame *f)
{
    uint16_t len = f->tagged ? ETH_TAGGED_HDR : ETH_HDR;
    memcpy(p, f->dst.b, 6);
    memcpy(p + 6, f->src.b, 6);
    if (f->tagged) {
        put16(p + 12, ETH_VLAN);
        put16(p + 14, f->tag);
    }
    put16(p + len - 2, f->type);
    return len;
}

struct eth_addr eth_multicast(const tern_ip *group)
{
    const uint8_t *b = group->b + 12;
    if (tern_ip_is4(group))
        return (struct eth_addr){{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}};
    return (struct eth_addr){{0x33, 0x33, b[0], b[1], b[2], b[3]}};
}
