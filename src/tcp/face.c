/* face.c - readiness: bits on the record, records in a list (event.h). Nothing can overflow and nothing calls
 * back. */
#include "tcp/tcp.h"

struct face *face_of(struct conn_head *h)
{
    if (h->kind == REC_TCB)
        return &((struct tcb *)h)->face;
    if (h->kind == REC_LISTENER)
        return &((struct listener *)h)->face;
    return NULL;
}

void face_raise(struct tern *t, struct conn_head *h, struct face *f, uint32_t bits)
{
    if (!f->held)
        return;
    f->bits |= bits;
    if (f->listed || f->bits == 0)
        return;
    struct world *w = t->w;
    ref_t me = self(t, h);
    f->listed = true;
    f->next = 0;
    f->prev = w->event_tail;
    if (w->event_tail != 0)
        face_of(head_at(t, w->event_tail))->next = me;
    else
        w->event_head = me;
    w->event_tail = me;
}

void face_unlist(struct tern *t, struct face *f)
{
    if (!f->listed)
        return;
    struct world *w = t->w;
    if (f->prev != 0)
        face_of(head_at(t, f->prev))->next = f->next;
    else
        w->event_head = f->next;
    if (f->next != 0)
        face_of(head_at(t, f->next))->prev = f->prev;
    else
        w->event_tail = f->prev;
    f->listed = false;
    f->next = f->prev = 0;
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
    face_raise(t, &c->h, &c->face, TERN_SOFT_ERROR);
}
