/* tern_digest: the same for stacks in the same situation, however they came to it; another one as soon as
 * anything is different that the stack goes by. (That it does not depend on where the clock began is shown on
 * whole stories, in tests/sim/test_demo.c.) */
#include "lab/lab.h"

#include "tcp/tcp.h"

#include <tern/snapshot.h>

struct digest {
    uint64_t v[2];
};

static struct digest digest_of(const tern *t)
{
    struct digest d;
    tern_digest(t, d.v);
    return d;
}

static bool same(struct digest a, struct digest b) { return a.v[0] == b.v[0] && a.v[1] == b.v[1]; }

/* --- another history ------------------------------------------------------------------------------ */

/* Lives that came and went before: listeners, connections, half-open ones, data, fragments of memory. What
 * they leave behind are generations, free pages, free records in another order. */
static void other_lives(struct lab *l)
{
    tern_handle h[40];
    tern_endpoint at = {.ip = l->ip};
    for (int i = 0; i < 40; i++) {
        at.port = (uint16_t)(9000 + i);
        assert_int_equal(tern_listen(l->t, &at, 5, &h[i]), 0);
    }
    TALK(l, "listen");
    for (int flow = 1; flow < 8; flow++) {
        TALKF(l, "%d < S 0 win 65535 <mss 1460>\n%d > SA 0 ack 1\n%d < A 1 ack 1\n%d accept", flow, flow,
              flow, flow);
        TALKF(l, "%d < PA 1:3001(3000) ack 1\n%d > A 1\n%d send 5000 -> 5000", flow, flow, flow);
        lab_forget(l);
    }
    for (int flow = 7; flow > 0; flow -= 2)
        TALKF(l, "%d abort", flow);
    for (int i = 0; i < 40; i += 3)
        tern_close(l->t, h[i]);
    for (int flow = 2; flow < 8; flow += 2)
        TALKF(l, "%d abort", flow);
    for (int i = 0; i < 40; i++)
        if (i % 3 != 0)
            tern_close(l->t, h[i]);
    tern_close(l->t, l->listener);
    lab_collect(l);
    lab_forget(l);
}

/* All times agree from here on; on the way no second is left out, so that the clock never jumps. */
static void at_second(struct lab *l, uint64_t s)
{
    while (l->now < s * SEC)
        lab_run_until(l, l->now / SEC * SEC + SEC, false);
    lab_forget(l);
}

static struct lab *lab_with(bool others)
{
    struct lab *l = lab_new(NULL, &(struct lab_config){.memory = 4 << 20});
    if (others)
        other_lives(l);
    at_second(l, 400);
    TALK(l, "listen");
    return l;
}

static const char *const story[] = {
    "< S 0 win 65535 <mss 1460,sackOK,wscale 7,ts 1000>",
    "> SA 0 ack 1",
    "< A 1 ack 1",
    "accept",
    "send 20000 -> 20000",
    "< PA 1:1001(1000) ack 1",
    "< PA 2001:3001(1000) ack 1",
    "recv 300 -> 300",
    "< PA 3501:4001(500) ack 1",
    "< PA 1001:2001(1000) ack 1",
    "shutdown",
    "+300ms < A 4001 ack 1461",
    "close",
};

static void other_lives_make_no_difference(void **state)
{
    (void)state;
    struct lab *one = lab_with(false), *two = lab_with(true);
    assert_int_not_equal(one->t->a->pages_used, two->t->a->pages_used);
    assert_true(same(digest_of(one->t), digest_of(two->t)));
    struct digest before = digest_of(one->t);
    for (size_t i = 0; i < sizeof story / sizeof story[0]; i++) {
        TALK(one, story[i]);
        TALK(two, story[i]);
        if (i > 3) { /* what it sends is looked at elsewhere */
            lab_forget(one);
            lab_forget(two);
        }
        struct digest d = digest_of(one->t);
        if (!same(d, digest_of(two->t)))
            fail_msg("different after \"%s\"", story[i]);
        assert_true(same(d, before) == (story[i][0] == '>')); /* there nothing happens */
        before = d;
    }
    one->done = two->done = true;
    lab_end(one);
    lab_end(two);
}

