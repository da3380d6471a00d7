/* flow.c - the peer's view of the connections: which one a packet is of, and what its numbers are.
 *
 * In a script numbers count from the initial sequence numbers, so that nobody has to know those. Only a SYN
 * says them as they are: the peer's is the number in its SYN; tern's is what its SYN really has, and is
 * called what the script calls it (0, mostly).
 *
 *     script           live
 *     seq of a SYN     the same (+ --tern=irs, for tests of other numbers)
 *     other seq        + the peer's initial number
 *     ack of a SYN     + tern's initial number - the script's for it
 *     other ack        + tern's initial number
 *
 * What is not known yet counts as 0, so that a segment to a closed port has exactly the numbers that are
 * written. TSvals of tern are mapped one by one, as the script names them.
 */
#include "check/run.h"

#include <string.h>

enum { FIRST_PORT = 40001, WINDOW = 65535 };

static bool same_endpoint(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

int flow_find(const struct run *r, const tern_endpoint *local, const tern_endpoint *remote)
{
    for (int i = r->flows; i-- > 0;)
        if (same_endpoint(&r->flow[i].local, local) && same_endpoint(&r->flow[i].remote, remote))
            return i;
    return -1;
}

int flow_new(struct run *r, const tern_endpoint *local, const tern_endpoint *remote)
{
    if (r->flows == FLOWS_MAX)
        run_skip(r, "more than %d connections", FLOWS_MAX);
    struct flow *f = &r->flow[r->flows];
    *f = (struct flow){.local = *local, .remote = *remote, .made = ++r->order, .last_win = WINDOW};
    r->current = r->flows;
    return r->flows++;
}

/* --- which one ------------------------------------------------------------------------------- */

static int fresh(struct run *r, uint16_t peer_port, uint16_t tern_port)
{
    tern_endpoint local = {.ip = r->set.local, .port = tern_port};
    tern_endpoint remote = {.ip = r->set.remote, .port = peer_port};
    return flow_new(r, &local, &remote);
}

/* A port of the peer that no flow has. */
static uint16_t free_port(const struct run *r)
{
    uint16_t port = FIRST_PORT;
    for (int i = 0; i < r->flows; i++)
        if (r->flow[i].remote.port == port)
            port++, i = -1;
    return port;
}

int flow_of_ports(const struct run *r, uint16_t peer, uint16_t tern_port)
{
    for (int i = r->flows; i-- > 0;) {
        const struct flow *f = &r->flow[i];
        uint16_t local = f->script_local ? f->script_local : f->local.port;
        if (f->remote.port == peer && local == tern_port)
            return i;
    }
    return -1;
}

const struct sock *flow_newer_listener(const struct run *r)
{
    uint32_t after = r->current >= 0 ? r->flow[r->current].made : 0;
    const struct sock *newest = NULL;
    for (int i = 0; i < SOCKS_MAX; i++)
        if (r->sock[i].kind == SOCK_LISTENING && r->sock[i].made > after) {
            newest = &r->sock[i];
            after = newest->made;
        }
    return newest;
}

/* Without ports a packet is of the current flow: the connection that was made last, by connect or by the
 * first packet that met a listener. */
static int flow_of_packet(struct run *r, const struct packet_spec *k)
{
    if (k->has_ports) {
        int f = flow_of_ports(r, k->src_port, k->dst_port);
        return f >= 0 ? f : fresh(r, k->src_port, k->dst_port);
    }
    const struct sock *listener = flow_newer_listener(r);
    if (listener == NULL && r->current >= 0)
        return r->current;
    return fresh(r, free_port(r), listener ? listener->local.port : r->set.bind_port);
}

/* --- numbers --------------------------------------------------------------------------------- */

void flow_learn(struct run *r, struct sent *s)
{
    const struct packet *k = &s->packet;
    tern_endpoint local = {.ip = k->src, .port = k->src_port}, remote = {.ip = k->dst, .port = k->dst_port};
    s->flow = flow_find(r, &local, &remote);
    if (s->flow < 0)
        s->flow = flow_new(r, &local, &remote);
    struct flow *f = &r->flow[s->flow];
    if (k->flags & SYN && !r->isn_seen) {
        r->isn_seen = true;
        r->isn = k->seq;
    }
    if (k->flags & SYN && !(f->local_known && f->local_isn == k->seq)) {
        f->local_known = true;
        f->local_isn = k->seq;
        f->stamps = 0;
        if (k->flags & ACK)
            f->remote_known = true, f->remote_isn = f->last_syn;
        else
            f->remote_final = false;
    }
    if (k->flags & ACK && !(k->flags & RST) && f->remote_known)
        f->remote_final = true;
    s->local_known = f->local_known;
    s->local_isn = f->local_isn;
    s->remote_isn = f->remote_isn;
}

/* A SYN of the peer names its initial number, until tern has agreed to one. */
static void learn_syn(struct flow *f, uint32_t seq)
{
    f->last_syn = seq;
    if (!f->remote_final) {
        f->remote_known = true;
        f->remote_isn = seq;
    }
}

/* What tern really sent where the script says `ecr`. */
static uint32_t live_stamp(struct run *r, const struct flow *f, uint32_t ecr)
{
    for (uint32_t i = f->stamps; i-- > 0;)
        if (f->stamp[i].script == ecr)
            return f->stamp[i].live;
    if (ecr == 0)
        return 0;
    if (f->stamps == 0)
        run_fail(r, NULL, NULL, "tern has sent no TS val that an ecr of %u could mean", ecr);
    return ecr - f->stamp[0].script + f->stamp[0].live;
}

static void live_option(struct run *r, const struct flow *f, uint16_t flags, uint32_t ack_offset,
                        struct tcp_option *o)
{
    if (o->raw_len)
        return;
    if (o->kind == OPTION_TS && flags & ACK)
        o->ts_ecr = live_stamp(r, f, o->ts_ecr);
    for (uint32_t i = 0; o->kind == OPTION_SACK && i < o->n_sack; i++) {
        o->sack[i].left += ack_offset;
        o->sack[i].right += ack_offset;
    }
}

uint8_t flow_byte(uint64_t place)
{
    uint64_t x = (place + 1) * 0x9e3779b97f4a7c15ull;
    return (uint8_t)(x >> 56);
}

/* `gso_size`: the packet was joined from segments with so much payload; 0 = it is one. */
static void give(struct run *r, const uint8_t *bytes, uint32_t len, uint16_t gso_size)
{
    r->result->received++;
    r->subject->give(r, bytes, len, gso_size);
    run_collect(r);
}

static void live_addresses(const struct flow *f, struct packet *k)
{
    k->src = f->remote.ip;
    k->src_port = f->remote.port;
    k->dst = f->local.ip;
    k->dst_port = f->local.port;
}

static uint32_t options_length(const struct packet_spec *k)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < k->n_options; i++)
        len += k->options[i].len;
    return (len + 3) / 4 * 4;
}

