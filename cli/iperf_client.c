/* iperf_client.c - the client's course of a test; iperf.h has the picture. */
#include "iperf.h"

#include <string.h>

static void make_cookie(iperf *it)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    /* tells tests apart, no secret */
    uint64_t x = tern_host_now() * 6364136223846793005u + it->streams[0].h.v;
    for (int i = 0; i < IPERF_COOKIE - 1; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        it->cookie[i] = letters[x >> 59];
    }
    it->cookie[IPERF_COOKIE - 1] = '\0';
}

/* Open a connection and say the cookie on it. */
static int open_one(iperf *it, tern_handle *h)
{
    uint64_t until = tern_host_now() + 10000000;
    int r = tern_connect(it->net.stack, NULL, &it->remote, h);
    if (r != 0)
        return r;
    tern_setopt(it->net.stack, *h, TERN_OPT_MAX_SEG, it->mss);
    for (;;) {
        tern_info info;
        tern_get_info(it->net.stack, *h, &info);
        if (info.state == TERN_CLOSED)
            return info.error;
        if (info.state != TERN_SYN_SENT && info.state != TERN_SYN_RCVD)
            return iperf_write(it, *h, it->cookie, IPERF_COOKIE);
        if (tern_host_now() >= until)
            return IPERF_LATE;
        if ((r = iperf_turn(it, 1000)) != 0)
            return r;
    }
}

static json_t *parameters(const iperf *it)
{
    json_t *p = json_pack("{s:b, s:i, s:i, s:I, s:i, s:i, s:i, s:i, s:s}", "tcp", 1, "omit", 0, "time",
                          (int)it->seconds, "num", (json_int_t)it->bytes, "blockcount", 0, "parallel",
                          it->parallel, "len", IPERF_BLOCK, "pacing_timer", 1000, "client_version", "3.12");
    if (it->reverse)
        json_object_set_new(p, "reverse", json_true());
    return p;
}

static int open_streams(iperf *it)
{
    tern_setopt(it->net.stack, it->control, TERN_OPT_NODELAY, 1);
    while (it->n_streams < it->parallel) {
        iperf_stream *s = &it->streams[it->n_streams];
        *s = (iperf_stream){.id = it->n_streams == 0 ? 1 : it->n_streams + 2};
        int r = open_one(it, &s->h);
        if (r != 0)
            return r;
        it->n_streams++;
    }
    return 0;
}

static bool is_over(const iperf *it, uint64_t now)
{
    if (it->bytes != 0)
        return iperf_total(it) >= it->bytes;
    return now >= it->began_us + (uint64_t)(it->seconds * 1e6);
}

/* Data until time or bytes are over. The server speaks only when it gives up. */
static int run_data(iperf *it)
{
    iperf_start(it);
    for (;;) {
        uint64_t now = tern_host_now();
        iperf_report_interval(it, now);
        if (is_over(it, now))
            break;
        uint64_t until = it->next_report_us;
        if (it->bytes == 0 && it->began_us + (uint64_t)(it->seconds * 1e6) < until)
            until = it->began_us + (uint64_t)(it->seconds * 1e6);
        int r = iperf_turn(it, until > now ? (int)((until - now) / 1000) + 1 : 0);
        if (r != 0)
            return r;
        int8_t state;
        long n = tern_recv(it->net.stack, it->control, &state, 1);
        if (n == 0)
            return -TERN_ECONNRESET;
        if (n < 0 && n != -TERN_EAGAIN)
            return (int)n;
        if (n == 1) {
            snprintf(it->said, sizeof it->said, "the server has ended the test (state %d)", state);
            return IPERF_BAD;
        }
    }
    iperf_stop(it);
    return 0;
}

static int exchange(iperf *it)
{
    int r = iperf_put_state(it, IPERF_TEST_END);
    if (r == 0)
        r = iperf_expect(it, IPERF_EXCHANGE_RESULTS, 10);
    if (r == 0)
        r = iperf_put_json(it, iperf_results(it));
    if (r == 0)
        r = iperf_get_json(it, &it->peer);
    if (r == 0)
        r = iperf_expect(it, IPERF_DISPLAY_RESULTS, 10);
    if (r == 0)
        r = iperf_put_state(it, IPERF_DONE);
    return r;
}

static int begin(iperf *it)
{
    int r = open_one(it, &it->control);
    if (r == 0)
        r = iperf_expect(it, IPERF_PARAM_EXCHANGE, 10);
    if (r == 0)
        r = iperf_put_json(it, parameters(it));
    if (r == 0)
        r = iperf_expect(it, IPERF_CREATE_STREAMS, 10);
    if (r == 0)
        r = open_streams(it);
    if (r == 0)
        r = iperf_expect(it, IPERF_TEST_START, 10);
    if (r == 0)
        r = iperf_expect(it, IPERF_TEST_RUNNING, 10);
    return r;
}

int iperf_client_run(iperf *it)
{
    it->sending = !it->reverse;
    make_cookie(it);
    int r = begin(it);
    if (r == 0)
        r = run_data(it);
    if (r == IPERF_STOPPED && it->control.v != 0)
        iperf_put_state(it, IPERF_CLIENT_TERMINATE);
    if (r == 0)
        r = exchange(it);
    if (r == 0)
        iperf_report_end(it);
    iperf_close_all(it);
    return r;
}
