/* sockopt.c - setsockopt, getsockopt and ioctl: the options of POSIX and Linux that tern has by another name,
 * and tern's own at the level SOL_TERN. Sizes of buffers are what was asked for, not doubled as in Linux. */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check/run.h"

static struct answer gives(int64_t value)
{
    return (struct answer){.value = value};
}

/* --- names ----------------------------------------------------------------------------------- */

struct row {
    int level, name;
    enum tern_option option;
    uint32_t unit; /* the script's value times this is tern's */
};

static const struct row rows[] = {
    {SOL_SOCKET, SO_KEEPALIVE, TERN_OPT_KEEPALIVE, 1},
    {SOL_SOCKET, SO_SNDBUF, TERN_OPT_SEND_BUFFER, 1},
    {SOL_SOCKET, SO_RCVBUF, TERN_OPT_RECV_BUFFER, 1},
    {SOL_SOCKET, SO_SNDBUFFORCE, TERN_OPT_SEND_BUFFER, 1},
    {SOL_SOCKET, SO_RCVBUFFORCE, TERN_OPT_RECV_BUFFER, 1},
    {IPPROTO_TCP, TCP_NODELAY, TERN_OPT_NODELAY, 1},
    {IPPROTO_TCP, TCP_QUICKACK, TERN_OPT_QUICKACK, 1},
    {IPPROTO_TCP, TCP_MAXSEG, TERN_OPT_MAX_SEG, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, TERN_OPT_KEEPIDLE_MS, 1000},
    {IPPROTO_TCP, TCP_KEEPINTVL, TERN_OPT_KEEPINTVL_MS, 1000},
    {IPPROTO_TCP, TCP_KEEPCNT, TERN_OPT_KEEPCNT, 1},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, TERN_OPT_USER_TIMEOUT_MS, 1},
    {IPPROTO_IP, IP_TTL, TERN_OPT_TTL, 1},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, TERN_OPT_TTL, 1},
};

static const struct {
    const char *name;
    enum tern_option option;
} own[] = {
    {"TERN_OPT_NODELAY", TERN_OPT_NODELAY},         {"TERN_OPT_QUICKACK", TERN_OPT_QUICKACK},
    {"TERN_OPT_KEEPALIVE", TERN_OPT_KEEPALIVE},     {"TERN_OPT_KEEPIDLE_MS", TERN_OPT_KEEPIDLE_MS},
    {"TERN_OPT_KEEPINTVL_MS", TERN_OPT_KEEPINTVL_MS}, {"TERN_OPT_KEEPCNT", TERN_OPT_KEEPCNT},
    {"TERN_OPT_USER_TIMEOUT_MS", TERN_OPT_USER_TIMEOUT_MS}, {"TERN_OPT_LINGER0", TERN_OPT_LINGER0},
    {"TERN_OPT_SEND_BUFFER", TERN_OPT_SEND_BUFFER}, {"TERN_OPT_RECV_BUFFER", TERN_OPT_RECV_BUFFER},
    {"TERN_OPT_DSCP", TERN_OPT_DSCP},               {"TERN_OPT_TTL", TERN_OPT_TTL},
    {"TERN_OPT_ECN", TERN_OPT_ECN},                 {"TERN_OPT_REPORTS", TERN_OPT_REPORTS},
    {"TERN_OPT_MAX_SEG", TERN_OPT_MAX_SEG},         {"TERN_OPT_COOKIES", TERN_OPT_COOKIES},
};

static const struct {
    const char *name;
    uint32_t value;
} own_values[] = {
    {"TERN_ECN_PASSIVE", TERN_ECN_PASSIVE}, {"TERN_ECN_ON", TERN_ECN_ON}, {"TERN_ECN_OFF", TERN_ECN_OFF},
    {"TERN_COOKIES_AUTO", TERN_COOKIES_AUTO}, {"TERN_COOKIES_ALWAYS", TERN_COOKIES_ALWAYS},
    {"TERN_COOKIES_NEVER", TERN_COOKIES_NEVER},
};

bool desc_option_number(const char *word, int64_t *out)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i].name, word) == 0)
            return *out = own[i].option, true;
    for (size_t i = 0; i < sizeof own_values / sizeof own_values[0]; i++)
        if (strcmp(own_values[i].name, word) == 0)
            return *out = own_values[i].value, true;
    return false;
}

static const struct row *find(int64_t level, int64_t name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].level == level && rows[i].name == name)
            return &rows[i];
    return NULL;
}

/* --- setting --------------------------------------------------------------------------------- */

