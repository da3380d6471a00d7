/* stage.c - see stage.h. */
#include "stage.h"

#include "../bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TX_BATCH = 8, EVENTS = 8, ROUNDS = 64, HEARD_MOST = 20000, WAKES = 2000, ICMP_ABOUT = 28, TCP = 6 };

void stage_wrong(struct stage *x, const char *format, ...)
{
    va_list list;
    if (!stage_fine(x))
        return;
    va_start(list, format);
    vsnprintf(x->why, sizeof x->why, format, list);
    va_end(list);
}

void stage_note(struct stage *x, const char *format, ...)
{
    va_list list;
    if (x->log_n + 200 > sizeof x->log)
        return;
    va_start(list, format);
    int n = vsnprintf(x->log + x->log_n, 199, format, list);
    x->log_n += (uint32_t)(n < 198 ? n : 198);
    va_end(list);
    x->log[x->log_n++] = '\n';
    x->log[x->log_n] = 0;
}

/* --- what the stack says
 * -------------------------------------------------------------------------------------- */

static bool is_ours(const struct stage *x, const struct segment *s)
{
    return endpoint_equal(&s->src, &x->local) && endpoint_equal(&s->dst, &x->remote);
}

static void hear_packet(struct stage *x, const tern_tx_packet *pkt)
{
    x->heard++;
    x->any_out++;
    struct said o = {.at_us = x->now, .gso_size = pkt->gso_size};
    uint32_t len = tern_tx_flatten(pkt, x->bytes);
    bool v4 = x->bytes[0] >> 4 == 4;
    if (x->bytes[v4 ? 9 : 6] != TCP)
        return;
    const char *wrong = segment_read(&o.s, x->bytes, len, !(pkt->flags & TERN_TX_CSUM));
    if (wrong != NULL) {
        stage_wrong(x, "what it sends is no segment: %s", wrong);
        return;
    }
    if (!is_ours(x, &o.s))
        return; /* of another connection */
    o.bytes = len;
    o.df = v4 ? x->bytes[6] & 0x40 : true;
    o.first = o.s.len > 0 ? o.s.data[0] : 0;
    o.last = o.s.len > 0 ? o.s.data[o.s.len - 1] : 0;
    o.s.data = NULL;
    if ((o.s.flags & (ACK | RST)) == ACK) {
        x->acked_known = true;
        x->acked = o.s.ack;
    }
    if (o.s.ts)
        x->ts_seen = o.s.ts_val;
    if (x->n_out == STAGE_OUT) {
        x->lost_out++;
        return;
    }
    x->out[x->n_out++] = o;
}

static bool hear(struct stage *x)
{
    tern_tx_packet pkts[TX_BATCH];
    tern_event events[EVENTS];
    bool any = false;
    for (int n; x->heard < HEARD_MOST && (n = tern_tx(x->t, x->now, pkts, TX_BATCH)) > 0; any = true)
        for (int i = 0; i < n; i++)
            hear_packet(x, &pkts[i]);
    for (int n; (n = tern_events(x->t, events, EVENTS)) > 0; any = true)
        for (int i = 0; i < n; i++)
            x->events |= x->h.v != 0 && events[i].handle.v == x->h.v ? events[i].bits : 0;
    return any;
}

static void settle(struct stage *x)
{
    for (int round = 0; round < ROUNDS && hear(x); round++)
        continue;
    STAGE_HOLDS(x, x->heard < HEARD_MOST, "packets without end");
    if (!x->last_only)
        tern_check(x->t); /* the stack's own invariants: a broken one is a trap */
}

/* --- the connection
 * ------------------------------------------------------------------------------------------- */

static bool same_pair(const struct stage *x, const tern_info *i)
{
    return !i->listener && endpoint_equal(&i->local, &x->local) && endpoint_equal(&i->remote, &x->remote);
}

static bool opened_passively(const tern_info *i)
{
    return i->state == TERN_SYN_RCVD && (!i->held || i->history[0].from != TERN_SYN_SENT);
}

/* The record of our pair; rather one that is alive than one in TIME_WAIT, whose place it takes. */
static bool find_record(const struct stage *x, tern_info *out)
{
    tern_info i;
    uint64_t cursor = 0;
    bool found = false;
    while (tern_walk(x->t, &cursor, &i))
        if (same_pair(x, &i) && i.state != TERN_CLOSED && (!found || i.state != TERN_TIME_WAIT)) {
            *out = i;
            found = true;
        }
    return found;
}

void stage_look(struct stage *x)
{
    tern_info i;
    if (x->h.v != 0 && tern_get_info(x->t, x->h, &i) == 0) {
        x->i = i;
        x->there = i.state != TERN_CLOSED;
        x->passive = opened_passively(&i);
        if (i.state != TERN_TIME_WAIT)
            return;
        uint64_t conn = i.conn;
        if (!find_record(x, &i) || i.conn == conn)
            return;
        x->h.v = 0; /* it has a successor */
    }
    x->there = find_record(x, &i);
    if (x->there) {
        x->i = i;
        x->acked_known &= x->conn == i.conn;
        x->conn = i.conn;
        x->passive = opened_passively(&x->i);
    }
}

