/* duo.c - see duo.h: the world is made, and what a stack does is taken from it. */
#include "duo.h"

#include "move.h"
#include "prelude.h"
#include "sim/packet.h"
#include "sim/spec/stage.h"

#include <stdlib.h>
#include <string.h>
#include <tern/snapshot.h>

/* What makes a timer's firing something to be seen. */
#define SEEN_KINDS                                                                                  \
    (1u << TERN_TRACE_STATE | 1u << TERN_TRACE_TIMER_FIRED | 1u << TERN_TRACE_LOSS |               \
     1u << TERN_TRACE_RELEASED)

enum {
    BLOCK = 256 << 10,
    START_US = 1000000,
    PORT_A = 1000,
    PORT_B = 80,
    PAGE = 1024,
    TX_BATCH = 4,
    EVENTS = 8,
};

static const struct {
    const char *name, *text;
} faults[FAULTS] = {
    {"none", "nothing is wrong"},
    {"trap",
     "the stack stopped itself: an assertion failed, an edge that is not in the table or an invariant"},
    {"malformed", "a packet cannot be read, or does not go to the other side"},
    {"bytes", "a program reads what the other one has not sent"},
    {"end", "a program reads the end of the stream before the end of what was sent"},
    {"ack", "a segment acknowledges what was never sent"},
    {"error", "a program hears of an error that nothing explains"},
    {"gives-up", "an end gives up though the other one is there and answers"},
    {"call", "a call fails that must not, or says what it must not say"},
    {"standard", "what is tried draws what the standard does not allow"},
    {"storm", "more segments are under way than any end could have reason to send"},
    {"disagree", "all is quiet, and the two ends are not of one mind"},
    {"stuck", "something waits, and nothing will ever happen"},
    {"endless", "network and programs behave from here on, and it does not come to an end"},
    {"left", "it is over, and a stack still keeps something of it"},
};

const char *duo_fault_text(enum fault f) { return faults[f].text; }
const char *duo_fault_name(enum fault f) { return faults[f].name; }

void duo_blame(struct duo *d, enum fault f)
{
    if (d->scene.fault == FAULT_NONE)
        d->scene.fault = (uint8_t)f;
}

/* --- making it ---------------------------------------------------------------------------------- */

static tern_ip address(const struct setting *s, int side)
{
    tern_ip ip = {{0xfe, 0x80, [15] = (uint8_t)(side + 1)}};
    return s->flags & SET_LINK ? ip : tern_ip4(192, 0, 2, (uint8_t)(side + 1));
}

static int make_stack(struct duo *d, int side)
{
    tern_config config = d->setting->config;
    tern_link_info info = {.mtu = 1500};
    tern_ip ip = d->at[side].ip;
    memset(config.seed, 0x11 * (side + 1), sizeof config.seed);
    config.page_size = PAGE;
    config.trace = d->ring[side];
    config.trace_records = RING;
    if (d->setting->flags & SET_NEW_PORT && side == A)
        config.port_low = config.port_high = PORT_A;
    d->config[side] = config;
    int e = tern_create(&d->stack[side], &config, d->block[side], BLOCK);
    if (e < 0)
        return e;
    tern_tick(d->stack[side], START_US);
    tern_trace_only(d->stack[side], SEEN_KINDS);
    d->link[side] = tern_link_add(d->stack[side], &info);
    return tern_addr_add(d->stack[side], d->link[side], &ip, tern_ip_is4(&ip) ? 0 : 64);
}

static void make_ends(struct duo *d)
{
    for (int side = 0; side < SIDES; side++) {
        bool calls = d->setting->role[side].connects > 0;
        d->at[side].ip = address(d->setting, side);
        d->at[side].port = side == A ? PORT_A : calls ? PORT_A + 1 : PORT_B;
    }
}

/* Initial numbers are a clock and a constant of the pair of ports: an attempt that is taken back at once
 * tells which. */
static int learn_isn(struct duo *d, int side)
{
    struct side *s = &d->scene.side[side];
    tern_handle h;
    tern_info i;
    int e = tern_connect(d->stack[side], &d->at[side], &d->at[!side], &h);
    if (e < 0 || (e = tern_get_info(d->stack[side], h, &i)) < 0)
        return e;
    s->isn_base = i.iss - (uint32_t)(s->now / 4);
    e = tern_abort(d->stack[side], h);
    duo_settle(d, side);
    return e;
}

