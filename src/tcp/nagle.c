/* nagle.c - whether a small segment waits (RFC 9293 3.7.4, MUST-17, SHLD-7), in Minshall's form.
 *
 * Nagle: no small segment while anything is unacknowledged. Minshall (draft-minshall-nagle): only while
 * another *small* segment is unacknowledged. So a reply that ends with a small piece goes out at once and
 * does not wait for a delayed ACK.
 */
#include "tcp/tcp.h"

/* Is a segment of `len` bytes, smaller than a full one, held? `last`: it empties the queue. */
bool nagle_holds(const struct tcb *c, uint32_t len, bool last)
{
    if (len >= c->snd.mss)
        return false;
    if (c->snd.fin_queued && last)
        return false; /* FIN follows: there will be nothing to wait for */
    if (c->snd.more)
        return true;
    if (c->set.nodelay)
        return false;
    return seq_gt(c->snd.small, c->snd.una); /* a small one is in flight */
}
