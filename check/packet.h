/* packet.h - packets as bytes, for the peer that a script plays: built with whatever the script wants, even
 * what no stack would send, and read with every option in its place. A codec of its own, so that a mistake in
 * tern's cannot hide. Numbers are live ones.
 */
#ifndef CHECK_PACKET_H
#define CHECK_PACKET_H

#include "check/script.h"

enum { PACKET_MAX = 66000 };

/* A TCP segment in its IP packet. */
struct packet {
    tern_ip src, dst;
    uint16_t src_port, dst_port;
    uint8_t tos, ttl;
    uint32_t flow_label;
    uint16_t flags; /* FIN ... AE */
    uint32_t seq, ack;
    uint16_t win, urg;
    uint32_t n_options;
    struct tcp_option options[OPTIONS_MAX];
    const uint8_t *data;
    uint32_t len; /* payload */
};

/* Build it; `data` NULL: zeros. `bad_checksum`: TCP's is wrong. Returns the length; `buf` holds
 * PACKET_MAX. */
uint32_t packet_build(const struct packet *k, bool bad_checksum, uint8_t *buf);

/* Read it; `data` points into the bytes. NULL = well-formed, checksums included; else what is wrong. */
const char *packet_read(struct packet *k, const uint8_t *bytes, uint32_t len);

/* An ICMP error from `from` about a segment that k->src has sent to k->dst (addresses, ports, seq and len of
 * `k` are used). Returns the length. */
uint32_t packet_icmp(const struct packet *k, const tern_ip *from, uint8_t type, uint8_t code, uint32_t rest,
                     uint8_t *buf);

#endif
