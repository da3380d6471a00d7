/* conn.c - what every file of this room asks for: a place in the wheel, the number of a connection, its
 * options to begin with. (The lists that it stands in: conn.h.)
 */
#include "tcp/tcp.h"

void options_default(const struct settings *s, struct options *o)
{
    memset(o, 0, sizeof *o); /* keepalive is off (MUST-25) */
    o->keep_idle_ms = 7200000; /* RFC 9293 MUST-28 */
    o->keep_intvl_ms = 75000;
    o->keep_cnt = 9;
    o->send_buffer = s->send_buffer;
    o->recv_buffer = s->recv_buffer;
    o->ttl = s->ttl;
    o->ecn = s->ecn;
    o->reports = true;
}

/* Small records keep the low half alone, and 0 is free there (base/arena.h, pool). */
uint64_t conn_number(struct tern *t)
{
    uint64_t n = ++t->w->next_conn;
    return (uint32_t)n != 0 ? n : ++t->w->next_conn;
}

/* Later deadlines do not move the wheel: when it fires too early the record is looked at again. */
void conn_timer(struct tern *t, struct conn_head *h, uint64_t deadline)
{
    struct wheel *wheel = &t->w->wheel;
    if (!wheel_armed(&h->timer) || deadline < wheel_when(wheel, &h->timer))
        wheel_set(t->a, wheel, &h->timer, deadline);
}
