/* rtt.c - round-trip time and retransmission timeout (RFC 6298; RFC6298-1-a). Knows no connection.
 *
 * Kept in plain microseconds: SRTT and RTTVAR lose less than 1 us to rounding, which is below the clock's
 * meaning.
 */
#include "tcp/tcp.h"

#define RTO_INITIAL_US 1000000u /* RFC6298-2.1-a */

void rtt_init(struct rtt *r, const struct settings *set)
{
    memset(r, 0, sizeof *r);
    r->rto_us = max_u32(RTO_INITIAL_US, set->rto_min_us);
}

/* MUST-18: the first sample (RFC6298-2.2-a), the later ones with gains of 1/8 and 1/4, RTTVAR first
 * (RFC6298-2.3-abc), each with these gains (RFC7323-4.2-a). Callers keep Karn's rule (section 3): no sample
 * from a segment that was repeated. */
void rtt_sample(struct rtt *r, uint32_t us, const struct settings *set)
{
    if (us == 0)
        us = 1;
    if (r->min_us == 0 || us < r->min_us)
        r->min_us = us;
    if (r->srtt_us == 0) {
        r->srtt_us = us;
        r->rttvar_us = us / 2;
    } else {
        uint32_t delta = r->srtt_us > us ? r->srtt_us - us : us - r->srtt_us;
        r->rttvar_us = (uint32_t)((3ull * r->rttvar_us + delta) / 4);
        r->srtt_us = (uint32_t)((7ull * r->srtt_us + us) / 8);
    }
    rtt_derive(r, set);
    r->backoff = 0;
}

/* The timeout that SRTT and RTTVAR give. */
void rtt_derive(struct rtt *r, const struct settings *set)
{
    if (r->srtt_us == 0) {
        r->rto_us = max_u32(RTO_INITIAL_US, set->rto_min_us);
        return;
    }
    /* RTO = SRTT + max(G, 4 * RTTVAR) (RFC6298-2.3-d, RFC6298-4-a). The floor (RFC6298-2.4-a) is put under
     * the variance too, as Linux does: a path whose RTT is steady would else have RTO = SRTT, and every
     * delayed ACK of the peer would look like a loss. */
    uint64_t var = max_u64(4ull * r->rttvar_us, set->rto_min_us);
    r->rto_us = (uint32_t)min_u64((uint64_t)r->srtt_us + var, set->rto_max_us);
}
