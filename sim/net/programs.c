/* programs.c - the programs on the hosts: each end of a connection opens, writes, reads and ends as the plan
 * says, at its own pace. They do with a stack what programs do, and report every result to the judge.
 *
 * When the world is calm every program becomes a good one: it sends the rest, closes its direction, reads to
 * the end and closes. So a connection that does not end then is the fault of a stack.
 */
#include "audit.h"
#include "net.h"
#include "record.h"

#include <tern/lent.h>

#include <stdlib.h>
#include <string.h>

enum {
    CALM_KEEPIDLE_MS = 20000,
    AGAIN_US = 50000,     /* after -TERN_ENOMEM */
    CONNECT_AGAIN_US = 300000,
    CONNECT_TRIES = 20,
    READ_MOST = 65536,
    SIMULTANEOUS_PORT = 10000,
};

static struct net_host *host_at(struct net *n, const struct net_end *e) { return &n->host[e->host]; }
static uint32_t index_of(const struct net *n, const struct net_end *e) { return (uint32_t)(e - n->end); }

static struct judge_end *find_end(void *ctx, uint32_t name)
{
    struct net *n = ctx;
    return name >= 1 && name <= n->n_ends ? &n->end[name - 1].j : NULL;
}

/* A complaint of the judge gets its place. */
static void blame(struct net *n, const struct net_end *e)
{
    n->complaint.at_us = n->now;
    n->complaint.end = (int32_t)index_of(n, e);
    n->complaint.conn = e->conn;
    uint32_t name = judge_name(e->j.head); /* of one that could not be told: of whom it hears */
    if (e->conn < 0 && name >= 1 && name <= n->n_ends)
        n->complaint.conn = n->end[name - 1].conn;
}

static void wake_at(struct net *n, struct net_end *e, uint64_t at)
{
    if (e->wake_us != 0 && e->wake_us <= at)
        return;
    e->wake_us = at;
    net_later(n, at, COMES_END, index_of(n, e));
}

static void excuse(struct net *n, const struct net_end *e, unsigned excuses)
{
    if (e->conn >= 0)
        n->conn[e->conn].excuses |= excuses;
}

/* --- beginning ------------------------------------------------------------------------------- */

static struct net_end *new_end(struct net *n, int host, int32_t conn, int side)
{
    static const uint32_t nobody[P_FIELDS] = {[P_BYTES] = 8, [P_WRITE] = 8, [P_READ] = 4096};
    if (n->n_ends == n->ends_cap) {
        n->ends_cap = n->ends_cap ? n->ends_cap * 2 : 256;
        n->end = realloc(n->end, n->ends_cap * sizeof *n->end);
    }
    struct net_end *e = &n->end[n->n_ends++];
    memset(e, 0, sizeof *e);
    e->j.name = n->n_ends;
    e->conn = conn;
    e->side = (uint8_t)side;
    e->host = (int16_t)host;
    e->plan = nobody;
    e->j.opened_us = tern_now(n->host[host].t);
    if (conn >= 0) {
        e->plan = n->conn[conn].plan + (side == 0 ? C_CLIENT_P : C_SERVER_P);
        n->conn[conn].end[side] = (int32_t)n->n_ends - 1;
    }
    n->open_ends++;
    return e;
}

/* A peer may be gone without a word (a RST is lost but once): who waits for one asks. */
static void ask_from_now_on(struct net *n, struct net_end *e)
{
    tern *t = host_at(n, e)->t;
    if (t == NULL || e->plan[P_KEEPIDLE_MS] != 0)
        return;
    tern_setopt(t, e->h, TERN_OPT_KEEPIDLE_MS, CALM_KEEPIDLE_MS);
    tern_setopt(t, e->h, TERN_OPT_KEEPINTVL_MS, CALM_KEEPIDLE_MS / 4);
    tern_setopt(t, e->h, TERN_OPT_KEEPALIVE, 1);
}