/* --- every field ------------------------------------------------------------------------------------ */

/* Bytes of a record that may change without a difference, and why. */
struct exempt {
    size_t at, size;
};
#define NOT(type, member) {offsetof(type, member), sizeof(((type *)0)->member)}
#define NOT_H(type)                                                                                     \
    NOT(type, h.gen), NOT(type, h.turn), NOT(type, h.kind),                                             \
        NOT(type, h.ready), /* names and places of records; the order of lists is looked at apart */    \
        NOT(type, h.timer), /* may be early: the deadlines count */                                     \
        NOT(type, h.unset), NOT(type, h.unset_place), /* whether they have been set */                  \
        NOT(type, h.hash), NOT(type, h.conn), NOT(type, h.opened_us), NOT(type, h.since_us),            \
        NOT(type, h.cause), NOT(type, h.pad), /* only told */                                           \
        NOT(type, face.place), NOT(type, face.listed), NOT(type, face.data)

static const struct exempt tcb_exempt[] = {
    NOT_H(struct tcb),
    NOT(struct tcb, rcv.q), /* where the bytes lie; they are looked at apart */
    NOT(struct tcb, snd.q),
    NOT(struct tcb, rcv.ooo),
    NOT(struct tcb, rcv.ooo_bytes), /* sums and counts of what is looked at */
    NOT(struct tcb, rcv.stamp),     /* only as a difference */
    NOT(struct tcb, list.own), /* looked at as the others, while it is in the list */
    NOT(struct tcb, list.seq),
    NOT(struct tcb, list.time),
    NOT(struct tcb, list.hint),
    NOT(struct tcb, list.high),
    NOT(struct tcb, list.lost_next),
    NOT(struct tcb, list.bytes),
    NOT(struct tcb, list.sacked),
    NOT(struct tcb, list.lost),
    NOT(struct tcb, list.retx),
    NOT(struct tcb, sum), /* only told */
    NOT(struct tcb, history),
    NOT(struct tcb, rcv.fin_us),
    NOT(struct tcb, woken_us), /* when it may rest: memory, not what it does; */
    NOT(struct tcb, interrupted), /* the same */
    NOT(struct tcb, by_idle),     /* the same */
    NOT(struct tcb, shortage.place),
    NOT(struct tcb, idle),
    NOT(struct tcb, listener),
    NOT(struct tcb, aq),
    NOT(struct tcb, dying),
};

static const struct exempt listener_exempt[] = {
    NOT_H(struct listener),
    NOT(struct listener, queue),
    NOT(struct listener, stale),
    NOT(struct listener, any_stale),
    NOT(struct listener, aq),
    NOT(struct listener, half_count),
    NOT(struct listener, aq_count),
    NOT(struct listener, refused_full),
    NOT(struct listener, left_unaccepted),
    /* padding that gcc 12 does not mark, behind an array of structures */
    {offsetof(struct listener, cookies) + 1, (0 - offsetof(struct listener, cookies) - 1) % 8},
    {offsetof(struct listener, offer) + 4, 4},
};

static bool is_exempt(const struct exempt *e, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++)
        if (at - e[i].at < e[i].size)
            return true;
    return false;
}

/* Each byte that is neither padding nor exempt counts. `there`: 0xff where the type has bytes. */
static void every_byte(const tern *t, void *record, size_t size, const uint8_t *there, const struct exempt *e,
                       size_t n)
{
    uint8_t *p = record;
    struct digest before = digest_of(t);
    for (size_t at = 0; at < size; at++) {
        if (there[at] == 0 || is_exempt(e, n, at))
            continue;
        p[at] ^= 1;
        if (same(digest_of(t), before))
            fail_msg("byte %zu of %zu does not count", at, size);
        p[at] ^= 1;
    }
    assert_true(same(digest_of(t), before));
}

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define MARK_BYTES(x) (memset(&(x), 0xff, sizeof(x)), __builtin_clear_padding(&(x)))

