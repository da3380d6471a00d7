/* calls.c - what tern's program does, as lines of a script. */
#include "lab/lab.h"

#include <strings.h>

static const struct {
    const char *name;
    int value;
} errors[] = {
    {"ENOENT", TERN_ENOENT},
    {"EBADF", TERN_EBADF},
    {"EAGAIN", TERN_EAGAIN},
    {"ENOMEM", TERN_ENOMEM},
    {"EEXIST", TERN_EEXIST},
    {"ENODEV", TERN_ENODEV},
    {"EINVAL", TERN_EINVAL},
    {"EPIPE", TERN_EPIPE},
    {"EDESTADDRREQ", TERN_EDESTADDRREQ},
    {"EMSGSIZE", TERN_EMSGSIZE},
    {"EADDRINUSE", TERN_EADDRINUSE},
    {"EADDRNOTAVAIL", TERN_EADDRNOTAVAIL},
    {"ENOSR", TERN_ENOSR},
    {"ENETDOWN", TERN_ENETDOWN},
    {"ENETUNREACH", TERN_ENETUNREACH},
    {"ECONNABORTED", TERN_ECONNABORTED},
    {"ECONNRESET", TERN_ECONNRESET},
    {"ENOTCONN", TERN_ENOTCONN},
    {"ETIMEDOUT", TERN_ETIMEDOUT},
    {"ECONNREFUSED", TERN_ECONNREFUSED},
    {"EHOSTUNREACH", TERN_EHOSTUNREACH},
};

static long result_value(struct lab *l, const char *text)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(text, errors[i].name) == 0)
            return -errors[i].value;
    char *end;
    long v = strtol(text, &end, 10);
    if (end == text)
        lab_fail(l, "the script is wrong: result %s", text);
    return v;
}

static const struct {
    const char *name;
    enum tern_option opt;
} options[] = {
    {"nodelay", TERN_OPT_NODELAY},
    {"quickack", TERN_OPT_QUICKACK},
    {"keepalive", TERN_OPT_KEEPALIVE},
    {"keepidle", TERN_OPT_KEEPIDLE_MS},
    {"keepintvl", TERN_OPT_KEEPINTVL_MS},
    {"keepcnt", TERN_OPT_KEEPCNT},
    {"user_timeout", TERN_OPT_USER_TIMEOUT_MS},
    {"linger0", TERN_OPT_LINGER0},
    {"send_buffer", TERN_OPT_SEND_BUFFER},
    {"recv_buffer", TERN_OPT_RECV_BUFFER},
    {"dscp", TERN_OPT_DSCP},
    {"ttl", TERN_OPT_TTL},
    {"ecn", TERN_OPT_ECN},
    {"reports", TERN_OPT_REPORTS},
    {"max_seg", TERN_OPT_MAX_SEG},
};

static long call_option(struct lab *l, int flow, const char *name, uint32_t value)
{
    tern_handle h = l->flow[flow].h.v ? l->flow[flow].h : l->listener;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(name, options[i].name) == 0)
            return tern_setopt(l->t, h, options[i].opt, value);
    lab_fail(l, "the script is wrong: no option %s", name);
}

int lab_listen_call(struct lab *l)
{
    tern_tick(l->t, l->now);
    tern_endpoint any = {.port = l->flow[0].local.port};
    int r = tern_listen(l->t, &any, 0, &l->listener);
    lab_collect(l);
    return r;
}

/* tern as the client: from port 50000 + flow to port 8080, unless the test chose ports. */
int lab_connect_call(struct lab *l, int flow)
{
    struct lab_flow *f = &l->flow[flow];
    if (f->local.port == 80) {
        f->local.port = (uint16_t)(50000 + flow);
        f->peer.port = 8080;
    }
    lab_tune(l, flow, true);
    tern_tick(l->t, l->now);
    int r = tern_connect(l->t, &f->local, &f->peer, &f->h);
    lab_collect(l);
    return r;
}

