/* iperf_wire.c - what client and server of tern iperf share: the control connection, the data, JSON. */
#include "iperf.h"

#include <string.h>
#include <sys/resource.h>

int iperf_turn(iperf *it, int timeout_ms)
{
    tern_event events[64];
    iperf_move(it);
    int happened = net_turn(&it->net, -1, 0, timeout_ms);
    while (tern_events(it->net.stack, events, 64) > 0)
        continue; /* every handle is tried anyway: there are few */
    if (happened & NET_LOST)
        return IPERF_LOST;
    return happened & NET_SIGNAL ? IPERF_STOPPED : 0;
}

int iperf_read(iperf *it, tern_handle h, void *buf, size_t len, double seconds)
{
    uint64_t until = tern_host_now() + (uint64_t)(seconds * 1e6);
    size_t got = 0;
    while (got < len) {
        long n = tern_recv(it->net.stack, h, (char *)buf + got, len - got);
        if (n == 0)
            return -TERN_ECONNRESET;
        if (n < 0 && n != -TERN_EAGAIN)
            return (int)n;
        got += n > 0 ? (size_t)n : 0;
        if (n > 0)
            continue;
        uint64_t now = tern_host_now();
        if (now >= until)
            return IPERF_LATE;
        int r = iperf_turn(it, (int)((until - now) / 1000) + 1);
        if (r != 0)
            return r;
    }
    return 0;
}

int iperf_write(iperf *it, tern_handle h, const void *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        long n = tern_send(it->net.stack, h, (const char *)data + done, len - done, 0);
        if (n < 0 && n != -TERN_EAGAIN)
            return (int)n;
        done += n > 0 ? (size_t)n : 0;
        int r = n > 0 ? 0 : iperf_turn(it, 1000);
        if (r != 0)
            return r;
    }
    tern_host_flush(it->net.host);
    return 0;
}

int iperf_put_state(iperf *it, int8_t state) { return iperf_write(it, it->control, &state, 1); }

int iperf_get_state(iperf *it, double seconds)
{
    int8_t state;
    int r = iperf_read(it, it->control, &state, 1, seconds);
    return r != 0 ? r : state;
}

/* Wait for this state; others mean that the other side sees it differently. */
int iperf_expect(iperf *it, int state, double seconds)
{
    int got = iperf_get_state(it, seconds);
    if (got == state)
        return 0;
    if (got < IPERF_SERVER_ERROR)
        return got;
    if (got == IPERF_ACCESS_DENIED)
        snprintf(it->said, sizeof it->said, "the server is busy with another test; try again later");
    else if (got == IPERF_SERVER_ERROR || got == IPERF_SERVER_TERMINATE || got == IPERF_CLIENT_TERMINATE)
        snprintf(it->said, sizeof it->said, "the other side has given up (see there)");
    else
        snprintf(it->said, sizeof it->said, "the other side said %d where %d was due", got, state);
    return IPERF_BAD;
}

int iperf_put_json(iperf *it, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL)
        return -TERN_ENOMEM;
    size_t len = strlen(text);
    uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    int r = iperf_write(it, it->control, head, 4);
    if (r == 0)
        r = iperf_write(it, it->control, text, len);
    free(text);
    return r;
}

int iperf_get_json(iperf *it, json_t **out)
{
    uint8_t head[4];
    int r = iperf_read(it, it->control, head, 4, 10);
    if (r != 0)
        return r;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    char *text = len <= IPERF_JSON_MAX ? malloc(len + 1) : NULL;
    if (text != NULL)
        r = iperf_read(it, it->control, text, len, 10);
    /* iperf3 says -1 as 18446744073709551615 */
    *out = text != NULL && r == 0 ? json_loadb(text, len, JSON_DECODE_INT_AS_REAL, NULL) : NULL;
    free(text);
    if (r == 0 && *out == NULL) {
        snprintf(it->said, sizeof it->said, "the other side's JSON cannot be read");
        r = IPERF_BAD;
    }
    return r;
}

/* --- data ------------------------------------------------------------------------------------- */

