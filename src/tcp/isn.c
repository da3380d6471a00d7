/* isn.c - numbers that outsiders must not guess: initial sequence numbers, ephemeral ports, timestamp
 * offsets.
 *
 * ISN = M + F(4-tuple, key of 128 bits) (SHLD-1, RFC6528-3-abc): M ticks every 4 us (RFC 9293 MUST-8), F is
 * SipHash-2-4 (MUST-9). Because M goes on, a later incarnation of the same pair starts above the former one,
 * which is what TIME_WAIT's tests rely on (3.6.1).
 */
#include "tcp/tcp.h"

/* Four bytes as they stand, the first lowest. */
static inline uint64_t word4(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

static inline uint64_t word2(uint16_t port) { return (uint64_t)(uint16_t)(port << 8 | port >> 8); }

/* Of IPv4 addresses the four bytes that differ. */
static uint64_t prf4(struct sipkey key, const tern_ip *local, const tern_ip *remote, uint16_t lport,
                     uint16_t rport)
{
    uint64_t words[2] = {
        word4(local->b + 12) | word4(remote->b + 12) << 32,
        word2(lport) | word2(rport) << 16 | sip_length(12),
    };
    return siphash24_words(key, words, 2);
}

static uint64_t prf(struct sipkey key, const tern_ip *local, const tern_ip *remote, uint16_t lport,
                    uint16_t rport, uint8_t zone)
{
    uint8_t in[37];
    if (LIKELY(tern_ip_is4(remote) && tern_ip_is4(local)))
        return prf4(key, local, remote, lport, rport);
    memcpy(in, local->b, 16);
    memcpy(in + 16, remote->b, 16);
    put16(in + 32, lport);
    put16(in + 34, rport);
    in[36] = zone;
    return siphash24(key, in, sizeof in);
}

seq_t isn_for(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link)
{
    uint32_t m = (uint32_t)(t->w->now / 4);
    uint8_t zone = ip_zone(&local->ip, &remote->ip, link);
    return seq(m + (uint32_t)prf(t->w->key_isn, &local->ip, &remote->ip, local->port, remote->port, zone));
}

seq_t isn_make(struct tern *t, const void *record)
{
    struct who w;
    who_of(t, record, &w);
    tern_endpoint local = {.ip = w.local, .port = w.local_port},
                  remote = {.ip = w.remote, .port = w.remote_port};
    return isn_for(t, &local, &remote, w.link);
}

seq_t isn_make_above(struct tern *t, const void *record, seq_t used)
{
    seq_t iss = isn_make(t, record);
    return seq_gt(iss, used) ? iss : seq_add(used, 65536);
}

/* A function of addresses and port alone: of the pair that was asked for last it is known. */
static uint32_t remembered(struct keyed *last, struct sipkey key, const tern_ip *local, const tern_ip *remote,
                           uint16_t port)
{
    if (!tern_ip_is4(remote) || !tern_ip_is4(local))
        return (uint32_t)prf(key, local, remote, 0, port, 0);
    uint32_t a = get32(local->b + 12), b = get32(remote->b + 12);
    if (last->local != a || last->remote != b || last->port != port)
        *last = (struct keyed){a, b, port, (uint32_t)prf4(key, local, remote, 0, port)};
    return last->value;
}

/* The offset hides our uptime (RFC7323-7-a, RFC7323-7.1-a) and is the same for all connections of a pair of
 * addresses, so that timestamps grow across incarnations (RFC 6191). */
uint32_t stamp_offset(const struct tern *t, const tern_ip *local, const tern_ip *remote)
{
    return remembered(&t->w->last_stamp, t->w->key_stamp, local, remote, 0);
}

/* RFC 6056 3.3.3, RFC6056-3.3-a: where the search for a port towards this remote begins. */
uint32_t port_offset(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote)
{
    return remembered(&t->w->last_port, t->w->key_port, &local->ip, &remote->ip, remote->port);
}
