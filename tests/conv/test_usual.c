/* The segments of a usual life (src/tcp/usual.c), each in one go: whatever makes one unusual, the stack is
 * the same afterwards as one that has no short ways (tern_config.by_steps): its digest, what it answers, what
 * it tells its program. Every situation of a list meets every segment of another. */
#include "lab/lab.h"
#include "stack/stack.h"
#include "tcp/tcp.h"

/* What happens first, behind 5000 bytes that are sent and 10 that have come. */
struct scene {
    const char *script;
    uint32_t next; /* what the peer sends next */
};

#define ALL "< A 11 ack 5001\nforget\n" /* nothing is in flight any more */
#define ONE ALL "send 100\nforget\n"    /* one sending is */
#define DUP "< A 11 ack 1\nforget\n"

static const struct scene scenes[] = {
    {"", 11},
    {ALL, 11},
    {ONE, 11},
    {ONE "+20ms < A 11 ack 5001\nforget", 11},
    {ONE "send 3000\nforget", 11},
    {ONE "send 50\nforget", 11}, /* which Nagle holds */
    {ALL "recv 10\nevents", 11},
    {ALL "send 1448\nforget\n< A 11 ack 6449\nsend 400000 -> 262144\nforget", 11},
    /* closed here, there, on both sides; let go */
    {ALL "shutdown\nforget", 11},
    {ONE "shutdown\nforget", 11},
    {ALL "shutdown\nforget\n< A 11 ack 5002\nforget", 11},
    {ALL "recv 10\nclose\nforget", 11},
    {ONE "recv 10\nclose\nforget", 11},
    {ALL "recv 10\nclose\nforget\n< A 11 ack 5002\nforget", 11},
    {ALL "< FA 11 ack 5001\nforget", 12},
    {ONE "< FA 11 ack 5001\nforget", 12},
    {ALL "< FA 11 ack 5001\nshutdown\nforget", 12},
    {ONE "< FA 11 ack 5001\nshutdown\nforget", 12},
    {ALL "shutdown\nforget\n< FA 11 ack 5001\nforget", 12},
    {ALL "shutdown\nforget\n< FA 11 ack 5002\nforget", 12},
    /* gaps, and a FIN that waits behind one */
    {ALL "< A 41:51(10) ack 5001\nforget", 11},
    {ONE "< A 41:51(10) ack 5001\nforget", 11},
    {ONE "< FA 41:51(10) ack 5001\nforget", 11},
    /* repeated by the timer, once and to the end of it; by duplicates; what came twice, says the peer */
    {ONE "+any > PA 5001:5101(100) ack 11\n", 11},
    {ONE "+3s < A 11 ack 5001\nforget", 11},
    {ONE "+3s < A 11 ack 5101\nforget\nsend 100\nforget", 11},
    {DUP, 11},
    {DUP DUP DUP, 11},
    {DUP DUP DUP ONE, 11},
    {ALL "< A 11 ack 5001 <sack 1:1000>\nsend 100\nforget", 11},
    /* a shut window, with something in flight and without */
    {ONE "< A 11 ack 5001 win 0\nforget", 11},
    {ALL "< A 11 ack 5001 win 0\nsend 100\nforget", 11},
    {ALL "< A 11 ack 5001 win 0\nsend 100\n+3s < A 11 ack 5001 win 0\nforget", 11},
    /* an old ACK was the last to tell a window */
    {ALL "< A 11:21(10) ack 5001\nforget\n< A 31:41(10) ack 5001\nforget\n< A 21:31(10) ack 5001\nforget",
     41},
    /* long quiet */
    {ALL "recv 10\nevents\n+5s < A 10 ack 5001\nforget", 11},
    {ALL "recv 10\nevents\n+9s < A 11 ack 5001\nforget", 11},
};

/* A segment, by how far its numbers are from those that come next. */
struct line {
    const char *flags;
    int at;
    uint32_t len;
    int ack;
    const char *rest;
};

