/* iperf_server.c - the server's course of tests, one after the other; iperf.h has the picture. */
#include "iperf.h"

#include <string.h>

/* Wait for a connection; `seconds` < 0: for ever. */
static int accept_one(iperf *it, tern_handle *h, double seconds)
{
    uint64_t until = seconds < 0 ? UINT64_MAX : tern_host_now() + (uint64_t)(seconds * 1e6);
    while (tern_accept(it->net.stack, it->listener, h) != 0) {
        uint64_t now = tern_host_now();
        if (now >= until)
            return IPERF_LATE;
        int r = iperf_turn(it, until == UINT64_MAX ? -1 : (int)((until - now) / 1000) + 1);
        if (r != 0)
            return r;
    }
    return 0;
}

static uint64_t number(const json_t *p, const char *key)
{
    double v = json_number_value(json_object_get(p, key));
    return v > 0 && v < 9e18 ? (uint64_t)v : 0;
}

/* What the client wants; IPERF_BAD after telling it that we cannot. */
static int take_parameters(iperf *it, const json_t *p)
{
    it->reverse = json_is_true(json_object_get(p, "reverse"));
    it->sending = it->reverse;
    it->bytes = number(p, "num");
    it->seconds = json_number_value(json_object_get(p, "time"));
    uint64_t parallel = number(p, "parallel");
    it->parallel = parallel == 0 ? 1 : parallel <= IPERF_STREAMS ? (int)parallel : IPERF_STREAMS + 1;
    if (json_is_true(json_object_get(p, "tcp")) && !json_is_true(json_object_get(p, "bidirectional")) &&
        it->parallel <= IPERF_STREAMS)
        return 0;
    static const uint8_t numbers[8] = {0, 0, 0, 13}; /* iperf3's number for "not implemented", and no errno */
    iperf_put_state(it, IPERF_SERVER_ERROR);
    iperf_write(it, it->control, numbers, sizeof numbers);
    snprintf(it->said, sizeof it->said,
             "the client wants what is not here: TCP, one direction, at most %d streams", IPERF_STREAMS);
    return IPERF_BAD;
}

/* Connections with our client's cookie are its streams; any other client is told that we are busy. */
static int accept_streams(iperf *it)
{
    while (it->n_streams < it->parallel) {
        char cookie[IPERF_COOKIE];
        iperf_stream *s = &it->streams[it->n_streams];
        *s = (iperf_stream){.id = it->n_streams == 0 ? 1 : it->n_streams + 2};
        int r = accept_one(it, &s->h, 10);
        if (r != 0)
            return r;
        r = iperf_read(it, s->h, cookie, IPERF_COOKIE, 10);
        if (r == 0 && memcmp(cookie, it->cookie, IPERF_COOKIE) == 0) {
            it->n_streams++;
            continue;
        }
        int8_t denied = IPERF_ACCESS_DENIED;
        tern_send(it->net.stack, s->h, &denied, 1, 0);
        tern_close(it->net.stack, s->h);
    }
    return 0;
}

static int begin(iperf *it)
{
    json_t *p = NULL;
    tern_setopt(it->net.stack, it->control, TERN_OPT_NODELAY, 1);
    int r = iperf_read(it, it->control, it->cookie, IPERF_COOKIE, 10);
    if (r == 0)
        r = iperf_put_state(it, IPERF_PARAM_EXCHANGE);
    if (r == 0)
        r = iperf_get_json(it, &p);
    if (r == 0)
        r = take_parameters(it, p);
    json_decref(p);
    if (r == 0)
        r = iperf_put_state(it, IPERF_CREATE_STREAMS);
    if (r == 0)
        r = accept_streams(it);
    if (r == 0)
        r = iperf_put_state(it, IPERF_TEST_START);
    if (r == 0)
        r = iperf_put_state(it, IPERF_TEST_RUNNING);
    return r;
}

/* Others who come while a test runs are told so. */
static void turn_away(iperf *it)
{
    tern_handle h;
    while (tern_accept(it->net.stack, it->listener, &h) == 0) {
        int8_t denied = IPERF_ACCESS_DENIED;
        tern_send(it->net.stack, h, &denied, 1, 0);
        tern_shutdown(it->net.stack, h);
        tern_close(it->net.stack, h);
    }
}

/* Data until the client says that the test is over. */
static int run_data(iperf *it)
{
    iperf_start(it);
    for (;;) {
        uint64_t now = tern_host_now();
        int8_t state;
        iperf_report_interval(it, now);
        long n = tern_recv(it->net.stack, it->control, &state, 1);
        if (n == 0)
            return -TERN_ECONNRESET;
        if (n < 0 && n != -TERN_EAGAIN)
            return (int)n;
        if (n == 1 && state == IPERF_TEST_END)
            break;
        if (n == 1) {
            snprintf(it->said, sizeof it->said, "the client has given up (state %d)", state);
            return IPERF_BAD;
        }
        turn_away(it);
        int r = iperf_turn(it, it->next_report_us > now ? (int)((it->next_report_us - now) / 1000) + 1 : 0);
        if (r != 0)
            return r;
    }
    iperf_stop(it);
    /* iperf3 as receiver reads whole blocks: only the end of the stream frees it from waiting for the rest of
     * one */
    for (int i = 0; i < it->n_streams && it->sending; i++)
        tern_shutdown(it->net.stack, it->streams[i].h);
    return 0;
}

static int exchange(iperf *it)
{
    int r = iperf_put_state(it, IPERF_EXCHANGE_RESULTS);
    if (r == 0)
        r = iperf_get_json(it, &it->peer);
    if (r == 0)
        r = iperf_put_json(it, iperf_results(it));
    if (r == 0)
        r = iperf_put_state(it, IPERF_DISPLAY_RESULTS);
    if (r == 0)
        iperf_report_end(it);
    if (r == 0)
        iperf_get_state(it, 2); /* IPERF_DONE; who leaves without a word has got all the same */
    return r;
}

static int one_test(iperf *it)
{
    int r = accept_one(it, &it->control, -1);
    if (r == 0)
        r = begin(it);
    if (r == 0)
        r = run_data(it);
    if (r == 0)
        r = exchange(it);
    else if (r == IPERF_STOPPED && it->control.v != 0)
        iperf_put_state(it, IPERF_SERVER_TERMINATE);
    iperf_close_all(it);
    json_decref(it->peer);
    it->peer = NULL;
    it->running = false;
    return r;
}

int iperf_server_run(iperf *it)
{
    tern_endpoint where = {.port = it->port};
    int r = tern_listen(it->net.stack, &where, 64, &it->listener);
    if (r != 0)
        return r;
    tern_setopt(it->net.stack, it->listener, TERN_OPT_MAX_SEG, it->mss);
    do {
        r = one_test(it);
        if (r != 0 && r != IPERF_STOPPED && r != IPERF_LOST)
            fprintf(stderr, "tern iperf: that test failed: %s\n", iperf_error(it, r));
    } while (!it->once && r != IPERF_STOPPED && r != IPERF_LOST);
    return r;
}
