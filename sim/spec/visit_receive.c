/* visit_receive.c - visitors who send: when it is acknowledged, what arrives out of order, a window that
 * fills, urgent data, answers that are rationed, headers that are wrong (RFC 9293 3.8.6, 3.10.7.4; RFC 5681
 * 4.2, 2018, 2883, 5961). */
#include "visit.h"

#include "../bytes.h"

#include <string.h>

enum { PUZZLE = 6000, PIECES = 24, QUICK_MOST = 40 };

static bool open_plain(struct stage *x, struct rng *dice, struct offer *o)
{
    *o = visit_offer(dice);
    return visit_open(x, dice, o, dice_below(dice, 2));
}

static bool acks_now(const struct stage *x) { return x->n_out > 0 && x->out[0].s.ack == x->i.rcv_nxt; }

/* After the first ones every second full segment is acknowledged, and a small one within half a second. */
void visit_receiver(struct stage *x, struct rng *dice)
{
    struct offer o;
    if (!open_plain(x, dice, &o))
        return;
    uint32_t full = 1000, held = 0, late = x->config->delack_us != 0 ? x->config->delack_us : 40000;
    for (int k = 0; k < QUICK_MOST && stage_fine(x); k++) {
        visit_text(x, full);
        if (x->i.rcv_nxt != x->before.rcv_nxt + full)
            return; /* its window is too small for this */
        visit_read(x);
        bool now = x->acked == x->i.rcv_nxt;
        held = now ? 0 : held + 1;
        STAGE_HOLDS(x, held < 2, "%u full segments, and no ACK (SHLD-19)", held);
    }
    if (held > 0)
        stage_pass(x, 500 * VISIT_MS);
    bool quick = dice_below(dice, 2);
    tern_setopt(x->t, x->h, TERN_OPT_QUICKACK, quick);
    visit_text(x, 10);
    STAGE_HOLDS(x, !quick || acks_now(x), "every segment is to be acknowledged at once, and one is not");
    STAGE_HOLDS(x, quick || x->n_out == 0, "a small segment is acknowledged at once, and it is the 41st");
    if (quick)
        return;
    uint64_t from = x->now;
    for (int k = 0; k < 3 && x->acked != x->i.rcv_nxt; k++) { /* others do not put it off */
        stage_pass(x, late / 3 + 100);
        if (x->n_out == 0 && k < 2)
            visit_text(x, 10);
    }
    STAGE_HOLDS(x, x->acked != 0 && x->now - from <= late + 3 * VISIT_MS && x->acked == x->i.rcv_nxt,
                "a delayed ACK is put off (MUST-40)");
    visit_text(x, 10);
    bool sent = visit_send(x, 10, 0) == 10 && x->n_out > 0;
    stage_pass(x, 500 * VISIT_MS);
    uint32_t pure = 0;
    for (uint32_t k = 0; k < x->n_out; k++)
        pure += x->out[k].s.len == 0;
    STAGE_HOLDS(x, pure == 0 || !sent, "acknowledged with data, and once more");
    /* one batch, one ACK (MUST-58) */
    struct segment s[4];
    for (uint32_t k = 0; k < 4; k++) {
        s[k] = stage_segment(x, ACK | PSH, full);
        s[k].seq += k * full;
    }
    stage_batch(x, s, 4);
    if (x->i.rcv_nxt != s[3].seq + full)
        return; /* what is refused, for want of room, is answered one by one */
    STAGE_HOLDS(x, x->n_out == 1 && acks_now(x), "four segments in a batch draw %u ACKs (MUST-58)", x->n_out);
}

/* What came last, or a part of it, was not taken for want of memory. */
static bool refused(const struct stage *x)
{
    return x->rx_cause == TERN_C_OOO_LIMIT || x->rx_cause == TERN_C_SHORT_OF_MEMORY ||
           x->rx_cause == TERN_C_NO_MEMORY;
}

/* --- pieces in any order
 * -------------------------------------------------------------------------------------------- */

static uint8_t letter(uint32_t at) { return (uint8_t)(at * 31 + (at >> 8) * 7); }

struct puzzle {
    uint32_t base;
    uint8_t has[PUZZLE];
    uint32_t next;          /* all before it is there */
    uint32_t from, to;      /* the latest piece */
    bool refused;           /* one was, for want of memory: what is there is not known any more */
};