static int begin(struct duo *d)
{
    int e = 0;
    for (int side = 0; side < SIDES && e >= 0; side++) {
        struct side *s = &d->scene.side[side];
        const struct role *role = &d->setting->role[side];
        e = make_stack(d, side);
        if (e < 0)
            break;
        s->now = START_US;
        e = learn_isn(d, side);
        s->actor.connects = role->connects;
        s->actor.listens = (uint8_t)(role->listens + role->listening);
        if (role->listening)
            call_make(d, side, DO_LISTEN);
        duo_settle(d, side);
    }
    if (e >= 0)
        prelude(d);
    memset(d->edges, 0, sizeof d->edges); /* what was before is not what is explored */
    d->scene.broken = d->scene.rude = false;
    return e;
}

struct duo *duo_new(const struct setting *setting, const struct bounds *bounds)
{
    struct duo *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->setting = setting;
    d->scene.left = d->allowed = bounds != NULL ? *bounds : setting->bounds;
    d->n_edges = (uint16_t)tern_edges(d->edge, 256);
    make_ends(d);
    d->stage = calloc(1, sizeof *d->stage);
    bool ok = d->n_edges <= 256 && d->stage != NULL;
    for (int side = 0; side < SIDES; side++) {
        d->block[side] = aligned_alloc(64, BLOCK);
        d->ring[side] = calloc(RING, sizeof *d->ring[side]);
        ok &= d->block[side] != NULL && d->ring[side] != NULL;
    }
    if (ok && begin(d) >= 0)
        return d;
    duo_free(d);
    return NULL;
}

void duo_free(struct duo *d)
{
    for (int side = 0; side < SIDES; side++) {
        if (d->stack[side] != NULL)
            tern_destroy(d->stack[side]);
        free(d->block[side]);
        free(d->ring[side]);
    }
    free(d->stage);
    free(d);
}

/* --- segments ----------------------------------------------------------------------------------- */

/* Of our pair of ports, from `side` to the other one. */
static bool well_addressed(const struct duo *d, int side, const struct segment *g)
{
    return ip_equal(&g->src.ip, &d->at[side].ip) && ip_equal(&g->dst.ip, &d->at[!side].ip) &&
           g->src.port == d->at[side].port && g->dst.port == d->at[!side].port;
}

static void describe(struct flying *f, const struct segment *g)
{
    const uint8_t *tcp = f->bytes + (f->bytes[0] >> 4 == 4 ? 20 : 40);
    f->flags = g->flags;
    f->n_sack = g->n_sack;
    f->ts = g->ts;
    f->seq = g->seq;
    f->ack = g->ack;
    f->space = segment_space(g);
    f->ts_val = g->ts_val;
    f->ts_ecr = g->ts_ecr;
    memcpy(f->sack, g->sack, sizeof f->sack);
    uint64_t urgent = (uint64_t)tcp[18] << 8 | tcp[19], ecn = f->bytes[1];
    uint64_t options = (uint64_t)g->mss << 16 | (uint64_t)g->wscale << 8 | (uint64_t)g->sack_ok << 4 | g->ts;
    flying_fix(f, g->data, g->len, ecn << 56 | urgent << 40 | (options & 0xffffff) << 16 | g->window);
}

/* What has been sent, and whether what is acknowledged was. */
static void account(struct duo *d, int side, const struct flying *f)
{
    struct side *from = &d->scene.side[side], *to = &d->scene.side[!side];
    uint32_t end = f->seq + f->space;
    bool counts = from->sent_any ? (int32_t)(end - from->sent_to) > 0 && !(f->flags & RST)
                                 : (f->flags & SYN) != 0;
    if (counts) {
        from->sent_any = true;
        from->sent_to = end;
    }
    bool acks = (f->flags & (ACK | RST)) == ACK;
    if (acks && (!to->sent_any || (int32_t)(f->ack - to->sent_to) > 0))
        duo_blame(d, FAULT_ACK);
}

