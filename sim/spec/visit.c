/* visit.c - see visit.h: how a visitor comes, and what it can do. The handshakes are judged here, too. */
#include "visit.h"

#include <tern/net.h>

#include <string.h>

enum { ADDRS = 16, TEXT = 1 << 16, ITS_PORT = 7000, OUR_PORT = 2000 };

struct offer visit_offer(struct rng *dice)
{
    return (struct offer){
        .mss = (uint16_t)DICE_OF(dice, VISIT_MSS, VISIT_MSS, VISIT_MSS, 1460, 536),
        .wscale = (uint8_t)DICE_OF(dice, 0, 1, 8),
        .sack = dice_below(dice, 2),
        .ts = dice_below(dice, 2),
        .ecn = dice_below(dice, 2),
    };
}

bool visit_come(struct stage *x)
{
    tern_addr_entry a[ADDRS];
    int n = tern_addr_list(x->t, a, ADDRS);
    for (int i = 0; i < n && i < ADDRS; i++) {
        if (a[i].link != x->link || a[i].deprecated)
            continue;
        x->local = (tern_endpoint){.ip = a[i].ip, .port = OUR_PORT};
        x->remote = (tern_endpoint){.ip = a[i].ip, .port = ITS_PORT};
        x->remote.ip.b[15] = 0xfa;
        if (a[i].ip.b[0] == 0xfe)
            x->local.zone = x->remote.zone = (uint16_t)x->link;
        return true;
    }
    return false;
}

tern_handle visit_listen(struct stage *x, struct rng *dice, uint32_t backlog)
{
    tern_handle h = {0};
    x->local.port = (uint16_t)(OUR_PORT + dice_below(dice, 100));
    x->remote.port = (uint16_t)(ITS_PORT + dice_below(dice, 20000));
    if (tern_listen(x->t, &x->local, backlog, &h) < 0)
        h.v = 0;
    return h;
}

/* --- handshakes
 * -------------------------------------------------------------------------------------------- */

static void put_offer(struct segment *s, const struct offer *o)
{
    s->mss = o->mss;
    s->wscale = o->wscale;
    s->sack_ok = o->sack;
    s->ts = o->ts;
}

/* Options of a SYN+ACK are those that the SYN had (RFC 7323 2.2, 3.2, RFC 2018 2, RFC 3168 6.1.1). */
static void judge_synack(struct stage *x, const struct offer *o, uint32_t ts_val)
{
    const struct segment *s = &x->out[0].s;
    const tern_config *c = x->config;
    uint32_t head = tern_ip_is4(&x->local.ip) ? 40 : 60;
    bool ecn = (s->flags & (ECE | CWR)) == ECE;
    STAGE_HOLDS(x, (s->wscale != 0) == (o->wscale != 0 && !c->no_wscale),
                "SYN+ACK: window scale, and the SYN %s", o->wscale ? "had one" : "had none");
    STAGE_HOLDS(x, s->sack_ok == (o->sack && !c->no_sack), "SYN+ACK: SACK, and the SYN %s",
                o->sack ? "had it" : "had it not");
    STAGE_HOLDS(x, s->ts == (o->ts && !c->no_timestamps), "SYN+ACK: timestamps, and the SYN %s",
                o->ts ? "had them" : "had none");
    STAGE_HOLDS(x, !s->ts || s->ts_ecr == ts_val, "SYN+ACK: it echoes %u, not %u", s->ts_ecr, ts_val);
    STAGE_HOLDS(x, ecn == (o->ecn && c->ecn != TERN_ECN_OFF) && !(s->flags & CWR),
                "SYN+ACK: ECN, and the SYN %s", o->ecn ? "asked" : "did not ask");
    STAGE_HOLDS(x, s->mss != 0 && s->mss + head <= x->mtu, "SYN+ACK: MSS %u on a link of %u", s->mss, x->mtu);
}

bool visit_syn(struct stage *x, const struct offer *o)
{
    struct segment s = stage_segment(x, o->ecn ? SYN | ECE | CWR : SYN, 0);
    put_offer(&s, o);
    s.seq = x->ts_val * 7919u + x->remote.port;
    stage_put(x, &s);
    if (!stage_fine(x) || x->n_out != 1 || !x->there) /* a cookie, when room is short */
        return false;
    judge_synack(x, o, s.ts_val);
    x->shift = (uint8_t)(o->wscale && x->out[0].s.wscale ? o->wscale - 1 : 0);
    return stage_fine(x);
}