static bool whole(const struct puzzle *p, uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to; k++)
        if (!p->has[k])
            return false;
    return true;
}

/* RFC 2018 4: blocks are of what is there, the first has the latest; RFC 2883 4: what came again is told
 * first. */
static void judge_blocks(struct stage *x, const struct puzzle *p, bool again)
{
    const struct segment *s = &x->out[0].s;
    bool newest = false, above = false;
    for (uint32_t k = p->next; k < PUZZLE; k++)
        above |= p->has[k];
    if (!x->i.sack || s->len > 0)
        return;
    STAGE_HOLDS(x, again || (s->n_sack > 0) == above, "%u SACK blocks, and %s waits (RFC 2018 4)", s->n_sack,
                above ? "something" : "nothing");
    uint32_t at = 0;
    if (again && s->n_sack > 0) /* RFC 2883 4: the first may tell what came again */
        at = s->sack[0].start - p->base >= p->from && s->sack[0].end - p->base <= p->to;
    for (uint32_t k = at; k < s->n_sack && stage_fine(x); k++) {
        uint32_t from = s->sack[k].start - p->base, to = s->sack[k].end - p->base;
        bool in = from < to && to <= PUZZLE && from >= p->next;
        STAGE_HOLDS(x, in && whole(p, from, to), "a SACK block of what is not there: %u to %u", from, to);
        STAGE_HOLDS(x, !in || ((from == 0 || !p->has[from - 1]) && (to == PUZZLE || !p->has[to])),
                    "a SACK block is not all that is together (RFC 2018 4)");
        newest |= k == at && from <= p->from && to >= p->to;
    }
    if (!again && p->from >= p->next && p->from < p->to)
        STAGE_HOLDS(x, newest, "the latest that came is not in the first SACK block (RFC 2018 4)");
}

static void put_piece(struct stage *x, struct puzzle *p, uint32_t from, uint32_t len)
{
    uint8_t text[FORGE_BYTES];
    struct segment s = stage_segment(x, ACK, len);
    for (uint32_t k = 0; k < len; k++)
        text[k] = letter(from + k);
    s.seq = p->base + from;
    s.data = text;
    bool again = whole(p, from, from + len);
    stage_put(x, &s);
    p->refused |= refused(x);
    if (p->refused)
        return;
    uint32_t was = p->next;
    memset(p->has + from, 1, len);
    while (p->next < PUZZLE && p->has[p->next])
        p->next++;
    p->from = from;
    p->to = from + len;
    STAGE_HOLDS(x, x->i.rcv_nxt - p->base == p->next, "pieces up to %u are there, and RCV.NXT is %u", p->next,
                x->i.rcv_nxt - p->base);
    if (stage_fine(x) && x->n_out > 0 && (again || from > was || p->next > from + len))
        judge_blocks(x, p, again);
}

void visit_puzzle(struct stage *x, struct rng *dice)
{
    struct offer o;
    struct puzzle p = {0};
    if (x->blind || !open_plain(x, dice, &o) || x->i.rcv_wnd < 2 * PUZZLE)
        return;
    p.base = x->i.rcv_nxt;
    for (int k = 0; k < PIECES && stage_fine(x) && !p.refused; k++) {
        uint32_t from = 100 * dice_below(dice, 50), len = DICE_OF(dice, 100, 100, 250, 700);
        put_piece(x, &p, from, len);
    }
    for (uint32_t from = 0; from < PUZZLE && stage_fine(x) && !p.refused; from += 500)
        put_piece(x, &p, from, 500);
    uint8_t text[PUZZLE];
    long r = stage_fine(x) ? tern_recv(x->t, x->h, text, sizeof text) : 0;
    if (!stage_fine(x) || p.refused)
        return;
    STAGE_HOLDS(x, r == PUZZLE, "%ld bytes are read of %d", r, PUZZLE);
    for (uint32_t k = 0; k < PUZZLE && r == PUZZLE; k++)
        STAGE_HOLDS(x, text[k] == letter(k), "byte %u is wrong", k);
}

/* --- urgent data
 * ------------------------------------------------------------------------------------------------------ */