static void set_options(struct net *n, struct net_end *e)
{
    tern *t = host_at(n, e)->t;
    const uint32_t *p = e->plan;
    tern_set_data(t, e->h, e->j.name);
    if (p[P_NODELAY])
        tern_setopt(t, e->h, TERN_OPT_NODELAY, 1);
    if (p[P_HOW] & HOW_QUICKACK)
        tern_setopt(t, e->h, TERN_OPT_QUICKACK, 1);
    if (p[P_USER_TIMEOUT_MS])
        tern_setopt(t, e->h, TERN_OPT_USER_TIMEOUT_MS, p[P_USER_TIMEOUT_MS]);
    if (p[P_BUFFER])
        tern_setopt(t, e->h, TERN_OPT_RECV_BUFFER, p[P_BUFFER]);
    if (p[P_KEEPIDLE_MS]) {
        tern_setopt(t, e->h, TERN_OPT_KEEPIDLE_MS, p[P_KEEPIDLE_MS]);
        tern_setopt(t, e->h, TERN_OPT_KEEPINTVL_MS, p[P_KEEPIDLE_MS] / 2 + 50);
        tern_setopt(t, e->h, TERN_OPT_KEEPCNT, 3);
        tern_setopt(t, e->h, TERN_OPT_KEEPALIVE, 1);
    }
    if (n->calm)
        ask_from_now_on(n, e);
    if (p[P_READ_FROM_MS])
        e->read_us = n->now + p[P_READ_FROM_MS] * 1000ull;
}

static const tern_ip *its_ip(const struct net *n, int host, const struct net_conn *c)
{
    const struct net_host *h = &n->host[host];
    return c->plan[C_KIND] == CONN_LOCAL ? &h->local : c->plan[C_IP6] ? &h->ip6 : &h->ip4;
}

static int connect_now(struct net *n, struct net_conn *c, int side, tern_handle *out)
{
    int own = (int)c->plan[side == 0 ? C_CLIENT : C_SERVER],
        other = (int)c->plan[side == 0 ? C_SERVER : C_CLIENT];
    struct net_host *h = &n->host[own];
    bool both = c->plan[C_KIND] == CONN_SIMULTANEOUS;
    uint16_t port = (uint16_t)(SIMULTANEOUS_PORT + (c - n->conn));
    tern_endpoint remote = {.ip = *its_ip(n, other, c), .port = both ? port : SERVER_PORT};
    tern_endpoint local = {.ip = *its_ip(n, own, c), .port = both ? port : 0};
    if (c->plan[C_KIND] == CONN_LOCAL)
        remote.zone = local.zone = (uint16_t)h->link;
    return tern_connect(h->t, both ? &local : NULL, &remote, out);
}

static void know_pair(struct net *n, struct net_end *e)
{
    tern_info info;
    struct net_conn *c = &n->conn[e->conn];
    if (c->in_flow || tern_get_info(host_at(n, e)->t, e->h, &info) < 0)
        return;
    c->pair[e->side] = info.local;
    c->pair[!e->side] = info.remote;
    c->iss = info.iss;
    flows_add(n, e->conn);
}

/* Addresses may be away, ports used up, memory short: tried again, some times. */
static void try_later(struct net *n, uint32_t conn, int side, int error)
{
    struct net_conn *c = &n->conn[conn];
    bool may = error == -TERN_ENOSR || error == -TERN_ENOMEM || error == -TERN_EADDRNOTAVAIL ||
               error == -TERN_ENETUNREACH || error == -TERN_ENETDOWN || error == -TERN_EADDRINUSE ||
               error == -TERN_EDESTADDRREQ || error == -TERN_ENODEV;
    if (!may && !(error == -TERN_EINVAL && n->host[c->plan[side ? C_SERVER : C_CLIENT]].link == 0))
        net_complain(n, WRONG_RESULT, -1, "connect gives error %d", error);
    if (c->tries++ < CONNECT_TRIES && !n->calm)
        net_later(n, n->now + CONNECT_AGAIN_US, COMES_START, conn | (uint32_t)side << 16);
}

void program_start(struct net *n, uint32_t conn, int side)
{
    struct net_conn *c = &n->conn[conn];
    int host = (int)c->plan[side == 0 ? C_CLIENT : C_SERVER];
    struct net_host *h = &n->host[host];
    tern_handle handle;
    if (h->t == NULL || h->asleep) {
        try_later(n, conn, side, -TERN_ENETDOWN);
        return;
    }
    tern_tick(h->t, net_local(n, h));
    int error = connect_now(n, c, side, &handle);
    if (error < 0) {
        try_later(n, conn, side, error);
    } else {
        struct net_end *e = new_end(n, host, (int32_t)conn, side);
        e->h = handle;
        set_options(n, e);
        know_pair(n, e);
        n->counts->opened += side == 0;
        record_note(n, host, (int32_t)conn, "the program connects");
        program_act(n, index_of(n, e));
    }
    host_settle(n, host);
}

