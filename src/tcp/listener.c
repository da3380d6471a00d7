/* listener.c - a listener's accept queue, and its end. */
#include "tcp/tcp.h"

#define DRAIN_MOST 1000

uint32_t listener_offer(struct listener *l)
{
    return l->offer = max_u32(l->offer, min_u32(l->set.recv_buffer, 65535));
}

/* For its SYN+ACKs (MUST-14). */
uint16_t listener_mss(struct tern *t, const struct listener *l, const struct who *who)
{
    uint8_t way = ip_way(&t->w->ip, &who->local, &who->remote, who->link);
    uint32_t mss = way != 0 ? ip_mss(&t->w->ip, way, &who->remote) : 0;
    return (uint16_t)(l->set.max_seg != 0 ? min_u32(mss, l->set.max_seg) : mss);
}

void listener_enqueue(struct tern *t, struct listener *l, struct tcb *c)
{
    c->listener = self(t, l);
    list_append(t->a, &l->aq, self(t, c), offsetof(struct tcb, aq));
    l->aq_count++;
    face_raise(t, &l->h, TERN_ACCEPTABLE);
}

/* The oldest, taken off the queue; NULL when it is empty. */
struct tcb *listener_dequeue(struct tern *t, struct listener *l)
{
    if (l->aq.head == 0)
        return NULL;
    struct tcb *c = tcb_at(t, l->aq.head);
    list_remove(t->a, &l->aq, self(t, c), offsetof(struct tcb, aq));
    l->aq_count--;
    c->listener = 0;
    return c;
}

/* A connection ended while it waits for accept. It stays in the queue, so that the program learns of it. */
void listener_left(struct tern *t, struct tcb *c)
{
    listener_at(t, c->listener)->left_unaccepted++;
    t->w->stats.left_unaccepted++;
}

void listener_refuses(struct tern *t, struct halfopen *h)
{
    if (h->queue >= QUEUE_PENDING)
        reply_refusal(t, h);
    else
        reply_rst_for(t, h, seq_add(h->iss, 1));
    halfopen_end(t, h, TERN_C_LISTENER_GONE);
}

static struct halfopen *any_halfopen(struct tern *t, const struct listener *l)
{
    for (int queue = 0; queue < QUEUES; queue++)
        if (l->queue[queue].head != 0)
            return at(t->a, l->queue[queue].head);
    return NULL;
}

static void child_goes(struct tern *t, struct tcb *c)
{
    if (c->h.state != TERN_CLOSED && c->h.state != TERN_TIME_WAIT) {
        c->rst_cause = TERN_C_SEND_RST_ABORT;
        tcb_end(t, c, TERN_C_LISTENER_GONE, -TERN_ECONNABORTED);
    }
    tcb_release(t, c);
}

/* Its children are reset, so many in one turn and the rest in the next ones, so that no call lasts long. What
 * the ring of answers has no room for is not told: whoever goes on hears RST then (RFC 9293 3.10.7.1). */
void listener_drain(struct tern *t, struct listener *l)
{
    struct halfopen *h;
    struct tcb *c = NULL;
    for (int i = 0; i < DRAIN_MOST; i++) {
        if ((h = any_halfopen(t, l)) != NULL)
            listener_refuses(t, h);
        else if ((c = listener_dequeue(t, l)) != NULL)
            child_goes(t, c);
        else
            break;
    }
    if (l->half_count > 0 || l->aq_count > 0) {
        conn_timer(t, &l->h, t->w->now + 1);
        return;
    }
    conn_timer_off(t, &l->h);
    trace_conn(t, &l->h, TERN_TRACE_RELEASED, TERN_C_CLOSE_LISTEN, 0, 0, 0);
    pool_put(t->a, &t->w->listener_pool, self(t, l));
}

/* RFC 9293 3.10.4, 3.10.5 for LISTEN: nobody is left to own its children; they are reset. */
void listener_end(struct tern *t, struct listener *l)
{
    conn_unready(t, &l->h);
    face_unlist(t, &l->h);
    l->face.held = false;
    demux_listener_remove(t, l);
    state_change(t, &l->h, TERN_C_CLOSE_LISTEN, TERN_CLOSED);
    listener_drain(t, l);
}
