/* model.c - see model.h: sides, their states, and what time alone does to them. */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_init(struct model *m, const struct world *w)
{
    memset(m, 0, sizeof *m);
    m->w = w;
    for (int i = 0; i < BUCKETS; i++)
        m->bucket[i] = NOBODY;
}

void model_free(struct model *m)
{
    for (uint32_t i = 0; i < m->sides.n; i++) {
        free(m->sides.v[i].snd.bytes);
        free(m->sides.v[i].rcv.bytes);
        free(m->sides.v[i].rcv.got);
    }
    free(m->sides.v);
    free(m->transitions.v);
    free(m->debts.v);
}

const char *model_host(const struct model *m, int host)
{
    return host >= 0 ? m->w->host[host].name : "X";
}

void model_complain(struct model *m, const char *format, ...)
{
    if (m->n_complaints < COMPLAINTS) {
        char *text = m->complaint[m->n_complaints];
        double t = (double)(m->now - m->w->start_us) / 1e6;
        int n = snprintf(text, COMPLAINT_LEN, "at %.3f s: ", t);
        va_list args;
        va_start(args, format);
        vsnprintf(text + n, COMPLAINT_LEN - (size_t)n, format, args);
        va_end(args);
    }
    m->n_complaints++;
}

/* --- sides ----------------------------------------------------------------------------------- */

static uint32_t bucket_of(int host, const tern_endpoint *local, const tern_endpoint *remote)
{
    uint32_t h = (uint32_t)host * 31 + local->port;
    for (int i = 0; i < 16; i++)
        h = h * 31 + remote->ip.b[i];
    return (h * 31 + remote->port) % BUCKETS;
}

struct side *model_find(struct model *m, int host, const tern_endpoint *local, const tern_endpoint *remote)
{
    for (uint32_t i = m->bucket[bucket_of(host, local, remote)]; i != NOBODY; i = m->sides.v[i].next) {
        struct side *s = &m->sides.v[i];
        if (s->host == host && !s->listener && endpoint_equal(&s->local, local) &&
            endpoint_equal(&s->remote, remote))
            return s;
    }
    return NULL;
}

struct side *model_listener(struct model *m, int host, const tern_endpoint *local)
{
    for (uint32_t i = 0; i < m->sides.n; i++) {
        struct side *s = &m->sides.v[i];
        if (s->listener && s->host == host && s->state == TERN_LISTEN && s->local.port == local->port)
            return s;
    }
    return NULL;
}

struct side *model_new(struct model *m, int host, const tern_endpoint *local, const tern_endpoint *remote)
{
    uint32_t index = m->sides.n, *bucket = &m->bucket[bucket_of(host, local, remote)];
    struct side *s = LIST_ADD(m->sides);
    s->host = (int8_t)host;
    s->local = *local;
    s->remote = *remote;
    s->parked = NOBODY;
    s->next = *bucket;
    *bucket = index;
    return s;
}

void model_state(struct model *m, struct side *s, enum tern_state to)
{
    struct transition *t = LIST_ADD(m->transitions);
    *t = (struct transition){
        .t_us = m->now,
        .local = s->local,
        .remote = s->remote,
        .host = s->host,
        .from = s->state,
        .to = (uint8_t)to,
    };
    s->state = (uint8_t)to;
    s->since_us = m->now;
    m->timer_us = 0;
}

void model_back_to_listen(struct model *m, struct side *s)
{
    model_state(m, s, TERN_LISTEN);
    s->state = TERN_CLOSED;
}

/* The position nearest to the one that is expected. */
static int64_t position(uint32_t base, int64_t near, uint32_t seq)
{
    return near + (int32_t)(seq - (base + (uint32_t)near));
}

int64_t side_out_pos(const struct side *s, uint32_t seq)
{
    return position(s->snd.iss, s->snd.nxt, seq);
}

int64_t side_in_pos(const struct side *s, uint32_t seq)
{
    return position(s->rcv.irs, s->rcv.nxt, seq);
}

/* --- time ------------------------------------------------------------------------------------ */

static uint64_t setting(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

/* When a side ends by its timer alone; NEVER. */
static uint64_t expiry(const struct model *m, const struct side *s)
{
    const tern_config *c = &m->w->host[s->host].config;
    if (s->state == TERN_TIME_WAIT) /* RFC 9293 3.6.1: 2 MSL */
        return s->since_us + 2000 * setting(c->msl_ms, 30000);
    if (s->state == TERN_FIN_WAIT_2 && s->released)
        return s->since_us + 1000 * setting(c->fin_wait2_ms, 60000);
    if (s->state == TERN_SYN_RCVD && s->passive && s->synacks > setting(c->synack_retries, 5))
        return s->synack_us + 2 * s->synack_gap_us;
    return NEVER;
}

/* A RST that was owed must have been sent in the same moment. */
static void collect_debts(struct model *m)
{
    for (uint32_t i = 0; i < m->debts.n; i++)
        model_complain(m, "%s had to send RST to port %u and did not", model_host(m, m->debts.v[i].host),
                       m->debts.v[i].remote.port);
    m->debts.n = 0;
}

void model_time(struct model *m, uint64_t now)
{
    if (now > m->now && m->debts.n > 0)
        collect_debts(m);
    while (now >= m->timer_us) {
        uint64_t first = NEVER;
        struct side *due = NULL;
        for (uint32_t i = 0; i < m->sides.n; i++) {
            uint64_t t = expiry(m, &m->sides.v[i]);
            if (t < first) {
                first = t;
                due = &m->sides.v[i];
            }
        }
        m->timer_us = first;
        if (due == NULL || first > now)
            break;
        m->now = first;
        if (due->state == TERN_SYN_RCVD)
            model_back_to_listen(m, due);
        else
            model_state(m, due, TERN_CLOSED);
    }
    m->now = now;
}

void model_crash(struct model *m, int host)
{
    for (uint32_t i = 0; i < m->sides.n; i++) {
        struct side *s = &m->sides.v[i];
        if (s->host == host && s->state != TERN_CLOSED) {
            s->state = TERN_CLOSED; /* no transition: nobody was there to see it */
            s->released = true;
        }
    }
    m->pending[host].there = false;
}

/* --- RST ------------------------------------------------------------------------------------- */

void model_owe_answer(struct model *m, int host, const struct segment *seg)
{
    if (seg->flags & RST)
        return;
    struct debt *d = LIST_ADD(m->debts);
    *d = (struct debt){
        .t_us = m->now, .host = (int8_t)host, .local = seg->dst, .remote = seg->src, .answer = true};
    if (seg->flags & ACK) {
        d->seq = d->seq_or = seg->ack;
    } else {
        d->with_ack = true;
        d->ack = seg->seq + segment_space(seg);
    }
}

void model_owe_reset(struct model *m, const struct side *s, uint32_t or_seq)
{
    struct debt *d = LIST_ADD(m->debts);
    *d = (struct debt){.t_us = m->now, .host = s->host, .local = s->local, .remote = s->remote};
    d->seq = s->snd.iss + (uint32_t)s->snd.nxt;
    d->seq_or = or_seq;
    d->ack = s->rcv.irs + (uint32_t)s->rcv.nxt;
}