int desc_set(struct run *r, struct sock *k, enum tern_option option, uint32_t value)
{
    if (k->kind != SOCK_NEW)
        return tern_setopt(r->t, k->h, option, value);
    if (k->n_options < sizeof k->option / sizeof k->option[0]) {
        k->option[k->n_options].option = option;
        k->option[k->n_options++].value = value;
    }
    return 0;
}

/* What was set before listen or connect. */
void desc_apply_options(struct run *r, struct sock *k)
{
    for (uint32_t i = 0; i < k->n_options; i++) {
        int result = tern_setopt(r->t, k->h, k->option[i].option, k->option[i].value);
        if (result < 0)
            run_skip(r, "an option set before the connection, which tern refuses");
    }
    k->n_options = 0;
}

static struct answer set_linger(struct run *r, struct sock *k, const struct value *v)
{
    const struct value *on = value_field(v, "onoff"), *seconds = value_field(v, "linger");
    if (on == NULL || seconds == NULL)
        run_wrong(r, v->line, v->column, "{onoff=N, linger=N} must stand here");
    k->linger = value_number(r, on) ? (int)value_number(r, seconds) : -1;
    return gives(0);
}

static struct answer set_congestion(struct run *r, const struct value *v)
{
    const char *name = v->kind == VALUE_STRING ? v->text
                       : v->first && v->first->kind == VALUE_STRING ? v->first->text : "";
    if (strcmp(name, "reno") != 0 && strcmp(name, "newreno") != 0)
        run_skip(r, "congestion control \"%s\"; tern has reno", name);
    return gives(0);
}

/* Those that are kept by the socket layer and not by tern. False: none of them. */
static bool set_here(struct run *r, struct sock *k, int64_t level, int64_t name, const struct value *v,
                     struct answer *a)
{
    *a = gives(0);
    if (level == SOL_SOCKET && name == SO_LINGER)
        *a = set_linger(r, k, v);
    else if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT))
        k->reuse = value_number(r, v) != 0;
    else if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        k->low_water = (uint32_t)value_number(r, v);
    else if (level == SOL_SOCKET && name == SO_OOBINLINE)
        *a = gives(value_number(r, v) ? 0 : -EINVAL); /* urgent data is always in the stream (RFC 6093) */
    else if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        *a = set_congestion(r, v);
    else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
        *a = gives(0);
    else
        return false;
    return true;
}

static struct answer set_tos(struct run *r, struct sock *k, int64_t tos)
{
    return gives(tos < 0 || tos > 255 ? -EINVAL : desc_set(r, k, TERN_OPT_DSCP, (uint32_t)tos >> 2));
}

struct answer call_setsockopt(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t level = value_number(r, call_arg(c, 1)), name = value_number(r, call_arg(c, 2));
    const struct value *v = call_arg(c, 3), *word = call_arg(c, 2);
    const struct row *row = find(level, name);
    struct answer a;
    if (set_here(r, k, level, name, v, &a))
        return a;
    if ((level == IPPROTO_IP && name == IP_TOS) || (level == IPPROTO_IPV6 && name == IPV6_TCLASS))
        return set_tos(r, k, value_number(r, v));
    if (level == SOL_TERN)
        return gives(desc_set(r, k, (enum tern_option)name, (uint32_t)value_number(r, v)));
    if (row == NULL)
        run_skip(r, "the socket option %s", word->kind == VALUE_WORD ? word->text : "by this number");
    int64_t value = value_number(r, v);
    if (value < 0 || value > UINT32_MAX / row->unit)
        return gives(-EINVAL);
    return gives(desc_set(r, k, row->option, (uint32_t)value * row->unit));
}

/* --- getting --------------------------------------------------------------------------------- */

/* What it is, against what the script says that it is. */
static void compare(struct run *r, const struct value *v, int64_t is, const char *what)
{
    char want[32], got[32];
    if (value_is_open(v) || (v->kind == VALUE_LIST && value_is_open(v->first)))
        return;
    int64_t expected = value_number(r, v);
    if (expected == is)
        return;
    snprintf(want, sizeof want, "%lld", (long long)expected);
    snprintf(got, sizeof got, "%lld", (long long)is);
    run_fail(r, want, got, "%s has another value", what);
}

static uint32_t option_value(struct run *r, const struct sock *k, enum tern_option option, uint32_t fallback)
{
    uint32_t value = fallback;
    if (k->kind != SOCK_NEW)
        tern_getopt(r->t, k->h, option, &value);
    for (uint32_t i = 0; i < k->n_options; i++)
        if (k->option[i].option == option)
            value = k->option[i].value;
    return value;
}