/* MUST-30 to MUST-33, MUST-62: the pointer names the byte behind the last urgent one. */
void visit_urgent(struct stage *x, struct rng *dice)
{
    struct offer o;
    if (!open_plain(x, dice, &o))
        return;
    if (dice_below(dice, 2)) {
        if (visit_send(x, 30, TERN_URG) != 30 || x->n_out == 0)
            return;
        const struct segment *s = &x->out[0].s;
        STAGE_HOLDS(x, x->n_out == 1 && s->flags & URG, "urgent data leaves without URG");
        STAGE_HOLDS(x, s->urgent == 30, "the urgent pointer is %u, not 30 (MUST-62)", s->urgent);
        return;
    }
    struct segment s = stage_segment(x, ACK | URG, 20);
    uint32_t unread = s.seq;
    s.urgent = 50;
    stage_put(x, &s);
    STAGE_HOLDS(x, x->events & TERN_URGENT, "urgent data is not told (MUST-32)");
    STAGE_HOLDS(x, x->i.urgent == 50, "%u urgent bytes, not 50 (MUST-33)", x->i.urgent);
    s = stage_segment(x, ACK | URG, 20);
    s.urgent = 100;
    stage_put(x, &s);
    uint32_t beyond = s.seq + s.urgent - unread; /* 120, unless the window is smaller than the text */
    STAGE_HOLDS(x, x->events & TERN_URGENT && x->i.urgent == beyond,
                "the urgent pointer moves on, and %u bytes are told (MUST-32)", x->i.urgent);
}

/* --- what is rationed
 * -------------------------------------------------------------------------------------------------- */

/* RFC 5961 7: answers to what anybody can forge are few, and come again after a while. */
void visit_ration(struct stage *x, struct rng *dice)
{
    struct offer o;
    uint32_t answers = 0, kind = dice_below(dice, 3);
    if (!open_plain(x, dice, &o))
        return;
    if (kind == 1 && x->i.rcv_wnd < 2)
        return; /* a RST that is not at RCV.NXT lies outside */
    for (int k = 0; k < 60 && stage_fine(x); k++) {
        struct segment s = stage_segment(x, kind == 0 ? SYN : kind == 1 ? RST : ACK, 0);
        s.seq += kind == 1;
        s.ack += kind == 2 ? 5000 : 0;
        stage_put(x, &s);
        answers += x->n_out;
    }
    STAGE_HOLDS(x, answers >= 1 && answers <= 10, "60 segments draw %u challenge ACKs (RFC 5961 7)", answers);
    stage_pass(x, 15000 * VISIT_MS);
    struct segment s = stage_segment(x, SYN, 0);
    stage_put(x, &s);
    STAGE_HOLDS(x, x->n_out == 1, "after 15 s no challenge ACK leaves any more (RFC 5961 7)");
}

/* --- headers that are wrong, or strange
 * -------------------------------------------------------------------------------- */

static void sum_up(const struct stage *x, uint8_t *p, uint32_t len, uint32_t at)
{
    struct segment s;
    put16(p + at + 16, 0);
    put16(p + at + 16, checksum_between(&x->remote.ip, &x->local.ip, 6, p + at, len - at));
    (void)s;
}

/* A segment with these options in place of its own. */
static void with_options(struct stage *x, const struct segment *s, const uint8_t *options, uint32_t n)
{
    uint8_t p[PACKET_MAX], whole_one[PACKET_MAX];
    struct segment bare = *s;
    bare.ts = bare.sack_ok = false;
    bare.mss = 0;
    bare.wscale = bare.n_sack = 0;
    uint32_t len = segment_build(&bare, p), at = p[0] >> 4 == 4 ? 20 : 40;
    memcpy(whole_one, p, at + 20);
    memcpy(whole_one + at + 20, options, n);
    memcpy(whole_one + at + 20 + n, p + at + 20, len - at - 20);
    len += n;
    whole_one[at + 12] = (uint8_t)((20 + n) / 4 << 4);
    if (at == 20) {
        put16(whole_one + 2, len);
        put16(whole_one + 10, 0);
        put16(whole_one + 10, checksum_of(whole_one, 20));
    } else {
        put16(whole_one + 4, len - 40);
    }
    sum_up(x, whole_one, len, at);
    stage_raw(x, whole_one, len);
}

