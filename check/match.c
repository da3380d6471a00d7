/* match.c - what tern sends, against what the script says that it must send.
 *
 * The oldest packet that was not looked at yet is brought into the script's numbers and compared field by
 * field. The script leaves open: the window without `win`, the options with <...>, the marks of the IP header
 * where none are written, the ports where none are written. TS val is compared only with
 * --tcp_ts_tick_usecs. Padding of options is compared where the script writes nop or eol in them. Payload is
 * always what the program has written.
 *
 * A segment of the script that no link could carry in one piece stands for several of tern's, as with
 * segmentation offload.
 */
#include "check/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOREIGN_PATIENCE_US = 1500000 };

/* --- the script's view of a live packet ------------------------------------------------------ */

/* TSvals count on from the first one that the script names; tern's are milliseconds, the script's what it
 * says that they are. */
static uint32_t script_stamp(const struct run *r, const struct flow *f, uint32_t live)
{
    uint32_t tick = r->set.ts_tick_us ? r->set.ts_tick_us : 1000;
    int64_t passed = f->stamps ? (int32_t)(live - f->stamp[0].live) * 1000ll / tick : 0;
    return f->stamps ? f->stamp[0].script + (uint32_t)passed : live;
}

static const struct tcp_option *stamp_of(const struct tcp_option *o, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (o[i].kind == OPTION_TS && o[i].raw_len == 0)
            return &o[i];
    return NULL;
}

/* `first`: the script's timestamps where it names the first ones; NULL. */
static void script_option(const struct run *r, const struct flow *f, uint32_t ack_offset,
                          const struct tcp_option *first, struct tcp_option *o)
{
    if (o->raw_len)
        return;
    if (o->kind == OPTION_TS && o->ts_val != 0) /* 0 is itself: RFC 7323 5.2 asks for it in a RST */
        o->ts_val = first && f->stamps == 0 ? first->ts_val : script_stamp(r, f, o->ts_val);
    for (uint32_t i = 0; o->kind == OPTION_SACK && i < o->n_sack; i++) {
        o->sack[i].left -= ack_offset;
        o->sack[i].right -= ack_offset;
    }
}

/* RFC 9293 3.10.7.1 and its like ask for the number 0 itself in a RST for a segment without ACK: where a
 * script says 0, it is meant. */
static uint32_t script_seq(const struct sent *s, const struct packet_spec *want, uint32_t script_isn)
{
    const struct packet *k = &s->packet;
    bool itself = (k->flags & (RST | ACK)) == (RST | ACK) && k->seq == 0;
    if (itself && (want == NULL || want->seq == 0))
        return 0;
    return k->seq - s->local_isn + (k->flags & SYN ? script_isn : 0);
}

static void to_script(const struct run *r, const struct sent *s, const struct packet_spec *want,
                      struct packet_spec *out)
{
    const struct packet *k = &s->packet;
    const struct flow *f = &r->flow[s->flow];
    bool syn = k->flags & SYN;
    uint32_t script_isn = syn && want ? want->seq : f->script_isn;
    uint32_t ack_offset = syn ? r->set.irs : s->remote_isn;
    *out = (struct packet_spec){
        .outbound = true,
        .has_ack = k->flags & ACK,
        .has_win = true,
        .tos_check = want ? (want->tos_check == TOS_ECT ? TOS_ECN : want->tos_check) : TOS_OPEN,
        .tos = k->tos,
        .ttl = want && want->ttl ? k->ttl : 0,
        .has_flow = want && want->has_flow,
        .flow_label = k->flow_label,
        .has_ports = want && want->has_ports,
        .src_port = f->script_local ? f->script_local : k->src_port,
        .dst_port = k->dst_port,
        .flags = k->flags,
        .seq = script_seq(s, want, script_isn),
        .ack = k->flags & ACK ? k->ack - ack_offset : k->ack,
        .len = k->len,
        .win = k->win,
        .urg = k->urg,
        .n_options = k->n_options,
    };
    memcpy(out->options, k->options, sizeof out->options);
    const struct tcp_option *first = want ? stamp_of(want->options, want->n_options) : NULL;
    for (uint32_t i = 0; i < out->n_options; i++)
        script_option(r, f, ack_offset, first, &out->options[i]);
}

/* --- comparison ------------------------------------------------------------------------------ */

static bool is_padding(const struct tcp_option *o)
{
    return o->kind <= OPTION_NOP && o->raw_len == 0;
}

