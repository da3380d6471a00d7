/* icmp.c - ICMP about our segments (RFC 9293 3.9.2.2): matched by the embedded header (MUST-54), believed
 * only for a segment in flight (RFC5927-4.1-a), of that connection alone (RFC5927-5.2-c), and never the end
 * of a synchronized connection.
 *
 * RFC 9293 SHLD-26 would abort on unreachable codes 2 to 4. RFC 5927 5.2 and Linux treat them as soft in
 * synchronized states, because anybody can forge ICMP; so do we, and the program is told (RFC5927-5.2-ab). In
 * SYN_SENT and SYN_RCVD they end the attempt. Code 4 is path MTU, never an abort.
 */
#include "tcp/tcp.h"

enum meaning { MEANS_NOTHING, MEANS_SOFT, MEANS_HARD, MEANS_MTU };

/* Those of MUST-56 are soft. */
static enum meaning meaning4(const struct icmp_msg *m)
{
    if (m->type == ICMP_TIME || m->type == ICMP_PARAM)
        return MEANS_SOFT;
    if (m->type != ICMP_UNREACH)
        return MEANS_NOTHING; /* Source Quench too (MUST-55, RFC5927-6.2-a) */
    if (m->code == 4)
        return MEANS_MTU;
    bool prohibited = m->code == 9 || m->code == 10 || m->code == 13; /* RFC 1122 3.2.2.1, RFC 1812 5.2.7.1 */
    return m->code == 2 || m->code == 3 || prohibited ? MEANS_HARD : MEANS_SOFT;
}

/* Those of MUST-56 are soft. */
static enum meaning meaning6(const struct icmp_msg *m)
{
    if (m->type == ICMP6_TOO_BIG)
        return MEANS_MTU;
    if (m->type == ICMP6_TIME || m->type == ICMP6_PARAM)
        return MEANS_SOFT;
    if (m->type != ICMP6_UNREACH)
        return MEANS_NOTHING;
    return m->code == 1 || m->code == 4 ? MEANS_HARD : MEANS_SOFT;
}

/* RFC 1191, RFC 8201 (RFC7323-5.7-a), with a part of RFC 5927's care: it may only shrink, and not below what
 * every path carries (RFC5927-7.4-a). It is believed at once (RFC5927-7.2-abcd).
 * What was in flight and is now too large is sent again in smaller pieces. */
static enum tern_cause path_mtu(struct tern *t, struct tcb *c, const struct icmp_msg *m)
{
    bool v4 = m->version == 4;
    uint32_t mtu = v4 ? m->rest & 0xffff : m->rest;
    if (v4 ? mtu > 0 && mtu < 68 : mtu < 1280)
        return TERN_C_ICMP_UNUSED; /* no path is so narrow (RFC 8201 4); 0: a router from before RFC 1191 */
    uint32_t floor = v4 ? 552 : 1280, hdr = v4 ? 40 : 60;
    if (mtu < floor) /* IPv4 alone: less of IPv6 was refused above */
        c->snd.narrow = true;
    mtu = max_u32(mtu, floor);
    if (mtu - hdr >= c->snd.mtu_mss)
        return TERN_C_ICMP_UNUSED;
    c->snd.path_mss = (uint16_t)(mtu - hdr);
    mtu_renew(t, c);
    return TERN_CAUSE_NONE;
}

static enum tern_cause about_tcb(struct tern *t, struct tcb *c, const struct icmp_msg *m, enum meaning means)
{
    if (!seq_ge(m->in_seq, c->snd.una) || !seq_lt(m->in_seq, c->snd.nxt))
        return TERN_C_ICMP_SEQ;
    t->w->stats.icmp_errors_in++;
    trace_conn(t, &c->h, TERN_TRACE_ICMP, TERN_CAUSE_NONE, m->type, m->code, 0);
    if (means == MEANS_MTU)
        return path_mtu(t, c, m);
    face_soft_error(t, c, -TERN_EHOSTUNREACH, m->type, m->code);
    if (means == MEANS_HARD && !synchronized(c))
        tcb_end(t, c, TERN_C_ICMP_HARD, -TERN_EHOSTUNREACH);
    return TERN_CAUSE_NONE;
}

enum tern_cause tcp_icmp(struct tern *t, const struct icmp_msg *m, uint8_t link)
{
    enum meaning means = m->version == 4 ? meaning4(m) : meaning6(m);
    if (means == MEANS_NOTHING || !m->has_tcp)
        return TERN_C_ICMP_UNUSED;
    tern_endpoint local = {m->in_src, m->in_src_port, 0}, remote = {m->in_dst, m->in_dst_port, 0};
    ref_t r = demux_find(t, &local, &remote, link);
    if (r != 0 && rec_kind(t, r) == REC_IDLE)
        return TERN_C_ICMP_SEQ; /* at rest nothing is in flight that it could be about */
    if (r == 0 || rec_kind(t, r) != REC_TCB || tcb_at(t, r)->h.state == TERN_CLOSED)
        return TERN_C_ICMP_UNUSED; /* half-open and TIME_WAIT records live on their own timers */
    struct tcb *c = tcb_at(t, r);
    enum tern_cause cause = about_tcb(t, c, m, means);
    timer_rearm(t, c);
    return cause;
}