/* What counts only while a flag says so counts now. */
static void set_flags(struct tcb *c)
{
    c->rcv.urgent = c->rcv.fin_ooo = c->snd.syn_acked = c->snd.urgent = true;
    c->rec.phase = PHASE_RECOVERY;
    c->rec.cwr_valid = c->rec.recover_valid = c->rack.round_valid = c->tlp.out = c->undo.valid = true;
    c->opt.ts = true;
    uint64_t *times[] = {&c->rack.xmit_us, &c->ack.delack_us, &c->ack.challenge_us, &c->snd.blocked_us,
                         &c->tm.rexmit_us, &c->tm.life_us,    &c->tm.keep_us,       &c->tm.pace_us,
                         &c->shortage.since_us, &c->tm.tlp_us,     &c->tm.reo_us,        &c->tm.stuck_us,
                         &c->last_rx_us,   &c->last_tx_us,    &c->ts.recent_us};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        *times[i] = 4096;
}

static void every_field_counts(void **state)
{
    (void)state;
    struct lab *l = lab_with(false);
    struct tcb there;
    struct listener there_l;
    for (size_t i = 0; i < 10; i++)
        TALK(l, story[i]);
    ref_t r = 0;
    assert_true(pool_next(l->t->a, &l->t->w->tcbs, &r));
    struct tcb *c = tcb_at(l->t, r), keep = *c;
    set_flags(c);
    MARK_BYTES(there);
    every_byte(l->t, c, sizeof *c, (const uint8_t *)&there, tcb_exempt,
               sizeof tcb_exempt / sizeof tcb_exempt[0]);
    *c = keep;
    r = 0;
    assert_true(pool_next(l->t->a, &l->t->w->listener_pool, &r));
    struct listener *li = listener_at(l->t, r), keep_l = *li;
    li->cookie_us = 4096;
    MARK_BYTES(there_l);
    every_byte(l->t, li, sizeof *li, (const uint8_t *)&there_l, listener_exempt,
               sizeof listener_exempt / sizeof listener_exempt[0]);
    *li = keep_l;
    l->done = true;
    lab_end(l);
}
#endif

