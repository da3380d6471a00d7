/* face.c - readiness: bits on the record, records in a list (event.h). Nothing can overflow and nothing calls
 * back. */
#include "tcp/tcp.h"

void face_raise(struct tern *t, struct conn_head *h, uint32_t bits)
{
    struct face *f = face_of(h);
    if (!f->held)
        return;
    f->bits |= bits;
    if (f->listed || f->bits == 0)
        return;
    f->listed = true;
    list_append(t->a, &t->w->events, self(t, h), FACE_PLACE);
}

/* RFC 9293 MUST-47, SHLD-9, SHLD-20, SHLD-25: trouble is reported unless the program switched reports off. */
void face_soft_error(struct tern *t, struct tcb *c, int error, uint8_t icmp_type, uint8_t icmp_code)
{
    c->face.soft_error = error;
    c->face.icmp_type = icmp_type;
    c->face.icmp_code = icmp_code;
    if (!c->set.reports)
        return;
    t->w->stats.soft_errors++;
    face_raise(t, &c->h, TERN_SOFT_ERROR);
}