/* --- accepting ------------------------------------------------------------------------------- */

static int32_t fits(const struct net *n, int32_t conn, int host)
{
    bool its = conn >= 0 && n->conn[conn].end[1] < 0 && (int)n->conn[conn].plan[C_SERVER] == host;
    return its ? conn : -1;
}

/* Whose SYN this is, as far as addresses tell. */
static int32_t whose_syn(const struct net *n, const tern_syn *syn, int host)
{
    bool nat = nat_is(n, &syn->remote.ip);
    return fits(n, nat ? nat_find(n, &syn->remote) : flows_find(n, &syn->local, &syn->remote), host);
}

/* Whose connection a server has accepted: by its addresses and the client's first number. */
static int32_t whose(const struct net *n, tern_handle h, int host)
{
    tern_info info;
    if (tern_get_info(n->host[host].t, h, &info) < 0)
        return -1;
    if (!nat_is(n, &info.remote.ip))
        return fits(n, flows_find_exactly(n, &info.local, &info.remote, info.irs), host);
    int32_t conn = nat_find(n, &info.remote);
    return conn >= 0 && n->conn[conn].iss == info.irs ? fits(n, conn, host) : -1;
}

static struct net_end *serve(struct net *n, int host, tern_handle h, int32_t conn)
{
    struct net_end *e = new_end(n, host, conn, 1);
    e->h = h;
    e->j.by_cookie = n->host[host].plan[H_LISTEN] != LISTENING_NO_COOKIES;
    set_options(n, e);
    record_note(n, host, conn, "the program accepts");
    return e;
}

static void accept_all(struct net *n, int host)
{
    struct net_host *s = &n->host[host];
    tern_handle h;
    int r;
    while ((r = tern_accept(s->t, s->listener, &h)) == 0) {
        struct net_end *e = serve(n, host, h, whose(n, h, host));
        program_act(n, index_of(n, e));
    }
    if (r != -TERN_EAGAIN)
        net_complain(n, WRONG_RESULT, -1, "accept gives error %d", r);
}

enum { REJECTS = 70, IGNORES = 80, IS_UNDECIDED = 90 }; /* of 100, from there on */

/* A listener that defers: the program's word about each SYN. */
static void decide_all(struct net *n, int host)
{
    struct net_host *s = &n->host[host];
    tern_syn syn;
    while (tern_next_syn(s->t, s->listener, &syn) == 0) {
        int32_t conn = whose_syn(n, &syn, host);
        uint64_t dice = n->calm ? 0 : rng_next(&n->dice) % 100;
        tern_handle h;
        if (conn >= 0 && dice >= REJECTS)
            n->conn[conn].excuses |= EXCUSE_UNOPENED | EXCUSE_PROGRAM;
        if (dice >= IS_UNDECIDED)
            continue;
        if (dice >= IGNORES)
            tern_syn_ignore(s->t, syn.handle);
        else if (dice >= REJECTS)
            tern_syn_reject(s->t, syn.handle);
        else if (tern_syn_accept(s->t, syn.handle, 0, &h) == 0)
            serve(n, host, h, whose(n, h, host));
    }
}

void program_accept(struct net *n, int host)
{
    struct net_host *s = &n->host[host];
    s->accept_waits = false;
    if (s->t == NULL || s->listener.v == 0)
        return;
    tern_tick(s->t, net_local(n, s));
    accept_all(n, host);
}

static void listener_event(struct net *n, int host, uint32_t bits)
{
    struct net_host *s = &n->host[host];
    if (bits & TERN_SYN_WAITS)
        decide_all(n, host);
    if (!(bits & TERN_ACCEPTABLE) || s->accept_waits)
        return;
    if (s->plan[H_ACCEPT_MS] == 0 || n->calm) {
        accept_all(n, host);
        return;
    }
    s->accept_waits = true;
    net_later(n, n->now + s->plan[H_ACCEPT_MS] * 1000ull, COMES_ACCEPT, (uint32_t)host);
}

/* --- the end --------------------------------------------------------------------------------- */

static void let_go(struct net *n, struct net_end *e)
{
    e->over = e->j.released = true;
    n->open_ends--;
}

