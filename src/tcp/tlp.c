/* tlp.c - tail loss probe (RFC 8985 7): when the last segments of a flight, or their ACKs, are lost, nothing
 * comes that SACK could speak of, and only the retransmission timeout is left. Two round trips after the last
 * sending one segment more is sent: new data if there is some, else the last segment again. The ACK that it
 * draws starts ordinary recovery.
 */
#include "tcp/tcp.h"

void tlp_fired(struct tern *t, struct tcb *c)
{
    c->tm.tlp_us = 0;
    if (!tlp_wanted(c))
        return;
    timer_restart(t, c); /* 7.3: the timer stays the last resort, behind the probe */
    c->tlp.due = true;
    conn_ready(t, &c->h);
}

/* RFC 8985 7.3: after the probe only the timeout is left. */
void tlp_sent(struct tern *t, struct tcb *c, bool again)
{
    c->tlp = (struct tlp){.out = true, .resent = again, .unmeasured = true, .end = c->snd.nxt};
    timer_restart(t, c);
}

/* RFC 8985 7.4.2: does this ACK tell that the probe repaired a loss? New data as probe needs no judgement. A
 * repetition was needless when the peer says that it came twice; when more than it is acknowledged and no
 * such word came, it was needed. */
bool tlp_repaired(struct tcb *c, const struct segment *s, const struct acked *a)
{
    struct tlp *p = &c->tlp;
    if (!p->out || seq_lt(s->ack, p->end))
        return false;
    bool twice = a->dsacked > 0 || (seq_eq(s->ack, p->end) && a->duplicate);
    bool beyond = seq_gt(s->ack, p->end);
    p->out = p->resent && !twice && !beyond;
    return p->resent && !twice && beyond;
}
