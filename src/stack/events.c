/* events.c - the program asks what happened. */
#include "tcp/tcp.h"

static void take(struct tern *t, tern_event *out)
{
    struct conn_head *h = head_at(t, t->w->events.head);
    struct face *f = face_of(h);
    out->handle = handle_of(t, h);
    out->data = f->data;
    out->bits = f->bits;
    f->bits = 0;
    face_unlist(t, h);
    if (h->kind == REC_TCB) {
        timer_rearm(t, (struct tcb *)h); /* it may rest now */
        idle_back(t, (struct tcb *)h);
    }
}

int tern_events(tern *t, tern_event *out, int max)
{
    int n = 0;
    if (max > 0 && t->w->lent.news) {
        t->w->lent.news = false;
        out[n++] = (tern_event){.bits = TERN_RETURNED};
    }
    while (n < max && t->w->events.head != 0)
        take(t, &out[n++]);
    return n;
}

void tern_trace_only(tern *t, uint32_t kinds)
{
    if (t->trace.records != NULL)
        t->trace.kinds = kinds != 0 ? kinds : UINT32_MAX;
}

int tern_trace_take(tern *t, tern_trace_record *out, int max, uint64_t *lost)
{
    return trace_take(&t->trace, out, max, lost);
}