static bool stamps_near(const struct run *r, uint32_t a, uint32_t b)
{
    int32_t off = (int32_t)(a - b);
    int64_t most = r->set.ts_tick_us ? r->set.tolerance_us / r->set.ts_tick_us + 1 : INT32_MAX;
    return r->set.ts_tick_us == 0 || r->subject->foreign || (off <= most && off >= -most);
}

static bool same_option(const struct run *r, const struct tcp_option *a, const struct tcp_option *b)
{
    if (a->kind != b->kind || a->raw_len != b->raw_len || a->n_sack != b->n_sack)
        return false;
    if (a->raw_len)
        return memcmp(a->raw, b->raw, a->raw_len) == 0;
    if (a->kind == OPTION_TS)
        return a->ts_ecr == b->ts_ecr && stamps_near(r, a->ts_val, b->ts_val);
    for (uint32_t i = 0; i < a->n_sack; i++)
        if (a->sack[i].left != b->sack[i].left || a->sack[i].right != b->sack[i].right)
            return false;
    return a->mss == b->mss && (a->wscale == b->wscale || r->subject->foreign);
}

static bool same_options(const struct run *r, const struct packet_spec *want, const struct packet_spec *is)
{
    bool padding = false;
    uint32_t w = 0, i = 0;
    for (uint32_t k = 0; k < want->n_options; k++)
        padding |= is_padding(&want->options[k]);
    for (;;) {
        while (!padding && i < is->n_options && is_padding(&is->options[i]))
            i++;
        if (w == want->n_options || i == is->n_options)
            return w == want->n_options && i == is->n_options;
        if (!same_option(r, &want->options[w++], &is->options[i++]))
            return false;
    }
}

static bool same_tos(const struct packet_spec *want, const struct packet_spec *is)
{
    uint8_t ecn = is->tos & 3;
    switch (want->tos_check) {
    case TOS_ECN: return ecn == want->tos;
    case TOS_ECT: return ecn == 1 || ecn == 2;
    case TOS_ALL: return is->tos == want->tos;
    default: return true;
    }
}

/* The port that the script uses for tern's end becomes known when it first writes it. */
static bool same_ports(const struct flow *f, const struct packet_spec *want, const struct packet_spec *is)
{
    return !want->has_ports ||
           ((f->script_local == 0 || want->src_port == is->src_port) && want->dst_port == is->dst_port);
}

/* The names of what differs; empty = nothing. */
static const char *differences(const struct run *r, const struct flow *f, const struct packet_spec *want,
                               const struct packet_spec *is, char buf[200])
{
    const struct {
        const char *name;
        bool same;
    } fields[] = {
        {"ports", same_ports(f, want, is)},
        {"flags", ((want->flags ^ is->flags) & (r->subject->foreign ? ~PSH : ~0)) == 0},
        {"sequence number", want->seq == is->seq},
        {"length", want->len == is->len},
        {"acknowledgment", want->ack == is->ack},
        {"window", !want->has_win || want->win == is->win || r->subject->foreign},
        {"urgent pointer", want->urg == is->urg},
        {"options", want->any_options || same_options(r, want, is)},
        {"ECN or TOS", same_tos(want, is)},
        {"TTL", want->ttl == 0 || want->ttl == is->ttl},
        {"flow label", !want->has_flow || want->flow_label == is->flow_label},
    };
    size_t n = 0;
    buf[0] = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!fields[i].same)
            n += (size_t)snprintf(buf + n, 200 - n, "%s%s", n ? ", " : "", fields[i].name);
    return buf;
}

/* Every byte of the payload is what the program has written there. */
static void check_payload(struct run *r, const struct sent *s)
{
    const struct packet *k = &s->packet;
    const struct flow *f = &r->flow[s->flow];
    uint32_t place = k->seq + (k->flags & SYN ? 1 : 0) - s->local_isn - 1;
    for (uint32_t i = 0; i < k->len; i++) {
        uint32_t at = place + i;
        if (at >= f->written.len || f->written.v[at] != k->data[i])
            run_fail(r, NULL, NULL, "byte %u of the stream is %s", at + 1,
                     at >= f->written.len ? "not one that the program has written"
                                          : "another one than the program has written");
    }
}

/* --- waiting --------------------------------------------------------------------------------- */

static void learn_stamps(struct flow *f, const struct packet_spec *want, const struct packet *live)
{
    const struct tcp_option *a = stamp_of(want->options, want->n_options);
    const struct tcp_option *b = stamp_of(live->options, live->n_options);
    if (a == NULL || b == NULL || f->stamps == STAMPS_MAX)
        return;
    f->stamp[f->stamps].script = a->ts_val;
    f->stamp[f->stamps++].live = b->ts_val;
}