/* What was agreed (MUST-16, SHLD-6, RFC 6691, RFC 7323 2.3). */
static void judge_agreed(struct stage *x, const struct offer *o)
{
    const tern_config *c = x->config;
    bool v4 = tern_ip_is4(&x->local.ip);
    uint32_t mss = o->mss != 0 ? o->mss : v4 ? 536 : 1220, link = x->mtu - (v4 ? 40 : 60);
    bool ts = o->ts && !c->no_timestamps;
    mss = (mss < link ? mss : link) - (ts ? 12 : 0);
    STAGE_HOLDS(x, x->i.mss == mss || o->mss < 100, "segments of %u bytes, and %u is what was agreed on",
                x->i.mss, mss);
    STAGE_HOLDS(x, x->i.timestamps == ts, "timestamps are not as agreed on");
    STAGE_HOLDS(x, x->i.sack == (o->sack && !c->no_sack), "SACK is not as agreed on");
    uint32_t shift = o->wscale && !c->no_wscale ? (o->wscale - 1 > 14 ? 14 : o->wscale - 1) : 0;
    STAGE_HOLDS(x, x->i.snd_wscale == shift, "a shift of %u, not of %u", x->i.snd_wscale, shift);
}

bool visit_accept(struct stage *x, tern_handle listener)
{
    struct segment s = stage_segment(x, ACK, 0);
    stage_put(x, &s);
    if (!stage_fine(x) || !x->there || x->i.state != TERN_ESTABLISHED)
        return false;
    if (tern_accept(x->t, listener, &x->h) < 0) {
        stage_wrong(x, "ESTABLISHED, and there is nothing to be accepted");
        return false;
    }
    stage_look(x);
    return true;
}

static bool call_visitor(struct stage *x, const struct offer *o)
{
    stage_begin(x);
    if (tern_connect(x->t, &x->local, &x->remote, &x->h) < 0)
        return false;
    stage_end(x);
    if (!stage_fine(x) || x->n_out != 1)
        return false;
    struct segment asked = x->out[0].s;
    STAGE_HOLDS(x, (asked.flags & (SYN | ACK | RST | FIN)) == SYN && asked.len == 0,
                "a connect does not begin with a SYN");
    STAGE_HOLDS(x, !(asked.flags & ECE) == !(x->config->ecn == TERN_ECN_ON), "a SYN that asks for ECN: %d",
                (asked.flags & ECE) != 0);
    stage_pass(x, 40 * VISIT_MS);
    struct segment s = stage_segment(x, SYN | ACK, 0);
    put_offer(&s, o);
    s.ts = o->ts && asked.ts;
    s.sack_ok &= asked.sack_ok;
    s.wscale = asked.wscale ? o->wscale : 0;
    s.flags |= o->ecn && asked.flags & ECE ? ECE : 0;
    s.seq = 77777u * x->remote.port;
    s.ts_ecr = asked.ts_val;
    x->shift = (uint8_t)(s.wscale ? s.wscale - 1 : 0);
    stage_put(x, &s);
    return stage_fine(x) && x->there && x->i.state == TERN_ESTABLISHED;
}

bool visit_open(struct stage *x, struct rng *dice, const struct offer *o, bool calls)
{
    if (!visit_come(x))
        return false;
    tern_handle listener = {0};
    if (calls) {
        x->local.port = (uint16_t)(OUR_PORT + 100 + dice_below(dice, 100));
        x->remote.port = (uint16_t)(ITS_PORT + dice_below(dice, 20000));
    } else if ((listener = visit_listen(x, dice, 0)).v == 0) {
        return false;
    }
    if (calls ? !call_visitor(x, o) : !visit_syn(x, o))
        return false;
    if (!calls) {
        stage_pass(x, 40 * VISIT_MS);
        if (!visit_accept(x, listener))
            return false;
    }
    if (stage_fine(x))
        judge_agreed(x, o);
    return stage_fine(x);
}

/* --- and then
 * ---------------------------------------------------------------------------------------------- */

uint32_t visit_send(struct stage *x, uint32_t len, unsigned flags)
{
    static const uint8_t text[TEXT];
    stage_begin(x);
    long r = tern_send(x->t, x->h, text, len < TEXT ? len : TEXT, flags);
    stage_end(x);
    return r > 0 ? (uint32_t)r : 0;
}

uint32_t visit_read(struct stage *x)
{
    static _Thread_local uint8_t text[4096];
    uint32_t sum = 0;
    stage_begin(x);
    for (long r; (r = tern_recv(x->t, x->h, text, sizeof text)) > 0; sum += (uint32_t)r)
        continue;
    stage_end(x);
    return sum;
}

void visit_ack(struct stage *x, uint32_t ack)
{
    struct segment s = stage_segment(x, ACK, 0);
    s.ack = ack;
    stage_put(x, &s);
}

void visit_text(struct stage *x, uint32_t len)
{
    struct segment s = stage_segment(x, ACK | PSH, len);
    stage_put(x, &s);
}

uint32_t visit_bytes(const struct stage *x, uint32_t from)
{
    uint32_t sum = 0;
    for (uint32_t k = 0; k < x->n_out; k++)
        if (x->out[k].s.len > 0 && (from == 0 || ahead(x->out[k].s.seq, from) >= 0))
            sum += x->out[k].s.len;
    return sum;
}
