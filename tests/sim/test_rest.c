/* test_rest.c - programs that pause, on stacks whose connections rest as soon as they may: the oracle, which
 * reads only the wire and the results of calls, must find nothing; and they did rest. */
#include "sim/oracle.h"
#include "sim/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void judge(const struct world *w)
{
    struct verdict v;
    oracle_judge(w, &v);
    for (uint32_t i = 0; i < v.n_complaints && i < COMPLAINTS; i++)
        print_error("%s\n", v.complaint[i]);
    assert_true(v.ok);
    assert_true(v.segments > 100 && v.states > 10);
    verdict_free(&v);
}

/* How often connections of a host came to rest. */
static uint64_t rests(const struct world *w, int host)
{
    tern_stats s;
    tern_get_stats(w->host[host].stack, &s);
    return s.rests;
}

/* Now one writes, now the other, now nobody; between them pauses of up to ten seconds. */
static void talk(struct world *w, struct end *a, struct end *b, uint64_t seed)
{
    uint64_t dice = seed;
    for (int round = 0; round < 30; round++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        uint32_t v = (uint32_t)(dice >> 33);
        if (v & 1)
            prog_send_stream(a, 1 + v % 5000);
        if (v & 2)
            prog_send_stream(b, 1 + v / 5000 % 5000);
        world_run(w, v & 4 ? 300000 : 1000000 + v % 9000000);
        prog_read(a), prog_read(b);
        if (v & 8)
            world_run(w, 3000000);
    }
}

/* One half closes and both rest, in FIN_WAIT_2 and CLOSE_WAIT; then the other half has more to say. */
static void part(struct world *w, struct end *first, struct end *last)
{
    prog_shutdown(first);
    world_run(w, 5000000);
    prog_read(last);
    world_run(w, 5000000);
    prog_send_stream(last, 3000);
    world_run(w, 5000000);
    prog_read(first);
    world_run(w, 5000000);
    prog_close(last);
    world_run(w, 5000000);
    prog_read(first);
    prog_close(first);
    world_run(w, 100000000);
}

static void pauses(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct world *w = calloc(1, sizeof *w);
        struct world_setup setup = {
            .seed = seed, .ip6 = seed & 1, .stack[A].rest_ms = 1, .stack[B].rest_ms = 1};
        setup.stack[A].no_timestamps = (seed & 2) != 0;
        setup.stack[B].no_sack = (seed & 4) != 0;
        setup.stack[A].ecn = seed & 8 ? TERN_ECN_ON : TERN_ECN_PASSIVE;
        assert_int_equal(world_init(w, &setup), 0);
        struct end *listener = prog_listen(w, B, 80, 0), *a = prog_connect(w, A, B, 80, 0);
        world_settle(w);
        struct end *b = prog_accept(listener);
        assert_non_null(b);
        if (seed % 3 == 0) {
            prog_setopt(a, TERN_OPT_KEEPIDLE_MS, 2000);
            prog_setopt(a, TERN_OPT_KEEPALIVE, 1);
        }
        talk(w, a, b, seed);
        part(w, seed & 16 ? a : b, seed & 16 ? b : a);
        assert_true(rests(w, A) > 10 && rests(w, B) > 10);
        judge(w);
        world_free(w);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pauses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