static void send_stream(iperf *it, iperf_stream *s)
{
    while (it->running && (it->bytes == 0 || iperf_total(it) < it->bytes)) {
        size_t len = IPERF_BLOCK;
        if (it->bytes != 0 && it->bytes - iperf_total(it) < len)
            len = (size_t)(it->bytes - iperf_total(it));
        long n = tern_send(it->net.stack, s->h, it->block, len, 0);
        if (n <= 0)
            return;
        s->bytes += (uint64_t)n;
        if ((size_t)n < len)
            return;
    }
}

static void receive_stream(iperf *it, iperf_stream *s)
{
    tern_slice slices[64];
    int n;
    while ((n = tern_peek(it->net.stack, s->h, slices, 64)) > 0) {
        size_t len = 0;
        for (int i = 0; i < n; i++)
            len += slices[i].len;
        if (it->running)
            s->bytes += len;
        tern_consume(it->net.stack, s->h, len);
    }
}

void iperf_move(iperf *it)
{
    for (int i = 0; i < it->n_streams; i++) {
        if (it->sending)
            send_stream(it, &it->streams[i]);
        else
            receive_stream(it, &it->streams[i]);
    }
}

uint64_t iperf_total(const iperf *it)
{
    uint64_t sum = 0;
    for (int i = 0; i < it->n_streams; i++)
        sum += it->streams[i].bytes;
    return sum;
}

void iperf_start(iperf *it)
{
    it->running = true;
    it->began_us = it->reported_us = tern_host_now();
    it->next_report_us = it->began_us + 1000000;
    it->reported_bytes = 0;
    it->retransmits = 0;
    iperf_report_begin(it);
}

static uint64_t stream_retransmits(const iperf *it, int i)
{
    tern_info info;
    return tern_get_info(it->net.stack, it->streams[i].h, &info) == 0 ? info.retransmits : 0;
}

void iperf_stop(iperf *it)
{
    it->running = false;
    it->ended_us = tern_host_now();
    for (int i = 0; i < it->n_streams; i++)
        it->retransmits += stream_retransmits(it, i);
}

/* Share of one processor that this process has used since it began, in hundredths, as iperf3 tells it. */
static void add_cpu(json_t *root, double seconds)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double user = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
    double sys = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
    json_object_set_new(root, "cpu_util_total", json_real(100 * (user + sys) / seconds));
    json_object_set_new(root, "cpu_util_user", json_real(100 * user / seconds));
    json_object_set_new(root, "cpu_util_system", json_real(100 * sys / seconds));
}

json_t *iperf_results(iperf *it)
{
    double seconds = (double)(it->ended_us - it->began_us) / 1e6;
    json_t *root = json_object(), *streams = json_array();
    add_cpu(root, seconds > 0 ? seconds : 1);
    json_object_set_new(root, "sender_has_retransmits", json_integer(it->sending ? 1 : -1));
    for (int i = 0; i < it->n_streams; i++) {
        const iperf_stream *s = &it->streams[i];
        json_array_append_new(
            streams,
            json_pack("{s:i, s:I, s:I, s:f, s:i, s:i, s:f, s:f}", "id", s->id, "bytes", (json_int_t)s->bytes,
                      "retransmits", (json_int_t)(it->sending ? (int64_t)stream_retransmits(it, i) : -1),
                      "jitter", 0.0, "errors", 0, "packets", 0, "start_time", 0.0, "end_time", seconds));
    }
    json_object_set_new(root, "streams", streams);
    return root;
}

void iperf_close_all(iperf *it)
{
    for (int i = 0; i < it->n_streams; i++)
        tern_close(it->net.stack, it->streams[i].h);
    it->n_streams = 0;
    if (it->control.v != 0)
        tern_close(it->net.stack, it->control);
    it->control.v = 0;
    tern_host_flush(it->net.host);
}

const char *iperf_error(const iperf *it, int error)
{
    switch (error) {
    case IPERF_STOPPED: return "stopped";
    case IPERF_LOST: return "the TUN device is gone";
    case IPERF_BAD: return it->said;
    case IPERF_LATE: return "the other side does not answer";
    default: return strerror(-error);
    }
}
