/* in_closed.c - a segment for no connection and no listener (RFC 9293 3.10.7.1): RST, 3.5.2 group 1. */
#include "tcp/tcp.h"

enum tern_cause in_closed(struct tern *t, const struct segment *s)
{
    if (s->flags & F_RST)
        return TERN_C_CLOSED_RST; /* a RST never draws a RST */
    reply_rst(t, s, TERN_C_NO_CONNECTION);
    return TERN_C_NO_CONNECTION;
}