static void receive_segment(struct run *r, struct flow *f, const struct packet_spec *spec)
{
    uint8_t bytes[PACKET_MAX], data[65536];
    bool syn = spec->flags & SYN;
    struct packet k = {.tos = spec->tos,
                       .ttl = spec->ttl ? spec->ttl : 255,
                       .flow_label = spec->flow_label,
                       .flags = spec->flags,
                       .win = spec->has_win ? spec->win : f->last_win,
                       .urg = spec->urg,
                       .n_options = spec->n_options,
                       .data = data,
                       .len = spec->len};
    live_addresses(f, &k);
    if (syn)
        learn_syn(f, spec->seq + r->set.irs);
    f->last_win = k.win;
    uint32_t ack_offset = f->local_isn - (syn ? f->script_isn : 0);
    k.seq = spec->seq + (syn ? r->set.irs : f->remote_isn);
    k.ack = spec->flags & ACK ? spec->ack + ack_offset : spec->ack;
    memcpy(k.options, spec->options, sizeof k.options);
    for (uint32_t i = 0; i < k.n_options; i++)
        live_option(r, f, k.flags, ack_offset, &k.options[i]);
    uint32_t place = k.seq + syn - f->remote_isn - 1;
    for (uint32_t i = 0; i < k.len; i++)
        data[i] = flow_byte((uint32_t)(place + i));
    uint32_t headers = 20 + options_length(spec);
    if (k.len + headers + (tern_ip_is4(&k.src) ? 20 : 0) > 65535)
        run_wrong(r, r->event->line, r->event->column, "%u bytes of payload fit into no packet", k.len);
    uint16_t gso_size = r->set.mss && k.len > r->set.mss ? r->set.mss : 0;
    give(r, bytes, packet_build(&k, spec->bad_checksum, bytes), gso_size);
}

static void receive_icmp(struct run *r, const struct flow *f, const struct packet_spec *spec)
{
    uint8_t bytes[PACKET_MAX];
    uint32_t rest = spec->has_mtu ? spec->mtu : 0;
    struct packet k = {.src = f->local.ip,
                       .src_port = f->local.port,
                       .dst = f->remote.ip,
                       .dst_port = f->remote.port,
                       .ttl = 64,
                       .seq = (spec->has_echo ? spec->seq : 0) + f->local_isn,
                       .len = spec->len};
    give(r, bytes, packet_icmp(&k, &f->remote.ip, spec->type, spec->code, rest, bytes), 0);
}

void flow_receive(struct run *r, const struct packet_spec *k)
{
    struct flow *f = &r->flow[flow_of_packet(r, k)];
    if (k->icmp)
        receive_icmp(r, f, k);
    else
        receive_segment(r, f, k);
}

/* --- states ---------------------------------------------------------------------------------- */

enum tern_state flow_state(struct run *r, const tern_endpoint *local, const tern_endpoint *remote,
                           tern_info *info)
{
    static const tern_ip any;
    enum tern_state state = TERN_CLOSED;
    tern_info i;
    uint64_t cursor = 0;
    *info = (tern_info){0};
    while (tern_walk(r->t, &cursor, &i)) {
        bool here = i.local.port == local->port && (memcmp(&i.local.ip, &local->ip, sizeof any) == 0 ||
                                                    memcmp(&i.local.ip, &any, sizeof any) == 0);
        if (i.listener && here && state == TERN_CLOSED)
            state = TERN_LISTEN;
        if (i.listener || remote == NULL || !same_endpoint(&i.local, local) ||
            !same_endpoint(&i.remote, remote) || i.state == TERN_CLOSED)
            continue;
        *info = i;
        state = i.state;
    }
    return state;
}