static const struct line lines[] = {
    {"A", 0, 0, 0, ""},          {"PA", 0, 10, 0, ""},         {"FPA", 0, 10, 0, ""},
    {"FA", 0, 0, 0, ""},         {"A", 0, 0, -50, ""},         {"PA", 0, 10, -1, ""},
    {"FA", 0, 0, -1, ""},        {"PA", 0, 10, -50, ""},       {"A", 0, 0, 1, ""},
    {"PA", 0, 10, 1, ""},        {"A", 0, 0, -4000, ""},       {"A", 0, 0, -99999, ""},
    {"UPA", 0, 10, 0, "urg 5"},  {"UA", 0, 0, 0, "urg 5"},     {"EA", 0, 0, 0, ""},
    {"EPA", 0, 10, 0, ""},       {"WPA", 0, 10, 0, ""},        {"PA", 0, 10, 0, "ce"},
    {"R", 0, 0, 0, ""},          {"R", 1, 0, 0, ""},           {"RA", 0, 0, 0, ""},
    {"S", 0, 0, 0, ""},          {"SA", 0, 0, 0, ""},          {"-", 0, 10, 0, ""},
    {"A", 1, 10, 0, ""},         {"A", -1, 0, 0, ""},          {"A", -5, 25, 0, ""},
    {"A", 0, 30, 0, ""},         {"A", 0, 34, 0, ""},          {"FA", 0, 30, 0, ""},
    {"A", 0, 60000, 0, ""},      {"A", 65535, 0, 0, ""},       {"A", 65536, 0, 0, ""},
    {"A", 0, 0, 0, "win 0"},     {"PA", 0, 10, 0, "win 0"},    {"A", 0, 0, 0, "win 500"},
    {"PA", 0, 10, 0, "win 90"},  {"A", 0, 0, 0, "<sack 1:90>"}, {"PA", 0, 10, 0, "<sack 5001:5051>"},
    {"A", 0, 0, 0, "<nots>"},    {"PA", 0, 10, 0, "<nots>"},   {"A", 0, 0, 0, "<ts 1 ecr 1>"},
    {"PA", 0, 10, 0, "<ts 1 ecr 1>"},
};

static bool nothing_traced; /* but changes of state */

static struct lab *live(void **state, const char *options, const struct scene *s, bool by_steps)
{
    struct lab_config cfg = {.stack = {.by_steps = by_steps}, .any_edge = true};
    struct lab *l = lab_new(state, &cfg);
    assert_int_equal(l->t->w->by_steps, by_steps || l->variant->by_steps);
    if (nothing_traced)
        tern_trace_only(l->t, 1u << TERN_TRACE_STATE);
    l->tuned = true; /* numbers that wrap are asked elsewhere, and waiting for them costs a stack each */
    lab_accept(l, options);
    TALK(l, "send 5000");
    lab_forget(l);
    TALK(l, "< A 1:11(10) ack 1");
    lab_forget(l);
    TALK(l, s->script);
    lab_forget(l);
    return l;
}

static void give(struct lab *l, const struct scene *s, const struct line *w)
{
    uint8_t buf[66000];
    char text[120];
    uint32_t at = s->next + (uint32_t)w->at, sent = l->flow[0].peer_nxt - l->flow[0].iss;
    snprintf(text, sizeof text, "%s %u:%u(%u) ack %u %s", w->flags, at, at + w->len, w->len,
             sent + (uint32_t)w->ack, w->rest);
    lab_rx(l, buf, lab_packet(l, text, buf));
}

static void meet(void **state, const char *options, const struct scene *s, const struct line *w)
{
    static const struct line then[] = {{"A", 0, 0, 0, ""}, {"PA", 10, 10, 0, ""}};
    struct lab *a = live(state, options, s, false), *b = live(state, options, s, true);
    for (int i = 0; i < 3; i++) {
        give(a, s, i == 0 ? w : &then[i - 1]);
        give(b, s, i == 0 ? w : &then[i - 1]);
        assert_int_equal(a->last_rx.verdict, b->last_rx.verdict);
        assert_int_equal(a->last_rx.cause, b->last_rx.cause);
        assert_int_equal(lab_events(a, 0), lab_events(b, 0));
        lab_same_stacks(a, b);
        lab_same_answers(a, b);
    }
    lab_run(a, 3 * SEC);
    lab_run(b, 3 * SEC);
    lab_same_answers(a, b);
    lab_same_stacks(a, b);
    lab_end(a);
    lab_end(b);
}

static void every_scene(void **state, const char *options)
{
    for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
        for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++)
            meet(state, options, &scenes[i], &lines[k]);
}

static void with_all_options(void **state) { every_scene(state, "mss 1460,sackOK,ts"); }

/* Some short ways are for who writes nothing of segments down. */
static void untraced(void **state)
{
    nothing_traced = true;
    every_scene(state, "mss 1460,sackOK,ts");
    every_scene(state, "mss 1460,sackOK,wscale 7");
    nothing_traced = false;
}

static void with_sack_alone(void **state) { every_scene(state, "mss 1460,sackOK"); }

static void without_options(void **state) { every_scene(state, "mss 1460"); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(with_all_options),
        LAB_TEST(untraced),
        LAB_TEST(with_sack_alone),
        LAB_TEST(without_options),
    };
    return LAB_MAIN(tests);
}
