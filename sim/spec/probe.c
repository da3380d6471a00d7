/* probe.c - the list of probes, and the first of them: segments by the dice (see probe.h). */
#include "visit.h"

#include <string.h>

enum { ACTS = 5, SEND_MOST = 3000, LATE_US = 500000 };

#define ON(name) {#name, probe_##name, false}
#define BY(name) {"a visitor: " #name, visit_##name, true}

static const struct probe all[] = {
    ON(segments), BY(handshake), ON(silence),  BY(flight),    ON(call),    BY(loss),
    ON(icmp),     BY(timeout),   ON(gone),     BY(receiver),  ON(pause),   BY(puzzle),
    BY(window),   BY(persist),   ON(segments), BY(keepalive), BY(nagle),   BY(ecn),
    ON(call),     BY(rest),      BY(end),      BY(calls),     ON(silence), BY(crowd),
    BY(cookie),   BY(again),     ON(segments), BY(urgent),    BY(ration),  BY(headers),
};

uint32_t probe_count(void) { return sizeof all / sizeof all[0]; }
const struct probe *probe_at(uint32_t which) { return &all[which % probe_count()]; }

void probe_play(struct stage *x, uint32_t which, uint64_t number)
{
    struct rng dice = {number * 2654435761u + which + 1};
    probe_at(which)->play(x, &dice);
}

/* --- a segment that says something, right or wrong
 * ------------------------------------------------------------ */

static uint32_t draw_flags(struct rng *r)
{
    return DICE_OF(r, ACK, ACK, ACK, ACK | PSH, ACK | PSH, FIN | ACK, FIN | ACK, RST, RST, RST | ACK, SYN,
                   SYN | ACK, 0, FIN, PSH, URG | ACK, SYN | FIN | ACK);
}

static uint32_t draw_len(const struct stage *x, struct rng *r)
{
    uint32_t mss = x->i.mss != 0 && x->i.mss < FORGE_BYTES ? x->i.mss : 536;
    return DICE_OF(r, 0, 0, 0, 0, 1, 1, 2, 10, 100, mss);
}

static uint32_t draw_seq(const struct stage *x, struct rng *r, uint32_t space)
{
    uint32_t nxt = x->i.rcv_nxt, edge = nxt + x->i.rcv_wnd;
    if (dice_below(r, 2) == 0)
        return nxt;
    return DICE_OF(r, nxt, nxt - 1, nxt - space, nxt + 1, nxt + 1, edge - 1, edge, edge + 1, edge - space,
                   nxt + x->i.rcv_wnd / 2, nxt - 1000, nxt - space / 2, nxt + (1u << 30), x->i.irs,
                   nxt + space);
}

static uint32_t draw_ack(const struct stage *x, struct rng *r)
{
    uint32_t una = x->i.snd_una, nxt = x->i.snd_nxt, most = x->i.max_snd_wnd;
    if (dice_below(r, 2) == 0)
        return nxt;
    return DICE_OF(r, una, una, una + 1, una - 1, nxt + 1, una - most, una - most - 1, una + (nxt - una) / 2,
                   nxt + (1u << 30), x->i.iss, x->i.iss + 1, nxt - 1);
}

static void draw_stamps(const struct stage *x, struct rng *r, struct segment *s)
{
    if (x->i.timestamps)
        switch (dice_below(r, 12)) {
        case 0: s->ts = false; break;
        case 1: s->ts_val = x->i.ts_recent - 1; break;
        case 2: s->ts_val = x->i.ts_recent - (1u << 31) + 1; break;
        case 3: s->ts_val = x->i.ts_recent + 1000; break;
        case 4: s->ts_val = x->i.ts_recent; break;
        default: break;
        }
    else if (dice_below(r, 8) == 0)
        s->ts = true;
}

static struct segment draw(const struct stage *x, struct rng *r)
{
    uint32_t flags = draw_flags(r);
    struct segment s = stage_segment(x, flags, flags & SYN && dice_below(r, 4) != 0 ? 0 : draw_len(x, r));
    s.seq = draw_seq(x, r, segment_space(&s));
    if (flags & ACK)
        s.ack = draw_ack(x, r);
    draw_stamps(x, r, &s);
    s.window = (uint16_t)DICE_OF(r, x->window, x->window, x->window, 0, 1, 500, 65535);
    if (flags & SYN)
        s.mss = (uint16_t)DICE_OF(r, 0, 1460, 536, 200);
    if (flags & URG)
        s.urgent = (uint16_t)DICE_OF(r, 1, 0, 100, 60000);
    if (dice_below(r, 10) == 0)
        s.tos = 3;
    return s;
}

/* --- between two segments
 * ---------------------------------------------------------------------------------------- */

static void send_some(struct stage *x, struct rng *r)
{
    static const uint8_t text[SEND_MOST];
    if (x->h.v == 0)
        return;
    stage_begin(x);
    tern_send(x->t, x->h, text, 1 + dice_below(r, SEND_MOST - 1), 0);
    stage_end(x);
}

static void read_all(struct stage *x)
{
    uint8_t text[4096];
    if (x->h.v == 0)
        return;
    stage_begin(x);
    while (tern_recv(x->t, x->h, text, sizeof text) > 0)
        continue;
    stage_end(x);
}

static void between(struct stage *x, struct rng *r)
{
    switch (dice_below(r, 10)) {
    case 0: send_some(x, r); break;
    case 1: read_all(x); break;
    case 2:
        if (x->h.v == 0)
            break;
        stage_begin(x);
        tern_shutdown(x->t, x->h);
        stage_end(x);
        break;
    case 3: stage_pass(x, LATE_US); break;
    case 4: stage_pass(x, 1000); break;
    default: break;
    }
}

/* Several segments in a row, each judged; what is acknowledged late must be acknowledged in time. */
void probe_segments(struct stage *x, struct rng *dice)
{
    for (int act = 0; act < ACTS && stage_fine(x) && (act == 0 || x->there); act++) {
        struct segment s = draw(x, dice);
        stage_put(x, &s);
        between(x, dice);
    }
    stage_pass(x, LATE_US);
    bool owes = x->there && x->i.state >= TERN_ESTABLISHED && x->acked_known && x->i.link != 0;
    STAGE_HOLDS(x, !owes || x->acked == x->i.rcv_nxt,
                "%s: half a second after all that came %u is acknowledged, and RCV.NXT is %u (MUST-40)",
                tern_state_name((enum tern_state)x->i.state), x->acked, x->i.rcv_nxt);
}
