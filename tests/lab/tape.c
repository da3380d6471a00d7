/* tape.c - see tape.h. */
#include "lab/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_put(struct bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->v = realloc(b->v, b->cap);
        if (b->v == NULL)
            abort();
    }
    if (n > 0)
        memcpy(b->v + b->n, data, n);
    b->n += n;
}

void bytes_free(struct bytes *b)
{
    free(b->v);
    *b = (struct bytes){0};
}

void bytes_write(const struct bytes *b, const char *path)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(b->v, 1, b->n, f) != b->n || fclose(f) != 0)
        abort();
}

struct bytes bytes_read(const char *path)
{
    struct bytes b = {0};
    char buf[65536];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        abort();
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        bytes_put(&b, buf, n);
    fclose(f);
    return b;
}

static void put_result(struct bytes *out, int64_t result) { bytes_put(out, &result, sizeof result); }

static void do_tx(tern *t, uint64_t now, struct bytes *out)
{
    static const tern_tx_packet nothing;
    static uint8_t flat[70000];
    tern_tx_packet pkt = nothing;
    int n = tern_tx(t, now, &pkt, 1);
    put_result(out, n == 1 ? (int64_t)pkt.len : -1);
    if (n == 1)
        bytes_put(out, flat, tern_tx_flatten(&pkt, flat));
}

static void do_events(tern *t, uint32_t max, struct bytes *out)
{
    tern_event e[16];
    memset(e, 0, sizeof e);
    int n = tern_events(t, e, (int)(max < 16 ? max : 16));
    put_result(out, n);
    for (int i = 0; i < n; i++) {
        bytes_put(out, &e[i].handle, sizeof e[i].handle);
        bytes_put(out, &e[i].data, sizeof e[i].data);
        bytes_put(out, &e[i].bits, sizeof e[i].bits);
    }
}

static void do_recv(tern *t, tern_handle h, uint32_t max, struct bytes *out)
{
    static uint8_t buf[65536];
    long n = tern_recv(t, h, buf, max < sizeof buf ? max : sizeof buf);
    put_result(out, n);
    bytes_put(out, buf, n > 0 ? (size_t)n : 0);
}

/* The records come in the order of their places in memory: the same in a copy. */
static void do_info(tern *t, struct bytes *out)
{
    uint64_t cursor = 0;
    tern_info info;
    tern_stats stats;
    tern_live live;
    put_result(out, 0);
    while (tern_walk(t, &cursor, &info))
        bytes_put(out, &info, sizeof info);
    tern_get_stats(t, &stats);
    tern_get_live(t, &live);
    bytes_put(out, &stats, sizeof stats);
    bytes_put(out, &live, sizeof live);
}

static void do_trace(tern *t, struct bytes *out)
{
    tern_trace_record r[32];
    for (int n; (n = tern_trace_take(t, r, 32, NULL)) > 0;)
        bytes_put(out, r, (size_t)n * sizeof r[0]);
}

size_t tape_do(tern *t, const struct op *o, const void *bytes, struct bytes *out)
{
    size_t at = out->n;
    tern_handle h = {o->handle};
    switch ((enum tape_op)o->what) {
    case OP_RX: {
        tern_rx_packet p = {.data = bytes, .len = o->len, .link = 1};
        tern_rx(t, o->now, &p, 1);
        put_result(out, (int64_t)p.verdict << 32 | p.cause);
        break;
    }
    case OP_TICK:
        tern_tick(t, o->now);
        put_result(out, (int64_t)tern_next_deadline(t));
        break;
    case OP_TX: do_tx(t, o->now, out); break;
    case OP_EVENTS: do_events(t, o->arg, out); break;
    case OP_ACCEPT: {
        tern_handle got = {0};
        int e = tern_accept(t, h, &got);
        put_result(out, e);
        bytes_put(out, &got, sizeof got);
        break;
    }
    case OP_SEND: put_result(out, tern_send(t, h, bytes, o->len, o->arg)); break;
    case OP_RECV: do_recv(t, h, o->arg, out); break;
    case OP_SHUTDOWN: put_result(out, tern_shutdown(t, h)); break;
    case OP_CLOSE: put_result(out, tern_close(t, h)); break;
    case OP_INFO: do_info(t, out); break;
    }
    do_trace(t, out);
    return at;
}

void tape_play(tern *t, const struct bytes *tape, struct bytes *out)
{
    struct op o;
    for (size_t at = 0; at < tape->n; at += o.len) {
        memcpy(&o, tape->v + at, sizeof o);
        at += sizeof o;
        tape_do(t, &o, tape->v + at, out);
    }
}
