/* mld.h - multicast listener discovery, version 2 (RFC 3810): so much of it that a switch which listens knows
 * where the answers to neighbours' questions are to go. */
#ifndef WIRE_MLD_H
#define WIRE_MLD_H

#include "wire.h"

enum { ICMP6_LISTENER_QUERY = 130, ICMP6_LISTENER_REPORT = 143 };
enum { MLD_REPORT_LEN = 40 + 8 + 8 + 20 }; /* IPv6 header, router alert, report, one record */

/* ff02::16, where reports go (RFC 3810 5.2.14). */
tern_ip mld_reports_to(void);

/* Write a whole IPv6 packet of MLD_REPORT_LEN bytes that reports one group, with no source left out: as one
 * that was just joined, or as the answer to a query. */
void mld_emit(uint8_t *p, const tern_ip *src, const tern_ip *group, bool joined, uint8_t hops);

/* A query (general, or of a group: `group`), from what icmp_parse has read. `delay_ms`: within this time an
 * answer is wanted. False: it is none, or must be ignored (RFC 3810 6.2). */
bool mld_query_parse(const struct ip_hdr *ip, const struct icmp_msg *m, tern_ip *group, uint32_t *delay_ms);

#endif