/* Accept what stands first in the queue; it must be this connection. */
int lab_accept_call(struct lab *l, int flow)
{
    tern_handle h;
    tern_info info;
    tern_tick(l->t, l->now);
    int r = tern_accept(l->t, l->listener, &h);
    if (r != 0)
        return r;
    l->flow[flow].h = h;
    assert_int_equal(tern_get_info(l->t, h, &info), 0);
    if (info.remote.port != l->flow[flow].peer.port)
        lab_fail(l, "accept gave the connection of port %u", info.remote.port);
    lab_collect(l);
    return 0;
}

long lab_send(struct lab *l, int flow, size_t n, unsigned flags)
{
    struct lab_flow *f = &l->flow[flow];
    uint8_t *buf = malloc(n + 1);
    assert_non_null(buf);
    for (size_t i = 0; i < n; i++)
        buf[i] = lab_byte(false, (uint32_t)(f->wrote + i));
    tern_tick(l->t, l->now);
    long r = tern_send(l->t, f->h, buf, n, flags);
    free(buf);
    if (r > 0)
        f->wrote += (uint64_t)r;
    lab_collect(l);
    return r;
}

long lab_recv(struct lab *l, int flow, size_t n)
{
    struct lab_flow *f = &l->flow[flow];
    uint8_t *buf = malloc(n + 1);
    assert_non_null(buf);
    tern_tick(l->t, l->now);
    long r = tern_recv(l->t, f->h, buf, n);
    for (long i = 0; i < r; i++)
        if (buf[i] != lab_byte(true, (uint32_t)(f->read + (uint64_t)i)))
            lab_fail(l, "the byte at %llu of the peer's stream is wrong",
                     (unsigned long long)(f->read + (uint64_t)i));
    free(buf);
    if (r > 0)
        f->read += (uint64_t)r;
    lab_collect(l);
    return r;
}

uint32_t lab_events(struct lab *l, int flow)
{
    tern_event ev[32];
    int n;
    while ((n = tern_events(l->t, ev, 32)) > 0)
        for (int e = 0; e < n; e++)
            for (int i = 0; i < LAB_FLOWS; i++)
                if (l->flow[i].h.v == ev[e].handle.v && ev[e].handle.v)
                    l->flow[i].events |= ev[e].bits;
    uint32_t bits = l->flow[flow].events;
    l->flow[flow].events = 0;
    return bits;
}

static void call_events(struct lab *l, int flow, const char *want)
{
    static const char *const names[] = {"READABLE",    "WRITABLE", "CONNECTED", "ACCEPTABLE",
                                        "PEER_CLOSED", "ENDED",    "URGENT",    "SOFT_ERROR"};
    uint32_t bits = lab_events(l, flow);
    bool exact_none = strcmp(want, "none") == 0;
    if (exact_none && bits)
        lab_fail(l, "events are 0x%x", bits);
    for (int i = 0; i < 8 && !exact_none; i++) {
        bool negated = false;
        const char *at = strstr(want, names[i]);
        if (at && at > want && at[-1] == '!')
            negated = true;
        if (at && ((bits >> i) & 1) == negated)
            lab_fail(l, "%s is %s (0x%x)", names[i], negated ? "there" : "missing", bits);
    }
}

static bool same_ends(const tern_info *i, const struct lab_flow *f)
{
    return !i->listener && i->local.port == f->local.port && i->remote.port == f->peer.port &&
           ip_eq(&i->remote.ip, &f->peer.ip) && ip_eq(&i->local.ip, &f->local.ip);
}

bool lab_info(struct lab *l, int flow, tern_info *out)
{
    uint64_t cursor = 0;
    const struct lab_flow *f = &l->flow[flow];
    if (f->h.v && tern_get_info(l->t, f->h, out) == 0)
        return true;
    while (tern_walk(l->t, &cursor, out) == 1)
        if (same_ends(out, f))
            return true;
    return false;
}

enum tern_state lab_state(struct lab *l, int flow)
{
    tern_info info;
    uint64_t cursor = 0;
    if (lab_info(l, flow, &info))
        return info.state;
    while (tern_walk(l->t, &cursor, &info) == 1)
        if (info.listener && info.local.port == l->flow[flow].local.port)
            return TERN_LISTEN;
    return TERN_CLOSED;
}

