/* ethernet.h - frames of Ethernet II (RFC 894), with one 802.1Q tag at most. */
#ifndef WIRE_ETHERNET_H
#define WIRE_ETHERNET_H

#include "wire.h"

enum { ETH_HDR = 14, ETH_TAGGED_HDR = 18 };
enum { ETH_IP4 = 0x0800, ETH_ARP = 0x0806, ETH_VLAN = 0x8100, ETH_IP6 = 0x86dd };

struct eth_addr {
    uint8_t b[6];
};

struct eth_frame {
    struct eth_addr dst, src;
    uint16_t type;          /* ETH_...; behind the tag if there is one */
    uint16_t tag;           /* tag control: priority 3 bits, DEI, VLAN 12 bits */
    bool tagged;
    const uint8_t *payload; /* may end in padding: the packet in it knows its length */
    uint32_t payload_len;
};

/* Refused (ETHERNET_MALFORMED): too short, a length in place of the type (802.3), a group address as
 * source. */
enum tern_cause eth_parse(const uint8_t *p, uint32_t len, struct eth_frame *out);

/* Write the header: 14 bytes, or 18 with a tag. Returns its length. */
uint16_t eth_emit(uint8_t *p, const struct eth_frame *f);

/* The group bit: multicast and broadcast. */
static inline bool eth_is_group(const struct eth_addr *a) { return (a->b[0] & 1) != 0; }

/* Where frames for an IP multicast address go: 01:00:5e and 23 bits of it (RFC 1112 6.4), 33:33 and 32
 * bits of it (RFC 2464 7). */
struct eth_addr eth_multicast(const tern_ip *group);

#endif
