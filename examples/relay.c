/* relay.c - passes connections on, without copying a byte: relay tern0 192.0.2.2/24 80 198.51.100.7 8080
 *
 *   client ── end[0] ══ tern_move ══▶ end[1] ── server        and the same the other way
 *
 * What one side has received is moved to what the other has to send, where it lies. A direction that its peer
 * has closed is closed on the other side too (half-close), while the other direction goes on; a connection
 * that breaks breaks its partner. A slow reader slows its writer: what cannot be sent stays unread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <tern/host.h>

enum { PAIRS = 1024 };

static struct pair {
    tern_handle end[2]; /* the client's connection, and ours to the server */
    bool connected;     /* the server has answered */
    bool ended[2];      /* the peer of this end has sent all, and the other has been told */
} pairs[PAIRS];

static void drop(tern *t, struct pair *p, int (*how)(tern *, tern_handle))
{
    how(t, p->end[0]);
    how(t, p->end[1]);
    p->end[0].v = 0; /* events of theirs that are still to come find nobody */
}

/* Move what came in at one end. Whether the pair is still there. */
static bool pass(tern *t, struct pair *p, int from)
{
    long n = -TERN_EAGAIN;
    while (!p->ended[from] && (n = tern_move(t, p->end[from], p->end[!from], SIZE_MAX, 0)) > 0)
        continue;
    if (n == 0) {
        p->ended[from] = true;
        tern_shutdown(t, p->end[!from]);
    } else if (n != -TERN_EAGAIN) { /* else TERN_READABLE or TERN_WRITABLE brings us back */
        drop(t, p, tern_abort);
        return false;
    }
    return true;
}

static void happened(tern *t, const tern_event *e)
{
    struct pair *p = &pairs[e->data / 2 % PAIRS];
    if (e->handle.v != p->end[e->data % 2].v)
        return;
    if ((e->bits & TERN_ENDED) && !p->connected)
        drop(t, p, tern_abort); /* the server did not answer, or the client has given up */
    else if (e->data % 2 == 1)
        p->connected = true;
    if (p->end[0].v == 0 || !p->connected || !pass(t, p, 0) || !pass(t, p, 1))
        return;
    if (p->ended[0] && p->ended[1])
        drop(t, p, tern_close);
}

static void begin(tern *t, tern_handle client, const tern_endpoint *to)
{
    uint64_t i = 0;
    while (i < PAIRS && pairs[i].end[0].v != 0)
        i++;
    if (i == PAIRS || tern_connect(t, NULL, to, &pairs[i].end[1]) < 0) {
        tern_abort(t, client);
        return;
    }
    pairs[i] = (struct pair){.end = {client, pairs[i].end[1]}};
    tern_set_data(t, pairs[i].end[0], 2 * i);
    tern_set_data(t, pairs[i].end[1], 2 * i + 1);
}

int main(int argc, char **argv)
{
    tern_host *host;
    tern_link *tun;
    tern_handle listener, client;
    tern_endpoint local = {0}, to = {0};
    tern_event events[64];
    char err[300];
    int prefix;
    if (argc != 6 || tern_cidr_parse(argv[2], &local.ip, &prefix) < 0 || tern_ip_parse(argv[4], &to.ip) < 0)
        return fprintf(stderr, "usage: %s TUN ADDRESS/PREFIX PORT SERVER SERVER-PORT\n", argv[0]), 2;
    local.port = (uint16_t)atoi(argv[3]);
    to.port = (uint16_t)atoi(argv[5]);
    if (tern_host_create(&host, &(tern_host_config){.name = "relay"}, err, sizeof err) < 0 ||
        tern_link_tun(&tun, argv[1], false, err, sizeof err) < 0)
        return fprintf(stderr, "%s\n", err), 2;
    tern *t = tern_host_stack(host);
    int link = tern_host_attach(host, tun);
    if (tern_addr_add(t, link, &local.ip, prefix) < 0 || tern_route_add(t, link, &to.ip, prefix) < 0 ||
        tern_listen(t, &local, 0, &listener) < 0)
        return fprintf(stderr, "cannot listen there\n"), 2;
    while (tern_host_turn(host) >= 0) {
        int n = tern_events(t, events, 64);
        for (int i = 0; i < n; i++) {
            if (events[i].handle.v != listener.v)
                happened(t, &events[i]);
            while (events[i].handle.v == listener.v && tern_accept(t, listener, &client) == 0)
                begin(t, client, &to);
        }
        if (n == 0)
            tern_host_wait(host, -1);
    }
    tern_host_destroy(host);
    return fprintf(stderr, "the device is gone\n"), 1;
}