void stage_begin(struct stage *x)
{
    stage_look(x);
    x->before = x->i;
    x->was_passive = x->passive;
    x->n_out = x->lost_out = x->events = 0;
    x->limited = false;
}

static void note_end(struct stage *x)
{
    char words[300];
    if (!x->logged)
        return;
    said_words(x, words, sizeof words);
    stage_note(x, "  %s, una %u nxt %u wnd %u, rcv %u; says %s",
               x->there ? tern_state_name((enum tern_state)x->i.state) : "CLOSED", x->i.snd_una, x->i.snd_nxt,
               x->i.snd_wnd, x->i.rcv_nxt, words);
}

void stage_end(struct stage *x)
{
    settle(x);
    stage_look(x);
    note_end(x);
    for (uint32_t k = 0; k < x->n_out && stage_fine(x); k++)
        judge_said(x, &x->out[k]);
}

void stage_open(struct stage *x, tern *t, uint64_t now, int link, uint32_t mtu, const tern_config *config)
{
    memset(x, 0, offsetof(struct stage, bytes));
    x->t = t;
    x->now = now;
    x->link = link;
    x->mtu = mtu;
    x->config = config;
    x->window = 30000;
    x->mtu_known = true;
    x->ttl = config->ttl != 0 ? config->ttl : 64;
    tern_tick(t, now);
    x->now = tern_now(t); /* later, if the clock was set back */
    settle(x);
}

bool stage_take(struct stage *x, const tern_info *i, tern_handle h)
{
    uint32_t v;
    x->local = i->local;
    x->remote = i->remote;
    x->conn = i->conn;
    x->h = h;
    stage_look(x);
    if (!x->there)
        return false;
    x->shift = x->i.snd_wscale;
    x->ts_val = x->i.ts_recent;
    if (h.v != 0 && tern_getopt(x->t, h, TERN_OPT_TTL, &v) == 0)
        x->ttl = v;
    if (h.v != 0 && tern_getopt(x->t, h, TERN_OPT_DSCP, &v) == 0)
        x->dscp = v;
    return true;
}

bool stage_listens(const struct stage *x, const tern_endpoint *local)
{
    tern_info i;
    uint64_t cursor = 0;
    static const tern_ip any;
    while (tern_walk(x->t, &cursor, &i))
        if (i.listener && i.state == TERN_LISTEN && i.local.port == local->port &&
            (ip_equal(&i.local.ip, &any) || ip_equal(&i.local.ip, &local->ip)))
            return true;
    return false;
}

/* --- what the peer says
 * ---------------------------------------------------------------------------------------- */

struct segment stage_segment(const struct stage *x, uint32_t flags, uint32_t len)
{
    static uint8_t text[FORGE_BYTES];
    bool small = x->i.state == TERN_SYN_SENT;
    return (struct segment){
        .src = x->remote,
        .dst = x->local,
        .flags = (uint8_t)flags,
        .seq = x->i.rcv_nxt,
        .ack = flags & ACK ? x->i.snd_nxt : 0,
        .len = len,
        .data = text,
        .window = x->window,
        .ts = x->i.timestamps && !small,
        .ts_val = x->ts_val,
        .ts_ecr = x->ts_seen,
        .tos = x->tos,
        .ttl = x->its_ttl,
    };
}

static void give(struct stage *x, const uint8_t *bytes, uint32_t len, uint8_t flags)
{
    tern_rx_packet rx = {.data = bytes, .len = len, .link = (uint8_t)x->link, .flags = flags};
    tern_stats before, after;
    tern_get_stats(x->t, &before);
    stage_begin(x);
    tern_rx(x->t, x->now, &rx, 1);
    x->rx_cause = rx.cause;
    x->rx_unclaimed = rx.verdict == TERN_UNCLAIMED;
    settle(x);
    stage_look(x);
    tern_get_stats(x->t, &after);
    x->rx_cookie = after.cookies_sent != before.cookies_sent;
    x->limited = after.challenge_limited != before.challenge_limited;
    note_end(x);
}

void stage_raw(struct stage *x, const uint8_t *packet, uint32_t len)
{
    give(x, packet, len, 0);
    for (uint32_t k = 0; k < x->n_out && stage_fine(x); k++)
        judge_said(x, &x->out[k]);
}

static void note_segment(struct stage *x, const struct segment *s)
{
    char words[160];
    if (!x->logged)
        return;
    segment_words(s, words, sizeof words);
    stage_note(x, "%s arrives", words);
}

void stage_hand(struct stage *x, const struct segment *s)
{
    uint8_t packet[PACKET_MAX];
    note_segment(x, s);
    stage_raw(x, packet, segment_build(s, packet));
}

