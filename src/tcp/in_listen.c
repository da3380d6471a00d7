/* in_listen.c - a segment for a listener and no connection (RFC 9293 3.10.7.2), in the RFC's order. */
#include "tcp/tcp.h"

enum tern_cause in_listen(struct tern *t, struct listener *l, const struct segment *s)
{
    /* first: RST */
    if (s->flags & F_RST)
        return TERN_C_LISTEN_RST;
    /* second: ACK */
    if ((s->flags & (F_ACK | F_SYN)) == F_ACK && cookie_awaited(t, l))
        return cookie_ack(t, l, s);
    if (s->flags & F_ACK) {
        reply_rst(t, s, TERN_C_LISTEN_ACK);
        return TERN_C_LISTEN_ACK;
    }
    /* third: SYN; security: none here. Data on the SYN is not kept (RFC4987-3.5-c) */
    if (s->flags & F_SYN)
        return halfopen_open(t, l, s, 0);
    /* fourth: anything else */
    return TERN_C_LISTEN_NO_SYN;
}
