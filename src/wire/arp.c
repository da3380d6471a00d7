/* arp.c - ARP messages.
 *
 *   hardware 2 | protocol 2 | lengths 1 1 | operation 2 | sender 6 4 | target 6 4
 */
#include "arp.h"

enum { HW_ETHERNET = 1 };

static tern_ip read_ip(const uint8_t *p)
{
    return tern_ip4(p[0], p[1], p[2], p[3]);
}

/* RFC 826, "Packet Reception": hardware type, protocol, lengths. */
static bool is_ip_over_ethernet(const uint8_t *p)
{
    return get16(p) == HW_ETHERNET && get16(p + 2) == ETH_IP4 && p[4] == 6 && p[5] == 4;
}

enum tern_cause arp_parse(const uint8_t *p, uint32_t len, struct arp_msg *out)
{
    if (len < ARP_LEN || !is_ip_over_ethernet(p))
        return TERN_C_ARP_MALFORMED;
    *out = (struct arp_msg){.op = get16(p + 6), .sender = read_ip(p + 14), .target = read_ip(p + 24)};
    memcpy(out->sender_hw.b, p + 8, 6);
    memcpy(out->target_hw.b, p + 18, 6);
    if (out->op != ARP_REQUEST && out->op != ARP_REPLY)
        return TERN_C_ARP_MALFORMED;
    /* Who would be believed must be one station (RFC 1122 3.2.1.3; RFC 1812 3.3.2). */
    if (eth_is_group(&out->sender_hw) || ip_is_multicast(&out->sender) || ip_is_broadcast4(&out->sender))
        return TERN_C_ARP_MALFORMED;
    return TERN_CAUSE_NONE;
}

uint16_t arp_emit(uint8_t *p, const struct arp_msg *m)
{
    put16(p, HW_ETHERNET);
    put16(p + 2, ETH_IP4);
    p[4] = 6, p[5] = 4;
    put16(p + 6, m->op);
    memcpy(p + 8, m->sender_hw.b, 6);
    memcpy(p + 14, m->sender.b + 12, 4);
    memcpy(p + 18, m->target_hw.b, 6);
    memcpy(p + 24, m->target.b + 12, 4);
    return ARP_LEN;
}