static void strange_options(struct stage *x, struct rng *dice)
{
    /* NOP, an unknown option, MSS, SACK-permitted, window scale: all but the first two belong on SYNs */
    uint8_t o[24] = {1, 254, 4, 9, 9, 2, 4, 1, 0, 4, 2, 3, 3, 9, 1, 1};
    uint32_t n = 16, nxt = x->i.rcv_nxt;
    if (x->i.timestamps) { /* at an odd place */
        memcpy(o, (uint8_t[]){254, 3, 9, 8, 10}, 5);
        put32(o + 5, x->ts_val);
        put32(o + 9, x->ts_seen);
        o[13] = 1;
        o[14] = o[15] = 1;
    }
    tern_info was = x->i;
    struct segment s = stage_segment(x, ACK, 40);
    with_options(x, &s, o, n);
    STAGE_HOLDS(x, x->i.rcv_nxt == nxt + 40 || refused(x),
                "a segment with an option that nobody knows is dropped (MUST-6)");
    STAGE_HOLDS(x, x->i.mss == was.mss && x->i.snd_wscale == was.snd_wscale && x->i.sack == was.sack,
                "options of SYNs count on any segment");
    s = stage_segment(x, ACK, 40);
    static const uint8_t bad[4][4] = {{254, 1, 1, 1}, {254, 0, 1, 1}, {1, 1, 254, 9}, {1, 1, 1, 254}};
    nxt = x->i.rcv_nxt;
    with_options(x, &s, bad[dice_below(dice, 4)], 4);
    STAGE_HOLDS(x, x->i.rcv_nxt == nxt && x->n_out == 0,
                "a segment with an impossible option is taken (MUST-7)");
}

static void wrong_headers(struct stage *x, struct rng *dice)
{
    uint8_t p[PACKET_MAX];
    struct segment s = stage_segment(x, ACK, 41);
    uint32_t nxt = x->i.rcv_nxt, len = segment_build(&s, p), at = p[0] >> 4 == 4 ? 20 : 40,
             which = dice_below(dice, 5);
    switch (which) {
    case 0: p[len - 1 - dice_below(dice, 40)] ^= 0x10; break; /* the payload */
    case 1: p[at + 16] ^= 0x10; break;
    case 2: p[at + 12] = 4 << 4; break; /* no room for the header */
    case 3: p[at + 12] = 15 << 4; break;
    default: p[at + 4] ^= 1; break;
    }
    stage_raw(x, p, len);
    STAGE_HOLDS(x, x->i.rcv_nxt == nxt && x->n_out == 0 && x->i.state == x->before.state,
                "a damaged segment is taken (MUST-3)");
}

/* From or to nobody in particular (MUST-57, MUST-63). */
static void strange_addresses(struct stage *x, struct rng *dice)
{
    uint8_t p[PACKET_MAX];
    struct segment s = stage_segment(x, DICE_OF(dice, SYN, ACK), 0);
    bool v4 = tern_ip_is4(&x->local.ip), dst = dice_below(dice, 2);
    tern_ip odd = v4 ? DICE_OF(dice, 0, 1) ? tern_ip4(224, 0, 0, 1) : tern_ip4(255, 255, 255, 255)
                     : (tern_ip){{0xff, 2, [15] = 1}};
    s.dst.port = 4;
    *(dst ? &s.dst.ip : &s.src.ip) = odd;
    x->any_out = 0;
    uint32_t len = segment_build(&s, p);
    stage_raw(x, p, len);
    STAGE_HOLDS(x, x->any_out == 0, "a segment %s a broadcast or multicast address is answered (MUST-57)",
                dst ? "to" : "from");
}

void visit_headers(struct stage *x, struct rng *dice)
{
    struct offer o;
    if (!open_plain(x, dice, &o) || x->i.rcv_wnd < 4 * 40)
        return; /* its window is too small for this */
    x->its_ttl = 33;
    x->tos = 0x28;
    visit_text(x, 10);
    STAGE_HOLDS(x, x->i.ttl_in == 33 && x->i.dscp_in == 10,
                "TTL and Diffserv of what came are not told (MAY-9)");
    x->ttl = 77;
    x->dscp = 12;
    tern_setopt(x->t, x->h, TERN_OPT_TTL, 77);
    tern_setopt(x->t, x->h, TERN_OPT_DSCP, 12);
    visit_send(x, 10, 0);
    x->tos = 0;
    for (int k = 0; k < 4 && stage_fine(x); k++)
        switch (dice_below(dice, 3)) {
        case 0: strange_options(x, dice); break;
        case 1: wrong_headers(x, dice); break;
        default: strange_addresses(x, dice); break;
        }
}