void match_forget(struct run *r)
{
    free(r->sent[r->first_sent].bytes);
    if (++r->first_sent == r->n_sent)
        r->first_sent = r->n_sent = 0;
}

static const struct sent *await_packet(struct run *r, const struct event *e, int64_t to, int64_t most)
{
    char want[TEXT_MAX], is[64], when[32];
    int64_t patience = r->subject->foreign ? FOREIGN_PATIENCE_US : 0; /* how late it is, is worth to know */
    if (r->first_sent == r->n_sent)
        run_until(r, r->zero + (uint64_t)(to + most + patience), true);
    if (r->first_sent == r->n_sent) {
        snprintf(is, sizeof is, "nothing until %s", run_time_text(run_script_time(r, r->now), when));
        run_fail(r, print_spec(e->packet, want, sizeof want), is, "tern does not send what it must");
    }
    return &r->sent[r->first_sent];
}

static void check_time(struct run *r, const struct event *e, const struct sent *s, int64_t from, int64_t to)
{
    char want[80], a[32], b[32], is[32];
    int64_t at = run_script_time(r, s->t);
    if (e->time == TIME_ANY || (at >= from - run_tolerance(r, from) && at <= to + run_tolerance(r, to)))
        return;
    if (e->range)
        snprintf(want, sizeof want, "at %s~%s", run_time_text(from, a), run_time_text(to, b));
    else
        snprintf(want, sizeof want, "at %s", run_time_text(from, a));
    char got[40];
    snprintf(got, sizeof got, "at %s", run_time_text(at, is));
    run_fail(r, want, got, "the segment is right, but %s", at < from ? "too early" : "too late");
}

/* Whether this segment is the beginning of one that the script writes in one piece. */
static bool is_piece(const struct run *r, const struct packet_spec *want, const struct packet_spec *is)
{
    uint32_t headers = tern_ip_is4(&r->set.local) ? 40 : 60;
    return !r->set.strict_segments && want->len > r->set.mtu - headers && is->len > 0 &&
           is->len < want->len && is->seq == want->seq;
}

static void compare(struct run *r, const struct event *e, const struct sent *s,
                    const struct packet_spec *want, bool piece)
{
    char expected[TEXT_MAX], got[TEXT_MAX], what[200];
    struct packet_spec is, all = *want;
    struct flow *f = &r->flow[s->flow];
    to_script(r, s, want, &is);
    if (piece) {
        all.len = is.len;
        all.flags = is.flags & PSH ? all.flags | PSH : all.flags & (uint16_t)~PSH;
        all.flags &= (uint16_t)~FIN;
    }
    if (*differences(r, f, &all, &is, what)) {
        print_spec(e->packet, expected, sizeof expected);
        print_spec(&is, got, sizeof got);
        if (r->subject->options_differ == NULL || strcmp(what, "options") != 0)
            run_fail(r, expected, got, "another segment than expected: %s", what);
        r->subject->options_differ(r, expected, got);
    }
    check_payload(r, s);
    if (want->flags & SYN)
        f->script_isn = want->seq;
    if (want->has_ports)
        f->script_local = want->src_port;
    learn_stamps(f, want, &s->packet);
}

void match_expect(struct run *r, const struct event *e, int64_t from, int64_t to)
{
    struct packet_spec want = *e->packet;
    for (;;) {
        struct packet_spec is;
        const struct sent *s = await_packet(r, e, to, run_tolerance(r, to));
        if (s->wrong != NULL)
            run_fail(r, NULL, NULL, "tern has sent a packet that nobody can take: %s", s->wrong);
        to_script(r, s, &want, &is);
        bool piece = is_piece(r, &want, &is);
        compare(r, e, s, &want, piece);
        check_time(r, e, s, from, to);
        want.seq += is.len;
        want.len -= is.len;
        match_forget(r);
        if (!piece)
            return;
    }
}

void match_nothing_left(struct run *r)
{
    char got[TEXT_MAX], text[TEXT_MAX + 40], at[32];
    if (r->first_sent == r->n_sent)
        return;
    const struct sent *s = &r->sent[r->first_sent];
    if (s->wrong != NULL)
        run_fail(r, NULL, NULL, "tern has sent a packet that nobody can take: %s", s->wrong);
    struct packet_spec is;
    to_script(r, s, NULL, &is);
    snprintf(text, sizeof text, "%s %s", run_time_text(run_script_time(r, s->t), at),
             print_spec(&is, got, sizeof got));
    run_fail(r, "nothing more", text, "tern has sent what the script does not expect");
}
