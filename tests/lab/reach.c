/* reach.c - connection 0 in any of the states, by real segments and calls; and running tests in every
 * variant. */
#include "lab/lab.h"

const char *const lab_place_names[LAB_PLACES] = {
    "CLOSED",          "CLOSED held", "LISTEN",     "SYN_SENT",       "SYN_RCVD passive",
    "SYN_RCVD active", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2",     "CLOSE_WAIT",
    "CLOSING",         "LAST_ACK",    "TIME_WAIT",  "TIME_WAIT free",
};

enum tern_state lab_place_state(enum lab_place p)
{
    static const enum tern_state states[LAB_PLACES] = {
        TERN_CLOSED,   TERN_CLOSED,      TERN_LISTEN,     TERN_SYN_SENT,   TERN_SYN_RCVD,
        TERN_SYN_RCVD, TERN_ESTABLISHED, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_CLOSE_WAIT,
        TERN_CLOSING,  TERN_LAST_ACK,    TERN_TIME_WAIT,  TERN_TIME_WAIT,
    };
    return states[p];
}

void lab_connect(struct lab *l, const char *opts)
{
    TALKF(l,
          "connect\n"
          "> S 0\n"
          "< SA 0 ack 1 win 65535 <%s>\n"
          "> A 1 ack 1\n"
          "= ESTABLISHED\n"
          "events CONNECTED",
          opts);
}

void lab_accept(struct lab *l, const char *opts)
{
    if (!l->listener.v)
        TALK(l, "listen");
    TALKF(l,
          "< S 0 win 65535 <%s>\n"
          "> SA 0 ack 1\n"
          "= SYN_RCVD\n"
          "< A 1 ack 1\n"
          "accept\n"
          "= ESTABLISHED",
          opts);
}

static void open_it(struct lab *l, bool active)
{
    if (active)
        lab_connect(l, "mss 1460");
    else
        lab_accept(l, "mss 1460");
}

static void reach_opening(struct lab *l, enum lab_place p, bool active)
{
    switch (p) {
    case LAB_CLOSED_HELD:
        open_it(l, active);
        TALK(l, "< R 1");
        break;
    case LAB_LISTEN: TALK(l, "listen"); break;
    case LAB_SYN_SENT: TALK(l, "connect\n> S 0"); break;
    case LAB_SYN_RCVD_PASSIVE: TALK(l, "listen\n< S 0 win 65535 <mss 1460>\n> SA 0 ack 1"); break;
    case LAB_SYN_RCVD_ACTIVE: TALK(l, "connect\n> S 0\n< S 0 win 65535 <mss 1460>\n> SA 0 ack 1"); break;
    default: break;
    }
}

static void reach_closing(struct lab *l, enum lab_place p)
{
    switch (p) {
    case LAB_FIN_WAIT_1: TALK(l, "shutdown\n> FA 1 ack 1"); break;
    case LAB_FIN_WAIT_2: TALK(l, "shutdown\n> FA 1 ack 1\n< A 1 ack 2"); break;
    case LAB_CLOSE_WAIT: TALK(l, "< FA 1 ack 1\n+0..500ms > A 1 ack 2"); break;
    case LAB_CLOSING: TALK(l, "shutdown\n> FA 1 ack 1\n< FA 1 ack 1\n> A 2 ack 2"); break;
    case LAB_LAST_ACK: TALK(l, "< FA 1 ack 1\n+0..500ms > A 1 ack 2\nshutdown\n> FA 1 ack 2"); break;
    case LAB_TIME_WAIT: TALK(l, "shutdown\n> FA 1 ack 1\n< FA 1 ack 2\n> A 2 ack 2"); break;
    case LAB_TIME_WAIT_FREE: TALK(l, "close\n> FA 1 ack 1\n< FA 1 ack 2\n> A 2 ack 2"); break;
    default: break;
    }
}

void lab_reach(struct lab *l, enum lab_place p, bool active)
{
    if (p < LAB_ESTABLISHED) {
        reach_opening(l, p, active);
    } else {
        open_it(l, active);
        reach_closing(l, p);
    }
    lab_events(l, 0);
    TALKF(l, "= %s\n> none", tern_state_name(lab_place_state(p)));
}

static const struct lab_variant variants[] = {
    {.name = "plain"},
    {.name = "2^31", .has_iss = true, .iss = 0x7fffffffu, .peer_iss = 0x7fffff00u},
    {.name = "2^32", .has_iss = true, .iss = 0xffffff80u, .peer_iss = 0xffffffffu},
    {.name = "IPv6", .v6 = true},
    {.name = "by steps", .by_steps = true},
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* Whether TERN_VARIANTS names this one, or is not set. */
static bool wanted(const struct lab_variant *v)
{
    const char *all = getenv("TERN_VARIANTS");
    return !all || strstr(all, v->name);
}

int lab_main(const char *group, const struct CMUnitTest *tests, size_t n)
{
    struct CMUnitTest *all = calloc(n * VARIANTS, sizeof(*all));
    char(*names)[128] = calloc(n * VARIANTS, sizeof(*names));
    if (!all || !names)
        return 1;
    size_t count = 0;
    for (size_t i = 0; i < n * VARIANTS; i++) {
        const struct lab_variant *v = &variants[i / n];
        if (!wanted(v))
            continue;
        all[count] = tests[i % n];
        all[count].initial_state = (void *)(uintptr_t)v;
        snprintf(names[count], sizeof(names[count]), "%s, %s", tests[i % n].name, v->name);
        all[count].name = names[count];
        count++;
    }
    int failed = _cmocka_run_group_tests(group, all, count, NULL, NULL);
    free(names);
    free(all);
    return failed;
}