/* The same addresses and ports, a new incarnation of the peer whose ISN is `by` away from the old one. */
static void reborn(struct lab *l, int flow, long by)
{
    struct lab_flow *f = &l->flow[flow];
    f->peer_iss += (uint32_t)by;
    f->iss_known = f->any_seen = f->edge_known = f->peer_edge_known = f->fin_seen = false;
    f->wrote = f->read = 0;
    f->peer_ts = f->tern_ts = f->peer_ws = f->tern_ws = false;
    f->old = f->h;
    f->h.v = 0;
    l->tuned = true;
}

static long release(struct lab *l, int flow, bool abort_it)
{
    struct lab_flow *f = &l->flow[flow];
    long r = abort_it ? tern_abort(l->t, f->h) : tern_close(l->t, f->h);
    f->h.v = 0;
    return r;
}

static unsigned send_flags(const char *words)
{
    return (strstr(words, "more") ? TERN_MORE : 0u) | (strstr(words, "urg") ? TERN_URG : 0u);
}

static long close_listener(struct lab *l)
{
    long r = tern_close(l->t, l->listener);
    l->listener.v = 0;
    return r;
}

static bool perform(struct lab *l, int flow, const char *verb, const char *arg, const char *arg2, long *r)
{
    long n = atol(arg);
    if (strcmp(verb, "listen") == 0)
        *r = lab_listen_call(l);
    else if (strcmp(verb, "connect") == 0)
        *r = lab_connect_call(l, flow);
    else if (strcmp(verb, "accept") == 0)
        *r = lab_accept_call(l, flow);
    else if (strcmp(verb, "send") == 0)
        *r = lab_send(l, flow, (size_t)n, send_flags(arg2));
    else if (strcmp(verb, "recv") == 0)
        *r = lab_recv(l, flow, (size_t)n);
    else if (strcmp(verb, "shutdown") == 0)
        *r = tern_shutdown(l->t, l->flow[flow].h);
    else if (strcmp(verb, "close") == 0)
        *r = release(l, flow, false);
    else if (strcmp(verb, "abort") == 0)
        *r = release(l, flow, true);
    else if (strcmp(verb, "unlisten") == 0)
        *r = close_listener(l);
    else if (strcmp(verb, "opt") == 0)
        *r = call_option(l, flow, arg, (uint32_t)strtoul(arg2, NULL, 10));
    else if (strcmp(verb, "events") == 0)
        call_events(l, flow, arg);
    else if (strcmp(verb, "icmp") == 0) /* icmp TYPE CODE SEQ: see lab_icmp */
        lab_fail(l, "icmp is a call of C: lab_icmp");
    else if (strcmp(verb, "forget") == 0)
        lab_forget(l);
    else if (strcmp(verb, "reborn") == 0)
        reborn(l, flow, n);
    else
        return false;
    return true;
}

/* VERB [ARG [ARG2]] [-> RESULT]. Without RESULT: send and recv must give what was asked for, others 0. */
void lab_call(struct lab *l, int flow, const char *text)
{
    char verb[16] = "", arg[64] = "", arg2[64] = "", result[32] = "";
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", text);
    char *arrow = strstr(copy, "->");
    if (arrow) {
        sscanf(arrow + 2, " %31s", result);
        *arrow = 0;
    }
    sscanf(copy, "%15s %63s %63s", verb, arg, arg2);
    long r = 0;
    tern_tick(l->t, l->now);
    lab_collect(l);
    if (!perform(l, flow, verb, arg, arg2, &r))
        lab_fail(l, "the script is wrong: no such call");
    lab_collect(l);
    bool counts = strcmp(verb, "send") == 0 || strcmp(verb, "recv") == 0;
    long want = arrow ? result_value(l, result) : counts ? atol(arg) : 0;
    if (r != want)
        lab_fail(l, "the call returned %ld, not %ld", r, want);
}
