/* tun_tern.c - tern's side of the benchmarks over TUN: small programs with the public API.
 *
 * A program works between tern_host_receive and tern_host_flush, so that what it says and the acknowledgment
 * of what it heard are one segment; and it works on each batch as it comes, while that is in the cache.
 */
#include "tun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tern/host.h>

enum {
    BLOCK = 1 << 16,
    BULK_PAGE = 1 << 16,   /* who moves much gives the stack large pages: a page is a piece of a packet */
    BULK_BUFFER = 3 << 20, /* what is sent in a turn: its cost is shared by so many packets */
};

struct program {
    tern_host *host;
    tern *t;
    tern_handle sink, web; /* listeners */
    uint64_t done;
    bool peeks, sends, lends, closes;
    tern_handle peer; /* whom we send to; v 0: nobody */
    int region;
    uint64_t lent; /* bytes lent and not yet back */
    uint32_t len;
    const char *answer;
    uint8_t *block; /* BLOCK bytes */
};

static void receive(struct program *p, tern_handle h)
{
    tern_slice slices[32];
    uint64_t all = 0;
    long n;
    if (p->peeks) {
        while ((n = tern_peek(p->t, h, slices, 32)) > 0) {
            all = 0;
            for (long i = 0; i < n; i++)
                all += slices[i].len;
            tern_consume(p->t, h, all);
            p->done += all;
        }
        return;
    }
    while ((n = tern_recv(p->t, h, p->block, 65536)) > 0)
        p->done += (uint64_t)n;
}

static void send_all(struct program *p)
{
    long n;
    do {
        n = p->lends ? tern_lend(p->t, p->peer, p->region, 0, BLOCK, 1, TERN_MORE)
                     : tern_send(p->t, p->peer, p->block, 65536, TERN_MORE);
    } while (n > 0);
}

static void answer(struct program *p, tern_handle h)
{
    tern_slice slice;
    int n;
    while ((n = tern_peek(p->t, h, &slice, 1)) > 0) {
        tern_consume(p->t, h, slice.len);
        tern_send(p->t, h, p->answer, p->len, 0);
        p->done++;
        if (p->closes) {
            tern_shutdown(p->t, h);
            return;
        }
    }
    if (n != -TERN_EAGAIN)
        tern_close(p->t, h);
}

enum { DATA_LISTENER = 1, DATA_WEB_LISTENER, DATA_BULK, DATA_WEB };

static void accept_all(struct program *p, tern_handle listener, uint64_t data)
{
    tern_handle h;
    while (tern_accept(p->t, listener, &h) == 0) {
        tern_set_data(p->t, h, data);
        if (p->sends)
            tern_setopt(p->t, h, TERN_OPT_SEND_BUFFER, BULK_BUFFER);
        if (data == DATA_BULK && p->sends)
            p->peer = h;
        else if (data == DATA_WEB)
            answer(p, h);
    }
}

static void on_event(struct program *p, const tern_event *e)
{
    if (e->data == DATA_LISTENER)
        accept_all(p, p->sink, DATA_BULK);
    else if (e->data == DATA_WEB_LISTENER)
        accept_all(p, p->web, DATA_WEB);
    else if (e->data == DATA_WEB)
        answer(p, e->handle);
    else if (e->data == DATA_BULK && !p->sends)
        receive(p, e->handle);
}

static void tern_turn(void *self)
{
    struct program *p = self;
    tern_event events[64];
    tern_lent back[16];
    tern_host_wait(p->host, 10);
    do {
        tern_host_receive(p->host);
        for (int n; (n = tern_events(p->t, events, 64)) > 0;)
            for (int i = 0; i < n; i++)
                on_event(p, &events[i]);
    } while (tern_host_more(p->host));
    while (p->lends && tern_returned(p->t, back, 16) > 0)
        continue;
    if (p->peer.v != 0)
        send_all(p);
    tern_host_flush(p->host);
}

static uint64_t tern_done(const void *self)
{
    const struct program *p = self;
    tern_info info;
    if (p->peer.v != 0 && tern_get_info(p->t, p->peer, &info) == 0)
        return info.bytes_acked;
    return p->done;
}

static void listen_at(struct program *p, uint16_t port, uint64_t data, tern_handle *out)
{
    tern_endpoint at = {.port = port};
    if (tern_listen(p->t, &at, 1024, out) < 0)
        abort();
    tern_set_data(p->t, *out, data);
}

static _Noreturn void cannot(const char *why)
{
    fprintf(stderr, "bench-tun: %s\n", why);
    exit(2);
}

static struct program *make_on(tern_link *tun, uint32_t page)
{
    char err[300];
    struct program *p = calloc(1, sizeof *p);
    tern_ip ip = tern_ip4(192, 0, 2, 1);
    p->block = aligned_alloc(4096, BLOCK);
    memset(p->block, 'x', BLOCK);
    tern_host_config cfg = {.memory = 256 << 20, .stack.page_size = page};
    if (tern_host_create(&p->host, &cfg, err, sizeof err) < 0)
        cannot(err);
    p->t = tern_host_stack(p->host);
    tern_addr_add(p->t, tern_host_attach(p->host, tun), &ip, 24);
    p->region = tern_region_add(p->t, p->block, BLOCK);
    listen_at(p, 9, DATA_LISTENER, &p->sink);
    listen_at(p, 80, DATA_WEB_LISTENER, &p->web);
    p->answer = web_answer(false, &p->len);
    return p;
}

static struct program *make(const char *device, uint32_t page)
{
    char err[300];
    tern_link *tun;
    if (tern_link_tun(&tun, device, false, err, sizeof err) < 0)
        cannot(err);
    return make_on(tun, page);
}

/* The first call opens all queues and takes one, the others take the rest. */
static void *make_queue(const char *device)
{
    static tern_link *queues[TUN_QUEUES];
    static int left;
    char err[300];
    if (left == 0 && tern_link_tun_queues(queues, TUN_QUEUES, device, false, err, sizeof err) < 0)
        cannot(err);
    left = left == 0 ? TUN_QUEUES - 1 : left - 1;
    struct program *p = make_on(queues[left], BULK_PAGE);
    p->peeks = true;
    return p;
}

static void *make_recv(const char *device) { return make(device, BULK_PAGE); }

static void *make_web(const char *device) { return make(device, 0); }

static void *make_peek(const char *device)
{
    struct program *p = make(device, BULK_PAGE);
    p->peeks = true;
    return p;
}

static void *make_send(const char *device)
{
    struct program *p = make(device, BULK_PAGE);
    p->sends = true;
    return p;
}

static void *make_lend(const char *device)
{
    struct program *p = make_send(device);
    p->lends = true;
    return p;
}

static void *make_close(const char *device)
{
    struct program *p = make(device, 0);
    p->closes = true;
    p->answer = web_answer(true, &p->len);
    return p;
}

static void end(void *self)
{
    struct program *p = self;
    tern_host_destroy(p->host);
    free(p->block);
    free(p);
}

const struct side our_sink = {"tern", make_recv, tern_turn, tern_done, end};
const struct side our_sink_peek = {"tern-peek", make_peek, tern_turn, tern_done, end};
const struct side our_queue = {"tern", make_queue, tern_turn, tern_done, end};
const struct side our_source = {"tern", make_send, tern_turn, tern_done, end};
const struct side our_source_lend = {"tern-lent", make_lend, tern_turn, tern_done, end};
const struct side our_web = {"tern", make_web, tern_turn, tern_done, end};
const struct side our_web_close = {"tern", make_close, tern_turn, tern_done, end};