/* What an option is worth before there is a connection. */
static uint32_t initial_value(const struct run *r, enum tern_option option)
{
    const tern_config *c = &r->set.config;
    switch (option) {
    case TERN_OPT_SEND_BUFFER: return c->send_buffer ? c->send_buffer : 262144;
    case TERN_OPT_RECV_BUFFER: return c->recv_buffer ? c->recv_buffer : 1048576;
    case TERN_OPT_KEEPIDLE_MS: return 7200000;
    case TERN_OPT_KEEPINTVL_MS: return 75000;
    case TERN_OPT_KEEPCNT: return 9;
    case TERN_OPT_TTL: return c->ttl ? c->ttl : 64;
    default: return 0;
    }
}

static int64_t pending_error(struct run *r, struct sock *k)
{
    tern_info info;
    int64_t error = -(int64_t)desc_error(r, k);
    if (k->opening && desc_info(r, k, &info) && info.state != TERN_SYN_SENT && info.state != TERN_SYN_RCVD)
        k->opening = false;
    return error;
}

/* MSS now, where there is a connection. */
static int64_t max_segment(struct run *r, const struct sock *k)
{
    tern_info info;
    desc_info(r, k, &info);
    return k->kind == SOCK_CONNECTION ? info.mss : option_value(r, k, TERN_OPT_MAX_SEG, 0);
}

static bool get_here(struct run *r, struct sock *k, int64_t level, int64_t name, int64_t *is)
{
    if (level == SOL_SOCKET && name == SO_ERROR)
        *is = pending_error(r, k);
    else if (level == SOL_SOCKET && name == SO_TYPE)
        *is = SOCK_STREAM;
    else if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
        *is = k->kind == SOCK_LISTENING;
    else if (level == SOL_SOCKET && (name == SO_REUSEADDR || name == SO_REUSEPORT))
        *is = k->reuse;
    else if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        *is = k->low_water;
    else if (level == SOL_SOCKET && name == SO_OOBINLINE)
        *is = 1;
    else if (level == IPPROTO_TCP && name == TCP_MAXSEG)
        *is = max_segment(r, k);
    else if ((level == IPPROTO_IP && name == IP_TOS) || (level == IPPROTO_IPV6 && name == IPV6_TCLASS))
        *is = option_value(r, k, TERN_OPT_DSCP, 0) << 2;
    else
        return false;
    return true;
}

/* {tcpi_state=TCP_ESTABLISHED, ...}: the fields that the script names. */
static struct answer get_info(struct run *r, const struct sock *k, const struct value *v)
{
    tern_info info;
    int64_t is;
    desc_info(r, k, &info);
    for (const struct value *f = v->kind == VALUE_STRUCT ? v->first : NULL; f != NULL; f = f->next) {
        if (f->name == NULL || !code_field(&info, f->name, &is))
            run_skip(r, "%s of TCP_INFO", f->name ? f->name : "a field without name");
        compare(r, f, is, f->name);
    }
    return gives(0);
}

struct answer call_getsockopt(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t level = value_number(r, call_arg(c, 1)), name = value_number(r, call_arg(c, 2)), is = 0;
    const struct value *v = call_arg(c, 3), *word = call_arg(c, 2);
    const char *what = word->kind == VALUE_WORD ? word->text : "the option";
    const struct row *row = find(level, name);
    if (level == IPPROTO_TCP && name == TCP_INFO)
        return get_info(r, k, v);
    if (level == SOL_TERN)
        is = option_value(r, k, (enum tern_option)name, initial_value(r, (enum tern_option)name));
    else if (!get_here(r, k, level, name, &is)) {
        if (row == NULL)
            run_skip(r, "the socket option %s", what);
        is = option_value(r, k, row->option, initial_value(r, row->option)) / row->unit;
    }
    compare(r, v, is, what);
    return gives(0);
}

struct answer call_ioctl(struct run *r, struct sock *k, const struct call_spec *c)
{
    int64_t what = value_number(r, call_arg(c, 1));
    const struct value *v = call_arg(c, 2);
    tern_info info;
    desc_info(r, k, &info);
    if (what == FIONBIO) {
        k->nonblocking = value_number(r, v) != 0;
        return gives(0);
    }
    if (k->kind == SOCK_LISTENING)
        return gives(-EINVAL);
    if (what == SIOCINQ || what == FIONREAD)
        compare(r, v, info.recv_queue, "the count of bytes to read");
    else if (what == SIOCOUTQ)
        compare(r, v, (int64_t)info.send_unacked + info.send_queue, "the count of bytes not acknowledged");
    else if (what == SIOCOUTQNSD)
        compare(r, v, info.send_queue, "the count of bytes not sent");
    else
        run_skip(r, "this ioctl");
    return gives(0);
}