void stage_put(struct stage *x, const struct segment *s)
{
    uint8_t packet[PACKET_MAX];
    stage_arrival(x, s, packet, segment_build(s, packet), 0);
}

void stage_arrival(struct stage *x, const struct segment *s, const uint8_t *packet, uint32_t len,
                   uint8_t flags)
{
    note_segment(x, s);
    stage_look(x);
    bool had = x->there, listened = !had && stage_listens(x, &s->dst);
    give(x, packet, len, flags);
    if (stage_fine(x))
        judge_arrival(x, s, had, listened);
    for (uint32_t k = 0; k < x->n_out && stage_fine(x); k++)
        judge_said(x, &x->out[k]);
}

void stage_batch(struct stage *x, const struct segment *s, uint32_t n)
{
    static _Thread_local uint8_t packet[16][PACKET_MAX];
    tern_rx_packet rx[16];
    for (uint32_t k = 0; k < n && k < 16; k++)
        rx[k] = (tern_rx_packet){
            .data = packet[k], .len = segment_build(&s[k], packet[k]), .link = (uint8_t)x->link};
    stage_begin(x);
    tern_rx(x->t, x->now, rx, (int)(n < 16 ? n : 16));
    stage_end(x);
}

/* Types of ICMPv6 for those of ICMP (RFC 4443). */
static void translate(uint8_t *type, uint8_t *code)
{
    static const uint8_t unreachable[] = {0, 3, 1, 4};
    if (*type == 3 && *code == 4) {
        *type = 2;
        *code = 0;
    } else if (*type == 3) {
        *code = *code < 4 ? unreachable[*code] : 0;
        *type = 1;
    } else if (*type == 11) {
        *type = 3;
    } else {
        *type = *type == 12 ? 4 : 100; /* which nobody knows */
    }
}

static uint32_t icmp_head(const struct stage *x, uint8_t *p, uint32_t payload, uint8_t proto)
{
    struct segment s = {.src = x->remote, .dst = x->local};
    uint32_t at = tern_ip_is4(&x->local.ip) ? 20 : 40;
    segment_build(&s, p);
    if (at == 20) {
        put16(p + 2, 20 + payload);
        p[9] = proto;
        put16(p + 10, 0);
        put16(p + 10, checksum_of(p, 20));
    } else {
        put16(p + 4, payload);
        p[6] = proto;
    }
    return at;
}

void stage_icmp(struct stage *x, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq)
{
    uint8_t p[PACKET_MAX], quoted[PACKET_MAX];
    bool v4 = tern_ip_is4(&x->local.ip);
    struct segment s = {
        .src = x->local, .dst = x->remote, .flags = ACK, .seq = seq, .ack = x->i.rcv_nxt, .window = 1000};
    uint32_t quote = segment_build(&s, quoted);
    if (v4)
        quote = ICMP_ABOUT;
    else
        translate(&type, &code);
    uint32_t at = icmp_head(x, p, 8 + quote, v4 ? 1 : 58);
    memset(p + at, 0, 8);
    p[at] = type;
    p[at + 1] = code;
    put32(p + at + 4, rest);
    memcpy(p + at + 8, quoted, quote);
    put16(p + at + 2, v4 ? checksum_of(p + at, 8 + quote)
                         : checksum_between(&s.dst.ip, &s.src.ip, 58, p + at, 8 + quote));
    if (x->logged)
        stage_note(x, "ICMP %u/%u %u about %u arrives", type, code, rest, seq);
    x->mtu_known &= !(type == 3 && code == 4) && !(type == 2 && !v4);
    stage_raw(x, p, at + 8 + quote);
}

/* --- time
 * -------------------------------------------------------------------------------------------------------- */

static bool pass(struct stage *x, uint64_t us, bool until_said)
{
    uint64_t end = x->now + us;
    if (x->logged)
        stage_note(x, "until %s%llu us have passed", until_said ? "something is said, or " : "",
                   (unsigned long long)us);
    stage_begin(x);
    for (int wake = 0; !x->hurried; wake++) {
        uint64_t at = tern_next_deadline(x->t);
        at = at > x->now ? at : x->now + (at == 0 ? 0 : 1);
        if (at > end)
            break;
        x->hurried = wake == WAKES;
        x->ts_val += (uint32_t)((at - x->now) / 1000);
        x->now = at;
        tern_tick(x->t, x->now);
        settle(x);
        if (until_said)
            stage_look(x);
        if (until_said && (x->n_out > 0 || !x->there)) {
            stage_end(x);
            return true;
        }
    }
    x->ts_val += (uint32_t)((end - x->now) / 1000);
    x->now = end;
    tern_tick(x->t, x->now);
    stage_end(x);
    return x->n_out > 0;
}

void stage_pass(struct stage *x, uint64_t us) { pass(x, us, false); }
bool stage_next(struct stage *x, uint64_t most_us) { return pass(x, most_us, true); }
