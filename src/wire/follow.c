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

enum { TCP_HDR = 20, COMMON4 = IP4_HDR + TCP_HDR, COMMON6 = IP6_HDR + TCP_HDR };

/* Which bits of the two headers are everybody's: all but those of length, identification and checksum of IP;
 * number, PSH and checksum of TCP. */
#define OFF2 0, 0
#define ON4  255, 255, 255, 255
#define TCP_COMMON ON4, OFF2, OFF2, ON4, 255, (uint8_t)~F_PSH, 255, 255, OFF2, 255, 255
static const uint8_t common4[COMMON4] = {255, 255, OFF2, OFF2, 255, 255,
                                         255, 255, OFF2, ON4,  ON4, TCP_COMMON};
static const uint8_t common6[COMMON6 + 4] = {ON4, OFF2, 255, 255, ON4, ON4,       ON4,
                                             ON4, ON4,  ON4, ON4, ON4, TCP_COMMON};

static inline uint64_t word(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static uint32_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32); /* < 2^33 */
    sum = (sum & 0xffff) + (sum >> 16);     /* < 2^18 */
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

void tcp_lead(uint16_t ip_len, const uint8_t *p, const struct segment *s, struct tcp_lead *out)
{
    /* says_the_same reads 4 bytes more than its headers have */
    bool leads =
        s->len >= 4 && (s->flags & ~F_PSH) == F_ACK && ip_len == (p[0] >> 4 == 4 ? IP4_HDR : IP6_HDR);
    out->p = leads ? p : NULL;
    out->ip_len = ip_len;
    out->tcp_len = (uint16_t)(s->data - p - ip_len);
}

/* What the common bits add to the checksums. Addresses and protocol are words of the pseudo-header too. */
void tcp_lead_sums(struct tcp_lead *l)
{
    const uint8_t *p = l->p, *tcp = p + l->ip_len;
    bool v4 = l->ip_len == IP4_HDR;
    uint64_t sum = csum_add(PROTO_TCP, p + (v4 ? 12 : 8), v4 ? 8 : 32) + csum_add(0, tcp, l->tcp_len);
    uint32_t own = (uint32_t)get16(tcp + 4) + get16(tcp + 6) + get16(tcp + 12) + get16(tcp + 16);
    l->tcp_sum = fold(sum + 4 * 0xffffu - own);
    own = (uint32_t)get16(p + 2) + get16(p + 4) + get16(p + 10);
    l->ip_sum = v4 ? fold(csum_add(0, p, IP4_HDR) + 3 * 0xffffu - own) : 0;
}

/* Where 8 bytes of two packets differ, of those that must not. */
static inline uint64_t differ(const uint8_t *p, const uint8_t *q, const uint8_t *common, uint32_t at)
{
    return (word(p + at) ^ word(q + at)) & word(common + at);
}

static inline uint64_t differ24(const uint8_t *p, const uint8_t *q, const uint8_t *common, uint32_t at)
{
    return differ(p, q, common, at) | differ(p, q, common, at + 8) | differ(p, q, common, at + 16);
}

/* TCP options are everybody's as they are; they come in words of four bytes. */
static inline uint32_t options_differ(const uint8_t *p, const uint8_t *q, uint32_t n)
{
    uint32_t all = 0, a, b;
    for (uint32_t at = 0; at < n; at += 4) {
        memcpy(&a, p + at, 4);
        memcpy(&b, q + at, 4);
        all |= a ^ b;
    }
    return all;
}

static inline bool says_the_same(const struct tcp_lead *l, const uint8_t *p)
{
    const uint8_t *q = l->p;
    uint32_t common = (uint32_t)l->ip_len + TCP_HDR;
    uint64_t all = options_differ(p + common, q + common, l->tcp_len - TCP_HDR);
    if (LIKELY(common == COMMON4))
        return (all | differ24(p, q, common4, 0) | differ(p, q, common4, 24) | differ(p, q, common4, 32)) ==
               0;
    /* the last 4 bytes of these are no header's */
    return (all | differ24(p, q, common6, 0) | differ24(p, q, common6, 24) | differ(p, q, common6, 48) |
            differ(p, q, common6, 56)) == 0;
}

/* Of the packet; 0 = the IP header's checksum is wrong. The sum is never 0, since the version is not. */
static inline uint32_t length(const struct tcp_lead *l, const uint8_t *p)
{
    if (l->ip_len == IP6_HDR)
        return (uint32_t)IP6_HDR + get16(p + 4);
    uint32_t words = get32(p + 2), len = words >> 16;
    return (l->ip_sum + len + (words & 0xffff) + get16(p + 10)) % 0xffff == 0 ? len : 0;
}

bool tcp_follows(const struct tcp_lead *l, const uint8_t *p, uint32_t len, struct follower *out)
{
    uint32_t ip_len = l->ip_len, hdr = ip_len + l->tcp_len, total;
    if (len < hdr + 4 || !says_the_same(l, p) || (total = length(l, p)) <= hdr || total > len)
        return false;
    const uint8_t *tcp = p + ip_len;
    uint32_t number = get32(tcp + 4), sum = l->tcp_sum + total - ip_len + get16(tcp + 12) + get16(tcp + 16);
    out->seq = seq(number);
    out->len = total - hdr;
    out->data = p + hdr;
    out->sum = sum + (number >> 16) + (number & 0xffff);
    return true;
}
