/* Any bytes as an IP packet: what is accepted lies inside of them, and cutting it makes it unacceptable. */
#include "wire/ip_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* IPv4 headers with a wrong checksum would teach nothing: the first byte's lowest bit asks to make it
 * right. */
static void make_right(uint8_t *p, uint32_t n)
{
    uint32_t hdr_len = (p[0] & 15) * 4u;
    if (p[0] >> 4 != 4 || hdr_len < 20 || n < hdr_len)
        return;
    put16(p + 10, 0);
    put16(p + 10, csum_fold(csum_add(0, p, hdr_len)));
}

static void accepted(const uint8_t *p, uint32_t n, const struct ip_hdr *ip)
{
    ASSERT(ip->total_len <= n && (uint32_t)ip->hdr_len + ip->payload_len == ip->total_len);
    ASSERT(ip->payload == p + ip->hdr_len && ip->frag_hdr_len <= ip->hdr_len);
    ASSERT(ip->fragment == (ip->more || ip->frag_off != 0) && ip->frag_off % 8 == 0);
    ASSERT(ip->version == p[0] >> 4 && ip->hdr_len <= IP6_HDR + EXT_BYTES_MAX);
    ASSERT(tern_ip_is4(&ip->src) == (ip->version == 4) && tern_ip_is4(&ip->dst) == (ip->version == 4));
    struct ip_hdr cut;
    ASSERT(ip->total_len == 0 || ip_parse(p, ip->total_len - 1, &cut) != TERN_CAUSE_NONE);
}

/* The headers of a fragment, made those of a whole, parse as such. */
static void unfragmented(const uint8_t *p, const struct ip_hdr *ip)
{
    static uint8_t whole[70000];
    struct ip_hdr again;
    uint32_t len = ip->frag_hdr_len + ip->payload_len;
    memcpy(whole, p, ip->frag_hdr_len);
    memcpy(whole + ip->frag_hdr_len, ip->payload, ip->payload_len);
    ASSERT(ip_unfragment(whole, ip->frag_hdr_len, ip->proto, ip->payload_len, ECN_CE));
    enum tern_cause cause = ip_parse(whole, len, &again);
    if (ip->version == 4)
        ASSERT(cause == TERN_CAUSE_NONE && !again.fragment);
    if (cause == TERN_CAUSE_NONE)
        ASSERT(again.total_len == len && (again.tos & 3) == ECN_CE && ip_eq(&again.src, &ip->src));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t p[70000];
    struct ip_hdr ip;
    if (size < 2 || size > 65576)
        return 0;
    uint32_t n = (uint32_t)size - 1;
    if ((data[0] & 1) == 0) {
        if (ip_parse(data + 1, n, &ip) == TERN_CAUSE_NONE)
            accepted(data + 1, n, &ip);
        return 0;
    }
    memcpy(p, data + 1, n);
    make_right(p, n);
    if (ip_parse(p, n, &ip) != TERN_CAUSE_NONE)
        return 0;
    accepted(p, n, &ip);
    if (ip.fragment)
        unfragmented(p, &ip);
    return 0;
}
