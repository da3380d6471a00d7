/* cookie.c - SYN cookies (RFC4987-3.6-abc): the answer to a SYN that keeps nothing here.
 *
 * What must be known when the ACK comes back stands in our initial sequence number and, when the peer sends
 * timestamps, in the low bits of ours, which it echoes:
 *
 *   ISS      | 29 bits: keyed hash of addresses, ports, the peer's ISN, period, TSval | 3 bits: MSS, masked
 *            |
 *   TSval    | 26 bits: our clock, rounded down                  | ECN | SACK | 4 bits: the peer's window
 *   scale |
 *
 * Without timestamps window scale, SACK and ECN are not agreed. The period is 67 s of a clock that several
 * machines may share; a cookie counts in its own and the next. Of 2^32 numbers 16 are right at any time (32
 * around a change of keys), so a blind ACK opens a connection once in 2^27 or more; and none is looked at
 * unless cookies were sent within their lifetime (or keys are shared).
 *
 * The timestamp is rounded down, never up, so that the connection that follows, whose timestamps come from
 * the clock again, does not go back (RFC 7323 5.2). When another machine has sent the SYN+ACK its clock goes
 * on here.
 *
 * While cookies are being answered an ACK that is none is dropped in silence and not reset (a deviation from
 * RFC 9293 3.10.7.2): it may be the second segment of a connection whose first was lost.
 */
#include "tcp/usual.h"

#define PERIOD_LOG  26                    /* us: 67 s */
#define PERIOD_MASK 0x7ffffull
#define LIFETIME_US (2ull << PERIOD_LOG)
#define NO_SHIFT    15u
#define BIT_SACK    16u
#define BIT_ECN     32u
#define BITS        63u

/* What the peer's MSS is rounded down to: paths of today, of tunnels, of jumbo frames. */
static const uint16_t mss4[8] = {88, 536, 1220, 1360, 1440, 1452, 1460, 8960};
static const uint16_t mss6[8] = {88, 536, 1220, 1360, 1420, 1432, 1440, 8940};

static const uint16_t *mss_table(const tern_ip *peer) { return tern_ip_is4(peer) ? mss4 : mss6; }

static uint64_t period_now(const struct tern *t, const struct cookie_key *k)
{
    return (t->w->now + k->ahead_us) >> PERIOD_LOG;
}

/* What the cookie vouches for beside the pair: the timestamp that carries the options, all of it (who could
 * echo another one would choose our clock), and our window scale. */
struct vouched {
    bool ts;
    uint32_t stamp;
    uint8_t shift;
};

/* Both addresses as words for SipHash; of IPv4 the four bytes that differ. How many words. */
static uint32_t pair_words(const struct segment *s, uint64_t *out)
{
    uint32_t from = tern_ip_is4(&s->src) ? 12 : 0, n = 0;
    for (uint32_t i = from; i < 16; i += 4)
        out[n++] = (uint64_t)get32(s->dst.b + i) << 32 | get32(s->src.b + i);
    return n;
}

/* 23 bytes of IPv4, which is one word less than 24, 47 of IPv6: the lengths tell the families apart. Of the
 * period 19 bits: it comes again after more than a year. */
static uint64_t mac(const struct cookie_key *k, const struct segment *s, seq_t irs, uint64_t period,
                    struct vouched v)
{
    uint64_t words[6];
    uint32_t n = pair_words(s, words);
    uint32_t shift = v.ts && (v.stamp & 15) != NO_SHIFT ? v.shift & 15 : NO_SHIFT;
    words[n] = (uint64_t)s->dst_port << 48 | (uint64_t)s->src_port << 32 | irs.v;
    words[n + 1] = (period & PERIOD_MASK) << 37 | (uint64_t)shift << 33 | (uint64_t)v.ts << 32;
    words[n + 1] |= (v.ts ? v.stamp : 0) | sip_length(8 * n + 15);
    return siphash24_words(k->key, words, n + 2);
}

/* --- sending ------------------------------------------------------------------------------------- */

static uint8_t our_shift(const struct tern *t, const struct listener *l)
{
    return settings(t)->wscale ? options_wscale(l->set.recv_buffer) : WSCALE_NONE;
}

static uint32_t options_of(const struct agreed *a)
{
    if (!a->ts)
        return 0;
    return (a->wscale ? a->snd_wscale : NO_SHIFT) | (a->sack ? BIT_SACK : 0) | (a->ecn ? BIT_ECN : 0);
}

