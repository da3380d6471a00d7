/* mtu.c - the largest segment to send (RFC 9293 3.7.1): by the link's MTU, what ICMP told of the path, and
 * what the peer takes. It changes when the link's MTU does, when the connection moves to another link, and
 * with path MTU discovery (RFC 1191, RFC 8201; icmp.c).
 *
 * What is in flight and larger than the new size is taken for lost, and cut when it is sent again. That is no
 * sign of congestion; but the congestion window allows as many segments as before, and not as many bytes
 * (RFC5681-3.1-e): many small ones would be a burst that nobody has allowed.
 */
#include "tcp/tcp.h"

/* What a header without options leaves of the smaller of link and path; without a way, of what every path
 * carries (MUST-15). */
static uint32_t by_mtu(const struct tern *t, const struct tcb *c)
{
    if (!ip_link_known(&t->w->ip, c->snd.link))
        return tern_ip_is4(&c->h.remote) ? 536 : 1220;
    uint32_t link = ip_mss(&t->w->ip, c->snd.link, &c->h.remote);
    return c->snd.path_mss != 0 ? min_u32(link, c->snd.path_mss) : link;
}

/* Before the peer's SYN has come, nothing of what it takes is known. */
static uint32_t size_now(const struct tcb *c)
{
    if (c->opt.mss == 0)
        return c->snd.mtu_mss;
    return options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
}

/* From the link that it sends by now, path_mss and what was agreed. */
void mtu_derive(const struct tern *t, struct tcb *c)
{
    c->snd.mtu_mss = by_mtu(t, c);
    c->snd.mss = size_now(c);
}

/* As many segments as before, of what is their size now. */
static void scale_window(struct tcb *c, uint32_t before)
{
    uint32_t mss = c->snd.mss;
    if (mss < before)
        c->cc.cwnd = max_u32((uint32_t)((uint64_t)c->cc.cwnd * mss / before), mss);
}

void mtu_renew(struct tern *t, struct tcb *c)
{
    struct snd *n = &c->snd;
    uint32_t before = n->mss;
    if (n->link == 0 && n->mtu_mss != 0)
        return; /* nothing leaves: what holds then is seen when there is a way again */
    mtu_derive(t, c);
    scale_window(c, before);
    if (!synchronized(c) || !sendlist_mark_large_lost(t, &c->list, n->mss))
        return;
    c->rec.force = true;
    conn_ready(t, &c->h);
}
