/* mld.c - reports and queries of multicast listener discovery.
 *
 *   report: type 1 | 0 1 | checksum 2 | 0 2 | records 2 || kind 1 | 0 1 | sources 2 | group 16 |
 *   query:  type 1 | 0 1 | checksum 2 | delay 2 | 0 2 | group 16 | (version 2 has more)
 */
#include "mld.h"

enum { ANSWER = 2, JOINED = 4 };           /* MODE_IS_EXCLUDE, CHANGE_TO_EXCLUDE_MODE (RFC 3810 5.2.12) */
enum { QUERY_BODY = 16, FLOATING = 32768 };

tern_ip mld_reports_to(void) { return (tern_ip){{0xff, 2, [15] = 0x16}}; }

void mld_emit(uint8_t *p, const tern_ip *src, const tern_ip *group, bool joined, uint8_t hops)
{
    /* RFC 3810 5: with a router alert (RFC 2711): hop-by-hop options, PadN behind it */
    static const uint8_t alert[] = {PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0};
    tern_ip dst = mld_reports_to();
    uint8_t record[20] = {joined ? JOINED : ANSWER};
    memcpy(record + 4, group->b, 16);
    uint16_t at = ip_emit(p, src, &dst, 0, hops, 0, MLD_REPORT_LEN - 40, 0);
    memcpy(p + at, alert, sizeof alert);
    at += sizeof alert;
    memcpy(p + at + 8, record, sizeof record);
    icmp_emit(p + at, 6, ICMP6_LISTENER_REPORT, 0, 1, p + at + 8, sizeof record, src, &dst);
}

/* RFC 3810 5.1.3: above 32767 it has an exponent. */
static uint32_t delay_of(uint32_t code)
{
    return code < FLOATING ? code : ((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
}

bool mld_query_parse(const struct ip_hdr *ip, const struct icmp_msg *m, tern_ip *group, uint32_t *delay_ms)
{
    if (ip->version != 6 || m->type != ICMP6_LISTENER_QUERY || m->body_len < QUERY_BODY)
        return false;
    if (ip->ttl != 1 || !ip_is_link_local6(&ip->src))
        return false;
    memcpy(group->b, m->body, 16);
    *delay_ms = delay_of(m->rest >> 16);
    return true;
}