static void take_packet(struct duo *d, int side, const tern_tx_packet *pkt)
{
    struct scene *c = &d->scene;
    struct flying *f = &c->flying[c->n_flying];
    struct segment g;
    memset(f, 0, sizeof *f);
    if (pkt->len > PACKET_BYTES) {
        duo_blame(d, FAULT_MALFORMED);
        return;
    }
    f->len = (uint8_t)tern_tx_flatten(pkt, f->bytes);
    if (segment_parse(&g, f->bytes, f->len) != NULL) {
        duo_blame(d, FAULT_MALFORMED);
        return;
    }
    if (ip_equal(&g.dst.ip, &d->stranger.ip)) { /* who does not answer any more */
        d->stranger_next = g.seq + segment_space(&g);
        return;
    }
    if (!well_addressed(d, side, &g)) {
        duo_blame(d, FAULT_MALFORMED);
        return;
    }
    describe(f, &g);
    f->to = (uint8_t)!side;
    f->number = c->number++;
    account(d, side, f);
    c->broken |= c->cut && flying_matters(f);
    if (d->witness != NULL)
        d->witness->sent(d->witness->ctx, f);
    if (c->cut)
        return;
    if (c->n_flying == FLYING_MOST)
        duo_blame(d, FAULT_STORM);
    else
        c->n_flying++;
}

void duo_land(struct duo *d, uint32_t index)
{
    struct scene *c = &d->scene;
    c->n_flying--;
    memmove(&c->flying[index], &c->flying[index + 1], (c->n_flying - index) * sizeof c->flying[0]);
}

/* --- after a verb ------------------------------------------------------------------------------- */

/* Causes after which one end may be gone and the other not know it, */
static bool leaves_alone(enum tern_cause c)
{
    switch (c) {
    case TERN_C_FIN_WAIT_2_TIMEOUT:
    case TERN_C_HALFOPEN_TIMEOUT:
    case TERN_C_HALFOPEN_EVICTED:
    case TERN_C_HALFOPEN_SYN:
    case TERN_C_SYN_IGNORED:
    case TERN_C_SYN_UNDECIDED:
    case TERN_C_SYN_RETRIES_USED_UP:
    case TERN_C_ADDR_REMOVED:
    case TERN_C_LINK_REMOVED:
    case TERN_C_ICMP_HARD: return true;
    default: return false;
    }
}

/* Or an edge: 3.10.5 sends no RST in these states, though the FIN may be lost. */
static bool aborts_silently(const tern_trace_record *r)
{
    return r->cause == TERN_C_ABORT && (r->state == TERN_CLOSING || r->state == TERN_LAST_ACK);
}

/* and those of which a program may hear as an error: its own doing, the other's, or time. */
static bool is_rude(enum tern_cause c)
{
    switch (c) {
    case TERN_C_ABORT:
    case TERN_C_CLOSE_UNREAD:
    case TERN_C_CLOSE_LINGER0:
    case TERN_C_CLOSE_SYN_SENT:
    case TERN_C_CLOSE_LISTEN:
    case TERN_C_DATA_AFTER_CLOSE:
    case TERN_C_LISTENER_GONE:
    case TERN_C_SYN_REJECTED:
    case TERN_C_USER_TIMEOUT:
    case TERN_C_RETRIES_USED_UP:
    case TERN_C_KEEPALIVE_FAILED: return true;
    default: return leaves_alone(c);
    }
}

/* Whether both sides have a record of one and the same connection; of this side as it was before the move. */
static bool is_joined(const struct duo *d, int side)
{
    const struct side *own = &d->scene.side[side], *peer = &d->scene.side[!side];
    for (uint32_t i = 0; i < own->n_rec; i++)
        for (uint32_t k = 0; k < peer->n_rec; k++)
            if (own->rec[i].irs == peer->rec[k].iss && own->rec[i].iss == peer->rec[k].irs)
                return true;
    return false;
}

/* Everything is sent twice at least before an end gives up, so that takes two faults of the network, or a
 * wire or host that is gone for good. */
static bool gives_up_early(const struct duo *d, int side, enum tern_cause c)
{
    const struct scene *s = &d->scene;
    int trouble = s->overtaken + d->allowed.losses - s->left.losses + d->allowed.early - s->left.early +
                  d->allowed.refusals - s->left.refusals;
    bool gone = s->cut || s->side[A].actor.removed || s->side[B].actor.removed;
    bool gives_up = c == TERN_C_RETRIES_USED_UP || c == TERN_C_USER_TIMEOUT || c == TERN_C_KEEPALIVE_FAILED;
    bool silent = d->setting->flags & (SET_DEFER | SET_EVICT) || d->setting->role[side].connects > 1;
    bool unheard = c == TERN_C_SYN_RETRIES_USED_UP && !silent; /* every SYN draws an answer */
    return !gone && trouble < 2 && ((gives_up && is_joined(d, side)) || unheard);
}