/* Fields of the small records, which are bits. */
#define COUNTS(l, place)                                   \
    do {                                                   \
        struct digest before_ = digest_of((l)->t);         \
        (place) ^= 1;                                      \
        if (same(digest_of((l)->t), before_))              \
            fail_msg("%s does not count", #place);         \
        (place) ^= 1;                                      \
        assert_true(same(digest_of((l)->t), before_));     \
    } while (0)

static void every_field_of_the_small_records(void **state)
{
    (void)state;
    struct lab *l = lab_with(false);
    TALK(l, "1 < S 0 win 65535 <mss 1460,sackOK,wscale 7,ts 1000>\n1 > SA 0 ack 1");
    ref_t r = 0;
    assert_true(pool_next(l->t->a, &l->t->w->halfopens4, &r));
    struct halfopen *h = at(l->t->a, r);
    COUNTS(l, h->ts_recent);
    COUNTS(l, h->local_port);
    COUNTS(l, h->remote_port);
    COUNTS(l, h->mss);
    COUNTS(l, h->snd_wscale);
    COUNTS(l, h->rcv_wscale);
    COUNTS(l, h->ts);
    COUNTS(l, h->sack);
    COUNTS(l, h->ecn);
    COUNTS(l, h->repeated);
    COUNTS(l, h->follows);
    COUNTS(l, h->sent);
    COUNTS(l, h->pair[3]);
    COUNTS(l, h->pair[7]);
    l->done = true;
    lab_end(l);
    l = lab_with(false);
    lab_reach(l, LAB_TIME_WAIT_FREE, true);
    r = 0;
    assert_true(fifo_next(l->t->a, &l->t->w->wait4.fifo, &r));
    struct timewait4 *v = at(l->t->a, r);
    struct timewait *w = &v->w;
    COUNTS(l, w->snd_nxt.v);
    COUNTS(l, w->rcv_nxt.v);
    COUNTS(l, w->local_port);
    COUNTS(l, w->remote_port);
    COUNTS(l, w->wnd);
    COUNTS(l, w->rcv_wscale);
    COUNTS(l, w->ts);
    COUNTS(l, w->parked);
    COUNTS(l, w->again);
    COUNTS(l, w->late);
    COUNTS(l, v->pair[3]);
    COUNTS(l, v->pair[7]);
    l->done = true;
    lab_end(l);
}

/* --- what lies beside the records ------------------------------------------------------------------- */

#define DIFFERS(l, what)                              \
    do {                                              \
        struct digest before_ = digest_of((l)->t);    \
        what;                                         \
        assert_false(same(digest_of((l)->t), before_)); \
    } while (0)

static void whatever_happens_counts(void **state)
{
    (void)state;
    struct lab *l = lab_with(false);
    tern_event e;
    tern_ip ip = tern_ip4(198, 51, 100, 1);
    tern_link_info info = {.mtu = 9000};
    tern_endpoint where = {.port = 8080};
    tern_handle h;
    struct world *w = l->t->w;
    for (size_t i = 0; i < 10; i++)
        TALK(l, story[i]);
    DIFFERS(l, tern_setopt(l->t, l->flow[0].h, TERN_OPT_NODELAY, 1));
    DIFFERS(l, assert_int_equal(tern_events(l->t, &e, 1), 1));
    DIFFERS(l, assert_int_equal(tern_listen(l->t, &where, 1, &h), 0));
    DIFFERS(l, assert_int_equal(tern_setopt(l->t, h, TERN_OPT_TTL, 3), 0));
    DIFFERS(l, assert_int_equal(tern_close(l->t, h), 0));
    DIFFERS(l, assert_int_equal(tern_link_add(l->t, &info), 2));
    DIFFERS(l, assert_int_equal(tern_addr_add(l->t, 2, &ip, 24), 0));
    DIFFERS(l, assert_int_equal(tern_route_add(l->t, 2, &ip, 16), 0));
    DIFFERS(l, l->now += 100; tern_tick(l->t, l->now)); /* timers are nearer */
    struct tcb *c = NULL;
    ref_t r = 0;
    assert_true(pool_next(l->t->a, &w->tcbs, &r));
    c = tcb_at(l->t, r);
    COUNTS(l, ((struct sendrec *)at(l->t->a, c->list.seq.head))->times);
    COUNTS(l, ((struct sendrec *)at(l->t->a, c->list.seq.head))->flags);
    COUNTS(l, ((struct sendrec *)at(l->t->a, c->list.seq.head))->size);
    COUNTS(l, ((struct sendrec *)at(l->t->a, c->list.seq.head))->sent_us);
    tern_slice s;
    uint32_t got;
    assert_true(chunkq_slices(l->t->a, &l->t->regions, &c->snd.q, c->snd.q.pos + 7000, 1, NULL, &s, 1, &got) >
                0);
    COUNTS(l, *(uint8_t *)(uintptr_t)s.data); /* a byte that waits to be sent, */
    assert_true(chunkq_slices(l->t->a, &l->t->regions, &c->rcv.q, c->rcv.q.pos + 100, 1, NULL, &s, 1, &got) >
                0);
    COUNTS(l, *(uint8_t *)(uintptr_t)s.data); /* one that waits to be read, */
    const struct range *g = at(l->t->a, c->rcv.ooo.head);
    assert_true(chunkq_slices(l->t->a, &l->t->regions, &g->q, g->q.pos, 1, NULL, &s, 1, &got) > 0);
    COUNTS(l, *(uint8_t *)(uintptr_t)s.data); /* and one out of order */
    COUNTS(l, w->set.msl_us);
    COUNTS(l, w->set.sack);
    COUNTS(l, w->key_isn.k0);
    COUNTS(l, w->key_table.w[1]);
    COUNTS(l, w->rng.counter);
    COUNTS(l, w->port_next);
    COUNTS(l, w->ip.id);
    COUNTS(l, w->ip.addrs[0].prefix_len);
    COUNTS(l, w->ip.routes[0].link);
    l->done = true;
    lab_end(l);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_lives_make_no_difference),
#ifdef MARK_BYTES
        cmocka_unit_test(every_field_counts),
#endif
        cmocka_unit_test(every_field_of_the_small_records),
        cmocka_unit_test(whatever_happens_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