static void close_as(struct net *n, struct net_end *e, const char *words, bool linger)
{
    record_note(n, e->host, e->conn, "%s", words);
    e->j.closed = true; /* what was sent before is still delivered, or there is a reset */
    tern_info before;
    bool known = tern_get_info(host_at(n, e)->t, e->h, &before) == 0;
    int r = tern_close(host_at(n, e)->t, e->h);
    if (known)
        audit_called(n, e, &before, linger ? TERN_C_CLOSE_LINGER0 : TERN_C_CLOSE);
    if (r != 0)
        net_complain(n, WRONG_RESULT, (int)index_of(n, e), "close gives error %d", r);
    let_go(n, e);
}

static void close_now(struct net *n, struct net_end *e, const char *words)
{
    close_as(n, e, words, false);
}

static void abort_now(struct net *n, struct net_end *e)
{
    record_note(n, e->host, e->conn, "the program aborts");
    excuse(n, e, EXCUSE_PROGRAM);
    tern_info before;
    bool known = tern_get_info(host_at(n, e)->t, e->h, &before) == 0;
    int r = tern_abort(host_at(n, e)->t, e->h);
    if (known)
        audit_called(n, e, &before, TERN_C_ABORT);
    if (r != 0)
        net_complain(n, WRONG_RESULT, (int)index_of(n, e), "abort gives error %d", r);
    let_go(n, e);
}

static void close_linger0(struct net *n, struct net_end *e)
{
    excuse(n, e, EXCUSE_PROGRAM);
    tern_setopt(host_at(n, e)->t, e->h, TERN_OPT_LINGER0, 1);
    close_as(n, e, "the program closes with linger 0", true);
}

static void shut_down(struct net *n, struct net_end *e)
{
    tern_info before;
    bool known = tern_get_info(host_at(n, e)->t, e->h, &before) == 0;
    int r = tern_shutdown(host_at(n, e)->t, e->h);
    if (known && r == 0)
        audit_called(n, e, &before, TERN_C_SHUTDOWN);
    if (r == -TERN_ENOMEM) {
        wake_at(n, e, n->now + AGAIN_US);
        return;
    }
    record_note(n, e->host, e->conn, "the program closes its direction");
    e->shut = e->j.closed = true;
    if (r != 0 && r != -TERN_ENOTCONN)
        net_complain(n, WRONG_RESULT, (int)index_of(n, e), "shutdown gives error %d", r);
}

static uint64_t orset(uint32_t ms, uint64_t otherwise_us) { return ms != 0 ? ms * 1000ull : otherwise_us; }

/* A call said that it is over. */
static void failed(struct net *n, struct net_end *e, int error)
{
    const uint32_t *f = host_at(n, e)->plan;
    struct judge_limits limits = {
        .retries_us = orset(f[H_RETRIES_MS], 924600000),
        .syn_retries_us = orset(f[H_SYN_RETRIES_MS], 180000000),
        .user_timeout_us = e->plan[P_USER_TIMEOUT_MS] * 1000ull,
        .keepalive_us = orset(e->plan[P_KEEPIDLE_MS], n->calm ? CALM_KEEPIDLE_MS * 1000ull : 0),
    };
    tern_info info;
    bool peer_there = false;
    unsigned excuses = ~0u; /* of a connection that cannot be told */
    if (tern_get_info(host_at(n, e)->t, e->h, &info) < 0 || info.error != error) {
        net_complain(n, WRONG_REASON, (int)index_of(n, e), "a call says error %d, info says %d", error,
                     info.error);
        return;
    }
    if (e->conn >= 0) {
        int32_t other = n->conn[e->conn].end[!e->side];
        excuses = n->conn[e->conn].excuses;
        peer_there =
            other >= 0 && !n->end[other].over && n->end[other].j.error == 0 && !n->end[other].j.told_ended;
    }
    uint64_t local = tern_now(host_at(n, e)->t);
    if (!judge_error(&e->j, error, info.reason, local, &limits, excuses, peer_there, &n->complaint))
        blame(n, e);
}

/* --- reading --------------------------------------------------------------------------------- */

