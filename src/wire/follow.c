/* follow.c - a packet that says nothing new but the next bytes of the same stream.
 *
 *   lead       IP .......... | ports  seq    ack  flags  window  options | bytes
 *   follower   IP .......... | ports  seq+n  ack  flags  window  options | bytes that come behind
 *                  length, identification, number, checksums and PSH are its own; all else is the lead's
 *
 * The lead is parsed in full. Of its followers only what may differ is read: whatever the parsers have found
 * out about the rest of the lead's headers is true of theirs. What a checksum covers of the common part is
 * summed once.
 */
#include "ip_parts.h"

enum { TCP_HDR = 20, MASK_PSH = 0xfff7 };

static inline uint64_t word64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint32_t word32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static uint32_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32); /* < 2^33 */
    sum = (sum & 0xffff) + (sum >> 16);     /* < 2^18 */
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

bool tcp_lead(const struct ip_hdr *ip, const uint8_t *p, const struct segment *s, struct tcp_lead *out)
{
    uint32_t plain = ip->version == 4 ? IP4_HDR : IP6_HDR, hdr = (uint32_t)(s->data - ip->payload);
    if (s->len == 0 || (s->flags & ~F_PSH) != F_ACK || ip->hdr_len != plain)
        return false;
    *out = (struct tcp_lead){.p = p, .ip_len = ip->hdr_len, .tcp_len = (uint16_t)hdr};
    /* number, flags and checksum are each packet's own; so is the length, twice */
    const uint8_t *tcp = ip->payload;
    uint64_t sum = csum_add(csum_pseudo(&ip->src, &ip->dst, PROTO_TCP, 0), tcp, hdr);
    uint32_t own = (uint32_t)get16(tcp + 4) + get16(tcp + 6) + get16(tcp + 12) + get16(tcp + 16);
    out->tcp_sum = fold(sum + 4 * 0xffffu - own);
    own = (uint32_t)get16(p + 2) + get16(p + 4) + get16(p + 10);
    out->ip_sum = ip->version == 4 ? fold(csum_add(0, p, IP4_HDR) + 3 * 0xffffu - own) : 0;
    return true;
}

/* The IP header: its length of packet and payload, or 0. */
static uint32_t ip_follows(const struct tcp_lead *l, const uint8_t *p)
{
    const uint8_t *q = l->p;
    if (l->ip_len == IP6_HDR) {
        bool same = ((word32(p) ^ word32(q)) | (uint32_t)(get16(p + 6) ^ get16(q + 6))) == 0 &&
                    memcmp(p + 8, q + 8, 32) == 0;
        return same ? (uint32_t)IP6_HDR + get16(p + 4) : 0;
    }
    uint64_t differ = (word64(p + 12) ^ word64(q + 12)) | (word32(p + 6) ^ word32(q + 6)) |
                      (uint32_t)(get16(p) ^ get16(q));
    uint32_t len = get16(p + 2), sum = l->ip_sum + len + get16(p + 4) + get16(p + 10);
    return differ == 0 && fold(sum) == 0xffff ? len : 0;
}

static bool tcp_same(const uint8_t *p, const uint8_t *q, uint32_t len)
{
    uint64_t differ = (word32(p) ^ word32(q)) | (word32(p + 8) ^ word32(q + 8)) |
                      (uint32_t)((get16(p + 12) ^ get16(q + 12)) & MASK_PSH) |
                      (uint32_t)(get16(p + 14) ^ get16(q + 14)) | (uint32_t)(get16(p + 18) ^ get16(q + 18));
    for (uint32_t at = TCP_HDR; at < len; at += 4)
        differ |= word32(p + at) ^ word32(q + at);
    return differ == 0;
}

bool tcp_follows(const struct tcp_lead *l, const uint8_t *p, uint32_t len, struct follower *out)
{
    uint32_t hdr = (uint32_t)l->ip_len + l->tcp_len, total;
    if (len <= hdr || (total = ip_follows(l, p)) <= hdr || total > len)
        return false;
    const uint8_t *tcp = p + l->ip_len;
    if (!tcp_same(tcp, l->p + l->ip_len, l->tcp_len))
        return false;
    uint32_t number = get32(tcp + 4);
    *out = (struct follower){.seq = seq(number), .len = total - hdr, .data = p + hdr};
    out->sum = l->tcp_sum + (number >> 16) + (number & 0xffff) + get16(tcp + 12) + get16(tcp + 16) + total -
               l->ip_len;
    return true;
}

bool follower_right(const struct follower *f, uint64_t payload_sum)
{
    return fold(payload_sum + f->sum) == 0xffff;
}
