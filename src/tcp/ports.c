/* ports.c - ephemeral ports: which one a connect gets, and what they are used for.
 *
 * A port is free towards a remote when the 4-tuple is, so each remote (address and port) has the whole range
 * for itself, but for the ports of listeners: a SYN that crosses ours would be taken for our peer's
 * (RFC6056-3.1-a, RFC6056-3.2-ab). The range is the configuration's (RFC6056-3.2-c). The search begins at a
 * keyed offset and a counter spreads (RFC 6056 3.3.3; RFC5927-4.2-a, RFC6056-5-a), so that what was used
 * lately comes last (RFC6056-3.1-b). Each port that is not free costs a look-up, all of them at most once: of
 * 28,232 ports with 28,000 in use about 120 are asked, with all in use 28,232 (2 ms).
 *
 * Only when none is free, the oldest in TIME_WAIT is opened anew whose old segments cannot be taken for new
 * ones: both sides agreed on timestamps, a second has passed, and the peer does not repeat its FIN. Our
 * timestamps have grown by then and the ISN is above all old numbers: what RFC 6191 2 asks of a SYN, so a
 * peer in TIME_WAIT accepts it too. PAWS keeps old segments out of the new connection (RFC 7323 5). RFC 9293
 * 3.10.1 has "connection already exists" for OPEN in TIME_WAIT: that stays the answer to a program that names
 * the port itself. Linux does the same where tcp_tw_reuse is set, whether ports are short or not.
 */
#include "tcp/fetch.h"
#include "tcp/tcp.h"

uint32_t ports_total(const struct tern *t)
{
    const struct settings *set = settings(t);
    return (uint32_t)set->port_high - set->port_low + 1;
}

#define AHEAD 3u /* ports whose slots are asked for before they are looked at */

/* Port number `at` of the search. */
static uint16_t port_at(const struct tern *t, uint32_t at)
{
    return (uint16_t)(settings(t)->port_low + at % ports_total(t));
}

/* A port was taken, so the next ones will be asked; after the first, one more each time. */
static void fetch_next(const struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                       uint8_t link, uint32_t at, bool first)
{
    tern_endpoint next = *local;
    for (uint32_t i = first ? 0 : AHEAD - 1; i < AHEAD; i++) {
        next.port = port_at(t, at + i);
        demux_fetch_for(t, &next, remote, link);
    }
}

int port_choose(struct tern *t, tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                struct demux_gap *gap)
{
    uint32_t n = ports_total(t), offset = port_offset(t, local, remote);
    uint16_t oldest_port = 0;
    uint64_t oldest_us = UINT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        local->port = port_at(t, offset + t->w->port_next++);
        if (demux_listens(t, local->port))
            continue;
        ref_t r = demux_find_gap(t, local, remote, link, gap);
        if (r == 0)
            return 0;
        fetch_next(t, local, remote, link, offset + t->w->port_next, i == 0);
        if (waiting_reusable(t, r) && waiting_due(t, r) < oldest_us) {
            oldest_us = waiting_due(t, r);
            oldest_port = local->port;
        }
    }
    local->port = oldest_port;
    return oldest_us != UINT64_MAX ? PORT_IN_TIME_WAIT : -TERN_ENOSR;
}

static void count(const struct tern *t, ref_t r, tern_port_use *out)
{
    struct who w;
    who_of(t, at_const(t->a, r), &w);
    out->used++;
    out->by_state[w.state]++;
    out->reusable += waiting_reusable(t, r);
}

void ports_count(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                 tern_port_use *out)
{
    tern_endpoint at = *local;
    memset(out, 0, sizeof *out);
    out->total = ports_total(t);
    for (uint32_t i = 0; i < out->total; i++) {
        at.port = (uint16_t)(settings(t)->port_low + i);
        ref_t r = demux_find(t, &at, remote, link);
        if (r != 0) {
            count(t, r, out);
        } else if (demux_listens(t, at.port)) {
            out->used++;
            out->by_state[TERN_LISTEN]++;
        }
    }
    out->free = out->total - out->used;
}
