/* ip_parts.h - what the files of the IP codec, icmp.c and the reassembly share beside wire.h. */
#ifndef WIRE_IP_PARTS_H
#define WIRE_IP_PARTS_H

#include "wire.h"

enum { IP4_HDR = 20, IP6_HDR = 40, IP6_FRAG_HDR = 8 };

/* What is read of IPv6 extension headers; a longer chain is refused (RFC 8504 5.3 allows limits). */
enum { EXT_MAX = 8, EXT_BYTES_MAX = 1024 };

enum tern_cause ip4_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out);
enum tern_cause ip6_parse(const uint8_t *p, uint32_t len, struct ip_hdr *out);

/* Follow the extension headers of what may be the beginning of a packet only: from the header of type
 * *next at *at on, in `len` bytes at p. On true *next is the protocol behind them and *at its offset (at
 * most len). False: the chain does not end inside of the bytes, or this is a later fragment. */
bool ip6_skip_ext(const uint8_t *p, uint32_t len, uint8_t *next, uint32_t *at);

/* Make the headers of a first fragment those of the whole datagram: `p` holds its frag_hdr_len bytes and
 * `payload_len` bytes are to follow. The fragment fields vanish, the ECN field becomes `ecn`. False:
 * longer than an IP packet can be. */
bool ip_unfragment(uint8_t *p, uint16_t frag_hdr_len, uint8_t proto, uint32_t payload_len, uint8_t ecn);

#endif
