/* option.c - options of connections and listeners: one table of ranges, one place where each takes effect. */
#include "sock/sock.h"

struct limits {
    uint32_t min, max;
};

static const struct limits limits[] = {
    [TERN_OPT_NODELAY] = {0, 1},
    [TERN_OPT_QUICKACK] = {0, 1},
    [TERN_OPT_KEEPALIVE] = {0, 1},
    [TERN_OPT_KEEPIDLE_MS] = {1, UINT32_MAX},
    [TERN_OPT_KEEPINTVL_MS] = {1, UINT32_MAX},
    [TERN_OPT_KEEPCNT] = {2, 255}, /* RFC 9293 MUST-29: never after one */
    [TERN_OPT_USER_TIMEOUT_MS] = {0, UINT32_MAX},
    [TERN_OPT_LINGER0] = {0, 1},
    [TERN_OPT_SEND_BUFFER] = {1024, 1u << 30},
    [TERN_OPT_RECV_BUFFER] = {1024, 1u << 30},
    [TERN_OPT_DSCP] = {0, 63},
    [TERN_OPT_TTL] = {1, 255},
    [TERN_OPT_ECN] = {TERN_ECN_PASSIVE, TERN_ECN_OFF},
    [TERN_OPT_REPORTS] = {0, 1},
    [TERN_OPT_MAX_SEG] = {0, 65495},
    [TERN_OPT_COOKIES] = {TERN_COOKIES_AUTO, TERN_COOKIES_NEVER},
};

static bool in_range(enum tern_option opt, uint32_t value)
{
    if ((unsigned)opt >= ARRAY_LEN(limits) || value < limits[opt].min || value > limits[opt].max)
        return false;
    return opt != TERN_OPT_MAX_SEG || value == 0 || value >= 88;
}

static struct options *options_of(struct conn_head *h)
{
    return h->kind == REC_TCB ? &((struct tcb *)h)->set : &((struct listener *)h)->set;
}

static void store(struct options *o, enum tern_option opt, uint32_t v)
{
    switch (opt) {
    case TERN_OPT_NODELAY: o->nodelay = v != 0; break;
    case TERN_OPT_QUICKACK: o->quickack = v != 0; break;
    case TERN_OPT_KEEPALIVE: o->keepalive = v != 0; break;
    case TERN_OPT_KEEPIDLE_MS: o->keep_idle_ms = v; break;
    case TERN_OPT_KEEPINTVL_MS: o->keep_intvl_ms = v; break;
    case TERN_OPT_KEEPCNT: o->keep_cnt = (uint8_t)v; break;
    case TERN_OPT_USER_TIMEOUT_MS: o->user_timeout_ms = v; break;
    case TERN_OPT_LINGER0: o->linger0 = v != 0; break;
    case TERN_OPT_SEND_BUFFER: o->send_buffer = v; break;
    case TERN_OPT_RECV_BUFFER: o->recv_buffer = v; break;
    case TERN_OPT_DSCP: o->dscp = (uint8_t)v; break;
    case TERN_OPT_TTL: o->ttl = (uint8_t)v; break;
    case TERN_OPT_ECN: o->ecn = (uint8_t)v; break;
    case TERN_OPT_REPORTS: o->reports = v != 0; break;
    case TERN_OPT_MAX_SEG: o->max_seg = (uint16_t)v; break;
    case TERN_OPT_COOKIES: break; /* not inherited: the listener has it */
    }
}

static uint32_t load(const struct options *o, enum tern_option opt)
{
    switch (opt) {
    case TERN_OPT_NODELAY: return o->nodelay;
    case TERN_OPT_QUICKACK: return o->quickack;
    case TERN_OPT_KEEPALIVE: return o->keepalive;
    case TERN_OPT_KEEPIDLE_MS: return o->keep_idle_ms;
    case TERN_OPT_KEEPINTVL_MS: return o->keep_intvl_ms;
    case TERN_OPT_KEEPCNT: return o->keep_cnt;
    case TERN_OPT_USER_TIMEOUT_MS: return o->user_timeout_ms;
    case TERN_OPT_LINGER0: return o->linger0;
    case TERN_OPT_SEND_BUFFER: return o->send_buffer;
    case TERN_OPT_RECV_BUFFER: return o->recv_buffer;
    case TERN_OPT_DSCP: return o->dscp;
    case TERN_OPT_TTL: return o->ttl;
    case TERN_OPT_ECN: return o->ecn;
    case TERN_OPT_REPORTS: return o->reports;
    case TERN_OPT_MAX_SEG: return o->max_seg;
    case TERN_OPT_COOKIES: break;
    }
    return 0;
}

/* A live connection follows at once. */
static void apply(struct tern *t, struct tcb *c, enum tern_option opt)
{
    c->h.tos = (uint8_t)(c->set.dscp << 2); /* MUST-48, SHLD-21 */
    c->h.ttl = c->set.ttl;                  /* MUST-49 */
    c->snd.buffer = max_u32(c->set.send_buffer, c->snd.q.len); /* what is queued stays */
    c->rcv.buffer = c->set.recv_buffer;
    if (opt == TERN_OPT_ECN && c->h.state == TERN_SYN_SENT && seq_eq(c->snd.nxt, c->snd.iss))
        c->opt.ecn = c->set.ecn == TERN_ECN_ON;
    if (opt == TERN_OPT_MAX_SEG && c->h.state >= TERN_SYN_RCVD)
        c->snd.mss = options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
    if (opt == TERN_OPT_KEEPALIVE || opt == TERN_OPT_KEEPIDLE_MS || opt == TERN_OPT_KEEPINTVL_MS)
        timer_keepalive_set(t, c);
    if (c->h.state != TERN_CLOSED)
        conn_ready(t, &c->h);
    sock_done(t, c);
}

int tern_setopt(tern *t, tern_handle h, enum tern_option opt, uint32_t value)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    if (!in_range(opt, value))
        return -TERN_EINVAL;
    if (opt == TERN_OPT_COOKIES && head->kind != REC_LISTENER)
        return -TERN_EINVAL;
    if (opt == TERN_OPT_COOKIES)
        ((struct listener *)head)->cookies = (uint8_t)value;
    store(options_of(head), opt, value);
    if (head->kind == REC_TCB)
        apply(t, (struct tcb *)head, opt);
    return 0;
}

int tern_getopt(tern *t, tern_handle h, enum tern_option opt, uint32_t *value)
{
    int e;
    struct conn_head *head = sock_find(t, h, &e);
    if (head == NULL)
        return e;
    if ((unsigned)opt >= ARRAY_LEN(limits))
        return -TERN_EINVAL;
    if (opt == TERN_OPT_COOKIES && head->kind != REC_LISTENER)
        return -TERN_EINVAL;
    *value = opt == TERN_OPT_COOKIES ? ((struct listener *)head)->cookies : load(options_of(head), opt);
    return 0;
}