static long read_peek(struct net *n, struct net_end *e, uint32_t most)
{
    tern_slice slices[8];
    tern *t = host_at(n, e)->t;
    int k = tern_peek(t, e->h, slices, 8);
    long taken = 0;
    for (int i = 0; i < k && (uint32_t)taken < most; i++) {
        uint32_t len = slices[i].len < most - (uint32_t)taken ? slices[i].len : most - (uint32_t)taken;
        if (!judge_got(&e->j, n->stream, slices[i].data, len, find_end, n, &n->complaint))
            blame(n, e);
        taken += len;
    }
    if (k <= 0)
        return k;
    int r = tern_consume(t, e->h, (size_t)taken);
    if (r < 0)
        net_complain(n, WRONG_RESULT, (int)index_of(n, e), "consume gives error %d", r);
    return taken;
}

static long read_copy(struct net *n, struct net_end *e, uint32_t most)
{
    long r = tern_recv(host_at(n, e)->t, e->h, n->scratch, most);
    if (r > 0 && !judge_got(&e->j, n->stream, n->scratch, (uint64_t)r, find_end, n, &n->complaint))
        blame(n, e);
    return r;
}

static void read_eof(struct net *n, struct net_end *e)
{
    const struct judge_end *sender = NULL;
    if (e->j.hears != 0)
        sender = &n->end[e->j.hears - 1].j;
    else if (e->conn >= 0 && n->conn[e->conn].end[!e->side] >= 0)
        sender = &n->end[n->conn[e->conn].end[!e->side]].j;
    if (!judge_eof(&e->j, sender, &n->complaint))
        blame(n, e);
}