static uint32_t stamp_with(uint32_t now, uint32_t options)
{
    uint32_t v = (now & ~BITS) | options;
    return v <= now ? v : v - (BITS + 1);
}

/* The largest entry of the table that is not above the peer's MSS; -1: all are. */
static int mss_index(const uint16_t *table, uint16_t mss)
{
    int i = 7;
    while (i >= 0 && table[i] > mss)
        i--;
    return i;
}

static void answer(struct tern *t, struct listener *l, const struct segment *s, const struct agreed *a,
                   uint32_t mss_index)
{
    const struct cookie_key *k = &t->w->cookie_keys[0];
    uint32_t stamp = stamp_with(stamp_now(t, stamp_offset(t, &s->dst, &s->src)), options_of(a));
    uint64_t m = mac(k, s, s->seq, period_now(t, k), (struct vouched){a->ts, stamp, a->rcv_wscale});
    struct reply *r = reply_to(t, s);
    r->cause = TERN_C_SEND_COOKIE;
    r->who.state = TERN_LISTEN;
    r->who.tos = (uint8_t)(l->set.dscp << 2);
    r->who.ttl = l->set.ttl;
    r->flags = F_SYN | F_ACK | (a->ts && a->ecn ? F_ECE : 0);
    r->seq = seq((uint32_t)(m & ~7ull) | (mss_index ^ (uint32_t)(m >> 32 & 7)));
    r->ack = seq_add(s->seq, 1);
    r->wnd = (uint16_t)listener_offer(l);
    r->cookie = true;
    r->opt.mss = listener_mss(t, l, &r->who);
    r->opt.wscale = a->ts && a->wscale ? a->rcv_wscale : WSCALE_NONE;
    r->opt.sack_ok = a->ts && a->sack;
    r->opt.ts = a->ts;
    r->opt.ts_ecr = s->opt.ts_val;
    r->opt.ts_val = stamp;
}

/* Refused: no answer can wait for tern_tx, or the peer's segments are to be smaller than a cookie can say. */
enum tern_cause cookie_answer(struct tern *t, struct listener *l, const struct segment *s)
{
    struct agreed a;
    options_agree(t, s, our_shift(t, l), &a);
    a.ecn = options_ecn(l, s);
    int i = mss_index(mss_table(&s->src), a.mss);
    if (i < 0)
        return TERN_C_BACKLOG_FULL;
    if (tern_replies_room(t) == 0)
        return TERN_C_REPLIES_FULL;
    answer(t, l, s, &a, (uint32_t)i);
    l->cookie_us = max_u64(t->w->now, 1);
    t->w->stats.cookies_sent++;
    return TERN_CAUSE_NONE;
}

/* --- receiving ----------------------------------------------------------------------------------- */

bool cookie_awaited(const struct tern *t, const struct listener *l)
{
    if (l->cookies == TERN_COOKIES_NEVER || l->defer)
        return false;
    return t->w->cookie_shared || (l->cookie_us != 0 && t->w->now - l->cookie_us <= LIFETIME_US);
}

/* Which MSS this cookie names under a key; -1 = it is none. */
static int mss_named(const struct tern *t, const struct cookie_key *k, const struct segment *s,
                     struct vouched v)
{
    uint32_t cookie = s->ack.v - 1;
    for (uint64_t ago = 0; ago < 2; ago++) {
        uint64_t m = mac(k, s, seq_sub(s->seq, 1), period_now(t, k) - ago, v);
        if (((uint32_t)m ^ cookie) < 8)
            return (int)((cookie & 7) ^ (uint32_t)(m >> 32 & 7));
    }
    return -1;
}

static void agreed_of(uint32_t options, uint8_t shift, struct agreed *a)
{
    a->ts = true;
    a->wscale = (options & 15) != NO_SHIFT && shift != WSCALE_NONE;
    a->snd_wscale = a->wscale ? options & 15 : 0;
    a->rcv_wscale = a->wscale ? shift : 0;
    a->sack = (options & BIT_SACK) != 0;
    a->ecn = (options & BIT_ECN) != 0;
}