static void note_edge(struct duo *d, int side, const tern_trace_record *r)
{
    for (uint32_t i = 0; i < d->n_edges; i++)
        if (d->edge[i].cause == r->cause && d->edge[i].from == r->state && d->edge[i].to == r->state_to)
            d->edges[i / 64] |= (uint64_t)1 << i % 64;
    struct scene *c = &d->scene;
    if (gives_up_early(d, side, r->cause))
        duo_blame(d, FAULT_GIVES_UP);
    bool ghost = r->cause == TERN_C_COOKIE_ACKED && c->cookie;
    c->cookie |= r->cause == TERN_C_COOKIE_ACKED;
    c->broken |= leaves_alone(r->cause) || aborts_silently(r) || ghost;
    c->rude |= is_rude(r->cause) || ghost;
}

static bool take_trace(struct duo *d, int side)
{
    tern_trace_record r;
    bool any = false;
    while (tern_trace_take(d->stack[side], &r, 1, NULL) == 1) {
        any |= d->witness == NULL || (1u << r.kind & SEEN_KINDS) != 0;
        if (r.kind == TERN_TRACE_STATE)
            note_edge(d, side, &r);
        if (d->witness != NULL)
            d->witness->record(d->witness->ctx, side, &r);
    }
    return any;
}

static bool take_output(struct duo *d, int side)
{
    tern_tx_packet pkts[TX_BATCH];
    bool any = false;
    for (int n; (n = tern_tx(d->stack[side], d->scene.side[side].now, pkts, TX_BATCH)) > 0; any = true)
        for (int i = 0; i < n; i++)
            take_packet(d, side, &pkts[i]);
    return any;
}

static void hear(struct actor *a, const tern_event *e)
{
    if (a->conn.v != 0 && e->handle.v == a->conn.v) {
        a->readable |= (e->bits & TERN_READABLE) != 0;
        a->ended |= (e->bits & TERN_ENDED) != 0;
    } else if (a->listener.v != 0 && e->handle.v == a->listener.v) {
        a->acceptable |= (e->bits & TERN_ACCEPTABLE) != 0;
        a->syn_waits |= (e->bits & TERN_SYN_WAITS) != 0;
    }
}

static bool take_events(struct duo *d, int side)
{
    tern_event events[EVENTS];
    int n = tern_events(d->stack[side], events, EVENTS);
    for (int i = 0; i < n; i++)
        hear(&d->scene.side[side].actor, &events[i]);
    return n > 0;
}

/* What the stack keeps of our connection. */
static void take_records(struct duo *d, int side)
{
    struct side *s = &d->scene.side[side];
    uint64_t cursor = 0;
    tern_info i;
    s->n_rec = 0;
    s->state = TERN_CLOSED;
    while (tern_walk(d->stack[side], &cursor, &i)) {
        if (i.listener && i.state == TERN_LISTEN && s->n_rec == 0)
            s->state = TERN_LISTEN;
        if (i.listener || i.state == TERN_CLOSED || !ip_equal(&i.remote.ip, &d->at[!side].ip) ||
            s->n_rec == RECORDS)
            continue;
        s->rec[s->n_rec] = (struct record){i.state, i.iss, i.irs, i.recv_queue};
        if (s->n_rec++ == 0 || i.state != TERN_TIME_WAIT)
            s->state = i.state; /* of a new connection rather than of the one whose place it takes */
    }
}

bool duo_hear(struct duo *d, int side)
{
    d->dirty[side] = true;
    bool seen = false, more = true;
    while (more) {
        more = take_output(d, side);
        more |= take_events(d, side);
        seen |= more;
    }
    return seen | take_trace(d, side);
}

void duo_look(struct duo *d, int side)
{
    tern_check(d->stack[side]);
    take_records(d, side);
    tern_digest(d->stack[side], d->scene.side[side].digest);
}

void duo_settle(struct duo *d, int side)
{
    duo_hear(d, side);
    duo_look(d, side);
}

bool duo_over(const struct duo *d)
{
    const struct scene *c = &d->scene;
    bool over = c->n_flying == 0;
    for (int side = 0; side < SIDES; side++) {
        const struct side *s = &c->side[side];
        over &= s->n_rec == 0 && s->actor.conn.v == 0 && s->actor.listener.v == 0 && s->actor.syn.v == 0;
    }
    return over;
}
