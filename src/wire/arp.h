/* arp.h - address resolution for IPv4 over Ethernet (RFC 826). */
#ifndef WIRE_ARP_H
#define WIRE_ARP_H

#include "ethernet.h"

enum { ARP_LEN = 28 };
enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct arp_msg {
    uint16_t op;                        /* ARP_... */
    struct eth_addr sender_hw, target_hw;
    tern_ip sender, target;             /* sender 0.0.0.0: a probe (RFC 5227 1.1) */
};

/* Parse the payload of an ETH_ARP frame; bytes behind the message are padding. Refused (ARP_MALFORMED): other
 * kinds of addresses, other operations, a sender that no station can be. */
enum tern_cause arp_parse(const uint8_t *p, uint32_t len, struct arp_msg *out);

/* Write ARP_LEN bytes. */
uint16_t arp_emit(uint8_t *p, const struct arp_msg *m);

#endif