/* Whether the segment's ACK is a cookie, and what was agreed. */
static bool valid(const struct tern *t, const struct listener *l, const struct segment *s, struct agreed *a)
{
    bool ts = s->opt.ts && settings(t)->timestamps;
    struct vouched v = {ts, s->opt.ts_ecr, our_shift(t, l)};
    int i = -1;
    memset(a, 0, sizeof *a);
    for (int k = 0; k < COOKIE_KEYS && i < 0; k++)
        i = mss_named(t, &t->w->cookie_keys[k], s, v);
    if (i < 0)
        return false;
    a->mss = mss_table(&s->src)[i];
    if (ts)
        agreed_of(v.stamp & BITS, v.shift, a);
    return true;
}

static bool of_our_clock(uint32_t age) { return age <= 2 * LIFETIME_US / 1000; }

/* Another machine's clock, or ours from before a restart, goes on. */
static void follow_clock(struct tern *t, struct tcb *c, const struct segment *s)
{
    uint32_t age = stamp_now(t, c->ts.offset) - s->opt.ts_ecr;
    if (!c->opt.ts || of_our_clock(age))
        return;
    c->ts.foreign = true;
    c->ts.offset += BITS + 1 - age; /* not before the one that was echoed */
}

static enum tern_cause enter(struct tern *t, struct listener *l, struct tcb *c, const struct segment *s)
{
    state_change(t, &c->h, TERN_C_COOKIE_ACKED, TERN_ESTABLISHED);
    follow_clock(t, c, s);
    ack_take_window(c, s);
    listener_enqueue(t, l, c);
    timer_keepalive(t, c);
    tcb_heard(c, s, t->w->now);
    enum tern_cause cause = in_live(t, c, s);
    timer_rearm(t, c);
    return cause;
}

/* LISTEN to ESTABLISHED: no record was there before. Data and FIN on the segment take the ordinary way. */
static enum tern_cause open_from(struct tern *t, struct listener *l, const struct segment *s,
                                 const struct agreed *a)
{
    tern_endpoint local = {s->dst, s->dst_port, 0}, remote = {s->src, s->src_port, 0};
    uint8_t way = ip_way(&t->w->ip, &local.ip, &remote.ip, s->link);
    struct tcb *c = tcb_new(t, &local, &remote, s->link, way, &l->set);
    if (c == NULL)
        return TERN_C_NO_MEMORY;
    struct opening o = {
        .conn = conn_number(t),
        .state = TERN_LISTEN,
        .cause = (enum tern_cause)l->h.cause,
        .opened_us = t->w->now,
        .since_us = l->h.since_us,
        .iss = seq_sub(s->ack, 1),
        .irs = seq_sub(s->seq, 1),
        .ts_recent = s->opt.ts_val,
        .rcv_wnd = listener_offer(l),
        .opt = *a,
        .sent = 1, /* when is not known: no round trip is measured */
    };
    tcb_from_opening(t, &o, c);
    if (!demux_insert(t, self(t, c))) {
        tcb_discard(t, c);
        return TERN_C_NO_MEMORY;
    }
    t->w->stats.cookies_valid++;
    trace_conn(t, &c->h, TERN_TRACE_OPENED, TERN_C_COOKIE_ACKED, 0, 0, 0);
    return enter(t, l, c, s);
}

enum tern_cause cookie_ack(struct tern *t, struct listener *l, const struct segment *s)
{
    struct agreed a;
    if (!valid(t, l, s, &a)) {
        t->w->stats.cookies_invalid++;
        return TERN_C_COOKIE_INVALID;
    }
    if (l->aq_count >= l->backlog) {
        l->refused_full++;
        return TERN_C_ACCEPT_FULL;
    }
    return open_from(t, l, s, &a);
}

bool cookie_came_late(struct tern *t, const struct listener *l, const struct segment *s, struct agreed *out)
{
    if (!cookie_awaited(t, l) || !valid(t, l, s, out))
        return false;
    uint32_t age = stamp_now(t, stamp_offset(t, &s->dst, &s->src)) - s->opt.ts_ecr;
    if (out->ts && !of_our_clock(age))
        return false;
    t->w->stats.cookies_valid++;
    return true;
}

/* --- keys ---------------------------------------------------------------------------------------- */

void cookie_set_key(struct tern *t, struct sipkey key, uint64_t shared_us)
{
    struct world *w = t->w;
    w->cookie_keys[1] = w->cookie_keys[0];
    w->cookie_keys[0] = (struct cookie_key){key, shared_us - w->now};
    w->cookie_shared = true;
}