static void read_some(struct net *n, struct net_end *e)
{
    uint32_t most = n->calm || e->plan[P_READ] > READ_MOST ? READ_MOST : e->plan[P_READ];
    while (!e->j.eof && !e->read_over && n->complaint.kind == COMPLAINT_NONE) {
        if (!n->calm && n->now < e->read_us) {
            wake_at(n, e, e->read_us);
            return;
        }
        long r = e->plan[P_HOW] & HOW_PEEKS ? read_peek(n, e, most) : read_copy(n, e, most);
        if (r == -TERN_EAGAIN)
            return;
        if (r == -TERN_ENOMEM) {
            wake_at(n, e, n->now + AGAIN_US);
            return;
        }
        if (r < 0) {
            e->dead = e->read_over = true;
            failed(n, e, (int)r);
            return;
        }
        if (r == 0) {
            read_eof(n, e);
            return;
        }
        n->counts->bytes += (uint64_t)r;
        if (e->plan[P_READ_US] && !n->calm)
            e->read_us = n->now + e->plan[P_READ_US];
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static uint64_t to_send(const struct net *n, const struct net_end *e)
{
    return e->plan[P_ENDING] == END_HALF && !n->calm ? 8 : e->plan[P_BYTES] < 8 ? 8 : e->plan[P_BYTES];
}

static unsigned send_flags(const struct net_end *e, uint64_t len, uint64_t left, uint64_t all)
{
    unsigned flags = e->plan[P_HOW] & HOW_CORKS && len < left ? TERN_MORE : 0;
    bool middle = e->j.sent <= all / 2 && e->j.sent + len > all / 2;
    return e->plan[P_HOW] & HOW_URGENT && middle ? flags | TERN_URG : flags;
}

static long write_piece(struct net *n, struct net_end *e, uint64_t all)
{
    struct net_host *h = host_at(n, e);
    uint64_t left = all - e->j.sent;
    uint8_t head[8];
    uint32_t row;
    if (e->j.sent < sizeof head) {
        judge_head(e->j.name, head);
        uint64_t rest = sizeof head - e->j.sent;
        return tern_send(h->t, e->h, head + e->j.sent, rest, send_flags(e, rest, left, all));
    }
    const uint8_t *from = judge_stream(n->stream, e->j.name, e->j.sent, &row);
    uint64_t len = left < e->plan[P_WRITE] ? left : e->plan[P_WRITE] ? e->plan[P_WRITE] : 1;
    len = len < row ? len : row;
    if (e->plan[P_HOW] & HOW_LENDS && h->region > 0)
        return tern_lend(h->t, e->h, h->region, (uint64_t)(from - n->stream), len, e->j.name,
                         send_flags(e, len, left, all));
    return tern_send(h->t, e->h, from, len, send_flags(e, len, left, all));
}

static void write_some(struct net *n, struct net_end *e)
{
    uint64_t all = to_send(n, e);
    while (!e->shut && !e->dead && e->j.sent < all) {
        if (!n->calm && n->now < e->write_us) {
            wake_at(n, e, e->write_us);
            return;
        }
        long r = write_piece(n, e, all);
        if (r == -TERN_EAGAIN)
            return;
        if (r == -TERN_ENOMEM) {
            wake_at(n, e, n->now + AGAIN_US);
            return;
        }
        if (r <= 0) {
            e->dead = true; /* what came before can still be read */
            failed(n, e, (int)r);
            return;
        }
        e->j.sent += (uint64_t)r;
        if (e->plan[P_WRITE_US] && !n->calm)
            e->write_us = n->now + e->plan[P_WRITE_US];
    }
}

/* --- ending ---------------------------------------------------------------------------------- */

static void end_in_order(struct net *n, struct net_end *e, bool sent_all)
{
    bool both = e->conn >= 0 && n->conn[e->conn].plan[C_KIND] == CONN_SIMULTANEOUS;
    /* else it would give up what is still opening */
    bool open = (e->side == 1 && !both) || e->j.told_connected;
    if (sent_all && open && !e->shut)
        shut_down(n, e);
    bool waits = e->plan[P_HOW] & HOW_WAITS && !e->j.told_ended; /* it wants to see the end */
    if (e->j.eof && e->shut && !waits)
        close_now(n, e, "the program closes");
}

static void end_if_it_is_time(struct net *n, struct net_end *e)
{
    bool sent_all = e->j.sent >= to_send(n, e), now = e->j.sent + e->j.got >= e->plan[P_END_AT];
    if (e->dead && (e->j.eof || e->read_over)) {
        close_now(n, e, "the program lets go of what has ended");
        return;
    }
    if (e->dead)
        return;
    switch (n->calm ? END_IN_ORDER : (enum ending)e->plan[P_ENDING]) {
    case END_LISTENS_FIRST:
        if (e->j.eof)
            end_in_order(n, e, sent_all);
        break;
    case END_CLOSES:
        if (sent_all) {
            excuse(n, e, EXCUSE_PROGRAM);
            close_now(n, e, "the program closes");
        }
        break;
    case END_ABORTS:
        if (now)
            abort_now(n, e);
        break;
    case END_LINGERS0:
        if (now)
            close_linger0(n, e);
        break;
    case END_DIES:
        if (now) {
            excuse(n, e, EXCUSE_PROGRAM);
            close_now(n, e, "the program dies");
        }
        break;
    case END_NEVER: break;
    default: end_in_order(n, e, sent_all); break;
    }
}

void program_act(struct net *n, uint32_t end)
{
    struct net_end *e = &n->end[end];
    if (e->over || host_at(n, e)->t == NULL)
        return;
    if (host_at(n, e)->asleep) {
        wake_at(n, e, n->now + AGAIN_US);
        return;
    }
    read_some(n, e);
    write_some(n, e);
    if (n->complaint.kind == COMPLAINT_NONE)
        end_if_it_is_time(n, e);
}

/* --- events ---------------------------------------------------------------------------------- */

static void returned(struct net *n, int host)
{
    tern_lent lent[16];
    while (tern_returned(n->host[host].t, lent, 16) > 0)
        continue;
}

static void end_event(struct net *n, const tern_event *ev)
{
    if (ev->data == 0 || ev->data > n->n_ends || n->end[ev->data - 1].over) {
        net_complain(n, WRONG_RESULT, -1, "an event %#x for nobody: %llu", ev->bits,
                     (unsigned long long)ev->data);
        return;
    }
    struct net_end *e = &n->end[ev->data - 1];
    if (!judge_told(&e->j, ev->bits, &n->complaint))
        blame(n, e);
    program_act(n, index_of(n, e));
}

bool program_events(struct net *n, int host)
{
    tern_event ev[16];
    int k;
    bool some = false;
    while ((k = tern_events(n->host[host].t, ev, 16)) > 0 && n->complaint.kind == COMPLAINT_NONE) {
        some = true;
        for (int i = 0; i < k; i++) {
            if (ev[i].bits & TERN_RETURNED && ev[i].handle.v == 0)
                returned(n, host);
            else if (ev[i].data == LISTENER_DATA)
                listener_event(n, host, ev[i].bits);
            else
                end_event(n, &ev[i]);
        }
    }
    return some;
}

void program_calm(struct net *n)
{
    for (uint32_t i = 0; i < n->n_ends; i++)
        if (!n->end[i].over) {
            ask_from_now_on(n, &n->end[i]);
            wake_at(n, &n->end[i], n->now);
        }
    for (uint32_t i = 0; i < n->n_hosts; i++)
        if (n->host[i].t != NULL && n->host[i].listener.v != 0)
            net_later(n, n->now, COMES_ACCEPT, i);
}

void program_crashed(struct net *n, int host)
{
    for (uint32_t i = 0; i < n->n_ends; i++)
        if (!n->end[i].over && n->end[i].host == host)
            let_go(n, &n->end[i]);
}

/* --- snares ---------------------------------------------------------------------------------- */

void program_state(struct net *n, int host, const tern_trace_record *r)
{
    if (n->snares == 0 || n->calm)
        return;
    tern_endpoint local = {.ip = r->local, .port = r->local_port},
                  remote = {.ip = r->remote, .port = r->remote_port};
    int32_t conn = nat_is(n, &remote.ip) ? nat_find(n, &remote) : flows_find(n, &local, &remote);
    if (conn < 0)
        return;
    struct net_conn *c = &n->conn[conn];
    uint32_t watch = c->plan[C_WATCH];
    if (watch == 0 || !c->watched || c->plan[C_STATE] != r->state_to ||
        (int)c->plan[watch == 1 ? C_CLIENT : C_SERVER] != host)
        return;
    c->watched = false;
    n->snares--;
    net_later(n, n->now + c->plan[C_LATER_US], COMES_SNARE, (uint32_t)conn);
}

static void snare_end(struct net *n, struct net_end *e, enum snare what)
{
    switch (what) {
    case SNARE_CLOSE:
        excuse(n, e, EXCUSE_PROGRAM);
        close_now(n, e, "the program closes");
        break;
    case SNARE_ABORT: abort_now(n, e); break;
    case SNARE_LINGER0: close_linger0(n, e); break;
    case SNARE_SHUTDOWN:
        excuse(n, e, EXCUSE_PROGRAM);
        shut_down(n, e);
        break;
    default: break;
    }
}

static void snare_unreachable(struct net *n, const struct net_conn *c, int side)
{
    int host = (int)c->plan[side == 0 ? C_CLIENT : C_SERVER];
    if (c->seen[side])
        icmp_forge(n, host, &c->pair[side], &c->pair[!side], c->seq[side] - 1, 3, 3, 0);
}

static void snare_host(struct net *n, struct net_conn *c, int side, int host)
{
    uint64_t soon = n->now + 2000000 < n->calm_us ? n->now + 2000000 : n->calm_us;
    switch (c->plan[C_DO]) {
    case SNARE_CUT:
        record_note(n, host, -1, "the wires are cut");
        wires_cut(n, host, n->calm_us);
        break;
    case SNARE_ADDR_GONE: host_addr(n, host, false); break;
    case SNARE_LINK_GONE: host_link(n, host, false); break;
    case SNARE_CRASH: host_crash(n, host, soon); break;
    case SNARE_UNLISTEN: host_unlisten(n, host); break;
    case SNARE_ICMP: snare_unreachable(n, c, side); break;
    default: break;
    }
    if (c->plan[C_DO] == SNARE_ADDR_GONE || c->plan[C_DO] == SNARE_LINK_GONE ||
        c->plan[C_DO] == SNARE_UNLISTEN)
        net_later(n, soon, COMES_HOST, (uint32_t)host | HOST_REPAIRS);
}

void program_snare(struct net *n, uint32_t conn)
{
    struct net_conn *c = &n->conn[conn];
    int side = c->plan[C_TO] != 0, host = (int)c->plan[side == 0 ? C_CLIENT : C_SERVER];
    struct net_host *h = &n->host[host];
    if (h->t == NULL || h->asleep || n->calm)
        return;
    n->counts->snares[c->plan[C_DO]]++;
    tern_tick(h->t, net_local(n, h));
    int32_t end = c->end[side];
    if (c->plan[C_DO] >= SNARE_CUT)
        snare_host(n, c, side, host);
    else if (end >= 0 && !n->end[end].over && !n->end[end].dead)
        snare_end(n, &n->end[end], (enum snare)c->plan[C_DO]);
    if (h->t != NULL)
        host_settle(n, host);
}
